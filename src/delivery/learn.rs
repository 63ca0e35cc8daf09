//! Asks Serval about the ticket that a payload names, before a mapping is learned from it.

use super::context::Context;
use super::directory::{id_of, remember};
use crate::domain::event::NAMED_IN_VAIN;
use crate::domain::find::{is_identifier, prefix};
use crate::domain::ids::ServalTicketId;
use crate::serval::ServalError;
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
        .filter(|mapped_to| is_identifier(mapped_to.as_str()))
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
    let is_friendly = is_identifier(hint.as_str());
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
    let serval = &context.serval;
    let mut teams = serval.teams().await?;
    teams.retain(|team| team.prefix.eq_ignore_ascii_case(prefix(hint.as_str())));
    let search = serval.search(&teams, hint.as_str(), patience).await?;
    let found = search.found.as_ref().and_then(id_of);
    let n = search.seen.len();
    remember(&context.store, search.seen, context.clock.now()).await;
    Ok(match found {
        Some(ticket_id) => Resolved::Id(ticket_id),
        None if search.is_cut_short => Resolved::TooMany(n),
        None => Resolved::Unknown,
    })
}
