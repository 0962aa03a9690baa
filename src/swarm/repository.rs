//! Where the git repository is, found as git finds it (gitrepository-layout(5), git-worktree(1),
//! "DETAILS"), without git: every `spore-send` asks, and a process would cost more than the send.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// A git repository, seen from one place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The git directory of the worktree one stands in: `.git`, or `.git/worktrees/NAME` for a
    /// linked worktree. What is stored here belongs to this worktree alone.
    pub git_dir: PathBuf,
    /// The git directory that all worktrees share.
    pub common_dir: PathBuf,
    /// The top of the worktree; none in a bare repository or inside a git directory.
    pub top: Option<PathBuf>,
}

impl Repository {
    /// The repository that `start` is in, if any.
    ///
    /// A submodule belongs to its superproject: the agent that steps into one is still at work
    /// in the outer worktree. Environment variables of git are not looked at.
    pub fn find(start: &Path) -> io::Result<Option<Repository>> {
        let start = fs::canonicalize(start)?;
        let mut submodule = None;
        for dir in start.ancestors() {
            let Some(found) = here(dir)? else { continue };
            if is_submodule(&found.common_dir) && found.top.is_some() {
                submodule.get_or_insert(found);
                continue;
            }
            let outer = submodule
                .as_ref()
                .is_none_or(|sub| sub.common_dir.starts_with(&found.common_dir));
            return Ok(if outer { Some(found) } else { submodule });
        }
        Ok(submodule)
    }

    /// The directory that people call the repository: `app` for `app/.git`, for `app.git`, and
    /// for a hidden bare one as `app/.bare`; the same from each worktree.
    pub fn home(&self) -> PathBuf {
        let mut home = PathBuf::new();
        for component in self.common_dir.components() {
            if component.as_os_str() == ".git" {
                return home;
            }
            home.push(component);
        }
        let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
        if home.file_name().is_some_and(hidden) {
            home.pop();
        } else if home.extension().is_some_and(|extension| extension == "git") {
            home.set_extension("");
        }
        home
    }

    /// `app.swarm` beside [`Repository::home`]; none if that is the root of the file system.
    pub fn beside(&self) -> Option<PathBuf> {
        let home = self.home();
        let mut name = home.file_name()?.to_owned();
        name.push(".swarm");
        Some(home.with_file_name(name))
    }

    /// The git directories of all worktrees, the main one first.
    pub fn git_dirs(&self) -> io::Result<Vec<PathBuf>> {
        let mut dirs = vec![self.common_dir.clone()];
        match fs::read_dir(self.common_dir.join("worktrees")) {
            Ok(entries) => {
                for entry in entries {
                    dirs.push(entry?.path());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        dirs[1..].sort();
        Ok(dirs)
    }
}

/// The repository whose top, or whose git directory, `dir` is.
fn here(dir: &Path) -> io::Result<Option<Repository>> {
    let dot_git = dir.join(".git");
    if is_git_dir(&dot_git) {
        return seen_from(dot_git, Some(dir.to_owned())).map(Some);
    }
    if let Some(target) = link_target(&dot_git)? {
        let git_dir = dir.join(target);
        if is_git_dir(&git_dir) {
            return seen_from(git_dir, Some(dir.to_owned())).map(Some);
        }
        return Ok(None);
    }
    if is_git_dir(dir) {
        return seen_from(dir.to_owned(), None).map(Some);
    }
    Ok(None)
}

/// Where a `.git` file points to: `gitdir: PATH`.
fn link_target(dot_git: &Path) -> io::Result<Option<PathBuf>> {
    if !dot_git.is_file() {
        return Ok(None);
    }
    let Some(bytes) = super::files::read_if_there(dot_git, 64 * 1024)? else {
        return Ok(None);
    };
    Ok(bytes
        .strip_prefix(b"gitdir: ")
        .map(|path| path_from(path.trim_ascii_end())))
}

fn seen_from(git_dir: PathBuf, top: Option<PathBuf>) -> io::Result<Repository> {
    let git_dir = fs::canonicalize(git_dir)?;
    let common_dir = match super::files::read_if_there(&git_dir.join("commondir"), 64 * 1024)? {
        Some(path) => fs::canonicalize(git_dir.join(path_from(path.trim_ascii_end())))?,
        None => git_dir.clone(),
    };
    Ok(Repository {
        git_dir,
        common_dir,
        top,
    })
}

/// What git looks for before it believes that a directory is one of its own.
fn is_git_dir(dir: &Path) -> bool {
    let has_objects = || dir.join("objects").is_dir() && dir.join("refs").is_dir();
    dir.join("HEAD").symlink_metadata().is_ok()
        && (has_objects() || dir.join("commondir").is_file())
}

/// Whether a common directory stands at `…/.git/modules/…`.
fn is_submodule(common_dir: &Path) -> bool {
    let names: Vec<Component<'_>> = common_dir.components().collect();
    names
        .windows(2)
        .any(|pair| pair[1].as_os_str() == "modules" && pair[0].as_os_str() == ".git")
        || names
            .windows(3)
            .any(|three| three[0].as_os_str() == "worktrees" && three[2].as_os_str() == "modules")
}

pub(super) fn path_from(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(dir: &Path, line: &str) {
        let output = Command::new("git")
            .current_dir(dir)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(["-c", "protocol.file.allow=always"])
            .args(line.split_whitespace())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {line}: {output:?}");
    }

    fn temporary() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(dir.path()).unwrap();
        (dir, path)
    }

    #[test]
    fn every_worktree_leads_to_the_same_place() {
        let (_dir, tmp) = temporary();
        git(&tmp, "init -q app");
        let app = tmp.join("app");
        git(&app, "commit -q --allow-empty -m first");
        git(&app, "worktree add -q ../elsewhere/wt");
        git(&app, "worktree add -q ../far");
        // As `git worktree add --relative-paths` of git 2.48 writes it.
        fs::write(tmp.join("far/.git"), "gitdir: ../app/.git/worktrees/far\n").unwrap();
        fs::create_dir_all(app.join("src/deep")).unwrap();
        fs::create_dir_all(tmp.join("elsewhere/wt/src")).unwrap();
        for place in [
            "app",
            "app/src/deep",
            "app/.git",
            "elsewhere/wt",
            "elsewhere/wt/src",
            "far",
        ] {
            let found = Repository::find(&tmp.join(place)).unwrap().unwrap();
            assert_eq!(
                found.beside().unwrap(),
                tmp.join("app.swarm"),
                "from {place}"
            );
            assert_eq!(found.common_dir, app.join(".git"), "from {place}");
        }
        let linked = Repository::find(&tmp.join("elsewhere/wt/src"))
            .unwrap()
            .unwrap();
        assert_eq!(linked.git_dir, app.join(".git/worktrees/wt"));
        assert_eq!(linked.top, Some(tmp.join("elsewhere/wt")));
        assert_eq!(linked.git_dirs().unwrap().len(), 3);
    }

    #[test]
    fn bare_and_hidden_bare_repositories_have_a_home_too() {
        let (_dir, tmp) = temporary();
        git(&tmp, "init -q --bare app.git");
        let bare = Repository::find(&tmp.join("app.git")).unwrap().unwrap();
        assert_eq!(bare.top, None);
        assert_eq!(bare.beside().unwrap(), tmp.join("app.swarm"));

        git(&tmp, "init -q --bare hidden/.bare");
        fs::write(tmp.join("hidden/.git"), "gitdir: ./.bare\n").unwrap();
        let hidden = Repository::find(&tmp.join("hidden")).unwrap().unwrap();
        assert_eq!(hidden.beside().unwrap(), tmp.join("hidden.swarm"));
    }

    #[test]
    fn a_submodule_belongs_to_its_superproject() {
        let (_dir, tmp) = temporary();
        git(&tmp, "init -q lib");
        git(&tmp.join("lib"), "commit -q --allow-empty -m first");
        git(&tmp, "init -q app");
        git(&tmp.join("app"), "submodule add -q ../lib vendor/lib");
        let found = Repository::find(&tmp.join("app/vendor/lib"))
            .unwrap()
            .unwrap();
        assert_eq!(found.top, Some(tmp.join("app")));
        assert_eq!(found.beside().unwrap(), tmp.join("app.swarm"));
    }

    #[test]
    fn outside_a_repository_there_is_none_and_a_broken_link_is_none() {
        let (_dir, tmp) = temporary();
        assert_eq!(Repository::find(&tmp).unwrap(), None);
        fs::write(tmp.join(".git"), "gitdir: /nowhere/at/all\n").unwrap();
        assert_eq!(Repository::find(&tmp).unwrap(), None);
    }
}
