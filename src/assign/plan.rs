//! The plan: what is written to `plan.json`, and what every output form is made from.
//!
//! The first ten fields are the original system's DistributionPlan, in its order and spelling; ours
//! follow. A plan holds all that a new plan after a failure needs, so that `next` and `replan` work
//! without the lists.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::agents::Agent;

/// How tasks are given to agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Dealt out in turn, in the order of the list.
    RoundRobin,
    /// The longest first to whoever has the least work so far, whatever waits for what.
    LoadBalanced,
    /// The shortest plan that the search finds.
    DependencyAware,
    /// Each to the agent that can do the least else.
    CapabilityBased,
}

impl Strategy {
    /// All of them, in the order of the original.
    pub const ALL: [Strategy; 4] = [
        Strategy::RoundRobin,
        Strategy::LoadBalanced,
        Strategy::DependencyAware,
        Strategy::CapabilityBased,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::RoundRobin => "round_robin",
            Strategy::LoadBalanced => "load_balanced",
            Strategy::DependencyAware => "dependency_aware",
            Strategy::CapabilityBased => "capability_based",
        }
    }
}

/// A plan, as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Made from the plan's contents: the same plan has the same id.
    pub plan_id: String,
    /// How many tasks are planned; those that are done are not.
    pub total_tasks: u64,
    /// For each agent its tasks in the order in which it does them.
    pub instance_assignments: Map<String, Value>,
    /// The tasks by depth: each waits only for tasks of earlier groups.
    pub dependency_groups: Vec<Vec<String>>,
    /// When everything is finished, ISO 8601.
    pub estimated_completion_time: String,
    /// What an agent needs of its machine; nothing is known of that here.
    pub resource_requirements: Map<String, Value>,
    /// The tasks that run at the same time in this plan, two or more.
    pub parallel_execution_groups: Vec<Vec<String>>,
    /// The longest chain of tasks that wait for each other.
    pub critical_path: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// How tasks were given to agents.
    pub strategy_used: Strategy,
    /// The version of the fields from here on.
    pub v: u32,
    /// Always `plan`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When everything is finished, in milliseconds from the start.
    pub makespan_ms: u64,
    /// No plan with these agents can be finished earlier.
    pub lower_bound_ms: u64,
    /// By how much the plan is longer than that: 0.01 is one in a hundred.
    pub gap: f64,
    /// Whether it is proved that no plan is shorter.
    pub optimal: bool,
    /// What keeps the plan from being shorter.
    pub bound_by: String,
    /// The tasks in the order of their starts.
    pub tasks: Vec<PlannedTask>,
    /// The chain of tasks that decides when everything is finished: each begins when the one before
    /// it ends, because it waits for it, for its agent or for a lock.
    pub binding_chain: Vec<String>,
    /// The agents, the idle ones among them.
    pub agents: Vec<Agent>,
    /// Files, locks and pools that keep tasks apart.
    pub resources: Vec<Resource>,
    /// Why which task waits for which, as the lists say it.
    pub edges: Vec<PlannedEdge>,
    /// What to look at before starting.
    pub warnings: Vec<String>,
}

/// One task of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedTask {
    /// Its key.
    pub id: String,
    /// Its one line.
    pub title: String,
    /// Who does it.
    pub agent: String,
    /// When it begins, in milliseconds from the start of the plan.
    pub start_ms: u64,
    /// When it ends.
    pub finish_ms: u64,
    /// How much later it could end without delaying the whole, everything else in the same order.
    pub slack_ms: u64,
    /// How long it takes an agent of speed 1.
    pub duration_ms: u64,
    /// How that is known: stated, history, size or default.
    pub estimate: String,
    /// The tasks that must be finished first.
    pub after: Vec<String>,
    /// The files it works on.
    pub touches: Vec<String>,
    /// Of [`Plan::resources`], those it holds while it runs.
    pub holds: Vec<String>,
    /// What its agent must be able to do.
    pub needs: Vec<String>,
    /// The agents that it is confined to by pins; empty means no pin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it only looks at what others did.
    pub checkpoint: bool,
    /// Whether it lies on the critical path.
    pub critical: bool,
    /// Why it begins when it begins.
    pub reason: String,
    /// The file and line it comes from.
    pub source: String,
}

/// What keeps tasks apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// `src/lib.rs`, `pool build`, `lock AuthService`.
    pub name: String,
    /// How many may hold it at a time; of a directory, the number of its users.
    pub capacity: u32,
    /// Those who hold all of it at once (only for directories).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whole: Vec<String>,
    /// Its users.
    pub tasks: Vec<String>,
}

/// Why one task waits for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedEdge {
    /// What comes first: a task, or a gate such as `wave 2`.
    pub from: String,
    /// What waits.
    pub to: String,
    /// depends, waves, phase, order, parent, checkpoint, overlap, manual.
    pub why: String,
    /// declared, documented or inferred.
    pub strength: String,
    /// The file and line that say so.
    pub source: String,
}

impl Plan {
    /// The task of this key.
    pub fn task(&self, key: &str) -> Option<&PlannedTask> {
        self.tasks.iter().find(|task| task.id == key)
    }

    /// The keys of one agent's tasks, in its order.
    pub fn of<'a>(&'a self, agent: &'a str) -> impl Iterator<Item = &'a PlannedTask> {
        self.tasks.iter().filter(move |task| task.agent == agent)
    }

    /// One line of JSON, without a newline.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a plan holds nothing that JSON cannot say")
    }

    /// Reads what [`Plan::to_json`] wrote; unknown fields are passed over.
    ///
    /// # Errors
    /// What serde_json says, with line and column.
    pub fn from_json(text: &str) -> Result<Plan, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Gives the plan the id that follows from its contents (all but id and date).
    pub(super) fn seal(&mut self) {
        let date = std::mem::take(&mut self.created_at);
        self.plan_id = String::new();
        self.plan_id = name_of(self.to_json().as_bytes());
        self.created_at = date;
    }
}

/// A UUID of version 8 from bytes: FNV-1a, 128 bits wide.
pub(super) fn name_of(bytes: &[u8]) -> String {
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    for &byte in bytes {
        hash ^= u128::from(byte);
        hash = hash.wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    uuid::Builder::from_custom_bytes(hash.to_be_bytes())
        .into_uuid()
        .to_string()
}

/// Milliseconds in the form of the original system: `P1DT1H30M`, `PT1.5S`, `PT0S`.
pub fn iso(ms: u64) -> String {
    if ms == 0 {
        return "PT0S".to_owned();
    }
    let mut text = String::from("P");
    let days = ms / 86_400_000;
    for (count, unit) in [(days / 365, 'Y'), (days % 365, 'D')] {
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if ms.is_multiple_of(86_400_000) {
        return text;
    }
    text.push('T');
    for (count, unit) in [(ms / 3_600_000 % 24, 'H'), (ms / 60_000 % 60, 'M')] {
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    let (seconds, rest) = (ms / 1000 % 60, ms % 1000);
    if rest > 0 {
        text.push_str(&format!("{seconds}.{rest:03}000S"));
    } else if seconds > 0 {
        text.push_str(&format!("{seconds}S"));
    }
    text
}

/// Milliseconds for people: `1h 30m`, `45s`, `250ms`.
pub fn human(ms: u64) -> String {
    let (days, hours, minutes) = (ms / 86_400_000, ms / 3_600_000 % 24, ms / 60_000 % 60);
    let (seconds, rest) = (ms / 1000 % 60, ms % 1000);
    let parts: Vec<String> = [
        (days, "d"),
        (hours, "h"),
        (minutes, "m"),
        (seconds, "s"),
        (rest, "ms"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .take(2)
    .map(|(count, unit)| format!("{count}{unit}"))
    .collect();
    if parts.is_empty() {
        "0".to_owned()
    } else {
        parts.join(" ")
    }
}
