//! Bodies of `ServiceNow`, sensible or not.

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::kept::servicenow::check;
use super::{damaged, try_all};

const SEEDS: &[&str] = &["fuzz/seeds/servicenow", "tests/fixtures/servicenow"];

/// JSON out of the keys that mean something here, nested at random.
fn meaningful_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("\"3b9e41d7c0f24a18857d6e02fa91b3c6\"".to_owned()),
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

#[test]
fn kept_bodies_are_read_as_they_must() {
    try_all(SEEDS, check);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_as_they_must(body in any::<Vec<u8>>()) {
        check(&body);
    }

    #[test]
    fn meaningful_bodies_are_read_as_they_must(body in meaningful_json()) {
        check(body.as_bytes());
    }

    #[test]
    fn damaged_bodies_are_read_as_they_must(body in damaged(SEEDS)) {
        check(&body);
    }
}
