//! Signs webhooks as their real senders do, for rehearsals, the demo and measurements.
//!
//! Invariant: the body is signed as it is and never changed; time and randomness are parameters; no
//! secret is printed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::sources::auth::schemes::signing_key;
use crate::sources::auth::signature::mac;

/// A sender's credential, ready to sign.
#[derive(Debug, Clone)]
pub struct Signer(Scheme);

#[derive(Debug, Clone)]
enum Scheme {
    StandardWebhooks(SecretSlice<u8>),
    Slack(SecretString),
    Bearer(SecretString),
    Basic(SecretString),
}

/// Values that are signed with a delivery, besides the secret and the body.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// Id of the delivery (`webhook-id`), only for Standard Webhooks.
    pub id: &'a str,
    /// Unix time in seconds; bearer and basic do not use it.
    pub seconds: u64,
}

/// Reason why nothing can be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigning {
    /// The credential is malformed.
    #[error("the {what} {problem}")]
    Credential {
        /// Name of the credential.
        what: &'static str,
        /// The problem, without the value.
        problem: &'static str,
    },
    /// A value is not allowed in a header.
    #[error("the {0} cannot be sent in a header: use visible ASCII characters")]
    Header(&'static str),
}

impl Signer {
    /// Standard Webhooks 1.0.0, as a `ServiceNow` business rule signs: `whsec_` and base64.
    pub fn standard_webhooks(secret: &SecretString) -> Result<Self, InvalidSigning> {
        let invalid = |problem| InvalidSigning::Credential {
            what: "secret",
            problem,
        };
        let key = signing_key(secret.expose_secret()).map_err(invalid)?;
        Ok(Self(Scheme::StandardWebhooks(key)))
    }

    /// Slack's signature, version 0. The key is the signing secret's text as Slack shows it.
    pub fn slack(secret: &SecretString) -> Result<Self, InvalidSigning> {
        let secret = secret.expose_secret().trim();
        if secret.is_empty() {
            return Err(InvalidSigning::Credential {
                what: "signing secret",
                problem: "is empty",
            });
        }
        Ok(Self(Scheme::Slack(secret.into())))
    }

    /// `Authorization: Bearer`, which signs nothing.
    pub fn bearer(token: &SecretString) -> Self {
        Self(Scheme::Bearer(token.expose_secret().trim().into()))
    }

    /// `Authorization: Basic` from `user:password`, which signs nothing.
    pub fn basic(user_and_password: &SecretString) -> Result<Self, InvalidSigning> {
        let pair = user_and_password.expose_secret();
        if !pair.contains(':') {
            return Err(InvalidSigning::Credential {
                what: "user and password",
                problem: "are not written as user:password",
            });
        }
        Ok(Self(Scheme::Basic(pair.into())))
    }

    /// This scheme with another key, as a forger would use it.
    #[must_use]
    pub fn forged(&self, key: [u8; 32]) -> Self {
        let text = || hex::encode(key);
        Self(match &self.0 {
            Scheme::StandardWebhooks(_) => Scheme::StandardWebhooks(key.to_vec().into()),
            Scheme::Slack(_) => Scheme::Slack(text().into()),
            Scheme::Bearer(_) => Scheme::Bearer(text().into()),
            Scheme::Basic(_) => Scheme::Basic(format!("forger:{}", text()).into()),
        })
    }

    /// The headers that prove who sends `body`.
    pub fn sign(&self, stamp: Stamp<'_>, body: &[u8]) -> Result<HeaderMap, InvalidSigning> {
        let seconds = stamp.seconds.to_string();
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, what, value: String| {
            let value = HeaderValue::try_from(value).map_err(|_| InvalidSigning::Header(what))?;
            headers.insert(HeaderName::from_static(name), value);
            Ok(())
        };
        // Each scheme signs other bytes: `id.timestamp.body` or `v0:timestamp:body`; the last two sign
        // nothing.
        match &self.0 {
            Scheme::StandardWebhooks(key) => {
                let id = stamp.id.as_bytes();
                let parts: [&[u8]; 5] = [id, b".", seconds.as_bytes(), b".", body];
                let mac = STANDARD.encode(mac(key.expose_secret(), &parts));
                put("webhook-id", "delivery id", stamp.id.to_owned())?;
                put("webhook-timestamp", "timestamp", seconds)?;
                put("webhook-signature", "signature", format!("v1,{mac}"))?;
            }
            Scheme::Slack(secret) => {
                let parts: [&[u8]; 4] = [b"v0:", seconds.as_bytes(), b":", body];
                let mac = hex::encode(mac(secret.expose_secret().as_bytes(), &parts));
                put("x-slack-request-timestamp", "timestamp", seconds)?;
                put("x-slack-signature", "signature", format!("v0={mac}"))?;
            }
            Scheme::Bearer(token) => {
                let value = format!("Bearer {}", token.expose_secret());
                put("authorization", "bearer token", value)?;
            }
            Scheme::Basic(pair) => {
                let value = format!("Basic {}", STANDARD.encode(pair.expose_secret()));
                put("authorization", "user and password", value)?;
            }
        }
        if let Some(value) = headers.get_mut(AUTHORIZATION) {
            value.set_sensitive(true);
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::sources::{
        MountedSource, Refused, SourceConfig, SourceKind, SourcePolicy, Unverified, servicenow,
        slack,
    };

    const SECONDS: u64 = 1_779_146_751;
    const BODY: &[u8] = "{ \"n\": 1.0,\r\n\"u\": \"caf\\u00e9 \u{e9}\" }".as_bytes();
    const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn secret(text: &str) -> SecretString {
        text.into()
    }

    /// A source of this kind that accepts every credential used here.
    fn source(kind: SourceKind) -> MountedSource {
        let policy = SourcePolicy {
            channel_target: Some(json!({"ticketSource": {"integrationId": "i"}})),
            ..kind.policy()
        };
        let config = if kind == slack::KIND {
            let own = slack::Config {
                signing_secrets: vec![secret("s3cret-of-slack")],
                ..slack::Config::default()
            };
            SourceConfig::new(kind, policy, own)
        } else {
            let own = servicenow::Config {
                secrets: vec![secret(SECRET)],
                bearer_tokens: vec![secret("static-token")],
                basic_auth: vec![secret("user:pass:word")],
                ..servicenow::Config::default()
            };
            SourceConfig::new(kind, policy, own)
        };
        config.build(&kind.name().parse().unwrap()).unwrap()
    }

    fn verify(kind: SourceKind, signer: &Signer, body: &[u8]) -> Result<(), Refused> {
        let stamp = Stamp {
            id: "msg_1",
            seconds: SECONDS,
        };
        let headers = signer.sign(stamp, BODY).unwrap();
        let request = Unverified {
            headers: &headers,
            table: None,
            body,
        };
        let now = Timestamp::from_second(i64::try_from(SECONDS).unwrap()).unwrap();
        let source = source(kind);
        source.verify(request, now).map(drop)
    }

    fn signers() -> [(SourceKind, Signer); 4] {
        let kind = servicenow::KIND;
        [
            (kind, Signer::standard_webhooks(&secret(SECRET)).unwrap()),
            (
                slack::KIND,
                Signer::slack(&secret("s3cret-of-slack\n")).unwrap(),
            ),
            (kind, Signer::bearer(&secret("static-token\n"))),
            (kind, Signer::basic(&secret("user:pass:word")).unwrap()),
        ]
    }

    #[test]
    fn the_source_believes_what_was_signed_and_nothing_forged() {
        for (kind, signer) in signers() {
            assert_eq!(verify(kind, &signer, BODY), Ok(()), "{signer:?}");
            let forged = verify(kind, &signer.forged([7; 32]), BODY);
            assert!(
                matches!(forged, Err(Refused::Mismatch { .. })),
                "{forged:?}"
            );
        }
    }

    #[test]
    fn a_signature_is_of_one_body() {
        for (kind, signer) in &signers()[..2] {
            let refused = verify(*kind, signer, b"{}");
            assert_eq!(refused, Err(Refused::Mismatch { what: "signature" }));
        }
    }

    #[test]
    fn the_published_slack_vector_is_reproduced() {
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
            &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner\
            &command=%2Fwebhook-collect&text=\
            &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
            &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let signer = Signer::slack(&secret("8f742231b10e8888abcd99yyyzzz85a5")).unwrap();
        let stamp = Stamp {
            id: "",
            seconds: 1_531_420_618,
        };
        let headers = signer.sign(stamp, body.as_bytes()).unwrap();
        assert_eq!(
            headers["x-slack-signature"],
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
        );
        assert_eq!(headers["x-slack-request-timestamp"], "1531420618");
    }

    #[test]
    fn what_cannot_be_signed_with_or_sent_is_refused_without_showing_it() {
        for refused in [
            Signer::standard_webhooks(&secret("whsec_???")),
            Signer::standard_webhooks(&secret("c2hvcnQ=")),
            Signer::slack(&secret(" \n")),
            Signer::basic(&secret("???")),
        ] {
            let text = refused.unwrap_err().to_string();
            assert!(!text.contains("???") && !text.contains("c2hv"), "{text}");
        }
        let stamp = |id| Stamp { id, seconds: 0 };
        let signer = Signer::standard_webhooks(&secret(SECRET)).unwrap();
        let error = signer.sign(stamp("a\nb"), BODY).unwrap_err();
        assert_eq!(error, InvalidSigning::Header("delivery id"));
        let error = Signer::bearer(&secret("a\nb")).sign(stamp(""), BODY);
        assert_eq!(error.unwrap_err(), InvalidSigning::Header("bearer token"));
    }
}
