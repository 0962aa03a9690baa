//! Processes: starting one with all its descendants under our eyes, looking at them, ending them.
//!
//! The command gets a session of its own, so it has no terminal to ask on and its group can be
//! signalled as one. We become the reaper of orphans (`PR_SET_CHILD_SUBREAPER`, Linux), so a
//! descendant that leaves its session or its parent still has us as an ancestor, and "no child is
//! left" is a fact that `waitpid(2)` tells. Where there is no `/proc`, only the group is ended.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};

use super::judge::Exit;
use crate::swarm::Holder;

/// One process, as `/proc` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub pid: u32,
    /// Its parent.
    parent: u32,
    /// Its session.
    session: u32,
    /// Whether it is dead and not yet waited for.
    dead: bool,
    /// Its processor time and that of its children that were waited for, in ticks.
    ticks: u64,
    /// The second part of that.
    waited: u64,
    /// Its memory in pages.
    pages: u64,
}

/// All processes of a run at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// The living ones.
    pub pids: Vec<u32>,
    /// Their processor time, in milliseconds.
    pub cpu_ms: u64,
    /// Their memory together, in KiB.
    pub memory_kib: u64,
}

/// Makes this process the reaper of the orphans below it.
pub fn become_reaper() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Pid::from_raw(1));
}

/// Starts `command` as [`spawn_in_session`] does; its number.
///
/// # Errors
/// [`Exit::NotStarted`] with the status that shells give.
pub fn start(command: &mut Command, entrance: Option<File>) -> Result<u32, Exit> {
    let program = command.get_program().to_string_lossy().into_owned();
    match spawn_in_session(command, entrance) {
        Ok(child) => Ok(child.id()),
        Err(error) => {
            let status = match error.kind() {
                io::ErrorKind::NotFound => 127,
                io::ErrorKind::PermissionDenied => 126,
                _ => 125,
            };
            Err(Exit::NotStarted(
                status,
                format!("could not start {program:?}: {error}"),
            ))
        }
    }
}

/// Starts `command` in a session of its own, and in a control group by its `entrance` if there is
/// one.
///
/// # Errors
/// Those of [`Command::spawn`].
pub fn spawn_in_session(command: &mut Command, entrance: Option<File>) -> io::Result<Child> {
    // SAFETY: setsid(2) and write(2) are async-signal-safe, and nothing else is done between fork
    // and exec.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || {
            if let Some(entrance) = &entrance {
                // One that may not come in is still held by its session.
                let _ = rustix::io::write(entrance, b"0");
            }
            rustix::process::setsid().map(|_| ()).map_err(Into::into)
        });
    }
    command.spawn()
}

/// Waits for all children that have ended, without blocking; how `main` ended, if it was among them,
/// and whether any child is left.
pub fn reap(main: u32) -> (Option<Exit>, bool) {
    let mut ended = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                if u32::try_from(pid.as_raw_nonzero().get()) == Ok(main) {
                    ended = status
                        .exit_status()
                        .map(Exit::Status)
                        .or_else(|| status.terminating_signal().map(Exit::Signal));
                }
            }
            Ok(None) => return (ended, true),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return (ended, false),
        }
    }
}

/// The living processes below us: the command, what it started, and orphans of it that are ours now.
pub fn sample() -> Sample {
    let mut found = Sample::default();
    let mut open = vec![std::process::id()];
    let mut known = HashSet::new();
    while let Some(pid) = open.pop() {
        if !known.insert(pid) {
            continue;
        }
        if let Some(seen) = look(pid)
            && pid != std::process::id()
        {
            add(&mut found, &seen);
        }
        open.extend(children(pid));
    }
    found
}

fn add(sample: &mut Sample, seen: &Seen) {
    if !seen.dead {
        sample.pids.push(seen.pid);
        sample.memory_kib += seen.pages * page_kib();
    }
    sample.cpu_ms += seen.ticks * 1000 / ticks_per_second();
}

fn page_kib() -> u64 {
    rustix::param::page_size() as u64 / 1024
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

/// Processor time of all children of ours that were waited for, and of theirs, in milliseconds.
pub fn waited_for_ms() -> u64 {
    let ticks = look(std::process::id()).map_or(0, |me| me.waited);
    ticks * 1000 / ticks_per_second()
}

/// The children of a process, by the list that the kernel keeps for each of its threads.
fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        if let Ok(text) = fs::read_to_string(thread.path().join("children")) {
            found.extend(
                text.split_ascii_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    found
}

/// What `/proc/PID/stat` says.
fn look(pid: u32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in parentheses, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Seen {
        pid,
        parent: number(1)? as u32,
        session: number(3)? as u32,
        dead: matches!(*fields.first()?, "Z" | "X"),
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        waited: number(13)? + number(14)?,
        pages: number(21)?,
    })
}

/// Every process that we can see.
fn all() -> Vec<Seen> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        found.extend(pid.and_then(look));
    }
    found
}

/// The living processes that `is_ours` says are of a run, and everything below them, by a look at
/// all that there are; never this process itself.
fn living(is_ours: &dyn Fn(&Seen) -> bool) -> Vec<u32> {
    let all = all();
    let mut below: HashMap<u32, Vec<u32>> = HashMap::new();
    for seen in &all {
        below.entry(seen.parent).or_default().push(seen.pid);
    }
    let mut open: Vec<u32> = all
        .iter()
        .filter(|seen| is_ours(seen))
        .map(|seen| seen.pid)
        .collect();
    let mut found = HashSet::new();
    while let Some(pid) = open.pop() {
        if found.insert(pid) {
            open.extend(below.get(&pid).into_iter().flatten());
        }
    }
    let me = std::process::id();
    let alive = all.iter().filter(|seen| !seen.dead && seen.pid != me);
    alive
        .map(|seen| seen.pid)
        .filter(|pid| found.contains(pid))
        .collect()
}

/// Sends a signal; a process that is gone is none of our business.
fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Asks the command and everything below us to end, politely; also those that were stopped hear it.
pub fn ask_to_end(main: u32) {
    let pids = sample().pids;
    if pids.is_empty() {
        group(main, Signal::TERM);
    }
    // Each hears it once: many take a second one for impatience.
    for pid in pids {
        send(pid, Signal::TERM);
        send(pid, Signal::CONT);
    }
}

/// Lets everything below us stand still. What is being started meanwhile is met at the next look.
pub fn freeze() {
    let mut met = HashSet::new();
    loop {
        let pids = sample().pids;
        let new: Vec<u32> = pids.into_iter().filter(|pid| met.insert(*pid)).collect();
        if new.is_empty() {
            break;
        }
        new.into_iter().for_each(|pid| send(pid, Signal::STOP));
    }
}

/// Lets everything below us go on.
pub fn thaw() {
    sample()
        .pids
        .into_iter()
        .for_each(|pid| send(pid, Signal::CONT));
}

/// Signals the process group of a session's leader.
fn group(leader: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// Ends everything that is left below us after the command itself has ended: asks, waits for at most
/// `grace`, then kills until nobody is left. How many there were, and how many could not be ended
/// (they are in an uninterruptible sleep).
pub fn end_descendants(main: u32, grace: Duration) -> (usize, usize) {
    let me = std::process::id();
    let below_us = |seen: &Seen| seen.parent == me || seen.session == main;
    if !reap(main).1 {
        // No child at all is left: the usual case costs one system call.
        return (0, 0);
    }
    end(&below_us, grace, &mut || drop(reap(main)))
}

/// By what the processes of a command are known whose parent, which watched them, may be dead: a
/// variable in their environment that names it, the session that it began, and all below those.
/// Where there is no `/proc`, none are known, and only the session's first group is ended.
#[derive(Debug, Clone, Copy)]
pub struct Traces<'a> {
    /// `SPORE_ROOT` in their environment.
    pub root: &'a Path,
    /// Another variable there, and its value if not just any will do.
    pub variable: (&'a str, Option<&'a str>),
    /// Their session, see [`session`].
    pub session: Option<u32>,
}

impl Traces<'_> {
    /// Those that live.
    pub fn living(&self) -> Vec<u32> {
        living(&|seen| self.fit(seen))
    }

    /// Ends them: asks, waits for at most `grace`, then kills until nobody is left. How many there
    /// were, and how many could not be ended.
    pub fn end(&self, grace: Duration) -> (usize, usize) {
        if let (Some(leader), None) = (self.session, look(std::process::id())) {
            group(leader, Signal::KILL);
        }
        end(&|seen| self.fit(seen), grace, &mut || ())
    }

    fn fit(&self, seen: &Seen) -> bool {
        if Some(seen.session) == self.session {
            return true;
        }
        let Ok(environment) = fs::read(format!("/proc/{}/environ", seen.pid)) else {
            return false;
        };
        let has = |name: &str, value: Option<&[u8]>| {
            let mut variables = environment.split(|byte| *byte == 0);
            variables.any(|variable| {
                let rest = variable.strip_prefix(name.as_bytes());
                rest.and_then(|rest| rest.strip_prefix(b"="))
                    .is_some_and(|found| value.is_none_or(|value| value == found))
            })
        };
        let (name, value) = self.variable;
        has(name, value.map(str::as_bytes))
            && has("SPORE_ROOT", Some(self.root.as_os_str().as_bytes()))
    }
}

/// The session that `leader` began, unless it was begun elsewhere or in another boot, or its number
/// is another process's by now. As long as anybody is in a session, the kernel gives its number to
/// nobody else.
pub fn session(leader: &Holder) -> Option<u32> {
    let now = Holder::of(leader.pid);
    let here = (&now.boot, now.namespace) == (&leader.boot, leader.namespace);
    let its_own = leader.start != 0 && (now.start == 0 || now.start == leader.start);
    (here && its_own).then_some(leader.pid)
}

fn end(is_ours: &dyn Fn(&Seen) -> bool, grace: Duration, reap: &mut dyn FnMut()) -> (usize, usize) {
    /// How long we go on killing.
    const PATIENCE: Duration = Duration::from_secs(10);
    let begun = Instant::now();
    let mut met: HashSet<u32> = HashSet::new();
    let mut pause = Duration::from_millis(1);
    loop {
        let left = living(is_ours);
        if left.is_empty() {
            reap();
            return (met.len(), 0);
        }
        let killing = begun.elapsed() >= grace;
        for pid in &left {
            let new = met.insert(*pid);
            if killing {
                send(*pid, Signal::KILL);
            } else if new {
                send(*pid, Signal::TERM);
                send(*pid, Signal::CONT);
            }
        }
        if begun.elapsed() >= grace + PATIENCE {
            return (met.len(), left.len());
        }
        std::thread::sleep(pause);
        reap();
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Kills the command and everything below us, at once.
pub fn kill_all(main: u32) {
    group(main, Signal::KILL);
    for pid in sample().pids {
        send(pid, Signal::KILL);
    }
    send(main, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_believed_in_only_where_its_leader_was_that_very_process() {
        let mut child = spawn_in_session(Command::new("sleep").arg("60"), None).unwrap();
        let leader = Holder::of(child.id());
        assert_eq!(session(&leader), Some(child.id()));
        let wrong: [fn(&mut Holder); 4] = [
            |leader| leader.boot = "ffffffff".to_owned(),
            |leader| leader.namespace += 1,
            |leader| leader.start += 1,
            |leader| leader.start = 0,
        ];
        for change in wrong {
            let mut other = leader.clone();
            change(&mut other);
            assert_eq!(session(&other), None, "{other}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(
            session(&leader),
            Some(child.id()),
            "others may be left in it"
        );
    }
}
