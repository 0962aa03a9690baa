//! Who carries out the plan: at most one process at a time, the one that holds `conductor`.
//!
//! The file is locked as long as that process lives, and says who it is; a killed one leaves the
//! file without the lock, and the next one takes it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::holder::Life;
use super::{Error, Holder, Root, files};

/// How long a lock is waited for that no living process is known to hold: what a killed one was
/// just starting has it until it becomes another program, and a new one has yet to say who it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// The right to carry out the plan, until it is dropped or its process ends.
#[derive(Debug)]
pub struct Conductor(File);

impl Conductor {
    /// Takes it; who has it, if that is another process.
    pub fn take(root: &Root) -> Result<Result<Conductor, String>, Error> {
        root.make()?;
        let path = file(root);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let mut file = files::open_private(&mut options, &path).map_err(Error::at(&path))?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => match Conductor::look(root) {
                    Some(holder) => return Ok(Err(format!("process {}", holder.pid))),
                    None if Instant::now() < until => std::thread::sleep(PATIENCE / 100),
                    None => return Ok(Err("another process".to_owned())),
                },
                Err(TryLockError::Error(error)) => return Err(Error::at(path)(error)),
            }
        }
        // A full disk keeps nobody from working: only the name is missing then.
        let named = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", Holder::me()));
        drop(named);
        Ok(Ok(Conductor(file)))
    }

    /// The process that carries out the plan now, as far as can be seen from here.
    pub fn look(root: &Root) -> Option<Holder> {
        let bytes = files::read_if_there(&file(root), 1024).ok().flatten()?;
        let text = String::from_utf8_lossy(&bytes);
        let holder: Holder = text.trim().parse().ok()?;
        (holder.life() != Life::Dead).then_some(holder)
    }
}

impl Drop for Conductor {
    fn drop(&mut self) {
        drop(self.0.set_len(0));
    }
}

fn file(root: &Root) -> PathBuf {
    root.path().join("conductor")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::root::Options;

    #[test]
    fn one_at_a_time_carries_out_the_plan() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::find(&Options {
            start: dir.path().to_owned(),
            root: Some("app.swarm".into()),
        })
        .unwrap();
        assert_eq!(Conductor::look(&root), None);
        let first = Conductor::take(&root).unwrap().unwrap();
        assert_eq!(Conductor::look(&root), Some(Holder::me()));
        let second = Conductor::take(&root).unwrap();
        let me = format!("process {}", std::process::id());
        assert_eq!(second.unwrap_err(), me);
        drop(first);
        assert_eq!(Conductor::look(&root), None);
        assert!(Conductor::take(&root).unwrap().is_ok());
    }
}
