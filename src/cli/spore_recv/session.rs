//! One run that takes messages: write out or hand to a command, then acknowledge.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::{Args, TOOL};
use crate::bus::figures;
use crate::cli::error::{Failure, complain, say};
use crate::cli::mail::{self, Letter, Mail};
use crate::cli::{Out, Result, Status, mail_sign};
use crate::spool::{Claim, Clock, Mailbox, Receiver, Spent, Taken, Watch, Woken};

/// How long we wait while another receiver takes a bundle apart, where no shorter time was given,
/// and how often we look.
const OPENING: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

/// One run that takes messages.
pub(super) struct Session<'a> {
    pub(super) args: &'a Args,
    pub(super) mail: &'a Mail,
    pub(super) mailbox: &'a Mailbox,
    pub(super) receiver: Receiver<'a>,
    pub(super) end: Option<Instant>,
    /// The road in force, for the figures.
    pub(super) road: &'static str,
    pub(super) given: usize,
    pub(super) status: Status,
    pub(super) told: Option<Told>,
}

/// Signals that tell us to end. While a command runs it is told, and we end after it; at any other
/// time they end us at once, as they would without this.
pub(super) struct Told {
    idle: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Told {
    fn listen() -> std::io::Result<Told> {
        let told = Told {
            idle: Arc::new(AtomicBool::new(true)),
            signal: Arc::default(),
        };
        for (number, value) in [(SIGINT, 2), (SIGTERM, 15)] {
            flag::register_conditional_default(number, Arc::clone(&told.idle))?;
            flag::register_usize(number, Arc::clone(&told.signal), value)?;
        }
        Ok(told)
    }

    /// The signal that came.
    fn signal(&self) -> Option<u8> {
        let number = self.signal.load(Ordering::Relaxed);
        u8::try_from(number).ok().filter(|number| *number != 0)
    }
}

impl Session<'_> {
    /// Notes how long the message was on its way, and how its receipt ended.
    fn note(&self, claim: &Claim, state: &str) {
        let name = &claim.name;
        let made = name.id.seconds() * 1_000_000 + u64::from(name.id.micros());
        let took = Clock::Kernel.now().micros.saturating_sub(made);
        let took = Duration::from_micros(took);
        let mut figure = figures::figure("received", self.road, 1, name.size, took, state);
        figure.attempts = Some(name.attempts);
        figures::note(&self.mail.root, &figure);
    }

    /// Takes as much as was asked for. Where the mailbox was removed meanwhile, that is what is
    /// said, whatever failed of it.
    pub(super) fn run(mut self, out: &mut Out) -> Result {
        match self.take(out) {
            Err(_) if self.is_removed() => Err(self.removed()),
            done => done,
        }
    }

    fn is_removed(&self) -> bool {
        !self.mailbox.path().join("new").exists()
    }

    fn removed(&self) -> anyhow::Error {
        let name = self.mailbox.name();
        Failure::new(
            Status::Unknown,
            format!("the mailbox of {name} was removed"),
        )
        .into()
    }

    fn take(&mut self, out: &mut Out) -> Result {
        let args = self.args;
        let mut watch = args.patient().then(|| Watch::arm(self.mailbox));
        let limit = match (args.all || args.follow, args.number) {
            (true, _) => usize::MAX,
            (_, number) => number.unwrap_or(1),
        };
        if !args.exec.is_empty() {
            self.told = Some(Told::listen().context("listening to signals")?);
        }
        let mut opening = false;
        loop {
            self.mailbox.note_reader();
            while self.given < limit {
                let taken = self.next()?;
                opening = matches!(taken, Taken::Opening);
                match taken {
                    Taken::Message(claim) => self.handle(claim, out)?,
                    Taken::Spent(claim, why) => self.give_up(claim, why)?,
                    Taken::Opening | Taken::Nothing => break,
                }
                if let Some(signal) = self.told.as_ref().and_then(Told::signal) {
                    return Ok(Status::Child(128 + signal));
                }
            }
            self.may_be_ended(true);
            let waits = args.follow || (args.wait.is_some() && self.given == 0);
            let Some(watch) = watch.as_mut().filter(|_| waits) else {
                break;
            };
            let left = self.left();
            if left.is_zero() {
                break;
            }
            // The death of who is at a bundle wakes nobody.
            let most = Duration::from_secs(if opening { 1 } else { 86_400 });
            if watch.wait(self.mailbox, left.min(most))? == Woken::Look {
                watch.refresh();
            }
            if self.is_removed() {
                return Err(self.removed());
            }
        }
        match self.given {
            _ if args.follow => Ok(match self.status {
                Status::Done => Status::TimedOut,
                worse => worse,
            }),
            given if opening && (given == 0 || args.all) => Err(self.receiver.opening().into()),
            0 => Ok(Status::No.and(self.status)),
            _ => Ok(self.status),
        }
    }

    /// The next message; while another takes a bundle apart we wait for that.
    fn next(&mut self) -> Result<Taken> {
        let limit = match self.args.patient() {
            true => self.left().min(OPENING),
            false => OPENING,
        };
        let begun = Instant::now();
        loop {
            self.may_be_ended(false);
            let taken = self.receiver.take()?;
            let told = self.told.as_ref().and_then(Told::signal).is_some();
            if !matches!(taken, Taken::Opening) || told || begun.elapsed() >= limit {
                return Ok(taken);
            }
            self.may_be_ended(true);
            std::thread::sleep(LOOK);
        }
    }

    /// The time that is left for waiting.
    fn left(&self) -> Duration {
        self.end.map_or(Duration::MAX, |end| {
            end.saturating_duration_since(Instant::now())
        })
    }

    /// Says what the signature is worth, where that is asked; a forged message is given up, and
    /// its alleged sender, who knows nothing of it, is not told.
    fn is_forged(&mut self, letter: &mut Letter, claim: &mut Claim) -> Result<bool> {
        let Some(signers) = &self.args.verify else {
            return Ok(false);
        };
        let from = letter.from().to_owned();
        let worth = match letter
            .whole()
            .and_then(|spore| mail_sign::judge(spore, &from, signers))
        {
            Ok(worth) => worth,
            Err(error) => {
                self.receiver.release(claim, false)?;
                return Err(error);
            }
        };
        letter.worth = Some(worth);
        if !self.args.json {
            let id = letter.id;
            say(&format!("{TOOL}: {id} from {from}: {}\n", worth.as_str()));
        }
        if worth != mail_sign::Worth::Forged {
            return Ok(false);
        }
        let reason = format!("FORGED: the signature is not that of {from}");
        self.receiver.bury(claim, &reason, false)?;
        self.status = Status::Refused;
        Ok(true)
    }

    /// Whether a signal ends us at once.
    fn may_be_ended(&self, idle: bool) {
        if let Some(told) = &self.told {
            told.idle.store(idle, Ordering::Relaxed);
        }
    }

    fn give_up(&mut self, mut claim: Claim, why: Spent) -> Result<()> {
        let id = claim.name.id;
        match self.receiver.give_up(&self.mail.spool, &mut claim, why) {
            Ok(()) => say(&format!("{TOOL}: {id}: {why}\n")),
            // Somebody else buries it.
            Err(crate::spool::Error::LeaseLost { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn handle(&mut self, mut claim: Claim, out: &mut Out) -> Result<()> {
        let id = claim.name.id;
        let Some(file) = claim.open() else {
            return Ok(());
        };
        if !self.args.exec.is_empty() {
            return self.exec(claim, file, out);
        }
        let mut letter = Letter::open(&claim.name, claim.lane, file)?;
        if self.is_forged(&mut letter, &mut claim)? {
            return Ok(());
        }
        let from = letter.from().to_owned();
        let name = letter.spore_id();
        if self.args.once && self.mailbox.seen(&from, &name)? {
            self.receiver.ack(&claim)?;
            return Ok(());
        }
        let hold = format!("{id},A={}", claim.name.attempts);
        let written = self
            .args
            .write(&mut letter, self.args.hold.then_some(hold.as_str()), out)
            .and_then(|written| Ok(out.hand_on().map(|()| written)?));
        let status = match written {
            Ok(Some(status)) => status,
            // None of what was asked for is in it: it stays for whoever asks for all.
            Ok(None) => {
                self.receiver.pass_over(id);
                self.receiver.release(&claim, false)?;
                return Ok(());
            }
            Err(error) => {
                // Not all of it went out: it is not read, and it is not the message's fault.
                self.receiver.release(&claim, false)?;
                return Err(error);
            }
        };
        self.given += 1;
        self.status = self.status.and(status);
        if self.args.hold {
            if !self.args.json {
                say(&format!(
                    "{TOOL}: held for {}: {hold}\nhint: spore-recv --ack {hold}\n",
                    mail::ago(self.args.lease.as_secs())
                ));
            }
            return Ok(());
        }
        if self.args.once {
            self.mailbox.note_seen(&from, &name, id)?;
        }
        self.receiver.ack(&claim).map_err(|error| {
            // It comes again, uncounted; or the lease is over, and another has it already.
            let _ = self.receiver.release(&claim, false);
            anyhow::Error::from(error)
        })?;
        self.note(&claim, "acknowledged");
        Ok(())
    }

    /// Gives the message to the command, and acknowledges it when that ends with status 0.
    fn exec(&mut self, mut claim: Claim, file: std::fs::File, out: &mut Out) -> Result<()> {
        let id = claim.name.id;
        // What was written so far belongs before what the command writes.
        out.hand_on()?;
        let mut letter = Letter::open(&claim.name, claim.lane, file.try_clone()?)?;
        if self.is_forged(&mut letter, &mut claim)? {
            return Ok(());
        }
        if self.args.once && self.mailbox.seen(letter.from(), &letter.spore_id())? {
            self.receiver.ack(&claim)?;
            return Ok(());
        }
        let copy = self.receiver.stable_path(&claim)?;
        let words = self.args.exec.as_slice();
        let words = words
            .strip_prefix(["--".to_owned()].as_slice())
            .unwrap_or(words);
        let Some((program, arguments)) = words.split_first() else {
            self.receiver.release(&claim, false)?;
            return Err(Failure::usage("--exec needs a command").into());
        };
        use std::io::Seek;
        let mut input = file;
        input.rewind().context("reading the message")?;
        let headers = &letter.head.headers;
        let text = |value: &Option<String>| value.clone().unwrap_or_default().replace('\0', "");
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::from(input))
            .env("SPORE_ID", id.to_string())
            .env("SPORE_FROM", letter.from().replace('\0', ""))
            .env("SPORE_SUBJECT", text(&letter.head.subject))
            .env("SPORE_KIND", text(&headers.kind))
            .env("SPORE_RE", text(&headers.re))
            .env("SPORE_TOPIC", text(&headers.topic))
            .env("SPORE_ATTEMPTS", claim.name.attempts.to_string())
            .env("SPORE_FILE", &copy)
            .env(
                "SPORE_SIGNATURE",
                letter.worth.map_or("", mail_sign::Worth::as_str),
            )
            .spawn();
        let ended = match child {
            Ok(child) => self.await_child(child, &mut claim),
            Err(error) => {
                drop(std::fs::remove_file(&copy));
                self.receiver.release(&claim, false)?;
                let code = match error.kind() {
                    std::io::ErrorKind::NotFound => 127,
                    std::io::ErrorKind::PermissionDenied => 126,
                    _ => 125,
                };
                let failure = Failure::new(
                    Status::Child(code),
                    format!("starting {program:?}: {error}"),
                );
                return Err(failure.into());
            }
        };
        drop(std::fs::remove_file(&copy));
        let ended = ended?;
        self.given += 1;
        if ended.success() {
            if self.args.once {
                self.mailbox
                    .note_seen(letter.from(), &letter.spore_id(), id)?;
            }
            self.receiver.ack(&claim)?;
            self.note(&claim, "acknowledged");
            return Ok(());
        }
        let (code, how) = match (ended.code(), ended.signal()) {
            (Some(code), _) => (code as u8, format!("ended with status {code}")),
            (None, signal) => {
                let signal = signal.unwrap_or(0);
                (
                    128u8.wrapping_add(signal as u8),
                    format!("was ended by signal {signal}"),
                )
            }
        };
        say(&format!(
            "{TOOL}: {id} was not acknowledged: {program} {how}; it waits again\n"
        ));
        // Others may try it; this run does not, or it would spend all attempts at once. That we were
        // told to end is not the message's fault.
        self.receiver.pass_over(id);
        let counted = self
            .told
            .as_ref()
            .is_none_or(|told| told.signal().is_none());
        self.receiver.release(&claim, counted)?;
        self.note(&claim, "returned");
        self.status = Status::Child(code);
        Ok(())
    }

    /// Waits for the command, and keeps the lease from running out meanwhile.
    fn await_child(
        &mut self,
        mut child: std::process::Child,
        claim: &mut Claim,
    ) -> Result<std::process::ExitStatus> {
        let renew_after = (self.args.lease / 3).max(Duration::from_millis(10));
        let mut renewed = Instant::now();
        let mut pause = Duration::from_millis(1);
        let mut passed_on = false;
        loop {
            if let Some(ended) = child.try_wait()? {
                return Ok(ended);
            }
            let signal = self.told.as_ref().and_then(Told::signal);
            if signal == Some(SIGTERM as u8) && !passed_on {
                terminate(&child);
                passed_on = true;
            }
            if renewed.elapsed() >= renew_after {
                // Lost, it will be found lost at the end: the command is not killed for it.
                if let Err(error) = self.receiver.renew(claim) {
                    complain(TOOL, &error.into());
                }
                renewed = Instant::now();
            }
            wait_for(&child, pause.min(renew_after));
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}

/// Passes SIGTERM on to the command. SIGINT comes from a terminal, which tells it itself.
fn terminate(child: &std::process::Child) {
    // It may have ended just now: then it is reaped next.
    let pid = rustix::process::Pid::from_child(child);
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
}

/// Sleeps until the child ends, at most for `limit`.
fn wait_for(child: &std::process::Child, limit: Duration) {
    #[cfg(target_os = "linux")]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let Some(fd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
            let limit = Timespec {
                tv_sec: limit.as_secs() as i64,
                tv_nsec: i64::from(limit.subsec_nanos()),
            };
            // A signal or the end of time wakes us: the caller asks the child itself.
            let _ = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit));
            return;
        }
    }
    let _ = child;
    std::thread::sleep(limit);
}
