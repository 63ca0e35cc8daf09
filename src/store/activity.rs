//! How much happens: events stored and pairs connected, in small counters by source and time, kept
//! up to date in the transactions that they count.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::error::StoreError;
use super::{Store, json, millis, moment};

/// Milliseconds of one counter: fine enough to tell the last minute.
const STEP: i64 = 10_000;
const MINUTE: i64 = 60_000;

/// What one transaction adds, by time and source.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(HashMap<(i64, String), Added>);

/// Events stored and pairs connected.
type Added = (i64, i64);

impl Tally {
    /// Forgets, for a new transaction.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// An event was stored.
    pub(super) fn stored(&mut self, source: &str, at: Timestamp) {
        self.at(source, at).0 += 1;
    }

    /// A pair was connected.
    pub(super) fn connected(&mut self, source: &str, at: Timestamp) {
        self.at(source, at).1 += 1;
    }

    fn at(&mut self, source: &str, at: Timestamp) -> &mut Added {
        let begin = floor(millis(at), STEP);
        self.0.entry((begin, source.to_owned())).or_default()
    }

    /// The additions as rows for the table, if there are any.
    pub(super) fn rows(&self) -> Option<String> {
        let rows: Vec<_> = (self.0.iter())
            .map(|((at, source), (stored, connected))| (at, source, stored, connected))
            .collect();
        (!rows.is_empty()).then(|| json(&rows))
    }
}

/// How far back, and how finely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Sixty minutes, by the minute.
    Hour,
    /// Twenty-four hours, by the quarter of an hour.
    Day,
}

impl Range {
    /// Milliseconds of one bucket, and how many buckets there are.
    fn buckets(self) -> (i64, i64) {
        match self {
            Self::Hour => (MINUTE, 60),
            Self::Day => (15 * MINUTE, 96),
        }
    }
}

/// What happened in one span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins. The last one is not over.
    pub begins_at: Timestamp,
    /// Events stored.
    pub stored: i64,
    /// Pairs connected.
    pub connected: i64,
}

/// What happened over a range, by source: as many buckets for each, the oldest first.
pub type Activity = BTreeMap<String, Vec<Bucket>>;

impl Store {
    /// What happened up to now, of every source with any of it.
    pub async fn activity(&self, now: Timestamp, range: Range) -> Result<Activity, StoreError> {
        const SUM: &str = "\
            -- store::activity::sum
            SELECT source, at - at % $2, SUM(stored), SUM(connected) FROM activity
            WHERE at >= $1 AND at < $3 GROUP BY source, at - at % $2";
        let (step, n) = range.buckets();
        let last = floor(millis(now), step);
        let first = last - (n - 1) * step;
        let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(SUM)
            .bind(first)
            .bind(step)
            .bind(last + step)
            .fetch_all(&self.readers)
            .await?;
        let mut activity = Activity::new();
        for (source, begins_at, stored, connected) in rows {
            let buckets = match activity.entry(source) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => {
                    new.insert(empty(first, step, n)?)
                }
            };
            let index = usize::try_from((begins_at - first) / step).unwrap_or(usize::MAX);
            if let Some(bucket) = buckets.get_mut(index) {
                (bucket.stored, bucket.connected) = (stored, connected);
            }
        }
        Ok(activity)
    }

    /// Pairs connected in the last minute, to 10 seconds.
    pub(super) async fn connects_last_minute(&self, now: Timestamp) -> Result<i64, StoreError> {
        const CONNECTS: &str = "\
            -- store::activity::connects
            SELECT COALESCE(SUM(connected), 0) FROM activity WHERE at > $1 AND at <= $2";
        let now = millis(now);
        let connects = sqlx::query_scalar(CONNECTS)
            .bind(now - MINUTE)
            .bind(now)
            .fetch_one(&self.readers)
            .await?;
        Ok(connects)
    }

    /// Deletes counters of the time before.
    pub async fn purge_activity(&self, before: Timestamp) -> Result<usize, StoreError> {
        const ANY: &str = "\
            -- store::activity::old
            SELECT EXISTS (SELECT 1 FROM activity WHERE at < $1)";
        const PURGE: &str = "\
            -- store::activity::purge
            DELETE FROM activity WHERE at < $1";
        let any: bool = sqlx::query_scalar(ANY)
            .bind(millis(before))
            .fetch_one(&self.readers)
            .await?;
        if !any {
            return Ok(0);
        }
        self.write(move |tx| {
            Box::pin(async move {
                let purged = sqlx::query(PURGE)
                    .bind(millis(before))
                    .execute(tx.connection().await?)
                    .await?;
                Ok(usize::try_from(purged.rows_affected()).unwrap_or(usize::MAX))
            })
        })
        .await
    }
}

fn empty(first: i64, step: i64, n: i64) -> Result<Vec<Bucket>, StoreError> {
    (0..n)
        .map(|i| {
            Ok(Bucket {
                begins_at: moment(first + i * step)?,
                stored: 0,
                connected: 0,
            })
        })
        .collect()
}

/// The last multiple of `step` that is not after `at`.
fn floor(at: i64, step: i64) -> i64 {
    at - at.rem_euclid(step)
}
