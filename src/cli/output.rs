//! Standard output: one buffered writer, flushed and checked before exit.

use std::io::{self, BufWriter, Write};

/// Where results go. Nothing else in this crate writes to standard output.
pub struct Out {
    writer: BufWriter<Box<dyn Write>>,
}

impl Out {
    /// Standard output.
    pub fn stdout() -> Out {
        Out {
            writer: BufWriter::with_capacity(64 * 1024, Box::new(io::stdout())),
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

/// Text that came in from outside as a line of a listing shows it: control and hidden characters
/// are escaped, so that it can neither steer the terminal nor look like another line.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || super::error::is_hidden(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}
