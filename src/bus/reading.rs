//! What every client of a bus reads alike: messages, and what its library's errors amount to.

#[cfg(any(feature = "redis", feature = "amqp", feature = "kafka"))]
use std::{io, time::Duration};

use super::{Away, CONNECT, Error, Foreign, LIMIT, Parcel};
use crate::spool::Lane;

/// The name that a lane has on a bus.
fn lane_named(name: &str) -> Option<Lane> {
    Lane::ALL.into_iter().find(|lane| lane.as_str() == name)
}

/// A message from what a bus carries: the id, the lane and the expiry as texts beside the bytes.
pub(super) fn parcel(
    id: Option<&str>,
    lane: Option<&str>,
    expiry: Option<&str>,
    bytes: Vec<u8>,
) -> Result<Parcel, Foreign> {
    let why = if bytes.len() > LIMIT {
        format!("it has {} bytes, and {LIMIT} are taken", bytes.len())
    } else {
        match (
            id.and_then(|id| id.parse().ok()),
            lane_named(lane.unwrap_or("normal")),
            expiry.map(str::parse).transpose(),
        ) {
            (Some(id), Some(lane), Ok(expiry)) => {
                return Ok(Parcel {
                    id,
                    lane,
                    expiry,
                    bytes,
                });
            }
            (None, ..) => "it has no id of a spore".to_owned(),
            (_, None, _) => "its lane is none".to_owned(),
            (.., Err(_)) => "its expiry is no number".to_owned(),
        }
    };
    let mut bytes = bytes;
    bytes.truncate(LIMIT);
    Err(Foreign { why, bytes })
}

/// What an error of a library amounts to, by the words that all of them use for it.
pub(super) fn by_words(bus: &str, text: &str) -> Error {
    let lower = text.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let bus = bus.to_owned();
    let short: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect();
    if any(&["certificaterequired", "certificate required"]) {
        let why = "it asks who we are by a certificate: ?cert=FILE&key=FILE".to_owned();
        return Error::Denied { bus, why };
    }
    if any(&[
        "certificate",
        "unknownissuer",
        "notvalidforname",
        "tls",
        "handshake",
    ]) && !any(&["timed out", "refused", "reset", "eof", "broken pipe"])
    {
        let why = format!("its certificate was not accepted: {short}");
        return Error::Denied { bus, why };
    }
    if any(&[
        "authoriz",
        "authentic",
        "wrongpass",
        "noauth",
        "access_refused",
        "access refused",
        "sasl",
        "credential",
        "permission",
    ]) {
        let why = format!("user or password is wrong, or has no right: {short}");
        return Error::Denied { bus, why };
    }
    let why = if any(&["refused"]) {
        Away::Refused
    } else if any(&["timed out", "timeout", "deadline"]) {
        Away::Silent(CONNECT)
    } else if any(&["resolve", "lookup", "unreachable", "no route", "dns"]) {
        Away::Unreachable(short)
    } else {
        Away::Broken(short)
    };
    Error::Away { bus, why }
}

/// What an I/O error amounts to.
#[cfg(any(feature = "redis", feature = "amqp", feature = "kafka"))]
pub(super) fn by_io(bus: &str, error: &io::Error, waited: Duration) -> Error {
    use io::ErrorKind as K;
    let why = match error.kind() {
        K::ConnectionRefused => Away::Refused,
        K::TimedOut | K::WouldBlock => Away::Silent(waited),
        K::NetworkUnreachable | K::HostUnreachable | K::AddrNotAvailable => {
            Away::Unreachable(error.to_string())
        }
        _ => return by_words(bus, &error.to_string()),
    };
    Error::Away {
        bus: bus.to_owned(),
        why,
    }
}
