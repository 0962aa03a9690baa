//! How members are read (as the original does in lax mode) and written, and the macro that makes a
//! model from the list of its members.

use std::fmt::Write;

use super::json::{self, Object, ReadError, Value, float_text, write_list, write_text};
use super::time::{TimeDelta, Timestamp};

/// Where the values come from that the original makes at run time when a line leaves them out.
pub trait Fill {
    /// The time now.
    fn now(&mut self) -> Option<Timestamp>;
    /// A random id (uuid4, lower case with dashes).
    fn uuid(&mut self) -> Option<String>;
}

/// Fills nothing in: a line that leaves out a time or an id is refused.
pub struct NoFill;

impl Fill for NoFill {
    fn now(&mut self) -> Option<Timestamp> {
        None
    }
    fn uuid(&mut self) -> Option<String> {
        None
    }
}

/// A model that is read from and written to one line of JSON.
pub trait Wire: Sized {
    /// Reads one object and nothing after it; `fill` gives what the line leaves out.
    fn read(text: &str, fill: &mut dyn Fill) -> Result<Self, ReadError>;

    /// Appends the wire form: members in order, defaults included, unknown members last.
    fn write_json(&self, out: &mut String);

    /// Reads a line that leaves out nothing that the original makes at run time.
    fn from_json(text: &str) -> Result<Self, ReadError> {
        Self::read(text, &mut NoFill)
    }

    /// The wire form.
    fn to_json(&self) -> String {
        let mut out = String::with_capacity(256);
        self.write_json(&mut out);
        out
    }
}

/// A member's type: how its JSON is read and written.
pub(crate) trait Field: Sized {
    fn read(raw: &str, fill: &mut dyn Fill) -> Result<Self, ReadError>;
    fn write(&self, out: &mut String);
}

fn wanted<T>(what: &str, raw: &str) -> Result<T, ReadError> {
    let kind = match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    };
    Err(ReadError::new(format!("{what} belongs here, not {kind}")))
}

impl Field for String {
    fn read(raw: &str, _: &mut dyn Fill) -> Result<Self, ReadError> {
        if !raw.starts_with('"') {
            return wanted("a text", raw);
        }
        json::text(raw).map(|text| text.into_owned())
    }
    fn write(&self, out: &mut String) {
        write_text(self, out);
    }
}

impl Field for bool {
    fn read(raw: &str, _: &mut dyn Fill) -> Result<Self, ReadError> {
        let read = match raw.as_bytes().first() {
            Some(b'"') => match json::text(raw)?.to_ascii_lowercase().as_str() {
                "true" | "yes" | "y" | "on" | "t" | "1" => Some(true),
                "false" | "no" | "n" | "off" | "f" | "0" => Some(false),
                _ => None,
            },
            Some(b't') => Some(true),
            Some(b'f') => Some(false),
            _ => match raw.parse::<f64>() {
                Ok(1.0) => Some(true),
                Ok(0.0) => Some(false),
                _ => None,
            },
        };
        read.map_or_else(|| wanted("true or false", raw), Ok)
    }
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

/// The digits of a number in a text without the `_` between them; `None` where one stands elsewhere.
fn joined(digits: &str) -> Option<String> {
    let misplaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    (!misplaced).then(|| digits.replace('_', ""))
}

/// A whole number in a text: a sign, digits, and zeros after a point if there is one.
fn whole_in_text(text: &str) -> Option<i64> {
    let (whole, zeros) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let none_lost = !zeros.is_empty() && zeros.bytes().all(|b| b == b'0');
    joined(whole)?.parse().ok().filter(|_| none_lost)
}

impl Field for i64 {
    fn read(raw: &str, _: &mut dyn Fill) -> Result<Self, ReadError> {
        // Beyond the largest integer: 2^63 itself is a float.
        const END: f64 = 9_223_372_036_854_775_808.0;
        let read = match raw.as_bytes().first() {
            Some(b'"') => whole_in_text(&json::text(raw)?),
            Some(b't') => Some(1),
            Some(b'f') => Some(0),
            Some(b'-' | b'0'..=b'9') => match (raw.parse::<i64>(), raw.parse::<f64>()) {
                (Ok(whole), _) => Some(whole),
                (_, Ok(float)) if raw.contains(['.', 'e', 'E']) => {
                    (float.fract() == 0.0 && (-END..END).contains(&float)).then_some(float as i64)
                }
                _ => None,
            },
            _ => return wanted("a whole number", raw),
        };
        read.ok_or_else(|| {
            ReadError::new(format!(
                "a whole number (of at most 64 bits) belongs here, not {raw:.40}"
            ))
        })
    }
    fn write(&self, out: &mut String) {
        out.push_str(&self.to_string());
    }
}

impl Field for f64 {
    fn read(raw: &str, _: &mut dyn Fill) -> Result<Self, ReadError> {
        let read = match raw.as_bytes().first() {
            Some(b'"') => joined(json::text(raw)?.trim()).and_then(|text| text.parse().ok()),
            Some(b't') => Some(1.0),
            Some(b'f') => Some(0.0),
            _ if raw == "-0" => Some(0.0),
            Some(b'-' | b'0'..=b'9') => raw.parse().ok(),
            _ => return wanted("a number", raw),
        };
        match read {
            Some(float) if f64::is_finite(float) => Ok(float),
            Some(_) => Err(ReadError::new(format!("{raw:.40} is no finite number"))),
            None => Err(ReadError::new(format!(
                "a number belongs here, not {raw:.40}"
            ))),
        }
    }
    fn write(&self, out: &mut String) {
        out.push_str(&float_text(*self));
    }
}

impl Field for Timestamp {
    fn read(raw: &str, _: &mut dyn Fill) -> Result<Self, ReadError> {
        let read = match raw.as_bytes().first() {
            Some(b'"') => json::text(raw)?.parse(),
            Some(b'-' | b'0'..=b'9') => Timestamp::from_number(raw),
            _ => return wanted("a time", raw),
        };
        read.map_err(|e| ReadError::new(e.to_string()))
    }
    fn write(&self, out: &mut String) {
        out.push('"');
        Timestamp::write(self, out);
        out.push('"');
    }
}

impl Field for TimeDelta {
    fn read(raw: &str, _: &mut dyn Fill) -> Result<Self, ReadError> {
        let read = match raw.as_bytes().first() {
            Some(b'"') => json::text(raw)?.parse(),
            Some(b'-' | b'0'..=b'9') => TimeDelta::from_number(raw),
            _ => return wanted("a length of time", raw),
        };
        read.map_err(|e| ReadError::new(e.to_string()))
    }
    fn write(&self, out: &mut String) {
        write!(out, "\"{self}\"").expect("a String takes all");
    }
}

impl Field for Value {
    fn read(raw: &str, _: &mut dyn Fill) -> Result<Self, ReadError> {
        Value::read(raw, 1)
    }
    fn write(&self, out: &mut String) {
        Value::write(self, out);
    }
}

impl Field for Object {
    fn read(raw: &str, _: &mut dyn Fill) -> Result<Self, ReadError> {
        match Value::read(raw, 0)? {
            Value::Object(object) => Ok(object),
            _ => wanted("an object", raw),
        }
    }
    fn write(&self, out: &mut String) {
        Object::write(self, out);
    }
}

impl<T: Field> Field for Option<T> {
    fn read(raw: &str, fill: &mut dyn Fill) -> Result<Self, ReadError> {
        if raw == "null" {
            Ok(None)
        } else {
            T::read(raw, fill).map(Some)
        }
    }
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }
}

impl<T: Field> Field for Vec<T> {
    fn read(raw: &str, fill: &mut dyn Fill) -> Result<Self, ReadError> {
        if !raw.starts_with('[') {
            return wanted("a list", raw);
        }
        let items = json::items(raw)?;
        let read = |(place, item): (usize, &&serde_json::value::RawValue)| {
            T::read(item.get(), fill).map_err(|e| e.within(&place.to_string()))
        };
        items.iter().enumerate().map(read).collect()
    }
    fn write(&self, out: &mut String) {
        write_list(self, out, T::write);
    }
}

/// Named values of one type, in the order in which they came.
#[derive(Debug, Clone, PartialEq)]
pub struct Dict<T>(pub Vec<(String, T)>);

impl<T> Default for Dict<T> {
    fn default() -> Self {
        Dict(Vec::new())
    }
}

impl<T> Dict<T> {
    /// The value under `name`.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0
            .iter()
            .find(|(there, _)| there == name)
            .map(|(_, value)| value)
    }
}

impl<T> FromIterator<(String, T)> for Dict<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(members: I) -> Self {
        Dict(members.into_iter().collect())
    }
}

impl<T: Field> Field for Dict<T> {
    fn read(raw: &str, fill: &mut dyn Fill) -> Result<Self, ReadError> {
        if !raw.starts_with('{') {
            return wanted("an object", raw);
        }
        let mut found = Vec::new();
        for (name, member) in json::members(raw)? {
            let value = T::read(member.get(), fill).map_err(|e| e.within(&name))?;
            found.push((name.into_owned(), value));
        }
        Ok(Dict(found))
    }
    fn write(&self, out: &mut String) {
        out.push('{');
        for (place, (name, value)) in self.0.iter().enumerate() {
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

/// A file path as text, normalised on reading: `a//b/` is `a/b`, `./x` is `x`, `..` is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WirePath(String);

impl WirePath {
    /// A path, normalised as Python's `pathlib` does; two slashes in front are kept as POSIX asks.
    pub fn new(text: &str) -> WirePath {
        let parts: Vec<&str> = text
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        let slash = match text.bytes().take_while(|b| *b == b'/').count() {
            0 => "",
            2 => "//",
            _ => "/",
        };
        let joined = format!("{slash}{}", parts.join("/"));
        WirePath(if joined.is_empty() {
            ".".to_owned()
        } else {
            joined
        })
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Field for WirePath {
    fn read(raw: &str, fill: &mut dyn Fill) -> Result<Self, ReadError> {
        String::read(raw, fill).map(|text| WirePath::new(&text))
    }
    fn write(&self, out: &mut String) {
        write_text(&self.0, out);
    }
}

/// Makes a model: its struct, reading and writing. Each member is `name: Type = missing;` where
/// `missing` says what stands for a member that a line leaves out: `required`, `now`, `uuid
/// "prefix"`, `{}` (a model whose members can all be left out), or a value in parentheses.
macro_rules! model {
    (
        $(#[$doc:meta])* $model:ident {
            $( $(#[$member_doc:meta])* $member:ident $(as $wire:literal)? : $type:ty = $missing:tt $($prefix:literal)?; )*
        }
        $( check |$me:ident| $check:expr; )?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $model {
            $( $(#[$member_doc])* pub $member: $type, )*
            /// Members that are not ours, kept in order and written after ours.
            pub extra: $crate::action::json::Object,
        }

        impl $model {
            /// Reads the members without the check of the whole.
            fn read_fields(
                members: $crate::action::json::Members<'_>,
                fill: &mut dyn $crate::action::wire::Fill,
            ) -> Result<$model, $crate::action::json::ReadError> {
                let mut extra = $crate::action::json::Object::new();
                $( let mut $member: Option<$type> = None; )*
                for (name, raw) in members {
                    match name.as_ref() {
                        $( $crate::action::wire::wire_name!($member $($wire)?) => {
                            let read = <$type as $crate::action::wire::Field>::read(raw.get(), fill);
                            $member = Some(read.map_err(|e| e.within(stringify!($member)))?);
                        } )*
                        _ => {
                            let value = $crate::action::json::Value::read(raw.get(), 1).map_err(|e| e.within(&name))?;
                            extra.insert(name, value);
                        }
                    }
                }
                Ok($model {
                    $( $member: match $member {
                        Some(value) => value,
                        None => $crate::action::wire::missing!(fill, $member, $missing $($prefix)?),
                    }, )*
                    extra,
                })
            }
        }

        impl $crate::action::wire::Wire for $model {
            fn read(
                text: &str,
                fill: &mut dyn $crate::action::wire::Fill,
            ) -> Result<$model, $crate::action::json::ReadError> {
                #[allow(unused_mut)]
                let mut read = $model::read_fields($crate::action::json::members(text)?, fill)?;
                $( { let $me = &mut read; $check?; } )?
                Ok(read)
            }

            fn write_json(&self, out: &mut String) {
                let mut between = '{';
                $(
                    out.push(between);
                    between = ',';
                    out.push_str(concat!("\"", $crate::action::wire::wire_name!($member $($wire)?), "\":"));
                    $crate::action::wire::Field::write(&self.$member, out);
                )*
                for (name, value) in self.extra.iter() {
                    out.push(between);
                    $crate::action::json::write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }

        impl $crate::action::wire::Field for $model {
            fn read(
                raw: &str,
                fill: &mut dyn $crate::action::wire::Fill,
            ) -> Result<$model, $crate::action::json::ReadError> {
                <$model as $crate::action::wire::Wire>::read(raw, fill)
            }
            fn write(&self, out: &mut String) {
                $crate::action::wire::Wire::write_json(self, out);
            }
        }
    };
}

/// The name of a member on the wire, where it cannot be its name in Rust.
macro_rules! wire_name {
    ($member:ident) => {
        stringify!($member)
    };
    ($member:ident $wire:literal) => {
        $wire
    };
}

/// What stands for a member that a line leaves out.
macro_rules! missing {
    ($fill:ident, $member:ident, required) => {
        return Err($crate::action::json::ReadError::new("is missing").within(stringify!($member)))
    };
    ($fill:ident, $member:ident, now) => {
        match $fill.now() {
            Some(now) => now.into(),
            None => $crate::action::wire::missing!($fill, $member, required),
        }
    };
    ($fill:ident, $member:ident, uuid $prefix:literal) => {
        match $fill.uuid() {
            Some(uuid) if $prefix.is_empty() => uuid,
            Some(uuid) => format!("{}{}", $prefix, &uuid[..8]),
            None => $crate::action::wire::missing!($fill, $member, required),
        }
    };
    ($fill:ident, $member:ident, {}) => {
        $crate::action::wire::Wire::read("{}", $fill).map_err(|e| e.within(stringify!($member)))?
    };
    ($fill:ident, $member:ident, ($default:expr)) => {
        $default
    };
}

/// Makes an enum whose values are texts on the wire.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $( $(#[$value_doc:meta])* $value:ident = $text:literal, )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[$value_doc])* $value, )* }

        impl $name {
            /// All values in order.
            pub const ALL: &'static [$name] = &[$( $name::$value, )*];

            /// The text on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $( $name::$value => $text, )* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::action::json::ReadError;
            fn from_str(text: &str) -> Result<$name, Self::Err> {
                match text {
                    $( $text => Ok($name::$value), )*
                    _ => {
                        let all = [$( $text, )*].join(", ");
                        Err($crate::action::json::ReadError::new(format!("{text:?} is none of {all}")))
                    }
                }
            }
        }

        impl $crate::action::wire::Field for $name {
            fn read(
                raw: &str,
                fill: &mut dyn $crate::action::wire::Fill,
            ) -> Result<$name, $crate::action::json::ReadError> {
                <String as $crate::action::wire::Field>::read(raw, fill)?.parse()
            }
            fn write(&self, out: &mut String) {
                $crate::action::json::write_text(self.as_str(), out);
            }
        }
    };
}

pub(crate) use {missing, model, wire_name, words};
