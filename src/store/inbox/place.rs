//! The decisions about the events of a group.
//!
//! Each event is placed in the order of arrival. A placed event changes the facts for the events after
//! it, as if it were stored already.

use super::known::{Found, Known, Wanted};
use super::row::Row;
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ServalTicketId};
use crate::domain::ingest::{TicketFacts, place};
use crate::domain::report::{self, Fate, Told};
use crate::store::commit::tx::Tx;

impl<'a> Known<'a> {
    /// Decides about all events in their order. New ones are added to `rows`.
    pub(super) fn place_all(&mut self, tx: &mut Tx, rows: &mut Vec<Row<'a>>) -> Vec<Found> {
        let wanted = std::mem::take(&mut self.wanted);
        let place = |wanted: &Wanted<'a>| {
            let next = rows.len();
            if let Some(found) = self.delivered_before(wanted, next) {
                return found;
            }
            let mut row = self.place_next(tx, wanted);
            row.reuses_name = self.is_name_known(wanted);
            rows.push(row);
            Found::New(next)
        };
        wanted.iter().map(place).collect()
    }

    /// Returns the event of the same delivery. If there is none, the row `next` becomes it.
    fn delivered_before(&mut self, wanted: &Wanted<'a>, next: usize) -> Option<Found> {
        let delivery = wanted.delivery.clone()?;
        let before = self.deliveries.get(&delivery).cloned();
        if before.is_none() {
            self.deliveries.insert(delivery, Found::Again(next));
        }
        before
    }

    /// True if another webhook had a delivery of the same name. All records of a batch have one name.
    fn is_name_known(&mut self, wanted: &Wanted<'a>) -> bool {
        let Some(delivery) = &wanted.delivery else {
            return false;
        };
        let first = self.names.entry(delivery.name.clone());
        let first = first.or_insert(Some(wanted.webhook));
        first.is_none_or(|first| !std::ptr::eq(first, wanted.webhook))
    }

    /// Decides about one event, and notes the decision for the rest of the group.
    fn place_next(&mut self, tx: &mut Tx, wanted: &Wanted<'a>) -> Row<'a> {
        let (webhook, event) = (wanted.webhook, wanted.event);
        // Ids are counted in memory: the one writer is the only one that uses them up. After a
        // rollback some are skipped, which harms nobody.
        let id = EventId(tx.next_event);
        tx.next_event += 1;
        let mut ticket = wanted.ticket.map(|ticket| &mut self.tickets[ticket]);
        let mut fate = Fate::default();
        if let Some(ticket) = &mut ticket {
            ticket.facts.reconnects = webhook.reconnects;
            fate = report::fate(&ticket.told, event.report, event.rank);
            ticket.facts.is_gone = fate == Fate::Gone;
            if ticket.id.is_none() {
                ticket.is_new = true;
                ticket.id = Some(self.next_ticket);
                self.next_ticket += 1;
            }
        }
        let twin = wanted.content.zip(ticket.as_ref());
        let is_twin = twin.is_some_and(|(key, ticket)| ticket.contents.contains_key(&key));
        // An event without an external ticket is placed by its disposition alone.
        let nothing = TicketFacts::default();
        let facts = ticket.as_ref().map_or(&nothing, |ticket| &ticket.facts);
        let mut row = Row {
            id,
            webhook,
            event,
            external: ticket.as_ref().and_then(|ticket| ticket.id),
            delivery: wanted.delivery.clone(),
            reuses_name: false,
            content: wanted.content,
            placement: place(event, is_twin, facts),
            fate,
            is_twin,
            instead_of: None,
            comes_first: None,
        };
        let Some(ticket) = ticket else { return row };
        if event.report.is_about_others() {
            ticket.told.push(Told {
                event: id,
                report: event.report,
                rank: event.rank,
            });
        }
        if row.is_save() && !ticket.facts.is_outrun(event) {
            ticket.facts.newest = Some((id, event.rank));
            ticket.new_newest = Some(id);
            // A claim of an older save may be about to be sent. It looks again before its call.
            tx.effects.revises |= ticket.is_busy;
        }
        // From here on: what the next event of the ticket must find.
        match row.placement.state {
            EventState::Queued => {
                row.comes_first = wanted.ticket.filter(|_| !ticket.is_busy);
                ticket.is_busy = true;
                let hint = event.hint.as_ref().map(ServalTicketId::as_str);
                if row.is_save() && (hint.is_none() || hint == ticket.facts.mapped_to.as_deref()) {
                    ticket.facts.waiting = Some(id);
                }
            }
            EventState::Parked => ticket.facts.parked = Some((id, event.rank)),
            EventState::Connected
            | EventState::Expired
            | EventState::Skipped
            | EventState::Ignored
            | EventState::Dead => {}
        }
        ticket.rename(row.number());
        if let Some(key) = wanted.content.filter(|_| row.holds_content()) {
            ticket.contents.insert(key, id);
        }
        row
    }
}
