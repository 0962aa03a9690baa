//! Reaping a tree in which git does not see everything: submodules, repositories, worktrees and
//! broken ones inside it, conflicts, filters that fail. Each thing that an agent wrote is marked, and
//! looked for under the refs once git has thrown away all that nothing holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::place::Place;

/// A tree of agent `a`, and how many marks were written in it.
struct Scene {
    place: Place,
    tree: PathBuf,
    marks: usize,
}

impl Scene {
    fn new() -> Scene {
        Scene::of(Place::new())
    }

    fn of(place: Place) -> Scene {
        place.spawn(&["a"]);
        let tree = place.tree("a");
        Scene {
            place,
            tree,
            marks: 0,
        }
    }

    /// Writes one more mark at `path` of the tree.
    fn mark(&mut self, path: &str) -> String {
        let text = format!("mark {} of an agent\n", self.marks);
        self.marks += 1;
        let path = self.tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &text).unwrap();
        text
    }

    /// The same, committed in the repository `dir` of the tree.
    fn commit(&mut self, dir: &str, file: &str) {
        self.mark(&format!("{dir}/{file}"));
        self.git(dir, &format!("add -f {file}"));
        self.git(dir, "commit -qm work");
    }

    fn git(&self, dir: &str, line: &str) -> String {
        self.place.git(self.tree.join(dir), line)
    }

    fn reap(&self, args: &[&str]) -> (Option<i32>, String) {
        let tool = env!("CARGO_BIN_EXE_worktree-reap");
        let mut command = self.place.command(tool);
        let output = command.args(["-C", "app"]).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    }

    /// Reaps the tree and holds that all marks are under refs; gives the message of what was saved.
    fn reaped(&self) -> String {
        let (status, said) = self.reap(&["--force", "a"]);
        assert_eq!(status, Some(0), "{said}");
        assert!(!self.tree.exists() && !self.place.app().join(".git/worktrees").exists());
        assert_eq!(self.place.half_made(), 0);
        let app = |line: &str| self.place.git("app", line);
        app("reflog expire --expire=now --all");
        app("gc -q --prune=now");
        assert_eq!(app("fsck --strict --no-dangling"), "");
        let all = ["cat-file", "--batch-all-objects", "--batch"];
        let mut all_objects = self.place.command("git");
        let objects = all_objects.args(["-C", "app"]).args(all).output().unwrap();
        let objects = String::from_utf8_lossy(&objects.stdout).into_owned();
        let lost: Vec<usize> = (0..self.marks)
            .filter(|mark| !objects.contains(&format!("mark {mark} of an agent")))
            .collect();
        assert_eq!(lost, [] as [usize; 0], "marks that are lost");
        app("log -1 --format=%B refs/spore/salvage/a/1")
    }

    /// The same, and brings it back; gives what is in each file of the tree now.
    fn restored(&self) -> BTreeSet<String> {
        self.reaped();
        let (status, said) = self.reap(&["--restore", "a/1"]);
        assert_eq!(status, Some(0), "{said}");
        texts(&self.tree)
    }
}

/// The texts of all files but those of git.
fn texts(top: &Path) -> BTreeSet<String> {
    let files = walkdir::WalkDir::new(top)
        .into_iter()
        .filter_entry(|entry| entry.file_name() != ".git");
    files
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| fs::read_to_string(entry.path()).unwrap())
        .collect()
}

/// What stood under such a name, by the message.
fn inner<'a>(message: &'a str, path: &str) -> Option<&'a str> {
    let notes = message
        .lines()
        .filter_map(|line| line.strip_prefix("Spore-Inner: "));
    let mut notes = notes.filter_map(|note| note.split_once(' '));
    notes
        .find(|(_, where_it_was)| *where_it_was == path)
        .map(|(commit, _)| commit)
}

/// `app` with a submodule `lib`, in which there is a submodule `leaf`.
fn with_submodules() -> Scene {
    let place = Place::new();
    for (name, inside) in [("leaf", None), ("lib", Some("leaf")), ("app", Some("lib"))] {
        if name != "app" {
            place.git(".", &format!("init -q -b main {name}"));
            fs::write(place.top.join(name).join("file"), name).unwrap();
            fs::write(place.top.join(name).join(".gitignore"), "*.log\n").unwrap();
        }
        if let Some(inside) = inside {
            let from = place.top.join(inside);
            let add = format!("submodule --quiet add {} {inside}", from.display());
            place.git(name, &add);
        }
        place.git(name, "add -A");
        place.git(name, "commit -qm first");
    }
    place.git("app", "submodule --quiet update --init --recursive");
    Scene::of(place)
}

#[test]
fn work_in_submodules_and_theirs_is_saved_and_comes_back() {
    let mut scene = with_submodules();
    assert!(scene.tree.join("lib/leaf/file").exists(), "brought over");
    let mut marks = Vec::new();
    for dir in ["lib", "lib/leaf"] {
        scene.commit(dir, "committed");
        for file in ["file", "new", "out.log"] {
            marks.push(scene.mark(&format!("{dir}/{file}")));
        }
    }
    let texts = scene.restored();
    for mark in marks {
        assert!(texts.contains(&mark), "{mark}");
    }
    assert_eq!(
        scene.git("lib/leaf", "log --format=%s"),
        "work\nfirst\n",
        "with its history"
    );
}

#[test]
fn a_submodule_that_looks_clean_may_hold_work() {
    // Nothing was done: nothing is saved.
    let scene = with_submodules();
    assert_eq!(scene.reaped().matches("Spore-Inner").count(), 0);
    // Two stashes, of which a ref names the last alone, and a commit that only a reflog knows.
    let mut scene = with_submodules();
    for _ in 0..2 {
        scene.mark("lib/file");
        scene.git("lib", "stash -q");
    }
    scene.commit("lib", "new");
    scene.git(".", "submodule --quiet update");
    assert_eq!(scene.git(".", "status --porcelain"), "");
    // Only ignored files, deeper down.
    scene.mark("lib/leaf/out.log");
    assert!(inner(&scene.reaped(), "lib").is_some());
}

#[test]
fn a_submodule_that_is_no_longer_there_keeps_its_commits() {
    let mut scene = with_submodules();
    scene.commit("lib/leaf", "new");
    scene.commit("lib", "new");
    scene.git(".", "rm -qf lib");
    scene.git(".", "commit -qm gone");
    assert!(inner(&scene.reaped(), ".git/modules/lib").is_some());
    // Taken out of the tree and written into all the same, where git does not look.
    let mut scene = with_submodules();
    scene.git(".", "submodule --quiet deinit -f lib");
    let mark = scene.mark("lib/deep/new");
    assert_eq!(scene.git(".", "status --porcelain"), "");
    assert!(scene.restored().contains(&mark));
}

#[test]
fn repositories_inside_are_saved_with_all_that_they_know_and_come_back() {
    let mut scene = Scene::new();
    scene.git(".", "init -q -b main in");
    scene.commit("in", "main");
    for _ in 0..2 {
        scene.mark("in/main");
        scene.git("in", "stash -q");
    }
    scene.git("in", "checkout -q -b other");
    scene.commit("in", "other");
    scene.git("in", "checkout -q main");
    // A worktree of that one, with a detached HEAD; and a repository around tracked files.
    scene.git("in", "worktree add -q --detach ../beside");
    scene.commit("beside", "detached");
    scene.git("src", "init -q -b main .");
    scene.commit("src", "within");
    // Ignored, and nothing committed.
    scene.git(".", "init -q out.env");
    let marks = [
        scene.mark("in/new"),
        scene.mark("beside/new"),
        scene.mark("src/file-1.rs"),
        scene.mark("out.env/deep/new"),
    ];
    let texts = scene.restored();
    for mark in marks {
        assert!(texts.contains(&mark), "{mark}");
    }
    assert_eq!(scene.git("in", "log --format=%s"), "work\n");
}

#[test]
fn what_only_looks_like_a_repository_is_saved_as_files() {
    let mut scene = Scene::new();
    scene.mark("empty/.git/notes");
    let mark = scene.mark("empty/file");
    scene.git(".", "init -q broken");
    scene.commit("broken", "file");
    fs::write(scene.tree.join("broken/.git/config"), "[\n").unwrap();
    scene.git(".", "init -q --object-format=sha256 other");
    let other = scene.mark("other/file");
    scene.mark("named/.GIT/file");
    let texts = scene.restored();
    assert!(texts.contains(&mark) && texts.contains(&other));

    // The agent made a repository where its tree was one.
    let mut scene = Scene::new();
    fs::remove_file(scene.tree.join(".git")).unwrap();
    scene.git(".", "init -q -b main");
    scene.commit(".", "own");
    scene.git(".", "rm -q own");
    assert!(inner(&scene.reaped(), "").is_some());
}

#[test]
fn worktrees_inside_are_saved_and_those_of_others_refused() {
    let mut scene = Scene::new();
    scene.git(".", "worktree add -q -b mine sub/wt");
    scene.git("sub/wt", "checkout -q --detach");
    scene.commit("sub/wt", "detached");
    scene.mark("sub/wt/new");
    // One without work has nothing to save, and its entry goes too.
    scene.git(".", "worktree add -q -b other sub/other");
    let message = scene.reaped();
    assert!(inner(&message, "sub/wt").is_some() && inner(&message, "sub/other").is_none());
    let branches = "for-each-ref --format=%(refname:lstrip=2) refs/heads/mine refs/heads/other";
    assert_eq!(scene.place.git("app", branches), "mine\nother\n");

    let mut scene = Scene::new();
    scene.git(".", "worktree add -q -b b sub/b");
    scene.place.spawn(&["--adopt"]);
    scene.mark("sub/b/new");
    let (status, said) = scene.reap(&["--force", "a"]);
    assert_eq!(status, Some(5), "{said}");
    assert!(said.contains("hint: worktree-reap"), "{said}");
    assert_eq!(scene.git("sub/b", "status --porcelain"), "?? new\n");
}

#[test]
fn what_is_staged_beside_a_conflict_is_saved() {
    let mut scene = Scene::new();
    scene.git(".", "checkout -q -b other");
    scene.commit(".", "src/file-1.rs");
    scene.git(".", "checkout -q swarm/a");
    scene.commit(".", "src/file-1.rs");
    let mut merge = scene.place.command("git");
    let merge = merge
        .args(["merge", "-q", "other"])
        .current_dir(&scene.tree);
    assert!(!merge.output().unwrap().status.success(), "a conflict");
    scene.mark("src/file-2.rs");
    scene.git(".", "add src/file-2.rs");
    scene.mark("src/file-2.rs");
    assert!(scene.reaped().contains("Spore-Staged"));
}

#[test]
fn filters_that_refuse_or_fail_stop_nobody() {
    for (config, attributes) in [
        (
            &[("core.autocrlf", "true"), ("core.safecrlf", "true")][..],
            "",
        ),
        (
            &[("filter.x.clean", "false"), ("filter.x.required", "true")],
            "*.x filter=x\n",
        ),
        (&[], "*.x working-tree-encoding=UTF-16\n"),
    ] {
        let mut scene = Scene::new();
        for (key, value) in config {
            scene.git(".", &format!("config {key} {value}"));
        }
        fs::write(scene.tree.join(".gitattributes"), attributes).unwrap();
        let marks = [scene.mark("new.x"), scene.mark("src/file-1.rs")];
        fs::remove_file(scene.tree.join("src/file-2.rs")).unwrap();
        // What a file that is ignored holds is work too.
        scene.mark("own.env");
        let texts = match attributes {
            "*.x filter=x\n" => {
                scene.reaped();
                let file = "show refs/spore/salvage/a/1:new.x";
                assert_eq!(scene.place.git("app", file), marks[0]);
                continue;
            }
            _ => scene.restored(),
        };
        for mark in marks {
            assert!(texts.contains(&mark), "{attributes}: {mark}");
        }
        assert!(!scene.tree.join("src/file-2.rs").exists());
    }
}
