//! Names of threads: `{channel}:{timestamp of the root message}`, and links to them.

use crate::domain::ids::{ExternalId, InvalidId};
use crate::sources::kind::TypedId;

/// Digits of a timestamp before the dot.
const SECONDS: usize = 10;
/// Digits of a timestamp after the dot.
const FRACTION: usize = 6;
/// The longest name of a thread or a conversation, in bytes. Real ones have less than a third of it.
const LONGEST: usize = 128;

/// The form of a thread's external id, as a regular expression.
pub(super) const PATTERN: &str = r"[CDG][A-Z0-9]{2,}:[0-9]+\.[0-9]+";

/// Reads the external id of a thread.
pub(super) fn parse(text: &str) -> Result<ExternalId, InvalidId> {
    let is_thread =
        |(channel, ts)| text.len() <= LONGEST && is_channel(channel) && is_timestamp(ts);
    if text.split_once(':').is_some_and(is_thread) {
        return Ok(ExternalId::checked(text));
    }
    Err(InvalidId::new(
        "a Slack external id is {channel}:{thread root ts}, such as C9DDYQ1B4:1779146751.061339",
    ))
}

/// Reads what a person has: the id, or the link of a message. A timestamp of another length is one that a
/// spreadsheet took for a number: it names no message.
pub(super) fn read_typed(text: &str) -> Result<TypedId, InvalidId> {
    let text = text.trim();
    let id = if text.contains("://") {
        linked(text).ok_or_else(|| {
            InvalidId::new(
                "this link leads to no Slack message; copy the link of a message in the thread",
            )
        })?
    } else {
        parse(text)?
    };
    let digits = |part: Option<&str>| part.unwrap_or_default().len();
    let (_, ts) = id.as_str().split_once(':').unwrap_or_default();
    let mut parts = ts.split('.');
    if (digits(parts.next()), digits(parts.next())) == (SECONDS, FRACTION) {
        return Ok(TypedId::Id(id));
    }
    Err(InvalidId::new(format!(
        "a Slack timestamp has ten digits, a dot and six digits, such as 1779146751.061339, and {ts} has \
         not: a spreadsheet drops zeros at the end, unless its column holds text"
    )))
}

/// True if `text` is a conversation id: `C`, `G` or `D` and at least two capitals or digits.
pub fn is_channel(text: &str) -> bool {
    let mut bytes = text.bytes();
    matches!(bytes.next(), Some(b'C' | b'G' | b'D'))
        && (3..=LONGEST).contains(&text.len())
        && bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// True if `text` is a message timestamp: digits, a dot, digits. It always stays a string.
pub(super) fn is_timestamp(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.')
        .is_some_and(|(seconds, rest)| digits(seconds) && digits(rest))
}

/// The thread of `https://acme.slack.com/archives/C9DDYQ1B4/p1779146751061339?thread_ts=1779146751.061339`,
/// or of the address that the browser shows:
/// `https://app.slack.com/client/T1/C9DDYQ1B4/thread/C9DDYQ1B4-1779146751.061339`.
pub(super) fn linked(url: &str) -> Option<ExternalId> {
    let (_, rest) = url.split_once("://")?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parts: Vec<&str> = path.split(['/', '#']).collect();
    let at = parts.iter().position(|part| is_channel(part))?;
    let (channel, parts) = (parts[at], &parts[at..]);
    // Of a reply, the root of its thread counts.
    let root = query
        .split(['&', '#'])
        .find_map(|pair| pair.strip_prefix("thread_ts="));
    let thread = || {
        let mut after_channel = parts.iter().filter_map(|part| part.strip_prefix(channel));
        after_channel.find_map(|rest| rest.strip_prefix('-'))
    };
    let ts = match root.or_else(thread) {
        Some(ts) => ts.to_owned(),
        None => parts.iter().find_map(|part| message_ts(part))?,
    };
    parse(&format!("{channel}:{ts}")).ok()
}

/// Reads `p1779146751061339` as `1779146751.061339`.
fn message_ts(part: &str) -> Option<String> {
    let digits = part.strip_prefix('p')?;
    if digits.len() <= FRACTION || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (seconds, fraction) = digits.split_at(digits.len() - FRACTION);
    Some(format!("{seconds}.{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_a_channel_and_a_timestamp() {
        assert!(parse("C9DDYQ1B4:1779146751.061339").is_ok());
        assert!(parse("C111:1.2").is_ok());
        for bad in [
            "",
            "C1:1.2",
            "c111:1.2",
            "C111:1",
            "C111:1.",
            "C111:.1",
            "U111:1.2",
            "C111:1.2:3",
            "C111:1e9.0",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_person_names_a_thread_by_its_id_or_by_a_link() {
        let id = "C9DDYQ1B4:1779146751.061339";
        for (typed, expected) in [
            (id, Some(id)),
            (" C9DDYQ1B4:1779146751.061339\n", Some(id)),
            (
                "https://acme.slack.com/archives/C9DDYQ1B4/p1779146751061339",
                Some(id),
            ),
            (
                "https://acme.slack.com/archives/C9DDYQ1B4/p1779146800000100?thread_ts=1779146751.061339&cid=C9DDYQ1B4",
                Some(id),
            ),
            (
                "https://acme.slack.com/archives/C9DDYQ1B4/p1779146800000100?cid=C9DDYQ1B4&thread_ts=1779146751.061339",
                Some(id),
            ),
            (
                "https://app.slack.com/client/T1/C9DDYQ1B4/thread/C9DDYQ1B4-1779146751.061339",
                Some(id),
            ),
            ("C9DDYQ1B4:1779146751.0613", None),
            ("C9DDYQ1B4:1779146751.0613390", None),
            ("C9DDYQ1B4:179146751.061339", None),
            ("C9DDYQ1B4:1779146751", None),
            ("C9DDYQ1B4:1779146751,061339", None),
            ("C9DDYQ1B4:1.779146751061339E9", None),
            ("c9ddyq1b4:1779146751.061339", None),
            ("https://acme.slack.com/archives/C9DDYQ1B4", None),
            (
                "https://acme.slack.com/archives/C9DDYQ1B4/p17791467510613",
                None,
            ),
            ("6f1d0c93db2a6410c7e3f4a2ce9619aa", None),
            ("INC0010421", None),
            ("", None),
        ] {
            let read = read_typed(typed).ok().map(|typed| typed.to_string());
            assert_eq!(read.as_deref(), expected, "{typed:?}");
        }
    }

    #[test]
    fn a_channel_is_short_enough_for_every_index() {
        let of = |length: usize| "C".repeat(length);
        for (id, expected) in [
            (of(2), false),
            (of(3), true),
            (of(128), true),
            (of(129), false),
            ("C11\u{0}".to_owned(), false),
        ] {
            assert_eq!(is_channel(&id), expected, "{id}");
        }
    }
}
