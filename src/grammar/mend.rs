//! From a fault to words for a person and, where there is one, a line that parses (S1, S2).

use std::borrow::Cow;

use super::read::{self, Options, Seen};
use super::table::{Grammar, ModifierId, NounId, Tier, VerbId, Word, WordId, fold};
use super::{Code, Fault, Fix, ParseError, lex};

/// Words longer than this are no slip of the fingers.
const LONGEST: usize = 32;

/// How many commands of one line are told apart in a suggestion.
const COMMANDS: usize = 8;

// ---------------------------------------------------------------- S1

/// The nearest of `words` that `wanted` takes; `true` with it when it is a canonical name.
fn near<'g>(
    grammar: &'g Grammar,
    text: &str,
    words: &[WordId],
    wanted: impl Fn(&Word) -> Option<bool>,
) -> Option<&'g Word> {
    if text.len() > 4 * LONGEST {
        return None;
    }
    let mut typed = ['\0'; LONGEST];
    let mut length = 0;
    let folded: Cow<'_, str> = match text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
        true => Cow::Borrowed(text),
        false => Cow::Owned(fold(text)),
    };
    for c in folded.chars() {
        *typed.get_mut(length)? = c;
        length += 1;
    }
    let limit = match length {
        0..=2 => return None,
        3..=4 => 1,
        _ => 2,
    };
    let typed = &typed[..length];
    // The smaller the key, the nearer the word.
    type Key<'a> = (usize, bool, bool, &'a str);
    let mut best: Option<(Key<'_>, &Word)> = None;
    for id in words {
        let word = &grammar.words[*id as usize];
        // Every word of the table is ASCII but for those of a user.
        let letters = if word.text.is_ascii() {
            word.text.len()
        } else {
            word.text.chars().count()
        };
        if letters.abs_diff(length) > limit || letters > LONGEST {
            continue;
        }
        let Some(canonical) = wanted(word) else {
            continue;
        };
        let Some(distance) = distance(typed, &word.text, limit) else {
            continue;
        };
        let other_start = word.text.chars().next() != typed.first().copied();
        let key = (distance, other_start, !canonical, &*word.text);
        if best.as_ref().is_none_or(|(there, _)| key < *there) {
            best = Some((key, word));
        }
    }
    best.map(|(_, word)| word)
}

/// The optimal string alignment distance, as far as it is within `limit`.
fn distance(typed: &[char], word: &str, limit: usize) -> Option<usize> {
    let mut letters = ['\0'; LONGEST];
    let mut length = 0;
    for c in word.chars() {
        *letters.get_mut(length)? = c;
        length += 1;
    }
    let letters = &letters[..length];
    let mut before = [0_usize; LONGEST + 1];
    let mut above = [0_usize; LONGEST + 1];
    let mut row = [0_usize; LONGEST + 1];
    for (place, cell) in above.iter_mut().enumerate() {
        *cell = place;
    }
    for (i, a) in typed.iter().enumerate() {
        row[0] = i + 1;
        let mut least = row[0];
        for (j, b) in letters.iter().enumerate() {
            let mut best = (above[j + 1] + 1)
                .min(row[j] + 1)
                .min(above[j] + usize::from(a != b));
            if i > 0 && j > 0 && *a == letters[j - 1] && typed[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
            least = least.min(best);
        }
        // A swap reaches back one row more.
        if least > limit + 1 {
            return None;
        }
        before = above;
        above = row;
    }
    Some(above[length]).filter(|distance| *distance <= limit)
}

/// The nearest word for a verb.
pub(super) fn near_verb<'g>(grammar: &'g Grammar, text: &str, core: bool) -> Option<&'g str> {
    let wanted = |word: &Word| {
        let verb = &grammar.verbs[word.verb? as usize];
        (!core || verb.tier == Tier::Core).then_some(*word.text == *verb.name)
    };
    near(grammar, text, &grammar.verb_words, wanted).map(|word| &*word.text)
}

/// The nearest word for a noun.
pub(super) fn near_noun<'g>(grammar: &'g Grammar, text: &str, core: bool) -> Option<&'g str> {
    let wanted = |word: &Word| {
        let noun = &grammar.nouns[word.noun? as usize];
        (!core || noun.tier == Tier::Core).then_some(*word.text == *noun.name)
    };
    near(grammar, text, &grammar.noun_words, wanted).map(|word| &*word.text)
}

/// The nearest word for a modifier that goes with a verb and a noun.
pub(super) fn near_modifier<'g>(
    grammar: &'g Grammar,
    verb: VerbId,
    noun: NounId,
    text: &str,
) -> Option<(&'g str, ModifierId)> {
    let wanted = |word: &Word| {
        let modifier = word.modifier?;
        let canonical = *word.text == *grammar.modifiers[modifier as usize].name;
        grammar.allows(verb, noun, modifier).then_some(canonical)
    };
    let word = near(grammar, text, &grammar.modifier_words, wanted)?;
    Some((&*word.text, word.modifier?))
}

// ---------------------------------------------------------------- S2

/// The error that a fault is, for those outside.
pub(super) fn error(
    grammar: &Grammar,
    fault: Fault,
    seen: &Seen<'_>,
    core: bool,
) -> Box<ParseError> {
    let text: &str = &seen.text;
    let span = fault.span.clone();
    let at = text.get(span.clone()).unwrap_or_default().to_owned();
    let (suggestion, meant) = suggestion(grammar, &fault, text, core);
    let before = text.get(..span.start).unwrap_or_default().chars().count();
    let plain: Cow<'_, str> = seen.line.chars().filter(|c| !lex::is_removed(*c)).collect();
    let outside = plain.get(..seen.offset).unwrap_or_default().chars().count();
    Box::new(ParseError {
        code: fault.code,
        column: outside + before + 1,
        span: origin(seen.line, outside + before, at.chars().count()),
        message: message(&fault, &at),
        suggestion,
        meant,
        at,
    })
}

/// The bytes of `count` visible characters of `line` from the one with number `first` on.
fn origin(line: &str, first: usize, count: usize) -> std::ops::Range<usize> {
    let mut places = line
        .char_indices()
        .filter(|(_, c)| !lex::is_removed(*c))
        .map(|(at, _)| at)
        .chain(std::iter::repeat(line.len()));
    let start = places.by_ref().nth(first).unwrap_or(line.len());
    match count.checked_sub(1) {
        Some(more) => start..places.nth(more).unwrap_or(line.len()),
        None => start..start,
    }
}

/// The first change that gives a line that parses, and the word it puts in.
fn suggestion(
    grammar: &Grammar,
    fault: &Fault,
    text: &str,
    core: bool,
) -> (Option<String>, Option<String>) {
    let parses = |line: &str| read::command(grammar, line, Options { core, mend: false }).is_ok();
    for fix in &fault.fixes {
        let (line, meant) = match fix {
            Fix::Replace(place, with, is_word) => {
                let line = format!("{}{with}{}", &text[..place.start], &text[place.end..]);
                (line.trim().to_owned(), is_word.then(|| with.clone()))
            }
            Fix::Line(line) => (line.clone(), None),
            Fix::Split(end, start) => match commands(grammar, text, *end, *start, core) {
                Some(lines) => return (Some(lines), None),
                None => continue,
            },
        };
        if parses(&line) {
            return (Some(line), meant);
        }
    }
    (None, None)
}

/// The commands of a line, a line each.
fn commands(grammar: &Grammar, text: &str, end: usize, start: usize, core: bool) -> Option<String> {
    let options = Options { core, mend: false };
    let mut lines: Vec<String> = Vec::new();
    let (mut text, mut end, mut start) = (text, end, start);
    loop {
        let first = text[..end].trim();
        read::command(grammar, first, options).ok()?;
        lines.push(first.to_owned());
        let rest = text[start..].trim();
        match read::command(grammar, rest, options) {
            Ok(_) => {
                let rest = rest.trim_end_matches([';', ' ', '&', '|']);
                lines.push(rest.to_owned());
                return Some(lines.join("\n"));
            }
            Err((fault, _)) if lines.len() < COMMANDS => match fault.fixes.first() {
                Some(Fix::Split(next_end, next_start)) => {
                    (text, end, start) = (rest, *next_end, *next_start);
                }
                _ => return None,
            },
            Err(_) => return None,
        }
    }
}

// ---------------------------------------------------------------- words

fn message(fault: &Fault, at: &str) -> String {
    let about = |place: usize| fault.about.get(place).map_or("", String::as_str);
    let all = || fault.about.join(", ");
    match fault.code {
        Code::TooLong => format!("a line has at most {} bytes", lex::LINE),
        Code::BadCharacter => {
            let code = at.chars().next().map_or(0, u32::from);
            format!("control character U+{code:04X}")
        }
        Code::EmptyCommand => "nothing to read".to_owned(),
        Code::BadQuote => format!("the quotes of {at} are not closed, or text is glued to them"),
        Code::Placeholder => format!("the placeholder {at} was not filled in"),
        Code::BadParameter if at.starts_with('=') => format!("no name stands before {at}"),
        Code::BadParameter => format!("no value stands behind {at}; an empty one is written \"\""),
        Code::BadValue if fault.about.len() > 1 => {
            format!(
                "{at} does not do for {}: it takes {}",
                about(0),
                article(about(1))
            )
        }
        Code::BadValue => format!("{at} does not do for {}", about(0)),
        Code::BadJson if fault.about.is_empty() => format!("what follows := in {at} is no JSON"),
        Code::BadJson => format!("what follows := in {at} does not do: {}", about(0)),
        Code::DuplicateParameter => format!("{} is given twice, here as {at}", about(0)),
        Code::UnknownEnvelope => format!("{at} is none of @from, @id, @at"),
        Code::UnknownVerb if !fault.about.is_empty() => {
            format!(
                "'{at}' ({}) is an extension: the core does not know that verb",
                about(0)
            )
        }
        Code::UnknownVerb => format!("unknown verb '{at}'"),
        Code::MissingVerb => "no verb says what is to be done".to_owned(),
        Code::Negation => format!("'{at}': a command says what to do, not what to leave"),
        Code::Condition => format!("'{at}': a command is carried out now, not under a condition"),
        Code::Question => format!("'{at}' asks a question; a command begins with its verb"),
        Code::UnresolvedReference => format!("'{at}': nobody here knows what that means; name it"),
        Code::MultipleCommands => {
            format!("a second command begins at '{at}'; write one on each line")
        }
        Code::UnknownNoun if !fault.about.is_empty() => {
            format!(
                "'{at}' ({}) is an extension: the core does not know that noun",
                about(0)
            )
        }
        Code::UnknownNoun => format!("unknown noun '{at}'"),
        Code::AmbiguousNoun => format!("'{at}' may be any of: {}", all()),
        Code::MissingNoun => format!("'{at}' needs to know what: one of {}", all()),
        Code::ConflictingModifiers => format!("{} and {} exclude each other", about(0), about(1)),
        Code::UnexpectedWord => format!("unexpected word '{at}'"),
        Code::MissingValue => format!("no value stands behind '{}'", about(0)),
    }
}

/// What a parameter takes, in a sentence.
fn article(kind: &str) -> &str {
    match kind {
        "whole number" => "a whole number",
        "seconds" => "seconds (300), or a number with s, m or h (5m)",
        "yes or no" => "true or false",
        "time" => "a time such as 2026-11-23T09:15:00Z",
        other => other,
    }
}
