//! What a run leaves in `runs/RUN/`, and the runs whose `agent-run` was killed.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Error;
use super::judge::{self, Evidence, Exit, Work};
use super::outcome::Outcome;
use super::process::{self, Traces};
use super::told::Told;
use crate::event::{Event, RunState, Signs, State, What};
use crate::swarm::holder::Life;
use crate::swarm::{Holder, Journal, Root, files, journal};
use crate::workspace::progress::{Mark, Progress};
use crate::workspace::{self, Tree, locks};

/// How long a hand-over may be that the next try is told, in bytes.
const HANDOVER_LIMIT: usize = 16 * 1024;

/// What is written down before a command is started; `run.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Start {
    /// The version of this form: 1.
    pub v: u32,
    /// `run`.
    pub r#type: String,
    /// The name of the run.
    pub run: String,
    /// Whose.
    pub agent: String,
    /// The task.
    pub task: Option<String>,
    /// Which claim of it.
    pub epoch: Option<u64>,
    /// That of the claim.
    pub correlation_id: String,
    /// The name of the command.
    pub command: String,
    /// Program and arguments, without the prompt.
    pub argv: Vec<String>,
    /// The worktree.
    pub worktree: PathBuf,
    /// The commit it begins at.
    pub base: Option<String>,
    /// The `agent-run` that watches.
    pub holder: String,
    /// The command's process, which is also its session; none before it is started.
    pub session: Option<u32>,
    /// The same process as a [`Holder`], so that nobody takes another for it.
    pub leader: Option<String>,
    /// The control group that they are in.
    pub cgroup: Option<PathBuf>,
    /// When, RFC 3339.
    pub began_at: String,
}

/// The directory of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// That of the run of this name.
    pub fn of(root: &Root, run: &str) -> Directory {
        Directory {
            path: root.runs().join(run),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes one of its files; it need not survive a power cut, which ends the run too.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.file(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        files::open_private(&mut options, &path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, bytes))
            .map_err(Error::at(path))
    }

    /// Opens a transcript for the command to write to.
    pub fn transcript(&self, name: &str) -> Result<File, Error> {
        let path = self.file(name);
        files::open_private(OpenOptions::new().append(true).create(true), &path)
            .map_err(Error::at(path))
    }

    /// Writes down what begins.
    pub fn write_start(&self, start: &Start) -> Result<(), Error> {
        let text = serde_json::to_string(start).expect("texts and numbers have a JSON form");
        self.write("run.json", format!("{text}\n").as_bytes())
    }

    /// What began here.
    pub fn start(&self) -> Option<Start> {
        let bytes = files::read_if_there(&self.file("run.json"), 1 << 20).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Writes down what came of it, whole and on disk.
    pub fn write_outcome(&self, outcome: &Outcome, handover: &str) -> Result<(), Error> {
        self.write("handover.md", handover.as_bytes())?;
        let path = self.file("outcome.json");
        files::write_whole(&path, format!("{}\n", outcome.line()).as_bytes())
            .map_err(Error::at(path))
    }

    /// What came of it, if that is known.
    pub fn outcome(&self) -> Option<Outcome> {
        let bytes = files::read_if_there(&self.file("outcome.json"), 1 << 20).ok()??;
        Outcome::read(std::str::from_utf8(&bytes).ok()?.trim_end()).ok()
    }
}

/// Gives a new run its name and directory, and notes its beginning in the journal.
pub fn begin(
    root: &Root,
    journal: &mut Journal,
    agent: &str,
    events: impl FnOnce(&State, &str) -> Vec<Event>,
) -> Result<Directory, Error> {
    root.make_dir(&root.runs())?;
    let runs = root.runs();
    let (_, made) = journal.change(|state| {
        let prefix = format!("{agent}-");
        let numbers = state.runs.keys().filter_map(|run| {
            let number = run.strip_prefix(&prefix)?;
            number.parse::<u64>().ok()
        });
        let mut number = numbers.max().unwrap_or(0) + 1;
        // A directory without an event is what a killed agent-run left.
        loop {
            let run = format!("{prefix}{number}");
            let path = runs.join(&run);
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return (events(state, &run), Ok(Directory { path })),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return (vec![], Err(Error::at(path)(error))),
            }
        }
    })?;
    made
}

/// The text that the next who tries a task is given: what the last run of it left.
pub fn handover(root: &Root, journal: &Journal, task: &str) -> String {
    let runs = journal.state().runs.iter();
    let last = runs
        .filter(|(_, known)| known.task.as_deref() == Some(task))
        .filter_map(|(run, known)| Some((known.ended.as_ref()?.at.as_str(), run)))
        .max();
    let Some((_, run)) = last else {
        return String::new();
    };
    let path = Directory::of(root, run).file("handover.md");
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[..text.len().min(HANDOVER_LIMIT)]);
    text.into_owned()
}

/// What the next one who tries the task should know.
pub fn write_handover(outcome: &Outcome, progress: &Progress, branch: &str) -> String {
    let mut text = format!(
        "Run {} of {} ended {}: {}.\n",
        outcome.run, outcome.agent, outcome.word, outcome.reason
    );
    if outcome.commits > 0 {
        let (base, head) = (short(&outcome.base), short(&outcome.head));
        text.push_str(&format!(
            "Its commits on {branch}: git log {base}..{head}\n"
        ));
    }
    if let Some(commit) = &outcome.harvested {
        text.push_str(&format!(
            "What it had not committed is in {}: check it before you build on it.\n",
            short(&Some(commit.clone()))
        ));
    } else if !progress.loose.is_empty() {
        text.push_str("It left these files uncommitted in its worktree:\n");
        for path in progress.loose.iter().take(20) {
            text.push_str(&format!("- {path}\n"));
        }
    }
    if let Some(said) = &outcome.said {
        text.push_str(&format!("\nIts last words:\n\n{said}\n"));
    }
    text
}

fn short(commit: &Option<String>) -> &str {
    let commit = commit.as_deref().unwrap_or("the beginning");
    commit.get(..12).unwrap_or(commit)
}

/// The runs that began, have not ended, and whose `agent-run` is dead.
pub fn lost(journal: &Journal) -> Vec<(String, RunState)> {
    let is_dead = |run: &RunState| {
        let holder = run.holder.parse::<Holder>();
        holder.is_ok_and(|holder| holder.life() == Life::Dead)
    };
    let runs = journal.state().runs.iter();
    runs.filter(|(_, known)| known.ended.is_none() && is_dead(known))
        .map(|(run, known)| (run.clone(), known.clone()))
        .collect()
}

/// The processes of a lost run that still live.
pub fn orphans(root: &Root, run: &str) -> Vec<u32> {
    let start = Directory::of(root, run).start();
    traces(root, run, start.as_ref()).living()
}

fn traces<'a>(root: &'a Root, run: &'a str, start: Option<&Start>) -> Traces<'a> {
    let leader = start.and_then(|start| start.leader.as_ref()?.parse().ok());
    Traces {
        root: root.path(),
        variable: ("SPORE_RUN", Some(run)),
        session: leader.as_ref().and_then(process::session),
    }
}

/// Ends the processes of a lost run, judges what it left, and writes that down; its outcome, or none
/// if somebody else was quicker. `tree` is the agent's worktree, if it still has one; the caller holds
/// its lock ([`lock`]).
pub fn settle(
    root: &Root,
    journal: &mut Journal,
    run: &str,
    known: &RunState,
    tree: Option<&Tree>,
    grace: Duration,
) -> Result<Option<Outcome>, Error> {
    let directory = Directory::of(root, run);
    let start = directory.start().unwrap_or_default();
    let (ended, _) = traces(root, run, Some(&start)).end(grace);
    if let Some(group) = &start.cgroup {
        // Empty by now.
        drop(fs::remove_dir(group));
    }
    if let (Some(tree), Ok(began)) = (tree, known.since.parse::<jiff::Timestamp>()) {
        let since_1970 = u64::try_from(began.as_millisecond()).unwrap_or_default();
        locks::free(tree, UNIX_EPOCH + Duration::from_millis(since_1970));
    }
    if let Some(outcome) = directory.outcome() {
        // It was killed between the outcome and the journal.
        note_end(journal, &outcome, known.signs)?;
        return Ok(Some(outcome));
    }
    let progress = match tree {
        Some(tree) => Mark::at(start.base.clone()).since(tree)?,
        None => Progress::default(),
    };
    let told = Told::default();
    let verdict = judge::judge(&Evidence {
        exit: Exit::Unseen,
        cause: None,
        told: &told,
        streams: false,
        out: "",
        err: "",
        work: work(&progress),
        wants_change: true,
        harvested: false,
        now: jiff::Timestamp::now(),
        zone: &jiff::tz::TimeZone::UTC,
    });
    let size = |name: &str| fs::metadata(directory.file(name)).map_or(0, |meta| meta.len());
    let now = journal::now();
    let wall = millis_between(&known.since, &now);
    let outcome = Outcome {
        run: run.to_owned(),
        word: verdict.word,
        exit: verdict.exit,
        reason: verdict.reason,
        agent: known.agent.clone(),
        task: known.task.clone(),
        epoch: known.epoch,
        command: known.command.clone(),
        correlation_id: start.correlation_id.clone(),
        retry_at: None,
        child_exit: None,
        child_signal: None,
        base: start.base.clone(),
        head: progress.head.clone(),
        commits: progress.commits,
        files: progress.files,
        insertions: progress.insertions,
        deletions: progress.deletions,
        uncommitted: progress.uncommitted,
        harvested: None,
        confined: match start.cgroup {
            Some(_) => "cgroup",
            None => "session",
        }
        .to_owned(),
        left_behind: u32::try_from(ended).unwrap_or(u32::MAX),
        turns: known.signs.turns,
        tokens: known.signs.tokens,
        cost_usd: known.signs.usd_micros.map(|micros| micros as f64 / 1e6),
        began_at: known.since.clone(),
        ended_at: now,
        wall_ms: wall,
        cpu_ms: known.signs.cpu_ms,
        peak_mem_kib: 0,
        output_bytes: size("transcript.out") + size("transcript.err"),
        said: None,
    };
    let branch = tree.and_then(|tree| tree.identity.branch.clone());
    let handover = write_handover(&outcome, &progress, &branch.unwrap_or_default());
    if directory.path().is_dir() {
        directory.write_outcome(&outcome, &handover)?;
    }
    let first = note_end(journal, &outcome, known.signs)?;
    Ok(first.then_some(outcome))
}

fn millis_between(from: &str, to: &str) -> u64 {
    let read = |text: &str| text.parse::<jiff::Timestamp>().ok();
    match (read(from), read(to)) {
        (Some(from), Some(to)) => {
            u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0)
        }
        _ => 0,
    }
}

/// What judging needs of the progress.
pub fn work(progress: &Progress) -> Work {
    Work {
        commits: progress.commits,
        files: progress.files,
        uncommitted: progress.uncommitted,
        touched: progress.touched,
    }
}

/// Notes an end in the journal; whether it was the first.
pub fn note_end(journal: &mut Journal, outcome: &Outcome, signs: Signs) -> Result<bool, Error> {
    let event = end_event(outcome, signs);
    let (effects, ()) = journal.change(|_| (vec![event], ()))?;
    Ok(effects == [crate::event::Effect::Applied])
}

/// The event for an outcome.
pub fn end_event(outcome: &Outcome, signs: Signs) -> Event {
    Event {
        at: journal::now(),
        correlation_id: outcome.correlation_id.clone(),
        what: What::RunEnded {
            run: outcome.run.clone(),
            outcome: outcome.word.name().to_owned(),
            exit: outcome.exit,
            retry_at: outcome.retry_at.clone(),
            why: Some(outcome.reason.clone()),
            signs,
        },
    }
}

/// The lock of a worktree under which one run at a time works; it ends with this process, and the
/// command does not inherit it. None if another run holds it.
pub fn lock(tree: &Tree) -> Result<Option<File>, Error> {
    let path = workspace::tree::run_lock(&tree.git_dir);
    if let Some(directory) = path.parent() {
        files::make_dirs(directory).map_err(Error::at(directory))?;
    }
    let mut options = OpenOptions::new();
    let file = files::open_private(options.read(true).write(true).create(true), &path)
        .map_err(Error::at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(Error::at(path)(error)),
    }
}
