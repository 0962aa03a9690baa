"""Measures worktree-spawn beside `git worktree add` in turn, several at a time (`xargs -P`), and, where
they are in PATH or in the directory SPORE_PEERS, worktrunk (`wt`) and git-sprout:
`cargo install --root DIR git-sprout`, `cargo install --root DIR --locked worktrunk`
(`--version 0.67.0` with Rust 1.95), then SPORE_PEERS=DIR/bin.

Each measurement has a fresh copy of the same image, mounted for it, with the repository's files warm;
the repository is made here, the same bytes every time. Ratios are to git in turn on the same file system.
A Markdown table goes to standard output. About 5 minutes for each file system with 40,000 files and 32
trees; `--what small` takes half a minute, `--files 5000 --trees 8` one."""

import argparse
import contextlib
import fcntl
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ENV = dict(
    os.environ, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null", LC_ALL="C",
    GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@example.org", GIT_AUTHOR_DATE="@0 +0000",
    GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@example.org", GIT_COMMITTER_DATE="@0 +0000",
)
if "SPORE_PEERS" in ENV:
    ENV["PATH"] += os.pathsep + ENV["SPORE_PEERS"]
PEERS = [("worktrunk", "wt"), ("git-sprout", "git-sprout")]
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
        for name in os.listdir(self.top):
            if name not in ("app", "lost+found"):
                shutil.rmtree(os.path.join(self.top, name))
        shutil.rmtree(os.path.join(self.app, ".git/worktrees"), ignore_errors=True)
        listed = run("git", "for-each-ref", "--format=delete %(refname)", "refs/heads/swarm", "refs/heads/w", "refs/spore", cwd=self.app)
        run("git", "update-ref", "--stdin", cwd=self.app, stdin=listed)

    def warm(self):
        run("git", "status", "--porcelain", cwd=self.app)
        run("sh", "-c", "cat .git/objects/pack/* >/dev/null; find . -type f -print0 | xargs -0 cat >/dev/null", cwd=self.app)

    def in_turn(self, count):
        for n in range(count):
            run("git", "worktree", "add", "-q", "--no-track", "-b", f"w/{n}", f"../trees/{n}", "main", cwd=self.app)

    def at_once(self, count, processes):
        numbers = "\n".join(map(str, range(count))).encode()
        add = "git worktree add -q --no-track -b w/{} ../trees/{} main"
        run("xargs", "-P", str(processes), "-I{}", "sh", "-c", add, cwd=self.app, stdin=numbers)

    def worktrunk(self, count):
        for n in range(count):
            run("wt", "switch", "--create", f"w/{n}", "--base", "main", "--no-cd", "--yes", cwd=self.app)

    def sprout(self, count):
        os.makedirs(os.path.join(self.top, "trees"), exist_ok=True)
        for n in range(count):
            run("git-sprout", "add", "-b", f"w/{n}", f"../trees/{n}", "main", cwd=self.app)

    def ours(self, count):
        run("worktree-spawn", "-q", "-n", str(count), cwd=self.app)

    def tree(self):
        """One of the trees that were made last."""
        listed = run("git", "worktree", "list", "--porcelain", cwd=self.app).decode().split("\n\n")
        return listed[1].split("\n")[0].removeprefix("worktree ")


class Disk:
    """A file system of a kind, made anew from the same image for each measurement; a directory where
    nothing can be mounted."""

    def __init__(self, kind, place, room):
        self.kind, self.place = kind, place
        self.image, self.copy = os.path.join(place, "image"), os.path.join(place, "copy")
        self.top = os.path.join(place, "mnt")
        os.makedirs(self.top)
        if kind != "here":
            with open(self.image, "wb") as file:
                file.truncate(room << 30)
            options = {"xfs": ["-m", "reflink=1"], "ext4": ["-E", "lazy_itable_init=0,lazy_journal_init=0"]}
            subprocess.run([f"mkfs.{kind}", "-q", *options.get(kind, []), self.image], check=True, capture_output=True)

    @contextlib.contextmanager
    def mounted(self, image):
        if self.kind != "here":
            subprocess.run(["mount", "-o", "loop", image, self.top], check=True)
        try:
            yield Ground(self.top)
        finally:
            if self.kind != "here":
                subprocess.run(["umount", self.top], check=True)

    def fill(self, files, size):
        with self.mounted(self.image) as ground:
            repository(ground.app, files, size)

    @contextlib.contextmanager
    def fresh(self):
        if self.kind == "here":
            ground = Ground(self.top)
            ground.clear()
            ground.warm()
            yield ground
            return
        subprocess.run(["cp", "--reflink=auto", "--sparse=always", self.image, self.copy], check=True)
        try:
            with self.mounted(self.copy) as ground:
                ground.warm()
                yield ground
        finally:
            os.remove(self.copy)


def data(top):
    """Bytes of file data below `top` on disk (FIEMAP), and those of them that it shares with nobody."""
    own = whole = 0
    for place, dirs, files in os.walk(top):
        dirs[:] = [name for name in dirs if name != ".git"]
        for name in files:
            path = os.path.join(place, name)
            if os.path.islink(path):
                continue
            asked = bytearray(struct.pack("=QQIIII", 0, 2**64 - 1, 1, 0, 64, 0) + bytes(64 * 56))
            with open(path, "rb") as file:
                fcntl.ioctl(file, 0xC020660B, asked)
            for n in range(struct.unpack_from("=I", asked, 20)[0]):
                length, flags = struct.unpack_from("=16xQ16xI", asked, 32 + n * 56)
                whole += length
                own += 0 if flags & 0x2000 else length
    return own, whole


def measure(work, ground):
    before = ground.used()
    seconds = timed(work)
    taken = ground.used() - before
    tree = ground.tree()
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


def peers():
    """Those that are here, each with what it does; of the others it is said that they are not."""
    makes = {"worktrunk": Ground.worktrunk, "git-sprout": Ground.sprout}
    for name, command in PEERS:
        if shutil.which(command, path=ENV["PATH"]):
            yield name, makes[name]
        else:
            print(f"{name} ({command}) is neither in PATH nor in SPORE_PEERS: not measured", file=sys.stderr)


def beside_peers(disk, count, files):
    """A few trees by those who make one after the other, and by us."""
    base = None
    for name, make in [("git in turn", Ground.in_turn), *peers(), ("**worktree-spawn**", Ground.ours)]:
        with disk.fresh() as ground:
            seconds, _, taken = measure(lambda: make(ground, count), ground)
        base = base or seconds
        row(f"{disk.kind}, {count} trees of {files} files", name, f"{seconds:.2f} s, {taken >> 20} MiB", f"{seconds / base:.2f}", "")


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def against(value, target):
    return f"{target}: {'yes' if value <= target else '**no**'}"


def large(disk, args):
    kind = disk.kind
    disk.fill(args.files, args.size)
    what = f"{kind}, {args.trees} trees of {args.files} files"
    with disk.fresh() as ground:
        base, base_status, base_bytes = measure(lambda: ground.in_turn(args.trees), ground)
    row(what, "git in turn", f"{base:.1f} s", "1", "")
    row("", "first `git status`", f"{base_status * 1000:.0f} ms", "1", "")
    row("", "disk", f"{base_bytes >> 20} MiB", "1", "")
    best = base
    others = [(f"xargs -P {n}", lambda ground, n=n: ground.at_once(args.trees, n)) for n in args.processes]
    for name, work in others:
        with disk.fresh() as ground:
            seconds, _, taken = measure(lambda: work(ground), ground)
        if name.startswith("xargs"):
            best = min(best, seconds)
        row("", name, f"{seconds:.1f} s, {taken >> 20} MiB", f"{seconds / base:.2f}", "")
    with disk.fresh() as ground:
        seconds, status, taken = measure(lambda: ground.ours(args.trees), ground)
        row("", "**worktree-spawn**", f"{seconds:.1f} s", f"{seconds / base:.2f}", against(seconds / base, 0.42))
        row("", "the same to the best xargs", "", f"{seconds / best:.2f}", against(seconds / best, 0.6))
        row("", "first `git status`", f"{status * 1000:.0f} ms", f"{status / base_status:.2f}", against(status / base_status, 0.35))
        shares = kind in ("xfs", "btrfs")
        row("", "disk", f"{taken >> 20} MiB", f"{taken / base_bytes:.3f}", against(taken / base_bytes, 0.02) if shares else "")
        if shares:
            own, whole = data(ground.tree())
            share = own / max(whole, 1)
            row("", "of one tree's file data, its own", f"{own >> 10} of {whole >> 10} KiB", f"{share:.3f}", against(share, 0.02))
        trees = os.path.join(ground.top, "app.swarm/wt")
        for name in os.listdir(trees):
            if os.path.isdir(os.path.join(trees, name)):
                for n in range(3):
                    open(os.path.join(trees, name, f"new{n}"), "w").close()
        times = [timed(lambda: run("worktree-spawn", "--list", "--json", cwd=ground.app)) for _ in range(3)]
        listed = statistics.median(times)
        row("", f"--list of {args.trees}, all dirty", f"{listed:.2f} s", "", against(listed, 1))
    beside_peers(disk, args.peer_trees, args.files)
    with disk.fresh() as ground:
        git, ours, ratio = pairs(ground, 3)
    row(f"{kind}, 1 tree of {args.files} files", "worktree-spawn", f"{ours * 1000:.0f} ms to {git * 1000:.0f} ms", f"{ratio:.2f}", against(ratio, 1.0))


def small(disk):
    kind = disk.kind
    disk.fill(300, 4000)
    with disk.fresh() as ground:
        git, ours, ratio = pairs(ground, 21)
        row(f"{kind}, 1 tree of 300 files", "worktree-spawn", f"{ours * 1000:.0f} ms to {git * 1000:.0f} ms", f"{ratio:.2f}", against(ratio, 1.0))
    with disk.fresh() as ground:
        base, base_status, _ = measure(lambda: ground.in_turn(32), ground)
    with disk.fresh() as ground:
        seconds, status, _ = measure(lambda: ground.ours(32), ground)
    row(f"{kind}, 32 trees of 300 files", "worktree-spawn", f"{seconds:.2f} s to {base:.2f} s", f"{seconds / base:.2f}", against(seconds / base, 1.0))
    row("", "first `git status`", f"{status * 1000:.0f} ms to {base_status * 1000:.0f} ms", f"{status / base_status:.2f}", "")
    beside_peers(disk, 8, 300)


def main():
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--files", type=int, default=40000)
    parser.add_argument("--size", type=int, default=4000, help="bytes of a file, on average")
    parser.add_argument("--trees", type=int, default=32)
    parser.add_argument("--peer-trees", type=int, default=4, help="large trees that peers make")
    parser.add_argument("--processes", type=int, nargs="*", default=[os.cpu_count() * 2])
    parser.add_argument("--room", type=int, default=24, help="GiB of an image (sparse)")
    parser.add_argument("--what", choices=["all", "small", "large"], default="all")
    parser.add_argument("kinds", nargs="*", default=["ext4", "xfs"] if os.geteuid() == 0 else ["here"])
    args = parser.parse_args()
    if os.geteuid() != 0 and args.kinds != ["here"]:
        sys.exit("mounting needs root; without it: worktrees.sh here")
    row("what", "by", "measured", "ratio to git in turn", "target, met")
    row(*["---"] * 5)
    for kind in args.kinds:
        for name, work in [("small", small), ("large", lambda disk: large(disk, args))]:
            if args.what in ("all", name):
                place = tempfile.mkdtemp(prefix="worktrees-")
                try:
                    work(Disk(kind, place, args.room))
                finally:
                    shutil.rmtree(place, ignore_errors=True)


main()
