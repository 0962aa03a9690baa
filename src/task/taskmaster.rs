//! Taskmaster `tasks.json`: tags with tasks with subtasks; a bare dependency of a subtask is a
//! sibling, `"5.2"` is absolute; ids are numbers and strings in one file.

use std::collections::HashMap;

use super::json::{self, Spanned, Value};
use super::markdown::{add_touches, blank, edge, note};
use super::{
    Fact, Format, Kind, Level, List, Missing, Node, Place, Source, State, Strength, TouchFrom, Why,
    paths,
};

/// The broken-JSON note that all JSON forms share.
pub(super) fn broken(error: &json::Broken) -> super::Note {
    let message = format!("not JSON: column {}: {}", error.column, error.why);
    note(Level::Error, error.line, message)
}

/// An empty list of a format.
pub(super) fn empty(format: Format) -> List {
    let mut list = List::default();
    list.sources.push(Source {
        file: String::new(),
        format,
        spec: String::new(),
        waves: false,
        facts: Vec::new(),
    });
    list
}

/// Counts names in the order met.
pub(super) fn tally(table: &mut Vec<(String, u64)>, name: &str) {
    match table.iter_mut().find(|(known, _)| known == name) {
        Some((_, count)) => *count += 1,
        None => table.push((name.to_owned(), 1)),
    }
}

/// Reads a `tasks.json`.
pub(super) fn read(text: &str) -> List {
    let mut list = empty(Format::Taskmaster);
    let root = match json::read(text, 1) {
        Ok(root) => root,
        Err(error) => {
            list.notes.push(broken(&error));
            return list;
        }
    };
    let bare = Spanned {
        span: root.span,
        line: 1,
        value: Value::Null,
    };
    let tags: Vec<(&str, &Spanned)> = if root.get("tasks").is_some() {
        vec![("", root.get("tasks").unwrap_or(&bare))]
    } else if matches!(root.value, Value::Array(_)) {
        vec![("", &root)]
    } else {
        root.fields()
            .iter()
            .filter_map(|(tag, value)| Some((tag.as_str(), value.get("tasks")?)))
            .collect()
    };
    let many = tags.len() > 1;
    let mut edges = 0;
    let mut unresolved = 0;
    for (tag, tasks) in &tags {
        let prefix = if many {
            format!("{tag}/")
        } else {
            String::new()
        };
        let first = list.tasks.len();
        let mut waits: Vec<(usize, String, String, u32)> = Vec::new();
        for item in tasks.items() {
            let Some(id) = item.get("id").and_then(Spanned::id) else {
                let message = "a task without id is ignored".to_owned();
                list.notes.push(note(Level::Warning, item.line, message));
                continue;
            };
            let parent = add(&mut list, item, &format!("{prefix}{id}"), None);
            for (other, line) in item.ids_of("dependencies") {
                waits.push((parent, format!("{prefix}{other}"), other, line));
            }
            let subtasks = item.get("subtasks").map(Spanned::items).unwrap_or_default();
            for sub in subtasks {
                let Some(sub_id) = sub.get("id").and_then(Spanned::id) else {
                    continue;
                };
                let sub_id = sub_id.strip_prefix(&format!("{id}.")).unwrap_or(sub_id);
                let full = format!("{prefix}{id}.{sub_id}");
                let index = add(&mut list, sub, &full, Some(parent));
                for (other, line) in sub.ids_of("dependencies") {
                    let absolute = if other.contains('.') {
                        format!("{prefix}{other}")
                    } else {
                        format!("{prefix}{id}.{other}")
                    };
                    waits.push((index, absolute, other, line));
                }
            }
            if !subtasks.is_empty() {
                list.tasks[parent].kind = Kind::Container { work: false };
            }
        }
        let mut by_id: HashMap<String, usize> = HashMap::new();
        for index in first..list.tasks.len() {
            let task = &list.tasks[index];
            if let Some(before) = by_id.get(&task.id) {
                let message = format!(
                    "duplicate id {} (lines {}, {})",
                    task.id, list.tasks[*before].place.line, task.place.line
                );
                let line = task.place.line;
                list.notes.push(note(Level::Warning, line, message));
            } else {
                by_id.insert(task.id.clone(), index);
            }
        }
        for (index, absolute, written, line) in waits {
            // A subtask may also name a whole task by its bare id when no sibling has that number.
            let other = by_id
                .get(&absolute)
                .or_else(|| by_id.get(&format!("{prefix}{written}")));
            match other {
                Some(other) if *other == index => {
                    let message = format!("{} depends on itself", list.tasks[index].id);
                    list.notes.push(note(Level::Error, line, message));
                }
                Some(other) => {
                    edges += 1;
                    list.edges.push(edge(
                        Node::Task(*other),
                        Node::Task(index),
                        Why::Depends,
                        Strength::Declared,
                        line,
                    ));
                }
                None => {
                    unresolved += 1;
                    list.missing.push(Missing {
                        task: index,
                        name: written,
                        external: false,
                        place: Place { source: 0, line },
                    });
                }
            }
        }
    }
    let mut statuses = Vec::new();
    let mut leaf = [0u64; 3];
    let mut containers = 0;
    for task in &list.tasks {
        if task.is_work() {
            leaf[0] += 1;
            leaf[1] += u64::from(task.state == State::Done);
            leaf[2] += u64::from(task.state == State::Running);
            tally(
                &mut statuses,
                task.details.last().map_or("", String::as_str),
            );
        } else {
            containers += 1;
        }
    }
    for task in &mut list.tasks {
        task.details.pop();
    }
    if list.tasks.is_empty() {
        let message = "no tasks found (expected {\"tag\": {\"tasks\": [...]}})".to_owned();
        list.notes.push(note(Level::Error, 0, message));
    }
    statuses.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let count = |name, n| (name, Fact::Count(n));
    list.sources[0].facts = vec![
        count("tags", tags.len() as u64),
        count("ids", list.tasks.len() as u64),
        count("containers", containers),
        count("leaf", leaf[0]),
        count("leaf_done", leaf[1]),
        count("leaf_inprogress", leaf[2]),
        count("explicit_edges", edges),
        count("unresolved_refs", unresolved),
        ("statuses", Fact::Table(statuses)),
    ];
    list
}

/// Adds one task; its status is left as the last detail until it is counted.
fn add(list: &mut List, item: &Spanned, id: &str, parent: Option<usize>) -> usize {
    let mut task = blank(id, item.line);
    task.title = item.text_of("title").to_owned();
    for name in ["description", "details"] {
        let text = item.text_of(name);
        task.details.extend(text.lines().map(str::to_owned));
        add_touches(&mut task, paths::named(text), TouchFrom::Text);
    }
    let title_paths = paths::named(&task.title);
    add_touches(&mut task, title_paths, TouchFrom::Text);
    let strategy = item.text_of("testStrategy");
    if !strategy.is_empty() {
        task.acceptance.push(strategy.to_owned());
    }
    task.priority = match item.text_of("priority") {
        "critical" | "high" => 0,
        "low" => 2,
        _ => 1,
    };
    let status = item.text_of("status");
    task.state = match status {
        "done" | "completed" => State::Done,
        "in-progress" | "in_progress" | "review" => State::Running,
        "blocked" => State::Blocked,
        "deferred" => State::Deferred,
        "cancelled" | "canceled" => State::Cancelled,
        "pending" | "" | "todo" => State::Todo,
        other => {
            let message = format!("unknown status {other:?} of {id}, read as not begun");
            list.notes.push(note(Level::Warning, item.line, message));
            State::Todo
        }
    };
    task.declared = true;
    task.parent = parent;
    task.state_at = item.state_at("status");
    task.details.push(status.to_owned());
    list.tasks.push(task);
    list.tasks.len() - 1
}
