//! A range of time as people write it: from a time on, and before another one.

use jiff::Timestamp;

use super::units::parse_duration;

/// A range of time. A side without a time is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// First moment of the range.
    pub since: Option<Timestamp>,
    /// First moment after the range.
    pub until: Option<Timestamp>,
}

impl Window {
    /// Reads both ends: RFC 3339, or a duration such as `24h` back from `now`. An error says what is wrong.
    pub fn read(since: Option<&str>, until: Option<&str>, now: Timestamp) -> Result<Self, String> {
        let read = |name: &str, text: Option<&str>| {
            let at = text.map(|text| moment(text.trim(), now)).transpose();
            at.map_err(|fault| format!("{name}: {fault}"))
        };
        let window = Self {
            since: read("since", since)?,
            until: read("until", until)?,
        };
        match window {
            Self {
                since: Some(since), ..
            } if since >= now => Err(format!(
                "since ({since:.0}) is not in the past: nothing can have come since then"
            )),
            Self {
                since: Some(since),
                until: Some(until),
            } if since >= until => Err(format!(
                "since ({since:.0}) is not before until ({until:.0}): nothing is in between"
            )),
            _ => Ok(window),
        }
    }

    /// True if it has no end.
    pub fn is_open(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }
}

fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = "expected a duration back from now, such as 24h or 7d, or a time with its offset, such as \
                 2026-03-01T12:00:00Z";
    if let Some(back) = parse_duration(text) {
        let at = now.checked_sub(back);
        return at.map_err(|_| "this is too long ago".to_owned());
    }
    // In an address, a plus that is not encoded arrives as a blank.
    let with_plus = || {
        text.rsplit_once(' ')
            .map(|(time, offset)| format!("{time}+{offset}"))
    };
    let read = text.parse().ok();
    read.or_else(|| with_plus()?.parse().ok())
        .ok_or_else(|| wrong.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-01T12:00:00Z";

    fn read(since: Option<&str>, until: Option<&str>) -> Result<String, String> {
        let window = Window::read(since, until, NOW.parse().unwrap())?;
        let shown = |at: Option<Timestamp>| at.map_or("…".to_owned(), |at| at.to_string());
        Ok(format!("{} {}", shown(window.since), shown(window.until)))
    }

    #[test]
    fn both_ends_are_read_as_people_write_them() {
        for (since, until, expected) in [
            (None, None, "… …"),
            (Some("24h"), None, "2026-02-28T12:00:00Z …"),
            (
                Some(" 7d "),
                Some("90m"),
                "2026-02-22T12:00:00Z 2026-03-01T10:30:00Z",
            ),
            (
                Some("2026-02-01T00:00:00Z"),
                Some("1d"),
                "2026-02-01T00:00:00Z 2026-02-28T12:00:00Z",
            ),
            (
                Some("2026-02-01T01:00:00.5+01:00"),
                None,
                "2026-02-01T00:00:00.5Z …",
            ),
            (
                Some("2026-02-01T01:00:00 01:00"),
                None,
                "2026-02-01T00:00:00Z …",
            ),
            (None, Some("2026-02-01 00:00:00Z"), "… 2026-02-01T00:00:00Z"),
            (Some("1h 30m"), None, "2026-03-01T10:30:00Z …"),
        ] {
            assert_eq!(
                read(since, until).as_deref(),
                Ok(expected),
                "{since:?} {until:?}"
            );
        }
    }

    #[test]
    fn a_wrong_end_is_named() {
        for (since, until, expected) in [
            (Some("yesterday"), None, "since: expected a duration"),
            (None, Some(""), "until: expected a duration"),
            (None, Some("24"), "until: expected a duration"),
            (Some("2026-02-01"), None, "since: expected a duration"),
            (
                Some("2026-02-01T00:00:00"),
                None,
                "since: expected a duration",
            ),
            (
                Some("2026-03-01T12:00:01Z"),
                None,
                "since (2026-03-01T12:00:01Z) is not in the past",
            ),
            (
                Some("0h"),
                None,
                "since (2026-03-01T12:00:00Z) is not in the past",
            ),
            (Some("99999999d"), None, "since: this is too long ago"),
            (
                Some("1h"),
                Some("2h"),
                "since (2026-03-01T11:00:00Z) is not before until",
            ),
            (
                Some("1h"),
                Some("1h"),
                "since (2026-03-01T11:00:00Z) is not before until",
            ),
        ] {
            let refused = read(since, until).unwrap_err();
            assert!(
                refused.starts_with(expected),
                "{since:?} {until:?}: {refused}"
            );
        }
    }
}
