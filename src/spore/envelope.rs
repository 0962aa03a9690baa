//! The head of a spore without its body: for mailboxes, which pass bodies on as they are.

use super::WriteError;
use super::bytes;
use super::header::{self, Headers};
use super::layout::{self, Layout, VERBATIM};

/// As much of a file as is looked at for its head, in bytes.
pub const HEAD: usize = 64 * 1024;

/// What the first [`HEAD`] bytes of a file say about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The subject, from the title.
    pub subject: Option<String>,
    /// The headers that have a meaning here.
    pub headers: Headers,
    /// All others, in order.
    pub extra: Vec<(String, String)>,
    /// Whether somebody meant this to be a spore: its title says so, or there is a header at a
    /// place where only a spore has one.
    pub is_spore: bool,
    /// The lines that [`readdress`] replaces, counted from 0.
    lines: Vec<usize>,
    /// Whether the body is marked as meant the way it stands.
    verbatim: bool,
}

/// Reads the head of a file; never fails, whatever the bytes are. A signature further down than
/// [`HEAD`] is not seen.
pub fn head(bytes: &[u8]) -> Head {
    let first = &bytes[..bytes.len().min(HEAD)];
    // A line that is cut in two is not judged.
    let first = match first.iter().rposition(|b| *b == b'\n') {
        Some(end) if first.len() < bytes.len() => &first[..=end],
        _ => first,
    };
    let (text, _) = bytes::decode(first, layout::is_verbatim);
    let found = layout::layout(&text);
    Head {
        is_spore: !found.headers.is_empty()
            || found
                .title
                .is_some_and(|line| says_spore(found.lines[line])),
        lines: (0..found.used.len())
            .filter(|line| found.used[*line])
            .collect(),
        verbatim: found.verbatim,
        subject: found.subject,
        headers: found.headers,
        extra: found.extra,
    }
}

/// Whether a title has the look of the family.
fn says_spore(title: &str) -> bool {
    title.contains('🧬') || title.to_ascii_lowercase().contains("spore:")
}

/// A strict spore whose body is `body`: byte for byte, but for blank lines around it and the end of
/// the last line.
///
/// The body may hold action and result blocks; they are passed on as they are. So is a body that
/// is not UTF-8: whoever reads it repairs it.
///
/// # Errors
/// When subject or headers would not be read back as they are.
pub fn wrap(
    subject: Option<&str>,
    headers: &Headers,
    extra: &[(String, String)],
    body: &[u8],
) -> Result<Vec<u8>, WriteError> {
    let top = top(subject, headers, extra);
    let as_wanted = |text: &str| what_differs(&layout::layout(text), subject, headers, extra);
    if let Some(what) = as_wanted(&top) {
        return Err(WriteError { what });
    }
    let plain = joined(&top, false, body);
    let misread = std::str::from_utf8(&plain).is_ok_and(|text| {
        bytes::looks_like_mojibake(text) || layout::is_verbatim(text) || as_wanted(text).is_some()
    });
    Ok(if misread {
        joined(&top, true, body)
    } else {
        plain
    })
}

/// The same file with other headers: title and headers are written anew at the top, every other
/// line keeps its bytes. Headers that stood in front matter or in a metadata section are taken out
/// there, so pass on those of `head` that are to stay. A signature stays where it is.
///
/// # Errors
/// When subject or headers would not be read back as they are.
pub fn readdress(
    bytes: &[u8],
    head: &Head,
    subject: Option<&str>,
    headers: &Headers,
    extra: &[(String, String)],
) -> Result<Vec<u8>, WriteError> {
    let top = top(subject, headers, extra);
    if let Some(what) = what_differs(&layout::layout(&top), subject, headers, extra) {
        return Err(WriteError { what });
    }
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut body = Vec::with_capacity(rest.len());
    let mut dropped = head.lines.iter().peekable();
    let mut place = 0;
    // Lines that are dropped stand near the top: below the last of them nothing is looked at.
    while dropped.peek().is_some() && !rest.is_empty() {
        let (line, after) = rest.split_at(line_length(rest));
        if dropped.next_if_eq(&&place).is_none() {
            body.extend_from_slice(line);
        }
        rest = after;
        place += 1;
    }
    body.extend_from_slice(rest);
    Ok(joined(&top, head.verbatim, &body))
}

/// The length of the first line with its end, whichever of LF, CRLF and CR that is.
fn line_length(bytes: &[u8]) -> usize {
    match bytes.iter().position(|b| matches!(b, b'\n' | b'\r')) {
        Some(end) if bytes[end..].starts_with(b"\r\n") => end + 2,
        Some(end) => end + 1,
        None => bytes.len(),
    }
}

/// What of title and headers would be read back otherwise.
pub(super) fn what_differs(
    found: &Layout<'_>,
    subject: Option<&str>,
    headers: &Headers,
    extra: &[(String, String)],
) -> Option<&'static str> {
    match () {
        () if found.subject.as_deref() != subject => Some("subject"),
        () if found.headers != *headers => Some("header"),
        () if found.extra != extra => Some("extra header"),
        () => None,
    }
}

/// Title and headers, without the blank line that ends them.
pub(super) fn top(subject: Option<&str>, headers: &Headers, extra: &[(String, String)]) -> String {
    let mut top = format!("# 🧬 Spore: {}\n", subject.unwrap_or("(none)"));
    if !headers.is_empty() || !extra.is_empty() {
        top.push('\n');
        header::write(&mut top, headers, extra);
    }
    top
}

/// `body` without blank lines before and after it; the end of its last line stays.
fn trim_lines(body: &[u8]) -> &[u8] {
    let mut body = body;
    while !body.is_empty() {
        let (line, rest) = body.split_at(line_length(body));
        if !line.is_ascii() || !line.trim_ascii().is_empty() {
            break;
        }
        body = rest;
    }
    let end = body.trim_ascii_end().len();
    let kept = end + line_length(&body[end..]);
    &body[..kept.min(body.len())]
}

/// Puts top and body together, with the mark between them where it is needed.
fn joined(top: &str, verbatim: bool, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(top.len() + body.len() + 32);
    out.extend_from_slice(top.as_bytes());
    if verbatim {
        out.extend_from_slice(format!("\n{VERBATIM}\n").as_bytes());
    }
    let body = trim_lines(body);
    if !body.is_empty() {
        out.push(b'\n');
        out.extend_from_slice(body);
        if !body.ends_with(b"\n") {
            out.push(b'\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Headers {
        Headers {
            id: Some("m-1".into()),
            from: Some("kiro-1".into()),
            to: vec!["kiro-2".into(), "kiro-3".into()],
            ..Headers::default()
        }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    const TOP: &str =
        "# 🧬 Spore: s\n\n- **Spore ID**: m-1\n- **From**: kiro-1\n- **To**: kiro-2, kiro-3\n";

    #[test]
    fn a_plain_body_gets_a_head() {
        let spore = text(wrap(Some("s"), &headers(), &[], b"\n\nhello\n  world").unwrap());
        assert_eq!(spore, format!("{TOP}\nhello\n  world\n"));
        let head = head(spore.as_bytes());
        assert_eq!(
            (head.subject.as_deref(), head.headers),
            (Some("s"), headers())
        );
        assert_eq!(
            text(wrap(Some("s"), &headers(), &[], b"\n \n").unwrap()),
            TOP
        );
    }

    #[test]
    fn a_body_that_would_be_misread_is_marked() {
        let signed = "## Signature\n\n```\ntopic: x\n```\n";
        for body in [signed, "## Metadata\n- **From**: x\n", "Ã© is damaged\n"] {
            let spore = text(wrap(Some("s"), &headers(), &[], body.as_bytes()).unwrap());
            assert_eq!(spore, format!("{TOP}\n<!-- verbatim -->\n\n{body}"));
            assert_eq!(head(spore.as_bytes()).headers, headers());
        }
        let bare = wrap(None, &Headers::default(), &[], b"Note: this is body").unwrap();
        assert_eq!(
            text(bare),
            "# 🧬 Spore: (none)\n\n<!-- verbatim -->\n\nNote: this is body\n"
        );
    }

    #[test]
    fn a_header_that_would_not_come_back_is_refused() {
        let two = Headers {
            from: Some("a\nb".into()),
            ..Headers::default()
        };
        let error = wrap(None, &two, &[], b"").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the header would not be read back as it is"
        );
        assert!(wrap(Some("🧬 \n"), &headers(), &[], b"").is_err());
        let known = [("Sender".to_owned(), "x".to_owned())];
        assert!(wrap(None, &Headers::default(), &known, b"").is_err());
    }

    #[test]
    fn a_spore_is_readdressed_and_its_body_keeps_its_bytes() {
        let file = b"\xef\xbb\xbf# Spore: s\r\nfrom: x\r\n\r\ncaf\xe9 \r\n\r\n## Metadata\r\n- **Team**: t\r\nend\r\n";
        let head = head(file);
        assert!(head.is_spore);
        let extra = [("Team".to_owned(), "t".to_owned())];
        assert_eq!(head.extra, extra);
        let again = readdress(file, &head, Some("s"), &headers(), &extra).unwrap();
        let wanted = [
            TOP.as_bytes(),
            b"- **Team**: t\n\ncaf\xe9 \r\n\r\n## Metadata\r\nend\r\n",
        ];
        assert_eq!(again, wanted.concat());
    }

    #[test]
    fn a_spore_is_told_from_a_text() {
        for spore in [
            "# 🧬 hello",
            "# Beast Mode Spore: x",
            "---\nfrom: x\n---\n",
            "# a\nFrom: x\n",
        ] {
            assert!(head(spore.as_bytes()).is_spore, "{spore}");
        }
        for other in [
            "",
            "hello\n",
            "# Release notes\n\nFixed: all\n",
            "{\"verb\":\"run\"}\n",
        ] {
            assert!(!head(other.as_bytes()).is_spore, "{other}");
        }
    }

    #[test]
    fn a_huge_file_is_judged_by_its_head() {
        let mut file = b"# Spore: s\nid: m-1\n\n".to_vec();
        file.extend_from_slice("é\n".repeat(HEAD).as_bytes());
        assert_eq!(head(&file).headers.id.as_deref(), Some("m-1"));
    }
}
