//! Processes that hold something: how to name one so that nobody mistakes another for it, and
//! whether it still lives.
//!
//! A process id alone is used again; with the kernel's start time and the boot it is not (proc(5),
//! `/proc/PID/stat` field 22, `/proc/sys/kernel/random/boot_id`). A process in another pid
//! namespace cannot be seen from here: of such a one only the deadline tells.

use std::fmt;
use std::fs;
use std::str::FromStr;

/// A process, for good. Its text form is `BOOT.NS.PID.START`: eight hex digits of the boot, then
/// three decimal numbers; it may stand in a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The first eight hex digits of the boot's id; `00000000` where the system gives none.
    pub boot: String,
    /// The inode number of the pid namespace; 0 where there are none.
    pub namespace: u64,
    /// Process id.
    pub pid: u32,
    /// When it was started, in clock ticks since boot; 0 where unknown.
    pub start: u64,
}

/// What can be known about a holder from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// The very process is there.
    Alive,
    /// It is gone for good.
    Dead,
    /// It cannot be seen from here.
    Unknown,
}

impl Holder {
    /// This process.
    pub fn me() -> Holder {
        Holder::of(std::process::id())
    }

    /// The process that now has the number `pid`, in our namespace.
    pub fn of(pid: u32) -> Holder {
        Holder {
            boot: boot(),
            namespace: namespace(),
            pid,
            start: start_of(pid).unwrap_or(0),
        }
    }

    /// Whether it still lives.
    pub fn life(&self) -> Life {
        let boot = boot();
        if boot != self.boot {
            return if boot == UNKNOWN_BOOT || self.boot == UNKNOWN_BOOT {
                Life::Unknown
            } else {
                Life::Dead
            };
        }
        if namespace() != self.namespace {
            return Life::Unknown;
        }
        match start_of(self.pid) {
            Some(start) if self.start == 0 || start == self.start => Life::Alive,
            Some(_) => Life::Dead,
            None if exists(self.pid) => Life::Unknown,
            None => Life::Dead,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}.{}",
            self.boot, self.namespace, self.pid, self.start
        )
    }
}

impl FromStr for Holder {
    type Err = String;

    fn from_str(text: &str) -> Result<Holder, String> {
        let wrong = || format!("{text:?} names no process: want BOOT.NAMESPACE.PID.START");
        let fields: Vec<&str> = text.split('.').collect();
        let [boot, namespace, pid, start] = fields[..] else {
            return Err(wrong());
        };
        if boot.len() != 8 || !boot.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        Ok(Holder {
            boot: boot.to_owned(),
            namespace: namespace.parse().map_err(|_| wrong())?,
            pid: pid.parse().map_err(|_| wrong())?,
            start: start.parse().map_err(|_| wrong())?,
        })
    }
}

const UNKNOWN_BOOT: &str = "00000000";

/// The first eight hex digits of this boot's id.
pub fn boot() -> String {
    let read = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits = read
        .get(..8)
        .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
    digits.unwrap_or(UNKNOWN_BOOT).to_owned()
}

/// Milliseconds since boot, time asleep included: a clock that nobody sets.
pub fn since_boot_ms() -> i64 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    // On macOS this clock goes on while the machine sleeps.
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

/// The inode number of our pid namespace.
fn namespace() -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

/// When the process was started, in ticks since boot; none if it is gone, dead and not yet reaped,
/// or cannot be asked.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in parentheses, which may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Whether a process of that number is there, where `/proc` does not say.
fn exists(pid: u32) -> bool {
    if fs::exists("/proc/self/stat").unwrap_or(false) {
        return false;
    }
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_as_it_is_written() {
        let me = Holder::me();
        assert_eq!(me.to_string().parse::<Holder>().unwrap(), me);
        assert_eq!(me.life(), Life::Alive);
        for wrong in ["", "1.2.3.4", "0123abcd.1.2", "0123abcd.1.2.x"] {
            assert!(wrong.parse::<Holder>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_number_used_again_is_not_the_same_process() {
        let mut other = Holder::me();
        other.start += 1;
        assert_eq!(other.life(), Life::Dead);
    }

    #[test]
    fn one_of_another_boot_is_dead_and_one_of_another_namespace_unknown() {
        let mut other = Holder::me();
        other.boot = "ffffffff".to_owned();
        assert_eq!(other.life(), Life::Dead);
        let mut far = Holder::me();
        far.namespace += 1;
        assert_eq!(far.life(), Life::Unknown);
    }

    #[test]
    fn a_child_that_ended_is_dead_even_before_it_is_waited_for() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let holder = Holder::of(child.id());
        assert_eq!(holder.life(), Life::Alive);
        child.kill().unwrap();
        while holder.life() == Life::Alive {
            std::thread::yield_now();
        }
        assert_eq!(holder.life(), Life::Dead);
        child.wait().unwrap();
        assert_eq!(holder.life(), Life::Dead);
    }
}
