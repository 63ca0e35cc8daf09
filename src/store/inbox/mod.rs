//! Taking events in: what is a duplicate, where a new event goes, and the rows that say so.
//!
//! A group of webhooks shares a handful of statements: two look-ups over many of them, the decisions
//! in memory, then inserts of many rows each, and the claims of what goes to the worker at once.

mod hand;
mod keys;
mod known;
mod rows;

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;

use super::error::StoreError;
use super::writer::Tx;
use super::{change, millis, moves};
use crate::domain::event::{EventState, NewEvent};
use crate::domain::ids::{EventId, ExternalId, SourceName};
use crate::domain::ingest::SUPERSEDED;
use crate::domain::trace::TraceParent;
use known::{Found, Known};
use rows::{Row, insert};

/// A verified webhook, ready to be stored.
#[derive(Clone)]
pub struct Webhook {
    /// Its source.
    pub source: SourceName,
    /// When it arrived.
    pub received_at: Timestamp,
    /// How long an event of the source may be parked, in milliseconds.
    pub park_for_ms: i64,
    /// Whether the source keeps the bodies of ignored events.
    pub keep_ignored_bodies: bool,
    /// Whether changed records of a connected external ticket are sent again.
    pub reconnects: bool,
    /// Where it belongs in a trace.
    pub traceparent: Option<TraceParent>,
    /// The raw body.
    pub body: Bytes,
    /// What the source read in it.
    pub events: Vec<NewEvent>,
}

impl fmt::Debug for Webhook {
    /// Without the body, which is somebody's ticket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("source", &self.source)
            .field("received_at", &self.received_at)
            .field("events", &self.events.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What became of one event of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The stored event; of a duplicate, the one that was there.
    pub id: EventId,
    /// What it is about.
    pub external_id: Option<ExternalId>,
    /// Its state now.
    pub state: EventState,
    /// Why, where the state alone does not say.
    pub reason: Option<String>,
    /// Whether the same delivery was stored before.
    pub duplicate: bool,
}

/// Places `webhooks` and inserts what is new. One answer for each event of each webhook.
pub(super) async fn record_all(
    tx: &mut Tx,
    webhooks: &[Webhook],
) -> Result<Vec<Vec<Recorded>>, StoreError> {
    if webhooks.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = Known::look_up(tx, webhooks).await?;
    let mut rows = Vec::new();
    let mut found = known.place_all(tx, &mut rows).into_iter();
    supersede(tx, &mut rows, &known.superseded, webhooks[0].received_at).await?;
    insert(tx, &known.tickets, &rows).await?;
    hand::hand_off(tx, webhooks, &known.tickets, &rows)?;
    // After the inserts, so that what shares the commit with a notice moves along.
    moves::apply(tx, webhooks).await?;
    for row in &rows {
        let source = row.webhook.source.as_str();
        tx.counts.entered(source, row.placement.state);
        tx.tally.stored(source, row.webhook.received_at);
        let received_at = row.webhook.received_at;
        tx.handing.received_until = tx.handing.received_until.max(received_at);
        if row.placement.state == EventState::Queued {
            tx.place = tx
                .place
                .filter(|place| place.is_before(millis(received_at)));
        }
    }
    let answer = |found: Found| match found {
        Found::Stored(recorded) => recorded,
        Found::New(row) => rows[row].answer(false),
        Found::Again(row) => rows[row].answer(true),
    };
    let mut answers = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        let events = found.by_ref().take(webhook.events.len());
        answers.push(events.map(answer).collect());
    }
    Ok(answers)
}

/// Gives up the places of events that better ones took: in the database, or in this very group.
async fn supersede(
    tx: &mut Tx,
    rows: &mut [Row<'_>],
    superseded: &[EventId],
    now: Timestamp,
) -> Result<(), StoreError> {
    for loser in superseded {
        match rows.iter_mut().find(|row| row.id == *loser) {
            Some(row) => {
                row.placement.state = EventState::Skipped;
                row.placement.reason = Some(SUPERSEDED);
            }
            None => {
                change::move_event(
                    tx,
                    *loser,
                    EventState::Parked,
                    EventState::Skipped,
                    Some(SUPERSEDED),
                    now,
                )
                .await?;
            }
        }
    }
    Ok(())
}
