//! Mappings: written, removed, and decided where a payload contradicts them.

use super::{Desk, Operator, Refusal, Why};
use crate::domain::ids::{ExternalTicket, ServalTicketId, check_message_id};
use crate::store::{Conflict, Decided, Decision, Mapping, Origin, Precondition};
use crate::store::{PutMapping, Replacement, Stored};

/// Message ids of a mapping at most, so that each mapping fits into one row of an import.
const MAX_MESSAGE_IDS: usize = 1000;

/// A mapping to write, as a person or program says it.
#[derive(Debug, Clone)]
pub struct MapTicket {
    /// The external ticket.
    pub ticket: ExternalTicket,
    /// The Serval ticket, unchecked.
    pub ticket_id: String,
    /// Serval messages that the external ticket has already, unchecked.
    pub accounted_for: Vec<String>,
    /// Through which door.
    pub origin: Origin,
    /// What must be true of the mapping that is there.
    pub condition: Precondition,
}

/// Checks the ids of Serval messages that a mapping names.
pub(crate) fn message_ids(ids: &[String]) -> Result<(), String> {
    if ids.len() > MAX_MESSAGE_IDS {
        return Err(format!(
            "accounted_for_message_ids: at most {MAX_MESSAGE_IDS} ids"
        ));
    }
    ids.iter()
        .try_for_each(|id| check_message_id(id))
        .map_err(|error| format!("accounted_for_message_ids: {error}"))
}

/// Why a Serval ticket cannot have a further external ticket.
pub(crate) fn taken(other: &str) -> String {
    format!(
        "the Serval ticket has {other} of this source already; remove that mapping, or set \
         several_per_ticket for the source"
    )
}

impl Desk {
    /// Writes a mapping, and releases what waits for it; whether there was none.
    pub async fn map(
        &self,
        who: &Operator,
        map: MapTicket,
        why: &Why,
    ) -> Result<(Mapping, bool), Refusal> {
        let MapTicket {
            ticket,
            ticket_id,
            accounted_for,
            origin,
            condition,
        } = map;
        let ticket_id: ServalTicketId = ticket_id
            .trim()
            .parse()
            .map_err(|error| Refusal::Invalid(format!("ticket_id: {error}")))?;
        message_ids(&accounted_for).map_err(Refusal::Invalid)?;
        let policy = self.policy(ticket.source.as_str());
        let put = PutMapping {
            ticket,
            ticket_id,
            accounted_for,
            origin,
            taught_by: None,
            disconnects_old: policy.disconnects_old,
            several_per_ticket: policy.several_per_ticket,
        };
        let stored = self
            .by(who, why)
            .put_mapping_if(put, condition, self.now())
            .await?
            .map_err(|_| Refusal::Stale)?;
        let (mapping, is_new) = match stored {
            Stored::Created(mapping) => (mapping, true),
            Stored::Replaced(mapping) => (mapping, false),
            Stored::Taken(other) => return Err(Refusal::Conflict(taken(&other))),
        };
        tracing::info!(
            source = mapping.source,
            ticket.external = mapping.external_id,
            ticket.serval = mapping.ticket_id,
            origin = mapping.origin,
            "mapping written"
        );
        Ok((mapping, is_new))
    }

    /// Removes a mapping. Nothing changes at Serval, unless `disconnects` asks for it.
    pub async fn unmap(
        &self,
        who: &Operator,
        ticket: &ExternalTicket,
        condition: Precondition,
        disconnects: bool,
        why: &Why,
    ) -> Result<(), Refusal> {
        let deleted = self
            .by(who, why)
            .delete_mapping_if(ticket, condition, disconnects, self.now())
            .await?;
        if !deleted.map_err(|_| Refusal::Stale)? {
            let detail = "this external ticket has no mapping";
            return Err(Refusal::Missing(detail.to_owned()));
        }
        tracing::info!(ticket.external = %ticket, "mapping removed");
        Ok(())
    }

    /// Decides a conflict between a mapping and a payload.
    pub async fn decide(
        &self,
        who: &Operator,
        id: i64,
        decision: Decision,
        origin: Origin,
        why: &Why,
    ) -> Result<Conflict, Refusal> {
        let none = || Refusal::Missing("no such conflict".to_owned());
        let conflict = self.store.conflict(id).await?.ok_or_else(none)?;
        let policy = self.policy(&conflict.source);
        let replacement = Replacement {
            origin,
            disconnects_old: policy.disconnects_old,
            several_per_ticket: policy.several_per_ticket,
        };
        let decided = self
            .by(who, why)
            .decide_conflict(id, decision, replacement, self.now())
            .await?;
        let conflict = match decided.ok_or_else(none)? {
            Decided::Done(conflict) => conflict,
            Decided::Before(conflict) => {
                let decision = conflict.decision.unwrap_or_default();
                let detail = format!("it was decided already: {decision}");
                return Err(Refusal::Conflict(detail));
            }
            Decided::Taken(other) => {
                let detail = format!(
                    "the Serval ticket {} has {other} of this source already; remove that \
                     mapping, or set several_per_ticket for the source",
                    conflict.learned
                );
                return Err(Refusal::Conflict(detail));
            }
        };
        tracing::info!(
            source = conflict.source,
            ticket.external = conflict.external_id,
            decision = conflict.decision,
            "a conflict was decided"
        );
        Ok(conflict)
    }
}
