//! The sender's side: write aside, then one rename, then the disk's word for it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::boxes::{Lane, Mailbox};
use super::name::{Id, Name};
use super::sys::{self, FsKind, Sys};
use super::take::MAX_ATTEMPTS;
use super::{Error, Place};

/// How a message is to be delivered.
#[derive(Debug, Clone, Copy)]
pub struct Post {
    /// Its lane.
    pub lane: Lane,
    /// When it stops being worth reading, in seconds since 1970.
    pub expiry: Option<u64>,
    /// Whether to wait for the disk. Without, a power cut may lose the message.
    pub sync: bool,
}

impl Default for Post {
    fn default() -> Post {
        Post {
            lane: Lane::Normal,
            expiry: None,
            sync: true,
        }
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is in the mailbox, on the disk.
    New,
    /// A message of this id was there already: nothing was added.
    Duplicate,
}

/// A message that is being written. Dropped before delivery, it is removed.
#[derive(Debug)]
pub struct Draft<'a> {
    mailbox: &'a Mailbox,
    lane: Lane,
    tmp: OwnedFd,
    file: OwnedFd,
    aside: String,
    id: Id,
    size: u64,
    there: bool,
}

fn refused(what: &'static str) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::NotAccepted {
        what,
        source: errno.into(),
    }
}

fn unconfirmed(id: Id, what: &'static str) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::Unconfirmed {
        id,
        what,
        source: errno.into(),
    }
}

impl Mailbox {
    /// Begins a message.
    ///
    /// # Errors
    /// [`Error::NotAccepted`] when no file can be made.
    pub fn draft(&self, lane: Lane, id: Id) -> Result<Draft<'_>, Error> {
        let tmp = self.opened(lane, "tmp").map_err(refused("opening tmp"))?;
        let aside = aside(id);
        let file =
            sys::create(tmp.as_fd(), &aside, Mode::RUSR).map_err(refused("making a file"))?;
        Ok(Draft {
            mailbox: self,
            lane,
            tmp,
            file,
            aside,
            id,
            size: 0,
            there: true,
        })
    }

    /// Delivers one message whose bytes are at hand.
    ///
    /// # Errors
    /// [`Error::NotAccepted`]: nothing is left of it. [`Error::Unconfirmed`]: it is in the mailbox,
    /// but the disk did not say so.
    pub fn deliver(&self, id: Id, bytes: &[u8], post: &Post) -> Result<Accepted, Error> {
        let mut draft = self.draft(post.lane, id)?;
        draft.write(bytes)?;
        draft.deliver(post)
    }

    /// The id that goes with `key` in this mailbox: `id` for its first use, later the one that it
    /// had then. A key that is itself an id stands for that id.
    ///
    /// # Errors
    /// [`Error::NotAccepted`] when it can be neither made nor read.
    pub fn reserve(&self, sender: &str, key: &str, id: Id) -> Result<Id, Error> {
        if let Ok(id) = key.parse() {
            return Ok(id);
        }
        let keys = sys::ensure_dir(self.dir.as_fd(), "id").map_err(refused("opening id"))?;
        let hash = hash(&[sender, self.name().as_str(), key]);
        match sys::symlink(&id.to_string(), keys.as_fd(), &hash) {
            Ok(()) => {
                // Where the journal keeps order the link is on disk before the message; elsewhere
                // it is made so.
                if !matches!(sys::fs_kind(keys.as_fd()), Ok(FsKind::Journal)) {
                    sys::sync(keys.as_fd()).map_err(refused("writing the key to the disk"))?;
                }
                Ok(id)
            }
            Err(Errno::EXIST) => {
                let text =
                    sys::read_link(keys.as_fd(), &hash).map_err(refused("reading the key"))?;
                text.parse().map_err(|_| Error::Unsafe {
                    name: format!("{}/id/{hash}", self.name()),
                    why: "it is not the id of a message".to_owned(),
                })
            }
            Err(errno) => Err(refused("noting the key")(errno)),
        }
    }

    /// Whether a message of this id was delivered here at any time that the ledger remembers.
    ///
    /// # Errors
    /// When the mailbox cannot be read.
    pub fn has(&self, id: Id) -> Result<bool, Error> {
        Ok(matches!(
            self.find(id)?,
            Some(Place::Waiting | Place::Held | Place::Done(_) | Place::Dead(_))
        ))
    }

    /// Whether a message waits in the place where [`Mailbox::deliver`] puts it: a few questions
    /// about names, no listing. In a batch or a bundle it is not seen.
    ///
    /// # Errors
    /// When the mailbox cannot be read.
    pub fn waits(&self, id: Id, size: u64, post: &Post) -> Result<bool, Error> {
        self.is_new(id, size, post)
            .map_err(Error::io(format!("looking for {id}")))
    }

    fn is_new(&self, id: Id, size: u64, post: &Post) -> Sys<bool> {
        let new = match self.part(post.lane, "new") {
            Err(Errno::NOENT) => return Ok(false),
            new => new?,
        };
        let colon = !matches!(sys::fs_kind(new.as_fd()), Ok(FsKind::NoColon));
        for attempts in 0..=MAX_ATTEMPTS {
            let name = Name {
                attempts,
                ..Name::fresh(id, size, post.expiry)
            };
            if sys::exists(new.as_fd(), &file_name(&name, colon))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Delivers many messages, all or nothing: files in a directory of their own, one barrier, one
    /// rename, one sync.
    ///
    /// # Errors
    /// As [`Mailbox::deliver`], for all of them together.
    pub fn deliver_batch<B: AsRef<[u8]>>(
        &self,
        messages: impl IntoIterator<Item = (Id, B)>,
        post: &Post,
    ) -> Result<usize, Error> {
        let tmp = self
            .opened(post.lane, "tmp")
            .map_err(refused("opening tmp"))?;
        let mut messages = messages.into_iter().peekable();
        let Some(&(first, _)) = messages.peek() else {
            return Ok(0);
        };
        let aside = format!("{}.batch", aside(first));
        sys::make_dir(tmp.as_fd(), &aside).map_err(refused("making a batch"))?;
        let dir = match sys::open_dir(tmp.as_fd(), &aside) {
            Ok(dir) => dir,
            Err(errno) => {
                let _ = sys::remove_dir(tmp.as_fd(), &aside);
                return Err(refused("opening the batch")(errno));
            }
        };
        let mut written = Vec::new();
        let outcome = self
            .fill(&dir, messages, post, &mut written)
            .and_then(|()| {
                let new = self
                    .part(post.lane, "new")
                    .map_err(refused("opening new"))?;
                let name = format!("{first}.batch");
                sys::rename_new(tmp.as_fd(), &aside, new.as_fd(), &name)
                    .map_err(refused("delivering the batch"))?;
                Ok(new)
            });
        match outcome {
            Ok(new) => {
                if post.sync {
                    sys::sync(new.as_fd())
                        .map_err(unconfirmed(first, "writing the directory to the disk"))?;
                }
                Ok(written.len())
            }
            Err(error) => {
                // Nothing of it was delivered; what cannot be removed now is swept from tmp later.
                for name in written {
                    let _ = sys::unlink(dir.as_fd(), &name);
                }
                let _ = sys::remove_dir(tmp.as_fd(), &aside);
                Err(error)
            }
        }
    }

    fn fill<B: AsRef<[u8]>>(
        &self,
        dir: &OwnedFd,
        messages: impl Iterator<Item = (Id, B)>,
        post: &Post,
        written: &mut Vec<String>,
    ) -> Result<(), Error> {
        let colon = !matches!(sys::fs_kind(dir.as_fd()), Ok(FsKind::NoColon));
        for (id, bytes) in messages {
            let bytes = bytes.as_ref();
            let name = file_name(&Name::fresh(id, bytes.len() as u64, post.expiry), colon);
            let file =
                sys::create(dir.as_fd(), &name, Mode::RUSR).map_err(refused("making a file"))?;
            written.push(name);
            sys::write_all(file.as_fd(), bytes).map_err(refused("writing"))?;
        }
        if post.sync {
            barrier(dir, written).map_err(refused("writing the batch to the disk"))?;
        }
        Ok(())
    }
}

/// Makes a directory of files durable: by one sync of the file system when little else of it waits
/// to be written, else file by file from several threads, whose waits the journal merges.
pub(super) fn barrier(dir: &OwnedFd, files: &[String]) -> Sys<()> {
    const MUCH: u64 = 256 << 20;
    if files.len() >= 16 && dirty_bytes().is_some_and(|dirty| dirty < MUCH) {
        return sys::sync_all(dir.as_fd());
    }
    let workers = files.len().div_ceil(16).min(16);
    let share = files.len().div_ceil(workers.max(1)).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = files
            .chunks(share)
            .map(|names| {
                scope.spawn(move || {
                    names.iter().try_for_each(|name| {
                        let file = sys::open_file(dir.as_fd(), name)?;
                        sys::sync(file.as_fd())
                    })
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or(Err(Errno::IO)))
    })?;
    sys::sync(dir.as_fd())
}

/// How much of the whole system's memory waits to be written to disks (proc_meminfo(5)).
fn dirty_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Dirty:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

impl Draft<'_> {
    /// The id that it will have.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`Error::NotAccepted`], for example on a full disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        sys::write_all(self.file.as_fd(), bytes).map_err(refused("writing"))?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Delivers it. From the return on it survives a power cut (unless `sync` is off).
    ///
    /// # Errors
    /// [`Error::NotAccepted`]: nothing is left of it. [`Error::Unconfirmed`]: it is in the mailbox,
    /// but the disk did not say so.
    pub fn deliver(self, post: &Post) -> Result<Accepted, Error> {
        self.deliver_as("", post)
    }

    /// Whether the file system lets a receiver take a bundle apart.
    pub(super) fn may_be_bundle(&self) -> bool {
        sys::can_exchange(self.tmp.as_fd())
    }

    /// The same under a name with `suffix` behind it.
    pub(super) fn deliver_as(mut self, suffix: &str, post: &Post) -> Result<Accepted, Error> {
        let kind = sys::fs_kind(self.tmp.as_fd()).map_err(refused("asking for the file system"))?;
        let name = Name::fresh(self.id, self.size, post.expiry);
        let name = file_name(&name, kind != FsKind::NoColon) + suffix;
        let name_first = kind == FsKind::Journal;
        if post.sync && !name_first {
            self.sync_file().map_err(refused("writing to the disk"))?;
        }
        let new = match self.rename(&name) {
            Ok(new) => new,
            Err(Errno::EXIST) => return Ok(Accepted::Duplicate),
            Err(errno) => return Err(refused("delivering")(errno)),
        };
        self.there = false;
        if post.sync {
            // After a failure the pages count as clean: a second fsync would lie (Postgres 2018).
            let unsure = |errno| unconfirmed(self.id, "writing to the disk")(errno);
            if name_first {
                self.sync_file().map_err(unsure)?;
            }
            sys::sync(new.as_fd()).map_err(unsure)?;
        }
        Ok(Accepted::New)
    }

    /// Delivers one file to this mailbox and to `others`: one inode, a name in each. Content is
    /// never changed in place (mode 0400) and state is in names, so sharing is safe.
    ///
    /// # Errors
    /// [`Error::NotAccepted`] when no mailbox has it; [`Error::Unconfirmed`] when some may.
    pub fn deliver_to_all(self, others: &[&Mailbox], post: &Post) -> Result<(), Error> {
        let kind = sys::fs_kind(self.tmp.as_fd()).map_err(refused("asking for the file system"))?;
        let name = Name::fresh(self.id, self.size, post.expiry);
        let name = file_name(&name, kind != FsKind::NoColon);
        if post.sync {
            self.sync_file().map_err(refused("writing to the disk"))?;
        }
        let mut reached = Vec::with_capacity(others.len() + 1);
        for mailbox in std::iter::once(self.mailbox).chain(others.iter().copied()) {
            match self.link_into(mailbox, &name, post) {
                Ok(new) => reached.push(new),
                Err(errno) if reached.is_empty() => return Err(refused("delivering")(errno)),
                Err(errno) => {
                    return Err(unconfirmed(
                        self.id,
                        "some of the mailboxes were not reached",
                    )(errno));
                }
            }
        }
        if post.sync {
            for new in &reached {
                sys::sync(new.as_fd())
                    .map_err(unconfirmed(self.id, "writing a directory to the disk"))?;
            }
        }
        Ok(())
    }

    fn link_into(&self, mailbox: &Mailbox, name: &str, post: &Post) -> Sys<OwnedFd> {
        let new = mailbox.opened(self.lane, "new")?;
        match sys::link(self.tmp.as_fd(), &self.aside, new.as_fd(), name) {
            // It was delivered here by an earlier try.
            Ok(()) | Err(Errno::EXIST) => Ok(new),
            // Too many names, another file system, or one without hard links: a copy.
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
                self.copy_into(mailbox, post)?;
                Ok(new)
            }
            Err(errno) => Err(errno),
        }
    }

    fn copy_into(&self, mailbox: &Mailbox, post: &Post) -> Sys<()> {
        let source = sys::open_file(self.tmp.as_fd(), &self.aside)?;
        let to_errno = |error: Error| match error {
            Error::NotAccepted { source, .. } | Error::Unconfirmed { source, .. } => {
                Errno::from_io_error(&source).unwrap_or(Errno::IO)
            }
            _ => Errno::IO,
        };
        let mut copy = mailbox.draft(self.lane, self.id).map_err(to_errno)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = rustix::io::read(&source, &mut buffer[..])?;
            if read == 0 {
                break;
            }
            copy.write(&buffer[..read]).map_err(to_errno)?;
        }
        copy.deliver(post).map(drop).map_err(to_errno)
    }

    fn sync_file(&self) -> Sys<()> {
        sys::sync(self.file.as_fd())
    }

    /// The rename into `new/`. A receiver may just have replaced a `new/` that had grown large:
    /// then the one we opened is gone, and is opened again.
    fn rename(&self, name: &str) -> Sys<OwnedFd> {
        let mut tries = 0;
        loop {
            let new = self.mailbox.opened(self.lane, "new")?;
            match sys::rename_new(self.tmp.as_fd(), &self.aside, new.as_fd(), name) {
                Ok(()) => return Ok(new),
                Err(Errno::NOENT) if tries < 3 => tries += 1,
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.there {
            // What cannot be removed now is swept later.
            let _ = sys::unlink(self.tmp.as_fd(), &self.aside);
        }
    }
}

/// The name of a file that is being written: it says whose it is, so that nobody sweeps it away
/// under a process that still writes.
pub(super) fn aside(id: Id) -> String {
    format!("{id}.p{}", std::process::id())
}

fn file_name(name: &Name, colon: bool) -> String {
    if colon {
        name.to_string()
    } else {
        name.with_semicolon()
    }
}

/// FNV-1a of 128 bits over the parts: stable over versions, and nobody gains by a collision, who
/// could write into the mailbox anyway.
pub(super) fn hash(parts: &[&str]) -> String {
    const PRIME: u128 = 0x0100_0000_0000_0000_0000_013b;
    let mut sum: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            sum = (sum ^ u128::from(byte)).wrapping_mul(PRIME);
        }
    }
    format!("{sum:032x}")
}
