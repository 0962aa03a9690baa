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

/// Which branches the target has, by their commits.
fn in_main(ground: &Ground, names: &[&str]) -> Vec<String> {
    let script = names
        .iter()
        .map(|name| {
            format!(
                "if git -C app merge-base --is-ancestor swarm/{name} main; then echo {name}; fi\n"
            )
        })
        .collect::<String>();
    ground.sh(&script).lines().map(str::to_owned).collect()
}

/// A small generator of numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[test]
fn over_random_histories_main_has_exactly_what_was_accepted_and_all_of_it_was_gated() {
    for seed in 1..=6_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let names = ["k1", "k2", "k3", "k4", "k5"];
        let ground = Ground::with(&names.join(" "));
        // Lines that clash, files that are bad alone, and pairs that are bad together.
        let mut script = String::new();
        for name in names {
            let mut work = format!("echo > own-{name}; ");
            if dice.throw(2) == 0 {
                let line = dice.throw(3) * 4 + 1;
                work.push_str(&format!("sed -i {line}s/.*/{name}/ f; "));
            }
            match dice.throw(6) {
                0 => work.push_str("echo > bad; "),
                1 | 2 => work.push_str(&format!("echo > half-{name}; ")),
                _ => {}
            }
            script.push_str(&format!("agent {name} '{work}'\n"));
            if dice.throw(3) == 0 {
                script.push_str(&format!("agent {name} 'echo again > own-{name}'\n"));
            }
        }
        ground.sh(&script);
        let order = ["oldest", "least-conflict"][dice.throw(2) as usize];
        let gate = r#"test ! -e bad && test "$(ls half-* 2>/dev/null | wc -l)" -lt 2"#;
        let (status, out, said) = ground.merge(&format!("--order {order} --gate '{gate}'"));
        let landed: Vec<String> = names
            .iter()
            .filter(|name| out.contains(&format!("landed\tswarm/{name}\t")))
            .map(|name| (*name).to_owned())
            .collect();
        let back = out
            .lines()
            .filter(|line| line.starts_with("back\t"))
            .count();
        assert_eq!(landed.len() + back, names.len(), "seed {seed}: {out}{said}");
        assert_eq!(status, i32::from(back > 0), "seed {seed}: {out}{said}");
        assert_eq!(in_main(&ground, &names), landed, "seed {seed}: {out}");
        let own = ground.sh("ls app | sed -n s/own-//p");
        assert_eq!(
            own.lines().collect::<Vec<_>>(),
            landed,
            "seed {seed}: nothing in part"
        );
        assert_eq!(
            ground.sh("git -C app status --porcelain"),
            "",
            "seed {seed}"
        );
        // Every tip that main was moved to passed.
        let tips = ground.sh("git -C app reflog main --format=%T | sed '$d'");
        let journal =
            fs::read_to_string(ground.top.join("app.swarm/journal/events.jsonl")).unwrap();
        for tree in tips.lines() {
            let passed = journal.lines().any(|line| {
                line.contains(&format!("\"tree\":\"{tree}\"")) && line.contains("\"ended\":\"0\"")
            });
            assert!(passed, "seed {seed}: {tree} was not tested\n{journal}");
        }
        let (status, out, said) = ground.merge("--check");
        assert_eq!(status, 0, "seed {seed}: {out}{said}");
    }
}

#[test]
fn killed_at_any_time_and_started_again_it_ends_as_if_nothing_had_been() {
    for wait in [10, 40, 80, 120, 160, 200, 260, 320, 400, 500] {
        let ground = Ground::with("k1 k2 k3");
        ground
            .sh("for k in k1 k2 k3; do agent $k \"echo > $k.txt; sed -i ${k#k}s/.*/$k/ f\"; done");
        ground.sh("agent k2 'echo > bad'");
        let gate = "--gate 'sleep 0.05; test ! -e bad'";
        let script = format!("cd app && exec swarm-merge {gate}");
        let mut child = ground
            .command(&script)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        let (_, out, said) = ground.merge(gate);
        assert_eq!(
            in_main(&ground, &["k1", "k2", "k3"]),
            ["k1", "k3"],
            "{wait} ms: {out}{said}"
        );
        assert_eq!(ground.sh("git -C app status --porcelain"), "", "{wait} ms");
        assert!(
            !ground.top.join("app.swarm/merge/landing.json").exists(),
            "{wait} ms"
        );
        ground.sh("git -C app fsck --strict");
    }
}

#[test]
fn a_gate_whose_merge_was_killed_is_ended_by_the_next() {
    let ground = Ground::with("k1");
    ground.sh("agent k1 'echo > k1.txt'");
    let script =
        "cd app && exec swarm-merge --gate 'echo $$ > ../pid; test -e ../again || sleep 100'";
    let mut child = ground
        .command(script)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while fs::read_to_string(ground.top.join("app.swarm/merge/pid"))
        .map_or(true, |pid| pid.is_empty())
    {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let pid = fs::read_to_string(ground.top.join("app.swarm/merge/pid")).unwrap();
    assert!(
        PathBuf::from(format!("/proc/{}", pid.trim())).exists(),
        "it outlives its merge"
    );
    ground.sh("echo > app.swarm/merge/again");
    let (status, out, said) = ground.merge("--gate 'test -e ../again'");
    assert_eq!(status, 0, "{out}{said}");
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(
        state.is_empty() || state.contains(") Z"),
        "it still runs: {state}"
    );
}

#[test]
fn a_gate_that_hangs_has_failed_and_the_others_land() {
    let ground = Ground::with("k1 k2 k3");
    ground.sh("for k in k1 k2 k3; do agent $k \"echo > $k.txt\"; done; agent k2 'echo > hang'");
    let (status, out, said) =
        ground.merge("--gate-timeout 400ms --gate 'test ! -e hang || sleep 100'");
    assert_eq!(status, 1, "{out}{said}");
    assert!(out.contains("back\tswarm/k2\thung\t"), "{out}");
    assert_eq!(in_main(&ground, &["k1", "k2", "k3"]), ["k1", "k3"]);
}

#[test]
fn a_target_that_moves_meanwhile_is_followed() {
    let ground = Ground::with("k1 k2");
    ground
        .sh("for k in k1 k2; do agent $k \"echo > $k.txt\"; done; git -C app checkout -q --detach");
    // The gate itself plays the colleague who pushes in between, once.
    let gate = "test -e ../moved || { echo > ../moved; cd ../../../app; \
                git update-ref refs/heads/main $(git commit-tree -p main -m other main^{tree}); }";
    let (status, out, said) = ground.merge(&format!("--gate '{gate}'"));
    assert_eq!(status, 0, "{out}{said}");
    assert!(said.contains("moved meanwhile"), "{said}");
    assert_eq!(in_main(&ground, &["k1", "k2"]), ["k1", "k2"]);
    let log = ground.sh("git -C app log --format=%s --first-parent main");
    assert!(log.contains("other"), "nothing of theirs is lost: {log}");
}

#[test]
fn a_checkout_with_work_in_it_is_not_touched_unasked() {
    let ground = Ground::with("k1");
    ground.sh("agent k1 'sed -i 1s/.*/one/ f'; echo mine >> app/f");
    let before = ground.sh("git -C app rev-parse main; cat app/f; git -C app status --porcelain");
    let state = || ground.sh("git -C app rev-parse main; cat app/f; git -C app status --porcelain");
    let (status, _, said) = ground.merge("--gate true");
    assert_eq!(status, 5, "{said}");
    assert!(said.contains("hint: commit or stash"), "{said}");
    assert_eq!(state(), before);
    let (status, _, said) = ground.merge("--gate true --update-checkout");
    assert_eq!(status, 5, "the changed file would have to change: {said}");
    assert_eq!(state(), before);
    // Work on a file that does not change stays; a new file is no hindrance.
    ground.sh("git -C app checkout -q f && echo x > app/g && git -C app add g && git -C app commit -qm g && echo mine > app/g && echo new > app/new");
    let (status, out, said) = ground.merge("--gate true --update-checkout");
    assert_eq!(status, 0, "{out}{said}");
    assert_eq!(
        ground.sh("head -n 1 app/f; cat app/g app/new"),
        "one\nmine\nnew\n"
    );
    assert_eq!(ground.sh("git -C app status --porcelain"), " M g\n?? new\n");
}

#[test]
fn a_detached_checkout_stays_where_it_is() {
    let ground = Ground::with("k1");
    ground.sh("agent k1 'echo > k1.txt'; cd app && git checkout -q --detach && echo mine >> f");
    let (status, out, said) = ground.merge("--gate true");
    assert_eq!(status, 0, "{out}{said}");
    assert_eq!(in_main(&ground, &["k1"]), ["k1"]);
    assert!(!ground.top.join("app/k1.txt").exists());
    assert_eq!(ground.sh("git -C app status --porcelain"), " M f\n");
}

#[test]
fn a_hook_that_refuses_is_obeyed_and_nothing_has_changed() {
    let ground = Ground::with("k1");
    ground.sh(
        "agent k1 'echo > k1.txt'; cd app && printf '%s\\n' '#!/bin/sh' '[ \"$1\" != prepared ] || ! grep -q refs/heads/main' \
         > .git/hooks/reference-transaction && chmod +x .git/hooks/reference-transaction",
    );
    let before = ground.sh("git -C app rev-parse main");
    let (status, _, said) = ground.merge("--gate true");
    assert_eq!(status, 5, "{said}");
    assert!(said.contains("--via pr"), "{said}");
    assert_eq!(ground.sh("git -C app rev-parse main"), before);
    assert_eq!(ground.sh("git -C app status --porcelain; ls app"), "f\n");
}

#[test]
fn a_protected_target_stays_and_a_pull_request_gets_the_tested_union() {
    let ground = Ground::with("k1 k2");
    ground.sh("for k in k1 k2; do agent $k \"echo > $k.txt\"; done");
    fs::write(
        ground.top.join("app/swarm.toml"),
        "[merge]\nprotected = [\"ma*\"]\n",
    )
    .unwrap();
    let before = ground.sh("git -C app rev-parse main");
    let (status, _, said) = ground.merge("--gate true");
    assert_eq!(status, 5, "{said}");
    let (status, out, said) = ground.merge("--gate true --via pr");
    assert_eq!(status, 0, "{out}{said}");
    assert_eq!(ground.sh("git -C app rev-parse main"), before);
    assert!(
        out.contains("run\tgh pr create --base main --head merge/main --title "),
        "{out}"
    );
    let files = ground.sh("git -C app ls-tree --name-only merge/main");
    assert_eq!(files, "f\nk1.txt\nk2.txt\n");
    let body = ground.sh("cat app.swarm/merge/pull/main/body.md");
    assert!(
        body.contains("`swarm/k1` by k1") && body.contains("Passed `true`"),
        "{body}"
    );
}

#[test]
fn squashed_and_rebased_branches_land_whole_and_count_as_landed() {
    for mode in ["squash", "rebase"] {
        let ground = Ground::with("k1 k2");
        ground.sh(
            "agent k1 'echo 1 > a' 'one of k1'; agent k1 'echo 2 >> a' 'two of k1'; agent k2 'sed -i 5s/.*/five/ f' 'five'",
        );
        let (status, out, said) =
            ground.merge(&format!("--gate true --mode {mode} --order given k1 k2"));
        assert_eq!(status, 0, "{mode}: {out}{said}");
        let log = ground.sh(
            "git -C app log --format='%s|%an|%(trailers:key=Agent,valueonly,separator=+)|%P' main",
        );
        let subjects: Vec<&str> = log
            .lines()
            .map(|line| line.split('|').next().unwrap())
            .collect();
        match mode {
            "squash" => assert_eq!(subjects, ["five", "one of k1", "first"]),
            _ => assert_eq!(subjects, ["five", "two of k1", "one of k1", "first"]),
        }
        assert!(log.lines().next().unwrap().contains("|k2|"), "{log}");
        assert!(
            log.lines()
                .all(|line| line.split('|').nth(3).unwrap().len() <= 40),
            "{log}"
        );
        let (status, out, _) = ground.merge("--gate false");
        assert_eq!(status, 0, "{mode}: nothing is left: {out}");
        assert_eq!(out.matches("landed by content").count(), 2, "{out}");
        let (status, out, said) = ground.merge("--check");
        assert_eq!(status, 0, "{out}{said}");
    }
}

#[test]
fn renames_land_and_binary_submodule_and_deletion_conflicts_come_back() {
    let ground = Ground::with("k1 k2 k3 k4 k5 k6");
    ground.sh("agent k1 'git mv f g'; agent k2 'sed -i 3s/.*/three/ f'
         agent k3 'printf \"\\0a\" > b'; agent k4 'printf \"\\0b\" > b'
         agent k5 'echo > dir'; agent k6 'mkdir dir && echo > dir/x'");
    let (status, out, said) = ground.merge("--gate true --order given k1 k2 k3 k4 k5 k6");
    assert_eq!(status, 1, "{out}{said}");
    assert_eq!(
        in_main(&ground, &["k1", "k2", "k3", "k4", "k5", "k6"]),
        ["k1", "k2", "k3", "k5"]
    );
    assert_eq!(
        ground.sh("sed -n 3p app/g"),
        "three\n",
        "the change followed the rename"
    );
    assert!(
        out.contains("back\tswarm/k4\tconflict\tconflict in b;"),
        "{out}"
    );
    assert!(out.contains("back\tswarm/k6\tconflict\t"), "{out}");
    let forecast = ground.merge("--forecast k4 k6").1;
    assert!(forecast.contains("main\tk4\tb\tbinary\t-"), "{forecast}");
    assert!(forecast.contains("main\tk6\t"), "{forecast}");
}

#[test]
fn submodules_go_along_into_the_tree_of_the_gate() {
    let ground = Ground::new();
    ground.sh(
        "git config --global protocol.file.allow always
         git init -q -b main lib && cd lib && echo > inside && git add . && git commit -qm lib && cd ..
         cd app && git submodule --quiet add ../lib vendor && git commit -qm submodule && cd ..
         worktree-spawn -C app -q k1 > /dev/null; agent k1 'echo > k1.txt'",
    );
    let (status, out, said) = ground.merge("--gate 'test -e vendor/inside -a -e k1.txt'");
    assert_eq!(status, 0, "{out}{said}");
    assert_eq!(ground.sh("git -C app status --porcelain"), "");
}

#[test]
fn large_files_of_lfs_are_there_for_the_gate() {
    if Command::new("git")
        .args(["lfs", "version"])
        .output()
        .map_or(true, |o| !o.status.success())
    {
        let how = "git-lfs is not installed (Debian: apt-get install git-lfs)";
        assert!(std::env::var_os("SPORE_TEST_STRICT").is_none(), "{how}");
        let mut stderr = std::io::stderr().lock();
        std::io::Write::write_all(&mut stderr, format!("skipped: {how}\n").as_bytes()).unwrap();
        return;
    }
    let ground = Ground::new();
    ground.sh(
        "git lfs install > /dev/null; cd app && git lfs track '*.bin' > /dev/null && echo one > a.bin && git add . && git commit -qm lfs && cd ..
         worktree-spawn -C app -q k1 k2 > /dev/null; agent k1 'echo two > b.bin'; agent k2 'echo > k2.txt'",
    );
    let (status, out, said) =
        ground.merge("--gate 'test \"$(cat a.bin b.bin)\" = \"$(printf \"one\\ntwo\")\"'");
    assert_eq!(status, 0, "{out}{said}");
    assert_eq!(ground.sh("cat app/b.bin"), "two\n");
}

#[test]
fn a_hundred_branches_land_together() {
    let ground = Ground::new();
    ground.sh(
        "cd app; for n in $(seq 100); do git update-ref refs/heads/b$n $(git commit-tree -p main -m $n \
         $({ git ls-tree main; printf '100644 blob %s\\tn%s\\n' $(echo $n | git hash-object -w --stdin) $n; } | git mktree)); done",
    );
    let names: Vec<String> = (1..=100).map(|n| format!("b{n}")).collect();
    let (status, out, said) = ground.merge(&format!("--gate true {}", names.join(" ")));
    assert_eq!(status, 0, "{out}{said}");
    assert_eq!(ground.gate_runs(), 1);
    assert_eq!(ground.sh("ls app | wc -l").trim(), "101");
}

#[test]
fn the_forecast_says_what_git_says_and_writes_nothing() {
    let ground = Ground::with("k1 k2 k3 k4 k5 k6 k7");
    ground.sh(
        "agent k1 'sed -i 2s/.*/k1/ f'; agent k2 'sed -i 2s/.*/k2/ f; git mv f g'
         agent k3 'git rm -q f'; agent k4 'sed -i 8s/.*/k4/ f'
         agent k5 'echo five > new'; agent k6 'echo six > new'
         echo seven > app.swarm/wt/k7/new; sed -i 8s/.*/k7/ app.swarm/wt/k7/f",
    );
    let objects = || ground.sh("cd app && find .git -type f | sort && git status --porcelain");
    let before = objects();
    let (status, out, said) = ground.merge("--forecast");
    assert_eq!(status, 1, "{said}");
    assert_eq!(objects(), before, "nothing is written");
    // git's own word, on commits; k7 commits its work for that.
    ground.sh("agent k7 true");
    let mut wanted = Vec::new();
    for a in 1..=7 {
        for b in a + 1..=7 {
            let script = format!("cd app && git merge-tree --write-tree swarm/k{a} swarm/k{b}");
            if !ground.output(&script).status.success() {
                wanted.push(format!("k{a}\tk{b}"));
            }
        }
    }
    let mut found: Vec<String> = out
        .lines()
        .map(|line| line.split('\t').take(2).collect::<Vec<_>>().join("\t"))
        .collect();
    found.dedup();
    assert_eq!(found, wanted, "{out}");
    assert!(out.contains("k4\tk7\tf\tcontents\t8/8"), "{out}");
    assert!(out.contains("k5\tk6\tnew\tcontents\t1/1"), "{out}");
}

#[test]
fn a_status_shows_what_will_conflict_and_of_what_it_does_not_know() {
    let ground = Ground::with("k1 k2 k3 k4");
    ground.sh(
        "agent k1 'sed -i 2s/.*/k1/ f'; sed -i 2s/.*/k2/ app.swarm/wt/k2/f
         agent k3 'mkdir d; echo three > d/new'; mkdir app.swarm/wt/k4/d; echo > app.swarm/wt/k4/d/new
         cd app; sed -i 2s/.*/main/ f; git commit -qam main",
    );
    let shown = ground.sh("cd app && swarm-status");
    for line in [
        "! conflict-ahead: main and k1 will conflict in f (line 2/2)\n        -> worktree-spawn --sync=merge k1\n",
        "! conflict-ahead: main and k2 will conflict in f (line 2/2)\n",
        "! conflict-ahead: k1 and k2 will conflict in f (line 2/2)\n        -> swarm-merge --forecast k1 k2\n",
        "! conflict-ahead: k3 and k4 will conflict in d/new (line 1/1)\n",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
    assert_eq!(shown.matches("conflict-ahead").count(), 4, "{shown}");
    assert!(!shown.contains("forecast:"), "{shown}");
    let records = ground.sh("cd app && swarm-status --json | head -n 1");
    let file =
        r#""a":"k3","b":"k4","files":[{"path":"d/new","kind":"contents","lines":[{"a":1,"b":1}]}]"#;
    assert!(records.contains(file), "{records}");
    // A rename needs git's own word: that pair is said not to be known.
    ground.sh("agent k4 'git mv f g'");
    let shown = ground.sh("cd app && swarm-status");
    let said = ". forecast: conflicts ahead were not looked for everywhere: ";
    assert!(shown.contains(said), "{shown}");
    assert!(shown.contains("-> swarm-merge --forecast\n"), "{shown}");
}

#[test]
fn the_policies_differ_in_when_and_whether_something_lands() {
    let work = "for k in k1 k2; do agent $k \"echo > $k.txt\"; done";
    let ground = Ground::with("k1 k2");
    ground.sh(work);
    let (status, _, said) = ground.merge("");
    assert_eq!(status, 5, "quality_gated is the default: {said}");
    let (status, out, _) = ground.merge("--policy manual --gate true");
    assert_eq!(
        (status, out.matches("would-land\t").count()),
        (0, 2),
        "{out}"
    );
    assert_eq!(in_main(&ground, &["k1", "k2"]), Vec::<String>::new());
    let (status, _, _) = ground.merge("--policy manual --gate true k1");
    assert_eq!(
        (status, in_main(&ground, &["k1", "k2"])),
        (0, vec!["k1".to_owned()])
    );

    let ground = Ground::with("k1 k2");
    ground.sh(work);
    let (status, out, said) = ground.merge("--policy immediate --gate true");
    assert_eq!(
        (status, ground.gate_runs()),
        (0, 2),
        "one by one: {out}{said}"
    );

    let ground = Ground::with("k1 k2");
    ground.sh(work);
    let (status, out, said) = ground.merge("--policy batch");
    assert_eq!((status, out.matches("landed\t").count()), (0, 2), "{said}");
}

#[test]
fn a_report_with_a_line_that_nothing_proves_fails_the_check() {
    let ground = Ground::with("k1 k2");
    ground.sh("agent k1 'echo > k1.txt'; agent k2 'echo > bad'");
    ground.merge("--gate 'test ! -e bad'");
    let (status, out, said) = ground.merge("--check");
    assert_eq!(status, 0, "{out}{said}");
    let id = ground.sh("cat app.swarm/merge/reports/last");
    let path = ground
        .top
        .join(format!("app.swarm/merge/reports/{}.json", id.trim()));
    let good = fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("\"swarm/k1\"", "\"swarm/k9\""),
        ("\"ended\":\"1\"", "\"ended\":\"0\""),
        ("1 of 2 branches landed", "2 of 2 branches landed"),
        ("\"kind\":\"red\"", "\"kind\":\"conflict\""),
        ("\"minutes\":5", "\"minutes\":1"),
    ] {
        assert!(good.contains(from), "{good}");
        fs::write(&path, good.replace(from, to)).unwrap();
        let (status, out, _) = ground.merge("--check");
        assert_eq!(status, 1, "{from} as {to}: {out}");
        assert!(out.contains("unproved\t"), "{out}");
    }
    fs::write(&path, &good).unwrap();
    ground.sh("git -C app update-ref refs/heads/main main~1");
    assert_eq!(
        ground.merge("--check").0,
        1,
        "what landed is not there any more"
    );
}

#[test]
fn a_task_whose_branch_came_back_is_given_out_again() {
    let ground = Ground::with("k1 k2");
    ground.sh("agent k1 'sed -i 2s/.*/k1/ f'; agent k2 'sed -i 2s/.*/k2/ f'");
    let lease = "\"boot\":\"00000000\",\"until_boot_ms\":0";
    let event = |kind: &str, agent: &str| {
        format!(
            "{{\"v\":1,\"type\":\"{kind}\",\"at\":\"2026-11-24T09:00:00Z\",\"correlation_id\":\"c\",\"task\":\"t-{agent}\",\"agent\":\"{agent}\",\"epoch\":1,{lease}}}\n"
        )
    };
    let path = ground.top.join("app.swarm/journal/events.jsonl");
    let mut journal = fs::read_to_string(&path).unwrap();
    for agent in ["k1", "k2"] {
        journal.push_str(&event("claimed", agent));
    }
    fs::write(&path, &journal).unwrap();
    let (_, out, _) = ground.merge("--gate true");
    assert_eq!(out.matches("still at task").count(), 2, "{out}");
    for agent in ["k1", "k2"] {
        journal.push_str(&event("done", agent));
    }
    fs::write(&path, &journal).unwrap();
    let (status, out, said) = ground.merge("--gate true --json --order given");
    assert_eq!(status, 1, "{said}");
    let task = out.lines().next().unwrap();
    assert!(task.contains("\"requirements\":[\"t-k2\"]"), "{task}");
    assert!(task.contains("\"theirs_by\":[{\"name\":\"k2\""), "{task}");
    assert!(task.contains("\"ours_by\":[{\"name\":\"k1\""), "{task}");
    let journal = fs::read_to_string(&path).unwrap();
    let retried: Vec<&str> = journal
        .lines()
        .filter(|line| line.contains("\"retried\""))
        .collect();
    assert_eq!(retried.len(), 1, "{journal}");
    assert!(retried[0].contains("\"task\":\"t-k2\""), "{journal}");
}

#[test]
fn a_git_that_was_killed_in_the_checkout_of_the_target_is_taken_back() {
    let ground = Ground::with("k1 k2");
    ground.sh(
        "agent k1 'echo one > k1.txt; sed -i 2s/.*/k1/ f'; agent k2 'mkdir d; echo two > d/k2'",
    );
    // A git that changes a part of what it is to change, and dies with its parent.
    ground.sh(r#"mkdir fake && cat > fake/git <<END
#!/bin/sh
case " \$* " in *" read-tree -m -u "*)
    for new in "\$@"; do :; done
    : > .git/index.lock
    $(command -v git) show "\$new:f" | head -c 4 > f
    $(command -v git) show "\$new:k1.txt" > k1.txt
    mkdir -p d && : > d/k2
    kill -9 \$PPID
    exit 1
esac
exec $(command -v git) "\$@"
END
chmod +x fake/git"#);
    let before = ground.sh("git -C app rev-parse main");
    let output = ground.output("cd app && PATH=$PWD/../fake:$PATH && exec swarm-merge --gate true");
    assert_eq!(output.status.code(), None, "{output:?}");
    assert_ne!(ground.sh("git -C app status --porcelain"), "");
    let (status, _, said) = ground.merge("--gate true");
    assert_eq!(status, 75, "{said}");
    assert!(said.contains("if none is, rm "), "{said}");
    ground.sh("rm app/.git/index.lock; echo mine > app/mine");
    let (status, out, said) = ground.merge("--gate 'test ! -e x'");
    assert_eq!(status, 0, "{out}{said}");
    assert!(
        said.contains("a landing that was cut off was taken back"),
        "{said}"
    );
    assert_ne!(ground.sh("git -C app rev-parse main"), before);
    assert_eq!(ground.sh("git -C app status --porcelain"), "?? mine\n");
    assert_eq!(
        ground.sh("cat app/k1.txt app/d/k2 && sed -n 2p app/f"),
        "one\ntwo\nk1\n"
    );
}

#[test]
fn the_branch_of_a_clone_lands_as_well() {
    let ground = Ground::new();
    ground.sh(
        "worktree-spawn -C app -q --isolation clone k1 > /dev/null; agent k1 'echo one > k1.txt'",
    );
    let (status, out, said) = ground.merge("--gate 'test -e k1.txt'");
    assert_eq!(
        (status, out.matches("landed\t").count()),
        (0, 1),
        "{out}{said}"
    );
    assert_eq!(ground.sh("cat app/k1.txt"), "one\n");
}

/// The first line of an exported file as JSON, and what follows it.
fn opened(path: &std::path::Path) -> (serde_json::Value, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let header = serde_json::from_slice(&bytes[..end]).unwrap();
    (header, bytes[end + 1..].to_vec())
}

/// Makes an exported first line wrong.
type Edit<'a> = &'a dyn Fn(&mut serde_json::Value);

#[test]
fn what_is_imported_is_believed_as_far_as_the_commits_bear_it_out() {
    let ground = Ground::with("k1 k2");
    ground.sh(
        "git clone -q app far; agent k1 'echo one > k1.txt'; agent k2 'echo two > k2.txt'
         cd app; printf 'look at this\n' | spore-send --as k2 --to k1 > /dev/null
         swarm-merge -q --export ../work.swarm k1 k2 > /dev/null",
    );
    let file = ground.top.join("work.swarm");
    let (mut header, bundle) = opened(&file);
    let messages = header["branches"][0]["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{header}");
    let base = ground.sh("git -C app rev-parse main").trim().to_owned();
    let head = header["branches"][0]["commit"].as_str().unwrap().to_owned();
    header["branches"][0]["outcomes"] = serde_json::json!([
        {"run": "r1", "base": base, "head": head, "commits": 1, "files": 1},
        {"run": "r2", "base": base, "head": head, "commits": 7, "files": 1},
        {"run": "r3", "base": base, "head": "--output=/tmp/x"},
        {"run": "r4"},
    ]);
    let write = |header: &serde_json::Value, bundle: &[u8]| {
        let bytes = [header.to_string().as_bytes(), b"\n", bundle].concat();
        fs::write(ground.top.join("far/in.swarm"), bytes).unwrap();
    };
    let import = || {
        let output = ground.output("cd far && swarm-merge --import in.swarm");
        let said = String::from_utf8(output.stderr).unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), out, said)
    };
    let refs = || ground.sh("git -C far for-each-ref; ls far");
    write(&header, &bundle);
    let before = refs();
    // Hostile ones first: each is refused, and nothing has come in.
    let half = &bundle[..bundle.len() / 2];
    let mut cut = header.clone();
    cut["bytes"] = half.len().into();
    write(&cut, half);
    let (status, _, said) = import();
    assert_eq!((status, refs()), (2, before.clone()), "{said}");
    let edits: [(&str, Edit); 8] = [
        ("another commit", &|h| {
            h["branches"][0]["commit"] = h["branches"][1]["commit"].clone()
        }),
        ("no commit", &|h| h["branches"][0]["commit"] = "HEAD".into()),
        ("a path", &|h| {
            h["branches"][0]["branch"] = "../../../x".into()
        }),
        ("an option", &|h| {
            h["branches"][0]["branch"] = "--force".into()
        }),
        ("two refs", &|h| {
            h["branches"][0]["reference"] = "refs/heads/swarm/k1:refs/heads/main".into();
        }),
        ("an agent", &|h| h["branches"][0]["agent"] = "../k1".into()),
        ("bytes", &|h| h["bytes"] = 7.into()),
        ("version", &|h| h["v"] = 2.into()),
    ];
    for (what, edit) in edits {
        let mut wrong = header.clone();
        edit(&mut wrong);
        write(&wrong, &bundle);
        let (status, out, said) = import();
        assert_eq!((status, &*out), (2, ""), "{what}: {said}");
        assert_eq!(refs(), before, "{what}");
    }
    fs::write(ground.top.join("far/in.swarm"), b"").unwrap();
    assert_eq!(import().0, 2);
    // The true one, with three outcomes that nothing bears out.
    write(&header, &bundle);
    let (status, out, said) = import();
    assert_eq!(status, 1, "{said}");
    assert!(
        out.contains("1 of 4 outcomes borne out, 1 messages in "),
        "{out}"
    );
    assert_eq!(said.matches("not believed: ").count(), 3, "{said}");
    let dir = out.lines().next().unwrap().rsplit(" in ").next().unwrap();
    assert!(ground.sh(&format!("cat {dir}/*")).contains("look at this"));
    let landed = ground.sh("cd far && swarm-merge -q --gate true import/swarm/k1 import/swarm/k2");
    assert_eq!(landed.matches("landed\t").count(), 2, "{landed}");
}
