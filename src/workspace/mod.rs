//! Worktrees: a place for every agent, and nothing ever lost.
//!
//! **For**: making N worktrees with branch, identity, ports and colour in one step; seeing how
//! they stand; saving what is in them; and removing them when they are finished.
//!
//! States of a spawn, told by which files exist. `COMMON` is the git directory that all worktrees
//! share, `TX` names one spawn, and `COMMON/spore/spawn/TX.lock` is held (flock) as long as the
//! process that spawns lives:
//!
//! | there is | it means | if its process is dead, the next command that changes something |
//! |---|---|---|
//! | nothing under `spawn/` | nothing under way | — |
//! | `TX.lock` alone | nothing was made yet | removes the file |
//! | `TX.json`, phase `making` | refs, trees, mailboxes of that list may be half made | takes all of them back |
//! | `TX.json`, phase `ready` | everything is there; only marks are left over | removes the marks: the spawn is done |
//!
//! A tree under way has an entry `COMMON/worktrees/ID` whose `locked` says `worktree-spawn TX`, so
//! that no `git worktree prune` drops it; that mark, and the reflog of its branch, whose one entry
//! says the same, are how roll-back knows what is ours. A spawn is done at the instant when
//! `TX.json` says `ready`.
//!
//! What a kill costs: before `ready`, the whole spawn (no agent has begun yet); after it, nothing.
//!
//! States of a removal, all of it under the same lock as the first phase of a spawn. `ID` names one
//! removal, `TRASH` is a hidden name beside the tree:
//!
//! | there is | it means | if its process is dead, the next command that changes something |
//! |---|---|---|
//! | `COMMON/spore/reap/ID.json`, the tree in its place | everything was saved under `refs/spore/salvage/AGENT/N`, nothing was touched | forgets the removal: the tree stays |
//! | the same, the tree at `TRASH` | nobody finds it any more | saves what was written since, then goes on |
//! | the same, `checked` | every byte is under a ref | removes branch (where it is landed), git's entry, `TRASH`, the record |
//!
//! A kill in between leaves work in the tree or under the ref, mostly in both.
//!
//! **Promises**: N worktrees or none, and no stray branch; a branch or directory that was there is
//! never touched; nothing is removed that is not saved under a ref first; two spawns at once take
//! turns for the few milliseconds in which names are given out; what git does in an unusual way
//! (sparse checkout, submodules, another hash, another ref format) is left to git itself.
//!
//! **Does not**: talk to a network, merge finished work (room `integrate`), start agents (room
//! `run`), or protect a tree from another process that deletes it.

pub mod adopt;
mod base;
pub mod cache;
pub mod clone;
mod contents;
pub mod environment;
pub mod fill;
pub mod forecast;
pub mod git;
pub mod glance;
pub mod guard;
pub mod index;
pub mod journal;
pub mod landed;
pub mod life;
pub mod list;
pub mod locks;
pub mod merge;
pub mod plan;
pub mod progress;
pub mod reap;
pub mod restore;
pub mod salvage;
pub mod scan;
pub mod seal;
pub mod settings;
pub mod settle;
pub mod spawn;
pub mod sync;
pub mod tree;

use std::io;
use std::path::PathBuf;

pub use git::Git;
pub use tree::Tree;

use crate::{spool, swarm};

/// What can go wrong in this room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// git ended with another status than it should.
    #[error("git {command}: {said}")]
    Git {
        /// The arguments.
        command: String,
        /// What it said on standard error.
        said: String,
    },
    /// The plan cannot be carried out; nothing was made.
    #[error("{}", .0.join("\n"))]
    Plan(Vec<String>),
    /// Names, branches or paths that are taken; nothing was made.
    #[error("{}", .0.join("\n"))]
    Taken(Vec<String>),
    /// Not done, to protect work.
    #[error("{what}")]
    Refused {
        /// What was refused and why.
        what: String,
        /// The flag that allows it, or the next thing to type.
        hint: String,
    },
    /// Nobody here bears this name.
    #[error("no {what} {name:?} here")]
    Unknown {
        /// "worktree of" or "saved work".
        what: &'static str,
        /// The name.
        name: String,
        /// The nearest known ones.
        nearest: Vec<String>,
    },
    /// A command that belongs to a spawn ended with another status than 0.
    #[error("{what} of {agent:?} ended with {status}: {said}")]
    Setup {
        /// `--setup`, or the name of a hook.
        what: &'static str,
        /// The agent.
        agent: String,
        /// How it ended.
        status: String,
        /// The last lines it wrote.
        said: String,
    },
    /// The swarm's directory.
    #[error(transparent)]
    Swarm(#[from] swarm::Error),
    /// A mailbox.
    #[error(transparent)]
    Spool(#[from] spool::Error),
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
    /// Outside of any repository.
    pub(crate) fn no_repository() -> Error {
        Error::Plan(vec![
            "worktrees need a git repository to stand in".to_owned(),
        ])
    }

    /// For `map_err`: an I/O error at `path`.
    pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }
}
