//! The claims in hand, from the claim to the end of the call: which may call now, and how many
//! there are. A claim whose call ended is only to be settled, and stands in nobody's way.
//!
//! Invariant: no more calls at once than places; a probe needs none, since hanging calls may hold
//! them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// Claims in hand for each place to call from.
const AHEAD: usize = 4;

/// Counts claims in hand, and the places to call from.
#[derive(Debug)]
pub(super) struct Hand {
    open: Arc<AtomicUsize>,
    calls: Semaphore,
    places: usize,
    room: usize,
    changed: Arc<Notify>,
}

/// A claim in hand, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    open: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.changed.notify_one();
    }
}

impl Hand {
    /// Nothing in hand, and `places` to call from, `rate` times a second (0: as often as may be).
    pub(super) fn new(places: usize, rate: u32) -> Self {
        let ahead = places.saturating_mul(AHEAD);
        let in_a_second = usize::try_from(rate).unwrap_or(usize::MAX);
        Self {
            room: match rate {
                0 => ahead,
                _ => ahead.min(places.saturating_add(in_a_second)),
            },
            open: Arc::default(),
            calls: Semaphore::new(places),
            places,
            changed: Arc::default(),
        }
    }

    /// One more claim.
    pub(super) fn take(&self) -> Held {
        self.open.fetch_add(1, Ordering::Relaxed);
        Held {
            open: Arc::clone(&self.open),
            changed: Arc::clone(&self.changed),
        }
    }

    /// Claims whose call has not ended.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Calls under way, those that wait for the pace included.
    pub(super) fn calling(&self) -> usize {
        self.places.saturating_sub(self.calls.available_permits())
    }

    /// As many claims as make sense: while some call, others wait, so that no place waits for the
    /// disk, which may take as long as several calls; but no more than the pace uses up in a second.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Whether `more` claims are worth a transaction of their own: not each place that gets free.
    pub(super) fn is_worth(&self, more: usize) -> bool {
        self.open() < self.places || more >= self.places
    }

    /// A place to call from; `None` when there will be no more calls.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.calls.acquire().await.ok()
    }

    /// Whoever waits for a place gets none any more.
    pub(super) fn close(&self) {
        self.calls.close();
    }

    /// Resolves when a call ended, or at once if one did since the last time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn claims_are_taken_ahead_and_by_the_handful() {
        let hand = Hand::new(4, 0);
        assert!(hand.is_worth(1), "nothing is in hand");
        let mut held: Vec<_> = (0..16).map(|_| hand.take()).collect();
        assert_eq!((hand.open(), hand.room()), (16, 16));
        held.truncate(13);
        assert!(!hand.is_worth(3));
        held.truncate(12);
        assert!(hand.is_worth(4));
        held.truncate(3);
        assert!(hand.is_worth(1), "a place is free");
        assert_eq!(Hand::new(4, 2).room(), 6);
        let lone = Hand::new(1, 0);
        let _held = lone.take();
        assert!(lone.is_worth(1), "a single place has one claim ahead");
    }

    #[tokio::test]
    async fn a_closed_hand_gives_no_place() {
        let hand = Hand::new(1, 0);
        let place = hand.place().await;
        assert!(place.is_some());
        assert_eq!(hand.calling(), 1);
        hand.close();
        assert!(hand.place().await.is_none());
        drop(place);
        assert!(hand.place().await.is_none());
    }
}
