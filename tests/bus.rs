//! The contract of a bus: the same tests over files and four real servers.

use std::time::{Duration, Instant};

use sporekit::bus::{self, Address, Parcel, Transport};
use sporekit::id::AgentName;
use sporekit::spool::{Clock, Lane};

use super::servers::{self, Kind};

/// A road under test: how to connect, any number of times.
struct Road {
    address: Address,
    _dir: Option<tempfile::TempDir>,
}

impl Road {
    fn files() -> Road {
        let dir = tempfile::tempdir().unwrap();
        let address = Address::read(&format!("file:{}", dir.path().display())).unwrap();
        Road {
            address,
            _dir: Some(dir),
        }
    }

    fn to(kind: Kind) -> Option<Road> {
        let server = servers::shared(kind)?;
        Some(Road {
            address: Address::read(&server.url()).unwrap(),
            _dir: None,
        })
    }

    fn connect(&self) -> Box<dyn Transport> {
        bus::connect(&self.address, soon()).unwrap()
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// A mailbox that no other test uses.
fn fresh(name: &str) -> AgentName {
    let text = format!("{name}.{}", &Clock::Kernel.id().to_string()[30..]);
    text.parse().unwrap()
}

fn parcels(range: std::ops::Range<usize>) -> Vec<Parcel> {
    range
        .map(|n| Parcel {
            id: Clock::Kernel.id(),
            lane: Lane::Normal,
            expiry: None,
            bytes: format!("{n}\n").into_bytes(),
        })
        .collect()
}

/// Everything that is there now.
fn drain(bus: &mut dyn Transport, of: &AgentName, wait: Duration) -> Vec<Parcel> {
    let mut found = Vec::new();
    let mut wait = wait;
    loop {
        let fetched = bus.fetch(of, 100, wait).unwrap();
        if fetched.is_empty() {
            return found;
        }
        wait = Duration::from_millis(300);
        let tokens: Vec<String> = fetched.iter().map(|d| d.token.clone()).collect();
        found.extend(fetched.into_iter().map(|d| d.parcel.unwrap()));
        bus.settle(of, &tokens).unwrap();
    }
}

const WAIT: Duration = Duration::from_secs(5);

fn messages_come_whole_and_in_order(road: &Road) {
    let name = fresh("order");
    let mut bus = road.connect();
    let mut sent = parcels(0..300);
    sent[0].bytes = Vec::new();
    sent[1].bytes = (0..=255).cycle().take(100_000).collect();
    sent[2].lane = Lane::Urgent;
    sent[2].expiry = Some(4_000_000_000);
    let published = bus.publish(&name, &sent, soon());
    assert!(published.trouble.is_none(), "{:?}", published.trouble);
    assert_eq!(published.confirmed, 300);
    let mut came = drain(road.connect().as_mut(), &name, WAIT);
    // Directories give out the urgent lane first.
    let key = |parcel: &Parcel| parcel.id;
    if road.address.kind == bus::Kind::Files {
        came.sort_by_key(key);
    }
    assert_eq!(came.len(), 300);
    assert!(came == sent, "other bytes, or another order");
}

fn what_a_dead_reader_had_fetched_comes_again_first(road: &Road) {
    let name = fresh("reader");
    let sent = parcels(0..20);
    assert_eq!(road.connect().publish(&name, &sent, soon()).confirmed, 20);
    {
        let mut reader = road.connect();
        let fetched = reader.fetch(&name, 7, WAIT).unwrap();
        assert!(!fetched.is_empty() && fetched.len() <= 20);
        let first: Vec<String> = fetched.iter().take(2).map(|d| d.token.clone()).collect();
        reader.settle(&name, &first).unwrap();
        if road.address.kind == bus::Kind::Files {
            // The lease of a directory outlives this process's thread: another test holds it.
            return;
        }
    }
    let came = drain(road.connect().as_mut(), &name, WAIT);
    assert_eq!(came, sent[2..], "all that was not settled, in order");
}

fn depth_is_what_is_not_settled(road: &Road) {
    let name = fresh("depth");
    let mut bus = road.connect();
    bus.declare(&name).unwrap();
    bus.declare(&name).unwrap();
    assert_eq!(bus.depth(&name).unwrap(), 0);
    assert_eq!(bus.publish(&name, &parcels(0..5), soon()).confirmed, 5);
    await_depth(bus.as_mut(), &name, 5);
    assert_eq!(drain(bus.as_mut(), &name, WAIT).len(), 5);
    await_depth(bus.as_mut(), &name, 0);
    assert!(bus.fetch(&name, 1, Duration::ZERO).unwrap().is_empty());
}

fn await_depth(bus: &mut dyn Transport, name: &AgentName, wanted: u64) {
    let end = soon();
    while bus.depth(name).unwrap() != wanted {
        assert!(
            Instant::now() < end,
            "depth is {}",
            bus.depth(name).unwrap()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn a_reader_that_waits_is_woken(road: &Road) {
    let name = fresh("wait");
    let mut reader = road.connect();
    reader.declare(&name).unwrap();
    let start = Instant::now();
    assert!(
        reader
            .fetch(&name, 1, Duration::from_millis(200))
            .unwrap()
            .is_empty()
    );
    assert!(
        start.elapsed() >= Duration::from_millis(150),
        "it did not wait"
    );
    let sender = road.address.clone();
    let to = name.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        let mut bus = bus::connect(&sender, soon()).unwrap();
        assert_eq!(bus.publish(&to, &parcels(0..1), soon()).confirmed, 1);
    });
    let came = reader.fetch(&name, 1, WAIT).unwrap();
    thread.join().unwrap();
    assert_eq!(came.len(), 1);
    reader.settle(&name, &[came[0].token.clone()]).unwrap();
}

fn mailboxes_are_apart(road: &Road) {
    let (one, other) = (fresh("a"), fresh("a.b"));
    let mut bus = road.connect();
    assert_eq!(bus.publish(&one, &parcels(0..2), soon()).confirmed, 2);
    assert_eq!(bus.publish(&other, &parcels(7..8), soon()).confirmed, 1);
    assert_eq!(drain(bus.as_mut(), &other, WAIT)[0].bytes, b"7\n");
    assert_eq!(drain(bus.as_mut(), &one, WAIT).len(), 2);
}

fn a_mark_stays(road: &Road) {
    let name = fresh("mark").to_string().replace('.', "");
    let mut bus = road.connect();
    assert!(!bus.mark(&name, false).unwrap());
    assert!(bus.mark(&name, true).unwrap());
    assert!(road.connect().mark(&name, false).unwrap());
    bus.ping().unwrap();
    bus.frailty().unwrap();
}

fn what_is_too_long_is_refused_and_the_rest_goes(road: &Road) {
    let name = fresh("long");
    let mut bus = road.connect();
    let limit = bus.limit();
    if limit <= 1 << 20 {
        let mut long = parcels(0..1);
        long[0].bytes = vec![b'x'; limit + 2048];
        let published = bus.publish(&name, &long, soon());
        assert_eq!(published.confirmed, 0);
        assert!(!published.trouble.unwrap().mends());
        bus = road.connect();
    }
    let mut most = parcels(0..1);
    most[0].bytes = vec![b'x'; limit.min(1 << 20) - 4096];
    let published = bus.publish(&name, &most, soon());
    assert_eq!(published.confirmed, 1, "{:?}", published.trouble);
    assert_eq!(drain(bus.as_mut(), &name, WAIT), most);
}

fn contract(road: &Road) {
    messages_come_whole_and_in_order(road);
    what_a_dead_reader_had_fetched_comes_again_first(road);
    depth_is_what_is_not_settled(road);
    a_reader_that_waits_is_woken(road);
    mailboxes_are_apart(road);
    a_mark_stays(road);
    what_is_too_long_is_refused_and_the_rest_goes(road);
}

#[test]
fn files_keep_the_contract() {
    contract(&Road::files());
}

#[test]
fn nats_keeps_the_contract() {
    if let Some(road) = Road::to(Kind::Nats) {
        contract(&road);
    }
}

#[test]
fn rabbitmq_keeps_the_contract() {
    if let Some(road) = Road::to(Kind::Rabbit) {
        contract(&road);
    }
}

#[test]
fn kafka_keeps_the_contract() {
    if let Some(road) = Road::to(Kind::Kafka) {
        contract(&road);
    }
}

#[test]
fn redis_keeps_the_contract() {
    if let Some(road) = Road::to(Kind::Redis) {
        contract(&road);
    }
}
