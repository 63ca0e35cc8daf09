//! The audit list: who did what through the API, and what is left of it.

use http::Method;
use serde_json::{Value, json};

use crate::support::bodies::{incident, sys_id};
use crate::support::{ADMIN_TOKEN, TestApp};

const MAPPER: &str = "a-token-that-may-only-map-things";

async fn app() -> TestApp {
    let tokens =
        format!("[admin]\ntokens = [\"ada {ADMIN_TOKEN}\"]\nmapping_tokens = [\"{MAPPER}\"]");
    TestApp::builder().config(&tokens).start().await
}

/// Who, what, about which external ticket and what else; the newest first.
async fn told(app: &TestApp, query: &str) -> Vec<(Value, Value, Value, Value)> {
    let entries = app.admin.list(&format!("/audit?{query}")).await;
    let words = |mut entry: Value| {
        let mut take = |key: &str| entry[key].take();
        let (actor, action) = (take("actor"), take("action"));
        (actor, action, take("external_id"), take("subject"))
    };
    entries.into_iter().map(words).collect()
}

fn entry(action: &str, n: Option<u32>, subject: Option<&str>) -> (Value, Value, Value, Value) {
    let external_id = n.map(sys_id);
    (
        json!("ada"),
        json!(action),
        json!(external_id),
        json!(subject),
    )
}

#[tokio::test]
async fn what_is_done_with_an_admin_token_is_listed_with_its_name() {
    let app = app().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.admin.post("/connects/pause", &Value::Null).await;
    app.admin.post("/connects/resume", &Value::Null).await;
    let import = app
        .admin
        .import(&format!("servicenow,{},tkt-2\n", sys_id(2)))
        .await;
    assert_eq!(import.status, 200, "{import:?}");
    app.admin
        .delete(&format!("/mappings/servicenow/{}", sys_id(1)))
        .await;
    // Looking leaves nothing, and neither does what is refused.
    app.admin.stats().await;
    app.admin.post("/events/evt_99/replay", &Value::Null).await;
    let all = [
        entry("unmap", Some(1), Some("tkt-1")),
        entry("import", None, Some("1 created, 0 replaced")),
        entry("resume", None, None),
        entry("pause", None, None),
        entry("map", Some(1), Some("tkt-1")),
    ];
    assert_eq!(told(&app, "").await, all);
    let of_one = format!("source=servicenow&external_id={}", sys_id(1));
    assert_eq!(told(&app, &of_one).await, [all[0].clone(), all[4].clone()]);

    let first = app.admin.get("/audit?limit=2").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(told(&app, &format!("cursor={cursor}")).await, all[2..]);
    assert_eq!(told(&app, "source=servicenow").await.len(), 2);
    let of_id = format!("external_id={}", sys_id(1));
    assert_eq!(told(&app, &of_id).await.len(), 2);
    for nobody in ["source=slack", "external_id=x"] {
        assert!(told(&app, nobody).await.is_empty(), "{nobody}");
    }
    for query in ["source=N", "cursor=x", "limit=0", "who=ada"] {
        app.admin.get(&format!("/audit?{query}")).await.problem(400);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_token_for_mappings_leaves_no_entry_and_may_not_read_any() {
    let app = app().await;
    let bearer = format!("Bearer {MAPPER}");
    let path = format!("/api/v1/mappings/servicenow/{}", sys_id(1));
    let body = json!({"ticket_id": "tkt-1"}).to_string();
    let put = app
        .admin
        .request(Method::PUT, &path, Some(&bearer), body)
        .await;
    assert_eq!(put.status, 201, "{put:?}");
    assert_eq!(told(&app, "").await, []);
    let read = app
        .admin
        .request(Method::GET, "/api/v1/audit", Some(&bearer), "");
    read.await.problem(403);
    app.stop().await;
}

#[tokio::test]
async fn of_an_erased_ticket_the_list_keeps_who_and_what_was_done() {
    let app = app().await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    app.webhooks.servicenow(incident(1)).send().await;
    app.admin.drained().await;
    let ask = json!({ "source": "servicenow", "external_id": sys_id(1) });
    let erased = app.admin.post("/erase", &ask).await;
    assert_eq!(erased.json()["left"], 0, "{erased:?}");
    assert_eq!(
        told(&app, "").await,
        [
            entry("erase", None, Some("an external ticket of servicenow")),
            entry("map", None, None),
        ]
    );
    app.stop().await;
}
