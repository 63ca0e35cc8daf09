//! The connect call: for what it is made, how often, and what exactly Serval gets.

use std::time::Duration;

use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::{
    Journal, RecordedConnect, SERVICENOW_INTEGRATION, SLACK_INTEGRATION,
};

use crate::support::bodies::{incident, record, slack_message, sys_id};
use crate::support::{PATIENCE, TestApp};

/// The connect calls, once there are `n`.
async fn connects(app: &TestApp, n: u64) -> Vec<RecordedConnect> {
    let arrived = |journal: &Journal| journal.connect_count >= n;
    assert!(app.mock.wait_for(PATIENCE, arrived).await, "{n} connects");
    app.admin.drained().await;
    let connects = app.mock.connects();
    assert_eq!(connects.len() as u64, n, "{connects:#?}");
    connects
}

fn text(connect: &RecordedConnect) -> &str {
    std::str::from_utf8(&connect.body).unwrap()
}

#[tokio::test]
async fn a_mapped_incident_becomes_the_documented_call() {
    let app = TestApp::start().await;
    let id = sys_id(1);
    app.admin.map("servicenow", &id, "tkt-1").await;
    let answer = app.webhooks.servicenow(incident(1)).send().await;
    assert_eq!(answer.event()["state"], "queued");
    let event = app.admin.wait_for_state(&answer.id(), "connected").await;

    let [connect] = <[_; 1]>::try_from(connects(&app, 1).await).unwrap();
    assert_eq!(connect.ticket_id, "tkt-1");
    assert_eq!(connect.answered, Some(200));
    let expected = format!(
        r#"{{"channelTarget":{{"ticketSource":{{"integrationId":"{SERVICENOW_INTEGRATION}"}}}},"externalTicketId":"{id}","externalTicketData":{},"externalTicketSubtype":"incident"}}"#,
        incident(1)
    );
    assert_eq!(text(&connect), expected);
    let request = app.mock.requests().pop().unwrap();
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/v2/tickets/tkt-1/connect")
    );

    assert_eq!(event["ticket_id"], "tkt-1");
    assert_eq!(event["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(event["last_error"], Value::Null);
    let mapping = app
        .admin
        .get(&format!("/mappings/servicenow/{id}"))
        .await
        .json();
    assert!(mapping["connected_at"].is_string(), "{mapping}");
    app.stop().await;
}

#[tokio::test]
async fn the_object_arrives_byte_for_byte() {
    let app = TestApp::start().await;
    let id = sys_id(1);
    // What a parser and a printer would not give back: order, white space, escapes, numbers that
    // no float holds, keys that repeat, line breaks of Windows.
    let object = format!(
        "{{ \"z\" : 1.0,\r\n\t\"a\":1e400, \"big\":123456789012345678901234567890,\"minus\":-0,\
         \"e\":\"caf\\u00e9 caf\u{e9} \\ud83d\\ude00 \\/ \u{1f600} <&'\\u2028>\",\"half\":\"\\ud800\",\
         \"x\":{{\"a\":1,\"a\":2}},\"sys_class_name\":\"incident\",  \"sys_id\":\"{id}\",\"empty\":[ ] }}"
    );
    app.admin.map("servicenow", &id, "tkt-1").await;
    let bodies = [
        object.clone(),
        format!("{{\"table\":\"incident\",\"record\":\n{object}\n,\"previous\":{{}}}}"),
        format!("[ {object} ]"),
    ];
    for (n, body) in (1..).zip(bodies) {
        let ticket = format!("tkt-{n}");
        app.admin.map("servicenow", &id, &ticket).await;
        let answer = app.webhooks.servicenow(body.clone()).send().await;
        assert_eq!(answer.status, 202, "{body}: {answer:?}");
        app.admin.drained().await;
        let arrived = app.mock.connects().pop().unwrap();
        assert_eq!(arrived.ticket_id, ticket);
        assert_eq!(arrived.object.as_deref(), Some(object.as_str()), "{body}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_requested_item_says_that_it_is_one() {
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let body = record("sc_req_item", 1, 1);
    app.webhooks.servicenow(body.clone()).send().await;
    let connects = connects(&app, 1).await;
    assert_eq!(connects[0].subtype.as_deref(), Some("requested_item"));
    assert_eq!(connects[0].object.as_deref(), Some(body.as_str()));
    app.stop().await;
}

#[tokio::test]
async fn a_slack_thread_goes_to_the_slack_channel_without_a_subtype() {
    let app = TestApp::start().await;
    let thread = "C9DDYQ1B4:1779146751.061339";
    app.admin.map("slack", thread, "tkt-1").await;
    let body = slack_message("Ev1", "1779146751.061339", &Value::Null);
    assert_eq!(app.webhooks.slack(body.clone()).send().await.status, 200);
    let connects = connects(&app, 1).await;
    let event: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&connects[0].body).unwrap(),
        json!({
            "channelTarget": {"slackChannel": {"integrationId": SLACK_INTEGRATION}},
            "externalTicketId": thread,
            "externalTicketData": event["event"],
        })
    );
    let object = connects[0].object.as_deref().unwrap();
    assert!(body.contains(object), "the inner event, byte for byte");
    app.stop().await;
}

#[tokio::test]
async fn a_direct_message_goes_to_its_own_target_where_that_is_wanted() {
    let app = TestApp::builder()
        .config(
            r#"[sources.slack]
            direct_messages = true
            direct_message_target = { slackDm = { integrationId = "i", targetUserType = "CHANNEL_SYNC_TARGET_USER_TICKET_REQUESTOR" } }"#,
        )
        .start()
        .await;
    app.admin
        .map("slack", "D0PRIVATE:1779146751.061339", "tkt-1")
        .await;
    let direct = json!({"channel": "D0PRIVATE", "channel_type": "im"});
    let body = slack_message("Ev1", "1779146751.061339", &direct);
    app.webhooks.slack(body).send().await;
    let connects = connects(&app, 1).await;
    assert_eq!(connects[0].target["slackDm"]["integrationId"], "i");
    app.stop().await;
}

#[tokio::test]
async fn later_events_of_a_connected_ticket_have_nothing_to_do() {
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let first = app.webhooks.servicenow(incident(1)).send().await.id();
    app.admin.wait_for_state(&first, "connected").await;
    let later = record("incident", 1, 2);
    let answer = app.webhooks.servicenow(later).send().await;
    assert_eq!(answer.event()["state"], "skipped");
    let event = app.admin.event(&answer.id()).await;
    assert_eq!(event["reason"], "already_connected");
    assert_eq!(event["attempts"], json!([]));
    connects(&app, 1).await;
    app.stop().await;
}

#[tokio::test]
async fn events_that_queued_up_behind_a_call_are_not_called_for() {
    let app = TestApp::start().await;
    app.faults(&["latency=300ms"]);
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let mut ids = Vec::new();
    for save in 1..=5 {
        let body = record("incident", 1, save);
        ids.push(app.webhooks.servicenow(body).send().await.id());
    }
    app.admin.drained().await;
    connects(&app, 1).await;
    // The newest save came during the call, or was sent itself. It replaced those that waited.
    let mut newest = true;
    for id in ids.iter().rev() {
        let event = app.admin.event(id).await;
        let ends = ["superseded", "already_connected"];
        let is_sent = event["state"] == "connected" && event["reason"].is_null();
        assert!(
            is_sent || event["reason"] == ends[usize::from(newest)],
            "{event}"
        );
        newest = false;
    }
    app.stop().await;
}

#[tokio::test]
async fn every_external_ticket_is_connected_once_whatever_arrives_at_the_same_time() {
    let app = TestApp::start().await;
    for n in 0..12 {
        app.admin
            .map("servicenow", &sys_id(n), &format!("tkt-{n}"))
            .await;
    }
    let deliveries = (0..48).map(|n| app.webhooks.servicenow(record("incident", n % 12, n)));
    let sending: Vec<_> = deliveries
        .map(|delivery| async move { delivery.send().await.status })
        .collect();
    for status in futures_in_order(sending).await {
        assert_eq!(status, 202);
    }
    let connects = connects(&app, 12).await;
    let mut pairs: Vec<_> = connects
        .iter()
        .map(|connect| (connect.ticket_id.clone(), connect.external_id.clone()))
        .collect();
    pairs.sort();
    pairs.dedup();
    assert_eq!(pairs.len(), 12);
    assert_eq!(app.mock.links().len(), 12);
    assert_eq!(app.admin.stats().await["totals"]["connected"], 12);
    app.stop().await;
}

/// Runs all at the same time.
async fn futures_in_order<F>(futures: Vec<F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for future in futures {
        tasks.spawn(future);
    }
    tasks.join_all().await
}

#[tokio::test]
async fn a_mapping_says_which_messages_the_other_side_has() {
    let app = TestApp::start().await;
    let path = format!("/mappings/servicenow/{}", sys_id(1));
    let mapping =
        json!({"ticket_id": "tkt-1", "accounted_for_message_ids": ["msg-1", "msg-\u{e9}"]});
    assert_eq!(app.admin.put(&path, &mapping).await.status, 201);
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    let connects = connects(&app, 1).await;
    assert_eq!(
        connects[0].accounted_for_message_ids,
        ["msg-1", "msg-\u{e9}"]
    );
    assert!(text(&connects[0]).ends_with(r#""accountedForMessageIds":["msg-1","msg-é"]}"#));
    let sent = app.admin.event(&id).await["sent"].clone();
    assert_eq!(
        sent["accountedForMessageIds"],
        json!(["msg-1", "msg-\u{e9}"])
    );
    assert_eq!(sent["externalTicketData"], json!(incident(1)));
    app.stop().await;
}

#[tokio::test]
async fn a_ticket_id_is_encoded_into_the_path() {
    let app = TestApp::start().await;
    let ticket = "ACM-10:a+b@c;d=e,f&g'h\"i<j>k^l`m{n|o}p~q!$*()";
    app.admin.map("servicenow", &sys_id(1), ticket).await;
    app.webhooks.servicenow(incident(1)).send().await;
    let connects = connects(&app, 1).await;
    assert_eq!(connects[0].ticket_id, ticket);
    let path = app.mock.requests().pop().unwrap().path;
    for raw in ['"', '<', '>', '`', '{', '}'] {
        assert!(!path.contains(raw), "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_pace_is_kept() {
    let app = TestApp::builder()
        .config("[delivery]\nrate = 10")
        .start()
        .await;
    for n in 0..16 {
        app.admin
            .map("servicenow", &sys_id(n), &format!("tkt-{n}"))
            .await;
    }
    let body = format!("[{}]", (0..16).map(incident).collect::<Vec<_>>().join(","));
    app.webhooks.servicenow(body).send().await;
    let connects = connects(&app, 16).await;
    let span = connects[15].at.duration_since(connects[0].at);
    assert!(span.as_millis() >= 500, "16 calls in {span}");
    assert!(
        Duration::try_from(span).unwrap() < Duration::from_secs(10),
        "{span}"
    );
    app.stop().await;
}
