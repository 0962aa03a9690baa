//! The bus as `spore-send` and `spore-recv` see it: which road, what waits, what is said about it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::Result;
use super::error::{self, Failure, Status};
use super::mail::{Mail, ago};
use crate::bus::breaker::{Advice, Breaker, advise};
use crate::bus::custody::{self, Known};
use crate::bus::outbox::Report;
use crate::bus::road::{self, Roads, Said};
use crate::bus::{self, Address, Outbox, PATIENCE, Transport, migrate};
use crate::id::AgentName;
use crate::spool::{Clock, Id, Mailbox, Place, Spool};
use crate::swarm::Root;

/// Which bus.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct BusArgs {
    /// By this bus (redis:, nats:, amqp:, kafka:; file: for this machine's mailboxes), else
    /// SPORE_BUS, else swarm.toml
    #[arg(long, value_name = "URL")]
    pub(super) via: Option<String>,
}

impl BusArgs {
    fn said(&self) -> Said {
        Said {
            via: self.via.clone(),
            environment: std::env::var("SPORE_BUS").ok(),
        }
    }

    /// The roads in force.
    pub(super) fn roads(&self, root: &Root) -> Result<Roads> {
        Ok(road::roads(root, &self.said())?)
    }
}

/// The name of a road in records and figures.
pub(super) fn road_name(address: Option<&Address>) -> &'static str {
    use bus::Kind;
    match address.map(|address| address.kind) {
        None | Some(Kind::Files) => "file",
        Some(Kind::Redis) => "redis",
        Some(Kind::Nats) => "nats",
        Some(Kind::Amqp) => "amqp",
        Some(Kind::Kafka) => "kafka",
    }
}

/// The way that messages go now.
pub(super) struct Way {
    /// The outbox of the bus in force; nothing when files are.
    pub(super) outbox: Option<Outbox>,
    /// Whether the figures may move the swarm.
    pub(super) auto: bool,
    /// While it is held, nobody moves the swarm.
    pub(super) lock: Option<std::fs::File>,
}

/// Finds the way, for a sender. For one who only pretends there is none: nothing may be made.
pub(super) fn way(args: &BusArgs, root: &Root, pretend: bool) -> Result<Way> {
    if pretend {
        return Ok(Way {
            outbox: None,
            auto: false,
            lock: None,
        });
    }
    let Some(lock) = road::sending(root, Instant::now() + PATIENCE)? else {
        let failure = Failure::new(Status::TryAgain, "the swarm is being moved to another bus");
        return Err(failure.hint("nothing was sent; try again").into());
    };
    let roads = args.roads(root)?;
    migrate::absorb(root, &roads)?;
    let outbox = roads.now.map(|address| Outbox::open(root, &address));
    Ok(Way {
        outbox: outbox.transpose()?,
        auto: roads.auto,
        lock: Some(lock),
    })
}

/// Whether a bus has a mailbox of this name, as far as this machine knows.
pub(super) fn is_known(root: &Root, name: &AgentName) -> bool {
    let entries = std::fs::read_dir(root.outbox());
    entries.is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.path().join(name.as_str()).is_dir()))
    })
}

/// The names that an outbox has a mailbox for.
pub(super) fn names(root: &Root) -> Result<Vec<AgentName>> {
    let mut names = Vec::new();
    for outbox in Outbox::all(root)? {
        names.extend(outbox.spool().names()?);
    }
    Ok(names)
}

/// Where a message is on its way to a bus, and what is known besides.
pub(super) fn state_of(
    root: &Root,
    name: &AgentName,
    id: Id,
) -> Result<Option<(&'static str, String)>> {
    for outbox in Outbox::all(root)? {
        let Ok(mailbox) = outbox.spool().mailbox(name) else {
            continue;
        };
        let bus = outbox.address().to_string();
        match mailbox.find(id)? {
            None => {}
            Some(Place::Dead(why)) => {
                let why = why.strip_prefix("Dead-Reason: ").unwrap_or(&why);
                return Ok(Some(("dead", why.to_owned())));
            }
            Some(Place::Held) => return Ok(Some(("confirmed", bus))),
            Some(_) => return Ok(Some(("spooled", bus))),
        }
    }
    Ok(None)
}

/// How often the figures of a swarm with `auto` are looked at.
const CONSIDER: Duration = Duration::from_secs(10);

/// Lets `spore-relay auto` look at the figures now and then, where `swarm.toml` says so; nobody
/// waits for it.
pub(super) fn consider(root: &Root) {
    let mark = root.outbox().join(".considered");
    let fresh = std::fs::metadata(&mark)
        .and_then(|there| there.modified())
        .is_ok_and(|then| then.elapsed().is_ok_and(|age| age < CONSIDER));
    if fresh || std::fs::write(&mark, b"").is_err() {
        return;
    }
    let program = std::env::current_exe().map(|path| path.with_file_name("spore-relay"));
    let Ok(program) = program else { return };
    let started = std::process::Command::new(program)
        .args(["auto", "--root"])
        .arg(root.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    // It ends by itself; who sent has ended before.
    drop(started);
}

/// The ids of what still waits for these recipients.
pub(super) fn waiting(outbox: &Outbox, names: &[AgentName]) -> Result<HashSet<Id>> {
    let mut waiting = HashSet::new();
    for name in names {
        waiting.extend(outbox.waiting(name)?);
    }
    Ok(waiting)
}

/// Drains within [`PATIENCE`], whatever the server and its client do: what has not returned by
/// then goes on without anybody waiting for it.
pub(super) fn drain(outbox: Outbox, names: Vec<AgentName>) -> (Arc<Outbox>, Report) {
    let outbox = Arc::new(outbox);
    if let Some(until_ms) = outbox.alone_until() {
        let report = Report {
            alone_until_ms: Some(until_ms),
            ..Report::default()
        };
        return (outbox, report);
    }
    let (tell, told) = mpsc::channel();
    let by = Instant::now() + PATIENCE;
    let of_thread = outbox.clone();
    let work = move || drop(tell.send(of_thread.drain(&names, by, false)));
    let thread = std::thread::Builder::new()
        .name("drain".to_owned())
        .spawn(work);
    let report = match thread {
        Ok(_) => told.recv_timeout(PATIENCE + PATIENCE / 10).ok(),
        Err(_) => None,
    };
    let report = report.unwrap_or_else(|| outbox.hangs(PATIENCE));
    (outbox, report)
}

/// Says what a drain came to: a line when a bus fell or came back, and for each message that was
/// lost or refused. Not for every message that waits.
pub(super) fn say(tool: &str, outbox: &Outbox, report: &Report) {
    let address = outbox.address();
    let now = Clock::Kernel.now().micros / 1000;
    if let (Some(trouble), true) = (&report.trouble, report.fell) {
        let again = report.alone_until_ms.unwrap_or(now).saturating_sub(now);
        error::say(&format!(
            "{tool}: {trouble}; messages wait in the outbox, and it is tried again in {:.1} s\n",
            again as f64 / 1000.0
        ));
    }
    if let Some(trouble) = &report.back {
        let since = now.saturating_sub(trouble.since_ms) / 1000;
        error::say(&format!(
            "{tool}: {address} is back after {}: {} messages went\n",
            ago(since),
            report.confirmed
        ));
    }
    say_loss(tool, outbox);
    for (name, id, why) in &report.refused {
        error::say(&format!("{tool}: {id} to {name} was given up: {why}\n"));
    }
}

/// Says what an emptied server had lost, whichever command noticed it.
pub(super) fn say_loss(tool: &str, outbox: &Outbox) {
    let Some(loss) = outbox.loss() else { return };
    let address = outbox.address();
    if loss.again > 0 {
        error::say(&format!(
            "{tool}: {address} came back empty: {} messages that it had confirmed are sent again\n",
            loss.again
        ));
    }
    for which in &loss.lost {
        error::say(&format!(
            "{tool}: {address} has lost {which}, and it is too old to be sent again by itself\n"
        ));
    }
    outbox.was_said(&loss);
}

/// Brings what a bus has for us into the mailbox on disk.
pub(super) struct Carrier {
    tool: &'static str,
    root: Root,
    args: BusArgs,
    mailbox: Mailbox,
    known: Known,
    /// The connections, made when they are first needed. They are closed before the right is given
    /// up: what they fetched too much is in its place again when another fetches.
    links: Vec<(Address, Option<Box<dyn Transport>>)>,
    right: Option<std::fs::File>,
    roads: Roads,
    away: bool,
}

impl Carrier {
    /// For the mailbox of `me`; nothing when no bus is in force.
    pub(super) fn new(
        tool: &'static str,
        args: &BusArgs,
        mail: &Mail,
        mailbox: &Mailbox,
    ) -> Result<Option<Carrier>> {
        let roads = args.roads(&mail.root)?;
        if roads.now.is_none() && roads.before.is_empty() {
            return Ok(None);
        }
        let spool = Spool::open(mail.spool.path())?;
        Ok(Some(Carrier {
            tool,
            root: mail.root.clone(),
            args: args.clone(),
            mailbox: spool.mailbox(mailbox.name())?,
            known: Known::default(),
            right: None,
            links: Vec::new(),
            roads,
            away: false,
        }))
    }

    /// Whether a bus could not be asked the last time.
    pub(super) fn is_away(&self) -> bool {
        self.away
    }

    /// Asks every road once, the older ones until they are empty; waits on the last one.
    pub(super) fn carry(
        &mut self,
        wait: Duration,
        all: bool,
    ) -> std::result::Result<(), bus::Error> {
        if self.right.is_none() {
            let patience = Duration::from_millis(50).max(wait.min(Duration::from_millis(500)));
            self.right = custody::right(&self.mailbox, Instant::now() + patience)?;
            // Another process brings the mail of this mailbox.
            if self.right.is_none() {
                return Ok(());
            }
        }
        let mut order: Vec<Address> = self.roads.before.clone();
        order.extend(self.roads.now.clone());
        self.links.retain(|(address, _)| order.contains(address));
        let last = order.len().saturating_sub(1);
        self.away = false;
        for (place, address) in order.iter().enumerate() {
            let is_last = place == last && self.roads.now.is_some();
            let wait = if is_last { wait } else { Duration::ZERO };
            match self.carry_from(address, wait, all || !is_last) {
                Err(error) if error.mends() => self.away = true,
                other => other?,
            }
        }
        Ok(())
    }

    fn carry_from(
        &mut self,
        address: &Address,
        wait: Duration,
        all: bool,
    ) -> std::result::Result<(), bus::Error> {
        let at = match self.links.iter().position(|(known, _)| known == address) {
            Some(at) => at,
            None => {
                self.links.push((address.clone(), None));
                self.links.len() - 1
            }
        };
        let directory = self.root.outbox().join(address.slug());
        let breaker = Breaker::at(&directory);
        let link = &mut self.links[at].1;
        if link.is_none()
            && let Some(trouble) = breaker.read()
            && let Advice::LeaveAlone { .. } =
                advise(Some(&trouble), Clock::Kernel.now().micros / 1000)
        {
            return Err(bus::Error::Away {
                bus: address.to_string(),
                why: bus::Away::NotReady(trouble.why),
            });
        }
        let outcome = carry_over(address, link, &self.mailbox, &mut self.known, wait, all);
        if let Err(error) = &outcome {
            *link = None;
            if error.mends() && self.root.make_dir(&directory).is_ok() {
                let now = Clock::Kernel.now().micros / 1000;
                if breaker.failed(&error.to_string(), now).unwrap_or_default() {
                    error::say(&format!("{}: {error}; it is tried again\n", self.tool));
                }
            }
        }
        outcome
    }

    /// Goes on carrying in a thread of its own, until the value is dropped.
    pub(super) fn keep_on(mut self) -> Carrying {
        let stop = Arc::new(AtomicBool::new(false));
        let of_thread = stop.clone();
        let work = move || {
            let mut said = String::new();
            while !of_thread.load(Ordering::Relaxed) {
                match self.carry(Duration::from_millis(500), true) {
                    Ok(()) if !self.away && self.right.is_some() => {}
                    Ok(()) => std::thread::sleep(Duration::from_millis(100)),
                    Err(error) => {
                        // Once, not each second.
                        let text = error.to_string();
                        if text != said {
                            error::complain(self.tool, &error.into());
                            said = text;
                        }
                        std::thread::sleep(Duration::from_secs(1));
                    }
                }
                if let Ok(roads) = self.args.roads(&self.root) {
                    self.roads = roads;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("carry".to_owned())
            .spawn(work);
        drop(thread);
        Carrying(stop)
    }
}

/// A carrier at work.
pub(super) struct Carrying(Arc<AtomicBool>);

impl Drop for Carrying {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn carry_over(
    address: &Address,
    link: &mut Option<Box<dyn Transport>>,
    mailbox: &Mailbox,
    known: &mut Known,
    wait: Duration,
    all: bool,
) -> std::result::Result<(), bus::Error> {
    let bus = match link {
        Some(bus) => bus,
        None => link.insert(bus::connect(address, Instant::now() + PATIENCE)?),
    };
    let mut wait = wait;
    loop {
        let took = custody::take(bus.as_mut(), mailbox, known, wait)?;
        wait = Duration::ZERO;
        if !took.any() || !all {
            return Ok(());
        }
    }
}
