#!/bin/sh
# What agent-run adds to a bare command, and how soon it sees a death or a silence. The section "Runs"
# of BENCHMARKS.md; needs the release binaries in PATH, git and python3.
set -eu
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
worktree-spawn a1 >/dev/null 2>&1
echo x >../task
exec python3 - "$place" <<'PY'
import json, os, statistics, subprocess, sys, time

def run(args, text=b"x"):
    begun = time.perf_counter()
    out = subprocess.run(args, input=text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000, out.stdout

run_it = ["agent-run", "--agent", "a1", "--answer", "--"]
bare, watched, status = [], [], []
for _ in range(60):
    bare.append(run(["true"])[0])
    watched.append(run(run_it + ["true"])[0])
    status.append(run(["git", "-C", "../app.swarm/wt/a1", "status", "--porcelain"])[0])
added = statistics.median(w - b for w, b in zip(watched, bare))
print("| what | median | target |")
print("|---|---|---|")
print(f"| `true` | {statistics.median(bare):.1f} ms | |")
print(f"| `agent-run -- true` adds | {added:.1f} ms | 5 ms |")
print(f"| `git status` in the same tree, for comparison | {statistics.median(status):.1f} ms | |")

def start(*command):
    args = ["agent-run", "--agent", "a1", "--answer", "--task", "../task", "--", *command]
    return subprocess.Popen(args, stdout=subprocess.DEVNULL)

child = start("sleep", "3")
time.sleep(2)
fields = dict(l.split(":", 1) for l in open(f"/proc/{child.pid}/status") if ":" in l)
child.wait()
print(f"| memory of `agent-run` while it watches: peak resident | {int(fields['VmHWM'].split()[0]) / 1024:.1f} MiB | 5 MB |")
print(f"| the same, its own pages (not those of the program file) | {int(fields['RssAnon'].split()[0]) / 1024:.1f} MiB | |")

def late(script, options):
    seen = []
    for _ in range(15):
        args = ["agent-run", "--agent", "a1", "--answer"] + options + ["--", "fake-agent", "--script", script]
        seen.append(json.loads(run(args)[1])["wall_ms"])
    return seen

death = [wall - 300 for wall in late("think 300ms; die", [])]
print(f"| a death (SIGKILL) is seen after | {statistics.median(death):.0f} ms, at most {max(death)} ms | 1 s |")
stall = [wall - 1000 for wall in late("hang", ["--stall", "1s", "--grace", "100ms"])]
print(f"| silence of 1 s is ended after 1 s and | {statistics.median(stall):.0f} ms, at most {max(stall)} ms | |")

quiet = start("sleep", "20")
def used():
    f = open(f"/proc/{quiet.pid}/stat").read().rsplit(")", 1)[1].split()
    return int(f[11]) + int(f[12])
time.sleep(5)
before = used(); time.sleep(12); after = used()
quiet.kill(); quiet.wait()
run(["agent-run", "--settle", "--grace", "100ms"])
print(f"| processor time while the command is quiet | {(after - before) / 12:.2f} % of a core | |")
PY
