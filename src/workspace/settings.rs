//! git's configuration, asked once: a process for each single value would cost more than all the rest
//! of a small spawn.

use std::sync::OnceLock;

use super::git::Running;
use super::{Error, Git};

const LIST: &[&str] = &["config", "--list", "-z", "--show-scope"];

/// The question of how git is configured: git looks for the answer while we do something else.
#[derive(Debug)]
pub(super) struct Asked {
    git: Running,
    answer: OnceLock<Settings>,
}

impl Asked {
    /// Asks git in its directory.
    pub(super) fn of(git: &Git) -> Result<Asked, Error> {
        Ok(Asked {
            git: git.start(LIST, b"", None)?,
            answer: OnceLock::new(),
        })
    }

    /// The answer.
    pub(super) fn get(&self) -> Result<&Settings, Error> {
        if let Some(settings) = self.answer.get() {
            return Ok(settings);
        }
        let listed = self.git.wait()?;
        Ok(self.answer.get_or_init(|| Settings::parse(&listed)))
    }
}

/// `git config --list`, but for where hooks are in the one worktree that we were started from: that is
/// where our own guard stands.
#[derive(Debug, Clone, Default)]
pub struct Settings(Vec<(String, Option<String>)>);

impl Settings {
    /// Asks git in its directory.
    pub fn of(git: &Git) -> Result<Settings, Error> {
        Ok(Settings::parse(&git.bytes(LIST)?))
    }

    fn parse(listed: &[u8]) -> Settings {
        let mut fields = listed.split(|byte| *byte == 0);
        let mut found = Vec::new();
        while let (Some(scope), Some(entry)) = (fields.next(), fields.next()) {
            let entry = String::from_utf8_lossy(entry);
            let (name, value) = match entry.split_once('\n') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                // A name alone means yes.
                None => (entry.into_owned(), None),
            };
            if scope != b"worktree" || name != "core.hookspath" {
                found.push((name, value));
            }
        }
        Settings(found)
    }

    /// The value of a name, as `git config --get` gives it; an empty one where a name stands alone.
    /// Names are written in small letters.
    pub fn get(&self, name: &str) -> Option<&str> {
        let last = self.0.iter().rev().find(|(known, _)| known == name);
        last.map(|(_, value)| value.as_deref().unwrap_or_default())
    }

    /// Whether a name stands for yes (git-config(1), "boolean").
    pub fn is_on(&self, name: &str) -> bool {
        let last = self.0.iter().rev().find(|(known, _)| known == name);
        last.is_some_and(|(_, value)| match value {
            None => true,
            Some(value) => {
                let value = value.to_lowercase();
                matches!(value.as_str(), "true" | "yes" | "on")
                    || value.parse::<i64>().is_ok_and(|number| number != 0)
            }
        })
    }

    /// Every name that is set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_holds_and_the_hooks_of_one_worktree_do_not() {
        let settings = Settings::parse(
            b"global\0core.eol\nlf\0local\0core.eol\ncrlf\0local\0core.bare\0local\0a.b\nyes\nno\0worktree\0core.hookspath\n/x\0",
        );
        assert_eq!(settings.get("core.eol"), Some("crlf"));
        assert_eq!(settings.get("a.b"), Some("yes\nno"));
        assert_eq!(settings.get("core.hookspath"), None);
        assert!(settings.is_on("core.bare"));
        assert!(!settings.is_on("core.eol"));
        assert_eq!(settings.names().count(), 4);
    }
}
