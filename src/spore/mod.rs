//! Spores: the Markdown messages that agents write to each other.
//!
//! **For**: reading what agents really write, and writing what every reader can read. A spore is a
//! title, headers, and a body in which fences labelled `action` or `result` carry commands and
//! outcomes; `man 5 spore` shows it.
//!
//! **Promises**: reading never fails, whatever the bytes are, and says what it repaired ([`Note`]).
//! Nothing inside a fence is a heading or a header, and no fence but `action` and `result` is ever
//! taken for an item. What is written is strict, and is read back as what was written; when that
//! cannot be, writing refuses. Work grows with the length of the input, not faster.
//!
//! **Does not**: look at a clock (an item without a time is marked as such), at addresses (whether
//! a recipient exists), or at the size of its input: limits are the caller's.
//!
//! | step | room | from → to |
//! |---|---|---|
//! | bytes | `bytes` | BOM, cp1252, mojibake and CRLF repaired |
//! | lines | `markdown`, `header` | fences, headings, `key: value` |
//! | layout | `layout` | which line is title, header, body |
//! | message | [`read`], [`write()`] | the whole, there and back |
//! | items | [`item`] | lines of blocks → commands and results, with their places |
//! | signature | [`signature`] | the block at the end, and what it covers |
//! | head | [`envelope`] | title and headers alone, for mailboxes |

pub mod envelope;
pub mod item;
pub mod signature;

mod bytes;
mod header;
mod layout;
mod markdown;
mod read;
mod write;

use std::fmt;

pub use header::{Headers, looks_like_time};
pub use read::{Reading, read, unlabelled};
pub use write::write;

/// A message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spore {
    /// The subject, from the title.
    pub subject: Option<String>,
    /// The headers that have a meaning here.
    pub headers: Headers,
    /// All others, in order.
    pub extra: Vec<(String, String)>,
    /// The body: texts and items in their order.
    pub parts: Vec<Part>,
}

/// A part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Lines of text, without the end of the last one.
    Text(String),
    /// The lines of a block of commands, comments among them.
    Action(Vec<String>),
    /// The lines of a result.
    Result(Vec<String>),
}

/// What was wrong with the form of a spore, and was repaired or passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A byte order mark stood at the start.
    Bom,
    /// The bytes were not UTF-8; they were read as cp1252.
    NotUtf8,
    /// UTF-8 had been taken for cp1252, so many times over.
    Mojibake(usize),
    /// Lines ended with CRLF or CR.
    Crlf,
    /// A signature block is no YAML; nothing was taken from it.
    BrokenSignature,
    /// The last fence is not closed; it is text.
    UnclosedFence,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Bom => f.write_str("bom"),
            Note::NotUtf8 => f.write_str("not-utf8"),
            Note::Mojibake(rounds) => write!(f, "mojibake x{rounds}"),
            Note::Crlf => f.write_str("crlf"),
            Note::BrokenSignature => f.write_str("broken-signature"),
            Note::UnclosedFence => f.write_str("unclosed-fence"),
        }
    }
}

/// A spore that has no strict form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {what} would not be read back as it is")]
pub struct WriteError {
    /// Which part of it.
    pub what: &'static str,
}

/// The text of a file with everything repaired that [`Note`] names for bytes, and nothing else
/// changed.
pub fn repaired(bytes: &[u8]) -> (std::borrow::Cow<'_, str>, Vec<Note>) {
    bytes::decode(bytes, layout::is_verbatim)
}
