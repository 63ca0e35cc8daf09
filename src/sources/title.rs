//! What people call an external ticket: read from its object, for a person who has to map it.
//!
//! Invariant: for people only. Nothing is decided by it, and what cannot be read is left out.

use serde_json::value::RawValue;

use super::lookup::{member, string};
use super::servicenow;
use crate::domain::ids::SourceKind;

/// Characters of a title that are kept.
const WIDTH: usize = 120;

/// What people call an external ticket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Title {
    /// The number in the system itself, such as `INC0081927`.
    pub number: Option<String>,
    /// One line that says what it is about.
    pub title: Option<String>,
}

/// Reads the title of `object`, which a source of this kind sent.
pub fn title(kind: SourceKind, object: &[u8]) -> Title {
    let Ok(object) = serde_json::from_slice::<&RawValue>(object) else {
        return Title::default();
    };
    match kind {
        SourceKind::ServiceNow => servicenow::title::of(object.get()),
        SourceKind::Slack => Title {
            number: None,
            title: slack(object.get()),
        },
    }
}

/// The first line of a message.
fn slack(message: &str) -> Option<String> {
    let text = string(member(message, "text").ok()??)?;
    // Slack escapes these three and no others.
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    line(&text.replace("&amp;", "&"))
}

/// The first line of `text` that says something, shortened.
pub(super) fn line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    if line.chars().count() <= WIDTH {
        return Some(line.to_owned());
    }
    let kept: String = line.chars().take(WIDTH - 1).collect();
    Some(format!("{}…", kept.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: SourceKind, object: &str) -> (Option<String>, Option<String>) {
        let Title { number, title } = title(kind, object.as_bytes());
        (number, title)
    }

    fn pair(number: &str, title: &str) -> (Option<String>, Option<String>) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (some(number), some(title))
    }

    #[test]
    fn a_record_has_its_number_and_short_description_in_every_value_mode() {
        for (object, number, title) in [
            (
                r#"{"number":"INC1","short_description":" No mail\nsince noon "}"#,
                "INC1",
                "No mail",
            ),
            (
                r#"{"number":{"value":"INC1","display_value":"x"},"short_description":{"display_value":"No mail"}}"#,
                "INC1",
                "No mail",
            ),
            (r#"{"number":"","short_description":null}"#, "", ""),
            (
                r#"{"number":"A","number":"B","short_description":"t"}"#,
                "",
                "t",
            ),
            ("{}", "", ""),
            ("[]", "", ""),
            ("no JSON", "", ""),
        ] {
            assert_eq!(
                read(SourceKind::ServiceNow, object),
                pair(number, title),
                "{object}"
            );
        }
    }

    #[test]
    fn a_message_has_its_first_line_without_slacks_escapes() {
        for (object, title) in [
            (r#"{"text":"\n  a &lt;b&gt; &amp; c\nmore"}"#, "a <b> & c"),
            (r#"{"text":"&amp;lt;"}"#, "&lt;"),
            (r#"{"text":""}"#, ""),
            (r#"{"text":7}"#, ""),
            ("{}", ""),
        ] {
            assert_eq!(read(SourceKind::Slack, object), pair("", title), "{object}");
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(line(&"ä".repeat(WIDTH)).unwrap(), "ä".repeat(WIDTH));
        let cut = line(&"ä".repeat(WIDTH + 1)).unwrap();
        assert_eq!(cut.chars().count(), WIDTH);
        assert!(cut.ends_with('…'));
    }
}
