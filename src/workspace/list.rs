//! How the trees stand: what git, the file system and the process table say, nothing guessed.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::fill::in_parallel;
use super::index::Index;
use super::landed::has_landed;
use super::life::Processes;
use super::{Error, Git, Tree};

/// How a tree stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
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
    /// Whether the base holds everything that the branch brings, however it got there.
    pub landed: bool,
    /// Processes that stand in it.
    pub pids: Vec<u32>,
}

/// The facts of each tree, in order.
pub fn facts(trees: &[Tree]) -> Result<Vec<Facts>, Error> {
    let processes = Processes::now();
    in_parallel(trees.len(), |place| {
        let tree = &trees[place];
        let git = tree.git();
        let status = git.bytes(&["status", "--porcelain=v2", "--branch", "-z"])?;
        let (branch, dirty) = read_status(&status);
        Ok(Facts {
            branch,
            ahead_behind: ahead_behind(&git, &tree.notes.base)?,
            dirty,
            size: tracked_size(&tree.git_dir),
            seen: seen(&tree.git_dir),
            landed: has_landed(&git, &tree.notes.base, "HEAD")?,
            pids: processes.inside(&tree.path),
        })
    })
}

/// Branch and number of files from `git status --porcelain=v2 --branch -z`.
fn read_status(status: &[u8]) -> (Option<String>, usize) {
    let mut branch = None;
    let mut dirty = 0;
    let mut records = status.split(|byte| *byte == 0);
    while let Some(record) = records.next() {
        if let Some(head) = record.strip_prefix(b"# branch.head ") {
            let head = String::from_utf8_lossy(head);
            branch = (head != "(detached)").then(|| head.into_owned());
        } else if record.starts_with(b"2 ") {
            // A rename has its old path in a record of its own.
            records.next();
            dirty += 1;
        } else if !record.is_empty() && !record.starts_with(b"#") {
            dirty += 1;
        }
    }
    (branch, dirty)
}

fn ahead_behind(git: &Git, base: &str) -> Result<Option<(u32, u32)>, Error> {
    let range = format!("HEAD...{base}");
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
        assert_eq!(read_status(status), (Some("swarm/a".to_owned()), 3));
        assert_eq!(read_status(b"# branch.head (detached)\0"), (None, 0));
    }
}
