//! Saving everything that an agent wrote: one commit under `refs/spore/salvage/AGENT/N`.
//!
//! The commit's tree is the working tree as it stands: tracked, changed, untracked, and the ignored
//! files that cannot be made again ([`super::cache`]). Its message says what its parents are:
//!
//! | line | parent | when |
//! |---|---|---|
//! | `Spore-Head` | what was checked out | unless nothing was ever committed |
//! | `Spore-Staged` | what was staged | where the file says something else by now |
//! | `Spore-Exact` | the very bytes of files that a filter stores differently | line endings, `clean` filters |
//! | `Spore-Inner` | something inside the tree, saved in the same way, and where it stood | repositories, submodules with work, a broken `.git` |
//! | `Spore-Loose` | commits that only a reflog or a bisect, merge, rebase remembers | after `reset`, `amend`, on a detached HEAD |
//!
//! `Spore-Branch` and `Spore-Base` say which branch it was and what it began at. Nothing in the tree
//! changes: the index is a copy, so a leftover `index.lock` is no hindrance.

mod nested;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Error, Git, Tree, cache, journal, merge};
use crate::swarm::Root;

/// What was saved of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The ref that holds it.
    pub reference: String,
    /// The commit that it names.
    pub commit: String,
    /// How many files differ from the last commit, new ones included.
    pub files: usize,
    /// What was checked out; none where nothing was ever committed.
    pub head: Option<String>,
}

/// Saves all that is in a tree, and says where. A second time without a change gives the same ref.
/// `keep` are patterns of ignored files that are work though they are in a cache or as in the main
/// checkout.
///
/// # Errors
/// Whatever stops it, nothing in the tree was touched.
pub fn save(root: &Root, tree: &Tree, keep: &[String]) -> Result<Saved, Error> {
    let repository = root.repository().ok_or_else(Error::no_repository)?;
    let common = &repository.common_dir;
    let agent = tree.identity.agent.as_str();
    // A directory that somebody removed by hand leaves what was staged and committed.
    let top = match tree.path.is_dir() {
        true => &tree.path,
        false => &tree.git_dir,
    };
    let place = Place {
        git: Git::of_tree(&tree.git_dir, top).unguarded().durable(),
        is_there: tree.path.is_dir(),
        top: top.clone(),
        git_dir: tree.git_dir.clone(),
        main: main_top(common),
        is_clone: tree.is_clone(),
        elsewhere: None,
        say: format!(
            "salvage of {agent}\n\nSpore-Branch: {}\nSpore-Base: {}\n",
            tree.identity.branch.as_deref().unwrap_or_default(),
            tree.notes.base
        ),
    };
    let branch = tree.identity.branch.as_deref();
    let snapshot = place.snapshot(keep, branch, 0)?;
    let git = Git::at(common).durable();
    if tree.is_clone() {
        import(
            &git,
            common,
            &tree.git_dir.join("objects"),
            &snapshot.commit,
        )?;
    }
    Ok(Saved {
        reference: name_it(&git, agent, &snapshot.commit)?,
        commit: snapshot.commit,
        files: snapshot.files,
        head: snapshot.head,
    })
}

/// The entries in what `ls-files -s -z` or `ls-tree -z` lists: what git says of each, and its path.
pub(super) fn listed(entries: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    entries.split(|byte| *byte == 0).filter_map(|entry| {
        let tab = entry.iter().position(|byte| *byte == b'\t')?;
        Some((&entry[..tab], &entry[tab + 1..]))
    })
}

/// The top of the main checkout; none for a bare repository.
pub(super) fn main_top(common: &Path) -> Option<PathBuf> {
    let top = common.parent().filter(|_| common.ends_with(".git"))?;
    Some(top.to_owned())
}

/// A working tree whose content is to become a commit.
struct Place {
    git: Git,
    top: PathBuf,
    is_there: bool,
    git_dir: PathBuf,
    main: Option<PathBuf>,
    is_clone: bool,
    /// Refs below this are of what is somewhere else too, and need not be saved.
    elsewhere: Option<&'static str>,
    say: String,
}

struct Snapshot {
    commit: String,
    files: usize,
    head: Option<String>,
    /// Whether it says anything that is not `elsewhere`.
    needed: bool,
}

impl Place {
    fn snapshot(
        &self,
        keep: &[String],
        branch: Option<&str>,
        depth: u32,
    ) -> Result<Snapshot, Error> {
        let head = merge::commit_of(&self.git, "HEAD")?;
        let scratch = self
            .git_dir
            .join(format!("spore-salvage-{}", std::process::id()));
        let written = self.write(&scratch, head.as_deref(), keep, depth);
        journal::remove_file(&scratch)?;
        journal::remove_file(&lock_of(&scratch))?;
        let Written {
            staged,
            whole,
            exact,
            inner,
        } = written?;
        let head_tree = match &head {
            Some(head) => Some(self.git.text(&["rev-parse", &format!("{head}^{{tree}}")])?),
            None => None,
        };
        let mut parents: Vec<String> = head.iter().cloned().collect();
        let mut say = self.say.clone();
        let mut note = |word: &str, what: &str| say.push_str(&format!("Spore-{word}: {what}\n"));
        if let Some(head) = &head {
            note("Head", head);
        }
        for (word, tree) in [
            (
                "Staged",
                staged.filter(|s| *s != whole && Some(s) != head_tree.as_ref()),
            ),
            ("Exact", exact),
        ] {
            if let Some(tree) = tree {
                let commit = self.commit(&tree, &parents[..head.iter().len()], word, true)?;
                note(word, &commit);
                parents.push(commit);
            }
        }
        for (path, commit) in inner {
            note("Inner", &format!("{commit} {}", in_a_line(&path)));
            parents.push(commit);
        }
        let elsewhere = self.elsewhere()?;
        let known = [&parents[..], &elsewhere].concat();
        for commit in self.loose(&known, branch)? {
            note("Loose", &commit);
            parents.push(commit);
        }
        let files = match &head_tree {
            Some(head) if *head == whole => 0,
            Some(head) => {
                let names = ["diff-tree", "-r", "-z", "--name-only", head, &whole];
                count(&self.git.bytes(&names)?)
            }
            None => count(
                &self
                    .git
                    .bytes(&["ls-tree", "-r", "-z", "--name-only", &whole])?,
            ),
        };
        let is_plain = parents.len() == head.iter().len() && files == 0;
        Ok(Snapshot {
            commit: self.commit(&whole, &parents, &say, false)?,
            files,
            needed: !is_plain || self.is_new(head.as_deref(), &elsewhere)?,
            head,
        })
    }

    /// The commits of the refs that are somewhere else too.
    fn elsewhere(&self) -> Result<Vec<String>, Error> {
        let Some(below) = self.elsewhere else {
            return Ok(Vec::new());
        };
        let listed = ["for-each-ref", "--format=%(objectname)", below];
        let listed = self.git.text(&listed)?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// Whether what is checked out is nowhere else.
    fn is_new(&self, head: Option<&str>, elsewhere: &[String]) -> Result<bool, Error> {
        if self.elsewhere.is_none() {
            return Ok(true);
        }
        let Some(head) = head else {
            return Ok(false);
        };
        let mut asked = format!("{head}\n");
        elsewhere
            .iter()
            .for_each(|oid| asked.push_str(&format!("^{oid}\n")));
        let missing = ["rev-list", "-n", "1", "--stdin"];
        Ok(!self.git.feed(&missing, asked.as_bytes())?.is_empty())
    }

    /// Writes the trees, through a copy of the index.
    fn write(
        &self,
        scratch: &Path,
        head: Option<&str>,
        keep: &[String],
        depth: u32,
    ) -> Result<Written, Error> {
        self.copy_index(scratch)?;
        let aside = self.git.with_index(scratch);
        let entries = aside.bytes(&["ls-files", "-s", "-z"])?;
        let staged = self.staged(&aside, &entries, scratch)?;
        if !self.is_there {
            let whole = match &staged {
                Some(staged) => staged.clone(),
                None => self.git.text(&["rev-parse", "HEAD^{tree}"])?,
            };
            return Ok(Written {
                staged,
                whole,
                exact: None,
                inner: self.save_modules(&BTreeSet::new(), keep, depth)?,
            });
        }
        self.unhide(&aside)?;
        let nested = self.nested(&entries)?;
        let apart: Vec<&[u8]> = nested
            .iter()
            .filter(|nested| nested.apart)
            .map(|nested| nested.path.as_os_str().as_bytes())
            .collect();
        let is_apart = |path: &[u8]| {
            // What follows the last NUL of a list.
            if path.is_empty() {
                return true;
            }
            let below = |dir: &&[u8]| path.strip_prefix(*dir).is_some_and(is_within);
            apart.iter().any(below)
        };
        let mut what = b".".to_vec();
        for path in &apart {
            what.extend_from_slice(b"\0:(top,exclude,literal)");
            what.extend_from_slice(path);
        }
        let from = ["--pathspec-from-file=-", "--pathspec-file-nul"];
        let add = [PLAIN, &["add", "-A", "--sparse"], &from].concat();
        let mut raw = false;
        if let Err(error) = aside.feed(&add, &what) {
            // A filter that fails, for instance: the bytes as they are.
            let list = ["ls-files", "-z", "-c", "-o", "--exclude-standard"];
            let listed = aside.bytes(&list)?;
            let paths = listed.split(|byte| *byte == 0);
            let paths: BTreeSet<&[u8]> = paths.filter(|path| !is_apart(path)).collect();
            let paths: Vec<&[u8]> = paths.into_iter().collect();
            let added = self.add_raw(&aside, &paths);
            let left = aside.bytes(&["ls-files", "-z", "-o", "--exclude-standard"])?;
            // A name that git takes from nobody is passed over without a word.
            if added.is_err() || left.split(|byte| *byte == 0).any(|path| !is_apart(path)) {
                return Err(error);
            }
            raw = true;
        }
        let mut ignored = cache::ignored_work(&self.git, &self.top, self.main.as_deref(), keep)?;
        ignored.retain(|path| !is_apart(path));
        if !ignored.is_empty() {
            let args = [PLAIN, &["update-index", "--add", "-z", "--stdin"]].concat();
            if let Err(error) = aside.feed(&args, &ignored.join(&0)) {
                let paths: Vec<&[u8]> = ignored.iter().map(Vec::as_slice).collect();
                self.add_raw(&aside, &paths).map_err(|_| error)?;
                raw = true;
            }
        }
        let inner = self.save_nested(&aside, &nested, keep, depth)?;
        let whole = aside.text(&["write-tree"])?;
        let exact = self.exact(&aside, head, scratch, raw)?;
        Ok(Written {
            staged,
            whole,
            exact,
            inner,
        })
    }

    /// What is staged; of files in conflict, our side.
    fn staged(&self, aside: &Git, entries: &[u8], scratch: &Path) -> Result<Option<String>, Error> {
        if let Some(tree) = aside.ask(&["write-tree"])? {
            return Ok(Some(tree));
        }
        let mut settled = BTreeMap::new();
        for (about, path) in listed(entries) {
            let (about, stage) = about.split_at(about.len().saturating_sub(2));
            if !settled.contains_key(path) || stage == b" 2" {
                settled.insert(path, about);
            }
        }
        let mut lines = Vec::new();
        for (path, about) in settled {
            lines.extend_from_slice(&[about, b"\t", path, b"\0"].concat());
        }
        // Something of it may be gone for good.
        Ok(self.tree_of(&lines, scratch).ok())
    }

    /// The tree of these entries, in the form of `update-index --index-info`.
    fn tree_of(&self, lines: &[u8], scratch: &Path) -> Result<String, Error> {
        let second = scratch.with_extension("second");
        journal::remove_file(&second)?;
        let aside = self.git.with_index(&second);
        let tree = aside
            .feed(&["update-index", "-z", "--index-info"], lines)
            .and_then(|_| aside.text(&["write-tree"]));
        journal::remove_file(&second)?;
        journal::remove_file(&lock_of(&second))?;
        tree
    }

    /// Adds files as they are, without any filter; takes out those that are gone.
    fn add_raw(&self, aside: &Git, paths: &[&[u8]]) -> Result<(), Error> {
        let (mut files, mut lines) = (Vec::new(), Vec::new());
        let mut entry = |mode: &str, oid: &str, path: &[u8]| {
            lines.extend_from_slice(format!("{mode} {oid}\t").as_bytes());
            lines.extend_from_slice(path);
            lines.push(0);
        };
        let null = "0".repeat(
            self.git
                .text(&["hash-object", "-t", "tree", "/dev/null"])?
                .len(),
        );
        for path in paths.iter().filter(|path| !path.is_empty()) {
            let file = self.top.join(OsStr::from_bytes(path));
            match fs::symlink_metadata(&file) {
                Ok(meta) if meta.is_symlink() => {
                    let target = fs::read_link(&file).map_err(Error::at(&file))?;
                    let args = ["hash-object", "-w", "--stdin"];
                    let oid = self.git.feed(&args, target.as_os_str().as_bytes())?;
                    entry("120000", String::from_utf8_lossy(&oid).trim(), path);
                }
                Ok(meta) if meta.is_file() => {
                    let is_program = meta.permissions().mode() & 0o100 != 0;
                    files.push((if is_program { "100755" } else { "100644" }, *path));
                }
                Ok(_) => {}
                Err(_) => entry("0", &null, path),
            }
        }
        let asked: Vec<u8> = files.iter().flat_map(|(_, path)| quoted(path)).collect();
        let raw = ["hash-object", "-w", "--no-filters", "--stdin-paths"];
        let said = self.git.feed(&raw, &asked)?;
        for ((mode, path), oid) in files.iter().zip(String::from_utf8_lossy(&said).lines()) {
            entry(mode, oid, path);
        }
        let args = ["update-index", "-z", "--index-info"];
        aside.feed(&args, &lines).map(drop)
    }

    /// A copy of the index, with its time, which tells git which files may have changed in the second
    /// of the last look.
    fn copy_index(&self, scratch: &Path) -> Result<(), Error> {
        let index = self.git_dir.join("index");
        journal::remove_file(scratch)?;
        if !index.exists() {
            return Ok(());
        }
        fs::copy(&index, scratch).map_err(Error::at(&index))?;
        let time = fs::metadata(&index).and_then(|meta| meta.modified());
        fs::File::options()
            .append(true)
            .open(scratch)
            .and_then(|file| file.set_modified(time?))
            .map_err(Error::at(scratch))
    }

    /// Files that git was told not to look at (`update-index --assume-unchanged`,
    /// `--skip-worktree`) are looked at, where they are there.
    fn unhide(&self, aside: &Git) -> Result<(), Error> {
        let listed = aside.bytes(&["ls-files", "-v", "-z"])?;
        let hidden: Vec<&[u8]> = listed
            .split(|byte| *byte == 0)
            .filter(|line| {
                line.first()
                    .is_some_and(|tag| tag.is_ascii_lowercase() || *tag == b'S')
            })
            .filter_map(|line| line.get(2..))
            .filter(|path| fs::symlink_metadata(self.top.join(OsStr::from_bytes(path))).is_ok())
            .collect();
        if hidden.is_empty() {
            return Ok(());
        }
        for flag in ["--no-assume-unchanged", "--no-skip-worktree"] {
            aside.feed(&["update-index", flag, "-z", "--stdin"], &hidden.join(&0))?;
        }
        Ok(())
    }

    /// A tree of those changed files whose bytes git stores differently.
    fn exact(
        &self,
        aside: &Git,
        head: Option<&str>,
        scratch: &Path,
        as_they_are: bool,
    ) -> Result<Option<String>, Error> {
        let empty = self.git.text(&["hash-object", "-t", "tree", "/dev/null"])?;
        let changed = [
            "diff-index",
            "--cached",
            "-z",
            "--diff-filter=d",
            head.unwrap_or(&empty),
        ];
        let listed = aside.bytes(&changed)?;
        let mut fields = listed.split(|byte| *byte == 0);
        let mut files: Vec<(String, String, &[u8])> = Vec::new();
        while let (Some(about), Some(path)) = (fields.next(), fields.next()) {
            let about = String::from_utf8_lossy(about);
            let about: Vec<&str> = about.split(' ').collect();
            if let [_, mode, _, oid, _] = about[..]
                && mode.starts_with("100")
            {
                files.push((mode.to_owned(), oid.to_owned(), path));
            }
        }
        if files.is_empty() {
            return Ok(None);
        }
        let hash = |args: &[&str], files: &[(String, String, &[u8])]| {
            let paths: Vec<u8> = files.iter().flat_map(|(_, _, path)| quoted(path)).collect();
            let said = self.git.feed(args, &paths)?;
            let said = String::from_utf8_lossy(&said).into_owned();
            Ok::<_, Error>(said.lines().map(str::to_owned).collect::<Vec<String>>())
        };
        let raw = hash(&["hash-object", "--no-filters", "--stdin-paths"], &files)?;
        let differs: Vec<_> = files
            .into_iter()
            .zip(raw)
            .filter(|((_, oid, _), raw)| as_they_are || oid != raw)
            .map(|(file, _)| file)
            .collect();
        if differs.is_empty() {
            return Ok(None);
        }
        let raw = hash(
            &["hash-object", "-w", "--no-filters", "--stdin-paths"],
            &differs,
        )?;
        let mut lines = Vec::new();
        for ((mode, _, path), raw) in differs.iter().zip(raw) {
            lines.extend_from_slice(format!("{mode} {raw}\t").as_bytes());
            lines.extend_from_slice(path);
            lines.push(0);
        }
        self.tree_of(&lines, scratch).map(Some)
    }

    /// Commits that nothing but this tree remembers and that `known` do not lead to.
    fn loose(&self, known: &[String], branch: Option<&str>) -> Result<Vec<String>, Error> {
        let mut candidates = BTreeSet::new();
        let mut add = |said: Option<String>| {
            let said = said.unwrap_or_default();
            candidates.extend(said.split_ascii_whitespace().map(str::to_owned));
        };
        add(self.git.ask(&["log", "-g", "--format=%H", "HEAD", "--"])?);
        if self.is_clone {
            // The stashes among them.
            let all = [
                "rev-list",
                "--no-walk",
                "--ignore-missing",
                "--all",
                "--reflog",
            ];
            add(self.git.ask(&all)?);
        }
        if let Some(branch) = branch {
            let branch = format!("refs/heads/{branch}");
            add(self.git.ask(&["log", "-g", "--format=%H", &branch, "--"])?);
        }
        let own: &[&str] = match self.is_clone {
            true => &[],
            false => &["refs/worktree", "refs/bisect", "refs/rewritten"],
        };
        let refs = [
            &["for-each-ref", "--format=%(objectname) %(*objectname)"],
            own,
        ]
        .concat();
        add(self.git.ask(&refs)?);
        for file in [
            "ORIG_HEAD",
            "MERGE_HEAD",
            "CHERRY_PICK_HEAD",
            "REVERT_HEAD",
            "rebase-merge/autostash",
            "rebase-merge/orig-head",
            "rebase-apply/autostash",
        ] {
            add(fs::read_to_string(self.git_dir.join(file)).ok());
        }
        // Those that are commits, and are still there.
        let asked = candidates
            .iter()
            .map(|oid| format!("{oid}\n"))
            .collect::<String>();
        let said = self.git.feed(
            &["cat-file", "--batch-check=%(objectname) %(objecttype)"],
            asked.as_bytes(),
        )?;
        let said = String::from_utf8_lossy(&said);
        let commits: BTreeSet<&str> = said
            .lines()
            .filter_map(|line| line.strip_suffix(" commit"))
            .collect();
        if commits.is_empty() {
            return Ok(Vec::new());
        }
        let mut asked: String = commits.iter().map(|oid| format!("{oid}\n")).collect();
        known
            .iter()
            .for_each(|oid| asked.push_str(&format!("^{oid}\n")));
        let missing = self.git.feed(
            &["rev-list", "--topo-order", "--parents", "--stdin"],
            asked.as_bytes(),
        )?;
        let missing = String::from_utf8_lossy(&missing);
        let mut led_to = BTreeSet::new();
        let mut tips = Vec::new();
        for line in missing.lines() {
            let mut words = line.split(' ');
            let commit = words.next().unwrap_or_default();
            if commits.contains(commit) && !led_to.contains(commit) {
                tips.push(commit.to_owned());
            }
            led_to.extend(words);
        }
        Ok(tips)
    }

    /// A commit by nobody in particular; a fixed one has no time of its own.
    fn commit(
        &self,
        tree: &str,
        parents: &[String],
        say: &str,
        fixed: bool,
    ) -> Result<String, Error> {
        let mut args = vec!["-c", "commit.gpgSign=false", "commit-tree", tree, "-m", say];
        for parent in parents {
            args.extend(["-p", parent]);
        }
        let mut command = self.git.command(&args);
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "sporekit")
                .env(format!("GIT_{who}_EMAIL"), "sporekit@localhost");
            if fixed {
                command.env(format!("GIT_{who}_DATE"), "@0 +0000");
            }
        }
        let output = command.output().map_err(Error::at("git"))?;
        super::git::checked(&args, output)
            .map(|said| String::from_utf8_lossy(&said).trim().to_owned())
    }
}

/// A commit of the main checkout as it stands, on its last commit: tracked and untracked files.
pub(super) fn snapshot_of_main(common: &Path, top: &Path) -> Result<String, Error> {
    let place = Place {
        git: Git::of_tree(common, top),
        is_there: true,
        top: top.to_owned(),
        git_dir: common.to_owned(),
        main: None,
        is_clone: false,
        elsewhere: None,
        say: String::new(),
    };
    let scratch = common.join(format!("spore-seal-{}", std::process::id()));
    place.copy_index(&scratch)?;
    let aside = place.git.with_index(&scratch);
    let whole = aside
        .bytes(&["add", "-A", "--sparse", "--", "."])
        .and_then(|_| aside.text(&["write-tree"]));
    journal::remove_file(&scratch)?;
    journal::remove_file(&lock_of(&scratch))?;
    let head: Vec<String> = merge::commit_of(&place.git, "HEAD")?.into_iter().collect();
    place.commit(&whole?, &head, "the main checkout when it was sealed", true)
}

/// A path as it is, or quoted where that would not be one line of text.
fn in_a_line(path: &Path) -> String {
    let text = path.to_string_lossy();
    match path.to_str().is_none() || text.contains(char::is_control) || text.starts_with('"') {
        true => format!("{path:?}"),
        false => text.into_owned(),
    }
}

/// Whether what is left of a path after that of a directory is the directory or something in it.
fn is_within(rest: &[u8]) -> bool {
    rest.is_empty() || rest.starts_with(b"/")
}

/// So that git neither trusts what may not be true of files (that time and size tell whether one was
/// changed, that somebody watches them) nor refuses some for the sake of other systems.
const PLAIN: &[&str] = &[
    "-c",
    "core.trustctime=true",
    "-c",
    "core.checkStat=default",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.safecrlf=false",
    "-c",
    "advice.addEmbeddedRepo=false",
];

/// The trees that were written.
struct Written {
    staged: Option<String>,
    whole: String,
    exact: Option<String>,
    inner: Vec<(PathBuf, String)>,
}

/// Brings a commit and all that it needs from another object store into the repository of `git`.
pub(super) fn fetch(git: &Git, objects: &Path, commit: &str) -> Result<(), Error> {
    let common = git.text(&["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
    import(git, Path::new(&common), objects, commit)
}

fn import(git: &Git, common: &Path, objects: &Path, commit: &str) -> Result<(), Error> {
    let pack = common.join("objects/pack/pack").display().to_string();
    let known = git.text(&["for-each-ref", "--format=%(objectname)"])?;
    let asked = format!("{commit}\n--not\n{known}\n");
    let args = ["pack-objects", "--revs", "--non-empty", "-q", &pack];
    git.with_objects(objects)
        .feed(&args, asked.as_bytes())
        .map(drop)
}

fn lock_of(index: &Path) -> PathBuf {
    let mut name = index.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// A path as a line that git reads: quoted where it would be misread.
pub(super) fn quoted(path: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(path.len() + 1);
    if path.starts_with(b"\"") || path.contains(&b'\n') {
        line.push(b'"');
        for byte in path {
            match byte {
                b'\n' => line.extend(b"\\n"),
                b'"' | b'\\' => line.extend([b'\\', *byte]),
                byte => line.push(*byte),
            }
        }
        line.push(b'"');
    } else {
        line.extend(path);
    }
    line.push(b'\n');
    line
}

fn count(names: &[u8]) -> usize {
    names.iter().filter(|byte| **byte == 0).count()
}

/// Gives the commit the next free number; one of the same content that has a number keeps it.
fn name_it(git: &Git, agent: &str, commit: &str) -> Result<String, Error> {
    let prefix = format!("refs/spore/salvage/{agent}/");
    let about = git.text(&["log", "-1", "--no-walk", "--format=%T %P", commit])?;
    for _ in 0..100 {
        let format = "--format=%(refname) %(tree) %(parent)";
        let there = git.text(&["for-each-ref", format, &prefix])?;
        let known = there.lines().filter_map(|line| line.split_once(' '));
        if let Some((name, _)) = known
            .clone()
            .find(|(_, content)| content.trim() == about.trim())
        {
            return Ok(name.to_owned());
        }
        let numbers = known.filter_map(|(name, _)| name.strip_prefix(&prefix)?.parse::<u32>().ok());
        let reference = format!("{prefix}{}", numbers.max().unwrap_or(0) + 1);
        // Made only if nobody was quicker.
        let line = format!("create {reference} {commit}\n");
        if git
            .feed(&["update-ref", "--stdin"], line.as_bytes())
            .is_ok()
        {
            return Ok(reference);
        }
    }
    Err(Error::Git {
        command: "update-ref".to_owned(),
        said: format!("no free number under {prefix}"),
    })
}

/// What a salvage commit says about itself: the values of its lines of that word.
pub(super) fn notes(message: &str, word: &str) -> Vec<String> {
    let word = format!("Spore-{word}: ");
    let values = message.lines().filter_map(|line| line.strip_prefix(&word));
    values.map(str::to_owned).collect()
}
