//! What people did: noted with what they did, or not at all.

use serval_connect::domain::event::EventState;
use serval_connect::domain::ids::EventId;
use serval_connect::domain::reason::Reason;
use serval_connect::store::{
    Action, AuditFilter, AuditRow, By, Decision, EventFilter, ImportRow, Lesson, Origin,
    Precondition, Removal, Replacement, Settlement, Store,
};

use crate::store::{Bench, at, ticket};

/// A handle of somebody who writes.
fn ada(bench: &Bench) -> Store {
    bench.store.by(By {
        actor: "ada".to_owned(),
        reason: Some("asked by Grace".to_owned()),
    })
}

async fn entries(bench: &Bench) -> Vec<AuditRow> {
    let filter = AuditFilter {
        limit: 100,
        ..AuditFilter::default()
    };
    bench.store.audit(&filter).await.unwrap()
}

/// Action, external ticket and subject of the entries, the oldest first.
async fn told(bench: &Bench) -> Vec<(String, String, String)> {
    let rows = entries(bench).await.into_iter().rev();
    rows.map(|row| {
        assert_eq!(row.actor, "ada");
        assert_eq!(row.reason.as_deref(), Some("asked by Grace"));
        let ticket = row.ticket.map(|(_, id)| id).unwrap_or_default();
        (row.action, ticket, row.subject.unwrap_or_default())
    })
    .collect()
}

fn entry(action: &str, n: Option<u32>, subject: &str) -> (String, String, String) {
    let ticket = n.map(|n| ticket(n).external_id.as_str().to_owned());
    (
        action.to_owned(),
        ticket.unwrap_or_default(),
        subject.to_owned(),
    )
}

#[tokio::test]
async fn what_a_person_does_is_noted_and_what_a_machine_does_is_not() {
    let bench = Bench::open().await;
    let dead = bench.dead(1, "not_found").await;
    bench.map(2, "tkt-2").await;
    assert_eq!(entries(&bench).await, []);

    let ada = ada(&bench);
    let put = |n, ticket_id: &str| serval_connect::store::PutMapping {
        disconnects_others: false,
        ticket: ticket(n),
        ticket_id: ticket_id.parse().unwrap(),
        accounted_for: Vec::new(),
        origin: Origin::Console,
        taught_by: None,
        unlinks_old: false,
        several_per_ticket: false,
        reconnects: false,
    };
    ada.put_mapping(put(3, "tkt-3"), Precondition::None, at(1))
        .await
        .unwrap()
        .unwrap();
    // Refused: nothing is written, and nothing is noted.
    ada.put_mapping(put(4, "tkt-3"), Precondition::None, at(1))
        .await
        .unwrap()
        .unwrap();
    ada.delete_mapping(&ticket(3), Precondition::None, Removal::KeepLink, at(2))
        .await
        .unwrap()
        .unwrap();
    ada.delete_mapping(&ticket(3), Precondition::None, Removal::KeepLink, at(2))
        .await
        .unwrap()
        .unwrap();
    ada.replay(dead, "replayed".to_owned(), at(3))
        .await
        .unwrap();
    ada.replay(dead, "replayed".to_owned(), at(3))
        .await
        .unwrap();
    ada.set_paused(true, at(4)).await.unwrap();
    ada.set_paused(false, at(5)).await.unwrap();
    ada.note(
        Action::Reveal,
        Some(ticket(2)),
        Some("evt_1".to_owned()),
        at(6),
    )
    .await
    .unwrap();
    let import = ada.begin_import().await.unwrap();
    let row = ImportRow {
        line: 2,
        ticket: ticket(5),
        ticket_id: "tkt-5".parse().unwrap(),
        accounted_for: Vec::new(),
        unlinks_old: false,
        reconnects: false,
    };
    import.stage(&[row]).await.unwrap();
    import.apply(&[], at(7)).await.unwrap().unwrap();
    assert_eq!(
        told(&bench).await,
        [
            entry("map", Some(3), "tkt-3"),
            entry("unmap", Some(3), "tkt-3"),
            entry("replay", Some(1), &dead.to_string()),
            entry("pause", None, ""),
            entry("resume", None, ""),
            entry("reveal", Some(2), "evt_1"),
            entry("import", None, "1 created, 0 replaced"),
        ]
    );
    bench.close().await;
}

#[tokio::test]
async fn a_decided_conflict_is_noted_with_both_values() {
    let bench = Bench::open().await;
    let id = bench.queued(1).await;
    let claim = bench.claim(1, at(1)).await.remove(0);
    assert_eq!(claim.event, id);
    let lesson = Lesson::Names {
        ticket_id: "tkt-9".parse().unwrap(),
        on_conflict: None,
        unlinks_old: false,
        several_per_ticket: true,
        reconnects: false,
    };
    bench.store.learn(&claim, lesson, at(1)).await.unwrap();
    let conflict = bench
        .store
        .conflicts(false, None, 9)
        .await
        .unwrap()
        .remove(0);
    let replacement = Replacement {
        origin: Origin::Console,
        unlinks_old: false,
        several_per_ticket: true,
        reconnects: false,
    };
    let ada = ada(&bench);
    for _ in 0..2 {
        ada.decide_conflict(conflict.id, Decision::Keep, replacement, at(2))
            .await
            .unwrap();
    }
    assert_eq!(
        told(&bench).await,
        [entry("keep", Some(1), "tkt-1 or tkt-9")]
    );
    bench.close().await;
}

#[tokio::test]
async fn a_replay_of_many_is_one_entry_that_says_how_many() {
    let bench = Bench::open().await;
    for n in 0..230 {
        let id = bench.queued(n).await;
        assert_eq!(id, EventId(i64::from(n) + 1));
    }
    loop {
        let claims = bench.claim(100, at(1)).await;
        if claims.is_empty() {
            break;
        }
        for claim in claims {
            let (reason, error) = (Reason::NotFound, "no".to_owned());
            let dead = Settlement::Dead {
                reason,
                error,
                in_doubt: false,
            };
            bench.store.settle(&claim, None, dead, at(1)).await.unwrap();
        }
    }
    let filter = EventFilter {
        state: Some(EventState::Dead),
        source: Some("servicenow".parse().unwrap()),
        reason: Some("not_found".to_owned()),
        limit: u32::MAX,
        ..EventFilter::default()
    };
    assert_eq!(bench.store.count_replayable(&filter).await.unwrap(), 230);
    let ada = ada(&bench);
    let replayed = ada.replay_many(filter, "replayed".to_owned(), at(2));
    assert_eq!(replayed.await.unwrap(), 230);
    let subject = "230 dead events of servicenow (not_found)";
    assert_eq!(told(&bench).await, [entry("replay", None, subject)]);
    bench.close().await;
}

#[tokio::test]
async fn the_list_goes_by_cursor_and_by_ticket_and_ends_by_age() {
    let bench = Bench::open().await;
    let ada = ada(&bench);
    for n in 0..5 {
        let about = Some(ticket(n % 2));
        ada.note(Action::Reveal, about, None, at(i64::from(n) * 10))
            .await
            .unwrap();
    }
    let page = async |before, about: Option<u32>| {
        let filter = AuditFilter {
            source: about.map(|n| ticket(n).source),
            external_id: about.map(|n| ticket(n).external_id),
            before,
            limit: 2,
            ..AuditFilter::default()
        };
        let rows = bench.store.audit(&filter).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, None).await, [5, 4]);
    assert_eq!(page(Some(4), None).await, [3, 2]);
    assert_eq!(page(Some(2), None).await, [1]);
    assert_eq!(page(None, Some(0)).await, [5, 3]);
    assert_eq!(page(Some(3), Some(0)).await, [1]);
    assert_eq!(bench.store.purge_audit(at(20)).await.unwrap(), 2);
    assert_eq!(bench.store.purge_audit(at(20)).await.unwrap(), 0);
    assert_eq!(page(None, None).await, [5, 4]);
    assert_eq!(page(Some(4), None).await, [3]);
    bench.close().await;
}

#[tokio::test]
async fn an_erased_ticket_leaves_who_and_when_but_not_about_what() {
    let bench = Bench::open().await;
    let dead = bench.dead(1, "not_found").await;
    let ada = ada(&bench);
    ada.replay(dead, "replayed".to_owned(), at(3))
        .await
        .unwrap();
    let about_another = bench.store.by(By {
        actor: "ada".to_owned(),
        reason: Some(format!("the same as {}", ticket(1).external_id)),
    });
    about_another
        .note(Action::Reveal, Some(ticket(2)), None, at(4))
        .await
        .unwrap();
    let erased = ada.erase(&ticket(1), at(5)).await.unwrap();
    assert_eq!((erased.left, erased.mentions), (0, 1));
    let rows = entries(&bench).await;
    let row = |row: &AuditRow| {
        let ticket = row.ticket.is_some();
        (
            row.action.clone(),
            ticket,
            row.subject.clone(),
            row.reason.clone(),
        )
    };
    let why = Some("asked by Grace".to_owned());
    let what = Some("an external ticket of servicenow".to_owned());
    assert_eq!(
        rows.iter().map(row).collect::<Vec<_>>(),
        [
            ("erase".to_owned(), false, what, why),
            ("reveal".to_owned(), true, None, None),
            ("replay".to_owned(), false, None, None),
        ]
    );
    bench.close().await;
}
