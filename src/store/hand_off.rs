//! Hand-off: events that are claimed in the very transaction that stores them, and given to the worker
//! after the commit with the body that is still in memory. It saves a transaction for the claim, and
//! the reading of what was just written.
//!
//! Invariant: an event is handed off only if no other of its external ticket is queued or in hand. And
//! nothing waits for long because of it: what finds no place closes it, so that no later event overtakes
//! the queue until a claim has found it empty.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::Store;
use super::claims::Claim;
use super::writer::Tx;

/// Where the writer leaves claims for the worker.
#[derive(Default)]
pub(super) struct HandOff {
    counter: Mutex<Counter>,
    has_claims: Notify,
}

#[derive(Default)]
struct Counter {
    /// What the worker would take; `None`: it is closed.
    offer: Option<Offer>,
    claims: Vec<Claim>,
}

/// What a worker would take.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// So many claims. A bound to go by: a group that was begun under an earlier offer may exceed it.
    pub places: usize,
    /// When they run out, by the worker's clock, which is the one that follows a jump; those that
    /// stamp webhooks may be ahead of it then.
    pub expires_at: Timestamp,
}

/// What a transaction has to do with it.
#[derive(Default)]
pub(super) struct Handing {
    /// What it claimed, to be given to the worker after the commit.
    pub(super) claims: Vec<Claim>,
    offer: Option<Offer>,
    /// An event that it stored is due, and nobody claimed it yet.
    pub(super) left_some: bool,
    /// When the last webhook arrived that it stores.
    pub(super) received_until: Timestamp,
    /// What is offered from now on.
    opens: Option<Offer>,
}

impl HandOff {
    fn counter(&self) -> MutexGuard<'_, Counter> {
        self.counter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a transaction that begins may hand off.
    pub(super) fn begin(&self) -> Handing {
        Handing {
            offer: self.counter().offer,
            ..Handing::default()
        }
    }

    /// A transaction was committed, and left nothing that is due, or something: then the offer ends.
    pub(super) fn end(&self, handing: Handing, is_more_due: bool) {
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
    /// When a claim of an event runs out that is stored now, after `claims` others; `None`: there is
    /// no place for one.
    pub(super) fn place(&self, claims: usize) -> Option<Timestamp> {
        let offer = self.offer.filter(|offer| claims < offer.places);
        offer.map(|offer| offer.expires_at)
    }

    /// The queue has nothing that is due and not in hand.
    pub(super) fn found_nothing_more(&mut self, offer: Offer) {
        self.left_some = false;
        self.opens = Some(offer);
    }
}

impl Store {
    /// Claims that were handed off since the last call.
    pub fn handed_off(&self) -> Vec<Claim> {
        std::mem::take(&mut self.shared.hand_off.counter().claims)
    }

    /// Resolves when there are claims that were handed off.
    pub async fn hands_off(&self) {
        self.shared.hand_off.has_claims.notified().await;
    }

    /// Opens the hand-off. The queue was just seen to have nothing due.
    pub fn open_hand_off(&self, offer: Offer) {
        let mut counter = self.shared.hand_off.counter();
        counter.offer = Some(offer.less(counter.claims.len()));
    }

    /// From now on `offer`, if it is open; answers whether it is.
    pub fn renew_hand_off(&self, offer: Offer) -> bool {
        let mut counter = self.shared.hand_off.counter();
        counter.offer = counter.offer.map(|_| offer.less(counter.claims.len()));
        counter.offer.is_some()
    }

    /// Closes it: what comes from now on waits in the queue. A transaction under way may still
    /// hand some off.
    pub fn close_hand_off(&self) {
        self.shared.hand_off.counter().offer = None;
    }

    /// Closes it for good, and answers the last claims.
    pub async fn end_hand_off(&self) -> Vec<Claim> {
        self.close_hand_off();
        // Comes after every transaction that began while it was open. One that fails hands off nothing.
        drop(self.write(|_: &mut Tx| Box::pin(async { Ok(()) })).await);
        self.handed_off()
    }
}

impl Offer {
    fn less(self, claims: usize) -> Self {
        let places = self.places.saturating_sub(claims);
        Self { places, ..self }
    }
}
