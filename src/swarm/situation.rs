//! What has happened since a plan was made, in the form that making a new one needs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::journal;
use super::lease::is_over;
use super::{Config, Holder, holder::Life};
use crate::assign;
use crate::event::{Lease, Phase, State, millis};

/// As many failures as make a new plan leave a task to people.
const GIVEN_UP: u32 = 3;

/// How far the tasks of `plan` are by the journal's `state`, who came and went, and which claims
/// ended without a word: of a holder that died (a crash), or by their deadline (silence).
pub fn situation(plan: &assign::Plan, state: &State, config: &Config) -> assign::State {
    let begun = state.plan_since.as_deref().and_then(millis);
    let from_start = |time: &str| match (begun, millis(time)) {
        (Some(begun), Some(time)) => u64::try_from(time - begun).unwrap_or(0),
        _ => 0,
    };
    let mut since = assign::State {
        now_ms: from_start(&journal::now()),
        ..assign::State::default()
    };
    let mut lost: BTreeMap<&str, (&'static str, Vec<String>)> = BTreeMap::new();
    for task in &plan.tasks {
        let Some(known) = state.tasks.get(&task.id) else {
            continue;
        };
        let (word, agent) = match &known.phase {
            Phase::Done { agent, .. } => ("done", Some(agent)),
            Phase::Claimed { agent, lease, .. } if is_over(lease) => {
                let (kind, tasks) = lost.entry(agent).or_insert(("communication", Vec::new()));
                if died(lease) {
                    *kind = "crash";
                }
                tasks.push(task.id.clone());
                ("todo", None)
            }
            Phase::Claimed { agent, .. } => ("running", Some(agent)),
            Phase::Human { .. } => ("failed", known.failed_by.as_ref()),
            Phase::Open if known.failures > 0 => ("failed", known.failed_by.as_ref()),
            Phase::Open | Phase::Later { .. } => ("todo", None),
        };
        let attempts = match known.phase {
            Phase::Human { .. } => GIVEN_UP,
            _ => known.failures.min(GIVEN_UP - 1),
        };
        since.tasks.insert(
            task.id.clone(),
            assign::TaskState {
                state: word.to_owned(),
                agent: agent.cloned(),
                since_ms: (word == "running").then(|| from_start(&known.since)),
                attempts,
            },
        );
    }
    let planned = |name: &str| plan.agents.iter().any(|agent| agent.name == name);
    for (name, known) in &state.agents {
        match (known.present, planned(name)) {
            (false, true) => drop(since.agents.insert(name.clone(), json!("down"))),
            (true, false) => drop(since.agents.insert(name.clone(), described(name, config))),
            _ => {}
        }
    }
    let gone = |name: &str| state.agents.get(name).is_some_and(|known| !known.present);
    for (name, (kind, tasks)) in lost {
        if planned(name) && !gone(name) {
            since.failures.push(assign::Failure {
                instance_id: name.to_owned(),
                failure_type: kind.to_owned(),
                error_message: format!("its claims of {} ended without a word", tasks.join(", ")),
                affected_tasks: tasks,
                recovery_attempts: 0,
                is_recoverable: true,
            });
        }
    }
    since
}

/// A new agent, as far as `swarm.toml` describes it.
fn described(name: &str, config: &Config) -> Value {
    let known = config
        .agents
        .iter()
        .find(|(known, _)| known.as_str() == name);
    let Some((_, agent)) = known else {
        return json!("up");
    };
    let mut fields = serde_json::Map::new();
    if !agent.capabilities.is_empty() {
        fields.insert("capabilities".to_owned(), json!(agent.capabilities));
    }
    if let Some(speed) = agent.speed {
        fields.insert("speed".to_owned(), json!(speed));
    }
    if let Some(slots) = agent.slots {
        fields.insert("slots".to_owned(), json!(slots));
    }
    Value::Object(fields)
}

/// Whether the process that held the lease is known to be gone.
fn died(lease: &Lease) -> bool {
    let holder = lease
        .holder
        .as_ref()
        .and_then(|text| text.parse::<Holder>().ok());
    holder.is_some_and(|holder| holder.life() == Life::Dead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Then, What};
    use crate::swarm::lease::lease_for;
    use std::time::Duration;

    fn plan() -> assign::Plan {
        let task = |id: &str, agent: &str| {
            json!({"id": id, "title": id, "agent": agent, "start_ms": 0, "finish_ms": 60_000,
                "slack_ms": 0, "duration_ms": 60_000, "estimate": "stated", "after": [],
                "touches": [], "holds": [], "needs": [], "optional": false, "checkpoint": false,
                "critical": false, "reason": "", "source": "tasks.md:1"})
        };
        let tasks = [
            task("done", "a"),
            task("running", "a"),
            task("lost", "b"),
            task("human", "c"),
            task("again", "c"),
            task("todo", "b"),
        ];
        let plan = json!({"plan_id": "p", "total_tasks": 6, "instance_assignments": {},
            "dependency_groups": [], "estimated_completion_time": "PT6M", "resource_requirements": {},
            "parallel_execution_groups": [], "critical_path": [], "created_at": "2026-11-24T09:00:00Z",
            "strategy_used": "dependency_aware", "v": 1, "type": "plan", "makespan_ms": 1,
            "lower_bound_ms": 1, "gap": 0.0, "optimal": true, "bound_by": "", "tasks": tasks,
            "binding_chain": [], "agents": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
            "resources": [], "edges": [], "warnings": []});
        assign::Plan::from_json(&plan.to_string()).unwrap()
    }

    #[test]
    fn the_journal_becomes_what_a_new_plan_is_made_from() {
        let mut state = State::default();
        let mut happen = |at: &str, what: What| {
            let event = Event {
                at: at.to_owned(),
                correlation_id: String::new(),
                what,
            };
            assert_eq!(state.apply(&event), crate::event::Effect::Applied);
        };
        let hour = Duration::from_secs(3600);
        let mut dead = Holder::me();
        dead.start += 1;
        let claimed = |task: &str, agent: &str, by: Option<&Holder>| What::Claimed {
            task: task.into(),
            agent: agent.into(),
            epoch: 1,
            lease: lease_for(hour, by),
        };
        let failed = |task: &str, then| What::Failed {
            task: task.into(),
            agent: "c".into(),
            epoch: 1,
            exit: 14,
            then,
            retry_at: None,
            why: None,
        };
        let joined = |agent: &str| What::Joined {
            agent: agent.into(),
            epoch: 1,
        };
        let start = "2026-11-24T09:00:00Z";
        happen(
            start,
            What::PlanAdopted {
                plan_id: "p".into(),
                epoch: 1,
                replaces: None,
            },
        );
        happen(start, claimed("done", "a", None));
        happen(
            start,
            What::Done {
                task: "done".into(),
                agent: "a".into(),
                epoch: 1,
                commit: None,
                run: None,
            },
        );
        happen("2026-11-24T09:00:05Z", claimed("running", "a", None));
        happen(start, claimed("lost", "b", Some(&dead)));
        happen(start, claimed("human", "c", None));
        happen(start, failed("human", Then::Human));
        happen(start, claimed("again", "c", None));
        happen(start, failed("again", Then::Retry));
        happen(start, joined("c"));
        happen(
            start,
            What::Left {
                agent: "c".into(),
                epoch: 1,
                why: None,
            },
        );
        happen(start, joined("new"));

        let config = Config::parse(
            "[agents.new]\ncapabilities = [\"rust\"]\n",
            std::path::Path::new("swarm.toml"),
        )
        .unwrap();
        let plan = plan();
        let since = situation(&plan, &state, &config);
        let words: Vec<(&str, &str, u32)> = since
            .tasks
            .iter()
            .map(|(key, task)| (key.as_str(), task.state.as_str(), task.attempts))
            .collect();
        assert_eq!(
            words,
            [
                ("again", "failed", 1),
                ("done", "done", 0),
                ("human", "failed", 3),
                ("lost", "todo", 0),
                ("running", "running", 0)
            ]
        );
        assert_eq!(since.tasks["running"].since_ms, Some(5000));
        assert_eq!(since.agents["c"], json!("down"));
        assert_eq!(since.agents["new"], json!({"capabilities": ["rust"]}));
        assert_eq!(since.failures.len(), 1);
        assert_eq!(since.failures[0].instance_id, "b");
        assert_eq!(since.failures[0].failure_type, "crash");

        let done = assign::replan(&plan, &since, assign::Effort::NONE, start).unwrap();
        assert!(done.blocked.contains(&"human".to_owned()));
        assert!(done.plan.tasks.iter().all(|task| task.agent != "c"));
        assert!(done.plan.tasks.iter().any(|task| task.agent == "new"));
    }
}
