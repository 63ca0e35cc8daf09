//! What is known about a group of webhooks before it is stored, and the decisions that follow.

mod look_up;

use std::collections::HashMap;

use super::keys::{ContentKey, DeliveryKey, content_key, delivery_key};
use super::rows::Row;
use super::{Recorded, Webhook};
use crate::domain::event::{EventState, NewEvent};
use crate::domain::ids::{EventId, ExternalId};
use crate::domain::ingest::{TicketFacts, place};
use crate::store::writer::Tx;

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

/// An event of the group, as it is looked up and placed.
struct Wanted<'a> {
    webhook: &'a Webhook,
    event: &'a NewEvent,
    delivery: Option<DeliveryKey>,
    content: Option<ContentKey>,
    /// Index of its external ticket among [`Known::tickets`].
    ticket: Option<usize>,
}

impl<'a> Wanted<'a> {
    /// Its delivery, as its source names it.
    fn named_delivery(&self) -> Option<(&'a str, DeliveryKey)> {
        Some((self.webhook.source.as_str(), self.delivery.clone()?))
    }
}

/// An external ticket of the group.
pub(super) struct Ticket<'a> {
    pub(super) source: &'a str,
    pub(super) external_id: &'a ExternalId,
    /// Its number; a new one gets it when it is placed.
    pub(super) id: Option<i64>,
    pub(super) is_new: bool,
    /// The workspace that uses it first, if it was not known before.
    pub(super) new_team: Option<&'a str>,
    /// The number by which people know it, if it was not known by that before.
    pub(super) new_number: Option<&'a str>,
    number: Option<String>,
    /// Its mapping's, as JSON.
    pub(super) accounted_for: Option<String>,
    /// Whether an event of it is queued or in hand.
    is_busy: bool,
    pub(super) facts: TicketFacts,
    contents: HashMap<ContentKey, EventId>,
}

/// What the database said about a group, kept up to date while the group is placed.
pub(super) struct Known<'a> {
    wanted: Vec<Wanted<'a>>,
    pub(super) tickets: Vec<Ticket<'a>>,
    /// By source: a delivery is the same whatever it is about.
    deliveries: HashMap<(&'a str, DeliveryKey), Found>,
    next_ticket: i64,
    pub(super) superseded: Vec<EventId>,
}

impl<'a> Known<'a> {
    fn of(webhooks: &'a [Webhook]) -> Self {
        let mut tickets: Vec<Ticket<'a>> = Vec::new();
        let mut indexes: HashMap<(&str, &ExternalId), usize> = HashMap::new();
        let mut wanted = Vec::with_capacity(webhooks.len());
        for webhook in webhooks {
            let source = webhook.source.as_str();
            for event in &webhook.events {
                let ticket = event.external_id.as_ref().map(|external_id| {
                    *indexes.entry((source, external_id)).or_insert_with(|| {
                        tickets.push(Ticket::new(source, external_id));
                        tickets.len() - 1
                    })
                });
                wanted.push(Wanted {
                    webhook,
                    event,
                    delivery: event.delivery_key.as_deref().map(delivery_key),
                    content: event.content_key.as_deref().map(content_key),
                    ticket,
                });
            }
        }
        Self {
            wanted,
            tickets,
            deliveries: HashMap::new(),
            next_ticket: 1,
            superseded: Vec::new(),
        }
    }

    /// Decides about all events, in their order; new ones are added to `rows`.
    pub(super) fn place_all(&mut self, tx: &mut Tx, rows: &mut Vec<Row<'a>>) -> Vec<Found> {
        let wanted = std::mem::take(&mut self.wanted);
        let place = |wanted: &Wanted<'a>| {
            let next = rows.len();
            if let Some(found) = self.delivered_before(wanted, next) {
                return found;
            }
            let row = self.place_next(tx, wanted);
            rows.push(row);
            Found::New(next)
        };
        wanted.iter().map(place).collect()
    }

    /// The event of the same delivery; where there is none, `next` will be it.
    fn delivered_before(&mut self, wanted: &Wanted<'a>, next: usize) -> Option<Found> {
        let name = wanted.named_delivery()?;
        let before = self.deliveries.get(&name).cloned();
        if before.is_none() {
            self.deliveries.insert(name, Found::Again(next));
        }
        before
    }

    /// Decides about one event, and remembers the decision for the rest of the group.
    fn place_next(&mut self, tx: &mut Tx, wanted: &Wanted<'a>) -> Row<'a> {
        let (webhook, event) = (wanted.webhook, wanted.event);
        let id = EventId(tx.next_event);
        tx.next_event += 1;
        let nothing = TicketFacts::default();
        let mut ticket = wanted.ticket.map(|ticket| &mut self.tickets[ticket]);
        if let Some(ticket) = &mut ticket {
            ticket.facts.reconnects = webhook.reconnects;
            if ticket.id.is_none() {
                ticket.is_new = true;
                ticket.id = Some(self.next_ticket);
                self.next_ticket += 1;
            }
        }
        let is_twin = ticket.as_ref().zip(wanted.content);
        let is_twin = is_twin.is_some_and(|(ticket, key)| ticket.contents.contains_key(&key));
        let facts = ticket.as_ref().map_or(&nothing, |ticket| &ticket.facts);
        let mut row = Row {
            id,
            webhook,
            event,
            external: ticket.as_ref().and_then(|ticket| ticket.id),
            delivery: wanted.delivery.clone(),
            content: wanted.content,
            placement: place(event, is_twin, facts),
            is_twin,
            comes_first: None,
        };
        if let Some(loser) = row.placement.supersedes {
            self.superseded.push(loser);
        }
        if let Some(ticket) = ticket {
            if row.placement.state == EventState::Queued {
                row.comes_first = wanted.ticket.filter(|_| !ticket.is_busy);
                ticket.is_busy = true;
            }
            if row.placement.state == EventState::Parked {
                ticket.facts.parked = Some((id, event.rank));
            }
            if let (None, Some(team)) = (&ticket.facts.team, row.team()) {
                ticket.facts.team = Some(team.to_owned());
                ticket.new_team = Some(team);
            }
            ticket.rename(row.number());
            if let Some(key) = wanted.content.filter(|_| row.holds_content()) {
                ticket.contents.insert(key, id);
            }
        }
        row
    }
}

impl<'a> Ticket<'a> {
    fn new(source: &'a str, external_id: &'a ExternalId) -> Self {
        Self {
            source,
            external_id,
            id: None,
            is_new: false,
            new_team: None,
            new_number: None,
            number: None,
            accounted_for: None,
            is_busy: false,
            facts: TicketFacts::default(),
            contents: HashMap::new(),
        }
    }

    /// Takes the number that an event names.
    fn rename(&mut self, number: Option<&'a str>) {
        let known = self.new_number.or(self.number.as_deref());
        if number.is_some() && number != known {
            self.new_number = number;
        }
    }
}
