//! The address of a bus: one URL, whose secrets are references and never shown.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Error;

/// Which kind of bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Directories.
    Files,
    /// Redis Streams.
    Redis,
    /// NATS JetStream.
    Nats,
    /// RabbitMQ, with quorum queues.
    Amqp,
    /// Apache Kafka.
    Kafka,
}

/// Every scheme: its name, the kind, whether it is encrypted, the usual port.
const SCHEMES: &[(&str, Kind, bool, u16)] = &[
    ("file", Kind::Files, false, 0),
    ("redis", Kind::Redis, false, 6379),
    ("rediss", Kind::Redis, true, 6379),
    ("nats", Kind::Nats, false, 4222),
    ("tls", Kind::Nats, true, 4222),
    ("amqp", Kind::Amqp, false, 5672),
    ("amqps", Kind::Amqp, true, 5671),
    ("kafka", Kind::Kafka, false, 9092),
    ("kafkas", Kind::Kafka, true, 9093),
];

/// What may stand behind the `?`.
const OPTIONS: &[&str] = &["ca", "cert", "key", "sasl"];

/// What stands for a password that is not shown.
const HIDDEN: &str = "***";

/// How long a secret's file may be.
const SECRET: u64 = 64 * 1024;

/// Where a password is to be had.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The URL itself says it.
    Plain(String),
    /// A variable of the environment holds it.
    Env(String),
    /// A file holds it; one newline at its end does not belong to it.
    File(PathBuf),
}

/// A certificate and its key, in PEM form.
pub type Pair = (Vec<u8>, Vec<u8>);

/// An address that was read and is well formed.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// What is there.
    pub kind: Kind,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Hosts and ports; only Kafka may have several. Empty for files.
    pub hosts: Vec<(String, u16)>,
    /// Who we are there.
    pub user: Option<String>,
    /// How we show it.
    pub password: Option<Secret>,
    /// The database, the virtual host, or the directory.
    pub path: String,
    /// A file with the certificates that are trusted; otherwise the system's.
    pub ca: Option<PathBuf>,
    /// Files with the certificate by which we are known there, and with its key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// How Kafka asks for the password.
    pub sasl: Option<String>,
    scheme: &'static str,
}

impl Address {
    /// Reads an address.
    ///
    /// ```
    /// use sporekit::bus::Address;
    /// let bus = Address::read("redis://swarm:env:REDIS_PASSWORD@10.0.0.1").unwrap();
    /// assert_eq!(bus.to_string(), "redis://swarm:env:REDIS_PASSWORD@10.0.0.1:6379");
    /// let bus = Address::read("nats://me:secret@h").unwrap();
    /// assert_eq!(bus.to_string(), "nats://me:***@h:4222");
    /// assert!(Address::read("reddis://h").unwrap_err().to_string().contains("did you mean redis"));
    /// ```
    ///
    /// # Errors
    /// [`Error::Address`], which says what is wrong and never repeats a password.
    pub fn read(text: &str) -> Result<Address, Error> {
        let wrong = |why: String| Error::Address { why };
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(wrong(format!(
                "{text:?} has no scheme: write redis://HOST, nats://HOST, amqp://HOST, kafka://HOST or file:DIRECTORY"
            )));
        };
        let Some((scheme, kind, tls, port)) = SCHEMES.iter().find(|(name, ..)| *name == scheme)
        else {
            let names = SCHEMES.iter().map(|(name, ..)| *name);
            let hint = match crate::id::nearest(scheme, names.clone()).first() {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known are {}", names.collect::<Vec<_>>().join(", ")),
            };
            return Err(wrong(format!("unknown scheme {scheme:?}: {hint}")));
        };
        let mut address = Address {
            kind: *kind,
            tls: *tls,
            hosts: Vec::new(),
            user: None,
            password: None,
            path: String::new(),
            ca: None,
            own: None,
            sasl: None,
            scheme,
        };
        if *kind == Kind::Files {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            address.path = path.to_owned();
            return Ok(address);
        }
        let Some(rest) = rest.strip_prefix("//") else {
            return Err(wrong(format!("write {scheme}://HOST")));
        };
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        // A secret may be the path of a file: the user's part ends at the last @.
        let rest = match rest.rsplit_once('@') {
            Some((who, rest)) => {
                let (user, password) = match who.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (who, None),
                };
                address.user = Some(decoded(user)).filter(|user| !user.is_empty());
                address.password = password.map(Secret::read);
                rest
            }
            None => rest,
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        address.path = decoded(path);
        for host in hosts.split(',') {
            address.hosts.push(host_port(host, *port).map_err(wrong)?);
        }
        if address.hosts.len() > 1 && *kind != Kind::Kafka {
            return Err(wrong(format!("{scheme}: one host, not several")));
        }
        let (mut cert, mut own_key) = (None, None);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            match key {
                "ca" => address.ca = Some(PathBuf::from(decoded(value))),
                "cert" => cert = Some(PathBuf::from(decoded(value))),
                "key" => own_key = Some(PathBuf::from(decoded(value))),
                "sasl" if *kind == Kind::Kafka => address.sasl = Some(value.to_owned()),
                _ => {
                    let near = crate::id::nearest(key, OPTIONS.iter().copied());
                    let near = near.first().unwrap_or(&"ca");
                    return Err(wrong(format!(
                        "unknown option {key:?}, did you mean {near:?}?"
                    )));
                }
            }
        }
        address.own = match (cert, own_key) {
            (None, None) => None,
            (Some(_), Some(_)) if !tls => {
                return Err(wrong(format!(
                    "{scheme}: is not encrypted, a certificate is of no use"
                )));
            }
            (Some(cert), Some(key)) => Some((cert, key)),
            _ => return Err(wrong("cert=FILE and key=FILE belong together".to_owned())),
        };
        Ok(address)
    }

    /// Whether a password stands in the address itself, where others can see it.
    pub fn shows_a_secret(&self) -> bool {
        matches!(self.password, Some(Secret::Plain(_)))
    }

    /// The first host, as `HOST:PORT`.
    pub fn host(&self) -> (&str, u16) {
        self.hosts
            .first()
            .map_or(("", 0), |(h, p)| (h.as_str(), *p))
    }

    /// The password itself.
    ///
    /// # Errors
    /// [`Error::Address`] when it is not where the reference says.
    pub fn secret(&self) -> Result<Option<String>, Error> {
        let wrong = |why: String| Error::Address { why };
        Ok(Some(match &self.password {
            None => return Ok(None),
            Some(Secret::Plain(text)) if text == HIDDEN => {
                let why = "its password is not kept on the disk: say --via or SPORE_BUS, \
                           with env:NAME or file:PATH in its place";
                return Err(wrong(why.to_owned()));
            }
            Some(Secret::Plain(text)) => text.clone(),
            Some(Secret::Env(name)) => std::env::var(name)
                .map_err(|_| wrong(format!("the password's variable {name} is not set")))?,
            Some(Secret::File(path)) => {
                let text = small_file(path)
                    .map_err(|error| wrong(format!("the password's file {path:?}: {error}")))?;
                text.strip_suffix('\n').unwrap_or(&text).to_owned()
            }
        }))
    }

    /// The certificates that are trusted besides none of the system's, in PEM form.
    ///
    /// # Errors
    /// [`Error::Address`] when the file cannot be read.
    pub fn certificates(&self) -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = &self.ca else {
            return Ok(None);
        };
        match small_file(path) {
            Ok(text) => Ok(Some(text.into_bytes())),
            Err(error) => Err(Error::Address {
                why: format!("the certificates' file {path:?}: {error}"),
            }),
        }
    }

    /// The certificate by which we are known there and its key, in PEM form.
    ///
    /// # Errors
    /// [`Error::Address`] when one of the files cannot be read.
    pub fn own_certificate(&self) -> Result<Option<Pair>, Error> {
        let Some((cert, key)) = &self.own else {
            return Ok(None);
        };
        let read = |what: &str, path: &Path| match small_file(path) {
            Ok(text) => Ok(text.into_bytes()),
            Err(error) => Err(Error::Address {
                why: format!("{what} {path:?}: {error}"),
            }),
        };
        Ok(Some((
            read("the certificate", cert)?,
            read("its key", key)?,
        )))
    }

    /// A name for it that is a path component: the same for the same bus, whatever the password.
    pub fn slug(&self) -> String {
        let mut hosts = self
            .hosts
            .iter()
            .map(|(host, port)| format!("{host}-{port}"));
        let first = hosts.next().unwrap_or_default();
        let text = format!("{}-{first}-{}", self.scheme, self.path);
        let plain: String = text
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .take(60)
            .collect();
        let whole = format!("{:?} {:?} {:?}", self.hosts, self.user, self.path);
        // FNV-1a: tells apart what the characters above do not.
        let sum = whole.bytes().fold(0x811c_9dc5_u32, |sum, byte| {
            (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        format!("{}-{sum:08x}", plain.trim_end_matches('-'))
    }
}

impl Secret {
    fn read(text: &str) -> Secret {
        if let Some(name) = text.strip_prefix("env:") {
            Secret::Env(name.to_owned())
        } else if let Some(path) = text.strip_prefix("file:") {
            Secret::File(PathBuf::from(decoded(path)))
        } else {
            Secret::Plain(decoded(text))
        }
    }
}

fn small_file(path: &Path) -> std::io::Result<String> {
    let bytes = crate::swarm::files::read_if_there(path, SECRET)?;
    let bytes = bytes.ok_or(std::io::ErrorKind::NotFound)?;
    String::from_utf8(bytes).map_err(|_| std::io::ErrorKind::InvalidData.into())
}

fn host_port(text: &str, usual: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':')),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(plain) {
        return Err(format!("{host:?} is no host"));
    }
    let port = match port {
        None => usual,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(format!("{port:?} is no port")),
        },
    };
    Ok((host.to_owned(), port))
}

/// `%2F` and the like as the character that they stand for.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The address for people and files: without a password, with references to one.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Kind::Files {
            return write!(f, "file:{}", self.path);
        }
        write!(f, "{}://", self.scheme)?;
        if self.user.is_some() || self.password.is_some() {
            f.write_str(self.user.as_deref().unwrap_or(""))?;
            match &self.password {
                None => {}
                Some(Secret::Plain(_)) => write!(f, ":{HIDDEN}")?,
                Some(Secret::Env(name)) => write!(f, ":env:{name}")?,
                Some(Secret::File(path)) => write!(f, ":file:{}", path.display())?,
            }
            f.write_str("@")?;
        }
        for (place, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            match host.contains(':') {
                true => write!(f, "{comma}[{host}]:{port}")?,
                false => write!(f, "{comma}{host}:{port}")?,
            }
        }
        if !self.path.is_empty() {
            write!(f, "/{}", self.path.replace('/', "%2F"))?;
        }
        let ca = self.ca.as_ref().map(|ca| format!("ca={}", ca.display()));
        let sasl = self.sasl.as_ref().map(|sasl| format!("sasl={sasl}"));
        let own = self.own.as_ref();
        let own = own.map(|(cert, key)| format!("cert={}&key={}", cert.display(), key.display()));
        let options: Vec<String> = ca.into_iter().chain(own).chain(sasl).collect();
        if !options.is_empty() {
            write!(f, "?{}", options.join("&"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_was_written_is_read_back() {
        for text in [
            "redis://127.0.0.1:6379/0",
            "rediss://u:env:PW@h:1/3?ca=/etc/ca.pem",
            "tls://u:file:/run/secret@nats.example.org:4222",
            "amqp://u@h:5672/%2F",
            "kafkas://u:env:PW@a:9093,b:9094?sasl=scram-sha-512",
            "kafkas://h:9093?ca=/ca.pem&cert=/me.pem&key=/me.key&sasl=plain",
            "nats://[::1]:4222",
            "file:/srv/mail",
        ] {
            let read = Address::read(text).unwrap();
            assert_eq!(read.to_string(), text);
            assert_eq!(Address::read(&read.to_string()).unwrap(), read);
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let bus = Address::read("amqp://me:s3cr%40t@h/v").unwrap();
        assert!(bus.shows_a_secret());
        assert_eq!(bus.secret().unwrap().as_deref(), Some("s3cr@t"));
        for shown in [format!("{bus}"), format!("{bus:?}"), bus.slug()] {
            assert!(!shown.contains("s3cr"), "{shown}");
        }
        let kept = Address::read(&bus.to_string()).unwrap();
        assert!(kept.secret().unwrap_err().to_string().contains("not kept"));
        let bus = Address::read("redis://:env:NO_SUCH_VARIABLE@h").unwrap();
        assert!(
            bus.secret()
                .unwrap_err()
                .to_string()
                .contains("NO_SUCH_VARIABLE")
        );
    }

    #[test]
    fn two_buses_have_two_names_and_one_bus_one() {
        let slug = |text| Address::read(text).unwrap().slug();
        assert_eq!(slug("redis://a:env:X@h/0"), slug("redis://a:env:Y@h/0"));
        let all = [
            "redis://h/0",
            "redis://h/1",
            "redis://a@h/0",
            "redis://g/0",
            "nats://h",
        ];
        for (place, one) in all.iter().enumerate() {
            for other in &all[place + 1..] {
                assert_ne!(slug(one), slug(other));
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (text, why) in [
            ("localhost", "no scheme"),
            ("http://h", "unknown scheme"),
            ("reddis://h", "did you mean redis"),
            ("redis:h", "write redis://HOST"),
            ("redis://u:topsecret@", "no host"),
            ("redis://h:0", "no port"),
            ("redis://h:99999", "no port"),
            ("redis://a,b", "one host"),
            ("redis://h?cb=x", "did you mean \"ca\""),
            ("rediss://h?cert=x", "belong together"),
            ("redis://h?cert=x&key=y", "not encrypted"),
            ("nats://h e", "no host"),
        ] {
            let said = Address::read(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
            assert!(!said.contains("topsecret"));
        }
    }
}
