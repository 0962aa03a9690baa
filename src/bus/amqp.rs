//! RabbitMQ: a durable quorum queue for each mailbox, publisher confirms, manual acknowledgements.
//!
//! | | |
//! |---|---|
//! | mailbox | queue `spore.m.NAME`, by the default exchange |
//! | reading | few: `basic.get` until it is empty, then a consumer that is told; many: a consumer at once |
//! | settling | `basic.ack` up to the last one; only the connection that fetched can do it |
//! | a dead reader | the server gives its messages out again at once, in order |
//! | mark | durable queue `spore.mark.NAME` |

use std::time::{Duration, Instant};

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::{
    BasicAckArguments, BasicCancelArguments, BasicConsumeArguments, BasicGetArguments,
    BasicPublishArguments, BasicQosArguments, Channel, ConfirmSelectArguments, ConsumerMessage,
    QueueDeclareArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::tls::TlsAdaptor;
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, FieldTable, FieldValue, Nack, Return};
use tokio::sync::mpsc;

use super::reading::{by_io, by_words, parcel};
use super::runtime::Runtime;
use super::{
    Address, Away, CONNECT, Delivery, Error, LIMIT, PATIENCE, Parcel, Published, Transport, WINDOW,
    left,
};
use crate::id::AgentName;

/// How long after the last message one more is waited for before the queue counts as empty.
const PUSHED: Duration = Duration::from_millis(50);
/// From how many messages on a consumer is quicker than a question for each.
const MANY: u32 = 8;

/// Why the server returned a message.
const NO_QUEUE: &str = "it has no queue for that mailbox";

/// A connection to a RabbitMQ server.
pub(super) struct Amqp {
    publisher: Option<Publisher>,
    reader: Option<Reader>,
    channel: Option<Channel>,
    connection: Option<Connection>,
    runtime: Runtime,
}

impl Drop for Amqp {
    fn drop(&mut self) {
        self.inside(|this| {
            this.publisher = None;
            this.reader = None;
            this.channel = None;
            this.connection = None;
        });
    }
}

struct Publisher {
    channel: Channel,
    heard: mpsc::UnboundedReceiver<Heard>,
    declared: Vec<AgentName>,
    /// The number of the last message on this channel.
    last: u64,
}

struct Reader {
    of: AgentName,
    channel: Channel,
    /// Once it waits, it is told.
    told: Option<Told>,
    /// Whether many wait, as far as we know.
    is_many: bool,
}

/// A consumer: its tag, and what the server pushes to it.
struct Told(String, mpsc::UnboundedReceiver<ConsumerMessage>);

/// What a channel hears about what was published on it.
enum Heard {
    Taken(u64, bool),
    Refused,
    Returned,
    Closed(String),
}

struct Ear(mpsc::UnboundedSender<Heard>);

#[async_trait::async_trait]
impl ChannelCallback for Ear {
    async fn close(
        &mut self,
        _: &Channel,
        close: CloseChannel,
    ) -> Result<(), amqprs::error::Error> {
        drop(self.0.send(Heard::Closed(close.to_string())));
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        drop(self.0.send(Heard::Taken(ack.delivery_tag(), ack.mutiple())));
    }

    async fn publish_nack(&mut self, _: &Channel, _: Nack) {
        drop(self.0.send(Heard::Refused));
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {
        drop(self.0.send(Heard::Returned));
    }
}

fn queue(of: &AgentName) -> String {
    format!("spore.m.{of}")
}

fn declaration(of: &AgentName) -> QueueDeclareArguments {
    let mut arguments = FieldTable::new();
    for (key, value) in [("x-queue-type", "quorum"), ("x-overflow", "reject-publish")] {
        if let (Ok(key), Ok(value)) = (key.try_into(), value.to_owned().try_into()) {
            arguments.insert(key, FieldValue::S(value));
        }
    }
    QueueDeclareArguments::durable_client_named(&queue(of))
        .arguments(arguments)
        .finish()
}

impl Amqp {
    pub(super) fn connect(address: &Address, by: Instant) -> Result<Amqp, Error> {
        let bus = address.to_string();
        let (host, port) = address.host();
        let user = address.user.as_deref().unwrap_or("guest");
        let secret = address.secret()?.unwrap_or_else(|| "guest".to_owned());
        let mut arguments = OpenConnectionArguments::new(host, port, user, &secret);
        let vhost = if address.path.is_empty() {
            "/"
        } else {
            &address.path
        };
        arguments.virtual_host(vhost).heartbeat(10);
        if address.tls {
            address.certificates()?;
            let (ca, host) = (address.ca.as_deref(), host.to_owned());
            let adaptor = match &address.own {
                None => TlsAdaptor::without_client_auth(ca, host),
                // It panics at a key that does not fit, so that is found here.
                Some((cert, key)) => login::encryption(address)
                    .and_then(|_| TlsAdaptor::with_client_auth(ca, cert, key, host)),
            };
            let adaptor = adaptor.map_err(|error| Error::Address {
                why: format!("the certificates: {error}"),
            })?;
            arguments.tls_adaptor(adaptor);
        }
        let runtime = Runtime::new(bus.clone())?;
        let time = left(by).min(CONNECT);
        let opened = runtime.within(time, async {
            let opened = Connection::open(&arguments).await;
            opened.map_err(|error| trouble(&bus, &error))
        });
        let connection = match opened {
            Ok(connection) => connection,
            // It answers a wrong password by silence: asked plainly, it says so.
            Err(error) if unsure(&error) => {
                return Err(login::ask(address, user, &secret, vhost, left(by)).unwrap_or(error));
            }
            Err(error) => return Err(error),
        };
        Ok(Amqp {
            publisher: None,
            reader: None,
            channel: None,
            connection: Some(connection),
            runtime,
        })
    }

    /// Works inside the runtime: what the client drops, it drops by tasks.
    fn inside<T>(&mut self, work: impl FnOnce(&mut Amqp) -> T) -> T {
        let home = self.runtime.home();
        let _inside = home.as_ref().map(tokio::runtime::Handle::enter);
        work(self)
    }

    fn is_open(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_open)
    }

    fn open_channel(&self, time: Duration) -> Result<Channel, Error> {
        match &self.connection {
            Some(connection) => self.ask(time, connection.open_channel(None)),
            None => Err(by_words(self.runtime.bus(), "the connection is closed")),
        }
    }

    fn ask<T>(
        &self,
        time: Duration,
        future: impl Future<Output = Result<T, amqprs::error::Error>>,
    ) -> Result<T, Error> {
        let bus = self.runtime.bus();
        self.runtime.within(time, async {
            future.await.map_err(|error| trouble(bus, &error))
        })
    }

    fn publisher(&mut self, by: Instant) -> Result<(), Error> {
        if self.publisher.is_some() {
            return Ok(());
        }
        let (tell, heard) = mpsc::unbounded_channel();
        let channel = self.open_channel(left(by))?;
        self.ask(left(by), async {
            channel.register_callback(Ear(tell)).await?;
            channel
                .confirm_select(ConfirmSelectArguments::new(true))
                .await
        })?;
        self.publisher = Some(Publisher {
            channel,
            heard,
            declared: Vec::new(),
            last: 0,
        });
        Ok(())
    }

    /// A channel for questions.
    fn channel(&mut self) -> Result<Channel, Error> {
        match &self.channel {
            Some(channel) if channel.is_open() => Ok(channel.clone()),
            _ => {
                let channel = self.open_channel(PATIENCE)?;
                self.channel = Some(channel.clone());
                Ok(channel)
            }
        }
    }

    fn count(&mut self, of: &AgentName) -> Result<u64, Error> {
        let channel = self.channel()?;
        let declared = self.ask(PATIENCE, channel.queue_declare(declaration(of)))?;
        Ok(declared.map_or(0, |(_, count, _)| u64::from(count)))
    }

    /// Publishes a batch. The queue is made only when the server returns a message for want of it:
    /// to ask first would cost every command a round trip.
    fn send(&mut self, to: &AgentName, batch: &[Parcel], by: Instant) -> (usize, Option<Error>) {
        let sent = self.try_send(to, batch, by);
        let known = |publisher: &Publisher| publisher.declared.contains(to);
        if !matches!(&sent.1, Some(Error::Away { why: Away::NotReady(why), .. }) if why == NO_QUEUE)
            || self.publisher.as_ref().is_none_or(known)
        {
            return sent;
        }
        // What else this channel had to say belongs to the first try.
        self.publisher = None;
        if let Err(error) = self.publisher(by).and_then(|()| self.count(to)) {
            return (0, Some(error));
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.declared.push(to.clone());
        }
        self.try_send(to, batch, by)
    }

    /// Publishes a batch and hears of every message of it.
    fn try_send(
        &mut self,
        to: &AgentName,
        batch: &[Parcel],
        by: Instant,
    ) -> (usize, Option<Error>) {
        if let Err(error) = self.publisher(by) {
            return (0, Some(error));
        }
        let Some(publisher) = &mut self.publisher else {
            return (0, None);
        };
        let mut taken = vec![false; batch.len()];
        let bus = self.runtime.bus();
        let full = |why: &str| Error::Away {
            bus: bus.to_owned(),
            why: Away::Full(why.to_owned()),
        };
        let outcome = self.runtime.within(left(by), async {
            let first = publisher.last + 1;
            for parcel in batch {
                let mut properties = BasicProperties::default();
                properties
                    .with_persistence(true)
                    .with_message_id(&parcel.id.to_string())
                    .with_message_type(parcel.lane.as_str());
                if let Some(expiry) = parcel.expiry {
                    // Not the server's own expiration, which would drop it without a word.
                    properties.with_correlation_id(&expiry.to_string());
                }
                let mut arguments = BasicPublishArguments::new("", &queue(to));
                arguments.mandatory(true);
                publisher
                    .channel
                    .basic_publish(properties, parcel.bytes.clone(), arguments)
                    .await
                    .map_err(|error| trouble(bus, &error))?;
                publisher.last += 1;
            }
            let mut missing = batch.len();
            while missing > 0 {
                match publisher.heard.recv().await {
                    Some(Heard::Taken(tag, multiple)) => {
                        let from = if multiple { first } else { tag.max(first) };
                        for number in from..=tag {
                            if let Some(slot) = taken.get_mut((number - first) as usize)
                                && !std::mem::replace(slot, true)
                            {
                                missing -= 1;
                            }
                        }
                    }
                    Some(Heard::Refused) => {
                        return Err(full("it refused a message, or its queue has no leader"));
                    }
                    Some(Heard::Returned) => {
                        return Err(Error::Away {
                            bus: bus.to_owned(),
                            why: Away::NotReady(NO_QUEUE.to_owned()),
                        });
                    }
                    Some(Heard::Closed(why)) => return Err(by_words(bus, &why)),
                    None => return Err(by_words(bus, "the channel is gone")),
                }
            }
            Ok(())
        });
        let confirmed = taken.iter().take_while(|taken| **taken).count();
        (confirmed, outcome.err())
    }

    fn attach(&mut self, of: &AgentName) -> Result<(), Error> {
        if self.reader.as_ref().is_some_and(|reader| reader.of == *of) {
            return Ok(());
        }
        let channel = self.open_channel(PATIENCE)?;
        let declared = self.ask(PATIENCE, channel.queue_declare(declaration(of)))?;
        self.reader = Some(Reader {
            of: of.clone(),
            channel,
            told: None,
            is_many: declared.is_some_and(|(_, count, _)| count >= MANY),
        });
        Ok(())
    }

    /// The next messages. Where few wait, each is asked for; where many do, a consumer brings them.
    fn read(
        &mut self,
        of: &AgentName,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Error> {
        self.attach(of)?;
        let Some(reader) = &self.reader else {
            return Ok(Vec::new());
        };
        if reader.told.is_none() {
            let found = match reader.is_many {
                true => self.window(limit)?,
                false => self.get(limit)?,
            };
            if !found.is_empty() || wait.is_zero() {
                return Ok(found);
            }
            self.listen(WINDOW)?;
        }
        self.hear(limit, wait)
    }

    /// Asks until the queue is empty.
    fn get(&mut self, limit: usize) -> Result<Vec<Delivery>, Error> {
        let Some(reader) = &self.reader else {
            return Ok(Vec::new());
        };
        let channel = reader.channel.clone();
        let name = queue(&reader.of);
        let end = Instant::now() + PATIENCE;
        let mut found = Vec::new();
        while found.len() < limit && Instant::now() < end {
            let get = channel.basic_get(BasicGetArguments::new(&name));
            let Some((got, properties, bytes)) = self.ask(PATIENCE, get)? else {
                break;
            };
            found.push(delivery(got.delivery_tag(), &properties, bytes));
            // One by one no longer: the next window is another.
            if got.message_count() >= MANY
                && let Some(reader) = &mut self.reader
            {
                reader.is_many = true;
                break;
            }
        }
        Ok(found)
    }

    /// One window from a consumer that is cancelled before any of it is acknowledged. So the server
    /// has pushed nothing that is not handed out: what a reader leaves when it stops would else be
    /// given out again when the server notices, and what is refused (`basic.nack`) goes to the end
    /// of a quorum queue.
    fn window(&mut self, limit: usize) -> Result<Vec<Delivery>, Error> {
        self.listen(limit)?;
        let mut found = self.hear(limit, Duration::ZERO)?;
        found.extend(self.hush()?);
        if let Some(reader) = &mut self.reader {
            reader.is_many = found.len() >= limit;
        }
        Ok(found)
    }

    /// Begins a consumer that has at most `ahead` messages without an acknowledgement.
    fn listen(&mut self, ahead: usize) -> Result<(), Error> {
        let Some(reader) = &self.reader else {
            return Ok(());
        };
        let mut arguments = BasicConsumeArguments::new(&queue(&reader.of), "");
        arguments.manual_ack(true);
        let channel = reader.channel.clone();
        let (tag, pushed) = self.ask(PATIENCE, async {
            channel.basic_qos(at_most(ahead)).await?;
            channel.basic_consume_rx(arguments).await
        })?;
        if let Some(reader) = &mut self.reader {
            reader.told = Some(Told(tag, pushed));
        }
        Ok(())
    }

    /// Waits until the consumer has something.
    fn hear(&mut self, limit: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let is_open = self.is_open();
        let told = self.reader.as_mut().and_then(|reader| reader.told.as_mut());
        let Some(Told(_, pushed)) = told else {
            return Ok(Vec::new());
        };
        let bus = self.runtime.bus();
        self.runtime.within(PATIENCE + wait, async {
            let mut found = Vec::new();
            let mut wait = wait.max(PUSHED);
            while found.len() < limit {
                match tokio::time::timeout(wait, pushed.recv()).await {
                    Err(_) => break,
                    Ok(None) => return Err(by_words(bus, "the consumer was cancelled")),
                    Ok(Some(message)) => found.push(pushed_delivery(message)),
                }
                wait = Duration::from_millis(2);
            }
            if found.is_empty() && !is_open {
                return Err(by_words(bus, "the connection is closed"));
            }
            Ok(found)
        })
    }

    /// Ends the consumer; what it had been pushed and nobody has heard. Nothing comes after it.
    fn hush(&mut self) -> Result<Vec<Delivery>, Error> {
        let Some(reader) = &mut self.reader else {
            return Ok(Vec::new());
        };
        let Some(Told(tag, mut pushed)) = reader.told.take() else {
            return Ok(Vec::new());
        };
        let channel = reader.channel.clone();
        self.ask(PATIENCE, async {
            channel
                .basic_cancel(BasicCancelArguments::new(&tag))
                .await?;
            let mut rest = Vec::new();
            while let Some(message) = pushed.recv().await {
                rest.push(pushed_delivery(message));
            }
            Ok(rest)
        })
    }

    fn acknowledge(&self, of: &AgentName, tokens: &[String]) -> Result<(), Error> {
        let reader = self.reader.as_ref().filter(|reader| reader.of == *of);
        let last = tokens.last().and_then(|token| token.parse().ok());
        let (Some(reader), Some(last)) = (reader, last) else {
            return Ok(());
        };
        let channel = reader.channel.clone();
        self.ask(PATIENCE, async {
            channel
                .basic_ack(BasicAckArguments::new(last, true))
                .await?;
            // Acknowledgements are not answered: the answer to a question after it shows it arrived.
            channel.basic_qos(at_most(WINDOW)).await
        })
    }

    /// Whether a plain queue is there; made where `make` says so.
    fn is_there(&mut self, name: &str, make: bool) -> Result<bool, Error> {
        let mut arguments = QueueDeclareArguments::durable_client_named(name);
        arguments.passive(!make);
        // The channel that publishes: one is opened for both.
        self.publisher(Instant::now() + PATIENCE)?;
        let Some(channel) = self.publisher.as_ref().map(|one| one.channel.clone()) else {
            return Ok(false);
        };
        match self.ask(PATIENCE, channel.queue_declare(arguments)) {
            Ok(_) => Ok(true),
            Err(error) if make => Err(error),
            Err(error) => {
                // A question for what is not there costs the channel, and only then it is not there.
                let heard = self.publisher.take().map(|mut one| one.heard.try_recv());
                match heard {
                    Some(Ok(Heard::Closed(why))) if is_missing(&why) => Ok(false),
                    Some(Ok(Heard::Closed(why))) => Err(by_words(self.runtime.bus(), &why)),
                    _ => Err(error),
                }
            }
        }
    }
}

/// Whether a channel was closed because there is no such queue, and not because it is not ready.
fn is_missing(why: &str) -> bool {
    why.contains("404") && why.contains("no queue")
}

fn at_most(messages: usize) -> BasicQosArguments {
    let messages = u16::try_from(messages).unwrap_or(u16::MAX);
    BasicQosArguments::new(0, messages, false)
}

fn pushed_delivery(message: ConsumerMessage) -> Delivery {
    let tag = message.deliver.map_or(0, |deliver| deliver.delivery_tag());
    let properties = message.basic_properties.unwrap_or_default();
    delivery(tag, &properties, message.content.unwrap_or_default())
}

fn delivery(tag: u64, properties: &BasicProperties, bytes: Vec<u8>) -> Delivery {
    Delivery {
        parcel: parcel(
            properties.message_id().map(String::as_str),
            properties.message_type().map(String::as_str),
            properties.correlation_id().map(String::as_str),
            bytes,
        ),
        token: tag.to_string(),
    }
}

/// Whether an error may be a wrong password.
fn unsure(error: &Error) -> bool {
    let Error::Away { why, .. } = error else {
        return false;
    };
    matches!(why, Away::Silent(_) | Away::Broken(_))
}

/// What an error of the client amounts to.
fn trouble(bus: &str, error: &amqprs::error::Error) -> Error {
    let text = error.to_string();
    let lower = text.to_ascii_lowercase();
    if lower.contains("precondition_failed") || lower.contains("precondition failed") {
        return Error::Unfit {
            bus: bus.to_owned(),
            why: text,
        };
    }
    by_words(bus, &text)
}

impl Transport for Amqp {
    fn publish(&mut self, to: &AgentName, batch: &[Parcel], by: Instant) -> Published {
        self.inside(|this| {
            let (confirmed, trouble) = this.send(to, batch, by);
            if trouble.is_some() {
                this.publisher = None;
            }
            Published { confirmed, trouble }
        })
    }

    fn fetch(
        &mut self,
        of: &AgentName,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Error> {
        self.inside(|this| {
            let read = this.read(of, limit, wait);
            if read.is_err() {
                // What it was given and lost is not to be acknowledged by what comes after it.
                this.reader = None;
            }
            read
        })
    }

    fn settle(&mut self, of: &AgentName, tokens: &[String]) -> Result<(), Error> {
        self.inside(|this| {
            let done = this.acknowledge(of, tokens);
            if done.is_err() {
                this.reader = None;
            }
            done
        })
    }

    fn depth(&mut self, of: &AgentName) -> Result<u64, Error> {
        self.inside(|this| this.count(of))
    }

    fn declare(&mut self, of: &AgentName) -> Result<(), Error> {
        self.inside(|this| this.count(of)).map(drop)
    }

    fn mark(&mut self, name: &str, make: bool) -> Result<bool, Error> {
        self.inside(|this| this.is_there(&format!("spore.mark.{name}"), make))
    }

    fn ping(&mut self) -> Result<(), Error> {
        self.inside(|this| {
            this.channel = None;
            this.channel().map(drop)
        })
    }

    fn limit(&self) -> usize {
        LIMIT
    }

    fn frailty(&mut self) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

/// The beginning of a connection by hand, with the one capability that makes the server say why it
/// refuses: `authentication_failure_close` (amqprs does not announce it, and the server then keeps
/// silent for three seconds).
mod login {
    use std::io::{Error as IoError, ErrorKind, Read, Write};
    use std::net::{TcpStream, ToSocketAddrs};
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    use super::*;

    /// Why the server refuses us; nothing when it does not say.
    pub(super) fn ask(
        address: &Address,
        user: &str,
        secret: &str,
        vhost: &str,
        time: Duration,
    ) -> Option<Error> {
        let bus = address.to_string();
        let time = time.min(CONNECT);
        let asked = connect(address, time).and_then(|mut plain| match address.tls {
            false => try_ask(&mut plain, user, secret, vhost),
            true => try_ask(&mut encrypted(address, plain)?, user, secret, vhost),
        });
        match asked {
            Ok(None) => None,
            Ok(Some(why)) => Some(Error::Denied { bus, why }),
            Err(error) => Some(by_io(&bus, &error, time)),
        }
    }

    fn connect(address: &Address, time: Duration) -> std::io::Result<TcpStream> {
        let mut found = address.host().to_socket_addrs()?;
        let at = found.next().ok_or(ErrorKind::AddrNotAvailable)?;
        let stream = TcpStream::connect_timeout(&at, time)?;
        stream.set_read_timeout(Some(time))?;
        Ok(stream)
    }

    /// What the client itself trusts, and shows of us.
    pub(super) fn encryption(address: &Address) -> std::io::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        match address.certificates().map_err(IoError::other)? {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(text) => {
                let found: Vec<_> = CertificateDer::pem_slice_iter(&text).flatten().collect();
                roots.add_parsable_certificates(found);
            }
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        let Some((cert, key)) = address.own_certificate().map_err(IoError::other)? else {
            return Ok(config.with_no_client_auth());
        };
        let certs = CertificateDer::pem_slice_iter(&cert).flatten().collect();
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(IoError::other)?;
        config
            .with_client_auth_cert(certs, key)
            .map_err(IoError::other)
    }

    /// The same connection, encrypted.
    fn encrypted(
        address: &Address,
        plain: TcpStream,
    ) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let config = encryption(address)?;
        let name = ServerName::try_from(address.host().0.to_owned()).map_err(IoError::other)?;
        let encrypted = ClientConnection::new(Arc::new(config), name).map_err(IoError::other)?;
        Ok(StreamOwned::new(encrypted, plain))
    }

    fn try_ask(
        stream: &mut (impl Read + Write),
        user: &str,
        secret: &str,
        vhost: &str,
    ) -> std::io::Result<Option<String>> {
        stream.write_all(b"AMQP\0\0\x09\x01")?;
        frame(stream)?;
        let short = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
        let long = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
        let yes = [short("authentication_failure_close"), b"t\x01".to_vec()].concat();
        let table = [short("capabilities"), b"F".to_vec(), long(&yes)].concat();
        let answer = format!("\0{user}\0{secret}");
        let start_ok = [
            vec![0, 10, 0, 11],
            long(&table),
            short("PLAIN"),
            long(answer.as_bytes()),
            short("en_US"),
        ]
        .concat();
        send(stream, &start_ok)?;
        let tune = frame(stream)?;
        if let Some(why) = closed(&tune) {
            return Ok(Some(why));
        }
        // Tune is agreed to as it came; then the virtual host is asked for.
        let limits = tune.get(4..12).unwrap_or(&[0; 8]);
        send(stream, &[&[0, 10, 0, 31][..], limits].concat())?;
        send(
            stream,
            &[&[0, 10, 0, 40][..], &short(vhost), &[0, 0]].concat(),
        )?;
        Ok(closed(&frame(stream)?))
    }

    fn send(stream: &mut impl Write, method: &[u8]) -> std::io::Result<()> {
        let length = (method.len() as u32).to_be_bytes();
        stream.write_all(&[&[1, 0, 0][..], &length, method, &[0xce]].concat())
    }

    /// The method of one frame.
    fn frame(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
        let mut head = [0; 7];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        if length > 1 << 17 {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut method = vec![0; length as usize + 1];
        stream.read_exact(&mut method)?;
        method.pop();
        Ok(method)
    }

    /// The text of `connection.close`, if it says that we may not come in; that the server is
    /// stopping, or starting, mends itself.
    fn closed(method: &[u8]) -> Option<String> {
        let close = method.strip_prefix(&[0, 10, 0, 50])?;
        let (code, text) = close.split_at_checked(2)?;
        let (length, text) = text.split_first()?;
        let text = text.get(..usize::from(*length))?;
        let refused = matches!(u16::from_be_bytes([code[0], code[1]]), 403 | 530);
        refused.then(|| String::from_utf8_lossy(text).into_owned())
    }
}
