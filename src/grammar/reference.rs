//! Lines as the original writes them into its logs: verb, noun, then every bare word is a modifier.

use std::borrow::Cow;

use super::lex::{self, Given, Kind as TokenKind};
use super::table::{Class, Grammar, Kind};
use super::{Argument, Code, Command, Fault, ParseError, mend, read, value};
use crate::action::json::Value;

impl Grammar {
    /// Reads a line of the original's logs (its `to_command_string`): verb, noun, modifiers,
    /// `name=value`. Values are guessed as there, whatever this table declares.
    ///
    /// # Errors
    /// As [`Grammar::parse`].
    pub fn parse_reference<'a>(&'a self, line: &'a str) -> Result<Command<'a>, Box<ParseError>> {
        let fail = |fault: Fault| mend::error(self, fault, &read::Seen::whole(line), false);
        if line.len() > lex::LINE {
            return Err(fail(Fault::new(Code::TooLong, 0..0)));
        }
        lex::check_characters(line).map_err(fail)?;
        let tokens = lex::tokens(self, line).map_err(fail)?;
        let (mut verb, mut noun) = (None, None);
        let (mut modifiers, mut parameters) = (Vec::new(), Vec::new());
        for token in tokens {
            match token.kind {
                TokenKind::Word(text, id) => {
                    let word = self.words.get(id as usize);
                    let refused = match word.and_then(|word| word.class) {
                        Some(Class::Negation) => Some(Code::Negation),
                        Some(Class::Condition) => Some(Code::Condition),
                        _ => None,
                    };
                    if let Some(code) = refused {
                        return Err(fail(Fault::new(code, token.span)));
                    }
                    match (verb, noun, word) {
                        (None, _, Some(word)) if word.verb.is_some() => verb = word.verb,
                        (None, ..) => return Err(fail(Fault::new(Code::UnknownVerb, token.span))),
                        (Some(_), None, Some(word))
                            if word.noun.is_some() && modifiers.is_empty() =>
                        {
                            noun = word.noun;
                        }
                        _ => modifiers.push(match text.bytes().any(|b| b.is_ascii_uppercase()) {
                            true => Cow::Owned(text.to_lowercase()),
                            false => Cow::Borrowed(text),
                        }),
                    }
                }
                TokenKind::Quoted(text) | TokenKind::Plus(text) => modifiers.push(text),
                TokenKind::Named { name, given, .. } => {
                    let argument = match given {
                        Given::Quoted(text) => Argument::Text(text),
                        Given::Bare(text) => {
                            value::typed(Kind::Any, text).unwrap_or(Argument::Text(text.into()))
                        }
                        Given::Json(raw) => match Value::read(raw, 1) {
                            Ok(value) => Argument::Json(value),
                            Err(_) => return Err(fail(Fault::new(Code::BadJson, token.span))),
                        },
                    };
                    if parameters.iter().any(|(there, _)| *there == name) {
                        let fault = Fault::new(Code::DuplicateParameter, token.span);
                        return Err(fail(fault.about([name])));
                    }
                    parameters.push((name, argument));
                }
                TokenKind::Break => {
                    return Err(fail(Fault::new(Code::MultipleCommands, token.span)));
                }
            }
        }
        let Some(verb) = verb.map(|verb| &self.verbs[verb as usize]) else {
            return Err(fail(Fault::new(Code::EmptyCommand, 0..0)));
        };
        let Some(noun) = noun.or(verb.default_noun) else {
            return Err(fail(Fault::new(Code::MissingNoun, 0..line.len())));
        };
        Ok(Command {
            verb: &verb.name,
            noun: &self.nouns[noun as usize].name,
            modifiers,
            parameters,
            from: None,
            id: None,
            at: None,
            taken: Vec::new(),
        })
    }
}
