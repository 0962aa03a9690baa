//! Faults at every system call: sender and receiver are killed, or given an error, at each call in
//! turn (strace(1) injects), and afterwards exactly one copy of each message exists.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{bin, skip};

/// One system call of a program: its name, and the how-maniest of that name it is.
#[derive(Debug, Clone)]
struct Call {
    name: String,
    nth: usize,
}

/// A swarm's directory of its own, with the mailbox `box`.
fn swarm() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let made = plain(directory.path(), "spore-send", &["--as", "a", "--to", "box", "--create", "-m", "first"]);
    assert!(made.status.success(), "{made:?}");
    let took = plain(directory.path(), "spore-recv", &["--as", "box"]);
    assert!(took.status.success(), "{took:?}");
    directory
}

fn plain(root: &Path, tool: &str, args: &[&str]) -> Output {
    Command::new(bin(tool)).args(args).env("SPORE_ROOT", root.join("swarm")).output().unwrap()
}

/// The same under strace with an injection.
fn traced(root: &Path, options: &[String], tool: &str, args: &[&str]) -> Output {
    Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(root.join("trace"))
        .args(options)
        .arg("--")
        .arg(bin(tool))
        .args(args)
        .env("SPORE_ROOT", root.join("swarm"))
        .output()
        .unwrap()
}

/// Whether strace is here and may trace (some containers forbid it).
fn can_trace() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    if works.is_ok_and(|output| output.status.success()) {
        return true;
    }
    skip("faults at every system call", "strace(1) is not installed or may not trace here");
    false
}

/// Every system call of one run after the program was loaded, in order.
fn calls(root: &Path, tool: &str, args: &[&str]) -> Vec<Call> {
    let ran = traced(root, &[], tool, args);
    assert!(ran.status.success(), "{ran:?}");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let text = fs::read_to_string(root.join("trace")).unwrap();
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let Some((name, _)) = line.split_once('(') else { continue };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let nth = seen.entry(name.to_owned()).or_default();
        *nth += 1;
        if !["execve", "exit_group", "exit"].contains(&name) {
            found.push(Call { name: name.to_owned(), nth: *nth });
        }
    }
    assert!(found.len() > 10, "strace saw only {} calls", found.len());
    found
}

fn injection(call: &Call, what: &str) -> Vec<String> {
    vec!["-e".into(), format!("inject={}:{what}:when={}", call.name, call.nth)]
}

/// All messages that are left, as (subject line or body text).
fn drain(root: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let took = plain(root, "spore-recv", &["--as", "box", "--all", "--json"]);
        for line in String::from_utf8(took.stdout).unwrap().lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            texts.push(record["body"].as_str().unwrap().trim().to_owned());
        }
        match took.status.code() {
            Some(0) => {}
            Some(1) => return texts,
            other => panic!("spore-recv ended with {other:?}: {}", String::from_utf8_lossy(&took.stderr)),
        }
    }
}

fn copies(texts: &[String], text: &str) -> usize {
    texts.iter().filter(|there| *there == text).count()
}

#[test]
fn a_sender_killed_at_any_system_call_and_run_again_leaves_one_copy() {
    if !can_trace() {
        return;
    }
    let swarm = swarm();
    let root = swarm.path();
    let trace = calls(root, "spore-send", &["--as", "a", "--to", "box", "--id", "probe", "-m", "probe"]);
    for (k, call) in trace.iter().enumerate() {
        let (id, text) = (format!("k{k}"), format!("killed at call {k}"));
        let args = ["--as", "a", "--to", "box", "--id", &id, "-m", &text];
        let killed = traced(root, &injection(call, "signal=KILL"), "spore-send", &args);
        assert!(!killed.status.success() || call.name == "sigaltstack" || call.name == "munmap", "{call:?} {killed:?}");
        let again = plain(root, "spore-send", &args);
        assert!(again.status.success(), "{call:?}: {}", String::from_utf8_lossy(&again.stderr));
    }
    let texts = drain(root);
    for (k, call) in trace.iter().enumerate() {
        assert_eq!(copies(&texts, &format!("killed at call {k}")), 1, "after a kill at {call:?}");
    }
}

#[test]
fn a_sender_without_an_id_killed_at_any_system_call_leaves_at_most_one_whole_copy() {
    if !can_trace() {
        return;
    }
    let swarm = swarm();
    let root = swarm.path();
    let trace = calls(root, "spore-send", &["--as", "a", "--to", "box", "-m", "probe"]);
    let mut acknowledged = Vec::new();
    for (k, call) in trace.iter().enumerate() {
        let text = format!("killed at call {k}");
        let args = ["--as", "a", "--to", "box", "-m", &text];
        let killed = traced(root, &injection(call, "signal=KILL"), "spore-send", &args);
        if killed.status.success() || !killed.stdout.is_empty() {
            acknowledged.push(text);
        }
    }
    let texts = drain(root);
    for (k, call) in trace.iter().enumerate() {
        let copies = copies(&texts, &format!("killed at call {k}"));
        assert!(copies <= 1, "{copies} copies after a kill at {call:?}");
    }
    for text in acknowledged {
        assert_eq!(copies(&texts, &text), 1, "an id was printed for {text:?}");
    }
}

#[test]
fn a_receiver_killed_at_any_system_call_loses_nothing_and_doubles_nothing() {
    if !can_trace() {
        return;
    }
    let swarm = swarm();
    let root = swarm.path();
    assert!(plain(root, "spore-send", &["--as", "a", "--to", "box", "-m", "probe"]).status.success());
    let trace = calls(root, "spore-recv", &["--as", "box", "--json"]);
    for (k, call) in trace.iter().enumerate() {
        let text = format!("taken with a kill at call {k}");
        let sent = plain(root, "spore-send", &["--as", "a", "--to", "box", "-m", &text]);
        assert!(sent.status.success(), "{sent:?}");
        let id = String::from_utf8(sent.stdout).unwrap().trim().to_owned();
        let killed = traced(root, &injection(call, "signal=KILL"), "spore-recv", &["--as", "box", "--json"]);
        assert_eq!(files_of(root, &id), 1, "copies on disk after a kill at {call:?}");
        let shown = String::from_utf8_lossy(&killed.stdout).contains(&text);
        let after = drain(root);
        assert!(copies(&after, &text) <= 1, "handed out twice after a kill at {call:?}");
        assert!(shown || copies(&after, &text) == 1, "lost after a kill at {call:?}");
        assert_eq!(files_of(root, &id), 1, "copies on disk at the end, after a kill at {call:?}");
    }
}

/// How many directory entries of the mailbox are this message.
fn files_of(root: &Path, id: &str) -> usize {
    walkdir::WalkDir::new(root.join("swarm/mail/box"))
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file() && !entry.path().components().any(|c| c.as_os_str() == "id"))
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy();
            name.starts_with(id) && !name.ends_with(".why")
        })
        .count()
}

#[test]
fn an_error_at_any_system_call_of_the_sender_is_said_and_a_retry_leaves_one_copy() {
    if !can_trace() {
        return;
    }
    const WHERE: &[&str] = &[
        "openat", "write", "writev", "pwrite64", "fsync", "fdatasync", "syncfs", "close", "rename", "renameat",
        "renameat2", "link", "linkat", "mkdir", "mkdirat", "unlink", "unlinkat", "fstat", "newfstatat", "statx",
        "statfs", "fstatfs", "fchmod", "copy_file_range", "getrandom", "read",
    ];
    let swarm = swarm();
    let root = swarm.path();
    let trace = calls(root, "spore-send", &["--as", "a", "--to", "box", "--id", "probe", "-m", "probe"]);
    let mut tried = Vec::new();
    for error in ["ENOSPC", "EIO", "EDQUOT"] {
        for (k, call) in trace.iter().enumerate().filter(|(_, call)| WHERE.contains(&call.name.as_str())) {
            let (id, text) = (format!("{error}-{k}"), format!("{error} at call {k}"));
            let args = ["--as", "a", "--to", "box", "--id", &id, "-m", &text];
            let hurt = traced(root, &injection(call, &format!("error={error}")), "spore-send", &args);
            let said = String::from_utf8_lossy(&hurt.stderr).into_owned();
            assert!(hurt.status.code().is_some(), "{error} at {call:?} crashed it: {said}");
            assert!(hurt.status.success() || !said.is_empty(), "{error} at {call:?}: failed without a word");
            assert!(!said.contains("panicked"), "{error} at {call:?}: {said}");
            let again = plain(root, "spore-send", &args);
            assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
            tried.push((text, call.clone()));
        }
    }
    let texts = drain(root);
    for (text, call) in tried {
        assert_eq!(copies(&texts, &text), 1, "{text}: {call:?}");
    }
}
