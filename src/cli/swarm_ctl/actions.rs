//! From an action to what is to be done about it: every pair of verb and noun has an answer.

use std::collections::BTreeSet;
use std::time::Duration;

use super::deed::{Deed, Step};
use crate::action::json::{Object, Value};
use crate::action::{StructuredAction, Wire};
use crate::cli::Result;
use crate::cli::look::{self, Depth};
use crate::event::{Phase, State, What};
use crate::health::{Condition, Patient, Report, shell};
use crate::id;
use crate::swarm::conductor::Conductor;
use crate::swarm::hold::{Hold, Holds, How, Whom};
use crate::swarm::plan::Plan;
use crate::swarm::{Config, Journal, Root};

/// How long runs are given to end when they are stopped, before what watches over them is asked.
const PATIENCE: Duration = Duration::from_secs(8);
/// The reason that a hold of an agent that was scaled down carries.
const SCALED_DOWN: &str = "scaled down";
/// The most agents that `scale` makes.
const MOST: u64 = 100;

/// Everything that a decision is made from.
pub(super) struct Known<'a> {
    pub(super) root: &'a Root,
    pub(super) plan: Plan,
    pub(super) state: State,
    pub(super) holds: Holds,
    pub(super) report: Report,
    /// The runs that go on: name, agent, task.
    live: Vec<(String, String, Option<String>)>,
    conducted: bool,
    /// What an earlier process decided about the same action, before it was killed.
    decided: Option<String>,
}

impl<'a> Known<'a> {
    /// Looks it all up.
    pub(super) fn look(root: &'a Root, deep: bool, correlation_id: &str) -> Result<Known<'a>> {
        let journal = Journal::read(root)?;
        let plan = Plan::read(root)?.unwrap_or_default();
        let depth = if deep { Depth::ALL } else { Depth::default() };
        let seen = look::seen(root, &journal, &plan, depth)?;
        let state = journal.state().clone();
        let report = crate::health::judge(&state, &seen, &crate::health::Limits::default());
        let live = seen.live_runs.iter().filter_map(|name| {
            let run = state.runs.get(name)?;
            Some((name.clone(), run.agent.clone(), run.task.clone()))
        });
        let decided = state.actions.get(correlation_id);
        Ok(Known {
            root,
            plan,
            live: live.collect(),
            holds: Holds::read(root)?,
            conducted: Conductor::look(root).is_some(),
            decided: decided.and_then(|known| known.decided.clone()),
            report,
            state,
        })
    }

    fn agent(&self, name: &str) -> Option<&Patient> {
        self.report.agents.iter().find(|p| p.agent.name == name)
    }

    /// The runs of these agents that go on.
    fn runs_of(&self, agents: &[String]) -> Vec<String> {
        let of = self
            .live
            .iter()
            .filter(|(_, agent, _)| agents.contains(agent));
        of.map(|(run, ..)| run.clone()).collect()
    }

    fn runs_on(&self, tasks: &[String]) -> Vec<String> {
        let on = |task: &Option<String>| task.as_ref().is_some_and(|task| tasks.contains(task));
        let of = self.live.iter().filter(|(_, _, task)| on(task));
        of.map(|(run, ..)| run.clone()).collect()
    }

    fn all_runs(&self) -> Vec<String> {
        self.live.iter().map(|(run, ..)| run.clone()).collect()
    }

    /// What gives back the tasks that these agents have in hand.
    fn give_back(&self, chosen: impl Fn(&str, &str) -> bool, why: &str) -> Vec<Step> {
        let mut tasks: Vec<_> = self.state.tasks.iter().collect();
        tasks.sort_by_key(|(key, _)| key.as_str());
        let claimed = tasks
            .into_iter()
            .filter_map(|(key, known)| match &known.phase {
                Phase::Claimed { agent, .. } if chosen(agent, key) => {
                    Some(Step::Happen(What::Released {
                        task: key.clone(),
                        epoch: known.epoch,
                        why: Some(why.to_owned()),
                    }))
                }
                _ => None,
            });
        claimed.collect()
    }
}

/// Whether carrying it out changes nothing, so that it need not be remembered.
pub(super) fn only_looks(action: &StructuredAction) -> bool {
    matches!(action.verb.as_str(), "status" | "monitor" | "validate")
}

/// What is to be done about an action.
pub(super) fn decide(action: &StructuredAction, known: &Known<'_>) -> Deed {
    let decided = match action.verb.as_str() {
        "run" => run(action, known),
        "stop" => stop(action, known),
        "pause" => pause(action, known),
        "resume" => resume(action, known),
        "restart" => restart(action, known),
        "reassign" => reassign(action, known),
        "retry" => retry(action, known),
        "resolve" if action.noun == "failure" => retry(action, known),
        "scale" => scale(action, known),
        "sync" => sync(action, known),
        "merge" => merge(action, known),
        "status" | "monitor" => status(action, known),
        "alert" => alert(action, known),
        "validate" => validate(action, known),
        "rollback" => rollback(action, known),
        _ => Ok(beyond(action)),
    };
    decided.unwrap_or_else(|refused| *refused)
}

type Decided = std::result::Result<Deed, Box<Deed>>;

fn no(message: impl Into<String>, next: impl Into<String>) -> Box<Deed> {
    Box::new(Deed::refuse(message, next))
}

/// What this swarm has nothing to do with, and what is nearest.
fn beyond(action: &StructuredAction) -> Deed {
    let (verb, noun) = (action.verb.as_str(), action.noun.as_str());
    let (why, next) = match (verb, noun) {
        ("configure", "configuration" | "swarm" | "instance" | "instances" | "workflow") => (
            "settings stand in swarm.toml, which is yours and committed; nothing was changed",
            "man 5 swarm.toml",
        ),
        ("configure", "protocol") | ("switch", "protocol") => (
            "the bus stands in swarm.toml as [bus] url; nothing was changed",
            "spore-relay --help",
        ),
        ("configure", "resources") => (
            "limits stand in swarm.toml under [run]; nothing was changed",
            "man 5 swarm.toml",
        ),
        ("configure", _) => ("there is nothing to configure about it", "man 5 swarm.toml"),
        ("switch", "branch") => (
            "each agent keeps its branch; another one needs another tree",
            "worktree-spawn --branch PATTERN NAME",
        ),
        ("resolve", "conflicts") => (
            "a conflict is resolved in the branch that swarm-merge hands back",
            "swarm-merge --json",
        ),
        ("resolve", "alerts") => (
            "a finding goes when its cause does; each one names the command that mends it",
            "swarm-status",
        ),
        ("test", "swarm" | "failure") => (
            "failures are tried with a swarm of their own",
            "swarm-torture --help",
        ),
        ("test", "protocol") => (
            "text is checked where it is read",
            "protocol-parse --explain",
        ),
        ("test", "integration" | "branch") => (
            "what branches make together is tested by swarm-merge",
            "swarm-merge --dry-run",
        ),
        ("test", _) => (
            "a task is tested by the gate when it is merged",
            "swarm-merge --dry-run",
        ),
        ("deploy", _) => (
            "this swarm brings work onto a branch and deploys nothing",
            "swarm-merge",
        ),
        (_, "service" | "deployment") => (
            "this swarm has agents and tasks, and runs no services",
            "swarm-status",
        ),
        _ => ("this swarm cannot do that", "swarm-status"),
    };
    Deed::refuse(format!("{verb} {noun}: {why}"), next)
}

/// A parameter that is a text, if it is there.
fn text<'a>(action: &'a StructuredAction, name: &str) -> Option<&'a str> {
    action.parameters.get(name).and_then(Value::as_str)
}

/// A parameter that is a whole number, or a text of one.
fn number(action: &StructuredAction, name: &str) -> Option<u64> {
    match action.parameters.get(name)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn seconds(action: &StructuredAction, name: &str) -> Option<Duration> {
    match action.parameters.get(name)? {
        Value::Number(number) => Duration::try_from_secs_f64(number.as_f64()).ok(),
        _ => None,
    }
}

/// The subjects that an action names, one or a list.
fn named(action: &StructuredAction, one: &str, many: &str) -> Vec<String> {
    let mut names: Vec<String> = text(action, one).map(str::to_owned).into_iter().collect();
    for name in [one, many] {
        if let Some(Value::Array(items)) = action.parameters.get(name) {
            names.extend(items.iter().filter_map(Value::as_str).map(str::to_owned));
        }
    }
    names
}

fn has(action: &StructuredAction, modifier: &str) -> bool {
    action.modifiers.iter().any(|known| known == modifier)
}

/// The agents that an action is about.
fn agents(
    action: &StructuredAction,
    known: &Known<'_>,
) -> std::result::Result<Vec<String>, Box<Deed>> {
    let names = named(action, "instance_id", "instance_ids");
    for name in &names {
        if known.agent(name).is_none() {
            let all = known.report.agents.iter().map(|p| p.agent.name.as_str());
            return Err(unknown("agent", name, all));
        }
    }
    if !names.is_empty() {
        return Ok(names);
    }
    let fits = |patient: &Patient| {
        action.modifiers.iter().any(|word| match word.as_str() {
            "all" => true,
            "running" | "active" => {
                matches!(patient.condition, Condition::Working | Condition::Stalled)
            }
            "idle" => patient.condition == Condition::Idle,
            "failed" => matches!(
                patient.condition,
                Condition::NeedsYou | Condition::Dead | Condition::Stalled
            ),
            "paused" | "stopped" => patient.agent.held.is_some(),
            "completed" => patient.condition == Condition::Done,
            _ => false,
        })
    };
    let states = action.modifiers.iter().any(|word| is_state(word));
    if !states && action.noun == "instance" {
        return Err(no("which agent is not said", "swarm-status"));
    }
    let all = known.report.agents.iter().filter(|p| !states || fits(p));
    Ok(all.map(|patient| patient.agent.name.clone()).collect())
}

/// The tasks that an action is about; `rest` chooses where only a state or nothing is said.
fn tasks(
    action: &StructuredAction,
    known: &Known<'_>,
    rest: &[&str],
) -> std::result::Result<Vec<String>, Box<Deed>> {
    let names = named(action, "task_id", "task_ids");
    for name in &names {
        if !known.report.phases.contains_key(name) {
            return Err(unknown(
                "task",
                name,
                known.report.phases.keys().map(String::as_str),
            ));
        }
    }
    if !names.is_empty() {
        return Ok(names);
    }
    let mut phases: Vec<&str> = Vec::new();
    for word in &action.modifiers {
        match word.as_str() {
            "failed" => phases.extend(["human", "later"]),
            "pending" => phases.extend(["ready", "waiting", "later"]),
            "running" | "active" => phases.push("claimed"),
            "completed" => phases.push("done"),
            "all" if !action.modifiers.iter().any(|w| is_state(w) && w != "all") => {
                phases.extend(rest);
            }
            _ => {}
        }
    }
    if phases.is_empty() && !action.modifiers.iter().any(|word| is_state(word)) {
        return Err(no("which task is not said", "swarm-status"));
    }
    // In the order of the plan.
    let all = known.plan.tasks.iter().filter(|task| {
        let phase = known.report.phases.get(&task.id);
        phase.is_some_and(|phase| phases.contains(phase))
    });
    Ok(all.map(|task| task.id.clone()).collect())
}

fn is_state(word: &str) -> bool {
    matches!(
        word,
        "all"
            | "running"
            | "active"
            | "idle"
            | "pending"
            | "completed"
            | "failed"
            | "stopped"
            | "paused"
    )
}

fn unknown<'n>(what: &str, name: &str, all: impl Iterator<Item = &'n str>) -> Box<Deed> {
    let near = id::nearest(name, all);
    let mean = match near.as_slice() {
        [] => String::new(),
        near => format!(" (did you mean {}?)", near.join(" or ")),
    };
    no(
        format!("no {what} {name:?} here{mean}; nothing was done"),
        "swarm-status",
    )
}

/// Whether the noun means everybody at once.
fn is_whole(action: &StructuredAction) -> bool {
    let plural = action.noun == "instances"
        && has(action, "all")
        && named(action, "instance_id", "instance_ids").is_empty();
    matches!(action.noun.as_str(), "swarm" | "workflow") || plural
}

fn hold(action: &StructuredAction, how: How, whom: Whom) -> Hold {
    let mut hold = Hold::new(how, whom);
    hold.by = (!action.source_instance.is_empty()).then(|| action.source_instance.clone());
    hold.why = text(action, "reason").map(str::to_owned);
    hold.correlation_id = Some(action.correlation_id.clone()).filter(|id| !id.is_empty());
    hold
}

fn list(names: &[String]) -> Value {
    Value::Array(
        names
            .iter()
            .map(|name| Value::from(name.as_str()))
            .collect(),
    )
}

fn run(action: &StructuredAction, known: &Known<'_>) -> Decided {
    match action.noun.as_str() {
        "task" => {}
        "swarm" | "workflow" => {
            if known.plan.tasks.is_empty() {
                let next =
                    "swarm-assign plan TASKS -n 3 --json | worktree-spawn --plan - | swarm-ctl run";
                return Err(no("no plan is in force", next));
            }
            let deed = match known.conducted {
                true => Deed::new("the plan is being carried out already"),
                false => Deed::new("the plan is being carried out"),
            };
            return Ok(deed
                .step(Step::Conduct(Vec::new()))
                .next("swarm-status --watch"));
        }
        "instance" | "instances" => {
            let agents = agents(action, known)?;
            let lift = agents
                .iter()
                .map(|name| Step::Lift(Whom::Agent(name.clone())));
            return Ok(Deed::new(format!("{} may work", agents.join(", ")))
                .steps(lift)
                .step(Step::Conduct(agents)));
        }
        _ => return Ok(beyond(action)),
    }
    let tasks = tasks(action, known, &["ready"])?;
    let wanted = text(action, "instance_id");
    if let Some(name) = wanted.filter(|name| known.agent(name).is_none()) {
        let all = known.report.agents.iter().map(|p| p.agent.name.as_str());
        return Err(unknown("agent", name, all));
    }
    let mut taken = BTreeSet::new();
    let mut deed = Deed::new(format!("{} done", some(&tasks, "task"))).with("tasks", list(&tasks));
    for task in &tasks {
        let owner = known
            .plan
            .tasks
            .iter()
            .find(|t| t.id == *task)
            .map(|t| t.agent.as_str());
        let free = |name: &str| {
            let patient = known.agent(name);
            let free = patient.is_some_and(|patient| {
                let idle = !matches!(
                    patient.condition,
                    Condition::Working | Condition::Stalled | Condition::Paused
                );
                idle && patient.agent.tree.is_some()
            });
            free && !taken.contains(name)
        };
        let mut all = known.report.agents.iter().map(|p| p.agent.name.as_str());
        let agent = match wanted {
            Some(name) => Some(name),
            None => owner
                .filter(|name| free(name))
                .or_else(|| all.find(|name| free(name))),
        };
        let Some(agent) = agent else {
            return Err(no(
                format!("nobody is free for task {task}"),
                "swarm-status --wait-for any=idle",
            ));
        };
        taken.insert(agent.to_owned());
        deed = deed.step(Step::Do(agent.to_owned(), task.clone()));
    }
    Ok(deed)
}

fn some(names: &[String], what: &str) -> String {
    match names {
        [one] => format!("{what} {one}"),
        names => format!("{} {what}s", names.len()),
    }
}

fn stop(action: &StructuredAction, known: &Known<'_>) -> Decided {
    let how = match has(action, "graceful") {
        true => How::Drain,
        false => How::Stop,
    };
    let (holds, runs, who) = if is_whole(action) {
        (
            vec![hold(action, how, Whom::All)],
            known.all_runs(),
            "everybody".to_owned(),
        )
    } else {
        match action.noun.as_str() {
            "instance" | "instances" => {
                let agents = agents(action, known)?;
                let runs = known.runs_of(&agents);
                let hold = |name: &String| hold(action, how, Whom::Agent(name.clone()));
                (agents.iter().map(hold).collect(), runs, agents.join(", "))
            }
            "task" => {
                let tasks = tasks(action, known, &["claimed"])?;
                let runs = known.runs_on(&tasks);
                let hold = |task: &String| hold(action, how, Whom::Task(task.clone()));
                (tasks.iter().map(hold).collect(), runs, some(&tasks, "task"))
            }
            _ => return Ok(beyond(action)),
        }
    };
    if holds.is_empty() {
        return Ok(Deed::new("there is nothing to stop"));
    }
    let message = match how {
        How::Drain => format!(
            "{who}: nothing more begins; {} runs go on to their end",
            runs.len()
        ),
        _ => format!(
            "{who}: stopped; {} runs ended, their tasks are given back",
            runs.len()
        ),
    };
    let mut deed = Deed::new(message)
        .with("runs", list(&runs))
        .steps(holds.into_iter().map(Step::Hold))
        .next(lifting(action));
    if has(action, "force") {
        deed = deed.steps((!runs.is_empty()).then(|| Step::Kill(runs.clone())));
        let of_them = |agent: &str, task: &str| {
            let run = known.live.iter().filter(|(run, ..)| runs.contains(run));
            run.clone()
                .any(|(_, with, on)| with == agent && on.as_deref() == Some(task))
        };
        deed = deed.steps(known.give_back(of_them, "stopped by force"));
    } else if how == How::Stop && !runs.is_empty() {
        let patience = seconds(action, "timeout").unwrap_or(PATIENCE);
        deed = deed.step(Step::Await(runs, patience));
    }
    Ok(deed)
}

/// The command that lets go again what an action holds.
fn lifting(action: &StructuredAction) -> String {
    let mut said = format!(
        "resume {}",
        if is_whole(action) {
            "swarm"
        } else {
            &action.noun
        }
    );
    let names = match action.noun.as_str() {
        "task" => named(action, "task_id", "task_ids"),
        _ => named(action, "instance_id", "instance_ids"),
    };
    for name in names {
        said.push_str(&format!(" {name}"));
    }
    format!("swarm-ctl --do {}", shell(&said))
}

fn pause(action: &StructuredAction, known: &Known<'_>) -> Decided {
    let (whom, who) = if is_whole(action) {
        (vec![Whom::All], "everybody is".to_owned())
    } else {
        match action.noun.as_str() {
            "instance" | "instances" => {
                let agents = agents(action, known)?;
                let who = format!("{} paused:", agents.join(", "));
                (agents.into_iter().map(Whom::Agent).collect(), who)
            }
            "task" => {
                let tasks = tasks(action, known, &["ready", "waiting", "later", "claimed"])?;
                let who = some(&tasks, "task");
                (tasks.into_iter().map(Whom::Task).collect(), who)
            }
            _ => return Ok(beyond(action)),
        }
    };
    let mut until = None;
    if let Some(length) = seconds(action, "duration") {
        let time = jiff::Timestamp::now().checked_add(length);
        until = time.ok().map(|time| format!("{time:.0}"));
    }
    let who = who
        .trim_end_matches(" paused:")
        .trim_end_matches(" is")
        .to_owned();
    let end = until
        .as_ref()
        .map(|time| format!(" until {time}"))
        .unwrap_or_default();
    let freeze = has(action, "immediate");
    let runs = match freeze {
        true => "what runs stands still",
        false => "what runs goes on to its end",
    };
    let deed = Deed::new(format!("{who}: paused{end}; {runs}"));
    let deed = deed.next(lifting(action));
    Ok(deed.steps(whom.into_iter().map(|whom| {
        let mut hold = hold(action, How::Pause, whom);
        hold.until.clone_from(&until);
        hold.freeze = freeze;
        Step::Hold(hold)
    })))
}

fn resume(action: &StructuredAction, known: &Known<'_>) -> Decided {
    let whom: Vec<Whom> = if is_whole(action) {
        vec![Whom::All]
    } else {
        match action.noun.as_str() {
            "instance" | "instances" => agents(action, known)?
                .into_iter()
                .map(Whom::Agent)
                .collect(),
            "task" => tasks(
                action,
                known,
                &["ready", "waiting", "later", "human", "claimed"],
            )?
            .into_iter()
            .map(Whom::Task)
            .collect(),
            _ => return Ok(beyond(action)),
        }
    };
    let all = whom.contains(&Whom::All);
    let lifted = known
        .holds
        .iter()
        .filter(|hold| all || whom.contains(&hold.whom()));
    let lifted: Vec<Value> = lifted.map(|hold| Value::from(hold.to_string())).collect();
    let message = match lifted.len() {
        0 => "nothing was held".to_owned(),
        count => format!("{count} holds are lifted"),
    };
    let mut deed = Deed::new(message).with("lifted", Value::Array(lifted));
    if let Some(hold) = known.holds.all().filter(|_| !all) {
        deed.message.push_str(&format!("; but {hold}"));
        deed = deed.next("swarm-ctl --do 'resume swarm'");
    } else if !known.conducted && known.report.tasks.done < known.report.tasks.total {
        deed.message.push_str("; nobody carries out the plan");
        deed = deed.next("swarm-ctl run --until done");
    }
    Ok(deed.steps(whom.into_iter().map(Step::Lift)))
}

fn restart(action: &StructuredAction, known: &Known<'_>) -> Decided {
    if action.noun == "task" {
        let tasks = tasks(action, known, &["claimed", "human", "later"])?;
        let runs = known.runs_on(&tasks);
        let deed = Deed::new(format!("{} begun anew", some(&tasks, "task")));
        return Ok(deed
            .steps(known.give_back(|_, task| tasks.iter().any(|t| t == task), "restarted"))
            .steps((!runs.is_empty()).then_some(Step::Await(runs, PATIENCE)))
            .steps(again(&tasks, known, action)));
    }
    let agents = match action.noun.as_str() {
        "swarm" | "workflow" => known
            .report
            .agents
            .iter()
            .map(|p| p.agent.name.clone())
            .collect(),
        "instance" | "instances" => agents(action, known)?,
        _ => return Ok(beyond(action)),
    };
    let runs = known.runs_of(&agents);
    let message = format!(
        "{}: {} runs ended, their tasks can be had again",
        agents.join(", "),
        runs.len()
    );
    let mut deed = Deed::new(message).with("runs", list(&runs));
    // A claim that is given back ends its run: agent-run sees it.
    deed = deed.steps(known.give_back(|agent, _| agents.iter().any(|a| a == agent), "restarted"));
    if !runs.is_empty() {
        deed = deed.step(match has(action, "force") {
            true => Step::Kill(runs),
            false => Step::Await(runs, seconds(action, "timeout").unwrap_or(PATIENCE)),
        });
    }
    if is_whole(action) {
        deed = deed
            .step(Step::Lift(Whom::All))
            .step(Step::Conduct(Vec::new()));
    } else {
        deed = deed.steps(agents.into_iter().map(|name| Step::Lift(Whom::Agent(name))));
        if !known.conducted {
            deed.message.push_str("; nobody carries out the plan");
            deed = deed.next("swarm-ctl run --until done");
        }
    }
    Ok(deed)
}

/// What opens tasks again that wait for a person or a time, or are done.
fn again(tasks: &[String], known: &Known<'_>, action: &StructuredAction) -> Vec<Step> {
    let why = text(action, "reason").map(str::to_owned);
    let waits = |task: &&String| {
        let phase = known.state.tasks.get(*task).map(|known| &known.phase);
        matches!(
            phase,
            Some(Phase::Human { .. } | Phase::Later { .. } | Phase::Done { .. })
        )
    };
    let waiting = tasks.iter().filter(waits);
    waiting
        .map(|task| {
            Step::Happen(What::Retried {
                task: task.clone(),
                epoch: known.state.task(task).epoch,
                why: why.clone(),
            })
        })
        .collect()
}

fn reassign(action: &StructuredAction, known: &Known<'_>) -> Decided {
    let find = |name: &str| match known.agent(name) {
        Some(patient) => Ok(patient.agent.name.clone()),
        None => {
            let all = known.report.agents.iter().map(|p| p.agent.name.as_str());
            Err(unknown("agent", name, all))
        }
    };
    let from = text(action, "from_instance").map(find).transpose()?;
    let owner = |task: &str| {
        let moved = known
            .state
            .tasks
            .get(task)
            .and_then(|known| known.moved.clone());
        let planned = known.plan.tasks.iter().find(|t| t.id == task);
        moved
            .map(|(agent, _)| agent)
            .or_else(|| planned.map(|t| t.agent.clone()))
    };
    let with = |task: &str| match known.state.tasks.get(task).map(|known| &known.phase) {
        Some(Phase::Claimed { agent, .. }) => Some(agent.clone()),
        _ => owner(task),
    };
    let mut tasks = match (named(action, "task_id", "task_ids").is_empty(), &from) {
        // Everything of that agent that is not done.
        (true, Some(_)) if !action.modifiers.iter().any(|word| is_state(word)) => {
            let left = known
                .plan
                .tasks
                .iter()
                .filter(|task| known.report.phases.get(&task.id) != Some(&"done"));
            left.map(|task| task.id.clone()).collect()
        }
        _ => tasks(
            action,
            known,
            &["ready", "waiting", "later", "human", "claimed"],
        )?,
    };
    if let Some(from) = &from {
        tasks.retain(|task| with(task).as_ref() == Some(from));
    }
    let to = match (text(action, "to_instance"), has(action, "auto")) {
        (Some(name), _) => find(name)?,
        (None, true) => {
            let others = known
                .report
                .agents
                .iter()
                .filter(|p| Some(&p.agent.name) != from.as_ref());
            let idle = others.clone().find(|p| p.condition == Condition::Idle);
            let any = idle.or_else(|| others.clone().next());
            let Some(patient) = any else {
                return Err(no("there is nobody else", "worktree-spawn -n 1"));
            };
            patient.agent.name.clone()
        }
        (None, false) => {
            return Err(no(
                "to whom is not said",
                "swarm-ctl --do 'reassign task ID to AGENT'",
            ));
        }
    };
    let done = tasks
        .iter()
        .find(|task| known.report.phases.get(*task) == Some(&"done"));
    if let Some(task) = done {
        return Err(no(
            format!("task {task} is done"),
            format!("swarm-assign retry {}", shell(task)),
        ));
    }
    let runs: Vec<String> = known
        .runs_on(&tasks)
        .into_iter()
        .filter(|run| {
            known
                .live
                .iter()
                .any(|(name, agent, _)| name == run && *agent != to)
        })
        .collect();
    let moved = tasks.iter().map(|task| {
        let n = known
            .state
            .tasks
            .get(task)
            .and_then(|known| known.moved.as_ref());
        Step::Happen(What::Reassigned {
            task: task.clone(),
            agent: to.clone(),
            n: n.map_or(1, |(_, n)| n + 1),
            why: text(action, "reason").map(str::to_owned),
        })
    });
    Ok(Deed::new(format!("{} goes to {to}", some(&tasks, "task")))
        .with("tasks", list(&tasks))
        .steps(moved.collect::<Vec<Step>>())
        .steps(known.give_back(
            |agent, task| agent != to && tasks.iter().any(|t| t == task),
            "reassigned",
        ))
        .steps((!runs.is_empty()).then_some(Step::Await(runs, PATIENCE))))
}

fn retry(action: &StructuredAction, known: &Known<'_>) -> Decided {
    match action.noun.as_str() {
        "task" => {}
        "failure" | "workflow" => {
            let waiting = known
                .report
                .phases
                .iter()
                .filter(|(_, phase)| **phase == "human");
            let tasks: Vec<String> = waiting.map(|(task, _)| task.clone()).collect();
            return Ok(
                Deed::new(format!("{} can be had again", some(&tasks, "task")))
                    .with("tasks", list(&tasks))
                    .steps(again(&tasks, known, action)),
            );
        }
        "messages" => return Ok(requeue(action, known)),
        "integration" => return merge(action, known),
        _ => return Ok(beyond(action)),
    }
    let tasks = tasks(action, known, &["human", "later"])?;
    let busy = tasks
        .iter()
        .find(|task| known.report.phases.get(*task) == Some(&"claimed"));
    if let Some(task) = busy {
        let next = format!("swarm-ctl --do {}", shell(&format!("restart task {task}")));
        return Err(no(format!("task {task} is being worked on"), next));
    }
    Ok(
        Deed::new(format!("{} can be had again", some(&tasks, "task")))
            .with("tasks", list(&tasks))
            .steps(again(&tasks, known, action)),
    )
}

/// Dead letters wait again: one by its id, or all.
fn requeue(action: &StructuredAction, known: &Known<'_>) -> Deed {
    let wanted = text(action, "message_id");
    let mut steps = Vec::new();
    if let Ok(spool) = crate::spool::Spool::open(&known.root.mail()) {
        for name in spool.names().unwrap_or_default() {
            let dead = spool.mailbox(&name).and_then(|mailbox| mailbox.dead());
            for (id, _) in dead.unwrap_or_default() {
                if wanted.is_none_or(|wanted| wanted == id.to_string()) {
                    steps.push(Step::Requeue(name.to_string(), id));
                }
            }
        }
    }
    match (wanted, steps.len()) {
        (Some(id), 0) => Deed::refuse(format!("no message {id} was given up"), "swarm-status"),
        (_, count) => Deed::new(format!("{count} messages wait again")).steps(steps),
    }
}

fn scale(action: &StructuredAction, known: &Known<'_>) -> Decided {
    if !matches!(action.noun.as_str(), "instances" | "swarm") {
        return match action.noun.as_str() {
            "resources" => Err(no(
                "scale resources: limits stand in swarm.toml under [run]; nothing was changed",
                "swarm-ctl --do 'scale instances to 3'",
            )),
            _ => Ok(beyond(action)),
        };
    }
    let down = |name: &str| {
        known.holds.iter().any(|hold| {
            hold.agent.as_deref() == Some(name) && hold.why.as_deref() == Some(SCALED_DOWN)
        })
    };
    let housed = known
        .report
        .agents
        .iter()
        .filter(|p| p.agent.tree.is_some());
    let (resting, serving): (Vec<&Patient>, Vec<&Patient>) =
        housed.partition(|p| down(&p.agent.name));
    let now = serving.len() as u64;
    let by = number(action, "by");
    let target = match &known.decided {
        // A second try after a kill does what the first one wanted.
        Some(decided) => decided.trim_start_matches("to ").parse().unwrap_or(now),
        None => match (
            number(action, "count"),
            has(action, "up"),
            has(action, "down"),
            has(action, "auto"),
        ) {
            (Some(count), false, false, _) => count,
            (Some(count), up, _, _) => {
                if up {
                    now + count
                } else {
                    now.saturating_sub(count)
                }
            }
            (None, true, _, _) => now + by.unwrap_or(1),
            (None, _, true, _) => now.saturating_sub(by.unwrap_or(1)),
            (None, _, _, true) => (known.report.tasks.ready + known.report.tasks.claimed).max(1),
            _ => match by {
                Some(by) => now + by,
                None => {
                    return Err(no(
                        "to how many is not said",
                        "swarm-ctl --do 'scale instances to 3'",
                    ));
                }
            },
        },
    };
    if target > MOST {
        return Err(no(
            format!("{target} agents are more than {MOST}"),
            "swarm-ctl --do 'scale instances to 10'",
        ));
    }
    let mut deed = Deed::new(format!("{now} agents before, {target} now"))
        .with("before", now)
        .with("after", target);
    if target >= now {
        let mut missing = target - now;
        for patient in resting.iter().take(missing as usize) {
            deed = deed.step(Step::Lift(Whom::Agent(patient.agent.name.clone())));
            missing -= 1;
        }
        if missing > 0 {
            let argv = ["worktree-spawn", "--quiet", "--count", &missing.to_string()];
            deed = deed.step(Step::Run(argv.map(str::to_owned).to_vec()));
        }
        return Ok(deed);
    }
    // Those who have nothing in hand first, from the last place on.
    let mut going: Vec<&&Patient> = serving.iter().collect();
    going.sort_by_key(|p| {
        (
            p.condition == Condition::Working,
            std::cmp::Reverse(p.agent.slot),
        )
    });
    let going = going.into_iter().take((now - target) as usize);
    let names: Vec<String> = going.map(|p| p.agent.name.clone()).collect();
    for name in &names {
        let mut hold = hold(action, How::Drain, Whom::Agent(name.clone()));
        hold.why = Some(SCALED_DOWN.to_owned());
        deed = deed.step(Step::Hold(hold));
    }
    let next = format!("worktree-reap {}", names.join(" "));
    Ok(deed.with("resting", list(&names)).next(next))
}

/// Brings what landed on the base into the trees that are clean and at rest.
fn sync(action: &StructuredAction, known: &Known<'_>) -> Decided {
    if action.noun == "configuration" {
        return Err(no(
            "every command reads swarm.toml when it starts; there is nothing to bring along",
            "man 5 swarm.toml",
        ));
    }
    if has(action, "downstream") || has(action, "bidirectional") {
        return Err(no("work goes to the base through a gate", "swarm-merge"));
    }
    let names = named(action, "branch_name", "branch_names");
    let of = |patient: &&Patient| {
        let branch = patient
            .agent
            .tree
            .as_ref()
            .and_then(|tree| tree.branch.as_ref());
        names.is_empty()
            || names.contains(&patient.agent.name)
            || branch.is_some_and(|b| names.contains(b))
    };
    let chosen: Vec<&Patient> = known
        .report
        .agents
        .iter()
        .filter(|p| p.agent.tree.is_some())
        .filter(of)
        .collect();
    if chosen.is_empty() {
        return Err(no(
            format!("no agent has branch {}", names.join(", ")),
            "worktree-spawn --list",
        ));
    }
    let trees = crate::workspace::Tree::all(known.root).unwrap_or_default();
    let (mut steps, mut passed) = (Vec::new(), Vec::new());
    for patient in chosen {
        let name = &patient.agent.name;
        let base = trees
            .iter()
            .find(|tree| tree.identity.agent.as_str() == name);
        let base = base.map(|tree| tree.notes.base.clone()).unwrap_or_default();
        let base = text(action, "remote")
            .filter(|r| !matches!(*r, "upstream" | "base"))
            .map_or(base, str::to_owned);
        let Some(tree) = &patient.agent.tree else {
            continue;
        };
        if tree.behind == Some(0) {
            continue;
        }
        if tree.dirty != Some(0) || !known.runs_of(std::slice::from_ref(name)).is_empty() {
            passed.push(name.clone());
            continue;
        }
        let argv = [
            "git",
            "-C",
            &tree.path,
            "merge",
            "--no-edit",
            "--quiet",
            &base,
        ];
        steps.push(Step::Run(argv.map(str::to_owned).to_vec()));
    }
    if !passed.is_empty() {
        let why = format!(
            "{}: at work, or not clean; nothing was done",
            passed.join(", ")
        );
        return Err(no(why, "swarm-status"));
    }
    Ok(Deed::new(format!("{} trees brought up to their base", steps.len())).steps(steps))
}

fn merge(action: &StructuredAction, known: &Known<'_>) -> Decided {
    let mut argv = vec!["swarm-merge".to_owned(), "--json".to_owned()];
    if let Some(into) = text(action, "target_branch") {
        argv.extend(["--into".to_owned(), into.to_owned()]);
    }
    argv.extend(named(action, "branch_name", "branch_names"));
    if action.noun == "task" {
        let tasks = tasks(action, known, &["done"])?;
        for task in &tasks {
            match known.state.tasks.get(task).map(|known| &known.phase) {
                Some(Phase::Done { agent, .. }) if !argv.contains(agent) => {
                    argv.push(agent.clone())
                }
                Some(Phase::Done { .. }) => {}
                _ => return Err(no(format!("task {task} is not done"), "swarm-status")),
            }
        }
    }
    Ok(Deed::new("merged")
        .step(Step::Run(argv))
        .next("swarm-merge --report"))
}

fn status(action: &StructuredAction, known: &Known<'_>) -> Decided {
    let noun = action.noun.as_str();
    let modules = |chosen: &dyn Fn(&str) -> bool| {
        let all = known.report.modules(env!("CARGO_PKG_VERSION"));
        let all = all.iter().filter(|module| chosen(&module.module_name));
        Value::Array(
            all.filter_map(|module| Value::parse(&module.to_json()).ok())
                .collect(),
        )
    };
    let tasks = &known.report.tasks;
    let summary = format!(
        "{} of {} tasks done, {} in hand, {} ready, {} for you; {} agents",
        tasks.done,
        tasks.total,
        tasks.claimed,
        tasks.ready,
        tasks.human,
        known.report.agents.len()
    );
    let next = "swarm-status";
    match noun {
        "swarm" | "workflow" | "health" | "metrics" | "instances"
            if named(action, "instance_id", "instance_ids").is_empty()
                && !action.modifiers.iter().any(|word| is_state(word)) =>
        {
            Ok(Deed::new(summary)
                .with("modules", modules(&|_| true))
                .next(next))
        }
        "instance" | "instances" => {
            let agents = agents(action, known)?;
            let said: Vec<String> = agents
                .iter()
                .filter_map(|name| {
                    let patient = known.agent(name)?;
                    Some(format!(
                        "{name} {}: {}",
                        patient.condition.as_str(),
                        patient.why
                    ))
                })
                .collect();
            let chosen = |name: &str| agents.iter().any(|agent| name == format!("agent/{agent}"));
            Ok(Deed::new(said.join("; "))
                .with("modules", modules(&chosen))
                .next(next))
        }
        "swarm" | "workflow" | "health" | "metrics" => Ok(Deed::new(summary)
            .with("modules", modules(&|_| true))
            .next(next)),
        "task" => {
            let all = named(action, "task_id", "task_ids").is_empty()
                && !action.modifiers.iter().any(|word| is_state(word));
            let chosen = match all {
                true => known
                    .plan
                    .tasks
                    .iter()
                    .map(|task| task.id.clone())
                    .collect(),
                false => self::tasks(
                    action,
                    known,
                    &["ready", "waiting", "later", "human", "claimed", "done"],
                )?,
            };
            let records: Vec<Value> = chosen.iter().map(|task| task_record(task, known)).collect();
            let message = match chosen.as_slice() {
                [one] => format!(
                    "task {one} is {}",
                    known.report.phases.get(one).unwrap_or(&"unknown")
                ),
                _ => summary,
            };
            Ok(Deed::new(message)
                .with("tasks", Value::Array(records))
                .next(next))
        }
        "alerts" | "failure" => {
            let signs = known.report.indicators.iter();
            let said: Vec<Value> = signs
                .map(|sign| Value::from(sign.message.as_str()))
                .collect();
            Ok(Deed::new(format!("{} findings", said.len()))
                .with("findings", Value::Array(said))
                .next(next))
        }
        "messages" => {
            let (unread, dead) = known.report.mail;
            Ok(
                Deed::new(format!("{unread} messages wait, {dead} were given up"))
                    .with("unread", unread)
                    .with("dead", dead)
                    .next(next),
            )
        }
        "branch" | "branches" => {
            let names = named(action, "branch_name", "branch_names");
            let trees = known.report.agents.iter().filter_map(|patient| {
                let tree = patient.agent.tree.as_ref()?;
                let branch = tree.branch.clone().unwrap_or_default();
                let chosen = names.is_empty()
                    || names.contains(&branch)
                    || names.contains(&patient.agent.name);
                chosen.then(|| {
                    let mut object = Object::new();
                    object.insert("branch", Value::from(branch));
                    object.insert("agent", Value::from(patient.agent.name.as_str()));
                    for (name, count) in [
                        ("ahead", tree.ahead),
                        ("behind", tree.behind),
                        ("files", tree.files),
                        ("dirty", tree.dirty),
                    ] {
                        object.insert(name, count.map_or(Value::Null, Value::from));
                    }
                    Value::Object(object)
                })
            });
            let trees: Vec<Value> = trees.collect();
            if trees.is_empty() && !names.is_empty() {
                return Err(no(
                    format!("no agent has branch {}", names.join(", ")),
                    "worktree-spawn --list",
                ));
            }
            Ok(Deed::new(format!("{} branches", trees.len()))
                .with("branches", Value::Array(trees))
                .next("worktree-spawn --list"))
        }
        "logs" => {
            let target = text(action, "target").or(text(action, "instance_id"));
            let runs = known.state.runs.iter().filter(|(name, run)| {
                target
                    .is_none_or(|t| *name == t || run.agent == t || run.task.as_deref() == Some(t))
            });
            let files: Vec<String> = runs
                .map(|(name, _)| {
                    known
                        .root
                        .runs()
                        .join(name)
                        .join("transcript.out")
                        .display()
                        .to_string()
                })
                .collect();
            Ok(Deed::new(format!("{} transcripts", files.len()))
                .with("files", list(&files))
                .next(next))
        }
        "resources" => {
            let read = |path: &str| std::fs::read_to_string(path).ok();
            let mut deed = Deed::new("what the machine has left");
            for (name, path) in [
                ("load", "/proc/loadavg"),
                ("memory_pressure", "/proc/pressure/memory"),
            ] {
                if let Some(text) = read(path) {
                    deed = deed.with(name, text.trim());
                }
            }
            Ok(deed.next(next))
        }
        "configuration" => validate(action, known),
        "conflicts" => Err(no(
            "which agents' work will conflict is said by swarm-merge",
            "swarm-merge --forecast",
        )),
        "integration" => Err(no(
            "what merging would do is said by swarm-merge",
            "swarm-merge --dry-run",
        )),
        "protocol" => {
            let bus = Config::read(known.root)
                .ok()
                .and_then(|config| config.bus.url);
            let bus = bus.unwrap_or_else(|| "files".to_owned());
            Ok(Deed::new(format!("messages go by {bus}"))
                .with("bus", bus.as_str())
                .next("spore-relay status"))
        }
        _ => Ok(beyond(action)),
    }
}

fn task_record(task: &str, known: &Known<'_>) -> Value {
    let state = known.state.task(task);
    let mut object = Object::new();
    object.insert("task", Value::from(task));
    let phase = known.report.phases.get(task).copied().unwrap_or("unknown");
    object.insert("phase", Value::from(phase));
    object.insert("epoch", Value::from(state.epoch));
    object.insert("failures", Value::from(u64::from(state.failures)));
    if let Phase::Claimed { agent, .. } | Phase::Done { agent, .. } = &state.phase {
        object.insert("agent", Value::from(agent.as_str()));
    }
    if let Phase::Human { why: Some(why) } = &state.phase {
        object.insert("why", Value::from(why.as_str()));
    }
    Value::Object(object)
}

fn alert(action: &StructuredAction, known: &Known<'_>) -> Decided {
    let Some(message) = text(action, "message") else {
        return Err(no(
            "what to say is not said",
            "swarm-ctl --do 'alert swarm \"the build is red\"'",
        ));
    };
    let to: Vec<String> = match action.noun.as_str() {
        "swarm" => known
            .report
            .agents
            .iter()
            .map(|p| p.agent.name.clone())
            .collect(),
        "instance" | "instances" => agents(action, known)?,
        "task" => {
            let tasks = tasks(action, known, &["claimed"])?;
            let with = tasks
                .iter()
                .filter_map(|task| match known.state.task(task).phase {
                    Phase::Claimed { agent, .. } => Some(agent),
                    _ => None,
                });
            with.collect()
        }
        _ => return Ok(beyond(action)),
    };
    if to.is_empty() {
        return Err(no("nobody is at it", "swarm-status"));
    }
    let from = match action.source_instance.as_str() {
        "" => "conductor",
        name => name,
    };
    let mut argv = vec!["spore-send".to_owned()];
    for name in &to {
        argv.extend(["--to".to_owned(), name.clone()]);
    }
    let rest = ["--as", from, "--message", message];
    argv.extend(rest.map(str::to_owned));
    Ok(Deed::new(format!("told {}", to.join(", "))).step(Step::Run(argv)))
}

fn validate(action: &StructuredAction, known: &Known<'_>) -> Decided {
    match action.noun.as_str() {
        "configuration" => match Config::read(known.root) {
            Ok(_) => Ok(Deed::new(
                "swarm.toml can be read, and every key in it is known",
            )),
            Err(error) => Err(no(error.to_string(), "man 5 swarm.toml")),
        },
        "task" => {
            let tasks = tasks(
                action,
                known,
                &["ready", "waiting", "later", "human", "claimed", "done"],
            )?;
            Ok(Deed::new(format!("{} in the plan", some(&tasks, "task")))
                .with("tasks", list(&tasks)))
        }
        "swarm" | "workflow" => {
            let places = known.plan.places();
            if places.len() != known.plan.tasks.len() {
                return Err(no(
                    "two tasks of the plan have one key",
                    "swarm-assign check",
                ));
            }
            let circle = circle(&known.plan);
            if !circle.is_empty() {
                let why = format!("tasks wait for one another: {}", circle.join(", "));
                return Err(no(why, "swarm-assign check"));
            }
            let signs = &known.report.indicators;
            let bad = signs
                .iter()
                .find(|sign| sign.level == crate::health::Level::Critical);
            match bad {
                Some(sign) => Err(no(
                    sign.message.clone(),
                    sign.mend.clone().unwrap_or_default(),
                )),
                None => Ok(Deed::new(format!(
                    "the plan holds together ({} tasks), and nothing is critical",
                    known.plan.tasks.len()
                ))),
            }
        }
        "branch" | "branches" | "integration" => Err(no(
            "branches are validated together, by the gate",
            "swarm-merge --dry-run",
        )),
        _ => Ok(beyond(action)),
    }
}

/// Tasks that can never be ready because they wait for one another.
fn circle(plan: &Plan) -> Vec<String> {
    let places = plan.places();
    let mut done = vec![false; plan.tasks.len()];
    loop {
        let before = done.iter().filter(|done| **done).count();
        for (place, task) in plan.tasks.iter().enumerate() {
            let ready = task
                .after
                .iter()
                .all(|key| places.get(key.as_str()).is_none_or(|p| done[*p]));
            done[place] |= ready;
        }
        if done.iter().filter(|done| **done).count() == before {
            break;
        }
    }
    let left = plan.tasks.iter().zip(&done).filter(|(_, done)| !**done);
    left.map(|(task, _)| task.id.clone()).collect()
}

fn rollback(action: &StructuredAction, known: &Known<'_>) -> Decided {
    match action.noun.as_str() {
        "task" => {
            let tasks = tasks(action, known, &["done"])?;
            Ok(Deed::new(format!(
                "{} open again; its commits stay where they are",
                some(&tasks, "task")
            ))
            .steps(again(&tasks, known, action))
            .next("git revert COMMIT"))
        }
        "branch" => Err(no(
            "work that was saved is listed and brought back by worktree-reap",
            "worktree-reap --help",
        )),
        "integration" => {
            let what = text(action, "batch_id").unwrap_or("COMMIT");
            Err(no(
                "what landed is taken back by a commit of its own",
                format!("git revert -m 1 {}", shell(what)),
            ))
        }
        "configuration" => Err(no(
            "swarm.toml is under version control",
            "git checkout HEAD^ -- swarm.toml",
        )),
        _ => Ok(beyond(action)),
    }
}
