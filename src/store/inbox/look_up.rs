//! The look-up: one statement about the events of a group.

use std::sync::LazyLock;

use super::keys::{ContentKey, Fingerprint, NO_FINGERPRINT};
use super::known::{Found, Known, Wanted};
use super::webhook::{Recorded, Webhook};
use crate::domain::event::Rank;
use crate::domain::ids::{EventId, ExternalId};
use crate::domain::report::Told;
use crate::store::columns::Columns;
use crate::store::commit::tx::Tx;
use crate::store::engine::{Kind, LARGEST, Row, Size, SizedStatement};
use crate::store::error::StoreError;
use crate::store::links::doubts::doubt;
use crate::store::sql::{args, json, row, state};

/// Finds what the database has of the events of a group, in rows of three kinds. The first two columns tell which, and
/// about which event.
///
/// - The external ticket of an event, with the facts that decide about a new event.
/// - The stored event for the name of a delivery: the one with its fingerprint, else the one with the lowest, which
///   is the one without a fingerprint if there is such a one.
/// - Without an event: the last row id that is taken by an external ticket.
///
/// `LIMIT` keeps Postgres from reading all that waits, for a few tickets.
static KNOWN: LazyLock<SizedStatement> = LazyLock::new(|| {
    let kinds = &[
        Kind::Int,
        Kind::Text,
        Kind::Text,
        Kind::Blob,
        Kind::Blob,
        Kind::Int,
    ];
    SizedStatement::new(OF_EVENTS, kinds)
});
const OF_EVENTS: &str = concat!(
    "-- store::look_up::known
    WITH wanted AS (VALUES {rows})
    SELECT wanted.column1, FALSE, x.id, x.ticket_id, c.ticket_id IS NOT NULL,
           x.number, p.id, p.rank_major, p.rank_minor, s.id, x.accounted_for,
           n.id, n.rank_major, n.rank_minor,
           CASE WHEN x.newest IS NOT NULL THEN
               (SELECT w.id FROM events AS w INDEXED BY events_head
                   WHERE w.state = 'queued' AND w.external = x.id
                       AND (w.hint IS NULL OR w.hint = x.ticket_id)
                       AND NOT EXISTS (SELECT 1 FROM claims AS h WHERE h.event_id = w.id)
                   ORDER BY w.id DESC LIMIT 1)
           END,
           (SELECT q.id FROM events AS q INDEXED BY events_head
               WHERE q.state = 'queued' AND q.external = x.id LIMIT 1) IS NOT NULL
           OR EXISTS (SELECT 1 FROM claims AS h WHERE h.external = x.id),
           (SELECT r.id FROM events AS r INDEXED BY events_report
               WHERE r.report IS NOT NULL AND r.external = x.id LIMIT 1) IS NOT NULL, ",
    doubt!("x.id", "x.ticket_id"),
    ", NULL, NULL, NULL, NULL, NULL, NULL
    FROM wanted
    CROSS JOIN external_tickets AS x
        ON x.source = wanted.column2 AND x.external_id = wanted.column3
    LEFT JOIN connections AS c ON c.external = x.id AND c.ticket_id = x.ticket_id
    LEFT JOIN events AS p INDEXED BY events_parked
        ON p.external = x.id AND p.state = 'parked'
    LEFT JOIN events AS n ON n.id = x.newest
    LEFT JOIN events AS s INDEXED BY events_external
        ON s.external = x.id AND s.content = wanted.column4
    UNION ALL
    SELECT wanted.column1, TRUE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, e.id, e.state, e.reason, x.external_id, e.fingerprint, e.content
    FROM wanted
    CROSS JOIN events AS e ON e.id = COALESCE(
        (SELECT s.id FROM events AS s INDEXED BY events_delivery
            WHERE s.source = wanted.column2 AND s.delivery = wanted.column5
                AND s.fingerprint = wanted.column6),
        (SELECT o.id FROM events AS o INDEXED BY events_delivery
            WHERE o.source = wanted.column2 AND o.delivery = wanted.column5
            ORDER BY o.fingerprint LIMIT 1))
    LEFT JOIN external_tickets AS x ON x.id = e.external
    UNION ALL
    SELECT NULL, FALSE, COALESCE(MAX(id), 0), NULL, FALSE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, FALSE, FALSE, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM external_tickets"
);
/// Index of the first column of each kind of row.
const OF_TICKET: usize = 2;
const OF_DELIVERY: usize = 18;

row! {
    /// An external ticket that the database has.
    struct TicketRow {
        /// Its row id.
        id: i64,
        mapped_to: Option<String>,
        is_connected: bool,
        number: Option<String>,
        /// The parked event, with its rank.
        parked: Option<i64>,
        rank_major: Option<i64>,
        rank_minor: Option<i64>,
        /// The event that has the same content.
        twin: Option<i64>,
        accounted_for: Option<String>,
        /// The newest save, with its rank.
        newest: Option<i64>,
        newest_major: Option<i64>,
        newest_minor: Option<i64>,
        /// See [`TicketFacts::waiting`](crate::domain::ingest::TicketFacts::waiting).
        waiting: Option<i64>,
        is_busy: bool,
        has_reports: bool,
        doubt: Option<EventId>,
    }
}

row! {
    /// An event whose delivery has the name.
    struct DeliveryRow {
        event: i64,
        state: String,
        reason: Option<String>,
        external_id: Option<String>,
        fingerprint: i64,
        content: Option<Vec<u8>>,
    }
}

impl DeliveryRow {
    /// True if this event brought the same content under the same name. Of one without a fingerprint the
    /// external ticket and the content key must be the same; both may be unknown.
    fn is_same(
        &self,
        fingerprint: Fingerprint,
        external_id: Option<&str>,
        content: Option<&ContentKey>,
    ) -> bool {
        if self.fingerprint != NO_FINGERPRINT {
            return self.fingerprint == fingerprint;
        }
        let content = content.map(ContentKey::as_slice);
        self.external_id.as_deref() == external_id && self.content.as_deref() == content
    }
}

impl<'a> Known<'a> {
    /// Asks the database about all events of `webhooks`.
    pub(super) async fn look_up(tx: &mut Tx, webhooks: &'a [Webhook]) -> Result<Self, StoreError> {
        let mut known = Self::of(webhooks);
        let numbered: Vec<(i64, &Wanted<'a>)> = (0_i64..).zip(&known.wanted).collect();
        let mut rows = Vec::new();
        for part in numbered.chunks(LARGEST) {
            KNOWN.push(
                tx.later(),
                Size::of(part.len()),
                part,
                |batch, (index, wanted)| {
                    let ticket = wanted.ticket.map(|ticket| &known.tickets[ticket]);
                    let delivery = wanted.delivery.as_ref();
                    batch.bind(*index);
                    batch.bind(wanted.webhook.source.as_str());
                    batch.bind(ticket.map(|ticket| ticket.external_id.as_str()));
                    batch.bind(wanted.content.as_ref().map(ContentKey::as_slice));
                    batch.bind(delivery.map(|delivery| delivery.name.1.as_slice()));
                    batch.bind(delivery.map(|delivery| delivery.fingerprint));
                },
            );
            rows.append(&mut tx.fetch_later().await?);
        }
        for row in rows {
            known.note(&row)?;
        }
        known.note_reports(tx).await?;
        Ok(known)
    }

    /// Notes the deletions and edits about the external tickets that have any.
    async fn note_reports(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        const TOLD: &str = "\
            -- store::look_up::told
            SELECT r.external, r.id, r.report, r.rank_major, r.rank_minor
            FROM json_each($1) AS x
            CROSS JOIN events AS r INDEXED BY events_report ON r.external = CAST(x.atom AS BIGINT)
            WHERE r.report IS NOT NULL";
        let asked = self.tickets.iter().filter(|ticket| ticket.has_reports);
        let externals: Vec<i64> = asked.filter_map(|ticket| ticket.id).collect();
        if externals.is_empty() {
            return Ok(());
        }
        let mut told: Vec<(i64, Told)> = tx.fetch_all(TOLD, args![json(&externals)]).await?;
        // Of two edits of the same second, the one that came last counts.
        told.sort_by_key(|(_, told)| told.event);
        for ticket in &mut self.tickets {
            let about = told
                .iter()
                .filter(|(external, _)| ticket.id == Some(*external));
            ticket.told = about.map(|(_, told)| *told).collect();
        }
        Ok(())
    }

    fn note(&mut self, row: &Row) -> Result<(), StoreError> {
        let (index, is_delivery): (Option<i64>, bool) = Columns::read(row, &mut 0)?;
        let wanted = index.and_then(|index| usize::try_from(index).ok());
        match wanted.filter(|index| *index < self.wanted.len()) {
            Some(wanted) if is_delivery => {
                self.note_delivery(wanted, DeliveryRow::read(row, &mut { OF_DELIVERY })?)
            }
            Some(wanted) => {
                self.note_ticket(wanted, TicketRow::read(row, &mut { OF_TICKET })?);
                Ok(())
            }
            None => {
                self.next_ticket = i64::read(row, &mut { OF_TICKET })? + 1;
                Ok(())
            }
        }
    }

    /// Notes the external ticket of an event.
    fn note_ticket(&mut self, wanted: usize, row: TicketRow) {
        let wanted = &self.wanted[wanted];
        let Some(ticket) = wanted.ticket.map(|ticket| &mut self.tickets[ticket]) else {
            return;
        };
        let rank = |(major, minor): (Option<i64>, Option<i64>)| {
            Rank(major.unwrap_or_default(), minor.unwrap_or_default())
        };
        let parked = rank((row.rank_major, row.rank_minor));
        let newest = rank((row.newest_major, row.newest_minor));
        ticket.id = Some(row.id);
        ticket.facts.mapped_to = row.mapped_to;
        ticket.facts.connected = row.is_connected;
        ticket.facts.parked = row.parked.map(|id| (EventId(id), parked));
        ticket.facts.newest = row.newest.map(|id| (EventId(id), newest));
        ticket.facts.waiting = row.waiting.map(EventId);
        ticket.number = row.number;
        ticket.accounted_for = row.accounted_for;
        ticket.is_busy = row.is_busy;
        ticket.has_reports = row.has_reports;
        ticket.doubt = row.doubt;
        if let (Some(key), Some(event)) = (wanted.content, row.twin) {
            ticket.contents.insert(key, EventId(event));
        }
    }

    /// Notes a delivery that the database has, or that it has one of the same name.
    fn note_delivery(&mut self, wanted: usize, row: DeliveryRow) -> Result<(), StoreError> {
        let wanted = &self.wanted[wanted];
        let Some(delivery) = &wanted.delivery else {
            return Ok(());
        };
        let external_id = wanted.event.external_id.as_ref().map(ExternalId::as_str);
        if !row.is_same(delivery.fingerprint, external_id, wanted.content.as_ref()) {
            self.names.insert(delivery.name.clone(), None);
            return Ok(());
        }
        let recorded = Recorded {
            id: EventId(row.event),
            external_id: row.external_id.map(ExternalId::checked),
            state: state(&row.state)?,
            reason: row.reason,
            duplicate: true,
            reused_name: None,
        };
        let found = Found::Stored(recorded);
        self.deliveries.insert(delivery.clone(), found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_compared_by_fingerprint_or_where_there_is_none_by_ticket_and_key() {
        let key = ContentKey::default();
        let other = [1; 16];
        // What is stored, what comes, and whether it is the same.
        let rows = [
            ((7, "x", Some(key)), (7, "x", Some(key)), true),
            ((7, "x", None), (7, "y", Some(other)), true),
            ((7, "x", Some(key)), (8, "x", Some(key)), false),
            ((NO_FINGERPRINT, "x", Some(key)), (8, "x", Some(key)), true),
            (
                (NO_FINGERPRINT, "x", Some(key)),
                (8, "x", Some(other)),
                false,
            ),
            ((NO_FINGERPRINT, "x", Some(key)), (8, "y", Some(key)), false),
            ((NO_FINGERPRINT, "x", None), (8, "x", None), true),
            // It may have been an echo: a save that may connect is another event.
            ((NO_FINGERPRINT, "x", None), (8, "x", Some(key)), false),
            ((NO_FINGERPRINT, "x", Some(key)), (8, "x", None), false),
            ((NO_FINGERPRINT, "x", None), (8, "y", None), false),
        ];
        for (stored, (fingerprint, external_id, content), expected) in rows {
            let row = DeliveryRow {
                event: 1,
                state: "parked".to_owned(),
                reason: None,
                external_id: Some(stored.1.to_owned()),
                fingerprint: stored.0,
                content: stored.2.map(|key: ContentKey| key.to_vec()),
            };
            let is_same = row.is_same(fingerprint, Some(external_id), content.as_ref());
            assert_eq!(is_same, expected, "{stored:?} {fingerprint} {external_id}");
        }
    }
}
