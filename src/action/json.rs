//! JSON that loses nothing: numbers of any size, members in order, no name twice.
//!
//! serde_json reads and writes the text; its own `Value` is not used because the last of two equal
//! names wins there silently and because a large number becomes a float.

use std::borrow::Cow;
use std::fmt::{self, Write};

use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How deep arrays and objects may stand in each other, as in the reference, the outermost
/// counted; an empty one may stand one deeper.
pub const DEPTH: usize = 200;

/// How many digits an integer may have, as in the reference (Python's own limit).
pub const DIGITS: usize = 4300;

/// Any JSON value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, exact.
    Number(Number),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// Named members in order.
    Object(Object),
}

/// A number as its exact decimal text, in the spelling of the wire.
///
/// Integers keep every digit. Other numbers have the shortest spelling that gives the same 64-bit
/// float, when that is the same number; otherwise the digits they came with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(String);

impl Number {
    /// A number from JSON text; `None` when it is none, or too large for a 64-bit float.
    pub fn parse(text: &str) -> Option<Number> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            if digits.len() > 1 && digits.starts_with('0') || digits.len() > DIGITS {
                return None;
            }
            return Some(Number(if digits == "0" {
                "0".into()
            } else {
                text.into()
            }));
        }
        serde_json::from_str::<serde_json::Number>(text).ok()?;
        let float: f64 = text.parse().ok().filter(|float: &f64| float.is_finite())?;
        let short = float_text(float);
        let same = Decimal::of(&short) == Decimal::of(text);
        Some(Number(if same { short } else { text.to_owned() }))
    }

    /// As a 64-bit integer, where it is one.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// As an unsigned 64-bit integer, where it is one.
    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// As the nearest 64-bit float; infinite for an integer beyond its range.
    pub fn as_f64(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// Whether it is written without fraction and exponent.
    pub fn is_integer(&self) -> bool {
        !self.0.contains(['.', 'e', 'E'])
    }

    /// The exact text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Number {
        Number(number.to_string())
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Number {
        Number(number.to_string())
    }
}

impl TryFrom<f64> for Number {
    type Error = f64;

    /// Gives an infinite or undefined number back.
    fn try_from(number: f64) -> Result<Number, f64> {
        if number.is_finite() {
            Ok(Number(float_text(number)))
        } else {
            Err(number)
        }
    }
}

/// A finite float as the wire spells it: shortest form, `.0` or an exponent always, `1e+20`.
pub fn float_text(float: f64) -> String {
    let text =
        serde_json::Number::from_f64(float).map_or_else(|| "null".to_owned(), |n| n.to_string());
    match text.split_once('e') {
        Some((mantissa, exponent)) if !exponent.starts_with(['-', '+']) => {
            format!("{mantissa}e+{exponent}")
        }
        _ => text,
    }
}

/// A decimal number taken apart, for telling whether two spellings are the same number.
#[derive(PartialEq)]
struct Decimal<'a> {
    negative: bool,
    digits: Cow<'a, str>,
    exponent: i64,
}

impl Decimal<'_> {
    fn of(text: &str) -> Option<Decimal<'static>> {
        let negative = text.starts_with('-');
        let (mantissa, exponent) = match text.trim_start_matches('-').split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa.to_owned(), exponent.parse::<i64>().ok()?),
            None => (text.trim_start_matches('-').to_owned(), 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
        let all = format!("{whole}{part}");
        let significant = all.trim_start_matches('0').trim_end_matches('0').to_owned();
        let trailing = all.len() - all.trim_end_matches('0').len();
        let exponent = exponent
            .checked_sub(part.len() as i64)?
            .checked_add(trailing as i64)?;
        let exponent = if significant.is_empty() { 0 } else { exponent };
        Some(Decimal {
            negative,
            digits: Cow::Owned(significant),
            exponent,
        })
    }
}

/// Named values in the order in which they came, each name once.
#[derive(Debug, Clone, Default)]
pub struct Object {
    members: Vec<(String, Value)>,
}

/// Objects are equal when they have the same members, in whatever order.
impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Object {
    /// An object without members.
    pub fn new() -> Object {
        Object::default()
    }

    /// The value under `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members
            .iter()
            .find(|(there, _)| there == name)
            .map(|(_, value)| value)
    }

    /// Sets `name`, at its place if it is there, else at the end; gives back what stood there.
    pub fn insert(&mut self, name: impl Into<String>, value: Value) -> Option<Value> {
        let name = name.into();
        match self.members.iter_mut().find(|(there, _)| *there == name) {
            Some((_, there)) => Some(std::mem::replace(there, value)),
            None => {
                self.members.push((name, value));
                None
            }
        }
    }

    /// Takes `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let place = self.members.iter().position(|(there, _)| there == name)?;
        Some(self.members.remove(place).1)
    }

    /// Whether `name` is there.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The members in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.members
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a member whose name is known to be new.
    fn push(&mut self, name: String, value: Value) {
        self.members.push((name, value));
    }
}

impl FromIterator<(String, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Object {
        let mut object = Object::new();
        for (name, value) in members {
            object.insert(name, value);
        }
        object
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Bool(yes)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(number.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Value {
        Value::Array(values)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        Value::Object(object)
    }
}

impl Value {
    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Reads one JSON value and nothing after it.
    pub fn parse(text: &str) -> Result<Value, ReadError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|e| ReadError::syntax(&e))?;
        Value::read(raw.get(), 0)
    }

    /// Reads the text of one value that serde_json has found well formed; `depth` containers are open.
    pub(crate) fn read(raw: &str, depth: usize) -> Result<Value, ReadError> {
        match raw.as_bytes().first() {
            Some(b'{' | b'[') if depth > DEPTH || depth == DEPTH && !is_empty(raw) => {
                Err(ReadError::new(format!(
                    "more than {DEPTH} arrays and objects in each other"
                )))
            }
            Some(b'{') => {
                let mut object = Object::new();
                for (name, member) in members(raw)? {
                    let value =
                        Value::read(member.get(), depth + 1).map_err(|e| e.within(&name))?;
                    object.push(name.into_owned(), value);
                }
                Ok(Value::Object(object))
            }
            Some(b'[') => items(raw)?
                .iter()
                .enumerate()
                .map(|(place, item)| {
                    Value::read(item.get(), depth + 1).map_err(|e| e.within(&place.to_string()))
                })
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Some(b'"') => text(raw).map(|text| Value::String(text.into_owned())),
            Some(b't') => Ok(Value::Bool(true)),
            Some(b'f') => Ok(Value::Bool(false)),
            Some(b'n') => Ok(Value::Null),
            _ => match Number::parse(raw) {
                Some(number) => Ok(Value::Number(number)),
                None => Err(ReadError::new(format!(
                    "{raw:.40} is no finite number of at most {DIGITS} digits"
                ))),
            },
        }
    }

    /// Appends the wire form.
    pub fn write(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(true) => out.push_str("true"),
            Value::Bool(false) => out.push_str("false"),
            Value::Number(number) => out.push_str(number.as_str()),
            Value::String(text) => write_text(text, out),
            Value::Array(items) => write_list(items, out, Value::write),
            Value::Object(object) => object.write(out),
        }
    }
}

impl Object {
    /// Appends the wire form.
    pub fn write(&self, out: &mut String) {
        out.push('{');
        for (place, (name, value)) in self.members.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            write_text(name, out);
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

/// Whether the container whose text is given holds nothing.
fn is_empty(raw: &str) -> bool {
    raw[1..raw.len() - 1].trim().is_empty()
}

/// Appends a list of anything that can be written.
pub(crate) fn write_list<T>(items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push('[');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

/// Appends a text in quotes: only `"`, `\` and U+0000 to U+001F are escaped.
pub fn write_text(text: &str, out: &mut String) {
    let is_escaped = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    out.reserve(text.len() + 2);
    out.push('"');
    // To look at all bytes is quicker than to stop at the first that is escaped: there rarely is one.
    if !text.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut clean = 0;
    for (place, byte) in text.bytes().enumerate() {
        if !is_escaped(byte) {
            continue;
        }
        out.push_str(&text[clean..place]);
        clean = place + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            _ => write!(out, "\\u{byte:04x}").expect("a String takes all"),
        }
    }
    out.push_str(&text[clean..]);
    out.push('"');
}

/// What is wrong with a JSON text, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The names that lead to the place, outermost first: `parameters`, `timeout`.
    pub path: Vec<String>,
    /// What is wrong there.
    pub why: String,
}

impl ReadError {
    pub(crate) fn new(why: impl Into<String>) -> ReadError {
        ReadError {
            path: Vec::new(),
            why: why.into(),
        }
    }

    /// The same, one name further in.
    pub(crate) fn within(mut self, name: &str) -> ReadError {
        self.path.insert(0, name.to_owned());
        self
    }

    fn syntax(error: &serde_json::Error) -> ReadError {
        let text = error.to_string();
        // Our own words have come through serde_json, which adds the place.
        let why = text.split(" at line ").next().unwrap_or(&text);
        if why.starts_with(TWICE) {
            return ReadError::new(why);
        }
        let column = error.column();
        ReadError::new(if error.is_eof() {
            format!("not JSON: it ends too early ({why})")
        } else {
            format!("not JSON at column {column}: {why}")
        })
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.why);
        }
        write!(f, "{}: {}", self.path.join("."), self.why)
    }
}

impl std::error::Error for ReadError {}

const TWICE: &str = "the name ";

/// The members of an object in order, their values still as text.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// The members of an object whose text is given; a name that stands twice is refused.
pub(crate) fn members(raw: &str) -> Result<Members<'_>, ReadError> {
    struct Visit;
    impl<'de> Visitor<'de> for Visit {
        type Value = Members<'de>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found: Self::Value = Vec::with_capacity(8);
            let mut seen = std::collections::HashSet::new();
            while let Some(Text(name)) = map.next_key()? {
                // A few names are compared with each other; many are looked up.
                let twice = if found.len() < 16 {
                    found.iter().any(|(there, _)| *there == name)
                } else {
                    if seen.is_empty() {
                        seen.extend(found.iter().map(|(there, _)| there.clone()));
                    }
                    seen.contains(&name)
                };
                if twice {
                    return Err(A::Error::custom(format!(
                        "{TWICE}{name:?} stands there twice"
                    )));
                }
                if !seen.is_empty() {
                    seen.insert(name.clone());
                }
                found.push((name, map.next_value()?));
            }
            Ok(found)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(raw);
    let found = reader
        .deserialize_map(Visit)
        .map_err(|e| ReadError::syntax(&e))?;
    reader.end().map_err(|e| ReadError::syntax(&e))?;
    Ok(found)
}

/// The items of an array whose text is given.
pub(crate) fn items(raw: &str) -> Result<Vec<&RawValue>, ReadError> {
    struct Items;
    impl<'de> Visitor<'de> for Items {
        type Value = Vec<&'de RawValue>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut found = Vec::new();
            while let Some(item) = seq.next_element()? {
                found.push(item);
            }
            Ok(found)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(raw);
    reader
        .deserialize_seq(Items)
        .map_err(|e| ReadError::syntax(&e))
}

/// The text of a string whose JSON is given.
pub(crate) fn text(raw: &str) -> Result<Cow<'_, str>, ReadError> {
    if raw.len() >= 2 && raw.starts_with('"') && !raw.contains('\\') {
        return Ok(Cow::Borrowed(&raw[1..raw.len() - 1]));
    }
    serde_json::from_str::<Text>(raw)
        .map(|text| text.0)
        .map_err(|e| ReadError::syntax(&e))
}

/// A text that is borrowed from the input where it holds no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        Value::parse(text).unwrap().to_string()
    }

    #[test]
    fn numbers_keep_every_digit() {
        for same in [
            "1000000000000000000000000000000",
            "-1",
            "0",
            "0.1",
            "1.0",
            "-0.0",
            "1e-7",
            "1e+20",
            "0.30000000000000004",
        ] {
            assert_eq!(round(same), same);
        }
        assert_eq!(round("1E2"), "100.0");
        assert_eq!(round("1e20"), "1e+20");
        assert_eq!(round("1.50"), "1.5");
        assert_eq!(
            round("0.1000000000000000000000001"),
            "0.1000000000000000000000001"
        );
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for bad in [
            "NaN",
            "Infinity",
            "1e400",
            "[1,]",
            "{\"a\":1,}",
            "1 2",
            "\u{feff}1",
            "\"\\ud800\"",
            "\"\n\"",
            "01",
            "",
        ] {
            assert!(Value::parse(bad).is_err(), "{bad:?} was read");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_wherever_it_stands() {
        let error = Value::parse(r#"{"a":{"b":[{"c":1,"c":2}]}}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.b.0: the name \"c\" stands there twice"
        );
        let many: String = (0..40).map(|n| format!("\"k{n}\":{n},")).collect();
        assert!(Value::parse(&format!("{{{many}\"k20\":0}}")).is_err());
        assert!(Value::parse(&format!("{{{many}\"k40\":0}}")).is_ok());
    }

    #[test]
    fn arrays_nest_as_deep_as_in_the_reference_and_no_deeper() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Value::parse(&nested(DEPTH + 1)).is_ok());
        assert!(Value::parse(&nested(DEPTH + 2)).is_err());
        assert!(Value::parse(&nested(100_000)).is_err());
    }
}
