//! Tests of how `map` reads its words and says what it did.

use super::*;
use crate::cli::source::source;
use crate::config::Environment;
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
fn a_written_mapping_says_whether_it_is_connected() {
    let ticket = Named {
        source: "slack".parse().unwrap(),
        typed: "C111:1779146751.061339".to_owned(),
    };
    let mut answer = Answer {
        status: StatusCode::CREATED,
        body: json!({ "ticket_id": "T1", "connected_at": null }),
        is_direct: true,
    };
    let text = written(&ticket, &answer);
    assert!(
        text.starts_with("slack/C111:1779146751.061339 mapped to T1; "),
        "{text}"
    );
    assert!(text.contains("queued; the daemon is not running"), "{text}");
    answer.status = StatusCode::OK;
    answer.body["connected_at"] = "2026-03-01T02:03:04.987Z".into();
    let text = written(&ticket, &answer);
    assert!(text.ends_with("since 2026-03-01T02:03:04Z"), "{text}");
}
