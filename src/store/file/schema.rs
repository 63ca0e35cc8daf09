//! The schema of the database: its migrations and its version.

use std::path::Path;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _, SqliteConnection};

use super::lock::file_of;
use super::options::reading;
use crate::store::error::OpenError;
use crate::store::handle::Store;

/// Lists migrations by version, number of the file, and name.
macro_rules! migrations {
    ($($version:literal $file:literal $name:literal,)+) => {
        &[$((
            $version,
            $name,
            include_str!(concat!("../../../migrations/sqlite/", $file, "_", $name, ".sql")),
        ),)+]
    };
}

/// Version, name and text of each migration, oldest first. A released migration is never changed.
pub(super) const MIGRATIONS: &[(i64, &str, &str)] = migrations! {
    1 "0001" "inbox",
    2 "0002" "connections",
    3 "0003" "deliveries",
    4 "0004" "imports",
    5 "0005" "learning",
    9 "0009" "console",
    10 "0010" "fingerprints",
    11 "0011" "channels",
    12 "0012" "reports",
    13 "0013" "conflicts",
    14 "0014" "feeds",
    15 "0015" "doubts",
    16 "0016" "moves",
    17 "0017" "import_steps",
    18 "0018" "newest",
    19 "0019" "compression",
};

impl Store {
    /// Returns the version of the schema at `url`, without changing it; `None` if there is no
    /// database, or an empty one.
    pub async fn schema_version(url: &str) -> Result<Option<i64>, OpenError> {
        let path = file_of(url)?;
        if !path.exists() {
            return Ok(None);
        }
        let failed = OpenError::database(&path);
        let mut connection = reading(&path).connect().await.map_err(&failed)?;
        let version = version_in(&mut connection).await;
        connection.close().await.map_err(&failed)?;
        version.map_err(failed)
    }
}

pub(super) fn migrator(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migrations = migrations.iter().map(|&(version, name, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(version, name.into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Returns the newest version that this program knows.
pub(super) fn newest_version() -> i64 {
    let versions = MIGRATIONS.iter().map(|(version, ..)| *version);
    versions.max().unwrap_or_default()
}

/// Returns the version of the schema behind a connection; `None` if it is not a schema of ours.
pub(super) async fn version_in(
    connection: &mut SqliteConnection,
) -> Result<Option<i64>, sqlx::Error> {
    const KNOWN: &str = "\
        -- store::schema::known
        SELECT COUNT(*) > 0 FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    const VERSION: &str = "\
        -- store::schema::version
        SELECT MAX(version) FROM _sqlx_migrations WHERE success";
    let known = sqlx::query_scalar(KNOWN);
    if !known.fetch_one(&mut *connection).await? {
        return Ok(None);
    }
    sqlx::query_scalar(VERSION).fetch_one(connection).await
}

/// Refuses a database that a later version of this program wrote. Returns the version of its schema.
pub(super) async fn refuse_newer(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<Option<i64>, OpenError> {
    let version = version_in(connection).await;
    let version = version.map_err(OpenError::database(path))?;
    let newest = newest_version();
    match version {
        Some(version) if version > newest => Err(OpenError::Newer {
            path: path.display().to_string(),
            version,
            newest,
        }),
        known => Ok(known),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::Timestamp;

    use super::*;
    use crate::store::file::options::writing;

    #[test]
    fn every_migration_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let mut files: Vec<_> = fs::read_dir(folder)
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

    /// Rows in the tables of each version, written as that version's program would.
    const ROWS: &[(i64, &str, &str)] = &[
        (
            1,
            "external_tickets",
            "INSERT INTO external_tickets (id, source, external_id) VALUES (1, 'servicenow', 'x')",
        ),
        (
            1,
            "events",
            "INSERT INTO events (state, due_at, received_at, queued_at, updated_at, rank_major,
                rank_minor, source, external, event_type, first_state, delivery)
             VALUES ('parked', 9, 1, 1, 1, 4, 5, 'servicenow', 1, 'incident.update', 'parked',
                CAST('wh:msg_1' AS BLOB))",
        ),
        (
            1,
            "payloads",
            "INSERT INTO payloads (event_id, object_start, object_len, body) VALUES (1, 0, 2, x'7b7d')",
        ),
        (
            1,
            "changes",
            "INSERT INTO changes VALUES (1, 1, 1, 'parked', NULL)",
        ),
        (
            1,
            "counts",
            "INSERT INTO counts VALUES ('servicenow', 'parked', 1)",
        ),
        (
            1,
            "settings",
            "INSERT INTO settings VALUES ('paused', 'true')",
        ),
        (
            1,
            "external_tickets",
            "INSERT INTO external_tickets (id, source, external_id, ticket_id, accounted_for,
                origin, created_at, updated_at)
             VALUES (2, 'servicenow', 'y', 'T-1', '[]', 'api', 1, 1)",
        ),
        (
            2,
            "connections",
            "INSERT INTO connections VALUES (2, 'T-1', 1, 1)",
        ),
        (
            3,
            "attempts",
            "INSERT INTO attempts (event_id, started_at, duration_ms, ticket_id, outcome, probe)
             VALUES (1, 1, 1, 'T-1', 'retry', 0)",
        ),
        (
            5,
            "conflicts",
            "INSERT INTO conflicts VALUES (1, 'servicenow', 'y', 'T-1', 'T-2', 1, 1, NULL, NULL)",
        ),
        (
            5,
            "disconnects",
            "INSERT INTO disconnects VALUES (1, 'servicenow', 'y', 'T-1', 1, 0, 1, NULL)",
        ),
        (
            5,
            "friendly_ids",
            "INSERT INTO friendly_ids VALUES ('ACM-1', 'T-1', 1)",
        ),
        (
            9,
            "activity",
            "INSERT INTO activity VALUES (10000, 'servicenow', 2, 1)",
        ),
        (
            9,
            "external_tickets",
            "INSERT INTO external_tickets (id, source, external_id, number)
                VALUES (9, 'servicenow', 'numbered', 'INC0081927')",
        ),
        (
            9,
            "audit",
            "INSERT INTO audit (at, actor, action) VALUES (1, 'ada', 'pause')",
        ),
    ];

    #[tokio::test]
    async fn every_migration_keeps_what_the_earlier_versions_wrote() {
        for first in 1..=MIGRATIONS.len() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            let mut connection = writing(&path).connect().await.unwrap();
            let of_first = migrator(&MIGRATIONS[..first]);
            of_first
                .run_direct(None, &mut connection, false)
                .await
                .unwrap();
            let version = MIGRATIONS[first - 1].0;
            let rows = || ROWS.iter().filter(|(since, ..)| *since <= version);
            for (_, _, insert) in rows() {
                sqlx::query(*insert).execute(&mut connection).await.unwrap();
            }
            for upto in first..=MIGRATIONS.len() {
                let next = migrator(&MIGRATIONS[..upto]);
                next.run_direct(None, &mut connection, false).await.unwrap();
                for &(_, table, _) in rows() {
                    let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
                    let n: i64 = sqlx::query_scalar(count)
                        .fetch_one(&mut connection)
                        .await
                        .unwrap();
                    let written = rows().filter(|(_, name, _)| *name == table);
                    let written = i64::try_from(written.count()).unwrap();
                    assert_eq!(
                        n, written,
                        "{table} from version {version} at migration {upto}"
                    );
                }
            }
            let newest = "SELECT newest FROM external_tickets WHERE id = 1";
            let newest: Option<i64> = sqlx::query_scalar(newest)
                .fetch_one(&mut connection)
                .await
                .unwrap();
            assert_eq!(newest, (version < 18).then_some(1), "{version}");
            drop(connection);
            let url = format!("sqlite://{}", path.display());
            let now = Timestamp::from_millisecond(2).unwrap();
            let (store, _writer) = Store::open(&url, now).await.unwrap();
            assert!(store.is_paused().await.unwrap());
            let event = store.event(crate::domain::ids::EventId(1)).await.unwrap();
            let event = event.unwrap();
            assert_eq!(event.row.external_id.as_deref(), Some("x"));
            let body = event.payload.unwrap();
            assert_eq!((&*body.bytes, body.object), (&b"{}"[..], 0..2));
        }
    }
}
