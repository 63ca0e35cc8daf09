//! Who is believed: each source's answer beside one worked out here by the letter of its scheme.
//!
//! An input is written as a request is: header lines, an empty line, a body. In the headers for
//! signatures `{1}`, `{2}` and `{3}` stand for the right signature under the first and second
//! configured key and under a key that is not configured, since nobody finds one by trying.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::json;
use serval_connect::sources::{KindConfig, Refused, Source, SourcePolicy, Unverified};
use serval_connect::sources::{servicenow, slack};
use sha2::Sha256;

use super::{NOW, now, secrets};

const PAST: i64 = 300;
const FUTURE: i64 = 60;

/// What a request proves by one kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Absent,
    Right,
    Wrong,
}

/// A source and what it should say.
struct Case {
    source: Box<dyn Source>,
    expected: fn(&HeaderMap, &[u8]) -> bool,
    /// The headers that are signed, if nothing but a signature opens it.
    signed: &'static [&'static str],
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    vec![
        Case {
            source: servicenow(true, false),
            expected: |headers, body| {
                well_formed(headers) && standard_webhooks(headers, body) == Proof::Right
            },
            signed: &["webhook-id", "webhook-timestamp"],
        },
        Case {
            source: servicenow(false, true),
            expected: |headers, _| well_formed(headers) && authorization(headers) == Proof::Right,
            signed: &[],
        },
        Case {
            source: servicenow(true, true),
            expected: |headers, body| {
                let proofs = [standard_webhooks(headers, body), authorization(headers)];
                well_formed(headers)
                    && proofs.contains(&Proof::Right)
                    && !proofs.contains(&Proof::Wrong)
            },
            signed: &[],
        },
        Case {
            source: slack_source(),
            expected: |headers, body| slack_signature(headers, body) == Proof::Right,
            signed: &["x-slack-request-timestamp"],
        },
    ]
});

fn servicenow(signs: bool, has_weaker: bool) -> Box<dyn Source> {
    let given = |is_given: bool, list: Vec<String>| -> Vec<SecretString> {
        let list = list.into_iter().filter(|_| is_given);
        list.map(SecretString::from).collect()
    };
    let keys = secrets::STANDARD_WEBHOOKS[..2].iter();
    let keys = keys.map(|key| format!("whsec_{}", STANDARD.encode(key)));
    let config = servicenow::Config {
        secrets: given(signs, keys.collect()),
        bearer_tokens: given(has_weaker, vec![secrets::BEARER.to_owned()]),
        basic_auth: given(has_weaker, vec![secrets::BASIC.to_owned()]),
        ..servicenow::Config::default()
    };
    build(&config)
}

fn build(config: &dyn KindConfig) -> Box<dyn Source> {
    let policy = SourcePolicy {
        channel_target: Some(json!({"ticketSource": {"integrationId": "i"}})),
        ..SourcePolicy::default()
    };
    config.build(&policy).expect("a configuration")
}

fn slack_source() -> Box<dyn Source> {
    let config = slack::Config {
        signing_secrets: secrets::SLACK[..2].iter().map(|&s| s.into()).collect(),
        ..slack::Config::default()
    };
    build(&config)
}

/// Has every source judge the request that `input` describes.
pub fn check(input: &[u8]) {
    let (headers, body) = request(input);
    for case in &*CASES {
        let verdict = verify(case.source.as_ref(), &headers, body);
        let expected = (case.expected)(&headers, body);
        assert_eq!(verdict.is_ok(), expected, "{:?}: {verdict:?}", case.source);
        if let Err(refused) = &verdict {
            check_refusal(refused);
        } else if !case.signed.is_empty() {
            check_changes(case, &headers, body);
        }
    }
}

fn verify(source: &dyn Source, headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
    let request = Unverified {
        headers,
        table: None,
        body,
    };
    let verified = source.verify(request, now())?;
    assert_eq!(verified.body(), body, "the bytes that were verified");
    let id = headers.get("webhook-id").map(HeaderValue::as_bytes);
    if let Some(delivery) = verified.delivery_id() {
        assert_eq!(Some(delivery.as_bytes()), id);
    }
    Ok(())
}

/// Nothing near to what was signed is believed, be it the body, the time or the name.
fn check_changes(case: &Case, headers: &HeaderMap, body: &[u8]) {
    let source = case.source.as_ref();
    let mut bodies = vec![[body, b" "].concat(), [b" ", body].concat()];
    if let Some((_, rest)) = body.split_first() {
        bodies.push(rest.to_vec());
        bodies.push(body[..rest.len()].to_vec());
        for at in [0, body.len() / 2, body.len() - 1] {
            let mut flipped = body.to_vec();
            flipped[at] ^= 1 << (body.len() % 8);
            bodies.push(flipped);
        }
    }
    for changed in bodies {
        let verdict = verify(source, headers, &changed);
        assert_eq!(verdict, Err(Refused::Mismatch { what: "signature" }));
    }
    for name in case.signed {
        let mut changed = headers.clone();
        let value = changed.get_mut(*name).expect("it was verified");
        let mut text = value.as_bytes().to_vec();
        let last = text.last_mut().expect("it was verified");
        *last = if *last == b'1' { b'2' } else { b'1' };
        *value = HeaderValue::from_bytes(&text).expect("still visible");
        assert!(verify(source, &changed, body).is_err(), "{name} is signed");
    }
}

/// A refusal is one short line. Its type holds only our own words and numbers, so it can quote nothing.
fn check_refusal(refused: &Refused) {
    let text = refused.to_string();
    assert!(text.len() < 200 && !text.contains('\n'), "{text}");
}

/// Reads an input. Lines that are no headers are left out, as a server would refuse them.
fn request(input: &[u8]) -> (HeaderMap, &[u8]) {
    let mut rest = input;
    let mut lines = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n');
        let (line, after) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &[][..]),
        };
        rest = after;
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut headers = HeaderMap::new();
    for line in lines.into_iter().take(16) {
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    sign(&mut headers, rest);
    (headers, rest)
}

/// Puts the signatures where the input asks for them.
fn sign(headers: &mut HeaderMap, body: &[u8]) {
    let value = |name: &str| {
        headers
            .get(name)
            .map_or(&[][..], HeaderValue::as_bytes)
            .to_vec()
    };
    let (id, timestamp) = (value("webhook-id"), value("webhook-timestamp"));
    let standard = secrets::STANDARD_WEBHOOKS
        .map(|key| STANDARD.encode(mac(key, &[&id, b".", &timestamp, b".", body])));
    let timestamp = value("x-slack-request-timestamp");
    let slack = secrets::SLACK
        .map(|key| hex::encode(mac(key.as_bytes(), &[b"v0:", &timestamp, b":", body])));
    for (name, signatures) in [
        ("webhook-signature", standard),
        ("x-slack-signature", slack),
    ] {
        let http::header::Entry::Occupied(mut entry) = headers.entry(name) else {
            continue;
        };
        for value in entry.iter_mut() {
            let Ok(text) = std::str::from_utf8(value.as_bytes()) else {
                continue;
            };
            let places = ["{1}", "{2}", "{3}"].iter().zip(&signatures);
            let text = places.fold(text.to_owned(), |text, (place, signature)| {
                text.replacen(place, signature, 1)
            });
            *value = HeaderValue::from_str(&text).expect("only visible characters were added");
        }
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(key).expect("any length of key will do");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The one value of a header. `Err`: several, or characters that are not visible.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, ()> {
    let values: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let is_visible = |b: &u8| matches!(b, b'\t' | b' '..=b'~');
    match values.as_slice() {
        [] => Ok(None),
        [value] if value.iter().all(is_visible) => Ok(std::str::from_utf8(value).ok()),
        _ => Err(()),
    }
}

/// Whether what a source of Standard Webhooks reads can be read, asked for or not.
fn well_formed(headers: &HeaderMap) -> bool {
    let is_id = |id: Option<&str>| {
        id.is_none_or(|id| {
            (1..=256).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
        })
    };
    single(headers, "webhook-id").is_ok_and(is_id)
        && single(headers, "webhook-timestamp").is_ok()
        && single(headers, "webhook-signature").is_ok()
}

fn is_in_time(timestamp: &str) -> bool {
    // A number as it is printed, so without sign and leading zeros.
    let seconds = timestamp.parse::<i64>().ok();
    seconds
        .filter(|seconds| *seconds >= 0 && seconds.to_string() == timestamp)
        .is_some_and(|seconds| (NOW - PAST..=NOW + FUTURE).contains(&seconds))
}

fn standard_webhooks(headers: &HeaderMap, body: &[u8]) -> Proof {
    let value = |name| single(headers, name).ok().flatten();
    let (id, timestamp, signatures) = (
        value("webhook-id"),
        value("webhook-timestamp"),
        value("webhook-signature"),
    );
    let (id, timestamp, signatures) = match (id, timestamp, signatures) {
        (None, None, None) => return Proof::Absent,
        (Some(id), Some(timestamp), Some(signatures)) => (id, timestamp, signatures),
        _ => return Proof::Wrong,
    };
    let mut entries = signatures.split_ascii_whitespace();
    let right = entries.clone().any(|entry| {
        secrets::STANDARD_WEBHOOKS[..2].iter().any(|key| {
            let mac = mac(
                key,
                &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body],
            );
            [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
                .iter()
                .any(|alphabet| entry == format!("v1,{}", alphabet.encode(mac)))
        })
    });
    if right && entries.all(|entry| entry.contains(',')) && is_in_time(timestamp) {
        Proof::Right
    } else {
        Proof::Wrong
    }
}

fn authorization(headers: &HeaderMap) -> Proof {
    let value = match single(headers, "authorization") {
        Ok(None) => return Proof::Absent,
        Ok(Some(value)) => value,
        Err(()) => return Proof::Wrong,
    };
    let (scheme, credential) = value.trim().split_once(' ').unwrap_or((value, ""));
    let credential = credential.trim();
    let is_right = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => credential == secrets::BEARER,
        "basic" => [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
            .iter()
            .any(|alphabet| credential == alphabet.encode(secrets::BASIC)),
        _ => false,
    };
    if is_right { Proof::Right } else { Proof::Wrong }
}

fn slack_signature(headers: &HeaderMap, body: &[u8]) -> Proof {
    let value = |name| single(headers, name).ok().flatten();
    let (Some(signature), Some(timestamp)) = (
        value("x-slack-signature"),
        value("x-slack-request-timestamp"),
    ) else {
        return Proof::Wrong;
    };
    let is_right = secrets::SLACK[..2].iter().any(|key| {
        let mac = mac(key.as_bytes(), &[b"v0:", timestamp.as_bytes(), b":", body]);
        let digits = signature.strip_prefix("v0=");
        digits.is_some_and(|digits| digits.eq_ignore_ascii_case(&hex::encode(mac)))
    });
    if is_right && is_in_time(timestamp) {
        Proof::Right
    } else {
        Proof::Wrong
    }
}
