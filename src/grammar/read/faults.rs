//! What a word without a place is told, with what R6 suggests.

use super::Reader;
use crate::grammar::{Code, Fault, Fix, mend};

impl Reader<'_> {
    pub(super) fn missing_value(&self, at: usize) -> Fault {
        Fault::new(Code::MissingValue, self.tokens[at].span.clone()).about([self.text(at)])
    }

    /// A word without a place, with what R6 suggests in its order.
    pub(super) fn unexpected(&self, at: usize) -> Fault {
        let span = self.tokens[at].span.clone();
        let fault = Fault::new(Code::UnexpectedWord, span.clone());
        if !self.options.mend {
            return fault;
        }
        let text = self.text(at);
        let near = mend::near_modifier(self.grammar, self.verb, self.noun, text);
        let near = near
            .filter(|_| self.is_word(at))
            .map(|(word, _)| self.replaced(at, word));
        let on = self
            .grammar
            .shape(text)
            .is_some_and(|noun| self.grammar.nouns[noun as usize].name == "instance");
        let on = on.then(|| Fix::Replace(span.start..span.start, "on ".to_owned(), false));
        fault
            .fix(near)
            .fix(self.quoted_message())
            .fix(on)
            .fix(self.plural())
    }

    /// Quotes around the words of a message.
    pub(super) fn quoted_message(&self) -> Option<Fix> {
        let message = self
            .found
            .iter()
            .find(|found| found.name == "message" && !found.named)?;
        if !self.is_word(message.token) {
            return None;
        }
        let words = message.token..self.tokens.len();
        let last = words.take_while(|at| self.is_word(*at)).last()?;
        let span = self.span(message.token..last + 1);
        let mut quoted = String::new();
        crate::action::json::write_text(&self.line[span.clone()], &mut quoted);
        Some(Fix::Replace(span, quoted, false))
    }

    /// The plural noun, where one id is already there.
    pub(super) fn plural(&self) -> Option<Fix> {
        let noun = &self.grammar.nouns[self.noun as usize];
        let slot = self.name_of(noun.slot);
        let id = self
            .found
            .iter()
            .find(|found| found.name == slot && !found.named)?;
        let plural = match noun.plural {
            Some(plural) => &self.grammar.nouns[plural as usize].name,
            None => noun.many.as_ref()?,
        };
        Some(match self.noun_at.is_empty() {
            true => {
                let start = self.tokens[id.token].span.start;
                Fix::Replace(start..start, format!("{plural} "), false)
            }
            false => Fix::Replace(self.span(self.noun_at.clone()), plural.clone(), false),
        })
    }
}
