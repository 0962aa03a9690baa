//! `spore-send`: delivers a message to named mailboxes, a group, or everybody.

use std::time::{Duration, Instant};

use super::args::{self, AsArgs, RootArgs};
use super::error::{self, Failure};
use super::mail::{self, Mail};
use super::mail_bus::{self, BusArgs};
use super::{Manual, Out, Result, Status, Tool};
use crate::bus::{Outbox, figures};
use crate::id::{AgentName, IdError, SporeId, TopicName};
use crate::spool::{Clock, Id, Lane, Mailbox, Watch};
use crate::swarm::roster;

mod deliver;
mod draft;
mod follow_up;
mod manual;

use deliver::{Sender, Sent};

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
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', num_args = 1, required_unless_present_any = ["group", "all", "topic", "status"])]
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

    /// The topic that it belongs to; without --to, --group and --all it goes to its subscribers
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

    /// With --batch: as one file, which the receiver takes apart; quickest for the sender
    #[arg(long, requires = "batch")]
    bundle: bool,

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

impl Tool for Args {
    const MANUAL: Manual = manual::MANUAL;

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
        if outbox.is_some() && self.wait_ack.is_some() {
            // Only what is read on this machine can be seen to be read.
            let elsewhere = |name: &&AgentName| mail.spool.mailbox(name).is_err();
            if let Some(name) = names.iter().find(elsewhere) {
                let why = format!(
                    "--wait-ack: {name} has no mailbox on this machine, and what is read elsewhere is not seen here; nothing was sent"
                );
                return Err(Failure::usage(why)
                    .hint(
                        "ask for an answer: --expect-reply DUR; the reader says spore-send --re ID",
                    )
                    .into());
            }
        }
        let boxes = self.boxes(&mail, outbox.as_ref(), &names)?;
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
            status = status.and(follow_up::wait_ack(&sent, &boxes, wait)?);
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
        } else if let (true, Some(topic)) = (self.to.is_empty(), &self.topic) {
            let mut names = roster::subscribers(&mail.root, topic)?;
            names.retain(|name| Some(name) != mail.me.as_ref());
            names
        } else {
            let names: std::result::Result<_, IdError> =
                self.to.iter().map(|name| name.trim().parse()).collect();
            names?
        };
        if names.is_empty() {
            return Err(Failure::new(Status::No, "nobody to send to")
                .hint(match &self.topic {
                    Some(_) if self.to.is_empty() => "nobody but you subscribes to that topic",
                    _ => "--to NAME --create makes a mailbox",
                })
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
}

/// A subject as a title holds it: one line, without blanks around it.
fn subject(text: &str) -> std::result::Result<String, &'static str> {
    match text.trim().contains(['\n', '\r']) {
        true => Err("a subject is one line of text; what is longer belongs into the body"),
        false => Ok(text.trim().to_owned()),
    }
}
