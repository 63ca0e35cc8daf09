//! The mapping table as operators and programs fill it.

use http::Method;
use serde_json::{Value, json};
use serval_connect::rehearsal::mock_serval::Journal;

use crate::support::bodies::{incident, record, slack_message, sys_id};
use crate::support::{ADMIN_TOKEN, PATIENCE, TestApp};

fn path(n: u32) -> String {
    format!("/mappings/servicenow/{}", sys_id(n))
}

#[tokio::test]
async fn putting_a_mapping_creates_it_then_replaces_it_and_can_be_repeated() {
    let app = TestApp::start().await;
    let body = json!({"ticket_id": "tkt-1", "accounted_for_message_ids": ["m1"]});
    let created = app.admin.put(&path(1), &body).await;
    assert_eq!(created.status, 201);
    let mapping = created.json();
    let expected = json!({
        "source": "servicenow", "external_id": sys_id(1), "ticket_id": "tkt-1",
        "accounted_for_message_ids": ["m1"], "origin": "api",
        "created_at": mapping["created_at"], "updated_at": mapping["updated_at"],
        "connected_at": null, "taught_by": null,
    });
    let answered = |answer: &Value| {
        let mut mapping = answer.clone();
        let mut beside = Vec::new();
        for name in ["still_connected", "waiting", "idle", "warning"] {
            beside.push(mapping.as_object_mut().unwrap().remove(name).unwrap());
        }
        assert_eq!(beside[..3], [json!([]), json!(0), json!("no_event")]);
        mapping
    };
    assert_eq!(answered(&mapping), expected);
    let created_at = mapping["created_at"].as_str().unwrap();
    assert!(created_at.ends_with('Z'), "{created_at}");

    let again = app.admin.put(&path(1), &body).await;
    assert_eq!(again.status, 200);
    assert_eq!(
        answered(&again.json()),
        expected,
        "nothing changed, not even a time"
    );
    assert_eq!(app.admin.get(&path(1)).await.json(), expected);

    let replaced = app
        .admin
        .put(&path(1), &json!({"ticket_id": "tkt-2"}))
        .await;
    assert_eq!(replaced.status, 200);
    let replaced = replaced.json();
    assert_eq!(replaced["ticket_id"], "tkt-2");
    assert_eq!(replaced["accounted_for_message_ids"], json!([]));
    assert_eq!(replaced["created_at"], created_at);
    app.stop().await;
}

#[tokio::test]
async fn a_sys_id_is_the_same_ticket_in_both_cases() {
    let app = TestApp::start().await;
    let upper = format!("/mappings/servicenow/{}", sys_id(0xabc).to_uppercase());
    let created = app.admin.put(&upper, &json!({"ticket_id": "tkt-1"})).await;
    assert_eq!(created.json()["external_id"], json!(sys_id(0xabc)));
    assert_eq!(app.admin.get(&upper).await.status, 200);
    let body = incident(0xabc).replace(&sys_id(0xabc), &sys_id(0xabc).to_uppercase());
    let id = app.webhooks.servicenow(body).send().await.id();
    app.admin.wait_for_state(&id, "connected").await;
    assert_eq!(app.mock.connects()[0].external_id, sys_id(0xabc));
    app.stop().await;
}

#[tokio::test]
async fn a_mapping_can_be_removed_once() {
    let app = TestApp::start().await;
    app.admin.get(&path(1)).await.problem(404);
    app.admin.delete(&path(1)).await.problem(404);
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let deleted = app.admin.delete(&path(1)).await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    app.admin.get(&path(1)).await.problem(404);
    app.admin.delete(&path(1)).await.problem(404);
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_mapping_is_refused_with_the_field_that_is_wrong() {
    let app = TestApp::start().await;
    let rows = [
        (json!({"ticket_id": ""}), "ticket_id"),
        (json!({"ticket_id": "a/b"}), "ticket_id"),
        (json!({"ticket_id": "a b"}), "ticket_id"),
        (json!({"ticket_id": "a%2fb"}), "ticket_id"),
        (json!({"ticket_id": ".."}), "ticket_id"),
        (json!({"ticket_id": "caf\u{e9}"}), "ticket_id"),
        (json!({"ticket_id": "---WAITING---"}), "ticket_id"),
        (json!({"ticket_id": "Null"}), "ticket_id"),
        (json!({"ticket_id": "x".repeat(129)}), "ticket_id"),
        (json!({"ticket_id": 7}), "ticket_id"),
        (json!({"ticket_id": null}), "ticket_id"),
        (json!({}), "ticket_id"),
        (
            json!({"ticket_id": "t", "accounted_for_message_ids": [1]}),
            "accounted_for_message_ids",
        ),
        (
            json!({"ticket_id": "t", "accounted_for_message_ids": "m"}),
            "accounted_for_message_ids",
        ),
        (json!({"ticket_id": "t", "ticket": "t"}), "ticket"),
    ];
    for (body, named) in rows {
        let problem = app.admin.put(&path(1), &body).await.problem(422);
        assert!(
            problem["detail"].as_str().unwrap().contains(named),
            "{body}: {problem}"
        );
    }
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let raw = format!("/api/v1{}", path(1));
    let no_json = app.admin.request(Method::PUT, &raw, Some(&bearer), "{");
    no_json.await.problem(400);
    let good = json!({"ticket_id": "t"});
    for (path, status) in [
        (format!("/mappings/nobody/{}", sys_id(1)), 404),
        ("/mappings/servicenow/short".to_owned(), 422),
        ("/mappings/slack/C9DDYQ1B4".to_owned(), 422),
        (format!("/mappings/slack/{}", sys_id(1)), 422),
        ("/mappings/slack/c9ddyq1b4:1.2".to_owned(), 422),
    ] {
        app.admin.put(&path, &good).await.problem(status);
        app.admin.get(&path).await.problem(status);
    }
    assert_eq!(app.admin.get("/mappings").await.json()["data"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn lists_are_narrowed_and_come_in_pages() {
    let app = TestApp::builder()
        .config("[sources.servicenow]\nseveral_per_ticket = true")
        .start()
        .await;
    for n in 0..7 {
        let ticket = format!("tkt-{}", n % 2);
        app.admin.map("servicenow", &sys_id(n), &ticket).await;
    }
    app.admin
        .map("slack", "C111:1779146701.000001", "tkt-0")
        .await;
    let count = async |query: &str| {
        let answer = app.admin.get(&format!("/mappings?{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        assert_eq!(page["next_cursor"], Value::Null);
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(count("").await, 8);
    assert_eq!(count("source=slack").await, 1);
    assert_eq!(count("ticket_id=tkt-0").await, 5);
    assert_eq!(count("source=servicenow&ticket_id=tkt-0").await, 4);
    assert_eq!(count("ticket_id=nobody").await, 0);

    let mut seen = Vec::new();
    let mut cursor = String::new();
    let mut pages = 0;
    loop {
        let page = app
            .admin
            .get(&format!("/mappings?limit=3{cursor}"))
            .await
            .json();
        let data = page["data"].as_array().unwrap();
        seen.extend(data.iter().map(|mapping| mapping["external_id"].clone()));
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, 3);
    let expected: Vec<Value> = (0..7).map(|n| json!(sys_id(n))).collect();
    assert_eq!(seen[..7], expected[..]);
    assert_eq!(seen[7], "C111:1779146701.000001");

    for (query, status) in [
        ("limit=0", 400),
        ("limit=1001", 400),
        ("limit=many", 400),
        ("cursor=%21", 400),
        ("cursor=AAAA", 400),
        ("colour=red", 400),
        ("source=nobody", 404),
    ] {
        app.admin
            .get(&format!("/mappings?{query}"))
            .await
            .problem(status);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_changed_mapping_connects_the_newest_object_to_the_new_ticket_at_once() {
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let first = app.webhooks.servicenow(incident(1)).send().await.id();
    app.admin.wait_for_state(&first, "connected").await;
    for save in [3, 2] {
        let body = record("incident", 1, save);
        assert_eq!(
            app.webhooks.servicenow(body).send().await.event()["state"],
            "skipped"
        );
    }
    app.admin.map("servicenow", &sys_id(1), "tkt-2").await;
    app.admin.drained().await;
    let connects = app.mock.connects();
    assert_eq!(connects.len(), 2, "{connects:#?}");
    assert_eq!(connects[1].ticket_id, "tkt-2");
    assert_eq!(connects[1].object, Some(record("incident", 1, 3)));
    let mapping = app.admin.get(&path(1)).await.json();
    assert!(mapping["connected_at"].is_string(), "{mapping}");

    // Back to the first: Serval has that pair.
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.admin.drained().await;
    assert_eq!(app.mock.connects().len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn a_mapping_that_changes_during_the_call_is_followed() {
    let app = TestApp::start().await;
    app.faults(&["latency=500ms,ticket=tkt-1"]);
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let id = app.webhooks.servicenow(incident(1)).send().await.id();
    let called = |journal: &Journal| journal.request_count >= 2;
    assert!(app.mock.wait_for(PATIENCE, called).await);
    app.admin.map("servicenow", &sys_id(1), "tkt-2").await;
    app.admin.wait_for_state(&id, "connected").await;
    let tickets: Vec<_> = app
        .mock
        .connects()
        .into_iter()
        .map(|c| c.ticket_id)
        .collect();
    assert_eq!(tickets, ["tkt-1", "tkt-2"]);
    app.stop().await;
}

#[tokio::test]
async fn the_same_pair_is_connected_once_even_when_its_mapping_was_removed_meanwhile() {
    let app = TestApp::start().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let first = app.webhooks.servicenow(incident(1)).send().await.id();
    app.admin.wait_for_state(&first, "connected").await;
    assert_eq!(app.admin.delete(&path(1)).await.status, 204);
    let later = app
        .webhooks
        .servicenow(record("incident", 1, 2))
        .send()
        .await
        .id();
    assert_eq!(app.admin.event(&later).await["state"], "parked");
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let event = app.admin.wait_for_state(&later, "skipped").await;
    assert_eq!(event["reason"], "already_connected");
    assert_eq!(app.mock.connects().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_slack_thread_is_mapped_by_its_id_as_it_stands_in_a_path() {
    let app = TestApp::start().await;
    for path in [
        "/mappings/slack/C9DDYQ1B4:1779146751.061339",
        "/mappings/slack/C9DDYQ1B4%3A1779146751.061339",
    ] {
        let answer = app.admin.put(path, &json!({"ticket_id": "tkt-1"})).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        assert_eq!(answer.json()["external_id"], "C9DDYQ1B4:1779146751.061339");
    }
    let body = slack_message("Ev1", "1779146751.061339", &Value::Null);
    app.webhooks.slack(body).send().await;
    app.admin.drained().await;
    assert_eq!(app.mock.connects().len(), 1);
    app.stop().await;
}
