//! What the man page of `spore-recv` says.

use crate::cli::{Example, Manual};

pub(super) const MANUAL: Manual = Manual {
    description: "\
Takes the next message from your mailbox, writes it out, and acknowledges it after every byte was \
written: a reader that leaves half way leaves the message in the mailbox. Urgent mail comes first, \
`--low` mail last, each in the order of time.

A message that was taken is held by this process. If the process dies, or does not finish within \
the lease, the message waits again, with one attempt more; after five attempts it goes to `dead/` \
and its sender gets a note. Acknowledged messages stay in `done/` until `--prune`; another copy \
with the same id is dropped.

You are who your worktree says; outside one, `--as` or `SPORE_AGENT` says it.

From a bus (`--via`, `SPORE_BUS`, or `[bus]` in `swarm.toml`) messages are first put into this \
mailbox and only then acknowledged to the bus; a second copy is dropped by its id. All else is as \
without a bus: `--hold`, leases, dead letters. Mail that came without the bus is read too.

Nothing is found by polling: `--wait` and `--follow` sleep until the kernel reports a new file \
(where the file system cannot, they look twenty times a second, and less and less often).

*Hooks.* `--hook` is for an agent's own hook configuration: it prints one JSON object if there is \
mail that was never announced, and nothing otherwise; it takes and acknowledges nothing. The \
event's name is read from the JSON that the tool gives on standard input. Where the tool takes \
context, it gets `hookSpecificOutput.additionalContext` (kiro adds whatever a hook prints, and gets \
the same object); where an agent is about to end (Stop of `claude` and `codex`, AfterAgent of \
`gemini`), `decision` and `reason`, so that it reads its mail first. At events whose output the \
agent would not see, nothing is said and nothing counts as announced. No tool call and no prompt \
is ever refused: trouble is status 1 here, not 2, and somebody who is no agent is told nothing.",
    input: "\
The mailbox; with `--read`, files (or `-` for standard input) that are or were meant as spores. \
With `--hook`, the hook event of the agent's tool, if there is one.",
    output: "\
Each message as it is. When more than one may come, each is preceded by a line `=== ID from NAME`, \
which no sender can forge: nobody knows the id before. On a terminal control characters are shown \
escaped; `--raw` writes the bytes and nothing else.

`--json` writes a record of each message:

    {\"v\":1,\"type\":\"message\",\"id\":\"…\",\"from\":\"kiro-3\",\"subject\":\"…\",\"kind\":\"request\",\"time\":\"…\",
     \"to\":[\"kiro-1\"],\"lane\":\"normal\",\"bytes\":310,\"attempts\":1,\"body\":\"…\"}

Where the sender gave the spore an id of its own, that is `spore_id`. With `--hold` there is \
`hold`, the handle for `--ack` and the others. `--actions` and `--results` write the items of \
messages as JSON lines, and take only messages that have such items; a line that is no command is \
reported, status 2, and the others are written.

`--list` writes id, lane, state, sender and subject, separated by tabs; `--dead` id and reason; \
`--doctor` place and finding.",
    exit_status: &[
        (0, "A message was handed on, or what was asked for was done."),
        (1, "Nothing there, and that is verified: the directory did not change while it was read. For --doctor: something should be done."),
        (3, "Unknown mailbox or message."),
        (4, "The lease was lost: somebody else has the message now."),
        (5, "With --verify: a message was FORGED, and went to dead/. Or you are not who you say."),
        (75, "Nothing here, and the bus is away. Or another receiver was still taking a bundle apart after 10 s, or after --wait: what stands in it was not handed on."),
        (124, "--timeout passed, with --follow."),
        (125, "The command of --exec could not be started; 126 not executable, 127 not found; otherwise its own status, 128+N when signal N ended it."),
    ],
    environment: &[
        ("SPORE_ROOT", "The swarm's directory."),
        ("SPORE_AGENT", "Who you are, outside an agent's worktree."),
        ("SPORE_BUS", "The address of the bus, where --via says nothing."),
        ("SPORE_ID", "For the command of --exec: the id. Besides: SPORE_FROM, SPORE_SUBJECT, SPORE_KIND, SPORE_RE, SPORE_TOPIC, SPORE_ATTEMPTS, SPORE_SIGNATURE (with --verify), and SPORE_FILE, the path of the message."),
    ],
    files: &[
        ("mail/NAME/", "The mailbox, a Maildir, in the swarm's directory."),
        ("mail/NAME/done/DAY/", "What was acknowledged on that day."),
        ("mail/NAME/dead/", "What was given up, and why."),
    ],
    examples: &[
        Example {
            says: "Take the next message; it is acknowledged when it is written out",
            session: "\
$ export SPORE_ROOT=$PWD/app.swarm
$ spore-send --as boss --to kiro-1 --create -s hello -m 'How are you?' > sent
$ spore-recv --as kiro-1
# 🧬 Spore: hello

- **Spore ID**: [..]
- **From**: boss
- **To**: kiro-1
- **Timestamp**: [..]
- **Spore Type**: note

How are you?
$ spore-recv --as kiro-1 || echo \"status $?\"
status 1
",
        },
        Example {
            says: "Look without taking",
            session: "\
$ spore-send --as boss --to kiro-1 -s first -m 'one' > sent
$ spore-send --as boss --to kiro-1 -s second -m 'two' >> sent
$ spore-recv --as kiro-1 --list
[..]	normal	waiting	boss	first
[..]	normal	waiting	boss	second
$ spore-recv --as kiro-1 --peek -n 1 --raw | tail -1
one
",
        },
        Example {
            says: "Hand each message to a command; what it fails is not lost",
            session: "\
$ spore-recv --as kiro-1 -n 1 --exec sh -c 'tail -1; echo \"for $SPORE_ID\" >&2; exit 7' || echo \"status $?\"
one
for [..]
spore-recv: [..] was not acknowledged: sh ended with status 7; it waits again
status 7
$ spore-recv --as kiro-1 --all --exec tail -1
one
two
",
        },
        Example {
            says: "Take the work items of messages as JSON lines",
            session: "\
$ echo '{\"verb\":\"run\",\"noun\":\"task\"}' | spore-send --as boss --to kiro-1 > sent
$ spore-recv --as kiro-1 --actions
{\"verb\":\"run\",\"noun\":\"task\",[..]
$ spore-recv --as kiro-1 --results || echo \"status $?\"
status 1
",
        },
        Example {
            says: "Hold a message over several commands: renew, release, fail, acknowledge",
            session: "\
$ spore-send --as boss --to kiro-1 -m 'a long job' > id
$ spore-recv --as kiro-1 --hold --lease 30m --json
{\"v\":1,\"type\":\"message\",[..]\"hold\":\"[..],A=1\"[..]
$ spore-recv --as kiro-1 --renew \"$(cat id)\" --lease 1h
$ spore-recv --as kiro-1 --release \"$(cat id)\"
$ spore-recv --as kiro-1 --hold > text 2> handle
$ spore-recv --as kiro-1 --fail \"$(cat id)\"
$ spore-recv --as kiro-1 --dead
[..]	given up by kiro-1
$ spore-recv --as kiro-1 --requeue \"$(cat id)\"
$ spore-recv --as kiro-1 --hold > text 2> handle
$ spore-recv --as kiro-1 --ack \"$(cat id)\"
",
        },
        Example {
            says: "Wait for mail, or follow it",
            session: "\
$ spore-recv --as kiro-1 --wait 50ms || echo \"status $?\"
status 1
$ spore-send --as boss --to kiro-1 -s news -m 'fresh' > id
$ spore-recv --as kiro-1 --follow --timeout 100ms --once --raw | tail -1
fresh
$ spore-recv --as kiro-9 --create --follow --timeout 10ms || echo \"status $?\"
status 124
",
        },
        Example {
            says: "Tell an agent about new mail from its own hook: once",
            session: "\
$ spore-send --as boss --to kiro-1 -s 'look here' -m 'the build is red' > id
$ echo '{\"hook_event_name\":\"PostToolUse\"}' | spore-recv --as kiro-1 --hook claude --budget 2000
{\"hookSpecificOutput\":{\"hookEventName\":\"PostToolUse\",\"additionalContext\":\"[..]look here[..]\"}}
$ spore-recv --as kiro-1 --hook claude < /dev/null
",
        },
        Example {
            says: "See who has signed; the file is that of ssh-keygen -Y verify and of git",
            session: "\
$ ssh-keygen -q -t ed25519 -N '' -f key -C boss && echo \"boss $(cat key.pub)\" > signers
$ spore-send --as boss --to kiro-1 --sign key -m 'it is me' > id
$ spore-recv --as kiro-1 --all --verify signers > read
spore-recv: [..] from boss: unsigned
spore-recv: [..] from boss: verified
$ spore-send --as mallory --to kiro-1 --sign key -m 'it is me too' > id
$ spore-recv --as kiro-1 --verify signers || echo \"status $?\"
spore-recv: [..] from mallory: FORGED
status 5
",
        },
        Example {
            says: "From a bus that is away only what was fetched before can be read",
            session: "\
$ spore-recv --as kiro-1 --via redis://127.0.0.1:1 || echo \"status $?\"
spore-recv: redis://127.0.0.1:1 is away: connection refused; it is tried again
status 75
",
        },
        Example {
            says: "Keep the house",
            session: "\
$ spore-recv -C . --root app.swarm --as kiro-1 --doctor
$ spore-recv --as kiro-1 --prune --older 7d
0 messages of 0 days
",
        },
        Example {
            says: "See what stands in files",
            session: "\
$ printf '# Spore: hi\\n\\n- **From**: me\\n' > letter.md && spore-recv --read --json letter.md
{[..]\"subject\":\"hi\"[..]
",
        },
    ],
    see_also: &["spore-send(1)", "protocol-print(1)", "spore(5)", "maildir(5)", "sporekit(7)"],
};
