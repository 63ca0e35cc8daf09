//! Messages that name the Serval ticket of their thread: by whom they are believed.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::bodies::{callback, slack_message};

const ROOT: &str = "1779146751.061339";
const THREAD: &str = "C9DDYQ1B4:1779146751.061339";
const TRUST: &str = r#"
    [sources.slack]
    trusted_apps = ["A0TRUSTED"]
    trusted_users = ["U0TRUSTED"]
    ticket_url_pattern = '^https://app\.serval\.com/[^?#]*/tickets/(?<ticket_id>[^/?#]+)'
"#;

fn metadata(app: &str, ticket_id: &str) -> String {
    let changes = json!({
        "user": null, "app_id": app, "bot_id": "B0OTHER", "subtype": "bot_message", "thread_ts": ROOT,
        "metadata": {
            "event_type": "serval_ticket", "event_payload": {"serval_ticket_id": ticket_id},
        },
    });
    slack_message("EvMeta", "1779146760.000100", &changes)
}

fn link(user: &str) -> Value {
    let url = "https://app.serval.com/acme/tickets/tkt-1";
    json!({"user": user, "thread_ts": ROOT, "text": format!("see <{url}|the ticket>")})
}

async fn mapping(app: &TestApp) -> Value {
    app.admin.mapping("slack", THREAD).await
}

#[tokio::test]
async fn the_metadata_of_a_trusted_app_maps_the_thread_and_its_root_is_sent() {
    let app = TestApp::builder().config(TRUST).start().await;
    app.webhooks
        .slack(slack_message("EvRoot", ROOT, &Value::Null))
        .send()
        .await;
    app.webhooks
        .slack(metadata("A0TRUSTED", "tkt-1"))
        .send()
        .await;
    app.admin.drained().await;
    let mapping = mapping(&app).await;
    assert_eq!(
        (&mapping["ticket_id"], &mapping["origin"]),
        (&json!("tkt-1"), &json!("payload"))
    );
    let taught_by = app
        .admin
        .event(mapping["taught_by"].as_str().unwrap())
        .await;
    assert_eq!(
        taught_by["reason"], "superseded",
        "the root speaks for the thread"
    );
    let connects = app.mock.connects();
    assert_eq!(connects.len(), 1);
    let sent: Value = serde_json::from_str(connects[0].object.as_deref().unwrap()).unwrap();
    assert_eq!(sent["ts"], ROOT);
    app.stop().await;
}

#[tokio::test]
async fn the_link_of_a_trusted_user_maps_the_thread() {
    let app = TestApp::builder().config(TRUST).start().await;
    let ts = "1779146760.000100";
    app.webhooks
        .slack(slack_message("EvLink", ts, &link("U0TRUSTED")))
        .send()
        .await;
    app.admin.drained().await;
    assert_eq!(mapping(&app).await["ticket_id"], "tkt-1");
    assert_eq!(app.connected_to(), ["tkt-1"]);
    app.stop().await;
}

#[tokio::test]
async fn nobody_else_and_no_edit_maps_a_thread() {
    let app = TestApp::builder().config(TRUST).start().await;
    let edited = json!({
        "type": "message", "subtype": "message_changed", "hidden": true, "channel": "C9DDYQ1B4",
        "ts": "1779146761.000100", "event_ts": "1779146761.000100",
        "message": {
            "type": "message", "user": "U0TRUSTED", "ts": ROOT, "thread_ts": ROOT,
            "text": "<https://app.serval.com/acme/tickets/tkt-1>", "edited": {"user": "U0TRUSTED"},
        },
    });
    let mention_of_an_edit = {
        let mut changes = link("U0TRUSTED");
        changes["type"] = json!("app_mention");
        changes["edited"] = json!({"user": "U0TRUSTED", "ts": "1779146762.000000"});
        slack_message("EvEdit", "1779146762.000100", &changes)
    };
    for body in [
        metadata("A0STRANGER", "tkt-1"),
        slack_message("EvStranger", "1779146763.000100", &link("U061F7AUR")),
        callback("EvChanged", &edited),
        mention_of_an_edit,
    ] {
        assert_eq!(app.webhooks.slack(body.clone()).send().await.status, 200);
        app.admin.drained().await;
        assert_eq!(mapping(&app).await, Value::Null, "{body}");
    }
    assert_eq!(app.requests("GET", "/v2/tickets/tkt-1"), 0);
    app.stop().await;
}

#[tokio::test]
async fn an_older_message_that_arrives_late_takes_no_mapping_away() {
    let app = TestApp::builder()
        .config(TRUST)
        .config("on_conflict = \"replace\"")
        .start()
        .await;
    for (event, ts, ticket, expected) in [
        ("EvA", "1779146800.000100", "tkt-new", "tkt-new"),
        ("EvB", "1779146760.000100", "tkt-old", "tkt-new"),
        ("EvC", "1779146900.000100", "tkt-newest", "tkt-newest"),
    ] {
        let changes = json!({
            "user": null, "app_id": "A0TRUSTED", "bot_id": "B0OTHER", "subtype": "bot_message",
            "thread_ts": ROOT, "metadata": {
                "event_type": "serval_ticket", "event_payload": {"serval_ticket_id": ticket},
            },
        });
        let message = slack_message(event, ts, &changes);
        app.webhooks.slack(message).send().await;
        app.admin.drained().await;
        assert_eq!(mapping(&app).await["ticket_id"], expected, "{event}");
    }
    app.stop().await;
}
