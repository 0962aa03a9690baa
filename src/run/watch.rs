//! What is seen of a run while it goes on, held against its limits.

use std::time::Duration;

use super::judge::Cause;
use super::process::Sample;
use crate::event::Signs;

/// When a run is ended; what is none has no limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Time from its beginning.
    pub wall: Option<Duration>,
    /// Time without a sign of life.
    pub silence: Option<Duration>,
    /// Memory of all its processes together, in KiB.
    pub memory_kib: Option<u64>,
    /// Turns, as far as the command tells them.
    pub turns: Option<u64>,
    /// Money in US dollars, likewise.
    pub usd: Option<f64>,
}

/// What is seen at one moment.
#[derive(Debug, Clone, Default)]
pub struct Glance {
    /// Time since the beginning.
    pub at: Duration,
    /// Bytes in both transcripts.
    pub bytes: u64,
    /// The processes, if they were looked at.
    pub sample: Option<Sample>,
    /// Turns so far.
    pub turns: Option<u64>,
    /// Tokens so far.
    pub tokens: Option<u64>,
    /// Money so far.
    pub usd: Option<f64>,
}

/// What was seen so far.
#[derive(Debug, Clone)]
pub struct Watch {
    limits: Limits,
    /// The last sign of life.
    sign: Duration,
    /// The last moment at which processes were looked at, and what was seen.
    sampled: (Duration, Sample),
    /// Looks in a row at which nothing was new.
    quiet: u32,
    signs: Signs,
    peak_kib: u64,
}

/// As much processor time as makes a sign of life, in thousandths of one core; timers of a process
/// that only waits use less.
const BUSY: u128 = 10;

impl Watch {
    /// At the beginning.
    pub fn new(limits: Limits) -> Watch {
        Watch {
            limits,
            sign: Duration::ZERO,
            sampled: (Duration::ZERO, Sample::default()),
            quiet: 0,
            signs: Signs::default(),
            peak_kib: 0,
        }
    }

    /// Takes in what is seen now; why the run is to be ended, if it is.
    pub fn take(&mut self, glance: Glance) -> Option<Cause> {
        let mut alive = glance.bytes > self.signs.bytes;
        self.signs.bytes = glance.bytes;
        self.signs.turns = glance.turns;
        self.signs.tokens = glance.tokens;
        self.signs.usd_micros = glance.usd.map(|usd| (usd * 1e6).round() as u64);
        let mut memory = None;
        if let Some(sample) = glance.sample {
            let (before, last) = &self.sampled;
            let time = glance.at.saturating_sub(*before).as_millis();
            let used = u128::from(sample.cpu_ms.saturating_sub(last.cpu_ms));
            alive |= sample.pids != last.pids || used * 1000 > BUSY * time && used >= 10;
            memory = Some(sample.memory_kib);
            self.peak_kib = self.peak_kib.max(sample.memory_kib);
            self.signs.processes = sample.pids.len() as u64;
            // What a process used that has ended meanwhile is no longer in the sum.
            self.signs.cpu_ms = self.signs.cpu_ms.max(sample.cpu_ms);
            self.sampled = (glance.at, sample);
        }
        match alive {
            true => {
                self.sign = glance.at;
                self.quiet = 0;
            }
            false => self.quiet = self.quiet.saturating_add(1),
        }
        self.over(glance.at, memory)
    }

    fn over(&self, now: Duration, memory: Option<u64>) -> Option<Cause> {
        let limits = &self.limits;
        if let (Some(used), Some(limit)) = (memory, limits.memory_kib)
            && used > limit
        {
            return Some(Cause::Memory(used, limit));
        }
        if let (Some(turns), Some(limit)) = (self.signs.turns, limits.turns)
            && turns > limit
        {
            return Some(Cause::Turns(limit));
        }
        if let (Some(spent), Some(limit)) = (self.signs.usd_micros, limits.usd)
            && spent as f64 > limit * 1e6
        {
            return Some(Cause::Money(limit));
        }
        if let Some(limit) = limits.wall.filter(|limit| now >= *limit) {
            return Some(Cause::Wall(millis(limit)));
        }
        let silence = now.saturating_sub(self.sign);
        if let Some(limit) = limits.silence.filter(|limit| silence >= *limit) {
            return Some(Cause::Silence(millis(limit)));
        }
        None
    }

    /// The last sign of life, from the beginning.
    pub fn sign(&self) -> Duration {
        self.sign
    }

    /// What was shown so far.
    pub fn signs(&self) -> Signs {
        self.signs
    }

    /// The most memory seen, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.peak_kib
    }

    /// Whether the processes are to be looked at again: seldom while nothing happens.
    pub fn wants_sample(&self, now: Duration) -> bool {
        now >= self.sampled.0 + self.sample_every()
    }

    fn sample_every(&self) -> Duration {
        const OFTEN: Duration = Duration::from_secs(1);
        const SELDOM: Duration = Duration::from_secs(5);
        let mut every = match self.quiet {
            0..20 => OFTEN,
            _ => SELDOM,
        };
        if self.limits.memory_kib.is_some() {
            every = Duration::from_millis(250);
        }
        if let Some(limit) = self.limits.silence {
            every = every.min(limit / 4);
        }
        every.max(Duration::from_millis(20))
    }

    /// How long one may wait before looking again.
    pub fn pause(&self, now: Duration) -> Duration {
        let mut pause = match self.quiet {
            0..20 => Duration::from_millis(100),
            20..100 => Duration::from_millis(250),
            _ => Duration::from_millis(500),
        };
        pause = pause.min(self.sample_every());
        let left = |limit: Option<Duration>, from: Duration| {
            limit.map(|limit| (from + limit).saturating_sub(now))
        };
        for end in [
            left(self.limits.wall, Duration::ZERO),
            left(self.limits.silence, self.sign),
        ] {
            pause = pause.min(end.unwrap_or(pause));
        }
        pause.max(Duration::from_millis(1))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Glance {
        Glance {
            at: Duration::from_secs(seconds),
            ..Glance::default()
        }
    }

    fn busy(seconds: u64, pids: &[u32], cpu_ms: u64) -> Glance {
        Glance {
            sample: Some(Sample {
                pids: pids.to_vec(),
                cpu_ms,
                memory_kib: 1000,
            }),
            ..at(seconds)
        }
    }

    fn silence(seconds: u64) -> Watch {
        Watch::new(Limits {
            silence: Some(Duration::from_secs(seconds)),
            ..Limits::default()
        })
    }

    #[test]
    fn bytes_processes_and_processor_time_are_signs_of_life_and_timers_are_none() {
        let mut watch = silence(10);
        assert_eq!(watch.take(busy(1, &[7], 0)), None);
        assert_eq!(watch.sign(), Duration::from_secs(1));
        // One thousandth of a core is a timer.
        assert_eq!(watch.take(busy(5, &[7], 4)), None);
        assert_eq!(watch.sign(), Duration::from_secs(1));
        assert_eq!(watch.take(busy(6, &[7], 104)), None);
        assert_eq!(watch.sign(), Duration::from_secs(6));
        assert_eq!(watch.take(busy(8, &[7, 8], 104)), None);
        assert_eq!(watch.sign(), Duration::from_secs(8));
        let said = Glance { bytes: 3, ..at(12) };
        assert_eq!(watch.take(said.clone()), None);
        assert_eq!(watch.sign(), Duration::from_secs(12));
        let still = Glance { bytes: 3, ..at(21) };
        assert_eq!(watch.take(still), None);
        let late = Glance { bytes: 3, ..at(22) };
        assert_eq!(watch.take(late), Some(Cause::Silence(10_000)));
    }

    #[test]
    fn each_limit_ends_a_run_and_none_does_where_there_is_none() {
        let mut free = Watch::new(Limits::default());
        let much = Glance {
            turns: Some(9999),
            usd: Some(1e6),
            ..busy(1_000_000, &[1], 1)
        };
        assert_eq!(free.take(much.clone()), None);
        let limited = |limits: Limits| Watch::new(limits).take(much.clone());
        assert_eq!(
            limited(Limits {
                wall: Some(Duration::from_secs(2)),
                ..Limits::default()
            }),
            Some(Cause::Wall(2000))
        );
        assert_eq!(
            limited(Limits {
                memory_kib: Some(999),
                ..Limits::default()
            }),
            Some(Cause::Memory(1000, 999))
        );
        assert_eq!(
            limited(Limits {
                turns: Some(9998),
                ..Limits::default()
            }),
            Some(Cause::Turns(9998))
        );
        assert_eq!(
            limited(Limits {
                usd: Some(0.5),
                ..Limits::default()
            }),
            Some(Cause::Money(0.5))
        );
    }

    #[test]
    fn a_limit_is_looked_at_when_it_comes() {
        let watch = silence(1);
        assert!(watch.pause(Duration::from_millis(950)) <= Duration::from_millis(50));
        assert!(watch.wants_sample(Duration::from_millis(250)));
    }
}
