//! What is wrong or doubtful about a list as a whole: what its readers could not see line by line.

use std::collections::{BTreeMap, HashMap};

use super::{Format, Hold, Level, List, Node, Note, Place, State, Task, TouchFrom, Why};
use crate::id::nearest;

/// What becomes of a dependency whose other end is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The list is wrong.
    Error,
    /// It lives elsewhere and is not done: what waits for it is left out.
    Warn,
    /// It lives elsewhere and is done.
    Done,
}

/// What becomes of a dependency on a task that will never be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Nobody waits for it any more.
    Satisfied,
    /// What waits for it is left out.
    Blocked,
}

/// How to take what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Dependencies that lead nowhere.
    pub missing: Absent,
    /// Dependencies on cancelled tasks.
    pub cancelled: Given,
    /// Whether optional tasks are left out.
    pub skip_optional: bool,
}

/// Tasks that cannot be planned, each with the reason.
pub type Held = Vec<(usize, String)>;

/// The tasks that are put off: those whose time, as the list has it, `is_ahead`.
pub fn put_off(list: &List, is_ahead: &dyn Fn(&str) -> bool) -> Held {
    let tasks = list.tasks.iter().enumerate();
    tasks
        .filter_map(|(index, task)| match &task.hold {
            Some(Hold::Until(time)) if !task.is_over() && is_ahead(time) => {
                Some((index, format!("{} is put off until {time}", task.key)))
            }
            _ => None,
        })
        .collect()
}

/// Looks at a whole list. The notes are those that the policy gives rise to, with what the list
/// contradicts itself in; the tasks returned can't be done now, nor can what waits for them.
pub fn check(list: &List, policy: Policy) -> (Vec<Note>, Held) {
    let mut notes = Vec::new();
    let mut held = Vec::new();
    missing(list, policy, &mut notes, &mut held);
    waits(list, policy, &mut notes, &mut held);
    parallel(list, &mut notes);
    for (index, task) in list.tasks.iter().enumerate() {
        if let (Some(Hold::Because(why)), false) = (&task.hold, task.is_over()) {
            held.push((index, format!("{} {why}", task.key)));
        }
    }
    notes.sort_by_key(|note: &Note| note.place);
    (notes, held)
}

fn told(notes: &mut Vec<Note>, place: Place, level: Level, message: String, hint: Option<String>) {
    notes.push(Note {
        place,
        level,
        message,
        hint,
    });
}

fn missing(list: &List, policy: Policy, notes: &mut Vec<Note>, held: &mut Held) {
    // Ids by spec, gathered once: a long list may have many such mistakes.
    let mut known: HashMap<&str, Vec<&str>> = HashMap::new();
    if !list.missing.is_empty() {
        for task in &list.tasks {
            known.entry(&task.spec).or_default().push(&task.id);
        }
    }
    const LOOKED_UP: usize = 100;
    for (number, missing) in list.missing.iter().enumerate() {
        let task = &list.tasks[missing.task];
        let name = missing
            .name
            .strip_prefix("blocks ")
            .unwrap_or(&missing.name);
        let mut message = format!("{} depends on {name}, which is not in this list", task.id);
        if number < LOOKED_UP
            && name.len() > 1
            && let Some(near) = known
                .get(task.spec.as_str())
                .and_then(|ids| nearest(name, ids.iter().copied()).into_iter().next())
        {
            message.push_str(&format!(" (did you mean {near}?)"));
        }
        let absent = match policy.missing {
            Absent::Error if missing.external => Absent::Warn,
            absent => absent,
        };
        let (level, hint) = match absent {
            Absent::Error => (
                Level::Error,
                Some("--missing=warn leaves it out, --missing=done takes it as done"),
            ),
            Absent::Warn => (Level::Warning, None),
            Absent::Done => (Level::Info, None),
        };
        if absent == Absent::Warn && !task.is_over() {
            message.push_str(": taken as not done");
            held.push((
                missing.task,
                format!("{} waits for {name}, which is elsewhere", task.key),
            ));
        }
        told(
            notes,
            missing.place,
            level,
            message,
            hint.map(str::to_owned),
        );
    }
}

fn waits(list: &List, policy: Policy, notes: &mut Vec<Note>, held: &mut Held) {
    for edge in list.edges.iter().filter(|edge| edge.why == Why::Depends) {
        let (Node::Task(from), Node::Task(to)) = (edge.from, edge.to) else {
            continue;
        };
        let (before, after) = (&list.tasks[from], &list.tasks[to]);
        if after.is_over() {
            if after.state == State::Done && !before.is_over() && before.is_work() {
                let message = format!(
                    "{} is done, though {}, which it depends on, is not",
                    after.id, before.id
                );
                told(notes, edge.place, Level::Warning, message, None);
            }
            continue;
        }
        if before.state == State::Cancelled {
            let blocked = policy.cancelled == Given::Blocked;
            let message = format!(
                "{} waits for {}, which is cancelled: treating as {} (--cancelled={})",
                after.id,
                before.id,
                if blocked { "blocked" } else { "satisfied" },
                if blocked { "satisfied" } else { "blocked" },
            );
            told(notes, edge.place, Level::Warning, message, None);
            if blocked {
                let why = format!("{} waits for {}, which is cancelled", after.key, before.key);
                held.push((to, why));
            }
        } else if policy.skip_optional && before.optional && !before.is_over() && !after.optional {
            let message = format!(
                "{} waits for {}, which is optional and left out: treating as satisfied",
                after.id, before.id
            );
            told(notes, edge.place, Level::Warning, message, None);
        }
    }
}

/// Tasks that the list calls fit to run together, though they name one file or lock: every pair of
/// them stands in one of these notes.
fn parallel(list: &List, notes: &mut Vec<Note>) {
    let marked = |task: &Task| task.parallel && task.is_work();
    let mut sharing: BTreeMap<(u32, &str), Vec<usize>> = BTreeMap::new();
    for (index, task) in list.tasks.iter().enumerate().filter(|(_, t)| marked(t)) {
        for name in shared_names(task) {
            let users = sharing.entry((task.place.source, name)).or_default();
            if users.last() != Some(&index) {
                users.push(index);
            }
        }
    }
    for ((source, name), users) in sharing.iter().filter(|(_, users)| users.len() > 1) {
        let mark = match list.sources[*source as usize].format {
            Format::CcSdd => "(P)",
            _ => "[P]",
        };
        let place = list.tasks[users[1]].place;
        let beside = users.windows(2).any(|two| {
            let [one, other] = [two[0], two[1]].map(|index| &list.tasks[index]);
            one.phase == other.phase && one.parent == other.parent
        });
        let level = if beside { Level::Warning } else { Level::Info };
        told(
            notes,
            place,
            level,
            together(list, users, &format!("{mark} but"), name),
            None,
        );
    }
    let mut waves: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for edge in list.edges.iter().filter(|edge| edge.why == Why::Waves) {
        if let (Node::Task(task), Node::Gate(gate)) = (edge.from, edge.to) {
            waves.entry(gate).or_default().push(task);
        }
    }
    for members in waves.values() {
        let mut sharing: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for &index in members {
            for name in shared_names(&list.tasks[index]) {
                let users = sharing.entry(name).or_default();
                if users.last() != Some(&index) {
                    users.push(index);
                }
            }
        }
        for (name, users) in sharing.iter().filter(|(_, users)| users.len() > 1) {
            let place = list.tasks[users[1]].place;
            let message = together(list, users, "in one wave but", name);
            told(notes, place, Level::Warning, message, None);
        }
    }
}

fn shared_names(task: &Task) -> impl Iterator<Item = &str> {
    let files = task
        .touches
        .iter()
        .filter(|touch| touch.from == TouchFrom::Declared || !touch.path.ends_with('/'));
    files
        .map(|touch| touch.path.as_str())
        .chain(task.locks.iter().map(String::as_str))
}

/// `T009 and T010 are both [P] but name x.swift`.
fn together(list: &List, users: &[usize], what: &str, name: &str) -> String {
    let ids: Vec<&str> = users.iter().map(|&t| list.tasks[t].id.as_str()).collect();
    match &ids[..] {
        [one, other] => format!("{one} and {other} are both {what} name {name}"),
        [most @ .., last] => format!("{} and {last} are all {what} name {name}", most.join(", ")),
        [] => String::new(),
    }
}

/// Takes tasks that somebody seems to work on (`[-]`), but whose last sign of life is older than
/// is allowed, as not begun. `silent` says so of a task; those that are not silent are returned:
/// they are somebody's, and can't be planned.
pub fn stale(list: &mut List, silent: &dyn Fn(&Task) -> bool, notes: &mut Vec<Note>) -> Held {
    let mut held = Vec::new();
    for (index, task) in list.tasks.iter_mut().enumerate() {
        if task.state != State::Running || !task.is_work() {
            continue;
        }
        if silent(task) {
            let message = format!(
                "{} is marked as in progress, but nobody was heard of: taken as not begun",
                task.id
            );
            told(notes, task.place, Level::Warning, message, None);
            task.state = State::Todo;
        } else {
            held.push((index, format!("{} is in progress", task.key)));
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    const POLICY: Policy = Policy {
        missing: Absent::Error,
        cancelled: Given::Satisfied,
        skip_optional: false,
    };

    fn messages(file: &str, text: &str, policy: Policy) -> (Vec<String>, Vec<usize>) {
        let list = super::super::merge::merge(vec![read(file, text.as_bytes(), None)]);
        let (notes, held) = check(&list, policy);
        let say = |note: &Note| {
            format!(
                "{}: {}: {}",
                list.at(note.place),
                note.level.name(),
                note.message
            )
        };
        (
            notes.iter().map(say).collect(),
            held.into_iter().map(|h| h.0).collect(),
        )
    }

    #[test]
    fn what_leads_nowhere_is_told_with_what_may_be_meant() {
        let text = "- [ ] 9.1 a\n- [ ] 2.3 b\n  - Depends on: 9.9\n";
        let (notes, held) = messages("tasks.md", text, POLICY);
        assert_eq!(
            notes,
            [
                "tasks.md:3: error: 2.3 depends on 9.9, which is not in this list (did you mean 9.1?)"
            ]
        );
        assert_eq!(held, Vec::<usize>::new());
        let policy = Policy {
            missing: Absent::Warn,
            ..POLICY
        };
        assert_eq!(messages("tasks.md", text, policy).1, [1]);
        let policy = Policy {
            missing: Absent::Done,
            ..POLICY
        };
        assert_eq!(messages("tasks.md", text, policy).1, Vec::<usize>::new());
    }

    #[test]
    fn a_cancelled_task_is_waited_for_only_when_asked() {
        let text = r#"{"tasks":[{"id":3,"title":"a","status":"cancelled","dependencies":[]},
{"id":4,"title":"b","status":"pending","dependencies":[3]}]}"#;
        let (notes, held) = messages("tasks.json", text, POLICY);
        assert_eq!(
            notes,
            [
                "tasks.json:2: warning: 4 waits for 3, which is cancelled: treating as satisfied (--cancelled=blocked)"
            ]
        );
        assert_eq!(held, Vec::<usize>::new());
        let policy = Policy {
            cancelled: Given::Blocked,
            ..POLICY
        };
        assert_eq!(messages("tasks.json", text, policy).1, [1]);
    }

    #[test]
    fn marks_that_contradict_the_files_are_found() {
        let text = "- [ ] T008 [P] c in src/c.swift\n- [ ] T009 [P] a in src/a.swift\n- [ ] T010 [P] b in src/a.swift\n";
        let (notes, _) = messages("tasks.md", text, POLICY);
        assert_eq!(
            notes,
            ["tasks.md:3: warning: T009 and T010 are both [P] but name src/a.swift"]
        );
        let text = "- [ ] 1. x in `a.rs`\n- [ ] 2. y in `a.rs`\n```json\n{\"waves\":[{\"tasks\":[\"1\",\"2\"]}]}\n```\n";
        let (notes, _) = messages(".kiro/specs/x/tasks.md", text, POLICY);
        assert_eq!(
            notes,
            [".kiro/specs/x/tasks.md:2: warning: 1 and 2 are both in one wave but name a.rs"]
        );
    }

    #[test]
    fn a_done_task_that_waits_for_an_open_one_is_doubtful() {
        let text = "- [ ] 1. a\n- [x] 2. b\n  - Depends on: 1\n";
        let (notes, _) = messages("tasks.md", text, POLICY);
        assert_eq!(
            notes,
            ["tasks.md:3: warning: 2 is done, though 1, which it depends on, is not"]
        );
    }
}
