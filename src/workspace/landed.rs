//! Whether a branch has landed: by its commits, or by its content however it got there. Offline.

use std::collections::HashSet;

use super::{Error, Git, merge};

/// Above this many paths a search is not narrowed to them: a command line has an end.
const MANY: usize = 500;

/// Whether `target` has everything that `branch` brings. It has, when one of these holds:
///
/// 1. the branch's last commit is one of `target`'s: merged, or nothing was ever committed on it;
/// 2. merging the branch would change nothing: `git merge-tree` of the two gives `target`'s own tree
///    (squashed, rebased, cherry-picked or typed in again, with later commits elsewhere);
/// 3. some commit of `target` made the very change of the whole branch, or for each commit of the
///    branch there is one that made its change (`git patch-id`): so also when later commits went on
///    at the same lines, where 2 sees a conflict.
///
/// Both are any revisions that git knows in this repository; nothing is fetched. A branch whose
/// change was taken back in `target` again counts as landed: it is in `target`'s history.
///
/// # Errors
/// When git cannot be run. A revision that does not exist has not landed.
pub fn has_landed(git: &Git, target: &str, branch: &str) -> Result<bool, Error> {
    let git = git.offline();
    let (Some(target), Some(branch)) = (
        merge::commit_of(&git, target)?,
        merge::commit_of(&git, branch)?,
    ) else {
        return Ok(false);
    };
    if merge::is_ancestor(&git, &branch, &target)? {
        return Ok(true);
    }
    let merged = git.ask(&["merge-tree", "--write-tree", &target, &branch])?;
    let tree = git.ask(&["rev-parse", "-q", "--verify", &format!("{target}^{{tree}}")])?;
    if merged.is_some() && merged.as_deref().and_then(|said| said.lines().next()) == tree.as_deref()
    {
        return Ok(true);
    }
    was_picked(&git, &target, &branch)
}

/// Whether commits of `target` since the two parted made the branch's change, at once or one by one.
fn was_picked(git: &Git, target: &str, branch: &str) -> Result<bool, Error> {
    let Some(base) = git.ask(&["merge-base", target, branch])? else {
        return Ok(false);
    };
    let names = git.bytes(&["diff-tree", "-r", "-z", "--name-only", &base, branch])?;
    let paths: Vec<&str> = names
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .filter_map(|path| std::str::from_utf8(path).ok())
        .collect();
    let narrow: &[&str] = if paths.len() <= MANY { &paths } else { &[] };
    let theirs = patches(git, &format!("{base}..{target}"), narrow)?;
    if theirs.is_empty() {
        return Ok(false);
    }
    let whole = git.bytes(&["diff-tree", "-r", "-p", "--full-index", &base, branch])?;
    let whole = git.feed(&["patch-id", "--stable"], &whole)?;
    if ids(&whole).any(|id| theirs.contains(&id)) {
        return Ok(true);
    }
    let merges = ["rev-list", "-n", "1", "--merges", branch, "--not", &base];
    if !git.text(&merges)?.is_empty() {
        return Ok(false);
    }
    let ours = patches(git, &format!("{base}..{branch}"), &[])?;
    let theirs = match narrow.is_empty() {
        true => theirs,
        false => patches(git, &format!("{base}..{target}"), &[])?,
    };
    Ok(!ours.is_empty() && ours.is_subset(&theirs))
}

/// The changes that the commits of a range made, as far as `paths` are concerned, a merge's aside.
fn patches(git: &Git, range: &str, paths: &[&str]) -> Result<HashSet<String>, Error> {
    let git = git.literal();
    let list = [&["rev-list", "--no-merges", range, "--"], paths].concat();
    let commits = git.bytes(&list)?;
    let show = [
        &["diff-tree", "--stdin", "-r", "-p", "--full-index", "--"],
        paths,
    ]
    .concat();
    let patches = git.feed(&show, &commits)?;
    let said = git.feed(&["patch-id", "--stable"], &patches)?;
    Ok(ids(&said).collect())
}

/// The first word of each line that `git patch-id` prints.
fn ids(said: &[u8]) -> impl Iterator<Item = String> {
    said.split(|byte| *byte == b'\n').filter_map(|line| {
        let id = line.split(|byte| *byte == b' ').next()?;
        (!id.is_empty()).then(|| String::from_utf8_lossy(id).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    fn sh(dir: &Path, script: &str) {
        let output = Command::new("sh")
            .args(["-ec", script])
            .current_dir(dir)
            .env("HOME", dir)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "t")
            .env("GIT_AUTHOR_EMAIL", "t@example.org")
            .env("GIT_COMMITTER_NAME", "t")
            .env("GIT_COMMITTER_EMAIL", "t@example.org")
            .output()
            .unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }

    /// `main` with one file of ten lines; branch `b` changes its third in two commits, and adds one.
    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        sh(
            dir.path(),
            "git init -q -b main; seq 10 > f; git add f; git commit -qm first
             git checkout -qb b; sed -i 's/^3$/three/' f; git commit -qam one
             echo new > g; git add g; git commit -qm two; git checkout -q main",
        );
        dir
    }

    fn landed(dir: &tempfile::TempDir, branch: &str) -> bool {
        has_landed(&Git::at(dir.path()), "main", branch).unwrap()
    }

    #[test]
    fn a_branch_lands_by_merge_squash_rebase_and_retyping_also_under_later_commits() {
        for how in [
            "git merge -q --no-ff -m merge b",
            "git merge -q --squash b; git commit -qm squash",
            "git commit -q --allow-empty -m other; git cherry-pick main..b",
            "sed -i 's/^3$/three/' f; echo new > g; git add g; git commit -qam retyped",
        ] {
            let dir = repository();
            assert!(!landed(&dir, "b"), "before {how}");
            sh(dir.path(), how);
            assert!(landed(&dir, "b"), "{how}");
            sh(
                dir.path(),
                "echo x >> other; git add other; git commit -qm elsewhere",
            );
            assert!(landed(&dir, "b"), "{how}, then a commit elsewhere");
            sh(
                dir.path(),
                "sed -i 's/^three$/3 again/' f; git commit -qam same-line",
            );
            assert!(landed(&dir, "b"), "{how}, then a commit at the same line");
        }
    }

    #[test]
    fn half_of_a_branch_or_a_like_change_has_not_landed() {
        let dir = repository();
        sh(dir.path(), "git cherry-pick b~1");
        assert!(!landed(&dir, "b"), "one of two commits");
        let dir = repository();
        sh(
            dir.path(),
            "sed -i 's/^3$/tres/' f; echo new > g; git add g; git commit -qam like",
        );
        assert!(!landed(&dir, "b"), "another text at the same place");
        sh(
            dir.path(),
            "git checkout -q --orphan o; git commit -qm root; git checkout -q main",
        );
        assert!(!landed(&dir, "o"), "no common history");
        assert!(!landed(&dir, "nowhere"));
        assert!(landed(&dir, "main"));
    }

    #[test]
    fn a_squash_together_with_other_work_counts_and_so_do_odd_paths() {
        let dir = repository();
        sh(
            dir.path(),
            "git checkout -q b; echo odd > ':(top)*'; git add -A; git commit -qm odd; git checkout -q main
             git merge -q --squash b; echo more > more; git add more; git commit -qm union
             sed -i 's/^three$/3 again/' f; git commit -qam on",
        );
        assert!(landed(&dir, "b"));
    }
}
