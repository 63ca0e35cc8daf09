//! Slack's request signature, version 0.
//!
//! Invariant: the MAC covers the received bytes. Every configured secret is tried, so that the time
//! does not tell which one matched.

use http::HeaderMap;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::sources::auth::request::{Refused, Unverified, Verified};
use crate::sources::auth::signature::{Window, mac_matches, parse_seconds};

const SIGNATURE: &str = "x-slack-signature";
const TIMESTAMP: &str = "x-slack-request-timestamp";

/// Slack's secrets have 32 characters.
const SHORTEST: usize = 8;
/// Beginnings of Slack's tokens.
const TOKENS: [&str; 3] = ["xox", "xapp-", "xwfp-"];

/// Says why this can be no signing secret.
fn never_right(secret: &str) -> Option<&'static str> {
    if secret.is_empty() {
        return Some("is an empty secret; remove it or fill it in");
    }
    if TOKENS.iter().any(|begin| secret.starts_with(begin)) {
        return Some(
            "is a token of Slack, not a signing secret: copy *Signing Secret* from *Basic \
             Information* in the Slack app's settings",
        );
    }
    if secret.starts_with("whsec_") {
        return Some("is a secret for Standard Webhooks, not one of Slack: copy *Signing Secret*");
    }
    let is_id = |part: &str| part.len() > 5 && part.bytes().all(|b| b.is_ascii_digit());
    if secret
        .split_once('.')
        .is_some_and(|(app, id)| is_id(app) && is_id(id))
    {
        return Some("is the app's *Client ID*, which is no secret: copy *Signing Secret*");
    }
    let is_short = secret.chars().count() < SHORTEST;
    is_short.then_some("is too short for a signing secret, which has 32 characters: is it cut?")
}

/// Checks signatures under any of several secrets.
#[derive(Debug)]
pub(super) struct Signing {
    secrets: Vec<SecretString>,
    window: Window,
}

impl Signing {
    /// Takes the app's signing secrets. Slack shows hexadecimal digits, and the key is that text, not
    /// the bytes. White space around a secret is not part of it (files end with a newline).
    pub(super) fn try_new(secrets: &[SecretString], window: Window) -> Result<Self, String> {
        let secrets: Vec<SecretString> = secrets
            .iter()
            .map(|secret| secret.expose_secret().trim().into())
            .collect();
        if secrets.is_empty() {
            return Err("is missing; copy the signing secret from the Slack app's settings".into());
        }
        for (secret, place) in secrets.iter().zip(1..) {
            if let Some(problem) = never_right(secret.expose_secret()) {
                return Err(format!("entry {place} {problem}"));
            }
        }
        Ok(Self { secrets, window })
    }

    /// Refuses a request without a signature, with one that cannot be read, or with one that is too old,
    /// before its body is read.
    pub(super) fn screen(&self, headers: &HeaderMap, now: Timestamp) -> Result<(), Refused> {
        let (_, timestamp) = read_headers(&Unverified::head(headers))?;
        self.window.check(timestamp.1, now)
    }

    /// Authenticates a request over its raw bytes.
    pub(super) fn verify<'a>(
        &self,
        request: Unverified<'a>,
        now: Timestamp,
    ) -> Result<Verified<'a>, Refused> {
        let (signature, (timestamp, seconds)) = read_headers(&request)?;
        let parts: [&[u8]; 4] = [b"v0:", timestamp.as_bytes(), b":", request.body];
        // The first secret that matches ends the search: each costs a hash of the whole body. The time tells
        // which secret it was only to somebody who has it.
        let matches = |secret: &SecretString| {
            mac_matches(secret.expose_secret().as_bytes(), &parts, &signature)
        };
        if !self.secrets.iter().any(matches) {
            return Err(Refused::Mismatch { what: "signature" });
        }
        // Once more, because the body may have taken its time.
        self.window.check(seconds, now)?;
        Ok(request.vouched(None))
    }
}

/// The signature, and the timestamp as sent and in seconds.
fn read_headers<'a>(request: &Unverified<'a>) -> Result<([u8; 32], (&'a str, i64)), Refused> {
    let missing = Refused::Missing {
        expected: "x-slack-signature and x-slack-request-timestamp",
    };
    let signature = request.header(SIGNATURE)?.ok_or(missing.clone())?;
    let timestamp = request.header(TIMESTAMP)?.ok_or(missing)?;
    let signature = parse_signature(signature).ok_or(Refused::Malformed { header: SIGNATURE })?;
    let seconds = parse_seconds(timestamp).ok_or(Refused::Malformed { header: TIMESTAMP })?;
    Ok((signature, (timestamp, seconds)))
}

fn parse_signature(text: &str) -> Option<[u8; 32]> {
    let mut mac = [0; 32];
    hex::decode_to_slice(text.strip_prefix("v0=")?, &mut mac).ok()?;
    Some(mac)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::sources::auth::signature::mac;

    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const SENT_AT: i64 = 1_531_420_618;
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
        &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner\
        &command=%2Fwebhook-collect&text=\
        &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNED: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn signing(secrets: &[&str]) -> Result<Signing, String> {
        let secrets: Vec<SecretString> = secrets.iter().map(|&s| s.into()).collect();
        let window = Window {
            past: 300,
            future: 60,
        };
        Signing::try_new(&secrets, window)
    }

    /// Verifies `body` with `headers`, `late` seconds after the vector was signed.
    fn verify(
        secrets: &[&str],
        headers: &[(&'static str, &str)],
        body: &[u8],
        late: i64,
    ) -> Result<(), Refused> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let request = Unverified {
            headers: &map,
            table: None,
            body,
        };
        let now = Timestamp::from_second(SENT_AT + late).unwrap();
        let verified = signing(secrets).unwrap().verify(request, now)?;
        assert_eq!(verified.body(), body);
        assert_eq!(verified.delivery_id(), None);
        Ok(())
    }

    const MISMATCH: Result<(), Refused> = Err(Refused::Mismatch { what: "signature" });

    #[test]
    fn the_published_vector_is_authentic_and_nothing_near_it_is() {
        let headers = [(SIGNATURE, SIGNED), (TIMESTAMP, "1531420618")];
        assert_eq!(verify(&[SECRET], &headers, BODY, 0), Ok(()));
        let upper = format!("v0={}", SIGNED[3..].to_ascii_uppercase());
        let shouted = [(SIGNATURE, upper.as_str()), (TIMESTAMP, "1531420618")];
        assert_eq!(verify(&[SECRET], &shouted, BODY, 0), Ok(()));

        assert_eq!(verify(&[SECRET], &headers, &BODY[1..], 0), MISMATCH);
        assert_eq!(verify(&[SECRET], &headers, b"", 0), MISMATCH);
        assert_eq!(verify(&["another-secret"], &headers, BODY, 0), MISMATCH);
        let later = [(SIGNATURE, SIGNED), (TIMESTAMP, "1531420619")];
        assert_eq!(verify(&[SECRET], &later, BODY, 0), MISMATCH);
    }

    #[test]
    fn any_of_several_secrets_may_sign() {
        let headers = [(SIGNATURE, SIGNED), (TIMESTAMP, "1531420618")];
        for secrets in [
            &["new-secret", SECRET][..],
            &[SECRET, "old-secret"],
            &["secret-a", SECRET, "secret-b"],
            &["8f742231b10e8888abcd99yyyzzz85a5\n"],
        ] {
            assert_eq!(verify(secrets, &headers, BODY, 0), Ok(()), "{secrets:?}");
        }
        assert_eq!(
            verify(&["new-secret", "old-secret"], &headers, BODY, 0),
            MISMATCH
        );
    }

    #[test]
    fn bodies_need_not_be_text() {
        let body = [0, 0xff, b':', 0x80];
        let signed = mac(b"key-of-8", &[b"v0:", b"1531420618", b":", &body]);
        let signed = format!("v0={}", hex::encode(signed));
        let headers = [(SIGNATURE, signed.as_str()), (TIMESTAMP, "1531420618")];
        assert_eq!(verify(&["key-of-8"], &headers, &body, 0), Ok(()));
    }

    #[test]
    fn the_window_is_the_configured_one() {
        let headers = [(SIGNATURE, SIGNED), (TIMESTAMP, "1531420618")];
        for (late, expected) in [
            (300, Ok(())),
            (
                301,
                Err(Refused::Stale {
                    seconds: 301,
                    tolerance: 300,
                }),
            ),
            (-60, Ok(())),
            (
                -61,
                Err(Refused::Future {
                    seconds: 61,
                    tolerance: 60,
                }),
            ),
        ] {
            assert_eq!(verify(&[SECRET], &headers, BODY, late), expected, "{late}");
            assert_eq!(
                verify(&["a-forged-secret"], &headers, BODY, late),
                MISMATCH,
                "{late}"
            );
        }
    }

    #[test]
    fn headers_that_cannot_be_read_are_refused() {
        const AT: (&str, &str) = (TIMESTAMP, "1531420618");
        const BY: (&str, &str) = (SIGNATURE, SIGNED);
        let hex = &SIGNED[3..];
        let bad = |header| Err(Refused::Malformed { header });
        let missing = Err(Refused::Missing {
            expected: "x-slack-signature and x-slack-request-timestamp",
        });
        assert_eq!(verify(&[SECRET], &[], BODY, 0), missing);
        assert_eq!(verify(&[SECRET], &[AT], BODY, 0), missing);
        assert_eq!(verify(&[SECRET], &[BY], BODY, 0), missing);
        assert_eq!(verify(&[SECRET], &[BY, AT, BY], BODY, 0), bad(SIGNATURE));
        assert_eq!(verify(&[SECRET], &[BY, AT, AT], BODY, 0), bad(TIMESTAMP));

        for text in [
            String::new(),
            hex.to_owned(),
            "v0=".to_owned(),
            format!("v1={hex}"),
            format!("V0={hex}"),
            format!("v0={}", &hex[2..]),
            format!("v0={}", &hex[1..]),
            format!("v0={hex}00"),
            format!("v0= {hex}"),
            format!("v0={hex},v0={hex}"),
            format!("v0=g{}", &hex[1..]),
            format!("v0=é{}", &hex[2..]),
        ] {
            let headers = [(SIGNATURE, text.as_str()), AT];
            assert_eq!(
                verify(&[SECRET], &headers, BODY, 0),
                bad(SIGNATURE),
                "{text}"
            );
        }
        for text in [
            "",
            "0x5b",
            "+1531420618",
            "01531420618",
            "1531420618.0",
            "1e9",
            "-1",
            "now",
        ] {
            let headers = [BY, (TIMESTAMP, text)];
            assert_eq!(
                verify(&[SECRET], &headers, BODY, 0),
                bad(TIMESTAMP),
                "{text}"
            );
        }
    }

    #[test]
    fn a_configuration_that_could_authenticate_nobody_or_anybody_is_refused() {
        for secrets in [&[][..], &[""], &["good-secret", ""], &[" \n"]] {
            assert!(signing(secrets).is_err(), "{secrets:?}");
        }
        assert!(!format!("{:?}", signing(&["hidden-secret"]).unwrap()).contains("hidden"));
    }

    #[test]
    fn what_can_be_no_signing_secret_is_refused_by_its_place_without_its_value() {
        for (bad, says) in [
            ("x", "entry 2 is too short"),
            ("7 chars", "entry 2 is too short"),
            (
                "xoxb-17653672481-19874698323",
                "entry 2 is a token of Slack",
            ),
            (
                "xoxp-17653672481-19874698323",
                "entry 2 is a token of Slack",
            ),
            ("xapp-1-A0116MVA3TL-2185", "entry 2 is a token of Slack"),
            (" \n", "entry 2 is an empty secret"),
        ] {
            let problem = signing(&[SECRET, bad]).unwrap_err();
            assert!(problem.starts_with(says), "{problem}");
            assert!(!problem.contains(bad), "{problem}");
        }
        assert!(signing(&["8-digits"]).is_ok());
    }
}
