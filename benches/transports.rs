//! The clients of the four buses in process, beside the native ones: 1 KiB messages, all confirmed, then all fetched and
//! acknowledged; and the same by way of the outbox and into a mailbox, so that what the disk costs stands apart from what
//! the client costs. Starts its own servers, as the tests do. `SPORE_TEST_BUSES=all cargo bench --bench transports`;
//! COUNT (20000) says how many messages, ROUNDS (3) how many pairs. Needs libnats-dev librabbitmq-dev kcat gcc.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sporekit::bus::{self, Address, Outbox, Parcel, Transport, WINDOW, custody};
use sporekit::id::AgentName;
use sporekit::spool::{Clock, Id, Lane, Post, Spool};
use sporekit::swarm::{Root, root};

#[allow(dead_code)]
#[path = "../tests/servers/mod.rs"]
mod servers;
use servers::{KINDS, Kind, Server};

const BODY: [u8; 1024] = [b'x'; 1024];
/// What a sender publishes at once.
const BURST: usize = 1024;

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

/// Messages a second.
fn rate(count: usize, act: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    act();
    count as f64 / begin.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn messages(count: usize) -> Vec<Parcel> {
    let one = || Parcel {
        id: Clock::Kernel.id(),
        lane: Lane::Normal,
        expiry: None,
        bytes: BODY.to_vec(),
    };
    (0..count).map(|_| one()).collect()
}

/// A bus under measure.
struct Road<'a> {
    kind: Kind,
    server: &'a Server,
    address: Address,
    dir: &'a Path,
    count: usize,
}

impl Road<'_> {
    fn connect(&self) -> Box<dyn Transport> {
        bus::connect(&self.address, soon()).unwrap()
    }

    fn publish(&self, to: &AgentName, all: &[Parcel]) {
        let mut bus = self.connect();
        for batch in all.chunks(BURST) {
            let published = bus.publish(to, batch, soon());
            assert!(published.trouble.is_none(), "{:?}", published.trouble);
        }
    }

    fn receive(&self, of: &AgentName) {
        let mut bus = self.connect();
        let mut left = self.count;
        while left > 0 {
            let fetched = bus.fetch(of, WINDOW, Duration::from_secs(2)).unwrap();
            assert!(!fetched.is_empty(), "{left} are missing");
            let tokens: Vec<String> = fetched.iter().map(|one| one.token.clone()).collect();
            bus.settle(of, &tokens).unwrap();
            left -= fetched.len();
        }
    }

    /// The same by way of a durable outbox.
    fn send(&self, root: &Root, to: &AgentName, all: &[(Id, [u8; 1024])]) {
        let outbox = Outbox::open(root, &self.address).unwrap();
        let mailbox = outbox.spool().create(to).unwrap();
        let bundle = Clock::Kernel.id();
        mailbox
            .deliver_bundle(bundle, all, &Post::default())
            .unwrap();
        let report = outbox.drain(std::slice::from_ref(to), soon(), true);
        assert_eq!(report.confirmed, all.len(), "{:?}", report.trouble);
    }

    /// The same into a mailbox on disk.
    fn take(&self, spool: &Spool, of: &AgentName) {
        let mailbox = spool.create(of).unwrap();
        let mut known = custody::Known::default();
        let mut bus = self.connect();
        let mut left = self.count;
        while left > 0 {
            let took =
                custody::take(bus.as_mut(), &mailbox, &mut known, Duration::from_secs(2)).unwrap();
            assert!(took.any(), "{left} are missing");
            left -= took.new + took.known;
        }
    }

    fn run(&self, program: &str, args: &[&str]) {
        let done = Command::new(program)
            .args(args)
            .current_dir(self.dir)
            .stdout(Stdio::null())
            .status();
        assert!(done.unwrap().success(), "{program} {args:?}");
    }

    fn native_publish(&self) {
        let (port, count) = (self.server.port().to_string(), self.count.to_string());
        let password = fs::read_to_string(self.server.dir().join("password")).unwrap();
        let (user, password) = ("swarm", password.trim_end());
        let body = String::from_utf8(BODY.to_vec()).unwrap();
        match self.kind {
            Kind::Redis => self.run(
                "redis-benchmark",
                &[
                    "-p", &port, "-a", password, "-c", "1", "-P", "100", "-n", &count, "-q",
                    "XADD", "native", "*", "spore", &body,
                ],
            ),
            Kind::Nats => {
                let url = format!("nats://127.0.0.1:{port}");
                let args = [&url, user, password, "spore.m.native", &count];
                self.run("./nats_publish", &args);
            }
            Kind::Rabbit => {
                let args = [&port, user, password, "spore.m.native", &count];
                self.run("./rabbit_publish", &args);
            }
            Kind::Kafka => self.run(
                "kcat",
                &[
                    "-P",
                    "-b",
                    &format!("127.0.0.1:{port}"),
                    "-t",
                    "spore.m.native",
                    "-X",
                    "acks=all",
                    "-l",
                    "lines",
                ],
            ),
        }
    }

    /// Nothing for Redis, which brings no client that reads a stream by itself: the stream is removed.
    fn native_receive(&self) -> Option<()> {
        let (port, count) = (self.server.port().to_string(), self.count.to_string());
        let password = fs::read_to_string(self.server.dir().join("password")).unwrap();
        let (user, password) = ("swarm", password.trim_end());
        match self.kind {
            Kind::Redis => {
                let args = [
                    "-p",
                    &port,
                    "--no-auth-warning",
                    "-a",
                    password,
                    "DEL",
                    "native",
                ];
                self.run("redis-cli", &args);
                return None;
            }
            Kind::Nats => {
                let url = format!("nats://127.0.0.1:{port}");
                let args = [&url, user, password, "spore.m.native", &count];
                self.run("./nats_fetch", &args);
            }
            Kind::Rabbit => {
                let args = [&port, user, password, "spore.m.native", &count];
                self.run("./rabbit_fetch", &args);
            }
            Kind::Kafka => self.run(
                "kcat",
                &[
                    "-C",
                    "-q",
                    "-e",
                    "-b",
                    &format!("127.0.0.1:{port}"),
                    "-t",
                    "spore.m.native",
                    "-o",
                    &format!("-{count}"),
                    "-c",
                    &count,
                ],
            ),
        }
        Some(())
    }
}

fn main() {
    let (count, rounds) = (number("COUNT", 20_000), number("ROUNDS", 3));
    let dir = tempfile::tempdir().unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    for (program, library) in [
        ("nats_publish", "-lnats"),
        ("nats_fetch", "-lnats"),
        ("rabbit_publish", "-lrabbitmq"),
        ("rabbit_fetch", "-lrabbitmq"),
    ] {
        let done = Command::new("gcc")
            .args(["-O2", "-o"])
            .arg(dir.path().join(program))
            .arg(here.join(format!("{program}.c")))
            .arg(library)
            .status();
        assert!(done.unwrap().success(), "{program} with {library}");
    }
    let line = [&BODY[..], b"\n"].concat();
    fs::write(dir.path().join("lines"), line.repeat(count)).unwrap();
    let options = root::Options {
        start: dir.path().to_owned(),
        root: Some("app.swarm".into()),
    };
    let root = Root::find(&options).unwrap();
    root.make().unwrap();

    let only = std::env::var("ONLY").ok();
    let mut rows = [Vec::new(), Vec::new()];
    for kind in KINDS {
        if only
            .as_ref()
            .is_some_and(|only| *only != format!("{kind:?}"))
        {
            continue;
        }
        let Some(server) = Server::start(kind) else {
            continue;
        };
        let road = Road {
            kind,
            server: &server,
            address: Address::read(&server.url()).unwrap(),
            dir: dir.path(),
            count,
        };
        let names = ["native", "alone", "kept"].map(|name| name.parse::<AgentName>().unwrap());
        for name in &names {
            road.connect().declare(name).unwrap();
        }
        let [_, alone, kept] = names;
        let mut rates: [Vec<f64>; 6] = Default::default();
        for round in 0..rounds {
            // A mailbox is looked through for what it has already: each round gets its own.
            let mail = dir.path().join(format!("mail-{kind:?}-{round}"));
            let spool = Spool::open_or_create(&mail).unwrap();
            let all = messages(count);
            rates[0].push(rate(count, || road.native_publish()));
            rates[1].push(rate(count, || road.publish(&alone, &all)));
            let bodies: Vec<_> = all.iter().map(|one| (one.id, BODY)).collect();
            rates[2].push(rate(count, || road.send(&root, &kept, &bodies)));
            let mut is_native = false;
            let received = rate(count, || is_native = road.native_receive().is_some());
            rates[3].push(if is_native { received } else { f64::NAN });
            rates[4].push(rate(count, || road.receive(&alone)));
            rates[5].push(rate(count, || road.take(&spool, &kept)));
        }
        let rates = rates.map(median);
        for (row, rates) in rows.iter_mut().zip(rates.chunks(3)) {
            let (native, ours, kept) = (rates[0], rates[1], rates[2]);
            let ratio = ours / native;
            row.push(match native.is_nan() {
                true => format!("| {kind:?} | - | {ours:.0} | - | {kept:.0} | |"),
                false => format!(
                    "| {kind:?} | {native:.0} | {ours:.0} | {ratio:.2} | {kept:.0} | at least 0.9, {} |",
                    if ratio >= 0.9 { "met" } else { "**not met**" }
                ),
            });
        }
    }
    let [published, received] = rows;
    println!(
        "| {count} x 1 KiB in process, published and confirmed | native, messages/s | client alone | client / native | by the outbox | target |\n|---|---|---|---|---|---|\n{}\n",
        published.join("\n")
    );
    println!(
        "| {count} x 1 KiB in process, fetched and acknowledged | native, messages/s | client alone | client / native | into the mailbox | target |\n|---|---|---|---|---|---|\n{}",
        received.join("\n")
    );
}
