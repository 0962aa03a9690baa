//! Who belongs to the swarm.
//!
//! Known is who stands in the roster of `swarm.toml`, has a mailbox, or works in a worktree.
//! A recipient list is closed: a name that none of them bears is an error that carries the nearest
//! known names, and nothing is sent. Groups come from `swarm.toml` and from `group/NAME`; who
//! subscribes to a topic stands in `topic/NAME`, where a `+` stands for each `/` of the name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use super::{Config, Error, Identity, Root, files};
use crate::id::{self, AgentName, TopicName};

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
        for name in names_in(&root.mail(), str::to_owned)? {
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
        for name in names_in::<AgentName>(&root.groups(), str::to_owned)? {
            let members = read_group(&root.groups().join(name.as_str()))?.unwrap_or_default();
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
            None => Err(unknown("agent", name, self.agents.keys())),
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
            None => Err(unknown("group", name, self.groups.keys())),
        }
    }
}

/// The name of a topic's file.
pub(super) fn topic_file(topic: &str) -> String {
    topic.replace('/', "+")
}

/// Who subscribes to a topic, sorted.
///
/// # Errors
/// [`Error::Unknown`] with the nearest topics when nobody ever has.
pub fn subscribers(root: &Root, topic: &TopicName) -> Result<Vec<AgentName>, Error> {
    let path = root.topics().join(topic_file(topic.as_str()));
    match read_group(&path)? {
        Some(names) => {
            let sorted: BTreeSet<AgentName> = names.into_iter().collect();
            Ok(sorted.into_iter().collect())
        }
        None => {
            let files = names_in::<TopicName>(&root.topics(), |file| file.replace('+', "/"))?;
            Err(unknown("topic", topic.as_str(), files.iter()))
        }
    }
}

fn unknown<'a, N: AsRef<str> + 'a>(
    what: &'static str,
    name: &str,
    known: impl Iterator<Item = &'a N>,
) -> Error {
    let nearest = id::nearest(name, known.map(AsRef::as_ref));
    Error::Unknown {
        what,
        name: name.to_owned(),
        nearest: nearest.into_iter().map(str::to_owned).collect(),
    }
}

/// The entries of a directory that are names; others (hidden ones, leftovers) are passed over.
fn names_in<N: FromStr>(directory: &Path, read: fn(&str) -> String) -> Result<Vec<N>, Error> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::at(directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::at(directory))?.file_name();
        names.extend(name.to_str().and_then(|name| read(name).parse().ok()));
    }
    Ok(names)
}

/// The members that a group's file names, one a line; `#` begins a comment. Nothing without a file.
fn read_group(path: &Path) -> Result<Option<Vec<AgentName>>, Error> {
    let Some(bytes) = files::read_if_there(path, GROUP_LIMIT).map_err(Error::at(path))? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
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
    Ok(Some(members))
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
        root.make_dir(&root.topics()).unwrap();
        let topic = "build/linux".parse().unwrap();
        let missing = subscribers(&root, &topic);
        assert!(matches!(missing, Err(Error::Unknown { what: "topic", .. })));
        fs::write(
            root.topics().join("build+linux"),
            "kiro-2\nkiro-1\nkiro-2\n",
        )
        .unwrap();
        assert_eq!(
            names(&subscribers(&root, &topic).unwrap()),
            ["kiro-1", "kiro-2"]
        );
        let near = subscribers(&root, &"build/linus".parse().unwrap()).unwrap_err();
        assert!(near.to_string().contains("build/linux"), "{near}");
        fs::write(&file, "kiro 1\n").unwrap();
        let error = Roster::read(&root, &config).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
