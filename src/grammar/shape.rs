//! Shapes of identifiers: a small part of regular expressions, matched against whole words.
//!
//! ```text
//! pattern = item*   item = group | class repeat? | "." repeat? | "\" char | char
//! group = "(" pattern ("|" pattern)* ")"   class = "[" (char | char "-" char)+ "]"   repeat = "*" | "+"
//! ```

use nom::branch::alt;
use nom::bytes::complete::tag;
use nom::character::complete::{anychar, char, none_of, one_of};
use nom::combinator::{all_consuming, map, opt};
use nom::multi::{many0, many1, separated_list1};
use nom::sequence::{delimited, preceded, separated_pair};
use nom::{IResult, Parser};
use serde::{Deserialize, Serialize};

/// A pattern that a whole word may match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Shape(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Item {
    Char(char),
    /// Any of these ranges (none: any character at all), so often.
    Class(Vec<(char, char)>, Repeat),
    /// One of these.
    Group(Vec<Vec<Item>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Repeat {
    Once,
    Some,
    Any,
}

impl Shape {
    /// Reads a pattern; `None` where it uses more than this file knows.
    pub(super) fn parse(pattern: &str) -> Option<Shape> {
        let (_, items) = all_consuming(items).parse(pattern).ok()?;
        Some(Shape(items))
    }

    /// Whether the whole of `word` has this shape.
    pub(super) fn matches(&self, word: &str) -> bool {
        matches(&self.0, word, &mut |rest| rest.is_empty())
    }
}

fn items(input: &str) -> IResult<&str, Vec<Item>> {
    many0(item).parse(input)
}

fn item(input: &str) -> IResult<&str, Item> {
    let group = map(
        delimited(char('('), separated_list1(char('|'), items), char(')')),
        Item::Group,
    );
    let range = alt((
        separated_pair(none_of("]\\"), char('-'), none_of("]\\")),
        map(none_of("]\\"), |c| (c, c)),
    ));
    let class = delimited(char('['), many1(range), char(']'));
    let dot = map(char('.'), |_| Vec::new());
    let repeat = map(opt(one_of("*+")), |sign| match sign {
        Some('*') => Repeat::Any,
        Some(_) => Repeat::Some,
        None => Repeat::Once,
    });
    let class = map((alt((class, dot)), repeat), |(class, repeat)| {
        Item::Class(class, repeat)
    });
    let literal = map(
        alt((preceded(tag("\\"), anychar), none_of("()[]|.*+?{}^$\\"))),
        Item::Char,
    );
    alt((group, class, literal)).parse(input)
}

/// Whether a beginning of `text` matches `items` such that the rest pleases `then`.
fn matches(items: &[Item], text: &str, then: &mut dyn FnMut(&str) -> bool) -> bool {
    let Some((item, more)) = items.split_first() else {
        return then(text);
    };
    match item {
        Item::Char(c) => text
            .strip_prefix(*c)
            .is_some_and(|rest| matches(more, rest, then)),
        Item::Group(ways) => ways
            .iter()
            .any(|way| matches(way, text, &mut |rest| matches(more, rest, then))),
        Item::Class(ranges, repeat) => {
            let within = |c: char| {
                ranges.is_empty() || ranges.iter().any(|(low, high)| (*low..=*high).contains(&c))
            };
            let longest = text.find(|c| !within(c)).unwrap_or(text.len());
            let (least, longest) = match repeat {
                Repeat::Once => (
                    1,
                    text.chars().next().map_or(0, char::len_utf8).min(longest),
                ),
                Repeat::Some => (1, longest),
                Repeat::Any => (0, longest),
            };
            // The longest run first; shorter ones only where something must follow it.
            let mut end = longest;
            loop {
                if end < least {
                    return false;
                }
                if matches(more, &text[end..], then) {
                    return true;
                }
                let Some(last) = text[..end].chars().next_back() else {
                    return false;
                };
                end -= last.len_utf8();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_match_or_do_not() {
        let shape = Shape::parse("(kiro|agent)-[A-Za-z0-9][A-Za-z0-9._-]*").unwrap();
        for yes in ["kiro-3", "agent-x.y_z-1", "kiro-A"] {
            assert!(shape.matches(yes), "{yes}");
        }
        for no in [
            "kiro-", "kiro", "xkiro-3", "kiro--3", "kiro-3/", "Kiro-3", "kiro-é", "",
        ] {
            assert!(!shape.matches(no), "{no}");
        }
        let branch = Shape::parse("((feature|fix)/.+|main)").unwrap();
        assert!(branch.matches("feature/é/x") && branch.matches("main"));
        assert!(!branch.matches("feature/") && !branch.matches("mainx"));
        assert!(Shape::parse("[a-z]+x").unwrap().matches("abxcx"));
        assert!(Shape::parse("v\\.[0-9]").unwrap().matches("v.1"));
    }

    #[test]
    fn what_is_beyond_this_file_is_refused() {
        for bad in ["(a", "a)", "[a", "a{2}", "^a", "a?", "(a)*", "*"] {
            assert_eq!(Shape::parse(bad), None, "{bad}");
        }
    }
}
