//! Hand-off: events are claimed in the transaction that stores them, and given to the worker after the
//! commit, with the body that is still in memory. This saves a transaction for the claim, and reading
//! what was just written.
//!
//! Invariant: an event is handed off only if no other event of its external ticket is queued or
//! claimed.
//!
//! Fairness: the first event that finds no place closes the hand-off until a claim finds the queue
//! empty, so later events cannot overtake the queue.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::claim::Claim;

/// The place where the writer leaves claims for the worker.
#[derive(Default)]
pub(crate) struct HandOff {
    counter: Mutex<Counter>,
    pub(super) has_claims: Notify,
}

#[derive(Default)]
pub(super) struct Counter {
    /// Offer of the worker; `None`: the hand-off is closed.
    pub(super) offer: Option<Offer>,
    pub(super) claims: Vec<Claim>,
}

/// Claims that the worker can take.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// Number of claims. A transaction that began under an earlier offer may exceed it.
    pub places: usize,
    /// Time at which the claims run out, by the worker's clock. After the clock was set, webhooks may
    /// already have later times.
    pub expires_at: Timestamp,
}

/// Hand-off of one transaction.
#[derive(Default)]
pub(crate) struct Handing {
    /// Claims for the worker.
    pub(crate) claims: Vec<Claim>,
    offer: Option<Offer>,
    /// True if an event was stored that is due and has no claim.
    pub(crate) left_some: bool,
    /// Latest arrival of its webhooks.
    pub(crate) received_until: Timestamp,
    /// Offer to open after the commit.
    opens: Option<Offer>,
}

impl HandOff {
    pub(super) fn counter(&self) -> MutexGuard<'_, Counter> {
        self.counter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a transaction, under the current offer.
    pub(crate) fn begin(&self) -> Handing {
        Handing {
            offer: self.counter().offer,
            ..Handing::default()
        }
    }

    /// Ends a committed transaction. `is_more_due` closes the hand-off.
    pub(crate) fn end(&self, handing: Handing, is_more_due: bool) {
        let mut counter = self.counter();
        if let Some(offer) = &mut counter.offer {
            offer.places = offer.places.saturating_sub(handing.claims.len());
        }
        if is_more_due {
            counter.offer = None;
        } else if handing.opens.is_some() {
            counter.offer = handing.opens;
        }
        if !handing.claims.is_empty() {
            counter.claims.extend(handing.claims);
            self.has_claims.notify_one();
        }
    }
}

impl Handing {
    /// Returns when the next claim runs out, after `claims` others; `None`: no place is left.
    pub(crate) fn place(&self, claims: usize) -> Option<Timestamp> {
        let offer = self.offer.filter(|offer| claims < offer.places);
        offer.map(|offer| offer.expires_at)
    }

    /// A claim found nothing more in the queue, so `offer` may open.
    pub(crate) fn found_nothing_more(&mut self, offer: Offer) {
        self.left_some = false;
        self.opens = Some(offer);
    }
}

impl Offer {
    pub(super) fn less(self, claims: usize) -> Self {
        let places = self.places.saturating_sub(claims);
        Self { places, ..self }
    }
}
