//! Who belongs to the swarm.
//!
//! Known is who stands in the roster of `swarm.toml`, has a mailbox, or works in a worktree.
//! A recipient list is closed: a name that none of them bears is an error that carries the nearest
//! known names, and nothing is sent. Groups come from `swarm.toml` and from `group/NAME`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::{Config, Error, Identity, Root, files};
use crate::id::{self, AgentName};

/// How long a group's file may be, in bytes.
const GROUP_LIMIT: u64 = 1024 * 1024;

/// Everybody that is known, and the groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// Who is known, and from where.
    pub agents: BTreeMap<AgentName, Known>,
    /// The members of each group.
    pub groups: BTreeMap<AgentName, BTreeSet<AgentName>>,
}

/// From where a name is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// `swarm.toml` has it in its roster.
    pub configured: bool,
    /// It has a mailbox.
    pub mailbox: bool,
    /// It works in a worktree, by this identity.
    pub identity: Option<Identity>,
}

impl Roster {
    /// Reads who is known now.
    pub fn read(root: &Root, config: &Config) -> Result<Roster, Error> {
        let mut roster = Roster::default();
        for name in config.agents.keys() {
            roster.agents.entry(name.clone()).or_default().configured = true;
        }
        for name in names_in(&root.mail())? {
            roster.agents.entry(name).or_default().mailbox = true;
        }
        if let Some(repository) = root.repository() {
            let dirs = repository
                .git_dirs()
                .map_err(Error::at(&repository.common_dir))?;
            for dir in dirs {
                // A worktree whose identity cannot be read does not take the others with it.
                if let Ok(Some(identity)) = Identity::read(&dir) {
                    let known = roster.agents.entry(identity.agent.clone()).or_default();
                    known.identity = Some(identity);
                }
            }
        }
        for (name, members) in &config.groups {
            let group = roster.groups.entry(name.clone()).or_default();
            group.extend(members.iter().cloned());
        }
        for name in names_in(&root.groups())? {
            let members = read_group(&root.groups().join(name.as_str()))?;
            roster.groups.entry(name).or_default().extend(members);
        }
        Ok(roster)
    }

    /// The agent of that name.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the nearest known names, [`Error::Id`] if it cannot be a name.
    pub fn agent(&self, name: &str) -> Result<AgentName, Error> {
        match self.agents.keys().find(|known| known.as_str() == name) {
            Some(known) => Ok(known.clone()),
            None => Err(self.unknown("agent", name, self.agents.keys())),
        }
    }

    /// The members of the group of that name.
    ///
    /// # Errors
    /// [`Error::Unknown`] for the group, or for a member that nobody knows.
    pub fn group(&self, name: &str) -> Result<Vec<AgentName>, Error> {
        let found = self.groups.iter().find(|(known, _)| known.as_str() == name);
        match found {
            Some((_, members)) => members
                .iter()
                .map(|member| self.agent(member.as_str()))
                .collect(),
            None => Err(self.unknown("group", name, self.groups.keys())),
        }
    }

    fn unknown<'a>(
        &self,
        what: &'static str,
        name: &str,
        known: impl Iterator<Item = &'a AgentName>,
    ) -> Error {
        let nearest = id::nearest(name, known.map(AgentName::as_str));
        Error::Unknown {
            what,
            name: name.to_owned(),
            nearest: nearest.into_iter().map(str::to_owned).collect(),
        }
    }
}

/// The entries of a directory that are names; others (hidden ones, leftovers) are passed over.
fn names_in(directory: &Path) -> Result<Vec<AgentName>, Error> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::at(directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::at(directory))?.file_name();
        names.extend(name.to_str().and_then(|name| name.parse().ok()));
    }
    Ok(names)
}

/// The members that a group's file names, one a line; `#` begins a comment.
fn read_group(path: &Path) -> Result<Vec<AgentName>, Error> {
    let bytes = files::read_if_there(path, GROUP_LIMIT).map_err(Error::at(path))?;
    let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let mut members = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let name = line.split('#').next().unwrap_or_default().trim();
        if !name.is_empty() {
            let member = name.parse().map_err(|error| Error::Broken {
                path: path.to_owned(),
                why: format!("line {}: {error}", index + 1),
            })?;
            members.push(member);
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::root::Options;

    fn swarm() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::find(&Options {
            start: dir.path().to_owned(),
            root: Some("app.swarm".into()),
        })
        .unwrap();
        for name in ["kiro-1", "kiro-2", ".order"] {
            root.make_dir(&root.mail().join(name)).unwrap();
        }
        root.make_dir(&root.groups()).unwrap();
        (dir, root)
    }

    fn names(names: &[AgentName]) -> Vec<&str> {
        names.iter().map(AgentName::as_str).collect()
    }

    #[test]
    fn known_is_who_is_configured_or_has_a_mailbox() {
        let (_dir, root) = swarm();
        let config = Config::parse("[agents.claude]\n", Path::new("swarm.toml")).unwrap();
        let roster = Roster::read(&root, &config).unwrap();
        let known: Vec<AgentName> = roster.agents.keys().cloned().collect();
        assert_eq!(names(&known), ["claude", "kiro-1", "kiro-2"]);
        assert!(roster.agent("kiro-1").is_ok());
        let error = roster.agent("kira-1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown agent \"kira-1\" (did you mean kiro-1 or kiro-2?)"
        );
    }

    #[test]
    fn groups_come_from_the_file_and_from_the_root() {
        let (_dir, root) = swarm();
        let text = "[groups]\nall-kiro = [\"kiro-1\"]\nghosts = [\"nobody\"]\n";
        let config = Config::parse(text, Path::new("swarm.toml")).unwrap();
        let file = root.groups().join("all-kiro");
        fs::write(&file, "# those two\nkiro-2 # the second\n\nkiro-1\n").unwrap();
        let roster = Roster::read(&root, &config).unwrap();
        assert_eq!(
            names(&roster.group("all-kiro").unwrap()),
            ["kiro-1", "kiro-2"]
        );
        assert!(matches!(
            roster.group("ghosts"),
            Err(Error::Unknown { what: "agent", .. })
        ));
        assert!(matches!(
            roster.group("al-kiro"),
            Err(Error::Unknown { what: "group", .. })
        ));
        fs::write(&file, "kiro 1\n").unwrap();
        let error = Roster::read(&root, &config).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
