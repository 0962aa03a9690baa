complete -c swarm-torture -l seed -d 'What everything follows from' -r
complete -c swarm-torture -l agents -d 'How many agents work at once' -r
complete -c swarm-torture -l tasks -d 'How many tasks' -r
complete -c swarm-torture -l kills -d 'How many runs in a hundred lose their agent-run to a kill' -r
complete -c swarm-torture -l style -d 'Talk like this command, as fake-agent' -r
complete -c swarm-torture -l timeout -d 'How long all may take' -r
complete -c swarm-torture -s h -l help -d 'Print help (see more with \'--help\')'
complete -c swarm-torture -s V -l version -d 'Print version'
