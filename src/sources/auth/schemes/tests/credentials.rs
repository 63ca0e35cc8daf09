//! Several credentials together, unfit ones, and what is shown of them.

use super::*;

#[test]
fn a_wrong_credential_never_falls_through_to_another() {
    let right_basic = format!("Basic {}", STANDARD.encode("sn:pass:word"));
    let wrong_basic = format!("Basic {}", STANDARD.encode("sn:pass"));
    let wrong = STANDARD.encode([7; 32]);
    let wrong_signature = format!("v1,{wrong}");
    let signature = |s| Some(s);
    // (secrets, bearer, basic; signature, authorization; the refusal's cause)
    let all = schemes(&[SECRET], &["a-static-token"], &["sn:pass:word"]).unwrap();
    let tokens = schemes(&[], &["an-older-token", "a-static-token"], &[]).unwrap();
    let passwords = schemes(&[], &[], &["sn:pass:word"]).unwrap();
    let secrets = schemes(&[SECRET], &[], &[]).unwrap();
    for (schemes, signature, authorization, cause) in [
        (&all, signature(SIGNATURE), None, None),
        (&all, None, Some("Bearer a-static-token"), None),
        (&all, None, Some("bEARER  a-static-token "), None),
        (&all, None, Some(right_basic.as_str()), None),
        (&all, Some(SIGNATURE), Some("Bearer a-static-token"), None),
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
        (
            &all,
            Some(SIGNATURE),
            Some("a-static-token"),
            Some("malformed"),
        ),
        (
            &all,
            Some(wrong_signature.as_str()),
            Some("Bearer a-static-token"),
            Some("mismatch"),
        ),
        (
            &all,
            Some(wrong_signature.as_str()),
            Some(right_basic.as_str()),
            Some("mismatch"),
        ),
        (
            &all,
            Some("v1"),
            Some("Bearer a-static-token"),
            Some("malformed"),
        ),
        (&all, None, Some("Bearer a-static-token2"), Some("mismatch")),
        (&all, None, Some("Bearer "), Some("malformed")),
        (&all, None, Some("Basic !"), Some("malformed")),
        (&all, None, Some(wrong_basic.as_str()), Some("mismatch")),
        (&all, None, None, Some("missing")),
        (&tokens, None, Some("Bearer an-older-token"), None),
        (&tokens, None, Some(right_basic.as_str()), Some("missing")),
        (
            &passwords,
            None,
            Some("Bearer a-static-token"),
            Some("missing"),
        ),
        (&passwords, None, None, Some("missing")),
        // Without a secret nobody can check a signature: it counts as not presented.
        (
            &tokens,
            Some(wrong_signature.as_str()),
            Some("Bearer a-static-token"),
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
        ("authorization", "Bearer a-static-token"),
        ("authorization", "Bearer a-static-token"),
    ];
    assert_eq!(check(&all, &twice).unwrap_err().cause(), "malformed");
}

#[test]
fn a_delivery_id_counts_without_a_signature_too() {
    let schemes = schemes(&[], &["a-static-token"], &[]).unwrap();
    let token = ("authorization", "Bearer a-static-token");
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
        (vec![" \n"], vec!["a-static-token"], vec![], "secrets"),
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
        (vec![SECRET], vec!["x"], vec![], "bearer_tokens"),
        (vec![], vec!["hunter2"], vec![], "bearer_tokens"),
        (vec![], vec![], vec!["sn:hunter2"], "basic_auth"),
        (vec![], vec!["hunter2 hunter2"], vec![], "bearer_tokens"),
        (vec![], vec![], vec!["hunter2"], "basic_auth"),
        (vec![], vec![], vec![":hunter2"], "basic_auth"),
        (vec![], vec![], vec!["hunter2:"], "basic_auth"),
    ] {
        let error = schemes(&secrets, &bearer, &basic).unwrap_err();
        assert_eq!(error.key, key);
        let text = error.problem;
        assert!(
            !text.contains("hunter2") && !text.contains("MfKQ9"),
            "{text}"
        );
    }
    let none = schemes(&[], &[], &[]).unwrap_err().problem;
    for way in ["secrets", "bearer_tokens", "basic_auth"] {
        assert!(none.contains(way), "{none}");
    }
}

#[test]
fn debug_output_shows_no_credential() {
    let schemes = schemes(&[SECRET], &["a-static-token"], &["sn:password"]).unwrap();
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
        let schemes = schemes(&[SECRET], &["a-static-token"], &["sn:password"]).unwrap();
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
