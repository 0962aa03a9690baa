//! What each word and phrase behind the verb may be, parameter words and durations first.

use super::{Reader, Role, Sense};
use crate::grammar::table::{Class, Kind, Meaning, ParameterId, PrepositionId, Word};

impl Reader<'_> {
    /// Enters what the word or phrase at `at` may be; gives its length where it is anything.
    pub(super) fn sense_word(&mut self, at: usize, word: &Word) -> Option<usize> {
        let phrase = self.phrase(at, |_| true);
        let mut sense = Sense {
            length: 1,
            ..Sense::default()
        };
        match phrase {
            Some((meaning, length)) => {
                sense.length = length;
                match meaning {
                    Meaning::Verb(verb) => sense.verb = Some(verb),
                    Meaning::Noun(noun) => sense.noun = Some(noun),
                    Meaning::Modifier(modifier) => sense.modifier = Some(modifier),
                }
                for part in at + 1..at + length {
                    self.roles[part] = Role::Part;
                }
            }
            None => {
                sense.verb = word.verb;
                sense.noun = word.noun;
                sense.many = word.many;
                sense.modifier = word.modifier;
                if word.verb.is_none() && word.noun.is_none() && word.modifier.is_none() {
                    return None;
                }
            }
        }
        self.senses[at] = sense;
        Some(sense.length)
    }

    /// Parameter words take what follows them, durations are recognised, the others get senses.
    pub(super) fn sense_words(&mut self) {
        let mut at = self.verb_at.end;
        while at < self.tokens.len() {
            let Some(word) = self.word(at).filter(|_| self.roles[at] == Role::Open) else {
                at += 1;
                continue;
            };
            if let Some(parameter) = word.parameter {
                at = self.claim_parameter(at, parameter);
                continue;
            }
            if let Some(preposition) = word.preposition
                && let Some(length) = self.claim_duration(at, preposition)
            {
                at += length;
                continue;
            }
            at += self.sense_word(at, word).unwrap_or(1);
        }
    }

    /// `timeout of 5 minutes`; the value itself is read later, in its turn.
    pub(super) fn claim_parameter(&mut self, at: usize, parameter: ParameterId) -> usize {
        self.roles[at] = Role::ParameterWord(parameter);
        let mut value = at + 1;
        while self.word(value).is_some_and(|word| {
            word.class == Some(Class::Stop)
                || matches!(&*word.text, "to" | "at") && word.preposition.is_some()
        }) {
            self.roles[value] = Role::Stop;
            value += 1;
        }
        if !(self.is_word(value) || self.is_quoted(value)) || self.roles[value] != Role::Open {
            return value;
        }
        self.roles[value] = Role::Value(parameter);
        let seconds = self.grammar.parameters[parameter as usize].kind == Kind::Seconds;
        if seconds && let Some((_, 2)) = self.duration(value) {
            self.roles[value + 1] = Role::Part;
            return value + 2;
        }
        value + 1
    }

    /// `for 10 minutes`, `in 5m`.
    pub(super) fn claim_duration(
        &mut self,
        at: usize,
        preposition: PrepositionId,
    ) -> Option<usize> {
        let own = self
            .own_parameter(preposition)
            .filter(|parameter| self.grammar.parameters[*parameter as usize].kind == Kind::Seconds);
        let general = [self.grammar.lasting, self.grammar.delayed];
        let general = general
            .into_iter()
            .flatten()
            .find(|(id, _)| *id == preposition);
        let parameter = own.or(general.map(|(_, parameter)| parameter))?;
        let value = self.after_stops(at + 1);
        let (_, length) = self.duration(value)?;
        self.roles[at] = Role::Preposition;
        self.roles[at + 1..value].fill(Role::Stop);
        self.roles[value] = Role::Value(parameter);
        if length == 2 {
            self.roles[value + 1] = Role::Part;
        }
        Some(value + length - at)
    }
}
