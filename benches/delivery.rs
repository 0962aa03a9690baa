//! Delivery and taking in process, beside the least that a durable delivery costs: the targets T2 and T5, and T4's bundle.
//! `SPORE_BENCH_DIR=DIR cargo bench --bench delivery` measures on the file system of DIR, in half a minute;
//! `benches/mailboxes.py --in-process PROGRAM` runs the program that this makes on each of its images.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use sporekit::spool::{Clock, Host, Mailbox, Post, Receiver, Spool, Taken};

const BODY: [u8; 1024] = [b'x'; 1024];

/// A number from the environment.
fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn timed(mut act: impl FnMut()) -> Duration {
    let begin = Instant::now();
    act();
    begin.elapsed()
}

fn row(target: &str, what: &str, measured: f64, unit: &str, bound: Option<f64>) {
    let mut line = format!("| {target} | {what} | {measured:.2} {unit} | ");
    if let Some(bound) = bound {
        let met = if measured <= bound { "yes" } else { "**no**" };
        line.push_str(&format!("<= {bound} {unit} | {met} |"));
    } else {
        line.push_str("| |");
    }
    println!("{line}");
}

/// The directories of a Maildir that only the floors use.
struct Floor {
    tmp: OwnedFd,
    new: OwnedFd,
    count: usize,
}

impl Floor {
    fn new(at: &Path) -> Floor {
        let open = |name: &str| {
            let path = at.join(name);
            std::fs::create_dir_all(&path).unwrap();
            OwnedFd::from(File::open(path).unwrap())
        };
        Floor {
            tmp: open("tmp"),
            new: open("new"),
            count: 0,
        }
    }

    /// One message, durable: fsync and rename, or rename and fsync, and the directory.
    fn deliver(&mut self, classic: bool) {
        self.count += 1;
        let name = self.count.to_string();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = rustix::fs::openat(&self.tmp, &name, flags, Mode::from(0o600)).unwrap();
        let mut file = File::from(file);
        file.write_all(&BODY).unwrap();
        if classic {
            file.sync_all().unwrap();
        }
        rustix::fs::renameat(&self.tmp, &name, &self.new, &name).unwrap();
        if !classic {
            file.sync_all().unwrap();
        }
        rustix::fs::fsync(&self.new).unwrap();
    }
}

fn send(mailbox: &Mailbox, post: &Post) {
    mailbox.deliver(Clock::Kernel.id(), &BODY, post).unwrap();
}

/// T2: a durable delivery beside both floors.
fn delivering(spool: &Spool, dir: &Path, pairs: usize) {
    let mailbox = spool.create(&"delivered".parse().unwrap()).unwrap();
    let mut floor = Floor::new(&dir.join("floor"));
    let (mut ours, mut classic, mut commit) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pairs {
        ours.push(timed(|| send(&mailbox, &Post::default())));
        commit.push(timed(|| floor.deliver(false)));
        classic.push(timed(|| floor.deliver(true)));
    }
    let (ours, commit, classic) = (median(ours), median(commit), median(classic));
    let kind = std::env::var("SPORE_BENCH_KIND").unwrap_or("this file system".to_owned());
    // Where one commit is no gain, the classic order is kept.
    let (once, twice) = match kind.as_str() {
        "ext4" => (Some(1.1), Some(0.65)),
        "xfs" => (Some(1.1), Some(0.75)),
        _ => (None, Some(1.1)),
    };
    let what = format!(
        "durable delivery in process on {kind} ({ours:.0} us) against one commit ({commit:.0} us)"
    );
    row("T2", &what, ours / commit, "x", once);
    let what = format!("the same against fsync, rename, fsync ({classic:.0} us)");
    row("T2", &what, ours / classic, "x", twice);
}

/// T4: a batch as one file, in microseconds a message.
fn bundling(spool: &Spool, count: usize) -> f64 {
    let mailbox = spool.create(&"bundled".parse().unwrap()).unwrap();
    let once = || {
        let bundle = Clock::Kernel.id();
        let messages: Vec<_> = (0..count).map(|_| (Clock::Kernel.id(), BODY)).collect();
        timed(|| {
            let post = Post::default();
            let sent = mailbox.deliver_bundle(bundle, &messages, &post).unwrap();
            assert_eq!(sent, count);
        })
    };
    median((0..5).map(|_| once()).collect()) / count as f64
}

/// What it takes to take each of `count` messages, with `depth` waiting; the first one apart.
fn taking(spool: &Spool, depth: usize, count: usize) -> (f64, f64) {
    let mailbox = spool
        .create(&format!("deep-{depth}").parse().unwrap())
        .unwrap();
    let post = Post {
        sync: false,
        ..Post::default()
    };
    for _ in 0..depth {
        send(&mailbox, &post);
    }
    let mut receiver = Receiver::new(&mailbox, Host::here(), Duration::from_secs(600));
    let mut take = || {
        let begin = Instant::now();
        let taken = receiver.take().unwrap();
        let took = begin.elapsed();
        let Taken::Message(claim) = taken else {
            panic!("no message");
        };
        receiver.ack(&claim).unwrap();
        send(&mailbox, &post);
        took
    };
    let first = median(vec![take()]);
    (first, median((0..count).map(|_| take()).collect()))
}

fn main() {
    let dir = std::env::var_os("SPORE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(dir).unwrap();
    let spool = Spool::open_or_create(&dir.path().join("mail")).unwrap();
    delivering(&spool, dir.path(), number("SPORE_BENCH_PAIRS", 300));
    let count = 10_000;
    let what = format!("a bundle of {count} in process, a message");
    row("T4", &what, bundling(&spool, count), "us", None);
    let depth = number("SPORE_BENCH_DEPTH", 100_000);
    let (_, few) = taking(&spool, 10, 500);
    let (rebuild, many) = taking(&spool, depth, 500);
    let what = format!("take in process, {depth} waiting ({many:.0} us) against 10 ({few:.0} us)");
    row("T5", &what, many / few, "x", Some(1.5));
    let what = format!("the first take of {depth}: the order is made");
    row("T5", &what, rebuild / 1000.0, "ms", Some(150.0));
}
