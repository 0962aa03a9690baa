//! Task lists: one model for what people keep in many forms.
//!
//! **For**: reading the lists that people and their tools have (Kiro, cc-sdd, spec-kit, Taskmaster,
//! beads, OpenSpec, BMAD, Claude Code, Ralph, GitHub, our own JSON lines) into one [`List`] that the
//! rooms below schedule and explain.
//!
//! **Promises**: a reader is a function of a file's name and bytes; each task, edge and note knows
//! its file and line ([`Place`]), each edge why it is there ([`Why`]) and how sure that is
//! ([`Strength`]). No input makes a reader panic, recurse or take more than linear time; bad input
//! becomes a [`Note`], and the rest is read on.
//!
//! **Does not**: open files, know the time, guess an order that nobody asked for, or write a list.
//!
//! How the parts hang together:
//!
//! ```text
//! tasks[0] 1  container ─ parent of ┐      edges: what the list says, between tasks (also
//! tasks[1] 1.1 work    ◄────────────┤             containers) and gates
//! tasks[2] 1.2 work    ◄────────────┘      gates: "wave 2", "phase Setup": points in time that
//! tasks[3] 2   checkpoint                         keep a barrier linear (n + m edges, not n × m)
//!                                          flow:  the same for a scheduler, with the containers
//!                                                 opened up ([`List::flow`])
//! ```

use std::collections::HashMap;
use std::fmt;

use crate::id::TaskKey;

mod beads;
mod bmad;
mod ccsdd;
mod claude;
mod detect;
mod estimate;
mod github;
mod ids;
mod json;
pub mod kiro;
pub mod lint;
mod markdown;
pub mod merge;
mod openspec;
pub mod order;
mod ours;
mod outline;
mod paths;
mod ralph;
mod speckit;
mod taskmaster;
pub mod tick;

pub use detect::{detect, read};
pub use order::Order;

/// A list, or several that were merged.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// The files that were read, in the order given; a [`Place`] points in here.
    pub sources: Vec<Source>,
    /// The tasks in file order, containers and checkpoints among them.
    pub tasks: Vec<Task>,
    /// Points in time that are no tasks; they cost nothing and need nobody.
    pub gates: Vec<Gate>,
    /// What must be finished before what.
    pub edges: Vec<Edge>,
    /// Dependencies whose other end was not found.
    pub missing: Vec<Missing>,
    /// The phases or groups that headings make, in file order.
    pub phases: Vec<Phase>,
    /// What was found wrong or remarkable.
    pub notes: Vec<Note>,
}

/// A dependency whose other end is not in the list it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The task that waits.
    pub task: usize,
    /// What it waits for, as written: `9.9`, `other-spec/2`.
    pub name: String,
    /// Whether it may live outside on purpose, so that its absence is no mistake.
    pub external: bool,
    /// The line.
    pub place: Place,
}

/// A heading over tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// Its text.
    pub name: String,
    /// Its line.
    pub place: Place,
}

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name as it was given.
    pub file: String,
    /// The form in which it was read.
    pub format: Format,
    /// The spec that its tasks belong to.
    pub spec: String,
    /// Whether a wave graph in it says the order.
    pub waves: bool,
    /// What was counted in it, in the order of the table of facts.
    pub facts: Vec<(&'static str, Fact)>,
}

/// A number that was counted in a file, or a table of such numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// How many.
    Count(u64),
    /// How many of each kind, in the order met.
    Table(Vec<(String, u64)>),
}

/// A line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The index in [`List::sources`].
    pub source: u32,
    /// The line, from 1; 0 means the file as a whole.
    pub line: u32,
}

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Kiro `tasks.md`.
    Kiro,
    /// cc-sdd: Kiro's file with `(P)`, `_Depends:_`, `_Boundary:_`.
    CcSdd,
    /// GitHub spec-kit `tasks.md`.
    SpecKit,
    /// Taskmaster `tasks.json`.
    Taskmaster,
    /// beads `issues.jsonl`.
    Beads,
    /// OpenSpec `openspec/changes/*/tasks.md`.
    OpenSpec,
    /// BMAD story file or `sprint-status.yaml`.
    Bmad,
    /// Claude Code task files.
    Claude,
    /// Ralph `prd.json`.
    Ralph,
    /// A plain GitHub task list.
    Github,
    /// Our own JSON lines.
    Ours,
}

impl Format {
    /// All of them, in the order in which they are listed for people.
    pub const ALL: [Format; 11] = [
        Format::Kiro,
        Format::CcSdd,
        Format::SpecKit,
        Format::Taskmaster,
        Format::Beads,
        Format::OpenSpec,
        Format::Bmad,
        Format::Claude,
        Format::Ralph,
        Format::Github,
        Format::Ours,
    ];

    /// The name as `--format` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Kiro => "kiro",
            Format::CcSdd => "cc-sdd",
            Format::SpecKit => "speckit",
            Format::Taskmaster => "taskmaster",
            Format::Beads => "beads",
            Format::OpenSpec => "openspec",
            Format::Bmad => "bmad",
            Format::Claude => "claude",
            Format::Ralph => "ralph",
            Format::Github => "github",
            Format::Ours => "ours",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One task.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its name: the id where one spec was read, `spec/id` where several were; unique in a list.
    pub key: TaskKey,
    /// The id as the file has it; where the file has none, the box's number.
    pub id: String,
    /// The spec that it belongs to.
    pub spec: String,
    /// Its one line, without id, marks and markup around the whole.
    pub title: String,
    /// What stands below it, line by line, without bullets.
    pub details: Vec<String>,
    /// How far it is.
    pub state: State,
    /// Whether it may be left out.
    pub optional: bool,
    /// What sort of thing it is.
    pub kind: Kind,
    /// The task that contains it, an index in [`List::tasks`].
    pub parent: Option<usize>,
    /// How long it takes, where something is known.
    pub estimate: Option<Estimate>,
    /// The files it works on.
    pub touches: Vec<Touch>,
    /// Things beside files that only one task may hold at a time: boundaries, declared locks.
    pub locks: Vec<String>,
    /// What an agent must be able to do to take it.
    pub needs: Vec<String>,
    /// The agent that the list itself names for it.
    pub pin: Option<String>,
    /// Whether the list marks it as fit for parallel work (`[P]`, `(P)`).
    pub parallel: bool,
    /// How much it matters, smaller first; lists without priorities have 0 everywhere.
    pub priority: i64,
    /// The ids of requirements that it serves.
    pub requirements: Vec<String>,
    /// When it counts as done.
    pub acceptance: Vec<String>,
    /// Whether the list states what it waits for, be it nothing.
    pub declared: bool,
    /// The heading it stands under, an index in [`List::phases`].
    pub phase: Option<usize>,
    /// Where it stands.
    pub place: Place,
    /// In JSON, where the bytes stand that say how far it is; an empty stretch if nothing does yet.
    pub state_at: Option<(u32, u32)>,
    /// What holds it back, if the list says so.
    pub hold: Option<Hold>,
}

impl Task {
    /// Whether somebody has to do something for it: work, a checkpoint, or a container that has
    /// work of its own.
    pub fn is_work(&self) -> bool {
        !matches!(self.kind, Kind::Container { work: false })
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Cancelled)
    }
}

/// What holds a task back although nothing that it waits for is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// The reason, to be read behind the task's name.
    Because(String),
    /// A time before which nobody is to begin, as it stands in the list.
    Until(String),
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Not begun: `[ ]`, pending, open.
    Todo,
    /// About to be begun: `[~]`.
    Queued,
    /// Somebody works on it: `[-]`, in-progress.
    Running,
    /// Finished: `[x]`, done, closed.
    Done,
    /// Somebody says it can't go on: blocked.
    Blocked,
    /// Put off: deferred.
    Deferred,
    /// Given up; it will never be done.
    Cancelled,
    /// Tried and failed.
    Failed,
}

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            State::Todo => "todo",
            State::Queued => "queued",
            State::Running => "running",
            State::Done => "done",
            State::Blocked => "blocked",
            State::Deferred => "deferred",
            State::Cancelled => "cancelled",
            State::Failed => "failed",
        }
    }
}

/// What sort of thing a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something to do.
    Work,
    /// Something to look at: tests run, a person asked. Everything before it should be finished.
    Checkpoint,
    /// A heading over others.
    Container {
        /// Whether it also has work of its own, which comes before its parts.
        work: bool,
    },
}

impl Kind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Work => "work",
            Kind::Checkpoint => "checkpoint",
            Kind::Container { .. } => "container",
        }
    }
}

/// How long a task takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Milliseconds.
    pub ms: u64,
    /// Who says so.
    pub from: EstimateFrom,
}

/// Where an estimate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EstimateFrom {
    /// The list states it.
    Stated,
    /// An earlier run of the same task took that long.
    History,
}

impl EstimateFrom {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            EstimateFrom::Stated => "stated",
            EstimateFrom::History => "history",
        }
    }
}

/// A file, or a directory with a slash at its end, that a task works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// The path with `/` between its parts, relative as in the list.
    pub path: String,
    /// How it is known.
    pub from: TouchFrom,
}

/// How it is known that a task touches a file; the first is the surest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TouchFrom {
    /// A field says so: `File:`, `Files:`, `touches`.
    Declared,
    /// Title or details name it.
    Text,
}

/// A point in time between tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// What it is, for people: `wave 2`, `phase Setup`.
    pub name: String,
    /// Where it comes from.
    pub place: Place,
}

/// What an edge joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// An index in [`List::tasks`]. For a container the whole of it is meant.
    Task(usize),
    /// An index in [`List::gates`].
    Gate(usize),
}

/// `from` must be finished before `to` begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// What comes first.
    pub from: Node,
    /// What waits.
    pub to: Node,
    /// Why.
    pub why: Why,
    /// How sure that is.
    pub strength: Strength,
    /// The line that is the evidence.
    pub place: Place,
}

/// Why one task waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// A dependency field names it.
    Depends,
    /// A wave graph places it later.
    Waves,
    /// It stands in a later phase.
    Phase,
    /// It stands later in the file.
    Order,
    /// It is part of the other, or the other of it.
    Parent,
    /// One of them is a checkpoint.
    Checkpoint,
    /// Both work on one file.
    Overlap,
    /// The user asked for it.
    Manual,
}

impl Why {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Why::Depends => "depends",
            Why::Waves => "waves",
            Why::Phase => "phase",
            Why::Order => "order",
            Why::Parent => "parent",
            Why::Checkpoint => "checkpoint",
            Why::Overlap => "overlap",
            Why::Manual => "manual",
        }
    }
}

/// How sure an edge is; the first is the weakest, and the first to drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// We read it out of the text.
    Inferred,
    /// The form's documentation says that lists are meant so.
    Documented,
    /// The list says it.
    Declared,
}

impl Strength {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Strength::Inferred => "inferred",
            Strength::Documented => "documented",
            Strength::Declared => "declared",
        }
    }
}

/// Something found in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// How bad.
    pub level: Level,
    /// What, in one line without the place.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How bad a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Read on, but look at it.
    Warning,
    /// The list can't be trusted as it is.
    Error,
}

impl Level {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// The edges as a scheduler needs them: plain numbers, no containers left to open.
///
/// Nodes `0..tasks` are the tasks of the list in order; for a container that number is its
/// *beginning*. Higher numbers are gates and the ends of containers; like a container's beginning
/// without own work, they take no time and nobody.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many of them are tasks: the first ones.
    pub tasks: usize,
    /// The edges, in the order of the list, then those of the containers.
    pub edges: Vec<FlowEdge>,
}

/// One edge of a [`Flow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowEdge {
    /// What comes first.
    pub from: u32,
    /// What waits.
    pub to: u32,
    /// The edge of the list behind it; none for the bond between a container and its parts.
    pub edge: Option<u32>,
}

impl List {
    /// A place as `file:line`, or the file alone for line 0.
    pub fn at(&self, place: Place) -> String {
        let file = self
            .sources
            .get(place.source as usize)
            .map_or("?", |source| source.file.as_str());
        match place.line {
            0 => file.to_owned(),
            line => format!("{file}:{line}"),
        }
    }

    /// Whether any note is an error.
    pub fn has_errors(&self) -> bool {
        self.notes.iter().any(|note| note.level == Level::Error)
    }

    /// The tasks by key.
    pub fn by_key(&self) -> HashMap<&str, usize> {
        self.tasks
            .iter()
            .enumerate()
            .map(|(index, task)| (task.key.as_str(), index))
            .collect()
    }

    /// The task that `name` means: a key, `spec/id`, or an id that only one spec has.
    pub fn find(&self, name: &str) -> Option<usize> {
        if let Some(exact) = self.tasks.iter().position(|t| t.key.as_str() == name) {
            return Some(exact);
        }
        let mut found = self.tasks.iter().enumerate().filter(|(_, task)| {
            task.id == name
                || name
                    .strip_prefix(task.spec.as_str())
                    .and_then(|rest| rest.strip_prefix('/'))
                    .is_some_and(|id| id == task.id)
        });
        match (found.next(), found.next()) {
            (Some((only, _)), None) => Some(only),
            _ => None,
        }
    }

    /// The list for a scheduler.
    ///
    /// An edge *to* a container holds its beginning, one *from* it waits for its end; its parts
    /// begin after its beginning and finish before its end. A container's own work is its beginning.
    pub fn flow(&self) -> Flow {
        let tasks = self.tasks.len();
        let gates = tasks + self.gates.len();
        let mut nodes = gates;
        let ends: Vec<u32> = self
            .tasks
            .iter()
            .enumerate()
            .map(|(index, task)| match task.kind {
                Kind::Container { .. } => {
                    nodes += 1;
                    nodes as u32 - 1
                }
                _ => index as u32,
            })
            .collect();
        let begin = |node: Node| match node {
            Node::Task(index) => index as u32,
            Node::Gate(index) => (tasks + index) as u32,
        };
        let end = |node: Node| match node {
            Node::Task(index) => ends[index],
            Node::Gate(index) => (tasks + index) as u32,
        };
        let intervals = self.intervals();
        let contains = |outer: Node, inner: Node| match (outer, inner) {
            (Node::Task(outer), Node::Task(inner)) => {
                outer != inner
                    && (intervals[outer].0..=intervals[outer].1).contains(&intervals[inner].0)
            }
            _ => false,
        };
        let stated = self.edges.iter().enumerate().map(|(index, edge)| {
            // Inside a container the beginning is meant, not the end, which waits for the part.
            let from = if contains(edge.from, edge.to) {
                begin(edge.from)
            } else {
                end(edge.from)
            };
            FlowEdge {
                from,
                to: if contains(edge.to, edge.from) {
                    end(edge.to)
                } else {
                    begin(edge.to)
                },
                edge: Some(index as u32),
            }
        });
        let mut edges: Vec<FlowEdge> = stated.collect();
        let mut bond = |from: u32, to: u32| {
            edges.push(FlowEdge {
                from,
                to,
                edge: None,
            });
        };
        for (index, task) in self.tasks.iter().enumerate() {
            if ends[index] != index as u32 {
                bond(index as u32, ends[index]);
            }
            if let Some(parent) = task.parent {
                bond(parent as u32, index as u32);
                bond(ends[index], ends[parent]);
            }
        }
        Flow {
            nodes,
            tasks,
            edges,
        }
    }

    /// For each task its number in a walk over the containers and the last number inside it, so
    /// that "is inside" is two comparisons.
    fn intervals(&self) -> Vec<(u32, u32)> {
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); self.tasks.len()];
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut tops = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            match task.parent {
                Some(parent) => parts[parent].push(index),
                None => tops.push(index),
            }
        }
        let mut intervals = vec![(0, 0); self.tasks.len()];
        let mut number = 0;
        for top in tops {
            open.push((top, 0));
            while let Some((index, next)) = open.pop() {
                if next == 0 {
                    number += 1;
                    intervals[index].0 = number;
                }
                match parts[index].get(next) {
                    Some(part) => {
                        open.push((index, next + 1));
                        open.push((*part, 0));
                    }
                    None => intervals[index].1 = number,
                }
            }
        }
        intervals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, kind: Kind, parent: Option<usize>) -> Task {
        Task {
            key: id.parse().unwrap(),
            id: id.to_owned(),
            spec: "auth".to_owned(),
            title: String::new(),
            details: vec![],
            state: State::Todo,
            optional: false,
            kind,
            parent,
            estimate: None,
            touches: vec![],
            locks: vec![],
            needs: vec![],
            pin: None,
            parallel: false,
            priority: 0,
            requirements: vec![],
            acceptance: vec![],
            declared: false,
            phase: None,
            place: Place::default(),
            state_at: None,
            hold: None,
        }
    }

    #[test]
    fn what_follows_a_container_waits_for_its_end() {
        let mut list = List {
            tasks: vec![
                task("1", Kind::Container { work: false }, None),
                task("1.1", Kind::Work, Some(0)),
                task("2", Kind::Work, None),
            ],
            ..List::default()
        };
        list.edges.push(Edge {
            from: Node::Task(0),
            to: Node::Task(2),
            why: Why::Depends,
            strength: Strength::Declared,
            place: Place::default(),
        });
        let flow = list.flow();
        assert_eq!(flow.nodes, 4);
        let pairs: Vec<(u32, u32)> = flow.edges.iter().map(|e| (e.from, e.to)).collect();
        assert_eq!(pairs, [(3, 2), (0, 3), (0, 1), (1, 3)]);
    }

    #[test]
    fn a_task_is_found_by_key_by_spec_and_id_and_by_an_id_of_its_own() {
        let mut other = task("1", Kind::Work, None);
        other.key = "login/1".parse().unwrap();
        other.spec = "login".to_owned();
        let list = List {
            tasks: vec![
                task("1", Kind::Work, None),
                other,
                task("2", Kind::Work, None),
            ],
            ..List::default()
        };
        assert_eq!(list.find("1"), Some(0));
        assert_eq!(list.find("login/1"), Some(1));
        assert_eq!(list.find("auth/2"), Some(2));
        assert_eq!(list.find("3"), None);
    }
}
