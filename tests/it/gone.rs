//! Deleted and edited messages, deleted records: what waits is not sent, or is sent as it is now, and
//! the old text leaves the database.

use serde_json::{Value, json};
use serval_connect::domain::event::{Disposition, EventState};
use serval_connect::domain::report::Report;
use serval_connect::rehearsal::mock_serval::{Endpoint, Journal};
use serval_connect::store::{Settlement, Webhook};

use crate::store::{Bench, LEASE, at, webhook};
use crate::support::bodies::{callback, incident_with, slack_message, sys_id};
use crate::support::{TestApp, database_bytes, eventually};

const ROOT: &str = "1779146751.000100";
const REPLY: &str = "1779146760.000300";
const THREAD: &str = "C9DDYQ1B4:1779146751.000100";
/// What somebody took back.
const OLD: &str = "the words that were taken back";
const NEW: &str = "the words that were left";

fn root(text: &str) -> String {
    slack_message("EvRoot", ROOT, &json!({"text": text}))
}

fn reply(text: &str) -> String {
    let changes = json!({"text": text, "thread_ts": ROOT});
    slack_message("EvReply", REPLY, &changes)
}

/// The same message, announced as a mention.
fn mention(text: &str) -> String {
    slack_message(
        "EvMention",
        ROOT,
        &json!({"type": "app_mention", "text": text}),
    )
}

/// The message `ts` as Slack repeats it in an event about it.
fn held(ts: &str, text: &str) -> Value {
    let mut message = json!({"type": "message", "user": "U061F7AUR", "text": text, "ts": ts});
    if ts == REPLY {
        message["thread_ts"] = json!(ROOT);
    }
    message
}

fn deleted(event_id: &str, ts: &str) -> String {
    let event = json!({
        "type": "message", "subtype": "message_deleted", "hidden": true, "channel": "C9DDYQ1B4",
        "channel_type": "channel", "ts": "1779146790.000100", "deleted_ts": ts,
        "previous_message": held(ts, OLD),
    });
    callback(event_id, &event)
}

/// The root of a thread that has replies was deleted.
fn buried(event_id: &str) -> String {
    let event = json!({
        "type": "message", "subtype": "message_changed", "hidden": true, "channel": "C9DDYQ1B4",
        "channel_type": "channel", "ts": "1779146790.000100",
        "message": {"type": "message", "subtype": "tombstone", "user": "USLACKBOT",
            "text": "This message was deleted.", "ts": ROOT, "thread_ts": ROOT},
        "previous_message": held(ROOT, OLD),
    });
    callback(event_id, &event)
}

fn edited(event_id: &str, ts: &str, at: &str, text: &str) -> String {
    let mut message = held(ts, text);
    message["edited"] = json!({"user": "U061F7AUR", "ts": at});
    let event = json!({
        "type": "message", "subtype": "message_changed", "hidden": true, "channel": "C9DDYQ1B4",
        "channel_type": "channel", "ts": at, "message": message,
        "previous_message": held(ts, OLD),
    });
    callback(event_id, &event)
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

async fn bodies(app: &TestApp) -> Vec<Value> {
    let mut bodies = Vec::new();
    for event in app.admin.events("").await.iter().rev() {
        bodies.push(app.admin.event(event["id"].as_str().unwrap()).await["body"].clone());
    }
    bodies
}

fn texts_sent(app: &TestApp) -> Vec<String> {
    let connects = app.mock.connects().into_iter();
    let objects = connects.map(|connect| {
        let object: Value = serde_json::from_str(connect.object.as_deref().unwrap()).unwrap();
        let text = object.get("text").or(object.get("short_description"));
        text.unwrap().as_str().unwrap().to_owned()
    });
    objects.collect()
}

/// A call is under way.
pub(crate) async fn under_way(app: &TestApp) {
    // Serval has the request: before that, a deletion would keep the call from being made.
    eventually("the call", async || {
        let calls = |journal: &Journal| journal.requests_to(Endpoint::Connect);
        (app.mock.look(calls) == 1).then_some(())
    })
    .await;
}

/// The old text is in none of the database's files.
async fn until_forgotten(app: &TestApp) {
    eventually("the old text is gone from the files", async || {
        let bytes = database_bytes(&app.database_url());
        let is_there = bytes.windows(OLD.len()).any(|w| w == OLD.as_bytes());
        (!is_there).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_deleted_message_is_not_sent_whatever_arrived_first() {
    for (order, expected) in [
        (
            vec![root(OLD), deleted("EvGone", ROOT)],
            ["skipped deleted", "ignored deleted"],
        ),
        (
            vec![deleted("EvGone", ROOT), root(OLD)],
            ["ignored deleted", "skipped deleted"],
        ),
        (
            vec![root(OLD), buried("EvGone")],
            ["skipped deleted", "ignored root_deleted"],
        ),
        (
            vec![buried("EvGone"), root(OLD)],
            ["ignored root_deleted", "skipped deleted"],
        ),
    ] {
        let app = TestApp::builder()
            .config("[sources.slack]\nkeep_ignored_bodies = true")
            .start()
            .await;
        send(&app, &order).await;
        assert_eq!(states(&app).await, expected);
        assert_eq!(bodies(&app).await, [Value::Null, Value::Null]);
        assert!(app.admin.list("/parked").await.is_empty());
        until_forgotten(&app).await;
        app.admin.map("slack", THREAD, "tkt-1").await;
        app.admin.drained().await;
        assert!(app.mock.connects().is_empty());
        // The thread goes on.
        send(&app, &[reply(NEW)]).await;
        app.admin.drained().await;
        assert_eq!(texts_sent(&app), [NEW]);
        app.stop().await;
    }
}

#[tokio::test]
async fn an_edited_message_is_sent_as_it_is_now_whatever_arrived_first() {
    let first = edited("EvFirst", ROOT, "1779146761.000200", "a draft");
    let second = edited("EvSecond", ROOT, "1779146762.000200", NEW);
    let again = slack_message(
        "EvAgain",
        ROOT,
        &json!({"type": "app_mention", "text": NEW, "edited": {"ts": "1779146762.000200"}}),
    );
    for order in [
        vec![root(OLD), second.clone()],
        vec![second.clone(), root(OLD)],
        vec![root(OLD), first.clone(), second.clone()],
        vec![root(OLD), second.clone(), first.clone()],
        vec![first.clone(), root(OLD), second.clone()],
        vec![second.clone(), first.clone(), root(OLD)],
        vec![root(OLD), again.clone()],
        vec![again, root(OLD)],
        vec![root(OLD), second.clone(), mention(OLD)],
        vec![mention(OLD), root(OLD), second],
    ] {
        let app = TestApp::start().await;
        send(&app, &order).await;
        let parked = app.admin.list("/parked").await;
        assert_eq!(
            (parked.len(), &parked[0]["title"]),
            (1, &json!(NEW)),
            "{order:?}"
        );
        until_forgotten(&app).await;
        app.admin.map("slack", THREAD, "tkt-1").await;
        app.admin.drained().await;
        assert_eq!(texts_sent(&app), [NEW], "{order:?}");
        app.stop().await;
    }
}

#[tokio::test]
async fn of_a_thread_only_the_deleted_message_goes() {
    // What arrives, and what is sent when the thread is mapped before or after the deletion.
    for (order, sent) in [
        (vec![root(OLD), reply(NEW), buried("EvGone")], NEW),
        (vec![reply(OLD), deleted("EvGone", REPLY), root(NEW)], NEW),
        (vec![root(NEW), reply(OLD), deleted("EvGone", REPLY)], NEW),
        (vec![buried("EvGone"), reply(NEW), root(OLD)], NEW),
    ] {
        for maps_first in [false, true] {
            let app = TestApp::start().await;
            app.admin.post("/connects/pause", &Value::Null).await;
            let (last, before) = order.split_last().unwrap();
            send(&app, before).await;
            if maps_first {
                app.admin.map("slack", THREAD, "tkt-1").await;
            }
            send(&app, std::slice::from_ref(last)).await;
            if !maps_first {
                let parked = app.admin.list("/parked").await;
                assert_eq!(
                    (parked.len(), &parked[0]["title"]),
                    (1, &json!(sent)),
                    "{order:?}"
                );
                app.admin.map("slack", THREAD, "tkt-1").await;
            }
            until_forgotten(&app).await;
            app.admin.post("/connects/resume", &Value::Null).await;
            app.admin.drained().await;
            assert_eq!(texts_sent(&app), [sent], "{order:?} {maps_first}");
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn a_message_that_was_connected_is_forgotten_or_changed_for_the_next_mapping() {
    for (last, sent) in [
        (deleted("EvGone", ROOT), &[OLD][..]),
        (edited("EvNew", ROOT, "1779146761.000200", NEW), &[OLD, NEW]),
    ] {
        let app = TestApp::start().await;
        app.admin.map("slack", THREAD, "tkt-1").await;
        send(&app, &[root(OLD)]).await;
        app.admin.drained().await;
        send(&app, &[last]).await;
        assert_eq!(states(&app).await[0], "connected null");
        until_forgotten(&app).await;
        app.admin.map("slack", THREAD, "tkt-2").await;
        app.admin.drained().await;
        assert_eq!(texts_sent(&app), sent);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_message_that_is_deleted_during_its_call_ends_with_the_call() {
    for (fault, state) in [
        ("latency=1500ms,path=connect", "connected null"),
        ("500,count=1,latency=1500ms,path=connect", "skipped deleted"),
    ] {
        let app = TestApp::builder().allow_pending().start().await;
        app.admin.map("slack", THREAD, "tkt-1").await;
        app.faults(&[fault]);
        send(&app, &[root(OLD)]).await;
        under_way(&app).await;
        send(&app, &[deleted("EvGone", ROOT)]).await;
        eventually(state, async || {
            (states(&app).await[0] == state).then_some(())
        })
        .await;
        until_forgotten(&app).await;
        assert_eq!(texts_sent(&app).len(), 1);
        app.stop().await;
    }
}

#[tokio::test]
async fn what_waits_for_its_turn_is_looked_at_again_before_its_call() {
    // One call per second: the claims of the later events wait in memory.
    let app = TestApp::builder()
        .config("[delivery]\nrate = 1\nconcurrency = 8")
        .start()
        .await;
    for n in 1..=4 {
        app.admin
            .map("servicenow", &sys_id(n), &format!("tkt-{n}"))
            .await;
    }
    app.admin.map("slack", THREAD, "tkt-slack").await;
    for n in 1..=3 {
        app.save(incident_with(n, 1, &json!({"short_description": OLD})))
            .await;
    }
    send(&app, &[root(OLD)]).await;
    let body = json!({"table": "incident", "operation": "delete",
        "record": {"sys_id": sys_id(3), "sys_class_name": "incident"}});
    assert_eq!(
        app.webhooks
            .servicenow(body.to_string())
            .send()
            .await
            .status,
        202
    );
    send(&app, &[edited("EvEdit", ROOT, "1779146795.000100", NEW)]).await;
    app.admin.drained().await;
    let objects = app
        .mock
        .connects()
        .into_iter()
        .map(|call| call.object.unwrap());
    let objects: Vec<String> = objects.collect();
    assert_eq!(objects.len(), 3, "{objects:?}");
    assert!(!objects.iter().any(|object| object.contains(&sys_id(3))));
    let message = objects.iter().find(|object| object.contains(ROOT)).unwrap();
    assert!(message.contains(NEW) && !message.contains(OLD), "{message}");
    app.stop().await;
}

#[tokio::test]
async fn the_next_message_stands_in_for_one_that_is_deleted_during_its_call() {
    let app = TestApp::builder().allow_pending().start().await;
    send(&app, &[root(OLD), reply(NEW)]).await;
    app.faults(&["500,count=1,latency=1500ms,path=connect"]);
    app.admin.map("slack", THREAD, "tkt-1").await;
    under_way(&app).await;
    send(&app, &[deleted("EvGone", ROOT)]).await;
    app.admin.drained().await;
    assert_eq!(
        states(&app).await[..2],
        ["skipped deleted", "connected null"]
    );
    until_forgotten(&app).await;
    assert_eq!(texts_sent(&app), [OLD, NEW]);
    app.stop().await;
}

#[tokio::test]
async fn what_a_deletion_sees_in_the_queue_and_what_the_next_start_finds() {
    let mut app = TestApp::start().await;
    app.admin.post("/connects/pause", &Value::Null).await;
    app.admin.map("slack", THREAD, "tkt-1").await;
    send(&app, &[root(OLD), reply(NEW), deleted("EvGone", ROOT)]).await;
    assert_eq!(states(&app).await[..2], ["skipped deleted", "queued null"]);
    app.restart().await;
    app.admin.post("/connects/resume", &Value::Null).await;
    app.admin.drained().await;
    assert_eq!(texts_sent(&app), [NEW]);
    app.stop().await;
}

#[tokio::test]
async fn edits_and_deletions_of_what_is_not_kept_leave_nothing() {
    let app = TestApp::start().await;
    let direct = |body: String| {
        body.replace("C9DDYQ1B4", "D9DDYQ1B4")
            .replace("\"channel\"", "\"im\"")
    };
    let of_bot = |body: String| body.replace("\"user\":\"U061F7AUR\"", "\"bot_id\":\"B0OTHER\"");
    let edit = |id: &str| edited(id, ROOT, "1779146761.000200", OLD);
    send(&app, &[of_bot(edit("EvBot")), deleted("EvGone", ROOT)]).await;
    let private = direct(edit("EvDirect")).replace("\"im\":\"D9", "\"channel\":\"D9");
    send(&app, &[private]).await;
    assert_eq!(bodies(&app).await, [Value::Null, Value::Null, Value::Null]);
    until_forgotten(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn what_repeats_a_deleted_message_goes_with_it_also_where_ignored_bodies_are_kept() {
    let of_bot = |body: String| body.replace("\"user\":\"U061F7AUR\"", "\"bot_id\":\"B0OTHER\"");
    let update = json!({
        "type": "message", "subtype": "message_replied", "channel": "C9DDYQ1B4",
        "ts": "1779146780.000100", "message": held(ROOT, OLD),
    });
    let pin = json!({
        "type": "pin_added", "channel_id": "C9DDYQ1B4", "event_ts": "1779146781.000100",
        "item": {"type": "message", "channel": "C9DDYQ1B4", "message": held(ROOT, OLD)},
    });
    let notice = json!({
        "type": "message", "subtype": "message_changed", "channel": "C9DDYQ1B4",
        "ts": "1779146782.000100", "previous_message": held(ROOT, OLD),
        "message": {"type": "message", "subtype": "reminder_add", "ts": ROOT, "text": OLD},
    });
    let about = [
        of_bot(root(OLD)),
        of_bot(edited("EvBot", ROOT, "1779146761.000200", OLD)),
        callback("EvUpdate", &update),
        callback("EvPin", &pin),
        callback("EvNotice", &notice),
    ];
    for deletion_first in [false, true] {
        let app = TestApp::builder()
            .config("[sources.slack]\nkeep_ignored_bodies = true")
            .start()
            .await;
        if deletion_first {
            send(&app, &[deleted("EvGone", ROOT)]).await;
        }
        send(&app, &about).await;
        if !deletion_first {
            assert!(bodies(&app).await.iter().all(Value::is_string));
            send(&app, &[deleted("EvGone", ROOT)]).await;
        }
        assert_eq!(bodies(&app).await, vec![Value::Null; about.len() + 1]);
        until_forgotten(&app).await;
        app.stop().await;
    }
}

/// A save of the incident 1.
fn save(count: u32, text: &str) -> String {
    let updated_on = format!("2026-05-01 10:00:{count:02}");
    let columns = json!({"short_description": text, "sys_updated_on": updated_on});
    incident_with(1, count, &columns)
}

fn removed(record: &str) -> String {
    format!(r#"{{"operation":"delete","table":"incident","record":{record}}}"#)
}

#[tokio::test]
async fn a_deleted_record_is_not_sent_unless_it_was_saved_again_later() {
    for (order, expected) in [
        (vec![save(1, OLD), removed(&save(1, OLD))], None),
        (vec![removed(&save(2, OLD)), save(1, OLD)], None),
        (vec![removed(&save(2, OLD)), save(2, OLD)], None),
        (
            vec![save(1, OLD), save(2, OLD), removed(&save(2, OLD))],
            None,
        ),
        // It was restored.
        (
            vec![save(1, OLD), removed(&save(1, OLD)), save(2, NEW)],
            Some(NEW),
        ),
        (
            vec![save(1, OLD), save(3, NEW), removed(&save(2, OLD))],
            Some(NEW),
        ),
    ] {
        for maps_first in [false, true] {
            let app = TestApp::start().await;
            app.admin.post("/connects/pause", &Value::Null).await;
            if maps_first {
                app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
            }
            for body in &order {
                assert_eq!(
                    app.webhooks.servicenow(body.clone()).send().await.status,
                    202
                );
            }
            until_forgotten(&app).await;
            if !maps_first {
                let parked = app.admin.list("/parked").await;
                assert_eq!(parked.len(), usize::from(expected.is_some()), "{order:?}");
                app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
            }
            app.admin.post("/connects/resume", &Value::Null).await;
            app.admin.drained().await;
            let expected: Vec<&str> = expected.into_iter().collect();
            assert_eq!(texts_sent(&app), expected, "{order:?} {maps_first}");
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn a_record_that_was_deleted_after_its_connect_is_not_sent_to_another_ticket() {
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.save(save(1, OLD)).await;
    app.admin.drained().await;
    app.save(removed(&save(1, OLD))).await;
    until_forgotten(&app).await;
    app.admin.map("servicenow", &sys_id(1), "tkt-2").await;
    app.admin.drained().await;
    assert_eq!(app.connected_to(), ["tkt-1"]);
    app.stop().await;
}

#[tokio::test]
async fn an_edit_that_came_first_counts_also_where_the_worker_is_idle() {
    let app = TestApp::start().await;
    app.admin.map("slack", THREAD, "tkt-1").await;
    let edit = edited("EvNew", ROOT, "1779146761.000200", NEW);
    send(&app, &[edit, root(OLD)]).await;
    app.admin.drained().await;
    assert_eq!(texts_sent(&app), [NEW]);
    until_forgotten(&app).await;
    app.stop().await;
}

/// The deletion of the record of [`webhook`].
fn deletion(n: u32) -> Webhook {
    let mut webhook = webhook(n, at(2));
    webhook.events[0].disposition = Disposition::Ignore("deleted");
    webhook.events[0].report = Report::Deletion;
    webhook.events[0].content_key = None;
    webhook
}

#[tokio::test]
async fn however_a_call_ends_its_deleted_record_is_not_sent_again() {
    let retry = Settlement::Retry {
        at: at(3),
        asked: false,
        counts: true,
        in_doubt: true,
        error: "500".to_owned(),
    };
    let release = Settlement::Release {
        in_doubt: true,
        error: None,
    };
    let park = Settlement::Park { until: at(1000) };
    for end in [Some(retry), Some(release), Some(park), None] {
        let bench = Bench::open().await;
        let id = bench.queued(1).await;
        let claim = bench.claim(1, at(1)).await.remove(0);
        bench.store.record(deletion(1)).await.unwrap();
        assert_eq!(
            bench.state(id).await,
            EventState::Queued,
            "the call is under way"
        );
        let ends_at = match end {
            Some(end) => {
                bench.store.settle(&claim, None, end, at(2)).await.unwrap();
                at(4)
            }
            // Nobody ends it: the process is killed.
            None => at(1) + LEASE * 2,
        };
        assert!(bench.claim(1, ends_at).await.is_empty());
        let event = bench.store.event(id).await.unwrap().unwrap();
        assert_eq!(
            (event.row.state, event.row.reason.as_deref()),
            (EventState::Skipped, Some("deleted"))
        );
        bench.close().await;
    }
}

#[tokio::test]
async fn a_save_and_its_deletion_may_share_a_commit() {
    for maps in [false, true] {
        for deletion_first in [false, true] {
            let bench = Bench::open().await;
            if maps {
                bench.map(1, "tkt-1").await;
            }
            let mut both = webhook(1, at(0));
            let mut events = vec![both.events[0].clone(), deletion(1).events.remove(0)];
            if deletion_first {
                events.reverse();
            }
            both.events = events;
            let recorded = bench.store.record(both).await.unwrap();
            let save = recorded[usize::from(deletion_first)].id;
            let event = bench.store.event(save).await.unwrap().unwrap();
            let row = event.row;
            assert_eq!(
                (row.state, row.reason.as_deref()),
                (EventState::Skipped, Some("deleted"))
            );
            assert!(event.payload.is_none());
            assert!(bench.claim(1, at(10)).await.is_empty());
            bench.close().await;
        }
    }
}
