//! Who does what, in which order, and why.
//!
//! **For**: turning tasks that wait for each other, exclude each other and need certain agents into
//! a plan; saying how good that plan is and why each task stands where it stands; mending it when
//! an agent fails.
//!
//! **Promises**: equal input gives equal bytes, on every machine, since effort is counted in steps
//! and not by a clock; every plan keeps every edge, lock, pool, capability and pin ([`Problem::check`]
//! shares no code with what makes plans); the lower bound is never above the best possible plan;
//! nothing recurses over its input, and above some thousand tasks nothing is quadratic.
//!
//! **Does not**: read lists (that is [`crate::task`]), keep leases, or know what time it is.
//!
//! The numeric core knows durations, edges, machines, locks and pools and nothing else:
//! [`Problem::new`] checks and lays out, [`solve`] searches, [`lower_bound`] says what cannot be beaten.
//! Above it, [`plan()`] makes a [`Plan`] from a [`crate::task::List`], [`replan()`] mends one, and the
//! rest shows it to people: tables, diagrams, a chart.

mod agents;
mod anew;
mod bound;
mod build;
mod diff;
mod gantt;
mod history;
mod plan;
mod problem;
mod render;
mod replan;
mod schedule;
mod search;
mod strategy;

pub use agents::Agent;
pub use anew::whole;
pub use bound::{Bound, Reason};
pub use build::{
    Alternative, Case, Options, PlanError, Pool, WhatIf, alternatives, compare, glob, plan,
    summary, what_if,
};
pub use diff::{Change, Difference, diff};
pub use gantt::svg;
pub use history::co_changes;
pub use plan::{Plan, PlannedEdge, PlannedTask, Resource, Strategy, human, iso};
pub use problem::{Group, Input, Machine, Problem, ProblemError, Rows, Use};
pub use render::{dot, matrix, mermaid, table, tsv, why};
pub use replan::{Failure, Recovery, ReplanError, Replanned, State, TaskState, replan};
pub use schedule::{Flaw, Schedule};
pub use search::{Effort, Solution, lower_bound, priorities, solve};

#[cfg(test)]
mod tests;
