//! The sentences in which agent commands tell limits, refusals and locked doors, and the times in
//! them. Only texts that are *about the command itself* are given here: error events, standard error
//! of a failed run, or the whole output of one that did nothing; never an answer as such.
//!
//! | command | how it says when a limit ends |
//! |---|---|
//! | Claude Code | `You've hit your limit · resets 2pm (Asia/Shanghai)`, `usage limit reached\|1778565600` |
//! | Codex | `try again in 2 days 17 hours 14 minutes`, `try again at Nov 28th, 2026 3:05 PM`, `"resets_in_seconds":9568` |
//! | Gemini CLI | `Your quota will reset after 14h32m10s`, `Please retry in 15.002899939s` |
//! | Kiro CLI | `The monthly usage limit has been reached`, `resets on 2026-12-01` |
//! | aider, opencode | `litellm.RateLimitError: … Please try again in 7.67s`, `"retry-after": 60` |

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::told::Limit;

/// Words that name a usage limit, in lower case.
const LIMITS: &[&str] = &[
    "hit your limit",
    "hit your usage limit",
    "hit your session limit",
    "hit your weekly limit",
    "usage limit reached",
    "usage limit has been reached",
    "usage_limit_reached",
    "reached your monthly usage limit",
    "reached the limit",
    "monthly_request_count",
    "monthly quota",
    "out of extra usage",
    "session limit reached",
    "weekly limit reached",
    "5-hour limit reached",
    "rate limit reached",
    "rate limit exceeded",
    "rate_limit_error",
    "rate_limit_exceeded",
    "ratelimiterror",
    "rate limited",
    "rate-limited",
    "exceed your organization's rate limit",
    "exceed your organization’s rate limit",
    "exceeded your current quota",
    "exhausted your capacity",
    "exhausted your daily quota",
    "resource_exhausted",
    "resource has been exhausted",
    "quota exceeded",
    "quota will reset",
    "too many requests",
    "insufficient_quota",
    "overloaded_error",
    "status 429",
    "error 429",
    "error: 429",
    "code: 429",
    "code\": 429",
    "code\":429",
    "429 too many",
];

/// Words that say that the door is locked: only a person has the key.
const LOCKED: &[&str] = &[
    "invalid api key",
    "invalid_api_key",
    "incorrect api key",
    "please run /login",
    "not logged in",
    "please log in",
    "please login",
    "login required",
    "authentication_error",
    "authentication failed",
    "failed to authenticate",
    "authenticationerror",
    "oauth token has expired",
    "401 unauthorized",
    "credit balance is too low",
    "oauth_org_not_allowed",
    "disabled claude subscription access",
    "please set an auth method",
    "api key not found",
    "missing api key",
    "no api key",
];

/// Words with which a command says that it was not allowed something.
const REFUSALS: &[&str] = &[
    "permission denied by",
    "tool use was rejected",
    "requires approval",
    "was not approved",
    "not permitted in non-interactive",
    "needs your permission",
    "requested permissions to",
    "haven't granted it yet",
    "tool is not trusted",
    "auto-rejecting",
    "rejected permission",
    "denied by policy",
];

/// The limit that an error tells, if it tells one.
pub fn limit(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Limit> {
    let lower = text.to_lowercase();
    let place = LIMITS.iter().filter_map(|words| lower.find(words)).min()?;
    let line = line_at(text, &lower, place);
    Some(Limit {
        message: super::short(line.trim(), 300),
        until: until(text, now, zone),
    })
}

/// The same for the output of a command that did nothing: it counts only when it is short and each
/// of its last lines is about the limit, not when a report mentions one.
pub fn only_a_limit(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Limit> {
    let line = only_line(text)?;
    limit(line, now, zone)
}

/// The refusal that is all that a command says.
pub fn only_a_refusal(text: &str) -> Option<String> {
    let line = only_line(text)?;
    let lower = line.to_lowercase();
    REFUSALS
        .iter()
        .any(|words| lower.contains(words))
        .then(|| super::short(line, 200))
}

/// Why only a person can open the door, if that is what an error says.
pub fn locked_out(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let place = LOCKED.iter().filter_map(|words| lower.find(words)).min()?;
    Some(super::short(line_at(text, &lower, place).trim(), 300))
}

/// The question that a text ends with.
pub fn question(text: &str) -> Option<String> {
    let last = text.trim_end().lines().next_back()?.trim();
    let bare = last.trim_end_matches(['*', '_', ')', '"', '”', '`', ' ']);
    bare.ends_with(['?', '？']).then(|| super::short(last, 300))
}

/// The last line of a text that is short: at most three lines that say anything.
fn only_line(text: &str) -> Option<&str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.next_back()?;
    (lines.count() <= 2 && last.len() <= 400).then_some(last)
}

/// The line of `text` in which byte `place` of its lower-case form lies.
fn line_at<'a>(text: &'a str, lower: &str, place: usize) -> &'a str {
    let before = lower[..place].matches('\n').count();
    text.lines().nth(before).unwrap_or(text)
}

/// When a limit ends by what a text says.
pub fn until(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let lower = text.to_lowercase();
    stamped(&lower)
        .or_else(|| after_a_while(&lower, now))
        .or_else(|| at_a_time(text, &lower, now, zone))
}

/// A point in time as a number: seconds since 1970, or seconds from now with its name.
fn stamped(lower: &str) -> Option<Timestamp> {
    for name in ["resets_at", "resetsat", "limit reached|"] {
        if let Some(number) = number_after(lower, name)
            && number > 1e9
        {
            let seconds = if number > 1e11 {
                number / 1000.0
            } else {
                number
            };
            return Timestamp::from_second(seconds as i64).ok();
        }
    }
    None
}

/// A length of time from now.
fn after_a_while(lower: &str, now: Timestamp) -> Option<Timestamp> {
    let named = [
        "resets_in_seconds",
        "retry-after",
        "retry_after",
        "retryafter",
    ]
    .iter()
    .find_map(|name| number_after(lower, name))
    .filter(|seconds| *seconds < 1e8);
    if let Some(seconds) = named {
        return later(now, seconds);
    }
    for lead in [
        "try again in ",
        "retry in ",
        "reset after ",
        "resets in ",
        "retry after ",
        "retrying in ",
        "wait for ",
    ] {
        for (place, _) in lower.match_indices(lead) {
            if let Some(seconds) = length(&lower[place + lead.len()..]) {
                return later(now, seconds);
            }
        }
    }
    None
}

fn later(now: Timestamp, seconds: f64) -> Option<Timestamp> {
    let millis = (seconds * 1000.0).ceil();
    now.checked_add(SignedDuration::from_millis(millis as i64))
        .ok()
}

/// The number that follows a name, over colons, quotes, blanks.
fn number_after(lower: &str, name: &str) -> Option<f64> {
    for (place, _) in lower.match_indices(name) {
        let rest = lower[place + name.len()..].trim_start_matches(['"', '\\', ':', '=', ' ', '|']);
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        if let Ok(number) = rest[..end].trim_end_matches('.').parse() {
            return Some(number);
        }
    }
    None
}

/// A length such as `2 days 17 hours 14 minutes`, `14h32m10s`, `15.0029s`, `20 seconds`, in seconds.
fn length(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut seconds = None;
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let Ok(number) = rest[..digits].parse::<f64>() else {
            return seconds;
        };
        let after = rest[digits..].trim_start();
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let unit = match &after[..letters] {
            "ms" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "week" | "weeks" => 604_800.0,
            _ => return seconds,
        };
        seconds = Some(seconds.unwrap_or(0.0) + number * unit);
        rest = &after[letters..];
    }
}

/// A time of day or a date: `resets 2pm (Asia/Shanghai)`, `resets Nov 28 at 9:30am`, `at 3:05 PM`.
fn at_a_time(text: &str, lower: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    for lead in [
        "resets on ",
        "resets at ",
        "resets ",
        "try again at ",
        "reset at ",
        "reset on ",
    ] {
        for (place, _) in lower.match_indices(lead) {
            let start = place + lead.len();
            // Lower case may have another length than the text; then the zone is not read.
            let original = text.get(start..).filter(|_| text.len() == lower.len());
            let zone = original
                .and_then(named_zone)
                .unwrap_or_else(|| zone.clone());
            if let Some(time) = clock(&lower[start..], now, &zone) {
                return Some(time);
            }
        }
    }
    None
}

/// The zone in parentheses within the first words.
fn named_zone(text: &str) -> Option<TimeZone> {
    let line = text.lines().next()?;
    let (_, rest) = line.split_once('(')?;
    let (name, _) = rest.split_once(')')?;
    TimeZone::get(name.trim()).ok()
}

/// Reads a date, a time of day, or both, after `now` in `zone`.
fn clock(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let today = now.to_zoned_datetime(zone.clone()).date();
    let mut date = None;
    let mut time = None;
    let line = text.lines().next()?;
    let cut = line.find('(').unwrap_or(line.len());
    let words: Vec<&str> = line[..cut]
        .split([' ', ',', '·'])
        .filter(|word| !word.is_empty())
        .take(8)
        .collect();
    let mut place = 0;
    while place < words.len() {
        let word = words[place].trim_end_matches(['.', ';', '"', '\'']);
        let next = words.get(place + 1).copied().unwrap_or_default();
        if let Ok(stamp) = word.to_uppercase().parse::<Timestamp>() {
            return Some(stamp);
        }
        if let Ok(iso) = word.parse::<Date>() {
            date = Some(iso);
        } else if let Some(month) = month(word) {
            let day = next.trim_end_matches(|c: char| !c.is_ascii_digit());
            let day: i8 = day.parse().ok()?;
            let year = words.get(place + 2).and_then(|word| {
                let word = word.trim_end_matches(|c: char| !c.is_ascii_digit());
                word.parse::<i16>().ok().filter(|year| *year > 2000)
            });
            place += 1 + usize::from(year.is_some());
            date = Some(match year {
                Some(year) => Date::new(year, month, day).ok()?,
                None => next_date(today, month, day)?,
            });
        } else if let Some(read) = time_of_day(word, next) {
            time = Some(read);
            break;
        } else if !matches!(word, "at" | "on" | "am" | "pm" | "the" | "tomorrow") {
            break;
        }
        if word == "tomorrow" {
            date = today.checked_add(1.day()).ok();
        }
        place += 1;
    }
    let at = |date: Date| {
        let civil = DateTime::from_parts(date, time.unwrap_or(Time::midnight()));
        Some(civil.to_zoned_datetime(zone.clone()).ok()?.timestamp())
    };
    match (date, time) {
        (None, None) => None,
        (Some(date), _) => at(date),
        // A time of day alone is the next one.
        (None, Some(_)) => match at(today)? {
            past if past <= now => at(today.checked_add(1.day()).ok()?),
            next => Some(next),
        },
    }
}

fn month(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let start = word.get(..3)?;
    let found = MONTHS.iter().position(|month| *month == start)?;
    word.bytes()
        .all(|b| b.is_ascii_alphabetic())
        .then(|| i8::try_from(found + 1).ok())?
}

/// The next such day of a month, today included.
fn next_date(today: Date, month: i8, day: i8) -> Option<Date> {
    let this = Date::new(today.year(), month, day).ok()?;
    // A limit that ended months ago is one of next year; one of yesterday has just ended.
    match this < today.checked_sub(7.days()).ok()? {
        true => Date::new(today.year() + 1, month, day).ok(),
        false => Some(this),
    }
}

/// `2pm`, `9:30am`, `15:04`, `3:05 pm`.
fn time_of_day(word: &str, next: &str) -> Option<Time> {
    let word = word.trim_end_matches('.');
    let digits = word
        .find(|c: char| !c.is_ascii_digit() && c != ':')
        .unwrap_or(word.len());
    let (number, half) = word.split_at(digits);
    let half = match (half, next.trim_end_matches(['.', ','])) {
        ("", half @ ("am" | "pm")) => half,
        (half, _) => half,
    };
    let mut parts = number.split(':');
    let hour: i8 = parts.next()?.parse().ok()?;
    let minute: i8 = match parts.next() {
        Some(minute) => minute.parse().ok()?,
        None if half.is_empty() => return None,
        None => 0,
    };
    let hour = match (half, hour) {
        ("am", 12) => 0,
        ("am", hour) => hour,
        ("pm", 12) => 12,
        ("pm", hour) => hour + 12,
        ("", hour) => hour,
        _ => return None,
    };
    Time::new(hour, minute, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        // A Thursday, 18:30 in UTC and 02:30 of the next day in Shanghai.
        let now = "2026-11-26T18:30:00Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        until(text, now, &zone).map(|time| time.to_string())
    }

    #[test]
    fn every_way_to_tell_when_a_limit_ends_is_read() {
        for (text, time) in [
            (
                "You've hit your limit · resets 2pm (Asia/Shanghai)",
                "2026-11-27T06:00:00Z",
            ),
            (
                "You've hit your session limit · resets 11:40pm (Europe/Berlin)",
                "2026-11-26T22:40:00Z",
            ),
            (
                "You've hit your weekly limit · resets Dec 1, 9am (America/New_York)",
                "2026-12-01T14:00:00Z",
            ),
            (
                "weekly limit reached ∙ resets Jan 3 at 5am (UTC)",
                "2027-01-03T05:00:00Z",
            ),
            (
                "Claude AI usage limit reached|1795800000",
                "2026-11-27T17:20:00Z",
            ),
            (
                "You've hit your usage limit. Upgrade to Pro or try again in 2 days 17 hours 14 minutes.",
                "2026-11-29T11:44:00Z",
            ),
            (
                "You've hit your usage limit. Try again at 3:05 PM.",
                "2026-11-27T14:05:00Z",
            ),
            (
                "You've hit your usage limit. To get more access now, try again at Nov 28th, 2026 3:05 PM.",
                "2026-11-28T14:05:00Z",
            ),
            (
                r#"{"type":"usage_limit_reached","resets_at":1795800000,"resets_in_seconds":9568}"#,
                "2026-11-27T17:20:00Z",
            ),
            (
                r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":90}}"#,
                "2026-11-26T18:31:30Z",
            ),
            (
                "You have exhausted your capacity on this model. Your quota will reset after 14h32m10s.",
                "2026-11-27T09:02:10Z",
            ),
            ("Please retry in 15.002899939s.", "2026-11-26T18:30:15.003Z"),
            (
                "limit reached, resets on 2026-12-01",
                "2026-11-30T23:00:00Z",
            ),
            ("Please try again in 7.5s. Visit", "2026-11-26T18:30:07.5Z"),
            ("Retry-After: 60", "2026-11-26T18:31:00Z"),
            ("resets at 2026-11-27T01:00:00Z", "2026-11-27T01:00:00Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(time), "{text}");
        }
        for text in [
            "",
            "try again later",
            "resets the counter",
            "retry in the morning",
            "resets 25pm",
            "resets_at: soon",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_limit_that_a_report_mentions_is_none() {
        let zone = TimeZone::UTC;
        let now = Timestamp::UNIX_EPOCH;
        let report = "I changed the client so that it waits.\nTests:\n- retries after 429\n- backs off\nIt no longer says rate limit exceeded";
        assert_eq!(only_a_limit(report, now, &zone), None);
        assert!(only_a_limit("You've hit your limit · resets 2pm (UTC)", now, &zone).is_some());
        assert_eq!(limit("the limit of 3 files", now, &zone), None);
    }

    #[test]
    fn a_question_is_the_last_line_with_its_mark() {
        assert_eq!(
            question("I see two ways.\n\n**Which one do you want?**\n").unwrap(),
            "**Which one do you want?**"
        );
        assert_eq!(question("Is it red? It is."), None);
        assert_eq!(question(""), None);
    }
}
