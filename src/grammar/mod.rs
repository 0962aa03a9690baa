//! Text as people and agents type it, to actions and back: `execute task 2.1 in beast mode`.
//!
//! **For**: reading one line as one command ([`Grammar::parse`]), saying what each word became
//! ([`Grammar::explain`]), checking what was read ([`Grammar::check`]), and writing an action as
//! text ([`Grammar::text`]). All of it comes from one table ([`Grammar`]), as do help, completion
//! and tool schemas.
//!
//! **Promises**: no word is silently lost: a line is understood whole, or refused with a code, the
//! word, its place, and at most one corrected line, which was itself parsed. Negations, conditions,
//! questions, "it" and second commands are refused, never guessed at. Values keep case and spelling.
//! `parse(text(a)) = a` for every verb, noun, list of modifiers and JSON parameters, and
//! `text(parse(t))` is a fixed point. Work grows with the length of the line, not faster.
//!
//! **Does not**: look at a clock, know who speaks, or judge whether an action may be carried out.
//!
//! | step | file | from → to |
//! |---|---|---|
//! | table | `table`, `shape` | TOML → words by number |
//! | tokens | `lex` | line → words, quoted texts, `name=value` (R0, R1) |
//! | reading | `read`, `value` | tokens → verb, noun, modifiers, parameters (R2 to R10) |
//! | mending | `mend` | a fault → a line that parses (S1, S2) |
//! | check | `check` | is it a valid command? (C0 to C3) |
//! | text | `text` | action → canonical line |
//! | neighbours | `neighbour`, `reference` | JSON-RPC, MCP, CloudEvents, A2A; lines of the original's logs |
//! | teaching | `teach` | help, completion, explanation, schemas, from the same table |

mod check;
mod lex;
mod mend;
mod neighbour;
mod read;
mod reference;
mod shape;
mod table;
mod teach;
#[cfg(test)]
mod tests;
mod text;
mod value;

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Range;

use crate::action::json::{Number, Object, Value, write_list, write_text};
use crate::action::time::Timestamp;
use crate::action::{Fill, ReadError, StructuredAction};
pub use check::Check;
pub use lex::LINE;
pub use neighbour::Neighbour;
pub use table::{Addition, Grammar, LIMIT, Risk};
pub use teach::{Entry, Step};
pub use text::write_envelope;

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub struct Command<'a> {
    /// The verb's canonical name.
    pub verb: &'a str,
    /// The noun's canonical name.
    pub noun: &'a str,
    /// The modifiers, in order of appearance.
    pub modifiers: Vec<Cow<'a, str>>,
    /// The parameters, in order of appearance.
    pub parameters: Vec<(Cow<'a, str>, Argument<'a>)>,
    /// Who says it, from `@from=`.
    pub from: Option<Cow<'a, str>>,
    /// What the result will carry again, from `@id=`.
    pub id: Option<Cow<'a, str>>,
    /// When it was said, from `@at=`.
    pub at: Option<Timestamp>,
    /// The unquoted words that were taken into a slot, and whether it is that of the noun's name,
    /// for [`Grammar::check`].
    taken: Vec<(Cow<'a, str>, bool)>,
}

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// An integer.
    Int(i64),
    /// Any other number.
    Number(Number),
    /// `true`, `false`
    Bool(bool),
    /// The values of a list slot.
    List(Vec<Cow<'a, str>>),
    /// Raw JSON, from `name:=`.
    Json(Value),
}

impl Argument<'_> {
    /// As JSON.
    pub fn to_value(&self) -> Value {
        match self {
            Argument::Text(text) => Value::from(text.as_ref()),
            Argument::Int(number) => Value::from(*number),
            Argument::Number(number) => Value::Number(number.clone()),
            Argument::Bool(yes) => Value::Bool(*yes),
            Argument::List(texts) => Value::Array(
                texts
                    .iter()
                    .map(|text| Value::from(text.as_ref()))
                    .collect(),
            ),
            Argument::Json(value) => value.clone(),
        }
    }

    /// Appends it as JSON.
    fn write(&self, out: &mut String) {
        match self {
            Argument::Text(text) => write_text(text, out),
            Argument::Int(number) => {
                write!(out, "{number}").expect("a String takes all");
            }
            Argument::Number(number) => out.push_str(number.as_str()),
            Argument::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
            Argument::List(texts) => write_list(texts, out, |text, out| write_text(text, out)),
            Argument::Json(value) => value.write(out),
        }
    }

    fn into_owned<'b>(self) -> Argument<'b> {
        match self {
            Argument::Text(text) => Argument::Text(owned(text)),
            Argument::Int(number) => Argument::Int(number),
            Argument::Number(number) => Argument::Number(number),
            Argument::Bool(yes) => Argument::Bool(yes),
            Argument::List(texts) => Argument::List(texts.into_iter().map(owned).collect()),
            Argument::Json(value) => Argument::Json(value),
        }
    }
}

fn owned<'b>(text: Cow<'_, str>) -> Cow<'b, str> {
    Cow::Owned(text.into_owned())
}

impl Command<'_> {
    /// Appends the action as on the wire, as [`Command::into_action`] would make it; time, source and
    /// id are what stands for those that the line does not say.
    pub fn write_json(&self, timestamp: &str, source: &str, id: &str, out: &mut String) {
        out.push_str("{\"verb\":");
        write_text(self.verb, out);
        out.push_str(",\"noun\":");
        write_text(self.noun, out);
        out.push_str(",\"modifiers\":");
        write_list(&self.modifiers, out, |modifier, out| {
            write_text(modifier, out)
        });
        out.push_str(",\"parameters\":{");
        for (place, (name, argument)) in self.parameters.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            write_text(name, out);
            out.push(':');
            argument.write(out);
        }
        out.push_str("},\"timestamp\":\"");
        match &self.at {
            Some(at) => at.write(out),
            None => out.push_str(timestamp),
        }
        out.push_str("\",\"source_instance\":");
        write_text(self.from.as_deref().unwrap_or(source), out);
        out.push_str(",\"correlation_id\":");
        write_text(self.id.as_deref().unwrap_or(id), out);
        out.push('}');
    }

    /// The action that the line asks for. Who says it when the line does not, comes from `source`;
    /// time and id come from `fill`.
    ///
    /// # Errors
    /// When the line says no time or id, and `fill` has none.
    pub fn into_action(
        self,
        source: &str,
        fill: &mut dyn Fill,
    ) -> Result<StructuredAction, ReadError> {
        let missing = |name: &str| ReadError::new("is missing").within(name);
        let parameters = self.parameters.into_iter();
        Ok(StructuredAction {
            verb: self.verb.to_owned(),
            noun: self.noun.to_owned(),
            modifiers: self.modifiers.into_iter().map(Cow::into_owned).collect(),
            parameters: parameters
                .map(|(name, argument)| (name.into_owned(), argument.to_value()))
                .collect(),
            timestamp: match self.at {
                Some(at) => at,
                None => fill.now().ok_or_else(|| missing("timestamp"))?,
            },
            source_instance: self.from.map_or_else(|| source.to_owned(), Cow::into_owned),
            correlation_id: match self.id {
                Some(id) => id.into_owned(),
                None => fill.uuid().ok_or_else(|| missing("correlation_id"))?,
            },
            extra: Object::new(),
        })
    }
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Its name for programs.
    pub code: Code,
    /// The text that offends.
    pub at: String,
    /// Where it begins, in characters of the visible line, counted from 1.
    pub column: usize,
    /// Where it stands in the line as it came, in bytes.
    pub span: Range<usize>,
    /// What is wrong, in words.
    pub message: String,
    /// A line (or, for several commands, lines) that can be typed instead; it was parsed.
    pub suggestion: Option<String>,
    /// The word that was meant, where the suggestion only puts one word for another.
    pub meant: Option<String>,
}

impl ParseError {
    /// A line that is JSON and does not do, as an error like those of text.
    pub fn json(line: &str, error: &ReadError) -> ParseError {
        let code = match error.path.first().map(String::as_str) {
            Some("verb" | "method") => Code::UnknownVerb,
            Some("noun") => Code::UnknownNoun,
            _ => Code::BadJson,
        };
        ParseError {
            code,
            at: line.trim().to_owned(),
            column: line.chars().take_while(|c| c.is_whitespace()).count() + 1,
            span: line.len() - line.trim_start().len()..line.trim_end().len(),
            message: error.to_string(),
            suggestion: None,
            meant: None,
        }
    }

    /// Appends it as one JSON object; `line` is the number of the line.
    pub fn write_json(&self, line: u64, out: &mut String) {
        out.push_str("{\"ok\":false,\"code\":\"");
        out.push_str(self.code.as_str());
        out.push_str("\",\"at\":");
        write_text(&self.at, out);
        out.push_str(&format!(",\"column\":{},\"message\":", self.column));
        write_text(&self.message, out);
        out.push_str(",\"suggestion\":");
        match &self.suggestion {
            Some(line) => write_text(line, out),
            None => out.push_str("null"),
        }
        let (start, end) = (self.span.start, self.span.end);
        out.push_str(&format!(",\"line\":{line},\"span\":[{start},{end}]}}"));
    }

    /// The same as a value.
    fn to_value(&self, line: u64) -> Value {
        let mut text = String::new();
        self.write_json(line, &mut text);
        Value::parse(&text).unwrap_or(Value::Null)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Why a grammar file does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrammarError {
    /// The line of the file, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub why: String,
}

impl GrammarError {
    fn new(why: impl Into<String>) -> GrammarError {
        GrammarError {
            line: None,
            why: why.into(),
        }
    }
}

impl fmt::Display for GrammarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl std::error::Error for GrammarError {}

macro_rules! codes {
    ($( $(#[$doc:meta])* $code:ident = $name:literal, )*) => {
        /// The ways in which a line is no command; the names are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $( $(#[$doc])* $code, )* }

        impl Code {
            /// The name for programs.
            pub fn as_str(self) -> &'static str {
                match self { $( Code::$code => $name, )* }
            }
        }
    };
}

codes! {
    /// More than [`LINE`] bytes.
    TooLong = "too-long",
    /// A control character.
    BadCharacter = "bad-character",
    /// Nothing to read.
    EmptyCommand = "empty-command",
    /// A quote that is not closed, or glued to more text.
    BadQuote = "bad-quote",
    /// A template that was not filled in.
    Placeholder = "placeholder",
    /// A parameter without name or value.
    BadParameter = "bad-parameter",
    /// A value that does not fit its parameter.
    BadValue = "bad-value",
    /// What follows `:=` is no JSON.
    BadJson = "bad-json",
    /// One name with two values.
    DuplicateParameter = "duplicate-parameter",
    /// An `@name=` that is none of the envelope.
    UnknownEnvelope = "unknown-envelope",
    /// A word that stands where the verb belongs.
    UnknownVerb = "unknown-verb",
    /// No verb at all.
    MissingVerb = "missing-verb",
    /// `don't`, `except`: never act on it.
    Negation = "negation",
    /// `if`, `when`: never act on it.
    Condition = "condition",
    /// `should …`, `why …`: never act on it.
    Question = "question",
    /// `it`, `that`: nobody knows what is meant.
    UnresolvedReference = "unresolved-reference",
    /// A second command on the line.
    MultipleCommands = "multiple-commands",
    /// A word that looks like a noun and is none.
    UnknownNoun = "unknown-noun",
    /// Several nouns would do.
    AmbiguousNoun = "ambiguous-noun",
    /// The verb needs a noun.
    MissingNoun = "missing-noun",
    /// Two modifiers that exclude each other.
    ConflictingModifiers = "conflicting-modifiers",
    /// A word for which there is no place.
    UnexpectedWord = "unexpected-word",
    /// A word that needs a value behind it.
    MissingValue = "missing-value",
}

/// An error inside the room: where, and what might mend it. Words are made of it at the end.
#[derive(Debug, Clone)]
struct Fault {
    code: Code,
    span: Range<usize>,
    /// What the message mentions: the parameter, the choices.
    about: Vec<String>,
    /// Changes of the line that might mend it, the best first.
    fixes: Vec<Fix>,
}

/// A change of the line.
#[derive(Debug, Clone)]
enum Fix {
    /// Put this text in that place; the flag says that one word stands for another.
    Replace(Range<usize>, String, bool),
    /// Forget the line and type this.
    Line(String),
    /// Two lines: up to here, and from there on.
    Split(usize, usize),
}

impl Fault {
    fn new(code: Code, span: Range<usize>) -> Fault {
        Fault {
            code,
            span,
            about: Vec::new(),
            fixes: Vec::new(),
        }
    }

    fn about(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Fault {
        self.about.extend(names.into_iter().map(Into::into));
        self
    }

    fn replace(&mut self, place: Range<usize>, text: &str) {
        self.fixes.push(Fix::Replace(place, text.to_owned(), false));
    }

    fn fix(mut self, fix: Option<Fix>) -> Fault {
        self.fixes.extend(fix);
        self
    }
}

impl Grammar {
    /// Reads one line as one command.
    ///
    /// ```
    /// let grammar = sporekit::grammar::Grammar::builtin();
    /// let command = grammar.parse("execute task 2.1 in beast mode").unwrap();
    /// assert_eq!((command.verb, command.noun), ("run", "task"));
    /// assert_eq!(command.modifiers, ["beast-mode"]);
    /// let error = grammar.parse("stop instance kiro-3 gracefull").unwrap_err();
    /// assert_eq!(error.suggestion.as_deref(), Some("stop instance kiro-3 graceful"));
    /// ```
    ///
    /// # Errors
    /// Says which word is wrong, where it stands, and what could be typed instead.
    pub fn parse<'a>(&'a self, line: &'a str) -> Result<Command<'a>, Box<ParseError>> {
        self.parse_tier(line, false)
    }

    /// The same; `core` refuses the verbs and nouns that the original does not know.
    ///
    /// # Errors
    /// As [`Grammar::parse`].
    pub fn parse_tier<'a>(
        &'a self,
        line: &'a str,
        core: bool,
    ) -> Result<Command<'a>, Box<ParseError>> {
        let options = read::Options { core, mend: true };
        read::command(self, line, options)
            .map_err(|(fault, line)| mend::error(self, fault, &line, core))
    }
}
