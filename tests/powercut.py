#!/usr/bin/env python3
"""Cuts the power under spore-send and counts what is lost.

usage: powercut.py [--rounds N] [--senders N] [--fs ext4,xfs] [--directory DIR]

For each file system: an image file is mounted through a loop device, senders deliver numbered messages and note,
outside the image, every id that spore-send printed before it ended with status 0. Then the file system is shut
down without writing its journal (ioctl FS_IOC_SHUTDOWN, NOLOGFLUSH: what a power cut leaves), mounted again, and
everything is received. Lost: acknowledged and not there. Torn: handed out with other bytes than were sent.
Ends with 0 when nothing was lost and nothing torn, 1 otherwise, 2 when it cannot run here. Needs root.
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


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


def mounted(image, where):
    run("mount", "-o", "loop", image, where)


def one_round(image, where, senders, environment, log_prefix, rng):
    """Send, cut, mount again; gives (acknowledged ids -> text, received id -> text, dead count)."""
    mounted(image, where)
    environment = dict(environment, SPORE_ROOT=os.path.join(where, "root"))
    logs = [f"{log_prefix}.{n}" for n in range(senders)]
    loops = [
        subprocess.Popen(["sh", "-c", SENDER, "sender", str(n), log], env=environment, start_new_session=True)
        for n, log in enumerate(logs)
    ]
    time.sleep(rng.uniform(0.05, 0.4))
    handle = os.open(where, os.O_RDONLY)
    fcntl.ioctl(handle, FS_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
    os.close(handle)
    for loop in loops:
        os.killpg(loop.pid, signal.SIGKILL)
    for loop in loops:
        loop.wait()
    for _ in range(200):
        if subprocess.run(["umount", where], capture_output=True).returncode == 0:
            break
        time.sleep(0.01)
    mounted(image, where)
    acknowledged = {}
    for log in logs:
        if os.path.exists(log):
            for line in open(log):
                parts = line.split()
                if len(parts) == 3:
                    acknowledged[parts[0]] = f"message {parts[1]} {parts[2]}"
    received = {}
    came = subprocess.run(
        ["spore-recv", "--as", "box", "--all", "--json"], env=environment, capture_output=True, text=True
    )
    if came.returncode not in (0, 1):
        raise SystemExit(f"spore-recv ended with {came.returncode}: {came.stderr}")
    for line in came.stdout.splitlines():
        record = json.loads(line)
        received[record["id"]] = record["body"]
    run("umount", where)
    return acknowledged, received


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--senders", type=int, default=4)
    arguments.add_argument("--fs", default="ext4,xfs")
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
    with tempfile.TemporaryDirectory(dir=given.directory) as work:
        for kind in given.fs.split(","):
            image, where = f"{work}/{kind}.img", f"{work}/{kind}"
            os.mkdir(where)
            run("truncate", "-s", "600M", image)
            run(f"mkfs.{kind}", "-q", image)
            mounted(image, where)
            environment = {name: value for name, value in os.environ.items() if not name.startswith("SPORE_")}
            environment["PAD"] = "x" * 900
            create = dict(environment, SPORE_ROOT=f"{where}/root")
            run("spore-send", "--as", "nobody", "--to", "box", "--create", "-m", "first", env=create)
            run("spore-recv", "--as", "box", "--all", "--json", env=create)
            run("sync")
            run("umount", where)
            sent = lost = torn = extra = 0
            for number in range(given.rounds):
                acknowledged, received = one_round(
                    image, where, given.senders, environment, f"{work}/{kind}.{number}", rng
                )
                sent += len(acknowledged)
                for name, text in acknowledged.items():
                    if name not in received:
                        lost += 1
                    elif not received[name].strip().startswith(text + " xxx") or "x" * 900 not in received[name]:
                        torn += 1
                extra += len(set(received) - set(acknowledged))
                if (number + 1) % 50 == 0:
                    print(f"{kind}: {number + 1} cuts, {sent} acknowledged, {lost} lost, {torn} torn", flush=True)
            print(
                f"{kind}: {given.rounds} power cuts, {sent} messages acknowledged, {lost} lost, {torn} torn, "
                f"{extra} more arrived whole whose sender never heard so"
            )
            bad += lost + torn
            if sent == 0:
                print(f"{kind}: nothing was acknowledged, so nothing was tested", file=sys.stderr)
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
