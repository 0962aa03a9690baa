//! One agent command on one task: started, watched, ended, and judged from evidence.
//!
//! **For**: running the command of an agent in its worktree with its own identity, within limits;
//! keeping everything it said; ending every process it started; and saying in one word and one exit
//! status what came of it.
//!
//! What a run leaves in `runs/RUN/` (`RUN` is `AGENT-N`), told in the order of writing:
//!
//! | file | what |
//! |---|---|
//! | `task.json` | the task, as it was given |
//! | `prompt` | what the command was asked |
//! | `run.json` | who runs what on which task, from which commit ([`record::Start`]) |
//! | `transcript.out`, `transcript.err` | what it wrote, every byte; it writes there itself |
//! | `outcome.json` | what came of it ([`Outcome`]), one line |
//! | `handover.md` | what the next one who tries the task should know |
//!
//! What a kill costs: the command writes to files and works in its own tree, so nothing of it is lost
//! when `agent-run` is killed; it goes on until somebody looks. A run that the journal knows, that has
//! not ended and whose `agent-run` is dead is *lost*; [`record::settle`] ends its processes, which are
//! known by their environment and their session, judges what is there, and writes that down.
//!
//! First decide, then do: [`judge`] is a function from [`judge::Evidence`] to a verdict, [`watch`]
//! holds what is seen against the limits; [`supervise`] starts, looks and ends.
//!
//! **Promises**: an outcome is judged from the exit, the event stream, the commits, the tree, the
//! processes and silence, never from what an answer happens to mention; a stop reaches every
//! descendant, and none is left when `agent-run` ends; output is kept whole; a sign of life in the
//! journal means that bytes, processor time or processes were seen since the last one.
//!
//! **Does not**: choose tasks (room `swarm`), merge (room `integrate`), keep an agent from the network
//! or from files outside of its worktree, or talk to any model.

pub mod agents;
pub mod cgroup;
pub mod fake;
pub mod judge;
pub mod outcome;
pub mod phrases;
pub mod policy;
pub mod process;
pub mod prompt;
pub mod reader;
pub mod record;
pub mod supervise;
pub mod told;
pub mod torture;
pub mod watch;

use std::io;
use std::path::PathBuf;

pub use outcome::{Outcome, Word};

use crate::{swarm, workspace};

/// What can go wrong in this room: nothing was run, or something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another run is under way in the worktree.
    #[error("a run is under way in the worktree of {0:?}")]
    Busy(String),
    /// Somebody paused or stopped the agent, its task, or everybody.
    #[error("nothing begins now: {0}")]
    Held(String),
    /// The claim of the task is over.
    #[error("task {task:?}: too late: {why}")]
    Late {
        /// The task.
        task: String,
        /// Why.
        why: String,
    },
    /// A command line without a program.
    #[error("the command line is empty")]
    NoCommand,
    /// The table of command lines.
    #[error(transparent)]
    Unknown(#[from] agents::Unknown),
    /// The swarm's directory.
    #[error(transparent)]
    Swarm(#[from] swarm::Error),
    /// The worktree, or a file of the run.
    #[error(transparent)]
    Workspace(#[from] workspace::Error),
}

impl Error {
    /// For `map_err`: an I/O error at `path`.
    pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let at = workspace::Error::at(path);
        move |source| at(source).into()
    }
}

/// The beginning of a text of many lines or much length, at most `limit` characters.
pub fn short(text: &str, limit: usize) -> String {
    let mut chars = text.chars();
    let mut begun: String = chars.by_ref().take(limit).collect();
    if chars.next().is_some() {
        begun.push('…');
    }
    begun
}
