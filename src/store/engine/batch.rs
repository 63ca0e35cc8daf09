//! Several statements that run after each other.
//!
//! For `SQLite` they go in one round trip to sqlx's thread. A round trip costs two context switches, as much as
//! storing several rows. For Postgres see [`joined`](super::joined).

use super::value::{Kind, Value};

/// Statements with their bound values.
///
/// The placeholders are plain `?`: sqlx counts those over all statements. Numbered ones would count
/// from 1 in each statement.
#[derive(Default)]
pub(crate) struct Batch {
    pub(super) parts: Vec<Part>,
    pub(super) values: Vec<Value>,
}

/// One statement of a batch.
pub(super) struct Part {
    pub(super) text: &'static str,
    /// The statement for Postgres, if it has values for many rows.
    pub(super) arrays: Option<Arrays>,
    /// The only table that it reads and writes; `None`: not known.
    pub(super) table: Option<&'static str>,
    /// Index of its first value.
    pub(super) first: usize,
    /// Number of placeholders at its end that are left over, and have NULL.
    pub(super) unused: usize,
}

/// A statement that takes each column of its rows as an array.
#[derive(Clone, Copy)]
pub(super) struct Arrays {
    pub(super) text: &'static str,
    pub(super) columns: &'static [Kind],
}

impl Batch {
    /// Adds a statement.
    pub(crate) fn push(&mut self, text: &'static str) {
        self.add(text, None, None);
    }

    /// Adds a statement that reads and writes no table but this one.
    pub(crate) fn push_to(&mut self, table: &'static str, text: &'static str) {
        self.add(text, None, Some(table));
    }

    pub(super) fn add(
        &mut self,
        text: &'static str,
        arrays: Option<Arrays>,
        table: Option<&'static str>,
    ) {
        self.parts.push(Part {
            text,
            arrays,
            table,
            first: self.values.len(),
            unused: 0,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Binds the next placeholder.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) {
        self.values.push(value.into());
    }

    /// Reserves memory for this many more placeholders.
    pub(super) fn reserve(&mut self, placeholders: usize) {
        self.values.reserve(placeholders);
    }

    /// Leaves that many placeholders of the last statement without a value.
    pub(super) fn leave(&mut self, placeholders: usize) {
        if let Some(part) = self.parts.last_mut() {
            part.unused = placeholders;
            self.values
                .extend(std::iter::repeat_n(Value::Null, placeholders));
        }
    }

    /// Number of bound placeholders.
    pub(super) fn bound(&self) -> usize {
        self.values.len()
    }

    /// Returns the statements as one text, and a value for each placeholder.
    pub(super) fn joined(self) -> (String, Vec<Value>) {
        let length = self.parts.iter().map(|part| part.text.len() + 2).sum();
        let mut text = String::with_capacity(length);
        for part in &self.parts {
            if !text.is_empty() {
                text.push_str(";\n");
            }
            text.push_str(part.text);
        }
        (text, self.values)
    }
}
