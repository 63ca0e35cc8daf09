//! Bodies of `ServiceNow`. An input is a body, or the table of the path in angle brackets before it:
//! `<incident>{…}`.

use std::sync::LazyLock;

use http::HeaderMap;
use serde_json::json;
use serval_connect::domain::event::{Disposition, NewEvent};
use serval_connect::domain::reason::Reason;
use serval_connect::sources::servicenow::{Config, KIND};
use serval_connect::sources::{
    KindConfig as _, Receipt, Source, SourcePolicy, Unreadable, Unverified,
};

use super::{events, now, secrets};

/// The most records that one body may carry.
const MAX_RECORDS: usize = 1000;

static SOURCE: LazyLock<Box<dyn Source>> = LazyLock::new(|| {
    let config = Config {
        bearer_tokens: vec![secrets::BEARER.into()],
        ignore_users: vec!["serval.integration".to_owned()],
        class_aliases: [("u_hr_incident".to_owned(), "incident".to_owned())].into(),
        ticket_id_pointers: vec!["/u_serval".to_owned(), "/a~1b/0/~0".to_owned()],
        ..Config::default()
    };
    let policy = SourcePolicy {
        channel_target: Some(json!({"ticketSource": {"integrationId": "i"}})),
        ticket_url_pattern: Some("^https://s/(?<ticket_id>.*)".to_owned()),
        ..KIND.policy()
    };
    config.build(&policy).expect("a configuration")
});

/// Has the body that `input` describes interpreted.
pub fn check(input: &[u8]) {
    let (table, body) = split(input);
    match interpret(table, body) {
        Ok(Receipt::Events(found)) => check_events(table, body, &found),
        Ok(Receipt::Challenge(_)) => panic!("there are no challenges here"),
        Err(Unreadable::Body(text)) => events::check_refusal(&text, body),
        Err(Unreadable::Record { index, detail }) => {
            events::check_refusal(&detail, body);
            assert!(index.is_none_or(|index| index < MAX_RECORDS));
        }
    }
}

fn split(input: &[u8]) -> (Option<&str>, &[u8]) {
    let named = input.strip_prefix(b"<").and_then(|rest| {
        let end = rest.iter().position(|b| *b == b'>')?;
        let table = std::str::from_utf8(&rest[..end]).ok()?;
        Some((Some(table), &rest[end + 1..]))
    });
    named.unwrap_or((None, input))
}

fn interpret(table: Option<&str>, body: &[u8]) -> Result<Receipt, Unreadable> {
    let mut headers = HeaderMap::new();
    let bearer = format!("Bearer {}", secrets::BEARER);
    headers.insert("authorization", bearer.parse().expect("visible"));
    headers.insert("webhook-id", "msg_1".parse().expect("visible"));
    let request = Unverified {
        headers: &headers,
        table,
        body,
    };
    let verified = SOURCE.verify(request, now()).expect("the token is right");
    SOURCE.interpret(&verified)
}

fn check_events(table: Option<&str>, body: &[u8], found: &[NewEvent]) {
    assert!(found.len() <= MAX_RECORDS);
    events::check(KIND, body, found);
    for event in found {
        assert!(events::object(body, event).starts_with('{'));
        let subtype = event.subtype;
        assert!(matches!(
            subtype,
            None | Some("incident" | "requested_item")
        ));
        assert_eq!(event.channel, None);
        match event.disposition {
            Disposition::Connect => assert!(subtype.is_some(), "{event:?}"),
            Disposition::Skip(reason) => assert_eq!(reason, Reason::Echo),
            Disposition::Ignore(_) | Disposition::SetAside(_) | Disposition::Bury(_) => {
                assert_eq!(event.hint, None);
            }
        }
    }
    let mut keys: Vec<_> = found.iter().map(|event| &event.delivery_key).collect();
    keys.dedup();
    assert!(keys.len() <= 1, "all records of a batch have its key");

    // White space around the whole says nothing.
    if !body.starts_with(b"\xef\xbb\xbf") {
        let padded = [b" \r\n", body, b"\t\n"].concat();
        let Ok(Receipt::Events(mut again)) = interpret(table, &padded) else {
            panic!("white space made it unreadable");
        };
        for event in &mut again {
            event.object = event.object.start - 3..event.object.end - 3;
        }
        assert_eq!(again, found);
    }
}
