//! Which road is in force: what a command says, else the environment, else where the swarm was
//! moved to, else `swarm.toml`.
//!
//! `outbox/.road` is one line of JSON, replaced whole: the epoch, the road now, and those that may
//! still hold messages. Who sends holds `outbox/.moving` shared for the time of a send, who moves
//! the swarm holds it alone: so nobody sends on the old road after the new one is in force.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Address, Error, Kind};
use crate::swarm::{Config, Root, files};

/// Where the swarm was moved to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moved {
    /// The version of this form: 1.
    pub v: u32,
    /// How often it was moved.
    pub epoch: u64,
    /// The road now: an address, or `file:` for the swarm's own mailboxes.
    pub now: String,
    /// Roads that may still hold messages, oldest first.
    pub before: Vec<String>,
    /// When, RFC 3339.
    pub at: String,
    /// Why.
    pub why: String,
}

/// The roads of one command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roads {
    /// Where messages are sent; nothing is the swarm's own mailboxes.
    pub now: Option<Address>,
    /// Where messages may still be, oldest first.
    pub before: Vec<Address>,
    /// Whether `swarm.toml` lets the figures move the swarm.
    pub auto: bool,
}

/// What a command and its environment say.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// `--via`.
    pub via: Option<String>,
    /// `SPORE_BUS`.
    pub environment: Option<String>,
}

fn file(root: &Root) -> PathBuf {
    root.outbox().join(".road")
}

/// Where the swarm was moved to, if ever.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn moved(root: &Root) -> Result<Option<Moved>, Error> {
    let path = file(root);
    let Some(bytes) = files::read_if_there(&path, 1 << 20).map_err(Error::io(&path))? else {
        return Ok(None);
    };
    let moved = serde_json::from_slice(&bytes).map_err(|error| Error::Io {
        path,
        source: std::io::Error::other(error),
    })?;
    Ok(Some(moved))
}

/// Writes where the swarm is now.
///
/// # Errors
/// When it cannot be written.
pub fn write(root: &Root, moved: &Moved) -> Result<(), Error> {
    root.make_dir(&root.outbox())?;
    let path = file(root);
    let mut text = serde_json::to_vec(moved).unwrap_or_default();
    text.push(b'\n');
    files::write_whole(&path, &text).map_err(Error::io(&path))
}

/// The address of `text`; nothing for the swarm's own mailboxes (`file:`).
///
/// # Errors
/// When it is none.
pub fn address(text: &str) -> Result<Option<Address>, Error> {
    let text = match text.strip_prefix("env:") {
        None => text.to_owned(),
        Some(name) => std::env::var(name).map_err(|_| Error::Address {
            why: format!("the variable {name} is not set"),
        })?,
    };
    let address = Address::read(&text)?;
    Ok(Some(address).filter(|address| address.kind != Kind::Files || !address.path.is_empty()))
}

/// The roads in force.
///
/// # Errors
/// When an address is none, or a password stands on the command line.
pub fn roads(root: &Root, said: &Said) -> Result<Roads, Error> {
    if let Some(via) = &said.via {
        let now = address(via)?;
        if !via.starts_with("env:") && now.as_ref().is_some_and(Address::shows_a_secret) {
            return Err(Error::Address {
                why: "a password on a command line is seen by everybody: \
                      write env:NAME or file:PATH in its place"
                    .to_owned(),
            });
        }
        return Ok(Roads {
            now,
            ..Roads::default()
        });
    }
    if let Some(text) = said.environment.as_deref().filter(|text| !text.is_empty()) {
        return Ok(Roads {
            now: address(text)?,
            ..Roads::default()
        });
    }
    let config = config(root)?.map(|config| config.bus).unwrap_or_default();
    let auto = config.auto && config.url.is_some();
    if let Some(moved) = moved(root)? {
        let before: Result<Vec<_>, Error> = moved.before.iter().map(|at| address(at)).collect();
        return Ok(Roads {
            now: address(&moved.now)?,
            before: before?.into_iter().flatten().collect(),
            auto,
        });
    }
    // With `auto` the swarm begins on files, and is moved when the figures say so.
    let url = config.url.filter(|_| !config.auto);
    let now = url.as_deref().map(address).transpose()?.flatten();
    let by_name = url.as_deref().is_some_and(|url| url.starts_with("env:"));
    if !by_name && now.as_ref().is_some_and(Address::shows_a_secret) {
        return Err(Error::Address {
            why: "swarm.toml is committed: write env:NAME or file:PATH in place of the password"
                .to_owned(),
        });
    }
    Ok(Roads {
        now,
        auto,
        ..Roads::default()
    })
}

/// `swarm.toml`, if it speaks of a bus. One that does not is not taken apart: this is asked for
/// every message.
fn config(root: &Root) -> Result<Option<Config>, Error> {
    let Some(path) = root.config_file() else {
        return Ok(None);
    };
    let bytes = files::read_if_there(&path, 4 << 20).map_err(Error::io(&path))?;
    match bytes.is_some_and(|bytes| bytes.windows(3).any(|word| word == b"bus")) {
        true => Ok(Some(Config::read(root)?)),
        false => Ok(None),
    }
}

/// The right to send: nobody moves the swarm while it is held. Nothing when somebody moves it
/// until `by`.
///
/// # Errors
/// When the lock cannot be opened.
pub fn sending(root: &Root, by: Instant) -> Result<Option<File>, Error> {
    moving_lock(root, by, File::try_lock_shared)
}

/// The right to move the swarm: nobody sends while it is held.
///
/// # Errors
/// When the lock cannot be opened.
pub fn moving(root: &Root, by: Instant) -> Result<Option<File>, Error> {
    moving_lock(root, by, File::try_lock)
}

fn moving_lock(
    root: &Root,
    by: Instant,
    take: fn(&File) -> Result<(), std::fs::TryLockError>,
) -> Result<Option<File>, Error> {
    root.make_dir(&root.outbox())?;
    let path = root.outbox().join(".moving");
    let mut options = std::fs::OpenOptions::new();
    let options = options.read(true).write(true).create(true);
    let file = files::open_private(options, &path).map_err(Error::io(&path))?;
    loop {
        match take(&file) {
            Ok(()) => return Ok(Some(file)),
            Err(std::fs::TryLockError::Error(error)) => return Err(Error::io(&path)(error)),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() >= by => return Ok(None),
            Err(std::fs::TryLockError::WouldBlock) => {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
