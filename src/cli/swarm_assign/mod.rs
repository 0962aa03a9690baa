//! `swarm-assign`: who does what, in which order.

use super::{Manual, Out, Result, Tool};

pub mod change;
pub mod claim;
mod explain;
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
    /// Say what the plan would take with fewer or more agents
    WhatIf(explain::WhatIfArgs),
    /// Say what is wrong or doubtful about lists; status 2 if they can't be planned
    Check(explain::CheckArgs),
    /// Say all there is to say about one task of a plan
    Why(explain::WhyArgs),
    /// List what waits for what, and what may not run together, each with its reason
    Edges(explain::EdgesArgs),
    /// Say what is different between two plans; status 1 if anything is
    Diff(explain::DiffArgs),
    /// Make a new plan after failures, for new agents, or under overload
    Replan(change::ReplanArgs),
    /// Tick the boxes of finished tasks in their lists
    Tick(change::TickArgs),
    #[command(flatten)]
    Claim(claim::Verb),
}

impl Tool for Args {
    const MANUAL: Manual = manual::MANUAL;

    fn run(self, out: &mut Out) -> Result {
        match self.verb {
            Verb::Plan(args) => plan::run(args, claim::root, out),
            Verb::WhatIf(args) => explain::what_if(args, out),
            Verb::Check(args) => explain::check(args, out),
            Verb::Why(args) => explain::why(args, out),
            Verb::Edges(args) => explain::edges(args, out),
            Verb::Diff(args) => explain::diff(args, out),
            Verb::Replan(args) => change::replan(args, out),
            Verb::Tick(args) => change::tick(args, out),
            Verb::Claim(verb) => claim::run(verb, out),
        }
    }
}
