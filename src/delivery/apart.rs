//! Takes pairs apart that a changed or removed mapping left behind, one at a time.
//!
//! Invariant: while a pair is being taken apart no connect call is made to its Serval ticket for the
//! same source, and none is under way: Serval lets go of all that the source has on a ticket, so a
//! new pair could go with the old one. Serval is asked first whether it has the pair.

use std::time::Duration;

use tokio::sync::{Mutex, watch};

use super::call::{has_pair, is_last_word};
use super::classify::classify;
use super::settings::TURN_PATIENCE;
use super::step::Context;
use crate::domain::delivery::FailureKind;
use crate::domain::delivery::{Next, decide};
use crate::domain::ids::{ExternalTicket, ServalTicketId, SourceName};
use crate::domain::retry::later;
use crate::serval::ServalError;
use crate::store::{Claim, Disconnect, MayDisconnect, StoreError};

/// A pair that Serval does not list is looked for once more after so long: what was connected a
/// moment ago may take a moment to be listed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The pair that is being taken apart, if any.
pub(super) struct Apart {
    turn: Mutex<()>,
    current: watch::Sender<Option<(SourceName, ServalTicketId)>>,
}

impl Default for Apart {
    fn default() -> Self {
        Self {
            turn: Mutex::default(),
            current: watch::Sender::new(None),
        }
    }
}

/// Takes the mark away, also where the work is broken off.
struct Mark<'a>(&'a Apart);

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.0.current.send_replace(None);
    }
}

/// Works on the next pair that is due; `false` when there is none.
pub(super) async fn take_apart_next(context: &Context) -> bool {
    let now = context.clock.now();
    let pair = match context
        .store
        .next_disconnect(now, context.settings.lease())
        .await
    {
        Ok(Some(pair)) => pair,
        Ok(None) => return false,
        Err(error) => {
            tracing::warn!(%error, "the pairs to take apart cannot be read");
            return false;
        }
    };
    take_apart(context, &pair, None).await
}

/// Clears the way for a connect: waits for a pair of the same Serval ticket that is being taken
/// apart, and takes one apart that is due, but for a probe, which is to be quick. `false` when that
/// takes too long.
pub(super) async fn clear_the_way(
    context: &Context,
    claim: &Claim,
    ticket_id: &ServalTicketId,
    is_probe: bool,
) -> bool {
    let source = &claim.ticket.source;
    let clear = async {
        let mut current = context.apart.current.subscribe();
        let is_other = |current: &Option<(SourceName, ServalTicketId)>| {
            current
                .as_ref()
                .is_none_or(|current| (&current.0, &current.1) != (source, ticket_id))
        };
        // An error says that the sender is gone, and with it the worker.
        drop(current.wait_for(is_other).await);
        if is_probe {
            return;
        }
        let now = context.clock.now();
        if let Ok(Some(pair)) = context.store.disconnect_of(source, ticket_id, now).await {
            take_apart(context, &pair, Some(&claim.ticket)).await;
        }
    };
    tokio::time::timeout(TURN_PATIENCE, clear).await.is_ok()
}

/// Takes a pair apart, if it may be. A connect call about `own` waits for it. `false` when nothing
/// came of it, so that it is no use to go on at once.
async fn take_apart(context: &Context, pair: &Disconnect, own: Option<&ExternalTicket>) -> bool {
    let _turn = context.apart.turn.lock().await;
    let mark = (pair.ticket.source.clone(), pair.ticket_id.clone());
    context.apart.current.send_replace(Some(mark));
    let _mark = Mark(&context.apart);
    // Only now: a call that was claimed later sees the mark.
    let lease = context.settings.lease();
    let done = match context.store.may_disconnect(pair.id, own, lease).await {
        Ok(MayDisconnect::Now) => disconnect(context, pair).await,
        Ok(MayDisconnect::Later) => return false,
        Ok(MayDisconnect::Withdrawn) => return true,
        Ok(MayDisconnect::Shared) => {
            tracing::warn!(
                ticket.external = %pair.ticket,
                ticket.serval = %pair.ticket_id,
                "not disconnected: the Serval ticket has another external ticket of the source, \
                 which would be disconnected with it"
            );
            context.store.end_disconnect(pair.id).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = &done {
        tracing::warn!(%error, ticket.external = %pair.ticket, "a result could not be written");
    }
    done.is_ok()
}

async fn disconnect(context: &Context, pair: &Disconnect) -> Result<(), StoreError> {
    let source_id = context
        .routes
        .get(&pair.ticket.source)
        .and_then(|route| route.integration_id(&pair.ticket.external_id));
    let Some(source_id) = source_id else {
        tracing::error!(
            ticket.external = %pair.ticket,
            ticket.serval = %pair.ticket_id,
            "cannot be taken apart: the source's channel_target names no integration"
        );
        return context.store.end_disconnect(pair.id).await;
    };
    match look_and_disconnect(context, pair, &source_id).await {
        Ok(true) => {
            tracing::info!(
                ticket.external = %pair.ticket,
                ticket.serval = %pair.ticket_id,
                "disconnected"
            );
            context.store.end_disconnect(pair.id).await
        }
        Ok(false) => not_there(context, pair).await,
        Err(error) => failed(context, pair, &error).await,
    }
}

/// `false` when Serval does not have the pair.
async fn look_and_disconnect(
    context: &Context,
    pair: &Disconnect,
    source_id: &str,
) -> Result<bool, ServalError> {
    match has_pair(context, &pair.ticket_id, &pair.ticket.external_id).await {
        Ok(true) => {}
        Ok(false) => return Ok(false),
        // Serval answers, but will not say: the disconnect itself gets the last word.
        Err(error) if is_last_word(&error) => {}
        Err(error) => return Err(error),
    }
    let outcome = context.serval.disconnect(&pair.ticket_id, source_id).await;
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if classify(&error).kind == FailureKind::Permanent("not_found") => Ok(false),
        Err(error) => Err(error),
    }
}

async fn not_there(context: &Context, pair: &Disconnect) -> Result<(), StoreError> {
    let now = context.clock.now();
    let again = later(pair.queued_at, LOOK_AGAIN);
    if now < again {
        let said = "Serval does not list the pair".to_owned();
        return context.store.retry_disconnect(pair.id, again, said).await;
    }
    tracing::info!(
        ticket.external = %pair.ticket,
        ticket.serval = %pair.ticket_id,
        "nothing to disconnect: Serval does not have the pair"
    );
    context.store.end_disconnect(pair.id).await
}

async fn failed(
    context: &Context,
    pair: &Disconnect,
    error: &ServalError,
) -> Result<(), StoreError> {
    let now = context.clock.now();
    let policy = &context.settings.retry;
    let jitter = fastrand::f64();
    let failure = classify(error);
    let next = decide(failure, pair.tries, pair.queued_at, policy, now, jitter);
    let at = match next {
        Next::RetryAt { at, .. } => at,
        Next::Hold => later(now, super::line::HOLD_CHECK),
        Next::Dead(reason) => {
            tracing::error!(
                ticket.external = %pair.ticket,
                ticket.serval = %pair.ticket_id,
                reason,
                error = error.brief(),
                "could not be disconnected; do it at Serval"
            );
            return context.store.end_disconnect(pair.id).await;
        }
    };
    let said = error.summary();
    context.store.retry_disconnect(pair.id, at, said).await
}
