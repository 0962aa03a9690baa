//! The receiver's side: a message is put into the mailbox on disk, then acknowledged to the bus.
//!
//! One who holds the lock `mail/NAME/.custody` fetches; all who read the mailbox read what it
//! brings. Killed between the two steps, the message comes again and is dropped by its id: it is
//! waiting, held, done or dead in the mailbox.
//!
//! Who looks and then delivers holds the lock `mail/NAME/.known`, so that no two deliver one id.
//! What waits is listed once by each who delivers ([`Known`]), and again when another delivered
//! meanwhile: the lock file says who was last. So a window costs the same however much waits.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::outbox::lock_file;
use super::{Error, Foreign, PATIENCE, Parcel, Transport, WINDOW};
use crate::spool::{Clock, Id, Lane, Mailbox, Post};
use crate::swarm::files;

/// The lock of one who looks and delivers.
const LOCK: &str = ".known";

/// What one look at the bus brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// Messages that are new.
    pub new: usize,
    /// Messages that the mailbox had.
    pub known: usize,
    /// What is no message of ours: put aside.
    pub foreign: usize,
}

impl Took {
    /// Whether there was anything.
    pub fn any(self) -> bool {
        self.new + self.known + self.foreign > 0
    }
}

/// The right to fetch for a mailbox; nothing when another has it until `by`.
///
/// # Errors
/// When the lock cannot be opened.
pub fn right(mailbox: &Mailbox, by: Instant) -> Result<Option<File>, Error> {
    lock_file(mailbox.path().join(".custody"), by)
}

/// Fetches once, waiting for the first message at most for `wait`, and takes custody.
///
/// # Errors
/// When the bus is away, or the disk takes nothing: then nothing is acknowledged.
pub fn take(
    bus: &mut dyn Transport,
    mailbox: &Mailbox,
    known: &mut Known,
    wait: Duration,
) -> Result<Took, Error> {
    let fetched = bus.fetch(mailbox.name(), WINDOW, wait)?;
    let mut took = Took::default();
    if fetched.is_empty() {
        return Ok(took);
    }
    let mut tokens = Vec::with_capacity(fetched.len());
    let mut parcels = Vec::with_capacity(fetched.len());
    for delivery in fetched {
        tokens.push(delivery.token);
        match delivery.parcel {
            Ok(parcel) => parcels.push(parcel),
            Err(foreign) => {
                put_aside(mailbox.path(), &foreign)?;
                took.foreign += 1;
            }
        }
    }
    let all = parcels.len();
    took.new = deliver(mailbox, known, parcels)?;
    took.known = all - took.new;
    bus.settle(mailbox.name(), &tokens)?;
    Ok(took)
}

/// The longest that one waits for another who delivers to the same mailbox.
const TURN: Duration = PATIENCE.saturating_mul(5);
/// So many ids are remembered beside those that were listed, before it is listed again.
const REMEMBERED: usize = 1 << 16;

/// What one who delivers to a mailbox knows to be in it, or to have been.
#[derive(Debug)]
pub struct Known {
    /// What the lock file says when we were the last to deliver.
    mark: [u8; 16],
    /// Nothing before the first listing, and when a delivery did not end well.
    ids: Option<HashSet<Id>>,
    /// With more of them it is listed again: most of them are read by then.
    most: usize,
}

impl Default for Known {
    fn default() -> Known {
        Known {
            mark: uuid::Uuid::new_v4().into_bytes(),
            ids: None,
            most: 0,
        }
    }
}

impl Known {
    /// The ids, listed anew where another may have delivered since. Under the lock.
    fn refresh(&mut self, mailbox: &Mailbox, lock: &File) -> Result<&mut HashSet<Id>, Error> {
        let failed = |error| Error::io(mailbox.path().join(LOCK))(error);
        let mut mark = [0; 16];
        let read = lock.read_at(&mut mark, 0).map_err(failed)?;
        if read != mark.len() || mark != self.mark {
            self.ids = None;
            // Before anything is delivered: one who is killed has told all others to look again.
            lock.write_all_at(&self.mark, 0).map_err(failed)?;
        }
        if self.ids.as_ref().is_some_and(|ids| ids.len() > self.most) {
            self.ids = None;
        }
        match &mut self.ids {
            Some(ids) => Ok(ids),
            none => {
                let listed = mailbox.list()?;
                self.most = listed.len() * 2 + REMEMBERED;
                Ok(none.insert(listed.iter().map(|entry| entry.name.id).collect()))
            }
        }
    }
}

/// Puts messages into a mailbox that it does not have yet; says how many those were.
///
/// # Errors
/// When the disk takes nothing.
pub fn deliver(mailbox: &Mailbox, known: &mut Known, parcels: Vec<Parcel>) -> Result<usize, Error> {
    if parcels.is_empty() {
        return Ok(0);
    }
    let lock = mailbox.path().join(LOCK);
    let Some(lock) = lock_file(lock.clone(), Instant::now() + TURN)? else {
        let why = "another process delivers to this mailbox, and does not end";
        let error = io::Error::new(io::ErrorKind::TimedOut, why);
        return Err(Error::io(lock)(error));
    };
    let ids = known.refresh(mailbox, &lock)?;
    let delivered = put(mailbox, ids, parcels);
    if delivered.is_err() {
        // Some of it may be there.
        known.ids = None;
    }
    delivered
}

fn put(mailbox: &Mailbox, ids: &mut HashSet<Id>, parcels: Vec<Parcel>) -> Result<usize, Error> {
    // What a sender on this machine put there itself, under an id of its choice, was not listed.
    let held: HashSet<Id> = mailbox.held()?.iter().map(|entry| entry.name.id).collect();
    let mut fresh = Vec::with_capacity(parcels.len());
    for parcel in parcels {
        let settled = mailbox
            .settled(parcel.id)
            .map_err(|errno| Error::io(mailbox.path())(errno.into()))?;
        let size = parcel.bytes.len() as u64;
        if settled.is_some()
            || held.contains(&parcel.id)
            || mailbox.waits(parcel.id, size, &post(&parcel))?
        {
            ids.insert(parcel.id);
        } else if ids.insert(parcel.id) {
            fresh.push(parcel);
        }
    }
    let plain = |parcel: &Parcel| parcel.lane == Lane::Normal && parcel.expiry.is_none();
    if fresh.len() >= 8 && fresh.iter().all(plain) {
        let batch = fresh.iter().map(|parcel| (parcel.id, &parcel.bytes));
        mailbox.deliver_batch(batch, &Post::default())?;
    } else {
        for parcel in &fresh {
            mailbox.deliver(parcel.id, &parcel.bytes, &post(parcel))?;
        }
    }
    Ok(fresh.len())
}

fn post(parcel: &Parcel) -> Post {
    Post {
        lane: parcel.lane,
        expiry: parcel.expiry,
        sync: true,
    }
}

/// Keeps what came and is no message where a person can look at it: `.foreign/` in the mailbox.
fn put_aside(mailbox: &Path, foreign: &Foreign) -> Result<(), Error> {
    let directory = mailbox.join(".foreign");
    files::make_dir(&directory).map_err(Error::io(&directory))?;
    let file = directory.join(Clock::Kernel.id().to_string());
    let text = [format!("{}\n\n", foreign.why).as_bytes(), &foreign.bytes].concat();
    files::write_whole(&file, &text).map_err(Error::io(&file))
}
