//! From evidence to one word: what came of a run.
//!
//! A pure function, held by the recorded cases in `tests/fixtures/runs/`. In this order:
//!
//! 1. what we did to it: stopped, out of time, silent, over memory, turns or money;
//! 2. that it could not be started, or was killed from outside;
//! 3. what it told in its event stream as *events* (a limit, a refusal, a question, an error), or on
//!    standard error when it failed; what an answer merely mentions is no evidence of anything;
//! 4. its exit status;
//! 5. the tree: commits with a difference are `ok`, work that is not committed is `dirty`, nothing
//!    at all is `hollow`.

use super::outcome::Word;
use super::phrases;
use super::told::{Ending, Limit, Told};

/// How the command's own process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It could not be started: the status to end with (125 to 127), and why.
    NotStarted(u8, String),
    /// By itself, with this status.
    Status(i32),
    /// By a signal.
    Signal(i32),
    /// Nobody saw it: the `agent-run` that watched was killed.
    Unseen,
}

/// Why we ended it.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// We were told to, by this signal.
    Signal(i32),
    /// The swarm was told to stop; what was said.
    Halt(String),
    /// The claim of its task was over.
    ClaimOver,
    /// It took too long: the limit in milliseconds.
    Wall(u64),
    /// No sign of life for so many milliseconds.
    Silence(u64),
    /// Too much memory: what it used and the limit, in KiB.
    Memory(u64, u64),
    /// Too many turns.
    Turns(u64),
    /// Too much money, in US dollars.
    Money(f64),
}

/// What happened to the tree between the beginning and the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// Commits made.
    pub commits: u32,
    /// Files that differ between the commit it began at and the one it stands at now.
    pub files: u32,
    /// Files with work that is not committed.
    pub uncommitted: u32,
    /// Whether what is not committed differs from what was there at the beginning.
    pub touched: bool,
}

/// All that is known about a run that has ended.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// How the process ended.
    pub exit: Exit,
    /// Why we ended it, if we did.
    pub cause: Option<Cause>,
    /// What it told.
    pub told: &'a Told,
    /// Whether its command line prints an event stream, whose last record says how it ended.
    pub streams: bool,
    /// The last lines of standard output, where that is no event stream.
    pub out: &'a str,
    /// The last lines of standard error.
    pub err: &'a str,
    /// What happened to the tree.
    pub work: Work,
    /// Whether the task wants a change of the tree; otherwise an answer is enough.
    pub wants_change: bool,
    /// Whether what was not committed has been committed on its behalf.
    pub harvested: bool,
    /// The time, for limits that say how long and not until when.
    pub now: jiff::Timestamp,
    /// The zone of times that name none.
    pub zone: &'a jiff::tz::TimeZone,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The word.
    pub word: Word,
    /// The exit status.
    pub exit: u8,
    /// The reason.
    pub reason: String,
    /// When to try again.
    pub retry_at: Option<jiff::Timestamp>,
}

impl Verdict {
    fn new(word: Word, reason: impl Into<String>) -> Verdict {
        Verdict {
            word,
            exit: word.status(),
            reason: reason.into(),
            retry_at: None,
        }
    }

    fn limited(limit: &Limit) -> Verdict {
        Verdict {
            retry_at: limit.until,
            ..Verdict::new(Word::Limited, limit.message.clone())
        }
    }
}

/// Judges a run.
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    if let Some(cause) = &evidence.cause {
        return ended_by_us(cause, evidence);
    }
    match &evidence.exit {
        Exit::NotStarted(status, why) => Verdict {
            exit: *status,
            ..Verdict::new(Word::Crashed, why.clone())
        },
        Exit::Unseen => Verdict::new(
            Word::Crashed,
            "agent-run was killed while the command ran".to_owned() + &left(evidence),
        ),
        Exit::Signal(signal) => Verdict::new(
            Word::Crashed,
            format!("killed by signal {signal}{}", left(evidence)),
        ),
        Exit::Status(status) => ended_by_itself(*status, evidence),
    }
}

fn ended_by_us(cause: &Cause, evidence: &Evidence<'_>) -> Verdict {
    let told = evidence.told;
    match cause {
        Cause::Signal(signal) => Verdict {
            exit: u8::try_from(128 + signal).unwrap_or(Word::Stopped.status()),
            ..Verdict::new(Word::Stopped, format!("stopped by signal {signal}"))
        },
        Cause::Halt(why) => Verdict::new(Word::Stopped, why.clone()),
        Cause::ClaimOver => Verdict {
            exit: 4,
            ..Verdict::new(Word::Stopped, "the claim of its task is over")
        },
        // One that waits silently at a limit or for an answer is not merely silent.
        Cause::Silence(_) | Cause::Wall(_) if told.limit.is_some() => told
            .limit
            .as_ref()
            .map_or_else(|| Verdict::new(Word::Stalled, ""), Verdict::limited),
        Cause::Silence(_) if told.asked.is_some() => Verdict::new(
            Word::NeedsHuman,
            format!("it asks: {}", told.asked.as_deref().unwrap_or_default()),
        ),
        Cause::Silence(limit) => Verdict::new(
            Word::Stalled,
            format!("no sign of life for {}{}", time(*limit), left(evidence)),
        ),
        Cause::Wall(limit) => Verdict::new(
            Word::Timeout,
            format!("not finished after {}{}", time(*limit), left(evidence)),
        ),
        Cause::Memory(used, limit) => Verdict::new(
            Word::OverBudget,
            format!("{} MiB of memory, {} allowed", used / 1024, limit / 1024),
        ),
        Cause::Turns(limit) => Verdict::new(Word::OverBudget, format!("more than {limit} turns")),
        Cause::Money(limit) => {
            Verdict::new(Word::OverBudget, format!("more than {limit} US dollars"))
        }
    }
}

fn ended_by_itself(status: i32, evidence: &Evidence<'_>) -> Verdict {
    let told = evidence.told;
    let good = status == 0 && !matches!(told.result, Some(Ending::Bad(_)));
    match &told.result {
        Some(Ending::OutOfTurns) => {
            return Verdict::new(
                Word::OverBudget,
                format!("it came to the end of its turns{}", left(evidence)),
            );
        }
        Some(Ending::OutOfMoney) => {
            return Verdict::new(
                Word::OverBudget,
                format!("it came to the end of its money{}", left(evidence)),
            );
        }
        _ => {}
    }
    // A result that says "good" comes after every limit and error that was got over.
    let settled = told.result == Some(Ending::Good) && status == 0;
    if !settled {
        if let Some(limit) = &told.limit {
            return Verdict::limited(limit);
        }
        if let Some(why) = &told.locked_out {
            return Verdict::new(Word::NeedsHuman, why.clone());
        }
    }
    if !good {
        return failed(status, evidence);
    }
    if evidence.streams && told.events > 0 && told.result.is_none() {
        return Verdict::new(
            Word::Crashed,
            format!("its stream ended without a result{}", left(evidence)),
        );
    }
    by_the_tree(evidence)
}

/// It failed, by its exit status or by its own word.
fn failed(status: i32, evidence: &Evidence<'_>) -> Verdict {
    let told = evidence.told;
    let said = match &told.result {
        Some(Ending::Bad(why)) => why.as_str(),
        _ => told.error.as_deref().unwrap_or_default(),
    };
    for text in [said, evidence.err, plain_out(evidence)] {
        if let Some(limit) = phrases::limit(text, evidence.now, evidence.zone) {
            return Verdict::limited(&limit);
        }
        if let Some(why) = phrases::locked_out(text) {
            return Verdict::new(Word::NeedsHuman, why);
        }
    }
    if let Some(what) = told.denied.first() {
        return denied(what, evidence);
    }
    if let Some(question) = &told.asked {
        return Verdict::new(Word::NeedsHuman, format!("it asks: {question}"));
    }
    let why = [
        said,
        last_line(evidence.err),
        last_line(plain_out(evidence)),
    ]
    .into_iter()
    .find(|text| !text.trim().is_empty());
    let exit = match status {
        0 => "it says that it failed".to_owned(),
        status => format!("exit status {status}"),
    };
    let reason = match why {
        Some(why) => format!(
            "{exit}: {}{}",
            super::short(why.trim(), 300),
            left(evidence)
        ),
        None => exit + &left(evidence),
    };
    Verdict::new(Word::Crashed, reason)
}

/// It ended well by its own word; the tree says whether that is so.
fn by_the_tree(evidence: &Evidence<'_>) -> Verdict {
    let told = evidence.told;
    let work = &evidence.work;
    let committed = work.commits > 0 && work.files > 0;
    let idle = work.uncommitted == 0 || !work.touched;
    if !committed && !evidence.harvested {
        let gits_alone = told.denied.iter().all(|what| what.contains("git "));
        if let Some(what) = told.denied.first().filter(|_| idle || !gits_alone) {
            return denied(what, evidence);
        }
        if let Some(question) = &told.asked {
            return Verdict::new(Word::NeedsHuman, format!("it asks: {question}"));
        }
        if idle && evidence.wants_change {
            return said_done(evidence);
        }
    }
    let note = match told.denied.first() {
        Some(what) => format!(" (it was denied {what})"),
        None => String::new(),
    };
    if work.uncommitted > 0 && !evidence.harvested {
        return Verdict::new(
            Word::Dirty,
            format!(
                "{} not committed{}{note}",
                files(work.uncommitted),
                match work.commits {
                    0 => String::new(),
                    commits => format!(", {} made", count(commits)),
                }
            ),
        );
    }
    let reason = match (committed, evidence.harvested) {
        (_, true) => format!("what it left was committed: {} changed", files(work.files)),
        (true, _) => format!("{}, {} changed", count(work.commits), files(work.files)),
        _ => "it answered".to_owned(),
    };
    Verdict::new(Word::Ok, reason + &note)
}

/// It says that it is done, and the tree is as before.
fn said_done(evidence: &Evidence<'_>) -> Verdict {
    let told = evidence.told;
    // Limits and refusals that are not told as such count when a message about one is all that was
    // said, and nothing was done.
    let said = told.said.as_deref().unwrap_or_default();
    for text in [
        said,
        plain_out(evidence),
        if evidence.streams { "" } else { evidence.err },
    ] {
        if let Some(limit) = phrases::only_a_limit(text, evidence.now, evidence.zone) {
            return Verdict::limited(&limit);
        }
        if let Some(what) = phrases::only_a_refusal(text) {
            return denied(&what, evidence);
        }
    }
    let last = match &told.said {
        Some(said) => said.as_str(),
        None => plain_out(evidence),
    };
    if let Some(question) = phrases::question(last) {
        return Verdict::new(Word::NeedsHuman, format!("it asks: {question}"));
    }
    let reason = match evidence.work.commits {
        0 => "it ended well, and the tree is as before",
        _ => "it made commits that change nothing",
    };
    Verdict::new(Word::Hollow, reason)
}

fn denied(what: &str, evidence: &Evidence<'_>) -> Verdict {
    Verdict::new(Word::Denied, format!("it may not {what}{}", left(evidence)))
}

/// Standard output, where it is words and not an event stream.
fn plain_out<'a>(evidence: &Evidence<'a>) -> &'a str {
    match evidence.streams && evidence.told.events > 0 {
        true => "",
        false => evidence.out,
    }
}

fn last_line(text: &str) -> &str {
    let mut lines = text.lines().rev();
    lines
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
}

/// What there is in the tree all the same.
fn left(evidence: &Evidence<'_>) -> String {
    let work = &evidence.work;
    match (work.commits, work.uncommitted) {
        (0, 0) => String::new(),
        (commits, 0) => format!("; {} made", count(commits)),
        (0, dirty) => format!("; {} not committed", files(dirty)),
        (commits, dirty) => format!("; {} made, {} not committed", count(commits), files(dirty)),
    }
}

fn count(commits: u32) -> String {
    match commits {
        1 => "1 commit".to_owned(),
        commits => format!("{commits} commits"),
    }
}

fn files(count: u32) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}

/// A length of time as people read it.
fn time(millis: u64) -> String {
    match millis {
        0..10_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        10_000..120_000 => format!("{} s", millis / 1000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        _ => format!("{} h", millis / 3_600_000),
    }
}
