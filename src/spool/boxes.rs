//! The mail directory and its mailboxes: opened step by step from a held directory, never through
//! a symbolic link, and only when they are ours alone.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::name::{Id, Name};
use super::sys;
use super::{Error, bundle};
use crate::id::{self, AgentName};

/// How urgent a message is: three Maildirs in one mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Taken before all others.
    Urgent,
    /// The usual one.
    Normal,
    /// Taken when nothing else waits.
    Low,
}

impl Lane {
    /// All lanes, in the order in which they are taken from.
    pub const ALL: [Lane; 3] = [Lane::Urgent, Lane::Normal, Lane::Low];

    /// The subfolder in the mailbox; the usual lane is the mailbox itself.
    pub fn folder(self) -> Option<&'static str> {
        match self {
            Lane::Urgent => Some(".urgent"),
            Lane::Normal => None,
            Lane::Low => Some(".low"),
        }
    }

    /// The name that records use.
    pub fn as_str(self) -> &'static str {
        match self {
            Lane::Urgent => "urgent",
            Lane::Normal => "normal",
            Lane::Low => "low",
        }
    }
}

/// The directory that holds all mailboxes.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    dir: OwnedFd,
}

impl Spool {
    /// Opens the mail directory.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn open(path: &Path) -> Result<Spool, Error> {
        let dir = sys::open_root(path).map_err(Error::io(format!("{}", path.display())))?;
        Ok(Spool {
            path: path.to_owned(),
            dir,
        })
    }

    /// Opens the mail directory, and makes it where it is missing.
    ///
    /// # Errors
    /// When it can be neither opened nor made.
    pub fn open_or_create(path: &Path) -> Result<Spool, Error> {
        match sys::open_root(path) {
            Err(Errno::NOENT) => {
                use std::os::unix::fs::DirBuilderExt;
                let made = std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(path);
                made.map_err(|source| Error::Io {
                    what: format!("{}", path.display()),
                    source,
                })?;
                Spool::open(path)
            }
            _ => Spool::open(path),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all mailboxes, sorted.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn names(&self) -> Result<Vec<AgentName>, Error> {
        let entries = sys::names(self.dir.as_fd()).map_err(Error::io("reading the mailboxes"))?;
        Ok(entries
            .into_iter()
            .filter(|(_, kind)| matches!(kind, FileType::Directory | FileType::Unknown))
            .filter_map(|(name, _)| name.parse().ok())
            .collect())
    }

    /// Opens a mailbox.
    ///
    /// # Errors
    /// [`Error::NoMailbox`] with the nearest names when there is none; [`Error::Unsafe`] when what
    /// stands there is a link, a file, or another user's.
    pub fn mailbox(&self, name: &AgentName) -> Result<Mailbox, Error> {
        match sys::open_dir(self.dir.as_fd(), name.as_str()) {
            Ok(dir) => Mailbox::new(self.path.join(name.as_str()), name.clone(), dir),
            Err(Errno::NOENT) => Err(Error::NoMailbox {
                nearest: self.nearest(name)?,
                name: name.clone(),
            }),
            Err(errno) => Err(not_a_directory(name.as_str(), errno)),
        }
    }

    fn nearest(&self, name: &AgentName) -> Result<Vec<String>, Error> {
        let names = self.names()?;
        let near = id::nearest(name.as_str(), names.iter().map(AgentName::as_str));
        Ok(near.into_iter().map(str::to_owned).collect())
    }

    /// Opens a mailbox, and makes it where it is missing: whole, by one rename.
    ///
    /// # Errors
    /// As [`Spool::mailbox`], and when it cannot be made.
    pub fn create(&self, name: &AgentName) -> Result<Mailbox, Error> {
        match self.mailbox(name) {
            Err(Error::NoMailbox { .. }) => {}
            found => return found,
        }
        let making = |errno| Error::io(format!("making mailbox {name}"))(errno);
        // A name no agent can have, so that nobody takes the half-made one for a mailbox.
        let aside = format!(".making-{name}.{}", super::Clock::Kernel.id());
        sys::make_dir(self.dir.as_fd(), &aside).map_err(making)?;
        let dir = sys::open_dir(self.dir.as_fd(), &aside).map_err(making)?;
        for part in ["tmp", "new", "cur", "id", "done", "dead"] {
            sys::make_dir(dir.as_fd(), part).map_err(making)?;
        }
        // So that the first acknowledgement finds its place even on a disk that is full by then.
        let day = format!("done/{}", super::Clock::Kernel.now().day());
        sys::make_dir(dir.as_fd(), &day).map_err(making)?;
        sys::touch(dir.as_fd(), ".last-read").map_err(making)?;
        sys::sync(dir.as_fd()).map_err(making)?;
        match sys::rename_new(self.dir.as_fd(), &aside, self.dir.as_fd(), name.as_str()) {
            Ok(()) => {}
            // Somebody else was quicker; ours is empty and goes again.
            Err(Errno::EXIST | Errno::NOTEMPTY) => self.discard(&aside),
            Err(errno) => return Err(making(errno)),
        }
        sys::sync(self.dir.as_fd()).map_err(making)?;
        self.mailbox(name)
    }

    fn discard(&self, aside: &str) {
        // What is left over has a name that no mailbox has; `doctor` lists it.
        drop(std::fs::remove_dir_all(self.path.join(aside)));
    }
}

fn not_a_directory(name: &str, errno: Errno) -> Error {
    match errno {
        Errno::LOOP | Errno::NOTDIR => Error::Unsafe {
            name: name.to_owned(),
            why: "it is a symbolic link or not a directory".to_owned(),
        },
        errno => Error::io(format!("mailbox {name}"))(errno),
    }
}

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In `new/`: nobody has claimed it.
    Waiting,
    /// In `cur/`, claimed.
    Held,
    /// Acknowledged, in the directory of that day.
    Done(String),
    /// Given up, with the reason.
    Dead(String),
    /// Cut short by a crash of the machine; it had never been accepted.
    Torn,
}

impl Place {
    /// The name that records use.
    pub fn as_str(&self) -> &'static str {
        match self {
            Place::Waiting => "waiting",
            Place::Held => "held",
            Place::Done(_) => "done",
            Place::Dead(_) => "dead",
            Place::Torn => "torn",
        }
    }
}

/// One message as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, taken apart.
    pub name: Name,
    /// Its name as it stands on the disk.
    pub file: String,
    /// The batch directory, or the bundle, that it still stands in.
    pub batch: Option<String>,
    /// Where it begins in that bundle.
    pub(super) offset: Option<u64>,
    /// Its lane.
    pub lane: Lane,
    /// Whether it is claimed, or its bundle is.
    pub held: bool,
}

impl Entry {
    /// The bundle of which it is a part.
    pub fn bundle(&self) -> Option<&str> {
        self.offset.and(self.batch.as_deref())
    }

    /// Whether it waits for a receiver: nobody holds it, though one may be taking its bundle apart.
    pub fn waits(&self) -> bool {
        !self.held || self.batch.is_some()
    }
}

/// One mailbox.
#[derive(Debug)]
pub struct Mailbox {
    path: PathBuf,
    name: AgentName,
    pub(super) dir: OwnedFd,
    /// The only user whose files are messages here.
    pub(super) owner: u32,
    /// Whether others may write here: to be warned of.
    open_to_others: bool,
}

impl Mailbox {
    fn new(path: PathBuf, name: AgentName, dir: OwnedFd) -> Result<Mailbox, Error> {
        let stat = sys::stat(dir.as_fd()).map_err(Error::io(format!("mailbox {name}")))?;
        let owner = rustix::process::geteuid().as_raw();
        if stat.st_uid != owner {
            return Err(Error::Unsafe {
                name: name.to_string(),
                why: format!("it belongs to user {}, and we are {owner}", stat.st_uid),
            });
        }
        Ok(Mailbox {
            path,
            name,
            dir,
            owner,
            open_to_others: stat.st_mode & 0o022 != 0,
        })
    }

    /// Whose it is.
    pub fn name(&self) -> &AgentName {
        &self.name
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether other users may write into it.
    pub fn is_open_to_others(&self) -> bool {
        self.open_to_others
    }

    /// How long nobody has looked into it, in seconds; `None` when it cannot be told.
    pub fn unread_for(&self, now: super::Now) -> Option<u64> {
        let stat = sys::stat_at(self.dir.as_fd(), ".last-read").ok()?;
        Some(now.seconds().saturating_sub(stat.st_mtime as u64))
    }

    /// Notes that somebody looks. A hint: a failure (a full disk) is nobody's trouble.
    pub fn note_reader(&self) {
        let _ = sys::touch(self.dir.as_fd(), ".last-read");
    }

    /// A part of the mailbox: `tmp`, `new` or `cur` of a lane.
    pub(super) fn part(&self, lane: Lane, part: &str) -> sys::Sys<OwnedFd> {
        match lane.folder() {
            None => sys::open_dir(self.dir.as_fd(), part),
            Some(folder) => {
                let folder = sys::open_dir(self.dir.as_fd(), folder)?;
                sys::open_dir(folder.as_fd(), part)
            }
        }
    }

    /// The same, made where it is missing: a lane is made for its first message, and who was to
    /// make it may have died half way.
    pub(super) fn opened(&self, lane: Lane, part: &str) -> sys::Sys<OwnedFd> {
        match self.part(lane, part) {
            Err(Errno::NOENT) => self.ensure_part(lane, part),
            opened => opened,
        }
    }

    fn ensure_part(&self, lane: Lane, part: &str) -> sys::Sys<OwnedFd> {
        match lane.folder() {
            None => sys::ensure_dir(self.dir.as_fd(), part),
            Some(name) => {
                let folder = sys::ensure_dir(self.dir.as_fd(), name)?;
                // A lane is whole or it will be made whole: mail programs want all three.
                for part in ["tmp", "new", "cur"] {
                    drop(sys::ensure_dir(folder.as_fd(), part)?);
                }
                sys::sync(folder.as_fd())?;
                sys::sync(self.dir.as_fd())?;
                sys::open_dir(folder.as_fd(), part)
            }
        }
    }

    /// All messages that wait or are held, in the order in which they will be taken; held ones
    /// stand in their place.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        self.listed(&[("new", false), ("cur", true)])
    }

    /// The same without those that are held.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn waiting(&self) -> Result<Vec<Entry>, Error> {
        self.listed(&[("new", false)])
    }

    /// Only those that are held.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn held(&self) -> Result<Vec<Entry>, Error> {
        self.listed(&[("cur", true)])
    }

    fn listed(&self, parts: &[(&str, bool)]) -> Result<Vec<Entry>, Error> {
        let mut found = Vec::new();
        for lane in Lane::ALL {
            let start = found.len();
            for &(part, held) in parts {
                let dir = match self.part(lane, part) {
                    Ok(dir) => dir,
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(not_a_directory(part, errno)),
                };
                self.list_dir(&dir, lane, held, None, &mut found)
                    .map_err(Error::io(format!("reading mailbox {}", self.name)))?;
            }
            found[start..].sort_by_key(|entry| entry.name.id);
        }
        Ok(found)
    }

    fn list_dir(
        &self,
        dir: &OwnedFd,
        lane: Lane,
        held: bool,
        batch: Option<&str>,
        found: &mut Vec<Entry>,
    ) -> sys::Sys<()> {
        let mut batches = Vec::new();
        sys::list(dir.as_fd(), |file, kind| {
            let Ok(file) = file.to_str() else { return };
            match (Name::read(file.as_bytes()), kind) {
                (Some(name), FileType::RegularFile | FileType::Unknown) => found.push(Entry {
                    name,
                    file: file.to_owned(),
                    batch: batch.map(str::to_owned),
                    offset: None,
                    lane,
                    held,
                }),
                (None, _)
                    if batch.is_none() && (is_batch(file) || bundle::name(file).is_some()) =>
                {
                    batches.push(file.to_owned());
                }
                _ => {}
            }
        })?;
        for batch in batches {
            match sys::open_dir(dir.as_fd(), &batch) {
                Ok(inner) => self.list_dir(&inner, lane, held, Some(&batch), found)?,
                // A receiver has just spread it; its messages are in `new/` now.
                Err(Errno::NOENT) => {}
                Err(Errno::NOTDIR) => self.list_bundle(dir, lane, held, batch, found)?,
                Err(Errno::LOOP) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn list_bundle(
        &self,
        dir: &OwnedFd,
        lane: Lane,
        held: bool,
        file: String,
        found: &mut Vec<Entry>,
    ) -> sys::Sys<()> {
        // Gone, not a bundle, or torn: nothing of it will be handed out.
        let Some((bundle, name)) = self.open_bundle(dir, &file)? else {
            return Ok(());
        };
        let parts = bundle::index(&bundle, name.size)?.unwrap_or_default();
        found.extend(parts.into_iter().map(|(name, at)| Entry {
            name,
            file: name.to_string(),
            batch: Some(file.clone()),
            offset: Some(at),
            lane,
            held,
        }));
        Ok(())
    }

    /// Opens a bundle that is whole and ours.
    pub(super) fn open_bundle(
        &self,
        dir: &OwnedFd,
        file: &str,
    ) -> sys::Sys<Option<(OwnedFd, Name)>> {
        let Some(name) = bundle::name(file) else {
            return Ok(None);
        };
        match sys::open_file(dir.as_fd(), file) {
            Ok(bundle) => Ok(self
                .check(&bundle, name.size)
                .is_ok()
                .then_some((bundle, name))),
            Err(Errno::NOENT | Errno::ACCESS | Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Opens a listed message for reading, without claiming it.
    ///
    /// # Errors
    /// When it is gone (another took it), or not a message.
    pub fn open_entry(&self, entry: &Entry) -> Result<OwnedFd, Error> {
        let part = if entry.held { "cur" } else { "new" };
        let opening = |errno| Error::io(format!("message {}", entry.name.id))(errno);
        let dir = self.part(entry.lane, part).map_err(opening)?;
        if let (Some(bundle), Some(at)) = (&entry.batch, entry.offset) {
            let part = || match self.open_bundle(&dir, bundle)? {
                Some((bundle, _)) => bundle::part(&bundle, &entry.name, at),
                None => Err(Errno::NOENT),
            };
            return part().map_err(opening);
        }
        let open = || match &entry.batch {
            None => sys::open_file(dir.as_fd(), &entry.file),
            Some(batch) => {
                let batch = sys::open_dir(dir.as_fd(), batch)?;
                sys::open_file(batch.as_fd(), &entry.file)
            }
        };
        let file = open().map_err(opening)?;
        self.check(&file, entry.name.size)
            .map_err(|why| Error::Unsafe {
                name: entry.file.clone(),
                why: why.to_owned(),
            })?;
        Ok(file)
    }

    /// Whether an open file is a message of this mailbox, of the size that its name says.
    pub(super) fn check(&self, file: &OwnedFd, size: u64) -> Result<(), &'static str> {
        let stat = sys::stat(file.as_fd()).map_err(|_| "it cannot be examined")?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err("not a plain file");
        }
        if stat.st_uid != self.owner {
            return Err("another user's file");
        }
        // Messages are written with mode 0400: anything else is a file from elsewhere, linked in.
        if stat.st_mode & 0o377 != 0 && sys::keeps_modes(file.as_fd()) {
            return Err("not written by spore-send: its mode is not 0400");
        }
        if stat.st_size as u64 != size {
            return Err(TORN);
        }
        Ok(())
    }

    /// Where the message of this id is, if anywhere. The directories are searched in the order in
    /// which a message moves, so one that moves meanwhile is met; what comes out of a bundle or a
    /// batch moves the other way, so where something moved and nothing was found, it is searched again.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn find(&self, id: Id) -> Result<Option<Place>, Error> {
        let looking = |errno| Error::io(format!("looking for {id}"))(errno);
        // The cheap places first: most questions are about messages that were read.
        if let Some(place) = self.settled(id).map_err(looking)? {
            return Ok(Some(place));
        }
        for _ in 0..SEARCHES {
            let before = self.moved().map_err(looking)?;
            let listed = self.list()?;
            if let Some(entry) = listed.iter().find(|entry| entry.name.id == id) {
                return Ok(Some(if entry.waits() {
                    Place::Waiting
                } else {
                    Place::Held
                }));
            }
            if self.moved().map_err(looking)? == before {
                break;
            }
        }
        self.settled(id).map_err(looking)
    }

    /// When the directories of waiting and held messages last changed.
    fn moved(&self) -> sys::Sys<Vec<(i64, u64)>> {
        let mut moments = Vec::new();
        for lane in Lane::ALL {
            for part in ["new", "cur"] {
                match self.part(lane, part) {
                    Err(Errno::NOENT) => {}
                    dir => {
                        let stat = sys::stat(dir?.as_fd())?;
                        moments.push((stat.st_ctime as i64, stat.st_ctime_nsec as u64));
                    }
                }
            }
        }
        Ok(moments)
    }

    /// Whether the message is done, dead or torn: a few questions about names, no listing.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn settled(&self, id: Id) -> sys::Sys<Option<Place>> {
        let text = id.to_string();
        if let Some(day) = self.done_day(id)? {
            return Ok(Some(Place::Done(day)));
        }
        let dead = match sys::open_dir(self.dir.as_fd(), "dead") {
            Err(Errno::NOENT) => return Ok(None),
            dead => dead?,
        };
        if sys::exists(dead.as_fd(), &text)? {
            let why = self.read_small(&dead, &format!("{text}.why"));
            return Ok(Some(Place::Dead(why.trim_end().to_owned())));
        }
        let torn = sys::exists(dead.as_fd(), &format!("torn/{text}"))?;
        Ok(torn.then_some(Place::Torn))
    }

    /// The day under which `done/` has this id: never one before the id's own (see `take::filed`).
    pub(super) fn done_day(&self, id: Id) -> sys::Sys<Option<String>> {
        let done = match sys::open_dir(self.dir.as_fd(), "done") {
            Err(Errno::NOENT) => return Ok(None),
            done => done?,
        };
        let first = super::day(id.seconds());
        let text = id.to_string();
        for (day, kind) in sys::names(done.as_fd())? {
            let a_day = kind != FileType::RegularFile && day.len() == 10;
            if a_day && day >= first && sys::exists(done.as_fd(), &format!("{day}/{text}"))? {
                return Ok(Some(day));
            }
        }
        Ok(None)
    }

    /// A short text file, or nothing.
    pub(super) fn read_small(&self, dir: &OwnedFd, name: &str) -> String {
        let mut text = String::new();
        if let Ok(file) = sys::open_file(dir.as_fd(), name) {
            use std::io::Read;
            drop(
                std::fs::File::from(file)
                    .take(64 * 1024)
                    .read_to_string(&mut text),
            );
        }
        text
    }
}

/// How often a message is searched for that is not found while others come and go.
const SEARCHES: usize = 4;

/// The reason that marks a file as torn.
pub(super) const TORN: &str = "its size is not the one in its name";

/// Whether a name in `new/` is that of a message, of a batch or of a bundle.
pub(super) fn is_ours(name: &str) -> bool {
    Name::read(name.as_bytes()).is_some() || is_batch(name) || bundle::name(name).is_some()
}

/// Whether a directory name in `new/` is that of a batch.
pub(super) fn is_batch(name: &str) -> bool {
    name.strip_suffix(".batch")
        .is_some_and(|id| id.parse::<Id>().is_ok())
}
