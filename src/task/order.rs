//! What the order of a list means where the list itself does not say it.
//!
//! Nothing is guessed silently: who asks for an [`Order`] gets edges that say `order`, `phase` or
//! `checkpoint`, how sure they are, and on which line they rest. Lists that state what waits for what
//! (wave graphs, Taskmaster, beads, Claude Code, our own lines) are left as they are. In all others a
//! task that states its dependencies waits for these alone, except in cc-sdd and spec-kit lists,
//! whose rules say that order counts beside them.
//!
//! No edge of this file can close a circle: each leads forward in one order of all tasks that keeps
//! every dependency that the list states, and of those orders the one nearest to the file.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::{Edge, Format, Gate, Kind, List, Node, Place, Source, Strength, Task, TouchFrom, Why};

/// What stands later in a list waits for what stands before it: always, by groups, or only where
/// something in the text says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Each task waits for all before it, save those marked as parallel beside each other.
    Strict,
    /// Groups (containers, phases) come one after the other, what stands in one group is free.
    /// In spec-kit lists the marks count within a phase, and stories are free of each other.
    Phase,
    /// A task waits for an earlier one that works on the same file, that it tests, whose id or
    /// symbols its text names; and checkpoints, a first group that sets up and a last one that
    /// puts together hold everything.
    Infer,
}

impl Order {
    /// All of them, the most careful first.
    pub const ALL: [Order; 3] = [Order::Strict, Order::Phase, Order::Infer];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Order::Strict => "strict",
            Order::Phase => "phase",
            Order::Infer => "infer",
        }
    }
}

/// Adds the edges that `order` means to every source of the list that does not state its order, and
/// says how many. Files for which `shared` says yes are no reason for an edge.
pub fn apply(list: &mut List, order: Order, shared: &dyn Fn(&str) -> bool) -> usize {
    let ordered = |source: &Source| source.waves || states_order(source.format);
    if list.sources.iter().all(ordered) {
        return 0;
    }
    let Some((place, end)) = positions(list) else {
        // The list's own dependencies go round in a circle; that is what has to be told.
        return 0;
    };
    let mut of_source: Vec<Vec<usize>> = vec![Vec::new(); list.sources.len()];
    for (index, task) in list.tasks.iter().enumerate() {
        if task.is_work() {
            of_source[task.place.source as usize].push(index);
        }
    }
    let before = list.edges.len();
    for (source, mut tasks) in of_source.into_iter().enumerate() {
        if ordered(&list.sources[source]) {
            continue;
        }
        tasks.sort_unstable_by_key(|&task| place[task]);
        let mut line = Line {
            list,
            format: list.sources[source].format,
            order,
            place: &place,
            end: &end,
            has_containers: list.tasks.iter().any(|t| t.parent.is_some()),
            edges: Vec::new(),
            gates: Vec::new(),
            known: HashSet::new(),
            barrier: None,
            open: Vec::new(),
            loose: false,
        };
        match order {
            Order::Infer => line.infer(&tasks, shared),
            Order::Strict | Order::Phase => line.chain(&tasks),
        }
        let Line { edges, gates, .. } = line;
        list.edges.extend(edges);
        list.gates.extend(gates);
    }
    list.edges.len() - before
}

/// Whether lists of this form say themselves what waits for what, be it nothing.
fn states_order(format: Format) -> bool {
    match format {
        Format::Taskmaster | Format::Beads | Format::Claude | Format::Ours => true,
        Format::Kiro
        | Format::CcSdd
        | Format::SpecKit
        | Format::OpenSpec
        | Format::Bmad
        | Format::Ralph
        | Format::Github => false,
    }
}

/// Where each task stands in the order nearest to the file that keeps what the list states, and
/// where the last of its parts does; none if there is no such order.
fn positions(list: &List) -> Option<(Vec<usize>, Vec<usize>)> {
    let flow = list.flow();
    let mut waits = vec![0u32; flow.nodes];
    let mut after: Vec<Vec<u32>> = vec![Vec::new(); flow.nodes];
    for edge in &flow.edges {
        waits[edge.to as usize] += 1;
        after[edge.from as usize].push(edge.to);
    }
    let mut ready: BinaryHeap<Reverse<u32>> = (0..flow.nodes as u32)
        .filter(|&node| waits[node as usize] == 0)
        .map(Reverse)
        .collect();
    // Gates and ends have numbers above all tasks, but take no time: they come first.
    let mut instant: Vec<u32> = Vec::new();
    let mut place = vec![0; flow.tasks];
    let mut end = vec![0; flow.tasks];
    let mut done = 0;
    while let Some(node) = instant.pop().or_else(|| ready.pop().map(|next| next.0)) {
        if let Some(place) = place.get_mut(node as usize) {
            *place = done;
            let mut up = Some(node as usize);
            for _ in 0..64 {
                let Some(task) = up else { break };
                end[task] = done;
                up = list.tasks[task].parent;
            }
        }
        done += 1;
        for &next in &after[node as usize] {
            waits[next as usize] -= 1;
            if waits[next as usize] == 0 {
                if (next as usize) < flow.tasks {
                    ready.push(Reverse(next));
                } else {
                    instant.push(next);
                }
            }
        }
    }
    (done == flow.nodes).then_some((place, end))
}

/// What makes tasks neighbours that may run beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Parent(usize),
    Phase(Option<usize>),
}

/// The tasks of one source being put in order.
struct Line<'a> {
    list: &'a List,
    format: Format,
    order: Order,
    /// Where each task, and the last of its parts, stands in [`positions`].
    place: &'a [usize],
    end: &'a [usize],
    has_containers: bool,
    edges: Vec<Edge>,
    gates: Vec<Gate>,
    known: HashSet<(Node, Node)>,
    /// Everything so far is finished when this is and `open` are.
    barrier: Option<Node>,
    open: Vec<Node>,
    /// Which of `open` do not wait for the barrier.
    loose: bool,
}

impl<'a> Line<'a> {
    /// Whether a task waits only for what it states.
    fn free(&self, task: &Task) -> bool {
        task.declared && !matches!(self.format, Format::CcSdd | Format::SpecKit)
    }

    /// With whom a task may run at the same time.
    fn group(&self, task: &Task) -> Option<Group> {
        let beside = match task.parent {
            Some(parent) => Some(Group::Parent(parent)),
            None if self.has_containers && self.format != Format::SpecKit => None,
            None => Some(Group::Phase(task.phase)),
        };
        if self.order == Order::Phase && self.format != Format::SpecKit {
            // Without any group all tasks of a file would be free of each other.
            let grouped = beside.filter(|group| *group != Group::Phase(None));
            return grouped.filter(|_| task.kind != Kind::Checkpoint);
        }
        let marked = task.parallel && task.kind != Kind::Checkpoint;
        let beside = beside.or(Some(Group::Phase(task.phase)));
        beside.filter(|_| marked)
    }

    fn edge(&mut self, from: Node, to: Node, why: Why, strength: Strength, place: Place) {
        // A container is over when its last part is. Where a stated dependency has carried that part
        // behind `to`, only a part can be waited for.
        if let (Node::Task(whole), Node::Task(other)) = (from, to)
            && self.place[other] < self.end[whole]
            && self.list.tasks[other].parent != Some(whole)
        {
            return;
        }
        if from != to && self.known.insert((from, to)) {
            self.edges.push(Edge {
                from,
                to,
                why,
                strength,
                place,
            });
        }
    }

    /// An edge that follows from where the tasks stand.
    fn follow(&mut self, from: Node, to: Node, place: Place) {
        let task = |node: Node| match node {
            Node::Task(index) => self.list.tasks.get(index),
            Node::Gate(_) => None,
        };
        let why = match (task(from), task(to)) {
            (Some(from), Some(to)) if self.format == Format::SpecKit && from.phase != to.phase => {
                Why::Phase
            }
            (None, _) | (_, None) if self.format == Format::SpecKit => Why::Phase,
            _ if self.format == Format::SpecKit => Why::Order,
            (Some(one), Some(other))
                if one.kind == Kind::Checkpoint || other.kind == Kind::Checkpoint =>
            {
                Why::Checkpoint
            }
            _ if self.order == Order::Phase => Why::Phase,
            _ => Why::Order,
        };
        let strength = match self.format {
            Format::CcSdd | Format::SpecKit | Format::Ralph => Strength::Documented,
            _ => Strength::Inferred,
        };
        self.edge(from, to, why, strength, place);
    }

    /// Makes one barrier of all that is open; with several open ones by a gate, so that the edges
    /// stay as few as the tasks.
    fn close(&mut self, next: usize) {
        let (place, id) = (self.list.tasks[next].place, &self.list.tasks[next].id);
        // What waits for a container as a whole can't be waited for by one of its parts.
        let holds = |node: &Node| match node {
            Node::Task(whole) => self.end[*whole] < self.place[next],
            Node::Gate(_) => true,
        };
        let mut open = std::mem::take(&mut self.open);
        open.retain(holds);
        let before = self.barrier.filter(|node| self.loose && holds(node));
        if let ([only], false) = (&open[..], self.loose) {
            self.barrier = Some(*only);
        } else if !open.is_empty() {
            let gate = Node::Gate(self.list.gates.len() + self.gates.len());
            self.gates.push(Gate {
                name: format!("all before {id}"),
                place,
            });
            for from in open.into_iter().chain(before) {
                self.follow(from, gate, place);
            }
            self.barrier = Some(gate);
        }
        self.loose = false;
    }

    /// Strict and phase order: one walk over the tasks.
    fn chain(&mut self, tasks: &[usize]) {
        let stories_are_free = self.order == Order::Phase && self.format == Format::SpecKit;
        let mut run: Option<Group> = None;
        let mut phase = None;
        // While stories run beside each other: what all wait for, and the ends of those before.
        let mut stories: Option<(Option<Node>, Vec<Node>)> = None;
        for &index in tasks {
            let list: &'a List = self.list;
            let task = &list.tasks[index];
            let node = Node::Task(index);
            if self.free(task) {
                self.open.push(node);
                self.loose = true;
                continue;
            }
            if stories_are_free && task.phase != phase {
                self.next_phase(index, &mut stories);
                run = None;
            }
            phase = task.phase;
            match self.group(task) {
                Some(group) => {
                    if run != Some(group) {
                        self.close(index);
                        run = Some(group);
                    }
                    if let Some(barrier) = self.barrier {
                        self.follow(barrier, node, task.place);
                    }
                    self.open.push(node);
                }
                None => {
                    let alone = self.open.is_empty() || self.loose;
                    let open = std::mem::take(&mut self.open);
                    for from in self.barrier.filter(|_| alone).into_iter().chain(open) {
                        self.follow(from, node, task.place);
                    }
                    self.barrier = Some(node);
                    self.loose = false;
                    run = None;
                }
            }
        }
    }

    /// Between the phases of a spec-kit list: stories begin together and end together.
    fn next_phase(&mut self, index: usize, stories: &mut Option<(Option<Node>, Vec<Node>)>) {
        let phase = self.list.tasks[index].phase;
        let name = phase
            .and_then(|phase| self.list.phases.get(phase))
            .map_or("", |phase| phase.name.as_str());
        let is_story = name.to_lowercase().contains("story");
        match stories {
            None if is_story => {
                self.close(index);
                *stories = Some((self.barrier, Vec::new()));
            }
            None => {}
            Some((base, ends)) => {
                let open = std::mem::take(&mut self.open);
                if open.is_empty() {
                    ends.extend(self.barrier.filter(|end| Some(*end) != *base));
                }
                ends.extend(open);
                self.barrier = *base;
                if !is_story {
                    self.open = std::mem::take(ends);
                    *stories = None;
                }
            }
        }
    }

    /// Only what something in the text speaks for.
    fn infer(&mut self, tasks: &[usize], shared: &dyn Fn(&str) -> bool) {
        let list: &'a List = self.list;
        let has_containers = self.has_containers;
        let top = |index: usize| {
            let mut at = index;
            for _ in 0..64 {
                match list.tasks[at].parent {
                    Some(parent) => at = parent,
                    None => break,
                }
            }
            at
        };
        // Majors: top containers; where there are none, phases; else the first and the last task.
        let major = |index: usize| {
            let task = &list.tasks[index];
            match (has_containers, task.phase) {
                (false, Some(phase)) => (1, phase),
                _ => (0, top(index)),
            }
        };
        let title = |index: usize| match major(index) {
            (1, phase) => list.phases[phase].name.to_lowercase(),
            (_, task) => list.tasks[task].title.to_lowercase(),
        };
        let first = tasks.first().map(|&task| major(task));
        let last = tasks.last().map(|&task| major(task));
        let several = first != last;
        let sets_up = several && tasks.first().is_some_and(|&t| says(&title(t), &SETUP));
        let puts_together = several && tasks.last().is_some_and(|&t| says(&title(t), &TOGETHER));
        let ids: HashMap<&str, usize> = tasks
            .iter()
            .map(|&index| (list.tasks[index].id.as_str(), index))
            .collect();
        let mut last_on: HashMap<&str, usize> = HashMap::new();
        let mut defined: HashMap<&str, usize> = HashMap::new();
        let mut tested: HashMap<Option<usize>, usize> = HashMap::new();
        let mut seen: HashSet<usize> = HashSet::new();
        let mut begun = false;
        let mut ending = false;
        for &index in tasks {
            let task = &list.tasks[index];
            let node = Node::Task(index);
            let place = task.place;
            if !begun && Some(major(index)) != first {
                begun = true;
                if sets_up {
                    self.close(index);
                }
            }
            if !ending && Some(major(index)) == last {
                ending = true;
                if puts_together {
                    self.close(index);
                }
            }
            let free = self.free(task);
            if task.kind == Kind::Checkpoint && !free {
                let open = std::mem::take(&mut self.open);
                let alone = open.is_empty() || self.loose;
                for from in self.barrier.filter(|_| alone).into_iter().chain(open) {
                    self.edge(from, node, Why::Checkpoint, Strength::Inferred, place);
                }
                self.barrier = Some(node);
                self.loose = false;
                seen.insert(index);
                continue;
            }
            if let Some(barrier) = self.barrier.filter(|_| !free) {
                let why = match barrier {
                    Node::Task(_) => Why::Checkpoint,
                    Node::Gate(_) => Why::Order,
                };
                self.edge(barrier, node, why, Strength::Inferred, place);
            }
            let mut reasons: Vec<(usize, Why)> = Vec::new();
            let is_test = task.optional || says(&task.title.to_lowercase(), &TESTS);
            if is_test && let Some(&subject) = tested.get(&task.parent) {
                reasons.push((subject, Why::Order));
            }
            for touch in &task.touches {
                let counts = touch.from == TouchFrom::Declared || !touch.path.ends_with('/');
                if counts && !shared(&touch.path) {
                    reasons.extend(
                        last_on
                            .insert(&touch.path, index)
                            .map(|t| (t, Why::Overlap)),
                    );
                }
            }
            for lock in &task.locks {
                reasons.extend(last_on.insert(lock, index).map(|t| (t, Why::Overlap)));
            }
            let texts = std::iter::once(&task.title).chain(&task.details);
            for text in texts {
                reasons.extend(named_tasks(text, &ids).map(|t| (t, Why::Order)));
                for symbol in symbols(text) {
                    let other = *defined.entry(symbol).or_insert(index);
                    reasons.push((other, Why::Order));
                }
            }
            if !free {
                reasons.retain(|(other, _)| seen.contains(other));
                for (other, why) in reasons {
                    self.edge(Node::Task(other), node, why, Strength::Inferred, place);
                }
            }
            if !is_test {
                tested.insert(task.parent, index);
            }
            self.loose |= free;
            self.open.push(node);
            seen.insert(index);
        }
    }
}

/// What a first group is called when all others need it.
const SETUP: [&str; 8] = [
    "set up",
    "setup",
    "set-up",
    "initiali",
    "scaffold",
    "bootstrap",
    "foundation",
    "project structure",
];
/// What a last group is called when it needs all others.
const TOGETHER: [&str; 9] = [
    "integrat",
    "document",
    "wire",
    "end-to-end",
    "e2e",
    "final",
    "polish",
    "deploy",
    "release",
];
/// What a task is called that tests the one before it.
const TESTS: [&str; 6] = [
    "test ",
    "tests ",
    "write test",
    "unit test",
    "property test",
    "integration test",
];

/// Whether a text, in lower case, begins with one of the words or has it near its beginning.
fn says(text: &str, words: &[&str]) -> bool {
    let head: String = text.chars().take(60).collect();
    words.iter().any(|word| head.contains(word))
}

/// The tasks that a text names as `task 2.1`, `Tasks 3` or by an id with a letter such as `T012`.
fn named_tasks<'t>(
    text: &'t str,
    ids: &'t HashMap<&str, usize>,
) -> impl Iterator<Item = usize> + 't {
    let mut after_word = false;
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | ';'));
    words
        .filter(|word| !word.is_empty())
        .filter_map(move |word| {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            let named = after_word || bare.starts_with(|c: char| c.is_ascii_uppercase());
            after_word = matches!(bare, "task" | "Task" | "tasks" | "Tasks" | "step" | "Step");
            ids.get(bare).copied().filter(|_| named)
        })
}

/// The names of things that a text has in backticks: no paths, commands or numbers.
fn symbols(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter_map(|quoted| {
        let name = quoted.trim_end_matches("()");
        let good = name.len() >= 4
            && name.len() <= 80
            && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || "_:.".contains(c))
            && (name.contains('_') || name.contains("::") || name.chars().any(char::is_uppercase));
        good.then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    /// The pairs of ids that must follow each other, through gates, with the reason of each.
    fn ordered(file: &str, text: &str, order: Order) -> Vec<String> {
        let mut list = read(file, text.as_bytes(), None);
        apply(&mut list, order, &|_| false);
        let name = |node: Node| match node {
            Node::Task(index) => list.tasks[index].id.clone(),
            Node::Gate(index) => format!("<{}>", list.gates[index].name),
        };
        let edges = list.edges.iter();
        edges
            .map(|e| format!("{} {} {}", name(e.from), name(e.to), e.why.name()))
            .collect()
    }

    #[test]
    fn strict_order_is_one_chain_and_neighbours_with_a_mark_are_free() {
        let text = "- [ ] 1. A\n- [ ] 1.1 a\n- [ ] 1.2 (P) b\n- [ ] 1.3 (P) c\n- [ ] 2. B\n- [ ] 2.1 (P) d\n- [ ] 2.2 e\n";
        let edges = ordered(".kiro/specs/x/tasks.md", text, Order::Strict);
        let wanted = [
            "1.1 1.2 order",
            "1.1 1.3 order",
            "1.2 <all before 2.1> order",
            "1.3 <all before 2.1> order",
            "<all before 2.1> 2.1 order",
            "2.1 2.2 order",
        ];
        assert_eq!(edges, wanted);
    }

    #[test]
    fn a_stated_dependency_replaces_the_order_and_may_point_forward() {
        let text = "- [ ] 1. a\n  - Depends on: 3\n- [ ] 2. b\n- [ ] 3. c\n  - Dependencies: None\n- [ ] 4. d\n";
        let edges = ordered(".kiro/specs/x/tasks.md", text, Order::Strict);
        assert_eq!(
            edges,
            ["3 1 depends", "2 4 order", "3 4 order", "1 4 order"]
        );
    }

    #[test]
    fn phases_follow_each_other_and_stories_are_free_of_each_other() {
        let text = "## Phase 1: Setup\n- [ ] T001 a\n## Phase 3: User Story 1\n- [ ] T002 b\n- [ ] T003 c\n## Phase 4: User Story 2\n- [ ] T004 [P] d\n- [ ] T005 [P] e\n## Phase 5: Polish\n- [ ] T006 f\n";
        let edges = ordered("specs/1/tasks.md", text, Order::Phase);
        let wanted = [
            "T001 T002 phase",
            "T002 T003 order",
            "T001 T004 phase",
            "T001 T005 phase",
            "T003 T006 phase",
            "T004 T006 phase",
            "T005 T006 phase",
        ];
        assert_eq!(edges, wanted);
        let edges = ordered("specs/1/tasks.md", text, Order::Strict);
        let wanted = [
            "T001 T002 phase",
            "T002 T003 order",
            "T003 T004 phase",
            "T003 T005 phase",
            "T004 T006 phase",
            "T005 T006 phase",
        ];
        assert_eq!(edges, wanted);
    }

    #[test]
    fn parts_of_a_container_are_free_in_phase_order_and_a_checkpoint_holds() {
        let text = "- [ ] 1. A\n  - [ ] 1.1 a\n  - [ ] 1.2 b\n- [ ] 2. Checkpoint\n- [ ] 3. B\n  - [ ] 3.1 c\n";
        let edges = ordered(".kiro/specs/x/tasks.md", text, Order::Phase);
        assert_eq!(
            edges,
            ["1.1 2 checkpoint", "1.2 2 checkpoint", "2 3.1 checkpoint"]
        );
    }

    #[test]
    fn inferred_edges_point_back_to_what_the_text_names() {
        let text = "- [ ] 1. Set up the project\n- [ ] 2. Model\n  - [ ] 2.1 Write `UserStore` in src/user.rs\n  - [ ]* 2.2 Write property tests\n  - [ ] 2.3 Print in src/print.rs\n- [ ] 3. More\n  - [ ] 3.1 Use `UserStore` in src/login.rs\n  - [ ] 3.2 Extend src/print.rs as in task 2.1\n- [ ] 4. Documentation\n";
        let edges = ordered(".kiro/specs/x/tasks.md", text, Order::Infer);
        let wanted = [
            "1 2.1 checkpoint",
            "1 2.2 checkpoint",
            "2.1 2.2 order",
            "1 2.3 checkpoint",
            "1 3.1 checkpoint",
            "2.1 3.1 order",
            "1 3.2 checkpoint",
            "2.3 3.2 overlap",
            "2.1 3.2 order",
        ];
        assert_eq!(edges[..9], wanted);
        assert!(
            edges.contains(&"<all before 4> 4 order".to_owned()),
            "{edges:?}"
        );
    }

    #[test]
    fn lists_that_state_their_order_stay_as_they_are() {
        let ours = "{\"id\":\"a\",\"description\":\"x\"}\n{\"id\":\"b\",\"description\":\"y\"}\n";
        for order in Order::ALL {
            assert_eq!(ordered("-", ours, order), Vec::<String>::new());
        }
    }
}
