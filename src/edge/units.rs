//! Durations and sizes as the configuration writes them: `90s`, `7d`, `2MiB`.
//!
//! Invariant: no error repeats the text, which may be a secret in the wrong place.

use std::time::Duration;

use secrecy::SecretString;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// Reads a duration such as `250ms`, `90s` or `7d`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text.trim()).ok()
}

/// Reads a size such as `64KiB` or `2MiB` into bytes.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let size = text.trim().parse::<bytesize::ByteSize>().ok()?;
    Some(size.as_u64())
}

/// Writes a duration in the largest unit that divides it.
pub(crate) fn shown_duration(duration: Duration) -> String {
    const UNITS: [(&str, u128); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    shown(duration.as_millis(), UNITS, "s")
}

/// Writes a size in the largest unit that divides it.
pub(crate) fn shown_size(bytes: u64) -> String {
    const UNITS: [(&str, u128); 4] = [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("B", 1),
    ];
    shown(bytes.into(), UNITS, "B")
}

fn shown<const N: usize>(n: u128, units: [(&str, u128); N], of_nothing: &str) -> String {
    let fits = |(_, size): &(&str, u128)| n != 0 && n.is_multiple_of(*size);
    let found = units.into_iter().find(fits);
    found.map_or_else(
        || format!("{n}{of_nothing}"),
        |(unit, size)| format!("{}{unit}", n / size),
    )
}

/// Deserialises a duration, see [`parse_duration`].
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| D::Error::custom("expected a duration such as 90s or 7d"))
}

/// Deserialises a duration that may be missing, see [`parse_duration`].
pub(crate) fn optional_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

/// Serializes a duration as [`duration`] reads it.
pub(crate) fn write_duration<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown_duration(*duration))
}

/// Serializes secrets as an empty list: defaults are serialized, and no secret has one.
pub(crate) fn no_secrets<S: Serializer>(
    _: &[SecretString],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq([(); 0])
}

/// Deserialises a size into bytes, see [`parse_size`].
pub(crate) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_size(&text)
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| D::Error::custom("expected a size such as 64KiB or 2MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["0s", "250ms", "90s", "5m", "36h", "7d", "36500d"] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(shown_duration(duration), text);
        }
        for text in ["0B", "1000B", "64KiB", "2MiB", "3GiB"] {
            assert_eq!(shown_size(parse_size(text).unwrap()), text);
        }
    }
}
