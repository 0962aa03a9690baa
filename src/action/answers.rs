//! The readers are held against what pydantic 2.14.4 answered (`tests/fixtures/wire/probe.py`).

#![allow(unreachable_pub)]

use super::json::{Object, Value};
use super::time::{TimeDelta, Timestamp};
use super::{NoFill, Wire, WirePath, wire::model};

macro_rules! probes {
    ($($name:literal $probe:ident: $type:ty;)*) => {
        $( model! { /// One member.
            $probe { /// It.
                x: $type = required; } } )*

        /// What our reader answers: the wire form of the member, or why it is refused.
        fn answer(kind: &str, text: &str) -> Result<String, String> {
            let line = format!("{{\"x\":{text}}}");
            let written = match kind {
                $( $name => $probe::read(&line, &mut NoFill).map(|probe| probe.to_json()), )*
                _ => panic!("there is no type {kind}"),
            };
            let written = written.map_err(|e| e.to_string())?;
            Ok(written["{\"x\":".len()..written.len() - 1].to_owned())
        }
    };
}

probes! {
    "value" AnyValue: Value;
    "integer" Integer: i64;
    "float" Float: f64;
    "truth" Truth: bool;
    "path" Path: WirePath;
    "text" Text: String;
    "list" List: Vec<String>;
    "object" Members: Object;
    "time" Time: Timestamp;
    "length" Length: TimeDelta;
    "optional" Optional: Option<Timestamp>;
}

/// Where we mean to differ: the type, the text, and what we answer.
fn ours<'a>(kind: &str, text: &'a str) -> Option<Option<&'a str>> {
    let refused = Some(None);
    match (kind, text) {
        // The reference writes null for what no JSON number can say; we refuse to lose it.
        ("value", "NaN" | "Infinity" | "-Infinity" | "1e400") => refused,
        ("float", "NaN" | "1e400" | "\"nan\"" | "\"NaN\"") => refused,
        ("float", "\"inf\"" | "\"+inf\"" | "\"-Infinity\"" | "\"infinity\"" | "\"1e400\"") => {
            refused
        }
        ("float", text) if text.len() == 400 => refused,
        // The last of two equal names wins there, silently.
        ("value", "{\"a\":1,\"a\":2}" | "{\"a\":1,\"\\u0061\":2}") => refused,
        // Digits that a 64-bit float cannot hold are kept where nothing says that it is one.
        ("value", "0.1000000000000000000001") => Some(Some("0.1000000000000000000001")),
        ("value", "9007199254740993.0") => Some(Some("9007199254740993.0")),
        ("value", "123456789.123456789e-30") => Some(Some("123456789.123456789e-30")),
        ("value", "12345678901234567.0") => Some(Some("12345678901234567.0")),
        ("value", text) if text.starts_with("0.111") => Some(Some(text)),
        ("value", "1e-400") => Some(Some("1e-400")),
        // Our whole numbers have 64 bits.
        ("integer", "9223372036854775808") => refused,
        ("integer", text) if text.len() >= 50 && text.contains("111") => refused,
        _ => None,
    }
}

#[test]
fn every_answer_of_the_reference_is_ours_but_for_those_named_here() {
    let answers = include_str!("../../tests/fixtures/wire/answers.jsonl");
    let mut wrong = Vec::new();
    for line in answers.lines() {
        let (kind, text, theirs): (String, String, Option<String>) =
            serde_json::from_str(line).unwrap();
        let wanted = match ours(&kind, &text) {
            Some(ours) => ours.map(str::to_owned),
            None => theirs.clone(),
        };
        let got = answer(&kind, &text);
        if got.as_ref().ok() != wanted.as_ref() {
            let show = |text: &str| text.chars().take(70).collect::<String>();
            wrong.push(format!(
                "{kind} {}: {} instead of {}",
                show(&text),
                show(&format!("{got:?}")),
                show(&format!("{wanted:?}"))
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} wrong",
        wrong.join("\n"),
        wrong.len()
    );
    assert!(answers.lines().count() > 700);
}
