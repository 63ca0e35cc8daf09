//! A new event before it is inserted.

use super::keys::{ContentKey, Delivery};
use super::webhook::{Recorded, Webhook};
use crate::domain::event::{Disposition, EventState, NewEvent};
use crate::domain::ids::EventId;
use crate::domain::ingest::Placement;
use crate::domain::reason::Reason;
use crate::domain::report::{Fate, Report};
use crate::domain::retry::Place;
use crate::store::queue::schedule;

/// A new event.
pub(super) struct Row<'a> {
    pub(super) id: EventId,
    pub(super) webhook: &'a Webhook,
    pub(super) event: &'a NewEvent,
    /// Row id of the external ticket.
    pub(super) external: Option<i64>,
    pub(super) delivery: Option<Delivery<'a>>,
    /// True if another delivery had the same name, with another content.
    pub(super) reuses_name: bool,
    pub(super) content: Option<ContentKey>,
    pub(super) placement: Placement,
    /// State of its record or message, as known when it arrives.
    pub(super) fate: Fate,
    /// True if another event has the same content.
    pub(super) is_twin: bool,
    /// Place of the queued event that it supersedes.
    pub(super) instead_of: Option<Place>,
    /// Index of the external ticket in the group, if no other event of it is queued or claimed.
    pub(super) comes_first: Option<usize>,
}

impl<'a> Row<'a> {
    pub(super) fn answer(&self, duplicate: bool) -> Recorded {
        Recorded {
            id: self.id,
            external_id: self.event.external_id.clone(),
            state: self.placement.state,
            reason: self
                .placement
                .reason
                .map(|reason| reason.as_str().to_owned()),
            duplicate,
            reused_name: self.reused_name().filter(|_| !duplicate),
        }
    }

    /// Name of the delivery, if another one had it before.
    fn reused_name(&self) -> Option<String> {
        self.event.delivery_key.clone().filter(|_| self.reuses_name)
    }

    /// Number of the external ticket for people; `None` if the body is not kept.
    pub(super) fn number(&self) -> Option<&'a str> {
        self.event.number.as_deref().filter(|_| self.keeps_body())
    }

    /// True if another event with the same content is a duplicate of this one.
    pub(super) fn holds_content(&self) -> bool {
        match self.placement.state {
            EventState::Queued
            | EventState::Parked
            | EventState::Connected
            | EventState::Skipped => !self.is_twin,
            EventState::Expired | EventState::Ignored | EventState::Dead => false,
        }
    }

    /// True for a save that could stand for its record.
    pub(super) fn is_save(&self) -> bool {
        let is_left_out = matches!(
            self.placement.reason,
            Some(Reason::Duplicate | Reason::Deleted)
        );
        let event = self.event;
        event.disposition == Disposition::Connect && event.report == Report::Save && !is_left_out
    }

    pub(super) fn held_content(&self) -> Option<&ContentKey> {
        self.content.as_ref().filter(|_| self.holds_content())
    }

    pub(super) fn keeps_body(&self) -> bool {
        let is_kept = match self.event.report {
            // Its object is wanted, and only as long as no later edit is known.
            Report::MessageEdit => return self.fate == Fate::Present,
            // It would keep what was deleted.
            Report::Deletion | Report::MessageDeletion => false,
            Report::Save | Report::Message | Report::EditedMessage => self.fate != Fate::Gone,
        };
        let is_ignored = matches!(self.event.disposition, Disposition::Ignore(_));
        is_kept && (!is_ignored || self.webhook.keep_ignored_bodies)
    }

    pub(super) fn place(&self) -> Place {
        let (state, webhook) = (self.placement.state, self.webhook);
        let own = schedule::first(state, webhook.received_at, webhook.park_for_ms);
        self.instead_of.map_or(own, |other| own.instead_of(other))
    }
}
