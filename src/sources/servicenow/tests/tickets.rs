//! The Serval ticket that a record names.

use super::*;
use crate::domain::reason::Reason;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn reading(pointers: &[&str]) -> Config {
    Config {
        ticket_id_pointers: texts(pointers),
        ..config()
    }
}

fn event_by(source: &dyn Source, body: &str) -> NewEvent {
    let headers = HeaderMap::new();
    let request = Unverified {
        headers: &headers,
        table: None,
        body: body.as_bytes(),
    };
    match source.interpret(&request.vouched(None)) {
        Ok(Receipt::Events(events)) if events.len() == 1 => events.into_iter().next().unwrap(),
        other => panic!("{body}: {other:?}"),
    }
}

/// An incident with these further columns.
fn incident(columns: &str) -> String {
    format!(r#"{{"sys_id":"{ID}","sys_class_name":"incident",{columns}}}"#)
}

fn hint(config: &Config, columns: &str) -> Option<String> {
    hint_by(&*source(config), columns)
}

fn hint_by(source: &dyn Source, columns: &str) -> Option<String> {
    let event = event_by(source, &incident(columns));
    assert_eq!(event.disposition, Disposition::Connect, "{columns}");
    event.hint.map(|id| id.to_string())
}

#[test]
fn a_column_names_the_ticket_in_every_value_mode() {
    let config = reading(&["/u_serval"]);
    for (value, expected) in [
        (r#""ACM-10""#, Some("ACM-10")),
        (r#"" 0197c2e4-55aa\n""#, Some("0197c2e4-55aa")),
        (r#"{"value":"ACM-10"}"#, Some("ACM-10")),
        (r#"{"display_value":"ACM-10","link":""}"#, Some("ACM-10")),
        (
            r#"{"display_value":"Ten","value":"ACM-10"}"#,
            Some("ACM-10"),
        ),
        (r#"{"display_value":"ACM-10","value":null}"#, Some("ACM-10")),
        (r#"{"display_value":"ACM-10","value":""}"#, None),
        (r#"{"display_value":"ACM-10","value":10}"#, None),
        (r#"{"value":{"value":"ACM-10"}}"#, None),
        (r#"{"value":"ACM-10","value":"ACM-11"}"#, None),
        (r#"{"display_value":"---waiting---"}"#, None),
        (r#""---waiting---""#, None),
        (r#""NULL""#, None),
        (r#""n/a""#, None),
        (r#""""#, None),
        (r#""two words""#, None),
        (r#""https://app.serval.com/ACM/tickets/ACM-10""#, None),
        (r#""\ud800""#, None),
        ("10", None),
        ("true", None),
        ("null", None),
        (r#"["ACM-10"]"#, None),
        ("{}", None),
    ] {
        let found = hint(&config, &format!("\"u_serval\":{value}"));
        assert_eq!(found.as_deref(), expected, "{value}");
    }
    assert_eq!(hint(&config, r#""u_serval_other":"ACM-10""#), None);
    assert_eq!(hint(&super::config(), r#""u_serval":"ACM-10""#), None);
}

#[test]
fn every_rendering_of_a_record_can_name_its_ticket() {
    for body in [INCIDENT_RAW, INCIDENT_PAIRS, INCIDENT_LABELS, ENVELOPE] {
        let number = event_by(&*source(&reading(&["/number"])), body)
            .hint
            .unwrap();
        assert_eq!(number.as_str(), "INC0047713", "{body}");
    }
}

#[test]
fn the_first_pointer_with_a_usable_text_wins() {
    let config = reading(&["/u_a", "/u_b/0/id", "/u_c~1d", "/u_e"]);
    for (columns, expected) in [
        (r#""u_a":"A-1","u_e":"E-1""#, Some("A-1")),
        (r#""u_e":"E-1","u_a":"A-1""#, Some("A-1")),
        (r#""u_a":"","u_b":[{"id":"B-1"}],"u_e":"E-1""#, Some("B-1")),
        (r#""u_a":"---waiting---","u_c/d":"C-1""#, Some("C-1")),
        (r#""u_a":["x"],"u_b":{"0":{"id":"B-2"}}"#, Some("B-2")),
        (r#""u_a":"A-1","u_a":"A-2","u_e":"E-1""#, Some("E-1")),
        (r#""u_b":[],"u_c":{"d":"C-1"}"#, None),
    ] {
        assert_eq!(hint(&config, columns).as_deref(), expected, "{columns}");
    }
}

#[test]
fn a_url_is_reduced_by_the_pattern() {
    let policy = SourcePolicy {
        ticket_url_pattern: Some(r"^https://s\.example/t/(?<ticket_id>[^/?#]+)".to_owned()),
        ..policy()
    };
    let source = reading(&["/u_url", "/u_id"]).build(&policy).unwrap();
    for (url, expected) in [
        ("https://s.example/t/ACM-10?from=mail", Some("ACM-10")),
        ("https://s.example/t/---waiting---", Some("ID-1")),
        ("https://elsewhere.example/t/ACM-10", Some("ID-1")),
        ("ACM-11", Some("ACM-11")),
    ] {
        let found = hint_by(&*source, &format!(r#""u_url":"{url}","u_id":"ID-1""#));
        assert_eq!(found.as_deref(), expected, "{url}");
    }
}

#[test]
fn a_shared_column_is_believed_where_the_record_names_serval() {
    let config = reading(&["/correlation_id", "/correlation_id/value", "/u_own"]);
    let own = Some("OWN-1");
    let shared = Some("ACM-10");
    for (display, expected) in [
        (r#""Serval""#, shared),
        (r#""sync by SERVAL (prod)""#, shared),
        (r#"{"value":"serval"}"#, shared),
        (r#"{"value":"","display_value":"Serval"}"#, shared),
        (r#"{"value":"x1","display_value":"Serval"}"#, shared),
        (r#"{"value":"Serval","display_value":"x1"}"#, shared),
        (r#""Alerting""#, own),
        (r#""Serva""#, own),
        (r#""""#, own),
        ("null", own),
        ("1", own),
        (r#"["Serval"]"#, own),
        (r#"{"link":"Serval"}"#, own),
        (r#""x","correlation_display":"Serval""#, own),
    ] {
        for id in [r#""ACM-10""#, r#"{"value":"ACM-10","display_value":"Ten"}"#] {
            let columns =
                format!(r#""correlation_id":{id},"correlation_display":{display},"u_own":"OWN-1""#);
            assert_eq!(hint(&config, &columns).as_deref(), expected, "{columns}");
        }
    }
    assert_eq!(hint(&config, r#""correlation_id":"ACM-10""#), None);
}

#[test]
fn what_is_shared_and_who_is_meant_can_be_configured() {
    let theirs = r#""correlation_id":"ACM-10","correlation_display":"Monitoring","u_x":"X-1""#;
    let pointers = ["/u_x", "/correlation_id"];
    for (shared, names, expected) in [
        (&["/correlation_id"][..], &["serval"][..], Some("X-1")),
        (&["/u_x", "/correlation_id"], &["serval"], None),
        (
            &["/u_x", "/correlation_id"],
            &["x", " MONITOR "],
            Some("X-1"),
        ),
        (&["/u_x"], &["serval"], Some("ACM-10")),
        (&[""], &["serval"], None),
        (&["/u_x", "/correlation_id"], &[], Some("X-1")),
        (&[], &["serval"], Some("X-1")),
    ] {
        let config = Config {
            shared_pointers: texts(shared),
            correlation_display_names: texts(names),
            ..reading(&pointers)
        };
        assert_eq!(
            hint(&config, theirs).as_deref(),
            expected,
            "{shared:?} {names:?}"
        );
    }
}

#[test]
fn events_that_connect_and_echoes_name_tickets_and_others_do_not() {
    let config = reading(&["/u_serval"]);
    let hint = Some("ACM-10");
    for (columns, disposition, expected) in [
        (r#""x":1"#, Disposition::Connect, hint),
        (
            r#""sys_updated_by":"serval.integration""#,
            Disposition::Skip(Reason::Echo),
            hint,
        ),
        (
            r#""operation":"delete""#,
            Disposition::Ignore("deleted"),
            None,
        ),
        (
            r#""operation":"query""#,
            Disposition::Ignore("operation"),
            None,
        ),
        (
            r#""__error":{"message":"x"}"#,
            Disposition::Ignore("record_error"),
            None,
        ),
    ] {
        let event = event_by(
            &*source(&config),
            &incident(&format!(r#"{columns},"u_serval":"ACM-10""#)),
        );
        assert_eq!(event.disposition, disposition, "{columns}");
        assert_eq!(event.hint.map(|id| id.to_string()).as_deref(), expected);
    }
}

#[test]
fn each_record_of_a_batch_names_its_own_ticket() {
    let source = source(&reading(&["/u_serval"]));
    let body = format!(
        r#"{{"records":[{},{}],"u_serval":"ACM-12"}}"#,
        incident(r#""u_serval":"ACM-10""#),
        incident(r#""u_other":"ACM-11""#)
    );
    let headers = HeaderMap::new();
    let request = Unverified {
        headers: &headers,
        table: None,
        body: body.as_bytes(),
    };
    let Receipt::Events(events) = source.interpret(&request.vouched(None)).unwrap() else {
        panic!("a batch is events");
    };
    let hints: Vec<_> = events
        .iter()
        .map(|event| {
            event
                .hint
                .as_ref()
                .map(crate::domain::ids::ServalTicketId::as_str)
        })
        .collect();
    assert_eq!(hints, [Some("ACM-10"), None]);
}

#[test]
fn what_no_value_could_hold_stands_beside_a_ticket_without_harm() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let config = reading(&["/u_deep/0/0/0", "/u_odd/1"]);
    for odd in ["1e999", r#""\udead""#, r#"{"\udead":1}"#, deep.as_str()] {
        let columns = format!(r#""u_deep":{deep},"u_x":{odd},"u_odd":[{odd},"ACM-10"]"#);
        assert_eq!(hint(&config, &columns).as_deref(), Some("ACM-10"));
    }
}
