//! The events whose claims are settled, read from the database.

use jiff::Timestamp;

use super::types::{Settle, Settlement};
use crate::domain::event::{EventState, Rank};
use crate::domain::ids::{EventId, ServalTicketId};
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::sql::{is_outranked, json, read_all, row};

/// An event, as it is when its claim is settled.
pub(super) struct Subject {
    pub(super) event: EventId,
    pub(super) source: String,
    /// Row id of the external ticket.
    pub(super) external: i64,
    pub(super) rank: Rank,
    pub(super) mapped_to: Option<String>,
    /// False if an operator, or the end of its channel, moved the event while it was claimed.
    pub(super) is_queued: bool,
    /// False if a deletion came while the event was claimed.
    pub(super) has_body: bool,
    /// True if a newer save came while the event was claimed.
    pub(super) is_outranked: bool,
    /// True if other events of the external ticket are queued.
    pub(super) has_siblings: bool,
}

impl Subject {
    /// True if the event was mapped to another Serval ticket while it was claimed, and `settle` is
    /// about the old one. What failed with the old one must not end the event or delay it.
    pub(super) fn is_outdated(&self, settle: &Settle) -> bool {
        let is_failure = match settle.settlement {
            Settlement::Retry { asked, .. } => !asked,
            Settlement::Dead { .. } | Settlement::Skip { .. } => true,
            Settlement::Connected { .. }
            | Settlement::AlreadyLinked { .. }
            | Settlement::Release { .. }
            | Settlement::Park { .. } => false,
        };
        is_failure && self.mapped_to.is_some() && self.mapped_to != settle.mapped_to
    }
}

/// A pair that Serval has now, and the event that ends with it.
pub(super) struct Pair<'a> {
    pub(super) subject: Subject,
    pub(super) ticket_id: &'a ServalTicketId,
    /// New state of the event.
    pub(super) to: EventState,
    pub(super) reason: Option<Reason>,
    /// True if the other queued events of the external ticket have nothing left to do.
    pub(super) ends_siblings: bool,
    /// True if it was in doubt when the event was claimed.
    pub(super) was_in_doubt: bool,
    pub(super) now: Timestamp,
}

impl Pair<'_> {
    pub(super) fn is_as_mapped(&self) -> bool {
        self.subject.mapped_to.as_deref() == Some(self.ticket_id.as_str())
    }

    /// True if the event was mapped to another Serval ticket during the call.
    pub(super) fn was_mapped_away(&self) -> bool {
        self.subject.mapped_to.is_some() && !self.is_as_mapped()
    }
}

row! {
    /// A claim that is held, with its event if that has an external ticket.
    struct HeldRow {
        /// Index among the settlements.
        key: i64,
        event: i64,
        source: Option<String>,
        external: Option<i64>,
        rank_major: Option<i64>,
        rank_minor: Option<i64>,
        mapped_to: Option<String>,
        is_queued: bool,
        has_body: bool,
        is_outranked: bool,
        has_siblings: bool,
    }
}

/// Returns the index of each settlement that shows the token of its claim, with its event if that has an
/// external ticket.
pub(super) async fn held(
    tx: &mut Tx,
    settles: &[Settle],
) -> Result<Vec<(usize, Option<Subject>)>, StoreError> {
    // `json_each` gives one text for any number of claims; the inserts that go with it have many
    // sizes, and each combination of texts would be prepared on its own.
    const HELD: &str = concat!(
        "-- store::subject::held
        SELECT shown.key, c.event_id, e.source, e.external, e.rank_major, e.rank_minor, x.ticket_id,
            COALESCE(e.state = 'queued', FALSE),
            (SELECT p.event_id FROM payloads AS p WHERE p.event_id = c.event_id) IS NOT NULL,
            ",
        is_outranked!("e", "x"),
        ", (SELECT q.id FROM events AS q INDEXED BY events_head
            WHERE q.state = 'queued' AND q.external = e.external AND q.id <> e.id LIMIT 1) IS NOT NULL
        FROM json_each(?) AS shown
        CROSS JOIN claims AS c
            ON c.event_id = CAST(shown.value ->> 0 AS BIGINT) AND c.token = shown.value ->> 1
        LEFT JOIN events AS e
            ON e.id = c.event_id AND e.external IS NOT NULL
        LEFT JOIN external_tickets AS x ON x.id = e.external"
    );
    let shown = settles.iter().map(|s| (s.event.0, s.token.as_str()));
    let shown: Vec<(i64, &str)> = shown.collect();
    let batch = tx.later();
    batch.push(HELD);
    batch.bind(json(&shown));
    let rows: Vec<HeldRow> = read_all(&tx.fetch_later().await?)?;
    let held = rows.into_iter().map(|row| {
        let subject = row.source.zip(row.external).map(|(source, external)| {
            let (major, minor) = (row.rank_major, row.rank_minor);
            Subject {
                event: EventId(row.event),
                source,
                external,
                rank: Rank(major.unwrap_or_default(), minor.unwrap_or_default()),
                mapped_to: row.mapped_to,
                is_queued: row.is_queued,
                has_body: row.has_body,
                is_outranked: row.is_outranked,
                has_siblings: row.has_siblings,
            }
        });
        (usize::try_from(row.key).unwrap_or(usize::MAX), subject)
    });
    Ok(held.collect())
}
