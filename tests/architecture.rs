//! Rules that a reader would have to remember, held by a test instead.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms in the order of `src/lib.rs`; the second part says whether a room is pure.
const ROOMS: &[(&str, bool)] = &[
    ("id", true),
    ("action", true),
    ("grammar", true),
    ("spore", true),
    ("task", true),
    ("assign", true),
    ("event", true),
    ("health", true),
    ("theme", true),
    ("swarm", false),
    ("spool", false),
    ("bus", false),
    ("workspace", false),
    ("run", false),
    ("integrate", false),
    ("cli", false),
];

/// What a pure room may not name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::io::stdin",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "rustix::",
    "git2::",
    "walkdir::",
];

fn sources(room: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let file = src.join(format!("{room}.rs"));
    let mut found = if file.exists() { vec![file] } else { vec![] };
    found.extend(
        walkdir::WalkDir::new(src.join(room))
            .into_iter()
            .filter_map(Result::ok)
            .map(walkdir::DirEntry::into_path)
            .filter(|path| path.extension().is_some_and(|e| e == "rs"))
            // What tests a room is no part of it.
            .filter(|path| path.file_name().is_none_or(|name| name != "tests.rs")),
    );
    found
}

/// The code of a file without its tests and comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn imports_only_point_upward() {
    for (place, (room, _)) in ROOMS.iter().enumerate() {
        for path in sources(room) {
            for (below, _) in &ROOMS[place + 1..] {
                for needle in [
                    format!("crate::{below}::"),
                    format!("crate::{below};"),
                    format!("crate::{below} "),
                ] {
                    assert!(
                        !code(&path).contains(&needle),
                        "{} uses the room {below} below it",
                        path.display()
                    );
                }
            }
        }
    }
}

#[test]
fn pure_rooms_touch_no_file_clock_environment_or_process() {
    for (room, _) in ROOMS.iter().filter(|(_, pure)| *pure) {
        for path in sources(room) {
            for needle in IMPURE {
                assert!(
                    !code(&path).contains(needle),
                    "{} names {needle}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_room_is_in_the_list_and_opens_with_its_page() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(&src).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if ["lib", "bin"].contains(&name) {
            continue;
        }
        assert!(
            ROOMS.iter().any(|(room, _)| *room == name),
            "src/{name} is no room of the list"
        );
        let page = if path.is_dir() {
            path.join("mod.rs")
        } else {
            path.clone()
        };
        let text = fs::read_to_string(&page).unwrap();
        for word in ["//! ", "**For**", "**Promises**", "**Does not**"] {
            assert!(
                text.contains(word),
                "{} does not say {word}",
                page.display()
            );
        }
    }
}

#[test]
fn a_binary_is_a_few_lines_and_only_the_commands_print() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources("bin") {
        let lines = fs::read_to_string(&path)
            .unwrap()
            .lines()
            .filter(|l| !l.is_empty())
            .count();
        assert!(lines <= 5, "{} has {lines} lines", path.display());
    }
    for entry in walkdir::WalkDir::new(src)
        .into_iter()
        .filter_map(Result::ok)
    {
        if entry.path().extension().is_some_and(|e| e == "rs") {
            for needle in ["println!", "print!(", "process::exit"] {
                assert!(
                    !code(entry.path()).contains(needle),
                    "{} has {needle}",
                    entry.path().display()
                );
            }
        }
    }
}
