//! Ticking: the one change we make to a list, and no byte more than it takes.

use std::collections::BTreeSet;

use super::{Format, Kind, List, Task};

/// Why a task cannot be ticked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TickError {
    /// The line holds no box, or no status.
    #[error("line {0} has nothing to tick")]
    NoBox(u32),
    /// The file is a copy of what a program keeps elsewhere.
    #[error("{0} lists are written by their own program, which would not see the change")]
    NotOurs(Format),
}

/// The bytes of a list with these of its tasks ticked. What is ticked already stays as it is.
///
/// # Errors
/// See [`TickError`]; then nothing is ticked.
pub fn tick(format: Format, bytes: &[u8], tasks: &[&Task]) -> Result<Vec<u8>, TickError> {
    let lines: BTreeSet<u32> = tasks.iter().map(|task| task.place.line).collect();
    let word = match format {
        Format::Kiro | Format::CcSdd | Format::SpecKit | Format::OpenSpec | Format::Github => {
            return boxes(bytes, &lines);
        }
        Format::Bmad if tasks.iter().all(|task| is_box(bytes, task.place.line)) => {
            return boxes(bytes, &lines);
        }
        Format::Bmad => return statuses(bytes, &lines),
        Format::Beads => return Err(TickError::NotOurs(format)),
        Format::Taskmaster => ("status", "\"done\""),
        Format::Claude | Format::Ours => ("status", "\"completed\""),
        Format::Ralph => ("passes", "true"),
    };
    values(bytes, tasks, word)
}

/// Adds to the finished tasks the containers all of whose parts are finished.
pub fn close_containers(list: &List, finished: &mut BTreeSet<usize>) {
    let mut open = vec![0u32; list.tasks.len()];
    for task in &list.tasks {
        if let Some(parent) = task.parent {
            open[parent] += 1;
        }
    }
    let over = |index: usize| list.tasks[index].is_over();
    let mut closed: Vec<usize> = (0..list.tasks.len())
        .filter(|&index| over(index) || finished.contains(&index))
        .filter(|&index| !matches!(list.tasks[index].kind, Kind::Container { .. }))
        .collect();
    while let Some(index) = closed.pop() {
        let Some(parent) = list.tasks[index].parent else {
            continue;
        };
        open[parent] -= 1;
        let own_work = list.tasks[parent].kind == Kind::Container { work: true };
        if open[parent] == 0 && (!own_work || over(parent) || finished.contains(&parent)) {
            finished.insert(parent);
            closed.push(parent);
        }
    }
}

/// A Markdown list with the boxes on `lines` (from 1) ticked: nothing but the character between the
/// brackets changes.
fn boxes(bytes: &[u8], lines: &BTreeSet<u32>) -> Result<Vec<u8>, TickError> {
    on_lines(bytes, lines, |line| {
        let at = state_at(line)?;
        let end = at + line[at..].iter().position(|byte| *byte == b']')?;
        let ticked = matches!(&line[at..end], b"x" | b"X");
        Some((at, end, if ticked { &line[at..end] } else { b"x" }))
    })
}

/// A sprint status with the stories on `lines` done: the word after the colon changes.
fn statuses(bytes: &[u8], lines: &BTreeSet<u32>) -> Result<Vec<u8>, TickError> {
    on_lines(bytes, lines, |line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let blanks = line[colon + 1..]
            .iter()
            .take_while(|byte| **byte == b' ')
            .count();
        let at = colon + 1 + blanks;
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let end = at + line[at..].iter().take_while(|byte| word(byte)).count();
        (blanks > 0 && end > at).then_some((at, end, &b"done"[..]))
    })
}

/// Puts, on each of the lines, other bytes in the place of a stretch of it.
fn on_lines(
    bytes: &[u8],
    lines: &BTreeSet<u32>,
    change: impl Fn(&[u8]) -> Option<(usize, usize, &[u8])>,
) -> Result<Vec<u8>, TickError> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut wanted = lines.iter().copied().peekable();
    let mut number = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        number += 1;
        if wanted.next_if_eq(&number).is_none() {
            out.extend_from_slice(line);
            continue;
        }
        let (from, to, new) = change(line).ok_or(TickError::NoBox(number))?;
        out.extend_from_slice(&line[..from]);
        out.extend_from_slice(new);
        out.extend_from_slice(&line[to..]);
    }
    match wanted.next() {
        Some(beyond) => Err(TickError::NoBox(beyond)),
        None => Ok(out),
    }
}

/// JSON with another value, or a new one, where each task says how far it is.
fn values(
    bytes: &[u8],
    tasks: &[&Task],
    (name, value): (&str, &str),
) -> Result<Vec<u8>, TickError> {
    // Places are counted behind a byte order mark.
    let mark = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut places = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (from, to) = task.state_at.ok_or(TickError::NoBox(task.place.line))?;
        places.push((from as usize + mark, to as usize + mark));
    }
    places.sort_unstable();
    let mut out = Vec::with_capacity(bytes.len() + tasks.len() * 16);
    let mut done = 0;
    for (from, to) in places {
        out.extend_from_slice(&bytes[done..from]);
        if from == to {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        }
        out.extend_from_slice(value.as_bytes());
        done = to;
    }
    out.extend_from_slice(&bytes[done..]);
    Ok(out)
}

fn is_box(bytes: &[u8], line: u32) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let line = lines.nth(line.saturating_sub(1) as usize);
    line.is_some_and(|line| state_at(line).is_some())
}

/// Where the state of the first box of a line begins.
fn state_at(line: &[u8]) -> Option<usize> {
    line.windows(3)
        .position(|three| matches!(three, [b'-' | b'*' | b'+' | b'.' | b')', b' ', b'[']))
        .map(|at| at + 3)
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    /// A list with the tasks of these ids, and the containers that this closes, ticked.
    fn ticked(file: &str, bytes: &[u8], ids: &[&str]) -> Vec<u8> {
        let list = read(file, bytes, None);
        let mut done: BTreeSet<usize> = ids.iter().map(|id| list.find(id).unwrap()).collect();
        close_containers(&list, &mut done);
        let tasks: Vec<&Task> = done.iter().map(|&index| &list.tasks[index]).collect();
        tick(list.sources[0].format, bytes, &tasks).unwrap()
    }

    #[test]
    fn only_the_state_changes() {
        let list = b"\xef\xbb\xbf# Implementation Plan\r\n- [ ] 1. a\r\n\t* [-]* 1.1 \xff [ ]\r\n- [X] 2. b";
        assert_eq!(
            ticked("tasks.md", list, &["1.1", "2"]),
            b"\xef\xbb\xbf# Implementation Plan\r\n- [x] 1. a\r\n\t* [x]* 1.1 \xff [ ]\r\n- [X] 2. b"
        );
        assert_eq!(
            ticked("todo.md", b"1. [ ] a\n2) [ ] b. [ ] c\n", &["2"]),
            b"1. [ ] a\n2) [x] b. [ ] c\n"
        );
        assert_eq!(boxes(list, &BTreeSet::from([1])), Err(TickError::NoBox(1)));
        assert_eq!(boxes(list, &BTreeSet::from([9])), Err(TickError::NoBox(9)));
    }

    #[test]
    fn a_container_is_ticked_with_the_last_of_its_parts() {
        let list = b"- [ ] 1. a\n  - [x] 1.1 b\n  - [ ] 1.2 c\n- [ ] 2. d\n  - [ ] 2.1 e\n";
        assert_eq!(
            ticked("tasks.md", list, &["1.2"]),
            b"- [x] 1. a\n  - [x] 1.1 b\n  - [x] 1.2 c\n- [ ] 2. d\n  - [ ] 2.1 e\n"
        );
    }

    #[test]
    fn each_form_is_ticked_in_its_own_words() {
        for (file, before, id, after) in [
            (
                "tasks.json",
                "\u{feff}{\"tasks\":[{\"id\":1,\"title\":\"a\", \"status\" : \"pending\",\"subtasks\":[]},{\"id\":2,\"title\":\"b\"}]}",
                "1",
                "\u{feff}{\"tasks\":[{\"id\":1,\"title\":\"a\", \"status\" : \"done\",\"subtasks\":[]},{\"id\":2,\"title\":\"b\"}]}",
            ),
            (
                "tasks.json",
                "{\"tasks\":[{\"id\":1,\"title\":\"a\"},{\"id\":2,\"title\":\"b\"}]}",
                "2",
                "{\"tasks\":[{\"id\":1,\"title\":\"a\"},{\"id\":2,\"title\":\"b\",\"status\":\"done\"}]}",
            ),
            (
                "prd.json",
                "{\"userStories\":[{\"id\":\"US-1\",\"passes\":false}]}",
                "US-1",
                "{\"userStories\":[{\"id\":\"US-1\",\"passes\":true}]}",
            ),
            (
                "7.json",
                "{\"id\":\"7\",\"subject\":\"x\",\"status\":\"in_progress\"}\n",
                "7",
                "{\"id\":\"7\",\"subject\":\"x\",\"status\":\"completed\"}\n",
            ),
            (
                "plan.jsonl",
                "{\"id\":\"a\",\"description\":\"x\"}\r\n{\"id\":\"b\",\"description\":\"y\",\"status\":\"running\"}\r\n",
                "b",
                "{\"id\":\"a\",\"description\":\"x\"}\r\n{\"id\":\"b\",\"description\":\"y\",\"status\":\"completed\"}\r\n",
            ),
            (
                "sprint-status.yaml",
                "development_status:\n  epic-1: in-progress\n  1-1-login: review  # mine\n  1-2-logout: backlog\n",
                "1-1-login",
                "development_status:\n  epic-1: in-progress\n  1-1-login: done  # mine\n  1-2-logout: backlog\n",
            ),
        ] {
            let new = ticked(file, before.as_bytes(), &[id]);
            assert_eq!(String::from_utf8(new).unwrap(), after, "{file}");
        }
    }

    #[test]
    fn what_a_program_keeps_elsewhere_is_not_touched() {
        let text =
            b"{\"id\":\"a-1\",\"title\":\"x\",\"issue_type\":\"task\",\"status\":\"open\"}\n";
        let list = read("issues.jsonl", text, None);
        let error = tick(Format::Beads, text, &[&list.tasks[0]]);
        assert_eq!(error, Err(TickError::NotOurs(Format::Beads)));
    }
}
