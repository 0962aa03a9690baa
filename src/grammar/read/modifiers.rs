//! R5: modifiers.

use std::borrow::Cow;
use std::ops::Range;

use super::{Done, Reader, Role};
use crate::grammar::lex::Kind as TokenKind;
use crate::grammar::table::{Class, ModifierId};
use crate::grammar::{Code, Fault};

impl Reader<'_> {
    pub(super) fn read_modifiers(&mut self) -> Done {
        // Whether nothing but stop words stands between `all` and here.
        let mut behind_all = false;
        for at in 0..self.tokens.len() {
            if at == self.verb_at.start
                && let Some(modifier) = self.implied
            {
                self.take_modifier(modifier, at..self.verb_at.end)?;
                continue;
            }
            if let TokenKind::Plus(text) = &self.tokens[at].kind {
                let text = text.clone();
                self.modifiers.push(text);
                self.roles[at] = Role::Extra;
                behind_all = false;
                continue;
            }
            let sense = self.senses[at];
            let after_all = behind_all;
            behind_all &= self.class(at) == Some(Class::Stop) || self.roles[at] == Role::Part;
            let Some(modifier) = sense.modifier.filter(|_| self.roles[at] == Role::Open) else {
                continue;
            };
            if !self.grammar.counts(self.verb, self.noun, modifier) {
                continue;
            }
            let tokens = at..at + sense.length;
            let verb = &self.grammar.verbs[self.verb as usize];
            if after_all && verb.all_covers.contains(&modifier) {
                self.roles[at] = Role::Covered;
                continue;
            }
            behind_all = Some(modifier) == self.grammar.all;
            self.roles[at] = match self.take_modifier(modifier, tokens)? {
                true => Role::Modifier(modifier),
                false => Role::Again(modifier),
            };
        }
        Ok(())
    }

    /// Adds a modifier once; those that exclude each other are a fault at the later.
    pub(super) fn take_modifier(&mut self, modifier: ModifierId, at: Range<usize>) -> Done<bool> {
        if self.known.contains(&modifier) {
            return Ok(false);
        }
        let groups = self
            .grammar
            .exclusive
            .iter()
            .filter(|group| group.contains(&modifier));
        let other = groups.flatten().find(|other| self.known.contains(other));
        let name = &self.grammar.modifiers[modifier as usize].name;
        if let Some(other) = other {
            let other = &self.grammar.modifiers[*other as usize].name;
            let fault = Fault::new(Code::ConflictingModifiers, self.span(at));
            return Err(fault.about([other, name]));
        }
        self.known.push(modifier);
        self.modifiers.push(Cow::Borrowed(name));
        Ok(true)
    }
}
