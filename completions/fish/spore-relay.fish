# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_spore_relay_global_optspecs
    string join \n h/help V/version
end

function __fish_spore_relay_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_spore_relay_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_spore_relay_using_subcommand
    set -l cmd (__fish_spore_relay_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c spore-relay -n "__fish_spore_relay_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c spore-relay -n "__fish_spore_relay_needs_command" -s V -l version -d 'Print version'
complete -c spore-relay -n "__fish_spore_relay_needs_command" -f -a "drain" -d 'Send what waits in the outbox'
complete -c spore-relay -n "__fish_spore_relay_needs_command" -f -a "bridge" -d 'Carry mail between this machine\'s mailboxes and a bus'
complete -c spore-relay -n "__fish_spore_relay_needs_command" -f -a "migrate" -d 'Move the swarm to another bus, or to files'
complete -c spore-relay -n "__fish_spore_relay_needs_command" -f -a "auto" -d 'Move the swarm if the figures say so'
complete -c spore-relay -n "__fish_spore_relay_needs_command" -f -a "status" -d 'Say what each bus is like'
complete -c spore-relay -n "__fish_spore_relay_needs_command" -f -a "stats" -d 'Sum up the figures of sends and receipts'
complete -c spore-relay -n "__fish_spore_relay_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand drain" -l via -d 'By this bus (redis:, nats:, amqp:, kafka:; file: for this machine\'s mailboxes), else SPORE_BUS, else swarm.toml' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand drain" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand drain" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand drain" -l degrade-after -d 'Deliver to mailboxes on this machine by files when the bus has been away for so long' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand drain" -l timeout -d 'End after this time (nine minutes unless said; 0 means never)' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand drain" -l json -d 'Print records'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand drain" -l follow -d 'Go on until --timeout'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand drain" -s h -l help -d 'Print help'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand bridge" -l via -d 'By this bus (redis:, nats:, amqp:, kafka:; file: for this machine\'s mailboxes), else SPORE_BUS, else swarm.toml' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand bridge" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand bridge" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand bridge" -l here -d 'Mail for these names comes from the bus to this machine' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand bridge" -l there -d 'Mail for these names goes from this machine to the bus' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand bridge" -l timeout -d 'End after this time (nine minutes unless said; 0 means never)' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand bridge" -l json -d 'Print records'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand bridge" -l once -d 'Carry what is there and end'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand bridge" -s h -l help -d 'Print help'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand migrate" -l via -d 'By this bus (redis:, nats:, amqp:, kafka:; file: for this machine\'s mailboxes), else SPORE_BUS, else swarm.toml' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand migrate" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand migrate" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand migrate" -l to -d 'The new road: an address, or `file:` for the mailboxes of this machine' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand migrate" -l timeout -d 'Give up when the swarm cannot be moved within this time' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand migrate" -l json -d 'Print records'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand migrate" -s h -l help -d 'Print help'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand auto" -l via -d 'By this bus (redis:, nats:, amqp:, kafka:; file: for this machine\'s mailboxes), else SPORE_BUS, else swarm.toml' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand auto" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand auto" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand auto" -l timeout -d 'End after this time (nine minutes unless said; 0 means never)' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand auto" -l json -d 'Print records'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand auto" -l follow -d 'Go on until --timeout'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand auto" -s h -l help -d 'Print help'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand status" -l via -d 'By this bus (redis:, nats:, amqp:, kafka:; file: for this machine\'s mailboxes), else SPORE_BUS, else swarm.toml' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand status" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand status" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand status" -l json -d 'Print records'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand status" -s h -l help -d 'Print help'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand stats" -l via -d 'By this bus (redis:, nats:, amqp:, kafka:; file: for this machine\'s mailboxes), else SPORE_BUS, else swarm.toml' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand stats" -s C -l repo -d 'The repository, as if started there' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand stats" -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c spore-relay -n "__fish_spore_relay_using_subcommand stats" -l since -d 'From how long ago' -r
complete -c spore-relay -n "__fish_spore_relay_using_subcommand stats" -l json -d 'Print records'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand stats" -s h -l help -d 'Print help'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand help; and not __fish_seen_subcommand_from drain bridge migrate auto status stats help" -f -a "drain" -d 'Send what waits in the outbox'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand help; and not __fish_seen_subcommand_from drain bridge migrate auto status stats help" -f -a "bridge" -d 'Carry mail between this machine\'s mailboxes and a bus'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand help; and not __fish_seen_subcommand_from drain bridge migrate auto status stats help" -f -a "migrate" -d 'Move the swarm to another bus, or to files'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand help; and not __fish_seen_subcommand_from drain bridge migrate auto status stats help" -f -a "auto" -d 'Move the swarm if the figures say so'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand help; and not __fish_seen_subcommand_from drain bridge migrate auto status stats help" -f -a "status" -d 'Say what each bus is like'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand help; and not __fish_seen_subcommand_from drain bridge migrate auto status stats help" -f -a "stats" -d 'Sum up the figures of sends and receipts'
complete -c spore-relay -n "__fish_spore_relay_using_subcommand help; and not __fish_seen_subcommand_from drain bridge migrate auto status stats help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
