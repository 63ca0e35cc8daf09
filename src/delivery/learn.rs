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
    let ticket_id = match resolve(context, hint, verifies).await? {
        Resolved::Id(ticket_id) => ticket_id,
        Resolved::Unknown => return Ok(unknown(claim, hint, "which Serval does not know")),
        Resolved::TooMany(n) => {
            let why = format!(
                "which is not among the first {n} tickets of its team; name the ticket's id \
                 instead, or map it by hand"
            );
            return Ok(unknown(claim, hint, &why));
        }
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

fn unknown(claim: &Claim, hint: &ServalTicketId, why: &str) -> Lesson {
    let said = format!("the payload names {hint}, {why}");
    tracing::warn!(
        event = %claim.event,
        ticket.external = %claim.ticket,
        named = %hint,
        "{said}; nothing is learned"
    );
    Lesson::Unknown { said }
}

/// What an id or a friendly identifier stands for.
enum Resolved {
    Id(ServalTicketId),
    Unknown,
    /// It is not among so many tickets, and there was no time to read more.
    TooMany(usize),
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
        Ok(Resolved::Id(id)) if id == ticket_id => mapped_to.clone(),
        Ok(_) | Err(_) => ticket_id,
    }
}

/// The id that `hint` stands for. A friendly identifier is always resolved: calls take ids only. An
/// id may have the form of one, so Serval is asked for it as an id first.
async fn resolve(
    context: &Context,
    hint: &ServalTicketId,
    verifies: bool,
) -> Result<Resolved, ServalError> {
    let is_friendly = is_friendly(hint);
    if !verifies && !is_friendly {
        return Ok(Resolved::Id(hint.clone()));
    }
    if is_friendly && let Ok(Some(known)) = context.store.friendly_id(hint.as_str()).await {
        return Ok(Resolved::Id(known));
    }
    if let Some(ticket) = context.serval.ticket(hint).await? {
        return Ok(Resolved::Id(id_of(&ticket).unwrap_or_else(|| hint.clone())));
    }
    if !is_friendly {
        return Ok(Resolved::Unknown);
    }
    // The last page may take a whole call's time, and all of it has to fit into the limit.
    let patience = context.settings.call_timeout;
    let search = context
        .serval
        .ticket_by_friendly_identifier(hint.as_str(), patience)
        .await?;
    let found = search.found.as_ref().and_then(id_of);
    let n = search.seen.len();
    remember(context, search.seen).await;
    Ok(match found {
        Some(ticket_id) => Resolved::Id(ticket_id),
        None if search.is_cut_short => Resolved::TooMany(n),
        None => Resolved::Unknown,
    })
}

/// Others will be named, too: what was read on the way is kept.
async fn remember(context: &Context, seen: Vec<Ticket>) {
    let known = |ticket: Ticket| {
        let friendly: ServalTicketId = ticket.friendly_identifier.parse().ok()?;
        Some((friendly, id_of(&ticket)?))
    };
    let known: Vec<_> = seen.into_iter().filter_map(known).collect();
    let now = context.clock.now();
    if !known.is_empty()
        && let Err(error) = context.store.remember_friendly_ids(known, now).await
    {
        tracing::debug!(%error, "friendly identifiers could not be remembered");
    }
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
