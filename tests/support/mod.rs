//! What the tests share: where the binaries are, and how a test is left out loudly.

use std::path::PathBuf;

/// A binary of this crate, as cargo built it for this test run.
pub fn bin(name: &str) -> PathBuf {
    let target = std::env::current_exe().unwrap();
    let path = target.parent().unwrap().parent().unwrap().join(name);
    assert!(path.exists(), "{} was not built", path.display());
    path
}

/// Says loudly that a test cannot run here; under `make test`, where nothing may be left out, fails.
pub fn skip(what: &str, why: &str) {
    let text = format!("SKIPPED: {what}: {why}; `make test` installs what it needs and runs it\n");
    assert!(std::env::var_os("SPORE_TEST_STRICT").is_none(), "{text}");
    // Past the capture of the test harness, so that a person sees it.
    drop(std::fs::write("/dev/stderr", text));
}
