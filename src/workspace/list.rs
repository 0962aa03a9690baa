//! How the trees stand: what git, the file system and the process table say, nothing guessed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use super::fill::in_parallel;
use super::git::checked;
use super::index::Index;
use super::landed::has_landed;
use super::life::Processes;
use super::scan::Look;
use super::{Error, Git, Tree, merge, scan};
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

/// The facts of each tree, in order, or why it cannot be looked at. Nothing is changed, fetched or
/// locked.
pub fn facts(root: &Root, trees: &[Tree]) -> Vec<Result<Facts, Error>> {
    let common = root.repository();
    let common = common.map(|repository| repository.common_dir.as_path());
    let processes = Processes::now();
    let all = in_parallel(trees.len(), |n| Ok(one(common, &trees[n], &processes)));
    all.unwrap_or_default()
}

/// The facts of one tree; without a repository, a clone is judged by what it knows itself.
pub(super) fn one(
    common: Option<&Path>,
    tree: &Tree,
    processes: &Processes,
) -> Result<Facts, Error> {
    let there = tree.path.is_dir();
    let (git, base, head) = point_of_view(common, tree)?;
    let quick = Refs::quickly(tree).filter(|_| there);
    let mut size = None;
    let (status, ahead_behind) = match quick {
        Some(refs) => {
            let look = scan::look(tree);
            size = look.as_ref().map(|look| tracked_size(&look.index));
            let status = Status {
                dirty: dirty(tree, look, &refs)?,
                head: Some(refs.head),
                branch: refs.branch,
            };
            (status, Some(refs.ahead_behind))
        }
        None => {
            let args = ["status", "--porcelain=v2", "--branch", "-z"];
            let status = match there {
                true => read_status(&tree.git().bytes(&args)?),
                false => Status {
                    branch: tree.identity.branch.clone(),
                    ..Status::default()
                },
            };
            (status, ahead_behind(&git, &base, &head)?)
        }
    };
    Ok(Facts {
        there,
        begun: there && status.head.is_some() && status.head != tree.identity.base,
        branch: status.branch,
        dirty: status.dirty,
        landed: matches!(ahead_behind, Some((0, _))) || has_landed(&git, &base, &head)?,
        ahead_behind,
        size: size.unwrap_or_else(|| {
            let index = Index::read(&tree.git_dir.join("index"));
            index.ok().flatten().as_ref().map_or(0, tracked_size)
        }),
        seen: seen(&tree.git_dir),
        pids: processes.inside(&tree.path),
    })
}

/// What a linked worktree has checked out and how that stands to its base, read in this process.
struct Refs {
    repository: git2::Repository,
    head: String,
    tree: String,
    branch: Option<String>,
    ahead_behind: (u32, u32),
}

impl Refs {
    /// None where that is not plain to see, or libgit2 does not open the repository.
    fn quickly(tree: &Tree) -> Option<Refs> {
        if tree.is_clone() {
            return None;
        }
        let repository = git2::Repository::open(&tree.path).ok()?;
        let head = repository.head().ok()?;
        let here = head.peel_to_commit().ok()?;
        let base = repository
            .revparse_single(&tree.notes.base)
            .and_then(|base| base.peel_to_commit())
            .ok()?
            .id();
        let (ahead, behind) = repository.graph_ahead_behind(here.id(), base).ok()?;
        let branch = head
            .is_branch()
            .then(|| head.shorthand().map(str::to_owned));
        let (id, tree) = (here.id().to_string(), here.tree_id().to_string());
        let branch = branch.transpose().ok()?;
        drop((here, head));
        Some(Refs {
            branch,
            head: id,
            tree,
            ahead_behind: (u32::try_from(ahead).ok()?, u32::try_from(behind).ok()?),
            repository,
        })
    }
}

/// Above this many paths git looks at the whole tree: a command line has an end.
const MANY: usize = 500;

/// How many files differ from the last commit: found by stat data, judged by git unless it is plain.
fn dirty(tree: &Tree, look: Option<Look>, refs: &Refs) -> Result<usize, Error> {
    let plain = look.as_ref();
    if let Some(count) = plain.and_then(|look| look.plain_count(&refs.repository, &refs.tree)) {
        return Ok(count);
    }
    let suspects = scan::suspects(tree, look, &refs.tree)?;
    if suspects.is_empty() {
        return Ok(0);
    }
    let args = ["status", "--porcelain=v2", "-z", "--"].map(OsStr::new);
    let narrow: &[Vec<u8>] = if suspects.len() <= MANY {
        &suspects
    } else {
        &[]
    };
    let paths = narrow.iter().map(|path| OsStr::from_bytes(path));
    let git = tree.git().literal();
    let output = git.command(args.into_iter().chain(paths)).output();
    let output = output.map_err(Error::at(&tree.path))?;
    Ok(read_status(&checked(&["status"], output)?).dirty)
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
        let base = merge::commit_of(&main, &base)?.unwrap_or(base);
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

fn tracked_size(index: &Index) -> u64 {
    let sizes = index.entries.iter().map(|entry| entry.stat.size);
    sizes.map(u64::from).sum()
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
