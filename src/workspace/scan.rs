//! What in a working tree is not as its index remembers it: one look at every file's stat data, no
//! content read unless that differs. Reading changes nothing.
//!
//! git does the same with a process, and three times slower on large trees; where an index holds
//! anything unusual, git is asked instead.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::git::checked;
use super::index::{Index, Stat};
use super::{Error, Git, Tree};

/// What one look at a tree showed.
#[derive(Debug)]
pub struct Look {
    /// The index that it was compared with.
    pub index: Index,
    /// Paths of the index that may have changed, or are gone.
    changed: Vec<Vec<u8>>,
    /// Names that the index does not know, ignored ones included.
    new: Vec<New>,
}

#[derive(Debug)]
struct New {
    path: Vec<u8>,
    /// Surely not a directory.
    is_file: bool,
}

/// Looks at a tree; none where its index, or the tree, is one for git.
pub fn look(tree: &Tree) -> Option<Look> {
    let path = tree.git_dir.join("index");
    let modified = std::fs::metadata(&path).and_then(|meta| meta.modified());
    let (index, modified) = (Index::read(&path).ok().flatten()?, modified.ok()?);
    let modified = modified
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let mut scan = Scan {
        // Racy: written in the index's own second, or later.
        racy: u32::try_from(modified.as_secs()).unwrap_or(u32::MAX),
        changed: Vec::new(),
        new: Vec::new(),
        buffer: Vec::new(),
    };
    let top = rustix::fs::open(&tree.path, DIRECTORY, Mode::empty()).ok()?;
    scan.directory(&index, 0..index.entries.len(), &top, b"");
    Some(Look {
        index,
        changed: scan.changed,
        new: scan.new,
    })
}

impl Look {
    /// How many files differ from the last commit, where that is plain to see: nothing is staged, no
    /// file of the index may have changed, and what is new are files.
    pub fn plain_count(&self, repository: &git2::Repository, head_tree: &str) -> Option<usize> {
        if !self.changed.is_empty() || self.is_staged(head_tree) {
            return None;
        }
        let mut count = 0;
        for new in &self.new {
            let path = std::path::Path::new(OsStr::from_bytes(&new.path));
            let ignored = repository.is_path_ignored(path).ok()?;
            count += usize::from(new.is_file && !ignored);
            if !new.is_file && !ignored {
                return None;
            }
        }
        Some(count)
    }

    fn is_staged(&self, head_tree: &str) -> bool {
        self.index.root_tree().map(hex).as_deref() != Some(head_tree)
    }
}

/// The paths of a tree, relative to its top, that may differ from its last commit: changed, gone,
/// new (not ignored), or staged. Some may turn out to be the same after all.
pub fn changed(tree: &Tree, head_tree: &str) -> Result<Vec<Vec<u8>>, Error> {
    suspects(tree, look(tree), head_tree)
}

/// The same after the look.
pub fn suspects(tree: &Tree, look: Option<Look>, head_tree: &str) -> Result<Vec<Vec<u8>>, Error> {
    let Some(look) = look else {
        return by_git(&tree.git());
    };
    let staged = look.is_staged(head_tree);
    let mut changed = look.changed;
    if !look.new.is_empty() {
        let new: Vec<Vec<u8>> = look.new.into_iter().map(|new| new.path).collect();
        changed.extend(not_ignored(&tree.git(), &new)?);
    }
    if staged {
        changed.extend(names(&tree.git().bytes(&[
            "diff-index",
            "--cached",
            "-z",
            "--name-only",
            "--no-renames",
            head_tree,
            "--",
        ])?));
    }
    changed.sort_unstable();
    changed.dedup();
    Ok(changed)
}

/// How much of a listing is read at once, in bytes.
#[cfg(target_os = "linux")]
const BUFFER: usize = 32 << 10;

/// The same where the paths are known already; each that ends with a slash is a new directory.
pub fn listed(tree: &Tree, paths: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Error> {
    let (dirs, mut files): (Vec<_>, Vec<_>) =
        paths.iter().cloned().partition(|path| path.ends_with(b"/"));
    if !dirs.is_empty() {
        files.extend(not_ignored(&tree.git(), &dirs)?);
    }
    Ok(files)
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);

fn hex(oid: [u8; 20]) -> String {
    oid.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn names(bytes: &[u8]) -> Vec<Vec<u8>> {
    let names = bytes
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    names.map(<[u8]>::to_vec).collect()
}

fn by_git(git: &Git) -> Result<Vec<Vec<u8>>, Error> {
    let status = git.bytes(&["status", "--porcelain", "-z", "--no-renames", "-uall"])?;
    let records = status
        .split(|byte| *byte == 0)
        .filter(|record| record.len() > 3);
    Ok(records.map(|record| record[3..].to_vec()).collect())
}

/// Those of `new` that git would list; a directory stands for all that is in it.
fn not_ignored(git: &Git, new: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Error> {
    let mut args = vec![b"ls-files".to_vec(), b"-z".to_vec(), b"--others".to_vec()];
    args.extend([b"--exclude-standard".to_vec(), b"--".to_vec()]);
    if new.len() <= 500 {
        args.extend(new.iter().cloned());
    }
    let args: Vec<&OsStr> = args.iter().map(|arg| OsStr::from_bytes(arg)).collect();
    let output = git.literal().command(&args).output();
    let output = output.map_err(Error::at("git"))?;
    Ok(names(&checked(&["ls-files"], output)?))
}

struct Scan {
    racy: u32,
    changed: Vec<Vec<u8>>,
    new: Vec<New>,
    /// For listings; one directory at a time.
    buffer: Vec<u8>,
}

impl Scan {
    /// Looks at the entries in `range`, all below `prefix`, which is the open directory.
    fn directory(
        &mut self,
        index: &Index,
        range: std::ops::Range<usize>,
        directory: &OwnedFd,
        prefix: &[u8],
    ) {
        let entries = &index.entries;
        // How many names of the index are here, whatever they are.
        let mut here = 0;
        let mut place = range.start;
        while place < range.end {
            let rest = &entries[place].path[prefix.len()..];
            let Some(slash) = rest.iter().position(|byte| *byte == b'/') else {
                let stat = rustix::fs::statat(directory, rest, AtFlags::SYMLINK_NOFOLLOW).ok();
                here += usize::from(stat.is_some());
                if !stat.is_some_and(|stat| self.is_same(&entries[place].stat, &stat)) {
                    self.changed.push(entries[place].path.clone());
                }
                place += 1;
                continue;
            };
            let name = &rest[..slash];
            let inner = &entries[place].path[..prefix.len() + slash + 1];
            let length = entries[place..range.end].partition_point(|e| e.path.starts_with(inner));
            let below = place..place + length;
            match rustix::fs::openat(directory, name, DIRECTORY, Mode::empty()) {
                Ok(child) => {
                    here += 1;
                    self.directory(index, below, &child, inner);
                }
                Err(_) => self
                    .changed
                    .extend(entries[below].iter().map(|e| e.path.clone())),
            }
            place += length;
        }
        // As many names as the index knows here: then it knows them all.
        let mut count = 0;
        let counted = self.list(directory, |_, _, _| count += 1);
        if counted.is_ok() && count == here {
            return;
        }
        let known: HashSet<&[u8]> = entries[range]
            .iter()
            .filter_map(|entry| entry.path[prefix.len()..].split(|b| *b == b'/').next())
            .collect();
        // What cannot be listed is not known to hold anything.
        let _ = self.list(directory, |scan, name, kind| {
            let counts = matches!(
                kind,
                FileType::RegularFile | FileType::Directory | FileType::Symlink | FileType::Unknown
            );
            if counts && !known.contains(name) {
                scan.new.push(New {
                    path: [prefix, name].concat(),
                    is_file: matches!(kind, FileType::RegularFile | FileType::Symlink),
                });
            }
        });
    }

    /// Calls `each` for every name in a directory but `.`, `..` and `.git`.
    #[cfg(target_os = "linux")]
    fn list(
        &mut self,
        directory: &OwnedFd,
        mut each: impl FnMut(&mut Scan, &[u8], FileType),
    ) -> rustix::io::Result<()> {
        rustix::fs::seek(directory, rustix::fs::SeekFrom::Start(0))?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.reserve(BUFFER);
        let mut listing = rustix::fs::RawDir::new(directory, buffer.spare_capacity_mut());
        let mut result = Ok(());
        while let Some(entry) = listing.next() {
            match entry {
                Ok(entry) => {
                    let name = entry.file_name().to_bytes();
                    if !matches!(name, b"." | b".." | b".git") {
                        each(self, name, entry.file_type());
                    }
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.buffer = buffer;
        result
    }

    /// Calls `each` for every name in a directory but `.`, `..` and `.git`.
    #[cfg(not(target_os = "linux"))]
    fn list(
        &mut self,
        directory: &OwnedFd,
        mut each: impl FnMut(&mut Scan, &[u8], FileType),
    ) -> rustix::io::Result<()> {
        for entry in rustix::fs::Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b".." | b".git") {
                each(self, name, entry.file_type());
            }
        }
        Ok(())
    }

    fn is_same(&self, was: &Stat, now: &rustix::fs::Stat) -> bool {
        let now = Stat::of(now);
        now.mtime == was.mtime
            && now.ctime == was.ctime
            && now.size == was.size
            && now.ino == was.ino
            && now.mtime.0 < self.racy
    }
}
