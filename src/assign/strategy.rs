//! The simple ways to give out tasks, for those who want them and to compare with.

use super::plan::Strategy;
use super::problem::{Input, Problem, Use};
use super::schedule::Schedule;
use super::search::{dispatched, priorities};

/// The schedule of a strategy other than the search: first who does what, then each agent works off
/// its own tasks.
pub(super) fn schedule(problem: &Problem, strategy: Strategy) -> Schedule {
    let machine_of = match strategy {
        Strategy::RoundRobin => return in_turn(problem),
        Strategy::LoadBalanced | Strategy::DependencyAware => balanced(problem, false),
        Strategy::CapabilityBased => balanced(problem, true),
    };
    let dealt = confined(problem, &machine_of);
    dispatched(&dealt, &priorities(&dealt))
}

/// The machines that may run a task.
fn eligible(problem: &Problem, task: usize) -> impl Iterator<Item = u32> + '_ {
    let kind = &problem.kinds[problem.kind_of[task] as usize];
    kind.iter()
        .flat_map(|&group| problem.groups[group as usize].machines.iter().copied())
}

/// Round robin: in topological order to the next machine that may run it; every machine does its
/// tasks in that order and waits where it must.
fn in_turn(problem: &Problem) -> Schedule {
    let machines = problem.machines.len() as u32;
    let mut free: Vec<u64> = problem.machines.iter().map(|m| m.available).collect();
    let mut held: Vec<Vec<u64>> = problem.capacities.iter().map(|_| Vec::new()).collect();
    let mut schedule = Schedule {
        start: vec![0; problem.len()],
        finish: vec![0; problem.len()],
        machine: vec![0; problem.len()],
    };
    let mut turn = 0;
    for &task in &problem.topological {
        let task = task as usize;
        let next = eligible(problem, task).min_by_key(|&m| (m + machines - turn) % machines);
        let machine = next.expect("a problem has a machine for every task");
        let before = problem.before.row(task).iter();
        let mut start = before
            .map(|&b| schedule.finish[b as usize])
            .max()
            .unwrap_or(0)
            .max(problem.releases[task]);
        schedule.machine[task] = machine;
        let time = problem.time(task, problem.machines[machine as usize].speed);
        if time > 0 {
            turn = (machine + 1) % machines;
            start = start.max(free[machine as usize]);
            for &(resource, amount) in problem.uses.row(task) {
                start = start.max(room(problem, &held[resource as usize], resource, amount));
            }
            free[machine as usize] = start + time;
            for &(resource, amount) in problem.uses.row(task) {
                hold(
                    problem,
                    &mut held[resource as usize],
                    resource,
                    amount,
                    start + time,
                );
            }
        }
        schedule.start[task] = start;
        schedule.finish[task] = start + time;
    }
    schedule
}

/// The ends of the last holders of each unit of a resource, soonest first; as many as its capacity,
/// fewer while some were never held.
fn room(problem: &Problem, held: &[u64], resource: u32, amount: u32) -> u64 {
    let never = problem.capacities[resource as usize] as usize - held.len();
    match (amount as usize).checked_sub(never) {
        None | Some(0) => 0,
        Some(needed) => held[needed - 1],
    }
}

fn hold(problem: &Problem, held: &mut Vec<u64>, resource: u32, amount: u32, until: u64) {
    let never = problem.capacities[resource as usize] as usize - held.len();
    let reused = (amount as usize).saturating_sub(never);
    held.drain(..reused);
    for _ in 0..amount {
        held.push(until);
    }
    held.sort_unstable();
}

/// The longest task first, to the machine that would have finished its tasks soonest; with
/// `specialists` the machine that can do the least of all the work comes first.
fn balanced(problem: &Problem, specialists: bool) -> Vec<u32> {
    let mut order: Vec<usize> = (0..problem.len()).collect();
    order.sort_by_key(|&t| std::cmp::Reverse(problem.durations[t]));
    let mut versatility = vec![0u128; problem.machines.len()];
    if specialists {
        for task in 0..problem.len() {
            for machine in eligible(problem, task) {
                versatility[machine as usize] += u128::from(problem.durations[task]);
            }
        }
    }
    let mut until: Vec<u64> = problem.machines.iter().map(|m| m.available).collect();
    let mut machine_of = vec![0; problem.len()];
    for task in order {
        let time = |machine: u32| problem.time(task, problem.machines[machine as usize].speed);
        let best = eligible(problem, task).min_by_key(|&machine| {
            let place = machine as usize;
            (versatility[place], until[place] + time(machine), machine)
        });
        let machine = best.expect("a problem has a machine for every task");
        until[machine as usize] += time(machine);
        machine_of[task] = machine;
    }
    machine_of
}

/// The same problem with each task confined to one machine.
fn confined(problem: &Problem, machine_of: &[u32]) -> Problem {
    let count = problem.len();
    let input = Input {
        durations: problem.durations.clone(),
        edges: (0..count as u32)
            .flat_map(|t| problem.after.row(t as usize).iter().map(move |&n| (t, n)))
            .collect(),
        machines: problem.machines.clone(),
        sets: (0..problem.machines.len() as u32)
            .map(|m| vec![m])
            .collect(),
        set_of: machine_of.to_vec(),
        capacities: problem.capacities.clone(),
        uses: (0..count as u32)
            .flat_map(|task| {
                let uses = problem.uses.row(task as usize).iter();
                uses.map(move |&(resource, amount)| Use {
                    task,
                    resource,
                    amount,
                })
            })
            .collect(),
        releases: problem.releases.clone(),
    };
    Problem::new(input)
        .expect("confining tasks to machines that may run them keeps a problem right")
}
