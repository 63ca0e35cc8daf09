//! One thread, whichever workspace the envelope names: Slack Connect, Enterprise Grid, a workspace
//! that moved to another organisation.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::bodies::slack_message;

const ROOT: &str = "1779146751.061339";
const REPLY: &str = "1779146790.000300";
const THREAD: &str = "C9DDYQ1B4:1779146751.061339";
const TRUST: &str = "[sources.slack]\ntrusted_apps = [\"A0HELPDESK\"]";

/// A message whose envelope has `changes`; `null` stays `null`, as Slack sends it.
fn through(envelope: &Value, event_id: &str, ts: &str, changes: &Value) -> String {
    let mut body: Value = serde_json::from_str(&slack_message(event_id, ts, changes)).unwrap();
    for (key, value) in envelope.as_object().unwrap() {
        body[key] = value.clone();
    }
    body.to_string()
}

/// The same thread seen through two installations: what the envelope of each message says.
fn pairs_of_envelopes() -> [(&'static str, Value, Value); 4] {
    [
        (
            "shared channel",
            json!({"is_ext_shared_channel": true}),
            json!({"team_id": "T0PARTNER", "context_team_id": "T0PARTNER", "is_ext_shared_channel": true}),
        ),
        (
            "shared channel, heard through ours both times",
            json!({"context_team_id": "T0BRIDGE1", "is_ext_shared_channel": true}),
            json!({"team_id": "T0PARTNER", "context_team_id": "T0BRIDGE1", "is_ext_shared_channel": true}),
        ),
        (
            "installed in the whole organisation",
            json!({"enterprise_id": "E0ORG", "context_enterprise_id": "E0ORG"}),
            json!({
                "team_id": null, "context_team_id": null, "enterprise_id": "E0ORG",
                "authorizations": [{"enterprise_id": "E0ORG", "team_id": null,
                    "user_id": "W0BRIDGE1", "is_bot": true, "is_enterprise_install": true}],
            }),
        ),
        (
            "workspace moved into an organisation",
            json!({}),
            json!({"team_id": "E0ORG", "enterprise_id": "E0ORG", "context_team_id": "T0NEW"}),
        ),
    ]
}

async fn standing(app: &TestApp) -> Vec<(Value, Value)> {
    let stands = |event: &Value| (event["state"].clone(), event["reason"].clone());
    let events = app.admin.events("source=slack").await;
    events.iter().rev().map(stands).collect()
}

#[tokio::test]
async fn a_thread_seen_through_two_workspaces_is_one_external_ticket() {
    for (what, ours, theirs) in pairs_of_envelopes() {
        for theirs_first in [false, true] {
            let app = TestApp::start().await;
            let (first, second) = if theirs_first {
                (&theirs, &ours)
            } else {
                (&ours, &theirs)
            };
            let reply = json!({"thread_ts": ROOT, "user": "W0THEIRS1"});
            for body in [
                through(first, "EvRoot", ROOT, &Value::Null),
                through(second, "EvReply", REPLY, &reply),
            ] {
                assert_eq!(app.webhooks.slack(body).send().await.status, 200);
            }
            let expected = [("parked", "no_mapping"), ("skipped", "superseded")];
            let expected = expected.map(|(state, reason)| (json!(state), json!(reason)));
            assert_eq!(standing(&app).await, expected, "{what}");
            app.admin.map("slack", THREAD, "tkt-1").await;
            app.admin.drained().await;
            assert_eq!(app.connected_to(), ["tkt-1"], "{what}");
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn a_trusted_app_of_the_other_workspace_teaches_the_thread_and_its_root_is_sent_once() {
    for (what, ours, theirs) in pairs_of_envelopes() {
        for mention_first in [false, true] {
            let app = TestApp::builder().config(TRUST).start().await;
            let mention = json!({"type": "app_mention", "channel_type": null, "user": "W0THEIRS1"});
            let mut twins = [
                through(&ours, "EvMention", ROOT, &mention),
                through(&theirs, "EvMessage", ROOT, &json!({"user": "W0THEIRS1"})),
            ];
            if !mention_first {
                twins.reverse();
            }
            for body in twins {
                assert_eq!(app.webhooks.slack(body).send().await.status, 200);
            }
            let names = json!({
                "user": "W0DESK", "bot_id": "B0HELPDESK", "app_id": "A0HELPDESK", "thread_ts": ROOT,
                "metadata": {"event_type": "desk", "event_payload": {"serval_ticket_id": "tkt-7"}},
            });
            let body = through(&theirs, "EvNames", REPLY, &names);
            assert_eq!(app.webhooks.slack(body).send().await.status, 200);
            app.admin.drained().await;
            let mapping = app.admin.mapping("slack", THREAD).await;
            assert_eq!(mapping["ticket_id"], "tkt-7", "{what}");
            assert_eq!(mapping["origin"], "payload", "{what}");
            let connects = app.mock.connects();
            assert_eq!(connects.len(), 1, "{what}");
            let sent = connects[0].object.as_deref().unwrap();
            let sent: Value = serde_json::from_str(sent).unwrap();
            assert_eq!(sent["ts"], ROOT, "{what}: the root speaks for the thread");
            assert_eq!(app.admin.list("/mappings").await.len(), 1, "{what}");
            assert_eq!(app.admin.events("state=dead").await.len(), 0, "{what}");
            assert_eq!(app.admin.events("state=parked").await.len(), 0, "{what}");
            app.stop().await;
        }
    }
}
