//! What is left in the store of an event that its sender took back.

use std::fs;

use serval_connect::domain::event::{Disposition, EventState, Rank};
use serval_connect::domain::ids::EventId;
use serval_connect::domain::reason::Reason;
use serval_connect::domain::report::Report;
use serval_connect::store::{Attempt, AttemptOutcome, Settlement, Webhook};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store::{Bench, LEASE, at, attempt, url, webhook};
use crate::support::{database, database_bytes, eventually, needs_a_file};

/// Words of the ticket, as Serval's answers quote them.
const QUOTED: &str = "invalid: the printer smokes";

/// The message `n` of the external ticket 1, or a report about it.
fn message(n: i64, report: Report) -> Webhook {
    let mut webhook = webhook(1, at(0));
    let event = &mut webhook.events[0];
    event.report = report;
    event.rank = Rank(0, -n);
    if report != Report::Message {
        event.disposition = Disposition::Ignore("deleted");
    }
    webhook
}

async fn record(bench: &Bench, webhook: Webhook) -> EventId {
    bench.store.record(webhook).await.unwrap()[0].id
}

fn quoting() -> Attempt {
    Attempt {
        answer: Some(QUOTED.to_owned()),
        ..attempt(AttemptOutcome::Dead)
    }
}

fn dead() -> Settlement {
    Settlement::Dead {
        reason: Reason::InvalidArgument,
        error: QUOTED.to_owned(),
        in_doubt: false,
    }
}

/// State and reason of an event.
async fn state(bench: &Bench, id: EventId) -> (EventState, Option<String>) {
    let row = bench.store.event(id).await.unwrap().unwrap().row;
    (row.state, row.reason)
}

fn skipped() -> (EventState, Option<String>) {
    (EventState::Skipped, Some("deleted".to_owned()))
}

#[tokio::test]
async fn answers_that_may_quote_a_message_go_with_it_whenever_it_is_deleted() {
    for (report, is_during_call) in [
        (Report::MessageDeletion, false),
        (Report::MessageDeletion, true),
        (Report::MessageEdit, false),
    ] {
        let bench = Bench::open().await;
        bench.map(1, "tkt-1").await;
        let id = record(&bench, message(5, Report::Message)).await;
        let claim = bench.claim(1, at(1)).await.remove(0);
        if is_during_call {
            record(&bench, message(5, report)).await;
        }
        let call = Some(quoting());
        let settled = bench.store.settle(&claim, call, dead(), at(2)).await;
        settled.unwrap();
        if !is_during_call {
            record(&bench, message(6, report)).await;
            let kept = bench.store.event(id).await.unwrap().unwrap();
            assert_eq!(kept.row.last_error.as_deref(), Some(QUOTED));
            assert_eq!(kept.attempts[0].answer.as_deref(), Some(QUOTED));
            record(&bench, message(5, report)).await;
        }
        let event = bench.store.event(id).await.unwrap().unwrap();
        assert_eq!(event.row.last_error, None, "{report:?} {is_during_call}");
        assert_eq!(event.attempts.len(), 1);
        assert_eq!(event.attempts[0].answer, None);
        bench.close().await;
    }
}

#[tokio::test]
async fn answers_outlive_the_body_but_not_the_deletion() {
    let bench = Bench::open().await;
    bench.map(1, "tkt-1").await;
    let id = record(&bench, message(5, Report::Message)).await;
    let claim = bench.claim(1, at(1)).await.remove(0);
    let call = Some(quoting());
    let settled = bench.store.settle(&claim, call, dead(), at(2)).await;
    settled.unwrap();
    let folder = bench.close().await;
    database::run(&url(&folder), "DELETE FROM payloads").await;
    let bench = Bench::open_in(folder).await;
    record(&bench, message(5, Report::MessageDeletion)).await;
    let event = bench.store.event(id).await.unwrap().unwrap();
    assert_eq!(
        (event.row.last_error, &event.attempts[0].answer),
        (None, &None)
    );
    bench.close().await;
}

#[tokio::test]
async fn after_a_kill_the_best_message_that_is_left_takes_the_place_of_a_deleted_one() {
    for is_killed in [false, true] {
        let mut bench = Bench::open().await;
        let first = record(&bench, message(5, Report::Message)).await;
        let second = record(&bench, message(6, Report::Message)).await;
        assert_eq!(bench.state(second).await, EventState::Skipped, "superseded");
        bench.map(1, "tkt-1").await;
        let claim = bench.claim(1, at(1)).await.remove(0);
        assert_eq!(claim.event, first);
        record(&bench, message(5, Report::MessageDeletion)).await;
        let mut now = at(1) + LEASE * 2;
        if is_killed {
            bench = Bench::open_in(bench.close().await).await;
            now = at(2);
        }
        assert!(bench.claim(9, now).await.is_empty());
        assert_eq!(state(&bench, first).await, skipped());
        let claims = bench.claim(9, now).await;
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0].event, second);
        bench.close().await;
    }
}

#[tokio::test]
async fn an_event_without_its_body_is_deleted_only_if_a_deletion_is_about_it() {
    let broken = (EventState::Dead, Some("broken_row".to_owned()));
    for (report, n, expected) in [
        (Report::MessageDeletion, 5, skipped()),
        (Report::MessageDeletion, 6, broken.clone()),
        (Report::MessageEdit, 5, broken.clone()),
        (Report::MessageEdit, 6, broken),
    ] {
        let bench = Bench::open().await;
        bench.map(1, "tkt-1").await;
        let id = record(&bench, message(5, Report::Message)).await;
        bench.claim(1, at(1)).await;
        record(&bench, message(n, report)).await;
        let folder = bench.close().await;
        database::run(&url(&folder), "DELETE FROM payloads").await;
        let bench = Bench::open_in(folder).await;
        assert!(bench.claim(9, at(2)).await.is_empty());
        assert_eq!(state(&bench, id).await, expected, "{report:?} {n}");
        bench.close().await;
    }
}

#[tokio::test]
async fn a_start_empties_the_log_of_a_process_that_was_killed_after_a_deletion() {
    needs_a_file!();
    let bench = Bench::open().await;
    record(&bench, message(5, Report::Message)).await;
    record(&bench, message(5, Report::MessageDeletion)).await;
    let word = message(5, Report::Message).body.to_vec();
    let is_there = |url: &str| database_bytes(url).windows(word.len()).any(|w| w == word);
    // The files as a kill leaves them.
    let killed = tempfile::tempdir().unwrap();
    let (from, to) = (url(&bench.folder), url(&killed));
    for end in ["", "-wal"] {
        let [from, to] = [&from, &to].map(|url| url.strip_prefix("sqlite://").unwrap());
        fs::copy(format!("{from}{end}"), format!("{to}{end}")).unwrap();
    }
    bench.close().await;
    assert!(is_there(&to));
    let bench = Bench::open_in(killed).await;
    let stop = CancellationToken::new();
    let mut keeper = JoinSet::new();
    let (store, until) = (bench.store.clone(), stop.clone());
    keeper.spawn(async move { store.keep_log_short(until).await });
    eventually("the words are gone from the log", async || {
        (!is_there(&to)).then_some(())
    })
    .await;
    stop.cancel();
    keeper.join_all().await;
    bench.close().await;
}

#[tokio::test]
async fn what_is_sent_in_place_of_a_deleted_message_says_so_and_a_dead_one_is_left_alone() {
    let with = |state, reason: &str| (state, Some(reason.to_owned()));
    let bench = Bench::open().await;
    let first = record(&bench, message(1, Report::Message)).await;
    let second = record(&bench, message(2, Report::Message)).await;
    bench.map(1, "tkt-1").await;
    let waits = with(EventState::Queued, "mapped");
    assert_eq!(state(&bench, first).await, waits);
    record(&bench, message(1, Report::MessageDeletion)).await;
    let stands_in = with(EventState::Queued, "stands_in");
    assert_eq!(state(&bench, second).await, stands_in);
    bench.close().await;

    let bench = Bench::open().await;
    bench.map(1, "tkt-1").await;
    let first = record(&bench, message(1, Report::Message)).await;
    bench.settle(first, dead(), at(2)).await;
    let given_up = with(EventState::Dead, "invalid_argument");
    assert_eq!(state(&bench, first).await, given_up);
    let second = record(&bench, message(2, Report::Message)).await;
    record(&bench, message(2, Report::MessageDeletion)).await;
    assert_eq!(state(&bench, second).await, skipped());
    assert_eq!(state(&bench, first).await, given_up);
    // A mapping does move it.
    bench.map(1, "tkt-2").await;
    assert_eq!(state(&bench, first).await, waits);
    bench.close().await;
}
