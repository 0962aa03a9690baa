//! The one seam to git: a process each time, in one directory, with a known environment.
//!
//! git itself and not libgit2 does everything that filters, hooks or repository formats may have a
//! say in, so every repository that git can read is one that we can.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::Error;

/// git, started in one directory.
#[derive(Debug, Clone)]
pub struct Git {
    dir: PathBuf,
    index: Option<PathBuf>,
}

impl Git {
    /// git in `dir`.
    pub fn at(dir: impl Into<PathBuf>) -> Git {
        Git {
            dir: dir.into(),
            index: None,
        }
    }

    /// The same with another index file: the real one, and its lock, are not touched.
    pub fn with_index(&self, index: &Path) -> Git {
        Git {
            dir: self.dir.clone(),
            index: Some(index.to_owned()),
        }
    }

    /// A command to which arguments can be added. Variables that would lead it to another
    /// repository are gone, and it never asks for anything.
    pub fn command<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new("git");
        for name in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_COMMON_DIR",
            "GIT_OBJECT_DIRECTORY",
            "GIT_NAMESPACE",
            "GIT_PREFIX",
        ] {
            command.env_remove(name);
        }
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
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

fn checked(args: &[&str], output: Output) -> Result<Vec<u8>, Error> {
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
