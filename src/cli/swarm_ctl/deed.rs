//! What an action comes to: a list of steps, decided before anything is done, and doing them.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::conduct::{ours, place};
use crate::action::json::{Object, Value};
use crate::cli::Result;
use crate::cli::swarm_assign::claim::{capabilities, record};
use crate::event::{Event, What};
use crate::swarm::conductor::Conductor;
use crate::swarm::hold::{Hold, Holds, Whom};
use crate::swarm::holder::Life;
use crate::swarm::lease::{self, Desk, Wish};
use crate::swarm::news::News;
use crate::swarm::{Holder, Journal, Root, journal};

/// What is to be done about an action, and what to say.
#[derive(Debug, Default)]
pub(super) struct Deed {
    /// Whether it can be done.
    pub(super) possible: bool,
    /// What to tell a person.
    pub(super) message: String,
    /// What to tell a program.
    pub(super) data: Object,
    /// What to type next.
    pub(super) next: Option<String>,
    /// In this order; the first that fails ends it.
    pub(super) steps: Vec<Step>,
}

/// One step.
#[derive(Debug)]
pub(super) enum Step {
    /// Hold somebody.
    Hold(Hold),
    /// Lift what holds somebody.
    Lift(Whom),
    /// Write down that something happened.
    Happen(What),
    /// Wait until these runs ended; those that do not are told to.
    Await(Vec<String>, Duration),
    /// Kill these runs with everything they started.
    Kill(Vec<String>),
    /// Run a command of ours or git; it must end with 0.
    Run(Vec<String>),
    /// Let the plan be carried out, by these agents or by all.
    Conduct(Vec<String>),
    /// Let an agent do a task, and wait for what comes of it.
    Do(String, String),
    /// Let a dead letter wait again.
    Requeue(String, crate::spool::Id),
}

impl Deed {
    /// What this swarm cannot do, and what can be typed instead.
    pub(super) fn refuse(message: impl Into<String>, next: impl Into<String>) -> Deed {
        Deed {
            message: message.into(),
            next: Some(next.into()),
            ..Deed::default()
        }
    }

    /// What can be done.
    pub(super) fn new(message: impl Into<String>) -> Deed {
        Deed {
            possible: true,
            message: message.into(),
            ..Deed::default()
        }
    }

    pub(super) fn step(mut self, step: Step) -> Deed {
        self.steps.push(step);
        self
    }

    pub(super) fn steps(mut self, steps: impl IntoIterator<Item = Step>) -> Deed {
        self.steps.extend(steps);
        self
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Deed {
        self.data.insert(name, value.into());
        self
    }

    pub(super) fn next(mut self, command: impl Into<String>) -> Deed {
        self.next = Some(command.into());
        self
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Hold(hold) => write!(f, "hold: {hold}"),
            Step::Lift(Whom::All) => write!(f, "lift every hold"),
            Step::Lift(Whom::Agent(agent)) => write!(f, "lift the hold on {agent}"),
            Step::Lift(Whom::Task(task)) => write!(f, "lift the hold on task {task}"),
            Step::Happen(What::Retried { task, .. }) => write!(f, "open task {task} again"),
            Step::Happen(What::Released { task, .. }) => write!(f, "give task {task} back"),
            Step::Happen(What::Reassigned { task, agent, .. }) => {
                write!(f, "task {task} goes to {agent}")
            }
            Step::Happen(What::Joined { agent, .. }) => write!(f, "{agent} joins"),
            Step::Happen(what) => write!(f, "note {}", what.name()),
            Step::Await(runs, _) => write!(f, "end {}", runs.join(", ")),
            Step::Kill(runs) => write!(f, "kill {}", runs.join(", ")),
            Step::Run(argv) => write!(f, "run {}", argv.join(" ")),
            Step::Conduct(agents) if agents.is_empty() => write!(f, "start swarm-ctl run"),
            Step::Conduct(agents) => write!(f, "start swarm-ctl run for {}", agents.join(", ")),
            Step::Do(agent, task) => write!(f, "let {agent} do task {task}"),
            Step::Requeue(agent, id) => write!(f, "let {id} wait for {agent} again"),
        }
    }
}

/// What came of one step: what a person is told if it was not well.
pub(super) type Came = std::result::Result<Option<(String, Value)>, String>;

/// Does one step.
pub(super) fn carry_out(root: &Root, step: &Step, correlation_id: &str) -> Result<Came> {
    match step {
        Step::Hold(hold) => Holds::set(root, hold.clone())?,
        Step::Lift(whom) => drop(Holds::lift(root, whom)?),
        Step::Happen(what) => {
            let event = Event {
                at: journal::now(),
                correlation_id: correlation_id.to_owned(),
                what: what.clone(),
            };
            Journal::open(root)?.change(|_| (vec![event], ()))?;
        }
        Step::Await(runs, patience) => {
            let left = wait_for(root, runs, *patience)?;
            if !left.is_empty() {
                return Ok(Err(format!("{} did not end", left.join(", "))));
            }
        }
        Step::Kill(runs) => {
            kill(root, runs)?;
            let argv = ["agent-run", "--settle", "--grace", "0s"];
            drop(command(root, &argv.map(str::to_owned))?);
            let left = wait_for(root, runs, Duration::from_secs(5))?;
            if !left.is_empty() {
                return Ok(Err(format!("{} did not end", left.join(", "))));
            }
        }
        Step::Run(argv) => return command(root, argv),
        Step::Conduct(agents) => return conduct(root, agents),
        Step::Do(agent, task) => return let_do(root, agent, task),
        Step::Requeue(agent, id) => {
            let spool = crate::spool::Spool::open(&root.mail())?;
            spool.mailbox(&agent.parse()?)?.requeue(*id)?;
        }
    }
    Ok(Ok(None))
}

/// Waits until runs ended; what watches over those that do not in time is asked to (SIGTERM), and
/// waited for once more. Which are left then.
fn wait_for(root: &Root, runs: &[String], patience: Duration) -> Result<Vec<String>> {
    let news = News::arm(root);
    let mut journal = Journal::read(root)?;
    let mut begun = Instant::now();
    let mut asked = false;
    loop {
        journal.catch_up()?;
        let lives = |run: &&String| {
            journal.state().runs.get(run.as_str()).is_some_and(|run| {
                let holder = run.holder.parse::<Holder>();
                run.ended.is_none() && holder.is_ok_and(|holder| holder.life() != Life::Dead)
            })
        };
        let left: Vec<String> = runs.iter().filter(lives).cloned().collect();
        if left.is_empty() {
            return Ok(left);
        }
        if begun.elapsed() >= patience {
            if asked {
                return Ok(left);
            }
            signal(&journal, &left, rustix::process::Signal::TERM);
            (asked, begun) = (true, Instant::now());
        }
        let rest = patience.saturating_sub(begun.elapsed());
        news.wait(rest.clamp(Duration::from_millis(10), Duration::from_millis(250)));
    }
}

fn kill(root: &Root, runs: &[String]) -> Result<()> {
    signal(&Journal::read(root)?, runs, rustix::process::Signal::KILL);
    Ok(())
}

/// Sends a signal to the very processes that watch over these runs.
fn signal(journal: &Journal, runs: &[String], signal: rustix::process::Signal) {
    for run in runs {
        let known = journal.state().runs.get(run);
        let holder = known.and_then(|run| run.holder.parse::<Holder>().ok());
        let Some(holder) = holder.filter(|holder| holder.life() == Life::Alive) else {
            continue;
        };
        let pid = i32::try_from(holder.pid).ok();
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// Runs one of our commands, or git; what it printed.
fn command(root: &Root, argv: &[String]) -> Result<Came> {
    let (name, rest) = argv
        .split_first()
        .map_or(("", argv), |(name, rest)| (name, rest));
    let mut command = ours(name);
    command.args(rest).stdin(Stdio::null());
    if name != "git" {
        command.args(place(root));
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return Ok(Err(format!("{name}: {error}"))),
    };
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(Ok(
            (!said.is_empty()).then(|| (name.to_owned(), lines(&said)))
        ));
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(Err(match why.is_empty() {
        true => format!("{name}: {}", output.status),
        false => why,
    }))
}

/// What a command printed: JSON lines as JSON, others as text.
fn lines(text: &str) -> Value {
    let read = |line: &str| Value::parse(line).unwrap_or_else(|_| Value::from(line));
    Value::Array(text.lines().map(read).collect())
}

/// Starts a process that carries out the plan and outlives us.
fn conduct(root: &Root, agents: &[String]) -> Result<Came> {
    use std::os::unix::process::CommandExt;
    if let Some(holder) = Conductor::look(root) {
        let value = Value::from(u64::from(holder.pid));
        return Ok(Ok(Some(("conductor".to_owned(), value))));
    }
    root.make_dir(&root.runs())?;
    let path = root.runs().join("conductor.log");
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    let log = crate::swarm::files::open_private(&mut options, &path)?;
    let mut command = ours("swarm-ctl");
    command.arg("run").args(place(root));
    for agent in agents {
        command.args(["--agent", agent]);
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Ok(Err(format!("swarm-ctl run: {error}"))),
    };
    for _ in 0..100 {
        if let Some(holder) = Conductor::look(root) {
            let value = Value::from(u64::from(holder.pid));
            return Ok(Ok(Some(("conductor".to_owned(), value))));
        }
        if let Some(status) = child.try_wait()? {
            return Ok(match status.success() {
                true => Ok(None),
                false => Err(format!("swarm-ctl run: {status}; see {}", path.display())),
            });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Err("swarm-ctl run does not begin".to_owned()))
}

/// Claims a task for an agent, runs it, and says what came of it.
fn let_do(root: &Root, agent: &str, task: &str) -> Result<Came> {
    let Some(mut desk) = Desk::open(root)? else {
        return Ok(Err("no plan is in force".to_owned()));
    };
    let able = capabilities(root, &desk, agent)?;
    let wish = Wish {
        agent,
        capabilities: able.as_deref(),
        task: Some(task),
        own: false,
    };
    let config = crate::swarm::Config::read(root)?;
    let length = config.plan.lease.unwrap_or(lease::DEFAULT_LEASE);
    let claim = match desk.next(&wish, length, Some(&Holder::me()))? {
        Ok(claim) => claim,
        Err(waiting) => {
            let why = waiting.first().map(|(_, why)| format!("task {task} {why}"));
            return Ok(Err(why.unwrap_or_else(|| format!("task {task} is done"))));
        }
    };
    let mut child = ours("agent-run")
        .args(["--report", "--agent", agent])
        .args(place(root))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        drop(stdin.write_all(record(&desk, &claim).as_bytes()));
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let outcome = Value::parse(said.trim()).ok();
    if let Some(outcome) = outcome.filter(|_| output.status.success()) {
        return Ok(Ok(Some(("outcome".to_owned(), outcome))));
    }
    let mut journal = Journal::open(root)?;
    if journal.state().task(task).holds(claim.epoch) {
        let (task, epoch) = (task.to_owned(), claim.epoch);
        lease::report(&mut journal, &claim.task, agent, Some(epoch), |_, _| {
            What::Released {
                task,
                epoch,
                why: Some("agent-run ended before it could report".to_owned()),
            }
        })?;
    }
    let why = serde_json::from_str::<serde_json::Value>(&said).ok();
    let why = why.and_then(|outcome| {
        let word = outcome.get("outcome")?.as_str()?;
        Some(format!("{word}: {}", outcome.get("reason")?.as_str()?))
    });
    let err = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(Err(why.unwrap_or(err)))
}
