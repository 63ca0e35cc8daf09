//! Queue depths and ages for metrics: reads counters and index heads, never scans history.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

use crate::domain::event::EventState;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, millis, row};

/// Events in the store, and the oldest that wait.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    /// Number of events by source and state.
    pub counts: Vec<(String, EventState, i64)>,
    /// Arrival of the oldest queued event.
    pub oldest_queued: Option<Timestamp>,
    /// Due time of the event that is due for the longest time.
    pub oldest_due: Option<Timestamp>,
    /// Arrival of the oldest parked event.
    pub oldest_parked: Option<Timestamp>,
    /// Arrival of the oldest parked event whose payload names a Serval ticket that cannot be used.
    pub oldest_named_parked: Option<Timestamp>,
    /// Number of claims that ran out.
    pub overdue_claims: i64,
}

impl Levels {
    /// Number of events in this state, of all sources.
    pub fn total(&self, state: EventState) -> i64 {
        let counts = self.counts.iter().filter(|(_, s, _)| *s == state);
        counts.map(|(.., n)| n).sum()
    }
}

row! {
    struct Oldest {
        queued: Option<Timestamp>,
        due: Option<Timestamp>,
        parked: Option<Timestamp>,
        named_parked: Option<Timestamp>,
        overdue_claims: i64,
    }
}

/// Sizes of the database's files, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileSizes {
    /// The database.
    pub database: u64,
    /// The write-ahead log.
    pub wal: u64,
}

impl Store {
    /// Returns the levels at `now`.
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
                (SELECT received_at FROM events INDEXED BY events_failed
                    WHERE state = 'parked' AND last_error IS NOT NULL ORDER BY id LIMIT 1),
                (SELECT COUNT(*) FROM claims WHERE expires_at <= $1)";
        // The counts are kept by the writer. Counting the events themselves would read the whole
        // index for every scrape.
        let counts = sql::fetch_all(&self.readers, COUNTS, args![]).await?;
        let oldest: Oldest = sql::fetch_one(&self.readers, OLDEST, args![millis(now)]).await?;
        Ok(Levels {
            counts,
            oldest_queued: oldest.queued,
            oldest_due: oldest.due,
            oldest_parked: oldest.parked,
            oldest_named_parked: oldest.named_parked,
            overdue_claims: oldest.overdue_claims,
        })
    }

    /// Returns the number of writes that wait for the writer.
    pub fn queue_depth(&self) -> usize {
        self.jobs
            .max_capacity()
            .saturating_sub(self.jobs.capacity())
    }

    /// Returns the size of the database, and of its log where that is a file of its own; 0 for what is missing.
    pub async fn sizes(&self) -> FileSizes {
        const ON_SERVER: &str = "\
            -- store::levels::on_server
            SELECT pg_database_size(current_database())";
        let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        let Some(files) = &self.shared.files else {
            let size: Result<u64, _> = sql::fetch_one(&self.readers, ON_SERVER, args![]).await;
            return FileSizes {
                database: size.unwrap_or_default(),
                wal: 0,
            };
        };
        let database = files.lock.path();
        let mut wal = database.as_os_str().to_owned();
        wal.push("-wal");
        FileSizes {
            database: size(database),
            wal: size(wal.as_ref()),
        }
    }
}
