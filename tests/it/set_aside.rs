//! Records that the source does not connect as it is configured: ignored, and read again by a replay.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::bodies::{callback, incident, record, slack_message, sys_id};

/// An envelope around a record.
fn envelope(facts: &Value, record: &str) -> String {
    let facts = facts.to_string();
    let facts = facts.trim_end_matches('}');
    format!(r#"{facts},"record":{record}}}"#)
}

/// State, reason and body of the event that a body becomes.
async fn stored(app: &TestApp, path: &str, body: &str) -> (String, Value, Value) {
    let sent = app.webhooks.servicenow(body).to(path).send().await;
    let id = sent.id();
    let mut event = app.admin.event(&id).await;
    assert_eq!(event["state"], "ignored", "{path} {body}");
    (id, event["reason"].take(), event["body"].take())
}

async fn replay(app: &TestApp, id: &str) -> u16 {
    let path = format!("/events/{id}/replay");
    app.admin.post(&path, &Value::Null).await.status
}

const PATH: &str = "/webhooks/servicenow";

#[tokio::test]
async fn records_of_other_tables_are_out_of_scope_whatever_their_columns_name() {
    let app = TestApp::start().await;
    let id = sys_id(1);
    let attachment = format!(
        r#"{{"sys_id":"{id}","table_name":"incident","table_sys_id":"{id}","file_name":"log.txt"}}"#
    );
    let of = |class: &str, columns: &str| {
        format!(r#"{{"sys_id":"{id}","sys_class_name":"{class}",{columns}}}"#)
    };
    let (attachments, problems) = (
        "/webhooks/servicenow/sys_attachment",
        "/webhooks/servicenow/problem",
    );
    for (path, body, reason) in [
        (attachments, attachment.clone(), "out_of_scope"),
        (PATH, attachment, "unknown_class"),
        (
            PATH,
            of("chg_model", r#""table_name":"sc_req_item""#),
            "out_of_scope",
        ),
        (
            PATH,
            of("contract_sla", r#""table":"sc_req_item""#),
            "out_of_scope",
        ),
        (
            PATH,
            of("sla_condition", r#""table":"incident","number":"SLA1""#),
            "out_of_scope",
        ),
        (
            problems,
            format!(r#"{{"sys_id":"{id}","table":"incident"}}"#),
            "out_of_scope",
        ),
        (
            PATH,
            envelope(
                &json!({ "table": "incident" }),
                &record("change_request", 1, 1),
            ),
            "out_of_scope",
        ),
    ] {
        let (event, told, kept) = stored(&app, path, &body).await;
        assert_eq!((told, kept), (json!(reason), Value::Null), "{path} {body}");
        assert_eq!(replay(&app, &event).await, 409, "{path} {body}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_child_class_connects_by_a_replay_after_its_alias_was_written() {
    let mut app = TestApp::start().await;
    let child = |n| record("u_major_incident", n, 1);
    let label = format!(
        r#"{{"sys_id":"{}","sys_class_name":"Gerätestörung"}}"#,
        sys_id(3)
    );
    let batch = format!(r#"{{"records":[{},{}]}}"#, child(5), child(6));
    let mut ids = Vec::new();
    for (path, body, reason) in [
        (
            PATH,
            envelope(&json!({ "table": "incident" }), &child(1)),
            "out_of_scope",
        ),
        (PATH, child(2), "out_of_scope"),
        (PATH, label, "unknown_class"),
        // The path is not stored with the body.
        (
            "/webhooks/servicenow/u_major_incident",
            format!(r#"{{"sys_id":"{}"}}"#, sys_id(4)),
            "out_of_scope",
        ),
    ] {
        let (id, told, kept) = stored(&app, path, &body).await;
        assert_eq!((told, kept), (json!(reason), json!(body)));
        // Nothing has changed, so it is nothing to connect.
        assert_eq!(replay(&app, &id).await, 409);
        assert_eq!(app.admin.event(&id).await["state"], "ignored");
        ids.push(id);
    }
    let sent = app.webhooks.servicenow(batch).send().await.events();
    ids.extend(
        sent.iter()
            .map(|event| event["id"].as_str().unwrap().to_owned()),
    );
    for n in 1..=6 {
        let ticket = format!("tkt-{n}");
        app.admin.map("servicenow", &sys_id(n), &ticket).await;
    }
    let many = json!({ "state": "ignored" });
    let counted = app.admin.post("/events/replay", &many).await.json();
    assert_eq!(counted, json!({ "matched": 6, "replayed": 0 }));

    app.rewrite(
        "[sources.servicenow.class_aliases]\nu_major_incident = 'incident'\n\"gerätestörung\" = 'incident'",
    );
    assert_eq!(app.reload().await.status, 200);
    assert_eq!(replay(&app, &ids[0]).await, 202);
    app.admin.wait_for_state(&ids[0], "connected").await;
    assert_eq!(replay(&app, &ids[0]).await, 409);
    let limited = json!({ "state": "ignored", "event_reason": "out_of_scope", "limit": 1 });
    let counted = app.admin.post("/events/replay", &limited).await.json();
    assert_eq!(counted, json!({ "matched": 1, "replayed": 1 }));
    let counted = app.admin.post("/events/replay", &many).await.json();
    assert_eq!(counted, json!({ "matched": 4, "replayed": 4 }));
    for id in &ids {
        let event = app.admin.wait_for_state(id, "connected").await;
        assert_eq!(event["subtype"], "incident");
    }
    let mut sent = app.mock.connects();
    sent.sort_by(|a, b| a.ticket_id.cmp(&b.ticket_id));
    assert_eq!(sent.len(), 6);
    assert_eq!(sent[0].object.as_deref(), Some(child(1).as_str()));
    assert!(
        sent.iter()
            .all(|call| call.subtype.as_deref() == Some("incident"))
    );
    app.stop().await;
}

#[tokio::test]
async fn what_another_instance_sends_is_ignored_and_neither_connects_nor_teaches() {
    let mut app = TestApp::builder()
        .config("[sources.servicenow]\ninstance = 'acme'\nticket_id_pointers = ['/u_serval']")
        .start()
        .await;
    let of = |instance: &str, operation: &str| {
        let mut record: Value = serde_json::from_str(&incident(1)).unwrap();
        record["u_serval"] = json!("tkt-1");
        let facts = json!({ "instance": instance, "table": "incident", "operation": operation });
        envelope(&facts, &record.to_string())
    };
    let (foreign, reason, _) = stored(&app, PATH, &of("acmedev", "update")).await;
    assert_eq!(reason, "foreign_instance");
    let (_, reason, _) = stored(&app, PATH, &of("acmedev", "delete")).await;
    assert_eq!(reason, "foreign_instance");
    app.admin.drained().await;
    assert_eq!(app.mock.connects().len(), 0);
    assert_eq!(app.admin.list("/mappings").await, Vec::<Value>::new());
    assert_eq!(replay(&app, &foreign).await, 409);

    // The name was wrong in the configuration: nothing is lost.
    app.rewrite("[sources.servicenow]\ninstance = 'ACMEDEV'\nticket_id_pointers = ['/u_serval']");
    assert_eq!(app.reload().await.status, 200);
    assert_eq!(replay(&app, &foreign).await, 202);
    app.admin.wait_for_state(&foreign, "connected").await;
    assert_eq!(app.connected_to(), ["tkt-1"]);
    app.stop().await;
}

#[tokio::test]
async fn what_a_clone_sent_before_under_the_same_id_is_no_repetition() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\ninstance = 'acme'")
        .start()
        .await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    for (instance, state) in [("acmedev", "ignored"), ("acme", "connected")] {
        let facts = json!({ "instance": instance, "table": "incident", "operation": "update" });
        let body = envelope(&facts, &incident(1));
        let sent = app.webhooks.servicenow(body).id("msg_1").send().await;
        app.admin.wait_for_state(&sent.id(), state).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn a_deletion_that_was_ignored_as_foreign_takes_effect_by_a_replay() {
    for (is_alone, is_save_foreign) in [(true, false), (false, false), (false, true)] {
        let mut app = TestApp::builder()
            .config("[sources.servicenow]\ninstance = 'acme'")
            .start()
            .await;
        let of = |operation: &str| {
            let facts =
                json!({ "instance": "acmedev", "table": "incident", "operation": operation });
            envelope(&facts, &incident(1))
        };
        let saved = if is_save_foreign {
            stored(&app, PATH, &of("update")).await.0
        } else {
            app.save(incident(1)).await
        };
        let (gone, reason, body) = stored(&app, PATH, &of("delete")).await;
        assert_eq!(reason, "foreign_instance");
        assert!(body.is_string());
        assert_eq!(replay(&app, &gone).await, 409);
        assert!(app.admin.event(&saved).await["body"].is_string());

        app.rewrite("[sources.servicenow]\ninstance = 'acmedev'");
        assert_eq!(app.reload().await.status, 200);
        if is_alone {
            assert_eq!(replay(&app, &gone).await, 202);
        } else {
            let many = json!({ "state": "ignored" });
            let counted = app.admin.post("/events/replay", &many).await.json();
            assert_eq!(counted["replayed"], 1);
        }
        let event = app.admin.event(&gone).await;
        assert_eq!(
            (&event["state"], &event["reason"]),
            (&json!("ignored"), &json!("deleted"))
        );
        assert_eq!(event["body"], Value::Null);
        let save = app.admin.event(&saved).await;
        assert_eq!(save["body"], Value::Null);
        let reason = if is_save_foreign {
            "foreign_instance"
        } else {
            "deleted"
        };
        assert_eq!(save["reason"], reason);
        assert_eq!(replay(&app, &gone).await, 409, "once");
        app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
        app.admin.drained().await;
        assert_eq!(app.mock.connects().len(), 0);
        app.stop().await;
    }
}

#[tokio::test]
async fn an_echo_is_never_replayed_and_the_next_save_is_an_event_of_its_own() {
    const ECHOES: &str = "[sources.servicenow]\nignore_users = ['bridge.user']";
    let mut app = TestApp::builder()
        .config(&format!("{ECHOES}\ninstance = 'acme'"))
        .start()
        .await;
    let saved = |n: u8| {
        let mut record: Value = serde_json::from_str(&incident(1)).unwrap();
        record["sys_updated_by"] = json!("bridge.user");
        record["sys_mod_count"] = json!(n.to_string());
        record.to_string()
    };
    let facts = json!({ "instance": "acmedev", "table": "incident", "operation": "update" });
    let (foreign, reason, _) = stored(&app, PATH, &envelope(&facts, &saved(1))).await;
    assert_eq!(reason, "foreign_instance");
    let echo = app.save(saved(2)).await;
    assert_eq!(app.admin.event(&echo).await["reason"], "echo");

    app.rewrite(ECHOES);
    assert_eq!(app.reload().await.status, 200);
    assert_eq!(replay(&app, &foreign).await, 409);
    let event = app.admin.event(&foreign).await;
    assert_eq!(event["reason"], "foreign_instance");

    app.rewrite("");
    assert_eq!(app.reload().await.status, 200);
    assert_eq!(replay(&app, &echo).await, 409);
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let next = app.save(saved(3)).await;
    app.admin.wait_for_state(&next, "connected").await;
    assert_eq!(app.mock.connects().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn an_edit_that_was_ignored_with_its_message_takes_effect_by_a_replay() {
    const KEPT: &str = "[sources.slack]\nkeep_ignored_bodies = true";
    const TARGET: &str = "direct_messages = true\ndirect_message_target = { slackDm = { integrationId = 'dm', targetUserType = 'X' } }";
    let direct = json!({ "channel": "D9DDYQ1B4", "channel_type": "im", "text": "old words" });
    let message = slack_message("EvRoot", "1.000001", &direct);
    let edit = json!({
        "type": "message", "subtype": "message_changed", "channel": "D9DDYQ1B4",
        "channel_type": "im", "ts": "2.000001",
        "message": { "type": "message", "user": "U061F7AUR", "text": "new words", "ts": "1.000001" },
        "previous_message": { "type": "message", "text": "old words", "ts": "1.000001" },
    });
    let mut app = TestApp::builder().config(KEPT).start().await;
    for body in [message, callback("EvEdit", &edit)] {
        assert_eq!(app.webhooks.slack(body).send().await.status, 200);
    }
    let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
    let events: Vec<String> = app.admin.events("").await.iter().map(id).collect();
    let [edit, message] = <[String; 2]>::try_from(events).unwrap();
    assert_eq!(
        replay(&app, &edit).await,
        409,
        "its message is ignored still"
    );
    app.rewrite(&format!("{KEPT}\n{TARGET}"));
    assert_eq!(app.reload().await.status, 200);
    assert_eq!(replay(&app, &message).await, 202);
    assert_eq!(replay(&app, &edit).await, 202);
    assert_eq!(replay(&app, &edit).await, 409, "once");
    let event = app.admin.wait_for_state(&message, "parked").await;
    let body = event["body"].as_str().unwrap();
    assert!(
        body.contains("new words") && !body.contains("old words"),
        "{body}"
    );
    let edit = app.admin.event(&edit).await;
    assert!(!edit["body"].as_str().unwrap().contains("old words"));
    app.stop().await;
}

#[tokio::test]
async fn of_the_saves_of_a_record_a_replay_sends_the_newest_one_alone() {
    let alias = "[sources.servicenow.class_aliases]\nu_major_incident = 'incident'";
    let child = |count| record("u_major_incident", 1, count);
    for reconnect in ["never", "on_change"] {
        for arrivals in [[1, 2, 3], [1, 3, 2], [3, 1, 2]] {
            let reconnect = format!("[sources.servicenow]\nreconnect = '{reconnect}'");
            let mut app = TestApp::builder().config(&reconnect).start().await;
            let mut ids = Vec::new();
            for count in arrivals {
                ids.push((count, stored(&app, PATH, &child(count)).await.0));
            }
            app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
            app.rewrite(&format!("{reconnect}\n{alias}"));
            assert_eq!(app.reload().await.status, 200);
            let many = json!({ "state": "ignored" });
            let counted = app.admin.post("/events/replay", &many).await.json();
            assert_eq!(counted, json!({ "matched": 3, "replayed": 1 }));
            for (count, id) in &ids {
                let state = if *count == 3 { "connected" } else { "skipped" };
                let event = app.admin.wait_for_state(id, state).await;
                let reason = (*count != 3).then_some("superseded");
                assert_eq!(event["reason"], json!(reason), "{arrivals:?}");
            }
            let sent = app.mock.connects().into_iter().map(|call| call.object);
            assert_eq!(sent.collect::<Vec<_>>(), [Some(child(3))], "{arrivals:?}");
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn a_save_that_is_replayed_does_not_follow_a_newer_one_that_was_sent() {
    let reconnect = "[sources.servicenow]\nreconnect = 'on_change'";
    let mut app = TestApp::builder().config(reconnect).start().await;
    let alias = "[sources.servicenow.class_aliases]\nu_major_incident = 'incident'";
    let child = |count| record("u_major_incident", 1, count);
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let (older, ..) = stored(&app, PATH, &child(1)).await;
    let (newer, ..) = stored(&app, PATH, &child(3)).await;
    app.rewrite(&format!("{reconnect}\n{alias}"));
    assert_eq!(app.reload().await.status, 200);
    let sent = app.save(child(2)).await;
    app.admin.wait_for_state(&sent, "connected").await;
    for (id, state) in [(&older, "skipped"), (&newer, "connected")] {
        assert_eq!(replay(&app, id).await, 202);
        app.admin.wait_for_state(id, state).await;
    }
    assert_eq!(app.admin.event(&older).await["reason"], "superseded");
    let sent = app.mock.connects().into_iter().map(|call| call.object);
    assert_eq!(sent.collect::<Vec<_>>(), [Some(child(2)), Some(child(3))]);
    app.stop().await;
}
