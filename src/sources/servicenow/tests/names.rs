//! The names of deliveries and contents, and the rank of a save.

use super::*;

#[test]
fn deliveries_are_named_by_header_or_envelope() {
    let keys = |body: &str, id| {
        let Ok(Receipt::Events(events)) = interpret_as(body.as_bytes(), None, id) else {
            panic!("{body}");
        };
        events
            .into_iter()
            .map(|e| e.delivery_key)
            .collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(keys(INCIDENT_RAW, Some("msg_1")), [some("wh:msg_1")]);
    assert_eq!(keys(ENVELOPE, Some("msg_1")), [some("wh:msg_1")]);
    let named = [some("body:5f0d6c1e-8a4b-4b53-9d0e-27c9f1a6e3b8")];
    assert_eq!(keys(ENVELOPE, None), named);
    assert_eq!(keys(INCIDENT_RAW, None), [None]);
    let all_alike = std::array::from_fn::<_, 4, _>(|_| some("wh:msg_1"));
    assert_eq!(keys(BATCH, Some("msg_1")), all_alike);
    // A column of that name stays the same from save to save.
    let column = format!(r#"{{"sys_id":"{ID}","delivery_id":"d-1"}}"#);
    assert_eq!(keys(&column, None), [None]);
    for odd in [
        r#""""#.to_owned(),
        "7.5e400".to_owned(),
        format!("{:?}", "x".repeat(257)),
    ] {
        let body = format!(r#"{{"delivery_id":{odd},"record":{{"sys_id":"{ID}"}}}}"#);
        assert!(
            keys(&body, None)[0]
                .as_ref()
                .is_none_or(|key| key.len() < 300)
        );
    }
}

#[test]
fn content_is_named_by_ticket_count_operation_and_bytes() {
    let keyed = |operation: &str, columns: &str| {
        let body = format!(
            r#"{{"operation":"{operation}","record":{{"sys_id":"{ID}","sys_class_name":"incident"{columns}}}}}"#
        );
        event(&body).content_key
    };
    let key = keyed("update", r#","sys_mod_count":"6""#).unwrap();
    assert!(key.starts_with(&format!("{ID}:6:update:")), "{key}");
    assert_eq!(key.len(), 32 + ":6:update:".len() + 32);
    assert_eq!(
        keyed("Updated", r#","sys_mod_count":"6""#),
        Some(key.clone())
    );
    assert_ne!(
        keyed("insert", r#","sys_mod_count":"6""#),
        Some(key.clone())
    );
    assert_ne!(
        keyed("update", r#","sys_mod_count":"7""#),
        Some(key.clone())
    );
    assert_ne!(keyed("update", r#","sys_mod_count":6"#), Some(key));
    assert_eq!(keyed("update", ""), None);
    assert_eq!(keyed("update", r#","sys_mod_count":"many""#), None);
    assert!(event(INCIDENT_RAW).content_key.unwrap().contains(":6::"));
}

#[test]
fn a_save_ranks_by_its_time_in_utc_and_then_by_its_count() {
    const UNKNOWN: i64 = Rank::UNKNOWN;
    let rank = |columns: &str| event(&format!(r#"{{"sys_id":"{ID}"{columns}}}"#)).rank;
    let at = 1_773_752_744;
    for (columns, expected) in [
        ("", Rank(UNKNOWN, UNKNOWN)),
        (
            r#","sys_updated_on":"2026-03-17 13:05:44""#,
            Rank(at, UNKNOWN),
        ),
        (r#","sys_mod_count":"0""#, Rank(UNKNOWN, 0)),
        (
            r#","sys_mod_count":"9","sys_updated_on":{"value":"2026-03-17 13:05:45"}"#,
            Rank(at + 1, 9),
        ),
        // Local times, in a form that people chose.
        (
            r#","sys_mod_count":10,"sys_updated_on":"17.03.2026 13:05""#,
            Rank(UNKNOWN, 10),
        ),
        (
            r#","sys_mod_count":"2,000","sys_updated_on":"03/17/2026 13:05:44""#,
            Rank(UNKNOWN, 2000),
        ),
    ] {
        assert_eq!(rank(columns), expected, "{columns}");
    }
    let label_only = rank(r#","sys_updated_on":{"display_value":"2026-03-17 13:05:44"}"#);
    assert_eq!(label_only, Rank(UNKNOWN, UNKNOWN));
}
