//! Addresses of pages.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::ids::EventId;

/// Characters that are percent-encoded in a segment of a path and in a value of a query.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// A text as a part of a path, or as a value of a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The page of an external ticket.
pub(crate) fn ticket(source: &str, external_id: &str) -> String {
    format!("/tickets/{}/{}", encode(source), encode(external_id))
}

/// The page of an event.
pub(crate) fn event(id: EventId) -> String {
    format!("/events/{id}")
}

/// A list with the filters that are set.
pub(crate) fn list(path: &str, filters: &[(&str, Option<&str>)]) -> String {
    let set = filters
        .iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    let query: Vec<String> = set
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

/// The path, if a browser may be sent to it: it is on this host.
pub(crate) fn own_path(path: &str) -> Option<&str> {
    let is_visible = path
        .bytes()
        .all(|b| (0x21..0x7f).contains(&b) && b != b'\\');
    (path.starts_with('/') && !path.starts_with("//") && is_visible).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_of_ours_is_not_followed() {
        for path in ["/", "/events?state=dead", "/tickets/slack/C1:1.2"] {
            assert_eq!(own_path(path), Some(path));
        }
        for foreign in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "\\\\evil",
            "javascript:alert(1)",
            "/a\r\nb",
            "/ä",
        ] {
            assert_eq!(own_path(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn filters_that_are_not_set_are_left_out() {
        let filters = [("a", Some("x y&z")), ("b", None), ("c", Some(""))];
        assert_eq!(list("/l", &filters), "/l?a=x%20y%26z");
        assert_eq!(list("/l", &[]), "/l");
        assert_eq!(ticket("slack", "C1:1.2/x"), "/tickets/slack/C1:1.2%2Fx");
    }
}
