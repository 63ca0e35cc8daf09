//! Statements that share one journey to the connection's thread and back. A journey costs as much as
//! storing several rows: two threads fall asleep over it and are woken again.

use std::sync::Arc;

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

use super::error::StoreError;

/// Statements in their order, with what is bound to their placeholders.
///
/// The placeholders have no numbers: sqlx counts those without over all statements, and would have to
/// look up the names of the others.
#[derive(Debug, Default)]
pub(super) struct Batch {
    statements: String,
    arguments: SqliteArguments,
}

impl Batch {
    /// Adds a statement.
    pub(super) fn push(&mut self, statement: &str) {
        if !self.statements.is_empty() {
            self.statements.push_str(";\n");
        }
        self.statements.push_str(statement);
    }

    /// Binds the next placeholder.
    pub(super) fn bind<'t, T>(&mut self, value: T) -> Result<(), StoreError>
    where
        T: Encode<'t, Sqlite> + Type<Sqlite>,
    {
        self.arguments
            .add(value)
            .map_err(|error| sqlx::Error::Encode(error).into())
    }

    /// Binds the next placeholder to a text, or to NULL; of a text, sqlx's own way makes two copies.
    pub(super) fn bind_text<'t>(
        &mut self,
        text: impl Into<Option<&'t str>>,
    ) -> Result<(), StoreError> {
        self.bind(text.into().map(Arc::<str>::from))
    }

    /// Makes room for so many more placeholders.
    pub(super) fn reserve(&mut self, placeholders: usize) {
        self.arguments.reserve(placeholders, 0);
    }

    /// Placeholders that are bound.
    pub(super) fn bound(&self) -> usize {
        self.arguments.len()
    }

    /// Runs them, if there are any. The connection keeps the prepared statements, by the whole text.
    pub(super) async fn run(self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        if !self.statements.is_empty() {
            sqlx::query_with(AssertSqlSafe(self.statements), self.arguments)
                .execute(connection)
                .await?;
        }
        Ok(())
    }

    /// Runs them, and answers the rows of all of them.
    pub(super) async fn fetch_all(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(self.statements), self.arguments);
        Ok(query.fetch_all(connection).await?)
    }
}
