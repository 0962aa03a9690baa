//! The scheduling problem on plain numbers: what the searches and bounds work on.

use std::collections::HashMap;

/// A machine: one slot of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// When it first becomes free, in milliseconds from the start of the plan.
    pub available: u64,
    /// How fast it works, in thousandths: 1000 takes a task's duration, 500 twice that.
    pub speed: u32,
}

impl Machine {
    /// Free at once, of ordinary speed.
    pub const PLAIN: Machine = Machine {
        available: 0,
        speed: 1000,
    };
}

/// That a task needs some of a resource for as long as it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// The task.
    pub task: u32,
    /// The resource.
    pub resource: u32,
    /// How much of it.
    pub amount: u32,
}

/// What is to be scheduled, as it comes in. Tasks, machines, resources and sets are numbered from 0.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Of each task, on a machine of speed 1000, in milliseconds. A task of duration 0 needs neither
    /// machine nor resource.
    pub durations: Vec<u64>,
    /// `(before, after)`; doubles are allowed.
    pub edges: Vec<(u32, u32)>,
    /// The machines; at least one.
    pub machines: Vec<Machine>,
    /// Sets of machines; none means one set of all.
    pub sets: Vec<Vec<u32>>,
    /// The set of machines that may run each task; empty means set 0 for all.
    pub set_of: Vec<u32>,
    /// How much there is of each resource: 1 is a lock, more is a pool.
    pub capacities: Vec<u32>,
    /// Which task needs which resource.
    pub uses: Vec<Use>,
    /// Before when no task may start, in milliseconds; empty means 0 for all.
    pub releases: Vec<u64>,
}

/// Why an input cannot be scheduled at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemError {
    /// The tasks wait for each other in a circle; each waits for the one before it, the first for the last.
    #[error("{} tasks wait for each other in a circle", .0.len())]
    Cycle(Vec<u32>),
    /// No machine may run the task.
    #[error("no machine may run task {0}")]
    NoMachine(u32),
    /// The task needs more of a resource than there is.
    #[error("task {task} needs more of resource {resource} than there is")]
    TooMuch {
        /// The task.
        task: u32,
        /// The resource.
        resource: u32,
    },
    /// A number names no task, machine, set or resource.
    #[error("{0} number {1} does not exist")]
    OutOfRange(&'static str, u32),
    /// The durations together do not fit in 2^60 milliseconds.
    #[error("the durations add up to more than 36 million years")]
    Overflow,
}

/// Rows of numbers in one array (compressed sparse rows).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows<T> {
    starts: Vec<u32>,
    items: Vec<T>,
}

impl<T: Copy + Default> Rows<T> {
    /// The rows `0..count` from pairs of row and item; the order within a row is that of the pairs.
    pub fn new(count: usize, pairs: impl Iterator<Item = (u32, T)> + Clone) -> Rows<T> {
        let mut starts = vec![0u32; count + 1];
        for (row, _) in pairs.clone() {
            starts[row as usize + 1] += 1;
        }
        for row in 0..count {
            starts[row + 1] += starts[row];
        }
        let mut next = starts.clone();
        let mut items = vec![T::default(); starts[count] as usize];
        for (row, item) in pairs {
            let place = &mut next[row as usize];
            items[*place as usize] = item;
            *place += 1;
        }
        Rows { starts, items }
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[T] {
        &self.items[self.starts[row] as usize..self.starts[row + 1] as usize]
    }

    /// How many items all rows hold.
    pub fn total(&self) -> usize {
        self.items.len()
    }
}

/// Machines that nothing tells apart but when they become free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its machines, in their order.
    pub machines: Vec<u32>,
    /// Their speed in thousandths.
    pub speed: u32,
}

/// A checked problem, laid out for speed. Built by [`Problem::new`].
#[derive(Debug, Clone)]
pub struct Problem {
    pub(super) durations: Vec<u64>,
    pub(super) after: Rows<u32>,
    pub(super) before: Rows<u32>,
    /// An order in which every task stands behind those it waits for; ties in the order of the input.
    pub(super) topological: Vec<u32>,
    pub(super) machines: Vec<Machine>,
    pub(super) groups: Vec<Group>,
    /// For each kind of task (a set of machines), the groups that may run it, best first.
    pub(super) kinds: Vec<Vec<u32>>,
    pub(super) kind_of: Vec<u32>,
    pub(super) capacities: Vec<u32>,
    /// Resources of which every user needs one.
    pub(super) uniform: Vec<bool>,
    pub(super) uses: Rows<(u32, u32)>,
    pub(super) users: Rows<(u32, u32)>,
    pub(super) releases: Vec<u64>,
    /// Whether any machine is not free at 0 or any task may not start at 0.
    pub(super) delayed: bool,
}

impl Problem {
    /// Checks an input and lays it out. Linear in tasks, edges and uses.
    ///
    /// # Errors
    /// See [`ProblemError`]; a cycle is the shortest one through one of its tasks.
    pub fn new(input: Input) -> Result<Problem, ProblemError> {
        let count = input.durations.len();
        let mut input = input;
        merge_uses(&mut input.uses);
        check_ranges(&input)?;
        let after = Rows::new(count, input.edges.iter().copied());
        let before = Rows::new(count, input.edges.iter().map(|&(a, b)| (b, a)));
        let topological = topological(&after, &before, count)?;
        let uses = Rows::new(
            count,
            input.uses.iter().map(|u| (u.task, (u.resource, u.amount))),
        );
        let users = Rows::new(
            input.capacities.len(),
            input.uses.iter().map(|u| (u.resource, (u.task, u.amount))),
        );
        let uniform = (0..input.capacities.len())
            .map(|resource| users.row(resource).iter().all(|&(_, amount)| amount == 1))
            .collect();
        let sets = if input.sets.is_empty() {
            vec![(0..input.machines.len() as u32).collect()]
        } else {
            input.sets
        };
        let set_of = if input.set_of.is_empty() {
            vec![0; count]
        } else {
            input.set_of
        };
        for (task, &set) in set_of.iter().enumerate() {
            if sets[set as usize].is_empty() {
                return Err(ProblemError::NoMachine(task as u32));
            }
        }
        let groups = groups(&input.machines, &sets);
        let kinds = kinds(&groups, &sets, &set_of, &input.durations);
        let releases = if input.releases.is_empty() {
            vec![0; count]
        } else {
            input.releases
        };
        let delayed =
            releases.iter().any(|&r| r > 0) || input.machines.iter().any(|m| m.available > 0);
        let problem = Problem {
            durations: input.durations,
            after,
            before,
            topological,
            machines: input.machines,
            groups,
            kinds,
            kind_of: set_of,
            capacities: input.capacities,
            uniform,
            uses,
            users,
            releases,
            delayed,
        };
        problem.check_sums()?;
        Ok(problem)
    }

    /// How many tasks there are.
    pub fn len(&self) -> usize {
        self.durations.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.durations.is_empty()
    }

    /// How long the task takes on a machine of this speed, rounded up to whole milliseconds.
    pub(super) fn time(&self, task: usize, speed: u32) -> u64 {
        scaled(self.durations[task], speed)
    }

    /// The shortest time that any machine takes for the task.
    pub(super) fn shortest(&self, task: usize) -> u64 {
        let kind = &self.kinds[self.kind_of[task] as usize];
        kind.iter()
            .map(|&group| self.time(task, self.groups[group as usize].speed))
            .min()
            .unwrap_or(0)
    }

    fn check_sums(&self) -> Result<(), ProblemError> {
        const LIMIT: u128 = 1 << 60;
        let slowest = self.groups.iter().map(|g| g.speed).min().unwrap_or(1000);
        let mut sum = self.releases.iter().copied().max().unwrap_or(0) as u128;
        sum += self.machines.iter().map(|m| m.available).max().unwrap_or(0) as u128;
        for &duration in &self.durations {
            sum += (duration as u128 * 1000).div_ceil(slowest as u128);
            if sum > LIMIT {
                return Err(ProblemError::Overflow);
            }
        }
        Ok(())
    }
}

/// A duration on a machine of this speed.
fn scaled(duration: u64, speed: u32) -> u64 {
    if speed == 1000 {
        return duration;
    }
    (duration as u128 * 1000).div_ceil(speed as u128) as u64
}

/// One use for each task and resource: amounts named twice add up.
fn merge_uses(uses: &mut Vec<Use>) {
    uses.sort_by_key(|u| (u.task, u.resource));
    uses.dedup_by(|next, kept| {
        let same = (next.task, next.resource) == (kept.task, kept.resource);
        if same {
            kept.amount = kept.amount.saturating_add(next.amount);
        }
        same
    });
    uses.retain(|u| u.amount > 0);
}

fn check_ranges(input: &Input) -> Result<(), ProblemError> {
    let count = input.durations.len() as u32;
    for &(a, b) in &input.edges {
        for end in [a, b] {
            if end >= count {
                return Err(ProblemError::OutOfRange("task", end));
            }
        }
        if a == b {
            return Err(ProblemError::Cycle(vec![a]));
        }
    }
    for usage in &input.uses {
        if usage.task >= count {
            return Err(ProblemError::OutOfRange("task", usage.task));
        }
        let Some(&capacity) = input.capacities.get(usage.resource as usize) else {
            return Err(ProblemError::OutOfRange("resource", usage.resource));
        };
        if usage.amount > capacity && input.durations[usage.task as usize] > 0 {
            return Err(ProblemError::TooMuch {
                task: usage.task,
                resource: usage.resource,
            });
        }
    }
    for &machine in input.sets.iter().flatten() {
        if machine as usize >= input.machines.len() {
            return Err(ProblemError::OutOfRange("machine", machine));
        }
    }
    let sets = input.sets.len().max(1) as u32;
    if let Some(&set) = input.set_of.iter().find(|&&set| set >= sets) {
        return Err(ProblemError::OutOfRange("set", set));
    }
    if let Some(machine) = input.machines.iter().position(|m| m.speed == 0) {
        return Err(ProblemError::OutOfRange("speed of machine", machine as u32));
    }
    if input.machines.is_empty() && count > 0 {
        return Err(ProblemError::NoMachine(0));
    }
    Ok(())
}

/// Kahn's algorithm; what it leaves over holds a cycle.
fn topological(
    after: &Rows<u32>,
    before: &Rows<u32>,
    count: usize,
) -> Result<Vec<u32>, ProblemError> {
    let mut waits: Vec<u32> = (0..count).map(|t| before.row(t).len() as u32).collect();
    let mut order: Vec<u32> = (0..count as u32)
        .filter(|&t| waits[t as usize] == 0)
        .collect();
    let mut done = 0;
    while done < order.len() {
        let task = order[done] as usize;
        done += 1;
        for &next in after.row(task) {
            waits[next as usize] -= 1;
            if waits[next as usize] == 0 {
                order.push(next);
            }
        }
    }
    if order.len() == count {
        return Ok(order);
    }
    Err(ProblemError::Cycle(cycle(after, before, &waits)))
}

/// The shortest cycle through one task that lies on a cycle: walk back over unfinished tasks until
/// one comes again, then search breadth first from it to itself.
fn cycle(after: &Rows<u32>, before: &Rows<u32>, waits: &[u32]) -> Vec<u32> {
    let count = waits.len();
    let mut seen = vec![false; count];
    let mut at = waits.iter().position(|&w| w > 0).unwrap_or(0);
    while !seen[at] {
        seen[at] = true;
        let back = before.row(at).iter().find(|&&b| waits[b as usize] > 0);
        at = *back.expect("a task that still waits, waits for one that still waits") as usize;
    }
    let mut from = vec![u32::MAX; count];
    let mut queue = vec![at as u32];
    let mut next = 0;
    while next < queue.len() {
        let task = queue[next] as usize;
        next += 1;
        for &follower in after.row(task) {
            if follower as usize == at {
                let mut path = vec![task as u32];
                while *path.last().expect("it is not empty") as usize != at {
                    path.push(from[path[path.len() - 1] as usize]);
                }
                path.reverse();
                return path;
            }
            if waits[follower as usize] > 0 && from[follower as usize] == u32::MAX {
                from[follower as usize] = task as u32;
                queue.push(follower);
            }
        }
    }
    vec![at as u32]
}

/// Machines of the same speed in the same sets.
fn groups(machines: &[Machine], sets: &[Vec<u32>]) -> Vec<Group> {
    let mut member: Vec<Vec<u32>> = vec![Vec::new(); machines.len()];
    for (number, set) in sets.iter().enumerate() {
        for &machine in set {
            member[machine as usize].push(number as u32);
        }
    }
    let mut places: HashMap<(u32, Vec<u32>), usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (number, (machine, mut sets)) in machines.iter().zip(member).enumerate() {
        sets.dedup();
        let place = *places.entry((machine.speed, sets)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Group {
                machines: Vec::new(),
                speed: machine.speed,
            });
        }
        groups[place].machines.push(number as u32);
    }
    groups
}

/// The groups of each set: the fastest first, then the least versatile (those that could do the
/// least of all the work), so that a specialist is not left idle while a generalist does its part.
fn kinds(groups: &[Group], sets: &[Vec<u32>], set_of: &[u32], durations: &[u64]) -> Vec<Vec<u32>> {
    let mut group_of: HashMap<u32, u32> = HashMap::new();
    for (number, group) in groups.iter().enumerate() {
        for &machine in &group.machines {
            group_of.insert(machine, number as u32);
        }
    }
    let mut work = vec![0u128; sets.len()];
    for (&set, &duration) in set_of.iter().zip(durations) {
        work[set as usize] += duration as u128;
    }
    let mut kinds: Vec<Vec<u32>> = sets
        .iter()
        .map(|set| {
            let mut kind: Vec<u32> = set.iter().map(|machine| group_of[machine]).collect();
            kind.sort_unstable();
            kind.dedup();
            kind
        })
        .collect();
    let mut versatility = vec![0u128; groups.len()];
    for (kind, work) in kinds.iter().zip(&work) {
        for &group in kind {
            versatility[group as usize] += work;
        }
    }
    for kind in &mut kinds {
        kind.sort_by_key(|&g| {
            let group = &groups[g as usize];
            (std::cmp::Reverse(group.speed), versatility[g as usize], g)
        });
    }
    kinds
}
