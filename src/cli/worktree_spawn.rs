//! `worktree-spawn`: a worktree, branch and identity for each agent, all or none.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::Context;

use super::args::{ColorWhen, RootArgs};
use super::error::{Failure, complain, say};
use super::worktree_show::{instance, list, say_table, synced};
use super::{Example, Manual, Out, Result, Status, Tool, input};
use crate::action::model::DistributionPlan;
use crate::action::time::Timestamp;
use crate::action::{Fill, Wire};
use crate::swarm::config::{Guard, Isolation};
use crate::swarm::{self, Config, Root, root};
use crate::theme::Scheme;
use crate::workspace::plan::Wanted;
use crate::workspace::spawn::{self, Request, Spawned};
use crate::workspace::sync::{self, How};
use crate::workspace::{Tree, adopt, environment, seal, settle};

const MANUAL: Manual = Manual {
    description: "\
`worktree-spawn` gives each named agent a place of its own: a worktree of the repository under
`<repository>.swarm/wt/`, a branch, an identity, a mailbox, a range of ports, a directory for
temporary files and a colour. It makes all of them or none. If it is killed, the next command that
changes a worktree takes back what was half made.

The branches begin at `--base`, otherwise where the main checkout stands. One checkout is read, the
others are filled from it; the first `git status` in each is clean and fast. A repository with
something unusual (sparse checkout, submodules, another hash or ref format) is left to git itself:
slower, the same result.

The main checkout, branches and directories that are there are never touched. A name that is taken
is an error, and nothing is made.

An agent's git keeps to its own refs (`--guard`): `deny`, the default, refuses what would move the base,
the branch of another agent, or the stash that all worktrees share; `warn` only says so. Hooks of the
repository run as before. It is against accidents: `SPORE_GUARD=off` sets it aside. `--seal-main` saves
how the main checkout stands, so that `--list` tells when it was edited; where bubblewrap is, `--setup`
and `--open` commands find it read-only.

`--isolation clone` makes clones with refs of their own instead of linked worktrees, for agents whose
sandbox lets them write nothing but their own directory. `--adopt` takes in worktrees that are there:
each gets an identity and stays where it is.

`--sync` brings trees up to where their base stands now. What would conflict, or would touch a file that
is not committed, is left as it is and said; everything else is saved under `refs/spore/salvage/` first.

Ignored files that a tree needs come along by the patterns of `.worktreeinclude` (copied) and of
`include` under `[worktree]` in `swarm.toml` (copied, linked or filled in).",
    input: "\
The agents are named, or come on standard input, a line each: a name, or a JSON record with `agent` or
`instance_id`. With `--plan`, one DistributionPlan as JSON, at most 64 MiB; the agents are the members of
`instance_assignments`, in that order, with their tasks. A plan of `swarm-assign` is put in force, as
`swarm-assign adopt` does, once all trees stand.",
    output: "\
A line of JSON for each agent, a KiroInstance: `instance_id` is the agent's name, `worktree_info` its
tree, `peacock_theme` its colours. Our additions stand after its members: `slot`, `epoch`, `base`,
`port_base`, `environment` (a file to read with `.` in a shell) and `window` (a `.code-workspace`
file). A short table for people goes to standard error.

With `--list` a table, or with `--json` a record for each worktree: `agent`, `slot`, `colour`,
`branch`, `base`, `ahead`, `behind` (null when the base is gone), `dirty` (files), `size` (bytes of
tracked files), `seen_at` (when git last wrote something for it), `landed` (something was committed, and
the base has all of it, also after a squash), `alive` (process ids), `locked`, `path`,
`isolation`, `guard`.

With `--sync` a line for each tree, with tabs between the columns: agent, `synced`, `up-to-date`,
`conflict`, `dirty` or `blocked`, and where it was saved, which files are in the way, or why. With
`--json` a record: `agent`, `state`, `base`, `from`, `to`, `saved`, `paths`, `why`.",
    exit_status: &[
        (1, "`--sync`: a tree was left as it is."),
        (3, "`--list`, `--sync`, `--adopt`: nobody of that name; the nearest are shown."),
        (4, "A name, branch or path is taken; nothing was made."),
        (5, "The base is too far behind; nothing was made."),
    ],
    environment: &[
        ("SPORE_GUARD", "`off` or `warn`: what the guard does in this one git command."),
        ("SPORE_ROOT", "The swarm's directory, as `--root`."),
    ],
    files: &[
        ("<repository>.swarm/wt/AGENT", "The worktree."),
        (
            "<repository>.swarm/wt/AGENT.code-workspace",
            "Opens it in VS Code, Kiro or Cursor in its colours; Peacock leaves them alone.",
        ),
        (
            "<repository>.swarm/colours.jsonl",
            "Who wore which colour when, a line each.",
        ),
        (
            ".git/worktrees/AGENT/spore/",
            "Identity and variables (`env`) of the agent.",
        ),
        (
            ".git/spore/hooks/",
            "What git starts in guarded trees; it hands on to the repository's own hooks.",
        ),
        ("refs/spore/seal", "The main checkout when it was sealed."),
        (
            ".git/spore/spawn/",
            "What is being made; empty when nothing is under way.",
        ),
    ],
    examples: &[
        Example {
            says: "Two agents get a place; what they need to start is in the printed records",
            session: r#"
$ git init -q -b main app && cd app && echo hello > README && git add README && git commit -qm first
$ worktree-spawn kiro-1 kiro-2 | cut -c1-60
kiro-1  red 1     swarm/kiro-1  [..]/work/app.swarm/wt/kiro-1
kiro-2  orange 2  swarm/kiro-2  [..]/work/app.swarm/wt/kiro-2
{"instance_id":"kiro-1","branch_name":"swarm/kiro-1","worksp
{"instance_id":"kiro-2","branch_name":"swarm/kiro-2","worksp
$ git -C ../app.swarm/wt/kiro-1 status --short --branch
## swarm/kiro-1
$ ( . .git/worktrees/kiro-1/spore/env; echo "$SPORE_AGENT $PORT_BASE $COMPOSE_PROJECT_NAME" )
kiro-1 20020 app-kiro-1
"#,
        },
        Example {
            says: "How the trees stand, as a table and as records",
            session: r#"
$ echo more > ../app.swarm/wt/kiro-2/notes
$ worktree-spawn --list
AGENT   COLOUR    BRANCH        BASE  AHEAD  BEHIND  DIRTY  SIZE  SEEN  LANDED
kiro-1  red 1     swarm/kiro-1  main  0      0       0      6 B   [..]  -
kiro-2  orange 2  swarm/kiro-2  main  0      0       1      6 B   [..]  -
$ worktree-spawn --list --json kiro-2 | cut -c1-70
{"v":1,"type":"worktree","agent":"kiro-2","slot":2,"colour":"orange","
"#,
        },
        Example {
            says: "From a plan, with set-up in each tree, only shown",
            session: r#"
$ echo '{"total_tasks":1,"instance_assignments":{"claude":["2.1"]},"estimated_completion_time":"PT1H","strategy_used":"round_robin"}' > plan.json
$ worktree-spawn --plan plan.json --branch 'task/{task}' --base main --setup 'make deps' --dry-run | cut -c1-52
claude  yellow 3  task/2.1  [..]app.swarm/wt/claude
{"instance_id":"claude","branch_name":"task/2.1","wo
"#,
        },
        Example {
            says: "As many as wanted, each opened with a command; a taken name makes nothing",
            session: r#"
$ worktree-spawn -n 2 --max-behind 0 --quiet --open 'echo "$SPORE_AGENT has $PORT_BASE"' > /dev/null
kiro-3 has 20060
kiro-4 has 20080
$ worktree-spawn kiro-5 kiro-1 || echo "status $?"
worktree-spawn: agent "kiro-1" has a worktree already
branch "swarm/kiro-1" clashes with branch "swarm/kiro-1"
hint: worktree-spawn --list
status 4
"#,
        },
        Example {
            says: "An agent's git moves its own branch, and nothing of others",
            session: r#"
$ worktree-spawn --guard deny --seal-main guarded > /dev/null 2>&1
$ cd ../app.swarm/wt/guarded && git commit -q --allow-empty -m work && git update-ref refs/heads/swarm/kiro-1 HEAD || echo "status $?"; cd ../../../app
spore guard: guarded may not move swarm/kiro-1, the branch of kiro-1
hint: SPORE_GUARD=off git ... where a person wants it
fatal: ref updates aborted by hook
status 128
$ echo edit >> README
$ worktree-spawn --list guarded > /dev/null
worktree-spawn: the main checkout was edited since it was sealed: README
hint: git diff refs/spore/seal shows it, worktree-spawn --seal-main seals it as it is now
$ git checkout -q README
"#,
        },
        Example {
            says: "Main went on: trees follow it, unless that would cost something",
            session: r#"
$ git commit -q --allow-empty -m second
$ worktree-spawn --sync rebase --max-behind 1 kiro-1
kiro-1	up-to-date	
$ worktree-spawn --sync kiro-1 kiro-2
kiro-1	synced	refs/spore/salvage/kiro-1/1
kiro-2	synced	refs/spore/salvage/kiro-2/1
"#,
        },
        Example {
            says: "A worktree that was there, and a clone",
            session: r#"
$ git worktree add -q ../app.feature
$ worktree-spawn --adopt app.feature 2>&1 > /dev/null | cut -c1-28
feature  blue 6  app.feature
$ worktree-spawn --isolation clone -q apart > /dev/null && git -C ../app.swarm/wt/apart branch
* swarm/apart
"#,
        },
        Example {
            says: "From elsewhere, with another place for the swarm, without colour",
            session: r#"
$ cd .. && git clone -q app other
$ worktree-spawn -C other --root swarm-of-other --color never solo > /dev/null
solo  red 1  swarm/solo  [..]/swarm-of-other/wt/solo
"#,
        },
    ],
    see_also: &["worktree-reap(1)", "swarm-assign(1)", "git-worktree(1)"],
};

/// Make a worktree, branch and identity for each agent, all or none
#[derive(Debug, clap::Parser)]
#[command(name = "worktree-spawn", version)]
#[command(
    override_usage = "worktree-spawn [OPTIONS] NAME...\n       worktree-spawn [OPTIONS] -n N\n       worktree-spawn [OPTIONS] --plan FILE\n       worktree-spawn --list [--json] [NAME...]"
)]
pub struct Args {
    /// The agents
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Make N: the agents of swarm.toml that have no tree yet, then kiro-1, kiro-2, …
    #[arg(short = 'n', long, value_name = "N", conflicts_with_all = ["names", "plan", "list"])]
    count: Option<usize>,

    /// Make one for each agent of this DistributionPlan (`-`: standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "list"])]
    plan: Option<String>,

    /// Begin the branches at REF
    #[arg(long, value_name = "REF")]
    base: Option<String>,

    /// Refuse a base that is more than N commits behind its upstream; with --sync, leave trees
    /// that are at most N behind
    #[arg(long, value_name = "N")]
    max_behind: Option<u32>,

    /// Name the branches so: {agent}, {slot} and {task} are filled in
    #[arg(long, value_name = "PATTERN")]
    branch: Option<String>,

    /// Run CMD in each tree; it must end with 0, otherwise everything is taken back
    #[arg(long, value_name = "CMD")]
    setup: Option<String>,

    /// Open each tree: code, kiro, cursor, tmux, or a command to run there
    #[arg(long, value_name = "HOW")]
    open: Option<String>,

    /// A linked worktree, or a clone with refs of its own
    #[arg(long, value_name = "KIND")]
    isolation: Option<IsolationArg>,

    /// What becomes of an agent's git that moves main, refs of others or the stash
    #[arg(long, value_name = "MODE")]
    guard: Option<GuardArg>,

    /// Seal the main checkout: edits in it are shown by --list, and prevented where bubblewrap is
    #[arg(long)]
    seal_main: bool,

    /// Take in worktrees that other tools made: by path, directory, branch, or AGENT= before it
    #[arg(long, conflicts_with_all = ["count", "plan", "list", "branch", "setup", "isolation", "max_behind"])]
    adopt: bool,

    /// Bring trees up to their base instead, by merge (the default) or rebase
    #[arg(
        long, value_name = "HOW", num_args = 0..=1, default_missing_value = "merge",
        conflicts_with_all = ["count", "plan", "list", "adopt", "base", "branch", "setup", "open", "isolation", "guard", "seal_main", "dry_run"]
    )]
    sync: Option<String>,

    /// Show how the trees stand instead
    #[arg(long, conflicts_with_all = ["plan", "base", "branch", "setup", "open", "dry_run", "max_behind", "isolation", "guard", "seal_main"])]
    list: bool,

    /// With --list, print JSON records (spawning always does)
    #[arg(long)]
    json: bool,

    /// Decide and print, but make nothing
    #[arg(long)]
    dry_run: bool,

    /// Print no table on standard error
    #[arg(short, long)]
    quiet: bool,

    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorWhen,

    #[command(flatten)]
    root: RootArgs,
}

/// The kinds of places.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum IsolationArg {
    /// `git worktree`: refs and objects are shared.
    Worktree,
    /// A clone: for agents that may write nothing but their own directory.
    Clone,
}

/// What the guard does.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum GuardArg {
    /// It tells.
    Warn,
    /// It refuses.
    Deny,
    /// Nothing.
    Off,
}

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        let root = Root::find(&root::Options {
            start: self.root.repo.clone().unwrap_or_default(),
            root: self.root.root.clone(),
        })?;
        if self.list {
            let trees = input::trees(&root, &self.names)?;
            return list(&root, &trees, self.json, out);
        }
        let config = Config::read(&root)?;
        if let Some(how) = &self.sync {
            return self.sync(&root, &config, how, out);
        }
        let nobody = self.names.is_empty() && self.count.is_none() && self.plan.is_none();
        if self.seal_main && nobody && !self.adopt {
            if !self.dry_run {
                seal::put(&root)?;
                self.say_seal(&root);
            }
            return Ok(Status::Done);
        }
        let plan = self.plan.as_deref().map(read_plan).transpose()?;
        let wanted = match self.adopt {
            true => Vec::new(),
            false => self.wanted(&root, &config, plan.as_ref())?,
        };
        let usual = request(&config, wanted);
        let request = Request {
            base: self.base.clone().or(usual.base),
            max_behind: self.max_behind.or(usual.max_behind),
            branch: self.branch.clone().unwrap_or(usual.branch),
            setup: self.setup.clone().or(usual.setup),
            isolation: match self.isolation {
                Some(IsolationArg::Worktree) => Isolation::Worktree,
                Some(IsolationArg::Clone) => Isolation::Clone,
                None => usual.isolation,
            },
            guard: match self.guard {
                Some(GuardArg::Warn) => Guard::Warn,
                Some(GuardArg::Deny) => Guard::Deny,
                Some(GuardArg::Off) => Guard::Off,
                None => usual.guard,
            },
            seal: self.seal_main,
            dry_run: self.dry_run,
            ..usual
        };
        let spawned = match self.adopt {
            true => {
                let here = self.root.repo.clone().unwrap_or_default();
                let adopted = adopt::adopt(&root, &here, &self.names, &request)?;
                if self.seal_main && !self.dry_run {
                    seal::put(&root)?;
                }
                adopted
            }
            false => self.spawn(&root, &request)?,
        };
        if let Some((text, _)) = plan.filter(|(text, _)| !self.dry_run && says_tasks(text)) {
            swarm::plan::Plan::adopt(&root, &text, &uuid::Uuid::new_v4().to_string())?;
        }
        for settled in &spawned.settled {
            say(&format!("worktree-spawn: {settled}\n"));
        }
        if !self.quiet {
            say_table(&spawned.trees, self.color);
        }
        if self.seal_main && !self.dry_run {
            self.say_seal(&root);
        }
        for tree in &spawned.trees {
            writeln!(out, "{}", instance(&root, tree)?.to_json())?;
        }
        out.hand_on()?;
        match self.open.as_ref().or(config.worktree.open.as_ref()) {
            Some(how) if !self.dry_run => open_all(&root, &spawned.trees, how),
            _ => Ok(Status::Done),
        }
    }
}

impl Args {
    fn spawn(&self, root: &Root, request: &Request) -> Result<Spawned> {
        let loud = !self.quiet && super::error::stderr_is_terminal();
        let spawned = spawn::spawn(root, request, &|what| {
            if loud {
                say(&format!("{what} …\n"));
            }
        });
        Ok(spawned?)
    }

    fn say_seal(&self, root: &Root) {
        if self.quiet || !seal::is_sealed(root) {
            return;
        }
        say(match seal::can_prevent() {
            true => "the main checkout is sealed: what is started here finds it read-only\n",
            false => {
                "the main checkout is sealed: --list shows edits; without bubblewrap they are not prevented\n"
            }
        });
    }

    fn sync(&self, root: &Root, config: &Config, how: &str, out: &mut Out) -> Result {
        let (how, mut names) = match how {
            "merge" => (How::Merge, Vec::new()),
            "rebase" => (How::Rebase, Vec::new()),
            // `--sync NAME`: the word belongs to the names.
            name => (How::Merge, vec![name.to_owned()]),
        };
        names.extend(self.names.iter().cloned());
        for settled in settle::settle(root)? {
            say(&format!("worktree-spawn: {settled}\n"));
        }
        let allowed = self.max_behind.unwrap_or(0);
        let mut status = Status::Done;
        for tree in input::trees(root, &names)? {
            let one = match sync::sync(root, &tree, how, allowed, &config.worktree.keep_ignored) {
                Ok(outcome) => synced(&tree, &outcome, self.json, out)?,
                Err(error) => complain("worktree-spawn", &error.into()),
            };
            status = status.and(one);
            out.hand_on()?;
        }
        Ok(status)
    }

    /// Who is to get a tree.
    fn wanted(
        &self,
        root: &Root,
        config: &Config,
        plan: Option<&(String, DistributionPlan)>,
    ) -> Result<Vec<Wanted>> {
        let one = |name: &str, tasks: Vec<String>| -> Result<Wanted> {
            let agent = name.parse()?;
            Ok(Wanted { agent, tasks })
        };
        if let Some(count) = self.count {
            let pattern = self
                .branch
                .clone()
                .unwrap_or(request(config, Vec::new()).branch);
            let names = free_names(root, config, &pattern, count)?;
            return names.iter().map(|name| one(name, Vec::new())).collect();
        }
        if let Some((_, plan)) = plan {
            return plan
                .instance_assignments
                .0
                .iter()
                .map(|(name, tasks)| one(name, tasks.clone()))
                .collect();
        }
        let names = match self.names.is_empty() {
            true => input::agents("worktree-spawn NAME..., -n N or --plan FILE")?,
            false => self.names.clone(),
        };
        let (good, bad): (Vec<_>, Vec<_>) = names
            .iter()
            .map(|name| one(name, Vec::new()))
            .partition(Result::is_ok);
        if bad.is_empty() {
            return good.into_iter().collect();
        }
        let said: Vec<String> = bad
            .into_iter()
            .filter_map(Result::err)
            .map(|error| error.to_string())
            .collect();
        Err(Failure::usage(said.join("\n")).into())
    }
}

/// The text of a plan that gives somebody something to do, and what it says of agents.
fn read_plan(file: &str) -> Result<(String, DistributionPlan)> {
    let reader = match file {
        "-" => input::stdin::<Args>()?,
        file => input::open(file)?,
    };
    let bytes = input::whole(reader, file, 64 << 20)?;
    let text = String::from_utf8(bytes).with_context(|| format!("{file:?}"))?;
    let plan = DistributionPlan::read(&text, &mut Now)
        .map_err(|error| Failure::usage(format!("{file:?} is no plan: {error}")))?;
    if plan.instance_assignments.0.is_empty() {
        return Err(Failure::usage(format!("{file:?} gives nobody anything to do")).into());
    }
    Ok((text, plan))
}

/// Whether a plan says enough of its tasks to be put in force: what they wait for and hold.
fn says_tasks(text: &str) -> bool {
    serde_json::from_str::<swarm::plan::Plan>(text).is_ok_and(|plan| !plan.tasks.is_empty())
}

/// How `swarm.toml` wants trees made.
pub(super) fn request(config: &Config, wanted: Vec<Wanted>) -> Request {
    let worktree = &config.worktree;
    Request {
        wanted,
        base: worktree.base.clone(),
        max_behind: worktree.max_behind,
        branch: worktree
            .branch
            .clone()
            .unwrap_or_else(|| "swarm/{agent}".to_owned()),
        ports: config.ports,
        include: worktree.include.clone(),
        setup: worktree.setup.clone(),
        isolation: worktree.isolation.unwrap_or(Isolation::Worktree),
        guard: worktree.guard.unwrap_or(Guard::Deny),
        seal: false,
        dry_run: false,
    }
}

/// Names for `count` more: those of the roster first. One whose branch an earlier agent left, with work
/// that has not landed, is passed over.
fn free_names(root: &Root, config: &Config, pattern: &str, count: usize) -> Result<Vec<String>> {
    let there = Tree::all(root)?;
    let branches = spawn::branches(root)?;
    let taken = |name: &String| {
        let branch = pattern.replace("{agent}", name);
        let has_tree = |tree: &Tree| tree.identity.agent.as_str() == name;
        there.iter().any(has_tree) || branches.contains(&branch)
    };
    let roster = config.agents.keys().map(ToString::to_string);
    let more = (1..).map(|n| format!("kiro-{n}"));
    let more = more.filter(|name| !config.agents.keys().any(|known| known.as_str() == name));
    Ok(roster
        .chain(more)
        .filter(|name| !taken(name))
        .take(count)
        .collect())
}

/// What a line leaves out and the original would make.
pub(super) struct Now;

impl Fill for Now {
    fn now(&mut self) -> Option<Timestamp> {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()?;
        Timestamp::from_unix(i64::try_from(since.as_secs()).ok()?, since.subsec_micros())
    }

    fn uuid(&mut self) -> Option<String> {
        Some(uuid::Uuid::new_v4().to_string())
    }
}

/// Opens each tree; a command's own output goes to standard error.
fn open_all(root: &Root, trees: &[Tree], how: &str) -> Result {
    for tree in trees {
        let agent = tree.identity.agent.as_str();
        let window = environment::window(root, agent);
        let mut command = opener(root, how, tree, &window);
        if super::error::stderr_is_terminal() {
            let title = Scheme::of_slot(tree.identity.slot).title_sequence(agent);
            drop(std::io::stderr().write_all(title.as_bytes()));
        }
        let variables = environment::variables(root, &tree.identity);
        let status = command
            .current_dir(&tree.path)
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                let code = status
                    .code()
                    .and_then(|code| u8::try_from(code).ok())
                    .unwrap_or(125);
                return Err(Failure::new(
                    Status::Child(code),
                    format!("{how:?} for {agent:?}: {status}"),
                )
                .into());
            }
            Err(error) => {
                return Err(
                    Failure::new(Status::Child(127), format!("{how:?}: {error}"))
                        .hint(format!("the trees are ready; open {}", window.display()))
                        .into(),
                );
            }
        }
    }
    Ok(Status::Done)
}

fn opener(root: &Root, how: &str, tree: &Tree, window: &Path) -> Command {
    match how {
        "code" | "kiro" | "cursor" => {
            let mut command = Command::new(how);
            command.arg("-n").arg(window);
            command
        }
        "tmux" => {
            let scheme = Scheme::of_slot(tree.identity.slot);
            let name = format!("{} {}", scheme.label(), tree.identity.agent);
            let style = format!(
                "bg={},fg={}",
                scheme.main.rgb,
                crate::theme::foreground(scheme.main.rgb)
            );
            let mut command = Command::new("tmux");
            command
                .args(["new-window", "-d", "-n", &name, "-c"])
                .arg(&tree.path);
            command.arg(";").args([
                "set-option",
                "-w",
                "-t",
                &name,
                "window-status-style",
                &style,
            ]);
            command
        }
        line => {
            let mut command = seal::command(root, "sh");
            command.args(["-c", line]);
            command
        }
    }
}
