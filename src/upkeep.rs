//! What time asks for beside webhooks and calls: deleting what was kept for long enough.
//!
//! Invariant: between two steps it waits for longer than a step takes, so that the writer is free
//! for acknowledgements most of the time.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::config::RetentionConfig;
use crate::domain::ids::EventId;
use crate::store::{Store, StoreError};

/// Between two walks over what is old.
const PERIOD: Duration = Duration::from_hours(1);
/// Between two steps of a walk, at least.
const PAUSE: Duration = Duration::from_millis(100);
/// Counters of activity are shown for a day.
const KEEP_ACTIVITY: Duration = Duration::from_hours(72);
/// How many times the length of a step is waited after it.
const SHARE: u32 = 4;

/// What a walk deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Payloads,
    Events,
}

/// Deletes what is over its retention, until `soft`. Another retention is followed at once.
pub(crate) async fn run(
    store: Store,
    clock: SharedClock,
    mut kept: watch::Receiver<RetentionConfig>,
    soft: CancellationToken,
) {
    loop {
        let now = clock.now();
        let retention = *kept.borrow_and_update();
        let walks = async {
            for (kind, keep) in [
                (Kind::Payloads, retention.payloads),
                (Kind::Events, retention.events),
            ] {
                let Some(before) = cut_off(now, keep) else {
                    continue;
                };
                match walk(&store, kind, before).await {
                    Ok(0) => {}
                    Ok(deleted) => {
                        tracing::info!(deleted, what = kind.as_str(), "retention is over");
                    }
                    Err(error) => {
                        let what = kind.as_str();
                        tracing::warn!(%error, what, "retention waits for the next hour");
                    }
                }
            }
            if let Err(error) = tidy(&store, now, retention.events).await {
                tracing::warn!(%error, "what operators look at waits for the next hour to be tidied");
            }
            tokio::time::sleep(PERIOD).await;
        };
        tokio::select! {
            () = soft.cancelled() => return,
            () = walks => {}
            Ok(()) = kept.changed() => {}
        }
    }
}

/// Deletes what was counted for long enough, and the audit list with the events.
async fn tidy(store: &Store, now: Timestamp, keep: Duration) -> Result<(), StoreError> {
    if let Some(before) = cut_off(now, KEEP_ACTIVITY) {
        store.purge_activity(before).await?;
    }
    if let Some(before) = cut_off(now, keep) {
        while store.purge_audit(before).await? > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Before which moment is over; `None`: nothing ever is.
fn cut_off(now: Timestamp, keep: Duration) -> Option<Timestamp> {
    if keep.is_zero() {
        return None;
    }
    now.checked_sub(keep).ok()
}

/// Goes over everything once; answers how much was deleted.
async fn walk(store: &Store, kind: Kind, before: Timestamp) -> Result<usize, StoreError> {
    let mut deleted = 0;
    let mut after = EventId(0);
    loop {
        let started = Instant::now();
        let step = match kind {
            Kind::Payloads => store.purge_payloads(before, after).await?,
            Kind::Events => store.purge_events(before, after).await?,
        };
        deleted += step.deleted;
        match step.next {
            Some(next) => after = next,
            None => return Ok(deleted),
        }
        tokio::time::sleep(PAUSE.max(started.elapsed() * SHARE)).await;
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Payloads => "bodies",
            Self::Events => "events",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_keeps_for_ever() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert_eq!(cut_off(now, Duration::ZERO), None);
        let day_before = Timestamp::from_second(1_000_000 - 86_400).unwrap();
        assert_eq!(cut_off(now, Duration::from_hours(24)), Some(day_before));
        assert_eq!(cut_off(now, Duration::MAX), None);
    }
}
