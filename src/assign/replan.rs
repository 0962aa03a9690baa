//! After a failure: what to do about the agent, and a new plan that moves as little as it can.
//!
//! Running work is never moved. A task stays with the agent that had it; one whose agent is lost
//! goes to whoever is free; an idle agent takes a task from a busy one only while the moves stay
//! within 1.3 times those that cannot be avoided. A full new plan would be hardly shorter and would
//! move two to four times as many tasks (measured in TASKS.md 4.4 of the design).

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::agents::Agent;
use super::build::{Case, Options, PlanError};
use super::plan::{Plan, Strategy, human, iso, name_of};
use super::problem::Problem;
use super::schedule::Schedule;
use super::search::{Effort, Random, lower_bound, priorities, solve};
use crate::task::{
    Edge, Estimate, EstimateFrom, Format, Kind, List, Node, Place, Source, State as Progress,
    Strength, Task, Why,
};

/// How often a task is tried, and an agent restarted, before people are asked.
const ATTEMPTS: u32 = 3;

/// What has happened since the plan was made. Unknown fields are passed over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// How long ago the plan began, in milliseconds.
    #[serde(default)]
    pub now_ms: u64,
    /// How far each task is; those not named are still to do.
    #[serde(default)]
    pub tasks: BTreeMap<String, TaskState>,
    /// `up` or `down` for each agent that changed, or a description of a new one.
    #[serde(default)]
    pub agents: BTreeMap<String, Value>,
    /// What failed.
    #[serde(default)]
    pub failures: Vec<Failure>,
}

/// How far one task is: a word, or a word with particulars.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskState {
    /// todo, running, done, failed or cancelled.
    pub state: String,
    /// Who runs it, or failed at it.
    pub agent: Option<String>,
    /// When it began, in milliseconds from the start of the plan.
    pub since_ms: Option<u64>,
    /// How often it failed.
    pub attempts: u32,
}

impl<'de> Deserialize<'de> for TaskState {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<TaskState, D::Error> {
        let value = Value::deserialize(from)?;
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let said = match &value {
            Value::String(word) => Some(word.clone()),
            Value::Object(fields) => fields.get("state").or(fields.get("status")).and_then(word),
            _ => None,
        };
        let state = match said.as_deref() {
            Some("todo" | "pending" | "queued" | "assigned" | "ready") => "todo",
            Some("running" | "in_progress" | "in-progress" | "started") => "running",
            Some("done" | "completed" | "finished" | "closed") => "done",
            Some("failed") => "failed",
            Some("cancelled") => "cancelled",
            _ => {
                return Err(serde::de::Error::custom(format!(
                    "{value} is no state of a task: write todo, running, done, failed or cancelled"
                )));
            }
        };
        let field = |name: &str| value.as_object().and_then(|fields| fields.get(name));
        let count = |name: &str| field(name).and_then(Value::as_u64);
        Ok(TaskState {
            state: state.to_owned(),
            agent: field("agent").or(field("assigned_instance")).and_then(word),
            since_ms: count("since_ms").or(count("since")),
            attempts: count("attempts")
                .or(count("n"))
                .unwrap_or(u64::from(state == "failed")) as u32,
        })
    }
}

/// The original system's InstanceFailure, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The agent.
    pub instance_id: String,
    /// crash, timeout, resource or communication.
    pub failure_type: String,
    /// What it said.
    #[serde(default)]
    pub error_message: String,
    /// The tasks that it had in hand.
    #[serde(default)]
    pub affected_tasks: Vec<String>,
    /// How often it was restarted before.
    #[serde(default)]
    pub recovery_attempts: u32,
    /// Whether it can come back.
    #[serde(default = "yes")]
    pub is_recoverable: bool,
}

fn yes() -> bool {
    true
}

/// The original system's RecoveryPlan, and after its fields why it was decided so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recovery {
    /// Made from the contents.
    pub plan_id: String,
    /// The agent.
    pub failed_instance: String,
    /// restart, reassign, scale_up or manual.
    pub recovery_strategy: String,
    /// The new agent of each task that moves.
    pub task_reassignments: Map<String, Value>,
    /// How long until all is as before, ISO 8601.
    pub estimated_recovery_time: String,
    /// What to do, in order.
    pub required_actions: Vec<String>,
    /// How to go back.
    pub rollback_plan: Option<Value>,
    /// When it was decided.
    pub created_at: String,
    /// Why it was decided so.
    pub reason: String,
    /// The kind of failure it was decided from.
    pub failure_type: String,
}

/// What replanning gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replanned {
    /// The decision for each failed agent.
    pub recovery: Vec<Recovery>,
    /// The new plan; its time 0 is now.
    pub plan: Plan,
    /// How many tasks have another agent than before.
    pub moves: u64,
    /// How many of them had to move.
    pub unavoidable_moves: u64,
    /// How long a plan would take that is made anew, whatever moves, in milliseconds.
    pub made_anew_ms: u64,
    /// Tasks that failed too often, and those that wait for them.
    pub blocked: Vec<String>,
}

/// Why there is no new plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReplanError {
    /// The state names a task that the plan does not have.
    #[error("the state names task {0:?}, which the plan does not have")]
    UnknownTask(String),
    /// The state names an agent that the plan does not have.
    #[error("the state names agent {0:?}, which the plan does not have")]
    UnknownAgent(String),
    /// The state describes an agent in a way that cannot be read.
    #[error("agent {0:?}: {1}")]
    Agent(String, String),
    /// The plan itself is wrong.
    #[error("the plan: {0}")]
    Plan(String),
    /// No plan can be made.
    #[error(transparent)]
    New(#[from] PlanError),
}

/// What becomes of an agent that failed.
struct Verdict {
    strategy: &'static str,
    /// Whether it stays in the plan.
    stays: bool,
    /// After how long it works again.
    delay_ms: u64,
    actions: Vec<String>,
    why: String,
}

/// Decides what to do about a failure from its kind and how often it was tried.
fn judge(failure: &Failure) -> Verdict {
    const MINUTE: u64 = 60_000;
    let name = &failure.instance_id;
    let tries = failure.recovery_attempts;
    let restart = |why: String, delay_ms: u64| Verdict {
        strategy: "restart",
        stays: true,
        delay_ms,
        actions: vec![
            format!("save what is in the worktree of {name}"),
            format!("restart {name}; it keeps its tasks"),
        ],
        why,
    };
    let leave = |strategy: &'static str, why: String, actions: Vec<String>| Verdict {
        strategy,
        stays: false,
        delay_ms: 0,
        actions,
        why,
    };
    let save = format!("save what is in the worktree of {name}");
    if !["crash", "timeout", "resource", "communication"].contains(&failure.failure_type.as_str()) {
        let why = format!(
            "{:?} is no failure that we know what to do about",
            failure.failure_type
        );
        return leave(
            "manual",
            why,
            vec![save, format!("find out what happened to {name}")],
        );
    }
    if failure.failure_type == "resource" {
        let why =
            "it ran out of memory, disk or quota: the same machine would fail again".to_owned();
        let more = format!("add an agent with more room, or let {name} do one task at a time");
        return leave("scale_up", why, vec![save, more]);
    }
    if !failure.is_recoverable {
        let why = "it cannot come back".to_owned();
        return leave("reassign", why, vec![save, format!("reap {name}")]);
    }
    if tries >= ATTEMPTS {
        let why = format!("it failed again after {tries} restarts");
        let look = format!("look at what {name} does before it fails");
        return leave("manual", why, vec![save, look]);
    }
    match failure.failure_type.as_str() {
        "crash" if tries == 0 => restart(
            "a first crash is most often chance, and restarting moves nothing".to_owned(),
            MINUTE,
        ),
        "crash" => leave(
            "reassign",
            format!(
                "it crashed again after {tries} {}",
                if tries == 1 { "restart" } else { "restarts" }
            ),
            vec![save, format!("leave {name} out until it is looked at")],
        ),
        "communication" => restart(
            "it is silent, perhaps still at work: what it runs must not be run twice".to_owned(),
            MINUTE << tries.min(ATTEMPTS),
        ),
        _ => leave(
            "reassign",
            "it ran out of time: another agent may not get stuck in the same place".to_owned(),
            vec![save, format!("stop {name}, then give its tasks to others")],
        ),
    }
}

/// Makes a new plan from an old one and what happened since.
///
/// # Errors
/// See [`ReplanError`].
pub fn replan(
    old: &Plan,
    state: &State,
    effort: Effort,
    created_at: &str,
) -> Result<Replanned, ReplanError> {
    check_names(old, state)?;
    let mut verdicts: Vec<(Failure, Verdict)> = failures(old, state)
        .into_iter()
        .map(|failure| {
            let verdict = judge(&failure);
            (failure, verdict)
        })
        .collect();
    let agents = agents(old, state, &verdicts)?;
    if agents.is_empty() {
        return Err(PlanError::NoAgent(old.agents.len()).into());
    }
    let blocked = blocked(old, state);
    let lost: HashSet<&str> = verdicts
        .iter()
        .filter(|(_, v)| !v.stays)
        .map(|(f, _)| f.instance_id.as_str())
        .collect();
    let (list, running) = list_of(old, state, &blocked, &lost)?;
    let options = options_of(old, state, agents, &list, &running, effort, created_at);
    let case = Case::with_resources(&list, &options, &old.resources)?;
    let owners = owners(old, state, &list, &options.agents);
    let unavoidable = (0..list.tasks.len())
        .filter(|&t| case.problem().durations[t] > 0 && !may_keep(&case, t, owners[t]))
        .count();
    let (schedule, made_anew_ms) =
        least_moves(&case, &owners, &running, unavoidable, effort, old, state);
    let mut plan = case.drawn(schedule);
    let moved = describe(&mut plan, old, state, &running);
    plan.warnings
        .retain(|w| !w.starts_with("nothing to do for"));
    if !blocked.is_empty() {
        plan.warnings.push(format!(
            "blocked after {ATTEMPTS} failures: {}",
            blocked.join(", ")
        ));
    }
    plan.seal();
    let recovery = verdicts
        .drain(..)
        .map(|(failure, verdict)| recovery(&failure, verdict, old, &plan, &moved, created_at))
        .collect();
    Ok(Replanned {
        recovery,
        moves: moved.len() as u64,
        unavoidable_moves: unavoidable as u64,
        made_anew_ms,
        plan,
        blocked,
    })
}

fn check_names(old: &Plan, state: &State) -> Result<(), ReplanError> {
    let tasks: HashSet<&str> = old.tasks.iter().map(|t| t.id.as_str()).collect();
    for (name, task) in &state.tasks {
        // What was done before the plan was made is not in it.
        if !tasks.contains(name.as_str()) && task.state != "done" && task.state != "cancelled" {
            return Err(ReplanError::UnknownTask(name.clone()));
        }
    }
    let known =
        |name: &str| old.agents.iter().any(|a| a.name == name) || state.agents.contains_key(name);
    for failure in &state.failures {
        if !known(&failure.instance_id) {
            return Err(ReplanError::UnknownAgent(failure.instance_id.clone()));
        }
    }
    let down = state
        .agents
        .iter()
        .filter(|(_, v)| v.as_str() == Some("down"));
    for (name, _) in down {
        if !old.agents.iter().any(|a| a.name == *name) {
            return Err(ReplanError::UnknownAgent(name.clone()));
        }
    }
    Ok(())
}

/// The failures that are told, and those of agents that are only said to be down.
fn failures(old: &Plan, state: &State) -> Vec<Failure> {
    let mut failures = state.failures.clone();
    for agent in &old.agents {
        let down = state.agents.get(&agent.name).and_then(Value::as_str) == Some("down");
        if down {
            match failures.iter_mut().find(|f| f.instance_id == agent.name) {
                Some(told) if told.failure_type != "resource" => told.is_recoverable = false,
                Some(_) => {}
                None => failures.push(Failure {
                    instance_id: agent.name.clone(),
                    failure_type: "crash".to_owned(),
                    error_message: "it is down".to_owned(),
                    affected_tasks: Vec::new(),
                    recovery_attempts: 0,
                    is_recoverable: false,
                }),
            }
        }
    }
    failures
}

/// Who is there from now on.
fn agents(
    old: &Plan,
    state: &State,
    verdicts: &[(Failure, Verdict)],
) -> Result<Vec<Agent>, ReplanError> {
    let mut agents = Vec::new();
    for agent in &old.agents {
        let mut agent = agent.clone();
        agent.busy_until_ms = agent.busy_until_ms.saturating_sub(state.now_ms);
        if let Some((_, verdict)) = verdicts.iter().find(|(f, _)| f.instance_id == agent.name) {
            if !verdict.stays {
                continue;
            }
            agent.busy_until_ms = agent.busy_until_ms.max(verdict.delay_ms);
        }
        agents.push(agent);
    }
    for (name, value) in &state.agents {
        let described = |mut fields: Map<String, Value>| {
            fields.insert("name".to_owned(), Value::String(name.clone()));
            serde_json::from_value::<Agent>(Value::Object(fields))
                .map_err(|error| ReplanError::Agent(name.clone(), error.to_string()))
        };
        let agent = match value {
            Value::String(word) if word == "up" => Agent::named(name),
            Value::String(word) if word == "down" => continue,
            Value::Object(fields) => described(fields.clone())?,
            other => {
                let why = format!("{other} is neither up, down nor a description");
                return Err(ReplanError::Agent(name.clone(), why));
            }
        };
        match agents.iter_mut().find(|a| a.name == *name) {
            Some(known) if value.is_object() => *known = agent,
            Some(_) => {}
            None => agents.push(agent),
        }
    }
    Ok(agents)
}

/// Tasks that failed too often, with all that wait for them, in the order of the plan.
fn blocked(old: &Plan, state: &State) -> Vec<String> {
    let mut blocked: HashSet<&str> = HashSet::new();
    // Tasks stand in the order of starts, so what a task waits for comes before it.
    for task in &old.tasks {
        let failed = state
            .tasks
            .get(&task.id)
            .is_some_and(|t| t.state == "failed" && t.attempts >= ATTEMPTS);
        if failed || task.after.iter().any(|b| blocked.contains(b.as_str())) {
            blocked.insert(&task.id);
        }
    }
    let all = old.tasks.iter().filter(|t| blocked.contains(t.id.as_str()));
    all.map(|t| t.id.clone()).collect()
}

/// What is left to do as a list, and the agents of what is running.
fn list_of(
    old: &Plan,
    state: &State,
    blocked: &[String],
    lost: &HashSet<&str>,
) -> Result<(List, HashMap<usize, String>), ReplanError> {
    let blocked: HashSet<&str> = blocked.iter().map(String::as_str).collect();
    let mut list = List::default();
    let mut running = HashMap::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    for task in &old.tasks {
        let now = state.tasks.get(&task.id);
        let over = now.is_some_and(|n| n.state == "done" || n.state == "cancelled");
        if over || blocked.contains(task.id.as_str()) {
            continue;
        }
        let mut ms = task.duration_ms;
        if let Some(now) = now.filter(|n| n.state == "running") {
            let agent = now.agent.clone().unwrap_or_else(|| task.agent.clone());
            if !lost.contains(agent.as_str()) {
                let since = now.since_ms.unwrap_or(task.start_ms).min(state.now_ms);
                // Who is over time is nearly done, or so one hopes.
                ms = ms.saturating_sub(state.now_ms - since).max(ms / 10).max(1);
                running.insert(list.tasks.len(), agent);
            }
        }
        index.insert(&task.id, list.tasks.len());
        list.tasks.push(Task {
            key: task
                .id
                .parse()
                .map_err(|e: crate::id::IdError| ReplanError::Plan(e.to_string()))?,
            id: task.id.clone(),
            spec: String::new(),
            title: task.title.clone(),
            details: Vec::new(),
            state: Progress::Todo,
            optional: task.optional,
            kind: if task.checkpoint {
                Kind::Checkpoint
            } else {
                Kind::Work
            },
            parent: None,
            estimate: Some(Estimate {
                ms,
                from: EstimateFrom::Stated,
            }),
            touches: Vec::new(),
            locks: Vec::new(),
            needs: task.needs.clone(),
            pin: None,
            parallel: false,
            priority: 0,
            requirements: Vec::new(),
            acceptance: Vec::new(),
            declared: true,
            phase: None,
            place: Place::default(),
            state_at: None,
            hold: None,
        });
    }
    list.sources.push(Source {
        file: "plan".to_owned(),
        format: Format::Ours,
        spec: String::new(),
        waves: false,
        facts: Vec::new(),
    });
    for task in &old.tasks {
        let Some(&to) = index.get(task.id.as_str()) else {
            continue;
        };
        for before in &task.after {
            if let Some(&from) = index.get(before.as_str()) {
                list.edges.push(Edge {
                    from: Node::Task(from),
                    to: Node::Task(to),
                    why: Why::Depends,
                    strength: Strength::Declared,
                    place: Place::default(),
                });
            }
        }
    }
    Ok((list, running))
}

/// Pins of the old plan, of what runs, and away from where a task failed.
fn options_of(
    old: &Plan,
    state: &State,
    agents: Vec<Agent>,
    list: &List,
    running: &HashMap<usize, String>,
    effort: Effort,
    created_at: &str,
) -> Options {
    let mut pins = Vec::new();
    let mut nots = Vec::new();
    let there = |name: &str| agents.iter().any(|a| a.name == name);
    let able = |task: &Task| agents.iter().filter(|a| a.offers(&task.needs)).count();
    for task in &old.tasks {
        let Some(index) = list.tasks.iter().position(|t| t.id == task.id) else {
            continue;
        };
        if let Some(agent) = running.get(&index) {
            pins.push((task.id.clone(), agent.clone()));
            continue;
        }
        let only = task.only.iter().filter(|name| there(name));
        pins.extend(only.map(|name| (task.id.clone(), name.clone())));
        let failed_on = state.tasks.get(&task.id).filter(|t| t.state == "failed");
        if let Some(agent) = failed_on.map(|t| t.agent.as_ref().unwrap_or(&task.agent))
            && there(agent)
            && task.only.is_empty()
            && able(&list.tasks[index]) > 1
        {
            nots.push((task.id.clone(), agent.clone()));
        }
    }
    let mut options = Options::new(agents);
    options.pins = pins;
    options.nots = nots;
    options.partial = true;
    options.effort = effort;
    options.strategy = Strategy::DependencyAware;
    options.created_at = created_at.to_owned();
    options
}

/// The index of the agent that each task had, or none where that agent is gone.
fn owners(old: &Plan, state: &State, list: &List, agents: &[Agent]) -> Vec<Option<usize>> {
    let had: HashMap<&str, &str> = old
        .tasks
        .iter()
        .map(|t| (t.id.as_str(), t.agent.as_str()))
        .collect();
    list.tasks
        .iter()
        .map(|task| {
            let now = state.tasks.get(&task.id).filter(|t| t.state == "running");
            let name = now
                .and_then(|n| n.agent.as_deref())
                .or(had.get(task.id.as_str()).copied())?;
            agents.iter().position(|a| a.name == name)
        })
        .collect()
}

/// Whether a task may stay with its owner.
fn may_keep(case: &Case<'_>, task: usize, owner: Option<usize>) -> bool {
    owner.is_some_and(|owner| machines_for(case, task).any(|m| case.agent_of()[m] == owner))
}

fn machines_for<'a>(case: &'a Case<'_>, task: usize) -> impl Iterator<Item = usize> + 'a {
    let problem = case.problem();
    problem.kinds[problem.kind_of[task] as usize]
        .iter()
        .flat_map(|&g| {
            problem.groups[g as usize]
                .machines
                .iter()
                .map(|&m| m as usize)
        })
}

/// The shortest schedule found that stays within the moves; one that moves only what must is among
/// those that are tried. With it how long one takes that need not stay within them.
fn least_moves(
    case: &Case<'_>,
    owners: &[Option<usize>],
    running: &HashMap<usize, String>,
    unavoidable: usize,
    effort: Effort,
    old: &Plan,
    state: &State,
) -> (Schedule, u64) {
    let problem = case.problem();
    let grown =
        case.options_agents() > old.agents.len() || !state.agents.is_empty() && unavoidable == 0;
    let share = problem.len().div_ceil(case.options_agents().max(1));
    let most = if grown {
        share.max(unavoidable * 13 / 10)
    } else {
        unavoidable * 13 / 10
    };
    let bound = lower_bound(problem).value;
    let guide = solve(problem, effort, &mut || false);
    let mut orders = vec![priorities(problem)];
    let mut by_start: Vec<u32> = (0..problem.len() as u32).collect();
    by_start.sort_by_key(|&t| guide.schedule.start[t as usize]);
    orders.push(by_start);
    let mut random = Random(7);
    let shakes = (200_000 / problem.len().max(1)).min(400);
    for _ in 0..shakes {
        let noise = (guide.makespan >> (1 + random.below(5))).max(1);
        let mut keyed: Vec<(u64, u32)> = (0..problem.len() as u32)
            .map(|t| (guide.schedule.start[t as usize] + random.below(noise), t))
            .collect();
        keyed.sort_unstable();
        orders.push(keyed.into_iter().map(|k| k.1).collect());
    }
    let mut best: Option<(u64, usize, Schedule)> = None;
    // How long, in quarters of its own length, a task waits for its owner before another takes it.
    const PATIENCE: [u64; 6] = [0, 1, 2, 4, 8, u64::MAX];
    for (number, mut order) in orders.into_iter().enumerate() {
        order.sort_by_key(|t| !running.contains_key(&(*t as usize)));
        for (place, patience) in PATIENCE.into_iter().enumerate() {
            if number >= 2 && place != number % PATIENCE.len() {
                continue;
            }
            let (schedule, moves) = dispatch(case, &order, owners, patience, most);
            let makespan = schedule.makespan();
            if best.as_ref().is_none_or(|b| (makespan, moves) < (b.0, b.1)) {
                best = Some((makespan, moves, schedule));
            }
        }
        if best
            .as_ref()
            .is_some_and(|b| b.0 <= bound && b.1 <= unavoidable)
        {
            break;
        }
    }
    (best.map(|b| b.2).unwrap_or_default(), guide.makespan)
}

/// Goes through time and gives every ready task, in the order given, to its owner, or to another
/// where it has none or would wait for long and the moves allow it.
fn dispatch(
    case: &Case<'_>,
    order: &[u32],
    owners: &[Option<usize>],
    patience: u64,
    most: usize,
) -> (Schedule, usize) {
    let problem = case.problem();
    let count = problem.len();
    let mut free: Vec<u64> = problem.machines.iter().map(|m| m.available).collect();
    let mut left = problem.capacities.clone();
    let mut waits: Vec<usize> = (0..count).map(|t| problem.before.row(t).len()).collect();
    let mut schedule = Schedule {
        start: vec![0; count],
        finish: vec![0; count],
        machine: vec![0; count],
    };
    let orphan = |t: usize| !may_keep(case, t, owners.get(t).copied().flatten());
    let lost = (0..count)
        .filter(|&t| problem.durations[t] > 0 && orphan(t))
        .count();
    let mut moves = lost;
    let mut work = vec![0u64; case.options_agents()];
    for task in 0..count {
        if let Some(Some(owner)) = owners.get(task) {
            work[*owner] += problem.durations[task];
        }
    }
    let mut open: Vec<u32> = order
        .iter()
        .copied()
        .filter(|&t| waits[t as usize] == 0)
        .collect();
    let mut rank = vec![0u32; count];
    for (place, &task) in order.iter().enumerate() {
        rank[task as usize] = place as u32;
    }
    let mut active: Vec<(u64, u32)> = Vec::new();
    let mut now = 0;
    loop {
        let mut kept = Vec::with_capacity(open.len());
        let mut place = 0;
        while place < open.len() {
            let task = open[place] as usize;
            place += 1;
            if problem.durations[task] == 0 {
                schedule.start[task] = now;
                schedule.finish[task] = now;
                schedule.machine[task] = machines_for(case, task).next().unwrap_or(0) as u32;
                release(problem, task, &mut waits, &mut open, place, &rank);
                continue;
            }
            let fits = problem
                .uses
                .row(task)
                .iter()
                .all(|&(r, a)| left[r as usize] >= a);
            let owner = owners
                .get(task)
                .copied()
                .flatten()
                .filter(|_| !orphan(task));
            let chosen = if fits {
                choose(case, task, owner, &free, &work, now, patience, moves < most)
            } else {
                None
            };
            let Some(machine) = chosen else {
                kept.push(task as u32);
                continue;
            };
            let agent = case.agent_of()[machine];
            if owner.is_some_and(|owner| owner != agent) {
                moves += 1;
            }
            if owner.is_none() {
                work[agent] += problem.durations[task];
            }
            let time = problem.time(task, problem.machines[machine].speed);
            schedule.start[task] = now;
            schedule.finish[task] = now + time;
            schedule.machine[task] = machine as u32;
            free[machine] = now + time;
            for &(resource, amount) in problem.uses.row(task) {
                left[resource as usize] -= amount;
            }
            active.push((now + time, task as u32));
        }
        open = kept;
        // The next instant at which anything can change: an end, or a machine that becomes free.
        let ends = active.iter().map(|a| a.0);
        let Some(next) = ends.chain(free.iter().copied()).filter(|&t| t > now).min() else {
            return (schedule, moves);
        };
        now = next;
        let (ended, going): (Vec<_>, Vec<_>) = active.into_iter().partition(|a| a.0 <= now);
        active = going;
        for (_, task) in ended {
            for &(resource, amount) in problem.uses.row(task as usize) {
                left[resource as usize] += amount;
            }
            release(problem, task as usize, &mut waits, &mut open, 0, &rank);
        }
    }
}

/// Puts those that waited only for `task` among the open ones, which stay in order from `from` on.
fn release(
    problem: &Problem,
    task: usize,
    waits: &mut [usize],
    open: &mut Vec<u32>,
    from: usize,
    rank: &[u32],
) {
    for &next in problem.after.row(task) {
        waits[next as usize] -= 1;
        if waits[next as usize] == 0 {
            let place = open[from..].partition_point(|&o| rank[o as usize] < rank[next as usize]);
            open.insert(from + place, next);
        }
    }
}

/// The machine that takes a task now, if any should.
#[allow(clippy::too_many_arguments)]
fn choose(
    case: &Case<'_>,
    task: usize,
    owner: Option<usize>,
    free: &[u64],
    work: &[u64],
    now: u64,
    patience: u64,
    may_move: bool,
) -> Option<usize> {
    let agent_of = case.agent_of();
    let idle = |m: &usize| free[*m] <= now;
    let Some(owner) = owner else {
        return machines_for(case, task)
            .filter(idle)
            .min_by_key(|&m| (work[agent_of[m]], m));
    };
    let own = |m: &usize| agent_of[*m] == owner;
    if let Some(machine) = machines_for(case, task).filter(own).find(idle) {
        return Some(machine);
    }
    let again = machines_for(case, task)
        .filter(own)
        .map(|m| free[m])
        .min()?;
    let longest = case.problem().durations[task].saturating_mul(patience) / 4;
    if !may_move || patience == u64::MAX || again - now <= longest {
        return None;
    }
    machines_for(case, task)
        .filter(idle)
        .min_by_key(|&m| (work[agent_of[m]], m))
}

/// Says of each task why it is where it is; returns those that moved with their new agents.
fn describe(
    plan: &mut Plan,
    old: &Plan,
    state: &State,
    running: &HashMap<usize, String>,
) -> Vec<(String, String)> {
    let before: HashMap<&str, &super::plan::PlannedTask> =
        old.tasks.iter().map(|t| (t.id.as_str(), t)).collect();
    let mut moved = Vec::new();
    for task in &mut plan.tasks {
        let Some(then) = before.get(task.id.as_str()) else {
            continue;
        };
        task.duration_ms = then.duration_ms;
        task.estimate.clone_from(&then.estimate);
        task.source.clone_from(&then.source);
        task.touches.clone_from(&then.touches);
        task.only.clone_from(&then.only);
        let now = state.tasks.get(&task.id);
        let had = now
            .filter(|n| n.state == "running")
            .and_then(|n| n.agent.as_ref())
            .unwrap_or(&then.agent);
        let runs = now.is_some_and(|n| n.state == "running")
            && *had == task.agent
            && running.values().any(|a| a == had);
        if runs {
            task.reason = format!("runs on {} and is not moved", task.agent);
        } else if *had != task.agent {
            let gone = !plan.agents.iter().any(|a| a.name == *had);
            let failed = now.is_some_and(|n| n.state == "failed");
            let why = if gone {
                "which is gone"
            } else if failed {
                "where it failed"
            } else {
                "which is busy for longer"
            };
            task.reason = format!("moved from {had}, {why}; {}", task.reason);
            moved.push((task.id.clone(), task.agent.clone()));
        } else {
            task.reason = format!("stays with {}; {}", task.agent, task.reason);
        }
    }
    let kept: HashSet<&str> = plan.tasks.iter().map(|t| t.id.as_str()).collect();
    let edges = old.edges.iter();
    plan.edges = edges
        .filter(|e| kept.contains(e.to.as_str()))
        .cloned()
        .collect();
    moved
}

fn recovery(
    failure: &Failure,
    verdict: Verdict,
    old: &Plan,
    plan: &Plan,
    moved: &[(String, String)],
    created_at: &str,
) -> Recovery {
    let was_its: HashSet<&str> = old
        .of(&failure.instance_id)
        .map(|t| t.id.as_str())
        .collect();
    let reassigned: Map<String, Value> = moved
        .iter()
        .filter(|(task, _)| {
            was_its.contains(task.as_str()) || failure.affected_tasks.contains(task)
        })
        .map(|(task, agent)| (task.clone(), Value::String(agent.clone())))
        .collect();
    let back: Map<String, Value> = reassigned
        .keys()
        .map(|task| (task.clone(), Value::String(failure.instance_id.clone())))
        .collect();
    let mut actions = verdict.actions;
    actions.extend(
        reassigned
            .iter()
            .map(|(task, agent)| format!("give {task} to {}", agent.as_str().unwrap_or_default())),
    );
    let last = reassigned
        .keys()
        .filter_map(|task| plan.task(task))
        .map(|t| t.finish_ms)
        .max();
    let time = last.unwrap_or(0).max(verdict.delay_ms);
    let mut why = verdict.why;
    if !failure.error_message.is_empty() {
        why.push_str(&format!(" ({})", failure.error_message));
    }
    let mut recovery = Recovery {
        plan_id: String::new(),
        failed_instance: failure.instance_id.clone(),
        recovery_strategy: verdict.strategy.to_owned(),
        rollback_plan: (!back.is_empty()).then(|| json!({ "task_reassignments": back })),
        task_reassignments: reassigned,
        estimated_recovery_time: iso(time),
        required_actions: actions,
        created_at: String::new(),
        reason: why,
        failure_type: failure.failure_type.clone(),
    };
    let text =
        serde_json::to_string(&recovery).expect("a recovery holds nothing that JSON cannot say");
    recovery.plan_id = name_of(text.as_bytes());
    created_at.clone_into(&mut recovery.created_at);
    recovery
}

impl Replanned {
    /// The decision and the new plan in a few lines for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for recovery in &self.recovery {
            text.push_str(&format!(
                "{}: {} after {}: {}\n",
                recovery.failed_instance,
                recovery.recovery_strategy,
                recovery.failure_type,
                recovery.reason
            ));
            for action in &recovery.required_actions {
                text.push_str(&format!("  - {action}\n"));
            }
        }
        text.push_str(&format!(
            "{} moved, {} had to; {} to go\n\n",
            self.moves,
            self.unavoidable_moves,
            human(self.plan.makespan_ms)
        ));
        text.push_str(&super::render::table(&self.plan));
        text
    }
}
