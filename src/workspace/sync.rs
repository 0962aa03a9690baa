//! Bringing trees up to their base, without losing anything.
//!
//! First decide, without touching the tree: is it behind, would it conflict, does an uncommitted file
//! stand in the way? Then save the tree under a salvage ref, then let git merge or rebase. Whatever
//! cannot be done cleanly is left as it was, and said.

use std::collections::BTreeSet;

use super::salvage::{self, Saved};
use super::{Error, Git, Tree, journal, merge, reap};
use crate::swarm::Root;

/// In which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The base is merged into the branch.
    Merge,
    /// The branch's commits are put on top of the base.
    Rebase,
}

/// How it ended for a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The base brings nothing new, or not more than was allowed.
    UpToDate,
    /// The branch has all of the base now.
    Synced {
        /// What the branch stood at.
        from: String,
        /// What it stands at.
        to: String,
        /// Where everything as it was before is.
        saved: Saved,
    },
    /// These files would conflict; nothing was touched.
    Conflict(Vec<String>),
    /// These files are not committed and stand in the way; nothing was touched.
    Dirty(Vec<String>),
    /// Something else stands in the way; nothing was touched.
    Blocked(String),
}

/// Brings a tree up to where its base stands now, if it is more than `allowed` commits behind.
pub fn sync(
    root: &Root,
    tree: &Tree,
    how: How,
    allowed: u32,
    keep: &[String],
) -> Result<Outcome, Error> {
    let repository = root.repository().ok_or_else(Error::no_repository)?;
    let main = Git::at(&repository.common_dir);
    let git = tree.git().unguarded();
    if !tree.path.is_dir() {
        return Ok(Outcome::Blocked("its directory is gone".to_owned()));
    }
    if let Some(operation) = reap::operation(&tree.git_dir) {
        return Ok(Outcome::Blocked(format!(
            "a {operation} is under way in it"
        )));
    }
    let Some(base) = merge::commit_of(&main, &tree.notes.base)? else {
        return Ok(Outcome::Blocked(format!(
            "its base {:?} is gone",
            tree.notes.base
        )));
    };
    if tree.is_clone() {
        let from = repository.common_dir.display().to_string();
        let args = ["fetch", "-q", "--no-tags", "--no-write-fetch-head", &from];
        let refspec = format!("{}:refs/spore/base", tree.notes.base);
        git.bytes(&[&args[..], &[&refspec]].concat())?;
    }
    let Some(head) = merge::commit_of(&git, "HEAD")? else {
        return Ok(Outcome::Blocked(
            "nothing was ever committed in it".to_owned(),
        ));
    };
    let behind = git.text(&["rev-list", "--count", &format!("{head}..{base}")])?;
    if behind
        .parse::<u32>()
        .is_ok_and(|behind| behind == 0 || behind <= allowed)
    {
        return Ok(Outcome::UpToDate);
    }
    if tree.git_dir.join("index.lock").exists() {
        return Ok(Outcome::Blocked(
            "its index is locked (index.lock): git is at work there, or was killed".to_owned(),
        ));
    }
    let merged = git.output(&[
        "merge-tree",
        "--write-tree",
        "--name-only",
        "-z",
        "--no-messages",
        &head,
        &base,
    ])?;
    if !merged.status.success() {
        let paths = merged.stdout.split(|byte| *byte == 0).skip(1);
        let paths: BTreeSet<String> = paths.filter(|path| !path.is_empty()).map(text).collect();
        return Ok(Outcome::Conflict(paths.into_iter().collect()));
    }
    // What the tree's files become differs from what they are now in these.
    let result = merged
        .stdout
        .split(|byte| *byte == 0)
        .next()
        .map(text)
        .unwrap_or_default();
    let changes = names(&git.bytes(&[
        "diff-tree",
        "-r",
        "-z",
        "--name-only",
        "--no-renames",
        &head,
        &result,
    ])?);
    let edited = names(&git.bytes(&["diff-index", "-z", "--name-only", "--no-renames", &head])?);
    let others = names(&git.bytes(&["ls-files", "-z", "--others"])?);
    let in_the_way: Vec<String> = edited
        .union(&others)
        .filter(|path| stands_in(path, &changes))
        .cloned()
        .collect();
    if !in_the_way.is_empty() {
        return Ok(Outcome::Dirty(in_the_way));
    }
    let saved = {
        let _lock = journal::admin_lock(&repository.common_dir)?;
        salvage::save(root, tree, keep)?
    };
    let staged = git
        .output(&["diff-index", "--cached", "--quiet", &head])?
        .status
        .code()
        == Some(1);
    let aside = staged || (how == How::Rebase && !edited.is_empty());
    let done = match how {
        // A merge wants a clean index; what is staged steps aside as for a rebase.
        How::Merge if aside => git.output(&["merge", "-q", "--no-edit", "--autostash", &base])?,
        How::Merge => git.output(&["merge", "-q", "--no-edit", &base])?,
        How::Rebase => git.output(&["rebase", "-q", "--autostash", "--rebase-merges", &base])?,
    };
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        if let Some(word) = reap::operation(&tree.git_dir) {
            git.bytes(&[word, "--abort"])?;
        }
        let conflict = String::from_utf8_lossy(&done.stdout).into_owned();
        let paths: Vec<String> = conflict
            .lines()
            .filter_map(|line| {
                line.strip_prefix("CONFLICT ")?
                    .rsplit(' ')
                    .next()
                    .map(str::to_owned)
            })
            .collect();
        return Ok(match paths.is_empty() {
            true => Outcome::Blocked(said),
            false => Outcome::Conflict(paths),
        });
    }
    let to = merge::commit_of(&git, "HEAD")?.unwrap_or_default();
    let mut identity = tree.identity.clone();
    identity.base = Some(base);
    identity.write(&tree.git_dir)?;
    Ok(Outcome::Synced {
        from: head,
        to,
        saved,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn names(listed: &[u8]) -> BTreeSet<String> {
    let names = listed
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    names.map(text).collect()
}

/// Whether one of the changes is at this path, above it, or below it.
fn stands_in(path: &str, changes: &BTreeSet<String>) -> bool {
    let path = path.trim_end_matches('/');
    let below = format!("{path}/");
    let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
    changes.contains(path)
        || above.any(|dir| changes.contains(dir))
        || changes
            .range(below.clone()..)
            .next()
            .is_some_and(|change| change.starts_with(&below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stands_in_the_way_of_changes_at_above_and_below_it() {
        let changes: BTreeSet<String> = ["a/b", "c"].map(str::to_owned).into();
        for yes in ["a/b", "a/b/c", "a", "c", "c/"] {
            assert!(stands_in(yes, &changes), "{yes}");
        }
        for no in ["a/c", "b", "a/bb", "cc"] {
            assert!(!stands_in(no, &changes), "{no}");
        }
    }
}
