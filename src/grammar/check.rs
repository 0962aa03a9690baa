//! Whether what was read is a valid command (C0 to C3), and how much it can break.

use super::table::{Grammar, Group, NounId, Risk, VerbId};
use super::{Command, mend};
use crate::action::StructuredAction;
use crate::action::json::Value;

/// What the check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Why it is no valid command: `pair:scale health`, `missing:task_id`.
    pub errors: Vec<String>,
    /// What is odd about it: `modifier:graceful`, `parameter:note`, `near:paralel:parallel`,
    /// `shape:kiro-3:instance`. Who acts on actions refuses those with `near:` and `shape:`.
    pub warnings: Vec<String>,
    /// How much it can break.
    pub risk: Risk,
}

impl Check {
    /// Whether there is no error.
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// The warnings for which nobody should act without asking: a word that may be a slip.
    pub fn doubts(&self) -> impl Iterator<Item = &str> {
        let all = self.warnings.iter().map(String::as_str);
        all.filter(|warning| warning.starts_with("near:") || warning.starts_with("shape:"))
    }
}

/// What is checked, whatever it comes from.
struct Said<'a> {
    verb: &'a str,
    noun: &'a str,
    modifiers: Vec<&'a str>,
    parameters: Vec<&'a str>,
    taken: Vec<(&'a str, bool)>,
}

impl Grammar {
    /// Checks what a line said.
    pub fn check(&self, command: &Command<'_>) -> Check {
        self.check_said(&Said {
            verb: command.verb,
            noun: command.noun,
            modifiers: command.modifiers.iter().map(AsRef::as_ref).collect(),
            parameters: command
                .parameters
                .iter()
                .map(|(name, _)| name.as_ref())
                .collect(),
            taken: command
                .taken
                .iter()
                .map(|(word, name)| (word.as_ref(), *name))
                .collect(),
        })
    }

    /// Checks an action; texts under the names of its noun count as words taken into a slot.
    pub fn check_action(&self, action: &StructuredAction) -> Check {
        let mut taken = Vec::new();
        if let Some(noun) = self.noun_named(&action.noun) {
            let noun = &self.nouns[noun as usize];
            for slot in std::iter::once(noun.slot).chain(noun.list) {
                match action.parameters.get(&self.parameters[slot as usize].name) {
                    Some(Value::String(text)) => taken.push((text.as_str(), true)),
                    Some(Value::Array(items)) => taken.extend(
                        items
                            .iter()
                            .filter_map(Value::as_str)
                            .map(|text| (text, true)),
                    ),
                    _ => {}
                }
            }
        }
        self.check_said(&Said {
            verb: &action.verb,
            noun: &action.noun,
            modifiers: action.modifiers.iter().map(String::as_str).collect(),
            parameters: action.parameters.iter().map(|(name, _)| name).collect(),
            taken,
        })
    }

    fn check_said(&self, said: &Said<'_>) -> Check {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        match (self.verb_named(said.verb), self.noun_named(said.noun)) {
            (Some(verb), Some(noun)) if self.goes_with(verb, noun) => {
                self.check_required(said, verb, noun, &mut errors);
                self.check_words(said, verb, noun, &mut warnings);
            }
            _ => errors.push(format!("pair:{} {}", said.verb, said.noun)),
        }
        let risk = self.risk(said);
        Check {
            errors,
            warnings,
            risk,
        }
    }

    /// C1
    fn check_required(
        &self,
        said: &Said<'_>,
        verb: VerbId,
        noun: NounId,
        errors: &mut Vec<String>,
    ) {
        let Some(pair) = self.pairs.get(&(verb, noun)) else {
            return;
        };
        let several = said
            .modifiers
            .iter()
            .any(|name| match self.modifier_named(name) {
                Some(id) => Some(id) == self.all || self.modifiers[id as usize].state,
                None => false,
            });
        let there = |name: &str| {
            name == "*" && !said.parameters.is_empty()
                || said.parameters.contains(&name)
                || said.modifiers.contains(&name)
        };
        let satisfied = |group: &&Group| {
            group.or_states && several || group.names.iter().any(|name| there(name))
        };
        for group in pair.required.iter().filter(|group| !satisfied(group)) {
            let first = group.names.first().map_or("", String::as_str);
            errors.push(format!("missing:{first}"));
        }
    }

    /// C2, C3
    fn check_words(&self, said: &Said<'_>, verb: VerbId, noun: NounId, warnings: &mut Vec<String>) {
        for name in &said.modifiers {
            let known = self.modifier_named(name);
            if !known.is_some_and(|modifier| self.allows(verb, noun, modifier)) {
                warnings.push(format!("modifier:{name}"));
            }
        }
        for name in &said.parameters {
            let known = self
                .parameter_named(name)
                .map(|id| &self.parameters[id as usize]);
            let listed = known.is_some_and(|parameter| {
                parameter
                    .verbs
                    .as_ref()
                    .is_none_or(|verbs| verbs.contains(&verb))
            });
            if !listed {
                warnings.push(format!("parameter:{name}"));
            }
        }
        for (word, is_name) in &said.taken {
            if !word.contains(|c: char| c.is_ascii_digit() || c == '/')
                && let Some((_, modifier)) = mend::near_modifier(self, verb, noun, word)
            {
                let modifier = &self.modifiers[modifier as usize].name;
                warnings.push(format!("near:{word}:{modifier}"));
            }
            let by_shape = self.nouns[noun as usize].by_shape;
            if let Some(shape) = self.shape(word).filter(|_| *is_name && !by_shape)
                && !self.same_kind(shape, noun)
            {
                let shape = &self.nouns[shape as usize].name;
                warnings.push(format!("shape:{word}:{shape}"));
            }
        }
    }

    fn risk(&self, said: &Said<'_>) -> Risk {
        let says = |word: &String| {
            word == said.verb || word == said.noun || said.modifiers.contains(&word.as_str())
        };
        let risks = self
            .risks
            .iter()
            .filter(|(_, words)| words.iter().all(says));
        risks.map(|(risk, _)| *risk).max().unwrap_or(Risk::Low)
    }
}
