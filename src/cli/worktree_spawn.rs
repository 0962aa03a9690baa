//! `worktree-spawn`: a worktree, branch and identity for each agent, all or none.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anstyle::{Color, RgbColor, Style};
use anyhow::Context;

use super::args::{ColorWhen, RootArgs};
use super::error::{Failure, say};
use super::{Example, Manual, Out, Result, Status, Tool, input};
use crate::action::json::{Number, Object, Value};
use crate::action::model::{
    DistributionPlan, InstanceStatus, IsolationLevel, KiroInstance, PeacockTheme, ResourceLimits,
    WorktreeInfo,
};
use crate::action::time::Timestamp;
use crate::action::{Fill, Wire, WirePath};
use crate::swarm::{self, Config, Root, root};
use crate::theme::Scheme;
use crate::workspace::list::{self, Facts};
use crate::workspace::plan::Wanted;
use crate::workspace::spawn::{self, Request};
use crate::workspace::{Tree, environment};

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

Ignored files that a tree needs come along by the patterns of `.worktreeinclude` (copied) and of
`include` under `[worktree]` in `swarm.toml` (copied, linked or filled in).",
    input: "\
With `--plan`, one DistributionPlan as JSON, at most 64 MiB; the agents are the members of
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
the base has all of it, also after a squash), `alive` (process ids), `locked`, `path`.",
    exit_status: &[
        (3, "`--list NAME`: nobody of that name; the nearest are shown."),
        (4, "A name, branch or path is taken; nothing was made."),
        (5, "The base is too far behind; nothing was made."),
    ],
    environment: &[("SPORE_ROOT", "The swarm's directory, as `--root`.")],
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
AGENT   COLOUR    BRANCH        AHEAD  BEHIND  DIRTY  SIZE  SEEN  LANDED
kiro-1  red 1     swarm/kiro-1  0      0       0      6 B   [..]  -
kiro-2  orange 2  swarm/kiro-2  0      0       1      6 B   [..]  -
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

    /// Refuse a base that is more than N commits behind its upstream
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

    /// Show how the trees stand instead
    #[arg(long, conflicts_with_all = ["plan", "base", "branch", "setup", "open", "dry_run", "max_behind"])]
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

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        let root = Root::find(&root::Options {
            start: self.root.repo.clone().unwrap_or_default(),
            root: self.root.root.clone(),
        })?;
        if self.list {
            return self.list(&root, out);
        }
        let config = Config::read(&root)?;
        let plan = self.plan.as_deref().map(read_plan).transpose()?;
        let usual = request(&config, self.wanted(&root, &config, plan.as_ref())?);
        let request = Request {
            base: self.base.clone().or(usual.base),
            max_behind: self.max_behind.or(usual.max_behind),
            branch: self.branch.clone().unwrap_or(usual.branch),
            setup: self.setup.clone().or(usual.setup),
            dry_run: self.dry_run,
            ..usual
        };
        let loud = !self.quiet && super::error::stderr_is_terminal();
        let spawned = spawn::spawn(&root, &request, &|what| {
            if loud {
                say(&format!("{what} …\n"));
            }
        })?;
        if let Some((text, _)) = plan.filter(|(text, _)| !self.dry_run && says_tasks(text)) {
            swarm::plan::Plan::adopt(&root, &text, &uuid::Uuid::new_v4().to_string())?;
        }
        for settled in &spawned.settled {
            say(&format!("worktree-spawn: {settled}\n"));
        }
        if !self.quiet {
            say_table(&spawned.trees, self.color);
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
            let names = free_names(root, config, count)?;
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
        if self.names.is_empty() {
            return Err(Failure::usage("nobody is named")
                .hint("worktree-spawn NAME..., -n N or --plan FILE")
                .into());
        }
        let (good, bad): (Vec<_>, Vec<_>) = self
            .names
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

    fn list(&self, root: &Root, out: &mut Out) -> Result {
        let all = Tree::all(root)?;
        let trees = match self.names.is_empty() {
            true => all,
            false => Tree::named(&all, &self.names)?,
        };
        let facts = list::facts(root, &trees)?;
        if self.json {
            for (tree, facts) in trees.iter().zip(&facts) {
                writeln!(out, "{}", record(tree, facts))?;
            }
            return Ok(Status::Done);
        }
        let mut rows = vec![
            [
                "AGENT", "COLOUR", "BRANCH", "AHEAD", "BEHIND", "DIRTY", "SIZE", "SEEN", "LANDED",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        for (tree, facts) in trees.iter().zip(&facts) {
            let (ahead, behind) = match facts.ahead_behind {
                Some((ahead, behind)) => (ahead.to_string(), behind.to_string()),
                None => ("?".to_owned(), "?".to_owned()),
            };
            rows.push(vec![
                tree.identity.agent.to_string(),
                Scheme::of_slot(tree.identity.slot).label(),
                facts
                    .branch
                    .clone()
                    .unwrap_or_else(|| "(detached)".to_owned()),
                ahead,
                behind,
                facts.dirty.to_string(),
                bytes(facts.size),
                ago(facts.seen),
                match (facts.begun, facts.landed) {
                    (false, _) => "-",
                    (true, true) => "yes",
                    (true, false) => "no",
                }
                .to_owned(),
            ]);
        }
        if rows.len() > 1 {
            write!(out, "{}", table(&rows))?;
        }
        Ok(Status::Done)
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
        dry_run: false,
    }
}

/// Names for `count` more: those of the roster first.
fn free_names(root: &Root, config: &Config, count: usize) -> Result<Vec<String>> {
    let there = Tree::all(root)?;
    let taken = |name: &String| {
        there
            .iter()
            .any(|tree| tree.identity.agent.as_str() == name)
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

/// The record of a new instance.
fn instance(root: &Root, tree: &Tree) -> Result<KiroInstance> {
    let identity = &tree.identity;
    let agent = identity.agent.to_string();
    let scheme = Scheme::of_slot(identity.slot);
    let branch = identity.branch.clone().unwrap_or_default();
    let path = tree.path.to_string_lossy().into_owned();
    let repository = root.repository().context("no repository")?;
    let created: Timestamp = identity
        .created_at
        .as_deref()
        .and_then(|time| time.parse().ok())
        .or_else(|| Now.now())
        .context("the clock")?;
    let number = |number: u64| Value::Number(Number::from(number));
    let mut extra = Object::new();
    extra.insert("slot", number(identity.slot.into()));
    extra.insert("epoch", number(identity.epoch));
    extra.insert(
        "base",
        Value::String(identity.base.clone().unwrap_or_default()),
    );
    if let Some(port) = identity.port_base {
        extra.insert("port_base", number(port.into()));
    }
    let environment = tree.git_dir.join("spore/env");
    extra.insert(
        "environment",
        Value::String(environment.to_string_lossy().into_owned()),
    );
    let window = environment::window(root, &agent);
    extra.insert(
        "window",
        Value::String(window.to_string_lossy().into_owned()),
    );
    Ok(KiroInstance {
        communication_endpoint: root.mail().join(&agent).to_string_lossy().into_owned(),
        branch_name: branch.clone(),
        workspace_path: WirePath::new(&path),
        source_repository: repository.home().to_string_lossy().into_owned(),
        resource_allocation: ResourceLimits::default(),
        task_assignments: tree.notes.tasks.clone(),
        isolation_level: IsolationLevel::Workspace,
        peacock_theme: PeacockTheme {
            color_name: scheme.name(),
            primary_color: scheme.main.rgb.to_string(),
            accent_color: scheme.accent().to_string(),
            theme_id: format!("slot-{}", identity.slot),
            extra: Object::new(),
        },
        visual_identifier: scheme.title(&agent),
        status: InstanceStatus::Starting,
        start_time: created,
        last_heartbeat: None,
        worktree_info: Some(WorktreeInfo {
            workspace_path: WirePath::new(&path),
            branch_name: branch,
            worktree_id: tree
                .git_dir
                .file_name()
                .map_or_else(|| agent.clone(), |id| id.to_string_lossy().into_owned()),
            creation_timestamp: created,
            shared_git_dir: WirePath::new(&repository.common_dir.to_string_lossy()),
            is_detached: false,
            extra: Object::new(),
        }),
        process_id: None,
        performance_metrics: Object::new(),
        instance_id: agent,
        extra,
    })
}

/// The record of `--list`.
fn record(tree: &Tree, facts: &Facts) -> serde_json::Value {
    let identity = &tree.identity;
    let seen = facts.seen.map(rfc3339);
    serde_json::json!({
        "v": 1, "type": "worktree", "agent": identity.agent.as_str(), "slot": identity.slot,
        "colour": Scheme::of_slot(identity.slot).name(), "branch": facts.branch,
        "base": tree.notes.base, "ahead": facts.ahead_behind.map(|(ahead, _)| ahead),
        "behind": facts.ahead_behind.map(|(_, behind)| behind), "dirty": facts.dirty,
        "size": facts.size, "seen_at": seen, "landed": facts.landed && facts.begun, "alive": facts.pids,
        "locked": tree.locked(), "path": tree.path.to_string_lossy(),
    })
}

fn rfc3339(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
    Timestamp::from_unix(seconds, 0)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

/// The table for people on standard error.
fn say_table(trees: &[Tree], color: ColorWhen) {
    let rows: Vec<Vec<String>> = trees
        .iter()
        .map(|tree| {
            vec![
                tree.identity.agent.to_string(),
                Scheme::of_slot(tree.identity.slot).label(),
                tree.identity.branch.clone().unwrap_or_default(),
                tree.path.display().to_string(),
            ]
        })
        .collect();
    let text = table(&rows);
    if !super::error::stderr_has_color(color) {
        return say(&text);
    }
    for (line, tree) in text.lines().zip(trees) {
        let scheme = Scheme::of_slot(tree.identity.slot);
        let color = |rgb: crate::theme::Rgb| Color::Rgb(RgbColor(rgb.0, rgb.1, rgb.2));
        let block = |rgb| Style::new().bg_color(Some(color(rgb)));
        let blocks = format!(
            "{main}  {main:#}{side}  {side:#}",
            main = block(scheme.main.rgb),
            side = block(scheme.side.rgb)
        );
        drop(std::io::stderr().write_all(format!("{blocks} {line}\n").as_bytes()));
    }
}

/// Columns with two blanks between them.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |n: usize| {
        let cells = rows.iter().filter_map(|row| row.get(n));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            let filled = cell.chars().count();
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(filled) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A length as people read it.
pub(super) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

/// How long ago.
fn ago(time: Option<SystemTime>) -> String {
    let Some(age) = time.and_then(|time| time.elapsed().ok()) else {
        return "?".to_owned();
    };
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Opens each tree; a command's own output goes to standard error.
fn open_all(root: &Root, trees: &[Tree], how: &str) -> Result {
    for tree in trees {
        let agent = tree.identity.agent.as_str();
        let window = environment::window(root, agent);
        let mut command = opener(how, tree, &window);
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

fn opener(how: &str, tree: &Tree, window: &Path) -> Command {
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
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            command
        }
    }
}
