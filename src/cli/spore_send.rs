//! `spore-send`: delivers a message to named mailboxes, a group, or everybody.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::args::{self, AsArgs, RootArgs};
use super::error::{self, Failure, complain};
use super::mail::{self, Letter, Mail};
use super::mail_bus::{self, BusArgs};
use super::{Example, Manual, Out, Result, Status, Tool};
use super::{mail_items, mail_sign, words};
use crate::action::Record;
use crate::bus::{Outbox, figures};
use crate::id::{AgentName, IdError, SporeId, TopicName};
use crate::spool::{
    Accepted, Clock, Host, Id, Lane, Mailbox, Place, Post, Receiver, Taken, Watch, stamp,
};
use crate::spore::envelope;
use crate::spore::{Headers, Part, item};

const MANUAL: Manual = Manual {
    description: "\
Delivers a message to the mailboxes of other agents. It ends with status 0 when the message is on \
the disk of every recipient, file and name: a power cut does not lose it any more. It prints the \
id, one line a message.

The list of recipients is closed. A name is known when it has a mailbox, stands in `swarm.toml`, \
or works in a worktree; for any other name nothing is sent to anybody, and the nearest names are \
printed. All names are looked up before the first delivery.

You are who your worktree says; outside one, `--as` or `SPORE_AGENT` says it. If two of them \
disagree, that is status 5. Without any, the sender of an action is its `source_instance`, and of \
anything else `unknown`.

By a bus (`--via`, `SPORE_BUS`, or `[bus]` in `swarm.toml`) the message goes to the outbox on this \
machine's disk first, and from there, in order, to the bus. When the bus is away, silent, slow or \
full, that takes at most two seconds; the message waits, status 0, and the next send or \
`spore-relay drain` takes it along. A bus that refuses (password, certificate, permission) is an \
error at once, and the message is not sent. See `spore-relay`(1).

Commands that wait (`--expect-reply`, `--wait-ack`) have sent the message before they wait. If the \
time passes, the status is 124 and the message stays where it is.",
    input: "\
`-m` is the whole body. Otherwise standard input is read, at most `--max` bytes:

*JSON lines* (the first line is a JSON object): each line becomes a message of its own. An action \
or a result, as `protocol-parse` writes it, becomes an item of the message; any other object \
becomes its body. A line that is wrong is reported, and the others are sent; with `--batch` \
nothing is sent then.

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
        (3, "Unknown mailbox, group or id. Nothing was sent."),
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

/// Deliver a message to other agents
#[derive(Debug, clap::Parser)]
#[command(
    name = "spore-send",
    version,
    max_term_width = 100,
    override_usage = "spore-send --to NAME,… [-s SUBJECT] [-m TEXT] [options]\n       spore-send --status ID"
)]
pub struct Args {
    /// To these agents, separated by commas
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', num_args = 1, required_unless_present_any = ["group", "all", "status"])]
    to: Vec<String>,

    /// To the members of a group of swarm.toml or group/
    #[arg(long, value_name = "G", conflicts_with_all = ["to", "all"])]
    group: Option<String>,

    /// To everybody who is known but you
    #[arg(long, conflicts_with = "to")]
    all: bool,

    /// The body, instead of standard input
    #[arg(
        short = 'm',
        long = "message",
        value_name = "TEXT",
        allow_hyphen_values = true
    )]
    message: Option<String>,

    /// The subject
    #[arg(short = 's', long, value_name = "SUBJECT", value_parser = subject, allow_hyphen_values = true)]
    subject: Option<String>,

    /// What it is: request, reply, note or error, or a word of your own
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,

    /// The id of the message that this one answers
    #[arg(long, value_name = "ID")]
    re: Option<SporeId>,

    /// The topic that it belongs to
    #[arg(long, value_name = "TOPIC")]
    topic: Option<TopicName>,

    /// Send once however often this is called with the same key
    #[arg(long, value_name = "KEY")]
    id: Option<String>,

    /// To be read before all other mail
    #[arg(long, conflicts_with = "low")]
    urgent: bool,

    /// To be read after all other mail
    #[arg(long)]
    low: bool,

    /// Give it up, and tell the sender, when it was not read within this time
    #[arg(long, value_name = "DUR", value_parser = args::duration)]
    expires: Option<Duration>,

    /// Wait for an answer and print it
    #[arg(long, value_name = "DUR", value_parser = args::duration, conflicts_with_all = ["wait_ack", "batch"])]
    expect_reply: Option<Duration>,

    /// Wait until every recipient has acknowledged it
    #[arg(long, value_name = "DUR", value_parser = args::duration)]
    wait_ack: Option<Duration>,

    /// Say where a message is by now
    #[arg(long, value_name = "ID", conflicts_with_all = ["group", "all", "message"])]
    status: Option<Id>,

    /// Make mailboxes that are missing
    #[arg(long)]
    create: bool,

    /// Deliver all messages of standard input or none
    #[arg(long, conflicts_with_all = ["message", "id"])]
    batch: bool,

    /// Do not wait for the disk: a power cut may lose the message
    #[arg(long)]
    no_sync: bool,

    /// Fail with status 75 when the bus does not confirm it now; it is sent later all the same
    #[arg(long)]
    require_bus: bool,

    /// Sign it with this key of ssh
    #[arg(long, value_name = "KEY")]
    sign: Option<std::path::PathBuf>,

    /// The longest message that is accepted, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max: u64,

    #[command(flatten)]
    bus: BusArgs,

    #[command(flatten)]
    who: AsArgs,

    #[command(flatten)]
    root: RootArgs,

    /// Print records
    #[arg(long)]
    json: bool,

    /// Do everything but deliver
    #[arg(short = 'n', long)]
    dry_run: bool,
}

const TOOL: &str = "spore-send";
/// After this many seconds without a reader a mailbox is worth a warning.
const UNREAD: u64 = 3600;
/// Clocks of two hosts are at most so far apart, in seconds.
const CLOCKS: u64 = 3600;
/// Bodies longer than this pass through without being held in memory.
const HELD: u64 = 1 << 20;

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        let make = !self.dry_run && self.status.is_none();
        let mail = Mail::open(&self.root, &self.who, make)?;
        if let Some(id) = self.status {
            return self.status(&mail, id, out);
        }
        let names = self.recipients(&mail)?;
        let mut sender = Sender {
            args: &self,
            me: mail.me.clone(),
            to: names.iter().map(AgentName::to_string).collect(),
            clock: Clock::Kernel,
            later: false,
        };
        let drafts = sender.drafts()?;
        let own = match self.expect_reply {
            Some(_) => Some(mail.mailbox(&mail.must_be()?, make)?),
            None => None,
        };
        let mut watch = own.as_ref().map(Watch::arm);
        if self.no_sync && !self.dry_run {
            error::say(&format!(
                "{TOOL}: --no-sync: a power cut may lose this message; a crash of a program does not\n"
            ));
        }
        let start = Instant::now();
        let mail_bus::Way { outbox, auto, lock } =
            mail_bus::way(&self.bus, &mail.root, self.dry_run)?;
        let boxes = self.boxes(&mail, outbox.as_ref(), &names)?;
        if outbox.is_some() && self.wait_ack.is_some() {
            // Only what is read on this machine can be seen to be read.
            names
                .iter()
                .try_for_each(|name| mail.spool.mailbox(name).map(drop))?;
        }
        sender.later = outbox.is_some();
        let (mut status, mut sent) = sender.send(drafts, &boxes, out)?;
        let road = mail_bus::road_name(outbox.as_ref().map(Outbox::address));
        let boxes = match outbox {
            Some(outbox) if !self.dry_run => {
                let carried = sender.carry(outbox, &names, &mut sent, out);
                self.note(&mail, road, start, &sent, carried.is_err());
                status = status.and(carried?);
                let here = names
                    .iter()
                    .filter_map(|name| mail.spool.mailbox(name).ok());
                here.collect()
            }
            _ => {
                if !self.dry_run {
                    self.note(&mail, road, start, &sent, false);
                    boxes.iter().for_each(|mailbox| self.warn(&mail, mailbox));
                }
                boxes
            }
        };
        drop(lock);
        if auto && !self.dry_run {
            mail_bus::consider(&mail.root);
        }
        out.hand_on()?;
        if let (Some(wait), false) = (self.wait_ack, self.dry_run) {
            status = status.and(wait_ack(&sent, &boxes, wait)?);
        }
        let carrier = match (&own, self.expect_reply) {
            (Some(own), Some(_)) => mail_bus::Carrier::new(TOOL, &self.bus, &mail, own)?,
            _ => None,
        };
        let _carrying = carrier.map(mail_bus::Carrier::keep_on);
        if let (Some(own), Some(watch), Some(wait), Some(asked)) =
            (&own, &mut watch, self.expect_reply, sent.pop())
            && !self.dry_run
        {
            status = status.and(self.await_reply(own, watch, asked, wait, out)?);
        }
        Ok(status)
    }
}

impl Args {
    fn lane(&self) -> Lane {
        match (self.urgent, self.low) {
            (true, _) => Lane::Urgent,
            (_, true) => Lane::Low,
            _ => Lane::Normal,
        }
    }

    /// The mailboxes, each once, in the order in which they were named; all of them, or an error.
    fn recipients(&self, mail: &Mail) -> Result<Vec<AgentName>> {
        let names: Vec<AgentName> = if let Some(group) = &self.group {
            mail.roster()?.group(group)?
        } else if self.all {
            let roster = mail.roster()?;
            let others = roster
                .agents
                .keys()
                .filter(|name| Some(*name) != mail.me.as_ref());
            others.cloned().collect()
        } else {
            let names: std::result::Result<_, IdError> =
                self.to.iter().map(|name| name.trim().parse()).collect();
            names?
        };
        if names.is_empty() {
            return Err(Failure::new(Status::No, "nobody to send to")
                .hint("--to NAME --create makes a mailbox")
                .into());
        }
        let mut unique: Vec<AgentName> = Vec::new();
        for name in names {
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        // All must be known before any is made.
        let create = self.create && !self.dry_run;
        if !create {
            for name in &unique {
                self.known(mail, name)?;
            }
        }
        Ok(unique)
    }

    /// Where the messages are put: the mailboxes, or those of the outbox of a bus.
    fn boxes(
        &self,
        mail: &Mail,
        outbox: Option<&Outbox>,
        names: &[AgentName],
    ) -> Result<Vec<Mailbox>> {
        match outbox {
            // All are known; those that are not there yet are not made.
            None if self.dry_run => {
                let there = names
                    .iter()
                    .filter_map(|name| mail.spool.mailbox(name).ok());
                Ok(there.collect())
            }
            None => names
                .iter()
                .map(|name| mail.mailbox(name, self.create))
                .collect(),
            Some(outbox) => {
                let boxes = names.iter().map(|name| outbox.spool().create(name));
                Ok(boxes.collect::<std::result::Result<_, _>>()?)
            }
        }
    }

    /// Notes what the send was like.
    fn note(&self, mail: &Mail, road: &str, start: Instant, sent: &[Sent], failed: bool) {
        let spooled = sent.iter().any(|one| one.state == "spooled");
        let state = match (failed, spooled, road) {
            (true, ..) => "failed",
            (_, true, _) => "spooled",
            (_, _, "file") => "delivered",
            _ => "confirmed",
        };
        let bytes = sent.iter().map(|one| one.size).sum();
        let (n, took) = (sent.len() as u64, start.elapsed());
        figures::note(
            &mail.root,
            &figures::figure("sent", road, n, bytes, took, state),
        );
    }

    fn known(&self, mail: &Mail, name: &AgentName) -> Result<()> {
        match mail.spool.mailbox(name) {
            Err(crate::spool::Error::NoMailbox { .. }) if mail_bus::is_known(&mail.root, name) => {
                Ok(())
            }
            Err(crate::spool::Error::NoMailbox { .. }) => mail.check_known(name),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Says what a sender should know: nobody reads there, or others may write there.
    fn warn(&self, mail: &Mail, mailbox: &Mailbox) {
        mail.warn_of(TOOL, mailbox);
        let unread = mailbox.unread_for(Clock::Kernel.now());
        if let Some(seconds) = unread.filter(|seconds| *seconds >= UNREAD) {
            error::say(&format!(
                "{TOOL}: nobody has looked into the mailbox of {} for {}\n",
                mailbox.name(),
                mail::ago(seconds)
            ));
        }
    }

    fn status(&self, mail: &Mail, id: Id, out: &mut Out) -> Result {
        let names = match self.to.is_empty() {
            true => {
                let mut names = mail.spool.names()?;
                names.extend(mail_bus::names(&mail.root)?);
                names.sort();
                names.dedup();
                names
            }
            false => {
                let names: std::result::Result<Vec<AgentName>, IdError> =
                    self.to.iter().map(|name| name.parse()).collect();
                names?
            }
        };
        let mut found = false;
        for name in names {
            let place = match mail.spool.mailbox(&name) {
                Ok(mailbox) => mailbox.find(id)?,
                Err(crate::spool::Error::NoMailbox { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            // Not here yet: a bus may have it, or it waits for one.
            let of_bus = match place {
                None => mail_bus::state_of(&mail.root, &name, id)?,
                Some(_) => None,
            };
            let (state, detail) = match (&place, &of_bus) {
                (Some(place), _) => {
                    let detail = match place {
                        Place::Done(day) => day.as_str(),
                        Place::Dead(why) => why.strip_prefix("Dead-Reason: ").unwrap_or(why),
                        _ => "",
                    };
                    (place.as_str(), detail)
                }
                (None, Some((state, detail))) => (*state, detail.as_str()),
                (None, None) => continue,
            };
            found = true;
            if self.json {
                let mut record = Map::new();
                record.insert("v".into(), json!(1));
                record.insert("type".into(), json!("delivery"));
                record.insert("id".into(), json!(id.to_string()));
                record.insert("to".into(), json!(name.as_str()));
                record.insert("state".into(), json!(state));
                if !detail.is_empty() {
                    record.insert("detail".into(), json!(detail));
                }
                mail::line(out, &record)?;
            } else {
                let row = format!("{id}\t{name}\t{state}\t{detail}");
                writeln!(out, "{}", row.trim_end())?;
            }
        }
        match found {
            true => Ok(Status::Done),
            false => {
                Err(Failure::new(Status::Unknown, format!("no message {id} in any mailbox")).into())
            }
        }
    }

    /// Waits in our own mailbox for a message that answers `asked`; others stay where they are.
    fn await_reply(
        &self,
        own: &Mailbox,
        watch: &mut Watch,
        asked: Sent,
        wait: Duration,
        out: &mut Out,
    ) -> Result {
        let end = Instant::now() + wait;
        let mut receiver = Receiver::new(own, Host::here(), mail::PATIENCE);
        let mut known: std::collections::HashSet<Id> = std::collections::HashSet::new();
        loop {
            own.note_reader();
            for entry in own.list()? {
                // An answer may come from a host whose clock is behind.
                let old = entry.name.id.seconds() + CLOCKS < asked.id.seconds();
                if entry.held || old || !known.insert(entry.name.id) {
                    continue;
                }
                // Gone or not a message: not ours to judge here.
                let Ok(file) = own.open_entry(&entry) else {
                    continue;
                };
                let letter = Letter::open(&entry.name, entry.lane, file.into())?;
                let re = letter.head.headers.re.as_deref();
                if re != Some(asked.name.as_str()) && re != Some(asked.id.to_string().as_str()) {
                    continue;
                }
                let Taken::Message(mut claim) = receiver.take_this(&entry)? else {
                    continue;
                };
                let Some(file) = claim.open() else { continue };
                let mut letter = Letter::open(&claim.name, claim.lane, file)?;
                super::spore_recv::print(&mut letter, self.json, out)?;
                out.hand_on()?;
                receiver.ack(&claim)?;
                return Ok(Status::Done);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                error::say(&format!(
                    "{TOOL}: no answer within {} s: {} was sent\n",
                    wait.as_secs_f64(),
                    asked.id
                ));
                return Ok(Status::TimedOut);
            }
            watch.wait(own, left)?;
        }
    }
}

/// Waits until all recipients have acknowledged; a message that died will not be.
fn wait_ack(sent: &[Sent], boxes: &[Mailbox], wait: Duration) -> Result {
    let end = Instant::now() + wait;
    let mut pause = Duration::from_millis(5);
    let mut open: Vec<(&Sent, &Mailbox)> = sent
        .iter()
        .flat_map(|sent| boxes.iter().map(move |mailbox| (sent, mailbox)))
        .collect();
    loop {
        let mut dead = None;
        open.retain(|(sent, mailbox)| match mailbox.settled(sent.id) {
            Ok(Some(Place::Done(_))) => false,
            Ok(Some(Place::Dead(why))) => {
                dead = Some((sent.id, mailbox.name(), why));
                true
            }
            _ => true,
        });
        if let Some((id, name, why)) = dead {
            let why = why.strip_prefix("Dead-Reason: ").unwrap_or(&why);
            return Err(Failure::new(Status::No, format!("{id} is dead in {name}: {why}")).into());
        }
        let Some((first, mailbox)) = open.first() else {
            return Ok(Status::Done);
        };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let place = mailbox.find(first.id)?;
            error::say(&format!(
                "{TOOL}: not acknowledged within {} s: {} is {} in {}\n",
                wait.as_secs_f64(),
                first.id,
                place.map_or("nowhere", |place| place.as_str()),
                mailbox.name(),
            ));
            return Ok(Status::TimedOut);
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// A message that was sent.
struct Sent {
    id: Id,
    /// The name by which an answer refers to it.
    name: String,
    state: &'static str,
    size: u64,
}

/// A message before it has an id.
struct Draft {
    subject: Option<String>,
    headers: Headers,
    extra: Vec<(String, String)>,
    body: Body,
}

enum Body {
    /// All of it.
    Held(Vec<u8>),
    /// A whole file, whose head is replaced.
    File(Vec<u8>, Box<envelope::Head>),
    /// Its beginning; the rest still stands in standard input.
    Begun(Vec<u8>),
}

struct Sender<'a> {
    args: &'a Args,
    me: Option<AgentName>,
    to: Vec<String>,
    clock: Clock,
    /// Whether it is reported only after a bus was asked.
    later: bool,
}

/// Drafts, and whether some lines were no messages.
type Drafts = (Vec<Draft>, Status);

impl Sender<'_> {
    fn drafts(&self) -> Result<Drafts> {
        if let Some(text) = &self.args.message {
            if text.len() as u64 > self.args.max {
                return Err(self.too_long().into());
            }
            let draft = self.draft(None, text.clone().into_bytes());
            return Ok((vec![draft], Status::Done));
        }
        if error::stdin_is_terminal() {
            return Err(error::no_input::<Args>().into());
        }
        let limit = self.args.max.min(HELD);
        let mut bytes = Vec::new();
        // Batches may be longer than one message: each line is held to the limit instead.
        let mut stdin = std::io::stdin().lock();
        stdin
            .by_ref()
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .context("standard input")?;
        if bytes.is_empty() && self.args.subject.is_none() {
            // The command before us in the pipe failed, or had nothing to say.
            return Err(
                Failure::new(Status::No, "nothing to send: standard input is empty")
                    .hint("-m '' sends an empty message")
                    .into(),
            );
        }
        if is_json(&bytes) {
            stdin.read_to_end(&mut bytes).context("standard input")?;
            return self.lines(&bytes);
        }
        let longer = bytes.len() as u64 > limit;
        if longer && limit == self.args.max {
            return Err(self.too_long().into());
        }
        let head = envelope::head(&bytes);
        if head.is_spore {
            stdin
                .take(self.args.max.saturating_sub(bytes.len() as u64) + 1)
                .read_to_end(&mut bytes)
                .context("standard input")?;
            if bytes.len() as u64 > self.args.max {
                return Err(self.too_long().into());
            }
            return Ok((vec![self.file(bytes, head)?], Status::Done));
        }
        let mut draft = self.draft(None, Vec::new());
        draft.body = match longer {
            true => Body::Begun(bytes),
            false => Body::Held(bytes),
        };
        Ok((vec![draft], Status::Done))
    }

    /// Who we are, for what must have a sender.
    fn name(&self) -> &str {
        self.me.as_ref().map_or("unknown", AgentName::as_str)
    }

    /// The subject that was given; an empty one is none.
    fn subject(&self) -> Option<String> {
        self.args.subject.clone().filter(|text| !text.is_empty())
    }

    fn too_long(&self) -> Failure {
        Failure::usage(format!(
            "the message is longer than the limit of {} bytes",
            self.args.max
        ))
        .hint("--max BYTES allows more")
    }

    /// A message with what the options say.
    fn draft(&self, from: Option<&str>, body: Vec<u8>) -> Draft {
        let args = self.args;
        let me = self.me.as_ref().map(AgentName::as_str);
        let kind = if args.re.is_some() { "reply" } else { "note" };
        Draft {
            subject: self.subject(),
            headers: Headers {
                from: Some(me.or(from).unwrap_or("unknown").to_owned()),
                to: self.to.clone(),
                kind: Some(args.kind.clone().unwrap_or(kind.to_owned())),
                re: args.re.as_ref().map(SporeId::to_string),
                topic: args.topic.as_ref().map(TopicName::to_string),
                ..Headers::default()
            },
            extra: Vec::new(),
            body: Body::Held(body),
        }
    }

    /// A spore file: what it says stands, unless an option says otherwise.
    fn file(&self, bytes: Vec<u8>, head: envelope::Head) -> Result<Draft> {
        let args = self.args;
        let theirs = head.headers.clone();
        if let (Some(me), Some(from)) = (&self.me, &theirs.from)
            && me.as_str() != from
        {
            return Err(Failure::new(
                Status::Refused,
                format!(
                    "the spore says it is from {from:?}, and you are {:?}",
                    me.as_str()
                ),
            )
            .hint("nobody signs with another's name: take its From line out")
            .into());
        }
        let ours = self.draft(theirs.from.as_deref(), Vec::new());
        Ok(Draft {
            subject: self.subject().or(head.subject.clone()),
            headers: Headers {
                id: theirs.id,
                time: theirs.time,
                kind: args.kind.clone().or(theirs.kind).or(ours.headers.kind),
                re: ours.headers.re.or(theirs.re),
                topic: ours.headers.topic.or(theirs.topic),
                ..ours.headers
            },
            extra: head.extra.clone(),
            body: Body::File(bytes, Box::new(head)),
        })
    }

    fn lines(&self, bytes: &[u8]) -> Result<Drafts> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            Failure::usage(format!("standard input: JSON lines are not UTF-8: {error}"))
        })?;
        let mut drafts = Vec::new();
        let mut status = Status::Done;
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let read = match line.len() as u64 > self.args.max {
                true => Err(self.too_long().into()),
                false => self.line(line),
            };
            match read {
                Ok(draft) => drafts.push(draft),
                Err(error) => {
                    let place = format!("standard input:{}", number + 1);
                    complain(TOOL, &error.context(place));
                    status = Status::Trouble;
                }
            }
        }
        if self.args.batch && status != Status::Done {
            return Err(Failure::usage("nothing was sent: --batch sends all or nothing").into());
        }
        Ok((drafts, status))
    }

    fn line(&self, line: &str) -> Result<Draft> {
        let value: Value = serde_json::from_str(line)?;
        let Value::Object(object) = &value else {
            return Err(Failure::usage("not a JSON object").into());
        };
        if !object.contains_key("verb") && !object.contains_key("success") {
            return Ok(self.draft(None, format!("```json\n{line}\n```\n").into_bytes()));
        }
        let grammar = words::grammar(self.args.root.repo.as_deref())?;
        let record = match object.contains_key("verb") && !object.contains_key("source_instance") {
            true => Record::Action(mail_items::signed(grammar, line, self.name())?),
            false => Record::read(line, &mut mail_items::Fresh, &grammar.words(false))?,
        };
        let source = match &record {
            Record::Action(action) => Some(action.source_instance.as_str()),
            Record::Result(_) => None,
        };
        // Who the message will be from.
        let from = self.me.as_ref().map(AgentName::as_str).or(source);
        let (block, lines) = match item::part(grammar, &record, from) {
            Part::Action(lines) => ("action", lines),
            Part::Result(lines) => ("result", lines),
            Part::Text(text) => ("", vec![text]),
        };
        let body = format!("```{block}\n{}\n```\n", lines.join("\n")).into_bytes();
        let (from, kind, subject) = match &record {
            Record::Action(action) => {
                let subject = format!("{} {}", action.verb, action.noun);
                (Some(action.source_instance.as_str()), "request", subject)
            }
            Record::Result(result) => {
                let word = if result.success { "done" } else { "failed" };
                (None, "reply", format!("{word}: {}", result.message))
            }
        };
        let mut draft = self.draft(from, body);
        if self.args.kind.is_none() && self.args.re.is_none() {
            draft.headers.kind = Some(kind.to_owned());
        }
        // A title is one line of printable text.
        let title = subject.lines().next().unwrap_or(kind).trim();
        draft
            .subject
            .get_or_insert_with(|| super::output::shown(title));
        Ok(draft)
    }

    fn send(
        &self,
        drafts: Drafts,
        boxes: &[Mailbox],
        out: &mut Out,
    ) -> Result<(Status, Vec<Sent>)> {
        let (drafts, status) = drafts;
        let post = Post {
            lane: self.args.lane(),
            expiry: self.args.expires.map(|length| {
                self.clock
                    .now()
                    .seconds()
                    .saturating_add(length.as_secs().max(1))
            }),
            sync: !self.args.no_sync,
        };
        let mut sent = Vec::new();
        if self.args.batch && !self.args.dry_run {
            sent = self.send_batch(drafts, boxes, &post, out)?;
            return Ok((status, sent));
        }
        let many = drafts.len() > 1;
        for (number, draft) in drafts.into_iter().enumerate() {
            // Several messages under one key are told apart by their place.
            let key = self.args.id.as_ref().map(|key| match many {
                true => format!("{key} {number}"),
                false => key.clone(),
            });
            sent.push(self.send_one(draft, key.as_deref(), boxes, &post, out)?);
        }
        Ok((status, sent))
    }

    /// Composes the message under its id.
    fn compose(&self, draft: &Draft, id: Id) -> Result<Vec<u8>> {
        let mut headers = draft.headers.clone();
        headers.id.get_or_insert_with(|| id.to_string());
        headers.time.get_or_insert_with(|| stamp(id.seconds()));
        let (subject, extra) = (draft.subject.as_deref(), draft.extra.as_slice());
        let spore = match &draft.body {
            Body::Held(body) => envelope::wrap(subject, &headers, extra, body),
            Body::File(bytes, head) => envelope::readdress(bytes, head, subject, &headers, extra),
            Body::Begun(start) => {
                // The beginning decides how the rest is read; it is cut off again.
                let line = start
                    .iter()
                    .rposition(|b| *b == b'\n')
                    .map_or(start.len(), |at| at + 1);
                envelope::wrap(subject, &headers, extra, &start[..line]).and_then(|probe| {
                    let marked = probe
                        .windows(18)
                        .take(64 * 1024)
                        .any(|w| w == b"\n<!-- verbatim -->");
                    let mut top = envelope::wrap(subject, &headers, extra, b"")?;
                    if marked {
                        top.extend_from_slice(b"\n<!-- verbatim -->\n");
                    }
                    top.push(b'\n');
                    top.extend_from_slice(start);
                    Ok(top)
                })
            }
        };
        let spore = spore.context("composing the message")?;
        match (&self.args.sign, &draft.body) {
            (None, _) => Ok(spore),
            (Some(_), Body::Begun(_)) => {
                let limit = format!("a message of more than {HELD} bytes cannot be signed");
                Err(Failure::usage(limit).into())
            }
            (Some(key), _) => mail_sign::sign(&spore, key),
        }
    }

    fn send_one(
        &self,
        draft: Draft,
        key: Option<&str>,
        boxes: &[Mailbox],
        post: &Post,
        out: &mut Out,
    ) -> Result<Sent> {
        let fresh = self.clock.id();
        let from = draft.headers.from.as_deref().unwrap_or("unknown");
        // Which mailboxes get it under which id: one id for all, but for keys used before.
        let mut groups: BTreeMap<Id, Vec<&Mailbox>> = BTreeMap::new();
        let mut first = fresh;
        for (place, mailbox) in boxes.iter().enumerate() {
            let id = match key {
                Some(key) if !self.args.dry_run => mailbox.reserve(from, key, first)?,
                _ => fresh,
            };
            if place == 0 {
                first = id;
            }
            groups.entry(id).or_default().push(mailbox);
        }
        if groups.is_empty() {
            groups.insert(fresh, Vec::new());
        }
        let name = draft.headers.id.clone();
        let mut size = 0;
        let mut state = if self.args.dry_run {
            "dry-run"
        } else {
            "duplicate"
        };
        for (id, mut mailboxes) in groups {
            let spore = self.compose(&draft, id)?;
            size = spore.len() as u64;
            if self.args.dry_run {
                continue;
            }
            if key.is_some() {
                let mut wanting = Vec::new();
                for mailbox in mailboxes {
                    if !mailbox.has(id)? {
                        wanting.push(mailbox);
                    }
                }
                mailboxes = wanting;
            }
            if let Some((accepted, bytes)) = self.deliver(&draft, id, &spore, &mailboxes, post)? {
                size = bytes;
                if accepted == Accepted::New {
                    state = "delivered";
                }
            }
        }
        let sent = Sent {
            id: first,
            name: name.unwrap_or(first.to_string()),
            state,
            size,
        };
        if !self.later {
            self.report(&sent, out)?;
        }
        Ok(sent)
    }

    /// Delivers one composed message; says how many bytes it had.
    fn deliver(
        &self,
        draft: &Draft,
        id: Id,
        spore: &[u8],
        mailboxes: &[&Mailbox],
        post: &Post,
    ) -> Result<Option<(Accepted, u64)>> {
        let Some((first, others)) = mailboxes.split_first() else {
            return Ok(None);
        };
        let mut size = spore.len() as u64;
        let mut file = first.draft(post.lane, id)?;
        file.write(spore)?;
        if let Body::Begun(start) = &draft.body {
            let mut stdin = std::io::stdin().lock();
            let mut buffer = vec![0; 64 * 1024];
            let mut body = start.len() as u64;
            loop {
                let read = stdin.read(&mut buffer).context("standard input")?;
                if read == 0 {
                    break;
                }
                body += read as u64;
                if body > self.args.max {
                    return Err(self.too_long().into());
                }
                file.write(&buffer[..read])?;
                size += read as u64;
            }
        }
        if others.is_empty() {
            return Ok(Some((file.deliver(post)?, size)));
        }
        file.deliver_to_all(others, post)?;
        Ok(Some((Accepted::New, size)))
    }

    fn send_batch(
        &self,
        drafts: Vec<Draft>,
        boxes: &[Mailbox],
        post: &Post,
        out: &mut Out,
    ) -> Result<Vec<Sent>> {
        if drafts
            .iter()
            .any(|draft| matches!(draft.body, Body::Begun(_)))
        {
            return Err(self.too_long().into());
        }
        let mut spores = Vec::with_capacity(drafts.len());
        for draft in &drafts {
            let id = self.clock.id();
            spores.push((id, self.compose(draft, id)?));
        }
        for mailbox in boxes {
            mailbox.deliver_batch(spores.iter().map(|(id, spore)| (*id, spore)), post)?;
        }
        let mut sent = Vec::with_capacity(spores.len());
        for ((id, spore), draft) in spores.iter().zip(&drafts) {
            let one = Sent {
                id: *id,
                name: draft.headers.id.clone().unwrap_or(id.to_string()),
                state: "delivered",
                size: spore.len() as u64,
            };
            if !self.later {
                self.report(&one, out)?;
            }
            sent.push(one);
        }
        Ok(sent)
    }

    /// Hands what stands in the outbox to the bus, and says of each message how far it came.
    fn carry(
        &self,
        outbox: Outbox,
        names: &[AgentName],
        sent: &mut [Sent],
        out: &mut Out,
    ) -> Result {
        let (outbox, mut report) = mail_bus::drain(outbox, names.to_vec());
        // A backlog may be long: it is not read to learn that nothing went.
        let waiting = match report.confirmed == 0 && report.alone_until_ms.is_some() {
            true => None,
            false => Some(mail_bus::waiting(&outbox, names)?),
        };
        for one in sent.iter_mut().filter(|one| one.state == "delivered") {
            let waits = waiting.as_ref().is_none_or(|ids| ids.contains(&one.id));
            one.state = if waits { "spooled" } else { "confirmed" };
        }
        mail_bus::say(TOOL, outbox.address(), &report);
        if let Some(error) = report.trouble.take_if(|error| !error.mends()) {
            // It will not mend by waiting: what was to be sent now is not sent.
            for (name, one) in names
                .iter()
                .flat_map(|n| sent.iter().map(move |one| (n, one)))
            {
                outbox.withdraw(name, one.id, &error.to_string())?;
            }
            return Err(anyhow::Error::new(error).context("not sent"));
        }
        let refused = report
            .refused
            .iter()
            .any(|(_, id, _)| sent.iter().any(|one| one.id == *id));
        if refused {
            return Ok(Status::Trouble);
        }
        for one in sent.iter() {
            self.report(one, out)?;
        }
        let spooled = sent.iter().any(|one| one.state == "spooled");
        match (spooled, self.args.require_bus) {
            (true, true) => {
                let why = match &report.trouble {
                    Some(trouble) => trouble.to_string(),
                    None => format!("{} is left alone for now", outbox.address()),
                };
                Err(Failure::new(Status::TryAgain, why)
                    .hint("the message waits in the outbox; spore-relay drain sends it")
                    .into())
            }
            _ => Ok(Status::Done),
        }
    }

    fn report(&self, sent: &Sent, out: &mut Out) -> Result<()> {
        if self.args.json {
            let mut record = Map::new();
            record.insert("v".into(), json!(1));
            record.insert("type".into(), json!("sent"));
            record.insert("id".into(), json!(sent.id.to_string()));
            if sent.name != sent.id.to_string() {
                record.insert("spore_id".into(), json!(sent.name));
            }
            record.insert("to".into(), json!(self.to));
            record.insert("state".into(), json!(sent.state));
            record.insert("lane".into(), json!(self.args.lane().as_str()));
            record.insert("bytes".into(), json!(sent.size));
            return mail::line(out, &record);
        }
        match self.args.expect_reply {
            Some(_) => error::say(&format!("{TOOL}: sent {}\n", sent.id)),
            None => writeln!(out, "{}", sent.id)?,
        }
        Ok(())
    }
}

/// A subject as a title holds it: one line, without blanks around it.
fn subject(text: &str) -> std::result::Result<String, &'static str> {
    match text.trim().contains(['\n', '\r']) {
        true => Err("a subject is one line of text; what is longer belongs into the body"),
        false => Ok(text.trim().to_owned()),
    }
}

/// Whether the first line is a JSON object.
fn is_json(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    if !text.starts_with(b"{") {
        return false;
    }
    let line = text.split(|b| *b == b'\n').next().unwrap_or(text);
    // Cut at the limit it cannot be judged; a whole line can.
    serde_json::from_slice::<Map<String, Value>>(line).is_ok()
}
