//! Records: what becomes of their events.

use super::*;

#[test]
fn each_reason_yields_to_the_one_before() {
    use Disposition::{Bury, Connect, Ignore, Skip};
    let echo = r#","sys_updated_by":"serval.integration""#;
    for (envelope, columns, expected) in [
        (
            r#""operation":"delete","#,
            r#","__status":"failure""#.to_owned(),
            Ignore("record_error"),
        ),
        (
            "",
            r#","__error":{"message":"x"}"#.to_owned(),
            Ignore("record_error"),
        ),
        (
            "",
            r#","__status":"Success","__error":null"#.to_owned(),
            Connect,
        ),
        (
            r#""operation":"DELETE","table":"problem","#,
            echo.to_owned(),
            Ignore("deleted"),
        ),
        (
            r#""operation":"deleted","#,
            String::new(),
            Ignore("deleted"),
        ),
        (
            r#""event_type":"incident.deleted","#,
            String::new(),
            Ignore("deleted"),
        ),
        (
            r#""operation":{"value":"delete"},"#,
            String::new(),
            Ignore("deleted"),
        ),
        (
            r#""operation":"query","#,
            echo.to_owned(),
            Ignore("operation"),
        ),
        (
            r#""operation":"amputate","#,
            String::new(),
            Ignore("operation"),
        ),
        (
            r#""operation":"","event":"amputated","#,
            String::new(),
            Connect,
        ),
        (
            r#""table":"problem","#,
            echo.to_owned(),
            Bury("class_conflict"),
        ),
        (r#""table":"task","#, echo.to_owned(), Skip("echo")),
        (r#""table":"Incident","#, String::new(), Connect),
        // In an envelope the record's own columns are only columns.
        (
            "",
            r#","table":"problem","operation":"delete""#.to_owned(),
            Connect,
        ),
    ] {
        let body = format!(
            r#"{{{envelope}"record":{{"sys_id":"{ID}","sys_class_name":"incident"{columns}}}}}"#
        );
        let event = event(&body);
        assert_eq!(event.disposition, expected, "{body}");
        assert_eq!(external_id(&event), ID, "{body}");
    }
}

#[test]
fn bare_records_say_themselves_what_happened() {
    use Disposition::{Bury, Connect, Ignore};
    for (columns, expected) in [
        (
            r#""sys_class_name":"incident","operation":"delete""#,
            Ignore("deleted"),
        ),
        (
            r#""sys_class_name":"incident","event_type":"incident.deleted""#,
            Ignore("deleted"),
        ),
        (
            r#""sys_class_name":"incident","operation":"query""#,
            Ignore("operation"),
        ),
        (
            r#""sys_class_name":"incident","table":"sc_req_item""#,
            Bury("class_conflict"),
        ),
        (r#""table":"incident""#, Connect),
        (r#""table_name":"incident""#, Connect),
        (r#""table":"sc_task""#, Ignore("out_of_scope")),
        (r#""number":"INC0047713""#, Connect),
        (r#""number":"CHG0047713""#, Ignore("unknown_class")),
        (
            r#""sys_class_name":"Problem","number":"INC1""#,
            Ignore("out_of_scope"),
        ),
    ] {
        for (before, after) in [("", ""), ("[", "]"), (r#"{"result":"#, "}")] {
            let body = format!(r#"{before}{{"sys_id":"{ID}",{columns}}}{after}"#);
            assert_eq!(event(&body).disposition, expected, "{body}");
        }
    }
    let thin = format!(r#"{{"operation":"delete","previous":{{"sys_id":"{ID}","state":"7"}}}}"#);
    assert_eq!(event(&thin).disposition, Ignore("deleted"));
    assert_eq!(external_id(&event(&thin)), ID);
}

#[test]
fn the_wrapper_and_the_path_tell_the_class_of_a_record_that_does_not() {
    let record = format!(r#"{{"sys_id":"{ID}","state":"1"}}"#);
    for (body, table, expected) in [
        (record.clone(), Some("incident"), Some("incident")),
        (record.clone(), Some("sc_req_item"), Some("requested_item")),
        (record.clone(), Some("problem"), None),
        (record.clone(), None, None),
        (
            format!(r#"{{"sc_req_item":{record}}}"#),
            Some("incident"),
            Some("requested_item"),
        ),
        (
            format!(r#"{{"requested_item":{record}}}"#),
            None,
            Some("requested_item"),
        ),
        (
            format!(r#"{{"table":"incident","requested_item":{record}}}"#),
            Some("sc_req_item"),
            Some("incident"),
        ),
    ] {
        let receipt = interpret_as(body.as_bytes(), table, None).unwrap();
        let Receipt::Events(events) = receipt else {
            panic!("{body}");
        };
        assert_eq!(events[0].subtype, expected, "{body} {table:?}");
    }
}

#[test]
fn echoes_are_told_by_name_or_label() {
    for (user, echo) in [
        (r#""serval.integration""#, true),
        (r#""SERVAL.INTEGRATION""#, true),
        (
            r#"{"value":"a1","display_value":"Serval.Integration"}"#,
            true,
        ),
        (
            r#"{"value":"serval.integration","display_value":"Serval"}"#,
            true,
        ),
        (r#""serval.integration2""#, false),
        (r#""""#, false),
        ("null", false),
    ] {
        let body = format!(
            r#"{{"sys_id":"{ID}","sys_class_name":"incident","sys_mod_count":1,"sys_updated_by":{user}}}"#
        );
        let event = event(&body);
        let expected = if echo {
            Disposition::Skip("echo")
        } else {
            Disposition::Connect
        };
        assert_eq!(event.disposition, expected, "{user}");
        assert_eq!(event.content_key.is_none(), echo, "{user}");
    }
}

#[test]
fn deliveries_are_named_by_header_or_envelope_and_place() {
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
    let batch = keys(BATCH, Some("msg_1"));
    assert_eq!(batch[0], some("wh#0:msg_1"));
    assert_eq!(batch[3], some("wh#3:msg_1"));
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
fn newer_records_rank_higher() {
    let rank = |columns: &str| event(&format!(r#"{{"sys_id":"{ID}"{columns}}}"#)).rank;
    let ranks = [
        rank(""),
        rank(r#","sys_updated_on":"2026-03-17 13:05:44""#),
        rank(r#","sys_mod_count":"0""#),
        rank(r#","sys_mod_count":"9","sys_updated_on":"2026-03-17 13:05:44""#),
        rank(r#","sys_mod_count":"9","sys_updated_on":{"value":"2026-03-17 13:05:45"}"#),
        rank(r#","sys_mod_count":10,"sys_updated_on":"17.03.2026 13:05""#),
        rank(r#","sys_mod_count":"2,000""#),
    ];
    assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
    let label_only = rank(r#","sys_updated_on":{"display_value":"2026-03-17 13:05:44"}"#);
    assert_eq!(label_only, Rank(-1, -1));
}

#[test]
fn event_types_are_short_and_visible() {
    for (columns, expected) in [
        (
            r#""sys_class_name":"incident","operation":"insert""#.to_owned(),
            "incident.insert",
        ),
        (r#""sys_class_name":"Gerät""#.to_owned(), "record.change"),
        (
            r#""sys_class_name":"incident","table":"problem""#.to_owned(),
            "record.change",
        ),
    ] {
        let body = format!(r#"{{"sys_id":"{ID}",{columns}}}"#);
        assert_eq!(event(&body).event_type, expected);
    }
    let long = format!(
        r#"{{"sys_id":"{ID}","sys_class_name":"{}"}}"#,
        "u_".repeat(40)
    );
    assert_eq!(event(&long).event_type.len(), 64);
}
