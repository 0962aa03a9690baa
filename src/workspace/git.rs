//! The one seam to git: a process each time, in one directory, with a known environment.
//!
//! git itself and not libgit2 does everything that filters, hooks or repository formats may have a
//! say in, so every repository that git can read is one that we can.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use super::Error;

/// Variables of a git that called us, which would lead another one to its repository.
pub const MISLEADING: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// git, started in one directory.
#[derive(Debug, Clone)]
pub struct Git {
    dir: PathBuf,
    set: Vec<(&'static str, OsString)>,
}

impl Git {
    /// git in `dir`.
    pub fn at(dir: impl Into<PathBuf>) -> Git {
        Git {
            dir: dir.into(),
            set: Vec::new(),
        }
    }

    /// The same with a variable for git.
    pub(super) fn with(&self, name: &'static str, value: impl Into<OsString>) -> Git {
        let mut git = self.clone();
        git.set.push((name, value.into()));
        git
    }

    /// The same with another index file: the real one, and its lock, are not touched.
    pub fn with_index(&self, index: &Path) -> Git {
        self.with("GIT_INDEX_FILE", index)
    }

    /// The same for the tree at `top` with the git directory `git_dir`, whatever a `.git` in it says.
    pub fn of_tree(git_dir: &Path, top: &Path) -> Git {
        Git::at(top)
            .with("GIT_DIR", git_dir)
            .with("GIT_WORK_TREE", top)
    }

    /// The same that also sees the objects of another repository.
    pub fn with_objects(&self, objects: &Path) -> Git {
        self.with("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects)
    }

    /// The same with new objects going to `aside`; those of the repository, in `real`, are read and
    /// not added to.
    pub fn with_new_objects(&self, aside: &Path, real: &Path) -> Git {
        self.with("GIT_OBJECT_DIRECTORY", aside).with_objects(real)
    }

    /// The same that fetches nothing that a partial clone left out.
    pub fn offline(&self) -> Git {
        self.with("GIT_NO_LAZY_FETCH", "1")
    }

    /// The same with paths taken as they are, without patterns in them.
    pub fn literal(&self) -> Git {
        self.with("GIT_LITERAL_PATHSPECS", "1")
    }

    /// The same whose objects and refs are on disk when it returns.
    pub fn durable(&self) -> Git {
        self.with("GIT_CONFIG_COUNT", "2")
            .with("GIT_CONFIG_KEY_0", "core.fsync")
            .with("GIT_CONFIG_VALUE_0", "committed,loose-object")
            .with("GIT_CONFIG_KEY_1", "core.fsyncMethod")
            .with("GIT_CONFIG_VALUE_1", "batch")
    }

    /// The same for work of ours on refs that the guard of an agent's tree would stop.
    pub fn unguarded(&self) -> Git {
        self.with("SPORE_GUARD", "off")
    }

    /// A command to which arguments can be added. Variables that would lead it to another
    /// repository are gone, and it never asks for anything.
    pub fn command<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new("git");
        for name in MISLEADING {
            command.env_remove(name);
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .envs(self.set.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .args(args);
        command
    }

    /// Runs it whatever its status is.
    pub fn output(&self, args: &[&str]) -> Result<Output, Error> {
        self.command(args)
            .output()
            .map_err(|error| failed(args, &error.to_string()))
    }

    /// What it prints.
    ///
    /// # Errors
    /// [`Error::Git`] with what it said when its status is not 0.
    pub fn bytes(&self, args: &[&str]) -> Result<Vec<u8>, Error> {
        let output = self.output(args)?;
        checked(args, output)
    }

    /// The same as text without the final newline.
    pub fn text(&self, args: &[&str]) -> Result<String, Error> {
        let bytes = self.bytes(args)?;
        Ok(String::from_utf8_lossy(&bytes)
            .trim_end_matches('\n')
            .to_owned())
    }

    /// What it prints, or nothing when its status is not 0.
    pub fn ask(&self, args: &[&str]) -> Result<Option<String>, Error> {
        let output = self.output(args)?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(output
            .status
            .success()
            .then(|| text.trim_end_matches('\n').to_owned()))
    }

    /// What it prints when `input` is its standard input.
    pub fn feed(&self, args: &[&str], input: &[u8]) -> Result<Vec<u8>, Error> {
        checked(args, self.fed(args, input)?)
    }

    /// The same for a command whose status 1 is an honest no.
    pub fn feed_any(&self, args: &[&str], input: &[u8]) -> Result<Vec<u8>, Error> {
        let output = self.fed(args, input)?;
        match output.status.code() {
            Some(1) => Ok(output.stdout),
            _ => checked(args, output),
        }
    }

    /// Starts it beside us. `held` is a lock that it keeps for as long as it runs, whatever becomes
    /// of us.
    pub(super) fn start(
        &self,
        args: &[&str],
        input: &[u8],
        held: Option<&File>,
    ) -> Result<Running, Error> {
        let broken = |error: std::io::Error| failed(args, &error.to_string());
        let inherited = held.map(File::try_clone).transpose().map_err(broken)?;
        if let Some(file) = &inherited {
            rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())
                .map_err(|errno| broken(errno.into()))?;
        }
        let mut child = self
            .command(args)
            .stdin(match input.is_empty() {
                true => Stdio::null(),
                false => Stdio::piped(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(broken)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that stops reading says why on standard error.
            drop(stdin.write_all(input));
        }
        Ok(Running {
            command: args.join(" "),
            child: Mutex::new(Some(child)),
        })
    }

    fn fed(&self, args: &[&str], input: &[u8]) -> Result<Output, Error> {
        let broken = |error: std::io::Error| failed(args, &error.to_string());
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(broken)?;
        let mut stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                if let Some(stdin) = &mut stdin {
                    // One that stops reading says why on standard error.
                    drop(stdin.write_all(input));
                }
                drop(stdin);
            });
            child.wait_with_output()
        });
        output.map_err(broken)
    }
}

/// git at work beside us. It is waited for at the latest when this goes.
#[derive(Debug)]
pub(super) struct Running {
    command: String,
    child: Mutex<Option<Child>>,
}

impl Running {
    /// What it printed; nothing when that was asked before.
    ///
    /// # Errors
    /// [`Error::Git`] with what it said when its status is not 0.
    pub(super) fn wait(&self) -> Result<Vec<u8>, Error> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = child.take() else {
            return Ok(Vec::new());
        };
        let command = [self.command.as_str()];
        match child.wait_with_output() {
            Ok(output) => checked(&command, output),
            Err(error) => Err(failed(&command, &error.to_string())),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its answer came too late to matter; that it has ended does not.
        drop(self.wait());
    }
}

pub(super) fn checked(args: &[&str], output: Output) -> Result<Vec<u8>, Error> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(args, said.trim()))
}

fn failed(args: &[&str], said: &str) -> Error {
    Error::Git {
        command: args.join(" "),
        said: said.to_owned(),
    }
}
