//! The verbs that look at lists and plans: `check`, `edges`, `why`, `what-if`, `diff`.

use std::fs;
use std::io::Write;

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value, json};

use super::lists::{self, CrewArgs, HowArgs, ListArgs, Ready, WishArgs};
use crate::assign::{self, Agent, Effort, Options, Plan, PlannedEdge, human};
use crate::cli::args::RootArgs;
use crate::cli::error::Failure;
use crate::cli::output::shown;
use crate::cli::{Out, Result, Status, input};
use crate::id::nearest;
use crate::swarm;
use crate::task::{Fact, Level, Note, Source};

/// The longest plan that is read, in bytes.
const LIMIT: u64 = 1 << 30;
/// With more agents than this nobody has asked yet.
const MOST_AGENTS: usize = 1000;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    lists: ListArgs,
    /// Print one JSON object a finding, after one for each list with what was counted in it
    #[arg(long)]
    json: bool,
}

/// Says what is wrong or doubtful about lists.
pub(super) fn check(args: CheckArgs, out: &mut Out) -> Result {
    let mut ready = args.lists.read()?;
    ready.find_cycles();
    if args.json {
        for source in &ready.list.sources {
            writeln!(out, "{}", counted(source))?;
        }
    }
    for note in &ready.notes {
        if args.json {
            writeln!(out, "{}", record(&ready, note))?;
            continue;
        }
        let at = ready.list.at(note.place);
        writeln!(
            out,
            "{}",
            shown(&format!("{at}: {}: {}", note.level.name(), note.message))
        )?;
        if let Some(hint) = &note.hint {
            writeln!(out, "  {}", shown(&format!("hint: {hint}")))?;
        }
    }
    let count = |level: Level| ready.notes.iter().filter(|n| n.level == level).count();
    if !args.json {
        let work = ready
            .list
            .tasks
            .iter()
            .filter(|task| task.is_work())
            .count();
        let (errors, warnings) = (count(Level::Error), count(Level::Warning));
        writeln!(out, "{work} tasks, {errors} errors, {warnings} warnings")?;
    }
    Ok(match count(Level::Error) {
        0 => Status::Done,
        _ => Status::Trouble,
    })
}

/// What was counted in a list.
fn counted(source: &Source) -> Value {
    let facts = source.facts.iter().map(|(name, fact)| {
        let value = match fact {
            Fact::Count(count) => json!(count),
            Fact::Table(rows) => {
                let rows = rows
                    .iter()
                    .map(|(name, count)| (name.clone(), json!(count)));
                Value::Object(rows.collect())
            }
        };
        ((*name).to_owned(), value)
    });
    json!({
        "v": 1, "type": "list", "file": source.file, "format": source.format.name(),
        "spec": source.spec, "facts": facts.collect::<Map<String, Value>>(),
    })
}

fn record(ready: &Ready, note: &Note) -> Value {
    let file = ready.list.sources.get(note.place.source as usize);
    let mut record = json!({
        "v": 1, "type": "finding", "level": note.level.name(), "message": note.message,
        "file": file.map(|source| source.file.as_str()), "line": note.place.line,
    });
    if let (Some(hint), Value::Object(fields)) = (&note.hint, &mut record) {
        fields.insert("hint".to_owned(), json!(hint));
    }
    record
}

/// Arguments of `edges`.
#[derive(Debug, Args)]
pub(super) struct EdgesArgs {
    #[command(flatten)]
    lists: ListArgs,
    /// Print one JSON object an edge
    #[arg(long)]
    json: bool,
}

/// Lists what waits for what, and what may not run together, each with its reason.
pub(super) fn edges(args: EdgesArgs, out: &mut Out) -> Result {
    let mut ready = args.lists.read()?;
    if ready.complain() {
        return Ok(Status::Trouble);
    }
    let mut one = Options::new(Agent::numbered(1));
    one.effort = Effort::NONE;
    one.partial = true;
    one.ignore_overlap = ready.ignored();
    let plan = match assign::plan(&ready.list, &one) {
        Ok(plan) => plan,
        Err(error) => return lists::refuse(&ready, error),
    };
    for edge in &plan.edges {
        if args.json {
            let mut value = json!({"v": 1, "type": "edge"});
            merge(&mut value, serde_json::to_value(edge)?);
            writeln!(out, "{value}")?;
        } else {
            let PlannedEdge {
                from,
                to,
                why,
                strength,
                source,
            } = edge;
            let (from, to) = (shown(from), shown(to));
            writeln!(out, "{from}\t{to}\t{why}\t{strength}\t{}", shown(source))?;
        }
    }
    for resource in plan.resources.iter().filter(|r| r.tasks.len() > 1) {
        if args.json {
            let value = json!({
                "v": 1, "type": "exclusion", "why": "overlap", "resource": resource.name,
                "capacity": resource.capacity, "tasks": resource.tasks,
            });
            writeln!(out, "{value}")?;
        } else {
            let tasks = shown(&resource.tasks.join(","));
            writeln!(
                out,
                "{tasks}\t\toverlap\texclusion\t{}",
                shown(&resource.name)
            )?;
        }
    }
    Ok(Status::Done)
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// Arguments of `why`.
#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// The task
    #[arg(value_name = "TASK")]
    task: String,
    /// The lists to plan (otherwise the plan in force is asked)
    #[arg(value_name = "TASKS", conflicts_with = "plan")]
    tasks: Vec<String>,
    /// The plan to ask
    #[arg(long, value_name = "FILE")]
    plan: Option<String>,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    crew: CrewArgs,
    #[command(flatten)]
    wish: WishArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Says all there is to say about one task of a plan.
pub(super) fn why(args: WhyArgs, out: &mut Out) -> Result {
    let (plan, alternatives) = if args.tasks.is_empty() {
        (plan_of(args.plan.as_deref(), args.how.root())?, Vec::new())
    } else {
        let mut ready = lists::read(args.tasks, args.how)?;
        if ready.complain() {
            return Ok(Status::Trouble);
        }
        let mut options = ready.options(args.crew, args.wish)?;
        let plan = match ready.plan(&mut options)? {
            Ok(plan) => plan,
            Err(status) => return Ok(status),
        };
        let key = ready
            .list
            .find(&args.task)
            .map(|task| ready.list.tasks[task].key.to_string());
        let alternatives = match &key {
            Some(key) => assign::alternatives(&ready.list, &options, &plan, key)
                .map_err(|error| Failure::usage(error.to_string()))?,
            None => Vec::new(),
        };
        (plan, alternatives)
    };
    let task = plan.task(&args.task).or_else(|| {
        let mut named = plan.tasks.iter().filter(|task| {
            task.id
                .rsplit_once('/')
                .is_some_and(|(_, id)| id == args.task)
        });
        named.next().filter(|_| named.next().is_none())
    });
    let Some(task) = task else {
        let failure = Failure::new(
            Status::Unknown,
            format!("task {:?} is not in the plan", args.task),
        );
        let near = nearest(&args.task, plan.tasks.iter().map(|task| task.id.as_str()));
        return Err(match near.is_empty() {
            true => failure.hint("what is done, a mere heading or left out is not planned"),
            false => failure.hint(format!("did you mean {}?", near.join(" or "))),
        }
        .into());
    };
    if args.json {
        let mut value = json!({"v": 1, "type": "why"});
        merge(&mut value, serde_json::to_value(task)?);
        merge(&mut value, json!({ "alternatives": alternatives }));
        writeln!(out, "{value}")?;
    } else {
        write!(out, "{}", assign::why(&plan, task, &alternatives))?;
    }
    Ok(Status::Done)
}

/// A plan from a file, standard input, or the one in force.
pub(super) fn plan_of(file: Option<&str>, root: RootArgs) -> Result<Plan> {
    let (what, bytes) = match file {
        Some(file) => {
            let bytes = input::whole(input::open(file)?, &format!("{file:?}"), LIMIT)?;
            (format!("{file:?}"), bytes)
        }
        None => {
            let path = super::claim::root(root)?.plan();
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(Failure::usage("no plan is in force")
                        .hint("swarm-assign plan TASKS -n 3 --adopt")
                        .into());
                }
                Err(error) => return Err(error).with_context(|| format!("{path:?}")),
            };
            (format!("{:?}", path.display().to_string()), bytes)
        }
    };
    let text = String::from_utf8(bytes).with_context(|| what.clone())?;
    let line = swarm::plan::line_of(&text).unwrap_or(&text);
    Plan::from_json(line).map_err(|error| {
        Failure::usage(format!("{what} is no plan of ours: {error}"))
            .hint("swarm-assign plan TASKS -n 3 --json")
            .into()
    })
}

/// Arguments of `what-if`.
#[derive(Debug, Args)]
pub(super) struct WhatIfArgs {
    /// The numbers of agents: `1..16`, or one number
    #[arg(value_name = "FROM..TO", value_parser = range)]
    range: (usize, usize),
    #[command(flatten)]
    lists: ListArgs,
    /// The first agents: names with commas between them, or a file that describes them
    #[arg(long, value_name = "FILE|LIST")]
    agents: Option<String>,
    #[command(flatten)]
    wish: WishArgs,
    /// Say how many agents this machine has cores and memory for
    #[arg(long)]
    fit: bool,
    /// What an agent takes of the memory, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    agent_memory: u64,
    /// Print one JSON object a number
    #[arg(long)]
    json: bool,
}

/// `1..16`, `1..=16`, `1-16` or `4`.
fn range(text: &str) -> std::result::Result<(usize, usize), String> {
    let wrong = || format!("{text:?} is no range: write 1..16");
    let (from, to) = text
        .split_once("..")
        .or_else(|| text.split_once('-'))
        .unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
    let (from, to) = (number(from)?, number(to.trim_start_matches('='))?);
    if from == 0 || from > to || to > MOST_AGENTS {
        return Err(format!(
            "{text:?}: from at least 1 to at most {MOST_AGENTS}"
        ));
    }
    Ok((from, to))
}

/// Says what the plan would take with fewer or more agents.
pub(super) fn what_if(args: WhatIfArgs, out: &mut Out) -> Result {
    let mut ready = args.lists.read()?;
    if ready.complain() {
        return Ok(Status::Trouble);
    }
    let (from, to) = args.range;
    let crew = CrewArgs::some(args.agents, to);
    let options = ready.options(crew, args.wish)?;
    let rows = match assign::what_if(&ready.list, &options, from, to) {
        Ok(rows) => rows,
        Err(error) => return lists::refuse(&ready, error),
    };
    let room = args.fit.then(|| Room::here(args.agent_memory));
    if args.json {
        for row in &rows {
            let mut value = json!({"v": 1, "type": "what-if"});
            merge(&mut value, serde_json::to_value(row)?);
            if let Some(room) = &room {
                merge(&mut value, json!({ "fits": row.agents <= room.agents }));
            }
            writeln!(out, "{value}")?;
        }
        return Ok(Status::Done);
    }
    writeln!(out, "agents   makespan      bound  speed-up    gain")?;
    for row in &rows {
        let mut marks = String::new();
        if row.knee {
            marks.push_str("  < the knee: more agents gain less than one in twenty");
        }
        if room.as_ref().is_some_and(|room| row.agents == room.agents) {
            marks.push_str("  < as many as this machine has room for");
        }
        writeln!(
            out,
            "{:6}  {:>9}  {:>9}  {:7.2}x  {:5.1} %{marks}",
            row.agents,
            human(row.makespan_ms),
            human(row.lower_bound_ms),
            row.speedup,
            row.gain * 100.0,
        )?;
    }
    if let Some(room) = room {
        writeln!(out, "{}", room.said())?;
    }
    Ok(Status::Done)
}

/// What this machine has room for.
struct Room {
    cores: u64,
    available_mib: Option<u64>,
    agent_mib: u64,
    agents: u64,
}

impl Room {
    fn here(agent_mib: u64) -> Room {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix("MemAvailable:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        let available_mib = kib.map(|kib| kib / 1024);
        let by_memory = available_mib.map_or(u64::MAX, |mib| mib / agent_mib.max(1));
        Room {
            cores,
            available_mib,
            agent_mib,
            agents: cores.min(by_memory).max(1),
        }
    }

    fn said(&self) -> String {
        let memory = match self.available_mib {
            Some(mib) => format!("{mib} MiB of memory available"),
            None => "an unknown amount of memory available".to_owned(),
        };
        format!(
            "this machine: {} cores, {memory}: room for {} agents of one core and {} MiB each",
            self.cores, self.agents, self.agent_mib
        )
    }
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The old plan
    #[arg(value_name = "OLD")]
    old: String,
    /// The new plan
    #[arg(value_name = "NEW")]
    new: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Says what is different between two plans; status 1 if anything is.
pub(super) fn diff(args: DiffArgs, out: &mut Out) -> Result {
    let nowhere = || RootArgs {
        repo: None,
        root: None,
    };
    let old = plan_of(Some(&args.old), nowhere())?;
    let new = plan_of(Some(&args.new), nowhere())?;
    let difference = assign::diff(&old, &new);
    if args.json {
        let mut value = json!({"v": 1, "type": "diff"});
        merge(&mut value, serde_json::to_value(&difference)?);
        writeln!(out, "{value}")?;
    } else {
        for change in &difference.changes {
            let was = change.old.as_deref().unwrap_or("-");
            let is = change.new.as_deref().unwrap_or("-");
            writeln!(
                out,
                "{:9}  {}  {was} -> {is}",
                change.change,
                shown(&change.task)
            )?;
        }
        let (was, is) = (difference.old_makespan_ms, difference.new_makespan_ms);
        let by = match is >= was {
            true => format!("{} later", human(is - was)),
            false => format!("{} earlier", human(was - is)),
        };
        let by = if is == was {
            "as before".to_owned()
        } else {
            by
        };
        writeln!(
            out,
            "ends after {} instead of {}: {by}",
            human(is),
            human(was)
        )?;
    }
    Ok(match difference.changes.is_empty() {
        true => Status::Done,
        false => Status::No,
    })
}
