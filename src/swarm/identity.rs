//! Who I am: it follows from the worktree I stand in.
//!
//! `worktree-spawn` writes `spore/identity.json` into the worktree's own git directory
//! (`.git/worktrees/NAME/spore/identity.json`), where git neither tracks nor cleans it, and no
//! agent overwrites it by accident. One JSON object; readers ignore fields that they do not know:
//!
//! ```json
//! {"v":1,"type":"identity","agent":"kiro-1","slot":1,"epoch":1,"branch":"swarm/kiro-1","base":"9f3c…","colour":"red","port_base":20020,"ports":20,"created_at":"2026-11-24T09:00:00Z"}
//! ```
//!
//! `slot` is the agent's place, from 1, from which ports and colour follow. `epoch` counts how often
//! the name was given to a new worker: mail and results of an earlier one are old news.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Repository, Root, files};
use crate::id::AgentName;

/// Who works in a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The agent's name.
    pub agent: AgentName,
    /// Its place, from 1.
    pub slot: u32,
    /// How often the name was given to a new worker, from 1.
    pub epoch: u64,
    /// The branch made for it.
    pub branch: Option<String>,
    /// The commit that the branch began at.
    pub base: Option<String>,
    /// The word for its colour.
    pub colour: Option<String>,
    /// The first of its ports.
    pub port_base: Option<u16>,
    /// How many ports it has.
    pub ports: Option<u16>,
    /// When the worktree was made, RFC 3339.
    pub created_at: Option<String>,
}

/// The file's form, apart from what it means.
#[derive(Serialize, Deserialize)]
struct Form {
    v: u32,
    r#type: String,
    agent: String,
    slot: u32,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    branch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    colour: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    port_base: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ports: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    created_at: Option<String>,
}

/// Where the identity of the worktree with this git directory is written.
pub fn file(git_dir: &Path) -> PathBuf {
    git_dir.join("spore/identity.json")
}

impl Identity {
    /// The identity of the worktree whose own git directory is `git_dir`; none if nobody's.
    pub fn read(git_dir: &Path) -> Result<Option<Identity>, Error> {
        let path = file(git_dir);
        let Some(bytes) = files::read_if_there(&path, 64 * 1024).map_err(Error::at(&path))? else {
            return Ok(None);
        };
        let broken = |why: String| Error::Broken {
            path: path.clone(),
            why,
        };
        let form: Form = serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))?;
        if form.v != 1 || form.r#type != "identity" {
            return Err(broken(format!(
                "is {:?} of version {}",
                form.r#type, form.v
            )));
        }
        Ok(Some(Identity {
            agent: form.agent.parse().map_err(|e| broken(format!("{e}")))?,
            slot: form.slot,
            epoch: form.epoch,
            branch: form.branch,
            base: form.base,
            colour: form.colour,
            port_base: form.port_base,
            ports: form.ports,
            created_at: form.created_at,
        }))
    }

    /// Writes it, replacing an earlier one.
    pub fn write(&self, git_dir: &Path) -> Result<(), Error> {
        let path = file(git_dir);
        let bytes = self.bytes(&path)?;
        files::make_dirs(&git_dir.join("spore"))
            .and_then(|()| files::write_whole(&path, &bytes))
            .map_err(Error::at(&path))
    }

    /// Writes the first one of a worktree that is only being made: nobody reads it yet, and a power
    /// cut costs it as little or as much as all that git writes there.
    pub fn write_first(&self, git_dir: &Path) -> Result<(), Error> {
        let path = file(git_dir);
        let bytes = self.bytes(&path)?;
        let dir = git_dir.join("spore");
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        fs::DirBuilder::new()
            .mode(files::DIRECTORY_MODE)
            .create(dir)
            .and_then(|()| files::open_private(&mut options, &path))
            .and_then(|mut file| file.write_all(&bytes))
            .map_err(Error::at(&path))
    }

    fn bytes(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let this = self.clone();
        let form = Form {
            v: 1,
            r#type: "identity".to_owned(),
            agent: this.agent.to_string(),
            slot: this.slot,
            epoch: this.epoch,
            branch: this.branch,
            base: this.base,
            colour: this.colour,
            port_base: this.port_base,
            ports: this.ports,
            created_at: this.created_at,
        };
        let mut bytes =
            serde_json::to_vec(&form).map_err(|e| Error::at(path)(io::Error::other(e)))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Removes it: the worktree is nobody's from then on.
    pub fn remove(git_dir: &Path) -> Result<(), Error> {
        let path = file(git_dir);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::at(path)(error)),
            _ => Ok(()),
        }
    }
}

/// Who is speaking, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The name.
    pub agent: AgentName,
    /// The identity of the worktree, if that is where the name comes from.
    pub identity: Option<Identity>,
}

impl Who {
    /// Who stands in this worktree, else who `--as` says, else who `SPORE_AGENT` says; none if
    /// nothing says so.
    ///
    /// # Errors
    /// [`Error::Contradiction`] when two of them disagree: nobody signs with another's name.
    pub fn am_i(
        root: &Root,
        as_flag: Option<&str>,
        environment: Option<&str>,
    ) -> Result<Option<Who>, Error> {
        Who::in_repository(root.repository(), as_flag, environment)
    }

    /// The same where there need not be a swarm.
    ///
    /// # Errors
    /// As [`Who::am_i`].
    pub fn in_repository(
        repository: Option<&Repository>,
        as_flag: Option<&str>,
        environment: Option<&str>,
    ) -> Result<Option<Who>, Error> {
        let environment = environment.filter(|name| !name.is_empty());
        let identity = match repository {
            Some(repository) => Identity::read(&repository.git_dir)?,
            None => None,
        };
        let named = |name: Option<&str>, by: &str| match name {
            Some(name) => name
                .parse()
                .map(|name: AgentName| Some((name, by.to_owned()))),
            None => Ok(None),
        };
        let by_worktree = identity.as_ref().map(|identity| {
            (
                identity.agent.clone(),
                "the worktree you stand in".to_owned(),
            )
        });
        let sources = [
            by_worktree,
            named(environment, "SPORE_AGENT")?,
            named(as_flag, "--as")?,
        ];
        let mut sources = sources.into_iter().flatten();
        let Some((agent, is_by)) = sources.next() else {
            return Ok(None);
        };
        for (says, says_by) in sources {
            if says != agent {
                return Err(Error::Contradiction {
                    is: agent,
                    is_by,
                    says,
                    says_by,
                });
            }
        }
        Ok(Some(Who { agent, identity }))
    }

    /// The same for commands that cannot go on without a name.
    ///
    /// # Errors
    /// [`Error::Nobody`] besides those of [`Who::am_i`].
    pub fn must_be(
        root: &Root,
        as_flag: Option<&str>,
        environment: Option<&str>,
    ) -> Result<Who, Error> {
        Who::am_i(root, as_flag, environment)?.ok_or(Error::Nobody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::root::Options;

    fn identity(agent: &str) -> Identity {
        Identity {
            agent: agent.parse().unwrap(),
            slot: 1,
            epoch: 2,
            branch: Some("swarm/kiro-1".to_owned()),
            base: None,
            colour: Some("red".to_owned()),
            port_base: Some(20_020),
            ports: Some(20),
            created_at: None,
        }
    }

    fn repository() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for made in ["app/.git/objects", "app/.git/refs"] {
            fs::create_dir_all(dir.path().join(made)).unwrap();
        }
        fs::write(dir.path().join("app/.git/HEAD"), "ref: refs/heads/main\n").unwrap();
        let root = Root::find(&Options {
            start: dir.path().join("app"),
            root: None,
        })
        .unwrap();
        (dir, root)
    }

    #[test]
    fn an_identity_is_read_as_it_was_written_and_unknown_fields_do_not_matter() {
        let (_dir, root) = repository();
        let git_dir = &root.repository().unwrap().git_dir;
        assert_eq!(Identity::read(git_dir).unwrap(), None);
        identity("kiro-1").write(git_dir).unwrap();
        assert_eq!(Identity::read(git_dir).unwrap(), Some(identity("kiro-1")));
        let text = fs::read_to_string(file(git_dir)).unwrap();
        fs::write(file(git_dir), text.replacen('{', "{\"new\":[1],", 1)).unwrap();
        assert_eq!(Identity::read(git_dir).unwrap(), Some(identity("kiro-1")));
        fs::write(file(git_dir), "{").unwrap();
        assert!(Identity::read(git_dir).is_err());
        Identity::remove(git_dir).unwrap();
        Identity::remove(git_dir).unwrap();
        assert_eq!(Identity::read(git_dir).unwrap(), None);
    }

    #[test]
    fn the_worktree_says_who_i_am_and_nothing_may_contradict_it() {
        let (_dir, root) = repository();
        let who = |flag, environment| {
            Who::am_i(&root, flag, environment).map(|who| who.map(|who| who.agent.to_string()))
        };
        assert_eq!(who(None, None).unwrap(), None);
        assert_eq!(who(None, Some("")).unwrap(), None);
        assert_eq!(who(Some("boss"), None).unwrap().unwrap(), "boss");
        assert_eq!(who(None, Some("boss")).unwrap().unwrap(), "boss");
        assert!(who(Some("boss"), Some("kiro-1")).is_err());
        assert!(matches!(
            Who::must_be(&root, None, None),
            Err(Error::Nobody)
        ));

        identity("kiro-1")
            .write(&root.repository().unwrap().git_dir)
            .unwrap();
        assert_eq!(who(None, None).unwrap().unwrap(), "kiro-1");
        assert_eq!(
            who(Some("kiro-1"), Some("kiro-1")).unwrap().unwrap(),
            "kiro-1"
        );
        let error = who(Some("boss"), None).unwrap_err().to_string();
        assert_eq!(
            error,
            "you are \"kiro-1\" by the worktree you stand in, and \"boss\" by --as"
        );
    }
}
