//! Saving everything in a tree under a ref, and removing what is finished.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Error, Git, Tree, environment, journal, list, spawn};
use crate::event::{Event, What};
use crate::swarm::{Config, Journal, Repository, Root};
use crate::theme::{Scheme, Worn};

/// Directories whose content can be made again, by the names that tools give them; one with a
/// `CACHEDIR.TAG` counts too (bford.info/cachedir).
pub const CACHES: &[&str] = &[
    "target",
    "node_modules",
    ".venv",
    "venv",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".gradle",
    ".next",
    ".nuxt",
    ".turbo",
    ".parcel-cache",
    ".terraform",
    "dist",
    "build",
    ".cache",
    "_build",
    ".dart_tool",
    "Pods",
    "DerivedData",
    "zig-cache",
];

/// What was saved of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The ref that holds it.
    pub reference: String,
    /// The commit that it names.
    pub commit: String,
    /// How many files differ from the last commit, new ones included.
    pub files: usize,
}

/// What is to be allowed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// Trees that are locked or hold work that is not landed.
    pub force: bool,
    /// Trees in which a process lives.
    pub alive: bool,
}

/// What stands against removing a tree; all of it, or none.
pub fn objections(
    root: &Root,
    tree: &Tree,
    facts: &list::Facts,
    allowed: Allowed,
) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    if !facts.pids.is_empty() && !allowed.alive {
        let pids: Vec<String> = facts.pids.iter().map(u32::to_string).collect();
        found.push((
            format!("alive: process {} is in it", pids.join(", ")),
            "--alive",
        ));
    }
    if let Some(reason) = tree.locked().filter(|_| !allowed.force) {
        found.push((format!("locked: {reason}"), "--force"));
    }
    if let Some(operation) = operation(&tree.git_dir).filter(|_| !allowed.force) {
        found.push((format!("a {operation} is under way in it"), "--force"));
    }
    if !facts.landed && !allowed.force {
        found.push((format!("not landed in {}", tree.notes.base), "--force"));
    }
    if facts.dirty > 0 && !allowed.force {
        found.push((
            format!("{} files are not committed", facts.dirty),
            "--force",
        ));
    }
    let _ = root;
    found
}

/// What git is in the middle of, in that tree.
fn operation(git_dir: &Path) -> Option<&'static str> {
    [
        ("MERGE_HEAD", "merge"),
        ("rebase-merge", "rebase"),
        ("rebase-apply", "rebase"),
        ("CHERRY_PICK_HEAD", "cherry-pick"),
        ("REVERT_HEAD", "revert"),
        ("BISECT_LOG", "bisect"),
    ]
    .into_iter()
    .find(|(file, _)| git_dir.join(file).exists())
    .map(|(_, name)| name)
}

/// Saves the commits, the tracked and untracked files of a tree, and the ignored ones that cannot
/// be made again, under `refs/spore/salvage/AGENT/N`. Nothing in the tree changes; a leftover
/// `index.lock` is no hindrance.
///
/// # Errors
/// [`Error::Refused`] for a repository inside the tree that is no submodule: its content could not
/// be saved here.
pub fn save(root: &Root, tree: &Tree, keep: &[String]) -> Result<Saved, Error> {
    let git = tree.git();
    let agent = tree.identity.agent.as_str();
    let head = git.ask(&["rev-parse", "-q", "--verify", "HEAD^{commit}"])?;
    let scratch = tree
        .git_dir
        .join(format!("spore/salvage-{}", std::process::id()));
    let index = tree.git_dir.join("index");
    journal::remove_file(&scratch)?;
    if index.exists() {
        fs::copy(&index, &scratch).map_err(Error::at(&index))?;
    }
    let aside = git.with_index(&scratch);
    let written = (|| {
        let staged = aside.ask(&["write-tree"])?;
        aside.bytes(&["-c", "advice.addEmbeddedRepo=false", "add", "-A", "--", "."])?;
        let ignored = ignored_work(root, tree, keep)?;
        if !ignored.is_empty() {
            let args = ["update-index", "--add", "-z", "--stdin"];
            aside.feed(&args, &ignored.join(&0))?;
        }
        refuse_embedded(&aside, tree, head.as_deref())?;
        Ok::<_, Error>((staged, aside.text(&["write-tree"])?))
    })();
    journal::remove_file(&scratch)?;
    journal::remove_file(&scratch.with_extension("lock"))?;
    let (staged, whole) = written?;
    let head_tree = match &head {
        Some(head) => Some(git.text(&["rev-parse", &format!("{head}^{{tree}}")])?),
        None => None,
    };
    let say = format!("salvage of {agent}");
    let mut commit = match &head {
        Some(head) if head_tree.as_ref() == Some(&whole) => head.clone(),
        _ => commit(&git, &whole, head.as_deref(), None, &say)?,
    };
    let files = match &head {
        Some(head) if *head != commit => {
            count(&git.bytes(&["diff", "--name-only", "-z", head, &commit])?)
        }
        _ => 0,
    };
    // Staged content that the file no longer has is work too.
    if let Some(staged) =
        staged.filter(|staged| *staged != whole && Some(staged) != head_tree.as_ref())
    {
        let second = self::commit(
            &git,
            &staged,
            head.as_deref(),
            None,
            &format!("{say}: staged"),
        )?;
        commit = self::commit(&git, &whole, head.as_deref(), Some(&second), &say)?;
    }
    let reference = name_it(&git, agent, &commit)?;
    Ok(Saved {
        reference,
        commit,
        files,
    })
}

fn count(names: &[u8]) -> usize {
    names.iter().filter(|byte| **byte == 0).count()
}

fn commit(
    git: &Git,
    tree: &str,
    parent: Option<&str>,
    second: Option<&str>,
    say: &str,
) -> Result<String, Error> {
    let mut args = vec!["-c", "commit.gpgSign=false", "commit-tree", tree, "-m", say];
    for parent in [parent, second].into_iter().flatten() {
        args.extend(["-p", parent]);
    }
    let output = git
        .command(&args)
        .env("GIT_AUTHOR_NAME", "sporekit")
        .env("GIT_AUTHOR_EMAIL", "sporekit@localhost")
        .env("GIT_COMMITTER_NAME", "sporekit")
        .env("GIT_COMMITTER_EMAIL", "sporekit@localhost")
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => Err(Error::Git {
            command: args.join(" "),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
        Err(error) => Err(Error::at("git")(error)),
    }
}

/// Gives the commit the next free number; one that has a number already keeps it.
fn name_it(git: &Git, agent: &str, commit: &str) -> Result<String, Error> {
    let prefix = format!("refs/spore/salvage/{agent}/");
    for _ in 0..100 {
        let there = git.text(&["for-each-ref", "--format=%(refname) %(objectname)", &prefix])?;
        if let Some(known) = there.lines().find_map(|line| {
            line.split_once(' ')
                .filter(|(_, oid)| *oid == commit)
                .map(|(name, _)| name.to_owned())
        }) {
            return Ok(known);
        }
        let numbers = there.lines().filter_map(|line| {
            line.strip_prefix(&prefix)?
                .split(' ')
                .next()?
                .parse::<u32>()
                .ok()
        });
        let reference = format!("{prefix}{}", numbers.max().unwrap_or(0) + 1);
        // Made only if nobody was quicker.
        let line = format!("create {reference} {commit}\n");
        if git
            .feed(&["update-ref", "--stdin"], line.as_bytes())
            .is_ok()
        {
            return Ok(reference);
        }
    }
    Err(Error::Git {
        command: "update-ref".to_owned(),
        said: format!("no free number under {prefix}"),
    })
}

/// Refuses repositories inside the tree that git would store as a mere commit id.
fn refuse_embedded(aside: &Git, tree: &Tree, head: Option<&str>) -> Result<(), Error> {
    let staged = aside.bytes(&["ls-files", "-s", "-z"])?;
    for entry in staged
        .split(|byte| *byte == 0)
        .filter(|e| e.starts_with(b"160000 "))
    {
        let path = entry
            .splitn(2, |byte| *byte == b'\t')
            .nth(1)
            .unwrap_or_default();
        let path = std::ffi::OsStr::from_bytes(path);
        let inside = tree.path.join(path);
        let module = Git::at(&inside);
        let known = head.is_some_and(|_| {
            tree.git()
                .bytes(&["ls-tree", "HEAD", "--", &path.to_string_lossy()])
                .is_ok_and(|line| line.starts_with(b"160000 "))
        });
        if !inside.join(".git").exists() {
            continue;
        }
        let clean = module
            .ask(&["status", "--porcelain"])?
            .is_some_and(|s| s.is_empty());
        let safe = module.ask(&["rev-list", "-n", "1", "HEAD", "--not", "--remotes"])?;
        if !(known && clean && safe.is_some_and(|commit| commit.is_empty())) {
            return Err(Error::Refused {
                what: format!(
                    "{:?} is a repository of its own with work that cannot be saved here",
                    inside
                ),
                hint: "push or move it first".to_owned(),
            });
        }
    }
    Ok(())
}

/// Ignored files that are work: those that `keep` names, and all that are not in a cache and not
/// the same as in the main checkout.
fn ignored_work(root: &Root, tree: &Tree, keep: &[String]) -> Result<Vec<Vec<u8>>, Error> {
    let git = tree.git();
    let listed = git.bytes(&[
        "ls-files",
        "-z",
        "--others",
        "--ignored",
        "--exclude-standard",
    ])?;
    let mut found: Vec<Vec<u8>> = Vec::new();
    let main = root
        .repository()
        .map(|repository| repository.common_dir.clone())
        .filter(|common| common.ends_with(".git"))
        .and_then(|common| common.parent().map(Path::to_owned));
    for path in listed
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
    {
        let relative = Path::new(std::ffi::OsStr::from_bytes(path));
        let same = main
            .as_ref()
            .is_some_and(|main| is_same(&main.join(relative), &tree.path.join(relative)));
        if !same && !in_cache(&tree.path, relative) {
            found.push(path.to_vec());
        }
    }
    for pattern in keep {
        let pattern = format!("--exclude={pattern}");
        let listed = git.bytes(&["ls-files", "-z", "--others", "--ignored", &pattern])?;
        for path in listed
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty())
        {
            if !found.iter().any(|known| known == path) {
                found.push(path.to_vec());
            }
        }
    }
    Ok(found)
}

fn is_same(a: &Path, b: &Path) -> bool {
    let lengths = (fs::metadata(a), fs::metadata(b));
    let (Ok(a_is), Ok(b_is)) = lengths else {
        return false;
    };
    let same_length = a_is.is_file() && b_is.is_file() && a_is.len() == b_is.len();
    same_length && fs::read(a).is_ok_and(|a| fs::read(b).is_ok_and(|b| a == b))
}

/// Whether one of the directories above is a cache.
fn in_cache(top: &Path, path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .filter(|dir| !dir.as_os_str().is_empty())
        .any(|dir| {
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            CACHES.contains(&name.as_ref()) || top.join(dir).join("CACHEDIR.TAG").exists()
        })
}

/// Removes a tree that was saved: directory, git's entry, the branch where it is landed, and what
/// stood around it. The mailbox stays: there may be mail in it.
pub fn remove(root: &Root, tree: &Tree, landed: bool) -> Result<bool, Error> {
    let repository = root
        .repository()
        .ok_or_else(|| Error::Plan(vec!["no repository".to_owned()]))?;
    let _lock = journal::admin_lock(&repository.common_dir)?;
    let agent = tree.identity.agent.as_str();
    let names_us = super::tree::top_of(&tree.git_dir).as_deref() == Some(tree.path.as_path());
    if !names_us {
        return Err(Error::Refused {
            what: format!("{:?} is no longer the tree of {agent:?}", tree.path),
            hint: "git worktree repair".to_owned(),
        });
    }
    let head = tree
        .git()
        .ask(&["rev-parse", "-q", "--verify", "HEAD^{commit}"])?;
    // Gone from sight in one step; the slow part comes after.
    let trash = root
        .worktrees()
        .join(format!(".reaped-{}", uuid::Uuid::now_v7()));
    match fs::rename(&tree.path, &trash) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::at(&tree.path)(error)),
    }
    journal::remove_tree(&tree.git_dir)?;
    drop(fs::remove_dir(repository.common_dir.join("worktrees")));
    let gone = landed && delete_branch(repository, tree, head.as_deref())?;
    journal::remove_file(&environment::window(root, agent))?;
    journal::remove_tree(&environment::temporary(root, agent))?;
    journal::remove_tree(&trash)?;
    note_left(root, tree)?;
    Ok(gone)
}

/// Deletes the branch if it still stands where the tree stood.
fn delete_branch(repository: &Repository, tree: &Tree, head: Option<&str>) -> Result<bool, Error> {
    let (Some(branch), Some(head)) = (&tree.identity.branch, head) else {
        return Ok(false);
    };
    let line = format!("delete refs/heads/{branch} {head}\n");
    let git = Git::at(&repository.common_dir);
    Ok(git
        .feed(&["update-ref", "--stdin"], line.as_bytes())
        .is_ok())
}

fn note_left(root: &Root, tree: &Tree) -> Result<(), Error> {
    let agent = tree.identity.agent.as_str();
    root.make_dir(&root.journal())?;
    Journal::open(root)?.change(|_| {
        let event = Event {
            at: crate::swarm::journal::now(),
            correlation_id: uuid::Uuid::new_v4().to_string(),
            what: What::Left {
                agent: agent.to_owned(),
                epoch: tree.identity.epoch,
                why: Some("reaped".to_owned()),
            },
        };
        (vec![event], ())
    })?;
    let line = Scheme::of_slot(tree.identity.slot).log_record(&Worn {
        time: &crate::swarm::journal::now(),
        agent,
        worktree: None,
        branch: tree.identity.branch.as_deref().unwrap_or_default(),
        tasks: &tree.notes.tasks,
    });
    spawn::log_colours(root, &line)
}

/// Finishes removals that were killed half-way: directories that were taken out of sight.
pub fn sweep(root: &Root) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(root.worktrees()) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(".reaped-") {
            journal::remove_tree(&entry.path())?;
        }
    }
    Ok(())
}

/// Brings saved work back: a new branch at what `reference` holds. Gives its name.
///
/// # Errors
/// [`Error::Unknown`] with what there is.
pub fn restore(root: &Root, reference: &str) -> Result<(String, String), Error> {
    let repository = root
        .repository()
        .ok_or_else(|| Error::Plan(vec!["no repository".to_owned()]))?;
    let git = Git::at(&repository.common_dir);
    let all = git.text(&["for-each-ref", "--format=%(refname)", "refs/spore/salvage"])?;
    let full = match reference.strip_prefix("refs/") {
        Some(_) => reference.to_owned(),
        None => format!("refs/spore/salvage/{reference}"),
    };
    if !all.lines().any(|name| name == full) {
        return Err(Error::Unknown {
            name: reference.to_owned(),
            nearest: all.lines().map(str::to_owned).take(20).collect(),
        });
    }
    let short = full.trim_start_matches("refs/spore/salvage/").to_owned();
    let commit = git.text(&["rev-parse", &format!("{full}^{{commit}}")])?;
    for n in 0..100 {
        let branch = match n {
            0 => format!("restored/{short}"),
            n => format!("restored/{short}-{n}"),
        };
        let line = format!("create refs/heads/{branch} {commit}\n");
        if git
            .feed(&["update-ref", "--stdin"], line.as_bytes())
            .is_ok()
        {
            return Ok((branch, commit));
        }
    }
    Err(Error::Taken(vec![format!(
        "branches restored/{short} to restored/{short}-99 exist"
    )]))
}

/// A cache directory of a tree, with its size in bytes and when it was last used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes, as stored.
    pub bytes: u64,
}

/// The caches at the top of a tree that git ignores.
pub fn caches(tree: &Tree) -> Result<Vec<Cache>, Error> {
    let listed = tree.git().bytes(&[
        "ls-files",
        "-z",
        "--others",
        "--ignored",
        "--exclude-standard",
        "--directory",
    ])?;
    let mut found = Vec::new();
    for path in listed
        .split(|byte| *byte == 0)
        .filter(|path| path.ends_with(b"/"))
    {
        let relative = Path::new(std::ffi::OsStr::from_bytes(path));
        let inside = relative.join("x");
        if in_cache(&tree.path, &inside) {
            let path = tree.path.join(relative);
            found.push(Cache {
                bytes: size(&path),
                path,
            });
        }
    }
    Ok(found)
}

/// What the files below take on disk.
pub fn size(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    walkdir::WalkDir::new(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.blocks() * 512)
        .sum()
}

/// Everything that `swarm.toml` says is work though git ignores it.
pub fn kept(config: &Config) -> &[String] {
    &config.worktree.keep_ignored
}
