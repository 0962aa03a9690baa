//! From a spore to its strict text.

use super::{Part, Spore, WriteError, bytes, envelope, layout, read};

/// The strict text of a spore: what is returned is read back as `spore`, without a note.
///
/// # Errors
/// When there is no such text, for instance for a subject of two lines, or for a text part that
/// holds an open fence. What [`read`](super::read) returns can always be written.
pub fn write(spore: &Spore) -> Result<String, WriteError> {
    let top = envelope::top(spore.subject.as_deref(), &spore.headers, &spore.extra);
    let body = body(&spore.parts);
    let plain = joined(&top, false, &body);
    if !bytes::looks_like_mojibake(&plain) && what_differs(&plain, spore).is_none() {
        return Ok(plain);
    }
    let marked = joined(&top, true, &body);
    match what_differs(&marked, spore) {
        None => Ok(marked),
        Some(what) => Err(WriteError { what }),
    }
}

fn joined(top: &str, verbatim: bool, body: &str) -> String {
    let mark = match verbatim {
        true => format!("\n{}\n", layout::VERBATIM),
        false => String::new(),
    };
    let blank = if body.is_empty() { "" } else { "\n" };
    format!("{top}{mark}{blank}{body}")
}

/// The lines of the body.
fn body(parts: &[Part]) -> String {
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Text(text) => {
                out.push_str(text);
                out.push('\n');
            }
            Part::Action(lines) => fenced(&mut out, "action", lines),
            Part::Result(lines) => fenced(&mut out, "result", lines),
        }
    }
    out
}

/// A fence that none of its lines closes.
fn fenced(out: &mut String, label: &str, lines: &[String]) {
    let run = |line: &String| {
        let text = line.trim_start();
        text.len() - text.trim_start_matches('`').len()
    };
    let longest = lines.iter().map(run).max().unwrap_or(0);
    let mark = "`".repeat(3.max(longest + 1));
    out.push_str(&format!("{mark}{label}\n"));
    for line in lines {
        out.push_str(line);
        out.push('\n');
    }
    out.push_str(&format!("{mark}\n"));
}

/// What of `spore` would be read otherwise from `text`.
fn what_differs(text: &str, spore: &Spore) -> Option<&'static str> {
    let again = read(text.as_bytes());
    match () {
        () if again.spore.subject != spore.subject => Some("subject"),
        () if again.spore.headers != spore.headers => Some("header"),
        () if again.spore.extra != spore.extra => Some("extra header"),
        () if again.spore.parts != spore.parts || !again.notes.is_empty() => Some("body"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spore::{Headers, Note};

    /// Lines of which hostile and honest files are made.
    const LINES: &[&str] = &[
        "# 🧬 Spore: x",
        "# Beast Mode **Spore: y**",
        "# b",
        "## Spore Metadata",
        "## 🧬 Signature",
        "- **Spore ID**: m-1",
        "From: kiro-1",
        "* **To:** a, b,",
        "Date: soon",
        "time: 2026-11-23",
        "- **Team**: t",
        "```",
        "```action",
        "````",
        "~~~result x",
        "```yaml",
        "spore_id: \"q\\r\"",
        "topic: [",
        "---",
        "",
        " ",
        "<!-- verbatim -->",
        "Ã©",
        "ï»¿",
        "Ã\u{192}Â©",
        "run task abc",
        "text",
        "   ```",
        "to: \" \"",
        "\r",
        "\u{feff}",
        "re: 'a'",
        "SUCCESS all",
        "```actions now",
    ];

    fn file() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            8 => proptest::sample::select(LINES).prop_map(|line| line.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..8),
        ];
        proptest::collection::vec(line, 0..24).prop_map(|lines| lines.join(&b'\n'))
    }

    fn spore() -> impl Strategy<Value = Spore> {
        let word = || proptest::option::of("[a-zA-Z:*é][ -~é]{0,9}");
        let text = proptest::collection::vec(proptest::sample::select(LINES), 1..6);
        let part = prop_oneof![
            text.clone().prop_map(|lines| Part::Text(lines.join("\n"))),
            text.clone()
                .prop_map(|lines| Part::Action(lines.into_iter().map(str::to_owned).collect())),
            text.prop_map(|lines| Part::Result(lines.into_iter().map(str::to_owned).collect())),
        ];
        let extra = proptest::collection::vec(("[A-Z][a-z ]{0,6}", "[ -~]{1,6}"), 0..3);
        (
            word(),
            word(),
            word(),
            extra,
            proptest::collection::vec(part, 0..4),
        )
            .prop_map(|(subject, id, from, extra, parts)| Spore {
                subject,
                headers: Headers {
                    id,
                    from,
                    ..Headers::default()
                },
                extra,
                parts,
            })
    }

    proptest! {
        #[test]
        fn whatever_is_read_can_be_written_and_is_read_again_the_same(file in file()) {
            let first = read(&file).spore;
            let text = write(&first).unwrap();
            let again = read(text.as_bytes());
            prop_assert_eq!(&again.notes, &Vec::<Note>::new());
            prop_assert_eq!(&again.spore, &first);
            prop_assert_eq!(write(&again.spore).unwrap(), text);
        }

        #[test]
        fn what_is_written_is_what_was_meant(spore in spore()) {
            if let Ok(text) = write(&spore) {
                prop_assert_eq!(read(text.as_bytes()).spore, spore);
                prop_assert!(text.ends_with('\n') && !text.contains('\r'));
            }
        }

        #[test]
        fn a_wrapped_body_keeps_its_headers(file in file()) {
            let headers = Headers { id: Some("m-1".into()), ..Headers::default() };
            let spore = envelope::wrap(Some("s"), &headers, &[], &file).unwrap();
            let again = read(&spore).spore;
            if std::str::from_utf8(&file).is_ok() {
                prop_assert_eq!((again.subject.as_deref(), again.headers), (Some("s"), headers));
            }
        }

        #[test]
        fn a_readdressed_spore_has_the_new_headers(file in file()) {
            let head = envelope::head(&file);
            let headers = Headers { id: Some("m-1".into()), ..head.headers.clone() };
            let subject = head.subject.as_deref();
            if let Ok(spore) = envelope::readdress(&file, &head, subject, &headers, &head.extra) {
                let again = read(&spore).spore;
                prop_assert_eq!(again.headers.id.as_deref(), Some("m-1"));
            }
        }
    }

    #[test]
    fn the_strict_form_is_as_the_page_shows_it() {
        let strict = "# 🧬 Spore: done\n\n- **Spore ID**: m-18\n- **From**: kiro-1\n- **To**: kiro-3, kiro-4\n\
            - **Timestamp**: 2026-11-23T09:20:00Z\n- **Spore Type**: reply\n- **In Reply To**: m-17\n- **Topic**: t\n\
            - **Team**: x\n\nhello\n\n```result\nSUCCESS merged 2 branches\ntook: PT1.5S\n```\n";
        let reading = read(strict.as_bytes());
        assert_eq!((reading.notes, reading.places), (vec![], vec![12, 15]));
        assert_eq!(write(&reading.spore).unwrap(), strict);
    }

    #[test]
    fn a_text_with_a_live_fence_is_refused() {
        for text in ["```action\nrun task a\n```", "```sh\nls", "\n"] {
            let parts = vec![Part::Text(text.into())];
            let error = write(&Spore {
                parts,
                ..Spore::default()
            })
            .unwrap_err();
            assert_eq!(error.what, "body");
        }
    }
}
