//! How much happens, counted as it does.

use std::time::Duration;

use jiff::Timestamp;
use serval_connect::store::{Activity, Range};

use crate::store::{Bench, at, connected, webhook};

/// `(stored, connected)` of the buckets that have any, by their distance from the last.
fn rows(activity: &Activity, source: &str) -> Vec<(usize, i64, i64)> {
    let buckets = &activity[source];
    let numbered = buckets.iter().rev().enumerate();
    let rows = numbered.map(|(back, bucket)| (back, bucket.stored, bucket.connected));
    rows.filter(|(_, stored, connected)| stored + connected > 0)
        .collect()
}

async fn read(bench: &Bench, now: Timestamp, range: Range) -> Activity {
    bench.store.activity(now, range).await.unwrap()
}

#[tokio::test]
async fn events_and_connects_are_counted_by_source_and_minute() {
    let bench = Bench::open().await;
    assert!(read(&bench, at(0), Range::Hour).await.is_empty());
    // A whole minute begins at second 16 of the tests' time.
    for n in 0..3 {
        bench.map(n, &format!("tkt-{n}")).await;
        bench.store.record(webhook(n, at(16))).await.unwrap();
    }
    let mut other = webhook(9, at(75));
    other.source = "servicenow-eu".parse().unwrap();
    bench.store.record(other).await.unwrap();
    for claim in bench.claim(2, at(80)).await {
        let end = connected(&claim);
        bench.store.settle(&claim, None, end, at(80)).await.unwrap();
    }
    let hour = read(&bench, at(80), Range::Hour).await;
    assert_eq!(rows(&hour, "servicenow"), [(0, 0, 2), (1, 3, 0)]);
    assert_eq!(rows(&hour, "servicenow-eu"), [(1, 1, 0)]);
    let buckets = &hour["servicenow"];
    assert_eq!(buckets.len(), 60);
    assert_eq!(buckets[59].begins_at, at(76));
    assert_eq!(buckets[0].begins_at, at(76 - 59 * 60));

    let later = at(76 + 59 * 60);
    let hour = read(&bench, later, Range::Hour).await;
    assert_eq!(rows(&hour, "servicenow"), [(59, 0, 2)], "the rest is over");
    assert!(!hour.contains_key("servicenow-eu"));
    let day = read(&bench, later, Range::Day).await;
    assert_eq!(day["servicenow"].len(), 96);
    let of_day: i64 = day["servicenow"].iter().map(|bucket| bucket.stored).sum();
    assert_eq!(of_day, 3);
    bench.close().await;
}

#[tokio::test]
async fn a_duplicate_is_not_counted_again_and_neither_is_what_was_rolled_back() {
    let bench = Bench::open().await;
    let mut once = webhook(1, at(0));
    once.events[0].delivery_key = Some("key".to_owned());
    for _ in 0..3 {
        bench.store.record(once.clone()).await.unwrap();
    }
    let hour = read(&bench, at(0), Range::Hour).await;
    assert_eq!(rows(&hour, "servicenow"), [(0, 1, 0)]);
    bench.close().await;
}

#[tokio::test]
async fn the_last_minute_is_told_and_old_counters_go() {
    let bench = Bench::open().await;
    let id = bench.queued(1).await;
    let claim = bench.claim(1, at(6)).await.remove(0);
    assert_eq!(claim.event, id);
    let end = connected(&claim);
    bench.store.settle(&claim, None, end, at(6)).await.unwrap();
    let connects = async |now| bench.store.connects_last_minute(now).await.unwrap();
    assert_eq!(connects(at(6)).await, 1);
    assert_eq!(connects(at(60)).await, 1);
    assert_eq!(connects(at(70)).await, 0);

    let hours = |n: u64| at(0) + Duration::from_hours(n);
    assert_eq!(bench.store.purge_activity(at(-4)).await.unwrap(), 0);
    assert_eq!(bench.store.purge_activity(hours(72)).await.unwrap(), 2);
    assert_eq!(bench.store.purge_activity(hours(72)).await.unwrap(), 0);
    assert!(read(&bench, at(6), Range::Day).await.is_empty());
    bench.close().await;
}
