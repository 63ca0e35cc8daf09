//! Takes pairs apart that a changed or removed mapping left behind, one at a time.

use super::classify::classify;
use super::step::Context;
use crate::domain::delivery::FailureKind;
use crate::domain::delivery::{Next, decide};
use crate::store::Disconnect;

/// Works on the next pair that is due; `false` when there is none.
pub(super) async fn take_apart_next(context: &Context) -> bool {
    let now = context.clock.now();
    let pair = match context.store.next_disconnect(now).await {
        Ok(Some(pair)) => pair,
        Ok(None) => return false,
        Err(error) => {
            tracing::warn!(%error, "the pairs to take apart cannot be read");
            return false;
        }
    };
    if let Err(error) = take_apart(context, &pair).await {
        tracing::warn!(%error, ticket.external = %pair.ticket, "a result could not be written");
        return false;
    }
    true
}

async fn take_apart(context: &Context, pair: &Disconnect) -> Result<(), crate::store::StoreError> {
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
    let outcome = context.serval.disconnect(&pair.ticket_id, &source_id).await;
    let now = context.clock.now();
    let error = match outcome {
        Ok(()) => {
            tracing::info!(
                ticket.external = %pair.ticket,
                ticket.serval = %pair.ticket_id,
                "disconnected"
            );
            return context.store.end_disconnect(pair.id).await;
        }
        Err(error) => error,
    };
    let failure = classify(&error);
    if failure.kind == FailureKind::Permanent("not_found") {
        return context.store.end_disconnect(pair.id).await;
    }
    let policy = &context.settings.retry;
    match decide(
        failure,
        pair.tries,
        pair.queued_at,
        policy,
        now,
        fastrand::f64(),
    ) {
        Next::RetryAt { at, .. } => {
            context
                .store
                .retry_disconnect(pair.id, at, error.summary())
                .await
        }
        Next::Hold => {
            let at = crate::domain::retry::later(now, super::line::HOLD_CHECK);
            context
                .store
                .retry_disconnect(pair.id, at, error.summary())
                .await
        }
        Next::Dead(reason) => {
            tracing::error!(
                ticket.external = %pair.ticket,
                ticket.serval = %pair.ticket_id,
                reason,
                error = error.brief(),
                "could not be disconnected; do it at Serval"
            );
            context.store.end_disconnect(pair.id).await
        }
    }
}
