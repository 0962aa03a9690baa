//! A batch as one file: many spores in one Markdown text, for the price of one message.
//!
//! ```text
//! # 🧬 Bundle of 2 spores
//!
//! - 00006924480012345-0001deadbeef00112233,S=112:2,
//! - 00006924480012345-0002deadbeef44556677,S=98:2,
//!
//! === 00006924480012345-0001deadbeef00112233
//! # 🧬 Spore: …
//! ```
//!
//! The list at the top is the file name of each message, in order, and by its sizes alone the
//! messages are told apart: what stands in a body means nothing. The lines between them are for
//! people, and a second witness: where one is not at its place, or the list does not add up to the
//! size of the file, nothing of the bundle is handed out.
//!
//! Its own name is that of a message with `.bundle` after it: who does not know bundles leaves it
//! alone. Taken apart, it is a directory of that name, and a batch from then on.

use std::collections::HashSet;
use std::io::{BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::deliver::{self, Accepted, Post};
use super::name::{ID_LEN, Id, Name};
use super::sys::{self, Sys};
use super::{Error, Mailbox};

/// What comes after the name of a message.
pub(super) const SUFFIX: &str = ".bundle";

/// How much is written or copied at once.
const CHUNK: usize = 1 << 20;

/// The most messages of one bundle, and the longest list of them that is read.
const MOST: usize = 500_000;
const LIST: usize = 64 << 20;

/// The name in the file name of a bundle.
pub(super) fn name(file: &str) -> Option<Name> {
    Name::read(file.strip_suffix(SUFFIX)?.as_bytes())
}

/// The line before a message.
fn mark(id: Id) -> String {
    format!("\n=== {id}\n")
}

/// How long that line is.
const MARK: u64 = (1 + 4 + ID_LEN + 1) as u64;

fn title(count: usize) -> String {
    format!("# 🧬 Bundle of {count} spores\n\n")
}

impl Mailbox {
    /// Delivers many messages as one file, all or nothing; where the file system cannot swap two
    /// names, which taking a bundle apart needs, as [`Mailbox::deliver_batch`] does.
    ///
    /// # Errors
    /// As [`Mailbox::deliver`], for all of them together.
    pub fn deliver_bundle<B: AsRef<[u8]>>(
        &self,
        bundle: Id,
        messages: &[(Id, B)],
        post: &Post,
    ) -> Result<usize, Error> {
        let mut draft = self.draft(post.lane, bundle)?;
        if messages.is_empty() || messages.len() > MOST || !draft.may_be_bundle() {
            drop(draft);
            let messages = messages.iter().map(|(id, bytes)| (*id, bytes));
            return self.deliver_batch(messages, post);
        }
        let mut text = Vec::with_capacity(CHUNK + 64 * 1024);
        text.extend_from_slice(title(messages.len()).as_bytes());
        for (id, bytes) in messages {
            let name = Name::fresh(*id, bytes.as_ref().len() as u64, post.expiry);
            text.extend_from_slice(format!("- {name}\n").as_bytes());
        }
        for (id, bytes) in messages {
            text.extend_from_slice(mark(*id).as_bytes());
            text.extend_from_slice(bytes.as_ref());
            if text.len() >= CHUNK {
                draft.write(&text)?;
                text.clear();
            }
        }
        draft.write(&text)?;
        // Each of them expires by itself.
        let post = Post {
            expiry: None,
            ..*post
        };
        match draft.deliver_as(SUFFIX, &post)? {
            Accepted::New => Ok(messages.len()),
            Accepted::Duplicate => Ok(0),
        }
    }
}

/// The messages of a bundle and where each begins; `None` when the list is not one, or does not
/// add up to `size`.
pub(super) fn index(file: &OwnedFd, size: u64) -> Sys<Option<Vec<(Name, u64)>>> {
    // The blank line after the title is the first, that after the list the second.
    let mut top = Vec::new();
    let end = loop {
        let blank = |from: usize| {
            let found = top.get(from..)?.windows(2).position(|two| two == b"\n\n");
            found.map(|at| from + at + 2)
        };
        if let Some(end) = blank(0).and_then(blank) {
            break end;
        }
        let known = top.len();
        top.resize(known + CHUNK.min(known.max(16 * 1024)), 0);
        let read = rustix::io::pread(file, &mut top[known..], known as u64)?;
        top.truncate(known + read);
        if read == 0 || top.len() > LIST {
            return Ok(None);
        }
    };
    Ok(std::str::from_utf8(&top[..end])
        .ok()
        .and_then(|text| listed(text, size)))
}

fn listed(top: &str, size: u64) -> Option<Vec<(Name, u64)>> {
    let (_, list) = top.split_once("\n\n")?;
    // The mark of the first message begins with the blank line.
    let mut at = top.len() as u64 - 1;
    let mut seen = HashSet::new();
    let mut parts = Vec::new();
    for line in list.trim_end_matches('\n').lines() {
        let part = Name::read(line.strip_prefix("- ")?.as_bytes())?;
        let fresh = part.attempts == 0 && part.lease.is_none() && seen.insert(part.id);
        if !fresh {
            return None;
        }
        at = at.checked_add(MARK)?;
        parts.push((part, at));
        at = at.checked_add(part.size)?;
    }
    (at == size && top.starts_with(&title(parts.len()))).then_some(parts)
}

/// Writes the messages of a bundle into a directory, as files of their own, and to the disk. False
/// when one of them is not where the list says.
pub(super) fn unpack(bundle: &OwnedFd, parts: &[(Name, u64)], dir: &OwnedFd) -> Sys<bool> {
    let Some((_, first)) = parts.first() else {
        return Ok(true);
    };
    rustix::fs::seek(bundle, rustix::fs::SeekFrom::Start(first - MARK))?;
    let mut text = BufReader::with_capacity(
        CHUNK,
        std::fs::File::from(bundle.try_clone().map_err(errno)?),
    );
    let mut before = [0; MARK as usize];
    let mut bytes = Vec::new();
    let mut files = Vec::with_capacity(parts.len());
    for (part, _) in parts {
        text.read_exact(&mut before).map_err(errno)?;
        if before != mark(part.id).as_bytes() {
            return Ok(false);
        }
        let file_name = part.to_string();
        let file = sys::create(dir.as_fd(), &file_name, Mode::RUSR)?;
        let mut left = part.size;
        while left > 0 {
            bytes.resize(left.min(CHUNK as u64) as usize, 0);
            text.read_exact(&mut bytes).map_err(errno)?;
            sys::write_all(file.as_fd(), &bytes)?;
            left -= bytes.len() as u64;
        }
        files.push(file_name);
    }
    deliver::barrier(dir, &files)?;
    Ok(true)
}

/// One message of a bundle as a file of its own, in memory, to be looked at.
pub(super) fn part(bundle: &OwnedFd, name: &Name, at: u64) -> Sys<OwnedFd> {
    let mut before = [0; MARK as usize];
    let start = at.checked_sub(MARK).ok_or(Errno::INVAL)?;
    let read = rustix::io::pread(bundle, &mut before, start)?;
    if before[..read] != *mark(name.id).as_bytes() {
        return Err(Errno::INVAL);
    }
    let file = sys::in_memory()?;
    let mut bytes = vec![0; name.size.min(CHUNK as u64) as usize];
    let mut done = 0;
    while done < name.size {
        let wanted = (name.size - done).min(CHUNK as u64) as usize;
        let read = rustix::io::pread(bundle, &mut bytes[..wanted], at + done)?;
        if read == 0 {
            return Err(Errno::INVAL);
        }
        sys::write_all(file.as_fd(), &bytes[..read])?;
        done += read as u64;
    }
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    Ok(file)
}

/// The bytes of one message of a bundle.
pub(super) fn bytes(bundle: &OwnedFd, name: &Name, at: u64) -> Sys<Vec<u8>> {
    let start = at.checked_sub(MARK).ok_or(Errno::INVAL)?;
    let mut bytes = vec![0; (MARK + name.size) as usize];
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::pread(bundle, &mut bytes[done..], start + done as u64)? {
            0 => return Err(Errno::INVAL),
            read => done += read,
        }
    }
    if !bytes.starts_with(mark(name.id).as_bytes()) {
        return Err(Errno::INVAL);
    }
    Ok(bytes.split_off(MARK as usize))
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::INVAL)
}
