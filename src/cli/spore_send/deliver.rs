//! From drafts to mailboxes, and on to a bus; what was sent, said to whoever asked for it.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use anyhow::Context;
use serde_json::{Map, json};

use super::draft::{Body, Draft, Drafts};
use super::{Args, TOOL};
use crate::bus::Outbox;
use crate::cli::error::{self, Failure};
use crate::cli::{Out, Result, Status, mail, mail_bus};
use crate::id::AgentName;
use crate::spool::{Accepted, Clock, Id, Mailbox, Post};

/// A message that was sent.
pub(super) struct Sent {
    pub(super) id: Id,
    /// The name by which an answer refers to it.
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) size: u64,
}

pub(super) struct Sender<'a> {
    pub(super) args: &'a Args,
    pub(super) me: Option<AgentName>,
    pub(super) to: Vec<String>,
    pub(super) clock: Clock,
    /// Whether it is reported only after a bus was asked.
    pub(super) later: bool,
}

impl Sender<'_> {
    pub(super) fn send(
        &self,
        drafts: Drafts,
        boxes: &[Mailbox],
        out: &mut Out,
    ) -> Result<(Status, Vec<Sent>)> {
        let (drafts, status) = drafts;
        let post = Post {
            lane: self.args.lane(),
            expiry: self.args.expires.map(|length| {
                self.clock
                    .now()
                    .seconds()
                    .saturating_add(length.as_secs().max(1))
            }),
            sync: !self.args.no_sync,
        };
        let mut sent = Vec::new();
        // By a bus lines are one file in the outbox too, where nothing speaks against it.
        let lines = self.later
            && drafts.len() > 1
            && self.args.id.is_none()
            && !drafts
                .iter()
                .any(|draft| matches!(draft.body, Body::Begun(_)));
        if (self.args.batch || lines) && !self.args.dry_run {
            sent = self.send_batch(drafts, boxes, &post, out)?;
            return Ok((status, sent));
        }
        let many = drafts.len() > 1;
        for (number, draft) in drafts.into_iter().enumerate() {
            // Several messages under one key are told apart by their place.
            let key = self.args.id.as_ref().map(|key| match many {
                true => format!("{key} {number}"),
                false => key.clone(),
            });
            sent.push(self.send_one(draft, key.as_deref(), boxes, &post, out)?);
        }
        Ok((status, sent))
    }

    fn send_one(
        &self,
        draft: Draft,
        key: Option<&str>,
        boxes: &[Mailbox],
        post: &Post,
        out: &mut Out,
    ) -> Result<Sent> {
        let fresh = self.clock.id();
        let from = draft.headers.from.as_deref().unwrap_or("unknown");
        // Which mailboxes get it under which id: one id for all, but for keys used before.
        let mut groups: BTreeMap<Id, Vec<&Mailbox>> = BTreeMap::new();
        let mut first = fresh;
        for (place, mailbox) in boxes.iter().enumerate() {
            let id = match key {
                Some(key) if !self.args.dry_run => mailbox.reserve(from, key, first)?,
                _ => fresh,
            };
            if place == 0 {
                first = id;
            }
            groups.entry(id).or_default().push(mailbox);
        }
        if groups.is_empty() {
            groups.insert(fresh, Vec::new());
        }
        let name = draft.headers.id.clone();
        let mut size = 0;
        let mut state = if self.args.dry_run {
            "dry-run"
        } else {
            "duplicate"
        };
        for (id, mut mailboxes) in groups {
            let spore = self.compose(&draft, id)?;
            size = spore.len() as u64;
            if self.args.dry_run {
                continue;
            }
            if key.is_some() {
                let mut wanting = Vec::new();
                for mailbox in mailboxes {
                    if !mailbox.has(id)? {
                        wanting.push(mailbox);
                    }
                }
                mailboxes = wanting;
            }
            if let Some((accepted, bytes)) = self.deliver(&draft, id, &spore, &mailboxes, post)? {
                size = bytes;
                if accepted == Accepted::New {
                    state = "delivered";
                }
            }
        }
        let sent = Sent {
            id: first,
            name: name.unwrap_or(first.to_string()),
            state,
            size,
        };
        if !self.later {
            self.report(&sent, out)?;
        }
        Ok(sent)
    }

    /// Delivers one composed message; says how many bytes it had.
    fn deliver(
        &self,
        draft: &Draft,
        id: Id,
        spore: &[u8],
        mailboxes: &[&Mailbox],
        post: &Post,
    ) -> Result<Option<(Accepted, u64)>> {
        let Some((first, others)) = mailboxes.split_first() else {
            return Ok(None);
        };
        let mut size = spore.len() as u64;
        let mut file = first.draft(post.lane, id)?;
        file.write(spore)?;
        if let Body::Begun(start) = &draft.body {
            let mut stdin = std::io::stdin().lock();
            let mut buffer = vec![0; 64 * 1024];
            let mut body = start.len() as u64;
            loop {
                let read = stdin.read(&mut buffer).context("standard input")?;
                if read == 0 {
                    break;
                }
                body += read as u64;
                if body > self.args.max {
                    return Err(self.too_long().into());
                }
                file.write(&buffer[..read])?;
                size += read as u64;
            }
        }
        if others.is_empty() {
            return Ok(Some((file.deliver(post)?, size)));
        }
        file.deliver_to_all(others, post)?;
        Ok(Some((Accepted::New, size)))
    }

    fn send_batch(
        &self,
        drafts: Vec<Draft>,
        boxes: &[Mailbox],
        post: &Post,
        out: &mut Out,
    ) -> Result<Vec<Sent>> {
        if drafts
            .iter()
            .any(|draft| matches!(draft.body, Body::Begun(_)))
        {
            return Err(self.too_long().into());
        }
        // Made before those of its messages, so that it stands where they will stand.
        let bundle = self.clock.id();
        let mut spores = Vec::with_capacity(drafts.len());
        for draft in &drafts {
            let id = self.clock.id();
            spores.push((id, self.compose(draft, id)?));
        }
        for mailbox in boxes {
            // What waits for a bus is one file there, and sent on one by one.
            match self.args.bundle || self.later {
                true => mailbox.deliver_bundle(bundle, &spores, post)?,
                false => {
                    mailbox.deliver_batch(spores.iter().map(|(id, spore)| (*id, spore)), post)?
                }
            };
        }
        let mut sent = Vec::with_capacity(spores.len());
        for ((id, spore), draft) in spores.iter().zip(&drafts) {
            let one = Sent {
                id: *id,
                name: draft.headers.id.clone().unwrap_or(id.to_string()),
                state: "delivered",
                size: spore.len() as u64,
            };
            if !self.later {
                self.report(&one, out)?;
            }
            sent.push(one);
        }
        Ok(sent)
    }

    /// Hands what stands in the outbox to the bus, and says of each message how far it came.
    pub(super) fn carry(
        &self,
        outbox: Outbox,
        names: &[AgentName],
        sent: &mut [Sent],
        out: &mut Out,
    ) -> Result {
        let (outbox, mut report) = mail_bus::drain(outbox, names.to_vec());
        // A backlog may be long: it is not read to learn that nothing went.
        let waiting = match report.confirmed == 0 && report.alone_until_ms.is_some() {
            true => None,
            false => Some(mail_bus::waiting(&outbox, names)?),
        };
        for one in sent.iter_mut().filter(|one| one.state == "delivered") {
            let waits = waiting.as_ref().is_none_or(|ids| ids.contains(&one.id));
            one.state = if waits { "spooled" } else { "confirmed" };
        }
        mail_bus::say(TOOL, &outbox, &report);
        if let Some(error) = report.trouble.take_if(|error| !error.mends()) {
            // It will not mend by waiting: what was to be sent now is not sent.
            let ids = sent.iter().map(|one| one.id).collect();
            for name in names {
                outbox.withdraw(name, &ids, &error.to_string())?;
            }
            return Err(anyhow::Error::new(error).context("not sent"));
        }
        let refused = report
            .refused
            .iter()
            .any(|(_, id, _)| sent.iter().any(|one| one.id == *id));
        if refused {
            return Ok(Status::Trouble);
        }
        for one in sent.iter() {
            self.report(one, out)?;
        }
        let spooled = sent.iter().any(|one| one.state == "spooled");
        match (spooled, self.args.require_bus) {
            (true, true) => {
                let why = match &report.trouble {
                    Some(trouble) => trouble.to_string(),
                    None => format!("{} is left alone for now", outbox.address()),
                };
                Err(Failure::new(Status::TryAgain, why)
                    .hint("the message waits in the outbox; spore-relay drain sends it")
                    .into())
            }
            _ => Ok(Status::Done),
        }
    }

    fn report(&self, sent: &Sent, out: &mut Out) -> Result<()> {
        if self.args.json {
            let mut record = Map::new();
            record.insert("v".into(), json!(1));
            record.insert("type".into(), json!("sent"));
            record.insert("id".into(), json!(sent.id.to_string()));
            if sent.name != sent.id.to_string() {
                record.insert("spore_id".into(), json!(sent.name));
            }
            record.insert("to".into(), json!(self.to));
            record.insert("state".into(), json!(sent.state));
            record.insert("lane".into(), json!(self.args.lane().as_str()));
            record.insert("bytes".into(), json!(sent.size));
            return mail::line(out, &record);
        }
        match self.args.expect_reply {
            Some(_) => error::say(&format!("{TOOL}: sent {}\n", sent.id)),
            None => writeln!(out, "{}", sent.id)?,
        }
        Ok(())
    }
}
