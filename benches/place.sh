# A place of its own for a measure, read by scripts with `.`: a repository `app` with 200 files, in which
# one then stands. It goes when the script ends.
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT INT TERM
unset SPORE_ROOT SPORE_AGENT
cd "$place"
git init -q -b main app
cd app
git config user.name t
git config user.email t@example.org
for n in $(seq 200); do echo "$n" >"file-$n"; done
git add -A
git commit -qm first
