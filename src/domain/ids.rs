//! Identifiers, each checked where it enters the program.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not the identifier it was given for. The message says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(String);

impl InvalidId {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// The system behind a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A `ServiceNow` instance.
    ServiceNow,
    /// A Slack workspace.
    Slack,
}

impl SourceKind {
    /// The word used in configuration and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceNow => "servicenow",
            Self::Slack => "slack",
        }
    }

    /// Reads an external id of this kind: a `sys_id` (32 hex digits, lower-cased) or a Slack
    /// `channel:thread_ts`.
    pub fn parse_external_id(self, text: &str) -> Result<ExternalId, InvalidId> {
        match self {
            Self::ServiceNow => sys_id(text),
            Self::Slack => slack_thread(text),
        }
    }
}

fn sys_id(text: &str) -> Result<ExternalId, InvalidId> {
    if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(ExternalId(text.to_ascii_lowercase()))
    } else {
        Err(InvalidId::new(
            "a ServiceNow external id is a sys_id: 32 hexadecimal digits",
        ))
    }
}

fn slack_thread(text: &str) -> Result<ExternalId, InvalidId> {
    let wrong = || {
        InvalidId::new(
            "a Slack external id is {channel}:{thread root ts}, such as C9DDYQ1B4:1779146751.061339",
        )
    };
    let (channel, ts) = text.split_once(':').ok_or_else(wrong)?;
    if text.len() <= 128 && is_slack_channel(channel) && is_slack_ts(ts) {
        Ok(ExternalId(text.to_owned()))
    } else {
        Err(wrong())
    }
}

/// Whether `text` is a Slack conversation id: `C`, `G` or `D` and at least two capitals or digits.
pub fn is_slack_channel(text: &str) -> bool {
    let mut bytes = text.bytes();
    matches!(bytes.next(), Some(b'C' | b'G' | b'D'))
        && text.len() >= 3
        && bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Whether `text` is a Slack message timestamp: digits, a dot, digits. It stays a string for ever.
pub fn is_slack_ts(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.')
        .is_some_and(|(seconds, rest)| digits(seconds) && digits(rest))
}

/// The name of a configured source, as in `[sources.<name>]` and `/webhooks/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SourceName(String);

impl SourceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of an external ticket over there, in its one spelling. Made by
/// [`SourceKind::parse_external_id`] or read back from the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ExternalId(String);

impl ExternalId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes an id that was checked when it was stored.
    pub(crate) fn from_store(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an event is about: a ticket in another system, named by source and external id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ExternalTicket {
    /// The configured source.
    pub source: SourceName,
    /// The id over there.
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

/// Texts that systems write while they have no id yet.
const PLACEHOLDERS: &[&str] = &["---waiting---", "null", "n/a", "none", "undefined"];

impl ServalTicketId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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

impl fmt::Display for ServalTicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
            .ok_or_else(|| InvalidId::new("an event id is evt_ and a number, such as evt_42"))
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
    fn external_ids_have_one_spelling() {
        let kind = SourceKind::ServiceNow;
        let id = kind
            .parse_external_id("6F1D0C93DB2A6410C7E3F4A2CE9619AA")
            .unwrap();
        assert_eq!(id.as_str(), "6f1d0c93db2a6410c7e3f4a2ce9619aa");
        for bad in [
            "",
            "6f1d",
            "6f1d0c93db2a6410c7e3f4a2ce9619ag",
            "6f1d0c93-db2a-6410-c7e3-f4a2ce9619a",
        ] {
            assert!(kind.parse_external_id(bad).is_err(), "{bad}");
        }
        let kind = SourceKind::Slack;
        assert!(
            kind.parse_external_id("C9DDYQ1B4:1779146751.061339")
                .is_ok()
        );
        assert!(kind.parse_external_id("C111:1.2").is_ok());
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
            assert!(kind.parse_external_id(bad).is_err(), "{bad}");
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
