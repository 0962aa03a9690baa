//! `swarm-merge`: bring finished branches home, together and tested.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::args::{RootArgs, duration};
use super::error::{Failure, say};
use super::output::shown;
use super::{Example, Manual, Out, Result, Status, Tool, input};
use crate::action::Wire;
use crate::integrate::candidate::Passed;
use crate::integrate::run::{self, Outcome, Request};
use crate::integrate::{self, bundle, check, report};
use crate::swarm::config::{MergeMode, MergeOrder, MergePolicy};
use crate::swarm::{Config, Root, root};
use crate::workspace::{Git, forecast};

const MANUAL: Manual = Manual {
    description: "\
`swarm-merge` takes the branches that are finished, merges them one after the other in memory, runs
the gate on what they make together, and moves the target (`main`) to it. Agents' branches that are
each green can be red together; here nothing lands that was not tested as it lands.

Finished is every agent's branch that has commits which the target lacks, unless the journal says
that the agent is still at a task or that a task waits for a person. Operands (agents, branches, any
revision) name others, and override that.

When the gate fails, the branch that breaks the union is found by halving the batch: for N branches
and one culprit in at most log2 N + 2 gate runs. It is handed back, the others land. A branch that
conflicts is handed back as a branch `conflict/AGENT`, which holds both sides with their markers,
and as a task that tells the hunks and who wrote each side; its tasks are open again for
`swarm-assign next`. When that branch, or the agent's own, has the conflict resolved, the next
`swarm-merge` lands it. The target never holds a part of a branch.

The target moves by compare-and-swap from the commit that the test began at. If somebody moved it
meanwhile, the union is made anew and tested again. If `swarm-merge` is killed, nothing half-done is
left, and gates that passed are not run again on the same tree.

A checkout of the target goes along where you stand in it and it is clean, as with `git merge`.
Otherwise the command refuses before it tests anything; `--update-checkout` allows it.

The gate replaces commit hooks: they are not run. `reference-transaction` is, and may refuse.",
    input: "\
Operands only.",
    output: "\
A line for each branch, tab between columns: `landed` BRANCH COMMIT; `back` BRANCH KIND WHY; `passed`
BRANCH WHY; with `--dry-run`, `would-land` BRANCH WHY; with `--via pr`, `offered` BRANCH COMMIT, then
`run` and a command line to push the branch and to open the pull request. A summary goes to standard
error.

With `--check` a line for each statement of the report: `proved` or `unproved`, the statement, the
proof or what is missing; status 1 if one has no proof.

With `--forecast` a line for each file in which two agents (or an agent and the target) conflict: A, B,
path, kind, and the lines at which the hunks begin in A and B; status 1 if there are any. With
`--json` a record for each pair: `type` `conflict-ahead`, `a`, `b`, `files` (`path`, `kind`, `lines`).

With `--import` a line for each branch: `imported` BRANCH COMMIT, how many outcomes its commits bear
out, and how many messages came along, in which directory: they are not delivered, since nobody here
can tell who wrote them (`spore-send --as FROM --to NAME < FILE` does).

With `--json` a Task for each branch that was handed back, then the IntegrationReport. Our additions
stand after its members: `into`, `old`, `new`, `mode`, `landed`, `handed_back`, `passed_over`,
`order`, `gate_runs`.",
    exit_status: &[
        (0, "Everything that is finished has landed."),
        (1, "Something was handed back, or the target itself fails the gate."),
        (5, "Refused: no gate is set, the target is protected, or its checkout would change."),
        (75, "Another `swarm-merge` is at work, or the target does not stand still."),
    ],
    environment: &[
        ("SPORE_ROOT", "The swarm's directory, as `--root`."),
        (
            "SPORE_GATE, SPORE_TREE, SPORE_BRANCHES",
            "For the gate: its command line, the tree that it tests, the branches in it.",
        ),
    ],
    files: &[
        ("<repository>.swarm/merge/tree", "The worktree in which gates run; ignored files (caches) stay in it."),
        ("<repository>.swarm/merge/logs/", "What each gate wrote."),
        ("<repository>.swarm/merge/reports/", "The report of each merge."),
        ("<repository>.swarm/journal/", "What passed, what landed as which commit, what was handed back."),
        ("swarm.toml", "`[merge]`: gate, target, mode, policy, order, gate_timeout, protected."),
    ],
    examples: EXAMPLES,
    see_also: &["worktree-spawn(1)", "swarm-assign(1)", "git-merge-tree(1)"],
};

/// Merge finished branches together, test what they make, land it
#[derive(Debug, clap::Parser)]
#[command(name = "swarm-merge", version)]
#[command(override_usage = "swarm-merge [OPTIONS] [AGENT|BRANCH]...")]
pub struct Args {
    /// Agents, branches or revisions; otherwise all that are finished
    #[arg(value_name = "AGENT|BRANCH")]
    names: Vec<String>,

    /// The branch to land on
    #[arg(long, value_name = "BRANCH")]
    into: Option<String>,

    /// Run CMD on the union; it must end with 0 (may be given more than once)
    #[arg(long, value_name = "CMD")]
    gate: Vec<String>,

    /// End a gate that takes longer; it has failed
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    gate_timeout: Option<Duration>,

    /// Run gates again that passed on the same tree before
    #[arg(long)]
    afresh: bool,

    /// In which order branches go in: oldest, least-conflict, given
    #[arg(long, value_name = "ORDER", value_parser = order)]
    order: Option<MergeOrder>,

    /// How branches become commits of the target: merge, squash, rebase
    #[arg(long, value_name = "MODE", value_parser = mode)]
    mode: Option<MergeMode>,

    /// When branches land: quality_gated, batch, immediate, manual
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    policy: Option<MergePolicy>,

    /// For a culprit, find out whether it passes alone, and which branch it does not go with
    #[arg(long)]
    why: bool,

    /// Leave the target alone: make a branch with the tested union and the texts for a pull request
    #[arg(long, value_name = "HOW", value_parser = ["pr"])]
    via: Option<String>,

    /// Show a report again: the last one, or that of ID
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["names", "gate", "dry_run", "forecast"])]
    report: Option<String>,

    /// Derive every line of a report again; fail if one has no proof
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["names", "gate", "dry_run", "forecast", "report"])]
    check: Option<String>,

    /// Write the finished branches, their outcomes and messages to one file instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gate", "dry_run", "forecast", "report", "check"])]
    export: Option<PathBuf>,

    /// Bring in what such a file holds, as branches import/NAME; nothing in it is believed untested
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "gate", "dry_run", "forecast", "report", "check", "export"])]
    import: Option<PathBuf>,

    /// Print the report in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,

    /// Append the report to the file that GITHUB_STEP_SUMMARY names
    #[arg(long)]
    github_summary: bool,

    /// Show which agents' work will conflict, what is not committed included; nothing is written
    #[arg(long, conflicts_with_all = ["gate", "dry_run", "why", "update_checkout"])]
    forecast: bool,

    /// Let the checkout of the target go along, also when it was not started there
    #[arg(long)]
    update_checkout: bool,

    /// Decide and print, but test and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Print records: a Task for each branch handed back, then the IntegrationReport
    #[arg(long)]
    json: bool,

    /// Say nothing on standard error but errors
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    root: RootArgs,
}

fn order(text: &str) -> std::result::Result<MergeOrder, String> {
    match text {
        "oldest" => Ok(MergeOrder::Oldest),
        "least-conflict" => Ok(MergeOrder::LeastConflict),
        "given" => Ok(MergeOrder::Given),
        _ => Err("say oldest, least-conflict or given".to_owned()),
    }
}

fn mode(text: &str) -> std::result::Result<MergeMode, String> {
    match text {
        "merge" => Ok(MergeMode::Merge),
        "squash" => Ok(MergeMode::Squash),
        "rebase" => Ok(MergeMode::Rebase),
        _ => Err("say merge, squash or rebase".to_owned()),
    }
}

fn policy(text: &str) -> std::result::Result<MergePolicy, String> {
    match text {
        "immediate" => Ok(MergePolicy::Immediate),
        "batch" => Ok(MergePolicy::Batch),
        "manual" => Ok(MergePolicy::Manual),
        "quality_gated" | "quality-gated" => Ok(MergePolicy::QualityGated),
        _ => Err("say quality_gated, batch, immediate or manual".to_owned()),
    }
}

/// How long a gate may take if nobody says.
const GATE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        let root = Root::find(&root::Options {
            start: self.root.repo.clone().unwrap_or_default(),
            root: self.root.root.clone(),
        })?;
        if let Some(id) = &self.report {
            let report = report::kept(&root, Some(&**id).filter(|id| !id.is_empty()))?;
            match self.json {
                true => writeln!(out, "{}", report.to_json())?,
                false => write!(out, "{}", report::markdown(&report))?,
            }
            return Ok(Status::Done);
        }
        if let Some(id) = &self.check {
            return self.check(&root, Some(&**id).filter(|id| !id.is_empty()), out);
        }
        let request = self.request(&Config::read(&root)?);
        if let Some(file) = &self.export {
            let (ready, passed, bytes) = run::export(&root, &request, file)?;
            for candidate in &ready {
                let commit = &candidate.head[..candidate.head.len().min(12)];
                writeln!(out, "exported\t{}\t{commit}", shown(&candidate.branch))?;
            }
            passed_over(&passed, out)?;
            if !self.quiet {
                say(&format!("{bytes} bytes\n"));
            }
            return Ok(if ready.is_empty() {
                Status::No
            } else {
                Status::Done
            });
        }
        if let Some(file) = &self.import {
            return self.import(&root, file, out);
        }
        if self.forecast {
            return self.foresee(&root, &request, out);
        }
        let quiet = self.quiet;
        let outcome = run::integrate(&root, &request, &|what| {
            if !quiet {
                say(&format!("swarm-merge: {what}\n"));
            }
        })?;
        self.tell(&root, &outcome, out)
    }
}

impl Args {
    fn request(&self, config: &Config) -> Request {
        let merge = &config.merge;
        let gates = match &*self.gate {
            [] => merge.gate.iter().cloned().collect(),
            gates => gates.to_vec(),
        };
        Request {
            names: self.names.clone(),
            into: self.into.clone().or_else(|| merge.target.clone()),
            order: self.order.or(merge.order).unwrap_or_default(),
            mode: self.mode.or(merge.mode).unwrap_or(MergeMode::Merge),
            policy: self
                .policy
                .or(merge.policy)
                .unwrap_or(MergePolicy::QualityGated),
            gates,
            timeout: self
                .gate_timeout
                .or(merge.gate_timeout)
                .unwrap_or(GATE_TIMEOUT),
            afresh: self.afresh,
            why: self.why,
            dry_run: self.dry_run,
            here: self.root.repo.clone().unwrap_or_else(|| PathBuf::from(".")),
            update_checkout: self.update_checkout,
            protected: merge.protected.clone(),
            via_pr: self.via.is_some(),
        }
    }

    /// Brings in a file of another machine.
    fn import(&self, root: &Root, file: &Path, out: &mut Out) -> Result {
        let git = Git::at(&run::repository_of(root)?.common_dir);
        let _lock = integrate::lock(root)?;
        let mut all = true;
        for imported in bundle::import(root, &git, file)? {
            if self.json {
                let record = serde_json::json!({
                    "v": 1, "type": "imported", "branch": imported.branch, "commit": imported.commit,
                    "outcomes_borne_out": imported.believed, "outcomes_refused": imported.refused,
                    "messages": imported.messages, "messages_in": imported.messages_in,
                });
                writeln!(out, "{record}")?;
            } else {
                bundle::line(out, &imported)?;
            }
            for why in &imported.refused {
                all = false;
                say(&format!("swarm-merge: not believed: {why}\n"));
            }
        }
        Ok(if all { Status::Done } else { Status::No })
    }

    /// Derives a report again.
    fn check(&self, root: &Root, id: Option<&str>, out: &mut Out) -> Result {
        let report = report::kept(root, id)?;
        let git = Git::at(&run::repository_of(root)?.common_dir);
        let mut all = true;
        for line in check::check(root, &git, &report)? {
            let (word, why) = match &line.proof {
                Ok(proof) => ("proved", proof),
                Err(why) => ("unproved", why),
            };
            all &= line.proof.is_ok();
            if self.json {
                let (name, says) = (if line.proof.is_ok() { "proof" } else { "why" }, &line.says);
                let mut record = serde_json::json!({
                    "v": 1, "type": "check", "says": says, "proved": line.proof.is_ok(),
                });
                record[name] = serde_json::json!(why);
                writeln!(out, "{record}")?;
            } else {
                writeln!(out, "{word}\t{}\t{}", shown(&line.says), shown(why))?;
            }
        }
        Ok(if all { Status::Done } else { Status::No })
    }

    /// Prints every pair that conflicts.
    fn foresee(&self, root: &Root, request: &Request, out: &mut Out) -> Result {
        let repository = run::repository_of(root)?;
        let git = Git::at(&repository.common_dir);
        let into = run::target(&git, root, request.into.as_deref())?;
        let trees = input::trees(root, &self.names)?;
        let sides = forecast::sides(&git, &into, &trees)?;
        let pairs = forecast::foresee(repository, &sides)?;
        for pair in &pairs {
            let (a, b) = (&sides[pair.sides.0].name, &sides[pair.sides.1].name);
            if self.json {
                let files: Vec<serde_json::Value> = pair.files.iter().map(clash).collect();
                let record = serde_json::json!({
                    "v": 1, "type": "conflict-ahead", "a": a, "b": b, "files": files,
                });
                writeln!(out, "{record}")?;
                continue;
            }
            for file in &pair.files {
                let lines: Vec<String> =
                    file.lines.iter().map(|(a, b)| format!("{a}/{b}")).collect();
                let lines = if lines.is_empty() {
                    "-".to_owned()
                } else {
                    lines.join(",")
                };
                let path = shown(&file.path);
                writeln!(out, "{a}\t{b}\t{path}\t{}\t{lines}", file.kind)?;
            }
        }
        Ok(if pairs.is_empty() {
            Status::Done
        } else {
            Status::No
        })
    }

    /// Writes what came of it, and gives the status.
    fn tell(&self, root: &Root, outcome: &Outcome, out: &mut Out) -> Result {
        let report = report::report(outcome);
        if !self.dry_run && !outcome.order.is_empty() {
            report::keep(root, &report)?;
        }
        if self.json {
            for back in &outcome.back {
                writeln!(out, "{}", back.task(&outcome.into).to_json())?;
            }
            writeln!(out, "{}", report.to_json())?;
        } else if self.markdown {
            write!(out, "{}", report::markdown(&report))?;
        } else {
            write_plain(outcome, out)?;
        }
        if let (Some(pull), false, false) = (&outcome.pull, self.json, self.markdown) {
            for line in pull.commands(root) {
                writeln!(out, "run\t{line}")?;
            }
        }
        if self.github_summary {
            summarise(&report::markdown(&report))?;
        }
        if !self.quiet {
            for settled in &outcome.settled {
                say(&format!("swarm-merge: {settled}\n"));
            }
            say(&format!("{}\n", report.summary));
        }
        let clean = outcome.back.is_empty() && outcome.target_red.is_none();
        Ok(if clean { Status::Done } else { Status::No })
    }
}

/// Appends to the summary of a step of GitHub Actions.
fn summarise(text: &str) -> Result<()> {
    let path = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| {
        Failure::usage("GITHUB_STEP_SUMMARY is not set: this is no step of GitHub Actions")
            .hint("--markdown prints the report")
    })?;
    let mut file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(&path)
        .with_context(|| format!("{}", path.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

/// A file of a forecast.
fn clash(file: &forecast::Clash) -> serde_json::Value {
    let lines: Vec<serde_json::Value> = file
        .lines
        .iter()
        .map(|(a, b)| serde_json::json!({"a": a, "b": b}))
        .collect();
    serde_json::json!({"path": file.path, "kind": file.kind, "lines": lines})
}

fn write_plain(outcome: &Outcome, out: &mut Out) -> Result<()> {
    for landed in &outcome.landed {
        let commit = &landed.landed_as[..landed.landed_as.len().min(12)];
        writeln!(out, "landed\t{}\t{commit}", shown(&landed.candidate.branch))?;
    }
    for offered in &outcome.offered {
        let commit = &offered.landed_as[..offered.landed_as.len().min(12)];
        writeln!(
            out,
            "offered\t{}\t{commit}",
            shown(&offered.candidate.branch)
        )?;
    }
    for branch in &outcome.would {
        let why = outcome.order.iter().find(|(name, _)| name == branch);
        let why = why.map_or("", |(_, why)| why);
        writeln!(out, "would-land\t{}\t{}", shown(branch), shown(why))?;
    }
    for back in &outcome.back {
        let mut why = back.why.clone();
        if let Some((handed, _)) = &back.handed {
            why.push_str(&format!("; both sides are in {handed}"));
        }
        if let Some(log) = &back.log {
            why.push_str(&format!("; see {log}"));
        }
        writeln!(
            out,
            "back\t{}\t{}\t{}",
            shown(&back.candidate.branch),
            back.kind,
            shown(&why)
        )?;
    }
    passed_over(&outcome.passed, out)
}

fn passed_over(passed: &[Passed], out: &mut Out) -> Result<()> {
    for passed in passed {
        writeln!(
            out,
            "passed\t{}\t{}",
            shown(&passed.branch),
            shown(&passed.why)
        )?;
    }
    Ok(())
}

const EXAMPLES: &[Example] = &[
    Example {
        says: "Four agents have committed; what would come home, without touching anything",
        session: r#"
$ git init -q -b main app && cd app && printf 'one\ntwo\nthree\n' > text
$ echo 'test "$(cat limit.* 2>/dev/null | wc -l)" -lt 3' > gate.sh && git add . && git commit -qm first
$ worktree-spawn -q a1 a2 a3 a4 > /dev/null
$ agent() { ( cd ../app.swarm/wt/$1 && sh -c "$2" && git add -A && git commit -qm "$3" ); }
$ agent a1 "sed -i s/two/zwei/ text" "Speak German"
$ agent a2 "sed -i s/two/deux/ text" "Speak French"
$ agent a3 "printf 'a\nb\n' > limit.a" "Add two limits"
$ agent a4 "echo c > limit.b" "Add a limit"
$ swarm-merge --dry-run --order given a1 a2 a3 a4 || echo "status $?"
3 of 4 branches would land in main. 1 branch would be handed back, about 5 minutes of work.
would-land	swarm/a1	as named
would-land	swarm/a3	as named
would-land	swarm/a4	as named
back	swarm/a2	conflict	conflict in text
status 1
"#,
    },
    Example {
        says: "Who will conflict with whom, and where, long before anything is merged; also what is not committed yet",
        session: r#"
$ sed -i s/one/eins/ ../app.swarm/wt/a3/text && sed -i s/one/un/ ../app.swarm/wt/a4/text
$ swarm-merge --forecast || echo "status $?"
a1	a2	text	contents	2/2
a1	a3	text	contents	1/1
a1	a4	text	contents	1/1
a2	a3	text	contents	1/1
a2	a4	text	contents	1/1
a3	a4	text	contents	1/1
status 1
$ git -C ../app.swarm/wt/a3 checkout -q text && git -C ../app.swarm/wt/a4 checkout -q text
"#,
    },
    Example {
        says: "Bring them home. Each passes the gate alone; a3 and a4 together do not, which is found out. The one that conflicts comes back as a branch",
        session: r#"
$ swarm-merge --gate 'sh gate.sh' --order given --why a1 a2 a3 a4 || echo "status $?"
swarm-merge: testing the union of 3 branches
swarm-merge: 3 fail; testing the first 1
swarm-merge: 3 fail; testing the first 2
2 of 4 branches landed in main after 5 gate runs. 2 branches handed back, about 12 minutes of work.
landed	swarm/a1	[..]
landed	swarm/a3	[..]
back	swarm/a4	red	"sh gate.sh" ended with 1; it passes alone and fails together with swarm/a3; see merge/logs/[..].log
back	swarm/a2	conflict	conflict in text; both sides are in conflict/a2
status 1
$ cat text && git status --short
one
zwei
three
"#,
    },
    Example {
        says: "The agent resolves its conflict, and it lands",
        session: r#"
$ cd ../app.swarm/wt/a2 && git merge -q conflict/a2 && cat text
one
<<<<<<< main
zwei
=======
deux
>>>>>>> swarm/a2
three
$ printf 'one\nzwei, deux\nthree\n' > text && git commit -qam 'Speak both' && cd ../../../app
$ swarm-merge --gate 'sh gate.sh' --gate-timeout 10m --quiet a2
landed	swarm/a2	[..]
$ git log -1 --format=%B
Merge swarm/a2: Speak French

- Speak French
- Speak both

Agent: a2

"#,
    },
    Example {
        says: "Every line of the report derived again from git and the journal, and the report for people",
        session: r#"
$ swarm-merge --check
proved	swarm/a2 landed as [..]	in refs/heads/main; tree [..] passed sh gate.sh
proved	"sh gate.sh" ended with 0	tree [..] in the journal
proved	the lists agree with the lines	they do
proved	what passed and failed	as the gate runs say
proved	the target went to [..]	from [..]
proved	cost and idle time	as the journal and the runs say
proved	the summary	follows from the lines
$ swarm-merge --report | head -n 9
# Merge into main

1 of 1 branch landed in main after 1 gate run.

## Landed

| branch | agent | tasks | commit | why |
|---|---|---|---|---|
| `swarm/a2` | a2 |  | `[..]` | named |
"#,
    },
    Example {
        says: "As records: the task for whoever takes the culprit up, then the report",
        session: r#"
$ swarm-merge --gate 'sh gate.sh' --afresh --json --quiet a4 | cut -c1-54
{"id":"merge-swarm-a4-[..]","description":"Bring s
{"report_id":"[..]
"#,
    },
    Example {
        says: "From elsewhere, squashed, onto another branch that is checked out nowhere; without a gate only when the policy says so",
        session: r#"
$ git branch next main~1 && cd ..
$ swarm-merge -C app --root ../app.swarm --into next --mode squash a4 || echo "status $?"
swarm-merge: no gate is set, and the policy quality_gated lands nothing untested
hint: --gate 'make test', or gate under [merge] in swarm.toml, or --policy batch
status 5
$ swarm-merge -C app --root ../app.swarm --into next --mode squash --policy batch --quiet a4
landed	swarm/a4	[..]
"#,
    },
    Example {
        says: "The checkout of the target goes along only where you stand in it, or say so",
        session: r#"
$ echo more > app.swarm/wt/a1/more && git -C app.swarm/wt/a1 add more && git -C app.swarm/wt/a1 commit -qm 'Add more'
$ cd app.swarm/wt/a1 && swarm-merge --gate true --quiet a1 || echo "status $?"
swarm-merge: main is checked out in "[..]/work/app", which would have to change with it
hint: --update-checkout, or start it there
status 5
$ swarm-merge --gate true --quiet --update-checkout a1 && ls ../../../app
landed	swarm/a1	[..]
gate.sh
limit.a
more
text
"#,
    },
    Example {
        says: "Where only a pull request may move the target: a branch with the tested union, the texts, and the commands to type",
        session: r#"
$ cd ../../.. && echo last > app.swarm/wt/a1/last && git -C app.swarm/wt/a1 add last && git -C app.swarm/wt/a1 commit -qm 'Add the last'
$ GITHUB_STEP_SUMMARY=summary.md swarm-merge -C app --gate true --quiet --via pr --github-summary a1
offered	swarm/a1	[..]
run	git push --force-with-lease origin merge/main
run	gh pr create --base main --head merge/main --title 'Merge swarm/a1' --body-file [..]/work/app.swarm/merge/pull/main/body.md
$ swarm-merge -C app --gate true --quiet --via pr --markdown a1 | head -n 3
# Merge into main

1 of 1 branch went into merge/main for a pull request to main after 0 gate runs.
$ head -n 1 summary.md
# Merge into main
"#,
    },
    Example {
        says: "To a machine that shares no disk: one file, tested again where it arrives",
        session: r#"
$ git clone -q app far && swarm-merge -C app --export work.swarm a1
[..] bytes
exported	swarm/a1	[..]
$ cp work.swarm far/ && swarm-merge -C far --import far/work.swarm
imported	import/swarm/a1	[..]	0 of 0 outcomes borne out, 0 messages
$ cd far && swarm-merge --gate true --quiet import/swarm/a1
landed	import/swarm/a1	[..]
"#,
    },
];
