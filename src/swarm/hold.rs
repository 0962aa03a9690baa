//! Who is held: the file `hold` in the swarm's directory, which every command honours.
//!
//! It is looked at before a task is given out, before an agent is started and while one runs, so it
//! works also when no process answers. No file: nobody is held. Each line holds somebody, and is
//! written by `swarm-ctl` or by hand:
//!
//! ```text
//! {"v":1,"type":"hold","how":"pause","at":"2026-11-24T09:00:00Z","by":"conductor","why":"lunch"}
//! {"v":1,"type":"hold","how":"stop","agent":"kiro-1","at":"2026-11-24T09:00:00Z"}
//! stop
//! ```
//!
//! `how` is `pause` (nothing begins; what runs goes on, or with `"freeze":true` stands still until the
//! line is gone), `drain` (the same, and who carries out the
//! plan leaves when nothing runs any more) or `stop` (nothing begins, and what runs is ended).
//! `agent` or `task` says who; without either it is everybody. After `until` a line is over. A
//! line that is one of the three words alone holds everybody. What cannot be read, and an empty
//! file, is `pause` for everybody: rather too still than too wild.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Error, Root, files};

/// How long the file may be, in bytes.
const LIMIT: u64 = 16 * 1024 * 1024;

/// How somebody is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Nothing begins; what runs goes on.
    Pause,
    /// Nothing begins, and who carries out the plan leaves when nothing runs any more.
    Drain,
    /// Nothing begins, and what runs is ended.
    Stop,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    #[serde(default)]
    v: u32,
    #[serde(default)]
    r#type: String,
    /// How.
    pub how: How,
    /// Whether what runs stands still meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub freeze: bool,
    /// The agent that is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The task that is held. Neither agent nor task: everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// When it was said, RFC 3339.
    #[serde(default)]
    pub at: String,
    /// When it is over, RFC 3339; otherwise when somebody lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Who said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What joins the records of one matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

/// Whom a hold is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// The whole swarm.
    All,
    /// One agent.
    Agent(String),
    /// One task.
    Task(String),
}

/// Everything that is held at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds(Vec<Hold>);

impl Hold {
    /// A hold from now on.
    pub fn new(how: How, whom: Whom) -> Hold {
        let (agent, task) = match whom {
            Whom::All => (None, None),
            Whom::Agent(agent) => (Some(agent), None),
            Whom::Task(task) => (None, Some(task)),
        };
        Hold {
            v: 1,
            r#type: "hold".to_owned(),
            how,
            freeze: false,
            agent,
            task,
            at: super::journal::now(),
            until: None,
            by: None,
            why: None,
            correlation_id: None,
        }
    }

    /// Whom it is about.
    pub fn whom(&self) -> Whom {
        match (&self.agent, &self.task) {
            (Some(agent), _) => Whom::Agent(agent.clone()),
            (None, Some(task)) => Whom::Task(task.clone()),
            (None, None) => Whom::All,
        }
    }

    /// What one line says; what cannot be read holds everybody.
    fn read(line: &str) -> Hold {
        if let Ok(hold) = serde_json::from_str::<Hold>(line) {
            return hold;
        }
        let word = serde_json::Value::String(line.trim().to_owned());
        let how = serde_json::from_value(word);
        Hold {
            why: how
                .is_err()
                .then(|| "the file hold cannot be read".to_owned()),
            at: String::new(),
            ..Hold::new(how.unwrap_or(How::Pause), Whom::All)
        }
    }

    fn is_over(&self) -> bool {
        let until = self.until.as_ref().and_then(|time| time.parse().ok());
        until.is_some_and(|time: jiff::Timestamp| time <= jiff::Timestamp::now())
    }
}

impl std::fmt::Display for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = match self.how {
            How::Pause if self.freeze => "frozen",
            How::Pause => "paused",
            How::Drain => "to begin nothing more",
            How::Stop => "stopped",
        };
        match self.whom() {
            Whom::All => write!(f, "everybody is {how}")?,
            Whom::Agent(agent) => write!(f, "{agent} is {how}")?,
            Whom::Task(task) => write!(f, "task {task} is {how}")?,
        }
        if let Some(until) = &self.until {
            write!(f, " until {until}")?;
        }
        match &self.why {
            Some(why) => write!(f, " ({why})"),
            None => Ok(()),
        }
    }
}

impl Holds {
    /// Who is held now.
    pub fn read(root: &Root) -> Result<Holds, Error> {
        let mut holds = Holds::written(root)?;
        holds.0.retain(|hold| !hold.is_over());
        Ok(holds)
    }

    fn written(root: &Root) -> Result<Holds, Error> {
        let path = file(root);
        let Some(bytes) = files::read_if_there(&path, LIMIT).map_err(Error::at(path))? else {
            return Ok(Holds::default());
        };
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let mut holds: Vec<Hold> = lines.map(Hold::read).collect();
        if holds.is_empty() {
            holds.push(Hold::read("pause"));
        }
        Ok(Holds(holds))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Hold> {
        self.0.iter()
    }

    /// What holds everybody, the strongest.
    pub fn all(&self) -> Option<&Hold> {
        self.strongest(|hold| hold.whom() == Whom::All)
    }

    /// What holds an agent: a line of its own or one for everybody, the strongest.
    pub fn on_agent(&self, agent: &str) -> Option<&Hold> {
        self.strongest(|hold| match &hold.agent {
            Some(held) => held == agent,
            None => hold.task.is_none(),
        })
    }

    /// What holds a task by itself.
    pub fn on_task(&self, task: &str) -> Option<&Hold> {
        self.strongest(|hold| hold.agent.is_none() && hold.task.as_deref() == Some(task))
    }

    /// Whether a run of an agent on a task is to stand still.
    pub fn freeze(&self, agent: &str, task: &str) -> bool {
        self.0.iter().any(|hold| {
            let meant = match hold.whom() {
                Whom::All => true,
                Whom::Agent(held) => held == agent,
                Whom::Task(held) => held == task,
            };
            hold.freeze && meant
        })
    }

    fn strongest(&self, is_meant: impl Fn(&Hold) -> bool) -> Option<&Hold> {
        let meant = self.0.iter().filter(|hold| is_meant(hold));
        meant.max_by_key(|hold| hold.how)
    }

    /// Holds somebody, in the place of what held the same one before.
    pub fn set(root: &Root, hold: Hold) -> Result<(), Error> {
        let everybody = hold.whom() == Whom::All;
        let changed = change(root, |holds| {
            holds.0.retain(|other| other.whom() != hold.whom());
            holds.0.push(hold);
        });
        match changed {
            // A full disk has room for an empty file, which holds everybody.
            Err(Error::Io { source, .. })
                if everybody && source.kind() == io::ErrorKind::StorageFull =>
            {
                let path = file(root);
                fs::File::create(&path).map_err(Error::at(path))?;
                Ok(())
            }
            changed => changed,
        }
    }

    /// Lifts what holds somebody; for everybody, what holds single agents and tasks as well. Says
    /// what was lifted.
    pub fn lift(root: &Root, whom: &Whom) -> Result<Vec<Hold>, Error> {
        let mut lifted = Vec::new();
        change(root, |holds| {
            let meant = |hold: &Hold| *whom == Whom::All || hold.whom() == *whom;
            (lifted, holds.0) = holds.0.drain(..).partition(meant);
        })?;
        Ok(lifted)
    }
}

fn file(root: &Root) -> PathBuf {
    root.path().join("hold")
}

/// Writes the file anew; two who do so at once take turns. Lines that are over go.
fn change(root: &Root, what: impl FnOnce(&mut Holds)) -> Result<(), Error> {
    root.make()?;
    let lock = root.path().join("hold.lock");
    let _held = files::lock(&lock).map_err(Error::at(lock))?;
    let before = Holds::written(root)?;
    let mut holds = before.clone();
    holds.0.retain(|hold| !hold.is_over());
    what(&mut holds);
    let path = file(root);
    if holds.0.is_empty() {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::at(path)(error)),
            _ => files::sync_dir(root.path()).map_err(Error::at(path)),
        };
    }
    if holds == before {
        return Ok(());
    }
    let text: String = holds
        .0
        .iter()
        .map(|hold| serde_json::to_string(hold).expect("texts have a JSON form") + "\n")
        .collect();
    files::write_whole(&path, text.as_bytes()).map_err(Error::at(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::root::Options;

    fn swarm() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::find(&Options {
            start: dir.path().to_owned(),
            root: Some("app.swarm".into()),
        })
        .unwrap();
        (dir, root)
    }

    #[test]
    fn one_agent_one_task_or_everybody_is_held_until_it_is_lifted() {
        let (_dir, root) = swarm();
        assert_eq!(Holds::read(&root).unwrap(), Holds::default());
        Holds::set(&root, Hold::new(How::Stop, Whom::Agent("a".into()))).unwrap();
        Holds::set(&root, Hold::new(How::Pause, Whom::Task("1".into()))).unwrap();
        let holds = Holds::read(&root).unwrap();
        assert_eq!(holds.on_agent("a").unwrap().to_string(), "a is stopped");
        assert_eq!(holds.on_agent("1"), None);
        assert_eq!(holds.on_task("1").unwrap().to_string(), "task 1 is paused");
        assert_eq!((holds.on_task("a"), holds.all()), (None, None));

        Holds::set(&root, Hold::new(How::Pause, Whom::All)).unwrap();
        let holds = Holds::read(&root).unwrap();
        assert_eq!(holds.on_agent("b").unwrap().how, How::Pause);
        assert_eq!(holds.on_agent("a").unwrap().how, How::Stop, "the strongest");
        assert!(!holds.freeze("a", "1"));
        let mut hold = Hold::new(How::Pause, Whom::Task("1".into()));
        hold.freeze = true;
        Holds::set(&root, hold).unwrap();
        let holds = Holds::read(&root).unwrap();
        assert_eq!(
            (holds.freeze("b", "1"), holds.freeze("b", "2")),
            (true, false)
        );
        assert_eq!(holds.on_task("1").unwrap().to_string(), "task 1 is frozen");
        let lifted = Holds::lift(&root, &Whom::Agent("a".into())).unwrap();
        assert_eq!(lifted.len(), 1);
        assert_eq!(Holds::lift(&root, &Whom::All).unwrap().len(), 2);
        assert!(!root.path().join("hold").exists());
        assert!(Holds::lift(&root, &Whom::All).unwrap().is_empty());
    }

    #[test]
    fn a_hold_ends_at_its_time_and_a_second_one_takes_the_place_of_the_first() {
        let (_dir, root) = swarm();
        let mut hold = Hold::new(How::Pause, Whom::All);
        hold.until = Some("2020-01-01T00:00:00Z".to_owned());
        Holds::set(&root, hold.clone()).unwrap();
        assert_eq!(Holds::read(&root).unwrap().all(), None);
        hold.until = Some("2999-01-01T00:00:00Z".to_owned());
        Holds::set(&root, hold.clone()).unwrap();
        hold.how = How::Stop;
        Holds::set(&root, hold).unwrap();
        let holds = Holds::read(&root).unwrap();
        assert_eq!(holds.iter().count(), 1);
        assert_eq!(
            holds.all().unwrap().to_string(),
            "everybody is stopped until 2999-01-01T00:00:00Z"
        );
    }

    #[test]
    fn a_hand_written_or_unreadable_file_holds_everybody() {
        let (_dir, root) = swarm();
        root.make().unwrap();
        for (text, how) in [
            ("", How::Pause),
            ("\n", How::Pause),
            ("stop\n", How::Stop),
            ("drain", How::Drain),
            ("{\"how\":\"stop\"", How::Pause),
            ("\0\u{1}", How::Pause),
        ] {
            fs::write(root.path().join("hold"), text).unwrap();
            assert_eq!(
                Holds::read(&root).unwrap().all().unwrap().how,
                how,
                "{text:?}"
            );
        }
        fs::write(root.path().join("hold"), b"\xff\xfe").unwrap();
        assert!(Holds::read(&root).unwrap().on_agent("a").is_some());
    }
}
