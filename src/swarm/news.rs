//! Waiting until something happened in a swarm, without asking all the time. A wake-up is a hint;
//! the files are the truth.

use std::time::Duration;

use super::Root;

/// Where nothing tells what changed, one looks this often.
const POLL: Duration = Duration::from_millis(200);

/// A watch on the journal, the plan and the holds. Arm it first, then look, then wait: nothing is
/// missed.
#[derive(Debug)]
pub struct News {
    #[cfg(target_os = "linux")]
    notify: Option<std::os::fd::OwnedFd>,
}

impl News {
    /// Arms it. Where the kernel cannot tell (its limits, another system, no swarm yet), it polls.
    pub fn arm(root: &Root) -> News {
        #[cfg(target_os = "linux")]
        return News {
            notify: linux::arm(root).ok(),
        };
        #[cfg(not(target_os = "linux"))]
        {
            let _ = root;
            News {}
        }
    }

    /// Waits until something may have happened, at most for `timeout`.
    pub fn wait(&self, timeout: Duration) {
        #[cfg(target_os = "linux")]
        if let Some(fd) = &self.notify
            && linux::wait(fd, timeout).is_ok()
        {
            return;
        }
        std::thread::sleep(timeout.min(POLL));
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
    use rustix::io::Errno;

    use crate::swarm::Root;

    pub(super) fn arm(root: &Root) -> Result<OwnedFd, Errno> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let names = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE;
        inotify::add_watch(&fd, root.path(), names | WatchFlags::ONLYDIR)?;
        let journal = names | WatchFlags::MODIFY | WatchFlags::ONLYDIR;
        inotify::add_watch(&fd, root.journal(), journal)?;
        Ok(fd)
    }

    pub(super) fn wait(fd: &OwnedFd, timeout: Duration) -> Result<(), Errno> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut events = inotify::Reader::new(fd, &mut buffer);
        loop {
            match events.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::event::{Event, What};
    use crate::swarm::Journal;
    use crate::swarm::journal::now;
    use crate::swarm::root::Options;

    #[test]
    fn an_event_wakes_who_waits_and_silence_ends_with_the_timeout() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::find(&Options {
            start: dir.path().to_owned(),
            root: Some("app.swarm".into()),
        })
        .unwrap();
        let mut journal = Journal::open(&root).unwrap();
        let news = News::arm(&root);
        let begun = Instant::now();
        news.wait(Duration::from_millis(30));
        assert!(begun.elapsed() >= Duration::from_millis(30));
        let event = Event {
            at: now(),
            correlation_id: "c".into(),
            what: What::Joined {
                agent: "a".into(),
                epoch: 1,
            },
        };
        journal.change(|_| (vec![event], ())).unwrap();
        let begun = Instant::now();
        news.wait(Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
