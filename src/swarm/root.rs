//! The root: where a swarm lives.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, Repository, files};

/// The number of the layout that this version reads and writes. A swarm whose `VERSION` begins
/// with another number is refused.
pub const LAYOUT: u32 = 1;

/// What decides where the root is. [`Root::find`] says in which order.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where to look from: `-C DIR`, else the working directory. Empty means the working directory.
    pub start: PathBuf,
    /// What `--root` or, weaker, `SPORE_ROOT` say; relative paths count from `start`.
    pub root: Option<PathBuf>,
}

/// A swarm's directory, which need not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
    repository: Option<Repository>,
}

impl Root {
    /// Where the swarm is: `options.root`, else `git config spore.root` in the repository's own
    /// configuration, else `<repository>.swarm` beside the repository. Makes nothing; a directory
    /// that is there is checked.
    ///
    /// # Errors
    /// [`Error::NoRepository`] when nothing says where, [`Error::Layout`] and [`Error::NotASwarm`]
    /// for a directory that is not for us.
    pub fn find(options: &Options) -> Result<Root, Error> {
        let start = match options.start.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => options.start.clone(),
        };
        let repository = Repository::find(&start).map_err(Error::at(&start))?;
        let path = match (&options.root, &repository) {
            (Some(root), _) => {
                let path = start.join(root);
                std::path::absolute(&path).map_err(Error::at(path))?
            }
            (None, Some(repository)) => match configured(repository)? {
                Some(path) => path,
                None => repository
                    .beside()
                    .ok_or_else(|| Error::NoPlaceBeside(repository.home()))?,
            },
            (None, None) => {
                let start = std::path::absolute(&start).map_err(Error::at(start))?;
                return Err(Error::NoRepository(start));
            }
        };
        let root = Root { path, repository };
        root.check()?;
        Ok(root)
    }

    /// Makes the root if it is not there. Several processes may do so at once, and any of them may
    /// be killed.
    pub fn make(&self) -> Result<(), Error> {
        let version = self.path.join("VERSION");
        if !version.exists() {
            files::make_dirs(&self.path).map_err(Error::at(&self.path))?;
            self.check()?;
            files::write_new(&version, format!("{LAYOUT}\n").as_bytes())
                .map_err(Error::at(version))?;
        }
        self.check()
    }

    /// Whether the swarm has been begun.
    pub fn exists(&self) -> bool {
        self.path.join("VERSION").exists()
    }

    /// Makes `directory` (one of those below, or something in one) and the root if need be.
    pub fn make_dir(&self, directory: &Path) -> Result<(), Error> {
        if directory.is_dir() {
            return Ok(());
        }
        self.make()?;
        files::make_dirs(directory).map_err(Error::at(directory))
    }

    /// The same for several directories of the root: their names are put on disk together.
    pub fn make_dirs(&self, directories: &[PathBuf]) -> Result<(), Error> {
        let missing = directories.iter().filter(|directory| !directory.is_dir());
        let missing: Vec<&PathBuf> = missing.collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.make()?;
        files::make_dirs_of(&self.path, &missing).map_err(Error::at(&self.path))
    }

    /// The root itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The repository one stands in, if any. With `--root` it may have nothing to do with the root.
    pub fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }

    /// `mail/`: a mailbox for each agent.
    pub fn mail(&self) -> PathBuf {
        self.path.join("mail")
    }

    /// `group/`: a file for each group.
    pub fn groups(&self) -> PathBuf {
        self.path.join("group")
    }

    /// `topic/`: a file for each topic.
    pub fn topics(&self) -> PathBuf {
        self.path.join("topic")
    }

    /// `wt/`: a worktree for each agent.
    pub fn worktrees(&self) -> PathBuf {
        self.path.join("wt")
    }

    /// `outbox/`: a directory for each bus.
    pub fn outbox(&self) -> PathBuf {
        self.path.join("outbox")
    }

    /// `plan.json`: the plan in force.
    pub fn plan(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    /// `journal/`: what happened.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// `runs/`: a directory for each agent run.
    pub fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    /// `swarm.toml` of the worktree one stands in; none in a bare repository and outside of any.
    pub fn config_file(&self) -> Option<PathBuf> {
        let top = self.repository.as_ref()?.top.as_ref()?;
        Some(top.join("swarm.toml"))
    }

    /// Refuses a directory that is there and is not a swarm of our layout.
    fn check(&self) -> Result<(), Error> {
        if let Some(found) = self.layout()? {
            let major = found.split('.').next().unwrap_or_default();
            return match major.parse() {
                Ok(LAYOUT) => Ok(()),
                _ => Err(Error::Layout {
                    path: self.path.clone(),
                    found,
                }),
            };
        }
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::at(&self.path)(error)),
        };
        for entry in entries {
            let name = entry.map_err(Error::at(&self.path))?.file_name();
            let name = name.to_string_lossy().into_owned();
            // Another process may have begun the swarm since we looked for its VERSION.
            if !name.starts_with(files::TEMPORARY) && self.layout()?.is_none() {
                return Err(Error::NotASwarm {
                    path: self.path.clone(),
                    name,
                });
            }
        }
        Ok(())
    }

    /// What `VERSION` says.
    fn layout(&self) -> Result<Option<String>, Error> {
        let path = self.path.join("VERSION");
        let bytes = files::read_if_there(&path, 64).map_err(Error::at(path))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
    }
}

/// What the repository's own configuration says under `spore.root`; relative to
/// [`Repository::home`]. Git is asked only if that file has a section of ours at all.
fn configured(repository: &Repository) -> Result<Option<PathBuf>, Error> {
    let file = repository.common_dir.join("config");
    let bytes = files::read_if_there(&file, 16 * 1024 * 1024).map_err(Error::at(&file))?;
    if !bytes.is_some_and(|bytes| mentions_spore(&bytes)) {
        return Ok(None);
    }
    let output = Command::new("git")
        .args(["config", "--includes", "--type=path", "--null", "--file"])
        .arg(&file)
        .args(["--get", "spore.root"])
        .output()
        .map_err(|error| Error::GitConfig(error.to_string()))?;
    match output.status.code() {
        Some(0) => {
            let value = output.stdout.strip_suffix(b"\0").unwrap_or(&output.stdout);
            Ok(Some(
                repository.home().join(super::repository::path_from(value)),
            ))
        }
        Some(1) => Ok(None),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Error::GitConfig(said.trim().to_owned()))
        }
    }
}

/// Whether a git configuration file may have a section `[spore]` (in any case, as git reads it).
fn mentions_spore(config: &[u8]) -> bool {
    config.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii_start();
        line.get(..6)
            .is_some_and(|head| head.eq_ignore_ascii_case(b"[spore"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(root: &Path) -> Options {
        Options {
            start: root.parent().unwrap().to_owned(),
            root: Some(root.to_owned()),
        }
    }

    #[test]
    fn a_root_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.swarm");
        let root = Root::find(&at(&path)).unwrap();
        assert!(!root.exists() && !path.exists(), "finding makes nothing");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    root.make().unwrap();
                    root.make_dir(&root.mail().join("kiro-1")).unwrap();
                });
            }
        });
        assert!(Root::find(&at(&path)).unwrap().exists());
        assert_eq!(fs::read_to_string(path.join("VERSION")).unwrap(), "1\n");
    }

    #[test]
    fn what_a_killed_maker_left_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.swarm");
        fs::create_dir(&path).unwrap();
        fs::write(path.join(".tmp-1-0-00"), "").unwrap();
        Root::find(&at(&path)).unwrap().make().unwrap();
        assert!(path.join("VERSION").exists());
    }

    #[test]
    fn a_newer_layout_and_a_strange_directory_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.swarm");
        fs::create_dir(&path).unwrap();
        for (version, good) in [("1\n", true), ("1.7\n", true), ("2\n", false), ("", false)] {
            fs::write(path.join("VERSION"), version).unwrap();
            assert_eq!(Root::find(&at(&path)).is_ok(), good, "{version:?}");
        }
        fs::remove_file(path.join("VERSION")).unwrap();
        fs::write(path.join("thesis.doc"), "").unwrap();
        let error = Root::find(&at(&path)).unwrap_err();
        assert!(error.to_string().contains("thesis.doc"), "{error}");
    }

    #[test]
    fn the_repository_s_configuration_may_name_another_place() {
        let dir = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(dir.path()).unwrap();
        let app = home.join("app");
        let git = |args: &[&str]| {
            assert!(
                Command::new("git")
                    .current_dir(&home)
                    .args(args)
                    .status()
                    .unwrap()
                    .success()
            );
        };
        git(&["init", "-q", "app"]);
        let start = Options {
            start: app.clone(),
            root: None,
        };
        assert_eq!(Root::find(&start).unwrap().path(), home.join("app.swarm"));
        git(&["-C", "app", "config", "Spore.root", "../other"]);
        assert_eq!(Root::find(&start).unwrap().path(), app.join("../other"));
        let flag = Options {
            root: Some("here".into()),
            ..start
        };
        assert_eq!(Root::find(&flag).unwrap().path(), app.join("here"));
    }

    #[test]
    fn without_a_repository_a_root_must_be_given() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            start: dir.path().to_owned(),
            root: None,
        };
        assert!(matches!(Root::find(&options), Err(Error::NoRepository(_))));
    }
}
