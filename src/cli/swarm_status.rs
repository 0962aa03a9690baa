//! `swarm-status`: how everybody is, why, and what to do about it.

use std::io::Write;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Color, RgbColor, Style};

use super::args::{ColorWhen, RootArgs, duration};
use super::error::{Failure, say, stdout_has_color};
use super::look::{self, Depth};
use super::output::shown;
use super::{Example, Manual, Out, Result, Status, Tool};
use crate::action::Wire;
use crate::health::{Condition, Level, Patient, Report, Until, UntilError, length};
use crate::swarm::news::News;
use crate::swarm::plan::Plan;
use crate::swarm::root::Options;
use crate::swarm::{Journal, Root};
use crate::theme::{Rgb, Scheme, foreground};

const MANUAL: Manual = Manual {
    description: "\
Shows on one screen how every agent of the swarm is and why, in words that one can act on; then what
is wrong with the swarm as a whole, each finding with the command that mends it.

Nothing is changed by looking, and nothing is guessed: an agent works if its process lives and gave a
sign of life, not because it says so. What could not be looked at is said.

    working    it has a task, and a process that was heard not long ago
    stalled    it has a task and a process, and nothing was heard for ten minutes
    dead       it has a task, and the process or the lease is gone
    paused     somebody holds it, and nothing runs
    needs-you  its last try ended with something that only a person can decide
    limited    it may go on at a known time
    done       every task of the plan is done
    idle       none of these; WHY says what it waits for

The findings: `lease` (over, or its holder gone), `needs-you`, `thrash` (given out again and again),
`leak` (a change in the main checkout since the first agent got a tree), `conflict-ahead` (two
agents, or the target and an agent, whose work will not merge, what is not committed included),
`forecast` (of which pairs that is not known, because it would take long; `swarm-merge --forecast`
takes its time), `orphan` (a process that
outlived its run), `unread` (mail that waits for half an hour), `dead-mail`, `throughput` (fell to a
third), `repeated-failure` (three in a row), `silence`, `hold`, `journal`.

With `--wait-for` it blocks until an expression holds, instead of being asked again and again:

    kiro-1=done              the agent is in that state; != for not
    all=done, any=needs-you  everybody, at least one
    task:2.1=done            done, claimed, ready, waiting, later or human
    tasks.done>=3            so many tasks; also tasks.total
    agents.dead=0            so many agents; also agents.total
    mail.unread>0, mail.dead so many messages
    A,B and A|B              both; at least one (the comma binds tighter)",
    input: "",
    output: "\
A table: agent, state, task, since when, `DIFF` (files that differ from where the tree left its base,
`+` those not committed), `BEHIND` (commits of the base that it does not have), unread mail, what its
runs cost as far as their commands tell, and why. Below it the findings, each with a command after
`->`.

With `--json` a ModuleStatus for the swarm and one for each agent, a line each; findings are its
`health_indicators`, with the command as `details.mend`. Our additions stand after its members:
`agent`, `slot`, `state`, `task`, `since`, `why`, `mend`, `run`, `command`, `branch`, `path`; a null
is what could not be found out.

With `--prompt` one short line for a shell prompt or a status bar: tasks done of all, then how many
agents are in which state. It looks at the journal alone.",
    exit_status: &[
        (1, "There is no swarm here yet."),
        (3, "`--wait-for` names an agent or a task that is not there."),
        (124, "`--timeout` passed before the expression held."),
    ],
    environment: &[("SPORE_ROOT", "The swarm's directory, if `--root` does not say.")],
    files: &[
        ("REPOSITORY.swarm/journal/", "What happened; everything follows from it."),
        ("REPOSITORY.swarm/hold", "Who is paused or stopped."),
    ],
    examples: &[
        Example {
            says: "Two agents, a plan, and one task in hand",
            session: r#"
$ git init -q -b main app && cd app && echo 1 > README && git add . && git commit -qm first
$ cat > plan.json <<'END'
> {"plan_id":"p1","agents":[{"name":"kiro-1"},{"name":"kiro-2"}],"tasks":[
> {"id":"1","title":"Set up","agent":"kiro-1"},{"id":"2","title":"Parse","agent":"kiro-2","after":["1"]}]}
> END
$ swarm-assign adopt plan.json && rm plan.json
p1
$ worktree-spawn -q kiro-1 kiro-2 > /dev/null
$ swarm-assign next --agent kiro-1 > /dev/null
$ swarm-status
plan p1: 0 of 2 tasks done, 1 in hand, 1 waiting
AGENT   STATE    TASK  SINCE  DIFF  BEHIND  MAIL  COST  WHY
kiro-1  working  1     [..]s     0     0       0     -     it has the task by claim 1; no run of it is known
kiro-2  idle     -     -      0     0       0     -     nothing is ready: 2 waits, and 1 is with kiro-1
"#,
        },
        Example {
            says: "An agent that writes into the main checkout, and one that needs a person",
            session: r#"
$ swarm-assign fail 1 --agent kiro-1 --from-exit 13 --why 'may not write src/'
denied: a person must look at it
$ echo more >> README
$ swarm-status --color never
plan p1: 0 of 2 tasks done, 1 waiting, 1 for you
AGENT   STATE      TASK  SINCE  DIFF  BEHIND  MAIL  COST  WHY
kiro-1  needs-you  1     [..]s     0     0       0     -     task 1: denied: may not write src/
        -> swarm-assign retry 1
kiro-2  idle       -     -      0     0       0     -     nothing is ready: 2 waits, and 1 needs you
        -> swarm-assign retry 1
! needs-you: task 1 needs you: denied: may not write src/
        -> swarm-assign retry 1
! leak: the main checkout has a change in README
        -> git -C [..]/app diff HEAD -- README
"#,
        },
        Example {
            says: "Two who change the same line, long before anything is merged",
            session: r#"
$ git checkout -q README && echo one > ../app.swarm/wt/kiro-1/README && echo two > ../app.swarm/wt/kiro-2/README
$ swarm-status | grep -A 1 conflict-ahead
! conflict-ahead: kiro-1 and kiro-2 will conflict in README (line 1/1)
        -> swarm-merge --forecast kiro-1 kiro-2
$ swarm-status --json | grep -o '"a":"kiro-1".*"lines":[^]]*'
"a":"kiro-1","b":"kiro-2","files":[{"path":"README","kind":"contents","lines":[{"a":1,"b":1}
$ git -C ../app.swarm/wt/kiro-1 checkout -q README && git -C ../app.swarm/wt/kiro-2 checkout -q README
"#,
        },
        Example {
            says: "Wait in one call instead of asking again and again",
            session: r#"
$ swarm-status --wait-for 'any=needs-you|all=done' --timeout 1m --quiet
$ swarm-status --wait-for 'tasks.done>=1' --timeout 100ms || echo "status $?"
swarm-status: "tasks.done>=1" did not come true in time
status 124
$ swarm-status --wait-for kiro-3=done || echo "status $?"
swarm-status: nobody here is called "kiro-3"
hint: did you mean kiro-1 or kiro-2?
status 3
"#,
        },
        Example {
            says: "For a prompt, for a program, and again at every change",
            session: r#"
$ swarm-status --prompt
0/2 needs-you:1 idle:1
$ swarm-status --json | cut -d'"' -f4,12
swarm"warning
agent/kiro-1"warning
agent/kiro-2"healthy
$ swarm-status -C ../app.swarm/wt/kiro-1 --prompt
0/2 needs-you:1 idle:1
$ timeout 1 swarm-status --root ../app.swarm --watch --prompt || echo "status $?"
0/2 needs-you:1 idle:1
status 124
"#,
        },
    ],
    see_also: &["swarm-ctl(1)", "agent-run(1)", "swarm-assign(1)", "worktree-spawn(1)"],
};

/// Show how every agent is, why, and what to do about it
#[derive(Debug, clap::Parser)]
#[command(name = "swarm-status", version)]
pub struct Args {
    /// Print a ModuleStatus for every part, one JSON line each
    #[arg(long, conflicts_with = "prompt")]
    json: bool,

    /// Print one short line for a shell prompt or a status bar
    #[arg(long)]
    prompt: bool,

    /// Show it again whenever something changed, until interrupted
    #[arg(long, conflicts_with = "wait_for")]
    watch: bool,

    /// Block until EXPR holds, such as `all=done|any=needs-you`, then show
    #[arg(long, value_name = "EXPR")]
    wait_for: Option<String>,

    /// How long to wait at most
    #[arg(long, value_name = "DURATION", default_value = "9m", value_parser = duration, requires = "wait_for")]
    timeout: Duration,

    /// Show nothing; the exit status is the answer
    #[arg(short, long)]
    quiet: bool,

    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorWhen,

    #[command(flatten)]
    root: RootArgs,
}

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        let root = Root::find(&Options {
            start: self.root.repo.clone().unwrap_or_default(),
            root: self.root.root.clone(),
        })?;
        if !root.exists() {
            say(&format!(
                "swarm-status: no swarm at {} yet\nhint: worktree-spawn -n 3\n",
                root.path().display()
            ));
            return Ok(Status::No);
        }
        if let Some(text) = &self.wait_for {
            let until = text.parse().map_err(never)?;
            if !wait(&root, &until, self.timeout)? {
                say(&format!(
                    "swarm-status: {text:?} did not come true in time\n"
                ));
                return Ok(Status::TimedOut);
            }
        }
        if self.quiet {
            return Ok(Status::Done);
        }
        if self.watch {
            return self.watch(&root, out);
        }
        out.write_all(self.shown(&now(&root, self.depth())?).as_bytes())?;
        Ok(Status::Done)
    }
}

impl Args {
    fn depth(&self) -> Depth {
        match self.prompt {
            true => Depth::default(),
            false => Depth::ALL,
        }
    }

    fn shown(&self, report: &Report) -> String {
        if self.json {
            let modules = report.modules(env!("CARGO_PKG_VERSION"));
            modules
                .iter()
                .map(|module| module.to_json() + "\n")
                .collect()
        } else if self.prompt {
            prompt(report) + "\n"
        } else {
            screen(report, stdout_has_color(self.color))
        }
    }

    /// Shows it whenever it became something else, looking at least every two seconds.
    fn watch(&self, root: &Root, out: &mut Out) -> Result {
        const AT_LEAST: Duration = Duration::from_secs(2);
        // Many events at once are one change.
        const AT_MOST: Duration = Duration::from_millis(200);
        let news = News::arm(root);
        let mut last = None;
        loop {
            let report = now(root, self.depth())?;
            let text = self.shown(&report);
            // Records carry the time at which one looked: that alone is no change.
            let what = match self.json {
                true => essence(&report),
                false => text.clone(),
            };
            if last.as_ref() != Some(&what) {
                if !self.json && !self.prompt {
                    // Home, and clear the screen; where there is none, a page break.
                    let terminal = stdout_has_color(ColorWhen::Auto);
                    out.write_all(if terminal { b"\x1b[H\x1b[J" } else { b"\x0c" })?;
                }
                out.write_all(text.as_bytes())?;
                out.hand_on()?;
                last = Some(what);
            }
            std::thread::sleep(AT_MOST);
            news.wait(AT_LEAST);
        }
    }
}

/// How everything is now.
fn now(root: &Root, depth: Depth) -> Result<Report> {
    let journal = Journal::read(root)?;
    let plan = Plan::read(root)?.unwrap_or_default();
    look::report(root, &journal, &plan, depth)
}

/// Blocks until the expression holds; false if the time passed first.
fn wait(root: &Root, until: &Until, at_most: Duration) -> Result<bool> {
    // Leases end and processes die without a word in the journal.
    const ASK: Duration = Duration::from_secs(1);
    let begun = Instant::now();
    let depth = Depth {
        mail: until.is_about_mail(),
        ..Depth::default()
    };
    let news = News::arm(root);
    let mut journal = Journal::read(root)?;
    loop {
        journal.catch_up()?;
        let plan = Plan::read(root)?.unwrap_or_default();
        let report = look::report(root, &journal, &plan, depth)?;
        if until.holds(&report).map_err(never)? {
            return Ok(true);
        }
        let left = at_most.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        news.wait(left.min(ASK));
    }
}

/// An expression that cannot be read, or that asks for what is not there.
fn never(error: UntilError) -> anyhow::Error {
    let status = match error {
        UntilError::Nobody(..) | UntilError::NoTask(..) => Status::Unknown,
        UntilError::Form(_) | UntilError::Word { .. } => Status::Trouble,
    };
    let failure = Failure::new(status, error.to_string());
    let failure = match error.nearest().as_slice() {
        [] => failure,
        near => failure.hint(format!("did you mean {}?", near.join(" or "))),
    };
    failure.into()
}

/// What a report says apart from when it was made.
fn essence(report: &Report) -> String {
    let mut text = format!("{:?} {:?}", report.tasks, report.mail);
    for patient in &report.agents {
        let Patient {
            agent,
            condition,
            task,
            since,
            run,
            ..
        } = patient;
        text.push_str(&format!(
            "{agent:?} {condition:?} {task:?} {since:?} {run:?}"
        ));
    }
    for sign in &report.indicators {
        text.push_str(&format!("{} {:?}", sign.name, sign.mend));
    }
    text
}

/// `2/6 working:2 needs-you:1`
fn prompt(report: &Report) -> String {
    let mut text = format!("{}/{}", report.tasks.done, report.tasks.total);
    // What wants somebody comes first.
    for condition in [
        Condition::NeedsYou,
        Condition::Dead,
        Condition::Stalled,
        Condition::Limited,
        Condition::Working,
        Condition::Idle,
        Condition::Paused,
        Condition::Done,
    ] {
        let same = report.agents.iter().filter(|a| a.condition == condition);
        match same.count() {
            0 => {}
            count => text.push_str(&format!(" {}:{count}", condition.as_str())),
        }
    }
    text
}

/// The whole for people.
fn screen(report: &Report, coloured: bool) -> String {
    let mut text = headline(report);
    let head = [
        "AGENT", "STATE", "TASK", "SINCE", "DIFF", "BEHIND", "MAIL", "COST",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(report.agents.iter().map(|patient| row(report, patient)));
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let padded = |row: &[String; 8]| {
        let cells = row.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{cell:width$}  "));
        cells.collect::<Vec<String>>()
    };
    if report.agents.is_empty() {
        text.push_str("nobody is here\n");
    } else {
        text.push_str(&format!("{}WHY\n", padded(&rows[0]).concat()));
    }
    for (patient, row) in report.agents.iter().zip(&rows[1..]) {
        let mut cells = padded(row);
        if coloured {
            if let Some(slot) = patient.agent.slot {
                let scheme = Scheme::of_slot(slot);
                cells[0] = painted(&cells[0], scheme.main.rgb, scheme.side.rgb);
            }
            let style = Style::new().fg_color(Some(colour_of(patient.level()).into()));
            cells[1] = format!("{style}{}{style:#}", cells[1]);
        }
        let line = format!("{}{}", cells.concat(), shown(&patient.why));
        text.push_str(line.trim_end());
        text.push('\n');
        for sign in &patient.indicators {
            finding(&mut text, &sign.message, sign.mend.as_deref(), "        ");
        }
        if let Some(mend) = &patient.mend {
            text.push_str(&format!("        -> {}\n", shown(mend)));
        }
    }
    for sign in &report.indicators {
        let style = match (coloured, sign.level) {
            (true, level) => Style::new().fg_color(Some(colour_of(level).into())),
            (false, _) => Style::new(),
        };
        let mark = if sign.level == Level::Healthy {
            "."
        } else {
            "!"
        };
        let said = format!(
            "{style}{mark} {}{style:#}: {}",
            sign.name,
            shown(&sign.message)
        );
        text.push_str(&said);
        text.push('\n');
        if let Some(mend) = &sign.mend {
            text.push_str(&format!("        -> {}\n", shown(mend)));
        }
    }
    text
}

fn finding(text: &mut String, message: &str, mend: Option<&str>, margin: &str) {
    text.push_str(&format!("{margin}{}\n", shown(message)));
    if let Some(mend) = mend {
        text.push_str(&format!("{margin}-> {}\n", shown(mend)));
    }
}

/// `plan p1: 3 of 6 tasks done, 2 in hand, 1 for you; $1.20`
fn headline(report: &Report) -> String {
    let tasks = &report.tasks;
    let mut text = match &report.plan {
        None if tasks.total == 0 => "no plan is in force".to_owned(),
        None => format!("{} of {} tasks done", tasks.done, tasks.total),
        Some((plan, _)) => {
            let plan = shown(plan);
            format!("plan {plan}: {} of {} tasks done", tasks.done, tasks.total)
        }
    };
    for (count, what) in [
        (tasks.claimed, "in hand"),
        (tasks.ready, "ready"),
        (tasks.waiting, "waiting"),
        (tasks.later, "put off"),
        (tasks.human, "for you"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if let Some(cost) = report.usd_micros() {
        text.push_str(&format!("; {}", money(cost)));
    }
    text.push('\n');
    text
}

fn row(report: &Report, patient: &Patient) -> [String; 8] {
    let count = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
    let since = patient.since.as_deref().and_then(|time| {
        let time: jiff::Timestamp = time.parse().ok()?;
        Some(length(report.now_ms - time.as_millisecond()))
    });
    let (diff, behind) = match &patient.agent.tree {
        None => ("-".to_owned(), "-".to_owned()),
        Some(tree) => {
            let dirty = tree.dirty.filter(|dirty| *dirty > 0);
            let dirty = dirty.map(|dirty| format!("+{dirty}")).unwrap_or_default();
            (count(tree.files) + &dirty, count(tree.behind))
        }
    };
    let mail = match patient.agent.mail {
        None => "-".to_owned(),
        Some(mail) => mail.unread.to_string(),
    };
    [
        patient.agent.name.clone(),
        patient.condition.as_str().to_owned(),
        patient.task.as_deref().map_or("-".to_owned(), shown),
        since.unwrap_or_else(|| "-".to_owned()),
        diff,
        behind,
        mail,
        patient.usd_micros.map_or("-".to_owned(), money),
    ]
}

fn money(micros: u64) -> String {
    format!("${:.2}", micros as f64 / 1e6)
}

/// A cell in the colours of a slot: the name on the main one, its margin in the other.
fn painted(cell: &str, main: Rgb, side: Rgb) -> String {
    let color = |rgb: Rgb| Color::Rgb(RgbColor(rgb.0, rgb.1, rgb.2));
    let name = Style::new()
        .bg_color(Some(color(main)))
        .fg_color(Some(color(foreground(main))));
    let margin = Style::new().bg_color(Some(color(side)));
    let split = cell.len() - 2;
    let (text, blank) = cell.split_at(split);
    format!("{name}{text}{name:#}{margin} {margin:#}{}", &blank[1..])
}

fn colour_of(level: Level) -> AnsiColor {
    match level {
        Level::Healthy => AnsiColor::Green,
        Level::Warning => AnsiColor::Yellow,
        Level::Critical => AnsiColor::Red,
    }
}
