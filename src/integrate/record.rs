//! What a merge writes into the journal, so that it can be proved later.
//!
//! The lines have the form of every journal line (room `event`), which passes them over: no task and
//! no agent changes by them. Fields that do not apply are left out.
//!
//! | `type` | fields after `v`, `type`, `at`, `correlation_id` |
//! |---|---|
//! | `gated` | `tree`, `commit`, `gate` (the command line), `ended` (`0`, another status, `signal N`, `timeout`), `ms`, `log` (below the root) |
//! | `landed` | `branch`, `agent`, `tasks`, `runs`, `commit` (the branch's), `into` (a full ref), `onto` (where it was), `tip` (where it went), `landed_as` (the commit for this branch), `mode`, `gates`, `was_back` (the kind of hindrance for which it had been handed back before) |
//! | `turned-back` | `branch`, `agent`, `tasks`, `commit`, `into`, `onto`, `kind` (`conflict`, `red`, `hung`, `markers`, `unrelated`, `refused`), `why`, `handed` (a branch with the conflict) and `handed_commit`, `log` |
//!
//! `correlation_id` is the id of the report of that merge.

use std::fs::File;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::event::{Event, State, What};
use crate::swarm::{Journal, Root, journal};

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The version of the form: 1.
    pub v: u32,
    /// `gated`, `landed` or `turned-back`.
    pub r#type: String,
    /// When, RFC 3339.
    pub at: String,
    /// The report of that merge.
    pub correlation_id: String,
    /// The branch, without `refs/heads/`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub branch: String,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What it was for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// The runs that made it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
    /// The commit that was tested, or the branch's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// The tree that was tested.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tree: String,
    /// The gate's command line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gate: String,
    /// How the gate ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ended: String,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// What it wrote, below the root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log: String,
    /// The full ref of the target.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub into: String,
    /// Where the target was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub onto: String,
    /// Where it went.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tip: String,
    /// The commit of the target that this branch became.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub landed_as: String,
    /// `merge`, `squash` or `rebase`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// The gates that `tip` passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<String>,
    /// Why it had been handed back before, if it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was_back: Option<String>,
    /// What kind of hindrance.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The hindrance in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The branch that holds the conflict.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub handed: String,
    /// The commit that was put there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub handed_commit: String,
}

impl Record {
    /// An empty record of that type, of now.
    pub fn new(r#type: &str, report: &str) -> Record {
        Record {
            v: 1,
            r#type: r#type.to_owned(),
            at: journal::now(),
            correlation_id: report.to_owned(),
            ..Record::default()
        }
    }

    /// Whether it says that the gate passed.
    pub fn passed(&self) -> bool {
        self.r#type == "gated" && self.ended == "0"
    }

    fn read(line: &str) -> Option<Record> {
        let record: Record = serde_json::from_str(line).ok()?;
        let ours = matches!(&*record.r#type, "gated" | "landed" | "turned-back");
        (ours && record.v == 1).then_some(record)
    }

    fn event(&self) -> Event {
        Event {
            at: self.at.clone(),
            correlation_id: self.correlation_id.clone(),
            what: What::Other {
                line: serde_json::to_string(self).expect("texts and numbers have a JSON form"),
            },
        }
    }
}

/// Every record of the journal, in order.
pub fn all(root: &Root) -> Result<Vec<Record>, Error> {
    let mut found = Vec::new();
    Journal::read(root)?.replay(|event| {
        if let What::Other { line } = &event.what {
            found.extend(Record::read(line));
        }
    })?;
    Ok(found)
}

/// Appends records, and the events that `more` makes of the state, after them; on disk when it
/// returns.
pub fn append(
    root: &Root,
    records: &[Record],
    more: impl FnOnce(&State) -> Vec<Event>,
) -> Result<(), Error> {
    if records.is_empty() {
        return Ok(());
    }
    let mut journal = Journal::open(root)?;
    journal.change(|state| {
        let mut events: Vec<Event> = records.iter().map(Record::event).collect();
        events.extend(more(state));
        (events, ())
    })?;
    File::open(journal.file())
        .and_then(|file| file.sync_data())
        .map_err(Error::at(journal.file()))
}

/// For [`append`]: nothing more.
pub fn nothing_more(_: &State) -> Vec<Event> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_an_event_that_every_reader_passes_over_and_is_read_as_it_was_written() {
        let mut record = Record::new("landed", "r-1");
        record.branch = "swarm/kiro-1".to_owned();
        record.tasks = vec!["2.1".to_owned()];
        record.was_back = Some("conflict".to_owned());
        let line = record.event().line();
        assert!(
            line.starts_with("{\"v\":1,\"type\":\"landed\",\"at\":\""),
            "{line}"
        );
        assert!(!line.contains("gate"), "{line}");
        let event = Event::read(&line).unwrap();
        assert_eq!(event.what.name(), "other");
        assert_eq!(Record::read(&line), Some(record));
        assert_eq!(Record::read("{\"v\":1,\"type\":\"done\"}"), None);
        assert_eq!(Record::read("{\"v\":2,\"type\":\"landed\"}"), None);
    }
}
