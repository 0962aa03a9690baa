//! git's index file (gitformat-index(5), versions 2 and 3), as far as filling a tree needs it: where
//! each entry stands, and new stat data in place of the old. Everything else is kept byte for byte.

use std::path::Path;

use super::Error;

/// The stat data of one entry, as git stores it: each number cut to 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Seconds and nanoseconds of the last change of the inode.
    pub ctime: (u32, u32),
    /// Seconds and nanoseconds of the last change of the content.
    pub mtime: (u32, u32),
    /// Device.
    pub dev: u32,
    /// Inode number.
    pub ino: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u32,
}

impl Stat {
    /// Of a file on disk.
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
    pub fn of(stat: &rustix::fs::Stat) -> Stat {
        Stat {
            ctime: (stat.st_ctime as u32, stat.st_ctime_nsec as u32),
            mtime: (stat.st_mtime as u32, stat.st_mtime_nsec as u32),
            dev: stat.st_dev as u32,
            ino: stat.st_ino as u32,
            uid: stat.st_uid as u32,
            gid: stat.st_gid as u32,
            size: stat.st_size as u32,
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A file that may be executed.
    Executable,
    /// A symbolic link.
    Link,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the tree.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The id of its content.
    pub oid: [u8; 20],
    /// The stat data that is stored with it.
    pub stat: Stat,
    offset: usize,
}

/// An index that was read.
#[derive(Debug, Clone)]
pub struct Index {
    bytes: Vec<u8>,
    /// Where the extensions begin.
    extensions: usize,
    /// Its entries, sorted by path.
    pub entries: Vec<Entry>,
}

impl Index {
    /// Reads an index; none if it holds anything that is better left to git: another version or
    /// hash, conflicts, sparse or intended entries, submodules, extensions tied to one tree.
    pub fn read(path: &Path) -> Result<Option<Index>, Error> {
        let bytes = std::fs::read(path).map_err(Error::at(path))?;
        Ok(Index::parse(bytes))
    }

    /// The same from bytes.
    pub fn parse(bytes: Vec<u8>) -> Option<Index> {
        let end = bytes.len().checked_sub(20)?;
        if bytes.get(..4)? != b"DIRC" || !matches!(word(&bytes, 4)?, 2 | 3) {
            return None;
        }
        let count = word(&bytes, 8)? as usize;
        let mut entries = Vec::with_capacity(count.min(bytes.len() / 62));
        let mut offset = 12;
        for _ in 0..count {
            let (entry, length) = entry(&bytes[..end], offset)?;
            entries.push(entry);
            offset += length;
        }
        let extensions = offset;
        while offset < end {
            // A capital first letter: may be ignored, so it may also be copied; TREE and REUC are
            // about content only. The others are about one working tree.
            if !matches!(
                bytes.get(offset..offset + 4)?,
                b"TREE" | b"REUC" | b"EOIE" | b"IEOT"
            ) {
                return None;
            }
            offset = offset.checked_add(8 + word(&bytes, offset + 4)? as usize)?;
        }
        (offset == end).then_some(Index {
            bytes,
            extensions,
            entries,
        })
    }

    /// The tree that the whole index makes, if it remembers one: then nothing is staged that this tree
    /// does not have.
    pub fn root_tree(&self) -> Option<[u8; 20]> {
        let end = self.bytes.len().checked_sub(20)?;
        let mut offset = self.extensions;
        while offset < end {
            let length = word(&self.bytes, offset + 4)? as usize;
            if self.bytes.get(offset..offset + 4)? == b"TREE" {
                // The root's record: an empty path, "COUNT SUBTREES\n", the id unless COUNT is -1.
                let record = self.bytes.get(offset + 8..offset + 8 + length)?;
                let line = record.iter().position(|byte| *byte == b'\n')?;
                let valid = record.first() == Some(&0) && record.get(1) != Some(&b'-');
                let oid = record.get(line + 1..line + 21)?;
                return oid.try_into().ok().filter(|_| valid);
            }
            offset = offset.checked_add(8 + length)?;
        }
        None
    }

    /// The same index with other stat data, one for each entry in order, and its checksum.
    pub fn with_stats(&self, stats: &[Stat]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for (entry, stat) in self.entries.iter().zip(stats) {
            let words = [
                (0, stat.ctime.0),
                (4, stat.ctime.1),
                (8, stat.mtime.0),
                (12, stat.mtime.1),
                (16, stat.dev),
                (20, stat.ino),
                (28, stat.uid),
                (32, stat.gid),
                (36, stat.size),
            ];
            for (place, word) in words {
                let at = entry.offset + place;
                bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
            }
        }
        let end = bytes.len() - 20;
        let sum = sha1(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum);
        bytes
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    four.try_into().ok().map(u32::from_be_bytes)
}

/// The entry at `offset` and the number of bytes it takes; none if git should handle it.
fn entry(bytes: &[u8], offset: usize) -> Option<(Entry, usize)> {
    const EXTENDED: u16 = 0x4000;
    const STAGE: u16 = 0x3000;
    const ASSUME_VALID: u16 = 0x8000;
    let at = |place: usize| word(bytes, offset + place);
    let flags = u16::from_be_bytes(bytes.get(offset + 60..offset + 62)?.try_into().ok()?);
    if flags & (EXTENDED | STAGE | ASSUME_VALID) != 0 {
        return None;
    }
    let kind = match at(24)? {
        0o100_644 => Kind::File,
        0o100_755 => Kind::Executable,
        0o120_000 => Kind::Link,
        _ => return None,
    };
    let rest = bytes.get(offset + 62..)?;
    let length = rest.iter().position(|byte| *byte == 0)?;
    let entry = Entry {
        path: rest[..length].to_vec(),
        kind,
        oid: bytes.get(offset + 40..offset + 60)?.try_into().ok()?,
        stat: Stat {
            ctime: (at(0)?, at(4)?),
            mtime: (at(8)?, at(12)?),
            dev: at(16)?,
            ino: at(20)?,
            uid: at(28)?,
            gid: at(32)?,
            size: at(36)?,
        },
        offset,
    };
    // Padded with one to eight zero bytes to a multiple of eight.
    Some((entry, (62 + length + 8) & !7))
}

/// SHA-1 (FIPS 180-4), for the checksum at the end of an index; not for anything that must resist
/// an attacker.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    let blocks = bytes.chunks_exact(64);
    let mut tail = blocks.remainder().to_vec();
    blocks.for_each(|block| sha1_block(&mut state, block));
    tail.push(0x80);
    while tail.len() % 64 != 56 {
        tail.push(0);
    }
    tail.extend((bytes.len() as u64 * 8).to_be_bytes());
    tail.chunks_exact(64)
        .for_each(|block| sha1_block(&mut state, block));
    let mut sum = [0; 20];
    for (place, word) in sum.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    sum
}

fn sha1_block(state: &mut [u32; 5], block: &[u8]) {
    let mut w = [0_u32; 80];
    for (i, four) in block.chunks_exact(4).enumerate() {
        w[i] = u32::from_be_bytes([four[0], four[1], four[2], four[3]]);
    }
    for i in 16..80 {
        w[i] = (w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (i, word) in w.into_iter().enumerate() {
        let (f, k) = match i / 20 {
            0 => ((b & c) | (!b & d), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6_u32),
        };
        let next = a
            .rotate_left(5)
            .wrapping_add(f)
            .wrapping_add(e)
            .wrapping_add(k)
            .wrapping_add(word);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (sum, word) in state.iter_mut().zip([a, b, c, d, e]) {
        *sum = sum.wrapping_add(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha1_agrees_with_the_examples_of_the_standard() {
        let hex = |bytes: &[u8]| sha1(bytes).map(|b| format!("{b:02x}")).concat();
        assert_eq!(hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(b""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(
            hex(&[b'a'; 1_000_000]),
            "34aa973cd4c4daa4f61eeb2bdbad27316534016f"
        );
    }

    #[test]
    fn a_torn_index_is_left_to_git() {
        assert!(Index::parse(b"DIRC\0\0\0\x02\0\0\0\x05".to_vec()).is_none());
        assert!(Index::parse(Vec::new()).is_none());
        assert!(Index::parse(vec![0xff; 300]).is_none());
    }
}
