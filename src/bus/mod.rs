//! The bus: one interface for files, Redis, NATS, RabbitMQ and Kafka, and files when they are away.
//!
//! **For**: swarms on several hosts, or with more traffic than directories carry. A spore is the
//! same bytes on every road; who sends and who receives cannot tell which road it took.
//!
//! **Promises**: a message accepted is on this machine's disk before anything else happens
//! ([`outbox`]), and leaves it only after the bus has confirmed it *and* later messages have shown
//! that it was fetched; a bus that is down, silent, slow, full or empty after a restart costs a
//! sender at most [`PATIENCE`] and loses nothing; the order of one sender to one mailbox stands,
//! because nothing is sent past a message that waits; a receiver first puts a message into the
//! mailbox on disk and then acknowledges it to the bus ([`custody`]), drops what it has by its id,
//! and everything else (leases, `--hold`, dead letters) is the mailbox's. Secrets are never shown.
//!
//! **Does not**: promise what a bus cannot: the table below says what that is. No daemon.
//!
//! # What each road promises
//!
//! | | files | Redis Streams | NATS JetStream | RabbitMQ (quorum) | Kafka |
//! |---|---|---|---|---|---|
//! | accepted means | file and name synced | reply to XADD | PubAck | confirm after fsync | `acks=all` |
//! | the server is killed (`-9`) | — | nothing lost with `appendonly yes`, but for what it puts off writing (at most 2 s) while its disk still syncs; with `appendfsync always` nothing | nothing lost | nothing lost | nothing lost |
//! | killed while a mailbox is made | — | made again | made again | with 3.10 its queue may never have a leader: mail waits in the outbox until somebody deletes the queue | made again |
//! | its power is cut | nothing lost | last second, unless `appendfsync always` | up to 2 min, unless `sync_interval: always` | nothing lost | what other replicas do not have |
//! | it comes back empty | — | noticed by a mark; sent again from the copies here | the same | the same | the same |
//! | order of one sender | kept | kept | kept | kept | kept |
//! | order when a reader dies | kept | kept: the same consumer reads its pending entries first | kept: the consumer is made anew | kept by the server | kept: from the committed offset |
//! | twice the same message | dropped by id | dropped by id | dropped by id, and by the server within 2 min | dropped by id | dropped by id |
//! | readers of one mailbox | any number on one host | the same | the same | the same | the same |
//! | longest message | the disk's | 8 MiB | the server's `max_payload` (1 MiB) | 8 MiB | 1 MiB |
//! | depth | counted | XLEN | pending + unacknowledged | without those being fetched | high watermark − committed |
//!
//! Two hosts that read one mailbox at once get each message at least once, in no order that is
//! promised: a mailbox belongs to one agent, who is in one place.
//!
//! # The way of a message
//!
//! | where | who moves it on | a crash here |
//! |---|---|---|
//! | `outbox/BUS/NAME/new/` | whoever holds `.drain` there: its sender, the next one, `spore-relay` | sent by the next one |
//! | published, confirmation on its way | the same | sent again; dropped by its id at the receiver |
//! | `outbox/BUS/NAME/cur/`, the copy that is kept | removed when the bus holds less than came later | — |
//! | the bus | whoever holds `mail/NAME/.custody` | fetched again |
//! | `mail/NAME/`, not yet acknowledged to the bus | the same | fetched again and dropped by its id |
//! | `mail/NAME/` | `spore-recv`, as always | see the room `spool` |

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod address;
pub mod breaker;
pub mod custody;
pub mod figures;
mod files;
pub mod migrate;
pub mod outbox;
pub mod road;
pub mod select;

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(any(
    feature = "redis",
    feature = "nats",
    feature = "amqp",
    feature = "kafka"
))]
mod reading;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "amqp", feature = "kafka", feature = "nats"))]
mod runtime;

pub use address::{Address, Kind, Pair, Secret};
pub use outbox::Outbox;

use crate::id::AgentName;
use crate::spool::{Id, Lane};
use crate::{spool, swarm};

/// The longest that a send waits for a bus, all in all.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// The longest that a connection may take of it.
pub const CONNECT: Duration = Duration::from_millis(1200);
/// How many messages are fetched, or published, at once.
pub const WINDOW: usize = 256;
/// The longest message that is taken from or given to a bus that has no smaller limit.
pub const LIMIT: usize = 8 << 20;

/// What can go wrong between us and a bus.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that is none, or whose secret is not there.
    #[error("not the address of a bus: {why}")]
    Address {
        /// What is wrong with it.
        why: String,
    },
    /// The bus does not take messages now: waiting mends it.
    #[error("{bus} is away: {why}")]
    Away {
        /// Its address.
        bus: String,
        /// In what way.
        why: Away,
    },
    /// The bus does not let us in. Waiting does not mend it.
    #[error("{bus} refuses us: {why}")]
    Denied {
        /// Its address.
        bus: String,
        /// Why: credentials, certificate, permission.
        why: String,
    },
    /// The bus cannot do what is needed. Waiting does not mend it.
    #[error("{bus}: {why}")]
    Unfit {
        /// Its address.
        bus: String,
        /// Why.
        why: String,
    },
    /// A message longer than the bus takes.
    #[error("{bus} takes messages of at most {limit} bytes, this one has {size}")]
    TooLong {
        /// Its address.
        bus: String,
        /// The message's length.
        size: usize,
        /// The longest that is taken.
        limit: usize,
    },
    /// A mailbox on this machine's disk.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// The swarm on this machine's disk.
    #[error(transparent)]
    Swarm(#[from] swarm::Error),
    /// A file of ours.
    #[error("{path:?}", path = .path.display().to_string())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// In what way a bus is away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// It takes the connection, or took it, and does not answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Silent(Duration),
    /// There is no way to it.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// It has no room: disk, memory or a limit of its own.
    #[error("it has no room: {0}")]
    Full(String),
    /// It is starting, or is not yet the one that may write.
    #[error("it is not ready: {0}")]
    NotReady(String),
}

impl Error {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    /// Whether waiting mends it.
    pub fn mends(&self) -> bool {
        matches!(self, Error::Away { .. })
    }
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Its id, by which a second copy is known.
    pub id: Id,
    /// Its lane.
    pub lane: Lane,
    /// When it stops being worth reading, in seconds since 1970.
    pub expiry: Option<u64>,
    /// The spore, unchanged.
    pub bytes: Vec<u8>,
}

/// What a bus handed out.
#[derive(Debug)]
pub struct Delivery {
    /// The message, or why what came is none of ours.
    pub parcel: Result<Parcel, Foreign>,
    /// What the bus needs to hear to forget it.
    pub token: String,
}

/// Something that is no message of ours.
#[derive(Debug)]
pub struct Foreign {
    /// Why not.
    pub why: String,
    /// As much of it as is kept.
    pub bytes: Vec<u8>,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Published {
    /// How many of its messages, from the first on, were confirmed.
    pub confirmed: usize,
    /// Why not all.
    pub trouble: Option<Error>,
}

/// One connection to one bus: all that we need of it, and no more. Every call ends within its
/// time, whatever the server does.
pub trait Transport: Send {
    /// Publishes messages to a mailbox, in order, and waits until they are confirmed.
    fn publish(&mut self, to: &AgentName, batch: &[Parcel], by: Instant) -> Published;

    /// The next messages of a mailbox, at most `limit`; waits for the first at most for `wait`.
    /// What an earlier reader fetched and did not settle comes first.
    ///
    /// # Errors
    /// When the bus is away or refuses.
    fn fetch(
        &mut self,
        of: &AgentName,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Error>;

    /// Lets the bus forget what was fetched, in the order in which it came.
    ///
    /// # Errors
    /// When the bus is away or refuses.
    fn settle(&mut self, of: &AgentName, tokens: &[String]) -> Result<(), Error>;

    /// How many messages of a mailbox the bus still has.
    ///
    /// # Errors
    /// When the bus is away or refuses.
    fn depth(&mut self, of: &AgentName) -> Result<u64, Error>;

    /// Makes the place for a mailbox, if it is missing.
    ///
    /// # Errors
    /// When the bus is away or refuses.
    fn declare(&mut self, of: &AgentName) -> Result<(), Error>;

    /// Whether a mark of this name is there; made where `make` says so. A server that was emptied
    /// has lost it.
    ///
    /// # Errors
    /// When the bus is away or refuses.
    fn mark(&mut self, name: &str, make: bool) -> Result<bool, Error>;

    /// Whether the server answers.
    ///
    /// # Errors
    /// When it does not.
    fn ping(&mut self) -> Result<(), Error>;

    /// The longest message it takes, in bytes.
    fn limit(&self) -> usize;

    /// What of a confirmed message a power cut may cost, in words; nothing when it costs nothing.
    ///
    /// # Errors
    /// When the bus is away or refuses.
    fn frailty(&mut self) -> Result<Option<String>, Error>;
}

/// Connects to a bus.
///
/// # Errors
/// When it is away, refuses, or this program was built without its client.
pub fn connect(address: &Address, by: Instant) -> Result<Box<dyn Transport>, Error> {
    match address.kind {
        Kind::Files => Ok(Box::new(files::Files::open(Path::new(&address.path))?)),
        #[cfg(feature = "redis")]
        Kind::Redis => Ok(Box::new(redis::Redis::connect(address, by)?)),
        #[cfg(feature = "nats")]
        Kind::Nats => Ok(Box::new(nats::Nats::connect(address, by)?)),
        #[cfg(feature = "amqp")]
        Kind::Amqp => Ok(Box::new(amqp::Amqp::connect(address, by)?)),
        #[cfg(feature = "kafka")]
        Kind::Kafka => Ok(Box::new(kafka::Kafka::connect(address, by)?)),
        #[allow(unreachable_patterns)]
        _ => {
            let _ = by;
            Err(Error::Unfit {
                bus: address.to_string(),
                why: "this program was built without a client for it".to_owned(),
            })
        }
    }
}

/// The time that is left, at least a millisecond: a timeout of nothing means "never" to some.
fn left(by: Instant) -> Duration {
    by.saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1))
}
