//! The plan in force, as far as giving out its tasks needs it.
//!
//! `plan.json` is written by `swarm-assign plan`; what is not named here is passed over. The fields
//! that are read are those that stay the same when a plan grows: for each task what it waits for,
//! what it holds and needs, whose it is; and what keeps tasks apart.

use std::collections::HashMap;

use serde::Deserialize;

use super::journal::{self, Journal};
use super::{Error, Root, files};
use crate::event::{Event, What};

/// How long `plan.json` may be, in bytes.
const LIMIT: u64 = 1024 * 1024 * 1024;

/// The tasks of the plan in force.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Plan {
    /// Its id.
    pub plan_id: String,
    /// The tasks that were not done when it was made, in the order of their starts.
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// The agents that it was made for.
    #[serde(default)]
    pub agents: Vec<Agent>,
    /// What keeps tasks apart.
    #[serde(default)]
    pub resources: Vec<Resource>,
}

/// One task of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Task {
    /// Its key.
    pub id: String,
    /// Its one line.
    pub title: String,
    /// Whose it is by the plan.
    pub agent: String,
    /// How long it takes.
    pub duration_ms: u64,
    /// What must be done first. A key that the plan does not have was done before it was made.
    pub after: Vec<String>,
    /// The files it works on.
    pub touches: Vec<String>,
    /// What its agent must be able to do.
    pub needs: Vec<String>,
    /// The agents it is confined to; empty means any.
    pub only: Vec<String>,
    /// The file and line that it comes from.
    pub source: String,
}

/// One agent of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// What it can do; none if nothing is known, and then it may be given anything.
    pub capabilities: Option<Vec<String>>,
    /// How many tasks the plan gives it at a time.
    pub slots: u32,
}

/// Something that only so many tasks may hold at a time.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Resource {
    /// A file, a pool, a lock.
    pub name: String,
    /// How many may hold it.
    pub capacity: u64,
    /// Those of its users that hold all of it at once.
    pub whole: Vec<String>,
    /// Its users.
    pub tasks: Vec<String>,
}

impl Plan {
    /// The plan in force; none if there is none yet.
    pub fn read(root: &Root) -> Result<Option<Plan>, Error> {
        let path = root.plan();
        let bytes = files::read_if_there(&path, LIMIT).map_err(Error::at(&path))?;
        let read = bytes
            .map(|bytes| serde_json::from_slice(&bytes))
            .transpose();
        read.map_err(|error| Error::Broken {
            path,
            why: format!("is no plan: {error}"),
        })
    }

    /// Puts a plan in force: the text (one JSON object with a `plan_id`) into `plan.json`, then the
    /// event, unless it is in force already.
    pub fn adopt(root: &Root, text: &str, correlation_id: &str) -> Result<Plan, Error> {
        let plan = Plan::of(root, text)?;
        plan.put_in_force(root, text, correlation_id, None)?;
        Ok(plan)
    }

    /// The same with a plan that was made anew from the one called `replaced`; false, and nothing is
    /// done, if another one is in force by now.
    pub fn replace(
        root: &Root,
        text: &str,
        correlation_id: &str,
        replaced: &str,
    ) -> Result<bool, Error> {
        Plan::of(root, text)?.put_in_force(root, text, correlation_id, Some(replaced))
    }

    fn of(root: &Root, text: &str) -> Result<Plan, Error> {
        serde_json::from_str(text).map_err(|error| Error::Broken {
            path: root.plan(),
            why: format!("is no plan: {error}"),
        })
    }

    fn put_in_force(
        &self,
        root: &Root,
        text: &str,
        correlation_id: &str,
        replaced: Option<&str>,
    ) -> Result<bool, Error> {
        let path = root.plan();
        let mut journal = Journal::open(root)?;
        let (_, written) = journal.change(|state| {
            let now = match replaced.map(|_| Plan::read(root)).transpose() {
                Ok(now) => now.flatten().map(|plan| plan.plan_id),
                Err(error) => return (vec![], Err(error)),
            };
            if now.as_deref() != replaced {
                return (vec![], Ok(false));
            }
            let (in_force, epoch) = match &state.plan {
                Some((id, epoch)) => (*id == self.plan_id, *epoch),
                None => (false, 0),
            };
            // The file before the event, both under the lock. If we are killed in between, the file
            // counts.
            let written = files::write_whole(&path, format!("{}\n", text.trim_end()).as_bytes());
            let event = Event {
                at: journal::now(),
                correlation_id: correlation_id.to_owned(),
                what: What::PlanAdopted {
                    plan_id: self.plan_id.clone(),
                    epoch: epoch + 1,
                    replaces: replaced.map(str::to_owned),
                },
            };
            let tell = written.is_ok() && !in_force;
            let written = written.map(|()| true).map_err(Error::at(&path));
            (if tell { vec![event] } else { vec![] }, written)
        })?;
        written
    }

    /// Where each task stands in [`Plan::tasks`].
    pub fn places(&self) -> HashMap<&str, usize> {
        let keys = self.tasks.iter().map(|task| task.id.as_str());
        keys.zip(0..).collect()
    }

    /// For each task, how long the longest chain of tasks from its beginning to the end of all is:
    /// what is longest decides when everything is finished, and so goes first.
    pub fn tails(&self) -> Vec<u64> {
        let places = self.places();
        let before = |task: usize| {
            let places = &places;
            self.tasks[task]
                .after
                .iter()
                .filter_map(move |key| places.get(key.as_str()).copied())
        };
        let count = self.tasks.len();
        let mut waiting_for_me = vec![0_usize; count];
        (0..count)
            .flat_map(before)
            .for_each(|task| waiting_for_me[task] += 1);
        let mut tails: Vec<u64> = self.tasks.iter().map(|task| task.duration_ms).collect();
        let mut ready: Vec<usize> = (0..count)
            .filter(|task| waiting_for_me[*task] == 0)
            .collect();
        while let Some(task) = ready.pop() {
            for earlier in before(task) {
                let longer = self.tasks[earlier].duration_ms.saturating_add(tails[task]);
                tails[earlier] = tails[earlier].max(longer);
                waiting_for_me[earlier] -= 1;
                if waiting_for_me[earlier] == 0 {
                    ready.push(earlier);
                }
            }
        }
        tails
    }
}

/// The plan among the lines of a stream, as `replan` prints it after what it decided: the last line
/// that has tasks. None if the text is one plan on several lines, or no plan.
pub fn line_of(text: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct Sort {
        tasks: Option<serde::de::IgnoredAny>,
        plan_id: Option<serde::de::IgnoredAny>,
    }
    let is_plan = |line: &&str| {
        serde_json::from_str::<Sort>(line).is_ok_and(|s| s.tasks.is_some() && s.plan_id.is_some())
    };
    text.trim_end()
        .contains('\n')
        .then(|| text.lines().rev().find(is_plan))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::root::Options;

    #[test]
    fn tails_are_the_longest_way_to_the_end() {
        let text = r#"{"plan_id":"p","tasks":[
            {"id":"a","duration_ms":1},{"id":"b","duration_ms":5,"after":["a","long ago"]},
            {"id":"c","duration_ms":2,"after":["a"]},{"id":"d","duration_ms":3,"after":["b","c"]},
            {"id":"e","duration_ms":9},{"id":"x","duration_ms":1,"after":["y"]},
            {"id":"y","duration_ms":1,"after":["x"]}]}"#;
        let plan: Plan = serde_json::from_str(text).unwrap();
        assert_eq!(plan.tails(), [9, 8, 5, 3, 9, 1, 1]);
    }

    fn swarm() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::find(&Options {
            start: dir.path().to_owned(),
            root: Some("app.swarm".into()),
        });
        (dir, root.unwrap())
    }

    #[test]
    fn a_plan_is_in_force_once_and_the_next_one_has_a_newer_number() {
        let (_dir, root) = swarm();
        assert_eq!(Plan::read(&root).unwrap(), None);
        for text in [
            r#"{"plan_id":"p"}"#,
            r#"{"plan_id":"p"}"#,
            r#"{"plan_id":"q"}"#,
        ] {
            Plan::adopt(&root, text, "c").unwrap();
        }
        assert_eq!(Plan::read(&root).unwrap().unwrap().plan_id, "q");
        let journal = Journal::read(&root).unwrap();
        assert_eq!(journal.state().plan, Some(("q".to_owned(), 2)));
        assert!(Plan::adopt(&root, "[]", "c").is_err());
    }

    #[test]
    fn a_plan_made_anew_comes_into_force_only_in_the_place_of_its_own() {
        let (_dir, root) = swarm();
        Plan::adopt(&root, r#"{"plan_id":"p"}"#, "c").unwrap();
        assert!(Plan::replace(&root, r#"{"plan_id":"q"}"#, "c", "p").unwrap());
        assert!(!Plan::replace(&root, r#"{"plan_id":"r"}"#, "c", "p").unwrap());
        assert_eq!(Plan::read(&root).unwrap().unwrap().plan_id, "q");
        let journal = Journal::read(&root).unwrap();
        assert_eq!(journal.state().plan, Some(("q".to_owned(), 2)));
        assert_eq!(journal.state().plan_first, 1);
    }
}
