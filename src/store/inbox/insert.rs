//! Inserts new events, many to a statement.

use std::sync::LazyLock;

use super::keys::{ContentKey, NO_FINGERPRINT};
use super::known::Ticket;
use super::row::Row;
use crate::domain::ids::ServalTicketId;
use crate::domain::reason::Reason;
use crate::domain::report::Report;
use crate::domain::trace::TraceParent;
use crate::store::body;
use crate::store::commit::tx::Tx;
use crate::store::engine::{Batch, Kind, LARGEST, Size, SizedStatement};
use crate::store::error::StoreError;
use crate::store::sql::{args, json, millis};

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

/// Inserts into one table. A statement of the size that takes all events shares a round trip with the
/// others of that size; any other statement has its own. This keeps the number of texts that stay
/// prepared small, and limits how many bodies are copied at once.
async fn insert_rows<T: Copy>(
    tx: &mut Tx,
    size_of_all: Option<Size>,
    insert: &'static SizedStatement,
    rows: &[T],
    bind: impl Fn(&mut Batch, T),
) -> Result<(), StoreError> {
    for chunk in rows.chunks(LARGEST) {
        let size = Size::of(chunk.len());
        let is_alone = Some(size) != size_of_all;
        if is_alone {
            tx.connection().await?;
        }
        insert.push(tx.later(), size, chunk, |batch, row| bind(batch, *row));
        if is_alone {
            tx.connection().await?;
        }
    }
    Ok(())
}

/// Stores what is new about external tickets that were known.
async fn note_news(tx: &mut Tx, tickets: &[Ticket<'_>]) -> Result<(), StoreError> {
    const NEWS: &str = "\
        -- store::insert::news
        UPDATE external_tickets
        SET number = COALESCE(news.value ->> 1, number), newest = COALESCE(CAST(news.value ->> 2 AS BIGINT), newest)
        FROM json_each($1) AS news
        WHERE external_tickets.id = CAST(news.value ->> 0 AS BIGINT)";
    let news: Vec<_> = tickets
        .iter()
        .filter(|ticket| !ticket.is_new)
        .filter(|ticket| ticket.new_number.is_some() || ticket.new_newest.is_some())
        .map(|ticket| {
            let newest = ticket.new_newest.map(|event| event.0);
            (ticket.id, ticket.new_number, newest)
        })
        .collect();
    if news.is_empty() {
        return Ok(());
    }
    if tx.is_shared() {
        tx.later().push_to("external_tickets", NEWS);
        tx.later().bind(json(&news));
    } else {
        // Not with the inserts: those are prepared in each of their sizes.
        tx.run(NEWS, args![json(&news)]).await?;
    }
    Ok(())
}

static TICKETS: LazyLock<SizedStatement> = LazyLock::new(|| {
    let columns = ["id", "source", "external_id", "number", "newest"];
    let kinds = &[Kind::Int, Kind::Text, Kind::Text, Kind::Text, Kind::Int];
    SizedStatement::insert("external_tickets", &columns, kinds)
});

fn bind_ticket(batch: &mut Batch, ticket: &Ticket<'_>) {
    batch.bind(ticket.id);
    batch.bind(ticket.source);
    batch.bind(ticket.external_id.as_str());
    batch.bind(ticket.new_number);
    batch.bind(ticket.new_newest.map(|event| event.0));
}

static EVENTS: LazyLock<SizedStatement> = LazyLock::new(|| {
    let columns = [
        "id",
        "state",
        "due_at",
        "not_before",
        "tries",
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
        "fingerprint",
        "content",
        "first_state",
        "first_reason",
        "reason",
        "hint",
        "traceparent",
        "report",
    ];
    let kinds = &[
        Kind::Int,
        Kind::Text,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Int,
        Kind::Text,
        Kind::Int,
        Kind::Text,
        Kind::Text,
        Kind::Blob,
        Kind::Int,
        Kind::Blob,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
    ];
    SizedStatement::insert("events", &columns, kinds)
});

fn bind_event(batch: &mut Batch, row: &Row<'_>) {
    let (received_at, place) = (millis(row.webhook.received_at), row.place());
    let state = row.placement.state.as_str();
    let reason = row.placement.reason.map(Reason::as_str);
    batch.bind(row.id.0);
    batch.bind(state);
    batch.bind(place.due_at);
    batch.bind(place.not_before);
    batch.bind(place.tries);
    batch.bind(received_at);
    batch.bind(place.queued_at);
    batch.bind(received_at);
    batch.bind(row.event.rank.0);
    batch.bind(row.event.rank.1);
    batch.bind(row.webhook.source.as_str());
    batch.bind(row.external);
    batch.bind(row.event.subtype);
    batch.bind(row.event.event_type.as_str());
    let delivery = row.delivery.as_ref();
    batch.bind(delivery.map(|delivery| delivery.name.1.as_slice()));
    batch.bind(delivery.map_or(NO_FINGERPRINT, |delivery| delivery.fingerprint));
    batch.bind(row.held_content().map(ContentKey::as_slice));
    batch.bind(state);
    batch.bind(reason);
    batch.bind(reason);
    batch.bind(row.event.hint.as_ref().map(ServalTicketId::as_str));
    batch.bind(row.webhook.traceparent.as_ref().map(TraceParent::as_str));
    let report = row.event.report;
    batch.bind(report.is_about_others().then(|| report.as_str()));
}

static PAYLOADS: LazyLock<SizedStatement> = LazyLock::new(|| {
    let columns = ["event_id", "body", "unpacked", "object_start", "object_len"];
    let kinds = &[Kind::Int, Kind::Blob, Kind::Int, Kind::Int, Kind::Int];
    SizedStatement::insert("payloads", &columns, kinds)
});

fn bind_payload(batch: &mut Batch, row: &Row<'_>) {
    let object = row.event.object.clone();
    // Of a batch, each event stores only its element: the whole body for each would multiply it. The body
    // of an edit has the message as it was, too.
    let is_whole = row.webhook.events.len() == 1 && row.event.report != Report::MessageEdit;
    let (body, object) = if is_whole {
        (row.webhook.body.as_ref(), object)
    } else {
        let element = row.webhook.body.get(object.clone());
        (element.unwrap_or_default(), 0..object.len())
    };
    batch.bind(row.id.0);
    body::bind(batch, body, object);
}
