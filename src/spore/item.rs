//! The lines of action and result blocks, and what the headers add to them.

use super::{Headers, Part, Reading, bytes};
use crate::action::json::{Object, ReadError, Value};
use crate::action::time::{TimeDelta, Timestamp};
use crate::action::{ActionResult, Fill, Record, StructuredAction, Wire};
use crate::grammar::{self, Grammar, ParseError};

/// What a command takes from its spore where its own line is silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The time of the spore; without one, the caller knows when the file came.
    pub timestamp: Option<String>,
    /// The sender, else `unknown`.
    pub source_instance: String,
    /// The id of the spore for its first command, then `id#2` and so on; without an id nothing.
    pub correlation_id: String,
}

/// A line that is no command or no part of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad<E> {
    /// The line of the file, counted from 1.
    pub row: usize,
    /// Characters before the text that was judged.
    pub indent: usize,
    /// The text that was judged.
    pub line: String,
    /// What is wrong with it.
    pub error: E,
}

/// A block with what its lines became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<A> {
    /// The commands of an action block, in order.
    Action(Vec<A>),
    /// What a result block says.
    Result(Outcome),
}

/// Judges the items of a spore with `command`, which gets each line that is neither blank nor a
/// comment. Lines that it refuses are reported and skipped; only the others are counted for ids.
pub fn items<A, E: From<OutcomeError>>(
    reading: &Reading,
    mut command: impl FnMut(&str, &Defaults) -> Result<A, E>,
) -> (Vec<Item<A>>, Vec<Bad<E>>) {
    let headers = &reading.spore.headers;
    let (mut items, mut errors, mut count) = (Vec::new(), Vec::new(), 0);
    for (part, place) in reading.spore.parts.iter().zip(&reading.places) {
        match part {
            Part::Text(_) => {}
            Part::Action(lines) => {
                let mut commands = Vec::new();
                for (row, indent, line) in spoken(lines, *place) {
                    let defaults = Defaults {
                        timestamp: headers.time.clone(),
                        source_instance: headers.from.clone().unwrap_or("unknown".to_owned()),
                        correlation_id: correlation(headers.id.as_deref(), count),
                    };
                    match command(line, &defaults) {
                        Ok(action) => {
                            commands.push(action);
                            count += 1;
                        }
                        Err(error) => errors.push(bad(row, indent, line, error)),
                    }
                }
                items.push(Item::Action(commands));
            }
            Part::Result(lines) => {
                let mut refused = Vec::new();
                let outcome = outcome(spoken(lines, *place), &mut refused);
                match outcome {
                    Some(outcome) => items.push(Item::Result(outcome)),
                    None if refused.is_empty() => {
                        refused.push(bad(*place, 0, "", OutcomeError::NoVerdict));
                    }
                    None => {}
                }
                errors.extend(
                    refused
                        .into_iter()
                        .map(|b| bad(b.row, b.indent, &b.line, b.error.into())),
                );
            }
        }
    }
    (items, errors)
}

fn bad<E>(row: usize, indent: usize, line: &str, error: E) -> Bad<E> {
    let line = line.to_owned();
    Bad {
        row,
        indent,
        line,
        error,
    }
}

/// Why a line of an action block is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It is JSON, and no action.
    #[error("{0}")]
    Json(#[from] ReadError),
    /// It is text, and no command.
    #[error("{0}")]
    Text(#[from] Box<ParseError>),
}

/// Reads a line of an action block, command text or JSON: what it leaves out comes from the spore,
/// and the time, where the spore has none, from `fallback`.
///
/// # Errors
/// Names the member or the word that is wrong.
pub fn command(
    grammar: &Grammar,
    line: &str,
    defaults: &Defaults,
    fallback: Timestamp,
) -> Result<StructuredAction, CommandError> {
    struct FromSpore<'a>(&'a Defaults, Timestamp);
    impl Fill for FromSpore<'_> {
        fn now(&mut self) -> Option<Timestamp> {
            let said = self.0.timestamp.as_ref().and_then(|time| time.parse().ok());
            Some(said.unwrap_or(self.1))
        }
        fn uuid(&mut self) -> Option<String> {
            Some(self.0.correlation_id.clone())
        }
    }
    let mut fill = FromSpore(defaults, fallback);
    if !line.starts_with('{') {
        let command = grammar.parse(line)?;
        return Ok(command.into_action(&defaults.source_instance, &mut fill)?);
    }
    let words = grammar.words(false);
    match Value::parse(line)? {
        Value::Object(mut object) if !object.contains_key("source_instance") => {
            let from = Value::String(defaults.source_instance.clone());
            object.insert("source_instance", from);
            let signed = object.to_string();
            Ok(StructuredAction::read_with(&signed, &mut fill, &words)?)
        }
        _ => Ok(StructuredAction::read_with(line, &mut fill, &words)?),
    }
}

/// An action or a result as a part of a spore that comes from `from`; for JSON lines that become
/// messages.
pub fn part(grammar: &Grammar, record: &Record, from: Option<&str>) -> Part {
    match record {
        Record::Action(action) => Part::Action(vec![line(grammar, action, from)]),
        Record::Result(result) => Part::Result(Outcome::from(result).lines()),
    }
}

/// An action as a line of a block: canonical text with its envelope, or JSON where text cannot
/// carry it.
fn line(grammar: &Grammar, action: &StructuredAction, from: Option<&str>) -> String {
    let mut line = grammar.text(action);
    let from = Some(action.source_instance.as_str()).filter(|source| Some(*source) != from);
    grammar::write_envelope(
        from,
        Some(&action.correlation_id),
        Some(&action.timestamp),
        &mut line,
    );
    let known = grammar.words(false).knows(&action.verb, &action.noun);
    let carried = action.extra.is_empty() && known && line.len() <= grammar::LINE;
    match carried && !bytes::looks_like_mojibake(&line) {
        true => line,
        false => plain_json(&action.to_json()),
    }
}

/// The id of a command of which `count` stand before it.
fn correlation(id: Option<&str>, count: usize) -> String {
    match (id, count) {
        (None, _) => String::new(),
        (Some(id), 0) => id.to_owned(),
        (Some(id), count) => format!("{id}#{}", count + 1),
    }
}

/// The lines that are neither blank nor a comment: row, indent, text.
fn spoken(lines: &[String], place: usize) -> impl Iterator<Item = (usize, usize, &str)> {
    lines.iter().enumerate().filter_map(move |(at, line)| {
        let text = line.trim();
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        (!text.is_empty() && !text.starts_with('#')).then_some((place + at, indent, text))
    })
}

/// What a result block says; absent is absent, so that the headers of the spore can fill it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it went well.
    pub success: bool,
    /// What is said about it.
    pub message: String,
    /// How long it took, as on the wire: `PT1.5S`; absent: `PT0S`.
    pub took: Option<String>,
    /// The command that it answers; absent: the spore that this one replies to.
    pub id: Option<String>,
    /// When it ended; absent: the time of the spore.
    pub at: Option<String>,
    /// A JSON object, as it stands there.
    pub data: Option<String>,
    /// What was done besides.
    pub effects: Vec<String>,
}

/// Why a line is no part of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutcomeError {
    /// The first line is no verdict.
    #[error("a result begins with SUCCESS or FAILED and a message")]
    NoVerdict,
    /// A line has none of the known keys.
    #[error("a line of a result begins with took: id: at: data: or effect:")]
    UnknownKey,
    /// What follows `data:` is no JSON object.
    #[error("data is no JSON object")]
    NoObject,
    /// A key that stands once stands twice.
    #[error("this was said before")]
    Twice,
}

impl OutcomeError {
    /// Its name for programs.
    pub fn code(self) -> &'static str {
        match self {
            OutcomeError::NoVerdict => "bad-result",
            OutcomeError::UnknownKey => "unknown-key",
            OutcomeError::NoObject => "bad-json",
            OutcomeError::Twice => "duplicate-key",
        }
    }
}

/// Reads the lines of a result; those that are none are added to `refused`.
fn outcome<'a>(
    mut lines: impl Iterator<Item = (usize, usize, &'a str)>,
    refused: &mut Vec<Bad<OutcomeError>>,
) -> Option<Outcome> {
    let (row, indent, first) = lines.next()?;
    let Some((success, message)) = verdict(first) else {
        refused.push(bad(row, indent, first, OutcomeError::NoVerdict));
        return None;
    };
    let message = value(message);
    let mut outcome = Outcome {
        success,
        message,
        ..Outcome::default()
    };
    for (row, indent, line) in lines {
        if let Err(error) = outcome.add(line) {
            refused.push(bad(row, indent, line, error));
        }
    }
    Some(outcome)
}

/// `SUCCESS message`, with brackets or without, and the words that people use for it.
fn verdict(line: &str) -> Option<(bool, &str)> {
    let (word, message) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let word = word
        .strip_prefix('[')
        .and_then(|w| w.strip_suffix(']'))
        .unwrap_or(word);
    let success = match word.to_ascii_uppercase().as_str() {
        "SUCCESS" | "OK" => true,
        "FAILED" | "FAIL" | "ERROR" => false,
        _ => return None,
    };
    Some((success, message.trim()))
}

impl Outcome {
    /// Takes in one line behind the verdict.
    fn add(&mut self, line: &str) -> Result<(), OutcomeError> {
        let (key, text) = line.split_once(':').ok_or(OutcomeError::UnknownKey)?;
        let slot = match key.trim().to_ascii_lowercase().as_str() {
            "took" => &mut self.took,
            "id" => &mut self.id,
            "at" => &mut self.at,
            "data" => &mut self.data,
            "effect" => {
                self.effects.push(value(text));
                return Ok(());
            }
            _ => return Err(OutcomeError::UnknownKey),
        };
        if slot.is_some() {
            return Err(OutcomeError::Twice);
        }
        let data = key.trim().eq_ignore_ascii_case("data");
        if data && serde_json::from_str::<serde_json::Map<_, _>>(text).is_err() {
            return Err(OutcomeError::NoObject);
        }
        *slot = Some(if data {
            text.trim().to_owned()
        } else {
            value(text)
        });
        Ok(())
    }

    /// The result on the wire. What the block leaves out comes from the headers of its spore, and
    /// the time, where these have none, from `fallback`.
    ///
    /// # Errors
    /// Names the member whose text is no duration, time or object.
    pub fn result(
        &self,
        headers: &Headers,
        fallback: Timestamp,
    ) -> Result<ActionResult, ReadError> {
        let execution_time = match &self.took {
            Some(took) => took.parse().map_err(|_| wrong("execution_time", took))?,
            None => TimeDelta::default(),
        };
        let timestamp = match (&self.at, &headers.time) {
            (Some(at), _) => at.parse().map_err(|_| wrong("timestamp", at))?,
            (None, Some(time)) => time.parse().unwrap_or(fallback),
            (None, None) => fallback,
        };
        let data = match self.data.as_deref().map(Value::parse).transpose()? {
            Some(Value::Object(data)) => data,
            Some(other) => return Err(wrong("data", &other.to_string())),
            None => Object::new(),
        };
        Ok(ActionResult {
            success: self.success,
            message: self.message.clone(),
            data,
            execution_time,
            side_effects: self.effects.clone(),
            correlation_id: self.id.clone().or(headers.re.clone()).unwrap_or_default(),
            timestamp,
            extra: Object::new(),
        })
    }

    /// The lines of the strict form.
    pub fn lines(&self) -> Vec<String> {
        let verdict = if self.success { "SUCCESS" } else { "FAILED" };
        let mut lines = vec![format!("{verdict} {}", shown(&self.message))];
        for (key, value) in [("took", &self.took), ("id", &self.id), ("at", &self.at)] {
            lines.extend(value.iter().map(|value| format!("{key}: {}", shown(value))));
        }
        lines.extend(
            self.data
                .iter()
                .map(|data| format!("data: {}", plain_json(data))),
        );
        lines.extend(
            self.effects
                .iter()
                .map(|effect| format!("effect: {}", shown(effect))),
        );
        lines
    }
}

/// Reads the lines of one result outside of any spore; `now` stands for a time that is not said.
///
/// # Errors
/// What is wrong, in words.
pub fn result(lines: Vec<String>, now: Option<Timestamp>) -> Result<ActionResult, String> {
    let mut refused = Vec::new();
    let read = outcome(spoken(&lines, 1), &mut refused);
    if let Some(bad) = refused.first() {
        return Err(format!("{}: {}", bad.line, bad.error));
    }
    let outcome = read.ok_or_else(|| OutcomeError::NoVerdict.to_string())?;
    let fallback = now.ok_or_else(|| "there is no clock".to_owned())?;
    let result = outcome.result(&Headers::default(), fallback);
    result.map_err(|error| error.to_string())
}

fn wrong(member: &str, text: &str) -> ReadError {
    ReadError::new(format!("{text:?} cannot be read")).within(member)
}

/// Everything that a block can say; members that are not ours are left behind.
impl From<&ActionResult> for Outcome {
    fn from(result: &ActionResult) -> Outcome {
        Outcome {
            success: result.success,
            message: result.message.clone(),
            took: Some(result.execution_time.to_string()),
            id: Some(result.correlation_id.clone()),
            at: Some(result.timestamp.to_string()),
            data: (!result.data.is_empty()).then(|| result.data.to_string()),
            effects: result.side_effects.clone(),
        }
    }
}

/// Text as it stands there, or the text of a JSON string.
fn value(text: &str) -> String {
    let text = text.trim();
    match text.starts_with('"') {
        true => serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()),
        false => text.to_owned(),
    }
}

/// Text as it is written: bare where that can carry it, else as a JSON string in ASCII.
fn shown(text: &str) -> String {
    let bare = !text.is_empty()
        && text.trim() == text
        && !text.starts_with('"')
        && !text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
        && !bytes::looks_like_mojibake(text);
    match bare {
        true => text.to_owned(),
        false => ascii(&serde_json::Value::from(text).to_string()),
    }
}

/// JSON on one line, in ASCII if it would be taken for mojibake.
fn plain_json(json: &str) -> String {
    let line = json.replace(['\n', '\r'], " ");
    match bytes::looks_like_mojibake(&line) {
        true => ascii(&line),
        false => line,
    }
}

/// JSON with every character beyond ASCII, and DEL, as `\u` escapes; these stand in strings only.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spore::{Spore, read, write};

    /// Row, indent and text of a bad line.
    type Place = (usize, usize, String);

    /// A command is any line that does not begin with `bad`.
    fn judged(file: &str) -> (Vec<Item<String>>, Vec<Place>) {
        let (items, errors) = items(&read(file.as_bytes()), |line, defaults| match line {
            line if line.starts_with("bad") => Err(OutcomeError::UnknownKey),
            line => Ok(format!(
                "{line} @{} #{}",
                defaults.source_instance, defaults.correlation_id
            )),
        });
        (
            items,
            errors
                .into_iter()
                .map(|bad| (bad.row, bad.indent, bad.line))
                .collect(),
        )
    }

    #[test]
    fn commands_are_numbered_through_all_blocks_and_bad_ones_do_not_count() {
        let file = "# s\nid: m\n\n```action\n# why\nbad\na\n```\ntext\n~~~actions now\n\n  b\n  bad x\n~~~\n";
        let (items, errors) = judged(file);
        let block = |line: &str| Item::Action(vec![line.to_owned()]);
        assert_eq!(items, [block("a @unknown #m"), block("b @unknown #m#2")]);
        assert_eq!(errors, [(6, 0, "bad".into()), (13, 2, "bad x".into())]);
        assert_eq!(
            judged("```action\na\nb\n```").0,
            [Item::Action(vec![
                "a @unknown #".into(),
                "b @unknown #".into()
            ])]
        );
    }

    #[test]
    fn a_result_is_read_in_the_words_of_people() {
        for (line, success) in [
            ("SUCCESS x", true),
            ("[SUCCESS] x", true),
            ("OK x", true),
            ("FAILED x", false),
            ("fail x", false),
            ("ERROR  x", false),
        ] {
            let (items, errors) = judged(&format!(
                "```result\n{line}\nTook: PT1S\neffect: \"\"\neffect: b: c\n```"
            ));
            let wanted = Outcome {
                success,
                message: "x".into(),
                took: Some("PT1S".into()),
                effects: vec![String::new(), "b: c".into()],
                ..Outcome::default()
            };
            assert_eq!(
                (items, errors),
                (vec![Item::Result(wanted)], vec![]),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_no_result_is_reported_with_its_place() {
        assert_eq!(
            judged("```result\n\nwell done\n```"),
            (vec![], vec![(3, 0, "well done".into())])
        );
        assert_eq!(
            judged("```result\n```"),
            (vec![], vec![(2, 0, String::new())])
        );
        let (items, errors) = judged("```result\nOK\ndata: [1]\nid: a\nid: b\nhm\n```");
        assert_eq!(items.len(), 1);
        let rows: Vec<usize> = errors.iter().map(|error| error.0).collect();
        assert_eq!(rows, [3, 5, 6]);
    }

    #[test]
    fn a_json_line_takes_from_the_spore_what_it_leaves_out() {
        let defaults = Defaults {
            timestamp: Some("2026-11-23T09:15:00Z".into()),
            source_instance: "kiro-3".into(),
            correlation_id: "m-17#2".into(),
        };
        let fallback = "2026-01-01T00:00:00Z".parse().unwrap();
        let read = |line: &str| command(Grammar::builtin(), line, &defaults, fallback);
        let action = read(r#"{"verb":"run","noun":"task"}"#).unwrap();
        assert_eq!(
            action.to_json(),
            r#"{"verb":"run","noun":"task","modifiers":[],"parameters":{},"timestamp":"2026-11-23T09:15:00Z","source_instance":"kiro-3","correlation_id":"m-17#2"}"#
        );
        assert_eq!(read(&action.to_json()).unwrap(), action);
        assert!(read(r#"{"verb":"run","verb":"stop","noun":"task"}"#).is_err());
        assert!(read(r#"{"verb":"fly","noun":"task"}"#).is_err());
    }

    #[test]
    fn a_record_becomes_a_part_and_comes_back() {
        let line = r#"{"success":false,"message":"","data":{"a":"Ã©"},"execution_time":"PT1.5S","side_effects":["x\ny"],"correlation_id":"c","timestamp":"2026-11-23T09:15:02Z"}"#;
        let result = ActionResult::from_json(line).unwrap();
        let spore = Spore {
            parts: vec![part(Grammar::builtin(), &Record::Result(result), None)],
            ..Spore::default()
        };
        let reading = read(write(&spore).unwrap().as_bytes());
        let (items, _) = items(&reading, |_, _| Ok::<(), OutcomeError>(()));
        let [Item::Result(outcome)] = &items[..] else {
            panic!("{items:?}")
        };
        let never = "2026-01-01T00:00:00Z".parse().unwrap();
        let again = outcome.result(&reading.spore.headers, never).unwrap();
        assert_eq!(again.to_json(), line);
        let odd = Outcome {
            took: Some("soon".into()),
            ..Outcome::default()
        };
        assert!(odd.result(&Headers::default(), never).is_err());
    }

    proptest! {
        #[test]
        fn a_result_comes_back_from_its_lines(
            success: bool,
            texts in proptest::collection::vec("[ -~é\"Ã©\u{2028}\u{85}\r\n\u{7f}🧬]{0,8}", 3..6),
            data in proptest::option::of("[a-zÃ©\u{2028}]{0,5}"),
        ) {
            let outcome = Outcome {
                success,
                message: texts[0].clone(),
                took: Some("PT1.5S".into()),
                id: Some(texts[1].clone()),
                at: None,
                data: data.map(|text| format!("{{\"a\": \"{text}\"}}")),
                effects: texts[2..].to_vec(),
            };
            let spore = Spore { parts: vec![Part::Result(outcome.lines())], ..Spore::default() };
            let text = write(&spore).unwrap();
            prop_assert!(!text.contains("verbatim"));
            let (items, errors) = items(&read(text.as_bytes()), |_, _| Ok::<(), OutcomeError>(()));
            prop_assert_eq!(errors.len(), 0);
            let [Item::Result(again)] = &items[..] else { panic!("{items:?}") };
            let json = |data: &Option<String>| data.as_ref().map(|d| serde_json::from_str::<serde_json::Value>(d).unwrap());
            prop_assert_eq!(json(&again.data), json(&outcome.data));
            prop_assert_eq!(again, &Outcome { data: again.data.clone(), ..outcome });
        }
    }
}
