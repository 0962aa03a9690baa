//! `swarm-ctl run`: the whole loop. Claim the best task for each agent that is free, start
//! `agent-run` on it, wait until something happens, make the plan anew if it did not go well, again.
//!
//! Everything that must survive stands in the journal: killed at any instant and started again, it
//! goes on from there. What runs goes on without it, and reports by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

use super::script;
use crate::cli::args::{RootArgs, duration};
use crate::cli::error::{Failure, say};
use crate::cli::swarm_assign::change::in_force_anew;
use crate::cli::swarm_assign::claim::{capabilities, record};
use crate::cli::{Out, Result, Status, input};
use crate::event::{Phase, What};
use crate::swarm::conductor::Conductor;
use crate::swarm::hold::{Holds, How};
use crate::swarm::holder::Life;
use crate::swarm::lease::{self, Claim, Desk, Waits, Wish};
use crate::swarm::news::News;
use crate::swarm::plan::Plan;
use crate::swarm::root::Options;
use crate::swarm::{Config, Holder, Root};
use crate::workspace::Tree;

/// The longest plan that is read, in bytes.
const PLAN_LIMIT: u64 = 1 << 30;
/// How often one looks for what nobody tells: leases that end, processes that die.
const TICK: Duration = Duration::from_secs(1);
/// How often an agent whose command cannot even be started is tried.
const STARTS: u32 = 3;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Put this plan in force first; `-` is standard input (otherwise the one in force)
    #[arg(long, value_name = "FILE")]
    pub plan: Option<String>,

    /// Leave when everything is `done`; or begin nothing after a time (RFC 3339, 07:30) or a length (8h)
    #[arg(long, value_name = "WHEN", default_value = "done")]
    pub until: String,

    /// Begin nothing more when all runs since the plan came into force have cost so many US dollars
    #[arg(long, value_name = "AMOUNT")]
    pub max_usd: Option<f64>,

    /// What follows an outcome, such as `hollow=retry:1,human` (see agent-run)
    #[arg(long, value_name = "OUTCOME=STEPS")]
    pub on: Vec<String>,

    /// How many agents run at once on this machine (otherwise `jobs` of swarm.toml, else all)
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,

    /// Begin nothing, unless nothing runs, while less memory than this is free, such as 2G
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "256M")]
    pub min_mem: u64,

    /// Begin nothing, unless nothing runs, while processes wait for memory more than this share of
    /// the time, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 20.0)]
    pub max_pressure: f64,

    /// Only these agents (otherwise those whose records stand on standard input, else all)
    #[arg(long, value_name = "NAME")]
    pub agent: Vec<String>,

    /// Let agent-run use this command of its table
    #[arg(long, value_name = "NAME", conflicts_with = "command_line")]
    pub command: Option<String>,

    /// Let agent-run end what gives no sign of life for so long
    #[arg(long, value_name = "DURATION")]
    pub stall: Option<String>,

    /// Let agent-run end what takes longer
    #[arg(long, value_name = "DURATION")]
    pub max_wall: Option<String>,

    /// Let agent-run commit what is left uncommitted
    #[arg(long)]
    pub harvest: bool,

    /// Print the loop as a shell script over the other commands, and run nothing
    #[arg(long)]
    pub print_sh: bool,

    /// Print what would be begun now, and begin nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Say nothing on standard error but errors
    #[arg(short, long)]
    pub quiet: bool,

    /// The command of every agent and its arguments
    #[arg(value_name = "COMMAND", last = true)]
    pub command_line: Vec<String>,

    /// Where the swarm is
    #[command(flatten)]
    pub root: RootArgs,
}

/// A size in bytes as people write it.
fn size(text: &str) -> std::result::Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write 512M, 4G");
    let (number, shift) = match text.chars().last() {
        Some('K' | 'k') => (&text[..text.len() - 1], 10),
        Some('M' | 'm') => (&text[..text.len() - 1], 20),
        Some('G' | 'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Until when something is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// As long as there is something to do.
    Done,
    /// Until that time.
    Time(jiff::Timestamp),
}

impl Until {
    pub(super) fn read(text: &str) -> Result<Until> {
        if text == "done" {
            return Ok(Until::Done);
        }
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Until::Time(time));
        }
        let now = jiff::Timestamp::now();
        if let Ok(length) = duration(text) {
            let time = now.checked_add(length).context("--until")?;
            return Ok(Until::Time(time));
        }
        let wrong = || {
            Failure::usage(format!("--until {text:?} is no time"))
                .hint("say done, a time (2026-11-24T07:30:00Z, 07:30) or a length (8h)")
        };
        let clock: jiff::civil::Time = text.parse().map_err(|_| wrong())?;
        let here = now.to_zoned_datetime(jiff::tz::TimeZone::system());
        let today = here.with().time(clock).build().map_err(|_| wrong())?;
        let next = match today.timestamp() > now {
            true => today,
            false => today.checked_add(jiff::Span::new().days(1))?,
        };
        Ok(Until::Time(next.timestamp()))
    }
}

/// Carries out the plan.
pub fn run(args: RunArgs, out: &mut Out) -> Result {
    let root = Root::find(&Options {
        start: args.root.repo.clone().unwrap_or_default(),
        root: args.root.root.clone(),
    })?;
    let until = Until::read(&args.until)?;
    let named = named(&args)?;
    if let Some(file) = &args.plan {
        let bytes = input::whole(input::open(file)?, file, PLAN_LIMIT)?;
        let text = String::from_utf8(bytes).with_context(|| format!("{file:?}"))?;
        let text = serde_json::from_str::<serde_json::Value>(&text)
            .with_context(|| format!("{file:?}"))?
            .to_string();
        match args.dry_run || args.print_sh {
            true => {}
            false => drop(Plan::adopt(
                &root,
                &text,
                &uuid::Uuid::new_v4().to_string(),
            )?),
        }
    }
    let Some(desk) = Desk::open(&root)? else {
        return Err(Failure::usage("no plan is in force")
            .hint("swarm-assign plan TASKS -n 3 --json | worktree-spawn --plan - | swarm-ctl run")
            .into());
    };
    let config = Config::read(&root)?;
    let jobs = args.jobs.or(config.run.jobs.map(|jobs| jobs as usize));
    if args.print_sh {
        let agents = match named {
            Some(named) => named.into_iter().collect(),
            None => housed(&root, &desk)?,
        };
        write!(
            out,
            "{}",
            script::script(&root, &agents, &args, until, jobs)
        )?;
        return Ok(Status::Done);
    }
    let mut conduct = Conduct {
        budget: args.max_usd.map(|usd| (usd * 1e6) as u64),
        jobs: jobs.unwrap_or(usize::MAX),
        until,
        named,
        config,
        desk,
        workers: Vec::new(),
        agents: Vec::new(),
        looked: None,
        unfit: BTreeMap::new(),
        asked: None,
        settling: None,
        went_wrong: false,
        stays: false,
        stopped: false,
        root,
        args,
    };
    conduct.look_for_agents()?;
    if conduct.agents.is_empty() {
        return Err(conduct.nobody().into());
    }
    if conduct.args.dry_run {
        return conduct.only_say(out);
    }
    let _mine = match Conductor::take(&conduct.root)? {
        Ok(mine) => mine,
        Err(who) => {
            return Err(Failure::new(
                Status::TryAgain,
                format!("{who} carries out the plan already"),
            )
            .hint("swarm-status --watch")
            .into());
        }
    };
    conduct.carry_out(out)
}

/// The agents that are meant: those named, else those whose records come in.
fn named(args: &RunArgs) -> Result<Option<BTreeSet<String>>> {
    if !args.agent.is_empty() {
        return Ok(Some(args.agent.iter().cloned().collect()));
    }
    let plan_comes_in = args.plan.as_deref() == Some("-");
    if plan_comes_in || crate::cli::error::stdin_is_terminal() {
        return Ok(None);
    }
    let mut names = BTreeSet::new();
    for (number, line) in input::open("-")?.lines().enumerate() {
        let line = line.context("standard input")?;
        if line.trim().is_empty() {
            continue;
        }
        let record = serde_json::from_str::<serde_json::Value>(&line).ok();
        let name = record.as_ref().and_then(|r| r.get("instance_id")?.as_str());
        let name = name.ok_or_else(|| {
            Failure::usage(format!(
                "standard input:{}: no record of an instance",
                number + 1
            ))
            .hint("worktree-spawn prints them; a plan is read with --plan -")
        })?;
        names.insert(name.to_owned());
    }
    Ok((!names.is_empty()).then_some(names))
}

/// Everybody in the plan, or who has joined, and has a worktree: in the order of the trees.
fn housed(root: &Root, desk: &Desk) -> Result<Vec<String>> {
    let state = desk.state();
    let belongs = |name: &str| {
        let planned = desk.plan().agents.iter().any(|agent| agent.name == name);
        let known = state.agents.get(name);
        match known {
            Some(known) => known.present,
            None => planned || desk.plan().agents.is_empty(),
        }
    };
    let trees = Tree::all(root)?.into_iter();
    Ok(trees
        .map(|tree| tree.identity.agent.to_string())
        .filter(|name| belongs(name))
        .collect())
}

/// A run that we started.
struct Worker {
    agent: String,
    task: String,
    epoch: u64,
    pid: u32,
    /// What it may cost at most, in millionths of a dollar.
    reserved: u64,
}

/// Something to look at.
enum Heard {
    /// The journal, the plan or the holds changed, or a second went by.
    News,
    /// A child ended: of that agent, or, without one, the one that settles.
    Ended(Option<String>, ExitStatus),
    /// We were told to stop.
    Signal(i32),
}

/// Why nothing more is begun.
enum Closed {
    /// By a hold on everybody.
    Held(How, String),
    /// The time has come.
    Time,
    /// The money is spent, or so much of it that one more run might go over: what was spent.
    Money(u64),
}

struct Conduct {
    root: Root,
    config: Config,
    desk: Desk,
    args: RunArgs,
    until: Until,
    budget: Option<u64>,
    jobs: usize,
    named: Option<BTreeSet<String>>,
    workers: Vec<Worker>,
    agents: Vec<String>,
    /// When the trees were last looked at.
    looked: Option<Instant>,
    /// Agents whose command could not be started: how often, when last, and why.
    unfit: BTreeMap<String, (u32, Instant, String)>,
    /// What the state was when everybody was last asked, and when.
    asked: Option<(u64, Holds, Instant)>,
    /// The child that settles what killed runs left.
    settling: Option<Instant>,
    /// Whether anything did not end well since the plan was last made anew.
    went_wrong: bool,
    /// Whether it was said that the plan cannot be made anew.
    stays: bool,
    stopped: bool,
}

impl Conduct {
    fn carry_out(&mut self, out: &mut Out) -> Result {
        let (tell, hear) = mpsc::channel();
        listen(&self.root, &tell)?;
        let signal = Arc::new(AtomicUsize::new(0));
        signals(&tell, &signal)?;
        self.say_what_is_not_used();
        loop {
            self.desk.refresh()?;
            self.settle(&tell)?;
            self.replan()?;
            let holds = Holds::read(&self.root)?;
            let closed = self.closed(&holds);
            if closed.is_none() && !self.stopped {
                self.look_for_agents()?;
                self.give(&holds, &tell)?;
            }
            if let Some(status) = self.over(closed.as_ref(), signal.load(Ordering::Relaxed)) {
                return Ok(status);
            }
            out.hand_on()?;
            for heard in next_of(&hear) {
                match heard {
                    Heard::News => {}
                    Heard::Ended(None, _) => {
                        self.settling = Some(Instant::now());
                        self.went_wrong = true;
                    }
                    Heard::Ended(Some(agent), status) => {
                        self.went_wrong |= !status.success();
                        self.desk.refresh()?;
                        self.ended(&agent, status, out)?;
                    }
                    Heard::Signal(number) => self.stop(number),
                }
            }
        }
    }

    /// Why nothing more is to be begun, if so.
    fn closed(&self, holds: &Holds) -> Option<Closed> {
        if let Until::Time(time) = self.until
            && jiff::Timestamp::now() >= time
        {
            return Some(Closed::Time);
        }
        if let Some(hold) = holds.all() {
            return Some(Closed::Held(hold.how, hold.to_string()));
        }
        // As much as the dearest run so far may the next one cost, and many commands tell it only
        // when it is spent.
        let (spent, next) = (self.desk.state().spent(), self.desk.state().dearest());
        match self.budget {
            Some(budget) if spent + next.max(1) > budget => Some(Closed::Money(spent)),
            _ => None,
        }
    }

    /// After what did not end well: makes the plan anew, so that tasks go to others where that is
    /// sooner. One that cannot be made anew (because it was written by hand) stays as it is.
    fn replan(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.went_wrong) || self.stopped {
            return Ok(());
        }
        let unfit = self.agents.iter().filter(|agent| !self.is_fit(agent));
        let down: Vec<&str> = unfit.map(String::as_str).collect();
        match in_force_anew(&self.root, self.desk.state(), &self.config, &down)? {
            Ok(0) => {}
            Ok(moved) => {
                self.say(&format!(
                    "the plan is made anew: {moved} tasks go to others"
                ));
                self.desk.refresh()?;
                self.asked = None;
            }
            Err(why) if !std::mem::replace(&mut self.stays, true) => {
                self.say(&format!(
                    "the plan cannot be made anew, and stays as it is: {why}"
                ));
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// A worktree carries one run at a time, also where the plan counts on more.
    fn say_what_is_not_used(&self) {
        let many = self.desk.plan().agents.iter().filter(|a| a.slots > 1);
        let many: Vec<&str> = many.map(|agent| agent.name.as_str()).collect();
        if !many.is_empty() {
            let who = many.join(", ");
            self.say(&format!(
                "{who}: more than one slot in the plan, but one worktree, which carries one run at \
                 a time\nhint: plan with more agents instead (swarm-assign plan TASKS -n N)"
            ));
        }
    }

    /// Whether we can leave, and how.
    fn over(&self, closed: Option<&Closed>, signal: usize) -> Option<Status> {
        if !self.workers.is_empty() {
            return None;
        }
        if signal != 0 {
            return Some(Status::Child(u8::try_from(128 + signal).unwrap_or(143)));
        }
        let plan = self.desk.plan();
        let state = self.desk.state();
        let phase = |key: &str| state.tasks.get(key).map(|known| &known.phase);
        let left = plan
            .tasks
            .iter()
            .filter(|task| !matches!(phase(&task.id), Some(Phase::Done { .. })));
        let left = left.count();
        if left == 0 {
            self.say(&format!("all {} tasks are done", plan.tasks.len()));
            return Some(Status::Done);
        }
        match closed {
            Some(Closed::Held(How::Pause, _)) => return None,
            Some(Closed::Held(_, what)) => {
                self.complain(
                    &format!("{what}: {left} tasks are left"),
                    "swarm-ctl --do 'resume swarm', then swarm-ctl run",
                );
                return Some(Status::No);
            }
            Some(Closed::Time) => {
                self.complain(
                    &format!("the time has come: {left} tasks are left"),
                    "swarm-ctl run",
                );
                return Some(Status::No);
            }
            Some(Closed::Money(spent)) => {
                let spent = *spent as f64 / 1e6;
                let next = self.desk.state().dearest() as f64 / 1e6;
                self.complain(
                    &format!(
                        "the money is spent (${spent:.2}, and one run has cost ${next:.2}): {left} \
                         tasks are left"
                    ),
                    "swarm-ctl run --max-usd MORE",
                );
                return Some(Status::No);
            }
            None => {}
        }
        if !self.agents.iter().any(|agent| self.is_fit(agent)) {
            let why = self.unfit.values().next().map(|(_, _, why)| why.as_str());
            let why = why.unwrap_or("nobody has a worktree");
            self.complain(&format!("no agent can be started: {why}"), "swarm-status");
            return Some(Status::Trouble);
        }
        if self.goes_on() {
            return None;
        }
        self.complain(
            &format!("{left} tasks are left, and none of them without a person"),
            "swarm-status",
        );
        Some(Status::No)
    }

    /// Whether anything can be done, now or later, without a person.
    fn goes_on(&self) -> bool {
        let (plan, state) = (self.desk.plan(), self.desk.state());
        let places = plan.places();
        let phase = |key: &str| state.task(key).phase;
        let done =
            |key: &str| !places.contains_key(key) || matches!(phase(key), Phase::Done { .. });
        let anybody = |task: &crate::swarm::plan::Task| {
            self.agents.iter().any(|agent| {
                let able = self.capabilities(agent);
                let able =
                    able.is_none_or(|able| task.needs.iter().all(|need| able.contains(need)));
                self.is_fit(agent) && able && (task.only.is_empty() || task.only.contains(agent))
            })
        };
        plan.tasks.iter().any(|task| match phase(&task.id) {
            Phase::Done { .. } | Phase::Human { .. } => false,
            // Somebody else is at it.
            Phase::Claimed { lease, .. } if !lease::is_over(&lease) => true,
            _ => task.after.iter().all(|key| done(key)) && anybody(task),
        })
    }

    fn is_fit(&self, agent: &str) -> bool {
        self.unfit
            .get(agent)
            .is_none_or(|(times, ..)| *times < STARTS)
    }

    fn capabilities(&self, agent: &str) -> Option<Vec<String>> {
        capabilities(&self.root, &self.desk, agent).unwrap_or_default()
    }

    /// Looks from time to time who has a worktree by now.
    fn look_for_agents(&mut self) -> Result<()> {
        const AFTER: Duration = Duration::from_secs(5);
        if self.looked.is_some_and(|last| last.elapsed() < AFTER) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let mut agents = housed(&self.root, &self.desk)?;
        if let Some(named) = &self.named {
            agents.retain(|agent| named.contains(agent));
        }
        if agents != self.agents {
            self.asked = None;
            self.agents = agents;
        }
        Ok(())
    }

    /// Nobody who is meant has a worktree.
    fn nobody(&self) -> Failure {
        let planned: Vec<&str> = match &self.named {
            Some(named) => named.iter().map(String::as_str).collect(),
            None => self
                .desk
                .plan()
                .agents
                .iter()
                .map(|a| a.name.as_str())
                .collect(),
        };
        let who = match planned.as_slice() {
            [] => "-n 3".to_owned(),
            names => names.join(" "),
        };
        Failure::new(Status::No, "no agent has a worktree").hint(format!("worktree-spawn {who}"))
    }

    /// Gives tasks to those who are free, as far as the machine's means go.
    fn give(&mut self, holds: &Holds, tell: &Sender<Heard>) -> Result<()> {
        // Nothing became ready since everybody was asked, and no lease can have ended.
        let turns = self.desk.state().turns;
        if let Some((then, held, when)) = &self.asked
            && *then == turns
            && held == holds
            && when.elapsed() < TICK
        {
            return Ok(());
        }
        let busy = self.busy();
        for agent in self.agents.clone() {
            if busy.contains(&agent) || holds.on_agent(&agent).is_some() || !self.may_try(&agent) {
                continue;
            }
            if self.workers.len() >= self.jobs || !self.has_means() {
                // Looked at again soon, whatever happens.
                break;
            }
            let reserved = match self.reserve() {
                Some(reserved) => reserved,
                None => break,
            };
            let able = self.capabilities(&agent);
            let wish = Wish {
                agent: &agent,
                capabilities: able.as_deref(),
                task: None,
                own: false,
            };
            let length = self.config.plan.lease.unwrap_or(lease::DEFAULT_LEASE);
            // Ours until agent-run takes it over: when we are killed in between, it is free.
            match self.desk.next(&wish, length, Some(&Holder::me()))? {
                Ok(claim) => self.start(&claim, reserved, tell)?,
                // Nothing for this one is nothing for anybody, unless it is about this one.
                Err(waiting) if waiting.iter().any(|(_, why)| is_personal(why)) => {}
                Err(_) => break,
            }
        }
        self.asked = Some((self.desk.state().turns, holds.clone(), Instant::now()));
        Ok(())
    }

    /// Those who have something in hand: ours, and what others started.
    fn busy(&self) -> BTreeSet<String> {
        let state = self.desk.state();
        let mut busy: BTreeSet<String> = self.workers.iter().map(|w| w.agent.clone()).collect();
        for run in state.runs.values().filter(|run| run.ended.is_none()) {
            let holder = run.holder.parse::<Holder>();
            if holder.is_ok_and(|holder| holder.life() != Life::Dead) {
                busy.insert(run.agent.clone());
            }
        }
        for known in state.tasks.values() {
            if let Phase::Claimed { agent, lease, .. } = &known.phase
                && !busy.contains(agent)
                && !lease::is_over(lease)
            {
                busy.insert(agent.clone());
            }
        }
        busy
    }

    /// Whether it is time to try an agent whose command did not start.
    fn may_try(&self, agent: &str) -> bool {
        match self.unfit.get(agent) {
            Some((times, last, _)) => *times < STARTS && last.elapsed() >= TICK * *times,
            None => true,
        }
    }

    /// Whether the machine can carry one more; the first one always may.
    fn has_means(&self) -> bool {
        self.workers.is_empty()
            || (free_memory().is_none_or(|free| free >= self.args.min_mem)
                && memory_pressure().is_none_or(|share| share <= self.args.max_pressure))
    }

    /// What the next run may cost, so that all together stay within the budget; 0 where there is
    /// none. Nothing if nothing is left.
    fn reserve(&self) -> Option<u64> {
        let Some(budget) = self.budget else {
            return Some(0);
        };
        let reserved: u64 = self.workers.iter().map(|worker| worker.reserved).sum();
        let left = budget.checked_sub(self.desk.state().spent() + reserved)?;
        let dearest = self.desk.state().dearest();
        if left < dearest {
            return None;
        }
        let each = match self.config.run.max_usd {
            Some(usd) => left.min((usd * 1e6) as u64),
            None => {
                let free = self
                    .agents
                    .len()
                    .min(self.jobs)
                    .saturating_sub(self.workers.len());
                (left / free.max(1) as u64).max(dearest)
            }
        };
        let least = u64::from(self.workers.is_empty() && left > 0);
        Some(each.max(least)).filter(|each| *each > 0)
    }

    /// Starts agent-run on what was claimed.
    fn start(&mut self, claim: &Claim, reserved: u64, tell: &Sender<Heard>) -> Result<()> {
        let task = record(&self.desk, claim);
        let title = &self.desk.plan().tasks[claim.place].title;
        self.say(&format!("{} takes {}: {title}", claim.agent, claim.task));
        let mut command = ours("agent-run");
        command
            .args(agent_run_args(&self.root, &self.args, &claim.agent))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // A Ctrl-C is for us alone; we pass it on, once.
            .process_group(0);
        if reserved > 0 {
            command
                .arg("--max-usd")
                .arg(format!("{:.6}", reserved as f64 / 1e6));
        }
        if !self.args.command_line.is_empty() {
            command.arg("--").args(&self.args.command_line);
        }
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                self.release(claim, &format!("agent-run: {error}"))?;
                return Err(Failure::new(Status::Child(127), format!("agent-run: {error}")).into());
            }
        };
        let mut stdin = child.stdin.take();
        self.workers.push(Worker {
            agent: claim.agent.clone(),
            task: claim.task.clone(),
            epoch: claim.epoch,
            pid: child.id(),
            reserved,
        });
        let (agent, tell) = (claim.agent.clone(), tell.clone());
        std::thread::spawn(move || {
            if let Some(stdin) = &mut stdin {
                // One that does not read says why by its status.
                drop(stdin.write_all(task.as_bytes()));
            }
            drop(stdin);
            if let Ok(status) = child.wait() {
                drop(tell.send(Heard::Ended(Some(agent), status)));
            }
        });
        Ok(())
    }

    /// A run of ours is over: prints what came of it, and sees to what it could not report itself.
    fn ended(&mut self, agent: &str, status: ExitStatus, out: &mut Out) -> Result<()> {
        let Some(place) = self.workers.iter().position(|worker| worker.agent == agent) else {
            return Ok(());
        };
        let worker = self.workers.swap_remove(place);
        let state = self.desk.state();
        let run = state.runs.iter().find(|(_, run)| {
            run.agent == agent
                && run.task.as_deref() == Some(&worker.task)
                && run.epoch == Some(worker.epoch)
        });
        let name = run.map(|(name, _)| name.clone());
        if let Some(name) = &name {
            let file = self.root.runs().join(name).join("outcome.json");
            if let Ok(line) = fs::read_to_string(file) {
                writeln!(out, "{}", line.trim_end())?;
            }
        }
        if let Some(end) = run.and_then(|(_, run)| run.ended.as_ref()) {
            let why = end.why.as_deref().unwrap_or_default();
            self.say(&format!("{agent} {}: {} ({why})", worker.task, end.outcome));
            self.unfit.remove(agent);
        }
        let known = self.desk.state().task(&worker.task);
        let unreported = known.holds(worker.epoch)
            && matches!(&known.phase, Phase::Claimed { agent: with, .. } if with == agent);
        if !unreported {
            return Ok(());
        }
        let killed = status.signal();
        let (task, epoch) = (worker.task.clone(), worker.epoch);
        if killed.is_none() && name.is_none() {
            // It never began: the task can do nothing for it, the agent can.
            let code = status.code().unwrap_or(125);
            let why = format!("agent-run of {agent} ended with {code} before it began");
            self.say(&why);
            // 75: it was held meanwhile, or another run is in its tree.
            let before = match code {
                75 => 0,
                _ => self.unfit.get(agent).map_or(0, |(times, ..)| *times),
            };
            let times = before + 1;
            self.unfit
                .insert(agent.to_owned(), (times, Instant::now(), why.clone()));
            self.asked = None;
            return self.report(&worker, |_, _| What::Released {
                task,
                epoch,
                why: Some(why),
            });
        }
        let exit = match killed {
            Some(signal) => 128 + signal,
            None => status.code().unwrap_or(1),
        };
        let exit = u8::try_from(exit).unwrap_or(255);
        let who = agent.to_owned();
        if exit == 0 {
            return self.report(&worker, |_, _| What::Done {
                task,
                agent: who,
                epoch,
                commit: None,
                run: name,
            });
        }
        let retries = self.config.plan.retries.unwrap_or(2);
        self.say(&format!("{agent} {task}: agent-run ended with {exit}"));
        self.report(&worker, |known, _| {
            let (word, then) = lease::verdict(exit, known.failures, retries);
            What::Failed {
                task,
                agent: who,
                epoch,
                exit,
                then,
                retry_at: None,
                why: Some(format!("{word}: agent-run ended before it could say more")),
            }
        })
    }

    fn report(
        &mut self,
        worker: &Worker,
        what: impl FnOnce(&crate::event::TaskState, u64) -> What,
    ) -> Result<()> {
        let mut journal = crate::swarm::Journal::open(&self.root)?;
        lease::report(
            &mut journal,
            &worker.task,
            &worker.agent,
            Some(worker.epoch),
            what,
        )?;
        self.desk.refresh()?;
        Ok(())
    }

    fn release(&mut self, claim: &Claim, why: &str) -> Result<()> {
        let mut journal = crate::swarm::Journal::open(&self.root)?;
        let (task, epoch) = (claim.task.clone(), claim.epoch);
        lease::report(
            &mut journal,
            &claim.task,
            &claim.agent,
            Some(claim.epoch),
            |_, _| What::Released {
                task,
                epoch,
                why: Some(why.to_owned()),
            },
        )?;
        Ok(())
    }

    /// Lets agent-run end and write down what runs left whose agent-run was killed.
    fn settle(&mut self, tell: &Sender<Heard>) -> Result<()> {
        const AGAIN: Duration = Duration::from_secs(5);
        if self.settling.is_some_and(|last| last.elapsed() < AGAIN) {
            return Ok(());
        }
        let mut open = self
            .desk
            .state()
            .runs
            .values()
            .filter(|run| run.ended.is_none());
        let lost = |run: &crate::event::RunState| {
            let holder = run.holder.parse::<Holder>();
            holder.is_ok_and(|holder| holder.life() == Life::Dead)
        };
        if !open.any(lost) {
            return Ok(());
        }
        self.settling = Some(Instant::now());
        let mut command = ours("agent-run");
        command.arg("--settle").args(place(&self.root));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if let Ok(mut child) = command.spawn() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                if let Ok(status) = child.wait() {
                    drop(tell.send(Heard::Ended(None, status)));
                }
            });
        }
        Ok(())
    }

    /// We were told to stop: what runs is told too, and we leave when it ended.
    fn stop(&mut self, signal: i32) {
        self.stopped = true;
        let signal = rustix::process::Signal::from_named_raw(signal);
        let signal = signal.unwrap_or(rustix::process::Signal::TERM);
        for worker in &self.workers {
            let pid = i32::try_from(worker.pid).ok();
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }

    /// Says what would be begun now.
    fn only_say(&mut self, out: &mut Out) -> Result {
        let holds = Holds::read(&self.root)?;
        let (busy, mut taken) = (self.busy(), BTreeSet::new());
        for agent in &self.agents {
            if busy.contains(agent) {
                continue;
            }
            let able = self.capabilities(agent);
            let wish = Wish {
                agent,
                capabilities: able.as_deref(),
                task: None,
                own: false,
            };
            let now = lease::Now {
                at: &crate::swarm::journal::now(),
                over: &lease::is_over,
                holds: &holds,
            };
            if taken.len() >= self.jobs {
                break;
            }
            if let lease::Choice::Take(place) =
                lease::choose(self.desk.plan(), self.desk.state(), &wish, &now)
            {
                let task = &self.desk.plan().tasks[place];
                // Without a claim the next one would be offered the same.
                if taken.insert(task.id.clone()) {
                    writeln!(
                        out,
                        "{agent}\t{}\t{}",
                        task.id,
                        crate::cli::output::shown(&task.title)
                    )?;
                }
            }
        }
        Ok(Status::Done)
    }

    fn say(&self, what: &str) {
        if !self.args.quiet {
            say(&format!("swarm-ctl: {what}\n"));
        }
    }

    fn complain(&self, what: &str, hint: &str) {
        say(&format!("swarm-ctl: {what}\nhint: {hint}\n"));
    }
}

/// Whether what a task waits for has to do with who asks.
fn is_personal(why: &Waits) -> bool {
    matches!(
        why,
        Waits::Needs(_) | Waits::Only(_) | Waits::Held(..) | Waits::Paused(_)
    )
}

/// What was heard: waits for the first, and takes what else came meanwhile.
fn next_of(hear: &Receiver<Heard>) -> Vec<Heard> {
    let mut all = match hear.recv_timeout(TICK) {
        Ok(first) => vec![first],
        Err(RecvTimeoutError::Timeout) => vec![Heard::News],
        Err(RecvTimeoutError::Disconnected) => Vec::new(),
    };
    all.extend(hear.try_iter());
    all
}

/// Tells of news of the swarm from now on.
fn listen(root: &Root, tell: &Sender<Heard>) -> Result<()> {
    root.make_dir(&root.journal())?;
    let (news, tell) = (News::arm(root), tell.clone());
    std::thread::spawn(move || {
        while tell.send(Heard::News).is_ok() {
            news.wait(Duration::from_secs(60));
        }
    });
    Ok(())
}

/// Tells of signals from now on; `last` keeps the number of the last one.
fn signals(tell: &Sender<Heard>, last: &Arc<AtomicUsize>) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let (mut reader, writer) = UnixStream::pair().context("signals")?;
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        let number = usize::try_from(signal).unwrap_or(15);
        signal_hook::flag::register_usize(signal, Arc::clone(last), number).context("signals")?;
        let writer = writer.try_clone().context("signals")?;
        signal_hook::low_level::pipe::register(signal, writer).context("signals")?;
    }
    let (tell, last) = (tell.clone(), Arc::clone(last));
    std::thread::spawn(move || {
        let mut byte = [0];
        while reader.read_exact(&mut byte).is_ok() {
            let number = i32::try_from(last.load(Ordering::Relaxed)).unwrap_or(SIGTERM);
            if tell.send(Heard::Signal(number)).is_err() {
                break;
            }
        }
    });
    Ok(())
}

/// One of our own commands: the one beside this one, else by the search path.
pub(super) fn ours(name: &str) -> Command {
    let beside = std::env::current_exe().ok().and_then(|me| {
        let path = me.parent()?.join(name);
        path.is_file().then_some(path)
    });
    Command::new(beside.unwrap_or_else(|| PathBuf::from(name)))
}

/// The options that lead another command to the same swarm.
pub(super) fn place(root: &Root) -> Vec<String> {
    let mut args = vec!["--root".to_owned(), root.path().display().to_string()];
    let top = root.repository().map(|repository| {
        let top = repository.top.clone();
        top.unwrap_or_else(|| repository.common_dir.clone())
    });
    if let Some(top) = top {
        args.extend(["-C".to_owned(), top.display().to_string()]);
    }
    args
}

/// The options of agent-run that follow from ours, without the command.
pub(super) fn agent_run_args(root: &Root, args: &RunArgs, agent: &str) -> Vec<String> {
    let mut list = vec![
        "--report".to_owned(),
        "--agent".to_owned(),
        agent.to_owned(),
    ];
    list.extend(place(root));
    for (name, value) in [
        ("--command", &args.command),
        ("--stall", &args.stall),
        ("--max-wall", &args.max_wall),
    ] {
        if let Some(value) = value {
            list.extend([name.to_owned(), value.clone()]);
        }
    }
    for on in &args.on {
        list.extend(["--on".to_owned(), on.clone()]);
    }
    if args.harvest {
        list.push("--harvest".to_owned());
    }
    list
}

/// Memory that can be had without swapping, in bytes (Linux).
fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The share of the last ten seconds in which some process waited for memory, in percent (Linux
/// with pressure stall information).
fn memory_pressure() -> Option<f64> {
    let text = fs::read_to_string("/proc/pressure/memory").ok()?;
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let share = some
        .split(' ')
        .find_map(|field| field.strip_prefix("avg10="))?;
    share.parse().ok()
}
