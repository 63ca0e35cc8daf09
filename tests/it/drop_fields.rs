//! `drop_fields`: what must not leave for Serval nor reach the disk does neither.

use serval_connect::rehearsal::mock_serval::MockConfig;

use crate::support::bodies::{callback, sys_id};
use crate::support::{TestApp, database_bytes};

const CANARY: &str = "canary-of-the-dropped-fields";

#[tokio::test]
async fn dropped_fields_reach_neither_serval_nor_the_disk() {
    let app = TestApp::builder()
        .serval(MockConfig::default())
        .config("[sources.servicenow]\ndrop_fields = ['/u_secret', '/caller_id/phone']")
        .config("[sources.slack]\ndrop_fields = ['/files', '/root/files']")
        .start()
        .await;
    app.admin.map("servicenow", &sys_id(1), "tkt-1").await;
    let id = sys_id(1);
    let body = format!(
        r#"{{"table":"incident","operation":"update","record":{{"u_secret":"{CANARY}", "sys_id":"{id}" ,"caller_id":{{"value":"1","phone":"{CANARY}"}},"n":1.0}},"previous":{{"u_secret":"{CANARY}"}}}}"#
    );
    let event = app.webhooks.servicenow(body).send().await.id();
    app.admin.wait_for_state(&event, "connected").await;
    let object = format!(r#"{{ "sys_id":"{id}" ,"caller_id":{{"value":"1"}},"n":1.0}}"#);
    assert_eq!(app.mock.connects()[0].object.as_ref(), Some(&object));
    assert_eq!(app.admin.event(&event).await["body"], object.as_str());

    let batch = format!(
        r#"{{"records":[{{"sys_id":"{}","sys_class_name":"incident","u_secret":"{CANARY}"}},{{"sys_id":"{}","sys_class_name":"incident"}}]}}"#,
        sys_id(2),
        sys_id(3),
    );
    let events = app.webhooks.servicenow(batch).send().await.events();
    for (event, n) in events.iter().zip([2, 3]) {
        let event = app.admin.event(event["id"].as_str().unwrap()).await;
        let rest = format!(
            r#"{{"sys_id":"{}","sys_class_name":"incident"}}"#,
            sys_id(n)
        );
        assert_eq!(event["body"], rest.as_str());
    }

    let message = serde_json::json!({
        "type": "message", "channel": "C9DDYQ1B4", "channel_type": "channel", "ts": "1.000001",
        "user": "U061F7AUR", "text": "The printer smokes", "event_ts": "1.000001",
        "files": [{"name": CANARY}],
    });
    let answer = app.webhooks.slack(callback("Ev1", &message)).send().await;
    assert_eq!(answer.status, 200);
    let parked = &app.admin.events("source=slack").await[0];
    let body = app.admin.event(parked["id"].as_str().unwrap()).await["body"].to_string();
    assert!(
        body.contains("The printer smokes") && !body.contains("files"),
        "{body}"
    );

    let stored = database_bytes(&app.database_url());
    assert!(!stored.windows(CANARY.len()).any(|w| w == CANARY.as_bytes()));
    let sent = format!("{:?}", app.mock.connects());
    assert!(!sent.contains(CANARY));
    app.stop().await;
}
