//! Sorting by type and subtype.

use serde_json::json;

use super::*;
use crate::domain::feed::{Sign, Trouble};
use crate::sources::slack::KIND;
use crate::sources::{Title, title};

#[test]
fn messages_are_sorted_by_subtype() {
    const HERE: Option<&str> = Some("C111:20.5");
    let table = [
        ("file_share", CONNECT, HERE),
        ("thread_broadcast", CONNECT, HERE),
        ("me_message", CONNECT, HERE),
        ("", CONNECT, HERE),
        ("bot_message", ignore("bot_message"), HERE),
        ("tombstone", ignore("root_deleted"), HERE),
        ("assistant_app_thread", ignore("assistant_thread"), HERE),
        ("message_changed", ignore("edited"), None),
        ("message_deleted", ignore("deleted"), None),
        ("message_replied", ignore("thread_update"), None),
        ("document_mention", ignore("document_mention"), None),
        ("channel_join", ignore("channel_notice"), None),
        ("channel_leave", ignore("channel_notice"), None),
        ("channel_topic", ignore("channel_notice"), None),
        ("channel_purpose", ignore("channel_notice"), None),
        ("channel_name", ignore("channel_notice"), None),
        ("channel_archive", ignore("channel_notice"), None),
        ("channel_unarchive", ignore("channel_notice"), None),
        ("channel_convert_to_private", ignore("channel_notice"), None),
        ("channel_convert_to_public", ignore("channel_notice"), None),
        (
            "channel_posting_permissions",
            ignore("channel_notice"),
            None,
        ),
        ("group_join", ignore("channel_notice"), None),
        ("group_topic", ignore("channel_notice"), None),
        ("pinned_item", ignore("notice"), None),
        ("unpinned_item", ignore("notice"), None),
        ("reminder_add", ignore("notice"), None),
        ("ekm_access_denied", ignore("notice"), None),
        ("file_comment", ignore("notice"), None),
        ("file_mention", ignore("notice"), None),
        ("reply_broadcast", ignore("notice"), None),
        ("bot_add", ignore("notice"), None),
        ("something_new", ignore("notice"), None),
    ];
    for (subtype, disposition, external_id) in table {
        for kind in ["message", "app_mention"] {
            let event = event_of(
                &config(),
                &message(&json!({"subtype": subtype, "type": kind})),
            );
            assert_eq!(event.disposition, disposition, "{kind}.{subtype}");
            assert_eq!(id(&event), external_id, "{kind}.{subtype}");
        }
    }
}

#[test]
fn events_that_are_no_messages_never_connect() {
    let ts = json!({"channel": "C111", "ts": "1.2", "user": "U1", "text": "x"});
    for (kind, reason) in [
        ("reaction_removed", "reaction"),
        ("message_metadata_updated", "metadata"),
        ("message_metadata_deleted", "metadata"),
        ("pin_removed", "pin"),
        ("assistant_thread_context_changed", "assistant_thread"),
        ("entity_details_requested", "entity_details"),
        ("channel_shared", "channel_shared"),
        ("channel_unshared", "channel_shared"),
        ("app_uninstalled", "app_uninstalled"),
        ("tokens_revoked", "user_tokens_revoked"),
        ("star_added", "not_a_message"),
        ("star_removed", "not_a_message"),
        ("file_created", "not_a_message"),
        ("file_shared", "not_a_message"),
        ("member_joined_channel", "not_a_message"),
        ("member_left_channel", "not_a_message"),
        ("channel_created", "not_a_message"),
        ("channel_archive", "channel_notice"),
        ("group_deleted", "channel_notice"),
        ("group_rename", "not_a_message"),
        ("im_open", "not_a_message"),
        ("team_access_granted", "not_a_message"),
        ("user_change", "not_a_message"),
        ("dnd_updated_user", "not_a_message"),
        ("emoji_changed", "not_a_message"),
        ("subteam_updated", "not_a_message"),
        ("app_home_opened", "not_a_message"),
        ("app_installed", "not_a_message"),
        ("app_deleted", "not_a_message"),
        ("scope_granted", "not_a_message"),
        ("grid_migration_started", "not_a_message"),
        ("function_executed", "not_a_message"),
        ("workflow_step_execute", "not_a_message"),
        ("goodbye", "not_a_message"),
        ("", "not_a_message"),
    ] {
        let mut event = ts.clone();
        event["type"] = json!(kind);
        let event = event_of(&config(), &callback(&event));
        assert_eq!(event.disposition, ignore(reason), "{kind}");
        assert_eq!(id(&event), None, "{kind}");
        assert_eq!(event.content_key, None, "{kind}");
    }
}

#[test]
fn only_an_edit_of_what_is_kept_brings_its_text_and_the_later_time_orders_edits() {
    use Report::{Message, MessageEdit};
    for (changes, changed_at, report, version) in [
        (
            json!({"edited": {"ts": "30.1"}}),
            "40.1",
            MessageEdit,
            40_100_000,
        ),
        (
            json!({"edited": {"ts": "50.1"}}),
            "40.1",
            MessageEdit,
            50_100_000,
        ),
        (
            json!({"edited": {"ts": "50.1"}}),
            "",
            MessageEdit,
            50_100_000,
        ),
        (json!({}), "40.1", MessageEdit, 40_100_000),
        (json!({}), "", MessageEdit, Rank::UNKNOWN),
        (json!({"bot_id": "B1"}), "40.1", Message, 40_100_000),
        (json!({"subtype": "channel_topic"}), "40.1", Message, 0),
        (json!({"ts": null}), "40.1", Message, 0),
    ] {
        let mut now = json!({"type": "message", "user": "U1", "text": "x", "ts": "20.5"});
        let added = changes.as_object().unwrap().clone();
        now.as_object_mut().unwrap().extend(added);
        let event = json!({"subtype": "message_changed", "ts": changed_at, "message": now});
        let event = event_of(&config(), &message(&event));
        assert_eq!(event.disposition, ignore("edited"), "{changes}");
        assert_eq!((event.report, event.rank.0), (report, version), "{changes}");
    }
}

#[test]
fn only_a_bot_that_lost_its_token_ends_the_events() {
    for (tokens, reason) in [
        (json!({"oauth": ["U1"], "bot": ["U2"]}), "tokens_revoked"),
        (json!({"bot": ["U2", "U3"]}), "tokens_revoked"),
        (json!({"oauth": ["U1"], "bot": []}), "user_tokens_revoked"),
        (json!({"oauth": ["U1", "W2"]}), "user_tokens_revoked"),
        (json!({"bot": null}), "user_tokens_revoked"),
        (json!({"bot": "U2"}), "user_tokens_revoked"),
        (json!(["U2"]), "user_tokens_revoked"),
    ] {
        let event = callback(&json!({"type": "tokens_revoked", "tokens": tokens}));
        let event = event_of(&config(), &event);
        assert_eq!(event.disposition, ignore(reason), "{tokens}");
        let sign = match reason {
            "tokens_revoked" => Sign::Trouble(Trouble::TokensRevoked),
            _ => Sign::Notice,
        };
        assert_eq!(KIND.sign(reason), sign, "{tokens}");
    }
}

#[test]
fn a_message_has_its_first_line_without_slacks_escapes_as_title() {
    for (object, expected) in [
        (r#"{"text":"\n  a &lt;b&gt; &amp; c\nmore"}"#, "a <b> & c"),
        (r#"{"text":"&amp;lt;"}"#, "&lt;"),
        (r#"{"text":""}"#, ""),
        (r#"{"text":7}"#, ""),
        ("{}", ""),
    ] {
        let Title { number, title } = title(KIND, object.as_bytes());
        assert_eq!(number, None);
        assert_eq!(title.unwrap_or_default(), expected, "{object}");
    }
}
