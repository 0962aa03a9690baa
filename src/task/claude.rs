//! Claude Code task files: one JSON object a file, `blocks` and `blockedBy`. The two may disagree;
//! the union counts, and what is named in another file is found when the files are merged.

use super::json::{self, Spanned};
use super::markdown::{add_touches, blank, note};
use super::taskmaster::{broken, empty};
use super::{Format, Level, List, Missing, Place, State, TouchFrom, paths};

/// Reads one task file, or an array of tasks.
pub(super) fn read(text: &str) -> List {
    let mut list = empty(Format::Claude);
    let root = match json::read(text, 1) {
        Ok(root) => root,
        Err(error) => {
            list.notes.push(broken(&error));
            return list;
        }
    };
    let items = match root.get("tasks").or(Some(&root)) {
        Some(all) if !all.items().is_empty() => all.items(),
        _ => std::slice::from_ref(&root),
    };
    for item in items {
        let Some(id) = item.get("id").and_then(Spanned::id) else {
            let message = "a task without id is ignored".to_owned();
            list.notes.push(note(Level::Warning, item.line, message));
            continue;
        };
        let index = list.tasks.len();
        let mut task = blank(id, item.line);
        task.title = item.text_of("subject").to_owned();
        let description = item.text_of("description");
        task.details = description.lines().map(str::to_owned).collect();
        for text in [item.text_of("subject"), description] {
            add_touches(&mut task, paths::named(text), TouchFrom::Text);
        }
        task.state = match item.text_of("status") {
            "pending" | "" => State::Todo,
            "in_progress" => State::Running,
            "completed" => State::Done,
            "deleted" => State::Cancelled,
            other => {
                let message = format!("unknown status {other:?} of {id}, read as not begun");
                list.notes.push(note(Level::Warning, item.line, message));
                State::Todo
            }
        };
        task.declared = true;
        task.state_at = item.state_at("status");
        list.tasks.push(task);
        for (name, mark) in [("blockedBy", ""), ("blocks", "blocks ")] {
            for (other, line) in item.ids_of(name) {
                list.missing.push(Missing {
                    task: index,
                    name: format!("{mark}{other}"),
                    external: false,
                    place: Place { source: 0, line },
                });
            }
        }
    }
    if list.tasks.is_empty() {
        let message = "no tasks found (expected an object with id and subject)".to_owned();
        list.notes.push(note(Level::Error, 0, message));
    }
    list
}
