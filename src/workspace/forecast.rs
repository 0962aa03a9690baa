//! Which branches will conflict, before anything is merged: every pair, what is not committed
//! included. Nothing is written.
//!
//! Only files that both sides of a pair changed can conflict, so those are merged, one by one and in
//! memory, and each triple of contents once. Where more than one file decides (a rename on one side
//! and a change on the other, a merge driver), the pair goes to git as a whole, with its objects in
//! a temporary directory; so do all pairs where libgit2 does not open the repository.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use git2::{MergeFileInput, MergeFileOptions, ObjectType, Oid, Repository};

use super::fill::{in_parallel, parent};
use super::merge::{self, Merge};
use super::{Error, Git, Tree, scan};
use crate::swarm;

/// One of those that are compared: a branch, with what is not committed in its tree.
#[derive(Debug, Clone)]
pub struct Side {
    /// What to call it.
    pub name: String,
    /// Its commit.
    pub commit: String,
    /// Its tree, if what is not committed there counts.
    pub tree: Option<Tree>,
    /// The paths in it that may not be as they were committed, if that is known already; one that
    /// ends with a slash is a new directory.
    pub changed: Option<Vec<Vec<u8>>>,
}

/// Two that do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Their places among the sides.
    pub sides: (usize, usize),
    /// The files in conflict, by path.
    pub files: Vec<Clash>,
}

/// A file in conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// Its path.
    pub path: String,
    /// The kind, in git's words: `contents`, `binary`, `modify/delete`, …
    pub kind: String,
    /// Where it begins on each side, a pair of lines (from 1) for each hunk.
    pub lines: Vec<(usize, usize)>,
}

/// The sides of a swarm: the target first, then every agent's tree; a clone only if the repository
/// has its commit.
pub fn sides(git: &Git, into: &str, trees: &[Tree]) -> Result<Vec<Side>, Error> {
    let mut sides = Vec::new();
    if let Some(commit) = merge::commit_of(git, into)? {
        sides.push(Side {
            name: into.trim_start_matches("refs/heads/").to_owned(),
            commit,
            tree: None,
            changed: None,
        });
    }
    let heads = in_parallel(trees.len(), |place| {
        let head = match Repository::open(&trees[place].git_dir) {
            Ok(tree) => tree.refname_to_id("HEAD").ok().map(|id| id.to_string()),
            Err(_) => merge::commit_of(&Git::at(&trees[place].git_dir), "HEAD")?,
        };
        match head {
            // Of a clone, perhaps, whose commits are not here.
            Some(head) => merge::commit_of(git, &head),
            None => Ok(None),
        }
    })?;
    for (tree, commit) in trees.iter().zip(heads) {
        if let Some(commit) = commit {
            sides.push(Side {
                name: tree.identity.agent.to_string(),
                commit,
                tree: Some(tree.clone()),
                changed: None,
            });
        }
    }
    Ok(sides)
}

/// Every pair that conflicts.
pub fn foresee(repository: &swarm::Repository, sides: &[Side]) -> Result<Vec<Pair>, Error> {
    let exact = Exact::new(repository, sides);
    // What libgit2 does not read (a format, a missing object), git does.
    let Ok(found) = quick(&repository.common_dir, sides, None) else {
        return by_git(&exact, sides.len());
    };
    let found = found?;
    let unsure = found.unsure;
    let sure = in_parallel(unsure.len(), |place| exact.pair(unsure[place]))?;
    let mut pairs = found.pairs;
    pairs.extend(sure.into_iter().flatten());
    pairs.sort_by_key(|pair| pair.sides);
    Ok(pairs)
}

/// What can be said without git's help and before a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// Pairs that conflict.
    pub pairs: Vec<Pair>,
    /// Pairs of which nothing is known: only git can tell, or there was no time.
    pub unsure: Vec<(usize, usize)>,
}

/// The same for those who look often: only what can be said quickly.
pub fn glimpse(
    repository: &swarm::Repository,
    sides: &[Side],
    until: Instant,
) -> Result<Glimpse, Error> {
    match quick(&repository.common_dir, sides, Some(until)) {
        Ok(found) => found,
        Err(_) => Ok(Glimpse {
            pairs: Vec::new(),
            unsure: pairs_of(sides.len()).collect(),
        }),
    }
}

fn pairs_of(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)))
}

fn by_git(exact: &Exact<'_>, count: usize) -> Result<Vec<Pair>, Error> {
    let pairs: Vec<_> = pairs_of(count).collect();
    let found = in_parallel(pairs.len(), |place| exact.pair(pairs[place]))?;
    Ok(found.into_iter().flatten().collect())
}

/// What a path is on one side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Entry {
    mode: u32,
    oid: Oid,
}

impl Entry {
    fn in_tree(tree: &git2::Tree<'_>, path: &Path) -> Option<Entry> {
        tree.get_path(path).ok().map(|entry| Entry {
            mode: u32::try_from(entry.filemode()).unwrap_or_default(),
            oid: entry.id(),
        })
    }
}

/// A path that a working tree changed, and what is there now.
type Uncommitted = (Vec<u8>, Option<Entry>);

/// What a path was at the base, and what it is; none where there is no such file.
type Change = (Option<Entry>, Option<Entry>);

/// What a side changed since a base.
#[derive(Debug, Default)]
struct Changes {
    paths: BTreeMap<Vec<u8>, Change>,
    /// The paths that are gone.
    gone: BTreeSet<Vec<u8>>,
    /// The directories that these were in.
    left: BTreeSet<Vec<u8>>,
    /// Whether there are new paths.
    adds: bool,
}

impl Changes {
    fn of(paths: BTreeMap<Vec<u8>, Change>) -> Changes {
        let gone = paths.iter().filter(|(_, (_, is))| is.is_none());
        let gone: BTreeSet<Vec<u8>> = gone.map(|(path, _)| path.clone()).collect();
        Changes {
            left: gone.iter().map(|path| parent(path).to_vec()).collect(),
            gone,
            adds: paths.values().any(|(was, _)| was.is_none()),
            paths,
        }
    }

    /// Whether it may have renamed a file that `other` changed, or a directory that it added to.
    fn may_move_under(&self, other: &Changes) -> bool {
        self.adds
            && !self.gone.is_empty()
            && other.paths.iter().any(|(path, (was, _))| {
                self.gone.contains(path) || (was.is_none() && self.left.contains(parent(path)))
            })
    }
}

fn quick(
    common: &Path,
    sides: &[Side],
    until: Option<Instant>,
) -> Result<Result<Glimpse, Error>, git2::Error> {
    let repository = &Repository::open(common)?;
    // What is not committed, by side, with the contents that no object holds.
    let contents: Mutex<HashMap<Oid, Vec<u8>>> = Mutex::default();
    let uncommitted = in_parallel(sides.len(), |place| {
        uncommitted(common, &sides[place], &contents)
    });
    let uncommitted = match uncommitted {
        Ok(uncommitted) => uncommitted,
        Err(error) => return Ok(Err(error)),
    };
    let contents = contents.into_inner().unwrap_or_default();
    let heads = sides
        .iter()
        .map(|side| Oid::from_str(&side.commit))
        .collect::<Result<Vec<_>, _>>()?;
    let mut changes: HashMap<(Oid, usize), Changes> = HashMap::new();
    let mut merged = Merged {
        repository,
        contents: &contents,
        known: HashMap::new(),
    };
    let mut bases: HashMap<(Oid, Oid), Option<Oid>> = HashMap::new();
    let mut found = Glimpse::default();
    for (a, b) in pairs_of(sides.len()) {
        if until.is_some_and(|until| Instant::now() >= until) {
            found.unsure.push((a, b));
            continue;
        }
        let base = *bases
            .entry((heads[a], heads[b]))
            .or_insert_with(|| repository.merge_base(heads[a], heads[b]).ok());
        let Some(base) = base else {
            continue;
        };
        for side in [a, b] {
            if let std::collections::hash_map::Entry::Vacant(free) = changes.entry((base, side)) {
                let paths = since(repository, base, heads[side], &uncommitted[side])?;
                free.insert(Changes::of(paths));
            }
        }
        let (ours, theirs) = (&changes[&(base, a)], &changes[&(base, b)]);
        match compare(&mut merged, ours, theirs)? {
            Some(files) if files.is_empty() => {}
            Some(files) => found.pairs.push(Pair {
                sides: (a, b),
                files,
            }),
            None => found.unsure.push((a, b)),
        }
    }
    Ok(Ok(found))
}

/// What a working tree has that its commit has not: each path with what is there now.
fn uncommitted(
    common: &Path,
    side: &Side,
    contents: &Mutex<HashMap<Oid, Vec<u8>>>,
) -> Result<Vec<Uncommitted>, Error> {
    let Some(tree) = side.tree.as_ref().filter(|tree| tree.path.is_dir()) else {
        return Ok(Vec::new());
    };
    let failed = |error: git2::Error| Error::Git {
        command: "libgit2".to_owned(),
        said: error.message().to_owned(),
    };
    let repository = Repository::open(common).map_err(failed)?;
    let commit = Oid::from_str(&side.commit).map_err(failed)?;
    let head = repository.find_commit(commit).and_then(|c| c.tree());
    let head = head.map_err(failed)?;
    let changed = match &side.changed {
        Some(changed) => scan::listed(tree, changed)?,
        None => scan::changed(tree, &head.id().to_string())?,
    };
    let mut found = Vec::new();
    for path in changed {
        let relative = Path::new(OsStr::from_bytes(&path));
        let was = Entry::in_tree(&head, relative);
        let file = tree.path.join(relative);
        let Ok(meta) = fs::symlink_metadata(&file) else {
            found.extend(was.is_some().then_some((path, None)));
            continue;
        };
        let (mode, bytes) = if meta.is_symlink() {
            let target = fs::read_link(&file).map_err(Error::at(&file))?;
            (0o120_000, target.as_os_str().as_bytes().to_vec())
        } else if meta.is_file() {
            let executable = meta.permissions().mode() & 0o100 != 0;
            let mode = if executable { 0o100_755 } else { 0o100_644 };
            (mode, fs::read(&file).map_err(Error::at(&file))?)
        } else {
            continue;
        };
        let is_text = |bytes: &[u8]| !bytes.contains(&0);
        let mut oid = Oid::hash_object(ObjectType::Blob, &bytes).map_err(failed)?;
        let mut bytes = bytes;
        if was.as_ref().is_some_and(|was| was.oid != oid) && is_text(&bytes) {
            // Line endings that only the checkout has are no change.
            let plain: Vec<u8> = without_returns(&bytes);
            let as_plain = Oid::hash_object(ObjectType::Blob, &plain).map_err(failed)?;
            if was.as_ref().is_some_and(|was| was.oid == as_plain) {
                (oid, bytes) = (as_plain, plain);
            }
        }
        let now = Entry { mode, oid };
        if was.as_ref() != Some(&now) {
            if let Ok(mut contents) = contents.lock() {
                contents.insert(oid, bytes);
            }
            found.push((path, Some(now)));
        }
    }
    Ok(found)
}

fn without_returns(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    for (place, byte) in bytes.iter().enumerate() {
        if *byte != b'\r' || bytes.get(place + 1) != Some(&b'\n') {
            plain.push(*byte);
        }
    }
    plain
}

/// What a side changed since `base`, committed or not.
fn since(
    repository: &Repository,
    base: Oid,
    head: Oid,
    uncommitted: &[Uncommitted],
) -> Result<BTreeMap<Vec<u8>, Change>, git2::Error> {
    let from = repository.find_commit(base)?.tree()?;
    let to = repository.find_commit(head)?.tree()?;
    let mut changes = BTreeMap::new();
    let diff = repository.diff_tree_to_tree(Some(&from), Some(&to), None)?;
    for delta in diff.deltas() {
        let entry = |file: git2::DiffFile<'_>| {
            (!file.id().is_zero()).then(|| Entry {
                mode: file.mode().into(),
                oid: file.id(),
            })
        };
        let file = [delta.new_file(), delta.old_file()];
        let path = file.iter().find_map(git2::DiffFile::path_bytes);
        let (was, is) = (entry(delta.old_file()), entry(delta.new_file()));
        changes.insert(path.unwrap_or_default().to_vec(), (was, is));
    }
    for (path, now) in uncommitted {
        let was = match changes.get(path) {
            Some((was, _)) => was.clone(),
            None => Entry::in_tree(&from, Path::new(OsStr::from_bytes(path))),
        };
        if was == *now {
            changes.remove(path);
        } else {
            changes.insert(path.clone(), (was, now.clone()));
        }
    }
    Ok(changes)
}

/// The files in which two sides conflict; none where file by file is not enough to say.
fn compare(
    merged: &mut Merged<'_>,
    ours: &Changes,
    theirs: &Changes,
) -> Result<Option<Vec<Clash>>, git2::Error> {
    if ours.may_move_under(theirs) || theirs.may_move_under(ours) {
        return Ok(None);
    }
    let (adds, ours, theirs) = (ours.adds || theirs.adds, &ours.paths, &theirs.paths);
    let mut files = Vec::new();
    for (one, other) in [(ours, theirs), (theirs, ours)] {
        // A file here, and a directory of that name there.
        for (path, _) in one.iter().filter(|(_, (_, is))| adds && is.is_some()) {
            let inside = [path, &b"/"[..]].concat();
            let mut below = other.range(inside.clone()..);
            if below.any(|(path, (_, is))| path.starts_with(&inside) && is.is_some())
                && other.get(path).is_none_or(|(_, is)| is.is_some())
            {
                files.push(clash(path, "file/directory", Vec::new()));
            }
        }
    }
    let (few, many) = match ours.len() <= theirs.len() {
        true => (ours, theirs),
        false => (theirs, ours),
    };
    for path in few.keys().filter(|path| many.contains_key(*path)) {
        let ((base, our), (_, their)) = (&ours[path], &theirs[path]);
        if our == their {
            continue;
        }
        match (our, their) {
            (Some(our), Some(their)) => match merged.files(base.as_ref(), our, their, path)? {
                Verdict::Clean => {}
                Verdict::Clash(kind, lines) => files.push(clash(path, kind, lines)),
                Verdict::Unsure => return Ok(None),
            },
            _ => files.push(clash(path, "modify/delete", Vec::new())),
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Some(files))
}

fn clash(path: &[u8], kind: &str, lines: Vec<(usize, usize)>) -> Clash {
    Clash {
        path: String::from_utf8_lossy(path).into_owned(),
        kind: kind.to_owned(),
        lines,
    }
}

/// What merging one file gives.
#[derive(Debug, Clone)]
enum Verdict {
    Clean,
    Clash(&'static str, Vec<(usize, usize)>),
    /// git has to say.
    Unsure,
}

/// Files merged so far, each triple once.
struct Merged<'a> {
    repository: &'a Repository,
    contents: &'a HashMap<Oid, Vec<u8>>,
    known: HashMap<(Option<Entry>, Entry, Entry), Verdict>,
}

impl Merged<'_> {
    fn files(
        &mut self,
        base: Option<&Entry>,
        ours: &Entry,
        theirs: &Entry,
        path: &[u8],
    ) -> Result<Verdict, git2::Error> {
        let key = (base.cloned(), ours.clone(), theirs.clone());
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let verdict = self.merge(base, ours, theirs, path)?;
        self.known.insert(key, verdict.clone());
        Ok(verdict)
    }

    fn merge(
        &self,
        base: Option<&Entry>,
        ours: &Entry,
        theirs: &Entry,
        path: &[u8],
    ) -> Result<Verdict, git2::Error> {
        let is_file = |entry: &Entry| entry.mode & 0o170_000 == 0o100_000;
        if !is_file(ours) || !is_file(theirs) || !base.is_none_or(is_file) {
            // Links, submodules, one made into the other.
            return Ok(Verdict::Unsure);
        }
        let moved = |entry: &Entry| base.is_none_or(|base| entry.mode != base.mode);
        if ours.mode != theirs.mode && moved(ours) && moved(theirs) {
            return Ok(Verdict::Unsure);
        }
        let unchanged = |entry: &Entry| base.is_some_and(|base| base.oid == entry.oid);
        if ours.oid == theirs.oid || unchanged(ours) || unchanged(theirs) {
            return Ok(Verdict::Clean);
        }
        let attribute = git2::AttrCheckFlags::INDEX_THEN_FILE;
        let path = Path::new(OsStr::from_bytes(path));
        if let Ok(Some(_)) = self.repository.get_attr_bytes(path, "merge", attribute) {
            return Ok(Verdict::Unsure);
        }
        let base = match base {
            Some(base) => self.content(base.oid)?,
            None => Vec::new(),
        };
        let (ours, theirs) = (self.content(ours.oid)?, self.content(theirs.oid)?);
        let binary = |bytes: &[u8]| bytes[..bytes.len().min(8000)].contains(&0);
        if binary(&base) || binary(&ours) || binary(&theirs) {
            return Ok(Verdict::Clash("binary", Vec::new()));
        }
        let input = |bytes| {
            let mut input = MergeFileInput::new();
            input.content(bytes);
            input
        };
        let mut options = MergeFileOptions::new();
        options.our_label("ours").their_label("theirs");
        let (base, our, their) = (input(&base), input(&ours), input(&theirs));
        let result = git2::merge_file(&base, &our, &their, Some(&mut options))?;
        if result.is_automergeable() {
            return Ok(Verdict::Clean);
        }
        let text = String::from_utf8_lossy(result.content()).into_owned();
        Ok(Verdict::Clash("contents", places(&text, &ours, &theirs)))
    }

    fn content(&self, oid: Oid) -> Result<Vec<u8>, git2::Error> {
        match self.contents.get(&oid) {
            Some(bytes) => Ok(bytes.clone()),
            None => Ok(self.repository.find_blob(oid)?.content().to_vec()),
        }
    }
}

/// Where each hunk of `text` begins on each side.
fn places(text: &str, ours: &[u8], theirs: &[u8]) -> Vec<(usize, usize)> {
    let lines = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        text.lines().map(str::to_owned).collect()
    };
    let (ours, theirs) = (lines(ours), lines(theirs));
    let (mut a, mut b) = (0, 0);
    let find = |lines: &[String], from: usize, wanted: &[String]| -> usize {
        let there = (from..lines.len()).find(|at| lines[*at..].starts_with(wanted));
        there.filter(|_| !wanted.is_empty()).unwrap_or(from)
    };
    merge::hunks(text)
        .iter()
        .map(|hunk| {
            let found = (find(&ours, a, &hunk.ours), find(&theirs, b, &hunk.theirs));
            a = found.0 + hunk.ours.len();
            b = found.1 + hunk.theirs.len();
            (found.0 + 1, found.1 + 1)
        })
        .collect()
}

/// git's own word on a pair; objects for what is not committed go to a directory of their own.
struct Exact<'a> {
    repository: &'a swarm::Repository,
    sides: &'a [Side],
    aside: Mutex<Option<Aside>>,
    snapshots: Mutex<HashMap<usize, String>>,
}

impl<'a> Exact<'a> {
    fn new(repository: &'a swarm::Repository, sides: &'a [Side]) -> Exact<'a> {
        Exact {
            repository,
            sides,
            aside: Mutex::default(),
            snapshots: Mutex::default(),
        }
    }

    fn pair(&self, (a, b): (usize, usize)) -> Result<Option<Pair>, Error> {
        let (git, ours, theirs) = {
            // One at a time: each snapshot is made once.
            let mut snapshots = self.snapshots.lock().unwrap_or_else(|e| e.into_inner());
            let objects = self.objects()?;
            let mut of = |place: usize| -> Result<String, Error> {
                if let Some(known) = snapshots.get(&place) {
                    return Ok(known.clone());
                }
                let made = self.snapshot(place, &objects)?;
                snapshots.insert(place, made.clone());
                Ok(made)
            };
            let (ours, theirs) = (of(a)?, of(b)?);
            let dir = self.repository.top.as_ref();
            let dir = dir.unwrap_or(&self.repository.common_dir);
            (self.git(dir, &objects), ours, theirs)
        };
        let Merge::Conflict(conflict) = merge::merge(&git, &ours, &theirs)? else {
            return Ok(None);
        };
        let mut files = Vec::new();
        for file in conflict.files {
            let read = |oid: &Option<String>| -> Result<Vec<u8>, Error> {
                match oid {
                    Some(oid) => git.bytes(&["cat-file", "blob", oid]),
                    None => Ok(Vec::new()),
                }
            };
            let merged = git.ask(&[
                "cat-file",
                "blob",
                &format!("{}:{}", conflict.tree, file.path),
            ])?;
            let lines = match (&*file.kind, merged) {
                ("contents", Some(text)) => {
                    places(&text, &read(&file.sides[0])?, &read(&file.sides[1])?)
                }
                _ => Vec::new(),
            };
            files.push(Clash {
                path: file.path,
                kind: file.kind,
                lines,
            });
        }
        Ok(Some(Pair {
            sides: (a, b),
            files,
        }))
    }

    fn git(&self, dir: &Path, objects: &Path) -> Git {
        Git::at(dir).with_new_objects(objects, &self.repository.common_dir.join("objects"))
    }

    /// The directory for objects, made when the first is needed.
    fn objects(&self) -> Result<PathBuf, Error> {
        let mut aside = self.aside.lock().unwrap_or_else(|e| e.into_inner());
        match &*aside {
            Some(aside) => Ok(aside.0.clone()),
            None => {
                let made = Aside::new()?;
                let path = made.0.clone();
                *aside = Some(made);
                Ok(path)
            }
        }
    }

    /// A commit of a side with what is not committed in it.
    fn snapshot(&self, place: usize, objects: &Path) -> Result<String, Error> {
        let side = &self.sides[place];
        let Some(tree) = side.tree.as_ref().filter(|tree| tree.path.is_dir()) else {
            return Ok(side.commit.clone());
        };
        let index = objects.join(format!("index-{place}"));
        let there = tree.git_dir.join("index");
        if there.exists() {
            fs::copy(&there, &index).map_err(Error::at(&there))?;
        }
        let git = self.git(&tree.path, objects).with_index(&index);
        git.bytes(&["-c", "advice.addEmbeddedRepo=false", "add", "-A", "--", "."])?;
        let made = git.text(&["write-tree"])?;
        if made == merge::tree_of(&git, &side.commit)? {
            return Ok(side.commit.clone());
        }
        merge::commit(&git, &made, &[&side.commit], "not committed\n", None)
    }
}

/// A directory for what nobody keeps; gone with the value.
#[derive(Debug)]
pub struct Aside(pub PathBuf);

impl Aside {
    /// Makes it where temporary files go.
    pub fn new() -> Result<Aside, Error> {
        let path = std::env::temp_dir().join(format!("sporekit-{}", uuid::Uuid::new_v4()));
        swarm::files::make_dir(&path).map_err(Error::at(&path))?;
        Ok(Aside(path))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
