//! Ralph `prd.json`: user stories in the order of their priority, `passes` when done.

use std::collections::HashMap;

use super::json::{self, Spanned, Value};
use super::markdown::{add_touches, blank, edge, note};
use super::taskmaster::{broken, empty};
use super::{Format, Level, List, Missing, Node, Place, State, Strength, TouchFrom, Why, paths};

/// Reads a `prd.json`. Stories come in the order of their priority, which is the order of work.
pub(super) fn read(text: &str) -> List {
    let mut list = empty(Format::Ralph);
    let root = match json::read(text, 1) {
        Ok(root) => root,
        Err(error) => {
            list.notes.push(broken(&error));
            return list;
        }
    };
    let mut stories: Vec<(i64, &Spanned)> = root
        .get("userStories")
        .map(Spanned::items)
        .unwrap_or_default()
        .iter()
        .map(|story| match story.get("priority").map(|p| &p.value) {
            Some(Value::Number(text)) => (text.parse().unwrap_or(i64::MAX), story),
            _ => (i64::MAX, story),
        })
        .collect();
    stories.sort_by_key(|(priority, _)| *priority);
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    let mut waits = Vec::new();
    for (priority, story) in stories {
        let Some(id) = story.get("id").and_then(Spanned::id) else {
            let message = "a story without id is ignored".to_owned();
            list.notes.push(note(Level::Warning, story.line, message));
            continue;
        };
        let index = list.tasks.len();
        if by_id.insert(id, index).is_some() {
            let message = format!("duplicate id {id}");
            list.notes.push(note(Level::Warning, story.line, message));
        }
        let mut task = blank(id, story.line);
        task.title = story.text_of("title").to_owned();
        let description = story.text_of("description");
        task.details = description.lines().map(str::to_owned).collect();
        task.acceptance = story.texts_of("acceptanceCriteria");
        let mut named = paths::named(&task.title);
        named.extend(paths::named(description));
        named.extend(task.acceptance.iter().flat_map(|line| paths::named(line)));
        add_touches(&mut task, named, TouchFrom::Text);
        task.priority = priority;
        if story.get("passes").map(|p| &p.value) == Some(&Value::Bool(true)) {
            task.state = State::Done;
        }
        task.state_at = story.state_at("passes");
        task.declared = story.get("dependsOn").is_some();
        list.tasks.push(task);
        for (other, line) in story.ids_of("dependsOn") {
            waits.push((index, other, line));
        }
    }
    for (index, other, line) in waits {
        match by_id.get(other.as_str()) {
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
    if list.tasks.is_empty() {
        let message = "no tasks found (expected {\"userStories\": [...]})".to_owned();
        list.notes.push(note(Level::Error, 0, message));
    }
    list
}
