//! The end of a spawn: its marks go, or all that it made goes; also for one that was killed.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::journal::{self, Item, Phase, Record};
use super::{Error, Git, Tree, adopt, clone, environment, guard, reap};
use crate::event::{Event, What};
use crate::id::AgentName;
use crate::swarm::{Journal, Repository, Root, files};
use crate::theme::{Scheme, Worn};

/// Takes back, or completes, what killed spawns left; says what it did, a line each.
pub fn settle(root: &Root) -> Result<Vec<String>, Error> {
    let repository = root.repository().ok_or_else(Error::no_repository)?;
    if !repository.common_dir.join("spore").exists() {
        return Ok(Vec::new());
    }
    let _lock = journal::admin_lock(&repository.common_dir)?;
    settle_locked(root, repository)
}

/// The same under [`journal::admin_lock`].
pub(super) fn settle_locked(root: &Root, repository: &Repository) -> Result<Vec<String>, Error> {
    let mut said = reap::settle_locked(root, repository)?;
    if root.exists() {
        // Others write there too, without our lock.
        files::sweep(root.path(), Duration::from_secs(3600)).map_err(Error::at(root.path()))?;
    }
    let records = journal::records(&repository.common_dir)?;
    if records.iter().all(|(_, dead)| *dead) {
        // Nobody alive writes there but under the lock that we hold.
        let place = journal::place(&repository.common_dir);
        files::sweep(&place, Duration::ZERO).map_err(Error::at(place))?;
        let trees = root.worktrees();
        if trees.is_dir() {
            files::sweep(&trees, Duration::ZERO).map_err(Error::at(trees))?;
        }
    }
    for (record, dead) in records {
        if !dead {
            continue;
        }
        let names: Vec<&str> = record
            .items
            .iter()
            .map(|item| item.agent.as_str())
            .collect();
        let names = names.join(", ");
        match record.phase {
            Phase::Ready => {
                finish(root, repository, &record)?;
                said.push(format!("completed a spawn that was killed: {names}"));
            }
            Phase::Making => {
                take_back(repository, &record)?;
                said.push(format!("took back a spawn that was killed: {names}"));
            }
        }
    }
    Ok(said)
}

/// The marks of a spawn that is done go; the journal and the colour log hear of it. May be done
/// twice.
pub(super) fn finish(root: &Root, repository: &Repository, record: &Record) -> Result<(), Error> {
    for item in record.items.iter().filter(|item| item.adopted.is_none()) {
        if record.clones {
            clone::unmark(record, item)?;
        } else if let Some(git_dir) = entry_of(repository, record, item)? {
            journal::remove_file(&git_dir.join("locked"))?;
        }
    }
    let events = root.make_dir(&root.journal());
    events?;
    Journal::open(root)?.change(|state| {
        let missing = record.items.iter().filter(|item| {
            let known = state.agents.get(&item.agent);
            known.is_none_or(|known| known.epoch < item.epoch)
        });
        let events = missing.map(|item| Event {
            at: crate::swarm::journal::now(),
            correlation_id: record.tx.clone(),
            what: What::Joined {
                agent: item.agent.clone(),
                epoch: item.epoch,
            },
        });
        (events.collect(), ())
    })?;
    let mut lines = String::new();
    for tree in Tree::all(root)? {
        let agent = tree.identity.agent.as_str();
        if let Some(item) = record.items.iter().find(|item| item.agent == agent) {
            lines.push_str(&Scheme::of_slot(item.slot).log_record(&Worn {
                time: &crate::swarm::journal::now(),
                agent,
                worktree: Some(&tree.path.to_string_lossy()),
                branch: &item.branch,
                tasks: &tree.notes.tasks,
            }));
        }
    }
    environment::log_colours(root, &lines)?;
    record.remove(&repository.common_dir)
}

/// git's entry for an item, if it bears this spawn's mark.
fn entry_of(
    repository: &Repository,
    record: &Record,
    item: &Item,
) -> Result<Option<PathBuf>, Error> {
    let dirs = repository
        .git_dirs()
        .map_err(Error::at(&repository.common_dir))?;
    let mark = record.mark();
    Ok(dirs.into_iter().skip(1).find(|dir| {
        let locked = fs::read_to_string(dir.join("locked"));
        locked.is_ok_and(|reason| reason.trim() == mark)
            && super::tree::top_of(dir).as_deref() == Some(item.path.as_path())
    }))
}

/// Takes a spawn back, newest first: only what bears its mark, branches only where they still
/// stand where they were made.
pub(super) fn take_back(repository: &Repository, record: &Record) -> Result<(), Error> {
    let common = &repository.common_dir;
    let git = Git::at(common);
    let since = record.written(common)?;
    let mut deletes = String::new();
    for item in record.items.iter().rev() {
        if let Some(git_dir) = &item.adopted {
            adopt::take_back(git_dir)?;
            take_back_around(&record.root, item)?;
            continue;
        }
        if record.clones {
            clone::take_back(record, item)?;
            take_back_around(&record.root, item)?;
            continue;
        }
        journal::remove_tree(&record.entry_aside(common, item))?;
        let entry = entry_of(repository, record, item)?;
        if let Some(git_dir) = &entry {
            // The tree first, git's mark of it last: a kill in between is taken up again.
            let mut link = b"gitdir: ".to_vec();
            link.extend(git_dir.as_os_str().as_bytes());
            let there = fs::read(item.path.join(".git"));
            // Killed while that was written, it holds a part of it or nothing.
            let ours = |there: &Vec<u8>| link.starts_with(there.trim_ascii_end());
            if there.as_ref().is_ok_and(ours) {
                // Its .git goes last, so that a kill in the middle finds it again.
                empty_tree(&item.path)?;
                journal::remove_tree(&item.path)?;
            }
            journal::remove_tree(git_dir)?;
        }
        // Made, but without anything in it yet.
        drop(fs::remove_dir(&item.path));
        take_back_around(&record.root, item)?;
        let reference = format!("refs/heads/{}", item.branch);
        half_made_branch(common, record, &reference, since)?;
        let args = ["reflog", "show", "-n", "2", "--format=%H %gs", &reference];
        let made = format!("{} {}", record.base, record.mark());
        if git.ask(&args)?.is_some_and(|log| log == made) {
            deletes.push_str(&format!("delete {reference} {}\n", record.base));
        }
    }
    if !deletes.is_empty() {
        git.feed(&["update-ref", "--stdin"], deletes.as_bytes())?;
    }
    half_made_entries(common, record, since)?;
    // git keeps the directory of the last entry too.
    drop(fs::remove_dir(common.join("worktrees")));
    if record.switched {
        half_made_config(common, since)?;
        guard::unprepare(&git, common)?;
    }
    record.remove(common)
}

/// Whether a file or directory was last changed when the spawn was under way, or later.
fn is_of(path: &Path, since: SystemTime) -> bool {
    let changed = fs::symlink_metadata(path).and_then(|meta| meta.modified());
    changed.is_ok_and(|changed| changed >= since)
}

/// What a git that was killed while it made a branch left: its lock, and a reflog without a branch.
fn half_made_branch(
    common: &Path,
    record: &Record,
    reference: &str,
    since: SystemTime,
) -> Result<(), Error> {
    let lock = common.join(format!("{reference}.lock"));
    let id = format!("{}\n", record.base);
    let ours = |there: Vec<u8>| id.as_bytes().starts_with(&there);
    if is_of(&lock, since) && fs::read(&lock).is_ok_and(ours) {
        journal::remove_file(&lock)?;
    }
    let log = common.join("logs").join(reference);
    let git = Git::at(common);
    if is_of(&log, since) && git.ask(&["show-ref", "--verify", reference])?.is_none() {
        // One line, or the beginning of it.
        let said = fs::read_to_string(&log).unwrap_or_default();
        if !said.trim_end().contains('\n')
            && (said.contains(&record.mark()) || !said.ends_with('\n'))
        {
            journal::remove_file(&log)?;
        }
    }
    Ok(())
}

/// Entries that a killed `git worktree add` began: they lead to no tree yet.
fn half_made_entries(common: &Path, record: &Record, since: SystemTime) -> Result<(), Error> {
    let entries = fs::read_dir(common.join("worktrees"));
    for dir in entries.into_iter().flatten().flatten() {
        let dir = dir.path();
        let link = fs::read(dir.join("gitdir")).unwrap_or_default();
        let locked = fs::read_to_string(dir.join("locked")).unwrap_or_default();
        let ours = record.mark().starts_with(locked.trim_end());
        if is_of(&dir, since) && ours && !link.ends_with(b"\n") {
            journal::remove_tree(&dir)?;
        }
    }
    Ok(())
}

/// The lock that a killed `git config` of ours left. A living one holds it for a moment only.
fn half_made_config(common: &Path, since: SystemTime) -> Result<(), Error> {
    let lock = common.join("config.lock");
    if is_of(&lock, since) {
        std::thread::sleep(Duration::from_secs(1));
        if is_of(&lock, since) {
            journal::remove_file(&lock)?;
        }
    }
    Ok(())
}

/// Everything in a tree but its `.git`.
fn empty_tree(top: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(top).map_err(Error::at(top))? {
        let entry = entry.map_err(Error::at(top))?;
        if entry.file_name() == ".git" {
            continue;
        }
        if entry.file_type().map_err(Error::at(entry.path()))?.is_dir() {
            journal::remove_tree(&entry.path())?;
        } else {
            journal::remove_file(&entry.path())?;
        }
    }
    Ok(())
}

/// Mailbox, window and temporary files of an agent that never began.
fn take_back_around(root: &Path, item: &Item) -> Result<(), Error> {
    let Ok(agent) = item.agent.parse::<AgentName>() else {
        return Ok(());
    };
    journal::remove_file(&root.join(format!("wt/{agent}.code-workspace")))?;
    journal::remove_tree(&root.join("tmp").join(agent.as_str()))?;
    // What the room `spool` was making when it was killed; no agent can have such a name.
    let half_made = format!(".making-{agent}.");
    for entry in fs::read_dir(root.join("mail"))
        .into_iter()
        .flatten()
        .flatten()
    {
        if item.mailbox && entry.file_name().to_string_lossy().starts_with(&half_made) {
            journal::remove_tree(&entry.path())?;
        }
    }
    let mailbox = root.join("mail").join(agent.as_str());
    if item.mailbox && is_unused(&mailbox) {
        journal::remove_tree(&mailbox)?;
    }
    Ok(())
}

/// Whether no message ever came: directories for them may be there.
fn is_unused(mailbox: &Path) -> bool {
    ["tmp", "new", "cur", "done", "dead"].iter().all(|part| {
        let below = walkdir::WalkDir::new(mailbox.join(part)).into_iter();
        below.flatten().all(|entry| entry.file_type().is_dir())
    })
}
