//! What happened to a tree between two moments: commits, files, work that is not committed; and how
//! to commit what somebody left.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Error, Git, Tree, glance, reap};

/// How a tree stood at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// The commit it stood at; none before the first.
    pub head: Option<String>,
    /// What was not committed, with size and time of each file.
    loose: Vec<Loose>,
    /// Beginnings of the names of untracked files at the top that are nobody's work.
    litter: &'static [&'static str],
}

/// A file with work that is not committed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Loose {
    /// What git says about it, and its path.
    entry: Vec<u8>,
    /// Size, modification time.
    stamp: (u64, i64, i64),
}

/// What happened since a mark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The commit that the tree stands at now.
    pub head: Option<String>,
    /// Commits that the one before did not have.
    pub commits: u32,
    /// Files that differ between the two.
    pub files: u32,
    /// Lines added.
    pub insertions: u64,
    /// Lines taken away.
    pub deletions: u64,
    /// Files with work that is not committed.
    pub uncommitted: u32,
    /// Whether those, or their content, are others than before.
    pub touched: bool,
    /// The paths of what is not committed, at most a hundred.
    pub loose: Vec<String>,
    /// What git is in the middle of.
    pub operation: Option<&'static str>,
}

impl Mark {
    /// How the tree stands now; untracked files at its top whose names begin with one of `litter`
    /// are nobody's work.
    pub fn of(tree: &Tree, litter: &'static [&'static str]) -> Result<Mark, Error> {
        let (head, loose) = stand(tree, litter)?;
        Ok(Mark {
            head,
            loose,
            litter,
        })
    }

    /// The same from a commit that was noted, for a tree that nobody marked otherwise.
    pub fn at(head: Option<String>) -> Mark {
        Mark {
            head,
            ..Mark::default()
        }
    }

    /// What happened since.
    pub fn since(&self, tree: &Tree) -> Result<Progress, Error> {
        let git = tree.git();
        let (head, loose) = stand(tree, self.litter)?;
        let mut progress = Progress {
            uncommitted: u32::try_from(loose.len()).unwrap_or(u32::MAX),
            touched: loose != self.loose,
            loose: loose.iter().take(100).map(Loose::path).collect(),
            operation: reap::operation(&tree.git_dir),
            ..Progress::default()
        };
        if head != self.head
            && let Some(now) = &head
        {
            let before = self.head.as_deref();
            progress.commits = commits(&git, before, now)?;
            differences(&git, before, now, &mut progress)?;
        }
        progress.head = head;
        Ok(progress)
    }
}

impl Loose {
    /// The path, after the fields of a record of `git status --porcelain`.
    fn path(&self) -> String {
        String::from_utf8_lossy(self.entry.get(3..).unwrap_or_default()).into_owned()
    }
}

/// The commit that a tree stands at, and everything that is not committed. The usual case, that there
/// is nothing, takes no process.
fn stand(tree: &Tree, litter: &[&str]) -> Result<(Option<String>, Vec<Loose>), Error> {
    if let Some(head) = glance::clean_at(&tree.path) {
        return Ok((Some(head), Vec::new()));
    }
    let git = tree.git();
    let mut loose = loose(&git, &tree.path)?;
    loose.retain(|file| {
        let is_litter = |name: &&str| file.path().starts_with(*name);
        !(file.entry.starts_with(b"??") && litter.iter().any(is_litter))
    });
    Ok((head(&git)?, loose))
}

fn head(git: &Git) -> Result<Option<String>, Error> {
    git.ask(&["rev-parse", "-q", "--verify", "HEAD^{commit}"])
}

/// Everything that is not committed, untracked files one by one.
fn loose(git: &Git, top: &Path) -> Result<Vec<Loose>, Error> {
    let status = git.bytes(&["status", "--porcelain", "-z", "--untracked-files=all"])?;
    let mut found = Vec::new();
    let mut records = status.split(|byte| *byte == 0);
    while let Some(record) = records.next() {
        if record.len() < 4 {
            continue;
        }
        if matches!(record[0], b'R' | b'C') {
            // The old path of a rename has a record of its own.
            records.next();
        }
        let path = top.join(std::ffi::OsStr::from_bytes(&record[3..]));
        let stamp = fs::symlink_metadata(path).map_or((0, 0, 0), |meta| {
            (meta.size(), meta.mtime(), meta.mtime_nsec())
        });
        found.push(Loose {
            entry: record.to_vec(),
            stamp,
        });
    }
    Ok(found)
}

fn commits(git: &Git, before: Option<&str>, now: &str) -> Result<u32, Error> {
    let mut args = vec!["rev-list", "--count", now];
    let not = before.map(|before| format!("^{before}"));
    args.extend(not.as_deref());
    args.push("--");
    Ok(git.text(&args)?.parse().unwrap_or(0))
}

/// Counts files and lines that differ.
fn differences(
    git: &Git,
    before: Option<&str>,
    now: &str,
    progress: &mut Progress,
) -> Result<(), Error> {
    let empty;
    let before = match before {
        Some(before) => before,
        None => {
            empty = String::from_utf8_lossy(&git.feed(&["mktree"], b"")?)
                .trim()
                .to_owned();
            &empty
        }
    };
    let args = [
        "diff",
        "--numstat",
        "--no-renames",
        "--no-ext-diff",
        before,
        now,
        "--",
    ];
    for line in git.text(&args)?.lines() {
        let mut numbers = line.split('\t');
        // A binary file has dashes.
        let mut next = || numbers.next().and_then(|n| n.parse::<u64>().ok());
        progress.insertions += next().unwrap_or(0);
        progress.deletions += next().unwrap_or(0);
        progress.files += 1;
    }
    Ok(())
}

/// Commits everything that is not committed, new files included, with `message`, but for what the
/// mark takes for litter; gives the commit,
/// or none when there was nothing. Hooks do not run: what was left is kept as it is.
///
/// # Errors
/// [`Error::Refused`] in the middle of a merge or rebase.
pub fn harvest(tree: &Tree, mark: &Mark, message: &str) -> Result<Option<String>, Error> {
    if let Some(operation) = reap::operation(&tree.git_dir) {
        return Err(Error::Refused {
            what: format!("a {operation} is under way in {:?}", tree.path),
            hint: format!("git {operation} --continue or --abort there"),
        });
    }
    let git = tree.git();
    let litter: Vec<String> = mark
        .litter
        .iter()
        .map(|name| format!(":(top,exclude){name}*"))
        .collect();
    let mut add = vec![
        "-c",
        "advice.addEmbeddedRepo=false",
        "add",
        "-A",
        "--",
        ":/",
    ];
    add.extend(litter.iter().map(String::as_str));
    git.bytes(&add)?;
    let nothing = git.output(&["diff", "--cached", "--quiet"])?;
    if nothing.status.success() {
        return Ok(None);
    }
    let named = git.ask(&["var", "GIT_COMMITTER_IDENT"])?.is_some();
    let args = [
        "-c",
        "commit.gpgSign=false",
        "-c",
        "gc.auto=0",
        "commit",
        "--quiet",
        "--no-verify",
        "-m",
        message,
    ];
    let signed = match named {
        true => git.clone(),
        false => git
            .with("GIT_AUTHOR_NAME", "sporekit")
            .with("GIT_AUTHOR_EMAIL", "sporekit@localhost")
            .with("GIT_COMMITTER_NAME", "sporekit")
            .with("GIT_COMMITTER_EMAIL", "sporekit@localhost"),
    };
    signed.bytes(&args)?;
    head(&git)
}
