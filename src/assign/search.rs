//! The search for a short schedule: list, forward-backward improvement, then again from a slightly
//! shaken schedule for as long as the effort lasts.

use super::bound::{self, Bound, Windows};
use super::problem::Problem;
use super::schedule::{Decoder, Direction, Kept, Schedule};

/// How hard to look for a better schedule.
///
/// It is counted in steps of the search, not by a clock, so that equal input gives equal output on
/// every machine; one millisecond of effort is about one millisecond on one core of 2024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    units: u64,
}

impl Effort {
    /// What `--effort` means when it is not given.
    pub const DEFAULT: Effort = Effort::millis(50);

    /// List scheduling and one improvement only.
    pub const NONE: Effort = Effort::millis(0);

    /// About so many milliseconds.
    pub const fn millis(millis: u64) -> Effort {
        Effort {
            units: millis.saturating_mul(UNITS_PER_MILLI),
        }
    }

    /// This effort, divided among `parts` searches.
    pub fn shared_by(self, parts: u64) -> Effort {
        Effort {
            units: self.units / parts.max(1),
        }
    }
}

/// Measured with `cargo bench --bench schedules`: the units that [`Decoder`] counts per millisecond.
const UNITS_PER_MILLI: u64 = 600_000;

/// Above this many tasks the search stops after list and improvement.
const SEARCHED: usize = 20_000;
/// Above this many tasks the serial scheme, whose gaps make it quadratic at worst, is left out.
const SERIAL: usize = 2_000;
/// Up to so many tasks every order of them may be tried.
const FEW: usize = 12;
/// After so many steps without success the search goes back to the best, or begins anew; small
/// problems are looked through sooner.
const PATIENCE: u32 = 60;

/// A schedule, how good it is, and how that is known.
#[derive(Debug, Clone)]
pub struct Solution {
    /// The schedule.
    pub schedule: Schedule,
    /// When it ends, in milliseconds.
    pub makespan: u64,
    /// No schedule can end before this.
    pub bound: Bound,
}

impl Solution {
    /// Whether no schedule can be shorter.
    pub fn is_optimal(&self) -> bool {
        self.makespan == self.bound.value
    }
}

/// Looks for a short schedule.
///
/// `stop` is asked between steps, for callers who cannot wait; if it ever says yes the result may
/// differ from run to run, otherwise it depends on `problem` and `effort` alone.
pub fn solve(problem: &Problem, effort: Effort, stop: &mut dyn FnMut() -> bool) -> Solution {
    let windows = Windows::new(problem);
    let mut bound = bound::quick(problem, &windows);
    let mut search = Search::new(problem);
    search.first(&priorities(problem));
    if search.best.makespan > bound.value && problem.len() <= SEARCHED && effort.units > 0 {
        bound = bound::deep(problem, &windows, bound, search.best.makespan);
    }
    if problem.len() <= SEARCHED {
        search.run(bound.value, effort.units, stop);
    }
    let makespan = search.best.makespan;
    Solution {
        schedule: search.best.named(problem),
        makespan,
        bound,
    }
}

/// A lower bound alone.
pub fn lower_bound(problem: &Problem) -> Bound {
    let windows = Windows::new(problem);
    let quick = bound::quick(problem, &windows);
    bound::deep(problem, &windows, quick, u64::MAX)
}

/// A schedule in which the wanted tasks come as early as they can, before all others are placed
/// around them. Who is wanted must not wait for one who is not.
pub(super) fn prefixed(problem: &Problem, wanted: &[bool]) -> Schedule {
    let (mut order, others): (Vec<u32>, Vec<u32>) = priorities(problem)
        .into_iter()
        .partition(|&task| wanted[task as usize]);
    order.extend(others);
    let mut decoder = Decoder::new(problem);
    let makespan = if problem.len() <= SERIAL {
        decoder.serial(Direction::Forward, &order)
    } else {
        decoder.parallel(Direction::Forward, &order)
    };
    let mut kept = Kept::default();
    kept.keep(&decoder, makespan);
    kept.named(problem)
}

/// The schedule in which each task runs on the machine that it was dealt to, whatever is most urgent
/// first.
pub(super) fn dispatched(problem: &Problem, order: &[u32]) -> Schedule {
    let mut decoder = Decoder::new(problem);
    let makespan = decoder.parallel(Direction::Forward, order);
    let mut kept = Kept::default();
    kept.keep(&decoder, makespan);
    kept.named(problem)
}

/// The tasks by how much must still happen once they begin: the longest path through edges, and
/// through the locks and pools that they share; then by how many wait for them, then as they came.
pub fn priorities(problem: &Problem) -> Vec<u32> {
    let rest = rest(problem);
    let mut order: Vec<u32> = (0..problem.len() as u32).collect();
    order.sort_unstable_by_key(|&task| {
        let task = task as usize;
        let waiting = problem.after.row(task).len();
        (std::cmp::Reverse((rest[task], waiting)), task)
    });
    order
}

/// How much must still happen from the start of each task on, at the least likely order of those
/// who share a lock: the one with the most behind it first.
pub(super) fn rest(problem: &Problem) -> Vec<u64> {
    let count = problem.len();
    let mut rest = vec![0u64; count];
    let mut order: Vec<u32> = problem.topological.clone();
    for &task in order.iter().rev() {
        let task = task as usize;
        let after = problem.after.row(task).iter();
        rest[task] = problem.shortest(task) + after.map(|&n| rest[n as usize]).max().unwrap_or(0);
    }
    if problem.capacities.is_empty() {
        return rest;
    }
    // Ends first. A task of no length has as much behind it as its follower: the topological order
    // decides between them.
    let mut place = vec![0u32; count];
    for (number, &task) in problem.topological.iter().enumerate() {
        place[task as usize] = number as u32;
    }
    let plain = rest.clone();
    order.sort_unstable_by_key(|&t| (plain[t as usize], std::cmp::Reverse(place[t as usize])));
    let mut queued = vec![0u128; problem.capacities.len()];
    for &task in &order {
        let task = task as usize;
        let time = problem.shortest(task);
        let after = problem.after.row(task).iter();
        let mut behind = after.map(|&n| rest[n as usize]).max().unwrap_or(0);
        for &(resource, _) in problem.uses.row(task) {
            let capacity = u128::from(problem.capacities[resource as usize]);
            behind = behind.max((queued[resource as usize] / capacity) as u64);
        }
        rest[task] = behind + time;
        for &(resource, amount) in problem.uses.row(task) {
            let capacity = u128::from(problem.capacities[resource as usize]);
            let queue = &mut queued[resource as usize];
            *queue = if capacity == 1 {
                u128::from(rest[task])
            } else {
                (*queue).max(u128::from(behind.saturating_sub(time)) * capacity)
                    + u128::from(time) * u128::from(amount)
            };
        }
    }
    rest
}

struct Search<'p> {
    problem: &'p Problem,
    decoder: Decoder<'p>,
    best: Kept,
    /// Sort keys beside their tasks, reused.
    keyed: Vec<(u64, u32)>,
    order: Vec<u32>,
}

impl<'p> Search<'p> {
    fn new(problem: &'p Problem) -> Search<'p> {
        Search {
            problem,
            decoder: Decoder::new(problem),
            best: Kept::default(),
            keyed: Vec::with_capacity(problem.len()),
            order: Vec::with_capacity(problem.len()),
        }
    }

    /// The list schedules of one order, improved; the better one is kept.
    fn first(&mut self, order: &[u32]) {
        let makespan = self.decoder.parallel(Direction::Forward, order);
        self.best.keep(&self.decoder, makespan);
        let serial = self.problem.len() <= SERIAL;
        let makespan = self.improved(makespan, serial);
        self.keep_if_better(makespan);
        if serial {
            let makespan = self.decoder.serial(Direction::Forward, order);
            self.keep_if_better(makespan);
            let makespan = self.improved(makespan, true);
            self.keep_if_better(makespan);
        }
    }

    fn keep_if_better(&mut self, makespan: u64) -> bool {
        let better = makespan < self.best.makespan;
        if better {
            self.best.keep(&self.decoder, makespan);
        }
        better
    }

    /// Forward-backward improvement of what the decoder holds (Li and Willis 1992; Tormos and Lova
    /// 2001): push every task as late as it goes, in the order of its end, then as early as it goes.
    /// Repeated while it helps; the decoder is left with the last schedule, which is the best unless
    /// delays were in the way.
    fn improved(&mut self, mut makespan: u64, serial: bool) -> u64 {
        let mut kept = Kept::default();
        loop {
            kept.keep(&self.decoder, makespan);
            self.sort_by_end();
            self.decode(Direction::Backward, serial);
            self.sort_by_end();
            let next = self.decode(Direction::Forward, serial);
            if next > makespan {
                self.decoder.restore(&kept);
                return makespan;
            }
            if next == makespan || !serial {
                return next;
            }
            makespan = next;
        }
    }

    fn decode(&mut self, direction: Direction, serial: bool) -> u64 {
        if serial {
            self.decoder.serial(direction, &self.order)
        } else {
            self.decoder.parallel(direction, &self.order)
        }
    }

    /// Latest end first, as the other direction wants it.
    fn sort_by_end(&mut self) {
        let finish = &self.decoder.finish;
        self.keyed.clear();
        self.keyed
            .extend((0..finish.len()).map(|t| (u64::MAX - finish[t], t as u32)));
        self.sort();
    }

    fn sort(&mut self) {
        self.keyed.sort_unstable();
        self.order.clear();
        self.order.extend(self.keyed.iter().map(|&(_, task)| task));
        self.decoder.work += 12 * self.keyed.len() as u64;
    }

    /// Shakes the present schedule, improves it, and keeps it if it is no worse, until the bound is
    /// met or the effort is spent.
    fn run(&mut self, bound: u64, units: u64, stop: &mut dyn FnMut() -> bool) {
        self.decoder.work = 0;
        let mut random = Random(0x5eed_0f5e_ed0f_5eed);
        let mut present = self.best.clone();
        let rest = rest(self.problem);
        let mut idle = 0u32;
        let patience = PATIENCE.min(8 + self.problem.len() as u32);
        while self.best.makespan > bound && self.decoder.work < units && !stop() {
            self.shake(&present, &mut random);
            let serial = self.problem.len() <= SERIAL && random.below(2) == 0;
            let makespan = self.decode(Direction::Forward, serial);
            let serial = self.problem.len() <= SERIAL;
            let makespan = self.improved(makespan, serial);
            idle += 1;
            if self.keep_if_better(makespan) {
                idle = 0;
            }
            if makespan <= present.makespan {
                present.keep(&self.decoder, makespan);
            }
            if idle >= patience {
                idle = 0;
                match random.below(3) {
                    0 => present.clone_from(&self.best),
                    1 => present.keep(&self.decoder, makespan),
                    _ => self.anew(&mut present, &rest, &mut random),
                }
            }
        }
    }

    /// A fresh start far from the best: the priorities of the list with much noise. Locks make
    /// valleys out of which small steps do not lead.
    fn anew(&mut self, present: &mut Kept, rest: &[u64], random: &mut Random) {
        let most = rest.iter().copied().max().unwrap_or(0);
        let noise = (most >> random.below(4)).max(1);
        self.keyed.clear();
        for (task, &rest) in rest.iter().enumerate() {
            let key = most - rest + random.below(noise);
            self.keyed.push((key, task as u32));
        }
        self.sort();
        let serial = self.problem.len() <= SERIAL;
        let makespan = self.decode(Direction::Forward, serial);
        self.keep_if_better(makespan);
        present.keep(&self.decoder, makespan);
    }

    /// An order by start times with some noise: now a hundredth of the whole, now a quarter; among
    /// few tasks up to the whole, so that every order can come.
    fn shake(&mut self, present: &Kept, random: &mut Random) {
        const SHARES: [u64; 6] = [100, 50, 25, 12, 8, 4];
        const SHARES_OF_FEW: [u64; 4] = [8, 4, 2, 1];
        const FINE: u64 = 16;
        let shares: &[u64] = if self.problem.len() <= FEW {
            &SHARES_OF_FEW
        } else {
            &SHARES
        };
        let share = shares[random.below(shares.len() as u64) as usize];
        let noise = (present.makespan * FINE / share).max(2 * FINE);
        self.keyed.clear();
        for (task, &start) in present.start.iter().enumerate() {
            self.keyed
                .push((start * FINE + random.below(noise), task as u32));
        }
        self.sort();
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, and the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        ((self.next() as u128 * limit as u128) >> 64) as u64
    }
}
