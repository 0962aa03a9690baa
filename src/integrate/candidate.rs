//! Which branches are finished, and why one is or is not.

use std::collections::HashMap;

use super::Error;
use super::record::Record;
use crate::event::{Phase, State};
use crate::id;
use crate::swarm::{Journal, Repository, Root};
use crate::workspace::landed::has_landed;
use crate::workspace::{Git, Tree, merge};

/// A branch that is to land.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Its name: a branch without `refs/heads/`, or a revision as it was given.
    pub branch: String,
    /// Its commit.
    pub head: String,
    /// Whose it is, if an agent's.
    pub agent: Option<String>,
    /// Its tasks that are done.
    pub tasks: Vec<String>,
    /// The runs that its commits name.
    pub runs: Vec<String>,
    /// When it was finished, in seconds since 1970.
    pub since: i64,
    /// Why it counts as finished.
    pub why: String,
    /// Files in the agent's tree that are not committed.
    pub uncommitted: usize,
    /// Why it was handed back the last time, if it was: the kind of hindrance.
    pub back: Option<String>,
}

/// A branch that is not to land now, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Its name.
    pub branch: String,
    /// Whose it is.
    pub agent: Option<String>,
    /// Why not.
    pub why: String,
    /// Whether a person has to do something.
    pub human: bool,
}

/// What was looked at.
#[derive(Debug, Default)]
pub struct Found {
    /// What is to land, in no order yet.
    pub ready: Vec<Candidate>,
    /// What is not.
    pub passed: Vec<Passed>,
}

/// Everything that the choice depends on.
pub struct Ground<'a> {
    /// git in the common directory.
    pub git: &'a Git,
    /// The repository.
    pub repository: &'a Repository,
    /// The full ref of the target.
    pub into: &'a str,
    /// What earlier merges wrote down.
    pub records: &'a [Record],
}

/// The finished branches: those that `names` gives (agents, branches, revisions), else those of all
/// agents.
///
/// # Errors
/// [`Error::Unknown`] for a name that nobody bears; nothing was done.
pub fn find(root: &Root, ground: &Ground<'_>, names: &[String]) -> Result<Found, Error> {
    let trees = Tree::all(root)?;
    let state = Journal::read(root)?.state().clone();
    let mut found = Found::default();
    if names.is_empty() {
        for tree in &trees {
            look(ground, &state, Some(tree), None, &mut found)?;
        }
        return Ok(found);
    }
    for name in names {
        let tree = trees.iter().find(|tree| {
            tree.identity.agent.as_str() == name || branch_of(tree).as_deref() == Some(name)
        });
        if tree.is_none() && merge::commit_of(ground.git, name)?.is_none() {
            let agents = trees.iter().map(|tree| tree.identity.agent.as_str());
            let listed =
                ground
                    .git
                    .text(&["for-each-ref", "--format=%(refname:short)", "refs/heads"])?;
            let nearest = id::nearest(name, agents.chain(listed.lines()));
            return Err(Error::Unknown {
                name: name.clone(),
                nearest: nearest.into_iter().map(str::to_owned).collect(),
            });
        }
        look(ground, &state, tree, Some(name), &mut found)?;
    }
    Ok(found)
}

/// The branch that is checked out in an agent's tree, else the one it was given.
fn branch_of(tree: &Tree) -> Option<String> {
    let head = std::fs::read_to_string(tree.git_dir.join("HEAD")).ok()?;
    match head.trim().strip_prefix("ref: refs/heads/") {
        Some(branch) => Some(branch.to_owned()),
        None => tree.identity.branch.clone(),
    }
}

/// Looks at one tree, or one name, and puts it where it belongs.
fn look(
    ground: &Ground<'_>,
    state: &State,
    tree: Option<&Tree>,
    named: Option<&str>,
    found: &mut Found,
) -> Result<(), Error> {
    let git = ground.git;
    let agent = tree.map(|tree| tree.identity.agent.to_string());
    let Some(branch) = tree.map_or(named.map(str::to_owned), branch_of) else {
        return Ok(());
    };
    if found_already(found, &branch) {
        return Ok(());
    }
    let mut pass = |why: String, human: bool| {
        found.passed.push(Passed {
            branch: branch.clone(),
            agent: agent.clone(),
            why,
            human,
        });
    };
    let revision = match tree.filter(|tree| is_clone(ground, tree)) {
        Some(tree) => fetched(git, tree)?,
        None => format!("refs/heads/{branch}"),
    };
    let head = match merge::commit_of(git, &revision)? {
        Some(head) => Some(head),
        None => merge::commit_of(git, &branch)?,
    };
    let Some(head) = head else {
        pass("the branch is gone".to_owned(), false);
        return Ok(());
    };
    let uncommitted = match tree {
        Some(tree) => uncommitted(tree)?,
        None => 0,
    };
    let left = match uncommitted {
        0 => String::new(),
        1 => ", 1 file is not committed".to_owned(),
        n => format!(", {n} files are not committed"),
    };
    if merge::is_ancestor(git, &head, ground.into)? {
        let landed = ground.records.iter().any(|record| {
            record.r#type == "landed" && record.branch == branch && record.commit == head
        });
        let what = if landed { "landed" } else { "nothing new" };
        pass(format!("{what}{left}"), uncommitted > 0);
        return Ok(());
    }
    if has_landed(git, ground.into, &head)? {
        pass(format!("landed by content{left}"), uncommitted > 0);
        return Ok(());
    }
    let back = ground
        .records
        .iter()
        .rfind(|record| record.r#type == "turned-back" && record.branch == branch);
    if let Some(back) = back.filter(|back| back.commit == head && named.is_none())
        && !matches!(&*back.kind, "conflict" | "unrelated" | "refused")
    {
        pass(
            format!(
                "handed back and unchanged since: {}; name it to try again",
                back.why
            ),
            true,
        );
        return Ok(());
    }
    let mut work = Work::of(state, agent.as_deref());
    let landed = ground
        .records
        .iter()
        .filter(|record| record.r#type == "landed");
    let landed: Vec<&String> = landed.flat_map(|record| &record.tasks).collect();
    work.done.retain(|task| !landed.contains(&task));
    if let (Some(why), None) = (work.hindrance(), named) {
        pass(format!("{why}{left}"), work.human.is_some());
        return Ok(());
    }
    let why = match (&*work.done, named) {
        ([], Some(_)) => "named".to_owned(),
        ([], None) => "has commits, and no task is under way".to_owned(),
        ([task], _) => format!("task {task} is done"),
        (tasks, _) => format!("tasks {} are done", tasks.join(", ")),
    };
    let date = git.text(&["show", "-s", "--format=%ct", &head])?;
    found.ready.push(Candidate {
        runs: trailers(git, ground.into, &head, "Run")?,
        tasks: match &*work.done {
            [] => trailers(git, ground.into, &head, "Task")?,
            _ => work.done.clone(),
        },
        back: back.map(|back| back.kind.clone()),
        since: date.parse().unwrap_or(0),
        why: format!("{why}{left}"),
        uncommitted,
        branch,
        head,
        agent,
    });
    Ok(())
}

fn is_clone(ground: &Ground<'_>, tree: &Tree) -> bool {
    !tree.git_dir.starts_with(&ground.repository.common_dir)
}

/// Takes the commits of a clone into the repository, under a ref that is ours. Gives the ref.
fn fetched(git: &Git, tree: &Tree) -> Result<String, Error> {
    let name = format!("refs/spore/clones/{}", tree.identity.agent);
    let path = tree.git_dir.to_string_lossy();
    let both = format!("+HEAD:{name}");
    merge::fetch(&git.unguarded(), &[], &path, &both)?;
    Ok(name)
}

fn found_already(found: &Found, branch: &str) -> bool {
    found.ready.iter().any(|ready| ready.branch == branch)
        || found.passed.iter().any(|passed| passed.branch == branch)
}

fn uncommitted(tree: &Tree) -> Result<usize, Error> {
    if !tree.path.is_dir() {
        return Ok(0);
    }
    let status = tree.git().ask(&["status", "--porcelain"])?;
    Ok(status.map_or(0, |status| status.lines().count()))
}

/// The values of a trailer in the commits that a branch brings, each once.
pub fn trailers(git: &Git, into: &str, head: &str, key: &str) -> Result<Vec<String>, Error> {
    let format = format!("--format=%(trailers:key={key},valueonly)");
    let range = format!("{into}..{head}");
    let text = git.text(&["log", "--reverse", &format, &range, "--"])?;
    let mut values: Vec<String> = Vec::new();
    for value in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !values.iter().any(|known| known == value) {
            values.push(value.to_owned());
        }
    }
    Ok(values)
}

/// What the journal knows about an agent's tasks.
#[derive(Debug, Default)]
struct Work {
    done: Vec<String>,
    claimed: Vec<String>,
    human: Option<(String, String)>,
}

impl Work {
    fn of(state: &State, agent: Option<&str>) -> Work {
        let mut work = Work::default();
        let Some(agent) = agent else { return work };
        let tasks: HashMap<&String, _> = state.tasks.iter().collect();
        for (task, known) in tasks {
            match &known.phase {
                Phase::Done { agent: by, .. } if by == agent => work.done.push(task.clone()),
                Phase::Claimed { agent: by, .. } if by == agent => work.claimed.push(task.clone()),
                Phase::Human { why } if known.failed_by.as_deref() == Some(agent) => {
                    work.human = Some((task.clone(), why.clone().unwrap_or_default()));
                }
                _ => {}
            }
        }
        work.done.sort();
        work.claimed.sort();
        work
    }

    fn hindrance(&self) -> Option<String> {
        if let [task, ..] = &*self.claimed {
            return Some(format!("still at task {task}"));
        }
        let (task, why) = self.human.as_ref()?;
        Some(format!("task {task} waits for a person: {why}"))
    }
}
