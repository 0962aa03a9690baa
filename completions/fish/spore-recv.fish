complete -c spore-recv -s n -d 'Take at most N messages' -r
complete -c spore-recv -l wait -d 'Wait this long for the first message' -r
complete -c spore-recv -l timeout -d 'End --follow after this time (nine minutes unless said; 0 means never)' -r
complete -c spore-recv -l exec -d 'Give each message to a command; all that follows belongs to it' -r
complete -c spore-recv -l ack -d 'Acknowledge a held message' -r
complete -c spore-recv -l renew -d 'Hold it longer' -r
complete -c spore-recv -l release -d 'Give it back: it waits again' -r
complete -c spore-recv -l fail -d 'Give it up: to dead/, with a note to its sender' -r
complete -c spore-recv -l lease -d 'How long a message is held before it waits again' -r
complete -c spore-recv -l verify -d 'Check signatures by this file of allowed signers; what is FORGED goes to dead/' -r -F
complete -c spore-recv -l requeue -d 'Let a message that was given up wait again' -r
complete -c spore-recv -l older -d 'How old those days must be' -r
complete -c spore-recv -l hook -d 'Print the hook output of this tool if there is new mail' -r -f -a "claude\t'Claude Code'
codex\t'Codex'
kiro\t'Kiro'
gemini\t'Gemini'"
complete -c spore-recv -l budget -d 'How long a hook\'s text may be, in bytes' -r
complete -c spore-recv -l via -d 'By this bus (redis:, nats:, amqp:, kafka:; file: for this machine\'s mailboxes), else SPORE_BUS, else swarm.toml' -r
complete -c spore-recv -l as -d 'Who you are, outside an agent\'s worktree' -r
complete -c spore-recv -s C -l repo -d 'The repository, as if started there' -r -F
complete -c spore-recv -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c spore-recv -l all -d 'Take all that are there'
complete -c spore-recv -l peek -d 'Show without taking'
complete -c spore-recv -l list -d 'List what waits and what is held'
complete -c spore-recv -l follow -d 'Go on with every message that comes'
complete -c spore-recv -l hold -d 'Take without acknowledging: that comes later, by --ack'
complete -c spore-recv -l once -d 'Let no message through twice, even when it comes by two roads or after a crash'
complete -c spore-recv -l actions -d 'Write the actions of messages as JSON lines; leave messages without'
complete -c spore-recv -l results -d 'Write the results of messages as JSON lines; leave messages without'
complete -c spore-recv -l json -d 'Print records'
complete -c spore-recv -l raw -d 'Write the bytes of messages and nothing else'
complete -c spore-recv -l dead -d 'List what was given up'
complete -c spore-recv -l prune -d 'Remove acknowledged messages of old days'
complete -c spore-recv -l doctor -d 'Look for everything that should not be there'
complete -c spore-recv -l read -d 'Say what stands in these files'
complete -c spore-recv -l create -d 'Make your mailbox if it is missing'
complete -c spore-recv -s h -l help -d 'Print help (see more with \'--help\')'
complete -c spore-recv -s V -l version -d 'Print version'
