//! When to leave a bus alone: decided from what happened last, kept in one small file that all
//! processes share, so that not every message pays for a bus that is away.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::swarm::files;

/// How long a bus is left alone after its first failure; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest time.
const LAST: Duration = Duration::from_secs(30);

/// What is known about a bus that failed. Nothing is known of one that works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trouble {
    /// The version of this form: 1.
    pub v: u32,
    /// When it failed first, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it may be tried again.
    pub until_ms: u64,
    /// How often it failed since.
    pub failures: u32,
    /// What was wrong the last time.
    pub why: String,
}

/// What to do with a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Use it.
    Use,
    /// Leave it alone until then.
    LeaveAlone {
        /// Milliseconds since 1970.
        until_ms: u64,
    },
    /// One may try: the others wait for the outcome.
    TryOne,
}

/// What to do at `now_ms`. A time further away than we ever set is one of a clock that was moved.
pub fn advise(trouble: Option<&Trouble>, now_ms: u64) -> Advice {
    match trouble {
        None => Advice::Use,
        Some(trouble) => {
            let left = trouble.until_ms.saturating_sub(now_ms);
            if left > 0 && left <= (LAST * 2).as_millis() as u64 {
                Advice::LeaveAlone {
                    until_ms: trouble.until_ms,
                }
            } else {
                Advice::TryOne
            }
        }
    }
}

/// The trouble after one more failure; `jitter` from 0 to 255 spreads the next tries by a fifth.
pub fn after_failure(before: Option<&Trouble>, why: &str, now_ms: u64, jitter: u8) -> Trouble {
    let failures = before
        .map_or(0, |trouble| trouble.failures)
        .saturating_add(1);
    let pause = FIRST.saturating_mul(1 << (failures - 1).min(5)).min(LAST);
    let pause = pause.as_millis() as u64;
    let spread = pause * u64::from(jitter) * 2 / 5 / 255;
    Trouble {
        v: 1,
        since_ms: before.map_or(now_ms, |trouble| trouble.since_ms),
        until_ms: now_ms + pause - pause / 5 + spread,
        failures,
        why: why.to_owned(),
    }
}

/// The breaker of one bus on disk.
#[derive(Debug)]
pub struct Breaker {
    file: PathBuf,
}

impl Breaker {
    /// The breaker that stands in this directory.
    pub fn at(directory: &Path) -> Breaker {
        Breaker {
            file: directory.join(".breaker"),
        }
    }

    /// What is known; nothing for a bus that works, and for a file that cannot be read.
    pub fn read(&self) -> Option<Trouble> {
        let bytes = files::read_if_there(&self.file, 64 * 1024).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// The right to be the one who tries: held until the value is dropped.
    pub fn probe(&self) -> Option<std::fs::File> {
        let lock = self.file.with_extension("probe");
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true);
        let file = files::open_private(file, &lock).ok()?;
        file.try_lock().ok().map(|()| file)
    }

    /// Notes a failure; says whether the bus had worked until now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn failed(&self, why: &str, now_ms: u64) -> Result<bool, Error> {
        let before = self.read();
        let jitter = uuid::Uuid::new_v4().as_bytes()[0];
        let trouble = after_failure(before.as_ref(), why, now_ms, jitter);
        let mut text = serde_json::to_vec(&trouble).unwrap_or_default();
        text.push(b'\n');
        // Not synced: a breaker that is lost costs one more try.
        let aside = self
            .file
            .with_extension(format!("tmp-{}", std::process::id()));
        std::fs::write(&aside, &text)
            .and_then(|()| std::fs::rename(&aside, &self.file))
            .map_err(Error::io(&self.file))?;
        Ok(before.is_none())
    }

    /// Notes that it works; gives back what had been wrong until now.
    pub fn worked(&self) -> Option<Trouble> {
        let before = self.read()?;
        drop(std::fs::remove_file(&self.file));
        Some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_half_a_minute_and_are_spread_by_a_fifth() {
        let mut trouble = None;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let next = after_failure(trouble.as_ref(), "refused", 1000, 128);
            pauses.push((next.until_ms - 1000) / 100 * 100);
            trouble = Some(next);
        }
        assert_eq!(pauses, [1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        for jitter in [0, 255] {
            let pause = after_failure(None, "", 0, jitter).until_ms;
            assert!((800..=1200).contains(&pause), "{pause}");
        }
        assert_eq!(trouble.unwrap().since_ms, 1000);
    }

    #[test]
    fn a_failed_bus_is_left_alone_then_one_may_try() {
        let trouble = after_failure(None, "refused", 10_000, 0);
        assert_eq!(advise(None, 0), Advice::Use);
        let alone = Advice::LeaveAlone { until_ms: 10_800 };
        assert_eq!(advise(Some(&trouble), 10_000), alone);
        assert_eq!(advise(Some(&trouble), 10_799), alone);
        assert_eq!(advise(Some(&trouble), 10_800), Advice::TryOne);
        // The clock was set back by a year: nobody waits for it.
        let far = Trouble {
            until_ms: u64::MAX / 2,
            ..trouble
        };
        assert_eq!(advise(Some(&far), 10_000), Advice::TryOne);
    }

    #[test]
    fn the_file_is_shared_and_one_holds_the_probe() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (Breaker::at(dir.path()), Breaker::at(dir.path()));
        assert!(one.failed("refused", 5).unwrap());
        assert!(!other.failed("refused", 6).unwrap());
        assert_eq!(one.read().unwrap().failures, 2);
        let probe = one.probe();
        assert!(probe.is_some() && other.probe().is_none());
        drop(probe);
        assert!(other.probe().is_some());
        assert_eq!(other.worked().unwrap().since_ms, 5);
        assert!(one.read().is_none() && one.worked().is_none());
    }
}
