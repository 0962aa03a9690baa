//! Figures of every send and receipt: one line each in `journal/traffic-DAY.jsonl`, appended by
//! one write and not synced, because a figure that a power cut takes is nobody's loss.
//!
//! | field | in `sent` | in `received` |
//! |---|---|---|
//! | `road` | `file`, `redis`, … | the same |
//! | `n`, `bytes` | messages of this call and their bytes | the same |
//! | `us` | how long the send took, in microseconds | from the sending to the receipt |
//! | `state` | `delivered`, `confirmed`, `spooled`, `failed` | `acknowledged`, `returned` |
//! | `attempts` | — | how often it was handed out |

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker::Breaker;
use super::select::{Minute, On, QUIET, Situation};
use super::{Address, Error, road};
use crate::spool::{Spool, stamp};
use crate::swarm::{Root, files};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// The version of this form: 1.
    pub v: u32,
    /// `sent` or `received`.
    pub r#type: String,
    /// When, RFC 3339.
    pub at: String,
    /// By which road.
    pub road: String,
    /// How many messages.
    pub n: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// How long it took, in microseconds.
    pub us: u64,
    /// How it ended.
    pub state: String,
    /// How often it was handed out, for a receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

/// Appends a line. Never fails: a figure must not cost a message.
pub fn note(root: &Root, figure: &Figure) {
    drop(try_note(root, figure));
}

fn try_note(root: &Root, figure: &Figure) -> Result<(), Error> {
    let directory = root.journal();
    root.make_dir(&directory)?;
    let day = figure.at.get(..10).unwrap_or("0000-00-00");
    let path = directory.join(format!("traffic-{day}.jsonl"));
    let mut line = serde_json::to_vec(figure).unwrap_or_default();
    line.push(b'\n');
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        files::open_private(options.append(true).create(true), &path).map_err(Error::io(&path))?;
    file.write_all(&line).map_err(Error::io(&path))
}

/// What one road carried in a time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sum {
    /// Messages.
    pub n: u64,
    /// Bytes.
    pub bytes: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Messages that had to wait in the outbox.
    pub spooled: u64,
    /// Microseconds, sorted.
    us: Vec<u64>,
    /// Messages in each second.
    seconds: BTreeMap<String, u64>,
}

impl Sum {
    /// The time below which `percent` of all calls stayed, in microseconds.
    pub fn percentile(&self, percent: u64) -> u64 {
        let last = self.us.len().saturating_sub(1) as u64;
        let at = (last * percent).div_ceil(100) as usize;
        self.us.get(at).copied().unwrap_or(0)
    }

    /// The most messages in one second.
    pub fn peak(&self) -> u64 {
        self.seconds.values().copied().max().unwrap_or(0)
    }

    /// In how many different seconds anything happened.
    pub fn busy_seconds(&self) -> usize {
        self.seconds.len()
    }

    fn add(&mut self, figure: &Figure) {
        self.n += figure.n;
        self.bytes += figure.bytes;
        self.us.push(figure.us);
        match figure.state.as_str() {
            "failed" | "returned" => self.failed += 1,
            "spooled" => self.spooled += figure.n,
            _ => {}
        }
        let second = figure.at.get(..19).unwrap_or("").to_owned();
        *self.seconds.entry(second).or_default() += figure.n;
    }
}

/// The sums since a time (RFC 3339; compared as text, which UTC times allow), by type and road.
///
/// # Errors
/// When the journal cannot be read.
pub fn sums(root: &Root, since: &str) -> Result<BTreeMap<(String, String), Sum>, Error> {
    let mut sums: BTreeMap<(String, String), Sum> = BTreeMap::new();
    for figure in read(root, since)? {
        let key = (figure.r#type.clone(), figure.road.clone());
        sums.entry(key).or_default().add(&figure);
    }
    for sum in sums.values_mut() {
        sum.us.sort_unstable();
    }
    Ok(sums)
}

/// All figures since a time, in the order in which they were noted.
///
/// # Errors
/// When the journal cannot be read.
pub fn read(root: &Root, since: &str) -> Result<Vec<Figure>, Error> {
    let directory = root.journal();
    let mut days: Vec<String> = match std::fs::read_dir(&directory) {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("traffic-") && name.ends_with(".jsonl"))
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(&directory)(error)),
    };
    days.sort();
    let first = format!("traffic-{}", since.get(..10).unwrap_or(""));
    let mut found = Vec::new();
    for day in days.iter().filter(|day| day.as_str() >= first.as_str()) {
        let path = directory.join(day);
        let text = std::fs::read(&path).map_err(Error::io(&path))?;
        let figures = text
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Figure>(line).ok());
        found.extend(figures.filter(|figure| figure.at.as_str() >= since));
    }
    Ok(found)
}

/// A figure of now.
pub fn figure(what: &str, road: &str, n: u64, bytes: u64, took: Duration, state: &str) -> Figure {
    Figure {
        v: 1,
        r#type: what.to_owned(),
        at: crate::swarm::journal::now(),
        road: road.to_owned(),
        n,
        bytes,
        us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        state: state.to_owned(),
        attempts: None,
    }
}

/// What [`super::select::advise`] needs to know, from the figures, the mailboxes and the breaker.
///
/// # Errors
/// When they cannot be read.
pub fn situation(
    root: &Root,
    bus: &Address,
    may_wait_ms: Option<u64>,
    now_ms: u64,
) -> Result<Situation, Error> {
    let now = now_ms / 1000;
    let age = |at: &str| {
        let at: Option<jiff::Timestamp> = at.parse().ok();
        at.map(|at| now.saturating_sub(u64::try_from(at.as_second()).unwrap_or(0)))
    };
    let mut minutes = vec![Minute::default(); QUIET];
    let mut seconds: BTreeMap<u64, u64> = BTreeMap::new();
    let mut waits: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for figure in read(root, &stamp(now.saturating_sub(QUIET as u64 * 60)))? {
        let Some(age) = age(&figure.at) else { continue };
        let place = (age / 60) as usize;
        let Some(minute) = minutes.get_mut(place) else {
            continue;
        };
        if figure.r#type == "received" {
            waits.entry(place).or_default().push(figure.us / 1000);
            continue;
        }
        minute.sends += 1;
        minute.failed += u64::from(figure.state == "failed");
        *seconds.entry(age).or_default() += figure.n;
    }
    for (age, count) in seconds {
        let minute = &mut minutes[(age / 60) as usize];
        minute.peak = minute.peak.max(count);
    }
    for (place, mut waited) in waits {
        waited.sort_unstable();
        let at = ((waited.len() - 1) * 99).div_ceil(100);
        minutes[place].waited_ms = waited[at];
    }
    if let Ok(spool) = Spool::open(&root.mail()) {
        for name in spool.names()? {
            let listed = spool.mailbox(&name)?.list()?;
            for (place, minute) in minutes.iter_mut().enumerate() {
                let before = now.saturating_sub(place as u64 * 60);
                let there = listed
                    .iter()
                    .filter(|entry| entry.name.id.seconds() <= before);
                minute.depth = minute.depth.max(there.count() as u64);
            }
        }
    }
    let moved = road::moved(root)?;
    let on_bus = moved
        .as_ref()
        .is_some_and(|moved| moved.now == bus.to_string());
    let trouble = Breaker::at(&root.outbox().join(bus.slug())).read();
    Ok(Situation {
        on: if on_bus { On::Bus } else { On::Files },
        rested: moved.and_then(|moved| age(&moved.at)).unwrap_or(u64::MAX),
        away: trouble.map(|trouble| now.saturating_sub(trouble.since_ms / 1000)),
        may_wait_ms,
        minutes,
    })
}
