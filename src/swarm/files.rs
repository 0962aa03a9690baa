//! Files that appear whole, with the modes of a private directory.
//!
//! Every file of a swarm that is not append-only is written through [`write_whole`] or [`write_new`]:
//! a temporary name in the same directory, write, fsync, rename (or link), fsync of the directory.
//! A reader sees the old file, the new file, or (for new ones) none; never a part. A process killed
//! half-way leaves a name that begins with `.tmp-`, which nobody reads and [`sweep`] removes.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

/// The mode of every directory of a swarm: its owner's alone.
pub const DIRECTORY_MODE: u32 = 0o700;
/// The mode of every file of a swarm.
pub const FILE_MODE: u32 = 0o600;
/// What the name of a file that is not finished begins with.
pub const TEMPORARY: &str = ".tmp-";

/// Makes the directory `path` with mode 0700 whatever the umask; one that is there already is left
/// as it is. Its parent must exist.
pub fn make_dir(path: &Path) -> io::Result<()> {
    match (make_name(path)?, path.parent()) {
        (true, Some(parent)) => sync_dir(parent),
        _ => Ok(()),
    }
}

/// The same for several directories in `parent`, which is synced once.
pub fn make_dirs_of(parent: &Path, paths: &[impl AsRef<Path>]) -> io::Result<()> {
    for path in paths {
        make_name(path.as_ref())?;
    }
    sync_dir(parent)
}

/// Makes a directory, not yet on disk; says whether it was not there.
fn make_name(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        // A umask can take away bits even from the owner.
        Ok(()) => {
            let mode = Permissions::from_mode(DIRECTORY_MODE);
            fs::set_permissions(path, mode).map(|()| true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes `path` and what is missing above it, each as [`make_dir`] does.
pub fn make_dirs(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.is_dir()).collect();
    missing.into_iter().rev().try_for_each(make_dir)
}

/// Puts `bytes` at `path`, replacing what was there. When it returns, the file is on disk.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = write_temporary(path, bytes)?;
    let renamed = fs::rename(&temporary, path);
    if renamed.is_err() {
        drop(fs::remove_file(&temporary));
    }
    renamed.and_then(|()| sync_dir(directory_of(path)))
}

/// Puts `bytes` in the place of what is at `path`, a file of somebody else's, with the rights that
/// it had.
pub fn replace(path: &Path, bytes: &[u8], rights: Permissions) -> io::Result<()> {
    let temporary = write_temporary(path, bytes)?;
    let renamed =
        fs::set_permissions(&temporary, rights).and_then(|()| fs::rename(&temporary, path));
    if renamed.is_err() {
        drop(fs::remove_file(&temporary));
    }
    renamed.and_then(|()| sync_dir(directory_of(path)))
}

/// Puts `bytes` at `path` if nothing is there; says whether it did. Of several writers at once
/// exactly one is told yes.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let temporary = write_temporary(path, bytes)?;
    let linked = fs::hard_link(&temporary, path);
    drop(fs::remove_file(&temporary));
    match linked {
        Ok(()) => sync_dir(directory_of(path)).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Everything in the file `path`, or nothing if it does not exist; refused when it is longer than
/// `limit` bytes ([`io::ErrorKind::FileTooLarge`]).
pub fn read_if_there(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than the limit of {limit} bytes"),
        ));
    }
    Ok(Some(bytes))
}

/// Makes the names in `directory` survive a power cut.
pub fn sync_dir(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Opens (and makes) the lock file `path` and waits until nobody else holds it. The lock ends with
/// the value, also when the process is killed.
pub fn lock(path: &Path) -> io::Result<File> {
    let file = open_private(OpenOptions::new().read(true).write(true).create(true), path)?;
    file.lock()?;
    Ok(file)
}

/// Opens `path` with `options`; if that makes it, with mode 0600 whatever the umask, and never
/// through a symbolic link.
pub fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let file = options.mode(FILE_MODE).custom_flags(flags).open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o600 != 0o600 {
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    }
    Ok(file)
}

/// Removes what killed writers left in `directory`: temporary names older than `age`.
pub fn sweep(directory: &Path, age: Duration) -> io::Result<()> {
    let limit = SystemTime::now().checked_sub(age);
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let temporary = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        if temporary && entry.metadata()?.modified().ok() < limit {
            drop(fs::remove_file(entry.path()));
        }
    }
    Ok(())
}

/// A new file beside `path` with `bytes` in it, on disk.
fn write_temporary(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "{TEMPORARY}{}-{}-{}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed),
        uuid::Uuid::new_v4().simple()
    );
    let temporary = directory_of(path).join(name);
    let mut file = open_private(OpenOptions::new().write(true).create_new(true), &temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    Ok(temporary)
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_writers_of_a_new_file_exactly_one_wins_and_nothing_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("VERSION");
        let won: usize = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|n| {
                    let path = &path;
                    scope.spawn(move || write_new(path, format!("{n}").as_bytes()).unwrap())
                })
                .collect();
            writers
                .into_iter()
                .map(|w| usize::from(w.join().unwrap()))
                .sum()
        });
        assert_eq!(won, 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_and_directories_are_their_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        make_dirs(&deep).unwrap();
        make_dirs(&deep).unwrap();
        write_whole(&deep.join("f"), b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("a")), 0o700);
        assert_eq!(mode(&deep), 0o700);
        assert_eq!(mode(&deep.join("f")), 0o600);
    }

    #[test]
    fn a_file_over_the_limit_is_refused_and_an_absent_one_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert_eq!(read_if_there(&path, 3).unwrap(), None);
        write_whole(&path, b"1234").unwrap();
        assert_eq!(read_if_there(&path, 4).unwrap().unwrap(), b"1234");
        assert_eq!(
            read_if_there(&path, 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }

    #[test]
    fn what_a_killed_writer_left_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".tmp-1-0-00"), b"half").unwrap();
        fs::write(dir.path().join("kept"), b"whole").unwrap();
        sweep(dir.path(), Duration::from_secs(3600)).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        sweep(dir.path(), Duration::ZERO).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
