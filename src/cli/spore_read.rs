//! `spore-recv --read FILE…`: what stands in files that are, or were meant as, spores.
//!
//! For people it lists subject, headers, items and repairs; for programs one record a file:
//!
//! ```text
//! {"v":1,"type":"spore","file":"a.md","subject":"hand over auth",
//!  "headers":{"id":"m-17","from":"kiro-3","to":"kiro-1","time":"…","kind":"request"},
//!  "extra":[["Team","red"]],
//!  "items":[["action",[{"verb":"run",…}]],["result",{"success":true,…}]],
//!  "errors":[{"line":"run tsak abc","code":"unknown-noun"}],
//!  "notes":["bom","mojibake x1"],
//!  "places":[{"row":7,"column":5,"message":"…","suggestion":"run task abc"}],
//!  "warnings":[{"row":20,"message":"…"}],
//!  "body":"…"}
//! ```
//!
//! `headers` holds those that are there. `errors` and `places` belong together one by one. An item
//! without a time has the timestamp null. `body` is the text of the body; each item stands there as
//! the line `[item N]`, counted from 1.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::output::shown;
use super::{Out, Result, Status, error, input};
use crate::spore::item::{self, Bad, Defaults, Item, Outcome, OutcomeError};
use crate::spore::{self, Part, Reading};

/// The longest file that is read, in bytes.
pub const LIMIT: u64 = 1 << 20;

/// What to write about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A listing for people.
    Listing,
    /// One JSON record a file.
    Json,
    /// The text of the file, repaired.
    Repaired,
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// The code of the grammar, such as `unknown-noun`.
    pub code: String,
    /// In words.
    pub message: String,
    /// Where in the line, in characters counted from 1.
    pub column: usize,
    /// A whole line to type instead.
    pub suggestion: Option<String>,
}

impl From<OutcomeError> for LineError {
    fn from(error: OutcomeError) -> LineError {
        LineError {
            code: error.code().to_owned(),
            message: error.to_string(),
            column: 1,
            suggestion: None,
        }
    }
}

/// Reads a line as a command: the JSON of the action, with a null timestamp when neither line nor
/// spore has one.
pub type Command<'a> = &'a dyn Fn(&str, &Defaults) -> std::result::Result<Value, LineError>;

/// A command with the line it came from.
type Spoken = (String, Value);

/// A file with what was found in it.
struct Found {
    reading: Reading,
    items: Vec<Item<Spoken>>,
    errors: Vec<Bad<LineError>>,
    warnings: Vec<(usize, String)>,
}

/// Reads each file and writes about it. A file that cannot be read is reported, and the rest goes
/// on; what is wrong within a file is part of what is written about it.
pub fn read_files(
    tool: &str,
    files: &[String],
    form: Form,
    command: Command<'_>,
    out: &mut Out,
) -> Result {
    let mut status = Status::Done;
    for file in files {
        let bytes = match input::open(file).and_then(|from| input::whole(from, file, LIMIT)) {
            Ok(bytes) => bytes,
            Err(failed) => {
                status = status.and(error::complain(tool, &failed));
                continue;
            }
        };
        match form {
            Form::Repaired => out.write_all(spore::repaired(&bytes).0.as_bytes())?,
            Form::Json => writeln!(out, "{}", record(file, &found(&bytes, command)))?,
            Form::Listing => out.write_all(listing(file, &found(&bytes, command)).as_bytes())?,
        }
    }
    Ok(status)
}

fn found(bytes: &[u8], command: Command<'_>) -> Found {
    let reading = spore::read(bytes);
    let (items, errors) = item::items(&reading, |line, defaults| {
        command(line, defaults).map(|action| (line.to_owned(), action))
    });
    let warnings = warnings(&reading, command);
    Found {
        reading,
        items,
        errors,
        warnings,
    }
}

/// Unlabelled fences whose lines are all commands: their writer may have meant them to be done.
fn warnings(reading: &Reading, command: Command<'_>) -> Vec<(usize, String)> {
    let nobody = Defaults {
        timestamp: None,
        source_instance: "unknown".to_owned(),
        correlation_id: String::new(),
    };
    let is_command = |line: &&str| command(line, &nobody).is_ok();
    let mut found = Vec::new();
    for (row, block) in spore::unlabelled(reading) {
        let mut lines = block
            .iter()
            .map(|line| line.trim())
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .peekable();
        if lines.peek().is_some() && lines.all(|line| is_command(&line)) {
            let message =
                "this block reads as commands, but nobody will do them: label it ```action";
            found.push((row, message.to_owned()));
        }
    }
    found
}

/// The record for programs.
fn record(file: &str, found: &Found) -> Value {
    let spore = &found.reading.spore;
    let headers = &spore.headers;
    let to = (!headers.to.is_empty()).then(|| headers.to.join(", "));
    let known: Map<String, Value> = [
        ("id", &headers.id),
        ("from", &headers.from),
        ("to", &to),
        ("time", &headers.time),
        ("kind", &headers.kind),
        ("re", &headers.re),
        ("topic", &headers.topic),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), Value::from(value.as_ref()?.as_str()))))
    .collect();
    let items: Vec<Value> = found
        .items
        .iter()
        .map(|item| match item {
            Item::Action(commands) => {
                let actions: Vec<&Value> = commands.iter().map(|(_, action)| action).collect();
                json!(["action", actions])
            }
            Item::Result(outcome) => json!(["result", result(outcome, headers)]),
        })
        .collect();
    let errors: Vec<Value> = found
        .errors
        .iter()
        .map(|bad| json!({"line": bad.line, "code": bad.error.code}))
        .collect();
    let places: Vec<Value> = found
        .errors
        .iter()
        .map(|bad| {
            json!({
                "row": bad.row,
                "column": bad.indent + bad.error.column,
                "message": bad.error.message,
                "suggestion": bad.error.suggestion,
            })
        })
        .collect();
    let notes: Vec<String> = found
        .reading
        .notes
        .iter()
        .map(ToString::to_string)
        .collect();
    let warnings: Vec<Value> = found
        .warnings
        .iter()
        .map(|(row, message)| json!({"row": row, "message": message}))
        .collect();
    json!({
        "v": 1,
        "type": "spore",
        "file": file,
        "subject": spore.subject,
        "headers": known,
        "extra": spore.extra,
        "items": items,
        "errors": errors,
        "notes": notes,
        "places": places,
        "warnings": warnings,
        "body": body(&spore.parts),
    })
}

/// A result with what its spore says where it is silent.
fn result(outcome: &Outcome, headers: &spore::Headers) -> Value {
    let data: Option<Value> = outcome
        .data
        .as_ref()
        .and_then(|data| serde_json::from_str(data).ok());
    json!({
        "success": outcome.success,
        "message": outcome.message,
        "data": data.unwrap_or(json!({})),
        "execution_time": outcome.took.as_deref().unwrap_or("PT0S"),
        "side_effects": outcome.effects,
        "correlation_id": outcome.id.as_deref().or(headers.re.as_deref()).unwrap_or(""),
        "timestamp": outcome.at.as_ref().or(headers.time.as_ref()),
    })
}

/// The texts of a body, with the places of the items.
fn body(parts: &[Part]) -> String {
    let mut items = 0;
    let lines: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Action(_) | Part::Result(_) => {
                items += 1;
                format!("[item {items}]")
            }
        })
        .collect();
    lines.join("\n")
}

/// The listing for people.
fn listing(file: &str, found: &Found) -> String {
    let spore = &found.reading.spore;
    let mut rows: Vec<(String, String)> = spore
        .headers
        .lines()
        .map(|(key, value)| (key.to_owned(), value))
        .chain(spore.extra.iter().cloned())
        .collect();
    for item in &found.items {
        match item {
            Item::Action(commands) => {
                rows.extend(
                    commands
                        .iter()
                        .map(|(line, _)| ("action".to_owned(), line.clone())),
                );
            }
            Item::Result(outcome) => {
                rows.extend(
                    outcome
                        .lines()
                        .into_iter()
                        .map(|line| ("result".to_owned(), line)),
                );
            }
        }
    }
    rows.extend(
        found
            .reading
            .notes
            .iter()
            .map(|note| ("repaired".to_owned(), note.to_string())),
    );
    for bad in &found.errors {
        let place = format!("{}:{}:{}", file, bad.row, bad.indent + bad.error.column);
        rows.push((
            "error".to_owned(),
            format!("{place}: {}", bad.error.message),
        ));
        rows.extend(
            bad.error
                .suggestion
                .iter()
                .map(|line| ("try".to_owned(), line.clone())),
        );
    }
    for (row, message) in &found.warnings {
        rows.push(("warning".to_owned(), format!("{file}:{row}: {message}")));
    }
    let subject = spore.subject.as_deref().unwrap_or("(none)");
    let mut text = format!("{}: {}\n", shown(file), shown(subject));
    for (key, value) in rows {
        text.push_str(&format!("    {}: {}\n", shown(&key), shown(&value)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grammar of one verb.
    fn command(line: &str, defaults: &Defaults) -> std::result::Result<Value, LineError> {
        match line.strip_prefix("run task ") {
            Some(task) => Ok(json!({"verb": "run", "task": task, "id": defaults.correlation_id})),
            None => Err(LineError {
                code: "unknown-verb".to_owned(),
                message: "unknown verb".to_owned(),
                column: 1,
                suggestion: Some("run task x".to_owned()),
            }),
        }
    }

    const FILE: &[u8] = b"\xef\xbb\xbf# Spore: a\x1b[31m\n- **Spore ID**: m-1\n- **To**: b,c\n- **Team**: red\n\nhi\n\n\
        ```action\n  rnu\nrun task 7\n```\n```result\n[OK] fine\n```\n```\nrun task 8\n```\n";

    #[test]
    fn a_record_says_all_that_was_found() {
        let record = record("a.md", &found(FILE, &command));
        assert_eq!(record["headers"], json!({"id": "m-1", "to": "b, c"}));
        assert_eq!(record["extra"], json!([["Team", "red"]]));
        assert_eq!(
            record["items"][0],
            json!(["action", [{"verb": "run", "task": "7", "id": "m-1"}]])
        );
        assert_eq!(record["items"][1][1]["execution_time"], "PT0S");
        assert_eq!(record["items"][1][1]["timestamp"], Value::Null);
        assert_eq!(
            record["errors"],
            json!([{"line": "rnu", "code": "unknown-verb"}])
        );
        assert_eq!(
            (&record["places"][0]["row"], &record["places"][0]["column"]),
            (&json!(9), &json!(3))
        );
        assert_eq!(record["notes"], json!(["bom"]));
        assert_eq!(record["warnings"][0]["row"], 15);
        assert_eq!(
            record["body"],
            "hi\n\n[item 1]\n[item 2]\n```\nrun task 8\n```"
        );
    }

    #[test]
    fn a_listing_shows_control_characters_and_places() {
        let listing = listing("a.md", &found(FILE, &command));
        assert!(
            listing.starts_with(
                "a.md: a\\u{1b}[31m\n    Spore ID: m-1\n    To: b, c\n    Team: red\n"
            ),
            "{listing}"
        );
        assert!(
            listing.contains("    error: a.md:9:3: unknown verb\n    try: run task x\n"),
            "{listing}"
        );
        assert!(
            listing.contains("    warning: a.md:15: this block"),
            "{listing}"
        );
    }
}
