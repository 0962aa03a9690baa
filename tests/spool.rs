//! The mailboxes as a library: states, faults, races.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sporekit::id::AgentName;
use sporekit::spool::{
    Accepted, Claim, Clock, Entry, Error, Host, Id, Lane, Lease, Mailbox, Name, Now, Place, Post,
    Receiver, Spent, Spool, Taken, Watch, Woken,
};
use tempfile::TempDir;

const MINUTE: Duration = Duration::from_secs(60);
/// 2026-11-24T12:00:00Z
const NOON: u64 = 1_795_521_600;

struct Swarm {
    _dir: TempDir,
    mail: PathBuf,
    spool: Spool,
}

fn place() -> Swarm {
    let dir = tempfile::tempdir().unwrap();
    let mail = dir.path().join("mail");
    Swarm {
        spool: Spool::open_or_create(&mail).unwrap(),
        mail,
        _dir: dir,
    }
}

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

fn noon() -> Clock {
    Clock::given(Now {
        micros: NOON * 1_000_000,
        boot_ms: 1_000_000,
    })
}

fn host(clock: &Clock) -> Host {
    Host {
        clock: clock.clone(),
        ..Host::here()
    }
}

fn send(mailbox: &Mailbox, text: &str) -> Id {
    let id = Clock::Kernel.id();
    mailbox
        .deliver(id, text.as_bytes(), &Post::default())
        .unwrap();
    id
}

fn message(taken: Taken) -> Claim {
    match taken {
        Taken::Message(claim) => claim,
        other => panic!("no message: {other:?}"),
    }
}

fn text(claim: &mut Claim) -> String {
    let mut text = String::new();
    claim.open().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Everything that waits, taken and acknowledged.
fn drain(mailbox: &Mailbox) -> Vec<String> {
    let mut receiver = Receiver::new(mailbox, Host::here(), MINUTE);
    let mut texts = Vec::new();
    while let Taken::Message(mut claim) = receiver.take().unwrap() {
        texts.push(text(&mut claim));
        receiver.ack(&claim).unwrap();
    }
    texts
}

#[test]
fn a_message_goes_from_tmp_through_new_and_cur_to_done() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let home = p.mail.join("kiro-1");
    let id = Clock::Kernel.id();
    let mut draft = mailbox.draft(Lane::Normal, id).unwrap();
    draft.write(b"hel").unwrap();
    draft.write(b"lo\n").unwrap();
    assert_eq!(names(&home.join("tmp")).len(), 1);
    assert_eq!(draft.deliver(&Post::default()).unwrap(), Accepted::New);
    assert_eq!(names(&home.join("tmp")), [""; 0]);
    assert_eq!(names(&home.join("new")), [format!("{id},S=6:2,")]);
    assert_eq!(mailbox.find(id).unwrap(), Some(Place::Waiting));

    let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
    let mut claim = message(receiver.take().unwrap());
    assert_eq!(text(&mut claim), "hello\n");
    assert_eq!(mailbox.find(id).unwrap(), Some(Place::Held));
    let held: Name = names(&home.join("cur"))[0].parse().unwrap();
    assert_eq!((held.id, held.attempts), (id, 1));
    assert_eq!(held.lease.unwrap().holder.pid, std::process::id());
    assert!(matches!(receiver.take().unwrap(), Taken::Nothing));

    receiver.ack(&claim).unwrap();
    assert_eq!(names(&home.join("cur")), [""; 0]);
    assert!(matches!(mailbox.find(id).unwrap(), Some(Place::Done(_))));
    assert!(matches!(receiver.ack(&claim), Err(Error::LeaseLost { .. })));
}

#[test]
fn everything_is_private_even_under_an_open_umask() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    send(&mailbox, "x");
    for entry in walkdir::WalkDir::new(p.mail.join("kiro-1")) {
        let mode = entry.unwrap().metadata().unwrap().mode() & 0o777;
        assert_eq!(mode & 0o077, 0);
    }
    assert!(!mailbox.is_open_to_others());
    fs::set_permissions(p.mail.join("kiro-1"), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(
        p.spool
            .mailbox(&name("kiro-1"))
            .unwrap()
            .is_open_to_others()
    );
    assert!(mailbox.examine(Clock::Kernel.now()).unwrap()[0].bad);
}

#[test]
fn urgent_comes_first_and_low_last_each_in_order_of_time() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    for (text, lane) in [
        ("low", Lane::Low),
        ("first", Lane::Normal),
        ("second", Lane::Normal),
        ("urgent", Lane::Urgent),
    ] {
        let post = Post {
            lane,
            ..Post::default()
        };
        mailbox
            .deliver(Clock::Kernel.id(), text.as_bytes(), &post)
            .unwrap();
    }
    assert_eq!(drain(&mailbox), ["urgent", "first", "second", "low"]);
}

#[test]
fn an_unknown_mailbox_is_named_with_its_neighbours_and_not_made() {
    let p = place();
    p.spool.create(&name("kiro-1")).unwrap();
    match p.spool.mailbox(&name("kira-1")) {
        Err(Error::NoMailbox { nearest, .. }) => assert_eq!(nearest, ["kiro-1"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(names(&p.mail), ["kiro-1"]);
}

#[test]
fn a_lease_is_reclaimed_when_it_is_over_and_the_old_holder_learns_it() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    send(&mailbox, "x");
    let clock = noon();
    let mut first = Receiver::new(&mailbox, host(&clock), MINUTE).outliving();
    let mut held = message(first.take().unwrap());
    let mut second = Receiver::new(&mailbox, host(&clock), MINUTE).outliving();
    assert!(matches!(second.take().unwrap(), Taken::Nothing));
    clock.set(|now| now.boot_ms += 59_000);
    first.renew(&mut held).unwrap();
    clock.set(|now| now.boot_ms += 59_000);
    assert!(matches!(second.take().unwrap(), Taken::Nothing));
    clock.set(|now| now.boot_ms += 2_000);
    let taken = message(second.take().unwrap());
    assert_eq!(taken.name.attempts, 2);
    assert!(matches!(
        first.renew(&mut held),
        Err(Error::LeaseLost { .. })
    ));
    assert!(matches!(first.ack(&held), Err(Error::LeaseLost { .. })));
    assert!(matches!(
        first.release(&held, true),
        Err(Error::LeaseLost { .. })
    ));
    second.ack(&taken).unwrap();
}

#[test]
fn a_claim_of_a_dead_process_or_an_earlier_boot_is_taken_over_at_once() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    send(&mailbox, "x");
    for forge in [
        |host: &mut Host| host.holder.start += 1,
        |host: &mut Host| host.holder.boot ^= 1,
    ] {
        let mut other = Host::here();
        forge(&mut other);
        let mut dead = Receiver::new(&mailbox, other, MINUTE);
        message(dead.take().unwrap());
    }
    let mut alive = Receiver::new(&mailbox, Host::here(), MINUTE);
    assert_eq!(message(alive.take().unwrap()).name.attempts, 3);
}

#[test]
fn after_five_attempts_a_message_is_spent_and_can_be_requeued() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let id = send(&mailbox, "poison");
    for _ in 0..5 {
        let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
        let claim = message(receiver.take().unwrap());
        receiver.release(&claim, true).unwrap();
    }
    let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
    match receiver.take().unwrap() {
        Taken::Spent(claim, Spent::Attempts) => receiver.bury(&claim, "too\noften", false).unwrap(),
        other => panic!("{other:?}"),
    }
    assert_eq!(mailbox.dead().unwrap(), [(id, "too often".to_owned())]);
    mailbox.requeue(id).unwrap();
    assert_eq!(mailbox.dead().unwrap(), []);
    assert_eq!(drain(&mailbox), ["poison"]);
    assert!(matches!(mailbox.requeue(id), Err(Error::NoMessage { .. })));
}

#[test]
fn expiry_leaves_a_minute_for_clocks_that_differ() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let clock = noon();
    let post = Post {
        expiry: Some(NOON + 10),
        ..Post::default()
    };
    mailbox.deliver(clock.id(), b"x", &post).unwrap();
    clock.set(|now| now.micros += 70_000_000);
    let mut receiver = Receiver::new(&mailbox, host(&clock), MINUTE);
    let claim = message(receiver.take().unwrap());
    receiver.release(&claim, false).unwrap();
    clock.set(|now| now.micros += 1_000_000);
    let mut receiver = Receiver::new(&mailbox, host(&clock), MINUTE);
    assert!(matches!(
        receiver.take().unwrap(),
        Taken::Spent(_, Spent::Expired)
    ));
}

#[test]
fn a_clock_that_steps_back_neither_loses_nor_repeats() {
    for there in [0, 946_684_800, 4_294_967_296] {
        let p = place();
        let mailbox = p.spool.create(&name("kiro-1")).unwrap();
        let clock = noon();
        mailbox
            .deliver(clock.id(), b"noon", &Post::default())
            .unwrap();
        clock.set(|now| now.micros = there * 1_000_000);
        let id = clock.id();
        mailbox.deliver(id, b"there", &Post::default()).unwrap();
        let mut receiver = Receiver::new(&mailbox, host(&clock), MINUTE);
        let done: Vec<Id> = (0..2)
            .map(|_| {
                let claim = message(receiver.take().unwrap());
                receiver.ack(&claim).unwrap();
                claim.name.id
            })
            .collect();
        assert!(done.contains(&id));
        // A second copy is dropped, whatever the clock says now.
        for says in [there, NOON, NOON + 86_400] {
            clock.set(|now| now.micros = says * 1_000_000);
            for id in &done {
                mailbox.deliver(*id, b"copy", &Post::default()).unwrap();
            }
            assert!(matches!(receiver.take().unwrap(), Taken::Nothing));
        }
    }
}

#[test]
fn a_second_copy_of_a_done_message_is_dropped() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let id = send(&mailbox, "once");
    assert_eq!(drain(&mailbox), ["once"]);
    assert_eq!(
        mailbox.deliver(id, b"once", &Post::default()).unwrap(),
        Accepted::New
    );
    assert_eq!(drain(&mailbox), [""; 0]);
    assert_eq!(mailbox.list().unwrap(), []);
}

#[test]
fn a_key_stands_for_one_id_and_an_id_for_itself() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let (first, second) = (Clock::Kernel.id(), Clock::Kernel.id());
    assert_eq!(mailbox.reserve("boss", "build 7", first).unwrap(), first);
    assert_eq!(mailbox.reserve("boss", "build 7", second).unwrap(), first);
    assert_eq!(mailbox.reserve("other", "build 7", second).unwrap(), second);
    assert_eq!(
        mailbox.reserve("boss", &first.to_string(), second).unwrap(),
        first
    );
    assert!(!mailbox.has(first).unwrap());
    mailbox.deliver(first, b"x", &Post::default()).unwrap();
    assert!(mailbox.has(first).unwrap());
    drain(&mailbox);
    assert!(mailbox.has(first).unwrap());
}

#[test]
fn torn_files_are_never_handed_out() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    for content in ["", "hal"] {
        let id = send(&mailbox, "whole message");
        let file = p.mail.join(format!("kiro-1/new/{id},S=13:2,"));
        fs::remove_file(&file).unwrap();
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
        match receiver.take().unwrap() {
            Taken::Spent(claim, Spent::Torn) => receiver.bury(&claim, "torn", true).unwrap(),
            other => panic!("{other:?}"),
        }
        assert_eq!(mailbox.find(id).unwrap(), Some(Place::Torn));
    }
}

#[test]
fn links_pipes_and_foreign_files_neither_block_nor_leak() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let new = p.mail.join("kiro-1/new");
    let secret = p.mail.join("secret");
    fs::write(&secret, "secret").unwrap();
    let id = || Clock::Kernel.id();
    symlink(&secret, new.join(format!("{},S=6:2,", id()))).unwrap();
    fs::hard_link(&secret, new.join(format!("{},S=6:2,", id()))).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        new.join(format!("{},S=6:2,", id())),
        rustix::fs::Mode::RUSR,
    )
    .unwrap();
    fs::create_dir(new.join(format!("{},S=6:2,", id()))).unwrap();
    for foreign in [".DS_Store", "note.md~", ".nfs0001"] {
        fs::write(new.join(foreign), "x").unwrap();
    }
    send(&mailbox, "real");
    assert!(mailbox.examine(Clock::Kernel.now()).unwrap().len() >= 6);
    let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
    let mut seen = Vec::new();
    loop {
        match receiver.take().unwrap() {
            Taken::Message(mut claim) => {
                seen.push(text(&mut claim));
                receiver.ack(&claim).unwrap();
            }
            Taken::Spent(claim, why) => receiver.bury(&claim, &why.to_string(), false).unwrap(),
            Taken::Opening | Taken::Nothing => break,
        }
    }
    assert_eq!(seen, ["real"]);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
}

#[test]
fn a_link_in_place_of_a_mailbox_or_its_parts_is_refused() {
    let p = place();
    p.spool.create(&name("real")).unwrap();
    symlink(p.mail.join("real"), p.mail.join("alias")).unwrap();
    assert!(matches!(
        p.spool.mailbox(&name("alias")),
        Err(Error::Unsafe { .. })
    ));
    fs::write(p.mail.join("file"), "").unwrap();
    assert!(matches!(
        p.spool.mailbox(&name("file")),
        Err(Error::Unsafe { .. })
    ));

    let mailbox = p.spool.mailbox(&name("real")).unwrap();
    let elsewhere = p.mail.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for part in ["new", "tmp"] {
        fs::remove_dir(p.mail.join("real").join(part)).unwrap();
        symlink(&elsewhere, p.mail.join("real").join(part)).unwrap();
        let refused = mailbox.deliver(Clock::Kernel.id(), b"x", &Post::default());
        assert!(matches!(refused, Err(Error::NotAccepted { .. })));
        assert_eq!(names(&elsewhere), [""; 0]);
    }
    let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
    assert!(matches!(receiver.take(), Err(Error::Unsafe { .. })));
}

#[test]
fn many_pending_messages_come_in_order_through_the_cache() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let post = Post {
        sync: false,
        ..Post::default()
    };
    let texts: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for text in &texts {
        mailbox
            .deliver(Clock::Kernel.id(), text.as_bytes(), &post)
            .unwrap();
    }
    let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
    let mut first = message(receiver.take().unwrap());
    assert!(p.mail.join("kiro-1/.order").exists());
    assert_eq!(text(&mut first), "0");
    // What is given back keeps its place.
    receiver.release(&first, true).unwrap();
    assert_eq!(drain(&mailbox), texts);
    // A cache of rubbish is no harm.
    for rubbish in [vec![], vec![7u8; 96], vec![0xff; 960]] {
        fs::write(p.mail.join("kiro-1/.order"), rubbish).unwrap();
        send(&mailbox, "x");
        assert_eq!(drain(&mailbox), ["x"]);
    }
}

#[test]
fn a_batch_arrives_whole_and_in_order() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let texts: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let sent = mailbox
        .deliver_batch(
            texts.iter().map(|text| (Clock::Kernel.id(), text)),
            &Post::default(),
        )
        .unwrap();
    assert_eq!((sent, mailbox.list().unwrap().len()), (100, 100));
    assert_eq!(names(&p.mail.join("kiro-1/new")).len(), 1);
    assert_eq!(drain(&mailbox), texts);
    assert_eq!(names(&p.mail.join("kiro-1/new")), [""; 0]);
}

#[test]
fn receivers_that_meet_in_one_order_pass_over_nothing() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let texts: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    bundle(&mailbox, &texts);
    let mut receivers: Vec<Receiver<'_>> = (0..3)
        .map(|_| Receiver::new(&mailbox, Host::here(), MINUTE))
        .collect();
    // The first goes on alone for a while, and one that ends leaves its place to the next.
    let mut turn = (0..100).map(|_| 0).chain((0..).map(|n| n % 3));
    let mut seen = Vec::new();
    while seen.len() < texts.len() {
        let at = turn.next().unwrap();
        let mut claim = message(receivers[at].take().unwrap());
        seen.push(text(&mut claim));
        receivers[at].ack(&claim).unwrap();
        if seen.len() == 150 {
            receivers[at] = Receiver::new(&mailbox, Host::here(), MINUTE);
        }
    }
    assert_eq!(seen, texts);
}

/// A bundle of these texts in `kiro-1`; the ids of its messages.
fn bundle(mailbox: &Mailbox, texts: &[String]) -> Vec<Id> {
    let whole = Clock::Kernel.id();
    let messages: Vec<(Id, &String)> = texts.iter().map(|t| (Clock::Kernel.id(), t)).collect();
    let sent = mailbox.deliver_bundle(whole, &messages, &Post::default());
    assert_eq!(sent.unwrap(), texts.len());
    messages.iter().map(|(id, _)| *id).collect()
}

#[test]
fn a_bundle_is_one_file_of_messages_that_are_told_apart_by_their_sizes() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let new = p.mail.join("kiro-1/new");
    let mut texts: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    // What looks like a part of a bundle is text here; so is nothing at all.
    let other = Clock::Kernel.id();
    texts.push(format!(
        "\n=== {other}\n\n\n- {other},S=3:2,\n# 🧬 Bundle of 1 spores\n\n"
    ));
    texts.push(String::new());
    send(&mailbox, "before");
    let ids = bundle(&mailbox, &texts);
    send(&mailbox, "after");
    let files = names(&new);
    assert_eq!(files.len(), 3);
    let file = files.iter().find(|file| file.ends_with(".bundle")).unwrap();
    let shown = fs::read_to_string(new.join(file)).unwrap();
    assert!(
        shown.starts_with("# 🧬 Bundle of 102 spores\n\n- "),
        "{shown}"
    );

    // To all who look it is messages that wait, in order, and looking changes nothing.
    let listed = mailbox.list().unwrap();
    let inside: Vec<&Entry> = listed.iter().filter(|e| e.batch.is_some()).collect();
    assert_eq!(inside.iter().map(|e| e.name.id).collect::<Vec<_>>(), ids);
    for (entry, text) in inside.iter().zip(&texts) {
        let mut read = String::new();
        let mut file = fs::File::from(mailbox.open_entry(entry).unwrap());
        file.read_to_string(&mut read).unwrap();
        assert_eq!(read, *text);
        assert_eq!(mailbox.find(entry.name.id).unwrap(), Some(Place::Waiting));
    }
    assert_eq!(mailbox.examine(Clock::Kernel.now()).unwrap(), []);
    assert_eq!(names(&new), files);

    texts.insert(0, "before".to_owned());
    texts.push("after".to_owned());
    assert_eq!(drain(&mailbox), texts);
    for part in ["new", "cur", "tmp"] {
        assert_eq!(names(&p.mail.join("kiro-1").join(part)), [""; 0]);
    }
    // Each has its own place in the ledger.
    mailbox.deliver(ids[7], b"copy", &Post::default()).unwrap();
    assert_eq!(drain(&mailbox), [""; 0]);
}

#[test]
fn one_message_of_a_bundle_can_be_taken_and_each_has_its_own_lease_and_end() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let texts = ["one", "two", "three"].map(str::to_owned);
    let ids = bundle(&mailbox, &texts);
    let listed = mailbox.list().unwrap();
    let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
    let mut second = message(receiver.take_this(&listed[1]).unwrap());
    assert_eq!(text(&mut second), "two");
    receiver.ack(&second).unwrap();
    let first = message(receiver.take().unwrap());
    receiver.bury(&first, "no use", false).unwrap();
    let third = message(receiver.take().unwrap());
    receiver.release(&third, true).unwrap();
    let place = |id| mailbox.find(id).unwrap().unwrap().as_str();
    let places: Vec<&str> = ids.into_iter().map(place).collect();
    assert_eq!(places, ["dead", "done", "waiting"]);
    let third = message(receiver.take().unwrap());
    assert_eq!(third.name.attempts, 2);
}

#[test]
fn of_a_bundle_that_is_torn_or_lies_nothing_is_handed_out() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let new = p.mail.join("kiro-1/new");
    let texts = ["one", "two"].map(str::to_owned);
    type Lie = fn(String) -> String;
    let lies: [(&str, Lie); 12] = [
        ("torn", |text| text[..text.len() - 1].to_owned()),
        ("torn", |_| String::new()),
        ("torn", |text| text + "more"),
        ("list", |text| text.replacen("of 2", "of 3", 1)),
        ("list", |text| text.replacen(",S=3:2,", ",S=4:2,", 1)),
        ("list", |text| {
            text.replacen(",S=3:2,", ",S=18446744073709551615:2,", 1)
        }),
        ("list", |text| text.replacen(",S=3:2,", ",S=3,A=9:2,", 1)),
        ("list", |text| text.replacen("- ", "- ../", 1)),
        ("list", |text| text.replace('\n', " ")),
        ("list", |text| {
            let line = text.lines().nth(2).unwrap();
            text.replace(text.lines().nth(3).unwrap(), line)
        }),
        ("mark", |text| text.replacen("\n=== ", "\n--- ", 1)),
        ("mark", |text| {
            text.replacen("\none\n", "\nonetwo\n", 1)
                .replacen("\ntwo", "\n", 1)
        }),
    ];
    for (number, (kind, lie)) in lies.into_iter().enumerate() {
        let ids = bundle(&mailbox, &texts);
        let file = new.join(&names(&new)[0]);
        let text = fs::read_to_string(&file).unwrap();
        let lying = lie(text.clone());
        assert_ne!(text, lying, "{number}");
        fs::remove_file(&file).unwrap();
        let (size, lied) = (
            format!(",S={}:", text.len()),
            format!(",S={}:", lying.len()),
        );
        let path = file.to_str().unwrap().to_owned();
        let path = if kind == "torn" {
            path
        } else {
            path.replace(&size, &lied)
        };
        fs::write(&path, &lying).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        send(&mailbox, "real");
        let doctor = mailbox.examine(Clock::Kernel.now()).unwrap();
        assert!(
            kind == "mark" || doctor.iter().any(|found| found.bad),
            "{number}"
        );
        let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
        match (kind, receiver.take().unwrap()) {
            ("torn", Taken::Spent(claim, Spent::Torn)) => receiver.bury(&claim, "x", true),
            (_, Taken::Spent(claim, Spent::Foreign(_))) => receiver.bury(&claim, "x", false),
            other => panic!("{number}: {other:?}"),
        }
        .unwrap();
        assert_eq!(drain(&mailbox), ["real"], "{number}");
        for id in ids {
            assert_eq!(mailbox.find(id).unwrap(), None, "{number}");
        }
        assert_eq!(names(&p.mail.join("kiro-1/tmp")), [""; 0], "{number}");
    }
}

#[test]
fn many_receivers_take_one_bundle_apart_once() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let texts: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let seen = std::sync::Mutex::new(HashMap::new());
    for half in texts.chunks(150) {
        bundle(&mailbox, half);
    }
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
                while seen.lock().unwrap().len() < texts.len() {
                    match receiver.take().unwrap() {
                        Taken::Message(mut claim) => {
                            *seen.lock().unwrap().entry(text(&mut claim)).or_insert(0) += 1;
                            receiver.ack(&claim).unwrap();
                        }
                        Taken::Opening | Taken::Nothing => std::thread::yield_now(),
                        Taken::Spent(_, why) => panic!("{why}"),
                    }
                }
            });
        }
    });
    assert!(seen.into_inner().unwrap().values().all(|times| *times == 1));
    assert_eq!(mailbox.list().unwrap(), []);
}

/// Claims the only bundle of a mailbox for this holder, as one who begins to take it apart; where
/// it came from and where it is now.
pub(crate) fn claim_bundle(home: &Path, lease: Lease) -> (PathBuf, PathBuf) {
    let file = names(&home.join("new")).remove(0);
    let claimed = Name {
        lease: Some(lease),
        ..file.strip_suffix(".bundle").unwrap().parse().unwrap()
    };
    let (new, cur) = (
        home.join("new").join(&file),
        home.join(format!("cur/{claimed}.bundle")),
    );
    fs::rename(&new, &cur).unwrap();
    (new, cur)
}

#[test]
fn while_another_takes_a_bundle_apart_nobody_says_that_nothing_is_there() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let home = p.mail.join("kiro-1");
    let texts = ["one", "two"].map(str::to_owned);
    bundle(&mailbox, &texts);
    // This process lives.
    let (new, cur) = claim_bundle(&home, Host::here().lease(MINUTE, true));
    let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
    assert!(matches!(receiver.take().unwrap(), Taken::Opening));
    let given_up = receiver.take_within(Duration::from_millis(5));
    assert!(matches!(given_up, Err(Error::Opening { .. })));
    let listed = mailbox.list().unwrap();
    assert!(listed.len() == 2 && listed.iter().all(Entry::waits));
    assert_eq!(mailbox.announce().unwrap().len(), 2);
    // Other mail does not wait for it, in whatever lane.
    send(&mailbox, "three");
    let mut third = message(receiver.take().unwrap());
    assert_eq!(text(&mut third), "three");
    receiver.ack(&third).unwrap();
    assert!(matches!(receiver.take().unwrap(), Taken::Opening));
    fs::rename(&cur, &new).unwrap();
    let mut first = message(receiver.take_within(MINUTE).unwrap());
    assert_eq!(text(&mut first), "one");
}

#[test]
fn while_bundles_are_taken_apart_each_message_is_found_and_none_is_spent() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    for round in 0..40 {
        let texts: Vec<String> = (0..30).map(|n| format!("{round}.{n}")).collect();
        let ids = bundle(&mailbox, &texts);
        let left = std::sync::atomic::AtomicUsize::new(ids.len());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut receiver = Receiver::new(&mailbox, Host::here(), MINUTE);
                    while left.load(std::sync::atomic::Ordering::SeqCst) > 0 {
                        match receiver.take().unwrap() {
                            Taken::Message(claim) => {
                                receiver.ack(&claim).unwrap();
                                left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                            }
                            Taken::Opening | Taken::Nothing => std::thread::yield_now(),
                            Taken::Spent(_, why) => panic!("{why}"),
                        }
                    }
                });
            }
            for id in &ids {
                assert_ne!(mailbox.find(*id).unwrap(), None, "{round}");
            }
        });
    }
}

#[test]
fn a_bundle_whose_receiver_died_in_the_middle_waits_again() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let home = p.mail.join("kiro-1");
    let texts = ["one", "two"].map(str::to_owned);
    let mut dead = Host::here().lease(MINUTE, true);
    dead.holder.start += 1;
    // Killed before the swap: the bundle in cur/; after it: the batch there.
    for swapped in [false, true] {
        bundle(&mailbox, &texts);
        let (_, claimed) = claim_bundle(&home, dead);
        if swapped {
            let listed = mailbox.list().unwrap();
            fs::remove_file(&claimed).unwrap();
            fs::create_dir(&claimed).unwrap();
            for (entry, text) in listed.iter().zip(&texts) {
                let part = claimed.join(&entry.file);
                fs::write(&part, text).unwrap();
                fs::set_permissions(&part, fs::Permissions::from_mode(0o400)).unwrap();
            }
        }
        assert_eq!(mailbox.list().unwrap().len(), 2);
        assert_eq!(drain(&mailbox), texts);
    }
}

#[test]
fn a_broadcast_is_one_file_with_a_name_in_each_mailbox() {
    let p = place();
    let boxes: Vec<Mailbox> = (0..10)
        .map(|n| p.spool.create(&name(&format!("kiro-{n}"))).unwrap())
        .collect();
    let id = Clock::Kernel.id();
    let mut draft = boxes[0].draft(Lane::Normal, id).unwrap();
    draft.write(b"all hands\n").unwrap();
    let others: Vec<&Mailbox> = boxes[1..].iter().collect();
    draft.deliver_to_all(&others, &Post::default()).unwrap();
    let file = p.mail.join(format!("kiro-7/new/{id},S=10:2,"));
    assert_eq!(fs::metadata(file).unwrap().nlink(), 10);
    for mailbox in &boxes {
        assert_eq!(drain(mailbox), ["all hands\n"]);
    }
}

#[test]
fn a_directory_that_once_was_large_is_replaced_and_loses_nothing() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let new = p.mail.join("kiro-1/new");
    // As left by a receiver that was killed between its steps.
    fs::create_dir(p.mail.join("kiro-1/.debt")).unwrap();
    let id = send(&mailbox, "late");
    let file = format!("{id},S=4:2,");
    fs::rename(new.join(&file), p.mail.join("kiro-1/.debt").join(&file)).unwrap();
    assert_eq!(drain(&mailbox), ["late"]);
    assert!(!p.mail.join("kiro-1/.debt").exists());
}

#[test]
fn sixty_four_senders_and_sixteen_receivers_lose_and_double_nothing() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let sent = std::sync::atomic::AtomicUsize::new(0);
    let seen = std::sync::Mutex::new(HashMap::new());
    let (senders, each) = (64, 8);
    std::thread::scope(|scope| {
        for sender in 0..senders {
            let (mailbox, sent) = (&mailbox, &sent);
            scope.spawn(move || {
                for n in 0..each {
                    let post = Post {
                        sync: false,
                        ..Post::default()
                    };
                    let text = format!("{sender} {n}");
                    mailbox
                        .deliver(Clock::Kernel.id(), text.as_bytes(), &post)
                        .unwrap();
                    sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
            });
        }
        for _ in 0..16 {
            let (mailbox, sent, seen) = (&mailbox, &sent, &seen);
            scope.spawn(move || {
                let mut receiver = Receiver::new(mailbox, Host::here(), MINUTE);
                loop {
                    let all = sent.load(std::sync::atomic::Ordering::SeqCst) == senders * each;
                    match receiver.take().unwrap() {
                        Taken::Message(mut claim) => {
                            *seen.lock().unwrap().entry(text(&mut claim)).or_insert(0) += 1;
                            receiver.ack(&claim).unwrap();
                        }
                        Taken::Nothing if all => break,
                        Taken::Opening | Taken::Nothing => std::thread::yield_now(),
                        Taken::Spent(_, why) => panic!("{why}"),
                    }
                }
            });
        }
    });
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len(), senders * each);
    assert!(seen.values().all(|times| *times == 1));
}

#[test]
fn a_watch_wakes_for_mail_in_any_lane_and_survives_a_new_mailbox() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    let mut watch = Watch::arm(&mailbox);
    let short = Duration::from_millis(20);
    if !watch.is_polling() {
        assert_eq!(watch.wait(&mailbox, short).unwrap(), Woken::Timeout);
    }
    for lane in Lane::ALL {
        let post = Post {
            lane,
            ..Post::default()
        };
        mailbox.deliver(Clock::Kernel.id(), b"x", &post).unwrap();
        assert_eq!(watch.wait(&mailbox, MINUTE).unwrap(), Woken::Look);
    }
    fs::remove_dir_all(p.mail.join("kiro-1")).unwrap();
    assert_eq!(watch.wait(&mailbox, MINUTE).unwrap(), Woken::Look);
}

#[test]
fn pruning_removes_old_days_and_nothing_that_waits() {
    let p = place();
    let mailbox = p.spool.create(&name("kiro-1")).unwrap();
    // Made with the mailbox, and of today; here it is another day.
    let done = p.mail.join("kiro-1/done");
    for today in names(&done) {
        fs::remove_dir(done.join(today)).unwrap();
    }
    let clock = noon();
    for _ in 0..3 {
        mailbox.deliver(clock.id(), b"x", &Post::default()).unwrap();
        let mut receiver = Receiver::new(&mailbox, host(&clock), MINUTE);
        let claim = message(receiver.take().unwrap());
        receiver.ack(&claim).unwrap();
        clock.set(|now| now.micros += 86_400 * 1_000_000);
    }
    mailbox
        .deliver(clock.id(), b"waits", &Post::default())
        .unwrap();
    let week = mailbox.prune(7 * 86_400, clock.now()).unwrap();
    assert_eq!(week.messages, 0);
    assert_eq!(mailbox.prunable(86_400, clock.now()).unwrap().messages, 2);
    assert_eq!(mailbox.prune(86_400, clock.now()).unwrap().messages, 2);
    assert_eq!(names(&done), ["2026-11-26"]);
    assert_eq!(mailbox.list().unwrap().len(), 1);
}
