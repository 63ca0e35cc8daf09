//! Looks into the Serval ticket that a payload names, before anything believes it.

use super::step::Context;
use crate::domain::ids::ServalTicketId;
use crate::serval::{ServalError, Ticket};
use crate::store::{Claim, Lesson};

/// Asks Serval what `hint` is. An error says nothing about the hint.
pub(super) async fn look_into(
    context: &Context,
    claim: &Claim,
    hint: &ServalTicketId,
) -> Result<Lesson, ServalError> {
    let route = context.routes.get(&claim.ticket.source);
    let verifies = route.is_none_or(|route| route.verifies_learned);
    let Some(ticket_id) = resolve(context, hint, verifies).await? else {
        tracing::warn!(
            event = %claim.event,
            ticket.external = %claim.ticket,
            named = %hint,
            "the payload names a ticket that Serval does not know; nothing is learned"
        );
        return Ok(Lesson::Unknown { hint: hint.clone() });
    };
    let ticket_id = as_mapped(context, claim, ticket_id).await;
    tracing::info!(
        event = %claim.event,
        ticket.external = %claim.ticket,
        ticket.serval = %ticket_id,
        mapped_to = claim.mapped_to.as_ref().map(tracing::field::display),
        "the payload names its Serval ticket"
    );
    Ok(Lesson::Names {
        ticket_id,
        on_conflict: route.and_then(|route| route.on_conflict),
        disconnects_old: route.is_some_and(|route| route.disconnects_old),
        several_per_ticket: route.is_some_and(|route| route.several_per_ticket),
    })
}

/// A mapping may name the ticket by its friendly identifier: the same ticket is no conflict.
async fn as_mapped(context: &Context, claim: &Claim, ticket_id: ServalTicketId) -> ServalTicketId {
    let Some(mapped_to) = claim
        .mapped_to
        .as_ref()
        .filter(|mapped_to| is_friendly(mapped_to))
    else {
        return ticket_id;
    };
    match resolve(context, mapped_to, true).await {
        Ok(Some(id)) if id == ticket_id => mapped_to.clone(),
        Ok(_) | Err(_) => ticket_id,
    }
}

/// The id that `hint` stands for. A friendly identifier is always resolved: calls take ids only.
async fn resolve(
    context: &Context,
    hint: &ServalTicketId,
    verifies: bool,
) -> Result<Option<ServalTicketId>, ServalError> {
    let is_friendly = is_friendly(hint);
    if !verifies && !is_friendly {
        return Ok(Some(hint.clone()));
    }
    if is_friendly && let Ok(Some(known)) = context.store.friendly_id(hint.as_str()).await {
        return Ok(Some(known));
    }
    if let Some(ticket) = context.serval.ticket(hint).await? {
        return Ok(id_of(&ticket).or_else(|| Some(hint.clone())));
    }
    if !is_friendly {
        return Ok(None);
    }
    let found = context
        .serval
        .ticket_by_friendly_identifier(hint.as_str())
        .await?;
    let ticket_id = found.as_ref().and_then(id_of);
    if let Some(ticket_id) = &ticket_id {
        let now = context.clock.now();
        let remembered = context
            .store
            .remember_friendly_id(hint.as_str(), ticket_id.clone(), now);
        if let Err(error) = remembered.await {
            tracing::debug!(%error, "a friendly identifier could not be remembered");
        }
    }
    Ok(ticket_id)
}

fn id_of(ticket: &Ticket) -> Option<ServalTicketId> {
    ticket.id.parse().ok()
}

/// Whether an id has the form of a friendly identifier: a prefix, a hyphen, a number.
fn is_friendly(id: &ServalTicketId) -> bool {
    id.as_str()
        .rsplit_once('-')
        .is_some_and(|(prefix, number)| {
            prefix.starts_with(|c: char| c.is_ascii_alphabetic())
                && prefix
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
                && (1..=10).contains(&number.len())
                && number.bytes().all(|b| b.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn friendly_identifiers_are_told_from_ids() {
        for (id, expected) in [
            ("ACM-10", true),
            ("plat-eng-7", true),
            ("x-1", true),
            ("9d385017-c611-4228-8701-d22104cc95c3", false),
            ("ACM-", false),
            ("-10", false),
            ("10-10", false),
            ("ticket_01H8", false),
            ("a-12345678901", false),
        ] {
            assert_eq!(is_friendly(&id.parse().unwrap()), expected, "{id}");
        }
    }
}
