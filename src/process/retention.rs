//! Deletes bodies and events whose retention is over.
//!
//! Invariant: the pause between two steps is longer than a step, so that the writer is free for
//! acknowledgements most of the time.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::RetentionConfig;
use crate::domain::ids::EventId;
use crate::domain::uptime::CutOff;
use crate::edge::clock::SharedClock;
use crate::store::{Store, StoreError};

/// Pause between two walks.
const PERIOD: Duration = Duration::from_hours(1);
/// Time between two looks whether this replica leads.
const LOOK: Duration = Duration::from_secs(10);
/// Shortest pause between two steps of a walk.
const PAUSE: Duration = Duration::from_millis(100);
/// Retention of the counters of activity, which are shown for a day.
const KEEP_ACTIVITY: Duration = Duration::from_hours(72);
/// Length of the pause after a step, as a multiple of the step.
const SHARE: u32 = 4;

/// The rows that a walk deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Payloads,
    Events,
}

/// Deletes once an hour, until `soft`. A changed retention applies at once.
pub(crate) async fn run(
    store: Store,
    clock: SharedClock,
    mut kept: watch::Receiver<RetentionConfig>,
    soft: CancellationToken,
) {
    loop {
        // A walk is dropped when the retention changes. The next one begins with the new values.
        let retention = *kept.borrow_and_update();
        let walks = async {
            // Of replicas, one is enough. Who leads is not known at a start.
            while !store.leads() {
                tokio::time::sleep(LOOK).await;
            }
            let now = clock.now();
            for (kind, what, keep) in [
                (Kind::Payloads, "bodies", retention.payloads),
                (Kind::Events, "events", retention.events),
            ] {
                let Some(cut_off) = store.cut_off(keep, now) else {
                    continue;
                };
                match walk(&store, kind, cut_off).await {
                    Ok(0) => {}
                    Ok(deleted) => tracing::info!(deleted, what, "retention is over"),
                    Err(error) => {
                        tracing::warn!(%error, what, "rows could not be deleted; the next try is in an hour");
                    }
                }
            }
            if let Err(error) = tidy(&store, now, retention.events).await {
                tracing::warn!(%error, "old activity and audit entries could not be deleted; the next try is in an hour");
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

/// Deletes old counters of activity, and audit entries that are older than events may be.
async fn tidy(store: &Store, now: Timestamp, keep: Duration) -> Result<(), StoreError> {
    if let Some(cut_off) = store.cut_off(KEEP_ACTIVITY, now) {
        store.purge_activity(cut_off.before).await?;
    }
    if let Some(cut_off) = store.cut_off(keep, now) {
        while store.purge_audit(cut_off).await? > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Visits all events once, and returns the number of deleted rows.
async fn walk(store: &Store, kind: Kind, cut_off: CutOff) -> Result<usize, StoreError> {
    let mut deleted = 0;
    let mut after = EventId(0);
    loop {
        let started = Instant::now();
        let step = match kind {
            Kind::Payloads => store.purge_payloads(cut_off, after).await?,
            Kind::Events => store.purge_events(cut_off, after).await?,
        };
        deleted += step.deleted;
        // A step that deleted nothing still goes on: the due events may lie behind others that are
        // kept for longer.
        match step.next {
            Some(next) => after = next,
            None => return Ok(deleted),
        }
        // Webhooks and deletions share one writer. The pause grows with the work, so most of the
        // writer's time is left for webhooks.
        tokio::time::sleep(PAUSE.max(started.elapsed() * SHARE)).await;
    }
}
