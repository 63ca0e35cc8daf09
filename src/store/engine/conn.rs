//! Connections, and how statements run on them.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::row::Row;
use super::value::{Value, arguments};
use crate::store::error::StoreError;

/// The connection that writes.
pub(crate) struct Conn(SqliteConnection);

/// The connections that read. Clones share them.
#[derive(Clone)]
pub(crate) struct Readers(SqlitePool);

/// Reads that see the database as it was at the first of them. Ends when it is dropped.
pub(crate) struct Reading(Transaction<'static, Sqlite>);

/// Connection or pool on which a statement runs.
pub(crate) enum Via<'c> {
    Conn(&'c mut SqliteConnection),
    Readers(&'c SqlitePool),
}

impl Conn {
    pub(crate) fn new(connection: SqliteConnection) -> Self {
        Self(connection)
    }

    /// The connection to a file, for what only `SQLite` can do.
    pub(crate) fn sqlite(&mut self) -> &mut SqliteConnection {
        &mut self.0
    }

    pub(crate) async fn close(self) -> Result<(), StoreError> {
        Ok(sqlx::Connection::close(self.0).await?)
    }
}

impl Readers {
    pub(crate) fn new(pool: SqlitePool) -> Self {
        Self(pool)
    }

    #[expect(clippy::disallowed_methods, reason = "it only reads")]
    pub(crate) async fn begin(&self) -> Result<Reading, StoreError> {
        Ok(Reading(self.0.begin().await?))
    }

    pub(crate) async fn close(&self) {
        self.0.close().await;
    }
}

impl<'c> From<&'c mut Conn> for Via<'c> {
    fn from(conn: &'c mut Conn) -> Self {
        Self::Conn(&mut conn.0)
    }
}

impl<'c> From<&'c Readers> for Via<'c> {
    fn from(readers: &'c Readers) -> Self {
        Self::Readers(&readers.0)
    }
}

impl<'c> From<&'c mut Reading> for Via<'c> {
    fn from(reading: &'c mut Reading) -> Self {
        Self::Conn(&mut reading.0)
    }
}

impl<'c> From<&'c mut SqliteConnection> for Via<'c> {
    fn from(connection: &'c mut SqliteConnection) -> Self {
        Self::Conn(connection)
    }
}

impl Via<'_> {
    /// Runs a statement, or several in one text, and returns the number of rows that they changed.
    pub(crate) async fn run(
        self,
        text: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(text.into()), arguments(values)?);
        let done = match self {
            Self::Conn(connection) => query.execute(connection).await?,
            Self::Readers(pool) => query.execute(pool).await?,
        };
        Ok(done.rows_affected())
    }

    /// Runs a statement, or several in one text, and returns all their rows.
    pub(crate) async fn fetch_all(
        self,
        text: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(text.into()), arguments(values)?);
        let rows = match self {
            Self::Conn(connection) => query.fetch_all(connection).await?,
            Self::Readers(pool) => query.fetch_all(pool).await?,
        };
        Ok(rows.into_iter().map(Row).collect())
    }

    /// Runs a statement and returns its first row, if there is one.
    pub(crate) async fn fetch_optional(
        self,
        text: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(text.into()), arguments(values)?);
        let row = match self {
            Self::Conn(connection) => query.fetch_optional(connection).await?,
            Self::Readers(pool) => query.fetch_optional(pool).await?,
        };
        Ok(row.map(Row))
    }
}
