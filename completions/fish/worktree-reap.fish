complete -c worktree-reap -l free -d 'With --cache: only until SIZE is free on the disk, such as 50G' -r
complete -c worktree-reap -l restore -d 'Bring saved work back' -r
complete -c worktree-reap -s C -l repo -d 'The repository, as if started there' -r -F
complete -c worktree-reap -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c worktree-reap -l done -d 'Those whose tasks are all done'
complete -c worktree-reap -l dead -d 'Those that lived and are gone: a claim ended without a word, or an hour\'s silence'
complete -c worktree-reap -l landed -d 'Those whose work has landed in its base'
complete -c worktree-reap -l force -d 'Also what is not landed, not committed, locked, or in the middle of a merge'
complete -c worktree-reap -l alive -d 'Also where somebody is alive: processes get TERM, then KILL after five seconds'
complete -c worktree-reap -l cache -d 'Remove only what can be built again: caches such as target, node_modules, .venv'
complete -c worktree-reap -l saved -d 'Show what was saved'
complete -c worktree-reap -l dry-run -d 'Show what would happen, and change nothing'
complete -c worktree-reap -l json -d 'Print JSON records'
complete -c worktree-reap -s h -l help -d 'Print help (see more with \'--help\')'
complete -c worktree-reap -s V -l version -d 'Print version'
