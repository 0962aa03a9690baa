//! Points in time and lengths of time as the wire spells them (pydantic 2.14 in lax mode).

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};

/// Why a text or number is no time, or no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {why}")]
pub struct TimeError {
    what: &'static str,
    text: String,
    why: &'static str,
}

/// What stands behind the digits of a [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zone {
    /// Nothing: local time of an unknown place, which is kept so.
    Naive,
    /// A distance from UTC in minutes; 0 is written `Z`.
    Utc(i16),
}

/// A point in time to the microsecond, with or without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timestamp {
    civil: DateTime,
    zone: Zone,
}

impl Timestamp {
    /// A time by its digits; parts below a microsecond are cut.
    pub fn new(civil: DateTime, zone: Zone) -> Timestamp {
        let micros = civil.subsec_nanosecond() / 1000 * 1000;
        let time = civil.time().with().subsec_nanosecond(micros).build();
        Timestamp {
            civil: time.map_or(civil, |time| civil.date().to_datetime(time)),
            zone,
        }
    }

    /// Seconds and microseconds since 1970 in UTC; `None` outside the years 1 to 9999.
    pub fn from_unix(seconds: i64, micros: u32) -> Option<Timestamp> {
        let nanos = i32::try_from(micros).ok()?.checked_mul(1000)?;
        let since = SignedDuration::new(seconds, nanos);
        let civil = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        let civil = civil.checked_add(since).ok()?;
        (civil.year() >= 1).then_some(Timestamp {
            civil,
            zone: Zone::Utc(0),
        })
    }

    /// Microseconds since 1970, a naive time taken as UTC: for sorting and distances.
    pub fn unix_micros(&self) -> i64 {
        let offset = match self.zone {
            Zone::Naive => 0,
            Zone::Utc(minutes) => i64::from(minutes) * 60_000_000,
        };
        let days = (self.civil.date() - Date::constant(1970, 1, 1)).get_days();
        let time = self.civil.time();
        let seconds = i64::from(time.hour()) * 3600
            + i64::from(time.minute()) * 60
            + i64::from(time.second());
        let micros = i64::from(time.subsec_nanosecond() / 1000);
        i64::from(days) * 86_400_000_000 + seconds * 1_000_000 + micros - offset
    }

    /// The digits.
    pub fn civil(&self) -> DateTime {
        self.civil
    }

    /// The zone.
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// The same instant in UTC; a naive time is taken as UTC.
    pub fn to_utc(self) -> Timestamp {
        let micros = self.unix_micros();
        Timestamp::from_unix(
            micros.div_euclid(1_000_000),
            micros.rem_euclid(1_000_000) as u32,
        )
        .unwrap_or(self)
    }

    /// A JSON number: seconds since 1970 up to 20,000,000,000, milliseconds above that.
    pub(crate) fn from_number(text: &str) -> Result<Timestamp, TimeError> {
        let wrong = |why| TimeError {
            what: "a time",
            text: text.to_owned(),
            why,
        };
        const WATERSHED: u64 = 20_000_000_000;
        let (whole, part) = match text.parse::<i64>() {
            Ok(whole) => (whole, 0.0),
            // With a fraction it is a 64-bit float, as in the reference. One beyond the range
            // becomes the largest integer, which is out of range too.
            Err(_) if text.contains(['.', 'e', 'E']) => {
                let float: f64 = text.parse().map_err(|_| wrong("it is no number"))?;
                (float.floor() as i64, float - float.floor())
            }
            Err(_) => return Err(wrong("it is out of range")),
        };
        let above =
            whole.unsigned_abs() > WATERSHED || whole.unsigned_abs() == WATERSHED && part > 0.0;
        let (seconds, micros) = if above {
            let micros = whole.rem_euclid(1000) * 1000 + (part * 1e3).round() as i64;
            (whole.div_euclid(1000), micros)
        } else {
            (whole, (part * 1e6).round() as i64)
        };
        let whole = seconds.checked_add(micros / 1_000_000);
        whole
            .and_then(|whole| Timestamp::from_unix(whole, (micros % 1_000_000) as u32))
            .ok_or(wrong("it is out of range"))
    }
}

impl Timestamp {
    /// Appends it as on the wire.
    pub(crate) fn write(&self, out: &mut String) {
        let (date, time) = (self.civil.date(), self.civil.time());
        // 2026-11-23T09:15:00.123456+00:00
        let mut text = *b"0000-00-00T00:00:00.000000+00:00";
        let mut put = |from: usize, to: usize, number: i32| {
            let mut rest = number.unsigned_abs();
            for digit in text[from..to].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        };
        put(0, 4, i32::from(date.year()));
        put(5, 7, i32::from(date.month()));
        put(8, 10, i32::from(date.day()));
        put(11, 13, i32::from(time.hour()));
        put(14, 16, i32::from(time.minute()));
        put(17, 19, i32::from(time.second()));
        let micros = time.subsec_nanosecond() / 1000;
        put(20, 26, micros);
        let end = if micros == 0 { 19 } else { 26 };
        let zone = match self.zone {
            Zone::Naive => "",
            Zone::Utc(0) => "Z",
            Zone::Utc(minutes) => {
                put(27, 29, i32::from(minutes) / 60);
                put(30, 32, i32::from(minutes) % 60);
                if minutes < 0 {
                    text[26] = b'-';
                }
                std::str::from_utf8(&text[26..]).unwrap_or_default()
            }
        };
        out.push_str(std::str::from_utf8(&text[..end]).unwrap_or_default());
        out.push_str(zone);
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(32);
        self.write(&mut text);
        f.write_str(&text)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// Everything that the reference reads: `T`, `t`, `_` or a blank between date and time, seconds
    /// optional, `.` or `,` before the fraction, `Z`, `±HH:MM`, `±HHMM`, a date alone, a number.
    fn from_str(text: &str) -> Result<Timestamp, TimeError> {
        if !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'))
        {
            let dashes = text.bytes().skip(1).filter(|b| *b == b'-').count();
            if dashes == 0 {
                return Timestamp::from_number(text.strip_prefix('+').unwrap_or(text));
            }
        }
        let wrong = |why| TimeError {
            what: "a time",
            text: text.to_owned(),
            why,
        };
        let mut scan = Scan { rest: text };
        let date = scan.date().ok_or(wrong("write YYYY-MM-DDTHH:MM:SSZ"))?;
        let date = Date::new(date.0, date.1, date.2).map_err(|_| wrong("there is no such day"))?;
        if date.year() < 1 {
            return Err(wrong("there is no year 0"));
        }
        if scan.rest.is_empty() {
            return Ok(Timestamp {
                civil: date.to_datetime(Time::midnight()),
                zone: Zone::Naive,
            });
        }
        if !scan.any(&['T', 't', '_', ' ']) {
            return Err(wrong("T belongs between date and time"));
        }
        let (hour, minute, second, micros) = scan
            .clock()
            .ok_or(wrong("the time of day is not HH:MM:SS"))?;
        let time = Time::new(hour, minute, second, micros * 1000)
            .map_err(|_| wrong("there is no such time of day"))?;
        let zone = scan.zone().ok_or(wrong("the zone is not Z or ±HH:MM"))?;
        Ok(Timestamp {
            civil: date.to_datetime(time),
            zone,
        })
    }
}

/// A cursor over the text of a time.
struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn any(&mut self, wanted: &[char]) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The digits that stand here, at least one.
    fn number(&mut self) -> Option<&'a str> {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        (length > 0).then_some(digits)
    }

    fn digits(&mut self, count: usize) -> Option<i32> {
        let digits = self.rest.get(..count)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.rest = &self.rest[count..];
        Some(value(digits.bytes()))
    }

    fn date(&mut self) -> Option<(i16, i8, i8)> {
        let year = self.digits(4)?;
        self.any(&['-']).then_some(())?;
        let month = self.digits(2)?;
        self.any(&['-']).then_some(())?;
        Some((year as i16, month as i8, self.digits(2)? as i8))
    }

    /// Hour, minute, second, microseconds.
    fn clock(&mut self) -> Option<(i8, i8, i8, i32)> {
        let hour = self.digits(2)?;
        self.any(&[':']).then_some(())?;
        let minute = self.digits(2)?;
        let (mut second, mut micros) = (0, 0);
        if self.any(&[':']) {
            second = self.digits(2)?;
            if second > 59 {
                return None;
            }
            if self.any(&['.', ',']) {
                micros = self.fraction()?;
            }
        }
        Some((hour as i8, minute as i8, second as i8, micros))
    }

    fn fraction(&mut self) -> Option<i32> {
        let digits = self.number()?.bytes().chain(std::iter::repeat(b'0'));
        Some(value(digits.take(6)))
    }

    fn zone(&mut self) -> Option<Zone> {
        if self.rest.is_empty() {
            return Some(Zone::Naive);
        }
        if self.any(&['Z', 'z']) {
            return self.rest.is_empty().then_some(Zone::Utc(0));
        }
        let west = !self.any(&['+']);
        if west && !self.any(&['-', '\u{2212}']) {
            return None;
        }
        let hours = self.digits(2)?;
        self.any(&[':']);
        let minutes = self.digits(2)?;
        if hours > 23 || minutes > 59 || !self.rest.is_empty() {
            return None;
        }
        let total = (hours * 60 + minutes) as i16;
        Some(Zone::Utc(if west { -total } else { total }))
    }
}

/// The number that a few digits are.
fn value(digits: impl Iterator<Item = u8>) -> i32 {
    digits.fold(0, |value, digit| 10 * value + i32::from(digit - b'0'))
}

/// A number of seconds as microseconds, rounded to the nearest; `None` where it is no number or an
/// integer beyond 64 bits. With a fraction it is taken as a 64-bit float, as the reference does.
fn seconds_as_micros(text: &str) -> Option<i128> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(i128::from(seconds) * 1_000_000);
    }
    if !text.contains(['.', 'e', 'E']) {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    let micros = (seconds.fract() * 1e6).round() as i128;
    // A float beyond the range becomes the largest integer, which is out of range as well.
    Some((seconds.trunc() as i64 as i128) * 1_000_000 + micros)
}

/// A length of time to the microsecond, up to 999,999,999 days either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeDelta {
    micros: i128,
}

const DAY: i128 = 86_400_000_000;

impl TimeDelta {
    /// No time at all.
    pub const ZERO: TimeDelta = TimeDelta { micros: 0 };

    /// So many microseconds; `None` beyond 999,999,999 days.
    pub fn from_micros(micros: i128) -> Option<TimeDelta> {
        let days = micros.div_euclid(DAY);
        (-999_999_999..=999_999_999)
            .contains(&days)
            .then_some(TimeDelta { micros })
    }

    /// So many milliseconds; beyond 999,999,999 days the longest there is.
    pub fn from_millis(millis: u64) -> TimeDelta {
        TimeDelta {
            micros: (i128::from(millis) * 1000).min(1_000_000_000 * DAY - 1),
        }
    }

    /// In microseconds.
    pub fn as_micros(&self) -> i128 {
        self.micros
    }

    /// In seconds.
    pub fn as_secs_f64(&self) -> f64 {
        self.micros as f64 / 1e6
    }

    /// A JSON number of seconds.
    pub(crate) fn from_number(text: &str) -> Result<TimeDelta, TimeError> {
        let wrong = || TimeError {
            what: "a length of time",
            text: text.to_owned(),
            why: "it is out of range",
        };
        seconds_as_micros(text)
            .and_then(TimeDelta::from_micros)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for TimeDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.micros < 0 {
            f.write_str("-")?;
        }
        let all = self.micros.unsigned_abs();
        let (days, rest) = (all / DAY as u128, all % DAY as u128);
        f.write_str("P")?;
        part(f, days / 365, "Y")?;
        part(f, days % 365, "D")?;
        if rest == 0 && days > 0 {
            return Ok(());
        }
        f.write_str("T")?;
        part(f, rest / 3_600_000_000, "H")?;
        part(f, rest / 60_000_000 % 60, "M")?;
        let (seconds, micros) = (rest / 1_000_000 % 60, rest % 1_000_000);
        if micros > 0 {
            write!(
                f,
                "{seconds}.{}S",
                format!("{micros:06}").trim_end_matches('0')
            )
        } else if seconds > 0 || all == 0 {
            write!(f, "{seconds}S")
        } else {
            Ok(())
        }
    }
}

fn part(f: &mut fmt::Formatter<'_>, count: u128, unit: &str) -> fmt::Result {
    if count > 0 {
        write!(f, "{count}{unit}")
    } else {
        Ok(())
    }
}

impl FromStr for TimeDelta {
    type Err = TimeError;

    /// ISO 8601 (`PT1.5S`, `P1W`, a year of 365 and a month of 30 days, a fraction in the last part
    /// only), `HH:MM:SS`, `3 days`, `1 day, 0:00:01`.
    fn from_str(text: &str) -> Result<TimeDelta, TimeError> {
        let wrong = |why| TimeError {
            what: "a length of time",
            text: text.to_owned(),
            why,
        };
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let micros = match unsigned.strip_prefix('P') {
            Some(iso) => iso_micros(iso),
            None => spoken_micros(unsigned),
        }
        .ok_or(wrong("write it like PT1H30M or PT0.5S"))?;
        TimeDelta::from_micros(if negative { -micros } else { micros })
            .ok_or(wrong("it is out of range"))
    }
}

/// What follows the `P`: days and seconds up to 2^32 each, as in the reference.
fn iso_micros(text: &str) -> Option<i128> {
    let (mut days, mut seconds, mut micros) = (0u32, 0u32, 0i128);
    let (mut in_time, mut parts, mut scan) = (false, 0, Scan { rest: text });
    while !scan.rest.is_empty() {
        if scan.any(&['T']) {
            if in_time {
                return None;
            }
            in_time = true;
            continue;
        }
        if micros > 0 {
            return None;
        }
        let whole: u32 = scan.number()?.parse().ok()?;
        let fraction = scan.any(&['.', ',']).then(|| scan.number().unwrap_or("0"));
        let (total, scale, second) = match (in_time, scan.rest.bytes().next()?) {
            (false, b'Y') => (&mut days, 365, 86_400),
            (false, b'M') => (&mut days, 30, 86_400),
            (false, b'W') => (&mut days, 7, 86_400),
            (false, b'D') => (&mut days, 1, 86_400),
            (true, b'H') => (&mut seconds, 3600, 1),
            (true, b'M') => (&mut seconds, 60, 1),
            (true, b'S') => (&mut seconds, 1, 1),
            _ => return None,
        };
        *total = total.checked_add(whole.checked_mul(scale)?)?;
        if let Some(digits) = fraction {
            let fraction: f64 = format!("0.{digits}").parse().ok()?;
            micros = (fraction * f64::from(scale) * f64::from(second) * 1e6).round() as i128;
        }
        parts += 1;
        scan.rest = &scan.rest[1..];
    }
    let total = i128::from(days) * DAY + i128::from(seconds) * 1_000_000 + micros;
    (parts > 0).then_some(total)
}

/// `3 days`, `1 day, 0:00:01`, `00:00:01.5`, `25:00:00`.
fn spoken_micros(text: &str) -> Option<i128> {
    let mut scan = Scan { rest: text };
    let number = scan.number()?;
    if scan.rest.starts_with(':') {
        return clock_micros(text, 999_999_999);
    }
    let days = i128::from(number.parse::<u32>().ok()?) * DAY;
    scan.any(&[' ']);
    scan.any(&['d', 'D']).then_some(())?;
    // The reference takes the first letter in either case, and the others together.
    let word = ["ays", "ay", "AYS", "AY"];
    if let Some(rest) = word.iter().find_map(|word| scan.rest.strip_prefix(word)) {
        scan.rest = rest;
    }
    scan.any(&[',']);
    scan.any(&[' ']);
    match scan.rest {
        "" => Some(days),
        clock => Some(days + clock_micros(clock, 23)?),
    }
}

/// `HH:MM`, `H:MM:SS`, `HH:MM:SS.ffffff`: a finer fraction is cut.
fn clock_micros(text: &str, most_hours: u32) -> Option<i128> {
    let mut scan = Scan { rest: text };
    let digits = scan.number()?;
    let hours: u32 = digits.parse().ok().filter(|hours| *hours <= most_hours)?;
    scan.any(&[':']).then_some(())?;
    let minutes = scan.digits(2).filter(|minutes| *minutes < 60)?;
    let (mut seconds, mut micros) = (0, 0);
    if scan.any(&[':']) {
        seconds = scan.digits(2).filter(|seconds| *seconds < 60)?;
        if scan.any(&['.', ',']) {
            micros = scan.fraction()?;
        }
    } else if digits.len() < 2 {
        return None;
    }
    if !scan.rest.is_empty() {
        return None;
    }
    let seconds = i128::from(hours) * 3600 + i128::from(minutes * 60 + seconds);
    Some(seconds * 1_000_000 + i128::from(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_time_that_the_reference_reads_is_read() {
        for (text, wire) in [
            ("2025-09-06T10:30:00", "2025-09-06T10:30:00"),
            ("2025-09-06t10:30Z", "2025-09-06T10:30:00Z"),
            ("2025-09-06_10:30:00z", "2025-09-06T10:30:00Z"),
            ("2025-09-06 10:30:00+02:00", "2025-09-06T10:30:00+02:00"),
            ("2025-09-06T10:30:00-0530", "2025-09-06T10:30:00-05:30"),
            (
                "2025-09-06T10:30:00\u{2212}05:30",
                "2025-09-06T10:30:00-05:30",
            ),
            ("2025-09-06T10:30:00+00:00", "2025-09-06T10:30:00Z"),
            ("2025-09-06T10:30:00,5", "2025-09-06T10:30:00.500000"),
            (
                "2025-09-06T10:30:00.123456789Z",
                "2025-09-06T10:30:00.123456Z",
            ),
            ("2025-09-06", "2025-09-06T00:00:00"),
            ("1700000000", "2023-11-14T22:13:20Z"),
            ("20000000000", "2603-10-11T11:33:20Z"),
            ("20000000001", "1970-08-20T11:33:20.001000Z"),
        ] {
            assert_eq!(
                text.parse::<Timestamp>().unwrap().to_string(),
                wire,
                "{text}"
            );
        }
    }

    #[test]
    fn what_the_reference_refuses_as_a_time_is_refused() {
        for bad in [
            "",
            "now",
            "2025-09-06T10:30:00+02",
            "2025-09-06T10:30:00 +02:00",
            "2025-09-06T10:30:60",
            "2025-09-06T24:00:00",
            "20250906T103000",
            "2025-9-06T10:30:00",
            "0000-01-01T00:00:00",
            "2025-02-30T00:00:00",
            "2025-09-06T10:30:00Zx",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad:?} was read");
        }
    }

    #[test]
    fn every_spelling_of_a_length_of_time_that_the_reference_reads_is_read() {
        for (text, wire) in [
            ("PT0S", "PT0S"),
            ("PT1.5S", "PT1.5S"),
            ("PT300S", "PT5M"),
            ("P1DT3661S", "P1DT1H1M1S"),
            ("P400D", "P1Y35D"),
            ("-PT1.5S", "-PT1.5S"),
            ("P1W", "P7D"),
            ("P1M", "P30D"),
            ("PT1.5H", "PT1H30M"),
            ("P1.5D", "P1DT12H"),
            ("PT36H", "P1DT12H"),
            ("P1D1D", "P2D"),
            ("PT1S1H", "PT1H1S"),
            ("+PT1S", "PT1S"),
            ("PT1,5S", "PT1.5S"),
            ("P1DT", "P1D"),
            ("00:00:01.5", "PT1.5S"),
            ("3 days", "P3D"),
            ("1 days 00:00:01", "P1DT1S"),
            ("1 day, 0:00:01", "P1DT1S"),
            ("25:00:00", "P1DT1H"),
            ("PT0.000001S", "PT0.000001S"),
        ] {
            assert_eq!(
                text.parse::<TimeDelta>().unwrap().to_string(),
                wire,
                "{text}"
            );
        }
    }

    #[test]
    fn what_the_reference_refuses_as_a_length_of_time_is_refused() {
        for bad in [
            "PT-1S",
            "P-1D",
            "pt1s",
            "1.5",
            "P",
            "PT",
            "PT1S ",
            "P1000000000D",
            "",
            "true",
        ] {
            assert!(bad.parse::<TimeDelta>().is_err(), "{bad:?} was read");
        }
    }
}
