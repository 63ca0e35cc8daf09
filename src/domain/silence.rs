//! Words about sources that send nothing, and about external tickets that nobody has heard of.

use jiff::Timestamp;
use serde::Deserialize;

use super::feed::{Feed, Trouble};

/// Said where no daemon answers: only a running one has counted refusals.
pub const UNHEARD: &str =
    "no daemon answers on this machine, so it is not known which webhooks were refused";

/// Facts of a feed that are told in one line. The statistics of a daemon can be read as such.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Account {
    last_webhook_at: Option<Timestamp>,
    refused_last_hour: u64,
    refused_cause: Option<String>,
    /// A word of [`Trouble`]. A newer daemon may know more of them.
    trouble: Option<String>,
}

impl From<&Feed> for Account {
    fn from(feed: &Feed) -> Self {
        Self {
            last_webhook_at: feed.last_webhook_at,
            refused_last_hour: feed.refused_last_hour,
            refused_cause: feed.refused_cause.map(str::to_owned),
            trouble: feed.trouble.map(|(trouble, _)| trouble.as_str().to_owned()),
        }
    }
}

impl Account {
    /// Says when a source was last heard, what it refuses, and its trouble:
    /// `servicenow: last webhook 3 days ago; 41 refused in the last hour: mismatch`.
    pub fn words(&self, source: &str, now: Timestamp) -> String {
        let last = match self.last_webhook_at {
            Some(at) => format!("last webhook {}", ago(at, now)),
            None => "no webhook yet".to_owned(),
        };
        let refused = (self.refused_last_hour > 0).then(|| {
            let cause = self.refused_cause.as_deref().unwrap_or("unknown");
            let n = self.refused_last_hour;
            format!("{n} refused in the last hour: {cause}")
        });
        let trouble = self.trouble.as_deref().and_then(Trouble::parse);
        // The number of refusals says more than that there were no others.
        let trouble = trouble.filter(|trouble| *trouble != Trouble::Refusing);
        let trouble = trouble.map(|trouble| trouble.text().to_owned());
        let parts: Vec<String> = [Some(last), refused, trouble]
            .into_iter()
            .flatten()
            .collect();
        format!("{source}: {}", parts.join("; "))
    }
}

/// Says why no event of an external ticket is found under `source`, or at all, if its events are of these
/// `sources`; `None`: there are some.
pub fn absent(source: Option<&str>, sources: &[String]) -> Option<String> {
    let is_here = |of: &String| source.is_none_or(|source| source == of);
    if sources.iter().any(is_here) {
        return None;
    }
    if !sources.is_empty() {
        return Some(elsewhere(sources));
    }
    let of = source.map(|source| format!(" of {source}"));
    let of = of.unwrap_or_default();
    Some(format!(
        "no webhook{of} has named it yet, or retention has deleted its events"
    ))
}

/// Says where an external ticket is stored that was looked for under one source.
pub fn elsewhere(others: &[String]) -> String {
    format!("it is stored under another source: {}", others.join(", "))
}

/// A time in its largest unit: `3 days ago`.
fn ago(at: Timestamp, now: Timestamp) -> String {
    const UNITS: [(i64, &str); 4] = [
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let seconds = now.duration_since(at).as_secs();
    let unit = UNITS.into_iter().find(|(length, _)| seconds >= *length);
    match unit.map(|(length, name)| (seconds / length, name)) {
        None => "just now".to_owned(),
        Some((1, name)) => format!("1 {name} ago"),
        Some((n, name)) => format!("{n} {name}s ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn one_line_says_what_is_heard_of_a_source() {
        let day = 86_400;
        let (uninstalled, refusing) = (Trouble::Uninstalled, Trouble::Refusing);
        for (last, refused, trouble, expected) in [
            (None, 0, None, "crm: no webhook yet"),
            (
                Some(3 * day + 5),
                41,
                Some(refusing),
                "crm: last webhook 3 days ago; 41 refused in the last hour: mismatch",
            ),
            (
                Some(60),
                1,
                None,
                "crm: last webhook 1 minute ago; 1 refused in the last hour: mismatch",
            ),
            (
                Some(day),
                0,
                Some(uninstalled),
                "crm: last webhook 1 day ago; the app was removed there, so nothing more will come until it is \
                 installed again",
            ),
            (
                Some(7200),
                0,
                Some(Trouble::Silent),
                "crm: last webhook 2 hours ago; no webhook came for longer than expect_every",
            ),
        ] {
            let feed = Feed {
                last_webhook_at: last.map(|ago| at(NOW - ago)),
                last_refused_at: None,
                refused_last_hour: refused,
                refused_cause: Some("mismatch"),
                trouble: trouble.map(|trouble| (trouble, at(NOW))),
            };
            assert_eq!(Account::from(&feed).words("crm", at(NOW)), expected);
        }
    }

    #[test]
    fn a_word_that_is_not_known_here_is_left_out() {
        let account = Account {
            trouble: Some("haunted".to_owned()),
            ..Account::default()
        };
        assert_eq!(account.words("crm", at(NOW)), "crm: no webhook yet");
    }

    #[test]
    fn times_are_told_in_their_largest_unit() {
        for (seconds, expected) in [
            (-5, "just now"),
            (0, "just now"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
            (3599, "59 minutes ago"),
            (3600, "1 hour ago"),
            (86_399, "23 hours ago"),
            (86_400, "1 day ago"),
            (40 * 86_400, "40 days ago"),
        ] {
            assert_eq!(ago(at(NOW - seconds), at(NOW)), expected);
        }
    }

    #[test]
    fn what_is_not_found_may_be_under_another_source_or_gone() {
        let others = ["a".to_owned(), "b".to_owned()];
        for (source, sources, expected) in [
            (
                None,
                &[][..],
                Some("no webhook has named it yet, or retention has deleted its events"),
            ),
            (
                Some("crm"),
                &[],
                Some("no webhook of crm has named it yet, or retention has deleted its events"),
            ),
            (
                Some("crm"),
                &others,
                Some("it is stored under another source: a, b"),
            ),
            (Some("b"), &others, None),
            (None, &others, None),
        ] {
            assert_eq!(absent(source, sources).as_deref(), expected);
        }
    }
}
