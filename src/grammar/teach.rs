//! What the table teaches: the list, help, completion, explanation, tool schemas. All of it is made
//! from the same table that the reader uses, and every line that is shown was parsed.

use super::read::{self, Role};
use super::table::{Class, Grammar, Kind, ModifierId, NounId, ParameterId, VerbId};
use super::{ParseError, mend};
use crate::action::json::{Object, Value};

/// One thing that the table knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `verb`, `noun`, `modifier` or `parameter`.
    pub kind: &'static str,
    /// The canonical name.
    pub name: String,
    /// `core`, `extension` or `user`; for verbs and nouns.
    pub tier: &'static str,
    /// Other words for it.
    pub also: Vec<String>,
    /// Verbs: the nouns; nouns: the parameter a bare name fills; modifiers and parameters: the verbs.
    pub with: Vec<String>,
    /// Verbs: the noun when none is said. Parameters: what they take.
    pub says: String,
    /// A sentence about it.
    pub help: String,
}

/// What a part of a line became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The part, as it stands there.
    pub text: String,
    /// Where it stands in the line, in bytes.
    pub span: std::ops::Range<usize>,
    /// What it became.
    pub became: String,
    /// The rule.
    pub rule: &'static str,
}

impl Grammar {
    /// Everything the table knows, in its order.
    pub fn entries(&self) -> Vec<Entry> {
        let verbs = self.verbs.iter().map(|verb| Entry {
            kind: "verb",
            name: verb.name.clone(),
            tier: verb.tier.as_str(),
            also: verb.also.clone(),
            with: verb
                .nouns
                .iter()
                .map(|noun| self.nouns[*noun as usize].name.clone())
                .collect(),
            says: verb
                .default_noun
                .map_or(String::new(), |noun| self.nouns[noun as usize].name.clone()),
            help: verb.help.clone(),
        });
        let nouns = self.nouns.iter().map(|noun| Entry {
            kind: "noun",
            name: noun.name.clone(),
            tier: noun.tier.as_str(),
            also: noun.also.clone(),
            with: std::iter::once(noun.slot)
                .chain(noun.list)
                .map(|slot| self.parameters[slot as usize].name.clone())
                .collect(),
            says: String::new(),
            help: noun.help.clone(),
        });
        let modifiers = self
            .modifiers
            .iter()
            .enumerate()
            .map(|(id, modifier)| Entry {
                kind: "modifier",
                name: modifier.name.clone(),
                tier: "",
                also: modifier.also.clone(),
                with: self.verbs_with(id as ModifierId),
                says: if modifier.state {
                    "state".to_owned()
                } else {
                    String::new()
                },
                help: String::new(),
            });
        let parameters = self.parameters.iter().map(|parameter| Entry {
            kind: "parameter",
            name: parameter.name.clone(),
            tier: "",
            also: Vec::new(),
            with: match &parameter.verbs {
                Some(verbs) => verbs
                    .iter()
                    .map(|verb| self.verbs[*verb as usize].name.clone())
                    .collect(),
                None => vec!["*".to_owned()],
            },
            says: parameter.kind.as_str().to_owned(),
            help: match parameter.word {
                true => format!("also as words: {} VALUE", parameter.name),
                false => String::new(),
            },
        });
        verbs
            .chain(nouns)
            .chain(modifiers)
            .chain(parameters)
            .collect()
    }

    /// The verbs that list a modifier, with the noun where it is only for that pair.
    fn verbs_with(&self, modifier: ModifierId) -> Vec<String> {
        if self.everywhere.contains(&modifier) {
            return vec!["*".to_owned()];
        }
        let mut with: Vec<String> = self
            .verbs
            .iter()
            .filter(|verb| verb.modifiers.contains(&modifier))
            .map(|verb| verb.name.clone())
            .collect();
        for (verb, noun) in self.all_pairs() {
            let pair = self.pairs.get(&(verb, noun));
            if pair.is_some_and(|pair| pair.modifiers.contains(&modifier)) {
                with.push(self.pair_name(verb, noun, " "));
            }
        }
        with
    }

    /// Every verb with every noun it goes with.
    fn all_pairs(&self) -> impl Iterator<Item = (VerbId, NounId)> {
        let verbs = self.verbs.iter().zip(0..);
        verbs.flat_map(|(verb, id)| verb.nouns.iter().map(move |noun| (id, *noun)))
    }

    fn pair_name(&self, verb: VerbId, noun: NounId, between: &str) -> String {
        let (verb, noun) = (
            &self.verbs[verb as usize].name,
            &self.nouns[noun as usize].name,
        );
        format!("{verb}{between}{noun}")
    }

    /// The modifiers listed for a pair.
    fn modifiers_of(&self, verb: VerbId, noun: NounId) -> Vec<&str> {
        let all = self.modifiers.iter().enumerate();
        all.filter(|(id, _)| self.allows(verb, noun, *id as ModifierId))
            .map(|(_, modifier)| modifier.name.as_str())
            .collect()
    }

    /// The parameters worth naming for a pair: its slots, what it needs, the verb's own, and those
    /// of every verb that name nothing.
    fn parameters_of(&self, verb: VerbId, noun: NounId) -> Vec<ParameterId> {
        let entry = &self.nouns[noun as usize];
        let mut found: Vec<ParameterId> = match self.slots(verb, noun) {
            Some(slots) => slots.to_vec(),
            None if entry.singular.is_some() => entry.list.into_iter().collect(),
            None => vec![entry.slot],
        };
        if let Some(pair) = self.pairs.get(&(verb, noun)) {
            let names = pair.required.iter().flat_map(|group| &group.names);
            found.extend(names.filter_map(|name| self.parameter_named(name)));
        }
        for (parameter, id) in self.parameters.iter().zip(0..) {
            let listed = match &parameter.verbs {
                Some(verbs) => verbs.contains(&verb),
                None => parameter.word,
            };
            if listed {
                found.push(id);
            }
        }
        let mut once = Vec::new();
        for id in found {
            if !once.contains(&id) {
                once.push(id);
            }
        }
        once
    }

    // ------------------------------------------------------------ explanation

    /// What each word of a line became, and by which rule.
    ///
    /// # Errors
    /// As [`Grammar::parse`].
    pub fn explain(&self, line: &str) -> Result<Vec<Step>, Box<ParseError>> {
        let command = self.parse(line)?;
        let seen = match read::seen(line) {
            Ok(seen) => seen,
            Err(_) => return Ok(Vec::new()),
        };
        let Ok((roles, _)) = read::roles(self, &seen.text) else {
            return Ok(Vec::new());
        };
        let mut steps: Vec<Step> = Vec::new();
        for (span, role) in roles {
            let text = seen.text[span.clone()].to_owned();
            if role == Role::Part
                && let Some(last) = steps.last_mut()
            {
                last.span.end = span.end;
                last.text = seen.text[last.span.clone()].to_owned();
                continue;
            }
            let (became, rule) = self.became(role, command.verb, command.noun);
            steps.push(Step {
                text,
                span,
                became,
                rule,
            });
        }
        if !steps.iter().any(|step| step.rule == "R3") {
            let end = seen.text.len();
            let became = format!("noun {}", command.noun);
            steps.push(Step {
                text: String::new(),
                span: end..end,
                became,
                rule: "R4",
            });
        }
        Ok(steps)
    }

    fn became(&self, role: Role, verb: &str, noun: &str) -> (String, &'static str) {
        let parameter = |id: ParameterId| self.parameters[id as usize].name.clone();
        let modifier = |id: ModifierId| self.modifiers[id as usize].name.clone();
        match role {
            Role::Verb => (format!("verb {verb}"), "R2"),
            Role::Noun => (format!("noun {noun}"), "R3"),
            Role::Repeated => ("said again: dropped".to_owned(), "R6"),
            Role::Modifier(id) => (format!("modifier {}", modifier(id)), "R5"),
            Role::Again(id) => (format!("modifier {} again: dropped", modifier(id)), "R5"),
            Role::Covered => ("covered by all: dropped".to_owned(), "R5"),
            Role::Extra => ("modifier, verbatim".to_owned(), "R5"),
            Role::Named => ("parameter by name".to_owned(), "R7"),
            Role::Envelope => ("envelope".to_owned(), "R10"),
            Role::ParameterWord(id) => (format!("names {}", parameter(id)), "R7"),
            Role::Value(id) => (format!("value of {}", parameter(id)), "R6"),
            Role::Preposition => ("preposition: says where the next goes".to_owned(), "R8"),
            Role::Stop | Role::Open | Role::Part => ("filler: dropped".to_owned(), "R9"),
            Role::Glue => ("joins: dropped".to_owned(), "R9"),
            Role::Label => ("label of what follows".to_owned(), "R6"),
        }
    }

    // ------------------------------------------------------------ help

    /// Help on the words of a question: `""`, `"run"`, `"run task"`, `"beast-mode"`, `"timeout"`.
    ///
    /// # Errors
    /// The word that is unknown, and the nearest known one.
    pub fn help(&self, question: &str) -> Result<String, (String, Option<String>)> {
        let words: Vec<&str> = question.split_whitespace().collect();
        let Some(first) = words.first() else {
            return Ok(self.overview());
        };
        let word_of = |text: &str| self.words.get(self.word(text) as usize);
        let mut verb = word_of(first).and_then(|word| word.verb);
        let mut noun = None;
        for text in &words[usize::from(verb.is_some())..] {
            let known = word_of(text);
            match known {
                Some(word) if word.noun.is_some() && noun.is_none() => noun = word.noun,
                Some(word) if word.verb.is_some() && verb.is_none() => verb = word.verb,
                _ => return self.help_entry(text),
            }
        }
        Ok(match (verb, noun) {
            (Some(verb), Some(noun)) => self.help_pair(verb, noun),
            (Some(verb), None) => self.help_verb(verb),
            (None, Some(noun)) => self.help_noun(noun),
            (None, None) => self.overview(),
        })
    }

    fn overview(&self) -> String {
        let mut text = String::from(
            "a command is a verb, a noun, a name, and how:  run task 2.1 in beast mode\n\n",
        );
        for verb in &self.verbs {
            text.push_str(&format!("  {:<10} {}\n", verb.name, verb.help));
        }
        text.push_str("\nhelp VERB and help VERB NOUN say more\n");
        text
    }

    fn help_verb(&self, verb: VerbId) -> String {
        let entry = &self.verbs[verb as usize];
        let mut text = format!("{}: {}\n", entry.name, entry.help);
        row(&mut text, "also", &entry.also);
        let nouns: Vec<&str> = entry
            .nouns
            .iter()
            .map(|noun| self.nouns[*noun as usize].name.as_str())
            .collect();
        row(&mut text, "nouns", &nouns);
        if let Some(noun) = entry.default_noun {
            row(&mut text, "default", &[&self.nouns[noun as usize].name]);
        }
        let first = entry
            .default_noun
            .or(entry.nouns.first().copied())
            .unwrap_or_default();
        row(&mut text, "modifiers", &self.modifiers_of(verb, first));
        text.push_str("  examples\n");
        for noun in &entry.nouns {
            if let Some(example) = self.examples_of(verb, *noun).into_iter().next() {
                text.push_str(&format!("    {example}\n"));
            }
        }
        text
    }

    fn help_noun(&self, noun: NounId) -> String {
        let entry = &self.nouns[noun as usize];
        let mut text = format!("{} {}\n", entry.name, entry.help);
        row(&mut text, "also", &entry.also);
        row(
            &mut text,
            "its name",
            &[&self.parameters[entry.slot as usize].name],
        );
        let verbs: Vec<&str> = self
            .verbs
            .iter()
            .filter(|verb| verb.nouns.contains(&noun))
            .map(|verb| verb.name.as_str())
            .collect();
        row(&mut text, "verbs", &verbs);
        text
    }

    fn help_pair(&self, verb: VerbId, noun: NounId) -> String {
        let name = self.pair_name(verb, noun, " ");
        if !self.goes_with(verb, noun) {
            let nouns: Vec<&str> = self.verbs[verb as usize]
                .nouns
                .iter()
                .map(|noun| self.nouns[*noun as usize].name.as_str())
                .collect();
            let verb = &self.verbs[verb as usize].name;
            return format!(
                "{name} do not go together; {verb} goes with {}\n",
                nouns.join(", ")
            );
        }
        let mut text = format!("{name}: {}\n", self.verbs[verb as usize].help);
        if let Some(pair) = self.pairs.get(&(verb, noun)) {
            for group in &pair.required {
                let mut needs = group.names.join(" or ");
                if group.or_states {
                    needs.push_str(", or all, or a state such as failed");
                }
                row(&mut text, "needs", &[needs.as_str()]);
            }
        }
        row(&mut text, "modifiers", &self.modifiers_of(verb, noun));
        let parameters: Vec<String> = self
            .parameters_of(verb, noun)
            .into_iter()
            .map(|id| &self.parameters[id as usize])
            .map(|parameter| format!("{}=({})", parameter.name, parameter.kind.as_str()))
            .collect();
        row(&mut text, "parameters", &parameters);
        text.push_str("  examples\n");
        for example in self.examples_of(verb, noun) {
            text.push_str(&format!("    {example}\n"));
        }
        text
    }

    fn help_entry(&self, text: &str) -> Result<String, (String, Option<String>)> {
        let name = match self
            .words
            .get(self.word(text) as usize)
            .and_then(|word| word.modifier)
        {
            Some(modifier) => self.modifiers[modifier as usize].name.as_str(),
            None => text,
        };
        let known = self.entries().into_iter().find(|entry| entry.name == name);
        let Some(entry) = known else {
            let near = mend::near_verb(self, text, false).or(mend::near_noun(self, text, false));
            return Err((text.to_owned(), near.map(str::to_owned)));
        };
        let mut text = format!("{} ({}) {}\n", entry.name, entry.kind, entry.help);
        row(&mut text, "also", &entry.also);
        if !entry.says.is_empty() {
            row(&mut text, "takes", &[&entry.says]);
        }
        row(&mut text, "verbs", &entry.with);
        Ok(text)
    }

    /// Lines for a pair that were parsed and are valid.
    fn examples_of(&self, verb: VerbId, noun: NounId) -> Vec<String> {
        let entry = &self.nouns[noun as usize];
        let name = self.pair_name(verb, noun, " ");
        let slots = match self.slots(verb, noun) {
            Some(slots) => slots.to_vec(),
            None => vec![entry.slot],
        };
        let values: Vec<String> = slots.iter().map(|slot| self.sample(*slot)).collect();
        let modifier = self
            .modifiers_of(verb, noun)
            .into_iter()
            .find(|name| *name != "dry-run" && *name != "all");
        let mut lines = vec![name.clone(), format!("{name} {}", values.join(" "))];
        lines.extend(modifier.map(|modifier| format!("{name} {} {modifier}", values.join(" "))));
        lines.push(format!("{name} all"));
        lines.retain(|line| {
            let Ok(command) = self.parse(line) else {
                return false;
            };
            let check = self.check(&command);
            check.is_valid() && check.warnings.is_empty()
        });
        lines
    }

    /// A value that a slot might have.
    fn sample(&self, parameter: ParameterId) -> String {
        let entry = &self.parameters[parameter as usize];
        match (entry.kind, entry.name.as_str()) {
            (Kind::Int, _) => "3".to_owned(),
            (Kind::Seconds, _) => "5m".to_owned(),
            (Kind::Bool, _) => "true".to_owned(),
            (_, "task_id" | "task_ids") => "2.1".to_owned(),
            (_, "instance_id" | "instance_ids") => "kiro-3".to_owned(),
            (_, "branch_name" | "branch_names") => "feature/login".to_owned(),
            (_, "batch_id") => "batch-5".to_owned(),
            (_, "message" | "text") => "\"disk is full\"".to_owned(),
            (_, name) => format!("my-{}", name.split('_').next().unwrap_or(name)),
        }
    }

    // ------------------------------------------------------------ completion

    /// The words that can stand next in `line`, or complete its last one, each with what it is.
    pub fn complete(&self, line: &str) -> Vec<(String, String)> {
        let start = line.rfind(char::is_whitespace).map_or(0, |at| {
            at + line[at..].chars().next().map_or(1, char::len_utf8)
        });
        let (head, begun) = line.split_at(start);
        let begun = super::table::fold(begun);
        let said: Vec<&super::table::Word> = head
            .split_whitespace()
            .filter_map(|text| self.words.get(self.word(text) as usize))
            .collect();
        let verb = said.iter().find_map(|word| word.verb).or_else(|| {
            let parsed = self.parse(head).ok()?;
            self.verb_named(parsed.verb)
        });
        let mut found: Vec<(String, String)> = Vec::new();
        let Some(verb) = verb else {
            for entry in &self.verbs {
                let also = entry
                    .also
                    .iter()
                    .filter(|word| !word.contains(' ') && !begun.is_empty());
                for word in std::iter::once(&entry.name).chain(also) {
                    found.push((word.clone(), entry.help.clone()));
                }
            }
            if "help".starts_with(&begun) {
                found.push(("help".to_owned(), "what can be said".to_owned()));
            }
            found.retain(|(word, _)| word.starts_with(&begun));
            return found;
        };
        let noun = said
            .iter()
            .find_map(|word| word.noun.filter(|_| word.verb.is_none()));
        if noun.is_none() {
            for id in &self.verbs[verb as usize].nouns {
                let entry = &self.nouns[*id as usize];
                let what = format!(
                    "noun, named by {}",
                    self.parameters[entry.slot as usize].name
                );
                for word in std::iter::once(&entry.name).chain(&entry.many) {
                    found.push((word.clone(), what.clone()));
                }
            }
        }
        let noun = noun
            .or(self.verbs[verb as usize].default_noun)
            .unwrap_or_default();
        for name in self.modifiers_of(verb, noun) {
            let there = said.iter().any(|word| {
                word.modifier
                    .is_some_and(|id| self.modifiers[id as usize].name == name)
            });
            if !there {
                found.push((name.to_owned(), "modifier".to_owned()));
            }
        }
        // Every word so far must go on being read with the new one.
        found.retain(|(word, _)| word.starts_with(&begun) && self.goes_on(head, word));
        for id in self.parameters_of(verb, noun) {
            let parameter = &self.parameters[id as usize];
            let word = format!("{}=", parameter.name);
            let there = head
                .split_whitespace()
                .any(|there| there.starts_with(&word));
            let sample = format!("{word}{}", self.sample(id));
            if word.starts_with(&begun) && !there && self.goes_on(head, &sample) {
                found.push((word, parameter.kind.as_str().to_owned()));
            }
        }
        found
    }

    fn goes_on(&self, head: &str, word: &str) -> bool {
        let options = read::Options {
            core: false,
            mend: false,
        };
        read::command(self, &format!("{head}{word}"), options).is_ok()
    }

    // ------------------------------------------------------------ schemas

    /// The tools of the Model Context Protocol, one for each pair: `run.task`.
    pub fn tools(&self) -> Value {
        let tools = self
            .all_pairs()
            .map(|(verb, noun)| Value::Object(self.tool(verb, noun)));
        Value::Object(object([("tools", Value::Array(tools.collect()))]))
    }

    fn tool(&self, verb: VerbId, noun: NounId) -> Object {
        let mut properties = Object::new();
        let modifiers = self.modifiers_of(verb, noun);
        let names = modifiers.iter().map(|name| Value::from(*name)).collect();
        let items = object([
            ("type", Value::from("string")),
            ("enum", Value::Array(names)),
        ]);
        let array = object([
            ("type", Value::from("array")),
            ("items", Value::Object(items)),
        ]);
        properties.insert("modifiers", Value::Object(array));
        for id in self.parameters_of(verb, noun) {
            let parameter = &self.parameters[id as usize];
            let schema = match parameter.kind {
                Kind::Text => object([("type", Value::from("string"))]),
                Kind::Int => object([("type", Value::from("integer"))]),
                Kind::Seconds => object([
                    ("type", Value::from("number")),
                    ("description", Value::from("seconds")),
                ]),
                Kind::Bool => object([("type", Value::from("boolean"))]),
                Kind::Any => Object::new(),
                Kind::List => {
                    let items = object([("type", Value::from("string"))]);
                    object([
                        ("type", Value::from("array")),
                        ("items", Value::Object(items)),
                    ])
                }
            };
            properties.insert(parameter.name.as_str(), Value::Object(schema));
        }
        let mut schema = object([
            ("type", Value::from("object")),
            ("properties", Value::Object(properties)),
        ]);
        let required: Vec<Value> = self
            .pairs
            .get(&(verb, noun))
            .into_iter()
            .flat_map(|pair| &pair.required)
            .filter(|group| !group.or_states && group.names.len() == 1 && group.names[0] != "*")
            .map(|group| Value::from(group.names[0].as_str()))
            .collect();
        if !required.is_empty() {
            schema.insert("required", Value::Array(required));
        }
        let mut description = format!(
            "{} ({})",
            self.verbs[verb as usize].help,
            self.pair_name(verb, noun, " ")
        );
        if let Some(example) = self.examples_of(verb, noun).last() {
            description.push_str(&format!(". As text: {example}"));
        }
        object([
            ("name", Value::from(self.pair_name(verb, noun, "."))),
            ("description", Value::from(description)),
            ("inputSchema", Value::Object(schema)),
        ])
    }

    // ------------------------------------------------------------ lint

    /// What is odd about the table: words that no line can reach, entries that nothing uses,
    /// examples that are not read.
    pub fn lint(&self) -> Vec<String> {
        let mut found = Vec::new();
        for word in &self.words {
            let refused = matches!(
                word.class,
                Some(Class::Negation | Class::Condition | Class::Pronoun)
            );
            let meaning = word.verb.is_some() || word.noun.is_some() || word.modifier.is_some();
            if refused && meaning {
                found.push(format!(
                    "{:?} is also a word that is always refused",
                    word.text
                ));
            }
            if word.parameter.is_some() && (word.noun.is_some() || word.modifier.is_some()) {
                found.push(format!(
                    "{:?} is also a parameter word, which comes first",
                    word.text
                ));
            }
        }
        for (verb, noun) in self.all_pairs() {
            let line = self.pair_name(verb, noun, " ");
            self.expect(&line, verb, noun, None, &mut found);
        }
        for (entry, id) in self.verbs.iter().zip(0..) {
            let Some(noun) = entry.nouns.first() else {
                found.push(format!("the verb {:?} goes with no noun", entry.name));
                continue;
            };
            for word in entry.also.iter().filter(|word| !word.contains('(')) {
                let line = format!("{word} {}", self.nouns[*noun as usize].name);
                self.expect(&line, id, *noun, None, &mut found);
            }
        }
        for (entry, id) in self.nouns.iter().zip(0..) {
            let Some(verb) = (0..self.verbs.len() as VerbId).find(|verb| self.goes_with(*verb, id))
            else {
                found.push(format!("the noun {:?} goes with no verb", entry.name));
                continue;
            };
            for word in &entry.also {
                let line = format!("{} {word}", self.verbs[verb as usize].name);
                self.expect(&line, verb, id, None, &mut found);
            }
        }
        for (entry, id) in self.modifiers.iter().zip(0..) {
            let pair = self
                .all_pairs()
                .find(|(verb, noun)| self.allows(*verb, *noun, id));
            let Some((verb, noun)) = pair else {
                found.push(format!("the modifier {:?} is allowed nowhere", entry.name));
                continue;
            };
            for word in std::iter::once(&entry.name).chain(&entry.also) {
                let line = format!("{} {word}", self.pair_name(verb, noun, " "));
                self.expect(&line, verb, noun, Some(id), &mut found);
            }
        }
        for ((verb, noun), pair) in &self.pairs {
            for name in pair.required.iter().flat_map(|group| &group.names) {
                let known =
                    self.parameter_named(name).is_some() || self.modifier_named(name).is_some();
                if !known && name != "*" {
                    found.push(format!(
                        "{} requires {name:?}, which nothing is",
                        self.pair_name(*verb, *noun, " ")
                    ));
                }
            }
        }
        for example in &self.examples {
            if let Err(error) = self.parse(example) {
                found.push(format!("the example {example:?} is not read: {error}"));
            }
        }
        found
    }

    /// Adds to `found` when a line is not read as it is meant.
    fn expect(
        &self,
        line: &str,
        verb: VerbId,
        noun: NounId,
        modifier: Option<ModifierId>,
        found: &mut Vec<String>,
    ) {
        let (verb, noun) = (
            &self.verbs[verb as usize].name,
            &self.nouns[noun as usize].name,
        );
        match self.parse(line) {
            Err(error) => found.push(format!("{line:?} is not read: {error}")),
            Ok(command) if command.verb != verb || command.noun != noun => found.push(format!(
                "{line:?} is read as {} {}, and was meant as {verb} {noun}",
                command.verb, command.noun
            )),
            Ok(command) => {
                let name = modifier.map(|id| self.modifiers[id as usize].name.as_str());
                if let Some(name) =
                    name.filter(|name| !command.modifiers.iter().any(|there| there == name))
                {
                    found.push(format!("{line:?} is read without the modifier {name}"));
                }
            }
        }
    }
}

fn row(text: &mut String, label: &str, words: &[impl AsRef<str>]) {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    if !words.is_empty() {
        let row = format!("  {label:<11} {}", words.join(", "));
        text.push_str(row.trim_end());
        text.push('\n');
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Object {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
