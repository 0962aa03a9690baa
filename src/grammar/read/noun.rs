//! R3 and R4: the noun word, or what is meant without one.

use super::{Done, Reader, Role};
use crate::grammar::table::Tier;
use crate::grammar::{Code, Fault, Fix, mend};

impl Reader<'_> {
    pub(super) fn find_noun(&mut self) {
        let mut candidates = (0..self.tokens.len())
            .filter(|at| self.senses[*at].noun.is_some() && !self.stands_apart(*at));
        let Some(first) = candidates.next() else {
            return;
        };
        let noun_of = |at: usize| self.senses[at].noun.unwrap_or_default();
        let chosen = match (self.senses[first].modifier, candidates.next()) {
            (Some(modifier), Some(second))
                if self.grammar.allows(self.verb, noun_of(second), modifier) =>
            {
                second
            }
            _ => first,
        };
        let sense = self.senses[chosen];
        self.noun = noun_of(chosen);
        self.many = sense.many;
        self.noun_at = chosen..chosen + sense.length;
        self.roles[chosen] = Role::Noun;
    }

    /// Whether a noun word stands behind a preposition that says what else it is: `from instance
    /// kiro-3`, `from the kiro-3 instance`.
    pub(super) fn stands_apart(&self, at: usize) -> bool {
        let apart = |at: usize| {
            let under = self.under(at);
            under.is_some_and(|id| self.grammar.prepositions[id as usize].apart)
        };
        let named_before = || {
            let before = at.checked_sub(1).filter(|before| self.is_value(*before))?;
            let shape = self.grammar.shape(self.text(before))?;
            let noun = self.senses[at].noun?;
            Some(self.grammar.same_kind(shape, noun) && apart(before))
        };
        apart(at) || named_before() == Some(true)
    }

    pub(super) fn noun_without_word(&mut self) -> Done {
        let grammar = self.grammar;
        let after = self.verb_at.end..self.tokens.len();
        let values: Vec<usize> = after.clone().filter(|at| self.is_value(*at)).collect();
        for at in &values {
            let plain = |c: char| !c.is_ascii_digit() && !matches!(c, '/' | '-' | '_' | '.');
            if self.is_word(*at)
                && self.text(*at).chars().all(plain)
                && let Some(near) = mend::near_noun(grammar, self.text(*at), self.options.core)
            {
                let fault = Fault::new(Code::UnknownNoun, self.tokens[*at].span.clone());
                // `switch to redis`: the word was meant, and the noun is missing.
                let noun = grammar.verbs[self.verb as usize].default_noun.map(|noun| {
                    let end = self.span(self.verb_at.clone()).end;
                    Fix::Replace(
                        end..end,
                        format!(" {}", grammar.nouns[noun as usize].name),
                        false,
                    )
                });
                return Err(fault.fix(Some(self.replaced(*at, near))).fix(noun));
            }
        }
        let free: Vec<usize> = values
            .into_iter()
            .filter(|at| self.under(*at).is_none())
            .collect();
        if let Some(noun) = free.iter().find_map(|at| grammar.shape(self.text(*at))) {
            self.noun = noun;
            return Ok(());
        }
        if self.git
            && let Some(branch) = grammar.noun_named("branch")
        {
            self.noun = branch;
            return Ok(());
        }
        let verb = &grammar.verbs[self.verb as usize];
        let choices = || {
            verb.nouns
                .iter()
                .map(|noun| grammar.nouns[*noun as usize].name.clone())
        };
        let Some(mut noun) = verb.default_noun else {
            let span = self.span(self.verb_at.clone());
            return Err(Fault::new(Code::MissingNoun, span).about(choices()));
        };
        let many = (0..self.tokens.len()).any(|at| {
            self.senses[at].modifier.is_some_and(|modifier| {
                Some(modifier) == grammar.all || grammar.modifiers[modifier as usize].state
            })
        });
        if many {
            self.many = true;
            noun = grammar.nouns[noun as usize].plural.unwrap_or(noun);
        }
        if verb.ambiguous_default
            && let Some(at) = free.first()
        {
            let span = self.tokens[*at].span.clone();
            let name = &grammar.nouns[noun as usize].name;
            let fix = Fix::Replace(span.start..span.start, format!("{name} "), false);
            return Err(Fault::new(Code::AmbiguousNoun, span)
                .about(choices())
                .fix(Some(fix)));
        }
        self.noun = noun;
        Ok(())
    }

    /// `--core` knows only the words of the original.
    pub(super) fn check_tier(&self) -> Done {
        if !self.options.core {
            return Ok(());
        }
        let verb = &self.grammar.verbs[self.verb as usize];
        if verb.tier != Tier::Core {
            let span = self.span(self.verb_at.clone());
            return Err(Fault::new(Code::UnknownVerb, span).about([verb.name.as_str()]));
        }
        let noun = &self.grammar.nouns[self.noun as usize];
        if noun.tier != Tier::Core {
            let at = if self.noun_at.is_empty() {
                &self.verb_at
            } else {
                &self.noun_at
            };
            let span = self.span(at.clone());
            return Err(Fault::new(Code::UnknownNoun, span).about([noun.name.as_str()]));
        }
        Ok(())
    }
}
