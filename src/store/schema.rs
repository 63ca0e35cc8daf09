//! The version of a database's schema, read without changing it.

use sqlx::ConnectOptions as _;

use super::Store;
use super::error::OpenError;
use super::open::{file_of, reading};

impl Store {
    /// The version of the schema at `url`: that of its newest migration. `None` where there is no
    /// database, or nothing in it yet.
    pub async fn schema_version(url: &str) -> Result<Option<i64>, OpenError> {
        const KNOWN: &str = "\
            -- store::schema::known
            SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
        const VERSION: &str = "\
            -- store::schema::version
            SELECT MAX(version) FROM _sqlx_migrations WHERE success";
        let path = file_of(url)?;
        if !path.exists() {
            return Ok(None);
        }
        let failed = |source| OpenError::Database {
            path: path.display().to_string(),
            source,
        };
        let mut connection = reading(&path).connect().await.map_err(failed)?;
        let known: i64 = sqlx::query_scalar(KNOWN)
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        if known == 0 {
            return Ok(None);
        }
        sqlx::query_scalar(VERSION)
            .fetch_one(&mut connection)
            .await
            .map_err(failed)
    }
}
