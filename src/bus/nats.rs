//! NATS JetStream: one stream that keeps each message until it is acknowledged, a subject and a
//! durable pull consumer for each mailbox.
//!
//! | | |
//! |---|---|
//! | mailbox | subject `spore.m.NAME` of stream `SPORE` (work queue, on files, refuses when full) |
//! | reading | consumer `NAME` (dots as `D`); one that a dead reader left with messages is made anew, so that they come first |
//! | settling | `+ACK`, the last one confirmed |
//! | mark | last message on `spore.mark.NAME` of stream `SPORE_MARK` |
//! | twice | `Nats-Msg-Id`, id and mailbox: the server drops what comes again within two minutes |

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{ContextBuilder, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, LastRawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{Context, Message};
use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use futures_util::StreamExt;

use super::reading::{by_words, parcel};
use super::runtime::Runtime;
use super::{
    Address, Away, CONNECT, Delivery, Error, LIMIT, PATIENCE, Parcel, Published, Transport, left,
};
use crate::id::AgentName;

const STREAM: &str = "SPORE";
const MARKS: &str = "SPORE_MARK";
const ID: &str = "Spore-Id";
const LANE: &str = "Spore-Lane";
const EXPIRY: &str = "Spore-Expiry";
/// How long a message may stay unacknowledged before the server gives it out again.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// A connection to a NATS server.
pub(super) struct Nats {
    // Dropped before the runtime that it lives on.
    client: Client,
    jetstream: Context,
    consumer: Option<(AgentName, PullConsumer)>,
    limit: usize,
    runtime: Runtime,
}

fn subject(of: &AgentName) -> String {
    format!("spore.m.{of}")
}

impl Nats {
    pub(super) fn connect(address: &Address, by: Instant) -> Result<Nats, Error> {
        let bus = address.to_string();
        let runtime = Runtime::new(bus.clone())?;
        let time = left(by).min(CONNECT);
        let mut options = ConnectOptions::new()
            .connection_timeout(time)
            .request_timeout(Some(PATIENCE))
            .ignore_discovered_servers()
            .require_tls(address.tls);
        if let Some(ca) = &address.ca {
            // Read here, so that a missing file is named.
            address.certificates()?;
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((cert, key)) = &address.own {
            address.own_certificate()?;
            options = options.add_client_certificate(cert.clone(), key.clone());
        }
        match (&address.user, address.secret()?) {
            (Some(user), secret) => {
                options = options.user_and_password(user.clone(), secret.unwrap_or_default());
            }
            (None, Some(token)) => options = options.token(token),
            (None, None) => {}
        }
        let (host, port) = address.host();
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_owned(),
        };
        let scheme = if address.tls { "tls" } else { "nats" };
        let url = format!("{scheme}://{host}:{port}");
        let client = runtime.within(time, async {
            options.connect(url).await.map_err(|error| {
                let text = chain(&error);
                match error.kind() {
                    ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                        Error::Denied {
                            bus: bus.clone(),
                            why: "user or password is wrong".to_owned(),
                        }
                    }
                    ConnectErrorKind::TimedOut => Error::Away {
                        bus: bus.clone(),
                        why: Away::Silent(time),
                    },
                    ConnectErrorKind::Dns => Error::Away {
                        bus: bus.clone(),
                        why: Away::Unreachable(text),
                    },
                    _ => by_words(&bus, &text),
                }
            })
        })?;
        let limit = client.server_info().max_payload;
        // What the headers take counts too.
        let limit = limit.saturating_sub(512).min(LIMIT);
        let builder = ContextBuilder::new().timeout(PATIENCE);
        let of_context = client.clone();
        let jetstream = runtime.within(time, async { Ok(builder.build(of_context)) })?;
        Ok(Nats {
            client,
            jetstream,
            consumer: None,
            limit,
            runtime,
        })
    }

    fn make_streams(&self) -> Result<Stream, Error> {
        let bus = self.runtime.bus();
        self.runtime.within(PATIENCE, async {
            let stream = self
                .jetstream
                .get_or_create_stream(Config {
                    name: STREAM.to_owned(),
                    subjects: vec!["spore.m.>".to_owned()],
                    retention: RetentionPolicy::WorkQueue,
                    storage: StorageType::File,
                    discard: DiscardPolicy::New,
                    duplicate_window: Duration::from_secs(120),
                    ..Config::default()
                })
                .await
                .map_err(|error| trouble(bus, &chain(&error)))?;
            self.jetstream
                .get_or_create_stream(Config {
                    name: MARKS.to_owned(),
                    subjects: vec!["spore.mark.*".to_owned()],
                    storage: StorageType::File,
                    max_messages_per_subject: 1,
                    ..Config::default()
                })
                .await
                .map_err(|error| trouble(bus, &chain(&error)))?;
            Ok(stream)
        })
    }

    /// The consumer of a mailbox. One that holds messages of a reader that died is made anew:
    /// then they come first, and not after the newer ones.
    fn attach(&mut self, of: &AgentName) -> Result<PullConsumer, Error> {
        if let Some((name, consumer)) = &self.consumer
            && name == of
        {
            return Ok(consumer.clone());
        }
        let stream = self.make_streams()?;
        let bus = self.runtime.bus();
        let durable = of.as_str().replace('.', "D");
        let config = pull::Config {
            durable_name: Some(durable.clone()),
            filter_subject: subject(of),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: 1024,
            ..pull::Config::default()
        };
        let consumer = self.runtime.within(PATIENCE, async {
            let failed = |error: &dyn std::error::Error| trouble(bus, &chain(error));
            let mut consumer: PullConsumer = stream
                .get_or_create_consumer(&durable, config.clone())
                .await
                .map_err(|error| failed(&error))?;
            let pending = consumer.info().await.map_err(|error| failed(&error))?;
            if pending.num_ack_pending > 0 {
                stream
                    .delete_consumer(&durable)
                    .await
                    .map_err(|error| failed(&error))?;
                consumer = stream
                    .create_consumer(config)
                    .await
                    .map_err(|error| failed(&error))?;
            }
            Ok(consumer)
        })?;
        self.consumer = Some((of.clone(), consumer.clone()));
        Ok(consumer)
    }

    /// Sends a batch and gathers the confirmations; says how many came, from the first on.
    async fn send(&self, to: &AgentName, batch: &[Parcel]) -> (usize, Option<Error>) {
        let bus = self.runtime.bus();
        let mut acks = Vec::with_capacity(batch.len());
        for parcel in batch {
            let mut message = PublishMessage::build()
                .payload(parcel.bytes.clone().into())
                .message_id(format!("{}.{to}", parcel.id))
                .header(ID, parcel.id.to_string().as_str())
                .header(LANE, parcel.lane.as_str());
            if let Some(expiry) = parcel.expiry {
                message = message.header(EXPIRY, expiry.to_string().as_str());
            }
            match self.jetstream.send_publish(subject(to), message).await {
                Ok(ack) => acks.push(ack),
                Err(error) => return (0, Some(self.refused(bus, &error, parcel))),
            }
        }
        let mut confirmed = 0;
        for (ack, parcel) in acks.into_iter().zip(batch) {
            match ack.await {
                Ok(_) => confirmed += 1,
                Err(error) => return (confirmed, Some(self.refused(bus, &error, parcel))),
            }
        }
        (confirmed, None)
    }

    fn refused(&self, bus: &str, error: &PublishError, parcel: &Parcel) -> Error {
        let bus = bus.to_owned();
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => Error::TooLong {
                bus,
                size: parcel.bytes.len(),
                limit: self.limit,
            },
            PublishErrorKind::TimedOut => Error::Away {
                bus,
                why: Away::Silent(PATIENCE),
            },
            PublishErrorKind::StreamNotFound => Error::Away {
                bus,
                why: Away::NotReady("it has no stream for us".to_owned()),
            },
            _ => trouble(&bus, &chain(error)),
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// What an answer of JetStream amounts to.
fn trouble(bus: &str, text: &str) -> Error {
    let lower = text.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let away = |why| Error::Away {
        bus: bus.to_owned(),
        why,
    };
    if any(&[
        "insufficient",
        "no space",
        "maximum messages",
        "maximum bytes",
        "storage",
    ]) {
        away(Away::Full(text.to_owned()))
    } else if any(&[
        "not enabled",
        "no responders",
        "503",
        "temporarily unavailable",
    ]) {
        away(Away::NotReady(format!("JetStream does not answer: {text}")))
    } else if any(&["subjects overlap", "already in use", "different"]) {
        Error::Unfit {
            bus: bus.to_owned(),
            why: text.to_owned(),
        }
    } else {
        by_words(bus, text)
    }
}

fn delivery(message: Message) -> Delivery {
    let headers = message.headers.as_ref();
    let header = |name: &str| {
        headers
            .and_then(|all| all.get(name))
            .map(|value| value.as_str())
    };
    let parcel = parcel(
        header(ID),
        header(LANE),
        header(EXPIRY),
        message.payload.to_vec(),
    );
    Delivery {
        parcel,
        token: message
            .reply
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}

impl Transport for Nats {
    fn publish(&mut self, to: &AgentName, batch: &[Parcel], by: Instant) -> Published {
        let time = left(by);
        let send = || {
            self.runtime
                .within(time, async { Ok(self.send(to, batch).await) })
                .unwrap_or_else(|error| (0, Some(error)))
        };
        let (mut confirmed, mut trouble) = send();
        let no_stream = matches!(
            &trouble,
            Some(Error::Away {
                why: Away::NotReady(_),
                ..
            })
        );
        if confirmed == 0 && no_stream {
            (confirmed, trouble) = match self.make_streams() {
                Ok(_) => send(),
                Err(error) => (0, Some(error)),
            };
        }
        Published { confirmed, trouble }
    }

    fn fetch(
        &mut self,
        of: &AgentName,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Error> {
        let consumer = self.attach(of)?;
        let bus = self.runtime.bus();
        let fetched = self.runtime.within(PATIENCE + wait, async {
            let failed = |text: String| trouble(bus, &text);
            let mut found = Vec::new();
            for waits in [false, true] {
                if !found.is_empty() || (waits && wait.is_zero()) {
                    break;
                }
                if waits {
                    // One and no more: what comes after it must not be sent to nobody.
                    let one = consumer.batch().max_messages(1).expires(wait).messages();
                    let mut one = one.await.map_err(|error| failed(chain(&error)))?;
                    match one.next().await {
                        None => break,
                        Some(message) => {
                            found.push(message.map_err(|error| failed(error.to_string()))?);
                        }
                    }
                }
                if found.len() < limit {
                    let rest = consumer
                        .fetch()
                        .max_messages(limit - found.len())
                        .messages();
                    let mut rest = rest.await.map_err(|error| failed(chain(&error)))?;
                    while let Some(message) = rest.next().await {
                        found.push(message.map_err(|error| failed(error.to_string()))?);
                    }
                }
            }
            Ok(found)
        });
        match fetched {
            Ok(found) => Ok(found.into_iter().map(delivery).collect()),
            Err(error) => {
                self.consumer = None;
                Err(error)
            }
        }
    }

    fn settle(&mut self, _of: &AgentName, tokens: &[String]) -> Result<(), Error> {
        let bus = self.runtime.bus();
        self.runtime.within(PATIENCE, async {
            let Some((last, others)) = tokens.split_last() else {
                return Ok(());
            };
            for token in others {
                let ack = self.client.publish(token.clone(), "+ACK".into());
                ack.await.map_err(|error| trouble(bus, &chain(&error)))?;
            }
            // The answer to the last one tells that all before it were read.
            self.client
                .request(last.clone(), "+ACK".into())
                .await
                .map(drop)
                .map_err(|error| trouble(bus, &chain(&error)))
        })
    }

    fn depth(&mut self, of: &AgentName) -> Result<u64, Error> {
        let stream = self.make_streams()?;
        let bus = self.runtime.bus();
        self.runtime.within(PATIENCE, async {
            let counts = stream.info_with_subjects(subject(of)).await;
            let mut counts = counts.map_err(|error| trouble(bus, &chain(&error)))?;
            let mut depth = 0;
            while let Some(count) = counts.next().await {
                depth += count.map_err(|error| trouble(bus, &chain(&error)))?.1 as u64;
            }
            Ok(depth)
        })
    }

    fn declare(&mut self, _of: &AgentName) -> Result<(), Error> {
        self.make_streams().map(drop)
    }

    fn mark(&mut self, name: &str, make: bool) -> Result<bool, Error> {
        if make {
            self.make_streams()?;
        }
        let bus = self.runtime.bus();
        let subject = format!("spore.mark.{name}");
        self.runtime.within(PATIENCE, async {
            if make {
                let sent = self.jetstream.publish(subject, "1".into()).await;
                let ack = sent.map_err(|error| trouble(bus, &chain(&error)))?;
                ack.await.map_err(|error| trouble(bus, &chain(&error)))?;
                return Ok(true);
            }
            let stream = match self.jetstream.get_stream(MARKS).await {
                Ok(stream) => stream,
                Err(error) if chain(&error).contains("not found") => return Ok(false),
                Err(error) => return Err(trouble(bus, &chain(&error))),
            };
            match stream.get_last_raw_message_by_subject(&subject).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(false),
                Err(error) => Err(trouble(bus, &chain(&error))),
            }
        })
    }

    fn ping(&mut self) -> Result<(), Error> {
        self.make_streams().map(drop)
    }

    fn limit(&self) -> usize {
        self.limit
    }

    fn frailty(&mut self) -> Result<Option<String>, Error> {
        // The server does not say what its sync_interval is.
        let may = "a power cut may cost up to two minutes, unless sync_interval is set to always";
        Ok(Some(may.to_owned()))
    }
}
