//! What was given up, by what it died of, and what failed last.

use jiff::Timestamp;

use super::error::StoreError;
use super::{Store, moment};
use crate::domain::ids::EventId;

/// Calls that are looked back at for those that failed.
const LOOK_BACK: i64 = 10_000;

/// Dead letters of one source that died of the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadGroup {
    /// The source, as stored.
    pub source: String,
    /// What they died of, in a word.
    pub reason: String,
    /// How many there are.
    pub n: i64,
    /// The newest of them.
    pub example: EventId,
    /// What went wrong with that one.
    pub last_error: Option<String>,
    /// When that one died.
    pub died_at: Timestamp,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The event.
    pub event: EventId,
    /// Its source, as stored.
    pub source: String,
    /// What it is about.
    pub external_id: Option<String>,
    /// When the call began.
    pub at: Timestamp,
    /// How it ended: `retry`, `held` or `dead`.
    pub outcome: String,
    /// The HTTP status.
    pub status: Option<i64>,
    /// Serval's error code.
    pub code: Option<String>,
    /// What Serval said, or what went wrong on the way.
    pub answer: Option<String>,
}

impl Store {
    /// The dead letters by source and reason, the largest group first.
    pub async fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        const GROUPS: &str = "\
            -- store::dead::groups
            SELECT g.source, g.reason, g.n, g.newest, e.last_error, e.updated_at
            FROM (SELECT source, COALESCE(reason, '') AS reason, COUNT(*) AS n, MAX(id) AS newest
                FROM events INDEXED BY events_dead WHERE state = 'dead'
                GROUP BY source, events.reason) AS g
            CROSS JOIN events AS e ON e.id = g.newest
            ORDER BY g.n DESC, g.source, g.reason";
        type Row = (String, String, i64, i64, Option<String>, i64);
        let rows: Vec<Row> = sqlx::query_as(GROUPS).fetch_all(&self.readers).await?;
        rows.into_iter()
            .map(|(source, reason, n, example, last_error, died_at)| {
                Ok(DeadGroup {
                    source,
                    reason,
                    n,
                    example: EventId(example),
                    last_error,
                    died_at: moment(died_at)?,
                })
            })
            .collect()
    }

    /// The last calls that failed, of the recent ones, newest first.
    pub async fn failures(&self, limit: u32) -> Result<Vec<Failure>, StoreError> {
        const FAILURES: &str = "\
            -- store::dead::failures
            SELECT a.event_id, e.source, x.external_id, a.started_at, a.outcome, a.status, a.code,
                   a.answer
            FROM attempts AS a CROSS JOIN events AS e ON e.id = a.event_id
            LEFT JOIN external_tickets AS x ON x.id = e.external
            WHERE a.id > (SELECT MAX(id) FROM attempts) - $1
                AND a.outcome IN ('retry', 'held', 'dead')
            ORDER BY a.id DESC LIMIT $2";
        type Row = (
            i64,
            String,
            Option<String>,
            i64,
            String,
            Option<i64>,
            Option<String>,
            Option<String>,
        );
        let rows: Vec<Row> = sqlx::query_as(FAILURES)
            .bind(LOOK_BACK)
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter()
            .map(
                |(event, source, external_id, at, outcome, status, code, answer)| {
                    Ok(Failure {
                        event: EventId(event),
                        source,
                        external_id,
                        at: moment(at)?,
                        outcome,
                        status,
                        code,
                        answer,
                    })
                },
            )
            .collect()
    }
}
