//! What ends by time, and what does not.

use serval_connect::domain::event::{Disposition, EventState};
use serval_connect::domain::ids::EventId;
use serval_connect::domain::reason::Reason;
use serval_connect::store::{AttemptOutcome, EventFilter, Replay, Settlement, Store};

use crate::store::{Bench, at, attempt, ticket, url, webhook};
use crate::support::bodies::{incident, sys_id};
use crate::support::{TestApp, database, eventually};

const DAY: i64 = 86_400;

/// Walks to the end; answers how many were deleted, and in how many steps.
async fn purge(store: &Store, payloads: bool, before: i64) -> (usize, usize) {
    let (mut deleted, mut steps, mut after) = (0, 0, EventId(0));
    loop {
        let step = if payloads {
            store.purge_payloads(at(before), after).await.unwrap()
        } else {
            store.purge_events(at(before), after).await.unwrap()
        };
        deleted += step.deleted;
        steps += 1;
        match step.next {
            Some(next) => after = next,
            None => return (deleted, steps),
        }
    }
}

/// An event that is finished from the start.
async fn skipped(bench: &Bench, n: u32, second: i64) -> EventId {
    let mut webhook = webhook(n, at(second));
    webhook.events[0].disposition = Disposition::Skip(Reason::Echo);
    webhook.events[0].delivery_key = Some(format!("wh:{n}"));
    bench.store.record(webhook).await.unwrap()[0].id
}

async fn count(url: &str, table: &str) -> i64 {
    database::value(url, format!("SELECT COUNT(*) FROM {table}")).await
}

#[tokio::test]
async fn finished_events_lose_their_body_and_then_go_in_small_steps() {
    let folder = tempfile::tempdir().unwrap();
    let url = url(&folder);
    let bench = Bench::open_in(folder).await;
    for n in 1..=450 {
        skipped(&bench, n, 0).await;
    }
    let parked = bench.store.record(webhook(1001, at(0))).await.unwrap()[0].id;
    let queued = bench.queued(1002).await;
    let young = skipped(&bench, 1003, 20 * DAY).await;

    assert_eq!(purge(&bench.store, true, -DAY).await, (0, 1));
    assert_eq!(purge(&bench.store, true, 10 * DAY).await, (450, 3));
    assert_eq!(count(&url, "payloads").await, 3);
    assert_eq!(count(&url, "events").await, 453);
    assert_eq!(purge(&bench.store, true, 10 * DAY).await, (0, 1));

    assert_eq!(purge(&bench.store, false, 10 * DAY).await, (450, 3));
    let left = bench
        .store
        .events(&EventFilter {
            limit: 10,
            ..EventFilter::default()
        })
        .await;
    let left: Vec<EventId> = left.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(left, [young, queued, parked]);
    let counts = bench.store.levels(at(0)).await.unwrap().counts;
    let numbers: Vec<_> = counts.iter().map(|(_, state, n)| (*state, *n)).collect();
    assert_eq!(
        numbers,
        [
            (EventState::Parked, 1),
            (EventState::Queued, 1),
            (EventState::Skipped, 1)
        ]
    );
    assert_eq!(count(&url, "mappings").await, 1);

    // An id that is gone is not given to another event, and the delivery is new again.
    assert_eq!(purge(&bench.store, false, 30 * DAY).await.0, 1);
    let bench = Bench::open_in(bench.close().await).await;
    let again = skipped(&bench, 1003, 40 * DAY).await;
    assert!(again > young, "{again} after {young}");
    bench.close().await;
}

#[tokio::test]
async fn what_changed_late_stays_for_its_time_and_takes_its_history_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = url(&folder);
    let bench = Bench::open_in(folder).await;
    let id = bench.queued(1).await;
    let claim = bench.claim(1, at(15 * DAY)).await.remove(0);
    // In hand, it is not touched, whatever its age.
    assert_eq!(purge(&bench.store, false, 99 * DAY).await.0, 0);
    let settlement = Settlement::Connected {
        ticket_id: "tkt-1".parse().unwrap(),
        reason: None,
        reconnects: false,
    };
    let attempt = attempt(AttemptOutcome::Connected);
    let settled = bench
        .store
        .settle(&claim, Some(attempt), settlement, at(15 * DAY))
        .await;
    settled.unwrap();
    assert_eq!(purge(&bench.store, false, 10 * DAY).await.0, 0);
    assert_eq!(bench.state(id).await, EventState::Connected);
    assert_eq!(purge(&bench.store, false, 16 * DAY).await.0, 1);
    for (table, rows) in [
        ("events", 0),
        ("payloads", 0),
        ("attempts", 0),
        ("changes", 0),
        ("mappings", 1),
        ("connections", 1),
    ] {
        assert_eq!(count(&url, table).await, rows, "{table}");
    }
    // The pair is known all the same.
    let next = bench
        .store
        .record(webhook(1, at(17 * DAY)))
        .await
        .unwrap()
        .remove(0);
    assert_eq!(next.reason.as_deref(), Some("already_connected"));
    bench.close().await;
}

#[tokio::test]
async fn an_event_without_its_body_is_not_replayed() {
    let bench = Bench::open().await;
    let id = bench.store.record(webhook(1, at(0))).await.unwrap()[0].id;
    let expired = bench.store.expire_parked(at(DAY)).await.unwrap();
    assert_eq!((expired.events, expired.named), (1, 0));
    assert_eq!(purge(&bench.store, true, 30 * DAY).await.0, 1);
    let replay = bench
        .store
        .replay(id, "replayed".to_owned(), at(31 * DAY))
        .await;
    assert!(matches!(replay.unwrap(), Some(Replay::Refused(_))));
    assert_eq!(
        bench.state(id).await,
        EventState::Expired,
        "there is nothing to send"
    );
    let filter = EventFilter {
        limit: 10,
        ..EventFilter::default()
    };
    let replayed = bench
        .store
        .replay_many(filter, "replayed".to_owned(), at(31 * DAY))
        .await;
    assert_eq!(replayed.unwrap(), 0);
    // A mapping finds nothing to send either, and waits for the next event.
    bench.map(1, "tkt-1").await;
    assert_eq!(bench.state(id).await, EventState::Expired);
    let stored = bench.store.mapping(&ticket(1)).await.unwrap().unwrap();
    assert_eq!(stored.connected_at, None);
    bench.close().await;
}

#[tokio::test]
async fn the_daemon_deletes_what_is_over_when_it_starts() {
    let mut app = TestApp::builder()
        .config("[retention]\npayloads = '1h'\nevents = '2d'")
        .start()
        .await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.admin.map("servicenow", &sys_id(2), "tkt-2").await;
    let old = app.webhooks.servicenow(incident(1)).send().await.id();
    let bare = app.webhooks.servicenow(incident(2)).send().await.id();
    for id in [&old, &bare] {
        app.admin.wait_for_state(id, "connected").await;
    }
    for (n, hours) in [(1, 49), (2, 2)] {
        let (id, ms) = (sys_id(n), hours * 3_600_000_i64);
        let age = format!(
            "UPDATE events SET received_at = received_at - {ms}, updated_at = updated_at - {ms}
             WHERE external IN (SELECT id FROM external_tickets WHERE external_id = '{id}')"
        );
        database::run(&app.database_url(), age).await;
    }
    app.restart().await;
    eventually("the end of the old event", async || {
        let gone = app.admin.get(&format!("/events/{old}")).await.status == 404;
        let bare = app.admin.event(&bare).await;
        (gone && bare["body"].is_null() && bare["state"] == "connected").then_some(())
    })
    .await;
    let answer = app
        .admin
        .get(&format!("/mappings/servicenow/{}", sys_id(1)))
        .await;
    assert!(answer.json()["connected_at"].is_string());
    app.stop().await;
}
