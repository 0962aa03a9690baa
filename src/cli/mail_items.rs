//! Actions and results on their way into a spore and out of it.

use serde_json::Value;

use super::spore_read::LineError;
use crate::action::time::Timestamp;
use crate::action::{Fill, StructuredAction, Wire};
use crate::grammar::Grammar;
use crate::spool::{Clock, Id};
use crate::spore::Reading;
use crate::spore::item::{self, Bad, CommandError, Defaults, Item};

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

/// Times and ids for many lines, made in batches.
pub(super) struct Stamps {
    second: u64,
    /// The digits down to the second.
    date: String,
    random: [u8; 1024],
    used: usize,
}

impl Stamps {
    pub(super) fn new() -> Stamps {
        Stamps {
            second: u64::MAX,
            date: String::new(),
            random: [0; 1024],
            used: 1024,
        }
    }

    /// Appends the time now, as on the wire.
    pub(super) fn now(&mut self, out: &mut String) {
        let micros = Clock::Kernel.now().micros;
        let (second, part) = (micros / 1_000_000, micros % 1_000_000);
        if second != self.second {
            let at = Timestamp::from_unix(second as i64, 0).unwrap_or_else(epoch);
            self.date = at.to_string();
            self.date.pop();
            self.second = second;
        }
        out.push_str(&self.date);
        if part > 0 {
            out.push('.');
            let mut scale = 100_000;
            while scale > 0 {
                out.push(char::from(b'0' + (part / scale % 10) as u8));
                scale /= 10;
            }
        }
        out.push('Z');
    }

    /// Appends a random id (uuid4).
    pub(super) fn uuid(&mut self, out: &mut String) {
        if self.used == self.random.len() {
            // A short answer leaves bytes of the batch before: then each id is asked for alone.
            let filled =
                rustix::rand::getrandom(&mut self.random, rustix::rand::GetRandomFlags::empty());
            self.used = 0;
            if filled != Ok(self.random.len()) {
                self.used = self.random.len();
                out.push_str(&Fresh.uuid().unwrap_or_default());
                return;
            }
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.random[self.used..self.used + 16]);
        self.used += 16;
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        out.push_str(
            id.hyphenated()
                .encode_lower(&mut uuid::Uuid::encode_buffer()),
        );
    }
}

/// An action whose line does not say who it is from.
pub(super) fn signed(
    grammar: &Grammar,
    line: &str,
    from: &str,
) -> std::result::Result<StructuredAction, CommandError> {
    let defaults = Defaults {
        timestamp: None,
        source_instance: from.to_owned(),
        correlation_id: Fresh.uuid().unwrap_or_default(),
    };
    let now = Fresh.now().unwrap_or_else(epoch);
    item::command(grammar, line, &defaults, now)
}

/// Which items of a message are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) actions: bool,
    pub(super) results: bool,
}

/// The items of a message as JSON lines, and the lines that are none.
pub(super) fn lines(
    grammar: &Grammar,
    reading: &Reading,
    id: Id,
    wanted: Wanted,
) -> (Vec<String>, Vec<Bad<LineError>>) {
    let made = Timestamp::from_unix(id.seconds() as i64, id.micros()).unwrap_or_else(epoch);
    let (items, errors) = item::items(reading, |line, defaults| {
        action(grammar, line, defaults, made)
    });
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
    grammar: &Grammar,
    line: &str,
    defaults: &Defaults,
    made: Timestamp,
) -> std::result::Result<StructuredAction, LineError> {
    item::command(grammar, line, defaults, made).map_err(|error| match error {
        CommandError::Json(error) => not_json(error.to_string()),
        CommandError::Text(error) => LineError {
            code: error.code.as_str().to_owned(),
            message: error.message,
            column: error.column,
            suggestion: error.suggestion,
        },
    })
}

fn not_json(message: String) -> LineError {
    LineError {
        code: "json".to_owned(),
        message,
        column: 1,
        suggestion: None,
    }
}

/// The same for files, whose spores may have no time: then it is null.
pub(super) fn command(
    grammar: &Grammar,
    line: &str,
    defaults: &Defaults,
) -> std::result::Result<Value, LineError> {
    // Whether anything says a time shows from two that differ.
    let said = action(grammar, line, defaults, epoch())?;
    let later = Timestamp::from_unix(1, 0).unwrap_or_else(epoch);
    let timeless = action(grammar, line, defaults, later)?.timestamp != said.timestamp;
    let mut action: Value =
        serde_json::from_str(&said.to_json()).map_err(|error| not_json(error.to_string()))?;
    if timeless {
        action["timestamp"] = Value::Null;
    }
    Ok(action)
}

/// The time of what has none.
fn epoch() -> Timestamp {
    Timestamp::from_unix(0, 0).expect("1970 is a year that every calendar knows")
}
