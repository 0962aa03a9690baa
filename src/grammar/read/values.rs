//! R6 and R9: bare words fill the slots of the pair; labels, other nouns, stop words.

use std::borrow::Cow;

use super::{Done, Reader, Role, Slot};
use crate::action::json::Value;
use crate::grammar::lex::Kind as TokenKind;
use crate::grammar::table::{Class, Kind, NounId, ParameterId};
use crate::grammar::{Argument, Code, Fault, Fix, value};

impl<'a> Reader<'a> {
    pub(super) fn lay_slots(&mut self) {
        let noun = &self.grammar.nouns[self.noun as usize];
        let list = noun.list.filter(|_| self.many || noun.singular.is_some());
        let slot = |parameter: ParameterId| {
            let several = parameter == noun.slot && list.is_some();
            let parameter = list.filter(|_| several).unwrap_or(parameter);
            let kind = self.grammar.parameters[parameter as usize].kind;
            Slot {
                parameter,
                list: several || kind == Kind::List,
                filled: false,
            }
        };
        self.slots = match self.grammar.slots(self.verb, self.noun) {
            Some(slots) => slots.iter().copied().map(slot).collect(),
            None => vec![slot(noun.slot)],
        };
    }

    pub(super) fn read_values(&mut self) -> Done {
        let mut at = 0;
        while at < self.tokens.len() {
            at = self.read_token(at)?;
        }
        Ok(())
    }

    /// Gives the token at `at` its place; gives the token after it.
    pub(super) fn read_token(&mut self, at: usize) -> Done<usize> {
        match self.roles[at] {
            Role::Open => {}
            Role::ParameterWord(parameter) => return self.read_parameter_word(at, parameter),
            // A duration behind `for` or `in`.
            Role::Value(parameter) => {
                if let Some((seconds, length)) = self.duration(at) {
                    self.add(at, Cow::Borrowed(self.name_of(parameter)), seconds, false)?;
                    return Ok(at + length);
                }
                return Ok(at + 1);
            }
            _ => return Ok(at + 1),
        }
        if at < self.verb_at.start {
            if self.senses[at].noun.is_some() {
                return self.other_noun(at);
            }
            if self.senses[at].length > 0 {
                // A modifier that is none with this verb and noun.
                return Err(self.unexpected(at));
            }
            self.roles[at] = Role::Stop;
            return Ok(at + 1);
        }
        if matches!(self.tokens[at].kind, TokenKind::Break) {
            self.roles[at] = Role::Glue;
            return Ok(at + 1);
        }
        if self.is_value(at) {
            self.read_value(at)?;
            return Ok(at + 1);
        }
        let sense = self.senses[at];
        if sense.noun.is_some() {
            return self.other_noun(at);
        }
        let word = self.word(at);
        if let Some(preposition) = word.and_then(|word| word.preposition) {
            return self.read_preposition(at, preposition);
        }
        match word.and_then(|word| word.class) {
            Some(Class::And | Class::Then) => self.roles[at] = Role::Glue,
            Some(Class::Stop) => self.roles[at] = Role::Stop,
            Some(Class::Label) => {
                if !self.is_value(at + 1) {
                    return Err(self.missing_value(at));
                }
                self.roles[at] = Role::Label;
            }
            // `git` again, or a question word in the middle: nothing has a use for them.
            _ => return Err(self.unexpected(at)),
        }
        Ok(at + 1)
    }

    /// A bare value: the first free slot.
    pub(super) fn read_value(&mut self, at: usize) -> Done {
        let text = self.value_text(at);
        if self.is_word(at) && text.starts_with('-') {
            return Err(self.unexpected(at));
        }
        let message = self.is_quoted(at).then(|| {
            self.slots
                .iter()
                .position(|slot| !slot.filled && self.name_of(slot.parameter) == "message")
        });
        let mut named = None;
        let mut free = message.flatten();
        for place in 0..self.slots.len() {
            if free.is_some() {
                break;
            }
            let slot = &self.slots[place];
            let (parameter, list) = (slot.parameter, slot.list);
            if slot.filled && !list {
                continue;
            }
            let name = self.slot_name(parameter, &text);
            match self
                .place_of(name)
                .filter(|place| self.found[*place].named && !list)
            {
                Some(there) => named = named.or(Some(there)),
                None => free = Some(place),
            }
        }
        let Some(place) = free else {
            return match named {
                Some(there)
                    if self.found[there].argument.to_value() == Value::from(text.as_ref()) =>
                {
                    self.roles[at] = Role::Named;
                    Ok(())
                }
                Some(there) => {
                    let name = self.found[there].name.clone();
                    Err(self.duplicate(at, &name))
                }
                None => Err(self.unexpected(at)),
            };
        };
        let slot = &mut self.slots[place];
        slot.filled = true;
        let (parameter, list) = (slot.parameter, slot.list);
        self.roles[at] = Role::Value(parameter);
        if self.is_word(at) {
            let noun = &self.grammar.nouns[self.noun as usize];
            let is_name = parameter == noun.slot || Some(parameter) == noun.list;
            self.taken.push((text.clone(), is_name));
        }
        if list {
            self.push_list(at, parameter, text);
            return Ok(());
        }
        let name = self.slot_name(parameter, &text);
        let argument = self.spoken(at, parameter)?;
        self.add(at, Cow::Borrowed(name), argument, false)
    }

    /// The name under which a value goes: some nouns take the one of its shape.
    pub(super) fn slot_name(&self, parameter: ParameterId, text: &str) -> &'a str {
        let noun = &self.grammar.nouns[self.noun as usize];
        let shaped = match noun.by_shape && parameter == noun.slot {
            true => self
                .grammar
                .shape(text)
                .map(|noun| self.grammar.nouns[noun as usize].slot),
            false => None,
        };
        self.name_of(shaped.unwrap_or(parameter))
    }

    pub(super) fn push_list(&mut self, at: usize, parameter: ParameterId, text: Cow<'a, str>) {
        match self
            .lists
            .iter_mut()
            .find(|(_, there, _)| *there == parameter)
        {
            Some((_, _, list)) => list.push(text),
            None => self.lists.push((at, parameter, vec![text])),
        }
    }

    /// The value at `at` as its parameter wants it.
    pub(super) fn spoken(&self, at: usize, parameter: ParameterId) -> Done<Argument<'a>> {
        let known = &self.grammar.parameters[parameter as usize];
        if self.is_word(at) && self.text(at).starts_with('-') {
            return Err(self.unexpected(at));
        }
        let argument = match &self.tokens[at].kind {
            TokenKind::Word(text, _) => value::spoken(self.grammar, known.kind, text),
            TokenKind::Quoted(text) => Some(Argument::Text(text.clone())),
            _ => None,
        };
        argument.ok_or_else(|| {
            let span = self.tokens[at].span.clone();
            Fault::new(Code::BadValue, span).about([known.name.as_str(), known.kind.as_str()])
        })
    }

    /// `timeout of 5 minutes`
    pub(super) fn read_parameter_word(&mut self, at: usize, parameter: ParameterId) -> Done<usize> {
        let value = (at + 1..self.tokens.len()).find(|next| self.roles[*next] != Role::Stop);
        let value = value.filter(|value| self.roles[*value] == Role::Value(parameter));
        let name = self.name_of(parameter);
        let Some(value) = value else {
            return Err(self.missing_value(at));
        };
        let seconds = self.grammar.parameters[parameter as usize].kind == Kind::Seconds;
        let (argument, length) = match self.duration(value).filter(|_| seconds) {
            Some((argument, length)) => (argument, length),
            None => (self.spoken(value, parameter)?, 1),
        };
        self.add(value, Cow::Borrowed(name), argument, false)?;
        Ok(value + length)
    }

    /// A noun word that is not the noun: a label, a repetition, or a fault.
    pub(super) fn other_noun(&mut self, at: usize) -> Done<usize> {
        let sense = self.senses[at];
        let noun = sense.noun.unwrap_or_default();
        let end = at + sense.length;
        if let Some(value) = self.labelled(end) {
            self.roles[at] = Role::Label;
            return self.read_labelled(value, noun, sense.many, None);
        }
        if self.grammar.same_kind(noun, self.noun) || self.follows_its_value(at, noun) {
            self.roles[at] = Role::Repeated;
            return Ok(end);
        }
        if sense.verb.is_some() && at > self.verb_at.start {
            return Err(self.second_command(at));
        }
        let fault = Fault::new(Code::UnexpectedWord, self.span(at..end));
        let behind_noun = self.noun_at.end == at && !self.noun_at.is_empty();
        if !behind_noun || !self.options.mend {
            return Err(fault);
        }
        let span = self.span(at..end);
        let quoted = format!("\"{}\"", &self.line[span.clone()]);
        Err(fault.fix(Some(Fix::Replace(span, quoted, false))))
    }

    /// The value that a noun word ending before `at` labels.
    pub(super) fn labelled(&self, at: usize) -> Option<usize> {
        if at <= self.verb_at.start {
            return None;
        }
        let letter = self.class(at) == Some(Class::Stop) && self.text(at).len() == 1;
        let next = if letter { at } else { self.after_stops(at) };
        let next = match self.class(next) {
            Some(Class::Label) => next + 1,
            _ => next,
        };
        (self.is_value(next) || letter).then_some(next)
    }

    /// `kiro-3` in `from the kiro-3 instance`.
    pub(super) fn follows_its_value(&self, at: usize, noun: NounId) -> bool {
        let Some(before) = at.checked_sub(1) else {
            return false;
        };
        let Role::Value(parameter) = self.roles[before] else {
            return false;
        };
        let shape = self.grammar.shape(self.text(before));
        let slot = self.grammar.nouns[noun as usize].slot;
        slot == parameter || shape.is_some_and(|shape| self.grammar.same_kind(shape, noun))
    }

    /// The value (or values) at `at` under a noun word, or under a parameter of the verb's own.
    pub(super) fn read_labelled(
        &mut self,
        at: usize,
        noun: NounId,
        many: bool,
        own: Option<ParameterId>,
    ) -> Done<usize> {
        let entry = &self.grammar.nouns[noun as usize];
        let mut before = at;
        while before > 0 && self.roles[before - 1] == Role::Open {
            before -= 1;
            self.roles[before] = match self.class(before) {
                Some(Class::Label) => Role::Label,
                Some(Class::Stop) => Role::Stop,
                _ => break,
            };
        }
        let list = entry
            .list
            .filter(|_| (many || entry.singular.is_some()) && own.is_none());
        // The same kind again belongs to the list of the noun.
        let joins = self
            .slots
            .iter()
            .find(|slot| slot.list && own.is_none() && self.grammar.same_kind(noun, self.noun));
        let list = list.or(joins.map(|slot| slot.parameter));
        let Some(parameter) = list else {
            let parameter = own.unwrap_or(entry.slot);
            let argument = self.spoken(at, parameter)?;
            self.roles[at] = Role::Value(parameter);
            self.fill(parameter);
            self.add(at, Cow::Borrowed(self.name_of(parameter)), argument, false)?;
            return Ok(at + 1);
        };
        let mut next = at;
        loop {
            let text = self.value_text(next);
            self.roles[next] = Role::Value(parameter);
            self.push_list(next, parameter, text);
            self.fill(parameter);
            next += 1;
            let glue = self.class(next) == Some(Class::And);
            let value = if glue { next + 1 } else { next };
            if !self.is_value(value) {
                return Ok(next);
            }
            if glue {
                self.roles[next] = Role::Glue;
            }
            next = value;
        }
    }

    /// Marks the slot of a parameter as filled.
    pub(super) fn fill(&mut self, parameter: ParameterId) {
        if let Some(slot) = self
            .slots
            .iter_mut()
            .find(|slot| slot.parameter == parameter)
        {
            slot.filled = true;
        }
    }
}
