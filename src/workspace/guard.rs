//! The guard: what an agent's git does in its own tree moves its own branch, and nothing of others.
//!
//! Worktrees share their refs, so a slip in one is everybody's: `main` moved, another's branch reset,
//! the one stash emptied. A tree that is guarded has `core.hooksPath` in its own `config.worktree`
//! pointing to `COMMON/spore/hooks`, where one script (`guard.sh` beside this file) stands under the
//! name of every hook. It looks at ref transactions by `spore/guard` in the tree's own git directory
//! (a line each: mode, agent, branch, the branches that are everybody's), and hands every hook on to where it would have been
//! looked for otherwise, at the time when it runs.
//!
//! It is against accidents: who sets `SPORE_GUARD=off`, or works in another tree by `git -C`, is not
//! stopped ([`super::seal`] is about the second). A clone shares nothing and needs none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::settings::Settings;
use super::{Error, Git, Tree};
use crate::swarm::config::Guard;
use crate::swarm::files;

const SCRIPT: &str = include_str!("guard.sh");

/// The hooks that git starts in a worktree (githooks(5)), without those that only some need and that
/// would cost each command time where they are empty.
const HOOKS: &[&str] = &[
    "applypatch-msg",
    "commit-msg",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-merge",
    "post-rewrite",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "prepare-commit-msg",
    "reference-transaction",
    "sendemail-validate",
];

/// Puts the script where git will look for hooks, under the name of each.
pub(super) fn script(common: &Path) -> Result<(), Error> {
    let dir = common.join("spore/hooks");
    files::make_dirs(&dir).map_err(Error::at(&dir))?;
    let script = dir.join(".guard");
    if fs::read(&script).ok().as_deref() != Some(SCRIPT.as_bytes()) {
        // Of one who was killed here; we are alone, under the lock of who gives out names.
        files::sweep(&dir, Duration::ZERO)
            .and_then(|()| files::write_whole(&script, SCRIPT.as_bytes()))
            .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
            .map_err(Error::at(&script))?;
    }
    // A hook that the repository has and that is not in the list.
    let own = fs::read_dir(common.join("hooks")).into_iter().flatten();
    let own: Vec<String> = own
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.contains('.'))
        .collect();
    for name in HOOKS.iter().copied().chain(own.iter().map(String::as_str)) {
        match std::os::unix::fs::symlink(".guard", dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Error::at(dir.join(name))(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Lets single worktrees have configuration of their own.
pub(super) fn switch_on(git: &Git, settings: &Settings, common: &Path) -> Result<(), Error> {
    // With per-worktree configuration these two hold for the main worktree alone
    // (git-worktree(1), "CONFIGURATION FILE").
    let shared = common.join("config").display().to_string();
    let mut moved = Vec::new();
    for (name, moves) in [("core.bare", "true"), ("core.worktree", "")] {
        // Nearly every repository says `core.bare = false`.
        if !moves.is_empty() && !settings.is_on(name) || settings.get(name).is_none() {
            continue;
        }
        let Some(value) = git.ask(&["config", "--file", &shared, "--get", name])? else {
            continue;
        };
        if moves.is_empty() || value == moves {
            moved.push((name, value));
        }
    }
    let own = common.join("config.worktree").display().to_string();
    for (name, value) in &moved {
        git.bytes(&["config", "--file", &own, name, value])?;
    }
    git.bytes(&["config", "extensions.worktreeConfig", "true"])?;
    for (name, _) in &moved {
        git.bytes(&["config", "--file", &shared, "--unset", name])?;
    }
    Ok(())
}

/// Whether single worktrees may have configuration of their own.
fn is_on(git: &Git) -> Result<bool, Error> {
    Ok(Settings::of(git)?.is_on("extensions.worktreeconfig"))
}

/// Takes [`switch_on`] back, if no worktree has configuration of its own by now.
pub(super) fn unprepare(git: &Git, common: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(common.join("worktrees"))
        .into_iter()
        .flatten()
        .flatten();
    let used = entries
        .map(|entry| entry.path())
        .any(|dir| dir.join("config.worktree").exists());
    if !used && !common.join("config.worktree").exists() && is_on(git)? {
        git.bytes(&["config", "--unset", "extensions.worktreeConfig"])?;
    }
    Ok(())
}

/// Puts a linked worktree under guard. Its base and the branch of the main checkout are everybody's.
pub(super) fn put(tree: &Tree, common: &Path, mode: Guard) -> Result<(), Error> {
    let word = match mode {
        Guard::Off => return Ok(()),
        Guard::Warn => "warn",
        Guard::Deny => "deny",
    };
    let head = fs::read_to_string(common.join("HEAD")).unwrap_or_default();
    let head = head
        .trim()
        .strip_prefix("ref: refs/heads/")
        .unwrap_or_default();
    let lines = format!(
        "{word}\n{}\n{}\n{} {head}\n",
        tree.identity.agent,
        tree.identity.branch.as_deref().unwrap_or_default(),
        tree.notes.base
    );
    let path = tree.git_dir.join("spore/guard");
    fs::write(&path, lines).map_err(Error::at(path))?;
    let own = tree.git_dir.join("config.worktree");
    let hooks = common.join("spore/hooks").display().to_string();
    if own.exists() {
        let own = own.display().to_string();
        let args = ["config", "--file", &own, "core.hooksPath", &hooks];
        return Git::at(common).bytes(&args).map(drop);
    }
    let quoted = hooks.replace('\\', "\\\\").replace('"', "\\\"");
    let quoted = quoted.replace('\n', "\\n");
    let text = format!("[core]\n\thooksPath = \"{quoted}\"\n");
    fs::write(&own, text).map_err(Error::at(own))
}

/// The guard's mode of a tree, as it was made.
pub fn mode(git_dir: &Path) -> Guard {
    let text = fs::read_to_string(git_dir.join("spore/guard")).unwrap_or_default();
    match text.lines().next() {
        Some("warn") => Guard::Warn,
        Some("deny") => Guard::Deny,
        _ => Guard::Off,
    }
}
