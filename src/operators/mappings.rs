//! Actions on mappings: write, remove, and decide conflicts.

use jiff::Timestamp;
use serde::Serialize;

use super::access::Operator;
use super::act::Why;
use super::names::NamedTicket;
use super::refusal::Refusal;
use super::service::Operators;
use crate::domain::ids::{ExternalTicket, check_message_id};
use crate::sources::SourcePolicy;
use crate::store::{
    Apart, Conflict, Decided, Decision, Origin, Precondition, PutMapping, Removal, Replacement,
    Stored, Written,
};

/// Limit of message ids in a mapping, so that each mapping fits into one row of an import.
pub const MAX_MESSAGE_IDS: usize = 1000;

/// Request to write a mapping.
#[derive(Debug, Clone)]
pub struct MapTicket {
    /// The external ticket.
    pub ticket: ExternalTicket,
    /// The Serval ticket, unchecked.
    pub ticket_id: String,
    /// Serval messages that the external ticket already has, unchecked.
    pub accounted_for: Vec<String>,
    /// The writer.
    pub origin: Origin,
    /// Condition on the mapping that exists.
    pub condition: Precondition,
    /// True if other Serval tickets lose the external ticket.
    pub disconnects_others: bool,
}

/// A mapping that was written.
#[derive(Debug, Clone)]
pub struct Mapped {
    /// The mapping, and what comes of it.
    pub written: Written,
    /// True if there was none before.
    pub is_new: bool,
    /// Remark about a name that was taken all the same.
    pub warning: Option<String>,
}

/// A Serval ticket that has an external ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Link {
    /// Id of the Serval ticket.
    pub ticket_id: String,
    /// Time of the connect call; null: the pair waits to be unlinked.
    pub connected_at: Option<Timestamp>,
    /// True if the mapping names this Serval ticket.
    pub current: bool,
    /// True if Serval is asked to take the pair apart.
    pub disconnecting: bool,
}

/// Checks the ids of Serval messages that a mapping names.
pub fn message_ids(ids: &[String]) -> Result<(), String> {
    if ids.len() > MAX_MESSAGE_IDS {
        return Err(format!(
            "accounted_for_message_ids: at most {MAX_MESSAGE_IDS} ids"
        ));
    }
    ids.iter()
        .try_for_each(|id| check_message_id(id))
        .map_err(|error| format!("accounted_for_message_ids: {error}"))
}

/// Text of the refusal if a Serval ticket already has an external ticket.
pub fn taken(other: &str) -> String {
    format!(
        "the Serval ticket has {other} of this source already; remove that mapping, or set \
         several_per_ticket for the source"
    )
}

impl Operators {
    /// Writes a mapping and releases the events that wait for it.
    pub async fn map(&self, who: &Operator, map: MapTicket, why: &Why) -> Result<Mapped, Refusal> {
        let MapTicket {
            ticket,
            ticket_id,
            accounted_for,
            origin,
            condition,
            disconnects_others,
        } = map;
        message_ids(&accounted_for).map_err(Refusal::Invalid)?;
        let named = self.serval_ticket(Some(&ticket.source), &ticket_id).await?;
        let NamedTicket {
            id: ticket_id,
            warning,
        } = named;
        if let Some(warning) = &warning {
            tracing::warn!(source = %ticket.source, "{warning}");
        }
        // A mapping may be written before its source is configured, so a missing policy is no
        // error: the defaults hold.
        let policy = self.policy(&ticket.source);
        let policy = policy.as_deref();
        let put = PutMapping {
            disconnects_others,
            unlinks_old: policy.is_some_and(|policy| policy.disconnect_on_remap),
            several_per_ticket: policy.is_some_and(|policy| policy.several_per_ticket),
            reconnects: policy.is_some_and(SourcePolicy::reconnects),
            ticket,
            ticket_id,
            accounted_for,
            origin,
            taught_by: None,
        };
        let stored = self
            .by(who, why)
            .put_mapping(put, condition, self.now())
            .await?
            .map_err(|_| Refusal::Stale)?;
        let (written, is_new) = match stored {
            Stored::Created(written) => (*written, true),
            Stored::Replaced(written) => (*written, false),
            // Serval disconnects by source. If two external tickets of one source shared a Serval
            // ticket, unlinking one would unlink both.
            Stored::Taken(other) => return Err(Refusal::Conflict(taken(&other))),
        };
        let mapping = &written.mapping;
        tracing::info!(
            source = mapping.source,
            ticket.external = mapping.external_id,
            ticket.serval = mapping.ticket_id,
            origin = mapping.origin,
            "mapping written"
        );
        Ok(Mapped {
            written,
            is_new,
            warning,
        })
    }

    /// Removes a mapping. Nothing changes at Serval, unless `disconnects` is true: then the pair is unlinked.
    pub async fn unmap(
        &self,
        who: &Operator,
        ticket: &ExternalTicket,
        condition: Precondition,
        disconnects: bool,
        why: &Why,
    ) -> Result<(), Refusal> {
        let removal = if disconnects {
            Removal::Unlink
        } else {
            Removal::KeepLink
        };
        let deleted = self
            .by(who, why)
            .delete_mapping(ticket, condition, removal, self.now())
            .await?;
        // A removal of nothing is told to the person, since a typing error in the id looks the
        // same.
        if !deleted.map_err(|_| Refusal::Stale)? {
            let detail = "this external ticket has no mapping";
            return Err(Refusal::Missing(detail.to_owned()));
        }
        tracing::info!(ticket.external = %ticket, "mapping removed");
        Ok(())
    }

    /// The Serval tickets that have an external ticket, oldest first.
    pub async fn links(&self, ticket: &ExternalTicket) -> Result<Vec<Link>, Refusal> {
        let mapped_to = self.store.mapping(ticket).await?;
        let mapped_to = mapped_to.map(|mapping| mapping.ticket_id);
        let is_current = |id: &str| mapped_to.as_deref() == Some(id);
        let mut connections = self.store.connections(ticket).await?;
        connections.sort_by_key(|pair| pair.connected_at);
        let mut links: Vec<Link> = (connections.into_iter())
            .map(|pair| Link {
                current: is_current(&pair.ticket_id),
                connected_at: Some(pair.connected_at),
                disconnecting: false,
                ticket_id: pair.ticket_id,
            })
            .collect();
        let waiting = self.store.unlinks_of(ticket).await?;
        links.extend(waiting.into_iter().map(|pair| Link {
            current: is_current(&pair.ticket_id),
            connected_at: None,
            disconnecting: true,
            ticket_id: pair.ticket_id,
        }));
        Ok(links)
    }

    /// Orders that Serval takes a pair apart. `force`: other external tickets of the source that the Serval
    /// ticket has are connected again afterwards.
    pub async fn take_apart(
        &self,
        who: &Operator,
        ticket: &ExternalTicket,
        ticket_id: &str,
        force: bool,
        why: &Why,
    ) -> Result<(), Refusal> {
        let store = self.by(who, why);
        let apart = store
            .take_apart(ticket, ticket_id, force, self.now())
            .await?;
        let source = &ticket.source;
        match apart {
            Apart::Ordered => {}
            Apart::Missing => {
                let detail = format!(
                    "as far as is known, the Serval ticket {ticket_id} does not have {ticket}"
                );
                return Err(Refusal::Missing(detail));
            }
            Apart::Shared(other) => {
                return Err(Refusal::Conflict(format!(
                    "the Serval ticket {ticket_id} also has {source}/{other}, and Serval takes all of a source \
                     apart at once; with force {other} is connected again afterwards"
                )));
            }
            Apart::Lost(other) => {
                return Err(Refusal::Conflict(format!(
                    "the Serval ticket {ticket_id} also has {source}/{other}, which would lose its link, and its \
                     stored content is deleted, so that nothing could connect it again; do it at Serval"
                )));
            }
        }
        tracing::info!(ticket.external = %ticket, ticket.serval = ticket_id, "a pair is taken apart");
        Ok(())
    }

    /// Decides a conflict.
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
        let source = &conflict.source;
        let policy = self.policy(source);
        let policy = policy.as_deref();
        // The rules of the source as they are now: they may have changed since the conflict was found.
        let replacement = Replacement {
            origin,
            unlinks_old: policy.is_some_and(|policy| policy.disconnect_on_remap),
            several_per_ticket: policy.is_some_and(|policy| policy.several_per_ticket),
            reconnects: policy.is_some_and(SourcePolicy::reconnects),
        };
        let decided = self
            .by(who, why)
            .decide_conflict(id, decision, replacement, self.now())
            .await?;
        let conflict = match decided.ok_or_else(none)? {
            Decided::Done(conflict) => conflict,
            Decided::Before(conflict) => {
                let decision = conflict.decision.map_or("", Decision::as_str);
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
            source = %conflict.source,
            ticket.external = %conflict.external_id,
            decision = conflict.decision.map(Decision::as_str),
            "a conflict was decided"
        );
        Ok(conflict)
    }
}
