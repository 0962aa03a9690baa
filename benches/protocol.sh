#!/bin/sh
# The text protocol: whole commands on a million lines, CPU seconds of each process, beside jq and Python's json;
# memory at its highest; and one command with its start. `LINES_EACH=100000 sh benches/protocol.sh` is shorter.
# Needs the release binaries of this crate in PATH (`make bench` sees to that), jq and python3.
set -eu
export LINES_EACH="${LINES_EACH:-1000000}" ROUNDS="${ROUNDS:-3}"
echo "## Protocol"
echo
exec python3 - <<'PYTHON'
import json, os, random, resource, shutil, statistics, subprocess, tempfile, time

count, rounds = int(os.environ["LINES_EACH"]), int(os.environ["ROUNDS"])
random.seed(1)
good = """execute task {n} in beast mode
stop instance kiro-{n} graceful
run task auth-{n} timeout=300 priority=high
please restart kiro-{n} in 5m
merge branches feature/a{n}, feature/b into main with conflict resolution
show me the status of task {n}
scale up the instances to 5 workers immediately
pause instance kiro-{n} for 10 minutes
reassign tasks a{n}, b from kiro-3 to kiro-4
alert swarm "disk {n} almost full" severity=high
run task x{n} note="needs \\"quotes\\"" tries:=3 tags:=["a","b c"]
stop all running threads
sync branch feature/x-{n} upstream
run task 任务-{n} parallel
status swarm health
deploy service api to staging version {n}
run task beast-mode parallel task_id=test-{n} timeout=300
retry failed messages
check swarm status
resolve conflicts in branch feature/y{n}""".splitlines()
bad = ["stop instance kiro-{n} gracefull", "rnu task a{n}", "run tsak a{n}", "don't stop kiro-{n}", "run task a{n} then status swarm"]
directory = tempfile.mkdtemp()
path = lambda name: os.path.join(directory, name)
with open(path("text"), "w") as file:
    for n in range(count):
        lines = bad if random.random() < 0.05 else good
        file.write(random.choice(lines).replace("{n}", str(n)) + "\n")


def cpu(command, source, target):
    """User and system seconds of one process, and its peak memory in MiB."""
    with open(source, "rb") as stdin, open(target, "wb") as stdout:
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


lines = lambda name: sum(1 for _ in open(path(name), "rb"))
cpu(["protocol-parse", "--as", "kiro-1"], path("text"), path("json"))
work = [
    ("text → JSON, 5 % bad", ["protocol-parse", "--as", "kiro-1"], "text", 1.0),
    ("JSON → text", ["protocol-print"], "json", 1.5),
    ("JSON → JSON", ["protocol-print", "--json"], "json", 0.9),
    ("JSON → JSON, `jq -c .`", ["jq", "-c", "."], "json", None),
    ("JSON → JSON, Python `json`", ["python3", "-c", "import sys,json\nfor l in sys.stdin: print(json.dumps(json.loads(l),separators=(',',':'),ensure_ascii=False))"], "json", None),
]
times = {name: [] for name, *_ in work}
memory = {}
for _ in range(rounds):
    for name, command, source, _ in work:
        seconds, peak = cpu(command, path(source), "/dev/null")
        times[name].append(seconds * 1e6 / lines(source))
        memory[name] = max(memory.get(name, 0), peak)
print(f"CPU seconds per million lines (user and system, whole process), median of {rounds} interleaved rounds of {count} lines.\n")
print("| work | CPU s / million lines | target | peak memory |\n|---|---|---|---|")
for name, _, _, target in work:
    median = statistics.median(times[name])
    verdict = "–" if target is None else f"≤ {target} {'met' if median <= target else '**missed**'}"
    print(f"| {name} | {median:.2f} | {verdict} | {memory[name]:.1f} MiB |")

# A bad line beside a good one.
for name, text in [("good", "stop instance kiro-3 graceful\n"), ("bad", "stop instance kiro-3 gracefull\n")]:
    with open(path(name), "w") as file:
        file.write(text * (count // 5))
cost = {name: statistics.median(cpu(["protocol-parse", "--as", "k", "--report"], path(name), "/dev/null")[0] for _ in range(rounds)) for name in ("good", "bad")}
print(f"\nA bad line with its suggestion costs {cost['bad'] / cost['good']:.1f} times a good one (target: at most 10), both with `--report`.\n")

# One command, its start included.
open(path("mine.toml"), "w").write('[verbs.brew]\nnouns = ["service"]\n')
starts = [
    ("`protocol-parse 'run task 9'`", ["protocol-parse", "run task 9"], "≤ 1.5"),
    ("the same with `--grammar`", ["protocol-parse", "--grammar", path("mine.toml"), "run task 9"], "≤ 3"),
    ("`jq -n 1`", ["jq", "-n", "1"], "–"),
    ("`true`", [shutil.which("true")], "–"),
]
taken = {name: [] for name, *_ in starts}
for _ in range(300):
    for name, command, _ in starts:
        begin = time.perf_counter()
        process = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
        os.waitpid(process, 0)
        taken[name].append(time.perf_counter() - begin)
print("| one command, start included | median ms | target |\n|---|---|---|")
for name, _, target in starts:
    print(f"| {name} | {statistics.median(taken[name]) * 1e3:.2f} | {target} |")
shutil.rmtree(directory)
PYTHON
