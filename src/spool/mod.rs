//! Mailboxes on disk: directories as queues.
//!
//! **For**: carrying messages between agents of one machine with nothing but files. A sender that
//! was told "accepted" may forget the message; a receiver that dies gives it back.
//!
//! **Promises**: a message accepted is on the disk, file, content and name, before the sender hears
//! of it; it is in exactly one state at any instant, because each change of state is one rename;
//! it goes to one receiver at a time, who holds it for the length of a lease and learns when the
//! lease is lost; acknowledged, it is not handed out again (`done/` is the ledger); "empty" is said
//! of a directory that did not change while it was read. `kill -9` at any instant, of either side,
//! needs no repair.
//!
//! **Does not**: keep a daemon, a lock or an index that could be wrong (`.order`, `.last-read` and
//! `.announced` are hints: deleting them is always safe); know what a message says; carry between
//! machines; share one mailbox between receivers on two hosts of a network file system, whose
//! claims cannot be told from those of an earlier boot.
//!
//! # The directories
//!
//! ```text
//! mail/NAME/              0700; NAME is an agent name (crate::id)
//!    tmp/ new/ cur/       a Maildir: mail programs read it
//!    .urgent/ .low/       two lanes more, with the same three, made when first needed
//!    id/HASH              symbolic link to nothing: the id that `--id KEY` was given
//!    done/YYYY-MM-DD/ID   acknowledged: ledger and archive
//!    dead/ID dead/ID.why  given up, and the reason;  dead/torn/ID  cut short by a power cut
//!    .order               the sorted names of new/, when there are many
//!    .last-read           its time says when somebody last looked
//!    .announced           ids that a hook has already told about
//! ```
//!
//! # The states of a message
//!
//! | state | what exists | a crash here costs | who moves it on |
//! |---|---|---|---|
//! | being written | `tmp/ID.pPID` | the sender has not been told "accepted": the file is rubbish, and is removed after 36 hours when its process is gone | sender: rename to `new/` |
//! | arriving | `new/NAME`, not yet synced | nothing while the machine lives. Power cut: whole, gone, or torn (the size differs from `S=`); the sender was not told "accepted" | sender: fsync of file and directory |
//! | **waiting** | `new/NAME`, synced: from here the sender is told "accepted" | nothing | receiver: rename to `cur/`, the claim |
//! | in a batch | `new/BATCH/NAME` | nothing: the whole directory came by one rename | receiver: each to `new/`, then rmdir |
//! | in a bundle | `new/NAME.bundle`, one file | nothing. Power cut while arriving: as above; torn, none of it is handed out | receiver: builds the batch in `tmp/`, syncs it, swaps it with the claimed `cur/NAME.bundle`, and that is the batch; meanwhile others wait for him, and never say that nothing is there |
//! | held | `cur/NAME` with `A=`, `C=`, `L=` | the lease runs out (or its process is seen dead, or the boot is another): handed out again, `A=` one higher | receiver: rename to `done/`, `new/`, `dead/` or to a longer lease |
//! | done | `done/DAY/ID` | nothing; another copy with this id is dropped | `prune` |
//! | dead | `dead/ID` and `ID.why` | nothing (`.why` is written first) | `requeue`, or a person |
//! | torn | `dead/torn/ID` | nothing: it was never accepted | a person |
//!
//! The instant of delivery is the return of the last fsync. On ext4 and XFS the rename into `new/`
//! comes before the fsync of the file, so that both are one journal commit (0.6 of the time); a
//! live reader sees the whole content through the page cache, and after a power cut the size in
//! the name tells a torn file. Everywhere else the file is synced first. A receiver syncs nothing
//! but what it makes of a bundle: a power cut can only bring a message back.
//!
//! `--id KEY`: before the content is written, `id/HASH` is made as a symbolic link whose text is
//! the id (one step creates name and content). Who finds it there takes over that id; when a
//! message with that id is anywhere in the mailbox it is a duplicate, otherwise the first sender
//! died, and its delivery is finished under the same id. Two who race deliver two files of one id,
//! and the ledger hands out one.
//!
//! Who cleans up: the first acknowledgement of a day sweeps `tmp/` and old entries of `id/`;
//! `prune` removes old days of `done/`, and so does an acknowledgement that finds the disk full.
//!
//! Sources: qmail INTERNALS and maildir(5); the measurements behind the order of system calls are
//! in BENCHMARKS.md; rename(2), fsync(2), inotify(7).

mod bounce;
mod boxes;
mod bundle;
mod care;
mod deliver;
mod host;
mod name;
mod notice;
mod order;
mod outgoing;
mod sys;
mod take;
mod watch;

#[cfg(test)]
mod faults;

pub use bounce::stamp;
pub use boxes::{Entry, Lane, Mailbox, Place, Spool};
pub use care::{Finding, Pruned};
pub use deliver::{Accepted, Draft, Post};
pub use host::{Clock, Host, Now, day};
pub use name::{Holder, ID_LEN, Id, Lease, Name, NameError};
pub use take::{Claim, MAX_ATTEMPTS, Receiver, Spent, Taken};
pub use watch::{Watch, Woken};

use std::io;

use rustix::io::Errno;

use crate::id::AgentName;

/// What can go wrong in a mailbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody here bears this name.
    #[error("no mailbox {:?} here", name.as_str())]
    NoMailbox {
        /// The name that was asked for.
        name: AgentName,
        /// The nearest names that exist, best first.
        nearest: Vec<String>,
    },
    /// Something stands where a mailbox should be, and it is not safe to use.
    #[error("mailbox {name:?} is not safe to use: {why}")]
    Unsafe {
        /// The mailbox or its part.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// No message of this id is there (or not in the state that was asked for).
    #[error("no message {id} {state}")]
    NoMessage {
        /// The id.
        id: Id,
        /// The state that it should have: "is held", "is dead".
        state: &'static str,
    },
    /// Mail is there, but another receiver, who lives, is still taking it out of its bundle.
    #[error("another receiver is taking a bundle of mail for {name} apart")]
    Opening {
        /// The mailbox.
        name: AgentName,
    },
    /// The lease ran out and somebody else took the message.
    #[error("too late: the claim on {id} was lost")]
    LeaseLost {
        /// The id.
        id: Id,
    },
    /// The message was not accepted: nothing of it is left.
    #[error("not accepted: {what}")]
    NotAccepted {
        /// Which step failed.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The message is delivered, but the disk did not confirm it.
    #[error("outcome unknown: {what}")]
    Unconfirmed {
        /// The id; a second try with it makes no second message.
        id: Id,
        /// Which step failed.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Any other failed call.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl Error {
    fn io(what: impl Into<String>) -> impl FnOnce(Errno) -> Error {
        |errno| Error::Io {
            what: what.into(),
            source: errno.into(),
        }
    }
}
