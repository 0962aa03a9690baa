//! The trees that are there: who works where.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Git};
use crate::id;
use crate::swarm::{Identity, Root, files};

/// An agent's worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Where it is.
    pub path: PathBuf,
    /// Its own git directory.
    pub git_dir: PathBuf,
    /// Who works there.
    pub identity: Identity,
    /// What else is known about it.
    pub notes: Notes,
}

/// What `spore/tree.json` in the tree's own git directory says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// The version of this form: 1.
    pub v: u32,
    /// The revision that was asked for as base, such as `main`.
    pub base: String,
    /// The tasks that the agent was given.
    pub tasks: Vec<String>,
}

impl Notes {
    /// Writes them for the tree with this git directory.
    pub fn write(&self, git_dir: &Path) -> Result<(), Error> {
        let path = git_dir.join("spore/tree.json");
        let text = serde_json::to_string(self).expect("notes have no failing part");
        files::make_dirs(&git_dir.join("spore"))
            .and_then(|()| fs::write(&path, format!("{text}\n")))
            .map_err(Error::at(path))
    }

    fn read(git_dir: &Path) -> Notes {
        fs::read(git_dir.join("spore/tree.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }
}

impl Tree {
    /// Every agent's worktree or clone, by slot. One whose identity cannot be read is passed over.
    pub fn all(root: &Root) -> Result<Vec<Tree>, Error> {
        let mut dirs: Vec<(PathBuf, Option<PathBuf>)> = Vec::new();
        if let Some(repository) = root.repository() {
            let linked = repository.git_dirs();
            let linked = linked.map_err(Error::at(&repository.common_dir))?;
            dirs.extend(
                linked
                    .into_iter()
                    .skip(1)
                    .map(|dir| (dir.clone(), top_of(&dir))),
            );
        }
        // Clones stand for themselves.
        for entry in fs::read_dir(root.worktrees())
            .into_iter()
            .flatten()
            .flatten()
        {
            let git_dir = entry.path().join(".git");
            let hidden = entry.file_name().as_bytes().starts_with(b".");
            if !hidden && git_dir.is_dir() {
                dirs.push((git_dir, Some(entry.path())));
            }
        }
        let mut trees = Vec::new();
        for (git_dir, path) in dirs {
            if let (Some(path), Ok(Some(identity))) = (path, Identity::read(&git_dir)) {
                trees.push(Tree {
                    path,
                    notes: Notes::read(&git_dir),
                    git_dir,
                    identity,
                });
            }
        }
        trees.sort_by_key(|tree| tree.identity.slot);
        Ok(trees)
    }

    /// The trees of these agents, in that order.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the nearest names.
    pub fn named(all: &[Tree], names: &[String]) -> Result<Vec<Tree>, Error> {
        names
            .iter()
            .map(|name| {
                let found = all.iter().find(|tree| tree.identity.agent.as_str() == name);
                found.cloned().ok_or_else(|| Error::Unknown {
                    what: "worktree of",
                    name: name.clone(),
                    nearest: id::nearest(name, all.iter().map(|t| t.identity.agent.as_str()))
                        .into_iter()
                        .map(str::to_owned)
                        .collect(),
                })
            })
            .collect()
    }

    /// Whether it is a clone, with refs of its own, and not a linked worktree.
    pub fn is_clone(&self) -> bool {
        self.git_dir == self.path.join(".git")
    }

    /// git in this tree.
    pub fn git(&self) -> Git {
        Git::at(&self.path)
    }

    /// Why git keeps it from being removed, if somebody locked it.
    pub fn locked(&self) -> Option<String> {
        let reason = fs::read_to_string(self.git_dir.join("locked")).ok()?;
        Some(reason.trim().to_owned())
    }
}

/// The file that is locked as long as an agent's command runs in the tree with this git directory.
pub fn run_lock(git_dir: &Path) -> PathBuf {
    git_dir.join("spore/run.lock")
}

/// The top of the linked worktree whose git directory this is.
pub fn top_of(git_dir: &Path) -> Option<PathBuf> {
    let bytes = fs::read(git_dir.join("gitdir")).ok()?;
    let link = Path::new(std::ffi::OsStr::from_bytes(bytes.trim_ascii_end()));
    let link = git_dir.join(link);
    Some(link.parent()?.to_owned())
}
