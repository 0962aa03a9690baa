//! What a spawn would make, decided from facts before anything is made (pure).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Error;
use crate::id::AgentName;

/// Who is to get a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The name.
    pub agent: AgentName,
    /// The tasks it was given, for titles and branch names.
    pub tasks: Vec<String>,
}

/// What is there already.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Branches, without `refs/heads/`.
    pub branches: BTreeSet<String>,
    /// Agents with a worktree, or with one under way.
    pub agents: BTreeSet<String>,
    /// Slots that are taken.
    pub slots: BTreeSet<u32>,
    /// What stands under `wt/`, folded to lower case.
    pub there: BTreeSet<String>,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub wanted: Wanted,
    /// Its number, from 1.
    pub slot: u32,
    /// Its branch, without `refs/heads/`.
    pub branch: String,
    /// Its worktree.
    pub path: PathBuf,
}

/// Gives each a slot, a branch and a path; all that is wrong is said at once.
///
/// # Errors
/// [`Error::Taken`] for what is there already, [`Error::Plan`] for names that cannot be.
pub fn decide(
    wanted: &[Wanted],
    pattern: &str,
    trees: &Path,
    facts: &Facts,
) -> Result<Vec<Place>, Error> {
    let (mut wrong, mut taken) = (Vec::new(), Vec::new());
    let mut slots = (1..).filter(|slot| !facts.slots.contains(slot));
    let mut places: Vec<Place> = Vec::new();
    let mut branches: BTreeMap<String, String> = BTreeMap::new();
    let mut agents = BTreeSet::new();
    for wanted in wanted {
        let agent = wanted.agent.as_str();
        if !agents.insert(agent) {
            wrong.push(format!("agent {agent:?} is named twice"));
            continue;
        }
        let slot = slots.next().expect("slots have no end");
        let branch = branch_of(pattern, wanted, slot);
        if let Err(why) = check_branch(&branch) {
            wrong.push(format!("branch {branch:?} cannot be: {why}"));
        }
        if facts.agents.contains(agent) {
            taken.push(format!("agent {agent:?} has a worktree already"));
        } else if facts.there.contains(agent) {
            taken.push(format!("{:?} exists already", trees.join(agent)));
        }
        if let Some(other) = clash(&branch, &facts.branches) {
            taken.push(format!("branch {branch:?} clashes with branch {other:?}"));
        }
        let folded = branch.to_lowercase();
        let ours: BTreeSet<String> = branches.keys().cloned().collect();
        if let Some(other) = clash(&folded, &ours) {
            let other = branches.get(&other).cloned().unwrap_or(other);
            wrong.push(format!("branch {branch:?} clashes with branch {other:?}"));
        }
        branches.insert(folded, branch.clone());
        places.push(Place {
            wanted: wanted.clone(),
            slot,
            branch,
            path: trees.join(agent),
        });
    }
    if !wrong.is_empty() {
        return Err(Error::Plan(wrong));
    }
    if !taken.is_empty() {
        return Err(Error::Taken(taken));
    }
    Ok(places)
}

/// The branch that a pattern gives: `{agent}`, `{slot}`, `{task}` stand for what they say.
fn branch_of(pattern: &str, wanted: &Wanted, slot: u32) -> String {
    let task = wanted.tasks.first().map_or("work", String::as_str);
    let task: String = task
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    pattern
        .replace("{agent}", wanted.agent.as_str())
        .replace("{slot}", &slot.to_string())
        .replace("{task}", task.trim_matches(['.', '-']))
}

/// The branch of `there` that cannot exist beside `branch`: the same, the same in other letters, or
/// one that is the other's directory.
fn clash(branch: &str, there: &BTreeSet<String>) -> Option<String> {
    let folded = branch.to_lowercase();
    there
        .iter()
        .find(|other| {
            let other = other.to_lowercase();
            other == folded
                || other
                    .strip_prefix(&folded)
                    .is_some_and(|rest| rest.starts_with('/'))
                || folded
                    .strip_prefix(&other)
                    .is_some_and(|rest| rest.starts_with('/'))
        })
        .cloned()
}

/// Whether git allows a branch of that name (git-check-ref-format(1), rules 1 to 10), and it is
/// one that people do not take for something else.
pub fn check_branch(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.len() > 200 {
        return Err("it is longer than 200 bytes");
    }
    if name.starts_with('-') {
        return Err("it begins with a dash");
    }
    if name == "HEAD" || name == "@" || name.starts_with("refs/") {
        return Err("git gives that word another meaning");
    }
    if name
        .chars()
        .any(|c| c.is_control() || " ~^:?*[\\".contains(c))
    {
        return Err("blanks, control characters and ~^:?*[\\ may not stand in it");
    }
    if name.contains("..") || name.contains("@{") || name.ends_with('.') {
        return Err("\"..\", \"@{\" and a final dot may not stand in it");
    }
    let part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    if name.split('/').any(part) {
        return Err("a part of it is empty, begins with a dot or ends with \".lock\"");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> Vec<Wanted> {
        names
            .iter()
            .map(|name| Wanted {
                agent: name.parse().unwrap(),
                tasks: vec![],
            })
            .collect()
    }

    #[test]
    fn the_smallest_free_slots_are_given_out() {
        let facts = Facts {
            slots: [1, 3].into(),
            ..Facts::default()
        };
        let places = decide(
            &wanted(&["a", "b"]),
            "swarm/{agent}",
            Path::new("/w"),
            &facts,
        )
        .unwrap();
        assert_eq!(places.iter().map(|p| p.slot).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(places[1].branch, "swarm/b");
        assert_eq!(places[1].path, Path::new("/w/b"));
    }

    #[test]
    fn everything_that_is_taken_is_said_at_once() {
        let facts = Facts {
            branches: ["swarm".to_owned()].into(),
            agents: ["a".to_owned()].into(),
            there: ["b".to_owned()].into(),
            ..Facts::default()
        };
        let error = decide(
            &wanted(&["a", "b"]),
            "swarm/{agent}",
            Path::new("/w"),
            &facts,
        );
        let Err(Error::Taken(taken)) = error else {
            panic!("{error:?}")
        };
        assert_eq!(
            taken,
            [
                "agent \"a\" has a worktree already",
                "branch \"swarm/a\" clashes with branch \"swarm\"",
                "\"/w/b\" exists already",
                "branch \"swarm/b\" clashes with branch \"swarm\"",
            ]
        );
    }

    #[test]
    fn branches_that_differ_only_in_case_or_share_a_directory_clash() {
        let there: BTreeSet<String> = ["Swarm/A".to_owned(), "x/y".to_owned()].into();
        assert!(clash("swarm/a", &there).is_some());
        assert!(clash("x", &there).is_some());
        assert!(clash("x/y/z", &there).is_some());
        assert!(clash("x/yz", &there).is_none());
    }

    #[test]
    fn names_that_git_refuses_or_misreads_are_refused() {
        for bad in [
            "",
            "-x",
            "a..b",
            "a b",
            "x.lock",
            "a/.x",
            "HEAD",
            "@",
            "a/",
            "a//b",
            "refs/heads/x",
            "a@{1}",
            "x.",
        ] {
            assert!(check_branch(bad).is_err(), "{bad:?}");
        }
        for good in ["swarm/kiro-1", "x", "a.b/c_d", "größe"] {
            assert!(check_branch(good).is_ok(), "{good:?}");
        }
    }
}
