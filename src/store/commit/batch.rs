//! Several statements in one round trip to sqlx's `SQLite` thread. A round trip costs two context
//! switches, as much as storing several rows.

use std::sync::Arc;

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

use crate::store::error::StoreError;

/// Statements with their bound values.
///
/// The placeholders are plain `?`: sqlx counts those over all statements. Numbered ones would count
/// from 1 in each statement.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    statements: String,
    arguments: SqliteArguments,
}

impl Batch {
    /// Adds a statement.
    pub(crate) fn push(&mut self, statement: &str) {
        if !self.statements.is_empty() {
            self.statements.push_str(";\n");
        }
        self.statements.push_str(statement);
    }

    /// Binds the next placeholder.
    pub(crate) fn bind<'t, T>(&mut self, value: T) -> Result<(), StoreError>
    where
        T: Encode<'t, Sqlite> + Type<Sqlite>,
    {
        self.arguments
            .add(value)
            .map_err(|error| sqlx::Error::Encode(error).into())
    }

    /// Binds the next placeholder to a text or NULL, with one copy of the text; sqlx makes two.
    pub(crate) fn bind_text<'t>(
        &mut self,
        text: impl Into<Option<&'t str>>,
    ) -> Result<(), StoreError> {
        self.bind(text.into().map(Arc::<str>::from))
    }

    /// Reserves memory for this many more placeholders.
    pub(crate) fn reserve(&mut self, placeholders: usize) {
        self.arguments.reserve(placeholders, 0);
    }

    /// Number of bound placeholders.
    pub(crate) fn bound(&self) -> usize {
        self.arguments.len()
    }

    /// Runs the statements. The connection keeps them prepared under their whole text.
    pub(crate) async fn run(self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        if !self.statements.is_empty() {
            sqlx::query_with(AssertSqlSafe(self.statements), self.arguments)
                .execute(connection)
                .await?;
        }
        Ok(())
    }

    /// Runs the statements and returns the rows of all of them.
    pub(crate) async fn fetch_all(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(self.statements), self.arguments);
        Ok(query.fetch_all(connection).await?)
    }
}
