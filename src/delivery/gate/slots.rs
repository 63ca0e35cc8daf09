//! Slots: how many calls are in flight, and how many claims are held ahead of them. A claim counts until
//! its call ends; settling it needs no slot.
//!
//! Invariant: no more calls in flight than slots. After a reload with fewer slots, running calls may
//! exceed them until they end. A probe takes no slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// Claims held for each slot.
const CLAIMS_PER_SLOT: usize = 4;

/// Counts claims and slots.
#[derive(Debug)]
pub(crate) struct CallSlots {
    claims: AtomicUsize,
    permits: Semaphore,
    slots: AtomicUsize,
    /// Slots that were removed while in use. They go as they become free.
    surplus: AtomicUsize,
    claim_limit: AtomicUsize,
    changed: Notify,
}

/// Counts one claim until it is dropped.
#[derive(Debug)]
pub(crate) struct ClaimGuard(Arc<CallSlots>);

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        self.0.claims.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

impl CallSlots {
    /// `slots` calls in flight, `rate` calls per second (0: no limit).
    pub(crate) fn new(slots: usize, rate: u32) -> Self {
        Self {
            claim_limit: claim_limit(slots, rate).into(),
            claims: AtomicUsize::new(0),
            permits: Semaphore::new(slots),
            slots: slots.into(),
            surplus: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    /// Changes slots and rate. Only one task may call this.
    pub(crate) fn resize(&self, slots: usize, rate: u32) {
        self.claim_limit
            .store(claim_limit(slots, rate), Ordering::Relaxed);
        let before = self.slots.swap(slots, Ordering::Relaxed);
        if slots < before {
            self.surplus.fetch_add(before - slots, Ordering::Relaxed);
        } else {
            // Removed slots that are still in use become valid again. Only the rest needs new permits.
            let mut more = slots - before;
            while more > 0 && self.drops_surplus() {
                more -= 1;
            }
            self.permits.add_permits(more);
        }
        self.changed.notify_one();
    }

    /// Reduces the surplus by one. `false`: there is none.
    fn drops_surplus(&self) -> bool {
        let fewer = |surplus: usize| surplus.checked_sub(1);
        self.surplus
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer)
            .is_ok()
    }

    fn slots(&self) -> usize {
        self.slots.load(Ordering::Relaxed)
    }

    /// Counts one more claim.
    pub(crate) fn count_claim(self: &Arc<Self>) -> ClaimGuard {
        self.claims.fetch_add(1, Ordering::Relaxed);
        ClaimGuard(Arc::clone(self))
    }

    /// Claims whose call has not ended.
    pub(crate) fn claims(&self) -> usize {
        self.claims.load(Ordering::Relaxed)
    }

    /// Slots in use: calls in flight, and those that wait for the pace.
    pub(crate) fn in_use(&self) -> usize {
        let all = self.slots() + self.surplus.load(Ordering::Relaxed);
        all.saturating_sub(self.permits.available_permits())
    }

    /// Most claims to hold: [`CLAIMS_PER_SLOT`] for each slot, so that no slot waits for a commit, but at
    /// most what the rate uses in a second.
    pub(crate) fn claim_limit(&self) -> usize {
        self.claim_limit.load(Ordering::Relaxed)
    }

    /// True if `more` claims are worth a transaction. A claim for each slot that becomes free would cost
    /// one commit per call.
    pub(crate) fn is_worth_claiming(&self, more: usize) -> bool {
        self.claims() < self.slots() || more >= self.slots()
    }

    /// Waits for a slot; `None` after [`close`](Self::close).
    pub(crate) async fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        loop {
            let slot = self.permits.acquire().await.ok()?;
            // After a reload with fewer slots, a slot that became free may be one to remove.
            if !self.drops_surplus() {
                return Some(slot);
            }
            slot.forget();
        }
    }

    /// Gives out no more slots.
    pub(crate) fn close(&self) {
        self.permits.close();
    }

    /// Resolves when a call ended, or at once if one did since the last time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

fn claim_limit(slots: usize, rate: u32) -> usize {
    let ahead = slots.saturating_mul(CLAIMS_PER_SLOT);
    let in_a_second = usize::try_from(rate).unwrap_or(usize::MAX);
    match rate {
        0 => ahead,
        _ => ahead.min(slots.saturating_add(in_a_second)),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn removed_slots_go_as_calls_end_and_come_back() {
        let slots = Arc::new(CallSlots::new(3, 0));
        let mut calls = Vec::new();
        for _ in 0..3 {
            calls.push(slots.acquire().await.unwrap());
        }
        slots.resize(1, 0);
        assert_eq!((slots.in_use(), slots.claim_limit()), (3, 4));
        calls.truncate(1);
        assert!(
            slots.acquire().now_or_never().is_none(),
            "one slot, one call"
        );
        calls.clear();
        let slot = slots.acquire().await;
        assert_eq!(slots.in_use(), 1);
        assert!(slots.acquire().now_or_never().is_none());
        slots.resize(2, 0);
        let second = slots.acquire().now_or_never();
        assert!(second.is_some() && slots.acquire().now_or_never().is_none());
        drop((slot, second));
        slots.resize(1, 0);
        slots.resize(3, 0);
        let three = [
            slots.acquire().await,
            slots.acquire().await,
            slots.acquire().await,
        ];
        assert_eq!((three.len(), slots.in_use()), (3, 3));
        assert!(slots.acquire().now_or_never().is_none());
    }

    #[tokio::test]
    async fn claims_are_made_ahead_and_several_at_once() {
        let slots = Arc::new(CallSlots::new(4, 0));
        assert!(slots.is_worth_claiming(1), "no claim is held");
        let mut held: Vec<_> = (0..16).map(|_| slots.count_claim()).collect();
        assert_eq!((slots.claims(), slots.claim_limit()), (16, 16));
        held.truncate(13);
        assert!(!slots.is_worth_claiming(3));
        held.truncate(12);
        assert!(slots.is_worth_claiming(4));
        held.truncate(3);
        assert!(slots.is_worth_claiming(1), "a slot is free");
        assert_eq!(Arc::new(CallSlots::new(4, 2)).claim_limit(), 6);
        let lone = Arc::new(CallSlots::new(1, 0));
        let _held = lone.count_claim();
        assert!(
            lone.is_worth_claiming(1),
            "a single slot has one claim ahead"
        );
    }

    #[tokio::test]
    async fn no_slot_is_given_after_closing() {
        let slots = Arc::new(CallSlots::new(1, 0));
        let slot = slots.acquire().await;
        assert!(slot.is_some());
        assert_eq!(slots.in_use(), 1);
        slots.close();
        assert!(slots.acquire().await.is_none());
        drop(slot);
        assert!(slots.acquire().await.is_none());
    }
}
