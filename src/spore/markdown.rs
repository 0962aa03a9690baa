//! The little of CommonMark that a spore needs: headings and fences. Lines are counted from 0.

/// A fence that was closed, or the one that was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fence<'a> {
    /// The line that opens it.
    pub open: usize,
    /// The line that closes it; one after the last line when nothing does.
    pub close: usize,
    /// What stands behind the opening mark, without blanks around it.
    pub info: &'a str,
    /// Whether a line closes it.
    pub closed: bool,
}

/// What the label of a fence makes of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// `action` or `actions`: commands.
    Action,
    /// `result`: one result.
    Result,
    /// Anything else: text.
    Other,
}

impl Fence<'_> {
    /// What its first info word says.
    pub(super) fn label(&self) -> Label {
        match self.info.split_whitespace().next() {
            Some("action" | "actions") => Label::Action,
            Some("result") => Label::Result,
            _ => Label::Other,
        }
    }
}

/// The mark that opens a fence: its character, its length, and the info behind it.
pub(super) fn opening(line: &str) -> Option<(char, usize, &str)> {
    let rest = line.trim_start_matches(' ');
    if line.len() - rest.len() > 3 {
        return None;
    }
    let mark = rest.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let info = rest.trim_start_matches(mark);
    let length = rest.len() - info.len();
    // ```a``` on one line is code within a text.
    (length >= 3 && !(mark == '`' && info.contains('`'))).then(|| (mark, length, info.trim()))
}

/// Whether `line` closes a fence of `length` times `mark`.
fn closes(line: &str, mark: char, length: usize) -> bool {
    let rest = line.trim_start_matches(' ');
    let after = rest.trim_start_matches(mark);
    line.len() - rest.len() <= 3 && rest.len() - after.len() >= length && after.trim().is_empty()
}

/// All fences of a text, in order. Only the last one can be unclosed.
pub(super) fn fences<'a>(lines: &[&'a str]) -> Vec<Fence<'a>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some((mark, length, info)) = opening(lines[at]) else {
            at += 1;
            continue;
        };
        let inside = &lines[at + 1..];
        let end = inside.iter().position(|line| closes(line, mark, length));
        let close = at + 1 + end.unwrap_or(inside.len());
        found.push(Fence {
            open: at,
            close,
            info,
            closed: end.is_some(),
        });
        at = close + 1;
    }
    found
}

/// The text of a heading and its level, one to six.
pub(super) fn heading(line: &str) -> Option<(usize, &str)> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    let text = rest
        .strip_prefix(' ')
        .filter(|_| (1..=6).contains(&level))?;
    Some((level, text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<(usize, usize, String, bool)> {
        let lines: Vec<&str> = text.split('\n').collect();
        fences(&lines)
            .into_iter()
            .map(|f| (f.open, f.close, f.info.to_owned(), f.closed))
            .collect()
    }

    #[test]
    fn a_fence_ends_at_the_same_mark_at_least_as_long() {
        assert_eq!(
            seen("````md\n```action\n```\n````\n~~~ a b\n```\n~~~~\n"),
            [(0, 3, "md".into(), true), (4, 6, "a b".into(), true)]
        );
        assert_eq!(
            seen("```\n``` x\n   ```  \n"),
            [(0, 2, String::new(), true)]
        );
    }

    #[test]
    fn an_unclosed_fence_reaches_to_the_end() {
        assert_eq!(seen("a\n````x\n```\nb"), [(1, 4, "x".into(), false)]);
    }

    #[test]
    fn code_within_text_and_deep_indents_open_nothing() {
        assert_eq!(seen("```a```\n    ```\n``\n\t```"), []);
    }

    #[test]
    fn a_heading_has_one_to_six_marks_and_a_blank() {
        assert_eq!(heading("## Spore Metadata "), Some((2, "Spore Metadata")));
        assert_eq!(heading("#hash"), None);
        assert_eq!(heading("####### seven"), None);
    }
}
