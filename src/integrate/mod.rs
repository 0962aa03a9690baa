//! Bringing finished work home: together, and tested before it lands.
//!
//! **For**: taking the branches that are finished, merging them one after the other in memory,
//! running the gate on what they make together, and moving the target (main) to it. When the gate
//! fails, the branch that breaks the union is found by halving, and the others go on. What does not
//! go in is handed back in a form that somebody can take up.
//!
//! What stands under `ROOT/merge/`, and what a kill at any instant leaves to the next
//! `swarm-merge`:
//!
//! | there is | it means | if its process is dead, the next merge |
//! |---|---|---|
//! | `lock`, held (flock) | a merge is under way; another one waits its turn or says so | — |
//! | `tree/` | the worktree in which gates run; kept, so that caches stay warm | uses it |
//! | `gate.pid` | a gate runs | ends what is left of it first |
//! | `landing.json` | the target is being moved to a commit whose tree passed | completes it if the target is there, and takes the checkout back if not |
//! | `logs/` | what gates wrote, a file each | leaves them |
//! | `reports/` | a report for each merge | leaves them |
//!
//! A merge is made of objects that no ref names until the target moves, which is one
//! compare-and-swap; so a kill loses at most gate runs, and those that passed are in the journal
//! and are not run again. The journal holds what can be proved later ([`record`]): which tree
//! passed which gate, what landed as which commit, what was handed back and why.
//!
//! **Promises**: the target only ever moves to a commit whose tree passed every gate that was asked
//! for, and only from the commit that was the base of the test; it never holds a part of a branch;
//! no branch, tree or checkout of anybody is changed, but the target, and a checkout of it where
//! that was asked for; nothing that did not land is lost.
//!
//! **Does not**: start agents, talk to a forge, or judge a gate: a command that ends with 0 passed.

pub mod bisect;
pub mod bundle;
pub mod candidate;
pub mod check;
pub mod gate;
pub mod handback;
pub mod land;
pub mod ledger;
pub mod order;
pub mod pull;
pub mod record;
pub mod report;
pub mod run;
pub mod scratch;
pub mod union;

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::swarm::{self, Root, files};
use crate::workspace;

/// What can go wrong in this room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither an agent nor a branch nor a revision.
    #[error("no agent or branch {name:?} here")]
    Unknown {
        /// The name.
        name: String,
        /// The nearest known ones.
        nearest: Vec<String>,
    },
    /// Not done, to protect work or people.
    #[error("{what}")]
    Refused {
        /// What was refused and why.
        what: String,
        /// What to type next.
        hint: String,
    },
    /// Not now.
    #[error("{what}")]
    Busy {
        /// What is in the way.
        what: String,
    },
    /// Asked for something that makes no sense.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to type instead.
        hint: String,
    },
    /// A signal ended us while a gate ran.
    #[error("ended by signal {0}; nothing half-done is left")]
    Signal(i32),
    /// git, or a tree.
    #[error(transparent)]
    Workspace(#[from] workspace::Error),
    /// The swarm's directory.
    #[error(transparent)]
    Swarm(#[from] swarm::Error),
    /// The system refused.
    #[error("{path:?}: {source}", path = .path.display().to_string())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: an I/O error at `path`.
    pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }
}

/// `ROOT/merge`, or something in it.
pub fn place(root: &Root, name: &str) -> PathBuf {
    root.path().join("merge").join(name)
}

/// The lock that one merge holds at a time; it ends with the process.
///
/// # Errors
/// [`Error::Busy`] when another merge has it.
pub fn lock(root: &Root) -> Result<File, Error> {
    root.make_dir(&root.path().join("merge"))?;
    let path = place(root, "lock");
    let mut options = File::options();
    let file = files::open_private(options.read(true).write(true).create(true), &path)
        .map_err(Error::at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Busy {
            what: "another swarm-merge is at work here".to_owned(),
        }),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::at(path)(error)),
    }
}
