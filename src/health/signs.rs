//! What is to be said about the swarm as a whole: leases, processes, the main checkout, mail,
//! repeated failure, thrash, throughput.

use crate::action::json::{Object, Value};
use crate::event::{Phase, Record, State, TaskState};

use super::{
    Ahead, Clash, Grip, Indicator, Level, Limits, Mail, Outlook, Seen, length, millis, shell,
};

/// Every finding that is not about one agent alone.
pub(super) fn of_the_swarm(
    state: &State,
    seen: &Seen,
    outlook: &Outlook<'_>,
    limits: &Limits,
) -> Vec<Indicator> {
    let mut signs = Vec::new();
    if let Some(held) = &seen.held {
        let sign = Indicator::new("hold", Level::Warning, &held.what);
        signs.push(sign.mend(format!("swarm-ctl --do '{}'", held.lift)));
    }
    for task in &seen.tasks {
        if let Some(known) = state.tasks.get(&task.id) {
            signs.extend(of_a_task(&task.id, known, outlook, limits));
        }
    }
    signs.extend(seen.leaks.iter().map(|leak| {
        let by = match &leak.by {
            Some((agent, task)) => format!(", which task {task} of {agent} works on"),
            None => String::new(),
        };
        let said = format!("the main checkout has a change in {}{by}", leak.file);
        let sign = Indicator::new("leak", Level::Warning, said).mend(&leak.mend);
        sign.with("file", leak.file.as_str())
    }));
    signs.extend(seen.ahead.iter().map(of_a_conflict));
    if let Some(why) = &seen.ahead_unseen {
        let said = format!("conflicts ahead were not looked for everywhere: {why}");
        let sign = Indicator::new("forecast", Level::Healthy, said);
        signs.push(sign.mend("swarm-merge --forecast"));
    }
    signs.extend(seen.orphans.iter().map(|orphan| {
        let run = match &orphan.run {
            Some(run) => format!("run {run}"),
            None => "a run".to_owned(),
        };
        let said = format!(
            "process {} ({}) of {} outlived {run}",
            orphan.pid, orphan.command, orphan.agent
        );
        let sign = Indicator::new("orphan", Level::Warning, said);
        let sign = sign.mend(format!("kill {}", orphan.pid));
        sign.with("pid", u64::from(orphan.pid))
    }));
    signs.extend(all_mail(seen).flat_map(|(name, mail)| of_mail(name, mail, limits)));
    signs.extend(throughput(state, seen, outlook, limits));
    if seen.torn > 0 {
        let said = format!(
            "{} lines of the journal were cut off by a kill, and do not count",
            seen.torn
        );
        signs.push(Indicator::new("journal", Level::Healthy, said).with("torn", seen.torn));
    }
    let unseen = seen.unseen.iter();
    signs.extend(unseen.map(|what| Indicator::new("unseen", Level::Warning, what)));
    signs
}

/// Two whose work will conflict; the first files in words, all of them in the figures.
fn of_a_conflict(ahead: &Ahead) -> Indicator {
    const IN_WORDS: usize = 3;
    let Ahead { a, b, files, .. } = ahead;
    let words = files.iter().take(IN_WORDS).map(|file| {
        let Clash { path, kind, lines } = file;
        let lines: Vec<String> = lines.iter().map(|(a, b)| format!("{a}/{b}")).collect();
        match &*lines {
            [] => format!("{path} ({kind})"),
            [one] => format!("{path} (line {one})"),
            more => format!("{path} (lines {})", more.join(", ")),
        }
    });
    let mut words: Vec<String> = words.collect();
    if files.len() > IN_WORDS {
        words.push(format!("{} more", files.len() - IN_WORDS));
    }
    let said = format!("{a} and {b} will conflict in {}", words.join(", "));
    let details = files.iter().map(|clash| {
        let lines = clash.lines.iter().map(|(a, b)| {
            let mut hunk = Object::new();
            hunk.insert("a", Value::from(*a as u64));
            hunk.insert("b", Value::from(*b as u64));
            Value::Object(hunk)
        });
        let mut file = Object::new();
        file.insert("path", Value::from(clash.path.as_str()));
        file.insert("kind", Value::from(clash.kind.as_str()));
        file.insert("lines", Value::Array(lines.collect()));
        Value::Object(file)
    });
    let mend = match ahead.with_target {
        true => format!("worktree-spawn --sync=merge {}", shell(b)),
        false => format!("swarm-merge --forecast {} {}", shell(a), shell(b)),
    };
    Indicator::new("conflict-ahead", Level::Warning, said)
        .mend(mend)
        .with("a", a.as_str())
        .with("b", b.as_str())
        .with("files", Value::Array(details.collect()))
}

/// Tries of one agent that failed in a row.
pub(super) fn repeated(agent: &str, record: &Record) -> Indicator {
    let last = record.last_failure.as_ref();
    let last = last.and_then(|failure| failure.why.clone());
    let said = format!(
        "{agent} failed {} times in a row, at last: {}",
        record.in_a_row,
        last.as_deref().unwrap_or("no reason given")
    );
    Indicator::new("repeated-failure", Level::Critical, said)
        .mend(format!("swarm-ctl --do 'pause instance {agent}'"))
        .with("in_a_row", u64::from(record.in_a_row))
        .with("failed", u64::from(record.failed))
        .with("done", u64::from(record.done))
}

fn of_a_task(
    id: &str,
    known: &TaskState,
    outlook: &Outlook<'_>,
    limits: &Limits,
) -> Option<Indicator> {
    let sign = match &known.phase {
        Phase::Claimed { agent, .. } => {
            let (said, level) = match outlook.grip(id) {
                Grip::Firm => return thrash(id, known, limits),
                Grip::Dead => ("the process that held it is gone", Level::Critical),
                Grip::Expired => ("its lease is over", Level::Warning),
            };
            let said = format!("task {id} of {agent}: {said}; the next who asks gets it");
            let mend = format!(
                "swarm-assign release {} --agent {agent} --epoch {}",
                shell(id),
                known.epoch
            );
            Indicator::new("lease", level, said).mend(mend)
        }
        Phase::Human { why } => {
            let why = why.as_deref().unwrap_or("it failed");
            let said = format!("task {id} needs you: {why}");
            let mend = format!("swarm-assign retry {}", shell(id));
            Indicator::new("needs-you", Level::Warning, said)
                .mend(mend)
                .with("failures", u64::from(known.failures))
        }
        Phase::Open | Phase::Later { .. } => return thrash(id, known, limits),
        Phase::Done { .. } => return None,
    };
    Some(sign.with("task", id).with("epoch", known.epoch))
}

/// A task that goes from hand to hand.
fn thrash(id: &str, known: &TaskState, limits: &Limits) -> Option<Indicator> {
    (known.epoch >= limits.claims).then(|| {
        let said = format!(
            "task {id} was given out {} times and is not done ({} tries failed)",
            known.epoch, known.failures
        );
        Indicator::new("thrash", Level::Warning, said)
            .mend(format!("swarm-ctl --do 'pause task {id}'"))
            .with("task", id)
            .with("epoch", known.epoch)
            .with("failures", u64::from(known.failures))
    })
}

fn all_mail(seen: &Seen) -> impl Iterator<Item = (&str, Mail)> {
    let agents = seen.agents.iter();
    let agents = agents.filter_map(|agent| Some((agent.name.as_str(), agent.mail?)));
    agents.chain(
        seen.others
            .iter()
            .map(|(name, mail)| (name.as_str(), *mail)),
    )
}

fn of_mail(name: &str, mail: Mail, limits: &Limits) -> Vec<Indicator> {
    let mut signs = Vec::new();
    if let Some(age) = mail.oldest_ms
        && mail.unread > 0
        && age >= limits.unread_ms
    {
        let said = format!(
            "{name} has {} unread messages, the oldest for {}",
            mail.unread,
            length(age)
        );
        let sign = Indicator::new("unread", Level::Warning, said);
        let sign = sign.mend(format!("spore-recv --as {name} --list"));
        signs.push(sign.with("unread", mail.unread).with("oldest_ms", age));
    }
    if mail.dead > 0 {
        let said = format!("{} messages to {name} were given up", mail.dead);
        let sign = Indicator::new("dead-mail", Level::Warning, said);
        let sign = sign.mend(format!("spore-recv --as {name} --dead"));
        signs.push(sign.with("dead", mail.dead));
    }
    signs
}

/// Fewer tasks done in the last stretch of time than in the one before, though some can be had.
fn throughput(
    state: &State,
    seen: &Seen,
    outlook: &Outlook<'_>,
    limits: &Limits,
) -> Option<Indicator> {
    const ENOUGH: usize = 4;
    let ages: Vec<i64> = state
        .tasks
        .values()
        .filter(|known| matches!(known.phase, Phase::Done { .. }))
        .filter_map(|known| Some(seen.now_ms - millis(&known.since)?))
        .collect();
    let within = |from: i64| {
        let range = from..from + limits.window_ms;
        ages.iter().filter(|age| range.contains(age)).count()
    };
    let (last, before) = (within(0), within(limits.window_ms));
    let goes_on = outlook
        .phases
        .iter()
        .any(|phase| matches!(*phase, "ready" | "claimed"));
    (goes_on && before >= ENOUGH && last * 3 <= before).then(|| {
        let window = length(limits.window_ms);
        let said =
            format!("{last} tasks done in the last {window}, {before} in the {window} before");
        Indicator::new("throughput", Level::Warning, said)
            .with("last", Value::from(last as u64))
            .with("before", Value::from(before as u64))
            .with("window_ms", limits.window_ms)
    })
}
