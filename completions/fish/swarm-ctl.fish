# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_swarm_ctl_global_optspecs
    string join \n do= despite-doubts n/dry-run C/repo= root= h/help V/version
end

function __fish_swarm_ctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_swarm_ctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_swarm_ctl_using_subcommand
    set -l cmd (__fish_swarm_ctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c swarm-ctl -n "__fish_swarm_ctl_needs_command" -l do -d 'Carry out this command text, as protocol-parse reads it, instead of standard input' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_needs_command" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-ctl -n "__fish_swarm_ctl_needs_command" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-ctl -n "__fish_swarm_ctl_needs_command" -l despite-doubts -d 'Also act on words that look like slips (`near:` and `shape:` of protocol-parse)'
complete -c swarm-ctl -n "__fish_swarm_ctl_needs_command" -s n -l dry-run -d 'Say what would be done, and do nothing'
complete -c swarm-ctl -n "__fish_swarm_ctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c swarm-ctl -n "__fish_swarm_ctl_needs_command" -s V -l version -d 'Print version'
complete -c swarm-ctl -n "__fish_swarm_ctl_needs_command" -f -a "run" -d 'Carry out the plan: every agent in parallel, until everything is done'
complete -c swarm-ctl -n "__fish_swarm_ctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l plan -d 'Put this plan in force first; `-` is standard input (otherwise the one in force)' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l until -d 'Leave when everything is `done`; or begin nothing after a time (RFC 3339, 07:30) or a length (8h)' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l max-usd -d 'Begin nothing more when all runs since the plan came into force have cost so many US dollars' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l on -d 'What follows an outcome, such as `hollow=retry:1,human` (see agent-run)' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l jobs -d 'How many agents run at once on this machine (otherwise `jobs` of swarm.toml, else all)' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l min-mem -d 'Begin nothing, unless nothing runs, while less memory than this is free, such as 2G' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l max-pressure -d 'Begin nothing, unless nothing runs, while processes wait for memory more than this share of the time, in percent' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l agent -d 'Only these agents (otherwise those whose records stand on standard input, else all)' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l command -d 'Let agent-run use this command of its table' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l stall -d 'Let agent-run end what gives no sign of life for so long' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l max-wall -d 'Let agent-run end what takes longer' -r
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l harvest -d 'Let agent-run commit what is left uncommitted'
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -l print-sh -d 'Print the loop as a shell script over the other commands, and run nothing'
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -s n -l dry-run -d 'Print what would be begun now, and begin nothing'
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand run" -s h -l help -d 'Print help'
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand help; and not __fish_seen_subcommand_from run help" -f -a "run" -d 'Carry out the plan: every agent in parallel, until everything is done'
complete -c swarm-ctl -n "__fish_swarm_ctl_using_subcommand help; and not __fish_seen_subcommand_from run help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
