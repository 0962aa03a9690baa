//! `protocol-parse` and `protocol-print`, as their users call them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn command(tool: &str) -> Command {
    let path = match tool {
        "parse" => env!("CARGO_BIN_EXE_protocol-parse"),
        _ => env!("CARGO_BIN_EXE_protocol-print"),
    };
    let mut command = Command::new(path);
    command
        .env_remove("SPORE_AGENT")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(tool: &str, args: &[&str], input: &[u8]) -> Output {
    let mut child = command(tool).args(args).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The lines of our own fixture: what a line is read as, or refused with.
const CASES: &str = include_str!("fixtures/protocol/lines.tsv");

#[test]
fn the_lines_of_the_fixture_come_out_as_written_there() {
    let cases: Vec<Vec<&str>> = CASES
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split('\t').collect())
        .collect();
    assert!(cases.len() > 20);
    let input: String = cases.iter().map(|case| format!("{}\n", case[0])).collect();
    let output = run("parse", &["--report"], input.as_bytes());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(err(&output), "");
    let records = out(&output);
    assert_eq!(records.lines().count(), cases.len());
    for (case, record) in cases.iter().zip(records.lines()) {
        let record: Value = serde_json::from_str(record).unwrap();
        if case[1] == "ok" {
            assert_eq!(record["canonical"], case[2], "{record}");
        } else {
            assert_eq!(record["code"], case[1], "{record}");
            let suggestion = record["suggestion"]
                .as_str()
                .unwrap_or("-")
                .replace('\n', " / ");
            assert_eq!(suggestion, case[2], "{record}");
        }
    }
}

#[test]
fn text_to_json_to_text_is_the_identity_on_canonical_text() {
    let canonical: String = CASES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|case| case.get(1) == Some(&"ok"))
        .map(|case| format!("{}\n", case[2]))
        .collect();
    let json = run("parse", &["--as", "kiro-1"], canonical.as_bytes());
    assert_eq!(json.status.code(), Some(0), "{}", err(&json));
    assert_eq!(out(&run("print", &[], &json.stdout)), canonical);
    // With the envelope it is the very same action, byte for byte.
    let text = run("print", &["--envelope"], &json.stdout);
    assert_eq!(run("parse", &[], &text.stdout).stdout, json.stdout);
    assert_eq!(run("parse", &[], &json.stdout).stdout, json.stdout);
    assert_eq!(run("print", &["--json"], &json.stdout).stdout, json.stdout);
    for form in ["jsonrpc", "mcp", "cloudevents", "a2a"] {
        let there = run("print", &["--to", form], &json.stdout);
        let back = run("parse", &["--from", form], &there.stdout);
        assert_eq!(out(&run("print", &[], &back.stdout)), canonical, "{form}");
    }
}

#[test]
fn results_become_lines_and_come_back() {
    let json = "{\"success\":false,\"message\":\" no \",\"data\":{\"n\":1},\"execution_time\":\"PT1.5S\",\"side_effects\":[\"a\"],\"correlation_id\":\"m-1\",\"timestamp\":\"2026-11-23T09:20:00Z\"}\n";
    let twice = format!("{json}{json}");
    let text = run("print", &[], twice.as_bytes());
    assert!(
        out(&text).starts_with("FAILED \" no \"\ntook: PT1.5S\n"),
        "{}",
        out(&text)
    );
    assert_eq!(out(&run("parse", &[], &text.stdout)), twice);
}

#[test]
fn statuses_are_those_of_the_manual() {
    for (args, status) in [
        (&["run task 9"][..], 0),
        (&["run", "task", "9"], 0),
        (&["--check", "run task 9"], 0),
        (&["--check", "run task"], 1),
        (&["run task"], 0),
        (&["rnu task 9"], 2),
        (&["--check", "run task", "rnu task 9"], 2),
        (&["--report", "--check", "run task"], 1),
        (&["--core", "retry task 9"], 2),
        (&["--grammar", "/nowhere", "run task 9"], 2),
        (&["--as", "../x", "run task 9"], 2),
        (&["--nonsense"], 2),
        (&["help", "nonsense"], 2),
        (&["help", "run", "task"], 0),
        (&["--list"], 0),
        (&["--lint"], 0),
        (&["", "run task 9"], 2),
    ] {
        let output = run("parse", args, b"");
        assert_eq!(
            output.status.code(),
            Some(status),
            "{args:?}: {}",
            err(&output)
        );
    }
    assert_eq!(run("print", &[], b"{\"verb\":1}\n").status.code(), Some(2));
    assert_eq!(run("parse", &[], b"\n# nothing\n\n").status.code(), Some(0));
}

#[test]
fn a_bad_line_is_told_with_its_place_and_the_others_are_written() {
    let output = run(
        "parse",
        &["--as", "kiro-1"],
        b"# a list\n\nstop kiro-1\r\nstop instance kiro-3 gracefull\nrun t\xff 1\nstatus\n",
    );
    assert_eq!(out(&output).lines().count(), 2);
    let expected = "\
protocol-parse: line 4, column 22: unexpected word 'gracefull'
    stop instance kiro-3 gracefull
                         ^^^^^^^^^ did you mean 'graceful'?
try: stop instance kiro-3 graceful
protocol-parse: line 5, column 6: ";
    assert!(err(&output).starts_with(expected), "{}", err(&output));
}

#[test]
fn who_says_it_comes_from_the_line_the_option_or_the_environment() {
    let source = |args: &[&str], agent: Option<&str>| {
        let mut command = command("parse");
        if let Some(agent) = agent {
            command.env("SPORE_AGENT", agent);
        }
        let output = command.args(args).stdin(Stdio::null()).output().unwrap();
        let record: Value = serde_json::from_slice(&output.stdout).unwrap();
        record["source_instance"].as_str().unwrap().to_owned()
    };
    assert_eq!(source(&["status"], None), "unknown");
    assert_eq!(source(&["status"], Some("kiro-2")), "kiro-2");
    assert_eq!(
        source(&["--as", "kiro-1", "status"], Some("kiro-1")),
        "kiro-1"
    );
    assert_eq!(
        source(&["--as", "kiro-1", "status @from=kiro-3"], None),
        "kiro-3"
    );
}

/// A repository with an empty history, as far as we look at one.
fn repository() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for made in [".git/objects", ".git/refs", ".git/spore", "src"] {
        std::fs::create_dir_all(directory.path().join(made)).unwrap();
    }
    std::fs::write(directory.path().join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    directory
}

#[test]
fn who_says_it_follows_from_the_worktree_and_nothing_may_contradict_it() {
    let app = repository();
    let identity =
        r#"{"v":1,"type":"identity","agent":"kiro-1","slot":1,"epoch":1,"branch":"swarm/kiro-1"}"#;
    std::fs::write(app.path().join(".git/spore/identity.json"), identity).unwrap();
    let parse = |args: &[&str], agent: &str| {
        command("parse")
            .env("SPORE_AGENT", agent)
            .args(args)
            .current_dir(app.path().join("src"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    for (args, agent) in [
        (&["status"][..], ""),
        (&["--as", "kiro-1", "status"], ""),
        (&["status"], "kiro-1"),
        (&["-C", "..", "status"], ""),
    ] {
        let said = parse(args, agent);
        assert!(
            out(&said).contains(r#""source_instance":"kiro-1""#),
            "{args:?}: {}",
            err(&said)
        );
    }
    for (args, agent) in [(&["--as", "boss", "status"][..], ""), (&["status"], "boss")] {
        let said = parse(args, agent);
        assert_eq!(
            (said.status.code(), out(&said).as_str()),
            (Some(5), ""),
            "{args:?}"
        );
        assert!(
            err(&said).contains("you are \"kiro-1\" by the worktree you stand in"),
            "{}",
            err(&said)
        );
    }
    let said = command("parse")
        .env("SPORE_AGENT", "kiro-2")
        .args(["--as", "kiro-1", "status"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(5), "{}", err(&said));
    // What others said stays theirs.
    let said = parse(&["status @from=boss"], "");
    assert!(out(&said).contains(r#""source_instance":"boss""#));
}

#[test]
fn the_words_of_a_swarm_are_those_of_its_configuration() {
    let app = repository();
    let there = |tool: &str, args: &[&str], input: &[u8]| {
        let args: Vec<&str> = ["-C", app.path().to_str().unwrap()]
            .iter()
            .chain(args)
            .copied()
            .collect();
        run(tool, &args, input)
    };
    let configure = |text: &str| std::fs::write(app.path().join("swarm.toml"), text).unwrap();
    assert_eq!(there("parse", &["brew tea"], b"").status.code(), Some(2));
    configure("[grammar.verbs.brew]\nwords = [\"boil\"]\nnouns = [\"service\"]\n");
    let json = there("parse", &["boil service tea"], b"");
    assert_eq!(
        out(&there("print", &[], &json.stdout)),
        "brew service service_name=tea\n"
    );
    assert_eq!(run("print", &[], &json.stdout).status.code(), Some(2));
    // A file, tables beside it, and --grammar: each adds.
    std::fs::write(
        app.path().join("src/more.toml"),
        "[verbs.pour]\nnouns = [\"service\"]\n",
    )
    .unwrap();
    configure("[grammar]\nfile = \"src/more.toml\"\n[grammar.verbs.brew]\nnouns = [\"service\"]\n");
    let mine = app.path().join("mine.toml");
    std::fs::write(&mine, "[verbs.sip]\nnouns = [\"service\"]\n").unwrap();
    let lines = b"brew service tea\npour service tea\nsip service tea\n";
    let said = there("parse", &["--grammar", mine.to_str().unwrap()], lines);
    assert_eq!(
        (said.status.code(), out(&said).lines().count()),
        (Some(0), 3),
        "{}",
        err(&said)
    );
    for (text, why) in [
        (
            "[grammar]\nfile = 1\n",
            "file: the name of a file belongs here",
        ),
        ("[grammar]\nfile = \"gone.toml\"\n", "gone.toml"),
        ("[grammar]\nverb = 1\n", "unknown field `verb`"),
        ("[gramar]\n", "did you mean \"grammar\"?"),
    ] {
        configure(text);
        let said = there("parse", &["status"], b"");
        assert_eq!(
            (said.status.code(), out(&said).as_str()),
            (Some(2), ""),
            "{text}"
        );
        assert!(
            err(&said).contains("swarm.toml") && err(&said).contains(why),
            "{text}: {}",
            err(&said)
        );
    }
}

#[test]
fn mistakes_of_neighbours_are_answered_in_their_form() {
    let requests = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"run.task\",\"params\":{\"task_id\":\"a\"}}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"rum.task\"}\n{\n";
    let said = run(
        "parse",
        &["--as", "k", "--from", "jsonrpc", "--report"],
        requests,
    );
    let records: Vec<Value> = out(&said)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (said.status.code(), err(&said).as_str(), records.len()),
        (Some(2), "", 3)
    );
    assert_eq!(records[0]["action"]["source_instance"], "k");
    assert_eq!(records[0]["answer"], Value::Null);
    assert_eq!(records[1]["answer"]["id"], 2);
    assert_eq!(records[1]["answer"]["error"]["code"], -32601);
    assert_eq!(
        records[1]["answer"]["error"]["data"]["code"],
        "unknown-verb"
    );
    assert_eq!(records[2]["answer"]["error"]["code"], -32700);
    let said = run("parse", &["--to", "mcp"], b"run task a\nrun tsak a\n");
    let records: Vec<Value> = out(&said)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records[0]["params"]["name"], "run.task");
    assert_eq!(records[0]["params"]["arguments"]["task_id"], "a");
    assert_eq!(records[1]["result"]["isError"], true);
    // A result goes the same way; a form without an answer leaves it to standard error.
    let result = "SUCCESS done\ntook: PT1S\nid: m-1\nat: 2026-11-23T09:20:00Z\n";
    let said = run("parse", &["--to", "a2a"], result.as_bytes());
    assert!(
        out(&said).contains("TASK_STATE_COMPLETED"),
        "{}",
        out(&said)
    );
    let said = run("parse", &["--to", "cloudevents"], b"rnu task a\n");
    assert_eq!(out(&said), "");
    assert!(err(&said).contains("unknown verb 'rnu'"));
}

fn started() -> (
    Child,
    std::process::ChildStdin,
    BufReader<std::process::ChildStdout>,
) {
    let mut child = command("parse").stderr(Stdio::null()).spawn().unwrap();
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    (child, stdin, BufReader::new(stdout))
}

#[test]
fn a_line_is_answered_while_the_pipe_stays_open() {
    let (mut child, mut stdin, mut stdout) = started();
    for line in ["run task 1\n", "status\nstop kiro-1\n"] {
        stdin.write_all(line.as_bytes()).unwrap();
        for _ in line.lines() {
            let mut answer = String::new();
            stdout.read_line(&mut answer).unwrap();
            assert!(answer.starts_with("{\"verb\":"), "{answer}");
        }
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_stream() {
    let (mut child, mut stdin, mut stdout) = started();
    let reader =
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()).unwrap());
    let lines = "execute task 2.1 in beast mode\nstop instance kiro-3 gracefull\n".repeat(500);
    // A line longer than the limit is skipped, not kept.
    let long = vec![b'x'; 8 << 20];
    stdin.write_all(&long).unwrap();
    stdin.write_all(b"\n").unwrap();
    for _ in 0..20 {
        stdin.write_all(lines.as_bytes()).unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(2));
    assert!(reader.join().unwrap() > 1000);
    // Twice the target: this is a debug build.
    assert!(peak < 32 * 1024, "{peak} kB");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = command("parse").stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    drop(stdin.write_all("run task 1\n".repeat(20_000).as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
}
