//! Header lines: what counts as one, and which keys mean what.

use std::fmt::Write;

/// What a spore says about itself. Absent is absent: nothing is made up on reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// Its id, unique among all spores of a swarm.
    pub id: Option<String>,
    /// Who wrote it.
    pub from: Option<String>,
    /// To whom; empty: to everyone.
    pub to: Vec<String>,
    /// When it was written, as it stands there; see [`looks_like_time`] for what is taken for one.
    pub time: Option<String>,
    /// `request`, `reply`, `note`, `error`, or what the writer called it.
    pub kind: Option<String>,
    /// The id of the spore that this one answers.
    pub re: Option<String>,
    /// The topic that it belongs to.
    pub topic: Option<String>,
}

/// A header that has a meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Id,
    From,
    To,
    Time,
    Kind,
    Re,
    Topic,
}

impl Known {
    /// All of them in the order of the strict form, with the name that is written.
    const ALL: [(Known, &str); 7] = [
        (Known::Id, "Spore ID"),
        (Known::From, "From"),
        (Known::To, "To"),
        (Known::Time, "Timestamp"),
        (Known::Kind, "Spore Type"),
        (Known::Re, "In Reply To"),
        (Known::Topic, "Topic"),
    ];

    /// What `key` means; case, blanks, `_` and `-` make no difference.
    pub(super) fn of(key: &str) -> Option<Known> {
        let folded: String = key
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-'))
            .flat_map(char::to_lowercase)
            .collect();
        Some(match folded.as_str() {
            "id" | "sporeid" | "messageid" => Known::Id,
            "from" | "source" | "author" | "sender" | "sourceinstance" => Known::From,
            "to" | "target" | "recipient" | "recipients" => Known::To,
            "time" | "timestamp" | "date" | "sent" => Known::Time,
            "kind" | "type" | "sporetype" => Known::Kind,
            "re" | "inreplyto" | "replyto" | "responseto" | "parent" => Known::Re,
            "topic" | "channel" => Known::Topic,
            _ => return None,
        })
    }
}

impl Headers {
    /// Takes a value that is not there yet; says whether it did.
    pub(super) fn fill(&mut self, known: Known, value: &str) -> bool {
        let slot = match known {
            Known::Id => &mut self.id,
            Known::From => &mut self.from,
            Known::Time => &mut self.time,
            Known::Kind => &mut self.kind,
            Known::Re => &mut self.re,
            Known::Topic => &mut self.topic,
            Known::To => {
                let names: Vec<String> = value
                    .split(',')
                    .map(str::trim)
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect();
                let taken = self.to.is_empty() && !names.is_empty();
                if taken {
                    self.to = names;
                }
                return taken;
            }
        };
        let taken = slot.is_none() && (known != Known::Time || looks_like_time(value));
        if taken {
            *slot = Some(value.to_owned());
        }
        taken
    }

    /// The value of one header as it is written.
    fn value(&self, known: Known) -> Option<String> {
        match known {
            Known::Id => self.id.clone(),
            Known::From => self.from.clone(),
            Known::To => (!self.to.is_empty()).then(|| self.to.join(", ")),
            Known::Time => self.time.clone(),
            Known::Kind => self.kind.clone(),
            Known::Re => self.re.clone(),
            Known::Topic => self.topic.clone(),
        }
    }

    /// The headers that are there, by the name that is written, in the order of the strict form.
    pub fn lines(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        Known::ALL
            .iter()
            .filter_map(|(known, name)| Some((*name, self.value(*known)?)))
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        *self == Headers::default()
    }
}

/// Writes the header lines of the strict form.
pub(super) fn write(out: &mut String, headers: &Headers, extra: &[(String, String)]) {
    for (key, value) in headers.lines() {
        line_of(out, key, &value);
    }
    for (key, value) in extra {
        line_of(out, key, value);
    }
}

fn line_of(out: &mut String, key: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "- **{key}**: {value}");
}

/// Whether a value is a point in time as the wire has it: a date, and after it nothing or a time
/// of day, perhaps with a zone. `Response to m-3` is none.
pub fn looks_like_time(value: &str) -> bool {
    let number = |part: Option<&str>, range: std::ops::RangeInclusive<u32>| {
        part.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .is_some_and(|number| range.contains(&number))
    };
    let dashes = value.get(4..5) == Some("-") && value.get(7..8) == Some("-");
    let date = dashes
        && number(value.get(..4), 1..=9999)
        && number(value.get(5..7), 1..=12)
        && number(value.get(8..10), 1..=31);
    if !date {
        return false;
    }
    let Some(day) = value
        .get(11..)
        .filter(|_| value[10..].starts_with(['T', 't', '_', ' ']))
    else {
        return value.len() == 10;
    };
    number(day.get(..2), 0..=23)
        && day.get(2..3) == Some(":")
        && number(day.get(3..5), 0..=59)
        && day[5..]
            .chars()
            .all(|c| c.is_ascii_digit() || ":.,+-\u{2212}Zz".contains(c))
}

/// `key: value`, with or without bullet and bold; the value is never empty.
///
/// ```text
/// - **From**: kiro-1      * **From:** kiro-1      **From**: kiro-1      From: kiro-1
/// ```
pub(super) fn line(line: &str) -> Option<(&str, &str)> {
    let text = line.trim_start_matches(' ');
    if line.len() - text.len() > 3 {
        return None;
    }
    let text = ["- ", "* ", "+ "]
        .iter()
        .find_map(|bullet| text.strip_prefix(bullet))
        .map_or(text, str::trim_start);
    let (key, value) = match text.strip_prefix("**") {
        Some(bold) => {
            let (key, rest) = bold.split_once("**")?;
            match key.strip_suffix(':') {
                Some(key) => (key, rest),
                None => (key, rest.trim_start().strip_prefix(':')?),
            }
        }
        None => text.split_once(':')?,
    };
    let (key, value) = (key.trim(), value);
    // `http://…` is no header, `From:kiro-1` is one.
    let apart = value.starts_with(char::is_whitespace) || Known::of(key).is_some();
    let value = value.trim();
    (apart && !value.is_empty() && is_key(key)).then_some((key, value))
}

/// The longest keys that are in use have three words.
const MOST_WORDS: usize = 5;

/// A key is a few words; a sentence with a colon is none.
fn is_key(key: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || " _-./()&'".contains(c);
    key.starts_with(char::is_alphabetic)
        && key.len() <= 80
        && key.chars().all(allowed)
        && key.split(' ').count() <= MOST_WORDS
}

/// The scalars of a YAML block as text, in order; `None` when it is no YAML mapping.
///
/// The one call of the YAML reader: no aliases to speak of, no depth, no documents.
pub(super) fn yaml(block: &str) -> Option<Vec<(String, String)>> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: 2_000,
            max_events: 8_000,
            max_depth: 16,
            max_documents: 1,
            max_aliases: 16,
            max_anchors: 16,
            max_total_scalar_bytes: 64 * 1024,
        },
        no_schema: false,
        with_snippet: false,
    };
    let Mapping(pairs) = serde_saphyr::from_str_with_options(block, options).ok()?;
    Some(pairs)
}

/// The scalar entries of a mapping.
struct Mapping(Vec<(String, String)>);

/// One value: its text, or `None` for a list or a mapping.
struct Scalar(Option<String>);

impl<'de> serde::Deserialize<'de> for Mapping {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Mapping;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Mapping, A::Error> {
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Scalar>()? {
                    if let Scalar(Some(value)) = value {
                        pairs.push((key, value));
                    }
                }
                Ok(Mapping(pairs))
            }
        }
        from.deserialize_map(Visitor)
    }
}

impl<'de> serde::Deserialize<'de> for Scalar {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_owned())))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(Some(value.to_string())))
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar(None))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Scalar, A::Error> {
                while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Scalar(None))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Scalar, A::Error> {
                while map
                    .next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?
                    .is_some()
                {}
                Ok(Scalar(None))
            }
        }
        from.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_line_comes_in_many_clothes() {
        for clothes in [
            "- **From**: kiro-1",
            "* **From:** kiro-1",
            "**From**: kiro-1 ",
            "+ From: kiro-1",
            "From:kiro-1",
            "  From : kiro-1",
        ] {
            assert_eq!(line(clothes), Some(("From", "kiro-1")), "{clothes}");
        }
    }

    #[test]
    fn prose_and_addresses_are_no_headers() {
        for prose in [
            "https://example.org/x",
            "Please do this:",
            "as I said before in the other message: no",
            "- [ ] todo: x",
            "12:30 it broke: badly",
            "    From: code",
            "**bold** text",
        ] {
            assert_eq!(line(prose), None, "{prose}");
        }
    }

    #[test]
    fn keys_fold_case_blanks_and_dashes() {
        for (key, known) in [
            ("SPORE_ID", Known::Id),
            ("Spore-ID", Known::Id),
            ("In Reply To", Known::Re),
            ("source instance", Known::From),
            ("Recipients", Known::To),
        ] {
            assert_eq!(Known::of(key), Some(known));
        }
        assert_eq!(Known::of("Target Platform"), None);
    }

    #[test]
    fn a_time_begins_with_its_date() {
        for time in [
            "2026-11-23T09:15:00Z",
            "2026-11-23 09:15",
            "2026-11-23T09:15:00+02:00",
        ] {
            assert!(looks_like_time(time), "{time}");
        }
        for other in [
            "Response to m-3",
            "2026-13-40T00:00:00Z",
            "1700000000",
            "2026-11-23 soon",
            "",
        ] {
            assert!(!looks_like_time(other), "{other}");
        }
    }

    #[test]
    fn a_yaml_block_gives_its_scalars_and_a_broken_one_nothing() {
        let block = "spore_id: \"X-001\"\ntotal: 10\nready: true\nlist: [a, b]\nDNA: TRUE # yes\n";
        let pairs = yaml(block).unwrap();
        assert_eq!(pairs[0], ("spore_id".into(), "X-001".into()));
        assert_eq!(pairs.len(), 4);
        assert_eq!(yaml("a: [\n"), None);
        assert_eq!(yaml("just text"), None);
        assert_eq!(yaml(&"a: &x [*x]\n".repeat(100)), None);
    }
}
