//! Any bytes are a list of some form or say why not: no panic in reading, ordering, checking and
//! planning, in every order; a plan keeps what it promises.
//!
//! The first byte says whether the form is to be found out, or which is given.

#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use sporekit::assign::{self, Agent, Effort, Options};
use sporekit::task::lint::{Absent, Given, Policy};
use sporekit::task::{self, Format, Order, lint, merge};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, text)) = bytes.split_first() else {
        return;
    };
    let format = Format::ALL.get(usize::from(first % 16)).copied();
    let plain = merge::merge(vec![task::read("specs/a/tasks.md", text, format)]);
    let policy = Policy {
        missing: Absent::Warn,
        cancelled: Given::Satisfied,
        skip_optional: false,
    };
    for order in Order::ALL {
        let mut list = plain.clone();
        task::order::apply(&mut list, order, &|_| false);
        let (_, held) = lint::check(&list, policy);
        let mut options = Options::new(Agent::numbered(3));
        options.held = held;
        options.partial = true;
        options.effort = Effort::NONE;
        let Ok(plan) = assign::plan(&list, &options) else {
            continue;
        };
        let finish: HashMap<&str, u64> = plan
            .tasks
            .iter()
            .map(|task| (task.id.as_str(), task.finish_ms))
            .collect();
        for task in &plan.tasks {
            for before in &task.after {
                assert!(
                    finish[before.as_str()] <= task.start_ms,
                    "{before} is not done"
                );
            }
        }
        assert!(plan.lower_bound_ms <= plan.makespan_ms);
        assert!(!assign::svg(&plan).is_empty() && !assign::table(&plan).is_empty());
    }
});
