//! A database meets a clock that shows another time than was left to it: what the store makes of it. On a server its clock counts.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serval_connect::domain::event::{Disposition, EventState};
use serval_connect::domain::ids::EventId;
use serval_connect::domain::reason::Reason;
use serval_connect::store::{Settlement, Store};
use tempfile::TempDir;

use crate::store::{Bench, at, url, webhook};
use crate::support::{database, needs_a_file};

const DAY: i64 = 86_400;
const MONTH: Duration = Duration::from_hours(30 * 24);

/// Bodies that are deleted because they are older than a month.
async fn purge(store: &Store, now: Timestamp) -> usize {
    let cut_off = store.cut_off(MONTH, now).unwrap();
    let purged = store.purge_payloads(cut_off, EventId(0)).await.unwrap();
    purged.deleted
}

async fn skipped(bench: &Bench, n: u32, now: Timestamp) {
    let mut webhook = webhook(n, now);
    webhook.events[0].disposition = Disposition::Skip(Reason::Echo);
    bench.store.record(webhook).await.unwrap();
}

/// A run from `from` to `until`.
async fn runs(folder: TempDir, from: Timestamp, until: Timestamp) -> TempDir {
    let bench = Bench::open_at(folder, from).await;
    bench.store.beat(until).await.unwrap();
    bench.close().await
}

#[tokio::test]
async fn what_waits_is_moved_with_the_clock_at_a_start_and_again_when_it_is_right() {
    needs_a_file!();
    for days in [40, -40, 4000, -4000] {
        let bench = Bench::open().await;
        let queued = bench.queued(1).await;
        let asked = Settlement::Retry {
            at: at(3000),
            asked: true,
            counts: true,
            in_doubt: false,
            error: "later".to_owned(),
        };
        bench.settle(queued, asked, at(0)).await;
        let mut waits = webhook(2, at(0));
        waits.park_for_ms = 30 * DAY * 1000;
        let parked = bench.store.record(waits).await.unwrap()[0].id;
        let mut folder = bench.close().await;
        for now in [at(days * DAY), at(0)] {
            let bench = Bench::open_at(folder, now).await;
            let then = |second| now + SignedDuration::from_secs(second);
            assert!(bench.claim(1, then(2999)).await.is_empty(), "{days}");
            let row = bench.store.event(parked).await.unwrap().unwrap().row;
            assert_eq!(row.due_at, then(30 * DAY), "{days}");
            let expired = bench.store.expire_parked(then(29 * DAY)).await.unwrap();
            assert_eq!(expired.events, 0, "{days}");
            folder = bench.close().await;
        }
        let bench = Bench::open_at(folder, at(0)).await;
        assert_eq!(bench.claim(1, at(3000)).await.len(), 1, "{days}");
        bench.close().await;
    }
}

#[tokio::test]
async fn what_was_stored_by_the_clock_before_it_was_set_back_is_not_late() {
    needs_a_file!();
    let bench = Bench::open().await;
    let waits = bench.queued(1).await;
    let asked = |asked| Settlement::Retry {
        at: at(3000),
        asked,
        counts: true,
        in_doubt: false,
        error: "later".to_owned(),
    };
    bench.settle(waits, asked(true), at(0)).await;
    let retried = bench.queued(2).await;
    bench.settle(retried, asked(false), at(0)).await;
    let now = at(10 - DAY);
    bench.store.follow_clock(-DAY * 1000, now).await.unwrap();
    // It took the time before, and waited for its turn.
    bench.map(3, "tkt-3").await;
    let new = bench.store.record(webhook(3, at(5))).await.unwrap()[0].id;
    assert!(bench.claim(9, now).await.is_empty());
    bench.store.hasten_new(now).await.unwrap();
    let claimed = bench.claim(9, now).await;
    let events: Vec<EventId> = claimed.iter().map(|claim| claim.event).collect();
    assert_eq!(
        events,
        [new],
        "and what waits for its next try goes on waiting"
    );
    bench.close().await;
}

#[tokio::test]
async fn retention_counts_neither_a_clock_that_is_ahead_nor_the_time_of_one_that_is_behind() {
    needs_a_file!();
    // Ahead by 40 days: nothing is old before 30 days of work.
    let bench = Bench::open().await;
    skipped(&bench, 1, at(0)).await;
    let folder = runs(bench.close().await, at(0), at(10)).await;
    let ahead = 40 * DAY;
    let bench = Bench::open_at(folder, at(ahead)).await;
    for (second, deleted) in [(0, 0), (29 * DAY, 0), (30 * DAY, 1)] {
        let now = at(ahead + second);
        bench.store.beat(now).await.unwrap();
        assert_eq!(purge(&bench.store, now).await, deleted, "after {second} s");
    }
    bench.close().await;

    // In 1970 for a while, and then set right: what ended then is no older than the rest.
    let bench = Bench::open().await;
    skipped(&bench, 1, at(0)).await;
    let folder = runs(bench.close().await, at(0), at(20 * DAY)).await;
    let first = Timestamp::from_second(1000).unwrap();
    let bench = Bench::open_at(folder, first).await;
    skipped(&bench, 2, first).await;
    assert_eq!(purge(&bench.store, first).await, 0);
    let step = at(20 * DAY).as_millisecond() - first.as_millisecond();
    let follows = bench.store.follow_clock(step, at(20 * DAY));
    follows.await.unwrap();
    for (days, deleted) in [(21, 0), (31, 1), (49, 0), (51, 1)] {
        let now = at(days * DAY);
        bench.store.beat(now).await.unwrap();
        assert_eq!(purge(&bench.store, now).await, deleted, "on day {days}");
    }
    bench.close().await;
}

#[tokio::test]
async fn a_database_of_an_earlier_version_is_judged_by_its_newest_row() {
    needs_a_file!();
    let bench = Bench::open().await;
    let parked = bench.store.record(webhook(1, at(0))).await.unwrap()[0].id;
    let folder = bench.close().await;
    let forget = "DELETE FROM settings WHERE key = 'uptime'";
    assert_eq!(database::run(&url(&folder), forget).await, 1);
    let bench = Bench::open_at(folder, at(-DAY)).await;
    assert_eq!(bench.store.last_step(), Some((at(-DAY), -DAY * 1000)));
    let expired = bench.store.expire_parked(at(30 - DAY)).await.unwrap();
    assert_eq!(expired.events, 0);
    assert_eq!(bench.state(parked).await, EventState::Parked);
    let expired = bench.store.expire_parked(at(61 - DAY)).await.unwrap();
    assert_eq!(expired.events, 1, "a minute is over");
    bench.close().await;
}

#[tokio::test]
async fn a_short_pause_is_no_step() {
    needs_a_file!();
    let mut folder = tempfile::tempdir().unwrap();
    for second in [0, 60, 600, 1200, 1198] {
        let bench = Bench::open_at(folder, at(second)).await;
        assert_eq!(bench.store.last_step(), None, "{second}");
        folder = bench.close().await;
    }
}
