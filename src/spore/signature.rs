//! The signature block of a spore: the last lines of the file, over everything before it.
//!
//! ````text
//! ## 🧬 Spore Signature
//!
//! ```ssh-signature
//! -----BEGIN SSH SIGNATURE-----
//! …
//! -----END SSH SIGNATURE-----
//! ```
//! ````
//!
//! The form is that of `ssh-keygen -Y sign` with the namespace [`NAMESPACE`] (PROTOCOL.sshsig of
//! OpenSSH), as git uses it for commits. What is signed are the bytes of the file before the blank
//! line above the heading, title and headers among them.

/// What the signature is for: one made for another use does not count.
pub const NAMESPACE: &str = "spore";

const START: &str = "\n## 🧬 Spore Signature\n\n```ssh-signature\n";
const END: &str = "```\n";
const FIRST: &str = "-----BEGIN SSH SIGNATURE-----\n";
const LAST: &str = "-----END SSH SIGNATURE-----\n";

/// The spore with its signature; `None` when the text is none, or the spore has no last newline.
pub fn attach(spore: &[u8], armored: &str) -> Option<Vec<u8>> {
    let whole = armored.starts_with(FIRST) && armored.ends_with(LAST) && !armored.contains('`');
    (whole && spore.ends_with(b"\n")).then(|| {
        let block = [START, armored, END].concat();
        [spore, block.as_bytes()].concat()
    })
}

/// The bytes that are signed, and the signature; `None` for a spore without one at its end.
pub fn split(spore: &[u8]) -> Option<(&[u8], &str)> {
    let rest = spore.strip_suffix(END.as_bytes())?;
    let at = rest
        .windows(START.len())
        .rposition(|window| window == START.as_bytes())?;
    let armored = std::str::from_utf8(&rest[at + START.len()..]).ok()?;
    let whole = armored.starts_with(FIRST) && armored.ends_with(LAST);
    whole.then_some((&spore[..at], armored))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ARMORED: &str = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n";

    proptest! {
        #[test]
        fn what_was_attached_is_split_off_again(mut spore in proptest::collection::vec(any::<u8>(), 0..300)) {
            spore.push(b'\n');
            let signed = attach(&spore, ARMORED).unwrap();
            prop_assert_eq!(split(&signed), Some((spore.as_slice(), ARMORED)));
        }

        #[test]
        fn any_bytes_are_split_or_not(spore in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some((before, armored)) = split(&spore) {
                prop_assert_eq!(attach(before, armored), Some(spore.clone()));
            }
        }
    }

    #[test]
    fn only_a_block_at_the_end_is_a_signature() {
        let signed = attach(b"# Spore: x\n", ARMORED).unwrap();
        assert!(split(&[signed.as_slice(), b"more\n"].concat()).is_none());
        assert!(split(b"# Spore: x\n").is_none());
        assert!(attach(b"no newline", ARMORED).is_none());
        assert!(attach(b"x\n", "not a signature").is_none());
        // Signed twice, the outer one counts, and it covers the inner one.
        let twice = attach(&signed, ARMORED).unwrap();
        assert_eq!(split(&twice).unwrap().0, signed);
    }
}
