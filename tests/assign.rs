//! `swarm-assign` as people type it: what it says to bad input, how it reads lists of every form,
//! and that no list, however damaged, makes it panic or plan what cannot be.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sporekit::assign::{self, Agent, Effort, Options};
use sporekit::task::lint::{self, Absent, Given, Policy};
use sporekit::task::{self, Format, Order, merge};

use crate::place::feed;

/// What a command said: status, standard output, standard error.
fn run(dir: &Path, args: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm-assign"));
    command
        .args(args)
        .current_dir(dir)
        .env_remove("SPORE_ROOT")
        .env_remove("SPORE_AGENT")
        .env("GIT_CEILING_DIRECTORIES", "/");
    let output = feed(&mut command, input);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Plans `tasks.md` with this text for two agents and more arguments.
fn plan(text: &str, args: &[&str]) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tasks.md"), text).unwrap();
    let mut all = vec!["plan", "tasks.md", "--format", "kiro"];
    if !args.iter().any(|arg| *arg == "-n" || *arg == "--agents") {
        all.extend(["-n", "2"]);
    }
    all.extend(args);
    run(dir.path(), &all, "")
}

/// Holds that a list is refused with status 2 and this line on standard error.
#[track_caller]
fn refused(text: &str, args: &[&str], line: &str) {
    let (status, out, said) = plan(text, args);
    assert!(
        said.lines().any(|l| l == format!("swarm-assign: {line}")),
        "{said}"
    );
    assert_eq!((status, out.as_str()), (2, ""), "{said}");
}

/// Holds that a list is planned, and that the plan warns with this line.
#[track_caller]
fn warned(text: &str, args: &[&str], line: &str) {
    let (status, out, said) = plan(text, args);
    assert!(
        out.lines().any(|l| l == format!("note: {line}")),
        "{out}{said}"
    );
    assert_eq!(status, 0, "{said}");
}

#[test]
fn a_cycle_is_told_with_its_lines_and_its_weakest_edge() {
    let text = "- [ ] 2.3 a\n  - Depends on: 4.2\n- [ ] 3.1 b\n  - Depends on: 2.3\n- [ ] 4.2 c\n  - Depends on: 3.1\n- [ ] 5. d\n";
    refused(
        text,
        &[],
        "tasks.md:2: dependency cycle: 4.2 -> 2.3 -> 3.1 -> 4.2 (edges from lines 2, 4, 6)",
    );
    let said = plan(text, &["--after", "5", "4.2", "--after", "4.2", "5"]).2;
    assert!(said.contains("hint: drop the declared edge at"), "{said}");
}

#[test]
fn every_cycle_and_every_other_error_is_told_in_one_run_in_the_order_of_lines() {
    let text = "- [ ] 1. a\n  - Depends on: 2\n- [ ] 2. b\n  - Depends on: 1\n- [ ] 3. c\n  - Depends on: 9.9\n- [ ] 4. d\n  - Depends on: 5\n- [ ] 5. e\n  - Depends on: 4\n- [ ] 6. f\n  - Depends on: 6\n";
    let (status, _, said) = plan(text, &[]);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("hint"))
        .collect();
    assert_eq!(status, 2);
    assert_eq!(
        lines,
        [
            "swarm-assign: tasks.md:2: dependency cycle: 2 -> 1 -> 2 (edges from lines 2, 4)",
            "swarm-assign: tasks.md:6: 3 depends on 9.9, which is not in this list",
            "swarm-assign: tasks.md:8: dependency cycle: 5 -> 4 -> 5 (edges from lines 8, 10)",
            "swarm-assign: tasks.md:12: 6 depends on itself",
        ]
    );
}

#[test]
fn a_task_that_waits_for_itself_is_refused() {
    refused(
        "- [ ] 2.3 a\n  - Depends on: 2.3\n",
        &[],
        "tasks.md:2: 2.3 depends on itself",
    );
}

#[test]
fn a_missing_dependency_is_an_error_or_outside_or_done() {
    let text = "- [ ] 9.1 a\n- [ ] 2.3 b\n  - Depends on: 9.9\n- [ ] 2.4 c\n  - Depends on: 2.3\n";
    let message = "tasks.md:3: 2.3 depends on 9.9, which is not in this list (did you mean 9.1?)";
    refused(text, &[], message);
    warned(
        text,
        &["--missing", "warn"],
        &format!("{message}: taken as not done"),
    );
    let planned = |how: &str| plan(text, &["--missing", how, "--tsv"]).1.lines().count() - 1;
    assert_eq!((planned("warn"), planned("done")), (1, 3));
    // An issue of another tracker may be elsewhere on purpose.
    let dir = tempfile::tempdir().unwrap();
    let issue = r#"{"id":"a-1","title":"x","issue_type":"task","status":"open","dependencies":[{"issue_id":"a-1","depends_on_id":"other-7","type":"blocks"}]}"#;
    fs::write(dir.path().join("issues.jsonl"), issue).unwrap();
    let (status, out, said) = run(dir.path(), &["plan", "issues.jsonl", "-n", "1"], "");
    assert_eq!(status, 0, "{said}");
    assert!(
        out.contains("a-1 depends on other-7, which is not in this list"),
        "{out}"
    );
}

#[test]
fn a_dependency_on_what_will_never_be_done_is_satisfied_or_blocks() {
    let text = r#"{"tasks":[{"id":3,"title":"a","status":"cancelled","dependencies":[]},
{"id":4,"title":"b","status":"pending","dependencies":[3]}]}"#;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tasks.json"), text).unwrap();
    for (how, other, count) in [("satisfied", "blocked", 2), ("blocked", "satisfied", 1)] {
        let args = ["plan", "tasks.json", "-n", "1", "--cancelled", how];
        let out = run(dir.path(), &args, "").1;
        let line = format!(
            "note: tasks.json:2: 4 waits for 3, which is cancelled: treating as {how} (--cancelled={other})"
        );
        assert!(out.lines().any(|l| l == line), "{out}");
        let tsv = run(dir.path(), &[&args[..], &["--tsv"]].concat(), "").1;
        assert_eq!(tsv.lines().count(), count, "{tsv}");
    }
    warned(
        "- [ ]* 3. a\n- [ ] 4. b\n  - Depends on: 3\n",
        &["--skip-optional"],
        "tasks.md:3: 4 waits for 3, which is optional and left out: treating as satisfied",
    );
}

#[test]
fn a_doubled_id_is_told_and_refused_where_something_refers_to_it() {
    let text = "- [ ] 9.3 a\n- [ ] 9.3 b\n";
    warned(
        text,
        &[],
        "tasks.md:2: duplicate id 9.3 (lines 1, 2): the later is called 9.3@2",
    );
    assert!(plan(text, &["--tsv"]).1.contains("9.3@2\t"));
    refused(
        "- [ ] 9.3 a\n- [ ] 9.3 b\n- [ ] 9.4 c\n  - Depends on: 9.3\n",
        &[],
        "tasks.md:2: duplicate id 9.3 (lines 1, 2), and a dependency names it",
    );
}

#[test]
fn a_damaged_wave_graph_is_told_by_its_line() {
    let list = |graph: &str| {
        format!("- [ ] 1. a\n- [ ] 2. b\n  - Depends on: 1\n\n```json\n{graph}\n```\n")
    };
    refused(
        &list("{\"waves\": [{\"tasks\": [\"1\",]}]}"),
        &[],
        "tasks.md:6: the wave graph is not JSON: column 27: expected a value",
    );
    refused(
        &list("{\"waves\": [{\"tasks\": [\"1\", \"2\"]},\n{\"tasks\": [\"2.1\"]}]}"),
        &[],
        "tasks.md:7: the wave graph names 2.1, which is not in this list",
    );
    warned(
        &list("{\"waves\": [{\"tasks\": [\"1\", \"2\"]},\n{\"tasks\": [\"2\"]}]}"),
        &[],
        "tasks.md:7: 2 is in two waves (also line 6): the later one counts",
    );
    refused(
        &list("{\"waves\": [{\"tasks\": [\"2\"]},\n{\"tasks\": [\"1\"]}]}"),
        &[],
        "tasks.md:3: 2 depends on 1, but the waves place it earlier (line 6: wave 0, line 7: wave 1)",
    );
}

#[test]
fn a_text_without_boxes_says_what_it_has_instead() {
    refused(
        "# Plan\n#### TASK-001\ntext\n#### TASK-002\n",
        &[],
        "tasks.md: no tasks found (0 checkboxes; 2 headings look like tasks: \"#### TASK-001\")",
    );
}

#[test]
fn unknown_states_are_told_once_and_unclosed_fences_with_what_they_hide() {
    warned(
        "- [S] 1. a\n- [S] 2. b\n- [ ] 3. c\n",
        &[],
        "tasks.md:1: unknown state [S], read as not begun (2 boxes in all)",
    );
    warned(
        "- [ ] 1. a\n```\n- [ ] 2. b\n- [ ] 3. c\n",
        &[],
        "tasks.md:2: fence opened at line 2 never closed: 2 boxes inside ignored",
    );
}

#[test]
fn every_kind_of_bytes_is_read_or_refused() {
    let (status, out, _) = plan(
        "\u{feff}- [ ] 1. a\r\n\t- [ ] 1.1 b\r\n  - [ ] 1.2 日本語\r\n",
        &["--tsv"],
    );
    assert_eq!((status, out.lines().count()), (0, 3), "{out}");
    assert!(out.contains("日本語"), "{out}");
    refused(
        "- [ ] 1. a\n- [ ] 2. b\0\n",
        &[],
        "tasks.md:2: a NUL byte: this is no text file",
    );
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.md"), b"- [ ] 1. caf\xe9\n").unwrap();
    let out = run(dir.path(), &["plan", "x.md", "-n", "1", "--tsv"], "").1;
    assert!(out.contains("caf\\xe9"), "{out}");
}

#[test]
fn without_agents_or_work_it_says_so() {
    refused("- [ ] 1. a\n", &["-n", "0"], "no agent available (0 given)");
    let (status, out, _) = plan("- [x] 1. a\n- [x] 2. b\n", &[]);
    assert_eq!((status, out.as_str()), (0, "all 2 tasks done\n"));
    let (status, out, _) = plan("- [x] 1. a\n", &["--json"]);
    let plan: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, plan["total_tasks"].as_u64()), (0, Some(0)));
}

#[test]
fn a_need_that_nobody_meets_is_told_with_who_comes_nearest() {
    let text = "- [ ] 5.1 a\n  - Needs: swift\n- [ ] 5.2 b\n  - Needs: ios\n";
    let agents = ["--agents", "kiro-1:rust,kiro-3:swift"];
    let line = "tasks.md:3: 5.2 needs \"ios\"; no agent offers it (nearest: kiro-1 offers rust)";
    refused(text, &agents, line);
    warned(text, &[&agents[..], &["--partial"]].concat(), line);
}

#[test]
fn impossible_wishes_are_refused_with_the_wish() {
    let text = "- [ ] 1. a\n- [ ] 2. b\n  - Depends on: 1\n  - Needs: ios\n";
    let crew = ["--agents", "kiro-1:ios,kiro-2:rust"];
    let with = |wish: &[&str]| plan(text, &[&crew[..], wish].concat());
    let (status, _, said) = with(&["--pin", "2=kiro-3"]);
    assert_eq!(status, 3);
    assert!(
        said.starts_with(
            "swarm-assign: --pin 2=kiro-3: no agent \"kiro-3\"\nhint: did you mean kiro-"
        ),
        "{said}"
    );
    let (status, _, said) = with(&["--pin", "7=kiro-1"]);
    assert_eq!(status, 3);
    assert!(
        said.starts_with("swarm-assign: --pin 7=kiro-1: no task \"7\" in this list"),
        "{said}"
    );
    let (status, _, said) = with(&["--pin", "2=kiro-2"]);
    assert_eq!(status, 2);
    assert!(
        said.contains("tasks.md:2: 2 is pinned to kiro-2, who does not offer \"ios\""),
        "{said}"
    );
    let (status, _, said) = with(&["--pin", "2=kiro-1", "--not", "2=kiro-1"]);
    assert_eq!(status, 2);
    assert!(
        said.contains("2 is pinned to kiro-1 and forbidden to it as well"),
        "{said}"
    );
    let (status, _, said) = with(&["--after", "1", "2"]);
    assert_eq!(status, 2);
    assert!(
        said.contains("dependency cycle: 1 -> 2 -> 1 (edges from lines 3, --after)"),
        "{said}"
    );
    let (status, _, said) = with(&["--pool", "build=0"]);
    assert_eq!(status, 2);
    assert!(said.contains("expected NAME=N, N at least 1"), "{said}");
}

#[test]
fn estimates_that_are_none_are_refused_with_their_line() {
    for (text, why) in [
        ("NaN", "it is no finite number"),
        ("inf", "it is no finite number"),
        ("-5 min", "it is negative"),
        ("3 pts", "its unit is no length of time"),
        ("1e300 h", "it is longer than 999999999 days"),
    ] {
        let line = format!("tasks.md:2: estimate of 1: {text:?} is no length of time: {why}");
        refused(
            &format!("- [ ] 1. a\n  - **Estimate**: {text}\n"),
            &[],
            &line,
        );
    }
    let (status, out, _) = plan(
        "- [ ] 1. a\n  - **Estimate**: 0 min\n- [ ] 2. b\n  - **Estimate**: 2d\n",
        &["--tsv"],
    );
    assert_eq!(status, 0);
    assert!(out.contains("2\tkiro-1\t0\t172800000\t"), "{out}");
    let long: String = (1..3000)
        .map(|n| format!("- [ ] {n}. a\n  - **Estimate**: 999999999 days\n"))
        .collect();
    refused(&long, &[], "the estimates together are too long to count");
}

#[test]
fn more_agents_than_tasks_are_fine_and_named() {
    warned(
        "- [ ] 1. a\n",
        &["-n", "3"],
        "nothing to do for kiro-2, kiro-3",
    );
}

#[test]
fn a_done_task_that_waits_for_an_open_one_is_told_and_the_bond_is_kept() {
    let text = "- [ ] 1. a\n  - Dependencies: None\n- [x] 2. b\n  - Depends on: 1\n- [ ] 3. c\n  - Depends on: 2\n";
    warned(
        text,
        &[],
        "tasks.md:4: 2 is done, though 1, which it depends on, is not",
    );
    let out = plan(text, &["--json"]).1;
    let plan: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(plan["tasks"][1]["after"], serde_json::json!(["1"]));
}

#[test]
fn work_in_progress_without_a_sign_of_life_is_planned_again() {
    let text = "- [-] 1. a\n- [ ] 2. b\n";
    warned(
        text,
        &["--stale-after", "0s"],
        "tasks.md:1: 1 is marked as in progress, but nobody was heard of: taken as not begun",
    );
    warned(
        text,
        &["--stale-after", "2h"],
        "tasks.md:1: 1 is in progress: it is left out, with what waits for it",
    );
}

#[test]
fn two_lists_of_one_spec_are_told_apart_by_their_paths() {
    let dir = tempfile::tempdir().unwrap();
    for place in ["a/.kiro/specs/login", "b/.kiro/specs/login"] {
        fs::create_dir_all(dir.path().join(place)).unwrap();
        fs::write(dir.path().join(place).join("tasks.md"), "- [ ] 1. a\n").unwrap();
    }
    let (status, out, _) = run(dir.path(), &["plan", ".", "-n", "2"], "");
    assert_eq!(status, 0);
    assert!(out.contains("a/.kiro/specs/login/1"), "{out}");
    assert!(out.contains("note: b/.kiro/specs/login/tasks.md: defines the spec \"login\", as a/.kiro/specs/login/tasks.md does: their tasks are named by path"), "{out}");
}

#[test]
fn what_is_no_list_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    for (operand, line) in [
        ("-", "standard input is empty"),
        (
            "nowhere.md",
            "\"nowhere.md\": there is no such file or directory",
        ),
        (".", "\".\": no task list in this directory"),
    ] {
        let (status, out, said) = run(dir.path(), &["plan", operand, "-n", "1"], "");
        assert_eq!((status, out.as_str()), (2, ""));
        assert_eq!(
            said.lines().next(),
            Some(format!("swarm-assign: {line}").as_str()),
            "{said}"
        );
        assert!(
            said.lines()
                .nth(1)
                .is_none_or(|hint| hint.starts_with("hint: expected")),
            "{said}"
        );
    }
}

#[test]
fn the_pipe_takes_our_own_lines_with_their_durations_and_dependencies() {
    let dir = tempfile::tempdir().unwrap();
    let input = "{\"id\":\"a\",\"description\":\"first\",\"estimated_duration\":\"PT10M\"}\n{\"id\":\"b\",\"description\":\"second\",\"dependencies\":[\"a\"],\"estimated_duration\":\"PT1H30M\"}\n";
    let (status, out, _) = run(dir.path(), &["plan", "-", "-n", "2", "--json"], input);
    let plan: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status, 0);
    assert_eq!(plan["estimated_completion_time"], "PT1H40M");
    assert_eq!(plan["critical_path"], serde_json::json!(["a", "b"]));
    let first: Vec<&str> = out[1..].split("\":").take(1).collect();
    assert_eq!(first, ["\"plan_id"]);
    let again = run(dir.path(), &["plan", "-", "-n", "2", "--json"], input).1;
    assert_eq!(out, again);
}

#[test]
fn every_strategy_gives_another_plan_and_its_gap() {
    let text: String = (1..=12)
        .map(|n| {
            let needs = if n % 3 == 0 { "\n  - Needs: gpu" } else { "" };
            format!(
                "- [ ] {n}. t{needs}\n  - Dependencies: {}\n  - **Estimate**: {} min\n",
                if n > 4 {
                    (n - 4).to_string()
                } else {
                    "None".to_owned()
                },
                (n * 7) % 13 + 1
            )
        })
        .collect();
    let mut seen = BTreeMap::new();
    for strategy in [
        "round_robin",
        "load_balanced",
        "dependency_aware",
        "capability_based",
    ] {
        let args = [
            "--agents",
            "a:gpu,b:rust,c:gpu+rust",
            "--strategy",
            strategy,
            "--json",
        ];
        let plan: Value = serde_json::from_str(&plan(&text, &args).1).unwrap();
        assert_eq!(plan["strategy_used"], strategy);
        assert!(plan["gap"].as_f64().unwrap() >= 0.0);
        seen.insert(plan["instance_assignments"].to_string(), strategy);
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

/// Our own lists, one of each form, modelled on the public templates.
const FIXTURES: [(&str, Format); 12] = [
    ("kiro/tasks.md", Format::Kiro),
    ("waves/tasks.md", Format::Kiro),
    ("cc-sdd/tasks.md", Format::CcSdd),
    ("speckit/tasks.md", Format::SpecKit),
    ("taskmaster/tasks.json", Format::Taskmaster),
    ("beads/issues.jsonl", Format::Beads),
    ("openspec/changes/add-search/tasks.md", Format::OpenSpec),
    ("bmad/1-2-login.md", Format::Bmad),
    ("claude/3.json", Format::Claude),
    ("ralph/prd.json", Format::Ralph),
    ("github/todo.md", Format::Github),
    ("ours/tasks.jsonl", Format::Ours),
];

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/tasks/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_list_of_each_form_is_known_and_planned() {
    for (name, format) in FIXTURES {
        let list = task::read(name, &fixture(name), None);
        assert_eq!(list.sources[0].format, format, "{name}");
        assert!(
            list.tasks.iter().filter(|task| task.is_work()).count() >= 2,
            "{name}"
        );
        planned(name, list);
    }
}

/// Lists as their tools and people really write them, each with something unusual: the form, the
/// file, its text, the work in it, who waits for whom by what it declares, and what is left out.
const ODD: &[(Format, &str, &str, &str, &str, &str)] = &[
    (
        Format::Kiro,
        "kiro/tasks.md",
        "# Implementation Plan\n\n- [ ] 1. Types in `src/types.ts`\n- [x] 2. Models\n  - [x] 2.1 Core\n  - [-] 2.2 User\n    - _Dependencies: 2.1_\n  - [ ]* 2.3 Tests\n- [ ] 3. Checkpoint - Ensure all tests pass.\n- [ ] 4. Store\n\t- [ ] 4.1 Connection\n\t\t- _Depends on: Task 2.2, 9.9_\n\t- [ ] 4.2 Repository\n\t\t- **Dependencies:** Tasks 4.1 and 2.2\n* [ ] 5. Wire\n+ [ ] 6. Deploy\n",
        "1 2.1 2.2 2.3 3 4.1 4.2 5 6",
        "2.1>2.2 2.2>4.1 4.1>4.2 2.2>4.2",
        "4.1",
    ),
    (
        Format::Kiro,
        "waves first, a map of edges, no Latin letters",
        "# Implementation Plan\n\n## Task Dependency Graph\n```json\n{\"waves\":[{\"wave\":1,\"name\":\"base\",\"parallel\":true,\"tasks\":[1,2],\"dependsOn\":[]},{\"wave\":2,\"tasks\":[\"3.1\",\"3.2\"],\"dependsOn\":{\"3.1\":[\"1\"],\"3.2\":[\"2\"]}},{\"tasks\":[\"4\"]}]}\n```\n\n- [ ] 1. 設定を読み込む\n- [ ] 2. 스키마\n- [ ] 3. 服务\n  - [ ] 3.1 Auth\n  - [ ] 3.2 Mail\n- [ ] 4. Tài liệu\n",
        "1 2 3.1 3.2 4",
        "1>3.1 2>3.2",
        "",
    ),
    (
        Format::CcSdd,
        ".kiro/specs/a/tasks.md",
        "# Implementation Plan\n\n- [ ] 1. Foundation\n- [x] 1.1 (P) Config\n  - _Boundary: ConfigService_\n- [ ] 1.2 Pool (P)\n  - _Boundary: Db_\n- [ ] 2. Core\n- [ ] 2.1 API (P)\n  - _Depends: 1.1_\n  - _Boundary: Api_\n- [ ] 2.2 UI\n  - _Blocked: waiting for the design_\n- [ ]* 3. End to end\n",
        "1.1 1.2 2.1 2.2 3",
        "1.1>2.1",
        "2.2",
    ),
    (
        Format::SpecKit,
        "specs/001-albums/tasks.md",
        "\u{feff}---\r\ndescription: \"Task list\"\r\n---\r\n\r\n# Tasks: Albums\r\n\r\n## Format: `[ID] [P?] [Story] Description`\r\n\r\n- **[P]**: Can run in parallel\r\n\r\n## Phase 1: Setup\r\n\r\n- [ ] T001 Create the project\r\n- [X] T002 [P] Linting\r\n\r\n## Phase 3: User Story 1 (Priority: P1) \u{1f3af} MVP\r\n\r\n- [ ] T012 [P] [US1] Album in src/models/album.py\r\n- [ ] T013 [P] [US1] Photo in src/models/photo.py\r\n- [ ] T014 [US1] Service in src/service.py (depends on T012, T013)\r\n\r\n## Phase N: Polish\r\n\r\n- [ ] T016 Clean up\r\n\r\n```bash\r\n- [ ] T099 an example\r\n",
        "T001 T002 T012 T013 T014 T016",
        "T012>T014 T013>T014",
        "",
    ),
    (
        Format::Taskmaster,
        ".taskmaster/tasks/tasks.json",
        r#"{"master":{"tasks":[
{"id":1,"title":"Init","priority":"high","dependencies":[],"status":"done","subtasks":[],"complexity":3},
{"id":2,"title":"API","status":"pending","dependencies":["1"],"subtasks":[{"id":1,"title":"Routes","status":"review","dependencies":[],"parentTaskId":2},{"id":2,"title":"Tests","status":"pending","dependencies":[1,"1"]},{"id":"2.3","title":"Docs","status":"pending","dependencies":["2.2"]}]},
{"id":3,"title":"Later","status":"pending","dependencies":[2],"subtasks":[]}],"metadata":{"version":"1"}},
"other":{"tasks":[{"id":1,"title":"Apart","status":"pending","dependencies":[],"subtasks":[]}],"metadata":{}}}"#,
        "master/1 master/2.1 master/2.2 master/2.3 master/3 other/1",
        "master/1>master/2 master/2.1>master/2.2 master/2.2>master/2.3 master/2>master/3",
        "",
    ),
    (
        Format::Taskmaster,
        "tasks.json of before there were tags",
        r#"{"meta":{"projectName":"p"},"tasks":[{"id":"1","title":"a","status":"completed","dependencies":[]},{"id":2,"title":"b","status":"pending","dependencies":["1"]}]}"#,
        "1 2",
        "1>2",
        "",
    ),
    (
        Format::Beads,
        ".beads/issues.jsonl",
        r#"{"id":"bd-a3f8","title":"Epic","status":"open","priority":0,"issue_type":"epic"}
{"id":"bd-a3f8.1","title":"One in src/a.go","status":"in_progress","assignee":"alice","issue_type":"task","estimated_minutes":30,"dependencies":[{"issue_id":"bd-a3f8.1","depends_on_id":"bd-a3f8","type":"parent-child"}]}
{"id":"bd-a3f8.2","title":"Two","status":"open","issue_type":"bug","labels":["needs:rust"],"dependencies":[{"issue_id":"bd-a3f8.2","depends_on_id":"bd-a3f8.1","type":"blocks"},{"issue_id":"bd-a3f8.2","depends_on_id":"bd-zz","type":"discovered-from"}]}
{"id":"bd-3","title":"If that fails","status":"open","issue_type":"task","dependencies":[{"issue_id":"bd-3","depends_on_id":"bd-a3f8.2","type":"conditional-blocks"}]}
{"id":"bd-4","title":"Gather","status":"open","issue_type":"task","dependencies":[{"issue_id":"bd-4","depends_on_id":"bd-a3f8","type":"waits-for"}]}
{"id":"bd-5","title":"Not yet","status":"open","issue_type":"task","defer_until":"2999-01-01T00:00:00Z"}
"#,
        "bd-a3f8.1 bd-a3f8.2 bd-3 bd-4 bd-5",
        "bd-a3f8.1>bd-a3f8.2 bd-a3f8.2>bd-3 bd-a3f8>bd-4",
        "bd-5 bd-3",
    ),
    (
        Format::OpenSpec,
        "openspec/changes/add-2fa/tasks.md",
        "## 1. Database\n- [x] 1.1 Secret column\n- [ ] 1.2 Log table\n\n## 2. Backend  \n- [ ] 2.1 Endpoint\n- [ ] 2.2 Login\n",
        "1.1 1.2 2.1 2.2",
        "",
        "",
    ),
    (
        Format::OpenSpec,
        "openspec/changes/add-search/tasks.md",
        "## Implementation\n- [ ] Parse the query\n- [x] Rank\n- [ ] Show\n",
        "1 2 3",
        "",
        "",
    ),
    (
        Format::Bmad,
        "1-1-user-auth.md",
        "# Story 1.1: User auth\n\nStatus: in-progress\n\n## Acceptance Criteria\n1. One\n\n## Tasks / Subtasks\n\n- [ ] Task 1 (AC: #1)\n  - [ ] Read the config\n  - [ ] Write tests\n- [ ] Task 2: Login form (AC: #2, #3)\n  - [ ] Subtask 2.1: Fields\n  - [ ] Without a number\n\n## Dev Notes\n",
        "1 2 2.1",
        "",
        "",
    ),
    (
        Format::Bmad,
        "sprint-status.yaml",
        "# generated: 2026-01-01\nproject: x\ndevelopment_status:\n  epic-1: in-progress\n  1-1-user-auth: done\n  1-2-account: ready-for-dev # soon\n  epic-1-retrospective: optional\n",
        "1-1-user-auth 1-2-account epic-1-retrospective",
        "",
        "",
    ),
    (
        Format::Claude,
        "7.json",
        r#"[{"id":"1","subject":"Explore","activeForm":"Exploring","status":"completed","blocks":["2"],"blockedBy":[]},
{"id":"2","subject":"Build src/x.py","description":"","status":"pending","blocks":[],"blockedBy":[],"metadata":{"k":1}},
{"id":"3","subject":"Test","status":"pending","owner":"bob","blocks":[],"blockedBy":["2"]}]"#,
        "1 2 3",
        "1>2 2>3",
        "",
    ),
    (
        Format::Ralph,
        "prd.json",
        r#"{"project":"MyApp","branchName":"ralph/priority","userStories":[
{"id":"US-001","title":"Column","description":"As a developer","acceptanceCriteria":["Typecheck passes"],"priority":1,"passes":true,"notes":""},
{"id":"US-002","title":"Show","acceptanceCriteria":[],"priority":2,"passes":false,"dependsOn":["US-001"]},
{"id":"US-003","title":"Sort","acceptanceCriteria":[],"priority":1,"passes":false}]}"#,
        "US-001 US-003 US-002",
        "US-001>US-002",
        "",
    ),
    (
        Format::Github,
        "issue.md",
        "### Roadmap\n- [ ] #739\n- [ ] https://github.com/octo-org/octo-repo/issues/740\n- [x] ~~dropped~~\n1. [ ] numbered\n2. [x] numbered, done\n   - [ ] below a number\n> - [ ] quoted\n",
        "1 2 3 4 6",
        "",
        "",
    ),
    (
        Format::Ours,
        "lines.jsonl",
        "{\"id\":\"a\",\"description\":\"Set up\",\"estimated_duration\":\"PT1H30M\",\"dependencies\":[],\"later\":true}\n\n{\"id\":\"b\",\"description\":\"Use\",\"estimated_duration\":\"P1DT2H\",\"dependencies\":[\"a\",\"a\"],\"status\":\"failed\"}\n",
        "a b",
        "a>b",
        "",
    ),
];

#[test]
fn odd_lists_of_each_form_are_read_as_they_are_meant() {
    for (format, file, text, work, waits, left_out) in ODD {
        let list = task::read(file, text.as_bytes(), None);
        assert_eq!(list.sources[0].format, *format, "{file}");
        let list = merge::merge(vec![list]);
        let works = list.tasks.iter().filter(|task| task.is_work());
        let works: Vec<&str> = works.map(|task| task.id.as_str()).collect();
        assert_eq!(works.join(" "), *work, "{file}");
        let mut edges = Vec::new();
        for edge in &list.edges {
            if let (task::Node::Task(from), task::Node::Task(to), task::Why::Depends) =
                (edge.from, edge.to, edge.why)
            {
                let edge = format!("{}>{}", list.tasks[from].id, list.tasks[to].id);
                if !edges.contains(&edge) {
                    edges.push(edge);
                }
            }
        }
        assert_eq!(edges.join(" "), *waits, "{file}");
        let policy = Policy {
            missing: Absent::Warn,
            cancelled: Given::Satisfied,
            skip_optional: false,
        };
        let (_, held) = lint::check(&list, policy);
        let held = lint::put_off(&list, &|time| time.starts_with("2999"))
            .into_iter()
            .chain(held);
        let held: Vec<&str> = held.map(|(task, _)| list.tasks[task].id.as_str()).collect();
        assert_eq!(held.join(" "), *left_out, "{file}");
        planned(file, task::read(file, text.as_bytes(), None));
    }
}

/// Goes the whole way with a list: order, checks, plan, all forms of output. The plan must be one.
fn planned(what: &str, list: task::List) {
    let policy = Policy {
        missing: Absent::Warn,
        cancelled: Given::Satisfied,
        skip_optional: false,
    };
    let plain = merge::merge(vec![list]);
    for order in Order::ALL {
        let mut list = plain.clone();
        task::order::apply(&mut list, order, &|_| false);
        let (_, held) = lint::check(&list, policy);
        let mut options = Options::new(Agent::numbered(3));
        options.held = held;
        options.partial = true;
        options.effort = Effort::NONE;
        let Ok(plan) = assign::plan(&list, &options) else {
            // What the list says of itself goes round in a circle; the order never does.
            assert!(assign::plan(&plain, &options).is_err(), "{what}: {order:?}");
            continue;
        };
        let finish: BTreeMap<&str, u64> = plan
            .tasks
            .iter()
            .map(|t| (t.id.as_str(), t.finish_ms))
            .collect();
        for task in &plan.tasks {
            for before in &task.after {
                assert!(
                    finish[before.as_str()] <= task.start_ms,
                    "{what}: {order:?}"
                );
            }
        }
        assert!(plan.lower_bound_ms <= plan.makespan_ms);
        for text in [
            assign::svg(&plan),
            assign::dot(&plan),
            assign::mermaid(&plan),
            assign::table(&plan),
        ] {
            assert!(!text.is_empty());
        }
    }
}

#[test]
fn no_damaged_list_of_any_form_makes_it_panic() {
    // SPORE_MUTATIONS=1000000 for a night.
    let rounds = std::env::var("SPORE_MUTATIONS").ok();
    let strict = std::env::var_os("SPORE_TEST_STRICT").is_some_and(|strict| strict == "1");
    let some = if strict { 2400 } else { 240 };
    let rounds: usize = rounds.and_then(|n| n.parse().ok()).unwrap_or(some);
    let mut seed = 0x5eed_u64;
    let mut random = move |limit: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % limit.max(1)
    };
    let all: Vec<(&str, Vec<u8>)> = FIXTURES
        .iter()
        .map(|(name, _)| (*name, fixture(name)))
        .collect();
    const BITS: [&[u8]; 16] = [
        b"- [ ] ",
        b"\n",
        b"```\n",
        b"<!--",
        b"1.1",
        b"T001 ",
        b"[P] ",
        b"_Depends on: 1_",
        b"{\"waves\":[[\"1\"]]}",
        b"\"",
        b"}",
        b"[",
        b"\xff",
        b"  ",
        b"Estimate: 1e99 h\n",
        b"\r",
    ];
    for round in 0..rounds {
        let (name, bytes) = &all[round % all.len()];
        let mut bytes = bytes.clone();
        for _ in 0..=random(6) {
            let at = random(bytes.len());
            match random(5) {
                0 => drop(bytes.splice(at..at, BITS[random(BITS.len())].iter().copied())),
                1 => drop(bytes.drain(at..(at + random(40)).min(bytes.len()))),
                2 => {
                    let to = (at + random(120)).min(bytes.len());
                    let piece = bytes[at..to].to_vec();
                    let into = random(bytes.len());
                    drop(bytes.splice(into..into, piece));
                }
                3 => bytes.truncate(at.max(1)),
                _ => bytes[at] = random(256) as u8,
            }
            if bytes.is_empty() {
                bytes.push(b'-');
            }
        }
        let format = Format::ALL[random(Format::ALL.len())];
        let list = task::read(name, &bytes, (round % 3 == 0).then_some(format));
        planned(name, list);
    }
}

#[test]
fn large_lists_are_linear_and_the_largest_say_their_limit() {
    let dir = tempfile::tempdir().unwrap();
    // A chain, a fan-in, one line of a million characters, ten thousand boxes within each other.
    let chain: String = (0..20_000)
        .map(|n| {
            format!(
                "{{\"id\":\"t{n}\",\"description\":\"x\",\"dependencies\":[\"t{}\"]}}\n",
                n.max(1) - 1
            )
        })
        .collect::<String>()
        .replacen("[\"t0\"]", "[]", 1);
    let names: Vec<String> = (1..20_000).map(|n| format!("\"t{n}\"")).collect();
    let fan: String = (1..20_000)
        .map(|n| format!("{{\"id\":\"t{n}\",\"description\":\"x\"}}\n"))
        .collect();
    let fan = format!(
        "{fan}{{\"id\":\"end\",\"description\":\"x\",\"dependencies\":[{}]}}\n",
        names.join(",")
    );
    let wide = format!("- [ ] 1. {}\n- [ ] 2. b\n", "long ".repeat(200_000));
    let deep: String = (0..5000)
        .map(|n| format!("{}- [ ] x\n", " ".repeat(n)))
        .collect();
    for (what, text) in [
        ("chain", chain),
        ("fan", fan),
        ("wide", wide),
        ("deep", deep),
    ] {
        let file = dir.path().join(what);
        fs::write(&file, text).unwrap();
        let (status, out, said) = run(
            dir.path(),
            &["plan", what, "-n", "4", "--effort", "0", "--tsv"],
            "",
        );
        assert_eq!(status, 0, "{what}: {said}");
        assert!(out.lines().count() > 1, "{what}");
    }
}
