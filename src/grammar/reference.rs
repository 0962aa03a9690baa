//! Lines as the original writes them into its logs, and as people typed them to it.
//!
//! A logged line is verb, noun, then every bare word is a modifier. What does not begin so is read as
//! the original reads it, by a handful of words that it looks for: the rest of such a line means
//! nothing, an identifier is known by how it begins, and `all` is found in `parallel`. Only what
//! must never be acted on is refused here as everywhere: negations, conditions, second commands.

use std::borrow::Cow;

use super::lex::{self, Given, Kind as TokenKind, Token};
use super::table::{Class, Grammar, Kind};
use super::{Argument, Code, Command, Fault, ParseError, mend, read, value};
use crate::action::json::Value;

/// What the original puts in the place of some words before it reads a line.
const REPLACED: &[(&[&str], &[&str])] = &[
    (&["execute"], &["run"]),
    (&["halt"], &["stop"]),
    (&["in", "beast", "mode"], &["beast-mode"]),
    (&["in", "parallel"], &["parallel"]),
    (&["all", "running", "threads"], &["instances", "all"]),
    (&["active", "processes"], &["instances", "active"]),
    (&["gracefully"], &["graceful"]),
];

/// The verbs that it looks for in a line that is not verb and noun.
const VERBS: &[(&str, &str)] = &[
    ("run", "run"),
    ("execute", "run"),
    ("start", "run"),
    ("launch", "run"),
    ("stop", "stop"),
    ("halt", "stop"),
    ("kill", "stop"),
    ("terminate", "stop"),
    ("sync", "sync"),
    ("synchronize", "sync"),
    ("update", "sync"),
    ("status", "status"),
    ("check", "status"),
    ("show", "status"),
    ("get", "status"),
    ("scale", "scale"),
    ("increase", "scale"),
    ("decrease", "scale"),
    ("resize", "scale"),
    ("merge", "merge"),
];

/// The nouns that it looks for; `tasks` it finds and then refuses.
const NOUNS: &[(&str, &str)] = &[
    ("task", "task"),
    ("job", "task"),
    ("jobs", "tasks"),
    ("instance", "instance"),
    ("agent", "instance"),
    ("worker", "instance"),
    ("process", "instance"),
    ("thread", "instance"),
    ("instances", "instances"),
    ("agents", "instances"),
    ("workers", "instances"),
    ("processes", "instances"),
    ("threads", "instances"),
    ("branch", "branch"),
    ("repo", "branch"),
    ("repository", "branch"),
    ("branches", "branches"),
    ("swarm", "swarm"),
    ("cluster", "swarm"),
    ("group", "swarm"),
];

/// The noun that is meant when none is found.
const MEANT: &[(&str, &str)] = &[
    ("stop", "instance"),
    ("sync", "branch"),
    ("status", "swarm"),
    ("scale", "instances"),
];

/// The modifiers that it finds anywhere in a line, in words too, where all of these stand.
const MODIFIERS: &[(&[&str], &str)] = &[
    (&["beast", "mode"], "beast-mode"),
    (&["parallel"], "parallel"),
    (&["graceful"], "graceful"),
    (&["all"], "all"),
    (&["upstream"], "upstream"),
];

impl Grammar {
    /// Reads a line of the original's logs (its `to_command_string`): verb, noun, modifiers,
    /// `name=value`, the values guessed as there, whatever this table declares; or a line that was
    /// typed to it, with its own few words.
    ///
    /// # Errors
    /// As [`Grammar::parse`].
    pub fn parse_reference<'a>(&'a self, line: &'a str) -> Result<Command<'a>, Box<ParseError>> {
        self.reference(line)
            .map_err(|fault| mend::error(self, fault, &read::Seen::whole(line), false))
    }

    fn reference<'a>(&'a self, line: &'a str) -> Result<Command<'a>, Fault> {
        if line.len() > lex::LINE {
            return Err(Fault::new(Code::TooLong, 0..0));
        }
        lex::check_characters(line)?;
        let tokens = lex::tokens(self, line)?;
        for token in &tokens {
            let class = match token.kind {
                TokenKind::Word(_, id) => self.words.get(id as usize).and_then(|word| word.class),
                _ => None,
            };
            let code = match (&token.kind, class) {
                (TokenKind::Break, _) => Code::MultipleCommands,
                (_, Some(Class::Negation)) => Code::Negation,
                (_, Some(Class::Condition)) => Code::Condition,
                _ => continue,
            };
            return Err(Fault::new(code, token.span.clone()));
        }
        let tokens = self.replaced(tokens);
        let named = |place: usize| match tokens.get(place).map(|token| &token.kind) {
            Some(TokenKind::Word(text, _)) => Some(text.to_lowercase()),
            _ => None,
        };
        let verb = named(0).and_then(|name| self.verb_named(&name));
        let noun = named(1).and_then(|name| self.noun_named(&name));
        match (verb, noun) {
            (Some(verb), Some(noun)) => {
                let mut command = bare(
                    &self.verbs[verb as usize].name,
                    &self.nouns[noun as usize].name,
                );
                for token in tokens.into_iter().skip(2) {
                    logged(&mut command, token)?;
                }
                Ok(command)
            }
            _ => typed(line, &tokens),
        }
    }

    /// The tokens with the original's replacements.
    fn replaced<'a>(&self, tokens: Vec<Token<'a>>) -> Vec<Token<'a>> {
        let mut replaced = Vec::with_capacity(tokens.len());
        let mut rest = tokens.as_slice();
        while let Some((first, others)) = rest.split_first() {
            let found = REPLACED.iter().find(|(from, _)| {
                rest.len() >= from.len()
                    && from.iter().zip(rest).all(|(word, token)| {
                        matches!(token.kind, TokenKind::Word(text, _) if text.eq_ignore_ascii_case(word))
                    })
            });
            let Some((from, to)) = found else {
                replaced.push(first.clone());
                rest = others;
                continue;
            };
            for word in *to {
                replaced.push(Token {
                    kind: TokenKind::Word(word, self.word(word)),
                    span: first.span.clone(),
                    comma: false,
                });
            }
            rest = &rest[from.len()..];
        }
        replaced
    }
}

fn bare<'a>(verb: &'a str, noun: &'a str) -> Command<'a> {
    Command {
        verb,
        noun,
        modifiers: Vec::new(),
        parameters: Vec::new(),
        from: None,
        id: None,
        at: None,
        taken: Vec::new(),
    }
}

/// Adds a token behind verb and noun.
fn logged<'a>(command: &mut Command<'a>, token: Token<'a>) -> Result<(), Fault> {
    match token.kind {
        TokenKind::Word(text, _) => {
            let is_lower = !text.bytes().any(|b| b.is_ascii_uppercase());
            command.modifiers.push(match is_lower {
                true => Cow::Borrowed(text),
                false => Cow::Owned(text.to_lowercase()),
            });
        }
        TokenKind::Quoted(text) | TokenKind::Plus(text) => command.modifiers.push(text),
        TokenKind::Named { name, given, .. } => {
            let argument = match given {
                Given::Quoted(text) => Argument::Text(text),
                Given::Bare(text) => {
                    value::typed(Kind::Any, text).unwrap_or(Argument::Text(text.into()))
                }
                Given::Json(raw) => match Value::read(raw, 1) {
                    Ok(value) => Argument::Json(value),
                    Err(_) => return Err(Fault::new(Code::BadJson, token.span)),
                },
            };
            if command.parameters.iter().any(|(there, _)| *there == name) {
                return Err(Fault::new(Code::DuplicateParameter, token.span).about([name]));
            }
            command.parameters.push((name, argument));
        }
        TokenKind::Break => return Err(Fault::new(Code::MultipleCommands, token.span)),
    }
    Ok(())
}

/// Reads a line that does not begin with verb and noun.
fn typed<'a>(line: &str, tokens: &[Token<'_>]) -> Result<Command<'a>, Fault> {
    let lower = line.to_lowercase();
    let first = |table: &[(&str, &'static str)]| {
        lower
            .split_whitespace()
            .find_map(|word| table.iter().find(|(known, _)| *known == word))
            .map(|(_, meant)| *meant)
    };
    let Some(verb) = first(VERBS) else {
        return Err(match tokens.first() {
            Some(token) => Fault::new(Code::UnknownVerb, token.span.clone()),
            None => Fault::new(Code::EmptyCommand, 0..0),
        });
    };
    let meant = || MEANT.iter().find(|(known, _)| *known == verb);
    let noun = first(NOUNS).unwrap_or_else(|| meant().map_or("task", |(_, noun)| noun));
    if noun == "tasks" {
        let jobs = |token: &&Token<'_>| matches!(token.kind, TokenKind::Word(text, _) if text.eq_ignore_ascii_case("jobs"));
        let span = tokens.iter().find(jobs).map(|token| token.span.clone());
        return Err(Fault::new(Code::UnknownNoun, span.unwrap_or(0..0)));
    }
    let mut command = bare(verb, noun);
    for (parts, modifier) in MODIFIERS {
        if parts.iter().all(|part| lower.contains(part)) {
            command.modifiers.push(Cow::Borrowed(modifier));
        }
    }
    for word in lower.split_whitespace() {
        let begins = ["task-", "kiro-", "instance-"];
        let name = match noun {
            "task" if begins.iter().any(|start| word.starts_with(start)) => "task_id",
            _ if begins.iter().any(|start| word.starts_with(start)) => "instance_id",
            "task" if matches!(word, "abc" | "main") => "task_id",
            "branch" | "branches" if matches!(word, "abc" | "main") => "branch_name",
            _ => continue,
        };
        let argument = Argument::Text(Cow::Owned(word.to_owned()));
        // The last one is meant.
        match command
            .parameters
            .iter_mut()
            .find(|(there, _)| there == name)
        {
            Some((_, there)) => *there = argument,
            None => command.parameters.push((Cow::Borrowed(name), argument)),
        }
    }
    Ok(command)
}
