//! Locks that a killed git leaves in a tree: with one of them there, every later git refuses to work.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Tree;
use super::life::Processes;

/// A lock that has stood this long while no git is in the tree has nobody any more: a git that works
/// from elsewhere holds that of a branch for less than a millisecond.
const LONELY: Duration = Duration::from_millis(250);

/// Takes away the locks on the index, the HEAD and the branch of this tree that were made since
/// `since` and that no git in the tree can be holding; those that were taken. For one who has ended
/// all that could have been at work there. Such a lock holds nothing that anybody could want: git
/// writes the file anew and renames it when it is whole.
pub fn free(tree: &Tree, since: SystemTime) -> Vec<PathBuf> {
    let mut freed = Vec::new();
    for lock in candidates(&tree.git_dir) {
        let Some(made) = made(&lock).filter(|made| *made >= since) else {
            continue;
        };
        let age = SystemTime::now().duration_since(made).unwrap_or_default();
        std::thread::sleep(LONELY.saturating_sub(age));
        let stays = self::made(&lock) == Some(made);
        if stays && !is_git_inside(&tree.path) && fs::remove_file(&lock).is_ok() {
            freed.push(lock);
        }
    }
    freed
}

fn candidates(git_dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![git_dir.join("index.lock"), git_dir.join("HEAD.lock")];
    let head = fs::read_to_string(git_dir.join("HEAD")).unwrap_or_default();
    // Only a branch: other refs may be anybody's.
    if let Some(branch) = head.trim_end().strip_prefix("ref: refs/heads/") {
        let common = fs::read_to_string(git_dir.join("commondir")).unwrap_or_default();
        let refs = git_dir.join(common.trim_end()).join("refs/heads");
        found.push(refs.join(format!("{branch}.lock")));
    }
    found
}

fn made(lock: &Path) -> Option<SystemTime> {
    fs::symlink_metadata(lock).ok()?.modified().ok()
}

fn is_git_inside(top: &Path) -> bool {
    let inside = Processes::now().inside(top).into_iter();
    inside
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok())
        .any(|name| name.starts_with("git"))
}
