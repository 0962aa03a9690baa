//! A spawn that is killed at any of its steps, alone or together with the git that it waits for,
//! leaves all or nothing once the next one ran.
//!
//! strace kills it when it enters a system call that changes something; each time in a fresh copy of
//! the same repository. A few of these calls are tried, all of them with `SPORE_TEST_KILLS=all`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::hurt::skip;
use crate::place::Place;

/// What changes names, files or processes. Of `openat` only what makes a file counts.
const CALLS: &str = "mkdir,mkdirat,openat,write,pwrite64,rename,renameat,renameat2,link,linkat,symlink,symlinkat,\
                     unlink,unlinkat,rmdir,ftruncate,fsync,fdatasync,utimensat,chmod,fchmod,flock,clone,clone3,vfork";

/// A git that runs the one invocation that `KILL_GIT` means under strace with the options `KILL_HOW`;
/// if it is killed and `KILL_PARENT` is set, whoever waits for it dies with it.
const GIT: &str = r#"#!/bin/sh
echo "$*" >> "$KILL_LOG"
case "$*" in
$KILL_GIT) ;;
*) exec "$REAL_GIT" "$@" ;;
esac
strace -qq $KILL_HOW "$REAL_GIT" "$@"
status=$?
if [ $status -eq 137 ] && [ -n "$KILL_PARENT" ]; then kill -9 $PPID; fi
exit $status
"#;

/// Whom a kill hits.
#[derive(Debug, Clone, PartialEq)]
enum Victim {
    Spawn,
    /// The git with these arguments, and with it the spawn or not.
    Git(String, bool),
}

#[derive(Debug, Clone)]
struct Kill {
    victim: Victim,
    call: String,
    number: usize,
}

struct Scene {
    /// A repository in which nothing was spawned.
    fresh: Place,
    git: String,
}

impl Scene {
    fn new(setup: &str) -> Scene {
        let fresh = Place::new();
        let output = fresh.command("sh").args(["-ec", setup]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let git = fresh.command("sh").args(["-c", "command -v git"]).output();
        let git = String::from_utf8(git.unwrap().stdout).unwrap();
        fs::create_dir(fresh.top.join("bin")).unwrap();
        let script = fresh.top.join("bin/git");
        fs::write(&script, "").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        Scene {
            fresh,
            git: git.trim().to_owned(),
        }
    }

    fn copy(&self) -> Place {
        let place = Place::empty();
        let copy = "cp -a \"$1\"/app \"$1\"/bin . && git -C app update-index -q --really-refresh";
        let output = place
            .command("sh")
            .args(["-ec", copy, "sh"])
            .arg(&self.fresh.top)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        place
    }

    /// `worktree-spawn a b`, whom `victim` names under strace with these options.
    fn spawn(&self, place: &Place, victim: &Victim, how: &str) -> Output {
        let tool = env!("CARGO_BIN_EXE_worktree-spawn");
        let mut command = match victim {
            Victim::Spawn => {
                let mut command = place.command("strace");
                command.args(["-qq"]).args(how.split(' ')).arg(tool);
                command
            }
            Victim::Git(args, with_parent) => {
                let script = place.top.join("bin/git");
                // A pattern in which only the stars are not literal.
                let quoted = format!("'{}')", args.replace('*', "'*'"));
                fs::write(&script, GIT.replace("$KILL_GIT)", &quoted)).unwrap();
                let path = std::env::var("PATH").unwrap();
                let mut command = place.command(tool);
                command
                    .env(
                        "PATH",
                        format!("{}:{path}", place.top.join("bin").display()),
                    )
                    .env("REAL_GIT", &self.git)
                    .env("KILL_LOG", place.top.join("gits"))
                    .env("KILL_HOW", how)
                    .env("KILL_PARENT", if *with_parent { "yes" } else { "" });
                command
            }
        };
        command.args(["-C", "app", "a", "b"]).output().unwrap()
    }

    /// Every step of a spawn that nobody disturbs.
    fn steps(&self, victim: &Victim) -> Vec<Kill> {
        let place = self.copy();
        let log = place.top.join("trace");
        let how = format!("-o {} -e trace={CALLS}", log.display());
        let ran = self.spawn(&place, victim, &how);
        assert!(ran.status.success(), "{ran:?}");
        let text = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
        let mut seen = HashMap::<&str, usize>::new();
        let mut steps = Vec::new();
        for line in text.lines() {
            let Some((call, rest)) = line.split_once('(') else {
                continue;
            };
            let number = seen.entry(call).or_default();
            *number += 1;
            let looks = call == "openat" && !rest.contains("O_CREAT");
            let says = call == "write" && (rest.starts_with("1,") || rest.starts_with("2,"));
            if !looks && !says {
                steps.push(Kill {
                    victim: victim.clone(),
                    call: call.to_owned(),
                    number: *number,
                });
            }
        }
        steps
    }

    /// The invocations of git by a spawn, but for those that only look.
    fn gits(&self) -> Vec<String> {
        let place = self.copy();
        let ran = self.spawn(&place, &Victim::Git("none".to_owned(), false), "");
        assert!(ran.status.success(), "{ran:?}");
        let log = fs::read_to_string(place.top.join("gits")).unwrap();
        let looks = ["config --list", "rev-parse", "hook run", "for-each-ref"];
        let writes = log
            .lines()
            .filter(|line| !looks.iter().any(|look| line.starts_with(look)));
        // What differs from run to run: the directory and the name of the spawn.
        let plain = |line: &str| {
            let words = line.split(' ').map(|word| {
                let varies = word.starts_with('/') || word.len() == 36;
                match (varies, word.rsplit('/').next()) {
                    (false, _) => word.to_owned(),
                    (true, Some(last)) if last.len() < 36 => format!("*/{last}"),
                    (true, _) => "*".to_owned(),
                }
            });
            words.collect::<Vec<_>>().join(" ").replace("'", "")
        };
        let mut gits: Vec<String> = writes.map(plain).collect();
        gits.sort();
        gits.dedup();
        gits
    }

    fn hold(&self, kill: &Kill, unharmed: &BTreeMap<String, String>) -> bool {
        let place = self.copy();
        let how = format!(
            "-o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={}",
            kill.number,
            call = kill.call
        );
        let ran = self.spawn(&place, &kill.victim, &how);
        let again = place.spawning(&["a", "b"]).output().unwrap();
        // All are there, or none was and the second spawn made them.
        let status = again.status.code();
        assert!(
            matches!(status, Some(0 | 4)),
            "{kill:?}: {ran:?}, then {again:?}"
        );
        // One whose git was killed took everything back itself.
        let alone = matches!(kill.victim, Victim::Git(_, false));
        assert!(
            ran.status.success() || !alone || status == Some(0),
            "{kill:?}"
        );
        let left = traces(&place);
        for (name, what) in &left {
            assert_eq!(unharmed.get(name), Some(what), "{kill:?}: {name} is left");
        }
        for name in unharmed.keys() {
            assert!(
                left.contains_key(name),
                "{kill:?}: {name} is missing; {ran:?} {again:?}"
            );
        }
        for agent in ["a", "b"] {
            assert_eq!(
                place.git(place.tree(agent), "status --porcelain"),
                "",
                "{kill:?}"
            );
        }
        assert_eq!(
            place.git("app", "fsck --strict --no-dangling"),
            "",
            "{kill:?}"
        );
        !ran.status.success()
    }
}

/// Every name in the repository's git directory and the swarm's, with the content of what must be
/// the same after each spawn.
fn traces(place: &Place) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for top in ["app/.git", "app.swarm"] {
        for entry in walkdir::WalkDir::new(place.top.join(top)) {
            let entry = entry.unwrap();
            let name = entry.path().strip_prefix(&place.top).unwrap();
            let name = name.to_str().unwrap().to_owned();
            // A day has its own directory; the next may begin meanwhile. A temporary name in the
            // root may be anybody's: it goes when it is old.
            if name.contains("/done/") || name.starts_with("app.swarm/.tmp-") {
                continue;
            }
            let same = ["app/.git/config", "app/.git/packed-refs", "app/.git/HEAD"];
            let text = || fs::read_to_string(entry.path()).unwrap_or_default();
            let what = if same.contains(&&*name) || name.contains(".git/refs/heads/") {
                text()
            } else if name.contains(".git/logs/") {
                text().lines().count().to_string()
            } else {
                String::new()
            };
            found.insert(name, what);
        }
    }
    let events = place.top.join("app.swarm/journal/events.jsonl");
    let joined = fs::read_to_string(events).unwrap_or_default();
    found.insert("joined".to_owned(), joined.lines().count().to_string());
    found
}

fn has_strace() -> bool {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        skip(
            "a spawn is killed",
            "strace does not work here (Debian package strace)",
        );
    }
    works
}

fn kill_at(setup: &str, of_spawn: usize, of_each_git: usize) {
    if !has_strace() {
        return;
    }
    let all = std::env::var("SPORE_TEST_KILLS").is_ok_and(|value| value == "all");
    let some = |steps: Vec<Kill>, limit: usize| {
        let step = if all {
            1
        } else {
            steps.len().div_ceil(limit).max(1)
        };
        steps.into_iter().step_by(step).collect::<Vec<_>>()
    };
    let scene = Scene::new(setup);
    let mut kills = some(scene.steps(&Victim::Spawn), of_spawn);
    assert!(kills.len() > of_spawn / 2, "{kills:?}");
    let gits = scene.gits();
    assert!(!gits.is_empty());
    for (place, git) in gits.into_iter().enumerate() {
        let with_parent = |yes| Victim::Git(git.clone(), yes);
        let steps = scene.steps(&with_parent(true));
        // Every second git without us, so that we take back what it left.
        let alone: Vec<Kill> = steps
            .iter()
            .map(|kill| Kill {
                victim: with_parent(false),
                ..kill.clone()
            })
            .collect();
        if all || place % 2 == 0 {
            kills.extend(some(alone, of_each_git / 2));
        }
        kills.extend(some(steps, of_each_git));
    }
    let reference = scene.copy();
    reference.spawn(&["a", "b"]);
    let unharmed = traces(&reference);
    let [next, killed, failed] = [const { AtomicUsize::new(0) }; 3];
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(kill) = kills.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Every one that fails is said, not the first alone.
                    let held = AssertUnwindSafe(|| scene.hold(kill, &unharmed));
                    match std::panic::catch_unwind(held) {
                        Ok(hit) => killed.fetch_add(usize::from(hit), Ordering::Relaxed),
                        Err(_) => failed.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
    });
    // Random names and other threads may change a call or two from run to run.
    assert_eq!(failed.into_inner(), 0, "of {} kills", kills.len());
    let killed = killed.into_inner();
    assert!(killed * 4 >= kills.len() * 3, "{killed} of {}", kills.len());
}

#[test]
fn a_spawn_killed_at_any_step_leaves_all_or_nothing() {
    kill_at("cd app && git commit -q --allow-empty -m second", 20, 4);
}

#[test]
fn a_spawn_that_is_left_to_git_may_be_killed_too() {
    kill_at("cd app && git config index.version 4", 5, 4);
}
