#!/bin/sh
# 100 agents: how long a status takes, what the controller uses while they are quiet, and 1,000 tasks by
# fake agents. The section "Runs" of BENCHMARKS.md; needs the commands in PATH, git and python3. About two
# minutes; AGENTS=10 TASKS=40 QUIET=5 make it short.
set -eu
agents=${AGENTS:-100} tasks=${TASKS:-1000} quiet=${QUIET:-20}
. "$(dirname "$0")/place.sh"
python3 - "$agents" "$tasks" "$quiet" <<'PY'
import collections, json, os, statistics, subprocess, sys, time

agents, tasks, quiet = map(int, sys.argv[1:])
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
    return statistics.median(wall), statistics.median(used)

def row(what, measured, target="", met=None):
    print(f"| {what} | {measured} | {target} | {'' if met is None else 'yes' if met else 'no'} |")

def status(what, args, limit=None):
    wall, used = times(args)
    row(what, f"{wall:.0f} ms, of processor {used:.0f} ms", f"{limit} ms" if limit else "", limit and wall <= limit)

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

print("| what | measured | target | met |")
print("|---|---|---|---|")
status(f"`swarm-status`, {agents} idle agents, trees of 200 files", ["swarm-status"], 100)
status("`swarm-status --prompt`", ["swarm-status", "--prompt"])
child = conduct("think 10m")
while sum(event["type"] == "run-began" for event in events()) < agents:
    time.sleep(0.5)
time.sleep(3)
before = ticks(child.pid)
time.sleep(quiet)
share = (ticks(child.pid) - before) / os.sysconf("SC_CLK_TCK") / quiet * 100
row(f"controller while {agents} agents are quiet, {quiet} s", f"{share:.2f} % of one core", "2 %", share < 2)
memory = next(line.split()[1] for line in open(f"/proc/{child.pid}/status") if line.startswith("VmRSS"))
row("its memory, resident", f"{int(memory) / 1024:.1f} MiB")
status(f"`swarm-status`, {agents} agents at work", ["swarm-status"], 100)
subprocess.run(["swarm-ctl", "--do", "stop swarm"], check=True, stdout=subprocess.DEVNULL)
child.wait()
subprocess.run(["swarm-ctl", "--do", "resume swarm"], check=True, stdout=subprocess.DEVNULL)
begun = time.perf_counter()
ended = conduct("work; commit; done").wait()
wall = time.perf_counter() - begun
done = collections.Counter(event["task"] for event in events() if event["type"] == "done")
twice, left = sum(n > 1 for n in done.values()), marked()
row(f"{agents} agents × {tasks} tasks", f"status {ended}, {len(done)} done, {twice} twice, {left} processes left, "
    f"{wall:.0f} s, {wall / tasks * 1000:.0f} ms a task", "all done, none twice, none left",
    (ended, len(done), twice, left) == (0, tasks, 0, 0))
PY
