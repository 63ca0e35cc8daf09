//! Identifiers, each checked where it enters the program.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A text that is not the identifier it was given for. The message says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(String);

impl InvalidId {
    /// Says what would be one.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Gives a type that wraps a text access to it.
macro_rules! wraps_text {
    ($($name:ident),+) => {$(
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

wraps_text!(SourceName, ExternalId, ServalTicketId);

/// The name of a configured source, as in `[sources.<name>]` and `/webhooks/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SourceName(String);

impl FromStr for SourceName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(
                "a source name has 1 to 64 lower-case letters, digits, hyphens and underscores",
            ))
        }
    }
}

/// The id of an external ticket in its own system, in its one spelling: made by
/// [`Kind::parse_external_id`](crate::sources::Kind::parse_external_id), or read back from the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ExternalId(String);

impl ExternalId {
    /// Takes an id that its kind has checked, now or when it was stored.
    pub fn checked(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A ticket in another system, named by source and external id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ExternalTicket {
    /// The configured source.
    pub source: SourceName,
    /// The id in its own system.
    pub external_id: ExternalId,
}

impl fmt::Display for ExternalTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.external_id)
    }
}

/// The id of a Serval ticket: opaque, fit to stand in a URL path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ServalTicketId(String);

/// Texts that systems write before they have an id.
const PLACEHOLDERS: &[&str] = &["---waiting---", "null", "n/a", "none", "undefined"];

impl FromStr for ServalTicketId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed =
            |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b'\\' | b'?' | b'#' | b'%');
        if !(1..=128).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(InvalidId::new(
                "a Serval ticket id has 1 to 128 visible ASCII characters without space, / \\ ? # %",
            ));
        }
        // A dot segment would be resolved by every URL parser, encoded or not.
        if text == "." || text == ".." {
            return Err(InvalidId::new("a Serval ticket id is not a dot segment"));
        }
        if PLACEHOLDERS.iter().any(|p| p.eq_ignore_ascii_case(text)) {
            return Err(InvalidId::new(format!(
                "{text:?} is a placeholder, not a Serval ticket id"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Checks the id of a Serval message, which is opaque: 1 to 256 bytes without spaces, control
/// characters and semicolons, so that a list of them can be written in one cell.
pub fn check_message_id(text: &str) -> Result<(), InvalidId> {
    let refused = |c: char| c.is_whitespace() || c.is_control() || c == ';';
    if (1..=256).contains(&text.len()) && !text.contains(refused) {
        Ok(())
    } else {
        Err(InvalidId::new(
            "a Serval message id has 1 to 256 bytes without spaces, control characters and ;",
        ))
    }
}

/// The id of a stored event, written `evt_42`. Later events have larger numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub i64);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{}", self.0)
    }
}

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.strip_prefix("evt_")
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| InvalidId::new("an event id is evt_ and a number, such as evt_42; a list of events shows the ids"))
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serval_ticket_ids_are_checked_where_they_enter() {
        let long = "x".repeat(128);
        for good in [
            "9d385017-c611",
            "ACM-10",
            "a",
            "~!$&'()*+,;=:@",
            long.as_str(),
        ] {
            assert!(good.parse::<ServalTicketId>().is_ok(), "{good}");
        }
        let too_long = "x".repeat(129);
        for bad in [
            "",
            " ",
            "a b",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "a%2fb",
            ".",
            "..",
            "\u{e9}",
            "a\u{0}",
            "a\n",
            "---waiting---",
            "---WAITING---",
            "null",
            "Null",
            "N/A",
            "None",
            &too_long,
        ] {
            assert!(bad.parse::<ServalTicketId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn message_ids_fit_into_a_list() {
        for good in ["m", "msg-\u{e9}", "a,b", &"x".repeat(256)] {
            assert!(check_message_id(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a;b",
            "a\nb",
            "a\u{0}",
            "a\u{a0}b",
            &"x".repeat(257),
        ] {
            assert!(check_message_id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn event_ids_read_back_what_they_print() {
        assert_eq!("evt_42".parse::<EventId>().unwrap(), EventId(42));
        for bad in [
            "42",
            "evt_",
            "evt_-1",
            "evt_+1",
            "evt_99999999999999999999",
            "EVT_1",
        ] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }
}
