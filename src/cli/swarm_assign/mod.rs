//! `swarm-assign`: who does what, in which order.

use super::{Manual, Out, Result, Tool};

pub mod claim;
mod lists;
mod manual;
mod plan;

/// Decide who does what, in which order
#[derive(Debug, clap::Parser)]
#[command(name = "swarm-assign", version)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
#[allow(clippy::large_enum_variant)] // there is only ever one
enum Verb {
    /// Say who does what, in which order: a table, or another form
    Plan(plan::PlanArgs),
    #[command(flatten)]
    Claim(claim::Verb),
}

impl Tool for Args {
    const MANUAL: Manual = manual::MANUAL;

    fn run(self, out: &mut Out) -> Result {
        match self.verb {
            Verb::Plan(args) => plan::run(args, claim::root, out),
            Verb::Claim(verb) => claim::run(verb, out),
        }
    }
}
