//! Runs from outside: recorded cases of each agent command, and what becomes of processes, trees and
//! the journal when agents and their watchers go wrong.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use sporekit::event::{Phase, What};
use sporekit::run::agents::Stream;
use sporekit::run::judge::{Cause, Evidence, Exit, Work, judge};
use sporekit::run::reader::Reader;
use sporekit::run::{Outcome, Word};
use sporekit::swarm::Journal;
use sporekit::swarm::hold::{Hold, Holds, How, Whom};
use sporekit::swarm::root::{Options, Root};

use crate::place::feed;

/// One recorded case: what is known, and what it must be judged to be.
#[derive(Default)]
struct Case {
    name: String,
    fields: Vec<(String, String)>,
    out: String,
    err: String,
}

impl Case {
    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn exit(&self) -> Exit {
        if let Some(signal) = self.field("signal") {
            return Exit::Signal(signal.parse().unwrap());
        }
        match self.field("exit").unwrap_or("0") {
            "not-found" => Exit::NotStarted(127, "could not start \"x\"".to_owned()),
            "unseen" => Exit::Unseen,
            status => Exit::Status(status.parse().unwrap()),
        }
    }

    fn cause(&self) -> Option<Cause> {
        self.field("cause").map(|cause| match cause {
            "wall" => Cause::Wall(1000),
            "silence" => Cause::Silence(1000),
            "memory" => Cause::Memory(2048, 1024),
            "signal" => Cause::Signal(15),
            other => panic!("no cause {other}"),
        })
    }

    fn work(&self) -> Work {
        let mut work = Work::default();
        for word in self.field("work").unwrap_or_default().split_whitespace() {
            let (name, number) = word.split_once('=').unwrap_or((word, "0"));
            let number = number.parse().unwrap();
            match name {
                "commits" => work.commits = number,
                "files" => work.files = number,
                "uncommitted" => work.uncommitted = number,
                "touched" => work.touched = true,
                other => panic!("no {other}"),
            }
        }
        work
    }
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut part = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            cases.push(Case {
                name: name.to_owned(),
                ..Case::default()
            });
            part = "fields";
            continue;
        }
        let Some(case) = cases.last_mut() else {
            continue;
        };
        match (line, part) {
            ("--- out", _) => part = "out",
            ("--- err", _) => part = "err",
            (line, "out") => case.out.push_str(&format!("{line}\n")),
            (line, "err") => case.err.push_str(&format!("{line}\n")),
            (line, _) => {
                if let Some((name, value)) = line.split_once(": ") {
                    case.fields.push((name.to_owned(), value.to_owned()));
                }
            }
        }
    }
    cases
}

#[test]
fn every_recorded_case_is_judged_right() {
    let mut wrong = Vec::new();
    let mut judged = 0;
    for (name, stream) in Stream::ALL {
        let path = format!(
            "{}/tests/fixtures/runs/{name}.cases",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = fs::read_to_string(&path).unwrap();
        for case in cases(&text) {
            judged += 1;
            // In pieces, as it comes from a file that grows.
            for size in [usize::MAX, 7] {
                if let Err(why) = try_case(&case, stream, size) {
                    wrong.push(format!("{name}: {}: {why}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged > 100, "{judged}");
}

#[test]
fn every_word_is_judged_right_for_every_command() {
    for (name, stream) in Stream::ALL {
        let path = format!(
            "{}/tests/fixtures/runs/{name}.cases",
            env!("CARGO_MANIFEST_DIR")
        );
        let all = cases(&fs::read_to_string(&path).unwrap());
        let works = |case: &&Case| case.name.starts_with("it works and commits");
        let works = all.iter().find(works).unwrap();
        // What it tells stays the same; what is seen of it decides.
        let table: &[(&[(&str, &str)], &str)] = &[
            (&[], "ok"),
            (&[("work", "")], "hollow"),
            (&[("work", "commits=1")], "hollow"),
            (&[("work", ""), ("answer", "yes")], "ok"),
            (&[("work", "uncommitted=2 touched")], "dirty"),
            (
                &[("work", "commits=1 files=1 uncommitted=2 touched")],
                "dirty",
            ),
            (&[("work", "commits=1 files=2"), ("harvested", "yes")], "ok"),
            (&[("signal", "9")], "crashed"),
            (&[("exit", "not-found")], "crashed 127"),
            (&[("exit", "unseen")], "crashed"),
            (&[("cause", "silence")], "stalled"),
            (&[("cause", "wall")], "timeout"),
            (&[("cause", "memory")], "over-budget"),
            (&[("cause", "signal")], "stopped 143"),
        ];
        for (fields, want) in table {
            let mut case = Case {
                out: works.out.clone(),
                err: works.err.clone(),
                fields: fields
                    .iter()
                    .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                    .collect(),
                ..Case::default()
            };
            case.fields.push(("want".to_owned(), (*want).to_owned()));
            case.fields
                .push(("work".to_owned(), works.field("work").unwrap().to_owned()));
            if let Err(why) = try_case(&case, stream, usize::MAX) {
                panic!("{name}, {fields:?}: {why}");
            }
        }
    }
}

fn try_case(case: &Case, stream: Stream, size: usize) -> Result<(), String> {
    let zone = jiff::tz::TimeZone::UTC;
    let mut reader = Reader::new(stream, zone.clone());
    let now = jiff::Timestamp::now();
    for piece in case.err.as_bytes().chunks(size.min(case.err.len().max(1))) {
        reader.take_error(piece);
    }
    for piece in case.out.as_bytes().chunks(size.min(case.out.len().max(1))) {
        reader.take(piece);
    }
    reader.finish();
    let told = reader.told();
    let verdict = judge(&Evidence {
        exit: case.exit(),
        cause: case.cause(),
        told,
        streams: stream.is_records(),
        out: &case.out,
        err: &case.err,
        work: case.work(),
        wants_change: case.field("answer").is_none(),
        harvested: case.field("harvested").is_some(),
        now,
        zone: &zone,
    });
    let mut want = case.field("want").unwrap().split(' ');
    let word = want.next().unwrap();
    if verdict.word.name() != word {
        return Err(format!("{verdict:?}, not {word}"));
    }
    let status = want
        .next()
        .map_or(verdict.word.status(), |s| s.parse().unwrap());
    if verdict.exit != status {
        return Err(format!("status {}, not {status}", verdict.exit));
    }
    if verdict.reason.is_empty() {
        return Err("without a reason".to_owned());
    }
    if let Some(retry) = case.field("retry") {
        let at = verdict.retry_at;
        let right = match retry.split_once(' ') {
            _ if retry == "none" => at.is_none(),
            Some(("clock", clock)) => {
                at.is_some_and(|at| at.to_string().contains(&format!("T{clock}")))
            }
            _ => match retry.strip_prefix('+') {
                Some(seconds) => at.is_some_and(|at| {
                    let seconds: i64 = seconds.parse().unwrap();
                    (at.as_second() - now.as_second() - seconds).abs() <= 2
                }),
                None => at == Some(retry.parse().unwrap()),
            },
        };
        if !right {
            return Err(format!("retry at {at:?}, not {retry}"));
        }
    }
    let figures = [
        ("turns", told.turns.map(|n| n as f64)),
        ("tokens", told.tokens.map(|n| n as f64)),
        ("usd", told.usd),
    ];
    for (name, is) in figures {
        if let Some(wanted) = case.field(name) {
            let wanted: f64 = wanted.parse().unwrap();
            if !is.is_some_and(|is| (is - wanted).abs() < 1e-9) {
                return Err(format!("{name} {is:?}, not {wanted}"));
            }
        }
    }
    Ok(())
}

/// A repository with a worktree for `a1` and `a2`, in a directory of its own.
struct Place {
    _dir: tempfile::TempDir,
    top: PathBuf,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        let place = Place { _dir: dir, top };
        place.sh(
            "git init -q -b main app && cd app && git config user.name t && \
             git config user.email t@example.org && git commit -q --allow-empty -m first",
        );
        let spawned = place
            .command("worktree-spawn")
            .args(["a1", "a2"])
            .output()
            .unwrap();
        assert!(spawned.status.success(), "{spawned:?}");
        place
    }

    /// With a plan of these tasks.
    fn with_tasks(tasks: &[&str]) -> Place {
        let place = Place::new();
        let tasks: Vec<String> = tasks
            .iter()
            .map(|id| format!(r#"{{"id":"{id}","title":"do {id}","agent":"a1"}}"#))
            .collect();
        let plan = format!(
            r#"{{"plan_id":"p","agents":[{{"name":"a1"}},{{"name":"a2"}}],"tasks":[{}]}}"#,
            tasks.join(",")
        );
        feed(place.command("swarm-assign").arg("adopt"), &plan);
        place
    }

    fn app(&self) -> PathBuf {
        self.top.join("app")
    }

    fn tree(&self, agent: &str) -> PathBuf {
        self.top.join("app.swarm/wt").join(agent)
    }

    fn root(&self) -> Root {
        Root::find(&Options {
            start: self.app(),
            root: None,
        })
        .unwrap()
    }

    fn sh(&self, line: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(&self.top)
            .env("HOME", &self.top)
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("GIT_") || name.starts_with("SPORE_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.app())
            .env("HOME", &self.top)
            .stdin(Stdio::null());
        command
    }

    /// `agent-run` of `a1` with options, on a task, by a script of `fake-agent`.
    fn agent_run(&self, options: &[&str], script: &str) -> Command {
        let mut command = self.command("agent-run");
        command.args(["--agent", "a1"]).args(options).arg("--");
        command
            .arg(program("fake-agent"))
            .args(["--script", script]);
        command
    }

    fn run(&self, options: &[&str], script: &str, task: &str) -> (Outcome, String) {
        let output = feed(&mut self.agent_run(options, script), task);
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let outcome =
            Outcome::read(text.trim()).unwrap_or_else(|why| panic!("{why}: {text} {error}"));
        assert_eq!(
            output.status.code(),
            Some(i32::from(outcome.exit)),
            "{text}"
        );
        (outcome, error)
    }

    /// Starts one and waits until its command has done something.
    fn start(&self, options: &[&str], script: &str, mark: &str) -> Child {
        let file = self.top.join("task");
        fs::write(&file, "a task").unwrap();
        let mut command = self.agent_run(
            &[options, &["--task", file.to_str().unwrap()]].concat(),
            script,
        );
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for(|| self.tree("a1").join(mark).exists());
        child
    }

    /// Processes of runs in this swarm.
    fn alive(&self) -> Vec<String> {
        let wanted = format!("SPORE_ROOT={}", self.top.join("app.swarm").display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(environment) = fs::read(entry.path().join("environ")) else {
                continue;
            };
            let variables: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
            if variables.contains(&wanted.as_bytes())
                && variables
                    .iter()
                    .any(|variable| variable.starts_with(b"SPORE_RUN="))
            {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        found
    }
}

fn program(name: &str) -> &'static str {
    match name {
        "agent-run" => env!("CARGO_BIN_EXE_agent-run"),
        "fake-agent" => env!("CARGO_BIN_EXE_fake-agent"),
        "swarm-assign" => env!("CARGO_BIN_EXE_swarm-assign"),
        "swarm-torture" => env!("CARGO_BIN_EXE_swarm-torture"),
        "worktree-spawn" => env!("CARGO_BIN_EXE_worktree-spawn"),
        other => panic!("no program {other}"),
    }
}

fn wait_for(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_stop_reaches_every_descendant_also_deaf_ones_in_sessions_of_their_own() {
    let place = Place::new();
    let script = "deaf; leave 3; write started x; hang";
    let child = place.start(&["--grace", "200ms"], script, "started");
    assert_eq!(place.alive().len(), 4);
    signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    assert_eq!(place.alive(), [""; 0]);
    let outcome = Outcome::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
    assert_eq!((outcome.word, outcome.uncommitted), (Word::Stopped, 1));
}

#[test]
fn a_second_signal_does_not_wait() {
    let place = Place::new();
    let child = place.start(
        &["--grace", "60s"],
        "deaf; write started x; hang",
        "started",
    );
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(place.alive().len(), 1);
    let begun = Instant::now();
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(place.alive(), [""; 0]);
}

#[test]
fn what_is_left_behind_is_ended_and_told() {
    let place = Place::new();
    let (outcome, _) = place.run(
        &["--grace", "200ms"],
        "leave 2; deaf; leave 1; work; commit",
        "x",
    );
    assert_eq!((outcome.word, outcome.left_behind), (Word::Ok, 3));
    assert_eq!(place.alive(), [""; 0]);
}

#[test]
fn a_run_whose_watcher_was_killed_goes_on_until_somebody_looks() {
    let place = Place::with_tasks(&["1"]);
    let given = place
        .command("swarm-assign")
        .args(["next", "--agent", "a1"])
        .output()
        .unwrap();
    fs::write(place.top.join("given"), &given.stdout).unwrap();
    let script = "leave 1; write started x; hang";
    let given = place.top.join("given");
    let options = ["--report", "--task", given.to_str().unwrap()];
    let mut child = place.agent_run(&options, script).spawn().unwrap();
    wait_for(|| place.tree("a1").join("started").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(place.alive().len(), 2, "they go on");
    // The claim was held by the one that was killed: another agent may have the task at once.
    let next = place
        .command("swarm-assign")
        .args(["next", "--agent", "a2", "-n"])
        .output()
        .unwrap();
    assert!(next.status.success(), "{next:?}");
    let settled = place
        .command("agent-run")
        .args(["--settle", "--grace", "200ms"])
        .output()
        .unwrap();
    let outcome = Outcome::read(String::from_utf8(settled.stdout).unwrap().trim()).unwrap();
    assert_eq!(
        (outcome.word, outcome.left_behind, outcome.uncommitted),
        (Word::Crashed, 2, 1)
    );
    assert_eq!(place.alive(), [""; 0]);
    let again = place.command("agent-run").arg("--settle").output().unwrap();
    assert_eq!(again.stdout, b"", "once");
    let journal = Journal::read(&place.root()).unwrap();
    let ended = journal.state().runs["a1-1"].ended.clone().unwrap();
    assert_eq!(ended.outcome, "crashed");
}

#[test]
fn the_next_run_of_an_agent_settles_the_lost_one_first_and_is_told_what_it_left() {
    let place = Place::new();
    let mut child = place.start(&[], "write started x; hang", "started");
    child.kill().unwrap();
    child.wait().unwrap();
    let (outcome, error) = place.run(&["--grace", "200ms"], "work; commit", "again");
    assert_eq!(outcome.run, "a1-2");
    assert!(error.contains("settled a1-1"), "{error}");
    assert_eq!(place.alive(), [""; 0]);
}

#[test]
fn kills_at_any_moment_lose_no_run_and_no_work() {
    let place = Place::new();
    for moment in [0, 3, 6, 10, 15, 20, 30, 45, 60, 90] {
        let mut child = place
            .agent_run(
                &["--task", "-"],
                "leave 1; work; think 30ms; commit; work; hang",
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stdin.take().unwrap().write_all(b"work"));
        std::thread::sleep(Duration::from_millis(moment));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let settled = place
        .command("agent-run")
        .args(["--settle", "--grace", "100ms"])
        .output()
        .unwrap();
    assert!(settled.status.success(), "{settled:?}");
    assert_eq!(place.alive(), [""; 0]);
    let journal = Journal::read(&place.root()).unwrap();
    for (run, known) in &journal.state().runs {
        assert!(known.ended.is_some(), "{run}");
        let outcome = place
            .top
            .join("app.swarm/runs")
            .join(run)
            .join("outcome.json");
        assert!(outcome.exists(), "{run}");
    }
    assert_eq!(journal.torn(), 0);
    let (outcome, _) = place.run(&["--harvest"], "done", "tidy up");
    assert_eq!(outcome.uncommitted, 0);
    assert_eq!(place.sh("cd app.swarm/wt/a1 && git status --porcelain"), "");
}

#[test]
fn the_command_finds_who_it_is_and_output_is_kept_whole() {
    let place = Place::with_tasks(&["1"]);
    let given = place
        .command("swarm-assign")
        .args(["next", "--agent", "a1"])
        .output()
        .unwrap();
    let given = String::from_utf8(given.stdout).unwrap();
    let mut command = place.command("agent-run");
    command.env("GIT_DIR", "/nowhere").args(["--answer", "--", "sh", "-c"]).arg(
        "echo $SPORE_AGENT $SPORE_TASK $SPORE_EPOCH $SPORE_RUN $PORT_BASE; pwd; git rev-parse --abbrev-ref HEAD; \
         test -d $TMPDIR && echo tmp; cat; head -c 3000000 /dev/zero | tr '\\0' x; echo oops >&2; ps -o sid= -p $$ | tr -d ' '; echo $$",
    );
    let output = feed(&mut command, &given);
    assert!(output.status.success(), "{output:?}");
    let out = fs::read_to_string(place.top.join("app.swarm/runs/a1-1/transcript.out")).unwrap();
    let begun = format!(
        "a1 1 1 a1-1 20020\n{}\nswarm/a1\ntmp\n# Task 1\n",
        place.tree("a1").display()
    );
    assert!(out.starts_with(&begun), "{}", &out[..300]);
    assert!(out.contains(&"x".repeat(3_000_000)));
    let last: Vec<&str> = out.lines().rev().take(2).collect();
    assert!(last[1].ends_with(last[0]), "a session of its own: {last:?}");
    let err = fs::read_to_string(place.top.join("app.swarm/runs/a1-1/transcript.err")).unwrap();
    assert_eq!(err, "oops\n");
}

#[test]
fn one_run_at_a_time_in_a_tree_and_only_for_its_own_agent() {
    let place = Place::with_tasks(&["1"]);
    let child = place.start(&["--grace", "100ms"], "write started x; hang", "started");
    let busy = feed(&mut place.agent_run(&[], "work"), "x");
    assert_eq!(busy.status.code(), Some(75), "{busy:?}");
    signal(&child, "TERM");
    child.wait_with_output().unwrap();

    let status = |args: &[&str], input: &str| {
        let mut command = place.command("agent-run");
        let output = feed(command.args(args).args(["--", "true"]), input);
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(status(&["--agent", "a1"], "").0, 1, "nothing to do");
    let (code, error) = status(&["--agent", "a3"], "x");
    assert_eq!((code, error.contains("a1")), (3, true), "{error}");
    let (code, error) = status(&["--agent", "a1"], r#"{"id":"1","assigned_instance":"a2"}"#);
    assert_eq!((code, error.contains("a2")), (5, true), "{error}");
    let (code, error) = status(&["--agent", "a1"], r#"{"id":"1","epoch":1}"#);
    assert_eq!((code, error.contains("too late")), (4, true), "{error}");
    assert_eq!(status(&["--agent", "a1"], "{").0, 2);
    let mut here = place.command("agent-run");
    here.current_dir(place.tree("a2"))
        .args(["--agent", "a1", "--", "true"]);
    assert_eq!(feed(&mut here, "x").status.code(), Some(5));
    let mut missing = place.command("agent-run");
    missing.args(["--agent", "a1", "--", "/no/such/program"]);
    assert_eq!(feed(&mut missing, "x").status.code(), Some(127));
}

#[test]
fn a_result_is_reported_once_and_a_claim_that_is_over_ends_its_run() {
    let place = Place::with_tasks(&["1"]);
    let next = |agent: &str| {
        let args = ["next", "--agent", agent];
        let output = place.command("swarm-assign").args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let given = place.top.join("given");
    fs::write(&given, next("a1")).unwrap();
    let options = [
        "--report",
        "--grace",
        "100ms",
        "--task",
        given.to_str().unwrap(),
    ];
    let child = place
        .agent_run(&options, "write started x; hang")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(|| place.tree("a1").join("started").exists());
    let args = ["release", "1", "--agent", "a1"];
    place.command("swarm-assign").args(args).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(next("a2").contains("\"epoch\":2"));
    let journal = Journal::read(&place.root()).unwrap();
    assert!(
        matches!(&journal.state().task("1").phase, Phase::Claimed { agent, .. } if agent == "a2")
    );
}

#[test]
fn signs_of_life_are_noted_when_there_are_any_and_only_then() {
    let place = Place::with_tasks(&["1"]);
    let beats = |script: &str| {
        let options = ["--beat", "200ms", "--max-wall", "4s", "--grace", "100ms"];
        let (outcome, _) = place.run(&options, script, "x");
        let mut count = 0;
        let journal = Journal::read(&place.root()).unwrap();
        journal
            .replay(|event| {
                count += usize::from(
                    matches!(&event.what, What::RunAlive { run, .. } if *run == outcome.run),
                );
            })
            .unwrap();
        count
    };
    // Its start is a sign, and so is what it says at its end.
    assert!(beats("hang") <= 1);
    assert!(beats("spin 3500ms") >= 2);
}

#[test]
fn who_is_held_does_not_begin_and_a_stop_ends_what_runs() {
    let place = Place::new();
    let hold = place.top.join("app.swarm/hold");
    fs::write(&hold, "pause\n").unwrap();
    let output = feed(&mut place.agent_run(&[], "work"), "x");
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    fs::remove_file(&hold).unwrap();
    let child = place.start(
        &["--grace", "100ms"],
        "leave 1; write started x; hang",
        "started",
    );
    fs::write(&hold, "stop\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    assert_eq!(place.alive(), [""; 0]);
}

#[test]
fn a_journal_that_cannot_be_written_leaves_no_process_and_loses_no_outcome() {
    let place = Place::new();
    let options = ["--max-wall", "2s", "--beat", "100ms", "--grace", "100ms"];
    let child = place.start(&options, "leave 1; write started x; spin 30s", "started");
    let journal = place.top.join("app.swarm/journal");
    fs::rename(&journal, place.top.join("aside")).unwrap();
    fs::write(&journal, "no directory").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(place.alive(), [""; 0]);
    let stored = fs::read_to_string(place.top.join("app.swarm/runs/a1-1/outcome.json")).unwrap();
    assert!(stored.contains(r#""outcome":"timeout""#), "{stored}");
    // The next look writes down what the journal lacks.
    fs::remove_file(&journal).unwrap();
    fs::rename(place.top.join("aside"), &journal).unwrap();
    let settled = place.command("agent-run").arg("--settle").output().unwrap();
    assert!(settled.status.success(), "{settled:?}");
    let journal = Journal::read(&place.root()).unwrap();
    let ended = journal.state().runs["a1-1"].ended.clone().unwrap();
    assert_eq!(ended.outcome, "timeout");
}

#[test]
fn memory_turns_and_money_have_limits() {
    let place = Place::new();
    fs::write(
        place.app().join("swarm.toml"),
        format!(
            "[commands.fake]\nrun = [{:?}, \"--style\", \"claude\", \"--script\", \"turn 9; spend 3; say x; think 30s\"]\nprompt = \"stdin\"\nstream = \"claude\"\n",
            program("fake-agent")
        ),
    )
    .unwrap();
    let (outcome, _) = place.run(
        &["--max-mem", "60M", "--grace", "100ms"],
        "eat 200M; think 30s",
        "x",
    );
    assert_eq!(outcome.word, Word::OverBudget, "{outcome:?}");
    let mut command = place.command("agent-run");
    command.args([
        "--agent",
        "a1",
        "--command",
        "fake",
        "--max-turns",
        "5",
        "--grace",
        "100ms",
    ]);
    let output = feed(&mut command, "x");
    let outcome = Outcome::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
    assert_eq!((outcome.word, outcome.turns), (Word::OverBudget, Some(10)));
}

#[test]
fn a_lock_that_a_killed_git_left_does_not_keep_work_from_being_harvested() {
    let place = Place::new();
    let (outcome, _) = place.run(&["--harvest"], "work; lock; die", "x");
    assert_eq!(outcome.word, Word::Crashed);
    assert!(outcome.harvested.is_some(), "{outcome:?}");
    assert_eq!(place.sh("cd app.swarm/wt/a1 && git status --porcelain"), "");
}

#[test]
fn a_lock_that_was_left_in_the_tree_of_a_killed_agent_run_keeps_nobody_from_working_there() {
    let place = Place::new();
    let git_dir = place.top.join("app/.git");
    // As a git that was killed in `commit` leaves them: on the index, the HEAD and the branch.
    let branch = place.sh("cd app.swarm/wt/a1 && git symbolic-ref HEAD");
    let locks = [
        git_dir.join("worktrees/a1/index.lock"),
        git_dir.join("worktrees/a1/HEAD.lock"),
        git_dir.join(format!("{}.lock", branch.trim())),
    ];
    let foreign = git_dir.join("refs/heads/main.lock");
    let mut child = place.start(&[], "write started x; hang", "started");
    child.kill().unwrap();
    child.wait().unwrap();
    for lock in locks.iter().chain([&foreign]) {
        std::fs::write(lock, "").unwrap();
    }
    let (outcome, error) = place.run(&["--grace", "200ms"], "work; commit", "again");
    assert!(error.contains("settled a1-1"), "{error}");
    assert_eq!(outcome.commits, 1, "{outcome:?}");
    assert!(locks.iter().all(|lock| !lock.exists()));
    assert!(foreign.exists(), "it is not of this tree");
}

#[test]
fn death_is_seen_within_a_second_and_silence_when_it_has_lasted() {
    let place = Place::new();
    // The best of some tries: others build on this machine too.
    let soonest = |options: &[&str], script: &str, word: Word, wanted: u64| {
        let mut seen = Vec::new();
        while seen.iter().min().is_none_or(|wall| *wall >= wanted) {
            assert!(seen.len() < 8, "{script}: {seen:?}, not {wanted}");
            let (outcome, _) = place.run(options, script, "x");
            assert_eq!(outcome.word, word, "{outcome:?}");
            seen.push(outcome.wall_ms);
        }
    };
    soonest(&[], "think 300ms; die", Word::Crashed, 1300);
    let stall = ["--stall", "500ms", "--grace", "100ms"];
    soonest(&stall, "hang", Word::Stalled, 2000);
}

#[test]
fn a_frozen_run_stands_still_at_no_cost_and_goes_on() {
    let place = Place::new();
    let script = "write started x; think 3s; write more x; work; commit; done";
    let child = place.start(&["--max-wall", "8s"], script, "started");
    let all_stopped = || {
        let stopped = |pid: &String| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(") ").next().unwrap().starts_with('T')
        };
        let alive = place.alive();
        !alive.is_empty() && alive.iter().all(stopped)
    };
    let mut hold = Hold::new(How::Pause, Whom::Agent("a1".into()));
    hold.freeze = true;
    Holds::set(&place.root(), hold).unwrap();
    wait_for(all_stopped);
    std::thread::sleep(Duration::from_secs(8));
    assert!(all_stopped());
    assert!(!place.tree("a1").join("more").exists());
    Holds::lift(&place.root(), &Whom::All).unwrap();
    let output = child.wait_with_output().unwrap();
    let outcome = Outcome::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
    assert_eq!(outcome.word, Word::Ok, "{outcome:?}");
    assert!(outcome.wall_ms > 8000, "{outcome:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_with_a_memory_limit_has_a_control_group_where_that_is_allowed() {
    use sporekit::run::cgroup::Cgroup;
    let place = Place::new();
    let Some(group) = Cgroup::make("test", 1 << 20) else {
        let why = "this kernel, or who runs the tests, may make no control group (cgroups v2)";
        return crate::hurt::skip("a_run_with_a_memory_limit", why);
    };
    let parent = group.path().parent().unwrap().to_owned();
    drop(group);
    let options = ["--max-mem", "1G", "--max-wall", "1s", "--grace", "100ms"];
    let child = place.start(&options, "deaf; leave 3; write started x; hang", "started");
    let ours = parent.join(format!("spore-{}-a1-1", child.id()));
    let inside = fs::read_to_string(ours.join("cgroup.procs")).unwrap();
    assert!(inside.lines().count() >= 4, "{inside}");
    let output = child.wait_with_output().unwrap();
    let outcome = Outcome::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
    assert_eq!(
        (outcome.word, &*outcome.confined),
        (Word::Timeout, "cgroup")
    );
    assert!(!ours.exists());
    assert_eq!(place.alive(), [""; 0]);
    // One whose agent-run is killed: its group goes when somebody looks.
    let options = ["--max-mem", "1G"];
    fs::remove_file(place.tree("a1").join("started")).unwrap();
    let mut child = place.start(&options, "leave 1; write started x; hang", "started");
    let ours = parent.join(format!("spore-{}-a1-2", child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ours.exists());
    let settled = place
        .command("agent-run")
        .args(["--settle", "--grace", "0s"])
        .output();
    assert!(settled.unwrap().status.success());
    assert!(!ours.exists());
    let (outcome, _) = place.run(&[], "work; commit; done", "x");
    assert_eq!(outcome.confined, "session");
}

#[test]
fn money_that_a_command_tells_as_it_goes_ends_its_run() {
    let place = Place::new();
    let config = format!(
        "[commands.fake]\nrun = [{:?}, \"--style\", \"opencode\", \"--script\", \"turn; spend 3; say x; think 60s\"]\nprompt = \"stdin\"\nstream = \"opencode\"\n",
        program("fake-agent")
    );
    fs::write(place.app().join("swarm.toml"), config).unwrap();
    let mut command = place.command("agent-run");
    command.args(["--agent", "a1", "--command", "fake", "--grace", "100ms"]);
    command.args(["--max-usd", "0.0005"]);
    let output = feed(&mut command, "x");
    let outcome = Outcome::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
    assert_eq!(outcome.word, Word::OverBudget, "{outcome:?}");
    assert!(outcome.reason.contains("US dollars"), "{outcome:?}");
}

/// The shell lines before a script: a repository with one agent, and two tasks for it.
const SETTING: &str = "
    git init -q -b main app && cd app && git config user.name t && git config user.email t@e &&
    git commit -q --allow-empty -m first && worktree-spawn -q a1 a2 > ../instances &&
    printf '%s' '{\"plan_id\":\"p\",\"agents\":[{\"name\":\"a1\"}],\"tasks\":[{\"id\":\"1\",\"agent\":\"a1\"},{\"id\":\"2\",\"agent\":\"a1\"}]}' |
    swarm-assign adopt > ../plan || exit 1
    count() { grep -c \"\\\"type\\\":\\\"$1\\\"\" ../app.swarm/journal/events.jsonl; }
";

fn in_a_shell(wrapper: &[&str], before: &str, script: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let bin = Path::new(program("agent-run")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let (program, arguments) = wrapper.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).args(["sh", "-c"]);
    command.arg(format!("{before}{SETTING}{script}"));
    let command = command.current_dir(dir.path()).env("PATH", path);
    let command = command.env("HOME", dir.path()).stdin(Stdio::null());
    for name in ["SPORE_ROOT", "SPORE_AGENT", "SPORE_TASK", "SPORE_RUN"] {
        command.env_remove(name);
    }
    command.output().unwrap()
}

#[test]
fn a_full_disk_is_said_and_nothing_is_lost_by_it() {
    let own = ["unshare", "-Urm"];
    let mount = "mkdir app.swarm && mount -t tmpfs -o size=2m tmpfs app.swarm || exit 99\n";
    let script = r#"
        swarm-assign next --agent a1 > ../task || exit 2
        head -c 9000000 /dev/zero > ../app.swarm/fill 2> /dev/null
        i=0 status=0
        while [ $i -lt 200 ]; do
            swarm-assign renew 1 --agent a1 > ../said 2>&1 || { status=$?; break; }
            i=$((i + 1))
        done
        [ $status = 2 ] && grep -qi 'no space' ../said || { echo "renew: $status"; cat ../said; exit 3; }
        before=$(wc -c < ../app.swarm/journal/events.jsonl)
        agent-run --report --task ../task -- fake-agent --script 'work; commit; done' > ../out 2> ../said
        status=$?
        [ $status = 2 ] && grep -qi 'no space' ../said || { echo "run: $status"; cat ../out ../said; exit 4; }
        [ $before = "$(wc -c < ../app.swarm/journal/events.jsonl)" ] || { echo torn; exit 5; }
        swarm-status > ../out 2>&1 || [ $? -le 1 ] || { cat ../out; exit 6; }
        swarm-ctl --do 'stop swarm' > ../out 2>&1 || { cat ../out; exit 7; }
        swarm-assign next --agent a2 > ../out 2> ../said && { echo 'not held'; exit 7; }
        grep -q 'is held' ../said || { cat ../said; exit 7; }
        rm ../app.swarm/fill
        swarm-ctl --do 'resume swarm' > ../out || { cat ../out; exit 8; }
        agent-run --settle > ../out || exit 9
        swarm-ctl run -q -- fake-agent --script 'work; commit; done' > ../out 2> ../said < /dev/null &
        loop=$!
        agent-run --report --task ../task -- fake-agent --script 'work; commit; done' > ../out2 2> ../said2 ||
            { cat ../out2 ../said2; exit 10; }
        wait $loop || { cat ../out ../said; exit 11; }
        [ $(count done) = 2 ] || { cat ../app.swarm/journal/events.jsonl; exit 12; }
        ! grep -qv '^{.*}$' ../app.swarm/journal/events.jsonl || { echo 'a torn line'; exit 13; }
    "#;
    let output = in_a_shell(&own, mount, script);
    if output.status.code() == Some(99)
        || !output.status.success()
            && output.stdout.is_empty()
            && String::from_utf8_lossy(&output.stderr).contains("unshare")
    {
        let why = "no name space of our own can be made here (unshare -Urm)";
        return crate::hurt::skip("a_full_disk_is_said", why);
    }
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_clock_that_jumps_ends_no_claim_and_no_run_and_begins_no_task_twice() {
    let preload = Command::new("faketime")
        .args(["-f", "+0", "printenv", "LD_PRELOAD"])
        .output();
    let Some(preload) = preload.ok().filter(|output| output.status.success()) else {
        return crate::hurt::skip("a_clock_that_jumps", "faketime is not here");
    };
    let preload = String::from_utf8(preload.stdout).unwrap();
    let script = r#"
        export DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_FAKE_MONOTONIC=1
        swarm-assign next --agent a1 > ../task || exit 2
        for jump in +400d -400d; do
            faketime -f $jump swarm-assign next --agent a2 --task 1 > ../out 2> ../said && exit 3
            grep -q 'is with a1' ../said || { cat ../said; exit 4; }
            faketime -f $jump swarm-status > ../out 2>&1
            grep -q dead ../out && { cat ../out; exit 5; }
        done
        # In the middle of a run, there and back.
        echo +0 > ../clock
        (sleep 1; echo +3d > ../clock; sleep 1; echo -3d > ../clock) &
        FAKETIME_TIMESTAMP_FILE=$PWD/../clock FAKETIME_NO_CACHE=1 LD_PRELOAD="@PRELOAD@"             agent-run --report --max-wall 5m --stall 4m --beat 200ms --task ../task --             fake-agent --script 'spin 3s; work; commit; done' > ../out || { cat ../out; exit 6; }
        faketime -f -400d swarm-ctl run -q -- fake-agent --script 'work; commit; done' > ../out 2> ../said < /dev/null ||
            { cat ../out ../said; exit 7; }
        [ $(count done) = 2 ] && [ $(count claimed) = 2 ] || { cat ../app.swarm/journal/events.jsonl; exit 8; }
        swarm-status --prompt | grep -q '^2/2' || { swarm-status; exit 9; }
    "#;
    let script = script.replace("@PRELOAD@", preload.trim());
    let output = in_a_shell(&["env"], "", &script);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn agents_that_go_wrong_in_every_way_lose_nothing() {
    // `make torture` does this a thousand times.
    for (seed, style) in [(1, "claude"), (2, "codex")] {
        let output = Command::new(program("swarm-torture"))
            .args(["--seed", &seed.to_string(), "--style", style])
            .args([
                "--agents",
                "4",
                "--tasks",
                "8",
                "--kills",
                "25",
                "--timeout",
                "3m",
            ])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{output:?}");
    }
}

#[test]
fn an_outcome_is_read_as_it_was_written_and_unknown_fields_do_not_matter() {
    let place = Place::new();
    let (outcome, _) = place.run(&[], "work; commit; done", "x");
    let line = outcome.line();
    assert!(line.starts_with(r#"{"v":1,"type":"outcome","run":"a1-1","outcome":"ok","exit":0,"#));
    let more = line.replacen('{', r#"{"new":[1],"#, 1);
    assert_eq!(Outcome::read(&more).unwrap(), outcome);
    assert!(Outcome::read(&line.replace("\"v\":1", "\"v\":2")).is_err());
    let stored = fs::read_to_string(place.top.join("app.swarm/runs/a1-1/outcome.json")).unwrap();
    assert_eq!(stored.trim_end(), line);
    assert!(Path::new(&place.top.join("app.swarm/runs/a1-1/handover.md")).exists());
}
