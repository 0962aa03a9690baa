//! Messages as they are shown: one by one, and in lists that take nothing.

use std::io::Write;

use serde_json::{Map, json};

use super::{Args, TOOL};
use crate::cli::error::{Failure, complain};
use crate::cli::mail::{self, Letter};
use crate::cli::mail_items::{self, Wanted};
use crate::cli::output::shown;
use crate::cli::{Out, Result, Status, words};
use crate::spool::{Clock, Entry, Mailbox, stamp};

impl Args {
    pub(super) fn list(&self, mailbox: &Mailbox, out: &mut Out) -> Result {
        let entries = mailbox.list()?;
        for entry in &entries {
            let state = if entry.waits() { "waiting" } else { "held" };
            let Some(letter) = glance(mailbox, entry) else {
                continue;
            };
            if self.json {
                let mut record = letter.record("entry");
                record.insert("state".into(), json!(state));
                record.insert("attempts".into(), json!(entry.name.attempts));
                if let Some(expiry) = entry.name.expiry {
                    record.insert("expires".into(), json!(stamp(expiry)));
                }
                mail::line(out, &record)?;
            } else {
                let subject = letter.head.subject.as_deref().unwrap_or("");
                let (from, subject) = (shown(letter.from()), shown(subject));
                let row = format!("{}\t{}\t{state}\t{from}\t{subject}", letter.id, letter.lane);
                writeln!(out, "{}", row.trim_end())?;
            }
        }
        Ok(some(!entries.is_empty()))
    }

    pub(super) fn peek(&self, mailbox: &Mailbox, out: &mut Out) -> Result {
        let limit = if self.all {
            usize::MAX
        } else {
            self.number.unwrap_or(1)
        };
        let mut given = 0;
        let mut status = Status::Done;
        for entry in mailbox.list()?.iter().filter(|entry| entry.waits()) {
            if given == limit {
                break;
            }
            let Some(mut letter) = glance(mailbox, entry) else {
                continue;
            };
            let Some(judged) = self.write(&mut letter, None, out)? else {
                continue;
            };
            status = status.and(judged);
            given += 1;
        }
        Ok(some(given > 0).and(status))
    }

    pub(super) fn dead(&self, mailbox: &Mailbox, out: &mut Out) -> Result {
        let dead = mailbox.dead()?;
        for (id, why) in &dead {
            if self.json {
                let mut record = Map::new();
                record.insert("v".into(), json!(1));
                record.insert("type".into(), json!("dead"));
                record.insert("id".into(), json!(id.to_string()));
                record.insert("reason".into(), json!(why));
                mail::line(out, &record)?;
            } else {
                writeln!(out, "{id}\t{}", shown(why))?;
            }
        }
        Ok(some(!dead.is_empty()))
    }

    pub(super) fn doctor(&self, mailbox: &Mailbox, out: &mut Out) -> Result {
        let findings = mailbox.examine(Clock::Kernel.now())?;
        for finding in &findings {
            if self.json {
                let mut record = Map::new();
                record.insert("v".into(), json!(1));
                record.insert("type".into(), json!("finding"));
                record.insert("path".into(), json!(finding.path));
                record.insert("bad".into(), json!(finding.bad));
                record.insert("message".into(), json!(finding.what));
                mail::line(out, &record)?;
            } else {
                writeln!(out, "{}\t{}", shown(&finding.path), shown(&finding.what))?;
            }
        }
        Ok(some(!findings.iter().any(|finding| finding.bad)))
    }

    /// Writes a message in the form that was asked for; `None` when it has no item of that kind.
    pub(super) fn write(
        &self,
        letter: &mut Letter,
        hold: Option<&str>,
        out: &mut Out,
    ) -> Result<Option<Status>> {
        if self.actions || self.results {
            return self.write_items(letter, out);
        }
        if self.json {
            let mut record = letter.record("message");
            record.insert("attempts".into(), json!(letter.attempts));
            if let Some(hold) = hold {
                record.insert("hold".into(), json!(hold));
            }
            record.insert("body".into(), json!(mail::body(letter.whole()?)));
            mail::line(out, &record)?;
            return Ok(Some(Status::Done));
        }
        if self.raw {
            letter.copy_to(out, false)?;
            return Ok(Some(Status::Done));
        }
        if self.all || self.follow || self.number.is_some_and(|number| number > 1) {
            writeln!(out, "=== {} from {}", letter.id, shown(letter.from()))?;
        }
        print(letter, false, out)?;
        Ok(Some(Status::Done))
    }

    fn write_items(&self, letter: &mut Letter, out: &mut Out) -> Result<Option<Status>> {
        let wanted = Wanted {
            actions: self.actions,
            results: self.results,
        };
        let id = letter.id;
        let reading = crate::spore::read(letter.whole()?);
        let grammar = words::grammar(self.root.repo.as_deref())?;
        let (lines, errors) = mail_items::lines(grammar, &reading, id, wanted);
        let mut status = Status::Done;
        for bad in &errors {
            let place = format!("{id}:{}:{}", bad.row, bad.indent + bad.error.column);
            let failure = Failure::usage(bad.error.message.clone());
            let failure = match &bad.error.suggestion {
                Some(line) => failure.hint(format!("write: {line}")),
                None => failure,
            };
            complain(TOOL, &anyhow::Error::new(failure).context(place));
            status = Status::Trouble;
        }
        if lines.is_empty() {
            return Ok(None);
        }
        for line in &lines {
            writeln!(out, "{line}")?;
        }
        Ok(Some(status))
    }
}

fn some(is: bool) -> Status {
    if is { Status::Done } else { Status::No }
}

/// Opens a message to look at it; `None` when it is gone or no message.
pub(super) fn glance(mailbox: &Mailbox, entry: &Entry) -> Option<Letter> {
    let file = mailbox.open_entry(entry).ok()?;
    Letter::open(&entry.name, entry.lane, file.into()).ok()
}

/// Writes one message for people, or as a record.
pub(in crate::cli) fn print(letter: &mut Letter, as_record: bool, out: &mut Out) -> Result<()> {
    if as_record {
        let mut record = letter.record("message");
        record.insert("body".into(), json!(mail::body(letter.whole()?)));
        return mail::line(out, &record);
    }
    if !letter.copy_to(out, mail::to_terminal())? {
        out.write_all(b"\n")?;
    }
    Ok(())
}
