//! Running a gate: a command line in the tree that is to be tested, with an end to its patience.
//!
//! A gate runs in a session of its own, with `SPORE_GATE` and `SPORE_ROOT` in its environment. By
//! these it and all that it started are found and ended: when it ended itself, when its time was
//! over, and by the next `swarm-merge` when the one that ran it was killed. Only a process that left
//! the session, its parents and its environment behind is not; nor, where there is no `/proc`, one
//! that left the process group.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{Error, place};
use crate::run::process::{self, Traces};
use crate::swarm::{Holder, Root, files};

/// How long a gate's processes have after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// The variable by which its processes are known; its value is the command line.
const VARIABLE: &str = "SPORE_GATE";

/// How a gate ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Status(i32),
    /// By a signal.
    Signal(i32),
    /// We ended it: its time was over.
    Timeout,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Status(status) => write!(f, "{status}"),
            Ended::Signal(signal) => write!(f, "signal {signal}"),
            Ended::Timeout => f.write_str("timeout"),
        }
    }
}

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'a> {
    /// The command line, for `sh -c`.
    pub line: &'a str,
    /// How long it may take.
    pub timeout: Duration,
    /// Where it runs.
    pub dir: &'a Path,
    /// What it writes goes to the end of this file.
    pub log: &'a Path,
    /// More variables for it.
    pub variables: &'a [(&'a str, String)],
}

/// Runs it to its end; nothing that it started lives on.
///
/// # Errors
/// [`Error::Signal`] when a signal told us to end; the gate was ended first.
pub fn run(root: &Root, gate: &Gate<'_>) -> Result<Ended, Error> {
    let log = File::options()
        .append(true)
        .create(true)
        .open(gate.log)
        .map_err(Error::at(gate.log))?;
    let copy = log.try_clone().map_err(Error::at(gate.log))?;
    let told = Told::listen()?;
    let mut command = Command::new("sh");
    command
        .args(["-c", gate.line])
        .current_dir(gate.dir)
        .envs(gate.variables.iter().map(|(name, value)| (name, value)))
        .env(VARIABLE, gate.line)
        .env("SPORE_ROOT", root.path())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(copy);
    let mut child = process::spawn_in_session(&mut command, None).map_err(Error::at("sh"))?;
    let note = place(root, "gate.pid");
    let leader = Holder::of(child.id());
    // Without it, what a killed swarm-merge leaves is known by its environment alone.
    drop(files::write_whole(&note, format!("{leader}\n").as_bytes()));
    let since = Instant::now();
    let mut pause = Duration::from_millis(2);
    let ended = loop {
        if let Some(status) = child.try_wait().map_err(Error::at("sh"))? {
            break Ok(ended(status));
        }
        if let Some(signal) = told.signal() {
            break Err(Error::Signal(signal));
        }
        if since.elapsed() >= gate.timeout {
            break Ok(Ended::Timeout);
        }
        std::thread::sleep(pause.min(gate.timeout.saturating_sub(since.elapsed())));
        pause = (pause * 2).min(Duration::from_millis(50));
    };
    // Also after a good end: what it left behind would run on in a tree that changes under it.
    // It is not waited for yet, so its number is nobody else's.
    end(root, Some(child.id()));
    drop(child.wait());
    drop(fs::remove_file(&note));
    ended
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Status(code),
        (None, signal) => Ended::Signal(signal.unwrap_or(0)),
    }
}

/// Ends the processes of a gate whose `swarm-merge` was killed. Under the lock of the merge.
pub fn settle(root: &Root) {
    let note = place(root, "gate.pid");
    let leader = fs::read_to_string(&note).ok();
    let leader = leader.and_then(|text| text.trim().parse::<Holder>().ok());
    // Also without a note: it may have been killed before it wrote one.
    end(root, leader.as_ref().and_then(process::session));
    drop(fs::remove_file(&note));
}

/// Ends what belongs to the gates of `root`, and to the session of one.
fn end(root: &Root, session: Option<u32>) {
    let traces = Traces {
        root: root.path(),
        variable: (VARIABLE, None),
        session,
    };
    traces.end(GRACE);
}

/// Signals that tell us to end, remembered as long as this lives.
struct Told {
    signal: Arc<AtomicUsize>,
    ids: Vec<signal_hook::SigId>,
}

impl Told {
    fn listen() -> Result<Told, Error> {
        let signal = Arc::new(AtomicUsize::new(0));
        let mut ids = Vec::new();
        for number in [SIGINT, SIGTERM, SIGHUP] {
            let value = usize::try_from(number).unwrap_or_default();
            let id = signal_hook::flag::register_usize(number, Arc::clone(&signal), value)
                .map_err(Error::at("signal"))?;
            ids.push(id);
        }
        Ok(Told { signal, ids })
    }

    fn signal(&self) -> Option<i32> {
        let number = self.signal.load(Ordering::Relaxed);
        i32::try_from(number).ok().filter(|number| *number != 0)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::holder::Life;
    use crate::swarm::root::Options;

    fn ground() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::find(&Options {
            start: dir.path().to_owned(),
            root: Some(dir.path().join("swarm")),
        })
        .unwrap();
        root.make_dir(&root.path().join("merge")).unwrap();
        (dir, root)
    }

    fn run_line(dir: &Path, root: &Root, line: &str, timeout: Duration) -> (Ended, String) {
        let log = dir.join("log");
        let gate = Gate {
            line,
            timeout,
            dir,
            log: &log,
            variables: &[("X", "y".to_owned())],
        };
        let ended = run(root, &gate).unwrap();
        (ended, fs::read_to_string(log).unwrap())
    }

    #[test]
    fn a_gate_ends_as_its_command_does_and_what_it_says_is_kept() {
        let (dir, root) = ground();
        let long = Duration::from_secs(60);
        let (ended, log) = run_line(dir.path(), &root, "echo $X; echo no >&2; exit 7", long);
        assert_eq!((ended, &*log), (Ended::Status(7), "y\nno\n"));
        let (ended, _) = run_line(dir.path(), &root, "kill -9 $$", long);
        assert_eq!(ended, Ended::Signal(9));
        let (ended, _) = run_line(dir.path(), &root, "read x; exit 0", long);
        assert_eq!(ended, Ended::Status(0), "its input is empty");
    }

    #[test]
    fn one_that_hangs_is_ended_with_all_that_it_started() {
        let (dir, root) = ground();
        let line = "(trap '' TERM; sleep 60 & echo $! > pid; wait) & sleep 60";
        let since = Instant::now();
        let (ended, _) = run_line(dir.path(), &root, line, Duration::from_millis(300));
        assert_eq!(ended, Ended::Timeout);
        assert!(since.elapsed() < Duration::from_secs(20));
        let pid = fs::read_to_string(dir.path().join("pid")).unwrap();
        let holder = Holder::of(pid.trim().parse().unwrap());
        assert_eq!(holder.life(), Life::Dead);
    }
}
