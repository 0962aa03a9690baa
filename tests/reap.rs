//! Removing trees: what is kept, what is saved, what is left after a kill.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::place::Place;

/// Runs `worktree-reap` in `app`.
fn reap(place: &Place, args: &[&str]) -> Output {
    reaping(place, args).output().unwrap()
}

fn reaping(place: &Place, args: &[&str]) -> Command {
    let mut command = place.command(env!("CARGO_BIN_EXE_worktree-reap"));
    command.args(["-C", "app"]).args(args);
    command
}

/// The same for one that must end well; gives its records.
fn reaped(place: &Place, args: &[&str]) -> Vec<serde_json::Value> {
    let output = reap(place, &[args, &["--json"]].concat());
    assert!(output.status.success(), "{args:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The same for one that must end with `status`; gives what it said.
fn kept(place: &Place, status: i32, args: &[&str]) -> String {
    let output = reap(place, args);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn write(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Every file of a tree but git's own, with its bytes.
fn contents(top: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = walkdir::WalkDir::new(top)
        .into_iter()
        .filter_entry(|entry| entry.file_name() != ".git");
    let files = files
        .filter_map(Result::ok)
        .filter(|entry| !entry.file_type().is_dir());
    files
        .map(|entry| {
            let name = entry
                .path()
                .strip_prefix(top)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let bytes = match entry.path_is_symlink() {
                true => fs::read_link(entry.path())
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_vec(),
                false => fs::read(entry.path()).unwrap(),
            };
            (name, bytes)
        })
        .collect()
}

#[test]
fn everything_that_was_written_is_under_the_ref_and_comes_back() {
    let place = Place::new();
    write(
        place.app().join("swarm.toml"),
        "[worktree]\nkeep_ignored = ['kept.db']\n",
    );
    place.git("app", "add -A");
    place.git("app", "commit -qm config");
    place.spawn(&["a"]);
    let tree = place.tree("a");
    write(tree.join("src/new.rs"), "committed\n");
    place.git(&tree, "add -A");
    place.git(&tree, "commit -qm work");
    write(tree.join("src/file-1.rs"), "staged\n");
    place.git(&tree, "add -A");
    write(tree.join("src/file-1.rs"), "changed\n");
    write(tree.join("untracked \"odd\"\n name"), "untracked\n");
    write(tree.join("secret.env"), "KEY=agent\n");
    write(tree.join("target/kept.db"), "data\n");
    write(tree.join("target/debug/junk.o"), "junk\n");
    write(tree.join("src/file-2.rs"), "hidden\n");
    place.git(&tree, "update-index --assume-unchanged src/file-2.rs");
    fs::remove_file(tree.join("src/file-3.rs")).unwrap();
    fs::set_permissions(
        tree.join("src/file-4.rs"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    std::os::unix::fs::symlink("elsewhere", tree.join("new link")).unwrap();
    // What a killed agent leaves.
    write(place.app().join(".git/worktrees/a/index.lock"), "");
    let before = contents(&tree);
    let said = kept(&place, 5, &["a"]);
    assert!(
        said.contains("not landed") && said.contains("hint: --force"),
        "{said}"
    );
    assert_eq!(contents(&tree), before, "a refusal changes nothing");
    assert_eq!(place.git("app", "for-each-ref refs/spore"), "");

    let done = reaped(&place, &["--force", "a"]);
    assert_eq!(done[0]["saved"], "refs/spore/salvage/a/1");
    assert!(!tree.exists() && !place.app().join(".git/worktrees").exists());
    assert!(
        place
            .git("app", "branch --list swarm/a")
            .contains("swarm/a"),
        "unlanded: kept"
    );
    place.git("app", "gc -q --prune=now");
    let staged = place.git("app", "log -1 --format=%B refs/spore/salvage/a/1");
    let staged = staged
        .lines()
        .find_map(|line| line.strip_prefix("Spore-Staged: "))
        .unwrap();
    assert_eq!(
        place.git("app", &format!("show {staged}:src/file-1.rs")),
        "staged\n"
    );

    let output = reap(&place, &["--restore", "refs/spore/salvage/a/1"]);
    assert!(output.status.success(), "{output:?}");
    let mut expected = before;
    expected.remove("target/debug/junk.o").unwrap();
    assert_eq!(contents(&tree), expected);
    assert_eq!(
        fs::metadata(tree.join("src/file-4.rs"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o755
    );
    assert_eq!(place.git("app", "fsck --strict --no-dangling"), "");
}

#[test]
fn bytes_that_a_filter_would_change_are_saved_as_they_are() {
    let place = Place::new();
    place.git("app", "config filter.gone.clean true");
    write(
        place.app().join(".gitattributes"),
        "*.txt text\n*.nb filter=gone\n",
    );
    place.git("app", "add -A");
    place.git("app", "commit -qm attributes");
    place.spawn(&["a"]);
    let tree = place.tree("a");
    write(tree.join("mixed.txt"), "one\r\ntwo\n");
    write(tree.join("lost.nb"), "output of a long run\n");
    let before = contents(&tree);
    reaped(&place, &["--force", "a"]);
    let output = reap(&place, &["--restore", "a/1"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(contents(&tree), before);
}

#[test]
fn commits_that_only_a_reflog_remembers_and_nested_repositories_are_saved() {
    let place = Place::new();
    place.spawn(&["a"]);
    let tree = place.tree("a");
    place.git(&tree, "commit -q --allow-empty -m dropped");
    let dropped = place.git(&tree, "rev-parse HEAD");
    place.git(&tree, "reset -q --hard HEAD~1");
    place.git(&tree, "checkout -q --detach");
    place.git(&tree, "commit -q --allow-empty -m detached");
    let detached = place.git(&tree, "rev-parse HEAD");
    place.git(&tree, "checkout -q swarm/a");
    place.git(&tree, "init -q -b main inner");
    write(tree.join("inner/f"), "committed inside\n");
    place.git(tree.join("inner"), "add -A");
    place.git(tree.join("inner"), "commit -qm inside");
    write(tree.join("inner/g"), "untracked inside\n");
    reaped(&place, &["--force", "a"]);
    place.git("app", "reflog expire --expire=now --all");
    place.git("app", "gc -q --prune=now");
    for commit in [dropped, detached] {
        place.git(
            "app",
            &format!(
                "merge-base --is-ancestor {} refs/spore/salvage/a/1",
                commit.trim()
            ),
        );
    }
    let message = place.git("app", "log -1 --format=%B refs/spore/salvage/a/1");
    let inner = message
        .lines()
        .find_map(|line| line.strip_prefix("Spore-Inner: "))
        .unwrap();
    let (commit, path) = inner.split_once(' ').unwrap();
    assert_eq!(path, "inner");
    assert_eq!(
        place.git("app", &format!("show {commit}:g")),
        "untracked inside\n"
    );
    assert_eq!(
        place.git("app", &format!("show {commit}:f")),
        "committed inside\n"
    );
    assert_eq!(place.git("app", "fsck --strict --no-dangling"), "");
}

#[test]
fn a_repository_inside_in_which_nothing_was_committed_is_saved_too() {
    let place = Place::new();
    place.spawn(&["a"]);
    let tree = place.tree("a");
    write(tree.join("beside"), "beside\n");
    place.git(&tree, "init -q lib/inner");
    write(tree.join("lib/inner/f"), "never committed\n");
    reaped(&place, &["--force", "a"]);
    let saved = "refs/spore/salvage/a/1";
    assert_eq!(
        place.git("app", &format!("show {saved}:beside")),
        "beside\n"
    );
    let message = place.git("app", &format!("log -1 --format=%B {saved}"));
    let inner = message
        .lines()
        .find_map(|line| line.strip_prefix("Spore-Inner: "));
    let (commit, path) = inner.unwrap().split_once(' ').unwrap();
    assert_eq!(path, "lib/inner");
    assert_eq!(
        place.git("app", &format!("show {commit}:f")),
        "never committed\n"
    );
}

#[test]
fn a_branch_goes_by_what_is_on_it_not_by_what_was_checked_out() {
    let place = Place::new();
    place.spawn(&["a", "b", "c"]);
    for agent in ["a", "b"] {
        place.git(place.tree(agent), "checkout -q --detach");
        place.git(place.tree(agent), "commit -q --allow-empty -m detached");
    }
    // Somebody else checked out the branch that the detached tree left free.
    place.git("app", "worktree add -q ../elsewhere swarm/b");
    // Work on the branch, and something old checked out.
    write(place.tree("c").join("work"), "work\n");
    place.git(place.tree("c"), "add -A");
    place.git(place.tree("c"), "commit -qm work");
    place.git(place.tree("c"), "checkout -q --detach main");
    let gone: Vec<bool> = reaped(&place, &["--force", "a", "b", "c"])
        .iter()
        .map(|record| record["branch_gone"] == true)
        .collect();
    assert_eq!(gone, [true, false, false]);
    let branches = place.git(
        "app",
        "for-each-ref --format=%(refname:lstrip=3) refs/heads/swarm",
    );
    assert_eq!(branches, "b\nc\n");
    assert_eq!(
        place.git("elsewhere", "status --porcelain --branch"),
        "## swarm/b\n"
    );
}

#[test]
fn what_is_alive_locked_or_in_the_middle_of_something_is_kept_until_told() {
    let place = Place::new();
    place.spawn(&["alive", "locked", "merging", "fresh"]);
    let mut lives = place
        .command("sleep")
        .arg("60")
        .current_dir(place.tree("alive"))
        .spawn()
        .unwrap();
    place.git(
        "app",
        &format!(
            "worktree lock --reason mine {}",
            place.tree("locked").display()
        ),
    );
    let merging = place.tree("merging");
    place.git(&merging, "checkout -q -b other");
    write(merging.join("src/file-1.rs"), "theirs\n");
    place.git(&merging, "commit -qam theirs");
    place.git(&merging, "checkout -q swarm/merging");
    write(merging.join("src/file-1.rs"), "ours\n");
    place.git(&merging, "commit -qam ours");
    let conflict = place
        .command("git")
        .args(["merge", "other"])
        .current_dir(&merging)
        .output()
        .unwrap();
    assert!(!conflict.status.success());
    let before = place.traces();
    for (name, word, flag) in [
        ("alive", "process", "--alive"),
        ("locked", "locked: mine", "--force"),
        ("merging", "merge is under way", "--force"),
    ] {
        let said = kept(&place, 5, &[name]);
        assert!(
            said.contains(word) && said.contains(&format!("hint: {flag}")),
            "{name}: {said}"
        );
    }
    let said = kept(&place, 5, &["--force", "alive"]);
    assert!(said.contains("--alive"), "{said}");
    assert!(kept(&place, 3, &["fresh", "frehs"]).contains("fresh"));
    assert_eq!(place.traces(), before);
    assert!(kept(&place, 2, &[]).contains("nobody is named"));
    assert_eq!(
        reaped(&place, &["--dry-run", "fresh"])[0]["state"],
        "would-reap"
    );
    assert_eq!(place.traces(), before);

    reaped(&place, &["--alive", "alive"]);
    assert!(!lives.wait().unwrap().success());
    reaped(&place, &["--force", "locked", "merging", "fresh"]);
    let left: Vec<String> = place
        .traces()
        .into_iter()
        .filter(|name| !name.contains("refs/spore") && !name.contains(".left-"))
        .collect();
    assert_eq!(
        left,
        [
            "refs/heads/main",
            "refs/heads/other",
            "refs/heads/swarm/merging"
        ]
    );
}

#[test]
fn landed_done_and_dead_choose_whom_they_mean() {
    let place = Place::new();
    place.spawn(&["squashed", "merged", "fresh", "working"]);
    for name in ["squashed", "merged", "working"] {
        write(place.tree(name).join(name), name);
        place.git(place.tree(name), "add -A");
        place.git(place.tree(name), "commit -qm one");
    }
    place.git("app", "merge -q --squash swarm/squashed");
    place.git("app", "commit -qm squash");
    place.git("app", "merge -q --no-ff -m merge swarm/merged");
    place.git("app", "commit -q --allow-empty -m later");
    let names = |records: Vec<serde_json::Value>| -> Vec<String> {
        records
            .iter()
            .map(|record| record["agent"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(reaped(&place, &["--landed"])), ["squashed", "merged"]);
    assert_eq!(
        place.git("app", "branch --list swarm/squashed swarm/merged"),
        ""
    );
    assert_eq!(
        reaped(&place, &["--landed", "--done", "--dead"]),
        [] as [serde_json::Value; 0]
    );
    // Git wrote nothing there for hours: dead, and not landed, so it is kept until told.
    for file in ["index", "HEAD", "logs/HEAD", "COMMIT_EDITMSG"] {
        let file = fs::File::open(place.app().join(".git/worktrees/working").join(file)).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(7200))
            .unwrap();
    }
    assert!(kept(&place, 5, &["--dead"]).contains("\"working\" is kept: not landed in main"));
    assert_eq!(names(reaped(&place, &["--dead", "--force"])), ["working"]);
    assert!(place.tree("fresh").exists());
}

#[test]
fn claims_mail_and_roster_entry_go_with_the_agent() {
    let place = Place::new();
    place.spawn(&["a", "b"]);
    let send = |to: &str| {
        let output = place
            .command(env!("CARGO_BIN_EXE_spore-send"))
            .args(["-C", "app", "--as", "boss", "--to", to, "-m", "hello"])
            .output()
            .unwrap();
        output.status.code()
    };
    assert_eq!(send("a"), Some(0));
    let records = reaped(&place, &["a", "b"]);
    assert_eq!(
        (&records[0]["unread"], &records[1]["unread"]),
        (&1.into(), &0.into())
    );
    assert!(
        place.top.join("app.swarm/mail/a").exists(),
        "mail waits there"
    );
    assert_eq!(send("b"), Some(3), "nobody bears that name any more");
    place.spawn(&["b"]);
    assert_eq!(send("b"), Some(0));
    let identity =
        fs::read_to_string(place.app().join(".git/worktrees/b/spore/identity.json")).unwrap();
    assert!(identity.contains("\"epoch\":2"), "{identity}");
}

#[test]
fn caches_go_and_nothing_else() {
    let place = Place::new();
    place.spawn(&["a"]);
    let tree = place.tree("a");
    write(tree.join("target/debug/x.o"), vec![1; 10_000]);
    write(tree.join("dist/tracked"), "tracked: not a cache\n");
    write(tree.join("data.env"), "ignored, no cache\n");
    let before = contents(&tree);
    assert_eq!(reaped(&place, &["--cache", "--dry-run"]).len(), 1);
    assert_eq!(contents(&tree), before);
    assert_eq!(
        reaped(&place, &["--cache", "--free", "1K"]).len(),
        0,
        "so much is free already"
    );
    let output = reap(&place, &["--cache", "--free", "1000T"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let mut expected = before;
    expected.remove("target/debug/x.o").unwrap();
    assert_eq!(contents(&tree), expected);
}

#[test]
fn a_tree_whose_directory_is_gone_is_saved_as_far_as_it_is_there() {
    let place = Place::new();
    place.spawn(&["a"]);
    let tree = place.tree("a");
    write(tree.join("work"), "work\n");
    place.git(&tree, "add -A");
    place.git(&tree, "commit -qm work");
    write(tree.join("staged"), "staged\n");
    place.git(&tree, "add -A");
    fs::remove_dir_all(&tree).unwrap();
    let list = place.spawn(&["--list", "--json"]);
    assert!(list.contains("\"agent\":\"a\""), "{list}");
    reaped(&place, &["--force", "a"]);
    assert_eq!(
        place.git("app", "show refs/spore/salvage/a/1:staged"),
        "staged\n"
    );
    assert!(!place.app().join(".git/worktrees").exists());
}

#[test]
fn a_kill_at_any_time_loses_nothing_and_the_next_command_completes_or_leaves_it() {
    let place = Place::new();
    let steps = if std::env::var_os("SPORE_TEST_STRICT").is_some() {
        40
    } else {
        10
    };
    for step in 0..steps {
        let name = format!("k{step}");
        place.spawn(&[&name]);
        let tree = place.tree(&name);
        write(tree.join("work"), format!("of {name}\n"));
        let before = contents(&tree);
        let mut child = reaping(&place, &["--force", &name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(400) * step / steps);
        child.kill().unwrap();
        child.wait().unwrap();
        kept(&place, 3, &["nobody"]);
        let reference = format!("refs/spore/salvage/{name}/1");
        if tree.exists() {
            assert_eq!(contents(&tree), before, "step {step}");
            assert!(place.app().join(format!(".git/worktrees/{name}")).exists());
        } else {
            assert_eq!(
                place.git("app", &format!("show {reference}:work")),
                format!("of {name}\n")
            );
            assert!(
                !place.app().join(format!(".git/worktrees/{name}")).exists(),
                "step {step}"
            );
        }
        assert_eq!(place.half_made(), 0, "step {step}");
    }
    assert_eq!(place.git("app", "fsck --strict --no-dangling"), "");
}

#[test]
fn killed_at_any_system_call_that_changes_something_it_loses_nothing() {
    let strace = Command::new("strace").arg("-V").output();
    let strict = std::env::var_os("SPORE_TEST_STRICT").is_some();
    if !strace.is_ok_and(|output| output.status.success()) {
        return assert!(!strict, "strace is missing: sh tests/deps.sh");
    }
    let place = Place::new();
    const CALLS: &str = "rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,fsync,fdatasync,write,ftruncate,vfork,clone3";
    let mut when = 1;
    loop {
        let name = format!("k{when}");
        place.spawn(&[&name]);
        let tree = place.tree(&name);
        write(tree.join("work"), format!("of {name}\n"));
        let before = contents(&tree);
        let output = place
            .command("strace")
            .args(["-qq", "-o", "/dev/null", "-e", &format!("trace={CALLS}")])
            .args(["-e", &format!("inject={CALLS}:signal=KILL:when={when}")])
            .arg(env!("CARGO_BIN_EXE_worktree-reap"))
            .args(["-C", "app", "--force", &name])
            .output()
            .unwrap();
        let ended = output.status.success();
        kept(&place, 3, &["nobody"]);
        if tree.exists() {
            assert!(!ended);
            assert_eq!(contents(&tree), before, "killed at call {when}");
            assert_eq!(place.git(&tree, "status --porcelain"), "?? work\n");
        } else {
            let saved = place.git("app", &format!("show refs/spore/salvage/{name}/1:work"));
            assert_eq!(saved, format!("of {name}\n"), "killed at call {when}");
            assert!(
                !place.app().join(format!(".git/worktrees/{name}")).exists(),
                "killed at call {when}"
            );
            assert_eq!(
                place.git("app", &format!("branch --list swarm/{name}")),
                "",
                "killed at call {when}"
            );
        }
        assert_eq!(place.half_made(), 0, "killed at call {when}");
        if ended {
            break;
        }
        // Every one of them where nothing may be skipped, else a sample.
        when += if strict { 1 } else { 1 + when / 2 };
    }
    assert!(when > 10, "it made only {when} calls");
    assert_eq!(place.git("app", "fsck --strict --no-dangling"), "");
}
