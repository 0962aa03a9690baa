//! The whole loop with agents that misbehave, and with processes that are killed: every task done,
//! none twice, nothing left running.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use sporekit::event::{Effect, State, What};
use sporekit::swarm::hold::{Hold, Holds, How, Whom};
use sporekit::swarm::journal::Journal;
use sporekit::swarm::plan::Plan;
use sporekit::swarm::root::{Options, Root};

/// A repository with trees for `a0`, `a1` and so on, and a plan in force.
struct Swarm {
    dir: tempfile::TempDir,
    top: PathBuf,
    root: Root,
}

impl Swarm {
    /// `tasks` tasks; each of the later ones waits for the one `width` before it.
    fn new(agents: usize, tasks: usize, width: usize) -> Swarm {
        let dir = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap().join("app");
        fs::create_dir(&top).unwrap();
        for args in [
            &["init", "-q", "-b", "main"][..],
            &["config", "user.name", "t"],
            &["config", "user.email", "t@example.org"],
            &["commit", "-q", "--allow-empty", "-m", "first"],
        ] {
            let git = Command::new("git").args(args).current_dir(&top).status();
            assert!(git.unwrap().success());
        }
        let names: Vec<String> = (0..agents).map(|n| format!("a{n}")).collect();
        let spawned = Command::new(env!("CARGO_BIN_EXE_worktree-spawn"))
            .arg("-q")
            .args(&names)
            .current_dir(&top)
            .env_remove("SPORE_ROOT")
            .output()
            .unwrap();
        assert!(spawned.status.success(), "{spawned:?}");
        let root = Root::find(&Options {
            start: top.clone(),
            root: None,
        })
        .unwrap();
        let tasks: Vec<String> = (0..tasks)
            .map(|n| {
                let after = n.checked_sub(width).map(|m| format!("\"t{m}\""));
                let after = after.unwrap_or_default();
                let agent = n % agents;
                format!(r#"{{"id":"t{n}","title":"do {n}","agent":"a{agent}","after":[{after}]}}"#)
            })
            .collect();
        let agents: Vec<String> = names
            .iter()
            .map(|n| format!(r#"{{"name":"{n}"}}"#))
            .collect();
        let (agents, tasks) = (agents.join(","), tasks.join(","));
        let plan = format!(r#"{{"plan_id":"p","agents":[{agents}],"tasks":[{tasks}]}}"#);
        Plan::adopt(&root, &plan, "c").unwrap();
        Swarm { dir, top, root }
    }

    fn ctl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swarm-ctl"));
        let fake = Path::new(env!("CARGO_BIN_EXE_fake-agent"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::iter::once(fake.parent().unwrap().to_owned()).chain(std::env::split_paths(&path));
        command
            .args(args)
            .current_dir(&self.top)
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", self.dir.path())
            .env_remove("SPORE_ROOT")
            .env_remove("SPORE_AGENT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A line of shell beside the repository's files.
    fn sh(&self, line: &str) -> Command {
        let path = self.ctl(&[]);
        let path = path.get_envs().find(|(name, _)| *name == "PATH");
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(&self.top)
            .env("PATH", path.unwrap().1.unwrap())
            .env("HOME", self.dir.path())
            .env_remove("SPORE_ROOT")
            .env_remove("SPORE_AGENT")
            .stdin(Stdio::null());
        command
    }

    /// `swarm-ctl run` with these options, agents that follow this script by task and try.
    fn conduct(&self, options: &[&str], script: &str) -> Command {
        let program = format!(
            "case $SPORE_TASK-$SPORE_EPOCH in {script} esac; exec fake-agent --script \"$s\""
        );
        let mut args = vec!["run", "-q"];
        args.extend(options);
        args.extend(["--", "sh", "-c", &program]);
        self.ctl(&args)
    }

    fn state(&self) -> State {
        Journal::read(&self.root).unwrap().state().clone()
    }

    /// Folds the journal and holds that each task was done once; how many are done.
    fn done(&self) -> usize {
        let mut done: BTreeMap<String, u32> = BTreeMap::new();
        let mut state = State::default();
        let journal = Journal::read(&self.root).unwrap();
        journal
            .replay(|event| {
                let applied = state.apply(event) == Effect::Applied;
                if let (What::Done { task, .. }, true) = (&event.what, applied) {
                    *done.entry(task.clone()).or_default() += 1;
                }
            })
            .unwrap();
        assert!(done.values().all(|times| *times == 1), "{done:?}");
        done.len()
    }

    /// Every process that bears the mark of this swarm.
    fn processes(&self) -> Vec<i32> {
        let mark = format!("SPORE_ROOT={}", self.root.path().display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
                continue;
            };
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let has = |bytes: Vec<u8>, what: &str| {
                bytes
                    .split(|byte| *byte == 0)
                    .any(|part| part == what.as_bytes())
            };
            let argument = self.root.path().display().to_string();
            if has(read("environ"), &mark) || has(read("cmdline"), &argument) {
                found.push(pid);
            }
        }
        found
    }

    fn nothing_is_left(&self) {
        let begun = Instant::now();
        while !self.processes().is_empty() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "{:?}",
                self.processes()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn ended(child: Child) -> (i32, String, String) {
    said(&child.wait_with_output().unwrap())
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    (code, text(&output.stdout), text(&output.stderr))
}

const GOOD: &str = "*) s='work; commit; done' ;;";

#[test]
fn a_lie_a_hang_a_death_and_a_limit_end_with_everything_done() {
    let swarm = Swarm::new(3, 8, 3);
    let script = "t1-1) s=lie ;; t2-1) s=hang ;; t3-1) s=die ;; t4-1) s='limit 1s' ;; t5-1) s='leave 2; work; commit; done' ;;";
    let options = [
        "--stall",
        "600ms",
        "--on",
        "limited=park,reroute",
        "--on",
        "stalled=kill,retry:1",
    ];
    let script = format!("{script} {GOOD}");
    let (code, out, err) = said(&swarm.conduct(&options, &script).output().unwrap());
    assert_eq!(code, 0, "{err}");
    assert_eq!(swarm.done(), 8);
    for word in ["hollow", "stalled", "crashed", "limited", "ok"] {
        assert!(
            out.contains(&format!("\"outcome\":\"{word}\"")),
            "{word}: {out}"
        );
    }
    swarm.nothing_is_left();
}

#[test]
fn what_needs_a_person_ends_the_loop_with_an_honest_no() {
    let swarm = Swarm::new(2, 4, 1);
    let script = format!("t1-*) s=ask ;; {GOOD}");
    let (code, _, err) = said(&swarm.conduct(&[], &script).output().unwrap());
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("3 tasks are left, and none of them without a person"),
        "{err}"
    );
    assert_eq!(swarm.done(), 1);
}

#[test]
fn killed_at_any_instant_and_begun_again_it_does_every_task_once() {
    let swarm = Swarm::new(4, 16, 5);
    let script = "*) s='think 50ms; work; commit; leave 1; done' ;;";
    let mut kills = 0;
    loop {
        let mut child = swarm.conduct(&[], script).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(120 + 90 * (kills % 7)));
        if kills > 40 || child.try_wait().unwrap().is_some() {
            let (code, _, err) = ended(child);
            assert_eq!(code, 0, "{err}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert_eq!(swarm.done(), 16);
    swarm.nothing_is_left();
}

#[cfg(target_os = "linux")]
#[test]
fn with_every_process_killed_at_once_nothing_is_lost_done_twice_or_left() {
    let swarm = Swarm::new(3, 9, 4);
    // An agent that dies a moment before its agent-run has failed; not often enough for a person.
    fs::write(swarm.top.join("swarm.toml"), "[plan]\nretries = 1000\n").unwrap();
    let script = "*) s='think 40ms; work; commit; leave 1; done' ;;";
    for kills in 0.. {
        let mut command = swarm.conduct(&[], script);
        let mut child = command.process_group(0).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(200 + 130 * (kills % 5)));
        if kills > 12 || child.try_wait().unwrap().is_some() {
            let (code, _, err) = ended(child);
            assert_eq!(code, 0, "{err}");
            break;
        }
        // Stopped first, so that none sees another die and makes something of it.
        use rustix::process::{Pid, Signal, kill_process};
        for signal in [Signal::STOP, Signal::KILL] {
            let _ = kill_process(Pid::from_child(&child), signal);
            for pid in swarm.processes().into_iter().filter_map(Pid::from_raw) {
                let _ = kill_process(pid, signal);
            }
        }
        child.wait().unwrap();
    }
    assert_eq!(swarm.done(), 9);
    swarm.nothing_is_left();
}

#[test]
fn stop_by_a_file_ends_what_runs_and_a_pause_waits_to_be_lifted() {
    let swarm = Swarm::new(2, 4, 2);
    Holds::set(&swarm.root, Hold::new(How::Pause, Whom::All)).unwrap();
    let child = swarm.conduct(&[], "*) s='work; hang' ;;").spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(swarm.state().runs.is_empty(), "nothing begins while paused");
    Holds::lift(&swarm.root, &Whom::All).unwrap();
    let begun = Instant::now();
    while swarm.state().runs.len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::write(swarm.root.path().join("hold"), "stop\n").unwrap();
    let begun = Instant::now();
    let (code, _, err) = ended(child);
    assert_eq!(
        (code, err.contains("everybody is stopped: 4 tasks are left")),
        (1, true),
        "{err}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(12),
        "{:?}",
        begun.elapsed()
    );
    swarm.nothing_is_left();
    for run in swarm.state().runs.values() {
        assert_eq!(run.ended.as_ref().unwrap().outcome, "stopped");
    }
}

#[test]
fn stop_force_kills_deaf_agents_with_everything_they_started() {
    let swarm = Swarm::new(1, 1, 1);
    let script = "*) s='deaf; leave 2; work; hang' ;;";
    let child = swarm.conduct(&["--agent", "a0"], script).spawn().unwrap();
    let begun = Instant::now();
    while swarm.state().runs.is_empty() || swarm.processes().len() < 4 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    let stopped = swarm.ctl(&["--do", "stop swarm force"]).output().unwrap();
    let (code, out, err) = said(&stopped);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(ended(child).0, 1);
    swarm.nothing_is_left();
    assert_eq!(swarm.done(), 0);
}

#[test]
fn a_budget_holds_over_all_runs() {
    let swarm = Swarm::new(1, 5, 1);
    let config = "[commands.fake]\nrun = [\"fake-agent\", \"--style\", \"claude\", \"--script\", \"turn; spend 0.4; work; commit; done\"]\nstream = \"claude\"\nprompt = \"stdin\"\n";
    fs::write(swarm.top.join("swarm.toml"), config).unwrap();
    let args = ["run", "-q", "--max-usd", "1", "--command", "fake"];
    let (code, out, err) = said(&swarm.ctl(&args).output().unwrap());
    assert_eq!(
        (code, err.contains("the money is spent")),
        (1, true),
        "{out}{err}"
    );
    // A third run, as dear as those before, would go over it.
    assert_eq!(swarm.done(), 2, "{out}");
    assert_eq!(swarm.state().spent(), 800_000);
}

#[test]
fn while_memory_is_short_one_at_a_time_runs() {
    let swarm = Swarm::new(3, 5, 5);
    let (code, _, err) = said(
        &swarm
            .conduct(&["--min-mem", "1000000G"], GOOD)
            .output()
            .unwrap(),
    );
    assert_eq!(code, 0, "{err}");
    let (mut running, mut most) = (0, 0);
    let journal = Journal::read(&swarm.root).unwrap();
    journal
        .replay(|event| {
            match event.what {
                What::RunBegan { .. } => running += 1,
                What::RunEnded { .. } => running -= 1,
                _ => {}
            }
            most = most.max(running);
        })
        .unwrap();
    assert_eq!((swarm.done(), most), (5, 1));
}

/// As [`Swarm::new`], with the plan that swarm-assign makes for `kiro-1` and `kiro-2`.
fn planned(list: &str) -> Swarm {
    let swarm = Swarm::new(1, 1, 1);
    fs::write(swarm.top.join("tasks.md"), list).unwrap();
    fs::write(swarm.top.join("swarm.toml"), "[plan]\nretries = 1000\n").unwrap();
    let line = "swarm-assign plan tasks.md -n 2 --order infer --json > ../plan && worktree-spawn -q --plan ../plan \
                > ../instances && swarm-assign adopt ../plan";
    let output = swarm.sh(line).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    swarm
}

#[test]
fn after_a_failure_the_plan_is_made_anew_and_loses_no_task() {
    let list = "- [ ] 1. A\n  - File: a\n- [ ] 2. B\n  - File: b\n- [ ] 3. C\n  - File: c\n\
                - [ ] 4. D\n  - File: d\n";
    let by_agent = "case $SPORE_AGENT in kiro-1) s='think 200ms; fail' ;; *) s='think 1s; work; commit; done' ;; esac; \
                    exec fake-agent --script \"$s\"";
    for by_hand in [false, true] {
        let swarm = planned(list);
        let before = Plan::read(&swarm.root).unwrap().unwrap();
        let run = ["run", "-q", "--agent", "kiro-1", "--agent", "kiro-2"];
        let end = ["--", "sh", "-c", by_agent];
        let output = match by_hand {
            false => swarm.ctl(&[&run[..], &end].concat()).output().unwrap(),
            true => {
                let script = swarm
                    .ctl(&[&run[..], &["--print-sh"], &end].concat())
                    .output()
                    .unwrap();
                fs::write(swarm.dir.path().join("loop.sh"), script.stdout).unwrap();
                swarm.sh("sh ../loop.sh").output().unwrap()
            }
        };
        let (code, _, err) = said(&output);
        assert_eq!(code, 0, "{by_hand}: {err}");
        assert_eq!(swarm.done(), 4);
        let mut anew = 0;
        let journal = Journal::read(&swarm.root).unwrap();
        journal
            .replay(|event| {
                if let What::PlanAdopted { replaces, .. } = &event.what {
                    anew += u32::from(replaces.is_some());
                }
            })
            .unwrap();
        assert!(anew > 0, "{by_hand}: {err}");
        let after = Plan::read(&swarm.root).unwrap().unwrap();
        assert_ne!(before.plan_id, after.plan_id);
        assert_eq!(before.tasks.len(), after.tasks.len(), "no task is lost");
        swarm.nothing_is_left();
    }
}

#[test]
fn time_and_a_second_conductor_are_limits() {
    let swarm = Swarm::new(1, 5, 1);
    let past = ["--until", "2020-01-01T00:00:00Z"];
    let (code, _, err) = said(&swarm.conduct(&past, GOOD).output().unwrap());
    assert_eq!(
        (code, err.contains("the time has come: 5 tasks")),
        (1, true),
        "{err}"
    );
    let child = swarm.conduct(&[], "*) s='hang' ;;").spawn().unwrap();
    let begun = Instant::now();
    while swarm.state().runs.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    let (code, _, err) = said(&swarm.conduct(&[], GOOD).output().unwrap());
    assert_eq!(
        (code, err.contains("carries out the plan already")),
        (75, true),
        "{err}"
    );
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(
        ended(child).0,
        143,
        "a stop is passed on, waited for, and died of"
    );
    swarm.nothing_is_left();
    assert_eq!(swarm.done(), 0);
}

#[test]
fn the_script_over_the_other_commands_does_the_same() {
    let swarm = Swarm::new(2, 6, 2);
    let script = format!("t1-1) s=lie ;; {GOOD}");
    let printed = swarm
        .conduct(&["--print-sh", "--jobs", "1"], &script)
        .output()
        .unwrap();
    let loop_sh = swarm.dir.path().join("loop.sh");
    fs::write(&loop_sh, &printed.stdout).unwrap();
    let (code, _, err) = said(&swarm.sh("sh ../loop.sh").output().unwrap());
    assert_eq!(code, 0, "{err}");
    assert_eq!(swarm.done(), 6);
    swarm.nothing_is_left();
}

#[test]
fn many_agents_take_each_task_once_and_a_torn_journal_stops_nobody() {
    // `make bench` does it with 100 agents and 1,000 tasks.
    let swarm = Swarm::new(8, 40, 12);
    let journal = Journal::read(&swarm.root).unwrap().file().to_owned();
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, [&whole[..], b"{\"v\":1,\"type\":\"cl"].concat()).unwrap();
    let (code, _, err) = said(&swarm.conduct(&["--jobs", "6"], GOOD).output().unwrap());
    assert_eq!(code, 0, "{err}");
    assert_eq!(swarm.done(), 40);
    let state = swarm.state();
    assert!(
        state.tasks.values().all(|task| task.epoch == 1),
        "nothing was given out twice"
    );
    swarm.nothing_is_left();
}
