//! The spores of `examples/` and `tests/fixtures/` are read as they are meant.

use std::fs;

use sporekit::spore::{self, Note, Part, Reading};

fn bytes(path: &str) -> Vec<u8> {
    fs::read(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn read(path: &str) -> Reading {
    spore::read(&bytes(path))
}

#[test]
fn the_strict_examples_are_strict() {
    for name in ["request", "reply", "note"] {
        let file = bytes(&format!("examples/{name}.md"));
        let reading = spore::read(&file);
        assert_eq!(reading.notes, []);
        assert_eq!(
            spore::write(&reading.spore).unwrap().as_bytes(),
            file,
            "{name}"
        );
    }
}

#[test]
fn the_request_holds_commands_and_the_reply_a_result() {
    let items = |path: &str| {
        let parts = read(path).spore.parts;
        let is_item = |part: &&Part| !matches!(part, Part::Text(_));
        parts.iter().filter(is_item).cloned().collect::<Vec<_>>()
    };
    assert!(matches!(&items("examples/request.md")[..], [Part::Action(lines)] if lines.len() == 3));
    assert!(matches!(&items("examples/reply.md")[..], [Part::Result(lines)] if lines.len() == 4));
    assert_eq!(items("examples/note.md"), []);
}

#[test]
fn an_old_spore_gives_its_metadata_and_the_id_of_its_signature() {
    let spore = read("examples/signed.md").spore;
    assert_eq!(spore.subject.as_deref(), Some("Cache Layer Ready"));
    assert_eq!(spore.headers.id.as_deref(), Some("CACHE-LAYER-READY-001"));
    assert_eq!(spore.headers.kind.as_deref(), Some("Completion Report"));
    let keys: Vec<&str> = spore.extra.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["Generated", "Status"]);
}

#[test]
fn a_damaged_spore_is_its_clean_twin() {
    let damaged = bytes("tests/fixtures/spores/signed-mojibake.md");
    let (text, notes) = spore::repaired(&damaged);
    assert_eq!(notes, [Note::Mojibake(1)]);
    assert_eq!(text.as_bytes(), bytes("tests/fixtures/spores/signed.md"));
}

#[test]
fn an_example_in_a_longer_fence_is_no_command() {
    let reading = read("tests/fixtures/spores/plain-keys.md");
    let spore = reading.spore;
    assert_eq!(
        spore.subject.as_deref(),
        Some("Retry Queue Implementation Spore")
    );
    assert_eq!(spore.headers.to, ["kiro-4", "kiro-5"]);
    assert_eq!(spore.headers.re.as_deref(), Some("m-3"));
    assert!(matches!(&spore.parts[..], [Part::Text(_)]));
}

#[test]
fn the_man_page_shows_the_examples_as_they_are() {
    let page = String::from_utf8(bytes("man/spore.5")).unwrap();
    for name in ["request", "reply"] {
        let example = String::from_utf8(bytes(&format!("examples/{name}.md"))).unwrap();
        let shown = format!(".nf\n{}.fi\n", example.replace('-', "\\-"));
        assert!(
            page.contains(&shown),
            "examples/{name}.md is shown otherwise"
        );
    }
}
