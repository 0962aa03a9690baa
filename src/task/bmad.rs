//! BMAD: a story file with `- [ ] Task 1 (AC: 1)` and subtasks, or `sprint-status.yaml`.

use super::markdown::{blank, note};
use super::{Fact, Format, Kind, Level, List, Source, State, markdown};

/// Reads a story file, or a sprint status if the text has `development_status:`.
pub(super) fn read(text: &str) -> List {
    if text
        .lines()
        .any(|line| line.starts_with("development_status:"))
    {
        return sprint(text);
    }
    markdown::finish(markdown::draft(text, Format::Bmad))
}

/// Reads the one flat mapping of a sprint status line by line, so that each story has its line.
fn sprint(text: &str) -> List {
    let mut list = List::default();
    let mut inside = false;
    let mut epic = None;
    for (number, line) in text.lines().enumerate() {
        let number = number as u32 + 1;
        if !line.starts_with([' ', '\t']) && !line.trim().is_empty() && !line.starts_with('#') {
            inside = line.starts_with("development_status:");
            continue;
        }
        let line = line.split(" #").next().unwrap_or_default().trim();
        let Some((name, status)) = line.split_once(':').filter(|_| inside) else {
            continue;
        };
        let name = name.trim().trim_matches(['"', '\'']);
        if name.is_empty() || name.starts_with('#') {
            continue;
        }
        let status = status.trim().trim_matches(['"', '\'']);
        let mut task = blank(name, number);
        task.title = name.replace('-', " ");
        task.state = match status {
            "done" | "completed" => State::Done,
            "in-progress" | "review" | "in_progress" | "contexted" => State::Running,
            "optional" => {
                task.optional = true;
                State::Todo
            }
            "backlog" | "ready-for-dev" | "drafted" | "" => State::Todo,
            other => {
                let message = format!("unknown status {other:?} of {name}, read as not begun");
                list.notes.push(note(Level::Warning, number, message));
                State::Todo
            }
        };
        let is_epic = name
            .strip_prefix("epic-")
            .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        if is_epic {
            epic = Some(list.tasks.len());
            task.kind = Kind::Container { work: false };
        } else {
            task.parent = epic;
        }
        list.tasks.push(task);
    }
    let mut parts = vec![false; list.tasks.len()];
    for task in &list.tasks {
        if let Some(parent) = task.parent {
            parts[parent] = true;
        }
    }
    for (task, has_parts) in list.tasks.iter_mut().zip(parts) {
        if !has_parts {
            task.kind = Kind::Work;
        }
    }
    let leaf = list.tasks.iter().filter(|t| t.is_work()).count() as u64;
    list.sources.push(Source {
        file: String::new(),
        format: Format::Bmad,
        spec: String::new(),
        waves: false,
        facts: vec![
            ("ids", Fact::Count(list.tasks.len() as u64)),
            ("leaf", Fact::Count(leaf)),
        ],
    });
    list
}
