//! Ignored files: what can be built again, and what is work though git does not look at it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Error, Git, Tree};

/// Directories whose content can be made again, by the names that tools give them; one with a
/// `CACHEDIR.TAG` counts too (bford.info/cachedir).
pub const CACHES: &[&str] = &[
    "target",
    "node_modules",
    ".venv",
    "venv",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".gradle",
    ".next",
    ".nuxt",
    ".turbo",
    ".parcel-cache",
    ".terraform",
    "dist",
    "build",
    ".cache",
    "_build",
    ".dart_tool",
    "Pods",
    "DerivedData",
    "zig-cache",
];

/// Ignored files that are work: those that `keep` names, and all that are not in a cache and not
/// the same as in the main checkout.
pub(super) fn ignored_work(
    git: &Git,
    top: &Path,
    main: Option<&Path>,
    keep: &[String],
) -> Result<Vec<Vec<u8>>, Error> {
    let listed = git.bytes(&[
        "ls-files",
        "-z",
        "--others",
        "--ignored",
        "--exclude-standard",
    ])?;
    let mut found: Vec<Vec<u8>> = Vec::new();
    for path in listed
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
    {
        let relative = Path::new(OsStr::from_bytes(path));
        let same = main.is_some_and(|main| is_same(&main.join(relative), &top.join(relative)));
        if !same && !in_cache(top, relative) {
            // A repository that stands there is listed with a slash.
            found.push(path.strip_suffix(b"/").unwrap_or(path).to_vec());
        }
    }
    for pattern in keep {
        let pattern = format!("--exclude={pattern}");
        let listed = git.bytes(&["ls-files", "-z", "--others", "--ignored", &pattern])?;
        for path in listed
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty())
        {
            if !found.iter().any(|known| known == path) {
                found.push(path.to_vec());
            }
        }
    }
    Ok(found)
}

fn is_same(a: &Path, b: &Path) -> bool {
    let lengths = (fs::metadata(a), fs::metadata(b));
    let (Ok(a_is), Ok(b_is)) = lengths else {
        return false;
    };
    let same_length = a_is.is_file() && b_is.is_file() && a_is.len() == b_is.len();
    same_length && fs::read(a).is_ok_and(|a| fs::read(b).is_ok_and(|b| a == b))
}

/// Whether one of the directories above is a cache.
fn in_cache(top: &Path, path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .filter(|dir| !dir.as_os_str().is_empty())
        .any(|dir| is_cache(&top.join(dir)))
}

/// Whether a directory is called like a cache, or says that it is one.
pub(super) fn is_cache(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    CACHES.contains(&name.as_ref()) || dir.join("CACHEDIR.TAG").exists()
}

/// A cache directory of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Where it is.
    pub path: PathBuf,
    /// What it takes on disk, in bytes.
    pub bytes: u64,
    /// When something in it was last changed.
    pub used: Option<SystemTime>,
}

/// The caches of a tree: ignored directories with a name of [`CACHES`] or a `CACHEDIR.TAG`, without
/// any tracked file and without one that `keep` names.
pub fn caches(tree: &Tree, keep: &[String]) -> Result<Vec<Cache>, Error> {
    let git = tree.git();
    let listing = ["ls-files", "-z", "--others", "--ignored", "--directory"];
    let listed = git.bytes(&[&listing[..], &["--exclude-standard"]].concat())?;
    let mut kept = Vec::new();
    for pattern in keep {
        let pattern = format!("--exclude={pattern}");
        kept.extend(paths(&git.bytes(&[
            "ls-files",
            "-z",
            "--others",
            "--ignored",
            &pattern,
        ])?));
    }
    let mut found = Vec::new();
    for relative in paths(&listed) {
        let path: PathBuf = tree.path.join(&relative).components().collect();
        let is_dir = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        let holds_work = kept.iter().any(|file| file.starts_with(&relative));
        if is_dir && !holds_work && in_cache(&tree.path, &relative.join("x")) {
            let (bytes, used) = measure(&path);
            found.push(Cache { path, bytes, used });
        }
    }
    Ok(found)
}

fn paths(listed: &[u8]) -> Vec<PathBuf> {
    listed
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| PathBuf::from(OsStr::from_bytes(path)))
        .collect()
}

/// What the files below take on disk, and when the youngest was changed.
fn measure(path: &Path) -> (u64, Option<SystemTime>) {
    let files = walkdir::WalkDir::new(path).into_iter().flatten();
    let known = files.filter_map(|entry| entry.metadata().ok());
    known.fold((0, None), |(bytes, used), meta| {
        (bytes + meta.blocks() * 512, used.max(meta.modified().ok()))
    })
}

/// How many bytes are free on the disk of `path`, or of what is above it; none where that is not
/// known.
pub fn free(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|path| path.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}
