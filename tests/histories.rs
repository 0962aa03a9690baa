//! Random histories of spawn, work, merge, sync, kill and reap: whatever happens in whatever order,
//! git finds nothing wrong, nothing that was written is lost, and nothing is left over.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use proptest::prelude::*;

use crate::place::Place;

const AGENTS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Step {
    Spawn(usize, bool),
    Work(usize, Work),
    Land(usize, bool),
    MainGoesOn,
    Sync(usize, bool),
    Reap(usize, bool),
    ReapLanded,
    KillSpawn(usize, u64),
    KillReap(usize, u64),
}

#[derive(Debug, Clone)]
enum Work {
    Untracked,
    Staged,
    Commit,
    CommitAndReset,
    Detached,
    Ignored,
    LeftLock,
}

fn step() -> impl Strategy<Value = Step> {
    let agent = 0..AGENTS.len();
    let work = prop_oneof![
        Just(Work::Untracked),
        Just(Work::Staged),
        Just(Work::Commit),
        Just(Work::Commit),
        Just(Work::CommitAndReset),
        Just(Work::Detached),
        Just(Work::Ignored),
        Just(Work::LeftLock),
    ];
    prop_oneof![
        3 => (agent.clone(), any::<bool>()).prop_map(|(a, clone)| Step::Spawn(a, clone)),
        5 => (agent.clone(), work).prop_map(|(a, work)| Step::Work(a, work)),
        2 => (agent.clone(), any::<bool>()).prop_map(|(a, squash)| Step::Land(a, squash)),
        1 => Just(Step::MainGoesOn),
        1 => (agent.clone(), any::<bool>()).prop_map(|(a, rebase)| Step::Sync(a, rebase)),
        2 => (agent.clone(), any::<bool>()).prop_map(|(a, force)| Step::Reap(a, force)),
        1 => Just(Step::ReapLanded),
        1 => (agent.clone(), 0..250_u64).prop_map(|(a, ms)| Step::KillSpawn(a, ms)),
        2 => (agent, 0..400_u64).prop_map(|(a, ms)| Step::KillReap(a, ms)),
    ]
}

struct History {
    place: Place,
    /// Everything that was ever written, each time something else.
    written: BTreeSet<String>,
    /// Whose branch was merged when the tree was gone: a reaped branch is nobody's to delete later.
    merged_late: BTreeSet<usize>,
}

impl History {
    fn new() -> History {
        History {
            place: Place::new(),
            written: BTreeSet::new(),
            merged_late: BTreeSet::new(),
        }
    }

    fn tree(&self, agent: usize) -> Option<PathBuf> {
        Some(self.place.tree(AGENTS[agent])).filter(|tree| tree.exists())
    }

    fn sh(&self, dir: &PathBuf, script: &str) -> bool {
        let output = self
            .place
            .command("sh")
            .args(["-ec", script])
            .current_dir(dir)
            .output()
            .unwrap();
        output.status.success()
    }

    fn run(&self, program: &str, args: &[&str], kill: Option<u64>) {
        let mut command = self.place.command(program);
        command
            .args(["-C", "app"])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        if let Some(ms) = kill {
            std::thread::sleep(Duration::from_millis(ms));
            child.kill().unwrap();
        }
        child.wait().unwrap();
    }

    fn take(&mut self, step: &Step) {
        let spawn = env!("CARGO_BIN_EXE_worktree-spawn");
        let reap = env!("CARGO_BIN_EXE_worktree-reap");
        match step {
            Step::Spawn(agent, clone) => {
                let kind = if *clone { "clone" } else { "worktree" };
                self.run(spawn, &[AGENTS[*agent], "--isolation", kind], None);
            }
            Step::Work(agent, work) => self.work(*agent, work),
            Step::Land(agent, squash) => {
                let branch = format!("swarm/{}", AGENTS[*agent]);
                let how = if *squash {
                    "--squash"
                } else {
                    "--no-ff --no-commit"
                };
                let script = format!(
                    "git rev-parse -q --verify {branch}; git merge -q {how} {branch} && git commit -qm land || git reset -q --hard"
                );
                if self.tree(*agent).is_none() {
                    self.merged_late.insert(*agent);
                }
                self.sh(&self.place.app(), &script);
            }
            Step::MainGoesOn => {
                self.sh(&self.place.app(), "git commit -q --allow-empty -m main");
            }
            Step::Sync(agent, rebase) => {
                let how = if *rebase {
                    "--sync=rebase"
                } else {
                    "--sync=merge"
                };
                self.run(spawn, &[how, AGENTS[*agent]], None);
            }
            Step::Reap(agent, force) => {
                let force: &[&str] = if *force { &["--force"] } else { &[] };
                self.run(reap, &[force, &[AGENTS[*agent]]].concat(), None);
            }
            Step::ReapLanded => self.run(reap, &["--landed"], None),
            Step::KillSpawn(agent, ms) => self.run(spawn, &[AGENTS[*agent]], Some(*ms)),
            Step::KillReap(agent, ms) => self.run(reap, &["--force", AGENTS[*agent]], Some(*ms)),
        }
        // The next command that changes anything settles what a killed one left.
        self.run(reap, &["nobody"], None);
    }

    fn work(&mut self, agent: usize, work: &Work) {
        let Some(tree) = self.tree(agent) else { return };
        let word = format!("word {} of {}", self.written.len(), AGENTS[agent]);
        let name = match work {
            Work::Ignored => format!("{}.env", self.written.len()),
            _ => format!("file {}", self.written.len()),
        };
        fs::write(tree.join(name), format!("{word}\n")).unwrap();
        let then = match work {
            Work::Untracked | Work::Ignored => "",
            Work::Staged => "git add -A",
            Work::Commit => "git add -A; git commit -qm work",
            Work::CommitAndReset => "git add -A; git commit -qm work; git reset -q --hard HEAD~1",
            Work::Detached => "git checkout -q --detach; git add -A; git commit -qm work",
            Work::LeftLock => "touch $(git rev-parse --git-path index.lock)",
        };
        // A lock that was left may keep git from it; the file is there all the same.
        self.sh(&tree, then);
        self.written.insert(word);
    }

    fn hold(&self, steps: &[Step]) {
        let place = &self.place;
        assert_eq!(
            place.git("app", "fsck --strict --no-dangling"),
            "",
            "{steps:?}"
        );
        let mut all = String::new();
        let mut trees = BTreeSet::new();
        for entry in fs::read_dir(place.top.join("app.swarm/wt"))
            .into_iter()
            .flatten()
        {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            assert!(!name.starts_with('.'), "{name} is left over: {steps:?}");
            if entry.path().is_dir() {
                for file in walkdir::WalkDir::new(entry.path())
                    .into_iter()
                    .map(Result::unwrap)
                {
                    if file.file_type().is_file() {
                        all.push_str(&String::from_utf8_lossy(&fs::read(file.path()).unwrap()));
                    }
                }
                if entry.path().join(".git").is_dir() {
                    all.push_str(&self.objects(&entry.path()));
                }
                trees.insert(name);
            }
        }
        all.push_str(&self.objects(&place.app()));
        for word in &self.written {
            assert!(
                all.contains(&format!("{word}\n")),
                "{word} is lost: {steps:?}"
            );
        }
        let entries = fs::read_dir(place.app().join(".git/worktrees"))
            .into_iter()
            .flatten();
        for entry in entries {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                trees.contains(&name),
                "git's entry {name} is left over: {steps:?}"
            );
        }
        let branches = place.git(
            "app",
            "branch --format=%(refname:lstrip=3) --merged main --list swarm/*",
        );
        for branch in branches.lines() {
            let late = self.merged_late.iter().any(|n| AGENTS[*n] == branch);
            assert!(
                trees.contains(branch) || late,
                "branch {branch} is left over: {steps:?}"
            );
        }
        for under_way in ["spawn", "reap"] {
            let dir = place.app().join(".git/spore").join(under_way);
            assert_eq!(
                fs::read_dir(dir).into_iter().flatten().count(),
                0,
                "{under_way}: {steps:?}"
            );
        }
    }

    /// Every blob that a ref or a reflog leads to.
    fn objects(&self, repository: &PathBuf) -> String {
        let script = "git rev-list --objects --all --reflog --indexed-objects | cut -d ' ' -f 1 | git cat-file --batch";
        let output = self
            .place
            .command("sh")
            .args(["-c", script])
            .current_dir(repository)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[test]
fn after_any_history_nothing_is_lost_and_nothing_left_over() {
    let strict = std::env::var_os("SPORE_TEST_STRICT").is_some();
    let config = ProptestConfig {
        cases: if strict { 40 } else { 6 },
        max_shrink_iters: 30,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in prop::collection::vec(step(), 6..16))| {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
        }
        history.hold(&steps);
    });
}
