//! `fake-agent`: an agent that does what a script says.

use std::io::Read;

use super::error::{Failure, stdin_is_terminal};
use super::{Example, Manual, Out, Result, Status, Tool};
use crate::id;
use crate::run::agents::Stream;
use crate::run::fake;

const MANUAL: Manual = Manual {
    description: "\
`fake-agent` behaves like a coding agent: it works, commits, talks in the words and records of the
real ones, and goes wrong in every way that they do, as a script says. It never uses a network, and the
same script or seed does the same each time. It is for tests and demonstrations of whatever runs
agents, `agent-run` or something else.

The script is what `--script` says; else the one that `--seed` stands for; else FAKE_AGENT_SCRIPT; else
what stands behind `fake-agent:` in a line of the prompt on standard input; else `work; commit; done`.

Steps are separated by `;` or newlines; after the last one it ends well:

    work [N]             change N files (1) below work/
    write PATH [TEXT]    write a file
    commit [MESSAGE]     commit everything
    say TEXT             say something
    turn [N]             count N turns (1)
    spend USD            spend money
    done [TEXT]          say that it is done, and end
    lie                  the same, having done nothing
    half                 write half a file, do not commit it, say that it is done
    mention              answer with words about 429 and limits, which is no limit
    limit [DURATION]     be at the usage limit for that long (1h), and end
    deny [COMMAND]       be not allowed a command (cargo test), give up, end well
    ask [TEXT]           ask a person, and end well
    fail [TEXT]          tell an error, and end with 1
    exit N, die [SIGNAL] end with N; kill itself (9)
    hang                 wait for ever
    think DURATION       wait
    spin DURATION        use a core
    eat SIZE             take memory
    flood SIZE           print that many bytes
    leave [N]            leave N processes behind (1), in sessions of their own
    deaf                 ignore SIGTERM, SIGINT, SIGHUP from here on
    garble               print bytes that are no text, and torn records
    lock                 leave git's index.lock, as a killed git does",
    input: "The prompt, read to its end unless it is a terminal.",
    output: "The words or the event stream of the agent that `--style` names.",
    exit_status: &[
        (0, "The script ended well, or the agent would have said so."),
        (1, "`limit` and `fail`, where the real command ends so."),
    ],
    environment: &[
        ("FAKE_AGENT_SCRIPT", "The script, if no option says."),
        (
            "SPORE_TASK SPORE_EPOCH",
            "The task, which its files are named after, and the try of it: a seed stands for another script in each.",
        ),
        (
            "FAKE_AGENT_LEDGER",
            "A file to note each file in that it writes, as `path` and `text`.",
        ),
    ],
    files: &[],
    examples: &[
        Example {
            says: "An agent that works, and one that only says so",
            session: r#"
$ git init -q
$ fake-agent --script 'work 2; commit; done' < /dev/null
Done. Everything works.
$ git log --format=%an:%s --name-only
fake-agent:work

work/fake-1.txt
work/fake-2.txt
$ echo 'Please. fake-agent: lie' | fake-agent
Done. I changed the code, and all tests pass.
"#,
        },
        Example {
            says: "The records of a real one",
            session: r#"
$ fake-agent --style codex --script 'limit 90m' < /dev/null || echo "status $?"
{"type":"thread.started","thread_id":"fake"}
{"type":"turn.started"}
{"type":"error","message":"You've hit your usage limit. Upgrade to Pro or try again in 1 hours 30 minutes."}
{"type":"turn.failed","error":{"message":"You've hit your usage limit. Upgrade to Pro or try again in 1 hours 30 minutes."}}
status 1
"#,
        },
        Example {
            says: "What a seed stands for",
            session: r#"
$ fake-agent --seed 7 --dry-run
turn; work 1; commit; turn; done
"#,
        },
    ],
    see_also: &["agent-run(1)", "swarm-torture(1)"],
};

/// Behave like a coding agent, as a script says
#[derive(Debug, clap::Parser)]
#[command(name = "fake-agent", version)]
pub struct Args {
    /// What to do
    #[arg(long, value_name = "STEPS")]
    script: Option<String>,

    /// Do what this number stands for
    #[arg(long, value_name = "N", conflicts_with = "script")]
    seed: Option<u64>,

    /// Talk like this command: plain, claude, codex, gemini, opencode, kiro, aider
    #[arg(long, value_name = "NAME", default_value = "plain", value_parser = style)]
    style: Stream,

    /// Print the script and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Passed over, so that the flags of a real command do no harm
    #[arg(
        value_name = "ANYTHING",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    anything: Vec<String>,
}

fn style(name: &str) -> std::result::Result<Stream, String> {
    Stream::named(name).ok_or_else(|| {
        let near = id::nearest(name, Stream::ALL.iter().map(|(name, _)| *name));
        match near.first() {
            Some(near) => format!("nobody talks like {name:?} (did you mean {near:?}?)"),
            None => format!("nobody talks like {name:?}"),
        }
    })
}

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        drop(self.anything);
        let script = match (self.script, self.seed) {
            (Some(script), _) => script,
            (None, Some(seed)) => match variable("SPORE_TASK") {
                Some(task) => {
                    let epoch = variable("SPORE_EPOCH").unwrap_or_default();
                    fake::by_seed(fake::seed_of(seed, &task, &epoch))
                }
                None => fake::by_seed(seed),
            },
            (None, None) => script_from_outside()?,
        };
        let steps = fake::read(&script).map_err(Failure::usage)?;
        if self.dry_run {
            use std::io::Write;
            writeln!(out, "{script}")?;
            return Ok(Status::Done);
        }
        let name = name(variable("FAKE_AGENT_LEDGER").is_some());
        let tree = std::env::current_dir()?;
        let mut err = Out::stderr();
        let mut actor = fake::Actor::new(
            self.style,
            &name,
            &tree,
            std::env::current_exe()?,
            out,
            &mut err,
        );
        actor.ledger = variable("FAKE_AGENT_LEDGER").map(Into::into);
        let status = actor.act(&steps)?;
        Ok(Status::Child(u8::try_from(status & 0xff).unwrap_or(1)))
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What files are named after: the task; where they are counted, the very process too.
fn name(counted: bool) -> String {
    let task = variable("SPORE_TASK").unwrap_or_else(|| "fake".to_owned());
    match counted {
        true => {
            let run = variable("SPORE_RUN").unwrap_or_default();
            format!("{task}-{run}-{}", std::process::id())
        }
        false => task,
    }
}

fn script_from_outside() -> Result<String> {
    if let Ok(script) = std::env::var("FAKE_AGENT_SCRIPT") {
        return Ok(script);
    }
    let mut prompt = Vec::new();
    if !stdin_is_terminal() {
        std::io::stdin().read_to_end(&mut prompt)?;
    }
    let prompt = String::from_utf8_lossy(&prompt);
    let script = prompt
        .lines()
        .find_map(|line| line.split_once("fake-agent:"));
    Ok(script
        .map_or("work; commit; done", |(_, script)| script.trim())
        .to_owned())
}
