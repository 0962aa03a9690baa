//! Who is alive in a tree: processes that stand or write in it, and claims that are held.

use std::fs;
use std::path::{Path, PathBuf};

use crate::event::{Phase, State};
use crate::swarm::lease::is_over;

/// Every process that we may look at, as it was at one instant (Linux; elsewhere none is known).
#[derive(Debug, Default)]
pub struct Processes(Vec<Process>);

#[derive(Debug)]
struct Process {
    pid: u32,
    cwd: Option<PathBuf>,
    open: Vec<(String, PathBuf)>,
}

impl Processes {
    /// Those that are there now, without this one.
    pub fn now() -> Processes {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if pid == std::process::id() {
                continue;
            }
            let fds = fs::read_dir(entry.path().join("fd")).into_iter().flatten();
            let open = fds.flatten().filter_map(|fd| {
                let path = fs::read_link(fd.path()).ok().filter(|p| p.is_absolute())?;
                Some((fd.file_name().to_string_lossy().into_owned(), path))
            });
            found.push(Process {
                pid,
                cwd: fs::read_link(entry.path().join("cwd")).ok(),
                open: open.collect(),
            });
        }
        Processes(found)
    }

    /// Those that stand in `top` or below, or have a file there open for writing.
    pub fn inside(&self, top: &Path) -> Vec<u32> {
        let top = fs::canonicalize(top).unwrap_or_else(|_| top.to_owned());
        let lives = |process: &&Process| {
            let stands = process
                .cwd
                .as_ref()
                .is_some_and(|cwd| cwd.starts_with(&top));
            let writes = |(fd, path): &(String, PathBuf)| {
                path.starts_with(&top) && is_for_writing(process.pid, fd)
            };
            stands || process.open.iter().any(writes)
        };
        let mut pids: Vec<u32> = self
            .0
            .iter()
            .filter(lives)
            .map(|process| process.pid)
            .collect();
        pids.sort_unstable();
        pids
    }
}

/// Whether a file descriptor was opened for writing (proc(5), `fdinfo`, octal flags).
fn is_for_writing(pid: u32, fd: &str) -> bool {
    let Ok(info) = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")) else {
        return false;
    };
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 0o3 != 0)
}

/// The terminal that a process belongs to, if any: a person may sit there.
pub fn has_terminal(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let terminal = fields.split_ascii_whitespace().nth(4);
    terminal.is_some_and(|number| number != "0")
}

/// The tasks that an agent holds by a claim that is not over.
pub fn claims(state: &State, agent: &str) -> Vec<String> {
    let mut held: Vec<String> = state
        .tasks
        .iter()
        .filter(|(_, task)| {
            matches!(&task.phase, Phase::Claimed { agent: by, lease, .. } if by == agent && !is_over(lease))
        })
        .map(|(task, _)| task.clone())
        .collect();
    held.sort();
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn one_that_stands_there_and_one_that_writes_there_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let sleeping = |script: &str, at: &Path| {
            Command::new("sh")
                .args(["-c", script, "sh"])
                .arg(dir.path())
                .current_dir(at)
                .stdin(Stdio::null())
                .spawn()
                .unwrap()
        };
        fs::write(dir.path().join("read"), "").unwrap();
        let mut children = [
            sleeping("exec sleep 60", dir.path()),
            sleeping("exec sleep 60 > \"$1/log\"", Path::new("/")),
            sleeping("exec sleep 60 < \"$1/read\"", Path::new("/")),
        ];
        let expected: Vec<u32> = children[..2].iter().map(std::process::Child::id).collect();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let found = loop {
            let found = Processes::now().inside(dir.path());
            if found == expected || std::time::Instant::now() > until {
                break found;
            }
        };
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(found, expected);
    }
}
