//! A line as tokens: quotes, `name=value`, separators, decoration (rules R0 and R1, the form of R7).
//!
//! ```text
//! line   = blank* (token blank*)*
//! token  = "("? (quoted | named | "+" (quoted | word) | separator | word) trail*
//! named  = (identifier | quoted) ("=" (quoted | word) | ":=" json)
//! quoted = '"' JSON string '"' | "'" … "'" | "`" … "`" | "“" … "”" | "‘" … "’"
//! trail  = "." | "," | "!" | "?" | ":" | ";" | ")" | "…"
//! ```

use std::borrow::Cow;
use std::ops::Range;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_until, take_while};
use nom::character::complete::{char, satisfy};
use nom::combinator::{map, recognize};
use nom::sequence::delimited;
use nom::{IResult, Parser};
use serde_json::value::RawValue;

use super::table::{Grammar, WordId};
use super::{Code, Fault};
use crate::action::json;

/// The longest line, in bytes.
pub const LINE: usize = 65_536;

/// A piece of a line that means something.
#[derive(Debug, Clone)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Where it stands in the line, in bytes, without what was trimmed off.
    pub(super) span: Range<usize>,
    /// Whether a comma follows.
    pub(super) comma: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Kind<'a> {
    /// An unquoted token, and what the table knows of it.
    Word(&'a str, WordId),
    /// A quoted token: always a value.
    Quoted(Cow<'a, str>),
    /// `+word`: a modifier, whatever it is.
    Plus(Cow<'a, str>),
    /// `name=value`.
    Named {
        name: Cow<'a, str>,
        quoted: bool,
        given: Given<'a>,
    },
    /// `;`, `&&`, `||`, `|`.
    Break,
}

/// The right side of `name=value`.
#[derive(Debug, Clone)]
pub(super) enum Given<'a> {
    Bare(&'a str),
    Quoted(Cow<'a, str>),
    Json(&'a str),
}

/// Characters that are removed wherever they stand: byte order mark, zero-width space, word joiner.
pub(super) fn is_removed(c: char) -> bool {
    matches!(c, '\u{feff}' | '\u{200b}' | '\u{2060}')
}

const TRAIL: [char; 8] = ['.', ',', '!', '?', ':', ';', ')', '…'];

/// Whether a line holds nothing but the visible characters of ASCII, blanks and tabs. It looks at all
/// of them, which is quicker than to stop at the first that is none.
pub(super) fn is_plain(line: &str) -> bool {
    let plain = |b: u8| (b' '..0x7f).contains(&b) | (b == b'\t');
    line.bytes().fold(true, |all, b| all & plain(b))
}

/// R0: refuses what no line may hold.
pub(super) fn check_characters(line: &str) -> Result<(), Fault> {
    if is_plain(line) {
        return Ok(());
    }
    match line
        .char_indices()
        .find(|(_, c)| c.is_control() && *c != '\t')
    {
        Some((at, c)) => Err(Fault::new(Code::BadCharacter, at..at + c.len_utf8())),
        None => Ok(()),
    }
}

/// R1: the tokens of a line.
pub(super) fn tokens<'a>(grammar: &Grammar, line: &'a str) -> Result<Vec<Token<'a>>, Fault> {
    let mut lexer = Lexer {
        grammar,
        line,
        tokens: Vec::with_capacity(16),
    };
    let mut at = 0;
    while let Some(start) = skip_blanks(line, at) {
        at = lexer.token(start)?;
    }
    Ok(lexer.tokens)
}

/// The place of the first character from `at` on that is no blank.
fn skip_blanks(line: &str, at: usize) -> Option<usize> {
    let rest = &line[at..];
    match rest.bytes().next() {
        None => None,
        Some(b) if b.is_ascii_graphic() => Some(at),
        Some(_) => Some(at + rest.find(|c: char| !c.is_whitespace())?),
    }
}

/// The text of a line that is one single quoted token, and where it begins.
pub(super) fn unwrapped(line: &str) -> Option<(Cow<'_, str>, usize)> {
    let trimmed = line.trim();
    if !opens_quote(trimmed) {
        return None;
    }
    let (rest, text) = quoted(trimmed).ok()?;
    let opener = trimmed.chars().next().map_or(0, char::len_utf8);
    let start = line.len() - line.trim_start().len() + opener;
    rest.is_empty().then_some((text, start))
}

struct Lexer<'a, 'g> {
    grammar: &'g Grammar,
    line: &'a str,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a, '_> {
    /// Reads the token at `start`; gives the place behind it.
    fn token(&mut self, start: usize) -> Result<usize, Fault> {
        let line = self.line;
        if let Some(end) = plain_run(line, start) {
            return Ok(self.plain_word(start, end));
        }
        let mut start = start;
        while line[start..].starts_with('(')
            && line[start..]
                .chars()
                .nth(1)
                .is_some_and(|c| !c.is_whitespace())
        {
            start += 1;
        }
        let rest = &line[start..];
        if let Some(plus) = rest.strip_prefix('+')
            && opens_quote(plus)
        {
            let (text, end) = self.quoted_at(start, start + 1)?;
            let end = self.trailed(start, end, Kind::Plus(text))?;
            return Ok(end);
        }
        if opens_quote(rest) {
            let (text, end) = self.quoted_at(start, start)?;
            let after = &line[end..];
            if after.starts_with('=') || after.starts_with(":=") {
                return self.named(start, text, true, end);
            }
            return self.trailed(start, end, Kind::Quoted(text));
        }
        // `name=` where the name is an identifier; `--name=` likewise.
        let bare = rest.strip_prefix("--").unwrap_or(rest);
        let at = start + rest.len() - bare.len();
        if let Ok((after, name)) = identifier(bare)
            && (after.starts_with('=') || after.starts_with(":="))
        {
            return self.named(start, Cow::Borrowed(name), false, at + name.len());
        }
        self.word(start)
    }

    /// What most tokens are: letters and digits without `=`; nothing else needs to be asked.
    fn plain_word(&mut self, start: usize, end: usize) -> usize {
        let raw = &self.line[start..end];
        let text = trimmed(raw);
        let trail = &raw[text.len()..];
        let word = Kind::Word(text, self.grammar.word(text));
        let comma = !trail.is_empty() && trail.contains(',');
        self.push(word, start..start + text.len(), comma);
        if !trail.is_empty() && trail.contains(';') {
            self.push(Kind::Break, end - 1..end, false);
        }
        end
    }

    /// A token that is no quoted text and no `name=value`.
    fn word(&mut self, start: usize) -> Result<usize, Fault> {
        let line = self.line;
        let end = run(line, start);
        let raw = &line[start..end];
        let text = trimmed(raw);
        let trail = &raw[text.len()..];
        let is_break = |text: &str| matches!(text, ";" | "&&" | "||" | "|");
        if is_break(raw) {
            self.push(Kind::Break, start..end, false);
            return Ok(end);
        }
        if raw == "=" || raw == ":=" {
            return self.lone_equals(start, end);
        }
        let shown = start..start + text.len();
        if raw == "&" {
            let id = self.grammar.word("&");
            self.push(Kind::Word(raw, id), start..end, false);
            return Ok(end);
        }
        if !has_letter_or_digit(text) {
            if trail.contains(',') || raw.contains(',') {
                self.comma();
            }
            if trail.contains(';') {
                self.push(Kind::Break, start..end, false);
            }
            return Ok(end);
        }
        if is_placeholder(text) {
            return Err(Fault::new(Code::Placeholder, shown));
        }
        if text.starts_with('=') {
            return Err(Fault::new(Code::BadParameter, shown));
        }
        let mut word = text;
        if let Some(modifier) = text.strip_prefix('+') {
            self.push(
                Kind::Plus(Cow::Borrowed(modifier)),
                shown,
                trail.contains(','),
            );
        } else {
            if let Some(rest) = word.strip_prefix("--") {
                word = rest;
            } else if self.tokens.is_empty() {
                word = word.strip_prefix(['/', '!']).unwrap_or(word);
            }
            let id = self.grammar.word(word);
            self.push(Kind::Word(word, id), shown, trail.contains(','));
        }
        if trail.contains(';') {
            self.push(Kind::Break, end - 1..end, false);
        }
        Ok(end)
    }

    /// `name = value`: takes the name back that was read as a word.
    fn lone_equals(&mut self, start: usize, end: usize) -> Result<usize, Fault> {
        let alone = Fault::new(Code::BadParameter, start..end);
        let Some(last) = self.tokens.pop() else {
            return Err(alone);
        };
        let (name, quoted) = match last.kind {
            Kind::Word(name, _) if is_identifier(name) && !last.comma => {
                (Cow::Borrowed(name), false)
            }
            Kind::Quoted(name) if !last.comma => (name, true),
            _ => return Err(alone),
        };
        self.value(last.span.start, name, quoted, start, end, true)
    }

    /// `name=value` whose name ends at `at`.
    fn named(
        &mut self,
        start: usize,
        name: Cow<'a, str>,
        quoted: bool,
        at: usize,
    ) -> Result<usize, Fault> {
        let sign = if self.line[at..].starts_with(":=") {
            2
        } else {
            1
        };
        self.value(start, name, quoted, at, at + sign, false)
    }

    /// The value behind the sign that stands at `sign..from`.
    fn value(
        &mut self,
        start: usize,
        name: Cow<'a, str>,
        quoted: bool,
        sign: usize,
        from: usize,
        blanks: bool,
    ) -> Result<usize, Fault> {
        let line = self.line;
        let json = line[sign..from].starts_with(':');
        let from = match blanks {
            true => skip_blanks(line, from).unwrap_or(line.len()),
            false => from,
        };
        let rest = &line[from..];
        if json {
            return self.json(start, name, quoted, from);
        }
        if opens_quote(rest) {
            let (text, end) = self.quoted_at(start, from)?;
            let given = Given::Quoted(text);
            return self.trailed(
                start,
                end,
                Kind::Named {
                    name,
                    quoted,
                    given,
                },
            );
        }
        let end = run(line, from);
        let raw = &line[from..end];
        let text = trimmed(raw);
        if text.is_empty() {
            let mut fault = Fault::new(Code::BadParameter, start..sign + 1);
            fault.replace(sign + 1..sign + 1, "\"\"");
            return Err(fault);
        }
        let given = Given::Bare(text);
        let trail = &raw[text.len()..];
        let span = start..from + text.len();
        self.push(
            Kind::Named {
                name,
                quoted,
                given,
            },
            span,
            trail.contains(','),
        );
        if trail.contains(';') {
            self.push(Kind::Break, end - 1..end, false);
        }
        Ok(end)
    }

    /// `name:=JSON`.
    fn json(
        &mut self,
        start: usize,
        name: Cow<'a, str>,
        quoted: bool,
        from: usize,
    ) -> Result<usize, Fault> {
        let rest = &self.line[from..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        match values.next() {
            Some(Ok(raw)) => {
                let end = from + values.byte_offset();
                let given = Given::Json(raw.get());
                let named = Kind::Named {
                    name,
                    quoted,
                    given,
                };
                let ended = self.trailed(start, end, named);
                ended.map_err(|fault| Fault {
                    code: Code::BadJson,
                    ..fault
                })
            }
            // An end too early takes the rest of the line with it.
            Some(Err(error)) if error.is_eof() => {
                let end = self.line.trim_end().len();
                Err(Fault::new(Code::BadJson, start..end))
            }
            _ => Err(Fault::new(Code::BadJson, start..run(self.line, from))),
        }
    }

    /// The quoted text that opens at `at`, as a part of the token at `start`.
    fn quoted_at(&self, start: usize, at: usize) -> Result<(Cow<'a, str>, usize), Fault> {
        let line = self.line;
        match quoted(&line[at..]) {
            Ok((rest, text)) => Ok((text, line.len() - rest.len())),
            Err(_) => {
                let close = match line[at..].chars().next() {
                    Some('“') => '”',
                    Some('‘') => '’',
                    Some(other) => other,
                    None => '"',
                };
                let end = line.trim_end().len();
                let mut fault = Fault::new(Code::BadQuote, start..end);
                fault.replace(end..end, &close.to_string());
                Err(fault)
            }
        }
    }

    /// Ends a quoted token: nothing but punctuation may stand behind it.
    fn trailed(&mut self, start: usize, end: usize, kind: Kind<'a>) -> Result<usize, Fault> {
        let stop = run(self.line, end);
        let trail = &self.line[end..stop];
        if !trimmed(trail).is_empty() {
            return Err(Fault::new(Code::BadQuote, start..stop));
        }
        self.push(kind, start..end, trail.contains(','));
        if trail.contains(';') {
            self.push(Kind::Break, stop - 1..stop, false);
        }
        Ok(stop)
    }

    fn push(&mut self, kind: Kind<'a>, span: Range<usize>, comma: bool) {
        self.tokens.push(Token { kind, span, comma });
    }

    fn comma(&mut self) {
        if let Some(last) = self.tokens.last_mut() {
            last.comma = true;
        }
    }
}

/// The end of a run in ASCII that begins with a letter or digit and holds no `=`.
fn plain_run(line: &str, start: usize) -> Option<usize> {
    let bytes = &line.as_bytes()[start..];
    if !bytes.first()?.is_ascii_alphanumeric() {
        return None;
    }
    let length = bytes
        .iter()
        .position(|b| !b.is_ascii_graphic() || *b == b'=')
        .unwrap_or(bytes.len());
    match bytes.get(length) {
        None | Some(b' ' | b'\t') => Some(start + length),
        Some(_) => None,
    }
}

/// The end of the run without blanks that begins at `start`.
fn run(line: &str, start: usize) -> usize {
    let rest = &line[start..];
    let bytes = rest.as_bytes();
    let plain = bytes
        .iter()
        .position(|b| !b.is_ascii_graphic())
        .unwrap_or(bytes.len());
    match bytes.get(plain) {
        Some(b) if !b.is_ascii() => {
            let more = rest[plain..].find(char::is_whitespace);
            more.map_or(line.len(), |more| start + plain + more)
        }
        _ => start + plain,
    }
}

/// Without the punctuation that ends words in sentences.
fn trimmed(raw: &str) -> &str {
    match raw.as_bytes().last() {
        Some(b) if b.is_ascii_alphanumeric() => raw,
        _ => raw.trim_end_matches(TRAIL),
    }
}

fn has_letter_or_digit(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric())
        || text.chars().any(char::is_alphanumeric)
}

/// `<x>`, `[x]`, `{x}`.
fn is_placeholder(text: &str) -> bool {
    [('<', '>'), ('[', ']'), ('{', '}')]
        .iter()
        .any(|(open, close)| text.starts_with(*open) && text.ends_with(*close))
}

fn opens_quote(text: &str) -> bool {
    text.starts_with(['"', '\'', '`', '“', '‘'])
}

fn quoted(input: &str) -> IResult<&str, Cow<'_, str>> {
    alt((
        json_string,
        map(
            delimited(char('\''), take_until("'"), char('\'')),
            Cow::Borrowed,
        ),
        map(
            delimited(char('`'), take_until("`"), char('`')),
            Cow::Borrowed,
        ),
        map(
            delimited(char('“'), take_until("”"), char('”')),
            Cow::Borrowed,
        ),
        map(
            delimited(char('‘'), take_until("’"), char('’')),
            Cow::Borrowed,
        ),
    ))
    .parse(input)
}

/// `"…"` with the escapes of JSON.
fn json_string(input: &str) -> IResult<&str, Cow<'_, str>> {
    let (_, _) = tag("\"").parse(input)?;
    let mut escaped = false;
    let end = input.bytes().skip(1).position(|b| {
        let closes = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    });
    let failed = || {
        nom::Err::Error(nom::error::Error::new(
            input,
            nom::error::ErrorKind::Escaped,
        ))
    };
    let end = end.ok_or_else(failed)? + 2;
    // A tab may stand in a line, and so in its texts; JSON would want it escaped.
    let text = match input[..end].contains('\t') {
        true => {
            json::text(&input[..end].replace('\t', "\\t")).map(|text| Cow::Owned(text.into_owned()))
        }
        false => json::text(&input[..end]),
    };
    Ok((&input[end..], text.map_err(|_| failed())?))
}

/// `[A-Za-z_][A-Za-z0-9_.-]*`, with an `@` in front where it belongs to the envelope.
fn identifier(input: &str) -> IResult<&str, &str> {
    recognize((
        nom::combinator::opt(char('@')),
        satisfy(|c| c.is_ascii_alphabetic() || c == '_'),
        take_while(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')),
    ))
    .parse(input)
}

/// Whether the whole text is a name that needs no quotes.
pub(super) fn is_identifier(text: &str) -> bool {
    identifier(text).is_ok_and(|(rest, _)| rest.is_empty())
}

/// Whether `text` can stand unquoted behind `name=` or `+` and comes back as it is.
pub(super) fn stands_bare(text: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !is_removed(c);
    !text.is_empty() && !opens_quote(text) && trimmed(text) == text && text.chars().all(plain)
}
