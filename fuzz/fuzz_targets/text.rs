//! Any line is a command or an error: no panic, canonical text is a fixed point, and what an error
//! suggests is read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sporekit::grammar::Grammar;

fuzz_target!(|bytes: &[u8]| {
    let Ok(line) = std::str::from_utf8(bytes) else {
        return;
    };
    let grammar = Grammar::builtin();
    match grammar.parse(line) {
        Ok(command) => {
            let text = grammar.text_of(&command);
            let again = grammar.parse(&text).expect("canonical text is read");
            assert_eq!(grammar.text_of(&again), text);
            assert!(grammar.explain(line).is_ok());
            drop(grammar.check(&command));
        }
        Err(error) => {
            assert!(line.get(error.span.clone()).is_some());
            for suggestion in error.suggestion.iter().flat_map(|lines| lines.lines()) {
                assert!(grammar.parse(suggestion).is_ok(), "{suggestion}");
            }
        }
    }
    drop(grammar.parse_reference(line));
    drop(grammar.complete(line));
});
