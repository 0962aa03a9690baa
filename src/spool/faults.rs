//! Lets the k-th system call of this thread fail, for every k.

use std::cell::Cell;

use rustix::io::Errno;

use super::sys::Sys;

thread_local! {
    static PLAN: Cell<Option<(usize, Errno)>> = const { Cell::new(None) };
}

/// Called before each system call.
pub(super) fn strike(_call: &'static str) -> Sys<()> {
    PLAN.with(|plan| match plan.get() {
        Some((0, errno)) => {
            plan.set(None);
            Err(errno)
        }
        Some((left, errno)) => {
            plan.set(Some((left - 1, errno)));
            Ok(())
        }
        None => Ok(()),
    })
}

/// Runs `work` with its `k`-th system call failing; says whether the plan was reached.
fn failing<T>(k: usize, errno: Errno, work: impl FnOnce() -> T) -> (T, bool) {
    PLAN.with(|plan| plan.set(Some((k, errno))));
    let done = work();
    let reached = PLAN.with(|plan| plan.take().is_none());
    (done, reached)
}

mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use rustix::io::Errno;

    use super::failing;
    use crate::spool::{Accepted, Clock, Error, Host, Lane, Mailbox, Post, Receiver, Spool, Taken};

    const ERRNOS: [Errno; 2] = [Errno::NOSPC, Errno::IO];

    fn place() -> (tempfile::TempDir, Spool, Mailbox) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open_or_create(&dir.path().join("mail")).unwrap();
        let mailbox = spool.create(&"box".parse().unwrap()).unwrap();
        (dir, spool, mailbox)
    }

    fn count(dir: &tempfile::TempDir, part: &str) -> usize {
        let path = dir.path().join("mail/box").join(part);
        fs::read_dir(path).map_or(0, Iterator::count)
    }

    fn drain(mailbox: &Mailbox) -> usize {
        let mut receiver = Receiver::new(mailbox, Host::here(), Duration::from_secs(60));
        let mut taken = 0;
        while let Taken::Message(claim) = receiver.take().unwrap() {
            receiver.ack(&claim).unwrap();
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_send_that_fails_at_any_call_leaves_nothing_or_one_and_its_retry_makes_one() {
        for errno in ERRNOS {
            for lane in [Lane::Normal, Lane::Urgent] {
                for k in 0.. {
                    let (dir, _spool, mailbox) = place();
                    let id = Clock::Kernel.id();
                    let post = Post {
                        lane,
                        ..Post::default()
                    };
                    let (sent, reached) =
                        failing(k, errno, || mailbox.deliver(id, b"message\n", &post));
                    let new = if lane == Lane::Normal {
                        "new"
                    } else {
                        ".urgent/new"
                    };
                    let tmp = if lane == Lane::Normal {
                        "tmp"
                    } else {
                        ".urgent/tmp"
                    };
                    assert_eq!(count(&dir, tmp), 0, "call {k} {errno:?} left rubbish");
                    match sent {
                        Ok(Accepted::New) => assert_eq!(count(&dir, new), 1),
                        Err(Error::NotAccepted { .. }) => assert_eq!(count(&dir, new), 0),
                        Err(Error::Unconfirmed { .. }) => assert_eq!(count(&dir, new), 1),
                        other => panic!("call {k}: {other:?}"),
                    }
                    if !mailbox.has(id).unwrap() {
                        mailbox.deliver(id, b"message\n", &post).unwrap();
                    }
                    assert_eq!(drain(&mailbox), 1, "call {k} {errno:?}");
                    if !reached {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn a_key_and_a_broadcast_that_fail_at_any_call_can_be_tried_again() {
        for errno in ERRNOS {
            for k in 0.. {
                let (_dir, spool, mailbox) = place();
                let other = spool.create(&"other".parse().unwrap()).unwrap();
                let send = || -> Result<(), Error> {
                    let id = mailbox.reserve("me", "key", Clock::Kernel.id())?;
                    let id = other.reserve("me", "key", id)?;
                    let wanting: Vec<&Mailbox> = [&mailbox, &other]
                        .into_iter()
                        .filter_map(|mailbox| match mailbox.has(id) {
                            Ok(true) => None,
                            Ok(false) => Some(Ok(mailbox)),
                            Err(error) => Some(Err(error)),
                        })
                        .collect::<Result<_, _>>()?;
                    let Some((first, others)) = wanting.split_first() else {
                        return Ok(());
                    };
                    let mut draft = first.draft(Lane::Normal, id)?;
                    draft.write(b"message\n")?;
                    draft.deliver_to_all(others, &Post::default())
                };
                let (_, reached) = failing(k, errno, send);
                send().unwrap();
                assert_eq!((drain(&mailbox), drain(&other)), (1, 1), "call {k}");
                if !reached {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_batch_or_bundle_that_fails_at_any_call_is_there_whole_or_not_at_all() {
        for (errno, bundle) in ERRNOS.into_iter().flat_map(|e| [(e, false), (e, true)]) {
            for k in 0.. {
                let (dir, _spool, mailbox) = place();
                let clock = Clock::Kernel;
                let whole = clock.id();
                let texts: Vec<_> = (0..3).map(|n| (clock.id(), n.to_string())).collect();
                let send = || match bundle {
                    true => mailbox.deliver_bundle(whole, &texts, &Post::default()),
                    false => mailbox.deliver_batch(texts.clone(), &Post::default()),
                };
                let (sent, reached) = failing(k, errno, send);
                let there = drain(&mailbox);
                match sent {
                    Ok(count) => assert_eq!((count, there), (3, 3)),
                    Err(Error::NotAccepted { .. }) => assert_eq!(there, 0, "call {k}"),
                    Err(Error::Unconfirmed { .. }) => assert_eq!(there, 3),
                    Err(other) => panic!("call {k}: {other:?}"),
                }
                assert_eq!(count(&dir, "tmp"), 0, "call {k} left rubbish");
                if !reached {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_receive_of_a_bundle_that_fails_at_any_call_loses_nothing_and_doubles_nothing() {
        for errno in ERRNOS {
            for k in 0.. {
                let (_dir, _spool, mailbox) = place();
                let clock = Clock::Kernel;
                let whole = clock.id();
                let texts: Vec<_> = (0..3).map(|n| (clock.id(), n.to_string())).collect();
                mailbox
                    .deliver_bundle(whole, &texts, &Post::default())
                    .unwrap();
                let mut done = 0;
                let work = || -> Result<(), Error> {
                    let mut receiver =
                        Receiver::new(&mailbox, Host::here(), Duration::ZERO).outliving();
                    loop {
                        match receiver.take()? {
                            Taken::Message(claim) => {
                                receiver.ack(&claim)?;
                                done += 1;
                            }
                            // It could not be examined.
                            Taken::Spent(claim, _) => receiver.release(&claim, true)?,
                            Taken::Nothing => return Ok(()),
                            Taken::Opening => panic!("a bundle was left in hand"),
                        }
                    }
                };
                let (_, reached) = failing(k, errno, work);
                assert_eq!(done + drain(&mailbox), 3, "call {k} {errno:?}");
                if !reached {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_receive_that_fails_at_any_call_loses_nothing_and_hands_on_nothing_twice() {
        for errno in ERRNOS {
            for k in 0.. {
                let (_dir, _spool, mailbox) = place();
                for text in ["one", "two"] {
                    let id = Clock::Kernel.id();
                    mailbox
                        .deliver(id, text.as_bytes(), &Post::default())
                        .unwrap();
                }
                let mut done = 0;
                let work = || -> Result<(), Error> {
                    // Held by no process and for no time: what fails half way comes back.
                    let mut receiver =
                        Receiver::new(&mailbox, Host::here(), Duration::ZERO).outliving();
                    while let Taken::Message(mut claim) = receiver.take()? {
                        receiver.renew(&mut claim)?;
                        receiver.ack(&claim)?;
                        done += 1;
                    }
                    Ok(())
                };
                let (_, reached) = failing(k, errno, work);
                assert_eq!(done + drain(&mailbox), 2, "call {k} {errno:?}");
                if !reached {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_full_disk_costs_old_done_mail_and_never_unread_mail() {
        let (dir, _spool, mailbox) = place();
        let home = dir.path().join("mail/box");
        let old = home.join("done/2020-01-01");
        fs::create_dir(&old).unwrap();
        fs::write(old.join("old"), "").unwrap();
        for text in ["one", "two"] {
            let id = Clock::Kernel.id();
            mailbox
                .deliver(id, text.as_bytes(), &Post::default())
                .unwrap();
        }
        let mut receiver = Receiver::new(&mailbox, Host::here(), Duration::from_secs(60));
        let Taken::Message(claim) = receiver.take().unwrap() else {
            panic!("nothing there")
        };
        // The calls of an acknowledgement: open cur, open done, open the day, make it.
        let (acked, reached) = failing(3, Errno::NOSPC, || receiver.ack(&claim));
        assert!(acked.is_ok() && reached);
        assert!(!old.exists());
        assert!(Path::new(&home).join("done").exists());
        let Taken::Message(claim) = receiver.take().unwrap() else {
            panic!("the other is there")
        };
        // Open cur, move the message: the only day that can give room is the one it moves to.
        let (acked, reached) = failing(1, Errno::NOSPC, || receiver.ack(&claim));
        assert!(acked.is_ok() && reached);
        assert!(receiver.is_done(claim.name.id).unwrap());
        assert_eq!(drain(&mailbox), 0);
    }
}
