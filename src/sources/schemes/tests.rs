use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue};
use proptest::prelude::{any, prop_assert_eq, proptest};

use super::*;

/// The example that the Standard Webhooks specification and its libraries publish.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT: &str = "1614265330";
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

const OTHER_SECRET: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz";

fn schemes(secrets: &[&str], bearer: &[&str], basic: &[&str]) -> Result<Schemes, InvalidSource> {
    let list = |texts: &[&str]| {
        texts
            .iter()
            .map(|t| SecretString::from(*t))
            .collect::<Vec<_>>()
    };
    Schemes::try_new(
        &"servicenow".parse().unwrap(),
        Credentials {
            secrets: &list(secrets),
            bearer_tokens: &list(bearer),
            basic_auth: &list(basic),
            window: Window {
                past: 300,
                future: 60,
            },
        },
    )
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
    let schemes = schemes(&[SECRET], &["token"], &[]).unwrap();
    let token = ("authorization", "Bearer token");
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

#[test]
fn a_wrong_credential_never_falls_through_to_another() {
    let right_basic = format!("Basic {}", STANDARD.encode("sn:pass:word"));
    let wrong_basic = format!("Basic {}", STANDARD.encode("sn:pass"));
    let wrong = STANDARD.encode([7; 32]);
    let wrong_signature = format!("v1,{wrong}");
    let signature = |s| Some(s);
    // (secrets, bearer, basic; signature, authorization; the refusal's cause)
    let all = schemes(&[SECRET], &["token"], &["sn:pass:word"]).unwrap();
    let tokens = schemes(&[], &["old", "token"], &[]).unwrap();
    let passwords = schemes(&[], &[], &["sn:pass:word"]).unwrap();
    let secrets = schemes(&[SECRET], &[], &[]).unwrap();
    for (schemes, signature, authorization, cause) in [
        (&all, signature(SIGNATURE), None, None),
        (&all, None, Some("Bearer token"), None),
        (&all, None, Some("bEARER  token "), None),
        (&all, None, Some(right_basic.as_str()), None),
        (&all, Some(SIGNATURE), Some("Bearer token"), None),
        (
            &all,
            Some(SIGNATURE),
            Some("Bearer wrong"),
            Some("mismatch"),
        ),
        (
            &all,
            Some(SIGNATURE),
            Some(wrong_basic.as_str()),
            Some("mismatch"),
        ),
        (&all, Some(SIGNATURE), Some("Digest x"), Some("missing")),
        (&all, Some(SIGNATURE), Some("token"), Some("malformed")),
        (
            &all,
            Some(wrong_signature.as_str()),
            Some("Bearer token"),
            Some("mismatch"),
        ),
        (
            &all,
            Some(wrong_signature.as_str()),
            Some(right_basic.as_str()),
            Some("mismatch"),
        ),
        (&all, Some("v1"), Some("Bearer token"), Some("malformed")),
        (&all, None, Some("Bearer token2"), Some("mismatch")),
        (&all, None, Some("Bearer "), Some("malformed")),
        (&all, None, Some("Basic !"), Some("malformed")),
        (&all, None, Some(wrong_basic.as_str()), Some("mismatch")),
        (&all, None, None, Some("missing")),
        (&tokens, None, Some("Bearer old"), None),
        (&tokens, None, Some(right_basic.as_str()), Some("missing")),
        (&passwords, None, Some("Bearer token"), Some("missing")),
        (&passwords, None, None, Some("missing")),
        // Without a secret nobody can check a signature: it counts as not presented.
        (
            &tokens,
            Some(wrong_signature.as_str()),
            Some("Bearer token"),
            None,
        ),
        (&tokens, Some(SIGNATURE), None, Some("missing")),
        // Without a token nobody can check an authorization, which a proxy may have added.
        (&secrets, Some(SIGNATURE), Some("Bearer whatever"), None),
        (&secrets, None, Some("Bearer whatever"), Some("missing")),
    ] {
        let mut pairs = signature.map(signed).unwrap_or_default();
        pairs.extend(authorization.map(|value| ("authorization", value)));
        let outcome = check(schemes, &pairs);
        assert_eq!(
            outcome.err().map(|r| r.cause()),
            cause,
            "{signature:?} {authorization:?}"
        );
    }
    let twice = [
        ("authorization", "Bearer token"),
        ("authorization", "Bearer token"),
    ];
    assert_eq!(check(&all, &twice).unwrap_err().cause(), "malformed");
}

#[test]
fn a_delivery_id_counts_without_a_signature_too() {
    let schemes = schemes(&[], &["token"], &[]).unwrap();
    let token = ("authorization", "Bearer token");
    assert_eq!(check(&schemes, &[token]), Ok(None));
    assert_eq!(
        check(&schemes, &[token, (WEBHOOK_ID, "d-1")]),
        Ok(Some("d-1".to_owned()))
    );
    let expected = Err(Refused::Malformed { header: WEBHOOK_ID });
    assert_eq!(check(&schemes, &[token, (WEBHOOK_ID, "")]), expected);
}

#[test]
fn weak_and_unreadable_credentials_are_refused_at_start_without_naming_them() {
    let of_15_bytes = format!("whsec_{}", STANDARD.encode([1; 15]));
    let of_16_bytes = format!("whsec_{}", STANDARD.encode([1; 16]));
    assert!(schemes(&[&of_16_bytes], &[], &[]).is_ok());
    for (secrets, bearer, basic, key) in [
        (vec![], vec![], vec![], "secrets"),
        (vec![""], vec![], vec![], "secrets"),
        (vec![" \n"], vec!["token"], vec![], "secrets"),
        (vec!["whsec_"], vec![], vec![], "secrets"),
        (vec!["whsec_hunter2-hunter2!"], vec![], vec![], "secrets"),
        (
            vec!["whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            vec![],
            vec![],
            "secrets",
        ),
        (
            vec![SECRET, of_15_bytes.as_str()],
            vec![],
            vec![],
            "secrets",
        ),
        (vec![SECRET], vec![" "], vec![], "bearer_tokens"),
        (vec![], vec!["hunter2 hunter2"], vec![], "bearer_tokens"),
        (vec![], vec![], vec!["hunter2"], "basic_auth"),
        (vec![], vec![], vec![":hunter2"], "basic_auth"),
        (vec![], vec![], vec!["hunter2:"], "basic_auth"),
    ] {
        let error = schemes(&secrets, &bearer, &basic).unwrap_err();
        assert_eq!(error.key, key);
        let text = error.to_string();
        assert!(
            !text.contains("hunter2") && !text.contains("MfKQ9"),
            "{text}"
        );
    }
    let none = schemes(&[], &[], &[]).unwrap_err().to_string();
    for way in ["secrets", "bearer_tokens", "basic_auth"] {
        assert!(none.contains(way), "{none}");
    }
}

#[test]
fn debug_output_shows_no_credential() {
    let schemes = schemes(&[SECRET], &["token"], &["sn:password"]).unwrap();
    let text = format!("{schemes:?}");
    let first_key_byte = format!("{}", 0x31);
    assert!(!text.contains(&first_key_byte), "{text}");
    assert!(text.contains("REDACTED"), "{text}");
}

proptest! {
    #[test]
    fn arbitrary_headers_are_refused_without_a_panic(
        id in any::<Vec<u8>>(),
        timestamp in any::<Vec<u8>>(),
        signature in any::<Vec<u8>>(),
        authorization in any::<Vec<u8>>(),
    ) {
        let schemes = schemes(&[SECRET], &["token"], &["sn:password"]).unwrap();
        let mut headers = HeaderMap::new();
        for (name, bytes) in [
            (WEBHOOK_ID, id),
            (WEBHOOK_TIMESTAMP, timestamp),
            (WEBHOOK_SIGNATURE, signature),
            (AUTHORIZATION.as_str(), authorization),
        ] {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.insert(name, value);
            }
        }
        let request = Unverified { headers: &headers, table: None, body: BODY };
        let now = Timestamp::from_second(1_614_265_330).unwrap();
        prop_assert_eq!(schemes.verify(request, now).is_ok(), false);
    }
}
