//! The receiver's side: a message is put into the mailbox on disk, then acknowledged to the bus.
//!
//! One who holds the lock `mail/NAME/.custody` fetches; all who read the mailbox read what it
//! brings. Killed between the two steps, the message comes again and is dropped by its id: it is
//! waiting, held, done or dead in the mailbox.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use super::outbox::lock_file;
use super::{Error, Foreign, Parcel, Transport, WINDOW};
use crate::spool::{Clock, Id, Lane, Mailbox, Post};
use crate::swarm::files;

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
pub fn take(bus: &mut dyn Transport, mailbox: &Mailbox, wait: Duration) -> Result<Took, Error> {
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
    took.new = deliver(mailbox, parcels)?;
    took.known = all - took.new;
    bus.settle(mailbox.name(), &tokens)?;
    Ok(took)
}

/// Puts messages into a mailbox that it does not have yet; says how many those were.
///
/// # Errors
/// When the disk takes nothing.
pub fn deliver(mailbox: &Mailbox, parcels: Vec<Parcel>) -> Result<usize, Error> {
    if parcels.is_empty() {
        return Ok(0);
    }
    let mut here: HashSet<Id> = mailbox.list()?.iter().map(|entry| entry.name.id).collect();
    let mut fresh = Vec::with_capacity(parcels.len());
    for parcel in parcels {
        let settled = mailbox.settled(parcel.id).map_err(|errno| Error::Io {
            path: mailbox.path().to_owned(),
            source: errno.into(),
        })?;
        if settled.is_none() && here.insert(parcel.id) {
            fresh.push(parcel);
        }
    }
    let count = fresh.len();
    let plain = |parcel: &Parcel| parcel.lane == Lane::Normal && parcel.expiry.is_none();
    if count >= 8 && fresh.iter().all(plain) {
        let batch = fresh.iter().map(|parcel| (parcel.id, &parcel.bytes));
        mailbox.deliver_batch(batch, &Post::default())?;
        return Ok(count);
    }
    for parcel in &fresh {
        let post = Post {
            lane: parcel.lane,
            expiry: parcel.expiry,
            sync: true,
        };
        mailbox.deliver(parcel.id, &parcel.bytes, &post)?;
    }
    Ok(count)
}

/// Keeps what came and is no message where a person can look at it: `.foreign/` in the mailbox.
fn put_aside(mailbox: &Path, foreign: &Foreign) -> Result<(), Error> {
    let directory = mailbox.join(".foreign");
    files::make_dir(&directory).map_err(Error::io(&directory))?;
    let file = directory.join(Clock::Kernel.id().to_string());
    let text = [format!("{}\n\n", foreign.why).as_bytes(), &foreign.bytes].concat();
    files::write_whole(&file, &text).map_err(Error::io(&file))
}
