//! From bytes to text: what went wrong on the way here is put right, and said.

use std::borrow::Cow;

use super::Note;

/// A text is looked at again after a repair, at most this often in all: a file that was damaged
/// more often than that is not the work of an accident.
const ROUNDS: usize = 3;

/// What cp1252 has in the places 80 to 9F; the five that it leaves undefined stand for themselves.
const CP1252: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

/// The text in `bytes`, read as UTF-8 or else as cp1252, without byte order mark and with LF at
/// the end of lines. Mojibake is repaired unless `exact` says of the text that it is meant so.
pub(super) fn decode(bytes: &[u8], exact: fn(&str) -> bool) -> (Cow<'_, str>, Vec<Note>) {
    let mut notes = Vec::new();
    let unmarked = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if unmarked.len() < bytes.len() {
        notes.push(Note::Bom);
    }
    let mut text = match std::str::from_utf8(unmarked) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            notes.push(Note::NotUtf8);
            Cow::Owned(unmarked.iter().map(|b| from_cp1252(*b)).collect())
        }
    };
    let crlf = text.contains('\r');
    if crlf {
        text = Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"));
    }
    if !exact(&text) {
        let rounds = repair(&mut text);
        if rounds > 0 {
            notes.push(Note::Mojibake(rounds));
        }
    }
    if crlf {
        notes.push(Note::Crlf);
    }
    // A second mark, or one that was itself mojibake.
    if text.starts_with('\u{feff}') {
        text = Cow::Owned(text.trim_start_matches('\u{feff}').to_owned());
        if notes.first() != Some(&Note::Bom) {
            notes.insert(0, Note::Bom);
        }
    }
    (text, notes)
}

/// Repairs in rounds until nothing changes; says how many rounds changed something.
fn repair(text: &mut Cow<'_, str>) -> usize {
    for round in 0..ROUNDS {
        match round_of_repair(text) {
            Some(better) => *text = Cow::Owned(better),
            None => return round,
        }
    }
    ROUNDS
}

/// Whether a reader would take `text` for UTF-8 that was once read as cp1252.
pub(super) fn looks_like_mojibake(text: &str) -> bool {
    round_of_repair(text).is_some()
}

/// Replaces each run of characters beyond ASCII that, written as cp1252, is UTF-8. Each character
/// is looked at once.
fn round_of_repair(text: &str) -> Option<String> {
    let mut better: Option<String> = None;
    let mut encoded = Vec::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(start) = beyond_ascii(text, at) {
        let end = text.as_bytes()[start..]
            .iter()
            .position(u8::is_ascii)
            .map_or(text.len(), |length| start + length);
        encoded.clear();
        let all = text[start..end].chars().all(|c| match to_cp1252(c) {
            Some(byte) => {
                encoded.push(byte);
                true
            }
            None => false,
        });
        if let (true, Ok(decoded)) = (all, std::str::from_utf8(&encoded)) {
            let better = better.get_or_insert_with(|| String::with_capacity(text.len()));
            better.push_str(&text[kept..start]);
            better.push_str(decoded);
            kept = end;
        }
        at = end;
    }
    if let Some(better) = &mut better {
        better.push_str(&text[kept..]);
    }
    better
}

/// Where the next character beyond ASCII begins.
fn beyond_ascii(text: &str, from: usize) -> Option<usize> {
    let bytes = &text.as_bytes()[from..];
    // Eight bytes at a time: most of a text is ASCII.
    let plain = bytes
        .chunks_exact(8)
        .take_while(|chunk| chunk.is_ascii())
        .count()
        * 8;
    bytes[plain..]
        .iter()
        .position(|b| !b.is_ascii())
        .map(|more| from + plain + more)
}

fn from_cp1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => CP1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

/// The byte that cp1252 has for `c`; a C1 control character stands for its own byte.
fn to_cp1252(c: char) -> Option<u8> {
    match c {
        '\u{80}'..='\u{ff}' => Some(c as u8),
        _ => CP1252
            .iter()
            .position(|known| *known == c)
            .and_then(|place| u8::try_from(place + 0x80).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (String, String) {
        let (text, notes) = decode(bytes, |_| false);
        let notes: Vec<String> = notes.iter().map(Note::to_string).collect();
        (text.into_owned(), notes.join(", "))
    }

    /// What a program makes of `text` that takes UTF-8 for cp1252.
    fn damaged(text: &str) -> String {
        text.bytes().map(from_cp1252).collect()
    }

    #[test]
    fn damage_is_undone_up_to_three_times() {
        let (once, twice, thrice) = (
            damaged("🧬 naïve ✅"),
            damaged(&damaged("🧬 naïve ✅")),
            damaged(&damaged(&damaged("🧬 naïve ✅"))),
        );
        assert_eq!(
            read(once.as_bytes()),
            ("🧬 naïve ✅".into(), "mojibake x1".into())
        );
        assert_eq!(
            read(twice.as_bytes()),
            ("🧬 naïve ✅".into(), "mojibake x2".into())
        );
        assert_eq!(
            read(thrice.as_bytes()),
            ("🧬 naïve ✅".into(), "mojibake x3".into())
        );
        let (left, notes) = read(damaged(&thrice).as_bytes());
        assert_eq!((left, notes), (once, "mojibake x3".into()));
    }

    #[test]
    fn a_run_that_does_not_decode_stays() {
        for kept in ["café", "€", "“quoted”", "naïve – 漢字", "Ã", "Ã©漢"] {
            assert_eq!(read(kept.as_bytes()), (kept.into(), String::new()));
        }
        assert_eq!(
            read("Ã© café".as_bytes()),
            ("é café".into(), "mojibake x1".into())
        );
    }

    #[test]
    fn every_byte_beyond_ascii_has_its_character_and_back() {
        for byte in 0x80..=0xff {
            assert_eq!(to_cp1252(from_cp1252(byte)), Some(byte));
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_read_as_cp1252() {
        assert_eq!(read(b"caf\xe9 \x80"), ("café €".into(), "not-utf8".into()));
        assert_eq!(
            read(b"\xff \xc3\xa9\r\n"),
            ("ÿ é\n".into(), "not-utf8, mojibake x1, crlf".into())
        );
    }

    #[test]
    fn marks_and_line_ends_are_put_right() {
        assert_eq!(
            read(b"\xef\xbb\xbf\xef\xbb\xbfa\r\nb\rc"),
            ("a\nb\nc".into(), "bom, crlf".into())
        );
        assert_eq!(
            read("ï»¿a".as_bytes()),
            ("a".into(), "bom, mojibake x1".into())
        );
    }
}
