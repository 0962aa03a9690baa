//! Which line of a text is what: title, headers, fences, and the rest, which is body.

use super::Note;
use super::header::{self, Headers, Known};
use super::markdown::{self, Fence, Label};

/// A line of its own between headers and body: what follows is body and nothing else, and the
/// whole text is meant as it stands. Written only where the body would be misread without it.
pub(super) const VERBATIM: &str = "<!-- verbatim -->";

/// Beyond this many bytes a subject is taken as it is.
const LONG: usize = 1000;

/// A piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Lines, without the end of the last one.
    Text(String),
    /// A fence of commands or of a result: the lines between its marks, counted from 0.
    Item(Label, std::ops::Range<usize>),
}

/// A text taken apart. Lines are counted from 0.
#[derive(Debug, Default)]
pub(super) struct Layout<'a> {
    pub lines: Vec<&'a str>,
    pub title: Option<usize>,
    pub subject: Option<String>,
    pub headers: Headers,
    pub extra: Vec<(String, String)>,
    /// For each line whether it is title, header, or frame of front matter; the others are body.
    pub used: Vec<bool>,
    pub fences: Vec<Fence<'a>>,
    pub notes: Vec<Note>,
    /// Whether [`VERBATIM`] stands between headers and body.
    pub verbatim: bool,
}

/// Takes `text` apart: fences first, then the title, then the four places of headers.
pub(super) fn layout(text: &str) -> Layout<'_> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    if lines.last() == Some(&"") {
        lines.pop();
    }
    let mut found = Layout {
        fences: markdown::fences(&lines),
        used: vec![false; lines.len()],
        lines,
        ..Layout::default()
    };
    let front = found.front_matter();
    found.title = (front..found.lines.len())
        .zip(outside(&found.fences, front))
        .find_map(|(line, free)| (free && title(found.lines[line]).is_some()).then_some(line));
    if let Some(line) = found.title {
        found.subject = title(found.lines[line]).and_then(subject);
        found.used[line] = true;
        let block = block_below(&found.lines, line);
        for line in block.headers.clone() {
            found.take(line);
        }
        if line == 0
            && let Some(mark) = block.verbatim
        {
            found.used[mark] = true;
            found.verbatim = true;
        }
    }
    if !found.verbatim {
        found.sections();
    }
    if found.fences.last().is_some_and(|fence| !fence.closed) {
        found.notes.push(Note::UnclosedFence);
    }
    found
}

/// Whether the head of `text` says that all of it is meant as it stands.
pub(super) fn is_verbatim(text: &str) -> bool {
    if !text.contains(VERBATIM) {
        return false;
    }
    let lines: Vec<&str> = text.split('\n').collect();
    title(lines[0]).is_some() && block_below(&lines, 0).verbatim.is_some()
}

/// The headers directly below the title.
struct Block {
    /// The lines that are headers.
    headers: std::ops::Range<usize>,
    /// Where [`VERBATIM`] stands behind them.
    verbatim: Option<usize>,
}

/// At most one blank line, then header lines up to the first other one.
fn block_below(lines: &[&str], title: usize) -> Block {
    let after_blank = |line: usize| line + usize::from(lines.get(line).is_some_and(|l| blank(l)));
    let start = after_blank(title + 1);
    let count = lines
        .get(start..)
        .unwrap_or_default()
        .iter()
        .take_while(|line| header::line(line).is_some())
        .count();
    let end = start + count;
    let mark = if count == 0 { start } else { after_blank(end) };
    Block {
        headers: start..end,
        verbatim: (lines.get(mark) == Some(&VERBATIM)).then_some(mark),
    }
}

impl Layout<'_> {
    /// The body in pieces, each with its first line, without blank lines before and after it. A fence that nothing closes is
    /// closed at the end, and can then no longer be taken for an item.
    pub(super) fn pieces(&self) -> Vec<(usize, Piece)> {
        let mut pieces = Vec::new();
        let mut text: Option<(usize, String)> = None;
        let add = |text: &mut Option<(usize, String)>, place: usize, line: &str| match text {
            Some((_, text)) => {
                text.push('\n');
                text.push_str(line);
            }
            None => *text = Some((place, line.to_owned())),
        };
        let body = |line: &usize| !self.used[*line] && !blank(self.lines[*line]);
        let first = (0..self.lines.len()).find(body);
        let last = (0..self.lines.len()).rfind(body);
        let (Some(first), Some(last)) = (first, last) else {
            return pieces;
        };
        let mut fences = self.fences.iter().filter(|f| f.open >= first).peekable();
        let mut line = first;
        while line <= last {
            let fence = fences.next_if(|fence| fence.open == line);
            let end = fence.map_or(line, |fence| fence.close);
            match fence {
                Some(fence) if fence.closed && fence.label() != Label::Other => {
                    pieces.extend(text.take().map(|(place, text)| (place, Piece::Text(text))));
                    let inside = fence.open + 1..end;
                    pieces.push((fence.open + 1, Piece::Item(fence.label(), inside)));
                }
                Some(fence) if fence.closed => {
                    (line..=end).for_each(|line| add(&mut text, line, self.lines[line]));
                }
                Some(_) => {
                    let (open, close) = closed_for_good(self.lines[line]);
                    add(&mut text, line, &open);
                    (line + 1..end).for_each(|line| add(&mut text, line, self.lines[line]));
                    add(&mut text, end, &close);
                }
                None if self.used[line] => {}
                None => add(&mut text, line, self.lines[line]),
            }
            line = end + 1;
        }
        pieces.extend(text.map(|(place, text)| (place, Piece::Text(text))));
        pieces
    }

    /// Makes a line a header; says nothing if it is none.
    fn take(&mut self, line: usize) {
        let Some((key, value)) = header::line(self.lines[line]) else {
            return;
        };
        self.header(key, value);
        self.used[line] = true;
    }

    /// The first value of a known key counts; everything else is kept as it came.
    fn header(&mut self, key: &str, value: &str) {
        let taken = Known::of(key).is_some_and(|known| self.headers.fill(known, value));
        if !taken {
            self.extra.push((key.to_owned(), value.to_owned()));
        }
    }

    /// Headers between `---` in line 1 and the next `---`; returns the line after them. A rule
    /// with prose below it is no front matter.
    fn front_matter(&mut self) -> usize {
        if self
            .lines
            .first()
            .is_none_or(|line| line.trim_end() != "---")
        {
            return 0;
        }
        let inside = &self.lines[1..];
        let Some(length) = inside
            .iter()
            .position(|l| matches!(l.trim_end(), "---" | "..."))
        else {
            return 0;
        };
        let yaml =
            |line: &&str| blank(line) || line.starts_with([' ', '#', '-']) || line.contains(':');
        let inside = &inside[..length];
        // A fence that opens there would hold what comes after it, were it kept as text.
        let prose = !inside.iter().all(yaml) || !markdown::fences(inside).is_empty();
        if prose || !inside.iter().any(|line| header::line(line).is_some()) {
            return 0;
        }
        for line in 1..=length {
            if let Some((key, value)) = header::line(self.lines[line]) {
                let (key, value) = (key.to_owned(), unquoted(value).to_owned());
                self.header(&key, &value);
                self.used[line] = true;
            }
        }
        self.used[0] = true;
        self.used[length + 1] = true;
        length + 2
    }

    /// Headers under a heading that says metadata, and in the block under one that says signature.
    fn sections(&mut self) {
        #[derive(Clone, Copy, PartialEq)]
        enum Section {
            Metadata,
            Signature,
            Other,
        }
        let mut section = Section::Other;
        let mut fences = self.fences.clone().into_iter().peekable();
        let mut line = 0;
        while line < self.lines.len() {
            if let Some(fence) = fences.next_if(|fence| fence.open == line) {
                if section == Section::Signature && fence.closed {
                    self.signature(&fence);
                }
                line = fence.close + 1;
                continue;
            }
            if Some(line) == self.title {
                section = Section::Other;
            } else if let Some((_, text)) = markdown::heading(self.lines[line]) {
                let text = text.to_lowercase();
                section = match () {
                    () if text.contains("metadata") => Section::Metadata,
                    () if text.contains("signature") => Section::Signature,
                    () => Section::Other,
                };
            } else if section == Section::Metadata && !self.used[line] {
                self.take(line);
            }
            line += 1;
        }
    }

    /// Fills the headers that are still missing; the block itself stays in the body.
    fn signature(&mut self, fence: &Fence<'_>) {
        if !matches!(
            fence.info.split_whitespace().next(),
            None | Some("yaml" | "yml")
        ) {
            return;
        }
        let block = self.lines[fence.open + 1..fence.close].join("\n");
        let Some(pairs) = header::yaml(&block) else {
            self.notes.push(Note::BrokenSignature);
            return;
        };
        for (key, value) in pairs {
            let value = value.trim();
            if let Some(known) = Known::of(&key)
                && !value.is_empty()
                && !value.contains(char::is_control)
            {
                self.headers.fill(known, value);
            }
        }
    }
}

/// For each line from `from` on: whether it stands outside all fences.
fn outside<'a>(fences: &'a [Fence<'_>], from: usize) -> impl Iterator<Item = bool> + 'a {
    let mut fences = fences.iter().peekable();
    (from..).map(move |line| {
        while fences.next_if(|fence| fence.close < line).is_some() {}
        fences.peek().is_none_or(|fence| line < fence.open)
    })
}

/// The opening of a fence with a label that makes it text, and the line that closes it.
fn closed_for_good(line: &str) -> (String, String) {
    let Some((mark, length, info)) = markdown::opening(line) else {
        return (line.to_owned(), String::new());
    };
    let mark = mark.to_string().repeat(length);
    let fence = Fence {
        open: 0,
        close: 0,
        info,
        closed: true,
    };
    match fence.label() {
        Label::Other => (line.to_owned(), mark),
        _ => (format!("{mark}text {info}"), mark),
    }
}

/// A line of blanks.
pub(super) fn blank(line: &str) -> bool {
    line.trim().is_empty()
}

/// The text of a first-level heading.
fn title(line: &str) -> Option<&str> {
    markdown::heading(line).and_then(|(level, text)| (level == 1).then_some(text))
}

/// The subject in a title: without leading symbols and bold, and without a prefix up to `Spore:`.
fn subject(title: &str) -> Option<String> {
    let symbol = |c: char| c.is_whitespace() || c == '*' || !(c.is_ascii() || c.is_alphanumeric());
    let mut text = match after_prefix(title) {
        Some(rest) => rest,
        None => title.trim_start_matches(symbol),
    };
    loop {
        text = text.trim();
        if text.len() > LONG {
            break;
        }
        // Bold around all of it, or the end of bold that began before.
        let unbolded = match text.strip_suffix("**") {
            Some(rest) if text.matches("**").count() % 2 == 1 => rest,
            Some(rest) if text.matches("**").count() == 2 && rest.starts_with("**") => &rest[2..],
            _ => break,
        };
        text = unbolded;
    }
    (!text.is_empty() && text != "(none)").then(|| text.to_owned())
}

/// What follows the first word `Spore:`.
fn after_prefix(title: &str) -> Option<&str> {
    const WORD: &str = "spore:";
    let lower = title.to_ascii_lowercase();
    lower.match_indices(WORD).find_map(|(at, _)| {
        let whole = !title[..at].ends_with(char::is_alphanumeric);
        whole.then(|| &title[at + WORD.len()..])
    })
}

/// A value without the quotes around it.
fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .map(str::trim)
        .filter(|inner| !inner.is_empty())
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(found: &Layout<'_>) -> Vec<usize> {
        (0..found.lines.len())
            .filter(|line| found.used[*line])
            .collect()
    }

    #[test]
    fn a_fence_that_nothing_closes_is_text_for_good() {
        let found = layout("# a\n\n````action now\n```\nstop all\n\n");
        let text = "````text action now\n```\nstop all\n\n````";
        assert_eq!(found.pieces(), [(2, Piece::Text(text.into()))]);
    }

    #[test]
    fn a_body_keeps_its_blank_lines_but_not_those_around_it() {
        let found = layout("# a\n\n\nb\n\n```result\nOK\n```\n```sh\nx\n```\n \n");
        let sh = "```sh\nx\n```";
        let wanted = [
            (3, Piece::Text("b\n".into())),
            (6, Piece::Item(Label::Result, 6..7)),
            (8, Piece::Text(sh.into())),
        ];
        assert_eq!(found.pieces(), wanted);
    }

    #[test]
    fn a_title_gives_its_subject_alone() {
        for (title, wanted) in [
            ("🧬 Spore: hand over auth", Some("hand over auth")),
            ("🧬 Beast Mode Spore: X", Some("X")),
            (
                "🧬 **RDI Implementation Spore**",
                Some("RDI Implementation Spore"),
            ),
            ("**Beast Mode Spore: X**", Some("X")),
            ("🧬 Spore: **X**", Some("X")),
            ("Spore: Spore: twice", Some("Spore: twice")),
            ("hello **there** you", Some("hello **there** you")),
            ("🧬 Spore: (none)", None),
            ("🧬 Spore:", None),
            ("**", None),
            ("spores: many", Some("spores: many")),
            ("/help is broken", Some("/help is broken")),
            ("Ɐspore: İ", Some("Ɐspore: İ")),
        ] {
            assert_eq!(subject(title).as_deref(), wanted, "{title}");
        }
    }

    #[test]
    fn the_block_below_the_title_ends_at_the_first_other_line() {
        let found = layout("# a\n\nFrom: x\nTo: y, z\n\nNote: this is body\n");
        assert_eq!(found.headers.from.as_deref(), Some("x"));
        assert_eq!(found.headers.to, ["y", "z"]);
        assert_eq!((&found.extra, used(&found)), (&vec![], vec![0, 2, 3]));
    }

    #[test]
    fn the_first_occurrence_wins_and_the_others_are_kept() {
        let found = layout(
            "# a\nFrom: x\nDate: soon\n\n## Spore Metadata\n- **From**: y\n\n- **Team**: z\n# b\nA: b\n",
        );
        assert_eq!(found.headers.from.as_deref(), Some("x"));
        let extra: Vec<_> = found
            .extra
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(extra, ["Date=soon", "From=y", "Team=z"]);
    }

    #[test]
    fn a_rule_with_prose_below_it_is_no_front_matter() {
        let found = layout("---\nsome prose\nFrom: x\n---\n# a\n");
        assert!(found.headers.is_empty());
        let found = layout("---\nfrom: \"x\"\ntags:\n  - a\n---\n# a\n");
        assert_eq!(found.headers.from.as_deref(), Some("x"));
        assert_eq!(used(&found), [0, 1, 4, 5]);
    }

    #[test]
    fn a_broken_signature_is_noted_and_fills_nothing() {
        let found = layout("# a\n## Signature\n```yaml\nspore_id: [\n```\n");
        assert_eq!(
            (found.headers.id, found.notes),
            (None, vec![Note::BrokenSignature])
        );
        let found = layout("# a\n## Signature\n```python\nspore_id: x\n```\n");
        assert_eq!((found.headers.id, found.notes), (None, vec![]));
    }

    #[test]
    fn below_the_verbatim_mark_everything_is_body() {
        let found = layout("# a\n\n- **From**: x\n\n<!-- verbatim -->\n\n## Metadata\nTo: y\n");
        assert_eq!((found.headers.to.len(), used(&found)), (0, vec![0, 2, 4]));
    }
}
