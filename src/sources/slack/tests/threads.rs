//! Which thread an event is about, and its rank there.

use serde_json::json;

use super::*;
use crate::domain::event::{ChannelNews, Question};

#[test]
fn the_thread_is_read_from_the_right_place() {
    let long = format!("{}.1", "9".repeat(200));
    for (changes, expected) in [
        (json!({"thread_ts": "10.1"}), Some("C111:10.1")),
        (json!({"thread_ts": ""}), Some("C111:20.5")),
        (json!({"thread_ts": 10.1}), Some("C111:20.5")),
        (json!({"thread_ts": {}}), Some("C111:20.5")),
        (json!({"thread_ts": "soon"}), None),
        (json!({"ts": 20.5}), None),
        (json!({"ts": "20"}), None),
        (json!({"ts": long}), None),
        (json!({"ts": null, "thread_ts": "10.1"}), Some("C111:10.1")),
        (json!({"channel": null}), None),
        (json!({"channel": "general"}), None),
        (json!({"channel": {"id": "C111"}}), None),
        (json!({"channel": "COMPOSER"}), None),
    ] {
        let event = event_of(&config(), &message(&changes));
        assert_eq!(id(&event), expected, "{changes}");
        let disposition = if expected.is_some() {
            CONNECT
        } else {
            ignore("unusable_id")
        };
        assert_eq!(event.disposition, disposition, "{changes}");
    }
    for (changes, expected) in [
        (
            json!({"subtype": "message_changed", "message": {"text": "x"}, "previous_message": {"ts": "3.1"}}),
            Some("C111:3.1"),
        ),
        (
            json!({"subtype": "message_changed", "message": {"ts": "4.1"}}),
            Some("C111:4.1"),
        ),
        (json!({"subtype": "message_changed", "message": []}), None),
        (
            json!({"subtype": "message_deleted", "deleted_ts": "5.1"}),
            Some("C111:5.1"),
        ),
        (
            json!({"subtype": "message_deleted", "previous_message": {"ts": "6.1"}}),
            Some("C111:6.1"),
        ),
        (
            json!({"type": "link_shared", "message_ts": "7.1"}),
            Some("C111:7.1"),
        ),
        (
            json!({"type": "link_shared", "message_ts": "7.1", "source": "composer"}),
            None,
        ),
        (
            json!({"type": "entity_details_requested", "thread_ts": "8.1", "message_ts": "8.2"}),
            Some("C111:8.1"),
        ),
        (
            json!({"type": "pin_added", "item": {"channel": "C222", "message": {"ts": "9.1"}}}),
            Some("C222:9.1"),
        ),
        (json!({"type": "pin_added", "item": {"type": "file"}}), None),
    ] {
        let event = event_of(&config(), &message(&changes));
        assert_eq!(id(&event), expected, "{changes}");
        assert!(
            matches!(event.disposition, Disposition::Ignore(_)),
            "{changes}"
        );
    }
}

#[test]
fn a_message_that_was_broadcast_is_found_by_the_first_message_that_it_repeats() {
    let post = |changes: Value| {
        let mut post = json!({"type": "message", "subtype": "thread_broadcast", "user": "U1",
            "text": "x", "ts": "20.5"});
        let changes = changes.as_object().unwrap().clone();
        post.as_object_mut().unwrap().extend(changes);
        post
    };
    let roots = [
        json!({"root": {"ts": "10.1"}}),
        json!({"root": {"ts": "11.1", "thread_ts": "10.1"}}),
        json!({"root": {"ts": "10.1", "thread_ts": ""}, "thread_ts": ""}),
        // The message itself comes first.
        json!({"root": {"ts": "11.1"}, "thread_ts": "10.1"}),
    ];
    for root in roots {
        let (told, untold) = (post(root.clone()), post(json!({})));
        for (changes, report) in [
            (told.clone(), Report::Message),
            (
                json!({"subtype": "message_deleted", "deleted_ts": "20.5", "previous_message": told}),
                Report::MessageDeletion,
            ),
            (
                json!({"subtype": "message_changed", "ts": "30.1", "message": told}),
                Report::MessageEdit,
            ),
            // An unfurled link may leave both out.
            (
                json!({"subtype": "message_changed", "ts": "30.1", "message": untold,
                    "previous_message": told}),
                Report::MessageEdit,
            ),
            (
                json!({"type": "pin_added", "item": {"channel": "C111", "message": told}}),
                Report::Message,
            ),
        ] {
            let event = event_of(&config(), &message(&changes));
            assert_eq!(id(&event), Some("C111:10.1"), "{changes}");
            assert_eq!(event.report, report, "{changes}");
            assert_eq!(event.rank.1, -20_500_000, "{changes}");
        }
    }
}

#[test]
fn what_only_the_stored_events_tell_is_a_question() {
    let edited = json!({"type": "app_mention", "edited": {"ts": "21.0"}});
    let with = |changes: Value| {
        let mut event = edited.clone();
        event
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        event
    };
    let is_new = |rank| {
        Some(Question::IsNew {
            content_key: "msg:C111:20.5".to_owned(),
            rank,
        })
    };
    let somewhere = Some(Question::WhichTicket {
        channel: "C111".to_owned(),
    });
    let deleted = json!({"subtype": "message_deleted", "deleted_ts": "5.1"});
    let held = json!({"subtype": "message_deleted", "previous_message": {"ts": "6.1"}});
    for (changes, expected) in [
        (edited.clone(), is_new(Rank(1, -20_500_000))),
        (
            with(json!({"thread_ts": "10.1"})),
            is_new(Rank(0, -20_500_000)),
        ),
        // What would not connect as a message does not as an edit.
        (with(json!({"bot_id": "B1"})), None),
        (with(json!({"user": "U0BRIDGE1"})), None),
        (with(json!({"channel_type": "im"})), None),
        (with(json!({"ts": "soon"})), None),
        // The event of a message tells of it before each edit.
        (json!({"edited": {"ts": "21.0"}}), None),
        (
            json!({"subtype": "message_changed", "message": {"ts": "4.1", "user": "U1"}}),
            None,
        ),
        (json!({"type": "app_mention"}), None),
        (deleted, somewhere),
        (held, None),
        (
            json!({"subtype": "message_deleted", "channel": null, "deleted_ts": "5.1"}),
            None,
        ),
    ] {
        let event = event_of(&config(), &message(&changes));
        assert_eq!(event.question, expected, "{changes}");
    }
}

#[test]
fn the_root_outranks_replies_and_early_messages_outrank_late_ones() {
    let rank = |changes| event_of(&config(), &message(&changes)).rank;
    let root = rank(json!({"ts": "1779146751.061339"}));
    assert_eq!(root, Rank(1, -1_779_146_751_061_339));
    assert_eq!(
        rank(json!({"ts": "1779146751.061339", "thread_ts": "1779146751.061339"})),
        root
    );
    let early = rank(json!({"ts": "30.1", "thread_ts": "20.5"}));
    let late = rank(json!({"ts": "30.2", "thread_ts": "20.5"}));
    assert!(root.outranks(early) && early.outranks(late));
    assert!(late.outranks(rank(json!({"ts": null, "thread_ts": "20.5"}))));
}

#[test]
fn an_event_says_what_it_knows_of_its_channel_and_only_where_that_matters() {
    let written = |channel: &str, is_direct, ignores_direct| {
        Some(ChannelNews::Written {
            channel: channel.to_owned(),
            is_direct,
            ignores_direct,
        })
    };
    let refused = Some("direct_message");
    let archived = |channel: &str| {
        let channel = channel.to_owned();
        Some(ChannelNews::Archived { channel })
    };
    let deleted = |channel: &str| {
        let channel = channel.to_owned();
        Some(ChannelNews::Deleted { channel })
    };
    for (changes, expected) in [
        (json!({}), written("C111", None, refused)),
        (
            json!({"type": "app_mention"}),
            written("C111", None, refused),
        ),
        (
            json!({"channel_type": "channel"}),
            written("C111", Some(false), refused),
        ),
        (
            json!({"channel_type": "group", "channel": "G111"}),
            written("G111", Some(false), refused),
        ),
        (
            json!({"channel_type": "mpim", "channel": "G111"}),
            written("G111", Some(true), refused),
        ),
        (
            json!({"channel_type": "mpim", "subtype": "channel_topic"}),
            written("C111", Some(true), refused),
        ),
        (
            json!({"type": "app_mention", "channel_type": "im"}),
            written("C111", Some(true), refused),
        ),
        // Of an edit the text is kept, as of a message.
        (
            json!({"channel_type": "channel", "subtype": "message_changed",
                "message": {"type": "message", "user": "U1", "ts": "20.5"}}),
            written("C111", Some(false), refused),
        ),
        (json!({"channel": "D111"}), None),
        (json!({"channel_type": "im", "channel": "D111"}), None),
        (json!({"channel_type": "mpim", "channel": null}), None),
        (json!({"channel_type": "mpim", "channel": "general"}), None),
        (
            json!({"channel_type": "channel", "subtype": "channel_topic"}),
            None,
        ),
        (
            json!({"type": "reaction_added", "channel_type": "mpim"}),
            None,
        ),
        (json!({"subtype": "channel_archive"}), archived("C111")),
        (json!({"subtype": "group_archive"}), archived("C111")),
        (json!({"type": "channel_archive"}), archived("C111")),
        (json!({"type": "group_archive"}), archived("C111")),
        (json!({"type": "channel_deleted"}), deleted("C111")),
        (json!({"type": "group_deleted"}), deleted("C111")),
        (
            json!({"type": "channel_deleted", "channel": {"id": "C1"}}),
            None,
        ),
        (json!({"type": "channel_unarchive"}), None),
        // No move at all.
        (
            json!({"type": "channel_id_changed", "old_channel_id": "C111", "new_channel_id": "C111"}),
            None,
        ),
    ] {
        let event = event_of(&config(), &message(&changes));
        assert_eq!(event.channel, expected, "{changes}");
    }
    let taking = Config {
        direct_messages: true,
        direct_message_target: Some(json!({"slackDm": {"integrationId": "i"}})),
        ..config()
    };
    let direct = message(&json!({"channel_type": "mpim"}));
    let event = event_of(&taking, &direct);
    assert_eq!(event.channel, written("C111", Some(true), None));
    // In a shared conversation a message may carry the type of a channel, though it is a direct one.
    for (channel_type, expected) in [("channel", None), ("group", None), ("mpim", Some(true))] {
        let body = message(&json!({"channel_type": channel_type}));
        let mut body: Value = from_str(&body).unwrap();
        body["is_ext_shared_channel"] = true.into();
        let event = event_of(&config(), &body.to_string());
        assert_eq!(event.channel, written("C111", expected, refused));
    }
}
