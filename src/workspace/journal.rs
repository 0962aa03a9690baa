//! The record of a spawn under way, and the two locks. The page of the room tells the states.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::swarm::files;
use crate::swarm::holder::{Holder, Life};

/// How long a dead spawn's children (git, a set-up command) are waited for.
const CHILDREN: Duration = Duration::from_secs(10);

/// How far a spawn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not everything is there.
    Making,
    /// Everything is there.
    Ready,
}

/// What a spawn makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of this form: 1.
    pub v: u32,
    /// The name of the spawn.
    pub tx: String,
    /// Who does it ([`Holder`]).
    pub holder: String,
    /// How far it is.
    pub phase: Phase,
    /// The commit that all branches begin at.
    pub base: String,
    /// The root of the swarm.
    pub root: PathBuf,
    /// Whether clones are made instead of linked worktrees.
    #[serde(default)]
    pub clones: bool,
    /// Whether configuration of single worktrees was switched on for this.
    #[serde(default)]
    pub switched: bool,
    /// One for each agent.
    pub items: Vec<Item>,
}

/// What is made for one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The agent.
    pub agent: String,
    /// Its slot.
    pub slot: u32,
    /// Its epoch.
    pub epoch: u64,
    /// Its branch, without `refs/heads/`.
    pub branch: String,
    /// Its worktree.
    pub path: PathBuf,
    /// Whether its mailbox is made too (it was not there).
    pub mailbox: bool,
    /// The git directory of a worktree that was there before and is only taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<PathBuf>,
}

impl Record {
    /// What stands in `locked` and in the reflogs of what this spawn made.
    pub fn mark(&self) -> String {
        format!("worktree-spawn {}", self.tx)
    }

    /// Where git's entry for an item is made before it goes to its place.
    pub fn entry_aside(&self, common: &Path, item: &Item) -> PathBuf {
        common.join(format!("spore/entry-{}-{}", self.tx, item.agent))
    }

    /// Writes it, whole and on disk.
    pub fn write(&self, common: &Path) -> Result<(), Error> {
        let path = place(common).join(format!("{}.json", self.tx));
        let text = serde_json::to_string(self).map_err(|error| Error::at(&path)(error.into()))?;
        files::write_whole(&path, format!("{text}\n").as_bytes()).map_err(Error::at(path))
    }

    /// When it was written; everything that it makes is younger.
    pub fn written(&self, common: &Path) -> Result<SystemTime, Error> {
        let path = place(common).join(format!("{}.json", self.tx));
        let meta = fs::metadata(&path).and_then(|meta| meta.modified());
        meta.map_err(Error::at(path))
    }

    /// Removes the record and its lock: nothing is under way any more.
    pub fn remove(&self, common: &Path) -> Result<(), Error> {
        for end in ["json", "lock"] {
            remove_file(&place(common).join(format!("{}.{end}", self.tx)))?;
        }
        Ok(())
    }
}

/// Where records are.
pub fn place(common: &Path) -> PathBuf {
    common.join("spore/spawn")
}

/// The lock under which names are given out and the dead are cleared up.
pub fn admin_lock(common: &Path) -> Result<File, Error> {
    let dir = place(common);
    files::make_dirs(&dir).map_err(Error::at(&dir))?;
    let path = common.join("spore/lock");
    files::lock(&path).map_err(Error::at(path))
}

/// The lock that tells that a spawn lives. Children inherit it, so that it also tells that one of
/// them still writes.
pub fn life_lock(common: &Path, tx: &str) -> Result<File, Error> {
    let path = place(common).join(format!("{tx}.lock"));
    files::lock(&path).map_err(Error::at(path))
}

/// Every record, with whether its spawn is dead. Under [`admin_lock`].
pub fn records(common: &Path) -> Result<Vec<(Record, bool)>, Error> {
    let dir = place(common);
    let mut found = Vec::new();
    for entry in fs::read_dir(&dir).map_err(Error::at(&dir))? {
        let path = entry.map_err(Error::at(&dir))?.path();
        match path.extension().and_then(|end| end.to_str()) {
            Some("json") => {
                let bytes = fs::read(&path).map_err(Error::at(&path))?;
                let record: Record = serde_json::from_slice(&bytes)
                    .map_err(|error| Error::at(&path)(error.into()))?;
                let dead = is_dead(&path.with_extension("lock"), &record.holder)?;
                found.push((record, dead));
            }
            Some("lock") if !path.with_extension("json").exists() && is_free(&path)? => {
                remove_file(&path)?;
            }
            _ => {}
        }
    }
    found.sort_by(|a, b| a.0.tx.cmp(&b.0.tx));
    Ok(found)
}

/// Whether nobody holds the lock any more; of a killed process, its children are waited for.
fn is_dead(lock: &Path, holder: &str) -> Result<bool, Error> {
    let killed = Holder::from_str(holder).is_ok_and(|holder| holder.life() == Life::Dead);
    let since = Instant::now();
    loop {
        if is_free(lock)? {
            return Ok(true);
        }
        if !killed || since.elapsed() > CHILDREN {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_free(lock: &Path) -> Result<bool, Error> {
    match File::open(lock) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(Error::at(lock)(error)),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::at(lock)(error)),
    }
}

/// Removes a file that may be gone already.
pub fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::at(path)(error)),
        _ => Ok(()),
    }
}

/// Removes a directory with all in it; it may be gone already.
pub fn remove_tree(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::at(path)(error)),
        _ => Ok(()),
    }
}
