//! A plan that was made anew, as it can be put in force: with what it leaves out because there is
//! nothing to do about it now.

use std::collections::HashSet;

use super::plan::Plan;

/// The new plan with all tasks of the old one. Those that are done or wait for a person come after
/// everything: they have no time in the new plan, but they are still there when a person says
/// "again", and what holds tasks apart or makes them wait holds for them too.
pub fn whole(mut new: Plan, old: &Plan) -> Plan {
    let end = new.makespan_ms;
    let planned: HashSet<&str> = new.tasks.iter().map(|task| task.id.as_str()).collect();
    let left = old
        .tasks
        .iter()
        .filter(|t| !planned.contains(t.id.as_str()));
    let left: Vec<_> = left.cloned().collect();
    for task in &mut new.tasks {
        if let Some(then) = old.task(&task.id) {
            task.after.clone_from(&then.after);
        }
    }
    new.tasks.extend(left.into_iter().map(|mut task| {
        (task.start_ms, task.finish_ms, task.slack_ms) = (end, end, 0);
        task.critical = false;
        "it is done, or waits for a person".clone_into(&mut task.reason);
        task
    }));
    new.resources.clone_from(&old.resources);
    new.edges.clone_from(&old.edges);
    new.seal();
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::{Agent, Effort, Options, State, replan};
    use crate::task;

    #[test]
    fn no_task_no_edge_and_no_lock_is_lost_when_a_plan_is_made_anew_again_and_again() {
        let text = b"- [ ] 1. A\n  - File: a\n- [ ] 2. B\n  - File: a\n  - _Depends on: 1_\n\
                     - [ ] 3. C\n  - _Depends on: 2_\n- [ ] 4. D\n- [ ] 5. E\n  - File: a\n";
        let list = task::read("tasks.md", text, None);
        let mut plan = super::super::plan(&list, &Options::new(Agent::numbered(2))).unwrap();
        let ids = |plan: &Plan| {
            let mut ids: Vec<String> = plan.tasks.iter().map(|t| t.id.clone()).collect();
            ids.sort();
            ids
        };
        let first = plan.clone();
        for state in [
            r#"{"now_ms":1,"tasks":{"1":"done"}}"#,
            r#"{"now_ms":2,"tasks":{"1":"done","2":{"state":"failed","agent":"agent-1","attempts":3}}}"#,
            r#"{"now_ms":3,"tasks":{"1":"done"},"agents":{"agent-2":"down"}}"#,
        ] {
            let state: State = serde_json::from_str(state).unwrap();
            let new = replan(&plan, &state, Effort::millis(5), "2026-11-24T09:00:00Z").unwrap();
            assert!(new.plan.tasks.len() < first.tasks.len());
            plan = whole(new.plan, &plan);
            assert_eq!(ids(&plan), ids(&first));
            assert_eq!(
                (&plan.resources, &plan.edges),
                (&first.resources, &first.edges)
            );
            for task in &plan.tasks {
                let then = first.task(&task.id).unwrap();
                assert_eq!((&task.after, &task.holds), (&then.after, &then.holds));
            }
        }
        assert!(
            plan.tasks
                .iter()
                .filter(|t| t.id != "1")
                .all(|t| t.agent == "agent-1")
        );
    }
}
