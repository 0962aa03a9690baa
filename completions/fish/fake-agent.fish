complete -c fake-agent -l script -d 'What to do' -r
complete -c fake-agent -l seed -d 'Do what this number stands for' -r
complete -c fake-agent -l style -d 'Talk like this command: plain, claude, codex, gemini, opencode, kiro, aider' -r
complete -c fake-agent -s n -l dry-run -d 'Print the script and do nothing'
complete -c fake-agent -s h -l help -d 'Print help (see more with \'--help\')'
complete -c fake-agent -s V -l version -d 'Print version'
