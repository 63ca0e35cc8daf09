//! Slack channels that get a new id, and workspaces that share a source.

use serde_json::{Value, json};
use serval_connect::domain::event::{ChannelMove, ChannelNews, Disposition, NewEvent};
use serval_connect::domain::ids::ExternalId;
use serval_connect::sources::slack;
use serval_connect::store::Webhook;

use crate::gone::under_way;
use crate::store::{Bench, at, webhook};
use crate::support::bodies::{callback, slack_message};
use crate::support::{TestApp, database, eventually};

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

async fn waiting_unlinks(app: &TestApp) -> i64 {
    database::value(&app.database_url(), "SELECT COUNT(*) FROM disconnects").await
}

#[tokio::test]
async fn mappings_connections_and_parked_events_follow_their_channel() {
    let app = TestApp::start().await;
    let connected = say(&app, OLD, "1779146701.000001", Value::Null).await;
    app.admin
        .map("slack", &format!("{OLD}:1779146701.000001"), "tkt-1")
        .await;
    app.admin.wait_for_state(&connected, "connected").await;
    let parked = say(&app, OLD, "1779146702.000001", Value::Null).await;
    let neighbour = say(&app, "C9DDYQ1B45", "1779146702.000001", Value::Null).await;
    move_channel(&app, "EvMove").await;
    move_channel(&app, "EvMove").await;

    let mapping = app
        .admin
        .mapping("slack", &format!("{NEW}:1779146701.000001"))
        .await;
    assert_eq!(app.admin.list("/mappings").await.len(), 1);
    assert_eq!(mapping["ticket_id"], "tkt-1");
    assert!(!mapping["connected_at"].is_null());
    let reply = say(&app, NEW, "1779146703.000001", json!("1779146701.000001")).await;
    assert_eq!(reason(&app, &reply).await, "already_connected");

    let there = format!("{NEW}:1779146702.000001");
    assert_eq!(app.admin.event(&parked).await["external_id"], json!(there));
    app.admin.map("slack", &there, "tkt-2").await;
    app.admin.wait_for_state(&parked, "connected").await;
    assert_eq!(app.mock.connects()[1].external_id, there);
    let unmoved = app.admin.event(&neighbour).await;
    assert_eq!(unmoved["external_id"], "C9DDYQ1B45:1779146702.000001");
    app.stop().await;
}

#[tokio::test]
async fn what_slack_repeats_after_the_move_is_still_the_same_delivery() {
    let app = TestApp::start().await;
    let parked = say(&app, OLD, "1779146701.000001", Value::Null).await;
    move_channel(&app, "EvMove").await;
    let before = app.admin.events("source=slack").await.len();
    say(&app, OLD, "1779146701.000001", Value::Null).await;
    let after = app.admin.events("source=slack").await;
    assert_eq!(after.len(), before, "{after:?}");
    assert_eq!(app.admin.event(&parked).await["state"], "parked");
    app.stop().await;
}

#[tokio::test]
async fn what_is_parked_under_one_id_and_mapped_under_the_other_is_sent() {
    for (parked_in, mapped_in) in [(NEW, OLD), (OLD, NEW)] {
        let app = TestApp::start().await;
        let parked = say(&app, parked_in, "1779146701.000001", Value::Null).await;
        let mapped = format!("{mapped_in}:1779146701.000001");
        app.admin.map("slack", &mapped, "tkt-1").await;
        assert_eq!(reason(&app, &parked).await, "no_mapping");
        move_channel(&app, "EvMove").await;
        app.admin.wait_for_state(&parked, "connected").await;
        let connect = app.mock.connects().remove(0);
        assert_eq!(connect.external_id, format!("{NEW}:1779146701.000001"));
        app.stop().await;
    }
}

#[tokio::test]
async fn what_shares_a_commit_with_the_move_of_its_channel_moves_along() {
    let template = webhook(1, at(0));
    let thread = |channel: &str| -> ExternalId {
        let text = format!("{channel}:1779146701.000001");
        slack::KIND.parse_external_id(&text).unwrap()
    };
    let message = NewEvent {
        external_id: Some(thread(OLD)),
        subtype: None,
        ..template.events[0].clone()
    };
    let notice = NewEvent {
        disposition: Disposition::Ignore("channel_id_changed"),
        external_id: None,
        channel: Some(ChannelNews::Moved(ChannelMove {
            from: OLD.to_owned(),
            to: NEW.to_owned(),
        })),
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
async fn a_pair_that_is_wanted_under_the_new_id_is_not_unlinked_for_the_old_one() {
    let app = TestApp::start().await;
    let root = say(&app, OLD, "1779146701.000001", Value::Null).await;
    let (old, new) = (
        format!("{OLD}:1779146701.000001"),
        format!("{NEW}:1779146701.000001"),
    );
    app.admin.map("slack", &old, "tkt-1").await;
    app.admin.wait_for_state(&root, "connected").await;
    // Unlinks wait while calls are paused.
    app.admin.post("/connects/pause", &Value::Null).await;
    let path = format!("/mappings/slack/{old}?disconnect=true");
    let removed = app.admin.delete(&path).await;
    assert_eq!(removed.status, 204, "{removed:?}");
    app.admin.map("slack", &new, "tkt-1").await;
    assert_eq!(waiting_unlinks(&app).await, 1);
    move_channel(&app, "EvMove").await;
    assert_eq!(waiting_unlinks(&app).await, 0);
    app.stop().await;
}

#[tokio::test]
async fn of_a_thread_that_is_parked_under_both_ids_the_root_stays() {
    let app = TestApp::start().await;
    let root = say(&app, OLD, "1779146701.000001", Value::Null).await;
    let reply = say(&app, NEW, "1779146702.000001", json!("1779146701.000001")).await;
    move_channel(&app, "EvMove").await;
    assert_eq!(reason(&app, &reply).await, "superseded");
    let kept = app.admin.event(&root).await;
    assert_eq!(kept["state"], "parked");
    assert_eq!(kept["external_id"], format!("{NEW}:1779146701.000001"));
    app.stop().await;
}

#[tokio::test]
async fn a_thread_that_is_mapped_differently_under_both_ids_is_a_conflict_for_a_person() {
    for (old, new, has_conflict) in [
        ("tkt-old", "tkt-new", true),
        ("tkt-old", "tkt-other", true),
        ("tkt-one", "tkt-one", false),
    ] {
        for decision in ["keep", "replace"] {
            let app = TestApp::builder()
                .config("[sources.slack]\nseveral_per_ticket = true")
                .start()
                .await;
            say(&app, OLD, "1779146701.000001", Value::Null).await;
            app.admin
                .map("slack", &format!("{OLD}:1779146701.000001"), old)
                .await;
            app.admin
                .map("slack", &format!("{NEW}:1779146701.000001"), new)
                .await;
            app.admin.drained().await;
            move_channel(&app, "EvMove").await;
            move_channel(&app, "EvMove").await;
            let thread = format!("{NEW}:1779146701.000001");
            let mapping = app.admin.mapping("slack", &thread).await;
            assert_eq!(mapping["ticket_id"], new, "nothing is overwritten");
            assert_eq!(app.admin.list("/mappings").await.len(), 1);
            let conflicts = app.admin.list("/conflicts").await;
            assert_eq!(conflicts.len(), usize::from(has_conflict), "{old} {new}");
            let Some(conflict) = conflicts.first() else {
                app.stop().await;
                continue;
            };
            for (key, value) in [
                ("external_id", thread.as_str()),
                ("mapped_to", new),
                ("learned", old),
            ] {
                assert_eq!(conflict[key], value, "{key}");
            }
            let path = format!("/conflicts/{}", conflict["id"]);
            let answer = app.admin.post(&path, &json!({"decision": decision})).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let expected = if decision == "keep" { new } else { old };
            let mapping = app.admin.mapping("slack", &thread).await;
            assert_eq!(mapping["ticket_id"], expected);
            app.admin.drained().await;
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn an_archived_channel_releases_what_waits_for_it_and_a_deleted_one_its_words_too() {
    let notice = |subtype: &str| {
        let changes = json!({"subtype": subtype});
        slack_message("EvNotice", "1779146709.000001", &changes)
    };
    let event = |kind: &str| {
        let event =
            json!({"type": kind, "channel": OLD, "user": "U1", "event_ts": "1779146709.000001"});
        callback("EvEvent", &event)
    };
    for (body, reason, keeps_body) in [
        (notice("channel_archive"), "channel_archived", true),
        (notice("group_archive"), "channel_archived", true),
        (event("channel_archive"), "channel_archived", true),
        (event("group_archive"), "channel_archived", true),
        (event("channel_deleted"), "channel_deleted", false),
        (event("group_deleted"), "channel_deleted", false),
    ] {
        let app = TestApp::start().await;
        let parked = say(&app, OLD, "1779146701.000001", Value::Null).await;
        let neighbour = say(&app, "C9DDYQ1B45", "1779146702.000001", Value::Null).await;
        assert_eq!(app.webhooks.slack(body).send().await.status, 200);
        let released = app.admin.event(&parked).await;
        assert_eq!(released["state"], "skipped", "{reason}");
        assert_eq!(released["reason"], reason);
        assert_eq!(released["body"].is_string(), keeps_body, "{reason}");
        assert_eq!(app.admin.event(&neighbour).await["state"], "parked");
        assert_eq!(app.admin.list("/parked").await.len(), 1, "{reason}");
        app.admin
            .map("slack", &format!("{OLD}:1779146701.000001"), "tkt-1")
            .await;
        app.admin.drained().await;
        let sent = app.mock.connects().len();
        assert_eq!(sent, usize::from(keeps_body), "{reason}");
        app.stop().await;
    }
}

#[tokio::test]
async fn what_is_queued_for_a_deleted_channel_is_not_sent() {
    let app = TestApp::start().await;
    assert_eq!(
        app.admin.post("/connects/pause", &json!({})).await.status,
        200
    );
    app.admin
        .map("slack", &format!("{OLD}:1779146701.000001"), "tkt-1")
        .await;
    let queued = say(&app, OLD, "1779146701.000001", Value::Null).await;
    assert_eq!(app.admin.event(&queued).await["state"], "queued");
    let gone = json!({"type": "channel_deleted", "channel": OLD, "event_ts": "1779146709.000001"});
    let body = callback("EvGone", &gone);
    assert_eq!(app.webhooks.slack(body).send().await.status, 200);
    assert_eq!(reason(&app, &queued).await, "channel_deleted");
    app.admin.post("/connects/resume", &json!({})).await;
    app.admin.drained().await;
    assert_eq!(app.mock.connects().len(), 0);
    app.stop().await;
}

#[tokio::test]
async fn a_pair_that_a_call_makes_is_known_also_if_its_channel_ended_during_the_call() {
    let gone = json!({"type": "channel_deleted", "channel": OLD, "event_ts": "1779146709.000001"});
    let group = json!({"channel_type": "mpim"});
    for (end, fault, expected) in [
        (callback("EvGone", &gone), "latency=1500ms", true),
        (callback("EvGone", &gone), "500,latency=1500ms", false),
        (
            slack_message("EvGroup", "1779146709.000001", &group),
            "latency=1500ms",
            true,
        ),
    ] {
        let app = TestApp::builder().allow_pending().start().await;
        let thread = format!("{OLD}:1779146701.000001");
        app.faults(&[&format!("{fault},path=connect")]);
        app.admin.map("slack", &thread, "tkt-1").await;
        let mention = json!({"type": "app_mention", "channel_type": null});
        let mention = slack_message("EvMention", "1779146701.000001", &mention);
        assert_eq!(app.webhooks.slack(mention).send().await.status, 200);
        under_way(&app).await;
        assert_eq!(app.webhooks.slack(end).send().await.status, 200);
        let event = app.admin.events("source=slack").await.remove(1);
        assert!(event["state"] == "skipped" || event["state"] == "ignored");
        let after = eventually("the call is stored", async || {
            let after = app.admin.events("source=slack").await.remove(1);
            (after["attempts"] == 1).then_some(after)
        })
        .await;
        let mapping = app.admin.mapping("slack", &thread).await;
        assert_eq!(!mapping["connected_at"].is_null(), expected, "{fault}");
        assert_eq!(app.mock.links().len(), usize::from(expected));
        assert_eq!(after["reason"], event["reason"]);
        app.stop().await;
    }
}

#[tokio::test]
async fn what_only_refers_to_a_thread_lays_no_claim_to_it() {
    let app = TestApp::start().await;
    let edit = json!({
        "subtype": "message_changed", "user": null, "hidden": true,
        "message": {"type": "message", "ts": "1779146701.000001", "text": "other words"},
    });
    let foreign = slack_message("EvForeign", "1.500000", &edit);
    let foreign = foreign.replace("\"team_id\":\"T0BRIDGE1\"", "\"team_id\":\"T0OTHER\"");
    assert_eq!(app.webhooks.slack(foreign).send().await.status, 200);
    let ignored = app.admin.events("state=ignored").await.remove(0);
    assert_eq!(ignored["external_id"], "C9DDYQ1B4:1779146701.000001");
    let message = slack_message("EvOurs", "1779146701.000001", &Value::Null);
    assert_eq!(app.webhooks.slack(message).send().await.status, 200);
    assert_eq!(app.admin.events("state=parked").await.len(), 1);
    assert_eq!(app.admin.events("state=dead").await.len(), 0);
    app.stop().await;
}
