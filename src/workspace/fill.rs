//! Filling many trees with the same files: each is read once and written to all.
//!
//! git spends most of a checkout per file, half of it on finding and unpacking the content. Here
//! the content comes from a tree that has it already: a clean main checkout, or the first of the
//! new trees, which git itself filled (so filters and line endings are git's own work). A file
//! whose stat data is not exactly what that tree's index remembers is not taken; git writes it.
//!
//! Every file gets a time at least two seconds old, so that git does not need to read it again to
//! know that it is unchanged (gitformat-index(5), "racy").

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::Error;
use super::index::{Entry, Kind, Stat};

/// Entries a thread takes at a time.
const CHUNK: usize = 256;
/// Files up to this length are read once into memory; longer ones are copied tree by tree.
const IN_MEMORY: u64 = 1 << 20;

/// Where files come from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The top of a tree that has them.
    pub top: &'a Path,
    /// What its index remembers of each entry; none where the file must not be taken.
    pub known: &'a [Option<Stat>],
    /// Whether the tree is one of ours, whose files then get the same old time.
    pub ours: bool,
}

/// What became of the entries: for each, the new stat data in the source (if that is ours) and in
/// each target; none where the file was not taken.
pub type Filled = Vec<Option<Vec<Stat>>>;

/// Makes the directories that `entries` need in each of `tops`.
pub fn directories(entries: &[Entry], tops: &[PathBuf]) -> Result<(), Error> {
    let mut dirs: BTreeSet<&[u8]> = BTreeSet::new();
    let mut last: &[u8] = b"";
    for entry in entries {
        let dir = parent(&entry.path);
        if dir != last {
            last = dir;
            let slashes = dir.iter().enumerate().filter(|(_, b)| **b == b'/');
            dirs.extend(slashes.map(|(at, _)| &dir[..at]));
            dirs.extend((!dir.is_empty()).then_some(dir));
        }
    }
    in_parallel(tops.len(), |place| {
        let top = open_dir(rustix::fs::CWD.as_fd(), tops[place].as_os_str().as_bytes())
            .map_err(at(&tops[place], b""))?;
        for dir in &dirs {
            match rustix::fs::mkdirat(&top, OsStr::from_bytes(dir), Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(at(&tops[place], dir)(errno)),
            }
        }
        Ok(())
    })
    .map(drop)
}

/// Copies `entries` from `source` into each of `tops`, where the directories are already. `time` is
/// the latest time that a file may get, in seconds.
pub fn copy(
    entries: &[Entry],
    source: Source<'_>,
    tops: &[PathBuf],
    time: i64,
) -> Result<Filled, Error> {
    let reflink = AtomicBool::new(true);
    let chunks = entries.len().div_ceil(CHUNK);
    let done = in_parallel(chunks, |chunk| {
        let start = chunk * CHUNK;
        let end = (start + CHUNK).min(entries.len());
        let mut copier = Copier::open(source, tops, time, &reflink)?;
        (start..end)
            .map(|place| match source.known[place] {
                Some(known) => copier.one(&entries[place], known),
                None => Ok(None),
            })
            .collect::<Result<Vec<_>, Error>>()
    })?;
    Ok(done.into_iter().flatten().collect())
}

/// Runs `work` for 0..count on a few threads and gives the results in order; the first error ends
/// it.
pub fn in_parallel<T: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let threads = (cores * 2).min(8).min(count);
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let run = || {
        let mut results = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count {
                break;
            }
            match work(place) {
                Ok(result) => results.push((place, result)),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(results)
    };
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut all = run();
        for worker in workers {
            let theirs = worker.join().expect("the work does not panic");
            all = match (all, theirs) {
                (Ok(mut all), Ok(theirs)) => {
                    all.extend(theirs);
                    Ok(all)
                }
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
        }
        all
    })?;
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

/// A thread at work: the directory it is in, open in the source and in every target.
struct Copier<'a> {
    source: Source<'a>,
    tops: &'a [PathBuf],
    time: i64,
    reflink: &'a AtomicBool,
    roots: Vec<OwnedFd>,
    dirs: Vec<OwnedFd>,
    dir: Option<Vec<u8>>,
    buffer: Vec<u8>,
}

impl<'a> Copier<'a> {
    fn open(
        source: Source<'a>,
        tops: &'a [PathBuf],
        time: i64,
        reflink: &'a AtomicBool,
    ) -> Result<Copier<'a>, Error> {
        let roots = std::iter::once(source.top)
            .chain(tops.iter().map(PathBuf::as_path))
            .map(|top| {
                open_dir(rustix::fs::CWD.as_fd(), top.as_os_str().as_bytes()).map_err(at(top, b""))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Copier {
            source,
            tops,
            time,
            reflink,
            roots,
            dirs: Vec::new(),
            dir: None,
            buffer: Vec::new(),
        })
    }

    /// Copies one entry to all targets; none if the source is not what its index remembers.
    fn one(&mut self, entry: &Entry, known: Stat) -> Result<Option<Vec<Stat>>, Error> {
        if !self.enter(parent(&entry.path))? {
            return Ok(None);
        }
        let name = OsStr::from_bytes(&entry.path[self.name_at(entry)..]);
        match entry.kind {
            Kind::Link => self.link(entry, name, known),
            Kind::File | Kind::Executable => self.file(entry, name, known),
        }
    }

    fn name_at(&self, entry: &Entry) -> usize {
        match parent(&entry.path).len() {
            0 => 0,
            length => length + 1,
        }
    }

    /// Opens the directory everywhere; false if the source has none of that name.
    fn enter(&mut self, dir: &[u8]) -> Result<bool, Error> {
        if self.dir.as_deref() == Some(dir) {
            return Ok(!self.dirs.is_empty());
        }
        self.dir = Some(dir.to_owned());
        self.dirs.clear();
        let name: &[u8] = if dir.is_empty() { b"." } else { dir };
        let mut dirs = Vec::with_capacity(self.roots.len());
        for (place, root) in self.roots.iter().enumerate() {
            match (place, open_dir(root.as_fd(), name)) {
                (_, Ok(fd)) => dirs.push(fd),
                (0, Err(_)) => return Ok(false),
                (_, Err(errno)) => return Err(at(&self.tops[place - 1], dir)(errno)),
            }
        }
        self.dirs = dirs;
        Ok(true)
    }

    fn link(&self, entry: &Entry, name: &OsStr, known: Stat) -> Result<Option<Vec<Stat>>, Error> {
        let here = &self.dirs[0];
        let matches = |stat: &rustix::fs::Stat| {
            Stat::of(stat) == known
                && rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink()
        };
        match rustix::fs::statat(here, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if matches(&stat) => {}
            _ => return Ok(None),
        }
        let Ok(goal) = rustix::fs::readlinkat(here, name, Vec::new()) else {
            return Ok(None);
        };
        let mut stats = Vec::with_capacity(self.dirs.len());
        for (place, dir) in self.dirs.iter().enumerate() {
            let failed = |errno| at(self.top(place), &entry.path)(errno);
            if place > 0 {
                rustix::fs::symlinkat(&*goal, dir, name).map_err(failed)?;
            } else if !self.source.ours {
                continue;
            }
            let times = self.times(known);
            rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            stats.push(Stat::of(&stat));
        }
        Ok(Some(stats))
    }

    fn file(
        &mut self,
        entry: &Entry,
        name: &OsStr,
        known: Stat,
    ) -> Result<Option<Vec<Stat>>, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Ok(fd) = rustix::fs::openat(&self.dirs[0], name, flags, Mode::empty()) else {
            return Ok(None);
        };
        let mut original = File::from(fd);
        if !self.is_known(&original, entry, known) {
            return Ok(None);
        }
        let length = u64::from(known.size);
        let whole = length <= IN_MEMORY;
        let clones = length > 0 && self.reflink.load(Ordering::Relaxed);
        let mut read = false;
        let mut stats = Vec::with_capacity(self.dirs.len());
        let times = self.times(known);
        if self.source.ours {
            let failed = |errno| at(self.source.top, &entry.path)(errno);
            rustix::fs::futimens(&original, &times).map_err(failed)?;
            let stat = rustix::fs::fstat(&original).map_err(failed)?;
            stats.push(Stat::of(&stat));
        }
        for place in 1..self.dirs.len() {
            let mode = if entry.kind == Kind::Executable {
                0o777
            } else {
                0o666
            };
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let top = self.tops[place - 1].clone();
            let failed = |errno| at(&top, &entry.path)(errno);
            let fd = rustix::fs::openat(&self.dirs[place], name, flags, Mode::from_raw_mode(mode))
                .map_err(failed)?;
            let mut copy = File::from(fd);
            if !(clones && clone(&copy, &original, self.reflink)) {
                let io = |error| Error::at(top.join(OsStr::from_bytes(&entry.path)))(error);
                if whole && !read {
                    self.buffer.clear();
                    original.read_to_end(&mut self.buffer).map_err(io)?;
                    read = true;
                }
                if whole {
                    copy.write_all(&self.buffer).map_err(io)?;
                } else {
                    original.seek(SeekFrom::Start(0)).map_err(io)?;
                    std::io::copy(&mut original, &mut copy).map_err(io)?;
                }
            }
            rustix::fs::futimens(&copy, &times).map_err(failed)?;
            stats.push(Stat::of(&rustix::fs::fstat(&copy).map_err(failed)?));
        }
        // Edited while we read it: take the copies back, git will write this one.
        if !self.source.ours && !self.is_known(&original, entry, known) {
            for dir in &self.dirs[1..] {
                rustix::fs::unlinkat(dir, name, AtFlags::empty())
                    .map_err(at(self.source.top, &entry.path))?;
            }
            return Ok(None);
        }
        Ok(Some(stats))
    }

    /// Whether the open file is the one that the index remembers.
    fn is_known(&self, file: &File, entry: &Entry, known: Stat) -> bool {
        rustix::fs::fstat(file).is_ok_and(|stat| {
            let executable = stat.st_mode & 0o100 != 0;
            rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file()
                && executable == (entry.kind == Kind::Executable)
                && Stat::of(&stat) == known
                && u64::try_from(stat.st_size).ok() == Some(u64::from(known.size))
        })
    }

    fn top(&self, place: usize) -> &Path {
        match place.checked_sub(1) {
            Some(place) => &self.tops[place],
            None => self.source.top,
        }
    }

    /// The source's own time if that is old enough, so that build caches stay valid.
    fn times(&self, known: Stat) -> Timestamps {
        let (seconds, nanos) = known.mtime;
        let time = if i64::from(seconds) < self.time {
            Timespec {
                tv_sec: i64::from(seconds),
                tv_nsec: nanos.into(),
            }
        } else {
            Timespec {
                tv_sec: self.time,
                tv_nsec: 0,
            }
        };
        Timestamps {
            last_access: time,
            last_modification: time,
        }
    }
}

/// Shares the blocks of `original`; the first refusal is remembered.
#[cfg(target_os = "linux")]
fn clone(copy: &File, original: &File, reflink: &AtomicBool) -> bool {
    let cloned = rustix::fs::ioctl_ficlone(copy, original).is_ok();
    if !cloned {
        reflink.store(false, Ordering::Relaxed);
    }
    cloned
}

#[cfg(not(target_os = "linux"))]
fn clone(_: &File, _: &File, _: &AtomicBool) -> bool {
    false
}

fn open_dir(base: std::os::fd::BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(base, OsStr::from_bytes(name), flags, Mode::empty())
}

/// The directory that a path of an index is in; empty at the top.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => &path[..slash],
        None => b"",
    }
}

fn at<'a>(top: &'a Path, path: &'a [u8]) -> impl FnOnce(Errno) -> Error + 'a {
    move |errno| Error::at(top.join(OsStr::from_bytes(path)))(errno.into())
}
