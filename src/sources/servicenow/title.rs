//! What people call a record: its number and its short description, in any value mode.

use super::values::Field;
use crate::sources::lookup::member;
use crate::sources::title::{Title, line};

/// The title of a record.
pub(in crate::sources) fn of(record: &str) -> Title {
    Title {
        number: column(record, "number"),
        title: column(record, "short_description"),
    }
}

fn column(record: &str, name: &str) -> Option<String> {
    let raw = member(record, name).ok()??;
    line(Field::read(Some(raw)).ok()?.text()?)
}
