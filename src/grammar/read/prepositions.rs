//! R8: prepositions.

use std::borrow::Cow;

use super::{Done, Reader, Role};
use crate::grammar::lex::Kind as TokenKind;
use crate::grammar::table::{Class, PrepositionId};
use crate::grammar::{Code, Fault, Fix};

impl Reader<'_> {
    pub(super) fn read_preposition(
        &mut self,
        at: usize,
        preposition: PrepositionId,
    ) -> Done<usize> {
        self.roles[at] = Role::Preposition;
        if self.drops(preposition, at) {
            self.roles[at] = Role::Stop;
            return Ok(at + 1);
        }
        let next = self.after_stops(at + 1);
        if next >= self.tokens.len() || matches!(self.tokens[next].kind, TokenKind::Break) {
            return Err(self.missing_value(at));
        }
        if self.roles[next] != Role::Open {
            // A modifier, a parameter, the noun itself.
            return Ok(at + 1);
        }
        let own = self.own_parameter(preposition);
        if self.senses[next].noun.is_some() && !self.is_value(next) {
            let sense = self.senses[next];
            let noun = sense.noun.unwrap_or_default();
            let Some(value) = self.labelled(next + sense.length) else {
                return Ok(next);
            };
            self.roles[at + 1..next].fill(Role::Stop);
            self.roles[next] = Role::Label;
            return self.read_labelled(value, noun, sense.many, own);
        }
        if !self.is_value(next) {
            if self.class(next) == Some(Class::And) {
                return Err(self.missing_value(at));
            }
            // A label, another preposition, a verb word: these speak for themselves.
            return Ok(next);
        }
        self.roles[at + 1..next].fill(Role::Stop);
        if let Some(parameter) = own {
            let argument = self.spoken(next, parameter)?;
            self.roles[next] = Role::Value(parameter);
            self.fill(parameter);
            self.add(
                next,
                Cow::Borrowed(self.name_of(parameter)),
                argument,
                false,
            )?;
            return Ok(next + 1);
        }
        let known = &self.grammar.prepositions[preposition as usize];
        let shape = self
            .grammar
            .shape(self.text(next))
            .filter(|_| known.by_shape);
        let Some(noun) = shape else {
            let on = known.name == "on" && self.is_word(next);
            if !on {
                return Err(self.unexpected(next));
            }
            let span = self.tokens[next].span.clone();
            let fix = Fix::Replace(span.start..span.start, "instance ".to_owned(), false);
            return Err(Fault::new(Code::UnexpectedWord, span).fix(Some(fix)));
        };
        self.read_labelled(next, noun, false, None)
    }
}
