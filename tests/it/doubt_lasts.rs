//! A call whose end is unknown leaves a doubt about its pair, whatever becomes of its event.

use serde_json::{Value, json};
use serval_connect::domain::event::{ChannelNews, Disposition, EventState, Rank};
use serval_connect::domain::ids::{EventId, ExternalTicket};
use serval_connect::domain::reason::Reason;
use serval_connect::domain::report::Report;
use serval_connect::sources::slack;
use serval_connect::store::{
    Claim, ImportRow, Offer, Origin, Precondition, PutMapping, Removal, Settlement, Webhook,
};

use crate::store::{Bench, LEASE, at, connected, url, webhook};
use crate::support::bodies::{callback, record as record_of, slack_message, sys_id};
use crate::support::{TestApp, database, eventually};

const CHANNEL: &str = "C9DDYQ1B4";
/// Every claim has run out by then, and every retry is due.
const LATER: i64 = 500;

/// How the call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Retry,
    Release,
    Dead,
    RunsOut,
    Killed,
}

/// What becomes of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waits,
    DeletedDuring,
    Deleted,
    ChannelDeletedDuring,
    Damaged,
    ParkedAndExpired,
    Remapped,
    RemappedDuring,
    /// The old pair waits to be unlinked, and is wanted again before.
    WantedAgain,
    WantedAgainDuring,
}

const CALLS: [Call; 5] = [
    Call::Retry,
    Call::Release,
    Call::Dead,
    Call::RunsOut,
    Call::Killed,
];
const FATES: [Fate; 10] = [
    Fate::Waits,
    Fate::DeletedDuring,
    Fate::Deleted,
    Fate::ChannelDeletedDuring,
    Fate::Damaged,
    Fate::ParkedAndExpired,
    Fate::Remapped,
    Fate::RemappedDuring,
    Fate::WantedAgain,
    Fate::WantedAgainDuring,
];

fn thread() -> ExternalTicket {
    let external_id = format!("{CHANNEL}:1779146751.000100");
    ExternalTicket {
        source: "slack".parse().unwrap(),
        external_id: slack::KIND.parse_external_id(&external_id).unwrap(),
    }
}

/// The message `n` of the thread, or its deletion.
fn message(n: i64, report: Report) -> Webhook {
    let mut webhook = webhook(1, at(0));
    webhook.source = thread().source;
    let event = &mut webhook.events[0];
    event.external_id = Some(thread().external_id);
    event.report = report;
    event.rank = Rank(0, -n);
    if report == Report::MessageDeletion {
        event.disposition = Disposition::Ignore("deleted");
    }
    webhook
}

async fn record(bench: &Bench, webhook: Webhook) -> EventId {
    bench.store.record(webhook).await.unwrap()[0].id
}

async fn map(bench: &Bench, ticket_id: &str, unlinks_old: bool) {
    let put = PutMapping {
        disconnects_others: false,
        ticket: thread(),
        ticket_id: ticket_id.parse().unwrap(),
        accounted_for: Vec::new(),
        origin: Origin::Api,
        taught_by: None,
        unlinks_old,
        several_per_ticket: true,
        reconnects: false,
    };
    let put = bench.store.put_mapping(put, Precondition::None, at(2));
    put.await.unwrap().unwrap();
}

async fn unmap(bench: &Bench, removal: Removal) {
    let (ticket, now) = (thread(), at(2));
    let removed = bench
        .store
        .delete_mapping(&ticket, Precondition::None, removal, now);
    assert!(removed.await.unwrap().unwrap());
}

async fn query(bench: &Bench, statement: &'static str) -> i64 {
    database::value(&url(&bench.folder), statement).await
}

async fn doubts(bench: &Bench) -> i64 {
    query(bench, "SELECT COUNT(*) FROM doubts").await
}

/// Claims what is due until nothing is; parks what has no mapping. Returns the rest.
async fn claim_all(bench: &Bench, now: i64) -> Vec<Claim> {
    let mut claims = Vec::new();
    // One round sets damaged events aside, and another takes what stood behind them.
    for _ in 0..4 {
        for claim in bench.claim(9, at(now)).await {
            if claim.mapped_to.is_some() {
                claims.push(claim);
                continue;
            }
            let park = Settlement::Park { until: at(now) };
            let settled = bench.store.settle(&claim, None, park, at(now));
            settled.await.unwrap();
        }
    }
    claims
}

async fn befall(bench: &Bench, fate: Fate) {
    match fate {
        Fate::Waits => {}
        Fate::Deleted | Fate::DeletedDuring => {
            record(bench, message(5, Report::MessageDeletion)).await;
        }
        Fate::ChannelDeletedDuring => {
            let mut notice = message(7, Report::Message);
            let channel = CHANNEL.to_owned();
            notice.events[0].external_id = None;
            notice.events[0].disposition = Disposition::Ignore("channel_deleted");
            notice.events[0].channel = Some(ChannelNews::Deleted { channel });
            record(bench, notice).await;
        }
        Fate::Damaged => {
            query(bench, "DELETE FROM payloads RETURNING event_id").await;
        }
        Fate::ParkedAndExpired => {
            unmap(bench, Removal::KeepLink).await;
            assert!(claim_all(bench, LATER).await.is_empty());
            bench.store.expire_parked(at(LATER)).await.unwrap();
        }
        Fate::Remapped | Fate::RemappedDuring => {
            map(bench, "tkt-2", false).await;
            map(bench, "tkt-1", false).await;
        }
        Fate::WantedAgain | Fate::WantedAgainDuring => {
            map(bench, "tkt-2", true).await;
            map(bench, "tkt-1", true).await;
        }
    }
}

/// Makes a call about the pair of the thread and `tkt-1`, and ends it. Returns its event.
async fn called(call: Call, fate: Fate, in_doubt: bool) -> (Bench, EventId) {
    let mut bench = Bench::open().await;
    map(&bench, "tkt-1", false).await;
    let event = record(&bench, message(5, Report::Message)).await;
    let claim = bench.claim(1, at(1)).await.remove(0);
    assert_eq!((claim.event, claim.doubt), (event, None));
    let is_during = matches!(
        fate,
        Fate::DeletedDuring
            | Fate::ChannelDeletedDuring
            | Fate::RemappedDuring
            | Fate::WantedAgainDuring
    );
    if is_during {
        befall(&bench, fate).await;
    }
    let error = "no answer".to_owned();
    let settlement = match call {
        Call::Retry => Some(Settlement::Retry {
            at: at(3),
            asked: false,
            counts: true,
            in_doubt,
            error,
        }),
        Call::Release => Some(Settlement::Release {
            in_doubt,
            error: Some(error),
        }),
        Call::Dead => Some(Settlement::Dead {
            reason: Reason::GaveUp,
            in_doubt,
            error,
        }),
        Call::RunsOut => None,
        Call::Killed => {
            bench = Bench::open_in(bench.close().await).await;
            None
        }
    };
    if let Some(settlement) = settlement {
        let settled = bench.store.settle(&claim, None, settlement, at(2));
        settled.await.unwrap();
    }
    if !is_during {
        befall(&bench, fate).await;
    }
    (bench, event)
}

#[tokio::test]
async fn whatever_becomes_of_an_event_the_next_call_of_its_pair_knows_the_doubt() {
    for call in CALLS {
        for fate in FATES {
            let (bench, event) = called(call, fate, true).await;
            map(&bench, "tkt-1", true).await;
            record(&bench, message(6, Report::Message)).await;
            let claims = claim_all(&bench, LATER).await;
            let found: Vec<_> = claims.iter().map(|claim| claim.doubt).collect();
            assert_eq!(found, [Some(event)], "{call:?} {fate:?}");
            // Another pair is not in doubt.
            map(&bench, "tkt-2", false).await;
            let retry = Settlement::Release {
                in_doubt: false,
                error: None,
            };
            let settled = bench.store.settle(&claims[0], None, retry, at(LATER));
            settled.await.unwrap();
            let other = claim_all(&bench, LATER + 1).await.remove(0);
            assert_eq!(other.doubt, None, "{call:?} {fate:?}");
            let end = connected(&other);
            let settled = bench.store.settle(&other, None, end, at(LATER + 1));
            settled.await.unwrap();
            // It lasts until the pair is connected.
            map(&bench, "tkt-1", false).await;
            let claim = claim_all(&bench, LATER + 2).await.remove(0);
            assert_eq!(claim.doubt, Some(event), "{call:?} {fate:?}");
            let end = connected(&claim);
            let settled = bench.store.settle(&claim, None, end, at(LATER + 2));
            settled.await.unwrap();
            assert_eq!(doubts(&bench).await, 0, "{call:?} {fate:?}");
            bench.close().await;
        }
    }
}

#[tokio::test]
async fn whatever_becomes_of_an_event_its_pair_is_unlinked_with_the_mapping() {
    for call in CALLS {
        for fate in FATES {
            for is_imported in [false, true] {
                let (bench, _) = called(call, fate, true).await;
                map(&bench, "tkt-1", true).await;
                if is_imported {
                    import(&bench, "tkt-9").await;
                    unmap(&bench, Removal::KeepLink).await;
                } else {
                    unmap(&bench, Removal::Unlink).await;
                }
                assert!(claim_all(&bench, LATER).await.is_empty());
                let unlink = bench.store.next_unlink(at(LATER), LEASE).await.unwrap();
                let unlink = unlink.unwrap_or_else(|| panic!("{call:?} {fate:?} {is_imported}"));
                assert_eq!(
                    (unlink.ticket, unlink.ticket_id.as_str()),
                    (thread(), "tkt-1")
                );
                assert_eq!(doubts(&bench).await, 1, "until it is unlinked");
                bench.store.note_unlinked(unlink.id).await.unwrap();
                assert_eq!(doubts(&bench).await, 0, "{call:?} {fate:?}");
                bench.close().await;
            }
        }
    }
}

async fn import(bench: &Bench, ticket_id: &str) {
    let import = bench.store.begin_import().await.unwrap();
    let row = ImportRow {
        line: 1,
        ticket: thread(),
        ticket_id: ticket_id.parse().unwrap(),
        accounted_for: Vec::new(),
        unlinks_old: true,
        reconnects: false,
    };
    import.stage(&[row]).await.unwrap();
    import.apply(&[], at(2)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_whose_end_is_known_leaves_no_doubt() {
    for call in [Call::Retry, Call::Release, Call::Dead] {
        for fate in FATES {
            let (bench, _) = called(call, fate, false).await;
            if !matches!(fate, Fate::WantedAgainDuring) {
                assert_eq!(doubts(&bench).await, 0, "{call:?} {fate:?}");
                map(&bench, "tkt-1", false).await;
                unmap(&bench, Removal::Unlink).await;
                claim_all(&bench, LATER).await;
                let unlink = bench.store.next_unlink(at(LATER), LEASE).await.unwrap();
                assert!(unlink.is_none(), "{call:?} {fate:?}");
            }
            bench.close().await;
        }
    }
}

#[tokio::test]
async fn the_earliest_event_stays_the_one_in_doubt_when_later_calls_are_lost_too() {
    let (bench, event) = called(Call::Dead, Fate::Waits, true).await;
    for n in 6..9 {
        record(&bench, message(n, Report::Message)).await;
        let claim = claim_all(&bench, LATER + n).await.remove(0);
        assert_eq!(claim.doubt, Some(event), "message {n}");
        let lost = Settlement::Dead {
            reason: Reason::GaveUp,
            in_doubt: true,
            error: "no answer".to_owned(),
        };
        let settled = bench.store.settle(&claim, None, lost, at(LATER + n));
        settled.await.unwrap();
    }
    bench.close().await;
}

#[tokio::test]
async fn a_pair_that_is_connected_after_its_unlink_was_asked_for_stays_in_doubt_until_then() {
    let (bench, _) = called(Call::Retry, Fate::Waits, true).await;
    let claim = claim_all(&bench, LATER).await.remove(0);
    unmap(&bench, Removal::Unlink).await;
    let end = connected(&claim);
    let settled = bench.store.settle(&claim, None, end, at(LATER));
    settled.await.unwrap();
    assert_eq!(doubts(&bench).await, 1);
    let unlink = bench.store.next_unlink(at(LATER), LEASE).await.unwrap();
    bench.store.note_unlinked(unlink.unwrap().id).await.unwrap();
    assert_eq!(doubts(&bench).await, 0);
    bench.close().await;
}

#[tokio::test]
async fn an_event_that_goes_to_the_worker_at_once_knows_the_doubt() {
    let (bench, event) = called(Call::Dead, Fate::Waits, true).await;
    let offer = Offer {
        places: 9,
        expires_at: at(4) + LEASE,
    };
    bench.store.open_hand_off(offer);
    let next = record(&bench, message(6, Report::Message)).await;
    let claims = bench.store.handed_off();
    assert_eq!((claims[0].event, claims[0].doubt), (next, Some(event)));
    bench.close().await;
}

#[tokio::test]
async fn a_pair_that_was_connected_is_in_doubt_while_it_waits_to_be_unlinked() {
    let bench = Bench::open().await;
    map(&bench, "tkt-1", false).await;
    let event = record(&bench, message(5, Report::Message)).await;
    let claim = bench.claim(1, at(1)).await.remove(0);
    let end = connected(&claim);
    bench.store.settle(&claim, None, end, at(2)).await.unwrap();
    for is_imported in [false, true] {
        if is_imported {
            import(&bench, "tkt-2").await;
        } else {
            map(&bench, "tkt-2", true).await;
        }
        let other = claim_all(&bench, LATER).await.remove(0);
        let release = Settlement::Release {
            in_doubt: false,
            error: None,
        };
        let settled = bench.store.settle(&other, None, release, at(LATER));
        settled.await.unwrap();
        map(&bench, "tkt-1", false).await;
        let claim = claim_all(&bench, LATER + 200).await.remove(0);
        assert!(!claim.is_connected);
        assert_eq!((claim.event, claim.doubt), (event, Some(event)));
        let end = connected(&claim);
        let settled = bench.store.settle(&claim, None, end, at(LATER + 200));
        settled.await.unwrap();
        assert_eq!(bench.state(event).await, EventState::Connected);
        assert_eq!(doubts(&bench).await, 0);
    }
    bench.close().await;
}

#[tokio::test]
async fn the_name_of_an_external_ticket_stays_as_long_as_it_is_in_doubt() {
    let (bench, _) = called(Call::Dead, Fate::Waits, true).await;
    unmap(&bench, Removal::Unlink).await;
    bench
        .store
        .purge_events(at(LATER), EventId(0))
        .await
        .unwrap();
    let names = "SELECT COUNT(*) FROM external_tickets";
    assert_eq!(query(&bench, names).await, 1);
    let unlink = bench.store.next_unlink(at(LATER), LEASE).await.unwrap();
    let unlink = unlink.unwrap();
    bench.store.note_unlinked(unlink.id).await.unwrap();
    assert_eq!(query(&bench, names).await, 0);
    bench.close().await;
}

#[tokio::test]
async fn erasing_an_external_ticket_erases_its_doubts() {
    let (bench, _) = called(Call::Dead, Fate::Waits, true).await;
    let erased = bench.store.erase(&thread(), at(LATER)).await.unwrap();
    assert_eq!((erased.left, doubts(&bench).await), (0, 0));
    bench.close().await;
}

const ROOT: &str = "1779146751.000100";

/// The first call arrives, its answer is lost, and so is every answer about the links.
const LOST: [&str; 2] = ["drop,count=1", "503,path=external-tickets"];

/// Waits until Serval is asked for the links of `tkt-1`.
async fn asked(app: &TestApp) {
    eventually("a question about the links", async || {
        let path = "/v2/tickets/tkt-1/external-tickets";
        (app.requests("GET", path) > 0).then_some(())
    })
    .await;
}

/// A thread whose first message is deleted while its call is in doubt.
async fn deleted_in_doubt() -> TestApp {
    let app = TestApp::start().await;
    app.admin
        .map("slack", &format!("{CHANNEL}:{ROOT}"), "tkt-1")
        .await;
    app.faults(&LOST);
    let root = slack_message("EvRoot", ROOT, &Value::Null);
    assert_eq!(app.webhooks.slack(root).send().await.status, 200);
    asked(&app).await;
    let gone = json!({
        "type": "message", "subtype": "message_deleted", "channel": CHANNEL, "deleted_ts": ROOT,
        "ts": "1779146790.000100", "previous_message": {"type": "message", "ts": ROOT},
    });
    let gone = callback("EvGone", &gone);
    assert_eq!(app.webhooks.slack(gone).send().await.status, 200);
    app.admin.drained().await;
    let events = app.admin.events("").await;
    assert_eq!(events[1]["reason"], "deleted", "{events:?}");
    assert_eq!(app.mock.links().len(), 1);
    app.faults(&[]);
    app
}

#[tokio::test]
async fn the_message_after_one_that_was_deleted_in_doubt_does_not_connect_the_pair_again() {
    let app = deleted_in_doubt().await;
    let reply = json!({"thread_ts": ROOT});
    let reply = slack_message("EvReply", "1779146760.000300", &reply);
    assert_eq!(app.webhooks.slack(reply).send().await.status, 200);
    app.admin.drained().await;
    let reply = app.admin.events("").await.remove(0);
    assert_eq!(reply["state"], "connected", "{reply}");
    assert_eq!(reply["reason"], "already_linked");
    assert_eq!(app.mock.connects().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn the_pair_of_a_message_that_was_deleted_in_doubt_is_unlinked_with_its_mapping() {
    let app = deleted_in_doubt().await;
    let mapping = format!("/mappings/slack/{CHANNEL}:{ROOT}?disconnect=true");
    assert_eq!(app.admin.delete(&mapping).await.status, 204);
    eventually("the pair is unlinked", async || {
        app.mock.links().is_empty().then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn a_save_after_one_in_doubt_is_sent_where_changed_records_are() {
    for (reconnect, sent) in [("never", 1), ("on_change", 2)] {
        let app = TestApp::builder()
            .config(&format!("[sources.servicenow]\nreconnect = '{reconnect}'"))
            .start()
            .await;
        app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
        app.faults(&LOST);
        let saves = [1, 2].map(|count| record_of("incident", 1, count));
        app.save(saves[0].clone()).await;
        asked(&app).await;
        // The first save goes back to the parked ones, and gives way to the second.
        let mapping = format!("/mappings/servicenow/{}", sys_id(1));
        assert_eq!(app.admin.delete(&mapping).await.status, 204);
        app.admin.drained().await;
        app.save(saves[1].clone()).await;
        app.faults(&[]);
        app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
        app.admin.drained().await;
        let objects = app.mock.connects().into_iter().map(|call| call.object);
        let objects: Vec<String> = objects.flatten().collect();
        assert_eq!(objects, saves[..sent], "{reconnect}");
        let last = app.admin.events("").await.remove(0);
        assert_eq!(last["state"], "connected", "{reconnect}");
        app.stop().await;
    }
}
