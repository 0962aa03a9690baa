//! Redis Streams: a stream for each mailbox, one group, one consumer.
//!
//! | | |
//! |---|---|
//! | mailbox | stream `spore:m:{NAME}`, entries `id lane [expiry] spore` |
//! | reading | group `spore`, consumer `custody`: its pending entries first, then new ones |
//! | settling | XACK and XDEL, so that XLEN is the depth |
//! | mark | key `spore:mark:NAME` |
//!
//! The braces keep a mailbox's keys on one node of a cluster.

use std::time::{Duration, Instant};

use redis::{
    Client, ClientTlsConfig, Cmd, Connection, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, Value,
};

use super::reading::{by_io, by_words, parcel};
use super::{
    Address, Away, CONNECT, Delivery, Error, LIMIT, PATIENCE, Parcel, Published, Transport, left,
};
use crate::id::AgentName;

const GROUP: &str = "spore";
const CONSUMER: &str = "custody";

/// A connection to a Redis server.
pub(super) struct Redis {
    bus: String,
    connection: Connection,
    /// The mailbox whose pending entries were asked for.
    attached: Option<AgentName>,
}

fn key(of: &AgentName) -> String {
    format!("spore:m:{{{of}}}")
}

impl Redis {
    pub(super) fn connect(address: &Address, by: Instant) -> Result<Redis, Error> {
        let bus = address.to_string();
        let (host, port) = address.host();
        let unfit = |why: String| Error::Unfit {
            bus: bus.clone(),
            why,
        };
        let db = match address.path.as_str() {
            "" => 0,
            number => number
                .parse()
                .map_err(|_| unfit(format!("{number:?} is no number of a database")))?,
        };
        let mut login = RedisConnectionInfo::default()
            .set_db(db)
            .set_skip_set_lib_name();
        if let Some(user) = &address.user {
            login = login.set_username(user);
        }
        if let Some(password) = address.secret()? {
            login = login.set_password(password);
        }
        let addr = match address.tls {
            false => ConnectionAddr::Tcp(host.to_owned(), port),
            true => ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port,
                insecure: false,
                tls_params: None,
            },
        };
        let info: ConnectionInfo = addr
            .into_connection_info()
            .map_err(|error| unfit(error.to_string()))?
            .set_redis_settings(login);
        let own = address.own_certificate()?;
        let client = match address.tls {
            false => Client::open(info),
            true => Client::build_with_tls(
                info,
                TlsCertificates {
                    client_tls: own.map(|(client_cert, client_key)| ClientTlsConfig {
                        client_cert,
                        client_key,
                    }),
                    root_cert: address.certificates()?,
                },
            ),
        };
        let client = client.map_err(|error| unfit(error.to_string()))?;
        let time = left(by).min(CONNECT);
        let connection = client
            .get_connection_with_timeout(time)
            .map_err(|error| trouble(&bus, &error, time))?;
        let mut this = Redis {
            bus,
            connection,
            attached: None,
        };
        this.wait_at_most(left(by))?;
        Ok(this)
    }

    /// Whether what the server has just taken may not be in its file. On a full disk it takes what
    /// came at once with the first failure, and says so only to those who ask after.
    fn is_unwritten(&mut self) -> bool {
        match redis::cmd("INFO")
            .arg("persistence")
            .query::<String>(&mut self.connection)
        {
            Ok(info) => info.contains("aof_last_write_status:err"),
            // A user who may not ask is let go on.
            Err(error) => error.is_io_error() || error.is_timeout(),
        }
    }

    fn wait_at_most(&mut self, time: Duration) -> Result<(), Error> {
        let set = |result: redis::RedisResult<()>| {
            result.map_err(|error| trouble(&self.bus, &error, time))
        };
        set(self.connection.set_read_timeout(Some(time)))?;
        set(self.connection.set_write_timeout(Some(time)))
    }

    fn ask(&mut self, command: &Cmd, time: Duration) -> Result<Value, Error> {
        self.wait_at_most(time)?;
        command
            .query::<Value>(&mut self.connection)
            .map_err(|error| trouble(&self.bus, &error, time))
    }

    /// Makes the group, which makes the stream. One that is there is as good.
    fn make_group(&mut self, of: &AgentName) -> Result<(), Error> {
        let mut command = redis::cmd("XGROUP");
        command
            .arg("CREATE")
            .arg(key(of))
            .arg(GROUP)
            .arg("0")
            .arg("MKSTREAM");
        self.wait_at_most(PATIENCE)?;
        match command.query::<Value>(&mut self.connection) {
            Err(error) if error.code() != Some("BUSYGROUP") => {
                Err(trouble(&self.bus, &error, PATIENCE))
            }
            _ => Ok(()),
        }
    }

    fn read(
        &mut self,
        of: &AgentName,
        limit: usize,
        wait: Duration,
        from: &str,
    ) -> Result<Vec<Delivery>, Error> {
        let mut command = redis::cmd("XREADGROUP");
        command
            .arg("GROUP")
            .arg(GROUP)
            .arg(CONSUMER)
            .arg("COUNT")
            .arg(limit);
        if !wait.is_zero() {
            command.arg("BLOCK").arg(wait.as_millis().max(1) as u64);
        }
        command.arg("STREAMS").arg(key(of)).arg(from);
        for last in [false, true] {
            self.wait_at_most(PATIENCE + wait)?;
            match command.query::<Value>(&mut self.connection) {
                Ok(answer) => return Ok(deliveries(answer)),
                // The server was emptied, or nobody has read here before.
                Err(error) if error.code() == Some("NOGROUP") && !last => self.make_group(of)?,
                Err(error) => return Err(trouble(&self.bus, &error, PATIENCE + wait)),
            }
        }
        Ok(Vec::new())
    }
}

/// What an error of the client amounts to.
fn trouble(bus: &str, error: &RedisError, waited: Duration) -> Error {
    let away = |why| Error::Away {
        bus: bus.to_owned(),
        why,
    };
    let text = error.to_string();
    let code = error.code().unwrap_or_default();
    match error.kind() {
        _ if error.is_timeout() => away(Away::Silent(waited)),
        _ if error.is_connection_refusal() => away(Away::Refused),
        ErrorKind::AuthenticationFailed => Error::Denied {
            bus: bus.to_owned(),
            why: "user or password is wrong".to_owned(),
        },
        ErrorKind::Server(ServerErrorKind::NoPerm) => Error::Denied {
            bus: bus.to_owned(),
            why: format!("this user may not do that: {text}"),
        },
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain,
        ) => away(Away::NotReady(text)),
        _ if matches!(code, "NOAUTH" | "WRONGPASS") => Error::Denied {
            bus: bus.to_owned(),
            why: "user or password is missing or wrong".to_owned(),
        },
        _ if matches!(code, "OOM" | "MISCONF" | "NOREPLICAS") => away(Away::Full(text)),
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Error::Unfit {
            bus: bus.to_owned(),
            why: format!("what answers there is no Redis: {text}"),
        },
        ErrorKind::Io => match std::error::Error::source(error)
            .and_then(|source| source.downcast_ref::<std::io::Error>())
        {
            Some(io) => by_io(bus, io, waited),
            None => by_words(bus, &text),
        },
        ErrorKind::Server(_) | ErrorKind::Extension => Error::Unfit {
            bus: bus.to_owned(),
            why: text,
        },
        _ => by_words(bus, &text),
    }
}

/// The entries of an answer to XREADGROUP: one stream, a list of `[entry id, [field, value, …]]`.
fn deliveries(answer: Value) -> Vec<Delivery> {
    let mut found = Vec::new();
    for stream in items(answer) {
        let entries = items(stream)
            .into_iter()
            .nth(1)
            .map(items)
            .unwrap_or_default();
        for entry in entries {
            let mut entry = items(entry).into_iter();
            let Some(token) = entry.next().and_then(text) else {
                continue;
            };
            let (mut id, mut lane, mut expiry, mut spore) = (None, None, None, Vec::new());
            // An entry that was deleted while it was pending has no fields.
            let mut fields = entry.next().map(items).unwrap_or_default().into_iter();
            while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
                match name {
                    Value::BulkString(name) if name == b"id" => id = text(value),
                    Value::BulkString(name) if name == b"lane" => lane = text(value),
                    Value::BulkString(name) if name == b"expiry" => expiry = text(value),
                    Value::BulkString(name) if name == b"spore" => {
                        if let Value::BulkString(bytes) = value {
                            spore = bytes;
                        }
                    }
                    _ => {}
                }
            }
            found.push(Delivery {
                parcel: parcel(id.as_deref(), lane.as_deref(), expiry.as_deref(), spore),
                token,
            });
        }
    }
    found
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        // What is no text is no name either: it is seen to be foreign.
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn number(value: &Value) -> u64 {
    match value {
        Value::Int(number) => u64::try_from(*number).unwrap_or(0),
        _ => 0,
    }
}

impl Transport for Redis {
    fn publish(&mut self, to: &AgentName, batch: &[Parcel], by: Instant) -> Published {
        let mut pipe = redis::pipe();
        let key = key(to);
        for parcel in batch {
            let add = pipe.cmd("XADD").arg(&key).arg("*");
            add.arg("id").arg(parcel.id.to_string());
            add.arg("lane").arg(parcel.lane.as_str());
            if let Some(expiry) = parcel.expiry {
                add.arg("expiry").arg(expiry.to_string());
            }
            add.arg("spore").arg(parcel.bytes.as_slice());
        }
        pipe.ignore_errors();
        let time = left(by);
        let answers = self.wait_at_most(time).and_then(|()| {
            pipe.query::<Vec<Value>>(&mut self.connection)
                .map_err(|error| trouble(&self.bus, &error, time))
        });
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                return Published {
                    confirmed: 0,
                    trouble: Some(error),
                };
            }
        };
        let confirmed = answers
            .iter()
            .take_while(|answer| matches!(answer, Value::BulkString(_)))
            .count();
        let trouble = match answers.into_iter().nth(confirmed) {
            Some(Value::ServerError(error)) => Some(trouble(&self.bus, &error.into(), time)),
            _ if confirmed < batch.len() => Some(Error::Unfit {
                bus: self.bus.clone(),
                why: "what answers there is no Redis".to_owned(),
            }),
            _ => None,
        };
        if confirmed > 0 && self.is_unwritten() {
            let why = Away::Full("it could not write what it took to its disk".to_owned());
            let bus = self.bus.clone();
            return Published {
                confirmed: 0,
                trouble: Some(Error::Away { bus, why }),
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
        if self.attached.as_ref() != Some(of) {
            let pending = self.read(of, limit, Duration::ZERO, "0")?;
            if !pending.is_empty() {
                return Ok(pending);
            }
            self.attached = Some(of.clone());
        }
        self.read(of, limit, wait, ">")
    }

    fn settle(&mut self, of: &AgentName, tokens: &[String]) -> Result<(), Error> {
        if tokens.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("XACK").arg(key(of)).arg(GROUP).arg(tokens);
        pipe.cmd("XDEL").arg(key(of)).arg(tokens);
        self.wait_at_most(PATIENCE)?;
        pipe.query::<Value>(&mut self.connection)
            .map(drop)
            .map_err(|error| trouble(&self.bus, &error, PATIENCE))
    }

    fn depth(&mut self, of: &AgentName) -> Result<u64, Error> {
        let answer = self.ask(redis::cmd("XLEN").arg(key(of)), PATIENCE)?;
        Ok(number(&answer))
    }

    fn declare(&mut self, of: &AgentName) -> Result<(), Error> {
        self.make_group(of)
    }

    fn mark(&mut self, name: &str, make: bool) -> Result<bool, Error> {
        let key = format!("spore:mark:{name}");
        if make {
            self.ask(redis::cmd("SET").arg(&key).arg("1"), PATIENCE)?;
            return Ok(true);
        }
        let answer = self.ask(redis::cmd("EXISTS").arg(&key), PATIENCE)?;
        Ok(number(&answer) == 1)
    }

    fn ping(&mut self) -> Result<(), Error> {
        self.ask(&redis::cmd("PING"), PATIENCE).map(drop)
    }

    fn limit(&self) -> usize {
        LIMIT
    }

    fn frailty(&mut self) -> Result<Option<String>, Error> {
        let mut said = Vec::new();
        for name in ["appendonly", "appendfsync"] {
            let answer = self.ask(redis::cmd("CONFIG").arg("GET").arg(name), PATIENCE)?;
            said.push(items(answer).into_iter().nth(1).and_then(text));
        }
        let appendonly = said.first().cloned().flatten().unwrap_or_default();
        let appendfsync = said.get(1).cloned().flatten().unwrap_or_default();
        Ok(match (appendonly.as_str(), appendfsync.as_str()) {
            ("yes", "always") => None,
            ("yes", _) => Some("a power cut may cost its last second".to_owned()),
            _ => Some("it keeps messages in memory only (appendonly is off)".to_owned()),
        })
    }
}
