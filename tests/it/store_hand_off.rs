//! The hand-off: webhooks whose events are claimed as they are stored.

use jiff::Timestamp;
use serval_connect::domain::event::EventState;
use serval_connect::domain::event::{ChannelMove, ChannelNews};
use serval_connect::domain::reason::Reason;
use serval_connect::store::{Claim, Offer, SettleError, Settlement, Webhook};

use crate::store::{Bench, LEASE, at, message, ticket, webhook};

fn offer(places: usize, now: Timestamp) -> Offer {
    Offer {
        places,
        expires_at: now + LEASE,
    }
}

/// A bench that offers `places`, its queue being empty.
async fn offering(places: usize) -> Bench {
    let bench = Bench::open().await;
    let claims = bench
        .store
        .claim_or_offer(offer(places, at(0)), at(0))
        .await;
    assert!(claims.unwrap().is_empty());
    bench
}

/// What tells claims apart.
fn events(claims: &[Claim]) -> Vec<i64> {
    claims.iter().map(|claim| claim.event.0).collect()
}

async fn claim_or_offer(bench: &Bench, limit: usize, now: Timestamp) -> Vec<i64> {
    let claims = bench.store.claim_or_offer(offer(limit, now), now).await;
    events(&claims.unwrap())
}

#[tokio::test]
async fn a_claim_that_is_handed_off_says_what_one_from_the_queue_says() {
    let bench = offering(2).await;
    let handed_id = bench.queued(1).await;
    let handed = bench.store.handed_off().remove(0);
    bench.store.close_hand_off();
    let queued_id = bench.queued(2).await;
    let queued = bench.claim(9, at(0)).await.remove(0);
    assert_eq!((handed.event, queued.event), (handed_id, queued_id));
    assert_eq!((&handed.ticket, &queued.ticket), (&ticket(1), &ticket(2)));
    let rest = |claim: &Claim| {
        (
            (
                claim.expires_at,
                claim.queued_at,
                claim.tries,
                claim.doubt.is_some(),
            ),
            (
                claim.subtype.clone(),
                claim.is_connected,
                claim.hint.clone(),
            ),
            claim.accounted_for.clone(),
            claim
                .mapped_to
                .clone()
                .unwrap()
                .as_str()
                .replace(['1', '2'], ""),
        )
    };
    assert_eq!(rest(&handed), rest(&queued));
    let sent = webhook(1, at(0));
    assert_eq!(
        handed.object,
        sent.body.slice(sent.events[0].object.clone())
    );
    assert_ne!(handed.token, queued.token);
    // It is held as any other: settled once, by its token.
    let reason = Reason::AlreadyConnected;
    let skip = Settlement::Skip { reason };
    let again = skip.clone();
    bench
        .store
        .settle(&handed, None, skip, at(1))
        .await
        .unwrap();
    assert_eq!(bench.state(handed_id).await, EventState::Skipped);
    let lost = bench.store.settle(&handed, None, again, at(1)).await;
    assert!(matches!(lost, Err(SettleError::LostClaim)));
}

#[tokio::test]
async fn what_finds_no_place_waits_and_is_not_overtaken() {
    let bench = offering(1).await;
    for n in 1..=3 {
        bench.queued(n).await;
    }
    assert_eq!(events(&bench.store.handed_off()), [1]);
    // A place is free again, but two wait.
    assert!(!bench.store.renew_hand_off(offer(5, at(0))));
    bench.queued(4).await;
    assert!(bench.store.handed_off().is_empty());
    assert_eq!(claim_or_offer(&bench, 2, at(1)).await, [2, 3]);
    bench.queued(5).await;
    assert!(bench.store.handed_off().is_empty(), "that claim was filled");
    assert_eq!(claim_or_offer(&bench, 3, at(1)).await, [4, 5]);
    bench.queued(6).await;
    assert_eq!(events(&bench.store.handed_off()), [6]);
}

#[tokio::test]
async fn a_later_event_of_an_external_ticket_waits_for_the_first() {
    let bench = offering(9).await;
    bench.map(1, "tkt-1").await;
    bench.map(2, "tkt-2").await;
    // In a group of its own, and in the same one.
    let deliver = |n: u32, second: i64| bench.store.record(message(n, at(second)));
    deliver(1, 1).await.unwrap();
    deliver(1, 2).await.unwrap();
    let (first, second) = tokio::join!(deliver(2, 3), deliver(2, 4));
    let (first, second) = (first.unwrap()[0].id.0, second.unwrap()[0].id.0);
    let handed = bench.store.handed_off();
    assert_eq!(events(&handed), [1, first.min(second)]);
    // It did not close the hand-off: nothing can be claimed.
    assert!(bench.store.renew_hand_off(offer(9, at(0))));
    assert!(claim_or_offer(&bench, 9, at(5)).await.is_empty());
    let release = Settlement::Dead {
        reason: Reason::InvalidArgument,
        error: "no".to_owned(),
        in_doubt: false,
    };
    bench
        .store
        .settle(&handed[0], None, release, at(6))
        .await
        .unwrap();
    assert_eq!(claim_or_offer(&bench, 9, at(6)).await, [2]);
}

#[tokio::test]
async fn what_is_not_due_and_what_is_a_duplicate_is_not_handed_off() {
    let bench = offering(9).await;
    let parked = bench.record(1).await;
    assert_eq!(parked.state, EventState::Parked);
    bench.map(2, "tkt-2").await;
    let mut named = webhook(2, at(1));
    named.events[0].delivery_key = Some("wh:msg_1".to_owned());
    for is_duplicate in [false, true] {
        let recorded = bench.store.record(named.clone()).await.unwrap();
        assert_eq!(recorded[0].duplicate, is_duplicate);
        assert_eq!(bench.store.handed_off().len(), usize::from(!is_duplicate));
    }
    assert!(bench.store.handed_off().is_empty());
    // The mapping sets the parked one in motion: it is claimed from the queue.
    bench.map(1, "tkt-1").await;
    assert!(bench.store.handed_off().is_empty());
    assert!(!bench.store.renew_hand_off(offer(9, at(0))));
    assert_eq!(claim_or_offer(&bench, 9, at(1)).await, [parked.id.0]);
}

#[tokio::test]
async fn what_shares_a_transaction_with_a_claim_is_claimed_by_it() {
    let bench = Bench::open().await;
    let many = 20;
    bench.map_all(many).await;
    let record = |n: u32| bench.store.record(webhook(n, at(1)));
    // The worker's clock was read before the webhooks arrived.
    let claim = bench.store.claim_or_offer(offer(100, at(0)), at(0));
    let (recorded, claims) = tokio::join!(
        futures_util::future::join_all((1..=many).map(record)),
        claim
    );
    assert!(recorded.iter().all(Result::is_ok));
    let mut all = events(&claims.unwrap());
    all.extend(events(&bench.store.handed_off()));
    all.sort_unstable();
    assert_eq!(all.len(), 20, "one way or the other, none waits");
}

#[tokio::test]
async fn the_end_of_the_hand_off_answers_the_last_claims() {
    let bench = offering(9).await;
    bench.map(1, "tkt-1").await;
    let (recorded, last) = tokio::join!(
        bench.store.record(webhook(1, at(1))),
        bench.store.end_hand_off()
    );
    // Closed before the transaction began, or not: but nothing is handed off after the end.
    let claims = last;
    assert!(claims.len() <= 1);
    assert!(bench.store.handed_off().is_empty());
    let id = recorded.unwrap()[0].id;
    let left = claim_or_offer(&bench, 9, at(2)).await;
    assert_eq!([events(&claims), left].concat(), [id.0]);
}

#[tokio::test]
async fn what_a_dead_process_was_handed_is_in_doubt_at_the_next_start() {
    let bench = offering(9).await;
    let id = bench.queued(1).await;
    assert_eq!(bench.store.handed_off().len(), 1);
    let bench = Bench::open_in(bench.close().await).await;
    let claim = bench.claim(9, at(1)).await.remove(0);
    assert_eq!((claim.event, claim.doubt.is_some()), (id, true));
}

#[tokio::test]
async fn a_channel_that_moves_takes_its_events_along_first() {
    let bench = offering(9).await;
    bench.map(1, "tkt-1").await;
    let moving = Webhook {
        events: {
            let mut events = webhook(2, at(1)).events;
            let (from, to) = ("C1".to_owned(), "C2".to_owned());
            events[0].channel = Some(ChannelNews::Moved(ChannelMove { from, to }));
            events
        },
        ..webhook(2, at(1))
    };
    bench.map(2, "tkt-2").await;
    bench.store.record(moving).await.unwrap();
    assert!(bench.store.handed_off().is_empty());
    assert_eq!(claim_or_offer(&bench, 9, at(2)).await.len(), 1);
}

#[tokio::test]
async fn a_claim_that_ran_out_is_due_for_whoever_looks() {
    let bench = offering(9).await;
    let id = bench.queued(1).await;
    assert_eq!(bench.store.handed_off().len(), 1);
    let end = at(0) + LEASE;
    let due = |now| bench.store.next_due(now);
    assert_eq!(due(at(1)).await.unwrap(), None, "it is in hand");
    assert_eq!(due(end).await.unwrap(), Some(at(0)));
    let claim = bench.store.claim_or_offer(offer(9, end), end).await;
    let claim = claim.unwrap().remove(0);
    assert_eq!((claim.event, claim.doubt.is_some()), (id, true));
}

#[tokio::test]
async fn what_waits_behind_a_retry_is_not_due_before_it() {
    let bench = Bench::open().await;
    bench.map(1, "tkt-1").await;
    let first = bench.store.record(message(1, at(0))).await.unwrap()[0].id;
    bench.store.record(message(1, at(2))).await.unwrap();
    let retry = Settlement::Retry {
        at: at(100),
        asked: false,
        counts: true,
        in_doubt: false,
        error: "later".to_owned(),
    };
    bench.settle(first, retry, at(3)).await;
    assert_eq!(bench.store.next_due(at(3)).await.unwrap(), Some(at(100)));
}

/// A webhook that was stamped by a clock which is an hour ahead of the worker's.
#[tokio::test]
async fn a_clock_that_was_set_makes_nothing_due_before_its_time() {
    let bench = Bench::open().await;
    let first = bench.queued(1).await;
    let retry = Settlement::Retry {
        at: at(1800),
        asked: false,
        counts: true,
        in_doubt: false,
        error: "later".to_owned(),
    };
    bench.settle(first, retry, at(1)).await;
    bench.map(2, "tkt-2").await;
    let held = bench.queued(3).await;
    assert_eq!(bench.claim(1, at(2)).await[0].event, held);
    let (recorded, claims) = tokio::join!(
        bench.store.record(webhook(2, at(3600))),
        bench.store.claim_or_offer(offer(9, at(2)), at(2)),
    );
    let (_, claims) = (recorded.unwrap(), claims.unwrap());
    assert!(
        claims.is_empty(),
        "neither the retry nor what is in hand: {claims:?}"
    );
    // What came too early for the worker's clock waits, and nobody is to overtake it.
    assert!(!bench.store.renew_hand_off(offer(9, at(2))));
}
