//! Scan position of the queue: where the next claim continues.
//!
//! The queue is an index over `(due_at, id)`. A claim takes the first events that it may take; those
//! before the last one are then claimed, or their external ticket is. Without a position, every claim
//! would read all of them again, and with thousands of calls in flight that costs more than the claim.
//!
//! The protocol: a position is valid only if no event that may be claimed lies before it.
//!
//! - A claim that stops at its limit leaves its last event as the position ([`Scan::stopped_at`]).
//! - A webhook keeps the position if its events are due after it ([`Scan::queued`]).
//! - A settlement that ends in a pair keeps it: it can only remove events from the queue.
//! - Everything else forgets it: other settlements ([`Scan::forget`]), other writes
//!   ([`Scan::begin_write`]), claims that ran out, a rollback.
//! - Time: an event can become claimable without a write, when `not_before` passes. So a position is
//!   used for one second only ([`LASTS`]).
//!
//! A forgotten position costs one longer read; a wrong one would hide an event for up to a second.

/// Milliseconds for which a position is used.
const LASTS: i64 = 1000;

/// An event's place in the queue; a claim reads what comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScanPosition {
    pub(super) due_at: i64,
    pub(super) id: i64,
    /// Time at which the scan began at the start of the queue.
    since: i64,
}

impl ScanPosition {
    /// The start of the queue, for a scan at `now`.
    pub(super) fn start(now: i64) -> Self {
        Self {
            due_at: i64::MIN,
            id: i64::MIN,
            since: now,
        }
    }

    pub(super) fn is_start(&self) -> bool {
        self.id == i64::MIN
    }

    /// The place of an event, in the same scan.
    pub(super) fn at(self, due_at: i64, id: i64) -> Self {
        Self { due_at, id, ..self }
    }

    fn is_valid_at(&self, now: i64) -> bool {
        // A clock that was set back makes `now` earlier than `since`: begin again then, too.
        (self.since..self.since.saturating_add(LASTS)).contains(&now)
    }
}

/// The position that the writer keeps between claims.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    position: Option<ScanPosition>,
    /// Position that the running write leaves for the next claim.
    next: Option<ScanPosition>,
}

impl Scan {
    /// Returns where a claim at `now` begins.
    pub(super) fn take(&mut self, now: i64) -> ScanPosition {
        let position = self.position.take();
        position
            .filter(|position| position.is_valid_at(now))
            .unwrap_or_else(|| ScanPosition::start(now))
    }

    /// A claim took as many events as it may, the last one at `position`.
    pub(super) fn stopped_at(&mut self, position: ScanPosition) {
        self.next = Some(position);
    }

    /// A new event is queued, due at `due_at`.
    pub(crate) fn queued(&mut self, due_at: i64) {
        self.position = self.position.filter(|position| position.due_at < due_at);
    }

    /// Something may now be claimable before the position.
    pub(crate) fn forget(&mut self) {
        (self.position, self.next) = (None, None);
    }

    /// A write begins of which nothing is known.
    pub(crate) fn begin_write(&mut self) {
        self.next = None;
    }

    /// The write ended. Only a claim leaves a position.
    pub(crate) fn end_write(&mut self) {
        self.position = self.next.take();
    }
}
