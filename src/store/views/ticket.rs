//! The page of one external ticket: all that is stored about it, and what happened to it.

use jiff::Timestamp;

use super::events::EventRow;
use super::ticket_rows::{Connection, MAX_BESIDE, PendingUnlink};
use super::timeline::{History, Moment, Span, assemble};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket};
use crate::store::audit::AuditFilter;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::links::conflict::Conflict;
use crate::store::links::mapping::Mapping;

/// Everything that is stored about an external ticket.
#[derive(Debug, Clone)]
pub struct TicketPage {
    /// External ticket.
    pub ticket: ExternalTicket,
    /// Number of the ticket in its system.
    pub number: Option<String>,
    /// Event whose object represents the ticket; `None` if no object is stored any more.
    pub object: Option<EventId>,
    /// Mapping of the ticket.
    pub mapping: Option<Mapping>,
    /// Pairs that Serval has.
    pub connections: Vec<Connection>,
    /// Pairs that wait to be unlinked.
    pub unlinks: Vec<PendingUnlink>,
    /// Conflicts, newest first, decided ones too.
    pub conflicts: Vec<Conflict>,
    /// Number of events by state.
    pub counts: Vec<(EventState, i64)>,
    /// Events of this page, newest first.
    pub events: Vec<EventRow>,
    /// Timeline of these events, and of the ticket in their time, newest first.
    pub timeline: Vec<Moment>,
    /// The next page begins before this event; `None` on the last page.
    pub next: Option<EventId>,
}

impl TicketPage {
    /// True if anything is stored about the ticket.
    pub fn is_known(&self) -> bool {
        self.mapping.is_some()
            || self.number.is_some()
            || !self.counts.is_empty()
            || !self.connections.is_empty()
            || !self.conflicts.is_empty()
    }
}

impl Store {
    /// Returns the page of an external ticket with at most `limit` events that are older than
    /// `before`.
    pub async fn ticket_page(
        &self,
        ticket: &ExternalTicket,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<TicketPage, StoreError> {
        // One event more than the page has tells if there is a next page.
        let most = limit.saturating_add(1);
        let mut events = self.ticket_events(ticket, before, most).await?;
        let has_more = events.len() > limit as usize;
        events.truncate(limit as usize);
        let last = events.last().filter(|_| has_more);
        let (next, from) = (last.map(|last| last.id), last.map(|last| last.received_at));
        let until: Option<Timestamp> = match before {
            Some(before) => self.received_at(before).await?,
            None => None,
        };
        let ids: Vec<i64> = events.iter().map(|event| event.id.0).collect();
        let mapping = self.mapping(ticket).await?;
        let connections = self.connections(ticket).await?;
        let conflicts = self.conflicts_of(ticket).await?;
        let about = AuditFilter {
            source: Some(ticket.source.clone()),
            external_id: Some(ticket.external_id.clone()),
            limit: MAX_BESIDE,
            ..AuditFilter::default()
        };
        let history = History {
            events: &events,
            mapping: mapping.as_ref(),
            connections: &connections,
            conflicts: &conflicts,
            changes: self.changes_of(&ids).await?,
            calls: self.calls_of(&ids).await?,
            audit: self.audit(&about).await?,
        };
        Ok(TicketPage {
            ticket: ticket.clone(),
            number: self.number(ticket).await?,
            object: self.best_object(ticket).await?,
            unlinks: self.unlinks_of(ticket).await?,
            counts: self.ticket_counts(ticket).await?,
            timeline: assemble(history, Span { from, until }),
            mapping,
            connections,
            conflicts,
            events,
            next,
        })
    }
}
