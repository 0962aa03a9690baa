//! R7 and R10: `name=value`, read before the words are classified.

use std::borrow::Cow;
use std::ops::Range;

use super::{Done, Found, Reader, Role};
use crate::action::json::Value;
use crate::grammar::lex::{Given, Kind as TokenKind};
use crate::grammar::table::{Kind, ParameterId};
use crate::grammar::{Argument, Code, Fault, value};

impl<'a> Reader<'a> {
    pub(super) fn read_named(&mut self) -> Done {
        for at in 0..self.tokens.len() {
            let token = &self.tokens[at];
            let TokenKind::Named {
                name,
                quoted,
                given,
            } = &token.kind
            else {
                continue;
            };
            let span = token.span.clone();
            if !quoted && let Some(part) = name.strip_prefix('@') {
                let part = part.to_ascii_lowercase();
                let given = given.clone();
                self.read_envelope(at, &part, &given, span)?;
                continue;
            }
            let (name, known) = match quoted {
                true => (name.clone(), self.grammar.parameter_named(name)),
                false => self.known_name(name),
            };
            let kind = known.map_or(Kind::Any, |id| self.grammar.parameters[id as usize].kind);
            let argument = match given {
                Given::Quoted(text) => Argument::Text(text.clone()),
                Given::Bare(text) => value::typed(kind, text).ok_or_else(|| {
                    Fault::new(Code::BadValue, span.clone()).about([name.as_ref(), kind.as_str()])
                })?,
                Given::Json(raw) => {
                    let value = Value::read(raw, 1).map_err(|error| {
                        Fault::new(Code::BadJson, span.clone()).about([error.to_string()])
                    })?;
                    Argument::Json(value)
                }
            };
            self.roles[at] = Role::Named;
            self.add(at, name, argument, true)?;
        }
        Ok(())
    }

    /// Known names fold case and dashes; others stay as they are.
    pub(super) fn known_name(&self, name: &Cow<'a, str>) -> (Cow<'a, str>, Option<ParameterId>) {
        if let Some(id) = self.grammar.parameter_named(name) {
            return (Cow::Borrowed(self.name_of(id)), Some(id));
        }
        if name.bytes().any(|b| b.is_ascii_uppercase() || b == b'-') {
            let folded = name.to_ascii_lowercase().replace('-', "_");
            if let Some(id) = self.grammar.parameter_named(&folded) {
                return (Cow::Borrowed(self.name_of(id)), Some(id));
            }
        }
        (name.clone(), None)
    }

    pub(super) fn read_envelope(
        &mut self,
        at: usize,
        part: &str,
        given: &Given<'a>,
        span: Range<usize>,
    ) -> Done {
        let text = match given {
            Given::Bare(text) => Cow::Borrowed(*text),
            Given::Quoted(text) => text.clone(),
            Given::Json(_) => {
                return Err(Fault::new(Code::BadValue, span).about([format!("@{part}")]));
            }
        };
        let twice = match part {
            "from" => self.from.replace(text).is_some(),
            "id" => self.id.replace(text).is_some(),
            "at" => {
                let Ok(time) = text.parse() else {
                    return Err(Fault::new(Code::BadValue, span).about(["@at", "time"]));
                };
                self.at.replace(time).is_some()
            }
            _ => return Err(Fault::new(Code::UnknownEnvelope, span)),
        };
        if twice {
            return Err(Fault::new(Code::DuplicateParameter, span).about([format!("@{part}")]));
        }
        self.roles[at] = Role::Envelope;
        Ok(())
    }

    /// Where a parameter of this name was found.
    pub(super) fn place_of(&mut self, name: &str) -> Option<usize> {
        if self.found.len() < 16 {
            return self.found.iter().position(|found| found.name == name);
        }
        for place in self.index.len()..self.found.len() {
            self.index.insert(self.found[place].name.clone(), place);
        }
        self.index.get(name).copied()
    }

    /// Adds a parameter; the same again is nothing, another value is a fault.
    pub(super) fn add(
        &mut self,
        at: usize,
        name: Cow<'a, str>,
        argument: Argument<'a>,
        named: bool,
    ) -> Done {
        if let Some(place) = self.place_of(&name) {
            let there = &self.found[place].argument;
            if *there == argument || there.to_value() == argument.to_value() {
                return Ok(());
            }
            return Err(self.duplicate(at, &name));
        }
        self.found.push(Found {
            token: at,
            name,
            argument,
            named,
        });
        Ok(())
    }

    pub(super) fn duplicate(&self, at: usize, name: &str) -> Fault {
        Fault::new(Code::DuplicateParameter, self.tokens[at].span.clone()).about([name])
    }
}
