//! The order cache: the sorted names of a `new/` with many entries, so that taking the next one
//! costs the same at ten and at a hundred thousand.
//!
//! One file of records of 96 bytes. The first holds the cursor (the number of the next record),
//! when it was made (milliseconds since boot) and the boot; each of the others one name, filled up
//! with NUL. It is a hint: a name that is gone is skipped, a file that is not understood or older
//! than a minute is made anew, and what it does not hold is found when it is used up. New
//! arrivals sort after what it holds, so the order stands.

use std::os::fd::{AsFd, OwnedFd};

use super::name::Name;
use super::sys::{self, Sys};

const RECORD: usize = 96;
/// Below this many names a scan is as quick.
pub(super) const WORTHWHILE: usize = 64;
/// A name that came late or came back waits this long at most.
const MAX_AGE_MS: u64 = 60_000;
const FILE: &str = ".order";

/// One name, padded.
pub(super) type Record = [u8; RECORD];

/// A name as a record, unless it is too long for one.
pub(super) fn record(name: &str) -> Option<Record> {
    let mut record = [0; RECORD];
    record
        .get_mut(..name.len())?
        .copy_from_slice(name.as_bytes());
    Some(record)
}

/// The name in a record.
pub(super) fn text(record: &Record) -> Option<&str> {
    let end = record.iter().position(|b| *b == 0).unwrap_or(RECORD);
    let text = std::str::from_utf8(&record[..end]).ok()?;
    Name::read(text.as_bytes()).map(|_| text)
}

/// An open order cache.
#[derive(Debug)]
pub(super) struct Order {
    file: OwnedFd,
    records: u64,
    at: u64,
    /// Records that were read ahead, the next one last.
    ahead: Vec<Record>,
    /// The record after the last one that was claimed, and whether the file says so.
    claimed: u64,
    told: bool,
    /// Whether nobody else was met: then the cursor in the file matters only to who comes later,
    /// and is read and written once for [`AHEAD`] records.
    alone: bool,
}

/// How many records are read at once by a receiver that meets no other.
const AHEAD: u64 = 32;

/// Reads exactly `buffer` at `offset`.
fn read_at(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Option<()> {
    let read = rustix::io::pread(file, &mut *buffer, offset).ok()?;
    (read == buffer.len()).then_some(())
}

impl Order {
    /// Opens the cache of a lane, if it is there and good. `folder` is the directory above `new/`.
    pub(super) fn open(folder: &OwnedFd, boot: u32, boot_ms: u64) -> Option<Order> {
        let file = sys::open_hint(folder.as_fd(), FILE).ok()?;
        let size = sys::stat(file.as_fd()).ok()?.st_size as u64;
        let mut head = [0; RECORD];
        read_at(&file, &mut head, 0)?;
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&head[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let made = number(8);
        let age = boot_ms.checked_sub(made)?;
        let good = size.is_multiple_of(RECORD as u64)
            && number(16) == u64::from(boot)
            && age <= MAX_AGE_MS
            && number(0) >= 1;
        good.then_some(Order {
            file,
            records: size / RECORD as u64,
            at: 0,
            ahead: Vec::new(),
            claimed: 0,
            told: true,
            alone: true,
        })
    }

    /// Writes a cache of `names`, sorted, and opens it.
    pub(super) fn write(
        folder: &OwnedFd,
        names: &[Record],
        boot: u32,
        boot_ms: u64,
    ) -> Sys<Option<Order>> {
        let mut head = [0; RECORD];
        head[..8].copy_from_slice(&1u64.to_le_bytes());
        head[8..16].copy_from_slice(&boot_ms.to_le_bytes());
        head[16..24].copy_from_slice(&u64::from(boot).to_le_bytes());
        let aside = format!("{FILE}.{}", super::Clock::Kernel.id());
        sys::replace(folder.as_fd(), FILE, &aside, &[&head, names.as_flattened()])?;
        Ok(Order::open(folder, boot, boot_ms))
    }

    /// Forgets the cache, because a name came back that it does not hold.
    pub(super) fn forget(folder: &OwnedFd) {
        let _ = sys::unlink(folder.as_fd(), FILE);
    }

    /// The next record, from where this receiver and all others have got to.
    pub(super) fn next(&mut self) -> Option<Record> {
        if let Some(record) = self.ahead.pop() {
            self.at += 1;
            return Some(record);
        }
        self.tell();
        let at = self.cursor()?.max(self.at + 1);
        let wanted = if self.alone { AHEAD } else { 1 };
        let count = self.records.checked_sub(at)?.min(wanted);
        self.ahead.resize(count as usize, [0; RECORD]);
        let read = read_at(
            &self.file,
            self.ahead.as_flattened_mut(),
            at * RECORD as u64,
        );
        if read.is_none() {
            self.ahead.clear();
        }
        self.ahead.reverse();
        self.at = at;
        self.ahead.pop()
    }

    fn cursor(&self) -> Option<u64> {
        let mut cursor = [0; 8];
        read_at(&self.file, &mut cursor, 0)?;
        Some(u64::from_le_bytes(cursor))
    }

    /// Notes how far we got, for the others. Only after every record up to here was claimed by
    /// somebody, so that nobody passes over one that waits.
    pub(super) fn advance(&mut self) {
        self.claimed = self.at + 1;
        self.told = false;
        if !self.alone {
            self.tell();
        }
    }

    /// Somebody else takes from here too: from now on each tells the others at once.
    pub(super) fn share(&mut self) {
        self.alone = false;
        self.ahead.clear();
    }

    fn tell(&mut self) {
        // A cursor never goes back.
        if !self.told && self.cursor().is_some_and(|cursor| cursor < self.claimed) {
            let _ = rustix::io::pwrite(&self.file, &self.claimed.to_le_bytes(), 0);
        }
        self.told = true;
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        self.tell();
    }
}
