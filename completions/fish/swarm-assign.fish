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
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "adopt" -d 'Put a plan in force: a plan as JSON, from a file or standard input'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "next" -d 'Claim the best ready task for an agent and print it'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "renew" -d 'Say that work on a task goes on'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "release" -d 'Give a task back, undone'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "done" -d 'Say that a task is done'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "fail" -d 'Say that a try failed; its exit status decides what follows'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "retry" -d 'Open a task again that waits for a person or a time, or was done'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "claim-path" -d 'Keep files for an agent, or give them back'
complete -c swarm-assign -n "__fish_swarm_assign_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
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
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from adopt next renew release done fail retry claim-path help" -f -a "adopt" -d 'Put a plan in force: a plan as JSON, from a file or standard input'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from adopt next renew release done fail retry claim-path help" -f -a "next" -d 'Claim the best ready task for an agent and print it'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from adopt next renew release done fail retry claim-path help" -f -a "renew" -d 'Say that work on a task goes on'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from adopt next renew release done fail retry claim-path help" -f -a "release" -d 'Give a task back, undone'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from adopt next renew release done fail retry claim-path help" -f -a "done" -d 'Say that a task is done'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from adopt next renew release done fail retry claim-path help" -f -a "fail" -d 'Say that a try failed; its exit status decides what follows'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from adopt next renew release done fail retry claim-path help" -f -a "retry" -d 'Open a task again that waits for a person or a time, or was done'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from adopt next renew release done fail retry claim-path help" -f -a "claim-path" -d 'Keep files for an agent, or give them back'
complete -c swarm-assign -n "__fish_swarm_assign_using_subcommand help; and not __fish_seen_subcommand_from adopt next renew release done fail retry claim-path help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
