//! `protocol-print`: writes actions and results as text.

use std::io::Write;
use std::path::PathBuf;

use super::error;
use super::mail_items::Fresh;
use super::protocol_parse::Form;
use super::words::{self, Words};
use super::{Example, Manual, Out, Result, Status, Tool, lines};
use crate::action::{self, Record};
use crate::grammar::{self, Grammar, Neighbour};
use crate::spore::item::Outcome;

const MANUAL: Manual = Manual {
    description: "\
Writes each action as its canonical line of text, the inverse of protocol-parse(1): what it writes \
reads back as the same verb, noun, modifiers and parameters. A result becomes the lines of a result \
block of spore(5).",
    input: "\
JSON lines from standard input, at most 1 MiB each: actions and results, in every spelling that the \
original reads.",
    output: "\
Text, a line for each action. With `--envelope` the line also says `@from=`, `@id=` and `@at=`, and \
reads back as the very same action. With `--json` the normal form of the JSON; with `--to` the JSON \
of a neighbour.",
    exit_status: &[(2, "A line is neither action nor result; the others were written.")],
    environment: &[],
    files: &[("swarm.toml", "`[grammar]` adds words, see swarm.toml(5).")],
    examples: &[
        Example {
            says: "An action as text",
            session: "\
$ protocol-parse 'please execute task user-auth using beast mode' | protocol-print
run task beast-mode task_id=user-auth
",
        },
        Example {
            says: "With all that is needed to get the same action back",
            session: "\
$ protocol-parse --as kiro-1 'status swarm @id=m-1 @at=2026-11-23T09:15:00Z' | protocol-print --envelope
status swarm @from=kiro-1 @id=m-1 @at=2026-11-23T09:15:00Z
",
        },
        Example {
            says: "The normal form of JSON that somebody else wrote; the form of a neighbour",
            session: "\
$ echo '{ \"source_instance\": \"k\", \"noun\": \"Swarm\", \"verb\": \"STATUS\", \"timestamp\": 0, \"correlation_id\": \"c\" }' > line
$ protocol-print --json < line
{\"verb\":\"status\",\"noun\":\"swarm\",\"modifiers\":[],\"parameters\":{},\"timestamp\":\"1970-01-01T00:00:00Z\",\"source_instance\":\"k\",\"correlation_id\":\"c\"}
$ protocol-print --to cloudevents < line
{\"specversion\":\"1.0\",\"id\":\"[..]\",\"source\":\"/swarm/k\",\"type\":\"sporekit.action.status.swarm\",[..]
",
        },
        Example {
            says: "A result is the lines of a result block, and comes back from them",
            session: "\
$ printf 'SUCCESS merged 2 branches\\ntook: PT1.5S\\nid: m-17\\nat: 2026-11-23T09:20:00Z\\n' | protocol-parse | protocol-print
SUCCESS merged 2 branches
took: PT1.5S
id: m-17
at: 2026-11-23T09:20:00Z
",
        },
        Example {
            says: "Verbs of your own",
            session: "\
$ printf '[verbs.brew]\\nnouns = [\"service\"]\\n' > mine.toml
$ protocol-parse --grammar mine.toml 'brew service tea' | protocol-print --grammar mine.toml
brew service service_name=tea
$ git init -q app && printf '[grammar.verbs.brew]\\nnouns = [\"service\"]\\n' > app/swarm.toml
$ protocol-parse -C app 'brew service tea' | protocol-print -C app
brew service service_name=tea
",
        },
    ],
    see_also: &["protocol-parse(1)", "spore(5)", "sporekit(7)"],
};

/// Write actions and results as text
#[derive(Debug, clap::Parser)]
#[command(name = "protocol-print", version, max_term_width = 100)]
pub struct Args {
    /// Say who, which and when as well: @from= @id= @at=
    #[arg(long)]
    envelope: bool,

    /// Write the normal form of the JSON instead of text
    #[arg(long, conflicts_with_all = ["envelope", "to"])]
    json: bool,

    /// Write the JSON of a neighbour
    #[arg(long, value_name = "FORM", value_enum, conflicts_with = "envelope")]
    to: Option<Form>,

    /// Add the words of this file to the built-in ones
    #[arg(long, value_name = "FILE")]
    grammar: Option<PathBuf>,

    /// The repository, as if started there
    #[arg(short = 'C', long = "repo", value_name = "DIR")]
    repo: Option<PathBuf>,
}

const TOOL: &str = "protocol-print";

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        if error::stdin_is_terminal() {
            return Err(error::no_input::<Args>().into());
        }
        let repository = words::repository(self.repo.as_deref())?;
        let grammar = Words::here(repository.as_ref(), self.grammar.as_deref())?;
        let words = grammar.words(false);
        let mut status = Status::Done;
        let mut text = String::new();
        lines::each(std::io::stdin(), out, |line, out| {
            if line.bytes.trim_ascii().is_empty() {
                return Ok(());
            }
            text.clear();
            match self.print(&grammar, &words, &line, &mut text) {
                Ok(()) => {
                    text.push('\n');
                    out.write_all(text.as_bytes())?;
                }
                Err(why) => {
                    error::say(&format!("{TOOL}: line {}: {why}\n", line.number));
                    status = Status::Trouble;
                }
            }
            Ok(())
        })?;
        Ok(status)
    }
}

impl Args {
    /// Appends what stands for one line.
    fn print(
        &self,
        grammar: &Grammar,
        words: &action::Words,
        line: &lines::Line<'_>,
        out: &mut String,
    ) -> std::result::Result<(), String> {
        if line.cut {
            return Err(format!("longer than {} bytes", lines::LIMIT));
        }
        let text =
            std::str::from_utf8(line.bytes).map_err(|error| format!("not UTF-8: {error}"))?;
        let record = Record::read(text, &mut Fresh, words).map_err(|error| error.to_string())?;
        if let Some(form) = self.to {
            let written = Neighbour::from(form).write(grammar, &record, &mut Fresh);
            written.map_err(|error| error.to_string())?.write(out);
            return Ok(());
        }
        match &record {
            record if self.json => record.write_json(out),
            Record::Action(action) => {
                out.push_str(&grammar.text(action));
                if self.envelope {
                    let from = Some(action.source_instance.as_str());
                    let id = Some(action.correlation_id.as_str());
                    grammar::write_envelope(from, id, Some(&action.timestamp), out);
                }
            }
            Record::Result(result) => out.push_str(&Outcome::from(result).lines().join("\n")),
        }
        Ok(())
    }
}
