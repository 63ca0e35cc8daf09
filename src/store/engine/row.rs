//! Rows of results.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Decode, Postgres, Row as _, Sqlite, Type, TypeInfo as _};

use crate::store::error::StoreError;

/// A row of a result.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A type that a column can have, by itself or as an `Option`: `i64`, `bool`, `String`, `Vec<u8>`.
pub(crate) trait Stored: OfSqlite + OfPostgres {}

impl<T: OfSqlite + OfPostgres> Stored for T {}

pub(crate) trait OfSqlite: for<'r> Decode<'r, Sqlite> + Type<Sqlite> {}

impl<T: for<'r> Decode<'r, Sqlite> + Type<Sqlite>> OfSqlite for T {}

pub(crate) trait OfPostgres: for<'r> Decode<'r, Postgres> + Type<Postgres> {}

impl<T: for<'r> Decode<'r, Postgres> + Type<Postgres>> OfPostgres for T {}

impl Row {
    /// Returns the value of a column, counted from 0. Fails if it is of another type.
    pub(crate) fn get<T: Stored>(&self, index: usize) -> Result<T, StoreError> {
        match self {
            Self::Sqlite(row) => Ok(row.try_get(index)?),
            // Of a few expressions, such as the length of a text, Postgres makes a shorter integer. It is read as
            // what the caller wants: the driver reads integers of any length.
            Self::Postgres(row) if row.try_column(index)?.type_info().name() == "INT4" => {
                Ok(row.try_get_unchecked(index)?)
            }
            Self::Postgres(row) => Ok(row.try_get(index)?),
        }
    }
}
