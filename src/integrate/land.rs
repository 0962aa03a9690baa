//! Moving the target: one compare-and-swap, and the checkout of it where that was asked for.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::Record;
use super::{Error, place, record};
use crate::swarm::{Root, files};
use crate::workspace::{self, Git, merge};

/// A move of the target that is under way: what is needed to complete it, or to take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landing {
    /// The version of this form: 1.
    pub v: u32,
    /// The full ref of the target.
    pub into: String,
    /// Where it is.
    pub old: String,
    /// Where it goes: a commit whose tree passed.
    pub new: String,
    /// The checkout that goes along.
    pub checkout: Option<PathBuf>,
    /// What is written down once it is there.
    pub records: Vec<Record>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landed {
    /// The target is there.
    Yes,
    /// It had been moved by somebody else meanwhile; nothing was changed.
    Moved,
}

/// How the target's checkout, if there is one, is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent<'a> {
    /// Where the command was started.
    pub here: &'a Path,
    /// Whether `--update-checkout` was given.
    pub given: bool,
}

/// The checkout of the target that has to go along; none if it is checked out nowhere.
///
/// # Errors
/// [`Error::Refused`] when it may not be touched: nobody asked, or there is work in it.
pub fn checkout_of(git: &Git, into: &str, consent: Consent<'_>) -> Result<Option<PathBuf>, Error> {
    let places = merge::checkouts(git, into)?;
    let [path] = &*places else {
        if places.is_empty() {
            return Ok(None);
        }
        return Err(Error::Refused {
            what: format!("{into} is checked out in {} places", places.len()),
            hint: "detach all but one of them (git worktree list)".to_owned(),
        });
    };
    let shown = path.display();
    let short = into.trim_start_matches("refs/heads/");
    let stands_there = std::fs::canonicalize(consent.here)
        .is_ok_and(|here| std::fs::canonicalize(path).is_ok_and(|path| here.starts_with(path)));
    if !consent.given && !stands_there {
        return Err(Error::Refused {
            what: format!(
                "{short} is checked out in {shown:?}, which would have to change with it"
            ),
            hint: "--update-checkout, or start it there".to_owned(),
        });
    }
    let status = Git::at(path).bytes(&["status", "--porcelain", "-z", "--untracked-files=no"])?;
    let changed = status
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty());
    match changed.count() {
        0 => Ok(Some(path.clone())),
        _ if consent.given => Ok(Some(path.clone())),
        n => Err(Error::Refused {
            what: format!("{short} is checked out in {shown:?} with {n} changed files"),
            hint: "commit or stash them; --update-checkout keeps them, and refuses only if one of them would have to change".to_owned(),
        }),
    }
}

/// Moves the target and its checkout, and writes down that it did. Nothing is changed when it
/// answers [`Landed::Moved`] or fails.
pub fn land(root: &Root, git: &Git, landing: &Landing) -> Result<Landed, Error> {
    let note = place(root, "landing.json");
    let text = serde_json::to_vec(landing).map_err(|error| Error::at(&note)(error.into()))?;
    files::write_whole(&note, &text).map_err(Error::at(&note))?;
    if let Some(checkout) = &landing.checkout
        && let Err(error) = switch(checkout, &landing.old, &landing.new)
    {
        // Left by a git that was killed, perhaps: then it may have begun, and the note tells the next
        // merge what to take back.
        unlocked(checkout)?;
        workspace::journal::remove_file(&note)?;
        return Err(error);
    }
    let moved = merge::move_ref(
        git,
        &landing.into,
        &landing.old,
        &landing.new,
        "swarm-merge",
    );
    if !matches!(moved, Ok(true)) {
        if let Some(checkout) = &landing.checkout {
            switch(checkout, &landing.new, &landing.old)?;
        }
        workspace::journal::remove_file(&note)?;
        return match moved {
            Ok(_) => Ok(Landed::Moved),
            Err(error) => Err(Error::Refused {
                what: format!("{} may not be moved: {error}", landing.into),
                hint: "a hook of the repository says so; --via pr leaves it alone".to_owned(),
            }),
        };
    }
    record::append(root, &landing.records, record::nothing_more)?;
    workspace::journal::remove_file(&note)?;
    Ok(Landed::Yes)
}

/// Takes the files of a checkout from one commit to another; files that somebody changed are kept,
/// and if one of them would have to change nothing is done.
fn switch(checkout: &Path, from: &str, to: &str) -> Result<(), Error> {
    let git = Git::at(checkout);
    git.output(&["update-index", "-q", "--refresh"])?;
    match git.bytes(&["read-tree", "-m", "-u", from, to]) {
        Ok(_) => Ok(()),
        Err(workspace::Error::Git { said, .. }) => Err(Error::Refused {
            what: format!(
                "work in the checkout {:?} is in the way: {said}",
                checkout.display().to_string()
            ),
            hint: "commit or stash it, then try again".to_owned(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Completes, or takes back, a landing whose process was killed. Under the lock of the merge. Says
/// what it did.
pub fn settle(root: &Root, git: &Git) -> Result<Option<String>, Error> {
    let note = place(root, "landing.json");
    let Some(bytes) = files::read_if_there(&note, 64 << 20).map_err(Error::at(&note))? else {
        return Ok(None);
    };
    let landing: Landing = match serde_json::from_slice(&bytes) {
        Ok(landing) => landing,
        Err(error) => return Err(Error::at(&note)(error.into())),
    };
    let said = if merge::is_ancestor(git, &landing.new, &landing.into)? {
        let written = record::all(root)?;
        let missing: Vec<Record> = landing
            .records
            .iter()
            .filter(|record| !written.contains(record))
            .cloned()
            .collect();
        record::append(root, &missing, record::nothing_more)?;
        format!(
            "a landing that was cut off is complete: {} is at {}",
            landing.into, landing.new
        )
    } else {
        if let Some(checkout) = &landing.checkout {
            take_back(checkout, &landing)?;
        }
        "a landing that was cut off was taken back".to_owned()
    };
    workspace::journal::remove_file(&note)?;
    Ok(Some(said))
}

/// Brings a checkout back to where the target still is: with its index, if that has gone along;
/// else the files that a git which was killed had changed already. Files that somebody else changed
/// stay.
fn take_back(checkout: &Path, landing: &Landing) -> Result<(), Error> {
    unlocked(checkout)?;
    let git = Git::at(checkout);
    if has_tree(checkout, &landing.new)? {
        return switch(checkout, &landing.new, &landing.old);
    }
    git.output(&["update-index", "-q", "--refresh"])?;
    let listed = git.bytes(&["diff-files", "-z", "--name-only", "--no-renames"])?;
    let differing: HashSet<&[u8]> = listed.split(|byte| *byte == 0).collect();
    let changes = git.bytes(&[
        "diff-tree",
        "-r",
        "-z",
        "--no-renames",
        "--name-status",
        &landing.old,
        &landing.new,
    ])?;
    let mut words = changes.split(|byte| *byte == 0);
    let mut restore = Vec::new();
    while let (Some(status), Some(path)) = (words.next(), words.next()) {
        let file = checkout.join(OsStr::from_bytes(path));
        let now = content(&file);
        match (status, now) {
            (b"A", Some(now)) if is_begun(&git, &landing.new, path, &now)? => {
                workspace::journal::remove_file(&file)?;
            }
            (b"A", _) => {}
            (_, None) => restore.push(path),
            (b"D", Some(_)) => {}
            (_, Some(now)) => {
                if differing.contains(path) && is_begun(&git, &landing.new, path, &now)? {
                    restore.push(path);
                }
            }
        }
    }
    let restore = [restore.join(&0), vec![0]].concat();
    if restore.len() > 1 {
        git.feed(&["checkout-index", "-f", "-z", "--stdin"], &restore)?;
    }
    Ok(())
}

/// That no git is at work in a checkout.
///
/// # Errors
/// [`Error::Busy`] if its index is locked; whether by a living git cannot be told.
fn unlocked(checkout: &Path) -> Result<(), Error> {
    let dir = Git::at(checkout).text(&["rev-parse", "--absolute-git-dir"])?;
    let lock = Path::new(&dir).join("index.lock");
    match lock.exists() {
        false => Ok(()),
        true => Err(Error::Busy {
            what: format!(
                "another git is at work in {:?}, or was killed there; if none is, rm {}",
                checkout.display().to_string(),
                lock.display()
            ),
        }),
    }
}

/// What a file or a link holds.
fn content(path: &Path) -> Option<Vec<u8>> {
    match fs::read_link(path) {
        Ok(target) => Some(target.into_os_string().into_vec()),
        Err(_) => fs::read(path).ok(),
    }
}

/// Whether `now` is a file of `commit` as git puts it into a checkout, or the beginning of it.
fn is_begun(git: &Git, commit: &str, path: &[u8], now: &[u8]) -> Result<bool, Error> {
    let name = [commit.as_bytes(), b":", path].concat();
    let args = [
        OsStr::new("cat-file"),
        OsStr::new("--filters"),
        OsStr::from_bytes(&name),
    ];
    let output = git.command(args).output().map_err(Error::at("git"))?;
    Ok(output.status.success() && output.stdout.starts_with(now))
}

/// Whether the index of a checkout holds the tree of `commit`.
fn has_tree(checkout: &Path, commit: &str) -> Result<bool, Error> {
    let git = Git::at(checkout);
    let output = git.output(&["diff-index", "--cached", "--quiet", commit, "--"])?;
    Ok(output.status.success())
}
