//! What all Markdown lists share: boxes become tasks, the lines below them their details and
//! fields, headings their phases. Each form adds what is its own.

use std::collections::HashMap;

use super::ids::{self, Known, Leading, Reference};
use super::outline::{self, Box, Item, Outline};
use super::{
    Edge, Estimate, EstimateFrom, Fact, Format, Hold, Kind, Level, List, Missing, Node, Note,
    Phase, Place, Source, State, Strength, Task, Touch, TouchFrom, Why, estimate, merge, paths,
};

/// More dependencies than this in one file are refused, with a message.
const MOST_EDGES: usize = 4_000_000;

/// A list under construction.
pub(super) struct Draft<'a> {
    /// The tasks, edges and notes so far; one source.
    pub(super) list: List,
    /// The taken-apart file.
    pub(super) outline: Outline<'a>,
    /// The first task of each id.
    pub(super) by_id: HashMap<&'a str, usize>,
    /// What was counted about dependencies: edges, unresolved references.
    pub(super) counted: (u64, u64),
    /// What was counted about waves.
    pub(super) waves: [u64; 6],
    /// The tasks with one of several equal ids that something refers to.
    pub(super) referred: Vec<usize>,
}

/// A note about a line of the one source.
pub(super) fn note(level: Level, line: u32, message: String) -> Note {
    Note {
        place: Place { source: 0, line },
        level,
        message,
        hint: None,
    }
}

/// A task with nothing known but where it stands.
pub(super) fn blank(id: &str, line: u32) -> Task {
    Task {
        key: merge::key(id, line),
        id: id.to_owned(),
        spec: String::new(),
        title: String::new(),
        details: Vec::new(),
        state: State::Todo,
        optional: false,
        kind: Kind::Work,
        parent: None,
        estimate: None,
        touches: Vec::new(),
        locks: Vec::new(),
        needs: Vec::new(),
        pin: None,
        parallel: false,
        priority: 0,
        requirements: Vec::new(),
        acceptance: Vec::new(),
        declared: false,
        phase: None,
        place: Place { source: 0, line },
        state_at: None,
        hold: None,
    }
}

/// An edge of the one source.
pub(super) fn edge(from: Node, to: Node, why: Why, strength: Strength, line: u32) -> Edge {
    Edge {
        from,
        to,
        why,
        strength,
        place: Place { source: 0, line },
    }
}

/// `Task 1.1: text` as people write it in forms that have no ids of their own.
fn named(text: &str) -> Option<Leading<'_>> {
    let bold = text.strip_prefix("**").unwrap_or(text);
    let rest = ["Task ", "Subtask ", "task ", "subtask "]
        .iter()
        .find_map(|word| bold.strip_prefix(word))?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let id = rest[..end].trim_end_matches('.');
    let good = id.len() < 100 && !id.is_empty() && id.split('.').all(|part| !part.is_empty());
    let rest = rest[end..].trim_start_matches(['*', ':', '.', ')', '-', ' ']);
    good.then_some(Leading {
        id,
        star: false,
        rest,
    })
}

/// Reads a Markdown list of any form.
pub(super) fn draft(text: &str, format: Format) -> Draft<'_> {
    let outline = outline::read(text, 0);
    let boxes: Vec<&Box<'_>> = outline
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Box(found) => Some(found),
            _ => None,
        })
        .collect();
    let strict: Vec<Option<Leading<'_>>> = boxes.iter().map(|b| ids::leading(b.text)).collect();
    let leading: Vec<Option<Leading<'_>>> = if strict.iter().any(Option::is_some) {
        strict
    } else {
        boxes.iter().map(|b| named(b.text)).collect()
    };
    let with_ids = leading.iter().any(Option::is_some);
    let mut list = List::default();
    let mut task_of: Vec<Option<usize>> = Vec::with_capacity(boxes.len());
    let mut own: Vec<bool> = Vec::with_capacity(boxes.len());
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    let mut strange: Vec<(char, u32, usize)> = Vec::new();
    for (found, lead) in boxes.iter().zip(&leading) {
        let around = found.outer.and_then(|outer| task_of[outer]);
        let number;
        let (id, star, rest) = match lead {
            Some(lead) => (lead.id, lead.star, lead.rest),
            None if with_ids => {
                task_of.push(around);
                own.push(false);
                continue;
            }
            None => {
                number = (list.tasks.len() + 1).to_string();
                (number.as_str(), false, found.text)
            }
        };
        let index = list.tasks.len();
        let mut task = blank(id, found.line);
        task.optional = star || found.star;
        task.state = state(found.state);
        if !" xX~-".contains(found.state) {
            match strange.iter_mut().find(|(c, _, _)| *c == found.state) {
                Some((_, _, count)) => *count += 1,
                None => strange.push((found.state, found.line, 1)),
            }
        }
        marks(&mut task, rest);
        if !with_ids {
            task.parent = around;
        }
        if let Some(lead) = lead {
            by_id.entry(lead.id).or_insert(index);
        }
        list.tasks.push(task);
        task_of.push(Some(index));
        own.push(true);
    }
    for (c, line, count) in strange {
        let times = if count == 1 { "" } else { " in all" };
        let message = format!("unknown state [{c}], read as not begun ({count} boxes{times})");
        list.notes.push(note(Level::Warning, line, message));
    }
    if with_ids {
        let indents: Vec<usize> = boxes
            .iter()
            .zip(&own)
            .filter(|(_, own)| **own)
            .map(|(found, _)| found.indent)
            .collect();
        parents(&mut list.tasks, &indents);
    }
    let mut has_parts = vec![false; list.tasks.len()];
    for task in &list.tasks {
        if let Some(parent) = task.parent {
            has_parts[parent] = true;
        }
    }
    for (task, container) in list.tasks.iter_mut().zip(&has_parts) {
        if *container {
            task.kind = Kind::Container { work: false };
        } else if is_checkpoint(&task.title) {
            task.kind = Kind::Checkpoint;
        }
    }
    let mut draft = Draft {
        list,
        outline: Outline::default(),
        by_id,
        counted: (0, 0),
        waves: [0; 6],
        referred: Vec::new(),
    };
    details(&mut draft, &outline, &task_of, &own, with_ids, format);
    optional_parts(&mut draft.list.tasks);
    draft.list.notes.extend(outline.notes.iter().cloned());
    let facts = facts(&draft, &boxes, &leading, text);
    draft.list.sources.push(Source {
        file: String::new(),
        format,
        spec: String::new(),
        waves: false,
        facts,
    });
    draft.outline = outline;
    draft
}

/// The state that a box's character means.
fn state(c: char) -> State {
    match c {
        'x' | 'X' => State::Done,
        '-' => State::Running,
        '~' => State::Queued,
        _ => State::Todo,
    }
}

/// Takes `[P]`, `(P)`, `[US1]` from the head of a title.
fn marks(task: &mut Task, text: &str) {
    let mut rest = text.trim_start_matches(['*', ' ']);
    loop {
        let close = match rest.as_bytes().first() {
            Some(b'[') => ']',
            Some(b'(') => ')',
            _ => break,
        };
        let Some(end) = rest.find(close).filter(|end| *end <= 24) else {
            break;
        };
        let mark = &rest[1..end];
        if mark == "P" {
            task.parallel = true;
        } else if mark.starts_with("US") || mark.starts_with("Story") {
            task.requirements.push(mark.to_owned());
        } else {
            break;
        }
        rest = rest[end + 1..].trim_start();
    }
    if rest.contains("(P)") || rest.contains("[P]") {
        task.parallel = true;
    }
    let title = rest.trim_start_matches([':', '-', '–', '—', ' ']).trim();
    task.title = match title.strip_suffix("**") {
        Some(inner) if !inner.contains("**") => inner,
        _ => title,
    }
    .to_owned();
}

/// Whether a title is that of a checkpoint: something to verify rather than to make.
fn is_checkpoint(title: &str) -> bool {
    let head: String = title.chars().take(80).collect::<String>().to_lowercase();
    let head = head.trim_start_matches(['*', '_', ' ', '✅', '🔍']);
    let first: Vec<&str> = head.split_whitespace().take(4).collect();
    let words = [
        "checkpoint",
        "チェックポイント",
        "检查点",
        "檢查點",
        "체크포인트",
    ];
    let early = first
        .iter()
        .any(|word| words.iter().any(|mark| word.contains(mark)));
    let begins = [
        "ensure all tests",
        "verify all tests",
        "run all tests",
        "run full test",
        "run the full test",
        "final verification",
        "final validation",
        "verify:",
        "verify**",
    ];
    early || begins.iter().any(|begin| head.starts_with(begin))
}

/// Parents by dotted prefix; `7.3.5a` is a part of `7.3.5` only if it stands deeper.
fn parents(tasks: &mut [Task], indents: &[usize]) {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, task) in tasks.iter().enumerate() {
        places.entry(task.id.clone()).or_default().push(index);
    }
    // Of several tasks with one id the nearest before is meant, else the first after.
    let nearest = |id: &str, index: usize| -> Option<usize> {
        let all = places.get(id)?;
        let after = all.partition_point(|other| *other < index);
        after
            .checked_sub(1)
            .map(|before| all[before])
            .or(all.first().copied())
            .filter(|found| *found != index)
    };
    let found: Vec<Option<usize>> = tasks
        .iter()
        .enumerate()
        .map(|(index, task)| {
            let stem = ids::without_letter(&task.id);
            let under = stem
                .and_then(|stem| nearest(stem, index))
                .filter(|other| indents[index] > indents[*other]);
            under.or_else(|| ids::prefixes(&task.id).find_map(|prefix| nearest(prefix, index)))
        })
        .collect();
    for (task, parent) in tasks.iter_mut().zip(found) {
        task.parent = parent;
    }
}

/// An optional container makes its parts optional.
fn optional_parts(tasks: &mut [Task]) {
    for index in 0..tasks.len() {
        // Parts nearly always stand below their container, so one walk down the file is enough;
        // the climb serves the others and is bounded by the depth of an id.
        let mut up = tasks[index].parent;
        let mut steps = 0;
        while let (Some(parent), true) = (up, steps < 64) {
            if tasks[parent].optional {
                tasks[index].optional = true;
                break;
            }
            up = tasks[parent].parent;
            steps += 1;
        }
    }
}

/// Gives each task its lines, fields and phase.
fn details<'a>(
    draft: &mut Draft<'a>,
    outline: &Outline<'a>,
    task_of: &[Option<usize>],
    own: &[bool],
    with_ids: bool,
    format: Format,
) {
    let by_id = std::mem::take(&mut draft.by_id);
    let all: Vec<String> = draft.list.tasks.iter().map(|t| t.id.clone()).collect();
    let in_order: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut below: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, id) in in_order.iter().enumerate() {
        if let Some((group, _)) = id.rsplit_once('.') {
            below.entry(group).or_default().push(index);
        }
    }
    let known = Known {
        by_id: &by_id,
        in_order: &in_order,
        below: &below,
    };
    let mut seen = HashMap::new();
    for (index, id) in in_order.iter().enumerate() {
        seen.entry(*id).or_insert_with(Vec::new).push(index);
    }
    let mut next_box = 0;
    let mut top_checks: (u32, u64) = (0, 0);
    let mut pending: Option<(Option<usize>, String)> = None;
    let mut phase = None;
    for item in &outline.items {
        match item {
            Item::Heading { level, text, line } => {
                pending = None;
                if is_phase(format, *level, text) {
                    phase = Some(draft.list.phases.len());
                    draft.list.phases.push(Phase {
                        name: (*text).to_owned(),
                        place: Place {
                            source: 0,
                            line: *line,
                        },
                    });
                }
            }
            Item::Box(found) => {
                pending = None;
                let index = task_of[next_box];
                if own[next_box] {
                    if let Some(index) = index {
                        draft.list.tasks[index].phase = phase;
                        title_fields(draft, index, found, &known);
                    }
                } else if let Some(index) = index {
                    let task = &mut draft.list.tasks[index];
                    task.acceptance.push(found.text.to_owned());
                    // A subtask without number beside numbered ones: work of the task itself.
                    if format == Format::Bmad && matches!(task.kind, Kind::Container { .. }) {
                        task.kind = Kind::Container { work: true };
                    }
                } else if with_ids {
                    top_checks = (top_checks.0.max(1), top_checks.1 + 1);
                    if top_checks.1 == 1 {
                        top_checks.0 = found.line;
                    }
                }
                next_box += 1;
            }
            Item::Detail {
                owner,
                bullet,
                text,
                line,
            } => {
                let Some(index) = owner.and_then(|owner| task_of[owner]) else {
                    continue;
                };
                let own_line = owner.is_some_and(|owner| own[owner]);
                let task = &mut draft.list.tasks[index];
                // What stands below the parts, or only names requirements, is no work of its own.
                let first = owner.is_some_and(|owner| owner + 1 == next_box);
                if *bullet
                    && own_line
                    && first
                    && !is_metadata(text)
                    && matches!(task.kind, Kind::Container { .. })
                {
                    task.kind = Kind::Container { work: true };
                }
                task.details.push((*text).to_owned());
                let mut fields = fields(text);
                match fields.first() {
                    Some((label, value)) if value.is_empty() && is_depends(label) => {
                        pending = Some((*owner, label.clone()));
                        continue;
                    }
                    Some(_) => pending = None,
                    None => {
                        if let Some((of, label)) = &pending
                            && of == owner
                            && *bullet
                        {
                            fields.push((label.clone(), text));
                        }
                    }
                }
                for (label, value) in fields {
                    field(draft, index, &label, value, *line, &known);
                }
                inline_depends(draft, index, text, *line, &known);
                let text_paths = paths::named(text);
                add_touches(&mut draft.list.tasks[index], text_paths, TouchFrom::Text);
            }
        }
    }
    if top_checks.1 > 0 {
        let message = format!(
            "{} boxes without id are read as a checklist, not as tasks",
            top_checks.1
        );
        let level = match format {
            Format::Bmad => Level::Warning,
            _ => Level::Info,
        };
        draft.list.notes.push(note(level, top_checks.0, message));
    }
    let mut referred = vec![false; in_order.len()];
    for index in draft.referred.drain(..) {
        referred[index] = true;
    }
    let mut twice: Vec<(&str, Vec<usize>)> =
        seen.into_iter().filter(|(_, all)| all.len() > 1).collect();
    twice.sort_by_key(|(_, all)| all[1]);
    for (id, all) in twice {
        let lines: Vec<u32> = all
            .iter()
            .map(|index| draft.list.tasks[*index].place.line)
            .collect();
        let level = if referred[all[0]] {
            Level::Error
        } else {
            Level::Warning
        };
        let shown: Vec<String> = lines.iter().take(8).map(u32::to_string).collect();
        let mut message = format!("duplicate id {id} (lines {})", shown.join(", "));
        if level == Level::Error {
            message.push_str(", and a dependency names it");
        } else {
            message.push_str(&format!(": the later is called {id}@{}", lines[1]));
        }
        draft.list.notes.push(note(level, lines[1], message));
    }
    draft.by_id = by_id;
}

/// Whether a heading begins a new phase of work.
fn is_phase(format: Format, level: usize, text: &str) -> bool {
    let lower = text.to_lowercase();
    let named = ["phase", "wave", "layer", "stage", "milestone"]
        .iter()
        .any(|word| lower.starts_with(word));
    match format {
        Format::SpecKit => named || level <= 2,
        _ => named || level == 2,
    }
}

fn title_fields(draft: &mut Draft<'_>, index: usize, found: &Box<'_>, known: &Known<'_>) {
    let spans = spans(found.text);
    for (label, value) in spans {
        field(draft, index, &label, value, found.line, known);
    }
    inline_depends(draft, index, found.text, found.line, known);
    let named = paths::named(found.text);
    add_touches(&mut draft.list.tasks[index], named, TouchFrom::Text);
}

/// Adds files to a task; a declared one replaces the same from the text.
pub(super) fn add_touches(task: &mut Task, paths: Vec<String>, from: TouchFrom) {
    for path in paths {
        if let Some(touch) = task.touches.iter_mut().find(|touch| touch.path == path) {
            touch.from = touch.from.min(from);
        } else if task.touches.len() < 256 {
            // A task that names hundreds of files says nothing about where it works.
            task.touches.push(Touch { path, from });
        }
    }
}

/// The `_Label: value_` spans of a line.
fn spans(text: &str) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('_') {
        let before_ok = open == 0
            || rest[..open]
                .chars()
                .next_back()
                .is_some_and(|c| !c.is_alphanumeric());
        let inner = &rest[open + 1..];
        let labelled = label(inner).filter(|_| before_ok);
        match labelled {
            Some((name, value_at)) => {
                let value = &inner[value_at..];
                let end = value
                    .match_indices('_')
                    .find(|(at, _)| {
                        value[at + 1..]
                            .chars()
                            .next()
                            .is_none_or(|c| !c.is_alphanumeric())
                    })
                    .map_or(value.len(), |(at, _)| at);
                found.push((name, value[..end].trim()));
                rest = &value[(end + 1).min(value.len())..];
            }
            None => rest = inner,
        }
    }
    found
}

/// A label with its colon at the head of a text: its lower-case words, and where the value begins.
fn label(text: &str) -> Option<(String, usize)> {
    let end = text
        .char_indices()
        .take(48)
        .find(|(_, c)| matches!(c, ':' | '：'))?;
    let name = text[..end.0].trim_matches(['*', '_', '`', ' ']);
    let good = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphabetic() || matches!(c, ' ' | '-' | '(' | ')' | '/'));
    good.then(|| (name.to_lowercase(), end.0 + end.1.len_utf8()))
}

/// The fields of a detail line: its `_Label: value_` spans, else `Label: value` as a whole.
fn fields(text: &str) -> Vec<(String, &str)> {
    let found = spans(text);
    if !found.is_empty() {
        return found;
    }
    let plain = text.trim_start_matches(['*', '_', '`', ' ']);
    match label(plain) {
        Some((name, at)) => vec![(name, plain[at..].trim_matches(['*', '_', ' ']))],
        None => Vec::new(),
    }
}

/// Whether a line is nothing but `_Requirements: 1.1_` or the like.
fn is_metadata(text: &str) -> bool {
    let text = text.trim_start_matches(['*', ' ']);
    let spanned = text.starts_with('_') && label(text).is_some();
    let field = fields(text);
    let told = field.first().is_some_and(|(label, _)| {
        is_depends(label) || matches!(label.as_str(), "requirements" | "validates" | "estimate")
    });
    spanned || told
}

fn is_depends(label: &str) -> bool {
    matches!(
        label,
        "depends on"
            | "depends"
            | "depend on"
            | "dependencies"
            | "dependency"
            | "deps"
            | "task dependencies"
            | "blocked by"
            | "depends-on"
            | "dependson"
    )
}

/// Reads one field into the task.
fn field(
    draft: &mut Draft<'_>,
    index: usize,
    label: &str,
    value: &str,
    line: u32,
    known: &Known<'_>,
) {
    if is_depends(label) {
        draft.list.tasks[index].declared = true;
        depends(draft, index, value, line, known);
        return;
    }
    let words = |value: &str| -> Vec<String> {
        value
            .split([',', ';', '，', '、'])
            .map(|word| word.trim_matches(['`', '*', '_', ' ', '.']).to_owned())
            .filter(|word| !word.is_empty())
            .collect()
    };
    let task = &mut draft.list.tasks[index];
    match label {
        "requirements" | "requirement" | "validates" => {
            let value = value.strip_prefix("Requirements").unwrap_or(value);
            task.requirements.extend(words(value));
        }
        "boundary" | "boundaries" => {
            for word in words(value) {
                if word.contains('/') || !paths::named(&word).is_empty() {
                    add_touches(task, paths::listed(&word), TouchFrom::Declared);
                } else {
                    task.locks.push(word);
                }
            }
        }
        "lock" | "locks" | "exclusive" => task.locks.extend(words(value)),
        "file" | "files" | "touches" | "path" | "paths" | "location" | "file path" | "file(s)"
        | "files to modify" | "files to create" | "files modified" | "modified files" => {
            add_touches(task, paths::listed(value), TouchFrom::Declared);
        }
        "needs" | "capabilities" | "capability" | "skills" | "required capabilities" => {
            task.needs.extend(words(value));
        }
        "agent" | "assignee" | "assigned to" | "owner" => {
            let name = value.trim_matches(['@', '`', '*', ' ']);
            if name.parse::<crate::id::AgentName>().is_ok() {
                task.pin = Some(name.to_owned());
            }
        }
        "blocked" if task.state == State::Todo => {
            task.state = State::Blocked;
            task.hold = Some(Hold::Because(format!("is blocked ({value})")));
            let message = format!("{} is blocked: {value}", task.id);
            draft.list.notes.push(note(Level::Warning, line, message));
        }
        "acceptance" | "acceptance criteria" | "done when" if !value.is_empty() => {
            task.acceptance.push(value.to_owned());
        }
        "estimate" | "estimated time" | "time estimate" | "estimated effort" | "duration"
        | "estimation" => stated(draft, index, label, value, line),
        _ => {}
    }
}

/// Reads an estimate that the list states.
pub(super) fn stated(draft: &mut Draft<'_>, index: usize, label: &str, value: &str, line: u32) {
    let task = &mut draft.list.tasks[index];
    match estimate::read(value) {
        Ok(ms) => {
            task.estimate = Some(Estimate {
                ms,
                from: EstimateFrom::Stated,
            });
        }
        Err(wrong) => {
            let (level, why) = match wrong {
                estimate::Wrong::NoNumber => (Level::Warning, "it holds no number"),
                estimate::Wrong::Bad(why) => (Level::Error, why),
            };
            let message = format!(
                "{label} of {}: {value:?} is no length of time: {why}",
                task.id
            );
            let mut found = note(level, line, message);
            found.hint = Some("write it as 30 min, 2h or PT30M".to_owned());
            draft.list.notes.push(found);
        }
    }
}

/// `(depends on T012, T013)` in running text.
fn inline_depends(draft: &mut Draft<'_>, index: usize, text: &str, line: u32, known: &Known<'_>) {
    let mut from = 0;
    // Nobody names dependencies dozens of times in one line; the bound keeps long lines linear.
    for _ in 0..32 {
        let Some(at) = text[from..].find("epends on").map(|at| at + from) else {
            return;
        };
        from = at + "epends on".len();
        let head = &text[..at];
        let word = head.ends_with(['d', 'D']);
        let open = head.rfind(['(', '[', '（']);
        let close = head.rfind([')', ']', '）']);
        if !word || open.is_none() || close > open {
            continue;
        }
        let value = &text[from..];
        let near = value.char_indices().take(4096);
        let end = near
            .clone()
            .find(|(_, c)| matches!(c, ')' | ']' | '）'))
            .or(near.last())
            .map_or(value.len(), |(end, _)| end);
        let value = value[..end].trim_start_matches([':', ' ']);
        draft.list.tasks[index].declared = true;
        depends(draft, index, value, line, known);
        from += end;
    }
}

/// Reads a list of references into edges.
fn depends(draft: &mut Draft<'_>, index: usize, value: &str, line: u32, known: &Known<'_>) {
    for reference in ids::references(value, known) {
        match reference {
            Reference::Known(other) if other == index => {
                let message = format!("{} depends on itself", draft.list.tasks[index].id);
                draft.list.notes.push(note(Level::Error, line, message));
            }
            Reference::Known(other) => {
                draft.counted.0 += 1;
                draft.referred.push(other);
                if draft.list.edges.len() >= MOST_EDGES {
                    if draft.list.edges.len() == MOST_EDGES
                        && !draft
                            .list
                            .notes
                            .iter()
                            .any(|n| n.message.starts_with("more than"))
                    {
                        let message = format!("more than {MOST_EDGES} dependencies in one file");
                        draft.list.notes.push(note(Level::Error, line, message));
                    }
                    return;
                }
                draft.list.edges.push(edge(
                    Node::Task(other),
                    Node::Task(index),
                    Why::Depends,
                    Strength::Declared,
                    line,
                ));
            }
            Reference::Missing(name) | Reference::Elsewhere(name) => {
                draft.counted.1 += 1;
                draft.list.missing.push(Missing {
                    task: index,
                    name,
                    external: false,
                    place: Place { source: 0, line },
                });
            }
            Reference::Unclear(name) => {
                draft.counted.1 += 1;
                let id = &draft.list.tasks[index].id;
                let message = format!(
                    "{id} speaks of {name:?} where it names what it depends on; no task has that id, so it is ignored"
                );
                draft.list.notes.push(note(Level::Info, line, message));
            }
        }
    }
}

/// The facts that do not depend on waves.
fn facts(
    draft: &Draft<'_>,
    boxes: &[&Box<'_>],
    leading: &[Option<Leading<'_>>],
    text: &str,
) -> Vec<(&'static str, Fact)> {
    let known = |found: &Box<'_>| outline::STATES.contains(found.state);
    let strict = boxes.iter().any(|found| ids::leading(found.text).is_some());
    let all = boxes.iter().filter(|found| known(found)).count();
    let with_id = |place: &usize| strict && leading[*place].is_some() && known(boxes[*place]);
    let ids: Vec<&str> = (0..boxes.len())
        .filter(with_id)
        .filter_map(|place| leading[place].as_ref().map(|lead| lead.id))
        .collect();
    let mut times: HashMap<&str, u64> = HashMap::new();
    for id in &ids {
        *times.entry(id).or_default() += 1;
    }
    let mut containers = 0;
    let mut own_details = 0;
    let mut leaf = [0u64; 5];
    let stars = boxes
        .iter()
        .zip(leading)
        .filter(|(_, lead)| lead.is_some() || leading.iter().all(Option::is_none));
    let literal: HashMap<u32, bool> = stars
        .map(|(found, lead)| {
            (
                found.line,
                found.star || lead.as_ref().is_some_and(|lead| lead.star),
            )
        })
        .collect();
    let lines: HashMap<u32, char> = boxes
        .iter()
        .map(|found| (found.line, found.state))
        .collect();
    for task in &draft.list.tasks {
        if lines
            .get(&task.place.line)
            .is_none_or(|c| !outline::STATES.contains(*c))
        {
            continue;
        }
        match task.kind {
            Kind::Container { work } => {
                containers += 1;
                own_details += u64::from(work);
            }
            _ => {
                let counts = [
                    true,
                    task.state == State::Done,
                    lines.get(&task.place.line) == Some(&'-'),
                    lines.get(&task.place.line) == Some(&'~'),
                    literal.get(&task.place.line) == Some(&true),
                ];
                for (sum, yes) in leaf.iter_mut().zip(counts) {
                    *sum += u64::from(yes);
                }
            }
        }
    }
    let noid = |nested: bool| {
        (0..boxes.len())
            .filter(|place| strict && leading[*place].is_none() && known(boxes[*place]))
            .filter(|place| (boxes[*place].indent > 0) == nested)
            .count() as u64
    };
    let marked = boxes
        .iter()
        .filter(|found| found.text.contains("[P]") || found.text.contains("(P)"))
        .count() as u64;
    let doubled = times.values().filter(|count| **count > 1).count() as u64;
    [
        ("boxes", all as u64),
        ("ids", ids.len() as u64),
        ("distinct_ids", times.len() as u64),
        ("dup_ids", doubled),
        ("containers", containers),
        ("containers_own_details", own_details),
        ("leaf", leaf[0]),
        ("leaf_done", leaf[1]),
        ("leaf_inprogress", leaf[2]),
        ("leaf_queued", leaf[3]),
        ("leaf_optional", leaf[4]),
        ("noid_nested", noid(true)),
        ("noid_top", noid(false)),
        ("P_marks", marked),
        ("explicit_edges", draft.counted.0),
        ("unresolved_refs", draft.counted.1),
        ("waves", 0),
        ("wave_refs", 0),
        ("wave_unknown", 0),
        ("wave_containers", 0),
        ("leaf_not_in_waves", 0),
        ("wave_dependsOn_edges", 0),
        ("crlf", u64::from(text.contains("\r\n"))),
    ]
    .into_iter()
    .map(|(name, count)| (name, Fact::Count(count)))
    .collect()
}

/// Ends a draft: writes what was counted about waves, and says so if there is no task at all.
pub(super) fn finish(mut draft: Draft<'_>) -> List {
    let source = &mut draft.list.sources[0];
    let names = [
        "waves",
        "wave_refs",
        "wave_unknown",
        "wave_containers",
        "leaf_not_in_waves",
        "wave_dependsOn_edges",
    ];
    for (name, count) in names.iter().zip(draft.waves) {
        if let Some((_, fact)) = source.facts.iter_mut().find(|(fact, _)| fact == name) {
            *fact = Fact::Count(count);
        }
    }
    if draft.list.tasks.is_empty() {
        let headings: Vec<String> = draft
            .outline
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Heading { level, text, .. } if looks_like_a_task(*level, text) => {
                    Some(format!("{} {text}", "#".repeat(*level)))
                }
                _ => None,
            })
            .collect();
        let mut message = "no tasks found (0 checkboxes".to_owned();
        if let Some(first) = headings.first() {
            let shown: String = first.chars().take(60).collect();
            message.push_str(&format!(
                "; {} headings look like tasks: {shown:?}",
                headings.len()
            ));
        }
        message.push(')');
        let mut found = note(Level::Error, 0, message);
        let tried: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        found.hint = Some(format!(
            "write each task as a box: - [ ] 1.1 What to do (formats tried: {})",
            tried.join(", ")
        ));
        draft.list.notes.push(found);
    }
    draft.list
}

/// Whether a heading seems to be a task: it has an id or begins with the word.
fn looks_like_a_task(level: usize, text: &str) -> bool {
    let lower = text.to_lowercase();
    level >= 2
        && (lower.starts_with("task")
            || lower.starts_with("任務")
            || lower.starts_with("任务")
            || ids::leading(text).is_some())
}
