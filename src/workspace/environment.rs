//! What an agent finds around its tree: variables, ignored files that it needs, its window.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Error, Git};
use crate::swarm::config::{Include, IncludeHow, Ports};
use crate::swarm::{Identity, Root, files};

/// The variables of one agent, in order.
pub fn variables(root: &Root, identity: &Identity) -> Vec<(&'static str, String)> {
    let agent = identity.agent.as_str();
    let swarm = root
        .path()
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    // Compose allows only a-z, 0-9, dash and underscore, beginning with a letter or digit.
    let project: String = format!("{swarm}-{agent}")
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let mut variables = vec![
        ("SPORE_ROOT", root.path().display().to_string()),
        ("SPORE_AGENT", agent.to_owned()),
    ];
    if let Some(port) = identity.port_base {
        variables.push(("PORT_BASE", port.to_string()));
    }
    variables.push((
        "COMPOSE_PROJECT_NAME",
        project.trim_start_matches(['-', '_']).to_owned(),
    ));
    variables.push(("TMPDIR", temporary(root, agent).display().to_string()));
    variables
}

/// The agent's own directory for temporary files.
pub fn temporary(root: &Root, agent: &str) -> PathBuf {
    root.path().join("tmp").join(agent)
}

/// The file that opens the agent's tree in an editor in its colours: beside the tree.
pub fn window(root: &Root, agent: &str) -> PathBuf {
    root.worktrees().join(format!("{agent}.code-workspace"))
}

/// Where the mailbox of an agent that left is kept: a name that no agent can have.
pub fn left_mailbox(root: &Root, agent: &str) -> PathBuf {
    root.mail().join(format!(".left-{agent}"))
}

/// Writes the variables for `. FILE` in a shell: `spore/env` in the tree's own git directory. On a
/// terminal it sets the title too.
pub fn write(git_dir: &Path, variables: &[(&str, String)], title: &str) -> Result<PathBuf, Error> {
    let path = git_dir.join("spore/env");
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let mut text: String = variables
        .iter()
        .map(|(name, value)| format!("export {name}={}\n", quoted(value)))
        .collect();
    text.push_str(&format!(
        "[ ! -t 2 ] || printf '\\033]2;%s\\007' {} >&2\n",
        quoted(title)
    ));
    fs::write(&path, text).map_err(Error::at(&path))?;
    Ok(path)
}

/// The first port of a slot; none where its range would pass 65535.
pub fn port_base(ports: Ports, slot: u32) -> Option<u16> {
    let first = u32::from(ports.base).checked_add(slot.checked_mul(u32::from(ports.size))?)?;
    let last = first.checked_add(u32::from(ports.size))?;
    u16::try_from(first).ok().filter(|_| last <= 65_536)
}

/// Whether somebody listens on one of a slot's ports, here and now.
pub fn is_in_use(ports: Ports, slot: u32) -> bool {
    let Some(first) = port_base(ports, slot) else {
        return false;
    };
    let taken = |port| {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    };
    (0..ports.size).any(|n| taken(first.saturating_add(n)))
}

/// Appends to `colours.jsonl`, the record of who wore which colour when.
pub(super) fn log_colours(root: &Root, lines: &str) -> Result<(), Error> {
    let path = root.path().join("colours.jsonl");
    files::open_private(File::options().append(true).create(true), &path)
        .and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(Error::at(path))
}

/// A file of the main checkout that a new tree gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// Its path in the tree.
    pub path: PathBuf,
    /// In which way.
    pub how: IncludeHow,
}

/// The ignored files of the main checkout `top` that new trees get: by the patterns of
/// `swarm.toml`, and those of `.worktreeinclude` as copies. A file that is not ignored is not
/// brought along: it would make every tree dirty from the start.
pub fn brought(top: &Path, include: &[Include]) -> Result<Vec<Brought>, Error> {
    let git = Git::at(top);
    let mut found: Vec<Brought> = Vec::new();
    let listed = top.join(".worktreeinclude");
    let mut asked: Vec<(String, IncludeHow)> = include
        .iter()
        .map(|include| (format!("--exclude={}", include.pattern), include.how))
        .collect();
    if listed.is_file() {
        asked.push((
            format!("--exclude-from={}", listed.display()),
            IncludeHow::Copy,
        ));
    }
    for (pattern, how) in asked {
        let files = git.bytes(&["ls-files", "-z", "--others", "--ignored", &pattern])?;
        if files.is_empty() {
            continue;
        }
        let output = git.feed_any(&["check-ignore", "-z", "--stdin"], &files)?;
        for path in output
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty())
        {
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
            if !found.iter().any(|brought| brought.path == path) {
                found.push(Brought { path, how });
            }
        }
    }
    found.retain(|brought| brought.how != IncludeHow::Skip);
    Ok(found)
}

/// Brings the files from `top` into the tree at `to`.
pub fn bring(top: &Path, to: &Path, files: &[Brought], identity: &Identity) -> Result<(), Error> {
    for Brought { path, how } in files {
        let (from, to) = (top.join(path), to.join(path));
        let io = |path: &Path| Error::at(path.to_owned());
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(io(parent))?;
        }
        let metadata = fs::symlink_metadata(&from).map_err(io(&from))?;
        match how {
            IncludeHow::Skip => {}
            IncludeHow::Link => {
                std::os::unix::fs::symlink(&from, &to).map_err(io(&to))?;
            }
            _ if metadata.is_symlink() => {
                let goal = fs::read_link(&from).map_err(io(&from))?;
                std::os::unix::fs::symlink(goal, &to).map_err(io(&to))?;
            }
            IncludeHow::Copy | IncludeHow::Reflink => {
                // Shares blocks where the file system can (copy_file_range(2)).
                fs::copy(&from, &to).map_err(io(&from))?;
                let times =
                    fs::FileTimes::new().set_modified(metadata.modified().map_err(io(&from))?);
                fs::File::options()
                    .append(true)
                    .open(&to)
                    .and_then(|file| file.set_times(times))
                    .or_else(|error| match error.kind() {
                        // A read-only copy keeps the time of its making.
                        std::io::ErrorKind::PermissionDenied => Ok(()),
                        _ => Err(error),
                    })
                    .map_err(io(&to))?;
            }
            IncludeHow::Template => {
                let text = fs::read_to_string(&from).map_err(io(&from))?;
                fs::write(&to, filled_in(&text, identity)).map_err(io(&to))?;
            }
        }
    }
    Ok(())
}

fn filled_in(text: &str, identity: &Identity) -> String {
    text.replace("{agent}", identity.agent.as_str())
        .replace("{slot}", &identity.slot.to_string())
        .replace(
            "{port_base}",
            &identity.port_base.unwrap_or_default().to_string(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_ranges_do_not_overlap_and_end_before_the_last_port() {
        let ports = Ports {
            base: 20_000,
            size: 20,
        };
        assert_eq!(port_base(ports, 1), Some(20_020));
        assert_eq!(port_base(ports, 2), Some(20_040));
        assert_eq!(port_base(ports, 2_275), Some(65_500));
        assert_eq!(port_base(ports, 2_276), None);
    }
}
