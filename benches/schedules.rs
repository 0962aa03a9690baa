//! Quality and speed of the scheduling core: `cargo bench --bench schedules -- DIR [--quick]`.
//!
//! DIR holds `stg-optima.tsv` and `stg/` (Standard Task Graph files), `locks-optima.tsv` and `locks/`
//! (`task lock…` lines for such a graph), and `psplib-j30/` (PSPLIB `.sm` files with `optima.tsv`).
//! Prints a table of the gap to the best known makespan for round robin, waves, file order
//! (`make -j`), and our plans at several efforts; then how long generated graphs of up to a million
//! tasks take. `--quick` takes every eighth row and no graph above 100,000 tasks. Without DIR only
//! the speed is measured. Ends with status 1 if a target is missed.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit, missing_docs)]

use std::path::Path;
use std::time::{Duration, Instant};

use sporekit::assign::{Effort, Input, Machine, Problem, Schedule, Use, priorities, solve};

struct Case {
    name: String,
    input: Input,
    best: u64,
    proved: bool,
}

fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace()
        .filter_map(|w| w.parse().ok())
        .collect()
}

/// A second of schedule for each unit of the files, so that durations look like real ones.
const UNIT: u64 = 1000;

fn stg(path: &Path, machines: usize) -> Input {
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<u64>> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(numbers)
        .filter(|row| !row.is_empty())
        .collect();
    let mut input = Input {
        machines: vec![Machine::PLAIN; machines],
        ..Input::default()
    };
    for row in &rows[1..] {
        input.durations.push(row[1] * UNIT);
        for &before in &row[3..] {
            input.edges.push((before as u32, row[0] as u32));
        }
    }
    input
}

fn table(path: &Path) -> Vec<Vec<String>> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Vec::new();
    };
    let rows = text.lines().skip(1);
    rows.map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

fn stg_cases(dir: &Path) -> Vec<Case> {
    let rows = table(&dir.join("stg-optima.tsv"));
    rows.iter()
        .map(|row| Case {
            name: format!("{} m={}", row[0], row[1]),
            input: stg(&dir.join(&row[0]), row[1].parse().unwrap()),
            best: row[2].parse::<u64>().unwrap() * UNIT,
            proved: row[4] == "optimal",
        })
        .collect()
}

fn lock_cases(dir: &Path) -> Vec<Case> {
    let rows = table(&dir.join("locks-optima.tsv"));
    rows.iter()
        .map(|row| {
            let mut input = stg(&dir.join(&row[1]), row[2].parse().unwrap());
            for line in std::fs::read_to_string(dir.join(&row[0])).unwrap().lines() {
                let words = numbers(line);
                for &lock in words.iter().skip(1) {
                    let lock = lock as u32;
                    if lock as usize >= input.capacities.len() {
                        input.capacities.resize(lock as usize + 1, 1);
                    }
                    input.uses.push(Use {
                        task: words[0] as u32,
                        resource: lock,
                        amount: 1,
                    });
                }
            }
            Case {
                name: row[0].clone(),
                input,
                best: row[3].parse::<u64>().unwrap() * UNIT,
                proved: row[5] == "optimal",
            }
        })
        .collect()
}

fn pool_cases(dir: &Path) -> Vec<Case> {
    let dir = dir.join("psplib-j30");
    let rows = table(&dir.join("optima.tsv"));
    rows.iter()
        .map(|row| Case {
            name: row[0].clone(),
            input: psplib(&dir.join(row[0].rsplit('/').next().unwrap())),
            best: row[1].parse::<u64>().unwrap() * UNIT,
            proved: true,
        })
        .collect()
}

fn psplib(path: &Path) -> Input {
    let text = std::fs::read_to_string(path).unwrap();
    let mut input = Input::default();
    let mut section = "";
    for line in text.lines() {
        let words = numbers(line);
        if line.starts_with("PRECEDENCE")
            || line.starts_with("REQUESTS")
            || line.starts_with("RESOURCEAVAIL")
        {
            section = &line[..8];
        } else if section == "PRECEDEN" && words.len() >= 3 {
            for &next in &words[3..] {
                input.edges.push((words[0] as u32 - 1, next as u32 - 1));
            }
        } else if section == "REQUESTS" && words.len() >= 7 {
            for (resource, &amount) in words[3..].iter().enumerate() {
                if amount > 0 {
                    input.uses.push(Use {
                        task: words[0] as u32 - 1,
                        resource: resource as u32,
                        amount: amount as u32,
                    });
                }
            }
            input.durations.push(words[2] * UNIT);
        } else if section == "RESOURCE" && words.len() == 4 {
            input.capacities = words.iter().map(|&w| w as u32).collect();
        }
    }
    input.machines = vec![Machine::PLAIN; input.durations.len()];
    input
}

/// What a method makes of a case, and how long it took.
type Method = fn(&Case) -> (u64, Duration);

fn planned(case: &Case, millis: u64) -> (u64, Duration) {
    let input = case.input.clone();
    let begin = Instant::now();
    let problem = Problem::new(input).unwrap();
    let solution = solve(&problem, Effort::millis(millis), &mut || false);
    let took = begin.elapsed();
    problem.check(&solution.schedule).unwrap();
    assert!(
        solution.bound.value <= case.best,
        "{}: bound {} above {}",
        case.name,
        solution.bound.value,
        case.best
    );
    assert!(
        !case.proved || solution.makespan >= case.best,
        "{}: better than the optimum",
        case.name
    );
    (solution.makespan, took)
}

fn topological(input: &Input) -> (Vec<usize>, Vec<usize>) {
    let count = input.durations.len();
    let mut waits = vec![0; count];
    let mut after = vec![Vec::new(); count];
    for &(a, b) in &input.edges {
        waits[b as usize] += 1;
        after[a as usize].push(b as usize);
    }
    let mut level = vec![0; count];
    let mut order: Vec<usize> = (0..count).filter(|&t| waits[t] == 0).collect();
    let mut done = 0;
    while done < order.len() {
        let task = order[done];
        done += 1;
        for &next in &after[task] {
            level[next] = level[next].max(level[task] + 1);
            waits[next] -= 1;
            if waits[next] == 0 {
                order.push(next);
            }
        }
    }
    (order, level)
}

/// The original system: tasks dealt out in turn in topological order, each instance working off its
/// list and waiting where it must.
fn round_robin(case: &Case) -> (u64, Duration) {
    let begin = Instant::now();
    let (order, _) = topological(&case.input);
    let mut before = vec![Vec::new(); order.len()];
    for &(a, b) in &case.input.edges {
        before[b as usize].push(a as usize);
    }
    let mut free = vec![0; case.input.machines.len()];
    let mut locks = vec![0; case.input.capacities.len()];
    let mut uses = vec![Vec::new(); order.len()];
    for usage in &case.input.uses {
        uses[usage.task as usize].push(usage.resource as usize);
    }
    let mut finish = vec![0u64; order.len()];
    for (place, &task) in order.iter().enumerate() {
        let machine = place % free.len();
        let ready = before[task].iter().map(|&b| finish[b]).max().unwrap_or(0);
        let locked = uses[task].iter().map(|&r| locks[r]).max().unwrap_or(0);
        finish[task] = ready.max(free[machine]).max(locked) + case.input.durations[task];
        free[machine] = finish[task];
        for &lock in &uses[task] {
            locks[lock] = finish[task];
        }
    }
    (finish.into_iter().max().unwrap_or(0), begin.elapsed())
}

/// Waves with barriers: the levels of the graph one after the other, longest task first within one.
fn waves(case: &Case) -> (u64, Duration) {
    let begin = Instant::now();
    let (_, level) = topological(&case.input);
    let depth = level.iter().max().unwrap() + 1;
    let mut of_level = vec![Vec::new(); depth];
    for (task, &l) in level.iter().enumerate() {
        of_level[l].push(case.input.durations[task]);
    }
    let mut total = 0;
    for mut wave in of_level {
        wave.sort_unstable_by_key(|&d| std::cmp::Reverse(d));
        let mut free = vec![0; case.input.machines.len()];
        for duration in wave {
            *free.iter_mut().min().unwrap() += duration;
        }
        total += free.iter().max().unwrap();
    }
    (total, begin.elapsed())
}

/// `make -j`: whatever is ready, in the order of the file, whenever a machine is free.
fn file_order(case: &Case) -> (u64, Duration) {
    let begin = Instant::now();
    let count = case.input.durations.len();
    let mut waits = vec![0; count];
    let mut after = vec![Vec::new(); count];
    for &(a, b) in &case.input.edges {
        waits[b as usize] += 1;
        after[a as usize].push(b as usize);
    }
    let mut uses = vec![Vec::new(); count];
    for usage in &case.input.uses {
        uses[usage.task as usize].push((usage.resource as usize, usage.amount));
    }
    let mut left = case.input.capacities.clone();
    let mut free = case.input.machines.len();
    let mut ready: std::collections::BTreeSet<usize> =
        (0..count).filter(|&t| waits[t] == 0).collect();
    let mut running: Vec<(u64, usize)> = Vec::new();
    let mut now = 0;
    loop {
        while free > 0 {
            let fits = |&&task: &&usize| uses[task].iter().all(|&(r, a)| left[r] >= a);
            let Some(&task) = ready.iter().find(fits) else {
                break;
            };
            ready.remove(&task);
            free -= 1;
            for &(r, a) in &uses[task] {
                left[r] -= a;
            }
            running.push((now + case.input.durations[task], task));
        }
        let Some(place) = (0..running.len()).min_by_key(|&i| running[i]) else {
            break;
        };
        let (time, task) = running.swap_remove(place);
        now = time;
        free += 1;
        for &(r, a) in &uses[task] {
            left[r] += a;
        }
        for &next in &after[task] {
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.insert(next);
            }
        }
    }
    (now, begin.elapsed())
}

struct Row {
    mean: f64,
    worst: f64,
    best_share: f64,
}

fn measure(what: &str, cases: &[Case], method: Method) -> Row {
    let mut gaps = Vec::new();
    let mut times = Vec::new();
    let mut missed = Vec::new();
    for case in cases {
        let (makespan, took) = method(case);
        let gap = makespan as f64 / case.best as f64 - 1.0;
        if gap > 0.0 {
            missed.push(format!("{} +{:.2}%", case.name, gap * 100.0));
        }
        gaps.push(gap * 100.0);
        times.push(took.as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let row = Row {
        mean: gaps.iter().sum::<f64>() / gaps.len() as f64,
        worst: gaps.iter().copied().fold(0.0, f64::max),
        best_share: (gaps.len() - missed.len()) as f64 / gaps.len() as f64 * 100.0,
    };
    println!(
        "{what:34} {:8.3} % {:8.2} % {:7.2} % {:9.0} us {:9.0} us",
        row.mean,
        row.worst,
        row.best_share,
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
    if std::env::var_os("MISSED").is_some() && missed.len() < 40 {
        missed.iter().for_each(|m| println!("    {m}"));
    }
    row
}

fn quality(dir: &Path, step: usize) -> bool {
    let every = |cases: Vec<Case>| -> Vec<Case> { cases.into_iter().step_by(step).collect() };
    let mut good = true;
    let mut hold = |what: &str, holds: bool| {
        if !holds {
            println!("    MISSED: {what}");
            good = false;
        }
    };
    println!(
        "{:34} {:>10} {:>10} {:>9} {:>12} {:>12}",
        "gap to the best known", "mean", "worst", "at best", "p50", "p99"
    );
    let stg = every(stg_cases(dir));
    println!(
        "STG, {} rows, {} proved",
        stg.len(),
        stg.iter().filter(|c| c.proved).count()
    );
    measure("  round robin", &stg, round_robin);
    measure("  waves with barriers", &stg, waves);
    measure("  file order (make -j)", &stg, file_order);
    let row = measure("  effort 0", &stg, |c| planned(c, 0));
    hold(
        "effort 0: mean at most 0.15 %, at best 90 %",
        row.mean <= 0.15 && row.best_share >= 90.0,
    );
    measure("  effort 10", &stg, |c| planned(c, 10));
    let row = measure("  effort 50 (default)", &stg, |c| planned(c, 50));
    hold(
        "default effort: mean at most 0.01 %, never above 1.5 %",
        row.mean <= 0.01 && row.worst <= 1.5,
    );
    hold("default effort: 99.5 % at best", row.best_share >= 99.5);
    let locks = lock_cases(dir);
    println!("locks, {} rows", locks.len());
    measure("  round robin", &locks, round_robin);
    measure("  file order (make -j)", &locks, file_order);
    measure("  effort 0", &locks, |c| planned(c, 0));
    let row = measure("  effort 50 (default)", &locks, |c| planned(c, 50));
    hold("locks: mean at most 0.1 %", row.mean <= 0.1);
    let pools = pool_cases(dir);
    println!("pools (PSPLIB j30), {} rows", pools.len());
    measure("  file order (make -j)", &pools, file_order);
    measure("  effort 0", &pools, |c| planned(c, 0));
    measure("  effort 50 (default)", &pools, |c| planned(c, 50));
    let row = measure("  effort 200", &pools, |c| planned(c, 200));
    hold(
        "pools: mean at most 0.5 %, at best 90 %",
        row.mean <= 0.5 && row.best_share >= 90.0,
    );
    good
}

/// A random graph of `count` tasks in which each waits for about `per_task` earlier ones.
fn generated(count: usize, per_task: usize, machines: usize) -> Input {
    let mut state = 42u64;
    let mut random = move |limit: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) * limit) >> 31
    };
    let mut input = Input {
        machines: vec![Machine::PLAIN; machines],
        ..Input::default()
    };
    for task in 0..count {
        input.durations.push((1 + random(30)) * 60_000);
        let reach = task.min(5000) as u64;
        for _ in 0..per_task {
            if reach > 0 {
                input
                    .edges
                    .push(((task as u64 - 1 - random(reach)) as u32, task as u32));
            }
        }
    }
    input
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|l| l.starts_with("VmHWM"))
        .unwrap_or_default();
    numbers(line).first().copied().unwrap_or(0) / 1024
}

fn speed(quick: bool) {
    println!(
        "{:34} {:>12} {:>12} {:>12} {:>9} {:>9}",
        "generated graphs, m=8", "check", "list only", "whole plan", "gap", "peak"
    );
    for (count, per_task) in [
        (100, 3),
        (1000, 5),
        (10_000, 10),
        (100_000, 10),
        (1_000_000, 5),
    ] {
        if quick && count > 100_000 {
            continue;
        }
        let input = generated(count, per_task, 8);
        let edges = input.edges.len();
        let begin = Instant::now();
        let problem = Problem::new(input).unwrap();
        let built = begin.elapsed();
        let begin = Instant::now();
        let order = priorities(&problem);
        let listed = begin.elapsed();
        assert_eq!(order.len(), count);
        let begin = Instant::now();
        let solution = solve(&problem, Effort::DEFAULT, &mut || false);
        let took = begin.elapsed() + built;
        let schedule: &Schedule = &solution.schedule;
        problem.check(schedule).unwrap();
        let gap = solution.makespan as f64 / solution.bound.value as f64 - 1.0;
        println!(
            "  {count:8} tasks {edges:9} edges   {:9.1} ms {:9.1} ms {:9.1} ms {:7.3} % {:6} MB",
            built.as_secs_f64() * 1e3,
            listed.as_secs_f64() * 1e3,
            took.as_secs_f64() * 1e3,
            gap * 100.0,
            resident_mb(),
        );
    }
}

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let quick = args.iter().any(|a| a == "--quick");
    let dir = args.iter().find(|a| !a.starts_with("--"));
    let good = dir.is_none_or(|dir| quality(Path::new(dir), if quick { 8 } else { 1 }));
    speed(quick);
    std::process::exit(if good { 0 } else { 1 });
}
