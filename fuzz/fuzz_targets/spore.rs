//! Any bytes are a spore: reading never fails, and what was read is written and read back the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sporekit::spore::{self, Headers, envelope};

fuzz_target!(|bytes: &[u8]| {
    let first = spore::read(bytes);
    assert_eq!(first.places.len(), first.spore.parts.len());
    let text = spore::write(&first.spore).expect("what was read can be written");
    let again = spore::read(text.as_bytes());
    assert!(again.notes.is_empty(), "the strict text needs no repair");
    assert_eq!(again.spore, first.spore);
    assert_eq!(spore::write(&again.spore).as_deref(), Ok(&*text));

    // What mailboxes do: the head alone, a body wrapped, a spore addressed anew.
    let head = envelope::head(bytes);
    let headers = Headers {
        id: Some("m-1".into()),
        ..head.headers.clone()
    };
    let subject = head.subject.as_deref();
    if let Ok(readdressed) = envelope::readdress(bytes, &head, subject, &headers, &head.extra) {
        assert_eq!(
            spore::read(&readdressed).spore.headers.id.as_deref(),
            Some("m-1")
        );
    }
    let wrapped = envelope::wrap(Some("s"), &headers, &[], bytes);
    if let (Ok(wrapped), true) = (wrapped, std::str::from_utf8(bytes).is_ok()) {
        assert_eq!(spore::read(&wrapped).spore.headers, headers);
    }
});
