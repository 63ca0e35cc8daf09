//! Tests of how `map` reads its words and says what it did.

use http::StatusCode;

use super::*;
use crate::cli::backend::Answer;
use crate::cli::source::source;
use crate::config::{Config, Environment};
use crate::terminal::Failure;

fn config(pairs: &[(&str, &str)]) -> Config {
    let environment: Environment = pairs.iter().copied().collect();
    Config::load(&[], &environment).unwrap().config
}

#[test]
fn an_unknown_source_is_answered_with_the_known_ones() {
    let two = config(&[
        ("SERVAL_CONNECT__SOURCES__SLACK__SIGNING_SECRETS", "s"),
        ("SERVAL_CONNECT__SOURCES__SERVICENOW__SECRETS", "s"),
    ]);
    assert_eq!(source(&two, "slack").unwrap().as_str(), "slack");
    let text = source(&two, "slak").unwrap_err().to_string();
    assert!(text.ends_with("configured: servicenow, slack"), "{text}");
    let text = source(&config(&[]), "slack").unwrap_err().to_string();
    assert!(text.contains("--config"), "{text}");
}

#[test]
fn an_external_id_is_read_as_one_of_its_source() {
    let config = config(&[("SERVAL_CONNECT__SOURCES__SERVICENOW__SECRETS", "s")]);
    let read = |external_id: &str| {
        Ticket {
            source: "servicenow".to_owned(),
            external_id: external_id.to_owned(),
        }
        .read(&config)
    };
    for (typed, expected) in [
        (
            "6F1D0C93DB2A6410C7E3F4A2CE9619AA",
            "servicenow/6f1d0c93db2a6410c7e3f4a2ce9619aa",
        ),
        ("inc0047713", "servicenow/INC0047713"),
    ] {
        assert_eq!(read(typed).unwrap().to_string(), expected);
    }
    let refused = read("C9DDYQ1B4:1779146751.061339").unwrap_err();
    assert!(matches!(refused, Failure::Usage(_)), "{refused}");
}

#[test]
fn a_written_mapping_says_what_comes_of_it() {
    let ticket = Named {
        source: "slack".parse().unwrap(),
        typed: "C111:1779146751.061339".to_owned(),
    };
    let at = "2026-03-01T02:03:04.987Z";
    for (body, is_direct, parts) in [
        (
            json!({"waiting": 1}),
            true,
            "1 event is queued; the daemon is not running",
        ),
        (json!({"waiting": 2}), false, "2 events are queued"),
        (
            json!({"waiting": 0, "idle": "no_event"}),
            true,
            "no webhook has named it yet",
        ),
        (
            json!({"waiting": 0, "idle": "body_deleted"}),
            false,
            "before its next webhook",
        ),
        (
            json!({"waiting": 0, "idle": "nothing_to_send"}),
            false,
            "nothing waits for it",
        ),
        (
            json!({"waiting": 0, "idle": "already_connected", "connected_at": at}),
            false,
            "connected since 2026-03-01T02:03:04Z",
        ),
    ] {
        let mut body = body;
        body["ticket_id"] = "T1".into();
        body["external_id"] = "C111:1779146751.061339".into();
        body["still_connected"] = json!(["T0"]);
        let answer = Answer {
            status: StatusCode::CREATED,
            body,
            is_direct,
        };
        let lines = said::written(&ticket, &answer);
        let first = &lines[0];
        assert!(
            first.starts_with("slack/C111:1779146751.061339 mapped to T1; "),
            "{first}"
        );
        assert!(first.contains(parts), "{first}");
        assert!(
            lines[1].ends_with("links remove slack C111:1779146751.061339 T0"),
            "{lines:?}"
        );
    }
}
