//! The loop of `swarm-ctl run` as a shell script over the other commands.

use super::conduct::{RunArgs, Until, agent_run_args};
use crate::health::shell;
use crate::swarm::Root;

/// What stays the same; `@WORDS@` are filled in.
const SCRIPT: &str = r#"#!/bin/sh
# What `swarm-ctl run` does, over the other commands: for each agent the best task that is ready,
# agent-run on it, a new plan if that did not go well, again. Kill it at any time and start it again:
# everything is in the journal.
set -u
export SPORE_ROOT=@ROOT@
cd @TOP@ || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

# May something begin? Not after the time, nor over the budget, nor while memory is short or
# processes wait for it.
short() {
	{ [ -r /proc/meminfo ] &&
		[ "$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -lt @MEMORY@ ]; } ||
	{ [ -r /proc/pressure/memory ] &&
		[ "$(sed -n 's/^some avg10=\([0-9]*\).*/\1/p' /proc/pressure/memory)" -ge @PRESSURE@ ]; }
}
nothing_runs() {
	swarm-status --quiet --wait-for tasks.claimed=0 --timeout 0s 2> /dev/null
}
goes_on() {
@LIMITS@	while short && ! nothing_runs; do sleep 1; done
}

# Runs a command so that a stop of the script reaches it.
child=
await() {
	"$@" &
	child=$!
	wait "$child"
	status=$?
	child=
	return "$status"
}

work_on() {
	@RUN@
}

# One agent after its tasks, until `next` says that nothing is left that goes without a person.
follow() {
	trap 'trap "" TERM; [ -z "$child" ] || kill -TERM "$child"; wait; exit 143' TERM
	agent=$1 slot=$2
	while goes_on; do
		await swarm-assign next --agent "$agent" --wait --timeout 60s --holder "$$" \
			> "$work/$agent" 2> "$work/$agent.why"
		case $? in
		0) await work_on || swarm-assign replan --adopt > /dev/null 2>&1 ;;
		124) ;;
		*) cat "$work/$agent.why" >&2; return ;;
		esac
	done
}

@ADOPT@agent-run --settle
loops= number=0
for agent in @AGENTS@; do
	follow "$agent" $((number % @JOBS@)) &
	loops="$loops $!" number=$((number + 1))
done
trap 'trap "" TERM INT HUP; kill -TERM $loops; wait; exit 143' TERM INT HUP
wait
swarm-status --quiet --wait-for 'tasks.claimed=0,tasks.ready=0,tasks.waiting=0,tasks.later=0,tasks.human=0' \
	--timeout 0s 2> /dev/null && exit 0
swarm-status
exit 1
"#;

/// The script. It needs the other commands on the search path, and flock(1) for `--jobs`.
pub(super) fn script(
    root: &Root,
    agents: &[String],
    args: &RunArgs,
    until: Until,
    jobs: Option<usize>,
) -> String {
    let top = root
        .repository()
        .and_then(|repository| repository.top.clone());
    let top = top.map_or_else(|| ".".to_owned(), |top| top.display().to_string());
    let mut limits = String::new();
    if let Until::Time(time) = until {
        limits += &format!(
            "\t[ \"$(date +%s)\" -lt {} ] || return 1\n",
            time.as_second()
        );
    }
    if let Some(usd) = args.max_usd {
        limits += "\tspent=$(swarm-status --json | sed -n '1s/.*\"plan_usd_micros\":\\([0-9]*\\).*/\\1/p')\n";
        // As much for each, so that all together stay within it.
        let each = jobs.unwrap_or(agents.len()).min(agents.len()).max(1);
        limits += &format!(
            "\tshare=$((({} - ${{spent:-0}}) / {each}))\n",
            (usd * 1e6) as u64
        );
        limits += "\t[ \"$share\" -gt 0 ] || return 1\n";
    }
    let adopt = args
        .plan
        .as_deref()
        .filter(|plan| *plan != "-")
        .map(|plan| {
            let plan = std::path::absolute(plan).unwrap_or_else(|_| plan.into());
            format!(
                "swarm-assign adopt {} || exit\n",
                shell(&plan.display().to_string())
            )
        });
    let mut run = String::from("agent-run");
    for argument in agent_run_args(root, args, "$agent") {
        match argument.as_str() {
            "$agent" => run.push_str(" \"$agent\""),
            argument => run.push_str(&format!(" {}", shell(argument))),
        }
    }
    if args.max_usd.is_some() {
        run.push_str(" --max-usd \"$(printf %d.%06d $((share / 1000000)) $((share % 1000000)))\"");
    }
    run.push_str(" --task \"$work/$agent\"");
    if !args.command_line.is_empty() {
        let words = args.command_line.iter().map(|word| shell(word));
        run.push_str(&format!(" -- {}", words.collect::<Vec<String>>().join(" ")));
    }
    let run = match jobs {
        Some(_) => format!("exec 9> \"$work/slot.$slot\"\n\tflock 9 && exec {run}"),
        None => format!("exec {run}"),
    };
    let names: Vec<String> = agents.iter().map(|agent| shell(agent)).collect();
    SCRIPT
        .replace("@ROOT@", &shell(&root.path().display().to_string()))
        .replace("@TOP@", &shell(&top))
        .replace("@LIMITS@", &limits)
        .replace("@MEMORY@", &(args.min_mem / 1024).to_string())
        .replace("@PRESSURE@", &(args.max_pressure.ceil() as u64).to_string())
        .replace("@ADOPT@", &adopt.unwrap_or_default())
        .replace("@AGENTS@", &names.join(" "))
        .replace("@JOBS@", &jobs.unwrap_or(agents.len()).max(1).to_string())
        .replace("@RUN@", &run)
}
