//! From operands and options to a list and the wishes for its plan: what all verbs that plan share.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::assign::{self, Agent, Effort, Options, Plan, PlanError, Pool, Strategy};
use crate::cli::args::{RootArgs, duration};
use crate::cli::error::{Failure, say};
use crate::cli::{Result, Status, input};
use crate::swarm::{Config, Root, root};
use crate::task::lint::{self, Absent, Given, Policy};
use crate::task::{self, Format, Level, List, Note, Order, kiro, merge};
use crate::workspace::git::Git;

/// The longest list that is read, in bytes.
const LIMIT: u64 = 1 << 30;
/// How many directories a directory of lists may have below it.
const MOST_DIRECTORIES: usize = 20_000;
/// Above so many tasks nobody is told what another order would give.
const ADVISED: usize = 3000;

/// Which lists, and how to take them.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Lists of tasks; a directory stands for all tasks.md below its .kiro/specs, `-` is standard input
    #[arg(value_name = "TASKS", required = true)]
    tasks: Vec<String>,
    #[command(flatten)]
    pub(super) how: HowArgs,
}

/// How lists are taken.
#[derive(Debug, Args)]
pub(super) struct HowArgs {
    /// The form of the lists (otherwise told by name and content)
    #[arg(long, value_name = "FORM", value_parser = PossibleValuesParser::new(formats()))]
    format: Option<String>,
    /// What order means where a list does not say it (otherwise `order` of swarm.toml, else strict)
    #[arg(long, value_name = "ORDER", value_parser = ["strict", "phase", "infer"])]
    order: Option<String>,
    /// Take a dependency that leads nowhere as a mistake, as not done elsewhere, or as done
    #[arg(long, value_name = "HOW", value_parser = ["error", "warn", "done"], default_value = "error")]
    missing: String,
    /// Take a dependency on a cancelled task as satisfied, or as blocked
    #[arg(long, value_name = "HOW", value_parser = ["satisfied", "blocked"], default_value = "satisfied")]
    cancelled: String,
    /// Take tasks in progress as not begun when nothing was heard for so long, as taken otherwise
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    stale_after: Option<Duration>,
    /// Leave out optional tasks
    #[arg(long)]
    skip_optional: bool,
    /// Files that several tasks may change at a time; repeatable
    #[arg(long, value_name = "GLOB")]
    ignore_overlap: Vec<String>,
    #[command(flatten)]
    root: RootArgs,
}

/// Who there is.
#[derive(Debug, Args)]
pub(super) struct CrewArgs {
    /// So many agents: those of swarm.toml first, then kiro-1, kiro-2 …
    #[arg(
        short = 'n',
        long = "count",
        value_name = "N",
        conflicts_with = "agents"
    )]
    count: Option<usize>,
    /// The agents: names with commas between them (`kiro-1,kiro-2:ios+swift`), or a file that describes them
    #[arg(long, value_name = "FILE|LIST")]
    agents: Option<String>,
}

/// What the plan should be like.
#[derive(Debug, Args)]
pub(super) struct WishArgs {
    /// How tasks are given to agents
    #[arg(long, value_name = "STRATEGY", default_value = "dependency_aware",
        value_parser = ["round_robin", "load_balanced", "dependency_aware", "capability_based"])]
    strategy: String,
    /// How hard to search, in milliseconds of one core; 0 is list scheduling and one improvement
    #[arg(long, value_name = "MS", default_value_t = 50)]
    effort: u64,
    /// At most N tasks of a sort at a time; words or patterns of titles may follow: `build=1:cargo,*release*`
    #[arg(long, value_name = "NAME=N")]
    pool: Vec<String>,
    /// Only this agent may do the task
    #[arg(long, value_name = "TASK=AGENT")]
    pin: Vec<String>,
    /// This agent may not do the task
    #[arg(long, value_name = "TASK=AGENT")]
    not: Vec<String>,
    /// Do this task as early as possible, with all that it waits for
    #[arg(long, value_name = "TASK")]
    first: Vec<String>,
    /// Let the first task wait for the second
    #[arg(long, value_names = ["TASK", "BEFORE"], num_args = 2)]
    after: Vec<String>,
    /// Tell which files changed together in the last N commits
    #[arg(long, value_name = "N")]
    history: Option<u32>,
    /// Let tasks exclude each other by files that history predicts
    #[arg(long, requires = "history")]
    lock_predicted: bool,
    /// Plan the rest when nobody can do some tasks
    #[arg(long)]
    partial: bool,
}

fn formats() -> Vec<&'static str> {
    Format::ALL.iter().map(|format| format.name()).collect()
}

/// A list that is ready to be planned, and what was found on the way.
pub(super) struct Ready {
    /// The list with the edges of the order.
    pub(super) list: List,
    /// The same without them.
    plain: List,
    /// What was found, in the order of the files.
    pub(super) notes: Vec<Note>,
    /// Tasks that can't be done now.
    held: lint::Held,
    /// What order means here.
    pub(super) order: Order,
    /// How many edges follow from the order.
    pub(super) ordered: usize,
    how: HowArgs,
    config: Config,
    /// When the newest of the files was changed last.
    changed: Option<SystemTime>,
    /// Where the first list stands.
    at: PathBuf,
}

/// One input, read.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    changed: Option<SystemTime>,
}

impl ListArgs {
    /// Where the swarm is.
    pub(super) fn root(&self) -> RootArgs {
        self.how.root.clone()
    }

    /// Reads all lists as one.
    pub(super) fn read(self) -> Result<Ready> {
        read(self.tasks, self.how)
    }
}

/// Reads lists as one.
pub(super) fn read(tasks: Vec<String>, how: HowArgs) -> Result<Ready> {
    let config = config(&how.root)?;
    let format = how
        .format
        .as_deref()
        .and_then(|name| Format::ALL.into_iter().find(|format| format.name() == name));
    let mut lists = Vec::new();
    let mut changed = None;
    let mut at = PathBuf::from(".");
    for (number, input) in inputs(tasks)?.into_iter().enumerate() {
        if number == 0 && input.name != "-" {
            at = Path::new(&input.name)
                .parent()
                .unwrap_or(Path::new(""))
                .join(".");
        }
        changed = changed.max(input.changed);
        let mut list = task::read(&input.name, &input.bytes, format);
        learn(&mut list, &input.name, &mut changed)?;
        lists.push(list);
    }
    let mut list = merge::merge(lists);
    let mut notes = std::mem::take(&mut list.notes);
    let mut held = Vec::new();
    if let Some(age) = how.stale_after {
        let last = changed;
        let silent = |_: &task::Task| {
            last.is_none_or(|time| time.elapsed().is_ok_and(|passed| passed >= age))
        };
        held = lint::stale(&mut list, &silent, &mut notes);
    }
    let now = jiff::Timestamp::now();
    let is_ahead = |time: &str| time.parse::<jiff::Timestamp>().is_ok_and(|time| time > now);
    held.extend(lint::put_off(&list, &is_ahead));
    let (more, waiting) = lint::check(&list, how.policy());
    notes.extend(more);
    held.extend(waiting);
    notes.sort_by_key(|note| note.place);
    let order = match how.order.as_deref().or(config.plan.order.as_deref()) {
        None | Some("strict") => Order::Strict,
        Some("phase") => Order::Phase,
        Some("infer") => Order::Infer,
        Some(other) => {
            let message = format!("swarm.toml: order {other:?} is neither strict, phase nor infer");
            return Err(Failure::usage(message).into());
        }
    };
    let plain = list.clone();
    let mut ready = Ready {
        list,
        plain,
        notes,
        held,
        order,
        ordered: 0,
        how,
        config,
        changed,
        at,
    };
    ready.ordered = ready.apply(order).1;
    Ok(ready)
}

impl CrewArgs {
    /// These agents, or so many.
    pub(super) fn some(agents: Option<String>, count: usize) -> CrewArgs {
        let count = agents.is_none().then_some(count);
        CrewArgs { count, agents }
    }
}

impl HowArgs {
    /// Where the swarm is.
    pub(super) fn root(&self) -> RootArgs {
        self.root.clone()
    }

    fn policy(&self) -> Policy {
        Policy {
            missing: match self.missing.as_str() {
                "warn" => Absent::Warn,
                "done" => Absent::Done,
                _ => Absent::Error,
            },
            cancelled: match self.cancelled.as_str() {
                "blocked" => Given::Blocked,
                _ => Given::Satisfied,
            },
            skip_optional: self.skip_optional,
        }
    }
}

/// What swarm.toml says, where there is one.
fn config(args: &RootArgs) -> Result<Config> {
    let found = Root::find(&root::Options {
        start: args.repo.clone().unwrap_or_default(),
        root: args.root.clone(),
    });
    match found {
        Ok(root) => Ok(Config::read(&root)?),
        // Lists can be planned anywhere.
        Err(_) => Ok(Config::default()),
    }
}

/// Gives a list of Kiro's form the durations that are kept beside it.
fn learn(list: &mut List, name: &str, changed: &mut Option<SystemTime>) -> Result<()> {
    let path = Path::new(name).with_file_name("tasks.meta.json");
    let kiro = list
        .sources
        .iter()
        .any(|s| matches!(s.format, Format::Kiro | Format::CcSdd));
    if name == "-" || !kiro || !path.is_file() {
        return Ok(());
    }
    let file = std::fs::File::open(&path).with_context(|| format!("{path:?}"))?;
    *changed = (*changed).max(file.metadata().and_then(|m| m.modified()).ok());
    let bytes = input::whole(file, &path.display().to_string(), LIMIT)?;
    match kiro::history(&bytes) {
        Ok(history) => {
            let spec = list.sources[0].spec.clone();
            kiro::learn(list, &spec, &history);
        }
        Err(why) => list.notes.push(Note {
            place: task::Place::default(),
            level: Level::Warning,
            message: format!("{} is no history: {why}", path.display()),
            hint: None,
        }),
    }
    Ok(())
}

/// The files that operands mean, with what stands in them.
pub(super) fn inputs(operands: Vec<String>) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for name in operands {
        if name == "-" {
            let mut bytes = Vec::new();
            let stdin = std::io::stdin().lock();
            stdin
                .take(LIMIT + 1)
                .read_to_end(&mut bytes)
                .context("standard input")?;
            if bytes.len() as u64 > LIMIT {
                let message = format!("standard input: longer than the limit of {LIMIT} bytes");
                return Err(Failure::usage(message).into());
            }
            if bytes.iter().all(u8::is_ascii_whitespace) {
                return Err(Failure::usage("standard input is empty")
                    .hint("expected a task list, or one JSON object a line with an id and a description")
                    .into());
            }
            inputs.push(Input {
                name,
                bytes,
                changed: None,
            });
            continue;
        }
        let path = Path::new(&name);
        let known = path.metadata().map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
                _ => error.to_string(),
            };
            Failure::usage(format!("{name:?}: {why}"))
        })?;
        let files = match known.is_dir() {
            true => below(path)?,
            false => vec![name.clone()],
        };
        for name in files {
            let file = std::fs::File::open(&name).with_context(|| format!("{name:?}"))?;
            let known = file.metadata().with_context(|| format!("{name:?}"))?;
            let changed = known.modified().ok();
            let bytes = input::whole(file, &format!("{name:?}"), LIMIT)?;
            inputs.push(Input {
                name,
                bytes,
                changed,
            });
        }
    }
    Ok(inputs)
}

/// The lists of a directory: all `tasks.md` below its `.kiro/specs`, or below itself, or the files
/// in which other tools keep theirs.
fn below(directory: &Path) -> Result<Vec<String>> {
    let specs = directory.join(".kiro/specs");
    let from = if specs.is_dir() { &specs } else { directory };
    let mut found = Vec::new();
    let mut numbered = Vec::new();
    let mut open = vec![from.to_owned()];
    let mut seen = 0;
    while let Some(place) = open.pop() {
        seen += 1;
        if seen > MOST_DIRECTORIES {
            let message = format!("{directory:?}: more than {MOST_DIRECTORIES} directories");
            return Err(Failure::usage(message)
                .hint("name the lists, or a directory nearer to them")
                .into());
        }
        let entries = std::fs::read_dir(&place).with_context(|| format!("{place:?}"))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("{place:?}"))?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let kind = entry.file_type().with_context(|| format!("{path:?}"))?;
            if kind.is_dir() {
                if !matches!(name.as_ref(), ".git" | "node_modules" | "target") {
                    open.push(path);
                }
            } else if name == "tasks.md"
                || path.ends_with(".taskmaster/tasks/tasks.json")
                || path.ends_with(".beads/issues.jsonl")
                || name == "prd.json"
            {
                found.push(path);
            } else if place == from
                && name
                    .strip_suffix(".json")
                    .is_some_and(|stem| stem.bytes().all(|b| b.is_ascii_digit()))
            {
                numbered.push(path);
            }
        }
    }
    // Claude Code keeps a task a file.
    if found.is_empty() {
        found = numbered;
    }
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "{:?}: no task list in this directory",
            directory.display().to_string()
        ))
        .hint("expected tasks.md files below .kiro/specs, or the name of a list")
        .into());
    }
    found.sort();
    Ok(found
        .into_iter()
        .map(|path| {
            let path = path.strip_prefix(".").unwrap_or(&path);
            path.to_string_lossy().into_owned()
        })
        .collect())
}

impl Ready {
    /// The files that several tasks may change at a time.
    pub(super) fn ignored(&self) -> Vec<String> {
        let configured = self.config.plan.ignore_overlap.iter();
        self.how
            .ignore_overlap
            .iter()
            .chain(configured)
            .cloned()
            .collect()
    }

    /// The list with the edges of another order, and how many they are.
    fn with(&self, order: Order) -> (List, usize) {
        let mut list = self.plain.clone();
        let globs = self.ignored();
        let added = task::order::apply(&mut list, order, &|path| {
            globs.iter().any(|glob| assign::glob(glob, path))
        });
        (list, added)
    }

    fn apply(&mut self, order: Order) -> (Order, usize) {
        let (list, added) = self.with(order);
        self.list = list;
        (order, added)
    }

    /// Adds to the notes the circles in which tasks wait for each other.
    pub(super) fn find_cycles(&mut self) {
        if let Err(error) = assign::Case::new(&self.list, &Options::new(Agent::numbered(1))) {
            self.notes.extend(cycles(&self.list, error));
            self.notes.sort_by_key(|note| note.place);
        }
    }

    /// Tells the errors of the list; whether there were any.
    pub(super) fn complain(&mut self) -> bool {
        if self.notes.iter().all(|note| note.level != Level::Error) {
            return false;
        }
        self.find_cycles();
        tell(&self.list, &self.notes);
        true
    }

    /// The wishes for a plan.
    pub(super) fn options(&self, crew: CrewArgs, wish: WishArgs) -> Result<Options> {
        let agents = self.agents(crew)?;
        let mut options = Options::new(agents);
        options.strategy = Strategy::ALL
            .into_iter()
            .find(|s| s.name() == wish.strategy)
            .unwrap_or(Strategy::DependencyAware);
        options.effort = Effort::millis(wish.effort);
        options.pools = self.pools(&wish.pool)?;
        options.pins = pairs("--pin", &wish.pin)?;
        options.nots = pairs("--not", &wish.not)?;
        options.first = wish.first;
        options.after = wish
            .after
            .chunks_exact(2)
            .map(|two| (two[0].clone(), two[1].clone()))
            .collect();
        options.ignore_overlap = self.ignored();
        options.skip_optional = self.how.skip_optional;
        options.partial = wish.partial;
        options.lock_predicted = wish.lock_predicted;
        if let Some(commits) = wish.history {
            options.predicted = self.predicted(commits)?;
        }
        options.held = self.held.clone();
        options.created_at = self.created_at();
        let warnings = self
            .notes
            .iter()
            .filter(|note| note.level == Level::Warning);
        options.warnings = warnings
            .map(|note| format!("{}: {}", self.list.at(note.place), note.message))
            .collect();
        Ok(options)
    }

    /// When the newest list was changed, so that equal input gives equal output.
    fn created_at(&self) -> String {
        let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
        let told =
            epoch.and_then(|seconds| jiff::Timestamp::from_second(seconds.parse().ok()?).ok());
        let changed = self
            .changed
            .and_then(|time| jiff::Timestamp::try_from(time).ok());
        let time = told.or(changed).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        format!("{time:.0}")
    }

    fn agents(&self, crew: CrewArgs) -> Result<Vec<Agent>> {
        let roster = self.config.agents.iter().map(|(name, known)| Agent {
            capabilities: (!known.capabilities.is_empty()).then(|| known.capabilities.clone()),
            speed: known.speed.unwrap_or(1.0),
            slots: known.slots.unwrap_or(1),
            ..Agent::named(name.as_str())
        });
        let roster: Vec<Agent> = roster.collect();
        match (crew.agents, crew.count) {
            (Some(given), _) => described(&given, &roster),
            (None, Some(count)) => {
                let more = (1..).map(|n| Agent::named(format!("kiro-{n}")));
                let new = more.filter(|agent| roster.iter().all(|known| known.name != agent.name));
                Ok(roster.iter().cloned().chain(new).take(count).collect())
            }
            (None, None) if !roster.is_empty() => Ok(roster),
            (None, None) => Err(Failure::usage("nobody says who does it")
                .hint("-n 3, --agents kiro-1,kiro-2, or a roster in swarm.toml")
                .into()),
        }
    }

    fn pools(&self, given: &[String]) -> Result<Vec<Pool>> {
        let mut pools: Vec<Pool> = self
            .config
            .pools
            .iter()
            .map(|(name, pool)| Pool {
                name: name.clone(),
                capacity: pool.size,
                words: pool.tasks.clone(),
            })
            .collect();
        for text in given {
            let wrong = || {
                Failure::usage(format!("--pool {text:?}: expected NAME=N, N at least 1"))
                    .hint("--pool build=1, or with words of titles: --pool gpu=2:cuda,training")
            };
            let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
            let (count, words) = rest.split_once(':').unwrap_or((rest, ""));
            let capacity: u32 = count.parse().map_err(|_| wrong())?;
            if name.is_empty() || capacity == 0 {
                return Err(wrong().into());
            }
            pools.retain(|pool| pool.name != name);
            pools.push(Pool {
                name: name.to_owned(),
                capacity,
                words: words
                    .split(',')
                    .filter(|w| !w.is_empty())
                    .map(str::to_owned)
                    .collect(),
            });
        }
        Ok(pools)
    }

    /// What changed together with the files of the list.
    fn predicted(&self, commits: u32) -> Result<Vec<(String, String, f64)>> {
        let touched: BTreeSet<String> = self
            .list
            .tasks
            .iter()
            .flat_map(|task| task.touches.iter().map(|touch| touch.path.clone()))
            .collect();
        let count = commits.to_string();
        let log = Git::at(&self.at).bytes(&[
            "log",
            "--name-only",
            "--no-renames",
            "--format=%x00",
            "-n",
            &count,
        ])?;
        Ok(assign::co_changes(&String::from_utf8_lossy(&log), &touched))
    }

    /// The plan, or why there is none.
    pub(super) fn plan(&self, options: &mut Options) -> Result<std::result::Result<Plan, Status>> {
        let advice = self.advice(options);
        options.warnings.extend(advice);
        match assign::plan(&self.list, options) {
            Ok(mut plan) => {
                let work = self.list.tasks.iter().filter(|task| task.is_work());
                let (all, over) = work.fold((0, 0), |(all, over), task| {
                    (all + 1, over + usize::from(task.is_over()))
                });
                if all == over {
                    plan.warnings.insert(0, format!("all {all} tasks done"));
                }
                Ok(Ok(plan))
            }
            Err(error) => refuse(self, error).map(Err),
        }
    }

    /// What another order would give, where strict order leaves no room.
    fn advice(&self, options: &Options) -> Option<String> {
        if self.order != Order::Strict
            || self.ordered == 0
            || options.agents.len() < 2
            || self.list.tasks.len() > ADVISED
        {
            return None;
        }
        let quick = Options {
            effort: Effort::NONE,
            strategy: Strategy::DependencyAware,
            ..options.clone()
        };
        let strict = assign::Case::new(&self.list, &quick).ok()?.plan();
        let (other, inferred) = self.with(Order::Infer);
        let infer = assign::Case::new(&other, &quick).ok()?.makespan();
        let work: u64 = strict
            .tasks
            .iter()
            .map(|task| task.finish_ms - task.start_ms)
            .sum();
        let alone = strict.parallel_execution_groups.is_empty();
        if infer >= strict.makespan_ms
            || strict.tasks.len() < 2
            || (!alone && strict.optimal && strict.makespan_ms < work / 2)
        {
            return None;
        }
        let mut specs: Vec<&str> = self.list.sources.iter().map(|s| s.spec.as_str()).collect();
        specs.truncate(4);
        Some(format!(
            "strict order: {} in spec {}; --order infer would give {:.1}x with {inferred} inferred edges (list: swarm-assign edges --order infer)",
            if alone {
                "no parallelism"
            } else {
                "little parallelism"
            },
            specs.join(", "),
            strict.makespan_ms as f64 / infer.max(1) as f64,
        ))
    }
}

/// Tells why there is no plan, a line for each reason.
pub(super) fn refuse(ready: &Ready, error: PlanError) -> Result<Status> {
    match error {
        PlanError::Cycle { .. } => {
            tell(&ready.list, &cycles(&ready.list, error));
            Ok(Status::Trouble)
        }
        PlanError::Unassignable(lines) | PlanError::List(lines) => {
            for line in lines {
                say(&format!("swarm-assign: {line}\n"));
            }
            say("hint: --partial plans the rest\n");
            Ok(Status::Trouble)
        }
        PlanError::UnknownTask { ref near, .. } | PlanError::UnknownAgent { ref near, .. } => {
            let failure = Failure::new(Status::Unknown, error.to_string());
            Err(match near.is_empty() {
                true => failure,
                false => failure.hint(format!("did you mean {}?", near.join(" or "))),
            }
            .into())
        }
        other => Err(Failure::usage(other.to_string()).into()),
    }
}

/// All circles that can be told apart: each is taken apart by its weakest edge to find the next.
fn cycles(list: &List, first: PlanError) -> Vec<Note> {
    const MOST: usize = 20;
    let mut found = Vec::new();
    let mut list = list.clone();
    let mut error = first;
    while let PlanError::Cycle {
        place,
        what: message,
        hint,
        edge,
    } = error
    {
        found.push(Note {
            place,
            level: Level::Error,
            message,
            hint: Some(hint),
        });
        let Some(edge) = edge.filter(|_| found.len() < MOST) else {
            break;
        };
        list.edges.remove(edge);
        error = match assign::Case::new(&list, &Options::new(Agent::numbered(1))) {
            Ok(_) => break,
            Err(next) => next,
        };
    }
    found.sort_by_key(|note| note.place);
    found
}

/// Writes errors to standard error, each with its place and what to do about it.
fn tell(list: &List, notes: &[Note]) {
    for note in notes.iter().filter(|note| note.level == Level::Error) {
        say(&format!(
            "swarm-assign: {}: {}\n",
            list.at(note.place),
            note.message
        ));
        if let Some(hint) = &note.hint {
            say(&format!("hint: {hint}\n"));
        }
    }
}

/// `TASK=AGENT` pairs. A task's name may hold `=`; an agent's may not.
fn pairs(option: &str, given: &[String]) -> Result<Vec<(String, String)>> {
    given
        .iter()
        .map(|text| match text.rsplit_once('=') {
            Some((task, agent)) if !task.is_empty() && !agent.is_empty() => {
                Ok((task.to_owned(), agent.to_owned()))
            }
            _ => Err(Failure::usage(format!("{option} {text:?}: expected TASK=AGENT")).into()),
        })
        .collect()
}

/// Agents from a list of names or from a file.
fn described(given: &str, roster: &[Agent]) -> Result<Vec<Agent>> {
    let known = |name: &str| {
        let found = roster.iter().find(|agent| agent.name == name);
        found.cloned().unwrap_or_else(|| Agent::named(name))
    };
    let by_name = |text: &str| -> Result<Agent> {
        let (name, caps) = match text.split_once(':') {
            Some((name, caps)) => (name, Some(caps)),
            None => (text, None),
        };
        if let Err(why) = name.parse::<crate::id::AgentName>() {
            return Err(Failure::usage(format!("--agents: {name:?}: {why}")).into());
        }
        let mut agent = known(name);
        if let Some(caps) = caps {
            let caps = caps.split('+').filter(|cap| !cap.is_empty());
            agent.capabilities = Some(caps.map(str::to_owned).collect());
        }
        Ok(agent)
    };
    let path = Path::new(given);
    if given != "-" && !path.is_file() {
        if given.contains('/') || given.ends_with(".json") {
            return Err(
                Failure::usage(format!("--agents {given:?}: there is no such file")).into(),
            );
        }
        let names = given
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        return names.map(by_name).collect();
    }
    let bytes = input::whole(input::open(given)?, &format!("{given:?}"), 1 << 20)?;
    let text = String::from_utf8(bytes).with_context(|| format!("{given:?}"))?;
    let object = |mut value: serde_json::Value, line: usize| -> Result<Agent> {
        if let Some(fields) = value.as_object_mut() {
            // What worktree-spawn prints describes instances.
            if let Some(name) = fields.get("instance_id").cloned() {
                *fields = serde_json::Map::from_iter([("name".to_owned(), name)]);
            }
            let name = fields
                .get("name")
                .and_then(serde_json::Value::as_str)
                .map(known);
            if let Some(known) = name.filter(|_| fields.len() == 1) {
                return Ok(known);
            }
        }
        serde_json::from_value(value)
            .map_err(|error| Failure::usage(format!("{given}:{line}: {error}"))
                .hint(r#"{"name":"kiro-1","capabilities":["ios"],"speed":1.0,"slots":1,"load":0.0,"busy_until_ms":0}"#).into())
    };
    if text.trim_start().starts_with('[') {
        let all: Vec<serde_json::Value> =
            serde_json::from_str(&text).with_context(|| format!("{given:?}"))?;
        return all.into_iter().map(|value| object(value, 1)).collect();
    }
    let mut agents = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('{') {
            let value =
                serde_json::from_str(line).with_context(|| format!("{given}:{}", number + 1))?;
            agents.push(object(value, number + 1)?);
        } else if !line.is_empty() && !line.starts_with('#') {
            agents.push(by_name(line)?);
        }
    }
    Ok(agents)
}
