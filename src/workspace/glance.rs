//! How many trees stand, quickly and in this process, for those who look often.
//!
//! libgit2 compares what is in memory anyway; a process for each tree would cost more than all the
//! rest of a status. Where it does not do what git does (filters such as LFS, formats that it does
//! not open), git itself is asked.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository, Status, StatusOptions};

use super::fill::in_parallel;
use super::life::Processes;
use super::{Error, Git, Tree, list};
use crate::swarm;

/// How a tree stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    /// The branch that is checked out; none when detached.
    pub branch: Option<String>,
    /// Commits that the base does not have; none where unknown.
    pub ahead: Option<u64>,
    /// Commits of the base that it does not have; none where unknown.
    pub behind: Option<u64>,
    /// Files that differ from where it left the base; none where unknown.
    pub files: Option<u64>,
    /// Files that differ from its last commit.
    pub dirty: u64,
    /// Its last commit and the paths of these files; none where git was asked instead. A path that
    /// ends with a slash is a new directory.
    pub at: Option<(String, Vec<Vec<u8>>)>,
}

/// A glance at each tree, in order; what went wrong for those that could not be looked at.
pub fn glance(trees: &[Tree]) -> Vec<Result<Glance, Error>> {
    let all = in_parallel(trees.len(), |place| Ok(one(&trees[place])));
    all.unwrap_or_default()
}

/// The files of the checkout at `top` that differ from its last commit, with their paths.
pub fn changed(top: &Path) -> Result<Vec<PathBuf>, Error> {
    if let Ok(repository) = open(top) {
        let files = dirty(&repository).map_err(failed)?;
        return Ok(files.iter().map(|path| path_of(path)).collect());
    }
    let status = Git::at(top).bytes(&["status", "--porcelain", "-z", "--no-renames"])?;
    let records = status.split(|byte| *byte == 0).filter(|r| r.len() > 3);
    Ok(records.map(|record| path_of(&record[3..])).collect())
}

/// The commit that the checkout at `top` stands at, if libgit2 sees no difference to it; none if it
/// sees one, or cannot tell.
pub fn clean_at(top: &Path) -> Option<String> {
    let repository = open(top).ok()?;
    let head = repository.head().ok()?.peel_to_commit().ok()?.id();
    dirty(&repository)
        .ok()?
        .is_empty()
        .then(|| head.to_string())
}

/// The commits of a repository, as far as libgit2 can tell.
pub struct Commits(Option<Repository>);

impl Commits {
    /// Opens the repository.
    pub fn of(repository: &swarm::Repository) -> Commits {
        Commits(Repository::open(&repository.common_dir).ok())
    }

    /// The commit that a revision names, if it is there.
    pub fn at(&self, revision: &str) -> Option<String> {
        let found = self.0.as_ref()?.revparse_single(revision).ok()?;
        Some(found.peel_to_commit().ok()?.id().to_string())
    }
}

fn one(tree: &Tree) -> Result<Glance, Error> {
    match open(&tree.path) {
        Ok(repository) => look(&repository, tree).map_err(failed),
        Err(_) => by_git(tree),
    }
}

/// Opens a checkout, if libgit2 sees in it what git does.
fn open(top: &Path) -> Result<Repository, git2::Error> {
    let filtered = std::fs::read(top.join(".gitattributes"))
        .is_ok_and(|text| text.windows(7).any(|word| word == b"filter="));
    if filtered {
        return Err(git2::Error::from_str("it has filters"));
    }
    Repository::open(top)
}

fn look(repository: &Repository, tree: &Tree) -> Result<Glance, git2::Error> {
    let head = repository.head()?;
    let here = head.peel_to_commit()?.id();
    let base = repository.revparse_single(&tree.notes.base).ok();
    let base = base.and_then(|base| base.peel_to_commit().ok());
    let base = base.map(|base| base.id());
    let counted = base.and_then(|base| count(repository, here, base));
    let dirty = dirty(repository)?;
    Ok(Glance {
        branch: head
            .is_branch()
            .then(|| head.shorthand().map(str::to_owned).ok())
            .flatten(),
        ahead: counted.map(|(ahead, _)| ahead),
        behind: counted.map(|(_, behind)| behind),
        files: base.and_then(|base| differing(repository, here, base, &dirty)),
        dirty: dirty.len() as u64,
        at: Some((here.to_string(), dirty)),
    })
}

fn count(repository: &Repository, here: Oid, base: Oid) -> Option<(u64, u64)> {
    if here == base {
        return Some((0, 0));
    }
    let (ahead, behind) = repository.graph_ahead_behind(here, base).ok()?;
    Some((ahead as u64, behind as u64))
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

fn dirty(repository: &Repository) -> Result<Vec<Vec<u8>>, git2::Error> {
    let mut options = StatusOptions::new();
    options
        .include_untracked(true)
        .include_ignored(false)
        .update_index(false);
    let statuses = repository.statuses(Some(&mut options))?;
    let changed = statuses
        .iter()
        .filter(|entry| entry.status() != Status::CURRENT);
    Ok(changed.map(|entry| entry.path_bytes().to_vec()).collect())
}

/// How many files differ from where `here` left `base`, those that are not committed included.
fn differing(repository: &Repository, here: Oid, base: Oid, dirty: &[Vec<u8>]) -> Option<u64> {
    let left = match here == base {
        true => here,
        false => repository.merge_base(here, base).ok()?,
    };
    if left == here {
        return Some(dirty.len() as u64);
    }
    let tree = |commit| repository.find_commit(commit)?.tree();
    let (from, to) = (tree(left).ok()?, tree(here).ok()?);
    let diff = repository
        .diff_tree_to_tree(Some(&from), Some(&to), None)
        .ok()?;
    let mut files: std::collections::HashSet<Vec<u8>> = dirty.iter().cloned().collect();
    for delta in diff.deltas() {
        let file = [delta.new_file(), delta.old_file()];
        files.extend(
            file.iter()
                .find_map(|file| file.path_bytes().map(<[u8]>::to_vec)),
        );
    }
    Some(files.len() as u64)
}

/// The same by git, without the files of its commits.
fn by_git(tree: &Tree) -> Result<Glance, Error> {
    let facts = list::one(None, tree, &Processes::default())?;
    let counted = facts.ahead_behind;
    Ok(Glance {
        branch: facts.branch,
        ahead: counted.map(|(ahead, _)| u64::from(ahead)),
        behind: counted.map(|(_, behind)| u64::from(behind)),
        files: None,
        dirty: facts.dirty as u64,
        at: None,
    })
}

fn failed(error: git2::Error) -> Error {
    Error::Git {
        command: "status".to_owned(),
        said: error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_glance_counts_what_git_counts() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::at(dir.path());
        let run = |args: &[&str]| drop(git.bytes(args).unwrap());
        run(&["init", "-q", "-b", "main"]);
        run(&["config", "user.name", "a"]);
        run(&["config", "user.email", "a@example.org"]);
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("a", "1");
        write("b", "1");
        run(&["add", "."]);
        run(&["commit", "-qm", "one"]);
        run(&["checkout", "-qb", "work"]);
        write("a", "two");
        run(&["commit", "-qam", "two"]);
        run(&["checkout", "-q", "main"]);
        write("b", "three");
        run(&["commit", "-qam", "three"]);
        run(&["checkout", "-q", "work"]);
        write("a", "four");
        write("new", "x");

        let tree = Tree {
            path: dir.path().to_owned(),
            git_dir: dir.path().join(".git"),
            identity: crate::swarm::Identity {
                agent: "kiro-1".parse().unwrap(),
                slot: 1,
                epoch: 1,
                branch: None,
                base: None,
                colour: None,
                port_base: None,
                ports: None,
                created_at: None,
            },
            notes: super::super::tree::Notes {
                v: 1,
                base: "main".into(),
                tasks: vec![],
            },
        };
        let expected = Glance {
            branch: Some("work".into()),
            ahead: Some(1),
            behind: Some(1),
            files: Some(2),
            dirty: 2,
            at: Some((
                git.text(&["rev-parse", "HEAD"]).unwrap(),
                vec![b"a".to_vec(), b"new".to_vec()],
            )),
        };
        let index = fs::read(dir.path().join(".git/index")).unwrap();
        assert_eq!(one(&tree).unwrap(), expected);
        assert_eq!(fs::read(dir.path().join(".git/index")).unwrap(), index);
        let mut by_git = by_git(&tree).unwrap();
        (by_git.files, by_git.at) = (expected.files, expected.at.clone());
        assert_eq!(by_git, expected);
        let mut files = changed(dir.path()).unwrap();
        files.sort();
        assert_eq!(files, [PathBuf::from("a"), PathBuf::from("new")]);
        write(".gitattributes", "*.bin filter=lfs\n");
        assert_eq!(changed(dir.path()).unwrap().len(), 3);
        assert_eq!(one(&tree).unwrap().files, None);
    }
}
