//! The report of a merge: the original's IntegrationReport, with what it leaves out after it, and
//! the same for people.

use std::time::SystemTime;

use super::Error;
use super::ledger::Part;
use super::run::{In, Outcome};
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
    let mut report = IntegrationReport {
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
            .filter(|landed| was_conflict(landed.candidate.back.as_deref()))
            .map(|landed| landed.candidate.branch.clone())
            .collect(),
        conflicts_remaining: outcome
            .back
            .iter()
            .filter(|back| was_conflict(Some(back.kind)))
            .map(|back| back.candidate.branch.clone())
            .collect(),
        quality_gate_results: gate_results(
            outcome.gates.iter().map(|run| (&*run.gate, &*run.ended)),
            !outcome.landed.is_empty() || !outcome.offered.is_empty(),
        ),
        integration_time: TimeDelta::from_millis(outcome.ms),
        created_at: now(),
        summary: String::new(),
        extra: extra(outcome),
        successful_integrations: landed,
    };
    report.summary = summary(&report);
    report
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

/// For each gate whether what went in passed it; where nothing went in, whether its last run did.
pub fn gate_results<'a>(
    ended: impl Iterator<Item = (&'a str, &'a str)>,
    gone_in: bool,
) -> Dict<bool> {
    let mut results: Vec<(String, bool)> = Vec::new();
    for (gate, ended) in ended {
        let passed = ended == "0";
        match results.iter_mut().find(|(known, _)| known == gate) {
            Some((_, known)) if gone_in => *known |= passed,
            Some((_, known)) => *known = passed,
            None => results.push((gate.to_owned(), passed)),
        }
    }
    results.into_iter().collect()
}

/// Whether a branch that was handed back for this had a conflict.
pub fn was_conflict(kind: Option<&str>) -> bool {
    matches!(kind, Some("conflict" | "markers" | "unrelated"))
}

/// One sentence each for what landed, what did not, and what a person has to do: from the other
/// members of the report alone, so that it can be derived again.
pub fn summary(report: &IntegrationReport) -> String {
    let into = said(&report.extra, "into");
    let target = into.trim_start_matches("refs/heads/");
    let count = |name: &str| match report.extra.get(name) {
        Some(Value::Array(items)) => items.len(),
        _ => 0,
    };
    let fresh = list(&report.extra, "gate_runs")
        .into_iter()
        .filter(|run| run.get("reused") != Some(&Value::Bool(true)))
        .count();
    let all = counted(report.integration_batch.len(), "branch");
    let landed = report.successful_integrations.len();
    let runs = counted(fresh, "gate run");
    let only_said = report.extra.get("only_said") == Some(&Value::Bool(true));
    let mut text = vec![if report.integration_batch.is_empty() {
        format!("Nothing is left to land in {target}.")
    } else if only_said {
        format!("{} of {all} would land in {target}.", count("would_land"))
    } else if let Some(Value::String(branch)) = report.extra.get("pull_request") {
        let offered = count("offered");
        format!(
            "{offered} of {all} went into {branch} for a pull request to {target} after {runs}."
        )
    } else {
        format!("{landed} of {all} landed in {target} after {runs}.")
    }];
    if let Some(Value::String(why)) = report.extra.get("target_fails") {
        text.push(format!("{target} itself fails: {why}."));
    }
    let back = list(&report.extra, "handed_back");
    if !back.is_empty() {
        let minutes: u64 = back.iter().map(|back| amount(back, "minutes")).sum();
        let verb = if only_said {
            "would be handed back"
        } else {
            "handed back"
        };
        let back = counted(back.len(), "branch");
        text.push(format!("{back} {verb}, about {minutes} minutes of work."));
    }
    let waits = list(&report.extra, "passed_over")
        .into_iter()
        .filter(|passed| passed.get("needs_human") == Some(&Value::Bool(true)))
        .count();
    match waits {
        0 => {}
        1 => text.push("1 waits for a person.".to_owned()),
        n => text.push(format!("{n} wait for a person.")),
    }
    text.join(" ")
}

/// The objects of a list among our additions.
pub fn list<'a>(extra: &'a Object, name: &str) -> Vec<&'a Object> {
    let Some(Value::Array(items)) = extra.get(name) else {
        return Vec::new();
    };
    let objects = items.iter().map(|item| match item {
        Value::Object(object) => Some(object),
        _ => None,
    });
    objects.flatten().collect()
}

/// A text member; empty if it is not there.
pub fn said<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number; 0 if it is not there.
pub fn amount(object: &Object, name: &str) -> u64 {
    match object.get(name) {
        Some(Value::Number(number)) => number.as_u64().unwrap_or(0),
        _ => 0,
    }
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
    if outcome.only_said {
        extra.insert("only_said", Value::Bool(true));
    }
    let gone_in = |landed: &In| {
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
    };
    let landed = outcome.landed.iter().map(gone_in);
    extra.insert("landed", Value::Array(landed.collect()));
    if let Some(pull) = &outcome.pull {
        extra.insert("pull_request", text(&pull.branch));
        extra.insert("pull_files", text(&pull.files));
        let offered = outcome.offered.iter().map(gone_in);
        extra.insert("offered", Value::Array(offered.collect()));
    }
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
    extra.insert("since", text(&outcome.since));
    extra.insert("until", text(&outcome.until));
    extra.insert("cost", costs(&outcome.cost));
    extra
}

/// The parts of the agents as the report has them.
pub fn costs(parts: &[Part]) -> Value {
    let parts = parts.iter().map(|part| {
        let usd = part.usd.and_then(|usd| Number::try_from(usd).ok());
        object(vec![
            ("agent", text(&part.agent)),
            ("runs", number(part.runs)),
            ("busy_ms", number(part.busy_ms)),
            ("idle_ms", number(part.idle_ms)),
            ("usd", usd.map_or(Value::Null, Value::Number)),
        ])
    });
    Value::Array(parts.collect())
}

/// The report for people, in Markdown.
pub fn markdown(report: &IntegrationReport) -> String {
    let extra = &report.extra;
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let short = |commit: &str| commit[..commit.len().min(12)].to_owned();
    let into = said(extra, "into").trim_start_matches("refs/heads/");
    let mut out = format!("# Merge into {into}\n\n{}\n", report.summary);
    let mut table = |title: &str, head: &[&str], rows: Vec<Vec<String>>| {
        if rows.is_empty() {
            return;
        }
        out.push_str(&format!("\n## {title}\n\n| {} |\n", head.join(" | ")));
        out.push_str(&format!("|{}\n", "---|".repeat(head.len())));
        for row in rows {
            let row: Vec<String> = row.iter().map(|text| cell(text)).collect();
            out.push_str(&format!("| {} |\n", row.join(" | ")));
        }
    };
    let tasks = |object: &Object| match object.get("tasks") {
        Some(Value::Array(tasks)) => {
            let tasks: Vec<&str> = tasks.iter().filter_map(Value::as_str).collect();
            tasks.join(", ")
        }
        _ => String::new(),
    };
    for (name, title) in [("landed", "Landed"), ("offered", "For a pull request")] {
        let rows = list(extra, name).into_iter().map(|landed| {
            vec![
                format!("`{}`", said(landed, "branch")),
                said(landed, "agent").to_owned(),
                tasks(landed),
                format!("`{}`", short(said(landed, "landed_as"))),
                said(landed, "why").to_owned(),
            ]
        });
        table(
            title,
            &["branch", "agent", "tasks", "commit", "why"],
            rows.collect(),
        );
    }
    let rows = list(extra, "handed_back").into_iter().map(|back| {
        let mut what = said(back, "why").to_owned();
        for (name, word) in [("conflict_branch", "both sides are in"), ("log", "see")] {
            if !said(back, name).is_empty() {
                what.push_str(&format!("; {word} `{}`", said(back, name)));
            }
        }
        vec![
            format!("`{}`", said(back, "branch")),
            said(back, "agent").to_owned(),
            said(back, "kind").to_owned(),
            what,
            format!("{} min", amount(back, "minutes")),
        ]
    });
    let head = ["branch", "agent", "kind", "why", "about"];
    table("Handed back", &head, rows.collect());
    let rows = list(extra, "passed_over").into_iter().map(|passed| {
        let human = passed.get("needs_human") == Some(&Value::Bool(true));
        vec![
            format!("`{}`", said(passed, "branch")),
            said(passed, "why").to_owned(),
            if human { "yes" } else { "" }.to_owned(),
        ]
    });
    table(
        "Passed over",
        &["branch", "why", "for a person"],
        rows.collect(),
    );
    let rows = list(extra, "gate_runs").into_iter().map(|run| {
        let count = match run.get("branches") {
            Some(Value::Array(branches)) => branches.len(),
            _ => 0,
        };
        let reused = run.get("reused") == Some(&Value::Bool(true));
        vec![
            format!("`{}`", said(run, "gate")),
            format!("`{}`", short(said(run, "tree"))),
            count.to_string(),
            said(run, "ended").to_owned(),
            format!(
                "{} ms{}",
                amount(run, "duration_ms"),
                if reused { ", earlier" } else { "" }
            ),
        ]
    });
    table(
        "Gate runs",
        &["gate", "tree", "branches", "ended", "took"],
        rows.collect(),
    );
    let rows = list(extra, "cost").into_iter().map(|part| {
        let seconds = |name| format!("{} s", amount(part, name) / 1000);
        vec![
            said(part, "agent").to_owned(),
            amount(part, "runs").to_string(),
            seconds("busy_ms"),
            seconds("idle_ms"),
            match part.get("usd") {
                Some(Value::Number(usd)) => format!("$ {:.2}", usd.as_f64()),
                _ => "not known".to_owned(),
            },
        ]
    });
    table(
        "Cost",
        &["agent", "runs", "busy", "idle", "money"],
        rows.collect(),
    );
    out.push_str(&format!(
        "\nMinutes are a rule of thumb: {} for a branch and {} for each hunk of a conflict. \
         `swarm-merge --check {}` proves the rest.\n",
        handback::MINUTES_A_BRANCH,
        handback::MINUTES_A_HUNK,
        report.report_id
    ));
    out
}

/// A report that was kept: the last one, or the one of that id.
pub fn kept(root: &Root, id: Option<&str>) -> Result<IntegrationReport, Error> {
    let dir = place(root, "reports");
    let read = |name: &str| -> Result<Option<String>, Error> {
        let path = dir.join(name);
        let bytes = files::read_if_there(&path, 256 << 20).map_err(Error::at(&path))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let id = match id {
        Some(id) => id.to_owned(),
        None => read("last")?.unwrap_or_default().trim().to_owned(),
    };
    let safe = !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let text = if safe {
        read(&format!("{id}.json"))?
    } else {
        None
    };
    let text = text.ok_or_else(|| Error::Unknown {
        name: if id.is_empty() {
            "report".to_owned()
        } else {
            id.clone()
        },
        nearest: Vec::new(),
    })?;
    IntegrationReport::from_json(text.trim()).map_err(|error| Error::Usage {
        what: format!("the report {id} cannot be read: {error}"),
        hint: "it was changed by hand; its journal lines are still there".to_owned(),
    })
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
