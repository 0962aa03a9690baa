//! The contract of a bus: the same tests over files and four real servers.

use std::time::{Duration, Instant};

use sporekit::bus::custody::{Known, deliver};
use sporekit::bus::{self, Address, Error, Parcel, Transport, WINDOW};
use sporekit::id::AgentName;
use sporekit::spool::{Claim, Clock, Host, Id, Lane, Place, Post, Receiver, Spool, Taken};

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

    fn connect(&self) -> Result<Box<dyn Transport>, Error> {
        bus::connect(&self.address, soon())
    }
}

/// Far more than a loaded machine needs.
fn soon() -> Instant {
    Instant::now() + WAIT
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

/// Publishes all of them.
fn publish(bus: &mut dyn Transport, to: &AgentName, batch: &[Parcel]) -> Result<(), Error> {
    let published = bus.publish(to, batch, soon());
    match published.trouble {
        Some(error) => Err(error),
        None => {
            assert_eq!(published.confirmed, batch.len());
            Ok(())
        }
    }
}

/// The next `count` messages, and that there are no more.
fn drain(bus: &mut dyn Transport, of: &AgentName, count: usize) -> Result<Vec<Parcel>, Error> {
    let mut found = Vec::new();
    let end = soon();
    loop {
        let wait = match found.len() < count {
            true => WAIT,
            false => Duration::from_millis(100),
        };
        let fetched = bus.fetch(of, 100, wait)?;
        if fetched.is_empty() && (found.len() >= count || Instant::now() > end) {
            return Ok(found);
        }
        let tokens: Vec<String> = fetched.iter().map(|d| d.token.clone()).collect();
        found.extend(fetched.into_iter().map(|d| d.parcel.unwrap()));
        bus.settle(of, &tokens)?;
    }
}

const WAIT: Duration = Duration::from_secs(60);

fn messages_come_whole_and_in_order(road: &Road) -> Result<(), Error> {
    let name = fresh("order");
    let mut sent = parcels(0..300);
    sent[0].bytes = Vec::new();
    sent[1].bytes = (0..=255).cycle().take(100_000).collect();
    sent[2].lane = Lane::Urgent;
    sent[2].expiry = Some(4_000_000_000);
    publish(road.connect()?.as_mut(), &name, &sent)?;
    let mut came = drain(road.connect()?.as_mut(), &name, 300)?;
    // Directories give out the urgent lane first.
    if road.address.kind == bus::Kind::Files {
        came.sort_by_key(|parcel| parcel.id);
    }
    assert_eq!(came.len(), 300);
    assert!(came == sent, "other bytes, or another order");
    Ok(())
}

fn what_a_dead_reader_had_fetched_comes_again_first(road: &Road) -> Result<(), Error> {
    let name = fresh("reader");
    let sent = parcels(0..20);
    publish(road.connect()?.as_mut(), &name, &sent)?;
    let mut reader = road.connect()?;
    let fetched = reader.fetch(&name, 7, WAIT)?;
    assert!(!fetched.is_empty() && fetched.len() <= 20);
    let first: Vec<String> = fetched.iter().take(2).map(|d| d.token.clone()).collect();
    reader.settle(&name, &first)?;
    drop(reader);
    // The lease of a directory outlives this process's thread: another test holds it.
    if road.address.kind != bus::Kind::Files {
        let rest = &sent[first.len()..];
        let came = drain(road.connect()?.as_mut(), &name, rest.len())?;
        assert_eq!(came, rest, "all that was not settled, in order");
    }
    Ok(())
}

/// What comes in windows is settled by windows, and one that was not comes again.
fn one_who_stops_among_many_leaves_the_rest_in_order(road: &Road) -> Result<(), Error> {
    let name = fresh("many");
    let sent = parcels(0..1500);
    for batch in sent.chunks(500) {
        publish(road.connect()?.as_mut(), &name, batch)?;
    }
    let mut came = Vec::new();
    let mut reader = road.connect()?;
    for _ in 0..3 {
        let fetched = reader.fetch(&name, WINDOW, WAIT)?;
        assert!(fetched.len() <= WINDOW);
        let tokens: Vec<String> = fetched.iter().map(|d| d.token.clone()).collect();
        came.extend(fetched.into_iter().map(|d| d.parcel.unwrap()));
        reader.settle(&name, &tokens)?;
    }
    await_depth(reader.as_mut(), &name, (sent.len() - came.len()) as u64)?;
    // The lease of a directory outlives this reader.
    if road.address.kind != bus::Kind::Files {
        assert!(!reader.fetch(&name, WINDOW, WAIT)?.is_empty());
        drop(reader);
        reader = road.connect()?;
        await_depth(reader.as_mut(), &name, (sent.len() - came.len()) as u64)?;
    }
    came.extend(drain(reader.as_mut(), &name, sent.len() - came.len())?);
    assert!(came == sent, "lost, twice, or in another order");
    Ok(())
}

fn depth_is_what_is_not_settled(road: &Road) -> Result<(), Error> {
    let name = fresh("depth");
    let mut bus = road.connect()?;
    bus.declare(&name)?;
    bus.declare(&name)?;
    assert_eq!(bus.depth(&name)?, 0);
    publish(bus.as_mut(), &name, &parcels(0..5))?;
    await_depth(bus.as_mut(), &name, 5)?;
    assert_eq!(drain(bus.as_mut(), &name, 5)?.len(), 5);
    await_depth(bus.as_mut(), &name, 0)?;
    assert!(bus.fetch(&name, 1, Duration::ZERO)?.is_empty());
    Ok(())
}

/// Counts follow a little later than confirmations.
fn await_depth(bus: &mut dyn Transport, name: &AgentName, wanted: u64) -> Result<(), Error> {
    let end = soon();
    loop {
        let depth = bus.depth(name)?;
        if depth == wanted {
            return Ok(());
        }
        assert!(Instant::now() < end, "depth is {depth}, not {wanted}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn a_reader_that_waits_is_woken(road: &Road) -> Result<(), Error> {
    let name = fresh("wait");
    let mut reader = road.connect()?;
    reader.declare(&name)?;
    let start = Instant::now();
    assert!(
        reader
            .fetch(&name, 1, Duration::from_millis(200))?
            .is_empty()
    );
    assert!(
        start.elapsed() >= Duration::from_millis(150),
        "it did not wait"
    );
    let came = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            publish(road.connect()?.as_mut(), &name, &parcels(0..1))
        });
        let came = reader.fetch(&name, 1, WAIT);
        sender.join().unwrap().and(came)
    })?;
    assert_eq!(came.len(), 1);
    reader.settle(&name, &[came[0].token.clone()])
}

fn mailboxes_are_apart(road: &Road) -> Result<(), Error> {
    let (one, other) = (fresh("a"), fresh("a.b"));
    let mut bus = road.connect()?;
    publish(bus.as_mut(), &one, &parcels(0..2))?;
    publish(bus.as_mut(), &other, &parcels(7..8))?;
    assert_eq!(drain(bus.as_mut(), &other, 1)?[0].bytes, b"7\n");
    assert_eq!(drain(bus.as_mut(), &one, 2)?.len(), 2);
    Ok(())
}

fn a_mark_stays(road: &Road) -> Result<(), Error> {
    let name = fresh("mark").to_string().replace('.', "");
    let mut bus = road.connect()?;
    assert!(!bus.mark(&name, false)?);
    assert!(bus.mark(&name, true)?);
    assert!(road.connect()?.mark(&name, false)?);
    bus.ping()?;
    bus.frailty().map(drop)
}

fn what_is_too_long_is_refused_and_the_rest_goes(road: &Road) -> Result<(), Error> {
    let name = fresh("long");
    let mut bus = road.connect()?;
    let limit = bus.limit();
    if limit <= 1 << 20 {
        let mut long = parcels(0..1);
        long[0].bytes = vec![b'x'; limit + 2048];
        let published = bus.publish(&name, &long, soon());
        assert_eq!(published.confirmed, 0);
        let trouble = published.trouble.unwrap();
        if trouble.mends() {
            return Err(trouble);
        }
        bus = road.connect()?;
    }
    let mut most = parcels(0..1);
    most[0].bytes = vec![b'x'; limit.min(1 << 20) - 4096];
    publish(bus.as_mut(), &name, &most)?;
    assert_eq!(drain(bus.as_mut(), &name, 1)?, most);
    Ok(())
}

/// Every case. Each question has its bound, which a machine under load may break: then the case
/// is tried again from its start. What a bus does wrong is an assertion, and is not.
fn contract(road: &Road) {
    let cases = [
        messages_come_whole_and_in_order,
        what_a_dead_reader_had_fetched_comes_again_first,
        one_who_stops_among_many_leaves_the_rest_in_order,
        depth_is_what_is_not_settled,
        a_reader_that_waits_is_woken,
        mailboxes_are_apart,
        a_mark_stays,
        what_is_too_long_is_refused_and_the_rest_goes,
    ];
    for case in cases {
        let mut tries = 0;
        while let Err(error) = case(road) {
            tries += 1;
            assert!(error.mends() && tries < 20, "{error}, {tries} times");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
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

/// What a bus gives out again is dropped by its id, whatever became of it in the mailbox, and
/// whoever had delivered it.
#[test]
fn what_is_or_was_in_a_mailbox_is_not_delivered_to_it_again() {
    fn next(receiver: &mut Receiver<'_>) -> Claim {
        match receiver.take().unwrap() {
            Taken::Message(claim) => claim,
            other => panic!("{other:?}"),
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open_or_create(dir.path()).unwrap();
    let mailbox = spool.create(&"here".parse().unwrap()).unwrap();
    let here = |known: &mut Known, parcels: &[Parcel]| deliver(&mailbox, known, parcels.to_vec());
    let sent = parcels(0..100);
    let mut known = Known::default();
    assert_eq!(here(&mut known, &sent[..30]).unwrap(), 30);
    // In a batch that nobody has taken apart; killed before it was acknowledged, and not killed.
    assert_eq!(here(&mut Known::default(), &sent[..30]).unwrap(), 0);
    assert_eq!(here(&mut known, &sent[..30]).unwrap(), 0);
    // Done, dead, waiting again and held.
    let mut receiver = Receiver::new(&mailbox, Host::here(), WAIT);
    for _ in 0..10 {
        let claim = next(&mut receiver);
        receiver.ack(&claim).unwrap();
    }
    let dead = next(&mut receiver);
    receiver.bury(&dead, "it is of no use", false).unwrap();
    let again = next(&mut receiver);
    let held = next(&mut receiver);
    receiver.release(&again, true).unwrap();
    assert_eq!(here(&mut Known::default(), &sent[..30]).unwrap(), 0);
    assert_eq!(here(&mut known, &sent[..40]).unwrap(), 10);
    // Another delivers what was not there when we looked, in a batch and not.
    assert_eq!(here(&mut Known::default(), &sent[40..60]).unwrap(), 20);
    assert_eq!(here(&mut known, &sent[40..62]).unwrap(), 2);
    assert_eq!(here(&mut Known::default(), &sent[62..65]).unwrap(), 3);
    assert_eq!(here(&mut known, &sent[40..70]).unwrap(), 5);
    // A sender on this machine does, who tells nobody: it waits, is held, waits again.
    let direct = &sent[70];
    mailbox
        .deliver(direct.id, &direct.bytes, &Post::default())
        .unwrap();
    let early = Id::new(1, 0, 0, 0);
    let urgent = Post {
        lane: Lane::Urgent,
        ..Post::default()
    };
    mailbox.deliver(early, b"first", &urgent).unwrap();
    let claim = next(&mut receiver);
    assert_eq!(claim.name.id, early);
    let mut first = parcels(0..1);
    (first[0].id, first[0].lane, first[0].bytes) = (early, Lane::Urgent, b"first".to_vec());
    assert_eq!(here(&mut known, &first).unwrap(), 0);
    assert_eq!(here(&mut known, &sent[70..71]).unwrap(), 0);
    receiver.release(&claim, true).unwrap();
    assert_eq!(here(&mut known, &first).unwrap(), 0);
    // What was not delivered is not known either.
    let (tmp, aside) = (mailbox.path().join("tmp"), mailbox.path().join("aside"));
    std::fs::rename(&tmp, &aside).unwrap();
    std::fs::write(&tmp, "in the way").unwrap();
    here(&mut known, &sent[71..100]).unwrap_err();
    std::fs::remove_file(&tmp).unwrap();
    std::fs::rename(&aside, &tmp).unwrap();
    assert_eq!(here(&mut known, &sent[71..100]).unwrap(), 29);
    // Each is in one place.
    let mut ids: Vec<Id> = mailbox.list().unwrap().iter().map(|e| e.name.id).collect();
    ids.sort();
    let is_settled = |parcel: &&Parcel| {
        let place = mailbox.settled(parcel.id).unwrap();
        matches!(place, Some(Place::Done(_) | Place::Dead(_)))
    };
    assert_eq!(sent.iter().filter(is_settled).count(), 11);
    let rest = sent.iter().filter(|parcel| !is_settled(parcel));
    let mut wanted: Vec<Id> = rest.map(|parcel| parcel.id).chain([early]).collect();
    wanted.sort();
    assert_eq!(ids, wanted);
    drop(held);
}
