//! The system calls of this room, each in one place, so that a test can let any of them fail.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, StatVfsMountFlags};
use rustix::io::Errno;

/// What a system call gives.
pub(crate) type Sys<T> = Result<T, Errno>;

/// The instant before each system call. In tests it can fail one of them.
#[inline(always)]
fn gate(_call: &'static str) -> Sys<()> {
    #[cfg(test)]
    super::faults::strike(_call)?;
    Ok(())
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens a directory by one step from `at`, never through a symbolic link.
pub(crate) fn open_dir(at: BorrowedFd<'_>, name: &str) -> Sys<OwnedFd> {
    gate("openat")?;
    rustix::fs::openat(at, name, DIRECTORY, Mode::empty())
}

/// Opens the directory that a person named: the only step that may follow links.
pub(crate) fn open_root(path: &std::path::Path) -> Sys<OwnedFd> {
    gate("open")?;
    rustix::fs::open(path, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())
}

/// Makes a directory that only its owner may use.
pub(crate) fn make_dir(at: BorrowedFd<'_>, name: &str) -> Sys<()> {
    gate("mkdirat")?;
    rustix::fs::mkdirat(at, name, Mode::RWXU)
}

/// Makes a directory unless it is there, and opens it.
pub(crate) fn ensure_dir(at: BorrowedFd<'_>, name: &str) -> Sys<OwnedFd> {
    match open_dir(at, name) {
        Err(Errno::NOENT) => {}
        opened => return opened,
    }
    match make_dir(at, name) {
        Ok(()) | Err(Errno::EXIST) => open_dir(at, name),
        Err(errno) => Err(errno),
    }
}

/// Creates a file that must not exist; `mode` is cut by the umask only.
pub(crate) fn create(at: BorrowedFd<'_>, name: &str, mode: Mode) -> Sys<OwnedFd> {
    gate("creat")?;
    let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, how, mode)
}

/// Opens a file for reading: no link is followed, and nothing here can make us wait.
pub(crate) fn open_file(at: BorrowedFd<'_>, name: &str) -> Sys<OwnedFd> {
    gate("openat")?;
    let how =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, how, Mode::empty())
}

/// Opens a hint for reading and writing.
pub(crate) fn open_hint(at: BorrowedFd<'_>, name: &str) -> Sys<OwnedFd> {
    gate("openat")?;
    let how = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, how, Mode::empty())
}

/// Writes all of `bytes`.
pub(crate) fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Sys<()> {
    while !bytes.is_empty() {
        gate("write")?;
        match rustix::io::write(fd, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Writes a file and its content to the disk.
///
/// A file system that gives up (a disk that fails, a cut) while fsync waits may let it return 0 with
/// nothing written: the word of fsync counts only while the file system stands after it.
pub(crate) fn sync(fd: BorrowedFd<'_>) -> Sys<()> {
    gate("fsync")?;
    rustix::fs::fsync(fd)?;
    stands(fd)
}

/// Whether a file system has not given up: on XFS every stat fails from then on, btrfs (and ext4, as
/// it is usually mounted) is read-only.
fn stands(fd: BorrowedFd<'_>) -> Sys<()> {
    stat(fd)?;
    gate("fstatfs")?;
    match rustix::fs::fstatvfs(fd)?
        .f_flag
        .contains(StatVfsMountFlags::RDONLY)
    {
        true => Err(Errno::ROFS),
        false => Ok(()),
    }
}

/// Writes everything of a file system to the disk.
pub(crate) fn sync_all(fd: BorrowedFd<'_>) -> Sys<()> {
    gate("syncfs")?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(fd)?;
    #[cfg(not(target_os = "linux"))]
    rustix::fs::fsync(fd).map(|()| rustix::fs::sync())?;
    stands(fd)
}

/// Renames, and fails when the new name is taken; where the file system cannot promise that, by a
/// link and an unlink, and at last by a plain rename: 64 random bits stand in every name.
pub(crate) fn rename_new(
    from: BorrowedFd<'_>,
    old: &str,
    to: BorrowedFd<'_>,
    new: &str,
) -> Sys<()> {
    gate("renameat2")?;
    match rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {}
        done => return done,
    }
    match rustix::fs::linkat(from, old, to, new, AtFlags::empty()) {
        Ok(()) => rustix::fs::unlinkat(from, old, AtFlags::empty()),
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
            rustix::fs::renameat(from, old, to, new)
        }
        Err(errno) => Err(errno),
    }
}

/// Renames over what may be there.
pub(crate) fn rename(from: BorrowedFd<'_>, old: &str, to: BorrowedFd<'_>, new: &str) -> Sys<()> {
    gate("renameat")?;
    rustix::fs::renameat(from, old, to, new)
}

/// Swaps two names.
pub(crate) fn exchange(
    from: BorrowedFd<'_>,
    one: &str,
    to: BorrowedFd<'_>,
    other: &str,
) -> Sys<()> {
    gate("renameat2")?;
    rustix::fs::renameat_with(from, one, to, other, RenameFlags::EXCHANGE)
}

/// Whether the file system that holds `fd` is known to swap names: ext4, XFS, tmpfs, btrfs, f2fs.
pub(crate) fn can_exchange(fd: BorrowedFd<'_>) -> bool {
    #[cfg(target_os = "linux")]
    {
        const KNOWN: [u64; 5] = [0xef53, 0x5846_5342, 0x0102_1994, 0x9123_683e, 0xf2f5_2010];
        let kind = rustix::fs::fstatfs(fd).map(|found| found.f_type as u64 & 0xffff_ffff);
        kind.is_ok_and(|kind| KNOWN.contains(&kind))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        false
    }
}

/// A file that has no name and no place on a disk.
pub(crate) fn in_memory() -> Sys<OwnedFd> {
    #[cfg(target_os = "linux")]
    return rustix::fs::memfd_create("part", rustix::fs::MemfdFlags::CLOEXEC);
    // Nobody writes bundles here: see can_exchange.
    #[cfg(not(target_os = "linux"))]
    Err(Errno::NOTSUP)
}

/// Gives a file one more name.
pub(crate) fn link(from: BorrowedFd<'_>, old: &str, to: BorrowedFd<'_>, new: &str) -> Sys<()> {
    gate("linkat")?;
    rustix::fs::linkat(from, old, to, new, AtFlags::empty())
}

/// Removes a name of a file.
pub(crate) fn unlink(at: BorrowedFd<'_>, name: &str) -> Sys<()> {
    gate("unlinkat")?;
    rustix::fs::unlinkat(at, name, AtFlags::empty())
}

/// Removes an empty directory.
pub(crate) fn remove_dir(at: BorrowedFd<'_>, name: &str) -> Sys<()> {
    gate("rmdir")?;
    rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR)
}

/// Makes a symbolic link: the one way to create a name with a content in one step.
pub(crate) fn symlink(text: &str, at: BorrowedFd<'_>, name: &str) -> Sys<()> {
    gate("symlinkat")?;
    rustix::fs::symlinkat(text, at, name)
}

/// Reads a symbolic link.
pub(crate) fn read_link(at: BorrowedFd<'_>, name: &str) -> Sys<String> {
    gate("readlinkat")?;
    let text = rustix::fs::readlinkat(at, name, Vec::new())?;
    text.into_string().map_err(|_| Errno::INVAL)
}

/// What is known about an open file.
pub(crate) fn stat(fd: BorrowedFd<'_>) -> Sys<Stat> {
    gate("fstat")?;
    rustix::fs::fstat(fd)
}

/// Whether an open file is a directory.
pub(crate) fn is_dir(fd: BorrowedFd<'_>) -> Sys<bool> {
    Ok(FileType::from_raw_mode(stat(fd)?.st_mode) == FileType::Directory)
}

/// What is known about a name; a link is not followed.
pub(crate) fn stat_at(at: BorrowedFd<'_>, name: &str) -> Sys<Stat> {
    gate("fstatat")?;
    rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether a name is there.
pub(crate) fn exists(at: BorrowedFd<'_>, name: &str) -> Sys<bool> {
    match stat_at(at, name) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Hands each entry of a directory to `each`, without `.` and `..`, in no order. One that was removed
/// while we hold it open is empty: getdents(2) calls that ENOENT.
pub(crate) fn list(dir: BorrowedFd<'_>, mut each: impl FnMut(&CStr, FileType)) -> Sys<()> {
    gate("getdents")?;
    let mut visit = |name: &CStr, kind: FileType| {
        if name.to_bytes() != b"." && name.to_bytes() != b".." {
            each(name, kind);
        }
    };
    #[cfg(target_os = "linux")]
    {
        rustix::fs::seek(dir, rustix::fs::SeekFrom::Start(0))?;
        let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
        let mut entries = rustix::fs::RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) => visit(entry.file_name(), entry.file_type()),
                Err(Errno::NOENT) => break,
                Err(errno) => return Err(errno),
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        visit(entry.file_name(), entry.file_type());
    }
    Ok(())
}

/// The names in a directory that are text, with their kind.
pub(crate) fn names(dir: BorrowedFd<'_>) -> Sys<Vec<(String, FileType)>> {
    let mut found = Vec::new();
    list(dir, |name, kind| {
        if let Ok(name) = name.to_str() {
            found.push((name.to_owned(), kind));
        }
    })?;
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// How a file system must be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FsKind {
    /// ext4 and XFS: a rename and the data of the file become durable in one journal commit, so
    /// the rename may come first.
    Journal,
    /// Everything local that is not known to do so: the data first, then the name.
    Local,
    /// A file system that others change behind our back, or that has no inotify: poll it.
    Remote,
    /// One that allows no colon in names.
    NoColon,
}

/// The kind of the file system that holds `fd`, from its magic number (statfs(2)).
pub(crate) fn fs_kind(fd: BorrowedFd<'_>) -> Sys<FsKind> {
    #[cfg(target_os = "linux")]
    {
        gate("fstatfs")?;
        Ok(match rustix::fs::fstatfs(fd)?.f_type as u64 & 0xffff_ffff {
            0xef53 | 0x5846_5342 => FsKind::Journal,
            // NFS, SMB, SMB2, FUSE, 9p, overlay, Ceph, AFS
            0x6969 | 0x517b | 0xff53_4d42 | 0xfe53_4d42 | 0x6573_5546 | 0x0102_1997
            | 0x794c_7630 | 0x00c3_6400 | 0x5346_414f => FsKind::Remote,
            // FAT, exFAT, NTFS
            0x4d44 | 0x2011_bab0 | 0x7366_746e => FsKind::NoColon,
            _ => FsKind::Local,
        })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = fd;
        Ok(FsKind::Local)
    }
}

/// Whether a file has the mode that it was made with. Through FUSE or SMB, and on FAT or NTFS, it may
/// have the one that the mount says.
pub(crate) fn keeps_modes(fd: BorrowedFd<'_>) -> bool {
    !matches!(fs_kind(fd), Ok(FsKind::Remote | FsKind::NoColon))
}

/// Sets both times of a name to now, and makes the file when it is not there.
pub(crate) fn touch(at: BorrowedFd<'_>, name: &str) -> Sys<()> {
    gate("utimensat")?;
    let now = rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_NOW,
    };
    let times = rustix::fs::Timestamps {
        last_access: now,
        last_modification: now,
    };
    match rustix::fs::utimensat(at, name, &times, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => match create(at, name, Mode::RUSR | Mode::WUSR) {
            Ok(_) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
        },
        done => done,
    }
}

/// Puts a small file in place as a whole: written aside, then renamed over the old one.
pub(crate) fn replace(at: BorrowedFd<'_>, name: &str, aside: &str, parts: &[&[u8]]) -> Sys<()> {
    let file = create(at, aside, Mode::RUSR | Mode::WUSR)?;
    let written = parts
        .iter()
        .try_for_each(|part| write_all(file.as_fd(), part))
        .and_then(|()| rename(at, aside, at, name));
    if written.is_err() {
        // The first failure is the one that tells.
        let _ = unlink(at, aside);
    }
    written
}
