//! Standard output: one buffered writer, flushed and checked before exit.

use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where results go. Nothing else in this crate writes to standard output.
pub struct Out {
    writer: BufWriter<Box<dyn Write>>,
}

impl Out {
    /// Standard output.
    pub fn stdout() -> Out {
        let writer: Box<dyn Write> = match CLOSED.load(Ordering::Relaxed) {
            true => Box::new(Closed),
            false => Box::new(io::stdout()),
        };
        Out {
            writer: BufWriter::with_capacity(64 * 1024, writer),
        }
    }

    /// Standard error, for programs that a caller listens to on both.
    pub fn stderr() -> Out {
        Out {
            writer: BufWriter::with_capacity(1, Box::new(io::stderr())),
        }
    }

    /// Hands on what was written so far, after each record of an endless stream and before
    /// anything is acknowledged because it was written out.
    pub fn hand_on(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Ends the output: what the last flush says decides the exit status.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Whether standard output was closed when the process began. What is written then would vanish,
/// and count as handed on: the standard library opens /dev/null in its place before `main`, so that
/// nobody can tell later. Hence the look before that.
static CLOSED: AtomicBool = AtomicBool::new(false);

#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = {
    extern "C" fn look() {
        let flags = rustix::io::fcntl_getfd(rustix::stdio::stdout());
        CLOSED.store(flags.is_err(), Ordering::Relaxed);
    }
    look
};

/// A standard output that is none.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::Error::from_raw_os_error(
            rustix::io::Errno::BADF.raw_os_error(),
        ))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Text that came in from outside as a line of a listing shows it: control and hidden characters
/// are escaped, so that it can neither steer the terminal nor look like another line.
pub fn shown(text: &str) -> String {
    escaped(text, &[])
}

/// The same, but for the characters to `keep`.
pub(super) fn escaped(text: &str, keep: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() || super::error::is_hidden(c)) && !keep.contains(&c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}
