//! Rows of results.

use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row as _, Sqlite, Type};

use crate::store::error::StoreError;

/// A row of a result.
pub(crate) struct Row(pub(super) SqliteRow);

/// A type that a column can have, by itself or as an `Option`: `i64`, `bool`, `String`, `Vec<u8>`.
pub(crate) trait Stored: for<'r> Decode<'r, Sqlite> + Type<Sqlite> {}

impl<T: for<'r> Decode<'r, Sqlite> + Type<Sqlite>> Stored for T {}

impl Row {
    /// Returns the value of a column, counted from 0. Fails if it is of another type.
    pub(crate) fn get<T: Stored>(&self, index: usize) -> Result<T, StoreError> {
        Ok(self.0.try_get(index)?)
    }
}
