//! The seal: the main checkout is nobody's place of work while agents are about.
//!
//! Agents that use absolute paths edit the main checkout instead of their own tree. Sealing saves how
//! it stands under `refs/spore/seal` (tracked, changed and untracked files), so that an edit is seen
//! and can be taken back. Where bubblewrap works, commands that are started through [`command`] find
//! the main checkout read-only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::salvage::{self, main_top};
use super::{Error, Git, merge};
use crate::swarm::{Repository, Root};

/// Where the seal is kept.
pub const REFERENCE: &str = "refs/spore/seal";

/// Seals the main checkout as it stands now. A bare repository has none: nothing is done.
pub fn put(root: &Root) -> Result<(), Error> {
    let repository = root.repository().ok_or_else(Error::no_repository)?;
    let Some(top) = main_top(&repository.common_dir).filter(|top| top.is_dir()) else {
        return Ok(());
    };
    let commit = salvage::snapshot_of_main(&repository.common_dir, &top)?;
    let git = Git::at(&repository.common_dir);
    git.bytes(&["update-ref", REFERENCE, &commit]).map(drop)
}

/// The files of the main checkout that were edited since it was sealed, and not committed since;
/// none when it is not sealed. What was edited when it was sealed, and still stands so, does not
/// count; neither do commits.
pub fn broken(root: &Root) -> Result<Option<Vec<PathBuf>>, Error> {
    let repository = root.repository().ok_or_else(Error::no_repository)?;
    let common = &repository.common_dir;
    let git = Git::at(common);
    let (Some(sealed), Some(top)) = (merge::commit_of(&git, REFERENCE)?, main_top(common)) else {
        return Ok(None);
    };
    let now = salvage::snapshot_of_main(common, &top)?;
    let before = edits(&git, &sealed)?;
    let now = edits(&git, &now)?;
    let paths = now.iter().chain(&before).filter(|(path, content)| {
        let (then, now) = (before.get(*path), now.get(*path));
        then != now && (now == Some(content) || now.is_none())
    });
    let mut paths: Vec<PathBuf> = paths
        .map(|(path, _)| PathBuf::from(OsString::from_vec(path.clone())))
        .collect();
    paths.sort();
    paths.dedup();
    Ok(Some(paths))
}

/// Whether the main checkout is sealed.
pub fn is_sealed(root: &Root) -> bool {
    root.repository().is_some_and(|repository| {
        let sealed = merge::commit_of(&Git::at(&repository.common_dir), REFERENCE);
        sealed.is_ok_and(|sealed| sealed.is_some())
    })
}

/// What differs from the last commit, with mode and content.
fn edits(git: &Git, snapshot: &str) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let parent = merge::commit_of(git, &format!("{snapshot}^1"))?;
    let Some(parent) = parent else {
        return Ok(BTreeMap::new());
    };
    let listed = git.bytes(&["diff-tree", "-r", "-z", &parent, snapshot])?;
    let mut fields = listed.split(|byte| *byte == 0);
    let mut found = BTreeMap::new();
    while let (Some(about), Some(path)) = (fields.next(), fields.next()) {
        found.insert(path.to_vec(), about.to_vec());
    }
    Ok(found)
}

/// `program` so that it finds the main checkout read-only, where that can be had here; otherwise as
/// it is. git's own directory stays writable: worktrees share it.
pub fn command(root: &Root, program: &str) -> Command {
    let main = root.repository().and_then(|repository| {
        let top = main_top(&repository.common_dir)?;
        Some((repository, top)).filter(|_| is_sealed(root) && can_prevent())
    });
    match main {
        Some((repository, top)) => {
            let mut command = Command::new("bwrap");
            command.args(arguments(root, repository, &top)).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// What bubblewrap is told.
fn arguments(root: &Root, repository: &Repository, top: &Path) -> Vec<OsString> {
    let bind = |how: &str, path: &Path| [how.into(), path.into(), path.into()];
    let mut arguments: Vec<OsString> = vec!["--dev-bind".into(), "/".into(), "/".into()];
    arguments.extend(bind("--ro-bind", top));
    arguments.extend(bind("--bind", &repository.common_dir));
    if root.path().starts_with(top) && root.path().exists() {
        arguments.extend(bind("--bind", root.path()));
    }
    arguments.push("--die-with-parent".into());
    arguments.push("--".into());
    arguments
}

/// Whether bubblewrap is here and may do its work.
pub fn can_prevent() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let status = Command::new("bwrap")
            .args(["--dev-bind", "/", "/", "--", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    })
}
