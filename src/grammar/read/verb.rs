//! R2: what is never acted on, the verb, and one command a line.

use std::ops::Range;

use super::{Done, Reader, Role, Sense};
use crate::grammar::lex::{Kind as TokenKind, Token};
use crate::grammar::table::{Class, Meaning, VerbId};
use crate::grammar::{Code, Fault, Fix, mend};

impl Reader<'_> {
    pub(super) fn never_act_on(&mut self) -> Done {
        for at in 0..self.tokens.len() {
            let code = match self.class(at) {
                Some(Class::Negation) => Code::Negation,
                Some(Class::Condition) => Code::Condition,
                Some(Class::Question) if at == 0 => Code::Question,
                Some(Class::Pronoun) => Code::UnresolvedReference,
                _ => continue,
            };
            return Err(Fault::new(code, self.tokens[at].span.clone()));
        }
        Ok(())
    }

    /// The longest phrase that begins at `at`, of those that `wanted` takes.
    pub(super) fn phrase(
        &self,
        at: usize,
        wanted: impl Fn(Meaning) -> bool,
    ) -> Option<(Meaning, usize)> {
        let (first, end) = self.word(at)?.phrases;
        self.grammar.phrases[first as usize..end as usize]
            .iter()
            .find(|phrase| {
                let mut words = phrase.words.iter().enumerate();
                wanted(phrase.meaning)
                    && words.all(|(more, id)| match self.tokens.get(at + more) {
                        Some(Token {
                            kind: TokenKind::Word(_, there),
                            ..
                        }) => there == id && self.roles[at + more] == Role::Open,
                        _ => false,
                    })
            })
            .map(|phrase| (phrase.meaning, phrase.words.len()))
    }

    pub(super) fn find_verb(&mut self) -> Done {
        let mut at = 0;
        while at < self.tokens.len() {
            match &self.tokens[at].kind {
                TokenKind::Break | TokenKind::Plus(_) | TokenKind::Named { .. } => {
                    at += 1;
                    continue;
                }
                TokenKind::Quoted(_) => return Err(self.unknown_verb(at)),
                TokenKind::Word(..) => {}
            }
            let Some(word) = self.word(at) else {
                return Err(self.unknown_verb(at));
            };
            let verb_phrase = self.phrase(at, |meaning| matches!(meaning, Meaning::Verb(_)));
            if let Some((Meaning::Verb(verb), length)) = verb_phrase {
                self.take_verb(verb, at..at + length);
                return Ok(());
            }
            if let Some(verb) = word.verb {
                self.implied = word.implied;
                self.take_verb(verb, at..at + 1);
                return Ok(());
            }
            if let Some(length) = self.sense_word(at, word) {
                at += length;
                continue;
            }
            match word.class {
                Some(Class::Stop | Class::And | Class::Then) => {}
                Some(Class::Git) if !self.git => self.git = true,
                _ if word.preposition.is_some() => {}
                _ => return Err(self.unknown_verb(at)),
            }
            at += 1;
        }
        let mut fault = Fault::new(Code::MissingVerb, self.tokens[0].span.clone());
        if let Some(noun) = self.senses.iter().find_map(|sense| sense.noun) {
            let noun = &self.grammar.nouns[noun as usize].name;
            fault = fault.fix(Some(Fix::Line(format!("status {noun}"))));
        }
        Err(fault)
    }

    pub(super) fn take_verb(&mut self, verb: VerbId, at: Range<usize>) {
        self.verb = verb;
        for place in at.clone() {
            self.roles[place] = if place == at.start {
                Role::Verb
            } else {
                Role::Part
            };
        }
        self.verb_at = at;
    }

    pub(super) fn unknown_verb(&self, at: usize) -> Fault {
        let fault = Fault::new(Code::UnknownVerb, self.tokens[at].span.clone());
        if !self.options.mend {
            return fault;
        }
        let text = self.text(at);
        let near = mend::near_verb(self.grammar, text, self.options.core);
        let replaced = near.filter(|_| self.is_word(at));
        let replaced = replaced.map(|word| self.replaced(at, word));
        let lone = match self.grammar.shape(text).filter(|_| self.tokens.len() == 1) {
            Some(noun) => {
                let noun = &self.grammar.nouns[noun as usize].name;
                Some(Fix::Line(format!("status {noun} {text}")))
            }
            None => None,
        };
        fault.fix(replaced).fix(lone)
    }

    pub(super) fn replaced(&self, at: usize, word: &str) -> Fix {
        Fix::Replace(self.tokens[at].span.clone(), word.to_owned(), true)
    }

    pub(super) fn one_command(&mut self) -> Done {
        for at in self.verb_at.end..self.tokens.len() {
            if self.roles[at] != Role::Open {
                continue;
            }
            let breaks = matches!(self.tokens[at].kind, TokenKind::Break)
                || self.class(at) == Some(Class::Then);
            if breaks {
                let next = (at + 1..self.tokens.len()).find(|next| {
                    !matches!(self.tokens[*next].kind, TokenKind::Break)
                        && !matches!(self.class(*next), Some(Class::And | Class::Then))
                });
                match next {
                    Some(next) => return Err(self.second_command(next)),
                    // Nothing but these follows.
                    None => return Ok(()),
                }
            }
            if self.senses[at].verb.is_some() {
                let verb = &self.grammar.verbs[self.verb as usize];
                if verb.repeats && self.word(at).is_some_and(|word| *word.text == *verb.name) {
                    self.roles[at] = Role::Repeated;
                    continue;
                }
                if !self.absorbs(at) {
                    return Err(self.second_command(at));
                }
                // A word that is only a verb is a value from here on.
                if self.senses[at].noun.is_none() && self.senses[at].modifier.is_none() {
                    self.senses[at] = Sense::default();
                }
            }
        }
        Ok(())
    }

    /// Whether a rule has a use for the verb word at `at`.
    pub(super) fn absorbs(&self, at: usize) -> bool {
        let sense = &self.senses[at];
        if sense.length > 1 {
            return false;
        }
        if sense.modifier.is_some_and(|modifier| {
            !self.noun_at.is_empty() && self.grammar.counts(self.verb, self.noun, modifier)
        }) {
            return true;
        }
        let next = self.after_stops(at + 1);
        let ends = !self.is_noun_word(next) && !self.is_value(next);
        if sense.noun.is_some() {
            // A noun word too: fine where a value makes it a label, or where it is repeated.
            return self.is_value(at + 1) && !self.is_quoted(at + 1) && !self.is_glued(at);
        }
        let Some(before) = self.before_stops(at) else {
            return false;
        };
        if self.class(before) == Some(Class::Label) {
            return true;
        }
        let own = self
            .under(at)
            .and_then(|preposition| self.own_parameter(preposition));
        if own.is_some() {
            return ends;
        }
        let behind_noun = at > 0 && self.is_noun_word_end(at - 1);
        if behind_noun {
            return !self.is_noun_word(next);
        }
        let before_noun = self.noun_at.start == at + 1 && !self.noun_at.is_empty();
        before_noun && !self.value_between(self.verb_at.end, at) && !self.is_glued(at)
    }

    /// Whether `and` or a comma stands before the token.
    pub(super) fn is_glued(&self, at: usize) -> bool {
        let before = at.wrapping_sub(1);
        self.class(before) == Some(Class::And)
            || self.tokens.get(before).is_some_and(|token| token.comma)
    }

    pub(super) fn is_noun_word(&self, at: usize) -> bool {
        self.senses
            .get(at)
            .is_some_and(|sense| sense.noun.is_some())
    }

    /// Whether a noun word or phrase ends at `at`.
    pub(super) fn is_noun_word_end(&self, at: usize) -> bool {
        let start = (0..=at)
            .rev()
            .find(|start| self.roles[*start] != Role::Part)
            .unwrap_or(at);
        self.is_noun_word(start) && self.senses[start].verb.is_none()
    }

    pub(super) fn value_between(&self, from: usize, to: usize) -> bool {
        (from..to).any(|at| self.is_value(at))
    }

    pub(super) fn second_command(&self, at: usize) -> Fault {
        let glue = |at: usize| {
            matches!(self.tokens[at].kind, TokenKind::Break)
                || matches!(self.class(at), Some(Class::And | Class::Then))
        };
        let last = (0..at).rev().find(|before| !glue(*before));
        let fault = Fault::new(Code::MultipleCommands, self.tokens[at].span.clone());
        let end = last.map(|last| self.tokens[last].span.end);
        fault.fix(end.map(|end| Fix::Split(end, self.tokens[at].span.start)))
    }
}
