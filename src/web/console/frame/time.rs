//! Times and durations for people. The script shows times in the viewer's zone.

use std::time::Duration;

use jiff::Timestamp;

/// A time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct When {
    /// RFC 3339, for the script.
    pub(crate) iso: String,
    /// Exact, for the tooltip.
    pub(crate) exact: String,
    /// Short, for lists.
    pub(crate) short: String,
    /// Relative to now: "5 min ago", "in 1 h".
    pub(crate) relative: String,
}

impl When {
    /// The time `at`, relative to `now`.
    pub(crate) fn at(at: Timestamp, now: Timestamp) -> Self {
        Self {
            iso: at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            exact: at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string(),
            short: at.strftime("%d %b %H:%M:%S").to_string(),
            relative: relative(at, now),
        }
    }
}

fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    let span = span(Duration::from_secs(seconds.unsigned_abs()));
    match seconds {
        -4..=4 => "just now".to_owned(),
        5.. => format!("{span} ago"),
        _ => format!("in {span}"),
    }
}

/// A duration in its largest unit, and in the next smaller one if that matters.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    // From ten units on, the smaller unit does not matter to a reader.
    let pair = |n: u64, unit: &str, below: u64, unit_below: &str| {
        if n < 10 && below > 0 {
            format!("{n} {unit} {below} {unit_below}")
        } else {
            format!("{n} {unit}")
        }
    };
    match (days, hours, minutes) {
        (1.., ..) => pair(days, "d", hours % 24, "h"),
        (0, 1.., _) => pair(hours, "h", minutes % 60, "min"),
        (0, 0, 1..) => format!("{minutes} min"),
        (0, 0, 0) => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_say_them() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (119, "1 min"),
            (3600, "1 h"),
            (5400, "1 h 30 min"),
            (36_000 + 60, "10 h"),
            (86_400, "1 d"),
            (2 * 86_400 + 3 * 3600, "2 d 3 h"),
            (40 * 86_400 + 3600, "40 d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_moment_is_exact_and_relative() {
        let now: Timestamp = "2026-11-24T08:00:00Z".parse().unwrap();
        let at = |text: &str| When::at(text.parse().unwrap(), now);
        let past = at("2026-11-24T07:30:00.5Z");
        assert_eq!(past.iso, "2026-11-24T07:30:00.500Z");
        assert_eq!(past.exact, "2026-11-24 07:30:00.500 UTC");
        assert_eq!(past.short, "24 Nov 07:30:00");
        assert_eq!(past.relative, "29 min ago");
        assert_eq!(at("2026-11-24T08:00:02Z").relative, "just now");
        assert_eq!(at("2026-11-24T09:00:00Z").relative, "in 1 h");
    }
}
