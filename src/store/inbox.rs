//! Taking events in: what is a duplicate, where a new event goes, and the rows that say so.
//!
//! A group of webhooks shares a handful of statements: two look-ups over all of them, the decisions
//! in memory, then inserts of many rows each.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::error::StoreError;
use super::writer::Tx;
use super::{change, millis, moves};
use crate::domain::event::{Disposition, EventState, NewEvent, Rank};
use crate::domain::ids::{EventId, ExternalId, ServalTicketId, SourceName};
use crate::domain::ingest::{Placement, SUPERSEDED, TicketFacts, place};

/// A verified webhook, ready to be stored.
#[derive(Debug, Clone)]
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
    /// The raw body.
    pub body: Bytes,
    /// What the source read in it.
    pub events: Vec<NewEvent>,
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

/// Rows of one insert, largest first: fixed sizes keep the statements prepared.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// Places `webhooks` and inserts what is new. One answer for each event of each webhook.
pub(super) async fn record_all(
    tx: &mut Tx,
    webhooks: &[Webhook],
) -> Result<Vec<Vec<Recorded>>, StoreError> {
    if webhooks.is_empty() {
        return Ok(Vec::new());
    }
    moves::apply(tx, webhooks).await?;
    let mut known = Known::look_up(tx, webhooks).await?;
    let mut rows = Vec::new();
    let mut found = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        found.push(known.place_all(tx, webhook, &mut rows));
    }
    supersede(tx, &mut rows, &known.superseded, webhooks[0].received_at).await?;
    insert_events(tx, &rows).await?;
    insert_payloads(tx, &rows).await?;
    for row in &rows {
        tx.counts
            .entered(row.webhook.source.as_str(), row.placement.state);
        tx.wake |= row.placement.state == EventState::Queued;
    }
    let answer = |found: Found| match found {
        Found::Stored(recorded) => recorded,
        Found::New(row) => rows[row].answer(false),
        Found::Again(row) => rows[row].answer(true),
    };
    Ok(found
        .into_iter()
        .map(|events| events.into_iter().map(answer).collect())
        .collect())
}

/// Where an event of the group is to be found.
#[derive(Clone)]
enum Found {
    /// In the database, as a duplicate.
    Stored(Recorded),
    /// Among the new rows.
    New(usize),
    /// Among the new rows, as a duplicate of one.
    Again(usize),
}

/// A row to insert.
struct Row<'a> {
    id: EventId,
    webhook: &'a Webhook,
    event: &'a NewEvent,
    placement: Placement,
}

impl Row<'_> {
    fn answer(&self, duplicate: bool) -> Recorded {
        Recorded {
            id: self.id,
            external_id: self.event.external_id.clone(),
            state: self.placement.state,
            reason: self.placement.reason.map(str::to_owned),
            duplicate,
        }
    }

    /// Whether the event holds its place against others with the same content.
    fn holds_content(&self) -> bool {
        match self.placement.state {
            EventState::Queued | EventState::Parked | EventState::Connected => true,
            EventState::Skipped => self.placement.reason != Some(crate::domain::ingest::DUPLICATE),
            EventState::Expired | EventState::Ignored | EventState::Dead => false,
        }
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

type Key = (SourceName, String);

fn key(webhook: &Webhook, key: Option<&str>) -> Option<Key> {
    key.map(|key| (webhook.source.clone(), key.to_owned()))
}

/// What the database said about a group, kept up to date while the group is placed.
#[derive(Default)]
struct Known {
    deliveries: HashMap<Key, Found>,
    contents: HashMap<Key, EventId>,
    tickets: HashMap<(SourceName, ExternalId), TicketFacts>,
    superseded: Vec<EventId>,
}

impl Known {
    async fn look_up(tx: &mut Tx, webhooks: &[Webhook]) -> Result<Self, StoreError> {
        const DELIVERIES: &str = "\
            -- store::inbox::deliveries
            SELECT e.source, e.delivery_key, e.id, e.state, e.reason, e.external_id
            FROM json_each($1) AS wanted
            CROSS JOIN events AS e
                ON e.source = wanted.value ->> 0 AND e.delivery_key = wanted.value ->> 1";
        const CONTENTS: &str = "\
            -- store::inbox::contents
            SELECT e.source, e.content_key, e.id
            FROM json_each($1) AS wanted
            CROSS JOIN events AS e
                ON e.source = wanted.value ->> 0 AND e.content_key = wanted.value ->> 1";
        const TICKETS: &str = "\
            -- store::inbox::tickets
            SELECT wanted.value ->> 0, wanted.value ->> 1, m.ticket_id,
                   c.ticket_id IS NOT NULL, p.id, p.rank_major, p.rank_minor,
                   (SELECT t.team FROM events AS t WHERE t.source = wanted.value ->> 0
                       AND t.external_id = wanted.value ->> 1 ORDER BY t.id LIMIT 1)
            FROM json_each($1) AS wanted
            LEFT JOIN mappings AS m
                ON m.source = wanted.value ->> 0 AND m.external_id = wanted.value ->> 1
            LEFT JOIN connections AS c
                ON c.source = m.source AND c.external_id = m.external_id
                AND c.ticket_id = m.ticket_id
            LEFT JOIN events AS p
                ON p.source = wanted.value ->> 0 AND p.external_id = wanted.value ->> 1
                AND p.state = 'parked'";
        type DeliveryRow = (String, String, i64, String, Option<String>, Option<String>);
        type TicketRow = (
            String,
            String,
            Option<String>,
            bool,
            Option<i64>,
            Option<i64>,
            Option<i64>,
            Option<String>,
        );

        let mut known = Self::default();
        let names: HashMap<&str, &SourceName> = webhooks
            .iter()
            .map(|w| (w.source.as_str(), &w.source))
            .collect();
        let name = |text: &str| names[text].clone();
        let wanted = |pick: fn(&NewEvent) -> Option<&str>| {
            let pairs: Vec<(&str, &str)> = webhooks
                .iter()
                .flat_map(|w| w.events.iter().map(move |e| (w, e)))
                .filter_map(|(w, e)| Some((w.source.as_str(), pick(e)?)))
                .collect();
            (!pairs.is_empty()).then(|| json(&pairs))
        };
        if let Some(wanted) = wanted(|event| event.delivery_key.as_deref()) {
            let rows: Vec<DeliveryRow> = sqlx::query_as(DELIVERIES)
                .bind(wanted)
                .fetch_all(&mut tx.connection)
                .await?;
            for (source, key, id, state, reason, external_id) in rows {
                let recorded = Recorded {
                    id: EventId(id),
                    external_id: external_id.map(ExternalId::from_store),
                    state: super::state(&state)?,
                    reason,
                    duplicate: true,
                };
                known
                    .deliveries
                    .insert((name(&source), key), Found::Stored(recorded));
            }
        }
        if let Some(wanted) = wanted(|event| event.content_key.as_deref()) {
            let rows: Vec<(String, String, i64)> = sqlx::query_as(CONTENTS)
                .bind(wanted)
                .fetch_all(&mut tx.connection)
                .await?;
            for (source, key, id) in rows {
                known.contents.insert((name(&source), key), EventId(id));
            }
        }
        let reconnecting: HashSet<&SourceName> = webhooks
            .iter()
            .filter(|w| w.reconnects)
            .map(|w| &w.source)
            .collect();
        let connectable = wanted(|event| match event.disposition {
            Disposition::Connect | Disposition::Skip(_) => {
                event.external_id.as_ref().map(ExternalId::as_str)
            }
            Disposition::Ignore(_) | Disposition::Bury(_) => None,
        });
        if let Some(wanted) = connectable {
            let rows: Vec<TicketRow> = sqlx::query_as(TICKETS)
                .bind(wanted)
                .fetch_all(&mut tx.connection)
                .await?;
            for (source, external_id, mapped_to, connected, parked, major, minor, team) in rows {
                let rank = Rank(major.unwrap_or_default(), minor.unwrap_or_default());
                let parked = parked.map(|id| (EventId(id), rank));
                let name = name(&source);
                let reconnects = reconnecting.contains(&name);
                let ticket = (name, ExternalId::from_store(external_id));
                known.tickets.insert(
                    ticket,
                    TicketFacts {
                        mapped_to,
                        connected,
                        parked,
                        team,
                        reconnects,
                    },
                );
            }
        }
        Ok(known)
    }

    /// Decides about the events of one webhook; new ones are added to `rows`.
    fn place_all<'a>(
        &mut self,
        tx: &mut Tx,
        webhook: &'a Webhook,
        rows: &mut Vec<Row<'a>>,
    ) -> Vec<Found> {
        let mut found = Vec::with_capacity(webhook.events.len());
        for event in &webhook.events {
            let delivery = key(webhook, event.delivery_key.as_deref());
            if let Some(stored) = delivery.as_ref().and_then(|key| self.deliveries.get(key)) {
                found.push(stored.clone());
                continue;
            }
            if let Some(key) = delivery {
                self.deliveries.insert(key, Found::Again(rows.len()));
            }
            found.push(Found::New(rows.len()));
            rows.push(self.place_next(tx, webhook, event));
        }
        found
    }

    /// Decides about one event, and remembers the decision for the rest of the group.
    fn place_next<'a>(
        &mut self,
        tx: &mut Tx,
        webhook: &'a Webhook,
        event: &'a NewEvent,
    ) -> Row<'a> {
        let content = key(webhook, event.content_key.as_deref());
        let is_twin = content
            .as_ref()
            .is_some_and(|key| self.contents.contains_key(key));
        let ticket = event
            .external_id
            .clone()
            .map(|id| (webhook.source.clone(), id));
        let facts = ticket
            .as_ref()
            .and_then(|ticket| self.tickets.get(ticket))
            .cloned()
            .unwrap_or_default();
        let id = EventId(tx.next_event);
        tx.next_event += 1;
        let row = Row {
            id,
            webhook,
            event,
            placement: place(event, is_twin, &facts),
        };
        if let Some(loser) = row.placement.supersedes {
            self.superseded.push(loser);
        }
        if let Some(ticket) = ticket {
            let facts = self.tickets.entry(ticket).or_default();
            if row.placement.state == EventState::Parked {
                facts.parked = Some((id, event.rank));
            }
            if facts.team.is_none() {
                facts.team.clone_from(&event.team);
            }
        }
        if let Some(key) = content.filter(|_| row.holds_content()) {
            self.contents.insert(key, id);
        }
        row
    }
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("pairs of strings are JSON")
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

/// `INSERT` with rows of `columns` placeholders, for each of [`SIZES`].
fn inserts(head: &str, columns: usize) -> [Arc<str>; 4] {
    SIZES.map(|rows| {
        let mut sql = String::from(head);
        for row in 0..rows {
            sql.push_str(if row == 0 { "(" } else { ", (" });
            for column in 1..=columns {
                if column > 1 {
                    sql.push_str(", ");
                }
                sql.push('$');
                sql.push_str(&(row * columns + column).to_string());
            }
            sql.push(')');
        }
        sql.into()
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

async fn insert_events(tx: &mut Tx, rows: &[Row<'_>]) -> Result<(), StoreError> {
    static INSERTS: LazyLock<[Arc<str>; 4]> = LazyLock::new(|| {
        inserts(
            "INSERT INTO events (id, state, due_at, received_at, queued_at, updated_at, \
             rank_major, rank_minor, source, external_id, subtype, event_type, delivery_key, \
             content_key, first_state, first_reason, reason, hint, team) VALUES ",
            19,
        )
    });
    let mut rest = rows;
    while !rest.is_empty() {
        let (index, size) = next_size(rest.len());
        let (chunk, later) = rest.split_at(size);
        let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&INSERTS[index])));
        for row in chunk {
            let received_at = millis(row.webhook.received_at);
            let state = row.placement.state.as_str();
            query = query
                .bind(row.id.0)
                .bind(state)
                .bind(row.due_at())
                .bind(received_at)
                .bind(received_at)
                .bind(received_at)
                .bind(row.event.rank.0)
                .bind(row.event.rank.1)
                .bind(row.webhook.source.as_str())
                .bind(row.event.external_id.as_ref().map(ExternalId::as_str))
                .bind(row.event.subtype)
                .bind(row.event.event_type.as_str())
                .bind(row.event.delivery_key.as_deref())
                .bind(
                    row.event
                        .content_key
                        .as_deref()
                        .filter(|_| row.holds_content()),
                )
                .bind(state)
                .bind(row.placement.reason)
                .bind(row.placement.reason)
                .bind(row.event.hint.as_ref().map(ServalTicketId::as_str))
                .bind(row.event.team.as_deref());
        }
        query.execute(&mut tx.connection).await?;
        rest = later;
    }
    Ok(())
}

async fn insert_payloads(tx: &mut Tx, rows: &[Row<'_>]) -> Result<(), StoreError> {
    static INSERTS: LazyLock<[Arc<str>; 4]> = LazyLock::new(|| {
        inserts(
            "INSERT INTO payloads (event_id, object_start, object_len, body) VALUES ",
            4,
        )
    });
    let kept: Vec<&Row<'_>> = rows.iter().filter(|row| row.keeps_body()).collect();
    let mut rest = kept.as_slice();
    while !rest.is_empty() {
        let (index, size) = next_size(rest.len());
        let (chunk, later) = rest.split_at(size);
        let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&INSERTS[index])));
        for row in chunk {
            let object = row.event.object.clone();
            // An element of a batch is stored alone: a body for each would multiply the batch.
            let (start, body) = if row.webhook.events.len() == 1 {
                (object.start, row.webhook.body.as_ref())
            } else {
                (0, row.webhook.body.get(object.clone()).unwrap_or_default())
            };
            query = query
                .bind(row.id.0)
                .bind(i64::try_from(start).unwrap_or(i64::MAX))
                .bind(i64::try_from(object.len()).unwrap_or(i64::MAX))
                .bind(body);
        }
        query.execute(&mut tx.connection).await?;
        rest = later;
    }
    Ok(())
}
