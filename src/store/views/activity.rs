//! Events stored and pairs connected over time, from small counters that each transaction updates.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::store::commit::tally::floor;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, millis, moment, row};

const MINUTE: i64 = 60_000;

/// Range of a chart, up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Sixty minutes, in steps of a minute.
    Hour,
    /// Twenty-four hours, in steps of a quarter of an hour.
    Day,
}

impl Range {
    /// Returns the milliseconds of one bucket and the number of buckets.
    fn buckets(self) -> (i64, i64) {
        match self {
            Self::Hour => (MINUTE, 60),
            Self::Day => (15 * MINUTE, 96),
        }
    }
}

/// Counters of one step of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Begin of the step. The last one is not over.
    pub begins_at: Timestamp,
    /// Events stored.
    pub stored: i64,
    /// Pairs connected.
    pub connected: i64,
}

/// Buckets of each source that has any activity in the range, oldest first. All sources have the
/// same number of buckets.
pub type Activity = BTreeMap<String, Vec<Bucket>>;

row! {
    /// Counters of one source and step.
    struct Sum {
        source: String,
        begins_at: i64,
        stored: i64,
        connected: i64,
    }
}

impl Store {
    /// Returns the activity of a range that ends now.
    pub async fn activity(&self, now: Timestamp, range: Range) -> Result<Activity, StoreError> {
        const SUM: &str = "\
            -- store::activity::sum
            SELECT source, at - at % $2, CAST(SUM(stored) AS BIGINT), CAST(SUM(connected) AS BIGINT) FROM activity
            WHERE at >= $1 AND at < $3 GROUP BY source, at - at % $2";
        let (step, n) = range.buckets();
        let last = floor(millis(now), step);
        let first = last - (n - 1) * step;
        // An hour in which nothing happened has no row, but it has its place in the chart.
        let empty = (0..n).map(|i| {
            Ok(Bucket {
                begins_at: moment(first + i * step)?,
                stored: 0,
                connected: 0,
            })
        });
        let empty = empty.collect::<Result<Vec<_>, StoreError>>()?;
        let args = args![first, step, last + step];
        let rows: Vec<Sum> = sql::fetch_all(&self.readers, SUM, args).await?;
        let mut activity = Activity::new();
        for row in rows {
            let buckets = activity.entry(row.source).or_insert_with(|| empty.clone());
            let index = usize::try_from((row.begins_at - first) / step).unwrap_or(usize::MAX);
            if let Some(bucket) = buckets.get_mut(index) {
                (bucket.stored, bucket.connected) = (row.stored, row.connected);
            }
        }
        Ok(activity)
    }

    /// Returns the pairs connected in the last minute, to 10 seconds.
    pub async fn connects_last_minute(&self, now: Timestamp) -> Result<i64, StoreError> {
        const CONNECTS: &str = "\
            -- store::activity::connects
            SELECT COALESCE(CAST(SUM(connected) AS BIGINT), 0) FROM activity WHERE at > $1 AND at <= $2";
        let now = millis(now);
        sql::fetch_one(&self.readers, CONNECTS, args![now - MINUTE, now]).await
    }

    /// Deletes counters from before `before` and returns their number.
    pub async fn purge_activity(&self, before: Timestamp) -> Result<u64, StoreError> {
        const ANY: &str = "\
            -- store::activity::old
            SELECT EXISTS (SELECT 1 FROM activity WHERE at < $1)";
        const PURGE: &str = "\
            -- store::activity::purge
            DELETE FROM activity WHERE at < $1";
        // Most often there is nothing to delete, and then the writer is left alone.
        let before = millis(before);
        if !sql::fetch_one(&self.readers, ANY, args![before]).await? {
            return Ok(0);
        }
        self.run(PURGE, move || args![before]).await
    }
}
