//! Bodies of Slack.

use std::sync::LazyLock;

use http::HeaderMap;
use secrecy::SecretString;
use serde_json::json;
use serde_json::value::RawValue;
use serval_connect::domain::event::{ChannelNews, Disposition, NewEvent};
use serval_connect::rehearsal::signer::{Signer, Stamp};
use serval_connect::sources::slack::{Config, KIND, is_channel};
use serval_connect::sources::{
    KindConfig as _, Receipt, Source, SourcePolicy, Unreadable, Unverified,
};

use super::{NOW, events, json as written, now, secrets};

static SOURCE: LazyLock<Box<dyn Source>> = LazyLock::new(|| {
    let config = Config {
        signing_secrets: vec![secrets::SLACK[0].into()],
        direct_messages: true,
        direct_message_target: Some(json!({"slackDm": {"integrationId": "i"}})),
        trusted_apps: vec!["A1".to_owned()],
        trusted_users: vec!["U1".to_owned()],
        ..Config::default()
    };
    let policy = SourcePolicy {
        channel_target: Some(json!({"slackChannel": {"integrationId": "i"}})),
        ticket_url_pattern: Some("^https://s/(?<ticket_id>.*)".to_owned()),
        ..KIND.policy()
    };
    config.build(&policy).expect("a configuration")
});

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let secret = SecretString::from(secrets::SLACK[0]);
    Signer::slack(&secret).expect("a secret")
});

/// Has a body interpreted.
pub fn check(body: &[u8]) {
    let json = std::str::from_utf8(body).ok();
    let json = json.filter(|text| serde_json::from_str::<&RawValue>(text).is_ok());
    match interpret(body) {
        Ok(Receipt::Events(found)) => {
            assert!(json.is_some(), "what is no JSON is no event");
            check_events(body, &found);
        }
        Ok(Receipt::Challenge(challenge)) => {
            let members = written::members(json.expect("JSON")).expect("an object");
            let asks = |name: &str, text: &str| {
                let same = |value: &RawValue| {
                    serde_json::from_str::<String>(value.get()).is_ok_and(|value| value == text)
                };
                members
                    .iter()
                    .any(|(key, value)| written::text(key).as_deref() == Some(name) && same(value))
            };
            assert!(asks("type", "url_verification") && asks("challenge", &challenge));
        }
        Err(Unreadable::Body(text)) => {
            events::check_refusal(&text, body);
            // Slack switches a subscription off that answers with errors.
            let is_fault = text.contains("twice") || text.contains("without a challenge");
            assert!(json.is_none() || is_fault, "JSON is understood: {text}");
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn interpret(body: &[u8]) -> Result<Receipt, Unreadable> {
    let stamp = Stamp {
        id: "",
        seconds: NOW.unsigned_abs(),
    };
    let headers: HeaderMap = SIGNER.sign(stamp, body).expect("it can be sent");
    let request = Unverified {
        headers: &headers,
        table: None,
        body,
    };
    let verified = SOURCE
        .verify(request, now())
        .expect("the signature is right");
    SOURCE.interpret(&verified)
}

fn check_events(body: &[u8], found: &[NewEvent]) {
    let [event] = found else {
        panic!("one event for each body, not {found:?}");
    };
    events::check(KIND, body, found);
    assert_eq!(event.subtype, None);
    if event.disposition != Disposition::Connect {
        assert_eq!(event.hint, None);
    }
    if let Some(ChannelNews::Moved(moved)) = &event.channel {
        assert!(is_channel(&moved.from) && is_channel(&moved.to));
        assert!(
            matches!(event.disposition, Disposition::Ignore(_)),
            "{event:?}"
        );
    }

    // White space around the whole says nothing.
    let padded = [b" \r\n", body, b"\t\n"].concat();
    let Ok(Receipt::Events(mut again)) = interpret(&padded) else {
        panic!("white space made it unreadable");
    };
    for event in &mut again {
        event.object = event.object.start - 3..event.object.end - 3;
    }
    assert_eq!(again, found);
}
