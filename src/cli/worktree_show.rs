//! How worktrees are shown: the records and tables of `worktree-spawn`.

use std::io::Write;
use std::time::SystemTime;

use anstyle::{Color, RgbColor, Style};
use anyhow::Context;

use super::args::ColorWhen;
use super::error::{complain, say};
use super::output::shown;
use super::worktree_spawn::Now;
use super::{Out, Result, Status};
use crate::action::json::{Number, Object, Value};
use crate::action::model::{
    InstanceStatus, IsolationLevel, KiroInstance, PeacockTheme, ResourceLimits, WorktreeInfo,
};
use crate::action::time::Timestamp;
use crate::action::{Fill, WirePath};
use crate::swarm::Root;
use crate::swarm::config::Guard;
use crate::theme::Scheme;
use crate::workspace::list::{self, Facts};
use crate::workspace::sync::Outcome;
use crate::workspace::{Error, Tree, environment, guard, seal};

/// Shows how the trees stand, and whether the seal of the main checkout holds.
pub(super) fn list(root: &Root, trees: &[Tree], json: bool, out: &mut Out) -> Result {
    let facts = list::facts(root, trees);
    let mut status = Status::Done;
    if json {
        for (tree, facts) in trees.iter().zip(&facts) {
            writeln!(out, "{}", record(tree, facts.as_ref()))?;
        }
    } else if !trees.is_empty() {
        let head = [
            "AGENT", "COLOUR", "BRANCH", "BASE", "AHEAD", "BEHIND", "DIRTY", "SIZE", "SEEN",
            "LANDED",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(
            trees
                .iter()
                .zip(&facts)
                .map(|(tree, facts)| row(tree, facts.as_ref().ok())),
        );
        write!(out, "{}", table(&rows))?;
    }
    for (tree, facts) in trees.iter().zip(facts) {
        if let Err(error) = facts {
            let agent = tree.identity.agent.as_str();
            let error = anyhow::Error::new(error).context(format!("{agent:?} cannot be looked at"));
            status = status.and(complain("worktree-spawn", &error));
        }
    }
    if root.repository().is_some() {
        say_seal(root)?;
    }
    Ok(status)
}

/// A tree that cannot be looked at has a question mark in each column that is not known.
fn row(tree: &Tree, facts: Option<&Facts>) -> Vec<String> {
    let Some(facts) = facts else {
        let mut row = vec![
            tree.identity.agent.to_string(),
            Scheme::of_slot(tree.identity.slot).label(),
            tree.identity.branch.clone().unwrap_or_default(),
            tree.notes.base.clone(),
        ];
        row.extend(std::iter::repeat_n("?".to_owned(), 6));
        return row;
    };
    let (ahead, behind) = match facts.ahead_behind {
        Some((ahead, behind)) => (ahead.to_string(), behind.to_string()),
        None => ("?".to_owned(), "?".to_owned()),
    };
    let detached = || "(detached)".to_owned();
    vec![
        tree.identity.agent.to_string(),
        Scheme::of_slot(tree.identity.slot).label(),
        facts.branch.clone().unwrap_or_else(detached),
        tree.notes.base.clone(),
        ahead,
        behind,
        match facts.there {
            true => facts.dirty.to_string(),
            false => "gone".to_owned(),
        },
        bytes(facts.size),
        ago(facts.seen),
        match (facts.begun, facts.landed) {
            (false, _) => "-",
            (true, true) => "yes",
            (true, false) => "no",
        }
        .to_owned(),
    ]
}

/// Says which files of the sealed main checkout were edited.
fn say_seal(root: &Root) -> Result<()> {
    let Some(paths) = seal::broken(root)?.filter(|paths| !paths.is_empty()) else {
        return Ok(());
    };
    let mut names: Vec<String> = paths
        .iter()
        .take(5)
        .map(|path| shown(&path.to_string_lossy()))
        .collect();
    if paths.len() > names.len() {
        names.push(format!("{} more", paths.len() - names.len()));
    }
    say(&format!(
        "worktree-spawn: the main checkout was edited since it was sealed: {}\nhint: git diff {} shows it, worktree-spawn --seal-main seals it as it is now\n",
        names.join(", "),
        seal::REFERENCE
    ));
    Ok(())
}

/// One tree's line of `--sync`.
pub(super) fn synced(tree: &Tree, outcome: &Outcome, json: bool, out: &mut Out) -> Result {
    let agent = tree.identity.agent.as_str();
    let (state, paths, why, status) = match outcome {
        Outcome::UpToDate => ("up-to-date", &[][..], None, Status::Done),
        Outcome::Synced { .. } => ("synced", &[][..], None, Status::Done),
        Outcome::Conflict(paths) => ("conflict", &paths[..], None, Status::No),
        Outcome::Dirty(paths) => ("dirty", &paths[..], None, Status::No),
        Outcome::Blocked(why) => ("blocked", &[][..], Some(why), Status::No),
    };
    let (from, to, saved) = match outcome {
        Outcome::Synced { from, to, saved } => (Some(from), Some(to), Some(&saved.reference)),
        _ => (None, None, None),
    };
    if json {
        let record = serde_json::json!({
            "v": 1, "type": "sync", "agent": agent, "state": state, "base": tree.notes.base,
            "from": from, "to": to, "saved": saved, "paths": paths, "why": why,
        });
        writeln!(out, "{record}")?;
    } else {
        let detail = match (saved, why) {
            (Some(saved), _) => saved.clone(),
            (None, Some(why)) => shown(why),
            (None, None) => shown(&paths.join(" ")),
        };
        writeln!(out, "{agent}\t{state}\t{detail}")?;
    }
    Ok(status)
}

/// The record of a new instance.
pub(super) fn instance(root: &Root, tree: &Tree) -> Result<KiroInstance> {
    let identity = &tree.identity;
    let agent = identity.agent.to_string();
    let scheme = Scheme::of_slot(identity.slot);
    let branch = identity.branch.clone().unwrap_or_default();
    let path = tree.path.to_string_lossy().into_owned();
    let repository = root.repository().context("no repository")?;
    let created: Timestamp = identity
        .created_at
        .as_deref()
        .and_then(|time| time.parse().ok())
        .or_else(|| Now.now())
        .context("the clock")?;
    let number = |number: u64| Value::Number(Number::from(number));
    let mut extra = Object::new();
    extra.insert("slot", number(identity.slot.into()));
    extra.insert("epoch", number(identity.epoch));
    extra.insert(
        "base",
        Value::String(identity.base.clone().unwrap_or_default()),
    );
    if let Some(port) = identity.port_base {
        extra.insert("port_base", number(port.into()));
    }
    let environment = tree.git_dir.join("spore/env");
    extra.insert(
        "environment",
        Value::String(environment.to_string_lossy().into_owned()),
    );
    let window = environment::window(root, &agent);
    extra.insert(
        "window",
        Value::String(window.to_string_lossy().into_owned()),
    );
    Ok(KiroInstance {
        communication_endpoint: root.mail().join(&agent).to_string_lossy().into_owned(),
        branch_name: branch.clone(),
        workspace_path: WirePath::new(&path),
        source_repository: repository.home().to_string_lossy().into_owned(),
        resource_allocation: ResourceLimits::default(),
        task_assignments: tree.notes.tasks.clone(),
        isolation_level: IsolationLevel::Workspace,
        peacock_theme: PeacockTheme {
            color_name: scheme.name(),
            primary_color: scheme.main.rgb.to_string(),
            accent_color: scheme.accent().to_string(),
            theme_id: format!("slot-{}", identity.slot),
            extra: Object::new(),
        },
        visual_identifier: scheme.title(&agent),
        status: InstanceStatus::Starting,
        start_time: created,
        last_heartbeat: None,
        worktree_info: Some(WorktreeInfo {
            workspace_path: WirePath::new(&path),
            branch_name: branch,
            worktree_id: tree
                .git_dir
                .file_name()
                .map_or_else(|| agent.clone(), |id| id.to_string_lossy().into_owned()),
            creation_timestamp: created,
            shared_git_dir: WirePath::new(&repository.common_dir.to_string_lossy()),
            is_detached: false,
            extra: Object::new(),
        }),
        process_id: None,
        performance_metrics: Object::new(),
        instance_id: agent,
        extra,
    })
}

/// The record of `--list`; of a tree that cannot be looked at, `why` says the reason.
fn record(tree: &Tree, facts: std::result::Result<&Facts, &Error>) -> serde_json::Value {
    let identity = &tree.identity;
    let facts = match facts {
        Ok(facts) => facts,
        Err(error) => {
            return serde_json::json!({
                "v": 1, "type": "worktree", "agent": identity.agent.as_str(), "slot": identity.slot,
                "colour": Scheme::of_slot(identity.slot).name(), "branch": identity.branch,
                "base": tree.notes.base, "ahead": null, "behind": null, "dirty": null, "size": null,
                "seen_at": null, "landed": null, "alive": null, "locked": tree.locked(),
                "path": tree.path.to_string_lossy(), "why": error.to_string(),
            });
        }
    };
    let seen = facts.seen.map(rfc3339);
    serde_json::json!({
        "v": 1, "type": "worktree", "agent": identity.agent.as_str(), "slot": identity.slot,
        "colour": Scheme::of_slot(identity.slot).name(), "branch": facts.branch,
        "base": tree.notes.base, "ahead": facts.ahead_behind.map(|(ahead, _)| ahead),
        "behind": facts.ahead_behind.map(|(_, behind)| behind), "dirty": facts.dirty,
        "size": facts.size, "seen_at": seen, "landed": facts.landed && facts.begun, "alive": facts.pids,
        "locked": tree.locked(), "path": tree.path.to_string_lossy(),
        "isolation": if tree.is_clone() { "clone" } else { "worktree" },
        "guard": match guard::mode(&tree.git_dir) {
            Guard::Warn => "warn",
            Guard::Deny => "deny",
            Guard::Off => "off",
        },
    })
}

fn rfc3339(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
    Timestamp::from_unix(seconds, 0)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

/// The table for people on standard error.
pub(super) fn say_table(trees: &[Tree], color: ColorWhen) {
    let rows: Vec<Vec<String>> = trees
        .iter()
        .map(|tree| {
            vec![
                tree.identity.agent.to_string(),
                Scheme::of_slot(tree.identity.slot).label(),
                tree.identity.branch.clone().unwrap_or_default(),
                tree.path.display().to_string(),
            ]
        })
        .collect();
    let text = table(&rows);
    if !super::error::stderr_has_color(color) {
        return say(&text);
    }
    for (line, tree) in text.lines().zip(trees) {
        let scheme = Scheme::of_slot(tree.identity.slot);
        let color = |rgb: crate::theme::Rgb| Color::Rgb(RgbColor(rgb.0, rgb.1, rgb.2));
        let block = |rgb| Style::new().bg_color(Some(color(rgb)));
        let blocks = format!(
            "{main}  {main:#}{side}  {side:#}",
            main = block(scheme.main.rgb),
            side = block(scheme.side.rgb)
        );
        drop(std::io::stderr().write_all(format!("{blocks} {line}\n").as_bytes()));
    }
}

/// Columns with two blanks between them.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |n: usize| {
        let cells = rows.iter().filter_map(|row| row.get(n));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            let filled = cell.chars().count();
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(filled) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A length as people read it.
pub(super) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

/// How long ago.
fn ago(time: Option<SystemTime>) -> String {
    let Some(age) = time.and_then(|time| time.elapsed().ok()) else {
        return "?".to_owned();
    };
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}
