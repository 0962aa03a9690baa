//! The manual of `swarm-assign`.

use crate::cli::{Example, Manual};

pub(super) const MANUAL: Manual = Manual {
    description: "\
Reads lists of tasks, plans who does what in which order, gives out the tasks of the plan in force, each
to one agent at a time, and takes them back.

Lists are read as people and their tools keep them: Kiro and cc-sdd `tasks.md`, spec-kit, Taskmaster,
beads, OpenSpec, BMAD, Claude Code, Ralph, GitHub task lists, and our own Task lines. Several may be given;
tasks are then called `spec/id`. No list is ever written, except by `tick`.

A plan keeps every dependency, lets no two tasks work on one file at a time, and says for each task why
it stands where it stands, with the file and line that are the reason. It carries a lower bound: no plan
for these agents can end earlier. Equal input gives equal output.

Where a list does not say what waits for what, `--order` says what its order means. `strict` (the
default): each task waits for all before it, except those marked as parallel beside each other; `phase`:
containers and phases follow each other, what stands in one is free; `infer`: a task waits for an earlier
one that works on the same file, that it tests, or that its text names. Such edges are marked, and `edges`
lists them. A task that states what it waits for waits for that alone.

A claim holds until its lease ends: on the clock since boot, which nobody sets, or at once when the
process dies that holds it. Each claim of a task has a number, its epoch. What comes from an earlier
one is recorded and has no effect.

Everything is written to the journal; what a swarm knows is a fold over it. A process killed at any
instant leaves nothing to repair.",
    input: "\
A list of tasks is at most 1 GiB long. Beside a Kiro list, `tasks.meta.json` is read for how long tasks
took before. A task's estimate is what the list states, else what it took before, else a guess from its
length. Of a Task line `id`, `description`, `dependencies`, `estimated_duration`, `required_capabilities`,
`status`, `assigned_instance` and `touches` count.

Agents are described as JSON, one a line or in an array: `name`, and where known `capabilities` (absent:
it may be given anything), `speed` (1 takes the estimate), `slots` (tasks at a time), `load` (the share
that other work takes), `busy_until_ms`. A line may also be a name, or what `worktree-spawn` prints.

A plan is one JSON object with `plan_id`, `tasks`, `agents` and `resources`; other fields are passed
over. Of a task `id`, `title`, `agent`, `duration_ms`, `after`, `touches`, `needs` and `only` count; of
a resource `name`, `capacity`, `tasks` and `whole`.",
    output: "\
`plan --json` prints one DistributionPlan, whose fields come first; then `makespan_ms`, `lower_bound_ms`,
`gap` (0.01 is one in a hundred), `optimal`, `bound_by`, `tasks` (`id`, `title`, `agent`, `start_ms`,
`finish_ms`, `slack_ms`, `duration_ms`, `estimate`, `after`, `touches`, `holds`, `needs`, `critical`,
`reason`, `source` and more), `binding_chain`, `agents`, `resources` (what keeps tasks apart), `edges`
(`from`, `to`, `why`, `strength`, `source`) and `warnings`. `created_at` is when the newest list was
changed, or `SOURCE_DATE_EPOCH`, so that equal input gives equal output.

`next` prints the task as one JSON line: the fields of a Task, then `v`, `type`, `plan_id`, `epoch`,
`lease_ms` (what is left of the lease), `touches`, `source` and `correlation_id`. `fail` says what
follows. `adopt` prints the id of the plan. The others print nothing.",
    exit_status: &[
        (2, "Trouble: a list that can't be planned as it is; each reason is told with file and line."),
        (1, "Nothing is ready; somebody else has the file."),
        (3, "Nobody here bears that name, or no task of the plan does."),
        (4, "Too late: the claim is over. It is recorded and has no effect."),
        (5, "The name is not that of the worktree one stands in."),
        (124, "Nothing became ready within `--timeout`."),
    ],
    environment: &[
        ("SOURCE_DATE_EPOCH", "What `created_at` of a plan says, in seconds."),
        ("SPORE_ROOT", "The swarm's directory, if `--root` does not say."),
        ("SPORE_AGENT", "The agent, if neither worktree nor `--agent` says."),
        ("SPORE_TASK", "The task, if no operand says."),
        ("SPORE_EPOCH", "Which claim of it, if `--epoch` does not say."),
        ("SPORE_RUN", "The run, if `--run` does not say."),
    ],
    files: &[
        ("REPOSITORY.swarm/plan.json", "The plan in force."),
        ("REPOSITORY.swarm/journal/events.jsonl", "What happened."),
        ("swarm.toml", "The roster `[agents]`, the `[pools]`, and of `[plan]` `order`, `ignore_overlap`, `lease` and `retries`."),
    ],
    examples: EXAMPLES,
    see_also: &["sporekit(7)", "worktree-spawn(1)", "agent-run(1)"],
};

const EXAMPLES: &[Example] = &[
    Example {
        says: "From a list to a plan: the table says who does what, when, and what decides the end",
        session: r#"
$ mkdir -p .kiro/specs/greet
$ cat > .kiro/specs/greet/tasks.md <<'END'
> # Implementation Plan
> - [ ] 1. Set up
>   - File: Cargo.toml
>   - **Estimate**: 1 min
> - [ ] 2. Parse
>   - File: src/parse.rs
>   - _Depends on: 1_
>   - **Estimate**: 2 min
> - [ ] 3. Print
>   - File: src/print.rs
>   - _Depends on: 1_
>   - **Estimate**: 1 min
> END
$ swarm-assign plan .kiro/specs/greet/tasks.md -n 2
3 tasks, 2 agents, 3m: no plan is shorter

        start     finish  agent   task     slack  title
  *         0         1m  kiro-1  1            0  Set up
  *        1m         3m  kiro-1  2            0  Parse
           1m         2m  kiro-2  3           1m  Print

held back by: the longest chain of tasks that wait for each other
longest chain (*): 1 > 2
...
"#,
    },
    Example {
        says: "All lists of a repository, by agents with what they can do, with pools and wishes",
        session: r#"
$ swarm-assign plan . --agents kiro-1:swift+ios,kiro-2 --strategy capability_based --pool build=1 --effort 0 --tsv
task	agent	start_ms	[..]
1	kiro-2	0	[..]
...
$ swarm-assign plan . -n 3 --pin 2=kiro-3 --not 3=kiro-1 --first 3 --after 3 2 --json | cut -c1-120
{"plan_id":"[..]","total_tasks":3,"instance_assignments":[..]
"#,
    },
    Example {
        says: "What order means where a list does not say it, and how to take what is doubtful in it",
        session: r#"
$ printf -- '- [x] 1. Model in src/model.rs\n- [-] 2. View in src/view.rs\n- [ ]* 3. Check `src/model.rs`\n- [ ] 4. Help\n  - Depends on: 9\n' > todo.md
$ swarm-assign plan todo.md --format kiro --order infer --missing warn --cancelled blocked --stale-after 2h --skip-optional --ignore-overlap '*.lock' -n 2 || echo "status $?"
nothing can be done now
note: todo.md:5: 4 depends on 9, which is not in this list: taken as not done
...
"#,
    },
    Example {
        says: "Draw it: for a document, for Graphviz, as a Gantt chart, for a job matrix in CI",
        session: r#"
$ swarm-assign plan . -n 2 --mermaid | head -n 2
flowchart LR
  subgraph a0["kiro-1"]
$ swarm-assign plan . -n 2 --dot > plan.dot
$ swarm-assign plan . -n 2 --svg > plan.svg
$ swarm-assign plan . -n 2 --matrix
{"include":[{"agent":"kiro-1",[..]
"#,
    },
    Example {
        says: "See what is wrong or doubtful about a list, and why which task waits for which",
        session: r#"
$ printf -- '- [ ] T001 [P] Make src/a.rs\n- [ ] T002 [P] Change src/a.rs (depends on T003)\n- [ ] T003 Use it (depends on T002)\n' > odd.md
$ swarm-assign check odd.md || echo "status $?"
odd.md:2: warning: T001 and T002 are both [P] but name src/a.rs
odd.md:2: error: dependency cycle: T003 -> T002 -> T003 (edges from lines 2, 3)
  hint: drop the declared edge at odd.md:2 (depends)
3 tasks, 1 errors, 1 warnings
status 2
$ swarm-assign edges .
1	2	depends	declared	.kiro/specs/greet/tasks.md:7
1	3	depends	declared	.kiro/specs/greet/tasks.md:11
"#,
    },
    Example {
        says: "Ask whether more agents would help, and how many this machine bears",
        session: r#"
$ swarm-assign what-if 1..3 .
agents   makespan      bound  speed-up    gain
     1         4m         4m     1.00x    0.0 %
     2         3m         3m     1.33x   25.0 %  < the knee: more agents gain less than one in twenty
     3         3m         3m     1.33x    0.0 %
$ swarm-assign what-if 2 . --fit --agent-memory 512 --json
{"v":1,"type":"what-if","agents":2,"makespan_ms":180000,[..]"fits":[..]}
"#,
    },
    Example {
        says: "Ask why a task stands where it stands, and what else could be",
        session: r#"
$ swarm-assign why 3 . -n 2
3 Print
  agent        kiro-2
  start        1m: waits for 1 (depends, .kiro/specs/greet/tasks.md:11)
...
"#,
    },
    Example {
        says: "What git remembers: files that changed together before",
        session: r#"
$ git init -q && git add . && git commit -qm start
$ swarm-assign plan . -n 2 --history 500 --lock-predicted --partial | head -n 1
3 tasks, 2 agents, 3m: no plan is shorter
"#,
    },
    Example {
        says: "Put a plan in force, in one of two ways",
        session: r#"
$ export SPORE_ROOT=$PWD/app.swarm
$ swarm-assign plan . -n 2 --root app.swarm --adopt > /dev/null
$ swarm-assign plan . -n 2 --json | swarm-assign adopt -C .
[..]-[..]
"#,
    },
    Example {
        says: "Take the best task that is ready, and say that it is done",
        session: r#"
$ swarm-assign next --agent kiro-1 --lease 45m --json
{"id":"1","description":"Set up",[..]"status":"assigned","assigned_instance":"kiro-1",[..]"epoch":1,[..]
$ swarm-assign next --agent kiro-2 || echo "status $?"
swarm-assign: nothing is ready for kiro-2: 1 is with kiro-1; 2 waits for 1; 3 waits for 1
status 1
$ swarm-assign next --agent kiro-1 -n --again
{"id":"1",[..]
$ swarm-assign renew 1 --agent kiro-1 --holder $$
$ swarm-assign done 1 --agent kiro-1 --epoch 1 --commit 9f3c2ab --run r-17
"#,
    },
    Example {
        says: "Wait at most a minute for the own next task, or ask for a certain one",
        session: r#"
$ swarm-assign next --agent kiro-2 --own --wait --timeout 1m
{"id":"3",[..]
$ swarm-assign next --agent kiro-1 --task 2
{"id":"2",[..]
"#,
    },
    Example {
        says: "Say how a try failed: the exit status decides whether it is tried again",
        session: r#"
$ swarm-assign fail 3 --agent kiro-2 --from-exit 75 --retry-at 2036-01-01T00:00:00Z
limited: not before 2036-01-01T00:00:00Z
$ swarm-assign fail 2 --agent kiro-1 --from-exit 13 --retries 1 --why 'may not write src/'
denied: a person must look at it
$ swarm-assign next --agent kiro-1 || echo "status $?"
swarm-assign: nothing is ready for kiro-1: 2 waits for a person: denied: may not write src/; 3 is put off until 2036-01-01T00:00:00Z
status 1
$ swarm-assign retry 2 --why 'permission given'
$ swarm-assign next --agent kiro-1
{"id":"2",[..]
"#,
    },
    Example {
        says: "An answer from an earlier claim is recorded and does nothing",
        session: r#"
$ swarm-assign release 2 --agent kiro-1 --why 'out of memory'
$ swarm-assign done 2 --agent kiro-1 --epoch 2 || echo "status $?"
swarm-assign: task "2": too late: claim 2 is over, and nobody has it now
status 4
"#,
    },
    Example {
        says: "An agent is lost: make a new plan that moves only what must, see what is different, put it in force",
        session: r#"
$ cp app.swarm/plan.json old.json
$ swarm-assign replan --down kiro-2 --up kiro-3 --adopt --json > new.json
$ head -n 1 new.json
{"plan_id":"[..]","failed_instance":"kiro-2","recovery_strategy":"reassign",[..]
$ swarm-assign diff old.json new.json || echo "status $?"
...
ends after [..]
status 1
"#,
    },
    Example {
        says: "The same on plans and states in files",
        session: r#"
$ echo '{"now_ms":60000,"tasks":{"1":"done","2":{"state":"running","agent":"kiro-1"}}}' > state.json
$ swarm-assign replan --plan old.json --state state.json --failure kiro-2=timeout --effort 0 | head -n 1
kiro-2: reassign after timeout: it ran out of time: another agent may not get stuck in the same place
$ swarm-assign why 2 --plan old.json | head -n 2
2 Parse
  agent        kiro-1
"#,
    },
    Example {
        says: "Tick what is done in the lists themselves, or in one that no plan knows",
        session: r#"
$ swarm-assign tick --dry-run
.kiro/specs/greet/tasks.md:2	1	Set up
$ swarm-assign tick todo.md --done 2
todo.md:2	2	View in src/view.rs
"#,
    },
    Example {
        says: "Keep a file for oneself for a while",
        session: r#"
$ swarm-assign claim-path src/main.rs --agent kiro-1
$ swarm-assign claim-path src/main.rs --agent kiro-2 || echo "status $?"
swarm-assign: "src/main.rs": kiro-1 has src/main.rs
status 1
$ swarm-assign claim-path --release src/main.rs --agent kiro-1
"#,
    },
];
