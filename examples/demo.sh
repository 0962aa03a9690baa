#!/bin/sh
# The main job, end to end, offline, on files alone. `make demo` runs it; each `$` line can be typed by hand.
set -eu

examples=$(cd "$(dirname "$0")" && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT INT TERM
unset SPORE_ROOT SPORE_AGENT
export SPORE_ROOT="$place/app.swarm" LC_ALL=C.UTF-8

say() { printf '\n# %s\n' "$*"; }
run() {
    printf '$ %s\n' "$1"
    (cd "$place" && eval "$1")
}

mkdir "$place/letters"
cp "$examples"/*.md "$place/letters"

say "A line of text becomes an action, and the action a message in kiro-1's mailbox (made on the way)."
run "echo 'execute task 2.1 in beast mode' | protocol-parse --as conductor | spore-send --as conductor --to kiro-1 --create"

say "kiro-1 takes it and reads it back as text. It is acknowledged once it was written out."
run "spore-recv --as kiro-1 --actions | protocol-print"
