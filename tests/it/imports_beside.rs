//! Imports beside what else happens: damaged events, other writers of mappings, waiting unlinks.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use serval_connect::domain::event::EventState;
use serval_connect::store::{
    AttemptOutcome, MayUnlink, Origin, Precondition, PutMapping, Removal, Store,
};
use tokio_util::sync::CancellationToken;

use crate::store::{
    Bench, LEASE, at, attempt, connected, open_after_others, take_over, ticket, url,
};
use crate::store_imports::{decided, row};
use crate::support::bodies::{incident, sys_id};
use crate::support::{TestApp, database, eventually};

async fn alter(bench: &Bench, statement: String) {
    database::run(&url(&bench.folder), statement).await;
}

#[tokio::test]
async fn a_damaged_event_stops_no_import_and_no_call() {
    // Events that stand for their records, and events that are found among those of a thread.
    for newest in ["newest", "NULL"] {
        let bench = Bench::open().await;
        let damaged = bench.record(1).await.id;
        let parked = bench.record(2).await.id;
        let id = damaged.0;
        alter(
            &bench,
            format!("UPDATE events SET state = 'park' WHERE id = {id}"),
        )
        .await;
        alter(
            &bench,
            format!("UPDATE external_tickets SET newest = {newest}"),
        )
        .await;
        let import = bench.store.begin_import().await.unwrap();
        let rows = [row(1, "tkt-1"), row(2, "tkt-2")];
        import.stage(&rows).await.unwrap();
        let imported = import.apply(&[], at(1)).await;
        assert_eq!(imported.unwrap().unwrap().created, 2, "{newest}");
        assert!(bench.store.stuck_import().is_none());
        let claims = bench.claim(9, at(2)).await;
        let claimed: Vec<_> = claims.iter().map(|claim| claim.event).collect();
        assert_eq!(claimed, [parked], "{newest}");
        assert!(bench.store.mapping(&ticket(1)).await.unwrap().is_some());
        // The damage is where it was.
        let still =
            format!("UPDATE events SET state = 'parked' WHERE id = {id} AND state = 'park'");
        alter(&bench, still).await;
        assert_eq!(bench.state(damaged).await, EventState::Parked);
        bench.close().await;
    }
}

#[tokio::test]
async fn an_import_that_cannot_be_written_further_is_named_in_readyz_until_it_can() {
    let app = TestApp::start().await;
    let parked = app.webhooks.servicenow(incident(1)).send().await.id();
    let url = app.database_url();
    database::refuse(&url, "DELETE ON import_rows", "TRUE").await;
    let answer = app
        .admin
        .import(&format!("servicenow,{},tkt-1\n", sys_id(1)))
        .await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let ready = app.admin.readyz().await;
    assert_eq!(ready.status, 503);
    let said = ready.text();
    assert!(
        said.contains("import of mappings cannot be written further"),
        "{said}"
    );
    assert!(said.contains("refused by a test"), "{said}");
    database::refuse_no_more(&url, "import_rows").await;
    app.admin.wait_for_state(&parked, "connected").await;
    assert_eq!(app.admin.readyz().await.status, 200);
    app.stop().await;
}

/// Polls a future once.
async fn begin<F: Future>(future: F) {
    let mut future = pin!(future);
    let polled = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
    assert!(polled.await.is_pending());
}

#[tokio::test]
async fn a_mapping_whose_writer_gave_up_is_still_checked_by_the_next_import() {
    let folder = tempfile::tempdir().unwrap();
    let (store, writer) = Store::open(&url(&folder), at(0)).await.unwrap();
    let stop = CancellationToken::new();
    // Runs only where the test says so.
    let mut writing = pin!(writer.run(stop.clone()));
    let import = tokio::select! {
        () = &mut writing => unreachable!("it was not stopped"),
        import = store.begin_import() => import.unwrap(),
    };
    let rows = [row(1, "shared")];
    tokio::select! {
        () = &mut writing => unreachable!("it was not stopped"),
        staged = import.stage(&rows) => assert!(staged.unwrap().is_empty()),
    }
    let put = PutMapping {
        disconnects_others: false,
        ticket: ticket(2),
        ticket_id: "shared".parse().unwrap(),
        accounted_for: Vec::new(),
        origin: Origin::Api,
        taught_by: None,
        unlinks_old: false,
        several_per_ticket: false,
        reconnects: false,
    };
    // The job is in the writer's queue, and nobody waits for its end.
    begin(store.put_mapping(put, Precondition::None, at(1))).await;
    let sources = [ticket(1).source];
    let other = ticket(2);
    let mut applying = pin!(import.apply(&sources, at(2)));
    // Readers answer in turn: an import that did not wait would have read what it checks by then.
    for _ in 0..50 {
        tokio::select! {
            biased;
            early = &mut applying => panic!("not before the mapping is written: {early:?}"),
            read = store.mapping(&other) => assert!(read.unwrap().is_none()),
        }
    }
    let taken = tokio::select! {
        () = &mut writing => unreachable!("it was not stopped"),
        applied = applying => applied.unwrap().unwrap_err(),
    };
    assert_eq!(taken.len(), 1, "{taken:?}");
    stop.cancel();
    writing.await;
}

#[tokio::test]
async fn nothing_is_unlinked_from_a_part_of_an_import() {
    let bench = Bench::open().await;
    bench.queued(1).await;
    let claim = bench.claim(9, at(1)).await.remove(0);
    let tried = Some(attempt(AttemptOutcome::Connected));
    let settled = bench.store.settle(&claim, tried, connected(&claim), at(1));
    settled.await.unwrap();
    let removed = bench
        .store
        .delete_mapping(&ticket(1), Precondition::None, Removal::Unlink, at(2))
        .await;
    assert!(removed.unwrap().unwrap());
    let before = bench.store.next_unlink(at(100), LEASE).await.unwrap();
    let before = before.expect("the pair is unlinked");
    // The import wants the pair.
    let folder = decided(bench, &[row(1, "tkt-1")]).await;
    let (store, writer) = open_after_others(&url(&folder), at(10)).await.unwrap();
    let next = store.next_unlink(at(100), LEASE).await.unwrap();
    assert!(next.is_none(), "{next:?}");
    let may = store.may_unlink(before.id, None, LEASE).await.unwrap();
    assert_eq!(may, MayUnlink::Later);
    let stop = CancellationToken::new();
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    let writing = tokio::spawn(writer.run(stop.clone()));
    take_over(&store).await;
    eventually("the import is written", async || {
        let may = store.may_unlink(before.id, None, LEASE).await.unwrap();
        (may == MayUnlink::Withdrawn).then_some(())
    })
    .await;
    stop.cancel();
    writing.await.unwrap();
}
