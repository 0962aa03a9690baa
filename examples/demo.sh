#!/bin/sh
# The main job, end to end, offline, on files alone, and where a Redis is installed a stretch of it by that.
# `make demo` runs it; each `$` line can be typed by hand.
set -eu

examples=$(cd "$(dirname "$0")" && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT INT TERM
for name in $(env | sed -n 's/^\(SPORE_[A-Z_]*\)=.*/\1/p; s/^\(GIT_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
export LC_ALL=C.UTF-8 HOME="$place" EXAMPLES="$examples"
export GIT_AUTHOR_NAME=demo GIT_AUTHOR_EMAIL=demo@example.org GIT_COMMITTER_NAME=demo GIT_COMMITTER_EMAIL=demo@example.org
cd "$place"

say() { echo; printf '# %s\n' "$@"; }
run() {
    printf '$ %s\n' "$1"
    eval "$1"
}

git init -q -b main app
cd app
cp -r "$examples/specs" "$examples/agent" .
printf 'one\ntwo\nthree\n' >text
echo 'test "$(cat *.limit 2>/dev/null | wc -l)" -lt 3' >gate.sh
git add . && git commit -q -m 'The spec'

say "A line of text becomes an action, and the action a message in kiro-1's mailbox (made on the way)."
run "echo 'execute task 2.1 in beast mode' | protocol-parse --as conductor | spore-send --as conductor --to kiro-1 --create"
say "kiro-1 takes it and reads it back as text. It is acknowledged once it was written out."
run "spore-recv --as kiro-1 --actions | protocol-print"

say "A spec of six tasks, for three agents: who does what, in which order."
run "swarm-assign plan specs/greeting/tasks.md -n 3"
say "A worktree for each; then the agents at work. One lies, one hangs, one is killed, one meets its usage limit:" \
    "each outcome is judged from the tree and the process, and the work goes on."
run "swarm-assign plan specs/greeting/tasks.md -n 3 --json |
    worktree-spawn --plan - |
    swarm-ctl run --until done --stall 2s --on limited=park,reroute --on hollow=retry:1,human -- ./agent |
    sed 's/.*\"run\":\"\([^\"]*\)\",\"outcome\":\"\([^\"]*\)\".*\"task\":\"\([^\"]*\)\".*/\1: task \3 \2/'"
run "swarm-status"

say "Bring it home: tested together, then main moves at once."
run "swarm-merge --gate 'sh gate.sh'"

say "Two agents change one line; a third is green alone and red together with the first."
commit() { (cd "../app.swarm/wt/$1" && sh -c "$2" && git add -A && git commit -q -m "$3"); }
commit kiro-1 "sed -i s/two/zwei/ text; printf 'a\nb\n' >a.limit" 'Speak German, with two limits'
commit kiro-2 "sed -i s/two/deux/ text" 'Speak French'
commit kiro-3 "echo c >b.limit" 'Add a limit'
run "swarm-merge --forecast || echo \"status \$?\""
run "swarm-merge --quiet --order given --gate 'sh gate.sh' kiro-1 kiro-2 kiro-3 || echo \"status \$?\""
say "The conflict was handed back as a branch; its agent resolves it, and it lands."
run "(cd ../app.swarm/wt/kiro-2 && git merge -q conflict/kiro-2; printf 'one\nzwei, deux\nthree\n' >text; git commit -q -a -m 'Speak both')"
run "swarm-merge --quiet --gate 'sh gate.sh' kiro-2 && cat text"
run "swarm-merge --check >/dev/null && echo 'every line of the report is proved'"

if command -v redis-server >/dev/null && command -v redis-cli >/dev/null; then
    say "The same agents by Redis, which is killed between two orders: what it missed waits in files, and arrives in order."
    port=$((20000 + $$ % 10000))
    redis() {
        redis-server --bind 127.0.0.1 --port $port --dir "$place" --appendonly yes --appendfsync always --save '' \
            --daemonize yes --pidfile "$place/redis.pid" --logfile "$place/redis.log" >/dev/null
        tries=0
        until [ "$(redis-cli -p $port ping 2>&1)" = PONG ]; do
            tries=$((tries + 1)); [ $tries -lt 200 ] || { cat "$place/redis.log" >&2; exit 2; }
            sleep 0.1
        done
    }
    trap 'redis-cli -p $port shutdown nosave >/dev/null 2>&1 || true; rm -rf "$place"' EXIT INT TERM
    redis
    export SPORE_BUS="redis://127.0.0.1:$port"
    run "echo 'run task 7' | protocol-parse --as conductor | spore-send --as conductor --to kiro-1,kiro-2,kiro-3"
    say "kill -9 of the server"
    kill -9 "$(cat "$place/redis.pid")"
    run "echo 'pause task 7' | protocol-parse --as conductor | spore-send --as conductor --to kiro-1,kiro-2,kiro-3"
    redis
    run "spore-relay drain"
    run "for agent in kiro-1 kiro-2 kiro-3; do spore-recv --as \$agent --create --all --actions | protocol-print; done"
    unset SPORE_BUS
fi

say "What is finished goes; before anything is removed it is saved under a ref."
run "worktree-reap --landed"
run "swarm-status"
