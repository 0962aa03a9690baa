//! What the man page of `swarm-ctl` says.

use crate::cli::{Example, Manual};

pub(super) const MANUAL: Manual = Manual {
    description: "\
`swarm-ctl` carries out actions, each with an answer, and with `swarm-ctl run` the whole plan.

*Actions* come one a line, from protocol-parse(1) or from a mailbox, or as text with `--do`:

    echo 'stop instance kiro-3 graceful' | protocol-parse | swarm-ctl
    spore-recv --as conductor --follow --actions | swarm-ctl
    swarm-ctl --do 'pause swarm for 10 minutes'

`stop` holds an agent, a task or everybody and ends what runs: `graceful` lets it go on to its end,
`force` kills it with everything it started. `pause` begins nothing more; with `immediate` what runs
stands still until it is resumed. Both write the file `hold`,
which every command looks at, so they work also when no process answers; `echo stop > hold` by hand
does as well. `resume` lifts it. `restart` ends a run and lets the task be had again. `reassign` gives a
task to another agent, `retry` opens one that waits. `scale` makes agents, or lets some rest. `sync`
brings what landed into the agents' trees, `merge` is swarm-merge(1). `status`, `monitor` and
`validate` look. What this swarm has nothing to do with is answered with `success` false and the next
command to type.

An action is carried out once: one that comes again with the same correlation id gets the answer that
the first one got, also after a restart. Words that look like slips are refused.

*The plan.* `swarm-ctl run` gives each agent that is free the best task that is ready, runs agent-run(1)
on it, and goes on until everything is done or nothing goes without a person. After a run that did not
end well it makes the plan anew (`swarm-assign replan --adopt`), so that tasks go to others where that is
sooner. It is no secret engine:
`--print-sh` prints the same as a shell script over the other commands. It may be killed at any time and
started again. What runs goes on without it and reports by itself. At most one carries out the plan of a
swarm. A first SIGTERM or SIGINT is passed on to what runs, and waited for.

Nothing begins while memory is short or too many processes wait for it; what only so many tasks may use
at once (a build) is a pool of the plan. By hand the loop is

    agent-run --settle
    while swarm-assign next --agent kiro-1 --wait > task; do
      agent-run --agent kiro-1 --report < task || swarm-assign replan --adopt
    done

`--max-usd` counts what all runs since the plan came into force have cost, as far as their commands
tell. Nothing begins when one more run as dear as the dearest so far would go over it; each run is given
its share as `--max-usd` of agent-run(1), so that all at work together stay within it.",
    input: "\
StructuredActions, a JSON line each of at most 1 MiB; blank lines, comments (`#`) and results are passed
over. A line that cannot be read is reported, the others are carried out, and the status is 2.

`swarm-ctl run` reads the records that worktree-spawn(1) prints, and takes the agents from them; with
nothing on standard input, everybody in the plan who has a worktree.",
    output: "\
An ActionResult for each action, a JSON line, with its correlation id, in the order in which they are
finished. `data.next` is what to type next; `side_effects` is what was done (with `--dry-run`, would be).

`swarm-ctl run` prints the outcome of each run as agent-run(1) does, and says on standard error what it
does. `--dry-run` prints agent, task and title, tab between them.",
    exit_status: &[
        (0, "Every action was carried out; every task is done."),
        (1, "An action was not carried out; tasks are left, and the message says why."),
        (75, "Somebody carries out the plan already."),
        (143, "Stopped: 128 and the number of the signal."),
    ],
    environment: &[("SPORE_ROOT", "The swarm's directory, if `--root` does not say.")],
    files: &[
        ("REPOSITORY.swarm/hold", "Who is paused or stopped; by hand: `pause`, `drain` or `stop` alone is for everybody."),
        ("REPOSITORY.swarm/conductor", "Who carries out the plan; locked while it lives."),
        ("REPOSITORY.swarm/runs/conductor.log", "What a `swarm-ctl run` says that an action started."),
        ("REPOSITORY.swarm/journal/", "What was done, and the answer to each action."),
    ],
    examples: &[
        Example {
            says: "A plan, three agents, and everything done by commands that follow a script; then one task again",
            session: r#"
$ git init -q -b main app && cd app && echo 1 > README && git add . && git commit -qm first
$ cat > ../plan.json <<'END'
> {"plan_id":"p1","agents":[{"name":"a1"},{"name":"a2"}],"tasks":[
> {"id":"1","title":"Set up","agent":"a1"},{"id":"2","title":"Parse","agent":"a1","after":["1"]},
> {"id":"3","title":"Print","agent":"a2","after":["1"]}]}
> END
$ worktree-spawn -q a1 a2 a3 > ../instances
$ swarm-ctl run --plan ../plan.json --until done --quiet -- fake-agent --script 'work; commit; done' 2> /dev/null < ../instances | grep -o '"outcome":"[a-z]*"'
"outcome":"ok"
"outcome":"ok"
"outcome":"ok"
$ swarm-status --prompt
3/3 done:3
$ swarm-ctl --do 'retry task 1' | cut -d, -f1,2
{"success":true,"message":"task 1 can be had again"
$ swarm-ctl run --dry-run < /dev/null
a1	1	Set up
"#,
        },
        Example {
            says: "Pause everybody, look at what would be done, and go on",
            session: r#"
$ swarm-ctl --do 'pause swarm reason lunch' | cut -d, -f1,2
{"success":true,"message":"everybody: paused; what runs goes on to its end"
$ swarm-assign next --agent a1 || echo "status $?"
swarm-assign: nothing is ready for a1: 1 is held: everybody is paused (lunch)
status 1
$ swarm-ctl --dry-run --do 'stop swarm force' | grep -o '"side_effects":[^]]*]'
"side_effects":["would hold: everybody is stopped"]
$ swarm-ctl -C . --do 'resume swarm' | grep -o '"side_effects":[^]]*]'
"side_effects":["lift every hold"]
"#,
        },
        Example {
            says: "What cannot be done says what can; a slip is not acted on",
            session: r#"
$ swarm-ctl --root ../app.swarm --do 'deploy service web' || echo "status $?"
{"success":false,"message":"deploy service: this swarm brings work onto a branch and deploys nothing","data":{"next":"swarm-merge"},[..]
status 1
$ swarm-ctl --do 'stop instance a9' | grep -o 'did you mean.*done'
did you mean a1 or a2 or a3?); nothing was done
$ echo '{"verb":"pause","noun":"instance","parameters":{"instance_id":"task-1"},"source_instance":""}' | swarm-ctl | grep -o 'looks like a slip'
looks like a slip
$ swarm-ctl --despite-doubts --do 'pause instance a1' | cut -d, -f1
{"success":true
"#,
        },
        Example {
            says: "The loop with policies and limits, for two agents, as a script that one can read and change",
            session: r#"
$ swarm-ctl run --agent a1 --agent a2 --jobs 1 --max-usd 5 --min-mem 64M --max-pressure 50 --stall 10m --max-wall 2h --harvest --command claude --on 'limited=park,reroute' --on 'hollow=retry:1,human' --print-sh > loop.sh
$ sh -n loop.sh && grep -c 'agent-run --report' loop.sh
1
$ swarm-ctl run --until 2020-01-01T00:00:00Z < /dev/null || echo "status $?"
swarm-ctl: the time has come: 1 tasks are left
hint: swarm-ctl run
status 1
"#,
        },
        Example {
            says: "The same loop by hand, for one agent",
            session: r#"
$ swarm-ctl --do 'resume swarm' | cut -d, -f1
{"success":true
$ agent-run --settle
$ while swarm-assign next --agent a1 > task 2> why; do
>   agent-run --agent a1 --report --task task -- fake-agent --script 'work; commit; done' > outcome 2> said ||
>     swarm-assign replan --adopt
> done
$ swarm-status --prompt
3/3 done:3
"#,
        },
    ],
    see_also: &["swarm-assign(1)", "agent-run(1)", "swarm-status(1)", "protocol-parse(1)", "swarm-merge(1)"],
};
