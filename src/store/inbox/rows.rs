//! The rows of new events, many to a statement.

use std::sync::LazyLock;

use super::known::{ContentKey, DeliveryKey, Ticket};
use super::{Recorded, Webhook};
use crate::domain::event::{Disposition, EventState, NewEvent};
use crate::domain::ids::{EventId, ServalTicketId};
use crate::domain::ingest::Placement;
use crate::domain::trace::TraceParent;
use crate::store::batch::Batch;
use crate::store::error::StoreError;
use crate::store::writer::Tx;
use crate::store::{json, millis};

/// Rows of one insert, largest first: fixed sizes keep the statements prepared. Each statement is a
/// journey to the connection's thread and back, which costs as much as several rows: so a group of
/// usual size goes in one.
const SIZES: [usize; 34] = {
    let mut sizes = [0; 34];
    (sizes[0], sizes[1]) = (64, 48);
    let mut index = 2;
    while index < sizes.len() {
        sizes[index] = sizes.len() - index;
        index += 1;
    }
    sizes
};

/// An insert for each of [`SIZES`].
type Inserts = [String; SIZES.len()];

/// A row to insert.
pub(super) struct Row<'a> {
    pub(super) id: EventId,
    pub(super) webhook: &'a Webhook,
    pub(super) event: &'a NewEvent,
    /// Its external ticket, by its number.
    pub(super) external: Option<i64>,
    pub(super) delivery: Option<DeliveryKey>,
    pub(super) content: Option<ContentKey>,
    pub(super) placement: Placement,
    /// Another event holds the same content.
    pub(super) is_twin: bool,
}

impl<'a> Row<'a> {
    pub(super) fn answer(&self, duplicate: bool) -> Recorded {
        Recorded {
            id: self.id,
            external_id: self.event.external_id.clone(),
            state: self.placement.state,
            reason: self.placement.reason.map(str::to_owned),
            duplicate,
        }
    }

    /// The number by which people know the external ticket: of what is not kept, not that either.
    pub(super) fn number(&self) -> Option<&'a str> {
        self.event.number.as_deref().filter(|_| self.keeps_body())
    }

    /// Whether the event holds its place against others with the same content.
    pub(super) fn holds_content(&self) -> bool {
        match self.placement.state {
            EventState::Queued
            | EventState::Parked
            | EventState::Connected
            | EventState::Skipped => !self.is_twin,
            EventState::Expired | EventState::Ignored | EventState::Dead => false,
        }
    }

    /// The workspace that an event which may connect lays claim to its external id for.
    pub(super) fn team(&self) -> Option<&'a str> {
        match self.event.disposition {
            Disposition::Connect => self.event.team.as_deref(),
            Disposition::Skip(_) | Disposition::Ignore(_) | Disposition::Bury(_) => None,
        }
    }

    fn held_content(&self) -> Option<&ContentKey> {
        self.content.as_ref().filter(|_| self.holds_content())
    }

    fn due_at(&self) -> i64 {
        let received_at = millis(self.webhook.received_at);
        if self.placement.state == EventState::Parked {
            received_at.saturating_add(self.webhook.park_for_ms)
        } else {
            received_at
        }
    }

    fn keeps_body(&self) -> bool {
        !matches!(self.event.disposition, Disposition::Ignore(_))
            || self.webhook.keep_ignored_bodies
    }
}

/// `INSERT` with rows of `columns` placeholders, for each of [`SIZES`].
///
/// Nothing that is inserted can be there already, so a conflict is a fault, and the whole transaction
/// is rolled back: `OR FAIL` saves `SQLite` the journal with which it could undo this one statement.
fn inserts(head: &str, columns: usize) -> Inserts {
    SIZES.map(|rows| {
        let mut sql = String::from(head);
        for row in 0..rows {
            sql.push_str(if row == 0 { "(" } else { ", (" });
            for column in 0..columns {
                sql.push_str(if column == 0 { "?" } else { ", ?" });
            }
            sql.push(')');
        }
        sql
    })
}

/// The statements' index for the next chunk of `left` rows, and its size.
fn next_size(left: usize) -> (usize, usize) {
    let index = SIZES
        .iter()
        .position(|size| *size <= left)
        .unwrap_or(SIZES.len() - 1);
    (index, SIZES[index])
}

/// Inserts new external tickets, events and payloads.
pub(super) async fn insert(
    tx: &mut Tx,
    tickets: &[Ticket<'_>],
    rows: &[Row<'_>],
) -> Result<(), StoreError> {
    let new: Vec<&Ticket<'_>> = tickets.iter().filter(|ticket| ticket.is_new).collect();
    let kept: Vec<&Row<'_>> = rows.iter().filter(|row| row.keeps_body()).collect();
    let all: Vec<&Row<'_>> = rows.iter().collect();
    note_news(tx, tickets).await?;
    let size = all.len();
    insert_chunks(tx, size, &TICKETS, &new, bind_ticket).await?;
    insert_chunks(tx, size, &EVENTS, &all, bind_event).await?;
    insert_chunks(tx, size, &PAYLOADS, &kept, bind_payload).await
}

/// What takes one statement of `size` rows goes with others of that size, everything else alone: so
/// there are few texts to keep prepared.
async fn insert_chunks<T: Copy>(
    tx: &mut Tx,
    size: usize,
    inserts: &Inserts,
    rows: &[T],
    bind: impl Fn(&mut Batch, T) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut left = rows;
    while !left.is_empty() {
        let (index, chunk_size) = next_size(left.len());
        let (chunk, later) = left.split_at(chunk_size);
        left = later;
        let is_alone = chunk_size != size;
        if is_alone {
            tx.connection().await?;
        }
        let batch = tx.later();
        batch.push(&inserts[index]);
        for row in chunk {
            bind(batch, *row)?;
        }
        if is_alone {
            tx.connection().await?;
        }
    }
    Ok(())
}

/// What is new about external tickets that were known.
async fn note_news(tx: &mut Tx, tickets: &[Ticket<'_>]) -> Result<(), StoreError> {
    const NEWS: &str = "\
        -- store::inbox::news
        UPDATE external_tickets
        SET team = COALESCE(team, news.value ->> 1), number = COALESCE(news.value ->> 2, number)
        FROM json_each($1) AS news
        WHERE external_tickets.id = news.value ->> 0";
    let news: Vec<_> = tickets
        .iter()
        .filter(|ticket| !ticket.is_new)
        .filter(|ticket| ticket.new_team.is_some() || ticket.new_number.is_some())
        .map(|ticket| (ticket.id, ticket.new_team, ticket.new_number))
        .collect();
    if news.is_empty() {
        return Ok(());
    }
    sqlx::query(NEWS)
        .bind(json(&news))
        .execute(tx.connection().await?)
        .await?;
    Ok(())
}

static TICKETS: LazyLock<Inserts> = LazyLock::new(|| {
    inserts(
        "INSERT OR FAIL INTO external_tickets (id, source, external_id, team, number) VALUES ",
        5,
    )
});

fn bind_ticket(batch: &mut Batch, ticket: &Ticket<'_>) -> Result<(), StoreError> {
    batch.bind(ticket.id)?;
    batch.bind(ticket.source)?;
    batch.bind(ticket.external_id.as_str())?;
    batch.bind(ticket.new_team)?;
    batch.bind(ticket.new_number)
}

static EVENTS: LazyLock<Inserts> = LazyLock::new(|| {
    inserts(
        "INSERT OR FAIL INTO events (id, state, due_at, received_at, queued_at, updated_at, \
         rank_major, rank_minor, source, external, subtype, event_type, delivery, content, \
         first_state, first_reason, reason, hint, traceparent) VALUES ",
        19,
    )
});

fn bind_event(batch: &mut Batch, row: &Row<'_>) -> Result<(), StoreError> {
    let received_at = millis(row.webhook.received_at);
    let state = row.placement.state.as_str();
    batch.bind(row.id.0)?;
    batch.bind(state)?;
    batch.bind(row.due_at())?;
    batch.bind(received_at)?;
    batch.bind(received_at)?;
    batch.bind(received_at)?;
    batch.bind(row.event.rank.0)?;
    batch.bind(row.event.rank.1)?;
    batch.bind(row.webhook.source.as_str())?;
    batch.bind(row.external)?;
    batch.bind(row.event.subtype)?;
    batch.bind(row.event.event_type.as_str())?;
    batch.bind(row.delivery.as_deref())?;
    batch.bind(row.held_content().map(ContentKey::as_slice))?;
    batch.bind(state)?;
    batch.bind(row.placement.reason)?;
    batch.bind(row.placement.reason)?;
    batch.bind(row.event.hint.as_ref().map(ServalTicketId::as_str))?;
    batch.bind(row.webhook.traceparent.as_ref().map(TraceParent::as_str))
}

static PAYLOADS: LazyLock<Inserts> = LazyLock::new(|| {
    inserts(
        "INSERT OR FAIL INTO payloads (event_id, object_start, object_len, body) VALUES ",
        4,
    )
});

fn bind_payload(batch: &mut Batch, row: &Row<'_>) -> Result<(), StoreError> {
    let object = row.event.object.clone();
    // An element of a batch is stored alone: a body for each would multiply the batch.
    let (start, body) = if row.webhook.events.len() == 1 {
        (object.start, row.webhook.body.as_ref())
    } else {
        (0, row.webhook.body.get(object.clone()).unwrap_or_default())
    };
    batch.bind(row.id.0)?;
    batch.bind(i64::try_from(start).unwrap_or(i64::MAX))?;
    batch.bind(i64::try_from(object.len()).unwrap_or(i64::MAX))?;
    batch.bind(body)
}
