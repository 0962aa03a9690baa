//! Removing trees that are finished: saved first, refused where somebody or something stands against
//! it, taken up again where a removal was killed. The page of the room tells the states.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use super::life::{self, Processes};
use super::salvage::{self, Saved};
use super::{Error, Git, Tree, environment, journal, landed, list, merge};
use crate::event::{Event, Phase, State, What};
use crate::spool::{self, Host, Receiver, Spool};
use crate::swarm::{Journal, Repository, Root, files};
use crate::theme::{Scheme, Worn};

/// How long processes are given to end before they are killed, and then to be gone.
const GRACE: Duration = Duration::from_secs(5);

/// Something that stands against removing a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// Processes live in it.
    Alive(Vec<u32>),
    /// Its agent holds tasks by claims that are not over.
    Holds(Vec<String>),
    /// git was told to keep it.
    Locked(String),
    /// git is in the middle of something.
    UnderWay(&'static str),
    /// Its branch has not landed there.
    Unlanded(String),
    /// So many files are not committed.
    Uncommitted(usize),
}

impl Objection {
    /// The flag that sets it aside.
    pub fn flag(&self) -> &'static str {
        match self {
            Objection::Alive(_) | Objection::Holds(_) => "--alive",
            _ => "--force",
        }
    }
}

impl std::fmt::Display for Objection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Objection::Alive(pids) => {
                let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
                write!(f, "alive: process {} is in it", pids.join(", "))
            }
            Objection::Holds(tasks) => write!(f, "alive: it holds task {}", tasks.join(", ")),
            Objection::Locked(reason) if reason.is_empty() => f.write_str("locked"),
            Objection::Locked(reason) => write!(f, "locked: {reason}"),
            Objection::UnderWay(what) => write!(f, "a {what} is under way in it"),
            Objection::Unlanded(base) => write!(f, "not landed in {base}"),
            Objection::Uncommitted(1) => f.write_str("1 file is not committed"),
            Objection::Uncommitted(n) => write!(f, "{n} files are not committed"),
        }
    }
}

/// All that stands against removing a tree; nothing if it may go.
pub fn objections(tree: &Tree, facts: &list::Facts, state: &State) -> Vec<Objection> {
    let mut found = Vec::new();
    if !facts.pids.is_empty() {
        found.push(Objection::Alive(facts.pids.clone()));
    }
    let held = life::claims(state, tree.identity.agent.as_str());
    if !held.is_empty() {
        found.push(Objection::Holds(held));
    }
    found.extend(tree.locked().map(Objection::Locked));
    found.extend(operation(&tree.git_dir).map(Objection::UnderWay));
    if !facts.landed {
        found.push(Objection::Unlanded(tree.notes.base.clone()));
    }
    if facts.dirty > 0 {
        found.push(Objection::Uncommitted(facts.dirty));
    }
    found
}

/// What git is in the middle of, in that tree.
pub fn operation(git_dir: &Path) -> Option<&'static str> {
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

/// Which trees are meant, apart from those that are named.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which {
    /// Whose tasks are all done.
    pub done: bool,
    /// Whose agent lived and is gone.
    pub dead: bool,
    /// Whose branch has landed.
    pub landed: bool,
}

/// How long an agent of which nothing else is known may be silent before it counts as dead.
pub const SILENCE: Duration = Duration::from_secs(3600);

impl Which {
    /// Whether this tree is meant.
    ///
    /// *Done*: the agent has no task in hand, and all that it was given are done; where none are
    /// known, it has done one at least. *Dead*: nobody is in it and no claim holds, and either a
    /// claim of it ended without a word, or git wrote nothing there for an hour. *Landed*: something
    /// was committed there, and its base has all of it; a tree in which nothing has happened yet is
    /// not landed.
    pub fn means(self, tree: &Tree, facts: &list::Facts, state: &State) -> bool {
        let agent = tree.identity.agent.as_str();
        let held = !life::claims(state, agent).is_empty();
        let is_done = |task: &String| {
            let known = state.tasks.get(task);
            known.is_some_and(|known| matches!(known.phase, Phase::Done { .. }))
        };
        let did_one = || {
            let by = |phase: &Phase| matches!(phase, Phase::Done { agent: by, .. } if by == agent);
            state.tasks.values().any(|task| by(&task.phase))
        };
        let done = || match tree.notes.tasks.is_empty() {
            true => did_one(),
            false => tree.notes.tasks.iter().all(is_done),
        };
        let lost_claim = || {
            let by =
                |phase: &Phase| matches!(phase, Phase::Claimed { agent: by, .. } if by == agent);
            state.tasks.values().any(|task| by(&task.phase))
        };
        let silent = || {
            let age = facts.seen.and_then(|seen| seen.elapsed().ok());
            age.is_some_and(|age| age > SILENCE)
        };
        let dead = || facts.pids.is_empty() && (lost_claim() || silent());
        (self.done && !held && done())
            || (self.dead && !held && dead())
            || (self.landed && facts.begun && facts.landed)
    }
}

/// What became of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaped {
    /// Where its content is.
    pub saved: Saved,
    /// Whether its branch was removed too.
    pub branch_gone: bool,
    /// Messages that wait in its mailbox, which therefore stays.
    pub unread: usize,
}

/// A removal under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    v: u32,
    agent: String,
    slot: u32,
    epoch: u64,
    branch: Option<String>,
    base: String,
    path: PathBuf,
    git_dir: PathBuf,
    trash: PathBuf,
    tasks: Vec<String>,
    keep: Vec<String>,
    checked: bool,
}

/// Saves a tree, then removes it: directory, git's entry, its branch where that has landed, window,
/// temporary files, claims, and the mailbox where nothing waits in it. With `end`, processes that
/// live there are ended first.
///
/// # Errors
/// [`Error::Refused`] where somebody came to live there meanwhile, or sits there at a terminal;
/// the tree is as it was.
pub fn reap(root: &Root, tree: &Tree, keep: &[String], end: bool) -> Result<Reaped, Error> {
    let repository = root.repository().ok_or_else(Error::no_repository)?;
    let _lock = journal::admin_lock(&repository.common_dir)?;
    if !tree.is_clone()
        && super::tree::top_of(&tree.git_dir).as_deref() != Some(tree.path.as_path())
    {
        return Err(Error::Refused {
            what: format!(
                "{:?} is no longer the tree of {:?}",
                tree.path,
                tree.identity.agent.as_str()
            ),
            hint: "git worktree repair".to_owned(),
        });
    }
    if end {
        end_all(tree)?;
    }
    let saved = salvage::save(root, tree, keep)?;
    let id = uuid::Uuid::now_v7();
    let mut record = Record {
        v: 1,
        agent: tree.identity.agent.to_string(),
        slot: tree.identity.slot,
        epoch: tree.identity.epoch,
        branch: tree.identity.branch.clone(),
        base: tree.notes.base.clone(),
        path: tree.path.clone(),
        git_dir: tree.git_dir.clone(),
        trash: tree.path.with_file_name(format!(".reaped-{id}")),
        tasks: tree.notes.tasks.clone(),
        keep: keep.to_vec(),
        checked: false,
    };
    let file = place(&repository.common_dir).join(format!("{id}.json"));
    let dir = place(&repository.common_dir);
    files::make_dirs(&dir).map_err(Error::at(&dir))?;
    record.write(&file)?;
    match fs::rename(&tree.path, &record.trash) {
        Ok(()) => {}
        // Somebody removed the directory by hand: what is left are the marks.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            journal::remove_file(&file)?;
            return Err(Error::at(&tree.path)(error));
        }
    }
    let pids = Processes::now().inside(&record.trash);
    if !pids.is_empty() {
        record.put_back(&file)?;
        return Err(Error::Refused {
            what: format!("{:?}: {}", record.agent, Objection::Alive(pids)),
            hint: "--alive".to_owned(),
        });
    }
    let late = match record.check(root, &file) {
        Ok(late) => late,
        Err(error) => {
            record.put_back(&file)?;
            return Err(error);
        }
    };
    let (branch_gone, unread) = record.finish(root, repository, &file)?;
    Ok(Reaped {
        saved: late.unwrap_or(saved),
        branch_gone,
        unread,
    })
}

/// Ends the processes that live in a tree.
fn end_all(tree: &Tree) -> Result<(), Error> {
    let seated = |pids: &[u32]| pids.iter().copied().find(|pid| life::has_terminal(*pid));
    for signal in [Signal::TERM, Signal::KILL] {
        let since = Instant::now();
        let mut told = false;
        loop {
            let pids = Processes::now().inside(&tree.path);
            if pids.is_empty() {
                return Ok(());
            }
            if let Some(pid) = seated(&pids) {
                return Err(Error::Refused {
                    what: format!(
                        "process {pid} in {:?} belongs to a terminal: somebody may sit there",
                        tree.path
                    ),
                    hint: format!("leave that terminal, or: kill {pid}"),
                });
            }
            if !told {
                for pid in pids
                    .iter()
                    .filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?))
                {
                    let _ = rustix::process::kill_process(pid, signal);
                }
                told = true;
            }
            if since.elapsed() > GRACE {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Err(Error::Refused {
        what: format!(
            "{:?}: {}",
            tree.path,
            Objection::Alive(Processes::now().inside(&tree.path))
        ),
        hint: "end them first".to_owned(),
    })
}

fn place(common: &Path) -> PathBuf {
    common.join("spore/reap")
}

/// Takes up removals that were killed; says what it did, a line each. Under
/// [`journal::admin_lock`].
pub(super) fn settle_locked(root: &Root, repository: &Repository) -> Result<Vec<String>, Error> {
    let dir = place(&repository.common_dir);
    let mut said = Vec::new();
    let Ok(entries) = fs::read_dir(&dir) else {
        return Ok(said);
    };
    files::sweep(&dir, Duration::ZERO).map_err(Error::at(&dir))?;
    for entry in entries {
        let file = entry.map_err(Error::at(&dir))?.path();
        if file.extension().is_none_or(|end| end != "json") || !file.exists() {
            continue;
        }
        let bytes = fs::read(&file).map_err(Error::at(&file))?;
        let mut record: Record =
            serde_json::from_slice(&bytes).map_err(|error| Error::at(&file)(error.into()))?;
        if !record.checked && !record.is_away() {
            journal::remove_file(&file)?;
            continue;
        }
        // What cannot be saved stays: it must not stop everybody else.
        let agent = record.agent.clone();
        if let Err(error) = record.check(root, &file) {
            record.put_back(&file)?;
            said.push(format!(
                "a removal that was killed is taken back: {agent}: {error}"
            ));
            continue;
        }
        said.push(match record.finish(root, repository, &file) {
            Ok(_) => format!("completed a removal that was killed: {agent}"),
            Err(error) => format!("a removal that was killed waits: {agent}: {error}"),
        });
    }
    Ok(said)
}

impl Record {
    fn write(&self, file: &Path) -> Result<(), Error> {
        let text = serde_json::to_string(self).map_err(|error| Error::at(file)(error.into()))?;
        files::write_whole(file, format!("{text}\n").as_bytes()).map_err(Error::at(file))
    }

    /// Whether the tree was taken out of its place.
    fn is_away(&self) -> bool {
        self.trash.exists() || !self.path.exists()
    }

    /// Brings the tree back into its place, and forgets the removal.
    fn put_back(&self, file: &Path) -> Result<(), Error> {
        if self.trash.exists() && !self.path.exists() {
            fs::rename(&self.trash, &self.path).map_err(Error::at(&self.path))?;
        }
        journal::remove_file(file)
    }

    /// Where git's part of the tree is: a clone's moved along with it.
    fn git_dir(&self) -> PathBuf {
        match self.git_dir.strip_prefix(&self.path) {
            Ok(inside) => self.trash.join(inside),
            Err(_) => self.git_dir.clone(),
        }
    }

    /// Saves what was written between the first look and the moment in which the tree went out of
    /// sight.
    fn check(&mut self, root: &Root, file: &Path) -> Result<Option<Saved>, Error> {
        if self.checked {
            return Ok(None);
        }
        let git_dir = self.git_dir();
        let mut late = None;
        if self.trash.exists() && git_dir.exists() {
            let broken = |why: &str| Error::Plan(vec![format!("{}: {why}", git_dir.display())]);
            let identity = crate::swarm::Identity::read(&git_dir)?;
            let tree = Tree {
                path: self.trash.clone(),
                identity: identity.ok_or_else(|| broken("nobody's tree"))?,
                notes: super::tree::Notes {
                    v: 1,
                    base: self.base.clone(),
                    tasks: self.tasks.clone(),
                },
                git_dir,
            };
            late = Some(salvage::save(root, &tree, &self.keep)?);
        }
        self.checked = true;
        self.write(file)?;
        Ok(late)
    }

    /// Removes what was saved; each step may be done twice.
    fn finish(
        &self,
        root: &Root,
        repository: &Repository,
        file: &Path,
    ) -> Result<(bool, usize), Error> {
        // git's entry for another tree may have the same name by now.
        let theirs = super::tree::top_of(&self.git_dir).is_some_and(|top| top != self.path);
        if !theirs {
            journal::remove_tree(&self.git_dir)?;
        }
        self.forget_inside(&repository.common_dir.join("worktrees"))?;
        drop(fs::remove_dir(repository.common_dir.join("worktrees")));
        let branch_gone = self.delete_branch(repository)?;
        journal::remove_file(&environment::window(root, &self.agent))?;
        journal::remove_tree(&environment::temporary(root, &self.agent))?;
        journal::remove_tree(&self.trash)?;
        let unread = self.leave_mailbox(root)?;
        self.note_left(root)?;
        journal::remove_file(file)?;
        Ok((branch_gone, unread))
    }

    /// Removes git's entries for worktrees that somebody made inside this one: saved and gone with it.
    fn forget_inside(&self, entries: &Path) -> Result<(), Error> {
        for entry in fs::read_dir(entries).into_iter().flatten().flatten() {
            let top = super::tree::top_of(&entry.path());
            if top.is_some_and(|top| top.starts_with(&self.path) && !top.exists()) {
                journal::remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Deletes the branch if it has landed, whatever was checked out in the tree at the end: an agent
    /// that worked on a detached HEAD leaves a branch on which nothing happened. One that another
    /// worktree has checked out by now stays.
    fn delete_branch(&self, repository: &Repository) -> Result<bool, Error> {
        let Some(branch) = &self.branch else {
            return Ok(false);
        };
        let full = format!("refs/heads/{branch}");
        let git = Git::at(&repository.common_dir);
        let Some(tip) = merge::commit_of(&git, &full)? else {
            return Ok(false);
        };
        if !landed::has_landed(&git, &self.base, &tip)? {
            return Ok(false);
        }
        let listed = git.bytes(&["worktree", "list", "--porcelain", "-z"])?;
        let taken = format!("branch {full}");
        if listed
            .split(|byte| *byte == 0)
            .any(|line| line == taken.as_bytes())
        {
            return Ok(false);
        }
        // Only as long as it stands where it was judged.
        let line = format!("delete {full} {tip}\n");
        let deleted = git.feed(&["update-ref", "--stdin"], line.as_bytes());
        Ok(deleted.is_ok())
    }

    /// Gives back what the agent held of its mail. A mailbox in which nothing waits goes out of
    /// sight, and its agent out of the roster; it comes back with the next agent of that name.
    fn leave_mailbox(&self, root: &Root) -> Result<usize, Error> {
        let name = self.agent.parse().map_err(crate::swarm::Error::from)?;
        if !root.mail().join(&self.agent).exists() {
            return Ok(0);
        }
        let mailbox = Spool::open(&root.mail())?.mailbox(&name)?;
        let mut receiver = Receiver::new(&mailbox, Host::here(), Duration::ZERO);
        let entries = mailbox.list()?;
        for held in entries.iter().filter(|entry| entry.held) {
            match receiver.held(held.name.id, None) {
                Ok(claim) => receiver.release(&claim, true)?,
                Err(spool::Error::LeaseLost { .. } | spool::Error::NoMessage { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !entries.is_empty() {
            return Ok(entries.len());
        }
        let there = root.mail().join(&self.agent);
        let away = environment::left_mailbox(root, &self.agent);
        match fs::rename(&there, &away) {
            // An earlier one is there: this one stays.
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                Err(Error::at(&there)(error))
            }
            _ => Ok(0),
        }
    }

    fn note_left(&self, root: &Root) -> Result<(), Error> {
        root.make_dir(&root.journal())?;
        let correlation_id = uuid::Uuid::new_v4().to_string();
        Journal::open(root)?.change(|state| {
            let event = |what| Event {
                at: crate::swarm::journal::now(),
                correlation_id: correlation_id.clone(),
                what,
            };
            let mut events = Vec::new();
            for (task, known) in &state.tasks {
                if matches!(&known.phase, Phase::Claimed { agent, .. } if *agent == self.agent) {
                    events.push(event(What::Released {
                        task: task.clone(),
                        epoch: known.epoch,
                        why: Some("its agent was reaped".to_owned()),
                    }));
                }
            }
            let present = state
                .agents
                .get(&self.agent)
                .is_some_and(|known| known.present && known.epoch == self.epoch);
            if present {
                events.push(event(What::Left {
                    agent: self.agent.clone(),
                    epoch: self.epoch,
                    why: Some("reaped".to_owned()),
                }));
            }
            (events, ())
        })?;
        let line = Scheme::of_slot(self.slot).log_record(&Worn {
            time: &crate::swarm::journal::now(),
            agent: &self.agent,
            worktree: None,
            branch: self.branch.as_deref().unwrap_or_default(),
            tasks: &self.tasks,
        });
        environment::log_colours(root, &line)
    }
}

/// Removes caches, the longest unused first, until `enough` says so; gives those that went. In each
/// step the directory goes out of sight first.
pub fn drop_caches(
    mut caches: Vec<super::cache::Cache>,
    mut enough: impl FnMut() -> bool,
) -> Result<Vec<super::cache::Cache>, Error> {
    caches.sort_by_key(|cache| cache.used);
    let mut gone = Vec::new();
    for cache in caches {
        if enough() {
            break;
        }
        journal::remove_tree(&cache.path)?;
        gone.push(cache);
    }
    Ok(gone)
}

/// One piece of saved work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its ref.
    pub reference: String,
    /// Whose it was.
    pub agent: String,
    /// When it was saved, RFC 3339.
    pub time: String,
    /// The branch that was checked out.
    pub branch: String,
    /// The commit.
    pub commit: String,
}

/// All saved work, by name of the ref.
pub fn saved(root: &Root) -> Result<Vec<Kept>, Error> {
    let repository = root.repository().ok_or_else(Error::no_repository)?;
    let git = Git::at(&repository.common_dir);
    let format = "--format=%(refname)%00%(objectname)%00%(committerdate:iso-strict)%00%(contents:body)%00%00";
    let listed = git.text(&["for-each-ref", format, "refs/spore/salvage"])?;
    let entries = listed
        .split("\0\0")
        .map(|entry| entry.trim_start_matches('\n'));
    let kept = entries
        .filter(|entry| !entry.is_empty())
        .filter_map(|entry| {
            let mut fields = entry.splitn(4, '\0');
            let reference = fields.next()?.to_owned();
            let short = reference.strip_prefix("refs/spore/salvage/")?;
            let agent = short.split('/').next()?.to_owned();
            let commit = fields.next()?.to_owned();
            let time = fields.next()?.to_owned();
            let branch = salvage::notes(fields.next()?, "Branch").into_iter().next();
            Some(Kept {
                branch: branch.unwrap_or_default(),
                reference,
                agent,
                time,
                commit,
            })
        });
    Ok(kept.collect())
}
