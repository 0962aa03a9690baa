//! Lengths of time as people write them.

use std::time::Duration;

/// `250ms`, `30s`, `5m`, `2h`, `7d`, `1w`; a bare number is seconds.
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(sporekit::swarm::duration::read("1.5m"), Ok(Duration::from_secs(90)));
/// ```
pub fn read(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time: write 250ms, 30s, 5m, 2h or 7d");
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        "w" => 604_800.0,
        _ => return Err(wrong()),
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(wrong());
    }
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * scale).map_err(|_| wrong())
}

/// For `#[serde(deserialize_with)]` on an optional length of time.
pub(super) fn optional<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    let text = <String as serde::Deserialize>::deserialize(from)?;
    read(&text).map(Some).map_err(serde::de::Error::custom)
}
