//! Agents that go wrong in every way, and what is lost by it: a swarm of fake agents that is driven
//! to the end of its plan, and then counted.
//!
//! The driver does what a person and a conductor would: gives each agent the next task, runs
//! `agent-run --report` on it, says "again" to what waits for a person, and kills some of the
//! `agent-run`s (SIGKILL) at a moment that follows from the seed. In the end every task must be done
//! once, every file that an agent ever wrote must be in a commit or a worktree, and no process may be
//! left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::fake::Dice;
use super::{Error, record};
use crate::event::{Effect, Event, Phase, State, What};
use crate::swarm::lease::{Claim, Desk, Wish};
use crate::swarm::plan::Plan;
use crate::swarm::{Holder, Journal, Root, journal};
use crate::workspace::{Git, Tree};

/// How hard it is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// What everything follows from.
    pub seed: u64,
    /// How many tasks.
    pub tasks: u32,
    /// How many runs in a hundred are killed with their `agent-run`.
    pub kills: u64,
    /// The words that the agents talk in.
    pub command: String,
    /// Where `agent-run` and `fake-agent` are.
    pub programs: PathBuf,
    /// How long all may take.
    pub timeout: Duration,
}

/// What came of it: everything below `twice` must be nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Score {
    /// What everything followed from.
    pub seed: u64,
    /// Tasks.
    pub tasks: u32,
    /// Runs.
    pub runs: u64,
    /// Of these, whose `agent-run` was killed.
    pub kills: u64,
    /// Runs by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Bytes that the agents wrote.
    pub bytes_written: u64,
    /// How long it took.
    pub wall_ms: u64,
    /// Tasks that were not done in the end.
    pub tasks_lost: u32,
    /// Tasks that were done more than once.
    pub done_twice: u32,
    /// Bytes that are neither in a commit nor in a worktree.
    pub bytes_lost: u64,
    /// Processes that were left.
    pub processes_left: u32,
    /// Runs that have not ended by the journal.
    pub runs_open: u32,
}

impl Score {
    /// Whether nothing was lost.
    pub fn is_clean(&self) -> bool {
        self.tasks_lost == 0
            && self.done_twice == 0
            && self.bytes_lost == 0
            && self.processes_left == 0
            && self.runs_open == 0
    }
}

/// A plan of tasks that wait for nothing.
pub fn plan(agents: &[String], tasks: u32) -> String {
    let tasks: Vec<serde_json::Value> = (0..tasks)
        .map(|n| {
            let agent = &agents[n as usize % agents.len().max(1)];
            serde_json::json!({"id": format!("t{n}"), "title": format!("do {n}"), "agent": agent})
        })
        .collect();
    let agents: Vec<serde_json::Value> = agents
        .iter()
        .map(|name| serde_json::json!({"name": name}))
        .collect();
    serde_json::json!({"plan_id": "torture", "agents": agents, "tasks": tasks}).to_string()
}

/// Drives a swarm, whose agents have their worktrees, to the end of its plan.
pub fn drive(root: &Root, trees: &[Tree], options: &Options) -> Result<Score, Error> {
    let begun = Instant::now();
    let agents: Vec<String> = trees
        .iter()
        .map(|tree| tree.identity.agent.to_string())
        .collect();
    Plan::adopt(root, &plan(&agents, options.tasks), "torture")?;
    let driver = Driver {
        root,
        options,
        ledger: root.path().join("ledger.jsonl"),
        kills: AtomicU64::new(0),
        trouble: Mutex::new(None),
        end: begun + options.timeout,
    };
    std::thread::scope(|scope| {
        for agent in &agents {
            let driver = &driver;
            scope.spawn(move || {
                if let Err(error) = driver.work(agent)
                    && let Ok(mut trouble) = driver.trouble.lock()
                {
                    *trouble = Some(error);
                }
            });
        }
    });
    if let Ok(Some(error)) = driver.trouble.into_inner() {
        return Err(error);
    }
    let mut journal = Journal::open(root)?;
    for (run, known) in record::lost(&journal) {
        let tree = trees
            .iter()
            .find(|tree| tree.identity.agent.as_str() == known.agent);
        record::settle(root, &mut journal, &run, &known, tree, Duration::ZERO)?;
    }
    let mut score = count(&journal, options)?;
    score.kills = driver.kills.load(Ordering::Relaxed);
    (score.bytes_written, score.bytes_lost) = lost_bytes(&driver.ledger, trees)?;
    score.processes_left = left(root);
    score.wall_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(score)
}

struct Driver<'a> {
    root: &'a Root,
    options: &'a Options,
    ledger: PathBuf,
    kills: AtomicU64,
    trouble: Mutex<Option<Error>>,
    end: Instant,
}

impl Driver<'_> {
    /// One agent's loop, until nothing is to be done any more.
    fn work(&self, agent: &str) -> Result<(), Error> {
        let wish = Wish {
            agent,
            capabilities: None,
            task: None,
            own: false,
        };
        let Some(mut desk) = Desk::open(self.root)? else {
            return Ok(());
        };
        while Instant::now() < self.end {
            // The claim is ours until agent-run takes it over.
            let me = Holder::me();
            match desk.next(&wish, Duration::from_secs(600), Some(&me))? {
                Ok(claim) => {
                    self.run(&claim)?;
                    self.settle_own(agent)?;
                    self.give_back(&claim)?;
                }
                Err(_) => {
                    desk.refresh()?;
                    if is_over(desk.plan(), desk.state()) {
                        return Ok(());
                    }
                    self.say_again()?;
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
        Ok(())
    }

    fn run(&self, claim: &Claim) -> Result<(), Error> {
        let mut dice = Dice(
            self.options.seed
                ^ claim.epoch.wrapping_mul(0x9e37_79b9)
                ^ super::fake::seed_of(1, &claim.task, ""),
        );
        let task = serde_json::json!({
            "id": claim.task, "description": format!("do {}", claim.task),
            "epoch": claim.epoch, "correlation_id": claim.correlation_id,
        });
        let file = self
            .root
            .path()
            .join(format!("tmp/task-{}.json", claim.agent));
        if let Some(parent) = file.parent() {
            self.root.make_dir(parent)?;
        }
        fs::write(&file, task.to_string()).map_err(Error::at(&file))?;
        let mut command = Command::new(self.options.programs.join("agent-run"));
        command
            .args([
                "--report",
                "--agent",
                &claim.agent,
                "--command",
                &self.options.command,
            ])
            .args([
                "--stall", "400ms", "--grace", "150ms", "--beat", "100ms", "--task",
            ])
            .arg(&file)
            .arg("--root")
            .arg(self.root.path())
            .env("FAKE_AGENT_LEDGER", &self.ledger)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(top) = self.root.repository().and_then(|r| r.top.as_ref()) {
            command.current_dir(top);
        }
        let mut child = command.spawn().map_err(Error::at("agent-run"))?;
        if dice.roll(100) < self.options.kills {
            std::thread::sleep(Duration::from_millis(dice.roll(300)));
            if child.try_wait().is_ok_and(|ended| ended.is_none()) {
                self.kills.fetch_add(1, Ordering::Relaxed);
                drop(child.kill());
            }
        }
        child.wait().map_err(Error::at("agent-run"))?;
        Ok(())
    }

    /// Settles runs of this agent whose agent-run was killed, as the next agent-run would.
    fn settle_own(&self, agent: &str) -> Result<(), Error> {
        let mut journal = Journal::open(self.root)?;
        let mut trees = Tree::all(self.root)?.into_iter();
        let tree = trees.find(|tree| tree.identity.agent.as_str() == agent);
        for (run, known) in record::lost(&journal) {
            if known.agent == agent {
                let grace = Duration::from_millis(100);
                record::settle(self.root, &mut journal, &run, &known, tree.as_ref(), grace)?;
            }
        }
        Ok(())
    }

    /// Gives a task back that its agent-run did not live to report.
    fn give_back(&self, claim: &Claim) -> Result<(), Error> {
        Journal::open(self.root)?.change(|state| {
            let event = event(What::Released {
                task: claim.task.clone(),
                epoch: claim.epoch,
                why: Some("its agent-run was killed".to_owned()),
            });
            let open = state.task(&claim.task).holds(claim.epoch);
            (open.then_some(event).into_iter().collect(), ())
        })?;
        Ok(())
    }

    /// Says "again" to everything that waits for a person or a time.
    fn say_again(&self) -> Result<(), Error> {
        Journal::open(self.root)?.change(|state| {
            let waits = |phase: &Phase| matches!(phase, Phase::Human { .. } | Phase::Later { .. });
            let tasks = state.tasks.iter().filter(|(_, known)| waits(&known.phase));
            let again = tasks.map(|(task, known)| {
                event(What::Retried {
                    task: task.clone(),
                    epoch: known.epoch,
                    why: None,
                })
            });
            (again.collect(), ())
        })?;
        Ok(())
    }
}

fn event(what: What) -> Event {
    Event {
        at: journal::now(),
        correlation_id: "torture".to_owned(),
        what,
    }
}

fn is_over(plan: &Plan, state: &State) -> bool {
    plan.tasks
        .iter()
        .all(|task| matches!(state.task(&task.id).phase, Phase::Done { .. }))
}

/// Counts in the journal, event by event.
fn count(journal: &Journal, options: &Options) -> Result<Score, Error> {
    let mut state = State::default();
    let mut done: BTreeMap<String, u32> = BTreeMap::new();
    let mut score = Score {
        seed: options.seed,
        tasks: options.tasks,
        ..Score::default()
    };
    journal.replay(|event| {
        let effect = state.apply(event);
        match &event.what {
            What::Done { task, .. } if effect == Effect::Applied => {
                *done.entry(task.clone()).or_default() += 1;
            }
            What::RunBegan { .. } => score.runs += 1,
            What::RunEnded { outcome, .. } if effect == Effect::Applied => {
                *score.outcomes.entry(outcome.clone()).or_default() += 1;
            }
            _ => {}
        }
    })?;
    score.tasks_lost = options.tasks.saturating_sub(done.len() as u32);
    score.done_twice = done.values().filter(|times| **times > 1).count() as u32;
    score.runs_open = state
        .runs
        .values()
        .filter(|run| run.ended.is_none())
        .count() as u32;
    Ok(score)
}

#[derive(Deserialize)]
struct Written {
    path: String,
    text: String,
}

/// Bytes that were written, and of those the ones that are in no commit and no worktree.
fn lost_bytes(ledger: &Path, trees: &[Tree]) -> Result<(u64, u64), Error> {
    let text = fs::read_to_string(ledger).unwrap_or_default();
    let mut committed = Vec::new();
    for tree in trees {
        let git: Git = tree.git();
        let names = git.text(&["ls-tree", "-r", "--name-only", "HEAD"])?;
        committed.push(
            names
                .lines()
                .map(str::to_owned)
                .collect::<std::collections::HashSet<_>>(),
        );
    }
    let (mut written, mut lost) = (0, 0);
    for line in text.lines() {
        // A line that was cut off by a kill is of a file that may be there or not.
        let Ok(entry) = serde_json::from_str::<Written>(line) else {
            continue;
        };
        written += entry.text.len() as u64;
        let there = trees.iter().zip(&committed).any(|(tree, names)| {
            let content = fs::read_to_string(tree.path.join(&entry.path));
            let same = content.is_ok_and(|content| content == entry.text);
            same || names.contains(&entry.path)
                && tree
                    .git()
                    .text(&["show", &format!("HEAD:{}", entry.path)])
                    .is_ok_and(|content| content == entry.text.trim_end_matches('\n'))
        });
        if !there {
            lost += entry.text.len() as u64;
        }
    }
    Ok((written, lost))
}

/// Processes that have this swarm's run in their environment.
fn left(root: &Root) -> u32 {
    let wanted = format!("SPORE_ROOT={}", root.path().display());
    let mut found = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let variables = || environment.split(|byte| *byte == 0);
        let ours = variables().any(|variable| variable == wanted.as_bytes());
        found += u32::from(ours && variables().any(|variable| variable.starts_with(b"SPORE_RUN=")));
    }
    found
}
