//! The report of a merge: the original's IntegrationReport, with what it leaves out after it, and
//! the same for people.

use std::time::SystemTime;

use super::Error;
use super::run::Outcome;
use super::{handback, place};
use crate::action::Dict;
use crate::action::Wire;
use crate::action::json::{Number, Object, Value};
use crate::action::model::IntegrationReport;
use crate::action::time::{TimeDelta, Timestamp};
use crate::swarm::{Root, files};

/// The report of what came of a merge.
pub fn report(outcome: &Outcome) -> IntegrationReport {
    let branch = |branch: &String| branch.clone();
    let landed: Vec<String> = outcome
        .landed
        .iter()
        .map(|landed| landed.candidate.branch.clone())
        .collect();
    let was_conflict = |kind: &Option<String>| {
        matches!(kind.as_deref(), Some("conflict" | "markers" | "unrelated"))
    };
    IntegrationReport {
        report_id: outcome.report.clone(),
        integration_batch: outcome.order.iter().map(|(name, _)| branch(name)).collect(),
        failed_integrations: outcome
            .back
            .iter()
            .map(|back| back.candidate.branch.clone())
            .collect(),
        conflicts_resolved: outcome
            .landed
            .iter()
            .filter(|landed| was_conflict(&landed.candidate.back))
            .map(|landed| landed.candidate.branch.clone())
            .collect(),
        conflicts_remaining: outcome
            .back
            .iter()
            .filter(|back| matches!(back.kind, "conflict" | "markers" | "unrelated"))
            .map(|back| back.candidate.branch.clone())
            .collect(),
        quality_gate_results: gate_results(outcome),
        integration_time: TimeDelta::from_millis(outcome.ms),
        created_at: now(),
        summary: summary(outcome),
        extra: extra(outcome),
        successful_integrations: landed,
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_unix(seconds, since.subsec_micros()).unwrap_or_else(|| {
        // After the year 9999.
        Timestamp::from_unix(0, 0).expect("1970 is a time")
    })
}

/// For each gate whether what landed passed it; where nothing landed, whether its last run did.
fn gate_results(outcome: &Outcome) -> Dict<bool> {
    let mut results: Vec<(String, bool)> = Vec::new();
    for run in &outcome.gates {
        let passed = run.ended == "0";
        match results.iter_mut().find(|(gate, _)| *gate == run.gate) {
            Some((_, known)) if outcome.landed.is_empty() => *known = passed,
            Some((_, known)) => *known |= passed,
            None => results.push((run.gate.clone(), passed)),
        }
    }
    results.into_iter().collect()
}

/// One sentence each for what landed, what did not, and what a person has to do.
fn summary(outcome: &Outcome) -> String {
    let target = outcome.into.trim_start_matches("refs/heads/");
    let runs = outcome.gates.iter().filter(|run| !run.reused).count();
    let all = counted(outcome.order.len(), "branch");
    let mut said = vec![match (&*outcome.order, outcome.only_said) {
        ([], _) => format!("Nothing is left to land in {target}."),
        (_, true) => format!("{} of {all} would land in {target}.", outcome.would.len()),
        (_, false) => {
            let runs = counted(runs, "gate run");
            format!(
                "{} of {all} landed in {target} after {runs}.",
                outcome.landed.len()
            )
        }
    }];
    if let Some(why) = &outcome.target_red {
        said.push(format!("{target} itself fails: {why}."));
    }
    let waits = outcome.passed.iter().filter(|passed| passed.human).count();
    let back = outcome.back.len();
    if back > 0 {
        let minutes: u64 = outcome.back.iter().map(handback::Back::minutes).sum();
        let back = counted(back, "branch");
        let verb = if outcome.only_said {
            "would be handed back"
        } else {
            "handed back"
        };
        said.push(format!("{back} {verb}, about {minutes} minutes of work."));
    }
    if waits > 0 {
        said.push(format!(
            "{} for a person.",
            if waits == 1 {
                "1 waits".to_owned()
            } else {
                format!("{waits} wait")
            }
        ));
    }
    said.join(" ")
}

/// `1 branch`, `2 branches`.
pub fn counted(count: usize, what: &str) -> String {
    match (count, what.ends_with('h')) {
        (1, _) => format!("1 {what}"),
        (n, true) => format!("{n} {what}es"),
        (n, false) => format!("{n} {what}s"),
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts<'a>(list: impl IntoIterator<Item = &'a String>) -> Value {
    Value::Array(list.into_iter().map(|one| text(one)).collect())
}

fn number(number: u64) -> Value {
    Value::Number(Number::from(number))
}

fn object(members: Vec<(&str, Value)>) -> Value {
    let mut object = Object::new();
    for (name, value) in members {
        object.insert(name, value);
    }
    Value::Object(object)
}

/// What the original's report has no place for.
fn extra(outcome: &Outcome) -> Object {
    let mut extra = Object::new();
    extra.insert("into", text(&outcome.into));
    extra.insert("old", text(&outcome.old));
    extra.insert("new", text(&outcome.new));
    extra.insert("mode", text(&outcome.mode));
    let landed = outcome.landed.iter().map(|landed| {
        let candidate = &landed.candidate;
        object(vec![
            ("branch", text(&candidate.branch)),
            (
                "agent",
                candidate.agent.as_deref().map_or(Value::Null, text),
            ),
            ("tasks", texts(&candidate.tasks)),
            ("runs", texts(&candidate.runs)),
            ("commit", text(&candidate.head)),
            ("landed_as", text(&landed.landed_as)),
            ("tip", text(&landed.tip)),
            ("why", text(&candidate.why)),
        ])
    });
    extra.insert("landed", Value::Array(landed.collect()));
    let back = outcome.back.iter().map(|back| {
        let candidate = &back.candidate;
        let mut members = vec![
            ("branch", text(&candidate.branch)),
            (
                "agent",
                candidate.agent.as_deref().map_or(Value::Null, text),
            ),
            ("tasks", texts(&candidate.tasks)),
            ("commit", text(&candidate.head)),
            ("kind", text(back.kind)),
            ("why", text(&back.why)),
            ("minutes", number(back.minutes())),
        ];
        if let Some((handed, commit)) = &back.handed {
            members.push(("conflict_branch", text(handed)));
            members.push(("conflict_commit", text(commit)));
        }
        if let Some(log) = &back.log {
            members.push(("log", text(log)));
        }
        if let Some(alone) = back.alone {
            members.push(("passes_alone", Value::Bool(alone)));
            members.push(("fails_with", texts(&back.with)));
        }
        object(members)
    });
    extra.insert("handed_back", Value::Array(back.collect()));
    let passed = outcome.passed.iter().map(|passed| {
        object(vec![
            ("branch", text(&passed.branch)),
            ("agent", passed.agent.as_deref().map_or(Value::Null, text)),
            ("why", text(&passed.why)),
            ("needs_human", Value::Bool(passed.human)),
        ])
    });
    extra.insert("passed_over", Value::Array(passed.collect()));
    let order = outcome
        .order
        .iter()
        .map(|(branch, why)| object(vec![("branch", text(branch)), ("why", text(why))]));
    extra.insert("order", Value::Array(order.collect()));
    let gates = outcome.gates.iter().map(|run| {
        object(vec![
            ("gate", text(&run.gate)),
            ("tree", text(&run.tree)),
            ("branches", texts(&run.branches)),
            ("ended", text(&run.ended)),
            ("duration_ms", number(run.ms)),
            ("log", text(&run.log)),
            ("reused", Value::Bool(run.reused)),
        ])
    });
    extra.insert("gate_runs", Value::Array(gates.collect()));
    if !outcome.would.is_empty() {
        extra.insert("would_land", texts(&outcome.would));
    }
    if let Some(why) = &outcome.target_red {
        extra.insert("target_fails", text(why));
    }
    extra
}

/// Keeps the report under `merge/reports/`. Gives its path below the root.
pub fn keep(root: &Root, report: &IntegrationReport) -> Result<String, Error> {
    let dir = place(root, "reports");
    root.make_dir(&dir)?;
    let name = format!("{}.json", report.report_id);
    let path = dir.join(&name);
    files::write_whole(&path, format!("{}\n", report.to_json()).as_bytes())
        .map_err(Error::at(&path))?;
    let last = dir.join("last");
    files::write_whole(&last, format!("{}\n", report.report_id).as_bytes())
        .map_err(Error::at(&last))?;
    Ok(format!("merge/reports/{name}"))
}
