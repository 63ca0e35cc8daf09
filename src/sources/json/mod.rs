//! Reading JSON without printing it again: single values, members by name, and the fields to drop.

pub(super) mod drop_fields;
pub(super) mod field;
pub(super) mod lookup;
pub(crate) mod members;
