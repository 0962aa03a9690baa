//! The swarm on disk: where it lives, who belongs to it, who I am, and what has happened.
//!
//! **For**: the one directory beside a repository, `app.swarm` for `app`, in which everything of a
//! swarm lives, and `swarm.toml`, in which people say how they want it.
//!
//! | path | what | written |
//! |---|---|---|
//! | `VERSION` | the layout's number, `1` | once, before anything else |
//! | `wt/AGENT/` | worktrees | by `worktree-spawn` |
//! | `mail/AGENT/` | mailboxes | by the room `spool` |
//! | `group/NAME` | addresses of a group, one a line, `#` begins a comment | whole |
//! | `outbox/BUS/` | messages that a bus could not take yet | by the room `bus` |
//! | `plan.json` | the plan in force | whole |
//! | `hold` | who is paused or stopped ([`hold`]); no file, nobody | whole, or by hand |
//! | `journal/` | what happened, one JSON line each ([`journal`]) | appended |
//! | `conductor` | who carries out the plan ([`conductor`]): locked while it lives | by `swarm-ctl run` |
//! | `runs/RUN/` | what one agent run said and did | by the room `run` |
//! | `spore/identity.json` in a worktree's own git directory | who works there ([`identity`]) | whole |
//!
//! States of the root, and what a process killed at any instant leaves behind:
//!
//! | there is | it means | who goes on |
//! |---|---|---|
//! | nothing | no swarm yet | [`Root::make`] begins one |
//! | an empty directory, or `.tmp-…` in it | its maker was killed | [`Root::make`] goes on |
//! | `VERSION` | a swarm; what else is missing is made when needed | everybody |
//! | other names, no `VERSION` | somebody else's directory | refused |
//! | `VERSION` with a newer number | a newer sporekit's | refused |
//!
//! **Promises**: the same root from every worktree of a repository, without starting a process
//! unless the repository's configuration names another; directories 0700 and files 0600 whatever
//! the umask; files appear whole ([`files`]); a name that nobody bears comes back with the nearest
//! that somebody does; reading changes nothing.
//!
//! **Does not**: read the environment (commands do, and pass it in), touch git refs or trees,
//! or protect against another user who may write to the directory above the root.

pub mod conductor;
pub mod config;
pub mod duration;
pub mod files;
pub mod hold;
pub mod holder;
pub mod identity;
pub mod journal;
pub mod lease;
pub mod news;
pub mod plan;
pub mod repository;
pub mod root;
pub mod roster;
pub mod situation;

use std::io;
use std::path::PathBuf;

pub use config::Config;
pub use holder::Holder;
pub use identity::{Identity, Who};
pub use journal::Journal;
pub use repository::Repository;
pub use root::Root;
pub use roster::Roster;

use crate::id::{AgentName, IdError};

/// What can go wrong in this room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a repository nor a root was given.
    #[error("no swarm: {start:?} is not in a git repository", start = .0.display().to_string())]
    NoRepository(PathBuf),
    /// The repository is the root of the file system.
    #[error("no place for the swarm: nothing can stand beside {path:?}", path = .0.display().to_string())]
    NoPlaceBeside(PathBuf),
    /// The swarm is of a layout that this version does not know.
    #[error("{path:?} has layout {found:?}, this version knows layout {known}", path = .path.display().to_string(), known = root::LAYOUT)]
    Layout {
        /// The root.
        path: PathBuf,
        /// What its `VERSION` says.
        found: String,
    },
    /// A directory that is there and was not made by us.
    #[error("{path:?} is not a swarm: it holds {name:?} and no VERSION", path = .path.display().to_string())]
    NotASwarm {
        /// The directory.
        path: PathBuf,
        /// One of the names in it.
        name: String,
    },
    /// `git config` could not be asked for `spore.root`.
    #[error("git config spore.root: {0}")]
    GitConfig(String),
    /// `swarm.toml` is not as it should be.
    #[error("{path}:{line}:{column}: {message}", path = .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
        /// The nearest thing that would be right.
        nearest: Option<String>,
    },
    /// Nobody here bears this name.
    #[error("unknown {what} {name:?}{}", hint(.nearest))]
    Unknown {
        /// "agent", "group" or "topic".
        what: &'static str,
        /// The name that was given.
        name: String,
        /// The nearest known names, best first.
        nearest: Vec<String>,
    },
    /// Two sources disagree about who is speaking.
    #[error("you are {:?} by {is_by}, and {:?} by {says_by}", .is.as_str(), .says.as_str())]
    Contradiction {
        /// Who one is by the stronger source.
        is: AgentName,
        /// That source.
        is_by: String,
        /// Who one says to be.
        says: AgentName,
        /// The weaker source.
        says_by: String,
    },
    /// Nothing says who is speaking.
    #[error("nobody says who you are: this is no agent's worktree")]
    Nobody,
    /// A name that cannot be one.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A file of ours that holds something else.
    #[error("{path:?}: {why}", path = .path.display().to_string())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system refused.
    #[error("{path:?}", path = .path.display().to_string())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// What to type next, where there is such a thing.
    pub fn next_step(&self) -> Option<String> {
        let step = match self {
            Error::NoRepository(_) | Error::NoPlaceBeside(_) => {
                "go into a repository, or say --root DIR or SPORE_ROOT=DIR".to_owned()
            }
            Error::Layout { .. } => "use the newer sporekit that made it".to_owned(),
            Error::NotASwarm { .. } => {
                "name another place: --root DIR, or git config spore.root DIR".to_owned()
            }
            Error::Unknown { nearest, .. } if !nearest.is_empty() => return None,
            Error::Unknown {
                what: "group",
                name,
                ..
            } => {
                format!(
                    "[groups] in swarm.toml makes one, and so does a file group/{name} in the swarm's directory, a name a line"
                )
            }
            Error::Unknown {
                what: "topic",
                name,
                ..
            } => {
                let file = roster::topic_file(name);
                format!(
                    "who subscribes writes a line: echo NAME >>topic/{file} in the swarm's directory"
                )
            }
            Error::Unknown { .. } => "swarm-status names who is there".to_owned(),
            Error::Contradiction { says_by, .. } => {
                format!("leave {says_by} out: nobody speaks for somebody else")
            }
            Error::Nobody => "say --as NAME, or set SPORE_AGENT".to_owned(),
            _ => return None,
        };
        Some(step)
    }

    /// For `map_err`: an I/O error at `path`.
    pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }
}

fn hint(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => format!(" (did you mean {}?)", names.join(" or ")),
    }
}
