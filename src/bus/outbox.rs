//! The sender's side: a message is on this disk before any bus is asked, and leaves in order.
//!
//! `outbox/BUS/` has a mailbox for each recipient on that bus. One who holds the lock `.drain` in
//! it moves its messages on: reads what waits in `new/`, publishes it in order, and files what was
//! confirmed in `cur/`. So a message never passes one that waits, two who drain at once do it one
//! after the other, and a killed one leaves the rest to the next.
//!
//! | file in `outbox/BUS/` | what |
//! |---|---|
//! | `NAME/` | a mailbox: `new/` waits, `cur/` was confirmed, `dead/` the bus will never take |
//! | `NAME/.drain` | the lock |
//! | `NAME/.went` | how far each bundle in `new/` went: it is moved when its last message did |
//! | `.address` | the address, without a password |
//! | `.mark` | the name of the mark that we left on the server: if it is gone, the server was emptied |
//! | `.loss` | what an emptied server had lost, until a command has said it |
//! | `.breaker` | the bus failed: until when it is left alone ([`super::breaker`]) |

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::breaker::{Advice, Breaker, Trouble, advise};
use super::{Address, Away, CONNECT, Error, Parcel, Transport, WINDOW, connect, left};
use crate::id::AgentName;
use crate::spool::{Clock, Entry, Id, Mailbox, Spool};
use crate::swarm::{Root, files};

/// As many copies of confirmed messages are kept before it is asked which are needed.
const COPIES: usize = 512;
/// As many are kept beyond what the bus still has: what is being fetched may not be counted there.
const MARGIN: usize = WINDOW;
/// A copy that is older is not sent again by itself: receivers may have forgotten its id.
const TOO_OLD: u64 = 5 * 86_400;
/// As many messages are published at once, and as many bytes.
const BURST: usize = 1024;
const LOAD: usize = 4 << 20;

/// The messages of this swarm that wait for one bus.
#[derive(Debug)]
pub struct Outbox {
    spool: Spool,
    breaker: Breaker,
    address: Address,
}

/// What draining came to.
#[derive(Debug, Default)]
pub struct Report {
    /// How many messages the bus confirmed.
    pub confirmed: usize,
    /// How many of them it had confirmed before and lost.
    pub again: usize,
    /// Messages that it will never take, and why.
    pub refused: Vec<(AgentName, Id, String)>,
    /// Why not all went.
    pub trouble: Option<Error>,
    /// Whether it is this run that found the bus away.
    pub fell: bool,
    /// What had been wrong with it until this run.
    pub back: Option<Trouble>,
    /// The bus is left alone until then, milliseconds since 1970.
    pub alone_until_ms: Option<u64>,
}

/// What an emptied server had lost. It stays on the disk until [`Outbox::was_said`], because who
/// notices it may not live to say it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// How many messages that it had confirmed are sent again.
    pub again: usize,
    /// Those that are too old to be sent again by themselves, as `ID to NAME`.
    pub lost: BTreeSet<String>,
    text: String,
}

impl Loss {
    fn read(text: String) -> Loss {
        let mut loss = Loss::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("again", count)) => loss.again += count.parse().unwrap_or(0),
                Some(("lost", which)) => drop(loss.lost.insert(which.to_owned())),
                _ => {}
            }
        }
        loss.text = text;
        loss
    }
}

impl Outbox {
    /// The outbox for a bus; made where it is missing.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub fn open(root: &Root, address: &Address) -> Result<Outbox, Error> {
        let directory = root.outbox().join(address.slug());
        if !directory.join(".address").exists() {
            root.make_dir(&directory)?;
            let text = format!("{address}\n");
            files::write_whole(&directory.join(".address"), text.as_bytes())
                .map_err(Error::io(&directory))?;
        }
        Outbox::at(&directory, address.clone())
    }

    fn at(directory: &Path, address: Address) -> Result<Outbox, Error> {
        Ok(Outbox {
            spool: Spool::open(directory)?,
            breaker: Breaker::at(directory),
            address,
        })
    }

    /// Every outbox of a swarm; one whose address cannot be read is left out.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn all(root: &Root) -> Result<Vec<Outbox>, Error> {
        let directory = root.outbox();
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io(&directory)(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::io(&directory))?.path();
            let Ok(Some(text)) = files::read_if_there(&path.join(".address"), 64 * 1024) else {
                continue;
            };
            let text = String::from_utf8_lossy(&text);
            if let Ok(address) = Address::read(text.trim_end()) {
                found.push(Outbox::at(&path, address)?);
            }
        }
        found.sort_by_key(|outbox| outbox.address.slug());
        Ok(found)
    }

    /// The bus.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its breaker.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The mailboxes, one for each recipient.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// How many messages wait for each recipient, and how many copies are kept.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn counts(&self) -> Result<Vec<(AgentName, usize, usize)>, Error> {
        let mut counts = Vec::new();
        for name in self.spool.names()? {
            let mailbox = self.spool.mailbox(&name)?;
            let listed = mailbox.list()?;
            let kept = listed.iter().filter(|entry| entry.held).count();
            let went = Went::read(mailbox.path());
            let gone = listed.iter().filter(|entry| went.has(entry)).count();
            counts.push((name, listed.len() - kept - gone, kept));
        }
        Ok(counts)
    }

    /// The ids of what waits for a recipient.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn waiting(&self, name: &AgentName) -> Result<Vec<Id>, Error> {
        let mailbox = self.spool.mailbox(name)?;
        let went = Went::read(mailbox.path());
        let listed = mailbox.waiting()?;
        let waiting = listed.iter().filter(|entry| !went.has(entry));
        Ok(waiting.map(|entry| entry.name.id).collect())
    }

    /// Sends what waits for these recipients, as far as the bus takes it until `by`. With `force`
    /// also a bus that is left alone is tried.
    pub fn drain(&self, names: &[AgentName], by: Instant, force: bool) -> Report {
        let mut report = Report::default();
        if let Err(error) = self.drain_into(&mut report, names, by, force) {
            self.failed(error, &mut report);
        }
        report
    }

    /// What it comes to when nothing was heard from one who drains.
    pub fn hangs(&self, waited: Duration) -> Report {
        let mut report = Report::default();
        let error = Error::Away {
            bus: self.address.to_string(),
            why: Away::Silent(waited),
        };
        self.failed(error, &mut report);
        report
    }

    fn failed(&self, error: Error, report: &mut Report) {
        if error.mends() {
            let now = Clock::Kernel.now().micros / 1000;
            let noted = self.breaker.failed(&error.to_string(), now);
            report.fell = noted.unwrap_or_default();
            report.alone_until_ms = self.breaker.read().map(|trouble| trouble.until_ms);
        }
        report.trouble = Some(error);
    }

    fn drain_into(
        &self,
        report: &mut Report,
        names: &[AgentName],
        by: Instant,
        force: bool,
    ) -> Result<(), Error> {
        let trouble = self.breaker.read();
        let _probe = match advise(trouble.as_ref(), Clock::Kernel.now().micros / 1000) {
            Advice::Use => None,
            Advice::LeaveAlone { until_ms } if !force => {
                report.alone_until_ms = Some(until_ms);
                return Ok(());
            }
            _ => match self.breaker.probe() {
                Some(probe) => Some(probe),
                None if force => None,
                None => {
                    report.alone_until_ms = trouble.map(|trouble| trouble.until_ms);
                    return Ok(());
                }
            },
        };
        let mut bus = connect(&self.address, by)?;
        let mut names = names.to_vec();
        if self.was_emptied(bus.as_mut())? {
            let all = self.spool.names()?;
            self.take_back(&all, by, report)?;
            bus.mark(&self.mark()?, true)?;
            // Whoever is not drained now has a backlog, and is drained by the next one.
            names.extend(
                all.into_iter()
                    .filter(|name| !names.contains(name))
                    .collect::<Vec<_>>(),
            );
        }
        for name in &names {
            let mailbox = self.spool.mailbox(name)?;
            let Some(_lock) = lock(mailbox.path(), by)? else {
                continue;
            };
            self.drain_one(report, bus.as_mut(), name, &mailbox, by)?;
        }
        report.back = self.breaker.worked();
        Ok(())
    }

    fn drain_one(
        &self,
        report: &mut Report,
        bus: &mut dyn Transport,
        name: &AgentName,
        mailbox: &Mailbox,
        by: Instant,
    ) -> Result<(), Error> {
        let mut went = Went::read(mailbox.path());
        let outcome = self.drain_from(report, bus, name, mailbox, by, &mut went);
        let noted = went.write();
        outcome.and(noted)
    }

    fn drain_from(
        &self,
        report: &mut Report,
        bus: &mut dyn Transport,
        name: &AgentName,
        mailbox: &Mailbox,
        by: Instant,
        went: &mut Went,
    ) -> Result<(), Error> {
        let mut sent = 0;
        loop {
            let mut listed = mailbox.waiting()?;
            went.expect(&listed);
            listed.retain(|entry| !went.has(entry));
            if listed.is_empty() {
                // One send in 32 looks after the copies: for each it would be the dearest part.
                if sent >= 32 || sent > 0 && Clock::Kernel.now().micros.is_multiple_of(32) {
                    self.thin_out(bus, name, mailbox)?;
                }
                return Ok(());
            }
            let waiting: Vec<&Entry> = listed.iter().collect();
            let mut rest = waiting.as_slice();
            while !rest.is_empty() {
                if Instant::now() >= by {
                    return Ok(());
                }
                let (entries, parcels) = load(mailbox, rest, bus.limit(), name, report)?;
                let window = &rest[..entries.len()];
                rest = &rest[entries.len()..];
                let published = bus.publish(name, &parcels, by);
                let mut left = published.confirmed;
                for (entry, goes) in window.iter().zip(&entries) {
                    match goes {
                        Some(_) if left == 0 => break,
                        Some(_) => left -= 1,
                        None if entry.bundle().is_none() => continue,
                        None => {}
                    }
                    went.passes(mailbox, entry)?;
                }
                let entries: Vec<&Entry> = entries.into_iter().flatten().collect();
                sent += published.confirmed;
                report.confirmed += published.confirmed;
                match (published.trouble, entries.get(published.confirmed)) {
                    (None, _) => {}
                    // This one will never go; those behind it may.
                    (Some(error @ Error::TooLong { .. }), Some(entry)) => {
                        self.refuse(mailbox, name, entry, &error, report)?;
                        if entry.bundle().is_some() {
                            went.passes(mailbox, entry)?;
                        }
                        break;
                    }
                    (Some(error), _) => return Err(error),
                }
            }
        }
    }

    fn refuse(
        &self,
        mailbox: &Mailbox,
        name: &AgentName,
        entry: &Entry,
        error: &Error,
        report: &mut Report,
    ) -> Result<(), Error> {
        let why = error.to_string();
        mailbox.refuse(entry, &why)?;
        report.refused.push((name.clone(), entry.name.id, why));
        Ok(())
    }

    /// Takes messages back that were to be sent just now, because they cannot be: they are in
    /// `dead/`. Of a bundle these are all of its messages.
    ///
    /// # Errors
    /// When they cannot be moved.
    pub fn withdraw(&self, name: &AgentName, ids: &HashSet<Id>, why: &str) -> Result<(), Error> {
        let mailbox = self.spool.mailbox(name)?;
        let listed = mailbox.waiting()?;
        let ours = listed.iter().filter(|entry| ids.contains(&entry.name.id));
        let mut bundles = BTreeMap::new();
        for entry in ours {
            mailbox.refuse(entry, why)?;
            if let Some(bundle) = entry.bundle() {
                bundles.insert(bundle, entry);
            }
        }
        for entry in bundles.values() {
            mailbox.forget_copy(entry)?;
        }
        Ok(())
    }

    /// Removes copies that are not needed any more: the bus has fewer messages than came later.
    fn thin_out(
        &self,
        bus: &mut dyn Transport,
        name: &AgentName,
        mailbox: &Mailbox,
    ) -> Result<(), Error> {
        let listed = mailbox.list()?;
        let mut copies: Vec<&Entry> = listed.iter().filter(|entry| entry.held).collect();
        if copies.len() <= COPIES {
            return Ok(());
        }
        let depth = usize::try_from(bus.depth(name)?).unwrap_or(usize::MAX);
        copies.sort_by_key(|entry| entry.name.id);
        let needed = depth.saturating_add(MARGIN).min(copies.len());
        let (old, young) = copies.split_at(copies.len() - needed);
        // A bundle goes when none of it is needed: with its last message.
        let needed: HashSet<&str> = young.iter().filter_map(|entry| entry.bundle()).collect();
        let mut gone = HashSet::new();
        for entry in old {
            match entry.bundle() {
                Some(bundle) if needed.contains(bundle) || !gone.insert(bundle) => {}
                _ => mailbox.forget_copy(entry)?,
            }
        }
        Ok(())
    }

    /// Until when the bus is left alone, if it is, in milliseconds since 1970.
    pub fn alone_until(&self) -> Option<u64> {
        let trouble = self.breaker.read();
        match advise(trouble.as_ref(), Clock::Kernel.now().micros / 1000) {
            Advice::LeaveAlone { until_ms } => Some(until_ms),
            _ => None,
        }
    }

    /// Whether the mark that we left on the server is gone. The first time it is made.
    fn was_emptied(&self, bus: &mut dyn Transport) -> Result<bool, Error> {
        let file = self.spool.path().join(".mark");
        if !file.exists() {
            let name = uuid::Uuid::new_v4().simple().to_string();
            bus.mark(&name, true)?;
            files::write_new(&file, name.as_bytes()).map_err(Error::io(&file))?;
        }
        let name = self.mark()?;
        Ok(!bus.mark(&name, false)?)
    }

    fn mark(&self) -> Result<String, Error> {
        let file = self.spool.path().join(".mark");
        let bytes = files::read_if_there(&file, 1024).map_err(Error::io(&file))?;
        Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    }

    /// Lets the copies of what an emptied server had confirmed wait again.
    fn take_back(
        &self,
        names: &[AgentName],
        by: Instant,
        report: &mut Report,
    ) -> Result<(), Error> {
        let now = Clock::Kernel.now().seconds();
        for name in names {
            let mailbox = self.spool.mailbox(name)?;
            let Some(_lock) = lock(mailbox.path(), by)? else {
                return Err(Error::Away {
                    bus: self.address.to_string(),
                    why: Away::NotReady(format!("another process sends to {name} just now")),
                });
            };
            let listed = mailbox.list()?;
            let copies = listed.iter().filter(|entry| entry.held);
            let (old, young): (Vec<&Entry>, Vec<&Entry>) =
                copies.partition(|entry| entry.name.id.seconds() + TOO_OLD < now);
            // Noted first: who is killed in between has them noted twice rather than never.
            self.note_loss(name, &young, &old)?;
            // What had gone of a bundle is lost too.
            Went::read(mailbox.path()).forget()?;
            for entry in &young {
                mailbox.send_again(entry)?;
            }
            report.again += young.len();
        }
        Ok(())
    }

    fn loss_file(&self) -> PathBuf {
        self.spool.path().join(".loss")
    }

    fn note_loss(&self, name: &AgentName, again: &[&Entry], old: &[&Entry]) -> Result<(), Error> {
        if again.is_empty() && old.is_empty() {
            return Ok(());
        }
        let path = self.loss_file();
        let mut text = format!("again {}\n", again.len());
        for entry in old {
            text.push_str(&format!("lost {} to {name}\n", entry.name.id));
        }
        let note = || {
            let _lock = files::lock(&path.with_extension("loss-lock"))?;
            let mut options = std::fs::OpenOptions::new();
            files::open_private(options.append(true).create(true), &path)?
                .write_all(text.as_bytes())
        };
        note().map_err(Error::io(&path))
    }

    /// What an emptied server had lost and nobody has said yet.
    pub fn loss(&self) -> Option<Loss> {
        let bytes = files::read_if_there(&self.loss_file(), 1 << 24).ok()??;
        Some(Loss::read(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Forgets a loss that was said; one that has grown since is said once more.
    pub fn was_said(&self, loss: &Loss) {
        let path = self.loss_file();
        let _lock = files::lock(&path.with_extension("loss-lock"));
        if self.loss().is_some_and(|now| now == *loss) {
            drop(std::fs::remove_file(path));
        }
    }

    /// Hands everything over that this bus may not have delivered, in order: what waits, and the
    /// copies of what it confirmed. Nothing is handed over twice, because receivers know ids.
    ///
    /// # Errors
    /// When it cannot be read or handed over; then the rest is still here.
    pub fn hand_over(
        &self,
        name: &AgentName,
        by: Instant,
        mut give: impl FnMut(&AgentName, &[Parcel]) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        let mailbox = self.spool.mailbox(name)?;
        let Some(_lock) = lock(mailbox.path(), by)? else {
            return Ok(0);
        };
        let mut listed = mailbox.list()?;
        // By lane, then by id: the order in which a mailbox gives them out.
        listed.sort_by_key(|entry| (entry.lane, entry.name.id));
        let mut went = Went::read(mailbox.path());
        let mut waiting = 0;
        let mut bundles = BTreeMap::new();
        for batch in listed.chunks(WINDOW) {
            let mut entries: Vec<&Entry> = batch.iter().collect();
            // A message that was given up stays in its bundle, and is not to come all the same.
            entries.retain(|entry| {
                entry.bundle().is_none() || !matches!(mailbox.settled(entry.name.id), Ok(Some(_)))
            });
            give(name, &packed(&mailbox, &entries)?)?;
            for entry in batch.iter().filter(|entry| !entry.held) {
                waiting += usize::from(!went.has(entry));
                match entry.bundle() {
                    None => mailbox.keep_copy(entry)?,
                    Some(bundle) => drop(bundles.insert(bundle, entry)),
                }
            }
        }
        // All of each were given.
        for entry in bundles.values() {
            mailbox.keep_copy(entry)?;
        }
        went.forget()?;
        Ok(waiting)
    }
}

/// How far the bundles of a mailbox went: their messages go in the order of their ids, and each
/// bundle is moved when its last one did. Lost, a bundle goes once more, and is known by its ids.
#[derive(Debug)]
struct Went {
    file: PathBuf,
    /// Whether the file is there: most sends meet no bundle, and have nothing to write or remove.
    there: bool,
    /// The last message of each that went.
    to: BTreeMap<String, Id>,
    /// The last message of each.
    ends: BTreeMap<String, Id>,
    /// Since it was written.
    since: usize,
}

impl Went {
    fn read(mailbox: &Path) -> Went {
        let file = mailbox.join(".went");
        let read = files::read_if_there(&file, 1 << 20);
        let there = !matches!(read, Ok(None));
        let bytes = read.ok().flatten();
        let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
        let pairs = text.lines().filter_map(|line| line.rsplit_once(' '));
        Went {
            to: pairs
                .filter_map(|(bundle, id)| Some((bundle.to_owned(), id.parse().ok()?)))
                .collect(),
            there,
            file,
            ends: BTreeMap::new(),
            since: 0,
        }
    }

    fn has(&self, entry: &Entry) -> bool {
        let to = entry.bundle().and_then(|bundle| self.to.get(bundle));
        !entry.held && to.is_some_and(|to| entry.name.id <= *to)
    }

    fn expect(&mut self, listed: &[Entry]) {
        self.ends.clear();
        for entry in listed {
            if let Some(bundle) = entry.bundle() {
                let id = entry.name.id;
                match self.ends.get_mut(bundle) {
                    Some(end) => *end = id.max(*end),
                    None => drop(self.ends.insert(bundle.to_owned(), id)),
                }
            }
        }
        self.to.retain(|bundle, _| self.ends.contains_key(bundle));
    }

    /// Files a message as gone.
    fn passes(&mut self, mailbox: &Mailbox, entry: &Entry) -> Result<(), Error> {
        let id = entry.name.id;
        let Some(bundle) = entry.bundle() else {
            return Ok(mailbox.keep_copy(entry)?);
        };
        if self.ends.get(bundle).is_none_or(|end| id >= *end) {
            mailbox.keep_copy(entry)?;
            self.to.remove(bundle);
            return Ok(());
        }
        match self.to.get_mut(bundle) {
            Some(to) => *to = id,
            None => drop(self.to.insert(bundle.to_owned(), id)),
        }
        self.since += 1;
        match self.since.is_multiple_of(BURST * 16) {
            true => self.write(),
            false => Ok(()),
        }
    }

    fn write(&mut self) -> Result<(), Error> {
        if self.to.is_empty() {
            return self.forget();
        }
        let lines = self
            .to
            .iter()
            .map(|(bundle, id)| format!("{bundle} {id}\n"));
        let text: String = lines.collect();
        files::write_whole(&self.file, text.as_bytes()).map_err(Error::io(&self.file))?;
        self.there = true;
        Ok(())
    }

    fn forget(&mut self) -> Result<(), Error> {
        if !std::mem::take(&mut self.there) {
            return Ok(());
        }
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(&self.file)(error))
            }
            _ => Ok(()),
        }
    }
}

fn packed(mailbox: &Mailbox, entries: &[&Entry]) -> Result<Vec<Parcel>, Error> {
    let bytes = mailbox.read_entries(entries)?;
    let parcels = entries.iter().zip(bytes).map(|(entry, bytes)| Parcel {
        id: entry.name.id,
        lane: entry.lane,
        expiry: entry.name.expiry,
        bytes,
    });
    Ok(parcels.collect())
}

/// Entries from the first on that make up one batch; a message that is too long is refused, and
/// stands as nothing in its place.
#[allow(clippy::type_complexity)]
fn load<'a>(
    mailbox: &Mailbox,
    entries: &[&'a Entry],
    limit: usize,
    name: &AgentName,
    report: &mut Report,
) -> Result<(Vec<Option<&'a Entry>>, Vec<Parcel>), Error> {
    let mut taken = Vec::new();
    let mut bytes = 0;
    for entry in entries.iter().take(BURST) {
        let size = entry.name.size as usize;
        if bytes > 0 && bytes + size > LOAD {
            break;
        }
        if size > limit {
            let why =
                format!("the bus takes messages of at most {limit} bytes, this one has {size}");
            mailbox.refuse(entry, &why)?;
            report.refused.push((name.clone(), entry.name.id, why));
            taken.push(None);
            continue;
        }
        bytes += size;
        taken.push(Some(*entry));
    }
    let goes: Vec<&Entry> = taken.iter().copied().flatten().collect();
    let parcels = packed(mailbox, &goes)?;
    Ok((taken, parcels))
}

/// The lock of one who drains, as soon as it is free; nothing when it is not until `by`.
fn lock(mailbox: &Path, by: Instant) -> Result<Option<File>, Error> {
    lock_file(mailbox.join(".drain"), by)
}

/// A lock that is held as long as the file is open; nothing when it is not free until `by`.
pub(super) fn lock_file(path: PathBuf, by: Instant) -> Result<Option<File>, Error> {
    let mut options = std::fs::OpenOptions::new();
    let options = options.read(true).write(true).create(true);
    let file = files::open_private(options, &path).map_err(Error::io(&path))?;
    let mut pause = Duration::from_micros(500);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(std::fs::TryLockError::Error(error)) => return Err(Error::io(&path)(error)),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() >= by => return Ok(None),
            Err(std::fs::TryLockError::WouldBlock) => {
                std::thread::sleep(pause.min(left(by)));
                pause = (pause * 2).min(CONNECT / 60);
            }
        }
    }
}
