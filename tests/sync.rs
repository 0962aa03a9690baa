//! Bringing trees up to their base, and taking in trees that others made.

use std::fs;

use crate::place::Place;

fn sync(place: &Place, args: &[&str]) -> (i32, Vec<serde_json::Value>) {
    let output = place
        .spawning(&[&["--json"], args].concat())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (output.status.code().unwrap(), records.collect())
}

#[test]
fn a_tree_comes_up_to_its_base_and_keeps_what_is_not_committed() {
    for how in ["merge", "rebase"] {
        let place = Place::new();
        place.spawn(&["a"]);
        let tree = place.tree("a");
        fs::write(tree.join("work"), "work\n").unwrap();
        place.git(&tree, "add -A");
        place.git(&tree, "commit -qm work");
        fs::write(tree.join("src/file-2.rs"), "edited\n").unwrap();
        fs::write(tree.join("src/file-3.rs"), "staged\n").unwrap();
        place.git(&tree, "add src/file-3.rs");
        fs::write(tree.join("untracked"), "untracked\n").unwrap();
        fs::write(place.app().join("src/file-1.rs"), "new in main\n").unwrap();
        place.git("app", "commit -qam second");
        place.git("app", "commit -q --allow-empty -m third");
        let (status, records) = sync(&place, &["--sync", how, "--max-behind", "2"]);
        assert_eq!((status, &records[0]["state"]), (0, &"up-to-date".into()));
        let (status, records) = sync(&place, &["--sync", how]);
        assert_eq!(
            (status, &records[0]["state"]),
            (0, &"synced".into()),
            "{records:?}"
        );
        for (file, text) in [
            ("src/file-1.rs", "new in main\n"),
            ("src/file-2.rs", "edited\n"),
            ("src/file-3.rs", "staged\n"),
            ("untracked", "untracked\n"),
            ("work", "work\n"),
        ] {
            assert_eq!(
                fs::read_to_string(tree.join(file)).unwrap(),
                text,
                "{how}: {file}"
            );
        }
        place.git(&tree, "merge-base --is-ancestor main HEAD");
        assert_eq!(
            place.git("app", "show refs/spore/salvage/a/1:untracked"),
            "untracked\n"
        );
        assert_eq!(place.git("app", "stash list"), "");
        let merges = place.git(&tree, "rev-list --count --merges main..HEAD");
        assert_eq!(merges, if how == "merge" { "1\n" } else { "0\n" });
        assert_eq!(sync(&place, &["--sync", how]).1[0]["state"], "up-to-date");
    }
}

#[test]
fn what_would_conflict_or_touch_uncommitted_files_is_left_as_it_is() {
    let place = Place::new();
    place.spawn(&["conflict", "edited", "untracked", "merging", "fine"]);
    let conflict = place.tree("conflict");
    fs::write(conflict.join("src/file-1.rs"), "another\n").unwrap();
    place.git(&conflict, "commit -qam another");
    fs::write(
        place.tree("edited").join("src/file-1.rs"),
        "not committed\n",
    )
    .unwrap();
    fs::write(place.tree("untracked").join("new"), "not committed\n").unwrap();
    fs::write(place.app().join(".git/worktrees/merging/MERGE_HEAD"), "").unwrap();
    fs::write(place.app().join("src/file-1.rs"), "main\n").unwrap();
    fs::write(place.app().join("new"), "main\n").unwrap();
    place.git("app", "add -A");
    place.git("app", "commit -qm second");
    let before = place.git("app", "for-each-ref");
    for how in ["--sync=merge", "--sync=rebase"] {
        let (status, records) = sync(&place, &[how, "conflict", "edited", "untracked", "merging"]);
        assert_eq!(status, 1);
        let said: Vec<(&str, String)> = records
            .iter()
            .map(|record| {
                (
                    record["state"].as_str().unwrap(),
                    record["paths"].to_string(),
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                ("conflict", "[\"src/file-1.rs\"]".to_owned()),
                ("dirty", "[\"src/file-1.rs\"]".to_owned()),
                ("dirty", "[\"new\"]".to_owned()),
                ("blocked", "[]".to_owned()),
            ]
        );
    }
    assert_eq!(place.git("app", "for-each-ref"), before);
    assert_eq!(
        fs::read_to_string(place.tree("untracked").join("new")).unwrap(),
        "not committed\n"
    );
    let (status, records) = sync(&place, &["--sync", "fine"]);
    assert_eq!((status, &records[0]["state"]), (0, &"synced".into()));
    assert_eq!(place.refused(3, &["--sync", "fime"]).lines().count(), 2);
}

#[test]
fn a_rebase_that_conflicts_half_way_is_taken_back() {
    let place = Place::new();
    place.spawn(&["a"]);
    let tree = place.tree("a");
    // Two commits that together touch what main touched, and end where merging is clean.
    fs::write(tree.join("src/file-1.rs"), "passing\n").unwrap();
    place.git(&tree, "commit -qam there");
    fs::write(tree.join("src/file-1.rs"), "fn f1() {}\n").unwrap();
    place.git(&tree, "commit -qam back");
    fs::write(tree.join("untracked"), "untracked\n").unwrap();
    fs::write(place.app().join("src/file-1.rs"), "main\n").unwrap();
    place.git("app", "commit -qam second");
    let head = place.git(&tree, "rev-parse HEAD");
    let (status, records) = sync(&place, &["--sync", "rebase"]);
    assert_eq!(
        (status, &records[0]["state"]),
        (1, &"conflict".into()),
        "{records:?}"
    );
    assert_eq!(place.git(&tree, "rev-parse HEAD"), head);
    assert_eq!(place.git(&tree, "status --porcelain"), "?? untracked\n");
    assert_eq!(place.git(&tree, "symbolic-ref --short HEAD"), "swarm/a\n");
}

#[test]
fn worktrees_of_other_tools_are_taken_in_where_they_are() {
    let place = Place::new();
    place.spawn(&["a"]);
    place.git("app", "worktree add -q -b feature/x ../app.feature-x");
    place.git("app", "worktree add -q --detach ../other");
    place.git("app", "worktree add -q -b A ../A");
    let config = fs::read(place.top.join("app.feature-x/src/file-1.rs")).unwrap();
    assert!(
        place
            .refused(3, &["--adopt", "app.feature-y"])
            .contains("app.feature-x")
    );
    assert!(
        place
            .refused(4, &["--adopt"])
            .contains("\"a\" has a worktree already")
    );
    assert_eq!(
        place.spawn(&["--list", "--json"]).lines().count(),
        1,
        "all or none"
    );
    let lines = place.spawn(&["--adopt", "feature/x", "boss=../other", "--quiet"]);
    let records: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records[0]["instance_id"], "feature-x");
    assert_eq!(records[0]["branch_name"], "feature/x");
    assert_eq!(records[1]["instance_id"], "boss");
    assert_eq!(
        fs::read(place.top.join("app.feature-x/src/file-1.rs")).unwrap(),
        config
    );
    let names: Vec<String> = place
        .spawn(&["--list", "--json"])
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["agent"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(names, ["a", "feature-x", "boss"]);
    let output = place
        .command(env!("CARGO_BIN_EXE_worktree-reap"))
        .args(["-C", "app", "feature-x"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!place.top.join("app.feature-x").exists());
    assert!(place.top.join("other/src").exists());
}
