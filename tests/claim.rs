//! Giving out tasks under pressure: many who ask at once, processes that are killed, clocks that jump.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use sporekit::event::{Effect, Phase, State, What};
use sporekit::swarm::journal::Journal;
use sporekit::swarm::lease::{Desk, Wish};
use sporekit::swarm::plan::Plan;
use sporekit::swarm::root::{Options, Root};

fn swarm(plan: &str) -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::find(&Options {
        start: dir.path().to_owned(),
        root: Some("app.swarm".into()),
    })
    .unwrap();
    Plan::adopt(&root, plan, "c").unwrap();
    (dir, root)
}

/// `count` tasks; each of the later ones waits for the one `width` before it.
fn plan(count: usize, width: usize) -> String {
    let tasks: Vec<String> = (0..count)
        .map(|number| {
            let after = match number.checked_sub(width) {
                Some(earlier) => format!("\"t{earlier}\""),
                None => String::new(),
            };
            format!(
                r#"{{"id":"t{number}","title":"do {number}","agent":"a{}","duration_ms":{},"after":[{after}]}}"#,
                number % 16,
                number % 7 + 1
            )
        })
        .collect();
    format!(r#"{{"plan_id":"p","tasks":[{}]}}"#, tasks.join(","))
}

fn swarm_assign(root: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm-assign"));
    command
        .args(line.split(' '))
        .env("SPORE_ROOT", root)
        .env_remove("SPORE_AGENT")
        .stdin(Stdio::null());
    command
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn sixteen_who_ask_at_once_get_each_of_a_thousand_tasks_once() {
    let (_dir, root) = swarm(&plan(1000, 1000));
    let given = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 0..16 {
            let (root, given) = (&root, &given);
            scope.spawn(move || {
                let agent = format!("a{number}");
                let wish = Wish {
                    agent: &agent,
                    capabilities: None,
                    task: None,
                    own: false,
                };
                let mut desk = Desk::open(root).unwrap().unwrap();
                let hour = Duration::from_secs(3600);
                while let Ok(claim) = desk.next(&wish, hour, None).unwrap() {
                    assert_eq!(claim.epoch, 1);
                    given.lock().unwrap().push(claim.task);
                }
            });
        }
    });
    let given = given.into_inner().unwrap();
    let different: BTreeSet<&String> = given.iter().collect();
    assert_eq!(given.len(), 1000, "none lost");
    assert_eq!(different.len(), 1000, "none twice");
}

#[test]
fn with_processes_killed_at_any_instant_every_task_is_done_once() {
    let (_dir, root) = swarm(&plan(48, 8));
    std::thread::scope(|scope| {
        for number in 0..8 {
            let root = root.path();
            scope.spawn(move || work(root, number));
        }
    });
    let journal = Journal::read(&root).unwrap();
    let mut done: BTreeMap<String, u32> = BTreeMap::new();
    let mut epochs: BTreeMap<String, u64> = BTreeMap::new();
    let mut state = State::default();
    journal
        .replay(|event| {
            let effect = state.apply(event);
            match &event.what {
                What::Claimed { task, epoch, .. } => {
                    assert_eq!(effect, Effect::Applied, "a task was claimed twice");
                    let last = epochs.insert(task.clone(), *epoch).unwrap_or(0);
                    assert_eq!(*epoch, last + 1);
                }
                What::Done { task, .. } if effect == Effect::Applied => {
                    *done.entry(task.clone()).or_default() += 1;
                }
                _ => {}
            }
        })
        .unwrap();
    assert_eq!(done.len(), 48);
    assert!(done.values().all(|times| *times == 1));
    assert_eq!(&state, journal.state());
}

/// Takes and finishes tasks until none is left; every third process is killed after a moment.
fn work(root: &Path, number: u64) {
    for turn in 0..500_u64 {
        let next = format!("next --agent a{number} --lease 300ms");
        let mut child = swarm_assign(root, &next)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if (turn + number).is_multiple_of(3) {
            std::thread::sleep(Duration::from_micros(turn * 700 % 5000));
            child.kill().unwrap();
            child.wait().unwrap();
            continue;
        }
        let (code, out, err) = said(&child.wait_with_output().unwrap());
        if code == 0 {
            let task: serde_json::Value = serde_json::from_str(&out).unwrap();
            let (id, epoch) = (task["id"].as_str().unwrap(), &task["epoch"]);
            let done = format!("done {id} --agent a{number} --epoch {epoch}");
            let (code, _, err) = said(&swarm_assign(root, &done).output().unwrap());
            assert!(code == 0 || code == 4, "{err}");
        } else if err.contains("are done") {
            return;
        } else {
            assert_eq!(code, 1, "{err}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    panic!("a{number} never saw the end");
}

#[test]
fn a_task_of_a_dead_holder_is_free_at_once_and_the_dead_come_too_late() {
    let (_dir, root) = swarm(&plan(1, 1));
    let mut holder = Command::new("sleep").arg("60").spawn().unwrap();
    let next = format!("next --agent a0 --lease 1h --holder {}", holder.id());
    assert_eq!(
        said(&swarm_assign(root.path(), &next).output().unwrap()).0,
        0
    );
    let other = "next --agent a1 --lease 1h";
    let (code, _, err) = said(&swarm_assign(root.path(), other).output().unwrap());
    assert_eq!((code, err.contains("t0 is with a0")), (1, true), "{err}");

    holder.kill().unwrap();
    holder.wait().unwrap();
    let (code, out, _) = said(&swarm_assign(root.path(), other).output().unwrap());
    assert!(code == 0 && out.contains("\"epoch\":2"), "{out}");
    for late in ["done", "renew", "release", "fail"] {
        let line = format!("{late} t0 --agent a0 --epoch 1");
        let (code, _, err) = said(&swarm_assign(root.path(), &line).output().unwrap());
        assert_eq!(code, 4, "{late}: {err}");
        assert!(err.contains("a1 has it now"), "{late}: {err}");
    }
    let journal = Journal::read(&root).unwrap();
    assert!(journal.state().task("t0").holds(2), "old news did nothing");
    let text = fs::read_to_string(journal.file()).unwrap();
    assert_eq!(
        text.matches("\"epoch\":1").count(),
        6,
        "and was recorded: {text}"
    );
}

#[test]
fn one_who_waits_is_woken_by_what_it_waits_for() {
    let (_dir, root) = swarm(&plan(2, 1));
    let run = |line: &str| said(&swarm_assign(root.path(), line).output().unwrap());
    assert_eq!(run("next --agent a0").0, 0);
    let waiter = swarm_assign(root.path(), "next --agent a1 --wait --timeout 30s")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(run("next --agent a2 --wait --timeout 100ms").0, 124);
    assert_eq!(run("done t0 --agent a0").0, 0);
    let (code, out, _) = said(&waiter.wait_with_output().unwrap());
    assert!(code == 0 && out.contains("\"id\":\"t1\""), "{out}");
    assert_eq!(run("fail t1 --agent a1 --from-exit 12").0, 0);
    let (code, _, err) = run("next --agent a2 --wait");
    assert_eq!(code, 1, "nobody waits for a person: {err}");
    assert_eq!(run("done t0 --agent a0").0, 0, "twice is once");
}

#[test]
fn no_decision_hangs_on_the_wall_clock() {
    let (_dir, root) = swarm(&plan(6, 2));
    let run = |line: &str| said(&swarm_assign(root.path(), line).output().unwrap());
    for line in ["next --agent a0", "done t0 --agent a0", "next --agent a1"] {
        assert_eq!(run(line).0, 0, "{line}");
    }
    let file = Journal::read(&root).unwrap().file().to_owned();
    let text = fs::read_to_string(&file).unwrap();
    let expected = run("next --agent a2 -n").1;
    let id = |record: &str| record.split(',').next().unwrap().to_owned();
    for year in ["1970", "2099"] {
        let moved = text.replace("\"at\":\"20", &format!("\"at\":\"{year}\",\"was\":\"20"));
        assert_ne!(moved, text);
        fs::write(&file, moved).unwrap();
        let before = Journal::read(&root).unwrap().state().clone();
        assert!(matches!(before.task("t0").phase, Phase::Done { .. }));
        assert_eq!(id(&run("next --agent a2 -n").1), id(&expected));
    }
}

#[test]
fn names_that_nobody_bears_and_missing_plans_say_what_to_do() {
    let (_dir, root) = swarm(
        r#"{"plan_id":"p","agents":[{"name":"kiro-1"}],"tasks":[{"id":"2.1","agent":"kiro-1"}]}"#,
    );
    let run = |line: &str| said(&swarm_assign(root.path(), line).output().unwrap());
    let (code, _, err) = run("next --agent kira-1");
    assert_eq!(
        (code, err.contains("did you mean kiro-1")),
        (3, true),
        "{err}"
    );
    let (code, _, err) = run("next --agent kiro-1 --task 2.2");
    assert_eq!((code, err.contains("did you mean 2.1")), (3, true), "{err}");
    let (code, _, err) = run("done 9 --agent kiro-1");
    assert_eq!((code, err.contains("not in the plan")), (3, true), "{err}");
    let (code, _, err) = run("done 2.1 --agent kiro-1");
    assert_eq!(
        (code, err.contains("nobody has claimed it")),
        (4, true),
        "{err}"
    );
    let (code, _, err) = run("next");
    assert_eq!((code, err.contains("say --agent")), (2, true), "{err}");
    let (code, _, err) = run("fail 2.1 --agent kiro-1 --from-exit 0");
    assert_eq!((code, err.contains("no failure")), (2, true), "{err}");
    let empty = tempfile::tempdir().unwrap();
    let line = "next --agent kiro-1";
    let (code, _, err) = said(&swarm_assign(empty.path(), line).output().unwrap());
    assert_eq!(
        (code, err.contains("no plan is in force")),
        (2, true),
        "{err}"
    );
}
