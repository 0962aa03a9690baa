//! From bytes to a spore; never fails.

use super::layout::{self, Piece};
use super::markdown::{self, Label};
use super::{Note, Part, Spore, bytes};

/// What was read, and what had to be repaired for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The message.
    pub spore: Spore,
    /// What was repaired or passed over.
    pub notes: Vec<Note>,
    /// For each part the line of the file, counted from 1, that its first line stands in. A text
    /// that continues behind a header has the line that it begins with.
    pub places: Vec<usize>,
}

/// Reads a spore, whatever the bytes are.
///
/// ```
/// let reading = sporekit::spore::read(b"# Spore: hello\r\nFrom: kiro-1\r\n\r\nAll well.\r\n");
/// assert_eq!(reading.spore.subject.as_deref(), Some("hello"));
/// assert_eq!(reading.spore.headers.from.as_deref(), Some("kiro-1"));
/// assert_eq!(reading.notes, [sporekit::spore::Note::Crlf]);
/// ```
pub fn read(bytes: &[u8]) -> Reading {
    let (text, mut notes) = bytes::decode(bytes, layout::is_verbatim);
    let found = layout::layout(&text);
    let pieces = found.pieces();
    let mut parts = Vec::with_capacity(pieces.len());
    let mut places = Vec::with_capacity(pieces.len());
    for (first, piece) in pieces {
        places.push(first + 1);
        parts.push(match piece {
            Piece::Text(text) => Part::Text(text),
            Piece::Item(label, range) => {
                let lines = found.lines[range].iter().map(|line| (*line).to_owned());
                match label {
                    Label::Result => Part::Result(lines.collect()),
                    Label::Action | Label::Other => Part::Action(lines.collect()),
                }
            }
        });
    }
    notes.extend(found.notes);
    let spore = Spore {
        subject: found.subject,
        headers: found.headers,
        extra: found.extra,
        parts,
    };
    Reading {
        spore,
        notes,
        places,
    }
}

/// The fences of the body without a label: the line of the file that opens each, and the lines
/// inside. The line is exact where no header stands in the middle of the text.
pub fn unlabelled(reading: &Reading) -> Vec<(usize, Vec<&str>)> {
    let mut found = Vec::new();
    for (part, place) in reading.spore.parts.iter().zip(&reading.places) {
        if let Part::Text(text) = part {
            let lines: Vec<&str> = text.split('\n').collect();
            let fences = markdown::fences(&lines);
            for fence in fences
                .iter()
                .filter(|fence| fence.closed && fence.info.is_empty())
            {
                let inside = lines[fence.open + 1..fence.close].to_vec();
                found.push((place + fence.open, inside));
            }
        }
    }
    found
}
