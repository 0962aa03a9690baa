//! One test binary: each file beside this one is a module of it, and none is forgotten.

#![allow(clippy::unwrap_used, missing_docs)]

mod architecture;
mod assign;
mod bus;
mod bus_faults;
mod claim;
mod conduct;
mod control;
mod documents;
mod guard;
mod histories;
mod hurt;
mod inside;
mod merge;
mod picture;
mod place;
mod protocol;
mod reap;
mod recv;
mod run;
mod send;
mod servers;
mod spawn_kills;
mod spool;
mod spore;
mod status;
mod sync;
mod workspace;

#[test]
fn every_test_file_is_a_module_of_this_binary() {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let main = std::fs::read_to_string(format!("{here}/main.rs")).unwrap();
    for entry in std::fs::read_dir(here).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|e| e == "rs") && stem != "main" {
            assert!(
                main.contains(&format!("mod {stem};")),
                "tests/{stem}.rs is not in tests/main.rs"
            );
        }
    }
}
