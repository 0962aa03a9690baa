# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_swarm_assign_global_optspecs
    string join \n h/help V/version
end

function __fish_swarm_assign_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_swarm_assign_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_swarm_assign_using_subcommand
    set -l cmd (__fish_swarm_assign_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -s V -l version -d 'Print version'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "plan" -d 'Say who does what, in which order: a table, or another form'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "what-if" -d 'Say what the plan would take with fewer or more agents'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "check" -d 'Say what is wrong or doubtful about lists; status 2 if they can\'t be planned'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "why" -d 'Say all there is to say about one task of a plan'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "edges" -d 'List what waits for what, and what may not run together, each with its reason'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "diff" -d 'Say what is different between two plans; status 1 if anything is'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "replan" -d 'Make a new plan after failures, for new agents, or under overload'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "tick" -d 'Tick the boxes of finished tasks in their lists'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "adopt" -d 'Put a plan in force: a plan as JSON, from a file or standard input'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "next" -d 'Claim the best ready task for an agent and print it'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "renew" -d 'Say that work on a task goes on'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "release" -d 'Give a task back, undone'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "done" -d 'Say that a task is done'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "fail" -d 'Say that a try failed; its exit status decides what follows'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "retry" -d 'Open a task again that waits for a person or a time, or was done'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "claim-path" -d 'Keep files for an agent, or give them back'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l format -d 'The form of the lists (otherwise told by name and content)' -r -f -a "kiro\t''
cc-sdd\t''
speckit\t''
taskmaster\t''
beads\t''
openspec\t''
bmad\t''
claude\t''
ralph\t''
github\t''
ours\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l order -d 'What order means where a list does not say it (otherwise `order` of swarm.toml, else strict)' -r -f -a "strict\t''
phase\t''
infer\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l missing -d 'Take a dependency that leads nowhere as a mistake, as not done elsewhere, or as done' -r -f -a "error\t''
warn\t''
done\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l cancelled -d 'Take a dependency on a cancelled task as satisfied, or as blocked' -r -f -a "satisfied\t''
blocked\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l stale-after -d 'Take tasks in progress as not begun when nothing was heard for so long, as taken otherwise' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l ignore-overlap -d 'Files that several tasks may change at a time; repeatable' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -s n -l count -d 'So many agents: those of swarm.toml first, then kiro-1, kiro-2 …' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l agents -d 'The agents: names with commas between them (`kiro-1,kiro-2:ios+swift`), or a file that describes them' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l strategy -d 'How tasks are given to agents' -r -f -a "round_robin\t''
load_balanced\t''
dependency_aware\t''
capability_based\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l effort -d 'How hard to search, in milliseconds of one core; 0 is list scheduling and one improvement' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l pool -d 'At most N tasks of a sort at a time; words or patterns of titles may follow: `build=1:cargo,*release*`' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l pin -d 'Only this agent may do the task' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l not -d 'This agent may not do the task' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l first -d 'Do this task as early as possible, with all that it waits for' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l after -d 'Let the first task wait for the second' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l history -d 'Tell which files changed together in the last N commits' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l skip-optional -d 'Leave out optional tasks'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l lock-predicted -d 'Let tasks exclude each other by files that history predicts'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l partial -d 'Plan the rest when nobody can do some tasks'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l json -d 'Print one JSON object: a DistributionPlan, then what else is known'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l tsv -d 'Print one line a task with tabs between the columns'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l mermaid -d 'Print a Mermaid flow chart'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l dot -d 'Print a graph for Graphviz'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l svg -d 'Print a Gantt chart as SVG'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l matrix -d 'Print a job matrix for CI: one job for each agent that has work'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -l adopt -d 'Put the plan in force as well'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand plan" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l format -d 'The form of the lists (otherwise told by name and content)' -r -f -a "kiro\t''
cc-sdd\t''
speckit\t''
taskmaster\t''
beads\t''
openspec\t''
bmad\t''
claude\t''
ralph\t''
github\t''
ours\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l order -d 'What order means where a list does not say it (otherwise `order` of swarm.toml, else strict)' -r -f -a "strict\t''
phase\t''
infer\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l missing -d 'Take a dependency that leads nowhere as a mistake, as not done elsewhere, or as done' -r -f -a "error\t''
warn\t''
done\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l cancelled -d 'Take a dependency on a cancelled task as satisfied, or as blocked' -r -f -a "satisfied\t''
blocked\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l stale-after -d 'Take tasks in progress as not begun when nothing was heard for so long, as taken otherwise' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l ignore-overlap -d 'Files that several tasks may change at a time; repeatable' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l agents -d 'The first agents: names with commas between them, or a file that describes them' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l strategy -d 'How tasks are given to agents' -r -f -a "round_robin\t''
load_balanced\t''
dependency_aware\t''
capability_based\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l effort -d 'How hard to search, in milliseconds of one core; 0 is list scheduling and one improvement' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l pool -d 'At most N tasks of a sort at a time; words or patterns of titles may follow: `build=1:cargo,*release*`' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l pin -d 'Only this agent may do the task' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l not -d 'This agent may not do the task' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l first -d 'Do this task as early as possible, with all that it waits for' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l after -d 'Let the first task wait for the second' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l history -d 'Tell which files changed together in the last N commits' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l agent-memory -d 'What an agent takes of the memory, in MiB' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l skip-optional -d 'Leave out optional tasks'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l lock-predicted -d 'Let tasks exclude each other by files that history predicts'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l partial -d 'Plan the rest when nobody can do some tasks'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l fit -d 'Say how many agents this machine has cores and memory for'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -l json -d 'Print one JSON object a number'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand what-if" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand check" -l format -d 'The form of the lists (otherwise told by name and content)' -r -f -a "kiro\t''
cc-sdd\t''
speckit\t''
taskmaster\t''
beads\t''
openspec\t''
bmad\t''
claude\t''
ralph\t''
github\t''
ours\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand check" -l order -d 'What order means where a list does not say it (otherwise `order` of swarm.toml, else strict)' -r -f -a "strict\t''
phase\t''
infer\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand check" -l missing -d 'Take a dependency that leads nowhere as a mistake, as not done elsewhere, or as done' -r -f -a "error\t''
warn\t''
done\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand check" -l cancelled -d 'Take a dependency on a cancelled task as satisfied, or as blocked' -r -f -a "satisfied\t''
blocked\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand check" -l stale-after -d 'Take tasks in progress as not begun when nothing was heard for so long, as taken otherwise' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand check" -l ignore-overlap -d 'Files that several tasks may change at a time; repeatable' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand check" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand check" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand check" -l skip-optional -d 'Leave out optional tasks'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand check" -l json -d 'Print one JSON object a finding, after one for each list with what was counted in it'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand check" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l plan -d 'The plan to ask' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l format -d 'The form of the lists (otherwise told by name and content)' -r -f -a "kiro\t''
cc-sdd\t''
speckit\t''
taskmaster\t''
beads\t''
openspec\t''
bmad\t''
claude\t''
ralph\t''
github\t''
ours\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l order -d 'What order means where a list does not say it (otherwise `order` of swarm.toml, else strict)' -r -f -a "strict\t''
phase\t''
infer\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l missing -d 'Take a dependency that leads nowhere as a mistake, as not done elsewhere, or as done' -r -f -a "error\t''
warn\t''
done\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l cancelled -d 'Take a dependency on a cancelled task as satisfied, or as blocked' -r -f -a "satisfied\t''
blocked\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l stale-after -d 'Take tasks in progress as not begun when nothing was heard for so long, as taken otherwise' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l ignore-overlap -d 'Files that several tasks may change at a time; repeatable' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -s n -l count -d 'So many agents: those of swarm.toml first, then kiro-1, kiro-2 …' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l agents -d 'The agents: names with commas between them (`kiro-1,kiro-2:ios+swift`), or a file that describes them' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l strategy -d 'How tasks are given to agents' -r -f -a "round_robin\t''
load_balanced\t''
dependency_aware\t''
capability_based\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l effort -d 'How hard to search, in milliseconds of one core; 0 is list scheduling and one improvement' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l pool -d 'At most N tasks of a sort at a time; words or patterns of titles may follow: `build=1:cargo,*release*`' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l pin -d 'Only this agent may do the task' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l not -d 'This agent may not do the task' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l first -d 'Do this task as early as possible, with all that it waits for' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l after -d 'Let the first task wait for the second' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l history -d 'Tell which files changed together in the last N commits' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l skip-optional -d 'Leave out optional tasks'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l lock-predicted -d 'Let tasks exclude each other by files that history predicts'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l partial -d 'Plan the rest when nobody can do some tasks'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -l json -d 'Print one JSON object'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand why" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand edges" -l format -d 'The form of the lists (otherwise told by name and content)' -r -f -a "kiro\t''
cc-sdd\t''
speckit\t''
taskmaster\t''
beads\t''
openspec\t''
bmad\t''
claude\t''
ralph\t''
github\t''
ours\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand edges" -l order -d 'What order means where a list does not say it (otherwise `order` of swarm.toml, else strict)' -r -f -a "strict\t''
phase\t''
infer\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand edges" -l missing -d 'Take a dependency that leads nowhere as a mistake, as not done elsewhere, or as done' -r -f -a "error\t''
warn\t''
done\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand edges" -l cancelled -d 'Take a dependency on a cancelled task as satisfied, or as blocked' -r -f -a "satisfied\t''
blocked\t''"
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand edges" -l stale-after -d 'Take tasks in progress as not begun when nothing was heard for so long, as taken otherwise' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand edges" -l ignore-overlap -d 'Files that several tasks may change at a time; repeatable' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand edges" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand edges" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand edges" -l skip-optional -d 'Leave out optional tasks'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand edges" -l json -d 'Print one JSON object an edge'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand edges" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand diff" -l json -d 'Print one JSON object'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand diff" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand replan" -l plan -d 'The plan (otherwise the one in force)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand replan" -l state -d 'What has happened since, as JSON (otherwise what the journal says)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand replan" -l down -d 'This agent is gone; repeatable' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand replan" -l up -d 'This agent is there as well; repeatable' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand replan" -l failure -d 'This agent failed: crash, timeout, resource or communication; repeatable' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand replan" -l effort -d 'How hard to search, in milliseconds of one core' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand replan" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand replan" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand replan" -l json -d 'Print a RecoveryPlan for each failure, a line about the whole, and the new plan, as JSON'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand replan" -l adopt -d 'Put the new plan in force as well'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand replan" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand tick" -l done -d 'This task is finished (otherwise all that the journal says are); repeatable' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand tick" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand tick" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand tick" -s n -l dry-run -d 'Say what would be ticked, and write nothing'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand tick" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand adopt" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand adopt" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand adopt" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -l agent -d 'The agent (otherwise whose worktree this is, else SPORE_AGENT)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -l lease -d 'How long it holds without a sign of life (otherwise `lease` of swarm.toml, else 30m)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -l holder -d 'The process it is held by: when that dies, it is free at once' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -l task -d 'Only this task' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -l timeout -d 'How long to wait at most' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -l own -d 'Only what the plan has for this agent'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -l again -d 'Print what the agent has in hand already, if anything'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -l wait -d 'Wait until something is ready'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -s n -l dry-run -d 'Print what would be claimed, and claim nothing'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -l json -d 'Print JSON, as without it'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand next" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand renew" -l epoch -d 'Which claim of it (otherwise the one in force)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand renew" -l agent -d 'The agent (otherwise whose worktree this is, else SPORE_AGENT)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand renew" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand renew" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand renew" -l lease -d 'How long it holds without a sign of life (otherwise `lease` of swarm.toml, else 30m)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand renew" -l holder -d 'The process it is held by: when that dies, it is free at once' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand renew" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand release" -l epoch -d 'Which claim of it (otherwise the one in force)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand release" -l agent -d 'The agent (otherwise whose worktree this is, else SPORE_AGENT)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand release" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand release" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand release" -l why -d 'The reason' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand release" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand done" -l epoch -d 'Which claim of it (otherwise the one in force)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand done" -l agent -d 'The agent (otherwise whose worktree this is, else SPORE_AGENT)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand done" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand done" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand done" -l commit -d 'The commit that proves it' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand done" -l run -d 'The run that did it' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand done" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand fail" -l epoch -d 'Which claim of it (otherwise the one in force)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand fail" -l agent -d 'The agent (otherwise whose worktree this is, else SPORE_AGENT)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand fail" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand fail" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand fail" -l from-exit -d 'The exit status of `agent-run`, or of the command that failed' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand fail" -l retry-at -d 'When a limit ends, RFC 3339' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand fail" -l retries -d 'Tries after the first before a person is asked (otherwise `retries` of swarm.toml, else 2)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand fail" -l why -d 'The reason' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand fail" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand retry" -l why -d 'The reason' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand retry" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand retry" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand retry" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand claim-path" -l agent -d 'The agent (otherwise whose worktree this is, else SPORE_AGENT)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand claim-path" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand claim-path" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand claim-path" -l lease -d 'How long it holds without a sign of life (otherwise `lease` of swarm.toml, else 30m)' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand claim-path" -l holder -d 'The process it is held by: when that dies, it is free at once' -r
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand claim-path" -l release -d 'Give them back'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand claim-path" -s h -l help -d 'Print help'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "plan" -d 'Say who does what, in which order: a table, or another form'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "what-if" -d 'Say what the plan would take with fewer or more agents'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "check" -d 'Say what is wrong or doubtful about lists; status 2 if they can\'t be planned'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "why" -d 'Say all there is to say about one task of a plan'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "edges" -d 'List what waits for what, and what may not run together, each with its reason'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "diff" -d 'Say what is different between two plans; status 1 if anything is'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "replan" -d 'Make a new plan after failures, for new agents, or under overload'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "tick" -d 'Tick the boxes of finished tasks in their lists'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "adopt" -d 'Put a plan in force: a plan as JSON, from a file or standard input'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "next" -d 'Claim the best ready task for an agent and print it'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "renew" -d 'Say that work on a task goes on'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "release" -d 'Give a task back, undone'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "done" -d 'Say that a task is done'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "fail" -d 'Say that a try failed; its exit status decides what follows'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "retry" -d 'Open a task again that waits for a person or a time, or was done'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "claim-path" -d 'Keep files for an agent, or give them back'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from plan what-if check why edges diff replan tick adopt next renew release done fail retry claim-path help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
