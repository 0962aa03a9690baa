//! Worktrees from outside: what is there after a spawn, after a failed one, and after a killed one.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::place::Place;

#[test]
fn trees_are_as_git_makes_them_and_nothing_is_read_again() {
    let place = Place::new();
    let lines = place.spawn(&["a", "b", "c"]);
    assert_eq!(lines.lines().count(), 3);
    for agent in ["a", "b", "c"] {
        // No file is racy: git need not read any of them to know that it is unchanged.
        let tree = place.tree(agent);
        let index = fs::metadata(place.app().join(format!(".git/worktrees/{agent}/index")));
        let stamp = index.unwrap().modified().unwrap();
        let file = fs::metadata(tree.join("src/file-1.rs")).unwrap();
        assert!(stamp.duration_since(file.modified().unwrap()).unwrap() > Duration::from_secs(1));
        place.is_as_git_makes_it(agent);
    }
}

#[test]
fn a_dirty_or_just_written_main_checkout_gives_nothing_wrong() {
    let place = Place::new();
    fs::write(place.app().join("src/file-3.rs"), "edited\n").unwrap();
    fs::write(place.app().join("untracked"), "new\n").unwrap();
    fs::remove_file(place.app().join("src/file-4.rs")).unwrap();
    // Same length, same time: only the inode's own change time tells.
    let quiet = place.app().join("src/file-5.rs");
    let time = fs::metadata(&quiet).unwrap().modified().unwrap();
    fs::write(&quiet, "fn g5() {}\n").unwrap();
    fs::File::options()
        .append(true)
        .open(&quiet)
        .unwrap()
        .set_modified(time)
        .unwrap();
    place.spawn(&["a", "b"]);
    place.is_as_git_makes_it("a");
    place.is_as_git_makes_it("b");
    assert_eq!(
        fs::read_to_string(place.app().join("src/file-3.rs")).unwrap(),
        "edited\n"
    );
}

#[test]
fn line_endings_and_filters_are_gits_own_work() {
    let place = Place::new();
    place.git("app", "config filter.rot.smudge tr${IFS}a-z${IFS}n-za-m");
    place.git("app", "config filter.rot.clean tr${IFS}a-z${IFS}n-za-m");
    fs::write(
        place.app().join(".gitattributes"),
        "*.rs text eol=crlf\n*.secret filter=rot\n",
    )
    .unwrap();
    fs::write(place.app().join("x.secret"), "hello\n").unwrap();
    place.git("app", "add -A");
    place.git("app", "commit -qm attributes");
    place.spawn(&["a", "b"]);
    assert_eq!(
        fs::read_to_string(place.tree("b").join("x.secret")).unwrap(),
        "hello\n"
    );
    assert!(
        fs::read_to_string(place.tree("b").join("src/file-1.rs"))
            .unwrap()
            .ends_with("\r\n")
    );
    place.is_as_git_makes_it("a");
    place.is_as_git_makes_it("b");

    let converted = Place::new();
    converted.git("app", "config core.autocrlf true");
    converted.spawn(&["a", "b"]);
    converted.is_as_git_makes_it("b");
}

#[test]
fn unusual_repositories_are_left_to_git() {
    let sha256 = Place::empty();
    sha256.git(".", "init -q -b main --object-format=sha256 app");
    sha256.fill();
    sha256.spawn(&["a", "b"]);
    sha256.is_as_git_makes_it("b");

    let sparse = Place::new();
    sparse.git("app", "sparse-checkout set --no-cone /src/deep/");
    sparse.spawn(&["a", "b"]);
    assert_eq!(sparse.git(sparse.tree("b"), "status --porcelain"), "");
    assert!(!sparse.tree("b").join("src/file-1.rs").exists());
    assert!(sparse.tree("b").join("src/deep/er/empty").exists());

    let submodule = Place::new();
    submodule.git(".", "init -q -b main lib");
    submodule.git("lib", "commit -q --allow-empty -m lib");
    submodule.git("app", "submodule --quiet add ../lib vendor/lib");
    submodule.git("app", "commit -qm submodule");
    fs::rename(submodule.top.join("lib"), submodule.top.join("offline")).unwrap();
    submodule.spawn(&["a", "b"]);
    assert!(submodule.tree("b").join("vendor/lib/.git").exists());
    assert_eq!(submodule.git(submodule.tree("b"), "status --porcelain"), "");
}

#[test]
fn bare_detached_and_shallow_repositories_and_linked_worktrees_work_too() {
    let detached = Place::new();
    detached.git("app", "checkout -q --detach");
    detached.spawn(&["a"]);
    assert_eq!(detached.git(detached.tree("a"), "status --porcelain"), "");

    let origin = Place::new();
    origin.git(".", "clone -q --bare app bare.git");
    let output = origin
        .command(env!("CARGO_BIN_EXE_worktree-spawn"))
        .args(["-C", "bare.git", "a"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(origin.git("bare.swarm/wt/a", "status --porcelain"), "");

    origin.git("app", "commit -q --allow-empty -m second");
    let url = format!(
        "clone -q --depth 1 file://{} shallow",
        origin.app().display()
    );
    origin.git(".", &url);
    let output = origin
        .command(env!("CARGO_BIN_EXE_worktree-spawn"))
        .args(["-C", "shallow", "a"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(origin.git("shallow.swarm/wt/a", "status --porcelain"), "");

    // From inside an agent's tree the same swarm is meant, and the main branch is the base.
    let place = Place::new();
    place.spawn(&["a"]);
    place.git(place.tree("a"), "commit -q --allow-empty -m work");
    let output = place
        .command(env!("CARGO_BIN_EXE_worktree-spawn"))
        .arg("b")
        .current_dir(place.tree("a"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        place.git(place.tree("b"), "rev-parse HEAD"),
        place.git("app", "rev-parse main")
    );
}

#[test]
fn what_cannot_be_is_refused_and_leaves_no_trace() {
    let place = Place::new();
    place.git("app", "branch swarm/taken");
    place.git("app", "branch x");
    fs::create_dir_all(place.top.join("app.swarm/wt/there")).unwrap();
    fs::write(place.top.join("app.swarm/VERSION"), "1\n").unwrap();
    std::os::unix::fs::symlink("nowhere", place.tree("dangling")).unwrap();
    place.spawn(&["first"]);
    let before = place.traces();
    for (status, args) in [
        (2, &["ok", "--", "-x"][..]),
        (2, &["ok", ".."]),
        (2, &["ok", "a b"]),
        (2, &["ok", "Ok"]),
        (2, &["ok", "größe"]),
        (2, &["ok", "ok"]),
        (2, &["ok", "../escape"]),
        (2, &["ok", "--branch", "x..y"]),
        (2, &["ok", "--branch=-{agent}"]),
        (2, &["ok", "more", "--branch", "same"]),
        (
            2,
            &[
                "ok",
                "more",
                "--branch",
                "same/{slot}/x",
                "--base",
                "nowhere",
            ],
        ),
        (2, &["ok", "--base=--all"]),
        (2, &[]),
        (4, &["ok", "first"]),
        (4, &["ok", "taken"]),
        (4, &["ok", "there"]),
        (4, &["ok", "dangling"]),
        (4, &["ok", "--branch", "x/{agent}"]),
        (4, &["ok", "--branch", "SWARM/first"]),
        (2, &["ok", "more", "--setup", "test $SPORE_AGENT = ok"]),
    ] {
        let said = place.refused(status, args);
        assert!(said.starts_with("worktree-spawn: "), "{args:?}: {said}");
        assert_eq!(place.traces(), before, "{args:?}");
    }
    let unborn = Place::empty();
    unborn.git(".", "init -q -b main app");
    assert!(unborn.refused(2, &["a"]).contains("no commit yet"));
    assert_eq!(unborn.traces(), BTreeSet::new());
}

#[test]
fn where_a_repository_stands_may_be_odd_or_is_refused_in_words() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    for (name, status) in [(&b"new\nline \"'$x\\"[..], 0), (b"no text \xff", 2)] {
        let dir = place.top.join(std::ffi::OsStr::from_bytes(name));
        if fs::create_dir(&dir).is_err() {
            continue; // A file system on which names are text.
        }
        place.git(".", "clone -q app copy");
        fs::rename(place.app(), dir.join("app")).unwrap();
        fs::rename(place.top.join("copy"), place.app()).unwrap();
        let output = place.spawning(&["a"]).current_dir(&dir).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        if status == 0 {
            assert_eq!(
                place.git(dir.join("app.swarm/wt/a"), "status --porcelain"),
                ""
            );
        } else {
            assert!(said.contains("is not UTF-8"), "{said}");
            assert!(!dir.join("app.swarm/wt/a").exists());
            assert_eq!(place.git(dir.join("app"), "branch --list swarm/a"), "");
        }
    }
}

#[test]
fn a_failing_hook_takes_everything_back_and_a_good_one_runs_in_each_tree() {
    let place = Place::new();
    let hook = place.app().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho \"$@\" > hooked.env\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    place.spawn(&["a"]);
    let base = place.git("app", "rev-parse main");
    let said = fs::read_to_string(place.tree("a").join("hooked.env")).unwrap();
    assert_eq!(said, format!("{} {} 1\n", "0".repeat(40), base.trim()));
    let before = place.traces();
    fs::write(&hook, "#!/bin/sh\necho no; exit 7\n").unwrap();
    assert!(place.refused(2, &["b", "c"]).contains("post-checkout"));
    assert_eq!(place.traces(), before);
}

#[test]
fn ignored_files_come_along_as_the_patterns_say() {
    let place = Place::new();
    let app = place.app();
    fs::write(app.join(".worktreeinclude"), "*.env\nREADME\n").unwrap();
    fs::write(app.join("swarm.toml"), "[worktree]\ninclude = [{ pattern = 'port.env', how = 'template' }, { pattern = 'big.env', how = 'link' }, { pattern = 'no.env', how = 'skip' }]\n").unwrap();
    place.git("app", "add -A");
    place.git("app", "commit -qm include");
    for (name, text) in [
        ("a.env", "KEY=1"),
        ("port.env", "PORT={port_base}"),
        ("big.env", "big"),
        ("no.env", "no"),
        ("README", "not ignored"),
    ] {
        fs::write(app.join(name), text).unwrap();
    }
    place.spawn(&["a"]);
    let tree = place.tree("a");
    assert_eq!(fs::read_to_string(tree.join("a.env")).unwrap(), "KEY=1");
    assert_eq!(
        fs::read_to_string(tree.join("port.env")).unwrap(),
        "PORT=20020"
    );
    assert!(tree.join("big.env").is_symlink());
    assert!(!tree.join("no.env").exists() && !tree.join("README").exists());
    assert_eq!(place.git(&tree, "status --porcelain"), "");
}

#[test]
fn two_spawns_at_once_both_succeed_or_one_is_told_who_won() {
    let place = Place::new();
    let run = |args: &[&str]| {
        let mut command = place.spawning(args);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let different: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| run(&[name, &format!("{name}-2")]))
        .collect();
    for child in different {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let list = place.spawn(&["--list", "--json"]);
    let slots: BTreeSet<i64> = list
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["slot"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert_eq!(slots, (1..=8).collect());
    let same: Vec<Output> = [run(&["x", "y"]), run(&["y", "x"]), run(&["x", "y"])]
        .into_iter()
        .map(|child| child.wait_with_output().unwrap())
        .collect();
    let mut codes: Vec<_> = same
        .iter()
        .map(|output| output.status.code().unwrap())
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 4, 4], "{same:?}");
    assert_eq!(place.git("app", "fsck --strict"), "");
}

#[test]
fn a_kill_at_any_time_leaves_all_or_nothing_once_the_next_command_ran() {
    let place = Place::new();
    place.git("app", "commit -q --allow-empty -m second");
    let empty = place.traces();
    let started = Instant::now();
    place.spawn(&["probe"]);
    let whole = started.elapsed();
    let with_probe: BTreeSet<String> = place.traces().difference(&empty).cloned().collect();
    assert!(!with_probe.is_empty());
    for step in 0..12_u32 {
        let before = place.traces();
        let names = [
            format!("k{step}-a"),
            format!("k{step}-b"),
            format!("k{step}-c"),
        ];
        let mut child = place
            .spawning(&[&names[0], &names[1], &names[2], "--setup", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole * step / 9);
        child.kill().unwrap();
        child.wait().unwrap();
        // Any spawn settles, also one that is refused itself.
        place.refused(4, &["probe"]);
        let after = place.traces();
        let made = names
            .iter()
            .filter(|name| place.tree(name).exists())
            .count();
        match made {
            0 => assert_eq!(after, before, "killed at step {step}: nothing may be left"),
            3 => {
                for name in &names {
                    assert_eq!(place.git(place.tree(name), "status --porcelain"), "");
                    assert!(after.contains(&format!("refs/heads/swarm/{name}")));
                    assert!(after.contains(&format!("mail/{name}")));
                }
            }
            some => panic!("killed at step {step}: {some} of 3 trees are left"),
        }
        assert!(
            !after.iter().any(|name| name.starts_with("spawn/")),
            "{after:?}"
        );
    }
    assert_eq!(place.git("app", "fsck --strict"), "");
}

/// Whether a program is here; says loudly when not.
#[allow(clippy::print_stderr)]
fn have(program: &str, args: &[&str]) -> bool {
    let there = std::process::Command::new(program).args(args).output();
    if there.is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(
        std::env::var_os("SPORE_TEST_STRICT").is_none(),
        "{program} {args:?} does not work here: sh tests/deps.sh, and as root"
    );
    eprintln!("SKIPPED: {program} {args:?} does not work here: sh tests/deps.sh, and as root");
    false
}

#[test]
fn large_files_of_lfs_are_written_in_every_tree_and_saved() {
    if !have("git-lfs", &["version"]) {
        return;
    }
    let place = Place::new();
    place.git("app", "lfs install --local");
    place.git("app", "lfs track *.bin");
    fs::write(place.app().join("big.bin"), vec![7; 100_000]).unwrap();
    place.git("app", "add -A");
    place.git("app", "commit -qm large");
    assert!(
        place
            .git("app", "show main:big.bin")
            .starts_with("version https://git-lfs")
    );
    place.spawn(&["a", "b"]);
    for agent in ["a", "b"] {
        assert_eq!(
            fs::read(place.tree(agent).join("big.bin")).unwrap(),
            vec![7; 100_000]
        );
        assert_eq!(place.git(place.tree(agent), "status --porcelain"), "");
    }
    place.spawn(&["c", "--isolation", "clone"]);
    assert_eq!(
        fs::read(place.tree("c").join("big.bin")).unwrap(),
        vec![7; 100_000]
    );
}

#[test]
fn a_disk_that_is_full_half_way_leaves_no_trace() {
    if !rustix::process::geteuid().is_root() || !have("mkfs.ext4", &["-V"]) {
        return assert!(
            have("sh", &["-c", "test $(id -u) = 0"]) || !rustix::process::geteuid().is_root()
        );
    }
    let place = Place::empty();
    let (image, disk) = (place.top.join("image"), place.top.join("disk"));
    fs::create_dir(&disk).unwrap();
    let sh = |script: &str| {
        let output = place.command("sh").args(["-ec", script]).output().unwrap();
        output.status.success()
    };
    let mount = format!(
        "truncate -s 48M {image} && mkfs.ext4 -q -m 0 {image} && mount -o loop {image} {disk}",
        image = image.display(),
        disk = disk.display()
    );
    if !sh(&mount) {
        have("sh", &["-c", &mount]);
        return;
    }
    // Files whose sizes are not known before git wrote them, because of the attributes.
    let made = sh("cd disk && git init -q -b main app && cd app && echo '* text=auto' > .gitattributes
        for n in $(seq 8); do head -c 1000000 /dev/urandom > f$n; done; git add -A; git commit -qm first");
    let spawn = |count: &str| {
        let output = place
            .command(env!("CARGO_BIN_EXE_worktree-spawn"))
            .args(["-C", "disk/app", "-n", count])
            .output()
            .unwrap();
        let left = place.command("sh").args(["-c", "cd disk/app; git for-each-ref --format='%(refname)'; ls .git/worktrees .git/spore/spawn ../app.swarm/wt ../app.swarm/mail; git fsck"]).output().unwrap();
        (output, String::from_utf8(left.stdout).unwrap())
    };
    let many = spawn("6");
    // What a tree gets beside its files is not counted beforehand.
    let more = sh(
        "cd disk/app && echo /big > .git/info/exclude && echo big > .worktreeinclude && head -c 12000000 /dev/urandom > big",
    );
    let one = spawn("1");
    let works = sh("cd disk/app && git status --porcelain");
    sh("umount disk");
    assert!(made && more && works);
    for ((output, left), why) in [(many, "MiB, "), (one, "No space left")] {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(why), "{said}");
        let left: Vec<&str> = left
            .lines()
            .filter(|line| !line.is_empty() && !line.ends_with(':'))
            .collect();
        assert_eq!(left, ["refs/heads/main"], "{said}");
    }
}

#[test]
fn where_case_does_not_count_trees_are_gits_own_work_and_twins_are_refused() {
    const TEST: &str = "a file system on which case does not count";
    if !rustix::process::geteuid().is_root() {
        return crate::hurt::skip(TEST, "it is mounted as root");
    }
    if !std::path::Path::new("/dev/fuse").exists() {
        return crate::hurt::skip(TEST, "this kernel has no FUSE");
    }
    let place = Place::empty();
    let sh = |script: &str| {
        let output = place.command("sh").args(["-ec", script]).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (mounted, said) = sh(
        "mkdir disk; truncate -s 200M image; mkntfs -qF image >/dev/null 2>&1
        lowntfs-3g image disk -o ignore_case",
    );
    if !mounted {
        return crate::hurt::skip(TEST, &format!("ntfs-3g, as root: {said}"));
    }
    let made = sh("cd disk; git init -q -b main app; cd app; mkdir src; echo 1 > src/file; echo 2 > readme
        ln -s readme link; git add -A; git commit -qm first; test -e SRC/File; git config core.ignorecase");
    let spawn = |names: &[&str]| {
        let spawn = place
            .command(env!("CARGO_BIN_EXE_worktree-spawn"))
            .args(["-C", "disk/app", "-q"])
            .args(names)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&spawn.stderr).into_owned();
        (spawn.status.code(), said)
    };
    let (first, twin) = (spawn(&["a", "b"]), sh("mkdir disk/app.swarm/wt/Ada"));
    let second = spawn(&["ada"]);
    let after = sh(
        "cd disk/app.swarm/wt; for t in a b; do git -C $t status --porcelain; ls $t; done
        echo 3 >> a/README; git -C a commit -qam more; git -C a status --porcelain; git -C a fsck",
    );
    let reaped = sh(&format!(
        "{} -C disk/app --force a b >/dev/null; ls disk/app.swarm/wt
        git -C disk/app fsck --no-dangling; git -C disk/app log --format=%s refs/spore/salvage/a/1",
        env!("CARGO_BIN_EXE_worktree-reap")
    ));
    sh("umount disk");
    assert!(made.0 && made.1.trim() == "true" && twin.0, "{made:?}");
    assert_eq!(first.0, Some(0), "{first:?}");
    assert_eq!(second.0, Some(4), "{second:?}");
    let listed = "link\nreadme\nsrc\n";
    assert_eq!(after, (true, [listed, listed].concat()));
    let (clean, left) = reaped;
    assert!(clean && left.starts_with("ada\n"), "{left}");
    assert!(left.ends_with("more\nfirst\n"), "{left}");
}

/// A spawn costs no more processes than `git worktree add` does: they are most of what a small
/// tree costs.
#[test]
fn a_small_tree_takes_few_processes() {
    let place = Place::new();
    fs::create_dir(place.top.join("bin")).unwrap();
    let git = place.command("sh").args(["-c", "command -v git"]).output();
    let git = String::from_utf8(git.unwrap().stdout).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n",
        place.top.join("log").display(),
        git.trim()
    );
    fs::write(place.top.join("bin/git"), script).unwrap();
    fs::set_permissions(place.top.join("bin/git"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", place.top.join("bin").display());
    let mut started = Vec::new();
    for names in [&["first"][..], &["a"], &["b", "c", "d"]] {
        let status = place
            .spawning(names)
            .env("PATH", &path)
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
        let log = fs::read_to_string(place.top.join("log")).unwrap();
        fs::remove_file(place.top.join("log")).unwrap();
        started.push(log);
    }
    let counts: Vec<usize> = started.iter().map(|log| log.lines().count()).collect();
    assert_eq!(counts, [3, 2, 2], "{started:?}");
    place.is_as_git_makes_it("d");
}

#[test]
fn names_come_on_standard_input_and_a_branch_with_work_is_passed_over() {
    let place = Place::new();
    place.git("app", "branch swarm/kiro-1");
    fs::write(place.top.join("names"), "ada\n{\"instance_id\":\"bob\"}\n").unwrap();
    let names = fs::File::open(place.top.join("names")).unwrap();
    let output = place.spawning(&["-q"]).stdin(names).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(place.tree("ada").is_dir() && place.tree("bob").is_dir());
    place.spawn(&["-q", "-n", "2"]);
    assert!(!place.tree("kiro-1").exists());
    assert!(place.tree("kiro-2").is_dir() && place.tree("kiro-3").is_dir());
}

#[test]
fn a_slot_whose_ports_somebody_listens_on_is_passed_over() {
    let place = Place::new();
    let held = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = held.local_addr().unwrap().port();
    fs::write(
        place.app().join("swarm.toml"),
        format!("[ports]\nbase = {}\nsize = 4\n", port - 6),
    )
    .unwrap();
    let line = place.spawn(&["-q", "a"]);
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    let base = record["port_base"].as_u64().unwrap();
    assert!(
        !(base..base + 4).contains(&port.into()),
        "{base} to {} with {port} in use",
        base + 3
    );
    assert!(record["slot"].as_u64().unwrap() > 1);
}

#[test]
fn a_tree_that_cannot_be_read_does_not_hide_the_others() {
    let place = Place::new();
    place.spawn(&["a", "b", "c"]);
    fs::write(place.app().join(".git/worktrees/b/index"), "no index").unwrap();
    fs::write(place.tree("c").join("new"), "").unwrap();
    let output = place.spawning(&["--list"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("worktree-spawn: \"b\" cannot be looked at: "),
        "{said}"
    );
    let table = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|row| row.split_whitespace().collect())
        .collect();
    let dirty: Vec<&str> = rows.iter().skip(1).map(|row| row[7]).collect();
    assert_eq!(dirty, ["0", "?", "1"], "{table}");
    let output = place.spawning(&["--list", "--json"]).output().unwrap();
    let records = String::from_utf8(output.stdout).unwrap();
    let records: Vec<serde_json::Value> = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 3);
    assert!(records[1]["dirty"].is_null() && records[1]["why"].is_string());
    assert_eq!(records[2]["dirty"], 1);
}

#[test]
fn another_form_of_refs_is_left_to_git() {
    let place = Place::empty();
    let output = place
        .command("git")
        .args(["init", "-q", "-b", "main", "--ref-format=reftable", "app"])
        .output()
        .unwrap();
    if !output.status.success() {
        // This git is older than 2.45 and knows no other form.
        return assert!(String::from_utf8_lossy(&output.stderr).contains("ref-format"));
    }
    place.fill();
    place.spawn(&["a", "b"]);
    place.is_as_git_makes_it("b");
    let output = place
        .command(env!("CARGO_BIN_EXE_worktree-reap"))
        .args(["-C", "app", "a", "b"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
