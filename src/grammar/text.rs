//! From an action to its canonical line: `verb noun modifiers name=value…`.

use super::table::{Grammar, Kind, ModifierId};
use super::{Argument, Command, lex, value};
use crate::action::StructuredAction;
use crate::action::json::{Object, Value, write_text};
use crate::action::time::Timestamp;

impl Grammar {
    /// The canonical text of an action, without its envelope: it reads back as the same verb, noun,
    /// modifiers and parameters.
    ///
    /// ```
    /// # use sporekit::grammar::Grammar;
    /// let grammar = Grammar::builtin();
    /// let command = grammar.parse("please execute task user-auth using beast mode").unwrap();
    /// assert_eq!(grammar.text_of(&command), "run task beast-mode task_id=user-auth");
    /// ```
    pub fn text(&self, action: &StructuredAction) -> String {
        let mut out = String::with_capacity(96);
        let modifiers = action.modifiers.iter().map(String::as_str);
        self.write_head(&action.verb, &action.noun, modifiers, &mut out);
        self.write_parameters(&action.parameters, &mut out);
        out
    }

    /// The canonical text of what a line said, without its envelope.
    pub fn text_of(&self, command: &Command<'_>) -> String {
        let mut out = String::with_capacity(96);
        let modifiers = command.modifiers.iter().map(AsRef::as_ref);
        self.write_head(command.verb, command.noun, modifiers, &mut out);
        for (name, argument) in &command.parameters {
            match argument {
                Argument::Text(text) => self.write_text_parameter(name, text, &mut out),
                other => self.write_parameter(name, &other.to_value(), &mut out),
            }
        }
        out
    }

    fn write_head<'m>(
        &self,
        verb: &str,
        noun: &str,
        modifiers: impl Iterator<Item = &'m str>,
        out: &mut String,
    ) {
        out.push_str(verb);
        out.push(' ');
        out.push_str(noun);
        let mut bare: Vec<ModifierId> = Vec::new();
        let mut behind_all = false;
        for name in modifiers {
            out.push(' ');
            let known = self.reads_back(verb, noun, name, &bare, behind_all);
            behind_all = known.is_some() && known == self.all;
            match known {
                Some(modifier) => bare.push(modifier),
                None => out.push('+'),
            }
            match known.is_some() || stands_behind_plus(name) {
                true => out.push_str(name),
                false => write_quoted(name, out),
            }
        }
    }

    /// The modifier that a bare word behind `verb noun` and the bare ones before it is read as.
    fn reads_back(
        &self,
        verb: &str,
        noun: &str,
        name: &str,
        bare: &[ModifierId],
        behind_all: bool,
    ) -> Option<ModifierId> {
        let id = self.word(name);
        let word = self.words.get(id as usize)?;
        let modifier = word.modifier.filter(|_| *word.text == *name)?;
        let known = &self.modifiers[modifier as usize];
        let (verb, noun) = (self.verb_named(verb)?, self.noun_named(noun)?);
        let excluded = self.exclusive.iter().any(|group| {
            group.contains(&modifier) && group.iter().any(|other| bare.contains(other))
        });
        let covered = behind_all && self.verbs[verb as usize].all_covers.contains(&modifier);
        let other = word.parameter.is_some() || word.class.is_some();
        let itself = known.name == name && self.counts(verb, noun, modifier);
        (itself && !bare.contains(&modifier) && !excluded && !covered && !other).then_some(modifier)
    }

    /// Appends ` name=value` for each parameter.
    fn write_parameters(&self, parameters: &Object, out: &mut String) {
        for (name, value) in parameters.iter() {
            self.write_parameter(name, value, out);
        }
    }

    fn write_parameter(&self, name: &str, value: &Value, out: &mut String) {
        match value {
            Value::String(text) => self.write_text_parameter(name, text, out),
            Value::Number(number) if self.is_same(name, number.as_str(), value) => {
                write_name(name, out);
                out.push('=');
                out.push_str(number.as_str());
            }
            Value::Bool(yes) if self.is_same(name, if *yes { "true" } else { "false" }, value) => {
                write_name(name, out);
                out.push_str(if *yes { "=true" } else { "=false" });
            }
            other => {
                write_name(name, out);
                out.push_str(":=");
                let mut json = String::new();
                other.write(&mut json);
                push_visible(&json, out);
            }
        }
    }

    fn write_text_parameter(&self, name: &str, text: &str, out: &mut String) {
        write_name(name, out);
        out.push('=');
        let same = |read| matches!(read, Argument::Text(there) if there == text);
        match lex::stands_bare(text) && value::typed(self.kind(name), text).is_some_and(same) {
            true => out.push_str(text),
            false => write_quoted(text, out),
        }
    }

    fn kind(&self, name: &str) -> Kind {
        let known = self.parameter_named(name);
        known.map_or(Kind::Any, |id| self.parameters[id as usize].kind)
    }

    /// Whether the bare text is read as exactly this value.
    fn is_same(&self, name: &str, text: &str, value: &Value) -> bool {
        value::typed(self.kind(name), text).is_some_and(|read| read.to_value() == *value)
    }
}

/// Appends the envelope: who says it, its id, when.
pub fn write_envelope(
    from: Option<&str>,
    id: Option<&str>,
    at: Option<&Timestamp>,
    out: &mut String,
) {
    for (name, text) in [("from", from), ("id", id)] {
        if let Some(text) = text {
            out.push_str(" @");
            out.push_str(name);
            out.push('=');
            match lex::stands_bare(text) {
                true => out.push_str(text),
                false => write_quoted(text, out),
            }
        }
    }
    if let Some(at) = at {
        out.push_str(" @at=");
        out.push_str(&at.to_string());
    }
}

/// Appends ` name`, in quotes where it would be read as another name.
fn write_name(name: &str, out: &mut String) {
    out.push(' ');
    let plain = name.bytes().all(|b| !b.is_ascii_uppercase() && b != b'-');
    match plain && lex::is_identifier(name) && !name.starts_with('@') {
        true => out.push_str(name),
        false => write_quoted(name, out),
    }
}

fn stands_behind_plus(text: &str) -> bool {
    lex::stands_bare(text) && text.chars().any(char::is_alphanumeric)
}

/// Appends a text in quotes.
fn write_quoted(text: &str, out: &mut String) {
    let mut json = String::with_capacity(text.len() + 2);
    write_text(text, &mut json);
    push_visible(&json, out);
}

/// Appends JSON with the characters as escapes that nobody sees or that no line may hold; they
/// stand in its texts only.
fn push_visible(json: &str, out: &mut String) {
    if json.bytes().all(|b| b.is_ascii() && b != 0x7f) {
        out.push_str(json);
        return;
    }
    for c in json.chars() {
        match c.is_control() || lex::is_removed(c) || matches!(c, '\u{2028}' | '\u{2029}') {
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
    }
}
