//! Who is well, who is not, why, and what to do about it.
//!
//! **For**: `swarm-status`, and whoever waits for something to become true. [`judge`] is a function
//! of the journal's state, of what was seen beside it ([`Seen`]: processes, trees, mailboxes) and of
//! the time; [`Report::modules`] has the form of the original's Reflective Module; [`Until`] is the
//! language of `--wait-for`.
//!
//! | condition | it means |
//! |---|---|
//! | `working` | it has a task, and a process that gave a sign of life not long ago |
//! | `stalled` | it has a task and a process, and nothing was heard for long |
//! | `dead` | it has a task, and the process or the lease is gone |
//! | `paused` | somebody holds it, and nothing runs or what runs is frozen |
//! | `needs-you` | its last try ended with something that only a person can decide |
//! | `limited` | it may go on at a known time |
//! | `done` | every task of the plan is done |
//! | `idle` | none of these: it waits for work, or the work for somebody who hands it out |
//!
//! The first that fits counts, in this order: one who works is not called by an old failure.
//!
//! **Promises**: every condition has a reason in words, and a command that mends it where there is
//! one; every indicator carries the figures it was made from; nothing is claimed of what was not
//! looked at.
//!
//! **Does not**: look at anything itself, or change anything.

mod signs;
mod until;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::action::json::{Object, Value};
use crate::action::model::{HealthIndicator, ModuleStatus};
use crate::action::time::Timestamp;
use crate::event::{Phase, RunState, State, Then, millis};
pub use until::{Until, UntilError};

/// What was seen beside the journal, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// The tasks of the plan in force, in its order.
    pub tasks: Vec<Task>,
    /// Everybody who belongs to the swarm.
    pub agents: Vec<Agent>,
    /// Mailboxes of others, by name.
    pub others: Vec<(String, Mail)>,
    /// How firmly each claimed task is held, by its key.
    pub grips: HashMap<String, Grip>,
    /// The runs that have not ended and whose `agent-run` lives.
    pub live_runs: HashSet<String>,
    /// What holds everybody.
    pub held: Option<Held>,
    /// Whether somebody carries out the plan (`swarm-ctl run`).
    pub conducted: bool,
    /// Changes in the main checkout.
    pub leaks: Vec<Leak>,
    /// Who will conflict with whom when their work is merged.
    pub ahead: Vec<Ahead>,
    /// Why that is not known of all, if it is not.
    pub ahead_unseen: Option<String>,
    /// Processes of runs that are over.
    pub orphans: Vec<Orphan>,
    /// Lines of the journal that were cut off.
    pub torn: u64,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
}

/// A task of the plan.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// Its key.
    pub id: String,
    /// Whose it is.
    pub agent: String,
    /// What must be done first.
    pub after: Vec<String>,
    /// What its agent must be able to do.
    pub needs: Vec<String>,
    /// The agents it is confined to; empty means any.
    pub only: Vec<String>,
    /// What holds it.
    pub held: Option<Held>,
}

/// One who belongs to the swarm.
#[derive(Debug, Clone, Default)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Its place, from which its colour follows.
    pub slot: Option<u32>,
    /// What it can do; none if nothing is known.
    pub capabilities: Option<Vec<String>>,
    /// Its worktree.
    pub tree: Option<Tree>,
    /// Its mailbox.
    pub mail: Option<Mail>,
    /// What holds it, by itself or with everybody.
    pub held: Option<Held>,
}

/// How a worktree stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Where it is.
    pub path: String,
    /// Its branch.
    pub branch: Option<String>,
    /// Commits that the base does not have; none if unknown.
    pub ahead: Option<u64>,
    /// Commits of the base that it does not have; none if unknown.
    pub behind: Option<u64>,
    /// Files that differ from where it left the base, committed or not; none if unknown.
    pub files: Option<u64>,
    /// Files that differ from its last commit; none if unknown.
    pub dirty: Option<u64>,
}

/// How a mailbox stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mail {
    /// Messages that wait.
    pub unread: u64,
    /// How long the oldest has waited.
    pub oldest_ms: Option<i64>,
    /// Messages that were given up.
    pub dead: u64,
}

/// What holds somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// In words.
    pub what: String,
    /// Since when, RFC 3339; empty if unknown.
    pub since: String,
    /// The command text that lifts it.
    pub lift: String,
    /// Whether it ends by itself, with a usage limit.
    pub limit: bool,
    /// Whether what runs is frozen.
    pub freeze: bool,
}

/// How firmly a claimed task is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grip {
    /// The lease is in force.
    Firm,
    /// Its deadline has passed, or its boot is over.
    Expired,
    /// The process that held it is gone.
    Dead,
}

/// A change in the main checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// The file, relative to the top.
    pub file: String,
    /// Whose task touches that file.
    pub by: Option<(String, String)>,
    /// What brings it where it belongs.
    pub mend: String,
}

/// Two whose work will conflict: agents, or the branch that they merge into and an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    /// One.
    pub a: String,
    /// The other.
    pub b: String,
    /// Whether `a` is that branch.
    pub with_target: bool,
    /// In which files.
    pub files: Vec<Clash>,
}

/// A file in which two will conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// Its path.
    pub path: String,
    /// The kind, in git's words.
    pub kind: String,
    /// The lines at which the hunks begin on both sides.
    pub lines: Vec<(usize, usize)>,
}

/// A process that its run left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its number.
    pub pid: u32,
    /// Its command.
    pub command: String,
    /// Whose it was.
    pub agent: String,
    /// The run that left it.
    pub run: Option<String>,
}

/// How an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    /// It has a task and goes on with it.
    Working,
    /// It waits for work.
    Idle,
    /// A person must decide something.
    NeedsYou,
    /// It may go on at a known time.
    Limited,
    /// Nothing was heard for long.
    Stalled,
    /// Its process is gone.
    Dead,
    /// It is held.
    Paused,
    /// Everything is done.
    Done,
}

impl Condition {
    /// All of them.
    pub const ALL: [Condition; 8] = [
        Condition::Working,
        Condition::Idle,
        Condition::NeedsYou,
        Condition::Limited,
        Condition::Stalled,
        Condition::Dead,
        Condition::Paused,
        Condition::Done,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Working => "working",
            Condition::Idle => "idle",
            Condition::NeedsYou => "needs-you",
            Condition::Limited => "limited",
            Condition::Stalled => "stalled",
            Condition::Dead => "dead",
            Condition::Paused => "paused",
            Condition::Done => "done",
        }
    }

    fn level(self) -> Level {
        match self {
            Condition::Working | Condition::Idle | Condition::Paused | Condition::Done => {
                Level::Healthy
            }
            Condition::NeedsYou | Condition::Limited => Level::Warning,
            Condition::Stalled | Condition::Dead => Level::Critical,
        }
    }
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is to be done.
    Healthy,
    /// Somebody should look.
    Warning,
    /// Work stands still, or is in danger.
    Critical,
}

impl Level {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Healthy => "healthy",
            Level::Warning => "warning",
            Level::Critical => "critical",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Indicator {
    /// What was looked at: `silence`, `leases`, `mail`.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The finding in words.
    pub message: String,
    /// The command that mends it.
    pub mend: Option<String>,
    /// The figures.
    pub details: Object,
}

impl Indicator {
    fn new(name: &'static str, level: Level, message: impl Into<String>) -> Indicator {
        Indicator {
            name,
            level,
            message: message.into(),
            mend: None,
            details: Object::new(),
        }
    }

    fn mend(mut self, command: impl Into<String>) -> Indicator {
        self.mend = Some(command.into());
        self
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Indicator {
        self.details.insert(name, value.into());
        self
    }
}

/// How one agent is.
#[derive(Debug, Clone)]
pub struct Patient {
    /// What was seen of it.
    pub agent: Agent,
    /// How it is.
    pub condition: Condition,
    /// The task that this is about.
    pub task: Option<String>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
    /// Why, in words.
    pub why: String,
    /// The command that mends it.
    pub mend: Option<String>,
    /// Its run that goes on, else the last one.
    pub run: Option<String>,
    /// The run's command.
    pub command: Option<String>,
    /// Tasks that it has done.
    pub done: u32,
    /// Tries of it that failed.
    pub failed: u32,
    /// What its runs have cost, in millionths of a dollar; none if no command told.
    pub usd_micros: Option<u64>,
    /// When it was last heard of, RFC 3339.
    pub heard: Option<String>,
    /// What else is to be said about it.
    pub indicators: Vec<Indicator>,
}

/// How far the tasks are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tasks {
    /// All of the plan.
    pub total: u64,
    /// Done.
    pub done: u64,
    /// In somebody's hands.
    pub claimed: u64,
    /// To be had now.
    pub ready: u64,
    /// Waiting for other tasks.
    pub waiting: u64,
    /// Put off until a time.
    pub later: u64,
    /// Waiting for a person.
    pub human: u64,
}

/// How everything is.
#[derive(Debug, Clone)]
pub struct Report {
    /// When, in milliseconds since 1970.
    pub now_ms: i64,
    /// Everybody, in the order of their places and names.
    pub agents: Vec<Patient>,
    /// How far each task is: `done`, `claimed`, `ready`, `waiting`, `later`, `human`.
    pub phases: BTreeMap<String, &'static str>,
    /// The same as numbers.
    pub tasks: Tasks,
    /// The plan in force and since when.
    pub plan: Option<(String, String)>,
    /// What its runs have cost so far, in millionths of a dollar, as far as their commands told.
    pub plan_usd_micros: u64,
    /// Messages of everybody, others included: those that wait, and those that were given up.
    pub mail: (u64, u64),
    /// What is to be said about the swarm as a whole.
    pub indicators: Vec<Indicator>,
}

/// From when on things are called bad.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a run may be silent.
    pub silent_ms: i64,
    /// How many tries in a row may fail.
    pub in_a_row: u32,
    /// How often a task may be given out and not be done.
    pub claims: u64,
    /// How long a message may wait to be read.
    pub unread_ms: i64,
    /// Over what time the tasks done are counted.
    pub window_ms: i64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            silent_ms: 10 * 60_000,
            in_a_row: 3,
            claims: 4,
            unread_ms: 30 * 60_000,
            window_ms: 30 * 60_000,
        }
    }
}

/// How everybody and everything is.
pub fn judge(state: &State, seen: &Seen, limits: &Limits) -> Report {
    let outlook = Outlook::new(state, seen);
    let mut agents: Vec<Patient> = seen
        .agents
        .iter()
        .map(|agent| outlook.patient(agent, limits))
        .collect();
    agents.sort_by(|a, b| {
        let place = |patient: &Patient| patient.agent.slot.unwrap_or(u32::MAX);
        (place(a), &a.agent.name).cmp(&(place(b), &b.agent.name))
    });
    let mail = seen.agents.iter().filter_map(|agent| agent.mail);
    let mail = mail.chain(seen.others.iter().map(|(_, mail)| *mail));
    let plan = state.plan.as_ref().map(|(id, _)| {
        let since = state.plan_since.clone().unwrap_or_default();
        (id.clone(), since)
    });
    Report {
        now_ms: seen.now_ms,
        agents,
        tasks: outlook.count(),
        phases: outlook.phases(),
        plan,
        plan_usd_micros: state.spent(),
        mail: mail.fold((0, 0), |(unread, dead), mail| {
            (unread + mail.unread, dead + mail.dead)
        }),
        indicators: signs::of_the_swarm(state, seen, &outlook, limits),
    }
}

/// What follows from the state for everybody at once.
struct Outlook<'a> {
    state: &'a State,
    seen: &'a Seen,
    /// How far each task is, in the order of the plan.
    phases: Vec<&'static str>,
    places: HashMap<&'a str, usize>,
    /// What each agent has in hand.
    claims: HashMap<&'a str, Vec<&'a str>>,
    /// The run of each agent that goes on, else its last one.
    runs: HashMap<&'a str, (&'a str, &'a RunState)>,
    usd_micros: HashMap<&'a str, u64>,
}

impl<'a> Outlook<'a> {
    fn new(state: &'a State, seen: &'a Seen) -> Outlook<'a> {
        let places: HashMap<&str, usize> = seen
            .tasks
            .iter()
            .enumerate()
            .map(|(place, task)| (task.id.as_str(), place))
            .collect();
        let done = |key: &str| {
            let known = state.tasks.get(key);
            !places.contains_key(key)
                || known.is_some_and(|k| matches!(k.phase, Phase::Done { .. }))
        };
        let phase = |task: &Task| -> &'static str {
            let ready = || match task.after.iter().all(|key| done(key)) {
                true => "ready",
                false => "waiting",
            };
            match state.tasks.get(&task.id).map(|known| &known.phase) {
                Some(Phase::Done { .. }) => "done",
                Some(Phase::Claimed { .. }) => match seen.grips.get(&task.id) {
                    Some(Grip::Firm) | None => "claimed",
                    Some(Grip::Expired | Grip::Dead) => ready(),
                },
                Some(Phase::Human { .. }) => "human",
                Some(Phase::Later { retry_at: Some(at) })
                    if millis(at).is_some_and(|at| at > seen.now_ms) =>
                {
                    "later"
                }
                Some(Phase::Later { .. } | Phase::Open) | None => ready(),
            }
        };
        let phases = seen.tasks.iter().map(phase).collect();
        let mut claims: HashMap<&str, Vec<&str>> = HashMap::new();
        for (key, known) in &state.tasks {
            if let Phase::Claimed { agent, .. } = &known.phase {
                claims.entry(agent).or_default().push(key);
            }
        }
        let mut runs: HashMap<&str, (&str, &RunState)> = HashMap::new();
        let mut usd_micros: HashMap<&str, u64> = HashMap::new();
        for (name, run) in &state.runs {
            let rank = |run: &RunState, name: &str| {
                (
                    seen.live_runs.contains(name),
                    millis(&run.since).unwrap_or(0),
                )
            };
            let newer = runs
                .get(run.agent.as_str())
                .is_none_or(|(other, last)| rank(run, name) >= rank(last, other));
            if newer {
                runs.insert(&run.agent, (name, run));
            }
            if let Some(cost) = run.signs.usd_micros {
                *usd_micros.entry(&run.agent).or_default() += cost;
            }
        }
        Outlook {
            state,
            seen,
            phases,
            places,
            claims,
            runs,
            usd_micros,
        }
    }

    fn count(&self) -> Tasks {
        let count = |word| self.phases.iter().filter(|phase| **phase == word).count() as u64;
        Tasks {
            total: self.phases.len() as u64,
            done: count("done"),
            claimed: count("claimed"),
            ready: count("ready"),
            waiting: count("waiting"),
            later: count("later"),
            human: count("human"),
        }
    }

    fn phases(&self) -> BTreeMap<String, &'static str> {
        let keys = self.seen.tasks.iter().map(|task| task.id.clone());
        keys.zip(self.phases.iter().copied()).collect()
    }

    fn patient(&self, agent: &Agent, limits: &Limits) -> Patient {
        let name = agent.name.as_str();
        let record = self.state.records.get(name);
        let run = self.runs.get(name);
        let mut patient = Patient {
            agent: agent.clone(),
            condition: Condition::Idle,
            task: None,
            since: record.map(|record| record.heard.clone()),
            why: String::new(),
            mend: None,
            run: run.map(|(run, _)| (*run).to_owned()),
            command: run.map(|(_, run)| run.command.clone()),
            done: record.map_or(0, |record| record.done),
            failed: record.map_or(0, |record| record.failed),
            usd_micros: self.usd_micros.get(name).copied(),
            heard: record.map(|record| record.heard.clone()),
            indicators: Vec::new(),
        };
        if let Some((_, run)) = run
            && millis(&run.seen) > patient.heard.as_deref().and_then(millis)
        {
            patient.heard = Some(run.seen.clone());
        }
        let found = self
            .with_a_task(&mut patient, limits)
            .or_else(|| self.at_something_else(&mut patient))
            .or_else(|| self.held(&mut patient))
            .or_else(|| self.after_a_failure(&mut patient));
        if found.is_none() {
            self.without_work(&mut patient);
        }
        if let Some(record) = record
            && record.in_a_row >= limits.in_a_row
        {
            patient.indicators.push(signs::repeated(name, record));
        }
        patient
    }

    /// One that has a task: working, stalled or dead.
    fn with_a_task(&self, patient: &mut Patient, limits: &Limits) -> Option<()> {
        let name = patient.agent.name.clone();
        let claims = self.claims.get(name.as_str())?;
        let firm = |key: &&&str| !matches!(self.grip(key), Grip::Dead | Grip::Expired);
        let claim = claims.iter().find(firm).or_else(|| claims.iter().min())?;
        let known = &self.state.tasks[*claim];
        patient.task = Some((*claim).to_owned());
        patient.since = Some(known.since.clone());
        let restart = Some(format!("swarm-ctl --do 'restart instance {name}'"));
        let run = self.runs.get(name.as_str());
        let run = run.filter(|(_, run)| {
            run.task.as_deref() == Some(*claim) && run.epoch == Some(known.epoch)
        });
        let left_alone = run.is_some_and(|(run, known)| {
            known.ended.is_none() && !self.seen.live_runs.contains(*run)
        });
        match self.grip(claim) {
            Grip::Firm if !left_alone => {}
            Grip::Dead | Grip::Firm => {
                patient.condition = Condition::Dead;
                patient.why = match run {
                    Some((run, _)) => format!(
                        "the process that watched over run {run} is gone; its work is in the tree"
                    ),
                    None => {
                        "the process that held its task is gone; its work is in the tree".to_owned()
                    }
                };
                patient.mend = restart;
                return Some(());
            }
            Grip::Expired => {
                patient.condition = Condition::Dead;
                let heard = self.ago(patient.heard.as_deref());
                patient.why = format!("its lease is over, and nothing was heard{heard}");
                patient.mend = restart;
                return Some(());
            }
        }
        let Some((run, known_run)) = run else {
            patient.condition = Condition::Working;
            patient.why = format!(
                "it has the task by claim {}; no run of it is known",
                known.epoch
            );
            return Some(());
        };
        if let Some(end) = &known_run.ended {
            patient.condition = Condition::Working;
            patient.why = format!(
                "run {run} ended {}; the outcome is being recorded",
                end.outcome
            );
            return Some(());
        }
        if let Some(held) = patient.agent.held.clone().filter(|held| held.freeze) {
            patient.condition = Condition::Paused;
            patient.why = format!("{}; run {run} is frozen", held.what);
            patient.mend = Some(format!("swarm-ctl --do '{}'", held.lift));
            return Some(());
        }
        let silent = millis(&known_run.seen).map_or(0, |seen| self.seen.now_ms - seen);
        let signs = &known_run.signs;
        let turns = signs.turns.map(|turns| format!(", {turns} turns"));
        let turns = turns.unwrap_or_default();
        if silent >= limits.silent_ms {
            patient.condition = Condition::Stalled;
            patient.since = Some(known_run.seen.clone());
            patient.why = format!(
                "no sign of life for {} in run {run}: {} bytes written{turns}, {} ms of processor",
                length(silent),
                signs.bytes,
                signs.cpu_ms
            );
            patient.mend = restart;
            patient.indicators.push(
                Indicator::new(
                    "silence",
                    Level::Critical,
                    format!("{name}: {}", patient.why),
                )
                .with("silent_ms", silent)
                .with("bytes", signs.bytes)
                .with("cpu_ms", signs.cpu_ms),
            );
        } else {
            patient.condition = Condition::Working;
            patient.why = format!(
                "{} runs{turns}, heard {} ago",
                known_run.command,
                length(silent)
            );
        }
        Some(())
    }

    /// One that runs without a claim of a task.
    fn at_something_else(&self, patient: &mut Patient) -> Option<()> {
        let (run, known) = self.runs.get(patient.agent.name.as_str())?;
        if !self.seen.live_runs.contains(*run) {
            return None;
        }
        patient.condition = Condition::Working;
        patient.task.clone_from(&known.task);
        patient.since = Some(known.since.clone());
        patient.why = format!("{} runs, by no claim that counts", known.command);
        Some(())
    }

    fn grip(&self, task: &str) -> Grip {
        self.seen.grips.get(task).copied().unwrap_or(Grip::Firm)
    }

    fn held(&self, patient: &mut Patient) -> Option<()> {
        let held = patient.agent.held.clone()?;
        patient.condition = match held.limit {
            true => Condition::Limited,
            false => Condition::Paused,
        };
        patient.why = held.what;
        patient.since = Some(held.since).filter(|since| !since.is_empty());
        patient.mend = Some(format!("swarm-ctl --do '{}'", held.lift));
        Some(())
    }

    /// One whose last try left something to wait for.
    fn after_a_failure(&self, patient: &mut Patient) -> Option<()> {
        let record = self.state.records.get(&patient.agent.name)?;
        let failure = record.last_failure.as_ref()?;
        let task = &failure.task;
        let phase = self
            .places
            .get(task.as_str())
            .map(|place| self.phases[*place]);
        let why = failure
            .why
            .clone()
            .unwrap_or_else(|| format!("exit status {}", failure.exit));
        match (failure.then, phase) {
            (Then::Human, Some("human")) => {
                patient.condition = Condition::NeedsYou;
                patient.why = format!("task {task}: {why}");
                patient.mend = Some(format!("swarm-assign retry {}", shell(task)));
            }
            (Then::Later, Some("later")) => {
                let at = failure.retry_at.as_deref().unwrap_or_default();
                let left = millis(at).map_or(0, |at| at - self.seen.now_ms);
                patient.condition = Condition::Limited;
                patient.why = format!("{why}; it may go on at {at}, in {}", length(left));
            }
            _ => return None,
        }
        patient.task = Some(task.clone());
        patient.since = Some(failure.at.clone());
        Some(())
    }

    /// One that has nothing in hand and nothing to wait for by itself.
    fn without_work(&self, patient: &mut Patient) {
        let tasks = &self.seen.tasks;
        if tasks.is_empty() {
            patient.why = "no plan is in force".to_owned();
            patient.mend =
                Some("swarm-assign plan TASKS -n 3 --json | swarm-assign adopt".to_owned());
            return;
        }
        if self.phases.iter().all(|phase| *phase == "done") {
            patient.condition = Condition::Done;
            patient.why = match tasks.len() {
                1 => "the one task is done".to_owned(),
                all => format!("all {all} tasks are done"),
            };
            return;
        }
        let may = |task: &Task| {
            let able = patient.agent.capabilities.as_ref();
            let able = able.is_none_or(|able| task.needs.iter().all(|need| able.contains(need)));
            able && (task.only.is_empty() || task.only.contains(&patient.agent.name))
        };
        let open = |place: usize| !matches!(self.phases[place], "done" | "claimed");
        let mine: Vec<usize> = (0..tasks.len())
            .filter(|place| open(*place) && may(&tasks[*place]))
            .collect();
        let ready = mine
            .iter()
            .copied()
            .find(|place| self.phases[*place] == "ready" && tasks[*place].held.is_none());
        if let Some(place) = ready {
            let task = &tasks[place].id;
            if self.seen.conducted {
                patient.why = format!("task {task} is ready and will be given out");
            } else {
                patient.why = format!("task {task} is ready, and nobody hands it out");
                patient.mend = Some("swarm-ctl run --until done".to_owned());
            }
            return;
        }
        let own = mine
            .iter()
            .copied()
            .find(|place| tasks[*place].agent == patient.agent.name);
        let Some(place) = own.or(mine.first().copied()) else {
            patient.why = "nothing that is left is for it".to_owned();
            return;
        };
        let (why, mend) = self.obstacle(place);
        patient.why = format!("nothing is ready: {why}");
        patient.mend = mend;
    }

    /// Why an open task cannot begin, down to what can be done about it.
    fn obstacle(&self, place: usize) -> (String, Option<String>) {
        let mut place = place;
        let mut said = String::new();
        // A cycle cannot be told apart from a long chain; the number of tasks ends both.
        for _ in 0..self.phases.len() {
            let task = &self.seen.tasks[place];
            let id = &task.id;
            if let Some(held) = &task.held {
                return (
                    format!("{said}{}", held.what),
                    Some(format!("swarm-ctl --do '{}'", held.lift)),
                );
            }
            let next = task.after.iter().find_map(|key| {
                let place = self.places.get(key.as_str()).copied()?;
                (self.phases[place] != "done").then_some(place)
            });
            match (self.phases[place], next) {
                ("human", _) => {
                    return (
                        format!("{said}{id} needs you"),
                        Some(format!("swarm-assign retry {}", shell(id))),
                    );
                }
                ("claimed", _) => {
                    let known = self.state.tasks.get(id).map(|known| &known.phase);
                    let with = match known {
                        Some(Phase::Claimed { agent, .. }) => agent.as_str(),
                        _ => "somebody",
                    };
                    return (format!("{said}{id} is with {with}"), None);
                }
                ("later", _) => {
                    let known = self.state.tasks.get(id).map(|known| &known.phase);
                    let at = match known {
                        Some(Phase::Later { retry_at: Some(at) }) => at.as_str(),
                        _ => "a later time",
                    };
                    return (format!("{said}{id} is put off until {at}"), None);
                }
                (_, Some(next)) => {
                    if said.is_empty() {
                        said = format!("{id} waits, and ");
                    }
                    place = next;
                }
                (_, None) => return (format!("{said}{id} is for another"), None),
            }
        }
        (format!("{said}its tasks wait for one another"), None)
    }

    /// ` for 3m`, or nothing if unknown.
    fn ago(&self, time: Option<&str>) -> String {
        let age = time.and_then(millis).map(|time| self.seen.now_ms - time);
        age.map(|age| format!(" for {}", length(age)))
            .unwrap_or_default()
    }
}

impl Patient {
    /// The worst that is to be said about it.
    pub fn level(&self) -> Level {
        let signs = self.indicators.iter().map(|indicator| indicator.level);
        signs.fold(self.condition.level(), Level::max)
    }
}

impl Report {
    /// The worst that is to be said about anything.
    pub fn level(&self) -> Level {
        let agents = self.agents.iter().map(Patient::level);
        let signs = self.indicators.iter().map(|indicator| indicator.level);
        agents.chain(signs).fold(Level::Healthy, Level::max)
    }

    /// Money spent by all runs that agents ever made, in millionths of a dollar; none if no command
    /// told.
    pub fn usd_micros(&self) -> Option<u64> {
        let known = self.agents.iter().filter_map(|agent| agent.usd_micros);
        known.fold(None, |sum, cost| Some(sum.unwrap_or(0) + cost))
    }

    /// The Reflective Module of every part: the swarm first, then each agent.
    pub fn modules(&self, version: &str) -> Vec<ModuleStatus> {
        let Some(now) = timestamp(self.now_ms) else {
            return Vec::new();
        };
        let uptime = |since: Option<&str>| {
            let since = since.and_then(millis).unwrap_or(self.now_ms);
            (self.now_ms - since).max(0) as f64 / 1000.0
        };
        let heard = self
            .agents
            .iter()
            .filter_map(|agent| agent.heard.as_deref());
        let last = heard.filter_map(millis).max().unwrap_or(self.now_ms);
        let swarm = ModuleStatus {
            module_name: "swarm".to_owned(),
            version: version.to_owned(),
            status: self.level().as_str().to_owned(),
            uptime: uptime(self.plan.as_ref().map(|(_, since)| since.as_str())),
            last_activity: timestamp(last).unwrap_or(now),
            health_indicators: self.indicators.iter().map(|sign| sign.wire(now)).collect(),
            performance_metrics: self.metrics(),
            extra: object([("v", Value::from(1_u64)), ("type", Value::from("status"))]),
        };
        let agents = self.agents.iter().map(|patient| {
            let state = Indicator::new("state", patient.condition.level(), &patient.why);
            let state = match &patient.mend {
                Some(mend) => state.mend(mend),
                None => state,
            };
            let signs = std::iter::once(&state).chain(&patient.indicators);
            let heard = patient.heard.as_deref().and_then(millis);
            ModuleStatus {
                module_name: format!("agent/{}", patient.agent.name),
                version: version.to_owned(),
                status: patient.level().as_str().to_owned(),
                uptime: uptime(patient.since.as_deref()),
                last_activity: heard.and_then(timestamp).unwrap_or(now),
                health_indicators: signs.map(|sign| sign.wire(now)).collect(),
                performance_metrics: patient.metrics(),
                extra: patient.extra(),
            }
        });
        std::iter::once(swarm).chain(agents).collect()
    }

    fn metrics(&self) -> Object {
        let tasks = &self.tasks;
        let mut metrics = object(
            [
                ("tasks", tasks.total),
                ("tasks_done", tasks.done),
                ("tasks_claimed", tasks.claimed),
                ("tasks_ready", tasks.ready),
                ("tasks_waiting", tasks.waiting),
                ("tasks_later", tasks.later),
                ("tasks_human", tasks.human),
            ]
            .map(|(name, count)| (name, Value::from(count))),
        );
        for condition in Condition::ALL {
            let same = self
                .agents
                .iter()
                .filter(|agent| agent.condition == condition);
            let name = format!("agents_{}", condition.as_str().replace('-', "_"));
            metrics.insert(name, Value::from(same.count() as u64));
        }
        metrics.insert("usd_micros", number(self.usd_micros()));
        metrics.insert("plan_usd_micros", Value::from(self.plan_usd_micros));
        metrics
    }
}

impl Patient {
    fn metrics(&self) -> Object {
        let tree = self.agent.tree.clone().unwrap_or_default();
        let mail = self.agent.mail.unwrap_or_default();
        object([
            ("done", Value::from(u64::from(self.done))),
            ("failed", Value::from(u64::from(self.failed))),
            ("ahead", number(tree.ahead)),
            ("behind", number(tree.behind)),
            ("files", number(tree.files)),
            ("dirty", number(tree.dirty)),
            ("unread", Value::from(mail.unread)),
            ("dead_mail", Value::from(mail.dead)),
            ("usd_micros", number(self.usd_micros)),
        ])
    }

    /// Our additions to the module of an agent.
    fn extra(&self) -> Object {
        let text = |text: &Option<String>| match text {
            Some(text) => Value::from(text.as_str()),
            None => Value::Null,
        };
        let tree = self.agent.tree.as_ref();
        object([
            ("v", Value::from(1_u64)),
            ("type", Value::from("status")),
            ("agent", Value::from(self.agent.name.as_str())),
            ("slot", number(self.agent.slot.map(u64::from))),
            ("state", Value::from(self.condition.as_str())),
            ("task", text(&self.task)),
            ("since", text(&self.since)),
            ("why", Value::from(self.why.as_str())),
            ("mend", text(&self.mend)),
            ("run", text(&self.run)),
            ("command", text(&self.command)),
            ("branch", text(&tree.and_then(|tree| tree.branch.clone()))),
            ("path", text(&tree.map(|tree| tree.path.clone()))),
        ])
    }
}

impl Indicator {
    fn wire(&self, now: Timestamp) -> HealthIndicator {
        let mut details = self.details.clone();
        if let Some(mend) = &self.mend {
            details.insert("mend", Value::from(mend.as_str()));
        }
        HealthIndicator {
            name: self.name.to_owned(),
            status: self.level.as_str().to_owned(),
            message: self.message.clone(),
            timestamp: now,
            details,
            extra: Object::new(),
        }
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Object {
    let mut object = Object::new();
    for (name, value) in members {
        object.insert(name, value);
    }
    object
}

fn number(count: Option<u64>) -> Value {
    count.map_or(Value::Null, Value::from)
}

fn timestamp(ms: i64) -> Option<Timestamp> {
    let micros = u32::try_from(ms.rem_euclid(1000)).ok()? * 1000;
    Timestamp::from_unix(ms.div_euclid(1000), micros)
}

/// A length of time as people read it: `4s`, `12m`, `3h05m`, `2d`.
pub fn length(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A word as a shell reads it back.
pub fn shell(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
