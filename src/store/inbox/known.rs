//! What is known about a group of webhooks before it is stored, and the decisions that follow.

use std::collections::HashMap;
use std::sync::LazyLock;

use sqlx::{FromRow as _, Row as _};

use super::keys::{ContentKey, DeliveryKey, content_key, delivery_key};
use super::rows::Row;
use super::{Recorded, Webhook};
use crate::domain::event::{EventState, NewEvent, Rank};
use crate::domain::ids::{EventId, ExternalId};
use crate::domain::ingest::{TicketFacts, place};
use crate::store::error::StoreError;
use crate::store::sized::{LARGEST, Size, Sized};
use crate::store::state;
use crate::store::writer::Tx;

/// What there is of external tickets that are known. The last row is about no ticket: it has the last
/// number that is taken. Its rows and those of [`DELIVERIES`] tell themselves apart by their number of
/// columns.
static TICKETS: LazyLock<Sized> = LazyLock::new(|| Sized::new(KNOWN, 4));
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
static DELIVERIES: LazyLock<Sized> = LazyLock::new(|| Sized::new(DELIVERED, 3));
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
    /// Asks the database about all of them.
    pub(super) async fn look_up(tx: &mut Tx, webhooks: &'a [Webhook]) -> Result<Self, StoreError> {
        let mut known = Self::of(webhooks);
        let named: Vec<_> = known.named_tickets().collect();
        let delivered: Vec<_> = known.named_deliveries().collect();
        // There is no delivery more than events, and no named ticket either.
        for from in (0..known.wanted.len()).step_by(LARGEST) {
            let named_here = part(&named, from);
            let delivered_here = part(&delivered, from);
            let most = named_here.len().max(delivered_here.len());
            let Some(size) = Size::of(most) else { continue };
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

/// What stands in `all` from `from` on, with its places there, as much as a statement takes.
fn part<T>(all: &[T], from: usize) -> Vec<(i64, &T)> {
    let numbered = (0_i64..).zip(all);
    numbered.skip(from).take(LARGEST).collect()
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
