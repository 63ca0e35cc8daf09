//! What ends by time: the bodies of finished events, later the events themselves.
//!
//! Invariant: queued and parked events are never deleted, nor is an event in hand; mappings and
//! connections stay. Looking is done by readers; the writer deletes a small step at a time, so that
//! acknowledgements do not wait.
//!
//! Ids are in the order of arrival, so the oldest are found by walking from the first id on. What
//! a walk leaves behind is young in its state (it was queued or parked for long); the next walk
//! meets it again. The end is a page without anything that arrived before the cut-off.

use jiff::Timestamp;

use super::error::StoreError;
use super::writer::Tx;
use super::{Store, millis, state, tickets};
use crate::domain::ids::EventId;

/// Rows that are looked at together.
const PAGE: usize = 1000;
/// Events that are touched in one transaction at most.
const STEP: usize = 200;
/// Bytes of bodies that are freed in one transaction, unless one body alone has more.
const STEP_BYTES: i64 = 4 << 20;

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// How many it deleted.
    pub deleted: usize,
    /// After which event to go on; `None` at the end of the walk.
    pub next: Option<EventId>,
}

/// An event's id, the bytes of its body, whether it arrived before the cut-off, whether it is due.
type Candidate = (i64, i64, bool, bool);

impl Store {
    /// Deletes bodies of events that are finished and unchanged since `before`: the first few after
    /// the event `after`.
    pub async fn purge_payloads(
        &self,
        before: Timestamp,
        after: EventId,
    ) -> Result<Purged, StoreError> {
        const FIND: &str = "\
            -- store::retention::find_payloads
            SELECT p.event_id, length(p.body), COALESCE(e.received_at, 0) < $2,
                   COALESCE(e.state NOT IN ('queued', 'parked') AND e.updated_at < $2, TRUE)
            FROM payloads AS p LEFT JOIN events AS e ON e.id = p.event_id
            WHERE p.event_id > $1 ORDER BY p.event_id LIMIT $3";
        let (due, next) = self.due(FIND, before, after).await?;
        if due.is_empty() {
            return Ok(Purged { deleted: 0, next });
        }
        let deleted = self
            .write(move |tx| {
                let due = due.clone();
                Box::pin(async move { delete_payloads(tx, &due, before).await })
            })
            .await?;
        Ok(Purged { deleted, next })
    }

    /// Deletes events that are finished and unchanged since `before`, with all that belongs to them.
    pub async fn purge_events(
        &self,
        before: Timestamp,
        after: EventId,
    ) -> Result<Purged, StoreError> {
        const FIND: &str = "\
            -- store::retention::find_events
            SELECT e.id, COALESCE(length(p.body), 0), e.received_at < $2,
                   e.state NOT IN ('queued', 'parked') AND e.updated_at < $2
            FROM events AS e LEFT JOIN payloads AS p ON p.event_id = e.id
            WHERE e.id > $1 ORDER BY e.id LIMIT $3";
        let (due, next) = self.due(FIND, before, after).await?;
        if due.is_empty() {
            return Ok(Purged { deleted: 0, next });
        }
        let deleted = self
            .write(move |tx| {
                let due = due.clone();
                Box::pin(async move { delete_finished(tx, &due, before).await })
            })
            .await?;
        Ok(Purged { deleted, next })
    }

    /// The next few that are due, and after which event to go on.
    async fn due(
        &self,
        find: &'static str,
        before: Timestamp,
        after: EventId,
    ) -> Result<(Vec<i64>, Option<EventId>), StoreError> {
        let page: Vec<Candidate> = sqlx::query_as(find)
            .bind(after.0)
            .bind(millis(before))
            .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
            .fetch_all(&self.readers)
            .await?;
        Ok(choose(&page))
    }
}

/// As much of a page as fits into one step.
fn choose(page: &[Candidate]) -> (Vec<i64>, Option<EventId>) {
    let mut due = Vec::new();
    let mut bytes = 0;
    for (id, length, _, is_due) in page {
        if !is_due {
            continue;
        }
        if due.len() == STEP || (bytes + length > STEP_BYTES && !due.is_empty()) {
            let last = due.last().copied().map(EventId);
            return (due, last);
        }
        bytes += length;
        due.push(*id);
    }
    let is_end = page.len() < PAGE || !page.iter().any(|(_, _, is_old, _)| *is_old);
    let last = page.last().map(|(id, ..)| EventId(*id));
    (due, last.filter(|_| !is_end))
}

async fn delete_payloads(tx: &mut Tx, due: &[i64], before: Timestamp) -> Result<usize, StoreError> {
    // Looked at again: an operator may have sent one to the queue meanwhile.
    const DELETE: &str = "\
        -- store::retention::delete_payloads
        DELETE FROM payloads
        WHERE event_id IN (SELECT value FROM json_each($1))
            AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.id = event_id
                AND (e.state IN ('queued', 'parked') OR e.updated_at >= $2))
            AND NOT EXISTS (SELECT 1 FROM claims AS c WHERE c.event_id = payloads.event_id)";
    let deleted = sqlx::query(DELETE)
        .bind(list(due))
        .bind(millis(before))
        .execute(tx.connection().await?)
        .await?;
    Ok(usize::try_from(deleted.rows_affected()).unwrap_or(usize::MAX))
}

async fn delete_finished(tx: &mut Tx, due: &[i64], before: Timestamp) -> Result<usize, StoreError> {
    const STILL: &str = "\
        -- store::retention::still_due
        SELECT e.id, e.source, e.state, e.external FROM events AS e
        WHERE e.id IN (SELECT value FROM json_each($1))
            AND e.state NOT IN ('queued', 'parked') AND e.updated_at < $2
            AND NOT EXISTS (SELECT 1 FROM claims AS c WHERE c.event_id = e.id)";
    let due: Vec<(i64, String, String, Option<i64>)> = sqlx::query_as(STILL)
        .bind(list(due))
        .bind(millis(before))
        .fetch_all(tx.connection().await?)
        .await?;
    let externals: Vec<i64> = due.iter().filter_map(|(.., external)| *external).collect();
    let events: Vec<_> = due
        .into_iter()
        .map(|(id, source, state, _)| (id, source, state))
        .collect();
    delete_events(tx, &events).await?;
    tickets::forget_all(tx, &externals).await?;
    Ok(events.len())
}

/// What was deleted with events.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rows {
    pub(super) payloads: u64,
    pub(super) attempts: u64,
    pub(super) changes: u64,
}

/// Deletes events, given as id, source and state, with all that belongs to them.
pub(super) async fn delete_events(
    tx: &mut Tx,
    events: &[(i64, String, String)],
) -> Result<Rows, StoreError> {
    const STATEMENTS: [&str; 4] = [
        "DELETE FROM payloads WHERE event_id IN (SELECT value FROM json_each($1))",
        "DELETE FROM attempts WHERE event_id IN (SELECT value FROM json_each($1))",
        "DELETE FROM changes WHERE event_id IN (SELECT value FROM json_each($1))",
        "DELETE FROM events WHERE id IN (SELECT value FROM json_each($1))",
    ];
    let ids: Vec<i64> = events.iter().map(|(id, ..)| *id).collect();
    let ids = list(&ids);
    let mut counts = [0; 4];
    for (statement, count) in STATEMENTS.into_iter().zip(&mut counts) {
        let deleted = sqlx::query(statement)
            .bind(&ids)
            .execute(tx.connection().await?)
            .await?;
        *count = deleted.rows_affected();
    }
    for (_, source, word) in events {
        tx.counts.left(source, state(word)?);
    }
    let [payloads, attempts, changes, _] = counts;
    Ok(Rows {
        payloads,
        attempts,
        changes,
    })
}

fn list(ids: &[i64]) -> String {
    serde_json::to_string(ids).expect("numbers are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::EventState;

    #[test]
    fn the_statements_know_which_states_are_final() {
        let waiting: Vec<&str> = EventState::ALL
            .into_iter()
            .filter(|state| !state.is_terminal())
            .map(EventState::as_str)
            .collect();
        assert_eq!(waiting, ["queued", "parked"]);
    }

    #[test]
    fn a_step_is_bounded_by_rows_and_by_bytes() {
        let page = |n: i64, bytes: i64, is_due: bool| -> Vec<Candidate> {
            (1..=n).map(|id| (id, bytes, true, is_due)).collect()
        };
        let next = |page: &[Candidate]| {
            let (due, next) = choose(page);
            (due.len(), next.map(|event| event.0))
        };
        assert_eq!(next(&[]), (0, None));
        assert_eq!(next(&page(10, 1, true)), (10, None));
        assert_eq!(next(&page(201, 1, true)), (200, Some(200)));
        assert_eq!(next(&page(10, 3 << 20, true)), (1, Some(1)));
        assert_eq!(next(&page(10, 64 << 20, true)), (1, Some(1)));
        assert_eq!(next(&page(1000, 1, false)), (0, Some(1000)));
        // A page of arrivals after the cut-off is the end.
        let young: Vec<Candidate> = (1..=1000).map(|id| (id, 1, false, false)).collect();
        assert_eq!(next(&young), (0, None));
    }
}
