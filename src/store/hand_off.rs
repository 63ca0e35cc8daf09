//! Hand-off: events that are claimed in the very transaction that stores them, and given to the worker
//! after the commit with the body that is still in memory. It saves a transaction for the claim, and
//! the reading of what was just written.
//!
//! Invariant: it is open only while nothing is due that is not in hand. An event that finds no place
//! waits in the queue and closes it, so that no later one overtakes the queue until a claim has found
//! it empty.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Store;
use super::claims::Claim;
use super::error::StoreError;
use super::writer::Tx;

/// Where the writer leaves claims for the worker.
#[derive(Default)]
pub(super) struct HandOff {
    counter: Mutex<Counter>,
    has_claims: Notify,
}

#[derive(Default)]
struct Counter {
    /// How long the claims last; `None`: it is closed.
    lease: Option<Duration>,
    /// Claims that the worker would take. A bound to go by: a group that was begun under an earlier
    /// one may exceed it.
    places: usize,
    claims: Vec<Claim>,
}

/// What a transaction has to do with it.
#[derive(Default)]
pub(super) struct Handing {
    /// What it claimed, to be given to the worker after the commit.
    pub(super) claims: Vec<Claim>,
    /// Claims that may still be added, and how long they last.
    places: usize,
    lease: Duration,
    /// An event that it stored is due, and nobody claimed it yet.
    pub(super) left_some: bool,
    /// When the last webhook arrived that it stores, in milliseconds.
    pub(super) received_until: i64,
    /// So many places are offered from now on.
    opens: Option<(usize, Duration)>,
}

impl HandOff {
    fn counter(&self) -> MutexGuard<'_, Counter> {
        self.counter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a transaction that begins may hand off.
    pub(super) fn begin(&self) -> Handing {
        let counter = self.counter();
        Handing {
            places: counter.lease.map_or(0, |_| counter.places),
            lease: counter.lease.unwrap_or_default(),
            ..Handing::default()
        }
    }

    /// A transaction was committed. `is_more_due`: it left something that is due.
    pub(super) fn end(&self, handing: Handing, is_more_due: bool) {
        let mut counter = self.counter();
        counter.places = counter.places.saturating_sub(handing.claims.len());
        match handing.opens {
            _ if is_more_due => counter.lease = None,
            Some((places, lease)) => (counter.places, counter.lease) = (places, Some(lease)),
            None => {}
        }
        if !handing.claims.is_empty() {
            counter.claims.extend(handing.claims);
            self.has_claims.notify_one();
        }
    }
}

impl Handing {
    /// How long a claim of an event lasts that is stored now; `None`: there is no place for one.
    pub(super) fn lease(&self) -> Option<Duration> {
        (self.claims.len() < self.places).then_some(self.lease)
    }

    /// The queue has nothing that is due and not in hand.
    pub(super) fn found_nothing_more(&mut self, places: usize, lease: Duration) {
        self.left_some = false;
        self.opens = Some((places, lease));
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

    /// Opens the hand-off for `places` claims of `lease`. The queue was just seen to have nothing due.
    pub fn open_hand_off(&self, places: usize, lease: Duration) {
        let mut counter = self.shared.hand_off.counter();
        (counter.places, counter.lease) = (places, Some(lease));
    }

    /// From now on `places`, if it is open; answers whether it is.
    pub fn resize_hand_off(&self, places: usize) -> bool {
        let mut counter = self.shared.hand_off.counter();
        counter.places = places.saturating_sub(counter.claims.len());
        counter.lease.is_some()
    }

    /// Closes it: what comes from now on waits in the queue. A transaction under way may still
    /// hand some off.
    pub fn close_hand_off(&self) {
        self.shared.hand_off.counter().lease = None;
    }

    /// Closes it for good, and answers the last claims.
    pub async fn end_hand_off(&self) -> Result<Vec<Claim>, StoreError> {
        self.close_hand_off();
        // Comes after every transaction that began while it was open.
        self.write(|_: &mut Tx| Box::pin(async { Ok(()) })).await?;
        Ok(self.handed_off())
    }
}
