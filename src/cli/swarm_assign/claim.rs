//! The verbs that give out the tasks of the plan in force, and take them back: `next`, `renew`,
//! `release`, `done`, `fail`, `retry`, `claim-path`, and `adopt`, which puts a plan in force.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::action::Wire;
use crate::action::json::{Object, Value};
use crate::action::model::{self, TaskStatus};
use crate::action::time::TimeDelta;
use crate::cli::args::{RootArgs, duration};
use crate::cli::error::{Failure, say};
use crate::cli::{Out, Result, Status, input};
use crate::event::{Effect, Event, Phase, TaskState, Then, What};
use crate::id;
use crate::swarm::hold::Holds;
use crate::swarm::journal::{self, Journal};
use crate::swarm::lease::{self, Claim, Desk, Waits, Wish};
use crate::swarm::plan::Plan;
use crate::swarm::root::Options;
use crate::swarm::{Config, Error, Holder, Root, Who};

/// The longest plan that is read from standard input, in bytes.
const PLAN_LIMIT: u64 = 1 << 30;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Put a plan in force: a plan as JSON, from a file or standard input
    Adopt(AdoptArgs),
    /// Claim the best ready task for an agent and print it
    Next(NextArgs),
    /// Say that work on a task goes on
    Renew(RenewArgs),
    /// Give a task back, undone
    Release(ReleaseArgs),
    /// Say that a task is done
    Done(DoneArgs),
    /// Say that a try failed; its exit status decides what follows
    Fail(FailArgs),
    /// Open a task again that waits for a person or a time, or was done
    Retry(RetryArgs),
    /// Keep files for an agent, or give them back
    ClaimPath(ClaimPathArgs),
}

/// Arguments of `adopt`.
#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// The plan; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    plan: String,
    #[command(flatten)]
    root: RootArgs,
}

/// Arguments of `next`.
#[derive(Debug, Args)]
pub struct NextArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    term: Term,
    /// Only this task
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Only what the plan has for this agent
    #[arg(long)]
    own: bool,
    /// Print what the agent has in hand already, if anything
    #[arg(long)]
    again: bool,
    /// Wait until something is ready
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "DURATION", default_value = "9m", value_parser = duration)]
    timeout: Duration,
    /// Print what would be claimed, and claim nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print JSON, as without it
    #[arg(long)]
    json: bool,
}

/// Arguments of `renew`.
#[derive(Debug, Args)]
pub struct RenewArgs {
    #[command(flatten)]
    mine: Mine,
    #[command(flatten)]
    term: Term,
}

/// Arguments of `release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    mine: Mine,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// Arguments of `done`.
#[derive(Debug, Args)]
pub struct DoneArgs {
    #[command(flatten)]
    mine: Mine,
    /// The commit that proves it
    #[arg(long, value_name = "ID")]
    commit: Option<String>,
    /// The run that did it
    #[arg(long, value_name = "RUN", env = "SPORE_RUN", hide_env_values = true)]
    run: Option<String>,
}

/// Arguments of `fail`.
#[derive(Debug, Args)]
pub struct FailArgs {
    #[command(flatten)]
    mine: Mine,
    /// The exit status of `agent-run`, or of the command that failed
    #[arg(long, value_name = "STATUS", default_value_t = 1)]
    from_exit: u8,
    /// When a limit ends, RFC 3339
    #[arg(long, value_name = "TIME")]
    retry_at: Option<String>,
    /// Tries after the first before a person is asked (otherwise `retries` of swarm.toml, else 2)
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// Arguments of `retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// The task
    #[arg(value_name = "TASK")]
    task: String,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    root: RootArgs,
}

/// Arguments of `claim-path`.
#[derive(Debug, Args)]
pub struct ClaimPathArgs {
    /// The files, relative to the top of the worktree; a directory has a slash at its end
    #[arg(value_name = "FILE", required = true)]
    paths: Vec<String>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    term: Term,
    /// Give them back
    #[arg(long)]
    release: bool,
}

/// Who speaks, and where the swarm is.
#[derive(Debug, Args)]
struct Common {
    /// The agent (otherwise whose worktree this is, else SPORE_AGENT)
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    #[command(flatten)]
    root: RootArgs,
}

/// How long something is held, and by whom.
#[derive(Debug, Args)]
struct Term {
    /// How long it holds without a sign of life (otherwise `lease` of swarm.toml, else 30m)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    lease: Option<Duration>,
    /// The process it is held by: when that dies, it is free at once
    #[arg(long, value_name = "PID")]
    holder: Option<u32>,
}

/// A task that somebody has.
#[derive(Debug, Args)]
struct Mine {
    /// The task
    #[arg(value_name = "TASK", env = "SPORE_TASK", hide_env_values = true)]
    task: String,
    /// Which claim of it (otherwise the one in force)
    #[arg(long, value_name = "N", env = "SPORE_EPOCH", hide_env_values = true)]
    epoch: Option<u64>,
    #[command(flatten)]
    common: Common,
}

/// Does what a verb says.
pub fn run(verb: Verb, out: &mut Out) -> Result {
    match verb {
        Verb::Adopt(args) => adopt(args, out),
        Verb::Next(args) => next(args, out),
        Verb::Renew(args) => renew(args),
        Verb::Release(args) => release(args),
        Verb::Done(args) => done(args),
        Verb::Fail(args) => fail(args, out),
        Verb::Retry(args) => retry(args),
        Verb::ClaimPath(args) => claim_path(args),
    }
}

/// The swarm that the arguments mean.
pub fn root(args: RootArgs) -> Result<Root> {
    Ok(Root::find(&Options {
        start: args.repo.unwrap_or_default(),
        root: args.root,
    })?)
}

impl Common {
    fn resolve(self) -> Result<(Root, String)> {
        let root = root(self.root)?;
        let environment = std::env::var("SPORE_AGENT").ok();
        let who = Who::must_be(&root, self.agent.as_deref(), environment.as_deref());
        match who {
            Err(Error::Nobody) => Err(Failure::usage("nobody says for which agent")
                .hint("say --agent NAME, or set SPORE_AGENT")
                .into()),
            who => Ok((root, who?.agent.to_string())),
        }
    }
}

impl Term {
    fn length(&self, root: &Root) -> Result<Duration> {
        match self.lease {
            Some(length) => Ok(length),
            None => Ok(Config::read(root)?
                .plan
                .lease
                .unwrap_or(lease::DEFAULT_LEASE)),
        }
    }

    fn holder(&self) -> Option<Holder> {
        self.holder.map(Holder::of)
    }
}

fn adopt(args: AdoptArgs, out: &mut Out) -> Result {
    let root = root(args.root)?;
    let bytes = input::whole(input::open(&args.plan)?, &args.plan, PLAN_LIMIT)?;
    let text = String::from_utf8(bytes).with_context(|| format!("{:?}", args.plan))?;
    // One line, whatever it was.
    let text = crate::swarm::plan::line_of(&text).unwrap_or(&text);
    let text = serde_json::from_str::<serde_json::Value>(text)
        .with_context(|| format!("{:?}", args.plan))?
        .to_string();
    let plan = Plan::adopt(&root, &text, &uuid::Uuid::new_v4().to_string())?;
    writeln!(out, "{}", plan.plan_id)?;
    Ok(Status::Done)
}

fn next(args: NextArgs, out: &mut Out) -> Result {
    let (root, agent) = args.common.resolve()?;
    let length = args.term.length(&root)?;
    let holder = args.term.holder();
    let Some(mut desk) = Desk::open(&root)? else {
        return Err(Failure::usage("no plan is in force").hint(NO_PLAN).into());
    };
    let capabilities = capabilities(&root, &desk, &agent)?;
    if let Some(task) = &args.task
        && !desk.plan().places().contains_key(task.as_str())
    {
        return Err(unknown_task(&desk, task).into());
    }
    if args.again
        && let Some(claim) = desk.held_by(&agent).first()
    {
        writeln!(out, "{}", record(&desk, claim))?;
        return Ok(Status::Done);
    }
    let wish = Wish {
        agent: &agent,
        capabilities: capabilities.as_deref(),
        task: args.task.as_deref(),
        own: args.own,
    };
    let begun = Instant::now();
    loop {
        let asked = if args.dry_run {
            look(&root, &desk, &wish, length)
        } else {
            desk.next(&wish, length, holder.as_ref())
        };
        let waiting = match asked? {
            Ok(claim) => {
                writeln!(out, "{}", record(&desk, &claim))?;
                return Ok(Status::Done);
            }
            Err(waiting) => waiting,
        };
        if !args.wait || !waiting.iter().any(|(_, why)| passes(&desk, why)) {
            say(&format!(
                "swarm-assign: {}\n",
                nothing(&desk, &agent, &waiting)
            ));
            return Ok(Status::No);
        }
        if begun.elapsed() >= args.timeout {
            say(&format!(
                "swarm-assign: {}\n",
                nothing(&desk, &agent, &waiting)
            ));
            return Ok(Status::TimedOut);
        }
        wait_for_news(&mut desk, args.timeout.saturating_sub(begun.elapsed()))?;
    }
}

const NO_PLAN: &str = "swarm-assign plan TASKS -n 3 --json | swarm-assign adopt -";

/// What `next` would claim.
fn look(
    root: &Root,
    desk: &Desk,
    wish: &Wish<'_>,
    length: Duration,
) -> std::result::Result<std::result::Result<Claim, Vec<(usize, Waits)>>, Error> {
    let now = lease::Now {
        at: &journal::now(),
        over: &lease::is_over,
        holds: &Holds::read(root)?,
    };
    Ok(match lease::choose(desk.plan(), desk.state(), wish, &now) {
        lease::Choice::Nothing(waiting) => Err(waiting),
        lease::Choice::Take(place) => {
            let task = desk.plan().tasks[place].id.clone();
            Ok(Claim {
                place,
                agent: wish.agent.to_owned(),
                epoch: desk.state().task(&task).epoch + 1,
                lease: lease::lease_for(length, None),
                correlation_id: String::new(),
                task,
            })
        }
    })
}

/// Sleeps until something happened in the journal, or a lease may have ended.
fn wait_for_news(desk: &mut Desk, at_most: Duration) -> Result<()> {
    const LOOK: Duration = Duration::from_millis(50);
    // Leases end without a word in the journal.
    const ASK: Duration = Duration::from_secs(1);
    let begun = Instant::now();
    let before = desk.state().clone();
    while begun.elapsed() < at_most.min(ASK) {
        std::thread::sleep(LOOK.min(at_most));
        desk.refresh()?;
        if *desk.state() != before {
            break;
        }
    }
    Ok(())
}

/// Whether what a task waits for can go by without a person.
fn passes(desk: &Desk, why: &Waits) -> bool {
    match why {
        Waits::Taken(_) | Waits::Held(..) | Waits::Until(_) | Waits::Paused(_) => true,
        Waits::After(_) => goes_on(desk),
        Waits::Done | Waits::Needs(_) | Waits::Only(_) | Waits::Human(_) => false,
    }
}

/// Whether anybody can work on anything without a person.
fn goes_on(desk: &Desk) -> bool {
    let places = desk.plan().places();
    let phase = |key: &str| desk.state().task(key).phase;
    let done = |key: &str| !places.contains_key(key) || matches!(phase(key), Phase::Done { .. });
    desk.plan().tasks.iter().any(|task| {
        !matches!(phase(&task.id), Phase::Done { .. } | Phase::Human { .. })
            && task.after.iter().all(|key| done(key))
    })
}

/// Why there is nothing for an agent, in one line.
fn nothing(desk: &Desk, agent: &str, waiting: &[(usize, Waits)]) -> String {
    const SHOWN: usize = 5;
    if waiting.is_empty() {
        let tasks = &desk.plan().tasks;
        let done = tasks
            .iter()
            .filter(|task| matches!(desk.state().task(&task.id).phase, Phase::Done { .. }))
            .count();
        return if done == tasks.len() {
            format!("all {done} tasks are done")
        } else {
            format!("nothing is ready for {agent}: the plan has nothing for it")
        };
    }
    let mut reasons: Vec<String> = waiting
        .iter()
        .take(SHOWN)
        .map(|(place, why)| format!("{} {why}", desk.plan().tasks[*place].id))
        .collect();
    if waiting.len() > SHOWN {
        reasons.push(format!("and {} more", waiting.len() - SHOWN));
    }
    format!("nothing is ready for {agent}: {}", reasons.join("; "))
}

/// What the agent can do, by the plan or by swarm.toml; refuses a name that nobody bears.
pub(in crate::cli) fn capabilities(
    root: &Root,
    desk: &Desk,
    agent: &str,
) -> Result<Option<Vec<String>>> {
    let planned = &desk.plan().agents;
    if let Some(known) = planned.iter().find(|known| known.name == agent) {
        return Ok(known.capabilities.clone());
    }
    let config = Config::read(root)?;
    let configured = config
        .agents
        .iter()
        .find(|(name, _)| name.as_str() == agent);
    if let Some((_, known)) = configured {
        let offered = &known.capabilities;
        return Ok((!offered.is_empty()).then(|| offered.clone()));
    }
    let joined = desk.state().agents.get(agent);
    if planned.is_empty() || joined.is_some_and(|known| known.present) {
        return Ok(None);
    }
    let known = planned.iter().map(|known| known.name.as_str());
    let known = known.chain(config.agents.keys().map(|name| name.as_str()));
    Err(Error::Unknown {
        what: "agent",
        name: agent.to_owned(),
        nearest: id::nearest(agent, known)
            .into_iter()
            .map(str::to_owned)
            .collect(),
    }
    .into())
}

fn unknown_task(desk: &Desk, task: &str) -> Failure {
    let keys = desk.plan().tasks.iter().map(|task| task.id.as_str());
    let failure = Failure::new(Status::Unknown, format!("task {task:?} is not in the plan"));
    match id::nearest(task, keys).as_slice() {
        [] => failure,
        nearest => failure.hint(format!("did you mean {}?", nearest.join(" or "))),
    }
}

/// A claimed task as one line: the original's Task, then ours.
pub(in crate::cli) fn record(desk: &Desk, claim: &Claim) -> String {
    let task = &desk.plan().tasks[claim.place];
    let texts = |texts: &[String]| -> Value {
        Value::Array(
            texts
                .iter()
                .map(|text| Value::from(text.as_str()))
                .collect(),
        )
    };
    let left = claim.lease.until_boot_ms - crate::swarm::holder::since_boot_ms();
    let extra: Object = [
        ("v", Value::from(1_u64)),
        ("type", Value::from("task")),
        ("plan_id", Value::from(desk.plan().plan_id.as_str())),
        ("epoch", Value::from(claim.epoch)),
        ("lease_ms", Value::from(left.max(0))),
        ("touches", texts(&task.touches)),
        ("source", Value::from(task.source.as_str())),
        ("correlation_id", Value::from(claim.correlation_id.as_str())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    model::Task {
        id: claim.task.clone(),
        description: task.title.clone(),
        requirements: Vec::new(),
        dependencies: task.after.clone(),
        estimated_duration: TimeDelta::from_millis(task.duration_ms),
        complexity_score: 1.0,
        required_capabilities: task.needs.clone(),
        acceptance_criteria: Vec::new(),
        parameters: Object::new(),
        status: TaskStatus::Assigned,
        assigned_instance: Some(claim.agent.clone()),
        start_time: journal::now().parse().ok(),
        completion_time: None,
        result: None,
        error_message: None,
        extra,
    }
    .to_json()
}

/// Records what happened to a task that somebody has, and says so if it came too late.
fn report(mine: Mine, what: impl FnOnce(&str, &str, &TaskState, u64) -> What) -> Result<Event> {
    let (root, agent) = mine.common.resolve()?;
    let mut journal = Journal::open(&root)?;
    let task = mine.task;
    if !journal.state().tasks.contains_key(&task) {
        return Err(never_claimed(&root, &task)?.into());
    }
    let mut seen = TaskState::default();
    let outcome = lease::report(&mut journal, &task, &agent, mine.epoch, |known, epoch| {
        seen = known.clone();
        what(&task, &agent, known, epoch)
    })?;
    let again = matches!((&seen.phase, &outcome.event.what),
        (Phase::Done { agent: by, .. }, What::Done { .. })
            if *by == agent && mine.epoch.is_none_or(|epoch| epoch == seen.epoch));
    if outcome.effect == Effect::Stale && !again {
        return Err(too_late(&task, mine.epoch, &agent, &seen).into());
    }
    Ok(outcome.event)
}

fn never_claimed(root: &Root, task: &str) -> Result<Failure> {
    Ok(match Desk::open(root)? {
        None => Failure::usage("no plan is in force").hint(NO_PLAN),
        Some(desk) if !desk.plan().places().contains_key(task) => unknown_task(&desk, task),
        Some(_) => Failure::new(
            Status::Late,
            format!("task {task:?}: nobody has claimed it"),
        ),
    })
}

fn too_late(task: &str, epoch: Option<u64>, agent: &str, seen: &TaskState) -> Failure {
    let now = match &seen.phase {
        Phase::Claimed { agent: with, .. } => {
            format!("{with} has it now, by claim {}", seen.epoch)
        }
        Phase::Done { agent: by, .. } => format!("{by} has done it"),
        Phase::Human { .. } => "it waits for a person".to_owned(),
        Phase::Open | Phase::Later { .. } => "nobody has it now".to_owned(),
    };
    let claim = match epoch {
        Some(epoch) => format!("claim {epoch} is over"),
        None => format!("{agent} does not have it"),
    };
    Failure::new(
        Status::Late,
        format!("task {task:?}: too late: {claim}, and {now}"),
    )
}

fn renew(args: RenewArgs) -> Result {
    let at = RootArgs {
        repo: args.mine.common.root.repo.clone(),
        root: args.mine.common.root.root.clone(),
    };
    let length = args.term.length(&root(at)?)?;
    let holder = args.term.holder();
    report(args.mine, |task, _, known, epoch| {
        lease::renewal(task, length, holder.as_ref())(known, epoch)
    })?;
    Ok(Status::Done)
}

fn release(args: ReleaseArgs) -> Result {
    let why = args.why;
    report(args.mine, |task, _, _, epoch| What::Released {
        task: task.to_owned(),
        epoch,
        why,
    })?;
    Ok(Status::Done)
}

fn done(args: DoneArgs) -> Result {
    let (commit, run) = (args.commit, args.run);
    report(args.mine, |task, agent, _, epoch| What::Done {
        task: task.to_owned(),
        agent: agent.to_owned(),
        epoch,
        commit,
        run,
    })?;
    Ok(Status::Done)
}

fn fail(args: FailArgs, out: &mut Out) -> Result {
    let exit = args.from_exit;
    if exit == 0 {
        return Err(Failure::usage("exit status 0 is no failure")
            .hint(format!("swarm-assign done {}", args.mine.task))
            .into());
    }
    let retries = match args.retries {
        Some(retries) => retries,
        None => {
            let at = RootArgs {
                repo: args.mine.common.root.repo.clone(),
                root: args.mine.common.root.root.clone(),
            };
            Config::read(&root(at)?)?.plan.retries.unwrap_or(2)
        }
    };
    let retry_at = match &args.retry_at {
        Some(time) => Some(
            time.parse::<jiff::Timestamp>()
                .with_context(|| format!("--retry-at {time:?}"))?
                .to_string(),
        ),
        None => None,
    };
    let said = args.why;
    let event = report(args.mine, |task, agent, known, epoch| {
        let (word, then) = lease::verdict(exit, known.failures, retries);
        What::Failed {
            task: task.to_owned(),
            agent: agent.to_owned(),
            epoch,
            exit,
            then,
            retry_at: match then {
                Then::Later => retry_at.or_else(lease::after_a_pause),
                Then::Retry | Then::Human => None,
            },
            why: Some(match said {
                Some(said) => format!("{word}: {said}"),
                None => word.to_owned(),
            }),
        }
    })?;
    if let What::Failed { then, retry_at, .. } = event.what {
        let word = lease::verdict(exit, 0, 0).0;
        match (then, retry_at) {
            (Then::Retry, _) => writeln!(out, "{word}: it is tried again")?,
            (Then::Human, _) => writeln!(out, "{word}: a person must look at it")?,
            (Then::Later, time) => {
                writeln!(out, "{word}: not before {}", time.unwrap_or_default())?;
            }
        }
    }
    Ok(Status::Done)
}

fn retry(args: RetryArgs) -> Result {
    let root = root(args.root)?;
    let mut journal = Journal::open(&root)?;
    let task = args.task;
    if !journal.state().tasks.contains_key(&task) {
        return Err(never_claimed(&root, &task)?.into());
    }
    let why = args.why;
    let (effects, phase) = journal.change(|state| {
        let known = state.task(&task);
        let event = Event {
            at: journal::now(),
            correlation_id: known.correlation_id.clone(),
            what: What::Retried {
                task: task.clone(),
                epoch: known.epoch,
                why,
            },
        };
        (vec![event], known.phase)
    })?;
    match (effects.as_slice(), phase) {
        ([Effect::Stale], Phase::Claimed { agent, .. }) => {
            Err(Failure::new(Status::Late, format!("task {task:?}: {agent} has it now")).into())
        }
        _ => Ok(Status::Done),
    }
}

fn claim_path(args: ClaimPathArgs) -> Result {
    let (root, agent) = args.common.resolve()?;
    let length = args.term.length(&root)?;
    let holder = args.term.holder();
    let mut status = Status::Done;
    for given in &args.paths {
        let path = within_the_tree(&root, given)?;
        if args.release {
            if lease::release_path(&root, &path, &agent)?.is_none() {
                say(&format!(
                    "swarm-assign: {given:?}: {agent} does not have it\n"
                ));
                status = status.and(Status::No);
            }
            continue;
        }
        let claimed = lease::claim_path(&root, &path, &agent, length, holder.as_ref())?;
        if let Err((with, what)) = claimed {
            say(&format!("swarm-assign: {given:?}: {with} has {what}\n"));
            status = status.and(Status::No);
        }
    }
    Ok(status)
}

/// A path as plans have it: relative to the top of the worktree, with `/` between its parts.
fn within_the_tree(root: &Root, given: &str) -> Result<String> {
    let outside = || {
        Failure::usage(format!("{given:?} is outside of the worktree"))
            .hint("give a path below the top of the repository")
    };
    let path = PathBuf::from(given);
    let path = match (path.is_absolute(), root.repository()) {
        (true, Some(repository)) => {
            let top = repository.top.as_ref().ok_or_else(outside)?;
            path.strip_prefix(top).map_err(|_| outside())?.to_owned()
        }
        (true, None) => return Err(outside().into()),
        (false, _) => path,
    };
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            std::path::Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                parts.pop().ok_or_else(outside)?;
            }
            _ => return Err(outside().into()),
        }
    }
    let mut joined = parts.join("/");
    if given.ends_with('/') && !joined.is_empty() {
        joined.push('/');
    }
    if joined.is_empty() {
        return Err(outside().into());
    }
    Ok(joined)
}
