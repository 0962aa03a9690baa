//! What `spore-send` and `spore-recv` share: where the mail is, who I am, who is known.

use std::io::{IsTerminal, Read, Write};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::args::{AsArgs, RootArgs};
use super::error::{Failure, Status};
use super::mail_sign::Worth;
use super::{Out, Result, error};
use crate::id::AgentName;
use crate::spool::{self, Id, Mailbox, Spool};
use crate::spore::envelope::{self, Head};
use crate::swarm::root::Options;
use crate::swarm::{Config, Root, Roster, Who};

/// Blocking calls end by themselves before the cap that agents' shell tools have.
pub(super) const PATIENCE: Duration = Duration::from_secs(9 * 60);

/// The mail of one swarm.
pub(super) struct Mail {
    pub(super) root: Root,
    pub(super) spool: Spool,
    pub(super) me: Option<AgentName>,
}

impl Mail {
    /// Finds the swarm and who we are; makes the mail directory when `make` says so.
    pub(super) fn open(root: &RootArgs, who: &AsArgs, make: bool) -> Result<Mail> {
        let start = root.repo.clone().unwrap_or_default();
        let root = Root::find(&Options {
            start,
            root: root.root.clone(),
        })?;
        let environment = std::env::var("SPORE_AGENT").ok();
        let me = Who::am_i(&root, who.as_name.as_deref(), environment.as_deref())?;
        let mail = root.mail();
        let spool = match Spool::open(&mail) {
            Ok(spool) => spool,
            Err(_) if make && !mail.exists() => {
                root.make_dir(&mail)?;
                Spool::open(&mail)?
            }
            Err(_) if !mail.exists() => {
                let nothing = format!("no mailboxes yet in {}", root.path().display());
                return Err(Failure::new(Status::Unknown, nothing)
                    .hint("spore-send --to NAME --create makes the first one")
                    .into());
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Mail {
            spool,
            me: me.map(|who| who.agent),
            root,
        })
    }

    /// Who we are, for commands that cannot go on without.
    pub(super) fn must_be(&self) -> Result<AgentName> {
        Ok(self.me.clone().ok_or(crate::swarm::Error::Nobody)?)
    }

    /// Everybody that is known.
    pub(super) fn roster(&self) -> Result<Roster> {
        Ok(Roster::read(&self.root, &Config::read(&self.root)?)?)
    }

    /// The mailbox of `name`. One that is missing is made when `create` says so, or when the roster
    /// or a worktree knows the name: a recipient list is closed, but nobody on it need be there yet.
    pub(super) fn mailbox(&self, name: &AgentName, create: bool) -> Result<Mailbox> {
        match self.spool.mailbox(name) {
            Err(spool::Error::NoMailbox { .. }) => {}
            found => return Ok(found?),
        }
        if !create {
            self.check_known(name)?;
        }
        Ok(self.spool.create(name)?)
    }

    /// Whether anybody here bears this name.
    pub(super) fn check_known(&self, name: &AgentName) -> Result<()> {
        let roster = self.roster()?;
        match roster.agent(name.as_str()) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.unknown(name, &roster)),
        }
    }

    fn unknown(&self, name: &AgentName, roster: &Roster) -> anyhow::Error {
        let known = roster.agents.keys().map(AgentName::as_str);
        let near = crate::id::nearest(name.as_str(), known);
        let mut failure = Failure::new(
            Status::Unknown,
            format!("unknown mailbox {:?}", name.as_str()),
        );
        match near.as_slice() {
            [] if roster.agents.is_empty() => {}
            [] => {
                let all: Vec<&str> = roster
                    .agents
                    .keys()
                    .map(AgentName::as_str)
                    .take(8)
                    .collect();
                failure = failure.hint(format!("known are {}", all.join(", ")));
            }
            near => failure = failure.hint(format!("did you mean {}?", near.join(" or "))),
        }
        failure
            .hint("--create makes a new mailbox; [agents] in swarm.toml makes a name known")
            .into()
    }

    /// Warns of what is not safe, and of what nobody reads.
    pub(super) fn warn_of(&self, tool: &str, mailbox: &Mailbox) {
        if mailbox.is_open_to_others() {
            let path = mailbox.path().display();
            error::say(&format!(
                "{tool}: others may write into {path}\nhint: chmod 700 {path}\n"
            ));
        }
    }
}

/// A length of time for people: the largest unit that fits.
pub(super) fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A message that was opened, and what its head says.
pub(super) struct Letter {
    pub(super) id: Id,
    pub(super) lane: &'static str,
    pub(super) size: u64,
    pub(super) attempts: u32,
    pub(super) head: Head,
    /// What was read of it so far: its beginning, and all of it when it is short.
    pub(super) start: Vec<u8>,
    /// What its signature is worth, where that was asked.
    pub(super) worth: Option<Worth>,
    rest: std::fs::File,
}

impl Letter {
    /// Reads the head.
    pub(super) fn open(
        name: &spool::Name,
        lane: spool::Lane,
        mut file: std::fs::File,
    ) -> Result<Letter> {
        let mut start = Vec::with_capacity((name.size as usize).min(envelope::HEAD));
        Read::by_ref(&mut file)
            .take(envelope::HEAD as u64)
            .read_to_end(&mut start)
            .with_context(|| format!("reading {}", name.id))?;
        Ok(Letter {
            id: name.id,
            lane: lane.as_str(),
            size: name.size,
            attempts: name.attempts,
            head: envelope::head(&start),
            start,
            worth: None,
            rest: file,
        })
    }

    /// The id by which others answer it.
    pub(super) fn spore_id(&self) -> String {
        self.head.headers.id.clone().unwrap_or(self.id.to_string())
    }

    pub(super) fn from(&self) -> &str {
        self.head.headers.from.as_deref().unwrap_or("unknown")
    }

    /// All of it in memory.
    pub(super) fn whole(&mut self) -> Result<&[u8]> {
        self.rest
            .read_to_end(&mut self.start)
            .with_context(|| format!("reading {}", self.id))?;
        Ok(&self.start)
    }

    /// Writes it out as it is, or escaped for a terminal, without holding all of it.
    pub(super) fn copy_to(&mut self, out: &mut Out, escaped: bool) -> Result<bool> {
        let mut last = self.start.last().copied();
        let mut buffer = std::mem::take(&mut self.start);
        while !buffer.is_empty() {
            if escaped {
                let text = String::from_utf8_lossy(&buffer);
                out.write_all(error::shown(&text).as_bytes())?;
            } else {
                out.write_all(&buffer)?;
            }
            last = buffer.last().copied();
            buffer.resize(64 * 1024, 0);
            let read = self
                .rest
                .read(&mut buffer)
                .with_context(|| format!("reading {}", self.id))?;
            buffer.truncate(read);
        }
        Ok(last == Some(b'\n'))
    }

    /// The record of a message, without its text.
    pub(super) fn record(&self, kind: &str) -> Map<String, Value> {
        let headers = &self.head.headers;
        let mut record = Map::new();
        record.insert("v".into(), json!(1));
        record.insert("type".into(), json!(kind));
        record.insert("id".into(), json!(self.id.to_string()));
        let spore = headers
            .id
            .as_deref()
            .filter(|id| *id != self.id.to_string());
        for (key, value) in [
            ("spore_id", spore),
            ("from", headers.from.as_deref()),
            ("subject", self.head.subject.as_deref()),
            ("kind", headers.kind.as_deref()),
            ("re", headers.re.as_deref()),
            ("topic", headers.topic.as_deref()),
            ("time", headers.time.as_deref()),
        ] {
            if let Some(value) = value {
                record.insert(key.into(), json!(value));
            }
        }
        record.insert("to".into(), json!(headers.to));
        record.insert("lane".into(), json!(self.lane));
        record.insert("bytes".into(), json!(self.size));
        if let Some(worth) = self.worth {
            record.insert("signature".into(), json!(worth.as_str()));
        }
        record
    }
}

/// The text below the headers, as it stands in the file.
pub(super) fn body(spore: &[u8]) -> String {
    let reading = crate::spore::read(spore);
    let mut text = String::new();
    for part in &reading.spore.parts {
        let (fence, lines) = match part {
            crate::spore::Part::Text(lines) => {
                text.push_str(lines);
                text.push('\n');
                continue;
            }
            crate::spore::Part::Action(lines) => ("action", lines),
            crate::spore::Part::Result(lines) => ("result", lines),
        };
        text.push_str(&format!("```{fence}\n{}\n```\n", lines.join("\n")));
    }
    text
}

/// Whether bodies must be escaped: only a terminal interprets them.
pub(super) fn to_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// One JSON line.
pub(super) fn line(out: &mut Out, record: &Map<String, Value>) -> Result<()> {
    serde_json::to_writer(&mut *out, record).map_err(std::io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}
