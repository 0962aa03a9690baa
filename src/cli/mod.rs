//! The commands: arguments, run, manual text.
//!
//! **For**: one file a command. Each opens with its manual, then its arguments, then its run; what
//! it does stands in the rooms of the library. This is the only room that reads the environment
//! for settings, prints, and chooses exit statuses.
//!
//! **Promises**: standard output carries results and nothing else; a reader that leaves is not an
//! error; every error reads `tool: what failed: why`, with a `hint:` line where there is a next
//! step ([`error`] is the one place that turns typed errors into words and a status).
//!
//! **Does not**: decide anything that another command might need.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub mod agent_run;
pub mod args;
pub mod error;
pub mod fake_agent;
pub mod input;
pub mod lines;
mod look;
mod mail;
mod mail_bus;
mod mail_items;
mod mail_sign;
pub mod manual;
pub mod output;
pub mod protocol_parse;
pub mod protocol_print;
pub mod spore_read;
pub mod spore_recv;
pub mod spore_relay;
pub mod spore_send;
pub mod swarm_assign;
pub mod swarm_ctl;
pub mod swarm_merge;
pub mod swarm_status;
pub mod swarm_torture;
mod words;
pub mod worktree_reap;
mod worktree_show;
pub mod worktree_spawn;

pub use error::{Result, Status};
pub use manual::{Example, Manual};
pub use output::Out;

/// A command: its arguments are the type, its manual a constant, its work one function.
pub trait Tool: Parser {
    /// What its man page says beyond the options.
    const MANUAL: Manual;

    /// Does the work and says how it ended.
    fn run(self, out: &mut Out) -> Result;
}

/// A whole program: parse, run, report. Each `src/bin/*.rs` is a call of this.
pub fn main<T: Tool>() -> ExitCode {
    // As `T::try_parse`, but the command is built once: that is half of what a start costs.
    let mut command = T::command();
    let parsed = command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|mut matches| T::from_arg_matches_mut(&mut matches))
        .map_err(|error| error.format(&mut command));
    let args = match parsed {
        Ok(args) => args,
        Err(usage) => return error::usage::<T>(usage),
    };
    let mut out = Out::stdout();
    let outcome = args.run(&mut out);
    let flushed = out.finish();
    error::exit(command.get_name(), outcome, flushed)
}

/// Every command of this crate with its manual, for man pages, completions and the tests that hold
/// their examples.
pub fn commands() -> Vec<(clap::Command, Manual)> {
    vec![
        entry::<agent_run::Args>(),
        entry::<fake_agent::Args>(),
        entry::<protocol_parse::Args>(),
        entry::<protocol_print::Args>(),
        entry::<spore_recv::Args>(),
        entry::<spore_relay::Args>(),
        entry::<spore_send::Args>(),
        entry::<swarm_assign::Args>(),
        entry::<swarm_ctl::Args>(),
        entry::<swarm_merge::Args>(),
        entry::<swarm_status::Args>(),
        entry::<swarm_torture::Args>(),
        entry::<worktree_reap::Args>(),
        entry::<worktree_spawn::Args>(),
    ]
}

/// The pair that [`commands`] lists for one tool.
fn entry<T: Tool + CommandFactory>() -> (clap::Command, Manual) {
    (manual::with_examples(T::command(), &T::MANUAL), T::MANUAL)
}
