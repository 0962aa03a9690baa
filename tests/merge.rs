//! Merges from outside: what is on the target afterwards, and what is where it can be found.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A directory of its own with the commands of this crate on the path.
struct Ground {
    _dir: tempfile::TempDir,
    top: PathBuf,
}

/// A repository `app` with a file, and a way to let an agent work: `agent NAME 'SCRIPT' SUBJECT`.
const BEGIN: &str = r#"
git init -q -b main app && cd app
printf '1\n2\n3\n4\n5\n6\n7\n8\n9\n' > f && git add . && git commit -qm first && cd ..
"#;

const AGENT: &str = r#"
agent() { ( cd app.swarm/wt/$1 && eval "$2" && git add -A && git commit -qm "${3:-work of $1}" ); }
"#;

impl Ground {
    fn new() -> Ground {
        let dir = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        let ground = Ground { _dir: dir, top };
        ground.sh(BEGIN);
        ground
    }

    /// With a tree for each of these agents.
    fn with(agents: &str) -> Ground {
        let ground = Ground::new();
        ground.sh(&format!("worktree-spawn -C app -q {agents} > /dev/null"));
        ground
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("SPORE_") || text.starts_with("GIT_") {
                command.env_remove(&name);
            }
        }
        let bin = PathBuf::from(env!("CARGO_BIN_EXE_swarm-merge"));
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::split_paths(&path);
        let path = std::iter::once(bin.parent().unwrap().to_owned()).chain(path);
        command
            .args(["-c", &format!("{AGENT}\n{script}")])
            .current_dir(&self.top)
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", &self.top)
            .env("LC_ALL", "C.UTF-8")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "t")
            .env("GIT_AUTHOR_EMAIL", "t@example.org")
            .env("GIT_COMMITTER_NAME", "t")
            .env("GIT_COMMITTER_EMAIL", "t@example.org")
            .stdin(Stdio::null());
        command
    }

    fn output(&self, script: &str) -> Output {
        self.command(script).output().unwrap()
    }

    /// Runs a script that must end with 0; gives what it printed.
    fn sh(&self, script: &str) -> String {
        let output = self.output(&format!("set -e\n{script}"));
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// `swarm-merge` in `app`; gives its status, what it printed, and what it said.
    fn merge(&self, args: &str) -> (i32, String, String) {
        let output = self.output(&format!("cd app && swarm-merge {args}"));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// How often the gate ran, by the journal.
    fn gate_runs(&self) -> usize {
        let journal = fs::read_to_string(self.top.join("app.swarm/journal/events.jsonl"));
        journal.unwrap().matches("\"type\":\"gated\"").count()
    }
}

#[test]
fn sixteen_good_branches_land_after_one_gate_run() {
    let names: Vec<String> = (1..=16).map(|n| format!("k{n}")).collect();
    let ground = Ground::with(&names.join(" "));
    for name in &names {
        ground.sh(&format!("agent {name} 'echo {name} > {name}.txt'"));
    }
    let (status, out, said) = ground.merge("--gate true");
    assert_eq!(status, 0, "{out}{said}");
    assert_eq!(out.matches("landed\t").count(), 16, "{out}");
    assert_eq!(ground.gate_runs(), 1);
    assert_eq!(ground.sh("ls app/*.txt | wc -l").trim(), "16");
    let (status, out, _) = ground.merge("--gate true");
    assert_eq!((status, ground.gate_runs()), (0, 1), "twice is once: {out}");
}

#[test]
fn one_culprit_among_sixteen_costs_log_n_and_two_runs_and_the_others_land() {
    for culprit in [1, 7, 16] {
        let names: Vec<String> = (1..=16).map(|n| format!("k{n}")).collect();
        let ground = Ground::with(&names.join(" "));
        for name in &names {
            ground.sh(&format!("agent {name} 'echo {name} > {name}.txt'"));
        }
        ground.sh(&format!("agent k{culprit} 'echo > bad'"));
        let args = format!("--gate 'test ! -e bad' --order given {}", names.join(" "));
        let (status, out, said) = ground.merge(&args);
        assert_eq!(status, 1, "{out}{said}");
        assert_eq!(out.matches("landed\t").count(), 15, "{out}");
        assert!(
            out.contains(&format!("back\tswarm/k{culprit}\tred\t")),
            "{out}"
        );
        assert!(ground.gate_runs() <= 6, "{} runs", ground.gate_runs());
        assert!(!ground.top.join("app/bad").exists());
    }
}

#[test]
fn a_target_that_fails_by_itself_blames_nobody() {
    let ground = Ground::with("k1 k2 k3");
    ground.sh("for k in k1 k2 k3; do agent $k \"echo > $k.txt\"; done");
    let before = ground.sh("git -C app rev-parse main");
    let (status, out, said) = ground.merge("--gate false");
    assert_eq!(status, 1, "{out}{said}");
    assert!(said.contains("main itself fails"), "{said}");
    assert_eq!(out, "");
    assert_eq!(ground.sh("git -C app rev-parse main"), before);
    let (status, out, _) = ground.merge("--gate false k2");
    assert_eq!((status, &*out), (1, ""), "also one alone is not blamed");
}
