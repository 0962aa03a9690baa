//! `swarm.toml`: the one configuration file, at the top of the repository, committed, optional.
//!
//! Every table and key may be missing. A key that is not known is an error with its line and the
//! nearest key that is. Names are snake_case; lengths of time are texts (`"45m"`). Commands read
//! it only when they need something from it; a send to an existing mailbox does not.
//!
//! ```toml
//! name = "app"                          # shown in titles; otherwise the repository's name
//!
//! [agents.kiro-1]                       # the roster; the order of slots is that of names
//! capabilities = ["rust", "ios"]        # what tasks may need
//! command = "claude"                    # which agent command works here (see [commands])
//! slots = 1                             # tasks at once
//! speed = 1.0                           # 2.0 is twice as fast
//! colour = "teal"                       # otherwise by slot
//!
//! [groups]
//! backend = ["kiro-1", "kiro-2"]        # spore-send --group backend
//!
//! [commands.my-agent]                   # agent command lines beyond the built-in ones
//! run = ["my-agent", "--yes", "{prompt}"]
//! prompt = "argument"                   # or "stdin", "file"
//! stream = "plain"                      # whose events it prints: claude, codex, kiro, gemini, opencode, aider
//! writable = ["~/.my-agent"]            # directories it must be able to write
//! env = { MY_AGENT_QUIET = "1" }
//! harvest = true                        # what it leaves uncommitted is committed on its behalf
//!
//! [worktree]
//! branch = "swarm/{agent}"
//! base = "main"
//! max_behind = 50
//! isolation = "worktree"                # or "clone"
//! setup = "make deps"                   # must end with 0 before a tree counts as ready
//! guard = "warn"                        # or "deny", "off"
//! include = [{ pattern = ".env", how = "copy" }]   # or link, reflink, template, skip
//! keep_ignored = ["*.db"]               # ignored files that are work: saved before a tree goes
//! open = "code"                         # or kiro, cursor, tmux, or a command line
//!
//! [ports]
//! base = 20000                          # slot n gets base + n * size and the following
//! size = 20
//!
//! [plan]
//! order = "strict"                      # or phase, infer
//! lease = "30m"                         # how long a claim holds without a sign of life
//! retries = 2                           # tries of one task before a person is asked
//! ignore_overlap = ["Cargo.lock"]       # files that many tasks may touch at once
//!
//! [pools.build]                         # what only so many tasks may use at once
//! size = 1
//! tasks = ["*checkpoint*"]              # patterns of keys and titles
//!
//! [run]
//! max_wall = "2h"                       # for one task
//! max_mem_mb = 4096
//! max_turns = 200
//! max_usd = 5.0
//! stall = "15m"                         # time without a sign of life; "0" for none
//! jobs = 4                              # agents at once on this machine
//!
//! [merge]
//! gate = "make test"                    # run on the union before main moves
//! target = "main"
//! mode = "merge"                        # or squash, rebase
//! policy = "quality_gated"              # or immediate, batch, manual
//! order = "oldest"                      # or least-conflict, given
//! gate_timeout = "30m"                  # a gate that takes longer has failed
//! protected = ["release/*"]             # branches that only a pull request may move
//!
//! [bus]
//! url = "redis://127.0.0.1:6379/0"      # otherwise files
//! auto = false                          # move by the measured traffic
//! may_wait_ms = 500                     # and when 1 message of 100 waits longer for its reader
//!
//! [grammar]                             # more verbs and nouns, as in protocol-parse(1)
//! file = "grammar.toml"                 # or the tables themselves: [grammar.verbs.brew] …
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{Error, Root, duration, files};
use crate::id::{self, AgentName};

/// How long `swarm.toml` may be, in bytes.
const LIMIT: u64 = 4 * 1024 * 1024;

/// What `swarm.toml` says. Everything is optional; the default is an empty file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The swarm's name for titles.
    pub name: Option<String>,
    /// The roster.
    #[serde(deserialize_with = "by_name")]
    pub agents: BTreeMap<AgentName, Agent>,
    /// Names for several agents at once.
    #[serde(deserialize_with = "groups")]
    pub groups: BTreeMap<AgentName, Vec<AgentName>>,
    /// Agent command lines beyond the built-in ones.
    pub commands: BTreeMap<String, AgentCommand>,
    /// How worktrees are made and kept.
    pub worktree: Worktree,
    /// Which ports an agent gets.
    pub ports: Ports,
    /// How plans are made and tasks are given out.
    pub plan: Plan,
    /// What only so many tasks may use at once.
    pub pools: BTreeMap<String, Pool>,
    /// Limits of one agent run.
    pub run: Run,
    /// How finished work comes home.
    pub merge: Merge,
    /// The message bus.
    pub bus: Bus,
    /// More verbs and nouns: a table as the grammar reads it, or `file = "…"`.
    pub grammar: toml::Table,
}

/// One agent of the roster.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// What it can do that a task may need.
    pub capabilities: Vec<String>,
    /// Which agent command works here.
    pub command: Option<String>,
    /// Tasks at once; 1 if not said.
    pub slots: Option<u32>,
    /// How fast it is; 1.0 if not said.
    pub speed: Option<f64>,
    /// The word for its colour.
    pub colour: Option<String>,
}

/// How an agent command is started.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentCommand {
    /// Program and arguments; `{prompt}` and `{file}` stand for the prompt and the file it is in.
    pub run: Vec<String>,
    /// How the prompt is passed.
    pub prompt: PromptBy,
    /// Whose event stream it prints: the name of a built-in command, or `plain`.
    pub stream: Option<String>,
    /// Directories that it must be able to write besides its worktree.
    pub writable: Vec<PathBuf>,
    /// Variables for it.
    pub env: BTreeMap<String, String>,
    /// Whether what it leaves uncommitted is committed on its behalf.
    pub harvest: Option<bool>,
}

/// How a prompt reaches an agent command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptBy {
    /// As an argument.
    #[default]
    Argument,
    /// On standard input.
    Stdin,
    /// In a file, whose path is an argument.
    File,
}

/// How worktrees are made and kept.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Worktree {
    /// The pattern of branch names: `{agent}`, `{slot}`, `{task}` stand for what they say.
    pub branch: Option<String>,
    /// The revision that branches begin at.
    pub base: Option<String>,
    /// How many commits a tree may be behind its base.
    pub max_behind: Option<u32>,
    /// A linked worktree, or a clone of its own.
    pub isolation: Option<Isolation>,
    /// A command line that must end with 0 before a tree counts as ready.
    pub setup: Option<String>,
    /// What becomes of an agent that moves refs of others.
    pub guard: Option<Guard>,
    /// Ignored files that a tree needs.
    pub include: Vec<Include>,
    /// Patterns of ignored files that are work.
    pub keep_ignored: Vec<String>,
    /// What opens a tree for a person.
    pub open: Option<String>,
}

/// How far a tree is kept apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// `git worktree`: refs and objects are shared.
    Worktree,
    /// A clone: nothing is shared but objects on disk.
    Clone,
}

/// What becomes of an agent that moves refs of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// It is told.
    Warn,
    /// It is refused.
    Deny,
    /// Nothing.
    Off,
}

/// One file, or several by a pattern, that a new tree gets.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Include {
    /// A pattern as in `.gitignore`.
    pub pattern: String,
    /// In which way; a copy if not said.
    #[serde(default)]
    pub how: IncludeHow,
}

/// In which way a new tree gets a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncludeHow {
    /// Its own copy.
    #[default]
    Copy,
    /// A symbolic link to the main one.
    Link,
    /// A copy that shares its blocks where the file system can.
    Reflink,
    /// A copy in which `{agent}`, `{slot}`, `{port_base}` are filled in.
    Template,
    /// Not at all, though `.worktreeinclude` names it.
    Skip,
}

/// Which ports an agent gets: slot `n` has `base + n * size` and the following.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ports {
    /// Where they begin.
    pub base: u16,
    /// How many each agent has.
    pub size: u16,
}

impl Default for Ports {
    fn default() -> Ports {
        Ports {
            base: 20_000,
            size: 20,
        }
    }
}

/// How plans are made and tasks are given out.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// What order means where nothing is declared: strict, phase or infer.
    pub order: Option<String>,
    /// How long a claim holds without a sign of life.
    #[serde(deserialize_with = "duration::optional")]
    pub lease: Option<Duration>,
    /// Tries of one task before a person is asked.
    pub retries: Option<u32>,
    /// Files that many tasks may touch at once.
    pub ignore_overlap: Vec<String>,
}

/// What only so many tasks may use at once.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// How many.
    pub size: u32,
    /// Patterns of the keys and titles of the tasks that use it.
    #[serde(default)]
    pub tasks: Vec<String>,
}

/// Limits of one agent run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Time for one task.
    #[serde(deserialize_with = "duration::optional")]
    pub max_wall: Option<Duration>,
    /// Memory of all its processes together, in MiB.
    pub max_mem_mb: Option<u64>,
    /// Turns of the agent.
    pub max_turns: Option<u32>,
    /// Money for one task.
    pub max_usd: Option<f64>,
    /// Time without a sign of life.
    #[serde(deserialize_with = "duration::optional")]
    pub stall: Option<Duration>,
    /// Agents at once on this machine.
    pub jobs: Option<u32>,
}

/// How finished work comes home.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Merge {
    /// A command line that must end with 0 on the union before the target moves.
    pub gate: Option<String>,
    /// The branch that work lands on.
    pub target: Option<String>,
    /// How branches become commits of the target.
    pub mode: Option<MergeMode>,
    /// When work lands.
    pub policy: Option<MergePolicy>,
    /// The order in which branches go in.
    pub order: Option<MergeOrder>,
    /// How long a gate may take.
    #[serde(deserialize_with = "duration::optional")]
    pub gate_timeout: Option<Duration>,
    /// Patterns of branches that are not moved; `*` stands for anything.
    pub protected: Vec<String>,
}

/// The order in which branches go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergeOrder {
    /// The branch that waits longest first.
    #[default]
    Oldest,
    /// The branch that keeps the fewest others from landing first.
    LeastConflict,
    /// As they were named.
    Given,
}

/// How branches become commits of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergeMode {
    /// A merge commit for each.
    Merge,
    /// One commit for each.
    Squash,
    /// Their commits on top.
    Rebase,
}

/// When work lands (the original's `IntegrationPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergePolicy {
    /// Each branch as soon as it is finished.
    Immediate,
    /// Several together.
    Batch,
    /// When a person says so.
    Manual,
    /// When the gate passed on the union.
    QualityGated,
}

/// The message bus.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bus {
    /// Where it is; files if not said.
    pub url: Option<String>,
    /// Whether the swarm moves by its measured traffic.
    pub auto: bool,
    /// The longest that messages may wait to be read, in milliseconds, before `auto` moves it.
    pub may_wait_ms: Option<u64>,
}

impl Config {
    /// What `swarm.toml` beside the sources says; the default if there is none.
    ///
    /// # Errors
    /// [`Error::Config`] with line, column and, for a key that is not known, the nearest one.
    pub fn read(root: &Root) -> Result<Config, Error> {
        match root.config_file() {
            Some(file) => Config::read_file(&file),
            None => Ok(Config::default()),
        }
    }

    /// What the file says; the default if it is not there.
    pub fn read_file(path: &Path) -> Result<Config, Error> {
        match files::read_if_there(path, LIMIT).map_err(Error::at(path))? {
            Some(bytes) => {
                let text = String::from_utf8(bytes).map_err(|error| Error::Broken {
                    path: path.to_owned(),
                    why: format!("is not UTF-8: {error}"),
                })?;
                Config::parse(&text, path)
            }
            None => Ok(Config::default()),
        }
    }

    /// Reads the text of a `swarm.toml`; `path` is for the error.
    pub fn parse(text: &str, path: &Path) -> Result<Config, Error> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            let (message, nearest) = say(error.message());
            Error::Config {
                path: path.to_owned(),
                line,
                column,
                message,
                nearest,
            }
        })?;
        Ok(config)
    }
}

/// Line and column, from 1, of a place in `text`.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[start..].chars().count() + 1,
    )
}

/// serde's sentence about an unknown word, in ours, with the nearest word that is known.
fn say(message: &str) -> (String, Option<String>) {
    let message = message.trim_end();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let what = if message.starts_with("unknown field") {
        "key"
    } else if message.starts_with("unknown variant") {
        "value"
    } else {
        return (message.to_owned(), None);
    };
    let wrong = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    // A dash for an underscore is the likeliest slip.
    let snake = wrong.replace('-', "_");
    let nearest = id::nearest(&snake, known.iter().copied());
    match nearest.first() {
        Some(nearest) => (
            format!("unknown {what} {wrong:?}, did you mean {nearest:?}?"),
            Some((*nearest).to_owned()),
        ),
        None => (
            format!("unknown {what} {wrong:?}, known are {}", known.join(", ")),
            None,
        ),
    }
}

/// A table whose keys are names.
fn by_name<'de, D, V>(from: D) -> Result<BTreeMap<AgentName, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    BTreeMap::<Name, V>::deserialize(from).map(|map| {
        map.into_iter()
            .map(|(name, value)| (name.0, value))
            .collect()
    })
}

/// Groups: names, and names in each.
fn groups<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<AgentName, Vec<AgentName>>, D::Error> {
    let map = BTreeMap::<Name, Vec<Name>>::deserialize(from)?;
    let plain = |names: Vec<Name>| names.into_iter().map(|name| name.0).collect();
    Ok(map
        .into_iter()
        .map(|(name, of)| (name.0, plain(of)))
        .collect())
}

/// An agent's name where the file must hold one.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Name(AgentName);

impl TryFrom<String> for Name {
    type Error = id::IdError;

    fn try_from(text: String) -> Result<Name, id::IdError> {
        text.parse().map(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Error> {
        Config::parse(text, Path::new("swarm.toml"))
    }

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_example_of_the_page_is_a_file_of_this_form() {
        let page = include_str!("config.rs");
        let example: String = page
            .lines()
            .skip_while(|line| *line != "//! ```toml")
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//!").to_owned() + "\n")
            .collect();
        let config = parse(&example).unwrap();
        let kiro: AgentName = "kiro-1".parse().unwrap();
        assert_eq!(config.agents[&kiro].capabilities, ["rust", "ios"]);
        assert_eq!(config.plan.lease, Some(Duration::from_secs(1800)));
        assert_eq!(config.pools["build"].size, 1);
        assert_eq!(config.merge.policy, Some(MergePolicy::QualityGated));
    }

    #[test]
    fn an_empty_file_and_none_are_the_same() {
        assert_eq!(parse("").unwrap(), Config::default());
        assert_eq!(
            Config::read_file(Path::new("/nowhere/swarm.toml")).unwrap(),
            Config::default()
        );
        assert_eq!(Config::default().ports.base, 20_000);
    }

    #[test]
    fn a_key_that_is_not_known_comes_back_with_its_place_and_the_nearest() {
        assert_eq!(
            refused("name = \"app\"\n\n[agents.kiro-1]\ncapabilites = []\n"),
            "swarm.toml:4:1: unknown key \"capabilites\", did you mean \"capabilities\"?"
        );
        assert_eq!(
            refused("[worktree]\nmax-behind = 3\n"),
            "swarm.toml:2:1: unknown key \"max-behind\", did you mean \"max_behind\"?"
        );
        assert_eq!(
            refused("[merge]\nmode = \"sqash\"\n"),
            "swarm.toml:2:8: unknown value \"sqash\", did you mean \"squash\"?"
        );
        let far = refused("[bus]\nzebra = 1\n");
        assert_eq!(
            far,
            "swarm.toml:2:1: unknown key \"zebra\", known are url, auto, may_wait_ms"
        );
    }

    #[test]
    fn wrong_values_say_where() {
        for (text, place, why) in [
            ("[agents.Kiro]\n", "swarm.toml:1:", "only a-z"),
            (
                "[groups]\na = [\"kiro-1\", \"b c\"]\n",
                "swarm.toml:2:",
                "only a-z",
            ),
            (
                "[plan]\nlease = \"soon\"\n",
                "swarm.toml:2:",
                "no length of time",
            ),
            ("[ports]\nbase = 70000\n", "swarm.toml:2:", "70000"),
            ("name = \"a\"\nname = \"b\"\n", "swarm.toml:2:", "duplicate"),
            ("[run\n", "swarm.toml:1:", "table"),
        ] {
            let said = refused(text);
            assert!(said.starts_with(place) && said.contains(why), "{said}");
        }
    }
}
