//! Quality and speed of the scheduling core: `cargo bench --bench schedules -- DIR [--quick]`.
//!
//! DIR holds `stg-optima.tsv` and `stg/` (Standard Task Graph files), `locks-optima.tsv` and `locks/`
//! (`task lock…` lines for such a graph), and `psplib-j30/` (PSPLIB `.sm` files with `optima.tsv`).
//! Prints a table of the gap to the best known makespan for round robin, waves, file order
//! (`make -j`), and our plans at several efforts; then how long generated graphs of up to a million
//! tasks take; and what becomes of a plan that loses an agent (moves against those that cannot be
//! avoided, makespan against a plan made anew). `--quick` takes every eighth row and no graph above 100,000 tasks. Without DIR only
//! the speed is measured. Ends with status 1 if a target is missed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    missing_docs
)]

use std::path::Path;
use std::time::{Duration, Instant};

use sporekit::assign::{self, Agent, Effort, Input, Machine, Problem, Schedule, Use};
use sporekit::assign::{priorities, replan, solve};
use sporekit::task::{self, Format, merge};

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
        "| {what} | {:.3} % | {:.2} % | {:.2} % | {:.0} us | {:.0} us |",
        row.mean,
        row.worst,
        row.best_share,
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
    if std::env::var_os("MISSED").is_some() && missed.len() < 40 {
        missed.iter().for_each(|m| eprintln!("{m}"));
    }
    row
}

/// What was to be reached, and whether it was.
type Targets = Vec<(&'static str, bool)>;

fn quality(dir: &Path, step: usize, targets: &mut Targets) {
    let every = |cases: Vec<Case>| -> Vec<Case> { cases.into_iter().step_by(step).collect() };
    let mut hold = |what, holds| targets.push((what, holds));
    println!(
        "| gap to the best known | mean | worst | at best | p50 | p99 |\n|---|---|---|---|---|---|"
    );
    let stg = every(stg_cases(dir));
    println!(
        "| **STG, {} rows, {} proved** | | | | | |",
        stg.len(),
        stg.iter().filter(|c| c.proved).count()
    );
    measure("round robin", &stg, round_robin);
    measure("waves with barriers", &stg, waves);
    measure("file order (make -j)", &stg, file_order);
    let row = measure("effort 0", &stg, |c| planned(c, 0));
    hold(
        "STG, effort 0: mean at most 0.15 %, at best 90 %",
        row.mean <= 0.15 && row.best_share >= 90.0,
    );
    measure("effort 10", &stg, |c| planned(c, 10));
    let row = measure("effort 50 (default)", &stg, |c| planned(c, 50));
    hold(
        "STG, default effort: mean at most 0.01 %, never above 1.5 %",
        row.mean <= 0.01 && row.worst <= 1.5,
    );
    hold(
        "STG, default effort: 99.5 % at best",
        row.best_share >= 99.5,
    );
    let locks = lock_cases(dir);
    println!("| **locks, {} rows** | | | | | |", locks.len());
    measure("round robin", &locks, round_robin);
    measure("file order (make -j)", &locks, file_order);
    measure("effort 0", &locks, |c| planned(c, 0));
    let row = measure("effort 50 (default)", &locks, |c| planned(c, 50));
    hold("locks: mean at most 0.1 %", row.mean <= 0.1);
    let pools = pool_cases(dir);
    println!("| **pools (PSPLIB j30), {} rows** | | | | | |", pools.len());
    measure("file order (make -j)", &pools, file_order);
    measure("effort 0", &pools, |c| planned(c, 0));
    measure("effort 50 (default)", &pools, |c| planned(c, 50));
    let row = measure("effort 200", &pools, |c| planned(c, 200));
    hold(
        "pools: mean at most 0.5 %, at best 90 %",
        row.mean <= 0.5 && row.best_share >= 90.0,
    );
}

/// A plan of a case, one of its agents lost when 30 % of the time is over, and the plan after that:
/// moves, moves that cannot be avoided, how long it takes, and how long one made anew would.
fn after_a_loss(case: &Case, lost: usize) -> (u64, u64, u64, u64) {
    let mut before = vec![Vec::new(); case.input.durations.len()];
    for (a, b) in &case.input.edges {
        before[*b as usize].push(format!("\"t{a}\""));
    }
    let durations = case.input.durations.iter().zip(&before).enumerate();
    let lines: String = durations
        .map(|(task, (ms, before))| {
            format!(
                "{{\"id\":\"t{task}\",\"description\":\"\",\"estimated_duration\":\"PT{}S\",\"dependencies\":[{}]}}\n",
                ms / UNIT,
                before.join(",")
            )
        })
        .collect();
    let list = task::read("graph.jsonl", lines.as_bytes(), Some(Format::Ours));
    let list = merge::merge(vec![list]);
    let agents = Agent::numbered(case.input.machines.len());
    let plan = assign::plan(&list, &assign::Options::new(agents)).unwrap();
    let now_ms = plan.makespan_ms * 3 / 10;
    let lost = plan.agents[lost % plan.agents.len()].name.clone();
    let word = |state: &str, agent: &str, since| assign::TaskState {
        state: state.to_owned(),
        agent: Some(agent.to_owned()),
        since_ms: Some(since),
        attempts: 0,
    };
    let tasks = plan.tasks.iter().filter_map(|task| {
        let state = match task.finish_ms <= now_ms {
            true => "done",
            false if task.start_ms < now_ms && task.agent != lost => "running",
            false => return None,
        };
        Some((task.id.clone(), word(state, &task.agent, task.start_ms)))
    });
    let state = assign::State {
        now_ms,
        tasks: tasks.collect(),
        agents: [(lost, serde_json::json!("down"))].into(),
        failures: Vec::new(),
    };
    let new = replan(&plan, &state, Effort::DEFAULT, "").unwrap();
    (
        new.moves,
        new.unavoidable_moves,
        new.plan.makespan_ms,
        new.made_anew_ms,
    )
}

fn losses(dir: &Path, step: usize, targets: &mut Targets) {
    println!(
        "\n| one agent lost at 30 % | moves, of those unavoidable | worst | longer than a plan made anew | worst |\n|---|---|---|---|---|"
    );
    for machines in [4, 8] {
        let cases = stg_cases(dir).into_iter();
        let cases = cases.filter(|case| case.input.machines.len() == machines);
        let (mut moves, mut unavoidable, mut worst) = (0, 0, 0.0_f64);
        let mut later = Vec::new();
        for (number, case) in cases.step_by(step).enumerate() {
            let (moved, must, ms, anew_ms) = after_a_loss(&case, number);
            (moves, unavoidable) = (moves + moved, unavoidable + must);
            worst = worst.max(moved as f64 / must.max(1) as f64);
            later.push((ms as f64 / anew_ms as f64 - 1.0) * 100.0);
        }
        let ratio = moves as f64 / unavoidable.max(1) as f64;
        let mean = later.iter().sum::<f64>() / later.len().max(1) as f64;
        println!(
            "| STG, m={machines}, {} rows | {ratio:.2} x | {worst:.2} x | {mean:.2} % | {:.2} % |",
            later.len(),
            later.iter().copied().fold(f64::MIN, f64::max),
        );
        if machines == 4 {
            targets.push(("one of 4 lost: at most 1.3 times the moves", worst <= 1.3));
            targets.push(("one of 4 lost: at most 1 % longer on average", mean <= 1.0));
        }
    }
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
        "\n| generated graphs, m=8 | check | list only | whole plan | gap | peak |\n|---|---|---|---|---|---|"
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
            "| {count} tasks, {edges} edges | {:.1} ms | {:.1} ms | {:.1} ms | {:.3} % | {} MB |",
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
    let step = if quick { 8 } else { 1 };
    let mut targets = Targets::new();
    if let Some(dir) = dir {
        quality(Path::new(dir), step, &mut targets);
        losses(Path::new(dir), step, &mut targets);
    }
    speed(quick);
    println!("\n| target | met |\n|---|---|");
    for (what, met) in &targets {
        println!("| {what} | {} |", if *met { "yes" } else { "**no**" });
    }
    let good = targets.iter().all(|(_, met)| *met);
    std::process::exit(if good { 0 } else { 1 });
}
