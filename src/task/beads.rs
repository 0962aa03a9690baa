//! beads `issues.jsonl`: one issue a line, typed dependencies, tombstones, and types that are no
//! work.

use std::collections::HashMap;

use super::json::{self, Spanned, Value};
use super::markdown::{add_touches, blank, edge, note};
use super::taskmaster::{broken, empty, tally};
use super::{
    Estimate, EstimateFrom, Fact, Format, Hold, Kind, Level, List, Missing, Node, Place, State,
    Strength, TouchFrom, Why, paths,
};

/// The types that somebody works on.
const WORK: &[&str] = &[
    "task", "bug", "feature", "chore", "decision", "spike", "story",
];

/// The kinds of dependency that make one issue wait for another.
const BLOCKING: &[&str] = &["blocks", "conditional-blocks", "waits-for"];

/// Reads an `issues.jsonl`.
pub(super) fn read(text: &str) -> List {
    let mut list = empty(Format::Beads);
    let mut statuses = Vec::new();
    let mut types = Vec::new();
    let mut kinds = Vec::new();
    let mut records = 0;
    let mut doubled = 0;
    let mut epics = 0;
    let mut by_id: HashMap<String, usize> = HashMap::new();
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut no_work: HashMap<String, bool> = HashMap::new();
    let mut waits = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let number = number as u32 + 1;
        if line.trim().is_empty() {
            continue;
        }
        let item = match json::read(line, number) {
            Ok(item) => item,
            Err(error) => {
                list.notes.push(broken(&error));
                continue;
            }
        };
        let Some(id) = item.get("id").and_then(Spanned::id) else {
            let message = "an issue without id is ignored".to_owned();
            list.notes.push(note(Level::Warning, number, message));
            continue;
        };
        records += 1;
        let status = item.text_of("status");
        let kind = match item.text_of("issue_type") {
            "" => "task",
            kind => kind,
        };
        tally(&mut statuses, status);
        tally(&mut types, kind);
        for dependency in item
            .get("dependencies")
            .map(Spanned::items)
            .unwrap_or_default()
        {
            tally(&mut kinds, dependency.text_of("type"));
        }
        if let Some(before) = seen.insert(id.to_owned(), number) {
            doubled += 1;
            let message = format!("duplicate id {id} (lines {before}, {number})");
            list.notes.push(note(Level::Warning, number, message));
        }
        let epic = matches!(kind, "epic" | "milestone");
        if status == "tombstone" || !(epic || WORK.contains(&kind)) {
            no_work.insert(id.to_owned(), matches!(status, "closed" | "tombstone"));
            continue;
        }
        let index = list.tasks.len();
        by_id.entry(id.to_owned()).or_insert(index);
        let mut task = blank(id, number);
        task.title = item.text_of("title").to_owned();
        for name in ["description", "design", "notes"] {
            let text = item.text_of(name);
            task.details.extend(text.lines().map(str::to_owned));
            add_touches(&mut task, paths::named(text), TouchFrom::Text);
        }
        let title_paths = paths::named(&task.title);
        add_touches(&mut task, title_paths, TouchFrom::Text);
        let criteria = item.text_of("acceptance_criteria");
        task.acceptance.extend(criteria.lines().map(str::to_owned));
        task.needs = item
            .texts_of("labels")
            .iter()
            .filter_map(|label| label.strip_prefix("needs:").map(str::to_owned))
            .collect();
        if let Some(Value::Number(priority)) = item.get("priority").map(|p| &p.value) {
            task.priority = priority.parse().unwrap_or(2);
        }
        task.state = match status {
            "open" | "" => State::Todo,
            "in_progress" | "hooked" => State::Running,
            "blocked" => State::Blocked,
            "deferred" | "pinned" => State::Deferred,
            "closed" => State::Done,
            other => {
                let message = format!("unknown status {other:?} of {id}, read as not begun");
                list.notes.push(note(Level::Warning, number, message));
                State::Todo
            }
        };
        estimated(
            &mut list,
            &mut task,
            item.get("estimated_minutes"),
            60_000.0,
        );
        task.declared = true;
        let until = item.text_of("defer_until");
        if !until.is_empty() && task.state == State::Todo {
            task.hold = Some(Hold::Until(until.to_owned()));
        }
        if epic {
            task.kind = Kind::Container { work: false };
        }
        epics += u64::from(epic);
        list.tasks.push(task);
        for dependency in item
            .get("dependencies")
            .map(Spanned::items)
            .unwrap_or_default()
        {
            let on = dependency.get("depends_on_id").and_then(Spanned::id);
            if let Some(on) = on {
                waits.push((
                    index,
                    on.to_owned(),
                    dependency.text_of("type").to_owned(),
                    number,
                ));
            }
        }
    }
    let mut blocking = 0;
    let mut unresolved = 0;
    let mut held = vec![false; list.tasks.len()];
    for (index, on, kind, line) in waits {
        let other = by_id.get(&on).copied();
        if kind == "parent-child" {
            if let Some(parent) = other.filter(|parent| *parent != index) {
                list.tasks[index].parent = Some(parent);
            }
            continue;
        }
        if !BLOCKING.contains(&kind.as_str()) && !kind.is_empty() {
            continue;
        }
        match other {
            Some(other) if other == index => {
                let message = format!("{on} depends on itself");
                list.notes.push(note(Level::Error, line, message));
            }
            Some(other) => {
                blocking += 1;
                held[index] |= list.tasks[other].state != State::Done;
                if kind == "conditional-blocks" {
                    let why = format!("is to be done only if {on} fails");
                    list.tasks[index].hold = Some(Hold::Because(why));
                }
                list.edges.push(edge(
                    Node::Task(other),
                    Node::Task(index),
                    Why::Depends,
                    Strength::Declared,
                    line,
                ));
            }
            None if no_work.get(&on) == Some(&true) => blocking += 1,
            None if no_work.contains_key(&on) => {
                blocking += 1;
                held[index] = true;
            }
            None => {
                unresolved += 1;
                held[index] = true;
                list.missing.push(Missing {
                    task: index,
                    name: on,
                    external: true,
                    place: Place { source: 0, line },
                });
            }
        }
    }
    no_rings(&mut list);
    for index in 0..list.tasks.len() {
        if let Some(parent) = list.tasks[index].parent {
            list.tasks[parent].kind = Kind::Container { work: false };
        }
    }
    if list.tasks.is_empty() && records == 0 {
        let message = "no tasks found (expected one JSON object a line)".to_owned();
        list.notes.push(note(Level::Error, 0, message));
    }
    let work: Vec<usize> = (0..list.tasks.len())
        .filter(|index| list.tasks[*index].kind == Kind::Work)
        .collect();
    let of = |state| {
        work.iter()
            .filter(|i| list.tasks[**i].state == state)
            .count() as u64
    };
    let ready = work
        .iter()
        .filter(|index| list.tasks[**index].state == State::Todo && !held[**index])
        .count() as u64;
    let facts = vec![
        ("records", Fact::Count(records)),
        ("dup_ids", Fact::Count(doubled)),
        ("statuses", Fact::Table(statuses)),
        ("types", Fact::Table(types)),
        ("dep_types", Fact::Table(kinds)),
        ("work_items", Fact::Count(list.tasks.len() as u64 - epics)),
        ("leaf", Fact::Count(work.len() as u64)),
        ("leaf_done", Fact::Count(of(State::Done))),
        ("open_leaf", Fact::Count(of(State::Todo))),
        ("blocking_edges", Fact::Count(blocking)),
        ("blocking_unresolved", Fact::Count(unresolved)),
        ("ready_open_leaf", Fact::Count(ready)),
    ];
    list.sources[0].facts = facts;
    list
}

/// Reads an estimate that stands as a number of units.
pub(super) fn estimated(
    list: &mut List,
    task: &mut super::Task,
    value: Option<&Spanned>,
    unit: f64,
) {
    let Some(Value::Number(text)) = value.map(|value| &value.value) else {
        return;
    };
    let ms = text.parse::<f64>().unwrap_or(f64::NAN) * unit;
    match super::estimate::milliseconds(ms) {
        Ok(ms) => {
            task.estimate = Some(Estimate {
                ms,
                from: EstimateFrom::Stated,
            });
        }
        Err(super::estimate::Wrong::Bad(why)) => {
            let message = format!(
                "estimate of {}: {text} is no length of time: {why}",
                task.id
            );
            list.notes
                .push(note(Level::Error, task.place.line, message));
        }
        Err(super::estimate::Wrong::NoNumber) => {}
    }
}

/// Cuts containers that contain themselves, so that everybody may climb upward without fear.
pub(super) fn no_rings(list: &mut List) {
    let mut state = vec![0u8; list.tasks.len()];
    for start in 0..list.tasks.len() {
        let mut path = Vec::new();
        let mut at = start;
        while state[at] == 0 {
            state[at] = 1;
            path.push(at);
            match list.tasks[at].parent {
                Some(parent) if state[parent] == 1 => {
                    let message = format!("{} contains itself", list.tasks[parent].id);
                    let line = list.tasks[at].place.line;
                    list.notes.push(note(Level::Error, line, message));
                    list.tasks[at].parent = None;
                    break;
                }
                Some(parent) => at = parent,
                None => break,
            }
        }
        for index in path {
            state[index] = 2;
        }
    }
}
