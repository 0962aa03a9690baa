//! Worked lines, and the laws.

use proptest::prelude::*;

use super::*;
use crate::action::{EXTENSION_NOUNS, EXTENSION_VERBS, NOUNS, VERBS};

/// Lines and the canonical text that they are read as.
const READ: &[(&str, &str)] = &[
    // R1: decoration, quotes, dashes
    ("- [ ] run task 2.1", "run task task_id=2.1"),
    ("$ run task 2.1;", "run task task_id=2.1"),
    ("!stop instance kiro-4", "stop instance instance_id=kiro-4"),
    (
        "\"restart instance kiro-4\"",
        "restart instance instance_id=kiro-4",
    ),
    ("run task ‘blue moon’", "run task task_id=\"blue moon\""),
    ("run task `x;y`", "run task task_id=x;y"),
    ("run task 9 –– dry–run", "run task dry-run task_id=9"),
    ("run\u{a0}task\u{3000}9", "run task task_id=9"),
    (
        "run task 9 reason=\"a\tb\"",
        "run task task_id=9 reason=\"a\\tb\"",
    ),
    // R2: what may stand before the verb
    ("ok, the swarm: pause", "pause swarm"),
    ("for the swarm, status please", "status swarm"),
    ("git sync", "sync branch"),
    ("now and gracefully pause kiro-4", ""),
    // R3, R4: nouns
    (
        "inspect health of instance kiro-4",
        "status instance health instance_id=kiro-4",
    ),
    ("swarm health check", "status swarm health"),
    ("sync all", "sync branches all"),
    ("resume", "resume instance"),
    ("rollback batch-9", "rollback integration batch_id=batch-9"),
    ("git merge topic", "merge branch branch_name=topic"),
    // R5: modifiers
    ("kill every active worker", "stop instance all"),
    ("pause all of the running agents", "pause instances all"),
    ("increase agents by 2", "scale instances up by=2"),
    (
        "run task 9 beast‑mode, dry run",
        "run task beast-mode dry-run task_id=9",
    ),
    ("run task 9 +launch", "run task +launch task_id=9"),
    ("run task parse", "run task task_id=parse"),
    // R6: values
    (
        "scale service web twelve",
        "scale service service_name=web count=12",
    ),
    (
        "restart the release service",
        "restart service service_name=release",
    ),
    (
        "run tasks a, i and a",
        "run task task_ids:=[\"a\",\"i\",\"a\"]",
    ),
    ("show metrics of task-9", "status metrics task_id=task-9"),
    (
        "alert task 9 \"too slow\"",
        "alert task task_id=9 message=\"too slow\"",
    ),
    (
        "run task 9 on the instance named kiro-4",
        "run task task_id=9 instance_id=kiro-4",
    ),
    (
        "stop instances kiro-1 and instance kiro-2",
        "stop instances instance_ids:=[\"kiro-1\",\"kiro-2\"]",
    ),
    ("run task 9 task_id=9", "run task task_id=9"),
    // R7: parameters
    ("run task 9 timeout = 90", "run task task_id=9 timeout=90"),
    (
        "run task 9 timeout of two hours",
        "run task task_id=9 timeout=7200",
    ),
    ("run task 9 timeout=1.5m", "run task task_id=9 timeout=90"),
    ("run task 9 Task-Id=9", "run task task_id=9"),
    (
        "run task 9 x := {\"a\": [1, 2]}",
        "run task task_id=9 x:={\"a\":[1,2]}",
    ),
    (
        "stop kiro-4 preserve_state=yes",
        "stop instance instance_id=kiro-4 preserve_state=true",
    ),
    (
        "run task 9 \"odd name\"=1",
        "run task task_id=9 \"odd name\"=1",
    ),
    (
        "run https://x.org/?q=1",
        "run task task_id=https://x.org/?q=1",
    ),
    // R8: prepositions
    ("switch over to nats", ""),
    ("switch to nats", "switch protocol target=nats"),
    (
        "deploy web to test",
        "deploy service service_name=web target=test",
    ),
    (
        "reassign from the kiro-1 instance to kiro-2",
        "reassign task from_instance=kiro-1 to_instance=kiro-2",
    ),
    (
        "merge feature/a into branch main",
        "merge branch branch_name=feature/a target_branch=main",
    ),
    (
        "stop kiro-4 in 10m",
        "stop instance instance_id=kiro-4 delay=600",
    ),
    (
        "watch kiro-4 for ten minutes",
        "monitor instance instance_id=kiro-4 duration=600",
    ),
    ("check on kiro-4", "status instance instance_id=kiro-4"),
    (
        "pause kiro-4 for 90",
        "pause instance instance_id=kiro-4 duration=90",
    ),
];

/// Lines that are refused: code, the word, its column, the suggestion.
const REFUSED: &[(&str, &str, &str, usize, Option<&str>)] = &[
    ("\u{200b} \u{feff}", "empty-command", "", 1, None),
    ("🚀 …", "empty-command", "", 1, None),
    ("run\u{1b} task", "bad-character", "\u{1b}", 4, None),
    ("run task {name}", "placeholder", "{name}", 10, None),
    ("run task 'a", "bad-quote", "'a", 10, Some("run task 'a'")),
    ("run task \"a\\q\"", "bad-quote", "\"a\\q\"", 10, None),
    ("run task 9 -v", "unexpected-word", "-v", 12, None),
    ("run task 9 =5", "bad-parameter", "=5", 12, None),
    (
        "run task 9 x=",
        "bad-parameter",
        "x=",
        12,
        Some("run task 9 x=\"\""),
    ),
    ("scale to many", "bad-value", "many", 10, None),
    (
        "run task 9 timeout=1 timeout=2",
        "duplicate-parameter",
        "timeout=2",
        22,
        None,
    ),
    (
        "run task 9 x:={\"a\":1,\"a\":2}",
        "bad-json",
        "x:={\"a\":1,\"a\":2}",
        12,
        None,
    ),
    (
        "run task 9 @when=now",
        "unknown-envelope",
        "@when=now",
        12,
        None,
    ),
    (
        "depoly service web",
        "unknown-verb",
        "depoly",
        1,
        Some("deploy service web"),
    ),
    (
        "feature/x",
        "unknown-verb",
        "feature/x",
        1,
        Some("status branch feature/x"),
    ),
    (
        "the agents",
        "missing-verb",
        "the",
        1,
        Some("status instances"),
    ),
    ("won't stop kiro-4", "negation", "won't", 1, None),
    ("stop all but kiro-4", "negation", "but", 10, None),
    ("run task 9 once", "condition", "once", 12, None),
    ("has kiro-4 stopped", "question", "has", 1, None),
    ("stop them all", "unresolved-reference", "them", 6, None),
    (
        "run task 9 && status",
        "multiple-commands",
        "status",
        15,
        Some("run task 9\nstatus"),
    ),
    (
        "stop kiro-1, restart kiro-2",
        "multiple-commands",
        "restart",
        14,
        Some("stop kiro-1\nrestart kiro-2"),
    ),
    (
        "stop kiro-1 and restart instances kiro-2",
        "multiple-commands",
        "restart",
        17,
        Some("stop kiro-1\nrestart instances kiro-2"),
    ),
    (
        "restart instnace kiro-4",
        "unknown-noun",
        "instnace",
        9,
        Some("restart instance kiro-4"),
    ),
    (
        "resume nightly",
        "ambiguous-noun",
        "nightly",
        8,
        Some("resume instance nightly"),
    ),
    ("validate", "missing-noun", "validate", 1, None),
    (
        "grow instances down",
        "conflicting-modifiers",
        "down",
        16,
        None,
    ),
    (
        "stop kiro-4 detailed brief",
        "conflicting-modifiers",
        "brief",
        22,
        None,
    ),
    (
        "run task 9 kiro-4",
        "unexpected-word",
        "kiro-4",
        12,
        Some("run task 9 on kiro-4"),
    ),
    (
        "stop instance kiro-1 kiro-2",
        "unexpected-word",
        "kiro-2",
        22,
        Some("stop instances kiro-1 kiro-2"),
    ),
    (
        "alert swarm disk is full",
        "unexpected-word",
        "full",
        21,
        Some("alert swarm \"disk is full\""),
    ),
    (
        "run task branch",
        "unexpected-word",
        "branch",
        10,
        Some("run task \"branch\""),
    ),
    (
        "run task 9 on tuesday",
        "unexpected-word",
        "tuesday",
        15,
        Some("run task 9 on instance tuesday"),
    ),
    ("run task named", "missing-value", "named", 10, None),
    ("parse and run task 9", "unexpected-word", "parse", 1, None),
];

#[test]
fn lines_are_read_by_the_rules() {
    let grammar = Grammar::builtin();
    for (line, canonical) in READ {
        let read = grammar.parse(line).map(|command| grammar.text_of(&command));
        match canonical.is_empty() {
            true => assert!(read.is_err(), "{line}: {read:?}"),
            false => assert_eq!(read.as_deref(), Ok(*canonical), "{line}"),
        }
    }
}

#[test]
fn lines_are_refused_with_code_place_and_a_line_to_type() {
    let grammar = Grammar::builtin();
    for (line, code, at, column, suggestion) in REFUSED {
        let error = grammar.parse(line).expect_err(line);
        let seen = (
            error.code.as_str(),
            error.at.as_str(),
            error.column,
            error.suggestion.as_deref(),
        );
        assert_eq!(seen, (*code, *at, *column, *suggestion), "{line}");
    }
}

#[test]
fn the_core_is_what_the_original_knows() {
    let grammar = Grammar::builtin();
    for (line, code) in [
        ("move task 9 to kiro-1", Code::UnknownVerb),
        ("status of the protocol", Code::UnknownNoun),
        ("rollback batch-9", Code::UnknownNoun),
    ] {
        assert_eq!(
            grammar.parse_tier(line, true).unwrap_err().code,
            code,
            "{line}"
        );
        assert!(grammar.parse(line).is_ok(), "{line}");
    }
    let near = grammar.parse_tier("retri task 9", true).unwrap_err();
    assert_eq!(near.suggestion, None);
}

#[test]
fn the_table_has_nothing_that_no_line_reaches() {
    assert_eq!(Grammar::builtin().lint(), Vec::<String>::new());
}

#[test]
fn the_compiled_table_is_that_of_the_toml() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/grammar/builtin.bin");
    let compiled = Grammar::compile_builtin();
    if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
        std::fs::write(path, &compiled).unwrap();
    }
    let fresh = std::fs::read(path).unwrap() == compiled;
    assert!(
        fresh,
        "{path} is not fresh: run `SNAPSHOTS=overwrite cargo test`"
    );
}

#[test]
fn a_file_adds_words_and_its_mistakes_are_told() {
    let grammar = Grammar::with(
        "[verbs.brew]\nwords = [\"boil\"]\nnouns = [\"service\", \"kettle\"]\n[nouns.kettle]\nslot = \"kettle_id\"\n\
         [params]\nkettle_id = { type = \"id\" }\n[modifiers]\nhot = { words = [\"scalding\"] }\n[allowed]\nbrew = [\"hot\"]\n\
         [shapes]\nkettle = 'k[0-9]+'\n",
    )
    .unwrap();
    let command = grammar.parse("please boil k7 scalding").unwrap();
    assert_eq!(grammar.text_of(&command), "brew kettle hot kettle_id=k7");
    assert_eq!(grammar.check(&command).warnings, Vec::<String>::new());
    assert!(grammar.parse("run task 9").is_ok());
    for (file, why) in [
        (
            "[verbs.brew]\nnouns = [\"kettel\"]\n",
            "\"kettel\" is no noun of the grammar",
        ),
        ("[verb.brew]\n", "line 1: unknown field `verb`"),
        (
            "version = 2\n",
            "version 2 is unknown here: this is version 1",
        ),
        (
            "[nouns.pot]\nwords = [\"job\"]\nslot = \"task_id\"\n",
            "the word \"job\" would mean two things of one kind",
        ),
        (
            "[shapes]\ntask = '(a'\n",
            "the shape \"(a\" is no pattern that is known here",
        ),
        (
            "[allowed]\nrun = [\"hto\"]\n",
            "\"hto\" is no modifier of the grammar",
        ),
    ] {
        let error = Grammar::with(file).expect_err(file).to_string();
        assert!(error.starts_with(why), "{error}");
    }
    let odd = Grammar::with("[verbs.brew]\nwords = [\"never\"]\nnouns = [\"service\"]\n").unwrap();
    assert!(
        odd.lint()
            .iter()
            .any(|found| found.contains("always refused")),
        "{:?}",
        odd.lint()
    );
}

#[test]
fn an_explanation_names_each_word_and_its_rule() {
    let steps = Grammar::builtin()
        .explain("please execute task 2.1 in beast mode")
        .unwrap();
    let seen: Vec<(&str, &str, &str)> = steps
        .iter()
        .map(|step| (step.text.as_str(), step.became.as_str(), step.rule))
        .collect();
    assert_eq!(
        seen,
        [
            ("please", "filler: dropped", "R9"),
            ("execute", "verb run", "R2"),
            ("task", "noun task", "R3"),
            ("2.1", "value of task_id", "R6"),
            ("in", "preposition: says where the next goes", "R8"),
            ("beast mode", "modifier beast-mode", "R5"),
        ]
    );
}

#[test]
fn what_completion_offers_is_read() {
    let grammar = Grammar::builtin();
    let words = |line: &str| -> Vec<String> {
        grammar
            .complete(line)
            .into_iter()
            .map(|(word, _)| word)
            .collect()
    };
    assert_eq!(words("rest"), ["restart"]);
    assert!(words("run ").contains(&"task".to_owned()));
    assert!(words("stop instance kiro-3 ").contains(&"graceful".to_owned()));
    assert!(!words("stop instance kiro-3 graceful ").contains(&"force".to_owned()));
    assert!(words("run task 9 tim").contains(&"timeout=".to_owned()));
    for line in [
        "run ",
        "stop instance kiro-3 ",
        "scale instances up ",
        "status ",
        "alert swarm ",
    ] {
        for word in words(line).iter().filter(|word| !word.ends_with('=')) {
            assert!(
                grammar.parse(&format!("{line}{word}")).is_ok(),
                "{line}{word}"
            );
        }
    }
}

#[test]
fn every_example_of_the_help_is_a_valid_command() {
    let grammar = Grammar::builtin();
    let mut count = 0;
    for verb in VERBS.iter().chain(&EXTENSION_VERBS) {
        for noun in NOUNS.iter().chain(&EXTENSION_NOUNS) {
            let help = grammar.help(&format!("{verb} {noun}")).unwrap();
            for example in help.lines().filter_map(|line| line.strip_prefix("    ")) {
                let command = grammar.parse(example).unwrap();
                assert_eq!((command.verb, command.noun), (*verb, *noun));
                assert!(grammar.check(&command).is_valid(), "{example}");
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count}");
    assert_eq!(
        grammar.help("rnu").unwrap_err(),
        ("rnu".to_owned(), Some("run".to_owned()))
    );
}

#[test]
fn tool_schemas_name_every_pair() {
    let tools = Grammar::builtin().tools().to_string();
    assert!(tools.contains(r#"{"name":"run.task","description":"#));
    assert!(tools.contains(r#""task_id":{"type":"string"}"#));
    serde_json::from_str::<serde_json::Value>(&tools).unwrap();
}

#[test]
fn lines_of_the_original_are_read_in_its_own_way() {
    let grammar = Grammar::builtin();
    let command = grammar
        .parse_reference("run task beast-mode parallel task_id=5 timeout=30.5")
        .unwrap();
    assert_eq!(command.modifiers, ["beast-mode", "parallel"]);
    assert_eq!(command.parameters[0].1, Argument::Int(5));
    let command = grammar
        .parse_reference("stop instance kiro-3 graceful")
        .unwrap();
    assert_eq!(command.modifiers, ["kiro-3", "graceful"]);
    // What it does with each of these was seen there, the slips too.
    for (line, read) in [
        ("execute task abc in beast mode", "run task abc beast-mode"),
        ("RUN TASK abc", "run task abc"),
        ("stop all running threads", "stop instances all"),
        ("halt all active processes", "stop instances all"),
        (
            "please stop instance kiro-3 gracefully",
            "stop instance graceful instance_id=kiro-3",
        ),
        ("kiro-3 stop", "stop instance instance_id=kiro-3"),
        ("git sync upstream", "sync branch upstream"),
        (
            "git sync branch feature/parallel-dev",
            "sync branch parallel all",
        ),
        ("launch the job task-9 now", "run task task_id=task-9"),
        ("merge kiro-1 into main", "merge task task_id=main"),
        ("check cluster", "status swarm"),
        ("run task since=2026-11-23", "run task since=2026-11-23"),
        ("restart service web", "restart service web"),
    ] {
        let command = grammar.parse_reference(line).unwrap();
        let mut said = vec![command.verb.to_owned(), command.noun.to_owned()];
        said.extend(command.modifiers.iter().map(|text| text.to_string()));
        said.extend(command.parameters.iter().map(|(name, value)| {
            format!("{name}={}", value.to_value().to_string().trim_matches('"'))
        }));
        assert_eq!(said.join(" "), read, "{line}");
    }
    for (line, code, at) in [
        ("make tea", Code::UnknownVerb, "make"),
        ("ÜBER run jobs", Code::UnknownNoun, "jobs"),
        ("don't stop instance kiro-3", Code::Negation, "don't"),
        (
            "stop kiro-1 && restart kiro-2",
            Code::MultipleCommands,
            "&&",
        ),
        ("", Code::EmptyCommand, ""),
        ("run task a=1 a=2", Code::DuplicateParameter, "a=2"),
    ] {
        let error = grammar.parse_reference(line).unwrap_err();
        assert_eq!((error.code, error.at.as_str()), (code, at), "{line}");
    }
}

#[test]
fn risk_follows_the_words() {
    let grammar = Grammar::builtin();
    for (line, risk) in [
        ("stop all", Risk::High),
        ("stop kiro-3 force", Risk::High),
        ("stop kiro-3", Risk::Medium),
        ("status", Risk::Low),
    ] {
        assert_eq!(
            grammar.check(&grammar.parse(line).unwrap()).risk,
            risk,
            "{line}"
        );
    }
}

/// Lines that try to make the reader slow, each of about `length` bytes.
fn hostile(length: usize) -> Vec<String> {
    let repeat = |start: &str, part: &str| {
        format!(
            "{start}{}",
            part.repeat((length - start.len()) / part.len())
        )
    };
    let named: String = (0..length / 8).map(|n| format!("k{n:05}=1 ")).collect();
    vec![
        repeat("run task ", "the "),
        repeat("run task abc ", "on the "),
        repeat("stop instances ", "kiro-1 "),
        repeat("stop all ", "running the "),
        repeat("run task ", "task task "),
        repeat("run ", "tsak "),
        repeat("", "run "),
        repeat("run task a ", "; "),
        repeat("run ", "all of "),
        repeat("status ", "health "),
        repeat("pause ", "for 10 "),
        repeat("run task x:=", "["),
        repeat("run task \"", "\\\\"),
        repeat("run task ", "(("),
        repeat("run task ", "'' "),
        repeat("merge ", "conflict "),
        repeat("run task a", "é"),
        repeat("alert swarm ", "disk "),
        format!("run task {}", &named[..length - 16]),
        "x".repeat(length),
        format!("stop {}", "kiro-".repeat((length - 5) / 5)),
    ]
}

#[test]
fn work_grows_with_the_length_and_not_faster() {
    let grammar = Grammar::builtin();
    // The time of this thread on a processor: what else the machine does must not count.
    let spent = || {
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        std::time::Duration::try_from(clock).unwrap_or_default()
    };
    let cost = |line: &str| {
        let start = spent();
        drop(grammar.parse(line));
        spent().saturating_sub(start)
    };
    let (short, long) = (hostile(LINE / 8), hostile(LINE));
    for (short, long) in short.iter().zip(&long) {
        // The best of some runs, so that a cold cache does not count.
        let best = |line: &str| (0..5).map(|_| cost(line)).min().unwrap_or_default();
        let (less, more) = (best(short), best(long));
        assert!(
            more < less * 24 + std::time::Duration::from_millis(250),
            "{less:?} {more:?}: {:.40}",
            long
        );
    }
    assert_eq!(
        grammar.parse(&"x".repeat(LINE + 1)).unwrap_err().code,
        Code::TooLong
    );
}

// ---------------------------------------------------------------- laws

fn verb() -> impl Strategy<Value = String> {
    proptest::sample::select([VERBS.as_slice(), &EXTENSION_VERBS].concat()).prop_map(str::to_owned)
}

fn noun() -> impl Strategy<Value = String> {
    proptest::sample::select([NOUNS.as_slice(), &EXTENSION_NOUNS].concat()).prop_map(str::to_owned)
}

/// Every word of the table, and what is none.
fn word() -> impl Strategy<Value = String> {
    let words: Vec<String> = Grammar::builtin()
        .words
        .iter()
        .map(|word| word.text.to_string())
        .collect();
    prop_oneof![4 => proptest::sample::select(words), 1 => "[a-z0-9=:+.,\"'(é-]{0,6}", 1 => any::<String>()]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0_i64..400).prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |n| Number::try_from(n).ok().map(Value::Number)),
        proptest::sample::select(vec![
            "5m", "true", "yes", "1.5", "007", "-3", "1e5", "no", "a=b", "[x]", "(a"
        ])
        .prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::vec((word(), inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    let known: Vec<String> = Grammar::builtin()
        .parameters
        .iter()
        .map(|known| known.name.clone())
        .collect();
    let odd = vec![
        "@from",
        "taskLabel",
        "TIMEOUT",
        "task-id",
        "a.b",
        "",
        "1x",
        "é",
        "a b",
    ];
    prop_oneof![
        4 => proptest::sample::select(known),
        1 => proptest::sample::select(odd).prop_map(str::to_owned),
        1 => word()
    ]
}

fn action() -> impl Strategy<Value = StructuredAction> {
    let modifiers = proptest::collection::vec(word(), 0..4);
    let parameters = proptest::collection::vec((name(), json()), 0..4);
    (verb(), noun(), modifiers, parameters).prop_map(|(verb, noun, modifiers, parameters)| {
        StructuredAction {
            verb,
            noun,
            modifiers,
            parameters: parameters.into_iter().collect(),
            timestamp: Timestamp::from_unix(0, 0).unwrap(),
            source_instance: "kiro-1".to_owned(),
            correlation_id: "m-1".to_owned(),
            extra: Object::new(),
        }
    })
}

/// Lines made of words that mean something, and of some that do not.
fn line() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        6 => word(),
        2 => proptest::sample::select(vec![
            "kiro-3", "2.1", "feature/x", "timeout=5m", "5", "three", "10 minutes", "\"a b\"", "task_id=9", "and", ",", ";",
            "beast mode", "x:=[1]", "+y", "all running", "@id=m-1", "a", "gracefull", "instnace", "shut down",
        ]).prop_map(str::to_owned),
    ];
    let verb = proptest::sample::select(vec![
        "run", "stop", "status", "scale", "merge", "alert", "reassign", "test", "deploy", "please",
    ]);
    (verb, proptest::collection::vec(part, 0..7))
        .prop_map(|(verb, parts)| format!("{verb} {}", parts.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_text_of_an_action_reads_back_as_the_action(action in action()) {
        struct Same;
        impl Fill for Same {
            fn now(&mut self) -> Option<Timestamp> { Timestamp::from_unix(0, 0) }
            fn uuid(&mut self) -> Option<String> { Some("m-1".to_owned()) }
        }
        let grammar = Grammar::builtin();
        let text = grammar.text(&action);
        let command = match grammar.parse(&text) {
            Ok(command) => command,
            Err(error) => return Err(TestCaseError::fail(format!("{text}: {error}"))),
        };
        prop_assert_eq!(grammar.text_of(&command), text.clone());
        let mut json = String::new();
        command.write_json("1970-01-01T00:00:00Z", "kiro-1", "m-1", &mut json);
        prop_assert_eq!(json, crate::action::Wire::to_json(&action));
        prop_assert_eq!(command.into_action("kiro-1", &mut Same).unwrap(), action, "{}", text);
    }

    #[test]
    fn canonical_text_is_a_fixed_point_and_suggestions_are_read(line in line()) {
        let grammar = Grammar::builtin();
        match grammar.parse(&line) {
            Ok(command) => {
                let text = grammar.text_of(&command);
                let again = grammar.parse(&text);
                let again = again.map(|command| grammar.text_of(&command));
                prop_assert_eq!(again.as_deref(), Ok(text.as_str()), "{}", line);
                prop_assert!(grammar.explain(&line).is_ok());
            }
            Err(error) => {
                prop_assert!(line.get(error.span.clone()).is_some());
                for suggestion in error.suggestion.iter().flat_map(|text| text.lines()) {
                    prop_assert!(grammar.parse(suggestion).is_ok(), "{} suggests {}", line, suggestion);
                }
            }
        }
    }

    #[test]
    fn no_line_breaks_the_reader(line in any::<String>(), parts in proptest::collection::vec(word(), 0..9)) {
        let grammar = Grammar::builtin();
        for line in [line, parts.join(" "), parts.concat()] {
            if let Err(error) = grammar.parse(&line) {
                prop_assert!(line.get(error.span.clone()).is_some(), "{line:?} {error:?}");
            }
            drop(grammar.parse_reference(&line));
            drop(grammar.complete(&line));
            drop(grammar.help(&line));
        }
    }
}
