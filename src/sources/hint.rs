//! Hints: texts in a payload that may name a Serval ticket.
//!
//! Invariant: a hint has the form of a ticket id or of a friendly identifier (`ACM-10`); nothing else
//! is known about it. A URL is read only by the pattern that the operator configured.

use regex::Regex;

use super::invalid::InvalidKey;
use super::policy::SourcePolicy;
use crate::domain::ids::ServalTicketId;

/// The named group of `ticket_url_pattern`.
const GROUP: &str = "ticket_id";

/// A longer text is not read: no column and no link with a ticket id is that long.
const MAX_TEXT_BYTES: usize = 4096;

/// Reads the texts of one source.
#[derive(Debug)]
pub(super) struct HintReader {
    url_pattern: Option<Regex>,
}

impl HintReader {
    /// Takes the source's `ticket_url_pattern`.
    pub(super) fn try_new(policy: &SourcePolicy) -> Result<Self, InvalidKey> {
        let pattern = policy.ticket_url_pattern.as_deref();
        Self::for_pattern(pattern).map_err(|problem| InvalidKey::new("ticket_url_pattern", problem))
    }

    fn for_pattern(pattern: Option<&str>) -> Result<Self, String> {
        let url_pattern = pattern.map(compile).transpose()?;
        Ok(Self { url_pattern })
    }

    /// True if URLs can be read at all.
    pub(super) fn reads_urls(&self) -> bool {
        self.url_pattern.is_some()
    }

    /// Reads a text that stands for a ticket: a URL, an id or a friendly identifier. A placeholder
    /// gives nothing.
    pub(super) fn text(&self, text: &str) -> Option<ServalTicketId> {
        let text = text.trim();
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        // A URL that the pattern does not know is not taken for an id, whatever it looks like.
        match self.group(text) {
            Some(id) => id.parse().ok(),
            None if text.contains("://") => None,
            None => text.parse().ok(),
        }
    }

    /// Reads one of the many links that a message may have: by the pattern only.
    pub(super) fn url(&self, url: &str) -> Option<ServalTicketId> {
        let url = url.trim();
        if url.len() > MAX_TEXT_BYTES {
            return None;
        }
        self.group(url)?.parse().ok()
    }

    fn group<'t>(&self, text: &'t str) -> Option<&'t str> {
        let captures = self.url_pattern.as_ref()?.captures(text)?;
        Some(captures.name(GROUP)?.as_str().trim())
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let regex = Regex::new(pattern).map_err(|error| {
        // The lines before the last show the pattern.
        let text = error.to_string();
        let problem = text.lines().next_back().unwrap_or_default();
        let problem = problem.strip_prefix("error: ").unwrap_or(problem);
        format!("no regular expression: {problem}")
    })?;
    if regex.capture_names().flatten().any(|name| name == GROUP) {
        Ok(regex)
    } else {
        Err(format!(
            "no group named {GROUP}: mark the part of the URL that is the id with (?<{GROUP}>…)"
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    const PATTERN: &str = r"^https://app\.serval\.com/[^?#]*/tickets/(?<ticket_id>[^/?#]+)";

    fn reader() -> HintReader {
        HintReader::for_pattern(Some(PATTERN)).unwrap()
    }

    #[test]
    fn a_text_is_an_id_a_friendly_identifier_or_a_url_that_the_pattern_knows() {
        let plain = HintReader::for_pattern(None).unwrap();
        let long = "x".repeat(200);
        let padded = format!("{}ACM-10", " ".repeat(5000));
        let far = format!("https://app.serval.com/{}/tickets/1", "x".repeat(5000));
        for (text, with_pattern, without) in [
            ("ACM-10", Some("ACM-10"), Some("ACM-10")),
            (" \u{a0}acm-10\r\n", Some("acm-10"), Some("acm-10")),
            (padded.as_str(), Some("ACM-10"), Some("ACM-10")),
            (
                "0197c2e4-55aa",
                Some("0197c2e4-55aa"),
                Some("0197c2e4-55aa"),
            ),
            ("", None, None),
            (" ", None, None),
            ("---waiting---", None, None),
            ("N/A", None, None),
            ("None", None, None),
            ("NULL", None, None),
            ("undefined", None, None),
            ("two words", None, None),
            ("\u{fc}", None, None),
            ("..", None, None),
            (long.as_str(), None, None),
            (far.as_str(), None, None),
            (
                "https://app.serval.com/ACM/tickets/ACM-10",
                Some("ACM-10"),
                None,
            ),
            (
                "https://app.serval.com/ACM/tickets/ACM-10?a=b#c",
                Some("ACM-10"),
                None,
            ),
            (
                "https://app.serval.com/ACM/tickets/---waiting---",
                None,
                None,
            ),
            ("https://app.serval.com/ACM/tickets/a%20b", None, None),
            ("https://app.serval.com/ACM", None, None),
            (
                "https://evil.example/https://app.serval.com/x/tickets/1",
                None,
                None,
            ),
            ("urn://x", None, None),
        ] {
            let read = |reader: &HintReader| reader.text(text).map(|id| id.to_string());
            assert_eq!(read(&reader()).as_deref(), with_pattern, "{text}");
            assert_eq!(read(&plain).as_deref(), without, "{text}");
        }
    }

    #[test]
    fn a_link_is_read_by_the_pattern_only() {
        for (url, expected) in [
            ("https://app.serval.com/ACM/tickets/ACM-10", Some("ACM-10")),
            ("ACM-10", None),
            ("https://example.com", None),
        ] {
            let read = |reader: &HintReader| reader.url(url).map(|id| id.to_string());
            assert_eq!(read(&reader()).as_deref(), expected);
            assert_eq!(read(&HintReader::for_pattern(None).unwrap()), None);
        }
    }

    #[test]
    fn the_pattern_that_is_tested_here_is_the_one_that_the_documents_show() {
        for (document, times) in [
            (include_str!("../../config/default.toml"), 2),
            (include_str!("../../config/example.toml"), 1),
            (include_str!("../../docs/mappings.md"), 2),
        ] {
            assert_eq!(document.matches(&format!("'{PATTERN}'")).count(), times);
            assert_eq!(document.matches("ticket_url_pattern = ").count(), times);
        }
    }

    #[test]
    fn a_group_that_takes_no_part_in_a_match_gives_nothing() {
        let reader = HintReader::for_pattern(Some("^x(?<ticket_id>[0-9]+)?")).unwrap();
        let read = |text: &str| reader.text(text).map(|id| id.to_string());
        assert_eq!(read("x12").as_deref(), Some("12"));
        assert_eq!(read("xy").as_deref(), Some("xy"));
        assert_eq!(read("x://12"), None);
    }

    #[test]
    fn a_pattern_that_could_not_work_is_refused_without_being_shown() {
        for (pattern, problem) in [
            ("sEcret(", "no regular expression: unclosed group"),
            ("(?<ticket>sEcret)", "no group named ticket_id"),
            ("sEcret", "no group named ticket_id"),
            (
                "(?<ticket_id>sEcret)(?=x)",
                "no regular expression: look-around",
            ),
            (
                "(?<ticket_id>(sEcret{1000}){1000})",
                "no regular expression: ",
            ),
        ] {
            let error = HintReader::for_pattern(Some(pattern)).unwrap_err();
            assert!(error.starts_with(problem), "{error}");
            assert!(
                !error.contains("sEcret") && !error.contains('\n'),
                "{error}"
            );
        }
        for pattern in ["(?P<ticket_id>x)", "(?i)(?<ticket_id>\\w+-\\d+)"] {
            HintReader::for_pattern(Some(pattern)).unwrap();
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            reader().text(&text);
            reader().url(&text);
        }
    }
}
