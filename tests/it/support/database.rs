//! The database of a daemon or a store, as a test looks into it from beside, on either engine.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, FromRow};

use super::eventually;

/// The lock that a transaction of the store holds on Postgres.
const TURN: &str = "SELECT pg_advisory_xact_lock(x'73657276616c01'::bigint)";

/// A connection of the test's own.
pub(crate) enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// The values of a row: a tuple.
pub(crate) trait Values: OfSqlite + OfPostgres {}

impl<T: OfSqlite + OfPostgres> Values for T {}

pub(crate) trait OfSqlite: for<'r> FromRow<'r, SqliteRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin> OfSqlite for T {}

pub(crate) trait OfPostgres: for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, PgRow> + Send + Unpin> OfPostgres for T {}

impl Database {
    pub(crate) async fn open(url: &str) -> Self {
        if url.starts_with("postgres://") {
            let mut connection = PgConnection::connect(url).await.unwrap();
            // As if another replica wrote.
            let replica = sqlx::raw_sql("SET serval.replica = 'test'");
            replica.execute(&mut connection).await.unwrap();
            Self::Postgres(connection)
        } else {
            Self::Sqlite(SqliteConnection::connect(url).await.unwrap())
        }
    }

    /// Opens one, and keeps everybody else from writing until it is closed.
    pub(crate) async fn hold(url: &str) -> Self {
        let mut database = Self::open(url).await;
        match &database {
            Self::Sqlite(_) => database.run("BEGIN IMMEDIATE").await,
            Self::Postgres(_) => database.run(format!("BEGIN; {TURN}")).await,
        };
        database
    }

    /// Runs statements; answers how many rows they changed.
    pub(crate) async fn run(&mut self, statements: impl Into<String>) -> u64 {
        let statements = sqlx::raw_sql(AssertSqlSafe(statements.into()));
        match self {
            Self::Sqlite(connection) => {
                let done = statements.execute(connection).await;
                done.unwrap().rows_affected()
            }
            Self::Postgres(connection) => {
                let done = statements.execute(connection).await;
                done.unwrap().rows_affected()
            }
        }
    }

    /// The rows of a statement.
    pub(crate) async fn rows<T: Values>(&mut self, statement: impl Into<String>) -> Vec<T> {
        let statement = AssertSqlSafe(statement.into());
        match self {
            Self::Sqlite(connection) => {
                let rows = sqlx::query_as(statement).fetch_all(connection);
                rows.await.unwrap()
            }
            Self::Postgres(connection) => {
                let rows = sqlx::query_as(statement).fetch_all(connection);
                rows.await.unwrap()
            }
        }
    }

    /// The only value of the only row of a statement.
    pub(crate) async fn value<T>(&mut self, statement: impl Into<String>) -> T
    where
        (T,): Values,
    {
        let mut rows: Vec<(T,)> = self.rows(statement).await;
        assert_eq!(rows.len(), 1, "it has one row");
        rows.remove(0).0
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}

/// Runs statements on the database of a URL; answers how many rows they changed.
pub(crate) async fn run(url: &str, statements: impl Into<String>) -> u64 {
    let mut database = Database::open(url).await;
    let changed = database.run(statements).await;
    database.close().await;
    changed
}

/// The only value of a statement on the database of a URL.
pub(crate) async fn value<T>(url: &str, statement: impl Into<String>) -> T
where
    (T,): Values,
{
    let mut database = Database::open(url).await;
    let value = database.value(statement).await;
    database.close().await;
    value
}

/// Waits until the session of the replica that made the calls has ended, if the database is on a server, and has the
/// others take all replicas for dead.
pub(crate) async fn is_left(url: &str) {
    const SESSIONS: &str = "SELECT COUNT(*) FROM lead JOIN replicas ON replicas.id = lead.replica \
        JOIN pg_stat_activity AS a ON a.pid = backend AND a.backend_start = replicas.backend_start";
    if !url.starts_with("postgres://") {
        return;
    }
    let mut database = Database::open(url).await;
    eventually("the session of a dead process ends", async || {
        (database.value::<i64>(SESSIONS).await == 0).then_some(())
    })
    .await;
    database.run("DELETE FROM replicas").await;
    database.close().await;
}

/// Has the database refuse what is done to a row, such as `DELETE ON events`, where a condition holds.
pub(crate) async fn refuse(url: &str, what: &str, when: &str) {
    let trigger = if url.starts_with("postgres://") {
        format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE 'refused by a test' USING ERRCODE = 'check_violation'; END $$;
             CREATE TRIGGER refuse BEFORE {what} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
        )
    } else {
        format!(
            "CREATE TRIGGER refuse BEFORE {what} WHEN {when}
             BEGIN SELECT RAISE(ABORT, 'refused by a test'); END"
        )
    };
    run(url, trigger).await;
}

/// Ends what [`refuse`] began on a table.
pub(crate) async fn refuse_no_more(url: &str, table: &str) {
    let on = if url.starts_with("postgres://") {
        format!("ON {table}")
    } else {
        String::new()
    };
    run(url, format!("DROP TRIGGER refuse {on}")).await;
}
