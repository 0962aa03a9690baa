//! Lines of standard input for commands that answer each at once: constant memory, a limit on each,
//! and what was written is handed on whenever there is nothing more to read.

use std::io::{self, BufRead, BufReader, Read};

use super::{Out, Result};

/// The longest line that is read, in bytes; the rest of a longer one is skipped.
pub const LIMIT: usize = 1 << 20;

/// One line, without its end.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: u64,
    /// What stands on it.
    pub bytes: &'a [u8],
    /// Whether it is the beginning of a longer one.
    pub cut: bool,
}

/// Calls `each` for every line of `input`. Whenever the input has nothing more at the moment, what
/// stands in `out` is handed on.
pub fn each(
    input: impl Read,
    out: &mut Out,
    mut each: impl FnMut(Line<'_>, &mut Out) -> Result<()>,
) -> Result<()> {
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let mut number = 0;
    // A line that the buffer does not hold whole.
    let mut part: Vec<u8> = Vec::new();
    loop {
        if input.buffer().is_empty() {
            out.hand_on()?;
        }
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(anyhow::Error::new(error).context("standard input")),
        };
        if buffer.is_empty() {
            if !part.is_empty() {
                each(line(number + 1, &part), out)?;
            }
            return Ok(());
        }
        let (taken, ended) = match memchr::memchr(b'\n', buffer) {
            Some(end) => (end, true),
            None => (buffer.len(), false),
        };
        if ended && part.is_empty() {
            number += 1;
            each(line(number, &buffer[..taken]), out)?;
        } else {
            // One byte more than the limit says that there was more.
            let room = (LIMIT + 1).saturating_sub(part.len());
            part.extend_from_slice(&buffer[..taken.min(room)]);
            if ended {
                number += 1;
                each(line(number, &part), out)?;
                part.clear();
                part.shrink_to(64 * 1024);
            }
        }
        input.consume(taken + usize::from(ended));
    }
}

fn line(number: u64, bytes: &[u8]) -> Line<'_> {
    let cut = bytes.len() > LIMIT;
    let bytes = &bytes[..bytes.len().min(LIMIT)];
    Line {
        number,
        bytes: bytes.strip_suffix(b"\r").unwrap_or(bytes),
        cut,
    }
}
