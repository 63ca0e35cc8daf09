//! Signature headers: every one is judged as the letter of its scheme has it.

use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

use super::kept::signatures::check;
use super::{damaged, try_all};

const SEEDS: &[&str] = &["fuzz/seeds/signatures"];

/// A request out of parts that mean something, in any number and order.
fn meaningful_requests() -> impl Strategy<Value = Vec<u8>> {
    let seconds = || {
        select(vec![
            "1779146751",
            "1779146451",
            "1779146450",
            "1779146811",
            "1779146812",
            "0",
            "-1",
            "01",
            "",
        ])
    };
    let key = || select(vec!["{1}", "{2}", "{3}", "", "AAAA", "{1}=", "{1}00"]);
    let line = prop_oneof![
        select(vec![
            "webhook-id: msg_1",
            "webhook-id: ",
            "webhook-id: a b",
            "Webhook-Id: \u{e9}"
        ])
        .prop_map(str::to_owned),
        seconds().prop_map(|seconds| format!("webhook-timestamp: {seconds}")),
        (
            select(vec!["v1,", "v1a,", "v2,", ""]),
            key(),
            select(vec!["", " v1,{2}", " x"])
        )
            .prop_map(|(version, key, more)| format!("webhook-signature: {version}{key}{more}")),
        seconds().prop_map(|seconds| format!("x-slack-request-timestamp: {seconds}")),
        (select(vec!["v0=", "V0=", "v1=", ""]), key())
            .prop_map(|(version, key)| format!("x-slack-signature: {version}{key}")),
        select(vec![
            "Bearer token",
            "bearer  token",
            "Bearer tokens",
            "Basic dXNlcjpwYXNzOndvcmQ=",
            "Basic dXNlcjpwYXNzOndvcmQ",
            "Basic ?",
            "Digest x",
            "token"
        ])
        .prop_map(|credential| format!("authorization: {credential}")),
    ];
    let lines = proptest::collection::vec(line, 0..6);
    (lines, any::<Vec<u8>>()).prop_map(|(lines, body)| {
        let head = lines.join("\n");
        [head.as_bytes(), b"\n\n", &body].concat()
    })
}

#[test]
fn kept_requests_are_judged_by_the_letter() {
    try_all(SEEDS, check);
}

proptest! {
    #[test]
    fn damaged_requests_are_judged_by_the_letter(input in damaged(SEEDS)) {
        check(&input);
    }

    #[test]
    fn requests_of_meaningful_parts_are_judged_by_the_letter(input in meaningful_requests()) {
        check(&input);
    }
}
