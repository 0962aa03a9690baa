//! What did not go in comes back as something that a person or an agent can take up: a task, and
//! for a conflict a branch that holds both sides, with its markers, apart from everybody's work.

use super::Error;
use super::candidate::Candidate;
use super::record::Record;
use crate::action::json::{Object, Value};
use crate::action::model::{Task, TaskStatus};
use crate::action::time::TimeDelta;
use crate::workspace::Git;
use crate::workspace::merge::{self, Clash, Conflict, Hunk, Merge};

/// What a person needs for one thing that was handed back, as a rule of thumb that the report
/// states: so long for each branch, and so long for each hunk of a conflict.
pub const MINUTES_A_BRANCH: u64 = 5;
/// See [`MINUTES_A_BRANCH`].
pub const MINUTES_A_HUNK: u64 = 2;

/// A branch that was handed back.
#[derive(Debug, Clone, PartialEq)]
pub struct Back {
    /// The branch.
    pub candidate: Candidate,
    /// `conflict`, `red`, `hung`, `markers`, `unrelated` or `refused`.
    pub kind: &'static str,
    /// Why, in one line.
    pub why: String,
    /// The commit that it did not go into.
    pub onto: String,
    /// The files in conflict.
    pub files: Vec<File>,
    /// The branch that holds the conflict, and its commit.
    pub handed: Option<(String, String)>,
    /// The gate's log, below the root.
    pub log: Option<String>,
    /// Branches with which it fails though each passes alone, where that was looked for.
    pub with: Vec<String>,
    /// Whether it passed alone, where that was looked for.
    pub alone: Option<bool>,
}

/// A file in conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path.
    pub path: String,
    /// git's word for the kind of conflict.
    pub kind: String,
    /// git's sentence.
    pub said: String,
    /// The hunks, with who wrote each side.
    pub hunks: Vec<Sides>,
    /// Who changed the file last on the target's side and on the branch's.
    pub by: [Option<Writer>; 2],
}

/// One hunk and its writers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// The lines.
    pub hunk: Hunk,
    /// Who wrote the target's side.
    pub ours_by: Vec<Writer>,
    /// Who wrote the branch's side.
    pub theirs_by: Vec<Writer>,
}

/// Who wrote something, in which commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// The agent; else the author's name.
    pub name: String,
    /// The commit.
    pub commit: String,
    /// Its subject.
    pub subject: String,
}

impl Back {
    /// How long a person will need for it, by the rule above.
    pub fn minutes(&self) -> u64 {
        let hunks: usize = self.files.iter().map(|file| file.hunks.len().max(1)).sum();
        MINUTES_A_BRANCH + MINUTES_A_HUNK * hunks as u64
    }

    /// The record for the journal.
    pub fn record(&self, report: &str, into: &str) -> Record {
        let (handed, handed_commit) = self.handed.clone().unwrap_or_default();
        Record {
            branch: self.candidate.branch.clone(),
            agent: self.candidate.agent.clone(),
            tasks: self.candidate.tasks.clone(),
            commit: self.candidate.head.clone(),
            into: into.to_owned(),
            onto: self.onto.clone(),
            kind: self.kind.to_owned(),
            why: self.why.clone(),
            handed,
            handed_commit,
            log: self.log.clone().unwrap_or_default(),
            ..Record::new("turned-back", report)
        }
    }

    /// The task to take it up, in the form of the original's Task.
    pub fn task(&self, into: &str) -> Task {
        let branch = &self.candidate.branch;
        let target = into.trim_start_matches("refs/heads/");
        let short = &self.candidate.head[..self.candidate.head.len().min(8)];
        let mut parameters = Object::new();
        let texts = |texts: &[String]| -> Value {
            texts
                .iter()
                .map(|text| Value::from(&**text))
                .collect::<Vec<_>>()
                .into()
        };
        parameters.insert("kind", self.kind.into());
        parameters.insert("branch", (&**branch).into());
        parameters.insert("commit", (&*self.candidate.head).into());
        parameters.insert("into", target.into());
        parameters.insert("onto", (&*self.onto).into());
        parameters.insert("tasks", texts(&self.candidate.tasks));
        if let Some((handed, _)) = &self.handed {
            parameters.insert("conflict_branch", (&**handed).into());
        }
        if let Some(log) = &self.log {
            parameters.insert("log", (&**log).into());
        }
        if let Some(alone) = self.alone {
            parameters.insert("passes_alone", alone.into());
            parameters.insert("fails_with", texts(&self.with));
        }
        if !self.files.is_empty() {
            let files: Vec<Value> = self.files.iter().map(File::value).collect();
            parameters.insert("files", files.into());
        }
        let steps = match (&self.handed, self.kind) {
            (Some((handed, _)), _) => format!(
                "git merge {handed} in the tree of {branch}, edit what stands between the markers, commit"
            ),
            (None, "red" | "hung") => {
                format!("merge {target} into {branch} and mend it until the gate passes")
            }
            _ => format!("bring {branch} into a form that merges into {target}"),
        };
        Task {
            id: format!("merge-{}-{short}", branch.replace('/', "-")),
            description: format!("Bring {branch} into {target}: {}", self.why),
            requirements: self.candidate.tasks.clone(),
            dependencies: Vec::new(),
            estimated_duration: TimeDelta::from_millis(self.minutes() * 60_000),
            complexity_score: 1.0,
            required_capabilities: Vec::new(),
            acceptance_criteria: vec![steps, "swarm-merge lands it".to_owned()],
            parameters,
            status: TaskStatus::Pending,
            assigned_instance: self.candidate.agent.clone(),
            start_time: None,
            completion_time: None,
            result: None,
            error_message: None,
            extra: Object::new(),
        }
    }
}

impl File {
    fn value(&self) -> Value {
        let lines = |lines: &[String]| -> Value {
            lines
                .iter()
                .map(|line| Value::from(&**line))
                .collect::<Vec<_>>()
                .into()
        };
        let writers = |writers: &[Writer]| -> Value {
            writers.iter().map(Writer::value).collect::<Vec<_>>().into()
        };
        let mut file = Object::new();
        file.insert("path", (&*self.path).into());
        file.insert("kind", (&*self.kind).into());
        file.insert("said", (&*self.said).into());
        let [ours, theirs] = self.by.clone().map(Vec::from_iter);
        file.insert("ours_by", writers(&ours));
        file.insert("theirs_by", writers(&theirs));
        let hunks: Vec<Value> = self
            .hunks
            .iter()
            .map(|sides| {
                let mut hunk = Object::new();
                hunk.insert("line", Value::from(sides.hunk.line as u64));
                hunk.insert("ours", lines(&sides.hunk.ours));
                hunk.insert("theirs", lines(&sides.hunk.theirs));
                hunk.insert("ours_by", writers(&sides.ours_by));
                hunk.insert("theirs_by", writers(&sides.theirs_by));
                hunk.into()
            })
            .collect();
        file.insert("hunks", hunks.into());
        file.into()
    }
}

impl Writer {
    fn value(&self) -> Value {
        let mut writer = Object::new();
        writer.insert("name", (&*self.name).into());
        writer.insert("commit", (&*self.commit).into());
        writer.insert("subject", (&*self.subject).into());
        writer.into()
    }
}

/// Merges a branch into the target once more, for the eyes: markers bear the names of both sides,
/// and every hunk its writers. None if they go together after all.
fn conflict(
    git: &Git,
    records: &[Record],
    into: &str,
    onto: &str,
    candidate: &Candidate,
) -> Result<Option<(Conflict, Vec<File>)>, Error> {
    let name_of = |name: &str, commit: &str| -> Result<String, Error> {
        let full = format!("refs/heads/{name}");
        let same = merge::commit_of(git, &full)?.as_deref() == Some(commit);
        Ok(if same { name } else { commit }.to_owned())
    };
    let ours = name_of(into.trim_start_matches("refs/heads/"), onto)?;
    let theirs = name_of(&candidate.branch, &candidate.head)?;
    let Merge::Conflict(conflict) = merge::merge(git, &ours, &theirs)? else {
        return Ok(None);
    };
    let base = git.ask(&["merge-base", onto, &candidate.head])?;
    let look = Look {
        git,
        records,
        base,
        sides: [onto, &candidate.head],
        agent: candidate.agent.as_deref(),
    };
    let files = conflict
        .files
        .iter()
        .map(|clash| look.file(&conflict.tree, clash))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Some((conflict, files)))
}

/// Puts the conflict of a branch where it can be taken up, unless that was done before and nothing
/// has changed since.
pub fn hold_conflict(
    git: &Git,
    records: &[Record],
    into: &str,
    back: &mut Back,
) -> Result<(), Error> {
    let candidate = &back.candidate;
    let Some((conflict, files)) = conflict(git, records, into, &back.onto, candidate)? else {
        return Ok(());
    };
    let mut before = records.iter().rev().filter(|record| {
        record.branch == candidate.branch
            && record.commit == candidate.head
            && record.onto == back.onto
            && !record.handed.is_empty()
    });
    let there = |record: &Record| {
        let full = format!("refs/heads/{}", record.handed);
        merge::commit_of(git, &full).is_ok_and(|at| at.as_deref() == Some(&record.handed_commit))
    };
    back.handed = Some(match before.find(|record| there(record)) {
        Some(record) => (record.handed.clone(), record.handed_commit.clone()),
        None => branch(git, records, into, &back.onto, candidate, &conflict, &files)?,
    });
    back.files = files;
    Ok(())
}

/// Whether a record says the same as another, apart from time and report.
pub fn is_same(a: &Record, b: &Record) -> bool {
    let bare = |record: &Record| Record {
        at: String::new(),
        correlation_id: String::new(),
        log: String::new(),
        ..record.clone()
    };
    bare(a) == bare(b)
}

struct Look<'a> {
    git: &'a Git,
    records: &'a [Record],
    base: Option<String>,
    sides: [&'a str; 2],
    agent: Option<&'a str>,
}

impl Look<'_> {
    fn file(&self, tree: &str, clash: &Clash) -> Result<File, Error> {
        let merged = self
            .git
            .ask(&["cat-file", "blob", &format!("{tree}:{}", clash.path)])?;
        let hunks = merged.as_deref().map(merge::hunks).unwrap_or_default();
        let mut blames = [self.blame(0, clash)?, self.blame(1, clash)?].map(Vec::into_iter);
        let mut of = |side: usize, lines: &[String]| -> Vec<Writer> {
            let mut writers: Vec<Writer> = Vec::new();
            for line in lines {
                let found = blames[side].by_ref().find(|(text, _)| text == line);
                if let Some((_, writer)) = found.filter(|(_, w)| !writers.contains(w)) {
                    writers.push(writer);
                }
            }
            writers
        };
        Ok(File {
            hunks: hunks
                .into_iter()
                .map(|hunk| Sides {
                    ours_by: of(0, &hunk.ours),
                    theirs_by: of(1, &hunk.theirs),
                    hunk,
                })
                .collect(),
            path: clash.path.clone(),
            kind: clash.kind.clone(),
            said: clash.said.clone(),
            by: [self.last(0, &clash.path)?, self.last(1, &clash.path)?],
        })
    }

    /// Every line of one side of a file, with who wrote it.
    fn blame(&self, side: usize, clash: &Clash) -> Result<Vec<(String, Writer)>, Error> {
        let args = [
            "blame",
            "--line-porcelain",
            self.sides[side],
            "--",
            &clash.path,
        ];
        let Some(text) = self.git.ask(&args)? else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let mut known: Vec<Writer> = Vec::new();
        let (mut commit, mut author, mut subject) = ("", "", "");
        let mut fresh = true;
        for line in text.lines() {
            if let Some(content) = line.strip_prefix('\t') {
                let writer = match known.iter().find(|writer| writer.commit == commit) {
                    Some(writer) => writer.clone(),
                    None => {
                        let writer = self.writer(side, commit, author, subject)?;
                        known.push(writer.clone());
                        writer
                    }
                };
                found.push((content.to_owned(), writer));
                fresh = true;
            } else if fresh {
                commit = line.split(' ').next().unwrap_or_default();
                fresh = false;
            } else if let Some(name) = line.strip_prefix("author ") {
                author = name;
            } else if let Some(text) = line.strip_prefix("summary ") {
                subject = text;
            }
        }
        Ok(found)
    }

    /// Who changed a file last on one side.
    fn last(&self, side: usize, path: &str) -> Result<Option<Writer>, Error> {
        let range = match &self.base {
            Some(base) => format!("{base}..{}", self.sides[side]),
            None => self.sides[side].to_owned(),
        };
        let args = [
            "log",
            "-n",
            "1",
            "--no-merges",
            "--format=%H%n%an%n%s",
            &range,
            "--",
            path,
        ];
        let text = self.git.text(&args)?;
        let mut lines = text.lines();
        let (Some(commit), Some(author)) = (lines.next(), lines.next()) else {
            return Ok(None);
        };
        self.writer(side, commit, author, lines.next().unwrap_or_default())
            .map(Some)
    }

    /// The agent of a commit, as far as it says so or the journal knows; else its author.
    fn writer(
        &self,
        side: usize,
        commit: &str,
        author: &str,
        subject: &str,
    ) -> Result<Writer, Error> {
        let args = [
            "show",
            "-s",
            "--format=%(trailers:key=Agent,valueonly)",
            commit,
        ];
        let said = self.git.text(&args)?;
        let is_in = |branch: &str| merge::is_ancestor(self.git, commit, branch);
        let name = if let Some(agent) = said.lines().next().filter(|line| !line.is_empty()) {
            agent.to_owned()
        } else if let (1, Some(agent)) = (side, self.agent) {
            agent.to_owned()
        } else {
            let mut name = author.to_owned();
            for record in self
                .records
                .iter()
                .filter(|record| record.r#type == "landed")
            {
                if let Some(agent) = &record.agent
                    && !is_in(&record.onto)?
                    && is_in(&record.landed_as)?
                {
                    name.clone_from(agent);
                    break;
                }
            }
            name
        };
        Ok(Writer {
            name,
            commit: commit.to_owned(),
            subject: subject.to_owned(),
        })
    }
}

/// Makes the branch that holds a conflict: a commit of both sides whose tree has the markers. Gives
/// its name and commit. One that is there already and has not been worked on is used or replaced; another is
/// left alone and gets a number.
fn branch(
    git: &Git,
    records: &[Record],
    into: &str,
    onto: &str,
    candidate: &Candidate,
    conflict: &Conflict,
    files: &[File],
) -> Result<(String, String), Error> {
    let target = into.trim_start_matches("refs/heads/");
    let mut text = format!("Conflict of {} with {target}\n\n", candidate.branch);
    for file in files {
        text.push_str(&format!("{} ({})\n", file.path, file.kind));
        for (side, by) in [target, &candidate.branch].into_iter().zip(&file.by) {
            if let Some(by) = by {
                let short = &by.commit[..by.commit.len().min(12)];
                text.push_str(&format!(
                    "  {side}: {} in {short} {:?}\n",
                    by.name, by.subject
                ));
            }
        }
    }
    text.push('\n');
    if let Some(agent) = &candidate.agent {
        text.push_str(&format!("Agent: {agent}\n"));
    }
    for file in files {
        text.push_str(&format!("Conflict: {}\n", file.path));
    }
    let commit = merge::commit(git, &conflict.tree, &[onto, &candidate.head], &text, None)?;
    let name = candidate.agent.as_deref().unwrap_or(&candidate.branch);
    for n in 1..100 {
        let name = match n {
            1 => format!("conflict/{name}"),
            n => format!("conflict/{name}-{n}"),
        };
        let full = format!("refs/heads/{name}");
        let there = merge::commit_of(git, &full)?;
        let free = match &there {
            None => true,
            Some(there) => is_untouched(records, there) && merge::checkouts(git, &full)?.is_empty(),
        };
        let zero = "0".repeat(commit.len());
        let old = there.as_deref().unwrap_or(&zero);
        if free && merge::move_ref(git, &full, old, &commit, "swarm-merge: conflict")? {
            return Ok((name, commit));
        }
    }
    Err(Error::Refused {
        what: format!("branches conflict/{name} to conflict/{name}-99 are all in use"),
        hint: "git branch -D those that are no longer needed".to_owned(),
    })
}

/// Whether a branch still ends with a commit that we put there.
fn is_untouched(records: &[Record], commit: &str) -> bool {
    records.iter().any(|record| record.handed_commit == commit)
}

/// Removes the branches that held a conflict of this branch and that nobody has worked on, or whose
/// work is landed; said by name.
pub fn clear(
    git: &Git,
    records: &[Record],
    into: &str,
    candidate: &Candidate,
) -> Result<Vec<String>, Error> {
    let mut gone: Vec<String> = Vec::new();
    for record in records {
        if record.handed.is_empty() || record.branch != candidate.branch {
            continue;
        }
        let full = format!("refs/heads/{}", record.handed);
        let Some(commit) = merge::commit_of(git, &full)? else {
            continue;
        };
        let landed = merge::is_ancestor(git, &commit, into)?;
        let done = landed || commit == record.handed_commit;
        if done && merge::checkouts(git, &full)?.is_empty() {
            let line = format!("delete {full} {commit}\n");
            if git
                .feed(&["update-ref", "--stdin"], line.as_bytes())
                .is_ok()
            {
                gone.push(record.handed.clone());
            }
        }
    }
    Ok(gone)
}
