//! What follows when a mapping changes or goes, and what is sent beside the record.

use std::time::Duration;

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{Message, SERVICENOW_INTEGRATION};

use crate::support::bodies::{incident, incident_with, record, sys_id};
use crate::support::{TestApp, eventually};

const DISCONNECT: &str = "[sources.servicenow]\ndisconnect_on_remap = true";
const RECONNECT: &str = "[sources.servicenow]\nreconnect = \"on_change\"";
/// Longer than the pause between looks at pairs to take apart.
const A_WHILE: Duration = Duration::from_millis(1500);

async fn map(app: &TestApp, n: u32, ticket_id: &str) {
    app.admin.map("servicenow", &sys_id(n), ticket_id).await;
}

/// The Serval tickets that have a link, in the order of the links.
fn linked(app: &TestApp) -> Vec<String> {
    let links = app.mock.links().into_iter();
    links.map(|link| link.ticket_id).collect()
}

async fn until_linked(app: &TestApp, tickets: &[&str]) {
    let look = async || (linked(app) == tickets).then_some(());
    eventually(&format!("{tickets:?} are linked"), look).await;
}

fn disconnects(app: &TestApp, ticket_id: &str) -> usize {
    let path = format!("/v2/tickets/{ticket_id}/disconnect/{SERVICENOW_INTEGRATION}");
    app.requests("DELETE", &path)
}

#[tokio::test]
async fn a_changed_mapping_sends_the_newest_object_to_the_new_ticket_at_once() {
    let app = TestApp::start().await;
    map(&app, 1, "tkt-1").await;
    let first = app.save(incident(1)).await;
    app.admin.wait_for_state(&first, "connected").await;
    let second = app.save(record("incident", 1, 2)).await;
    assert_eq!(
        app.admin.event(&second).await["reason"],
        "already_connected"
    );
    map(&app, 1, "tkt-2").await;
    app.admin.wait_for_state(&second, "connected").await;
    assert_eq!(app.connected_to(), ["tkt-1", "tkt-2"]);
    let sent = app.mock.connects().pop().unwrap().object;
    assert_eq!(sent, Some(record("incident", 1, 2)));
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(disconnects(&app, "tkt-1"), 0, "nobody asked for it");
    app.stop().await;
}

#[tokio::test]
async fn where_it_is_asked_for_the_old_pair_is_taken_apart_however_often_it_takes() {
    let app = TestApp::builder().config(DISCONNECT).start().await;
    map(&app, 1, "tkt-1").await;
    app.save(incident(1)).await;
    app.admin.drained().await;
    app.faults(&["500,count=2,path=connect,ticket=tkt-1"]);
    map(&app, 1, "tkt-2").await;
    until_linked(&app, &["tkt-2"]).await;
    assert_eq!(disconnects(&app, "tkt-1"), 3);
    app.stop().await;
}

#[tokio::test]
async fn what_waits_to_be_taken_apart_survives_a_restart() {
    let mut app = TestApp::builder().config(DISCONNECT).start().await;
    map(&app, 1, "tkt-1").await;
    app.save(incident(1)).await;
    app.admin.drained().await;
    app.admin.post("/connects/pause", &Value::Null).await;
    map(&app, 1, "tkt-2").await;
    app.restart().await;
    assert_eq!(linked(&app), ["tkt-1"]);
    app.admin.post("/connects/resume", &Value::Null).await;
    until_linked(&app, &["tkt-2"]).await;
    app.stop().await;
}

#[tokio::test]
async fn a_removed_mapping_touches_serval_only_when_asked() {
    let app = TestApp::start().await;
    for n in [1, 2] {
        map(&app, n, &format!("tkt-{n}")).await;
        app.save(incident(n)).await;
    }
    app.admin.drained().await;
    let path = |n: u32| format!("/mappings/servicenow/{}", sys_id(n));
    assert_eq!(app.admin.delete(&path(1)).await.status, 204);
    let asked = format!("{}?disconnect=true", path(2));
    assert_eq!(app.admin.delete(&asked).await.status, 204);
    until_linked(&app, &["tkt-1"]).await;
    assert_eq!(
        (disconnects(&app, "tkt-1"), disconnects(&app, "tkt-2")),
        (0, 1)
    );
    // The pair that was kept is known; the one that was taken apart is made again.
    map(&app, 1, "tkt-1").await;
    map(&app, 2, "tkt-2").await;
    app.admin.drained().await;
    assert_eq!(app.mock.connects().len(), 3);
    assert_eq!(linked(&app), ["tkt-1", "tkt-2"]);
    app.stop().await;
}

#[tokio::test]
async fn there_and_back_again_ends_where_the_mapping_says() {
    for (config, tickets, links) in [
        ("", &["tkt-1", "tkt-2"][..], &["tkt-1", "tkt-2"][..]),
        (DISCONNECT, &["tkt-1", "tkt-2", "tkt-1"], &["tkt-1"]),
    ] {
        let app = TestApp::builder().config(config).start().await;
        app.save(incident(1)).await;
        for (place, ticket) in ["tkt-1", "tkt-2", "tkt-1"].into_iter().enumerate() {
            map(&app, 1, ticket).await;
            app.admin.drained().await;
            if !config.is_empty() && place > 0 {
                until_linked(&app, &[ticket]).await;
            }
        }
        assert_eq!(app.connected_to(), tickets);
        assert_eq!(linked(&app), links);
        let mapping = app.admin.mapping("servicenow", &sys_id(1)).await;
        assert_eq!(mapping["ticket_id"], "tkt-1");
        assert!(!mapping["connected_at"].is_null());
        app.stop().await;
    }
}

#[tokio::test]
async fn a_serval_ticket_that_is_mapped_again_gets_the_save_that_another_one_had_meanwhile() {
    let app = TestApp::builder().config(RECONNECT).start().await;
    map(&app, 1, "tkt-1").await;
    app.save(incident(1)).await;
    app.admin.drained().await;
    map(&app, 1, "tkt-2").await;
    app.admin.drained().await;
    app.save(record("incident", 1, 2)).await;
    app.admin.drained().await;
    map(&app, 1, "tkt-1").await;
    app.admin.drained().await;
    assert_eq!(app.connected_to(), ["tkt-1", "tkt-2", "tkt-2", "tkt-1"]);
    let sent = app.mock.connects().pop().unwrap().object;
    assert_eq!(sent, Some(record("incident", 1, 2)));
    app.stop().await;
}

#[tokio::test]
async fn a_disconnect_that_would_take_another_ticket_with_it_is_not_made() {
    let app = TestApp::builder()
        .config(DISCONNECT)
        .config("several_per_ticket = true")
        .start()
        .await;
    for n in [1, 2] {
        map(&app, n, "tkt-1").await;
        app.save(incident(n)).await;
    }
    app.admin.drained().await;
    map(&app, 1, "tkt-2").await;
    app.admin.drained().await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(disconnects(&app, "tkt-1"), 0);
    assert_eq!(linked(&app), ["tkt-1", "tkt-1", "tkt-2"]);
    app.stop().await;
}

#[tokio::test]
async fn a_serval_ticket_has_one_external_ticket_of_a_source_unless_several_are_allowed() {
    let put = json!({"ticket_id": "tkt-1"});
    let second = format!("/mappings/servicenow/{}", sys_id(2));
    let app = TestApp::start().await;
    map(&app, 1, "tkt-1").await;
    let problem = app.admin.put(&second, &put).await.problem(409);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains(&sys_id(1)) && detail.contains("several_per_ticket"),
        "{detail}"
    );
    app.admin.get(&second).await.problem(404);
    app.admin
        .map("slack", "C9DDYQ1B4:1779146701.000001", "tkt-1")
        .await;
    map(&app, 1, "tkt-1").await;
    map(&app, 1, "tkt-2").await;
    map(&app, 2, "tkt-1").await;
    app.stop().await;

    let app = TestApp::builder()
        .config("[sources.servicenow]\nseveral_per_ticket = true")
        .start()
        .await;
    map(&app, 1, "tkt-1").await;
    assert_eq!(app.admin.put(&second, &put).await.status, 201);
    app.stop().await;
}

#[tokio::test]
async fn changed_records_are_sent_again_in_order_and_once_each_where_that_is_wanted() {
    let saves: Vec<String> = (1..6).map(|n| record("incident", 1, n)).collect();
    for (config, sent) in [("", &saves[..1]), (RECONNECT, &saves[..])] {
        let app = TestApp::builder().config(config).start().await;
        map(&app, 1, "tkt-1").await;
        for save in &saves {
            app.save(save.clone()).await;
            // The same save by another delivery is no change.
            app.save(save.clone()).await;
        }
        app.admin.drained().await;
        let objects = app.mock.connects().into_iter().map(|c| c.object.unwrap());
        assert_eq!(objects.collect::<Vec<_>>(), sent, "{config}");
        app.stop().await;
    }
}

/// A save of the incident 1, with its count and its time as the instance writes it.
fn save(count: u32, updated_on: &str) -> String {
    incident_with(1, count, &json!({ "sys_updated_on": updated_on }))
}

#[tokio::test]
async fn a_save_that_arrives_after_a_newer_one_is_never_sent_last() {
    // The first save is sent before the second arrives.
    for (first, second, is_sent) in [
        (
            save(6, "2026-05-01 10:00:06"),
            save(5, "2026-05-01 10:00:05"),
            false,
        ),
        (
            save(5, "2026-05-01 10:00:05"),
            save(6, "2026-05-01 10:00:06"),
            true,
        ),
        // A clone or a restore lowered the count.
        (
            save(90, "2026-05-01 10:00:05"),
            save(2, "2026-05-02 09:00:00"),
            true,
        ),
        (
            save(2, "2026-05-02 09:00:00"),
            save(90, "2026-05-01 10:00:05"),
            false,
        ),
        // Local times are not compared: the 12th of January and the 2nd of May, day first.
        (
            save(6, "12/01/2026 10:00:01"),
            save(7, "02/05/2026 10:00:01"),
            true,
        ),
        (
            save(7, "12/01/2026 10:00:01"),
            save(6, "02/05/2026 10:00:01"),
            false,
        ),
        (
            save(7, "2026-05-01 10:00:05"),
            save(6, "02.05.2026 10:00:01"),
            false,
        ),
    ] {
        let app = TestApp::builder().config(RECONNECT).start().await;
        map(&app, 1, "tkt-1").await;
        let sent_first = app.save(first.clone()).await;
        app.admin.wait_for_state(&sent_first, "connected").await;
        let late = app.save(second.clone()).await;
        app.admin.drained().await;
        let stands = app.admin.event(&late).await;
        let expected = if is_sent {
            json!(null)
        } else {
            json!("superseded")
        };
        assert_eq!(stands["reason"], expected, "{second}");
        let last = if is_sent { &second } else { &first };
        let objects = app.mock.connects().into_iter().map(|c| c.object.unwrap());
        assert_eq!(objects.last().as_ref(), Some(last));
        // A changed mapping sends the newest one, too.
        map(&app, 1, "tkt-2").await;
        app.admin.drained().await;
        let objects = app.mock.connects().into_iter().map(|c| c.object.unwrap());
        assert_eq!(objects.last().as_ref(), Some(last));
        app.stop().await;
    }
}

#[tokio::test]
async fn a_late_save_of_the_same_delivery_is_outrun_like_any_other() {
    let app = TestApp::builder().config(RECONNECT).start().await;
    map(&app, 1, "tkt-1").await;
    let saves = [3, 5, 4].map(|count| save(count, &format!("2026-05-01 10:00:0{count}")));
    let batch = format!("[{}]", saves.join(","));
    let events = app.webhooks.servicenow(batch).send().await.events();
    let states: Vec<&Value> = events.iter().map(|event| &event["state"]).collect();
    assert_eq!(states, ["skipped", "queued", "skipped"]);
    app.admin.drained().await;
    let objects = app.mock.connects().into_iter().map(|c| c.object.unwrap());
    assert_eq!(objects.collect::<Vec<_>>(), saves[1..2]);
    app.stop().await;
}

#[tokio::test]
async fn an_old_save_that_is_replayed_is_not_sent_after_a_newer_one() {
    let app = TestApp::builder().config(RECONNECT).start().await;
    map(&app, 1, "tkt-1").await;
    app.faults(&["status=403,path=connect,count=1"]);
    let old = app.save(save(5, "2026-05-01 10:00:05")).await;
    app.admin.wait_for_state(&old, "dead").await;
    let new = app.save(save(6, "2026-05-01 10:00:06")).await;
    app.admin.wait_for_state(&new, "connected").await;
    let calls = app.mock.connects().len();
    let path = format!("/events/{old}/replay");
    assert_eq!(app.admin.post(&path, &Value::Null).await.status, 202);
    let stands = app.admin.wait_for_state(&old, "skipped").await;
    assert_eq!(stands["reason"], "superseded");
    // A newer one that is replayed is sent.
    app.faults(&["status=403,path=connect,count=1"]);
    let newest = app.save(save(7, "2026-05-01 10:00:07")).await;
    app.admin.wait_for_state(&newest, "dead").await;
    let path = format!("/events/{newest}/replay");
    assert_eq!(app.admin.post(&path, &Value::Null).await.status, 202);
    app.admin.wait_for_state(&newest, "connected").await;
    assert_eq!(app.mock.connects().len(), calls + 2);
    app.stop().await;
}

#[tokio::test]
async fn an_import_sends_the_newest_save_as_a_mapping_does() {
    let app = TestApp::start().await;
    map(&app, 1, "tkt-1").await;
    for save in [
        save(90, "2026-05-01 10:00:05"),
        save(2, "2026-05-02 09:00:00"),
        save(1, "?"),
    ] {
        app.save(save).await;
    }
    app.admin.drained().await;
    let row = format!("servicenow,{},tkt-2\n", sys_id(1));
    assert_eq!(app.admin.import(&row).await.status, 200);
    app.admin.drained().await;
    let sent = app.mock.connects().pop().unwrap();
    assert_eq!(
        (sent.ticket_id.as_str(), sent.object),
        ("tkt-2", Some(save(2, "2026-05-02 09:00:00")))
    );
    app.stop().await;
}

#[tokio::test]
async fn a_changed_record_whose_call_ended_unclearly_is_sent_once_more() {
    let app = TestApp::builder().config(RECONNECT).start().await;
    map(&app, 1, "tkt-1").await;
    app.save(incident(1)).await;
    app.admin.drained().await;
    app.faults(&["reset,count=1"]);
    let changed = app.save(record("incident", 1, 2)).await;
    app.admin.wait_for_state(&changed, "connected").await;
    let sent = app.mock.connects().pop().unwrap();
    assert_eq!(sent.object, Some(record("incident", 1, 2)));
    assert_eq!(sent.answered, Some(200));
    app.stop().await;
}

fn messages(n: usize) -> Vec<Message> {
    let message = |n| Message {
        id: format!("msg-{n:04}"),
        content: "hello".to_owned(),
    };
    (0..n).map(message).collect()
}

fn ids(n: std::ops::Range<usize>) -> Vec<String> {
    n.map(|n| format!("msg-{n:04}")).collect()
}

/// The ids in the requests to `external-messages`.
fn registered(app: &TestApp) -> Vec<String> {
    let requests = app.mock.requests().into_iter();
    let bodies = requests.filter(|r| r.path.ends_with("/external-messages"));
    let ids = bodies.flat_map(|request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let messages = body["messages"].as_array().unwrap().clone();
        messages
            .into_iter()
            .map(|m| m["messageId"].as_str().unwrap().to_owned())
    });
    ids.collect()
}

#[tokio::test]
async fn messages_that_the_mapping_accounts_for_are_sent_the_rest_beside_the_connect() {
    for n in [3, 200, 450] {
        let app = TestApp::start().await;
        let body = json!({"ticket_id": "tkt-1", "accounted_for_message_ids": ids(0..n)});
        let path = format!("/mappings/servicenow/{}", sys_id(1));
        app.admin.put(&path, &body).await;
        let id = app.save(incident(1)).await;
        app.admin.wait_for_state(&id, "connected").await;
        let connect = app.mock.connects().remove(0);
        assert_eq!(connect.accounted_for_message_ids, ids(0..n.min(200)));
        assert_eq!(registered(&app), ids(n.min(200)..n));
        app.stop().await;
    }
}

#[tokio::test]
async fn all_messages_that_a_ticket_has_are_accounted_for_where_the_source_says_so() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\naccounted_for = \"all_existing\"")
        .start()
        .await;
    app.mock.set_messages("tkt-1", messages(1200));
    app.faults(&["503,count=1,path=messages"]);
    map(&app, 1, "tkt-1").await;
    let id = app.save(incident(1)).await;
    app.admin.wait_for_state(&id, "connected").await;
    let connects = app.mock.connects();
    assert_eq!(
        connects.len(),
        1,
        "nothing is sent before the messages are known"
    );
    assert_eq!(connects[0].accounted_for_message_ids, ids(0..200));
    assert_eq!(registered(&app), ids(200..1200));
    assert!(
        app.requests("GET", "/v2/tickets/tkt-1/messages") > 2,
        "page by page"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_pair_that_serval_has_already_is_seen_before_the_call_where_the_source_looks() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\ncheck_existing = true")
        .start()
        .await;
    let kind = "EXTERNAL_TICKET_SOURCE_TYPE_SERVICENOW";
    app.mock.add_link("tkt-1", &sys_id(1), kind);
    map(&app, 1, "tkt-1").await;
    map(&app, 2, "tkt-2").await;
    let linked = app.save(incident(1)).await;
    let event = app.admin.wait_for_state(&linked, "skipped").await;
    assert_eq!(event["reason"], "already_linked");
    let mapping = app.admin.mapping("servicenow", &sys_id(1)).await;
    assert!(!mapping["connected_at"].is_null());
    let new = app.save(incident(2)).await;
    app.admin.wait_for_state(&new, "connected").await;
    assert_eq!(app.connected_to(), ["tkt-2"]);
    app.stop().await;
}

#[tokio::test]
async fn a_pause_holds_a_call_whose_look_is_under_way() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\ncheck_existing = true")
        .start()
        .await;
    app.faults(&["latency=1s,path=external-tickets,count=1"]);
    map(&app, 1, "tkt-1").await;
    let id = app.save(incident(1)).await;
    let calls = async |n: u64| {
        eventually(&format!("{n} calls"), async || {
            (app.admin.stats().await["calls_in_flight"] == n).then_some(())
        })
        .await;
    };
    calls(1).await;
    let paused = app.admin.post("/connects/pause", &Value::Null).await;
    assert_eq!(paused.status, 200);
    calls(0).await;
    assert_eq!(app.connected_to(), [""; 0], "the look has ended");
    app.admin.post("/connects/resume", &Value::Null).await;
    app.admin.wait_for_state(&id, "connected").await;
    app.stop().await;
}

#[tokio::test]
async fn a_pair_that_a_look_after_a_doubtful_call_shows_is_connected() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\ncheck_existing = true")
        .start()
        .await;
    app.faults(&["drop,count=1"]);
    map(&app, 1, "tkt-1").await;
    let id = app.save(incident(1)).await;
    let event = app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(event["reason"], "already_linked");
    assert_eq!(app.connected_to(), ["tkt-1"]);
    app.stop().await;
}
