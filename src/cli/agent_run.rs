//! `agent-run`: one agent command on one task, judged from evidence.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;

use super::args::{RootArgs, duration};
use super::error::{Failure, say};
use super::swarm_assign::claim;
use super::{Example, Manual, Out, Result, Status, Tool, input};
use crate::action::Wire;
use crate::event::{Then, What};
use crate::run::agents::Line;
use crate::run::policy::Policy;
use crate::run::prompt::Given;
use crate::run::supervise::{self, Request, Signals};
use crate::run::watch::Limits;
use crate::run::{Outcome, record};
use crate::swarm::{Config, Error, Identity, Journal, Root, Roster, lease};
use crate::workspace::Tree;

/// The longest task that is read, in bytes.
const TASK_LIMIT: u64 = 16 << 20;
/// How long silence may last, if nobody says otherwise.
const STALL: Duration = Duration::from_secs(15 * 60);

const MANUAL: Manual = Manual {
    description: "\
`agent-run` runs the command of an agent on one task, in the agent's worktree, and says in one word
and one exit status what came of it. It is the middle of the loop that a swarm is:

    swarm-assign next --agent a1 | agent-run --report

The command gets a session of its own, its standard input is the prompt, and it writes its output
straight into `runs/RUN/`, where it is kept whole. It finds in its environment who it is and on what
it works. A prompt is built from the task: what is to be done, where that is specified, when it is
done, which files it is about, and what the last one who tried it left behind.

The outcome is judged from the exit, from records of the command's event stream, from commits and
the difference they make, from what is not committed, from processes and from silence; never from
words in an answer. A command that says \"done\" and leaves the tree as it was is `hollow`; one that
was refused a tool and therefore did nothing is `denied`, whatever its exit status.

When it ends, and when `agent-run` is told to stop (SIGTERM, SIGINT, SIGHUP), every process that
it started is ended, also one that left its session: first asked, after `--grace` killed. A second
signal kills at once. If `agent-run` itself is killed, the command goes on until the next
`agent-run` of that agent, or `agent-run --settle`, ends it and writes down what it left.

A `pause` in the file `hold` lets a run go on; one that says `freeze` lets it stand still until the line
is gone, and the time counts for no limit.

A sign of life (bytes, processor time, processes that come and go) is noted in the journal, and the
claim of the task holds on from it; a process that only waits gives none.

Which command: what stands after `--`; else `--command`; else `command` of the agent in `swarm.toml`;
else the one that the agent's name begins with (`claude-2`). Known are `claude`, `codex`, `gemini`,
`kiro`, `opencode`, `aider`, and those of `swarm.toml`.",
    input: "\
One task, at most 16 MiB: the JSON line that `swarm-assign next` prints, of which `id`, `description`,
`requirements`, `acceptance_criteria`, `touches`, `source`, `assigned_instance`, `epoch` and
`correlation_id` count; or plain words, for a run that no plan asked for. With nothing to read there is
nothing to do: status 1.

In a template `{task}`, `{title}`, `{description}`, `{source}`, `{requirements}`, `{acceptance}`,
`{files}`, `{handover}`, `{agent}`, `{branch}` and `{prompt}` are filled in.",
    output: "\
One line of JSON, `outcome.json` of the run: `run`, `outcome` (one of `ok`, `hollow`, `dirty`,
`needs-human`, `denied`, `limited`, `crashed`, `stalled`, `over-budget`, `timeout`, `stopped`), `exit`,
`reason`, `agent`, `task`, `epoch`, `command`, `correlation_id`, `retry_at` (when a limit ends, where that
is known), `child_exit` or `child_signal`, `base` and `head` (commits), `commits`, `files`, `insertions`,
`deletions`, `uncommitted` (files), `harvested` (a commit), `confined` (`cgroup` where it has a memory
limit and the machine allows that, else `session`), `left_behind` (processes that were ended),
`turns`, `tokens`, `cost_usd` (as far as the command tells), `began_at`, `ended_at`, `wall_ms`, `cpu_ms`,
`peak_mem_kib`, `output_bytes`, `said` (the last words). With `--result` the same as an ActionResult.",
    exit_status: &[
        (0, "ok: the work is committed, or an answer was enough."),
        (1, "Nothing to do: no task on standard input."),
        (3, "Nobody of that name has a worktree; no command of that name."),
        (4, "Too late: the claim of the task is over."),
        (5, "The agent is not the one whose worktree one stands in, or whose task it is."),
        (10, "hollow: it ended well, and the tree is as before."),
        (11, "dirty: it ended well and left work uncommitted."),
        (12, "needs-human: it asks something, or is not logged in."),
        (13, "denied: it was not allowed to do what it had to."),
        (14, "crashed: it failed, or was killed from outside."),
        (15, "stalled: no sign of life for `--stall`."),
        (16, "over-budget: more memory, turns or money than allowed."),
        (75, "limited: a usage limit; or nothing may begin now: another run is under way in the worktree, or somebody paused it."),
        (124, "timeout: longer than `--max-wall`."),
        (125, "The command could not be started."),
        (126, "It is not executable."),
        (127, "It was not found."),
        (143, "stopped: 128 and the number of the signal that we were told to stop by."),
    ],
    environment: &[
        ("SPORE_ROOT", "The swarm's directory, as `--root`."),
        ("SPORE_AGENT", "The agent, if neither `--agent` nor the task says."),
        (
            "SPORE_ROOT SPORE_AGENT SPORE_TASK SPORE_EPOCH SPORE_RUN",
            "Given to the command.",
        ),
        (
            "PORT_BASE COMPOSE_PROJECT_NAME TMPDIR",
            "Given to the command: ports, a name and a directory of its own.",
        ),
    ],
    files: &[
        (
            "REPOSITORY.swarm/runs/RUN/",
            "`task.json`, `prompt`, `run.json`, `transcript.out`, `transcript.err`, `outcome.json`, `handover.md`.",
        ),
        (
            "REPOSITORY.swarm/hold",
            "Who is paused or stopped; looked at before the command is started, and every second while it runs.",
        ),
        (
            "REPOSITORY.swarm/journal/events.jsonl",
            "`run-began`, `run-alive`, `run-ended`.",
        ),
        (
            "swarm.toml",
            "`[commands.NAME]`, `[agents.NAME] command`, and the limits in `[run]`.",
        ),
    ],
    examples: &[
        Example {
            says: "A plan, an agent with a place of its own, and one task done by a command that follows a script",
            session: r#"
$ git init -q -b main app && cd app && git config user.name t && git config user.email t@example.org && git commit -q --allow-empty -m first
$ worktree-spawn a1 > /dev/null 2>&1
$ echo '{"plan_id":"p1","agents":[{"name":"a1"}],"tasks":[{"id":"1","title":"Parse","agent":"a1"},{"id":"2","title":"Print","agent":"a1"}]}' | swarm-assign adopt
p1
$ swarm-assign next --agent a1 | agent-run --report -- fake-agent --script 'work 2; commit; done' | cut -c1-58
agent-run: 1 is done
{"v":1,"type":"outcome","run":"a1-1","outcome":"ok","exit"
$ cat ../app.swarm/runs/a1-1/handover.md
Run a1-1 of a1 ended ok: 1 commit, 2 files changed.
Its commits on swarm/a1: git log [..]
...
"#,
        },
        Example {
            says: "A lie is found out, and the status says so",
            session: r#"
$ swarm-assign next --agent a1 > task.json
$ agent-run --agent a1 --task task.json -- fake-agent --script 'lie' > outcome.json || echo "status $?"
status 10
$ grep -o '"outcome":"[a-z]*"' outcome.json
"outcome":"hollow"
"#,
        },
        Example {
            says: "Work that was left uncommitted is committed on behalf of the agent",
            session: r#"
$ agent-run --harvest --task task.json -- fake-agent --script 'half' | grep -o '"reason":"[^"]*"'
"reason":"what it left was committed: 1 file changed"
$ git -C ../app.swarm/wt/a1 log -1 --format='%s (%(trailers:separator=%x2C ))'
2: Print (Agent: a1, Task: 2, Run: a1-3)
"#,
        },
        Example {
            says: "At a usage limit this agent waits and another may have the task at once",
            session: r#"
$ swarm-assign retry 1 && swarm-assign next --agent a1 --task 1 | agent-run --report --on limited=park,reroute --on hollow=retry:1,human -- fake-agent --script 'limit 2h' | grep -o '"outcome":"[a-z]*"'
agent-run: 1 is given back
"outcome":"limited"
$ cat ../app.swarm/hold
{"v":1,"type":"hold","how":"pause","agent":"a1",[..]"until":"[..]Z","by":"a1-4",[..]
$ rm ../app.swarm/hold
"#,
        },
        Example {
            says: "Limits: time, memory, turns, money, silence; every process is ended",
            session: r#"
$ echo 'wait for ever' | agent-run --agent a1 --max-wall 300ms --grace 200ms -- fake-agent --script 'deaf; leave 2; hang' | grep -o '"outcome":"[a-z]*"'
"outcome":"timeout"
$ echo 'be silent' | agent-run --agent a1 --stall 300ms --beat 1s --max-mem 1G --max-turns 50 --max-usd 2 -- fake-agent --script 'hang' || echo "status $?"
{"v":1,"type":"outcome",[..]"outcome":"stalled","exit":15,"reason":"no sign of life for 0.3 s",[..]
status 15
"#,
        },
        Example {
            says: "A question needs no change of the tree; the answer as an ActionResult",
            session: r#"
$ echo 'Which license is it?' | agent-run --agent a1 --answer --result -- echo MIT
{"success":true,"message":"ok: it answered",[..]
"#,
        },
        Example {
            says: "What would be run, with an own prompt, and nothing is",
            session: r#"
$ echo 'Do: {title}' > template
$ agent-run --agent a1 --task task.json --command codex --template template --dry-run
{"v":1,"type":"run","agent":"a1","task":"2","command":"codex","argv":["codex","exec","--json","--sandbox","workspace-write",[..]
$ agent-run --agent a1 --task task.json --command codx -n || echo "status $?"
agent-run: no agent command "codx"
hint: did you mean "codex"?
status 3
"#,
        },
        Example {
            says: "After a kill: end what goes on unwatched, and write down what it left",
            session: r#"
$ agent-run --settle
$ cd .. && agent-run -C app --root app.swarm --settle --json
"#,
        },
    ],
    see_also: &[
        "swarm-assign(1)",
        "worktree-spawn(1)",
        "swarm-ctl(1)",
        "fake-agent(1)",
    ],
};

/// Run an agent's command on a task and judge what came of it
#[derive(Debug, clap::Parser)]
#[command(name = "agent-run", version)]
#[command(
    override_usage = "agent-run [OPTIONS] [-- COMMAND...] < TASK\n       agent-run --settle [OPTIONS]"
)]
pub struct Args {
    /// The command and its arguments; {prompt} and {file} are filled in, else the prompt is on its
    /// standard input
    #[arg(value_name = "COMMAND", last = true)]
    run: Vec<String>,

    /// The agent (otherwise the task's, else whose worktree this is, else SPORE_AGENT)
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,

    /// The task; `-` is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    task: String,

    /// Run this command of the table
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    command: Option<String>,

    /// Ask what this file says, instead of the usual prompt
    #[arg(long, value_name = "FILE")]
    template: Option<String>,

    /// End it after that long (otherwise `max_wall` of swarm.toml)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_wall: Option<Duration>,

    /// End it when its processes together use more memory, such as 4G (otherwise `max_mem_mb`)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_mem: Option<u64>,

    /// End it after that many turns, if its command tells them (otherwise `max_turns`)
    #[arg(long, value_name = "N")]
    max_turns: Option<u64>,

    /// End it when it has cost more US dollars, likewise (otherwise `max_usd`)
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    max_usd: Option<f64>,

    /// End it after that long without a sign of life; 0 for never (otherwise `stall`, else 15m)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    stall: Option<Duration>,

    /// How long processes are given to end by themselves
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5s")]
    grace: Duration,

    /// How often signs of life are noted
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "20s")]
    beat: Duration,

    /// Commit what it leaves uncommitted on its behalf
    #[arg(long)]
    harvest: bool,

    /// An answer is enough: the tree need not change
    #[arg(long)]
    answer: bool,

    /// Say in the journal what follows for the task: done, failed, or given back
    #[arg(long)]
    report: bool,

    /// What follows an outcome for the task with --report, instead of the usual: retry:N, human, park
    /// (until the limit ends), reroute (another agent at once), kill; the first that applies
    #[arg(long, value_name = "OUTCOME=STEPS", requires = "report")]
    on: Vec<Policy>,

    /// Print an ActionResult
    #[arg(long)]
    result: bool,

    /// Print JSON, as without it
    #[arg(long)]
    json: bool,

    /// Print what would be run, and run nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// End what runs whose agent-run was killed left behind, and print what came of them
    #[arg(long, conflicts_with_all = ["run", "command", "template", "dry_run", "report", "harvest"])]
    settle: bool,

    #[command(flatten)]
    root: RootArgs,
}

/// A size in bytes as people write it, in KiB.
fn size(text: &str) -> std::result::Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write 512M, 4G");
    let bare = text.trim_end_matches(['B', 'b']).trim_end_matches('i');
    let (number, scale) = match bare.chars().last() {
        Some('K' | 'k') => (&bare[..bare.len() - 1], 1.0),
        Some('M' | 'm') => (&bare[..bare.len() - 1], 1024.0),
        Some('G' | 'g') => (&bare[..bare.len() - 1], 1024.0 * 1024.0),
        Some('T' | 't') => (&bare[..bare.len() - 1], 1024.0 * 1024.0 * 1024.0),
        _ => (bare, 1.0 / 1024.0),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let kib = (number * scale).ceil();
    match kib.is_finite() && kib >= 1.0 {
        true => Ok(kib as u64),
        false => Err(wrong()),
    }
}

fn amount(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text
        .trim_start_matches('$')
        .parse()
        .map_err(|_| format!("{text:?} is no amount of money: write 2.50"))?;
    match number.is_finite() && number >= 0.0 {
        true => Ok(number),
        false => Err(format!("{text:?} is no amount of money: write 2.50")),
    }
}

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        let root = claim::root(self.root.clone())?;
        if self.settle {
            return self.settle(&root, out);
        }
        let reader = match self.task.as_str() {
            "-" => input::stdin::<Args>()?,
            file => input::open(file)?,
        };
        let raw = input::whole(reader, &self.task, TASK_LIMIT)?;
        let text = std::str::from_utf8(&raw).with_context(|| format!("{:?}", self.task))?;
        if text.trim().is_empty() {
            return Ok(Status::No);
        }
        let task = Given::read(text)
            .map_err(|why| Failure::usage(format!("{:?} is no task: {why}", self.task)))?;
        let config = Config::read(&root)?;
        let tree = self.tree(&root, &config, &task)?;
        let request = self.request(&config, &tree, task, &raw)?;
        if self.dry_run {
            writeln!(out, "{}", planned(&request, &tree))?;
            return Ok(Status::Done);
        }
        let mut signals = Signals::listen().context("signals")?;
        let finished = supervise::run(&root, &tree, &request, &mut signals)?;
        for settled in &finished.settled {
            say(&format!(
                "agent-run: settled {}: {}\n",
                settled.run, settled.reason
            ));
        }
        if let Some(what) = &finished.reported {
            say(&format!("agent-run: {}\n", follows(what)));
        }
        self.print(out, &finished.outcome)?;
        Ok(Status::Child(finished.outcome.exit))
    }
}

impl Args {
    fn print(&self, out: &mut Out, outcome: &Outcome) -> Result<()> {
        match self.result {
            true => writeln!(out, "{}", outcome.to_result().to_json())?,
            false => writeln!(out, "{}", outcome.line())?,
        }
        Ok(())
    }

    /// The worktree of the agent that is meant.
    fn tree(&self, root: &Root, config: &Config, task: &Given) -> Result<Tree> {
        let here = match root.repository() {
            Some(repository) => Identity::read(&repository.git_dir)?,
            None => None,
        };
        let environment = std::env::var("SPORE_AGENT").ok();
        let sources = [
            (self.agent.clone(), "--agent"),
            (task.assigned_instance.clone(), "the task"),
            (
                here.map(|identity| identity.agent.to_string()),
                "the worktree you stand in",
            ),
        ];
        let named: Vec<(String, &str)> = sources
            .into_iter()
            .filter_map(|(name, by)| Some((name?, by)))
            .collect();
        if let [(is, is_by), rest @ ..] = named.as_slice()
            && let Some((says, says_by)) = rest.iter().find(|(says, _)| says != is)
        {
            return Err(Error::Contradiction {
                is: is.parse()?,
                is_by: (*is_by).to_owned(),
                says: says.parse()?,
                says_by: (*says_by).to_owned(),
            }
            .into());
        }
        let name = named.into_iter().map(|(name, _)| name).next();
        let Some(name) = name.or(environment.filter(|name| !name.is_empty())) else {
            return Err(Failure::usage("nobody says for which agent")
                .hint("say --agent NAME, or set SPORE_AGENT")
                .into());
        };
        let all = Tree::all(root)?;
        if let Some(tree) = all.iter().find(|tree| tree.identity.agent.as_str() == name) {
            return Ok(tree.clone());
        }
        // A known agent without a worktree needs one; an unknown name is a slip.
        Roster::read(root, config)?.agent(&name)?;
        Err(
            Failure::new(Status::Unknown, format!("agent {name:?} has no worktree"))
                .hint(format!("worktree-spawn {name}"))
                .into(),
        )
    }

    fn line(&self, config: &Config, agent: &str) -> Result<Line> {
        if !self.run.is_empty() {
            return Ok(Line::plain(self.run.clone()));
        }
        if let Some(name) = &self.command {
            return Ok(Line::named(name, config).map_err(crate::run::Error::from)?);
        }
        let line = Line::of_agent(agent, config).map_err(crate::run::Error::from)?;
        line.ok_or_else(|| {
            Failure::usage(format!("nobody says which command {agent:?} is"))
                .hint("say --command NAME, or -- COMMAND...")
                .hint(format!(
                    "or in swarm.toml: [agents.{agent}] command = \"claude\""
                ))
                .into()
        })
    }

    fn request(&self, config: &Config, tree: &Tree, task: Given, raw: &[u8]) -> Result<Request> {
        let limits = &config.run;
        let silence = self.stall.or(limits.stall).unwrap_or(STALL);
        let template = match &self.template {
            Some(file) => {
                let bytes = input::whole(input::open(file)?, file, TASK_LIMIT)?;
                Some(String::from_utf8(bytes).with_context(|| format!("{file:?}"))?)
            }
            None => None,
        };
        Ok(Request {
            line: self.line(config, tree.identity.agent.as_str())?,
            task,
            raw: raw.to_vec(),
            template,
            limits: Limits {
                wall: self.max_wall.or(limits.max_wall),
                silence: Some(silence).filter(|silence| !silence.is_zero()),
                memory_kib: self.max_mem.or(limits.max_mem_mb.map(|mib| mib * 1024)),
                turns: self.max_turns.or(limits.max_turns.map(u64::from)),
                usd: self.max_usd.or(limits.max_usd),
            },
            grace: self.grace,
            beat: self.beat,
            lease: config.plan.lease.unwrap_or(lease::DEFAULT_LEASE),
            harvest: self.harvest,
            wants_change: !self.answer,
            report: self.report.then(|| config.plan.retries.unwrap_or(2)),
            policy: self.on.iter().cloned().fold(Policy::default(), Policy::and),
        })
    }

    /// Settles what killed runs left, of every agent.
    fn settle(&self, root: &Root, out: &mut Out) -> Result {
        let mut journal = Journal::read(root)?;
        let trees = Tree::all(root)?;
        for (run, known) in record::lost(&journal) {
            let tree = trees
                .iter()
                .find(|tree| tree.identity.agent.as_str() == known.agent);
            let lock = match tree {
                Some(tree) => record::lock(tree)?,
                None => None,
            };
            if tree.is_some() && lock.is_none() {
                // A new run of that agent is at it.
                continue;
            }
            let settled = record::settle(root, &mut journal, &run, &known, tree, self.grace)?;
            if let Some(outcome) = settled {
                self.print(out, &outcome)?;
            }
        }
        Ok(Status::Done)
    }
}

/// What would be run, as a record.
fn planned(request: &Request, tree: &Tree) -> String {
    serde_json::json!({
        "v": 1, "type": "run", "agent": tree.identity.agent.as_str(),
        "task": request.task.id, "command": request.line.name, "argv": request.line.run,
        "harvest": request.harvest || request.line.harvest,
        "worktree": tree.path.to_string_lossy(),
    })
    .to_string()
}

/// What follows for the task, in words.
fn follows(what: &What) -> String {
    match what {
        What::Done { task, .. } => format!("{task} is done"),
        What::Released { task, .. } => format!("{task} is given back"),
        What::Failed {
            task,
            then,
            retry_at,
            ..
        } => match (then, retry_at) {
            (Then::Retry, _) => format!("{task} is tried again"),
            (Then::Human, _) => format!("{task} waits for a person"),
            (Then::Later, at) => {
                format!("{task} not before {}", at.as_deref().unwrap_or("later"))
            }
        },
        other => other.name().to_owned(),
    }
}
