//! What became of a message: `--status`, `--expect-reply`, `--wait-ack`.

use std::collections::HashSet;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Map, json};

use super::deliver::Sent;
use super::{Args, TOOL};
use crate::cli::error::{self, Failure};
use crate::cli::mail::{self, Letter, Mail};
use crate::cli::{Out, Result, Status, mail_bus, spore_recv};
use crate::id::{AgentName, IdError};
use crate::spool::{Host, Id, Mailbox, Place, Receiver, Taken, Watch};

/// Clocks of two hosts are at most so far apart, in seconds.
const CLOCKS: u64 = 3600;

impl Args {
    pub(super) fn status(&self, mail: &Mail, id: Id, out: &mut Out) -> Result {
        let names = match self.to.is_empty() {
            true => {
                let mut names = mail.spool.names()?;
                names.extend(mail_bus::names(&mail.root)?);
                names.sort();
                names.dedup();
                names
            }
            false => {
                let names: std::result::Result<Vec<AgentName>, IdError> =
                    self.to.iter().map(|name| name.parse()).collect();
                names?
            }
        };
        let mut found = false;
        for name in names {
            let place = match mail.spool.mailbox(&name) {
                Ok(mailbox) => mailbox.find(id)?,
                Err(crate::spool::Error::NoMailbox { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            // Not here yet: a bus may have it, or it waits for one.
            let of_bus = match place {
                None => mail_bus::state_of(&mail.root, &name, id)?,
                Some(_) => None,
            };
            let (state, detail) = match (&place, &of_bus) {
                (Some(place), _) => {
                    let detail = match place {
                        Place::Done(day) => day.as_str(),
                        Place::Dead(why) => why.strip_prefix("Dead-Reason: ").unwrap_or(why),
                        _ => "",
                    };
                    (place.as_str(), detail)
                }
                (None, Some((state, detail))) => (*state, detail.as_str()),
                (None, None) => continue,
            };
            found = true;
            if self.json {
                let mut record = Map::new();
                record.insert("v".into(), json!(1));
                record.insert("type".into(), json!("delivery"));
                record.insert("id".into(), json!(id.to_string()));
                record.insert("to".into(), json!(name.as_str()));
                record.insert("state".into(), json!(state));
                if !detail.is_empty() {
                    record.insert("detail".into(), json!(detail));
                }
                mail::line(out, &record)?;
            } else {
                let row = format!("{id}\t{name}\t{state}\t{detail}");
                writeln!(out, "{}", row.trim_end())?;
            }
        }
        match found {
            true => Ok(Status::Done),
            false => {
                Err(Failure::new(Status::Unknown, format!("no message {id} in any mailbox")).into())
            }
        }
    }

    /// Waits in our own mailbox for a message that answers `asked`; others stay where they are.
    pub(super) fn await_reply(
        &self,
        own: &Mailbox,
        watch: &mut Watch,
        asked: Sent,
        wait: Duration,
        out: &mut Out,
    ) -> Result {
        let end = Instant::now() + wait;
        let mut receiver = Receiver::new(own, Host::here(), mail::PATIENCE);
        let mut known: HashSet<Id> = HashSet::new();
        loop {
            own.note_reader();
            for entry in own.list()? {
                // An answer may come from a host whose clock is behind.
                let old = entry.name.id.seconds() + CLOCKS < asked.id.seconds();
                if entry.held || old || !known.insert(entry.name.id) {
                    continue;
                }
                // Gone or not a message: not ours to judge here.
                let Ok(file) = own.open_entry(&entry) else {
                    continue;
                };
                let letter = Letter::open(&entry.name, entry.lane, file.into())?;
                let re = letter.head.headers.re.as_deref();
                if re != Some(asked.name.as_str()) && re != Some(asked.id.to_string().as_str()) {
                    continue;
                }
                let Taken::Message(mut claim) = receiver.take_this(&entry)? else {
                    continue;
                };
                let Some(file) = claim.open() else { continue };
                let mut letter = Letter::open(&claim.name, claim.lane, file)?;
                spore_recv::print(&mut letter, self.json, out)?;
                out.hand_on()?;
                receiver.ack(&claim)?;
                return Ok(Status::Done);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                error::say(&format!(
                    "{TOOL}: no answer within {} s: {} was sent\n",
                    wait.as_secs_f64(),
                    asked.id
                ));
                return Ok(Status::TimedOut);
            }
            watch.wait(own, left)?;
        }
    }
}

/// Waits until all recipients have acknowledged; a message that died will not be.
pub(super) fn wait_ack(sent: &[Sent], boxes: &[Mailbox], wait: Duration) -> Result {
    let end = Instant::now() + wait;
    let mut pause = Duration::from_millis(5);
    let mut open: Vec<(&Sent, &Mailbox)> = sent
        .iter()
        .flat_map(|sent| boxes.iter().map(move |mailbox| (sent, mailbox)))
        .collect();
    loop {
        let mut dead = None;
        open.retain(|(sent, mailbox)| match mailbox.settled(sent.id) {
            Ok(Some(Place::Done(_))) => false,
            Ok(Some(Place::Dead(why))) => {
                dead = Some((sent.id, mailbox.name(), why));
                true
            }
            _ => true,
        });
        if let Some((id, name, why)) = dead {
            let why = why.strip_prefix("Dead-Reason: ").unwrap_or(&why);
            return Err(Failure::new(Status::No, format!("{id} is dead in {name}: {why}")).into());
        }
        let Some((first, mailbox)) = open.first() else {
            return Ok(Status::Done);
        };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let place = mailbox.find(first.id)?;
            error::say(&format!(
                "{TOOL}: not acknowledged within {} s: {} is {} in {}\n",
                wait.as_secs_f64(),
                first.id,
                place.map_or("nowhere", |place| place.as_str()),
                mailbox.name(),
            ));
            return Ok(Status::TimedOut);
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}
