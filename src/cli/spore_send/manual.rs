//! What the man page of `spore-send` says.

use crate::cli::{Example, Manual};

pub(super) const MANUAL: Manual = Manual {
    description: "\
Delivers a message to the mailboxes of other agents. It ends with status 0 when the message is on \
the disk of every recipient, file and name: a power cut does not lose it any more. It prints the \
id, one line a message.

The list of recipients is closed. A name is known when it has a mailbox, stands in `swarm.toml`, \
or works in a worktree; for any other name nothing is sent to anybody, and the nearest names are \
printed. All names are looked up before the first delivery.

A *topic* has subscribers: those who wrote their name, a line, into the file `topic/NAME` of the \
swarm's directory (`build+linux` for the topic `build/linux`). `--topic` without `--to`, `--group` \
and `--all` sends to all of them but you, on files and by every bus alike: each has the message in \
a mailbox of its own. Who subscribes later does not get what was sent before.

You are who your worktree says; outside one, `--as` or `SPORE_AGENT` says it. If two of them \
disagree, that is status 5. Without any, the sender of an action is its `source_instance`, and of \
anything else `unknown`.

By a bus (`--via`, `SPORE_BUS`, or `[bus]` in `swarm.toml`) the message goes to the outbox on this \
machine's disk first, and from there, in order, to the bus. When the bus is away, silent, slow or \
full, that takes at most two seconds; the message waits, status 0, and the next send or \
`spore-relay drain` takes it along. A bus that refuses (password, certificate, permission) is an \
error at once, and the message is not sent. See `spore-relay`(1).

`--wait-ack` sees what is read on this machine. For a name whose mailbox is elsewhere it is \
refused and nothing is sent: ask for an answer with `--expect-reply` there.

Commands that wait (`--expect-reply`, `--wait-ack`) have sent the message before they wait. If the \
time passes, the status is 124 and the message stays where it is.",
    input: "\
`-m` is the whole body. Otherwise standard input is read, at most `--max` bytes:

*JSON lines* (the first line is a JSON object): each line becomes a message of its own. An action \
or a result, as `protocol-parse` writes it, becomes an item of the message; any other object \
becomes its body. A line that is wrong is reported, and the others are sent; with `--batch` \
nothing is sent then. With `--bundle` the batch is one Markdown file in the mailbox, as durable as \
the others and many times cheaper to send; its receiver makes files of it before it takes the \
first, and pays for the disk then. Ids, leases, attempts and acknowledgements are those of the \
single messages. Where the file system cannot swap two names, it is a plain batch. By a \
bus lines and batches are one file in the outbox, and single messages from there on.

*A spore file* (a title with `Spore:`, or headers): title, extra headers, kind, topic, time and \
reply id stay; options change them. The recipients are those of the command line. Who it is from \
must be you.

*Anything else* is the body, byte for byte.",
    output: "\
A line with the id of each message. With `--json` a record of each:

    {\"v\":1,\"type\":\"sent\",\"id\":\"…\",\"to\":[\"kiro-1\"],\"state\":\"delivered\",\"lane\":\"normal\",\"bytes\":210}

`state` is `delivered`, `confirmed` (by the bus), `spooled` (it waits in the outbox), `duplicate` (of an earlier send with the same `--id`), or `dry-run`. \
`--status` prints id, mailbox, state (waiting, held, done, dead, torn; on a bus spooled, confirmed) and what is known besides, \
separated by tabs; `--json` gives records of type `delivery`. `--expect-reply` prints the answer \
as `spore-recv` would; the id goes to standard error then.",
    exit_status: &[
        (0, "The message is in every mailbox, on the disk (or was there before, with --id)."),
        (3, "Unknown mailbox, group, topic or id. Nothing was sent."),
        (5, "You are not who you say, or a mailbox is not safe to use. Nothing was sent."),
        (75, "Not sent, or not confirmed by the disk: standard error says which, and how to try again."),
        (124, "Sent, but no answer or no acknowledgement came in time."),
    ],
    environment: &[
        ("SPORE_ROOT", "The swarm's directory."),
        ("SPORE_AGENT", "Who you are, outside an agent's worktree."),
        ("SPORE_BUS", "The address of the bus, where --via says nothing."),
    ],
    files: &[
        ("mail/NAME/", "The mailbox of NAME, a Maildir, in the swarm's directory."),
        ("group/NAME", "A group: one address a line."),
        ("topic/NAME", "Who subscribes to a topic: one address a line."),
        ("outbox/BUS/NAME/", "What waits for a bus, and copies of what it confirmed."),
        ("swarm.toml", "Who is known, and groups, at the repository's root."),
    ],
    examples: &[
        Example {
            says: "Send a line; --create makes the mailbox, once",
            session: "\
$ export SPORE_ROOT=$PWD/app.swarm
$ spore-send --as conductor --to kiro-1 --create -s 'first task' -m 'Please begin with 2.1.'
[..]
",
        },
        Example {
            says: "A name that nobody bears is an error, and nothing is sent",
            session: "\
$ spore-send --as conductor --to kiro-1,kira-2 -m 'hello' || echo \"status $?\"
spore-send: unknown mailbox \"kira-2\"
hint: did you mean kiro-1?
hint: --create makes a new mailbox; [agents] in swarm.toml makes a name known
status 3
",
        },
        Example {
            says: "Send twice with one key: it arrives once",
            session: "\
$ spore-send --as ci --to kiro-1 --id build-7 --json -m 'build 7 is red'
{\"v\":1,\"type\":\"sent\",[..]\"state\":\"delivered\"[..]
$ spore-send --as ci --to kiro-1 --id build-7 --json -m 'build 7 is red'
{\"v\":1,\"type\":\"sent\",[..]\"state\":\"duplicate\"[..]
",
        },
        Example {
            says: "Urgent mail is read first, --low mail last; --expires gives it up when it is old news",
            session: "\
$ spore-send --as conductor --to kiro-1 --urgent --expires 10m --kind note --topic builds -m 'stop pushing'
[..]
$ spore-send --as conductor --to kiro-1 --low -m 'when you have time'
[..]
",
        },
        Example {
            says: "Subscribe a mailbox to a topic, once; then to whoever subscribes",
            session: "\
$ mkdir app.swarm/topic && echo kiro-1 >> app.swarm/topic/builds
$ spore-send --as ci --topic builds --json -m 'build 8 is green'
{\"v\":1,\"type\":\"sent\",[..]\"to\":[\"kiro-1\"],[..]
",
        },
        Example {
            says: "To everybody, to a group, and only pretending",
            session: "\
$ spore-send --as conductor --to kiro-2 --create -m 'welcome'
[..]
$ spore-send --as conductor --all -m 'merge window is open'
[..]
$ mkdir app.swarm/group && echo kiro-2 > app.swarm/group/reviewers
$ spore-send --as conductor --group reviewers --dry-run --json -m 'please look'
{\"v\":1,\"type\":\"sent\",[..]\"to\":[\"kiro-2\"],\"state\":\"dry-run\"[..]
",
        },
        Example {
            says: "Many messages, all or nothing, from JSON lines",
            session: "\
$ printf '{\"n\":1}\\n{\"n\":2}\\n' | spore-send --as ci --to kiro-2 --batch --max 4096
[..]
[..]
",
        },
        Example {
            says: "The same as one file that cat shows; its receiver sees single messages",
            session: "\
$ printf '{\"n\":3}\\n{\"n\":4}\\n' | spore-send --as ci --to kiro-2 --batch --bundle > ids
$ cat app.swarm/mail/kiro-2/new/*.bundle | head -1
# 🧬 Bundle of 2 spores
$ spore-send --status \"$(head -1 ids)\"
[..]	kiro-2	waiting
",
        },
        Example {
            says: "Ask, and wait for the answer; the other side replies with --re",
            session: "\
$ (spore-recv --as kiro-1 --all --json >/dev/null; spore-recv --as kiro-1 --wait 5s --json | sed 's/.*\"id\":\"\\([^\"]*\\)\".*/\\1/' > asked; spore-send --as kiro-1 --to conductor --re \"$(cat asked)\" -m 'all green') >/dev/null &
$ sleep 0.3; spore-send --as conductor --to kiro-1 --expect-reply 5s -m 'how is the build?' 2>/dev/null | tail -1
all green
$ wait
",
        },
        Example {
            says: "Learn whether it was read: by asking once, or by waiting for it",
            session: "\
$ spore-send --as conductor --to kiro-2 -m 'read me' > sent
$ spore-send --status \"$(cat sent)\"
[..]	kiro-2	waiting
$ spore-send --as conductor --to kiro-2 --wait-ack 100ms -m 'quick' || echo \"status $?\"
[..]
spore-send: not acknowledged within 0.1 s: [..] is waiting in kiro-2
status 124
",
        },
        Example {
            says: "Without waiting for the disk: quicker, but a power cut may lose it",
            session: "\
$ spore-send -C . --root app.swarm --as conductor --to kiro-2 --no-sync -m 'ping'
spore-send: --no-sync: a power cut may lose this message; a crash of a program does not
[..]
",
        },
        Example {
            says: "Sign with a key of ssh; spore-recv --verify says what it is worth",
            session: "\
$ ssh-keygen -q -t ed25519 -N '' -f key -C conductor
$ spore-send --as conductor --to kiro-2 --sign key -m 'it is me'
[..]
",
        },
        Example {
            says: "By a bus that is away: the message is on the disk, and goes when the bus is back",
            session: "\
$ spore-send --as conductor --to kiro-2 --via redis://127.0.0.1:1 --json -m 'by bus'
spore-send: redis://127.0.0.1:1 is away: connection refused; messages wait in the outbox, and it is tried again in [..] s
{\"v\":1,\"type\":\"sent\",[..]\"state\":\"spooled\"[..]
$ spore-send --as conductor --to kiro-2 --via redis://127.0.0.1:1 --require-bus -m 'now or never' > id || echo \"status $?\"
spore-send: redis://127.0.0.1:1 is [..]
hint: the message waits in the outbox; spore-relay drain sends it
status 75
",
        },
    ],
    see_also: &["spore-relay(1)", "spore-recv(1)", "protocol-parse(1)", "spore(5)", "sporekit(7)"],
};
