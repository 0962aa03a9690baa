//! From an order of the tasks to a schedule, in two ways, forwards and backwards; and the checker
//! that trusts neither.
//!
//! *Parallel*: go through time, and whenever a machine is free start the first task in the order
//! that may start. *Serial*: go through the tasks in the order and put each where it ends earliest,
//! also into gaps. Both are known as schedule generation schemes (Kolisch, *Serial and parallel
//! resource-constrained project scheduling methods revisited*, EJOR 90, 1996).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::problem::Problem;

/// When and where each task runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    /// When each task starts, in milliseconds.
    pub start: Vec<u64>,
    /// When each task ends.
    pub finish: Vec<u64>,
    /// The machine that runs each task.
    pub machine: Vec<u32>,
}

impl Schedule {
    /// When the last task ends.
    pub fn makespan(&self) -> u64 {
        self.finish.iter().copied().max().unwrap_or(0)
    }
}

/// What is wrong with a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The task runs for another time than it takes on its machine.
    #[error("task {0} does not run for as long as it takes")]
    Length(u32),
    /// The task starts before it may.
    #[error("task {0} starts before it may")]
    Early(u32),
    /// The task starts before one that it waits for has ended.
    #[error("task {after} starts before task {before} has ended")]
    Order {
        /// The one that is waited for.
        before: u32,
        /// The one that waits.
        after: u32,
    },
    /// The machine may not run the task, or does not exist.
    #[error("task {task} may not run on machine {machine}")]
    Machine {
        /// The task.
        task: u32,
        /// The machine.
        machine: u32,
    },
    /// Two tasks on one machine at one time.
    #[error("machine {machine} runs tasks {one} and {other} at the same time")]
    Overlap {
        /// The machine.
        machine: u32,
        /// The earlier task.
        one: u32,
        /// The later task.
        other: u32,
    },
    /// More of a resource in use than there is.
    #[error("resource {resource} is overdrawn when task {task} starts")]
    Resource {
        /// The resource.
        resource: u32,
        /// The task whose start is one too many.
        task: u32,
    },
}

impl Problem {
    /// Looks whether a schedule keeps every rule of the problem. Shares no code with what makes
    /// schedules.
    ///
    /// # Errors
    /// The first flaw found.
    pub fn check(&self, schedule: &Schedule) -> Result<(), Flaw> {
        for task in 0..self.len() {
            let machine = schedule.machine[task];
            let allowed = self.kinds[self.kind_of[task] as usize]
                .iter()
                .find(|&&g| self.groups[g as usize].machines.contains(&machine));
            let Some(&group) = allowed else {
                return Err(Flaw::Machine {
                    task: task as u32,
                    machine,
                });
            };
            let time = self.time(task, self.groups[group as usize].speed);
            if schedule.start[task] + time != schedule.finish[task] {
                return Err(Flaw::Length(task as u32));
            }
            let available = self.machines[machine as usize].available;
            let earliest = if time == 0 { 0 } else { available };
            if schedule.start[task] < self.releases[task].max(earliest) {
                return Err(Flaw::Early(task as u32));
            }
            for &next in self.after.row(task) {
                if schedule.start[next as usize] < schedule.finish[task] {
                    return Err(Flaw::Order {
                        before: task as u32,
                        after: next,
                    });
                }
            }
        }
        self.check_machines(schedule)?;
        self.check_resources(schedule)
    }

    fn check_machines(&self, schedule: &Schedule) -> Result<(), Flaw> {
        let mut by_start: Vec<usize> = (0..self.len())
            .filter(|&t| schedule.finish[t] > schedule.start[t])
            .collect();
        by_start.sort_by_key(|&t| (schedule.machine[t], schedule.start[t]));
        for pair in by_start.windows(2) {
            let same = schedule.machine[pair[0]] == schedule.machine[pair[1]];
            if same && schedule.start[pair[1]] < schedule.finish[pair[0]] {
                return Err(Flaw::Overlap {
                    machine: schedule.machine[pair[0]],
                    one: pair[0] as u32,
                    other: pair[1] as u32,
                });
            }
        }
        Ok(())
    }

    fn check_resources(&self, schedule: &Schedule) -> Result<(), Flaw> {
        for (resource, &capacity) in self.capacities.iter().enumerate() {
            let mut events: Vec<(u64, bool, u32, u32)> = Vec::new();
            for &(task, amount) in self.users.row(resource) {
                let (start, finish) = (
                    schedule.start[task as usize],
                    schedule.finish[task as usize],
                );
                if finish > start {
                    events.push((finish, false, amount, task));
                    events.push((start, true, amount, task));
                }
            }
            events.sort_unstable();
            let mut used = 0u64;
            for (_, starts, amount, task) in events {
                if !starts {
                    used -= u64::from(amount);
                    continue;
                }
                used += u64::from(amount);
                if used > u64::from(capacity) {
                    return Err(Flaw::Resource {
                        resource: resource as u32,
                        task,
                    });
                }
            }
        }
        Ok(())
    }
}

/// Which end of time a decoder works from. Backwards, the edges are turned round, and delays of
/// machines and tasks are left out: what comes of it is an order, not a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// A step function of time: what is in use from `times[i]` on.
#[derive(Debug, Clone, Default)]
struct Profile {
    times: Vec<u64>,
    used: Vec<u32>,
}

impl Profile {
    fn reset(&mut self) {
        self.times.clear();
        self.used.clear();
        self.times.push(0);
        self.used.push(0);
    }

    /// The earliest time from `from` on at which at most `limit` is in use for `length`. `steps`
    /// counts the work.
    fn earliest(&self, from: u64, length: u64, limit: u32, steps: &mut u64) -> u64 {
        let mut at = from;
        let mut place = self.times.partition_point(|&t| t <= from) - 1;
        let first = place;
        loop {
            if self.used[place] > limit {
                // The last step is of nothing in use, so there always is a next one.
                place += 1;
                at = self.times[place];
                continue;
            }
            let end = self.times.get(place + 1);
            if end.is_none_or(|&end| end >= at + length) {
                *steps += (place - first) as u64 + 4;
                return at;
            }
            place += 1;
        }
    }

    fn add(&mut self, start: u64, finish: u64, amount: u32) {
        let first = self.cut(start);
        let last = self.cut(finish);
        for used in &mut self.used[first..last] {
            *used += amount;
        }
    }

    /// Makes a step begin at `time`, and says which.
    fn cut(&mut self, time: u64) -> usize {
        let place = self.times.partition_point(|&t| t < time);
        if self.times.get(place) != Some(&time) {
            self.times.insert(place, time);
            self.used.insert(place, self.used[place - 1]);
        }
        place
    }
}

type Heap<T> = BinaryHeap<Reverse<T>>;

/// Makes schedules from orders, again and again in the same memory.
pub(super) struct Decoder<'p> {
    problem: &'p Problem,
    pub(super) start: Vec<u64>,
    pub(super) finish: Vec<u64>,
    pub(super) group: Vec<u32>,
    /// How much was done so far, in units of about a nanosecond and a half: the clock of a search
    /// that must give the same result on every machine.
    pub(super) work: u64,
    order: Vec<u32>,
    rank: Vec<u32>,
    waits: Vec<u32>,
    ready: Vec<Heap<u32>>,
    parked: Vec<Heap<u32>>,
    events: Heap<(u64, u32)>,
    free: Vec<u32>,
    left: Vec<u32>,
    instant: Vec<u32>,
    profiles: Vec<Profile>,
}

impl<'p> Decoder<'p> {
    pub(super) fn new(problem: &'p Problem) -> Decoder<'p> {
        let count = problem.len();
        Decoder {
            problem,
            start: vec![0; count],
            finish: vec![0; count],
            group: vec![0; count],
            work: 0,
            order: Vec::new(),
            rank: vec![0; count],
            waits: vec![0; count],
            ready: vec![Heap::new(); problem.kinds.len()],
            parked: vec![Heap::new(); problem.capacities.len()],
            events: Heap::new(),
            free: Vec::new(),
            left: Vec::new(),
            instant: Vec::new(),
            profiles: Vec::new(),
        }
    }

    /// The parallel scheme over the tasks in `order`; returns the makespan.
    pub(super) fn parallel(&mut self, direction: Direction, order: &[u32]) -> u64 {
        self.begin(direction, order);
        let problem = self.problem;
        let delays = direction == Direction::Forward && problem.delayed;
        self.free.clear();
        self.free
            .extend(problem.groups.iter().map(|g| g.machines.len() as u32));
        self.left.clear();
        self.left.extend_from_slice(&problem.capacities);
        self.events.clear();
        let count = problem.len() as u32;
        if delays {
            for (number, group) in problem.groups.iter().enumerate() {
                for &machine in &group.machines {
                    let available = problem.machines[machine as usize].available;
                    if available > 0 {
                        self.free[number] -= 1;
                        self.events
                            .push(Reverse((available, count + number as u32)));
                    }
                }
            }
        }
        for &task in order {
            if self.waits[task as usize] == 0 {
                self.arrive(task, 0, delays);
            }
        }
        self.drain(direction, 0, delays);
        let mut makespan = 0;
        loop {
            self.start_all(makespan);
            let Some(Reverse((now, first))) = self.events.pop() else {
                break;
            };
            makespan = now;
            self.happen(direction, now, first, delays);
            while let Some(&Reverse((time, next))) = self.events.peek() {
                if time != now {
                    break;
                }
                self.events.pop();
                self.happen(direction, now, next, delays);
            }
            self.drain(direction, now, delays);
        }
        self.work += self.cost() * (6 + problem.len().max(2).ilog2() as u64);
        self.finish.iter().copied().max().unwrap_or(0)
    }

    fn cost(&self) -> u64 {
        let problem = self.problem;
        (2 * problem.len() + problem.after.total() / 2 + 2 * problem.uses.total()) as u64
    }

    fn begin(&mut self, direction: Direction, order: &[u32]) {
        let problem = self.problem;
        self.order.clear();
        self.order.extend_from_slice(order);
        for (rank, &task) in order.iter().enumerate() {
            self.rank[task as usize] = rank as u32;
        }
        let before = match direction {
            Direction::Forward => &problem.before,
            Direction::Backward => &problem.after,
        };
        for task in 0..problem.len() {
            self.waits[task] = before.row(task).len() as u32;
        }
        self.ready.iter_mut().for_each(BinaryHeap::clear);
        self.parked.iter_mut().for_each(BinaryHeap::clear);
        self.instant.clear();
    }

    /// A task whose predecessors have ended: it is ready, or ends at once, or waits for its release.
    fn arrive(&mut self, task: u32, now: u64, delays: bool) {
        let problem = self.problem;
        let release = problem.releases[task as usize];
        if delays && release > now {
            let number = (problem.len() + problem.groups.len()) as u32 + task;
            self.events.push(Reverse((release, number)));
        } else if problem.durations[task as usize] == 0 {
            self.instant.push(task);
        } else {
            self.make_ready(task);
        }
    }

    fn make_ready(&mut self, task: u32) {
        let kind = self.problem.kind_of[task as usize] as usize;
        self.ready[kind].push(Reverse(self.rank[task as usize]));
    }

    /// Tasks that take no time end where they begin, and so may those behind them.
    fn drain(&mut self, direction: Direction, now: u64, delays: bool) {
        while let Some(task) = self.instant.pop() {
            let place = task as usize;
            self.start[place] = now;
            self.finish[place] = now;
            self.group[place] = self.problem.kinds[self.problem.kind_of[place] as usize][0];
            self.release_followers(direction, place, now, delays);
        }
    }

    fn release_followers(&mut self, direction: Direction, task: usize, now: u64, delays: bool) {
        let problem = self.problem;
        let after = match direction {
            Direction::Forward => problem.after.row(task),
            Direction::Backward => problem.before.row(task),
        };
        for &next in after {
            self.waits[next as usize] -= 1;
            if self.waits[next as usize] == 0 {
                self.arrive(next, now, delays);
            }
        }
    }

    /// An event: a task ends (its number), a machine becomes free (count + group), or a task is
    /// released (count + groups + task).
    fn happen(&mut self, direction: Direction, now: u64, number: u32, delays: bool) {
        let problem = self.problem;
        let count = problem.len();
        let groups = problem.groups.len();
        let number = number as usize;
        if number >= count + groups {
            self.arrive((number - count - groups) as u32, now, delays);
        } else if number >= count {
            self.free[number - count] += 1;
        } else {
            self.free[self.group[number] as usize] += 1;
            for &(resource, amount) in problem.uses.row(number) {
                self.left[resource as usize] += amount;
                self.wake(resource as usize, amount);
            }
            self.release_followers(direction, number, now, delays);
        }
    }

    /// Lets tasks that were parked on a resource try again: as many as there is room for where all
    /// need one, otherwise all.
    fn wake(&mut self, resource: usize, room: u32) {
        let one_each = self.problem.uniform[resource] && self.problem.kinds.len() == 1;
        let mut room = if one_each { room } else { u32::MAX };
        while room > 0
            && let Some(Reverse(rank)) = self.parked[resource].pop()
        {
            self.make_ready(self.order[rank as usize]);
            room -= 1;
        }
    }

    /// Starts what may start at `now`, in the order of the ranks.
    fn start_all(&mut self, now: u64) {
        let problem = self.problem;
        loop {
            let mut best: Option<(u32, usize, u32)> = None;
            for (number, kind) in problem.kinds.iter().enumerate() {
                if let Some(&Reverse(rank)) = self.ready[number].peek()
                    && best.is_none_or(|(other, _, _)| rank < other)
                    && let Some(&group) = kind.iter().find(|&&g| self.free[g as usize] > 0)
                {
                    best = Some((rank, number, group));
                }
            }
            let Some((rank, kind, group)) = best else {
                return;
            };
            self.ready[kind].pop();
            let task = self.order[rank as usize] as usize;
            let uses = problem.uses.row(task);
            let missing = uses
                .iter()
                .find(|&&(r, amount)| self.left[r as usize] < amount);
            if let Some(&(resource, _)) = missing {
                self.parked[resource as usize].push(Reverse(rank));
            } else {
                self.free[group as usize] -= 1;
                for &(resource, amount) in uses {
                    self.left[resource as usize] -= amount;
                }
                let speed = problem.groups[group as usize].speed;
                let finish = now + problem.time(task, speed);
                self.start[task] = now;
                self.finish[task] = finish;
                self.group[task] = group;
                self.events.push(Reverse((finish, task as u32)));
            }
            // Whoever was woken for a resource and did not use it up hands it to the next.
            for &(resource, _) in uses {
                let left = self.left[resource as usize];
                if left > 0 && problem.uniform[resource as usize] && problem.kinds.len() == 1 {
                    self.wake(resource as usize, 1);
                }
            }
        }
    }

    /// The serial scheme over the tasks in `order`; returns the makespan.
    pub(super) fn serial(&mut self, direction: Direction, order: &[u32]) -> u64 {
        self.begin(direction, order);
        self.reset_profiles(direction);
        let problem = self.problem;
        let delays = direction == Direction::Forward && problem.delayed;
        for &task in order {
            if self.waits[task as usize] == 0 {
                self.ready[0].push(Reverse(self.rank[task as usize]));
            }
        }
        for task in 0..problem.len() {
            self.start[task] = if delays { problem.releases[task] } else { 0 };
        }
        let mut makespan = 0;
        while let Some(Reverse(rank)) = self.ready[0].pop() {
            let task = order[rank as usize] as usize;
            let finish = self.place(task);
            makespan = makespan.max(finish);
            let after = match direction {
                Direction::Forward => problem.after.row(task),
                Direction::Backward => problem.before.row(task),
            };
            for &next in after {
                let next = next as usize;
                // Until it is placed, `start` holds the earliest time at which a task may start.
                self.start[next] = self.start[next].max(finish);
                self.waits[next] -= 1;
                if self.waits[next] == 0 {
                    self.ready[0].push(Reverse(self.rank[next]));
                }
            }
        }
        self.work += self.cost() * 6;
        makespan
    }

    /// A profile for each group of machines, then one for each resource.
    fn reset_profiles(&mut self, direction: Direction) {
        let problem = self.problem;
        let groups = problem.groups.len();
        self.profiles
            .resize_with(groups + problem.capacities.len(), Profile::default);
        self.profiles.iter_mut().for_each(Profile::reset);
        if direction == Direction::Backward || !problem.delayed {
            return;
        }
        for (profile, group) in self.profiles.iter_mut().zip(&problem.groups) {
            for &machine in &group.machines {
                let available = problem.machines[machine as usize].available;
                if available > 0 {
                    profile.add(0, available, 1);
                }
            }
        }
    }

    /// Puts a task where it ends earliest, and returns when that is.
    fn place(&mut self, task: usize) -> u64 {
        let problem = self.problem;
        let kind = &problem.kinds[problem.kind_of[task] as usize];
        let earliest = self.start[task];
        if problem.durations[task] == 0 {
            self.group[task] = kind[0];
            self.finish[task] = earliest;
            return earliest;
        }
        let mut best = (u64::MAX, 0, 0);
        for &group in kind {
            let time = problem.time(task, problem.groups[group as usize].speed);
            let start = self.fit(task, group as usize, earliest, time);
            if start + time < best.0 {
                best = (start + time, start, group);
            }
        }
        let (finish, start, group) = best;
        self.start[task] = start;
        self.finish[task] = finish;
        self.group[task] = group;
        self.profiles[group as usize].add(start, finish, 1);
        for &(resource, amount) in problem.uses.row(task) {
            let place = problem.groups.len() + resource as usize;
            self.profiles[place].add(start, finish, amount);
        }
        self.work += 4 * (1 + problem.uses.row(task).len() as u64);
        finish
    }

    /// The earliest time at which the group and every resource have room for as long as it takes.
    fn fit(&mut self, task: usize, group: usize, earliest: u64, time: u64) -> u64 {
        let problem = self.problem;
        let uses = problem.uses.row(task);
        let machines = problem.groups[group].machines.len() as u32;
        let mut start = earliest;
        loop {
            let steps = &mut self.work;
            let before = start;
            start = self.profiles[group].earliest(start, time, machines - 1, steps);
            for &(resource, amount) in uses {
                let limit = problem.capacities[resource as usize] - amount;
                let profile = &self.profiles[problem.groups.len() + resource as usize];
                start = profile.earliest(start, time, limit, steps);
            }
            if start == before || uses.is_empty() {
                return start;
            }
        }
    }

    /// Takes over a schedule that was kept.
    pub(super) fn restore(&mut self, kept: &Kept) {
        self.start.copy_from_slice(&kept.start);
        self.finish.copy_from_slice(&kept.finish);
        self.group.copy_from_slice(&kept.group);
    }
}

/// A schedule by groups, before machines are named.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) start: Vec<u64>,
    pub(super) finish: Vec<u64>,
    pub(super) group: Vec<u32>,
    pub(super) makespan: u64,
}

impl Kept {
    pub(super) fn keep(&mut self, decoder: &Decoder<'_>, makespan: u64) {
        self.start.clone_from(&decoder.start);
        self.finish.clone_from(&decoder.finish);
        self.group.clone_from(&decoder.group);
        self.makespan = makespan;
    }

    /// Names a machine of its group for each task, in the order of starts: one on which a task that
    /// it waits for has just run, otherwise the one that has been free the longest.
    pub(super) fn named(self, problem: &Problem) -> Schedule {
        let mut by_start: Vec<u32> = (0..problem.len() as u32).collect();
        by_start.sort_unstable_by_key(|&t| (self.start[t as usize], t));
        let mut free_at: Vec<u64> = problem.machines.iter().map(|m| m.available).collect();
        let mut last: Vec<u32> = vec![u32::MAX; problem.machines.len()];
        let mut machine_of = vec![u32::MAX; problem.len()];
        let mut waiting: Vec<Heap<(u64, u32)>> = problem
            .groups
            .iter()
            .map(|group| {
                let free = |&m: &u32| Reverse((free_at[m as usize], m));
                group.machines.iter().map(free).collect()
            })
            .collect();
        for task in by_start {
            let place = task as usize;
            let group = self.group[place] as usize;
            if self.start[place] == self.finish[place] {
                machine_of[place] = problem.groups[group].machines[0];
                continue;
            }
            let follows = problem
                .before
                .row(place)
                .iter()
                .rev()
                .copied()
                .find(|&before| {
                    let machine = machine_of[before as usize];
                    machine != u32::MAX
                        && last[machine as usize] == before
                        && self.group[before as usize] as usize == group
                        && free_at[machine as usize] <= self.start[place]
                });
            let machine = match follows {
                Some(before) => machine_of[before as usize],
                None => self.longest_free(&mut waiting[group], &free_at),
            };
            machine_of[place] = machine;
            last[machine as usize] = task;
            free_at[machine as usize] = self.finish[place];
            waiting[group].push(Reverse((self.finish[place], machine)));
        }
        Schedule {
            start: self.start,
            finish: self.finish,
            machine: machine_of,
        }
    }

    /// The machine that has been free the longest; entries that are out of date are thrown away.
    fn longest_free(&self, waiting: &mut Heap<(u64, u32)>, free_at: &[u64]) -> u32 {
        loop {
            let Reverse((time, machine)) = waiting
                .pop()
                .expect("a group never runs more tasks than it has machines");
            if free_at[machine as usize] == time {
                return machine;
            }
        }
    }
}
