//! The one place that turns typed errors into words and an exit status.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;

use super::Tool;
use super::manual;
use crate::id::{AgentName, IdError};
use crate::{bus, integrate, run, spool, swarm, workspace};

/// How a run ended, or what stopped it.
pub type Result<T = Status> = anyhow::Result<T>;

/// The exit statuses that all commands share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 0: done, yes.
    Done,
    /// 1: the honest no: nothing to receive, not valid, not clean, conflict.
    No,
    /// 2: trouble: usage, bad input, failed I/O.
    Trouble,
    /// 3: a name that nobody here bears; nothing was done.
    Unknown,
    /// 4: too late: somebody else won, or the epoch is over.
    Late,
    /// 5: refused to protect work or people.
    Refused,
    /// 75: not now, try again.
    TryAgain,
    /// 124: `--timeout` passed.
    TimedOut,
    /// What the command that we ran ended with: 125–127, 128+N, or its own status.
    Child(u8),
}

impl Status {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Status::Done => 0,
            Status::No => 1,
            Status::Trouble => 2,
            Status::Unknown => 3,
            Status::Late => 4,
            Status::Refused => 5,
            Status::TryAgain => 75,
            Status::TimedOut => 124,
            Status::Child(code) => code,
        }
    }

    /// The worse of two, for a run over many records: trouble beats the honest no, which beats done.
    pub fn and(self, other: Status) -> Status {
        let rank = |status: Status| match status {
            Status::Done => 0,
            Status::No => 1,
            _ => 2,
        };
        if rank(other) > rank(self) {
            other
        } else {
            self
        }
    }
}

/// The rows of EXIT STATUS that every manual has.
pub const SHARED: &[(u8, &str)] = &[
    (0, "Done, yes."),
    (1, "The honest no: nothing to receive, not valid, conflict."),
    (
        2,
        "Trouble: usage, bad input, failed input or output; standard error says which.",
    ),
];

/// An error with the status it ends the command with, and the next thing to type.
///
/// For what a command itself finds wrong; the errors of the library are matched in `status_of`.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub status: Status,
    /// What failed and why: lower case, no full stop.
    pub message: String,
    /// What to type next; a line each.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(status: Status, message: impl Into<String>) -> Failure {
        Failure {
            status,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// Bad usage that clap could not see: status 2.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Status::Trouble, message)
    }

    /// The same with one more hint line.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hints.push(hint.into());
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The status and the hints of an error, from its type.
fn status_of(error: &anyhow::Error) -> (Status, Vec<String>) {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return (failure.status, failure.hints.clone());
        }
        if let Some(failure) = cause.downcast_ref::<swarm::Error>() {
            return swarm_status(failure);
        }
        if let Some(failure) = cause.downcast_ref::<spool::Error>() {
            return spool_status(failure);
        }
        if let Some(failure) = cause.downcast_ref::<workspace::Error>() {
            return workspace_status(failure);
        }
        if let Some(failure) = cause.downcast_ref::<integrate::Error>() {
            return integrate_status(failure);
        }
        if let Some(failure) = cause.downcast_ref::<IdError>() {
            // The case twin of a name is the one slip that is no name at all.
            let lower = failure.text.trim().to_lowercase();
            let twin = lower
                .parse::<AgentName>()
                .ok()
                .filter(|_| failure.what == "an agent name");
            let hint = twin.map(|name| format!("did you mean {name}?"));
            return (Status::Trouble, hint.into_iter().collect());
        }
        if let Some(failure) = cause.downcast_ref::<run::Error>() {
            return run_status(failure);
        }
        if let Some(failure) = cause.downcast_ref::<bus::Error>() {
            return bus_status(failure);
        }
        // Each room's error type has its arm here.
    }
    (Status::Trouble, Vec::new())
}

/// The status that an error ends a command with.
pub fn status(error: &anyhow::Error) -> Status {
    status_of(error).0
}

fn spool_status(error: &spool::Error) -> (Status, Vec<String>) {
    use spool::Error::*;
    let (status, hint) = match error {
        NoMailbox { nearest, .. } if nearest.is_empty() => (Status::Unknown, None),
        NoMailbox { nearest, .. } => {
            let hint = format!("did you mean {}?", nearest.join(" or "));
            (Status::Unknown, Some(hint))
        }
        NoMessage { .. } => (
            Status::Unknown,
            Some(
                "spore-recv --list shows what waits and is held, --dead what was given up"
                    .to_owned(),
            ),
        ),
        LeaseLost { .. } => (Status::Late, None),
        Opening { .. } => (
            Status::TryAgain,
            Some("what stands in it waits: spore-recv --list shows it; try again".to_owned()),
        ),
        Unsafe { .. } => (
            Status::Refused,
            Some("spore-recv --doctor says more".to_owned()),
        ),
        NotAccepted { .. } => (
            Status::TryAgain,
            Some("nothing was sent; try again".to_owned()),
        ),
        Unconfirmed { id, .. } => (
            Status::TryAgain,
            Some(format!(
                "try again with --id {id}: it will not arrive twice"
            )),
        ),
        Io { .. } => (Status::Trouble, None),
    };
    (status, hint.into_iter().collect())
}

fn bus_status(error: &bus::Error) -> (Status, Vec<String>) {
    use bus::Error;
    let (status, hint) = match error {
        Error::Spool(error) => return spool_status(error),
        Error::Swarm(error) => return swarm_status(error),
        Error::Away { .. } => (Status::TryAgain, None),
        Error::Denied { .. } => (
            Status::Refused,
            Some(
                "waiting will not mend it: look at user, password, ?ca=FILE and ?cert=FILE&key=FILE",
            ),
        ),
        Error::TooLong { .. } => (Status::Trouble, Some("--max BYTES refuses it earlier")),
        Error::Address { .. } | Error::Unfit { .. } | Error::Io { .. } => (Status::Trouble, None),
    };
    (status, hint.map(str::to_owned).into_iter().collect())
}

fn swarm_status(error: &swarm::Error) -> (Status, Vec<String>) {
    let status = match error {
        swarm::Error::Unknown { .. } => Status::Unknown,
        swarm::Error::Contradiction { .. } => Status::Refused,
        _ => Status::Trouble,
    };
    (status, error.next_step().into_iter().collect())
}

fn workspace_status(error: &workspace::Error) -> (Status, Vec<String>) {
    use workspace::Error;
    match error {
        Error::Swarm(error) => swarm_status(error),
        Error::Spool(error) => spool_status(error),
        Error::Taken(_) => (Status::Late, vec!["worktree-spawn --list".to_owned()]),
        Error::Refused { hint, .. } => (Status::Refused, vec![hint.clone()]),
        Error::Unknown { nearest, .. } => {
            let hints = nearest.iter().map(|name| format!("did you mean {name:?}?"));
            (Status::Unknown, hints.collect())
        }
        _ => (Status::Trouble, Vec::new()),
    }
}

fn integrate_status(error: &integrate::Error) -> (Status, Vec<String>) {
    use integrate::Error;
    match error {
        Error::Swarm(error) => swarm_status(error),
        Error::Workspace(error) => workspace_status(error),
        Error::Unknown { nearest, .. } => {
            let hints = nearest.iter().map(|name| format!("did you mean {name:?}?"));
            (Status::Unknown, hints.collect())
        }
        Error::Refused { hint, .. } => (Status::Refused, vec![hint.clone()]),
        Error::Usage { hint, .. } => (Status::Trouble, vec![hint.clone()]),
        Error::Busy { .. } => (Status::TryAgain, vec!["try again in a while".to_owned()]),
        Error::Signal(signal) => {
            let code = u8::try_from(128 + signal).unwrap_or(255);
            (Status::Child(code), Vec::new())
        }
        Error::Io { .. } => (Status::Trouble, Vec::new()),
    }
}

fn run_status(error: &run::Error) -> (Status, Vec<String>) {
    use run::agents::Unknown;
    let near = |nearest: &[String]| -> Vec<String> {
        let hints = nearest.iter().map(|name| format!("did you mean {name:?}?"));
        hints.collect()
    };
    match error {
        run::Error::Swarm(error) => swarm_status(error),
        run::Error::Workspace(error) => workspace_status(error),
        run::Error::Busy(_) => (Status::TryAgain, vec!["swarm-status".to_owned()]),
        run::Error::Held(_) => (
            Status::TryAgain,
            vec!["swarm-ctl --do 'resume swarm'".to_owned()],
        ),
        run::Error::Late { .. } => (
            Status::Late,
            vec!["swarm-assign next | agent-run".to_owned()],
        ),
        run::Error::Unknown(Unknown::Command { nearest, .. }) => (Status::Unknown, near(nearest)),
        run::Error::Unknown(Unknown::Stream { nearest, .. }) => (Status::Trouble, near(nearest)),
        _ => (Status::Trouble, Vec::new()),
    }
}

/// Whether an error is a reader that left, which is not an error.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|io| io.kind() == io::ErrorKind::BrokenPipe)
}

/// Reports on standard error: `tool: what failed: why`, then the hints. For runs that go on.
pub fn complain(tool: &str, error: &anyhow::Error) -> Status {
    let (status, hints) = status_of(error);
    let mut text = format!("{tool}: {error:#}\n");
    for hint in hints {
        text.push_str(&format!("hint: {hint}\n"));
    }
    say(&text);
    status
}

/// Writes a message for a person to standard error; if that is gone, there is nobody to tell.
/// Control characters that came in from outside are shown escaped.
pub fn say(text: &str) {
    drop(io::stderr().lock().write_all(shown(text).as_bytes()));
}

/// `text` as a terminal may see it: control and hidden characters escaped (CWE-150).
pub fn shown(text: &str) -> String {
    super::output::escaped(text, &['\n', '\t'])
}

/// Characters that change how others are shown without being seen: bidirectional controls and
/// zero-width characters (CWE-150, Trojan Source).
pub fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Turns the outcome of a run and of the last flush into the exit code.
pub(super) fn exit(tool: &str, outcome: Result, flushed: io::Result<()>) -> ExitCode {
    let outcome = match (outcome, flushed) {
        (Ok(_), Err(failed)) => Err(anyhow::Error::new(failed).context("standard output")),
        (outcome, _) => outcome,
    };
    let status = match outcome {
        Ok(status) => status,
        Err(error) if is_closed_pipe(&error) => Status::Done,
        Err(error) => complain(tool, &error),
    };
    ExitCode::from(status.code())
}

/// What clap has to say: help and version go to standard output with status 0, the rest is usage.
pub(super) fn usage<T: Tool>(error: clap::Error) -> ExitCode {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if error.kind() == ErrorKind::DisplayHelp && std::env::args_os().any(|arg| arg == "--help") {
        // Parsed again with the examples, which a normal run does not build.
        if let Err(full) = manual::with_examples(T::command(), &T::MANUAL).try_get_matches() {
            drop(full.print());
        }
    } else {
        drop(error.print());
    }
    ExitCode::from(if asked {
        Status::Done.code()
    } else {
        Status::Trouble.code()
    })
}

/// Prints the short help on standard error: standard input was needed and is a terminal.
pub fn no_input<T: Tool>() -> Failure {
    drop(write!(io::stderr(), "{}", T::command().render_help()));
    Failure::usage("standard input is a terminal, and nothing else was given to read")
}

/// Whether standard error is a terminal, where progress may be shown.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether standard error takes colour (no-color.org, bixense.com/clicolors).
pub fn stderr_has_color(when: super::args::ColorWhen) -> bool {
    has_color(when, stderr_is_terminal())
}

/// Whether standard output takes colour.
pub fn stdout_has_color(when: super::args::ColorWhen) -> bool {
    has_color(when, io::stdout().is_terminal())
}

fn has_color(when: super::args::ColorWhen, is_terminal: bool) -> bool {
    use super::args::ColorWhen;
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto if is_set("NO_COLOR") => false,
        ColorWhen::Auto => is_set("CLICOLOR_FORCE") || is_terminal,
    }
}

/// Whether standard input is a terminal.
pub fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}
