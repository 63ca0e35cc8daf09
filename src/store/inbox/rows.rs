//! The rows of new events, many to a statement.

use std::sync::LazyLock;

use super::keys::{ContentKey, DeliveryKey};
use super::known::Ticket;
use super::{Recorded, Webhook};
use crate::domain::event::{Disposition, EventState, NewEvent};
use crate::domain::ids::{EventId, ServalTicketId};
use crate::domain::ingest::Placement;
use crate::domain::trace::TraceParent;
use crate::store::batch::Batch;
use crate::store::error::StoreError;
use crate::store::sized::{LARGEST, Size, SizedStatement};
use crate::store::writer::Tx;
use crate::store::{json, millis};

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
    /// Its external ticket, by its index in the group, if no other event of it is queued or in hand.
    pub(super) comes_first: Option<usize>,
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
    let size = Some(Size::of(all.len())).filter(|_| all.len() <= LARGEST);
    insert_rows(tx, size, &TICKETS, &new, bind_ticket).await?;
    insert_rows(tx, size, &EVENTS, &all, bind_event).await?;
    insert_rows(tx, size, &PAYLOADS, &kept, bind_payload).await
}

/// Inserts into one table. A statement of the size that takes all events goes with the others of that
/// size, every other one alone: so there are few texts to keep prepared, and no more bodies are copied
/// at once than such a statement takes.
async fn insert_rows<T: Copy>(
    tx: &mut Tx,
    size_of_all: Option<Size>,
    insert: &SizedStatement,
    rows: &[T],
    bind: impl Fn(&mut Batch, T) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for chunk in rows.chunks(LARGEST) {
        let size = Size::of(chunk.len());
        let is_alone = Some(size) != size_of_all;
        if is_alone {
            tx.connection().await?;
        }
        insert.push(tx.later(), size, chunk, |batch, row| bind(batch, *row))?;
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

static TICKETS: LazyLock<SizedStatement> = LazyLock::new(|| {
    let columns = ["id", "source", "external_id", "team", "number"];
    SizedStatement::insert("external_tickets", &columns)
});

fn bind_ticket(batch: &mut Batch, ticket: &Ticket<'_>) -> Result<(), StoreError> {
    batch.bind(ticket.id)?;
    batch.bind_text(ticket.source)?;
    batch.bind_text(ticket.external_id.as_str())?;
    batch.bind_text(ticket.new_team)?;
    batch.bind_text(ticket.new_number)
}

static EVENTS: LazyLock<SizedStatement> = LazyLock::new(|| {
    let columns = [
        "id",
        "state",
        "due_at",
        "received_at",
        "queued_at",
        "updated_at",
        "rank_major",
        "rank_minor",
        "source",
        "external",
        "subtype",
        "event_type",
        "delivery",
        "content",
        "first_state",
        "first_reason",
        "reason",
        "hint",
        "traceparent",
    ];
    SizedStatement::insert("events", &columns)
});

fn bind_event(batch: &mut Batch, row: &Row<'_>) -> Result<(), StoreError> {
    let received_at = millis(row.webhook.received_at);
    let state = row.placement.state.as_str();
    batch.bind(row.id.0)?;
    batch.bind_text(state)?;
    batch.bind(row.due_at())?;
    batch.bind(received_at)?;
    batch.bind(received_at)?;
    batch.bind(received_at)?;
    batch.bind(row.event.rank.0)?;
    batch.bind(row.event.rank.1)?;
    batch.bind_text(row.webhook.source.as_str())?;
    batch.bind(row.external)?;
    batch.bind_text(row.event.subtype)?;
    batch.bind_text(row.event.event_type.as_str())?;
    batch.bind(row.delivery.as_deref())?;
    batch.bind(row.held_content().map(ContentKey::as_slice))?;
    batch.bind_text(state)?;
    batch.bind_text(row.placement.reason)?;
    batch.bind_text(row.placement.reason)?;
    batch.bind_text(row.event.hint.as_ref().map(ServalTicketId::as_str))?;
    batch.bind_text(row.webhook.traceparent.as_ref().map(TraceParent::as_str))
}

static PAYLOADS: LazyLock<SizedStatement> = LazyLock::new(|| {
    let columns = ["event_id", "object_start", "object_len", "body"];
    SizedStatement::insert("payloads", &columns)
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
