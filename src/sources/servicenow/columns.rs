//! The columns of a record that are read.

use serde::Deserialize;
use serde_json::error::Category;

use crate::sources::json::field::Field;
use crate::sources::source::Unreadable;

/// The columns, not parsed yet. One `borrow` ties the lifetimes of all the fields.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Columns<'a> {
    #[serde(borrow)]
    pub(super) sys_id: Field<'a>,
    pub(super) sys_class_name: Field<'a>,
    pub(super) number: Field<'a>,
    pub(super) sys_mod_count: Field<'a>,
    pub(super) sys_updated_on: Field<'a>,
    pub(super) sys_updated_by: Field<'a>,
    #[serde(rename = "__status")]
    pub(super) status: Field<'a>,
    #[serde(rename = "__error")]
    pub(super) error: Field<'a>,
    pub(super) table: Field<'a>,
    pub(super) table_name: Field<'a>,
    pub(super) table_sys_id: Field<'a>,
    pub(super) operation: Field<'a>,
    pub(super) event_type: Field<'a>,
}

/// The fault of JSON that parses, without its content. The position that serde gives is left out: it
/// counts from the start of a part.
pub(super) fn unreadable(place: &str, error: &serde_json::Error) -> Unreadable {
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or_default();
    Unreadable::Body(match error.classify() {
        Category::Data => format!("{place} has a {problem}"),
        Category::Io | Category::Syntax | Category::Eof => {
            format!("not JSON: {problem} in a key of {place}")
        }
    })
}
