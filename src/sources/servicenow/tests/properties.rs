//! What holds for every body, sensible or not.

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::*;

/// What must hold for every body: no panic, and objects that are JSON objects inside of it.
fn check_any(body: &[u8]) {
    let Ok(Receipt::Events(events)) = interpret_as(body, Some("incident"), Some("msg_1")) else {
        return;
    };
    for event in events {
        let object = std::str::from_utf8(&body[event.object.clone()]).unwrap();
        assert!(object.starts_with('{') && object.ends_with('}'));
        serde_json::from_str::<&serde_json::value::RawValue>(object).unwrap();
        assert!((1..=64).contains(&event.event_type.len()));
        assert!(event.event_type.bytes().all(|b| b.is_ascii_graphic()));
        if event.disposition == Disposition::Connect {
            assert!(event.external_id.is_some() && event.subtype.is_some());
        } else if event.disposition != Disposition::Skip("echo") {
            assert_eq!(event.hint, None);
        }
    }
}

/// JSON out of the keys that mean something here, nested at random.
fn meaningful_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(format!("{ID:?}")),
        Just("\"incident\"".to_owned()),
        Just("\"Requested Item\"".to_owned()),
        Just("\"delete\"".to_owned()),
        Just("\"2,000\"".to_owned()),
        Just("-1.5e300".to_owned()),
        Just("null".to_owned()),
        Just("\"\\ud800\\u0000\"".to_owned()),
    ];
    let key = prop_oneof![
        Just("record"),
        Just("current"),
        Just("previous"),
        Just("result"),
        Just("records"),
        Just("incident"),
        Just("sc_req_item"),
        Just("table"),
        Just("operation"),
        Just("delivery_id"),
        Just("sys_id"),
        Just("sys_class_name"),
        Just("sys_mod_count"),
        Just("sys_updated_on"),
        Just("sys_updated_by"),
        Just("__error"),
        Just("value"),
        Just("display_value"),
        Just("other"),
        Just("a/b"),
        Just("~"),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|v| format!("[{}]", v.join(", "))),
            proptest::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                let members = members.iter().map(|(k, v)| format!("\"{k}\": {v}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_without_a_panic(body in any::<Vec<u8>>()) {
        check_any(&body);
    }

    #[test]
    fn meaningful_bodies_are_read_without_a_panic(body in meaningful_json()) {
        check_any(body.as_bytes());
    }

    #[test]
    fn mutated_fixtures_are_read_without_a_panic(
        fixture in 0..FIXTURES.len(),
        mutations in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut body = FIXTURES[fixture].as_bytes().to_vec();
        for (place, byte) in mutations {
            let place = place.index(body.len());
            body[place] = byte;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        check_any(&body);
    }
}
