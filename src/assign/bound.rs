//! How fast it could possibly go: lower bounds on the time that any schedule takes.

use super::problem::Problem;

/// What a bound comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing to do, or only waiting for a release.
    Nothing,
    /// A chain of tasks that wait for each other.
    Path,
    /// The work that a set of machines has to do, or has to do within some stretch of time.
    Work,
    /// The work that needs one lock or pool, with what has to come before and after.
    Resource(u32),
}

/// A lower bound: no schedule ends before `value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// In milliseconds.
    pub value: u64,
    /// Why.
    pub reason: Reason,
}

impl Bound {
    fn raise(&mut self, value: u64, reason: Reason) {
        if value > self.value {
            *self = Bound { value, reason };
        }
    }
}

/// Above this many tasks a set's bound looks at thresholds of one side only, which is not quadratic.
const PAIRS: usize = 1500;
/// Up to this many tasks the interval bound is worth its time.
const INTERVALS: usize = 300;
/// How many sets of machines, locks and pools the interval bound looks at.
const INTERVAL_SETS: usize = 16;

/// The tasks that share something limited.
struct Share {
    reason: Reason,
    /// Task and how much of the limited thing it takes.
    members: Vec<(u32, u64)>,
    /// In the unit of the amounts, times 1000 for machines of a set.
    capacity: u64,
    /// Whether all machines are of one speed, so that time and work are the same.
    even: bool,
}

/// The earliest start of each task and the longest time after its end, by edges and releases alone.
pub(super) struct Windows {
    pub(super) head: Vec<u64>,
    pub(super) tail: Vec<u64>,
    pub(super) time: Vec<u64>,
}

impl Windows {
    pub(super) fn new(problem: &Problem) -> Windows {
        let count = problem.len();
        let time: Vec<u64> = (0..count).map(|t| problem.shortest(t)).collect();
        let mut head = problem.releases.clone();
        if problem.machines.iter().any(|m| m.available > 0) {
            let first = first_machines(problem);
            for task in 0..count {
                if time[task] > 0 {
                    head[task] = head[task].max(first[problem.kind_of[task] as usize]);
                }
            }
        }
        let mut tail = vec![0; count];
        for &task in &problem.topological {
            let end = head[task as usize] + time[task as usize];
            for &next in problem.after.row(task as usize) {
                head[next as usize] = head[next as usize].max(end);
            }
        }
        for &task in problem.topological.iter().rev() {
            let after = problem.after.row(task as usize);
            let longest = after.iter().map(|&n| time[n as usize] + tail[n as usize]);
            tail[task as usize] = longest.max().unwrap_or(0);
        }
        Windows { head, tail, time }
    }
}

/// When the first machine of each kind becomes free.
fn first_machines(problem: &Problem) -> Vec<u64> {
    let of_group: Vec<u64> = problem
        .groups
        .iter()
        .map(|g| {
            g.machines
                .iter()
                .map(|&m| problem.machines[m as usize].available)
                .min()
                .unwrap_or(0)
        })
        .collect();
    problem
        .kinds
        .iter()
        .map(|kind| {
            kind.iter()
                .map(|&g| of_group[g as usize])
                .min()
                .unwrap_or(0)
        })
        .collect()
}

/// The bounds that cost about as much as one pass over the tasks: the longest path, the work of
/// each set of machines, and head + work + tail for each lock and pool.
pub(super) fn quick(problem: &Problem, windows: &Windows) -> Bound {
    let mut bound = Bound {
        value: problem.releases.iter().copied().max().unwrap_or(0),
        reason: Reason::Nothing,
    };
    for task in 0..problem.len() {
        let through = windows.head[task] + windows.time[task] + windows.tail[task];
        bound.raise(through, Reason::Path);
    }
    for share in shares(problem) {
        bound.raise(work_between(&share, windows), share.reason);
    }
    bound.raise(work_after_delays(problem), Reason::Work);
    bound
}

/// The interval bound (Fernandez and Bussell, *Bounds on the number of processors and time for
/// multiprocessor optimal schedules*, 1973), for machines, locks and pools alike, repeated as long
/// as it raises the bound; never above `upper`.
pub(super) fn deep(problem: &Problem, windows: &Windows, mut bound: Bound, upper: u64) -> Bound {
    let mut shares = shares(problem);
    shares.retain(|s| s.even && s.members.len() <= INTERVALS && s.members.len() > 1);
    shares.truncate(INTERVAL_SETS);
    loop {
        let before = bound.value;
        for share in &shares {
            let excess = excess(share, windows, bound.value);
            bound.raise(bound.value + excess, share.reason);
        }
        if bound.value == before || bound.value >= upper {
            return bound;
        }
    }
}

fn shares(problem: &Problem) -> Vec<Share> {
    let mut shares = Vec::new();
    // With very many kinds (pins to many agents) only the first sets are looked at.
    for kind in problem.kinds.iter().take(64) {
        let inside: Vec<bool> = problem
            .kinds
            .iter()
            .map(|other| other.iter().all(|g| kind.contains(g)))
            .collect();
        let members: Vec<(u32, u64)> = (0..problem.len())
            .filter(|&t| problem.durations[t] > 0 && inside[problem.kind_of[t] as usize])
            .map(|t| (t as u32, 1000))
            .collect();
        let speeds = || kind.iter().map(|&g| &problem.groups[g as usize]);
        shares.push(Share {
            reason: Reason::Work,
            members,
            capacity: speeds()
                .map(|g| u64::from(g.speed) * g.machines.len() as u64)
                .sum(),
            even: speeds().all(|g| g.speed == 1000),
        });
    }
    for (resource, &capacity) in problem.capacities.iter().enumerate() {
        let users = problem.users.row(resource).iter();
        shares.push(Share {
            reason: Reason::Resource(resource as u32),
            members: users
                .filter(|&&(t, _)| problem.durations[t as usize] > 0)
                .map(|&(t, amount)| (t, u64::from(amount)))
                .collect(),
            capacity: u64::from(capacity),
            even: true,
        });
    }
    shares.retain(|share| !share.members.is_empty());
    shares
}

impl Share {
    /// What a member takes of the capacity, in amount times milliseconds. On machines of another
    /// speed than 1000 the time is shorter by as much as the rate is higher.
    fn load(&self, windows: &Windows, task: u32, amount: u64) -> u128 {
        windows.time[task as usize] as u128 * amount as u128
    }
}

/// The most over all subsets of: smallest head, work of the subset, smallest tail.
fn work_between(share: &Share, windows: &Windows) -> u64 {
    if !share.even {
        return uneven_work(share, windows);
    }
    let head = |&(t, _): &(u32, u64)| windows.head[t as usize];
    let tail = |&(t, _): &(u32, u64)| windows.tail[t as usize];
    let capacity = share.capacity as u128;
    let mut by_tail = share.members.clone();
    by_tail.sort_unstable_by_key(|m| std::cmp::Reverse(tail(m)));
    let mut thresholds: Vec<u64> = share.members.iter().map(head).collect();
    thresholds.sort_unstable();
    thresholds.dedup();
    if share.members.len() > PAIRS {
        thresholds.truncate(1);
    }
    let mut best = 0;
    for &threshold in &thresholds {
        let mut sum = 0u128;
        for member in by_tail.iter().filter(|m| head(m) >= threshold) {
            sum += share.load(windows, member.0, member.1);
            best = best.max(threshold + sum.div_ceil(capacity) as u64 + tail(member));
        }
    }
    best
}

/// With machines of several speeds: all the work at the rate of all machines.
fn uneven_work(share: &Share, windows: &Windows) -> u64 {
    let head = share
        .members
        .iter()
        .map(|m| windows.head[m.0 as usize])
        .min();
    let tail = share
        .members
        .iter()
        .map(|m| windows.tail[m.0 as usize])
        .min();
    head.unwrap_or(0) + tail.unwrap_or(0)
}

/// When all work could be done at the earliest if it could be cut up at will, given when each
/// machine becomes free.
fn work_after_delays(problem: &Problem) -> u64 {
    let mut machines = problem.machines.clone();
    machines.sort_by_key(|m| m.available);
    let mut left: u128 = problem.durations.iter().map(|&d| d as u128 * 1000).sum();
    if left == 0 {
        return 0;
    }
    let mut rate = 0u128;
    for (place, machine) in machines.iter().enumerate() {
        rate += u128::from(machine.speed);
        let until = machines.get(place + 1).map(|next| next.available);
        let end = u128::from(machine.available) + left.div_ceil(rate);
        match until {
            Some(until) if end > u128::from(until) => {
                left -= rate * u128::from(until - machine.available);
            }
            _ => return end as u64,
        }
    }
    0
}

/// By how much a schedule of length `makespan` would overdraw the share in its worst interval.
///
/// A task must lie in `[a, b]` for at least `clamp(b - max(a, latest start), 0, c)` with
/// `c = min(time, earliest end - a)`; for one `a` the sum over all tasks is piecewise linear in `b`
/// and largest, against the capacity, where one of them stops growing.
fn excess(share: &Share, windows: &Windows, makespan: u64) -> u64 {
    let mut starts: Vec<u64> = Vec::with_capacity(2 * share.members.len());
    for &(task, _) in &share.members {
        let task = task as usize;
        starts.push(windows.head[task]);
        starts.push(makespan - windows.tail[task] - windows.time[task]);
    }
    starts.sort_unstable();
    starts.dedup();
    let capacity = share.capacity as i128;
    let mut worst = 0i128;
    let mut bends: Vec<(u64, i128)> = Vec::with_capacity(2 * share.members.len());
    for &a in &starts {
        bends.clear();
        for &(task, amount) in &share.members {
            let place = task as usize;
            let earliest_end = windows.head[place] + windows.time[place];
            if earliest_end <= a {
                continue;
            }
            let most = windows.time[place].min(earliest_end - a);
            let latest = (makespan - windows.tail[place] - windows.time[place]).max(a);
            bends.push((latest, amount as i128));
            bends.push((latest + most, -(amount as i128)));
        }
        bends.sort_unstable();
        let (mut sum, mut slope, mut at) = (0i128, 0i128, a);
        for &(b, change) in &bends {
            sum += slope * (b - at) as i128;
            at = b;
            slope += change;
            worst = worst.max(sum - capacity * (b - a) as i128);
        }
    }
    (worst as u128).div_ceil(share.capacity as u128) as u64
}

#[cfg(test)]
mod tests {
    use super::super::problem::{Input, Machine, Use};
    use super::*;

    fn bound(input: Input) -> Bound {
        let problem = Problem::new(input).unwrap();
        let windows = Windows::new(&problem);
        let quick = quick(&problem, &windows);
        deep(&problem, &windows, quick, u64::MAX)
    }

    #[test]
    fn a_chain_takes_as_long_as_its_tasks() {
        let found = bound(Input {
            durations: vec![3, 4, 5],
            edges: vec![(0, 1), (1, 2)],
            machines: vec![Machine::PLAIN; 8],
            ..Input::default()
        });
        assert_eq!((found.value, found.reason), (12, Reason::Path));
    }

    #[test]
    fn work_is_shared_by_the_machines() {
        let found = bound(Input {
            durations: vec![3; 5],
            machines: vec![Machine::PLAIN; 2],
            ..Input::default()
        });
        assert_eq!((found.value, found.reason), (8, Reason::Work));
    }

    #[test]
    fn a_lock_is_work_for_one_with_a_head_and_a_tail() {
        let uses = (1..4).map(|task| Use {
            task,
            resource: 0,
            amount: 1,
        });
        let found = bound(Input {
            durations: vec![10, 5, 5, 5, 2],
            edges: vec![(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)],
            machines: vec![Machine::PLAIN; 8],
            capacities: vec![1],
            uses: uses.collect(),
            ..Input::default()
        });
        assert_eq!((found.value, found.reason), (27, Reason::Resource(0)));
    }

    #[test]
    fn machines_that_come_late_and_slow_ones_do_less() {
        let found = bound(Input {
            durations: vec![10, 10],
            machines: vec![
                Machine::PLAIN,
                Machine {
                    available: 16,
                    speed: 500,
                },
            ],
            ..Input::default()
        });
        assert_eq!(found.value, 19);
    }
}
