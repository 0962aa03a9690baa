//! What this process knows about its machine: the clocks, the boot, who it is, who is alive.
//! All of it comes in as a value, so that tests can step the clock and fake a reboot.

use std::fs;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::name::{Holder, Id};

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Microseconds since 1970, as the wall clock says: it may step.
    pub micros: u64,
    /// Milliseconds since boot, sleep included: it never steps.
    pub boot_ms: u64,
}

impl Now {
    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.micros / 1_000_000
    }

    /// The day in UTC as `YYYY-MM-DD` (days to civil date: Hinnant, chrono-compatible low-level
    /// date algorithms).
    pub fn day(self) -> String {
        day(self.seconds())
    }
}

/// The day in UTC of a second since 1970.
pub fn day(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 {
        month_shifted + 3
    } else {
        month_shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Where the time comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The kernel.
    #[default]
    Kernel,
    /// A test, which may step it.
    Given(Arc<Mutex<Now>>),
}

impl Clock {
    /// A clock that stands still until it is moved.
    pub fn given(now: Now) -> Clock {
        Clock::Given(Arc::new(Mutex::new(now)))
    }

    /// What the clocks say.
    pub fn now(&self) -> Now {
        match self {
            Clock::Kernel => {
                let wall = clock_gettime(ClockId::Realtime);
                #[cfg(target_os = "linux")]
                let boot = clock_gettime(ClockId::Boottime);
                #[cfg(not(target_os = "linux"))]
                let boot = clock_gettime(ClockId::Monotonic);
                Now {
                    // Before 1970 counts as 1970.
                    micros: u64::try_from(wall.tv_sec).unwrap_or(0) * 1_000_000
                        + wall.tv_nsec as u64 / 1000,
                    boot_ms: boot.tv_sec as u64 * 1000 + boot.tv_nsec as u64 / 1_000_000,
                }
            }
            Clock::Given(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a given clock; the kernel's cannot be moved.
    pub fn set(&self, change: impl FnOnce(&mut Now)) {
        if let Clock::Given(now) = self {
            change(&mut now.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// A new id. Within one process ids rise even when the wall clock steps back, so that the
    /// order of one sender stands.
    pub fn id(&self) -> Id {
        static LAST: AtomicU64 = AtomicU64::new(0);
        static COUNTER: AtomicU16 = AtomicU16::new(0);
        let now = self.now().micros;
        let micros = match self {
            Clock::Kernel => {
                let last = LAST
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                        Some(now.max(last + 1))
                    })
                    .unwrap_or_else(|last| last);
                now.max(last + 1)
            }
            Clock::Given(_) => now,
        };
        let mut random = [0u8; 8];
        // The kernel gives eight bytes at once (getrandom(2)); were it not so, time and counter
        // would still tell names apart, and a rename never replaces.
        let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
        Id::new(
            micros / 1_000_000,
            (micros % 1_000_000) as u32,
            COUNTER.fetch_add(1, Ordering::Relaxed),
            u64::from_ne_bytes(random),
        )
    }
}

/// The machine and process that a receiver is.
#[derive(Debug, Clone)]
pub struct Host {
    /// This process as the holder of a claim.
    pub holder: Holder,
    /// The clocks.
    pub clock: Clock,
}

impl Host {
    /// This process on this machine, from `/proc` where there is one.
    pub fn here() -> Host {
        let pid = rustix::process::getpid().as_raw_nonzero().get() as u32;
        Host {
            holder: Holder {
                boot: boot(),
                namespace: namespace(),
                pid,
                start: start(pid).unwrap_or(0),
            },
            clock: Clock::Kernel,
        }
    }

    /// Whether a claim is still good: nobody else may touch it then.
    pub fn keeps(&self, lease: &super::name::Lease, now: Now) -> bool {
        let holder = lease.holder;
        if holder.boot != self.holder.boot || now.boot_ms >= lease.deadline {
            return false;
        }
        let nearby = holder.namespace == self.holder.namespace && holder.pid != 0;
        !nearby || alive(holder)
    }

    /// The lease that begins now.
    pub fn lease(&self, length: Duration, of_process: bool) -> super::name::Lease {
        let mut holder = self.holder;
        if !of_process {
            holder.pid = 0;
            holder.start = 0;
        }
        let length = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        super::name::Lease {
            holder,
            deadline: self.clock.now().boot_ms.saturating_add(length),
        }
    }
}

/// Whether the very process that made the claim still runs.
fn alive(holder: Holder) -> bool {
    match start(holder.pid) {
        Some(start) => start == holder.start,
        // No /proc: ask for the pid alone. Where there is one, the process is gone.
        None if holder.start == 0 => running(holder.pid),
        None => false,
    }
}

/// Whether some process has this pid.
pub(crate) fn running(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return false;
    };
    !matches!(
        rustix::process::test_kill_process(pid),
        Err(rustix::io::Errno::SRCH)
    )
}

/// The first 32 bits of the boot id.
fn boot() -> u32 {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .ok()
        .and_then(|id| u32::from_str_radix(id.get(..8)?, 16).ok())
        .unwrap_or(0)
}

/// The inode of the pid namespace.
fn namespace() -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

/// When a process started, in ticks since boot: field 22 of proc_pid_stat(5), counted from the
/// last `)`, because the second field holds any text.
fn start(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.iter().rposition(|b| *b == b')')? + 2;
    let field = stat.get(after..)?.split(|b| *b == b' ').nth(19)?;
    // A zombie (state Z or X) does nothing any more.
    let state = stat.get(after)?;
    if matches!(state, b'Z' | b'X') {
        return None;
    }
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::name::Lease;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_764_000_000, "2025-11-24"),
            (4_107_542_400, "2100-03-01"),
            (4_294_967_296, "2106-02-07"),
        ] {
            assert_eq!(day(seconds), text);
        }
    }

    #[test]
    fn a_claim_ends_with_its_boot_its_process_or_its_time() {
        let clock = Clock::given(Now {
            micros: 0,
            boot_ms: 1000,
        });
        let host = Host {
            clock: clock.clone(),
            ..Host::here()
        };
        let lease = host.lease(Duration::from_secs(1), true);
        let with = |change: fn(&mut Holder)| {
            let mut changed = lease;
            change(&mut changed.holder);
            changed
        };
        assert!(host.keeps(&lease, clock.now()));
        assert!(!host.keeps(&with(|h| h.boot ^= 1), clock.now()));
        assert!(!host.keeps(&with(|h| h.start += 1), clock.now()));
        assert!(!host.keeps(&with(|h| h.pid = 0x7fff_fff0), clock.now()));
        // Nothing can be said about processes of another namespace, or when none holds it.
        assert!(host.keeps(
            &with(|h| {
                h.namespace ^= 1;
                h.pid = 1
            }),
            clock.now()
        ));
        let held = host.lease(Duration::from_secs(1), false);
        assert!(host.keeps(&held, clock.now()));
        clock.set(|now| now.boot_ms = 2000);
        assert!(!host.keeps(&lease, clock.now()));
        assert!(!host.keeps(
            &Lease {
                deadline: 2000,
                ..held
            },
            clock.now()
        ));
    }

    #[test]
    fn ids_of_one_process_rise() {
        let ids: Vec<Id> = (0..1000).map(|_| Clock::Kernel.id()).collect();
        assert!(ids.windows(2).all(|two| two[0] < two[1]));
    }
}
