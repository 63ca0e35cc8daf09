//! Replays in the store: which event of an external ticket is sent, and what is left for a person.

use std::time::Duration;

use bytes::Bytes;
use serval_connect::domain::event::{Disposition, EventState, NewEvent, Rank};
use serval_connect::domain::ids::EventId;
use serval_connect::domain::reason::Reason;
use serval_connect::domain::report::Report;
use serval_connect::store::{EventFilter, Replay, Settlement, Webhook};

use crate::store::{Bench, at, url, webhook};
use crate::support::database;

const PARKED_FOR: Duration = Duration::from_mins(1);

/// The save numbered `count` of the record.
fn save(count: i64) -> Webhook {
    let mut webhook = webhook(1, at(0));
    webhook.events[0].rank = Rank(0, count);
    webhook
}

/// The message `n` of the thread.
fn message(n: i64) -> Webhook {
    let mut webhook = webhook(1, at(0));
    webhook.events[0].report = Report::Message;
    webhook.events[0].rank = Rank(-n, -n);
    webhook
}

fn set_aside(mut webhook: Webhook) -> Webhook {
    webhook.events[0].disposition = Disposition::SetAside("out_of_scope");
    webhook
}

async fn record(bench: &Bench, webhook: Webhook) -> EventId {
    bench.store.record(webhook).await.unwrap()[0].id
}

/// Stores the event, and gives up its call.
async fn dead(bench: &Bench, webhook: Webhook, reason: Reason) -> EventId {
    let id = record(bench, webhook).await;
    let dead = Settlement::Dead {
        reason,
        error: "no".to_owned(),
        in_doubt: false,
    };
    bench.settle(id, dead, at(1)).await;
    assert_eq!(bench.state(id).await, EventState::Dead);
    id
}

async fn replay(bench: &Bench, id: EventId) -> Replay {
    let replay = bench.store.replay(id, "replayed".to_owned(), at(5));
    replay.await.unwrap().unwrap()
}

/// Replays the ignored event as what its source would read in it now.
async fn replay_as(bench: &Bench, id: EventId, read: NewEvent) -> Replay {
    let stored = bench.store.set_aside(id).await.unwrap().unwrap();
    let read = stored.read_as(read, PARKED_FOR);
    let replay = bench
        .store
        .replay_as(id, read, "replayed".to_owned(), at(5));
    replay.await.unwrap().unwrap()
}

async fn replay_dead(bench: &Bench, reason: Option<Reason>) -> u64 {
    let filter = EventFilter {
        state: Some(EventState::Dead),
        reason: reason.map(|reason| reason.as_str().to_owned()),
        limit: 100,
        ..EventFilter::default()
    };
    let replayed = bench
        .store
        .replay_many(filter, "replayed".to_owned(), at(5));
    replayed.await.unwrap()
}

async fn states(bench: &Bench, ids: [EventId; 2]) -> [EventState; 2] {
    [bench.state(ids[0]).await, bench.state(ids[1]).await]
}

async fn alter(bench: &Bench, statement: String) {
    database::run(&url(&bench.folder), statement).await;
}

#[tokio::test]
async fn a_replay_of_a_save_queues_the_newest_one_that_was_given_up_too() {
    use EventState::{Dead, Queued, Skipped};
    let (refused, gave_up) = (Reason::InvalidArgument, Reason::GaveUp);
    // How it is replayed; the answer or the number; what becomes of both.
    for many in [None, Some(None), Some(Some(refused)), Some(Some(gave_up))] {
        let bench = Bench::open().await;
        bench.map(1, "tkt-1").await;
        let older = dead(&bench, save(1), refused).await;
        let newer = dead(&bench, save(2), gave_up).await;
        if let Some(reason) = many {
            assert_eq!(replay_dead(&bench, reason).await, 1, "{reason:?}");
        } else {
            assert_eq!(replay(&bench, older).await, Replay::NewerQueued);
        }
        let left = if many == Some(Some(gave_up)) {
            Dead
        } else {
            Skipped
        };
        assert_eq!(
            states(&bench, [older, newer]).await,
            [left, Queued],
            "{many:?}"
        );
        let claims = bench.claim(9, at(6)).await;
        let claimed: Vec<EventId> = claims.iter().map(|claim| claim.event).collect();
        assert_eq!(claimed, [newer], "{many:?}");
        bench.close().await;
    }
}

#[tokio::test]
async fn a_replay_of_a_save_queues_nothing_where_serval_gets_a_newer_one_or_none_is_left() {
    for is_newer_dead in [false, true] {
        let bench = Bench::open().await;
        bench.map(1, "tkt-1").await;
        let reason = Reason::InvalidArgument;
        let older = dead(&bench, save(1), reason).await;
        let (newer, left) = if is_newer_dead {
            let newer = dead(&bench, save(2), Reason::GaveUp).await;
            alter(
                &bench,
                format!("DELETE FROM payloads WHERE event_id = {}", newer.0),
            )
            .await;
            (newer, EventState::Dead)
        } else {
            let newer = record(&bench, save(2)).await;
            (newer, EventState::Skipped)
        };
        assert_eq!(replay_dead(&bench, Some(reason)).await, 0);
        assert_eq!(bench.state(older).await, left);
        if is_newer_dead {
            assert!(matches!(replay(&bench, older).await, Replay::Refused(_)));
        } else {
            assert_eq!(bench.state(newer).await, EventState::Queued);
        }
        bench.close().await;
    }
}

#[tokio::test]
async fn a_replay_of_an_expired_or_ignored_save_queues_the_newest_one_that_was_given_up() {
    for is_ignored in [false, true] {
        let bench = Bench::open().await;
        let older = if is_ignored {
            set_aside(save(1))
        } else {
            save(1)
        };
        let older = record(&bench, older).await;
        bench.store.expire_parked(at(100)).await.unwrap();
        let newer = record(&bench, save(2)).await;
        bench.store.expire_parked(at(100)).await.unwrap();
        let replay = if is_ignored {
            replay_as(&bench, older, save(1).events.remove(0)).await
        } else {
            replay(&bench, older).await
        };
        assert_eq!(replay, Replay::NewerQueued, "{is_ignored}");
        let expected = [EventState::Skipped, EventState::Queued];
        assert_eq!(
            states(&bench, [older, newer]).await,
            expected,
            "{is_ignored}"
        );
        bench.close().await;
    }
}

#[tokio::test]
async fn a_message_that_is_replayed_is_sent_if_the_one_before_it_was_given_up() {
    let bench = Bench::open().await;
    bench.map(1, "tkt-1").await;
    let first = dead(&bench, message(1), Reason::InvalidArgument).await;
    let ignored = record(&bench, set_aside(message(2))).await;
    let read = message(2).events.remove(0);
    assert_eq!(replay_as(&bench, ignored, read).await, Replay::Queued);
    let expected = [EventState::Dead, EventState::Queued];
    assert_eq!(states(&bench, [first, ignored]).await, expected);
    bench.close().await;
}

#[tokio::test]
async fn of_two_replays_that_read_the_same_edit_only_one_cuts_its_body() {
    let bench = Bench::open().await;
    let body = Bytes::from_static(br#"{"was":{"text":"old"},"now":{"text":"new"}}"#);
    let now = 28..body.len() - 1;
    let mut edit = set_aside(message(1));
    edit.events[0].object = 0..body.len();
    edit.body = body.clone();
    let id = record(&bench, edit).await;
    let mut read = message(1).events.remove(0);
    read.report = Report::MessageEdit;
    read.disposition = Disposition::Ignore("edited");
    read.object = now.clone();
    let stored = bench.store.set_aside(id).await.unwrap().unwrap();
    for expected in [Replay::Applied, Replay::NotReplayable(EventState::Ignored)] {
        let read = stored.read_as(read.clone(), PARKED_FOR);
        let replay = bench
            .store
            .replay_as(id, read, "replayed".to_owned(), at(5));
        assert_eq!(replay.await.unwrap(), Some(expected));
        let event = bench.store.event(id).await.unwrap().unwrap();
        assert_eq!(event.row.state, EventState::Ignored);
        let kept = event.payload.unwrap();
        assert_eq!(kept.object(), body[now.clone()], "{expected:?}");
        assert_eq!(kept.bytes, &br#"{"text":"new"}"#[..], "{expected:?}");
    }
    bench.close().await;
}
