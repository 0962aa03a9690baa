//! Deriving every line of a report again, from git and the journal alone. What cannot be derived is
//! unproved, and the check fails.

use std::collections::HashSet;

use super::record::Record;
use super::report::{self, amount, list, said};
use super::{Error, ledger, record};
use crate::action::json::{Object, Value};
use crate::action::model::IntegrationReport;
use crate::swarm::Root;
use crate::workspace::Git;
use crate::workspace::landed::has_landed;
use crate::workspace::merge::{self, Merge};

/// One line of a report, and what there is for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What the report says.
    pub says: String,
    /// What proves it; else why nothing does.
    pub proof: Result<String, String>,
}

/// Every line of `report`.
pub fn check(root: &Root, git: &Git, report: &IntegrationReport) -> Result<Vec<Line>, Error> {
    let check = Check {
        root,
        git,
        report,
        records: record::all(root)?,
        into: said(&report.extra, "into"),
    };
    let mut lines = Vec::new();
    let mut add = |says: String, proof: Result<String, String>| lines.push(Line { says, proof });
    for landed in list(&report.extra, "landed") {
        let short = &said(landed, "landed_as")[..said(landed, "landed_as").len().min(12)];
        add(
            format!("{} landed as {short}", said(landed, "branch")),
            check.landed(landed)?,
        );
    }
    for back in list(&report.extra, "handed_back") {
        let says = format!(
            "{} handed back: {}",
            said(back, "branch"),
            said(back, "kind")
        );
        add(says, check.back(back)?);
    }
    for run in list(&report.extra, "gate_runs") {
        let says = format!("{:?} ended with {}", said(run, "gate"), said(run, "ended"));
        add(says, check.gate(run));
    }
    add("the lists agree with the lines".to_owned(), check.lists());
    add("what passed and failed".to_owned(), check.results());
    add(
        format!("the target went to {}", said(&report.extra, "new")),
        check.target()?,
    );
    add("cost and idle time".to_owned(), check.cost()?);
    add("the summary".to_owned(), check.summary());
    Ok(lines)
}

struct Check<'a> {
    root: &'a Root,
    git: &'a Git,
    report: &'a IntegrationReport,
    records: Vec<Record>,
    into: &'a str,
}

impl Check<'_> {
    fn is_in(&self, commit: &str, of: &str) -> Result<bool, Error> {
        Ok(merge::is_ancestor(self.git, commit, of)?)
    }

    /// A branch landed if the journal says so, the target has the commit, the commit has the
    /// branch, and the tree that the target got had passed every gate.
    fn landed(&self, line: &Object) -> Result<Result<String, String>, Error> {
        let (branch, commit) = (said(line, "branch"), said(line, "commit"));
        let (landed_as, tip) = (said(line, "landed_as"), said(line, "tip"));
        let found = self.records.iter().find(|record| {
            record.r#type == "landed"
                && record.correlation_id == self.report.report_id
                && record.branch == branch
                && record.commit == commit
                && record.landed_as == landed_as
                && record.tip == tip
        });
        let Some(record) = found else {
            return Ok(Err("the journal has no such landing".to_owned()));
        };
        if !self.is_in(landed_as, tip)? || !self.is_in(tip, self.into)? {
            return Ok(Err(format!("{} does not have it", self.into)));
        }
        let whole = match &*record.mode {
            "merge" => self.is_in(commit, landed_as)?,
            _ => has_landed(self.git, landed_as, commit)?,
        };
        if !whole {
            return Ok(Err(format!("{landed_as} does not have all of {commit}")));
        }
        let tree = merge::tree_of(self.git, tip)?;
        for gate in &record.gates {
            let passed = self
                .records
                .iter()
                .find(|record| record.passed() && record.tree == tree && record.gate == *gate);
            match passed {
                None => return Ok(Err(format!("tree {tree} never passed {gate:?}"))),
                Some(passed) if !self.root.path().join(&passed.log).exists() => {
                    return Ok(Err(format!("the log {} is gone", passed.log)));
                }
                Some(_) => {}
            }
        }
        Ok(Ok(match &*record.gates {
            [] => format!("in {}; no gate was set", self.into),
            gates => format!("in {}; tree {tree} passed {}", self.into, gates.join(", ")),
        }))
    }

    fn back(&self, line: &Object) -> Result<Result<String, String>, Error> {
        let (branch, commit, kind) = (
            said(line, "branch"),
            said(line, "commit"),
            said(line, "kind"),
        );
        let found = self.records.iter().rfind(|record| {
            record.r#type == "turned-back"
                && record.branch == branch
                && record.commit == commit
                && record.kind == kind
                && record.why == said(line, "why")
        });
        let Some(record) = found else {
            return Ok(Err("the journal has no such return".to_owned()));
        };
        match kind {
            "red" | "hung" => {
                let failed = self.records.iter().any(|gated| {
                    gated.r#type == "gated" && gated.ended != "0" && gated.log == record.log
                });
                let there = self.root.path().join(&record.log).exists();
                Ok(match failed && there {
                    true => Ok(format!("see {}", record.log)),
                    false => Err(format!("no failed gate run with the log {:?}", record.log)),
                })
            }
            "conflict" if !record.handed.is_empty() => {
                let merged = merge::merge(self.git, &record.onto, commit)?;
                Ok(match merged {
                    Merge::Conflict(_) => Ok(format!(
                        "git merges {commit} into {} with conflicts",
                        record.onto
                    )),
                    _ => Err(format!(
                        "git merges {commit} into {} without conflict",
                        record.onto
                    )),
                })
            }
            _ => Ok(Ok("in the journal".to_owned())),
        }
    }

    fn gate(&self, line: &Object) -> Result<String, String> {
        let reused = line.get("reused") == Some(&Value::Bool(true));
        let found = self.records.iter().any(|record| {
            record.r#type == "gated"
                && (reused || record.correlation_id == self.report.report_id)
                && record.gate == said(line, "gate")
                && record.tree == said(line, "tree")
                && record.ended == said(line, "ended")
                && record.log == said(line, "log")
                && record.ms == Some(amount(line, "duration_ms"))
        });
        match found {
            true => Ok(format!("tree {} in the journal", said(line, "tree"))),
            false => Err("the journal has no such run".to_owned()),
        }
    }

    /// The original's members say the same as our lines.
    fn lists(&self) -> Result<String, String> {
        let branches = |name: &str| -> Vec<String> {
            let lines = list(&self.report.extra, name);
            lines
                .iter()
                .map(|line| said(line, "branch").to_owned())
                .collect()
        };
        let report = self.report;
        let conflicts: Vec<String> = list(&report.extra, "handed_back")
            .iter()
            .filter(|line| matches!(said(line, "kind"), "conflict" | "markers" | "unrelated"))
            .map(|line| said(line, "branch").to_owned())
            .collect();
        let resolved: Vec<String> = self
            .records
            .iter()
            .filter(|record| record.r#type == "landed" && record.correlation_id == report.report_id)
            .filter(|record| report::was_conflict(record.was_back.as_deref()))
            .map(|record| record.branch.clone())
            .collect();
        let journal: HashSet<&String> = self
            .records
            .iter()
            .filter(|record| record.r#type == "landed" && record.correlation_id == report.report_id)
            .map(|record| &record.branch)
            .collect();
        let all = [
            (
                &report.integration_batch,
                branches("order"),
                "integration_batch",
            ),
            (
                &report.successful_integrations,
                branches("landed"),
                "successful_integrations",
            ),
            (
                &report.failed_integrations,
                branches("handed_back"),
                "failed_integrations",
            ),
            (
                &report.conflicts_remaining,
                conflicts,
                "conflicts_remaining",
            ),
            (&report.conflicts_resolved, resolved, "conflicts_resolved"),
        ];
        for (says, is, name) in all {
            if *says != is {
                return Err(format!(
                    "{name} says {says:?}, the lines and the journal {is:?}"
                ));
            }
        }
        let says: HashSet<&String> = report.successful_integrations.iter().collect();
        if journal != says {
            return Err(format!("the journal says that {journal:?} landed"));
        }
        Ok("they do".to_owned())
    }

    fn results(&self) -> Result<String, String> {
        let runs = list(&self.report.extra, "gate_runs");
        let ended = runs
            .iter()
            .map(|run| (said(run, "gate"), said(run, "ended")));
        let gone_in = !self.report.successful_integrations.is_empty()
            || !list(&self.report.extra, "offered").is_empty();
        match report::gate_results(ended, gone_in) == self.report.quality_gate_results {
            true => Ok("as the gate runs say".to_owned()),
            false => Err("not as the gate runs say".to_owned()),
        }
    }

    fn target(&self) -> Result<Result<String, String>, Error> {
        let (old, new) = (
            said(&self.report.extra, "old"),
            said(&self.report.extra, "new"),
        );
        Ok(if !self.is_in(old, new)? {
            Err(format!("{new} does not come from {old}"))
        } else if !self.is_in(new, self.into)? {
            Err(format!("{} is not in {}", new, self.into))
        } else {
            Ok(format!("from {old}"))
        })
    }

    fn cost(&self) -> Result<Result<String, String>, Error> {
        let extra = &self.report.extra;
        let parts = ledger::parts(self.root, said(extra, "since"), said(extra, "until"))?;
        let same = extra.get("cost") == Some(&report::costs(&parts));
        Ok(match same {
            true => Ok("as the journal and the runs say".to_owned()),
            false => Err("not as the journal and the runs say".to_owned()),
        })
    }

    fn summary(&self) -> Result<String, String> {
        match report::summary(self.report) == self.report.summary {
            true => Ok("follows from the lines".to_owned()),
            false => Err("does not follow from the lines".to_owned()),
        }
    }
}
