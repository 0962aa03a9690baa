//! One merge from beginning to end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::bisect::Bisect;
use super::bundle;
use super::candidate::{self, Candidate, Passed};
use super::gate::{self, Ended, Gate};
use super::handback::{self, Back};
use super::land::{self, Consent, Landed, Landing};
use super::ledger::{self, Part};
use super::order::{self, Order};
use super::pull::{self, Pull};
use super::record::{self, Record};
use super::report::counted;
use super::scratch::Scratch;
use super::union::{self, Stop, Union};
use super::{Error, lock, place};
use crate::event::{Event, Phase, State, What};
use crate::swarm::config::{MergeMode, MergePolicy};
use crate::swarm::{Repository, Root, journal};
use crate::workspace::forecast::{self, Aside, Side};
use crate::workspace::merge;
use crate::workspace::{Git, Tree};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// Agents, branches or revisions; none means all that are finished.
    pub names: Vec<String>,
    /// The target: a branch.
    pub into: Option<String>,
    /// The order.
    pub order: Order,
    /// How branches become commits of the target.
    pub mode: MergeMode,
    /// When they land.
    pub policy: MergePolicy,
    /// The gates, each a command line; all must pass.
    pub gates: Vec<String>,
    /// How long a gate may take.
    pub timeout: Duration,
    /// Whether gates that passed on the same tree before are run again.
    pub afresh: bool,
    /// Whether a culprit is looked at closer: does it pass alone, and with whom does it fail.
    pub why: bool,
    /// Whether nothing is to be written.
    pub dry_run: bool,
    /// Where the command was started.
    pub here: PathBuf,
    /// Whether the checkout of the target may be updated.
    pub update_checkout: bool,
    /// Patterns of branches that may not be moved.
    pub protected: Vec<String>,
    /// Whether the target stays where it is, and a branch for a pull request is made instead.
    pub via_pr: bool,
}

/// A branch that landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct In {
    /// The branch.
    pub candidate: Candidate,
    /// The commit of the target that it became.
    pub landed_as: String,
    /// Where the target went with it.
    pub tip: String,
}

/// A gate that ran, or whose earlier success was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateRun {
    /// The command line.
    pub gate: String,
    /// The tree.
    pub tree: String,
    /// The branches in that tree that the target did not have.
    pub branches: Vec<String>,
    /// How it ended.
    pub ended: String,
    /// How long it took.
    pub ms: u64,
    /// What it wrote, below the root.
    pub log: String,
    /// Whether an earlier run counted.
    pub reused: bool,
}

/// What came of a merge.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The id of its report.
    pub report: String,
    /// The target's full ref.
    pub into: String,
    /// Where it was.
    pub old: String,
    /// Where it is.
    pub new: String,
    /// The order of the branches, and why.
    pub order: Vec<(String, String)>,
    /// What landed, in order.
    pub landed: Vec<In>,
    /// What was handed back.
    pub back: Vec<Back>,
    /// What was not looked at further, and why.
    pub passed: Vec<Passed>,
    /// The gates that ran, in order.
    pub gates: Vec<GateRun>,
    /// The mode.
    pub mode: String,
    /// What is wrong with the target itself, if its own gate fails.
    pub target_red: Option<String>,
    /// What would land: of a dry run, or of a policy that waits for a person's word.
    pub would: Vec<String>,
    /// Whether nothing was tested or changed.
    pub only_said: bool,
    /// What was done about merges that were cut off.
    pub settled: Vec<String>,
    /// How often the target had moved meanwhile.
    pub moved: u32,
    /// What is in the branch for a pull request.
    pub offered: Vec<In>,
    /// That branch.
    pub pull: Option<Pull>,
    /// From when on the cost is counted: the last merge before this one.
    pub since: String,
    /// Up to when.
    pub until: String,
    /// What the agents' work cost.
    pub cost: Vec<Part>,
    /// How long it took.
    pub ms: u64,
}

/// How often a target that moves under us is followed.
const FOLLOW: u32 = 10;

/// Merges what is finished. `progress` hears what goes on.
pub fn integrate(
    root: &Root,
    request: &Request,
    progress: &dyn Fn(&str),
) -> Result<Outcome, Error> {
    let since = Instant::now();
    let repository = repository_of(root)?;
    let git = Git::at(&repository.common_dir);
    let mut settled = Vec::new();
    let _lock = match request.dry_run {
        true => None,
        false => Some(lock(root)?),
    };
    if !request.dry_run {
        gate::settle(root);
        settled.extend(land::settle(root, &git)?);
    }
    let into = target(&git, root, request.into.as_deref())?;
    let base = merge::commit_of(&git, &into)?.ok_or_else(|| Error::Unknown {
        name: into.clone(),
        nearest: Vec::new(),
    })?;
    if !request.via_pr {
        refuse_protected(&into, &request.protected)?;
    }
    let records = record::all(root)?;
    let ground = candidate::Ground {
        git: &git,
        repository,
        into: &into,
        records: &records,
    };
    let found = candidate::find(root, &ground, &request.names)?;
    // Under this policy a person names what may land.
    let waits = request.policy == MergePolicy::Manual && request.names.is_empty();
    let last = records.iter().rfind(|record| record.r#type == "landed");
    let since_last = last.map(|last| last.at.clone()).unwrap_or_default();
    let until = journal::now();
    let mut outcome = Outcome {
        cost: ledger::parts(root, &since_last, &until)?,
        since: since_last,
        until,
        report: uuid::Uuid::new_v4().to_string(),
        into: into.clone(),
        old: base.clone(),
        new: base.clone(),
        passed: found.passed,
        settled,
        mode: mode_name(request.mode).to_owned(),
        only_said: request.dry_run || waits,
        ..Outcome::default()
    };
    let since_of: Vec<i64> = found.ready.iter().map(|ready| ready.since).collect();
    let clashes = match request.order {
        Order::LeastConflict => clashes(repository, &found.ready)?,
        _ => Vec::new(),
    };
    let ordered = order::order(request.order, &since_of, &clashes);
    for (place, why) in &ordered {
        outcome
            .order
            .push((found.ready[*place].branch.clone(), why.clone()));
    }
    let places: Vec<usize> = ordered.into_iter().map(|(place, _)| place).collect();
    if places.is_empty() {
        outcome.ms = millis(since);
        return Ok(outcome);
    }
    if outcome.only_said {
        try_all(
            repository,
            &base,
            &found.ready,
            &places,
            request,
            &mut outcome,
        )?;
        outcome.ms = millis(since);
        return Ok(outcome);
    }
    if request.gates.is_empty() && request.policy == MergePolicy::QualityGated {
        return Err(Error::Refused {
            what: "no gate is set, and the policy quality_gated lands nothing untested".to_owned(),
            hint: "--gate 'make test', or gate under [merge] in swarm.toml, or --policy batch"
                .to_owned(),
        });
    }
    let consent = Consent {
        here: &request.here,
        given: request.update_checkout,
    };
    let checkout = match request.via_pr {
        true => None,
        false => land::checkout_of(&git, &into, consent)?,
    };
    let mut engine = Engine {
        root,
        git: &git,
        scratch: Scratch::open(root, &git, &base)?,
        request,
        progress,
        candidates: &found.ready,
        checkout,
        green: green(&records, request),
        red: HashMap::new(),
        base,
        base_is_green: false,
        outcome,
    };
    let done = match request.policy {
        MergePolicy::Immediate => places
            .iter()
            .try_for_each(|place| engine.batch(vec![*place])),
        _ => engine.batch(places),
    };
    done.and_then(|()| engine.hand_back())?;
    let mut outcome = engine.outcome;
    if request.via_pr {
        if !outcome.offered.is_empty() {
            outcome.pull = Some(pull::make(root, &git, &outcome, &engine.base)?);
        }
    } else {
        outcome.new = engine.base;
    }
    outcome.ms = millis(since);
    Ok(outcome)
}

/// Writes what is finished to one file. Gives what is in it, what is not, and its length.
pub fn export(
    root: &Root,
    request: &Request,
    file: &Path,
) -> Result<(Vec<Candidate>, Vec<Passed>, u64), Error> {
    let repository = repository_of(root)?;
    let git = Git::at(&repository.common_dir);
    let into = target(&git, root, request.into.as_deref())?;
    let records = record::all(root)?;
    let ground = candidate::Ground {
        git: &git,
        repository,
        into: &into,
        records: &records,
    };
    let found = candidate::find(root, &ground, &request.names)?;
    let bytes = match &*found.ready {
        [] => 0,
        ready => bundle::export(root, &git, &into, ready, file)?,
    };
    Ok((found.ready, found.passed, bytes))
}

/// The repository one stands in.
pub fn repository_of(root: &Root) -> Result<&Repository, Error> {
    root.repository().ok_or_else(|| Error::Usage {
        what: "this is no git repository".to_owned(),
        hint: "start it in the repository, or say -C DIR".to_owned(),
    })
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The word for a mode.
pub fn mode_name(mode: MergeMode) -> &'static str {
    match mode {
        MergeMode::Merge => "merge",
        MergeMode::Squash => "squash",
        MergeMode::Rebase => "rebase",
    }
}

/// The full ref of the target: what was asked for; else the branch that all agents' trees began at;
/// else what the main checkout has, if that is no agent's; else `main` or `master`.
pub fn target(git: &Git, root: &Root, wanted: Option<&str>) -> Result<String, Error> {
    let is_branch = |name: &str| -> Result<bool, Error> {
        Ok(merge::commit_of(git, &format!("refs/heads/{name}"))?.is_some())
    };
    if let Some(wanted) = wanted {
        let name = wanted.trim_start_matches("refs/heads/");
        if is_branch(name)? {
            return Ok(format!("refs/heads/{name}"));
        }
        let listed = git.text(&["for-each-ref", "--format=%(refname:short)", "refs/heads"])?;
        let nearest = crate::id::nearest(name, listed.lines());
        return Err(Error::Unknown {
            name: wanted.to_owned(),
            nearest: nearest.into_iter().map(str::to_owned).collect(),
        });
    }
    let trees = Tree::all(root)?;
    let mut bases: Vec<&str> = trees.iter().map(|tree| &*tree.notes.base).collect();
    bases.sort_unstable();
    bases.dedup();
    let head = git
        .ask(&["symbolic-ref", "-q", "--short", "HEAD"])?
        .unwrap_or_default();
    let is_agents = trees
        .iter()
        .any(|tree| tree.identity.branch.as_deref() == Some(&head));
    let first = match &*bases {
        [one] => one.trim_start_matches("refs/heads/"),
        _ => "",
    };
    let head = if is_agents { "" } else { &head };
    for name in [first, head, "main", "master"] {
        if !name.is_empty() && is_branch(name)? {
            return Ok(format!("refs/heads/{name}"));
        }
    }
    Err(Error::Usage {
        what: "no branch is known to merge into".to_owned(),
        hint: "--into BRANCH, or target under [merge] in swarm.toml".to_owned(),
    })
}

fn refuse_protected(into: &str, protected: &[String]) -> Result<(), Error> {
    let name = into.trim_start_matches("refs/heads/");
    match protected
        .iter()
        .find(|pattern| matches_pattern(pattern, name))
    {
        None => Ok(()),
        Some(pattern) => Err(Error::Refused {
            what: format!("{name} is protected ({pattern:?} under [merge] in swarm.toml)"),
            hint: "--via pr makes a branch for a pull request; --into names another target"
                .to_owned(),
        }),
    }
}

/// Whether a name fits a pattern in which `*` stands for anything.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Which pairs of branches conflict, as they are committed.
fn clashes(repository: &Repository, ready: &[Candidate]) -> Result<Vec<(usize, usize)>, Error> {
    let sides: Vec<Side> = ready
        .iter()
        .map(|ready| Side {
            name: ready.branch.clone(),
            commit: ready.head.clone(),
            tree: None,
            changed: None,
        })
        .collect();
    let pairs = forecast::foresee(repository, &sides)?;
    Ok(pairs.into_iter().map(|pair| pair.sides).collect())
}

/// Trees that passed all gates before.
fn green(records: &[Record], request: &Request) -> HashMap<(String, String), Record> {
    if request.afresh {
        return HashMap::new();
    }
    records
        .iter()
        .filter(|record| record.passed())
        .map(|record| ((record.tree.clone(), record.gate.clone()), record.clone()))
        .collect()
}

/// What would go in and what would not, without any gate and without writing anything.
fn try_all(
    repository: &Repository,
    base: &str,
    candidates: &[Candidate],
    places: &[usize],
    request: &Request,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let aside = Aside::new()?;
    let dir = repository.top.as_ref().unwrap_or(&repository.common_dir);
    let git = Git::at(dir).with_new_objects(&aside.0, &repository.common_dir.join("objects"));
    let union = union::build(&git, base, candidates, places, request.mode)?;
    for link in &union.links {
        outcome.would.push(candidates[link.place].branch.clone());
    }
    for (place, stop) in union.stopped {
        if let Some(back) = back_of(&candidates[place], &stop, base) {
            outcome.back.push(back);
        }
    }
    Ok(())
}

/// What a stop means for its branch; none if it is no hindrance.
fn back_of(candidate: &Candidate, stop: &Stop, onto: &str) -> Option<Back> {
    let (kind, why, onto) = match stop {
        Stop::Empty => return None,
        Stop::Conflict { onto, conflict } => {
            let files: Vec<&str> = conflict.files.iter().map(|file| &*file.path).collect();
            (
                "conflict",
                format!("conflict in {}", files.join(", ")),
                &**onto,
            )
        }
        Stop::Unrelated => (
            "unrelated",
            "no common ancestor with the target".to_owned(),
            onto,
        ),
        Stop::NotLinear(why) => ("conflict", why.clone(), onto),
        Stop::Markers(places) => (
            "markers",
            format!("conflict markers are still at {}", places.join(", ")),
            onto,
        ),
    };
    Some(Back {
        candidate: candidate.clone(),
        kind,
        why,
        onto: onto.to_owned(),
        files: Vec::new(),
        handed: None,
        log: None,
        with: Vec::new(),
        alone: None,
    })
}

/// A gate that failed.
#[derive(Debug, Clone)]
struct Failure {
    gate: String,
    ended: Ended,
    log: String,
}

impl Failure {
    fn words(&self, timeout: Duration) -> (&'static str, String) {
        let gate = &self.gate;
        match &self.ended {
            Ended::Timeout => (
                "hung",
                format!("{gate:?} did not end within {} s", timeout.as_secs_f64()),
            ),
            Ended::Status(status) => ("red", format!("{gate:?} ended with {status}")),
            Ended::Signal(signal) => ("red", format!("{gate:?} was killed by signal {signal}")),
        }
    }
}

struct Engine<'a> {
    root: &'a Root,
    git: &'a Git,
    scratch: Scratch,
    request: &'a Request,
    progress: &'a dyn Fn(&str),
    candidates: &'a [Candidate],
    checkout: Option<PathBuf>,
    /// Trees and gates that passed.
    green: HashMap<(String, String), Record>,
    /// Trees that failed in this run.
    red: HashMap<String, Failure>,
    /// Where the target is.
    base: String,
    base_is_green: bool,
    outcome: Outcome,
}

impl Engine<'_> {
    /// Lands what it can of these branches, together.
    fn batch(&mut self, mut left: Vec<usize>) -> Result<(), Error> {
        // A branch that seemed to break the target although nothing was before it: only believed
        // when the target by itself is known to pass.
        let mut suspects: Vec<Back> = Vec::new();
        while self.outcome.target_red.is_none() {
            let union = union::build(
                self.scratch.git(),
                &self.base,
                self.candidates,
                &left,
                self.request.mode,
            )?;
            let length = union.links.len();
            if length == 0 {
                self.prove_base(&mut suspects)?;
                self.stopped(union.stopped);
                return Ok(());
            }
            (self.progress)(&format!(
                "testing the union of {}",
                counted(length, "branch")
            ));
            let Some(failure) = self.test(&union, length)? else {
                if !self.land(&union, length)? {
                    continue;
                }
                self.outcome.back.append(&mut suspects);
                self.stopped(union.stopped);
                return Ok(());
            };
            let (bisect, failure) = self.search(&union, failure)?;
            if bisect.green > 0 {
                if !self.land(&union, bisect.green)? {
                    continue;
                }
                // Something on this base passed, so it was not the base.
                self.outcome.back.append(&mut suspects);
            }
            let culprit = union.links[bisect.red - 1].place;
            let back = self.blame(&union, bisect.red, &failure)?;
            left.retain(|place| {
                *place != culprit
                    && !union.links[..bisect.green]
                        .iter()
                        .any(|link| link.place == *place)
            });
            if bisect.green > 0 || self.base_is_green {
                self.outcome.back.push(back);
            } else {
                suspects.push(back);
                if suspects.len() > 1 || left.is_empty() {
                    self.prove_base(&mut suspects)?;
                }
            }
            if left.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Finds the shortest prefix that fails.
    fn search(&mut self, union: &Union, failure: Failure) -> Result<(Bisect, Failure), Error> {
        let mut bisect = Bisect::after_red(union.links.len());
        let mut failure = failure;
        while let Some(prefix) = bisect.next() {
            (self.progress)(&format!("{} fail; testing the first {prefix}", bisect.red));
            let tested = self.test(union, prefix)?;
            bisect.tested(prefix, tested.is_none());
            failure = tested.unwrap_or(failure);
        }
        Ok((bisect, failure))
    }

    /// Tests a prefix of the union; gives the gate that failed.
    fn test(&mut self, union: &Union, length: usize) -> Result<Option<Failure>, Error> {
        let branches: Vec<String> = union.links[..length]
            .iter()
            .map(|link| self.candidates[link.place].branch.clone())
            .collect();
        self.test_commit(union.prefix(length), branches)
    }

    fn test_commit(
        &mut self,
        commit: &str,
        branches: Vec<String>,
    ) -> Result<Option<Failure>, Error> {
        let tree = merge::tree_of(self.git, commit)?;
        if let Some(failure) = self.red.get(&tree) {
            return Ok(Some(failure.clone()));
        }
        let mut is_there = false;
        for gate in &self.request.gates {
            if let Some(record) = self.green.get(&(tree.clone(), gate.clone())) {
                let run = GateRun {
                    gate: gate.clone(),
                    tree: tree.clone(),
                    branches: branches.clone(),
                    ended: record.ended.clone(),
                    ms: record.ms.unwrap_or(0),
                    log: record.log.clone(),
                    reused: true,
                };
                if !self
                    .outcome
                    .gates
                    .iter()
                    .any(|known| known.gate == run.gate && known.tree == run.tree)
                {
                    self.outcome.gates.push(run);
                }
                continue;
            }
            if !is_there {
                self.scratch.put(commit)?;
                is_there = true;
            }
            let (ended, record) = self.run_gate(gate, commit, &tree, &branches)?;
            if ended == Ended::Status(0) {
                self.green.insert((tree.clone(), gate.clone()), record);
                continue;
            }
            let failure = Failure {
                gate: gate.clone(),
                ended,
                log: record.log,
            };
            self.red.insert(tree, failure.clone());
            return Ok(Some(failure));
        }
        Ok(None)
    }

    fn run_gate(
        &mut self,
        gate: &str,
        commit: &str,
        tree: &str,
        branches: &[String],
    ) -> Result<(Ended, Record), Error> {
        let logs = place(self.root, "logs");
        self.root.make_dir(&logs)?;
        let short = &tree[..tree.len().min(12)];
        let name = format!(
            "{}-{:03}-{short}.log",
            &self.outcome.report[..8],
            self.outcome.gates.len()
        );
        let log = logs.join(&name);
        let gate_run = Gate {
            line: gate,
            timeout: self.request.timeout,
            dir: &self.scratch.path,
            log: &log,
            variables: &[
                ("SPORE_TREE", tree.to_owned()),
                ("SPORE_BRANCHES", branches.join(" ")),
            ],
        };
        let since = Instant::now();
        let ended = gate::run(self.root, &gate_run)?;
        let record = Record {
            tree: tree.to_owned(),
            commit: commit.to_owned(),
            gate: gate.to_owned(),
            ended: ended.to_string(),
            ms: Some(millis(since)),
            log: format!("merge/logs/{name}"),
            ..Record::new("gated", &self.outcome.report)
        };
        record::append(
            self.root,
            std::slice::from_ref(&record),
            record::nothing_more,
        )?;
        self.outcome.gates.push(GateRun {
            gate: gate.to_owned(),
            tree: tree.to_owned(),
            branches: branches.to_vec(),
            ended: record.ended.clone(),
            ms: record.ms.unwrap_or_default(),
            log: record.log.clone(),
            reused: false,
        });
        Ok((ended, record))
    }

    /// Moves the target to a prefix that passed. False if the target had moved meanwhile; then the
    /// union has to be made anew.
    fn land(&mut self, union: &Union, length: usize) -> Result<bool, Error> {
        let tip = union.prefix(length).to_owned();
        let gone_in = |link: &union::Link| In {
            candidate: self.candidates[link.place].clone(),
            landed_as: link.commit.clone(),
            tip: tip.clone(),
        };
        if self.request.via_pr {
            self.outcome
                .offered
                .extend(union.links[..length].iter().map(gone_in));
            self.base = tip;
            self.base_is_green = true;
            return Ok(true);
        }
        let records: Vec<Record> = union.links[..length]
            .iter()
            .map(|link| {
                let candidate = &self.candidates[link.place];
                Record {
                    branch: candidate.branch.clone(),
                    agent: candidate.agent.clone(),
                    tasks: candidate.tasks.clone(),
                    runs: candidate.runs.clone(),
                    commit: candidate.head.clone(),
                    into: self.outcome.into.clone(),
                    onto: self.base.clone(),
                    tip: tip.clone(),
                    landed_as: link.commit.clone(),
                    mode: self.outcome.mode.clone(),
                    gates: self.request.gates.clone(),
                    was_back: candidate.back.clone(),
                    ..Record::new("landed", &self.outcome.report)
                }
            })
            .collect();
        let landing = Landing {
            v: 1,
            into: self.outcome.into.clone(),
            old: self.base.clone(),
            new: tip.clone(),
            checkout: self.checkout.clone(),
            records,
        };
        if land::land(self.root, self.git, &landing)? == Landed::Moved {
            self.outcome.moved += 1;
            if self.outcome.moved > FOLLOW {
                return Err(Error::Busy {
                    what: format!(
                        "{} moved {FOLLOW} times while it was tested",
                        self.outcome.into
                    ),
                });
            }
            (self.progress)("the target moved meanwhile; merging again");
            self.base =
                merge::commit_of(self.git, &self.outcome.into)?.ok_or_else(|| Error::Unknown {
                    name: self.outcome.into.clone(),
                    nearest: Vec::new(),
                })?;
            self.base_is_green = false;
            return Ok(false);
        }
        self.outcome
            .landed
            .extend(union.links[..length].iter().map(gone_in));
        self.base = tip;
        self.base_is_green = true;
        Ok(true)
    }

    /// The culprit: the last link of the shortest prefix that fails.
    fn blame(&mut self, union: &Union, red: usize, failure: &Failure) -> Result<Back, Error> {
        let link = &union.links[red - 1];
        let candidate = &self.candidates[link.place];
        let (kind, mut why) = failure.words(self.request.timeout);
        let (mut alone, mut with) = (None, Vec::new());
        if self.request.why && red > 1 {
            let passes = self.passes_on(union, 0, link.place)?;
            alone = Some(passes);
            if passes {
                // The shortest prefix with which it fails ends with the one it does not go with.
                let mut bisect = Bisect::after_red(red - 1);
                while let Some(prefix) = bisect.next() {
                    let passes = self.passes_on(union, prefix, link.place)?;
                    bisect.tested(prefix, passes);
                }
                let other = union.links[bisect.red - 1].place;
                with.push(self.candidates[other].branch.clone());
                why = format!("{why}; it passes alone and fails together with {}", with[0]);
            } else {
                why.push_str("; it fails alone too");
            }
        }
        Ok(Back {
            candidate: candidate.clone(),
            kind,
            why,
            onto: union.prefix(red - 1).to_owned(),
            files: Vec::new(),
            handed: None,
            log: Some(failure.log.clone()),
            with,
            alone,
        })
    }

    /// Whether a branch passes right after a prefix of the union.
    fn passes_on(&mut self, union: &Union, prefix: usize, culprit: usize) -> Result<bool, Error> {
        let mut places: Vec<usize> = union.links[..prefix]
            .iter()
            .map(|link| link.place)
            .collect();
        places.push(culprit);
        let (git, mode) = (self.scratch.git(), self.request.mode);
        let short = union::build(git, &union.base, self.candidates, &places, mode)?;
        let length = short.links.len();
        Ok(self.test(&short, length)?.is_none())
    }

    /// Tests the target itself; what was suspected is blamed if it passes, and nobody if it fails.
    fn prove_base(&mut self, suspects: &mut Vec<Back>) -> Result<(), Error> {
        if suspects.is_empty() {
            return Ok(());
        }
        (self.progress)("testing the target itself");
        let base = self.base.clone();
        match self.test_commit(&base, Vec::new())? {
            None => {
                self.base_is_green = true;
                self.outcome.back.append(suspects);
            }
            Some(failure) => {
                let (_, why) = failure.words(self.request.timeout);
                self.outcome.target_red = Some(format!("{why}; see {}", failure.log));
                suspects.clear();
            }
        }
        Ok(())
    }

    fn stopped(&mut self, stopped: Vec<(usize, Stop)>) {
        for (place, stop) in stopped {
            let candidate = &self.candidates[place];
            match back_of(candidate, &stop, &self.base) {
                Some(back) => self.outcome.back.push(back),
                None => self.outcome.passed.push(Passed {
                    branch: candidate.branch.clone(),
                    agent: candidate.agent.clone(),
                    why: "landed by content".to_owned(),
                    human: false,
                }),
            }
        }
    }

    /// Hands back what did not go in, and clears away what is no longer needed.
    fn hand_back(&mut self) -> Result<(), Error> {
        let into = self.outcome.into.clone();
        let records = record::all(self.root)?;
        let unguarded = self.git.unguarded();
        for landed in &self.outcome.landed {
            handback::clear(&unguarded, &records, &into, &landed.candidate)?;
        }
        let mut news = Vec::new();
        for back in &mut self.outcome.back {
            if back.kind == "conflict" {
                back.onto.clone_from(&self.base);
                let git = self.scratch.git();
                handback::hold_conflict(git, &records, &into, back)?;
            }
            let record = back.record(&self.outcome.report, &into);
            if !records
                .iter()
                .any(|known| handback::is_same(known, &record))
            {
                news.push(record);
            }
        }
        let backs = &self.outcome.back;
        let report = &self.outcome.report;
        record::append(self.root, &news, |state| again(state, backs, report))
    }
}

/// Tasks that were done and whose branch came back are open again.
fn again(state: &State, backs: &[Back], report: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for back in backs {
        for task in &back.candidate.tasks {
            let known = state.task(task);
            let done_by = match &known.phase {
                Phase::Done { agent, .. } => agent,
                _ => continue,
            };
            if back.candidate.agent.as_ref() == Some(done_by) {
                events.push(Event {
                    at: journal::now(),
                    correlation_id: report.to_owned(),
                    what: What::Retried {
                        task: task.clone(),
                        epoch: known.epoch,
                        why: Some(format!("merge: {}", back.why)),
                    },
                });
            }
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, fits) in [
            ("main", "main", true),
            ("main", "mainline", false),
            ("release/*", "release/1.2", true),
            ("release/*", "release", false),
            ("*", "x/y", true),
            ("v*-lts", "v1-lts", true),
            ("v*-lts", "v1-lts2", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
        ] {
            assert_eq!(matches_pattern(pattern, name), fits, "{pattern} {name}");
        }
    }
}
