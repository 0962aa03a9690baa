//! Waiting for mail without asking all the time. A wake-up is a hint; the directory is the truth.

use std::time::Duration;

use super::boxes::Mailbox;
use super::sys::Sys;

/// A directory is looked through this often even when nothing is heard of it.
const SAFETY: Duration = Duration::from_secs(30);
const POLL_FIRST: Duration = Duration::from_millis(50);
const POLL_LAST: Duration = Duration::from_secs(1);

/// Why [`Watch::wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Something may have arrived: look.
    Look,
    /// The time is over.
    Timeout,
}

/// An armed watch on one mailbox. Arm first, then look, then wait: nothing is missed.
#[derive(Debug)]
pub struct Watch {
    #[cfg(target_os = "linux")]
    notify: Option<notify::Notify>,
    poll: Duration,
}

impl Watch {
    /// Arms a watch; where the file system or the kernel's limits allow none, it will poll.
    pub fn arm(mailbox: &Mailbox) -> Watch {
        Watch {
            #[cfg(target_os = "linux")]
            notify: notify::Notify::arm(mailbox).ok(),
            poll: POLL_FIRST,
        }
    }

    /// Whether it asks again and again instead of being told.
    pub fn is_polling(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.notify.is_none();
        #[cfg(not(target_os = "linux"))]
        return true;
    }

    /// Waits until something may have arrived, at most for `timeout`.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub fn wait(&mut self, mailbox: &Mailbox, timeout: Duration) -> Result<Woken, super::Error> {
        self.pause(mailbox, timeout)
            .map_err(super::Error::io("waiting for mail"))
    }

    fn pause(&mut self, mailbox: &Mailbox, timeout: Duration) -> Sys<Woken> {
        #[cfg(target_os = "linux")]
        if let Some(notify) = &mut self.notify {
            return match notify.wait(timeout.min(SAFETY))? {
                notify::Heard::Mail => Ok(Woken::Look),
                notify::Heard::Nothing if timeout > SAFETY => Ok(Woken::Look),
                notify::Heard::Nothing => Ok(Woken::Timeout),
                notify::Heard::Lost => {
                    self.notify = notify::Notify::arm(mailbox).ok();
                    Ok(Woken::Look)
                }
            };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (mailbox, SAFETY);
        if timeout.is_zero() {
            return Ok(Woken::Timeout);
        }
        std::thread::sleep(self.poll.min(timeout));
        self.poll = (self.poll * 2).min(POLL_LAST);
        Ok(Woken::Look)
    }

    /// Mail came: poll quickly again.
    pub fn refresh(&mut self) {
        self.poll = POLL_FIRST;
    }
}

#[cfg(target_os = "linux")]
mod notify {
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd, OwnedFd};
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    use rustix::io::Errno;

    use crate::spool::boxes::{Lane, Mailbox};
    use crate::spool::sys::{self, FsKind, Sys};

    pub(super) enum Heard {
        Mail,
        Nothing,
        /// A directory went away, or events did: arm anew and look.
        Lost,
    }

    #[derive(Debug)]
    pub(super) struct Notify {
        fd: OwnedFd,
        /// The watch on the mailbox itself, where lanes and a new `new/` appear.
        top: i32,
    }

    impl Notify {
        pub(super) fn arm(mailbox: &Mailbox) -> Sys<Notify> {
            // There the kernel does not see what others write.
            if sys::fs_kind(mailbox.dir.as_fd())? == FsKind::Remote {
                return Err(Errno::NOTSUP);
            }
            let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            let guard = WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
            let moves = WatchFlags::MOVED_TO
                | WatchFlags::CREATE
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF;
            // While somebody has it open, a removed directory says nothing of itself.
            let goings = WatchFlags::DELETE | WatchFlags::MOVED_FROM;
            let top = inotify::add_watch(&fd, mailbox.path(), moves | goings | guard)?;
            for lane in Lane::ALL {
                let folder = match lane.folder() {
                    None => mailbox.path().join("new"),
                    Some(folder) => mailbox.path().join(folder).join("new"),
                };
                match inotify::add_watch(&fd, &folder, moves | guard) {
                    Ok(_) => {}
                    Err(Errno::NOENT) if lane != Lane::Normal => {}
                    Err(errno) => return Err(errno),
                }
            }
            Ok(Notify { fd, top })
        }

        pub(super) fn wait(&mut self, timeout: Duration) -> Sys<Heard> {
            let end = Instant::now() + timeout;
            loop {
                let left = end.saturating_duration_since(Instant::now());
                let left = Timespec {
                    tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                    tv_nsec: i64::from(left.subsec_nanos()),
                };
                let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
                match poll(&mut fds, Some(&left)) {
                    Ok(0) => return Ok(Heard::Nothing),
                    Ok(_) => {}
                    Err(Errno::INTR) => continue,
                    Err(errno) => return Err(errno),
                }
                if let Some(heard) = self.read()? {
                    return Ok(heard);
                }
            }
        }

        /// Empties the queue of events; `None` when none of them is about mail.
        fn read(&mut self) -> Sys<Option<Heard>> {
            let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
            let mut events = inotify::Reader::new(&self.fd, &mut buffer);
            let mut heard = None;
            loop {
                let event = match events.next() {
                    Ok(event) => event,
                    Err(Errno::AGAIN) => return Ok(heard),
                    Err(Errno::INTR) => continue,
                    Err(errno) => return Err(errno),
                };
                let lost = ReadFlags::QUEUE_OVERFLOW
                    | ReadFlags::IGNORED
                    | ReadFlags::UNMOUNT
                    | ReadFlags::DELETE_SELF
                    | ReadFlags::MOVE_SELF;
                if event.events().intersects(lost) {
                    return Ok(Some(Heard::Lost));
                }
                if event.wd() != self.top {
                    heard.get_or_insert(Heard::Mail);
                } else if event
                    .file_name()
                    .is_some_and(|name| matches!(name.to_bytes(), b"new" | b".urgent" | b".low"))
                {
                    return Ok(Some(Heard::Lost));
                }
            }
        }
    }
}
