complete -c protocol-parse -l as -d 'Who you are, outside an agent\'s worktree' -r
complete -c protocol-parse -l grammar -d 'Add the words of this file to the built-in ones' -r -F
complete -c protocol-parse -l core -d 'Refuse verbs and nouns that the original system does not know'
complete -c protocol-parse -l check -d 'Refuse commands that are not valid, such as `run task` without a task'
complete -c protocol-parse -l report -d 'Write one object for every line, mistakes included'
complete -c protocol-parse -s h -l help -d 'Print help (see more with \'--help\')'
complete -c protocol-parse -s V -l version -d 'Print version'
