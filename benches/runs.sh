#!/bin/sh
# What agent-run adds to a bare command, and how soon it sees a death or a silence. The section "Runs"
# of BENCHMARKS.md; needs the release binaries in PATH, git and python3. About 90 s; ROUNDS=5 makes it short.
set -eu
. "$(dirname "$0")/place.sh"
worktree-spawn a1 >/dev/null 2>&1
echo x >../task
python3 - "${ROUNDS:-60}" <<'PY'
import json, os, statistics, subprocess, sys, time

def run(args, text=b"x"):
    begun = time.perf_counter()
    out = subprocess.run(args, input=text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000, out.stdout

run_it = ["agent-run", "--agent", "a1", "--answer", "--"]
bare, watched, status = [], [], []
rounds = int(sys.argv[1])

def row(what, measured, target="", met=None):
    print(f"| {what} | {measured} | {target} | {'' if met is None else 'yes' if met else 'no'} |")

for _ in range(rounds):
    bare.append(run(["true"])[0])
    watched.append(run(run_it + ["true"])[0])
    status.append(run(["git", "-C", "../app.swarm/wt/a1", "status", "--porcelain"])[0])
added = statistics.median(w - b for w, b in zip(watched, bare))
print("| what | median | target | met |")
print("|---|---|---|---|")
row("`true`", f"{statistics.median(bare):.1f} ms")
row("`agent-run -- true` adds", f"{added:.1f} ms", "5 ms", added <= 5)
row("`git status` in the same tree, for comparison", f"{statistics.median(status):.1f} ms")

def start(*command):
    args = ["agent-run", "--agent", "a1", "--answer", "--task", "../task", "--", *command]
    return subprocess.Popen(args, stdout=subprocess.DEVNULL)

child = start("sleep", "3")
time.sleep(2)
fields = dict(l.split(":", 1) for l in open(f"/proc/{child.pid}/status") if ":" in l)
child.wait()
peak = int(fields["VmHWM"].split()[0]) / 1024
row("memory of `agent-run` while it watches: peak resident", f"{peak:.1f} MiB", "5 MB", peak * 1.048576 <= 5)
row("the same, its own pages (not those of the program file)", f"{int(fields['RssAnon'].split()[0]) / 1024:.1f} MiB")

def late(script, options):
    seen = []
    for _ in range(min(rounds, 15)):
        args = ["agent-run", "--agent", "a1", "--answer"] + options + ["--", "fake-agent", "--script", script]
        seen.append(json.loads(run(args)[1])["wall_ms"])
    return seen

death = [wall - 300 for wall in late("think 300ms; die", [])]
row("a death (SIGKILL) is seen after", f"{statistics.median(death):.0f} ms, at most {max(death)} ms", "1 s", max(death) <= 1000)
stall = [wall - 1000 for wall in late("hang", ["--stall", "1s", "--grace", "100ms"])]
row("silence of 1 s is ended after 1 s and", f"{statistics.median(stall):.0f} ms, at most {max(stall)} ms")

quiet = start("sleep", "20")
def used():
    f = open(f"/proc/{quiet.pid}/stat").read().rsplit(")", 1)[1].split()
    return int(f[11]) + int(f[12])
time.sleep(5)
before = used(); time.sleep(12); after = used()
quiet.kill(); quiet.wait()
run(["agent-run", "--settle", "--grace", "100ms"])
share = (after - before) / os.sysconf("SC_CLK_TCK") / 12 * 100
row("processor time while the command is quiet", f"{share:.2f} % of a core")
PY
