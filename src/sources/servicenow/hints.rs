//! What senders say about a record beside its columns: its table, and what happened to it.
//!
//! Invariant: every word of a sender is understood or passed over; only the `operation` of an
//! envelope has to be one that we know.

use serde_json::value::RawValue;

use super::values::Field;

/// Where a record's table and operation may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hints {
    /// In the envelope only: the record's columns are columns.
    Envelope,
    /// Beside the record's columns too, as senders of bare records put them.
    Record,
}

/// What happened to the record.
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
    /// `events` with a word that we know. Senders invent names for events; a strange one is fine.
    pub(super) fn of_envelope(
        operation: Option<&RawValue>,
        events: [Option<&RawValue>; 3],
    ) -> Result<Option<Self>, serde_json::Error> {
        let field = Field::read(operation)?;
        if let Some(word) = field.text().filter(|text| !text.trim().is_empty()) {
            return Ok(Some(Self::parse(word).unwrap_or(Self::Other)));
        }
        for event in events {
            let known = Field::read(event)?.text().and_then(Self::parse);
            if known.is_some() {
                return Ok(known);
            }
        }
        Ok(None)
    }

    /// Reads the same keys among a record's columns, where they may be columns of that name.
    pub(super) fn of_record(
        operation: Option<&RawValue>,
        event_type: Option<&RawValue>,
    ) -> Result<Option<Self>, serde_json::Error> {
        let operation = Field::read(operation)?.text().and_then(Self::parse);
        if operation.is_some() {
            return Ok(operation);
        }
        Ok(Field::read(event_type)?.text().and_then(Self::parse))
    }
}

/// The text of `table`, else of `table_name`.
pub(super) fn table_text(
    table: Option<&RawValue>,
    table_name: Option<&RawValue>,
) -> Result<Option<String>, serde_json::Error> {
    for key in [table, table_name] {
        let field = Field::read(key)?;
        if let Some(text) = field.text().filter(|text| !text.trim().is_empty()) {
            return Ok(Some(text.to_owned()));
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
