//! Taking in worktrees that other tools made: each gets an identity and what belongs to it, and stays
//! where it is, as it is.

use std::fs;
use std::path::{Path, PathBuf};

use super::base::Base;
use super::journal::{self, Item, Phase};
use super::spawn::{Ground, Request, Spawned};
use super::tree::{self, Notes};
use super::{Error, Git, Tree, environment, guard, merge, settle};
use crate::id::{self, AgentName};
use crate::swarm::{Identity, Root};
use crate::theme::Scheme;

/// A linked worktree that nobody works in.
struct Stray {
    git_dir: PathBuf,
    path: PathBuf,
    branch: Option<String>,
}

impl Stray {
    /// The names by which people may mean it.
    fn names(&self) -> Vec<String> {
        let last = |path: &Path| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let mut names = vec![self.path.to_string_lossy().into_owned()];
        names.extend(last(&self.path));
        names.extend(last(&self.git_dir));
        names.extend(self.branch.clone());
        names
    }

    /// The name that its agent gets: that of its directory, without the repository's in front.
    fn agent(&self, repository: &str) -> Result<AgentName, Error> {
        let name = self
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let short = name
            .strip_prefix(&repository.to_lowercase())
            .map(|rest| rest.trim_start_matches(['.', '-', '_']))
            .filter(|rest| !rest.is_empty())
            .unwrap_or(&name);
        let plain = |c: char| match c {
            'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '-',
        };
        let short: String = short.chars().map(plain).collect();
        let agent = short.trim_matches(['.', '-']).parse();
        agent.map_err(|error: id::IdError| crate::swarm::Error::from(error).into())
    }
}

/// Takes in the worktrees that `wanted` name (by path as seen from `here`, directory, branch, or
/// `AGENT=` before one of these), or all that nobody works in. All of them or none.
///
/// # Errors
/// [`Error::Unknown`] for a name that no such worktree has, [`Error::Taken`] for an agent that is
/// there already.
pub fn adopt(
    root: &Root,
    here: &Path,
    wanted: &[String],
    request: &Request,
) -> Result<Spawned, Error> {
    let mut ground = Ground::of(root)?;
    let base = Base::resolve(&ground, request)?;
    let _lock = journal::admin_lock(&ground.repository.common_dir)?;
    let settled = match request.dry_run {
        true => Vec::new(),
        false => ground.settle()?,
    };
    let chosen = choose(&ground, here, wanted)?;
    let facts = ground.facts()?;
    let mut slots = (1..).filter(|slot| !facts.slots.contains(slot));
    let mut taken = Vec::new();
    let mut names = facts.agents.clone();
    let mut trees = Vec::new();
    for (agent, stray) in chosen {
        if !names.insert(agent.to_string()) {
            taken.push(format!("agent {:?} has a worktree already", agent.as_str()));
            continue;
        }
        let slot = slots.next().expect("slots have no end");
        let git = Git::at(&stray.path);
        let parted = git.ask(&["merge-base", "HEAD", &base.oid])?;
        trees.push(Tree {
            identity: Identity {
                agent,
                slot,
                epoch: 1,
                branch: stray.branch,
                base: parted.or(merge::commit_of(&git, "HEAD")?),
                colour: Some(Scheme::of_slot(slot).name()),
                port_base: environment::port_base(request.ports, slot),
                ports: Some(request.ports.size),
                created_at: Some(crate::swarm::journal::now()),
            },
            notes: Notes {
                v: 1,
                base: base.name.clone(),
                tasks: Vec::new(),
            },
            path: stray.path,
            git_dir: stray.git_dir,
        });
    }
    if !taken.is_empty() {
        return Err(Error::Taken(taken));
    }
    if !request.dry_run && !trees.is_empty() {
        take_in(&ground, &mut trees, &base, request)?;
    }
    Ok(Spawned {
        base: base.oid,
        trees,
        settled,
    })
}

fn take_in(
    ground: &Ground<'_>,
    trees: &mut [Tree],
    base: &Base,
    request: &Request,
) -> Result<(), Error> {
    let epochs = ground.epochs()?;
    let items = trees.iter_mut().map(|tree| {
        let agent = tree.identity.agent.to_string();
        tree.identity.epoch = epochs(&agent);
        Item {
            slot: tree.identity.slot,
            epoch: tree.identity.epoch,
            branch: tree.identity.branch.clone().unwrap_or_default(),
            path: tree.path.clone(),
            mailbox: !ground.root.mail().join(&agent).exists(),
            adopted: Some(tree.git_dir.clone()),
            agent,
        }
    });
    let items = items.collect();
    let (mut record, _life) = ground.record(items, base)?;
    let done = (|| {
        let root = ground.root;
        root.make_dirs(&[root.worktrees(), root.mail()])?;
        ground.prepare(&mut record, request)?;
        for tree in trees.iter() {
            tree.identity.write(&tree.git_dir)?;
            tree.notes.write(&tree.git_dir)?;
            guard::put(tree, &ground.repository.common_dir, request.guard)?;
            ground.equip(tree)?;
        }
        record.phase = Phase::Ready;
        record.write(&ground.repository.common_dir)
    })();
    match done {
        Ok(()) => settle::finish(ground.root, ground.repository, &record),
        Err(error) => {
            settle::take_back(ground.repository, &record)?;
            Err(error)
        }
    }
}

/// The worktrees that are meant, each with the name of its agent.
fn choose(
    ground: &Ground<'_>,
    here: &Path,
    wanted: &[String],
) -> Result<Vec<(AgentName, Stray)>, Error> {
    let home = ground.repository.home();
    let repository = home.file_name().unwrap_or_default().to_string_lossy();
    let mut strays = strays(ground)?;
    if wanted.is_empty() {
        return strays
            .into_iter()
            .map(|stray| Ok((stray.agent(&repository)?, stray)))
            .collect();
    }
    let mut chosen = Vec::new();
    for wanted in wanted {
        let (agent, name) = match wanted.split_once('=') {
            Some((agent, name)) => (Some(agent), name),
            None => (None, wanted.as_str()),
        };
        let path = fs::canonicalize(here.join(name)).ok();
        let means = |stray: &Stray| {
            stray.names().iter().any(|known| known == name)
                || path.is_some() && path == fs::canonicalize(&stray.path).ok()
        };
        let Some(place) = strays.iter().position(means) else {
            let known: Vec<String> = strays
                .iter()
                .filter_map(|stray| stray.names().into_iter().nth(1))
                .collect();
            return Err(Error::Unknown {
                what: "worktree without an agent",
                name: name.to_owned(),
                nearest: id::nearest(name, known.iter().map(String::as_str))
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
            });
        };
        let stray = strays.swap_remove(place);
        let agent = match agent {
            Some(agent) => agent.parse().map_err(crate::swarm::Error::from)?,
            None => stray.agent(&repository)?,
        };
        chosen.push((agent, stray));
    }
    Ok(chosen)
}

fn strays(ground: &Ground<'_>) -> Result<Vec<Stray>, Error> {
    let dirs = ground.repository.git_dirs();
    let dirs = dirs.map_err(Error::at(&ground.repository.common_dir))?;
    let mut found = Vec::new();
    for git_dir in dirs.into_iter().skip(1) {
        let Some(path) = tree::top_of(&git_dir).filter(|path| path.is_dir()) else {
            continue;
        };
        if crate::swarm::identity::file(&git_dir).exists() {
            continue;
        }
        let branch = Git::at(&path).ask(&["symbolic-ref", "-q", "--short", "HEAD"])?;
        found.push(Stray {
            git_dir,
            path,
            branch,
        });
    }
    Ok(found)
}

/// Takes the marks of an adoption back.
pub(super) fn take_back(git_dir: &Path) -> Result<(), Error> {
    for file in [
        "spore/guard",
        "spore/env",
        "spore/tree.json",
        "spore/identity.json",
    ] {
        journal::remove_file(&git_dir.join(file))?;
    }
    drop(fs::remove_dir(git_dir.join("spore")));
    let own = git_dir.join("config.worktree");
    if own.exists() {
        let file = own.display().to_string();
        Git::at(git_dir).ask(&["config", "--file", &file, "--unset", "core.hooksPath"])?;
        if fs::metadata(&own).is_ok_and(|meta| meta.len() == 0) {
            journal::remove_file(&own)?;
        }
    }
    Ok(())
}
