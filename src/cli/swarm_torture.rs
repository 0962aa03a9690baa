//! `swarm-torture`: agents that go wrong in every way, and what is lost by it.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::args::duration;
use super::{Example, Manual, Out, Result, Status, Tool};
use crate::run::torture::{self, Options};
use crate::swarm::config::{Guard, Isolation, Ports};
use crate::swarm::root::{self, Root};
use crate::workspace::plan::Wanted;
use crate::workspace::spawn::{self, Request};
use crate::workspace::{Git, Tree};

const MANUAL: Manual = Manual {
    description: "\
`swarm-torture` makes a repository with worktrees in a fresh directory, gives fake agents a plan, and
drives it to its end while they lie, hang, die, are limited, leave processes behind and work
uncommitted, and while their `agent-run`s are killed. Then it counts what was lost.

Which way each try of each task goes wrong follows from the seed alone; the moments of the kills do
too, but what they hit depends on the machine.",
    input: "None.",
    output: "\
A line of JSON: `seed`, `tasks`, `runs`, `kills`, `outcomes` (runs by outcome), `bytes_written`,
`wall_ms`; and what must be 0: `tasks_lost`, `done_twice`, `bytes_lost` (files that an agent wrote and
that are neither in a commit nor in a worktree), `processes_left`, `runs_open`.",
    exit_status: &[(1, "Something was lost; the directory is kept and named.")],
    environment: &[("TMPDIR", "Where the directory is made.")],
    files: &[],
    examples: &[Example {
        says: "Three agents, four tasks, every fourth agent-run killed",
        session: r#"
$ swarm-torture --seed 3 --agents 3 --tasks 4 --kills 25 --style codex --timeout 2m
{"v":1,"type":"torture","seed":3,"tasks":4,[..]"tasks_lost":0,"done_twice":0,"bytes_lost":0,"processes_left":0,"runs_open":0}
"#,
    }],
    see_also: &["fake-agent(1)", "agent-run(1)"],
};

/// Let agents go wrong in every way, and count what is lost by it
#[derive(Debug, clap::Parser)]
#[command(name = "swarm-torture", version)]
pub struct Args {
    /// What everything follows from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// How many agents work at once
    #[arg(long, value_name = "N", default_value_t = 4)]
    agents: u32,

    /// How many tasks
    #[arg(long, value_name = "N", default_value_t = 20)]
    tasks: u32,

    /// How many runs in a hundred lose their agent-run to a kill
    #[arg(long, value_name = "PERCENT", default_value_t = 10)]
    kills: u64,

    /// Talk like this command, as fake-agent
    #[arg(long, value_name = "NAME", default_value = "claude")]
    style: String,

    /// How long all may take
    #[arg(long, value_name = "DURATION", default_value = "9m", value_parser = duration)]
    timeout: Duration,
}

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        let place = std::env::temp_dir().join(format!("swarm-torture-{}", std::process::id()));
        std::fs::create_dir_all(&place).with_context(|| format!("{place:?}"))?;
        let programs = std::env::current_exe()?;
        let programs = programs.parent().unwrap_or(Path::new(".")).to_owned();
        let (root, trees) = self.prepare(&place, &programs)?;
        let score = torture::drive(
            &root,
            &trees,
            &Options {
                seed: self.seed,
                tasks: self.tasks,
                kills: self.kills,
                command: "fake".to_owned(),
                programs,
                timeout: self.timeout,
            },
        )?;
        let fields = serde_json::to_string(&score)?;
        writeln!(
            out,
            "{{\"v\":1,\"type\":\"torture\",{}",
            fields.trim_start_matches('{')
        )?;
        if score.is_clean() {
            std::fs::remove_dir_all(&place).with_context(|| format!("{place:?}"))?;
            return Ok(Status::Done);
        }
        super::error::say(&format!("swarm-torture: see {}\n", place.display()));
        Ok(Status::No)
    }
}

impl Args {
    /// A repository with a worktree for each agent.
    fn prepare(&self, place: &Path, programs: &Path) -> Result<(Root, Vec<Tree>)> {
        let app = place.join("app");
        std::fs::create_dir_all(&app)?;
        let git = Git::at(&app);
        git.bytes(&["init", "-q", "-b", "main"])?;
        let fake = programs.join("fake-agent");
        let config = format!(
            "[commands.fake]\nrun = [{:?}, \"--seed\", \"{}\", \"--style\", {:?}]\nprompt = \"stdin\"\nstream = {:?}\n",
            fake.to_string_lossy(),
            self.seed,
            self.style,
            self.style
        );
        std::fs::write(app.join("swarm.toml"), config)?;
        git.bytes(&["config", "user.name", "swarm-torture"])?;
        git.bytes(&["config", "user.email", "swarm-torture@localhost"])?;
        git.bytes(&["config", "gc.auto", "0"])?;
        git.bytes(&["add", "-A"])?;
        git.bytes(&["commit", "-q", "-m", "first"])?;
        let root = Root::find(&root::Options {
            start: app,
            root: None,
        })?;
        let wanted: Result<Vec<Wanted>> = (1..=self.agents)
            .map(|n| {
                Ok(Wanted {
                    agent: format!("a{n}").parse()?,
                    tasks: Vec::new(),
                })
            })
            .collect();
        let request = Request {
            wanted: wanted?,
            base: None,
            max_behind: None,
            branch: "swarm/{agent}".to_owned(),
            ports: Ports::default(),
            include: Vec::new(),
            setup: None,
            isolation: Isolation::Worktree,
            guard: Guard::Off,
            seal: false,
            dry_run: false,
        };
        let spawned = spawn::spawn(&root, &request, &|_| ())?;
        Ok((root, spawned.trees))
    }
}
