//! Helpers for the tests of this source, and those of its configuration.

use std::time::Duration;

use http::HeaderMap;
use serde_json::json;

use super::*;
use crate::domain::event::{Disposition, NewEvent, Rank};
use crate::sources::{SourceConfig, title};

mod instances;
mod meaning;
mod names;
mod shapes;
mod tickets;

const INCIDENT_RAW: &str = include_str!("../../../../tests/fixtures/servicenow/incident_raw.json");
const INCIDENT_PAIRS: &str =
    include_str!("../../../../tests/fixtures/servicenow/incident_pairs.json");
const INCIDENT_LABELS: &str =
    include_str!("../../../../tests/fixtures/servicenow/incident_labels.json");
const ITEM_RAW: &str =
    include_str!("../../../../tests/fixtures/servicenow/requested_item_raw.json");
const BATCH: &str = include_str!("../../../../tests/fixtures/servicenow/batch.json");
const ENVELOPE: &str = include_str!("../../../../tests/fixtures/servicenow/envelope.json");

const ID: &str = "3b9e41d7c0f24a18857d6e02fa91b3c6";
const ITEM_ID: &str = "e47a90b2d5c84136af0b7729c1e8305d";
/// 2026-03-17 13:05:44 UTC.
const UPDATED_AT: i64 = 1_773_752_744;

fn config() -> Config {
    Config {
        bearer_tokens: vec!["static-token".into()],
        ignore_users: vec!["Serval.Integration".to_owned(), String::new()],
        ticket_id_pointers: vec!["/other".to_owned(), "/a~1b/0/~0".to_owned()],
        ..Config::default()
    }
}

fn policy() -> SourcePolicy {
    SourcePolicy {
        channel_target: Some(json!({"ticketSource": {"integrationId": "int_1"}})),
        ..SourcePolicy::default()
    }
}

fn source(config: &Config) -> Box<dyn Source> {
    config.build(&policy()).unwrap()
}

fn interpret_as(body: &[u8], table: Option<&str>, id: Option<&str>) -> Result<Receipt, Unreadable> {
    let headers = HeaderMap::new();
    let request = Unverified {
        headers: &headers,
        table,
        body,
    };
    source(&config()).interpret(&request.vouched(id))
}

fn events(body: &str) -> Vec<NewEvent> {
    match interpret_as(body.as_bytes(), None, None) {
        Ok(Receipt::Events(events)) => events,
        other => panic!("{body}: {other:?}"),
    }
}

fn event(body: &str) -> NewEvent {
    let [event] = <[NewEvent; 1]>::try_from(events(body)).unwrap();
    event
}

fn refusal(body: &str) -> Unreadable {
    interpret_as(body.as_bytes(), None, None).expect_err(body)
}

fn object<'b>(body: &'b str, event: &NewEvent) -> &'b str {
    &body[event.object.clone()]
}

fn external_id(event: &NewEvent) -> &str {
    event.external_id.as_ref().map_or("", |id| id.as_str())
}

#[test]
fn every_rendering_of_a_record_gives_the_same_ticket() {
    for (body, mod_count, updated_on) in [
        (INCIDENT_RAW, 6, UPDATED_AT),
        (INCIDENT_PAIRS, 1006, UPDATED_AT),
        // The date is a label too: a local time that must not decide an order.
        (INCIDENT_LABELS, 1006, Rank::UNKNOWN),
        (ENVELOPE, 6, UPDATED_AT),
    ] {
        let event = event(body);
        assert_eq!(event.disposition, Disposition::Connect, "{body}");
        assert_eq!(external_id(&event), ID, "{body}");
        assert_eq!(event.subtype, Some("incident"), "{body}");
        assert_eq!(event.rank, Rank(updated_on, mod_count), "{body}");
    }
    let event = event(ITEM_RAW);
    assert_eq!(event.disposition, Disposition::Connect);
    assert_eq!(external_id(&event), ITEM_ID);
    assert_eq!(event.subtype, Some("requested_item"));
    assert_eq!(event.event_type, "sc_req_item.change");
    assert_eq!(event.rank, Rank(UPDATED_AT + 19 * 3600 + 9 * 60 + 18, 1));
}

#[test]
fn a_batch_becomes_one_event_for_each_record() {
    let events = events(BATCH);
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.disposition, external_id(event), event.subtype))
        .collect();
    assert_eq!(
        told,
        [
            (Disposition::Connect, ID, Some("incident")),
            (Disposition::Ignore("record_error"), "", None),
            (Disposition::Connect, ITEM_ID, Some("requested_item")),
            (
                Disposition::Ignore("out_of_scope"),
                "51c8e6f02b7d49d3a90be4f17c3862aa",
                None
            ),
        ]
    );
    assert_eq!(events[3].event_type, "change_request.change");
    assert_eq!(events[3].content_key, None);
}

#[test]
fn a_configuration_that_could_not_work_is_refused_by_its_key() {
    let target = |value| Some(value);
    let ok = || json!({"ticketSource": {"integrationId": "int_1"}});
    for (channel_target, pointer, alias, key) in [
        (target(ok()), "/correlation_id", "incident", None),
        (target(ok()), "", "sc_req_item", None),
        (target(ok()), "/a~1b~0c/", "requested_item", None),
        (None, "", "incident", Some("channel_target")),
        (target(json!({})), "", "incident", Some("channel_target")),
        (
            target(json!("int_1")),
            "",
            "incident",
            Some("channel_target"),
        ),
        (
            target(json!({"ticketSource": "int_1"})),
            "",
            "incident",
            Some("channel_target"),
        ),
        (
            target(json!({"a": {}, "b": {}})),
            "",
            "incident",
            Some("channel_target"),
        ),
        (
            target(ok()),
            "correlation_id",
            "incident",
            Some("ticket_id_pointers"),
        ),
        (target(ok()), "/a~", "incident", Some("ticket_id_pointers")),
        (target(ok()), "/a~2", "incident", Some("ticket_id_pointers")),
        (target(ok()), "", "problem", Some("class_aliases")),
    ] {
        let config = Config {
            ticket_id_pointers: vec![pointer.to_owned()],
            class_aliases: [("u_x".to_owned(), alias.to_owned())].into(),
            ..config()
        };
        let policy = SourcePolicy {
            channel_target,
            ..policy()
        };
        let outcome = config.build(&policy);
        assert_eq!(outcome.err().map(|error| error.key), key, "{config:?}");
    }
    let shared = Config {
        shared_pointers: vec!["correlation_id".to_owned()],
        ..config()
    };
    let key_of = |config: &Config, policy: &SourcePolicy| {
        let outcome = config.build(policy);
        outcome.err().map(|error| error.key)
    };
    assert_eq!(key_of(&shared, &policy()), Some("shared_pointers"));
    for pattern in ["(?<ticket_id>", "https://x/(?<id>.*)"] {
        let policy = SourcePolicy {
            ticket_url_pattern: Some(pattern.to_owned()),
            ..policy()
        };
        assert_eq!(key_of(&config(), &policy), Some("ticket_url_pattern"));
    }
    let config = Config {
        bearer_tokens: Vec::new(),
        ..config()
    };
    assert_eq!(key_of(&config, &policy()), Some("secrets"));
}

#[test]
fn verification_uses_the_configured_window_and_table() {
    let config = Config {
        bearer_tokens: Vec::new(),
        secrets: vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()],
        ..config()
    };
    let policy = SourcePolicy {
        tolerance_past: Duration::from_secs(5),
        ..policy()
    };
    let source = config.build(&policy).unwrap();
    let headers: HeaderMap = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
    .collect::<HeaderMap>();
    let request = Unverified {
        headers: &headers,
        table: Some("incident"),
        body: br#"{"test": 2432232314}"#,
    };
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    let verified = source.verify(request, at(1_614_265_335)).unwrap();
    assert_eq!(verified.table(), Some("incident"));
    assert_eq!(verified.delivery_id(), Some("msg_p5jXN8AQM9LWM0D4loKWxJek"));
    let stale = source.verify(request, at(1_614_265_336)).unwrap_err();
    assert_eq!(stale.cause(), "stale");
}
