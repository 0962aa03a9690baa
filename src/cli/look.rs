//! What [`health`](crate::health) judges from, looked up: processes, trees, mailboxes, holds. It
//! changes nothing. Shared by `swarm-status` and `swarm-ctl`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::event::{Lease, Phase, State};
use crate::health::{
    Agent, Ahead, Clash, Grip, Held, Leak, Limits, Mail, Orphan, Report, Seen, Task, Tree, judge,
    shell,
};
use crate::id::AgentName;
use crate::spool::{Clock, Entry, Spool};
use crate::swarm::conductor::Conductor;
use crate::swarm::hold::{Hold, Holds, Whom};
use crate::swarm::holder::{self, Holder, Life};
use crate::swarm::plan::Plan;
use crate::swarm::{Journal, Root};
use crate::workspace::forecast::{self, Side};
use crate::workspace::{self, glance};

/// How much is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Depth {
    /// Mailboxes.
    pub(super) mail: bool,
    /// What differs in the trees and in the main checkout, and where that will conflict.
    pub(super) trees: bool,
    /// All processes of this machine.
    pub(super) processes: bool,
}

impl Depth {
    /// Everything.
    pub(super) const ALL: Depth = Depth {
        mail: true,
        trees: true,
        processes: true,
    };
}

/// How everything is now.
pub(super) fn report(
    root: &Root,
    journal: &Journal,
    plan: &Plan,
    depth: Depth,
) -> super::Result<Report> {
    let seen = seen(root, journal, plan, depth)?;
    Ok(judge(journal.state(), &seen, &Limits::default()))
}

/// What there is to see beside the journal.
pub(super) fn seen(
    root: &Root,
    journal: &Journal,
    plan: &Plan,
    depth: Depth,
) -> super::Result<Seen> {
    let state = journal.state();
    let holds = Holds::read(root)?;
    let mut seen = Seen {
        now_ms: jiff::Timestamp::now().as_millisecond(),
        tasks: plan
            .tasks
            .iter()
            .map(|task| Task {
                id: task.id.clone(),
                agent: task.agent.clone(),
                after: task.after.clone(),
                needs: task.needs.clone(),
                only: task.only.clone(),
                held: holds.on_task(&task.id).map(held),
            })
            .collect(),
        grips: grips(state),
        live_runs: state
            .runs
            .iter()
            .filter(|(_, run)| run.ended.is_none() && !is_dead(&run.holder))
            .map(|(name, _)| name.clone())
            .collect(),
        held: holds.all().map(held),
        conducted: Conductor::look(root).is_some(),
        torn: journal.torn(),
        ..Seen::default()
    };
    let mut trees = workspace::Tree::all(root)?;
    // The worktrees of a repository that has more than one swarm belong to where they stand.
    let here = root.worktrees();
    trees.retain(|tree| tree.path.starts_with(&here));
    seen.agents = agents(plan, state, &trees, &holds);
    if depth.mail {
        mail(root, &mut seen);
    }
    if depth.trees {
        let glances = glance_at(&trees, &mut seen);
        ahead(root, &trees, glances, &mut seen);
        leaks(root, plan, state, &trees, &mut seen);
    }
    if depth.processes {
        seen.orphans = orphans(root, state, &seen);
    }
    Ok(seen)
}

fn held(hold: &Hold) -> Held {
    Held {
        what: hold.to_string(),
        since: hold.at.clone(),
        lift: match hold.whom() {
            Whom::All => "resume swarm".to_owned(),
            Whom::Agent(agent) => format!("resume instance {agent}"),
            Whom::Task(task) => format!("resume task {task}"),
        },
        freeze: hold.freeze,
        // So agent-run says why it parks an agent.
        limit: hold.until.is_some()
            && hold
                .why
                .as_ref()
                .is_some_and(|why| why.starts_with("limited")),
    }
}

/// How firmly each claimed task is held.
fn grips(state: &State) -> std::collections::HashMap<String, Grip> {
    let claimed = state
        .tasks
        .iter()
        .filter_map(|(key, known)| match &known.phase {
            Phase::Claimed { lease, .. } => Some((key.clone(), grip(lease))),
            _ => None,
        });
    claimed.collect()
}

fn grip(lease: &Lease) -> Grip {
    if lease.holder.as_deref().is_some_and(is_dead) || lease.boot != holder::boot() {
        Grip::Dead
    } else if holder::since_boot_ms() >= lease.until_boot_ms {
        Grip::Expired
    } else {
        Grip::Firm
    }
}

fn is_dead(holder: &str) -> bool {
    let holder = holder.parse::<Holder>();
    holder.is_ok_and(|holder| holder.life() == Life::Dead)
}

/// Everybody who is in the plan, has a tree, has joined, or has a task in hand.
fn agents(plan: &Plan, state: &State, trees: &[workspace::Tree], holds: &Holds) -> Vec<Agent> {
    let planned = plan.agents.iter().map(|agent| agent.name.as_str());
    let joined = state.agents.iter().filter(|(_, known)| known.present);
    let at_work = state.tasks.values().filter_map(|known| match &known.phase {
        Phase::Claimed { agent, .. } => Some(agent.as_str()),
        _ => None,
    });
    let housed = trees.iter().map(|tree| tree.identity.agent.as_str());
    let gone = |name: &&str| {
        let left = state.agents.get(*name).is_some_and(|known| !known.present);
        left && !trees.iter().any(|t| t.identity.agent.as_str() == *name)
    };
    let names: BTreeSet<&str> = planned
        .filter(|name| !gone(name))
        .chain(joined.map(|(name, _)| name.as_str()))
        .chain(at_work)
        .chain(housed)
        .collect();
    names
        .into_iter()
        .map(|name| {
            let tree = trees.iter().find(|t| t.identity.agent.as_str() == name);
            let planned = plan.agents.iter().find(|agent| agent.name == name);
            Agent {
                name: name.to_owned(),
                slot: tree.map(|tree| tree.identity.slot),
                capabilities: planned.and_then(|agent| agent.capabilities.clone()),
                tree: tree.map(|tree| Tree {
                    path: tree.path.display().to_string(),
                    branch: tree.identity.branch.clone(),
                    ..Tree::default()
                }),
                mail: None,
                held: holds.on_agent(name).map(held),
            }
        })
        .collect()
}

fn mail(root: &Root, seen: &mut Seen) {
    let Ok(spool) = Spool::open(&root.mail()) else {
        return;
    };
    let now = Clock::Kernel.now().seconds();
    let mut look = |name: &AgentName| {
        let found = spool.mailbox(name).and_then(|mailbox| {
            let waiting = mailbox.list()?.into_iter().filter(Entry::waits);
            let mut mail = Mail::default();
            for entry in waiting {
                mail.unread += 1;
                let age = now.saturating_sub(entry.name.id.seconds());
                let age = i64::try_from(age * 1000).unwrap_or(i64::MAX);
                mail.oldest_ms = mail.oldest_ms.max(Some(age));
            }
            mail.dead = mailbox.dead()?.len() as u64;
            Ok(mail)
        });
        match found {
            Ok(mail) => Some(mail),
            Err(error) => {
                seen.unseen.push(format!("mailbox {name}: {error}"));
                None
            }
        }
    };
    let names = spool.names().unwrap_or_default();
    let mut found: BTreeMap<String, Mail> = names
        .iter()
        .filter_map(|name| Some((name.to_string(), look(name)?)))
        .collect();
    for agent in &mut seen.agents {
        agent.mail = found.remove(&agent.name);
    }
    seen.others = found.into_iter().collect();
}

fn glance_at(trees: &[workspace::Tree], seen: &mut Seen) -> Vec<Option<glance::Glance>> {
    let mut glances = Vec::new();
    for (tree, glance) in trees.iter().zip(glance::glance(trees)) {
        glances.push(glance.as_ref().ok().cloned());
        let name = tree.identity.agent.as_str();
        let agent = seen.agents.iter_mut().find(|agent| agent.name == name);
        let Some(known) = agent.and_then(|agent| agent.tree.as_mut()) else {
            continue;
        };
        match glance {
            Ok(glance) => {
                known.branch = glance.branch;
                known.ahead = glance.ahead;
                known.behind = glance.behind;
                known.files = glance.files;
                known.dirty = Some(glance.dirty);
            }
            Err(error) => seen.unseen.push(format!("the tree of {name}: {error}")),
        }
    }
    glances
}

/// Who will conflict with whom, from what the trees were seen to hold.
fn ahead(
    root: &Root,
    trees: &[workspace::Tree],
    glances: Vec<Option<glance::Glance>>,
    seen: &mut Seen,
) {
    /// How long it may take; who looks often wants an answer now.
    const AT_MOST: Duration = Duration::from_secs(1);
    let Some(repository) = root.repository() else {
        return;
    };
    let until = Instant::now() + AT_MOST;
    let commits = glance::Commits::of(repository);
    let mut sides = Vec::new();
    let mut bases: Vec<&str> = trees.iter().map(|tree| &*tree.notes.base).collect();
    bases.sort_unstable();
    bases.dedup();
    // Where all began is where all will go; with more than one base, they are only compared.
    if let [base] = *bases {
        let name = base.trim_start_matches("refs/heads/");
        let commit = commits.at(&format!("refs/heads/{name}"));
        sides.extend(commit.map(|commit| Side {
            name: name.to_owned(),
            commit,
            tree: None,
            changed: None,
        }));
    }
    let targets = sides.len();
    let mut unseen = Vec::new();
    for (tree, glance) in trees.iter().zip(glances) {
        let name = tree.identity.agent.to_string();
        match glance.and_then(|glance| glance.at) {
            // The commits of a clone may not be here.
            Some((commit, changed)) if commits.at(&commit).is_some() => {
                sides.push(Side {
                    name,
                    commit,
                    tree: Some(tree.clone()),
                    changed: Some(changed),
                });
            }
            _ => unseen.push(name),
        }
    }
    let mut why = Vec::new();
    if !unseen.is_empty() {
        why.push(format!(
            "the work of {} is not to be read from here",
            unseen.join(", ")
        ));
    }
    match forecast::glimpse(repository, &sides, until) {
        Err(error) => why.push(error.to_string()),
        Ok(found) => {
            let pairs = found.pairs.into_iter();
            seen.ahead = pairs
                .map(|pair| Ahead {
                    a: sides[pair.sides.0].name.clone(),
                    b: sides[pair.sides.1].name.clone(),
                    with_target: pair.sides.0 < targets,
                    files: pair
                        .files
                        .into_iter()
                        .map(|file| Clash {
                            path: file.path,
                            kind: file.kind,
                            lines: file.lines,
                        })
                        .collect(),
                })
                .collect();
            match found.unsure.len() {
                0 => {}
                1 => why.push("of one pair only git can tell".to_owned()),
                n => why.push(format!("{n} pairs would take git, or longer")),
            }
        }
    }
    seen.ahead_unseen = (!why.is_empty()).then(|| why.join("; "));
}

/// What changed in the main checkout since the first agent got a tree of its own: a task's agent
/// wrote there by its absolute path, or a person did.
fn leaks(root: &Root, plan: &Plan, state: &State, trees: &[workspace::Tree], seen: &mut Seen) {
    let Some(repository) = root.repository() else {
        return;
    };
    let main = match repository.common_dir.file_name() {
        Some(name) if name == ".git" => repository.home(),
        _ => return,
    };
    let born = trees.iter().filter_map(|tree| {
        let time = tree.identity.created_at.as_deref()?.parse().ok()?;
        Some(jiff::Timestamp::as_millisecond(time))
    });
    let Some(born) = born.min() else {
        return;
    };
    let changed = match glance::changed(&main) {
        Ok(changed) => changed,
        Err(error) => {
            let what = format!("the main checkout {}: {error}", main.display());
            return seen.unseen.push(what);
        }
    };
    for file in changed {
        if changed_at(&main, &file).is_some_and(|time| time < born) {
            continue;
        }
        let name = file.display().to_string();
        let by = who_touches(plan, state, &name);
        let tree = by.as_ref().and_then(|(agent, _)| {
            let name = agent.as_str();
            trees
                .iter()
                .find(|tree| tree.identity.agent.as_str() == name)
        });
        let (there, what) = (shell(&main.display().to_string()), shell(&name));
        let diff = format!("git -C {there} diff HEAD -- {what}");
        let mend = match tree {
            Some(tree) => format!(
                "{diff} | git -C {} apply --3way && git -C {there} checkout HEAD -- {what}",
                shell(&tree.path.display().to_string())
            ),
            None => diff,
        };
        seen.leaks.push(Leak {
            file: name,
            by,
            mend,
        });
    }
}

/// When a file was last written, in milliseconds since 1970; of one that is gone, when its
/// directory was.
fn changed_at(top: &Path, file: &Path) -> Option<i64> {
    let path = top.join(file);
    let meta = fs::symlink_metadata(&path).or_else(|error| match path.parent() {
        Some(parent) => fs::metadata(parent),
        None => Err(error),
    });
    let time: jiff::Timestamp = meta.ok()?.modified().ok()?.try_into().ok()?;
    Some(time.as_millisecond())
}

/// Who has a task in hand that touches the file.
fn who_touches(plan: &Plan, state: &State, file: &str) -> Option<(String, String)> {
    plan.tasks.iter().find_map(|task| {
        let touches = task
            .touches
            .iter()
            .any(|touched| crate::swarm::lease::overlap(touched, file));
        match &state.tasks.get(&task.id)?.phase {
            Phase::Claimed { agent, .. } | Phase::Done { agent, .. } if touches => {
                Some((agent.clone(), task.id.clone()))
            }
            _ => None,
        }
    })
}

/// Processes that bear the mark of a run of this swarm that is over (Linux; elsewhere none is
/// known).
fn orphans(root: &Root, state: &State, seen: &Seen) -> Vec<Orphan> {
    let mut found = Vec::new();
    let me = std::process::id();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != me) else {
            continue;
        };
        let Ok(environ) = fs::read(entry.path().join("environ")) else {
            continue;
        };
        let variable = |name: &str| {
            environ.split(|byte| *byte == 0).find_map(|variable| {
                let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
                Some(String::from_utf8_lossy(value).into_owned())
            })
        };
        let Some(run) = variable("SPORE_RUN") else {
            continue;
        };
        let here = variable("SPORE_ROOT").is_some_and(|path| Path::new(&path) == root.path());
        let known = state.runs.get(&run);
        if !here || known.is_none() || seen.live_runs.contains(&run) {
            continue;
        }
        let command = fs::read(entry.path().join("comm")).unwrap_or_default();
        let command = std::ffi::OsStr::from_bytes(command.trim_ascii_end());
        found.push(Orphan {
            pid,
            command: command.display().to_string(),
            agent: known.map(|run| run.agent.clone()).unwrap_or_default(),
            run: Some(run),
        });
    }
    found.sort_by_key(|orphan| orphan.pid);
    found
}
