//! Asks Serval about the ticket that a payload names, before a mapping is learned from it.

use super::context::Context;
use crate::domain::event::NAMED_IN_VAIN;
use crate::domain::ids::ServalTicketId;
use crate::serval::{ServalError, Ticket};
use crate::sources::SourcePolicy;
use crate::sources::policy::OnConflict;
use crate::store::{Claim, Decision, Lesson};

/// Asks Serval for the ticket `hint`. After an error nothing is known about the hint.
pub(super) async fn lesson(
    context: &Context,
    claim: &Claim,
    hint: &ServalTicketId,
) -> Result<Lesson, ServalError> {
    let policy = context.policy(&claim.ticket.source);
    let verifies = policy.is_none_or(|policy| policy.verify_learned);
    let ticket_id = match resolve(context, hint, verifies).await? {
        Resolved::Id(ticket_id) => ticket_id,
        Resolved::Unknown => return Ok(unknown(claim, hint, "which Serval does not know")),
        // Reading further would take longer than the claim lasts, and would take as long each time.
        // The person can name the id instead.
        Resolved::TooMany(n) => {
            let why = format!(
                "which is not among the first {n} tickets of its team; name the ticket's id \
                 instead, or write the mapping yourself"
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
        // The source may be gone from the configuration. Then a person decides, since a mapping
        // that a person wrote must not be replaced without a rule that says so.
        on_conflict: match policy.map(|policy| policy.on_conflict) {
            None | Some(OnConflict::Ask) => None,
            Some(OnConflict::Keep) => Some(Decision::Keep),
            Some(OnConflict::Replace) => Some(Decision::Replace),
        },
        unlinks_old: policy.is_some_and(|policy| policy.disconnect_on_remap),
        several_per_ticket: policy.is_some_and(|policy| policy.several_per_ticket),
        reconnects: policy.is_some_and(SourcePolicy::reconnects),
    })
}

fn unknown(claim: &Claim, hint: &ServalTicketId, why: &str) -> Lesson {
    let message = format!("{NAMED_IN_VAIN}{hint}, {why}");
    tracing::warn!(
        event = %claim.event,
        ticket.external = %claim.ticket,
        named = %hint,
        "{message}; nothing is learned"
    );
    Lesson::Unknown { message }
}

/// Result of looking up an id or a friendly identifier.
enum Resolved {
    Id(ServalTicketId),
    Unknown,
    /// The ticket is not among this number of tickets, and there was no time to read more.
    TooMany(usize),
}

/// The id as the mapping spells it, if both name the same ticket: the mapping may hold the friendly
/// identifier, which is not a conflict.
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

/// Looks up `hint`. A friendly identifier is always looked up, since calls accept ids only. An id can
/// look like a friendly identifier, so Serval is asked for it as an id first.
async fn resolve(
    context: &Context,
    hint: &ServalTicketId,
    verifies: bool,
) -> Result<Resolved, ServalError> {
    let is_friendly = is_friendly(hint);
    if !verifies && !is_friendly {
        return Ok(Resolved::Id(hint.clone()));
    }
    // An earlier search may have read it. If the store fails, Serval is asked.
    if is_friendly && let Ok(Some(known)) = context.store.friendly_id(hint.as_str()).await {
        return Ok(Resolved::Id(known));
    }
    if let Some(ticket) = context.serval.ticket(hint).await? {
        return Ok(Resolved::Id(id_of(&ticket).unwrap_or_else(|| hint.clone())));
    }
    // The search by friendly identifier reads long lists, so it comes last.
    if !is_friendly {
        return Ok(Resolved::Unknown);
    }
    // The last page may take as long as a whole call, and must end within the step's limit.
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

/// Stores the identifiers that were read on the way: other payloads will name them.
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

/// True if an id looks like a friendly identifier: a prefix, a hyphen, a number.
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
