use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::{any, prop_assert_eq, proptest};

use super::*;

mod credentials;

/// The example that the Standard Webhooks specification and its libraries publish.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT: &str = "1614265330";
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

const OTHER_SECRET: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz";

fn schemes(secrets: &[&str], bearer: &[&str], basic: &[&str]) -> Result<Schemes, InvalidKey> {
    let list = |texts: &[&str]| {
        texts
            .iter()
            .map(|t| SecretString::from(*t))
            .collect::<Vec<_>>()
    };
    let window = Window {
        past: 300,
        future: 60,
    };
    Schemes::try_new(&list(secrets), &list(bearer), &list(basic), window)
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        })
        .collect()
}

fn check_at(schemes: &Schemes, pairs: &[(&str, &str)], at: i64) -> Result<Option<String>, Refused> {
    let headers = headers(pairs);
    let request = Unverified {
        headers: &headers,
        table: None,
        body: BODY,
    };
    let verified = schemes.verify(request, Timestamp::from_second(at).unwrap())?;
    Ok(verified.delivery_id().map(ToOwned::to_owned))
}

fn check(schemes: &Schemes, pairs: &[(&str, &str)]) -> Result<Option<String>, Refused> {
    check_at(schemes, pairs, AT.parse().unwrap())
}

fn signed(signature: &str) -> Vec<(&'static str, &str)> {
    vec![
        (WEBHOOK_ID, ID),
        (WEBHOOK_TIMESTAMP, AT),
        (WEBHOOK_SIGNATURE, signature),
    ]
}

fn sign(secret: &str) -> [u8; 32] {
    let key = decode_base64(secret.strip_prefix("whsec_").unwrap()).unwrap();
    signature::mac(&key, &[ID.as_bytes(), b".", AT.as_bytes(), b".", BODY])
}

#[test]
fn the_published_example_verifies() {
    let schemes = schemes(&[SECRET], &[], &[]).unwrap();
    assert_eq!(check(&schemes, &signed(SIGNATURE)), Ok(Some(ID.to_owned())));
}

#[test]
fn secrets_are_read_with_or_without_prefix_and_with_a_stray_line_end() {
    let bare = SECRET.strip_prefix("whsec_").unwrap();
    for secret in [bare, &format!(" {SECRET}\r\n"), &format!("{bare}\n")] {
        let schemes = schemes(&[secret], &[], &[]).unwrap();
        assert!(check(&schemes, &signed(SIGNATURE)).is_ok());
    }
}

#[test]
fn signatures_are_read_in_both_alphabets_and_in_lists() {
    let schemes = schemes(&[SECRET], &[], &[]).unwrap();
    let mac = sign(SECRET);
    let wrong = STANDARD.encode([7; 32]);
    for header in [
        format!("v1,{}", STANDARD.encode(mac).trim_end_matches('=')),
        format!("v1,{}", URL_SAFE_NO_PAD.encode(mac)),
        format!("v1a,whatever v1,{wrong} {SIGNATURE}"),
        format!("{SIGNATURE} v2,{wrong}"),
        format!("v1,!!! {SIGNATURE}"),
    ] {
        assert!(check(&schemes, &signed(&header)).is_ok(), "{header}");
    }
}

#[test]
fn any_of_several_secrets_may_sign() {
    let both = schemes(&[OTHER_SECRET, SECRET], &[], &[]).unwrap();
    assert!(check(&both, &signed(SIGNATURE)).is_ok());
    let other = format!("v1,{}", STANDARD.encode(sign(OTHER_SECRET)));
    assert!(check(&both, &signed(&other)).is_ok());

    let retired = schemes(&[OTHER_SECRET], &[], &[]).unwrap();
    let refused = Err(Refused::Mismatch { what: "signature" });
    assert_eq!(check(&retired, &signed(SIGNATURE)), refused);
}

#[test]
fn wrong_signatures_are_refused() {
    let schemes = schemes(&[SECRET], &[], &[]).unwrap();
    let mismatch = Refused::Mismatch { what: "signature" };
    let malformed = Refused::Malformed {
        header: WEBHOOK_SIGNATURE,
    };
    let hex = format!("v1,{}", hex::encode(sign(SECRET)));
    let short = format!("v1,{}", STANDARD.encode(&sign(SECRET)[..31]));
    for (header, expected) in [
        ("v1,", &mismatch),
        ("v1,AAAA", &mismatch),
        (hex.as_str(), &mismatch),
        (short.as_str(), &mismatch),
        (
            "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            &mismatch,
        ),
        ("V1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", &mismatch),
        ("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", &malformed),
        ("", &malformed),
    ] {
        assert_eq!(
            check(&schemes, &signed(header)).as_ref(),
            Err(expected),
            "{header}"
        );
    }
}

#[test]
fn what_is_signed_is_the_id_the_timestamp_and_the_body() {
    let schemes = schemes(&[SECRET], &[], &[]).unwrap();
    let mismatch = Err(Refused::Mismatch { what: "signature" });
    for (place, other) in [(0, "msg_other"), (1, "1614265331")] {
        let mut pairs = signed(SIGNATURE);
        pairs[place].1 = other;
        assert_eq!(check(&schemes, &pairs), mismatch);
    }
    let headers = headers(&signed(SIGNATURE));
    let request = Unverified {
        headers: &headers,
        table: None,
        body: b"{\"test\": 2432232315}",
    };
    let now = Timestamp::from_second(1_614_265_330).unwrap();
    assert!(schemes.verify(request, now).is_err());
}

#[test]
fn old_and_early_signatures_are_refused_but_only_right_ones_learn_so() {
    let schemes = schemes(&[SECRET], &[], &[]).unwrap();
    let at: i64 = AT.parse().unwrap();
    assert!(check_at(&schemes, &signed(SIGNATURE), at + 300).is_ok());
    assert!(check_at(&schemes, &signed(SIGNATURE), at - 60).is_ok());
    let stale = check_at(&schemes, &signed(SIGNATURE), at + 301).unwrap_err();
    assert_eq!(stale.cause(), "stale");
    let future = check_at(&schemes, &signed(SIGNATURE), at - 61).unwrap_err();
    assert_eq!(future.cause(), "future");
    let wrong = check_at(&schemes, &signed("v1,AAAA"), at + 301).unwrap_err();
    assert_eq!(wrong.cause(), "mismatch");
}

#[test]
fn incomplete_doubled_and_unreadable_headers_are_refused() {
    let schemes = schemes(&[SECRET], &["a-static-token"], &[]).unwrap();
    let token = ("authorization", "Bearer a-static-token");
    for (place, missing) in [
        (0, WEBHOOK_ID),
        (1, WEBHOOK_TIMESTAMP),
        (2, WEBHOOK_SIGNATURE),
    ] {
        // Even with a right token: two of three headers are a broken signature.
        let mut pairs = signed(SIGNATURE);
        pairs.push(token);
        pairs.remove(place);
        let expected = Err(Refused::Missing { expected: missing });
        assert_eq!(check(&schemes, &pairs), expected);

        let mut pairs = signed(SIGNATURE);
        pairs.push(pairs[place]);
        let expected = Err(Refused::Malformed { header: missing });
        assert_eq!(check(&schemes, &pairs), expected);
    }
    let expected = Err(Refused::Missing {
        expected: WEBHOOK_TIMESTAMP,
    });
    assert_eq!(check(&schemes, &[(WEBHOOK_ID, ID), token]), expected);

    let long = "i".repeat(257);
    for (place, header, bad) in [
        (0, WEBHOOK_ID, ""),
        (0, WEBHOOK_ID, "msg 1"),
        (0, WEBHOOK_ID, "msg_ä"),
        (0, WEBHOOK_ID, long.as_str()),
        (1, WEBHOOK_TIMESTAMP, "yesterday"),
        (1, WEBHOOK_TIMESTAMP, "-1"),
        (1, WEBHOOK_TIMESTAMP, "1614265330000000"),
        (2, WEBHOOK_SIGNATURE, "v1,ä"),
    ] {
        let mut pairs = signed(SIGNATURE);
        pairs[place].1 = bad;
        assert_eq!(
            check(&schemes, &pairs),
            Err(Refused::Malformed { header }),
            "{bad}"
        );
    }
}
