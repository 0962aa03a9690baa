//! What the work cost: for each agent its runs, how long they took, how long it had none, and the
//! money, from the journal and the outcomes of the runs.

use std::collections::BTreeMap;

use super::Error;
use crate::event::{What, millis};
use crate::swarm::{Journal, Root, files};

/// One agent's part.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// Who.
    pub agent: String,
    /// Runs that ended.
    pub runs: u64,
    /// How long they took together, in milliseconds.
    pub busy_ms: u64,
    /// How long it had none, from the first to the last sign of it.
    pub idle_ms: u64,
    /// Money, as far as runs say what they cost.
    pub usd: Option<f64>,
}

/// The parts of all agents, of what happened after `since` and up to `until` (RFC 3339).
pub fn parts(root: &Root, since: &str, until: &str) -> Result<Vec<Part>, Error> {
    #[derive(Default)]
    struct Seen {
        open: BTreeMap<String, i64>,
        spans: Vec<(i64, i64)>,
        usd: Option<f64>,
        runs: u64,
    }
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let mut whose: BTreeMap<String, String> = BTreeMap::new();
    let (from, to) = (
        millis(since).unwrap_or(i64::MIN),
        millis(until).unwrap_or(i64::MAX),
    );
    Journal::read(root)?.replay(|event| {
        let Some(at) = millis(&event.at).filter(|at| *at > from && *at <= to) else {
            return;
        };
        match &event.what {
            What::RunBegan { run, agent, .. } => {
                whose.insert(run.clone(), agent.clone());
                seen.entry(agent.clone())
                    .or_default()
                    .open
                    .insert(run.clone(), at);
            }
            What::RunEnded { run, .. } => {
                let Some(known) = whose.get(run).and_then(|agent| seen.get_mut(agent)) else {
                    return;
                };
                if let Some(began) = known.open.remove(run) {
                    known.spans.push((began, at));
                    known.runs += 1;
                    if let Some(usd) = cost(root, run) {
                        *known.usd.get_or_insert(0.0) += usd;
                    }
                }
            }
            _ => {}
        }
    })?;
    let parts = seen.into_iter().map(|(agent, mut known)| {
        known.spans.sort_unstable();
        let (mut busy, mut idle, mut end) = (0, 0, None);
        for (began, ended) in known.spans {
            let last = end.unwrap_or(began);
            idle += (began - last).max(0);
            busy += (ended - began.max(last)).max(0);
            end = Some(ended.max(last));
        }
        Part {
            agent,
            runs: known.runs,
            busy_ms: u64::try_from(busy).unwrap_or(0),
            idle_ms: u64::try_from(idle).unwrap_or(0),
            usd: known.usd,
        }
    });
    Ok(parts.filter(|part| part.runs > 0).collect())
}

/// What a run says it cost.
fn cost(root: &Root, run: &str) -> Option<f64> {
    #[derive(serde::Deserialize)]
    struct Said {
        cost_usd: Option<f64>,
    }
    let path = root.runs().join(run).join("outcome.json");
    let bytes = files::read_if_there(&path, 1 << 20).ok()??;
    serde_json::from_slice::<Said>(&bytes).ok()?.cost_usd
}
