//! What keeps trees apart: the guard of refs, the seal of the main checkout, clones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::place::Place;

fn git(place: &Place, agent: &str, args: &[&str]) -> Output {
    let mut command = place.command("git");
    command.args(args).current_dir(place.tree(agent));
    command.output().unwrap()
}

/// Holds that git does it in that tree.
fn may(place: &Place, agent: &str, line: &str) {
    let output = git(place, agent, &line.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "{agent}: git {line}: {output:?}");
}

/// Holds that it does not, and that the guard says so.
fn may_not(place: &Place, agent: &str, line: &str) {
    let before = place.git("app", "for-each-ref");
    let output = git(place, agent, &line.split(' ').collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{agent}: git {line}");
    assert!(
        said.contains(&format!("spore guard: {agent} may not move")),
        "git {line}: {said}"
    );
    assert_eq!(place.git("app", "for-each-ref"), before, "git {line}");
}

fn hook(path: impl AsRef<Path>, text: &str) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_agent_moves_its_own_branch_and_nothing_of_others() {
    let place = Place::new();
    place.git("app", "branch release");
    place.git("app", "tag v1");
    place.spawn(&["a", "b", "--guard", "deny"]);
    fs::write(place.tree("a").join("work"), "work\n").unwrap();
    may(&place, "a", "add -A");
    may(&place, "a", "commit -qm work");
    may(&place, "a", "commit -q --amend -m better");
    may(&place, "a", "checkout -q -b topic");
    may(&place, "a", "commit -q --allow-empty -m on-topic");
    may(&place, "a", "rebase -q --force-rebase main");
    may(&place, "a", "tag mine");
    may(&place, "a", "checkout -q swarm/a");
    may(&place, "a", "merge -q --no-edit topic");
    may(&place, "a", "reset -q --hard HEAD~1");
    may(&place, "a", "worktree list");
    for line in [
        "update-ref refs/heads/main HEAD",
        "update-ref refs/heads/swarm/b HEAD",
        "update-ref -d refs/heads/swarm/b",
        "branch -f release HEAD",
        "branch -D release",
        "tag -f v1 HEAD",
        "update-ref refs/spore/salvage/b/1 HEAD",
        "push -q . HEAD:release",
    ] {
        may_not(&place, "a", line);
    }
    fs::write(place.tree("a").join("work"), "not committed\n").unwrap();
    may_not(&place, "a", "stash");
    assert_eq!(
        fs::read_to_string(place.tree("a").join("work")).unwrap(),
        "not committed\n"
    );
    // A person in the main checkout is not an agent.
    place.git("app", "branch -f release main");
    fs::write(place.app().join("README"), "x").unwrap();
    place.git("app", "stash -q -u");
    place.git("app", "stash pop -q");
    // And a person may say so.
    let output = place
        .command("git")
        .args(["branch", "-f", "release", "HEAD"])
        .env("SPORE_GUARD", "off")
        .current_dir(place.tree("a"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_main_branch_is_everybodys_also_where_it_is_checked_out() {
    let place = Place::new();
    place.spawn(&["a"]);
    place.git("app", "checkout -q --detach");
    may(&place, "a", "checkout -q main");
    may_not(&place, "a", "commit -q --allow-empty -m slip");
}

#[test]
fn warn_only_says_so_and_off_leaves_no_trace() {
    let place = Place::new();
    place.git("app", "branch release");
    let config = fs::read_to_string(place.app().join(".git/config")).unwrap();
    place.spawn(&["quiet", "--guard", "off"]);
    assert_eq!(
        fs::read_to_string(place.app().join(".git/config")).unwrap(),
        config
    );
    may(&place, "quiet", "commit -q --allow-empty -m work");
    may(&place, "quiet", "branch -f release HEAD");
    place.spawn(&["warned", "--guard", "warn"]);
    let output = git(&place, "warned", &["branch", "-f", "release", "HEAD"]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "spore guard: warned moves refs/heads/release, which is not checked out here\n"
    );
}

#[test]
fn hooks_of_the_repository_run_as_before_wherever_they_are() {
    let place = Place::new();
    let log = place.top.join("log");
    let logs = |name: &str| format!("echo {name} \"$@\" >> {}", log.display());
    let hooks = place.app().join(".git/hooks");
    hook(hooks.join("pre-commit"), &logs("pre-commit"));
    hook(hooks.join("post-index-change"), &logs("post-index-change"));
    hook(
        hooks.join("reference-transaction"),
        &format!("{}; cat >> {}", logs("transaction"), log.display()),
    );
    place.spawn(&["a"]);
    fs::remove_file(&log).unwrap();
    fs::write(place.tree("a").join("work"), "work\n").unwrap();
    may(&place, "a", "add work");
    may(&place, "a", "commit -qm work");
    let said = fs::read_to_string(&log).unwrap();
    for word in [
        "pre-commit",
        "transaction prepared",
        "transaction committed",
        "refs/heads/swarm/a",
        "post-index-change",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    hook(hooks.join("pre-commit"), "echo no >&2; exit 1");
    assert!(
        !git(&place, "a", &["commit", "-q", "--allow-empty", "-m", "x"])
            .status
            .success()
    );
    // A tracked directory of hooks, chosen after the trees were made, as husky does it.
    hook(place.tree("a").join(".husky/pre-commit"), &logs("husky"));
    place.git("app", "config core.hooksPath .husky");
    may(&place, "a", "commit -q --allow-empty -m work");
    assert!(fs::read_to_string(&log).unwrap().contains("husky"));
    may_not(&place, "a", "update-ref refs/heads/main HEAD");
    // What a hook within a commit does with the stash is its own affair (lint-staged).
    hook(
        place.tree("a").join(".husky/pre-commit"),
        "git stash store -m x $(git stash create) && git stash drop -q",
    );
    fs::write(place.tree("a").join("f"), "f\n").unwrap();
    may(&place, "a", "add f");
    may(&place, "a", "commit -qm with-stash");
}

#[test]
fn a_failed_spawn_switches_nothing_on() {
    let place = Place::new();
    let config = fs::read_to_string(place.app().join(".git/config")).unwrap();
    place.refused(2, &["a", "--setup", "false"]);
    assert_eq!(
        fs::read_to_string(place.app().join(".git/config")).unwrap(),
        config
    );
    place.spawn(&["a"]);
    place.refused(2, &["b", "--setup", "false"]);
    may(&place, "a", "commit -q --allow-empty -m work");
    may_not(&place, "a", "update-ref refs/heads/main HEAD");
}

#[test]
fn a_bare_repository_can_be_guarded_too() {
    let place = Place::new();
    place.git(".", "clone -q --bare app bare.git");
    place.git("bare.git", "worktree add -q -b old ../old main");
    let output = place
        .command(env!("CARGO_BIN_EXE_worktree-spawn"))
        .args(["-C", "bare.git", "a", "b"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    for tree in ["old", "bare.swarm/wt/a"] {
        assert_eq!(place.git(tree, "status --porcelain"), "");
    }
    assert_eq!(
        place.git("bare.git", "rev-parse --is-bare-repository"),
        "true\n"
    );
    let output = place
        .command("git")
        .args(["update-ref", "refs/heads/swarm/b", "HEAD", "HEAD"])
        .current_dir(place.top.join("bare.swarm/wt/a"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "what moves nothing is nobody's harm: {output:?}"
    );
}

#[test]
fn the_seal_tells_of_edits_in_the_main_checkout() {
    let place = Place::new();
    fs::write(place.app().join("src/file-1.rs"), "a person's edit\n").unwrap();
    place.spawn(&["a", "--seal-main"]);
    let listed = || {
        let output = place.spawning(&["--list"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(listed(), "");
    place.git("app", "commit -q --allow-empty -m commits-are-no-edits");
    assert_eq!(listed(), "");
    fs::write(place.app().join("new.rs"), "a slip\n").unwrap();
    fs::write(place.app().join("src/file-1.rs"), "over a person's edit\n").unwrap();
    let said = listed();
    assert!(
        said.contains("edited since it was sealed: new.rs, src/file-1.rs\n"),
        "{said}"
    );
    // What was there before is not lost.
    assert_eq!(
        place.git("app", "show refs/spore/seal:src/file-1.rs"),
        "a person's edit\n"
    );
    place.spawn(&["--seal-main"]);
    assert_eq!(listed(), "");
}

/// Whether bubblewrap may do its work here; says loudly when not.
#[allow(clippy::print_stderr)]
fn bubblewrap() -> bool {
    let works = Command::new("bwrap")
        .args(["--dev-bind", "/", "/", "--", "true"])
        .output();
    if works.is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(
        std::env::var_os("SPORE_TEST_STRICT").is_none(),
        "bubblewrap is missing or may not work: sh tests/deps.sh"
    );
    eprintln!(
        "SKIPPED: bubblewrap is missing or may not work here: sh tests/deps.sh, then run as a user who may unshare"
    );
    false
}

#[test]
fn where_bubblewrap_is_commands_find_the_sealed_checkout_read_only() {
    if !bubblewrap() {
        return;
    }
    let place = Place::new();
    let slip = format!(
        "touch mine && git commit -q --allow-empty -m work && ! touch {}/slip 2>/dev/null",
        place.app().display()
    );
    place.spawn(&["a", "--seal-main", "--setup", &slip]);
    assert!(place.tree("a").join("mine").exists() && !place.app().join("slip").exists());
    place.spawn(&["b", "--open", &slip]);
    assert!(place.tree("b").join("mine").exists());
}

#[test]
fn a_clone_shares_no_refs_and_its_work_is_saved_in_the_repository() {
    let place = Place::new();
    place.git("app", "config user.nickname kept");
    fs::write(place.app().join("port.env"), "x").unwrap();
    fs::write(place.app().join(".worktreeinclude"), "*.env\n").unwrap();
    place.git("app", "add -A");
    place.git("app", "commit -qm include");
    place.age();
    place.spawn(&["a", "b", "--isolation", "clone"]);
    let tree = place.tree("a");
    assert!(tree.join(".git").is_dir() && tree.join("port.env").exists());
    assert_eq!(place.git(&tree, "status --porcelain"), "");
    assert_eq!(
        place.git(&tree, "branch --format=%(refname:short)"),
        "swarm/a\n"
    );
    assert_eq!(place.git(&tree, "config user.nickname"), "kept\n");
    assert!(!place.git("app", "for-each-ref").contains("swarm/"));
    fs::write(tree.join("work"), "work\n").unwrap();
    place.git(&tree, "add -A");
    place.git(&tree, "commit -qm work");
    place.git(&tree, "branch other");
    place.git(&tree, "reset -q --hard HEAD~1");
    fs::write(tree.join("untracked"), "untracked\n").unwrap();
    place.git("app", "commit -q --allow-empty -m main-goes-on");
    // It knows who it is and where the swarm is.
    let list = place
        .command(env!("CARGO_BIN_EXE_worktree-spawn"))
        .args(["--list", "--json", "a"])
        .current_dir(&tree)
        .output()
        .unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(
        (&list["agent"], &list["isolation"]),
        (&"a".into(), &"clone".into())
    );
    let list: serde_json::Value =
        serde_json::from_str(&place.spawn(&["--list", "--json", "a"])).unwrap();
    assert_eq!((&list["behind"], &list["dirty"]), (&1.into(), &1.into()));
    place.spawn(&["--sync", "a", "b"]);
    let list: serde_json::Value =
        serde_json::from_str(&place.spawn(&["--list", "--json", "a"])).unwrap();
    assert_eq!((&list["behind"], &list["dirty"]), (&0.into(), &1.into()));
    let output = place
        .command(env!("CARGO_BIN_EXE_worktree-reap"))
        .args(["-C", "app", "--force", "a", "b"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!tree.exists());
    place.git("app", "gc -q --prune=now");
    let saved = String::from_utf8(output.stdout).unwrap();
    let saved = saved
        .lines()
        .next()
        .unwrap()
        .split('\t')
        .nth(2)
        .unwrap()
        .to_owned();
    assert_eq!(
        place.git("app", &format!("show {saved}:untracked")),
        "untracked\n"
    );
    let log = place.git("app", &format!("log --format=%s {saved}"));
    assert!(log.contains("work\n"), "the other branch's commit: {log}");
    assert_eq!(place.git("app", "fsck --strict --no-dangling"), "");
    let before = place.traces();
    place.refused(
        2,
        &[
            "c",
            "d",
            "--isolation",
            "clone",
            "--setup",
            "test $SPORE_AGENT = c",
        ],
    );
    assert_eq!(place.traces(), before);
}
