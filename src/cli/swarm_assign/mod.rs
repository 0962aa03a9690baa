//! `swarm-assign`: who does what, in which order.

use super::{Manual, Out, Result, Tool};

pub mod claim;

const MANUAL: Manual = Manual {
    description: "\
Gives out the tasks of the plan in force, each to one agent at a time, and takes them back.

A claim holds until its lease ends: on the clock since boot, which nobody sets, or at once when the
process dies that holds it. Each claim of a task has a number, its epoch. What comes from an earlier
one is recorded and has no effect.

Everything is written to the journal; what a swarm knows is a fold over it. A process killed at any
instant leaves nothing to repair.",
    input: "\
A plan is one JSON object with `plan_id`, `tasks`, `agents` and `resources`; other fields are passed
over. Of a task `id`, `title`, `agent`, `duration_ms`, `after`, `touches`, `needs` and `only` count; of
a resource `name`, `capacity`, `tasks` and `whole`.",
    output: "\
`next` prints the task as one JSON line: the fields of a Task, then `v`, `type`, `plan_id`, `epoch`,
`lease_ms` (what is left of the lease), `touches`, `source` and `correlation_id`. `fail` says what
follows. `adopt` prints the id of the plan. The others print nothing.",
    exit_status: &[
        (1, "Nothing is ready; somebody else has the file."),
        (3, "Nobody here bears that name, or no task of the plan does."),
        (4, "Too late: the claim is over. It is recorded and has no effect."),
        (5, "The name is not that of the worktree one stands in."),
        (124, "Nothing became ready within `--timeout`."),
    ],
    environment: &[
        ("SPORE_ROOT", "The swarm's directory, if `--root` does not say."),
        ("SPORE_AGENT", "The agent, if neither worktree nor `--agent` says."),
        ("SPORE_TASK", "The task, if no operand says."),
        ("SPORE_EPOCH", "Which claim of it, if `--epoch` does not say."),
        ("SPORE_RUN", "The run, if `--run` does not say."),
    ],
    files: &[
        ("REPOSITORY.swarm/plan.json", "The plan in force."),
        ("REPOSITORY.swarm/journal/events.jsonl", "What happened."),
        ("swarm.toml", "`lease` and `retries` in the table `plan`."),
    ],
    examples: claim::EXAMPLES,
    see_also: &["sporekit(7)", "worktree-spawn(1)", "agent-run(1)"],
};

/// Decide who does what, in which order
#[derive(Debug, clap::Parser)]
#[command(name = "swarm-assign", version)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    #[command(flatten)]
    Claim(claim::Verb),
}

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        match self.verb {
            Verb::Claim(verb) => claim::run(verb, out),
        }
    }
}
