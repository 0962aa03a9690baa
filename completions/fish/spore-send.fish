complete -c spore-send -l to -d 'To these agents, separated by commas' -r
complete -c spore-send -l group -d 'To the members of a group of swarm.toml or group/' -r
complete -c spore-send -s m -l message -d 'The body, instead of standard input' -r
complete -c spore-send -s s -l subject -d 'The subject' -r
complete -c spore-send -l kind -d 'What it is: request, reply, note or error, or a word of your own' -r
complete -c spore-send -l re -d 'The id of the message that this one answers' -r
complete -c spore-send -l topic -d 'The topic that it belongs to; without --to, --group and --all it goes to its subscribers' -r
complete -c spore-send -l id -d 'Send once however often this is called with the same key' -r
complete -c spore-send -l expires -d 'Give it up, and tell the sender, when it was not read within this time' -r
complete -c spore-send -l expect-reply -d 'Wait for an answer and print it' -r
complete -c spore-send -l wait-ack -d 'Wait until every recipient has acknowledged it' -r
complete -c spore-send -l status -d 'Say where a message is by now' -r
complete -c spore-send -l sign -d 'Sign it with this key of ssh' -r -F
complete -c spore-send -l max -d 'The longest message that is accepted, in bytes' -r
complete -c spore-send -l via -d 'By this bus (redis:, nats:, amqp:, kafka:; file: for this machine\'s mailboxes), else SPORE_BUS, else swarm.toml' -r
complete -c spore-send -l as -d 'Who you are, outside an agent\'s worktree' -r
complete -c spore-send -s C -l repo -d 'The repository, as if started there' -r -F
complete -c spore-send -l root -d 'The swarm\'s directory (otherwise: `git config spore.root`, else `<repository>.swarm`)' -r -F
complete -c spore-send -l all -d 'To everybody who is known but you'
complete -c spore-send -l urgent -d 'To be read before all other mail'
complete -c spore-send -l low -d 'To be read after all other mail'
complete -c spore-send -l create -d 'Make mailboxes that are missing'
complete -c spore-send -l batch -d 'Deliver all messages of standard input or none'
complete -c spore-send -l bundle -d 'With --batch: as one file, which the receiver takes apart; quickest for the sender'
complete -c spore-send -l no-sync -d 'Do not wait for the disk: a power cut may lose the message'
complete -c spore-send -l require-bus -d 'Fail with status 75 when the bus does not confirm it now; it is sent later all the same'
complete -c spore-send -l json -d 'Print records'
complete -c spore-send -s n -l dry-run -d 'Do everything but deliver'
complete -c spore-send -s h -l help -d 'Print help (see more with \'--help\')'
complete -c spore-send -s V -l version -d 'Print version'
