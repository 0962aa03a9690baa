//! From tokens to a command: the rules R2 to R10 in their order; the first fault wins.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::lex::{self, Given, Kind as TokenKind, Token};
use super::table::{
    Class, Grammar, Kind, Meaning, ModifierId, NO_WORD, NounId, ParameterId, PrepositionId, Tier,
    VerbId, Word,
};
use super::{Argument, Code, Command, Fault, Fix, mend, owned, value};
use crate::action::json::Value;
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
            Ok((command, _)) => Ok(command),
            Err(fault) => Err((fault, seen)),
        },
        // What was cleaned or unwrapped does not live as long as the line.
        Cow::Owned(text) => match Reader::new(grammar, text, options).read() {
            Ok((command, _)) => Ok(detached(grammar, command)),
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
    Reader::new(grammar, line, options)
        .read()
        .map(|(command, reader)| {
            let spans = reader.tokens.iter().map(|token| token.span.clone());
            (spans.zip(reader.roles).collect(), command)
        })
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
    let plain = match line.is_ascii() || !line.contains(lex::is_removed) {
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

    fn read(mut self) -> Done<(Command<'a>, Reader<'a>)> {
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

    // ------------------------------------------------------------ R7, R10: name=value

    fn read_named(&mut self) -> Done {
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
    fn known_name(&self, name: &Cow<'a, str>) -> (Cow<'a, str>, Option<ParameterId>) {
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

    fn read_envelope(
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
    fn place_of(&mut self, name: &str) -> Option<usize> {
        if self.found.len() < 16 {
            return self.found.iter().position(|found| found.name == name);
        }
        for place in self.index.len()..self.found.len() {
            self.index.insert(self.found[place].name.clone(), place);
        }
        self.index.get(name).copied()
    }

    /// Adds a parameter; the same again is nothing, another value is a fault.
    fn add(&mut self, at: usize, name: Cow<'a, str>, argument: Argument<'a>, named: bool) -> Done {
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

    fn duplicate(&self, at: usize, name: &str) -> Fault {
        Fault::new(Code::DuplicateParameter, self.tokens[at].span.clone()).about([name])
    }

    // ------------------------------------------------------------ R2a

    fn never_act_on(&mut self) -> Done {
        for at in 0..self.tokens.len() {
            let code = match self.class(at) {
                Some(Class::Negation) => Code::Negation,
                Some(Class::Condition) => Code::Condition,
                Some(Class::Question) if at == 0 => Code::Question,
                Some(Class::Pronoun) => Code::UnresolvedReference,
                _ => continue,
            };
            return Err(Fault::new(code, self.tokens[at].span.clone()));
        }
        Ok(())
    }

    // ------------------------------------------------------------ R2

    /// The longest phrase that begins at `at`, of those that `wanted` takes.
    fn phrase(&self, at: usize, wanted: impl Fn(Meaning) -> bool) -> Option<(Meaning, usize)> {
        let (first, end) = self.word(at)?.phrases;
        self.grammar.phrases[first as usize..end as usize]
            .iter()
            .find(|phrase| {
                let mut words = phrase.words.iter().enumerate();
                wanted(phrase.meaning)
                    && words.all(|(more, id)| match self.tokens.get(at + more) {
                        Some(Token {
                            kind: TokenKind::Word(_, there),
                            ..
                        }) => there == id && self.roles[at + more] == Role::Open,
                        _ => false,
                    })
            })
            .map(|phrase| (phrase.meaning, phrase.words.len()))
    }

    fn find_verb(&mut self) -> Done {
        let mut at = 0;
        while at < self.tokens.len() {
            match &self.tokens[at].kind {
                TokenKind::Break | TokenKind::Plus(_) | TokenKind::Named { .. } => {
                    at += 1;
                    continue;
                }
                TokenKind::Quoted(_) => return Err(self.unknown_verb(at)),
                TokenKind::Word(..) => {}
            }
            let Some(word) = self.word(at) else {
                return Err(self.unknown_verb(at));
            };
            let verb_phrase = self.phrase(at, |meaning| matches!(meaning, Meaning::Verb(_)));
            if let Some((Meaning::Verb(verb), length)) = verb_phrase {
                self.take_verb(verb, at..at + length);
                return Ok(());
            }
            if let Some(verb) = word.verb {
                self.implied = word.implied;
                self.take_verb(verb, at..at + 1);
                return Ok(());
            }
            if let Some(length) = self.sense_word(at, word) {
                at += length;
                continue;
            }
            match word.class {
                Some(Class::Stop | Class::And | Class::Then) => {}
                Some(Class::Git) if !self.git => self.git = true,
                _ if word.preposition.is_some() => {}
                _ => return Err(self.unknown_verb(at)),
            }
            at += 1;
        }
        let mut fault = Fault::new(Code::MissingVerb, self.tokens[0].span.clone());
        if let Some(noun) = self.senses.iter().find_map(|sense| sense.noun) {
            let noun = &self.grammar.nouns[noun as usize].name;
            fault = fault.fix(Some(Fix::Line(format!("status {noun}"))));
        }
        Err(fault)
    }

    fn take_verb(&mut self, verb: VerbId, at: Range<usize>) {
        self.verb = verb;
        for place in at.clone() {
            self.roles[place] = if place == at.start {
                Role::Verb
            } else {
                Role::Part
            };
        }
        self.verb_at = at;
    }

    fn unknown_verb(&self, at: usize) -> Fault {
        let fault = Fault::new(Code::UnknownVerb, self.tokens[at].span.clone());
        if !self.options.mend {
            return fault;
        }
        let text = self.text(at);
        let near = mend::near_verb(self.grammar, text, self.options.core);
        let replaced = near.filter(|_| self.is_word(at));
        let replaced = replaced.map(|word| self.replaced(at, word));
        let lone = match self.grammar.shape(text).filter(|_| self.tokens.len() == 1) {
            Some(noun) => {
                let noun = &self.grammar.nouns[noun as usize].name;
                Some(Fix::Line(format!("status {noun} {text}")))
            }
            None => None,
        };
        fault.fix(replaced).fix(lone)
    }

    fn replaced(&self, at: usize, word: &str) -> Fix {
        Fix::Replace(self.tokens[at].span.clone(), word.to_owned(), true)
    }

    // ------------------------------------------------------------ the words after the verb

    /// Enters what the word or phrase at `at` may be; gives its length where it is anything.
    fn sense_word(&mut self, at: usize, word: &Word) -> Option<usize> {
        let phrase = self.phrase(at, |_| true);
        let mut sense = Sense {
            length: 1,
            ..Sense::default()
        };
        match phrase {
            Some((meaning, length)) => {
                sense.length = length;
                match meaning {
                    Meaning::Verb(verb) => sense.verb = Some(verb),
                    Meaning::Noun(noun) => sense.noun = Some(noun),
                    Meaning::Modifier(modifier) => sense.modifier = Some(modifier),
                }
                for part in at + 1..at + length {
                    self.roles[part] = Role::Part;
                }
            }
            None => {
                sense.verb = word.verb;
                sense.noun = word.noun;
                sense.many = word.many;
                sense.modifier = word.modifier;
                if word.verb.is_none() && word.noun.is_none() && word.modifier.is_none() {
                    return None;
                }
            }
        }
        self.senses[at] = sense;
        Some(sense.length)
    }

    /// Parameter words take what follows them, durations are recognised, the others get senses.
    fn sense_words(&mut self) {
        let mut at = self.verb_at.end;
        while at < self.tokens.len() {
            let Some(word) = self.word(at).filter(|_| self.roles[at] == Role::Open) else {
                at += 1;
                continue;
            };
            if let Some(parameter) = word.parameter {
                at = self.claim_parameter(at, parameter);
                continue;
            }
            if let Some(preposition) = word.preposition
                && let Some(length) = self.claim_duration(at, preposition)
            {
                at += length;
                continue;
            }
            at += self.sense_word(at, word).unwrap_or(1);
        }
    }

    /// `timeout of 5 minutes`; the value itself is read later, in its turn.
    fn claim_parameter(&mut self, at: usize, parameter: ParameterId) -> usize {
        self.roles[at] = Role::ParameterWord(parameter);
        let mut value = at + 1;
        while self.word(value).is_some_and(|word| {
            word.class == Some(Class::Stop)
                || matches!(&*word.text, "to" | "at") && word.preposition.is_some()
        }) {
            self.roles[value] = Role::Stop;
            value += 1;
        }
        if !(self.is_word(value) || self.is_quoted(value)) || self.roles[value] != Role::Open {
            return value;
        }
        self.roles[value] = Role::Value(parameter);
        let seconds = self.grammar.parameters[parameter as usize].kind == Kind::Seconds;
        if seconds && let Some((_, 2)) = self.duration(value) {
            self.roles[value + 1] = Role::Part;
            return value + 2;
        }
        value + 1
    }

    /// `for 10 minutes`, `in 5m`.
    fn claim_duration(&mut self, at: usize, preposition: PrepositionId) -> Option<usize> {
        let own = self
            .own_parameter(preposition)
            .filter(|parameter| self.grammar.parameters[*parameter as usize].kind == Kind::Seconds);
        let general = [self.grammar.lasting, self.grammar.delayed];
        let general = general
            .into_iter()
            .flatten()
            .find(|(id, _)| *id == preposition);
        let parameter = own.or(general.map(|(_, parameter)| parameter))?;
        let value = self.after_stops(at + 1);
        let (_, length) = self.duration(value)?;
        self.roles[at] = Role::Preposition;
        self.roles[at + 1..value].fill(Role::Stop);
        self.roles[value] = Role::Value(parameter);
        if length == 2 {
            self.roles[value + 1] = Role::Part;
        }
        Some(value + length - at)
    }

    // ------------------------------------------------------------ R3

    fn find_noun(&mut self) {
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
    fn stands_apart(&self, at: usize) -> bool {
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

    // ------------------------------------------------------------ R2b

    fn one_command(&mut self) -> Done {
        for at in self.verb_at.end..self.tokens.len() {
            if self.roles[at] != Role::Open {
                continue;
            }
            let breaks = matches!(self.tokens[at].kind, TokenKind::Break)
                || self.class(at) == Some(Class::Then);
            if breaks {
                let next = (at + 1..self.tokens.len()).find(|next| {
                    !matches!(self.tokens[*next].kind, TokenKind::Break)
                        && !matches!(self.class(*next), Some(Class::And | Class::Then))
                });
                match next {
                    Some(next) => return Err(self.second_command(next)),
                    // Nothing but these follows.
                    None => return Ok(()),
                }
            }
            if self.senses[at].verb.is_some() {
                let verb = &self.grammar.verbs[self.verb as usize];
                if verb.repeats && self.word(at).is_some_and(|word| *word.text == *verb.name) {
                    self.roles[at] = Role::Repeated;
                    continue;
                }
                if !self.absorbs(at) {
                    return Err(self.second_command(at));
                }
                // A word that is only a verb is a value from here on.
                if self.senses[at].noun.is_none() && self.senses[at].modifier.is_none() {
                    self.senses[at] = Sense::default();
                }
            }
        }
        Ok(())
    }

    /// Whether a rule has a use for the verb word at `at`.
    fn absorbs(&self, at: usize) -> bool {
        let sense = &self.senses[at];
        if sense.length > 1 {
            return false;
        }
        if sense.modifier.is_some_and(|modifier| {
            !self.noun_at.is_empty() && self.grammar.counts(self.verb, self.noun, modifier)
        }) {
            return true;
        }
        let next = self.after_stops(at + 1);
        let ends = !self.is_noun_word(next) && !self.is_value(next);
        if sense.noun.is_some() {
            // A noun word too: fine where a value makes it a label, or where it is repeated.
            return self.is_value(at + 1) && !self.is_quoted(at + 1) && !self.is_glued(at);
        }
        let Some(before) = self.before_stops(at) else {
            return false;
        };
        if self.class(before) == Some(Class::Label) {
            return true;
        }
        let own = self
            .under(at)
            .and_then(|preposition| self.own_parameter(preposition));
        if own.is_some() {
            return ends;
        }
        let behind_noun = at > 0 && self.is_noun_word_end(at - 1);
        if behind_noun {
            return !self.is_noun_word(next);
        }
        let before_noun = self.noun_at.start == at + 1 && !self.noun_at.is_empty();
        before_noun && !self.value_between(self.verb_at.end, at) && !self.is_glued(at)
    }

    /// Whether `and` or a comma stands before the token.
    fn is_glued(&self, at: usize) -> bool {
        let before = at.wrapping_sub(1);
        self.class(before) == Some(Class::And)
            || self.tokens.get(before).is_some_and(|token| token.comma)
    }

    fn is_noun_word(&self, at: usize) -> bool {
        self.senses
            .get(at)
            .is_some_and(|sense| sense.noun.is_some())
    }

    /// Whether a noun word or phrase ends at `at`.
    fn is_noun_word_end(&self, at: usize) -> bool {
        let start = (0..=at)
            .rev()
            .find(|start| self.roles[*start] != Role::Part)
            .unwrap_or(at);
        self.is_noun_word(start) && self.senses[start].verb.is_none()
    }

    fn value_between(&self, from: usize, to: usize) -> bool {
        (from..to).any(|at| self.is_value(at))
    }

    fn second_command(&self, at: usize) -> Fault {
        let glue = |at: usize| {
            matches!(self.tokens[at].kind, TokenKind::Break)
                || matches!(self.class(at), Some(Class::And | Class::Then))
        };
        let last = (0..at).rev().find(|before| !glue(*before));
        let fault = Fault::new(Code::MultipleCommands, self.tokens[at].span.clone());
        let end = last.map(|last| self.tokens[last].span.end);
        fault.fix(end.map(|end| Fix::Split(end, self.tokens[at].span.start)))
    }

    // ------------------------------------------------------------ R4

    fn noun_without_word(&mut self) -> Done {
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
                return Err(fault.fix(Some(self.replaced(*at, near))));
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
    fn check_tier(&self) -> Done {
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

    // ------------------------------------------------------------ R5

    fn read_modifiers(&mut self) -> Done {
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
    fn take_modifier(&mut self, modifier: ModifierId, at: Range<usize>) -> Done<bool> {
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

    // ------------------------------------------------------------ R6, R7, R8, R9

    fn lay_slots(&mut self) {
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

    fn read_values(&mut self) -> Done {
        let mut at = 0;
        while at < self.tokens.len() {
            at = self.read_token(at)?;
        }
        Ok(())
    }

    /// Gives the token at `at` its place; gives the token after it.
    fn read_token(&mut self, at: usize) -> Done<usize> {
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
    fn read_value(&mut self, at: usize) -> Done {
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
    fn slot_name(&self, parameter: ParameterId, text: &str) -> &'a str {
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

    fn push_list(&mut self, at: usize, parameter: ParameterId, text: Cow<'a, str>) {
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
    fn spoken(&self, at: usize, parameter: ParameterId) -> Done<Argument<'a>> {
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
    fn read_parameter_word(&mut self, at: usize, parameter: ParameterId) -> Done<usize> {
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
    fn other_noun(&mut self, at: usize) -> Done<usize> {
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
    fn labelled(&self, at: usize) -> Option<usize> {
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
    fn follows_its_value(&self, at: usize, noun: NounId) -> bool {
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
    fn read_labelled(
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
    fn fill(&mut self, parameter: ParameterId) {
        if let Some(slot) = self
            .slots
            .iter_mut()
            .find(|slot| slot.parameter == parameter)
        {
            slot.filled = true;
        }
    }

    fn read_preposition(&mut self, at: usize, preposition: PrepositionId) -> Done<usize> {
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

    // ------------------------------------------------------------ faults

    fn missing_value(&self, at: usize) -> Fault {
        Fault::new(Code::MissingValue, self.tokens[at].span.clone()).about([self.text(at)])
    }

    /// A word without a place, with what R6 suggests in its order.
    fn unexpected(&self, at: usize) -> Fault {
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
    fn quoted_message(&self) -> Option<Fix> {
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
    fn plural(&self) -> Option<Fix> {
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

    // ------------------------------------------------------------ the end

    fn finish(mut self) -> Done<(Command<'a>, Reader<'a>)> {
        for (at, parameter, list) in std::mem::take(&mut self.lists) {
            let name = Cow::Borrowed(self.name_of(parameter));
            self.add(at, name, Argument::List(list), false)?;
        }
        // Each parameter where it appears.
        let mut found = std::mem::take(&mut self.found);
        if !found.is_sorted_by_key(|found| found.token) {
            found.sort_by_key(|found| found.token);
        }
        let command = Command {
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
        };
        Ok((command, self))
    }
}
