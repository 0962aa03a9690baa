#!/usr/bin/env python3
"""Cuts the power under spore-send and counts what is lost.

usage: powercut.py [--rounds N] [--senders N] [--fs ext4,xfs,btrfs] [--cut log|disk] [--bundles] [--directory DIR]

For each file system: an image file is mounted through a loop device, senders deliver numbered messages and note,
outside the image, every id that spore-send printed before it ended with status 0. Then the power is cut, the image is
mounted again, and everything is received. Lost: acknowledged and not there. Torn: handed out with other bytes than
were sent. Two ways to cut:

log   the file system is shut down without writing its journal (ioctl FS_IOC_SHUTDOWN, NOLOGFLUSH); ext4 and XFS know it
disk  the image lies on an ext4 of its own, and that one is shut down so: every block that was not flushed is lost, as
      from the cache of a disk. For all file systems, and what is done for those that do not know the other way (btrfs)

With --bundles each of them delivers bundles of 40 messages, and a receiver takes them apart all the while, so that the
cut finds bundles half arrived and half taken apart; what it had handed out before the cut is not lost.

A round takes about a second: `--rounds 1000` a quarter of an hour for each file system. A file system that the kernel
or its mkfs does not have is left out, and that is said. Ends with 0 when nothing was lost and nothing torn, 1
otherwise, 2 when it cannot run here. Needs root.
"""

import argparse
import fcntl
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

FS_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), xfs_fs.h and ext4.h
NOLOGFLUSH = 2
SENDER = r"""
i=0
while :; do
    i=$((i + 1))
    id=$(spore-send --as "sender-$1" --to box -m "message $1 $i $PAD" 2>>"$2.err") || continue
    printf '%s %s %s\n' "$id" "$1" "$i" >>"$2"
done
"""
BUNDLES = r"""
i=0
while :; do
    i=$((i + 1))
    seq 40 | sed "s/.*/{\"text\":\"message $1 $i-& $PAD\"}/" |
        spore-send --as "sender-$1" --to box --batch --bundle >"$2.ids" 2>>"$2.err" || continue
    sed = "$2.ids" | sed "N;s/\(.*\)\n\(.*\)/\2 $1 $i-\1/" >"$2.lines"
    cat "$2.lines" >>"$2"
done
"""
RECEIVER = 'while :; do spore-recv --as box --all --json >>"$1" 2>>"$1.err" || sleep 0.01; done'


def run(*command, **options):
    """Runs what must not fail."""
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


class Disk:
    """An image with a file system, and the way its power is cut."""

    def __init__(self, kind, way, work):
        self.kind, self.way = kind, way
        self.where = f"{work}/{kind}"
        os.mkdir(self.where)
        self.image, self.outer = f"{work}/{kind}.img", None
        if way == "disk":
            self.outer, self.outer_image = f"{work}/{kind}.disk", f"{work}/{kind}.disk.img"
            os.mkdir(self.outer)
            run("truncate", "-s", "700M", self.outer_image)
            run("mkfs.ext4", "-q", self.outer_image)
            run("mount", "-o", "loop", self.outer_image, self.outer)
            self.image = f"{self.outer}/image"
            # Every block is written once, as on a disk: then a later write changes data alone.
            with open(self.image, "wb") as file:
                for _ in range(600):
                    file.write(bytes(1 << 20))
        else:
            run("truncate", "-s", "600M", self.image)
        run(f"mkfs.{kind}", "-q", self.image)
        if self.outer:
            run("umount", self.outer)

    def mount(self):
        if self.outer:
            run("mount", "-o", "loop", self.outer_image, self.outer)
        run("mount", "-o", "loop", self.image, self.where)

    def umount(self):
        for where, image in ((self.where, self.image), (self.outer, self.outer and self.outer_image)):
            # Those who were killed let go in their time; a loop device that is still there would be mounted as it is.
            for _ in range(1000):
                if where is None or not os.path.ismount(where) and not run("losetup", "-j", image).stdout:
                    break
                subprocess.run(["umount", where], capture_output=True)
                time.sleep(0.01)
            else:
                raise SystemExit(f"{where} cannot be taken off")

    def cut(self):
        handle = os.open(self.outer or self.where, os.O_RDONLY)
        fcntl.ioctl(handle, FS_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        os.close(handle)


def records(lines):
    """Received id -> text; a last line that the cut left half written does not count."""
    received = {}
    for line in lines:
        if line.endswith("}") and '"body"' in line:
            record = json.loads(line)
            received[record["id"]] = record["body"]
    return received


def one_round(disk, senders, bundles, environment, log_prefix, rng):
    """Send, cut, mount again; gives (acknowledged ids -> text, received id -> text, dead count)."""
    disk.mount()
    environment = dict(environment, SPORE_ROOT=os.path.join(disk.where, "root"))
    logs = [f"{log_prefix}.{n}" for n in range(senders)]
    script = BUNDLES if bundles else SENDER
    commands = [[script, "sender", str(n), log] for n, log in enumerate(logs)]
    handed = f"{log_prefix}.received"
    if bundles:
        commands.append([RECEIVER, "receiver", handed])
    loops = [subprocess.Popen(["sh", "-c", *words], env=environment, start_new_session=True) for words in commands]
    time.sleep(rng.uniform(0.05, 0.4))
    disk.cut()
    for loop in loops:
        os.killpg(loop.pid, signal.SIGKILL)
    for loop in loops:
        loop.wait()
    disk.umount()
    disk.mount()
    acknowledged = {}
    for log in logs:
        if os.path.exists(log):
            for line in open(log):
                parts = line.split()
                if len(parts) == 3:
                    acknowledged[parts[0]] = f"message {parts[1]} {parts[2]}"
    received = records(open(handed).read().splitlines()) if os.path.exists(handed) else {}
    came = subprocess.run(
        ["spore-recv", "--as", "box", "--all", "--json"], env=environment, capture_output=True, text=True
    )
    if came.returncode not in (0, 1):
        raise SystemExit(f"spore-recv ended with {came.returncode}: {came.stderr}")
    received |= records(came.stdout.splitlines())
    # Otherwise a thousand rounds fill the disk, which is another test.
    shutil.rmtree(os.path.join(disk.where, "root/mail/box/done"), ignore_errors=True)
    disk.umount()
    return acknowledged, received


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--senders", type=int, default=4)
    arguments.add_argument("--fs", default="ext4,xfs,btrfs")
    arguments.add_argument("--cut", choices=("log", "disk"), help="how; otherwise log where the file system knows it")
    arguments.add_argument("--bundles", action="store_true", help="bundles, and a receiver that takes them apart")
    arguments.add_argument("--directory", default=None, help="where the image files go")
    given = arguments.parse_args()
    if os.geteuid() != 0:
        print("powercut: needs root, to mount an image and shut it down", file=sys.stderr)
        return 2
    if not shutil.which("spore-send"):
        print("powercut: spore-send is not on the PATH: run `make powercut`", file=sys.stderr)
        return 2
    rng = random.Random(1)
    bad = 0
    rows = []
    known = open("/proc/filesystems").read().split()
    with tempfile.TemporaryDirectory(dir=given.directory) as work:
        for kind in given.fs.split(","):
            if kind not in known or not shutil.which(f"mkfs.{kind}"):
                print(f"powercut: {kind} LEFT OUT: no mkfs.{kind}, or not in this kernel", file=sys.stderr)
                continue
            way = given.cut or ("log" if kind in ("ext4", "xfs") else "disk")
            disk = Disk(kind, way, work)
            disk.mount()
            environment = {name: value for name, value in os.environ.items() if not name.startswith("SPORE_")}
            environment["PAD"] = "x" * 900
            create = dict(environment, SPORE_ROOT=f"{disk.where}/root")
            run("spore-send", "--as", "nobody", "--to", "box", "--create", "-m", "first", env=create)
            run("spore-recv", "--as", "box", "--all", "--json", env=create)
            run("sync")
            disk.umount()
            sent = lost = torn = extra = 0
            begin = time.monotonic()
            for number in range(given.rounds):
                acknowledged, received = one_round(
                    disk, given.senders, given.bundles, environment, f"{work}/{kind}.{number}", rng
                )
                sent += len(acknowledged)
                for name, text in acknowledged.items():
                    if name not in received:
                        lost += 1
                    elif f"{text} {environment['PAD']}" not in received[name]:
                        torn += 1
                extra += len(set(received) - set(acknowledged))
                if (number + 1) % 50 == 0:
                    print(f"{kind}: {number + 1} cuts, {sent} acknowledged, {lost} lost, {torn} torn", flush=True)
            print(
                f"{kind}: {given.rounds} power cuts, {sent} messages acknowledged, {lost} lost, {torn} torn, "
                f"{extra} more arrived whole whose sender never heard so ({time.monotonic() - begin:.0f} s)",
                flush=True,
            )
            rows.append(f"| {kind} | {way} | {given.rounds} | {sent:,} | {lost} | {torn} |")
            bad += lost + torn
            if sent == 0:
                print(f"{kind}: nothing was acknowledged, so nothing was tested", file=sys.stderr)
                bad += 1
    print("\n| file system | cut | cuts | messages acknowledged | lost | torn handed out |\n|---|---|---|---|---|---|")
    print("\n".join(rows))
    return 1 if bad or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
