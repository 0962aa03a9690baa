//! Task ids as they stand in text: at the head of a box, and in lists of references.

use std::collections::HashMap;

/// The longest id; [`crate::id::TaskKey`] takes no more.
const LONGEST: usize = 200;

/// Words that look like an id with a dash and are none.
const STANDARDS: &[&str] = &[
    "UTF", "ISO", "SHA", "MD", "AES", "RSA", "RFC", "TLS", "HTTP", "WCAG", "COVID", "ES", "IPV",
    "HS", "RS", "UTC", "GPT", "CVE", "OAUTH", "ECMA", "IEEE", "ASCII", "BASE", "CP", "GB",
];

/// The id at the head of a box text, and what follows it.
pub(super) struct Leading<'a> {
    /// The id.
    pub(super) id: &'a str,
    /// Whether a star follows it, which marks the task as optional.
    pub(super) star: bool,
    /// The text after it, without the marks that part it from the id.
    pub(super) rest: &'a str,
}

/// How far an id reaches from the start of `text`, and whether it is a lone number.
fn reach(text: &str) -> Option<(usize, bool)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take(LONGEST)
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let first = *bytes.first()?;
    let mut end;
    let mut lone = false;
    if first.is_ascii_digit() {
        end = digits(0);
        lone = true;
        while bytes.get(end) == Some(&b'.') && end < LONGEST && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
            lone = false;
        }
        if !lone && bytes.get(end).is_some_and(u8::is_ascii_lowercase) {
            end += 1;
        }
    } else if first.is_ascii_uppercase() {
        let letters = bytes
            .iter()
            .take(LONGEST)
            .take_while(|b| b.is_ascii_uppercase() || **b == b'_')
            .count();
        end = letters;
        let numbered = digits(end);
        if &text[..letters] == "T" && numbered > 0 {
            end += numbered;
            while bytes.get(end) == Some(&b'.') && end < LONGEST && digits(end + 1) > 0 {
                end += 1 + digits(end + 1);
            }
            if bytes.get(end).is_some_and(u8::is_ascii_lowercase) {
                end += 1;
            }
            while bytes.get(end) == Some(&b'-') && end < LONGEST {
                let more = bytes[end + 1..]
                    .iter()
                    .take(LONGEST)
                    .take_while(|b| b.is_ascii_uppercase())
                    .count();
                if more == 0 {
                    break;
                }
                end += 1 + more;
            }
        } else {
            // FOUNDATION-1, US-001, API-2-3
            if letters < 2 || STANDARDS.contains(&&text[..letters]) {
                return None;
            }
            let head = end;
            while bytes.get(end) == Some(&b'-') && end < LONGEST {
                let more = bytes[end + 1..]
                    .iter()
                    .take(LONGEST)
                    .take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
                    .count();
                if more == 0 {
                    break;
                }
                end += 1 + more;
            }
            let numbered = text[head..end]
                .rsplit('-')
                .next()
                .is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
            if end == head || !numbered {
                return None;
            }
            if bytes.get(end).is_some_and(u8::is_ascii_lowercase) {
                end += 1;
            }
        }
    } else {
        return None;
    }
    (end <= LONGEST).then_some((end, lone))
}

/// The id at the head of a text: `1.`, `1.1`, `7.3.5a`, `T001`, `[T001]`, `**T001**`,
/// `FOUNDATION-1`. A lone number needs a mark after it: "80% coverage" has no id.
pub(super) fn leading(text: &str) -> Option<Leading<'_>> {
    let bold = text.starts_with("**") || text.starts_with("__");
    let inner = if bold { &text[2..] } else { text };
    let bracket = inner.starts_with('[');
    let inner = if bracket { &inner[1..] } else { inner };
    let (end, lone) = reach(inner)?;
    let id = &inner[..end];
    let mut rest = &inner[end..];
    if bracket {
        rest = rest.strip_prefix(']')?;
    } else if lone {
        let marked = rest.strip_prefix(['.', ')', ':', '：', '、', '．'])?;
        let glued = marked
            .chars()
            .next()
            .is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.');
        if glued {
            return None;
        }
        rest = marked;
    }
    let mut star = false;
    // `**T001** title`, `**T001: title**`, `2.2* title`, `2.2.* title`
    let mut closed = !bold;
    loop {
        if !closed && (rest.starts_with("**") || rest.starts_with("__")) {
            rest = &rest[2..];
            closed = true;
        } else if closed && !bold && !star && (rest.starts_with('*') && !rest.starts_with("**")) {
            rest = &rest[1..];
            star = true;
        } else if !star && rest.starts_with("\\*") {
            rest = &rest[2..];
            star = true;
        } else if let Some(more) = rest.strip_prefix(['.', ')', ':', '：', '、', '．']) {
            rest = more;
        } else {
            break;
        }
    }
    if rest
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '%' | '_' | '-' | '/' | '+'))
        && !lone
    {
        return None;
    }
    Some(Leading {
        id,
        star,
        rest: rest.trim_start(),
    })
}

/// What stands between the parts of a dotted id: the prefixes of `1.2.3` are `1.2` and `1`.
pub(super) fn prefixes(id: &str) -> impl Iterator<Item = &str> {
    let mut rest = id;
    std::iter::from_fn(move || {
        let dot = rest.rfind('.')?;
        rest = &rest[..dot];
        Some(rest)
    })
}

/// An id with a letter at its end, without it: `7.3.5a` is `7.3.5`.
pub(super) fn without_letter(id: &str) -> Option<&str> {
    let last = id.len().checked_sub(1)?;
    let numbered = id.as_bytes().get(last.checked_sub(1)?)?.is_ascii_digit();
    (id.as_bytes()[last].is_ascii_lowercase() && numbered).then(|| &id[..last])
}

/// One reference found in a field.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(super) enum Reference {
    /// An id of this list, by its number in `known`.
    Known(usize),
    /// An id that is not there; sure to be meant as one.
    Missing(String),
    /// `spec/id`.
    Elsewhere(String),
    /// Something that may be an id, among prose.
    Unclear(String),
}

/// What a list of references is read against.
pub(super) struct Known<'a> {
    /// The tasks by id; of several with one id the first.
    pub(super) by_id: &'a HashMap<&'a str, usize>,
    /// All ids in file order, for ranges and `3.x`.
    pub(super) in_order: &'a [&'a str],
    /// For each id that is a dotted prefix of others: these others, in file order.
    pub(super) below: &'a HashMap<&'a str, Vec<usize>>,
}

/// Reads `1.1, Task 2.1, 3.x, T009-T014 and spec/11.2 (why)`.
pub(super) fn references(value: &str, known: &Known<'_>) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut depth = 0usize;
    let plain: String = value
        .chars()
        .map(|c| match c {
            '(' | '（' => {
                depth += 1;
                ','
            }
            ')' | '）' => {
                depth = depth.saturating_sub(1);
                ','
            }
            _ if depth > 0 => '\u{1}',
            '_' | '*' | '`' | '[' | ']' | '"' | '\'' => ' ',
            '，' | '、' | ';' | '；' | '&' | '|' => ',',
            '–' | '—' | '~' | '〜' => '-',
            c => c,
        })
        .filter(|c| *c != '\u{1}')
        .collect();
    for part in plain.split(',') {
        part_references(part, known, &mut found);
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|reference| match reference {
        Reference::Known(index) => seen.insert(*index),
        _ => true,
    });
    found
}

fn part_references(part: &str, known: &Known<'_>, found: &mut Vec<Reference>) {
    let words: Vec<&str> = part.split_whitespace().collect();
    let mut at = 0;
    let mut named = false;
    let mut prose = false;
    let mut some = false;
    while at < words.len() {
        let word = words[at]
            .trim_end_matches(['.', ':'])
            .trim_start_matches('#');
        let lower = word.to_ascii_lowercase();
        at += 1;
        match lower.as_str() {
            "task" | "tasks" | "subtask" | "subtasks" => {
                named = true;
                continue;
            }
            "and" | "or" | "+" | "all" | "" => continue,
            "phase" | "wave" | "layer" | "story" | "step" | "stage" => {
                // "Phase 1 complete" is no task 1.
                at += 1;
                prose = true;
                continue;
            }
            _ => {}
        }
        // 1.1 - 1.3, T009 to T014
        let far = |to: &str| matches!(to, "-" | "to" | "through" | "thru" | "until");
        if let (Some(to), Some(last)) = (words.get(at), words.get(at + 1))
            && far(to)
            && known.by_id.contains_key(word)
        {
            let last = last.trim_end_matches(['.', ':']);
            at += 2;
            some = true;
            range(word, last, known, found);
            continue;
        }
        if prose && !named {
            continue;
        }
        let whole = at == words.len() && !prose;
        if let Some(reference) = one(word, known, named || whole || some, found) {
            if let Some(reference) = reference {
                found.push(reference);
            }
            some = true;
        } else {
            prose = true;
            if some {
                break; // "T009-T014 tests first, 3 of them": only what stands at the head counts
            }
        }
    }
}

/// One word as a reference. `None`: it is no id; `Some(None)`: a range or group, already added.
fn one(
    word: &str,
    known: &Known<'_>,
    sure: bool,
    found: &mut Vec<Reference>,
) -> Option<Option<Reference>> {
    if let Some(index) = known.by_id.get(word) {
        let lone = word.bytes().all(|b| b.is_ascii_digit());
        return (sure || !lone).then_some(Some(Reference::Known(*index)));
    }
    if let Some((spec, id)) = word.rsplit_once('/') {
        let good = !spec.is_empty()
            && !spec.contains("//")
            && reach(id).is_some_and(|(end, _)| end == id.len());
        return good.then(|| Some(Reference::Elsewhere(word.to_owned())));
    }
    if let Some(group) = word
        .strip_suffix(".x")
        .or(word.strip_suffix(".X"))
        .filter(|group| reach(group).is_some_and(|(end, _)| end == group.len()))
    {
        match (known.by_id.get(group), known.below.get(group)) {
            (Some(container), _) => found.push(Reference::Known(*container)),
            (None, Some(all)) => found.extend(all.iter().map(|i| Reference::Known(*i))),
            (None, None) => found.push(Reference::Missing(word.to_owned())),
        }
        return Some(None);
    }
    // T009-T014; but not FOUNDATION-1, which was looked up above.
    for (dash, _) in word.match_indices('-').take(8) {
        let (from, to) = (&word[..dash], &word[dash + 1..]);
        if known.by_id.contains_key(from)
            && (known.by_id.contains_key(to) || reach(to).is_some_and(|(e, _)| e == to.len()))
        {
            range(from, to, known, found);
            return Some(None);
        }
    }
    if word.len() > LONGEST {
        return None;
    }
    if let Some(index) = word.strip_prefix('T').and_then(|id| known.by_id.get(id)) {
        return Some(Some(Reference::Known(*index)));
    }
    let (end, lone) = reach(word)?;
    if end != word.len() || (lone && !sure) {
        return None;
    }
    Some(Some(if sure {
        Reference::Missing(word.to_owned())
    } else {
        Reference::Unclear(word.to_owned())
    }))
}

/// All ids from `from` to `to` in file order; both ends are named even if the range is empty.
fn range(from: &str, to: &str, known: &Known<'_>, found: &mut Vec<Reference>) {
    // `T009-014` means `T009-T014`.
    let letters: String = from.chars().take_while(|c| !c.is_ascii_digit()).collect();
    let full = format!("{letters}{to}");
    let to = if known.by_id.contains_key(to) {
        to
    } else {
        full.as_str()
    };
    match (known.by_id.get(from), known.by_id.get(to)) {
        (Some(first), Some(last)) if first <= last => {
            let depth = from.matches('.').count();
            found.extend(
                (*first..=*last)
                    .filter(|index| known.in_order[*index].matches('.').count() == depth)
                    .map(Reference::Known),
            );
        }
        (Some(first), Some(last)) => {
            found.push(Reference::Known(*first));
            found.push(Reference::Known(*last));
        }
        (first, last) => {
            for (end, name) in [(first, from), (last, to)] {
                found.push(match end {
                    Some(index) => Reference::Known(*index),
                    None => Reference::Missing(name.to_owned()),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Option<(&str, bool, &str)> {
        leading(text).map(|found| (found.id, found.star, found.rest))
    }

    #[test]
    fn an_id_stands_at_the_head_of_a_box() {
        assert_eq!(id("1. Set up"), Some(("1", false, "Set up")));
        assert_eq!(id("1.1 Set up"), Some(("1.1", false, "Set up")));
        assert_eq!(id("7.3.5a x"), Some(("7.3.5a", false, "x")));
        assert_eq!(id("2.2* tests"), Some(("2.2", true, "tests")));
        assert_eq!(id("2.2\\* tests"), Some(("2.2", true, "tests")));
        assert_eq!(id("[T001] x"), Some(("T001", false, "x")));
        assert_eq!(id("**T001** x"), Some(("T001", false, "x")));
        assert_eq!(id("T031-MIN [P] x"), Some(("T031-MIN", false, "[P] x")));
        assert_eq!(
            id("**FOUNDATION-1: Core**"),
            Some(("FOUNDATION-1", false, "Core**"))
        );
        assert_eq!(id("1.1 创建"), Some(("1.1", false, "创建")));
        assert_eq!(
            id("12. **CHECKPOINT**"),
            Some(("12", false, "**CHECKPOINT**"))
        );
    }

    #[test]
    fn a_number_is_not_yet_an_id() {
        for text in [
            "80% coverage",
            "10 tests pass",
            "UTF-8 works",
            "Set up",
            "**VERIFY**: x",
            "2024-01-01 x",
            "3.x support",
            "[P] x",
            "",
        ] {
            assert!(id(text).is_none(), "{text:?} has {:?}", id(text));
        }
    }

    fn read(value: &str) -> Vec<Reference> {
        let ids = [
            "1", "1.1", "1.2", "1.3", "2", "3.1", "3.2", "T009", "T010", "T011",
        ];
        let by_id = ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let mut below: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, id) in ids.iter().enumerate() {
            for prefix in prefixes(id) {
                below.entry(prefix).or_default().push(index);
            }
        }
        references(
            value,
            &Known {
                by_id: &by_id,
                in_order: &ids,
                below: &below,
            },
        )
    }

    fn known(indices: &[usize]) -> Vec<Reference> {
        indices.iter().map(|i| Reference::Known(*i)).collect()
    }

    #[test]
    fn references_are_read_in_all_their_spellings() {
        assert_eq!(read(" 1.1, 2_"), known(&[1, 4]));
        assert_eq!(read("Task 1.1, Task 3.1 (the 2 of them)"), known(&[1, 5]));
        assert_eq!(read("Tasks 1, 3.x"), known(&[0, 5, 6]));
        assert_eq!(read("T009-T011 tests"), known(&[7, 8, 9]));
        assert_eq!(read("1.1 to 1.3"), known(&[1, 2, 3]));
        assert_eq!(read("1.1 and 1.2"), known(&[1, 2]));
        for nothing in ["None", "—", "", "Phase 1 complete", "userRepository", "N/A"] {
            assert_eq!(read(nothing), [], "{nothing}");
        }
        assert_eq!(read("9.9"), [Reference::Missing("9.9".into())]);
        assert_eq!(
            read("auth/11.2"),
            [Reference::Elsewhere("auth/11.2".into())]
        );
    }
}
