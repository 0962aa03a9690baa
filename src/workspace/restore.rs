//! Bringing back what was saved: a tree in which everything stands as it was, or a branch that holds it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use super::{Error, Git, Tree, salvage, spawn};
use crate::swarm::Root;

/// Work that was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The ref that it came from, in full.
    pub reference: String,
    /// The branch that was made for it.
    pub branch: String,
    /// The commit that the branch stands at.
    pub commit: String,
    /// The tree in which the files stand as they were, uncommitted; none where the agent of that
    /// name has a tree already, and the branch holds them all.
    pub tree: Option<Tree>,
}

/// Brings saved work back. Where the agent has no tree now, it gets one in which everything stands as
/// it was, on a new branch `restored/AGENT/N` at its last commit; otherwise only that branch is made,
/// with the files committed.
///
/// # Errors
/// [`Error::Unknown`] with what there is.
pub fn restore(root: &Root, reference: &str, request: &spawn::Request) -> Result<Restored, Error> {
    let repository = root.repository().ok_or_else(Error::no_repository)?;
    let git = Git::at(&repository.common_dir);
    let all = git.text(&["for-each-ref", "--format=%(refname)", "refs/spore/salvage"])?;
    let full = match reference.strip_prefix("refs/") {
        Some(_) => reference.to_owned(),
        None => format!("refs/spore/salvage/{reference}"),
    };
    if !all.lines().any(|name| name == full) {
        let nearest = crate::id::nearest(&full, all.lines());
        return Err(Error::Unknown {
            what: "saved work",
            name: reference.to_owned(),
            nearest: nearest.into_iter().map(str::to_owned).collect(),
        });
    }
    let short = full.trim_start_matches("refs/spore/salvage/").to_owned();
    let snapshot = git.text(&["rev-parse", &format!("{full}^{{commit}}")])?;
    let message = git.text(&["log", "-1", "--no-walk", "--format=%B", &snapshot])?;
    let head = salvage::notes(&message, "Head").into_iter().next();
    let agent = short.split('/').next().unwrap_or_default();
    let taken = Tree::all(root)?
        .iter()
        .any(|tree| tree.identity.agent.as_str() == agent);
    let branch = free_branch(&git, &short)?;
    let head = match head.filter(|_| !taken && !root.worktrees().join(agent).exists()) {
        Some(head) => head,
        None => {
            let line = format!("create refs/heads/{branch} {snapshot}\n");
            git.feed(&["update-ref", "--stdin"], line.as_bytes())?;
            return Ok(Restored {
                reference: full,
                branch,
                commit: snapshot,
                tree: None,
            });
        }
    };
    let request = spawn::Request {
        wanted: vec![super::plan::Wanted {
            agent: agent.parse().map_err(crate::swarm::Error::from)?,
            tasks: Vec::new(),
        }],
        base: Some(head.clone()),
        branch: branch.clone(),
        max_behind: None,
        setup: None,
        ..request.clone()
    };
    let spawned = spawn::spawn(root, &request, &|_| ())?;
    let mut tree = spawned
        .trees
        .into_iter()
        .next()
        .ok_or_else(Error::no_repository)?;
    if let Some(base) = salvage::notes(&message, "Base").into_iter().next() {
        tree.notes.base = base;
        tree.notes.write(&tree.git_dir)?;
    }
    let common = &repository.common_dir;
    put_files(&tree.git(), &tree.path, &head, &snapshot, &message)?;
    put_inner(common, &tree.path, &message)?;
    Ok(Restored {
        reference: full,
        branch,
        commit: head,
        tree: Some(tree),
    })
}

/// A branch name that is free.
fn free_branch(git: &Git, short: &str) -> Result<String, Error> {
    for n in 0..100 {
        let branch = match n {
            0 => format!("restored/{short}"),
            n => format!("restored/{short}-{n}"),
        };
        let full = format!("refs/heads/{branch}");
        if git.ask(&["show-ref", "--verify", "-q", &full])?.is_none() {
            return Ok(branch);
        }
    }
    Err(Error::Taken(vec![format!(
        "branches restored/{short} to restored/{short}-99 exist"
    )]))
}

/// Brings the files of a tree, at the moment as in `head`, to where they were, with their very bytes:
/// those that git stored, or, where it stored others, those that were saved beside them.
fn put_files(
    here: &Git,
    top: &Path,
    head: &str,
    snapshot: &str,
    message: &str,
) -> Result<(), Error> {
    let differs = here.bytes(&["diff-tree", "-r", "-z", "--name-only", head, snapshot])?;
    if differs.is_empty() {
        return Ok(());
    }
    let args = [
        "restore",
        "--source",
        snapshot,
        "--worktree",
        "--no-recurse-submodules",
        "--pathspec-from-file=-",
        "--pathspec-file-nul",
        "--ignore-skip-worktree-bits",
    ];
    here.literal().feed(&args, &differs)?;
    let mut wanted = BTreeMap::new();
    let raw = here.bytes(&["diff-tree", "-r", "-z", head, snapshot])?;
    let mut fields = raw.split(|byte| *byte == 0);
    while let (Some(about), Some(path)) = (fields.next(), fields.next()) {
        let about = String::from_utf8_lossy(about);
        if let [_, mode, _, oid, _] = about.split(' ').collect::<Vec<_>>()[..]
            && mode.starts_with("100")
        {
            wanted.insert(path.to_vec(), oid.to_owned());
        }
    }
    for exact in salvage::notes(message, "Exact") {
        let listed = here.bytes(&["ls-tree", "-r", "-z", "--full-tree", &exact])?;
        for (about, path) in salvage::listed(&listed) {
            let about = String::from_utf8_lossy(about);
            let oid = about.rsplit(' ').next().unwrap_or_default();
            wanted.insert(path.to_vec(), oid.to_owned());
        }
    }
    let paths: Vec<u8> = wanted
        .keys()
        .flat_map(|path| salvage::quoted(path))
        .collect();
    let there = here.feed(&["hash-object", "--no-filters", "--stdin-paths"], &paths)?;
    let there = String::from_utf8_lossy(&there).into_owned();
    for ((path, oid), there) in wanted.iter().zip(there.lines()) {
        if oid != there {
            let bytes = here.bytes(&["cat-file", "blob", oid])?;
            let file = top.join(OsStr::from_bytes(path));
            fs::write(&file, bytes).map_err(Error::at(file))?;
        }
    }
    Ok(())
}

/// Brings back what stood inside a tree: each a repository again, all that was saved of it under its
/// `refs/spore/salvage`. What was in a `.git` itself stays under the ref of the tree.
fn put_inner(common: &Path, top: &Path, message: &str) -> Result<(), Error> {
    for inner in salvage::notes(message, "Inner") {
        let Some((commit, path)) = inner.split_once(' ') else {
            continue;
        };
        let is_plain = |part: Component| matches!(part, Component::Normal(name) if !name.eq_ignore_ascii_case(".git"));
        if path.is_empty() || path.starts_with('"') || !Path::new(path).components().all(is_plain) {
            continue;
        }
        let top = top.join(path);
        let outer = Git::at(common);
        if !top.join(".git").exists() {
            let format = outer.text(&["rev-parse", "--show-object-format"])?;
            let format = format!("--object-format={format}");
            fs::create_dir_all(&top).map_err(Error::at(&top))?;
            Git::at(&top).bytes(&["init", "-q", &format])?;
        }
        let git = Git::at(&top);
        salvage::fetch(&git, &common.join("objects"), commit)?;
        git.bytes(&["update-ref", "refs/spore/salvage", commit])?;
        let message = git.text(&["log", "-1", "--no-walk", "--format=%B", commit])?;
        let head = match salvage::notes(&message, "Head").into_iter().next() {
            Some(head) => {
                git.bytes(&[
                    "-c",
                    "advice.detachedHead=false",
                    "checkout",
                    "-q",
                    "-f",
                    "--no-recurse-submodules",
                    "--detach",
                    &head,
                ])?;
                head
            }
            None => git.text(&["hash-object", "-t", "tree", "-w", "/dev/null"])?,
        };
        put_files(&git, &top, &head, commit, &message)?;
        put_inner(common, &top, &message)?;
    }
    Ok(())
}
