//! The table of agent command lines: how each is started without a person, how the prompt reaches
//! it, what it must be able to write, and in which form it tells what it does.
//!
//! | name | started as | prompt | stream |
//! |---|---|---|---|
//! | `claude` | `claude -p --output-format stream-json --verbose …` | stdin | `claude` |
//! | `codex` | `codex exec --json --sandbox workspace-write … -` | stdin | `codex` |
//! | `gemini` | `gemini --output-format stream-json …` | stdin | `gemini` |
//! | `opencode` | `opencode run --format json …` | stdin | `opencode` |
//! | `kiro` | `kiro-cli chat --no-interactive …` | stdin | `kiro` |
//! | `aider` | `aider --yes-always --message-file FILE …` | file | `aider` |
//!
//! `swarm.toml` adds rows and replaces these (`[commands.NAME]`). In arguments `{prompt}`, `{file}`
//! (the file that holds it), `{worktree}`, `{git_dir}` (the git directory that all worktrees share),
//! `{run_dir}`, `{max_turns}` and `{max_usd}` are filled in; an argument with a limit that is not set
//! is left out together with the flag before it. `{writable}` and the flag before it stand once for
//! each directory that the command must be able to write: the swarm's, those of `swarm.toml`, and for
//! one that runs in a sandbox of its own the git directory too.
//!
//! The built-in lines let an agent edit its tree and commit, and leave the rest to the permissions
//! that its own configuration gives. A sandbox may still keep the worktree's git directory from being
//! written (openai/codex#23661); such a row has `harvest`, and what the agent leaves is committed on
//! its behalf.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::id;
use crate::swarm::Config;
use crate::swarm::config::PromptBy;

/// In which form a command tells what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Words for people.
    Plain,
    /// Claude Code's `stream-json`.
    Claude,
    /// `codex exec --json`.
    Codex,
    /// Gemini CLI's `stream-json`.
    Gemini,
    /// `opencode run --format json`.
    Opencode,
    /// Kiro CLI's words.
    Kiro,
    /// aider's words, with a line of figures after each turn.
    Aider,
}

impl Stream {
    /// All of them, with the names that they have in `swarm.toml`.
    pub const ALL: [(&'static str, Stream); 7] = [
        ("plain", Stream::Plain),
        ("claude", Stream::Claude),
        ("codex", Stream::Codex),
        ("gemini", Stream::Gemini),
        ("opencode", Stream::Opencode),
        ("kiro", Stream::Kiro),
        ("aider", Stream::Aider),
    ];

    /// Whether it is records, of which the last says how the command ended.
    pub fn is_records(self) -> bool {
        !matches!(self, Stream::Plain | Stream::Kiro | Stream::Aider)
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Stream> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, stream)| *stream)
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub run: Vec<String>,
    /// How the prompt is passed.
    pub prompt: PromptBy,
    /// In which form it tells what it does.
    pub stream: Stream,
    /// Directories that it must be able to write besides its worktree.
    pub writable: Vec<PathBuf>,
    /// Variables for it.
    pub env: BTreeMap<String, String>,
    /// Variables that it must not inherit.
    pub without: &'static [&'static str],
    /// Whether what it leaves is committed on its behalf.
    pub harvest: bool,
    /// Beginnings of file names at the top of the tree that it litters, which are no work.
    pub litter: &'static [&'static str],
}

/// A built-in row.
struct Row {
    name: &'static str,
    run: &'static [&'static str],
    prompt: PromptBy,
    stream: Stream,
    env: &'static [(&'static str, &'static str)],
    without: &'static [&'static str],
    harvest: bool,
    litter: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        name: "claude",
        run: &[
            "claude",
            "-p",
            "--output-format",
            "stream-json",
            "--verbose",
            "--permission-mode",
            "acceptEdits",
            "--allowedTools",
            "Bash(git add:*),Bash(git commit:*),Bash(git status:*),Bash(git diff:*),Bash(git log:*)",
            "--add-dir",
            "{writable}",
            "--max-turns",
            "{max_turns}",
            "--max-budget-usd",
            "{max_usd}",
        ],
        prompt: PromptBy::Stdin,
        stream: Stream::Claude,
        env: &[],
        // A session inside of another one is refused.
        without: &["CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT"],
        harvest: false,
        litter: &[],
    },
    Row {
        name: "codex",
        run: &[
            "codex",
            "exec",
            "--json",
            "--sandbox",
            "workspace-write",
            "--add-dir",
            "{writable}",
            "-",
        ],
        prompt: PromptBy::Stdin,
        stream: Stream::Codex,
        env: &[],
        without: &[],
        harvest: true,
        litter: &[],
    },
    Row {
        name: "gemini",
        run: &[
            "gemini",
            "--output-format",
            "stream-json",
            "--approval-mode",
            "auto_edit",
            "--include-directories",
            "{writable}",
        ],
        prompt: PromptBy::Stdin,
        stream: Stream::Gemini,
        // A new worktree is in nobody's list of trusted folders.
        env: &[("GEMINI_CLI_TRUST_WORKSPACE", "true")],
        without: &[],
        harvest: true,
        litter: &[],
    },
    Row {
        name: "kiro",
        run: &["kiro-cli", "chat", "--no-interactive", "--trust-all-tools"],
        prompt: PromptBy::Stdin,
        stream: Stream::Kiro,
        env: &[],
        without: &[],
        harvest: false,
        litter: &[],
    },
    Row {
        name: "opencode",
        run: &["opencode", "run", "--format", "json"],
        prompt: PromptBy::Stdin,
        stream: Stream::Opencode,
        env: &[],
        without: &[],
        harvest: false,
        litter: &[],
    },
    Row {
        name: "aider",
        run: &[
            "aider",
            "--yes-always",
            "--no-pretty",
            "--no-stream",
            "--no-check-update",
            "--no-gitignore",
            "--message-file",
            "{file}",
        ],
        prompt: PromptBy::File,
        stream: Stream::Aider,
        env: &[],
        without: &[],
        harvest: false,
        litter: &[".aider"],
    },
];

/// Why there is no such row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// No command of that name.
    #[error("no agent command {name:?}")]
    Command {
        /// The name.
        name: String,
        /// The nearest known ones.
        nearest: Vec<String>,
    },
    /// No event stream of that name.
    #[error("swarm.toml: commands.{command}.stream: nobody prints {name:?}")]
    Stream {
        /// The command.
        command: String,
        /// The name.
        name: String,
        /// The nearest known ones.
        nearest: Vec<String>,
    },
    /// A row without a program.
    #[error("swarm.toml: commands.{0}.run: say program and arguments")]
    Empty(String),
}

impl Line {
    /// A plain command: the prompt is on its standard input, or where `{prompt}` or `{file}` stand.
    pub fn plain(run: Vec<String>) -> Line {
        let mentions = |what: &str| run.iter().any(|argument| argument.contains(what));
        let prompt = match (mentions("{prompt}"), mentions("{file}")) {
            (true, _) => PromptBy::Argument,
            (_, true) => PromptBy::File,
            _ => PromptBy::Stdin,
        };
        let name = run.first().map(String::as_str).unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or(name).to_owned();
        Line {
            name,
            run,
            prompt,
            stream: Stream::Plain,
            writable: Vec::new(),
            env: BTreeMap::new(),
            without: &[],
            harvest: false,
            litter: &[],
        }
    }

    /// The row of that name: of `swarm.toml`, else a built-in one.
    ///
    /// # Errors
    /// [`Unknown`] with the nearest names.
    pub fn named(name: &str, config: &Config) -> Result<Line, Unknown> {
        let built_in = ROWS.iter().find(|row| row.name == name);
        let Some(own) = config.commands.get(name) else {
            return match built_in {
                Some(row) => Ok(Line::of(row)),
                None => Err(Unknown::Command {
                    nearest: nearest(name, &names(config)),
                    name: name.to_owned(),
                }),
            };
        };
        let mut line = match built_in {
            Some(row) => Line::of(row),
            None => Line::plain(own.run.clone()),
        };
        line.name = name.to_owned();
        if !own.run.is_empty() {
            line.run.clone_from(&own.run);
            line.prompt = own.prompt;
        }
        if line.run.is_empty() {
            return Err(Unknown::Empty(name.to_owned()));
        }
        if let Some(stream) = &own.stream {
            line.stream = Stream::named(stream).ok_or_else(|| Unknown::Stream {
                command: name.to_owned(),
                name: stream.clone(),
                nearest: nearest(stream, &Stream::ALL.map(|(name, _)| name.to_owned())),
            })?;
        }
        line.writable.extend(own.writable.iter().cloned());
        line.env.extend(own.env.clone());
        line.harvest = own.harvest.unwrap_or(line.harvest);
        Ok(line)
    }

    /// The row for an agent: what `swarm.toml` says, else the one that its name begins with
    /// (`claude-2`, `kiro`).
    ///
    /// # Errors
    /// [`Unknown`] if `swarm.toml` names one that is not there; none if nothing says which.
    pub fn of_agent(agent: &str, config: &Config) -> Result<Option<Line>, Unknown> {
        let configured = config
            .agents
            .iter()
            .find(|(name, _)| name.as_str() == agent);
        if let Some(command) = configured.and_then(|(_, known)| known.command.as_deref()) {
            return Line::named(command, config).map(Some);
        }
        let bare = agent.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        match names(config).iter().any(|name| name == bare) {
            true => Line::named(bare, config).map(Some),
            false => Ok(None),
        }
    }

    fn of(row: &Row) -> Line {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Line {
            name: row.name.to_owned(),
            run: texts(row.run),
            prompt: row.prompt,
            stream: row.stream,
            writable: Vec::new(),
            env: row
                .env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            without: row.without,
            harvest: row.harvest,
            litter: row.litter,
        }
    }

    /// Program and arguments with the values filled in; an argument whose value is none goes, and
    /// the flag before it.
    pub fn arguments(&self, values: &[(&str, Option<String>)], writable: &[String]) -> Vec<String> {
        let mut filled: Vec<String> = Vec::new();
        for argument in &self.run {
            if argument == "{writable}" {
                let flag = filled.pop_if(|flag| flag.starts_with('-'));
                for directory in writable {
                    filled.extend(flag.clone());
                    filled.push(directory.clone());
                }
                continue;
            }
            let mut text = argument.clone();
            let mut missing = false;
            for (name, value) in values {
                match value {
                    // Filled in where the row has it, not within what was filled in.
                    Some(value) if argument.contains(name) => text = text.replace(name, value),
                    None if argument.contains(name) => missing = true,
                    _ => {}
                }
            }
            match missing {
                true => drop(filled.pop_if(|flag| flag.starts_with('-'))),
                false => filled.push(text),
            }
        }
        filled
    }
}

/// Every name that there is.
pub fn names(config: &Config) -> Vec<String> {
    let built_in = ROWS.iter().map(|row| row.name.to_owned());
    let mut names: Vec<String> = built_in.chain(config.commands.keys().cloned()).collect();
    names.sort();
    names.dedup();
    names
}

fn nearest(name: &str, known: &[String]) -> Vec<String> {
    id::nearest(name, known.iter().map(String::as_str))
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("swarm.toml")).unwrap()
    }

    #[test]
    fn a_limit_that_is_not_set_takes_its_flag_along() {
        let line = Line::named("claude", &Config::default()).unwrap();
        let with = |turns: Option<&str>| {
            line.arguments(
                &[
                    ("{max_turns}", turns.map(str::to_owned)),
                    ("{max_usd}", None),
                ],
                &["/a".to_owned(), "/b".to_owned()],
            )
        };
        let dirs = ["--add-dir", "/a", "--add-dir", "/b"];
        assert!(with(None).windows(4).any(|four| four == dirs));
        assert!(!with(None).iter().any(|arg| arg.starts_with("--max")));
        assert_eq!(
            with(Some("7"))[with(Some("7")).len() - 2..],
            ["--max-turns", "7"]
        );
    }

    #[test]
    fn swarm_toml_adds_rows_and_replaces_them() {
        let config = config(
            "[commands.mine]\nrun = [\"mine\", \"{prompt}\"]\nstream = \"codex\"\nenv = { A = \"1\" }\n\
             [commands.claude]\nwritable = [\"/x\"]\n[agents.a]\ncommand = \"mine\"\n",
        );
        let mine = Line::of_agent("a", &config).unwrap().unwrap();
        assert_eq!(
            (mine.stream, mine.prompt),
            (Stream::Codex, PromptBy::Argument)
        );
        let claude = Line::of_agent("claude-2", &config).unwrap().unwrap();
        assert_eq!(claude.run[0], "claude");
        assert_eq!(claude.writable, [PathBuf::from("/x")]);
        assert_eq!(Line::of_agent("worker", &config).unwrap(), None);
        let error = Line::named("claud", &config).unwrap_err();
        assert!(matches!(error, Unknown::Command { nearest, .. } if nearest == ["claude"]));
    }

    #[test]
    fn a_stream_that_nobody_prints_is_an_error() {
        let config = config("[commands.mine]\nrun = [\"x\"]\nstream = \"codx\"\n");
        let error = Line::named("mine", &config).unwrap_err();
        assert!(matches!(error, Unknown::Stream { nearest, .. } if nearest == ["codex"]));
    }
}
