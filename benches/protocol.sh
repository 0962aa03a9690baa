#!/bin/sh
# The text protocol: whole commands on a million lines, CPU seconds of each process, beside jq and Python's json;
# memory at its highest; and one command with its start. Two minutes; `LINES_EACH=100000 sh benches/protocol.sh` is shorter.
# Needs the release binaries of this crate in PATH (`make bench` sees to that), jq and python3.
set -eu
export LINES_EACH="${LINES_EACH:-1000000}" ROUNDS="${ROUNDS:-3}"
echo "## Protocol"
echo
exec python3 - <<'PYTHON'
import fcntl, os, random, shutil, statistics, struct, subprocess, tempfile, termios, time

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


def cpu(command, source, target=os.devnull):
    """User and system seconds of one process."""
    with open(source, "rb") as stdin, open(target, "wb") as stdout:
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_utime + usage.ru_stime


def peak(command, source):
    """The highest resident memory of one process in MiB, before it ends. Not ru_maxrss: a process inherits that from
    the one that started it, here this Python."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(source, "rb") as file:
        shutil.copyfileobj(file, process.stdin, 1 << 20)
    process.stdin.flush()
    while struct.unpack("i", fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)))[0]:
        time.sleep(0.01)
    time.sleep(0.1)
    with open(f"/proc/{process.pid}/status") as status:
        highest = next(line for line in status if line.startswith("VmHWM"))
    process.stdin.close()
    process.wait()
    return int(highest.split()[1]) / 1024


def row(what, measured, unit, wanted, digits=2):
    met = "" if wanted is None else "yes" if measured <= wanted else "**no**"
    wanted = "" if wanted is None else f"<= {wanted} {unit}"
    print(f"| {what} | {measured:.{digits}f} {unit} | {wanted} | {met} |")


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
for _ in range(rounds):
    for name, command, source, _ in work:
        times[name].append(cpu(command, path(source)) * 1e6 / lines(source))
print(f"CPU seconds, user and system, of whole processes: medians of {rounds} interleaved rounds of {count} lines.\n")
print("| what | measured | wanted | met |\n|---|---|---|---|")
for name, _, _, target in work:
    row(f"{name}, a million lines", statistics.median(times[name]), "s", target)

# A bad line beside a good one.
for name, text in [("good", "stop instance kiro-3 graceful\n"), ("bad", "stop instance kiro-3 gracefull\n")]:
    with open(path(name), "w") as file:
        file.write(text * (count // 5))
judge = ["protocol-parse", "--as", "k", "--report"]
cost = {name: statistics.median(cpu(judge, path(name)) for _ in range(rounds)) for name in ("good", "bad")}
row("a bad line with its suggestion against a good one, `--report`", cost["bad"] / cost["good"], "x", 10)

for name, command, source, target in work:
    row(f"peak memory, {name}", peak(command, path(source)), "MiB", 8 if target else None, 1)

# One command, its start included.
with open(path("mine.toml"), "w") as file:
    file.write('[verbs.brew]\nnouns = ["service"]\n')
starts = [
    ("`protocol-parse 'run task 9'`", ["protocol-parse", "run task 9"], 1.5),
    ("the same with `--grammar`", ["protocol-parse", "--grammar", path("mine.toml"), "run task 9"], 3),
    ("`jq -n 1`", ["jq", "-n", "1"], None),
    ("`true`", [shutil.which("true")], None),
]
taken = {name: [] for name, *_ in starts}
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
for _ in range(300):
    for name, command, _ in starts:
        begin = time.perf_counter()
        os.waitpid(os.posix_spawnp(command[0], command, os.environ, file_actions=quiet), 0)
        taken[name].append(time.perf_counter() - begin)
for name, _, target in starts:
    row(f"{name}, start included", statistics.median(taken[name]) * 1e3, "ms", target)
shutil.rmtree(directory)
PYTHON
