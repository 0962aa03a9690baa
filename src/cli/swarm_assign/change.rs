//! The verbs that change what was planned: `replan` after failures, and `tick`, the one that writes
//! into lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::explain::plan_of;
use super::{claim, lists};
use crate::assign::{self, Effort, Replanned};
use crate::cli::args::RootArgs;
use crate::cli::error::{Failure, say};
use crate::cli::output::shown;
use crate::cli::{Out, Result, Status, input};
use crate::event::{Phase, State};
use crate::id::nearest;
use crate::swarm::journal::{self, Journal};
use crate::swarm::{self, Config, Root, files, situation};
use crate::task::{self, tick};

/// How hard a new plan is searched for, in milliseconds of one core, if nobody says otherwise.
const EFFORT: u64 = 50;

/// Arguments of `replan`.
#[derive(Debug, Args)]
pub(super) struct ReplanArgs {
    /// The plan (otherwise the one in force)
    #[arg(long, value_name = "FILE")]
    plan: Option<String>,
    /// What has happened since, as JSON (otherwise what the journal says)
    #[arg(long, value_name = "FILE")]
    state: Option<String>,
    /// This agent is gone; repeatable
    #[arg(long, value_name = "AGENT")]
    down: Vec<String>,
    /// This agent is there as well; repeatable
    #[arg(long, value_name = "AGENT")]
    up: Vec<String>,
    /// This agent failed: crash, timeout, resource or communication; repeatable
    #[arg(long, value_name = "AGENT=KIND")]
    failure: Vec<String>,
    /// How hard to search, in milliseconds of one core
    #[arg(long, value_name = "MS", default_value_t = EFFORT)]
    effort: u64,
    /// Print a RecoveryPlan for each failure, a line about the whole, and the new plan, as JSON
    #[arg(long)]
    json: bool,
    /// Put the new plan in force as well
    #[arg(long)]
    adopt: bool,
    #[command(flatten)]
    root: RootArgs,
}

/// Makes a new plan from the old one and what happened since.
pub(super) fn replan(args: ReplanArgs, out: &mut Out) -> Result {
    let old = plan_of(args.plan.as_deref(), args.root.clone())?;
    let mut state = match &args.state {
        Some(file) => {
            let bytes = input::whole(input::open(file)?, &format!("{file:?}"), 1 << 28)?;
            serde_json::from_slice(&bytes)
                .map_err(|error| Failure::usage(format!("{file:?} is no state: {error}"))
                    .hint(r#"{"now_ms":60000,"tasks":{"1":"done","2":{"state":"running","agent":"kiro-1"}},"agents":{"kiro-2":"down"}}"#))?
        }
        None if args.plan.is_some() => assign::State::default(),
        None => {
            let root = claim::root(args.root.clone())?;
            let config = Config::read(&root)?;
            situation::situation(&old, Journal::read(&root)?.state(), &config)
        }
    };
    for name in &args.down {
        state.agents.insert(name.clone(), json!("down"));
    }
    for name in &args.up {
        state.agents.insert(name.clone(), json!("up"));
    }
    for text in &args.failure {
        let wrong = || {
            Failure::usage(format!("--failure {text:?}: expected AGENT=KIND"))
                .hint("the kinds are crash, timeout, resource and communication")
        };
        let (agent, kind) = text.split_once('=').ok_or_else(wrong)?;
        if !["crash", "timeout", "resource", "communication"].contains(&kind) {
            return Err(wrong().into());
        }
        let failure = json!({"instance_id": agent, "failure_type": kind});
        state.failures.push(serde_json::from_value(failure)?);
    }
    let mut new = assign::replan(&old, &state, Effort::millis(args.effort), &journal::now())
        .map_err(|error| refusal(&error, &old))?;
    if args.adopt {
        let root = claim::root(args.root)?;
        new.plan = assign::whole(new.plan, &old);
        let (text, id) = (new.plan.to_json(), uuid::Uuid::new_v4().to_string());
        if args.plan.is_some() {
            swarm::plan::Plan::adopt(&root, &text, &id)?;
        } else if !swarm::plan::Plan::replace(&root, &text, &id, &old.plan_id)? {
            let why = "another plan came into force meanwhile";
            return Err(Failure::new(Status::Late, why).into());
        }
    }
    match args.json {
        true => records(&new, out)?,
        false => write!(out, "{}", new.text())?,
    }
    Ok(Status::Done)
}

/// Makes the plan in force anew from what happened, without those who are `down`, and puts the new
/// one in force if a task goes to another agent by it. How many do; or why no plan can be made.
pub(crate) fn in_force_anew(
    root: &Root,
    state: &State,
    config: &Config,
    down: &[&str],
) -> Result<std::result::Result<u64, String>> {
    let path = root.plan();
    let text = fs::read_to_string(&path).with_context(|| format!("{path:?}"))?;
    let line = swarm::plan::line_of(&text).unwrap_or(&text);
    let old = match assign::Plan::from_json(line) {
        Ok(old) => old,
        Err(error) => return Ok(Err(format!("it is no plan of swarm-assign: {error}"))),
    };
    let mut since = situation::situation(&old, state, config);
    for name in down {
        if old.agents.iter().any(|agent| agent.name == *name) {
            since.agents.insert((*name).to_owned(), json!("down"));
        }
    }
    let new = match assign::replan(&old, &since, Effort::millis(EFFORT), &journal::now()) {
        Ok(new) if new.moves == 0 => return Ok(Ok(0)),
        Ok(new) => new,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let text = assign::whole(new.plan, &old).to_json();
    let id = uuid::Uuid::new_v4().to_string();
    let replaced = swarm::plan::Plan::replace(root, &text, &id, &old.plan_id)?;
    Ok(Ok(if replaced { new.moves } else { 0 }))
}

fn records(new: &Replanned, out: &mut Out) -> Result<()> {
    for recovery in &new.recovery {
        writeln!(out, "{}", serde_json::to_string(recovery)?)?;
    }
    let about = json!({
        "v": 1, "type": "replan", "moves": new.moves, "unavoidable_moves": new.unavoidable_moves,
        "blocked": new.blocked, "makespan_ms": new.plan.makespan_ms,
        "made_anew_ms": new.made_anew_ms,
    });
    writeln!(out, "{about}\n{}", new.plan.to_json())?;
    Ok(())
}

fn refusal(error: &assign::ReplanError, old: &assign::Plan) -> Failure {
    use assign::ReplanError::{UnknownAgent, UnknownTask};
    let (name, known): (&str, Vec<&str>) = match error {
        UnknownTask(name) => (name, old.tasks.iter().map(|t| t.id.as_str()).collect()),
        UnknownAgent(name) => (name, old.agents.iter().map(|a| a.name.as_str()).collect()),
        other => return Failure::usage(other.to_string()),
    };
    let failure = Failure::new(Status::Unknown, error.to_string());
    match nearest(name, known).as_slice() {
        [] => failure,
        near => failure.hint(format!("did you mean {}?", near.join(" or "))),
    }
}

/// Arguments of `tick`.
#[derive(Debug, Args)]
pub(super) struct TickArgs {
    /// The lists (otherwise those that the plan in force was made from)
    #[arg(value_name = "TASKS")]
    tasks: Vec<String>,
    /// This task is finished (otherwise all that the journal says are); repeatable
    #[arg(long, value_name = "TASK")]
    done: Vec<String>,
    /// Say what would be ticked, and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    root: RootArgs,
}

/// Ticks the boxes of finished tasks in their lists.
pub(super) fn tick(args: TickArgs, out: &mut Out) -> Result {
    let (done, files) = match (args.done.is_empty(), args.tasks.is_empty()) {
        (false, false) => (args.done.clone(), args.tasks.clone()),
        _ => {
            let known = Known::of(&args)?;
            let done = if args.done.is_empty() {
                known.done
            } else {
                args.done.clone()
            };
            let files = if args.tasks.is_empty() {
                known.files
            } else {
                args.tasks.clone()
            };
            (done, files)
        }
    };
    let inputs = lists::inputs(files)?;
    let list = task::merge::merge(
        inputs
            .iter()
            .map(|input| task::read(&input.name, &input.bytes, None))
            .collect(),
    );
    let mut finished: BTreeSet<usize> = BTreeSet::new();
    for name in &done {
        match list.find(name) {
            Some(task) => drop(finished.insert(task)),
            None if !args.done.is_empty() => {
                let failure =
                    Failure::new(Status::Unknown, format!("no task {name:?} in these lists"));
                let keys = list.tasks.iter().map(|task| task.key.as_str());
                return Err(match nearest(name, keys).as_slice() {
                    [] => failure,
                    near => failure.hint(format!("did you mean {}?", near.join(" or "))),
                }
                .into());
            }
            None => {}
        }
    }
    tick::close_containers(&list, &mut finished);
    finished.retain(|&task| !list.tasks[task].is_over());
    let mut ticked = false;
    for (number, input) in inputs.iter().enumerate() {
        let own: Vec<&task::Task> = finished
            .iter()
            .map(|&index| &list.tasks[index])
            .filter(|task| task.place.source as usize == number)
            .collect();
        if own.is_empty() {
            continue;
        }
        let format = list.sources[number].format;
        let bytes = tick::tick(format, &input.bytes, &own).map_err(|error| {
            let failure = Failure::usage(format!("{}: {error}", input.name));
            match error {
                tick::TickError::NotOurs(_) => failure.hint(format!("bd close {}", own[0].id)),
                _ => failure,
            }
        })?;
        if !args.dry_run && input.name != "-" {
            write_over(Path::new(&input.name), &bytes)?;
        }
        if input.name == "-" {
            out.write_all(&bytes)?;
            continue;
        }
        for task in own {
            ticked = true;
            writeln!(
                out,
                "{}\t{}\t{}",
                shown(&list.at(task.place)),
                task.key,
                shown(&task.title)
            )?;
        }
    }
    if !ticked {
        say("swarm-assign: nothing to tick\n");
        return Ok(Status::No);
    }
    Ok(Status::Done)
}

/// Puts new bytes in the place of a file, whole, with its rights; through a link to where it leads.
fn write_over(path: &Path, bytes: &[u8]) -> Result<()> {
    let path = path.canonicalize().with_context(|| format!("{path:?}"))?;
    let rights = path
        .metadata()
        .with_context(|| format!("{path:?}"))?
        .permissions();
    files::replace(&path, bytes, rights).with_context(|| format!("{path:?}"))?;
    Ok(())
}

/// What the swarm knows: which tasks are done, and which lists its plan was made from.
struct Known {
    done: Vec<String>,
    files: Vec<String>,
}

impl Known {
    fn of(args: &TickArgs) -> Result<Known> {
        let root = claim::root(args.root.clone())?;
        let Some(plan) = swarm::plan::Plan::read(&root)? else {
            return Err(Failure::usage("no plan is in force")
                .hint("swarm-assign tick TASKS --done 2.1")
                .into());
        };
        let journal = Journal::read(&root)?;
        // A plan that was made anew no longer has what was done before.
        let tasks = journal.state().tasks.iter();
        let done = tasks.filter(|(_, task)| matches!(task.phase, Phase::Done { .. }));
        let top = root
            .repository()
            .and_then(|repository| repository.top.clone());
        let mut files: BTreeMap<String, ()> = BTreeMap::new();
        for task in &plan.tasks {
            if let Some((file, _)) = task.source.rsplit_once(':') {
                let here = PathBuf::from(file);
                let there = top.as_ref().map(|top| top.join(file));
                let path = [Some(here), there]
                    .into_iter()
                    .flatten()
                    .find(|path| path.is_file());
                if let Some(path) = path {
                    files.insert(path.to_string_lossy().into_owned(), ());
                }
            }
        }
        if files.is_empty() && args.tasks.is_empty() {
            return Err(
                Failure::usage("the lists that the plan was made from are not here")
                    .hint("swarm-assign tick TASKS")
                    .into(),
            );
        }
        Ok(Known {
            done: done.map(|(key, _)| key.clone()).collect(),
            files: files.into_keys().collect(),
        })
    }
}
