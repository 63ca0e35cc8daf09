//! Imports in the store: written in steps, between which webhooks are stored, and whole whatever comes between.

use std::sync::atomic::{AtomicBool, Ordering};

use serval_connect::domain::event::EventState;
use serval_connect::store::{
    AttemptOutcome, ClaimScope, Decision, ImportRow, Imported, Mapping, MappingFilter, Origin,
    Precondition, PutMapping, Removal, Settlement, Store, StoreError,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::store::{
    Bench, LEASE, at, attempt, connected, open_after_others, take_over, ticket, url, webhook,
};
use crate::support::{Database, database, needs_a_file};

/// More rows than fit into two steps, however fast the machine is.
const MANY: u32 = 2_500;

pub(crate) fn row(n: u32, ticket_id: &str) -> ImportRow {
    ImportRow {
        line: u64::from(n) + 1,
        ticket: ticket(n),
        ticket_id: ticket_id.parse().unwrap(),
        accounted_for: Vec::new(),
        unlinks_old: true,
        reconnects: false,
    }
}

fn rows(many: u32, tickets: &str) -> Vec<ImportRow> {
    let row = |n| row(n, &format!("{tickets}-{n}"));
    (1..=many).map(row).collect()
}

async fn count(reader: &mut Database, table: &str) -> i64 {
    reader.value(format!("SELECT COUNT(*) FROM {table}")).await
}

async fn staged_rows(folder: &TempDir) -> i64 {
    database::value(&url(folder), "SELECT COUNT(*) FROM import_rows").await
}

/// Stages an import and leaves it as a kill right after its decision does.
pub(crate) async fn decided(bench: Bench, rows: &[ImportRow]) -> TempDir {
    let import = bench.store.begin_import().await.unwrap();
    import.stage(rows).await.unwrap();
    drop(import);
    let folder = bench.close().await;
    let decide = "INSERT INTO imports SELECT MAX(import_id), 0 FROM import_rows";
    database::run(&url(&folder), decide).await;
    folder
}

/// The store of a new process, whose writer runs when `meanwhile` has asked for something.
async fn go_on<T: Send + 'static>(
    folder: TempDir,
    meanwhile: impl AsyncFnOnce(&Store) -> T,
) -> (T, TempDir) {
    let (store, writer) = open_after_others(&url(&folder), at(10)).await.unwrap();
    let stop = CancellationToken::new();
    let mut writing = tokio::task::JoinSet::new();
    let until = stop.clone();
    let asked = async {
        let asked = meanwhile(&store).await;
        // Nobody writes a mapping before the import is whole.
        let none = ticket(0);
        let after = async || {
            store
                .delete_mapping(&none, Precondition::None, Removal::KeepLink, at(11))
                .await
        };
        assert!(!patiently(&store, after).await.unwrap());
        asked
    };
    let start = async {
        // What `asked` sends is in the writer's queue by now.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        writing.spawn(writer.run(until));
    };
    let (asked, ()) = tokio::join!(asked, start);
    stop.cancel();
    writing.join_all().await;
    drop(store);
    (asked, folder)
}

/// Asks until no import is in the way. A process takes it over while nobody asks.
async fn patiently<T>(store: &Store, ask: impl AsyncFn() -> Result<T, StoreError>) -> T {
    loop {
        match ask().await {
            Err(StoreError::Importing) => take_over(store).await,
            answer => return answer.unwrap(),
        }
    }
}

async fn mappings(store: &Store) -> Vec<Mapping> {
    let filter = MappingFilter {
        source: Some(ticket(1).source),
        limit: 10_000,
        ..MappingFilter::default()
    };
    store.mappings(&filter).await.unwrap()
}

fn put(n: u32, ticket_id: &str) -> PutMapping {
    PutMapping {
        disconnects_others: false,
        ticket: ticket(n),
        ticket_id: ticket_id.parse().unwrap(),
        accounted_for: Vec::new(),
        origin: Origin::Api,
        taught_by: None,
        unlinks_old: false,
        several_per_ticket: true,
        reconnects: false,
    }
}

#[tokio::test]
async fn webhooks_are_acknowledged_between_the_steps_of_an_import() {
    let bench = Bench::open().await;
    let import = bench.store.begin_import().await.unwrap();
    for batch in rows(10_000, "tkt").chunks(1_000) {
        import.stage(batch).await.unwrap();
    }
    let mut reader = Database::open(&url(&bench.folder)).await;
    let is_over = AtomicBool::new(false);
    let importing = async {
        let imported = import.apply(&[], at(1)).await.unwrap().unwrap();
        is_over.store(true, Ordering::SeqCst);
        imported
    };
    let webhooks = async {
        let mut seen = Vec::new();
        let mut n = 100_000;
        while !is_over.load(Ordering::SeqCst) {
            n += 1;
            bench.store.record(webhook(n, at(1))).await.unwrap();
            let left = count(&mut reader, "import_rows").await;
            if left > 0 && left < 10_000 {
                seen.push(left);
            }
        }
        seen.dedup();
        seen
    };
    let (imported, seen) = tokio::join!(importing, webhooks);
    let expected = Imported {
        still_connected: 0,
        created: 10_000,
        replaced: 0,
    };
    assert_eq!(imported, expected);
    assert!(
        seen.len() > 2,
        "acknowledged after these rows were left: {seen:?}"
    );
    assert_eq!(mappings(&bench.store).await.len(), 10_000);
    reader.close().await;
    assert_eq!(staged_rows(&bench.close().await).await, 0);
}

#[tokio::test]
async fn a_start_writes_what_was_decided_and_claims_nothing_before_that_is_whole() {
    needs_a_file!();
    let bench = Bench::open().await;
    let queued = bench.queued(1).await;
    let parked = bench.record(MANY).await;
    assert_eq!(parked.state, EventState::Parked);
    let folder = decided(bench, &rows(MANY, "new")).await;
    let (claims, folder) = go_on(folder, async |store| {
        store
            .claim(ClaimScope::Due, 9, at(12), LEASE)
            .await
            .unwrap()
    })
    .await;
    assert_eq!(claims.len(), 0, "nobody acts on a part of an import");
    let bench = Bench::open_at(folder, at(12)).await;
    let written = mappings(&bench.store).await;
    assert_eq!(written.len(), MANY as usize);
    assert!(written.iter().all(|m| m.ticket_id.starts_with("new-")));
    let mut claims = bench.claim(9, at(13)).await;
    claims.sort_by_key(|claim| claim.event.0);
    let claimed: Vec<_> = claims
        .iter()
        .map(|claim| (claim.event, claim.mapped_to.as_ref().unwrap().as_str()))
        .collect();
    let last = format!("new-{MANY}");
    assert_eq!(claimed, [(queued, "new-1"), (parked.id, last.as_str())]);
    // The clock of the one who asked meanwhile.
    assert_eq!(claims[1].queued_at, at(12));
    let folder = bench.close().await;
    let mut reader = Database::open(&url(&folder)).await;
    assert_eq!(count(&mut reader, "imports").await, 0);
    assert_eq!(count(&mut reader, "import_rows").await, 0);
    reader.close().await;
}

#[tokio::test]
async fn a_webhook_that_comes_while_an_import_is_written_is_handed_to_nobody() {
    needs_a_file!();
    let folder = decided(Bench::open().await, &rows(MANY, "new")).await;
    let (handed_off, folder) = go_on(folder, async |store| {
        let offer = serval_connect::store::Offer {
            places: 9,
            expires_at: at(70),
        };
        store.open_hand_off(offer);
        // The first is mapped already when this is stored, or it is parked and queued by the step.
        store.record(webhook(1, at(12))).await.unwrap();
        store.record(webhook(1, at(13))).await.unwrap();
        store.handed_off().len()
    })
    .await;
    assert_eq!(handed_off, 0);
    let bench = Bench::open_in(folder).await;
    assert_eq!(bench.claim(9, at(14)).await.len(), 1);
    bench.close().await;
}

#[tokio::test]
async fn a_mapping_that_somebody_writes_meanwhile_comes_after_the_import() {
    let folder = decided(Bench::open().await, &rows(MANY, "new")).await;
    let ((), folder) = go_on(folder, async |store| {
        let put = async || {
            store
                .put_mapping(put(MANY, "by-hand"), Precondition::None, at(12))
                .await
        };
        patiently(store, put).await.unwrap();
    })
    .await;
    let bench = Bench::open_in(folder).await;
    let mapping = bench.store.mapping(&ticket(MANY)).await.unwrap().unwrap();
    assert_eq!(mapping.ticket_id, "by-hand");
    bench.close().await;
}

#[tokio::test]
async fn who_writes_a_mapping_is_told_that_an_import_takes_long() {
    needs_a_file!();
    let folder = decided(Bench::open().await, &rows(1, "new")).await;
    // Its writer does not run, as if it stood still.
    let (store, _writer) = Store::open(&url(&folder), at(10)).await.unwrap();
    let (none, one) = (Precondition::None, ticket(1));
    let (put, deleted, decision) = tokio::join!(
        store.put_mapping(put(1, "by-hand"), none.clone(), at(12)),
        store.delete_mapping(&one, none, Removal::KeepLink, at(12)),
        store.decide_conflict(
            1,
            Decision::Keep,
            serval_connect::store::Replacement {
                origin: Origin::Api,
                unlinks_old: false,
                several_per_ticket: false,
                reconnects: false,
            },
            at(12)
        ),
    );
    assert!(matches!(put, Err(StoreError::Importing)), "{put:?}");
    assert!(matches!(deleted, Err(StoreError::Importing)), "{deleted:?}");
    assert!(
        matches!(decision, Err(StoreError::Importing)),
        "{decision:?}"
    );
}

#[tokio::test]
async fn a_serval_ticket_that_a_later_step_frees_is_unlinked_too() {
    let bench = Bench::open().await;
    for n in [1, MANY] {
        bench.map(n, "old").await;
        bench.record(n).await;
        for claim in bench.claim(9, at(1)).await {
            let tried = Some(attempt(AttemptOutcome::Connected));
            let settled = bench.store.settle(&claim, tried, connected(&claim), at(1));
            settled.await.unwrap();
        }
    }
    let folder = decided(bench, &rows(MANY, "new")).await;
    let ((), folder) = go_on(folder, async |_| ()).await;
    let bench = Bench::open_in(folder).await;
    for n in [1, MANY] {
        // Serval is asked to connect the old pair again, should somebody want it.
        bench.map(n, "old").await;
        let mapping = bench.store.mapping(&ticket(n)).await.unwrap().unwrap();
        assert_eq!(mapping.connected_at, None, "{n}");
    }
    bench.close().await;
}

#[tokio::test]
async fn rows_of_an_import_that_broke_off_are_no_part_of_the_next_one_and_go_in_steps() {
    needs_a_file!();
    let bench = Bench::open().await;
    let import = bench.store.begin_import().await.unwrap();
    import.stage(&rows(1_500, "broken")).await.unwrap();
    drop(import);
    let folder = bench.close().await;
    assert_eq!(staged_rows(&folder).await, 1_500);
    // A start leaves them: the disk may be full.
    let bench = Bench::open_in(folder).await;
    assert_eq!(staged_rows(&bench.folder).await, 1_500);
    let import = bench.store.begin_import().await.unwrap();
    import.stage(&[row(2_000, "whole")]).await.unwrap();
    bench.store.empty_staging().await.unwrap();
    assert_eq!(staged_rows(&bench.folder).await, 1, "what is in use stays");
    let imported = import.apply(&[], at(1)).await.unwrap().unwrap();
    assert_eq!((imported.created, imported.replaced), (1, 0));
    assert_eq!(mappings(&bench.store).await.len(), 1);
    assert_eq!(staged_rows(&bench.close().await).await, 0);
}

#[tokio::test]
async fn an_import_that_its_caller_left_after_the_decision_is_written_whole() {
    let bench = Bench::open().await;
    let import = bench.store.begin_import().await.unwrap();
    import.stage(&rows(MANY, "new")).await.unwrap();
    let mut reader = Database::open(&url(&bench.folder)).await;
    {
        let applying = import.apply(&[], at(1));
        let seen = async { while count(&mut reader, "imports").await == 0 {} };
        tokio::select! {
            biased;
            () = seen => {}
            imported = applying => assert!(imported.is_ok()),
        }
    }
    // The caller is gone. What it left over is emptied, but not what is decided.
    bench.store.empty_staging().await.unwrap();
    while count(&mut reader, "imports").await > 0 {}
    assert_eq!(mappings(&bench.store).await.len(), MANY as usize);
    reader.close().await;
    bench.close().await;
}

#[tokio::test]
async fn a_settlement_of_an_old_claim_does_not_make_the_replaced_pair_known() {
    let bench = Bench::open().await;
    bench.queued(MANY).await;
    let claim = bench.claim(9, at(1)).await.remove(0);
    let import = bench.store.begin_import().await.unwrap();
    import.stage(&rows(MANY, "new")).await.unwrap();
    let importing = import.apply(&[], at(2));
    let settling = async {
        // Somewhere between the decision and the last step.
        let settlement = Settlement::Connected {
            ticket_id: claim.mapped_to.clone().unwrap(),
            reason: None,
            reconnects: false,
        };
        let tried = Some(attempt(AttemptOutcome::Connected));
        let settled = bench.store.settle(&claim, tried, settlement, at(2));
        settled.await.unwrap();
    };
    let (imported, ()) = tokio::join!(importing, settling);
    imported.unwrap().unwrap();
    let unlink = bench.store.next_unlink(at(100), LEASE).await.unwrap();
    let unlink = unlink.expect("the old pair is unlinked");
    assert_eq!(unlink.ticket_id.as_str(), format!("tkt-{MANY}"));
    let mapping = bench.store.mapping(&ticket(MANY)).await.unwrap().unwrap();
    assert_eq!(mapping.connected_at, None);
    bench.close().await;
}
