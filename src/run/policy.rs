//! What follows for a task when a run of it did not end well, where somebody wants it otherwise than
//! usual: `hollow=retry:1,human`, `limited=park,reroute`, `stalled=kill,retry:1`.

use std::str::FromStr;

use super::outcome::Word;
use crate::id;

/// What follows, by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy(Vec<(Word, Vec<Step>)>);

/// One step of what follows; the first that applies decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Try again at once, as long as fewer tries failed.
    Retry(u32),
    /// A person must look at it.
    Human,
    /// Not before the limit ends.
    Park,
    /// Another agent may have it at once.
    Reroute,
    /// End what is left of the run; that is done in any case.
    Kill,
}

/// What follows in one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// It may be tried again at once.
    Retry,
    /// A person must look at it.
    Human,
    /// Not before the limit ends.
    Later,
    /// It is given back for another agent; with `park` this agent begins nothing until the limit ends.
    Reroute {
        /// Whether this agent waits.
        park: bool,
    },
}

const STEPS: &[&str] = &["retry", "human", "park", "reroute", "kill"];

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Policy, String> {
        let (outcome, steps) = text.split_once('=').ok_or_else(|| {
            format!("{text:?}: write OUTCOME=STEPS, such as hollow=retry:1,human")
        })?;
        let names = Word::ALL.map(Word::name);
        let word = Word::ALL.into_iter().find(|word| word.name() == outcome);
        let word = word
            .filter(|word| *word != Word::Ok)
            .ok_or_else(|| unknown("outcome", outcome, &names[1..]))?;
        let steps: Result<Vec<Step>, String> = steps.split(',').map(read_step).collect();
        Ok(Policy(vec![(word, steps?)]))
    }
}

fn read_step(text: &str) -> Result<Step, String> {
    let (name, number) = text.trim().split_once(':').unwrap_or((text.trim(), ""));
    Ok(match (name, number) {
        ("retry", "") => Step::Retry(1),
        ("retry", number) => Step::Retry(
            number
                .parse()
                .map_err(|_| format!("{text:?}: write retry:N"))?,
        ),
        ("human", "") => Step::Human,
        ("park", "") => Step::Park,
        ("reroute", "") => Step::Reroute,
        ("kill", "") => Step::Kill,
        _ => return Err(unknown("step", name, STEPS)),
    })
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match id::nearest(name, known.iter().copied()).first() {
        Some(near) => format!("no {what} {name:?} (did you mean {near:?}?)"),
        None => format!("no {what} {name:?} (there are {})", known.join(", ")),
    }
}

impl Policy {
    /// Both; what `other` says of an outcome counts.
    pub fn and(mut self, other: Policy) -> Policy {
        for (word, steps) in other.0 {
            self.0.retain(|(known, _)| *known != word);
            self.0.push((word, steps));
        }
        self
    }

    /// What follows on an outcome after `failures` tries in vain; none if nothing is said about it.
    pub fn follow(&self, word: Word, failures: u32) -> Option<Follow> {
        let (_, steps) = self.0.iter().find(|(known, _)| *known == word)?;
        let park = steps.contains(&Step::Park);
        let decided = steps.iter().find_map(|step| match step {
            Step::Retry(times) => (failures < *times).then_some(Follow::Retry),
            Step::Human => Some(Follow::Human),
            Step::Reroute => Some(Follow::Reroute { park }),
            Step::Park | Step::Kill => None,
        });
        Some(decided.unwrap_or(match park {
            true => Follow::Later,
            false => Follow::Human,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(texts: &[&str]) -> Policy {
        let read = texts.iter().map(|text| text.parse::<Policy>().unwrap());
        read.fold(Policy::default(), Policy::and)
    }

    #[test]
    fn the_first_step_that_applies_decides() {
        let policy = policy(&[
            "hollow=human",
            "hollow=retry:1,human",
            "limited=park,reroute",
            "timeout=park",
            "stalled=kill,retry:2",
        ]);
        for (word, failures, follow) in [
            (Word::Hollow, 0, Some(Follow::Retry)),
            (Word::Hollow, 1, Some(Follow::Human)),
            (Word::Limited, 9, Some(Follow::Reroute { park: true })),
            (Word::Timeout, 0, Some(Follow::Later)),
            (Word::Stalled, 1, Some(Follow::Retry)),
            (Word::Stalled, 2, Some(Follow::Human)),
            (Word::Crashed, 0, None),
        ] {
            assert_eq!(policy.follow(word, failures), follow, "{word} {failures}");
        }
    }

    #[test]
    fn a_slip_is_named() {
        for (text, says) in [
            ("hollow", "write OUTCOME=STEPS"),
            ("hollo=human", "did you mean \"hollow\"?"),
            ("ok=human", "no outcome \"ok\""),
            ("hollow=humen", "did you mean \"human\"?"),
            ("hollow=retry:x", "write retry:N"),
        ] {
            let error = text.parse::<Policy>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
