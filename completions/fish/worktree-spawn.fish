complete -c worktree-spawn -s n -l count -d 'Make N: the agents of swarm.toml that have no tree yet, then kiro-1, kiro-2, …' -r
complete -c worktree-spawn -l plan -d 'Make one for each agent of this DistributionPlan (`-`: standard input)' -r
complete -c worktree-spawn -l base -d 'Begin the branches at REF' -r
complete -c worktree-spawn -l max-behind -d 'Refuse a base that is more than N commits behind its upstream; with --sync, leave trees that are at most N behind' -r
complete -c worktree-spawn -l branch -d 'Name the branches so: {agent}, {slot} and {task} are filled in' -r
complete -c worktree-spawn -l setup -d 'Run CMD in each tree; it must end with 0, otherwise everything is taken back' -r
complete -c worktree-spawn -l open -d 'Open each tree: code, kiro, cursor, tmux, or a command to run there' -r
complete -c worktree-spawn -l isolation -d 'A linked worktree, or a clone with refs of its own' -r -f -a "worktree\t'`git worktree`: refs and objects are shared'
clone\t'A clone: for agents that may write nothing but their own directory'"
complete -c worktree-spawn -l guard -d 'What becomes of an agent\'s git that moves main, refs of others or the stash' -r -f -a "warn\t'It tells'
deny\t'It refuses'
off\t'Nothing'"
complete -c worktree-spawn -l sync -d 'Bring trees up to their base instead, by merge (the default) or rebase' -r
complete -c worktree-spawn -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR says otherwise'
always\t'Always'
never\t'Never'"
complete -c worktree-spawn -s C -l repo -d 'The repository, as if started there' -r -F
complete -c worktree-spawn -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c worktree-spawn -l seal-main -d 'Seal the main checkout: edits in it are shown by --list, and prevented where bubblewrap is'
complete -c worktree-spawn -l adopt -d 'Take in worktrees that other tools made: by path, directory, branch, or AGENT= before it'
complete -c worktree-spawn -l list -d 'Show how the trees stand instead'
complete -c worktree-spawn -l json -d 'With --list, print JSON records (spawning always does)'
complete -c worktree-spawn -l dry-run -d 'Decide and print, but make nothing'
complete -c worktree-spawn -s q -l quiet -d 'Print no table on standard error'
complete -c worktree-spawn -s h -l help -d 'Print help (see more with \'--help\')'
complete -c worktree-spawn -s V -l version -d 'Print version'
