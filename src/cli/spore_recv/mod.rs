//! `spore-recv`: takes messages from a mailbox, and acknowledges what was handed on whole.

use std::io::Write;
use std::time::{Duration, Instant};

use super::args::{self, AsArgs, RootArgs};
use super::error::{self, say};
use super::mail::{self, Mail};
use super::mail_bus::{self, BusArgs, Carrier};
use super::{Manual, Out, Result, Status, Tool, mail_items, spore_read, words};
use crate::id::AgentName;
use crate::spool::{Clock, Host, Id, Mailbox, Receiver};
use crate::spore::item::Defaults;

mod hook;
mod manual;
mod session;
mod show;

use hook::Hook;
use session::Session;
pub(super) use show::print;

/// Receive messages from other agents
#[derive(Debug, clap::Parser)]
#[command(
    name = "spore-recv",
    version,
    max_term_width = 100,
    override_usage = "spore-recv [-n N | --all] [--wait DUR | --follow] [options] [--exec CMD…]\n       spore-recv --read FILE… [--json | --raw]",
    group = clap::ArgGroup::new("mode").args([
        "peek", "list", "exec", "hold", "ack", "renew", "release", "fail", "dead", "requeue",
        "prune", "doctor", "hook", "read",
    ])
)]
pub struct Args {
    /// Take at most N messages
    #[arg(short = 'n', value_name = "N", conflicts_with = "all")]
    number: Option<usize>,

    /// Take all that are there
    #[arg(long)]
    all: bool,

    /// Show without taking
    #[arg(long)]
    peek: bool,

    /// List what waits and what is held
    #[arg(long)]
    list: bool,

    /// Wait this long for the first message
    #[arg(long, value_name = "DUR", value_parser = args::duration, conflicts_with = "follow")]
    wait: Option<Duration>,

    /// Go on with every message that comes
    #[arg(long, conflicts_with = "number")]
    follow: bool,

    /// End --follow after this time (nine minutes unless said; 0 means never)
    #[arg(long, value_name = "DUR", value_parser = args::duration, requires = "follow")]
    timeout: Option<Duration>,

    /// Give each message to a command; all that follows belongs to it
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
    exec: Vec<String>,

    /// Take without acknowledging: that comes later, by --ack
    #[arg(long)]
    hold: bool,

    /// Acknowledge a held message
    #[arg(long, value_name = "ID")]
    ack: Option<Handle>,

    /// Hold it longer
    #[arg(long, value_name = "ID")]
    renew: Option<Handle>,

    /// Give it back: it waits again
    #[arg(long, value_name = "ID")]
    release: Option<Handle>,

    /// Give it up: to dead/, with a note to its sender
    #[arg(long, value_name = "ID")]
    fail: Option<Handle>,

    /// How long a message is held before it waits again
    #[arg(long, value_name = "DUR", value_parser = args::duration, default_value = "10m")]
    lease: Duration,

    /// Let no message through twice, even when it comes by two roads or after a crash
    #[arg(long)]
    once: bool,

    /// Write the actions of messages as JSON lines; leave messages without
    #[arg(long)]
    actions: bool,

    /// Write the results of messages as JSON lines; leave messages without
    #[arg(long)]
    results: bool,

    /// Check signatures by this file of allowed signers; what is FORGED goes to dead/
    #[arg(long, value_name = "FILE")]
    verify: Option<std::path::PathBuf>,

    /// Print records
    #[arg(long, conflicts_with_all = ["actions", "results", "raw"])]
    json: bool,

    /// Write the bytes of messages and nothing else
    #[arg(long)]
    raw: bool,

    /// List what was given up
    #[arg(long)]
    dead: bool,

    /// Let a message that was given up wait again
    #[arg(long, value_name = "ID")]
    requeue: Option<Id>,

    /// Remove acknowledged messages of old days
    #[arg(long)]
    prune: bool,

    /// How old those days must be
    #[arg(long, value_name = "DUR", value_parser = args::duration, default_value = "7d", requires = "prune")]
    older: Duration,

    /// Look for everything that should not be there
    #[arg(long)]
    doctor: bool,

    /// Print the hook output of this tool if there is new mail
    #[arg(long, value_name = "TOOL")]
    hook: Option<Hook>,

    /// How long a hook's text may be, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4000, requires = "hook")]
    budget: usize,

    /// Say what stands in these files
    #[arg(long, requires = "files")]
    read: bool,

    /// Files that are, or were meant as, spores; `-` is standard input
    #[arg(value_name = "FILE", requires = "read")]
    files: Vec<String>,

    /// Make your mailbox if it is missing
    #[arg(long)]
    create: bool,

    #[command(flatten)]
    bus: BusArgs,

    #[command(flatten)]
    who: AsArgs,

    #[command(flatten)]
    root: RootArgs,
}

/// A held message: its id, or `ID,A=n` for that very claim.
#[derive(Debug, Clone, Copy)]
struct Handle {
    id: Id,
    attempt: Option<u32>,
}

impl std::str::FromStr for Handle {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Handle, String> {
        let (id, attempt) = match text.split_once(",A=") {
            Some((id, attempt)) => (id, Some(attempt)),
            None => (text, None),
        };
        let attempt = attempt
            .map(|attempt| attempt.parse())
            .transpose()
            .map_err(|_| format!("{text:?} is not ID,A=NUMBER"))?;
        let id = id.parse().map_err(|error| format!("{error}"))?;
        Ok(Handle { id, attempt })
    }
}

const TOOL: &str = "spore-recv";

impl Tool for Args {
    const MANUAL: Manual = manual::MANUAL;

    fn run(self, out: &mut Out) -> Result {
        if self.read {
            return self.read_files(out);
        }
        if let Some(tool) = self.hook {
            return Ok(self.hook(tool, out));
        }
        let mail = self.open()?;
        let me = mail.must_be()?;
        let end = self.end();
        let mailbox = match self.mailbox(&mail, &me) {
            Err(error) if self.patient() && error::status(&error) == Status::Unknown => {
                match self.await_mailbox(&mail, &me, end) {
                    Some(mailbox) => mailbox,
                    None => return Err(error),
                }
            }
            opened => opened?,
        };
        mail.warn_of(TOOL, &mailbox);
        let carrier = self.fetch(&mail, &mailbox)?;
        let away = carrier.as_ref().is_some_and(Carrier::is_away);
        if self.list {
            return self.list(&mailbox, out);
        }
        if self.peek {
            return self.peek(&mailbox, out);
        }
        if self.dead {
            return self.dead(&mailbox, out);
        }
        if self.doctor {
            return self.doctor(&mailbox, out);
        }
        if let Some(id) = self.requeue {
            mailbox.requeue(id)?;
            return Ok(Status::Done);
        }
        if self.prune {
            let pruned = mailbox.prune(self.older.as_secs(), Clock::Kernel.now())?;
            writeln!(out, "{} messages of {} days", pruned.messages, pruned.days)?;
            return Ok(Status::Done);
        }
        let mut receiver = Receiver::new(&mailbox, Host::here(), self.lease);
        if self.hold || self.renew.is_some() {
            receiver = receiver.outliving();
        }
        if let Some(done) = self.settle(&mail, &me, &mut receiver)? {
            return Ok(done);
        }
        let carrying = carrier.filter(|_| self.patient()).map(Carrier::keep_on);
        let ended = Session {
            args: &self,
            mail: &mail,
            mailbox: &mailbox,
            receiver,
            end,
            road: mail_bus::road_name(self.bus.roads(&mail.root)?.now.as_ref()),
            given: 0,
            status: Status::Done,
            told: None,
        }
        .run(out);
        drop(carrying);
        match ended? {
            // "Nothing" is only half verified when the bus could not be asked.
            Status::No if away && !self.patient() => Ok(Status::TryAgain),
            status => Ok(status),
        }
    }
}

impl Args {
    fn open(&self) -> Result<Mail> {
        Mail::open(&self.root, &self.who, self.create || self.patient())
    }

    /// Brings what a bus has for us to this disk, once; nothing when no bus is in force, or when
    /// the mail of the bus has nothing to do with what was asked.
    fn fetch(&self, mail: &Mail, mailbox: &Mailbox) -> Result<Option<Carrier>> {
        let settles = [self.ack, self.renew, self.release, self.fail];
        let inward = settles.iter().any(Option::is_some)
            || self.dead
            || self.doctor
            || self.prune
            || self.requeue.is_some();
        if inward {
            return Ok(None);
        }
        let Some(mut carrier) = Carrier::new(TOOL, &self.bus, mail, mailbox)? else {
            return Ok(None);
        };
        carrier.carry(Duration::ZERO, self.all || self.list)?;
        Ok(Some(carrier))
    }

    /// Whether it waits for mail, and so for a mailbox too.
    fn patient(&self) -> bool {
        self.follow || self.wait.is_some()
    }

    /// When waiting ends.
    fn end(&self) -> Option<Instant> {
        let length = match (self.wait, self.timeout) {
            (Some(wait), _) => wait,
            (None, Some(timeout)) if timeout.is_zero() => return None,
            (None, Some(timeout)) => timeout,
            (None, None) if self.follow => mail::PATIENCE,
            (None, None) => Duration::ZERO,
        };
        // Too far to be told is never.
        Instant::now().checked_add(length)
    }

    fn mailbox(&self, mail: &Mail, me: &AgentName) -> Result<Mailbox> {
        mail.mailbox(me, self.create)
    }

    /// Waits for a mailbox that somebody else makes.
    fn await_mailbox(&self, mail: &Mail, me: &AgentName, end: Option<Instant>) -> Option<Mailbox> {
        say(&format!(
            "{TOOL}: no mailbox {:?} yet, waiting for it\nhint: --create makes it\n",
            me.as_str()
        ));
        let mut pause = Duration::from_millis(50);
        loop {
            if let Ok(mailbox) = mail.spool.mailbox(me) {
                return Some(mailbox);
            }
            let left = end.map_or(Duration::MAX, |end| {
                end.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return None;
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    fn read_files(&self, out: &mut Out) -> Result {
        let form = match (self.json, self.raw) {
            (true, _) => spore_read::Form::Json,
            (_, true) => spore_read::Form::Repaired,
            _ => spore_read::Form::Listing,
        };
        let grammar = words::grammar(self.root.repo.as_deref())?;
        let command =
            |line: &str, defaults: &Defaults| mail_items::command(grammar, line, defaults);
        spore_read::read_files(TOOL, &self.files, form, &command, out)
    }

    /// `--ack`, `--renew`, `--release`, `--fail`.
    fn settle(
        &self,
        mail: &Mail,
        me: &AgentName,
        receiver: &mut Receiver<'_>,
    ) -> Result<Option<Status>> {
        if let Some(Handle { id, attempt }) = self.ack {
            match receiver.held(id, attempt) {
                Ok(claim) => receiver.ack(&claim)?,
                // Twice is as good as once.
                Err(_) if receiver.is_done(id)? => {}
                Err(error) => return Err(error.into()),
            }
        } else if let Some(Handle { id, attempt }) = self.renew {
            let mut claim = receiver.held(id, attempt)?;
            receiver.renew(&mut claim)?;
        } else if let Some(Handle { id, attempt }) = self.release {
            let claim = receiver.held(id, attempt)?;
            receiver.release(&claim, true)?;
        } else if let Some(Handle { id, attempt }) = self.fail {
            let mut claim = receiver.held(id, attempt)?;
            receiver.fail(&mail.spool, &mut claim, &format!("given up by {me}"))?;
        } else {
            return Ok(None);
        }
        Ok(Some(Status::Done))
    }
}
