//! A mailbox as the place where messages wait for a bus: `new/` holds those that must still go,
//! `cur/` (without a claim in the name) copies of those that the bus has confirmed.
//!
//! Nobody takes from such a mailbox: who moves its messages on holds a lock outside of it. A bundle
//! is moved as a whole, when its last message went.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::boxes::{Entry, Mailbox};
use super::sys::{self, Sys};
use super::{Error, bundle};

impl Mailbox {
    /// The bytes of a listed message.
    ///
    /// # Errors
    /// When it is gone, or not a message.
    pub fn read_entry(&self, entry: &Entry) -> Result<Vec<u8>, Error> {
        use std::io::Read;
        let file = self.open_entry(entry)?;
        let mut bytes = Vec::with_capacity(entry.name.size as usize);
        std::fs::File::from(file)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Io {
                what: format!("reading {}", entry.name.id),
                source,
            })?;
        Ok(bytes)
    }

    /// The bytes of listed messages, in their order; a bundle is opened once.
    ///
    /// # Errors
    /// When one is gone, or not a message.
    pub fn read_entries(&self, entries: &[&Entry]) -> Result<Vec<Vec<u8>>, Error> {
        let mut open: Option<(&str, OwnedFd)> = None;
        let mut found = Vec::with_capacity(entries.len());
        for entry in entries {
            let (Some(bundle), Some(at)) = (entry.bundle(), entry.offset) else {
                found.push(self.read_entry(entry)?);
                continue;
            };
            let reading = |errno| Error::io(format!("message {}", entry.name.id))(errno);
            let file = match open.take().filter(|(name, _)| *name == bundle) {
                Some((_, file)) => file,
                None => {
                    let part = if entry.held { "cur" } else { "new" };
                    let dir = self.part(entry.lane, part).map_err(reading)?;
                    let opened = self.open_bundle(&dir, bundle).map_err(reading)?;
                    opened.ok_or(Errno::NOENT).map_err(reading)?.0
                }
            };
            found.push(bundle::bytes(&file, &entry.name, at).map_err(reading)?);
            open = Some((bundle, file));
        }
        Ok(found)
    }

    /// Files a waiting message as gone, or the bundle that it is in, and keeps it.
    ///
    /// # Errors
    /// When it cannot be renamed; one that is gone already is no error.
    pub fn keep_copy(&self, entry: &Entry) -> Result<(), Error> {
        let keep = || {
            let cur = self.opened(entry.lane, "cur")?;
            let new = self.part(entry.lane, "new")?;
            match &entry.batch {
                Some(batch) if entry.bundle().is_none() => {
                    let dir = sys::open_dir(new.as_fd(), batch)?;
                    sys::rename(dir.as_fd(), &entry.file, cur.as_fd(), &entry.file)?;
                    // The last one out removes it.
                    let _ = sys::remove_dir(new.as_fd(), batch);
                    Ok(())
                }
                _ => sys::rename(new.as_fd(), whole(entry), cur.as_fd(), whole(entry)),
            }
        };
        done(keep(), entry)
    }

    /// Lets a kept copy, or the bundle that it is in, wait again.
    ///
    /// # Errors
    /// When it cannot be renamed; one that is gone already is no error.
    pub fn send_again(&self, entry: &Entry) -> Result<(), Error> {
        let again = || {
            let cur = self.part(entry.lane, "cur")?;
            let new = self.opened(entry.lane, "new")?;
            sys::rename(cur.as_fd(), whole(entry), new.as_fd(), whole(entry))
        };
        done(again(), entry)
    }

    /// Removes a kept copy, or the bundle that it is in.
    ///
    /// # Errors
    /// When it cannot be removed; one that is gone already is no error.
    pub fn forget_copy(&self, entry: &Entry) -> Result<(), Error> {
        let forget = || {
            let part = if entry.held { "cur" } else { "new" };
            let part = self.part(entry.lane, part)?;
            sys::unlink(part.as_fd(), whole(entry))
        };
        done(forget(), entry)
    }

    /// Gives up a waiting message, with the reason. One in a bundle stays there as well.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn refuse(&self, entry: &Entry, reason: &str) -> Result<(), Error> {
        let part = match entry.bundle() {
            Some(_) => self.read_entries(&[entry])?.pop(),
            None => {
                self.keep_copy(entry)?;
                None
            }
        };
        let refuse = || {
            let dead = sys::ensure_dir(self.dir.as_fd(), "dead")?;
            let id = entry.name.id.to_string();
            let line = format!("Dead-Reason: {}\n", reason.replace(['\n', '\r'], " "));
            let aside = format!(".{id}.why.{}", std::process::id());
            sys::replace(
                dead.as_fd(),
                &format!("{id}.why"),
                &aside,
                &[line.as_bytes()],
            )?;
            let Some(bytes) = part else {
                let cur = self.part(entry.lane, "cur")?;
                return sys::rename(cur.as_fd(), &entry.file, dead.as_fd(), &id);
            };
            match sys::create(dead.as_fd(), &id, Mode::RUSR) {
                Ok(file) => sys::write_all(file.as_fd(), &bytes),
                Err(Errno::EXIST) => Ok(()),
                Err(errno) => Err(errno),
            }
        };
        done(refuse(), entry)
    }
}

/// The file that is moved when a message is.
fn whole(entry: &Entry) -> &str {
    entry.bundle().unwrap_or(&entry.file)
}

fn done(outcome: Sys<()>, entry: &Entry) -> Result<(), Error> {
    match outcome {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::io(format!("moving {}", entry.name.id))(errno)),
    }
}
