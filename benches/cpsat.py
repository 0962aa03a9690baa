#!/usr/bin/env python3
"""OR-Tools CP-SAT under the same effort as our default (and 20 times that), on every 24th STG row and all lock cases."""
import csv
import pathlib
import sys
import time

from ortools.sat.python import cp_model

directory = pathlib.Path(sys.argv[1])


def graph(path):
    rows = [list(map(int, line.split())) for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [(row[1], row[3:]) for row in rows[1:]]


def solve(tasks, machines, locks, seconds):
    model = cp_model.CpModel()
    horizon = sum(duration for duration, _ in tasks)
    start = [model.new_int_var(0, horizon, "") for _ in tasks]
    intervals = [model.new_fixed_size_interval_var(s, duration, "") for s, (duration, _) in zip(start, tasks)]
    for task, (_, before) in enumerate(tasks):
        for other in before:
            model.add(start[task] >= start[other] + tasks[other][0])
    real = [i for i, (duration, _) in zip(intervals, tasks) if duration]
    model.add_cumulative(real, [1] * len(real), machines)
    for users in locks.values():
        model.add_no_overlap([intervals[task] for task in users if tasks[task][0]])
    end = model.new_int_var(0, horizon, "")
    for s, (duration, _) in zip(start, tasks):
        model.add(end >= s + duration)
    model.minimize(end)
    solver = cp_model.CpSolver()
    # Its own count of work, so that load does not matter; about seconds of one core.
    solver.parameters.max_deterministic_time = seconds
    solver.parameters.max_time_in_seconds = 60 * seconds
    solver.parameters.num_workers = 1
    begin = time.perf_counter()
    status = solver.solve(model)
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    return solver.objective_value if found else None, time.perf_counter() - begin


def table(name):
    with open(directory / name, newline="") as file:
        return list(csv.reader(file, delimiter="\t"))[1:]


cases = {"STG": [], "locks": []}
for row in table("stg-optima.tsv")[::24]:
    cases["STG"].append((graph(directory / row[0]), int(row[1]), {}, int(row[2])))
for row in table("locks-optima.tsv"):
    locks = {}
    for line in (directory / row[0]).read_text().splitlines():
        task, *held = map(int, line.split())
        for lock in held:
            locks.setdefault(lock, []).append(task)
    cases["locks"].append((graph(directory / row[1]), int(row[2]), locks, int(row[3])))
print("| CP-SAT, one thread | rows | no plan at all | mean gap of the rest | at best |\n|---|---|---|---|---|")
for name, rows in cases.items():
    for seconds in (0.05, 1.0):
        gaps, none = [], 0
        for tasks, machines, locks, best in rows:
            value, _ = solve(tasks, machines, locks, seconds)
            if value is None:
                none += 1
            else:
                gaps.append(value / best - 1)
        mean = f"{100 * sum(gaps) / len(gaps):.3f} %" if gaps else "-"
        print(f"| {name}, {seconds} s | {len(rows)} | {none} | {mean} | {sum(g <= 0 for g in gaps)} |")
