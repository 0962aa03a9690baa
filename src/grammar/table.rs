//! The table: from TOML to what the reader looks words up in.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::GrammarError;
use super::shape::Shape;
use crate::action::{EXTENSION_NOUNS, EXTENSION_VERBS, NOUNS, VERBS};

/// The built-in table.
const BUILTIN: &str = include_str!("builtin.toml");

/// The same, compiled.
const COMPILED: &[u8] = include_bytes!("builtin.bin");

/// The largest grammar that is read, in bytes of its file.
pub const LIMIT: u64 = 1 << 20;

// ---------------------------------------------------------------- the file

/// A grammar file; every part may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) version: Option<u32>,
    pub(super) verbs: BTreeMap<String, VerbEntry>,
    pub(super) nouns: BTreeMap<String, NounEntry>,
    pub(super) modifiers: BTreeMap<String, ModifierEntry>,
    pub(super) exclusive: BTreeMap<String, Vec<String>>,
    pub(super) allowed: BTreeMap<String, Vec<String>>,
    pub(super) params: BTreeMap<String, ParameterEntry>,
    pub(super) slots: BTreeMap<String, Vec<String>>,
    pub(super) prepositions: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) required: BTreeMap<String, Vec<String>>,
    pub(super) words: WordLists,
    pub(super) risk: BTreeMap<String, Vec<String>>,
    pub(super) shapes: BTreeMap<String, String>,
    /// Lines that must parse, for the lint.
    pub(super) examples: Vec<String>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct VerbEntry {
    pub(super) tier: Option<String>,
    pub(super) help: Option<String>,
    pub(super) words: Vec<String>,
    pub(super) phrases: Vec<String>,
    pub(super) implied: BTreeMap<String, String>,
    pub(super) default_noun: Option<String>,
    pub(super) ambiguous_default: Option<bool>,
    pub(super) all_covers: Vec<String>,
    pub(super) repeats: bool,
    pub(super) drop: Vec<String>,
    pub(super) nouns: Vec<String>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NounEntry {
    pub(super) tier: Option<String>,
    pub(super) help: Option<String>,
    pub(super) words: Vec<String>,
    pub(super) many: Vec<String>,
    pub(super) phrases: Vec<String>,
    pub(super) slot: Option<String>,
    pub(super) list: Option<String>,
    pub(super) singular: Option<String>,
    pub(super) plural: Option<String>,
    pub(super) by_shape: Option<bool>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ModifierEntry {
    pub(super) words: Vec<String>,
    pub(super) phrases: Vec<String>,
    pub(super) only: bool,
    pub(super) state: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ParameterEntry {
    pub(super) r#type: String,
    #[serde(default)]
    pub(super) verbs: Vec<String>,
    #[serde(default)]
    pub(super) word: bool,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WordLists {
    pub(super) stop: Vec<String>,
    pub(super) label: Vec<String>,
    pub(super) negation: Vec<String>,
    pub(super) condition: Vec<String>,
    pub(super) question: Vec<String>,
    pub(super) pronoun: Vec<String>,
    pub(super) apart: Vec<String>,
    pub(super) units: BTreeMap<String, u32>,
    pub(super) numbers: Vec<String>,
}

impl File {
    /// Reads the text of a file.
    pub(super) fn parse(text: &str) -> Result<File, GrammarError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let place = error.span().map(|span| {
                let before = &text[..span.start.min(text.len())];
                before.matches('\n').count() + 1
            });
            GrammarError {
                line: place,
                why: error.message().to_owned(),
            }
        })?;
        file.checked()
    }

    /// The file, unless it is of a version that we do not know.
    fn checked(self) -> Result<File, GrammarError> {
        match self.version {
            None | Some(1) => Ok(self),
            Some(other) => Err(GrammarError::new(format!(
                "version {other} is unknown here: this is version 1"
            ))),
        }
    }

    /// Adds what `more` says.
    fn join(&mut self, more: File) {
        for (name, entry) in more.verbs {
            let there = self.verbs.entry(name).or_default();
            replace(&mut there.tier, entry.tier);
            replace(&mut there.help, entry.help);
            replace(&mut there.default_noun, entry.default_noun);
            replace(&mut there.ambiguous_default, entry.ambiguous_default);
            there.words.extend(entry.words);
            there.phrases.extend(entry.phrases);
            there.implied.extend(entry.implied);
            there.all_covers.extend(entry.all_covers);
            there.repeats |= entry.repeats;
            there.drop.extend(entry.drop);
            there.nouns.extend(entry.nouns);
        }
        for (name, entry) in more.nouns {
            let there = self.nouns.entry(name).or_default();
            replace(&mut there.tier, entry.tier);
            replace(&mut there.help, entry.help);
            replace(&mut there.slot, entry.slot);
            replace(&mut there.list, entry.list);
            replace(&mut there.singular, entry.singular);
            replace(&mut there.plural, entry.plural);
            replace(&mut there.by_shape, entry.by_shape);
            there.words.extend(entry.words);
            there.many.extend(entry.many);
            there.phrases.extend(entry.phrases);
        }
        for (name, entry) in more.modifiers {
            let there = self.modifiers.entry(name).or_default();
            there.words.extend(entry.words);
            there.phrases.extend(entry.phrases);
            there.only |= entry.only;
            there.state |= entry.state;
        }
        self.params.extend(more.params);
        self.slots.extend(more.slots);
        self.shapes.extend(more.shapes);
        for (into, from) in [
            (&mut self.exclusive, more.exclusive),
            (&mut self.allowed, more.allowed),
            (&mut self.required, more.required),
            (&mut self.risk, more.risk),
        ] {
            for (name, list) in from {
                into.entry(name).or_default().extend(list);
            }
        }
        for (verb, places) in more.prepositions {
            self.prepositions.entry(verb).or_default().extend(places);
        }
        let words = more.words;
        for (into, from) in [
            (&mut self.words.stop, words.stop),
            (&mut self.words.label, words.label),
            (&mut self.words.negation, words.negation),
            (&mut self.words.condition, words.condition),
            (&mut self.words.question, words.question),
            (&mut self.words.pronoun, words.pronoun),
            (&mut self.words.apart, words.apart),
        ] {
            into.extend(from);
        }
        self.words.units.extend(words.units);
        if !words.numbers.is_empty() {
            self.words.numbers = words.numbers;
        }
        self.examples.extend(more.examples);
    }
}

fn replace<T>(there: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *there = new;
    }
}

/// What a user adds to the built-in table.
#[derive(Debug)]
pub struct Addition(File);

impl Addition {
    /// Reads the text of a grammar file.
    ///
    /// # Errors
    /// Says what is wrong, and in which line.
    pub fn parse(text: &str) -> Result<Addition, GrammarError> {
        File::parse(text).map(Addition)
    }

    /// Reads a table of the same form, such as `[grammar]` of `swarm.toml`.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn from_table(table: toml::Table) -> Result<Addition, GrammarError> {
        let file: File = table
            .try_into()
            .map_err(|error: toml::de::Error| GrammarError::new(error.to_string().trim_end()))?;
        file.checked().map(Addition)
    }
}

// ---------------------------------------------------------------- the table

/// Places in the lists of [`Grammar`].
pub(super) type VerbId = u8;
pub(super) type NounId = u8;
pub(super) type ModifierId = u8;
pub(super) type ParameterId = u16;
pub(super) type PrepositionId = u8;
pub(super) type WordId = u16;

/// No word of the table.
pub(super) const NO_WORD: WordId = WordId::MAX;

/// What the reader needs to know, looked up by number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grammar {
    pub(super) verbs: Vec<Verb>,
    pub(super) nouns: Vec<Noun>,
    pub(super) modifiers: Vec<Modifier>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) prepositions: Vec<Preposition>,
    pub(super) words: Vec<Word>,
    pub(super) phrases: Vec<Phrase>,
    pub(super) pairs: HashMap<(VerbId, NounId), Pair, Hash>,
    pub(super) shapes: Vec<(Shape, NounId)>,
    pub(super) exclusive: Vec<Vec<ModifierId>>,
    pub(super) everywhere: Vec<ModifierId>,
    pub(super) risks: Vec<(Risk, Vec<String>)>,
    pub(super) examples: Vec<String>,
    /// `all`, `for` and `in`, which rules name; their parameters.
    pub(super) all: Option<ModifierId>,
    pub(super) lasting: Option<(PrepositionId, ParameterId)>,
    pub(super) delayed: Option<(PrepositionId, ParameterId)>,
    /// The words for verbs, nouns and modifiers, for finding near ones.
    pub(super) verb_words: Vec<WordId>,
    pub(super) noun_words: Vec<WordId>,
    pub(super) modifier_words: Vec<WordId>,
    index: HashMap<Box<str>, WordId, Hash>,
    longest: usize,
    parameter_index: HashMap<Box<str>, ParameterId, Hash>,
}

/// How much an action can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Risk {
    /// Looking, or what can be taken back.
    Low,
    /// Something stops or changes.
    Medium,
    /// Much stops at once, or work can get lost: worth a question.
    High,
}

impl Risk {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Risk::Low => "low",
            Risk::Medium => "medium",
            Risk::High => "high",
        }
    }
}

/// From where a word of the table comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Tier {
    Core,
    Extension,
    User,
}

impl Tier {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Tier::Core => "core",
            Tier::Extension => "extension",
            Tier::User => "user",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Verb {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) tier: Tier,
    /// Other words and phrases, for people.
    pub(super) also: Vec<String>,
    pub(super) default_noun: Option<NounId>,
    pub(super) ambiguous_default: bool,
    pub(super) all_covers: Vec<ModifierId>,
    /// Whether its name said again adds nothing (check swarm status).
    pub(super) repeats: bool,
    pub(super) drops: Vec<PrepositionId>,
    pub(super) nouns: Vec<NounId>,
    pub(super) prepositions: Vec<(PrepositionId, ParameterId)>,
    /// Modifiers that go with it whatever the noun is.
    pub(super) modifiers: Vec<ModifierId>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Noun {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) tier: Tier,
    pub(super) also: Vec<String>,
    /// The first word for several of it, when the name itself is for one.
    pub(super) many: Option<String>,
    pub(super) slot: ParameterId,
    pub(super) list: Option<ParameterId>,
    pub(super) by_shape: bool,
    /// A noun of its own for several.
    pub(super) plural: Option<NounId>,
    /// The noun for one of these; then values are always a list.
    pub(super) singular: Option<NounId>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Modifier {
    pub(super) name: String,
    pub(super) also: Vec<String>,
    pub(super) only: bool,
    pub(super) state: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The verbs it goes with; none: all.
    pub(super) verbs: Option<Vec<VerbId>>,
    pub(super) word: bool,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Text,
    Int,
    Seconds,
    Bool,
    Any,
    List,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Int => "whole number",
            Kind::Seconds => "seconds",
            Kind::Bool => "yes or no",
            Kind::Any => "anything",
            Kind::List => "list",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Preposition {
    pub(super) name: String,
    /// Whether a value behind it may go to the slot of its shape.
    pub(super) by_shape: bool,
    /// Whether a noun word behind it is not what the command is about.
    pub(super) apart: bool,
}

/// What a verb and a noun have in common beyond what each says alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Pair {
    pub(super) slots: Option<Vec<ParameterId>>,
    pub(super) modifiers: Vec<ModifierId>,
    pub(super) required: Vec<Group>,
}

/// Parameters and modifiers of which one must be there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Group {
    /// Whether `all` or a state satisfies it too.
    pub(super) or_states: bool,
    pub(super) names: Vec<String>,
}

/// What a word can be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Word {
    pub(super) text: Box<str>,
    pub(super) verb: Option<VerbId>,
    pub(super) implied: Option<ModifierId>,
    pub(super) noun: Option<NounId>,
    pub(super) many: bool,
    pub(super) modifier: Option<ModifierId>,
    pub(super) parameter: Option<ParameterId>,
    pub(super) preposition: Option<PrepositionId>,
    pub(super) class: Option<Class>,
    pub(super) unit: Option<u32>,
    pub(super) number: Option<u8>,
    /// The phrases that begin with it: a range of [`Grammar::phrases`].
    pub(super) phrases: (u16, u16),
}

impl Word {
    /// Whether it is a word of the grammar, rather than a part of a phrase, a number or a unit.
    pub(super) fn is_keyword(&self) -> bool {
        self.verb.is_some()
            || self.noun.is_some()
            || self.modifier.is_some()
            || self.parameter.is_some()
            || self.preposition.is_some()
            || self.class.is_some()
    }
}

/// Words that are neither verb nor noun nor modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Class {
    Stop,
    Label,
    Negation,
    Condition,
    Question,
    Pronoun,
    And,
    Then,
    Git,
}

/// Two or more words that mean one thing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Phrase {
    pub(super) words: Vec<WordId>,
    pub(super) meaning: Meaning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Meaning {
    Verb(VerbId),
    Noun(NounId),
    Modifier(ModifierId),
}

/// A hash for short words of a table that nobody can fill from outside.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Multiply(u64);

pub(super) type Hash = BuildHasherDefault<Multiply>;

impl Hasher for Multiply {
    fn write(&mut self, bytes: &[u8]) {
        let mut mix = |part: u64| {
            self.0 = (self.0.rotate_left(5) ^ part).wrapping_mul(0x517c_c1b7_2722_0a95);
        };
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        mix(u64::from_le_bytes(last));
    }

    fn write_u8(&mut self, byte: u8) {
        self.write(&[byte]);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

impl Grammar {
    /// The built-in table.
    pub fn builtin() -> &'static Grammar {
        static TABLE: LazyLock<Grammar> = LazyLock::new(|| {
            postcard::from_bytes(COMPILED).expect("a test holds that this is the built-in grammar")
        });
        &TABLE
    }

    /// What stands in `builtin.bin`: the table of `builtin.toml` as it is in memory, because reading
    /// TOML takes longer than all the rest of reading one command.
    #[cfg(test)]
    pub(super) fn compile_builtin() -> Vec<u8> {
        let table = Grammar::build(File::parse(BUILTIN).unwrap()).unwrap();
        postcard::to_allocvec(&table).unwrap()
    }

    /// The built-in table and what the text of a user's file adds to it.
    ///
    /// # Errors
    /// Says what does not fit, with the line where that is known.
    pub fn with(text: &str) -> Result<Grammar, GrammarError> {
        Grammar::extended([Addition::parse(text)?])
    }

    /// The built-in table and what several users' files add to it, in their order.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn extended(
        additions: impl IntoIterator<Item = Addition>,
    ) -> Result<Grammar, GrammarError> {
        let mut file = File::parse(BUILTIN)?;
        for Addition(more) in additions {
            file.join(more);
        }
        Grammar::build(file)
    }

    fn build(file: File) -> Result<Grammar, GrammarError> {
        Builder::new(&file)?.build(&file)
    }

    /// The word that `text` is, whatever its case.
    pub(super) fn word(&self, text: &str) -> WordId {
        if text.len() > self.longest {
            return NO_WORD;
        }
        let is_folded = |b: u8| b.is_ascii() && !b.is_ascii_uppercase();
        let found = match text.bytes().all(is_folded) {
            true => self.index.get(text),
            false => self.index.get(fold(text).as_str()),
        };
        found.copied().unwrap_or(NO_WORD)
    }

    pub(super) fn verb_named(&self, name: &str) -> Option<VerbId> {
        let place = self.verbs.iter().position(|verb| verb.name == name)?;
        Some(place as VerbId)
    }

    pub(super) fn noun_named(&self, name: &str) -> Option<NounId> {
        let place = self.nouns.iter().position(|noun| noun.name == name)?;
        Some(place as NounId)
    }

    pub(super) fn modifier_named(&self, name: &str) -> Option<ModifierId> {
        let place = self.modifiers.iter().position(|known| known.name == name)?;
        Some(place as ModifierId)
    }

    /// The parameter of exactly this name.
    pub(super) fn parameter_named(&self, name: &str) -> Option<ParameterId> {
        self.parameter_index.get(name).copied()
    }

    /// The slots that bare words fill with this verb and noun.
    pub(super) fn slots(&self, verb: VerbId, noun: NounId) -> Option<&[ParameterId]> {
        self.pairs.get(&(verb, noun))?.slots.as_deref()
    }

    /// Whether the table lists this verb with this noun.
    pub(super) fn goes_with(&self, verb: VerbId, noun: NounId) -> bool {
        self.verbs[verb as usize].nouns.contains(&noun)
    }

    /// Whether this modifier is listed for this verb and noun.
    pub(super) fn allows(&self, verb: VerbId, noun: NounId, modifier: ModifierId) -> bool {
        self.everywhere.contains(&modifier)
            || self.verbs[verb as usize].modifiers.contains(&modifier)
            || self
                .pairs
                .get(&(verb, noun))
                .is_some_and(|pair| pair.modifiers.contains(&modifier))
    }

    /// Whether this modifier is one here: some are only for the pairs that list them.
    pub(super) fn counts(&self, verb: VerbId, noun: NounId, modifier: ModifierId) -> bool {
        !self.modifiers[modifier as usize].only || self.allows(verb, noun, modifier)
    }

    /// The noun that words of this shape name.
    pub(super) fn shape(&self, word: &str) -> Option<NounId> {
        let found = self.shapes.iter().find(|(shape, _)| shape.matches(word));
        found.map(|(_, noun)| *noun)
    }

    /// Whether two nouns are one and several of the same.
    pub(super) fn same_kind(&self, one: NounId, other: NounId) -> bool {
        let base = |noun: NounId| self.nouns[noun as usize].singular.unwrap_or(noun);
        base(one) == base(other)
    }

    /// The verbs and nouns that are neither the original's nor ours.
    pub fn words(&self, core: bool) -> crate::action::Words {
        let own = |names: Vec<(&String, Tier)>| {
            let own = names.into_iter().filter(|(_, tier)| *tier == Tier::User);
            own.map(|(name, _)| name.clone()).collect()
        };
        crate::action::Words {
            core,
            verbs: own(self.verbs.iter().map(|v| (&v.name, v.tier)).collect()),
            nouns: own(self.nouns.iter().map(|n| (&n.name, n.tier)).collect()),
        }
    }
}

/// Lower case, straight apostrophes, plain dashes: how keywords are compared.
pub(super) fn fold(text: &str) -> String {
    let plain = text.chars().map(|c| match c {
        '\u{2019}' => '\'',
        c if is_dash(c) => '-',
        c => c,
    });
    plain.collect::<String>().to_lowercase()
}

/// The dashes of Unicode (category Pd), and the minus sign.
pub(super) fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{58a}' | '\u{5be}' | '\u{1400}' | '\u{1806}' | '\u{2010}'
            ..='\u{2015}'
                | '\u{2212}'
                | '\u{2e17}'
                | '\u{2e1a}'
                | '\u{2e3a}'
                | '\u{2e3b}'
                | '\u{2e40}'
                | '\u{2e5d}'
                | '\u{301c}'
                | '\u{3030}'
                | '\u{30a0}'
                | '\u{fe31}'
                | '\u{fe32}'
                | '\u{fe58}'
                | '\u{fe63}'
                | '\u{ff0d}'
                | '\u{10d6e}'
                | '\u{10ead}'
    )
}

// ---------------------------------------------------------------- from one to the other

struct Builder {
    verbs: Vec<String>,
    nouns: Vec<String>,
    modifiers: Vec<String>,
    parameters: Vec<String>,
    prepositions: Vec<String>,
    words: Vec<Word>,
    index: HashMap<Box<str>, WordId, Hash>,
    phrases: Vec<Phrase>,
}

/// The names of a table in the order of `first`, then the rest.
fn ordered<'a>(names: impl Iterator<Item = &'a String>, first: &[&[&str]]) -> Vec<String> {
    let mut names: Vec<&String> = names.collect();
    let known: Vec<&str> = first.concat();
    names.sort_by_key(|name| {
        let place = known.iter().position(|known| known == name);
        (place.unwrap_or(known.len()), *name)
    });
    names.into_iter().cloned().collect()
}

fn wrong(what: &str, name: &str, known: &[String]) -> GrammarError {
    let mut why = format!("{name:?} is no {what} of the grammar");
    let near = crate::id::nearest(name, known.iter().map(String::as_str));
    if let Some(near) = near.first() {
        why.push_str(&format!("; did you mean {near:?}?"));
    }
    GrammarError::new(why)
}

fn place(what: &str, name: &str, known: &[String]) -> Result<usize, GrammarError> {
    let found = known.iter().position(|there| there == name);
    found.ok_or_else(|| wrong(what, name, known))
}

impl Builder {
    fn new(file: &File) -> Result<Builder, GrammarError> {
        let verbs = ordered(file.verbs.keys(), &[&VERBS, &EXTENSION_VERBS]);
        let nouns = ordered(file.nouns.keys(), &[&NOUNS, &EXTENSION_NOUNS]);
        let modifiers: Vec<String> = file.modifiers.keys().cloned().collect();
        let mut parameters: Vec<String> = file.params.keys().cloned().collect();
        for noun in file.nouns.values() {
            if let Some(list) = &noun.list
                && !parameters.contains(list)
            {
                parameters.push(list.clone());
            }
        }
        let mut prepositions: Vec<String> = Vec::new();
        for name in file.prepositions.values().flat_map(BTreeMap::keys) {
            if !prepositions.contains(name) {
                prepositions.push(name.clone());
            }
        }
        for (what, names, most) in [
            ("verbs", &verbs, 200),
            ("nouns", &nouns, 200),
            ("modifiers", &modifiers, 200),
            ("prepositions", &prepositions, 200),
            ("parameters", &parameters, 5000),
        ] {
            if names.len() > most {
                return Err(GrammarError::new(format!("more than {most} {what}")));
            }
            for name in names {
                if name.is_empty() || fold(name) != *name || name.contains(char::is_whitespace) {
                    let why = format!("{name:?}: names of {what} are one word in lower case");
                    // Parameters of others keep their spelling.
                    if what != "parameters" || name.is_empty() {
                        return Err(GrammarError::new(why));
                    }
                }
            }
        }
        Ok(Builder {
            verbs,
            nouns,
            modifiers,
            parameters,
            prepositions,
            words: Vec::new(),
            index: HashMap::default(),
            phrases: Vec::new(),
        })
    }

    fn verb(&self, name: &str) -> Result<VerbId, GrammarError> {
        place("verb", name, &self.verbs).map(|at| at as VerbId)
    }

    fn noun(&self, name: &str) -> Result<NounId, GrammarError> {
        place("noun", name, &self.nouns).map(|at| at as NounId)
    }

    fn modifier(&self, name: &str) -> Result<ModifierId, GrammarError> {
        place("modifier", name, &self.modifiers).map(|at| at as ModifierId)
    }

    fn parameter(&self, name: &str) -> Result<ParameterId, GrammarError> {
        place("parameter", name, &self.parameters).map(|at| at as ParameterId)
    }

    fn preposition(&self, name: &str) -> Result<PrepositionId, GrammarError> {
        place("preposition", name, &self.prepositions).map(|at| at as PrepositionId)
    }

    /// `verb noun`, or `verb` alone.
    fn pair(&self, text: &str) -> Result<(VerbId, Option<NounId>), GrammarError> {
        match text.split_once(' ') {
            Some((verb, noun)) => Ok((self.verb(verb)?, Some(self.noun(noun.trim())?))),
            None => Ok((self.verb(text)?, None)),
        }
    }

    fn word(&mut self, text: &str) -> &mut Word {
        let id = match self.index.get(text) {
            Some(id) => *id,
            None => {
                let id = self.words.len() as WordId;
                self.index.insert(text.into(), id);
                self.words.push(Word {
                    text: text.into(),
                    ..Word::default()
                });
                id
            }
        };
        &mut self.words[id as usize]
    }

    /// Enters a word or, where it holds blanks, a phrase.
    fn enter(&mut self, text: &str, many: bool, meaning: Meaning) -> Result<(), GrammarError> {
        let text = fold(text);
        let parts: Vec<&str> = text.split_whitespace().collect();
        if let [single] = parts[..] {
            let word = self.word(single);
            let clash = match meaning {
                Meaning::Verb(verb) => word.verb.replace(verb).is_some_and(|old| old != verb),
                Meaning::Noun(noun) => {
                    word.many |= many;
                    word.noun.replace(noun).is_some_and(|old| old != noun)
                }
                Meaning::Modifier(modifier) => {
                    let old = word.modifier.replace(modifier);
                    old.is_some_and(|old| old != modifier)
                }
            };
            if clash {
                let why = format!("the word {single:?} would mean two things of one kind");
                return Err(GrammarError::new(why));
            }
            return Ok(());
        }
        if parts.is_empty() {
            return Err(GrammarError::new("a word of the grammar is empty"));
        }
        let words = parts
            .iter()
            .map(|part| {
                self.word(part);
                self.index[*part]
            })
            .collect();
        self.phrases.push(Phrase { words, meaning });
        Ok(())
    }

    fn classes(&mut self, lists: &WordLists) {
        for (class, list) in [
            (Class::Stop, &lists.stop),
            (Class::Label, &lists.label),
            (Class::Negation, &lists.negation),
            (Class::Condition, &lists.condition),
            (Class::Question, &lists.question),
            (Class::Pronoun, &lists.pronoun),
        ] {
            for text in list {
                self.word(&fold(text)).class = Some(class);
            }
        }
        self.word("and").class = Some(Class::And);
        self.word("&").class = Some(Class::And);
        self.word("then").class = Some(Class::Then);
        self.word("git").class = Some(Class::Git);
        for (text, seconds) in &lists.units {
            self.word(&fold(text)).unit = Some(*seconds);
        }
        for (number, text) in lists.numbers.iter().enumerate().take(256) {
            self.word(&fold(text)).number = Some(number as u8);
        }
    }

    fn enter_verbs(&mut self, file: &File) -> Result<Vec<Verb>, GrammarError> {
        let mut verbs = Vec::new();
        for (id, name) in self.verbs.clone().into_iter().enumerate() {
            let entry = &file.verbs[&name];
            let meaning = Meaning::Verb(id as VerbId);
            self.enter(&name, false, meaning)?;
            for text in entry.words.iter().chain(&entry.phrases) {
                self.enter(text, false, meaning)?;
            }
            for (text, modifier) in &entry.implied {
                self.enter(text, false, meaning)?;
                let modifier = self.modifier(modifier)?;
                self.word(&fold(text)).implied = Some(modifier);
            }
            let all = (0..self.nouns.len() as NounId).collect();
            let nouns = match entry.nouns.iter().any(|noun| noun == "*") {
                true => all,
                false => {
                    let nouns = entry.nouns.iter().map(|noun| self.noun(noun));
                    nouns.collect::<Result<_, _>>()?
                }
            };
            let prepositions = match file.prepositions.get(&name) {
                Some(places) => places
                    .iter()
                    .map(|(word, to)| Ok((self.preposition(word)?, self.parameter(to)?)))
                    .collect::<Result<_, GrammarError>>()?,
                None => Vec::new(),
            };
            let modifiers = self.modifier_list(file.allowed.get(&name))?;
            let mut also = entry.words.clone();
            also.extend(entry.phrases.iter().cloned());
            let implied = entry.implied.iter();
            also.extend(implied.map(|(word, modifier)| format!("{word} (= {name} {modifier})")));
            // Filler words of a verb that are no prepositions elsewhere ("about") become stop words.
            let mut drops = Vec::new();
            for text in &entry.drop {
                match self.preposition(text) {
                    Ok(id) => drops.push(id),
                    Err(_) => self.word(&fold(text)).class = Some(Class::Stop),
                }
            }
            let default_noun = entry.default_noun.as_deref();
            verbs.push(Verb {
                help: entry.help.clone().unwrap_or_default(),
                tier: tier(entry.tier.as_deref()),
                also,
                default_noun: default_noun.map(|noun| self.noun(noun)).transpose()?,
                ambiguous_default: entry.ambiguous_default.unwrap_or(false),
                all_covers: self.modifier_list(Some(&entry.all_covers))?,
                repeats: entry.repeats,
                drops,
                nouns,
                prepositions,
                modifiers,
                name,
            });
        }
        Ok(verbs)
    }

    fn modifier_list(&self, names: Option<&Vec<String>>) -> Result<Vec<ModifierId>, GrammarError> {
        let names = names.into_iter().flatten();
        names.map(|name| self.modifier(name)).collect()
    }

    fn enter_nouns(&mut self, file: &File) -> Result<Vec<Noun>, GrammarError> {
        let mut nouns = Vec::new();
        for (id, name) in self.nouns.clone().into_iter().enumerate() {
            let entry = &file.nouns[&name];
            let meaning = Meaning::Noun(id as NounId);
            let plural_itself = entry.singular.is_some();
            self.enter(&name, plural_itself, meaning)?;
            for text in entry.words.iter().chain(&entry.phrases) {
                self.enter(text, plural_itself, meaning)?;
            }
            for text in &entry.many {
                self.enter(text, true, meaning)?;
            }
            let Some(slot) = &entry.slot else {
                return Err(GrammarError::new(format!("the noun {name:?} has no slot")));
            };
            let mut also = entry.words.clone();
            also.extend(entry.many.iter().filter(|many| **many != name).cloned());
            also.extend(entry.phrases.iter().cloned());
            let list = entry.list.as_deref();
            let many = entry
                .many
                .first()
                .filter(|_| list.is_some() && !plural_itself);
            nouns.push(Noun {
                help: entry.help.clone().unwrap_or_default(),
                tier: tier(entry.tier.as_deref()),
                also,
                many: many.cloned(),
                slot: self.parameter(slot)?,
                list: list.map(|list| self.parameter(list)).transpose()?,
                by_shape: entry.by_shape.unwrap_or(false),
                plural: entry
                    .plural
                    .as_deref()
                    .map(|noun| self.noun(noun))
                    .transpose()?,
                singular: entry
                    .singular
                    .as_deref()
                    .map(|noun| self.noun(noun))
                    .transpose()?,
                name,
            });
        }
        Ok(nouns)
    }

    fn enter_modifiers(&mut self, file: &File) -> Result<Vec<Modifier>, GrammarError> {
        let mut modifiers = Vec::new();
        for (id, name) in self.modifiers.clone().into_iter().enumerate() {
            let entry = &file.modifiers[&name];
            let meaning = Meaning::Modifier(id as ModifierId);
            self.enter(&name, false, meaning)?;
            if name.contains('-') {
                for between in ["_", " ", ""] {
                    self.enter(&name.replace('-', between), false, meaning)?;
                }
            }
            for text in entry.words.iter().chain(&entry.phrases) {
                self.enter(text, false, meaning)?;
            }
            let mut also = entry.words.clone();
            also.extend(entry.phrases.iter().cloned());
            modifiers.push(Modifier {
                also,
                only: entry.only,
                state: entry.state,
                name,
            });
        }
        Ok(modifiers)
    }

    fn enter_parameters(&mut self, file: &File) -> Result<Vec<Parameter>, GrammarError> {
        let mut parameters = Vec::new();
        for (id, name) in self.parameters.clone().into_iter().enumerate() {
            // A list of a noun stands in the table of nouns alone.
            let entry = match file.params.get(&name) {
                Some(entry) => entry.clone(),
                None => ParameterEntry {
                    r#type: "list".to_owned(),
                    verbs: vec!["*".to_owned()],
                    word: false,
                },
            };
            let kind = match entry.r#type.as_str() {
                "id" | "string" => Kind::Text,
                "int" => Kind::Int,
                "seconds" => Kind::Seconds,
                "bool" => Kind::Bool,
                "any" => Kind::Any,
                "list" => Kind::List,
                other => {
                    let why = format!(
                        "{name}: no type {other:?}; there are id, string, int, seconds, bool, any, list"
                    );
                    return Err(GrammarError::new(why));
                }
            };
            let every = entry.verbs.is_empty() || entry.verbs.iter().any(|verb| verb == "*");
            let verbs = match every {
                true => None,
                false => {
                    let verbs = entry.verbs.iter().map(|verb| self.verb(verb));
                    Some(verbs.collect::<Result<_, _>>()?)
                }
            };
            if entry.word {
                self.word(&fold(&name)).parameter = Some(id as ParameterId);
            }
            parameters.push(Parameter {
                kind,
                verbs,
                word: entry.word,
                name,
            });
        }
        Ok(parameters)
    }

    fn enter_prepositions(&mut self, file: &File) -> Vec<Preposition> {
        let mut prepositions = Vec::new();
        for (id, name) in self.prepositions.clone().into_iter().enumerate() {
            self.word(&fold(&name)).preposition = Some(id as PrepositionId);
            let anywhere = file.prepositions.get("*").and_then(|all| all.get(&name));
            prepositions.push(Preposition {
                by_shape: anywhere.is_some_and(|to| to == "<shape>"),
                apart: file.words.apart.contains(&name),
                name,
            });
        }
        prepositions
    }

    fn pairs(&self, file: &File) -> Result<HashMap<(VerbId, NounId), Pair, Hash>, GrammarError> {
        let mut pairs: HashMap<(VerbId, NounId), Pair, Hash> = HashMap::default();
        for (text, slots) in &file.slots {
            let (verb, Some(noun)) = self.pair(text)? else {
                let why = format!("slots of {text:?}: write a verb and a noun");
                return Err(GrammarError::new(why));
            };
            let slots = slots.iter().map(|slot| self.parameter(slot));
            pairs.entry((verb, noun)).or_default().slots = Some(slots.collect::<Result<_, _>>()?);
        }
        for (text, names) in file.allowed.iter().filter(|(text, _)| *text != "*") {
            if let (verb, Some(noun)) = self.pair(text)? {
                let modifiers = self.modifier_list(Some(names))?;
                pairs.entry((verb, noun)).or_default().modifiers = modifiers;
            }
        }
        for (text, groups) in &file.required {
            let (verb, Some(noun)) = self.pair(text)? else {
                let why = format!("required of {text:?}: write a verb and a noun");
                return Err(GrammarError::new(why));
            };
            for group in groups {
                let or_states = group.starts_with('?');
                let names = group.trim_start_matches('?').split('|');
                let names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
                let group = Group { or_states, names };
                pairs.entry((verb, noun)).or_default().required.push(group);
            }
        }
        Ok(pairs)
    }

    fn build(mut self, file: &File) -> Result<Grammar, GrammarError> {
        self.classes(&file.words);
        let prepositions = self.enter_prepositions(file);
        let verbs = self.enter_verbs(file)?;
        let nouns = self.enter_nouns(file)?;
        let modifiers = self.enter_modifiers(file)?;
        let parameters = self.enter_parameters(file)?;
        let pairs = self.pairs(file)?;
        let everywhere = self.modifier_list(file.allowed.get("*"))?;
        let exclusive = file
            .exclusive
            .values()
            .map(|group| self.modifier_list(Some(group)))
            .collect::<Result<_, _>>()?;
        let mut shapes = Vec::new();
        for (noun, pattern) in &file.shapes {
            let shape = Shape::parse(pattern).ok_or_else(|| {
                GrammarError::new(format!(
                    "the shape {pattern:?} is no pattern that is known here"
                ))
            })?;
            shapes.push((shape, self.noun(noun)?));
        }
        let mut risks = Vec::new();
        for (level, list) in &file.risk {
            let level = match level.as_str() {
                "low" => Risk::Low,
                "medium" => Risk::Medium,
                "high" => Risk::High,
                other => {
                    let why = format!("no risk {other:?}; there are low, medium, high");
                    return Err(GrammarError::new(why));
                }
            };
            let words = |text: &String| text.split_whitespace().map(str::to_owned).collect();
            risks.extend(list.iter().map(|text| (level, words(text))));
        }
        // The phrases of one first word stand together, the longest first.
        self.phrases
            .sort_by_key(|phrase| (phrase.words[0], usize::MAX - phrase.words.len()));
        for (place, phrase) in self.phrases.iter().enumerate() {
            let word = &mut self.words[phrase.words[0] as usize];
            if word.phrases == (0, 0) {
                word.phrases = (place as u16, place as u16);
            }
            word.phrases.1 = place as u16 + 1;
        }
        if self.words.len() >= NO_WORD as usize || self.phrases.len() >= u16::MAX as usize {
            return Err(GrammarError::new("more than 65,000 words"));
        }
        let names = parameters.iter().enumerate();
        let those = |wanted: fn(&Word) -> bool| {
            let words = self.words.iter().zip(0..);
            words
                .filter(|(word, _)| wanted(word))
                .map(|(_, id)| id)
                .collect()
        };
        Ok(Grammar {
            parameter_index: names
                .map(|(id, parameter)| (parameter.name.as_str().into(), id as ParameterId))
                .collect(),
            // A word in another alphabet may be longer before it is folded.
            longest: self.index.keys().map(|word| word.len()).max().unwrap_or(0) * 3,
            all: self.modifier("all").ok(),
            lasting: self
                .preposition("for")
                .ok()
                .zip(self.parameter("duration").ok()),
            delayed: self
                .preposition("in")
                .ok()
                .zip(self.parameter("delay").ok()),
            verb_words: those(|word| word.verb.is_some()),
            noun_words: those(|word| word.noun.is_some()),
            modifier_words: those(|word| word.modifier.is_some()),
            verbs,
            nouns,
            modifiers,
            parameters,
            prepositions,
            words: self.words,
            phrases: self.phrases,
            pairs,
            shapes,
            exclusive,
            everywhere,
            risks,
            examples: file.examples.clone(),
            index: self.index,
        })
    }
}

fn tier(text: Option<&str>) -> Tier {
    match text {
        Some("core") => Tier::Core,
        Some("ext") => Tier::Extension,
        _ => Tier::User,
    }
}
