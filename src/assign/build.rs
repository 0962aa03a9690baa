//! From a task list and options to a problem, and from its solution to a plan.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::agents::Agent;
use super::bound::Reason;
use super::plan::{Plan, PlannedEdge, PlannedTask, Resource, Strategy, human, iso};
use super::problem::{Input, Problem, ProblemError, Use};
use super::schedule::Schedule;
use super::search::{Effort, lower_bound, prefixed, solve};
use crate::id::nearest;
use crate::task::{
    Edge, EstimateFrom, Flow, Kind, List, Node, Place, State, Strength, TouchFrom, Why,
};

/// A pool: at most `capacity` tasks of its sort run at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name. Tasks whose locks or titles name it take part, and checkpoints in `build` and `test`.
    pub name: String,
    /// How many at a time.
    pub capacity: u32,
    /// Further words by which a title takes part, and patterns with `*` for whole keys and titles.
    pub words: Vec<String>,
}

/// What the user wants of a plan.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who there is.
    pub agents: Vec<Agent>,
    /// How to give out tasks.
    pub strategy: Strategy,
    /// How hard to search.
    pub effort: Effort,
    /// Pools.
    pub pools: Vec<Pool>,
    /// `(task, agent)`: only this agent may do it.
    pub pins: Vec<(String, String)>,
    /// `(task, agent)`: this agent may not do it.
    pub nots: Vec<(String, String)>,
    /// Tasks that come as early as possible, with what they wait for.
    pub first: Vec<String>,
    /// `(task, before)`: the task waits for the other.
    pub after: Vec<(String, String)>,
    /// Globs of files that several tasks may work on at a time.
    pub ignore_overlap: Vec<String>,
    /// Whether optional tasks are left out.
    pub skip_optional: bool,
    /// Whether tasks that nobody can do are left out rather than refused.
    pub partial: bool,
    /// Files that earlier commits changed together with a task's own: `(own, other, share)`.
    pub predicted: Vec<(String, String, f64)>,
    /// Whether predicted files count as touched.
    pub lock_predicted: bool,
    /// Tasks of the list (by index) that can't be done now, and why; they are left out, with what
    /// waits for them.
    pub held: Vec<(usize, String)>,
    /// What the plan's warnings begin with.
    pub warnings: Vec<String>,
    /// What `created_at` says.
    pub created_at: String,
}

impl Options {
    /// The options when nothing is said.
    pub fn new(agents: Vec<Agent>) -> Options {
        Options {
            agents,
            strategy: Strategy::DependencyAware,
            effort: Effort::DEFAULT,
            pools: Vec::new(),
            pins: Vec::new(),
            nots: Vec::new(),
            first: Vec::new(),
            after: Vec::new(),
            ignore_overlap: Vec::new(),
            skip_optional: false,
            partial: false,
            predicted: Vec::new(),
            lock_predicted: false,
            held: Vec::new(),
            warnings: Vec::new(),
            created_at: "1970-01-01T00:00:00Z".to_owned(),
        }
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// Nobody to do anything.
    #[error("no agent available ({0} given)")]
    NoAgent(usize),
    /// Two agents of one name, or one that is described wrongly.
    #[error("{0}")]
    Agent(String),
    /// An option names a task that the list does not have.
    #[error("{option}: no task {name:?} in this list")]
    UnknownTask {
        /// The option.
        option: String,
        /// The name.
        name: String,
        /// What may have been meant.
        near: Vec<String>,
    },
    /// An option names an agent that is not there.
    #[error("{option}: no agent {name:?}")]
    UnknownAgent {
        /// The option.
        option: String,
        /// The name.
        name: String,
        /// What may have been meant.
        near: Vec<String>,
    },
    /// Nobody may do some tasks; one line each.
    #[error("{}", .0.join("; "))]
    Unassignable(Vec<String>),
    /// Tasks wait for each other.
    #[error("{what}")]
    Cycle {
        /// The line of the first edge.
        place: Place,
        /// The ids, and the lines of the edges.
        what: String,
        /// Which edge to drop.
        hint: String,
        /// That edge, an index in the list's edges.
        edge: Option<usize>,
    },
    /// The list itself has errors.
    #[error("{}", .0.join("\n"))]
    List(Vec<String>),
    /// The durations do not fit.
    #[error("the estimates together are too long to count")]
    Overflow,
}

/// A list made ready for planning, from which plans for any agents can be made.
struct Ready<'a> {
    list: &'a List,
    flow: Flow,
    edges: Vec<Edge>,
    /// The tasks that are planned.
    planned: Vec<bool>,
    ms: Vec<u64>,
    said: Vec<&'static str>,
    touches: Vec<Vec<String>>,
    resources: Vec<Resource>,
    /// For each resource, its users and how much they take, by index of task.
    uses: Vec<Use>,
    warnings: Vec<String>,
}

/// A list with its problem: what planning and explaining work on.
pub struct Case<'a> {
    ready: Ready<'a>,
    options: &'a Options,
    problem: Problem,
    /// The agent of each machine.
    agent_of: Vec<usize>,
    /// The agents that may do each task; none where pins and needs leave it open.
    only: Vec<Vec<String>>,
}

/// Makes the plan for a list.
///
/// # Errors
/// See [`PlanError`]; what can be told of several tasks at once is.
pub fn plan(list: &List, options: &Options) -> Result<Plan, PlanError> {
    Ok(Case::new(list, options)?.plan())
}

impl<'a> Case<'a> {
    /// Lays out the problem that the list is for these options.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn new(list: &'a List, options: &'a Options) -> Result<Case<'a>, PlanError> {
        check_agents(&options.agents)?;
        Case::assemble(Ready::new(list, options)?, options)
    }

    fn assemble(mut ready: Ready<'a>, options: &'a Options) -> Result<Case<'a>, PlanError> {
        let list = ready.list;
        let (sets, set_of, only) = ready.allowed(options)?;
        let mut agent_of = Vec::new();
        for (number, agent) in options.agents.iter().enumerate() {
            agent_of.extend(std::iter::repeat_n(number, agent.slots as usize));
        }
        let machine_sets = sets
            .iter()
            .map(|set| {
                let machines = 0..agent_of.len() as u32;
                machines
                    .filter(|&m| set.contains(&agent_of[m as usize]))
                    .collect()
            })
            .collect();
        let mut durations = vec![0; ready.flow.nodes];
        durations[..list.tasks.len()].copy_from_slice(&ready.ms);
        let mut node_sets = set_of;
        node_sets.resize(ready.flow.nodes, 0);
        let mut uses = std::mem::take(&mut ready.uses);
        uses.retain(|u| ready.planned[u.task as usize]);
        let input = Input {
            durations,
            edges: ready.flow.edges.iter().map(|e| (e.from, e.to)).collect(),
            machines: agent_of
                .iter()
                .map(|&a| options.agents[a].machine())
                .collect(),
            sets: machine_sets,
            set_of: node_sets,
            capacities: ready.resources.iter().map(|r| r.capacity).collect(),
            uses,
            releases: Vec::new(),
        };
        let problem = match Problem::new(input) {
            Ok(problem) => problem,
            Err(ProblemError::Cycle(nodes)) => return Err(ready.cycle(&nodes)),
            Err(ProblemError::Overflow) => return Err(PlanError::Overflow),
            Err(other) => return Err(PlanError::Unassignable(vec![other.to_string()])),
        };
        Ok(Case {
            ready,
            options,
            problem,
            agent_of,
            only,
        })
    }

    /// The problem of a list whose resources are given rather than found.
    pub(super) fn with_resources(
        list: &'a List,
        options: &'a Options,
        resources: &[Resource],
    ) -> Result<Case<'a>, PlanError> {
        check_agents(&options.agents)?;
        let mut ready = Ready::new(list, options)?;
        let index = list.by_key();
        ready.resources = resources.to_vec();
        ready.uses.clear();
        for (number, resource) in resources.iter().enumerate() {
            for task in &resource.tasks {
                if let Some(&task_index) = index.get(task.as_str()) {
                    let whole = resource.whole.contains(task);
                    ready.uses.push(Use {
                        task: task_index as u32,
                        resource: number as u32,
                        amount: if whole { resource.capacity } else { 1 },
                    });
                }
            }
        }
        Case::assemble(ready, options)
    }

    pub(super) fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The agent of each machine.
    pub(super) fn agent_of(&self) -> &[usize] {
        &self.agent_of
    }

    /// How many agents there are.
    pub(super) fn options_agents(&self) -> usize {
        self.options.agents.len()
    }

    /// The plan of a schedule made elsewhere.
    pub(super) fn drawn(&self, schedule: Schedule) -> Plan {
        let bound = lower_bound(&self.problem);
        Drawing::new(self, schedule).plan(bound.value, bound.reason)
    }

    /// The schedule of a strategy, with the lower bound of the problem.
    fn schedule(&self) -> (Schedule, u64, Reason) {
        let problem = &self.problem;
        if !self.options.first.is_empty() {
            let bound = lower_bound(problem);
            return (prefixed(problem, &self.first()), bound.value, bound.reason);
        }
        if self.options.strategy == Strategy::DependencyAware {
            let solution = solve(problem, self.options.effort, &mut || false);
            return (
                solution.schedule,
                solution.bound.value,
                solution.bound.reason,
            );
        }
        let bound = lower_bound(problem);
        let schedule = super::strategy::schedule(problem, self.options.strategy);
        (schedule, bound.value, bound.reason)
    }

    /// The tasks of `--first` with all that they wait for.
    fn first(&self) -> Vec<bool> {
        let mut wanted = vec![false; self.problem.len()];
        let mut open: Vec<usize> = Vec::new();
        for name in &self.options.first {
            open.extend(self.ready.list.find(name));
        }
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut wanted[node], true) {
                let before = self.problem.before.row(node).iter();
                open.extend(before.map(|&b| b as usize));
            }
        }
        wanted
    }

    /// How long the plan takes, without making one.
    pub fn makespan(&self) -> u64 {
        self.schedule().0.makespan()
    }

    /// How long the plan takes and its lower bound.
    pub fn figures(&self) -> (u64, u64) {
        let (schedule, bound, _) = self.schedule();
        (schedule.makespan(), bound)
    }

    /// The plan.
    pub fn plan(&self) -> Plan {
        let (schedule, bound, reason) = self.schedule();
        Drawing::new(self, schedule).plan(bound, reason)
    }
}

fn check_agents(agents: &[Agent]) -> Result<(), PlanError> {
    if agents.is_empty() {
        return Err(PlanError::NoAgent(0));
    }
    let mut seen = BTreeSet::new();
    for agent in agents {
        if let Some(fault) = agent.fault() {
            return Err(PlanError::Agent(fault));
        }
        if !seen.insert(agent.name.as_str()) {
            return Err(PlanError::Agent(format!(
                "agent {:?} is given twice",
                agent.name
            )));
        }
    }
    Ok(())
}

/// What a task takes where nobody says: a quarter of an hour, and five minutes for each line of
/// detail, up to two hours; a checkpoint ten minutes. Half an hour, the original's default, where
/// there is nothing to measure.
fn estimate(task: &crate::task::Task) -> (u64, &'static str) {
    const MINUTE: u64 = 60_000;
    match task.estimate {
        Some(estimate) => {
            let said = match estimate.from {
                EstimateFrom::Stated => "stated",
                EstimateFrom::History => "history",
            };
            (estimate.ms, said)
        }
        None if task.kind == Kind::Checkpoint => (10 * MINUTE, "default"),
        None => match task.details.len().max(task.acceptance.len()) as u64 {
            0 => (30 * MINUTE, "default"),
            lines => ((15 + 5 * lines).min(120) * MINUTE, "size"),
        },
    }
}

impl<'a> Ready<'a> {
    fn new(list: &'a List, options: &Options) -> Result<Ready<'a>, PlanError> {
        let flow = list.flow();
        let mut ready = Ready {
            planned: vec![false; list.tasks.len()],
            ms: vec![0; list.tasks.len()],
            said: vec![""; list.tasks.len()],
            touches: vec![Vec::new(); list.tasks.len()],
            resources: Vec::new(),
            uses: Vec::new(),
            warnings: options.warnings.clone(),
            edges: list.edges.clone(),
            list,
            flow,
        };
        ready.manual(options)?;
        ready.choose(options);
        ready.touched(options);
        ready.resources(options);
        Ok(ready)
    }

    fn task(&self, option: &str, name: &str) -> Result<usize, PlanError> {
        self.list.find(name).ok_or_else(|| {
            let keys = self.list.tasks.iter().map(|t| t.key.as_str());
            PlanError::UnknownTask {
                option: option.to_owned(),
                name: name.to_owned(),
                near: nearest(name, keys).into_iter().map(str::to_owned).collect(),
            }
        })
    }

    /// The edges that the user adds.
    fn manual(&mut self, options: &Options) -> Result<(), PlanError> {
        for name in &options.first {
            self.task(&format!("--first {name}"), name)?;
        }
        if options.after.is_empty() {
            return Ok(());
        }
        let mut list = List {
            tasks: self.list.tasks.clone(),
            gates: self.list.gates.clone(),
            edges: self.list.edges.clone(),
            ..List::default()
        };
        for (task, before) in &options.after {
            let option = format!("--after {task} {before}");
            let edge = Edge {
                from: Node::Task(self.task(&option, before)?),
                to: Node::Task(self.task(&option, task)?),
                why: Why::Manual,
                strength: Strength::Declared,
                place: Place {
                    source: u32::MAX,
                    line: 0,
                },
            };
            list.edges.push(edge);
        }
        self.flow = list.flow();
        self.edges = list.edges;
        Ok(())
    }

    /// Which tasks are planned, and how long they take.
    fn choose(&mut self, options: &Options) {
        let list = self.list;
        for (index, task) in list.tasks.iter().enumerate() {
            let skipped = options.skip_optional && task.optional;
            self.planned[index] = task.is_work() && !task.is_over() && !skipped;
        }
        self.leave_out(&options.held);
        for (index, task) in list.tasks.iter().enumerate() {
            if self.planned[index] {
                (self.ms[index], self.said[index]) = estimate(task);
            }
        }
    }

    /// What is put off or can't be done, and what waits for it, is not planned.
    fn leave_out(&mut self, held: &[(usize, String)]) {
        let list = self.list;
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        for (task, why) in held {
            reasons.entry(*task).or_insert_with(|| why.clone());
        }
        for (index, task) in list.tasks.iter().enumerate() {
            if self.planned[index] && task.state == State::Deferred {
                reasons.insert(index, format!("{} is deferred", task.key));
            }
        }
        if reasons.is_empty() {
            return;
        }
        let after = super::problem::Rows::new(
            self.flow.nodes,
            self.flow.edges.iter().map(|e| (e.from, e.to)),
        );
        let mut seen = vec![false; self.flow.nodes];
        for (first, why) in reasons {
            let place = list.at(list.tasks[first].place);
            self.warnings.push(format!(
                "{place}: {why}: it is left out, with what waits for it"
            ));
            let mut open = vec![first as u32];
            while let Some(node) = open.pop() {
                if std::mem::replace(&mut seen[node as usize], true) {
                    continue;
                }
                if let Some(planned) = self.planned.get_mut(node as usize) {
                    *planned = false;
                }
                open.extend_from_slice(after.row(node as usize));
            }
        }
    }

    /// The files of each planned task.
    fn touched(&mut self, options: &Options) {
        let list = self.list;
        for (index, task) in list.tasks.iter().enumerate() {
            if !self.planned[index] {
                continue;
            }
            // A directory that a sentence mentions says little; one that a field declares counts.
            let counts =
                |t: &&crate::task::Touch| t.from == TouchFrom::Declared || !t.path.ends_with('/');
            let mut paths: Vec<String> = task
                .touches
                .iter()
                .filter(counts)
                .map(|t| t.path.clone())
                .collect();
            for (own, other, share) in &options.predicted {
                if paths.contains(own) && !paths.contains(other) {
                    if options.lock_predicted {
                        paths.push(other.clone());
                    } else {
                        self.warnings.push(format!(
                            "{} may also change {other}: {:.0} % of the commits that changed {own} did",
                            task.key,
                            share * 100.0
                        ));
                    }
                }
            }
            paths.sort();
            paths.dedup();
            self.touches[index] = paths;
        }
    }

    /// Files and locks that two planned tasks share, and pools.
    fn resources(&mut self, options: &Options) {
        let mut users: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut directories: BTreeSet<&str> = BTreeSet::new();
        let ignored = |path: &str| options.ignore_overlap.iter().any(|g| glob(g, path));
        for (index, paths) in self.touches.iter().enumerate() {
            for path in paths.iter().filter(|p| !ignored(p)) {
                if path.ends_with('/') {
                    directories.insert(path);
                } else {
                    users.entry(path.clone()).or_default().push(index);
                }
            }
        }
        let mut found: Vec<(Resource, Vec<(usize, u32)>)> = Vec::new();
        for directory in directories {
            found.extend(self.directory(directory, &ignored));
        }
        for (index, task) in self.list.tasks.iter().enumerate() {
            if self.planned[index] {
                for lock in &task.locks {
                    if !options.pools.iter().any(|p| p.name == *lock) {
                        users.entry(format!("lock {lock}")).or_default().push(index);
                    }
                }
            }
        }
        for (name, mut tasks) in users {
            tasks.dedup();
            if tasks.len() > 1 {
                found.push(self.resource(name, 1, tasks.into_iter().map(|t| (t, 1)).collect()));
            }
        }
        for pool in &options.pools {
            let tasks: Vec<(usize, u32)> = (0..self.planned.len())
                .filter(|&t| self.planned[t] && pool.takes(&self.list.tasks[t]))
                .map(|t| (t, 1))
                .collect();
            if tasks.is_empty() {
                self.warnings
                    .push(format!("pool {}: no task names it", pool.name));
            }
            found.push(self.resource(format!("pool {}", pool.name), pool.capacity, tasks));
        }
        for (resource, tasks) in found {
            let number = self.resources.len() as u32;
            self.resources.push(resource);
            self.uses
                .extend(tasks.into_iter().map(|(task, amount)| Use {
                    task: task as u32,
                    resource: number,
                    amount,
                }));
        }
    }

    fn resource(
        &self,
        name: String,
        capacity: u32,
        tasks: Vec<(usize, u32)>,
    ) -> (Resource, Vec<(usize, u32)>) {
        let key = |t: usize| self.list.tasks[t].key.to_string();
        let whole = tasks.iter().filter(|t| t.1 > 1).map(|t| key(t.0)).collect();
        let resource = Resource {
            name,
            capacity,
            whole,
            tasks: tasks.iter().map(|t| key(t.0)).collect(),
        };
        (resource, tasks)
    }

    /// A declared directory excludes everything inside it, but two files inside it do not exclude
    /// each other: who takes the directory takes as much as it has users, who takes a file takes one.
    fn directory(
        &self,
        directory: &str,
        ignored: &dyn Fn(&str) -> bool,
    ) -> Option<(Resource, Vec<(usize, u32)>)> {
        let mut inside = Vec::new();
        for (index, paths) in self.touches.iter().enumerate() {
            if paths.iter().any(|p| p == directory) {
                inside.push((index, true));
            } else if paths
                .iter()
                .any(|p| p.starts_with(directory) && !ignored(p))
            {
                inside.push((index, false));
            }
        }
        if inside.len() < 2 {
            return None;
        }
        let all = inside.len() as u32;
        let amounts = inside
            .into_iter()
            .map(|(t, whole)| (t, if whole { all } else { 1 }));
        Some(self.resource(directory.to_owned(), all, amounts.collect()))
    }

    /// Sets of agents, the set of each task, and the agents each task is confined to.
    #[allow(clippy::type_complexity)]
    fn allowed(
        &mut self,
        options: &Options,
    ) -> Result<(Vec<Vec<usize>>, Vec<u32>, Vec<Vec<String>>), PlanError> {
        let agents = &options.agents;
        let count = self.list.tasks.len();
        let mut pins: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut nots: HashMap<usize, Vec<usize>> = HashMap::new();
        for (wanted, into, flag) in [
            (&options.pins, &mut pins, "--pin"),
            (&options.nots, &mut nots, "--not"),
        ] {
            for (task, agent) in wanted {
                let option = format!("{flag} {task}={agent}");
                let task = self.task(&option, task)?;
                into.entry(task)
                    .or_default()
                    .push(agent_index(agents, &option, agent)?);
            }
        }
        for (index, task) in self.list.tasks.iter().enumerate() {
            if let Some(name) = task.pin.as_ref().filter(|_| self.planned[index]) {
                match agents.iter().position(|a| a.name == *name) {
                    Some(agent) => {
                        pins.entry(index).or_insert_with(|| vec![agent]);
                    }
                    None => self.warnings.push(format!(
                        "{}: {} names {name:?}, who is not among the agents",
                        self.list.at(task.place),
                        task.key
                    )),
                }
            }
        }
        let all: Vec<usize> = (0..agents.len()).collect();
        let mut sets = vec![all.clone()];
        let mut places: HashMap<Vec<usize>, u32> = HashMap::from([(all, 0)]);
        let mut set_of = vec![0; count];
        let mut only = vec![Vec::new(); count];
        let mut nobody = Vec::new();
        for index in 0..count {
            let task = &self.list.tasks[index];
            if !self.planned[index] {
                continue;
            }
            let pinned = pins.get(&index);
            if task.needs.is_empty() && pinned.is_none() && !nots.contains_key(&index) {
                continue;
            }
            let set: Vec<usize> = (0..agents.len())
                .filter(|a| pinned.is_none_or(|p| p.contains(a)))
                .filter(|a| nots.get(&index).is_none_or(|n| !n.contains(a)))
                .filter(|&a| agents[a].offers(&task.needs))
                .collect();
            if set.is_empty() {
                nobody.push(self.nobody(index, agents, pinned, &nots));
                self.planned[index] = false;
                self.ms[index] = 0;
                continue;
            }
            if pinned.is_some() || nots.contains_key(&index) {
                only[index] = set.iter().map(|&a| agents[a].name.clone()).collect();
            }
            set_of[index] = *places.entry(set.clone()).or_insert_with(|| {
                sets.push(set);
                sets.len() as u32 - 1
            });
        }
        if !nobody.is_empty() && !options.partial {
            return Err(PlanError::Unassignable(nobody));
        }
        self.warnings.extend(nobody);
        Ok((sets, set_of, only))
    }

    /// Why nobody may do a task.
    fn nobody(
        &self,
        index: usize,
        agents: &[Agent],
        pinned: Option<&Vec<usize>>,
        nots: &HashMap<usize, Vec<usize>>,
    ) -> String {
        let task = &self.list.tasks[index];
        let at = format!("{}: {}", self.list.at(task.place), task.key);
        let lacks = |agent: &Agent| -> Vec<String> {
            let offered = agent.capabilities.as_deref().unwrap_or_default();
            let missing = task.needs.iter().filter(|n| !offered.contains(n));
            missing.map(|n| format!("{n:?}")).collect()
        };
        if let Some(pinned) = pinned {
            let agent = &agents[pinned[0]];
            if !agent.offers(&task.needs) {
                return format!(
                    "{at} is pinned to {}, who does not offer {}",
                    agent.name,
                    lacks(agent).join(", ")
                );
            }
            return format!(
                "{at} is pinned to {} and forbidden to it as well",
                agent.name
            );
        }
        if nots.contains_key(&index) && agents.iter().any(|a| a.offers(&task.needs)) {
            return format!("{at} is forbidden to every agent that could do it");
        }
        let near = agents.iter().min_by_key(|a| lacks(a).len());
        let near = near.map_or(String::new(), |agent| {
            let offered = agent.capabilities.as_deref().unwrap_or_default();
            let offered = if offered.is_empty() {
                "nothing".to_owned()
            } else {
                offered.join(", ")
            };
            format!(" (nearest: {} offers {offered})", agent.name)
        });
        let needs: Vec<String> = task.needs.iter().map(|n| format!("{n:?}")).collect();
        format!("{at} needs {}; no agent offers it{near}", needs.join(", "))
    }

    /// The name of a node for people, with containers and gates.
    fn node(&self, node: u32) -> String {
        let node = node as usize;
        let tasks = self.list.tasks.len();
        if node < tasks {
            return self.list.tasks[node].key.to_string();
        }
        match self.list.gates.get(node - tasks) {
            Some(gate) => gate.name.clone(),
            None => self.container(node - tasks - self.list.gates.len()),
        }
    }

    /// The container whose end is the node of this number.
    fn container(&self, number: usize) -> String {
        let containers = self.list.tasks.iter();
        let mut containers = containers.filter(|t| matches!(t.kind, Kind::Container { .. }));
        containers
            .nth(number)
            .map_or(String::new(), |t| t.key.to_string())
    }

    fn place(&self, place: Place) -> String {
        if place.source == u32::MAX {
            "--after".to_owned()
        } else {
            self.list.at(place)
        }
    }

    fn cycle(&self, nodes: &[u32]) -> PlanError {
        // The edge of the list behind each step of the circle; none between a container and a part.
        let steps: Vec<Option<usize>> = (0..nodes.len())
            .map(|place| {
                let (from, to) = (nodes[place], nodes[(place + 1) % nodes.len()]);
                let mut edges = self.flow.edges.iter();
                let edge = edges.find(|e| e.from == from && e.to == to);
                edge.and_then(|e| e.edge).map(|e| e as usize)
            })
            .collect();
        // It is told from its first line on.
        let first = (0..nodes.len())
            .filter(|&place| steps[place].is_some())
            .min_by_key(|&place| steps[place].map(|e| self.edges[e].place))
            .unwrap_or(0);
        let nodes = [&nodes[first..], &nodes[..first]].concat();
        let behind: Vec<usize> = [&steps[first..], &steps[..first]]
            .concat()
            .into_iter()
            .flatten()
            .collect();
        let mut names: Vec<String> = nodes.iter().map(|&n| self.node(n)).collect();
        names.dedup();
        if names.len() > 1 && names.first() == names.last() {
            names.pop();
        }
        names.push(names[0].clone());
        let lines: Vec<String> = behind
            .iter()
            .map(|&e| self.edges[e].place)
            .map(|place| match place.line {
                0 => self.place(place),
                line if place.source == self.edges[behind[0]].place.source => line.to_string(),
                _ => self.list.at(place),
            })
            .collect();
        let place = behind
            .first()
            .map_or(Place::default(), |&e| self.edges[e].place);
        let what = if names.len() == 2 {
            format!("{} depends on itself", names[0])
        } else {
            format!(
                "dependency cycle: {} (edges from lines {})",
                names.join(" -> "),
                lines.join(", ")
            )
        };
        let weakest = behind.iter().copied();
        let weakest = weakest.min_by_key(|&e| self.edges[e].strength);
        let hint = weakest.map_or(String::new(), |edge| {
            let edge = &self.edges[edge];
            format!(
                "drop the {} edge at {} ({})",
                edge.strength.name(),
                self.place(edge.place),
                edge.why.name()
            )
        });
        PlanError::Cycle {
            place,
            what,
            hint,
            edge: weakest,
        }
    }
}

impl Pool {
    fn takes(&self, task: &crate::task::Task) -> bool {
        let named = |word: &str| {
            self.name.eq_ignore_ascii_case(word)
                || self.words.iter().any(|w| w.eq_ignore_ascii_case(word))
        };
        let mut patterns = self
            .words
            .iter()
            .filter(|word| word.contains('*'))
            .peekable();
        if patterns.peek().is_some() {
            // A title is no path: a slash in it is a letter like others.
            let flat = |text: &str| text.to_lowercase().replace('/', " ");
            let (key, title) = (flat(task.key.as_str()), flat(&task.title));
            if patterns.any(|word| glob(&flat(word), &key) || glob(&flat(word), &title)) {
                return true;
            }
        }
        task.locks.iter().any(|lock| named(lock))
            || task
                .title
                .split(|c: char| !c.is_alphanumeric() && c != '-')
                .any(named)
            || (task.kind == Kind::Checkpoint && ["build", "test"].contains(&self.name.as_str()))
    }
}

fn agent_index(agents: &[Agent], option: &str, name: &str) -> Result<usize, PlanError> {
    agents.iter().position(|a| a.name == name).ok_or_else(|| {
        let names = agents.iter().map(|a| a.name.as_str());
        PlanError::UnknownAgent {
            option: option.to_owned(),
            name: name.to_owned(),
            near: nearest(name, names)
                .into_iter()
                .map(str::to_owned)
                .collect(),
        }
    })
}

/// Whether a glob matches a path: `*` within a part, `**` across parts, `?` one character; a glob
/// without a slash is matched against the last part.
pub fn glob(pattern: &str, path: &str) -> bool {
    let path = if pattern.contains('/') {
        path
    } else {
        path.trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or(path)
    };
    let (pattern, path) = (pattern.as_bytes(), path.as_bytes());
    let (mut p, mut s) = (0, 0);
    let mut star: Option<(usize, usize, bool)> = None;
    while s < path.len() {
        if pattern.get(p) == Some(&b'*') {
            let wide = pattern.get(p + 1) == Some(&b'*');
            p += if wide { 2 } else { 1 };
            if wide && pattern.get(p) == Some(&b'/') {
                p += 1;
            }
            star = Some((p, s, wide));
        } else if p < pattern.len()
            && (pattern[p] == path[s] || (pattern[p] == b'?' && path[s] != b'/'))
        {
            p += 1;
            s += 1;
        } else if let Some((after, from, wide)) = star
            && (wide || path[from] != b'/')
        {
            star = Some((after, from + 1, wide));
            p = after;
            s = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// Why a task begins when it begins.
enum Cause {
    Nothing,
    Edge(u32),
    Lock(usize, u32),
    Agent(u32),
    Delay,
}

/// A schedule being written up as a plan.
struct Drawing<'c, 'a> {
    case: &'c Case<'a>,
    schedule: Schedule,
    /// The planned tasks by start.
    by_start: Vec<u32>,
    /// On the same machine, just before and just after.
    previous: Vec<u32>,
    next: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl<'c, 'a> Drawing<'c, 'a> {
    fn new(case: &'c Case<'a>, schedule: Schedule) -> Drawing<'c, 'a> {
        let tasks = case.ready.list.tasks.len();
        let mut by_start: Vec<u32> = (0..tasks as u32)
            .filter(|&t| case.ready.planned[t as usize])
            .collect();
        let mut place = vec![0u32; case.problem.len()];
        for (number, &task) in case.problem.topological.iter().enumerate() {
            place[task as usize] = number as u32;
        }
        let (start, finish) = (&schedule.start, &schedule.finish);
        by_start.sort_by_key(|&t| {
            let zero = finish[t as usize] > start[t as usize];
            (start[t as usize], zero, place[t as usize])
        });
        let mut last = vec![NONE; case.agent_of.len()];
        let mut previous = vec![NONE; tasks];
        let mut next = vec![NONE; tasks];
        for &task in &by_start {
            let machine = schedule.machine[task as usize] as usize;
            previous[task as usize] = last[machine];
            if last[machine] != NONE {
                next[last[machine] as usize] = task;
            }
            last[machine] = task;
        }
        Drawing {
            case,
            schedule,
            by_start,
            previous,
            next,
        }
    }

    fn key(&self, task: u32) -> String {
        self.case.ready.list.tasks[task as usize].key.to_string()
    }

    /// The planned tasks that a task waits for, through gates, containers and what is done.
    fn predecessors(&self, task: u32) -> Vec<u32> {
        let problem = &self.case.problem;
        let mut found = Vec::new();
        let mut open: Vec<u32> = problem.before.row(task as usize).to_vec();
        let mut seen: BTreeSet<u32> = BTreeSet::new();
        while let Some(node) = open.pop() {
            if !seen.insert(node) {
                continue;
            }
            if self.case.ready.planned.get(node as usize) == Some(&true) {
                found.push(node);
            } else {
                open.extend_from_slice(problem.before.row(node as usize));
            }
        }
        found.sort_unstable();
        found
    }

    fn cause(&self, task: u32, before: &[u32], users: &[Vec<u32>]) -> Cause {
        let index = task as usize;
        let start = self.schedule.start[index];
        let ends_here = |&&t: &&u32| self.schedule.finish[t as usize] == start;
        if start == 0 {
            return Cause::Nothing;
        }
        if let Some(&edge) = before.iter().find(ends_here) {
            return Cause::Edge(edge);
        }
        for &(resource, _) in self.case.problem.uses.row(index) {
            let others = &users[resource as usize];
            if let Some(&other) = others.iter().find(|&t| *t != task && ends_here(&t)) {
                return Cause::Lock(resource as usize, other);
            }
        }
        match self.previous[index] {
            NONE => Cause::Delay,
            other => Cause::Agent(other),
        }
    }

    fn reason(&self, task: u32, cause: &Cause) -> String {
        let ready = &self.case.ready;
        let agent = &self.agent(task).name;
        match *cause {
            Cause::Nothing => format!("{agent} begins with it: it waits for nothing"),
            Cause::Edge(other) => match self.evidence(task, other) {
                Some(edge) => format!(
                    "waits for {} ({}, {})",
                    self.key(other),
                    edge.why.name(),
                    ready.place(edge.place)
                ),
                None => format!("waits for {}", self.key(other)),
            },
            Cause::Lock(resource, other) => format!(
                "waits until {} lets go of {}",
                self.key(other),
                ready.resources[resource].name
            ),
            Cause::Agent(other) => {
                format!("follows when {agent} is free, after {}", self.key(other))
            }
            Cause::Delay => format!("begins when {agent} is free"),
        }
    }

    /// The edge of the list that makes `task` wait for `other`: the direct one, or the one that
    /// leads into the task through a gate or a container.
    fn evidence(&self, task: u32, other: u32) -> Option<&Edge> {
        let flow = &self.case.ready.flow;
        let problem = &self.case.problem;
        let mut from = vec![(task, None::<u32>)];
        let mut seen = BTreeSet::new();
        // Only a few steps back: through ends and gates that stand between the two.
        for _ in 0..10_000 {
            let (node, evidence) = from.pop()?;
            if !seen.insert(node) {
                continue;
            }
            for &before in problem.before.row(node as usize) {
                let edge = self.edge_between(flow, before, node).or(evidence);
                if before == other {
                    return edge.map(|e| &self.case.ready.edges[e as usize]);
                }
                if self.case.ready.planned.get(before as usize) != Some(&true) {
                    from.push((before, edge));
                }
            }
        }
        None
    }

    fn edge_between(&self, flow: &Flow, from: u32, to: u32) -> Option<u32> {
        // The flow's edges stand in the order of the list; a search over them for each task would
        // be quadratic, so the rows of the problem carry no numbers and short lists are searched.
        const SEARCHED: usize = 20_000;
        if flow.edges.len() > SEARCHED {
            return None;
        }
        let edge = flow.edges.iter().find(|e| e.from == from && e.to == to);
        edge.and_then(|e| e.edge)
    }

    fn agent(&self, task: u32) -> &Agent {
        let machine = self.schedule.machine[task as usize] as usize;
        &self.case.options.agents[self.case.agent_of[machine]]
    }

    /// By how much each task could end later, with the order on every machine and lock kept.
    fn slack(&self, users: &[Vec<u32>], makespan: u64) -> Vec<u64> {
        let problem = &self.case.problem;
        let nodes = problem.len();
        let mut latest = vec![makespan; nodes];
        let mut order: Vec<u32> = (0..nodes as u32).collect();
        let mut place = vec![0u32; nodes];
        for (number, &task) in problem.topological.iter().enumerate() {
            place[task as usize] = number as u32;
        }
        order.sort_unstable_by_key(|&t| {
            (
                self.schedule.start[t as usize],
                self.schedule.finish[t as usize],
                place[t as usize],
            )
        });
        let mut after_lock = vec![makespan; users.len()];
        for &node in order.iter().rev() {
            let index = node as usize;
            let time = self.schedule.finish[index] - self.schedule.start[index];
            for &next in problem.after.row(index) {
                let time = self.schedule.finish[next as usize] - self.schedule.start[next as usize];
                latest[index] = latest[index].min(latest[next as usize] - time);
            }
            if let Some(&next) = self.next.get(index).filter(|&&n| n != NONE) {
                let time = self.schedule.finish[next as usize] - self.schedule.start[next as usize];
                latest[index] = latest[index].min(latest[next as usize] - time);
            }
            for &(resource, _) in problem.uses.row(index) {
                let resource = resource as usize;
                if after_lock[resource] >= self.schedule.finish[index] {
                    latest[index] = latest[index].min(after_lock[resource]);
                }
                after_lock[resource] = after_lock[resource].min(latest[index].saturating_sub(time));
            }
        }
        (0..nodes)
            .map(|t| latest[t].saturating_sub(self.schedule.finish[t]))
            .collect()
    }

    /// The longest path through the edges, as planned tasks.
    fn critical_path(&self) -> Vec<u32> {
        let problem = &self.case.problem;
        let mut rest = vec![0u64; problem.len()];
        let mut step = vec![NONE; problem.len()];
        for &node in problem.topological.iter().rev() {
            let index = node as usize;
            for &next in problem.after.row(index) {
                let longer = rest[next as usize] > rest[index]
                    || (rest[next as usize] == rest[index] && next < step[index]);
                if longer || step[index] == NONE {
                    rest[index] = rest[next as usize];
                    step[index] = next;
                }
            }
            rest[index] += problem.durations[index];
        }
        let first = (0..problem.len()).max_by_key(|&t| (rest[t], std::cmp::Reverse(t)));
        let mut path = Vec::new();
        let mut at = first.map_or(NONE, |t| t as u32);
        while at != NONE {
            if self.case.ready.planned.get(at as usize) == Some(&true) {
                path.push(at);
            }
            at = step[at as usize];
        }
        path
    }

    fn plan(self, bound: u64, reason: Reason) -> Plan {
        let case = self.case;
        let ready = &case.ready;
        let list = ready.list;
        let makespan = self.schedule.makespan();
        let mut users: Vec<Vec<u32>> = vec![Vec::new(); ready.resources.len()];
        for &task in &self.by_start {
            for &(resource, _) in case.problem.uses.row(task as usize) {
                users[resource as usize].push(task);
            }
        }
        let slack = self.slack(&users, makespan);
        let critical_path = self.critical_path();
        let on_path: BTreeSet<u32> = critical_path.iter().copied().collect();
        let mut before: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut depth: HashMap<u32, usize> = HashMap::new();
        let mut causes: HashMap<u32, u32> = HashMap::new();
        let mut tasks = Vec::with_capacity(self.by_start.len());
        let few = self.by_start.len() <= 5000;
        for &task in &self.by_start {
            let index = task as usize;
            let known = &list.tasks[index];
            let waits = self.predecessors(task);
            let cause = self.cause(task, &waits, if few { &users } else { &[] });
            if let Cause::Edge(other) | Cause::Agent(other) | Cause::Lock(_, other) = cause {
                causes.insert(task, other);
            }
            let holds = case.problem.uses.row(index).iter();
            tasks.push(PlannedTask {
                id: known.key.to_string(),
                title: known.title.clone(),
                agent: self.agent(task).name.clone(),
                start_ms: self.schedule.start[index],
                finish_ms: self.schedule.finish[index],
                slack_ms: slack[index],
                duration_ms: ready.ms[index],
                estimate: ready.said[index].to_owned(),
                after: waits.iter().map(|&t| self.key(t)).collect(),
                touches: ready.touches[index].clone(),
                holds: holds
                    .map(|u| ready.resources[u.0 as usize].name.clone())
                    .collect(),
                needs: known.needs.clone(),
                only: case.only[index].clone(),
                optional: known.optional,
                checkpoint: known.kind == Kind::Checkpoint,
                critical: on_path.contains(&task),
                reason: self.reason(task, &cause),
                source: list.at(known.place),
            });
            before.insert(task, waits);
        }
        for &node in &case.problem.topological {
            if let Some(waits) = before.get(&node) {
                let level = waits
                    .iter()
                    .map(|w| depth.get(w).map_or(0, |d| d + 1))
                    .max();
                depth.insert(node, level.unwrap_or(0));
            }
        }
        let mut groups: Vec<Vec<String>> = Vec::new();
        let mut in_file: Vec<u32> = self.by_start.clone();
        in_file.sort_unstable();
        for task in in_file {
            let level = depth[&task];
            groups.resize(groups.len().max(level + 1), Vec::new());
            groups[level].push(self.key(task));
        }
        let mut assignments: Map<String, Value> = Map::new();
        for agent in &case.options.agents {
            assignments.insert(agent.name.clone(), Value::Array(Vec::new()));
        }
        for task in &tasks {
            if let Some(Value::Array(own)) = assignments.get_mut(&task.agent) {
                own.push(Value::String(task.id.clone()));
            }
        }
        let mut warnings = ready.warnings.clone();
        warnings.extend(self.idle(&assignments));
        let mut plan = Plan {
            plan_id: String::new(),
            total_tasks: tasks.len() as u64,
            instance_assignments: assignments,
            dependency_groups: groups,
            estimated_completion_time: iso(makespan),
            resource_requirements: Map::new(),
            parallel_execution_groups: together(&tasks),
            critical_path: critical_path.iter().map(|&t| self.key(t)).collect(),
            created_at: case.options.created_at.clone(),
            strategy_used: case.options.strategy,
            v: 1,
            kind: "plan".to_owned(),
            makespan_ms: makespan,
            lower_bound_ms: bound,
            gap: gap(makespan, bound),
            optimal: makespan == bound,
            bound_by: self.bound_by(reason),
            binding_chain: self.chain(&causes),
            tasks,
            agents: case.options.agents.clone(),
            resources: ready.resources.clone(),
            edges: self.edges(),
            warnings,
        };
        plan.seal();
        plan
    }

    fn idle(&self, assignments: &Map<String, Value>) -> Option<String> {
        let idle: Vec<&str> = assignments
            .iter()
            .filter(|(_, own)| own.as_array().is_some_and(Vec::is_empty))
            .map(|(name, _)| name.as_str())
            .collect();
        (!idle.is_empty() && !self.by_start.is_empty())
            .then(|| format!("nothing to do for {}", idle.join(", ")))
    }

    fn bound_by(&self, reason: Reason) -> String {
        let agents = self.case.options.agents.len();
        match reason {
            Reason::Nothing => "nothing is left to do".to_owned(),
            Reason::Path => "the longest chain of tasks that wait for each other".to_owned(),
            Reason::Work if agents == 1 => "the work there is for one agent".to_owned(),
            Reason::Work => format!("the work there is for {agents} agents"),
            Reason::Resource(number) => {
                format!(
                    "the tasks that share {}",
                    self.case.ready.resources[number as usize].name
                )
            }
        }
    }

    /// From the task that ends last back to one that waits for nothing.
    fn chain(&self, causes: &HashMap<u32, u32>) -> Vec<String> {
        let finish = |t: &u32| self.schedule.finish[*t as usize];
        let mut at = self
            .by_start
            .iter()
            .copied()
            .max_by_key(|t| (finish(t), std::cmp::Reverse(*t)));
        let mut chain = Vec::new();
        while let Some(task) = at {
            chain.push(self.key(task));
            at = causes.get(&task).copied();
            if chain.len() > self.by_start.len() {
                break;
            }
        }
        chain.reverse();
        chain
    }

    fn edges(&self) -> Vec<PlannedEdge> {
        let ready = &self.case.ready;
        let name = |node: Node| match node {
            Node::Task(index) => ready.list.tasks[index].key.to_string(),
            Node::Gate(index) => ready.list.gates[index].name.clone(),
        };
        let edge = |edge: &Edge| PlannedEdge {
            from: name(edge.from),
            to: name(edge.to),
            why: edge.why.name().to_owned(),
            strength: edge.strength.name().to_owned(),
            source: ready.place(edge.place),
        };
        ready.edges.iter().map(edge).collect()
    }
}

/// By how much a makespan is longer than its bound, to four digits.
pub(super) fn gap(makespan: u64, bound: u64) -> f64 {
    if bound == 0 {
        return 0.0;
    }
    let gap = (makespan - bound.min(makespan)) as f64 / bound as f64;
    (gap * 10_000.0).round() / 10_000.0
}

/// The sets of tasks that run at the same time, each only where no larger one holds it.
fn together(tasks: &[PlannedTask]) -> Vec<Vec<String>> {
    let mut running: BTreeSet<(u64, usize)> = BTreeSet::new();
    let mut groups = Vec::new();
    let mut grown = false;
    for (index, task) in tasks.iter().enumerate() {
        if task.start_ms == task.finish_ms {
            continue;
        }
        while let Some(&(finish, first)) = running.first() {
            if finish > task.start_ms {
                break;
            }
            if grown && running.len() > 1 {
                groups.push(names(tasks, &running));
            }
            grown = false;
            running.remove(&(finish, first));
        }
        running.insert((task.finish_ms, index));
        grown = true;
    }
    if running.len() > 1 {
        groups.push(names(tasks, &running));
    }
    groups
}

fn names(tasks: &[PlannedTask], running: &BTreeSet<(u64, usize)>) -> Vec<String> {
    let mut indices: Vec<usize> = running.iter().map(|r| r.1).collect();
    indices.sort_unstable();
    indices.into_iter().map(|i| tasks[i].id.clone()).collect()
}

/// What a plan takes with 1, 2, … agents.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct WhatIf {
    /// How many agents.
    pub agents: u64,
    /// How long the plan takes, in milliseconds; never longer than with fewer agents.
    pub makespan_ms: u64,
    /// No plan for so many takes less.
    pub lower_bound_ms: u64,
    /// How many times faster than with the first number of agents of the table.
    pub speedup: f64,
    /// The share of time that the last agent saves.
    pub gain: f64,
    /// Whether this is the smallest number within one in twenty of the best.
    pub knee: bool,
}

/// Plans for each number of agents from `from` to `to`: the first of `options.agents`, and as many
/// more nameless ones as are wanted. The effort is shared by the plans.
///
/// # Errors
/// See [`PlanError`].
pub fn what_if(
    list: &List,
    options: &Options,
    from: usize,
    to: usize,
) -> Result<Vec<WhatIf>, PlanError> {
    let mut rows: Vec<WhatIf> = Vec::new();
    let effort = options.effort.shared_by((to - from + 1) as u64);
    for count in from..=to {
        let mut agents: Vec<Agent> = options.agents.iter().take(count).cloned().collect();
        let extra = Agent::numbered(count).into_iter().skip(agents.len());
        agents.extend(extra);
        let options = Options {
            agents,
            effort,
            ..options.clone()
        };
        let (makespan, bound) = Case::new(list, &options)?.figures();
        // More agents than needed may sit idle: a plan for fewer is a plan for more.
        let makespan = rows
            .last()
            .map_or(makespan, |last| makespan.min(last.makespan_ms));
        let first = rows.first().map_or(makespan, |first| first.makespan_ms);
        let before = rows.last().map_or(makespan, |last| last.makespan_ms);
        rows.push(WhatIf {
            agents: count as u64,
            makespan_ms: makespan,
            lower_bound_ms: bound.min(makespan),
            speedup: round(first as f64 / makespan.max(1) as f64),
            gain: round((before - makespan) as f64 / before.max(1) as f64),
            knee: false,
        });
    }
    let best = rows.last().map_or(0, |row| row.makespan_ms);
    if let Some(knee) = rows
        .iter_mut()
        .find(|row| row.makespan_ms * 20 <= best * 21)
    {
        knee.knee = true;
    }
    Ok(rows)
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// One other way to do a task, and what it costs.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Alternative {
    /// The agent.
    pub agent: String,
    /// How long the whole would take; absent where it is not possible.
    pub makespan_ms: Option<u64>,
    /// Why it is not possible.
    pub refused: Option<String>,
}

/// What would happen if each of the other agents did the task.
///
/// # Errors
/// See [`PlanError`]; an alternative that is not possible is a row, not an error.
pub fn alternatives(
    list: &List,
    options: &Options,
    plan: &Plan,
    key: &str,
) -> Result<Vec<Alternative>, PlanError> {
    let Some(task) = plan.task(key) else {
        return Ok(Vec::new());
    };
    let others: Vec<&Agent> = options
        .agents
        .iter()
        .filter(|a| a.name != task.agent)
        .collect();
    let effort = options.effort.shared_by(others.len() as u64);
    let mut rows = Vec::new();
    for agent in others {
        let mut changed = Options {
            effort,
            ..options.clone()
        };
        changed
            .pins
            .retain(|(pinned, _)| list.find(pinned) != list.find(key));
        changed.pins.push((key.to_owned(), agent.name.clone()));
        let (makespan, refused) = match Case::new(list, &changed) {
            Ok(case) => (Some(case.makespan()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        rows.push(Alternative {
            agent: agent.name.clone(),
            makespan_ms: makespan,
            refused,
        });
    }
    Ok(rows)
}

/// The gap of each strategy to the bound, in the order of [`Strategy::ALL`].
///
/// # Errors
/// See [`PlanError`].
pub fn compare(list: &List, options: &Options) -> Result<Vec<(Strategy, u64, f64)>, PlanError> {
    Strategy::ALL
        .into_iter()
        .map(|strategy| {
            let options = Options {
                strategy,
                ..options.clone()
            };
            let (makespan, bound) = Case::new(list, &options)?.figures();
            Ok((strategy, makespan, gap(makespan, bound)))
        })
        .collect()
}

/// A short description of what a plan says, one line.
pub fn summary(plan: &Plan) -> String {
    let gap = if plan.optimal {
        "no plan is shorter".to_owned()
    } else {
        format!(
            "at most {:.1} % from the best, bound {}",
            plan.gap * 100.0,
            human(plan.lower_bound_ms)
        )
    };
    format!(
        "{} tasks, {} agents, {}: {gap}",
        plan.total_tasks,
        plan.agents.len(),
        human(plan.makespan_ms)
    )
}
