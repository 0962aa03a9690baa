//! What one can wait for: `a1=done`, `any=needs-you|all=done`, `tasks.done>=3,agents.dead=0`.
//!
//! | form | holds when |
//! |---|---|
//! | `NAME=STATE` | the agent is in that state; `all=` everybody (and there is somebody), `any=` at least one |
//! | `NAME!=STATE` | not so; `all!=` nobody is, `any!=` at least one is not |
//! | `task:ID=PHASE` | the task is `done`, `claimed`, `ready`, `waiting`, `later` or `human`; also `!=` |
//! | `tasks.PHASE OP N` | so many tasks are; `tasks.total` are all; OP is `=` `!=` `<` `<=` `>` `>=` |
//! | `agents.STATE OP N` | so many agents are; `agents.total` are all |
//! | `mail.unread OP N` | so many messages wait; `mail.dead` were given up |
//! | `A,B` | both; `A\|B` at least one; the comma binds tighter |

use super::{Condition, Report};
use crate::id;

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Until(Vec<Vec<Term>>);

/// Why a text is no expression, or can never be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UntilError {
    /// It is not of the form.
    #[error("{0:?} is nothing to wait for: write NAME=STATE, task:ID=PHASE or tasks.done>=N")]
    Form(String),
    /// A word that is not one of those that can stand there.
    #[error("{word:?} is none of {}", .known.join(", "))]
    Word {
        /// The word.
        word: String,
        /// What can stand there.
        known: Vec<&'static str>,
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// No such agent or task.
    #[error("nobody here is called {0:?}")]
    Nobody(String, Vec<String>),
    /// No such task.
    #[error("no task of the plan is {0:?}")]
    NoTask(String, Vec<String>),
}

impl UntilError {
    /// The names that may have been meant, best first.
    pub fn nearest(&self) -> Vec<String> {
        match self {
            UntilError::Form(_) => Vec::new(),
            UntilError::Word { nearest, .. } => nearest.clone().into_iter().collect(),
            UntilError::Nobody(_, near) | UntilError::NoTask(_, near) => near.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Agent(Who, bool, Condition),
    Task(String, bool, &'static str),
    Count(Count, Compare, u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    All,
    Any,
    One(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Count {
    Tasks(&'static str),
    Agents(Option<Condition>),
    Unread,
    DeadMail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Less,
    AtMost,
    Equal,
    Other,
    AtLeast,
    More,
}

const PHASES: [&str; 7] = [
    "total", "done", "claimed", "ready", "waiting", "later", "human",
];

impl std::str::FromStr for Until {
    type Err = UntilError;

    fn from_str(text: &str) -> Result<Until, UntilError> {
        let both = |part: &str| {
            part.split(',')
                .map(|term| Term::read(term.trim()))
                .collect()
        };
        Ok(Until(text.split('|').map(both).collect::<Result<_, _>>()?))
    }
}

impl Term {
    fn read(text: &str) -> Result<Term, UntilError> {
        let wrong = || UntilError::Form(text.to_owned());
        let at = text.find(['=', '!', '<', '>']).ok_or_else(wrong)?;
        let (left, rest) = (text[..at].trim(), &text[at..]);
        let (compare, right) = Compare::read(rest).ok_or_else(wrong)?;
        let right = right.trim();
        if left.is_empty() || right.is_empty() {
            return Err(wrong());
        }
        let number = || right.parse::<u64>().map_err(|_| wrong());
        if let Some(phase) = left.strip_prefix("tasks.") {
            let phase = word(phase, &PHASES)?;
            return Ok(Term::Count(Count::Tasks(phase), compare, number()?));
        }
        if let Some(state) = left.strip_prefix("agents.") {
            let state = match state {
                "total" => None,
                state => Some(condition(state)?),
            };
            return Ok(Term::Count(Count::Agents(state), compare, number()?));
        }
        if let Some(what) = left.strip_prefix("mail.") {
            let count = match word(what, &["unread", "dead"])? {
                "unread" => Count::Unread,
                _ => Count::DeadMail,
            };
            return Ok(Term::Count(count, compare, number()?));
        }
        let is = match compare {
            Compare::Equal => true,
            Compare::Other => false,
            _ => return Err(wrong()),
        };
        if let Some(task) = left.strip_prefix("task:") {
            return Ok(Term::Task(task.to_owned(), is, word(right, &PHASES[1..])?));
        }
        let who = match left {
            "all" => Who::All,
            "any" => Who::Any,
            name => Who::One(name.to_owned()),
        };
        Ok(Term::Agent(who, is, condition(right)?))
    }

    fn holds(&self, report: &Report) -> Result<bool, UntilError> {
        match self {
            Term::Agent(who, is, condition) => {
                let mut agents = report.agents.iter();
                let fits = |agent: &super::Patient| (agent.condition == *condition) == *is;
                match who {
                    Who::All => Ok(!report.agents.is_empty() && agents.all(fits)),
                    Who::Any => Ok(agents.any(fits)),
                    Who::One(name) => match agents.find(|agent| agent.agent.name == *name) {
                        Some(agent) => Ok(fits(agent)),
                        None => {
                            let names = report.agents.iter().map(|a| a.agent.name.as_str());
                            Err(UntilError::Nobody(name.clone(), near(name, names)))
                        }
                    },
                }
            }
            Term::Task(task, is, phase) => match report.phases.get(task) {
                Some(now) => Ok((now == phase) == *is),
                None => {
                    let tasks = report.phases.keys().map(String::as_str);
                    Err(UntilError::NoTask(task.clone(), near(task, tasks)))
                }
            },
            Term::Count(count, compare, wanted) => Ok(compare.holds(count.of(report), *wanted)),
        }
    }
}

impl Until {
    /// Whether mailboxes must be looked at for it.
    pub fn is_about_mail(&self) -> bool {
        let mut terms = self.0.iter().flatten();
        terms.any(|term| matches!(term, Term::Count(Count::Unread | Count::DeadMail, ..)))
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// When it asks for an agent or a task that is not there.
    pub fn holds(&self, report: &Report) -> Result<bool, UntilError> {
        let mut any = false;
        for terms in &self.0 {
            let mut all = true;
            for term in terms {
                all &= term.holds(report)?;
            }
            any |= all;
        }
        Ok(any)
    }
}

impl Count {
    fn of(&self, report: &Report) -> u64 {
        match self {
            Count::Tasks("total") => report.tasks.total,
            Count::Tasks(phase) => {
                report.phases.values().filter(|now| *now == phase).count() as u64
            }
            Count::Agents(state) => {
                let fits = |agent: &&super::Patient| state.is_none_or(|s| agent.condition == s);
                report.agents.iter().filter(fits).count() as u64
            }
            Count::Unread => report.mail.0,
            Count::DeadMail => report.mail.1,
        }
    }
}

impl Compare {
    fn read(text: &str) -> Option<(Compare, &str)> {
        let all = [
            ("<=", Compare::AtMost),
            (">=", Compare::AtLeast),
            ("!=", Compare::Other),
            ("==", Compare::Equal),
            ("=", Compare::Equal),
            ("<", Compare::Less),
            (">", Compare::More),
        ];
        all.iter()
            .find_map(|(sign, compare)| Some((*compare, text.strip_prefix(sign)?)))
    }

    fn holds(self, found: u64, wanted: u64) -> bool {
        match self {
            Compare::Less => found < wanted,
            Compare::AtMost => found <= wanted,
            Compare::Equal => found == wanted,
            Compare::Other => found != wanted,
            Compare::AtLeast => found >= wanted,
            Compare::More => found > wanted,
        }
    }
}

fn condition(text: &str) -> Result<Condition, UntilError> {
    let words = Condition::ALL.map(Condition::as_str);
    let known = word(text, &words)?;
    let found = Condition::ALL.iter().find(|c| c.as_str() == known);
    found
        .copied()
        .ok_or_else(|| UntilError::Form(text.to_owned()))
}

fn word(text: &str, known: &[&'static str]) -> Result<&'static str, UntilError> {
    let found = known.iter().find(|word| **word == text);
    found.copied().ok_or_else(|| UntilError::Word {
        word: text.to_owned(),
        known: known.to_vec(),
        nearest: near(text, known.iter().copied()).into_iter().next(),
    })
}

fn near<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let near = id::nearest(text, known);
    near.into_iter().map(str::to_owned).collect()
}
