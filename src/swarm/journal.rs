//! The journal: what happened, one line each, in the order in which it counts.
//!
//! | file | what |
//! |---|---|
//! | `journal/events.jsonl` | the events; only ever appended to |
//! | `journal/lock` | held while somebody reads the end and appends to it |
//!
//! A decision (is the task free? then claim it) and its event are one step: [`Journal::change`]
//! takes the lock, reads what is new, asks, appends with one `write(2)`, and lets go. The lock ends
//! with its process, so nobody waits for the dead.
//!
//! | killed or cut off … | leaves | and then |
//! |---|---|---|
//! | before the write | nothing | the event did not happen |
//! | within the write | a line without its end | readers pass it over; the next writer ends it, and a line that is no JSON is passed over for ever |
//! | after the write | the event | it happened; who asked may not know, and is told when asking again |
//! | power, before the sync | the file as it was, or a torn or empty end | as above; a claim lost in this way was held by a process that died with it |
//!
//! Events that say that work is over or that the plan changed are on disk (`fdatasync`) before
//! [`Journal::change`] returns; claims, runs and signs of life are not synced one by one, because a
//! power cut ends their holders too (what came of a run is in its own directory).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::{Error, Root, files};
use crate::event::{Effect, Event, State, What};

/// A journal and what was read of it so far.
#[derive(Debug)]
pub struct Journal {
    events: PathBuf,
    lock: PathBuf,
    state: State,
    /// Up to where `state` has been read: always the end of a line.
    offset: u64,
    /// Lines that were no events.
    torn: u64,
}

impl Journal {
    /// The journal of a swarm, read to its end. Makes nothing.
    pub fn read(root: &Root) -> Result<Journal, Error> {
        let mut journal = Journal {
            events: root.journal().join("events.jsonl"),
            lock: root.journal().join("lock"),
            state: State::default(),
            offset: 0,
            torn: 0,
        };
        journal.catch_up()?;
        Ok(journal)
    }

    /// The same for one who will write: makes the directory.
    pub fn open(root: &Root) -> Result<Journal, Error> {
        root.make_dir(&root.journal())?;
        Journal::read(root)
    }

    /// What the events read so far add up to.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How many lines so far were no events: ends of writes that were cut off.
    pub fn torn(&self) -> u64 {
        self.torn
    }

    /// Where the events are, for those who wait for news of it.
    pub fn file(&self) -> &std::path::Path {
        &self.events
    }

    /// Reads what was appended since; the last line counts once its newline is there.
    pub fn catch_up(&mut self) -> Result<(), Error> {
        let mut file = match File::open(&self.events) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::at(&self.events)(error)),
        };
        self.read_on(&mut file, |_| ())
            .map_err(Error::at(&self.events))
    }

    /// Hands every event of the journal from its beginning to `each`, in order.
    pub fn replay(&self, mut each: impl FnMut(&Event)) -> Result<(), Error> {
        let mut again = Journal {
            events: self.events.clone(),
            lock: self.lock.clone(),
            state: State::default(),
            offset: 0,
            torn: 0,
        };
        match File::open(&self.events) {
            Ok(mut file) => again
                .read_on(&mut file, |event| each(event))
                .map_err(Error::at(&self.events)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::at(&self.events)(error)),
        }
    }

    /// Decides and records in one step: nobody else appends between what `decide` sees and what it
    /// answers. Each event comes back with whether it had an effect; also one without is recorded.
    pub fn change<T>(
        &mut self,
        decide: impl FnOnce(&State) -> (Vec<Event>, T),
    ) -> Result<(Vec<Effect>, T), Error> {
        let _held = files::lock(&self.lock).map_err(Error::at(&self.lock))?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let new = !self.events.exists();
        let events = self.events.clone();
        let failed = || Error::at(&events);
        let mut file = files::open_private(&mut options, &self.events).map_err(failed())?;
        end_the_last_line(&mut file).map_err(failed())?;
        self.read_on(&mut file, |_| ()).map_err(failed())?;

        let (made, answer) = decide(&self.state);
        let text: String = made.iter().map(|event| event.line() + "\n").collect();
        let before = self.offset;
        file.write_all(text.as_bytes()).map_err(|error| {
            // A full disk took a part of it: away with that, while nobody else writes.
            drop(file.set_len(before));
            Error::at(&events)(error)
        })?;
        self.offset += text.len() as u64;
        if made.iter().any(|event| must_last(&event.what)) {
            file.sync_data().map_err(failed())?;
        }
        if new && let Some(directory) = events.parent() {
            files::sync_dir(directory).map_err(failed())?;
        }
        let effects = made.iter().map(|event| self.state.apply(event)).collect();
        Ok((effects, answer))
    }

    /// Applies the whole lines from `offset` on.
    fn read_on(&mut self, file: &mut File, mut each: impl FnMut(&Event)) -> io::Result<()> {
        if file.metadata()?.len() == self.offset {
            return Ok(());
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        for line in bytes[..whole].split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            match std::str::from_utf8(line).ok().and_then(Event::read) {
                Some(event) => {
                    self.state.apply(&event);
                    each(&event);
                }
                None => self.torn += 1,
            }
        }
        self.offset += whole as u64;
        Ok(())
    }
}

/// Ends a line that a killed writer left without its end, so that the next one begins its own.
fn end_the_last_line(file: &mut File) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// Whether the event must survive a power cut once it was reported.
fn must_last(what: &What) -> bool {
    !matches!(
        what,
        What::Claimed { .. }
            | What::Renewed { .. }
            | What::PathClaimed { .. }
            | What::PathReleased { .. }
            | What::RunBegan { .. }
            | What::RunAlive { .. }
            | What::RunEnded { .. }
            | What::Other { .. }
    )
}

/// The time now as events carry it: RFC 3339, UTC, milliseconds.
pub fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::swarm::root::Options;

    fn swarm() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::find(&Options {
            start: dir.path().to_owned(),
            root: Some("app.swarm".into()),
        })
        .unwrap();
        (dir, root)
    }

    fn joined(agent: &str, epoch: u64) -> Event {
        Event {
            at: now(),
            correlation_id: "c".to_owned(),
            what: What::Joined {
                agent: agent.to_owned(),
                epoch,
            },
        }
    }

    #[test]
    fn sixteen_writers_at_once_lose_nothing_and_take_every_number_once() {
        let (_dir, root) = swarm();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let mut journal = Journal::open(&root).unwrap();
                    for _ in 0..10 {
                        let (effects, ()) = journal
                            .change(|state| {
                                let last = state.agents.get("a").map_or(0, |agent| agent.epoch);
                                (vec![joined("a", last + 1)], ())
                            })
                            .unwrap();
                        assert_eq!(effects, [Effect::Applied]);
                    }
                });
            }
        });
        let journal = Journal::read(&root).unwrap();
        assert_eq!(journal.state().agents["a"].epoch, 160);
        assert_eq!(journal.torn(), 0);
        let mut seen = Vec::new();
        journal
            .replay(|event| seen.push(event.what.clone()))
            .unwrap();
        assert_eq!(seen.len(), 160);
    }

    #[test]
    fn a_torn_last_line_is_passed_over_and_the_next_event_stands_on_its_own_line() {
        let (_dir, root) = swarm();
        let mut journal = Journal::open(&root).unwrap();
        journal.change(|_| (vec![joined("a", 1)], ())).unwrap();
        let whole = fs::read(journal.file()).unwrap();
        let line = joined("b", 1).line();
        for cut in 1..=line.len() {
            fs::write(
                journal.file(),
                [&whole[..], &line.as_bytes()[..cut]].concat(),
            )
            .unwrap();
            let reader = Journal::read(&root).unwrap();
            assert_eq!(
                reader.state().agents.len(),
                1,
                "an end without newline does not count"
            );
            let mut writer = Journal::open(&root).unwrap();
            let (effects, ()) = writer.change(|_| (vec![joined("c", 1)], ())).unwrap();
            assert_eq!(effects, [Effect::Applied]);
            let agents = Journal::read(&root).unwrap();
            assert!(agents.state().agents.contains_key("c"), "cut at {cut}");
            assert_eq!(agents.torn(), u64::from(cut < line.len()));
            assert_eq!(writer.state(), agents.state());
        }
    }

    #[test]
    fn a_reader_sees_only_what_is_new_and_no_journal_is_an_empty_one() {
        let (_dir, root) = swarm();
        let mut reader = Journal::read(&root).unwrap();
        assert_eq!(reader.state(), &State::default());
        let mut writer = Journal::open(&root).unwrap();
        for epoch in 1..4 {
            writer.change(|_| (vec![joined("a", epoch)], ())).unwrap();
            reader.catch_up().unwrap();
            assert_eq!(reader.state(), writer.state());
        }
        fs::remove_dir_all(root.journal()).unwrap();
        assert_eq!(Journal::read(&root).unwrap().state(), &State::default());
    }
}
