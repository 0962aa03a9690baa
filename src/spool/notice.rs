//! What was told about already: announcements to an agent, and what `--once` has seen.

use std::os::fd::AsFd;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::boxes::{Entry, Mailbox};
use super::name::{ID_LEN, Id};
use super::{Error, deliver, sys};

const FILE: &str = ".announced";

impl Mailbox {
    /// Of all messages that wait, those that were never announced; they count as announced now.
    /// While another process announces, there is nothing to say.
    ///
    /// # Errors
    /// When the mailbox cannot be read, or the note of what was announced cannot be written: then
    /// nothing must be said, or it would be said again and again.
    pub fn announce(&self) -> Result<Vec<Entry>, Error> {
        let waiting: Vec<Entry> = self.list()?.into_iter().filter(Entry::waits).collect();
        if waiting.is_empty() {
            return Ok(waiting);
        }
        let announce = || {
            let flags = rustix::fs::OFlags::RDWR
                | rustix::fs::OFlags::CREATE
                | rustix::fs::OFlags::NOFOLLOW
                | rustix::fs::OFlags::CLOEXEC;
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            let file = rustix::fs::openat(&self.dir, FILE, flags, mode)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => return Ok(Vec::new()),
                locked => locked?,
            }
            let mut known = Vec::new();
            rustix::io::retry_on_intr(|| read_to_end(&file, &mut known))?;
            let known: std::collections::HashSet<&[u8]> = known
                .chunks_exact(ID_LEN + 1)
                .map(|line| &line[..ID_LEN])
                .collect();
            let is_new = |entry: &Entry| !known.contains(entry.name.id.to_string().as_bytes());
            if !waiting.iter().any(is_new) {
                return Ok(Vec::new());
            }
            // Only what still waits need be remembered.
            let text: String = waiting.iter().map(|e| format!("{}\n", e.name.id)).collect();
            let fresh: Vec<Entry> = waiting.iter().filter(|e| is_new(e)).cloned().collect();
            rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
            sys::write_all(file.as_fd(), text.as_bytes())?;
            rustix::fs::ftruncate(&file, text.len() as u64)?;
            Ok(fresh)
        };
        announce().map_err(Error::io(format!("announcing mail of {}", self.name())))
    }

    /// Whether `--once` has let through the message that its sender calls `name`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn seen(&self, from: &str, name: &str) -> Result<bool, Error> {
        let seen = || {
            let keys = sys::ensure_dir(self.dir.as_fd(), "id")?;
            sys::exists(keys.as_fd(), &once(from, name))
        };
        seen().map_err(Error::io("reading the ledger"))
    }

    /// Notes that `--once` let it through; `id` says when it may be forgotten.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn note_seen(&self, from: &str, name: &str, id: Id) -> Result<(), Error> {
        let note = || {
            let keys = sys::ensure_dir(self.dir.as_fd(), "id")?;
            match sys::symlink(&id.to_string(), keys.as_fd(), &once(from, name)) {
                Err(Errno::EXIST) => Ok(()),
                done => done,
            }
        };
        note().map_err(Error::io("writing the ledger"))
    }
}

fn once(from: &str, name: &str) -> String {
    format!("once-{}", deliver::hash(&["once", from, name]))
}

fn read_to_end(file: &std::os::fd::OwnedFd, into: &mut Vec<u8>) -> sys::Sys<()> {
    let mut buffer = [0; 8192];
    loop {
        let read = rustix::io::read(file, &mut buffer[..])?;
        if read == 0 {
            return Ok(());
        }
        into.extend_from_slice(&buffer[..read]);
    }
}
