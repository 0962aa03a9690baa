//! Apache Kafka: a topic with one partition for each mailbox, read by assignment, not as a group.
//!
//! | | |
//! |---|---|
//! | mailbox | topic `spore.m.NAME`, one partition, kept for ever |
//! | publishing | idempotent, `acks=all` |
//! | reading | from the committed offset of group `spore`; nobody joins, so nobody waits for a rebalance |
//! | settling | the offset after the last one is committed |
//! | mark | topic `spore.mark.NAME` |

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use krafka::admin::{AdminClient, NewTopic, OffsetVisibility};
use krafka::auth::{AuthConfig, TlsConfig};
use krafka::client::KrafkaClient;
use krafka::consumer::{Consumer, ConsumerRecord};
use krafka::error::{ErrorCode, KrafkaError};
use krafka::network::{ConnectionConfig, ConnectionPool, ConnectionRetryConfig};
use krafka::producer::{Acks, Producer, ProducerRecord};

use super::reading::{by_io, by_words, parcel};
use super::runtime::Runtime;
use super::{
    Address, Away, CONNECT, Delivery, Error, PATIENCE, Parcel, Published, Transport, left,
};
use crate::id::AgentName;

const GROUP: &str = "spore";
/// The longest message that a broker takes unless it is told otherwise.
const LONGEST: usize = (1 << 20) - 1024;
/// How much goes to the broker in one request: the client's own 16 KiB would be a round trip for
/// every fifteen messages.
const REQUEST: usize = LONGEST / 2;

/// A connection to a Kafka cluster.
pub(super) struct Kafka {
    producer: Option<Producer>,
    reader: Option<Reader>,
    admin: AdminClient,
    client: KrafkaClient,
    runtime: Runtime,
}

struct Reader {
    of: AgentName,
    consumer: Consumer,
    /// The offset that is polled next.
    next: i64,
    /// Up to here there are messages, as far as we know.
    high: i64,
    /// What was polled and not yet handed out.
    ahead: VecDeque<ConsumerRecord>,
}

fn topic(of: &AgentName) -> String {
    format!("spore.m.{of}")
}

fn login(address: &Address) -> Result<Option<AuthConfig>, Error> {
    let wrong = |error: KrafkaError| Error::Address {
        why: error.to_string(),
    };
    address.certificates()?;
    let mut tls = match &address.ca {
        Some(ca) => TlsConfig::new().with_ca_cert(ca.display().to_string()),
        None => TlsConfig::new(),
    };
    address.own_certificate()?;
    if let Some((cert, key)) = &address.own {
        tls = tls.with_client_cert(cert.display().to_string(), key.display().to_string());
    }
    let Some(user) = &address.user else {
        return Ok(address.tls.then(|| AuthConfig::ssl(tls)));
    };
    let secret = address.secret()?.unwrap_or_default();
    let auth = match address.sasl.as_deref().unwrap_or("plain") {
        "plain" => AuthConfig::sasl_plain(user, secret).map_err(wrong)?,
        "scram-sha-256" => AuthConfig::sasl_scram_sha256(user, secret),
        "scram-sha-512" => AuthConfig::sasl_scram_sha512(user, secret),
        other => {
            return Err(Error::Address {
                why: format!("sasl={other}: known are plain, scram-sha-256, scram-sha-512"),
            });
        }
    };
    Ok(Some(if address.tls {
        auth.with_tls(tls)
    } else {
        auth
    }))
}

impl Kafka {
    pub(super) fn connect(address: &Address, by: Instant) -> Result<Kafka, Error> {
        let bus = address.to_string();
        let auth = login(address)?;
        let runtime = Runtime::new(bus.clone())?;
        let time = left(by).min(CONNECT);
        let hosts: Vec<String> = address
            .hosts
            .iter()
            .map(|(h, p)| format!("{h}:{p}"))
            .collect();
        let opened = runtime.within(time, open(&hosts.join(","), auth.clone(), &bus, time));
        let (client, admin) = match opened {
            // "No brokers", it says, whatever it was: one of them is asked by itself.
            Err(Error::Away {
                why: Away::Broken(_),
                ..
            }) => {
                let why = reason(&hosts[0], auth, &bus, time);
                return Err(match runtime.within(left(by).min(CONNECT), why) {
                    Ok(error) | Err(error) => error,
                });
            }
            opened => opened?,
        };
        Ok(Kafka {
            producer: None,
            reader: None,
            admin,
            client,
            runtime,
        })
    }

    /// Whether a topic is there; made where `make` says so.
    fn topic(&self, name: &str, make: bool) -> Result<bool, Error> {
        let bus = self.runtime.bus();
        self.runtime.within(PATIENCE, async {
            let metadata = self.client.metadata();
            let there = || {
                metadata
                    .topic(name)
                    .is_some_and(|topic| !topic.partitions.is_empty())
            };
            if there() {
                return Ok(true);
            }
            match metadata.refresh_for_topics_forced(Some(&[name])).await {
                Err(error) if !is_unknown(&error) => return Err(trouble(bus, &error)),
                _ if there() => return Ok(true),
                _ if !make => return Ok(false),
                _ => {}
            }
            let failed = |error: KrafkaError| trouble(bus, &error);
            let topic = NewTopic::new(name, 1, -1).map_err(failed)?;
            let topic = topic.with_config("retention.ms", "-1");
            let made = self.admin.create_topics(vec![topic], PATIENCE, false).await;
            for result in made.map_err(failed)? {
                match result.error {
                    Some(why) if !why.to_ascii_lowercase().contains("exist") => {
                        return Err(by_words(bus, &why));
                    }
                    _ => {}
                }
            }
            // The brokers hear of it a little later than the controller.
            while !there() {
                match metadata.refresh_for_topics_forced(Some(&[name])).await {
                    Err(error) if !is_unknown(&error) => return Err(trouble(bus, &error)),
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
            Ok(true)
        })
    }

    fn committed(&self, of: &AgentName) -> Result<i64, Error> {
        let bus = self.runtime.bus();
        let topic = topic(of);
        self.runtime.within(PATIENCE, async {
            let wanted: &[(&str, &[i32])] = &[(&topic, &[0])];
            let visible = OffsetVisibility::IncludeUnstable;
            let found = loop {
                let asked =
                    self.admin
                        .describe_consumer_group_offsets(GROUP, Some(wanted), visible);
                match asked.await {
                    Err(error) if is_loading(&error) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    found => break found.map_err(|error| trouble(bus, &error))?,
                }
            };
            let entry = found.into_iter().find(|entry| entry.topic == topic);
            Ok(entry.map_or(0, |entry| entry.committed_offset.max(0)))
        })
    }

    fn attach(&mut self, of: &AgentName) -> Result<(), Error> {
        if self.reader.as_ref().is_some_and(|reader| reader.of == *of) {
            return Ok(());
        }
        let name = topic(of);
        self.topic(&name, true)?;
        let committed = self.committed(of)?;
        let bus = self.runtime.bus();
        let (consumer, next, high) = self.runtime.within(PATIENCE, async {
            let failed = |error: KrafkaError| trouble(bus, &error);
            let consumer = Consumer::builder()
                .with_client(&self.client)
                .enable_auto_commit(false)
                .fetch_max_wait(Duration::from_millis(500))
                .build()
                .await
                .map_err(failed)?;
            consumer.assign(&name, vec![0]).await.map_err(failed)?;
            let (low, high) = consumer.fetch_watermarks(&name, 0).await.map_err(failed)?;
            let from = committed.clamp(low, high.max(low));
            consumer.seek(&name, 0, from).await.map_err(failed)?;
            Ok((consumer, from, high))
        })?;
        self.reader = Some(Reader {
            of: of.clone(),
            consumer,
            next,
            high,
            ahead: VecDeque::new(),
        });
        Ok(())
    }

    fn producer(&mut self, by: Instant) -> Result<(), Error> {
        if self.producer.is_some() {
            return Ok(());
        }
        let bus = self.runtime.bus();
        let producer = self.runtime.within(left(by), async {
            Producer::builder()
                .with_client(&self.client)
                .acks(Acks::All)
                .idempotent(true)
                .batch_size(REQUEST)
                .linger(Duration::ZERO)
                .max_block(PATIENCE)
                .request_timeout(PATIENCE)
                .delivery_timeout(PATIENCE * 2)
                .build()
                .await
                .map_err(|error| trouble(bus, &error))
        })?;
        self.producer = Some(producer);
        Ok(())
    }

    fn send(&mut self, to: &AgentName, batch: &[Parcel], by: Instant) -> (usize, Option<Error>) {
        let name = topic(to);
        if let Err(error) = self.topic(&name, true).and_then(|_| self.producer(by)) {
            return (0, Some(error));
        }
        let Some(producer) = &self.producer else {
            return (0, None);
        };
        let mut confirmed = 0;
        let bus = self.runtime.bus();
        let outcome = self.runtime.within(left(by), async {
            let failed = |error: KrafkaError, parcel: &Parcel| match error {
                KrafkaError::Broker {
                    code: ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge,
                    ..
                } => Error::TooLong {
                    bus: bus.to_owned(),
                    size: parcel.bytes.len(),
                    limit: LONGEST,
                },
                error => trouble(bus, &error),
            };
            let mut handles = Vec::with_capacity(batch.len());
            for parcel in batch {
                let mut record = ProducerRecord::new(name.as_str(), parcel.bytes.clone())
                    .with_partition(0)
                    .with_header("id", parcel.id.to_string())
                    .with_header("lane", parcel.lane.as_str());
                if let Some(expiry) = parcel.expiry {
                    record = record.with_header("expiry", expiry.to_string());
                }
                let handle = producer.enqueue(record).await;
                handles.push(handle.map_err(|error| failed(error, parcel))?);
            }
            for (handle, parcel) in handles.into_iter().zip(batch) {
                let stored = handle.await.map_err(|error| failed(error, parcel))?;
                if !stored.is_persisted() {
                    return Err(by_words(bus, "a message was not stored"));
                }
                confirmed += 1;
            }
            Ok(())
        });
        (confirmed, outcome.err())
    }
}

impl Reader {
    /// The next messages in their order.
    async fn poll(&mut self, bus: &str, wait: Duration) -> Result<Vec<ConsumerRecord>, Error> {
        let failed = |error: KrafkaError| trouble(bus, &error);
        let name = topic(&self.of);
        let end = Instant::now() + wait;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // What is there is asked for first: a poll of an empty topic waits.
            if self.next >= self.high {
                let marks = self.consumer.fetch_watermarks(&name, 0).await;
                self.high = marks.map_err(failed)?.1;
                if self.next >= self.high && left.is_zero() {
                    return Ok(Vec::new());
                }
            }
            let time = if self.next < self.high {
                PATIENCE
            } else {
                left
            };
            let mut polled = self.consumer.poll(time).await.map_err(failed)?;
            polled.retain(|record| record.offset >= self.next);
            polled.sort_by_key(|record| record.offset);
            if let Some(last) = polled.last() {
                self.next = last.offset + 1;
                return Ok(polled);
            }
            self.high = self.next;
        }
    }
}

async fn open(
    hosts: &str,
    auth: Option<AuthConfig>,
    bus: &str,
    time: Duration,
) -> Result<(KrafkaClient, AdminClient), Error> {
    let mut builder = KrafkaClient::builder(hosts)
        .client_id("sporekit")
        .connect_timeout(time)
        .request_timeout(PATIENCE);
    if let Some(auth) = auth {
        builder = builder.auth(auth);
    }
    let failed = |error: KrafkaError| trouble(bus, &error);
    let client = builder.build().await.map_err(failed)?;
    let admin = AdminClient::builder()
        .with_client(&client)
        .request_timeout(PATIENCE)
        .build()
        .await
        .map_err(failed)?;
    Ok((client, admin))
}

/// What is wrong with a connection to this host.
async fn reason(
    host: &str,
    auth: Option<AuthConfig>,
    bus: &str,
    time: Duration,
) -> Result<Error, Error> {
    let failed = |error: KrafkaError| trouble(bus, &error);
    let mut config = ConnectionConfig::builder()
        .client_id("sporekit")
        .connect_timeout(time)
        .request_timeout(time);
    if let Some(auth) = auth {
        config = config.auth(auth);
    }
    let mut config = config.build().map_err(failed)?;
    config.init_tls().await.map_err(failed)?;
    let once = ConnectionRetryConfig::builder().max_retries(0).build();
    let pool = ConnectionPool::with_retry_config(config, once);
    match pool.get_connection(host).await {
        Err(error) => Ok(trouble(bus, &error)),
        Ok(_) => Ok(by_words(bus, "its brokers do not answer")),
    }
}

fn is_unknown(error: &KrafkaError) -> bool {
    let text = error.to_string().to_ascii_lowercase();
    text.contains("unknowntopic") || text.contains("unknown_topic") || text.contains("not found")
}

/// Whether the one who keeps the offsets is still reading them.
fn is_loading(error: &KrafkaError) -> bool {
    let text = error.to_string();
    text.contains("CoordinatorLoadInProgress") || text.contains("CoordinatorNotAvailable")
}

/// What an error of the client amounts to.
fn trouble(bus: &str, error: &KrafkaError) -> Error {
    let text = error.to_string();
    let away = |why| Error::Away {
        bus: bus.to_owned(),
        why,
    };
    match error {
        _ if is_loading(error) => away(Away::NotReady(text)),
        KrafkaError::Network(io) => by_io(bus, io, CONNECT),
        KrafkaError::Timeout { .. } => away(Away::Silent(PATIENCE)),
        KrafkaError::Auth { .. } => by_words(bus, &format!("authentication: {text}")),
        KrafkaError::Broker { code, .. } => match code {
            ErrorCode::TopicAuthorizationFailed
            | ErrorCode::GroupAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed => Error::Denied {
                bus: bus.to_owned(),
                why: text,
            },
            code if code.is_retriable() => away(Away::NotReady(text)),
            _ => away(Away::Broken(text)),
        },
        KrafkaError::Config { .. } | KrafkaError::Serialization { .. } => Error::Unfit {
            bus: bus.to_owned(),
            why: text,
        },
        _ => by_words(bus, &text),
    }
}

fn delivery(record: ConsumerRecord) -> Delivery {
    let token = record.offset.to_string();
    let bytes = record
        .value
        .as_ref()
        .map(|value| value.to_vec())
        .unwrap_or_default();
    let parcel = parcel(
        record.header_str(b"id"),
        record.header_str(b"lane"),
        record.header_str(b"expiry"),
        bytes,
    );
    Delivery { parcel, token }
}

impl Transport for Kafka {
    fn publish(&mut self, to: &AgentName, batch: &[Parcel], by: Instant) -> Published {
        let (confirmed, trouble) = self.send(to, batch, by);
        if trouble.is_some() {
            self.producer = None;
        }
        Published { confirmed, trouble }
    }

    fn fetch(
        &mut self,
        of: &AgentName,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Error> {
        self.attach(of)?;
        let Some(reader) = &mut self.reader else {
            return Ok(Vec::new());
        };
        if reader.ahead.is_empty() {
            let bus = self.runtime.bus();
            let time = PATIENCE * 2 + wait;
            match self.runtime.within(time, reader.poll(bus, wait)) {
                Ok(polled) => reader.ahead.extend(polled),
                // The client may have passed over what it did not give us.
                Err(error) => {
                    self.reader = None;
                    return Err(error);
                }
            }
        }
        let count = limit.min(reader.ahead.len());
        Ok(reader.ahead.drain(..count).map(delivery).collect())
    }

    fn settle(&mut self, of: &AgentName, tokens: &[String]) -> Result<(), Error> {
        let offsets = tokens.iter().filter_map(|token| token.parse::<i64>().ok());
        let Some(last) = offsets.max() else {
            return Ok(());
        };
        let bus = self.runtime.bus();
        let name = topic(of);
        self.runtime.within(PATIENCE, async {
            let next: &[(&str, &[(i32, i64)])] = &[(&name, &[(0, last + 1)])];
            let done = self.admin.alter_consumer_group_offsets(GROUP, next).await;
            for result in done.map_err(|error| trouble(bus, &error))? {
                if let Some(why) = result.error {
                    return Err(by_words(bus, &why));
                }
            }
            Ok(())
        })
    }

    fn depth(&mut self, of: &AgentName) -> Result<u64, Error> {
        self.attach(of)?;
        let committed = self.committed(of)?;
        let Some(reader) = &self.reader else {
            return Ok(0);
        };
        let bus = self.runtime.bus();
        let name = topic(of);
        self.runtime.within(PATIENCE, async {
            let marks = reader.consumer.fetch_watermarks(&name, 0).await;
            let (low, high) = marks.map_err(|error| trouble(bus, &error))?;
            Ok(u64::try_from(high - committed.max(low)).unwrap_or(0))
        })
    }

    fn declare(&mut self, of: &AgentName) -> Result<(), Error> {
        self.topic(&topic(of), true).map(drop)
    }

    fn mark(&mut self, name: &str, make: bool) -> Result<bool, Error> {
        self.topic(&format!("spore.mark.{name}"), make)
    }

    fn ping(&mut self) -> Result<(), Error> {
        let bus = self.runtime.bus();
        self.runtime.within(PATIENCE, async {
            let asked = self
                .client
                .metadata()
                .refresh_for_topics_forced(Some(&[]))
                .await;
            asked.map_err(|error| trouble(bus, &error))
        })
    }

    fn limit(&self) -> usize {
        LONGEST
    }

    fn frailty(&mut self) -> Result<Option<String>, Error> {
        let may = "a power cut may cost what its disks had not written, unless replicas have it";
        Ok(Some(may.to_owned()))
    }
}
