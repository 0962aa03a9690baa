//! `swarm-ctl`: carries actions out, and the whole plan.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{self, Sender};
use std::time::Instant;

use super::args::RootArgs;
use super::error::{self, say};
use super::worktree_spawn::Now;
use super::{Manual, Out, Result, Status, Tool, words};
use crate::action::json::{Object, Value};
use crate::action::time::TimeDelta;
use crate::action::{ActionResult, Fill, NoFill, Record, StructuredAction, Wire};
use crate::event::{Effect, Event, What};
use crate::grammar::Grammar;
use crate::swarm::root::Options;
use crate::swarm::{Journal, Root, journal};

mod actions;
pub mod conduct;
mod deed;
mod manual;
mod script;

use actions::Known;
use deed::{Deed, Step};

/// The longest line that is read, in bytes.
const LINE: usize = 1 << 20;

/// Carry out actions, or the whole plan
#[derive(Debug, clap::Parser)]
#[command(name = "swarm-ctl", version, args_conflicts_with_subcommands = true)]
#[command(
    override_usage = "swarm-ctl [OPTIONS] < ACTIONS\n       swarm-ctl --do 'COMMAND TEXT'...\n       swarm-ctl run [OPTIONS] [-- COMMAND...]"
)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// Carry out this command text, as protocol-parse reads it, instead of standard input
    #[arg(long = "do", value_name = "TEXT")]
    texts: Vec<String>,

    /// Also act on words that look like slips (`near:` and `shape:` of protocol-parse)
    #[arg(long)]
    despite_doubts: bool,

    /// Say what would be done, and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    #[command(flatten)]
    root: RootArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Carry out the plan: every agent in parallel, until everything is done
    Run(Box<conduct::RunArgs>),
}

impl Tool for Args {
    const MANUAL: Manual = manual::MANUAL;

    fn run(self, out: &mut Out) -> Result {
        if let Some(Verb::Run(args)) = self.verb {
            return conduct::run(*args, out);
        }
        let root = Root::find(&Options {
            start: self.root.repo.clone().unwrap_or_default(),
            root: self.root.root.clone(),
        })?;
        if self.texts.is_empty() && error::stdin_is_terminal() {
            return Err(error::no_input::<Args>().into());
        }
        let grammar = words::grammar(self.root.repo.as_deref())?;
        self.answer_all(&root, grammar, out)
    }
}

/// What comes in for the one who prints.
enum Incoming {
    /// A line of input, counted from 1.
    Line(usize, Vec<u8>),
    /// The answer to an action that took its time.
    Answer(Result<ActionResult>),
    /// There is no more input.
    End,
}

impl Args {
    /// Answers every action: one line each, in the order in which they are finished. What takes its
    /// time keeps nobody waiting: a stop after it is carried out at once.
    fn answer_all(&self, root: &Root, grammar: &'static Grammar, out: &mut Out) -> Result {
        let (tell, hear) = mpsc::channel();
        self.listen(tell.clone());
        let mut status = Status::Done;
        let (mut under_way, mut ended) = (0_usize, false);
        while !ended || under_way > 0 {
            let Ok(incoming) = hear.recv() else { break };
            let answer = match incoming {
                Incoming::End => {
                    ended = true;
                    continue;
                }
                Incoming::Answer(answer) => {
                    under_way -= 1;
                    answer?
                }
                Incoming::Line(number, bytes) => match self.read(grammar, &bytes) {
                    Ok(None) => continue,
                    Ok(Some(action)) if takes_time(&action) && !self.dry_run => {
                        under_way += 1;
                        let (root, tell, doubts) =
                            (root.clone(), tell.clone(), self.despite_doubts);
                        std::thread::spawn(move || {
                            let answer = answer(&root, grammar, &action, doubts, false);
                            drop(tell.send(Incoming::Answer(answer)));
                        });
                        continue;
                    }
                    Ok(Some(action)) => {
                        answer(root, grammar, &action, self.despite_doubts, self.dry_run)?
                    }
                    Err(wrong) => {
                        say(&format!("swarm-ctl: line {number}: {wrong}\n"));
                        status = Status::Trouble;
                        continue;
                    }
                },
            };
            if !answer.success {
                status = status.and(Status::No);
            }
            writeln!(out, "{}", answer.to_json())?;
            out.hand_on()?;
        }
        Ok(status)
    }

    /// Reads the input from now on, beside everything else.
    fn listen(&self, tell: Sender<Incoming>) {
        let texts = self.texts.clone();
        std::thread::spawn(move || {
            for (number, text) in texts.iter().enumerate() {
                drop(tell.send(Incoming::Line(number + 1, text.clone().into_bytes())));
            }
            if texts.is_empty() {
                let mut input = BufReader::new(std::io::stdin());
                for number in 1.. {
                    let mut line = Vec::new();
                    let mut limited = (&mut input).take(LINE as u64 + 1);
                    match limited.read_until(b'\n', &mut line) {
                        Ok(0) | Err(_) => break,
                        Ok(_) => {}
                    }
                    if line.len() > LINE && !line.ends_with(b"\n") {
                        drop(input.skip_until(b'\n'));
                    }
                    if tell.send(Incoming::Line(number, line)).is_err() {
                        return;
                    }
                }
            }
            drop(tell.send(Incoming::End));
        });
    }

    /// The action on a line; none on one that is blank, a comment or a result.
    fn read(
        &self,
        grammar: &Grammar,
        line: &[u8],
    ) -> std::result::Result<Option<StructuredAction>, String> {
        if line.len() > LINE {
            return Err(format!("longer than the limit of {LINE} bytes"));
        }
        let line = std::str::from_utf8(line).map_err(|error| error.to_string())?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        if !line.starts_with('{') {
            // Text is read where it is typed: with --do, or by protocol-parse.
            if self.texts.is_empty() {
                return Err("no action; text is read by protocol-parse, or with --do".to_owned());
            }
            let command = grammar.parse(line).map_err(|error| {
                let try_this = error.suggestion.as_ref();
                let try_this = try_this
                    .map(|line| format!("\ntry: {line}"))
                    .unwrap_or_default();
                format!("{error}{try_this}")
            })?;
            let action = command.into_action("", &mut Now);
            return action.map(Some).map_err(|error| error.to_string());
        }
        match Record::read(line, &mut Now, &grammar.words(false)) {
            Ok(Record::Action(action)) => Ok(Some(action)),
            Ok(Record::Result(_)) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Whether others should not wait for it.
fn takes_time(action: &StructuredAction) -> bool {
    action.verb == "run" && action.noun == "task" || action.verb == "merge"
}

/// Answers one action, and remembers the answer.
fn answer(
    root: &Root,
    grammar: &Grammar,
    action: &StructuredAction,
    despite_doubts: bool,
    dry: bool,
) -> Result<ActionResult> {
    let begun = Instant::now();
    let named = format!("{} {}", action.verb, action.noun);
    let id = action.correlation_id.as_str();
    let finished = |deed: &Deed, success: bool, message: String, effects: Vec<String>| {
        let mut data = deed.data.clone();
        if let Some(next) = &deed.next {
            data.insert("next", Value::from(next.as_str()));
        }
        ActionResult {
            success,
            message,
            data,
            execution_time: TimeDelta::from_millis(
                u64::try_from(begun.elapsed().as_millis()).unwrap_or(0),
            ),
            side_effects: effects,
            correlation_id: id.to_owned(),
            timestamp: Now.now().unwrap_or(action.timestamp),
            extra: Object::new(),
        }
    };
    if let Some(refused) = objection(grammar, action, despite_doubts) {
        let message = refused.message.clone();
        return Ok(finished(&refused, false, message, Vec::new()));
    }
    let looks = actions::only_looks(action);
    if !looks && let Some(before) = answered(root, id)? {
        return Ok(before);
    }
    let deed = actions::decide(
        action,
        &Known::look(root, looks || action.verb == "sync", id)?,
    );
    if dry || !deed.possible || deed.steps.is_empty() {
        let would = |step: &Step| format!("would {step}");
        let effects = deed.steps.iter().map(would).collect();
        let result = finished(&deed, deed.possible, deed.message.clone(), effects);
        // A refusal is not remembered: the same may be possible later.
        return Ok(result);
    }
    // A stop is no less a stop when the journal cannot be written, on a full disk.
    let in_any_case = deed.steps.iter().any(|step| matches!(step, Step::Hold(_)));
    let or_complain = |noted: Result<bool>| match noted {
        Err(error) if in_any_case => {
            error::complain("swarm-ctl", &error);
            Ok(true)
        }
        noted => noted,
    };
    if !looks && !or_complain(begin(root, &named, id, &deed))? {
        // Somebody else is at the same action, or was: what it answered counts.
        if let Some(before) = answered(root, id)? {
            return Ok(before);
        }
    }
    let (mut effects, mut failed) = (Vec::new(), None);
    let mut deed = deed;
    for step in std::mem::take(&mut deed.steps) {
        match deed::carry_out(root, &step, id)? {
            Ok(found) => {
                effects.push(step.to_string());
                if let Some((name, value)) = found {
                    deed.data.insert(name, value);
                }
            }
            Err(why) => {
                failed = Some(format!("{step}: {why}"));
                break;
            }
        }
    }
    if action.verb == "scale" {
        join(root, &deed, id)?;
    }
    let result = match failed {
        Some(why) => {
            deed.next.get_or_insert_with(|| "swarm-status".to_owned());
            finished(&deed, false, why, effects)
        }
        None => finished(&deed, true, deed.message.clone(), effects),
    };
    if !looks {
        let event = Event {
            at: journal::now(),
            correlation_id: id.to_owned(),
            what: What::Acted {
                action: named,
                result: result.to_json(),
            },
        };
        or_complain(note(root, event))?;
    }
    Ok(result)
}

/// Writes an event down; whether it had an effect.
fn note(root: &Root, event: Event) -> Result<bool> {
    let (effects, ()) = Journal::open(root)?.change(|_| (vec![event], ()))?;
    Ok(effects == [Effect::Applied])
}

/// Why an action is not to be carried out at all.
fn objection(grammar: &Grammar, action: &StructuredAction, despite_doubts: bool) -> Option<Deed> {
    let check = grammar.check_action(action);
    if let Some(error) = check.errors.first() {
        let pair = format!("{} {}", action.verb, action.noun);
        return Some(Deed::refuse(
            format!("{pair}: no command ({error}); nothing was done"),
            "protocol-parse --help",
        ));
    }
    let doubts: Vec<&str> = check.doubts().collect();
    (!despite_doubts && !doubts.is_empty()).then(|| {
        let what = doubts.join(", ");
        Deed::refuse(
            format!("a word looks like a slip ({what}); nothing was done"),
            "swarm-ctl --despite-doubts",
        )
    })
}

/// The answer that this action got before.
fn answered(root: &Root, id: &str) -> Result<Option<ActionResult>> {
    if id.is_empty() {
        return Ok(None);
    }
    let journal = Journal::read(root)?;
    let result = journal
        .state()
        .actions
        .get(id)
        .and_then(|known| known.result.as_ref());
    Ok(result.and_then(|line| ActionResult::read(line, &mut NoFill).ok()))
}

/// Writes down what was decided before it is done; false if the action was begun before.
fn begin(root: &Root, named: &str, id: &str, deed: &Deed) -> Result<bool> {
    let decided = deed.data.get("after").and_then(|after| match after {
        Value::Number(number) => Some(format!("to {}", number.as_str())),
        _ => None,
    });
    let event = Event {
        at: journal::now(),
        correlation_id: id.to_owned(),
        what: What::Acting {
            action: named.to_owned(),
            why: decided,
        },
    };
    Ok(note(root, event)? || id.is_empty())
}

/// Those for whom trees were made join the swarm.
fn join(root: &Root, deed: &Deed, id: &str) -> Result<()> {
    let Some(Value::Array(made)) = deed.data.get("worktree-spawn") else {
        return Ok(());
    };
    let names = made.iter().filter_map(|instance| match instance {
        Value::Object(instance) => instance.get("instance_id")?.as_str().map(str::to_owned),
        _ => None,
    });
    let names: Vec<String> = names.collect();
    Journal::open(root)?.change(|state| {
        let joined = |agent: &String| Event {
            at: journal::now(),
            correlation_id: id.to_owned(),
            what: What::Joined {
                agent: agent.clone(),
                epoch: state.agents.get(agent).map_or(0, |known| known.epoch) + 1,
            },
        };
        (names.iter().map(joined).collect(), ())
    })?;
    Ok(())
}
