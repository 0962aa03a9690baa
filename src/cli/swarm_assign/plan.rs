//! `plan`: who does what, in which order.

use std::io::Write;

use clap::Args;

use super::lists::{CrewArgs, ListArgs, WishArgs};
use crate::assign::{self, Options, Plan, Strategy, human};
use crate::cli::args::RootArgs;
use crate::cli::error::say;
use crate::cli::{Out, Result, Status};
use crate::swarm;

/// Above so many tasks a table does not say what the other strategies would give.
const COMPARED: usize = 1000;

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    lists: ListArgs,
    #[command(flatten)]
    crew: CrewArgs,
    #[command(flatten)]
    wish: WishArgs,
    #[command(flatten)]
    form: FormArgs,
    /// Put the plan in force as well
    #[arg(long)]
    adopt: bool,
}

/// How a plan is written.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct FormArgs {
    /// Print one JSON object: a DistributionPlan, then what else is known
    #[arg(long)]
    json: bool,
    /// Print one line a task with tabs between the columns
    #[arg(long)]
    tsv: bool,
    /// Print a Mermaid flow chart
    #[arg(long)]
    mermaid: bool,
    /// Print a graph for Graphviz
    #[arg(long)]
    dot: bool,
    /// Print a Gantt chart as SVG
    #[arg(long, alias = "gantt")]
    svg: bool,
    /// Print a job matrix for CI: one job for each agent that has work
    #[arg(long)]
    matrix: bool,
}

impl FormArgs {
    /// Whether it is the table for people.
    pub(super) fn is_table(&self) -> bool {
        !(self.json || self.tsv || self.mermaid || self.dot || self.svg || self.matrix)
    }

    /// The plan in this form.
    pub(super) fn of(&self, plan: &Plan) -> String {
        if self.json {
            plan.to_json() + "\n"
        } else if self.tsv {
            assign::tsv(plan)
        } else if self.mermaid {
            assign::mermaid(plan)
        } else if self.dot {
            assign::dot(plan)
        } else if self.svg {
            assign::svg(plan)
        } else if self.matrix {
            assign::matrix(plan) + "\n"
        } else {
            assign::table(plan)
        }
    }
}

/// Makes a plan and prints it.
pub(super) fn run(
    args: PlanArgs,
    root: impl FnOnce(RootArgs) -> Result<swarm::Root>,
    out: &mut Out,
) -> Result {
    let at = args.lists.root();
    let mut ready = args.lists.read()?;
    if ready.complain() {
        return Ok(Status::Trouble);
    }
    let mut options = ready.options(args.crew, args.wish)?;
    let plan = match ready.plan(&mut options)? {
        Ok(plan) => plan,
        Err(status) => return Ok(status),
    };
    if args.adopt {
        let id = uuid::Uuid::new_v4().to_string();
        swarm::plan::Plan::adopt(&root(at)?, &plan.to_json(), &id)?;
    }
    out.write_all(args.form.of(&plan).as_bytes())?;
    if args.form.is_table() {
        if let Some(line) = others(&ready.list, &options, &plan) {
            writeln!(out, "{line}")?;
        }
    } else {
        for warning in plan
            .warnings
            .iter()
            .filter(|w| w.starts_with("strict order:"))
        {
            say(&format!("swarm-assign: {warning}\n"));
        }
    }
    Ok(Status::Done)
}

/// What the other strategies would give.
fn others(list: &crate::task::List, options: &Options, plan: &Plan) -> Option<String> {
    if plan.tasks.len() < 2 || plan.tasks.len() > COMPARED || plan.agents.len() < 2 {
        return None;
    }
    let mut said = Vec::new();
    for strategy in Strategy::ALL
        .into_iter()
        .filter(|s| *s != plan.strategy_used)
    {
        let options = Options {
            strategy,
            ..options.clone()
        };
        let (makespan, bound) = assign::Case::new(list, &options).ok()?.figures();
        said.push(format!(
            "{} {} ({:+.1} % of the bound)",
            strategy.name(),
            human(makespan),
            (makespan as f64 / bound.max(1) as f64 - 1.0) * 100.0,
        ));
    }
    Some(format!("other strategies: {}", said.join(", ")))
}
