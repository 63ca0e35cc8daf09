//! What is known about a group of webhooks before it is stored, and the decisions that follow.

use std::collections::{HashMap, HashSet};

use super::rows::Row;
use super::{Recorded, Webhook};
use crate::domain::event::{Disposition, EventState, NewEvent, Rank};
use crate::domain::ids::{EventId, ExternalId, SourceName};
use crate::domain::ingest::{TicketFacts, place};
use crate::store::error::StoreError;
use crate::store::writer::Tx;
use crate::store::{json, state};

/// Where an event of the group is to be found.
#[derive(Clone)]
pub(super) enum Found {
    /// In the database, as a duplicate.
    Stored(Recorded),
    /// Among the new rows.
    New(usize),
    /// Among the new rows, as a duplicate of one.
    Again(usize),
}

type Key = (SourceName, String);

fn key(webhook: &Webhook, key: Option<&str>) -> Option<Key> {
    key.map(|key| (webhook.source.clone(), key.to_owned()))
}

/// What the database said about a group, kept up to date while the group is placed.
#[derive(Default)]
pub(super) struct Known {
    deliveries: HashMap<Key, Found>,
    contents: HashMap<Key, EventId>,
    tickets: HashMap<(SourceName, ExternalId), TicketFacts>,
    pub(super) superseded: Vec<EventId>,
}

impl Known {
    /// Asks the database about all of them.
    pub(super) async fn look_up(tx: &mut Tx, webhooks: &[Webhook]) -> Result<Self, StoreError> {
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
                ON e.source = wanted.value ->> 0 AND e.external_id = wanted.value ->> 1
                AND e.content_key = wanted.value ->> 2";
        const TICKETS: &str = "\
            -- store::inbox::tickets
            SELECT wanted.value ->> 0, wanted.value ->> 1, m.ticket_id,
                   c.ticket_id IS NOT NULL, p.id, p.rank_major, p.rank_minor,
                   (SELECT t.team FROM events AS t INDEXED BY events_team
                       WHERE t.source = wanted.value ->> 0
                       AND t.external_id = wanted.value ->> 1
                       AND t.team IS NOT NULL ORDER BY t.id LIMIT 1)
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
            for (source, key, id, word, reason, external_id) in rows {
                let recorded = Recorded {
                    id: EventId(id),
                    external_id: external_id.map(ExternalId::from_store),
                    state: state(&word)?,
                    reason,
                    duplicate: true,
                };
                known
                    .deliveries
                    .insert((name(&source), key), Found::Stored(recorded));
            }
        }
        let contents: Vec<(&str, &str, &str)> = webhooks
            .iter()
            .flat_map(|w| w.events.iter().map(move |e| (w, e)))
            .filter_map(|(w, e)| {
                let external_id = e.external_id.as_ref()?.as_str();
                Some((w.source.as_str(), external_id, e.content_key.as_deref()?))
            })
            .collect();
        if !contents.is_empty() {
            let rows: Vec<(String, String, i64)> = sqlx::query_as(CONTENTS)
                .bind(json(&contents))
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
    pub(super) fn place_all<'a>(
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
            is_twin,
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
                facts.team = row.team().map(str::to_owned);
            }
        }
        if let Some(key) = content.filter(|_| row.holds_content()) {
            self.contents.insert(key, id);
        }
        row
    }
}
