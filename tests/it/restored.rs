//! A database that is a backup: what was done since is looked up before it is done again.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{Endpoint, MockConfig, MockServal, Repeat};
use serval_connect::store::{
    Origin, Precondition, PutMapping, Settlement, Store, back_up, restore,
};

use crate::backup::{lose, with_file};
use crate::store::{Bench, at, ticket, url};
use crate::support::bodies::{incident, sys_id};
use crate::support::{Daemon, Settings, eventually, needs_a_file};

async fn map(daemon: &Daemon, n: u32) {
    let to = format!("tkt_{n}");
    daemon.admin.map("servicenow", &sys_id(n), &to).await;
}

async fn save(daemon: &Daemon, n: u32) -> String {
    let answer = daemon.webhooks.servicenow(incident(n)).send().await;
    answer.id()
}

/// Two incidents are queued at the backup, the third is parked, the fourth only mapped, the fifth unknown.
/// All are connected after it. Then the database is lost, and the backup takes its place.
async fn connects_nothing_twice(repeat: Repeat, with_command: bool) {
    let mock = MockServal::start(MockConfig {
        repeat,
        ..MockConfig::default()
    })
    .await
    .unwrap();
    let mut daemon = Daemon::start(&mock, &Settings::default()).await;
    daemon.admin.post("/connects/pause", &Value::Null).await;
    let mut events = Vec::new();
    for n in 1..=3 {
        events.push(save(&daemon, n).await);
    }
    for n in [1, 2, 4] {
        map(&daemon, n).await;
    }
    let copy = daemon.folder().join("copy.db");
    let (code, said) = with_file(&daemon, "backup", &copy).await;
    assert_eq!(code, Some(0), "{said}");
    for n in [3, 5] {
        map(&daemon, n).await;
    }
    for n in [4, 5] {
        save(&daemon, n).await;
    }
    daemon.admin.post("/connects/resume", &Value::Null).await;
    daemon.admin.drained().await;
    assert_eq!(mock.links().len(), 5);

    daemon.kill().await;
    let database = daemon.folder().join("data/inbox.db");
    lose(&database);
    if with_command {
        let (code, said) = with_file(&daemon, "restore", &copy).await;
        assert_eq!(code, Some(0), "{said}");
    } else {
        fs::copy(&copy, &database).unwrap();
    }
    daemon.start_again().await;
    daemon.admin.post("/connects/resume", &Value::Null).await;
    for n in [3, 5] {
        map(&daemon, n).await;
    }
    for n in [4, 5] {
        events.push(save(&daemon, n).await);
    }
    daemon.admin.drained().await;
    for id in &events {
        let event = daemon.admin.event(id).await;
        let end = (&event["state"], &event["reason"]);
        assert_eq!(end, (&json!("connected"), &json!("already_linked")));
    }
    assert_eq!(mock.look(|journal| journal.connect_count), 5);
    assert_eq!(
        mock.look(|journal| journal.requests_to(Endpoint::ExternalTickets)),
        5
    );
    // The mark is taken off once. What is connected since the restore is no longer asked about.
    daemon.terminate().await;
    assert!(daemon.ended().await.success());
    daemon.start_again().await;
    save(&daemon, 1).await;
    daemon.admin.drained().await;
    assert_eq!(mock.look(|journal| journal.connect_count), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_nothing_is_connected_twice() {
    needs_a_file!();
    connects_nothing_twice(Repeat::Accepted, true).await;
    connects_nothing_twice(Repeat::Conflict, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_was_copied_into_place_is_recognised() {
    needs_a_file!();
    connects_nothing_twice(Repeat::Accepted, false).await;
}

#[tokio::test]
async fn the_first_start_from_a_backup_asks_for_a_month_and_unlinks_nothing() {
    needs_a_file!();
    let mut folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let bench = Bench::open().await;
    let event = bench.queued(1).await;
    let connected = Settlement::Connected {
        ticket_id: "tkt-1".parse().unwrap(),
        reason: None,
        reconnects: false,
    };
    bench.settle(event, connected, at(1)).await;
    let put = PutMapping {
        disconnects_others: false,
        ticket: ticket(1),
        ticket_id: "tkt-2".parse().unwrap(),
        accounted_for: Vec::new(),
        origin: Origin::Api,
        taught_by: None,
        unlinks_old: true,
        several_per_ticket: true,
        reconnects: false,
    };
    let put = bench.store.put_mapping(put, Precondition::None, at(2));
    put.await.unwrap().unwrap();
    let waits = async |store: &Store| {
        let next = store.next_unlink(at(9_999), Duration::from_secs(1)).await;
        next.unwrap().is_some()
    };
    assert!(!bench.store.was_restored());
    assert!(waits(&bench.store).await);
    let lost = bench.close().await;
    back_up(&url(&lost), &copy).await.unwrap();
    restore(&url(&folder), &copy).await.unwrap();
    // A pause makes nothing older, however long. What counts are the days in which the daemon is up.
    for (days, was_restored) in [(0, true), (1, true), (31, true), (60, true)] {
        let now = at(days * 24 * 3600);
        // A child that another test starts at this moment may still have the lock of the last turn.
        let open = async || Store::open(&url(&folder), now).await.ok();
        let (store, writer) = eventually("the lock of the database", open).await;
        assert_eq!(store.was_restored(), was_restored, "after {days} days");
        assert!(!waits(&store).await, "after {days} days");
        drop((store, writer));
    }
    for (days, is_still_restored) in [(29, true), (31, false)] {
        let bench = Bench::open_at(folder, at(60 * 24 * 3600)).await;
        let then = at((60 + days) * 24 * 3600);
        bench.store.beat(then).await.unwrap();
        folder = bench.close().await;
        let (store, _writer) = Store::open(&url(&folder), then).await.unwrap();
        assert_eq!(store.was_restored(), is_still_restored, "{days} days up");
    }
    // The database that was not lost goes on as it was.
    let (store, _writer) = Store::open(&url(&lost), at(2)).await.unwrap();
    assert!(!store.was_restored() && waits(&store).await);
}

#[tokio::test]
async fn every_event_of_a_backup_that_may_still_be_sent_is_in_doubt() {
    needs_a_file!();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let bench = Bench::open().await;
    let expired = bench.record(1).await.id;
    bench.store.expire_parked(at(99_999_999)).await.unwrap();
    let parked = bench.record(2).await.id;
    let dead = bench.dead(3, "not_found").await;
    let queued = bench.queued(4).await;
    let lost = bench.close().await;
    back_up(&url(&lost), &copy).await.unwrap();
    restore(&url(&folder), &copy).await.unwrap();

    for (folder, in_doubt) in [(folder, true), (lost, false)] {
        let bench = Bench::open_in(folder).await;
        bench.map_all(2).await;
        for id in [expired, dead] {
            let reason = "mended".to_owned();
            bench.store.replay(id, reason, at(2)).await.unwrap();
        }
        let fresh = bench.queued(5).await;
        let mut claims = bench.claim(100, at(3)).await;
        claims.sort_by_key(|claim| claim.event.0);
        let found: Vec<_> = claims
            .iter()
            .map(|c| (c.event, c.doubt.is_some()))
            .collect();
        let of_backup = [expired, parked, dead, queued].map(|id| (id, in_doubt));
        assert_eq!(found, [&of_backup[..], &[(fresh, false)]].concat());
        bench.close().await;
    }
}
