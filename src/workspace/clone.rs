//! Clones as places of work: refs of their own, and objects that are linked, not copied, where the
//! file system can. For agents whose sandbox lets them write nothing but their own directory.
//!
//! A clone is made under a hidden name and moved to its place when it bears the mark of its spawn,
//! `.git/spore/making`; that mark goes when the spawn is done.

use std::fs;
use std::path::{Path, PathBuf};

use super::fill::in_parallel;
use super::journal::{self, Item, Record};
use super::spawn::Ground;
use super::{Error, Git, Tree};

/// Configuration that belongs to one repository and is not handed on.
const OWN: &[&str] = &[
    "core.repositoryformatversion",
    "core.bare",
    "core.worktree",
    "core.hookspath",
    "core.logallrefupdates",
    "extensions.",
    "remote.",
    "branch.",
    "submodule.",
    "spore.",
    "gc.",
    "maintenance.",
];

/// Makes a clone, still empty, for each tree.
pub(super) fn make(
    ground: &Ground<'_>,
    record: &Record,
    trees: &[Tree],
    life: &fs::File,
) -> Result<(), Error> {
    let common = &ground.repository.common_dir;
    let config = ground.git.bytes(&["config", "--local", "-z", "--list"])?;
    in_parallel(trees.len(), |place| {
        let (tree, item) = (&trees[place], &record.items[place]);
        let hidden = hidden(record, item);
        let (from, to) = (common.display().to_string(), hidden.display().to_string());
        let args = [
            "clone",
            "-q",
            "--local",
            "--no-checkout",
            "--no-tags",
            "--",
            &from,
            &to,
        ];
        ground.run_in(&Git::at(ground.root.worktrees()), &args, life)?;
        let git = Git::at(&hidden);
        hand_on(&git, &config)?;
        let hooks = common.join("hooks");
        for (name, value) in [
            ("spore.root", Some(ground.root.path().to_owned())),
            ("core.hooksPath", Some(hooks).filter(|dir| has_hooks(dir))),
            (
                "lfs.storage",
                Some(common.join("lfs")).filter(|dir| dir.is_dir()),
            ),
        ] {
            if let Some(value) = value {
                git.bytes(&["config", name, &value.display().to_string()])?;
            }
        }
        let branch = format!("refs/heads/{}", item.branch);
        git.bytes(&["update-ref", "-m", &record.mark(), &branch, &record.base])?;
        git.bytes(&["symbolic-ref", "HEAD", &branch])?;
        // The branch that the clone began with is nobody's.
        let others = git.text(&["for-each-ref", "--format=delete %(refname)", "refs/heads"])?;
        let others: String = others
            .lines()
            .filter(|line| !line.ends_with(&format!(" {branch}")))
            .map(|line| format!("{line}\n"))
            .collect();
        git.feed(&["update-ref", "--stdin"], others.as_bytes())?;
        let inside = Tree {
            git_dir: hidden.join(".git"),
            path: hidden.clone(),
            ..tree.clone()
        };
        ground.know(&inside)?;
        let mark = inside.git_dir.join("spore/making");
        fs::write(&mark, format!("{}\n", record.mark())).map_err(Error::at(mark))?;
        fs::rename(&hidden, &tree.path).map_err(Error::at(&tree.path))
    })
    .map(drop)
}

fn hidden(record: &Record, item: &Item) -> PathBuf {
    item.path
        .with_file_name(format!(".making-{}-{}", record.tx, item.agent))
}

/// Whether there is any hook that is not a sample.
fn has_hooks(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|entry| entry.path().extension().is_none())
}

/// Gives a clone the configuration that decides how files are written and who commits.
fn hand_on(git: &Git, config: &[u8]) -> Result<(), Error> {
    for entry in config.split(|byte| *byte == 0) {
        let entry = String::from_utf8_lossy(entry);
        let (name, value) = entry.split_once('\n').unwrap_or((&entry, "true"));
        let known = |own: &&str| match own.ends_with('.') {
            true => name.starts_with(*own),
            false => name == *own,
        };
        if !name.is_empty() && !OWN.iter().any(known) {
            git.bytes(&["config", "--add", name, value])?;
        }
    }
    Ok(())
}

/// Removes the mark of a spawn that is done.
pub(super) fn unmark(record: &Record, item: &Item) -> Result<(), Error> {
    match bears_mark(record, item) {
        true => journal::remove_file(&mark_of(item)),
        false => Ok(()),
    }
}

/// Removes a clone that bears the mark of this spawn.
pub(super) fn take_back(record: &Record, item: &Item) -> Result<(), Error> {
    journal::remove_tree(&hidden(record, item))?;
    if bears_mark(record, item) {
        // Away in one step, so that a kill in the middle finds the rest by its name.
        let hidden = hidden(record, item);
        fs::rename(&item.path, &hidden).map_err(Error::at(&item.path))?;
        journal::remove_tree(&hidden)?;
    }
    Ok(())
}

fn mark_of(item: &Item) -> PathBuf {
    item.path.join(".git/spore/making")
}

fn bears_mark(record: &Record, item: &Item) -> bool {
    fs::read_to_string(mark_of(item)).is_ok_and(|mark| mark.trim() == record.mark())
}
