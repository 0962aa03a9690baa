//! What is different between two plans.

use std::collections::HashMap;

use serde::Serialize;

use super::plan::{Plan, PlannedTask};

/// What happened to one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// added, removed, moved (another agent), reordered (other neighbours), shifted (another start),
    /// resized (another duration). The first of these that holds.
    pub change: &'static str,
    /// The task.
    pub task: String,
    /// What it was, where it was there.
    pub old: Option<String>,
    /// What it is, where it is there.
    pub new: Option<String>,
}

/// All differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The old plan's end, in milliseconds.
    pub old_makespan_ms: u64,
    /// The new plan's end.
    pub new_makespan_ms: u64,
    /// Task by task, in the order of the new plan, then what was removed.
    pub changes: Vec<Change>,
}

/// What is different between two plans. Tasks are told apart by their ids.
pub fn diff(old: &Plan, new: &Plan) -> Difference {
    let was = Sequence::new(old);
    let is = Sequence::new(new);
    let mut changes = Vec::new();
    for task in &new.tasks {
        let change = match was.tasks.get(task.id.as_str()) {
            None => Some(("added", None)),
            Some(before) if before.agent != task.agent => Some(("moved", Some(*before))),
            Some(before) if before.duration_ms != task.duration_ms => {
                Some(("resized", Some(*before)))
            }
            Some(before) if was.after(&is, task) => Some(("reordered", Some(*before))),
            Some(before) if before.start_ms != task.start_ms => Some(("shifted", Some(*before))),
            Some(_) => None,
        };
        if let Some((change, before)) = change {
            changes.push(Change {
                change,
                task: task.id.clone(),
                old: before.map(shown),
                new: Some(shown(task)),
            });
        }
    }
    for task in &old.tasks {
        if !is.tasks.contains_key(task.id.as_str()) {
            changes.push(Change {
                change: "removed",
                task: task.id.clone(),
                old: Some(shown(task)),
                new: None,
            });
        }
    }
    Difference {
        old_makespan_ms: old.makespan_ms,
        new_makespan_ms: new.makespan_ms,
        changes,
    }
}

fn shown(task: &PlannedTask) -> String {
    format!(
        "{} {}..{}",
        task.agent,
        super::plan::human(task.start_ms),
        super::plan::human(task.finish_ms)
    )
}

/// The tasks of a plan, and for each the one before it on its agent.
struct Sequence<'p> {
    tasks: HashMap<&'p str, &'p PlannedTask>,
    before: HashMap<&'p str, &'p str>,
}

impl<'p> Sequence<'p> {
    fn new(plan: &'p Plan) -> Sequence<'p> {
        let mut last: HashMap<&str, &str> = HashMap::new();
        let mut before = HashMap::new();
        for task in &plan.tasks {
            if let Some(previous) = last.insert(&task.agent, &task.id) {
                before.insert(task.id.as_str(), previous);
            }
        }
        Sequence {
            tasks: plan.tasks.iter().map(|t| (t.id.as_str(), t)).collect(),
            before,
        }
    }

    /// Whether the task now follows a task that it did not follow before, though both were there.
    fn after(&self, new: &Sequence<'_>, task: &PlannedTask) -> bool {
        let now = new.before.get(task.id.as_str());
        let then = self.before.get(task.id.as_str());
        match (then, now) {
            (Some(then), Some(now)) => then != now && self.tasks.contains_key(now),
            _ => false,
        }
    }
}
