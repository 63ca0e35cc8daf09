//! The claims in hand, from the claim to the end of the call: which may call now, and how many
//! there are. A claim whose call ended is only to be settled, and stands in nobody's way.
//!
//! Invariant: no more calls at once than places, once those have ended that began when there were
//! more; a probe needs none, since hanging calls may hold them all.

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
    places: AtomicUsize,
    /// Places that are one too many, and go as they get free.
    surplus: AtomicUsize,
    room: AtomicUsize,
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
        Self {
            room: room(places, rate).into(),
            open: Arc::default(),
            calls: Semaphore::new(places),
            places: places.into(),
            surplus: AtomicUsize::new(0),
            changed: Arc::default(),
        }
    }

    /// From now on so many places, and another rate. Not to be called twice at once.
    pub(super) fn resize(&self, places: usize, rate: u32) {
        self.room.store(room(places, rate), Ordering::Relaxed);
        let before = self.places.swap(places, Ordering::Relaxed);
        if places < before {
            self.surplus.fetch_add(before - places, Ordering::Relaxed);
        } else {
            let mut more = places - before;
            while more > 0 && self.is_one_too_many() {
                more -= 1;
            }
            self.calls.add_permits(more);
        }
        self.changed.notify_one();
    }

    /// Takes one off the surplus, if there is any.
    fn is_one_too_many(&self) -> bool {
        let fewer = |surplus: usize| surplus.checked_sub(1);
        self.surplus
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer)
            .is_ok()
    }

    fn places(&self) -> usize {
        self.places.load(Ordering::Relaxed)
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
        let all = self.places() + self.surplus.load(Ordering::Relaxed);
        all.saturating_sub(self.calls.available_permits())
    }

    /// As many claims as make sense: while some call, others wait, so that no place waits for the
    /// disk, which may take as long as several calls; but no more than the pace uses up in a second.
    pub(super) fn room(&self) -> usize {
        self.room.load(Ordering::Relaxed)
    }

    /// Whether `more` claims are worth a transaction of their own: not each place that gets free.
    pub(super) fn is_worth(&self, more: usize) -> bool {
        self.open() < self.places() || more >= self.places()
    }

    /// A place to call from; `None` when there will be no more calls.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        loop {
            let place = self.calls.acquire().await.ok()?;
            if !self.is_one_too_many() {
                return Some(place);
            }
            place.forget();
        }
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

/// See [`Hand::room`].
fn room(places: usize, rate: u32) -> usize {
    let ahead = places.saturating_mul(AHEAD);
    let in_a_second = usize::try_from(rate).unwrap_or(usize::MAX);
    match rate {
        0 => ahead,
        _ => ahead.min(places.saturating_add(in_a_second)),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn places_that_are_too_many_go_as_calls_end_and_come_back() {
        let hand = Hand::new(3, 0);
        let mut calls = Vec::new();
        for _ in 0..3 {
            calls.push(hand.place().await.unwrap());
        }
        hand.resize(1, 0);
        assert_eq!((hand.calling(), hand.room()), (3, 4));
        calls.truncate(1);
        assert!(hand.place().now_or_never().is_none(), "one place, one call");
        calls.clear();
        let place = hand.place().await;
        assert_eq!(hand.calling(), 1);
        assert!(hand.place().now_or_never().is_none());
        hand.resize(2, 0);
        let second = hand.place().now_or_never();
        assert!(second.is_some() && hand.place().now_or_never().is_none());
        drop((place, second));
        hand.resize(1, 0);
        hand.resize(3, 0);
        let three = [hand.place().await, hand.place().await, hand.place().await];
        assert_eq!((three.len(), hand.calling()), (3, 3));
        assert!(hand.place().now_or_never().is_none());
    }

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
