//! Ticking boxes: the one change we make to a list, one byte a box.

use std::collections::BTreeSet;

/// The bytes of a Markdown list with the boxes on `lines` (from 1) ticked, or which line has no
/// box. Nothing but the character between the brackets changes; a box that is ticked stays.
///
/// # Errors
/// The first line that holds no box.
pub fn tick(bytes: &[u8], lines: &BTreeSet<u32>) -> Result<Vec<u8>, u32> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut wanted = lines.iter().copied().peekable();
    let mut number = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        number += 1;
        if wanted.peek() != Some(&number) {
            out.extend_from_slice(line);
            continue;
        }
        wanted.next();
        let at = state_at(line).ok_or(number)?;
        let end = line[at..]
            .iter()
            .position(|byte| *byte == b']')
            .ok_or(number)?;
        if matches!(&line[at..at + end], b"x" | b"X") {
            out.extend_from_slice(line);
            continue;
        }
        out.extend_from_slice(&line[..at]);
        out.push(b'x');
        out.extend_from_slice(&line[at + end..]);
    }
    match wanted.next() {
        Some(beyond) => Err(beyond),
        None => Ok(out),
    }
}

/// Where the state of the first box of a line begins.
fn state_at(line: &[u8]) -> Option<usize> {
    line.windows(3)
        .position(|three| matches!(three, [b'-' | b'*' | b'+', b' ', b'[']))
        .map(|at| at + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_state_changes() {
        let list = b"\xef\xbb\xbf# t\r\n- [ ] 1. a\r\n\t* [-]* 1.1 \xff [ ]\r\n- [X] 2. b";
        let ticked = tick(list, &BTreeSet::from([2, 3, 4])).unwrap();
        assert_eq!(
            ticked,
            b"\xef\xbb\xbf# t\r\n- [x] 1. a\r\n\t* [x]* 1.1 \xff [ ]\r\n- [X] 2. b"
        );
        assert_eq!(tick(&ticked, &BTreeSet::from([2])).unwrap(), ticked);
        assert_eq!(tick(list, &BTreeSet::from([1])), Err(1));
        assert_eq!(tick(list, &BTreeSet::from([9])), Err(9));
    }
}
