//! Actions and results on their way into a spore and out of it.

use serde_json::Value;

use super::spore_read::LineError;
use crate::action::json::ReadError;
use crate::action::time::Timestamp;
use crate::action::{Fill, StructuredAction, Wire, Words};
use crate::spool::{Clock, Id};
use crate::spore::Reading;
use crate::spore::item::{self, Bad, Defaults, Item};

/// Fills in what a sender left out: the time now, a random id.
pub(super) struct Fresh;

impl Fill for Fresh {
    fn now(&mut self) -> Option<Timestamp> {
        let micros = Clock::Kernel.now().micros;
        Timestamp::from_unix((micros / 1_000_000) as i64, (micros % 1_000_000) as u32)
    }

    fn uuid(&mut self) -> Option<String> {
        Some(uuid::Uuid::new_v4().to_string())
    }
}

/// An action whose line does not say who it is from.
pub(super) fn signed(line: &str, from: &str) -> std::result::Result<StructuredAction, ReadError> {
    let defaults = Defaults {
        timestamp: None,
        source_instance: from.to_owned(),
        correlation_id: Fresh.uuid().unwrap_or_default(),
    };
    let now = Fresh.now().unwrap_or_else(epoch);
    item::json_command(line, &defaults, now, &Words::core())
}

/// Which items of a message are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) actions: bool,
    pub(super) results: bool,
}

/// The items of a message as JSON lines, and the lines that are none.
pub(super) fn lines(
    reading: &Reading,
    id: Id,
    wanted: Wanted,
) -> (Vec<String>, Vec<Bad<LineError>>) {
    let made = Timestamp::from_unix(id.seconds() as i64, id.micros()).unwrap_or_else(epoch);
    let (items, errors) = item::items(reading, |line, defaults| action(line, defaults, made));
    let mut lines = Vec::new();
    for item in items {
        match item {
            Item::Action(actions) if wanted.actions => {
                lines.extend(actions.iter().map(StructuredAction::to_json));
            }
            Item::Result(outcome) if wanted.results => {
                // What cannot be a result was reported as an error of its line.
                if let Ok(result) = outcome.result(&reading.spore.headers, made) {
                    lines.push(result.to_json());
                }
            }
            _ => {}
        }
    }
    (lines, errors)
}

/// A line of an action block as an action.
fn action(
    line: &str,
    defaults: &Defaults,
    made: Timestamp,
) -> std::result::Result<StructuredAction, LineError> {
    item::json_command(line, defaults, made, &Words::core()).map_err(|error| not_json(&error))
}

fn not_json(error: &ReadError) -> LineError {
    LineError {
        code: "json".to_owned(),
        message: error.to_string(),
        column: 1,
        suggestion: None,
    }
}

/// The same for files, whose spores may have no time: then it is null.
pub(super) fn command(line: &str, defaults: &Defaults) -> std::result::Result<Value, LineError> {
    let action = action(line, defaults, epoch())?;
    serde_json::from_str(&action.to_json()).map_err(|error| LineError {
        code: "json".to_owned(),
        message: error.to_string(),
        column: 1,
        suggestion: None,
    })
}

/// The time of what has none.
fn epoch() -> Timestamp {
    Timestamp::from_unix(0, 0).expect("1970 is a year that every calendar knows")
}
