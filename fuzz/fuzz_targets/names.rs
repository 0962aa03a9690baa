//! Names as people give them and file names as a directory lists them: no panic, no name that could
//! be a path or an option, and writing what was read is the identity.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sporekit::id::{AgentName, SporeId, TaskKey, TopicName, nearest};
use sporekit::spool::{Id, Name};

fuzz_target!(|bytes: &[u8]| {
    if let Some(name) = Name::read(bytes) {
        for text in [name.to_string(), name.with_semicolon()] {
            assert_eq!(Name::read(text.as_bytes()), Some(name));
        }
        assert_eq!(name.id.to_string().parse::<Id>(), Ok(name.id));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(name) = text.parse::<AgentName>() {
        assert_eq!(name.as_str(), text);
        assert_component(text);
        assert!(text.len() <= 63 && !text.bytes().any(|b| b.is_ascii_uppercase()));
    }
    if let Ok(topic) = text.parse::<TopicName>() {
        assert_eq!(topic.as_str(), text);
        text.split('/').for_each(assert_component);
    }
    if text.parse::<SporeId>().is_ok() {
        assert_component(text);
    }
    if text.parse::<TaskKey>().is_ok() {
        assert!(!text.starts_with('-') && !text.chars().any(char::is_control));
    }
    if text.len() < 100 {
        assert!(nearest(text, ["kiro-1", "conductor"]).len() <= 3);
    }
});

/// One step of a path, and never an option, a hidden file or a way out.
fn assert_component(text: &str) {
    assert!(!text.is_empty() && !text.starts_with(['-', '.']) && !text.ends_with('.'));
    assert!(text.bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
}
