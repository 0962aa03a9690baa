#!/usr/bin/env python3
"""Measures spore-send and spore-recv beside real peers, in one run, in interleaved pairs.

usage: mailboxes.py [--pairs N] [--directory DIR] [--fs ext4,xfs,tmpfs] [--in-process PROGRAM] [--quick]

Four minutes with `--pairs 40`, and a minute more with --in-process, the program of benches/delivery.rs (`cargo bench
--bench delivery --no-run` says where it is). Prints Markdown tables: for each target its measured ratio of medians. Peers: mdeliver and mlist of mblaze (Debian), a
C program that does the durable floor (benches/floor.c), /bin/true. ext4 and XFS are loop-mounted images, which needs
root; without it the directory given is measured as it is, and that is said.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BODY = b"# hello\n\n" + b"x" * 1000 + b"\n"


def micros(command, stdin=b"", env=None):
    """Wall time of one process, in microseconds, from spawn to reaped."""
    read, write = os.pipe()
    os.write(write, stdin)
    os.close(write)
    devnull = os.open(os.devnull, os.O_WRONLY)
    actions = [
        (os.POSIX_SPAWN_DUP2, read, 0),
        (os.POSIX_SPAWN_DUP2, devnull, 1),
        (os.POSIX_SPAWN_DUP2, devnull, 2),
    ]
    begin = time.perf_counter_ns()
    pid = os.posix_spawn(command[0], command, env or os.environ, file_actions=actions)
    _, status = os.waitpid(pid, 0)
    end = time.perf_counter_ns()
    os.close(read)
    os.close(devnull)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
    return (end - begin) / 1000


def pairs(count, *makers):
    """Medians of `count` interleaved runs of each maker (a function that gives micros)."""
    for maker in makers:
        maker()
    taken = [[] for _ in makers]
    for _ in range(count):
        for times, maker in zip(taken, makers):
            times.append(maker())
    return [statistics.median(times) for times in taken]


def row(target, what, measured, bound, unit="x", digits=2):
    ok = "yes" if measured <= bound else "**no**"
    print(f"| {target} | {what} | {measured:.{digits}f} {unit} | <= {bound} {unit} | {ok} |", flush=True)


def row_least(target, what, measured, bound, unit="x", digits=1):
    ok = "yes" if measured >= bound else "**no**"
    print(f"| {target} | {what} | {measured:.{digits}f} {unit} | >= {bound} {unit} | {ok} |", flush=True)


class Place:
    """A directory on one file system with a swarm, a Maildir for the peers, and the floor program."""

    def __init__(self, kind, path, floor):
        self.kind, self.path, self.floor = kind, path, floor
        self.root = f"{path}/root"
        self.maildir = f"{path}/maildir"
        for name in ("tmp", "new", "cur"):
            os.makedirs(f"{self.maildir}/{name}", exist_ok=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("SPORE_")}
        self.env["SPORE_ROOT"] = self.root
        self.send = shutil.which("spore-send")
        self.recv = shutil.which("spore-recv")
        self.mdeliver = shutil.which("mdeliver")
        self.tool([self.send, "--as", "a", "--to", "box", "--create"], b"first")
        self.tool([self.recv, "--as", "box", "--all", "--json"])

    def tool(self, command, stdin=b""):
        ran = subprocess.run(command, input=stdin, env=self.env, capture_output=True)
        if ran.returncode not in (0, 1):
            raise SystemExit(f"{command}: {ran.returncode}: {ran.stderr.decode()}")
        return ran.stdout

    def sending(self, *options):
        command = [self.send, "--as", "a", "--to", "box", *options]
        return lambda: micros(command, BODY, self.env)

    def delivering(self):
        return lambda: micros([self.mdeliver, self.maildir], BODY)

    def flooring(self, how):
        return lambda: micros([self.floor, how, self.maildir], BODY)

    def empty(self):
        self.tool([self.recv, "--as", "box", "--all", "--json"])
        for name in os.listdir(f"{self.maildir}/new"):
            os.unlink(f"{self.maildir}/new/{name}")


def true():
    return micros(["/bin/true"])


def one_send(place, count):
    if place.kind == "tmpfs":
        ours, theirs, nothing = pairs(count, place.sending("--no-sync"), place.delivering(), true)
        row("T3", f"`spore-send --no-sync` on tmpfs against /bin/true ({ours:.0f} us, {nothing:.0f} us)", ours / nothing, 1.05)
        row("T3", f"the same against mdeliver ({theirs:.0f} us)", ours / theirs, 0.9)
        return
    ours, theirs, classic, commit = pairs(
        count, place.sending(), place.delivering(), place.flooring("classic"), place.flooring("onecommit")
    )
    row("T1", f"one durable send on {place.kind} ({ours:.0f} us) against mdeliver ({theirs:.0f} us, not durable)", ours / theirs, 1.0)
    row("T1", f"the same against a C program doing the classic floor ({classic:.0f} us)", ours / classic, 0.85)
    print(f"| | (the C program with one commit: {commit:.0f} us) | {ours / commit:.2f} x | | |")


def batch(place, number):
    place.empty()
    lines = b"".join(b'{"body":"message %d %s"}\n' % (n, b"x" * 1000) for n in range(number))
    # A JSON line that is neither action nor result is a body of its own.
    begin = time.perf_counter()
    place.tool([place.send, "--as", "a", "--to", "box", "--batch"], lines)
    ours = (time.perf_counter() - begin) / number * 1e6
    few = max(50, number // 50)
    begin = time.perf_counter()
    for _ in range(few):
        place.delivering()()
    single = (time.perf_counter() - begin) / few * 1e6
    mbox = b"".join(b"From a@example.org Thu Jan  1 00:00:00 1970\n" + BODY + b"\n" for _ in range(number // 4))
    begin = time.perf_counter()
    subprocess.run([place.mdeliver, "-M", place.maildir], input=mbox, stdout=subprocess.DEVNULL, check=True)
    many = (time.perf_counter() - begin) / (number // 4) * 1e6
    row_least("T4", f"batch of {number} on {place.kind}, {ours:.1f} us a message, against mdeliver ({single:.0f} us)", single / ours, 20)
    row_least("T4", f"the same against `mdeliver -M` ({many:.0f} us)", many / ours, 8)
    taking_all(place, number, "a batch")
    begin = time.perf_counter()
    place.tool([place.send, "--as", "a", "--to", "box", "--batch", "--bundle"], lines)
    bundle = (time.perf_counter() - begin) / number * 1e6
    row_least("T4", f"bundle of {number} on {place.kind}, {bundle:.1f} us a message, against `mdeliver -M`", many / bundle, 100)
    taking_all(place, number, "a bundle")


def taking_all(place, number, what):
    begin = time.perf_counter()
    taken = place.tool([place.recv, "--as", "box", "--all", "--json"])
    each = (time.perf_counter() - begin) / number * 1e6
    if taken.count(b"\n") != number:
        raise SystemExit(f"{taken.count(bytes([10]))} of {number} came back")
    print(f"| | taking all of {what}, `spore-recv --all`, {each:.1f} us a message | | | |", flush=True)


def taking(place, depths, count):
    """Process time to take the next one of `depth` pending messages, against one of ten."""
    figures = {}
    for depth in depths:
        place.empty()
        lines = b"".join(b'{"body":"message %d"}\n' % n for n in range(depth))
        place.tool([place.send, "--as", "a", "--to", "box", "--batch"], lines)
        take = lambda: micros([place.recv, "--as", "box", "--json"], b"", place.env)
        taken, = pairs(min(count, depth - 2), take)
        figures[depth] = taken
        if depth == depths[-1] and shutil.which("mlist"):
            for name in range(depth):
                open(f"{place.maildir}/new/{name:08x}.1.x", "w").close()
            listing = statistics.median(micros([shutil.which("mlist"), place.maildir]) for _ in range(5))
            row_least("T5", f"take at {depth} ({taken:.0f} us) against `mlist` there ({listing:.0f} us)", listing / taken, 40)
    first, last = depths[0], depths[-1]
    shown = ", ".join(f"{d}: {t:.0f} us" for d, t in figures.items())
    row("T5", f"take as a process on {place.kind} ({shown})", figures[last] / figures[first], 1.3)
    place.empty()


def broadcast(place, boxes, count):
    names = ",".join(f"crowd-{n}" for n in range(boxes))
    place.tool([place.send, "--as", "a", "--to", names, "--create"], BODY)
    ours, = pairs(count, lambda: micros([place.send, "--as", "a", "--to", names], BODY, place.env))
    copies = []
    for _ in range(3):
        begin = time.perf_counter()
        for _ in range(boxes):
            place.flooring("classic")()
        copies.append((time.perf_counter() - begin) * 1e6)
    copied = statistics.median(copies)
    row("T7", f"one message to {boxes} boxes on {place.kind}", ours / 1000, 20, "ms", 1)
    print(f"| | the same as {boxes} durable copies by the C program: {copied / 1000:.0f} ms | {copied / ours:.0f} x | | |")


def at_once(place, senders, each, command):
    """How many processes a second `senders` shells start and see end, each one `each` times `command` with $n, its number, and $i."""
    script = f"i=0; while [ $i -lt {each} ]; do i=$((i+1)); {command} >/dev/null || exit 1; done"
    statuses = []

    def loop(number):
        statuses.append(subprocess.run(["sh", "-c", script], env=dict(place.env, n=str(number))).returncode)

    threads = [threading.Thread(target=loop, args=(n,)) for n in range(senders)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    if any(statuses):
        raise SystemExit(f"{command}: {statuses}")
    return senders * each / seconds


def crowd(place, senders, each):
    body = f"{place.path}/body"
    with open(body, "wb") as file:
        file.write(BODY)
    ours = at_once(place, senders, each, f'"{place.send}" --as s$n --to box -m "m $i"')
    there = place.tool([place.recv, "--as", "box", "--all", "--json"]).count(b"\n")
    if there != senders * each:
        raise SystemExit(f"{there} of {senders * each} arrived")
    row_least("T8", f"{senders} concurrent senders, a process a message, on {place.kind}, 0 errors", ours, 2000, "messages/s", 0)
    # What this machine and these shells give at most: processes that do nothing, and the least durable delivery.
    most = at_once(place, senders, each, "/bin/true")
    floor = at_once(place, senders, each, f'"{place.floor}" onecommit "{place.maildir}" <"{body}"')
    print(f"| | the same shells with /bin/true: {most:.0f}/s; with the C program with one commit: {floor:.0f}/s | {ours / floor:.2f} x | | |")


def follow(place, count):
    """From the rename that delivers a message to its line on the follower's standard output."""
    follower = subprocess.Popen(
        [place.recv, "--as", "box", "--follow", "--json", "--timeout", "60s"], env=place.env, stdout=subprocess.PIPE
    )
    time.sleep(0.2)
    box = f"{place.root}/mail/box"
    figures = []
    for number in range(max(count, 300)):
        # What spore-send leaves to be renamed, so that nothing but the rename is in the figure.
        seconds, micros_now = divmod(time.time_ns() // 1000, 1_000_000)
        name = f"{seconds:012x}{micros_now:05x}-{number:04x}{os.urandom(8).hex()}"
        with open(f"{box}/tmp/{name}", "wb") as file:
            file.write(BODY)
            os.fchmod(file.fileno(), 0o400)
        begin = time.perf_counter_ns()
        os.rename(f"{box}/tmp/{name}", f"{box}/new/{name},S={len(BODY)}:2,")
        if name.encode() not in follower.stdout.readline():
            raise SystemExit(f"{name} was sent, and something else came")
        figures.append((time.perf_counter_ns() - begin) / 1000)
        time.sleep(0.002)
    figures.sort()
    stat = lambda: sum(int(x) for x in open(f"/proc/{follower.pid}/stat").read().rsplit(")", 1)[1].split()[11:13])
    idle = stat()
    time.sleep(2)
    idle = stat() - idle
    follower.kill()
    follower.wait()
    row("T6", f"follow on {place.kind}: from the rename to the line, median", figures[len(figures) // 2], 150, "us", 0)
    row("T6", "the same, 99th percentile", figures[int(len(figures) * 0.99)], 1000, "us", 0)
    row("T6", "processor time in 2 idle seconds", idle, 0, "ticks", 0)


def start(tools, count):
    for tool in tools:
        path = shutil.which(tool)
        ours, nothing = pairs(count, lambda: micros([path, "--version"]), true)
        row("start", f"`{tool} --version` ({ours:.0f} us) against /bin/true ({nothing:.0f} us)", ours / nothing, 1.5)
    for tool in tools:
        size = os.path.getsize(shutil.which(tool)) / 1e6
        row("size", f"`{tool}`", size, 4, "MB")


def memory(place):
    """Largest resident size while a big message is sent and received."""
    size = 256 << 20
    big = f"{place.path}/big"
    with open(big, "wb") as file:
        for _ in range(256):
            file.write(b"y" * (1 << 20))
    for command, stdin in (
        ([place.send, "--as", "a", "--to", "box", "--max", str(size + 4096)], big),
        ([place.recv, "--as", "box", "--raw"], os.devnull),
    ):
        pid = os.posix_spawn(
            command[0], command, place.env,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
        )
        # Its own mark, not ru_maxrss: that keeps what this program had before the exec.
        peak, done = 0, 0
        while not done:
            try:
                status_of = open(f"/proc/{pid}/status").read()
                if "\nVmHWM:" in status_of and f"/{os.path.basename(command[0])}" in os.readlink(f"/proc/{pid}/exe"):
                    peak = max(peak, int(status_of.split("\nVmHWM:")[1].split()[0]))
            except OSError:
                pass
            done, status = os.waitpid(pid, os.WNOHANG)
            time.sleep(0.0005)
        name = os.path.basename(command[0])
        if os.waitstatus_to_exitcode(status) != 0:
            print(f"| T10 | `{name}` of 256 MiB ended with {os.waitstatus_to_exitcode(status)} | | <= 8 MB | **no** |")
            continue
        row("T10", f"resident memory of `{name}` for a message of 256 MiB", peak / 1024, 8, "MB", 1)
    os.unlink(big)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pairs", type=int, default=40)
    arguments.add_argument("--directory", default=None)
    arguments.add_argument("--fs", default="ext4,xfs,tmpfs")
    arguments.add_argument("--in-process", metavar="PROGRAM", help="also measure without starting a process: T2, T5")
    arguments.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    given = arguments.parse_args()
    for tool in ("spore-send", "spore-recv", "mdeliver", "cc"):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is not on the PATH: run `make bench`")
    number, depth, count = (500, 1000, 20) if given.quick else (10_000, 100_000, given.pairs)
    with tempfile.TemporaryDirectory(dir=given.directory) as work:
        floor = f"{work}/floor"
        here = os.path.dirname(os.path.abspath(__file__))
        subprocess.run(["cc", "-O2", "-static", "-o", floor, f"{here}/floor.c"], check=True)
        print("| target | what | measured | wanted | met |\n|---|---|---|---|---|")
        start([t for t in ("protocol-parse", "protocol-print", "spore-send", "spore-recv", "swarm-assign", "worktree-spawn", "worktree-reap") if shutil.which(t)], max(count, 50))
        for kind in given.fs.split(","):
            where = f"{work}/{kind}"
            os.mkdir(where)
            image = f"{work}/{kind}.img"
            if kind == "tmpfs":
                mount = ["mount", "-t", "tmpfs", "tmpfs", where]
            else:
                subprocess.run(["truncate", "-s", "3G", image], check=True)
                # Room for some hundred thousand files.
                inodes = ["-N", "600000"] if kind == "ext4" else []
                subprocess.run([f"mkfs.{kind}", "-q", *inodes, image], check=True)
                mount = ["mount", "-o", "loop", image, where]
            if os.geteuid() != 0 or subprocess.run(mount).returncode != 0:
                print(f"mailboxes: cannot mount {kind} here: left out", file=sys.stderr)
                continue
            try:
                place = Place(kind, where, floor)
                one_send(place, count)
                if given.in_process and kind != "tmpfs":
                    small = {"SPORE_BENCH_DEPTH": "1000", "SPORE_BENCH_PAIRS": "20"} if given.quick else {}
                    environment = dict(place.env, SPORE_BENCH_DIR=where, SPORE_BENCH_KIND=kind, **small)
                    subprocess.run([given.in_process], env=environment, check=True)
                if kind != "tmpfs":
                    batch(place, number)
                    taking(place, (10, 1000, depth), count)
                    broadcast(place, 100, max(5, count // 10))
                    crowd(place, 64, 5 if given.quick else 60)
                    follow(place, count)
                if kind == "ext4":
                    memory(place)
            finally:
                subprocess.run(["umount", where], check=False)


if __name__ == "__main__":
    sys.exit(main())
