//! Housekeeping: sweep, prune, requeue, and a doctor who looks and touches nothing.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::boxes::{Lane, Mailbox, is_batch};
use super::name::{Id, Name};
use super::sys::{self, Sys};
use super::{Error, Now, bundle};

/// After this many seconds a file in `tmp/` whose process is gone is rubbish (maildir(5)).
const TMP_AGE: u64 = 36 * 3600;
/// How long a key of `--id` is remembered, in seconds.
const KEY_AGE: u64 = 7 * 86_400;

/// What `prune` removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Acknowledged messages.
    pub messages: u64,
    /// Days of the archive.
    pub days: u64,
}

/// Something that the doctor noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where, relative to the mailbox.
    pub path: String,
    /// What about it.
    pub what: String,
    /// Whether something should be done.
    pub bad: bool,
}

impl Mailbox {
    /// Removes what dead senders left in `tmp/`, and keys that are too old to be asked for.
    /// Never fails: it comes again.
    pub(super) fn sweep(&self, now: Now) {
        for lane in Lane::ALL {
            if let Ok(tmp) = self.part(lane, "tmp") {
                let _ = sweep_tmp(&tmp, now);
            }
        }
        let _ = self.sweep_keys(now);
    }

    fn sweep_keys(&self, now: Now) -> Sys<()> {
        let keys = sys::open_dir(self.dir.as_fd(), "id")?;
        for (name, kind) in sys::names(keys.as_fd())? {
            if kind != FileType::Symlink {
                continue;
            }
            let id: Option<Id> = sys::read_link(keys.as_fd(), &name)?.parse().ok();
            if id.is_some_and(|id| id.seconds() + KEY_AGE < now.seconds()) {
                sys::unlink(keys.as_fd(), &name)?;
            }
        }
        Ok(())
    }

    /// Removes the oldest day of the archive, because the disk is full. Never unread mail.
    pub(super) fn make_room(&self) {
        let remove = || {
            let done = sys::open_dir(self.dir.as_fd(), "done")?;
            let days = days(&done)?;
            match days.first() {
                Some(day) => remove_day(&done, day),
                None => Ok(0),
            }
        };
        let _ = remove();
    }

    /// Removes acknowledged messages whose day is more than `older` seconds ago.
    ///
    /// # Errors
    /// When the archive cannot be read or changed.
    pub fn prune(&self, older: u64, now: Now) -> Result<Pruned, Error> {
        let first_kept = super::day(now.seconds().saturating_sub(older));
        let prune = || {
            let done = match sys::open_dir(self.dir.as_fd(), "done") {
                Err(Errno::NOENT) => return Ok(Pruned::default()),
                done => done?,
            };
            let mut pruned = Pruned::default();
            for day in days(&done)?.iter().filter(|day| **day < first_kept) {
                pruned.messages += remove_day(&done, day)?;
                pruned.days += 1;
            }
            Ok(pruned)
        };
        let pruned = prune().map_err(Error::io(format!("pruning mailbox {}", self.name())))?;
        self.sweep(now);
        Ok(pruned)
    }

    /// How many messages [`Mailbox::prune`] would remove.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub fn prunable(&self, older: u64, now: Now) -> Result<Pruned, Error> {
        let first_kept = super::day(now.seconds().saturating_sub(older));
        let count = || {
            let done = match sys::open_dir(self.dir.as_fd(), "done") {
                Err(Errno::NOENT) => return Ok(Pruned::default()),
                done => done?,
            };
            let mut pruned = Pruned::default();
            for day in days(&done)?.iter().filter(|day| **day < first_kept) {
                match sys::open_dir(done.as_fd(), day) {
                    Err(Errno::NOENT) => continue,
                    dir => pruned.messages += sys::names(dir?.as_fd())?.len() as u64,
                }
                pruned.days += 1;
            }
            Ok(pruned)
        };
        count().map_err(Error::io(format!("reading mailbox {}", self.name())))
    }

    /// The messages that were given up, with their reasons, oldest first.
    ///
    /// # Errors
    /// When `dead/` cannot be read.
    pub fn dead(&self) -> Result<Vec<(Id, String)>, Error> {
        let dir = match sys::open_dir(self.dir.as_fd(), "dead") {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            dir => dir.map_err(Error::io("opening dead"))?,
        };
        let names = sys::names(dir.as_fd()).map_err(Error::io("reading dead"))?;
        Ok(names
            .into_iter()
            .filter_map(|(name, _)| {
                let id: Id = name.parse().ok()?;
                let why = self.read_small(&dir, &format!("{name}.why"));
                let why = why.trim_end().strip_prefix("Dead-Reason: ").unwrap_or("");
                Some((id, why.to_owned()))
            })
            .collect())
    }

    /// Opens a message that was given up or is done, for reading.
    ///
    /// # Errors
    /// [`Error::NoMessage`] when there is none of this id.
    pub fn open_settled(&self, id: Id) -> Result<OwnedFd, Error> {
        let open = || {
            let dead = sys::open_dir(self.dir.as_fd(), "dead")?;
            match sys::open_file(dead.as_fd(), &id.to_string()) {
                Err(Errno::NOENT) => {
                    let day = self.done_day(id)?.ok_or(Errno::NOENT)?;
                    let done = sys::open_dir(self.dir.as_fd(), "done")?;
                    let day = sys::open_dir(done.as_fd(), &day)?;
                    sys::open_file(day.as_fd(), &id.to_string())
                }
                file => file,
            }
        };
        open().map_err(|errno| match errno {
            Errno::NOENT => Error::NoMessage {
                id,
                state: "is dead or done",
            },
            errno => Error::io(format!("opening {id}"))(errno),
        })
    }

    /// Lets a message that was given up wait again, with all its attempts before it.
    ///
    /// # Errors
    /// [`Error::NoMessage`] when none of this id is dead.
    pub fn requeue(&self, id: Id) -> Result<(), Error> {
        let requeue = || {
            let dead = sys::open_dir(self.dir.as_fd(), "dead")?;
            let new = self.part(Lane::Normal, "new")?;
            let text = id.to_string();
            let stat = sys::stat_at(dead.as_fd(), &text)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(Errno::NOENT);
            }
            let name = Name::fresh(id, stat.st_size as u64, None).to_string();
            sys::rename_new(dead.as_fd(), &text, new.as_fd(), &name)?;
            match sys::unlink(dead.as_fd(), &format!("{text}.why")) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
            super::order::Order::forget(&self.dir);
            Ok(())
        };
        requeue().map_err(|errno| match errno {
            Errno::NOENT => Error::NoMessage {
                id,
                state: "is dead",
            },
            errno => Error::io(format!("requeueing {id}"))(errno),
        })
    }

    /// Looks for everything that should not be there. Changes nothing.
    ///
    /// # Errors
    /// When the mailbox cannot be read.
    pub fn examine(&self, now: Now) -> Result<Vec<Finding>, Error> {
        let mut found = Vec::new();
        let mut tell = |path: String, what: String, bad: bool| {
            found.push(Finding { path, what, bad });
        };
        let looking = |errno| Error::io(format!("examining mailbox {}", self.name()))(errno);
        let top = sys::stat(self.dir.as_fd()).map_err(looking)?;
        if top.st_mode & 0o077 != 0 {
            let mode = top.st_mode & 0o777;
            tell(
                ".".into(),
                format!("others may use it: mode {mode:o}, should be 700"),
                true,
            );
        }
        const PARTS: [&str; 16] = [
            "tmp",
            "new",
            "cur",
            "id",
            "done",
            "dead",
            ".urgent",
            ".low",
            ".order",
            ".last-read",
            ".announced",
            ".debt",
            ".custody",
            ".known",
            ".drain",
            ".foreign",
        ];
        for (name, kind) in sys::names(self.dir.as_fd()).map_err(looking)? {
            let hint = name.starts_with(".order") || name.starts_with(".announced");
            if kind == FileType::Symlink {
                tell(name, "a symbolic link: it is not followed".into(), true);
            } else if !PARTS.contains(&name.as_str()) && !hint {
                tell(name, "not of a mailbox: it is left alone".into(), false);
            }
        }
        for part in ["tmp", "new", "cur", "done", "dead"] {
            if !sys::exists(self.dir.as_fd(), part).map_err(looking)? {
                tell(
                    part.into(),
                    "is missing: `spore-send --create` makes it".into(),
                    true,
                );
            }
        }
        for lane in Lane::ALL {
            let prefix = lane
                .folder()
                .map_or(String::new(), |folder| format!("{folder}/"));
            for part in ["new", "cur"] {
                let dir = match self.part(lane, part) {
                    Ok(dir) => dir,
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(looking(errno)),
                };
                for (file, kind) in sys::names(dir.as_fd()).map_err(looking)? {
                    let path = format!("{prefix}{part}/{file}");
                    self.examine_one(&dir, &file, kind, path, now, &mut tell);
                }
            }
            if let Ok(tmp) = self.part(lane, "tmp") {
                for (file, _) in sys::names(tmp.as_fd()).map_err(looking)? {
                    let what = match tmp_owner(&file) {
                        Some((_, pid)) if super::host::running(pid) => continue,
                        Some(_) => "left by a sender that died: it is swept after 36 hours",
                        None => "not of a mailbox: it is left alone",
                    };
                    tell(format!("{prefix}tmp/{file}"), what.into(), false);
                }
            }
        }
        if let Ok(torn) = sys::open_dir(self.dir.as_fd(), "dead/torn") {
            let count = sys::names(torn.as_fd()).map_err(looking)?.len();
            if count > 0 {
                tell(
                    "dead/torn".into(),
                    format!("{count} cut short by a crash; their senders were not told accepted"),
                    false,
                );
            }
        }
        Ok(found)
    }

    fn examine_one(
        &self,
        dir: &OwnedFd,
        file: &str,
        kind: FileType,
        path: String,
        now: Now,
        tell: &mut impl FnMut(String, String, bool),
    ) {
        if is_batch(file) && kind == FileType::Directory {
            return;
        }
        let of_bundle = bundle::name(file);
        if of_bundle.is_some() && kind == FileType::Directory {
            return;
        }
        let Some(name) = Name::read(file.as_bytes()).or(of_bundle) else {
            return tell(
                path,
                "not a message of ours: it is left alone".into(),
                false,
            );
        };
        match sys::open_file(dir.as_fd(), file) {
            Ok(open) => {
                if let Err(why) = self.check(&open, name.size) {
                    tell(path, format!("will not be handed out: {why}"), true);
                    return;
                }
                if of_bundle.is_some() && !matches!(bundle::index(&open, name.size), Ok(Some(_))) {
                    let what = "will not be handed out: its list does not say what is in it";
                    tell(path, what.into(), true);
                    return;
                }
            }
            Err(Errno::NOENT) => return,
            Err(_) => return tell(path, "cannot be opened, or is a link".into(), true),
        }
        // An hour of another clock is worth a word; orders and leases do not depend on it.
        if name.id.seconds() > now.seconds() + 3600 {
            tell(
                path,
                "comes from the future: a clock is wrong".into(),
                false,
            );
        }
    }
}

/// The days of the archive, oldest first.
fn days(done: &OwnedFd) -> Sys<Vec<String>> {
    let is_day =
        |name: &str| name.len() == 10 && name.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    Ok(sys::names(done.as_fd())?
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| is_day(name))
        .collect())
}

fn remove_day(done: &OwnedFd, day: &str) -> Sys<u64> {
    let dir = match sys::open_dir(done.as_fd(), day) {
        // Another prunes as well.
        Err(Errno::NOENT) => return Ok(0),
        dir => dir?,
    };
    let mut removed = 0;
    for (name, _) in sys::names(dir.as_fd())? {
        match sys::unlink(dir.as_fd(), &name) {
            Ok(()) => removed += 1,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    match sys::remove_dir(done.as_fd(), day) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(removed),
        Err(errno) => Err(errno),
    }
}

/// Whose a file in `tmp/` is: `ID.pPID` or `ID.pPID.batch`.
fn tmp_owner(file: &str) -> Option<(Id, u32)> {
    let (id, rest) = file.split_once(".p")?;
    let pid = rest.strip_suffix(".batch").unwrap_or(rest);
    Some((id.parse().ok()?, pid.parse().ok()?))
}

fn sweep_tmp(tmp: &OwnedFd, now: Now) -> Sys<()> {
    for (file, kind) in sys::names(tmp.as_fd())? {
        let Some((id, pid)) = tmp_owner(&file) else {
            continue;
        };
        // The file's own time as well: the id's may come from a wrong clock.
        let Ok(stat) = sys::stat_at(tmp.as_fd(), &file) else {
            continue;
        };
        let youngest = id.seconds().max(stat.st_mtime as u64);
        if youngest + TMP_AGE > now.seconds() || super::host::running(pid) {
            continue;
        }
        let dir = match kind {
            FileType::RegularFile => Err(Errno::NOTDIR),
            // Not every file system says what kind of thing it lists.
            _ => sys::open_dir(tmp.as_fd(), &file),
        };
        let Ok(dir) = dir else {
            sys::unlink(tmp.as_fd(), &file)?;
            continue;
        };
        for (name, _) in sys::names(dir.as_fd())? {
            sys::unlink(dir.as_fd(), &name)?;
        }
        sys::remove_dir(tmp.as_fd(), &file)?;
    }
    Ok(())
}
