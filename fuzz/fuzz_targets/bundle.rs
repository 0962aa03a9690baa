//! Any bytes stand in a mailbox as a bundle: it is taken apart whole or given up whole, what is handed
//! out stands in it behind its mark, and nothing stays behind.

#![no_main]

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sporekit::spool::{Host, Name, Receiver, Spool, Taken};

/// In memory where that is possible: taking a bundle apart waits for the disk.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let parent = match memory.is_dir() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    };
    parent.join(format!("fuzz-bundle-{}", std::process::id()))
});

fuzz_target!(|bytes: &[u8]| {
    let _ = fs::remove_dir_all(&*PLACE);
    fs::create_dir(&*PLACE).expect("a place");
    let mailbox = Spool::open_or_create(&PLACE.join("mail"))
        .expect("a spool")
        .create(&"kiro-1".parse().expect("a name"))
        .expect("a mailbox");
    let id = "00006924480012345-0001deadbeef00112233"
        .parse()
        .expect("an id");
    let name = Name::fresh(id, bytes.len() as u64, None);
    let file = mailbox.path().join("new").join(format!("{name}.bundle"));
    let mut how = OpenOptions::new();
    how.write(true).create_new(true).mode(0o400);
    how.open(file)
        .and_then(|mut file| file.write_all(bytes))
        .expect("a bundle");
    let listed = mailbox.list().expect("a listing").len();

    let mut receiver = Receiver::new(&mailbox, Host::here(), Duration::from_secs(60));
    let (mut handed, mut spent) = (0, 0);
    loop {
        match receiver.take().expect("taking works") {
            Taken::Message(mut claim) => {
                let mut text = format!("\n=== {}\n", claim.name.id).into_bytes();
                let mut message = claim.open().expect("its content");
                message.read_to_end(&mut text).expect("reading works");
                assert!(bytes.windows(text.len()).any(|part| part == text));
                handed += 1;
                receiver.ack(&claim).expect("acknowledging works");
            }
            Taken::Spent(claim, why) => {
                spent += 1;
                receiver
                    .bury(&claim, &why.to_string(), false)
                    .expect("giving up works");
            }
            Taken::Opening => panic!("nobody else is there"),
            Taken::Nothing => break,
        }
    }
    // Those that have expired are spent one by one; a bundle that is none is one thing.
    assert!(handed + spent == listed || (handed, spent) == (0, 1));
    for part in ["tmp", "new", "cur"] {
        let left = fs::read_dir(mailbox.path().join(part)).expect("a directory");
        assert_eq!(left.count(), 0, "{part}");
    }
    fs::remove_dir_all(&*PLACE).expect("it can be removed");
});
