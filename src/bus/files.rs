//! Files as a bus: a directory of mailboxes that is not the swarm's own.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Delivery, Error, Foreign, LIMIT, Parcel, Published, Transport};
use crate::id::AgentName;
use crate::spool::{Claim, Host, Id, Mailbox, Place, Post, Receiver, Spool, Taken, Watch};
use crate::swarm;

/// How long what was fetched may stay unsettled before others get it.
const LEASE: Duration = Duration::from_secs(60);

/// How long another may take for a bundle before we say that nothing can be had.
const OPENING: Duration = Duration::from_secs(10);

/// A directory of mailboxes.
#[derive(Debug)]
pub(super) struct Files {
    spool: Spool,
}

impl Files {
    pub(super) fn open(path: &Path) -> Result<Files, Error> {
        Ok(Files {
            spool: Spool::open_or_create(path)?,
        })
    }

    fn take(&self, mailbox: &Mailbox, limit: usize) -> Result<Vec<Delivery>, Error> {
        let mut receiver = Receiver::new(mailbox, Host::here(), LEASE);
        let mut found = Vec::new();
        while found.len() < limit {
            let taken = match found.is_empty() {
                true => receiver.take_within(OPENING)?,
                false => receiver.take()?,
            };
            match taken {
                Taken::Nothing | Taken::Opening => break,
                Taken::Message(claim) => found.push(delivery(claim, None)),
                Taken::Spent(claim, why) => found.push(delivery(claim, Some(why.to_string()))),
            }
        }
        Ok(found)
    }
}

fn delivery(mut claim: Claim, spent: Option<String>) -> Delivery {
    use std::io::Read;
    let token = format!("{},A={}", claim.name.id, claim.name.attempts);
    let mut bytes = Vec::new();
    let read = claim
        .open()
        .map(|file| file.take(LIMIT as u64 + 1).read_to_end(&mut bytes));
    let why = match (spent, read) {
        (Some(why), _) => Some(why),
        (None, Some(Ok(_))) if bytes.len() <= LIMIT => None,
        (None, _) => Some("it cannot be read".to_owned()),
    };
    let parcel = match why {
        Some(why) => Err(Foreign { why, bytes }),
        None => Ok(Parcel {
            id: claim.name.id,
            lane: claim.lane,
            expiry: claim.name.expiry,
            bytes,
        }),
    };
    Delivery { parcel, token }
}

impl Transport for Files {
    fn publish(&mut self, to: &AgentName, batch: &[Parcel], _by: Instant) -> Published {
        let mut confirmed = 0;
        let mut deliver = || -> Result<(), Error> {
            let mailbox = self.spool.create(to)?;
            for parcel in batch {
                let post = Post {
                    lane: parcel.lane,
                    expiry: parcel.expiry,
                    sync: true,
                };
                mailbox.deliver(parcel.id, &parcel.bytes, &post)?;
                confirmed += 1;
            }
            Ok(())
        };
        let trouble = deliver().err();
        Published { confirmed, trouble }
    }

    fn fetch(
        &mut self,
        of: &AgentName,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Error> {
        let mailbox = self.spool.create(of)?;
        let end = Instant::now() + wait;
        let mut watch = Watch::arm(&mailbox);
        loop {
            let found = self.take(&mailbox, limit)?;
            let left = end.saturating_duration_since(Instant::now());
            if !found.is_empty() || left.is_zero() {
                return Ok(found);
            }
            watch.wait(&mailbox, left)?;
        }
    }

    fn settle(&mut self, of: &AgentName, tokens: &[String]) -> Result<(), Error> {
        let mailbox = self.spool.create(of)?;
        let mut receiver = Receiver::new(&mailbox, Host::here(), LEASE);
        for token in tokens {
            let (id, attempt) = token.split_once(",A=").unwrap_or((token, ""));
            let Ok(id) = id.parse::<Id>() else { continue };
            match receiver.held(id, attempt.parse().ok()) {
                Ok(claim) => receiver.ack(&claim)?,
                Err(_) if matches!(mailbox.settled(id), Ok(Some(Place::Done(_)))) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn depth(&mut self, of: &AgentName) -> Result<u64, Error> {
        Ok(self.spool.create(of)?.list()?.len() as u64)
    }

    fn declare(&mut self, of: &AgentName) -> Result<(), Error> {
        self.spool.create(of).map(drop).map_err(Error::from)
    }

    fn mark(&mut self, name: &str, make: bool) -> Result<bool, Error> {
        let path = self.spool.path().join(format!(".mark-{name}"));
        if make {
            swarm::files::write_new(&path, b"").map_err(Error::io(&path))?;
        }
        Ok(path.exists())
    }

    fn ping(&mut self) -> Result<(), Error> {
        self.spool.names().map(drop).map_err(Error::from)
    }

    fn limit(&self) -> usize {
        LIMIT
    }

    fn frailty(&mut self) -> Result<Option<String>, Error> {
        Ok(None)
    }
}
