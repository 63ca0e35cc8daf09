//! Connections, and how statements run on them.

use std::borrow::Cow;

use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool};

use super::batch::Batch;
use super::dialect;
use super::joined::{Statement, statements};
use super::readers::{Readers, Reading};
use super::row::Row;
use super::server::{Begun, Said, Server};
use super::value::{Value, add_values, for_sqlite};
use crate::store::error::StoreError;

/// Begins a transaction that may write.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";

/// The connection that writes.
pub(crate) enum Conn {
    Sqlite(SqliteConnection),
    Postgres(Box<Server>),
}

/// Connection or pool on which a statement runs.
pub(crate) enum Via<'c> {
    Sqlite(&'c mut SqliteConnection),
    SqlitePool(&'c SqlitePool),
    Postgres(&'c mut PgConnection),
    PostgresPool(&'c PgPool),
}

impl Conn {
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => sqlx::Connection::close(connection).await?,
            Self::Postgres(server) => server.close().await?,
        }
        Ok(())
    }

    /// True if other processes write to the database, too.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Begins a transaction. Other processes write no import to a file.
    pub(crate) async fn begin(&mut self) -> Result<Begun, StoreError> {
        const LAST: &str = "\
            -- store::conn::last_event
            SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'events'";
        match self {
            Self::Sqlite(connection) => {
                Via::Sqlite(connection).run(BEGIN, Vec::new()).await?;
                let last = Via::Sqlite(connection).fetch_optional(LAST, Vec::new());
                let last_event = last.await?.map_or(Ok(0), |row| row.get(0))?;
                let is_importing = false;
                Ok(Begun {
                    last_event,
                    is_importing,
                    revision: 0,
                })
            }
            Self::Postgres(server) => server.begin().await,
        }
    }

    /// Runs the last statements of a transaction and commits it. `last` is the number of the last event.
    pub(crate) async fn commit(
        &mut self,
        mut before: Batch,
        last: i64,
        said: Said,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => {
                before.push("COMMIT");
                self.run_batch(before).await
            }
            Self::Postgres(_) => {
                self.run_batch(before).await?;
                let Self::Postgres(server) = self else {
                    return Ok(());
                };
                server.commit(last, said).await
            }
        }
    }

    /// True if the connection to a server failed, so that the next write needs another one.
    pub(crate) fn is_broken(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(server) => server.is_broken(),
        }
    }

    /// Gives up a connection to a server that does not answer.
    pub(crate) fn give_up(&mut self) {
        if let Self::Postgres(server) = self {
            server.give_up();
        }
    }

    /// Rolls back. `SQLite` may have done so by itself; then the statement fails, which is fine.
    pub(crate) async fn roll_back(&mut self) {
        match self {
            Self::Sqlite(connection) => {
                drop(Via::Sqlite(connection).run("ROLLBACK", Vec::new()).await);
            }
            Self::Postgres(server) => server.roll_back().await,
        }
    }

    /// Runs the statements.
    pub(crate) async fn run_batch(&mut self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        match self {
            Self::Sqlite(connection) => {
                let (text, values) = batch.joined();
                Via::Sqlite(connection).run(text, values).await?;
            }
            Self::Postgres(server) => {
                for Statement {
                    text, arguments, ..
                } in statements(batch)?
                {
                    let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                    query.execute(&mut server.connection).await?;
                }
            }
        }
        Ok(())
    }

    /// Runs the statements and returns the rows of all of them.
    pub(crate) async fn fetch_batch(&mut self, batch: Batch) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(connection) => {
                let (text, values) = batch.joined();
                Via::Sqlite(connection).fetch_all(text, values).await
            }
            Self::Postgres(server) => {
                let mut rows = Vec::new();
                for Statement {
                    text, arguments, ..
                } in statements(batch)?
                {
                    let query = sqlx::query_with(AssertSqlSafe(text), arguments);
                    let more = query.fetch_all(&mut server.connection).await?;
                    rows.extend(more.into_iter().map(Row::Postgres));
                }
                Ok(rows)
            }
        }
    }
}

impl<'c> From<&'c mut Conn> for Via<'c> {
    fn from(conn: &'c mut Conn) -> Self {
        match conn {
            Conn::Sqlite(connection) => Self::Sqlite(connection),
            Conn::Postgres(server) => Self::Postgres(&mut server.connection),
        }
    }
}

impl<'c> From<&'c Readers> for Via<'c> {
    fn from(readers: &'c Readers) -> Self {
        match readers {
            Readers::Sqlite(pool) => Self::SqlitePool(pool),
            Readers::Postgres(pool, ..) => Self::PostgresPool(pool),
        }
    }
}

impl<'c> From<&'c mut Reading> for Via<'c> {
    fn from(reading: &'c mut Reading) -> Self {
        match reading {
            Reading::Sqlite(transaction) => Self::Sqlite(transaction),
            Reading::Postgres(transaction) => Self::Postgres(transaction),
        }
    }
}

impl<'c> From<&'c mut SqliteConnection> for Via<'c> {
    fn from(connection: &'c mut SqliteConnection) -> Self {
        Self::Sqlite(connection)
    }
}

type Text = Cow<'static, str>;

fn sqlite(
    text: Text,
    values: Vec<Value>,
) -> Result<sqlx::query::Query<'static, Sqlite, SqliteArguments>, StoreError> {
    Ok(sqlx::query_with(AssertSqlSafe(text), for_sqlite(values)?))
}

fn postgres(
    text: &Text,
    values: &[Value],
) -> Result<sqlx::query::Query<'static, Postgres, PgArguments>, StoreError> {
    let text = dialect::postgres(text);
    let mut arguments = PgArguments::default();
    add_values(&mut arguments, values)?;
    Ok(sqlx::query_with(AssertSqlSafe(text), arguments))
}

impl Via<'_> {
    /// Runs a statement and returns the number of rows that it changed.
    pub(crate) async fn run(
        self,
        text: impl Into<Text>,
        values: Vec<Value>,
    ) -> Result<u64, StoreError> {
        let text = text.into();
        Ok(match self {
            Self::Sqlite(conn) => sqlite(text, values)?.execute(conn).await?.rows_affected(),
            Self::SqlitePool(pool) => sqlite(text, values)?.execute(pool).await?.rows_affected(),
            Self::Postgres(conn) => postgres(&text, &values)?
                .execute(conn)
                .await?
                .rows_affected(),
            Self::PostgresPool(pool) => postgres(&text, &values)?
                .execute(pool)
                .await?
                .rows_affected(),
        })
    }

    /// Runs a statement and returns all its rows.
    pub(crate) async fn fetch_all(
        self,
        text: impl Into<Text>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let text = text.into();
        let of_sqlite = |rows: Vec<_>| rows.into_iter().map(Row::Sqlite).collect();
        let of_postgres = |rows: Vec<_>| rows.into_iter().map(Row::Postgres).collect();
        Ok(match self {
            Self::Sqlite(conn) => of_sqlite(sqlite(text, values)?.fetch_all(conn).await?),
            Self::SqlitePool(pool) => of_sqlite(sqlite(text, values)?.fetch_all(pool).await?),
            Self::Postgres(conn) => of_postgres(postgres(&text, &values)?.fetch_all(conn).await?),
            Self::PostgresPool(pool) => {
                of_postgres(postgres(&text, &values)?.fetch_all(pool).await?)
            }
        })
    }

    /// Runs a statement and returns its first row, if there is one.
    pub(crate) async fn fetch_optional(
        self,
        text: impl Into<Text>,
        values: Vec<Value>,
    ) -> Result<Option<Row>, StoreError> {
        let text = text.into();
        Ok(match self {
            Self::Sqlite(conn) => {
                let row = sqlite(text, values)?.fetch_optional(conn).await?;
                row.map(Row::Sqlite)
            }
            Self::SqlitePool(pool) => {
                let row = sqlite(text, values)?.fetch_optional(pool).await?;
                row.map(Row::Sqlite)
            }
            // All rows: what is not fetched of a statement stands in the way of the next one.
            Self::Postgres(_) | Self::PostgresPool(_) => {
                self.fetch_all(text, values).await?.into_iter().next()
            }
        })
    }
}
