//! The parts of every signature scheme: the MAC, the timestamp's form and its window.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use super::request::Refused;

/// The greatest distance of a request's timestamp from our clock, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Into the past.
    pub past: u64,
    /// Into the future: only for clocks that differ.
    pub future: u64,
}

impl Window {
    /// Checks `seconds` (Unix time) against `now`.
    pub fn check(self, seconds: i64, now: Timestamp) -> Result<(), Refused> {
        let age = now.as_second().saturating_sub(seconds);
        if age > i64::try_from(self.past).unwrap_or(i64::MAX) {
            return Err(Refused::Stale {
                seconds: age,
                tolerance: self.past,
            });
        }
        // A sender cannot sign in the future, so the clocks differ.
        let ahead = age.saturating_neg();
        if ahead > i64::try_from(self.future).unwrap_or(i64::MAX) {
            return Err(Refused::Future {
                seconds: ahead,
                tolerance: self.future,
            });
        }
        Ok(())
    }
}

/// Reads a Unix timestamp in seconds: 1 to 12 digits, no sign, no leading zero.
pub fn parse_seconds(text: &str) -> Option<i64> {
    let canonical = (1..=12).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

/// True if `candidate` is the HMAC-SHA256 of `parts`, one after the other, under `key`. The time
/// does not depend on the bytes of `candidate`.
pub fn mac_matches(key: &[u8], parts: &[&[u8]], candidate: &[u8]) -> bool {
    hmac(key, parts).verify_slice(candidate).is_ok()
}

/// The HMAC-SHA256 of `parts` under `key`.
pub fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    hmac(key, parts).finalize().into_bytes().into()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_has_two_sides() {
        let window = Window {
            past: 300,
            future: 60,
        };
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (seconds, expected) in [
            (1_000_000, Ok(())),
            (999_700, Ok(())),
            (
                999_699,
                Err(Refused::Stale {
                    seconds: 301,
                    tolerance: 300,
                }),
            ),
            (1_000_060, Ok(())),
            (
                1_000_061,
                Err(Refused::Future {
                    seconds: 61,
                    tolerance: 60,
                }),
            ),
        ] {
            assert_eq!(window.check(seconds, now), expected, "{seconds}");
        }
        assert!(window.check(i64::MIN, now).is_err());
        assert!(window.check(i64::MAX, now).is_err());
    }

    #[test]
    fn timestamps_are_plain_digits() {
        assert_eq!(parse_seconds("1531420618"), Some(1_531_420_618));
        assert_eq!(parse_seconds("0"), Some(0));
        for bad in [
            "",
            "-1",
            "+1",
            "01",
            "1.0",
            "1e9",
            " 1",
            "1 ",
            "1234567890123",
            "١",
        ] {
            assert_eq!(parse_seconds(bad), None, "{bad:?}");
        }
    }
}
