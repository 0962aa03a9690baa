//! `spore-recv`, as its users call it.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use sporekit::spool::Host;

use crate::send::{Swarm, code, err, out, records};
use crate::spool::claim_bundle;

fn post(swarm: &Swarm, text: &str) -> String {
    let sent = swarm.send(&["--as", "boss", "--to", "kiro-1", "-m", text]);
    assert!(sent.status.success(), "{}", err(&sent));
    out(&sent).trim().to_owned()
}

fn waiting(swarm: &Swarm) -> usize {
    records(&swarm.recv(&["--as", "kiro-1", "--list", "--json"])).len()
}

#[test]
fn nothing_there_is_status_1_and_nobody_there_is_status_3() {
    let swarm = Swarm::new();
    assert_eq!(code(&swarm.recv(&["--as", "kiro-1"])), 3);
    assert!(!swarm.root().exists());
    let swarm = Swarm::with(&["kiro-1"]);
    assert_eq!(code(&swarm.recv(&["--as", "kiro-1"])), 1);
    assert_eq!(code(&swarm.recv(&["--as", "kiro-1", "--list"])), 1);
    let unknown = swarm.recv(&["--as", "kira-1"]);
    assert_eq!(code(&unknown), 3);
    assert!(err(&unknown).contains("did you mean kiro-1?"));
    assert!(!swarm.mailbox("kira-1").exists());
    assert_eq!(code(&swarm.recv(&[])), 2);
}

/// When a process of this machine started, as a claim tells it.
#[cfg(target_os = "linux")]
fn started(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after) = stat.rsplit_once(") ").unwrap();
    after.split(' ').nth(19).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn of_a_bundle_in_another_hand_it_is_not_said_that_nothing_is_there() {
    let swarm = Swarm::with(&["kiro-1"]);
    let home = swarm.mailbox("kiro-1");
    let words = ["--as", "boss", "--to", "kiro-1", "--batch", "--bundle"];
    let lines = b"{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";
    let post = || assert_eq!(code(&swarm.piped("spore-send", &words, lines)), 0);
    let bystander = || {
        let mut sleep = std::process::Command::new("sleep");
        sleep.arg("600").spawn().unwrap()
    };
    let lease = |pid| {
        let mut lease = Host::here().lease(Duration::from_secs(600), true);
        lease.holder.pid = pid;
        lease.holder.start = started(pid);
        lease
    };
    let recv = |words: &[&str]| {
        let mut command = swarm.command("spore-recv");
        command.args(["--as", "kiro-1", "--raw"]).args(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    // As long as he lives it is "try again"; the messages are shown where nothing is taken. He is
    // ready, or dies: who asked meanwhile gets all of it.
    for dies in [false, true] {
        post();
        let mut holder = bystander();
        let (new, cur) = claim_bundle(&home, lease(holder.id()));
        for words in [&["--wait", "0.05"], &["--all", "--wait=0.05"]] {
            let busy = recv(words).wait_with_output().unwrap();
            assert_eq!(code(&busy), 75, "{}", err(&busy));
            assert!(err(&busy).contains("bundle"), "{}", err(&busy));
        }
        assert_eq!(waiting(&swarm), 3);
        assert_eq!(code(&swarm.recv(&["--as", "kiro-1", "--peek"])), 0);
        let patient = recv(&["--all"]);
        if !dies {
            std::fs::rename(&cur, &new).unwrap();
        }
        holder.kill().unwrap();
        holder.wait().unwrap();
        let got = patient.wait_with_output().unwrap();
        assert_eq!(code(&got), 0, "{dies}: {}", err(&got));
        assert_eq!(out(&got).matches("\"n\":").count(), 3, "{dies}");
    }
}

#[test]
fn a_reader_that_leaves_half_way_leaves_the_message() {
    let swarm = Swarm::with(&["kiro-1"]);
    let body = vec![b'x'; 900_000];
    swarm.piped("spore-send", &["--as", "boss", "--to", "kiro-1"], &body);
    let mut reader = swarm
        .command("spore-recv")
        .args(["--as", "kiro-1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    reader
        .stdout
        .take()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    let left = reader.wait_with_output().unwrap();
    assert_eq!((code(&left), err(&left).as_str()), (0, ""));
    let listed = records(&swarm.recv(&["--as", "kiro-1", "--list", "--json"]));
    assert_eq!(listed[0]["state"], "waiting");
    assert_eq!(listed[0]["attempts"], 0);
    let closed = swarm
        .command("spore-recv")
        .args(["--as", "kiro-1"])
        .stdout(
            std::fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap(),
        )
        .output()
        .unwrap();
    assert_eq!(code(&closed), 2);
    assert_eq!(waiting(&swarm), 1);
}

#[test]
fn exec_acknowledges_what_succeeds_and_keeps_what_fails() {
    let swarm = Swarm::with(&["kiro-1"]);
    let ids: Vec<String> = ["one", "two; touch pwned", "three"]
        .map(|t| post(&swarm, t))
        .into();
    let script = "body=$(tail -n 1); cmp -s - \"$SPORE_FILE\" </dev/null; \
                  grep -q two \"$SPORE_FILE\" && exit 9; echo \"$SPORE_FROM: $body\"";
    let ran = swarm.recv(&["--as", "kiro-1", "--all", "--exec", "sh", "-c", script]);
    assert_eq!(out(&ran), "boss: one\nboss: three\n");
    assert_eq!(code(&ran), 9);
    assert!(err(&ran).contains(&ids[1]));
    assert!(!swarm.dir.path().join("pwned").exists());
    assert_eq!(waiting(&swarm), 1);
    assert_eq!(
        std::fs::read_dir(swarm.mailbox("kiro-1").join("tmp"))
            .unwrap()
            .count(),
        0
    );
    for (command, status) in [("./nowhere", 127), ("/", 126)] {
        assert_eq!(
            code(&swarm.recv(&["--as", "kiro-1", "--exec", command])),
            status
        );
    }
    let killed = swarm.recv(&["--as", "kiro-1", "--exec", "sh", "-c", "kill -9 $$"]);
    assert_eq!(code(&killed), 137);
    // What could not be started was no attempt; the two that failed were.
    let listed = records(&swarm.recv(&["--as", "kiro-1", "--list", "--json"]));
    assert_eq!(listed[0]["attempts"], 2);
}

#[test]
fn a_command_that_takes_longer_than_the_lease_keeps_its_message() {
    let swarm = Swarm::with(&["kiro-1"]);
    post(&swarm, "long");
    let mut busy = swarm
        .command("spore-recv")
        .args(["--as", "kiro-1", "--lease", "1s", "--exec", "sleep", "2.5"])
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let cur = swarm.mailbox("kiro-1").join("cur");
    while std::fs::read_dir(&cur).unwrap().count() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    while busy.try_wait().unwrap().is_none() {
        assert_eq!(code(&swarm.recv(&["--as", "kiro-1"])), 1);
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    assert!(busy.wait().unwrap().success());
    assert_eq!(waiting(&swarm), 0);
}

#[test]
fn a_receiver_that_is_killed_gives_its_message_back() {
    let swarm = Swarm::with(&["kiro-1"]);
    let id = post(&swarm, "precious");
    let mut busy = swarm
        .command("spore-recv")
        .args(["--as", "kiro-1", "--exec", "sleep", "1"])
        .spawn()
        .unwrap();
    let cur = swarm.mailbox("kiro-1").join("cur");
    while std::fs::read_dir(&cur).unwrap().count() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    busy.kill().unwrap();
    busy.wait().unwrap();
    let again = records(&swarm.recv(&["--as", "kiro-1", "--json"])).remove(0);
    assert_eq!(
        (&again["id"], &again["attempts"]),
        (&Value::from(id), &Value::from(2))
    );
}

#[test]
fn after_five_failures_the_sender_is_told_once() {
    let swarm = Swarm::with(&["kiro-1", "boss"]);
    let id = post(&swarm, "poison");
    for _ in 0..5 {
        assert_eq!(code(&swarm.recv(&["--as", "kiro-1", "--exec", "false"])), 1);
    }
    let gone = swarm.recv(&["--as", "kiro-1"]);
    assert_eq!(code(&gone), 1);
    assert!(err(&gone).contains("given up after 5 attempts"));
    assert!(out(&swarm.recv(&["--as", "kiro-1", "--dead"])).starts_with(&id));
    let notes = records(&swarm.recv(&["--as", "boss", "--all", "--json"]));
    assert_eq!(notes.len(), 1);
    assert_eq!(
        (&notes[0]["kind"], &notes[0]["re"]),
        (&Value::from("error"), &Value::from(id.as_str()))
    );
    // A note that nobody reads makes no further note.
    swarm.recv(&["--as", "kiro-1", "--requeue", &id]);
    assert_eq!(code(&swarm.recv(&["--as", "kiro-1"])), 0);
}

#[test]
fn a_hold_is_settled_by_its_handle_and_a_lost_one_says_so() {
    let swarm = Swarm::with(&["kiro-1"]);
    let id = post(&swarm, "job");
    let held = records(&swarm.recv(&["--as", "kiro-1", "--hold", "--lease", "50ms", "--json"]));
    let first = held[0]["hold"].as_str().unwrap().to_owned();
    assert_eq!(first, format!("{id},A=1"));
    std::thread::sleep(Duration::from_millis(80));
    let held = records(&swarm.recv(&["--as", "kiro-1", "--hold", "--json"]));
    let second = held[0]["hold"].as_str().unwrap().to_owned();
    for verb in ["--ack", "--renew", "--release", "--fail"] {
        assert_eq!(
            code(&swarm.recv(&["--as", "kiro-1", verb, &first])),
            4,
            "{verb}"
        );
    }
    assert_eq!(
        code(&swarm.recv(&["--as", "kiro-1", "--renew", &second, "--lease", "1h"])),
        0
    );
    assert_eq!(code(&swarm.recv(&["--as", "kiro-1", "--ack", &second])), 0);
    assert_eq!(code(&swarm.recv(&["--as", "kiro-1", "--ack", &id])), 0);
    let unknown = "00000000000000000-00000000000000000000";
    assert_eq!(code(&swarm.recv(&["--as", "kiro-1", "--ack", unknown])), 3);
}

#[test]
fn what_actions_does_not_show_stays() {
    let swarm = Swarm::with(&["kiro-1"]);
    post(&swarm, "prose");
    let lines = b"{\"verb\":\"run\",\"noun\":\"task\"}\n\
        {\"success\":true,\"message\":\"ok\",\"execution_time\":\"PT1S\",\"correlation_id\":\"c\",\"timestamp\":\"2026-11-24T12:00:00Z\"}\n";
    let sent = swarm.piped("spore-send", &["--as", "boss", "--to", "kiro-1"], lines);
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    let actions = records(&swarm.recv(&["--as", "kiro-1", "--all", "--actions"]));
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0]["source_instance"], "boss");
    let results = records(&swarm.recv(&["--as", "kiro-1", "--all", "--results"]));
    assert_eq!(
        (results.len(), &results[0]["correlation_id"]),
        (1, &Value::from("c"))
    );
    assert_eq!(code(&swarm.recv(&["--as", "kiro-1", "--actions"])), 1);
    assert_eq!(waiting(&swarm), 1);
}

#[test]
fn waiting_ends_with_the_message_or_with_the_time() {
    let swarm = Swarm::with(&["kiro-1"]);
    let begun = Instant::now();
    assert_eq!(code(&swarm.recv(&["--as", "kiro-1", "--wait", "60ms"])), 1);
    assert!(begun.elapsed() >= Duration::from_millis(60));
    // For a mailbox that is not there yet as well, and none is made.
    let waiting = swarm
        .command("spore-recv")
        .args(["--as", "late", "--wait", "20s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(!swarm.mailbox("late").exists());
    swarm.send(&["--as", "boss", "--to", "late", "--create", "-m", "there"]);
    assert!(out(&waiting.wait_with_output().unwrap()).ends_with("there\n"));
}

#[test]
fn follow_hands_on_each_message_as_it_comes_and_hears_of_a_removed_mailbox() {
    let swarm = Swarm::with(&["kiro-1"]);
    let mut follower = swarm
        .command("spore-recv")
        .args(["--as", "kiro-1", "--follow", "--json", "--timeout", "20s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(follower.stdout.take().unwrap()));
    for text in ["one", "two"] {
        let id = post(&swarm, text);
        assert!(lines.next().unwrap().unwrap().contains(&id));
    }
    // It may be just acknowledging, and put the message where we have been already.
    let home = swarm.mailbox("kiro-1");
    while home.exists() {
        let _ = std::fs::remove_dir_all(&home);
    }
    assert_eq!(follower.wait().unwrap().code(), Some(3));
}

#[test]
fn once_lets_a_spore_through_once_by_whatever_road_it_comes() {
    let swarm = Swarm::with(&["kiro-1"]);
    let spore = "# Spore: s\n\n- **Spore ID**: m-1\n- **From**: boss\n\nhello\n";
    for _ in 0..2 {
        swarm.piped("spore-send", &["--to", "kiro-1"], spore.as_bytes());
    }
    let got = records(&swarm.recv(&["--as", "kiro-1", "--all", "--once", "--json"]));
    assert_eq!(got.len(), 1);
    assert_eq!(waiting(&swarm), 0);
}

#[test]
fn a_hook_tells_of_each_message_once_within_its_budget() {
    let swarm = Swarm::with(&["kiro-1"]);
    let hook = |tool: &str, event: &str| {
        let input = format!("{{\"hook_event_name\":\"{event}\"}}");
        let told = swarm.piped(
            "spore-recv",
            &["--as", "kiro-1", "--hook", tool, "--budget", "900"],
            input.as_bytes(),
        );
        assert_eq!((code(&told), err(&told).as_str()), (0, ""));
        out(&told)
    };
    assert_eq!(hook("claude", "PostToolUse"), "");
    let tools = [
        ("claude", "PostToolUse"),
        ("codex", "SessionStart"),
        ("gemini", "BeforeAgent"),
        ("kiro", "userPromptSubmit"),
    ];
    for (tool, event) in tools {
        let id = post(
            &swarm,
            &format!("{} \u{1b}[2J \u{202e}evil", "long ".repeat(400)),
        );
        let told: Value = serde_json::from_str(&hook(tool, event)).unwrap();
        let told = &told["hookSpecificOutput"];
        assert_eq!(told["hookEventName"], event);
        let text = told["additionalContext"].as_str().unwrap();
        assert!(
            text.contains(&id) && text.len() <= 900,
            "{} {text}",
            text.len()
        );
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
        assert_eq!(hook(tool, event), "");
    }
    for (tool, event, decision) in [
        ("claude", "Stop", "block"),
        ("codex", "SubagentStop", "block"),
        ("gemini", "AfterAgent", "deny"),
    ] {
        post(&swarm, "stop");
        let told: Value = serde_json::from_str(&hook(tool, event)).unwrap();
        assert_eq!(told["decision"], decision);
    }
    // Nothing was taken.
    assert_eq!(waiting(&swarm), 7);
}

#[test]
fn a_hook_says_nothing_where_nobody_would_see_it_and_never_refuses() {
    let swarm = Swarm::with(&["kiro-1"]);
    post(&swarm, "hello");
    let hook = |args: &[&str], event: &str| {
        let input = format!("{{\"hook_event_name\":\"{event}\"}}");
        let args = [&["--hook", "claude"], args].concat();
        let told = swarm.piped("spore-recv", &args, input.as_bytes());
        (code(&told), out(&told))
    };
    let me = ["--as", "kiro-1"];
    assert_eq!(hook(&me, "PreCompact"), (0, String::new()));
    let told = hook(&me, "UserPromptSubmit");
    assert!(
        told.1.contains("hello"),
        "it was not announced yet: {told:?}"
    );
    // Without a mailbox, and without a name, nothing; trouble is no status by which a tool refuses.
    assert_eq!(hook(&["--as", "nobody"], "Stop"), (0, String::new()));
    assert_eq!(hook(&[], "Stop"), (0, String::new()));
    assert_eq!(hook(&["--as", "../x"], "Stop"), (1, String::new()));
}

#[test]
fn files_are_read_wherever_the_options_stand() {
    let swarm = Swarm::new();
    std::fs::write(swarm.dir.path().join("a.md"), "# Spore: hi\r\n").unwrap();
    for args in [
        ["--read", "--json", "a.md"],
        ["--read", "a.md", "--json"],
        ["--json", "--read", "a.md"],
    ] {
        let got = records(&swarm.recv(&args));
        assert_eq!(
            (&got[0]["subject"], &got[0]["notes"][0]),
            (&"hi".into(), &"crlf".into())
        );
    }
    let repaired = swarm.recv(&["--read", "--raw", "a.md"]);
    assert_eq!(out(&repaired), "# Spore: hi\n");
    assert_eq!(code(&swarm.recv(&["--read"])), 2);
}

#[test]
fn a_listing_cannot_be_steered_by_a_sender() {
    let swarm = Swarm::with(&["kiro-1"]);
    let subject = "\u{1b}]52;c;ZXZpbA==\u{7} \u{202e}txt";
    let sent = swarm.send(&["--as", "boss", "--to", "kiro-1", "-s", subject, "-m", "x"]);
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    let listed = out(&swarm.recv(&["--as", "kiro-1", "--list"]));
    assert_eq!(listed.lines().count(), 1);
    assert!(
        !listed.contains('\u{1b}') && !listed.contains('\u{202e}'),
        "{listed:?}"
    );
}

#[test]
fn the_doctor_names_what_is_wrong_and_touches_nothing() {
    let swarm = Swarm::with(&["kiro-1"]);
    assert_eq!(code(&swarm.recv(&["--as", "kiro-1", "--doctor"])), 0);
    let new = swarm.mailbox("kiro-1").join("new");
    std::fs::write(new.join("note~"), "x").unwrap();
    std::os::unix::fs::symlink(
        "/etc/passwd",
        new.join("00006b05d51e15e87-0001ac81e8adf1ed9a30,S=1:2,"),
    )
    .unwrap();
    let found = swarm.recv(&["--as", "kiro-1", "--doctor"]);
    assert_eq!(code(&found), 1);
    assert_eq!(out(&found).lines().count(), 2);
    assert_eq!(std::fs::read_dir(&new).unwrap().count(), 2);
}

#[test]
fn a_signal_goes_to_the_command_first_and_its_message_waits_again() {
    let swarm = Swarm::with(&["kiro-1"]);
    post(&swarm, "long");
    let ready = swarm.dir.path().join("ready");
    let script = "trap 'echo told; exit 9' TERM; touch ready; while :; do sleep 0.05; done";
    let mut recv = swarm.command("spore-recv");
    recv.args(["--as", "kiro-1", "--follow", "--exec", "sh", "-c", script]);
    let mut recv = recv
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !ready.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_child(&recv);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut said = String::new();
    recv.stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(
        (recv.wait().unwrap().code(), said.trim()),
        (Some(143), "told")
    );
    let got = records(&swarm.recv(&["--as", "kiro-1", "--list", "--json"]));
    assert_eq!(
        (&got[0]["state"], &got[0]["attempts"]),
        (&"waiting".into(), &0.into())
    );
    // While nothing runs it ends at once.
    swarm.recv(&["--as", "kiro-1", "--all"]);
    let mut recv = swarm.command("spore-recv");
    let mut recv = recv
        .args(["--as", "kiro-1", "--follow", "--exec", "true"])
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let pid = rustix::process::Pid::from_child(&recv);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&recv.wait().unwrap()),
        Some(15)
    );
}
