//! Which thread an event is about, and its rank there.

use serde_json::json;

use super::*;

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
    assert!(root > early && early > late);
    assert!(late > rank(json!({"ts": null, "thread_ts": "20.5"})));
}
