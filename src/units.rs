//! How durations and sizes are written in the configuration: `90s`, `7d`, `2MiB`.
//!
//! Invariant: no message repeats the text that was read.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// Reads a duration such as `250ms`, `90s` or `7d`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text.trim()).ok()
}

/// Reads a size such as `64KiB` or `2MiB` into bytes.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let size = text.trim().parse::<bytesize::ByteSize>().ok()?;
    Some(size.as_u64())
}

/// Deserialises a duration, see [`parse_duration`].
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| D::Error::custom("expected a duration such as 90s or 7d"))
}

/// Deserialises a size into bytes, see [`parse_size`].
pub(crate) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_size(&text)
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| D::Error::custom("expected a size such as 64KiB or 2MiB"))
}
