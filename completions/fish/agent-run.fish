complete -c agent-run -l agent -d 'The agent (otherwise the task\'s, else whose worktree this is, else SPORE_AGENT)' -r
complete -c agent-run -l task -d 'The task; `-` is standard input' -r
complete -c agent-run -l command -d 'Run this command of the table' -r
complete -c agent-run -l template -d 'Ask what this file says, instead of the usual prompt' -r
complete -c agent-run -l max-wall -d 'End it after that long (otherwise `max_wall` of swarm.toml)' -r
complete -c agent-run -l max-mem -d 'End it when its processes together use more memory, such as 4G (otherwise `max_mem_mb`)' -r
complete -c agent-run -l max-turns -d 'End it after that many turns, if its command tells them (otherwise `max_turns`)' -r
complete -c agent-run -l max-usd -d 'End it when it has cost more US dollars, likewise (otherwise `max_usd`)' -r
complete -c agent-run -l stall -d 'End it after that long without a sign of life; 0 for never (otherwise `stall`, else 15m)' -r
complete -c agent-run -l grace -d 'How long processes are given to end by themselves' -r
complete -c agent-run -l beat -d 'How often signs of life are noted' -r
complete -c agent-run -l on -d 'What follows an outcome for the task with --report, instead of the usual: retry:N, human, park (until the limit ends), reroute (another agent at once), kill; the first that applies' -r
complete -c agent-run -s C -l repo -d 'The repository, as if started there' -r -F
complete -c agent-run -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c agent-run -l harvest -d 'Commit what it leaves uncommitted on its behalf'
complete -c agent-run -l answer -d 'An answer is enough: the tree need not change'
complete -c agent-run -l report -d 'Say in the journal what follows for the task: done, failed, or given back'
complete -c agent-run -l result -d 'Print an ActionResult'
complete -c agent-run -l json -d 'Print JSON, as without it'
complete -c agent-run -s n -l dry-run -d 'Print what would be run, and run nothing'
complete -c agent-run -l settle -d 'End what runs whose agent-run was killed left behind, and print what came of them'
complete -c agent-run -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agent-run -s V -l version -d 'Print version'
