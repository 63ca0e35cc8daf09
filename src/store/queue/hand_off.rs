//! The worker's side of the hand-off: see [`offer`](super::offer).

use super::claim::Claim;
use super::offer::Offer;
use crate::store::commit::tx::Tx;
use crate::store::handle::Store;

impl Store {
    /// Takes the claims that were handed off since the last call.
    pub fn handed_off(&self) -> Vec<Claim> {
        std::mem::take(&mut self.shared.hand_off.counter().claims)
    }

    /// Resolves when there are claims that were handed off.
    pub async fn hands_off(&self) {
        self.shared.hand_off.has_claims.notified().await;
    }

    /// Opens the hand-off. The caller just saw that nothing in the queue is due.
    pub fn open_hand_off(&self, offer: Offer) {
        let mut counter = self.shared.hand_off.counter();
        counter.offer = Some(offer.less(counter.claims.len()));
    }

    /// Replaces the offer if the hand-off is open, and returns if it is.
    pub fn renew_hand_off(&self, offer: Offer) -> bool {
        let mut counter = self.shared.hand_off.counter();
        counter.offer = counter.offer.map(|_| offer.less(counter.claims.len()));
        counter.offer.is_some()
    }

    /// Closes the hand-off: new events wait in the queue. A running transaction may still hand some
    /// off.
    pub fn close_hand_off(&self) {
        self.shared.hand_off.counter().offer = None;
    }

    /// Closes the hand-off at the end of the worker, and returns the last claims.
    pub async fn end_hand_off(&self) -> Vec<Claim> {
        self.close_hand_off();
        // The empty write ends after every transaction that began while the hand-off was open.
        drop(self.write(|_: &mut Tx| Box::pin(async { Ok(()) })).await);
        self.handed_off()
    }
}
