//! Slack channels that get a new id, and workspaces that share a source.

use serde_json::{Value, json};
use serval_connect::domain::event::{ChannelMove, Disposition, NewEvent};
use serval_connect::domain::ids::{ExternalId, SourceKind};
use serval_connect::store::Webhook;

use crate::store::{Bench, at, webhook};
use crate::support::TestApp;
use crate::support::bodies::{callback, slack_message};

const OLD: &str = "C9DDYQ1B4";
const NEW: &str = "C0NEW7777";

async fn say(app: &TestApp, channel: &str, ts: &str, thread_ts: Value) -> String {
    let changes = json!({"channel": channel, "thread_ts": thread_ts});
    let body = slack_message(&format!("Ev{channel}{ts}"), ts, &changes);
    assert_eq!(app.webhooks.slack(body).send().await.status, 200);
    let newest = app.admin.events("source=slack").await.remove(0);
    newest["id"].as_str().unwrap().to_owned()
}

async fn move_channel(app: &TestApp, event_id: &str) {
    let event = json!({
        "type": "channel_id_changed", "old_channel_id": OLD, "new_channel_id": NEW,
        "event_ts": "1779148300.001700",
    });
    let answer = app.webhooks.slack(callback(event_id, &event)).send().await;
    assert_eq!(answer.status, 200);
}

async fn reason(app: &TestApp, id: &str) -> Value {
    app.admin.event(id).await["reason"].take()
}

#[tokio::test]
async fn mappings_connections_and_parked_events_follow_their_channel() {
    let app = TestApp::start().await;
    let connected = say(&app, OLD, "1.000001", Value::Null).await;
    app.admin
        .map("slack", &format!("{OLD}:1.000001"), "tkt-1")
        .await;
    app.admin.wait_for_state(&connected, "connected").await;
    let parked = say(&app, OLD, "2.000001", Value::Null).await;
    let neighbour = say(&app, "C9DDYQ1B45", "2.000001", Value::Null).await;
    move_channel(&app, "EvMove").await;
    move_channel(&app, "EvMove").await;

    let old = format!("{OLD}:1.000001");
    assert_eq!(app.admin.mapping("slack", &old).await, Value::Null);
    let mapping = app.admin.mapping("slack", &format!("{NEW}:1.000001")).await;
    assert_eq!(mapping["ticket_id"], "tkt-1");
    assert!(!mapping["connected_at"].is_null());
    let reply = say(&app, NEW, "3.000001", json!("1.000001")).await;
    assert_eq!(reason(&app, &reply).await, "already_connected");

    let there = format!("{NEW}:2.000001");
    assert_eq!(app.admin.event(&parked).await["external_id"], json!(there));
    app.admin.map("slack", &there, "tkt-2").await;
    app.admin.wait_for_state(&parked, "connected").await;
    assert_eq!(app.mock.connects()[1].external_id, there);
    let unmoved = app.admin.event(&neighbour).await;
    assert_eq!(unmoved["external_id"], "C9DDYQ1B45:2.000001");
    app.stop().await;
}

#[tokio::test]
async fn what_slack_repeats_after_the_move_is_still_the_same_delivery() {
    let app = TestApp::start().await;
    let parked = say(&app, OLD, "1.000001", Value::Null).await;
    move_channel(&app, "EvMove").await;
    let before = app.admin.events("source=slack").await.len();
    say(&app, OLD, "1.000001", Value::Null).await;
    let after = app.admin.events("source=slack").await;
    assert_eq!(after.len(), before, "{after:?}");
    assert_eq!(app.admin.event(&parked).await["state"], "parked");
    app.stop().await;
}

#[tokio::test]
async fn what_is_parked_under_one_id_and_mapped_under_the_other_is_sent() {
    for (parked_in, mapped_in) in [(NEW, OLD), (OLD, NEW)] {
        let app = TestApp::start().await;
        let parked = say(&app, parked_in, "1.000001", Value::Null).await;
        let mapped = format!("{mapped_in}:1.000001");
        app.admin.map("slack", &mapped, "tkt-1").await;
        assert_eq!(reason(&app, &parked).await, "no_mapping");
        move_channel(&app, "EvMove").await;
        app.admin.wait_for_state(&parked, "connected").await;
        let connect = app.mock.connects().remove(0);
        assert_eq!(connect.external_id, format!("{NEW}:1.000001"));
        app.stop().await;
    }
}

#[tokio::test]
async fn what_shares_a_commit_with_the_move_of_its_channel_moves_along() {
    let template = webhook(1, at(0));
    let thread = |channel: &str| -> ExternalId {
        let text = format!("{channel}:1.000001");
        SourceKind::Slack.parse_external_id(&text).unwrap()
    };
    let message = NewEvent {
        external_id: Some(thread(OLD)),
        subtype: None,
        ..template.events[0].clone()
    };
    let notice = NewEvent {
        disposition: Disposition::Ignore("channel_id_changed"),
        external_id: None,
        channel_move: Some(ChannelMove {
            from: OLD.to_owned(),
            to: NEW.to_owned(),
        }),
        ..message.clone()
    };
    for events in [
        vec![message.clone(), notice.clone()],
        vec![notice, message.clone()],
    ] {
        let bench = Bench::open().await;
        let place = events.iter().position(|event| *event == message).unwrap();
        let source = "slack".parse().unwrap();
        let webhook = Webhook {
            source,
            events,
            ..template.clone()
        };
        let recorded = bench.store.record(webhook).await.unwrap();
        let stored = bench.store.event(recorded[place].id).await.unwrap();
        let external_id = stored.unwrap().row.external_id;
        assert_eq!(external_id.as_deref(), Some(thread(NEW).as_str()));
        bench.close().await;
    }
}

#[tokio::test]
async fn of_a_thread_that_is_parked_under_both_ids_the_root_stays() {
    let app = TestApp::start().await;
    let root = say(&app, OLD, "1.000001", Value::Null).await;
    let reply = say(&app, NEW, "2.000001", json!("1.000001")).await;
    move_channel(&app, "EvMove").await;
    assert_eq!(reason(&app, &reply).await, "superseded");
    let kept = app.admin.event(&root).await;
    assert_eq!(kept["state"], "parked");
    assert_eq!(kept["external_id"], format!("{NEW}:1.000001"));
    app.stop().await;
}

#[tokio::test]
async fn what_only_refers_to_a_thread_lays_no_claim_to_it() {
    let app = TestApp::start().await;
    let edit = json!({
        "subtype": "message_changed", "user": null, "hidden": true,
        "message": {"type": "message", "ts": "1.000001", "text": "other words"},
    });
    let foreign = slack_message("EvForeign", "1.500000", &edit);
    let foreign = foreign.replace("\"team_id\":\"T0BRIDGE1\"", "\"team_id\":\"T0OTHER\"");
    assert_eq!(app.webhooks.slack(foreign).send().await.status, 200);
    let ignored = app.admin.events("state=ignored").await.remove(0);
    assert_eq!(ignored["external_id"], "C9DDYQ1B4:1.000001");
    let message = slack_message("EvOurs", "1.000001", &Value::Null);
    assert_eq!(app.webhooks.slack(message).send().await.status, 200);
    assert_eq!(app.admin.events("state=parked").await.len(), 1);
    assert_eq!(app.admin.events("state=dead").await.len(), 0);
    app.stop().await;
}

#[tokio::test]
async fn a_second_workspace_with_the_same_thread_is_refused_for_good() {
    let app = TestApp::start().await;
    let first = say(&app, OLD, "1.000001", Value::Null).await;
    let foreign = slack_message("EvForeign", "2.000001", &json!({"thread_ts": "1.000001"}));
    let foreign = foreign.replace("\"team_id\":\"T0BRIDGE1\"", "\"team_id\":\"T0OTHER\"");
    assert_eq!(app.webhooks.slack(foreign).send().await.status, 200);
    let dead = app.admin.events("state=dead").await.remove(0);
    assert_eq!(dead["reason"], "team_conflict");
    let id = dead["id"].as_str().unwrap();

    let refused = app
        .admin
        .post(&format!("/events/{id}/replay"), &Value::Null)
        .await;
    let problem = refused.problem(409);
    assert!(
        problem["detail"].as_str().unwrap().contains("workspace"),
        "{problem}"
    );
    let many = app
        .admin
        .post("/events/replay", &json!({"state": "dead"}))
        .await;
    assert_eq!(many.json(), json!({"matched": 0, "replayed": 0}));
    // Nor does a mapping set it in motion.
    app.admin
        .map("slack", &format!("{OLD}:1.000001"), "tkt-1")
        .await;
    app.admin.wait_for_state(&first, "connected").await;
    app.admin
        .map("slack", &format!("{OLD}:1.000001"), "tkt-2")
        .await;
    app.admin.drained().await;
    assert_eq!(app.admin.event(id).await["state"], "dead");
    assert_eq!(app.connected_to(), ["tkt-1", "tkt-2"]);
    app.stop().await;
}
