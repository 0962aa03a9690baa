//! Markdown as all list forms see it: headings, boxes, detail lines, fenced blocks.
//!
//! A *box line* is `[ \t]*[-*+] [c]` with an optional `*` or `\*` and a text. Fenced code and HTML
//! comments hold no boxes. A detail line belongs to the last box that stands less far in. Each
//! line is looked at once; nothing recurses.

use super::{Level, Note, Place};

/// A Markdown file, taken apart.
#[derive(Debug, Default)]
pub(super) struct Outline<'a> {
    /// Everything of interest, in file order.
    pub(super) items: Vec<Item<'a>>,
    /// The fenced blocks.
    pub(super) fences: Vec<Fence<'a>>,
    /// Fences and comments that never close.
    pub(super) notes: Vec<Note>,
}

/// One line that means something.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// `## Text`.
    Heading {
        /// How many `#`.
        level: usize,
        /// Its text.
        text: &'a str,
        /// Its line.
        line: u32,
    },
    /// A box.
    Box(Box<'a>),
    /// A line of text or a bullet.
    Detail {
        /// The box it belongs to: an index among the boxes.
        owner: Option<usize>,
        /// Whether it is a bullet.
        bullet: bool,
        /// Its text without bullet.
        text: &'a str,
        /// Its line.
        line: u32,
    },
}

/// A box line.
#[derive(Debug, Clone)]
pub(super) struct Box<'a> {
    /// Columns before the bullet; a tab reaches to the next multiple of four.
    pub(super) indent: usize,
    /// The character between the brackets.
    pub(super) state: char,
    /// Whether a star follows the bracket.
    pub(super) star: bool,
    /// What follows.
    pub(super) text: &'a str,
    /// The box that stands around it by indentation: an index among the boxes.
    pub(super) outer: Option<usize>,
    /// Its line.
    pub(super) line: u32,
}

/// A fenced block.
#[derive(Debug)]
pub(super) struct Fence<'a> {
    /// The line after the opening.
    pub(super) line: u32,
    /// What stands inside.
    pub(super) text: &'a str,
    /// The last heading before it.
    pub(super) under: &'a str,
}

/// The states that a box line may have; others make a box only before an id.
pub(super) const STATES: &str = " xX~-/!?>";

/// Columns that leading blanks take, and how many bytes they are.
fn indent_of(line: &str) -> (usize, usize) {
    let mut columns = 0;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns = columns / 4 * 4 + 4,
            _ => return (columns, at),
        }
    }
    (columns, line.len())
}

/// The fence that a line opens: its character and length.
fn fence_of(line: &str) -> Option<(u8, usize)> {
    let first = *line.as_bytes().first()?;
    if first != b'`' && first != b'~' {
        return None;
    }
    let length = line.bytes().take_while(|b| *b == first).count();
    let info = &line[length..];
    (length >= 3 && !(first == b'`' && info.contains('`'))).then_some((first, length))
}

/// The parts of a box line after its blanks: state character, star, text.
fn box_of(line: &str) -> Option<(char, bool, &str)> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = match digits {
        0 => line.strip_prefix(['-', '*', '+'])?,
        // `1. [ ] text`, a numbered list; the number is the place, no name.
        1..=9 => line[digits..].strip_prefix(['.', ')'])?,
        _ => return None,
    };
    let rest = rest.strip_prefix(" [")?;
    let state = rest.chars().next()?;
    let rest = rest[state.len_utf8()..].strip_prefix(']')?;
    let (star, rest) = match rest.strip_prefix("\\*").or(rest.strip_prefix('*')) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let text = rest.trim();
    let known = STATES.contains(state);
    let marked = !known && state.is_alphanumeric() && super::ids::leading(text).is_some();
    (!text.is_empty() && (known || marked)).then_some((state, star, text))
}

/// A line without its bullet, if it has one.
fn bullet_of(line: &str) -> Option<&str> {
    let rest = line.strip_prefix(['-', '*', '+'])?;
    rest.starts_with([' ', '\t']).then(|| rest.trim())
}

/// Where HTML comments stand, line after line.
struct Comments {
    /// Whether the line begins inside one.
    inside: bool,
    /// The line on which the open one began.
    since: u32,
    /// How many bytes before the end of the file the last `-->` stands.
    last_close: Option<usize>,
}

impl Comments {
    /// The part of a line that is not comment: the line itself, or what stands before the first
    /// comment, or after it if nothing stands before.
    fn visible<'a>(&mut self, line: &'a str, start: usize, number: u32) -> &'a str {
        let mut rest = line;
        if self.inside {
            match rest.find("-->") {
                Some(end) => {
                    self.inside = false;
                    rest = &rest[end + 3..];
                }
                None => return "",
            }
        }
        let mut shown = rest;
        let mut cut = false;
        let mut from = 0;
        // The bound keeps a line of nothing but comments linear.
        for _ in 0..64 {
            let Some(open) = rest[from..].find("<!--").map(|at| at + from) else {
                break;
            };
            let in_code = rest[..open].bytes().filter(|b| *b == b'`').count() % 2 == 1;
            if in_code {
                from = open + 4;
                continue;
            }
            if !cut {
                shown = &rest[..open];
                cut = true;
            }
            match rest[open + 4..].find("-->") {
                Some(end) => {
                    from = open + 4 + end + 3;
                    if shown.trim().is_empty() {
                        shown = &rest[from..];
                        cut = false;
                        rest = shown;
                        from = 0;
                    }
                }
                None => {
                    let begins_line = line.trim_start().starts_with("<!--");
                    let here = start + (line.len() - rest.len()) + open;
                    if begins_line || self.last_close.is_some_and(|close| close > here) {
                        self.inside = true;
                        self.since = number;
                        return shown;
                    }
                    return rest;
                }
            }
        }
        shown
    }
}

/// Takes a text apart; `source` goes into the places of the notes.
pub(super) fn read(text: &str, source: u32) -> Outline<'_> {
    let mut outline = Outline::default();
    let mut comments = Comments {
        inside: false,
        since: 0,
        last_close: text.rfind("-->"),
    };
    let mut open_fence: Option<(u8, usize, u32, usize, Option<usize>)> = None;
    let mut hidden_boxes = 0;
    let mut stack: Vec<(usize, usize)> = Vec::new();
    let mut boxes = 0;
    let mut heading = "";
    let mut start = 0;
    for (number, raw) in text.split_inclusive('\n').enumerate() {
        let number = number as u32 + 1;
        let begin = start;
        start += raw.len();
        let raw = raw.trim_end_matches(['\n', '\r']);
        let (indent, blanks) = indent_of(raw);
        if let Some((mark, length, since, from, owner)) = open_fence {
            let line = &raw[blanks..];
            let run = line.bytes().take_while(|b| *b == mark).count();
            if run >= length && line[run..].trim().is_empty() {
                outline.fences.push(Fence {
                    line: since + 1,
                    text: &text[from..begin],
                    under: heading,
                });
                open_fence = None;
                hidden_boxes = 0;
            } else {
                hidden_boxes += usize::from(box_of(line).is_some());
                outline.items.push(Item::Detail {
                    owner,
                    bullet: false,
                    text: raw,
                    line: number,
                });
            }
            continue;
        }
        let was_inside = comments.inside;
        let shown = comments.visible(raw, begin, number);
        let line = if was_inside || shown.len() != raw.len() {
            shown.trim()
        } else {
            raw[blanks..].trim_end()
        };
        if was_inside || comments.inside {
            hidden_boxes += usize::from(box_of(raw[blanks..].trim_end()).is_some());
        } else {
            hidden_boxes = 0;
        }
        if line.is_empty() {
            continue;
        }
        // A fence may stand right behind a bullet, too.
        let fence = fence_of(line).or_else(|| bullet_of(line).and_then(fence_of));
        if let Some((mark, length)) = fence {
            while stack.last().is_some_and(|(outer, _)| *outer >= indent) {
                stack.pop();
            }
            let owner = stack.last().map(|(_, index)| *index);
            open_fence = Some((mark, length, number, start, owner));
            hidden_boxes = 0;
            continue;
        }
        if indent <= 3 && line.starts_with('#') {
            let level = line.bytes().take_while(|b| *b == b'#').count();
            if level <= 6 && (line.len() == level || line[level..].starts_with([' ', '\t'])) {
                heading = line[level..].trim().trim_end_matches('#').trim_end();
                stack.clear();
                outline.items.push(Item::Heading {
                    level,
                    text: heading,
                    line: number,
                });
                continue;
            }
        }
        while stack.last().is_some_and(|(outer, _)| *outer >= indent) {
            stack.pop();
        }
        let owner = stack.last().map(|(_, index)| *index);
        if let Some((state, star, text)) = box_of(line) {
            stack.push((indent, boxes));
            boxes += 1;
            outline.items.push(Item::Box(Box {
                indent,
                state,
                star,
                text,
                outer: owner,
                line: number,
            }));
            continue;
        }
        let (bullet, text) = match bullet_of(line) {
            Some(text) => (true, text),
            None => (false, line),
        };
        outline.items.push(Item::Detail {
            owner,
            bullet,
            text,
            line: number,
        });
    }
    let unclosed = match open_fence {
        Some((_, _, since, _, _)) => Some(("fence", since)),
        None if comments.inside => Some(("comment", comments.since)),
        None => None,
    };
    if let Some((what, line)) = unclosed {
        outline.notes.push(Note {
            place: Place { source, line },
            level: Level::Warning,
            message: format!(
                "{what} opened at line {line} never closed: {hidden_boxes} boxes inside ignored"
            ),
            hint: None,
        });
    }
    outline
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(text: &str) -> Vec<(u32, String)> {
        read(text, 0)
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Box(found) => Some((found.line, found.text.to_owned())),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn fences_and_comments_hold_no_boxes() {
        let text = "- [ ] a\n  ```\n  - [ ] no\n  ```\n~~~md\n- [x] no\n```\n~~~\n<!-- - [ ] no\n- [ ] no\n-->\n- [X] b <!-- c -->\n- [ ] `<!--` d\n- [ ]* e\n- [P] legend\n";
        let found: Vec<String> = boxes(text).into_iter().map(|(_, text)| text).collect();
        assert_eq!(found, ["a", "b", "`<!--` d", "e"]);
        let text = "- [ ] a\n  - ```md\n    - [ ] no\n    ```\n- ```one``` line\n- [ ] b\n";
        assert_eq!(boxes(text).len(), 2);
    }

    #[test]
    fn an_unclosed_fence_says_what_it_hides() {
        let outline = read("- [ ] a\n```\n- [ ] b\n- [ ] c\n", 0);
        assert_eq!(
            outline.notes[0].message,
            "fence opened at line 2 never closed: 2 boxes inside ignored"
        );
    }

    #[test]
    fn a_line_belongs_to_the_last_box_that_stands_less_far_in() {
        let outline = read("- [ ] a\n\t- one\n  - [ ] b\n    two\n  - three\nfour\n", 0);
        let owners: Vec<Option<usize>> = outline
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Detail { owner, .. } => Some(*owner),
                _ => None,
            })
            .collect();
        assert_eq!(owners, [Some(0), Some(1), Some(0), None]);
    }
}
