//! Our own JSON lines: the `Task` of the wire, whose `estimated_duration` and `dependencies` count.

use std::collections::HashMap;

use super::json::{self, Spanned, Value};
use super::markdown::{add_touches, blank, edge, note};
use super::taskmaster::{broken, empty};
use super::{
    Estimate, EstimateFrom, Format, Level, List, Missing, Node, Place, State, Strength, TouchFrom,
    Why, beads, estimate, paths,
};

/// Reads `Task` lines, or one array of them.
pub(super) fn read(text: &str) -> List {
    let mut list = empty(Format::Ours);
    // Each item with where its text begins.
    let mut items: Vec<(u32, Spanned)> = Vec::new();
    if text.trim_start().starts_with('[') {
        match json::read(text, 1) {
            Ok(all) => items.extend(all.items().iter().map(|item| (0, item.clone()))),
            Err(error) => list.notes.push(broken(&error)),
        }
    } else {
        let mut begin = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let from = begin as u32;
            begin += line.len();
            if line.trim().is_empty() {
                continue;
            }
            match json::read(line, number as u32 + 1) {
                Ok(item) => items.push((from, item)),
                Err(error) => list.notes.push(broken(&error)),
            }
        }
    }
    let mut by_id: HashMap<String, usize> = HashMap::new();
    let mut waits = Vec::new();
    for (from, item) in &items {
        let Some(id) = item.get("id").and_then(Spanned::id) else {
            let message = "a task without id can't be named by others: give it one".to_owned();
            list.notes.push(note(Level::Error, item.line, message));
            continue;
        };
        let index = list.tasks.len();
        let mut task = blank(id, item.line);
        if by_id.contains_key(id) {
            let message = format!("duplicate id {id}");
            list.notes.push(note(Level::Warning, item.line, message));
        } else {
            by_id.insert(id.to_owned(), index);
        }
        let description = item.text_of("description");
        let mut lines = description.lines();
        task.title = lines.next().unwrap_or_default().to_owned();
        task.details = lines.map(str::to_owned).collect();
        add_touches(&mut task, paths::named(description), TouchFrom::Text);
        task.requirements = item.texts_of("requirements");
        task.needs = item.texts_of("required_capabilities");
        task.acceptance = item.texts_of("acceptance_criteria");
        let mut touches = item.texts_of("touches");
        if let Some(parameters) = item.get("parameters") {
            touches.extend(parameters.texts_of("touches"));
            touches.extend(parameters.texts_of("files"));
        }
        let touches = touches.iter().map(|path| paths::canonical(path)).collect();
        add_touches(&mut task, touches, TouchFrom::Declared);
        task.pin = item
            .get("assigned_instance")
            .and_then(Spanned::text)
            .map(str::to_owned);
        task.state = match item.text_of("status") {
            "pending" | "" => State::Todo,
            "assigned" => State::Queued,
            "running" => State::Running,
            "completed" => State::Done,
            "failed" => State::Failed,
            "cancelled" => State::Cancelled,
            other => {
                let message = format!("unknown status {other:?} of {id}, read as not begun");
                list.notes.push(note(Level::Warning, item.line, message));
                State::Todo
            }
        };
        let duration = item.get("estimated_duration");
        match duration.map(|duration| &duration.value) {
            Some(Value::String(text)) => match estimate::read(text) {
                Ok(ms) => {
                    task.estimate = Some(Estimate {
                        ms,
                        from: EstimateFrom::Stated,
                    });
                }
                Err(wrong) => {
                    let why = match wrong {
                        estimate::Wrong::NoNumber => "it holds no number",
                        estimate::Wrong::Bad(why) => why,
                    };
                    let message =
                        format!("estimated_duration of {id}: {text:?} is no length of time: {why}");
                    list.notes.push(note(Level::Error, item.line, message));
                }
            },
            _ => beads::estimated(&mut list, &mut task, duration, 1000.0),
        }
        task.declared = true;
        let at = item.state_at("status");
        task.state_at = at.map(|(begin, end)| (from + begin, from + end));
        list.tasks.push(task);
        for (other, line) in item.ids_of("dependencies") {
            waits.push((index, other, line));
        }
    }
    for (index, other, line) in waits {
        match by_id.get(&other) {
            Some(known) if *known == index => {
                let message = format!("{other} depends on itself");
                list.notes.push(note(Level::Error, line, message));
            }
            Some(known) => list.edges.push(edge(
                Node::Task(*known),
                Node::Task(index),
                Why::Depends,
                Strength::Declared,
                line,
            )),
            None => list.missing.push(Missing {
                task: index,
                name: other,
                external: false,
                place: Place { source: 0, line },
            }),
        }
    }
    if list.tasks.is_empty() && list.notes.is_empty() {
        let message = "no tasks found (expected one JSON object with an id a line)".to_owned();
        list.notes.push(note(Level::Error, 0, message));
    }
    list
}
