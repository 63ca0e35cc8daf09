//! Records: what becomes of their events.

use super::*;
use crate::domain::reason::Reason;

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
            r#""table":"sc_req_item","#,
            echo.to_owned(),
            Bury(Reason::ClassConflict),
        ),
        (r#""table":"problem","#, String::new(), Connect),
        (r#""table":"task","#, echo.to_owned(), Skip(Reason::Echo)),
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
    use Disposition::{Connect, Ignore, SetAside};
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
            Connect,
        ),
        (
            r#""sys_class_name":"contract_sla","table":"incident""#,
            Ignore("out_of_scope"),
        ),
        (
            r#""sys_class_name":"u_major_incident""#,
            SetAside("out_of_scope"),
        ),
        (
            r#""sys_class_name":"Schwere Störung""#,
            SetAside("unknown_class"),
        ),
        // An attachment, which names the record that it hangs on.
        (
            r#""table_name":"incident","table_sys_id":"fedcba9876543210fedcba9876543210""#,
            Ignore("unknown_class"),
        ),
        (r#""table_name":"incident","table_sys_id":"""#, Connect),
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
            Disposition::Skip(Reason::Echo)
        } else {
            Disposition::Connect
        };
        assert_eq!(event.disposition, expected, "{user}");
        assert_eq!(event.content_key.is_none(), echo, "{user}");
    }
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
            "incident.change",
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

#[test]
fn a_record_has_its_number_and_short_description_in_every_value_mode() {
    for (object, number, line) in [
        (
            r#"{"number":"INC1","short_description":" No mail\nsince noon "}"#,
            "INC1",
            "No mail",
        ),
        (
            r#"{"number":{"value":"INC1","display_value":"x"},"short_description":{"display_value":"No mail"}}"#,
            "INC1",
            "No mail",
        ),
        (r#"{"number":"","short_description":null}"#, "", ""),
        (
            r#"{"number":"A","number":"B","short_description":"t"}"#,
            "",
            "t",
        ),
        ("{}", "", ""),
        ("[]", "", ""),
        ("no JSON", "", ""),
    ] {
        let found = title(KIND, object.as_bytes());
        assert_eq!(found.number.unwrap_or_default(), number, "{object}");
        assert_eq!(found.title.unwrap_or_default(), line, "{object}");
    }
}
