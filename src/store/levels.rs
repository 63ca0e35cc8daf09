//! How full the store is, read without counting a history: cheap enough for every scrape.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

use super::error::StoreError;
use super::{Store, millis, moment, state};
use crate::domain::event::EventState;

/// What waits in the store, and for how long.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    /// Events by source and state.
    pub counts: Vec<(String, EventState, i64)>,
    /// The arrival of the oldest queued event.
    pub oldest_queued: Option<Timestamp>,
    /// Since when the oldest due event is due.
    pub oldest_due: Option<Timestamp>,
    /// The arrival of the oldest parked event.
    pub oldest_parked: Option<Timestamp>,
    /// Claims whose time is over.
    pub overdue_claims: i64,
}

/// Bytes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileSizes {
    /// The database.
    pub database: u64,
    /// Its write-ahead log.
    pub wal: u64,
}

impl Store {
    /// What waits. Every number is kept up to date by the writes, or is the first of an index.
    pub async fn levels(&self, now: Timestamp) -> Result<Levels, StoreError> {
        const COUNTS: &str = "\
            -- store::levels::counts
            SELECT source, state, n FROM counts WHERE n <> 0 ORDER BY source, state";
        const OLDEST: &str = "\
            -- store::levels::oldest
            SELECT
                (SELECT received_at FROM events WHERE state = 'queued' ORDER BY id LIMIT 1),
                (SELECT due_at FROM events INDEXED BY events_due
                    WHERE state = 'queued' AND due_at <= $1 ORDER BY due_at LIMIT 1),
                (SELECT received_at FROM events WHERE state = 'parked' ORDER BY id LIMIT 1),
                (SELECT COUNT(*) FROM claims WHERE expires_at <= $1)";
        type Oldest = (Option<i64>, Option<i64>, Option<i64>, i64);
        let counts: Vec<(String, String, i64)> =
            sqlx::query_as(COUNTS).fetch_all(&self.readers).await?;
        let (oldest_queued, oldest_due, oldest_parked, overdue_claims): Oldest =
            sqlx::query_as(OLDEST)
                .bind(millis(now))
                .fetch_one(&self.readers)
                .await?;
        Ok(Levels {
            counts: counts
                .into_iter()
                .map(|(source, word, n)| Ok((source, state(&word)?, n)))
                .collect::<Result<_, StoreError>>()?,
            oldest_queued: oldest_queued.map(moment).transpose()?,
            oldest_due: oldest_due.map(moment).transpose()?,
            oldest_parked: oldest_parked.map(moment).transpose()?,
            overdue_claims,
        })
    }

    /// Writes that wait for the writer.
    pub fn queue_depth(&self) -> usize {
        self.jobs
            .max_capacity()
            .saturating_sub(self.jobs.capacity())
    }

    /// The sizes of the database's files. One that is not there has none.
    pub fn file_sizes(&self) -> FileSizes {
        let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        let database = self.shared.lock.path();
        let mut wal = database.as_os_str().to_owned();
        wal.push("-wal");
        FileSizes {
            database: size(database),
            wal: size(wal.as_ref()),
        }
    }
}
