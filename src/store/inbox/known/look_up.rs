//! The look-ups: two statements over all events of a group, or as many as fit.

use std::sync::LazyLock;

use sqlx::{FromRow as _, Row as _};

use super::{Found, Known, Wanted};
use crate::domain::event::Rank;
use crate::domain::ids::{EventId, ExternalId};
use crate::store::error::StoreError;
use crate::store::inbox::keys::{ContentKey, DeliveryKey};
use crate::store::inbox::{Recorded, Webhook};
use crate::store::sized::{LARGEST, Size, SizedStatement};
use crate::store::state;
use crate::store::writer::Tx;

/// What there is of external tickets that are known. The last row is about no ticket: it has the last
/// number that is taken. Its rows and those of [`DELIVERIES`] tell themselves apart by their number of
/// columns.
static TICKETS: LazyLock<SizedStatement> = LazyLock::new(|| SizedStatement::new(KNOWN, 4));
const KNOWN: &str = "\
    -- store::inbox::known
    SELECT wanted.column1, x.id, x.ticket_id, c.ticket_id IS NOT NULL, x.team, x.number,
           p.id, p.rank_major, p.rank_minor, s.id, x.accounted_for,
           EXISTS (SELECT 1 FROM events AS q INDEXED BY events_head
               WHERE q.state = 'queued' AND q.external = x.id)
           OR EXISTS (SELECT 1 FROM claims AS h WHERE h.external = x.id)
    FROM (VALUES {rows}) AS wanted
    CROSS JOIN external_tickets AS x
        ON x.source = wanted.column2 AND x.external_id = wanted.column3
    LEFT JOIN connections AS c ON c.external = x.id AND c.ticket_id = x.ticket_id
    LEFT JOIN events AS p INDEXED BY events_parked
        ON p.external = x.id AND p.state = 'parked'
    LEFT JOIN events AS s INDEXED BY events_external
        ON s.external = x.id AND s.content = wanted.column4
    UNION ALL
    SELECT NULL, COALESCE(MAX(id), 0), NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0
    FROM external_tickets";

/// The events of deliveries that are known.
static DELIVERIES: LazyLock<SizedStatement> = LazyLock::new(|| SizedStatement::new(DELIVERED, 3));
const DELIVERED: &str = "\
    -- store::inbox::deliveries
    SELECT wanted.column1, e.id, e.state, e.reason, x.external_id
    FROM (VALUES {rows}) AS wanted
    CROSS JOIN events AS e INDEXED BY events_delivery
        ON e.source = wanted.column2 AND e.delivery = wanted.column3
    LEFT JOIN external_tickets AS x ON x.id = e.external";

type KnownRow = (
    Option<i64>,
    i64,
    Option<String>,
    bool,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    bool,
);
type DeliveryRow = (i64, i64, String, Option<String>, Option<String>);
const DELIVERY_COLUMNS: usize = 5;

impl<'a> Known<'a> {
    /// Asks the database about all of them.
    pub(in crate::store::inbox) async fn look_up(
        tx: &mut Tx,
        webhooks: &'a [Webhook],
    ) -> Result<Self, StoreError> {
        let mut known = Self::of(webhooks);
        let named: Vec<_> = known.named_tickets().collect();
        let delivered: Vec<_> = known.named_deliveries().collect();
        // There is no delivery more than events, and no named ticket either.
        for from in (0..known.wanted.len()).step_by(LARGEST) {
            let named_here = part(&named, from);
            let delivered_here = part(&delivered, from);
            let size = Size::of(named_here.len().max(delivered_here.len()));
            let batch = tx.later();
            TICKETS.push(
                batch,
                size,
                &named_here,
                |batch, (key, (ticket, content))| {
                    let ticket = &known.tickets[*ticket];
                    batch.bind(*key)?;
                    batch.bind_text(ticket.source)?;
                    batch.bind_text(ticket.external_id.as_str())?;
                    batch.bind(content.as_ref().map(ContentKey::as_slice))
                },
            )?;
            DELIVERIES.push(
                batch,
                size,
                &delivered_here,
                |batch, (key, (source, name))| {
                    batch.bind(*key)?;
                    batch.bind_text(*source)?;
                    batch.bind(name.as_slice())
                },
            )?;
            for row in &tx.fetch_all().await? {
                if row.len() == DELIVERY_COLUMNS {
                    known.note_delivery(&delivered, DeliveryRow::from_row(row)?)?;
                } else {
                    known.note_ticket(&named, KnownRow::from_row(row)?);
                }
            }
        }
        Ok(known)
    }

    /// The external tickets that events name, by their index, with the content.
    fn named_tickets(&self) -> impl Iterator<Item = (usize, Option<ContentKey>)> {
        let named = |wanted: &Wanted<'a>| Some((wanted.ticket?, wanted.content));
        self.wanted.iter().filter_map(named)
    }

    fn named_deliveries(&self) -> impl Iterator<Item = (&'a str, DeliveryKey)> {
        self.wanted.iter().filter_map(Wanted::named_delivery)
    }

    /// Notes a ticket that the database has; the row says for which of `named`.
    fn note_ticket(&mut self, named: &[(usize, Option<ContentKey>)], row: KnownRow) {
        let (
            index,
            id,
            mapped_to,
            connected,
            team,
            number,
            parked,
            major,
            minor,
            same,
            known,
            busy,
        ) = row;
        let index = index.and_then(|index| usize::try_from(index).ok());
        let Some((ticket, content)) = index.and_then(|index| named.get(index)) else {
            self.next_ticket = id + 1;
            return;
        };
        let ticket = &mut self.tickets[*ticket];
        ticket.id = Some(id);
        let rank = Rank(major.unwrap_or_default(), minor.unwrap_or_default());
        ticket.facts.mapped_to = mapped_to;
        ticket.facts.connected = connected;
        ticket.facts.parked = parked.map(|id| (EventId(id), rank));
        ticket.facts.team = team;
        ticket.number = number;
        ticket.accounted_for = known;
        ticket.is_busy = busy;
        if let (Some(key), Some(event)) = (content, same) {
            ticket.contents.insert(*key, EventId(event));
        }
    }

    /// Notes a delivery that the database has; the row says which of `named` it is.
    fn note_delivery(
        &mut self,
        named: &[(&'a str, DeliveryKey)],
        (index, id, word, reason, external_id): DeliveryRow,
    ) -> Result<(), StoreError> {
        let recorded = Recorded {
            id: EventId(id),
            external_id: external_id.map(ExternalId::from_store),
            state: state(&word)?,
            reason,
            duplicate: true,
        };
        if let Some(name) = usize::try_from(index).ok().and_then(|at| named.get(at)) {
            self.deliveries
                .insert(name.clone(), Found::Stored(recorded));
        }
        Ok(())
    }
}

/// What stands in `all` from `from` on, with its places there, as much as a statement takes.
fn part<T>(all: &[T], from: usize) -> Vec<(i64, &T)> {
    let numbered = (0_i64..).zip(all);
    numbered.skip(from).take(LARGEST).collect()
}
