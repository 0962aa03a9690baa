//! Which files change together, from what git remembers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A commit that changes more files than this says nothing about any two of them.
const TOO_WIDE: usize = 40;
/// So often must a file have changed before it says anything.
const LEAST: u32 = 3;
/// In such a share of the commits must the other have changed as well.
const SHARE: f64 = 0.5;
/// How many companions of a file are told, the surest first.
const MOST: usize = 3;

/// For each of the files `touched`, those that at least half of the commits that changed it changed
/// as well, with the share. `log` is what `git log --name-only --format=%x00` prints.
pub fn co_changes(log: &str, touched: &BTreeSet<String>) -> Vec<(String, String, f64)> {
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    let mut pairs: HashMap<(&str, &str), u32> = HashMap::new();
    for commit in log.split('\0') {
        let files: BTreeSet<&str> = commit.lines().filter(|line| !line.is_empty()).collect();
        if files.len() > TOO_WIDE {
            continue;
        }
        for own in files.iter().filter(|own| touched.contains(**own)) {
            *times.entry(own).or_default() += 1;
            for other in files.iter().filter(|other| *other != own) {
                *pairs.entry((own, other)).or_default() += 1;
            }
        }
    }
    let mut found: BTreeMap<&str, Vec<(f64, &str)>> = BTreeMap::new();
    for ((own, other), count) in pairs {
        let all = times[own];
        let share = f64::from(count) / f64::from(all);
        if all >= LEAST && share >= SHARE {
            found.entry(own).or_default().push((share, other));
        }
    }
    let mut rows = Vec::new();
    for (own, mut others) in found {
        others.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        for (share, other) in others.into_iter().take(MOST) {
            rows.push((own.to_owned(), other.to_owned(), share));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_mostly_change_together_are_companions() {
        let log = "\0\na.rs\nb.rs\n\0\na.rs\nb.rs\nc.rs\n\0\na.rs\n\0\nc.rs\n";
        let touched = BTreeSet::from(["a.rs".to_owned(), "c.rs".to_owned()]);
        let found = co_changes(log, &touched);
        assert_eq!(found, [("a.rs".to_owned(), "b.rs".to_owned(), 2.0 / 3.0)]);
    }
}
