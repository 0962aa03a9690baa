//! The receiver's side: claim by rename, lease in the name, settle by rename.

use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::boxes::{Entry, Lane, Mailbox, TORN, is_batch, is_ours};
use super::host::Host;
use super::name::{Id, Lease, Name};
use super::order::{self, Order, Record};
use super::sys::{self, Sys};
use super::{Error, Now, bundle};

/// After this many claims that ended without an acknowledgement a message is given up.
pub const MAX_ATTEMPTS: u32 = 5;

/// How long after its expiry a message is still handed out: clocks differ.
const EXPIRY_SLACK: u64 = 60;

/// A directory larger than this and empty is replaced: ext4 never shrinks one.
const DEBT: u64 = 256 * 1024;

/// How long a receiver that is alive may take for a bundle before another begins anew.
const UNBUNDLING: Duration = Duration::from_secs(600);

/// A message that this receiver holds.
#[derive(Debug)]
pub struct Claim {
    /// Its name as it stands in `cur/`.
    pub name: Name,
    /// Its lane.
    pub lane: Lane,
    file: String,
    content: Option<OwnedFd>,
}

impl Claim {
    /// The message, open for reading from its beginning; only once.
    pub fn open(&mut self) -> Option<std::fs::File> {
        self.content.take().map(std::fs::File::from)
    }

    /// The name of its file in `cur/` of its lane.
    pub fn file_name(&self) -> &str {
        &self.file
    }
}

/// Why a message that was claimed cannot be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It was claimed too often without an acknowledgement.
    Attempts,
    /// Its time is over.
    Expired,
    /// A crash of the machine cut it short before it was accepted.
    Torn,
    /// It is not a message: not a plain file of ours.
    Foreign(&'static str),
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Spent::Attempts => write!(f, "given up after {MAX_ATTEMPTS} attempts"),
            Spent::Expired => f.write_str("expired before it was read"),
            Spent::Torn => f.write_str("cut short by a crash before it was accepted"),
            Spent::Foreign(why) => write!(f, "not a message: {why}"),
        }
    }
}

/// What [`Receiver::take`] found.
#[derive(Debug)]
pub enum Taken {
    /// The next message, now held by us.
    Message(Claim),
    /// One that cannot be handed out; bury it with [`Receiver::bury`] (after telling its sender).
    Spent(Claim, Spent),
    /// Nothing can be claimed yet, but mail is there: another receiver, who lives, is taking a
    /// bundle apart.
    Opening,
    /// Nothing waits: read twice where needed, and the directories did not change meanwhile.
    Nothing,
}

/// The open directories of one lane and what is known about their content.
#[derive(Debug)]
struct Desk {
    lane: Lane,
    folder: Option<OwnedFd>,
    new: OwnedFd,
    cur: OwnedFd,
    queue: VecDeque<String>,
    order: Option<Order>,
    /// When held messages were last looked through, in milliseconds since boot.
    looked: Option<u64>,
    /// Claims of others that have run out, oldest first.
    stale: VecDeque<String>,
    /// Whether a record was passed over that still waits: then the shared cursor stays.
    passed_over: bool,
}

/// One who takes messages from a mailbox.
#[derive(Debug)]
pub struct Receiver<'a> {
    mailbox: &'a Mailbox,
    host: Host,
    lease: Duration,
    of_process: bool,
    desks: Vec<Desk>,
    day: Option<(String, OwnedFd)>,
    skip: HashSet<Id>,
    /// What the last scan met in place of a message: a bundle that it could not take apart, or one
    /// that another is at.
    met: Option<Taken>,
}

impl<'a> Receiver<'a> {
    /// A receiver whose claims last for `lease`, or until the process ends.
    pub fn new(mailbox: &'a Mailbox, host: Host, lease: Duration) -> Receiver<'a> {
        Receiver {
            mailbox,
            host,
            lease,
            of_process: true,
            desks: Vec::new(),
            day: None,
            skip: HashSet::new(),
            met: None,
        }
    }

    /// The same with claims that outlive the process: only the lease counts.
    pub fn outliving(mut self) -> Receiver<'a> {
        self.of_process = false;
        self
    }

    /// Leaves this message to others, as long as this receiver lives.
    pub fn pass_over(&mut self, id: Id) {
        self.skip.insert(id);
    }

    /// The mailbox.
    pub fn mailbox(&self) -> &'a Mailbox {
        self.mailbox
    }

    /// The machine and its clocks.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Claims the next message: urgent before normal before low, in each lane those whose holder
    /// died or let the lease run out, then by age.
    ///
    /// # Errors
    /// When a directory cannot be read or a rename fails for another reason than that somebody
    /// else was quicker.
    pub fn take(&mut self) -> Result<Taken, Error> {
        let mut left = Taken::Nothing;
        for lane in Lane::ALL {
            let Some(at) = self.desk(lane)? else { continue };
            match self.take_from(at).map_err(|errno| self.trouble(errno))? {
                Taken::Nothing => {}
                Taken::Opening => left = Taken::Opening,
                found => return Ok(found),
            }
        }
        Ok(left)
    }

    /// The same, and while another takes a bundle apart waits until that is done, or he is dead.
    ///
    /// # Errors
    /// As [`Receiver::take`]; [`Error::Opening`] when it takes longer than `limit`.
    pub fn take_within(&mut self, limit: Duration) -> Result<Taken, Error> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            match self.take()? {
                Taken::Opening if begun.elapsed() < limit => std::thread::sleep(pause),
                Taken::Opening => return Err(self.opening()),
                taken => return Ok(taken),
            }
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Claims this very message, if it still waits.
    ///
    /// # Errors
    /// As [`Receiver::take`].
    pub fn take_this(&mut self, entry: &Entry) -> Result<Taken, Error> {
        let Some(at) = self.desk(entry.lane)? else {
            return Ok(Taken::Nothing);
        };
        let now = self.host.clock.now();
        if let Some(batch) = &entry.batch {
            let opened = match bundle::name(batch) {
                Some(_) => self.unbundle(at, batch),
                None => self.spread(at, batch).map(|()| Taken::Nothing),
            };
            match opened.map_err(|errno| self.trouble(errno))? {
                Taken::Nothing => {}
                spent => return Ok(spent),
            }
        }
        self.claim(at, &entry.file, false, now)
            .map_err(|errno| self.trouble(errno))
    }

    /// What is said when the wait for a bundle is over.
    pub fn opening(&self) -> Error {
        Error::Opening {
            name: self.mailbox.name().clone(),
        }
    }

    fn trouble(&self, errno: Errno) -> Error {
        Error::io(format!("taking from mailbox {}", self.mailbox.name()))(errno)
    }

    /// The desk of a lane, opened when it is first there.
    fn desk(&mut self, lane: Lane) -> Result<Option<usize>, Error> {
        if let Some(at) = self.desks.iter().position(|desk| desk.lane == lane) {
            return Ok(Some(at));
        }
        match self.open_desk(lane) {
            Ok(desk) => {
                self.desks.push(desk);
                Ok(Some(self.desks.len() - 1))
            }
            Err(Errno::NOENT) if lane != Lane::Normal => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(Error::Unsafe {
                name: self.mailbox.name().to_string(),
                why: "a part of it is a symbolic link or not a directory".to_owned(),
            }),
            Err(errno) => Err(self.trouble(errno)),
        }
    }

    fn open_desk(&self, lane: Lane) -> Sys<Desk> {
        let folder = match lane.folder() {
            None => None,
            Some(folder) => Some(sys::open_dir(self.mailbox.dir.as_fd(), folder)?),
        };
        let above = folder.as_ref().unwrap_or(&self.mailbox.dir);
        Ok(Desk {
            lane,
            new: sys::open_dir(above.as_fd(), "new")?,
            // A lane whose maker died half way may lack it.
            cur: sys::ensure_dir(above.as_fd(), "cur")?,
            folder,
            queue: VecDeque::new(),
            order: None,
            looked: None,
            stale: VecDeque::new(),
            passed_over: false,
        })
    }

    fn take_from(&mut self, at: usize) -> Sys<Taken> {
        let now = self.host.clock.now();
        self.look_at_held(at, now)?;
        while let Some(file) = self.desks[at].stale.pop_front() {
            match self.claim(at, &file, true, now)? {
                Taken::Nothing => {}
                found => return Ok(found),
            }
        }
        while let Some(file) = self.next_name(at, now)? {
            let taken = self.claim(at, &file, false, now)?;
            let desk = &mut self.desks[at];
            match (taken, &mut desk.order) {
                (Taken::Nothing, None) => {}
                (Taken::Nothing, Some(order)) => order.share(),
                (found, order) => {
                    if let (Some(order), false) = (order, desk.passed_over) {
                        order.advance();
                    }
                    return Ok(found);
                }
            }
        }
        Ok(self.met.take().unwrap_or(Taken::Nothing))
    }

    /// Finds claims that have run out, at most once a second.
    fn look_at_held(&mut self, at: usize, now: Now) -> Sys<()> {
        let host = &self.host;
        let skip = &self.skip;
        let desk = &mut self.desks[at];
        if desk.looked.is_some_and(|then| now.boot_ms < then + 1000) {
            return Ok(());
        }
        desk.looked = Some(now.boot_ms);
        let mut stale = Vec::new();
        let mut bundles = Vec::new();
        sys::list(desk.cur.as_fd(), |file, _| {
            let Ok(file) = file.to_str() else { return };
            let Some(name) = Name::read(file.as_bytes()) else {
                if bundle_lease(file).is_some_and(|lease| !host.keeps(&lease, now)) {
                    bundles.push(file.to_owned());
                }
                return;
            };
            // Without a claim in its name a mail program has put it there: somebody read it.
            let over = name.lease.is_some_and(|lease| !host.keeps(&lease, now));
            if over && !skip.contains(&name.id) {
                stale.push(file.to_owned());
            }
        })?;
        stale.sort();
        desk.stale = stale.into();
        bundles.iter().try_for_each(|file| self.put_back(at, file))
    }

    /// The next name of `new/` that may be claimed.
    fn next_name(&mut self, at: usize, now: Now) -> Sys<Option<String>> {
        loop {
            if let Some(file) = self.known_name(at, now) {
                let id = Name::read(file.as_bytes()).map(|name| name.id);
                if id.is_some_and(|id| self.skip.contains(&id)) {
                    self.desks[at].passed_over = true;
                    continue;
                }
                return Ok(Some(file));
            }
            if !self.scan(at, now)? {
                return Ok(None);
            }
        }
    }

    /// The next name that an earlier scan found.
    fn known_name(&mut self, at: usize, now: Now) -> Option<String> {
        let boot = self.host.holder.boot;
        let desk = &mut self.desks[at];
        if let Some(file) = desk.queue.pop_front() {
            return Some(file);
        }
        if desk.order.is_none() {
            let above = desk.folder.as_ref().unwrap_or(&self.mailbox.dir);
            desk.order = Order::open(above, boot, now.boot_ms);
            desk.passed_over = false;
        }
        while let Some(record) = desk.order.as_mut()?.next() {
            if let Some(file) = order::text(&record) {
                return Some(file.to_owned());
            }
        }
        desk.order = None;
        None
    }

    /// Reads `new/` and remembers what waits there; says whether there is anything.
    ///
    /// A directory that changes while it is read may hide an entry: then it is read again, so that
    /// "nothing" is true.
    fn scan(&mut self, at: usize, now: Now) -> Sys<bool> {
        loop {
            let desk = &self.desks[at];
            let before = sys::stat(desk.new.as_fd())?;
            if before.st_nlink == 0 {
                // Another receiver replaced it.
                let lane = desk.lane;
                self.desks[at] = self.open_desk(lane)?;
                continue;
            }
            let mut records: Vec<Record> = Vec::new();
            let mut long: Vec<String> = Vec::new();
            let mut batches: Vec<String> = Vec::new();
            let mut bundles: Vec<String> = Vec::new();
            let skip = &self.skip;
            sys::list(desk.new.as_fd(), |file, kind| {
                let Ok(file) = file.to_str() else { return };
                match kind {
                    FileType::Directory if is_batch(file) || bundle::name(file).is_some() => {
                        batches.push(file.to_owned());
                    }
                    // Not every file system says what kind of thing it lists.
                    FileType::Unknown if is_batch(file) => batches.push(file.to_owned()),
                    FileType::RegularFile | FileType::Unknown | FileType::Symlink => {
                        match (Name::read(file.as_bytes()), order::record(file)) {
                            (Some(name), _) if skip.contains(&name.id) => {}
                            (Some(_), Some(record)) => records.push(record),
                            (Some(_), None) => long.push(file.to_owned()),
                            (None, _) if bundle::name(file).is_some() => {
                                bundles.push(file.to_owned());
                            }
                            (None, _) => {}
                        }
                    }
                    _ => {}
                }
            })?;
            if !batches.is_empty() || !bundles.is_empty() {
                batches.sort();
                for batch in batches {
                    self.spread(at, &batch)?;
                }
                bundles.sort();
                for bundle in bundles {
                    let spent = self.unbundle(at, &bundle)?;
                    if !matches!(spent, Taken::Nothing) {
                        self.met = Some(spent);
                        return Ok(false);
                    }
                }
                continue;
            }
            if records.is_empty() && long.is_empty() {
                // Looked for before it is known that `new/` stood still: no bundle slips from one
                // directory to the other meanwhile.
                let opening = self.is_opening(at, now)?;
                let after = sys::stat(self.desks[at].new.as_fd())?;
                let changed = (before.st_ctime, before.st_ctime_nsec)
                    != (after.st_ctime, after.st_ctime_nsec);
                if changed {
                    continue;
                }
                if opening {
                    self.met = Some(Taken::Opening);
                    return Ok(false);
                }
                if self.pay_debt(at, before.st_size as u64)? {
                    continue;
                }
                return Ok(false);
            }
            return self.remember(at, records, long, now).map(|()| true);
        }
    }

    /// Whether somebody who lives is taking a bundle apart. The bundles of the dead wait again.
    fn is_opening(&self, at: usize, now: Now) -> Sys<bool> {
        let mut opening = false;
        let mut left = Vec::new();
        sys::list(self.desks[at].cur.as_fd(), |file, _| {
            let Ok(file) = file.to_str() else { return };
            match bundle_lease(file) {
                Some(lease) if self.host.keeps(&lease, now) => opening = true,
                Some(_) => left.push(file.to_owned()),
                None => {}
            }
        })?;
        left.iter().try_for_each(|file| self.put_back(at, file))?;
        Ok(opening)
    }

    fn remember(
        &mut self,
        at: usize,
        mut records: Vec<Record>,
        long: Vec<String>,
        now: Now,
    ) -> Sys<()> {
        let desk = &mut self.desks[at];
        records.sort_unstable();
        if records.len() >= order::WORTHWHILE && long.is_empty() && self.skip.is_empty() {
            let above = desk.folder.as_ref().unwrap_or(&self.mailbox.dir);
            let boot = self.host.holder.boot;
            // On a full disk there is no cache, and the names are kept here.
            if let Ok(Some(order)) = Order::write(above, &records, boot, now.boot_ms) {
                desk.order = Some(order);
                desk.passed_over = false;
                return Ok(());
            }
        }
        let mut names: Vec<String> = records
            .iter()
            .filter_map(|record| order::text(record).map(str::to_owned))
            .chain(long)
            .collect();
        names.sort();
        desk.queue = names.into();
        Ok(())
    }

    /// Moves the messages of a batch to their places. Whoever is killed here leaves the rest to
    /// the next one.
    fn spread(&self, at: usize, batch: &str) -> Sys<()> {
        let new = self.desks[at].new.as_fd();
        let dir = match sys::open_dir(new, batch) {
            Err(Errno::NOENT) => return Ok(()),
            dir => dir?,
        };
        empty_into(&dir, new)?;
        match sys::remove_dir(new, batch) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // A foreign file stands in it: `doctor` tells. Out of the way of the next scan.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                let name = format!("{batch}.foreign");
                match sys::rename_new(new, batch, new, &name) {
                    Ok(()) | Err(Errno::NOENT) => Ok(()),
                    Err(errno) => Err(errno),
                }
            }
            Err(errno) => Err(errno),
        }
    }

    /// Takes a bundle apart: its messages become a batch, and that is spread. It is claimed as a
    /// message is, and what cannot be read is spent as a message is. Another may have done it since
    /// we saw its name: then what we claim is his batch.
    fn unbundle(&self, at: usize, file: &str) -> Sys<Taken> {
        let Some(found) = bundle::name(file) else {
            return Ok(Taken::Nothing);
        };
        let desk = &self.desks[at];
        let name = Name {
            lease: Some(self.host.lease(UNBUNDLING, true)),
            ..found
        };
        let claim = Claim {
            name,
            lane: desk.lane,
            file: self.written(&name, file),
            content: None,
        };
        match sys::rename_new(desk.new.as_fd(), file, desk.cur.as_fd(), &claim.file) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(Taken::Nothing),
            Err(errno) => return Err(errno),
        }
        match self.unpack(desk, &claim) {
            Ok(None) => {
                // Held by us who live, nobody else would: so it is tried twice.
                self.put_back(at, &claim.file)
                    .or_else(|_| self.put_back(at, &claim.file))?;
                self.spread(at, file)?;
                Ok(Taken::Nothing)
            }
            Ok(Some(why)) => Ok(Taken::Spent(claim, why)),
            // A full disk, and the like: it waits again.
            Err(errno) => {
                let _ = self.put_back(at, &claim.file);
                Err(errno)
            }
        }
    }

    /// Builds the batch aside, writes it to the disk, and swaps it with the claimed bundle: until
    /// then there is only the bundle, from then on only the batch. Whoever lost the claim has
    /// nothing to swap with.
    fn unpack(&self, desk: &Desk, claim: &Claim) -> Sys<Option<Spent>> {
        let bundle = match sys::open_file(desk.cur.as_fd(), &claim.file) {
            Ok(bundle) => bundle,
            Err(Errno::LOOP) => return Ok(Some(Spent::Foreign("a symbolic link"))),
            Err(Errno::ACCESS | Errno::NXIO) => {
                return Ok(Some(Spent::Foreign("it cannot be opened")));
            }
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        if sys::is_dir(bundle.as_fd())? {
            return Ok(None);
        }
        match self.mailbox.check(&bundle, claim.name.size) {
            Ok(()) => {}
            Err(TORN) => return Ok(Some(Spent::Torn)),
            Err(why) => return Ok(Some(Spent::Foreign(why))),
        }
        const WRONG: Option<Spent> =
            Some(Spent::Foreign("a bundle that is not what its list says"));
        let Some(parts) = bundle::index(&bundle, claim.name.size)? else {
            return Ok(WRONG);
        };
        let tmp = self.mailbox.opened(claim.lane, "tmp")?;
        let aside = format!("{}.batch", super::deliver::aside(super::Clock::Kernel.id()));
        sys::make_dir(tmp.as_fd(), &aside)?;
        let dir = sys::open_dir(tmp.as_fd(), &aside)?;
        let cur = desk.cur.as_fd();
        let swapped = match bundle::unpack(&bundle, &parts, &dir) {
            Ok(true) => sys::exchange(cur, &claim.file, tmp.as_fd(), &aside).map(|()| None),
            Ok(false) => Ok(WRONG),
            Err(errno) => Err(errno),
        };
        match swapped {
            Ok(None) => {
                sys::sync(cur)?;
                sys::unlink(tmp.as_fd(), &aside)?;
                Ok(None)
            }
            failed => {
                // What cannot be removed now is swept later.
                for (name, _) in &parts {
                    let _ = sys::unlink(dir.as_fd(), &name.to_string());
                }
                let _ = sys::remove_dir(tmp.as_fd(), &aside);
                match failed {
                    // The claim was lost: another has begun anew.
                    Err(Errno::NOENT) => Ok(None),
                    failed => failed,
                }
            }
        }
    }

    /// Lets a claimed bundle wait again, or the batch that has taken its place under its name.
    fn put_back(&self, at: usize, file: &str) -> Sys<()> {
        let Some(name) = bundle::name(file) else {
            return Ok(());
        };
        let waiting = Name {
            lease: None,
            ..name
        };
        let (new, cur) = (self.desks[at].new.as_fd(), self.desks[at].cur.as_fd());
        match sys::rename_new(cur, file, new, &self.written(&waiting, file)) {
            Err(Errno::NOENT) => Ok(()),
            done => done,
        }
    }

    /// Replaces an empty `new/` that once held very many names. Says whether the directory is
    /// another one now.
    fn pay_debt(&mut self, at: usize, size: u64) -> Sys<bool> {
        const ASIDE: &str = ".debt";
        let lane = self.desks[at].lane;
        {
            let desk = &self.desks[at];
            let above = desk.folder.as_ref().unwrap_or(&self.mailbox.dir).as_fd();
            let left = match sys::open_dir(above, ASIDE) {
                Ok(left) => left,
                Err(Errno::NOENT) if size <= DEBT => return Ok(false),
                Err(Errno::NOENT) => {
                    match sys::make_dir(above, ASIDE) {
                        Ok(()) => {}
                        // A full disk, or somebody else is at it: another time.
                        Err(_) => return Ok(false),
                    }
                    match sys::exchange(above, "new", above, ASIDE) {
                        Ok(()) => {}
                        Err(_) => {
                            let _ = sys::remove_dir(above, ASIDE);
                            return Ok(false);
                        }
                    }
                    sys::open_dir(above, ASIDE)?
                }
                Err(errno) => return Err(errno),
            };
            let new = sys::open_dir(above, "new")?;
            // A sender may still rename into the old one until it is removed; then it opens anew.
            loop {
                empty_into(&left, new.as_fd())?;
                match sys::remove_dir(above, ASIDE) {
                    Ok(()) | Err(Errno::NOENT) => break,
                    Err(Errno::NOTEMPTY | Errno::EXIST) if !is_foreign(&left)? => {}
                    // Something stands in it that is not ours to move: left for `doctor`.
                    Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(false),
                    Err(errno) => return Err(errno),
                }
            }
        }
        self.desks[at] = self.open_desk(lane)?;
        Ok(true)
    }

    /// Claims one file by renaming it; `Nothing` when somebody else was quicker.
    fn claim(&mut self, at: usize, file: &str, held: bool, now: Now) -> Sys<Taken> {
        let Some(found) = Name::read(file.as_bytes()) else {
            return Ok(Taken::Nothing);
        };
        let desk = &self.desks[at];
        let name = Name {
            attempts: found.attempts.saturating_add(1),
            lease: Some(self.host.lease(self.lease, self.of_process)),
            ..found
        };
        let new_file = self.written(&name, file);
        let from = if held { &desk.cur } else { &desk.new };
        match sys::rename_new(from.as_fd(), file, desk.cur.as_fd(), &new_file) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(Taken::Nothing),
            Err(errno) => return Err(errno),
        }
        let mut claim = Claim {
            name,
            lane: desk.lane,
            file: new_file,
            content: None,
        };
        let content = match sys::open_file(desk.cur.as_fd(), &claim.file) {
            Ok(content) => content,
            Err(Errno::LOOP) => {
                return Ok(Taken::Spent(claim, Spent::Foreign("a symbolic link")));
            }
            Err(Errno::ACCESS | Errno::NXIO) => {
                return Ok(Taken::Spent(claim, Spent::Foreign("it cannot be opened")));
            }
            // The lease was over before we looked, and another has it.
            Err(Errno::NOENT) => return Ok(Taken::Nothing),
            // No descriptor left, and the like: the message goes back, uncounted.
            Err(errno) => {
                let _ = self.give_back(&claim, false);
                return Err(errno);
            }
        };
        match self.mailbox.check(&content, name.size) {
            Ok(()) => claim.content = Some(content),
            Err(TORN) => return Ok(Taken::Spent(claim, Spent::Torn)),
            Err(why) => return Ok(Taken::Spent(claim, Spent::Foreign(why))),
        }
        if self.mailbox.done_day(name.id)?.is_some() {
            // A second copy of one that was acknowledged.
            let _ = sys::unlink(desk.cur.as_fd(), &claim.file);
            return Ok(Taken::Nothing);
        }
        if name
            .expiry
            .is_some_and(|expiry| now.seconds() > expiry.saturating_add(EXPIRY_SLACK))
        {
            return Ok(Taken::Spent(claim, Spent::Expired));
        }
        if name.attempts > MAX_ATTEMPTS {
            return Ok(Taken::Spent(claim, Spent::Attempts));
        }
        Ok(Taken::Message(claim))
    }

    /// A name as it is written here: with the separator and the ending that `like` has.
    fn written(&self, name: &Name, like: &str) -> String {
        let mut written = if like.contains(';') {
            name.with_semicolon()
        } else {
            name.to_string()
        };
        if like.ends_with(bundle::SUFFIX) {
            written.push_str(bundle::SUFFIX);
        }
        written
    }

    fn cur(&self, claim: &Claim) -> Result<OwnedFd, Error> {
        self.mailbox
            .part(claim.lane, "cur")
            .map_err(|errno| self.trouble(errno))
    }

    /// Acknowledges: the message is done and stays in the archive.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has it now.
    pub fn ack(&mut self, claim: &Claim) -> Result<(), Error> {
        let cur = self.cur(claim)?;
        self.file_away(&cur, claim).map_err(|errno| match errno {
            Errno::NOENT => Error::LeaseLost { id: claim.name.id },
            errno => Error::io(format!("acknowledging {}", claim.name.id))(errno),
        })
    }

    fn file_away(&mut self, cur: &OwnedFd, claim: &Claim) -> Sys<()> {
        let id = claim.name.id;
        // Never under a day before the id's own, so that the ledger need not look there.
        let day = super::day(self.host.clock.now().seconds().max(id.seconds()));
        let to = id.to_string();
        let mut made_room = false;
        loop {
            let dir = match &self.day {
                Some((known, dir)) if *known == day => dir,
                _ => {
                    let dir = self.open_day(&day)?;
                    &self.day.insert((day.clone(), dir)).1
                }
            };
            match sys::rename(cur.as_fd(), &claim.file, dir.as_fd(), &to) {
                Err(Errno::NOSPC | Errno::DQUOT) if !made_room => {
                    self.mailbox.make_room();
                    made_room = true;
                }
                // The day was pruned away under us, or gave room just now.
                Err(Errno::NOENT) if sys::stat(dir.as_fd())?.st_nlink == 0 => self.day = None,
                done => return done,
            }
        }
    }

    /// The directory of a day; who makes it sweeps up.
    fn open_day(&self, day: &str) -> Sys<OwnedFd> {
        let done = sys::ensure_dir(self.mailbox.dir.as_fd(), "done")?;
        match sys::open_dir(done.as_fd(), day) {
            Err(Errno::NOENT) => {}
            opened => return opened,
        }
        match sys::make_dir(done.as_fd(), day) {
            Ok(()) => self.mailbox.sweep(self.host.clock.now()),
            Err(Errno::EXIST) => {}
            Err(Errno::NOSPC | Errno::DQUOT) => {
                self.mailbox.make_room();
                sys::make_dir(done.as_fd(), day)?;
            }
            Err(errno) => return Err(errno),
        }
        sys::open_dir(done.as_fd(), day)
    }

    /// Whether the message was acknowledged.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub fn is_done(&self, id: Id) -> Result<bool, Error> {
        let day = self.mailbox.done_day(id);
        Ok(day.map_err(|errno| self.trouble(errno))?.is_some())
    }

    /// A path of the message that stays the same when its lease is renewed: one more name in
    /// `tmp/`, to be removed after use, and swept if we die.
    ///
    /// # Errors
    /// When the name cannot be made.
    pub fn stable_path(&self, claim: &Claim) -> Result<std::path::PathBuf, Error> {
        let name = super::deliver::aside(claim.name.id);
        let link = || {
            let cur = self.mailbox.part(claim.lane, "cur")?;
            let tmp = sys::open_dir(self.mailbox.dir.as_fd(), "tmp")?;
            match sys::link(cur.as_fd(), &claim.file, tmp.as_fd(), &name) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(errno) => Err(errno),
            }
        };
        link().map_err(|errno| self.trouble(errno))?;
        Ok(self.mailbox.path().join("tmp").join(name))
    }

    /// Extends the lease from now on.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has it now.
    pub fn renew(&mut self, claim: &mut Claim) -> Result<(), Error> {
        let cur = self.cur(claim)?;
        let name = Name {
            lease: Some(self.host.lease(self.lease, self.of_process)),
            ..claim.name
        };
        let file = self.written(&name, &claim.file);
        if file == claim.file {
            return Ok(());
        }
        sys::rename_new(cur.as_fd(), &claim.file, cur.as_fd(), &file)
            .map_err(|errno| self.lost(claim, errno))?;
        claim.name = name;
        claim.file = file;
        Ok(())
    }

    fn lost(&self, claim: &Claim, errno: Errno) -> Error {
        match errno {
            Errno::NOENT => Error::LeaseLost { id: claim.name.id },
            errno => self.trouble(errno),
        }
    }

    /// Gives the message back: it waits again, at its place in the order.
    ///
    /// `counted` is false when it was not its fault, and nobody tried.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has it now.
    pub fn release(&mut self, claim: &Claim, counted: bool) -> Result<(), Error> {
        self.give_back(claim, counted)
            .map_err(|errno| self.lost(claim, errno))
    }

    fn give_back(&self, claim: &Claim, counted: bool) -> Sys<()> {
        let name = Name {
            attempts: claim.name.attempts.saturating_sub(u32::from(!counted)),
            lease: None,
            ..claim.name
        };
        let file = self.written(&name, &claim.file);
        let back = |cur: &OwnedFd, new: &OwnedFd| {
            sys::rename_new(cur.as_fd(), &claim.file, new.as_fd(), &file)
        };
        let part = |part| self.mailbox.part(claim.lane, part);
        let desk = self.desks.iter().find(|desk| desk.lane == claim.lane);
        match (part("cur").and_then(|cur| Ok((cur, part("new")?))), desk) {
            (Ok((cur, new)), _) => back(&cur, &new)?,
            // No descriptor left is not the message's fault: back the way it came.
            (Err(Errno::MFILE | Errno::NFILE), Some(desk)) => back(&desk.cur, &desk.new)?,
            (Err(errno), _) => return Err(errno),
        }
        match claim.lane.folder() {
            None => Order::forget(&self.mailbox.dir),
            Some(folder) => Order::forget(&sys::open_dir(self.mailbox.dir.as_fd(), folder)?),
        }
        Ok(())
    }

    /// Gives the message up: it goes to `dead/` with the reason (a torn one to `dead/torn/`).
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has it now.
    pub fn bury(&mut self, claim: &Claim, reason: &str, torn: bool) -> Result<(), Error> {
        let cur = self.cur(claim)?;
        let bury = || {
            let dead = sys::ensure_dir(self.mailbox.dir.as_fd(), "dead")?;
            let id = claim.name.id.to_string();
            if torn {
                let torn = sys::ensure_dir(dead.as_fd(), "torn")?;
                return sys::rename(cur.as_fd(), &claim.file, torn.as_fd(), &id);
            }
            if !sys::exists(cur.as_fd(), &claim.file)? {
                return Err(Errno::NOENT);
            }
            // The reason first: a dead message always has one.
            let line = format!("Dead-Reason: {}\n", reason.replace(['\n', '\r'], " "));
            let aside = format!(".{id}.why.{}", std::process::id());
            let why = format!("{id}.why");
            match sys::replace(dead.as_fd(), &why, &aside, &[line.as_bytes()]) {
                // On a full disk it is better dead without a reason than alive for ever.
                Ok(()) | Err(Errno::NOSPC | Errno::DQUOT | Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            sys::rename(cur.as_fd(), &claim.file, dead.as_fd(), &id)
        };
        bury().map_err(|errno| self.lost(claim, errno))
    }

    /// A held message by its id, to settle it from another process than the one that claimed it.
    /// `attempt` is the fence: with it, only that very claim is meant.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when the claim is another by now, or the message waits again;
    /// [`Error::NoMessage`] when no such message is held.
    pub fn held(&self, id: Id, attempt: Option<u32>) -> Result<Claim, Error> {
        let listed: Vec<Entry> = self.mailbox.list()?;
        let mut waits = false;
        for entry in listed.into_iter().filter(|entry| entry.name.id == id) {
            if !entry.held || entry.name.lease.is_none() {
                waits = true;
            } else if attempt.is_some_and(|attempt| attempt != entry.name.attempts) {
                return Err(Error::LeaseLost { id });
            } else {
                return Ok(Claim {
                    name: entry.name,
                    lane: entry.lane,
                    content: self.mailbox.open_entry(&entry).ok(),
                    file: entry.file,
                });
            }
        }
        let settled = waits || self.mailbox.settled(id).is_ok_and(|place| place.is_some());
        if settled {
            return Err(Error::LeaseLost { id });
        }
        Err(Error::NoMessage {
            id,
            state: "is held",
        })
    }
}

/// The claim in the name of a bundle.
fn bundle_lease(file: &str) -> Option<Lease> {
    bundle::name(file)?.lease
}

/// Renames every message of `from` into `to`.
fn empty_into(from: &OwnedFd, to: std::os::fd::BorrowedFd<'_>) -> Sys<()> {
    for (file, _) in sys::names(from.as_fd())? {
        if !is_ours(&file) {
            continue;
        }
        match sys::rename_new(from.as_fd(), &file, to, &file) {
            Ok(()) | Err(Errno::NOENT) => {}
            // The same id is there already: one of the two is enough.
            Err(Errno::EXIST) => match sys::unlink(from.as_fd(), &file) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            },
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether only files that are not messages stand in a directory.
fn is_foreign(dir: &OwnedFd) -> Sys<bool> {
    let names = sys::names(dir.as_fd())?;
    Ok(!names.is_empty() && !names.iter().any(|(file, _)| is_ours(file)))
}
