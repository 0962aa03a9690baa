//! Giving out tasks: who gets what, for how long, and what becomes of it.
//!
//! First decide, then do: [`choose`] is a function of the plan, the state and the time; [`Desk`]
//! takes the journal's lock, asks it, and records the answer, so that of many who ask at once each
//! gets another task.
//!
//! A claim holds as long as its [`Lease`]: until the deadline on the clock since boot, which nobody
//! sets and which goes on while the machine sleeps; and if a process holds it, only while that very
//! process lives. Claims of an earlier boot are over. Each claim has an epoch, one more than the one
//! before; whatever comes from an earlier epoch is recorded and has no effect.
//!
//! Of the tasks that an agent may take now it gets, in this order: not one that it failed at last if
//! there is another; its own by the plan, then those of agents that are busy or gone, then those of
//! idle ones; the one at the head of the longest chain of work; the first in the plan.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::hold::Holds;
use super::journal::{self, Journal};
use super::plan::{Plan, Task};
use super::{Error, Holder, Root, holder};
use crate::event::{Effect, Event, Lease, Phase, State, TaskState, Then, What};

/// How long a claim holds without a sign of life, if nobody says otherwise.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(30 * 60);
/// How long one waits after a limit whose end is not known.
pub const DEFAULT_PAUSE: Duration = Duration::from_secs(15 * 60);

/// What an agent asks for.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// Who asks.
    pub agent: &'a str,
    /// What it can do; none if nothing is known, and then it may be given anything.
    pub capabilities: Option<&'a [String]>,
    /// This task and no other.
    pub task: Option<&'a str>,
    /// Only what the plan has for it.
    pub own: bool,
}

/// Why a task cannot be taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waits {
    /// It is done.
    Done,
    /// Somebody has it.
    Taken(String),
    /// Another task must be done first.
    After(String),
    /// Somebody holds what it needs: the resource or file, and the agent or task.
    Held(String, String),
    /// It needs what the agent does not offer.
    Needs(String),
    /// It is confined to other agents.
    Only(Vec<String>),
    /// It is not to be tried before a time.
    Until(String),
    /// A person must look at it first.
    Human(String),
    /// Somebody paused or stopped it, the agent, or everybody.
    Paused(String),
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Waits::Done => write!(f, "is done"),
            Waits::Taken(agent) => write!(f, "is with {agent}"),
            Waits::After(task) => write!(f, "waits for {task}"),
            Waits::Held(what, by) => write!(f, "waits for {what}, which {by} holds"),
            Waits::Needs(what) => write!(f, "needs {what:?}"),
            Waits::Only(agents) => write!(f, "is for {} alone", agents.join(", ")),
            Waits::Until(time) => write!(f, "is put off until {time}"),
            Waits::Human(why) => write!(f, "waits for a person: {why}"),
            Waits::Paused(what) => write!(f, "is held: {what}"),
        }
    }
}

/// What there is for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This task, by its place in the plan.
    Take(usize),
    /// Nothing now; why, for each task that is not done. Empty: everything is done.
    Nothing(Vec<(usize, Waits)>),
}

/// The time, which leases are over by it, and who is held.
pub struct Now<'a> {
    /// RFC 3339, UTC.
    pub at: &'a str,
    /// Whether a lease is over.
    pub over: &'a dyn Fn(&Lease) -> bool,
    /// Who is paused or stopped.
    pub holds: &'a Holds,
}

/// The best task for an agent now.
pub fn choose(plan: &Plan, state: &State, wish: &Wish<'_>, now: &Now<'_>) -> Choice {
    let hands = Hands::new(plan, state, now);
    let tails = plan.tails();
    let mut best: Option<(_, usize)> = None;
    let mut waiting = Vec::new();
    for (place, task) in plan.tasks.iter().enumerate() {
        if wish.task.is_some_and(|wanted| wanted != task.id) {
            continue;
        }
        let known = state.tasks.get(&task.id);
        let owner = owner(task, known);
        if wish.own && owner != wish.agent {
            continue;
        }
        match hands.why_not(place, wish) {
            Some(Waits::Done) => {}
            Some(why) => waiting.push((place, why)),
            None => {
                let failed_here =
                    known.is_some_and(|known| known.failed_by.as_deref() == Some(wish.agent));
                let nearness = match owner {
                    owner if owner == wish.agent => 2,
                    owner if hands.is_busy_or_gone(owner) => 1,
                    _ => 0,
                };
                let rank = (!failed_here, nearness, tails[place]);
                if best.as_ref().is_none_or(|(other, _)| rank > *other) {
                    best = Some((rank, place));
                }
            }
        }
    }
    match best {
        Some((_, place)) => Choice::Take(place),
        None => Choice::Nothing(waiting),
    }
}

/// Whose a task is: the plan's agent, unless it was reassigned.
fn owner<'a>(task: &'a Task, known: Option<&'a TaskState>) -> &'a str {
    match known.and_then(|known| known.moved.as_ref()) {
        Some((agent, _)) => agent,
        None => &task.agent,
    }
}

/// Who has what in hand at one moment.
struct Hands<'a> {
    plan: &'a Plan,
    state: &'a State,
    now: &'a Now<'a>,
    places: HashMap<&'a str, usize>,
    /// For each task, who has it.
    with: Vec<Option<&'a str>>,
    busy: HashSet<&'a str>,
    /// For each task the resources it uses, and whether it holds all of one.
    uses: Vec<Vec<(usize, bool)>>,
    /// For each resource how much of it is held, and by which task.
    held: Vec<(u64, usize)>,
    /// Paths that were claimed by themselves, and by whom.
    paths: Vec<(&'a str, &'a str)>,
}

impl<'a> Hands<'a> {
    fn new(plan: &'a Plan, state: &'a State, now: &'a Now<'a>) -> Hands<'a> {
        let places = plan.places();
        let with: Vec<Option<&str>> = plan
            .tasks
            .iter()
            .map(|task| match &state.tasks.get(&task.id)?.phase {
                Phase::Claimed { agent, lease, .. } if !(now.over)(lease) => Some(agent.as_str()),
                _ => None,
            })
            .collect();
        let mut uses = vec![Vec::new(); plan.tasks.len()];
        let mut held = vec![(0, 0); plan.resources.len()];
        for (number, resource) in plan.resources.iter().enumerate() {
            let whole: HashSet<&str> = resource.whole.iter().map(String::as_str).collect();
            let users = resource.tasks.iter().chain(&resource.whole);
            for key in users {
                let Some(&place) = places.get(key.as_str()) else {
                    continue;
                };
                let all = whole.contains(key.as_str());
                if uses[place].last().is_some_and(|(last, _)| *last == number) {
                    continue;
                }
                uses[place].push((number, all));
                if with[place].is_some() {
                    let amount = if all { resource.capacity } else { 1 };
                    held[number] = (held[number].0 + amount, place);
                }
            }
        }
        let paths = state.paths.iter().filter_map(|(path, known)| {
            let (agent, lease) = known.holder.as_ref()?;
            (!(now.over)(lease)).then_some((path.as_str(), agent.as_str()))
        });
        Hands {
            plan,
            state,
            now,
            busy: with.iter().flatten().copied().collect(),
            paths: paths.collect(),
            places,
            with,
            uses,
            held,
        }
    }

    fn is_busy_or_gone(&self, agent: &str) -> bool {
        let gone = |known: &crate::event::AgentState| !known.present;
        self.busy.contains(agent) || self.state.agents.get(agent).is_some_and(gone)
    }

    /// Why the agent cannot take the task; none if it can.
    fn why_not(&self, place: usize, wish: &Wish<'_>) -> Option<Waits> {
        let task = &self.plan.tasks[place];
        let known = self.state.tasks.get(&task.id);
        match known.map(|known| &known.phase) {
            Some(Phase::Done { .. }) => return Some(Waits::Done),
            Some(Phase::Human { why }) => {
                let why = why.clone().unwrap_or_else(|| "it failed".to_owned());
                return Some(Waits::Human(why));
            }
            Some(Phase::Later {
                retry_at: Some(time),
            }) if is_before(self.now.at, time) => return Some(Waits::Until(time.clone())),
            _ => {}
        }
        if let Some(agent) = self.with[place] {
            return Some(Waits::Taken(agent.to_owned()));
        }
        let holds = self.now.holds;
        if let Some(hold) = holds
            .on_agent(wish.agent)
            .or_else(|| holds.on_task(&task.id))
        {
            return Some(Waits::Paused(hold.to_string()));
        }
        if !task.only.is_empty() && !task.only.iter().any(|name| name == wish.agent) {
            return Some(Waits::Only(task.only.clone()));
        }
        if let Some(offered) = wish.capabilities
            && let Some(missing) = task.needs.iter().find(|need| !offered.contains(need))
        {
            return Some(Waits::Needs(missing.clone()));
        }
        let undone = task.after.iter().find(|key| !self.is_done(key));
        if let Some(key) = undone {
            return Some(Waits::After(key.clone()));
        }
        for &(number, all) in &self.uses[place] {
            let resource = &self.plan.resources[number];
            let (held, by) = self.held[number];
            let wanted = if all { resource.capacity } else { 1 };
            if held > 0 && held + wanted > resource.capacity {
                let by = &self.plan.tasks[by].id;
                return Some(Waits::Held(resource.name.clone(), by.clone()));
            }
        }
        let of_another = |touched: &String| {
            self.paths
                .iter()
                .find(|(path, agent)| *agent != wish.agent && overlap(path, touched))
        };
        let (path, agent) = task.touches.iter().find_map(of_another)?;
        Some(Waits::Held((*path).to_owned(), (*agent).to_owned()))
    }

    /// Whether what waits for `key` need not wait: it is done, or was before the plan was made.
    fn is_done(&self, key: &str) -> bool {
        if !self.places.contains_key(key) {
            return true;
        }
        let known = self.state.tasks.get(key);
        known.is_some_and(|known| matches!(known.phase, Phase::Done { .. }))
    }
}

/// Whether one path is the other, or a directory (with a slash at its end) that holds it.
pub fn overlap(a: &str, b: &str) -> bool {
    let within = |outer: &str, inner: &str| {
        inner == outer || outer.ends_with('/') && inner.starts_with(outer)
    };
    within(a, b) || within(b, a)
}

/// Whether one RFC 3339 time is before another; a text that is none is never before.
fn is_before(a: &str, b: &str) -> bool {
    let read = |text: &str| text.parse::<jiff::Timestamp>().ok();
    matches!((read(a), read(b)), (Some(a), Some(b)) if a < b)
}

/// What an exit status of `agent-run` or a plain command means for the task: its word, and what
/// follows when it was tried `failures` times before in vain and a task may be tried `retries`
/// times more.
pub fn verdict(exit: u8, failures: u32, retries: u32) -> (&'static str, Then) {
    let (word, again) = match exit {
        10 => ("hollow", retries.min(1)),
        // The work lies in the tree of the one who left it; another would do it a second time.
        11 => ("dirty", 0),
        12 => ("needs a human", 0),
        13 => ("denied", 0),
        14 => ("crashed", retries),
        15 => ("stalled", retries.min(1)),
        16 => ("over budget", 0),
        75 => return ("limited", Then::Later),
        124 => ("timed out", retries.min(1)),
        125..=127 => ("could not be started", 0),
        129.. => ("killed", retries),
        2 => ("trouble", 0),
        _ => ("failed", retries),
    };
    let then = if failures < again {
        Then::Retry
    } else {
        Then::Human
    };
    (word, then)
}

/// What somebody wants to follow, otherwise than [`verdict`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// This.
    Then(Then),
    /// The task is given back, for another agent.
    Reroute,
}

/// How a try of a task ended, for [`follow_up`].
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The exit status of `agent-run`; 0 is done.
    pub exit: u8,
    /// Whether it was stopped from outside: then the task is given back, and nobody is to blame.
    pub stopped: bool,
    /// What is wanted to follow, if not the usual.
    pub wanted: Option<Wanted>,
    /// The reason.
    pub why: &'a str,
    /// When a limit ends, RFC 3339.
    pub retry_at: Option<&'a str>,
    /// The commit that proves it.
    pub commit: Option<&'a str>,
    /// The run.
    pub run: &'a str,
}

/// What follows for a task when a try of it ends: done, given back, or failed by [`verdict`].
pub fn follow_up(
    task: &str,
    agent: &str,
    epoch: u64,
    known: &TaskState,
    retries: u32,
    report: &Report<'_>,
) -> What {
    let (task, agent) = (task.to_owned(), agent.to_owned());
    if report.exit == 0 {
        return What::Done {
            task,
            agent,
            epoch,
            commit: report.commit.map(str::to_owned),
            run: Some(report.run.to_owned()),
        };
    }
    if report.stopped || report.wanted == Some(Wanted::Reroute) {
        return What::Released {
            task,
            epoch,
            why: Some(report.why.to_owned()),
        };
    }
    let (word, usual) = verdict(report.exit, known.failures, retries);
    let then = match report.wanted {
        Some(Wanted::Then(then)) => then,
        _ => usual,
    };
    What::Failed {
        task,
        agent,
        epoch,
        exit: report.exit,
        then,
        retry_at: match then {
            Then::Later => report.retry_at.map(str::to_owned).or_else(after_a_pause),
            Then::Retry | Then::Human => None,
        },
        why: Some(format!("{word}: {}", report.why)),
    }
}

/// The time after [`DEFAULT_PAUSE`], RFC 3339.
pub fn after_a_pause() -> Option<String> {
    let until = jiff::Timestamp::now().checked_add(DEFAULT_PAUSE);
    until.map(|time| format!("{time:.0}")).ok()
}

/// A claim as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The task's place in the plan.
    pub place: usize,
    /// Its key.
    pub task: String,
    /// Who has it.
    pub agent: String,
    /// Which claim of this task it is.
    pub epoch: u64,
    /// Until when it holds.
    pub lease: Lease,
    /// What all records of this claim carry.
    pub correlation_id: String,
}

/// Where tasks are given out and given back.
#[derive(Debug)]
pub struct Desk {
    root: Root,
    journal: Journal,
    plan: Plan,
    stamp: Stamp,
}

/// What came of giving something back, or of asking for longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was recorded.
    pub event: Event,
    /// Whether it had an effect; [`Effect::Stale`] means that the claim is over.
    pub effect: Effect,
}

impl Desk {
    /// Opens the desk; none if no plan is in force.
    pub fn open(root: &Root) -> Result<Option<Desk>, Error> {
        // The stamp before the plan: if it changes in between, it is read once more.
        let stamp = stamp_of(root)?;
        let Some(plan) = Plan::read(root)? else {
            return Ok(None);
        };
        Ok(Some(Desk {
            root: root.clone(),
            journal: Journal::open(root)?,
            plan,
            stamp,
        }))
    }

    /// The plan in force.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What has happened so far.
    pub fn state(&self) -> &State {
        self.journal.state()
    }

    /// Reads what happened since, and the plan if another is in force by now.
    pub fn refresh(&mut self) -> Result<(), Error> {
        self.journal.catch_up()?;
        follow(&self.root, &mut self.plan, &mut self.stamp)
    }

    /// Claims the best task for an agent, or says what everything waits for.
    pub fn next(
        &mut self,
        wish: &Wish<'_>,
        length: Duration,
        by: Option<&Holder>,
    ) -> Result<Result<Claim, Vec<(usize, Waits)>>, Error> {
        let lease = lease_for(length, by);
        let at = journal::now();
        let holds = Holds::read(&self.root)?;
        let Desk {
            root,
            journal,
            plan,
            stamp,
        } = self;
        let (_, answer) = journal.change(|state| {
            // Plans change only under the lock that is held here.
            if let Err(error) = follow(root, plan, stamp) {
                return (vec![], Err(error));
            }
            let now = Now {
                at: &at,
                over: &is_over,
                holds: &holds,
            };
            match choose(plan, state, wish, &now) {
                Choice::Nothing(waiting) => (vec![], Ok(Err(waiting))),
                Choice::Take(place) => {
                    let task = plan.tasks[place].id.clone();
                    let claim = Claim {
                        place,
                        agent: wish.agent.to_owned(),
                        epoch: state.task(&task).epoch + 1,
                        lease,
                        correlation_id: uuid::Uuid::new_v4().to_string(),
                        task,
                    };
                    (vec![claim.event(&at)], Ok(Ok(claim)))
                }
            }
        })?;
        answer
    }

    /// What an agent has in hand.
    pub fn held_by(&self, agent: &str) -> Vec<Claim> {
        let claim = |(place, task): (usize, &Task)| {
            let known = self.state().tasks.get(&task.id)?;
            match &known.phase {
                Phase::Claimed {
                    agent: with, lease, ..
                } if with == agent && !is_over(lease) => Some(Claim {
                    place,
                    task: task.id.clone(),
                    agent: agent.to_owned(),
                    epoch: known.epoch,
                    lease: lease.clone(),
                    correlation_id: String::new(),
                }),
                _ => None,
            }
        };
        self.plan
            .tasks
            .iter()
            .enumerate()
            .filter_map(claim)
            .collect()
    }
}

/// Which file a plan was read from: inode and time of the last change.
type Stamp = (u64, i64, i64);

/// Reads the plan again if `plan.json` is another file than before.
fn follow(root: &Root, plan: &mut Plan, stamp: &mut Stamp) -> Result<(), Error> {
    let now = stamp_of(root)?;
    if now != *stamp {
        *plan = Plan::read(root)?.unwrap_or_default();
        *stamp = now;
    }
    Ok(())
}

fn stamp_of(root: &Root) -> Result<Stamp, Error> {
    match root.plan().metadata() {
        Ok(meta) => Ok((meta.ino(), meta.mtime(), meta.mtime_nsec())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Stamp::default()),
        Err(error) => Err(Error::at(root.plan())(error)),
    }
}

/// Records what happened to a claimed task. `epoch` is that of the claim; without one it is the
/// task's, if `agent` has it. It carries the claim's correlation id. Whatever does not belong to the claim that counts is recorded and has
/// no effect.
pub fn report(
    journal: &mut Journal,
    task: &str,
    agent: &str,
    epoch: Option<u64>,
    what: impl FnOnce(&TaskState, u64) -> What,
) -> Result<Outcome, Error> {
    let (effects, event) = journal.change(|state| {
        let known = state.task(task);
        let mine = matches!(&known.phase, Phase::Claimed { agent: with, .. } if with == agent);
        let epoch = epoch.unwrap_or(if mine { known.epoch } else { 0 });
        let event = Event {
            at: journal::now(),
            correlation_id: known.correlation_id.clone(),
            what: what(&known, epoch),
        };
        (vec![event.clone()], event)
    })?;
    Ok(Outcome {
        event,
        effect: effects[0],
    })
}

/// The renewal of a claim, for [`report`].
pub fn renewal(
    task: &str,
    length: Duration,
    by: Option<&Holder>,
) -> impl FnOnce(&TaskState, u64) -> What {
    let task = task.to_owned();
    let mut lease = lease_for(length, by);
    move |known, epoch| {
        let mut n = 1;
        if let Phase::Claimed {
            lease: last,
            n: so_far,
            ..
        } = &known.phase
        {
            n = so_far + 1;
            if lease.holder.is_none() && last.boot == lease.boot {
                lease.holder.clone_from(&last.holder);
            }
        }
        What::Renewed {
            task,
            epoch,
            n,
            lease,
        }
    }
}

/// Claims a file for an agent; who has it, if that is another.
pub fn claim_path(
    root: &Root,
    path: &str,
    agent: &str,
    length: Duration,
    by: Option<&Holder>,
) -> Result<Result<Event, (String, String)>, Error> {
    let plan = Plan::read(root)?.unwrap_or_default();
    let lease = lease_for(length, by);
    let (_, answer) = Journal::open(root)?.change(|state| {
        if let Some(conflict) = who_works_on(&plan, state, path, agent) {
            return (vec![], Err(conflict));
        }
        let event = Event {
            at: journal::now(),
            correlation_id: uuid::Uuid::new_v4().to_string(),
            what: What::PathClaimed {
                path: path.to_owned(),
                agent: agent.to_owned(),
                epoch: state.paths.get(path).map_or(0, |known| known.epoch) + 1,
                lease,
            },
        };
        (vec![event.clone()], Ok(event))
    })?;
    Ok(answer)
}

/// Gives a file back; none if the agent does not have it.
pub fn release_path(root: &Root, path: &str, agent: &str) -> Result<Option<Event>, Error> {
    let (_, answer) = Journal::open(root)?.change(|state| {
        let event = state.paths.get(path).and_then(|known| {
            let (with, _) = known.holder.as_ref()?;
            (with == agent).then(|| Event {
                at: journal::now(),
                correlation_id: uuid::Uuid::new_v4().to_string(),
                what: What::PathReleased {
                    path: path.to_owned(),
                    epoch: known.epoch,
                },
            })
        });
        (event.clone().into_iter().collect(), event)
    })?;
    Ok(answer)
}

/// Which other agent works on a path, and what it has: the path itself, or a task that touches it.
fn who_works_on(plan: &Plan, state: &State, path: &str, agent: &str) -> Option<(String, String)> {
    let other = |with: &String, lease: &Lease| with != agent && !is_over(lease);
    for (claimed, known) in &state.paths {
        if let Some((with, lease)) = &known.holder
            && overlap(claimed, path)
            && other(with, lease)
        {
            return Some((with.clone(), claimed.clone()));
        }
    }
    plan.tasks.iter().find_map(|task| {
        let known = state.tasks.get(&task.id)?;
        match &known.phase {
            Phase::Claimed {
                agent: with, lease, ..
            } if other(with, lease) => {
                let touches = task.touches.iter().any(|touched| overlap(touched, path));
                touches.then(|| (with.clone(), format!("task {}", task.id)))
            }
            _ => None,
        }
    })
}

impl Claim {
    fn event(&self, at: &str) -> Event {
        Event {
            at: at.to_owned(),
            correlation_id: self.correlation_id.clone(),
            what: What::Claimed {
                task: self.task.clone(),
                agent: self.agent.clone(),
                epoch: self.epoch,
                lease: self.lease.clone(),
            },
        }
    }
}

/// A lease from now on.
pub fn lease_for(length: Duration, by: Option<&Holder>) -> Lease {
    let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    Lease {
        boot: holder::boot(),
        until_boot_ms: holder::since_boot_ms().saturating_add(length),
        holder: by.map(Holder::to_string),
    }
}

/// Whether a lease is over: its deadline passed, its boot ended, or its holder died.
pub fn is_over(lease: &Lease) -> bool {
    if lease.boot != holder::boot() || holder::since_boot_ms() >= lease.until_boot_ms {
        return true;
    }
    let holder = lease
        .holder
        .as_ref()
        .and_then(|text| text.parse::<Holder>().ok());
    holder.is_some_and(|holder| holder.life() == holder::Life::Dead)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        serde_json::from_str(text).unwrap()
    }

    fn wish(agent: &str) -> Wish<'_> {
        Wish {
            agent,
            capabilities: None,
            task: None,
            own: false,
        }
    }

    fn claimed(task: &str, agent: &str, epoch: u64) -> What {
        What::Claimed {
            task: task.into(),
            agent: agent.into(),
            epoch,
            lease: Lease::default(),
        }
    }

    fn done(task: &str, agent: &str, epoch: u64) -> What {
        What::Done {
            task: task.into(),
            agent: agent.into(),
            epoch,
            commit: None,
            run: None,
        }
    }

    /// What an agent gets after some events, with leases that hold.
    fn pick(plan: &Plan, events: &[What], wish: &Wish<'_>) -> Result<String, Vec<String>> {
        let mut state = State::default();
        for event in events {
            let event = Event {
                at: String::new(),
                correlation_id: String::new(),
                what: event.clone(),
            };
            assert_eq!(state.apply(&event), Effect::Applied, "{event:?}");
        }
        let now = Now {
            at: "2026-11-24T12:00:00Z",
            over: &|_| false,
            holds: &Holds::default(),
        };
        match choose(plan, &state, wish, &now) {
            Choice::Take(place) => Ok(plan.tasks[place].id.clone()),
            Choice::Nothing(waiting) => Err(waiting
                .into_iter()
                .map(|(place, why)| format!("{} {why}", plan.tasks[place].id))
                .collect()),
        }
    }

    #[test]
    fn a_task_waits_for_those_before_it() {
        let plan = plan(
            r#"{"plan_id":"p","tasks":[{"id":"1","agent":"a"},{"id":"2","agent":"b","after":["1","done before"]}]}"#,
        );
        assert_eq!(pick(&plan, &[], &wish("a")).unwrap(), "1");
        let taken = [claimed("1", "a", 1)];
        assert_eq!(
            pick(&plan, &taken, &wish("b")).unwrap_err(),
            ["1 is with a", "2 waits for 1"]
        );
        let over = [claimed("1", "a", 1), done("1", "a", 1)];
        assert_eq!(pick(&plan, &over, &wish("b")).unwrap(), "2");
        let all = [
            claimed("1", "a", 1),
            done("1", "a", 1),
            claimed("2", "b", 1),
            done("2", "b", 1),
        ];
        assert!(pick(&plan, &all, &wish("b")).unwrap_err().is_empty());
    }

    #[test]
    fn own_work_comes_first_then_that_of_the_busy_then_the_longest_chain() {
        let plan = plan(
            r#"{"plan_id":"p","tasks":[
            {"id":"own","agent":"a","duration_ms":1},
            {"id":"busy","agent":"b","duration_ms":1},{"id":"busy-long","agent":"b","duration_ms":2},
            {"id":"idle","agent":"c","duration_ms":9},{"id":"x","agent":"b"}]}"#,
        );
        let mut events = vec![claimed("x", "b", 1)];
        for expected in ["own", "busy-long", "busy", "idle"] {
            assert_eq!(pick(&plan, &events, &wish("a")).unwrap(), expected);
            events.push(claimed(expected, "a", 1));
        }
        let own = Wish {
            own: true,
            ..wish("c")
        };
        assert_eq!(pick(&plan, &events[..1], &own).unwrap(), "idle");
    }

    #[test]
    fn what_only_so_many_may_hold_is_waited_for() {
        let plan = plan(
            r#"{"plan_id":"p","tasks":[{"id":"1"},{"id":"2"},{"id":"3"},{"id":"4"}],"resources":[
            {"name":"src/lib.rs","capacity":1,"tasks":["1","2"]},
            {"name":"src/","capacity":3,"whole":["4"],"tasks":["1","3","4"]}]}"#,
        );
        let first = [claimed("1", "a", 1)];
        assert_eq!(pick(&plan, &first, &wish("b")).unwrap(), "3");
        let two = [claimed("1", "a", 1), claimed("3", "b", 1)];
        assert_eq!(
            pick(&plan, &two, &wish("c")).unwrap_err(),
            [
                "1 is with a",
                "2 waits for src/lib.rs, which 1 holds",
                "3 is with b",
                "4 waits for src/, which 3 holds"
            ]
        );
        let whole = [claimed("4", "a", 1)];
        assert_eq!(pick(&plan, &whole, &wish("b")).unwrap(), "2");
    }

    #[test]
    fn capabilities_and_pins_are_kept() {
        let plan =
            plan(r#"{"plan_id":"p","tasks":[{"id":"1","needs":["ios"]},{"id":"2","only":["b"]}]}"#);
        let rust = ["rust".to_owned()];
        let able = Wish {
            capabilities: Some(&rust),
            ..wish("a")
        };
        assert_eq!(
            pick(&plan, &[], &able).unwrap_err(),
            ["1 needs \"ios\"", "2 is for b alone"]
        );
        assert_eq!(pick(&plan, &[], &wish("a")).unwrap(), "1");
    }

    #[test]
    fn a_failed_task_goes_to_another_first_and_may_wait_for_a_time_or_a_person() {
        let plan = plan(r#"{"plan_id":"p","tasks":[{"id":"1","duration_ms":9},{"id":"2"}]}"#);
        let failed = |then, retry_at: Option<&str>| What::Failed {
            task: "1".into(),
            agent: "a".into(),
            epoch: 1,
            exit: 14,
            then,
            retry_at: retry_at.map(str::to_owned),
            why: Some("crashed".into()),
        };
        let retry = [claimed("1", "a", 1), failed(Then::Retry, None)];
        assert_eq!(pick(&plan, &retry, &wish("a")).unwrap(), "2");
        assert_eq!(pick(&plan, &retry, &wish("b")).unwrap(), "1");
        let soon = failed(Then::Later, Some("2026-11-24T12:00:01Z"));
        let past = failed(Then::Later, Some("2026-11-24T11:59:59Z"));
        assert_eq!(
            pick(&plan, &[claimed("1", "a", 1), soon], &wish("b")).unwrap(),
            "2"
        );
        assert_eq!(
            pick(&plan, &[claimed("1", "a", 1), past], &wish("b")).unwrap(),
            "1"
        );
        let human = [
            claimed("1", "a", 1),
            failed(Then::Human, None),
            claimed("2", "b", 1),
        ];
        assert_eq!(
            pick(&plan, &human, &wish("b")).unwrap_err(),
            ["1 waits for a person: crashed", "2 is with b"]
        );
    }

    #[test]
    fn a_file_claimed_by_another_keeps_tasks_away() {
        let plan = plan(
            r#"{"plan_id":"p","tasks":[{"id":"1","touches":["src/a.rs"]},{"id":"2","touches":["src/"]}]}"#,
        );
        let held = [What::PathClaimed {
            path: "src/a.rs".into(),
            agent: "b".into(),
            epoch: 1,
            lease: Lease::default(),
        }];
        assert_eq!(pick(&plan, &held, &wish("a")).unwrap_err().len(), 2);
        assert_eq!(pick(&plan, &held, &wish("b")).unwrap(), "1");
    }

    #[test]
    fn who_is_held_gets_nothing_and_a_held_task_goes_to_nobody() {
        use crate::swarm::hold::{Hold, How, Whom};
        let dir = tempfile::tempdir().unwrap();
        let root = Root::find(&crate::swarm::root::Options {
            start: dir.path().to_owned(),
            root: Some("app.swarm".into()),
        })
        .unwrap();
        let text = r#"{"plan_id":"p","tasks":[{"id":"1"},{"id":"2"}]}"#;
        Plan::adopt(&root, text, "c").unwrap();
        let mut desk = Desk::open(&root).unwrap().unwrap();
        let mut next = |agent: &str| desk.next(&wish(agent), Duration::from_secs(60), None);
        for whom in [Whom::Agent("a".into()), Whom::Task("1".into())] {
            Holds::set(&root, Hold::new(How::Pause, whom)).unwrap();
        }
        let waiting = next("a").unwrap().unwrap_err();
        assert_eq!(waiting[1].1.to_string(), "is held: a is paused");
        assert_eq!(next("b").unwrap().unwrap().task, "2");
        Holds::set(&root, Hold::new(How::Stop, Whom::All)).unwrap();
        Holds::lift(&root, &Whom::Task("1".into())).unwrap();
        assert!(next("b").unwrap().is_err());
        Holds::lift(&root, &Whom::All).unwrap();
        assert_eq!(next("b").unwrap().unwrap().task, "1");
    }

    #[test]
    fn an_exit_status_decides_what_follows() {
        use Then::{Human, Later, Retry};
        for (exit, failures, then) in [
            (10, 0, Retry),
            (10, 1, Human),
            (11, 0, Human),
            (12, 0, Human),
            (13, 0, Human),
            (14, 1, Retry),
            (14, 2, Human),
            (15, 0, Retry),
            (15, 1, Human),
            (16, 0, Human),
            (75, 99, Later),
            (124, 0, Retry),
            (127, 0, Human),
            (137, 0, Retry),
            (1, 0, Retry),
            (1, 2, Human),
        ] {
            assert_eq!(
                verdict(exit, failures, 2).1,
                then,
                "{exit} after {failures}"
            );
        }
    }

    #[test]
    fn a_lease_ends_with_its_deadline_its_boot_or_its_holder() {
        let minute = Duration::from_secs(60);
        assert!(!is_over(&lease_for(minute, Some(&Holder::me()))));
        assert!(is_over(&lease_for(Duration::ZERO, None)));
        let mut other = lease_for(minute, None);
        other.boot = "ffffffff".to_owned();
        assert!(is_over(&other));
        let mut dead = Holder::me();
        dead.start += 1;
        assert!(is_over(&lease_for(minute, Some(&dead))));
    }
}
