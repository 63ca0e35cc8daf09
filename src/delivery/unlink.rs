//! Unlinks pairs that a changed or removed mapping left behind, one at a time.
//!
//! Invariant: while a pair is unlinked, no connect call to its Serval ticket is in flight for the same
//! source: see [`Unlinks`](super::gate::unlinks::Unlinks). Serval is asked first whether it has the
//! pair.

use std::time::Duration;

use super::classify::classify;
use super::context::Context;
use super::gate::breaker::CallKind;
use super::settings::WAIT_LIMIT;
use crate::domain::delivery::{Case, FailureKind, ask_again_for_link, decide_unlink};
use crate::domain::ids::{ExternalId, ExternalTicket, ServalTicketId};
use crate::domain::reason::Reason;
use crate::domain::retry::later;
use crate::serval::ServalError;
use crate::store::{MayUnlink, Settlement, StoreError, Unlink};

/// Wait of an event that was claimed for a probe while its Serval ticket is unlinked.
const BEHIND_OTHERS: Duration = Duration::from_secs(1);

/// Result of work on a pair.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The next pair may follow at once.
    Done,
    /// There is no pair, or it has to wait.
    Nothing,
}

/// Unlinks the next pair that is due.
pub(super) async fn unlink_next(context: &Context) -> Progress {
    let lease = context.settings.lease();
    match context.store.next_unlink(context.clock.now(), lease).await {
        Ok(Some(pair)) => unlink(context, &pair, None).await,
        Ok(None) => Progress::Nothing,
        Err(error) => {
            tracing::warn!(%error, "the pairs to unlink cannot be read");
            Progress::Nothing
        }
    }
}

/// Waits for an unlink of the same Serval ticket, and makes one that is due. An error: no call may be made,
/// and the claim ends like this.
pub(super) async fn wait_for_unlink(
    context: &Context,
    ticket: &ExternalTicket,
    ticket_id: &ServalTicketId,
    kind: CallKind,
) -> Result<(), Settlement> {
    let (source, in_doubt) = (&ticket.source, false);
    if kind == CallKind::Probe {
        if !context.unlinks.is_running(source, ticket_id) {
            return Ok(());
        }
        // A probe must be quick, so it waits for nothing. Its event goes behind the others: the next probe
        // takes another one.
        return Err(Settlement::Retry {
            at: later(context.clock.now(), BEHIND_OTHERS),
            asked: false,
            counts: false,
            in_doubt,
            error: "its Serval ticket is being unlinked".to_owned(),
        });
    }
    let clear = async {
        context.unlinks.wait_for(source, ticket_id).await;
        let now = context.clock.now();
        if let Ok(Some(pair)) = context.store.unlink_of(source, ticket_id, now).await {
            unlink(context, &pair, Some(ticket)).await;
        }
        // Old pairs come apart before the new one is made.
        while let Ok(Some(pair)) = context.store.unlink_of_own(ticket, now).await {
            if unlink(context, &pair, Some(ticket)).await == Progress::Nothing {
                break;
            }
        }
    };
    let clear = tokio::time::timeout(WAIT_LIMIT, clear).await;
    clear.map_err(|_| Settlement::Release {
        in_doubt,
        error: None,
    })
}

/// Unlinks a pair, if no call about its Serval ticket is in flight. `own`: the external ticket whose
/// connect call waits for this.
async fn unlink(context: &Context, pair: &Unlink, own: Option<&ExternalTicket>) -> Progress {
    let _unlinking = context
        .unlinks
        .begin(&pair.ticket.source, &pair.ticket_id)
        .await;
    // The store is asked only now: a call that is claimed from here on waits for the unlink.
    let lease = context.settings.lease();
    let done = match context.store.may_unlink(pair.id, own, lease).await {
        Ok(MayUnlink::Now) => ask_and_unlink(context, pair).await,
        Ok(MayUnlink::Later) => return Progress::Nothing,
        Ok(MayUnlink::Withdrawn) => return Progress::Done,
        Ok(MayUnlink::Shared) => {
            tracing::warn!(
                ticket.external = %pair.ticket,
                ticket.serval = %pair.ticket_id,
                "not unlinked: the Serval ticket has another external ticket of the source, which \
                 would be unlinked with it"
            );
            context.store.end_unlink(pair.id).await
        }
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => Progress::Done,
        Err(error) => {
            tracing::warn!(%error, ticket.external = %pair.ticket, "a result could not be written");
            Progress::Nothing
        }
    }
}

/// Asks for the pair, unlinks it, and writes what comes next.
async fn ask_and_unlink(context: &Context, pair: &Unlink) -> Result<(), StoreError> {
    let store = &context.store;
    let (external, serval) = (&pair.ticket, &pair.ticket_id);
    let source = context.sources.get(&external.source);
    let Some(integration) =
        source.and_then(|source| source.integration_id(&external.external_id, pair.is_direct))
    else {
        tracing::error!(
            ticket.external = %external,
            ticket.serval = %serval,
            "cannot be unlinked: the source's channel_target names no integration"
        );
        return store.end_unlink(pair.id).await;
    };
    // A pair that Serval does not list may be one that a call of ours is still making. So it is
    // asked again for a while before it counts as gone.
    let ids = store.ids(external).await?;
    // An outage may begin or end while this call hangs.
    let is_failing = || context.breaker().fault().is_some();
    let was_failing = is_failing();
    let error = match call(context, pair, &ids, &integration).await {
        Ok(Unlinked::Now) => {
            tracing::info!(ticket.external = %external, ticket.serval = %serval, "unlinked");
            return store.note_unlinked(pair.id).await;
        }
        Ok(Unlinked::Before) => {
            if let Some(again) = ask_again_for_link(pair.queued_at, context.clock.now()) {
                let error = "Serval does not list the pair".to_owned();
                return store.retry_unlink(pair.id, again, error).await;
            }
            tracing::info!(
                ticket.external = %external,
                ticket.serval = %serval,
                "nothing to unlink: Serval does not have the pair"
            );
            return store.note_unlinked(pair.id).await;
        }
        Ok(Unlinked::NotNow) => return Ok(()),
        Err(error) => error,
    };
    let case = Case {
        failure: classify(&error),
        tries: pair.tries,
        queued_at: pair.queued_at,
        is_outage: was_failing || is_failing(),
        mapped_at: None,
        unknown_since: None,
    };
    let now = context.clock.now();
    match decide_unlink(case, &context.settings.retry, now, fastrand::f64()) {
        Ok(at) => store.retry_unlink(pair.id, at, error.summary()).await,
        Err(reason) => {
            tracing::error!(
                ticket.external = %external,
                ticket.serval = %serval,
                reason = reason.as_str(),
                error = error.brief(),
                "could not be unlinked; do it at Serval"
            );
            store.end_unlink(pair.id).await
        }
    }
}

/// Result of an unlink.
enum Unlinked {
    Now,
    /// Serval does not have the pair.
    Before,
    /// Another process makes the calls now.
    NotNow,
}

async fn call(
    context: &Context,
    pair: &Unlink,
    ids: &[ExternalId],
    integration: &str,
) -> Result<Unlinked, ServalError> {
    let ticket_id = &pair.ticket_id;
    if context.is_linked(ticket_id, ids).await? == Some(false) {
        return Ok(Unlinked::Before);
    }
    let is_wanted = || std::future::ready(context.store.leads());
    let done = context.serval.disconnect(ticket_id, integration, is_wanted);
    let error = match done.await {
        Ok(Some(())) => return Ok(Unlinked::Now),
        Ok(None) => return Ok(Unlinked::NotNow),
        Err(error) => error,
    };
    // The pair may be gone since. If Serval still lists it, the server does not have this call.
    let is_gone = classify(&error).kind == FailureKind::Permanent(Reason::NotFound)
        && context.is_linked(ticket_id, ids).await? != Some(true);
    if is_gone {
        Ok(Unlinked::Before)
    } else {
        Err(error)
    }
}
