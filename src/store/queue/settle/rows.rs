//! Rows that settled claims leave, in statements that go together in one round trip.

use std::sync::LazyLock;

use super::subject::Pair;
use super::types::Settle;
use crate::domain::reason::Reason;
use crate::store::attempt::Attempt;
use crate::store::engine::{Batch, Kind, Size, SizedStatement};
use crate::store::sql::millis;

static END: LazyLock<SizedStatement> = LazyLock::new(|| {
    let statement = "\
        -- store::rows::end
        DELETE FROM claims WHERE event_id IN (VALUES {rows})";
    SizedStatement::new(statement, &[Kind::Int]).touching("claims")
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
    let kinds = &[
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Text,
        Kind::Text,
        Kind::Int,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Int,
        Kind::Bool,
    ];
    SizedStatement::insert("attempts", &columns, kinds)
});

static CONNECTIONS: LazyLock<SizedStatement> = LazyLock::new(|| {
    let statement = "\
        -- store::rows::pairs
        INSERT INTO connections (external, ticket_id, connected_at, event_id)
        SELECT * FROM (VALUES {rows}) AS r WHERE column1 IS NOT NULL
        ON CONFLICT (external, ticket_id) DO NOTHING";
    let kinds = &[Kind::Int, Kind::Text, Kind::Int, Kind::Int];
    SizedStatement::new(statement, kinds).touching("connections")
});

static MOVE: LazyLock<SizedStatement> = LazyLock::new(|| {
    let statement = "\
        -- store::rows::move
        UPDATE events
        SET state = pair.column2, reason = pair.column3, updated_at = pair.column4,
            due_at = pair.column4, not_before = 0, ticket_id = pair.column5,
            last_error = NULL
        FROM (VALUES {rows}) AS pair
        WHERE events.id = pair.column1 AND events.state = 'queued'";
    let kinds = &[Kind::Int, Kind::Text, Kind::Text, Kind::Int, Kind::Text];
    SizedStatement::new(statement, kinds).touching("events")
});

static NOTE: LazyLock<SizedStatement> = LazyLock::new(|| {
    SizedStatement::insert(
        "changes",
        &["event_id", "at", "state", "reason"],
        &[Kind::Int, Kind::Int, Kind::Text, Kind::Text],
    )
});

/// Finds the other queued events of external tickets that are connected as they are mapped. Events
/// beyond the limit are skipped when they are claimed.
static SIBLINGS: LazyLock<SizedStatement> = LazyLock::new(|| {
    let statement = "\
        -- store::rows::siblings
        SELECT e.id, pair.column2
        FROM (VALUES {rows}) AS pair
        CROSS JOIN events AS e INDEXED BY events_head ON e.external = pair.column1
        WHERE e.state = 'queued' AND e.hint IS NULL
            AND EXISTS (SELECT 1 FROM external_tickets AS x JOIN connections AS c
                ON c.external = x.id AND c.ticket_id = x.ticket_id
                WHERE x.id = e.external)
        LIMIT 1000";
    SizedStatement::new(statement, &[Kind::Int, Kind::Int])
});

/// Adds statements that end the claims and store their attempts, store `pairs`, move the events of
/// `arrived`, and find the other queued events of `done`, if there are any. That one returns rows of an event and
/// an index in `done`.
pub(super) fn push(
    batch: &mut Batch,
    ended: &[&Settle],
    pairs: &[Pair<'_>],
    arrived: &[&Pair<'_>],
    done: &[&Pair<'_>],
) {
    // All statements have the size of the largest list, so that few sizes are kept prepared. They go in
    // this order since the last one must see what the others changed.
    let size = Size::of(ended.len());
    let attempts: Vec<(i64, &Attempt)> = ended
        .iter()
        .filter_map(|settle| Some((settle.event.0, settle.attempt.as_ref()?)))
        .collect();
    let done: Vec<(i64, &Pair<'_>)> = (0..).zip(done.iter().copied()).collect();
    END.push(batch, size, ended, |batch, settle| {
        batch.bind(settle.event.0);
    });
    ATTEMPTS.push(batch, size, &attempts, bind_attempt);
    CONNECTIONS.push(batch, size, pairs, |batch, pair| {
        batch.bind(pair.subject.external);
        batch.bind(pair.ticket_id.as_str());
        batch.bind(millis(pair.now));
        batch.bind(pair.subject.event.0);
    });
    MOVE.push(batch, size, arrived, |batch, pair| {
        batch.bind(pair.subject.event.0);
        batch.bind(pair.to.as_str());
        batch.bind(pair.reason.map(Reason::as_str));
        batch.bind(millis(pair.now));
        batch.bind(pair.ticket_id.as_str());
    });
    NOTE.push(batch, size, arrived, |batch, pair| {
        batch.bind(pair.subject.event.0);
        batch.bind(millis(pair.now));
        batch.bind(pair.to.as_str());
        batch.bind(pair.reason.map(Reason::as_str));
    });
    if !done.is_empty() {
        SIBLINGS.push(batch, size, &done, |batch, (index, pair)| {
            batch.bind(pair.subject.external);
            batch.bind(*index);
        });
    }
}

fn bind_attempt(batch: &mut Batch, (event, attempt): &(i64, &Attempt)) {
    batch.bind(*event);
    batch.bind(millis(attempt.started_at));
    batch.bind(attempt.duration_ms);
    batch.bind(attempt.ticket_id.as_str());
    batch.bind(attempt.outcome.as_str());
    batch.bind(attempt.status);
    batch.bind(attempt.code.as_deref());
    batch.bind(attempt.answer.as_deref());
    batch.bind(attempt.request_id.as_deref());
    batch.bind(attempt.retry_after_ms);
    batch.bind(attempt.is_probe);
}
