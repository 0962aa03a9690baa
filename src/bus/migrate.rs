//! Moving a whole swarm from one road to another while messages flow.
//!
//! | step | who may send | a crash here |
//! |---|---|---|
//! | what waits goes by the old road; what the old bus has comes to the mailboxes here | everybody | nothing has changed |
//! | the lock: the rest of it, a moment's worth | nobody | the lock ends with its process |
//! | `outbox/.road` names the new road, and the old one among those that may still hold messages | nobody | the swarm is moved: senders absorb what waits for the old road, receivers ask it first |
//! | what the old bus cannot be asked for goes again by the new road, from the copies here | everybody after the lock | the same |
//!
//! So a message of the new road never comes before one of the old: the old road is empty, or it is
//! asked first, or its messages were sent again. A second copy is dropped by its id.

use std::time::{Duration, Instant};

use super::custody::{self, Known};
use super::road::{self, Moved, Roads};
use super::{Address, Error, Outbox, PATIENCE, Transport, connect};
use crate::id::AgentName;
use crate::spool::{Mailbox, Spool};
use crate::swarm::{Root, journal};

/// What a move came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migration {
    /// The epoch that is in force now.
    pub epoch: u64,
    /// The road before.
    pub from: String,
    /// The road now.
    pub to: String,
    /// Messages that the old bus had for mailboxes here, and that are in them now.
    pub fetched: usize,
    /// Messages that had waited, or that the old bus did not give back, and that were sent again.
    pub again: usize,
    /// Whether the old road may still hold messages for mailboxes that are not here.
    pub open: bool,
    /// For how long nobody could send.
    pub held: Duration,
}

fn shown(address: Option<&Address>) -> String {
    address.map_or("file:".to_owned(), Address::to_string)
}

/// Moves the swarm to `to` (nothing: to its own mailboxes); nothing happens when it is there.
///
/// # Errors
/// When another moves it until `by`, or when the new bus does not let us in: then nothing changed.
pub fn migrate(
    root: &Root,
    from: &Roads,
    to: Option<&Address>,
    why: &str,
    by: Instant,
) -> Result<Option<Migration>, Error> {
    if from.now.as_ref() == to {
        return Ok(None);
    }
    let epoch = |moved: Option<Moved>| moved.map_or(0, |moved| moved.epoch);
    let began = epoch(road::moved(root)?);
    if let Some(address) = to {
        // A bus that does not take messages is nowhere to move to.
        connect(address, Instant::now() + PATIENCE)?.ping()?;
        Outbox::open(root, address)?;
    }
    let mail = root.mail();
    root.make_dir(&mail)?;
    let spool = Spool::open(&mail)?;
    let mut migration = Migration {
        from: shown(from.now.as_ref()),
        to: shown(to),
        ..Migration::default()
    };
    // Without the lock as far as it goes, so that the lock is short.
    if let Some(old) = &from.now {
        empty(root, old, &spool, by, &mut migration)?;
    }
    let Some(_lock) = road::moving(root, by)? else {
        return Err(Error::Away {
            bus: shown(to),
            why: super::Away::NotReady(
                "somebody else moves the swarm, or a sender hangs".to_owned(),
            ),
        });
    };
    if epoch(road::moved(root)?) != began {
        return Err(Error::Away {
            bus: shown(to),
            why: super::Away::NotReady("somebody else has moved the swarm just now".to_owned()),
        });
    }
    let start = Instant::now();
    let mut before = from.before.clone();
    if let Some(old) = &from.now {
        migration.open = !empty(root, old, &spool, start + PATIENCE, &mut migration)?;
        before.retain(|address| address != old);
        if migration.open {
            before.push(old.clone());
        }
    }
    before.retain(|address| Some(address) != to);
    let moved = Moved {
        v: 1,
        epoch: began + 1,
        now: migration.to.clone(),
        before: before.iter().map(Address::to_string).collect(),
        at: journal::now(),
        why: why.to_owned(),
    };
    road::write(root, &moved)?;
    migration.epoch = moved.epoch;
    if migration.open
        && let Some(old) = &from.now
    {
        migration.again += again(root, old, to, &spool, true)?;
    }
    migration.held = start.elapsed();
    Ok(Some(migration))
}

/// Sends what waits for a bus, and fetches what it has for the mailboxes here; says whether it has
/// nothing left of ours. A bus that is away is not empty, and no error.
fn empty(
    root: &Root,
    old: &Address,
    spool: &Spool,
    by: Instant,
    migration: &mut Migration,
) -> Result<bool, Error> {
    let outbox = Outbox::open(root, old)?;
    let names = outbox.spool().names()?;
    let report = outbox.drain(&names, by.min(Instant::now() + PATIENCE), true);
    if report.trouble.is_some() {
        return Ok(false);
    }
    let mut bus = match connect(old, Instant::now() + PATIENCE) {
        Ok(bus) => bus,
        Err(error) if error.mends() => return Ok(false),
        Err(error) => return Err(error),
    };
    let waiting = outbox.counts()?.iter().any(|(_, waiting, _)| *waiting > 0);
    let mut is_empty = !waiting;
    let here = spool.names()?;
    for name in &here {
        let mailbox = spool.mailbox(name)?;
        match empty_one(bus.as_mut(), &mailbox, by) {
            Ok((fetched, all)) => {
                migration.fetched += fetched;
                is_empty &= all;
            }
            Err(error) if error.mends() => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    // Mailboxes elsewhere are emptied by those who read them.
    for name in names.iter().filter(|name| !here.contains(name)) {
        is_empty &= bus.depth(name).is_ok_and(|depth| depth == 0);
    }
    Ok(is_empty)
}

fn empty_one(
    bus: &mut dyn Transport,
    mailbox: &Mailbox,
    by: Instant,
) -> Result<(usize, bool), Error> {
    let mut fetched = 0;
    // A reader at work holds the right: it empties the bus itself, and we watch it do so.
    let Some(_right) = custody::right(mailbox, Instant::now() + Duration::from_millis(50))? else {
        while Instant::now() < by {
            if bus.depth(mailbox.name())? == 0 {
                return Ok((0, true));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        return Ok((0, false));
    };
    let mut known = Known::default();
    loop {
        let took = custody::take(bus, mailbox, &mut known, Duration::ZERO)?;
        fetched += took.new;
        if !took.any() {
            return Ok((fetched, bus.depth(mailbox.name())? == 0));
        }
        if Instant::now() >= by {
            return Ok((fetched, false));
        }
    }
}

/// Lets what waits for an old road go by the new one, before anything newer: called by everybody
/// who sends after a move. Costs a look at a directory when nothing waits.
///
/// # Errors
/// When the disk does not take it; then it is still where it was.
pub fn absorb(root: &Root, roads: &Roads) -> Result<usize, Error> {
    let mut absorbed = 0;
    for old in &roads.before {
        if !root.outbox().join(old.slug()).exists() {
            continue;
        }
        root.make_dir(&root.mail())?;
        let spool = Spool::open(&root.mail())?;
        absorbed += again(root, old, roads.now.as_ref(), &spool, false)?;
    }
    Ok(absorbed)
}

/// Hands over what waits for `old`; with `all` also the copies of what it has confirmed.
fn again(
    root: &Root,
    old: &Address,
    to: Option<&Address>,
    spool: &Spool,
    all: bool,
) -> Result<usize, Error> {
    let outbox = Outbox::open(root, old)?;
    let new = to.map(|to| Outbox::open(root, to)).transpose()?;
    let mut count = 0;
    for (name, waiting, kept) in outbox.counts()? {
        if waiting == 0 && (kept == 0 || !all) {
            continue;
        }
        let by = Instant::now() + PATIENCE;
        let mailbox = destination(&name, new.as_ref(), spool)?;
        let mut known = Known::default();
        count += outbox.hand_over(&name, by, |_, parcels| {
            custody::deliver(&mailbox, &mut known, parcels.to_vec()).map(drop)
        })?;
    }
    Ok(count)
}

/// Delivers what a bus that is away may not have delivered to the mailboxes that are on this
/// machine, in order: what waits, after the copies of what was confirmed before it, because the
/// bus may still hold those. Says how many had waited.
///
/// # Errors
/// When the disk does not take it; then it is still where it was.
pub fn by_files(root: &Root, outbox: &Outbox) -> Result<usize, Error> {
    root.make_dir(&root.mail())?;
    let spool = Spool::open(&root.mail())?;
    let here = spool.names()?;
    let mut count = 0;
    for (name, waiting, _) in outbox.counts()? {
        if waiting > 0 && here.contains(&name) {
            let mailbox = spool.mailbox(&name)?;
            let mut known = Known::default();
            count += outbox.hand_over(&name, Instant::now() + PATIENCE, |_, parcels| {
                custody::deliver(&mailbox, &mut known, parcels.to_vec()).map(drop)
            })?;
        }
    }
    Ok(count)
}

fn destination(name: &AgentName, new: Option<&Outbox>, spool: &Spool) -> Result<Mailbox, Error> {
    Ok(match new {
        Some(outbox) => outbox.spool().create(name)?,
        None => spool.create(name)?,
    })
}
