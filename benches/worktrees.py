"""Measures worktree-spawn beside `git worktree add` in turn and several at a time (`xargs -P`).

Each file system is a fresh image, mounted for this run; the repository is made here, the same bytes
every time. Ratios are to git in turn on the same file system. Figures go to standard output as a table."""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ENV = dict(
    os.environ, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null", LC_ALL="C",
    GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@example.org", GIT_AUTHOR_DATE="@0 +0000",
    GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@example.org", GIT_COMMITTER_DATE="@0 +0000",
)
for name in [name for name in ENV if name.startswith("SPORE_")]:
    del ENV[name]


def run(*args, cwd, stdin=None):
    done = subprocess.run(args, cwd=cwd, env=ENV, input=stdin, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{args}: {done.returncode}\n{done.stderr.decode()}")
    return done.stdout


def timed(work):
    os.sync()
    start = time.monotonic()
    work()
    return time.monotonic() - start


def repository(top, files, size):
    """A repository of `files` files in directories of about 13, of `size` bytes on average."""
    os.makedirs(top)
    run("git", "init", "-q", "-b", "main", cwd=top)
    draw = random.Random(20261126)
    out = [b"commit refs/heads/main\ncommitter a <a@example.org> 0 +0000\ndata 5\nfirst\n"]
    for number in range(files):
        line = f"line of file {number}: {draw.getrandbits(64):016x} {draw.getrandbits(64):016x}\n".encode()
        text = line * max(1, int(draw.expovariate(1 / size) / len(line)))
        path = f"part{number // 1300:02}/dir{number // 13 % 100:02}/file{number:05}.c".encode()
        out.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(text), text))
    run("git", "fast-import", "--quiet", cwd=top, stdin=b"".join(out))
    run("git", "reset", "-q", "--hard", cwd=top)
    # Older than the second of the index, as any checkout that one works in.
    time.sleep(2.1)
    run("git", "update-index", "-q", "--really-refresh", cwd=top)
    run("git", "commit", "-q", "--allow-empty", "-m", "second", cwd=top)


class Ground:
    def __init__(self, top):
        self.top = top
        self.app = os.path.join(top, "app")

    def used(self):
        os.sync()
        disk = os.statvfs(self.top)
        return (disk.f_blocks - disk.f_bfree) * disk.f_frsize

    def clear(self):
        for name in ["app.swarm", "trees"]:
            shutil.rmtree(os.path.join(self.top, name), ignore_errors=True)
        run("git", "worktree", "prune", cwd=self.app)
        shutil.rmtree(os.path.join(self.app, ".git/worktrees"), ignore_errors=True)
        listed = run("git", "for-each-ref", "--format=delete %(refname)", "refs/heads/swarm", "refs/heads/w", "refs/spore", cwd=self.app)
        run("git", "update-ref", "--stdin", cwd=self.app, stdin=listed)

    def in_turn(self, count):
        for n in range(count):
            run("git", "worktree", "add", "-q", "--no-track", "-b", f"w/{n}", f"../trees/{n}", "main", cwd=self.app)

    def at_once(self, count, processes):
        numbers = "\n".join(map(str, range(count))).encode()
        add = "git worktree add -q --no-track -b w/{} ../trees/{} main"
        run("xargs", "-P", str(processes), "-I{}", "sh", "-c", add, cwd=self.app, stdin=numbers)

    def ours(self, count):
        run("worktree-spawn", "-q", "-n", str(count), cwd=self.app)

    def tree(self, ours):
        return os.path.join(self.top, "app.swarm/wt/kiro-1" if ours else "trees/0")


def measure(work, ground, ours):
    ground.clear()
    before = ground.used()
    seconds = timed(work)
    taken = ground.used() - before
    tree = ground.tree(ours)
    status = timed(lambda: run("git", "--no-optional-locks", "status", "--porcelain", cwd=tree))
    if run("git", "status", "--porcelain", cwd=tree):
        sys.exit(f"{tree} is not clean")
    return seconds, status, taken


def pairs(ground, rounds):
    """N = 1, interleaved: the median of each, and of the ratios."""
    git, ours = [], []
    for _ in range(rounds):
        ground.clear()
        git.append(timed(lambda: ground.in_turn(1)))
        ground.clear()
        ours.append(timed(lambda: ground.ours(1)))
    ratios = [b / a for a, b in zip(git, ours)]
    return statistics.median(git), statistics.median(ours), statistics.median(ratios)


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def large(kind, top, args):
    ground = Ground(top)
    repository(ground.app, args.files, args.size)
    base, base_status, base_bytes = measure(lambda: ground.in_turn(args.trees), ground, False)
    what = f"{kind}, {args.trees} trees of {args.files} files"
    row(what, "git in turn", f"{base:.1f} s", "1", f"{base_status * 1000:.0f} ms", f"{base_bytes >> 20} MiB")
    best = None
    for processes in args.processes:
        seconds, status, taken = measure(lambda: ground.at_once(args.trees, processes), ground, False)
        best = min(seconds, best or seconds)
        row(what, f"xargs -P {processes}", f"{seconds:.1f} s", f"{seconds / base:.2f}", f"{status * 1000:.0f} ms", f"{taken >> 20} MiB")
    seconds, status, taken = measure(lambda: ground.ours(args.trees), ground, True)
    against = f"{seconds / base:.2f}" + (f", {seconds / best:.2f} of the best xargs" if best else "")
    row(what, "worktree-spawn", f"{seconds:.1f} s", against, f"{status * 1000:.0f} ms ({status / base_status:.2f})",
        f"{taken >> 20} MiB ({taken / base_bytes:.3f})")
    trees = os.path.join(top, "app.swarm/wt")
    for name in os.listdir(trees):
        if os.path.isdir(os.path.join(trees, name)):
            for n in range(3):
                open(os.path.join(trees, name, f"new{n}"), "w").close()
    times = [timed(lambda: run("worktree-spawn", "--list", "--json", cwd=ground.app)) for _ in range(3)]
    row(what, "--list, all dirty", f"{statistics.median(times):.2f} s", "", "", "")
    git, ours, ratio = pairs(ground, 3)
    row(f"{kind}, 1 tree of {args.files} files", "worktree-spawn", f"{ours * 1000:.0f} ms", f"{ratio:.2f} of {git * 1000:.0f} ms", "", "")


def small(kind, top):
    ground = Ground(top)
    repository(ground.app, 300, 4000)
    git, ours, ratio = pairs(ground, 21)
    row(f"{kind}, 1 tree of 300 files", "worktree-spawn", f"{ours * 1000:.0f} ms", f"{ratio:.2f} of {git * 1000:.0f} ms", "", "")
    base, base_status, _ = measure(lambda: ground.in_turn(32), ground, False)
    seconds, status, _ = measure(lambda: ground.ours(32), ground, True)
    row(f"{kind}, 32 trees of 300 files", "worktree-spawn", f"{seconds:.2f} s", f"{seconds / base:.2f} of {base:.2f} s", f"{status * 1000:.0f} ms ({status / base_status:.2f})", "")


def on(kind, args):
    """A mounted file system of that kind; the temporary directory where nothing can be mounted."""
    place = tempfile.mkdtemp(prefix="worktrees-")
    image, top = os.path.join(place, "image"), os.path.join(place, "mnt")
    os.mkdir(top)
    mounted = False
    try:
        if kind != "here":
            with open(image, "wb") as file:
                file.truncate(args.room << 30)
            subprocess.run([f"mkfs.{kind}", "-q", image], check=True, capture_output=True)
            subprocess.run(["mount", "-o", "loop", image, top], check=True)
            mounted = True
        if args.what in ("all", "small"):
            small(kind, os.path.join(top, "small"))
        if args.what in ("all", "large"):
            large(kind, os.path.join(top, "large"), args)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", top], check=False)
        shutil.rmtree(place, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=40000)
    parser.add_argument("--size", type=int, default=4000, help="bytes of a file, on average")
    parser.add_argument("--trees", type=int, default=32)
    parser.add_argument("--processes", type=int, nargs="*", default=[2, 8])
    parser.add_argument("--room", type=int, default=24, help="GiB of an image (sparse)")
    parser.add_argument("--what", choices=["all", "small", "large"], default="all")
    parser.add_argument("kinds", nargs="*", default=["ext4", "xfs"] if os.geteuid() == 0 else ["here"])
    args = parser.parse_args()
    if os.geteuid() != 0 and args.kinds != ["here"]:
        sys.exit("mounting needs root; without it: worktrees.sh here")
    print("## Worktrees\n")
    row("what", "by", "time", "ratio", "first `git status`", "disk")
    row(*["---"] * 6)
    for kind in args.kinds:
        on(kind, args)


main()
