//! From tokens to a command: the rules R2 to R10 in their order; the first fault wins.
//!
//! | rule | file |
//! |---|---|
//! | R7 name=value, R10 the envelope | `named` |
//! | R2 never act on, the verb, one command a line | `verb` |
//! | R3, R4 the noun | `sense`, `noun` |
//! | R5 modifiers | `modifiers` |
//! | R6 values, R9 stop words | `values` |
//! | R8 prepositions | `prepositions` |
//! | suggestions | `faults` |

mod faults;
mod modifiers;
mod named;
mod noun;
mod prepositions;
mod sense;
mod values;
mod verb;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::lex::{self, Kind as TokenKind, Token};
use super::table::{
    Class, Grammar, ModifierId, NO_WORD, NounId, ParameterId, PrepositionId, VerbId, Word,
};
use super::{Argument, Code, Command, Fault, owned, value};
use crate::action::time::Timestamp;

/// How to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Refuse what the original does not know.
    pub(super) core: bool,
    /// Look for what might mend a fault.
    pub(super) mend: bool,
}

/// What a token became, with the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Open,
    /// A part of what the token before became.
    Part,
    Verb,
    Noun,
    Repeated,
    Modifier(ModifierId),
    Again(ModifierId),
    Covered,
    Extra,
    Named,
    Envelope,
    ParameterWord(ParameterId),
    Value(ParameterId),
    Preposition,
    Stop,
    Glue,
    Label,
}

/// Reads a line; the fault comes with the line that its places refer to.
pub(super) fn command<'a>(
    grammar: &'a Grammar,
    line: &'a str,
    options: Options,
) -> Result<Command<'a>, (Fault, Seen<'a>)> {
    let seen = match seen(line) {
        Ok(seen) => seen,
        Err(fault) => return Err((fault, Seen::whole(line))),
    };
    match &seen.text {
        Cow::Borrowed(text) => match Reader::new(grammar, text, options).read() {
            Ok(command) => Ok(command),
            Err(fault) => Err((fault, seen)),
        },
        // What was cleaned or unwrapped does not live as long as the line.
        Cow::Owned(text) => match Reader::new(grammar, text, options).read() {
            Ok(command) => Ok(detached(grammar, command)),
            Err(fault) => Err((fault, seen)),
        },
    }
}

/// The tokens of a line, each with what it became.
pub(super) type Roles = Vec<(Range<usize>, Role)>;

/// What each token of a line became, and the command.
pub(super) fn roles<'a>(grammar: &'a Grammar, line: &'a str) -> Done<(Roles, Command<'a>)> {
    let options = Options {
        core: false,
        mend: false,
    };
    let mut reader = Reader::new(grammar, line, options);
    let command = reader.read()?;
    let spans = reader.tokens.iter().map(|token| token.span.clone());
    Ok((spans.zip(reader.roles).collect(), command))
}

/// A line without what nobody sees, taken out of its quotes if it is one quoted text.
#[derive(Debug, Clone)]
pub(super) struct Seen<'a> {
    pub(super) text: Cow<'a, str>,
    /// The line as it came.
    pub(super) line: &'a str,
    /// Bytes before the text in the line without what nobody sees.
    pub(super) offset: usize,
}

impl<'a> Seen<'a> {
    /// A line as it came.
    pub(super) fn whole(line: &'a str) -> Seen<'a> {
        Seen {
            text: Cow::Borrowed(line),
            line,
            offset: 0,
        }
    }
}

/// R0, and the first part of R1.
pub(super) fn seen(line: &str) -> Result<Seen<'_>, Fault> {
    if line.len() > lex::LINE {
        return Err(Fault::new(Code::TooLong, 0..0));
    }
    let plain = match lex::is_plain(line) || !line.contains(lex::is_removed) {
        true => Cow::Borrowed(line),
        false => Cow::Owned(line.replace(lex::is_removed, "")),
    };
    lex::check_characters(&plain)?;
    let unwrapped = match &plain {
        Cow::Borrowed(plain) => lex::unwrapped(plain),
        Cow::Owned(plain) => {
            lex::unwrapped(plain).map(|(text, start)| (Cow::Owned(text.into_owned()), start))
        }
    };
    Ok(match unwrapped {
        Some((text, offset)) => {
            lex::check_characters(&text)?;
            Seen { text, line, offset }
        }
        None => Seen {
            text: plain,
            line,
            offset: 0,
        },
    })
}

fn detached<'a>(grammar: &'a Grammar, command: Command<'_>) -> Command<'a> {
    let verb = grammar.verbs.iter().find(|verb| verb.name == command.verb);
    let noun = grammar.nouns.iter().find(|noun| noun.name == command.noun);
    let parameters = command.parameters.into_iter();
    Command {
        verb: verb.map_or("", |verb| &verb.name),
        noun: noun.map_or("", |noun| &noun.name),
        modifiers: command.modifiers.into_iter().map(owned).collect(),
        parameters: parameters
            .map(|(name, argument)| (owned(name), argument.into_owned()))
            .collect(),
        from: command.from.map(owned),
        id: command.id.map(owned),
        at: command.at,
        taken: command
            .taken
            .into_iter()
            .map(|(word, is_name)| (owned(word), is_name))
            .collect(),
    }
}

/// What a word or phrase after the verb may be.
#[derive(Debug, Clone, Copy, Default)]
struct Sense {
    verb: Option<VerbId>,
    noun: Option<NounId>,
    many: bool,
    modifier: Option<ModifierId>,
    /// How many tokens it takes.
    length: usize,
}

/// A place that bare words fill.
#[derive(Debug, Clone)]
struct Slot {
    parameter: ParameterId,
    list: bool,
    filled: bool,
}

/// A parameter that was found, with the token it belongs to.
struct Found<'a> {
    token: usize,
    name: Cow<'a, str>,
    argument: Argument<'a>,
    named: bool,
}

struct Reader<'a> {
    grammar: &'a Grammar,
    line: &'a str,
    options: Options,
    tokens: Vec<Token<'a>>,
    roles: Vec<Role>,
    senses: Vec<Sense>,
    verb: VerbId,
    /// The tokens of the verb.
    verb_at: Range<usize>,
    implied: Option<ModifierId>,
    git: bool,
    noun: NounId,
    many: bool,
    /// The tokens of the noun word; empty where there is none.
    noun_at: Range<usize>,
    slots: Vec<Slot>,
    modifiers: Vec<Cow<'a, str>>,
    known: Vec<ModifierId>,
    found: Vec<Found<'a>>,
    /// Where names stand in `found`, once they are many.
    index: HashMap<Cow<'a, str>, usize>,
    lists: Vec<(usize, ParameterId, Vec<Cow<'a, str>>)>,
    from: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    at: Option<Timestamp>,
    taken: Vec<(Cow<'a, str>, bool)>,
}

type Done<T = ()> = Result<T, Fault>;

impl<'a> Reader<'a> {
    fn new(grammar: &'a Grammar, line: &'a str, options: Options) -> Reader<'a> {
        Reader {
            grammar,
            line,
            options,
            tokens: Vec::new(),
            roles: Vec::new(),
            senses: Vec::new(),
            verb: 0,
            verb_at: 0..0,
            implied: None,
            git: false,
            noun: 0,
            many: false,
            noun_at: 0..0,
            slots: Vec::new(),
            modifiers: Vec::new(),
            known: Vec::new(),
            found: Vec::new(),
            index: HashMap::new(),
            lists: Vec::new(),
            from: None,
            id: None,
            at: None,
            taken: Vec::new(),
        }
    }

    fn read(&mut self) -> Done<Command<'a>> {
        self.tokens = lex::tokens(self.grammar, self.line)?;
        if self.tokens.is_empty() {
            return Err(Fault::new(Code::EmptyCommand, 0..0));
        }
        self.roles = vec![Role::Open; self.tokens.len()];
        self.senses = vec![Sense::default(); self.tokens.len()];
        self.read_named()?;
        self.never_act_on()?;
        self.find_verb()?;
        self.sense_words();
        self.find_noun();
        self.one_command()?;
        if self.noun_at.is_empty() {
            self.noun_without_word()?;
        }
        self.check_tier()?;
        self.read_modifiers()?;
        self.lay_slots();
        self.read_values()?;
        self.finish()
    }

    // ------------------------------------------------------------ looking around

    fn word(&self, at: usize) -> Option<&'a Word> {
        match self.tokens.get(at)?.kind {
            TokenKind::Word(_, id) if id != NO_WORD => self.grammar.words.get(id as usize),
            _ => None,
        }
    }

    fn class(&self, at: usize) -> Option<Class> {
        self.word(at)?.class
    }

    fn text(&self, at: usize) -> &str {
        match &self.tokens[at].kind {
            TokenKind::Word(text, _) => text,
            TokenKind::Quoted(text) | TokenKind::Plus(text) => text,
            TokenKind::Named { name, .. } => name,
            TokenKind::Break => ";",
        }
    }

    /// The text of a value, as long as the line lives.
    fn value_text(&self, at: usize) -> Cow<'a, str> {
        match &self.tokens[at].kind {
            TokenKind::Word(text, _) => Cow::Borrowed(text),
            TokenKind::Quoted(text) => text.clone(),
            _ => Cow::Borrowed(""),
        }
    }

    fn is_quoted(&self, at: usize) -> bool {
        matches!(
            self.tokens.get(at).map(|t| &t.kind),
            Some(TokenKind::Quoted(_))
        )
    }

    fn is_word(&self, at: usize) -> bool {
        matches!(
            self.tokens.get(at).map(|t| &t.kind),
            Some(TokenKind::Word(..))
        )
    }

    fn span(&self, range: Range<usize>) -> Range<usize> {
        self.tokens[range.start].span.start..self.tokens[range.end - 1].span.end
    }

    /// Whether a stop word that is one letter stands where a name belongs (R9).
    fn is_letter_name(&self, at: usize) -> bool {
        if at < self.verb_at.end || self.text(at).len() != 1 {
            return false;
        }
        let before = at.wrapping_sub(1);
        let behind_noun = self.noun_at.end == at && !self.noun_at.is_empty()
            || self.roles.get(before) == Some(&Role::Repeated);
        let list = self
            .slots
            .first()
            .is_some_and(|slot| slot.list && slot.filled);
        behind_noun || list && self.is_glued(at) && at > self.verb_at.end
    }

    fn is_stop(&self, at: usize) -> bool {
        self.class(at) == Some(Class::Stop) && !self.is_letter_name(at)
    }

    /// The first token from `at` on that is no stop word.
    fn after_stops(&self, mut at: usize) -> usize {
        while at < self.tokens.len() && self.is_stop(at) {
            at += 1;
        }
        at
    }

    /// The last token before `at` that is no stop word.
    fn before_stops(&self, at: usize) -> Option<usize> {
        (0..at).rev().find(|before| !self.is_stop(*before))
    }

    /// The preposition that the token at `at` stands under, unless the verb drops it.
    fn under(&self, at: usize) -> Option<PrepositionId> {
        let before = self.before_stops(at)?;
        if self.roles[before] != Role::Open && self.roles[before] != Role::Preposition
            || self.senses[before].length > 0
        {
            return None;
        }
        let preposition = self.word(before)?.preposition?;
        (!self.drops(preposition, before)).then_some(preposition)
    }

    fn drops(&self, preposition: PrepositionId, at: usize) -> bool {
        at >= self.verb_at.end
            && self.grammar.verbs[self.verb as usize]
                .drops
                .contains(&preposition)
    }

    /// Whether the token can be nothing but a value.
    fn is_value(&self, at: usize) -> bool {
        if at >= self.tokens.len() || self.roles[at] != Role::Open {
            return false;
        }
        match &self.tokens[at].kind {
            TokenKind::Quoted(_) => true,
            TokenKind::Word(_, NO_WORD) => self.senses[at].length == 0,
            TokenKind::Word(_, id) => {
                let sense = &self.senses[at];
                if sense.length > 0 {
                    // Some modifiers are none with this verb and noun.
                    let none = sense.verb.is_none() && sense.noun.is_none();
                    return none
                        && sense
                            .modifier
                            .is_some_and(|modifier| !self.counts(modifier));
                }
                let word = &self.grammar.words[*id as usize];
                !word.is_keyword()
                    || word.verb.is_some() && word.class.is_none() && word.preposition.is_none()
                    || self.is_letter_name(at)
            }
            _ => false,
        }
    }

    fn counts(&self, modifier: ModifierId) -> bool {
        match self.noun_at.is_empty() && self.slots.is_empty() {
            // The noun is not known yet.
            true => !self.grammar.modifiers[modifier as usize].only,
            false => self.grammar.counts(self.verb, self.noun, modifier),
        }
    }

    /// The verb's own parameter for a preposition.
    fn own_parameter(&self, preposition: PrepositionId) -> Option<ParameterId> {
        let own = &self.grammar.verbs[self.verb as usize].prepositions;
        own.iter()
            .find(|(id, _)| *id == preposition)
            .map(|(_, parameter)| *parameter)
    }

    fn name_of(&self, parameter: ParameterId) -> &'a str {
        &self.grammar.parameters[parameter as usize].name
    }

    /// The seconds that `10 minutes` or `10m` at `at` says, and how many tokens that takes.
    fn duration(&self, at: usize) -> Option<(Argument<'a>, usize)> {
        let TokenKind::Word(text, id) = self.tokens.get(at)?.kind else {
            return None;
        };
        if let Some(unit) = self.word(at + 1).and_then(|word| word.unit) {
            let number = match self.grammar.words.get(id as usize).and_then(|w| w.number) {
                Some(number) => value::scaled(&number.to_string(), unit),
                None if value::is_amount(text) => value::scaled(text, unit),
                None => None,
            };
            return number.map(|number| (number, 2));
        }
        value::duration(text).map(|seconds| (seconds, 1))
    }

    fn finish(&mut self) -> Done<Command<'a>> {
        for (at, parameter, list) in std::mem::take(&mut self.lists) {
            let name = Cow::Borrowed(self.name_of(parameter));
            self.add(at, name, Argument::List(list), false)?;
        }
        // Each parameter where it appears.
        let mut found = std::mem::take(&mut self.found);
        if !found.is_sorted_by_key(|found| found.token) {
            found.sort_by_key(|found| found.token);
        }
        Ok(Command {
            verb: &self.grammar.verbs[self.verb as usize].name,
            noun: &self.grammar.nouns[self.noun as usize].name,
            modifiers: std::mem::take(&mut self.modifiers),
            parameters: found
                .into_iter()
                .map(|found| (found.name, found.argument))
                .collect(),
            from: self.from.take(),
            id: self.id.take(),
            at: self.at,
            taken: std::mem::take(&mut self.taken),
        })
    }
}
