//! When a swarm moves from files to a bus and back: a rule over measured traffic, without a clock
//! or a disk, so that it can be read and tested.
//!
//! To the bus, when in [`OF`] of the last [`LAST`] minutes one of these holds: the busiest second
//! has more than half of what files carry; messages wait longer than is allowed; a mailbox holds
//! more than [`DEEP`] messages; more than one send in a thousand fails. Back to files, when the bus
//! has been away for [`AWAY`] seconds, or when for [`QUIET`] minutes nothing came near a quarter of
//! what files carry. Never within [`REST`] seconds of the last move, but for a bus that is away.

/// So many of the last minutes must show the need.
pub const OF: usize = 3;
/// Of so many minutes.
pub const LAST: usize = 5;
/// So many minutes must be quiet before it goes back.
pub const QUIET: usize = 30;
/// A mailbox with more messages is deep.
pub const DEEP: u64 = 10_000;
/// A bus that is away for so many seconds is left.
pub const AWAY: u64 = 30;
/// So many seconds pass between two moves.
pub const REST: u64 = 120;
/// Messages that files carry in a second, durable, from many senders (BENCHMARKS.md, Mailboxes).
pub const FILES_CARRY: u64 = 2_000;

/// What was measured in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Minute {
    /// The most messages sent in one of its seconds.
    pub peak: u64,
    /// Calls of senders.
    pub sends: u64,
    /// Those that failed.
    pub failed: u64,
    /// 99 of 100 messages were received within this many milliseconds of being sent.
    pub waited_ms: u64,
    /// The most messages that stood in one mailbox.
    pub depth: u64,
}

/// Where a swarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Files.
    Files,
    /// The bus that it is to use.
    Bus,
}

/// All that the decision depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// Where the swarm is.
    pub on: On,
    /// Seconds since it was last moved.
    pub rested: u64,
    /// For how many seconds the bus has been away; nothing when it works.
    pub away: Option<u64>,
    /// The longest that messages may wait, in milliseconds, if somebody said so.
    pub may_wait_ms: Option<u64>,
    /// The last minutes, newest first; a minute without traffic is all zero.
    pub minutes: Vec<Minute>,
}

/// What to do, and the figures it follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// Nothing.
    Stay,
    /// Move to the bus.
    ToBus(String),
    /// Move to files.
    ToFiles(String),
}

/// Decides.
pub fn advise(now: &Situation) -> Advice {
    if now.on == On::Bus {
        if let Some(away) = now.away.filter(|away| *away >= AWAY) {
            return Advice::ToFiles(format!("the bus has been away for {away} s"));
        }
        let quiet = |minute: &&Minute| minute.peak < FILES_CARRY / 4 && minute.depth < DEEP / 4;
        let calm = now.minutes.iter().take(QUIET).filter(quiet).count();
        return match calm == QUIET && now.rested >= REST {
            false => Advice::Stay,
            true => {
                let peak = now
                    .minutes
                    .iter()
                    .take(QUIET)
                    .map(|m| m.peak)
                    .max()
                    .unwrap_or(0);
                Advice::ToFiles(format!(
                    "for {QUIET} minutes at most {peak} messages in a second; files carry {FILES_CARRY}"
                ))
            }
        };
    }
    if now.rested < REST || now.away.is_some() {
        return Advice::Stay;
    }
    let needs: Vec<String> = now
        .minutes
        .iter()
        .take(LAST)
        .filter_map(|minute| need(minute, now.may_wait_ms))
        .collect();
    match needs.first() {
        Some(why) if needs.len() >= OF => {
            Advice::ToBus(format!("{why} ({} of {LAST} minutes)", needs.len()))
        }
        _ => Advice::Stay,
    }
}

/// Why this minute needs a bus, if it does.
fn need(minute: &Minute, may_wait_ms: Option<u64>) -> Option<String> {
    let Minute {
        peak,
        sends,
        failed,
        waited_ms,
        depth,
    } = *minute;
    if peak > FILES_CARRY / 2 {
        return Some(format!(
            "{peak} messages in a second; files carry {FILES_CARRY}"
        ));
    }
    if let Some(may) = may_wait_ms.filter(|may| waited_ms > *may) {
        return Some(format!(
            "messages waited {waited_ms} ms; {may} ms are allowed"
        ));
    }
    if depth > DEEP {
        return Some(format!("a mailbox holds {depth} messages"));
    }
    if failed * 1000 > sends && failed > 0 {
        return Some(format!("{failed} of {sends} sends failed"));
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn files(minutes: &[Minute]) -> Situation {
        Situation {
            on: On::Files,
            rested: REST,
            away: None,
            may_wait_ms: Some(1000),
            minutes: minutes.to_vec(),
        }
    }

    fn peak(peak: u64) -> Minute {
        Minute {
            peak,
            sends: peak,
            ..Minute::default()
        }
    }

    #[test]
    fn three_busy_minutes_of_five_move_it_and_two_do_not() {
        let (busy, calm) = (peak(1001), peak(1000));
        let two = files(&[busy, calm, busy, calm, calm, busy, busy]);
        assert_eq!(advise(&two), Advice::Stay);
        let three = files(&[busy, calm, busy, calm, busy]);
        let Advice::ToBus(why) = advise(&three) else {
            panic!("it stays")
        };
        assert!(why.contains("1001") && why.contains("3 of 5"), "{why}");
        assert_eq!(
            advise(&Situation {
                rested: REST - 1,
                ..three.clone()
            }),
            Advice::Stay
        );
        assert_eq!(
            advise(&Situation {
                away: Some(0),
                ..three
            }),
            Advice::Stay
        );
    }

    #[test]
    fn every_need_is_one() {
        let slow = Minute {
            waited_ms: 1001,
            ..peak(1)
        };
        let deep = Minute {
            depth: DEEP + 1,
            ..peak(1)
        };
        let failing = Minute {
            sends: 999,
            failed: 1,
            ..Minute::default()
        };
        for minute in [slow, deep, failing] {
            assert!(
                matches!(advise(&files(&[minute; 3])), Advice::ToBus(_)),
                "{minute:?}"
            );
        }
        let nobody_said = Situation {
            may_wait_ms: None,
            ..files(&[slow; 5])
        };
        assert_eq!(advise(&nobody_said), Advice::Stay);
        let rare = Minute {
            sends: 1000,
            failed: 1,
            ..Minute::default()
        };
        assert_eq!(advise(&files(&[rare; 5])), Advice::Stay);
    }

    #[test]
    fn it_goes_back_when_the_bus_is_away_or_the_need_is_gone() {
        let on = |minutes: &[Minute], away, rested| {
            let on = On::Bus;
            advise(&Situation {
                on,
                away,
                rested,
                ..files(minutes)
            })
        };
        assert!(matches!(on(&[], Some(AWAY), 0), Advice::ToFiles(_)));
        assert_eq!(on(&[], Some(AWAY - 1), REST), Advice::Stay);
        assert!(matches!(
            on(&[peak(499); QUIET], None, REST),
            Advice::ToFiles(_)
        ));
        assert_eq!(on(&[peak(499); QUIET], None, REST - 1), Advice::Stay);
        assert_eq!(on(&[peak(499); QUIET - 1], None, REST), Advice::Stay);
        let mut one_busy = [peak(1); QUIET];
        one_busy[QUIET - 1] = peak(500);
        assert_eq!(on(&one_busy, None, REST), Advice::Stay);
    }

    proptest! {
        #[test]
        fn no_traffic_makes_it_go_to_and_fro(
            peaks in proptest::collection::vec(0u64..5000, QUIET),
            rested in 0u64..1000,
        ) {
            // What moves it to the bus never moves it back by the same figures.
            let minutes: Vec<Minute> = peaks.into_iter().map(peak).collect();
            let there = Situation { rested, ..files(&minutes) };
            if matches!(advise(&there), Advice::ToBus(_)) {
                let back = Situation { on: On::Bus, ..there };
                prop_assert_eq!(advise(&back), Advice::Stay);
            }
        }
    }
}
