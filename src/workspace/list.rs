//! How the trees stand: what git, the file system and the process table say, nothing guessed.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::fill::in_parallel;
use super::index::Index;
use super::landed::{self, has_landed};
use super::life::Processes;
use super::{Error, Git, Tree};
use crate::swarm::Root;

/// How a tree stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whether its directory is there.
    pub there: bool,
    /// The branch that is checked out; none when detached.
    pub branch: Option<String>,
    /// Commits that the base does not have, and that the tree does not have; none where unknown.
    pub ahead_behind: Option<(u32, u32)>,
    /// Files that differ from the last commit, new ones included.
    pub dirty: usize,
    /// Bytes of the tracked files.
    pub size: u64,
    /// The last sign of life: when git last wrote something for this tree.
    pub seen: Option<SystemTime>,
    /// Whether anything was committed since the tree was made.
    pub begun: bool,
    /// Whether the base holds everything that the branch brings, however it got there.
    pub landed: bool,
    /// Processes that stand in it.
    pub pids: Vec<u32>,
}

/// The facts of each tree, in order. Nothing is changed, fetched or locked.
pub fn facts(root: &Root, trees: &[Tree]) -> Result<Vec<Facts>, Error> {
    let common = root
        .repository()
        .map(|repository| repository.common_dir.as_path());
    facts_of(common, trees)
}

/// The same for trees of the repository with that git directory; without one, clones are judged by
/// what they know themselves.
pub(super) fn facts_of(common: Option<&Path>, trees: &[Tree]) -> Result<Vec<Facts>, Error> {
    let processes = Processes::now();
    in_parallel(trees.len(), |place| {
        let tree = &trees[place];
        let there = tree.path.is_dir();
        let status = match there {
            true => tree
                .git()
                .bytes(&["status", "--porcelain=v2", "--branch", "-z"])?,
            false => Vec::new(),
        };
        let status = read_status(&status);
        let (git, base, head) = point_of_view(common, tree)?;
        Ok(Facts {
            there,
            branch: if there {
                status.branch
            } else {
                tree.identity.branch.clone()
            },
            ahead_behind: ahead_behind(&git, &base, &head)?,
            dirty: status.dirty,
            size: tracked_size(&tree.git_dir),
            seen: seen(&tree.git_dir),
            begun: there && status.head.is_some() && status.head != tree.identity.base,
            landed: has_landed(&git, &base, &head)?,
            pids: processes.inside(&tree.path),
        })
    })
}

/// A git that sees the tree's last commit and its base, and the names by which it knows them. A
/// clone does not know where its base stands now; the repository it came from does.
fn point_of_view(common: Option<&Path>, tree: &Tree) -> Result<(Git, String, String), Error> {
    let base = tree.notes.base.clone();
    let Some(common) = common else {
        return Ok((tree.git(), base, "HEAD".to_owned()));
    };
    if tree.is_clone() {
        let main = Git::at(common);
        let base = landed::commit(&main, &base)?.unwrap_or(base);
        let git = Git::at(&tree.path).with_objects(&common.join("objects"));
        return Ok((git, base, "HEAD".to_owned()));
    }
    if tree.path.is_dir() {
        return Ok((tree.git(), base, "HEAD".to_owned()));
    }
    let branch = tree.identity.branch.as_ref();
    let head = branch.map_or_else(
        || "HEAD".to_owned(),
        |branch| format!("refs/heads/{branch}"),
    );
    Ok((Git::at(common), base, head))
}

/// What `git status --porcelain=v2 --branch -z` says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    head: Option<String>,
    branch: Option<String>,
    dirty: usize,
}

fn read_status(status: &[u8]) -> Status {
    let mut found = Status::default();
    let mut records = status.split(|byte| *byte == 0);
    while let Some(record) = records.next() {
        if let Some(head) = record.strip_prefix(b"# branch.head ") {
            let head = String::from_utf8_lossy(head);
            found.branch = (head != "(detached)").then(|| head.into_owned());
        } else if let Some(oid) = record.strip_prefix(b"# branch.oid ") {
            let oid = String::from_utf8_lossy(oid);
            found.head = (oid != "(initial)").then(|| oid.into_owned());
        } else if record.starts_with(b"2 ") {
            // A rename has its old path in a record of its own.
            records.next();
            found.dirty += 1;
        } else if !record.is_empty() && !record.starts_with(b"#") {
            found.dirty += 1;
        }
    }
    found
}

fn ahead_behind(git: &Git, base: &str, head: &str) -> Result<Option<(u32, u32)>, Error> {
    let range = format!("{head}...{base}");
    let Some(counts) = git.ask(&["rev-list", "--left-right", "--count", &range, "--"])? else {
        return Ok(None);
    };
    Ok(counts
        .split_once('\t')
        .and_then(|(ahead, behind)| Some((ahead.parse().ok()?, behind.parse().ok()?))))
}

fn tracked_size(git_dir: &Path) -> u64 {
    let index = Index::read(&git_dir.join("index")).ok().flatten();
    let entries = index.into_iter().flat_map(|index| index.entries);
    entries.map(|entry| u64::from(entry.stat.size)).sum()
}

fn seen(git_dir: &Path) -> Option<SystemTime> {
    ["index", "HEAD", "logs/HEAD", "COMMIT_EDITMSG"]
        .iter()
        .filter_map(|file| fs::metadata(git_dir.join(file)).ok()?.modified().ok())
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_records_are_counted_a_rename_once() {
        let status =
            b"# branch.oid x\0# branch.head swarm/a\x001 .M N... a\x002 R. N... new\0old\0? u\0";
        let read = read_status(status);
        assert_eq!((read.branch.as_deref(), read.dirty), (Some("swarm/a"), 3));
        assert_eq!(
            read_status(b"# branch.head (detached)\0"),
            Status::default()
        );
    }
}
