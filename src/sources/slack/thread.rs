//! Threads: how one is named, and how well a message stands for it.
//!
//! Invariant: ids and timestamps stay the strings that Slack sent; numbers made from them only rank.

use std::iter;

use super::ids;
use crate::domain::event::Rank;
use crate::domain::ids::ExternalId;
use crate::sources::json::field::Field;

/// The channel that `link_shared` gives of a message that nobody has sent yet.
const COMPOSER: &str = "COMPOSER";

/// The thread of a message: `thread_ts` where it is a non-empty string, else `ts`.
pub(super) fn of(channel: Field<'_>, thread_ts: Field<'_>, ts: Field<'_>) -> Option<ExternalId> {
    let channel = channel.text()?;
    let root = thread_ts.text().or_else(|| ts.text())?;
    if channel == COMPOSER {
        return None;
    }
    ids::parse(&format!("{channel}:{root}")).ok()
}

/// The root message before any reply, then the earliest.
pub(super) fn rank(thread_ts: Field<'_>, ts: Field<'_>) -> Rank {
    let ts = ts.text();
    let thread_ts = thread_ts.text();
    // A root without replies has no `thread_ts`; with replies it is its own `ts`.
    let is_root = thread_ts.is_none() || thread_ts == ts;
    match ts.as_deref().and_then(micros) {
        // Negative, because the greatest rank wins and the earliest message should.
        Some(micros) => Rank(i64::from(is_root), -micros),
        None => Rank(-1, Rank::UNKNOWN),
    }
}

/// Microseconds since 1970, never negative; the largest number where they do not fit.
pub(super) fn micros(ts: &str) -> Option<i64> {
    let (seconds, fraction) = ts.split_once('.').filter(|_| ids::is_timestamp(ts))?;
    let fraction = fraction.bytes().chain(iter::repeat(b'0')).take(6);
    Some(seconds.bytes().chain(fraction).fold(0, |sum: i64, digit| {
        sum.saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::micros;

    #[test]
    fn timestamps_become_microseconds_without_rounding() {
        for (ts, expected) in [
            ("1779146751.061339", Some(1_779_146_751_061_339)),
            ("1779146751.0613", Some(1_779_146_751_061_300)),
            ("1779146751.0613399", Some(1_779_146_751_061_339)),
            ("0.000001", Some(1)),
            ("0.0", Some(0)),
            ("99999999999999999999.9", Some(i64::MAX)),
            ("1779146751", None),
            ("1.", None),
            (".1", None),
            ("-1.0", None),
            ("1.0x", None),
            ("", None),
        ] {
            assert_eq!(micros(ts), expected, "{ts}");
        }
    }
}
