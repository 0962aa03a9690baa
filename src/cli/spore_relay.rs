//! `spore-relay`: carries what waited, joins files and a bus, moves a swarm, tells the figures.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::args::{self, RootArgs};
use super::error::{self, Failure};
use super::mail::{self, ago};
use super::mail_bus::{self, BusArgs};
use super::{Example, Manual, Out, Result, Status, Tool};
use crate::bus::breaker::Trouble;
use crate::bus::custody::{self, Known};
use crate::bus::migrate::{self, migrate};
use crate::bus::outbox::Report;
use crate::bus::{self, Address, Outbox, PATIENCE, figures, road};
use crate::event::{Event, What};
use crate::id::AgentName;
use crate::spool::{Clock, Host, Mailbox, Receiver, Spool, Taken, stamp};
use crate::swarm::root::Options;
use crate::swarm::{Journal, Root, journal};

const MANUAL: Manual = Manual {
    description: "\
Messages for a bus stand in the outbox on this machine's disk before the bus is asked. A bus that \
is away costs a sender at most two seconds, once: the first one that fails leaves a note, and for \
a second (doubled at each further failure, up to half a minute) the others do not ask. When it is \
back, the next sender takes along what waited, oldest first. No message passes one that waits, so \
the order of one sender to one mailbox stands; a second copy is dropped by its id.

*drain* does the same without a message to send: after an outage in a quiet swarm, from cron, or \
with `--follow` as a process of its own. Any number may run at once. With `--degrade-after`, what a bus \
that has been away for so long may not have delivered goes to the mailboxes of this machine by files, \
in order; what the bus has of it then comes a second time, and is dropped by its id. Agents on other \
machines get theirs when the bus is back.

*bridge* joins the mailboxes of this machine with a bus, for a swarm on two hosts whose agents use \
files: mail to the names of `--there` goes to the bus, mail on the bus for the names of `--here` \
comes to this disk. On the other host it is the other way round.

*migrate* moves the whole swarm to another bus, or to files and back, while messages flow; nobody \
is restarted. What the old bus holds for mailboxes here is fetched first, under a lock that senders \
see for a moment; if it is away, what it may not have delivered is sent again from the copies kept \
here. With several hosts it is called on each. An explicit `--via` or `SPORE_BUS` of an agent is \
not overruled.

*auto* moves it when the figures say so, if `swarm.toml` has `auto = true` and a `url`: to the bus \
when in 3 of the last 5 minutes more than 1000 messages were sent in a second, or one in a thousand \
failed, a mailbox held more than 10000, or 1 of 100 waited longer for its reader than \
`may_wait_ms` allows; back to files when the bus has been away for 30 \
seconds, or half an hour was quiet. Two minutes pass between two moves. Each is written to the \
journal with its figures. It looks once, or with `--follow` every few seconds.

*status* tells of each bus whether it is there, what waits for it, what it holds, and what a power \
cut there may cost. *stats* sums up the figures of sends and receipts.

*What a bus cannot promise*: Redis loses its last second in a power cut unless appendfsync is \
always, and everything with appendonly off; NATS up to two minutes unless sync_interval is always; \
Kafka what no replica has. RabbitMQ's quorum queues are on disk, but one that is made in the moment \
of a crash may stay without a leader (3.10): what is for that mailbox waits in the outbox until the \
queue is deleted. A server that comes back empty is noticed by a mark that is gone, and what it had confirmed is sent again from copies (the last \
some hundred of each mailbox, at least those it still held). Two hosts that read the same mailbox \
at once get each message at least once, in no promised order.",
    input: "\
None. An address is `redis://USER:SECRET@HOST:PORT/DATABASE` (`rediss:` encrypted), `nats://…` \
(`tls:`), `amqp://…/VHOST` (`amqps:`), `kafka://HOST,HOST` (`kafkas:`; `?sasl=scram-sha-512`), or \
`file:DIRECTORY`. SECRET is `env:NAME` or `file:PATH`; a password itself is refused on a command \
line and in `swarm.toml`. `?ca=FILE` names the certificates to trust, `?cert=FILE&key=FILE` the one \
by which you are known there. `env:NAME` may stand for the whole address.",
    output: "\
*drain*: a line `ADDRESS sent N waiting M` for each outbox, separated by tabs. *migrate*: what was \
moved. *status* and *stats*: a line each. With `--json` records of type `drained`, `bridged`, \
`moved`, `bus`, `traffic`; times in them are `_us` microseconds.",
    exit_status: &[
        (0, "Done; nothing waits any more."),
        (1, "stats: no figures. auto: nothing to move."),
        (5, "A bus refuses us: user, password or certificate."),
        (75, "Something still waits: a bus is away. migrate: the new bus is away, nothing was moved."),
        (124, "--timeout passed, with --follow."),
    ],
    environment: &[
        ("SPORE_ROOT", "The swarm's directory."),
        ("SPORE_BUS", "The address of the bus, where --via says nothing."),
    ],
    files: &[
        ("outbox/BUS/NAME/", "new/: what waits; cur/: copies of what was confirmed; dead/: what will never go."),
        ("outbox/.road", "Where the swarm was moved to."),
        ("journal/traffic-DAY.jsonl", "The figures, a line a call."),
    ],
    examples: &[
        Example {
            says: "What waits for a bus that is away",
            session: "\
$ export SPORE_ROOT=$PWD/app.swarm
$ spore-send --as boss --to kiro-1 --create --via redis://127.0.0.1:1 -m 'by bus' 2>/dev/null
[..]
$ spore-relay status
redis://127.0.0.1:1	away	1 waiting	0 kept	[..]connection refused[..]
$ spore-relay drain || echo \"status $?\"
spore-relay: redis://127.0.0.1:1 is away: connection refused
redis://127.0.0.1:1	sent 0	waiting 1
status 75
$ spore-send --as boss --to kiro-2 --create --via redis://127.0.0.1:1 -m 'to one here'
[..]
$ spore-recv --as kiro-2 --create || echo \"status $?\"
status 1
$ spore-relay drain --degrade-after 5ms 2>/dev/null || echo \"status $?\"
redis://127.0.0.1:1	sent 0	waiting 1	by files 1
status 75
$ spore-recv --as kiro-2 --raw | tail -1
to one here
",
        },
        Example {
            says: "Move to files: what waited is delivered, and nobody is restarted",
            session: "\
$ spore-recv --as kiro-1 --create || echo \"status $?\"
status 1
$ mkdir bus && spore-relay migrate --to file:$PWD/bus
to file:[..]/bus	epoch 1	fetched 0	again 0
$ spore-send --as boss --to kiro-1 -m 'on the other road'
[..]
$ spore-relay migrate --to file: --json
{\"v\":1,\"type\":\"moved\",\"epoch\":2,\"from\":\"file:[..]/bus\",\"to\":\"file:\",\"fetched\":1[..]
$ spore-recv --as kiro-1 --raw | tail -1
on the other road
",
        },
        Example {
            says: "Join the mailboxes of two hosts by a bus; here a directory stands for it",
            session: "\
$ spore-send --as kiro-1 --to far-1 --create -m 'over there'
[..]
$ spore-relay bridge --via file:$PWD/bus --there far-1 --here kiro-1 --once
bridged	1 out	0 in
",
        },
        Example {
            says: "Rates, percentiles and failures",
            session: "\
$ spore-relay stats --since 1h
received	file	2 messages[..]
sent	file	[..]
sent	redis	2 messages[..]
$ spore-relay auto -C . --root app.swarm || echo \"status $?\"
status 1
$ spore-relay drain --follow --timeout 10ms || echo \"status $?\"
...
status 124
",
        },
    ],
    see_also: &["spore-hosts(7)", "spore-send(1)", "spore-recv(1)", "swarm.toml(5)", "sporekit(7)"],
};

/// Carry messages between files and a bus, and move a swarm between them
#[derive(Debug, clap::Parser)]
#[command(name = "spore-relay", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Send what waits in the outbox
    Drain(Drain),
    /// Carry mail between this machine's mailboxes and a bus
    Bridge(Bridge),
    /// Move the swarm to another bus, or to files
    Migrate(Migrate),
    /// Move the swarm if the figures say so
    Auto(Auto),
    /// Say what each bus is like
    Status(Shown),
    /// Sum up the figures of sends and receipts
    Stats(Stats),
}

#[derive(Debug, clap::Args)]
struct Shown {
    #[command(flatten)]
    bus: BusArgs,

    #[command(flatten)]
    root: RootArgs,

    /// Print records
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Drain {
    #[command(flatten)]
    shown: Shown,

    /// Deliver to mailboxes on this machine by files when the bus has been away for so long
    #[arg(long, value_name = "DUR", value_parser = args::duration)]
    degrade_after: Option<Duration>,

    #[command(flatten)]
    going: Going,
}

/// Whether it goes on, and how long.
#[derive(Debug, clap::Args)]
struct Going {
    /// Go on until --timeout
    #[arg(long)]
    follow: bool,

    /// End after this time (nine minutes unless said; 0 means never)
    #[arg(long, value_name = "DUR", value_parser = args::duration)]
    timeout: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct Bridge {
    #[command(flatten)]
    shown: Shown,

    /// Mail for these names comes from the bus to this machine
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    here: Vec<String>,

    /// Mail for these names goes from this machine to the bus
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    there: Vec<String>,

    /// Carry what is there and end
    #[arg(long)]
    once: bool,

    /// End after this time (nine minutes unless said; 0 means never)
    #[arg(long, value_name = "DUR", value_parser = args::duration)]
    timeout: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct Migrate {
    #[command(flatten)]
    shown: Shown,

    /// The new road: an address, or `file:` for the mailboxes of this machine
    #[arg(long, value_name = "URL")]
    to: String,

    /// Give up when the swarm cannot be moved within this time
    #[arg(long, value_name = "DUR", value_parser = args::duration, default_value = "30s")]
    timeout: Duration,
}

#[derive(Debug, clap::Args)]
struct Auto {
    #[command(flatten)]
    shown: Shown,

    #[command(flatten)]
    going: Going,
}

#[derive(Debug, clap::Args)]
struct Stats {
    #[command(flatten)]
    shown: Shown,

    /// From how long ago
    #[arg(long, value_name = "DUR", value_parser = args::duration, default_value = "1d")]
    since: Duration,
}

const TOOL: &str = "spore-relay";
/// How often one who follows looks, when nothing tells it to.
const PAUSE: Duration = Duration::from_millis(200);

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        match self.verb {
            Verb::Drain(verb) => verb.run(out),
            Verb::Bridge(verb) => verb.run(out),
            Verb::Migrate(verb) => verb.run(out),
            Verb::Auto(verb) => verb.run(out),
            Verb::Status(verb) => status(&verb, out),
            Verb::Stats(verb) => verb.run(out),
        }
    }
}

/// When one who follows ends; never is nothing.
fn end(timeout: Option<Duration>) -> Option<Instant> {
    match timeout {
        Some(timeout) if timeout.is_zero() => None,
        timeout => Instant::now().checked_add(timeout.unwrap_or(mail::PATIENCE)),
    }
}

impl Shown {
    fn root(&self) -> Result<Root> {
        Ok(Root::find(&Options {
            start: self.root.repo.clone().unwrap_or_default(),
            root: self.root.root.clone(),
        })?)
    }

    /// Every outbox there is, the one of the road in force with its own address: only that may
    /// hold a password.
    fn outboxes(&self, root: &Root) -> Result<Vec<Outbox>> {
        let mut found = Outbox::all(root)?;
        if let Some(now) = self.bus.roads(root)?.now {
            found.retain(|outbox| outbox.address().slug() != now.slug());
            found.push(Outbox::open(root, &now)?);
        }
        Ok(found)
    }

    fn print(
        &self,
        out: &mut Out,
        kind: &str,
        fields: &[(&str, Value)],
        plain: &str,
    ) -> Result<()> {
        if !self.json {
            writeln!(out, "{plain}")?;
            return Ok(());
        }
        let mut record = Map::new();
        record.insert("v".into(), json!(1));
        record.insert("type".into(), json!(kind));
        for (name, value) in fields {
            record.insert((*name).to_owned(), value.clone());
        }
        mail::line(out, &record)
    }
}

impl Drain {
    fn run(&self, out: &mut Out) -> Result {
        let root = self.shown.root()?;
        let end = end(self.going.timeout);
        loop {
            let status = self.once(&root, end, out)?;
            out.hand_on()?;
            if !self.going.follow {
                return Ok(status);
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(Status::TimedOut);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn once(&self, root: &Root, end: Option<Instant>, out: &mut Out) -> Result {
        let mut status = Status::Done;
        for outbox in self.shown.outboxes(root)? {
            let names = outbox.spool().names()?;
            let far = Instant::now() + mail::PATIENCE;
            let by = end.map_or(far, |end| end.max(Instant::now() + PATIENCE));
            let report = outbox.drain(&names, by, !self.going.follow);
            mail_bus::say(TOOL, &outbox, &report);
            let by_files = self.degrade(root, &outbox)?;
            let waiting: usize = outbox.counts()?.iter().map(|(_, waiting, _)| waiting).sum();
            if let Some(trouble) = &report.trouble
                && (!self.going.follow || !trouble.mends())
                && !report.fell
            {
                error::say(&format!("{TOOL}: {trouble}\n"));
            }
            status = status.and(of(&report, waiting));
            if self.going.follow && report.confirmed + by_files == 0 {
                continue;
            }
            let address = outbox.address().to_string();
            let mut plain = format!("{address}\tsent {}\twaiting {waiting}", report.confirmed);
            if by_files > 0 {
                plain.push_str(&format!("\tby files {by_files}"));
            }
            let fields = [
                ("bus", json!(address)),
                ("sent", json!(report.confirmed)),
                ("again", json!(report.again)),
                ("refused", json!(report.refused.len())),
                ("by_files", json!(by_files)),
                ("waiting", json!(waiting)),
            ];
            self.shown.print(out, "drained", &fields, &plain)?;
        }
        Ok(status)
    }
}

impl Drain {
    /// Delivers by files what a bus that is away too long may not have delivered; says how many
    /// messages had waited.
    fn degrade(&self, root: &Root, outbox: &Outbox) -> Result<usize> {
        let now = Clock::Kernel.now().micros / 1000;
        let trouble = outbox.breaker().read();
        let away = trouble.map(|trouble| now.saturating_sub(trouble.since_ms));
        let (Some(after), Some(away)) = (self.degrade_after, away) else {
            return Ok(0);
        };
        if u128::from(away) < after.as_millis() {
            return Ok(0);
        }
        Ok(migrate::by_files(root, outbox)?)
    }
}

fn of(report: &Report, waiting: usize) -> Status {
    match &report.trouble {
        Some(bus::Error::Denied { .. }) => Status::Refused,
        Some(error) if !error.mends() => Status::Trouble,
        _ if waiting > 0 => Status::TryAgain,
        _ => Status::Done,
    }
}

impl Bridge {
    fn run(&self, out: &mut Out) -> Result {
        let root = self.shown.root()?;
        let names = |list: &[String]| -> Result<Vec<AgentName>> {
            let names: std::result::Result<_, _> = list.iter().map(|name| name.parse()).collect();
            Ok(names?)
        };
        let (here, there) = (names(&self.here)?, names(&self.there)?);
        if here.is_empty() && there.is_empty() {
            return Err(Failure::usage("nobody to carry mail for")
                .hint("--here names who reads on this machine, --there who reads elsewhere")
                .into());
        }
        if let Some(both) = here.iter().find(|name| there.contains(name)) {
            return Err(Failure::usage(format!("{both} cannot be here and there")).into());
        }
        let Some(address) = self.shown.bus.roads(&root)?.now else {
            return Err(Failure::usage("no bus to carry mail by")
                .hint("say --via URL")
                .into());
        };
        root.make_dir(&root.mail())?;
        let spool = Spool::open(&root.mail())?;
        let end = end(self.timeout);
        let (mut outward, mut inward) = (0, 0);
        let mut away = false;
        loop {
            match self.carry(&root, &address, &spool, &here, &there) {
                Ok((out_now, in_now)) => {
                    away = false;
                    outward += out_now;
                    inward += in_now;
                    if (out_now + in_now == 0 && self.once) || end_passed(end) {
                        break;
                    }
                    if out_now + in_now == 0 {
                        std::thread::sleep(PAUSE);
                    }
                }
                Err(error) if error.mends() && !self.once && !end_passed(end) => {
                    if !std::mem::replace(&mut away, true) {
                        error::say(&format!("{TOOL}: {error}; it is tried again\n"));
                    }
                    std::thread::sleep(PAUSE * 5);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let plain = format!("bridged\t{outward} out\t{inward} in");
        let fields = [("out", json!(outward)), ("in", json!(inward))];
        self.shown.print(out, "bridged", &fields, &plain)?;
        Ok(if self.once {
            Status::Done
        } else {
            Status::TimedOut
        })
    }

    /// One round: mail for elsewhere goes by the outbox, so that it keeps its order and survives.
    fn carry(
        &self,
        root: &Root,
        address: &Address,
        spool: &Spool,
        here: &[AgentName],
        there: &[AgentName],
    ) -> std::result::Result<(usize, usize), bus::Error> {
        let outbox = Outbox::open(root, address)?;
        let mut outward = 0;
        for name in there {
            let (from, to) = (spool.create(name)?, outbox.spool().create(name)?);
            outward += hand_on(&from, &to)?;
        }
        let report = outbox.drain(there, Instant::now() + PATIENCE, false);
        mail_bus::say(TOOL, &outbox, &report);
        if let Some(error) = report.trouble {
            return Err(error);
        }
        let mut inward = 0;
        let mut bus = bus::connect(address, Instant::now() + PATIENCE)?;
        for name in here {
            let mailbox = spool.create(name)?;
            let by = Instant::now() + Duration::from_millis(50);
            if let Some(_right) = custody::right(&mailbox, by)? {
                let mut known = Known::default();
                inward += custody::take(bus.as_mut(), &mailbox, &mut known, Duration::ZERO)?.new;
            }
        }
        Ok((outward, inward))
    }
}

fn end_passed(end: Option<Instant>) -> bool {
    end.is_some_and(|end| Instant::now() >= end)
}

/// Moves what waits in one mailbox to another, in order: first there, then acknowledged here.
fn hand_on(from: &Mailbox, to: &Mailbox) -> std::result::Result<usize, bus::Error> {
    use std::io::Read;
    let mut receiver = Receiver::new(from, Host::here(), PATIENCE * 30);
    let mut known = Known::default();
    let mut count = 0;
    loop {
        let mut claim = match receiver.take_within(PATIENCE)? {
            Taken::Nothing | Taken::Opening => return Ok(count),
            // It was handed on too often or too late: whoever reads it judges that.
            Taken::Message(claim) | Taken::Spent(claim, _) => claim,
        };
        let mut bytes = Vec::new();
        if let Some(mut file) = claim.open() {
            file.read_to_end(&mut bytes)
                .map_err(|source| bus::Error::Io {
                    path: from.path().to_owned(),
                    source,
                })?;
        }
        let parcel = bus::Parcel {
            id: claim.name.id,
            lane: claim.lane,
            expiry: claim.name.expiry,
            bytes,
        };
        custody::deliver(to, &mut known, vec![parcel])?;
        receiver.ack(&claim)?;
        count += 1;
    }
}

impl Migrate {
    fn run(&self, out: &mut Out) -> Result {
        let root = self.shown.root()?;
        let to = road::address(&self.to)?;
        if to.as_ref().is_some_and(Address::shows_a_secret) && !self.to.starts_with("env:") {
            return Err(
                Failure::usage("a password on a command line is seen by everybody")
                    .hint("write env:NAME or file:PATH in its place")
                    .into(),
            );
        }
        move_to(
            &self.shown,
            &root,
            to.as_ref(),
            "asked for",
            self.timeout,
            out,
        )
    }
}

/// Moves the swarm, notes it in the journal, and says so.
fn move_to(
    shown: &Shown,
    root: &Root,
    to: Option<&Address>,
    why: &str,
    patience: Duration,
    out: &mut Out,
) -> Result {
    let from = shown.bus.roads(root)?;
    let Some(done) = migrate(root, &from, to, why, Instant::now() + patience)? else {
        error::say(&format!("{TOOL}: the swarm is there already\n"));
        return Ok(Status::Done);
    };
    let fields = [
        ("epoch", json!(done.epoch)),
        ("from", json!(done.from)),
        ("to", json!(done.to)),
        ("fetched", json!(done.fetched)),
        ("again", json!(done.again)),
        ("open", json!(done.open)),
        ("held_ms", json!(done.held.as_millis() as u64)),
        ("why", json!(why)),
    ];
    let mut line = Map::new();
    line.insert("v".into(), json!(1));
    line.insert("type".into(), json!("moved"));
    line.insert("at".into(), json!(journal::now()));
    line.insert(
        "correlation_id".into(),
        json!(format!("move-{}", done.epoch)),
    );
    for (name, value) in &fields {
        line.insert((*name).to_owned(), value.clone());
    }
    let event = Event {
        at: String::new(),
        correlation_id: String::new(),
        what: What::Other {
            line: Value::Object(line).to_string(),
        },
    };
    Journal::open(root)?.change(|_| (vec![event], ()))?;
    let plain = format!(
        "to {}\tepoch {}\tfetched {}\tagain {}",
        done.to, done.epoch, done.fetched, done.again
    );
    shown.print(out, "moved", &fields, &plain)?;
    Ok(Status::Done)
}

impl Auto {
    fn run(&self, out: &mut Out) -> Result {
        let root = self.shown.root()?;
        let end = end(self.going.timeout);
        loop {
            let status = self.look(&root, out)?;
            out.hand_on()?;
            if !self.going.follow {
                return Ok(status);
            }
            if end_passed(end) {
                return Ok(Status::TimedOut);
            }
            std::thread::sleep(Duration::from_secs(2));
        }
    }

    fn look(&self, root: &Root, out: &mut Out) -> Result {
        use bus::select::{Advice, advise};
        let config = crate::swarm::Config::read(root)?;
        let Some(url) = config.bus.url.as_deref().filter(|_| config.bus.auto) else {
            return Ok(Status::No);
        };
        let Some(address) = road::address(url)? else {
            return Ok(Status::No);
        };
        let now_ms = Clock::Kernel.now().micros / 1000;
        let situation = figures::situation(root, &address, config.bus.may_wait_ms, now_ms)?;
        let (to, why) = match advise(&situation) {
            Advice::Stay => return Ok(Status::No),
            Advice::ToBus(why) => (Some(&address), why),
            Advice::ToFiles(why) => (None, why),
        };
        move_to(&self.shown, root, to, &why, Duration::from_secs(10), out)
    }
}

/// A line for each bus that is or was used.
fn status(shown: &Shown, out: &mut Out) -> Result {
    let root = shown.root()?;
    let mut all = Status::Done;
    if let Some(moved) = road::moved(&root)? {
        let plain = format!(
            "moved to {}\tepoch {}\t{}\t{}",
            moved.now, moved.epoch, moved.at, moved.why
        );
        let fields = [
            ("epoch", json!(moved.epoch)),
            ("now", json!(moved.now)),
            ("before", json!(moved.before)),
            ("at", json!(moved.at)),
            ("why", json!(moved.why)),
        ];
        shown.print(out, "road", &fields, &plain)?;
    }
    for outbox in shown.outboxes(&root)? {
        let address = outbox.address();
        mail_bus::say_loss(TOOL, &outbox);
        let counts = outbox.counts()?;
        let sum = |which: fn(&(AgentName, usize, usize)) -> usize| {
            counts.iter().map(which).sum::<usize>()
        };
        let (waiting, kept) = (sum(|c| c.1), sum(|c| c.2));
        let trouble = outbox.breaker().read();
        let mut depths: BTreeMap<String, u64> = BTreeMap::new();
        let asked = bus::connect(address, Instant::now() + PATIENCE).and_then(|mut bus| {
            bus.ping()?;
            for (name, ..) in &counts {
                depths.insert(name.to_string(), bus.depth(name)?);
            }
            bus.frailty()
        });
        let (state, said) = match &asked {
            Ok(frailty) => ("there", frailty.clone().unwrap_or_default()),
            Err(error) if error.mends() => ("away", error.to_string()),
            Err(error) => ("refuses", error.to_string()),
        };
        all = all.and(match asked.is_ok() && waiting == 0 {
            true => Status::Done,
            false => Status::TryAgain,
        });
        let depth: u64 = depths.values().sum();
        let since = since(trouble.as_ref());
        let mut plain = format!("{address}\t{state}\t{waiting} waiting\t{kept} kept");
        if asked.is_ok() {
            plain.push_str(&format!("\t{depth} on it"));
        }
        for more in [since.as_deref(), Some(said.as_str())]
            .into_iter()
            .flatten()
        {
            if !more.is_empty() {
                plain.push_str(&format!("\t{more}"));
            }
        }
        let fields = [
            ("bus", json!(address.to_string())),
            ("state", json!(state)),
            ("waiting", json!(waiting)),
            ("kept", json!(kept)),
            ("depths", json!(depths)),
            (
                "failures",
                json!(trouble.as_ref().map_or(0, |trouble| trouble.failures)),
            ),
            (
                "since",
                json!(
                    trouble
                        .as_ref()
                        .map(|trouble| stamp(trouble.since_ms / 1000))
                ),
            ),
            ("message", json!(said)),
        ];
        shown.print(out, "bus", &fields, &plain)?;
    }
    Ok(match all {
        // It was told: that something waits is what was asked.
        Status::TryAgain => Status::Done,
        other => other,
    })
}

fn since(trouble: Option<&Trouble>) -> Option<String> {
    let trouble = trouble?;
    let now = Clock::Kernel.now().micros / 1000;
    Some(format!(
        "for {}",
        ago(now.saturating_sub(trouble.since_ms) / 1000)
    ))
}

impl Stats {
    fn run(&self, out: &mut Out) -> Result {
        let root = self.shown.root()?;
        let from = Clock::Kernel
            .now()
            .seconds()
            .saturating_sub(self.since.as_secs());
        let sums = figures::sums(&root, &stamp(from))?;
        for ((kind, road), sum) in &sums {
            let times: Vec<u64> = [50, 95, 99].iter().map(|p| sum.percentile(*p)).collect();
            let ms = |us: u64| us as f64 / 1000.0;
            let plain = format!(
                "{kind}\t{road}\t{} messages\t{} bytes\tpeak {}/s\tp50 {:.3} ms\tp95 {:.3} ms\tp99 {:.3} ms\tfailed {}\tspooled {}",
                sum.n,
                sum.bytes,
                sum.peak(),
                ms(times[0]),
                ms(times[1]),
                ms(times[2]),
                sum.failed,
                sum.spooled
            );
            let fields = [
                ("what", json!(kind)),
                ("road", json!(road)),
                ("n", json!(sum.n)),
                ("bytes", json!(sum.bytes)),
                ("busy_seconds", json!(sum.busy_seconds())),
                ("peak_per_second", json!(sum.peak())),
                ("p50_us", json!(times[0])),
                ("p95_us", json!(times[1])),
                ("p99_us", json!(times[2])),
                ("failed", json!(sum.failed)),
                ("spooled", json!(sum.spooled)),
            ];
            self.shown.print(out, "traffic", &fields, &plain)?;
        }
        Ok(if sums.is_empty() {
            Status::No
        } else {
            Status::Done
        })
    }
}
