//! A mailbox as the place where messages wait for a bus: `new/` holds those that must still go,
//! `cur/` (without a claim in the name) copies of those that the bus has confirmed.
//!
//! Nobody takes from such a mailbox: who moves its messages on holds a lock outside of it.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::Error;
use super::boxes::{Entry, Mailbox};
use super::sys::{self, Sys};

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

    /// Files a waiting message as gone, and keeps it.
    ///
    /// # Errors
    /// When it cannot be renamed; one that is gone already is no error.
    pub fn keep_copy(&self, entry: &Entry) -> Result<(), Error> {
        let keep = || {
            let cur = self.opened(entry.lane, "cur")?;
            let new = self.part(entry.lane, "new")?;
            match &entry.batch {
                None => sys::rename(new.as_fd(), &entry.file, cur.as_fd(), &entry.file),
                Some(batch) => {
                    let dir = sys::open_dir(new.as_fd(), batch)?;
                    sys::rename(dir.as_fd(), &entry.file, cur.as_fd(), &entry.file)?;
                    // The last one out removes it.
                    let _ = sys::remove_dir(new.as_fd(), batch);
                    Ok(())
                }
            }
        };
        done(keep(), entry)
    }

    /// Lets a kept copy wait again.
    ///
    /// # Errors
    /// When it cannot be renamed; one that is gone already is no error.
    pub fn send_again(&self, entry: &Entry) -> Result<(), Error> {
        let again = || {
            let cur = self.part(entry.lane, "cur")?;
            let new = self.opened(entry.lane, "new")?;
            sys::rename(cur.as_fd(), &entry.file, new.as_fd(), &entry.file)
        };
        done(again(), entry)
    }

    /// Removes a kept copy.
    ///
    /// # Errors
    /// When it cannot be removed; one that is gone already is no error.
    pub fn forget_copy(&self, entry: &Entry) -> Result<(), Error> {
        let forget = || {
            let cur = self.part(entry.lane, "cur")?;
            sys::unlink(cur.as_fd(), &entry.file)
        };
        done(forget(), entry)
    }

    /// Gives up a waiting message, with the reason.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn refuse(&self, entry: &Entry, reason: &str) -> Result<(), Error> {
        self.keep_copy(entry)?;
        let refuse = || {
            let cur = self.part(entry.lane, "cur")?;
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
            sys::rename(cur.as_fd(), &entry.file, dead.as_fd(), &id)
        };
        done(refuse(), entry)
    }
}

fn done(outcome: Sys<()>, entry: &Entry) -> Result<(), Error> {
    match outcome {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::io(format!("moving {}", entry.name.id))(errno)),
    }
}
