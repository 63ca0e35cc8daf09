//! Edits and deletions of messages that tell less than they should: a mention that an edit created, and a
//! deletion that does not name its thread.

use serde_json::{Value, json};

use crate::support::bodies::{callback, slack_message};
use crate::support::{TestApp, database_bytes, eventually};

const ROOT: &str = "1779146751.000100";
const REPLY: &str = "1779146760.000300";
const THREAD: &str = "C9DDYQ1B4:1779146751.000100";
const OLD: &str = "the words of the first draft";
const NEW: &str = "<@U0BRIDGE1> the words of today";
const LATER: &str = "the words of tomorrow";

/// A mention of the message `ts` that was edited at `at`.
fn mention(event_id: &str, at: &str, changes: &Value) -> String {
    // A mention does not tell the kind of its channel.
    let mut event = json!({
        "type": "app_mention", "channel_type": null, "text": NEW, "edited": {"user": "U1", "ts": at},
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    slack_message(event_id, ROOT, &event)
}

fn first() -> String {
    mention("EvFirst", "1779146761.000000", &Value::Null)
}

/// The shortest form of a deletion: Slack documents no more than this.
fn deletion(ts: &str) -> String {
    let event = json!({
        "type": "message", "subtype": "message_deleted", "channel": "C9DDYQ1B4",
        "ts": "1779146790.000100", "deleted_ts": ts,
    });
    callback("EvGone", &event)
}

/// A pin repeats its message, and may leave out the thread.
fn pin(ts: &str) -> String {
    let message = json!({"type": "message", "user": "U061F7AUR", "text": OLD, "ts": ts});
    let event = json!({
        "type": "pin_added", "channel_id": "C9DDYQ1B4", "item": {"message": message},
    });
    callback("EvPin", &event)
}

fn reply() -> String {
    slack_message("EvReply", REPLY, &json!({"text": OLD, "thread_ts": ROOT}))
}

async fn send(app: &TestApp, bodies: &[String]) {
    for body in bodies {
        assert_eq!(app.webhooks.slack(body.clone()).send().await.status, 200);
    }
}

/// State and reason of the events, in the order of arrival.
async fn states(app: &TestApp) -> Vec<String> {
    let mut events = app.admin.events("").await;
    events.reverse();
    let text = |event: &Value| format!("{} {}", event["state"], event["reason"]).replace('"', "");
    events.iter().map(text).collect()
}

fn texts_sent(app: &TestApp) -> Vec<String> {
    let connects = app.mock.connects().into_iter();
    let texts = connects.map(|connect| {
        let object: Value = serde_json::from_str(connect.object.as_deref().unwrap()).unwrap();
        object["text"].as_str().unwrap().to_owned()
    });
    texts.collect()
}

async fn until_forgotten(app: &TestApp, words: &str) {
    eventually("the words are gone from the files", async || {
        let bytes = database_bytes(&app.database_url());
        let is_there = bytes.windows(words.len()).any(|w| w == words.as_bytes());
        (!is_there).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_mention_that_an_edit_created_is_a_message_and_an_edit_only_of_one_that_is_known() {
    let again = mention("EvAgain", "1779146762.000000", &json!({"text": LATER}));
    let original = slack_message("EvOriginal", ROOT, &json!({"text": OLD}));
    let by_bot = json!({"text": NEW, "bot_id": "B1", "user": null});
    let parked = "parked no_mapping";
    for (order, expected, text) in [
        (vec![first()], vec![parked], NEW),
        (vec![first(), first()], vec![parked], NEW),
        (
            vec![first(), again.clone()],
            vec![parked, "ignored edited"],
            LATER,
        ),
        (
            vec![original.clone(), first()],
            vec![parked, "ignored edited"],
            NEW,
        ),
        (
            vec![first(), original.clone()],
            vec![parked, "skipped duplicate"],
            NEW,
        ),
        (
            vec![first(), again, original],
            vec![parked, "ignored edited", "skipped duplicate"],
            LATER,
        ),
        (
            vec![mention("EvBot", "1779146761.000000", &by_bot)],
            vec!["ignored edited"],
            "",
        ),
        // A message that something else only repeats is not known by that.
        (vec![pin(ROOT), first()], vec!["ignored pin", parked], NEW),
        (
            vec![reply(), first()],
            vec!["skipped superseded", parked],
            NEW,
        ),
    ] {
        let has_reply = order.contains(&reply());
        let app = TestApp::start().await;
        send(&app, &order).await;
        assert_eq!(states(&app).await, expected, "{order:?}");
        if !has_reply {
            until_forgotten(&app, OLD).await;
        }
        app.admin.map("slack", THREAD, "tkt-1").await;
        app.admin.drained().await;
        let sent = texts_sent(&app);
        let expected: &[&str] = if text.is_empty() { &[] } else { &[text] };
        assert_eq!(sent, expected, "{order:?}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_mention_that_an_edit_created_is_sent_at_once_and_goes_when_it_is_deleted() {
    let app = TestApp::start().await;
    app.admin.map("slack", THREAD, "tkt-1").await;
    send(&app, &[first()]).await;
    app.admin.drained().await;
    assert_eq!(texts_sent(&app), [NEW]);
    send(&app, &[deletion(ROOT)]).await;
    until_forgotten(&app, NEW).await;
    send(&app, &[first().replace("EvFirst", "EvLate")]).await;
    let late = "ignored edited";
    assert_eq!(
        states(&app).await,
        ["connected null", "ignored deleted", late]
    );
    app.stop().await;
}

#[tokio::test]
async fn a_group_message_that_an_edit_makes_a_mention_is_kept_no_more_than_others() {
    let app = TestApp::start().await;
    let group = json!({"type": "message", "channel_type": "mpim", "text": "before"});
    send(&app, &[slack_message("EvGroup", REPLY, &group), first()]).await;
    let direct = "ignored direct_message";
    assert_eq!(states(&app).await, [direct, direct]);
    until_forgotten(&app, NEW).await;
    app.stop().await;
}

#[tokio::test]
async fn a_deletion_that_names_no_thread_reaches_the_reply() {
    let root = || slack_message("EvRoot", ROOT, &json!({"text": NEW}));
    let elsewhere = reply()
        .replace("C9DDYQ1B4", "C9DDYQ1B5")
        .replace("EvReply", "EvElse");
    let parked = "parked no_mapping";
    for (order, expected, is_gone) in [
        (
            vec![reply(), deletion(REPLY)],
            vec!["skipped deleted", "ignored deleted"],
            true,
        ),
        (
            vec![root(), reply(), deletion(REPLY)],
            vec![parked, "skipped superseded", "ignored deleted"],
            true,
        ),
        (
            vec![pin(REPLY), reply(), deletion(REPLY)],
            vec!["ignored pin", "skipped deleted", "ignored deleted"],
            true,
        ),
        (
            vec![elsewhere, deletion(REPLY)],
            vec![parked, "ignored deleted"],
            false,
        ),
        (
            vec![reply(), deletion("1779146761.000000")],
            vec![parked, "ignored deleted"],
            false,
        ),
    ] {
        let app = TestApp::start().await;
        send(&app, &order).await;
        assert_eq!(states(&app).await, expected, "{order:?}");
        if is_gone {
            until_forgotten(&app, OLD).await;
            let events = app.admin.events("").await;
            assert_eq!(events[0]["external_id"], THREAD, "{order:?}");
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn a_mention_of_a_bot_that_an_edit_created_connects_by_a_replay_once_the_bot_is_trusted() {
    const KEPT: &str = "[sources.slack]\nkeep_ignored_bodies = true";
    let by_bot = json!({"bot_id": "B0HELPER", "user": null});
    let mentioned = mention("EvMention", "1779146761.000000", &by_bot);
    let original = json!({"text": OLD, "bot_id": "B0HELPER", "user": null});
    let original = slack_message("EvOriginal", ROOT, &original);
    // What arrived, whether all are replayed at once, and what becomes of each.
    for (order, many, expected, text) in [
        (vec![mentioned.clone()], false, vec!["connected null"], NEW),
        (vec![mentioned.clone()], true, vec!["connected null"], NEW),
        (
            vec![original.clone(), mentioned.clone()],
            true,
            vec!["skipped superseded", "connected null"],
            NEW,
        ),
        // The message was sent before: this is an edit of it.
        (
            vec![original, mentioned],
            false,
            vec!["connected null", "ignored edited"],
            OLD,
        ),
    ] {
        let mut app = TestApp::builder().config(KEPT).start().await;
        send(&app, &order).await;
        app.admin.map("slack", THREAD, "tkt-1").await;
        app.rewrite(&format!("{KEPT}\ntrusted_apps = ['B0HELPER']"));
        assert_eq!(app.reload().await.status, 200);
        if many {
            let many = json!({ "state": "ignored" });
            let counted = app.admin.post("/events/replay", &many).await.json();
            assert_eq!(counted["replayed"], 1, "{order:?}");
        } else {
            let mut events = app.admin.events("").await;
            events.reverse();
            for event in events {
                let path = format!("/events/{}/replay", event["id"].as_str().unwrap());
                assert_eq!(app.admin.post(&path, &Value::Null).await.status, 202);
                app.admin.drained().await;
            }
        }
        app.admin.drained().await;
        assert_eq!(texts_sent(&app), [text], "{order:?}");
        assert_eq!(states(&app).await, expected, "{order:?}");
        app.stop().await;
    }
}
