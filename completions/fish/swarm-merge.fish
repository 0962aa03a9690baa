complete -c swarm-merge -l into -d 'The branch to land on' -r
complete -c swarm-merge -l gate -d 'Run CMD on the union; it must end with 0 (may be given more than once)' -r
complete -c swarm-merge -l gate-timeout -d 'End a gate that takes longer; it has failed' -r
complete -c swarm-merge -l order -d 'In which order branches go in: oldest, least-conflict, given' -r
complete -c swarm-merge -l mode -d 'How branches become commits of the target: merge, squash, rebase' -r
complete -c swarm-merge -l policy -d 'When branches land: quality_gated, batch, immediate, manual' -r
complete -c swarm-merge -l via -d 'Leave the target alone: make a branch with the tested union and the texts for a pull request' -r -f -a "pr\t''"
complete -c swarm-merge -l report -d 'Show a report again: the last one, or that of ID' -r
complete -c swarm-merge -l check -d 'Derive every line of a report again; fail if one has no proof' -r
complete -c swarm-merge -l export -d 'Write the finished branches, their outcomes and messages to one file instead' -r -F
complete -c swarm-merge -l import -d 'Bring in what such a file holds, as branches import/NAME; nothing in it is believed untested' -r -F
complete -c swarm-merge -s C -l repo -d 'The repository, as if started there' -r -F
complete -c swarm-merge -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c swarm-merge -l afresh -d 'Run gates again that passed on the same tree before'
complete -c swarm-merge -l why -d 'For a culprit, find out whether it passes alone, and which branch it does not go with'
complete -c swarm-merge -l markdown -d 'Print the report in Markdown'
complete -c swarm-merge -l github-summary -d 'Append the report to the file that GITHUB_STEP_SUMMARY names'
complete -c swarm-merge -l forecast -d 'Show which agents\' work will conflict, what is not committed included; nothing is written'
complete -c swarm-merge -l update-checkout -d 'Let the checkout of the target go along, also when it was not started there'
complete -c swarm-merge -s n -l dry-run -d 'Decide and print, but test and change nothing'
complete -c swarm-merge -l json -d 'Print records: a Task for each branch handed back, then the IntegrationReport'
complete -c swarm-merge -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c swarm-merge -s h -l help -d 'Print help (see more with \'--help\')'
complete -c swarm-merge -s V -l version -d 'Print version'
