//! A repository of its own for each test of worktrees, with a known git around it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Runs a command with this on its standard input.
pub(crate) fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

/// A repository in a directory of its own, with a known git around it.
pub(crate) struct Place {
    _dir: tempfile::TempDir,
    pub(crate) top: PathBuf,
}

impl Place {
    pub(crate) fn empty() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        Place { _dir: dir, top }
    }

    /// With a repository `app` of a few files of each kind and one commit, older than the racy
    /// second.
    pub(crate) fn new() -> Place {
        let place = Place::empty();
        place.git(".", "init -q -b main app");
        place.fill();
        place
    }

    pub(crate) fn fill(&self) {
        let app = self.app();
        fs::create_dir_all(app.join("src/deep/er")).unwrap();
        for n in 0..30 {
            fs::write(
                app.join(format!("src/file-{n}.rs")),
                format!("fn f{n}() {{}}\n"),
            )
            .unwrap();
        }
        fs::write(app.join("src/deep/er/empty"), "").unwrap();
        fs::write(app.join("with blank and ü.txt"), "text\n").unwrap();
        fs::write(app.join(".gitignore"), "/target\n*.env\n").unwrap();
        fs::write(app.join("run.sh"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(app.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("src/file-1.rs", app.join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", app.join("dangling")).unwrap();
        self.git("app", "add -A");
        self.git("app", "commit -qm first");
        self.age();
    }

    /// Makes the main checkout look as if it were written a while ago.
    pub(crate) fn age(&self) {
        let old = "find app -path app/.git -prune -o -exec touch -h -d '1 hour ago' {} + && git -C app update-index -q --refresh";
        let output = self.command("sh").args(["-c", old]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    pub(crate) fn app(&self) -> PathBuf {
        self.top.join("app")
    }

    pub(crate) fn tree(&self, agent: &str) -> PathBuf {
        self.top.join("app.swarm/wt").join(agent)
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("GIT_") || name.starts_with("SPORE_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(&self.top)
            .stdin(Stdio::null())
            .env("HOME", &self.top)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "t")
            .env("GIT_AUTHOR_EMAIL", "t@example.org")
            .env("GIT_COMMITTER_NAME", "t")
            .env("GIT_COMMITTER_EMAIL", "t@example.org");
        command
    }

    pub(crate) fn git(&self, dir: impl AsRef<Path>, line: &str) -> String {
        let output = self
            .command("git")
            .current_dir(self.top.join(dir))
            .args(["-c", "protocol.file.allow=always"])
            .args(line.split(' '))
            .output()
            .unwrap();
        assert!(output.status.success(), "git {line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn spawning(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_worktree-spawn"));
        command.args(["-C", "app"]).args(args);
        command
    }

    /// Runs `worktree-spawn` in `app` and holds that it ends well.
    pub(crate) fn spawn(&self, args: &[&str]) -> String {
        let output = self.spawning(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same for one that must end with `status`; gives what it said.
    pub(crate) fn refused(&self, status: i32, args: &[&str]) -> String {
        let output = self.spawning(args).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// How many names stand beside the worktrees that only a command at work may have there.
    pub(crate) fn half_made(&self) -> usize {
        let trees = fs::read_dir(self.top.join("app.swarm/wt")).unwrap();
        let names = trees.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.as_bytes().starts_with(b"."))
            .count()
    }

    /// Everything that a spawn could leave: branches, entries, names under the root.
    pub(crate) fn traces(&self) -> BTreeSet<String> {
        let mut found: BTreeSet<String> = self
            .git("app", "for-each-ref --format=%(refname)")
            .lines()
            .map(str::to_owned)
            .collect();
        let common = self.git("app", "rev-parse --absolute-git-dir");
        for dir in [
            Path::new(common.trim()).join("worktrees"),
            Path::new(common.trim()).join("spore/spawn"),
            self.top.join("app.swarm/wt"),
            self.top.join("app.swarm/mail"),
            self.top.join("app.swarm/tmp"),
        ] {
            for entry in fs::read_dir(&dir).into_iter().flatten() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let dir = dir.file_name().unwrap().to_str().unwrap();
                found.insert(format!("{dir}/{name}"));
            }
        }
        found
    }

    /// Holds that a tree is what `git worktree add` would have made.
    pub(crate) fn is_as_git_makes_it(&self, agent: &str) {
        let tree = self.tree(agent);
        assert_eq!(
            self.git(&tree, "status --porcelain"),
            "",
            "{agent} is clean"
        );
        let reference = self.top.join("reference");
        self.git(
            "app",
            &format!("worktree add -q --detach {} main", reference.display()),
        );
        let differs = self
            .command("diff")
            .args(["-r", "--no-dereference", "--exclude=.git"])
            .args([&reference, &tree])
            .output()
            .unwrap();
        assert!(differs.status.success(), "{differs:?}");
        let modes = "find . -path ./.git -prune -o -printf '%p %m %y\\n' | sort";
        let listed = |dir: &Path| {
            let output = self
                .command("sh")
                .args(["-c", modes])
                .current_dir(dir)
                .output();
            String::from_utf8(output.unwrap().stdout).unwrap()
        };
        assert_eq!(listed(&reference), listed(&tree));
        assert_eq!(
            self.git(&reference, "ls-files -s -v"),
            self.git(&tree, "ls-files -s -v")
        );
        let listed = self.git("app", "worktree list");
        assert!(listed.contains(&format!("/wt/{agent} ")), "{listed}");
        assert!(listed.contains(&format!("[swarm/{agent}]")), "{listed}");
        self.git(
            "app",
            &format!("worktree remove --force {}", reference.display()),
        );
        self.git("app", "fsck --strict");
    }
}
