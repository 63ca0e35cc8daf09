//! What goes on beside the calls: the credentials are watched, what waited too long expires, pairs
//! are taken apart.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::apart::take_apart_next;
use super::line::{Mode, Turn};
use super::step::Context;
use crate::live::Live;
use crate::serval::ServalError;

/// Between looks at what may have changed.
const POLL: Duration = Duration::from_secs(1);
/// Between looks for parked events whose time is over.
const EXPIRY_CHECK: Duration = Duration::from_secs(10);

/// Tries the credentials at the start and after a reload that brought others, and while the line is
/// held for them.
pub(super) async fn watch_credentials(live: Live<Context>, soft: CancellationToken) {
    let mut checked = None;
    loop {
        let context = live.now();
        let now = context.clock.now();
        let is_first = checked != Some(context.own_account);
        let is_due = match context.line().mode() {
            Mode::Held(hold) => is_first || hold.check_at <= now,
            Mode::Flowing | Mode::Suspect(_) | Mode::Open(_) => is_first,
        };
        if is_due {
            check_credentials(&context).await;
            checked = Some(context.own_account);
        }
        tokio::select! {
            () = soft.cancelled() => return,
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn check_credentials(context: &Context) {
    let is_held = matches!(context.line().mode(), Mode::Held(_));
    let result = if is_held {
        // A token that a call was refused with may still be had.
        context.serval.check_access().await
    } else {
        context.serval.check_credentials().await
    };
    let now = context.clock.now();
    // Others are in force by now, and tried next.
    if context.is_outdated() {
        return;
    }
    match result {
        Ok(()) => {
            if context.line().release() == Turn::Recovered {
                tracing::info!("Serval accepts our credentials; calls go on");
                context.hurry.notify_one();
            }
        }
        Err(error @ ServalError::CredentialsRefused { .. }) => {
            if context.line().hold(&error.brief(), now) == Turn::Held {
                tracing::error!(
                    error = error.brief(),
                    "Serval refuses our credentials: calls stop until it accepts them; check [serval]",
                );
            }
        }
        // Serval is away; that is the breaker's matter. A hold stays, and is looked at again.
        Err(error) => {
            tracing::debug!(
                error = error.brief(),
                "the credentials could not be checked"
            );
            if matches!(context.line().mode(), Mode::Held(_)) {
                context.line().hold("", now);
            }
        }
    }
}

/// Takes pairs apart while calls are made at all.
pub(super) async fn take_pairs_apart(live: Live<Context>, soft: CancellationToken) {
    loop {
        let context = live.now();
        let is_flowing = {
            let state = context.line();
            matches!(state.mode(), Mode::Flowing) && !state.is_paused()
        };
        if is_flowing && take_apart_next(&context).await {
            continue;
        }
        tokio::select! {
            () = soft.cancelled() => return,
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Ends what has been parked for too long.
pub(super) async fn upkeep(live: Live<Context>, soft: CancellationToken) {
    loop {
        let context = live.now();
        match context.store.expire_parked(context.clock.now()).await {
            Ok(0) | Err(_) => {}
            Ok(expired) => {
                tracing::warn!(expired, "parked events expired: no mapping came in time");
                continue;
            }
        }
        tokio::select! {
            () = soft.cancelled() => return,
            () = tokio::time::sleep(EXPIRY_CHECK) => {}
        }
    }
}
