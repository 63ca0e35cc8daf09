//! Every type of event that Slack documents, with and without each field that may be missing: all are
//! a 200, and none is dead.

use serde_json::{Map, Value, json};

use super::kept::slack::check;
use crate::support::TestApp;
use crate::support::bodies::callback;

/// Types of the Events API, each with the fields that it may have.
const TYPES: &[(&str, &str)] = &[
    (
        "app_deleted app_installed app_requested app_uninstalled_team",
        "app_id app_name user_id team_id",
    ),
    ("app_home_opened", "user channel tab view"),
    (
        "app_mention",
        "user text ts channel thread_ts team bot_id edited",
    ),
    (
        "app_uninstalled emoji_changed grid_migration_started grid_migration_finished",
        "subtype enterprise_id",
    ),
    (
        "assistant_thread_started assistant_thread_context_changed",
        "assistant_thread",
    ),
    ("call_rejected", "call_id user_id channel_id"),
    (
        "channel_archive channel_unarchive channel_deleted channel_left",
        "channel user is_moved",
    ),
    (
        "channel_created channel_rename im_created group_rename",
        "channel_object user",
    ),
    (
        "channel_history_changed group_history_changed im_history_changed",
        "channel latest ts",
    ),
    ("channel_id_changed", "old_channel_id new_channel_id"),
    (
        "channel_shared channel_unshared",
        "channel connected_team_id previously_connected_team_id is_ext_shared",
    ),
    ("dnd_updated dnd_updated_user", "user dnd_status"),
    (
        "email_domain_changed team_domain_change team_rename",
        "email_domain url name",
    ),
    (
        "entity_details_requested",
        "channel user message_ts thread_ts external_ref link",
    ),
    (
        "file_change file_created file_deleted file_public file_shared file_unshared",
        "file_id file user_id channel_id",
    ),
    (
        "file_comment_added file_comment_deleted file_comment_edited",
        "comment file_id file",
    ),
    (
        "function_executed",
        "function inputs function_execution_id workflow_execution_id",
    ),
    (
        "group_archive group_unarchive group_deleted group_left",
        "channel user is_moved",
    ),
    ("group_close group_open im_close im_open", "channel user"),
    ("invite_requested", "invite_request"),
    (
        "link_shared",
        "channel user message_ts thread_ts links source unfurl_id is_bot_user_member",
    ),
    (
        "member_joined_channel member_left_channel",
        "user channel channel_letter team inviter",
    ),
    (
        "message_metadata_posted message_metadata_updated message_metadata_deleted",
        "app_id bot_id user_id channel_id message_ts metadata previous_metadata",
    ),
    ("pin_added pin_removed", "user channel_id item has_pins"),
    (
        "reaction_added reaction_removed",
        "user reaction item_user item",
    ),
    (
        "resources_added resources_removed scope_denied scope_granted user_resource_denied user_resource_granted user_resource_removed",
        "resources scopes user trigger_id",
    ),
    (
        "shared_channel_invite_accepted shared_channel_invite_approved shared_channel_invite_declined shared_channel_invite_received shared_channel_invite_requested",
        "invite channel_object teams_in_channel user",
    ),
    ("star_added star_removed", "user item"),
    (
        "subteam_created subteam_members_changed subteam_self_added subteam_self_removed subteam_updated",
        "subteam subteam_id team_id",
    ),
    ("team_access_granted team_access_revoked", "team_ids"),
    (
        "team_join user_change user_huddle_changed user_profile_changed user_status_changed",
        "user_object cache_ts",
    ),
    ("tokens_revoked", "tokens"),
    (
        "workflow_deleted workflow_published workflow_step_deleted workflow_step_execute workflow_unpublished",
        "workflow_id workflow_step callback_id",
    ),
];

/// Subtypes of messages; the first stands for a message without one.
const SUBTYPES: &str = "none assistant_app_thread bot_add bot_message bot_remove channel_archive \
    channel_convert_to_private channel_convert_to_public channel_join channel_leave channel_name \
    channel_posting_permissions channel_purpose channel_topic channel_unarchive document_mention \
    ekm_access_denied file_comment file_mention file_share group_archive group_join group_leave \
    group_name group_purpose group_topic group_unarchive me_message message_changed message_deleted \
    message_replied pinned_item reminder_add reply_broadcast thread_broadcast tombstone unpinned_item";

const OF_MESSAGES: &str =
    "channel user text ts thread_ts channel_type bot_id message previous_message deleted_ts";

/// The key and a value of a field of [`TYPES`].
fn field(name: &str) -> (&str, Value) {
    let message = json!({"type": "message", "user": "U1", "text": "words", "ts": "1.000001"});
    match name {
        "channel" | "channel_id" => (name, json!("C0CATALOG")),
        "old_channel_id" => (name, json!("G0BEFORE")),
        "new_channel_id" => (name, json!("C0BEFORE")),
        "channel_object" => (
            "channel",
            json!({"id": "C0CATALOG", "name": "n", "created": 1}),
        ),
        "user_object" => ("user", json!({"id": "U1", "profile": {"team": "T1"}})),
        "channel_type" => (name, json!("channel")),
        "channel_letter" => ("channel_type", json!("C")),
        "ts" | "thread_ts" | "message_ts" | "deleted_ts" => (name, json!("1.000001")),
        "edited" => (name, json!({"user": "U1", "ts": "2.000001"})),
        "message" | "previous_message" => (name, message),
        "item" => (
            name,
            json!({"type": "message", "channel": "C0CATALOG", "ts": "1.000001", "message": message}),
        ),
        "assistant_thread" => (
            name,
            json!({"user_id": "U1", "channel_id": "D0CATALOG", "thread_ts": "1.000001", "context": {"channel_id": "C1"}}),
        ),
        "metadata" | "previous_metadata" => (
            name,
            json!({"event_type": "t", "event_payload": {"serval_ticket_id": "tkt-9"}}),
        ),
        "links" => (
            name,
            json!([{"domain": "example.com", "url": "https://example.com/1"}]),
        ),
        "source" => (name, json!("composer")),
        "tokens" => (name, json!({"oauth": ["U1"], "bot": ["U2"]})),
        "has_pins" | "is_moved" | "is_ext_shared" | "is_bot_user_member" => (name, json!(true)),
        "team_ids" | "resources" | "scopes" | "teams_in_channel" => (name, json!(["T1"])),
        "file" | "view" | "comment" | "function" | "inputs" | "invite" | "invite_request"
        | "subteam" | "workflow_step" | "dnd_status" | "external_ref" | "link" => {
            (name, json!({"id": "X1"}))
        }
        "cache_ts" => (name, json!(1)),
        _ => (name, json!("X0VALUE")),
    }
}

/// A key with its value.
type Named = (&'static str, Value);

/// Each type with each of its fields.
fn catalogue() -> Vec<(Map<String, Value>, Vec<Named>)> {
    let mut all = Vec::new();
    for (types, fields) in TYPES {
        for kind in types.split(' ') {
            let base = Map::from_iter([("type".to_owned(), json!(kind))]);
            all.push((base, fields.split(' ').map(field).collect()));
        }
    }
    for subtype in SUBTYPES.split_whitespace() {
        let mut base = Map::from_iter([("type".to_owned(), json!("message"))]);
        if subtype != "none" {
            base.insert("subtype".to_owned(), json!(subtype));
        }
        all.push((base, OF_MESSAGES.split(' ').map(field).collect()));
    }
    all
}

fn with<'a>(base: &Map<String, Value>, fields: impl IntoIterator<Item = &'a Named>) -> Value {
    let mut event = base.clone();
    for (key, value) in fields {
        event.insert((*key).to_owned(), value.clone());
    }
    Value::Object(event)
}

#[test]
fn every_combination_of_fields_of_every_type_of_event_is_understood() {
    let mut tried = 0;
    for (base, fields) in catalogue() {
        assert!(fields.len() <= 10, "{base:?}");
        for chosen in 0..1_u32 << fields.len() {
            let is_chosen = |at: &usize| chosen >> at & 1 == 1;
            let there = (0..fields.len()).filter(is_chosen).map(|at| &fields[at]);
            check(callback("EvCatalogue", &with(&base, there)).as_bytes());
            tried += 1;
        }
    }
    assert!(tried > 30_000, "{tried}");
}

#[tokio::test]
async fn every_type_of_event_is_a_200_with_and_without_each_field_and_none_is_dead() {
    let app = TestApp::builder()
        .config("[sources.slack]\ntrusted_apps = [\"X0VALUE\"]")
        .start()
        .await;
    let mut sent = 0;
    for (base, fields) in catalogue() {
        let mut events = vec![with(&base, &fields), with(&base, [])];
        for at in 0..fields.len() {
            let others = fields.iter().enumerate().filter(|(n, _)| *n != at);
            let mut event = with(&base, others.map(|(_, field)| field));
            events.push(event.clone());
            event[fields[at].0] = Value::Null;
            events.push(event);
            events.push(with(&base, [&fields[at]]));
        }
        for event in events {
            sent += 1;
            let body = callback(&format!("EvCatalogue{sent}"), &event);
            let answer = app.webhooks.slack(body).send().await;
            assert_eq!(
                (answer.status, &answer.body[..]),
                (200, &b""[..]),
                "{event}"
            );
        }
    }
    // What is no event of a workspace, too.
    for body in [
        json!({"type": "app_rate_limited", "team_id": "T1", "minute_rate_limited": 1, "api_app_id": "A1"}),
        json!({"type": "app_rate_limited"}),
        json!({"type": "event_callback", "event": {}}),
    ] {
        assert_eq!(
            app.webhooks.slack(body.to_string()).send().await.status,
            200
        );
    }
    app.admin.drained().await;
    assert!(sent > 1500, "{sent}");
    assert_eq!(app.admin.events("state=dead").await, Vec::<Value>::new());
    app.stop().await;
}
