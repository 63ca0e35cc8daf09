//! A newer save waits in the place of the one that it supersedes.

use jiff::Timestamp;
use serval_connect::domain::event::{EventState, Rank};
use serval_connect::domain::ids::EventId;
use serval_connect::store::{Claim, ClaimScope, Offer, Settlement, Webhook};

use crate::store::{Bench, LEASE, at, webhook};

const HOUR: i64 = 3600;

/// The save numbered `count` of the record.
fn save(count: i64, now: Timestamp) -> Webhook {
    let mut webhook = webhook(1, now);
    webhook.events[0].rank = Rank(0, count);
    webhook
}

async fn saved(bench: &Bench, count: i64, now: Timestamp) -> EventId {
    bench.store.record(save(count, now)).await.unwrap()[0].id
}

fn retry(until: Timestamp, asked: bool) -> Settlement {
    Settlement::Retry {
        at: until,
        asked,
        counts: true,
        in_doubt: false,
        error: "a fault was asked for".to_owned(),
    }
}

async fn one_claim(bench: &Bench, now: Timestamp) -> Claim {
    let mut claims = bench.claim(9, now).await;
    assert_eq!(claims.len(), 1, "at {now}");
    claims.remove(0)
}

async fn settle(bench: &Bench, claim: &Claim, settlement: Settlement, now: Timestamp) {
    let settled = bench.store.settle(claim, None, settlement, now);
    settled.await.unwrap();
}

/// The save is called at `due` at the earliest, and then as one that waits since the start.
async fn waits_until(bench: &Bench, id: EventId, due: Timestamp, tries: u32) {
    let before = due - std::time::Duration::from_secs(1);
    assert!(bench.claim(9, before).await.is_empty(), "it waits");
    let claim = one_claim(bench, due).await;
    assert_eq!((claim.event, claim.tries), (id, tries));
    assert_eq!(claim.queued_at, at(0));
}

#[tokio::test]
async fn a_save_that_comes_while_another_waits_for_its_next_call_waits_as_long() {
    for asked in [true, false] {
        for together in [true, false] {
            let bench = Bench::open().await;
            bench.queued(1).await;
            let claim = one_claim(&bench, at(1)).await;
            settle(&bench, &claim, retry(at(HOUR), asked), at(2)).await;
            // The worker has places free.
            let offer = Offer {
                places: 9,
                expires_at: at(2) + LEASE,
            };
            let offered = bench.store.claim_or_offer(offer, at(2)).await.unwrap();
            assert!(offered.is_empty());
            let newest = if together {
                let store = &bench.store;
                let (_, newest) =
                    tokio::join!(store.record(save(1, at(3))), store.record(save(2, at(3))));
                newest.unwrap()[0].id
            } else {
                saved(&bench, 1, at(3)).await;
                saved(&bench, 2, at(4)).await
            };
            assert!(
                bench.store.handed_off().is_empty(),
                "none is called at once"
            );
            assert_eq!(bench.state(claim.event).await, EventState::Skipped);
            let due = bench.store.next_due(at(5)).await.unwrap();
            assert_eq!(due, Some(at(HOUR)), "{asked} {together}");
            if asked {
                let probe = bench.store.claim(ClaimScope::Probe, 9, at(5), LEASE).await;
                assert!(probe.unwrap().is_empty(), "not by a probe either");
            }
            waits_until(&bench, newest, at(HOUR), 1).await;
            bench.close().await;
        }
    }
}

#[tokio::test]
async fn a_save_that_comes_during_a_call_waits_as_long_as_the_call_would_have() {
    for asked in [true, false] {
        let bench = Bench::open().await;
        bench.queued(1).await;
        for tries in 1..=3 {
            let now = at(i64::from(tries) * HOUR);
            let claim = one_claim(&bench, now).await;
            let newest = saved(&bench, i64::from(tries), now).await;
            let next = at(i64::from(tries + 1) * HOUR);
            settle(&bench, &claim, retry(next, asked), now).await;
            assert_eq!(bench.state(claim.event).await, EventState::Skipped);
            if tries == 3 {
                waits_until(&bench, newest, next, tries).await;
            }
        }
        bench.close().await;
    }
}

#[tokio::test]
async fn a_save_gives_way_to_a_newer_one_unless_it_has_a_serval_ticket_to_teach() {
    for (case, together) in [
        (Some("tkt-1"), None, None, true, false),
        (Some("tkt-1"), Some("tkt-1"), None, true, false),
        (Some("tkt-1"), Some("tkt-2"), None, false, true),
        (None, Some("tkt-1"), None, false, true),
        (None, Some("tkt-1"), Some("tkt-2"), false, true),
        // It has taught nothing when the mapping comes, and need not.
        (None, Some("tkt-1"), Some("tkt-1"), false, false),
    ]
    .into_iter()
    .flat_map(|case| [(case, true), (case, false)])
    {
        let (mapped_to, named, mapped_then, gives_way, is_called) = case;
        let bench = Bench::open().await;
        let map = async |ticket_id: Option<&str>| {
            if let Some(ticket_id) = ticket_id {
                bench.map(1, ticket_id).await;
            }
        };
        map(mapped_to).await;
        let mut older = save(1, at(0));
        older.events[0].hint = named.map(|named| named.parse().unwrap());
        let mut batches = vec![older, save(2, at(0))];
        if together {
            let newer = batches.remove(1);
            batches[0].events.extend(newer.events);
        }
        let mut ids = Vec::new();
        for batch in batches {
            let recorded = bench.store.record(batch).await.unwrap();
            ids.extend(recorded.iter().map(|event| event.id));
        }
        let [older, newer] = ids[..] else {
            panic!("{ids:?}")
        };
        let case = format!("{case:?} {together}");
        let is_skipped = bench.state(older).await == EventState::Skipped;
        assert_eq!(is_skipped, gives_way, "{case}");
        map(mapped_then).await;
        // A claim that only skips what a newer save supersedes is empty.
        let mut claims = bench.claim(9, at(2)).await;
        claims.extend(bench.claim(9, at(2)).await);
        let called: Vec<_> = claims.iter().map(|claim| claim.event).collect();
        assert_eq!(called, [if is_called { older } else { newer }], "{case}");
        bench.close().await;
    }
}

#[tokio::test]
async fn what_failed_with_the_serval_ticket_of_an_old_mapping_does_not_delay_the_newer_save() {
    let bench = Bench::open().await;
    bench.queued(1).await;
    let claim = one_claim(&bench, at(1)).await;
    let newest = saved(&bench, 1, at(1)).await;
    bench.map(1, "tkt-2").await;
    settle(&bench, &claim, retry(at(HOUR), false), at(2)).await;
    let again = one_claim(&bench, at(2)).await;
    assert_eq!((again.event, again.tries), (newest, 0));
    bench.close().await;
}

#[tokio::test]
async fn a_save_that_takes_over_from_a_claim_that_ran_out_waits_since_the_first_one() {
    let bench = Bench::open().await;
    bench.queued(1).await;
    let claim = one_claim(&bench, at(1)).await;
    settle(&bench, &claim, retry(at(10), false), at(2)).await;
    one_claim(&bench, at(10)).await;
    let newest = saved(&bench, 1, at(11)).await;
    let after = at(12) + LEASE;
    let late = bench.claim(9, after).await;
    assert!(late.is_empty(), "the older save is looked at, and skipped");
    let claim = one_claim(&bench, after).await;
    assert_eq!((claim.event, claim.tries), (newest, 1));
    assert_eq!(claim.queued_at, at(0));
    bench.close().await;
}

#[tokio::test]
async fn a_record_that_is_saved_again_keeps_its_turn_in_the_queue() {
    let bench = Bench::open().await;
    bench.queued(1).await;
    let mut other = webhook(2, at(1));
    other.events[0].rank = Rank(0, 1);
    bench.map(2, "tkt-2").await;
    bench.store.record(other).await.unwrap();
    let newest = saved(&bench, 1, at(2)).await;
    let first = bench.claim(1, at(3)).await.remove(0);
    assert_eq!(first.event, newest);
    bench.close().await;
}
