//! Group direct messages: whatever their ids begin with, in either order of the message and its mention.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::bodies::{callback, slack_message};

const ROOT: &str = "1779146751.061339";
const SECRET: &str = "between the three of us";
const IDS: [&str; 3] = ["C0GROUPDM", "G0GROUPDM", "CGROUPDM2"];
const TAKEN: &str = "\
    [sources.slack]\ndirect_messages = true\n\
    direct_message_target = { slackDm = { integrationId = \"dm\", targetUserType = \"X\" } }\n\
    channel_target = { slackChannel = { integrationId = \"channel\" } }";

fn message(channel: &str, ts: &str) -> String {
    let changes = json!({"channel": channel, "channel_type": "mpim", "text": SECRET});
    slack_message(&format!("EvMessage{ts}"), ts, &changes)
}

/// A mention says nothing about the kind of its conversation.
fn mention(channel: &str, ts: &str) -> String {
    let changes = json!({
        "type": "app_mention", "channel": channel, "channel_type": null, "text": SECRET,
    });
    slack_message(&format!("EvMention{ts}"), ts, &changes)
}

async fn tell(app: &TestApp, bodies: &[String]) {
    for body in bodies {
        assert_eq!(app.webhooks.slack(body.clone()).send().await.status, 200);
    }
}

/// State, reason and body of all events, in the order of arrival.
async fn kept(app: &TestApp) -> Vec<(Value, Value, Value)> {
    let mut kept = Vec::new();
    for event in app.admin.events("source=slack").await.iter().rev() {
        let event = app.admin.event(event["id"].as_str().unwrap()).await;
        let [state, reason, body] = ["state", "reason", "body"].map(|key| event[key].clone());
        kept.push((state, reason, body));
    }
    kept
}

#[tokio::test]
async fn nothing_is_kept_of_a_group_direct_message_that_nobody_asked_for() {
    let ignored = (json!("ignored"), json!("direct_message"), Value::Null);
    for channel in IDS {
        for mention_first in [true, false] {
            let app = TestApp::start().await;
            let mut twins = [mention(channel, ROOT), message(channel, ROOT)];
            if !mention_first {
                twins.reverse();
            }
            tell(&app, &twins).await;
            // Another thread of the conversation, of which only the mention comes.
            tell(&app, &[mention(channel, "1779146999.000100")]).await;
            assert_eq!(kept(&app).await, vec![ignored.clone(); 3], "{channel}");
            app.admin
                .map("slack", &format!("{channel}:{ROOT}"), "tkt-1")
                .await;
            app.admin.drained().await;
            assert_eq!(app.mock.connects().len(), 0, "{channel}");
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn mentions_of_a_conversation_that_turns_out_to_be_direct_lose_their_bodies_whatever_their_state()
 {
    let app = TestApp::start().await;
    let channel = "C0GROUPDM";
    tell(&app, &[mention(channel, "1.000001")]).await;
    app.admin
        .map("slack", &format!("{channel}:1.000001"), "tkt-1")
        .await;
    app.admin.drained().await;
    let neighbour = mention("C0GROUPDM5", "3.000001");
    tell(&app, &[mention(channel, "2.000001"), neighbour]).await;
    tell(&app, &[message(channel, "4.000001")]).await;
    let kept = kept(&app).await;
    let states: Vec<&Value> = kept.iter().map(|(state, ..)| state).collect();
    assert_eq!(states, ["connected", "ignored", "parked", "ignored"]);
    let bodies: Vec<bool> = kept.iter().map(|(.., body)| body.is_string()).collect();
    assert_eq!(bodies, [false, false, true, false]);
    app.stop().await;
}

#[tokio::test]
async fn a_deletion_in_a_group_direct_message_erases_where_ignored_bodies_are_kept() {
    let channel = "C0GROUPDM";
    let deletion = json!({
        "subtype": "message_deleted", "channel": channel, "channel_type": "mpim",
        "user": null, "text": null, "deleted_ts": ROOT,
        "previous_message": {"type": "message", "user": "U061F7AUR", "text": SECRET, "ts": ROOT},
    });
    let deletion = slack_message("EvDeletion", "1779146790.000100", &deletion);
    for deletion_first in [false, true] {
        let app = TestApp::builder()
            .config("[sources.slack]\nkeep_ignored_bodies = true")
            .start()
            .await;
        let other = message(channel, "1779146000.000100");
        let mut bodies = [message(channel, ROOT), deletion.clone()];
        if deletion_first {
            bodies.reverse();
        }
        tell(&app, &[other]).await;
        tell(&app, &bodies).await;
        let kept = kept(&app).await;
        let bodies: Vec<bool> = kept.iter().map(|(.., body)| body.is_string()).collect();
        assert_eq!(bodies, [true, false, false], "{deletion_first}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_source_that_takes_direct_messages_sends_those_of_groups_to_their_own_target() {
    for channel in IDS {
        for mention_first in [true, false] {
            let app = TestApp::builder().config(TAKEN).start().await;
            let mut twins = [mention(channel, ROOT), message(channel, ROOT)];
            if !mention_first {
                twins.reverse();
            }
            tell(&app, &twins).await;
            let thread = format!("{channel}:{ROOT}");
            app.admin.map("slack", &thread, "tkt-1").await;
            app.admin.drained().await;
            // The next thread has its mapping first: it is sent as it is stored.
            let next = "1779146999.000100";
            let thread = format!("{channel}:{next}");
            app.admin.map("slack", &thread, "tkt-2").await;
            tell(&app, &[mention(channel, next)]).await;
            app.admin.drained().await;
            let connects = app.mock.connects();
            assert_eq!(connects.len(), 2, "{channel}");
            for connect in connects {
                assert_eq!(connect.target["slackDm"]["integrationId"], "dm");
            }
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn a_message_says_what_its_conversation_is_except_in_a_shared_one() {
    for (is_shared, expected) in [(false, "parked"), (true, "ignored")] {
        let app = TestApp::start().await;
        tell(&app, &[message("C0GROUPDM", "1.000001")]).await;
        let channel = json!({"channel": "C0GROUPDM", "channel_type": "group"});
        let body = slack_message("EvConverted", "2.000001", &channel);
        let mut body: Value = serde_json::from_str(&body).unwrap();
        body["is_ext_shared_channel"] = json!(is_shared);
        tell(&app, &[body.to_string(), mention("C0GROUPDM", "3.000001")]).await;
        let kept = kept(&app).await;
        let states: Vec<&Value> = kept.iter().map(|(state, ..)| state).collect();
        assert_eq!(states, ["ignored", expected, expected], "{is_shared}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_replay_sends_no_mention_of_a_direct_conversation_unless_such_are_taken_now() {
    let kept_bodies = "[sources.slack]\nkeep_ignored_bodies = true";
    for channel in IDS {
        for mention_first in [true, false] {
            let mut app = TestApp::builder().config(kept_bodies).start().await;
            let mut twins = [mention(channel, ROOT), message(channel, ROOT)];
            if !mention_first {
                twins.reverse();
            }
            tell(&app, &twins).await;
            let thread = format!("{channel}:{ROOT}");
            app.admin.map("slack", &thread, "tkt-1").await;
            let many = json!({ "state": "ignored" });
            let counted = app.admin.post("/events/replay", &many).await.json();
            assert_eq!(counted["replayed"], 0, "{channel}");
            for event in app.admin.events("state=ignored").await {
                let path = format!("/events/{}/replay", event["id"].as_str().unwrap());
                assert_eq!(app.admin.post(&path, &Value::Null).await.status, 409);
            }
            app.admin.drained().await;
            assert_eq!(app.mock.connects().len(), 0, "{channel}");

            app.rewrite(TAKEN);
            assert_eq!(app.reload().await.status, 200);
            let counted = app.admin.post("/events/replay", &many).await.json();
            assert_eq!(counted["replayed"], 1, "{channel}");
            app.admin.drained().await;
            let connects = app.mock.connects();
            assert_eq!(connects.len(), 1, "{channel}");
            assert_eq!(connects[0].target["slackDm"]["integrationId"], "dm");
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn a_replay_knows_a_direct_conversation_that_moved_before_or_after_the_mention() {
    let channel = "C0GROUPDM";
    let event = json!({
        "type": "channel_id_changed", "old_channel_id": channel, "new_channel_id": "C0MOVED77",
        "event_ts": "1779148300.001700",
    });
    let moved = callback("EvMoved", &event);
    for moves_last in [true, false] {
        let app = TestApp::builder()
            .config("[sources.slack]\nkeep_ignored_bodies = true")
            .start()
            .await;
        let mut bodies = vec![message(channel, "1.000001"), mention(channel, ROOT)];
        bodies.insert(if moves_last { 2 } else { 1 }, moved.clone());
        tell(&app, &bodies).await;
        let thread = format!("C0MOVED77:{ROOT}");
        app.admin.map("slack", &thread, "tkt-1").await;
        for event in app.admin.events("state=ignored").await {
            let path = format!("/events/{}/replay", event["id"].as_str().unwrap());
            assert_eq!(app.admin.post(&path, &Value::Null).await.status, 409);
        }
        let many = json!({ "state": "ignored" });
        let counted = app.admin.post("/events/replay", &many).await.json();
        assert_eq!(counted["replayed"], 0, "{moves_last}");
        app.admin.drained().await;
        assert_eq!(app.mock.connects().len(), 0, "{moves_last}");
        app.stop().await;
    }
}
