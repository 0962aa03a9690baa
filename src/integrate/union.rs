//! The union: branches merged one after the other in memory, each onto the one before.

use super::Error;
use super::candidate::Candidate;
use crate::swarm::config::MergeMode;
use crate::workspace::Git;
use crate::workspace::merge::{self, Author, Conflict, Merge};

/// A branch that went in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Which candidate.
    pub place: usize,
    /// The commit that the target becomes with it.
    pub commit: String,
    /// Its tree.
    pub tree: String,
}

/// Why a branch did not go in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It conflicts with what is there before it.
    Conflict {
        /// What it was to be merged into.
        onto: String,
        /// Where they clash.
        conflict: Conflict,
    },
    /// It has no common ancestor with the target.
    Unrelated,
    /// Its commits one by one do not make what the branch makes as a whole.
    NotLinear(String),
    /// The target has everything that it brings.
    Empty,
    /// It still holds conflict markers that it was given to resolve.
    Markers(Vec<String>),
}

/// What merging in order gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Union {
    /// Where it begins.
    pub base: String,
    /// What went in, in order.
    pub links: Vec<Link>,
    /// What did not.
    pub stopped: Vec<(usize, Stop)>,
}

impl Union {
    /// The commit of the first `length` links; the base for 0.
    pub fn prefix(&self, length: usize) -> &str {
        match length.checked_sub(1) {
            Some(last) => &self.links[last].commit,
            None => &self.base,
        }
    }
}

/// Merges the candidates at `places`, in that order, onto `base`. Each either goes in whole or not
/// at all.
pub fn build(
    git: &Git,
    base: &str,
    candidates: &[Candidate],
    places: &[usize],
    mode: MergeMode,
) -> Result<Union, Error> {
    let mut union = Union {
        base: base.to_owned(),
        ..Union::default()
    };
    for place in places.iter().copied() {
        let candidate = &candidates[place];
        let onto = union.prefix(union.links.len()).to_owned();
        match add(git, &onto, candidate, mode)? {
            Ok((commit, tree)) => union.links.push(Link {
                place,
                commit,
                tree,
            }),
            Err(stop) => union.stopped.push((place, stop)),
        }
    }
    Ok(union)
}

type Added = Result<(String, String), Stop>;

fn add(git: &Git, onto: &str, candidate: &Candidate, mode: MergeMode) -> Result<Added, Error> {
    let tree = match merge::merge(git, onto, &candidate.head)? {
        Merge::Clean(tree) => tree,
        Merge::Unrelated => return Ok(Err(Stop::Unrelated)),
        Merge::Conflict(conflict) => {
            let onto = onto.to_owned();
            return Ok(Err(Stop::Conflict { onto, conflict }));
        }
    };
    if tree == merge::tree_of(git, onto)? {
        return Ok(Err(Stop::Empty));
    }
    let markers = left_markers(git, onto, candidate, &tree)?;
    if !markers.is_empty() {
        return Ok(Err(Stop::Markers(markers)));
    }
    let commit = match mode {
        MergeMode::Merge => {
            let message = message(git, onto, candidate, mode)?;
            merge::commit(git, &tree, &[onto, &candidate.head], &message, None)?
        }
        MergeMode::Squash => {
            let message = message(git, onto, candidate, mode)?;
            let author = Author::of(git, &candidate.head)?;
            merge::commit(git, &tree, &[onto], &message, Some(&author))?
        }
        MergeMode::Rebase => match rebase(git, onto, candidate)? {
            Ok(commit) => commit,
            Err(stop) => return Ok(Err(stop)),
        },
    };
    if merge::tree_of(git, &commit)? != tree {
        let why = "rebased one by one, its commits make another tree than merged".to_owned();
        return Ok(Err(Stop::NotLinear(why)));
    }
    Ok(Ok((commit, tree)))
}

/// The commits of a branch on top of `onto`, one by one; merges among them are left out, and so are
/// those that change nothing there.
fn rebase(git: &Git, onto: &str, candidate: &Candidate) -> Result<Result<String, Stop>, Error> {
    let range = format!("{onto}..{}", candidate.head);
    let listed = git.text(&[
        "rev-list",
        "--reverse",
        "--topo-order",
        "--no-merges",
        &range,
    ])?;
    let mut tip = onto.to_owned();
    for commit in listed.lines() {
        let parent = format!("{commit}^");
        let tip_tree = merge::tree_of(git, &tip)?;
        let merged = match merge::commit_of(git, &parent)? {
            // A commit with the tip's tree and this one's parent: what merging it changes is what
            // this commit changed.
            Some(parent) => {
                let bridge = merge::commit(git, &tip_tree, &[&parent], "bridge\n", None)?;
                merge::merge(git, &bridge, commit)?
            }
            None => merge::merge(git, &tip, commit)?,
        };
        let tree = match merged {
            Merge::Clean(tree) => tree,
            Merge::Unrelated => return Ok(Err(Stop::Unrelated)),
            Merge::Conflict(conflict) => {
                let why = format!(
                    "its commit {} conflicts on its own in {}, though the branch as a whole does not",
                    &commit[..commit.len().min(12)],
                    conflict.files.first().map_or("", |file| &file.path)
                );
                return Ok(Err(Stop::NotLinear(why)));
            }
        };
        if tree == tip_tree {
            continue;
        }
        let author = Author::of(git, commit)?;
        let text = git.text(&["show", "-s", "--format=%B", commit])?;
        let text = with_trailers(git, &text, candidate)?;
        tip = merge::commit(git, &tree, &[&tip], &text, Some(&author))?;
    }
    Ok(Ok(tip))
}

/// The message for the commit that brings a branch in.
fn message(git: &Git, onto: &str, candidate: &Candidate, mode: MergeMode) -> Result<String, Error> {
    let range = format!("{onto}..{}", candidate.head);
    let subjects = git.text(&["log", "--reverse", "--no-merges", "--format=%s", &range])?;
    let subjects: Vec<&str> = subjects.lines().collect();
    let first = subjects.first().copied().unwrap_or_default();
    let text = match (mode, &*subjects) {
        (MergeMode::Squash, [_]) => git.text(&["show", "-s", "--format=%B", &candidate.head])?,
        (MergeMode::Squash, many) => format!("{first}\n\n{}\n", list_of(many)),
        (_, [_] | []) => format!("Merge {}: {first}\n", candidate.branch),
        (_, many) => format!("Merge {}: {first}\n\n{}\n", candidate.branch, list_of(many)),
    };
    with_trailers(git, &text, candidate)
}

fn list_of(subjects: &[&str]) -> String {
    let lines: Vec<String> = subjects
        .iter()
        .map(|subject| format!("- {subject}"))
        .collect();
    lines.join("\n")
}

/// The text with the trailers that name agent, tasks and runs, as far as they are known and not
/// there yet.
fn with_trailers(git: &Git, text: &str, candidate: &Candidate) -> Result<String, Error> {
    let mut wanted: Vec<String> = Vec::new();
    wanted.extend(
        candidate
            .agent
            .iter()
            .map(|agent| format!("Agent: {agent}")),
    );
    wanted.extend(candidate.tasks.iter().map(|task| format!("Task: {task}")));
    wanted.extend(candidate.runs.iter().map(|run| format!("Run: {run}")));
    let mut args = vec![
        "interpret-trailers",
        "--no-divider",
        "--if-exists",
        "addIfDifferent",
    ];
    for trailer in &wanted {
        args.extend(["--trailer", trailer]);
    }
    if wanted.is_empty() {
        return Ok(text.to_owned());
    }
    let text = format!("{}\n", text.trim_end());
    let made = git.feed(&args, text.as_bytes())?;
    Ok(String::from_utf8_lossy(&made).into_owned())
}

/// Where a branch that was given a conflict to resolve still has its markers: `path:line`.
fn left_markers(
    git: &Git,
    onto: &str,
    candidate: &Candidate,
    tree: &str,
) -> Result<Vec<String>, Error> {
    let given = super::candidate::trailers(git, onto, &candidate.head, "Conflict")?;
    let mut found = Vec::new();
    for path in given {
        let blob = format!("{tree}:{path}");
        if let Some(text) = git.ask(&["cat-file", "blob", &blob])? {
            let hunks = merge::hunks(&text);
            found.extend(hunks.iter().map(|hunk| format!("{path}:{}", hunk.line)));
        }
    }
    Ok(found)
}
