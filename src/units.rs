//! How durations and sizes are written in the configuration: `90s`, `7d`, `2MiB`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// Reads a duration such as `250ms`, `90s` or `7d`.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(text.trim()).map_err(|error| {
        D::Error::custom(format!(
            "{text:?} is no duration such as 90s or 7d: {error}"
        ))
    })
}

/// Reads a size such as `64KiB` or `2MiB` into bytes.
pub(crate) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.trim()
        .parse::<bytesize::ByteSize>()
        .ok()
        .and_then(|size| usize::try_from(size.as_u64()).ok())
        .ok_or_else(|| D::Error::custom(format!("{text:?} is no size such as 64KiB or 2MiB")))
}
