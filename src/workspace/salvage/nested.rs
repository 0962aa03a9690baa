//! What git does not look into when it saves a tree: repositories inside it, of which it would store
//! a mere commit id or nothing, submodules, and directories that only look like them.
//!
//! Each is saved as a tree of its own. What is no repository that git can read here, a broken `.git`
//! for instance, is saved as plain files by way of an empty repository that stands in for it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::{Place, Snapshot, import, journal};
use crate::swarm::Identity;
use crate::workspace::{Error, Git, cache};

/// How deep repositories may stand in each other.
const DEPTH: u32 = 8;

/// Something inside a tree that is saved on its own.
pub(super) struct Nested {
    /// Where it stands in the tree; empty for the top.
    pub(super) path: PathBuf,
    kind: Kind,
    /// Whether git, asked for the files of the tree, is kept away from it. Where files in it belong to
    /// the tree, it is not.
    pub(super) apart: bool,
}

enum Kind {
    /// One with this git directory.
    Repository(PathBuf),
    /// A `.git` that is a directory, and nothing that git can read.
    Broken,
    /// Files that git takes for nobody's: in a submodule that was never brought over, or in a
    /// directory called `.GIT`.
    Files,
}

impl Nested {
    fn files(path: &Path) -> Nested {
        Nested {
            path: path.to_owned(),
            kind: Kind::Files,
            apart: true,
        }
    }
}

/// What was saved: where it stood and in which commit.
pub(super) type Inner = (PathBuf, String);

impl Place {
    /// All of them, without those in caches. `tracked` are the entries of the index, as `ls-files -s`
    /// lists them.
    pub(super) fn nested(&self, tracked: &[u8]) -> Result<Vec<Nested>, Error> {
        let mut files: Vec<&[u8]> = Vec::new();
        let mut links = BTreeSet::new();
        for (about, path) in super::listed(tracked) {
            match about.starts_with(b"160000 ") {
                true => drop(links.insert(path)),
                false => files.push(path),
            }
        }
        let holds_tracked = |dir: &Path| {
            let dir = [dir.as_os_str().as_bytes(), b"/"].concat();
            let after = files.partition_point(|path| *path < &dir[..]);
            files.get(after).is_some_and(|path| path.starts_with(&dir))
        };
        let format = self.format()?;
        let mut found = Vec::new();
        let mut walk = WalkDir::new(&self.top).into_iter();
        while let Some(entry) = walk.next() {
            let Some(dir) = entry.ok().filter(|entry| entry.file_type().is_dir()) else {
                continue;
            };
            if dir.file_name() == ".git" && dir.depth() > 0 {
                walk.skip_current_dir();
                continue;
            }
            let path = dir.path().strip_prefix(&self.top).unwrap_or(dir.path());
            if dir.file_name().eq_ignore_ascii_case(".git") && dir.depth() > 0 {
                walk.skip_current_dir();
                found.push(Nested::files(path));
                continue;
            }
            let mark = dir.path().join(".git");
            let is_top = dir.depth() == 0;
            let own = holds_tracked(path) || is_top;
            match fs::symlink_metadata(&mark) {
                Err(_) if links.contains(path.as_os_str().as_bytes()) => {
                    walk.skip_current_dir();
                    found.push(Nested::files(path));
                }
                Err(_) if !own && cache::is_cache(dir.path()) && self.ignores(path)? => {
                    walk.skip_current_dir();
                }
                Err(_) => {}
                // What says where the tree's own git directory is.
                Ok(meta) if is_top && (!meta.is_dir() || mark == self.git_dir) => {}
                Ok(meta) => {
                    let git_dir = git_dir_of(&mark);
                    let here = Git::of_tree(&git_dir, dir.path());
                    let readable = here.ask(&["rev-parse", "--show-object-format"])?;
                    let is_repository = readable.is_some_and(|its| its == format);
                    // As git tells a repository.
                    let looks = git_dir.join("HEAD").exists() && git_dir.join("objects").is_dir();
                    let apart = !own && (is_repository || looks);
                    if apart {
                        walk.skip_current_dir();
                    }
                    if is_repository || meta.is_dir() || apart {
                        found.push(Nested {
                            path: path.to_owned(),
                            kind: match is_repository {
                                true => Kind::Repository(git_dir),
                                false => Kind::Broken,
                            },
                            apart,
                        });
                    }
                }
            }
        }
        Ok(found)
    }

    fn format(&self) -> Result<String, Error> {
        self.git.text(&["rev-parse", "--show-object-format"])
    }

    fn ignores(&self, path: &Path) -> Result<bool, Error> {
        let path = [path.as_os_str().as_bytes(), b"/\0"].concat();
        let args = ["check-ignore", "-z", "--no-index", "--stdin"];
        Ok(!self.git.feed_any(&args, &path)?.is_empty())
    }

    /// Saves them, and the git directories of submodules that are no longer in the tree. Those that
    /// stand apart and have a commit become a commit id in the index, as git would have it.
    pub(super) fn save_nested(
        &self,
        aside: &Git,
        nested: &[Nested],
        keep: &[String],
        depth: u32,
    ) -> Result<Vec<Inner>, Error> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for one in nested {
            let top = self.top.join(&one.path);
            match &one.kind {
                Kind::Files => found.extend(self.save_files(&top, &one.path, keep, depth)?),
                // The directory with all that is in it.
                Kind::Broken if one.apart => {
                    found.extend(self.save_files(&top, &one.path, keep, depth)?);
                }
                Kind::Broken => {
                    let mark = one.path.join(".git");
                    found.extend(self.save_files(&top.join(".git"), &mark, keep, depth)?);
                }
                Kind::Repository(git_dir) => {
                    seen.extend(fs::canonicalize(git_dir).ok());
                    let saved = self.save_repository(git_dir, Some(&top), &one.path, keep, depth);
                    let Some((head, inner)) = unless_broken(saved)? else {
                        if one.apart {
                            found.extend(self.save_files(&top, &one.path, keep, depth)?);
                        } else if git_dir.starts_with(&top) {
                            let mark = one.path.join(".git");
                            found.extend(self.save_files(git_dir, &mark, keep, depth)?);
                        }
                        continue;
                    };
                    found.extend(inner);
                    if let Some(head) = head.filter(|_| one.apart) {
                        let mut line = format!("160000 {head}\t").into_bytes();
                        line.extend_from_slice(one.path.as_os_str().as_bytes());
                        line.push(0);
                        aside.feed(&["update-index", "-z", "--index-info"], &line)?;
                    }
                }
            }
        }
        found.extend(self.save_modules(&seen, keep, depth)?);
        Ok(found)
    }

    /// The git directories of submodules of which `seen` are known.
    pub(super) fn save_modules(
        &self,
        seen: &BTreeSet<PathBuf>,
        keep: &[String],
        depth: u32,
    ) -> Result<Vec<Inner>, Error> {
        let mut found = Vec::new();
        let modules = self.git_dir.join("modules");
        let mut walk = WalkDir::new(&modules).into_iter();
        while let Some(entry) = walk.next() {
            let Some(dir) = entry.ok().filter(|entry| entry.file_type().is_dir()) else {
                continue;
            };
            if !dir.path().join("HEAD").exists() {
                continue;
            }
            walk.skip_current_dir();
            if fs::canonicalize(dir.path()).is_ok_and(|path| seen.contains(&path)) {
                continue;
            }
            let within = dir.path().strip_prefix(&self.git_dir);
            let label = Path::new(".git").join(within.unwrap_or(dir.path()));
            let saved = self.save_repository(dir.path(), None, &label, keep, depth);
            match unless_broken(saved)? {
                Some((_, inner)) => found.extend(inner),
                None => found.extend(self.save_files(dir.path(), &label, keep, depth)?),
            }
        }
        Ok(found)
    }

    /// Saves a repository, and says what is checked out in it. Nothing is saved of what is elsewhere
    /// too: in the remote of a submodule, or under the refs of a repository outside the tree.
    fn save_repository(
        &self,
        git_dir: &Path,
        top: Option<&Path>,
        label: &Path,
        keep: &[String],
        depth: u32,
    ) -> Result<(Option<String>, Option<Inner>), Error> {
        too_deep(depth, label)?;
        let its_top = top.unwrap_or(git_dir);
        let git = Git::of_tree(git_dir, its_top).unguarded().durable();
        let common = PathBuf::from(git.text(COMMON)?);
        let ours = PathBuf::from(self.git.text(COMMON)?);
        if common == ours
            && let Some(other) = Identity::read(git_dir)?
        {
            let agent = other.agent;
            return Err(Error::Refused {
                what: format!("the tree of {agent:?} stands in this one, in {label:?}"),
                hint: format!("worktree-reap {agent}"),
            });
        }
        let is_clone = !git_dir.join("commondir").exists();
        let elsewhere = match (common.starts_with(its_top), is_clone) {
            (false, true) => Some("refs/remotes"),
            (false, false) if !common.starts_with(&self.top) => Some("refs"),
            _ => None,
        };
        let place = Place {
            git,
            main: None,
            is_there: top.is_some(),
            is_clone,
            elsewhere,
            say: format!("salvage of {}\n\n", super::in_a_line(label)),
            git_dir: git_dir.to_owned(),
            top: its_top.to_owned(),
        };
        let snapshot = place.snapshot(keep, None, depth + 1)?;
        let head = snapshot.head.clone();
        if !snapshot.needed {
            return Ok((head, None));
        }
        if common != ours {
            import(&self.git, &ours, &common.join("objects"), &snapshot.commit)?;
        }
        Ok((head, Some((label.to_owned(), snapshot.commit))))
    }

    /// Saves the files in a directory, whatever git thinks of it, by way of an empty repository.
    fn save_files(
        &self,
        top: &Path,
        label: &Path,
        keep: &[String],
        depth: u32,
    ) -> Result<Option<Inner>, Error> {
        too_deep(depth, label)?;
        if !holds_files(top) {
            return Ok(None);
        }
        let scratch = format!("spore-salvage-{}-inner", std::process::id());
        let scratch = self.git_dir.join(scratch);
        journal::remove_tree(&scratch)?;
        let format = format!("--object-format={}", self.format()?);
        let path = scratch.display().to_string();
        let init = ["init", "-q", "--bare", "--template=", &format, "--", &path];
        Git::at(&self.git_dir).bytes(&init)?;
        let place = Place {
            git: Git::of_tree(&scratch, top).unguarded().durable(),
            main: None,
            is_there: true,
            is_clone: true,
            elsewhere: None,
            say: format!("salvage of {}\n\n", super::in_a_line(label)),
            git_dir: scratch.clone(),
            top: top.to_owned(),
        };
        let saved =
            place
                .snapshot(keep, None, depth + 1)
                .and_then(|Snapshot { commit, .. }| {
                    let common = PathBuf::from(self.git.text(COMMON)?);
                    import(&self.git, &common, &scratch.join("objects"), &commit)?;
                    Ok(commit)
                });
        journal::remove_tree(&scratch)?;
        Ok(Some((label.to_owned(), saved?)))
    }
}

const COMMON: &[&str] = &["rev-parse", "--path-format=absolute", "--git-common-dir"];

/// Nothing where git could not do it: the repository is broken.
fn unless_broken<T>(saved: Result<T, Error>) -> Result<Option<T>, Error> {
    match saved {
        Ok(saved) => Ok(Some(saved)),
        Err(Error::Git { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn too_deep(depth: u32, label: &Path) -> Result<(), Error> {
    if depth < DEPTH {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!("{label:?}: repositories stand too deep in each other"),
        hint: "move it away first".to_owned(),
    })
}

fn holds_files(dir: &Path) -> bool {
    let mut entries = WalkDir::new(dir).into_iter().flatten();
    entries.any(|entry| !entry.file_type().is_dir())
}

/// The git directory that a `.git` is or names.
fn git_dir_of(mark: &Path) -> PathBuf {
    let named = fs::read(mark).ok().and_then(|bytes| {
        let path = bytes.strip_prefix(b"gitdir: ")?.trim_ascii_end();
        Some(mark.parent()?.join(OsStr::from_bytes(path)))
    });
    named.unwrap_or_else(|| mark.to_owned())
}
