//! How a swarm looks from outside: nothing changes by looking, and what is said is true.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use sporekit::event::{Event, Signs, What};
use sporekit::swarm::holder::Holder;
use sporekit::swarm::journal::{Journal, now};
use sporekit::swarm::lease::lease_for;
use sporekit::swarm::root::{Options, Root};

const PLAN: &str = r#"{"plan_id":"p","agents":[{"name":"a1"},{"name":"a2"}],"tasks":[
    {"id":"1","agent":"a1"},{"id":"2","agent":"a2","after":["1"]}]}"#;

fn status(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm-status"));
    command
        .args(args)
        .env("SPORE_ROOT", root)
        .stdin(Stdio::null());
    command
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    (code, text(&output.stdout), text(&output.stderr))
}

fn swarm() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::find(&Options {
        start: dir.path().to_owned(),
        root: Some("app.swarm".into()),
    })
    .unwrap();
    sporekit::swarm::plan::Plan::adopt(&root, PLAN, "c").unwrap();
    (dir, root)
}

fn happen(root: &Root, what: What) {
    let event = Event {
        at: now(),
        correlation_id: "c".into(),
        what,
    };
    let mut journal = Journal::open(root).unwrap();
    journal.change(|_| (vec![event], ())).unwrap();
}

/// `a1` has task 1, held by a process.
fn claimed(by: Option<&Holder>) -> What {
    What::Claimed {
        task: "1".into(),
        agent: "a1".into(),
        epoch: 1,
        lease: lease_for(Duration::from_secs(3600), by),
    }
}

fn began(run: &str, holder: &Holder) -> What {
    What::RunBegan {
        run: run.into(),
        agent: "a1".into(),
        task: Some("1".into()),
        epoch: Some(1),
        command: "sleep".into(),
        holder: holder.to_string(),
    }
}

/// Every file below a directory with its content and time.
fn photograph(path: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    walkdir::WalkDir::new(path)
        .into_iter()
        .map(Result::unwrap)
        .map(|entry| {
            let meta = entry.metadata().unwrap();
            let content = match meta.is_file() {
                true => fs::read(entry.path()).unwrap(),
                false => Vec::new(),
            };
            let name = entry.path().display().to_string();
            (name, (content, meta.modified().unwrap()))
        })
        .collect()
}

#[test]
fn looking_changes_nothing_and_a_torn_line_hides_nothing() {
    let (_dir, root) = swarm();
    happen(&root, claimed(None));
    let journal = Journal::read(&root).unwrap().file().to_owned();
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, [&whole[..], b"{\"v\":1,\"type\":\"do"].concat()).unwrap();
    let before = photograph(root.path());
    for args in [
        &[][..],
        &["--json"],
        &["--prompt"],
        &["--wait-for", "a1=working"],
    ] {
        let (code, out, err) = said(&status(root.path(), args).output().unwrap());
        assert_eq!((code, &*err), (0, ""), "{args:?}");
        assert!(out.contains("working"), "{out}");
    }
    assert_eq!(photograph(root.path()), before);
}

#[test]
fn where_there_is_no_swarm_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("app.swarm");
    let (code, out, err) = said(&status(&root, &[]).output().unwrap());
    assert_eq!((code, &*out), (1, ""));
    assert!(
        err.contains("no swarm at") && err.contains("hint: "),
        "{err}"
    );
    assert!(!root.exists());
}

#[test]
fn who_waits_is_told_at_once_of_an_event_and_within_a_second_of_a_death() {
    /// How long a waiter needs from the moment that it could know; it ends with this prompt.
    fn told(root: &Root, until: &str, happens: &mut dyn FnMut(), prompt: &str) -> Duration {
        let args = ["--wait-for", until, "--timeout", "60s", "--prompt"];
        let child = status(root.path(), &args).stdout(Stdio::piped()).spawn();
        std::thread::sleep(Duration::from_millis(300));
        happens();
        let begun = Instant::now();
        let output = child.unwrap().wait_with_output().unwrap();
        assert_eq!(said(&output).1, prompt);
        begun.elapsed()
    }
    // A machine that is busy with something else may spoil one try, not all.
    let promised = (0..8).any(|_| {
        let (_dir, root) = swarm();
        let mut holder = Command::new("sleep").arg("600").spawn().unwrap();
        let by = Holder::of(holder.id());
        let mut begin = || {
            happen(&root, claimed(Some(&by)));
            happen(&root, began("r1", &by));
        };
        let event = told(&root, "a1=working", &mut begin, "0/2 working:1 idle:1\n");
        let mut kill = || {
            holder.kill().unwrap();
            holder.wait().unwrap();
        };
        let death = told(&root, "a1=dead", &mut kill, "0/2 dead:1 idle:1\n");
        event < Duration::from_millis(900) && death < Duration::from_millis(1500)
    });
    assert!(promised);
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_outlived_its_run_is_found_and_named() {
    let (_dir, root) = swarm();
    let me = Holder::me();
    let mut child = Command::new("sleep")
        .arg("60")
        .env("SPORE_RUN", "r1")
        .env("SPORE_ROOT", root.path())
        .spawn()
        .unwrap();
    happen(&root, claimed(Some(&me)));
    happen(&root, began("r1", &me));
    let orphan = format!(
        "! orphan: process {} (sleep) of a1 outlived run r1",
        child.id()
    );
    let (_, out, _) = said(&status(root.path(), &[]).output().unwrap());
    assert!(!out.contains("orphan"), "its run goes on: {out}");
    let ended = What::RunEnded {
        run: "r1".into(),
        outcome: "crashed".into(),
        exit: 14,
        retry_at: None,
        why: None,
        signs: Signs {
            usd_micros: Some(1_250_000),
            ..Signs::default()
        },
    };
    happen(&root, ended);
    let (_, out, _) = said(&status(root.path(), &[]).output().unwrap());
    assert!(out.contains(&orphan), "{out}");
    assert!(out.contains("$1.25"), "{out}");
    child.kill().unwrap();
    child.wait().unwrap();
    let (_, out, _) = said(&status(root.path(), &[]).output().unwrap());
    assert!(!out.contains("orphan"), "{out}");
}

#[test]
fn hostile_names_cannot_steer_the_terminal() {
    let (_dir, root) = swarm();
    let plan = r#"{"plan_id":"p\u001b[2J","agents":[{"name":"a1"}],"tasks":[{"id":"1\u202e","agent":"a1"}]}"#;
    sporekit::swarm::plan::Plan::adopt(&root, plan, "c").unwrap();
    let (code, out, _) = said(&status(root.path(), &[]).output().unwrap());
    assert_eq!(code, 0);
    assert!(
        !out.contains('\u{1b}') && !out.contains('\u{202e}'),
        "{out:?}"
    );
}

#[test]
fn words_that_nothing_can_be_waited_for_are_refused_with_the_nearest() {
    let (_dir, root) = swarm();
    for (until, code, hint) in [
        ("a1=doen", 2, "did you mean done"),
        ("a3=done", 3, "did you mean a1 or a2"),
        ("task:1=finished", 2, "is none of done, claimed"),
        ("a1", 2, "write NAME=STATE"),
    ] {
        let (status, _, err) = said(
            &status(root.path(), &["--wait-for", until])
                .output()
                .unwrap(),
        );
        assert_eq!((status, err.contains(hint)), (code, true), "{until}: {err}");
    }
}
