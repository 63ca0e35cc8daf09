//! One call to Serval under a claim: a look where one is due, the connect, and what goes with it.

use std::collections::HashSet;
use std::time::Duration;

use super::classify::classify;
use super::line::PROBE_TIMEOUT;
use super::step::Context;
use crate::domain::delivery::FailureKind;
use crate::domain::ids::{ExternalId, ServalTicketId};
use crate::serval::{Answer, ConnectRequest, NetworkKind, ServalError};
use crate::store::Claim;

/// Between tries to register messages.
const REGISTER_AGAIN: Duration = Duration::from_millis(500);

/// Message ids that one connect carries; the others are registered beside it.
const MESSAGES_PER_CONNECT: usize = 200;

/// Tries to register the messages that one connect cannot carry.
const REGISTER_TRIES: u32 = 3;

/// What a connect, or the look before it, came to.
pub(super) enum Ended {
    /// Serval took it.
    Connected(Answer),
    /// A look after a doubtful call showed that Serval has it.
    AlreadyLinked,
    /// A look before any call showed that Serval has it.
    LinkedBefore,
    /// Neither.
    Failed(ServalError),
}

pub(super) fn timed_out(limit: Duration) -> ServalError {
    ServalError::Network {
        kind: NetworkKind::Timeout,
        sent: true,
        detail: format!("nothing within {} s", limit.as_secs()),
    }
}

/// Makes the call, under a limit that lies inside of the claim's time.
pub(super) async fn call(
    context: &Context,
    claim: &Claim,
    request: &ConnectRequest,
    is_probe: bool,
) -> Ended {
    let limit = if is_probe {
        PROBE_TIMEOUT
    } else {
        context.settings.call_limit()
    };
    let exchange = look_and_connect(context, claim, request);
    match tokio::time::timeout(limit, exchange).await {
        Ok(ended) => ended,
        Err(_) => Ended::Failed(timed_out(limit)),
    }
}

async fn look_and_connect(context: &Context, claim: &Claim, request: &ConnectRequest) -> Ended {
    let route = context.routes.get(&claim.ticket.source);
    let looks_first = claim.in_doubt || route.is_some_and(|route| route.looks_first);
    // A changed record is sent again to a pair that is known: a look would say nothing about it.
    if looks_first && !claim.is_connected {
        match look(context, request).await {
            Ok(true) if claim.in_doubt => return Ended::AlreadyLinked,
            Ok(true) => return Ended::LinkedBefore,
            Ok(false) => {}
            // Serval answers, but will not say: the connect itself gets the last word.
            Err(error) if is_last_word(&error) => {}
            Err(error) => return Ended::Failed(error),
        }
    }
    let mut request = request.clone();
    if route.is_some_and(|route| route.accounts_for_all)
        && let Err(error) = account_for_all(context, &mut request).await
    {
        return Ended::Failed(error);
    }
    let ids = &mut request.accounted_for_message_ids;
    let rest = ids.split_off(ids.len().min(MESSAGES_PER_CONNECT));
    connect_then_register(context, &request, &rest).await
}

async fn connect(context: &Context, request: &ConnectRequest) -> Ended {
    let error = match context.serval.connect(request).await {
        Ok(answer) => return Ended::Connected(answer),
        Err(error) => error,
    };
    if classify(&error).kind != FailureKind::Exists {
        return Ended::Failed(error);
    }
    match look(context, request).await {
        Ok(true) => Ended::AlreadyLinked,
        Ok(false) => Ended::Failed(error),
        Err(unseen) if is_last_word(&unseen) => Ended::Failed(error),
        // Nothing is known yet: the next try asks again.
        Err(unseen) => Ended::Failed(unseen),
    }
}

/// Whether a look that failed would fail again.
pub(super) fn is_last_word(error: &ServalError) -> bool {
    matches!(
        classify(error).kind,
        FailureKind::Permanent(_) | FailureKind::Exists
    )
}

/// Adds the ids of all messages that the ticket has.
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

/// Registers the messages that one connect cannot carry as soon as the pair is there. The pair is
/// what counts: when Serval will not take them, it is said and left at that.
async fn connect_then_register(
    context: &Context,
    request: &ConnectRequest,
    rest: &[String],
) -> Ended {
    let ended = connect(context, request).await;
    if rest.is_empty() || matches!(ended, Ended::Failed(_)) {
        return ended;
    }
    let (ticket_id, target) = (&request.ticket_id, &request.channel_target);
    for _ in 0..REGISTER_TRIES {
        let registered =
            context
                .serval
                .register_messages(ticket_id, target, &request.external_id, rest);
        match registered.await {
            Ok(()) => return ended,
            Err(error) => tracing::warn!(
                ticket.serval = %ticket_id,
                messages = rest.len(),
                error = error.brief(),
                "messages could not be registered; Serval may send them again"
            ),
        }
        tokio::time::sleep(REGISTER_AGAIN).await;
    }
    ended
}

/// Whether Serval has the pair.
async fn look(context: &Context, request: &ConnectRequest) -> Result<bool, ServalError> {
    has_pair(context, &request.ticket_id, &request.external_id).await
}

/// The same of any pair.
pub(super) async fn has_pair(
    context: &Context,
    ticket_id: &ServalTicketId,
    external_id: &ExternalId,
) -> Result<bool, ServalError> {
    let links = context.serval.external_tickets(ticket_id).await?;
    let wanted = external_id.as_str();
    Ok(links
        .iter()
        .any(|link| link.external_ticket_id.eq_ignore_ascii_case(wanted)))
}
