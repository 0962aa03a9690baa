//! The file name of a message: its whole state in one text that `ls` shows.
//!
//! ```text
//! TTTTTTTTTTTTUUUUU-SSSSRRRRRRRRRRRRRRRR,S=bytes[,X=expiry][,A=attempts][,C=holder][,L=deadline]:2,
//! └──────────────── id ────────────────┘
//! ```
//!
//! T seconds and U microseconds since 1970 in hexadecimal, S a counter of the sending process, R 64
//! random bits. Sorted names are in order of time. The id is fixed for life; the rest follows the
//! state. One listing gives order, size, expiry and attempts: nothing is opened for it.

use std::fmt;
use std::str::FromStr;

use crate::id::SporeId;

/// The id of a message, and the part of its file name before the first comma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    seconds: u64,
    micros: u32,
    counter: u16,
    random: u64,
}

/// The length of an [`Id`] as text.
pub const ID_LEN: usize = 38;

impl Id {
    /// An id from its parts; `seconds` is cut to 48 bits, `micros` to less than a second.
    pub fn new(seconds: u64, micros: u32, counter: u16, random: u64) -> Id {
        Id {
            seconds: seconds & 0xffff_ffff_ffff,
            micros: micros % 1_000_000,
            counter,
            random,
        }
    }

    /// When the message was made, in seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.seconds
    }

    /// The microseconds of that second.
    pub fn micros(self) -> u32 {
        self.micros
    }

    /// The id as the name that headers and buses use.
    pub fn spore_id(self) -> SporeId {
        self.to_string()
            .parse()
            .expect("hexadecimal digits and a dash are a spore id")
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:012x}{:05x}-{:04x}{:016x}",
            self.seconds, self.micros, self.counter, self.random
        )
    }
}

/// Why a text is not an id or a file name of a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct NameError {
    /// What was wanted, with its article.
    pub what: &'static str,
    /// The text that was given.
    pub text: String,
}

impl FromStr for Id {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Id, NameError> {
        id(text.as_bytes()).ok_or_else(|| NameError {
            what: "the id of a message",
            text: text.to_owned(),
        })
    }
}

fn id(text: &[u8]) -> Option<Id> {
    if text.len() != ID_LEN || text[17] != b'-' {
        return None;
    }
    let micros = hex(&text[12..17])?;
    (micros < 1_000_000).then_some(Id {
        seconds: hex(&text[..12])?,
        micros: micros as u32,
        counter: hex(&text[18..22])? as u16,
        random: hex(&text[22..])?,
    })
}

/// Lower-case hexadecimal digits, at most 16: upper case would be a second name for the same id.
fn hex(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0u64, |sum, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u64::from(digit))
    })
}

/// Who holds a claimed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The first 32 bits of the kernel's boot id.
    pub boot: u32,
    /// The inode of the pid namespace.
    pub namespace: u64,
    /// The process; 0 when no process holds it and only the deadline counts (`--hold`).
    pub pid: u32,
    /// When the process started, in clock ticks since boot: a pid alone is given out again.
    pub start: u64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder {
            boot,
            namespace,
            pid,
            start,
        } = self;
        write!(f, "{boot:08x}.{namespace}.{pid}.{start}")
    }
}

/// A claim: who, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Who holds it.
    pub holder: Holder,
    /// When the lease runs out: milliseconds of `CLOCK_BOOTTIME` of the holder's boot.
    pub deadline: u64,
}

/// A file name of a message, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    /// The id.
    pub id: Id,
    /// How many bytes the message has: a file of another size is torn.
    pub size: u64,
    /// When it expires, in seconds since 1970.
    pub expiry: Option<u64>,
    /// How often it was claimed.
    pub attempts: u32,
    /// The claim, in `cur/`.
    pub lease: Option<Lease>,
}

impl Name {
    /// The name of a message that nobody has claimed yet.
    pub fn fresh(id: Id, size: u64, expiry: Option<u64>) -> Name {
        Name {
            id,
            size,
            expiry,
            attempts: 0,
            lease: None,
        }
    }

    /// The name on a file system that allows no colon.
    pub fn with_semicolon(&self) -> String {
        self.to_string().replace(':', ";")
    }

    /// Reads a file name; `None` for everything that is not ours: editor backups, `.DS_Store`,
    /// `.nfs…`, messages of other mail programs.
    pub fn read(text: &[u8]) -> Option<Name> {
        let (head, flags) = text.split_at(text.iter().position(|b| matches!(b, b':' | b';'))?);
        // What follows are Maildir flags: a mail reader adds letters to them.
        if !flags[1..].starts_with(b"2,") || !flags[3..].iter().all(u8::is_ascii_alphabetic) {
            return None;
        }
        let mut fields = head.split(|b| *b == b',');
        let mut name = Name::fresh(id(fields.next()?)?, 0, None);
        let mut sized = false;
        let mut holder = None;
        let mut deadline = None;
        for field in fields {
            let (&key, rest) = field.split_first()?;
            let (b'=', value) = rest.split_first().map(|(eq, value)| (*eq, value))? else {
                return None;
            };
            match key {
                b'S' => {
                    name.size = decimal(value)?;
                    sized = true;
                }
                b'X' => name.expiry = Some(decimal(value)?),
                b'A' => name.attempts = u32::try_from(decimal(value)?).ok()?,
                b'C' => holder = Some(read_holder(value)?),
                b'L' => deadline = Some(decimal(value)?),
                // A field of a later version: kept out, it may not change what the others say.
                b'B'..=b'Z' => {}
                _ => return None,
            }
        }
        if let (Some(holder), Some(deadline)) = (holder, deadline) {
            name.lease = Some(Lease { holder, deadline });
        }
        sized.then_some(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},S={}", self.id, self.size)?;
        if let Some(expiry) = self.expiry {
            write!(f, ",X={expiry}")?;
        }
        if self.attempts > 0 {
            write!(f, ",A={}", self.attempts)?;
        }
        if let Some(Lease { holder, deadline }) = self.lease {
            write!(f, ",C={holder},L={deadline}")?;
        }
        f.write_str(":2,")
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Name, NameError> {
        Name::read(text.as_bytes()).ok_or_else(|| NameError {
            what: "the file name of a message",
            text: text.to_owned(),
        })
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let plain = !text.is_empty() && (text.len() == 1 || text[0] != b'0');
    plain.then_some(())?;
    text.iter().try_fold(0u64, |sum, byte| {
        byte.is_ascii_digit().then_some(())?;
        sum.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

fn read_holder(text: &[u8]) -> Option<Holder> {
    let mut parts = text.split(|b| *b == b'.');
    let boot = parts.next().filter(|boot| boot.len() == 8).and_then(hex)?;
    let holder = Holder {
        boot: boot as u32,
        namespace: decimal(parts.next()?)?,
        pid: u32::try_from(decimal(parts.next()?)?).ok()?,
        start: decimal(parts.next()?)?,
    };
    parts.next().is_none().then_some(holder)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> impl Strategy<Value = Name> {
        let lease = (
            any::<u32>(),
            any::<u64>(),
            any::<u32>(),
            any::<u64>(),
            any::<u64>(),
        );
        (
            (0u64..1 << 48, 0u32..1_000_000, any::<u16>(), any::<u64>()),
            any::<u64>(),
            any::<Option<u64>>(),
            any::<u32>(),
            proptest::option::of(lease),
        )
            .prop_map(|((s, u, c, r), size, expiry, attempts, lease)| Name {
                id: Id::new(s, u, c, r),
                size,
                expiry,
                attempts,
                lease: lease.map(|(boot, namespace, pid, start, deadline)| Lease {
                    holder: Holder {
                        boot,
                        namespace,
                        pid,
                        start,
                    },
                    deadline,
                }),
            })
    }

    proptest! {
        #[test]
        fn reading_what_was_written_is_the_identity(name in names()) {
            prop_assert_eq!(Name::read(name.to_string().as_bytes()), Some(name));
            prop_assert_eq!(Name::read(name.with_semicolon().as_bytes()), Some(name));
        }

        #[test]
        fn names_sort_as_their_ids(a in names(), b in names()) {
            prop_assert_eq!(a.id.cmp(&b.id), a.id.to_string().cmp(&b.id.to_string()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(name) = Name::read(&bytes) {
                prop_assert_eq!(Name::read(name.to_string().as_bytes()), Some(name));
            }
        }
    }

    #[test]
    fn the_example_of_the_page_reads() {
        let text = "00006924480012345-0001deadbeef00112233,S=17,X=1764000000,A=2,\
                    C=0badf00d.4026531836.77.123456,L=90000:2,";
        let name: Name = text.parse().unwrap();
        assert_eq!((name.size, name.attempts), (17, 2));
        assert_eq!(name.lease.unwrap().holder.pid, 77);
        assert_eq!(name.to_string(), text);
    }

    #[test]
    fn foreign_names_are_not_ours() {
        for foreign in [
            "",
            ".DS_Store",
            ".nfs000000000012",
            "notes.md~",
            "1764000000.M1P2Q3.host,S=17:2,",
            "00006924480012345-0001deadbeef00112233:2,",
            "00006924480012345-0001deadbeef00112233,S=:2,",
            "00006924480012345-0001deadbeef00112233,S=017:2,",
            "00006924480012345-0001deadbeef00112233,S=99999999999999999999:2,",
            "00006924480012345-0001DEADBEEF00112233,S=17:2,",
            "000069244800fffff-0001deadbeef00112233,S=17:2,",
            "00006924480012345-0001deadbeef00112233,S=17",
            "00006924480012345-0001deadbeef00112233,S=17:1,",
            "00006924480012345-0001deadbeef00112233,S=17,A=1,C=x,L=1:2,",
            "00006924480012345-0001deadbeef00112233,S=17,,:2,",
        ] {
            assert_eq!(Name::read(foreign.as_bytes()), None, "{foreign:?}");
        }
    }

    #[test]
    fn a_mail_reader_may_add_flags_and_a_later_version_fields() {
        let name = "00006924480012345-0001deadbeef00112233,S=17,Z=9:2,RS";
        assert_eq!(Name::read(name.as_bytes()).unwrap().size, 17);
    }
}
