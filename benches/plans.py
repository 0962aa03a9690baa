#!/usr/bin/env python3
"""Whole commands, from text to plan: medians of interleaved runs. `make -j` stands beside ours where it can do the same."""
import json
import os
import random
import resource
import statistics
import subprocess
import tempfile
import time


def lines(count, per_task, path):
    """Our Task lines: each task waits for up to `per_task` of the 5000 before it."""
    rng = random.Random(42)
    with open(path, "w") as file:
        for task in range(count):
            before = {rng.randrange(max(0, task - 5000), task) for _ in range(per_task)} if task else set()
            names = ",".join(f'"t{b}"' for b in sorted(before))
            minutes = rng.randint(1, 30)
            file.write(f'{{"id":"t{task}","description":"work {task}","estimated_duration":"PT{minutes}M","dependencies":[{names}]}}\n')


def kiro(count, path):
    with open(path, "w") as file:
        file.write("# Implementation Plan\n\n")
        for task in range(1, count + 1):
            file.write(f"- [ ] {task}. Do part {task}\n  - Write src/part{task % 17}.rs\n  - _Requirements: 1.{task}_\n")
            if task > 3 and task % 2:
                file.write(f"  - _Depends on: {task - 3}_\n")


def timed(args, runs):
    times, peak = [], 0
    for _ in range(runs):
        begin = time.perf_counter()
        child = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        times.append(time.perf_counter() - begin)
        peak = max(peak, usage.ru_maxrss // 1024)
        assert status == 0, args
    return statistics.median(times), peak


def show(what, seconds, peak, target, limit):
    shown = f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
    met = "" if limit is None else "yes" if seconds <= limit[0] and peak <= limit[1] else "**no**"
    print(f"| {what} | {shown} | {peak or '-'} MB | {target} | {met} |")


def row(what, args, target, limit=None, runs=7):
    seconds, peak = timed(args, runs)
    show(what, seconds, peak, target, limit)


with tempfile.TemporaryDirectory() as directory:
    os.chdir(directory)
    kiro(60, "tasks.md")
    lines(100, 3, "hundred.jsonl")
    lines(1000, 5, "thousand.jsonl")
    lines(100_000, 10, "many.jsonl")
    print("| from text to plan | median | peak | target | met |\n|---|---|---|---|---|")
    row("`/bin/true`", ["true"], "", None, 21)
    row("tasks.md of 60 tasks, effort 0", ["swarm-assign", "plan", "tasks.md", "-n", "4", "--effort", "0", "--json"], "5 ms", (0.005, 1 << 20), 21)
    row("what-if 1..16 on 100 tasks", ["swarm-assign", "what-if", "1..16", "hundred.jsonl"], "100 ms", (0.1, 1 << 20))
    row("100,000 tasks, 1 M edges, TSV", ["swarm-assign", "plan", "many.jsonl", "-n", "8", "--tsv"], "0.40 s, 300 MB", (0.4, 300), 3)
    if os.environ.get("MILLION"):
        lines(1_000_000, 5, "million.jsonl")
        row("1,000,000 tasks, 5 M edges, TSV", ["swarm-assign", "plan", "million.jsonl", "-n", "8", "--tsv"], "3 s", (3, 1 << 20), 1)
    os.environ["SPORE_ROOT"] = os.path.join(directory, "x.swarm")
    subprocess.run(["swarm-assign", "plan", "thousand.jsonl", "-n", "8", "--adopt", "--tsv"], check=True, stdout=subprocess.DEVNULL)
    row("`next --dry-run` on a plan of 1,000", ["swarm-assign", "next", "--agent", "kiro-1", "--dry-run"], "20 ms", (0.02, 1 << 20), 21)
    times = []
    for number in range(21):
        begin = time.perf_counter()
        done = subprocess.run(["swarm-assign", "next", "--agent", f"kiro-{number % 8 + 1}"], capture_output=True, text=True)
        times.append(time.perf_counter() - begin)
        if done.returncode == 0:
            task = json.loads(done.stdout)
            subprocess.run(["swarm-assign", "done", task["id"], "--agent", task["assigned_instance"]], check=True)
    show("`next` on a plan of 1,000, claim on disk", statistics.median(times), 0, "20 ms", (0.02, 0))
