//! The worktree in which gates run: `ROOT/merge/tree`, kept between merges.
//!
//! It is detached, locked against `git worktree prune`, and nobody's: each use begins with the
//! commit that is to be tested, without changes and without untracked files; ignored ones (caches)
//! stay, so that the second gate is faster than the first.

use std::path::PathBuf;

use super::{Error, place};
use crate::swarm::Root;
use crate::workspace::{self, Git};

/// The tree for gates.
#[derive(Debug)]
pub struct Scratch {
    /// Its top.
    pub path: PathBuf,
    git: Git,
}

impl Scratch {
    /// Makes it, or takes the one that is there, at `commit`.
    pub fn open(root: &Root, git: &Git, commit: &str) -> Result<Scratch, Error> {
        root.make_dir(&root.path().join("merge"))?;
        let path = place(root, "tree");
        let scratch = Scratch {
            git: Git::at(&path).unguarded(),
            path,
        };
        if scratch.is_sound(git)? {
            scratch.put(commit)?;
            return Ok(scratch);
        }
        // Half made, or of a repository that was moved: made anew.
        let text = scratch.path.to_string_lossy().into_owned();
        workspace::journal::remove_tree(&scratch.path)?;
        git.output(&["worktree", "unlock", &text])?;
        git.output(&["worktree", "remove", "--force", &text])?;
        let reason = "swarm-merge tests here";
        git.bytes(&[
            "-c",
            "core.hooksPath=/dev/null",
            "worktree",
            "add",
            "--quiet",
            "--detach",
            "--no-checkout",
            "--lock",
            "--reason",
            reason,
            &text,
            commit,
        ])?;
        scratch.put(commit)?;
        Ok(scratch)
    }

    /// Whether it is a worktree of this repository.
    fn is_sound(&self, git: &Git) -> Result<bool, Error> {
        if !self.path.join(".git").exists() {
            return Ok(false);
        }
        let ask = ["rev-parse", "--path-format=absolute", "--git-common-dir"];
        let here = self.git.ask(&ask)?;
        Ok(here.is_some() && here == git.ask(&ask)?)
    }

    /// Puts `commit` there, whole.
    pub fn put(&self, commit: &str) -> Result<(), Error> {
        // Left by a git that was killed there; nobody else works in this tree.
        let lock = self.git.text(&["rev-parse", "--absolute-git-dir"])?;
        workspace::journal::remove_file(&PathBuf::from(lock).join("index.lock"))?;
        self.git.bytes(&[
            "-c",
            "core.hooksPath=/dev/null",
            "reset",
            "--quiet",
            "--hard",
            commit,
        ])?;
        self.git.bytes(&["clean", "-ffdq"])?;
        if self.path.join(".gitmodules").exists() {
            self.git.bytes(&[
                "-c",
                "core.hooksPath=/dev/null",
                "submodule",
                "--quiet",
                "update",
                "--init",
                "--recursive",
                "--force",
            ])?;
        }
        Ok(())
    }

    /// git in it: attributes are read from what stands there.
    pub fn git(&self) -> &Git {
        &self.git
    }
}
