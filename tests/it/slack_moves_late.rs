//! What arrives under one id of a channel about what arrived under another one.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::bodies::{callback, slack_message};

const A: &str = "C0AAAAAAA";
const B: &str = "C0BBBBBBB";
const C: &str = "C0CCCCCCC";
const ROOT: &str = "1779146701.000001";
const NEW: &str = "the words that were left";

async fn send(app: &TestApp, body: String) {
    assert_eq!(app.webhooks.slack(body).send().await.status, 200);
}

/// The newest event.
async fn newest(app: &TestApp) -> Value {
    app.admin.events("source=slack").await.remove(0)
}

/// The event of the message that begins the thread.
async fn root(app: &TestApp) -> Value {
    let mut events = app.admin.events("source=slack").await.into_iter();
    let is_root = |event: &Value| {
        event["state"] != "ignored" && event["external_id"].as_str().unwrap().ends_with(ROOT)
    };
    let first = events.rfind(is_root).unwrap();
    app.admin.event(first["id"].as_str().unwrap()).await
}

async fn say(app: &TestApp, channel: &str, ts: &str, changes: Value) {
    let mut changes = changes;
    changes["channel"] = json!(channel);
    let body = slack_message(&format!("Ev{channel}{ts}"), ts, &changes);
    send(app, body).await;
}

async fn rename(app: &TestApp, (from, to): (&str, &str), event_id: &str) {
    let event = json!({
        "type": "channel_id_changed", "old_channel_id": from, "new_channel_id": to,
        "event_ts": "1779148300.001700",
    });
    send(app, callback(event_id, &event)).await;
}

async fn rename_all(app: &TestApp, moves: &[(&str, &str)]) {
    for (n, step) in moves.iter().enumerate() {
        rename(app, *step, &format!("EvMove{n}")).await;
    }
}

/// What is said about the first message of the thread later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Later {
    Deleted,
    /// Only the channel and the message are named.
    DeletedBare,
    Edited,
}

const LATER: [Later; 3] = [Later::Deleted, Later::DeletedBare, Later::Edited];

async fn tell(app: &TestApp, channel: &str, later: Later) {
    let held =
        |text: &str| json!({"type": "message", "user": "U061F7AUR", "text": text, "ts": ROOT});
    let event = match later {
        Later::Deleted => json!({
            "type": "message", "subtype": "message_deleted", "channel": channel,
            "deleted_ts": ROOT, "previous_message": held("old"), "ts": "1779146709.000001",
        }),
        Later::DeletedBare => json!({
            "type": "message", "subtype": "message_deleted", "channel": channel,
            "deleted_ts": ROOT, "ts": "1779146709.000001",
        }),
        Later::Edited => json!({
            "type": "message", "subtype": "message_changed", "channel": channel,
            "message": held(NEW), "previous_message": held("old"), "ts": "1779146709.000001",
        }),
    };
    send(app, callback("EvLater", &event)).await;
}

/// The first message is gone, or has its new text.
async fn check(app: &TestApp, later: Later, case: &str) {
    let event = root(app).await;
    if later == Later::Edited {
        assert_eq!(event["state"], "parked", "{case}");
        let body = event["body"].as_str().unwrap();
        assert!(body.contains(NEW), "{case}: {body}");
    } else {
        assert_eq!(event["reason"], "deleted", "{case}");
        assert_eq!(event["body"], Value::Null, "{case}");
    }
}

type Move = (&'static str, &'static str);

/// Moves of a channel whose message arrived under the id A, and the present id.
const PATHS: [(&[Move], &str); 7] = [
    (&[(A, B)], B),
    (&[(A, B), (B, C)], C),
    (&[(A, B), (B, A)], A),
    (&[(A, B), (B, A), (A, B)], B),
    (&[(A, B), (B, C), (C, A)], A),
    (&[(A, B), (B, C), (C, B)], B),
    // The notices arrive in another order.
    (&[(B, C), (A, B)], C),
];

#[tokio::test]
async fn what_arrives_under_an_old_id_after_the_move_is_about_the_moved_thread() {
    for (moves, present) in PATHS {
        let mut ids: Vec<&str> = moves.iter().flat_map(|(from, to)| [*from, *to]).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let case = format!("{moves:?} {id}");
            let thread = format!("{present}:{ROOT}");
            for later in LATER {
                let app = TestApp::start().await;
                say(&app, A, ROOT, json!({})).await;
                rename_all(&app, moves).await;
                assert_eq!(root(&app).await["external_id"], thread, "{case}");
                tell(&app, id, later).await;
                assert_eq!(newest(&app).await["external_id"], thread, "{case}");
                check(&app, later, &format!("{case} {later:?}")).await;
                app.stop().await;
            }
            let app = TestApp::start().await;
            rename_all(&app, moves).await;
            say(&app, id, ROOT, json!({})).await;
            assert_eq!(newest(&app).await["external_id"], thread, "{case}");
            say(
                &app,
                present,
                "1779146702.000001",
                json!({"thread_ts": ROOT}),
            )
            .await;
            let reply = newest(&app).await;
            assert_eq!(reply["external_id"], thread, "{case}");
            assert_eq!(reply["reason"], "superseded", "{case}");
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn what_arrived_under_two_ids_before_the_notice_is_joined_with_its_deletions_and_edits() {
    for (said, told) in [(A, B), (B, A)] {
        for later in LATER {
            for is_told_first in [false, true] {
                let case = format!("{said} {later:?} {is_told_first}");
                let app = TestApp::start().await;
                if is_told_first {
                    tell(&app, told, later).await;
                }
                say(&app, said, ROOT, json!({})).await;
                if !is_told_first {
                    tell(&app, told, later).await;
                }
                assert_eq!(root(&app).await["state"], "parked", "{case}");
                rename(&app, (A, B), "EvMove").await;
                check(&app, later, &case).await;
                app.admin
                    .map("slack", &format!("{B}:{ROOT}"), "tkt-1")
                    .await;
                app.admin.drained().await;
                let sent = usize::from(later == Later::Edited);
                assert_eq!(app.mock.connects().len(), sent, "{case}");
                app.stop().await;
            }
        }
    }
}

#[tokio::test]
async fn the_next_message_stands_in_for_one_that_is_found_deleted_at_the_move() {
    let app = TestApp::start().await;
    say(&app, A, ROOT, json!({})).await;
    say(&app, A, "1779146702.000001", json!({"thread_ts": ROOT})).await;
    tell(&app, B, Later::Deleted).await;
    assert_eq!(root(&app).await["state"], "parked");
    rename(&app, (A, B), "EvMove").await;
    assert_eq!(root(&app).await["reason"], "deleted");
    let parked = app.admin.list("/parked").await;
    assert_eq!(parked.len(), 1, "{parked:?}");
    app.stop().await;
}

#[tokio::test]
async fn of_several_edits_under_two_ids_the_last_one_counts() {
    let edit = |channel: &str, at: &str, text: &str| {
        let event = json!({
            "type": "message", "subtype": "message_changed", "channel": channel, "ts": at,
            "message": {"type": "message", "user": "U061F7AUR", "text": text, "ts": ROOT,
                "edited": {"user": "U061F7AUR", "ts": at}},
        });
        callback(&format!("Ev{at}"), &event)
    };
    for channels in [[A, B], [B, A]] {
        for ats in [
            ["1779146708.000001", "1779146709.000001"],
            ["1779146709.000001", "1779146708.000001"],
        ] {
            let app = TestApp::start().await;
            say(&app, A, ROOT, json!({})).await;
            for (channel, at) in channels.into_iter().zip(ats) {
                let text = if at == "1779146709.000001" {
                    NEW
                } else {
                    "a draft"
                };
                send(&app, edit(channel, at, text)).await;
            }
            rename(&app, (A, B), "EvMove").await;
            check(&app, Later::Edited, &format!("{channels:?} {ats:?}")).await;
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn a_direct_conversation_stays_one_under_all_its_ids() {
    let app = TestApp::start().await;
    say(&app, A, ROOT, json!({"channel_type": "mpim"})).await;
    rename(&app, (A, B), "EvMove").await;
    for (channel, ts) in [(A, "1779146702.000001"), (B, "1779146703.000001")] {
        let mention = json!({"type": "app_mention", "channel_type": null});
        say(&app, channel, ts, mention).await;
        let mention = newest(&app).await;
        assert_eq!(mention["reason"], "direct_message", "{channel}");
        assert_eq!(mention["external_id"], format!("{B}:{ts}"));
    }
    app.stop().await;
}

#[tokio::test]
async fn the_end_of_an_old_id_is_not_the_end_of_its_channel() {
    let app = TestApp::start().await;
    say(&app, A, ROOT, json!({})).await;
    rename(&app, (A, B), "EvMove").await;
    let gone = json!({"type": "channel_deleted", "channel": A, "event_ts": "1779146709.000001"});
    send(&app, callback("EvGone", &gone)).await;
    let event = root(&app).await;
    assert_eq!(event["state"], "parked");
    assert!(event["body"].is_string());
    app.stop().await;
}
