//! Deletes old bodies, and later old events.
//!
//! Invariant: events that are queued, parked or claimed are never deleted. Mappings and connections
//! stay. Readers search; the writer deletes a small step at a time, so that webhooks do not wait.
//!
//! Ids are in the order of arrival, so a walk from the first id finds the oldest. An event that was
//! queued or parked for long is younger in its state than its arrival; the walk leaves it to the next
//! one. A page without any event that arrived before the cut-off ends the walk.

use crate::domain::event::EventState;
use crate::domain::ids::EventId;
use crate::domain::uptime::CutOff;
use crate::store::commit::tx::{Tx, WriteFuture};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, json, millis, row};
use crate::store::tickets;

/// Number of rows that are read together.
const PAGE: usize = 1000;
/// Maximum number of events that one transaction changes.
const STEP: usize = 200;
/// Maximum size of the bodies that one transaction deletes, unless one body alone is larger.
const STEP_BYTES: i64 = 4 << 20;

/// Result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// Number of deleted bodies or events.
    pub deleted: usize,
    /// The next step continues after this event; `None` at the end of the walk.
    pub next: Option<EventId>,
}

row! {
    /// An event that may be due for deletion.
    struct Candidate {
        id: i64,
        bytes: i64,
        /// True if the event arrived before the cut-off.
        is_old: bool,
        is_due: bool,
    }
}

row! {
    /// An event to delete, with what the counters need.
    pub(super) struct Doomed {
        id: i64,
        source: String,
        state: EventState,
        /// Row of its external ticket.
        external: Option<i64>,
    }
}

/// Deletes what belongs to these events, in a transaction.
type Delete = for<'a> fn(&'a mut Tx, String, CutOff) -> WriteFuture<'a, usize>;

impl Store {
    /// Deletes bodies of events that are finished and older than the cut-off: the first ones after
    /// the event `after`.
    pub async fn purge_payloads(
        &self,
        cut_off: impl Into<CutOff>,
        after: EventId,
    ) -> Result<Purged, StoreError> {
        const FIND: &str = "\
            -- store::retention::find_payloads
            SELECT p.event_id, length(p.body), COALESCE(e.received_at, 0) < $2,
                   COALESCE(e.state NOT IN ('queued', 'parked') AND e.updated_at < $2
                       AND e.updated_at NOT BETWEEN $4 AND $5, TRUE)
            FROM payloads AS p LEFT JOIN events AS e ON e.id = p.event_id
            WHERE p.event_id > $1 ORDER BY p.event_id LIMIT $3";
        let delete: Delete = |tx, due, cut_off| Box::pin(delete_payloads(tx, due, cut_off));
        self.purge(FIND, delete, cut_off.into(), after).await
    }

    /// Deletes events that are finished and older than the cut-off, with all that belongs to them.
    pub async fn purge_events(
        &self,
        cut_off: impl Into<CutOff>,
        after: EventId,
    ) -> Result<Purged, StoreError> {
        const FIND: &str = "\
            -- store::retention::find_events
            SELECT e.id, COALESCE(length(p.body), 0), e.received_at < $2,
                   e.state NOT IN ('queued', 'parked') AND e.updated_at < $2
                       AND e.updated_at NOT BETWEEN $4 AND $5
            FROM events AS e LEFT JOIN payloads AS p ON p.event_id = e.id
            WHERE e.id > $1 ORDER BY e.id LIMIT $3";
        let delete: Delete = |tx, due, cut_off| Box::pin(delete_finished(tx, due, cut_off));
        self.purge(FIND, delete, cut_off.into(), after).await
    }

    async fn purge(
        &self,
        find: &'static str,
        delete: Delete,
        cut_off: CutOff,
        after: EventId,
    ) -> Result<Purged, StoreError> {
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let [before, from, until] = of(cut_off);
        let args = args![after, before, limit, from, until];
        let page: Vec<Candidate> = sql::fetch_all(&self.readers, find, args).await?;
        let (due, next) = choose(&page);
        let deleted = if due.is_empty() {
            0
        } else {
            let due = json(&due);
            self.write(move |tx| delete(tx, due.clone(), cut_off))
                .await?
        };
        Ok(Purged { deleted, next })
    }
}

/// The cut-off as statements take it. Without a time that is spared, its range is empty.
fn of(cut_off: CutOff) -> [i64; 3] {
    let spared = cut_off.spared;
    let (from, until) = spared.map_or((1, 0), |(from, until)| (millis(from), millis(until)));
    [millis(cut_off.before), from, until]
}

/// Returns the due events of a page that fit into one step, and the event after which the next step
/// continues.
fn choose(page: &[Candidate]) -> (Vec<i64>, Option<EventId>) {
    let mut due = Vec::new();
    let mut bytes = 0;
    for candidate in page.iter().filter(|candidate| candidate.is_due) {
        let is_full = bytes + candidate.bytes > STEP_BYTES && !due.is_empty();
        if due.len() == STEP || is_full {
            let last = due.last().copied().map(EventId);
            return (due, last);
        }
        bytes += candidate.bytes;
        due.push(candidate.id);
    }
    let is_end = page.len() < PAGE || !page.iter().any(|candidate| candidate.is_old);
    let last = page.last().map(|candidate| EventId(candidate.id));
    (due, last.filter(|_| !is_end))
}

async fn delete_payloads(tx: &mut Tx, due: String, cut_off: CutOff) -> Result<usize, StoreError> {
    // Checks again: an operator may have queued an event since the reader saw it.
    const DELETE: &str = "\
        -- store::retention::delete_payloads
        DELETE FROM payloads
        WHERE event_id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1))
            AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.id = event_id
                AND (e.state IN ('queued', 'parked') OR e.updated_at >= $2
                    OR e.updated_at BETWEEN $3 AND $4))
            AND NOT EXISTS (SELECT 1 FROM claims AS c WHERE c.event_id = payloads.event_id)";
    let [before, from, until] = of(cut_off);
    let deleted = tx.run(DELETE, args![due, before, from, until]).await?;
    Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
}

async fn delete_finished(tx: &mut Tx, due: String, cut_off: CutOff) -> Result<usize, StoreError> {
    const STILL: &str = "\
        -- store::retention::still_due
        SELECT e.id, e.source, e.state, e.external FROM events AS e
        WHERE e.id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1))
            AND e.state NOT IN ('queued', 'parked') AND e.updated_at < $2
            AND e.updated_at NOT BETWEEN $3 AND $4
            AND NOT EXISTS (SELECT 1 FROM claims AS c WHERE c.event_id = e.id)";
    let [before, from, until] = of(cut_off);
    let still = args![due, before, from, until];
    let events: Vec<Doomed> = tx.fetch_all(STILL, still).await?;
    delete_events(tx, &events).await?;
    let externals: Vec<i64> = events.iter().filter_map(|event| event.external).collect();
    tickets::forget_all(tx, &externals).await?;
    Ok(events.len())
}

/// Deletes events with all that belongs to them. Returns the number of payloads, attempts, changes
/// and events.
pub(super) async fn delete_events(tx: &mut Tx, events: &[Doomed]) -> Result<[u64; 4], StoreError> {
    const STATEMENTS: [&str; 4] = [
        "DELETE FROM payloads WHERE event_id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1))",
        "DELETE FROM attempts WHERE event_id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1))",
        "DELETE FROM changes WHERE event_id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1))",
        "DELETE FROM events WHERE id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1))",
    ];
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    let ids = json(&ids);
    let mut counts = [0; 4];
    for (statement, count) in STATEMENTS.into_iter().zip(&mut counts) {
        *count = tx.run(statement, args![&ids]).await?;
    }
    for event in events {
        tx.counts.left(&event.source, event.state);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let many = |n: i64, bytes: i64, is_old: bool, is_due: bool| -> Vec<Candidate> {
            let candidate = |id| Candidate {
                id,
                bytes,
                is_old,
                is_due,
            };
            (1..=n).map(candidate).collect()
        };
        let page = |n, bytes, is_due| many(n, bytes, true, is_due);
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
        assert_eq!(next(&many(1000, 1, false, false)), (0, None));
    }
}
