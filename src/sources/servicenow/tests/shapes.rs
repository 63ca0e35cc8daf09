//! Bodies: where records are found, and what is refused.

use super::*;

#[test]
fn records_are_found_in_every_shape_and_kept_byte_for_byte() {
    // Spacing, order, number forms and escapes that a second printing would change.
    let plain = format!(
        r#"{{ "z":1.0,"sys_id" : "{ID}","sys_class_name":"incident","a":1E2,"\u0061b":"\u00e9\u0000é" ,"big":123456789012345678901234567890}}"#
    );
    let pairs = format!(
        r#"{{"sys_class_name":{{"display_value":"Incident","value":"incident"}},"sys_id":{{"value":"{ID}"}}, "x":[ ]}}"#
    );
    let labels = format!(r#"{{"sys_class_name":"INCIDENT","sys_id":{{"display_value":"{ID}"}}}}"#);
    for record in [plain, pairs, labels] {
        for (before, after) in [
            ("", ""),
            ("\u{feff}", ""),
            (" \r\n\t", "\n"),
            (r#"{"result": "#, " }"),
            (r#"{"result":[ "#, "]}"),
            (r#"{"records":["#, r#"],"table":"task"}"#),
            ("[", "\n]"),
            (r#"{"table":"incident","operation":"insert","record":"#, "}"),
            (
                r#"{"table_name":"Incident","event_type":"incident.updated","record":"#,
                "}",
            ),
            (
                r#"{"event":"incident.reopened","action":"reopen","record":"#,
                "}",
            ),
            (r#"{"sys_id":"x","operation":null,"record":"#, "}"),
            (
                r#"{"sys_id":"00000000000000000000000000000000","record":"#,
                "}",
            ),
            (r#"{"record":{"link":"l","value":"v"},"current":"#, "}"),
            (
                r#"{"operation":"update","current":"#,
                r#","previous":{"sys_id":"x"}}"#,
            ),
            (r#"{"incident":"#, "}"),
            (r#"{"number":"INC1","incident":"#, r#","sc_req_item":null}"#),
            ("\u{feff}{\"incident\":", "}"),
        ] {
            let body = format!("{before}{record}{after}");
            let event = event(&body);
            assert_eq!(object(&body, &event), record, "{body}");
            assert_eq!(event.disposition, Disposition::Connect, "{body}");
            assert_eq!(external_id(&event), ID, "{body}");
        }
    }
}

#[test]
fn a_column_named_like_an_envelope_does_not_hide_its_record() {
    let other = r#"{"sys_id":"00000000000000000000000000000000","number":"INC1"}"#;
    for column in [
        r#""result":"ok""#.to_owned(),
        r#""record":"00000000000000000000000000000000""#.to_owned(),
        r#""record":{"link":"https://x","value":"00000000000000000000000000000000"}"#.to_owned(),
        r#""current":{"display_value":"","value":"","link":""},"previous":{}"#.to_owned(),
        r#""incident":{"display_value":"INC1","link":"https://x"}"#.to_owned(),
        r#""records":[]"#.to_owned(),
        r#""table":"Standing Desk","action":"delete","event":"deleted""#.to_owned(),
        r#""operation":"amputation""#.to_owned(),
        format!(r#""incident":{other}"#),
        format!(r#""result":{other}"#),
        format!(r#""result":[{other}]"#),
    ] {
        let body = format!(r#"{{{column},"sys_id":"{ID}","sys_class_name":"sc_req_item"}}"#);
        let event = event(&body);
        assert_eq!(object(&body, &event), body);
        assert_eq!(event.disposition, Disposition::Connect, "{body}");
    }
}

#[test]
fn a_body_without_a_record_is_not_an_event() {
    for body in [
        "{}",
        "null",
        "1",
        r#""text""#,
        r#"{"event_type":"test"}"#,
        r#"{"table":"incident","operation":"update"}"#,
        r#"{"record":null}"#,
        r#"{"record":{}}"#,
        r#"{"result":{}}"#,
        r#"{"result":"ok"}"#,
        r#"{"records":{}}"#,
        r#"{"previous":{"sys_id":"3b9e41d7c0f24a18857d6e02fa91b3c6"},"operation":"update"}"#,
        r#"{"error":{"message":"No Record found"},"status":"failure"}"#,
    ] {
        let Unreadable::Body(text) = refusal(body) else {
            panic!("{body}");
        };
        assert!(text.starts_with("no record in the body"), "{text}");
    }
    for body in [
        "[]",
        r#"{"result":[]}"#,
        r#"{"records":[ ],"table":"incident"}"#,
    ] {
        assert_eq!(events(body), []);
    }
    let two = r#"{"incident":{"number":"INC1"},"sc_req_item":{"number":"RITM1"}}"#;
    assert!(matches!(refusal(two), Unreadable::Body(text) if text.contains("more than one")));
}

#[test]
fn what_is_not_json_is_refused_with_its_place_and_without_its_content() {
    for (body, expected) in [
        (
            &b""[..],
            "not JSON: EOF while parsing a value at line 1 column 0",
        ),
        (
            b"{\"hunter2\": hunter2}",
            "not JSON: expected value at line 1 column 13",
        ),
        (
            b"{\"hunter2\": \"hun",
            "not JSON: EOF while parsing a string at line 1 column 16",
        ),
        (
            b"{\"a\":\n1,}",
            "not JSON: key must be a string at line 2 column 3",
        ),
        (
            b"{} hunter2",
            "not JSON: trailing characters at line 1 column 4",
        ),
        (b"{\"a\":\"\xff\"}", "not JSON: not UTF-8 from byte 6 on"),
        (b"\xff\xfe{\0}\0", "not JSON: not UTF-8 from byte 0 on"),
        (
            b"payload=%7B%7D",
            "not JSON: expected value at line 1 column 1",
        ),
    ] {
        let error = interpret_as(body, None, None).unwrap_err();
        let Unreadable::Body(text) = error else {
            panic!("{error:?}");
        };
        assert_eq!(text, expected);
    }
}

#[test]
fn a_key_that_is_no_text_is_a_column_that_is_not_read() {
    let record = |key: &str| {
        format!(
            r#"{{"{key}":1,"sys_id":"{ID}","sys_class_name":{{"value":"incident","{key}":2}},"u_x":{{"{key}":3}}}}"#
        )
    };
    let odd = record(r"\ud800");
    for (before, after) in [
        ("", ""),
        (r#"{"table":"incident","operation":"update","record":"#, "}"),
        (r#"{"\udfff":0,"incident":"#, "}"),
    ] {
        let body = format!("{before}{odd}{after}");
        let event = event(&body);
        assert_eq!(external_id(&event), ID, "{body}");
        assert_eq!(object(&body, &event), odd);
    }
    // Of a batch no other record is lost.
    assert_eq!(events(&format!("[{odd},{}]", record("u_y"))).len(), 2);
    let twice = format!(r#"{{"\ud800":1,"sys_id":"{ID}","sys_id":"{ID}"}}"#);
    let Unreadable::Body(text) = refusal(&twice) else {
        panic!("it is refused as a body");
    };
    assert!(text.contains("duplicate field `sys_id`"), "{text}");
}

#[test]
fn a_key_that_stands_twice_is_refused_by_name() {
    let twice = r#""sys_id":"a","sys_id":"b""#;
    for (body, expected) in [
        (
            format!("{{{twice}}}"),
            "the body has a duplicate field `sys_id`",
        ),
        (
            format!(r#"{{"record":{{{twice}}}}}"#),
            "the record has a duplicate field `sys_id`",
        ),
        (
            format!(r#"[{{"sys_id":"{ID}"}},{{{twice}}}]"#),
            "record 1 of the batch (counted from 0) has a duplicate field `sys_id`",
        ),
        (
            r#"{"record":{"a":1},"record":{"a":2}}"#.to_owned(),
            "the body has a duplicate field `record`",
        ),
        (
            r#"{"sys_id":{"value":"a","value":"b"}}"#.to_owned(),
            "the body has a duplicate field `value`",
        ),
        (
            r#"{"record":{"__error":1,"__error":2}}"#.to_owned(),
            "the record has a duplicate field `__error`",
        ),
    ] {
        assert_eq!(
            refusal(&body),
            Unreadable::Body(expected.to_owned()),
            "{body}"
        );
    }
    // A key that is not read may stand twice: the record is passed on as it is.
    let body = format!(r#"{{"sys_id":"{ID}","x":1,"x":2}}"#);
    assert_eq!(object(&body, &event(&body)), body);
}

#[test]
fn a_record_without_a_usable_sys_id_refuses_the_whole_body() {
    for sys_id in [
        r#""sys_id":"""#,
        r#""sys_id":"3b9e""#,
        r#""sys_id":null"#,
        r#""sys_id":12"#,
        r#""sys_id":" 3b9e41d7c0f24a18857d6e02fa91b3c6""#,
        r#""sys_id":"3b9e41d7c0f24a18857d6e02fa91b3c\u0000""#,
        r#""sys_id":{"value":"","display_value":"3b9e41d7c0f24a18857d6e02fa91b3c6"}"#,
        r#""sys_id":["3b9e41d7c0f24a18857d6e02fa91b3c6"]"#,
        r#""other":1"#,
    ] {
        // Whatever its class: a record that nothing names is of no use to anybody.
        for class in ["incident", "change_request"] {
            let bad = format!(r#"{{{sys_id},"sys_class_name":"{class}","number":"INC1"}}"#);
            for (body, expected) in [
                (bad.clone(), None),
                (format!(r#"{{"sys_id":"{ID}","record":{bad}}}"#), None),
                (
                    format!(r#"{{"result":[{{"sys_id":"{ID}"}},{bad}]}}"#),
                    Some(1),
                ),
            ] {
                let Unreadable::Record { index, detail } = refusal(&body) else {
                    panic!("{body}");
                };
                assert_eq!(index, expected, "{body}");
                let batch = "record 1 of the batch (counted from 0)";
                let place = if index.is_some() { batch } else { "the record" };
                assert!(detail.starts_with(place), "{detail}");
                assert!(!detail.contains("3b9e"), "{detail}");
            }
        }
    }
    for (body, expected) in [("[1]", 0), (r#"{"records":[{"__error":1},null]}"#, 1)] {
        assert!(
            matches!(refusal(body), Unreadable::Record { index: Some(index), .. } if index == expected),
            "{body}"
        );
    }
}

#[test]
fn a_batch_has_a_limit() {
    let record = format!(r#"{{"sys_id":"{ID}"}}"#);
    let of = |n| format!("[{}]", vec![record.as_str(); n].join(","));
    assert_eq!(events(&of(1000)).len(), 1000);
    assert!(matches!(refusal(&of(1001)), Unreadable::Body(text) if text.contains("1001")));
}

#[test]
fn deep_nesting_passes_through_and_overflows_nothing() {
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let body = format!(r#"{{"sys_id":"{ID}","sys_class_name":"incident","x":{deep}}}"#);
    assert_eq!(object(&body, &event(&body)), body);
    assert!(matches!(
        refusal(&deep),
        Unreadable::Record { index: Some(0), .. }
    ));
    let objects = "{\"record\":".repeat(200_000) + "1" + &"}".repeat(200_000);
    assert!(matches!(
        refusal(&objects),
        Unreadable::Record { index: None, .. }
    ));
}
