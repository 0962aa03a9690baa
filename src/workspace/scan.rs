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

/// The paths of a tree, relative to its top, that may differ from its last commit: changed, gone,
/// new (not ignored), or staged. Some may turn out to be the same after all.
pub fn changed(tree: &Tree, head_tree: &str) -> Result<Vec<Vec<u8>>, Error> {
    let path = tree.git_dir.join("index");
    let modified = std::fs::metadata(&path).and_then(|meta| meta.modified());
    let index = Index::read(&path).ok().flatten();
    let (Some(index), Ok(modified)) = (index, modified) else {
        return by_git(&tree.git());
    };
    let modified = modified
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let mut scan = Scan {
        // Racy: written in the index's own second, or later.
        racy: u32::try_from(modified.as_secs()).unwrap_or(u32::MAX),
        changed: Vec::new(),
        new: Vec::new(),
    };
    let Ok(top) = rustix::fs::open(&tree.path, DIRECTORY, Mode::empty()) else {
        return by_git(&tree.git());
    };
    scan.directory(&index, 0..index.entries.len(), &top, b"");
    let mut changed = scan.changed;
    if !scan.new.is_empty() {
        changed.extend(not_ignored(&tree.git(), &scan.new)?);
    }
    if index.root_tree().map(hex).as_deref() != Some(head_tree) {
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
    new: Vec<Vec<u8>>,
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
        let mut known: HashSet<&[u8]> = HashSet::with_capacity(range.len().min(512));
        let mut place = range.start;
        while place < range.end {
            let rest = &entries[place].path[prefix.len()..];
            let Some(slash) = rest.iter().position(|byte| *byte == b'/') else {
                known.insert(rest);
                if !self.is_same(index, place, directory, rest) {
                    self.changed.push(entries[place].path.clone());
                }
                place += 1;
                continue;
            };
            let name = &rest[..slash];
            known.insert(name);
            let inner = &entries[place].path[..prefix.len() + slash + 1];
            let length = entries[place..range.end].partition_point(|e| e.path.starts_with(inner));
            let below = place..place + length;
            match rustix::fs::openat(directory, name, DIRECTORY, Mode::empty()) {
                Ok(child) => self.directory(index, below, &child, inner),
                Err(_) => self
                    .changed
                    .extend(entries[below].iter().map(|e| e.path.clone())),
            }
            place += length;
        }
        let Ok(listed) = rustix::fs::Dir::read_from(directory) else {
            return;
        };
        for entry in listed.flatten() {
            let name = entry.file_name().to_bytes();
            if known.contains(name) || matches!(name, b"." | b".." | b".git") {
                continue;
            }
            if matches!(
                entry.file_type(),
                FileType::RegularFile | FileType::Directory | FileType::Symlink | FileType::Unknown
            ) {
                self.new.push([prefix, name].concat());
            }
        }
    }

    fn is_same(&self, index: &Index, place: usize, directory: &OwnedFd, name: &[u8]) -> bool {
        let entry = &index.entries[place];
        let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return false;
        };
        let now = Stat::of(&stat);
        let was = entry.stat;
        now.mtime == was.mtime
            && now.ctime == was.ctime
            && now.size == was.size
            && now.ino == was.ino
            && now.mtime.0 < self.racy
    }
}
