//! What the text of a value means (R6, R7): numbers, lengths of time, yes and no.

use nom::branch::alt;
use nom::character::complete::{char, digit1, one_of};
use nom::combinator::{all_consuming, opt, recognize};
use nom::{IResult, Parser};

use super::Argument;
use super::table::{Grammar, Kind};
use crate::action::json::Number;

/// A bare text under a parameter of this kind; `None` where it does not fit.
pub(super) fn typed(kind: Kind, text: &str) -> Option<Argument<'_>> {
    match kind {
        Kind::Text => Some(Argument::Text(text.into())),
        Kind::Int => text.parse().ok().map(Argument::Int),
        Kind::Seconds => seconds(text),
        Kind::Bool => match text {
            _ if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("yes") => {
                Some(Argument::Bool(true))
            }
            _ if text.eq_ignore_ascii_case("false") || text.eq_ignore_ascii_case("no") => {
                Some(Argument::Bool(false))
            }
            _ => None,
        },
        Kind::Any | Kind::List => Some(literal(text)),
    }
}

/// The same in a place where people write `three`.
pub(super) fn spoken<'a>(grammar: &Grammar, kind: Kind, text: &'a str) -> Option<Argument<'a>> {
    let number = || {
        let word = grammar.words.get(grammar.word(text) as usize)?;
        word.number.map(|number| Argument::Int(i64::from(number)))
    };
    match kind {
        Kind::Int | Kind::Seconds => typed(kind, text).or_else(number),
        _ => typed(kind, text),
    }
}

/// `true`, `false`, an integer of 64 bits, a decimal without exponent; else the text itself.
fn literal(text: &str) -> Argument<'_> {
    match text {
        "true" => return Argument::Bool(true),
        "false" => return Argument::Bool(false),
        _ => {}
    }
    let first = text.strip_prefix('-').unwrap_or(text).as_bytes().first();
    if !first.is_some_and(u8::is_ascii_digit) {
        return Argument::Text(text.into());
    }
    if all_consuming(integer).parse(text).is_ok()
        && let Ok(number) = text.parse()
    {
        return Argument::Int(number);
    }
    if all_consuming(decimal).parse(text).is_ok()
        && let Some(number) = Number::parse(text)
    {
        return Argument::Number(number);
    }
    Argument::Text(text.into())
}

/// A number of seconds: `300`, `0.5`, `5m`, `1.5h`.
fn seconds(text: &str) -> Option<Argument<'_>> {
    let (_, (number, unit)) = all_consuming((amount, opt(one_of("smh"))))
        .parse(text)
        .ok()?;
    let scale = match unit {
        Some('m') => 60,
        Some('h') => 3600,
        _ => 1,
    };
    scaled(number, scale)
}

/// `number` times `scale`, as an integer where it is one.
pub(super) fn scaled<'a>(number: &str, scale: u32) -> Option<Argument<'a>> {
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(i64::from(scale)).map(Argument::Int);
    }
    if scale == 1 {
        return Number::parse(number).map(Argument::Number);
    }
    let exact = number.parse::<f64>().ok()? * f64::from(scale);
    if exact.fract() == 0.0 && exact.abs() < 9e15 {
        return Some(Argument::Int(exact as i64));
    }
    Number::try_from(exact).ok().map(Argument::Number)
}

/// Whether `text` is a number that a unit may follow.
pub(super) fn is_amount(text: &str) -> bool {
    all_consuming(amount).parse(text).is_ok()
}

/// A number with its unit in one word: `10m`.
pub(super) fn duration(text: &str) -> Option<Argument<'_>> {
    let digits = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    let unit = text.ends_with(['s', 'm', 'h']);
    (digits && unit).then(|| seconds(text)).flatten()
}

/// `-? (0 | [1-9][0-9]*)`
fn integer(input: &str) -> IResult<&str, &str> {
    recognize((opt(char('-')), alt((recognize(char('0')), digit1)))).parse(input)
}

/// `-? (0 | [1-9][0-9]*) "." [0-9]+`
fn decimal(input: &str) -> IResult<&str, &str> {
    recognize((integer, char('.'), digit1)).parse(input)
}

/// `[0-9]+ ("." [0-9]+)?`
fn amount(input: &str) -> IResult<&str, &str> {
    recognize((digit1, opt((char('.'), digit1)))).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(argument: Option<Argument<'_>>) -> Option<String> {
        argument.map(|argument| argument.to_value().to_string())
    }

    #[test]
    fn undeclared_values_are_read_as_little_as_possible() {
        for (text, value) in [
            ("true", "true"),
            ("True", "\"True\""),
            ("300", "300"),
            ("-7", "-7"),
            ("007", "\"007\""),
            ("1.5", "1.5"),
            ("1.50", "1.5"),
            ("01.5", "\"01.5\""),
            ("1.2.3", "\"1.2.3\""),
            ("1e5", "\"1e5\""),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "\"9223372036854775808\""),
            ("2026-11-23", "\"2026-11-23\""),
            ("-", "\"-\""),
            (".5", "\".5\""),
        ] {
            assert_eq!(
                json(typed(Kind::Any, text)).as_deref(),
                Some(value),
                "{text}"
            );
        }
    }

    #[test]
    fn seconds_take_units() {
        for (text, value) in [
            ("300", Some("300")),
            ("30.5", Some("30.5")),
            ("5m", Some("300")),
            ("1.5h", Some("5400")),
            ("0.5s", Some("0.5")),
            ("soon", None),
            ("-5", None),
            ("5d", None),
            ("", None),
        ] {
            assert_eq!(json(typed(Kind::Seconds, text)).as_deref(), value, "{text}");
        }
        assert_eq!(json(duration("10")), None);
        assert_eq!(json(duration("10m")).as_deref(), Some("600"));
    }
}
