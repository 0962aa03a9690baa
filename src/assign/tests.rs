//! Laws of the core, on random problems.

use std::collections::BTreeMap;

use proptest::prelude::{Strategy as Generator, any, prop, prop_assert, prop_assert_eq, proptest};
use proptest::test_runner::Config;

use super::*;

/// A random problem of so many tasks, with locks, a pool, late and slow machines.
fn problems(tasks: usize) -> impl Generator<Value = Input> {
    let count = tasks as u32;
    let durations = prop::collection::vec(0u64..6, tasks);
    let edges = prop::collection::vec((0..count, 0..count), 0..tasks * 2);
    let speeds = prop::sample::select(vec![500u32, 1000, 1000, 2000]);
    let machines = prop::collection::vec((0u64..4, speeds), 1..4);
    let uses = prop::collection::vec(((0..count, 0u32..3), 1u32..3), 0..tasks);
    let confined = prop::collection::vec(any::<bool>(), tasks);
    (durations, edges, machines, uses, confined, any::<bool>()).prop_map(
        |(durations, edges, machines, uses, confined, plain)| {
            let machine = |(available, speed)| match plain {
                true => Machine::PLAIN,
                false => Machine { available, speed },
            };
            let machines: Vec<Machine> = machines.into_iter().map(machine).collect();
            let uses: BTreeMap<(u32, u32), u32> = uses.into_iter().collect();
            let usage = |((task, resource), amount)| Use {
                task,
                resource,
                amount: if resource == 2 { amount } else { 1 },
            };
            Input {
                edges: edges.into_iter().filter(|(a, b)| a < b).collect(),
                sets: vec![(0..machines.len() as u32).collect(), vec![0]],
                set_of: confined
                    .into_iter()
                    .map(|c| u32::from(c && !plain))
                    .collect(),
                capacities: vec![1, 1, 2],
                uses: uses.into_iter().map(usage).collect(),
                releases: vec![],
                durations,
                machines,
            }
        },
    )
}

/// The best makespan, by trying every order of the tasks on every machine, each task as early as it
/// goes, looked up instant by instant.
fn best(input: &Input) -> u64 {
    let mut placed: Vec<Option<(u64, u64, u32)>> = vec![None; input.durations.len()];
    let mut best = u64::MAX;
    try_next(input, &mut placed, 0, &mut best);
    best
}

fn try_next(input: &Input, placed: &mut Vec<Option<(u64, u64, u32)>>, so_far: u64, best: &mut u64) {
    if so_far >= *best {
        return;
    }
    let mut all = true;
    for task in 0..placed.len() {
        if placed[task].is_some() {
            continue;
        }
        all = false;
        let before = input.edges.iter().filter(|e| e.1 as usize == task);
        let ends: Option<Vec<u64>> = before.map(|e| placed[e.0 as usize].map(|p| p.1)).collect();
        let Some(ends) = ends else {
            continue;
        };
        let ready = ends.into_iter().max().unwrap_or(0);
        for &machine in &input.sets[input.set_of[task] as usize] {
            let Machine { available, speed } = input.machines[machine as usize];
            let time = (input.durations[task] * 1000).div_ceil(u64::from(speed));
            let mut start = if time == 0 {
                ready
            } else {
                ready.max(available)
            };
            while !fits(input, placed, task, machine, start, start + time) {
                start += 1;
            }
            placed[task] = Some((start, start + time, machine));
            try_next(input, placed, so_far.max(start + time), best);
            placed[task] = None;
        }
    }
    if all {
        *best = so_far;
    }
}

fn fits(
    input: &Input,
    placed: &[Option<(u64, u64, u32)>],
    task: usize,
    machine: u32,
    start: u64,
    end: u64,
) -> bool {
    (start..end).all(|now| {
        let running = |t: usize| placed[t].is_some_and(|p| p.0 <= now && now < p.1);
        let busy =
            (0..placed.len()).any(|t| running(t) && placed[t].is_some_and(|p| p.2 == machine));
        let room = input
            .uses
            .iter()
            .filter(|u| u.task as usize == task)
            .all(|mine| {
                let others = input.uses.iter().filter(|u| u.resource == mine.resource);
                let used: u32 = others
                    .filter(|u| running(u.task as usize))
                    .map(|u| u.amount)
                    .sum();
                used + mine.amount <= input.capacities[mine.resource as usize]
            });
        !busy && room
    })
}

proptest! {
    #![proptest_config(Config::with_cases(64))]

    #[test]
    fn plans_are_feasible_and_lie_between_the_bound_and_the_optimum(input in problems(5)) {
        let problem = Problem::new(input.clone()).unwrap();
        let optimum = best(&input);
        prop_assert!(lower_bound(&problem).value <= optimum);
        let solution = solve(&problem, Effort::millis(2), &mut || false);
        prop_assert_eq!(problem.check(&solution.schedule), Ok(()));
        prop_assert!(solution.makespan >= optimum);
        // Machines of several speeds may want a choice that neither scheme makes.
        if input.machines.iter().all(|m| *m == Machine::PLAIN) {
            prop_assert_eq!(solution.makespan, optimum);
        }
    }

    #[test]
    fn plans_of_every_strategy_are_feasible_and_equal_input_gives_equal_plans(input in problems(40)) {
        let problem = Problem::new(input).unwrap();
        let once = solve(&problem, Effort::millis(1), &mut || false);
        prop_assert_eq!(problem.check(&once.schedule), Ok(()));
        prop_assert!(once.bound.value <= once.makespan);
        let again = solve(&problem, Effort::millis(1), &mut || false);
        prop_assert_eq!(&once.schedule, &again.schedule);
        for strategy in [Strategy::RoundRobin, Strategy::LoadBalanced, Strategy::CapabilityBased] {
            let schedule = strategy::schedule(&problem, strategy);
            prop_assert_eq!(problem.check(&schedule), Ok(()));
        }
        let mut wanted = vec![false; 40];
        wanted[0] = true;
        prop_assert_eq!(problem.check(&search::prefixed(&problem, &wanted)), Ok(()));
    }
}

#[test]
fn three_short_tasks_beside_two_long_ones_are_seen() {
    // Longest first gives 10; found by the law above.
    let input = Input {
        durations: vec![3, 3, 3, 4, 5],
        machines: vec![Machine::PLAIN; 2],
        ..Input::default()
    };
    let problem = Problem::new(input).unwrap();
    assert_eq!(
        solve(&problem, Effort::millis(2), &mut || false).makespan,
        9
    );
}

#[test]
fn the_checker_sees_each_kind_of_flaw() {
    let problem = Problem::new(Input {
        durations: vec![2, 2],
        machines: vec![Machine::PLAIN; 2],
        capacities: vec![1],
        uses: (0..2)
            .map(|task| Use {
                task,
                resource: 0,
                amount: 1,
            })
            .collect(),
        ..Input::default()
    })
    .unwrap();
    let schedule = |start: [u64; 2], machine: [u32; 2]| Schedule {
        start: start.to_vec(),
        finish: start.iter().map(|s| s + 2).collect(),
        machine: machine.to_vec(),
    };
    assert_eq!(problem.check(&schedule([0, 2], [0, 1])), Ok(()));
    let locked = Flaw::Resource {
        resource: 0,
        task: 1,
    };
    assert_eq!(problem.check(&schedule([0, 1], [0, 1])), Err(locked));
    let overlap = Flaw::Overlap {
        machine: 0,
        one: 0,
        other: 1,
    };
    assert_eq!(problem.check(&schedule([0, 1], [0, 0])), Err(overlap));
    let nowhere = Flaw::Machine {
        task: 1,
        machine: 7,
    };
    assert_eq!(problem.check(&schedule([0, 2], [0, 7])), Err(nowhere));
}

#[test]
fn a_cycle_is_named_by_its_shortest_way_round() {
    let error = Problem::new(Input {
        durations: vec![1; 5],
        edges: vec![(0, 1), (1, 2), (2, 3), (3, 1), (2, 1), (3, 4)],
        machines: vec![Machine::PLAIN],
        ..Input::default()
    });
    let Err(ProblemError::Cycle(mut cycle)) = error else {
        panic!("a cycle was not seen");
    };
    cycle.sort_unstable();
    assert_eq!(cycle, [1, 2]);
}

#[test]
fn a_hundred_thousand_tasks_in_a_chain_or_on_one_lock_are_planned_without_recursion() {
    let count = 100_000;
    let chain = Input {
        durations: vec![1; count],
        edges: (1..count as u32).map(|t| (t - 1, t)).collect(),
        machines: vec![Machine::PLAIN; 4],
        ..Input::default()
    };
    let solution = solve(&Problem::new(chain).unwrap(), Effort::DEFAULT, &mut || {
        false
    });
    assert_eq!(
        (solution.makespan, solution.bound.value),
        (count as u64, count as u64)
    );
    let lock = Input {
        durations: vec![1; count],
        machines: vec![Machine::PLAIN; 4],
        capacities: vec![1],
        uses: (0..count as u32)
            .map(|task| Use {
                task,
                resource: 0,
                amount: 1,
            })
            .collect(),
        ..Input::default()
    };
    let solution = solve(&Problem::new(lock).unwrap(), Effort::DEFAULT, &mut || false);
    assert_eq!(
        (solution.makespan, solution.bound.value),
        (count as u64, count as u64)
    );
}
