//! What is to be sent: messages made from the options and standard input.

use std::io::Read;

use anyhow::Context;
use serde_json::{Map, Value};

use super::deliver::Sender;
use super::{Args, TOOL};
use crate::action::Record;
use crate::cli::error::{self, Failure, complain};
use crate::cli::{Result, Status, mail_items, mail_sign, output, words};
use crate::id::{AgentName, SporeId, TopicName};
use crate::spool::{Id, stamp};
use crate::spore::{Headers, Part, envelope, item};

/// Bodies longer than this pass through without being held in memory.
const HELD: u64 = 1 << 20;

/// A message before it has an id.
pub(super) struct Draft {
    pub(super) subject: Option<String>,
    pub(super) headers: Headers,
    pub(super) extra: Vec<(String, String)>,
    pub(super) body: Body,
}

pub(super) enum Body {
    /// All of it.
    Held(Vec<u8>),
    /// A whole file, whose head is replaced.
    File(Vec<u8>, Box<envelope::Head>),
    /// Its beginning; the rest still stands in standard input.
    Begun(Vec<u8>),
}

/// Drafts, and whether some lines were no messages.
pub(super) type Drafts = (Vec<Draft>, Status);

impl Sender<'_> {
    pub(super) fn drafts(&self) -> Result<Drafts> {
        if let Some(text) = &self.args.message {
            if text.len() as u64 > self.args.max {
                return Err(self.too_long().into());
            }
            let draft = self.draft(None, text.clone().into_bytes());
            return Ok((vec![draft], Status::Done));
        }
        if error::stdin_is_terminal() {
            return Err(error::no_input::<Args>().into());
        }
        let limit = self.args.max.min(HELD);
        let mut bytes = Vec::new();
        // Batches may be longer than one message: each line is held to the limit instead.
        let mut stdin = std::io::stdin().lock();
        stdin
            .by_ref()
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .context("standard input")?;
        if bytes.is_empty() && self.args.subject.is_none() {
            // The command before us in the pipe failed, or had nothing to say.
            return Err(
                Failure::new(Status::No, "nothing to send: standard input is empty")
                    .hint("-m '' sends an empty message")
                    .into(),
            );
        }
        if is_json(&bytes) {
            stdin.read_to_end(&mut bytes).context("standard input")?;
            return self.lines(&bytes);
        }
        let longer = bytes.len() as u64 > limit;
        if longer && limit == self.args.max {
            return Err(self.too_long().into());
        }
        let head = envelope::head(&bytes);
        if head.is_spore {
            stdin
                .take(self.args.max.saturating_sub(bytes.len() as u64) + 1)
                .read_to_end(&mut bytes)
                .context("standard input")?;
            if bytes.len() as u64 > self.args.max {
                return Err(self.too_long().into());
            }
            return Ok((vec![self.file(bytes, head)?], Status::Done));
        }
        let mut draft = self.draft(None, Vec::new());
        draft.body = match longer {
            true => Body::Begun(bytes),
            false => Body::Held(bytes),
        };
        Ok((vec![draft], Status::Done))
    }

    /// Who we are, for what must have a sender.
    fn name(&self) -> &str {
        self.me.as_ref().map_or("unknown", AgentName::as_str)
    }

    /// The subject that was given; an empty one is none.
    fn subject(&self) -> Option<String> {
        self.args.subject.clone().filter(|text| !text.is_empty())
    }

    pub(super) fn too_long(&self) -> Failure {
        Failure::usage(format!(
            "the message is longer than the limit of {} bytes",
            self.args.max
        ))
        .hint("--max BYTES allows more")
    }

    /// A message with what the options say.
    fn draft(&self, from: Option<&str>, body: Vec<u8>) -> Draft {
        let args = self.args;
        let me = self.me.as_ref().map(AgentName::as_str);
        let kind = if args.re.is_some() { "reply" } else { "note" };
        Draft {
            subject: self.subject(),
            headers: Headers {
                from: Some(me.or(from).unwrap_or("unknown").to_owned()),
                to: self.to.clone(),
                kind: Some(args.kind.clone().unwrap_or(kind.to_owned())),
                re: args.re.as_ref().map(SporeId::to_string),
                topic: args.topic.as_ref().map(TopicName::to_string),
                ..Headers::default()
            },
            extra: Vec::new(),
            body: Body::Held(body),
        }
    }

    /// A spore file: what it says stands, unless an option says otherwise.
    fn file(&self, bytes: Vec<u8>, head: envelope::Head) -> Result<Draft> {
        let args = self.args;
        let theirs = head.headers.clone();
        if let (Some(me), Some(from)) = (&self.me, &theirs.from)
            && me.as_str() != from
        {
            return Err(Failure::new(
                Status::Refused,
                format!(
                    "the spore says it is from {from:?}, and you are {:?}",
                    me.as_str()
                ),
            )
            .hint("nobody signs with another's name: take its From line out")
            .into());
        }
        let ours = self.draft(theirs.from.as_deref(), Vec::new());
        Ok(Draft {
            subject: self.subject().or(head.subject.clone()),
            headers: Headers {
                id: theirs.id,
                time: theirs.time,
                kind: args.kind.clone().or(theirs.kind).or(ours.headers.kind),
                re: ours.headers.re.or(theirs.re),
                topic: ours.headers.topic.or(theirs.topic),
                ..ours.headers
            },
            extra: head.extra.clone(),
            body: Body::File(bytes, Box::new(head)),
        })
    }

    fn lines(&self, bytes: &[u8]) -> Result<Drafts> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            Failure::usage(format!("standard input: JSON lines are not UTF-8: {error}"))
        })?;
        let mut drafts = Vec::new();
        let mut status = Status::Done;
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let read = match line.len() as u64 > self.args.max {
                true => Err(self.too_long().into()),
                false => self.line(line),
            };
            match read {
                Ok(draft) => drafts.push(draft),
                Err(error) => {
                    let place = format!("standard input:{}", number + 1);
                    complain(TOOL, &error.context(place));
                    status = Status::Trouble;
                }
            }
        }
        if self.args.batch && status != Status::Done {
            return Err(Failure::usage("nothing was sent: --batch sends all or nothing").into());
        }
        Ok((drafts, status))
    }

    fn line(&self, line: &str) -> Result<Draft> {
        let value: Value = serde_json::from_str(line)?;
        let Value::Object(object) = &value else {
            return Err(Failure::usage("not a JSON object").into());
        };
        if !object.contains_key("verb") && !object.contains_key("success") {
            return Ok(self.draft(None, format!("```json\n{line}\n```\n").into_bytes()));
        }
        let grammar = words::grammar(self.args.root.repo.as_deref())?;
        let record = match object.contains_key("verb") && !object.contains_key("source_instance") {
            true => Record::Action(mail_items::signed(grammar, line, self.name())?),
            false => Record::read(line, &mut mail_items::Fresh, &grammar.words(false))?,
        };
        let source = match &record {
            Record::Action(action) => Some(action.source_instance.as_str()),
            Record::Result(_) => None,
        };
        // Who the message will be from.
        let from = self.me.as_ref().map(AgentName::as_str).or(source);
        let (block, lines) = match item::part(grammar, &record, from) {
            Part::Action(lines) => ("action", lines),
            Part::Result(lines) => ("result", lines),
            Part::Text(text) => ("", vec![text]),
        };
        let body = format!("```{block}\n{}\n```\n", lines.join("\n")).into_bytes();
        let (from, kind, subject) = match &record {
            Record::Action(action) => {
                let subject = format!("{} {}", action.verb, action.noun);
                (Some(action.source_instance.as_str()), "request", subject)
            }
            Record::Result(result) => {
                let word = if result.success { "done" } else { "failed" };
                (None, "reply", format!("{word}: {}", result.message))
            }
        };
        let mut draft = self.draft(from, body);
        if self.args.kind.is_none() && self.args.re.is_none() {
            draft.headers.kind = Some(kind.to_owned());
        }
        // A title is one line of printable text.
        let title = subject.lines().next().unwrap_or(kind).trim();
        draft.subject.get_or_insert_with(|| output::shown(title));
        Ok(draft)
    }

    /// Composes the message under its id.
    pub(super) fn compose(&self, draft: &Draft, id: Id) -> Result<Vec<u8>> {
        let mut headers = draft.headers.clone();
        headers.id.get_or_insert_with(|| id.to_string());
        headers.time.get_or_insert_with(|| stamp(id.seconds()));
        let (subject, extra) = (draft.subject.as_deref(), draft.extra.as_slice());
        let spore = match &draft.body {
            Body::Held(body) => envelope::wrap(subject, &headers, extra, body),
            Body::File(bytes, head) => envelope::readdress(bytes, head, subject, &headers, extra),
            Body::Begun(start) => {
                // The beginning decides how the rest is read; it is cut off again.
                let line = start
                    .iter()
                    .rposition(|b| *b == b'\n')
                    .map_or(start.len(), |at| at + 1);
                envelope::wrap(subject, &headers, extra, &start[..line]).and_then(|probe| {
                    let marked = probe
                        .windows(18)
                        .take(64 * 1024)
                        .any(|w| w == b"\n<!-- verbatim -->");
                    let mut top = envelope::wrap(subject, &headers, extra, b"")?;
                    if marked {
                        top.extend_from_slice(b"\n<!-- verbatim -->\n");
                    }
                    top.push(b'\n');
                    top.extend_from_slice(start);
                    Ok(top)
                })
            }
        };
        let spore = spore.context("composing the message")?;
        match (&self.args.sign, &draft.body) {
            (None, _) => Ok(spore),
            (Some(_), Body::Begun(_)) => {
                let limit = format!("a message of more than {HELD} bytes cannot be signed");
                Err(Failure::usage(limit).into())
            }
            (Some(key), _) => mail_sign::sign(&spore, key),
        }
    }
}

/// Whether the first line is a JSON object.
fn is_json(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    if !text.starts_with(b"{") {
        return false;
    }
    let line = text.split(|b| *b == b'\n').next().unwrap_or(text);
    // Cut at the limit it cannot be judged; a whole line can.
    serde_json::from_slice::<Map<String, Value>>(line).is_ok()
}
