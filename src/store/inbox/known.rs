//! The facts about a group of webhooks, as far as they decide about its events.

use std::collections::HashMap;

use super::keys::{ContentKey, Delivery, DeliveryName, content_key, delivery_key, fingerprint};
use super::webhook::{Recorded, Webhook};
use crate::domain::event::NewEvent;
use crate::domain::ids::{EventId, ExternalId};
use crate::domain::ingest::TicketFacts;
use crate::domain::report::Told;

/// Place of an event of the group.
#[derive(Clone)]
pub(super) enum Found {
    /// In the database: it is a duplicate.
    Stored(Recorded),
    /// Among the new rows.
    New(usize),
    /// Among the new rows: it is a duplicate of that row.
    Again(usize),
}

/// An event of the group, as it is looked up and placed.
pub(super) struct Wanted<'a> {
    pub(super) webhook: &'a Webhook,
    pub(super) event: &'a NewEvent,
    pub(super) delivery: Option<Delivery<'a>>,
    pub(super) content: Option<ContentKey>,
    /// Index of its external ticket among [`Known::tickets`].
    pub(super) ticket: Option<usize>,
}

/// An external ticket of the group.
pub(super) struct Ticket<'a> {
    pub(super) source: &'a str,
    pub(super) external_id: &'a ExternalId,
    /// Row id; a new ticket gets one when its first event is placed.
    pub(super) id: Option<i64>,
    pub(super) is_new: bool,
    /// Number for people, if it is not stored yet.
    pub(super) new_number: Option<&'a str>,
    pub(super) number: Option<String>,
    /// Message ids of the mapping, as a JSON array.
    pub(super) accounted_for: Option<String>,
    /// The event whose call may have made the pair of the mapping.
    pub(super) doubt: Option<EventId>,
    /// The newest save, if the group has it.
    pub(super) new_newest: Option<EventId>,
    /// True if an event of the ticket is queued or claimed.
    pub(super) is_busy: bool,
    /// True if the database has deletions or edits about it.
    pub(super) has_reports: bool,
    /// Deletions and edits about it.
    pub(super) told: Vec<Told>,
    pub(super) facts: TicketFacts,
    pub(super) contents: HashMap<ContentKey, EventId>,
}

/// The facts about a group, kept up to date while it is placed.
pub(super) struct Known<'a> {
    pub(super) wanted: Vec<Wanted<'a>>,
    pub(super) tickets: Vec<Ticket<'a>>,
    /// Known deliveries.
    pub(super) deliveries: HashMap<Delivery<'a>, Found>,
    /// Names of known deliveries, each with the webhook of the group that used it first; `None`: one
    /// that is stored already, with another content.
    pub(super) names: HashMap<DeliveryName<'a>, Option<&'a Webhook>>,
    pub(super) next_ticket: i64,
}

impl<'a> Known<'a> {
    pub(super) fn of(webhooks: &'a [Webhook]) -> Self {
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
                let object = webhook.body.get(event.object.clone());
                let delivery = event.delivery_key.as_deref().map(|name| Delivery {
                    name: (source, delivery_key(name)),
                    fingerprint: fingerprint(&event.event_type, object.unwrap_or_default()),
                });
                wanted.push(Wanted {
                    webhook,
                    event,
                    delivery,
                    content: event.content_key.as_deref().map(content_key),
                    ticket,
                });
            }
        }
        Self {
            wanted,
            tickets,
            deliveries: HashMap::new(),
            names: HashMap::new(),
            next_ticket: 1,
        }
    }
}

impl<'a> Ticket<'a> {
    fn new(source: &'a str, external_id: &'a ExternalId) -> Self {
        Self {
            source,
            external_id,
            id: None,
            is_new: false,
            new_number: None,
            number: None,
            accounted_for: None,
            doubt: None,
            new_newest: None,
            is_busy: false,
            has_reports: false,
            told: Vec::new(),
            facts: TicketFacts::default(),
            contents: HashMap::new(),
        }
    }

    /// Notes the number that an event names, if it is news.
    pub(super) fn rename(&mut self, number: Option<&'a str>) {
        let known = self.new_number.or(self.number.as_deref());
        if number.is_some() && number != known {
            self.new_number = number;
        }
    }
}
