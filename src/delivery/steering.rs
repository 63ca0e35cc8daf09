//! Another configuration for a worker that runs.
//!
//! Invariant: a step that has begun ends with the configuration it began with; what the line, the
//! pace and the hand have learned stays.

use std::sync::atomic::Ordering;

use super::step::Context;
use super::{Routes, Settings};
use crate::live::Live;
use crate::serval::ServalClient;

/// Gives a worker another configuration.
#[derive(Clone)]
pub struct Steering {
    live: Live<Context>,
}

impl std::fmt::Debug for Steering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steering").finish_non_exhaustive()
    }
}

impl Steering {
    pub(super) fn new(live: Live<Context>) -> Self {
        Self { live }
    }

    /// From now on these. `serval`: where its account or limits changed. Not to be called twice at
    /// once.
    pub fn steer(&self, serval: Option<ServalClient>, routes: Routes, settings: Settings) {
        let now = self.live.now();
        let mut next = Context {
            routes,
            ..Context::clone(&now)
        };
        if let Some(serval) = serval {
            next.earlier_refreshes += now.serval.tokens().fetches();
            next.own_account = next.account.fetch_add(1, Ordering::Relaxed) + 1;
            next.serval = serval;
        }
        next.line().set_threshold(settings.breaker_threshold);
        next.pace.set_rate(settings.rate);
        next.hand.resize(settings.concurrency, settings.rate);
        next.settings = settings;
        self.live.replace(next);
    }
}
