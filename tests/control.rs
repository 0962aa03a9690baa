//! Actions that are carried out: each has one answer, once; and what this swarm cannot do is said.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sporekit::action::{EXTENSION_NOUNS, EXTENSION_VERBS, NOUNS, VERBS};
use sporekit::event::{Phase, State, Then, What};
use sporekit::swarm::journal::{Journal, now};
use sporekit::swarm::root::{Options, Root};

const PLAN: &str = r#"{"plan_id":"p","agents":[{"name":"a1"},{"name":"a2"}],"tasks":[
    {"id":"1","title":"one","agent":"a1"},{"id":"2","title":"two","agent":"a2","after":["1"]},
    {"id":"3","title":"three","agent":"a1"}]}"#;

/// A repository with two agents' trees, and a plan in force.
struct Swarm {
    dir: tempfile::TempDir,
    top: PathBuf,
    root: Root,
}

fn run(dir: &Path, name: &str, args: &[&str]) -> String {
    let output = Command::new(name)
        .args(args)
        .current_dir(dir)
        .env_remove("SPORE_ROOT")
        .env_remove("SPORE_AGENT")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {args:?}: {err}");
    String::from_utf8(output.stdout).unwrap()
}

impl Swarm {
    fn new() -> Swarm {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("app");
        fs::create_dir(&top).unwrap();
        run(&top, "git", &["init", "-q", "-b", "main"]);
        run(&top, "git", &["config", "user.name", "t"]);
        run(&top, "git", &["config", "user.email", "t@example.org"]);
        run(
            &top,
            "git",
            &["commit", "-q", "--allow-empty", "-m", "first"],
        );
        run(
            &top,
            env!("CARGO_BIN_EXE_worktree-spawn"),
            &["-q", "a1", "a2"],
        );
        let root = Root::find(&Options {
            start: top.clone(),
            root: None,
        })
        .unwrap();
        sporekit::swarm::plan::Plan::adopt(&root, PLAN, "c").unwrap();
        Swarm { dir, top, root }
    }

    fn ctl(&self, args: &[&str], input: &str) -> (i32, Vec<Value>, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_swarm-ctl"))
            .args(args)
            .current_dir(&self.top)
            .env_remove("SPORE_ROOT")
            .env_remove("SPORE_AGENT")
            .env("HOME", self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let answers = out.lines().map(|line| serde_json::from_str(line).unwrap());
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), answers.collect(), err)
    }

    /// The answer to one command text.
    fn told(&self, text: &str) -> Value {
        let (_, mut answers, err) = self.ctl(&["--do", text], "");
        assert_eq!(answers.len(), 1, "{text}: {err}");
        answers.remove(0)
    }

    fn state(&self) -> State {
        Journal::read(&self.root).unwrap().state().clone()
    }

    fn happen(&self, what: What) {
        let event = sporekit::event::Event {
            at: now(),
            correlation_id: "c".into(),
            what,
        };
        let mut journal = Journal::open(&self.root).unwrap();
        journal.change(|_| (vec![event], ())).unwrap();
    }

    fn claim(&self, task: &str, agent: &str, epoch: u64) {
        self.happen(What::Claimed {
            task: task.into(),
            agent: agent.into(),
            epoch,
            lease: sporekit::swarm::lease::lease_for(std::time::Duration::from_secs(600), None),
        });
    }
}

/// Holds that the commands of a hint exist, with the verbs, options, texts and pages that it names.
fn can_be_typed(hint: &str) {
    let bin = Path::new(env!("CARGO_BIN_EXE_swarm-ctl")).parent().unwrap();
    for command in hint.split(" | ").flat_map(|part| part.split(", then ")) {
        let words: Vec<&str> = command.split(' ').collect();
        match words[0] {
            "git" => continue,
            "man" => {
                let page = format!("man/{}.{}", words[2], words[1]);
                let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(page).exists();
                assert!(there, "{hint}");
                continue;
            }
            _ => {}
        }
        let help = |words: &[&str]| {
            let output = Command::new(bin.join(words[0]))
                .args(&words[1..])
                .arg("--help")
                .output()
                .unwrap_or_else(|error| panic!("{hint}: {error}"));
            assert!(output.status.success(), "{hint}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        if let Some(text) = command.strip_prefix("swarm-ctl --do ") {
            let text = text
                .trim_matches('\'')
                .replace("ID", "task-1")
                .replace("AGENT", "kiro-1");
            let read = sporekit::grammar::Grammar::builtin().parse(&text).map(drop);
            assert!(read.is_ok(), "{hint}: {read:?}");
            continue;
        }
        let verbs =
            ["swarm-assign", "spore-relay"].contains(&words[0]) || words.get(1) == Some(&"run");
        let help = help(if verbs { &words[..2] } else { &words[..1] });
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(option), "{hint}: no {option}");
        }
    }
}

fn action(verb: &str, noun: &str, id: &str, parameters: &str) -> String {
    format!(
        r#"{{"verb":"{verb}","noun":"{noun}","modifiers":[],"parameters":{parameters},"timestamp":"2026-11-24T09:00:00Z","source_instance":"conductor","correlation_id":"{id}"}}"#
    ) + "\n"
}

#[test]
fn every_pair_has_one_answer_with_its_id_and_every_no_has_a_next_command() {
    let swarm = Swarm::new();
    let mut input = String::from("# all pairs\n\n");
    let mut ids = Vec::new();
    for verb in VERBS.iter().chain(&EXTENSION_VERBS) {
        for noun in NOUNS.iter().chain(&EXTENSION_NOUNS) {
            let id = format!("{verb}-{noun}");
            let parameters = r#"{"task_id":"1","instance_id":"a1","message":"m","count":2,"to_instance":"a2","batch_id":"b","config_name":"x","target":"files"}"#;
            input += &action(verb, noun, &id, parameters);
            ids.push(id);
        }
    }
    let mut hints = std::collections::BTreeSet::new();
    let before = fs::read(Journal::read(&swarm.root).unwrap().file()).unwrap();
    let (code, answers, err) = swarm.ctl(&["--dry-run"], &input);
    assert_eq!((code, &*err), (1, ""));
    let answered: Vec<&str> = answers
        .iter()
        .map(|a| a["correlation_id"].as_str().unwrap())
        .collect();
    assert_eq!(answered, ids);
    for answer in &answers {
        if answer["success"] == false {
            assert!(answer["data"]["next"].is_string(), "{answer}");
        }
        if let Some(next) = answer["data"]["next"].as_str() {
            hints.insert(next.to_owned());
        }
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
    for hint in &hints {
        can_be_typed(hint);
    }
    // What each pair of the protocol comes to, for people to read in review.
    let mut table = String::new();
    for answer in &answers {
        let pair = answer["correlation_id"]
            .as_str()
            .unwrap()
            .replacen('-', " ", 1);
        let message = answer["message"].as_str().unwrap();
        if message.contains("no command (") {
            continue;
        }
        let deeds = answer["side_effects"].as_array().unwrap();
        let deeds: Vec<&str> = deeds.iter().map(|deed| deed.as_str().unwrap()).collect();
        let next = answer["data"]["next"].as_str().unwrap_or_default();
        table += &match (answer["success"] == true, deeds.as_slice()) {
            (true, []) => format!(
                "{pair}\tyes\tsays {}\n",
                message.split(['(', ';']).next().unwrap()
            ),
            (true, deeds) => format!("{pair}\tyes\t{}\n", deeds.join("; ")),
            (false, _) => format!("{pair}\tno\t{next}\n"),
        };
    }
    crate::documents::fresh("tests/fixtures/control/pairs.tsv", table.as_bytes());
    let yes = answers.iter().filter(|a| a["success"] == true).count();
    assert!(yes > 30, "{yes}");
    let after = fs::read(Journal::read(&swarm.root).unwrap().file()).unwrap();
    assert_eq!(before, after, "--dry-run changes nothing");
    assert!(!swarm.root.path().join("hold").exists());
}

#[test]
fn a_second_time_the_same_answer_comes_and_nothing_is_done() {
    let swarm = Swarm::new();
    let scale = action("scale", "instances", "s1", r#"{"by":1}"#);
    let (code, first, err) = swarm.ctl(&[], &scale);
    assert_eq!((code, &*err), (0, ""), "{first:?}");
    assert_eq!(first[0]["data"]["after"], 3);
    assert!(swarm.root.worktrees().join("kiro-1").exists());
    let (_, second, _) = swarm.ctl(&[], &scale);
    assert_eq!(first, second);
    assert!(!swarm.root.worktrees().join("kiro-2").exists());
    assert!(swarm.state().agents["kiro-1"].present);
    // Killed before the answer was written down: what was decided counts.
    swarm.happen(What::Acting {
        action: "x".into(),
        why: None,
    });
    let acting = sporekit::event::Event {
        at: now(),
        correlation_id: "s2".into(),
        what: What::Acting {
            action: "scale instances".into(),
            why: Some("to 3".into()),
        },
    };
    Journal::open(&swarm.root)
        .unwrap()
        .change(|_| (vec![acting], ()))
        .unwrap();
    let (_, third, _) = swarm.ctl(&[], &action("scale", "instances", "s2", r#"{"by":1}"#));
    assert_eq!(third[0]["data"]["after"], 3, "{third:?}");
    let down = swarm.told("scale instances down by 2");
    assert_eq!(
        down["data"]["resting"].as_array().unwrap().len(),
        2,
        "{down}"
    );
    let up = swarm.told("scale instances to 2");
    assert_eq!(up["success"], true, "{up}");
    assert!(
        up["side_effects"][0].as_str().unwrap().starts_with("lift"),
        "{up}"
    );
}

#[test]
fn holds_are_written_said_and_lifted() {
    let swarm = Swarm::new();
    let next = |agent: &str| {
        Command::new(env!("CARGO_BIN_EXE_swarm-assign"))
            .args(["next", "--agent", agent, "-n"])
            .current_dir(&swarm.top)
            .output()
            .unwrap()
    };
    assert_eq!(swarm.told("pause swarm for 5 minutes")["success"], true);
    let said = next("a1");
    let err = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(err.contains("everybody is paused until"), "{err}");
    let resumed = swarm.told("resume instance a1");
    assert_eq!(
        resumed["data"]["next"], "swarm-ctl --do 'resume swarm'",
        "{resumed}"
    );
    assert_eq!(swarm.told("resume swarm")["success"], true);
    assert!(next("a1").status.success());
    assert_eq!(swarm.told("stop task 1")["success"], true);
    assert!(String::from_utf8_lossy(&next("a1").stdout).contains("\"id\":\"3\""));
    let stopped = swarm.told("stop all agents");
    assert_eq!(stopped["success"], true, "{stopped}");
    assert_eq!(next("a2").status.code(), Some(1));
    fs::write(swarm.root.path().join("hold"), "").unwrap();
    assert_eq!(next("a2").status.code(), Some(1), "an empty file by hand");
    assert_eq!(swarm.told("resume swarm")["success"], true);
}

#[test]
fn tasks_are_moved_opened_again_and_given_back() {
    let swarm = Swarm::new();
    swarm.claim("1", "a1", 1);
    let moved = swarm.told("reassign task 1 to a2 reason faster");
    assert_eq!(moved["success"], true, "{moved}");
    let state = swarm.state();
    assert_eq!(state.task("1").moved, Some(("a2".into(), 1)));
    assert_eq!(state.task("1").phase, Phase::Open, "its claim is over");
    swarm.claim("3", "a1", 1);
    swarm.happen(What::Failed {
        task: "3".into(),
        agent: "a1".into(),
        epoch: 1,
        exit: 13,
        then: Then::Human,
        retry_at: None,
        why: None,
    });
    let refused = swarm.told("retry task 9");
    assert_eq!(refused["success"], false);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("no task \"9\""),
        "{refused}"
    );
    assert_eq!(
        swarm.told("retry all failed tasks")["data"]["tasks"][0],
        "3"
    );
    assert_eq!(swarm.state().task("3").phase, Phase::Open);
    swarm.claim("3", "a2", 2);
    let restarted = swarm.told("restart instance a2");
    assert_eq!(restarted["success"], true, "{restarted}");
    assert_eq!(swarm.state().task("3").phase, Phase::Open);
    let status = swarm.told("status task 3");
    assert_eq!(status["message"], "task 3 is ready", "{status}");
}

#[test]
fn slips_are_refused_and_bad_lines_do_not_stop_the_others() {
    let swarm = Swarm::new();
    let input = format!(
        "nonsense\n{{\"verb\":\"rum\"}}\n{}{}",
        action("pause", "instance", "c1", r#"{"instance_id":"task-9"}"#),
        action("status", "swarm", "c2", "{}"),
    );
    let (code, answers, err) = swarm.ctl(&[], &input);
    assert_eq!(code, 2);
    assert!(
        err.contains("line 1: ") && err.contains("line 2: "),
        "{err}"
    );
    assert_eq!(answers.len(), 2);
    assert!(
        answers[0]["message"]
            .as_str()
            .unwrap()
            .contains("looks like a slip")
    );
    assert_eq!(answers[1]["success"], true);
    // The words of the swarm count here as where text is parsed.
    let own = "[grammar.verbs.brew]\nnouns = [\"service\"]\n";
    fs::write(swarm.top.join("swarm.toml"), own).unwrap();
    let no = swarm.told("brew service tea");
    assert_eq!(no["success"], false);
    assert!(no["message"].as_str().unwrap().contains("no services"));
    let (code, _, err) = swarm.ctl(&["--do", "pause swarn"], "");
    assert_eq!((code, err.contains("try: pause swarm")), (2, true), "{err}");
}

#[test]
fn a_tree_is_brought_up_to_its_base_unless_somebody_works_in_it() {
    let swarm = Swarm::new();
    fs::write(swarm.top.join("new"), "x").unwrap();
    run(&swarm.top, "git", &["add", "."]);
    run(&swarm.top, "git", &["commit", "-qm", "second"]);
    let synced = swarm.told("sync branch swarm/a1");
    assert_eq!(synced["success"], true, "{synced}");
    assert!(swarm.root.worktrees().join("a1/new").exists());
    fs::write(swarm.root.worktrees().join("a2/mine"), "x").unwrap();
    let refused = swarm.told("sync branch swarm/a2");
    assert_eq!(refused["success"], false, "{refused}");
    assert!(!swarm.root.worktrees().join("a2/new").exists());
}

#[test]
fn what_is_told_is_done_to_its_end() {
    let swarm = Swarm::new();
    let fake = Path::new(env!("CARGO_BIN_EXE_fake-agent"));
    let config = format!(
        "[merge]\ngate = \"true\"\n[commands.fake]\nrun = [{:?}, \"--script\", \"work; commit; done\"]\nprompt = \"stdin\"\n[agents.a1]\ncommand = \"fake\"\n[agents.a2]\ncommand = \"fake\"\n",
        fake.display().to_string()
    );
    fs::write(swarm.top.join("swarm.toml"), config).unwrap();
    run(&swarm.top, "git", &["add", "."]);
    run(&swarm.top, "git", &["commit", "-qm", "agents"]);
    let yes = |text: &str| {
        let answer = swarm.told(text);
        assert_eq!(answer["success"], true, "{text}: {answer}");
        answer
    };
    let one = yes("run task 1");
    assert_eq!(one["data"]["outcome"]["outcome"], "ok", "{one}");
    let conducted = yes("run swarm");
    assert!(conducted["data"]["conductor"].is_u64(), "{conducted}");
    let begun = std::time::Instant::now();
    let is_done = |state: &State| {
        let done = |task| matches!(state.task(task).phase, Phase::Done { .. });
        ["1", "2", "3"].into_iter().all(done)
    };
    while !is_done(&swarm.state()) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // The conductor may still be leaving.
    assert_eq!(swarm.told("run task 1")["success"], false, "it is done");
    yes("merge all");
    let landed = run(&swarm.top, "git", &["log", "--format=%s", "main"]);
    assert!(landed.lines().count() > 3, "{landed}");
    yes("alert swarm \"the build is red\"");
    let recv = env!("CARGO_BIN_EXE_spore-recv");
    let read = run(&swarm.top, recv, &["--as", "a2", "--hold", "--json"]);
    assert!(read.contains("the build is red"), "{read}");
    let handle: Value = serde_json::from_str(read.lines().next().unwrap()).unwrap();
    let id = handle["hold"].as_str().unwrap();
    run(&swarm.top, recv, &["--as", "a2", "--fail", id]);
    let status = yes("status messages");
    assert_eq!(status["data"]["dead"], 1, "{status}");
    assert_eq!(yes("retry messages")["message"], "1 messages wait again");
    let read = run(&swarm.top, recv, &["--as", "a2"]);
    assert!(read.contains("the build is red"), "{read}");
    yes("rollback task 1");
    assert_eq!(yes("status task 1")["message"], "task 1 is ready");
}
