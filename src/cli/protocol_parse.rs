//! `protocol-parse`: reads lines of text as actions.

use std::borrow::Cow;
use std::io::Write;
use std::path::PathBuf;

use super::args::AsArgs;
use super::error::{self, Failure};
use super::mail_items::{Fresh, Stamps};
use super::output::shown;
use super::words::{self, Words};
use super::{Example, Manual, Out, Result, Status, Tool, lines};
use crate::action::json::{Object, ReadError, Value, write_text};
use crate::action::{ActionResult, Fill, Record, StructuredAction, Wire};
use crate::grammar::{Check, Entry, Grammar, Neighbour, ParseError};
use crate::spore::item;
use crate::swarm::{Repository, Who};

const MANUAL: Manual = Manual {
    description: "\
Reads each line of text as one command and writes it as the JSON of a StructuredAction. It knows \
the 15 verbs and 15 nouns of the original and five more of each, with synonyms, plurals, filler \
words, prepositions and typed parameters.

A line is understood whole or refused: no word is silently lost. Negations (*don't stop*), \
conditions (*if*, *after*), questions, *it* and *that*, and second commands on one line are \
refused always. A refusal names the word and its place, and gives the corrected line to copy where \
there is one that parses.

Who says it is the agent whose worktree one stands in, else `--as`, else `SPORE_AGENT`, else \
`unknown`; two of them that contradict each other are refused. `@from=` on the line says otherwise. \
Of a swarm's own words, `[grammar]` of its `swarm.toml` is read.",
    input: "\
Lines from standard input, at most 65,536 bytes each; blank lines and lines that begin with `#` \
are skipped. Or operands: several operands without blanks are the words of one line, otherwise each \
operand is a line.

A line that is a JSON object is read as an action, of at most 1 MiB, and written in its normal form.",
    output: "\
One JSON line for each command, at once. With `--report` one object for every line, and nothing on \
standard error:

    {\"ok\":true,\"action\":{…},\"canonical\":\"…\",\"check\":{\"is_valid\":true,\"errors\":[],\"warnings\":[]},\"risk\":\"low\"}
    {\"ok\":false,\"code\":\"unknown-verb\",\"at\":\"rnu\",\"column\":1,\"message\":\"…\",\"suggestion\":\"run task abc\",\"line\":1,\"span\":[0,3]}

`column` counts characters from 1, `span` is in bytes. `suggestion` is null or a line that parses; \
several commands of one line are several lines there.",
    exit_status: &[
        (0, "Every line is a command (and valid, with --check)."),
        (1, "With --check: a line is a command, and not a valid one."),
        (2, "A line is no command, or trouble; the other lines were written."),
        (5, "Worktree, `--as` and `SPORE_AGENT` contradict each other; nothing was read."),
    ],
    environment: &[("SPORE_AGENT", "Who says it, outside of a worktree and without --as.")],
    files: &[("swarm.toml", "`[grammar]` adds words, see swarm.toml(5).")],
    examples: &[
        Example {
            says: "A line of text to an action",
            session: "\
$ echo 'execute task 2.1 in beast mode' | protocol-parse --as conductor
{\"verb\":\"run\",\"noun\":\"task\",\"modifiers\":[\"beast-mode\"],\"parameters\":{\"task_id\":\"2.1\"},\"timestamp\":\"[..]Z\",\"source_instance\":\"conductor\",\"correlation_id\":\"[..]\"}
",
        },
        Example {
            says: "A mistake is shown, with the line to copy",
            session: "\
$ protocol-parse 'stop instance kiro-3 gracefull' || echo \"status $?\"
protocol-parse: line 1, column 22: unexpected word 'gracefull'
    stop instance kiro-3 gracefull
                         ^^^^^^^^^ did you mean 'graceful'?
try: stop instance kiro-3 graceful
status 2
",
        },
        Example {
            says: "Refuse what is a command but not a valid one",
            session: "\
$ protocol-parse --check 'run task' || echo \"status $?\"
protocol-parse: line 1: not valid: run task: missing task_id
status 1
",
        },
        Example {
            says: "For programs: what became of each line",
            session: "\
$ printf 'status swarm\\nrnu task abc\\n' | protocol-parse --report || echo \"status $?\"
{\"ok\":true,\"action\":{\"verb\":\"status\",[..]},\"canonical\":\"status swarm\",\"check\":{\"is_valid\":true,\"errors\":[],\"warnings\":[]},\"risk\":\"low\"}
{\"ok\":false,\"code\":\"unknown-verb\",\"at\":\"rnu\",\"column\":1,\"message\":\"unknown verb 'rnu'\",\"suggestion\":\"run task abc\",\"line\":2,\"span\":[0,3]}
status 2
",
        },
        Example {
            says: "Only what the original system knows",
            session: "\
$ protocol-parse --core 'reassign tasks from kiro-3' || echo \"status $?\"
protocol-parse: line 1, column 1: 'reassign' (reassign) is an extension: the core does not know that verb
    reassign tasks from kiro-3
    ^^^^^^^^
status 2
",
        },
        Example {
            says: "More words, from a file of your own",
            session: "\
$ printf '[verbs.brew]\\nwords = [\"boil\"]\\nnouns = [\"service\"]\\n' > mine.toml
$ protocol-parse --grammar mine.toml boil service tea | protocol-print --grammar mine.toml
brew service service_name=tea
$ protocol-parse --grammar mine.toml --lint
",
        },
        Example {
            says: "The same for everybody in a repository",
            session: "\
$ git init -q app && printf '[grammar]\\nfile = \"mine.toml\"\\n' > app/swarm.toml && cp mine.toml app
$ protocol-parse -C app boil service tea | protocol-print -C app
brew service service_name=tea
",
        },
        Example {
            says: "Learn the words: help, the whole table, what can stand next",
            session: "\
$ protocol-parse help restart | head -2
restart: stop and begin again
  also        reboot, relaunch, bounce
$ protocol-parse --list | grep '^restart'
restart         reboot, relaunch, bounce | instance instances task service swarm workflow deployment
$ protocol-parse --list --json | grep '\"name\":\"restart\"'
{\"v\":1,\"type\":\"verb\",\"name\":\"restart\",\"tier\":\"core\",[..]
$ protocol-parse --complete 'stop instance kiro-3 gr'
graceful	modifier
",
        },
        Example {
            says: "See how a line was understood",
            session: "\
$ protocol-parse --explain 'please execute task 2.1 in beast mode'
please	filler: dropped	R9
execute	verb run	R2
task	noun task	R3
2.1	value of task_id	R6
in	preposition: says where the next goes	R8
beast mode	modifier beast-mode	R5
",
        },
        Example {
            says: "Speak JSON-RPC or MCP: actions, and the answer to what is none",
            session: "\
$ protocol-parse --to jsonrpc 'status swarm @id=m-1 @from=kiro-1' 'rnu task' || echo \"status $?\"
{\"jsonrpc\":\"2.0\",\"id\":\"m-1\",\"method\":\"status.swarm\",\"params\":{\"modifiers\":[],\"_source\":\"kiro-1\"}}
{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32601,\"message\":\"unknown verb 'rnu'\",\"data\":{[..]}}}
status 2
$ echo '{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"run.task\",\"arguments\":{\"task_id\":\"2.1\"}}}' > call
$ protocol-parse --from mcp < call | protocol-print
run task task_id=2.1
",
        },
        Example {
            says: "Read what others write: JSON-RPC, and the original's logs",
            session: "\
$ protocol-parse 'status swarm @id=m-1 @from=kiro-1' | protocol-print --to jsonrpc
{\"jsonrpc\":\"2.0\",\"id\":\"m-1\",\"method\":\"status.swarm\",\"params\":{\"modifiers\":[],\"_source\":\"kiro-1\"}}
$ protocol-parse 'status swarm' | protocol-print --to a2a | protocol-parse --from a2a | protocol-print
status swarm
$ protocol-parse --dialect reference 'stop instance kiro-3 graceful' | protocol-print
stop instance +kiro-3 graceful
$ protocol-parse --dialect reference 'please halt agent kiro-3 gracefully' | protocol-print
stop instance graceful instance_id=kiro-3
$ protocol-parse --mcp-tools | grep -o '\"name\":\"run.task\"'
\"name\":\"run.task\"
",
        },
    ],
    see_also: &["protocol-print(1)", "spore-send(1)", "sporekit(7)"],
};

/// Read lines of text as actions
#[derive(Debug, clap::Parser)]
#[command(
    name = "protocol-parse",
    version,
    max_term_width = 100,
    override_usage = "protocol-parse [options] [LINE | WORD…]"
)]
pub struct Args {
    /// Lines to read instead of standard input
    #[arg(value_name = "LINE")]
    lines: Vec<String>,

    #[command(flatten)]
    who: AsArgs,

    /// Refuse verbs and nouns that the original system does not know
    #[arg(long)]
    core: bool,

    /// Refuse commands that are not valid, such as `run task` without a task
    #[arg(long)]
    check: bool,

    /// Add the words of this file to the built-in ones
    #[arg(long, value_name = "FILE")]
    grammar: Option<PathBuf>,

    /// The repository, as if started there
    #[arg(short = 'C', long = "repo", value_name = "DIR")]
    repo: Option<PathBuf>,

    /// Write one object for every line, mistakes included
    #[arg(long)]
    report: bool,

    /// Say what each word became, and by which rule
    #[arg(long, conflicts_with = "report")]
    explain: bool,

    /// Write the grammar as a table
    #[arg(long, conflicts_with_all = ["lines", "report", "explain"])]
    list: bool,

    /// Write the words that can stand next in this line
    #[arg(
        long,
        value_name = "LINE",
        allow_hyphen_values = true,
        conflicts_with = "lines"
    )]
    complete: Option<String>,

    /// Write the commands as tools of the Model Context Protocol
    #[arg(long, conflicts_with = "lines")]
    mcp_tools: bool,

    /// Say what is odd about the grammar, such as words that no line reaches
    #[arg(long, conflicts_with = "lines")]
    lint: bool,

    /// Read lines as the original does: its logs, where every bare word is a modifier, and what
    /// people typed to it
    #[arg(long, value_name = "NAME", value_enum)]
    dialect: Option<Dialect>,

    /// Read the JSON of a neighbour
    #[arg(long, value_name = "FORM", value_enum, conflicts_with_all = ["dialect", "explain"])]
    from: Option<Form>,

    /// Write the JSON of a neighbour, its own errors included
    #[arg(long, value_name = "FORM", value_enum, conflicts_with_all = ["report", "explain"])]
    to: Option<Form>,

    /// Write records with --list, --complete and --explain
    #[arg(long)]
    json: bool,
}

/// Another way to read text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// As the original writes it: verb, noun, modifiers, name=value.
    Reference,
}

/// The JSON of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// JSON-RPC 2.0: requests and responses
    Jsonrpc,
    /// Model Context Protocol: tools/call and its result
    Mcp,
    /// CloudEvents 1.0
    Cloudevents,
    /// A2A 1.0: messages and tasks
    A2a,
}

impl From<Form> for Neighbour {
    fn from(form: Form) -> Neighbour {
        match form {
            Form::Jsonrpc => Neighbour::JsonRpc,
            Form::Mcp => Neighbour::Mcp,
            Form::Cloudevents => Neighbour::CloudEvents,
            Form::A2a => Neighbour::A2a,
        }
    }
}

const TOOL: &str = "protocol-parse";

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        let repository = words::repository(self.repo.as_deref())?;
        let grammar = Words::here(repository.as_ref(), self.grammar.as_deref())?;
        if let Some(status) = self.teach(&grammar, out)? {
            return Ok(status);
        }
        let mut parse = Parse {
            grammar: &grammar,
            source: source(repository.as_ref(), &self.who)?,
            args: &self,
            result: Vec::new(),
            stamps: Stamps::new(),
            room: Default::default(),
            status: Status::Done,
        };
        if self.lines.is_empty() {
            if error::stdin_is_terminal() {
                return Err(error::no_input::<Args>().into());
            }
            lines::each(std::io::stdin(), out, |line, out| {
                parse.line(line.number, line.bytes, line.cut, out)
            })?;
        } else {
            for (line, number) in operands(&self.lines).iter().zip(1..) {
                parse.command(number, line, out)?;
            }
        }
        parse.end_result(out)?;
        Ok(parse.status)
    }
}

impl Args {
    /// What is asked about the grammar itself.
    fn teach(&self, grammar: &Grammar, out: &mut Out) -> Result<Option<Status>> {
        if self.list {
            let entries = grammar.entries();
            out.write_all(
                if self.json {
                    records(&entries)
                } else {
                    table(&entries)
                }
                .as_bytes(),
            )?;
        } else if let Some(line) = &self.complete {
            for (word, what) in grammar.complete(line) {
                match self.json {
                    true => writeln!(
                        out,
                        "{}",
                        record("candidate", &[("word", &word), ("says", &what)])
                    )?,
                    false => writeln!(out, "{word}\t{what}")?,
                }
            }
        } else if self.mcp_tools {
            writeln!(out, "{}", grammar.tools())?;
        } else if self.lint {
            let found = grammar.lint();
            for finding in &found {
                writeln!(out, "{}", shown(finding))?;
            }
            return Ok(Some(if found.is_empty() {
                Status::Done
            } else {
                Status::No
            }));
        } else if self
            .lines
            .first()
            .is_some_and(|word| word == "help" || word.starts_with("help "))
        {
            let question = self.lines.join(" ");
            match grammar.help(question.trim_start_matches("help")) {
                Ok(text) => out.write_all(text.as_bytes())?,
                Err((word, near)) => {
                    let failure = Failure::usage(format!("no help on {word:?}"));
                    let near = near.map(|near| format!("did you mean {near:?}?"));
                    return Err(failure
                        .hint(near.unwrap_or("protocol-parse help".to_owned()))
                        .into());
                }
            }
        } else {
            return Ok(None);
        }
        Ok(Some(Status::Done))
    }
}

/// The table for people: a row for each entry.
fn table(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut kind = "";
    for entry in entries {
        if entry.kind != kind {
            kind = entry.kind;
            let heads = match kind {
                "verb" => "VERB            ALSO | NOUNS (the first is meant when none is said)",
                "noun" => "NOUN            ALSO | PARAMETER THAT A BARE NAME FILLS",
                "modifier" => "MODIFIER        ALSO | VERBS",
                _ => "PARAMETER       TAKES | VERBS",
            };
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&format!("{heads}\n"));
        }
        let mut with = entry.with.clone();
        if entry.kind == "verb" && !entry.says.is_empty() {
            with.retain(|noun| *noun != entry.says);
            with.insert(0, entry.says.clone());
        }
        let also = match entry.kind {
            "parameter" => entry.says.clone(),
            _ => entry.also.join(", "),
        };
        let tier = match entry.tier {
            "" | "core" => "",
            tier => &format!(" [{tier}]"),
        };
        let row = format!("{:<15} {also} | {}{tier}", entry.name, with.join(" "));
        text.push_str(&format!("{}\n", row.trim_end()));
    }
    text
}

/// The table for programs: a record for each entry.
fn records(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let list = |list: &[String]| {
            Value::Array(list.iter().map(|text| Value::from(text.as_str())).collect())
        };
        let mut record = Object::new();
        record.insert("v", Value::from(1_i64));
        record.insert("type", Value::from(entry.kind));
        record.insert("name", Value::from(entry.name.as_str()));
        if !entry.tier.is_empty() {
            record.insert("tier", Value::from(entry.tier));
        }
        if entry.kind != "parameter" {
            record.insert("also", list(&entry.also));
        }
        let with = match entry.kind {
            "verb" => "nouns",
            "noun" => "slots",
            _ => "verbs",
        };
        record.insert(with, list(&entry.with));
        let says = match entry.kind {
            "verb" => "default_noun",
            "parameter" => "takes",
            _ => "says",
        };
        for (name, said) in [(says, &entry.says), ("help", &entry.help)] {
            if !said.is_empty() {
                record.insert(name, Value::from(said.as_str()));
            }
        }
        text.push_str(&format!("{record}\n"));
    }
    text
}

/// A record of texts.
fn record(kind: &str, members: &[(&str, &str)]) -> Object {
    let mut record = Object::new();
    record.insert("v", Value::from(1_i64));
    record.insert("type", Value::from(kind));
    for (name, text) in members {
        record.insert(*name, Value::from(*text));
    }
    record
}

/// Several operands without a blank are the words of one line; otherwise each is a line.
fn operands(operands: &[String]) -> Vec<String> {
    match operands.len() > 1 && !operands.iter().any(|o| o.contains(char::is_whitespace)) {
        true => vec![operands.join(" ")],
        false => operands.to_vec(),
    }
}

/// Who speaks when the line does not say it.
fn source(repository: Option<&Repository>, who: &AsArgs) -> Result<String> {
    let environment = std::env::var("SPORE_AGENT").ok();
    let me = Who::in_repository(repository, who.as_name.as_deref(), environment.as_deref())?;
    Ok(me.map_or_else(|| "unknown".to_owned(), |who| who.agent.to_string()))
}

struct Parse<'g> {
    grammar: &'g Grammar,
    source: String,
    args: &'g Args,
    /// The lines of a result that is not at its end yet.
    result: Vec<String>,
    stamps: Stamps,
    /// Time, id and JSON of the line at hand: room that every line uses again.
    room: [String; 3],
    status: Status,
}

impl Parse<'_> {
    /// One line of standard input.
    fn line(&mut self, number: u64, bytes: &[u8], cut: bool, out: &mut Out) -> Result<()> {
        if cut {
            let why = format!("line {number}: longer than {} bytes", lines::LIMIT);
            self.trouble(&why);
            return Ok(());
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            // What is no UTF-8 is shown as a control character at its place.
            Err(_) => Cow::Owned(String::from_utf8_lossy(bytes).replace('\u{fffd}', "\u{80}")),
        };
        let visible = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if visible.is_empty() || visible.starts_with('#') {
            return self.end_result(out);
        }
        self.command(number, &text, out)
    }

    fn trouble(&mut self, why: &str) {
        error::say(&format!("{TOOL}: {why}\n"));
        self.status = self.status.and(Status::Trouble);
    }

    /// One command.
    fn command(&mut self, number: u64, line: &str, out: &mut Out) -> Result<()> {
        if let Some(form) = self.args.from {
            return self.neighbour(number, line, form.into(), out);
        }
        if self.take_result(line, out)? {
            return Ok(());
        }
        if is_json(line) {
            return self.json(number, line, out);
        }
        if self.args.explain {
            return self.explain(number, line, out);
        }
        let read = match self.args.dialect {
            Some(Dialect::Reference) => self.grammar.parse_reference(line),
            None => self.grammar.parse_tier(line, self.args.core),
        };
        let command = match read {
            Ok(command) => command,
            Err(error) => return self.refuse(number, line, &error, out),
        };
        let judged = self.args.check || self.args.report;
        let check = judged.then(|| (self.grammar.check(&command), self.grammar.text_of(&command)));
        if self.args.to.is_some() {
            let action = command.into_action(&self.source, &mut Fresh)?;
            return self.accept_action(number, &action, out);
        }
        let mut room = std::mem::take(&mut self.room);
        room.iter_mut().for_each(String::clear);
        let [time, id, json] = &mut room;
        if command.at.is_none() {
            self.stamps.now(time);
        }
        if command.id.is_none() {
            self.stamps.uuid(id);
        }
        command.write_json(time, &self.source, id, json);
        let accepted = self.accept(number, json, check, out);
        self.room = room;
        accepted
    }

    /// A line of a result, as protocol-print writes it: a verdict, then `took:` and so on.
    fn take_result(&mut self, line: &str, out: &mut Out) -> Result<bool> {
        let begins = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
        if !self.result.is_empty() && begins(&["took:", "id:", "at:", "data:", "effect:"]) {
            self.result.push(line.to_owned());
            return Ok(true);
        }
        self.end_result(out)?;
        if begins(&["SUCCESS ", "FAILED ", "[SUCCESS] ", "[FAILED] "])
            || line == "SUCCESS"
            || line == "FAILED"
        {
            self.result.push(line.to_owned());
            return Ok(true);
        }
        Ok(false)
    }

    /// Writes the result whose lines have been read.
    fn end_result(&mut self, out: &mut Out) -> Result<()> {
        if self.result.is_empty() {
            return Ok(());
        }
        match item::result(std::mem::take(&mut self.result), Fresh.now()) {
            Ok(result) => self.write_result(result, out)?,
            Err(why) => self.trouble(&why),
        }
        Ok(())
    }

    fn write_result(&mut self, result: ActionResult, out: &mut Out) -> Result<()> {
        let Some(form) = self.args.to else {
            return Ok(writeln!(out, "{}", result.to_json())?);
        };
        match Neighbour::from(form).write(self.grammar, &Record::Result(result), &mut Fresh) {
            Ok(value) => writeln!(out, "{value}")?,
            Err(error) => self.trouble(&error.to_string()),
        }
        Ok(())
    }

    /// A record in the form of a neighbour.
    fn neighbour(&mut self, number: u64, line: &str, form: Neighbour, out: &mut Out) -> Result<()> {
        let (core, source) = (self.args.core, &self.source);
        match form.read(self.grammar, line, core, source, &mut Fresh) {
            Ok(Record::Action(action)) => self.accept_action(number, &action, out),
            Ok(Record::Result(result)) => self.write_result(result, out),
            Err(error) => self.refuse(number, line, &ParseError::json(line, &error), out),
        }
    }

    /// What each word became.
    fn explain(&mut self, number: u64, line: &str, out: &mut Out) -> Result<()> {
        let steps = match self.grammar.explain(line) {
            Ok(steps) => steps,
            Err(error) => return self.refuse(number, line, &error, out),
        };
        for step in steps {
            if self.args.json {
                let words = [
                    ("text", step.text.as_str()),
                    ("became", &step.became),
                    ("rule", step.rule),
                ];
                let mut record = record("step", &words);
                record.insert("line", Value::from(number));
                let span = [step.span.start, step.span.end];
                record.insert(
                    "span",
                    Value::Array(span.map(|at| Value::from(at as u64)).to_vec()),
                );
                writeln!(out, "{record}")?;
            } else {
                writeln!(
                    out,
                    "{}\t{}\t{}",
                    shown(&step.text),
                    shown(&step.became),
                    step.rule
                )?;
            }
        }
        Ok(())
    }

    fn json(&mut self, number: u64, line: &str, out: &mut Out) -> Result<()> {
        match self.read_json(line) {
            Ok(action) => self.accept_action(number, &action, out),
            Err(error) => self.refuse(number, line, &ParseError::json(line, &error), out),
        }
    }

    fn read_json(&self, line: &str) -> std::result::Result<StructuredAction, ReadError> {
        let words = self.grammar.words(self.args.core);
        let read = StructuredAction::read_with(line, &mut Fresh, &words);
        if read.is_err()
            && let Ok(Value::Object(mut object)) = Value::parse(line)
            && !object.contains_key("source_instance")
        {
            object.insert("source_instance", Value::from(self.source.as_str()));
            return StructuredAction::read_with(&object.to_string(), &mut Fresh, &words);
        }
        read
    }

    fn accept_action(
        &mut self,
        number: u64,
        action: &StructuredAction,
        out: &mut Out,
    ) -> Result<()> {
        let judged = self.args.check || self.args.report;
        let check = judged.then(|| (self.grammar.check_action(action), self.grammar.text(action)));
        let Some(form) = self.args.to else {
            return self.accept(number, &mut action.to_json(), check, out);
        };
        let record = Record::Action(action.clone());
        match Neighbour::from(form).write(self.grammar, &record, &mut Fresh) {
            Ok(value) => self.accept(number, &mut value.to_string(), check, out),
            Err(error) => {
                self.trouble(&format!("line {number}: {error}"));
                Ok(())
            }
        }
    }

    /// Writes an action; what the check says comes with its canonical text.
    fn accept(
        &mut self,
        number: u64,
        json: &mut String,
        check: Option<(Check, String)>,
        out: &mut Out,
    ) -> Result<()> {
        if let Some((check, canonical)) = check {
            if self.args.check && !check.is_valid() {
                self.status = self.status.and(Status::No);
            }
            if self.args.report {
                *json = reported(json, &canonical, &check);
            } else {
                tell(number, &canonical, &check);
                if !check.is_valid() {
                    return Ok(());
                }
            }
        }
        json.push('\n');
        out.write_all(json.as_bytes())?;
        Ok(())
    }

    fn refuse(&mut self, number: u64, line: &str, error: &ParseError, out: &mut Out) -> Result<()> {
        self.status = self.status.and(Status::Trouble);
        let answer = |form: Form| Neighbour::from(form).refusal(line, error, number, &mut Fresh);
        if self.args.report {
            let mut text = String::new();
            error.write_json(number, &mut text);
            if let Some(answer) = self.args.from.and_then(answer) {
                text.pop();
                text.push_str(&format!(",\"answer\":{answer}}}"));
            }
            text.push('\n');
            out.write_all(text.as_bytes())?;
        } else if let Some(answer) = self.args.to.and_then(answer) {
            writeln!(out, "{answer}")?;
        } else {
            error::say(&explained(&format!("{TOOL}: line {number}, "), line, error));
        }
        Ok(())
    }
}

/// Whether a line is meant as a JSON object, rather than as the placeholder `{x}`.
pub(super) fn is_json(line: &str) -> bool {
    let after = line.trim_start().strip_prefix('{').map(str::trim_start);
    after.is_some_and(|after| after.starts_with(['"', '}']))
}

/// The object of `--report` for a command.
fn reported(json: &str, canonical: &str, check: &Check) -> String {
    let mut text = format!("{{\"ok\":true,\"action\":{json},\"canonical\":");
    write_text(canonical, &mut text);
    text.push_str(",\"check\":");
    write_check(check, &mut text);
    text.push_str(&format!(",\"risk\":\"{}\"}}", check.risk.as_str()));
    text
}

/// What the check found, in words.
fn tell(number: u64, canonical: &str, check: &Check) {
    for (what, found) in [("not valid", &check.errors), ("odd", &check.warnings)] {
        if !found.is_empty() {
            let found: Vec<String> = found.iter().map(|one| spelled_out(one)).collect();
            let (text, found) = (shown(canonical), shown(&found.join("; ")));
            error::say(&format!("{TOOL}: line {number}: {what}: {text}: {found}\n"));
        }
    }
}

fn write_check(check: &Check, out: &mut String) {
    out.push_str("{\"is_valid\":");
    out.push_str(if check.is_valid() { "true" } else { "false" });
    for (name, list) in [("errors", &check.errors), ("warnings", &check.warnings)] {
        out.push_str(&format!(",\"{name}\":["));
        for (place, text) in list.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            write_text(text, out);
        }
        out.push(']');
    }
    out.push('}');
}

/// A finding of the check in words.
fn spelled_out(finding: &str) -> String {
    match finding.split_once(':') {
        Some(("missing", name)) => format!("missing {name}"),
        Some(("pair", pair)) => format!("{pair} do not go together"),
        Some(("modifier", name)) => format!("modifier {name} means nothing here"),
        Some(("parameter", name)) => format!("parameter {name} means nothing here"),
        Some(("near", rest)) => match rest.rsplit_once(':') {
            Some((word, modifier)) => format!("{word} was taken for a name; {modifier}?"),
            None => finding.to_owned(),
        },
        Some(("shape", rest)) => match rest.rsplit_once(':') {
            Some((word, noun)) => format!("{word} looks like the name of a {noun}"),
            None => finding.to_owned(),
        },
        _ => finding.to_owned(),
    }
}

/// An error as a person wants it: where, the line, the word, what to type.
pub(super) fn explained(place: &str, line: &str, error: &ParseError) -> String {
    /// Longer lines are shown from a little before the word on.
    const WIDTH: usize = 160;
    let mut text = format!(
        "{place}column {}: {}\n",
        error.column,
        shown(&error.message)
    );
    let visible: Vec<char> = line
        .chars()
        .filter(|c| !super::error::is_hidden(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let first = error.column - 1;
    let start = if visible.len() > WIDTH {
        first.saturating_sub(WIDTH / 2)
    } else {
        0
    };
    let end = visible.len().min(start + WIDTH);
    let part: String = visible.get(start..end).unwrap_or_default().iter().collect();
    if part.trim().is_empty() {
        return text;
    }
    text.push_str(&format!("    {part}\n    "));
    let width = error.at.chars().count().clamp(1, WIDTH / 2);
    for c in visible.get(start..first.min(end)).unwrap_or_default() {
        // A wide character wants a wide blank.
        text.push(if is_wide(*c) { '\u{3000}' } else { ' ' });
    }
    text.push_str(&"^".repeat(width));
    if let Some(meant) = &error.meant {
        text.push_str(&format!(" did you mean '{meant}'?"));
    }
    text.push('\n');
    if let Some(suggestion) = error.suggestion.as_ref().filter(|line| line.len() <= 4096) {
        for (place, line) in suggestion.lines().enumerate() {
            let label = if place == 0 { "try: " } else { "     " };
            text.push_str(&format!("{label}{}\n", shown(line)));
        }
    }
    text
}

fn is_wide(c: char) -> bool {
    matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd)
}
