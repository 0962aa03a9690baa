//! Who there is to do the work, and the slots of theirs that become machines.

use serde::{Deserialize, Serialize};

use super::problem::Machine;

/// One agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// What it can do. Absent means that nothing is known, and then it may be given anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    /// How fast it is; 1 takes the estimate, 0.5 twice as long.
    #[serde(default = "one")]
    pub speed: f64,
    /// How many tasks it can have in hand at a time.
    #[serde(default = "single")]
    pub slots: u32,
    /// The share of it that other work takes, from 0 to below 1.
    #[serde(default)]
    pub load: f64,
    /// When it becomes free, in milliseconds from the start of the plan.
    #[serde(default)]
    pub busy_until_ms: u64,
}

fn one() -> f64 {
    1.0
}

fn single() -> u32 {
    1
}

impl Agent {
    /// An agent of which only the name is known.
    pub fn named(name: impl Into<String>) -> Agent {
        Agent {
            name: name.into(),
            capabilities: None,
            speed: 1.0,
            slots: 1,
            load: 0.0,
            busy_until_ms: 0,
        }
    }

    /// `count` agents called `agent-1`, `agent-2` and so on.
    pub fn numbered(count: usize) -> Vec<Agent> {
        (1..=count)
            .map(|number| Agent::named(format!("agent-{number}")))
            .collect()
    }

    /// Whether it offers all of `needs`.
    pub fn offers(&self, needs: &[String]) -> bool {
        self.capabilities
            .as_ref()
            .is_none_or(|offered| needs.iter().all(|need| offered.contains(need)))
    }

    /// The machine that each of its slots is.
    pub(super) fn machine(&self) -> Machine {
        let speed = self.speed * (1.0 - self.load) * 1000.0;
        Machine {
            available: self.busy_until_ms,
            speed: (speed.round() as u32).max(1),
        }
    }

    /// Why it cannot be used as it is described.
    pub fn fault(&self) -> Option<String> {
        let wrong = |what: &str| Some(format!("agent {:?}: {what}", self.name));
        if self.name.is_empty() {
            return Some("an agent without a name".to_owned());
        }
        if !(self.speed.is_finite() && self.speed >= 0.001 && self.speed <= 1000.0) {
            return wrong("speed must be from 0.001 to 1000");
        }
        if !(self.load >= 0.0 && self.load < 1.0) {
            return wrong("load must be from 0 to below 1");
        }
        if self.slots == 0 || self.slots > 1000 {
            return wrong("slots must be from 1 to 1000");
        }
        if self.busy_until_ms > 1 << 50 {
            return wrong("busy_until_ms is too far away");
        }
        None
    }
}
