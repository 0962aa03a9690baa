#!/bin/sh
# Merging: gate runs and wall time against merging one by one with the gate after each, and the
# forecast against git. Needs the commands on the path: `make build && PATH=$PWD/target/…/release:$PATH sh benches/merging.sh`.
# FILES and AGENTS scale the forecast (50000 and 32 by default); GATE is how long a gate takes. About 5 minutes, of which
# 1.6 million files take most; FILES=5000 shortens it to 2. Beside the forecast stands its floor: one lstat a file, in C.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
FILES=${FILES:-50000} AGENTS=${AGENTS:-32} GATE=${GATE:-1}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT INT TERM && cd "$work"
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{ printf "%.2f", $1 - $2 }'; }

# A repository with 16 branches; the one of number $1 makes the gate fail.
begin() {
    rm -rf app app.swarm && git init -q -b main app && cd app
    printf '1\n' > f && git add f && git commit -qm first
    worktree-spawn -q -n 16 > /dev/null
    for n in $(seq 16); do
        tree=../app.swarm/wt/kiro-$n
        echo "$n" > "$tree/file-$n"
        [ "$n" != "$1" ] || echo > "$tree/bad"
        git -C "$tree" add -A && git -C "$tree" commit -qm "work $n"
    done
}

gate="sleep $GATE; test ! -e bad"

# The old way: merge, test, keep or take back.
one_by_one() {
    runs=0
    for n in $(seq 16); do
        before=$(git rev-parse HEAD)
        git merge -q --no-ff -m "merge $n" "swarm/kiro-$n" 2> /dev/null || { git merge --abort; continue; }
        runs=$((runs + 1))
        sh -c "$gate" || git reset -q --hard "$before"
    done
}

echo "| 16 branches | landed | gate runs | gate runs per landed branch | wall, gate of $GATE s | target met |"
echo "|---|---|---|---|---|---|"
for bad in 0 1 8 16; do
    case $bad in 0) what="all good" ;; *) what="number $bad is the culprit" ;; esac
    begin $bad
    start=$(now) && one_by_one && wall=$(since "$start")
    landed=$(git log --merges --format=%s main | wc -l)
    echo "| $what, one by one | $landed | $runs | $(echo "$runs $landed" | awk '{ printf "%.2f", $1 / $2 }') | $wall s | |"
    cd .. && begin $bad
    start=$(now) && { swarm-merge -q --gate "$gate" > ../out || true; } && wall=$(since "$start")
    landed=$(grep -c '^landed' ../out)
    runs=$(grep -c '"type":"gated"' ../app.swarm/journal/events.jsonl)
    if [ "$bad" = 0 ]; then
        target="0.3 a branch: $(echo "$runs $landed" | awk '{ print ($1 / $2 <= 0.3) ? "yes" : "no" }')"
    else
        target="log2 16 + 2 = 6 runs: $([ "$runs" -le 6 ] && echo yes || echo no)"
    fi
    echo "| $what, swarm-merge | $landed | $runs | $(echo "$runs $landed" | awk '{ printf "%.2f", $1 / $2 }') | $wall s | $target |"
    cd ..
done

rm -rf app app.swarm && git init -q -b main app && cd app
awk -v dirs=$((FILES / 20)) 'BEGIN {
    for (d = 1; d <= dirs; d++) {
        dir = "d" (d % 50) "/e" d
        text = ""
        for (line = d; line <= d + 30; line++) text = text line "\n"
        system("mkdir -p " dir)
        for (f = 1; f <= 20; f++) { file = dir "/f" f; printf "%s", text > file; close(file) }
    }
}'
git add -A && git commit -qm first && sleep 2 && git update-index -q --refresh
worktree-spawn -q -n "$AGENTS" > /dev/null
for n in $(seq "$AGENTS"); do
    tree=../app.swarm/wt/kiro-$n
    for f in $(seq 10); do echo "$n" >> "$tree/d$n/e$n/f$f"; done
    sed -i "$((n % 10 + 5))s/\$/ by $n/" "$tree/d1/e1/f$((n % 5 + 1))"
    git -C "$tree" commit -qam "work $n"
    sed -i "20s/\$/ by $n/" "$tree/d2/e2/f$((n % 7 + 1))"
    echo "$n" > "$tree/new-$((n % 9))"
done
echo
echo "| forecast, $AGENTS agents, $FILES files each | wall | user + system |"
echo "|---|---|---|"
measure() {
    best=
    for _ in 1 2 3; do
        start=$(now)
        ( ulimit -c 0; "$@" > ../out 2>&1 || true; times ) > ../times
        wall=$(since "$start")
        if [ -z "$best" ] || [ "$(echo "$wall $best" | awk '{ print ($1 < $2) }')" = 1 ]; then best=$wall cpu=$(sed -n 2p ../times); fi
    done
    echo "$best s | $cpu"
}
statuses() { git worktree list --porcelain | sed -n 's/^worktree //p' | tail -n +2 | xargs -P 2 -I@ git -C @ status --porcelain -uall; }
pairs() { for a in $(seq "$AGENTS"); do for b in $(seq $((a + 1)) "$AGENTS"); do echo "swarm/kiro-$a swarm/kiro-$b"; done; done | xargs -P 2 -n 2 git merge-tree --write-tree; }
if cc -O2 -pthread -o ../lstat "$here/lstat.c"; then
    echo "| one lstat for each of these files, two threads (the floor of everything that looks at them) | $(measure ../lstat 2 ../app.swarm/wt/*) |"
fi
echo "| swarm-merge --forecast (what is not committed included; target 2 s) | $(measure swarm-merge --forecast) |"
echo "| swarm-status (the same from what it looks at anyway, at most 1 s more) | $(measure swarm-status) |"
echo "| git status of every tree, two at a time (finds only what is not committed) | $(measure statuses) |"
echo "| git merge-tree of every pair, two at a time (only what is committed) | $(measure pairs) |"
