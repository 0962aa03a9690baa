//! Telling a sender that a message was given up: nobody is left in the belief that it was read.

use std::io::Read;

use super::take::{Claim, Receiver, Spent};
use super::{Accepted, Error, Post, Spool, day};
use crate::id::AgentName;
use crate::spore::Headers;
use crate::spore::envelope;

/// The header by which a bounce is known, so that none is sent for a bounce.
const MARK: &str = "Not Delivered";

/// A time of the wall clock in the form that headers have: UTC, whole seconds.
pub fn stamp(seconds: u64) -> String {
    let of_day = seconds % 86_400;
    format!(
        "{}T{:02}:{:02}:{:02}Z",
        day(seconds),
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

impl Receiver<'_> {
    /// Gives up a message that cannot be handed out: tells its sender, then moves it to `dead/`.
    /// Killed in between, the next receiver does it again, and the sender is told once.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when somebody else has it now; when it cannot be moved.
    pub fn give_up(&mut self, spool: &Spool, claim: &mut Claim, why: Spent) -> Result<(), Error> {
        let torn = why == Spent::Torn;
        let reason = why.to_string();
        if !torn && !matches!(why, Spent::Foreign(_)) {
            self.bounce(spool, claim, &reason);
        }
        self.bury(claim, &reason, torn)
    }

    /// The same for a message that its holder gives up, with a reason.
    ///
    /// # Errors
    /// As [`Receiver::give_up`].
    pub fn fail(&mut self, spool: &Spool, claim: &mut Claim, reason: &str) -> Result<(), Error> {
        self.bounce(spool, claim, reason);
        self.bury(claim, reason, false)
    }

    /// Sends the note. When the sender has no mailbox here there is nobody to tell.
    fn bounce(&self, spool: &Spool, claim: &mut Claim, reason: &str) {
        let mut text = Vec::new();
        let Some(file) = claim.open() else { return };
        if file
            .take(envelope::HEAD as u64)
            .read_to_end(&mut text)
            .is_err()
        {
            return;
        }
        let head = envelope::head(&text);
        let from: Option<AgentName> = head.headers.from.as_deref().and_then(|f| f.parse().ok());
        let Some(from) = from.filter(|_| !head.extra.iter().any(|(key, _)| key == MARK)) else {
            return;
        };
        // A bounce that fails must not keep the message alive: the reason stands beside it.
        drop(self.send_note(spool, &from, &head, claim, reason));
    }

    fn send_note(
        &self,
        spool: &Spool,
        to: &AgentName,
        head: &envelope::Head,
        claim: &Claim,
        reason: &str,
    ) -> Result<Accepted, Error> {
        let mailbox = spool.mailbox(to)?;
        let me = self.mailbox().name();
        let key = format!("bounce {}", claim.name.id);
        let id = mailbox.reserve(me.as_str(), &key, self.host().clock.id())?;
        if mailbox.has(id)? {
            return Ok(Accepted::Duplicate);
        }
        let headers = Headers {
            id: Some(id.to_string()),
            from: Some(me.to_string()),
            to: vec![to.to_string()],
            time: Some(stamp(id.seconds())),
            kind: Some("error".to_owned()),
            re: Some(head.headers.id.clone().unwrap_or(claim.name.id.to_string())),
            topic: head.headers.topic.clone(),
        };
        let subject = head.subject.as_deref().unwrap_or("(none)");
        let subject = format!("not read: {subject}");
        let extra = [(MARK.to_owned(), claim.name.id.to_string())];
        let body = format!("The mailbox of {me} gave this message up: {reason}.\n");
        let spore = envelope::wrap(Some(&subject), &headers, &extra, body.as_bytes())
            .or_else(|_| envelope::wrap(Some("not read"), &headers, &extra, body.as_bytes()))
            .unwrap_or_else(|_| body.into_bytes());
        mailbox.deliver(id, &spore, &Post::default())
    }
}
