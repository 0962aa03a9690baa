//! Names that cannot be wrong.
//!
//! **For**: every name that a person, an agent or a file may give us — an agent, a task, a spore,
//! a topic. A value of these types has passed its pattern, so it can become a path component, a
//! header or a bus subject without another look.
//!
//! **Promises**: no name holds a slash, a control character, a leading dash or a leading dot
//! (task ids may hold `/`, see [`TaskKey`]); writing a name and reading it back is the identity;
//! a refused name says which rule it broke; [`nearest`] finds what was probably meant.
//!
//! **Does not**: look whether the thing named exists.

use std::fmt;
use std::str::FromStr;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {why}")]
pub struct IdError {
    /// What was wanted, with its article: "an agent name".
    pub what: &'static str,
    /// The text that was given.
    pub text: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> Result<(), &'static str> = $check;
                match check(text) {
                    Ok(()) => Ok($type(text.to_owned())),
                    Err(why) => Err(IdError { what: $what, text: text.to_owned(), why }),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// The name of an agent, a mailbox or a group: `[a-z0-9][a-z0-9._-]{0,62}`, no trailing dot,
    /// so that it means the same on file systems that do not tell upper from lower case.
    AgentName, "an agent name", |text| {
        component(text, 63)?;
        if !text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')) {
            return Err("only a-z 0-9 . _ - may stand in it");
        }
        if matches!(text, "con" | "prn" | "aux" | "nul") {
            return Err("that name is reserved by Windows");
        }
        Ok(())
    }
}

name! {
    /// The name of a topic that mailboxes subscribe to; the same pattern as [`AgentName`], with
    /// `/` between levels.
    TopicName, "a topic", |text| {
        if text.len() > 255 {
            return Err("it is longer than 255 bytes");
        }
        text.split('/').try_for_each(|level| level.parse::<AgentName>().map(drop).map_err(|e| e.why))
    }
}

name! {
    /// The id of one spore, fixed for life: printable ASCII without blanks, slash, comma or colon
    /// (the last two separate the fields of a file name), at most 128 bytes.
    SporeId, "a spore id", |text| {
        component(text, 128)?;
        if !text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b',' | b':')) {
            return Err("only printable ASCII without blank, slash, comma and colon may stand in it");
        }
        Ok(())
    }
}

name! {
    /// The key of a task: its id in its list (`2.1`, `T014`), or `spec/id` across lists.
    TaskKey, "a task", |text| {
        if text.is_empty() {
            return Err("it is empty");
        }
        if text.len() > 255 {
            return Err("it is longer than 255 bytes");
        }
        if text.starts_with('-') {
            return Err("it begins with a dash");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("blanks and control characters may not stand in it");
        }
        Ok(())
    }
}

/// What every name that becomes a path component keeps to.
fn component(text: &str, limit: usize) -> Result<(), &'static str> {
    match text.as_bytes() {
        [] => Err("it is empty"),
        _ if text.len() > limit => Err("it is too long"),
        [b'-', ..] => Err("it begins with a dash"),
        [b'.' | b'_', ..] => Err("it must begin with a letter or a digit"),
        [.., b'.'] => Err("it ends with a dot"),
        _ => Ok(()),
    }
}

/// The names nearest to `wanted`, best first: at most three, and only such as a slip of the
/// fingers explains (distance 1 for words up to four letters, 2 for longer ones).
///
/// ```
/// assert_eq!(sporekit::id::nearest("kira-1", ["kiro-1", "kiro-12", "claude"]), ["kiro-1", "kiro-12"]);
/// ```
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = if wanted.chars().count() <= 4 { 1 } else { 2 };
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .map(|name| (distance(wanted, name), name))
        .filter(|(d, _)| *d <= limit)
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().map(|(_, name)| name).take(3).collect()
}

/// Optimal string alignment distance: insert, delete, substitute, swap neighbours cost 1 each
/// (Damerau 1964, without editing a substring twice).
pub fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut best = (above[j] + 1)
                .min(row[j - 1] + 1)
                .min(above[j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_name_is_a_safe_path_component() {
        for good in ["kiro-1", "a", "0", "a.b_c-d", &"x".repeat(63)] {
            assert_eq!(good.parse::<AgentName>().unwrap().as_str(), good);
        }
        let long = "x".repeat(300);
        for bad in [
            "", ".", "..", "../x", "/x", "-rf", "a b", "a\n", "a\0b", "Kiro-1", "kirö", "ｋiro",
            "a/b", "x.", "_x", ".x", "con", &long,
        ] {
            assert!(bad.parse::<AgentName>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_refused_name_says_which_rule_it_broke() {
        let error = "Kiro 1".parse::<AgentName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"Kiro 1\" is not an agent name: only a-z 0-9 . _ - may stand in it"
        );
    }

    #[test]
    fn distance_counts_a_swap_once() {
        assert_eq!(distance("abcd", "abdc"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
