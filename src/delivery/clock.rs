//! Keeps waits at their length when the machine's clock is set, and the sign of life in the database.

use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use crate::domain::ids::ExternalTicket;
use crate::domain::retry::moved;
use crate::edge::clock::{Clock as _, SteadyClock};

/// Time between two signs of life.
const BEAT: Duration = Duration::from_mins(1);
/// Longest wait for a sign of life to be written: the worker has other work while the database is held.
const BEAT_PATIENCE: Duration = Duration::from_secs(2);

/// Wait after the clock was set back until no write is left that took the time before it.
const SETTLED: Duration = Duration::from_secs(15);

/// Monotonic times of what is done beside the calls.
pub(super) struct Upkeep {
    /// The last sign of life.
    beaten: Duration,
    /// Time to look for events that were stored by the clock before it was set back.
    settled_at: Option<Duration>,
}

impl Upkeep {
    pub(super) fn begin(clock: &SteadyClock) -> Self {
        Self {
            beaten: clock.monotonic(),
            settled_at: None,
        }
    }
}

/// Moves the waits of the breaker and of the stored events if the machine's clock was set. The daemon's clock
/// follows once they are moved; if they cannot be, the next call tries again.
pub(super) async fn keep_time(context: &Context, clock: &SteadyClock, upkeep: &mut Upkeep) {
    if let Some(time) = context.store.server_time() {
        // Replicas go by the clock of the database, which is the same for all of them.
        clock.follow_server(time);
    }
    if let Some(paused) = context.store.paused_by_others() {
        context.breaker().is_paused = paused;
    }
    if let Some(step) = clock.step() {
        // Claims that are handed off meanwhile would run out by the old clock and would not be moved.
        context.store.close_hand_off();
        let after = moved(clock.now(), step);
        if let Err(error) = context.store.follow_clock(step, after).await {
            tracing::error!(%error, step_ms = step, "the clock was set; waits could not be moved yet");
            return;
        }
        clock.follow(step);
        context.breaker().follow_clock(step);
        tracing::warn!(step_ms = step, "the clock was set; waits keep their length");
        if step < 0 {
            upkeep.settled_at = Some(clock.monotonic() + SETTLED);
        }
        return;
    }
    if upkeep.settled_at.is_some_and(|at| at <= clock.monotonic()) {
        upkeep.settled_at = None;
        if let Err(error) = context.store.hasten_new(clock.now()).await {
            tracing::warn!(%error, "events that were stored while the clock was set back may be late");
        }
    }
    let elapsed = clock.monotonic().saturating_sub(upkeep.beaten);
    if elapsed >= BEAT {
        upkeep.beaten = clock.monotonic();
        match tokio::time::timeout(BEAT_PATIENCE, context.store.beat(clock.now())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the sign of life could not be written"),
            Err(_) => tracing::warn!("the sign of life could not be written in time"),
        }
    }
}

/// Time at which the mapping of an external ticket was written, on the clock of today.
pub(super) async fn mapped_at(context: &Context, ticket: &ExternalTicket) -> Option<Timestamp> {
    let mapping = context.store.mapping(ticket).await.ok().flatten()?;
    Some(context.store.on_this_clock(mapping.updated_at))
}
