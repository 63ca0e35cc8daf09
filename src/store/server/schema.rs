//! The schema of the database on a server: its version, and its migrations.
//!
//! A later version may migrate while this one runs: what it changes is such that this one goes on, or it raises the
//! setting `compatible_from`, the oldest schema version whose program may still write.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqlSafeStr as _};

use crate::store::engine::TURN;
use crate::store::error::{OpenError, StoreError};

/// Version, name and text of each migration, oldest first. A released migration is never changed.
const MIGRATIONS: &[(i64, &str, &str)] = &[(
    1,
    "store",
    include_str!("../../../migrations/postgres/0001_store.sql"),
)];

/// Returns the newest version that this program knows.
pub(super) fn newest_version() -> i64 {
    let versions = MIGRATIONS.iter().map(|(version, ..)| *version);
    versions.max().unwrap_or_default()
}

/// A schema that is in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schema {
    pub(super) version: i64,
    /// The oldest schema version whose program may write to it.
    pub(super) compatible_from: i64,
}

impl Schema {
    /// Reads the schema; `None` if there is none.
    pub(super) async fn read(connection: &mut PgConnection) -> Result<Option<Self>, StoreError> {
        const IS_THERE: &str = "\
            -- store::server_schema::is_there
            SELECT to_regclass('_sqlx_migrations') IS NOT NULL AND to_regclass('settings') IS NOT NULL";
        const SCHEMA: &str = "\
            -- store::server_schema::schema
            SELECT MAX(version), (SELECT value::bigint FROM settings WHERE key = 'compatible_from')
            FROM _sqlx_migrations WHERE success";
        let is_there = sqlx::query_scalar(IS_THERE);
        if !is_there.fetch_one(&mut *connection).await? {
            return Ok(None);
        }
        let schema: (Option<i64>, Option<i64>) =
            sqlx::query_as(SCHEMA).fetch_one(connection).await?;
        Ok(schema.0.map(|version| Self {
            version,
            compatible_from: schema.1.unwrap_or(version),
        }))
    }

    /// True if a program that knows no later version than `newest` may not write to it.
    fn is_too_new_for(self, newest: i64) -> bool {
        self.version > newest && self.compatible_from > newest
    }
}

/// The relation of a schema to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// The program can work with it.
    Good,
    /// Migrations are due: it is older, or missing.
    Older,
    /// A later version changed too much.
    Newer,
}

/// Tells whether this program can work with a schema.
pub(super) fn fit(schema: Option<Schema>) -> Fit {
    let newest = newest_version();
    match schema {
        Some(schema) if schema.is_too_new_for(newest) => Fit::Newer,
        Some(schema) if schema.version >= newest => Fit::Good,
        Some(_) | None => Fit::Older,
    }
}

/// Refuses a schema of a later version that shuts this one out.
pub(super) fn refuse_newer(schema: Option<Schema>, shown: &str) -> Result<(), OpenError> {
    match schema.filter(|_| fit(schema) == Fit::Newer) {
        None => Ok(()),
        Some(schema) => Err(OpenError::Newer {
            path: shown.to_owned(),
            version: schema.version,
            newest: newest_version(),
        }),
    }
}

/// Brings the schema up to date, all or nothing. No other process writes meanwhile, and of several that migrate one
/// does it. Needs no state of the session, so a pooler may stand before the server.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    // Another process may migrate for long. A table is not waited for as long: others wait behind this then.
    let turn = format!(
        "SET LOCAL lock_timeout = '10min'; SELECT pg_advisory_xact_lock({TURN}); SET LOCAL lock_timeout = '5s'"
    );
    let mut transaction = connection.begin().await?;
    transaction
        .execute(sqlx::raw_sql(AssertSqlSafe(turn)))
        .await?;
    migrator()
        .run_direct(None, &mut *transaction, false)
        .await?;
    Ok(transaction.commit().await?)
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(version, name.into(), kind, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // A later version may have migrated.
    migrator.set_ignore_missing(true);
    // The transaction has a lock already.
    migrator.set_locking(false);
    migrator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|f| f.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed: Vec<_> = MIGRATIONS
            .iter()
            .map(|(version, name, _)| format!("{version:04}_{name}.sql"))
            .collect();
        assert_eq!(files, listed);
    }

    #[test]
    fn a_later_schema_is_refused_only_if_it_shuts_this_version_out() {
        let newest = newest_version();
        let schema = |version, compatible_from| {
            Some(Schema {
                version,
                compatible_from,
            })
        };
        for (found, expected) in [
            (None, Fit::Older),
            (schema(newest - 1, 1), Fit::Older),
            (schema(newest, 1), Fit::Good),
            (schema(newest, newest), Fit::Good),
            (schema(newest + 1, newest), Fit::Good),
            (schema(newest + 1, newest + 1), Fit::Newer),
            (schema(newest + 9, newest + 2), Fit::Newer),
        ] {
            assert_eq!(fit(found), expected, "{found:?}");
        }
    }
}
