//! Kiro `tasks.md`: boxes with dotted numbers, dependency fields, the wave graph, and the history
//! of runs that Kiro keeps beside the list.

use std::collections::HashMap;

use super::json::{self, Spanned, Value};
use super::markdown::{self, Draft, edge, note};
use super::{
    Estimate, EstimateFrom, Format, Gate, Kind, Level, List, Node, Place, Strength, Why, ids,
};

/// Reads a Kiro `tasks.md` with its wave graph.
pub(super) fn read(text: &str) -> List {
    let mut draft = markdown::draft(text, Format::Kiro);
    waves(&mut draft);
    markdown::finish(draft)
}

/// One wave as it stands in the file.
struct Wave {
    line: u32,
    tasks: Vec<(String, u32)>,
}

/// `task` waits for `on`, as the waves say on `line`.
struct Explicit {
    task: String,
    on: String,
    line: u32,
}

/// Reads whatever shape the waves have: objects with `tasks`, bare arrays, a map of arrays.
fn shape(root: &Spanned) -> Option<(Vec<Wave>, Vec<Explicit>)> {
    let waves = root.get("waves").unwrap_or(root);
    let each: Vec<&Spanned> = match &waves.value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.iter().map(|(_, value)| value).collect(),
        _ => return None,
    };
    let mut explicit = Vec::new();
    let found = each
        .into_iter()
        .map(|wave| {
            let tasks = wave.get("tasks").unwrap_or(wave);
            for (task, on) in wave
                .get("dependsOn")
                .map(Spanned::fields)
                .unwrap_or_default()
            {
                let single = std::slice::from_ref(on);
                let all = if on.id().is_some() {
                    single
                } else {
                    on.items()
                };
                for other in all {
                    if let Some(id) = other.id() {
                        explicit.push(Explicit {
                            task: task.clone(),
                            on: id.to_owned(),
                            line: other.line,
                        });
                    }
                }
            }
            let of = |item: &Spanned| {
                let id = item.id().or_else(|| item.get("id").and_then(Spanned::id));
                id.map(|id| (id.to_owned(), item.line))
            };
            Wave {
                line: wave.line,
                tasks: tasks.items().iter().filter_map(of).collect(),
            }
        })
        .collect();
    Some((found, explicit))
}

/// Turns the wave graph, if there is one, into gates and edges.
fn waves(draft: &mut Draft<'_>) {
    let fences = std::mem::take(&mut draft.outline.fences);
    let graph = fences.iter().find(|fence| {
        let begin = fence.text.trim_start();
        let under = fence.under.to_lowercase();
        (begin.starts_with('{') && fence.text.contains("\"waves\""))
            || (begin.starts_with('[') && (under.contains("depend") || under.contains("wave")))
    });
    let Some(fence) = graph else {
        return;
    };
    let root = match json::read(fence.text, fence.line) {
        Ok(root) => root,
        Err(error) => {
            let message = format!(
                "the wave graph is not JSON: column {}: {}",
                error.column, error.why
            );
            draft
                .list
                .notes
                .push(note(Level::Error, error.line, message));
            return;
        }
    };
    let Some((waves, explicit)) = shape(&root) else {
        let message = "the wave graph has no list of waves".to_owned();
        draft
            .list
            .notes
            .push(note(Level::Error, root.line, message));
        return;
    };
    draft.list.sources[0].waves = true;
    draft.waves[0] = waves.len() as u64;
    let of = place_in_waves(draft, &waves);
    let mut before: Option<usize> = None;
    let mut members: Vec<Vec<(usize, u32)>> = vec![Vec::new(); waves.len()];
    for (task, place) in of.iter().enumerate() {
        if let Some((wave, line)) = place {
            members[*wave].push((task, *line));
        }
    }
    for (number, (wave, inside)) in waves.iter().zip(&members).enumerate() {
        let gate = draft.list.gates.len();
        draft.list.gates.push(Gate {
            name: format!("end of wave {number}"),
            place: Place {
                source: 0,
                line: wave.line,
            },
        });
        let declared = |from, to, line| edge(from, to, Why::Waves, Strength::Declared, line);
        for (task, line) in inside {
            if let Some(before) = before {
                let from = Node::Gate(before);
                draft
                    .list
                    .edges
                    .push(declared(from, Node::Task(*task), *line));
            }
            let to = Node::Gate(gate);
            draft
                .list
                .edges
                .push(declared(Node::Task(*task), to, *line));
        }
        if let Some(before) = before {
            let (from, to) = (Node::Gate(before), Node::Gate(gate));
            draft.list.edges.push(declared(from, to, wave.line));
        }
        before = Some(gate);
    }
    for Explicit { task, on, line } in explicit {
        match (draft.by_id.get(task.as_str()), draft.by_id.get(on.as_str())) {
            (Some(task), Some(on)) if task != on => {
                draft.waves[5] += 1;
                draft.list.edges.push(edge(
                    Node::Task(*on),
                    Node::Task(*task),
                    Why::Depends,
                    Strength::Declared,
                    line,
                ));
            }
            (Some(_), Some(_)) => {
                let message = format!("{task} depends on itself");
                draft.list.notes.push(note(Level::Error, line, message));
            }
            (known, _) => {
                draft.waves[2] += 1;
                let name = if known.is_none() { &task } else { &on };
                unknown(draft, name, line);
            }
        }
    }
    contradictions(draft, &of);
    left_out(draft, &of);
}

fn unknown(draft: &mut Draft<'_>, name: &str, line: u32) {
    let near = crate::id::nearest(name, draft.by_id.keys().copied());
    let mut message = format!("the wave graph names {name}, which is not in this list");
    if let Some(near) = near.first() {
        message.push_str(&format!(" (did you mean {near}?)"));
    }
    draft.list.notes.push(note(Level::Error, line, message));
}

/// In which wave each task is, with the line that says so. A container stands for those of its
/// parts that are in no wave of their own; of two waves the later wins.
fn place_in_waves(draft: &mut Draft<'_>, waves: &[Wave]) -> Vec<Option<(usize, u32)>> {
    let mut of: Vec<Option<(usize, u32)>> = vec![None; draft.list.tasks.len()];
    let mut containers = Vec::new();
    for (number, wave) in waves.iter().enumerate() {
        for (id, line) in &wave.tasks {
            draft.waves[1] += 1;
            let Some(task) = draft.by_id.get(id.as_str()).copied() else {
                draft.waves[2] += 1;
                unknown(draft, id, *line);
                continue;
            };
            if matches!(draft.list.tasks[task].kind, Kind::Container { .. }) {
                draft.waves[3] += 1;
                containers.push((task, number, *line));
                continue;
            }
            if let Some((_, before)) = of[task] {
                let message =
                    format!("{id} is in two waves (also line {before}): the later one counts");
                draft.list.notes.push(note(Level::Warning, *line, message));
            }
            of[task] = Some((number, *line));
        }
    }
    // Outer containers first, so that an inner one that is named itself overrules them.
    let mut through: Vec<Option<(usize, u32)>> = vec![None; draft.list.tasks.len()];
    for (task, number, line) in containers {
        through[task] = Some((number, line));
    }
    for (task, place) in of.iter_mut().enumerate() {
        let mut up = draft.list.tasks[task].parent;
        let mut steps = 0;
        while let (Some(parent), None, true) = (up, *place, steps < 64) {
            if !matches!(draft.list.tasks[task].kind, Kind::Container { .. }) {
                *place = through[parent];
            }
            up = draft.list.tasks[parent].parent;
            steps += 1;
        }
    }
    of
}

/// A field that names a task of a later wave contradicts the waves: both lines are told, and the
/// field is left out of the graph so that it is not reported again as a cycle.
fn contradictions(draft: &mut Draft<'_>, of: &[Option<(usize, u32)>]) {
    let mut notes = Vec::new();
    let tasks = &draft.list.tasks;
    draft.list.edges.retain(|edge| {
        let (Why::Depends, Node::Task(from), Node::Task(to)) = (edge.why, edge.from, edge.to) else {
            return true;
        };
        let (Some((early, early_line)), Some((late, late_line))) = (of[from], of[to]) else {
            return true;
        };
        if early > late {
            notes.push(note(
                Level::Error,
                edge.place.line,
                format!(
                    "{} depends on {}, but the waves place it earlier (line {late_line}: wave {late}, line {early_line}: wave {early})",
                    tasks[to].id, tasks[from].id
                ),
            ));
        }
        early <= late
    });
    draft.list.notes.extend(notes);
}

/// Places what the waves leave out: after everything before it in the file and before everything
/// after it, as a checkpoint is meant; where the waves cross that, after its predecessors only.
fn left_out(draft: &mut Draft<'_>, of: &[Option<(usize, u32)>]) {
    let leaf = |index: usize| !matches!(draft.list.tasks[index].kind, Kind::Container { .. });
    let missing: Vec<usize> = (0..of.len())
        .filter(|index| leaf(*index) && of[*index].is_none())
        .collect();
    draft.waves[4] = missing.len() as u64;
    let mut first_after: Vec<usize> = vec![usize::MAX; of.len() + 1];
    for index in (0..of.len()).rev() {
        let here = of[index].map_or(usize::MAX, |(wave, _)| wave);
        first_after[index] = first_after[index + 1].min(here);
    }
    let mut last_before = None;
    let mut frontier: Vec<Node> = Vec::new();
    let mut barrier: Option<Node> = None;
    for index in 0..of.len() {
        if !leaf(index) {
            continue;
        }
        let line = draft.list.tasks[index].place.line;
        let node = Node::Task(index);
        let placed = |from, to| edge(from, to, Why::Checkpoint, Strength::Inferred, line);
        if let Some((wave, _)) = of[index] {
            if let Some(barrier) = barrier {
                draft.list.edges.push(placed(barrier, node));
            }
            last_before = last_before.max(Some(wave));
            frontier.push(node);
            continue;
        }
        let crossed = last_before.is_some_and(|last| last >= first_after[index + 1]);
        let checkpoint = draft.list.tasks[index].kind == Kind::Checkpoint;
        let id = draft.list.tasks[index].id.clone();
        if crossed {
            // One gate stands for all before it, so that many such tasks stay linear.
            let gate = Node::Gate(draft.list.gates.len());
            draft.list.gates.push(Gate {
                name: format!("all before {id}"),
                place: Place { source: 0, line },
            });
            for from in frontier.drain(..).chain(barrier) {
                draft.list.edges.push(placed(from, gate));
            }
            draft.list.edges.push(placed(gate, node));
            frontier.push(gate);
            frontier.push(node);
            let message = format!(
                "{id} is in no wave, and the waves cross its place in the file: it waits for all before it, nothing waits for it"
            );
            draft.list.notes.push(note(Level::Warning, line, message));
        } else {
            for from in frontier.drain(..).chain(barrier) {
                draft.list.edges.push(placed(from, node));
            }
            barrier = Some(node);
            let level = if checkpoint {
                Level::Info
            } else {
                Level::Warning
            };
            let message =
                format!("{id} is in no wave: placed after all before it and before all after it");
            draft.list.notes.push(note(level, line, message));
        }
    }
}

/// How long the tasks of a list took before, from the `tasks.meta.json` beside it: milliseconds by
/// task id. The last run of each counts: from its last state change but one to its last.
///
/// # Errors
/// A file that is not JSON; the text says where.
pub fn history(bytes: &[u8]) -> Result<HashMap<String, u64>, String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let root = json::read(text, 1).map_err(|error| {
        format!(
            "line {}, column {}: {}",
            error.line, error.column, error.why
        )
    })?;
    let mut found = HashMap::new();
    let runs = root.get("executionHistory").map(Spanned::fields);
    for (title, entries) in runs.unwrap_or_default() {
        let Some(lead) = ids::leading(title) else {
            continue;
        };
        let mut times: Vec<(u64, &str)> = entries
            .items()
            .iter()
            .filter_map(|entry| {
                let time = entry.get("timestamp")?.id()?.parse::<f64>().ok()?;
                let sane = time.is_finite() && (0.0..9e15).contains(&time);
                sane.then(|| (time as u64, entry.text_of("executionId")))
            })
            .collect();
        times.sort_unstable();
        let Some((_, run)) = times.last().copied() else {
            continue;
        };
        let same: Vec<u64> = times
            .iter()
            .filter(|(_, id)| *id == run)
            .map(|(time, _)| *time)
            .collect();
        let same = if same.len() >= 2 {
            same
        } else {
            times.iter().map(|(time, _)| *time).collect()
        };
        if let [.., start, end] = same[..]
            && end > start
        {
            found.insert(lead.id.to_owned(), end - start);
        }
    }
    Ok(found)
}

/// Gives the tasks of one spec that state no estimate the time they took before.
pub fn learn(list: &mut List, spec: &str, history: &HashMap<String, u64>) {
    for task in list.tasks.iter_mut().filter(|task| task.spec == spec) {
        if let (None, Some(ms)) = (task.estimate, history.get(&task.id)) {
            task.estimate = Some(Estimate {
                ms: *ms,
                from: EstimateFrom::History,
            });
        }
    }
}
