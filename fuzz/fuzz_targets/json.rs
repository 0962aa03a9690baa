//! Any JSON is a record or an error: what is read is written and read back the same, and the text
//! of an action reads back as the action.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sporekit::action::{NoFill, Record};
use sporekit::grammar::Grammar;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let grammar = Grammar::builtin();
    let Ok(record) = Record::read(text, &mut NoFill, &grammar.words(false)) else {
        return;
    };
    let json = record.to_json();
    let again =
        Record::read(&json, &mut NoFill, &grammar.words(false)).expect("our own form is read");
    assert_eq!(again, record);
    assert_eq!(again.to_json(), json);
    let Record::Action(action) = record else {
        return;
    };
    let line = grammar.text(&action);
    if line.len() > sporekit::grammar::LINE {
        return;
    }
    let command = grammar.parse(&line).expect("canonical text is read");
    assert_eq!(grammar.text_of(&command), line);
    assert_eq!(
        (command.verb, command.noun),
        (action.verb.as_str(), action.noun.as_str())
    );
    assert_eq!(command.modifiers, action.modifiers);
});
