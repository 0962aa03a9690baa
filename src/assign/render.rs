//! A plan as text: a table for people, columns for programs, diagrams for documents.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::build::{Alternative, summary};
use super::plan::{Plan, PlannedTask, human};

/// A text as wide as people's terminals bear, cut with an ellipsis.
fn cut(text: &str, width: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut shown: String = clean.clone().take(width).collect();
    if clean.count() > width {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// The readable table: one line a task in the order of starts, then what to know about the whole.
/// `*` marks the longest chain.
pub fn table(plan: &Plan) -> String {
    if plan.tasks.is_empty() {
        let (done, notes): (Vec<&String>, Vec<&String>) =
            plan.warnings.iter().partition(|w| w.starts_with("all "));
        let headline = done
            .first()
            .map_or("nothing can be done now", |w| w.as_str());
        let notes = notes.iter().map(|warning| format!("note: {warning}\n"));
        return format!("{headline}\n{}", notes.collect::<String>());
    }
    let mut text = format!("{}\n", summary(plan));
    let id = width(plan, 4, |t| t.id.chars().count());
    let agent = width(plan, 5, |t| t.agent.chars().count());
    let _ = writeln!(
        text,
        "\n    {:>9}  {:>9}  {:agent$}  {:id$}  {:>8}  title",
        "start", "finish", "agent", "task", "slack"
    );
    for task in &plan.tasks {
        let _ = writeln!(
            text,
            "  {} {:>9}  {:>9}  {:agent$}  {:id$}  {:>8}  {}",
            if task.critical { '*' } else { ' ' },
            human(task.start_ms),
            human(task.finish_ms),
            task.agent,
            task.id,
            human(task.slack_ms),
            cut(&task.title, 60),
        );
    }
    let _ = writeln!(text, "\nheld back by: {}", plan.bound_by);
    let _ = writeln!(
        text,
        "longest chain (*): {}",
        plan.critical_path.join(" > ")
    );
    let shared: Vec<&str> = plan
        .resources
        .iter()
        .filter(|r| r.tasks.len() > 1)
        .map(|r| r.name.as_str())
        .collect();
    if !shared.is_empty() {
        let _ = writeln!(
            text,
            "never two at a time: {}",
            cut(&shared.join(", "), 200)
        );
    }
    let mut sources: BTreeMap<&str, usize> = BTreeMap::new();
    for task in &plan.tasks {
        *sources.entry(&task.estimate).or_default() += 1;
    }
    let sources: Vec<String> = sources
        .iter()
        .map(|(from, count)| format!("{count} {from}"))
        .collect();
    let _ = writeln!(text, "estimates: {}", sources.join(", "));
    let mut edges: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for edge in &plan.edges {
        *edges.entry((&edge.strength, &edge.why)).or_default() += 1;
    }
    if !edges.is_empty() {
        let edges: Vec<String> = edges
            .iter()
            .map(|((strength, why), count)| format!("{count} {why} ({strength})"))
            .collect();
        let _ = writeln!(text, "edges: {}", edges.join(", "));
    }
    for warning in &plan.warnings {
        let _ = writeln!(text, "note: {warning}");
    }
    text
}

fn width(plan: &Plan, least: usize, of: impl Fn(&PlannedTask) -> usize) -> usize {
    plan.tasks.iter().map(of).max().unwrap_or(0).max(least)
}

/// One line a task, tabs between the columns: task, agent, start, finish, slack (milliseconds),
/// what it waits for, what it holds, title.
pub fn tsv(plan: &Plan) -> String {
    let mut text =
        String::from("task\tagent\tstart_ms\tfinish_ms\tslack_ms\tafter\tholds\ttitle\n");
    for task in &plan.tasks {
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            task.id,
            task.agent,
            task.start_ms,
            task.finish_ms,
            task.slack_ms,
            task.after.join(","),
            task.holds.join(",").replace('\t', " "),
            cut(&task.title, usize::MAX).replace('\t', " "),
        );
    }
    text
}

/// A Mermaid flow chart, one box an agent; dotted lines join tasks that may not run together.
pub fn mermaid(plan: &Plan) -> String {
    let mut text = String::from("flowchart LR\n");
    let number: BTreeMap<&str, usize> = plan
        .tasks
        .iter()
        .enumerate()
        .map(|(n, t)| (t.id.as_str(), n))
        .collect();
    for (place, agent) in plan.agents.iter().enumerate() {
        let _ = writeln!(text, "  subgraph a{place}[\"{}\"]", quoted(&agent.name));
        for task in plan.of(&agent.name) {
            let _ = writeln!(
                text,
                "    t{}[\"{} {}\"]",
                number[task.id.as_str()],
                quoted(&task.id),
                quoted(&cut(&task.title, 50)),
            );
        }
        text.push_str("  end\n");
    }
    for task in &plan.tasks {
        for before in &task.after {
            if let Some(from) = number.get(before.as_str()) {
                let _ = writeln!(text, "  t{from} --> t{}", number[task.id.as_str()]);
            }
        }
    }
    for resource in plan.resources.iter().filter(|r| r.capacity == 1) {
        for pair in resource.tasks.windows(2) {
            let [one, other] = [&pair[0], &pair[1]].map(|id| number.get(id.as_str()));
            if let (Some(one), Some(other)) = (one, other) {
                let _ = writeln!(
                    text,
                    "  t{one} -. \"{}\" .- t{other}",
                    quoted(&resource.name)
                );
            }
        }
    }
    for task in plan.tasks.iter().filter(|t| t.critical) {
        let _ = writeln!(
            text,
            "  style t{} stroke-width:3px",
            number[task.id.as_str()]
        );
    }
    text
}

fn quoted(text: &str) -> String {
    text.replace('&', "#amp;")
        .replace('"', "#quot;")
        .replace('<', "#lt;")
        .replace('>', "#gt;")
}

/// A graph for Graphviz.
pub fn dot(plan: &Plan) -> String {
    let name = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box];\n");
    for (place, agent) in plan.agents.iter().enumerate() {
        let _ = writeln!(
            text,
            "  subgraph cluster_{place} {{\n    label={};",
            name(&agent.name)
        );
        for task in plan.of(&agent.name) {
            let bold = if task.critical { ", style=bold" } else { "" };
            let label = format!("{} {}", task.id, cut(&task.title, 50));
            let _ = writeln!(
                text,
                "    {} [label={}{bold}];",
                name(&task.id),
                name(&label)
            );
        }
        text.push_str("  }\n");
    }
    for task in &plan.tasks {
        for before in &task.after {
            let _ = writeln!(text, "  {} -> {};", name(before), name(&task.id));
        }
    }
    for resource in plan.resources.iter().filter(|r| r.capacity == 1) {
        for pair in resource.tasks.windows(2) {
            let _ = writeln!(
                text,
                "  {} -> {} [dir=none, style=dotted, constraint=false, label={}];",
                name(&pair[0]),
                name(&pair[1]),
                name(&resource.name)
            );
        }
    }
    text.push_str("}\n");
    text
}

/// A job matrix for CI (`strategy.matrix` of GitHub Actions): one job for each agent that has work.
pub fn matrix(plan: &Plan) -> String {
    let include: Vec<Value> = plan
        .agents
        .iter()
        .filter_map(|agent| {
            let tasks: Vec<&str> = plan.of(&agent.name).map(|t| t.id.as_str()).collect();
            let minutes = plan.of(&agent.name).map(|t| t.finish_ms).max().unwrap_or(0).div_ceil(60_000);
            (!tasks.is_empty()).then(|| {
                json!({"agent": agent.name, "tasks": tasks.join(" "), "count": tasks.len(), "minutes": minutes})
            })
        })
        .collect();
    json!({ "include": include }).to_string()
}

/// All that there is to say about one task of a plan.
pub fn why(plan: &Plan, task: &PlannedTask, alternatives: &[Alternative]) -> String {
    let mut text = format!("{} {}\n", task.id, task.title);
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:12} {value}");
    };
    row("agent", task.agent.clone());
    row(
        "start",
        format!("{}: {}", human(task.start_ms), task.reason),
    );
    row(
        "finish",
        format!(
            "{}, {} of slack{}",
            human(task.finish_ms),
            human(task.slack_ms),
            if task.critical {
                ", on the longest chain"
            } else {
                ""
            }
        ),
    );
    row(
        "estimate",
        format!("{} ({})", human(task.duration_ms), task.estimate),
    );
    if !task.needs.is_empty() {
        row("needs", task.needs.join(", "));
    }
    if !task.only.is_empty() {
        row("only", task.only.join(", "));
    }
    for before in &task.after {
        let edge = plan
            .edges
            .iter()
            .find(|e| e.from == *before && e.to == task.id);
        let evidence = edge.map_or(String::new(), |e| {
            format!(" ({}, {}, {})", e.why, e.strength, e.source)
        });
        row("after", format!("{before}{evidence}"));
    }
    for resource in plan
        .resources
        .iter()
        .filter(|r| task.holds.contains(&r.name))
    {
        let others: Vec<&str> = resource
            .tasks
            .iter()
            .filter(|t| **t != task.id)
            .map(String::as_str)
            .collect();
        row(
            "holds",
            format!("{}, as do {}", resource.name, others.join(", ")),
        );
    }
    for other in alternatives {
        let said = match (other.makespan_ms, &other.refused) {
            (Some(ms), _) if ms > plan.makespan_ms => {
                format!("the whole would take {} more", human(ms - plan.makespan_ms))
            }
            (Some(_), _) => "the whole would take no longer".to_owned(),
            (None, Some(refused)) => refused.clone(),
            (None, None) => String::new(),
        };
        row(&format!("on {}", other.agent), said);
    }
    row("source", task.source.clone());
    text
}
