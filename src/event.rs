//! What can happen in a swarm, and what it adds up to.
//!
//! **For**: the journal is a list of events, one JSON line each; every other state of a swarm (who
//! works on what, what is done, who is there) is a fold over it. This room has both: [`Event`] with
//! its line, and [`State`] with [`State::apply`].
//!
//! The lines are flat. `v`, `type` and `at` (RFC 3339, UTC) come first, `correlation_id` follows;
//! fields are only added within a `v`, and readers ignore those they do not know.
//!
//! | `type` | further fields | has an effect when |
//! |---|---|---|
//! | `plan-adopted` | `plan_id`, `epoch`, `replaces` | the epoch is newer than that of the plan in force |
//! | `joined` | `agent`, `epoch` | the epoch is newer than the agent's |
//! | `left` | `agent`, `epoch`, `why` | the epoch is the agent's, and it is there |
//! | `claimed` | `task`, `agent`, `epoch`, lease | the epoch is newer than the task's, which is not done |
//! | `renewed` | `task`, `epoch`, `n`, lease | the epoch is the task's, and `n` newer than the lease's |
//! | `released` | `task`, `epoch`, `why` | the epoch is the task's, and it is claimed |
//! | `done` | `task`, `agent`, `epoch`, `commit`, `run` | likewise |
//! | `failed` | `task`, `agent`, `epoch`, `exit`, `then`, `retry_at`, `why` | likewise |
//! | `retried` | `task`, `epoch`, `why` | the epoch is the task's, and it is done, or waits for a person or a time |
//! | `reassigned` | `task`, `agent`, `n`, `why` | `n` is newer than that of the task's last one |
//! | `path-claimed` | `path`, `agent`, `epoch`, lease | the epoch is newer than the path's |
//! | `path-released` | `path`, `epoch` | the epoch is the path's, and it is claimed |
//! | `run-began` | `run`, `agent`, `task`, `epoch`, `command`, `holder` | the run is new |
//! | `run-alive` | `run`, `n`, signs | the run goes on, and `n` is newer than that of its last sign |
//! | `run-ended` | `run`, `outcome`, `exit`, `retry_at`, `why`, signs | the run goes on |
//! | `acting` | `action`, `why` | nothing was heard of its correlation id, which is not empty |
//! | `acted` | `action`, `result` | its correlation id, which is not empty, has no result yet |
//! | anything else | anything | never: it is kept and passed over |
//!
//! A lease is `boot` (eight hex digits), `until_boot_ms` (the deadline on the clock of that boot,
//! which nobody sets) and, if a process holds it, `holder` (`BOOT.NS.PID.START`). Signs are what one
//! agent run has shown so far: `bytes` written, `cpu_ms` used, `processes` alive, and `turns`, `tokens`
//! and `usd_micros` (millionths of a dollar) as far as its command tells them.
//!
//! **Promises**: an event takes effect at most once, and one of an earlier epoch never does, however
//! often and late it is read; a line of an unknown type or with unknown fields hurts nobody; reading
//! what was written gives the same event.
//!
//! **Does not**: know the time, look whether a holder lives, or write the journal.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of the lines that this room writes.
pub const VERSION: u32 = 1;

/// A time as events carry it (RFC 3339), in milliseconds since 1970.
pub fn millis(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_millisecond())
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, RFC 3339 in UTC. For people and statistics; no decision depends on it.
    pub at: String,
    /// What joins the records of one matter.
    pub correlation_id: String,
    /// What happened.
    pub what: What,
}

/// What a field of an event is in Rust, how it is read from a [`Line`], and how it is written to one.
macro_rules! form {
    (type text) => { String };
    (type maybe) => { Option<String> };
    (type number) => { u64 };
    (type maybe_number) => { Option<u64> };
    (type status) => { u8 };
    (type then) => { Then };
    (type json) => { String };
    (type lease) => { Lease };
    (type signs) => { Signs };

    (read text $line:ident $field:ident) => { $line.$field.as_ref()?.to_string() };
    (read maybe $line:ident $field:ident) => { $line.$field.as_ref().map(|text| text.to_string()) };
    (read maybe_number $line:ident $field:ident) => { $line.$field };
    (read json $line:ident $field:ident) => { $line.$field?.get().to_owned() };
    (read lease $line:ident $field:ident) => { $line.lease()? };
    (read signs $line:ident $field:ident) => { $line.signs() };
    (read $number:ident $line:ident $field:ident) => { $line.$field? };

    (write text $line:ident $field:ident) => { $line.$field = Some(Cow::Borrowed($field)) };
    (write maybe $line:ident $field:ident) => { $line.$field = $field.as_deref().map(Cow::Borrowed) };
    (write maybe_number $line:ident $field:ident) => { $line.$field = *$field };
    (write json $line:ident $field:ident) => { $line.$field = serde_json::from_str($field).ok() };
    (write lease $line:ident $field:ident) => { $line.set_lease($field) };
    (write signs $line:ident $field:ident) => { $line.set_signs($field) };
    (write $number:ident $line:ident $field:ident) => { $line.$field = Some(*$field) };
}

/// From one list of kinds, each with its `type` and the form of its fields: [`What`], and the way from
/// it to a [`Line`] and back.
macro_rules! events {
    ($($(#[$doc:meta])* $name:literal $kind:ident { $($field:ident: $form:ident),+ })+) => {
        /// The kinds of things that can happen; the page above says when each has an effect.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs)] // The fields are told in the table above.
        pub enum What {
            $($(#[$doc])* $kind { $($field: form!(type $form)),+ },)+
            /// Something that this version does not know: the line as it was.
            Other { line: String },
        }

        impl What {
            /// The `type` of its line.
            pub fn name(&self) -> &'static str {
                match self {
                    $(What::$kind { .. } => $name,)+
                    What::Other { .. } => "other",
                }
            }

            /// Its fields in the form of a line.
            fn line(&self) -> Line<'_> {
                let mut line = Line {
                    r#type: Cow::Borrowed(self.name()),
                    ..Line::default()
                };
                match self {
                    $(What::$kind { $($field),+ } => { $(form!(write $form line $field);)+ })+
                    What::Other { .. } => {}
                }
                line
            }
        }

        impl Line<'_> {
            /// What the line says, if all is there that its type needs.
            fn what(&self) -> Option<What> {
                let line = self;
                Some(match &*line.r#type {
                    $($name => What::$kind { $($field: form!(read $form line $field)),+ },)+
                    _ => return None,
                })
            }
        }
    };
}

events! {
    /// A plan is in force from now on; with `replaces`, made anew from that one.
    "plan-adopted" PlanAdopted { plan_id: text, epoch: number, replaces: maybe }
    /// An agent is there.
    "joined" Joined { agent: text, epoch: number }
    /// An agent is gone.
    "left" Left { agent: text, epoch: number, why: maybe }
    /// An agent has taken a task.
    "claimed" Claimed { task: text, agent: text, epoch: number, lease: lease }
    /// The holder of a task is still at it.
    "renewed" Renewed { task: text, epoch: number, n: number, lease: lease }
    /// The holder has given a task back, undone.
    "released" Released { task: text, epoch: number, why: maybe }
    /// A task is done.
    "done" Done { task: text, agent: text, epoch: number, commit: maybe, run: maybe }
    /// A try of a task failed.
    "failed" Failed {
        task: text, agent: text, epoch: number, exit: status, then: then, retry_at: maybe, why: maybe
    }
    /// A person, or the merge, said: do it again.
    "retried" Retried { task: text, epoch: number, why: maybe }
    /// A task belongs to another agent than the plan says.
    "reassigned" Reassigned { task: text, agent: text, n: number, why: maybe }
    /// An agent has a file for itself.
    "path-claimed" PathClaimed { path: text, agent: text, epoch: number, lease: lease }
    /// It has given the file back.
    "path-released" PathReleased { path: text, epoch: number }
    /// An agent's command was started.
    "run-began" RunBegan {
        run: text, agent: text, task: maybe, epoch: maybe_number, command: text, holder: text
    }
    /// The command showed signs of life since the last such event.
    "run-alive" RunAlive { run: text, n: number, signs: signs }
    /// The command ended, and this is what came of it.
    "run-ended" RunEnded {
        run: text, outcome: text, exit: status, retry_at: maybe, why: maybe, signs: signs
    }
    /// An action is being carried out; what was decided, so that a second try does the same.
    "acting" Acting { action: text, why: maybe }
    /// An action was carried out; its result is one JSON object.
    "acted" Acted { action: text, result: json }
}

/// Until when something is held, and by which process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lease {
    /// The boot on whose clock the deadline counts.
    pub boot: String,
    /// The deadline in milliseconds since that boot.
    pub until_boot_ms: i64,
    /// The process that holds it, `BOOT.NS.PID.START`; none if only the deadline counts.
    pub holder: Option<String>,
}

/// What one agent run has shown so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signs {
    /// Bytes that its processes wrote to standard output and standard error.
    pub bytes: u64,
    /// Processor time of all its processes, in milliseconds.
    pub cpu_ms: u64,
    /// How many of its processes are alive.
    pub processes: u64,
    /// Turns of the agent; none if its command does not tell.
    pub turns: Option<u64>,
    /// Tokens, those from a cache included; likewise.
    pub tokens: Option<u64>,
    /// Money in millionths of a dollar; likewise.
    pub usd_micros: Option<u64>,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// Anybody may try again at once, another agent first.
    Retry,
    /// Not before `retry_at`.
    Later,
    /// A person must look at it.
    Human,
}

/// An event's line, all kinds in one: wire form, apart from what it means.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Line<'a> {
    v: u32,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow)]
    correlation_id: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    plan_id: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    replaces: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    task: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    agent: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    boot: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_boot_ms: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    holder: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    commit: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    run: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<Then>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    outcome: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    retry_at: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    command: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    turns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd_micros: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    why: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    action: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
}

impl Event {
    /// Reads one line. None if it is no JSON object at all: the rest of a write that never ended.
    pub fn read(line: &str) -> Option<Event> {
        if !line.starts_with('{') {
            return None;
        }
        let other = || Event {
            at: String::new(),
            correlation_id: String::new(),
            what: What::Other {
                line: line.to_owned(),
            },
        };
        let Ok(read) = serde_json::from_str::<Line<'_>>(line) else {
            // A known field of another shape is a kind of event that we do not know.
            let object = serde_json::from_str::<BTreeMap<String, &RawValue>>(line);
            return object.is_ok().then(other);
        };
        let event = Event {
            at: read.at.clone().into_owned(),
            correlation_id: read.correlation_id.clone().into_owned(),
            what: What::Other {
                line: String::new(),
            },
        };
        match read.what() {
            Some(what) if read_version(&read) => Some(Event { what, ..event }),
            _ => Some(Event {
                what: other().what,
                ..event
            }),
        }
    }

    /// The line for it, without the newline.
    pub fn line(&self) -> String {
        if let What::Other { line } = &self.what {
            return line.clone();
        }
        let line = Line {
            v: VERSION,
            at: Cow::Borrowed(&self.at),
            correlation_id: Cow::Borrowed(&self.correlation_id),
            ..self.what.line()
        };
        serde_json::to_string(&line).expect("texts and numbers have a JSON form")
    }
}

fn read_version(line: &Line<'_>) -> bool {
    line.v == VERSION
}

impl Line<'_> {
    fn signs(&self) -> Signs {
        Signs {
            bytes: self.bytes.unwrap_or(0),
            cpu_ms: self.cpu_ms.unwrap_or(0),
            processes: self.processes.unwrap_or(0),
            turns: self.turns,
            tokens: self.tokens,
            usd_micros: self.usd_micros,
        }
    }

    fn lease(&self) -> Option<Lease> {
        Some(Lease {
            boot: self.boot.as_ref()?.to_string(),
            until_boot_ms: self.until_boot_ms?,
            holder: self.holder.as_ref().map(|holder| holder.to_string()),
        })
    }
}

impl<'a> Line<'a> {
    fn set_lease(&mut self, lease: &'a Lease) {
        self.boot = Some(Cow::Borrowed(&lease.boot));
        self.until_boot_ms = Some(lease.until_boot_ms);
        self.holder = lease.holder.as_deref().map(Cow::Borrowed);
    }

    fn set_signs(&mut self, signs: &Signs) {
        self.bytes = Some(signs.bytes);
        self.cpu_ms = Some(signs.cpu_ms);
        self.processes = Some(signs.processes);
        self.turns = signs.turns;
        self.tokens = signs.tokens;
        self.usd_micros = signs.usd_micros;
    }
}

/// What the events so far add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The plan in force and its number.
    pub plan: Option<(String, u64)>,
    /// When it came into force, RFC 3339.
    pub plan_since: Option<String>,
    /// The number of the plan that it was made anew from, once or several times; otherwise its own.
    pub plan_first: u64,
    /// Every agent that ever joined.
    pub agents: BTreeMap<String, AgentState>,
    /// Every task that anything happened to.
    pub tasks: HashMap<String, TaskState>,
    /// Every path that anybody claimed.
    pub paths: BTreeMap<String, PathState>,
    /// Every agent run.
    pub runs: BTreeMap<String, RunState>,
    /// How each agent that ever claimed a task fared.
    pub records: BTreeMap<String, Record>,
    /// Every action that was begun, by its correlation id.
    pub actions: BTreeMap<String, ActionState>,
    /// How often something happened after which a task may be ready that was not before. Whoever
    /// gives out tasks need not ask again as long as it stays the same.
    pub turns: u64,
}

/// An agent, as far as the journal knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentState {
    /// How often the name was given to a new worker.
    pub epoch: u64,
    /// Whether it is there.
    pub present: bool,
}

/// How an agent fared with its tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Tasks done.
    pub done: u32,
    /// Tries that failed, limits not counted.
    pub failed: u32,
    /// How many of them since it last did one.
    pub in_a_row: u32,
    /// When it was last heard of: a claim, a sign of life, an outcome. RFC 3339.
    pub heard: String,
    /// How its last try ended, unless it was done.
    pub last_failure: Option<Failure>,
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The task.
    pub task: String,
    /// The exit status.
    pub exit: u8,
    /// What follows for the task.
    pub then: Then,
    /// Not before that time.
    pub retry_at: Option<String>,
    /// What happened.
    pub why: Option<String>,
    /// When, RFC 3339.
    pub at: String,
}

/// An action that was begun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionState {
    /// Verb and noun.
    pub action: String,
    /// What was decided before anything was done.
    pub decided: Option<String>,
    /// The result, one JSON object; none as long as it is not known.
    pub result: Option<String>,
}

/// A task, as far as the journal knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskState {
    /// How often it was claimed.
    pub epoch: u64,
    /// How far it is.
    pub phase: Phase,
    /// Failed tries since a person last said "again".
    pub failures: u32,
    /// Since when it is as far as it is, RFC 3339.
    pub since: String,
    /// When its holder last gave a sign of life, RFC 3339.
    pub heard: String,
    /// What the records of its last claim carry.
    pub correlation_id: String,
    /// Who failed last.
    pub failed_by: Option<String>,
    /// Its agent, where that is not the plan's, and the number of that change.
    pub moved: Option<(String, u64)>,
}

/// How far a task is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nobody has it.
    #[default]
    Open,
    /// Somebody has it, as long as the lease holds.
    Claimed {
        /// Who.
        agent: String,
        /// Until when.
        lease: Lease,
        /// The number of the renewal that gave this lease; 0 for the claim itself.
        n: u64,
    },
    /// It is done.
    Done {
        /// By whom.
        agent: String,
        /// The commit that proves it.
        commit: Option<String>,
    },
    /// It failed and is not to be tried before that time.
    Later {
        /// RFC 3339; none if nobody knows.
        retry_at: Option<String>,
    },
    /// It failed and waits for a person.
    Human {
        /// What is to be looked at.
        why: Option<String>,
    },
}

/// A path that somebody claimed at some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathState {
    /// How often it was claimed.
    pub epoch: u64,
    /// Who has it, and until when; none if it was given back.
    pub holder: Option<(String, Lease)>,
}

/// One run of an agent's command, as far as the journal knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunState {
    /// Whose.
    pub agent: String,
    /// On which task; none for a run that no plan asked for.
    pub task: Option<String>,
    /// By which claim of it.
    pub epoch: Option<u64>,
    /// The name of the command.
    pub command: String,
    /// The `agent-run` that watches over it (`BOOT.NS.PID.START`).
    pub holder: String,
    /// [`State::plan_first`] when it began.
    pub plan_first: u64,
    /// When it began, RFC 3339.
    pub since: String,
    /// The last sign of life, RFC 3339; its beginning if there was none yet.
    pub seen: String,
    /// The number of that sign.
    pub n: u64,
    /// What it has shown so far.
    pub signs: Signs,
    /// How it ended; none while it goes on, or if its `agent-run` was killed.
    pub ended: Option<RunEnd>,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunEnd {
    /// When, RFC 3339.
    pub at: String,
    /// The word for what came of it: `ok`, `hollow`, `dirty` and so on (room `run`).
    pub outcome: String,
    /// The exit status of `agent-run`.
    pub exit: u8,
    /// When a limit ends, RFC 3339.
    pub retry_at: Option<String>,
    /// The reason.
    pub why: Option<String>,
}

/// What an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changed the state.
    Applied,
    /// It was old news, or a duplicate.
    Stale,
    /// It is of a kind that this version does not know.
    Unknown,
}

impl State {
    /// The state after all events of a journal's text, in order; lines that are no events are
    /// passed over.
    pub fn fold<'a>(lines: impl IntoIterator<Item = &'a str>) -> State {
        let mut state = State::default();
        for event in lines.into_iter().filter_map(Event::read) {
            state.apply(&event);
        }
        state
    }

    /// The state of a task; of one that nothing happened to, the first.
    pub fn task(&self, key: &str) -> TaskState {
        self.tasks.get(key).cloned().unwrap_or_default()
    }

    /// What all runs since the plan came into force have cost, in millionths of a dollar, as far as
    /// their commands told. It counts on when the plan is made anew.
    pub fn spent(&self) -> u64 {
        self.costs().sum()
    }

    /// What the dearest of them has cost.
    pub fn dearest(&self) -> u64 {
        self.costs().max().unwrap_or(0)
    }

    fn costs(&self) -> impl Iterator<Item = u64> {
        let runs = self.runs.values();
        let counted = runs.filter(|run| run.plan_first == self.plan_first);
        counted.filter_map(|run| run.signs.usd_micros)
    }

    /// Lets one event happen.
    pub fn apply(&mut self, event: &Event) -> Effect {
        if let What::Acting { .. } | What::Acted { .. } = event.what {
            return self.apply_action(event);
        }
        let effect = self.apply_what(&event.what);
        if effect != Effect::Applied {
            return effect;
        }
        if frees(&event.what) {
            self.turns += 1;
        }
        match &event.what {
            What::PlanAdopted { .. } => self.plan_since = Some(event.at.clone()),
            What::Claimed { task, .. } => {
                if let Some(known) = self.tasks.get_mut(task) {
                    known.correlation_id.clone_from(&event.correlation_id);
                    known.since.clone_from(&event.at);
                    known.heard.clone_from(&event.at);
                }
            }
            What::Renewed { task, .. } => {
                if let Some(known) = self.tasks.get_mut(task) {
                    known.heard.clone_from(&event.at);
                }
            }
            What::Released { task, .. }
            | What::Done { task, .. }
            | What::Failed { task, .. }
            | What::Retried { task, .. } => {
                if let Some(known) = self.tasks.get_mut(task) {
                    known.since.clone_from(&event.at);
                }
            }
            What::RunBegan { run, .. } => {
                if let Some(known) = self.runs.get_mut(run) {
                    known.since.clone_from(&event.at);
                    known.seen.clone_from(&event.at);
                }
            }
            What::RunAlive { run, .. } => {
                if let Some(known) = self.runs.get_mut(run) {
                    known.seen.clone_from(&event.at);
                }
            }
            What::RunEnded { run, .. } => {
                let ended = self.runs.get_mut(run).and_then(|run| run.ended.as_mut());
                if let Some(end) = ended {
                    end.at.clone_from(&event.at);
                }
            }
            _ => {}
        }
        self.note(event);
        effect
    }

    /// Keeps the record of the agent that an event, which had an effect, is about.
    fn note(&mut self, event: &Event) {
        let agent = match &event.what {
            What::Claimed { agent, .. } | What::Done { agent, .. } | What::Failed { agent, .. } => {
                agent
            }
            What::Renewed { task, .. } => match self.tasks.get(task).map(|known| &known.phase) {
                Some(Phase::Claimed { agent, .. }) => agent,
                _ => return,
            },
            _ => return,
        };
        let record = self.records.entry(agent.clone()).or_default();
        record.heard.clone_from(&event.at);
        match &event.what {
            What::Done { .. } => {
                record.done += 1;
                record.in_a_row = 0;
                record.last_failure = None;
            }
            What::Failed {
                task,
                exit,
                then,
                retry_at,
                why,
                ..
            } => {
                if *then != Then::Later {
                    record.failed += 1;
                    record.in_a_row += 1;
                }
                record.last_failure = Some(Failure {
                    task: task.clone(),
                    exit: *exit,
                    then: *then,
                    retry_at: retry_at.clone(),
                    why: why.clone(),
                    at: event.at.clone(),
                });
            }
            _ => {}
        }
    }

    fn apply_action(&mut self, event: &Event) -> Effect {
        if event.correlation_id.is_empty() {
            return Effect::Stale;
        }
        let known = self.actions.get(&event.correlation_id);
        let state = match &event.what {
            What::Acting { action, why } if known.is_none() => ActionState {
                action: action.clone(),
                decided: why.clone(),
                result: None,
            },
            What::Acted { action, result } if known.is_none_or(|k| k.result.is_none()) => {
                ActionState {
                    action: action.clone(),
                    decided: known.and_then(|known| known.decided.clone()),
                    result: Some(result.clone()),
                }
            }
            _ => return Effect::Stale,
        };
        self.actions.insert(event.correlation_id.clone(), state);
        Effect::Applied
    }

    fn apply_what(&mut self, what: &What) -> Effect {
        let applied = match what {
            What::Other { .. } | What::Acting { .. } | What::Acted { .. } => {
                return Effect::Unknown;
            }
            What::PlanAdopted {
                plan_id,
                epoch,
                replaces,
            } => {
                let newer = self.plan.as_ref().is_none_or(|(_, now)| epoch > now);
                if newer {
                    if replaces.is_none() || self.plan.is_none() {
                        self.plan_first = *epoch;
                    }
                    self.plan = Some((plan_id.clone(), *epoch));
                }
                newer
            }
            What::Joined { agent, epoch } => {
                let known = self.agents.entry(agent.clone()).or_default();
                let newer = *epoch > known.epoch;
                if newer {
                    *known = AgentState {
                        epoch: *epoch,
                        present: true,
                    };
                }
                newer
            }
            What::Left { agent, epoch, .. } => match self.agents.get_mut(agent) {
                Some(known) if known.epoch == *epoch && known.present => {
                    known.present = false;
                    true
                }
                _ => false,
            },
            What::PathClaimed {
                path,
                agent,
                epoch,
                lease,
            } => {
                let known = self.paths.entry(path.clone()).or_default();
                let newer = *epoch > known.epoch;
                if newer {
                    *known = PathState {
                        epoch: *epoch,
                        holder: Some((agent.clone(), lease.clone())),
                    };
                }
                newer
            }
            What::PathReleased { path, epoch } => match self.paths.get_mut(path) {
                Some(known) if known.epoch == *epoch => known.holder.take().is_some(),
                _ => false,
            },
            What::RunBegan {
                run,
                agent,
                task,
                epoch,
                command,
                holder,
            } => {
                let new = !self.runs.contains_key(run);
                if new {
                    let known = RunState {
                        agent: agent.clone(),
                        task: task.clone(),
                        epoch: *epoch,
                        command: command.clone(),
                        holder: holder.clone(),
                        plan_first: self.plan_first,
                        ..RunState::default()
                    };
                    self.runs.insert(run.clone(), known);
                }
                new
            }
            What::RunAlive { run, n, signs } => match self.runs.get_mut(run) {
                Some(known) if known.ended.is_none() && *n > known.n => {
                    known.n = *n;
                    known.signs = *signs;
                    true
                }
                _ => false,
            },
            What::RunEnded {
                run,
                outcome,
                exit,
                retry_at,
                why,
                signs,
            } => match self.runs.get_mut(run) {
                Some(known) if known.ended.is_none() => {
                    known.signs = *signs;
                    known.ended = Some(RunEnd {
                        at: String::new(),
                        outcome: outcome.clone(),
                        exit: *exit,
                        retry_at: retry_at.clone(),
                        why: why.clone(),
                    });
                    true
                }
                _ => false,
            },
            What::Claimed { task, .. }
            | What::Renewed { task, .. }
            | What::Released { task, .. }
            | What::Done { task, .. }
            | What::Failed { task, .. }
            | What::Retried { task, .. }
            | What::Reassigned { task, .. } => match self.tasks.get_mut(task) {
                Some(known) => known.apply(what),
                None => {
                    let mut known = TaskState::default();
                    let applied = known.apply(what);
                    if applied {
                        self.tasks.insert(task.clone(), known);
                    }
                    applied
                }
            },
        };
        if applied {
            Effect::Applied
        } else {
            Effect::Stale
        }
    }
}

/// Whether a task may be ready after it that was not before.
fn frees(what: &What) -> bool {
    !matches!(
        what,
        What::Claimed { .. }
            | What::Renewed { .. }
            | What::PathClaimed { .. }
            | What::RunBegan { .. }
            | What::RunAlive { .. }
    )
}

impl TaskState {
    /// Lets an event happen that is about this task; says whether it had an effect.
    fn apply(&mut self, what: &What) -> bool {
        match what {
            What::Claimed {
                agent,
                epoch,
                lease,
                ..
            } => {
                if *epoch <= self.epoch || matches!(self.phase, Phase::Done { .. }) {
                    return false;
                }
                self.epoch = *epoch;
                self.phase = Phase::Claimed {
                    agent: agent.clone(),
                    lease: lease.clone(),
                    n: 0,
                };
            }
            What::Renewed {
                epoch, n, lease, ..
            } => match &mut self.phase {
                Phase::Claimed {
                    lease: now,
                    n: last,
                    ..
                } if *epoch == self.epoch && *n > *last => {
                    now.clone_from(lease);
                    *last = *n;
                }
                _ => return false,
            },
            What::Released { epoch, .. } if self.holds(*epoch) => self.phase = Phase::Open,
            What::Done {
                epoch,
                agent,
                commit,
                ..
            } if self.holds(*epoch) => {
                self.phase = Phase::Done {
                    agent: agent.clone(),
                    commit: commit.clone(),
                };
            }
            What::Failed {
                epoch,
                agent,
                then,
                retry_at,
                why,
                ..
            } if self.holds(*epoch) => {
                // A limit is no fault of the task, nor of who met it.
                if *then != Then::Later {
                    self.failures += 1;
                    self.failed_by = Some(agent.clone());
                }
                self.phase = match then {
                    Then::Retry => Phase::Open,
                    Then::Later => Phase::Later {
                        retry_at: retry_at.clone(),
                    },
                    Then::Human => Phase::Human { why: why.clone() },
                };
            }
            What::Retried { epoch, .. } => {
                let free = matches!(self.phase, Phase::Open | Phase::Claimed { .. });
                if *epoch != self.epoch || free {
                    return false;
                }
                self.phase = Phase::Open;
                self.failures = 0;
            }
            What::Reassigned { agent, n, .. } => {
                if self.moved.as_ref().is_some_and(|(_, last)| n <= last) {
                    return false;
                }
                self.moved = Some((agent.clone(), *n));
            }
            _ => return false,
        }
        true
    }

    /// Whether the claim of that epoch is the one that counts.
    pub fn holds(&self, epoch: u64) -> bool {
        epoch == self.epoch && matches!(self.phase, Phase::Claimed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["a", "b"]).prop_map(str::to_owned)
    }

    fn lease() -> impl Strategy<Value = Lease> {
        (any::<i64>(), prop::option::of("[0-9a-f]{8}\\.1\\.2\\.3")).prop_map(|(until, holder)| {
            Lease {
                boot: "0123abcd".to_owned(),
                until_boot_ms: until,
                holder,
            }
        })
    }

    fn what() -> impl Strategy<Value = What> {
        let why = || prop::option::of(any::<String>());
        let epoch = || 1_u64..5;
        prop_oneof![
            (name(), epoch(), why()).prop_map(|(plan_id, epoch, replaces)| What::PlanAdopted {
                plan_id,
                epoch,
                replaces,
            }),
            (name(), epoch()).prop_map(|(agent, epoch)| What::Joined { agent, epoch }),
            (name(), epoch(), why()).prop_map(|(agent, epoch, why)| What::Left {
                agent,
                epoch,
                why
            }),
            (name(), name(), epoch(), lease()).prop_map(|(task, agent, epoch, lease)| {
                What::Claimed {
                    task,
                    agent,
                    epoch,
                    lease,
                }
            }),
            (name(), epoch(), 1_u64..4, lease()).prop_map(|(task, epoch, n, lease)| {
                What::Renewed {
                    task,
                    epoch,
                    n,
                    lease,
                }
            }),
            (name(), epoch(), why()).prop_map(|(task, epoch, why)| What::Released {
                task,
                epoch,
                why
            }),
            (name(), name(), epoch(), why(), why()).prop_map(
                |(task, agent, epoch, commit, run)| {
                    What::Done {
                        task,
                        agent,
                        epoch,
                        commit,
                        run,
                    }
                }
            ),
            (
                name(),
                name(),
                epoch(),
                prop::sample::select(vec![Then::Retry, Then::Later, Then::Human])
            )
                .prop_map(|(task, agent, epoch, then)| What::Failed {
                    task,
                    agent,
                    epoch,
                    exit: 10,
                    then,
                    retry_at: None,
                    why: None,
                }),
            (name(), epoch(), why()).prop_map(|(task, epoch, why)| What::Retried {
                task,
                epoch,
                why
            }),
            (name(), name(), 1_u64..4, why()).prop_map(|(task, agent, n, why)| What::Reassigned {
                task,
                agent,
                n,
                why
            }),
            (name(), name(), epoch(), lease()).prop_map(|(path, agent, epoch, lease)| {
                What::PathClaimed {
                    path,
                    agent,
                    epoch,
                    lease,
                }
            }),
            (name(), epoch()).prop_map(|(path, epoch)| What::PathReleased { path, epoch }),
            (name(), name(), why(), prop::option::of(epoch())).prop_map(
                |(run, agent, task, epoch)| What::RunBegan {
                    run,
                    agent,
                    task,
                    epoch,
                    command: "claude".into(),
                    holder: "0123abcd.1.2.3".into(),
                }
            ),
            (name(), 1_u64..4, any::<u64>()).prop_map(|(run, n, bytes)| What::RunAlive {
                run,
                n,
                signs: Signs {
                    bytes,
                    turns: Some(n),
                    ..Signs::default()
                },
            }),
            (name(), why(), why()).prop_map(|(run, why, retry_at)| What::RunEnded {
                run,
                outcome: "limited".into(),
                exit: 75,
                retry_at,
                why,
                signs: Signs::default(),
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_it_was_written(what in what(), at in any::<String>(), id in any::<String>()) {
            let event = Event { at, correlation_id: id, what };
            let line = event.line();
            prop_assert!(!line.contains('\n'));
            let first = line.starts_with("{\"v\":1,\"type\":\"");
            prop_assert!(first);
            prop_assert_eq!(Event::read(&line), Some(event));
        }

        #[test]
        fn an_event_that_took_effect_never_does_so_again(events in prop::collection::vec(what(), 1..40)) {
            let mut state = State::default();
            let mut applied: Vec<What> = Vec::new();
            for event in events {
                let before = state.clone();
                let again = applied.contains(&event);
                let effect = state.apply_what(&event);
                if again {
                    prop_assert_eq!(effect, Effect::Stale, "{:?} took effect twice", event);
                    prop_assert_eq!(&state.tasks, &before.tasks);
                }
                if effect == Effect::Applied {
                    applied.push(event);
                }
            }
        }

        #[test]
        fn duplicates_and_old_epochs_change_nothing(
            events in prop::collection::vec(what(), 1..30),
            late in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20),
        ) {
            let mut plain = State::default();
            let applied: Vec<What> = events
                .into_iter()
                .filter(|event| plain.apply_what(event) == Effect::Applied)
                .collect();
            prop_assume!(!applied.is_empty());
            // Each duplicate comes somewhere after the event that it repeats.
            let mut extra: Vec<Vec<What>> = vec![Vec::new(); applied.len()];
            for (which, place) in late {
                let which = which.index(applied.len());
                let place = which + place.index(applied.len() - which);
                extra[place].push(applied[which].clone());
            }
            let mut noisy = State::default();
            for (event, duplicates) in applied.iter().zip(&extra) {
                noisy.apply_what(event);
                for duplicate in duplicates {
                    prop_assert_eq!(noisy.apply_what(duplicate), Effect::Stale);
                }
            }
            prop_assert_eq!(noisy, plain);
        }

        #[test]
        fn no_line_makes_the_reader_panic(line in any::<String>()) {
            Event::read(&line);
        }
    }

    #[test]
    fn unknown_kinds_newer_versions_and_odd_shapes_are_kept_and_passed_over() {
        for line in [
            r#"{"v":1,"type":"sneezed","at":"2026-11-24T09:00:00Z","agent":"a"}"#,
            r#"{"v":2,"type":"done","task":"1","agent":"a","epoch":1}"#,
            r#"{"v":1,"type":"done","task":{"key":"1"}}"#,
            r#"{"v":1,"type":"done"}"#,
        ] {
            let event = Event::read(line).unwrap();
            assert_eq!(event.line(), line);
            assert_eq!(
                State::default().apply_what(&event.what),
                Effect::Unknown,
                "{line}"
            );
        }
        for torn in ["", "{\"v\":1,\"ty", "null", "[1]", "\0\0\0"] {
            assert_eq!(Event::read(torn), None, "{torn:?}");
        }
        let more = r#"{"v":1,"type":"done","new":{"a":[1]},"task":"1","agent":"a","epoch":1}"#;
        assert_eq!(Event::read(more).unwrap().what.name(), "done");
    }

    #[test]
    fn an_action_is_begun_and_answered_once_and_its_result_comes_back_as_it_was() {
        let event = |id: &str, what: What| Event {
            at: "2026-11-24T09:00:00Z".into(),
            correlation_id: id.into(),
            what,
        };
        let acting = |why: &str| What::Acting {
            action: "scale swarm".into(),
            why: Some(why.into()),
        };
        let acted = |result: &str| What::Acted {
            action: "scale swarm".into(),
            result: result.into(),
        };
        let mut state = State::default();
        for (what, effect) in [
            (acting("to 3"), Effect::Applied),
            (acting("to 4"), Effect::Stale),
            (acted(r#"{"success":true,"n":1e400}"#), Effect::Applied),
            (acted("{}"), Effect::Stale),
            (acting("to 5"), Effect::Stale),
        ] {
            let event = event("c", what);
            assert_eq!(Event::read(&event.line()).as_ref(), Some(&event));
            assert_eq!(state.apply(&event), effect);
        }
        let known = &state.actions["c"];
        assert_eq!(known.decided.as_deref(), Some("to 3"));
        assert_eq!(
            known.result.as_deref(),
            Some(r#"{"success":true,"n":1e400}"#)
        );
        assert_eq!(state.apply(&event("", acted("{}"))), Effect::Stale);
    }

    #[test]
    fn the_record_of_an_agent_counts_what_had_an_effect() {
        let mut state = State::default();
        let mut happen = |at: &str, what: What| {
            state.apply(&Event {
                at: at.into(),
                correlation_id: String::new(),
                what,
            })
        };
        let claimed = |epoch| What::Claimed {
            task: "1".into(),
            agent: "a".into(),
            epoch,
            lease: Lease::default(),
        };
        let failed = |epoch, then| What::Failed {
            task: "1".into(),
            agent: "a".into(),
            epoch,
            exit: 14,
            then,
            retry_at: None,
            why: None,
        };
        happen("1", claimed(1));
        happen("2", failed(1, Then::Retry));
        assert_eq!(happen("3", failed(1, Then::Retry)), Effect::Stale);
        happen("4", claimed(2));
        happen("5", failed(2, Then::Later));
        happen("6", claimed(3));
        let lease = Lease::default();
        let renewed = What::Renewed {
            task: "1".into(),
            epoch: 3,
            n: 1,
            lease,
        };
        happen("7", renewed);
        let record = &state.records["a"];
        assert_eq!(
            (record.failed, record.in_a_row, &*record.heard),
            (1, 1, "7")
        );
        assert_eq!(record.last_failure.as_ref().unwrap().at, "5");
        assert_eq!(state.task("1").heard, "7");
    }

    #[test]
    fn the_result_of_an_earlier_epoch_does_nothing() {
        let claimed = |agent: &str, epoch| What::Claimed {
            task: "1".into(),
            agent: agent.into(),
            epoch,
            lease: Lease::default(),
        };
        let done = |agent: &str, epoch| What::Done {
            task: "1".into(),
            agent: agent.into(),
            epoch,
            commit: None,
            run: None,
        };
        let mut state = State::default();
        assert_eq!(state.apply_what(&claimed("a", 1)), Effect::Applied);
        assert_eq!(state.apply_what(&claimed("b", 2)), Effect::Applied);
        assert_eq!(state.apply_what(&done("a", 1)), Effect::Stale);
        assert_eq!(state.apply_what(&done("b", 2)), Effect::Applied);
        assert_eq!(
            state.apply_what(&claimed("a", 3)),
            Effect::Stale,
            "done is done"
        );
        assert_eq!(
            state.task("1").phase,
            Phase::Done {
                agent: "b".into(),
                commit: None
            }
        );
    }
}
