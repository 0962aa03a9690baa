//! The commit that new trees begin at, and the branches that are there: read in this process where
//! libgit2 opens the repository, otherwise asked of git. Both give the same; a process costs more.

use std::collections::BTreeSet;
use std::path::Path;

use git2::{ObjectType, Oid, Repository};

use super::spawn::{Ground, Request};
use super::{Error, Git};

/// The commit to begin at.
pub(super) struct Base {
    /// The revision as it was asked for, or the branch of the main checkout.
    pub(super) name: String,
    /// The commit.
    pub(super) oid: String,
    /// Its tree, where that is known.
    pub(super) tree: Option<[u8; 20]>,
}

impl Base {
    pub(super) fn resolve(ground: &Ground<'_>, request: &Request) -> Result<Base, Error> {
        let base = match quickly(&ground.repository.common_dir, request.base.as_deref()) {
            Some(base) => base,
            None => by_git(ground, request.base.as_deref())?,
        };
        if let Some(limit) = request.max_behind {
            base.is_fresh(&ground.git, limit)?;
        }
        Ok(base)
    }

    /// Refuses a base that is far behind its upstream, as far as that is known here.
    fn is_fresh(&self, git: &Git, limit: u32) -> Result<(), Error> {
        let upstream = format!("{}@{{upstream}}", self.name);
        let range = format!("{}..{upstream}", self.oid);
        let Some(behind) = git.ask(&["rev-list", "--count", &range])? else {
            return Ok(());
        };
        if behind.parse::<u32>().is_ok_and(|behind| behind > limit) {
            return Err(Error::Refused {
                what: format!(
                    "base {:?} is {behind} commits behind its upstream",
                    self.name
                ),
                hint: format!("--base '{upstream}', or --max-behind {behind}"),
            });
        }
        Ok(())
    }
}

/// What is plain to see: the branch of the main checkout, a branch by its name, or a full commit id.
/// Whatever could mean something else, as a tag of the same name, is left to git.
fn quickly(common: &Path, asked: Option<&str>) -> Option<Base> {
    let repository = Repository::open(common).ok()?;
    if common.join("refs/replace").exists() || common.join("info/grafts").exists() {
        return None;
    }
    let head = repository.find_reference("HEAD").ok()?;
    let full = match asked {
        Some(name) if is_full_id(name) => {
            let commit = repository.find_commit(Oid::from_str(name).ok()?).ok()?;
            return Some(Base {
                name: name.to_owned(),
                oid: commit.id().to_string(),
                tree: commit.tree_id().as_bytes().try_into().ok(),
            });
        }
        Some(name) => format!("refs/heads/{name}"),
        None => head.symbolic_target().ok()??.to_owned(),
    };
    let name = full.strip_prefix("refs/heads/")?;
    // Where git would find the name before it comes to branches (gitrevisions(7)).
    let hides = |place: &str| repository.find_reference(&format!("{place}{name}")).is_ok();
    if name == "HEAD"
        || name == "@"
        || ["refs/", "refs/tags/"].into_iter().any(hides)
        || common.join(name).exists()
    {
        return None;
    }
    let reference = repository.find_reference(&full).ok()?;
    let commit = reference.peel(ObjectType::Commit).ok()?;
    let commit = commit.as_commit()?;
    Some(Base {
        name: name.to_owned(),
        oid: commit.id().to_string(),
        tree: commit.tree_id().as_bytes().try_into().ok(),
    })
}

fn is_full_id(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn by_git(ground: &Ground<'_>, asked: Option<&str>) -> Result<Base, Error> {
    let git = &ground.git;
    let common = ground.repository.common_dir.display().to_string();
    let name = match asked {
        Some(base) => base.to_owned(),
        // The branch of the main checkout, whichever worktree we are started from.
        None => git
            .ask(&[
                "--git-dir",
                &common,
                "symbolic-ref",
                "-q",
                "--short",
                "HEAD",
            ])?
            .unwrap_or_else(|| "HEAD".to_owned()),
    };
    let commit = format!("{name}^{{commit}}");
    let args = ["rev-parse", "-q", "--verify", "--end-of-options", &commit];
    let Some(oid) = git.ask(&args)? else {
        // A repository that git refuses, such as one of another owner, it knows why.
        let why = match git.text(&["rev-list", "-n", "1", "--all"])?.as_str() {
            any if !any.is_empty() => "no such revision here",
            _ => "the repository has no commit yet",
        };
        return Err(Error::Plan(vec![format!("base {name:?}: {why}")]));
    };
    Ok(Base {
        name,
        oid,
        tree: None,
    })
}

/// The branches that are there, without `refs/heads/`.
pub(super) fn branches(common: &Path) -> Result<BTreeSet<String>, Error> {
    let quick = || {
        let repository = Repository::open(common).ok()?;
        let mut found = BTreeSet::new();
        for reference in repository.references_glob("refs/heads/*").ok()? {
            let reference = reference.ok()?;
            found.insert(
                reference
                    .name()
                    .ok()?
                    .strip_prefix("refs/heads/")?
                    .to_owned(),
            );
        }
        Some(found)
    };
    if let Some(found) = quick() {
        return Ok(found);
    }
    let args = ["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"];
    let listed = Git::at(common).text(&args)?;
    Ok(listed.lines().map(str::to_owned).collect())
}
