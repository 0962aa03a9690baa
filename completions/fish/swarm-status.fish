complete -c swarm-status -l wait-for -d 'Block until EXPR holds, such as `all=done|any=needs-you`, then show' -r
complete -c swarm-status -l timeout -d 'How long to wait at most' -r
complete -c swarm-status -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR says otherwise'
always\t'Always'
never\t'Never'"
complete -c swarm-status -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-status -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-status -l json -d 'Print a ModuleStatus for every part, one JSON line each'
complete -c swarm-status -l prompt -d 'Print one short line for a shell prompt or a status bar'
complete -c swarm-status -l watch -d 'Show it again whenever something changed, until interrupted'
complete -c swarm-status -s q -l quiet -d 'Show nothing; the exit status is the answer'
complete -c swarm-status -s h -l help -d 'Print help (see more with \'--help\')'
complete -c swarm-status -s V -l version -d 'Print version'
