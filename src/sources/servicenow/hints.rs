//! Facts that senders add to a record: its table, and the operation that changed it.
//!
//! Invariant: a word that we do not know is ignored, except in the `operation` of an envelope.

use super::values::Column;
use crate::sources::json::field::Field;

/// The places where a record's table and operation may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hints {
    /// In the envelope only: the record's columns are columns.
    Envelope,
    /// Beside the record's columns too, as senders of bare records put them.
    Record,
}

/// The operation that changed the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Insert,
    Update,
    Delete,
    /// `query`, or a word of the `operation` key that we do not know.
    Other,
}

impl Operation {
    /// The word of ServiceNow's `current.operation()`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Other => "other",
        }
    }

    /// Reads a word such as `update`, `UPDATED` or `incident.updated`: the last part decides.
    fn parse(text: &str) -> Option<Self> {
        let last = text
            .trim()
            .rsplit(|c: char| !c.is_ascii_alphanumeric())
            .next();
        match last.unwrap_or_default().to_ascii_lowercase().as_str() {
            "insert" | "inserted" | "create" | "created" => Some(Self::Insert),
            "update" | "updated" => Some(Self::Update),
            "delete" | "deleted" => Some(Self::Delete),
            "query" => Some(Self::Other),
            _ => None,
        }
    }

    /// Reads the keys of an envelope: `operation`, where every word counts, then the first of
    /// `events` with a word that we know. Senders invent names for events; an unknown one is ignored.
    pub(super) fn of_envelope(
        operation: Field<'_>,
        events: [Field<'_>; 3],
    ) -> Result<Option<Self>, serde_json::Error> {
        let column = Column::read(operation)?;
        // Nobody writes this key by accident: an unknown word is an operation that we do not know.
        if let Some(word) = column.text().filter(|text| !text.trim().is_empty()) {
            return Ok(Some(Self::parse(word).unwrap_or(Self::Other)));
        }
        first(&events, Self::parse)
    }

    /// Reads the same keys among a record's columns, where they may be columns of that name.
    pub(super) fn of_record(
        operation: Field<'_>,
        event_type: Field<'_>,
    ) -> Result<Option<Self>, serde_json::Error> {
        first(&[operation, event_type], Self::parse)
    }
}

/// The first text of `fields` that is not blank.
pub(super) fn first_text(fields: &[Field<'_>]) -> Result<Option<String>, serde_json::Error> {
    first(fields, |text| {
        (!text.trim().is_empty()).then(|| text.to_owned())
    })
}

/// The first of `fields` that `read` understands.
fn first<T>(
    fields: &[Field<'_>],
    read: fn(&str) -> Option<T>,
) -> Result<Option<T>, serde_json::Error> {
    for field in fields {
        let found = Column::read(*field)?.text().and_then(read);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_word_decides() {
        for (text, expected) in [
            ("insert", Some(Operation::Insert)),
            ("incident.created", Some(Operation::Insert)),
            ("UPDATE", Some(Operation::Update)),
            ("sc_req_item_updated", Some(Operation::Update)),
            (" Deleted ", Some(Operation::Delete)),
            ("query", Some(Operation::Other)),
            ("incident.reopened", None),
            ("deleteded", None),
            ("", None),
            ("ü", None),
        ] {
            assert_eq!(Operation::parse(text), expected, "{text:?}");
        }
    }
}
