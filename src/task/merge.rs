//! Several lists as one, and the keys of tasks.

use std::collections::{HashMap, HashSet};

use super::{Edge, Format, Level, List, Node, Note, Place, Strength, Why};
use crate::id::TaskKey;

/// A key from an id: what a key may not hold becomes `-`; what is left of nothing is the line.
pub(super) fn key(id: &str, line: u32) -> TaskKey {
    let mut text: String = id
        .trim()
        .trim_start_matches('-')
        .chars()
        .map(|c| {
            if c.is_control() || c.is_whitespace() {
                '-'
            } else {
                c
            }
        })
        .collect();
    while text.len() > 200 {
        text.pop();
    }
    text.parse().unwrap_or_else(|_| {
        format!("line-{line}")
            .parse()
            .expect("a word and a number are a key")
    })
}

/// The spec that a file's tasks belong to, from its path: the directory of a `tasks.md`, the stem
/// of any other file.
pub fn spec_of(file: &str, format: Format) -> String {
    let path = file.replace('\\', "/");
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let name = parts.last().copied().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let directory = |up: usize| {
        parts
            .len()
            .checked_sub(up)
            .and_then(|at| parts.get(at))
            .copied()
    };
    let found = match format {
        Format::Taskmaster if stem == "tasks" => Some("tasks"),
        Format::Beads if stem == "issues" || stem == "beads" => Some("beads"),
        Format::Claude => directory(2),
        _ if matches!(stem, "tasks" | "prd") => directory(2),
        _ => None,
    };
    let spec: String = found
        .unwrap_or(if stem.is_empty() || stem == "-" {
            "tasks"
        } else {
            stem
        })
        .trim_start_matches('-')
        .chars()
        .map(|c| {
            if c.is_control() || c.is_whitespace() || c == '/' {
                '-'
            } else {
                c
            }
        })
        .take(60)
        .collect();
    if spec.is_empty() {
        "tasks".to_owned()
    } else {
        spec
    }
}

/// Gives every task its key: the id where there is one spec, `spec/id` where there are several;
/// of several equal ones the later get `@line`.
pub(super) fn keys(list: &mut List) {
    let specs: HashSet<&str> = list.sources.iter().map(|s| s.spec.as_str()).collect();
    let many = specs.len() > 1;
    let mut taken: HashSet<String> = HashSet::with_capacity(list.tasks.len());
    for (index, task) in list.tasks.iter_mut().enumerate() {
        let id = key(&task.id, task.place.line);
        let mut name = if many {
            format!("{}/{id}", task.spec)
        } else {
            id.to_string()
        };
        if taken.contains(&name) {
            name = format!("{name}@{}", task.place.line);
        }
        if taken.contains(&name) {
            name = format!("{name}@{index}");
        }
        task.key = name.parse().unwrap_or(id);
        taken.insert(name);
    }
}

/// Joins lists, in their order. References across specs (`other/2.1`) are found here; those of
/// Claude Code task files, too, which are spread over many files.
pub fn merge(lists: Vec<List>) -> List {
    if lists.len() == 1 {
        let mut list = lists.into_iter().next().unwrap_or_default();
        across(&mut list);
        return list;
    }
    let mut all = List::default();
    for list in lists {
        let source = all.sources.len() as u32;
        let task = all.tasks.len();
        let gate = all.gates.len();
        let phase = all.phases.len();
        let place = |place: Place| Place {
            source: place.source + source,
            line: place.line,
        };
        let node = |node: Node| match node {
            Node::Task(index) => Node::Task(index + task),
            Node::Gate(index) => Node::Gate(index + gate),
        };
        all.sources.extend(list.sources);
        all.tasks.extend(list.tasks.into_iter().map(|mut one| {
            one.place = place(one.place);
            one.parent = one.parent.map(|parent| parent + task);
            one.phase = one.phase.map(|index| index + phase);
            one
        }));
        all.gates.extend(list.gates.into_iter().map(|mut one| {
            one.place = place(one.place);
            one
        }));
        all.phases.extend(list.phases.into_iter().map(|mut one| {
            one.place = place(one.place);
            one
        }));
        all.edges.extend(list.edges.into_iter().map(|one| Edge {
            from: node(one.from),
            to: node(one.to),
            place: place(one.place),
            ..one
        }));
        all.missing.extend(list.missing.into_iter().map(|mut one| {
            one.task += task;
            one.place = place(one.place);
            one
        }));
        all.notes.extend(list.notes.into_iter().map(|mut one| {
            one.place = place(one.place);
            one
        }));
    }
    same_names(&mut all);
    keys(&mut all);
    across(&mut all);
    all
}

/// Two files that define one spec: told, and named by their directories from then on.
fn same_names(list: &mut List) {
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, source) in list.sources.iter().enumerate() {
        if source.format != Format::Claude {
            by_name.entry(source.spec.clone()).or_default().push(index);
        }
    }
    let mut doubled: Vec<(String, Vec<usize>)> = by_name
        .into_iter()
        .filter(|(_, all)| all.len() > 1)
        .collect();
    doubled.sort();
    for (name, all) in doubled {
        for (place, index) in all.iter().enumerate() {
            let file = list.sources[*index].file.replace('\\', "/");
            let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
            let path = directory.trim_start_matches(['.', '/', '-']);
            let mut spec = if path.is_empty() {
                name.clone()
            } else {
                path.to_owned()
            };
            if all[..place]
                .iter()
                .any(|other| list.sources[*other].spec == spec)
            {
                spec = format!("{spec}@{}", index + 1);
            }
            if spec.len() > 120 {
                spec = format!("{name}@{}", index + 1);
            }
            list.sources[*index].spec.clone_from(&spec);
            for task in list
                .tasks
                .iter_mut()
                .filter(|t| t.place.source == *index as u32)
            {
                task.spec.clone_from(&spec);
            }
        }
        let first = &list.sources[all[0]].file;
        list.notes.push(Note {
            place: Place {
                source: all[1] as u32,
                line: 0,
            },
            level: Level::Warning,
            message: format!(
                "defines the spec {name:?}, as {first} does: their tasks are named by path"
            ),
            hint: None,
        });
    }
}

/// Finds the other ends of dependencies that their own file could not.
fn across(list: &mut List) {
    let mut by_name: HashMap<(&str, &str), usize> = HashMap::new();
    for (index, task) in list.tasks.iter().enumerate() {
        by_name.entry((&task.spec, &task.id)).or_insert(index);
    }
    let mut found: Vec<Edge> = Vec::new();
    let mut seen: HashSet<(usize, usize)> = HashSet::new();
    let missing = std::mem::take(&mut list.missing);
    let mut notes = Vec::new();
    list.missing = missing
        .into_iter()
        .filter(|missing| {
            let spec = list.tasks[missing.task].spec.as_str();
            let (backwards, name) = match missing.name.strip_prefix("blocks ") {
                Some(name) => (true, name),
                None => (false, missing.name.as_str()),
            };
            let there = by_name
                .get(&(spec, name))
                .or_else(|| by_name.get(&name.rsplit_once('/')?));
            let Some(other) = there.copied() else {
                // A task that blocks something gone blocks nothing.
                return !backwards;
            };
            let (from, to) = if backwards {
                (missing.task, other)
            } else {
                (other, missing.task)
            };
            if from == to {
                notes.push(Note {
                    place: missing.place,
                    level: Level::Error,
                    message: format!("{name} depends on itself"),
                    hint: None,
                });
            } else if seen.insert((from, to)) {
                found.push(Edge {
                    from: Node::Task(from),
                    to: Node::Task(to),
                    why: Why::Depends,
                    strength: Strength::Declared,
                    place: missing.place,
                });
            }
            false
        })
        .collect();
    list.notes.extend(notes);
    list.edges.extend(found);
}
