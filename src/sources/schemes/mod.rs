//! The ways a sender proves itself without a scheme of its own: Standard Webhooks 1.0.0 (signed),
//! and the declared weaker modes, a static bearer token and basic authentication.
//!
//! Invariant: a credential that is present and wrong refuses the request, whatever else it
//! carries. Nothing falls through to a weaker mode, and no secret is ever printed.

mod configured;

use http::header::{AUTHORIZATION, HeaderMap};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

pub(crate) use self::configured::signing_key;
use self::configured::{Fingerprint, bearer_token, decode_base64, read_each, user_and_password};
use super::signature::{self, Window};
use super::{InvalidSource, Refused, Unverified, Verified};
use crate::domain::ids::SourceName;

const WEBHOOK_ID: &str = "webhook-id";
const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// The longest delivery id, in bytes: it becomes a key in the store.
const MAX_ID_BYTES: usize = 256;

/// What a source is configured to accept.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'c> {
    /// Standard Webhooks secrets, `whsec_` and base64.
    pub secrets: &'c [SecretString],
    /// Static bearer tokens.
    pub bearer_tokens: &'c [SecretString],
    /// `user:password`.
    pub basic_auth: &'c [SecretString],
    /// How far a signature's timestamp may be from our clock.
    pub window: Window,
}

/// The schemes that a source accepts, ready to check requests.
#[derive(Debug)]
pub struct Schemes {
    keys: Vec<SecretSlice<u8>>,
    bearer: Vec<Fingerprint>,
    basic: Vec<Fingerprint>,
    window: Window,
}

impl Schemes {
    /// Reads the configured credentials; refuses weak ones, unreadable ones, and none at all.
    pub fn try_new(name: &SourceName, credentials: Credentials<'_>) -> Result<Self, InvalidSource> {
        let invalid = |key: &'static str, problem: String| InvalidSource {
            source_name: name.clone(),
            key,
            problem,
        };
        let schemes = Self {
            keys: read_each(credentials.secrets, signing_key).map_err(|p| invalid("secrets", p))?,
            bearer: read_each(credentials.bearer_tokens, bearer_token)
                .map_err(|p| invalid("bearer_tokens", p))?,
            basic: read_each(credentials.basic_auth, user_and_password)
                .map_err(|p| invalid("basic_auth", p))?,
            window: credentials.window,
        };
        if schemes.keys.is_empty() && schemes.bearer.is_empty() && schemes.basic.is_empty() {
            return Err(invalid(
                "secrets",
                "nothing can authenticate a sender: set secrets (Standard Webhooks, whsec_…), \
                 or one of the weaker bearer_tokens and basic_auth"
                    .to_owned(),
            ));
        }
        Ok(schemes)
    }

    /// Authenticates a request. Whichever credentials it presents must all be right, and there
    /// must be one.
    pub fn verify<'a>(
        &self,
        request: Unverified<'a>,
        now: Timestamp,
    ) -> Result<Verified<'a>, Refused> {
        let id = delivery_id(request.headers)?;
        let signed = self.verify_signature(id, &request, now)?;
        let authorized = self.verify_authorization(request.headers)?;
        match (signed, authorized) {
            (Presented::No, Presented::No) => Err(Refused::Missing {
                expected: self.expected(),
            }),
            (Presented::Verified, _) | (_, Presented::Verified) => Ok(request.vouched(id)),
        }
    }

    fn verify_signature(
        &self,
        id: Option<&str>,
        request: &Unverified<'_>,
        now: Timestamp,
    ) -> Result<Presented, Refused> {
        let timestamp = single(request.headers, WEBHOOK_TIMESTAMP)?;
        let signatures = single(request.headers, WEBHOOK_SIGNATURE)?;
        if self.keys.is_empty() || (id.is_none() && timestamp.is_none() && signatures.is_none()) {
            return Ok(Presented::No);
        }
        let missing = |expected| Refused::Missing { expected };
        let id = id.ok_or(missing(WEBHOOK_ID))?;
        let timestamp = timestamp.ok_or(missing(WEBHOOK_TIMESTAMP))?;
        let signatures = signatures.ok_or(missing(WEBHOOK_SIGNATURE))?;
        let seconds = signature::parse_seconds(timestamp).ok_or(Refused::Malformed {
            header: WEBHOOK_TIMESTAMP,
        })?;

        let candidates = read_signatures(signatures)?;
        let mut matched = Choice::from(0);
        for key in &self.keys {
            let signed: [&[u8]; 5] = [
                id.as_bytes(),
                b".",
                timestamp.as_bytes(),
                b".",
                request.body,
            ];
            let mac = signature::mac(key.expose_secret(), &signed);
            for candidate in &candidates {
                matched |= mac.ct_eq(candidate);
            }
        }
        if !bool::from(matched) {
            return Err(Refused::Mismatch { what: "signature" });
        }
        // After the MAC: only who holds a secret learns about our clock.
        self.window.check(seconds, now)?;
        Ok(Presented::Verified)
    }

    fn verify_authorization(&self, headers: &HeaderMap) -> Result<Presented, Refused> {
        if self.bearer.is_empty() && self.basic.is_empty() {
            return Ok(Presented::No);
        }
        let malformed = || Refused::Malformed {
            header: "authorization",
        };
        let Some(value) = single(headers, AUTHORIZATION.as_str())? else {
            return Ok(Presented::No);
        };
        let (scheme, credential) = value.trim().split_once(' ').ok_or_else(malformed)?;
        let credential = credential.trim();
        if scheme.eq_ignore_ascii_case("bearer") && !self.bearer.is_empty() {
            matches_any(&self.bearer, credential.as_bytes(), "bearer token")
        } else if scheme.eq_ignore_ascii_case("basic") && !self.basic.is_empty() {
            let pair = decode_base64(credential).ok_or_else(malformed)?;
            matches_any(&self.basic, &pair, "user and password")
        } else {
            Err(Refused::Missing {
                expected: self.expected(),
            })
        }
    }

    fn expected(&self) -> &'static str {
        match (
            self.keys.is_empty(),
            self.bearer.is_empty(),
            self.basic.is_empty(),
        ) {
            (false, true, true) => "webhook-id, webhook-timestamp and webhook-signature",
            (false, ..) => "webhook-id, webhook-timestamp and webhook-signature, or Authorization",
            (true, false, true) => "Authorization: Bearer",
            (true, true, _) => "Authorization: Basic",
            (true, false, false) => "Authorization: Bearer or Basic",
        }
    }
}

/// What became of one kind of credential; a wrong one is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presented {
    No,
    Verified,
}

/// The value of a header that may stand once. Two of them could be read differently elsewhere.
fn single<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, Refused> {
    let malformed = Refused::Malformed { header: name };
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(malformed);
    }
    value.to_str().map(Some).map_err(|_| malformed)
}

fn delivery_id(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let id = single(headers, WEBHOOK_ID)?;
    let fits = |id: &str| {
        (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
    };
    match id {
        Some(id) if !fits(id) => Err(Refused::Malformed { header: WEBHOOK_ID }),
        Some(_) | None => Ok(id),
    }
}

/// The `v1` signatures of the header. Versions that we do not know belong to other receivers.
fn read_signatures(header: &str) -> Result<Vec<Vec<u8>>, Refused> {
    let mut candidates = Vec::new();
    for entry in header.split_ascii_whitespace() {
        let (version, text) = entry.split_once(',').ok_or(Refused::Malformed {
            header: WEBHOOK_SIGNATURE,
        })?;
        if version == "v1" {
            // What is not base64 is nobody's MAC; it need not keep a right one from matching.
            candidates.extend(decode_base64(text));
        }
    }
    if header.trim().is_empty() {
        return Err(Refused::Malformed {
            header: WEBHOOK_SIGNATURE,
        });
    }
    Ok(candidates)
}

/// Looks at every configured credential, so that the time does not tell which one matched.
fn matches_any(
    known: &[Fingerprint],
    presented: &[u8],
    what: &'static str,
) -> Result<Presented, Refused> {
    let presented: [u8; 32] = Sha256::digest(presented).into();
    let mut matched = Choice::from(0);
    for fingerprint in known {
        matched |= fingerprint.expose_secret().ct_eq(&presented);
    }
    if bool::from(matched) {
        Ok(Presented::Verified)
    } else {
        Err(Refused::Mismatch { what })
    }
}

#[cfg(test)]
mod tests;
