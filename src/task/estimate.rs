//! Estimates as people write them.

/// Why a text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It holds no number: "medium".
    NoNumber,
    /// It is a number of something else, or no length of time can be that: the reason.
    Bad(&'static str),
}

/// Milliseconds of `30 min`, `2h`, `1.5 hours`, `2-3 days`, `1h 30m`, `PT30M`. Of a span the
/// middle counts; a day has 24 hours, as everywhere here; a bare number has no unit and is refused.
pub(super) fn read(text: &str) -> Result<u64, Wrong> {
    let text = text.trim().trim_start_matches(['~', '≈', '<', '>', '=']);
    let text = text.trim().trim_end_matches(['.', ';']);
    let lower = text.to_lowercase();
    if lower.starts_with("nan") || lower.starts_with("inf") || lower.starts_with("-inf") {
        return Err(Wrong::Bad("it is no finite number"));
    }
    if let Some(iso) = lower.strip_prefix('p')
        && iso.starts_with(|c: char| c.is_ascii_digit() || c == 't')
    {
        return iso_duration(iso);
    }
    if lower.starts_with('-') {
        return Err(Wrong::Bad("it is negative"));
    }
    if !lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(Wrong::NoNumber);
    }
    let mut total = 0.0f64;
    let mut rest = lower.as_str();
    let mut some = false;
    while let Some((low, after)) = number(rest) {
        let mut value = low;
        let mut after = after.trim_start();
        if let Some(more) = after
            .strip_prefix(['-', '–', '—', '~'])
            .or_else(|| after.strip_prefix("to "))
            && let Some((high, then)) = number(more.trim_start())
        {
            value = (low + high) / 2.0;
            after = then.trim_start();
        }
        let end = after
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(after.len());
        total += value * unit(&after[..end]).ok_or(Wrong::Bad("its unit is no length of time"))?;
        some = true;
        rest = after[end..].trim_start_matches([' ', ',', '+', '.']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    if !some {
        return Err(Wrong::NoNumber);
    }
    milliseconds(total)
}

/// Milliseconds from a count of them, refused where a u64 cannot carry a plan of them.
pub(super) fn milliseconds(ms: f64) -> Result<u64, Wrong> {
    if !ms.is_finite() {
        return Err(Wrong::Bad("it is no finite number"));
    }
    if ms < 0.0 {
        return Err(Wrong::Bad("it is negative"));
    }
    // 999,999,999 days is the most that our wire form can say.
    if ms > 999_999_999.0 * 86_400_000.0 {
        return Err(Wrong::Bad("it is longer than 999999999 days"));
    }
    Ok(ms.round() as u64)
}

/// The number at the head of a text.
fn number(text: &str) -> Option<(f64, &str)> {
    let mut end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let exponent = text[end..].strip_prefix('e').map(|more| {
        let sign = usize::from(more.starts_with(['+', '-']));
        let digits = more[sign..].bytes().take_while(u8::is_ascii_digit).count();
        (1 + sign + digits, digits)
    });
    if let Some((length, digits)) = exponent
        && digits > 0
    {
        end += length;
    }
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Milliseconds of a unit.
fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "ms" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
        "d" | "day" | "days" => 86_400_000.0,
        "w" | "wk" | "week" | "weeks" => 604_800_000.0,
        _ => return None,
    })
}

/// ISO 8601 after the `P`, in lower case.
fn iso_duration(text: &str) -> Result<u64, Wrong> {
    let wrong = Wrong::Bad("it is no ISO 8601 duration");
    let mut time = false;
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        if let Some(more) = rest.strip_prefix('t') {
            time = true;
            rest = more;
            continue;
        }
        let (value, after) = number(rest).ok_or(wrong.clone())?;
        let unit = after.chars().next().ok_or(wrong.clone())?;
        total += value
            * match (unit, time) {
                ('y', false) => 365.0 * 86_400_000.0,
                ('m', false) => 30.0 * 86_400_000.0,
                ('w', false) => 7.0 * 86_400_000.0,
                ('d', false) => 86_400_000.0,
                ('h', true) => 3_600_000.0,
                ('m', true) => 60_000.0,
                ('s', true) => 1000.0,
                _ => return Err(wrong),
            };
        rest = &after[unit.len_utf8()..];
    }
    milliseconds(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_read_as_people_write_them() {
        let minute = 60_000;
        for (text, ms) in [
            ("30 min", 30 * minute),
            ("2h", 120 * minute),
            ("~1.5 hours", 90 * minute),
            ("2-3 hours", 150 * minute),
            ("1h 30m", 90 * minute),
            ("PT30M", 30 * minute),
            ("P1DT1S", 1440 * minute + 1000),
            ("0 min", 0),
            ("2d", 2880 * minute),
        ] {
            assert_eq!(read(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for (text, why) in [
            ("NaN", "it is no finite number"),
            ("inf", "it is no finite number"),
            ("-5 min", "it is negative"),
            ("3 pts", "its unit is no length of time"),
            ("5", "its unit is no length of time"),
            ("1e300 h", "it is longer than 999999999 days"),
            ("1e400 h", "it is no finite number"),
        ] {
            assert_eq!(read(text), Err(Wrong::Bad(why)), "{text}");
        }
        assert_eq!(read("medium"), Err(Wrong::NoNumber));
    }
}
