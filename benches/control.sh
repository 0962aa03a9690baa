#!/bin/sh
# 100 agents: how long a status takes, what the controller uses while they are quiet, and 1,000 tasks by
# fake agents. The section "Runs" of BENCHMARKS.md; needs the commands in PATH, git and python3.
set -eu
agents=${AGENTS:-100} tasks=${TASKS:-1000}
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
exec python3 - "$agents" "$tasks" <<'PY'
import collections, json, os, statistics, subprocess, sys, time

agents, tasks = int(sys.argv[1]), int(sys.argv[2])
names = [f"a{n:03}" for n in range(agents)]
plan = {"plan_id": "p", "agents": [{"name": n} for n in names], "tasks": [
    {"id": f"t{n}", "title": "do", "agent": names[n % agents],
     "after": [f"t{n - 2 * agents}"] if n >= 2 * agents else []} for n in range(tasks)]}
subprocess.run(["swarm-assign", "adopt"], input=json.dumps(plan).encode(), check=True, stdout=subprocess.DEVNULL)
subprocess.run(["worktree-spawn", "-q"] + names, check=True, stdout=subprocess.DEVNULL)
root = os.path.abspath("../app.swarm")

def times(args):
    wall, used = [], []
    for _ in range(15):
        before, begun = os.times(), time.perf_counter()
        subprocess.run(args, check=True, stdout=subprocess.DEVNULL)
        wall.append((time.perf_counter() - begun) * 1000)
        after = os.times()
        used.append((after.children_user + after.children_system - before.children_user - before.children_system) * 1000)
    return f"{statistics.median(wall):.0f} ms, of processor {statistics.median(used):.0f} ms"

def ticks(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])

def conduct(script):
    return subprocess.Popen(["swarm-ctl", "run", "-q", "--", "fake-agent", "--script", script],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

def events():
    for line in open(root + "/journal/events.jsonl"):
        yield json.loads(line)

def marked():
    found = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found += f"SPORE_ROOT={root}".encode() in open(f"/proc/{pid}/environ", "rb").read().split(b"\0")
        except OSError:
            pass
    return found

print("| what | measured | target |")
print("|---|---|---|")
print(f"| `swarm-status`, {agents} idle agents, trees of 200 files | {times(['swarm-status'])} | 100 ms |")
print(f"| `swarm-status --prompt` | {times(['swarm-status', '--prompt'])} | |")
child = conduct("think 10m")
while sum(event["type"] == "run-began" for event in events()) < agents:
    time.sleep(0.5)
time.sleep(3)
before = ticks(child.pid)
time.sleep(20)
print(f"| controller while {agents} agents are quiet | {(ticks(child.pid) - before) / 20:.2f} % of one core | 2 % |")
print(f"| `swarm-status`, {agents} agents at work | {times(['swarm-status'])} | 100 ms |")
subprocess.run(["swarm-ctl", "--do", "stop swarm"], check=True, stdout=subprocess.DEVNULL)
child.wait()
subprocess.run(["swarm-ctl", "--do", "resume swarm"], check=True, stdout=subprocess.DEVNULL)
begun, used = time.perf_counter(), os.times()
status = conduct("work; commit; done").wait()
wall = time.perf_counter() - begun
done = collections.Counter(event["task"] for event in events() if event["type"] == "done")
print(f"| {agents} agents × {tasks} tasks | status {status}, {len(done)} done, {sum(n > 1 for n in done.values())} twice, "
      f"{marked()} processes left, {wall:.0f} s, {wall / tasks * 1000:.0f} ms a task | none twice, none left |")
PY
