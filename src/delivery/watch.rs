//! The tasks beside the calls: check the credentials, expire parked events, unlink pairs.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::gate::breaker::{CallKind, Mode};
use super::unlink::{Progress, unlink_next};
use crate::edge::live::Live;
use crate::serval::ServalError;
use crate::store::Expired;

/// Time between two checks.
const POLL: Duration = Duration::from_secs(1);
/// Time between two searches for parked events that expire.
const EXPIRY_CHECK: Duration = Duration::from_secs(10);

/// Checks the credentials at the start, after a reload that changed them, and while calls are held for
/// them.
pub(super) async fn watch_credentials(live: Live<Context>, soft: CancellationToken) {
    let mut checked = None;
    loop {
        let context = live.now();
        let now = context.clock.now();
        // A reload with other credentials makes another account, which is checked at once. So a
        // mistake shows before the first event needs it.
        let is_first = checked != Some(context.own_account);
        let is_due = match context.breaker().mode() {
            Mode::Held(hold) => is_first || hold.check_at <= now,
            Mode::Closed | Mode::Suspect(_) | Mode::Open(_) => is_first,
        };
        if is_due {
            check_credentials(&context).await;
            checked = Some(context.own_account);
        }
        if is_stopped_within(POLL, &soft).await {
            return;
        }
    }
}

async fn check_credentials(context: &Context) {
    let held_until = context.breaker().held_until();
    let result = if held_until.is_some() {
        // The token endpoint may still give tokens that calls are refused with, so a call is made.
        context.serval.check_access().await
    } else {
        context.serval.check_credentials().await
    };
    let now = context.clock.now();
    // A reload has changed them meanwhile: the new ones are checked next.
    if context.is_outdated() {
        return;
    }
    let error = result.as_ref().err().map(ServalError::brief);
    let error = error.unwrap_or_default();
    let asked = result.as_ref().err().and_then(ServalError::retry_after);
    let change = match result {
        Ok(()) => context.breaker().release(held_until),
        Err(ServalError::CredentialsRefused(_)) => context.breaker().hold(&error, asked, now),
        Err(_) => {
            // Serval is unreachable, which is for the breaker to notice. A hold stays until the next
            // check.
            tracing::debug!(error, "the credentials could not be checked");
            let mut breaker = context.breaker();
            if matches!(breaker.mode(), Mode::Held(_)) {
                breaker.hold("", asked, now);
            }
            return;
        }
    };
    context.announce(change, &error);
}

/// Unlinks pairs while calls are made.
pub(super) async fn unlink_pairs(live: Live<Context>, soft: CancellationToken) {
    loop {
        let context = live.now();
        let is_calling = context.breaker().allows(CallKind::Regular) && context.store.leads();
        if is_calling && unlink_next(&context).await == Progress::Done {
            continue;
        }
        if is_stopped_within(POLL, &soft).await {
            return;
        }
    }
}

/// Expires events that were parked for too long.
pub(super) async fn expire_parked(live: Live<Context>, soft: CancellationToken) {
    loop {
        let context = live.now();
        if !context.store.leads() {
            if is_stopped_within(EXPIRY_CHECK, &soft).await {
                return;
            }
            continue;
        }
        match context.store.expire_parked(context.clock.now()).await {
            Ok(Expired { events: 0, .. }) | Err(_) => {}
            // The store expires a limited number in one transaction, so that webhooks need not
            // wait. The rest follows at once.
            Ok(Expired { events, named }) => {
                context.metrics.named_expired(named);
                let expired = events;
                tracing::warn!(expired, "parked events expired: no mapping came in time");
                continue;
            }
        }
        if is_stopped_within(EXPIRY_CHECK, &soft).await {
            return;
        }
    }
}

async fn is_stopped_within(time: Duration, soft: &CancellationToken) -> bool {
    let sleep = tokio::time::sleep(time);
    soft.run_until_cancelled(sleep).await.is_none()
}
