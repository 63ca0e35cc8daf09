//! The rows that a settled claim leaves, in statements of one size that go together.

use std::sync::LazyLock;

use super::Settle;
use super::pairs::Pair;
use super::types::Attempt;
use crate::store::batch::Batch;
use crate::store::error::StoreError;
use crate::store::millis;
use crate::store::sized::{Size, SizedStatement};

static END: LazyLock<SizedStatement> = LazyLock::new(|| {
    let statement = "\
        -- store::settle::end
        DELETE FROM claims WHERE event_id IN (VALUES {rows})";
    SizedStatement::new(statement, 1)
});

static ATTEMPTS: LazyLock<SizedStatement> = LazyLock::new(|| {
    let columns = [
        "event_id",
        "started_at",
        "duration_ms",
        "ticket_id",
        "outcome",
        "status",
        "code",
        "answer",
        "request_id",
        "retry_after",
        "probe",
    ];
    SizedStatement::insert("attempts", &columns)
});

static CONNECTIONS: LazyLock<SizedStatement> = LazyLock::new(|| {
    let statement = "\
        -- store::settle::pairs
        INSERT INTO connections (external, ticket_id, connected_at, event_id)
        SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL
        ON CONFLICT (external, ticket_id) DO NOTHING";
    SizedStatement::new(statement, 4)
});

static MOVE: LazyLock<SizedStatement> = LazyLock::new(|| {
    let statement = "\
        -- store::settle::move
        UPDATE events
        SET state = pair.column2, reason = pair.column3, updated_at = pair.column4,
            due_at = pair.column4, not_before = 0, ticket_id = pair.column5,
            in_doubt = 0, last_error = NULL
        FROM (VALUES {rows}) AS pair
        WHERE events.id = pair.column1 AND events.state = 'queued'";
    SizedStatement::new(statement, 5)
});

static NOTE: LazyLock<SizedStatement> =
    LazyLock::new(|| SizedStatement::insert("changes", &["event_id", "at", "state", "reason"]));

/// What else is queued for external tickets that are connected as they are mapped. What is beyond the
/// limit is skipped when it is claimed.
static SIBLINGS: LazyLock<SizedStatement> = LazyLock::new(|| {
    let statement = "\
        -- store::settle::siblings
        SELECT e.id, pair.column2
        FROM (VALUES {rows}) AS pair
        CROSS JOIN events AS e INDEXED BY events_head ON e.external = pair.column1
        WHERE e.state = 'queued' AND e.hint IS NULL
            AND EXISTS (SELECT 1 FROM external_tickets AS x JOIN connections AS c
                ON c.external = x.id AND c.ticket_id = x.ticket_id
                WHERE x.id = e.external)
        LIMIT 1000";
    SizedStatement::new(statement, 2)
});

/// Ends claims with their attempts on record, writes `pairs` down, moves the events of those that
/// `arrived`, and asks for what else is queued for those that are `done`: rows of an event and an index
/// among them.
pub(super) fn push(
    batch: &mut Batch,
    ended: &[&Settle],
    pairs: &[Pair<'_>],
    arrived: &[&Pair<'_>],
    done: &[&Pair<'_>],
) -> Result<(), StoreError> {
    let size = Size::of(ended.len());
    let attempts: Vec<(i64, &Attempt)> = ended
        .iter()
        .filter_map(|settle| Some((settle.event.0, settle.attempt.as_ref()?)))
        .collect();
    let done: Vec<(i64, &Pair<'_>)> = (0..).zip(done.iter().copied()).collect();
    END.push(batch, size, ended, |batch, settle| {
        batch.bind(settle.event.0)
    })?;
    ATTEMPTS.push(batch, size, &attempts, bind_attempt)?;
    CONNECTIONS.push(batch, size, pairs, |batch, pair| {
        batch.bind(pair.subject.external)?;
        batch.bind_text(pair.ticket_id.as_str())?;
        batch.bind(millis(pair.now))?;
        batch.bind(pair.subject.event.0)
    })?;
    MOVE.push(batch, size, arrived, |batch, pair| {
        batch.bind(pair.subject.event.0)?;
        batch.bind_text(pair.to.as_str())?;
        batch.bind_text(pair.reason)?;
        batch.bind(millis(pair.now))?;
        batch.bind_text(pair.ticket_id.as_str())
    })?;
    NOTE.push(batch, size, arrived, |batch, pair| {
        batch.bind(pair.subject.event.0)?;
        batch.bind(millis(pair.now))?;
        batch.bind_text(pair.to.as_str())?;
        batch.bind_text(pair.reason)
    })?;
    SIBLINGS.push(batch, size, &done, |batch, (index, pair)| {
        batch.bind(pair.subject.external)?;
        batch.bind(*index)
    })
}

fn bind_attempt(batch: &mut Batch, (event, attempt): &(i64, &Attempt)) -> Result<(), StoreError> {
    batch.bind(*event)?;
    batch.bind(millis(attempt.started_at))?;
    batch.bind(attempt.duration_ms)?;
    batch.bind_text(attempt.ticket_id.as_str())?;
    batch.bind_text(attempt.outcome.as_str())?;
    batch.bind(attempt.status)?;
    batch.bind_text(attempt.code.as_deref())?;
    batch.bind_text(attempt.answer.as_deref())?;
    batch.bind_text(attempt.request_id.as_deref())?;
    batch.bind(attempt.retry_after_ms)?;
    batch.bind(attempt.is_probe)
}
