//! The exchange with Serval for one connect: reads the links first if needed, connects, and registers
//! the messages that one call cannot carry.

use std::collections::HashSet;

use super::classify::classify;
use super::context::Context;
use crate::domain::delivery::{FailureKind, register_again};
use crate::domain::ids::{ExternalId, ServalTicketId};
use crate::serval::{Answer, ConnectRequest, ServalError};
use crate::sources::MountedSource;
use crate::sources::policy::{AccountedFor, SourcePolicy};
use crate::store::Claim;

/// Message ids that one connect carries; further ids are registered after it.
const MESSAGES_PER_CONNECT: usize = 200;

/// Serval has the pair.
pub(super) enum Linked {
    /// The connect call succeeded.
    Connected(Answer),
    /// An earlier call that was in doubt had succeeded.
    AfterDoubt,
    /// The links had the pair before any call of ours.
    Before,
}

/// Returns the call for a claimed event.
pub(super) fn request(
    claim: &Claim,
    source: &MountedSource,
    ticket_id: ServalTicketId,
) -> ConnectRequest {
    ConnectRequest {
        ticket_id,
        channel_target: source.target(&claim.ticket.external_id, claim.is_direct),
        external_id: claim.ticket.external_id.clone(),
        object: claim.object.clone(),
        subtype: claim.subtype.clone(),
        accounted_for_message_ids: claim.accounted_for.clone(),
        traceparent: claim.traceparent.clone(),
    }
}

/// Connects the pair, unless Serval has it already. `None`: the event is not to be sent as it was claimed.
pub(super) async fn connect(
    context: &Context,
    claim: &Claim,
    mut request: ConnectRequest,
) -> Result<Option<Linked>, ServalError> {
    // Without an answer of the store nothing is sent.
    let Ok(ids) = context.store.ids(&claim.ticket).await else {
        return Ok(None);
    };
    let policy = context.policy(&claim.ticket.source);
    let was_restored = context.store.was_restored();
    let in_doubt = claim.doubt.is_some() || was_restored;
    let reads_links = in_doubt || policy.is_some_and(|policy| policy.check_existing);
    let is_newer = !was_restored && claim.doubt.is_some_and(|sent| sent != claim.event);
    // For a pair that is connected already, a changed record is sent again: the links would say
    // nothing about that.
    if reads_links && !claim.is_connected {
        match context.is_linked(&request.ticket_id, &ids).await? {
            // The doubt is about an earlier save. Serval may not have this one.
            Some(true) if is_newer && policy.is_some_and(SourcePolicy::reconnects) => {}
            Some(true) if in_doubt => return Ok(Some(Linked::AfterDoubt)),
            Some(true) => return Ok(Some(Linked::Before)),
            Some(false) | None => {}
        }
    }
    if policy.is_some_and(|policy| policy.accounted_for == AccountedFor::AllExisting) {
        account_for_all(context, &mut request).await?;
    }
    let messages = &mut request.accounted_for_message_ids;
    let further = messages.split_off(messages.len().min(MESSAGES_PER_CONNECT));
    let linked = send(context, claim, &request, &ids).await?;
    if linked.is_some() {
        register(context, &request, &further).await;
    }
    Ok(linked)
}

async fn send(
    context: &Context,
    claim: &Claim,
    request: &ConnectRequest,
    ids: &[ExternalId],
) -> Result<Option<Linked>, ServalError> {
    // The event may have waited for seconds. If it was deleted or edited meanwhile, or a newer save came, the
    // next claim has what is to be sent now. Without an answer of the store nothing is sent. If the process
    // stood still, its claim may have run out: another call may be under way. Calls may have been paused while
    // the links were read.
    let is_current = || async {
        let is_paused = context.breaker().is_paused;
        !is_paused
            && context.clock.now() < claim.expires_at
            && context.store.is_current(claim).await.unwrap_or(false)
    };
    let error = match context.serval.connect(request, is_current).await {
        Ok(answer) => return Ok(answer.map(Linked::Connected)),
        Err(error) => error,
    };
    if classify(&error).kind != FailureKind::Exists {
        return Err(error);
    }
    // "Exists" can mean this pair, which is a success, or another one. Only the links tell. If they
    // cannot be read, nothing is known yet, and that failure counts.
    if context.serval.is_linked(&request.ticket_id, ids).await? {
        Ok(Some(Linked::AfterDoubt))
    } else {
        Err(error)
    }
}

/// Adds the ids of all messages that the Serval ticket has.
async fn account_for_all(
    context: &Context,
    request: &mut ConnectRequest,
) -> Result<(), ServalError> {
    let ids = &mut request.accounted_for_message_ids;
    let named: HashSet<String> = ids.iter().cloned().collect();
    let all = context.serval.message_ids(&request.ticket_id).await?;
    ids.extend(all.into_iter().filter(|id| !named.contains(id)));
    Ok(())
}

/// Registers the message ids that the connect could not carry. If Serval refuses, the log has it, and
/// the connect still counts.
async fn register(context: &Context, request: &ConnectRequest, ids: &[String]) {
    if ids.is_empty() {
        return;
    }
    let (ticket_id, external_id) = (&request.ticket_id, &request.external_id);
    let (serval, target) = (&context.serval, &request.channel_target);
    for tries in 1.. {
        let registered = serval.register_messages(ticket_id, target, external_id, ids);
        let Err(error) = registered.await else { return };
        tracing::warn!(
            ticket.serval = %ticket_id,
            messages = ids.len(),
            error = error.brief(),
            "messages could not be registered; Serval may send them again"
        );
        // The connect has succeeded, and making it fail for this would connect the pair twice. So
        // the tries end after a while.
        let Some(wait) = register_again(tries) else {
            return;
        };
        tokio::time::sleep(wait).await;
    }
}
