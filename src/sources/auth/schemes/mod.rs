//! Authentication of senders without a scheme of their own: Standard Webhooks 1.0.0 (signed), and
//! the declared weaker modes, a static bearer token and basic authentication.
//!
//! Invariant: a credential that is present and wrong refuses the request, even beside a right one.
//! Nothing falls through to a weaker mode, and no secret is ever printed.

mod configured;

use http::HeaderMap;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

pub(crate) use self::configured::signing_key;
use self::configured::{Fingerprint, bearer_token, decode_base64, read_each, user_and_password};
use super::signature::{self, Window};
use crate::sources::auth::request::{Refused, Unverified, Verified};
use crate::sources::invalid::InvalidKey;

const WEBHOOK_ID: &str = "webhook-id";
const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// The longest delivery id, in bytes: it becomes a key in the store.
const MAX_ID_BYTES: usize = 256;

/// The schemes that a source accepts, ready to check requests.
#[derive(Debug)]
pub struct Schemes {
    keys: Vec<SecretSlice<u8>>,
    bearer: Vec<Fingerprint>,
    basic: Vec<Fingerprint>,
    window: Window,
}

impl Schemes {
    /// Reads Standard Webhooks secrets (`whsec_` and base64), bearer tokens and pairs of
    /// `user:password`. Refuses weak ones, unreadable ones, and none at all.
    pub fn try_new(
        secrets: &[SecretString],
        bearer_tokens: &[SecretString],
        basic_auth: &[SecretString],
        window: Window,
    ) -> Result<Self, InvalidKey> {
        let schemes = Self {
            keys: read_each("secrets", secrets, signing_key)?,
            bearer: read_each("bearer_tokens", bearer_tokens, bearer_token)?,
            basic: read_each("basic_auth", basic_auth, user_and_password)?,
            window,
        };
        // A source that accepts everything would let anybody write into the inbox, so there is no
        // way to switch the check off.
        if schemes.keys.is_empty() && schemes.bearer.is_empty() && schemes.basic.is_empty() {
            let problem = "nothing can authenticate a sender: set secrets (Standard Webhooks, \
                           whsec_…), or one of the weaker bearer_tokens and basic_auth";
            return Err(InvalidKey::new("secrets", problem));
        }
        Ok(schemes)
    }

    /// Judges a request by its headers, before its body is read. See
    /// [`Source::screen`](crate::sources::Source::screen).
    pub fn screen(&self, headers: &HeaderMap, now: Timestamp) -> Result<(), Refused> {
        let request = Unverified::head(headers);
        let id = delivery_id(&request)?;
        let signature = self.read_signature(id, &request)?;
        let is_authorized = self.verify_authorization(&request)?;
        match signature {
            // A right Authorization beside a signature does not help: all credentials that are
            // present must be right, and the signature is verified with the body.
            Some(signature) => self.window.check(signature.seconds, now),
            None if is_authorized => Ok(()),
            None => Err(self.missing()),
        }
    }

    /// Authenticates a request. All credentials that it presents must be right, and there must be
    /// at least one.
    pub fn verify<'a>(
        &self,
        request: Unverified<'a>,
        now: Timestamp,
    ) -> Result<Verified<'a>, Refused> {
        // All three are checked before anything is decided: a wrong credential beside a right one
        // refuses the request.
        let id = delivery_id(&request)?;
        let is_signed = self.verify_signature(id, &request, now)?;
        let is_authorized = self.verify_authorization(&request)?;
        if is_signed || is_authorized {
            Ok(request.vouched(id))
        } else {
            Err(self.missing())
        }
    }

    /// The signature that the request presents, not verified yet; `None`: it presents none.
    fn read_signature<'a>(
        &self,
        id: Option<&'a str>,
        request: &Unverified<'a>,
    ) -> Result<Option<Presented<'a>>, Refused> {
        let timestamp = request.header(WEBHOOK_TIMESTAMP)?;
        let signatures = request.header(WEBHOOK_SIGNATURE)?;
        if self.keys.is_empty() || (id.is_none() && timestamp.is_none() && signatures.is_none()) {
            return Ok(None);
        }
        // From here on the request claims to be signed, so every part must be there and right.
        let missing = |expected| Refused::Missing { expected };
        let id = id.ok_or(missing(WEBHOOK_ID))?;
        let timestamp = timestamp.ok_or(missing(WEBHOOK_TIMESTAMP))?;
        let signatures = signatures.ok_or(missing(WEBHOOK_SIGNATURE))?;
        let seconds = signature::parse_seconds(timestamp).ok_or(malformed(WEBHOOK_TIMESTAMP))?;
        Ok(Some(Presented {
            id,
            timestamp,
            seconds,
            candidates: read_signatures(signatures)?,
        }))
    }

    /// False if the request presents no signature; a wrong one is an error.
    fn verify_signature(
        &self,
        id: Option<&str>,
        request: &Unverified<'_>,
        now: Timestamp,
    ) -> Result<bool, Refused> {
        let Some(presented) = self.read_signature(id, request)? else {
            return Ok(false);
        };
        let signed: [&[u8]; 5] = [
            presented.id.as_bytes(),
            b".",
            presented.timestamp.as_bytes(),
            b".",
            request.body,
        ];
        // The first key that matches ends the search: each costs a hash of the whole body. The time tells
        // which key it was only to somebody who has it. Within a key all signatures are compared.
        let matches = |key: &SecretSlice<u8>| {
            let mac = signature::mac(key.expose_secret(), &signed);
            let matched = (presented.candidates.iter())
                .fold(Choice::from(0), |matched, candidate| {
                    matched | mac.ct_eq(candidate)
                });
            bool::from(matched)
        };
        if !self.keys.iter().any(matches) {
            return Err(Refused::Mismatch { what: "signature" });
        }
        // Once more, because the body may have taken its time.
        self.window.check(presented.seconds, now)?;
        Ok(true)
    }

    /// False if the request presents no `Authorization`; a wrong one is an error.
    fn verify_authorization(&self, request: &Unverified<'_>) -> Result<bool, Refused> {
        // A source that signs its webhooks ignores this header: a gateway on the way may have added
        // its own.
        if self.bearer.is_empty() && self.basic.is_empty() {
            return Ok(false);
        }
        let Some(value) = request.header("authorization")? else {
            return Ok(false);
        };
        let (scheme, credential) = value
            .trim()
            .split_once(' ')
            .ok_or(malformed("authorization"))?;
        let credential = credential.trim();
        if scheme.eq_ignore_ascii_case("bearer") && !self.bearer.is_empty() {
            matches_any(&self.bearer, credential.as_bytes(), "bearer token")
        // Both parts are compared as one text, in constant time. So an answer does not tell whether
        // the user exists.
        } else if scheme.eq_ignore_ascii_case("basic") && !self.basic.is_empty() {
            let pair = decode_base64(credential).ok_or(malformed("authorization"))?;
            matches_any(&self.basic, &pair, "user and password")
        } else {
            Err(self.missing())
        }
    }

    fn missing(&self) -> Refused {
        let expected = match (
            self.keys.is_empty(),
            self.bearer.is_empty(),
            self.basic.is_empty(),
        ) {
            (false, true, true) => "webhook-id, webhook-timestamp and webhook-signature",
            (false, ..) => "webhook-id, webhook-timestamp and webhook-signature, or Authorization",
            (true, false, true) => "Authorization: Bearer",
            (true, true, _) => "Authorization: Basic",
            (true, false, false) => "Authorization: Bearer or Basic",
        };
        Refused::Missing { expected }
    }
}

/// A signature with what it covers beside the body.
struct Presented<'a> {
    id: &'a str,
    timestamp: &'a str,
    seconds: i64,
    candidates: Vec<Vec<u8>>,
}

fn malformed(header: &'static str) -> Refused {
    Refused::Malformed { header }
}

fn delivery_id<'a>(request: &Unverified<'a>) -> Result<Option<&'a str>, Refused> {
    let id = request.header(WEBHOOK_ID)?;
    let fits = |id: &str| {
        (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
    };
    match id {
        Some(id) if !fits(id) => Err(malformed(WEBHOOK_ID)),
        Some(_) | None => Ok(id),
    }
}

/// Reads the `v1` signatures of the header. Other versions belong to other receivers.
fn read_signatures(header: &str) -> Result<Vec<Vec<u8>>, Refused> {
    let mut candidates = Vec::new();
    for entry in header.split_ascii_whitespace() {
        let (version, text) = entry.split_once(',').ok_or(malformed(WEBHOOK_SIGNATURE))?;
        if version == "v1" {
            // An entry that is not base64 is no MAC, and must not keep a right one from matching.
            candidates.extend(decode_base64(text));
        }
    }
    if header.trim().is_empty() {
        return Err(malformed(WEBHOOK_SIGNATURE));
    }
    Ok(candidates)
}

/// Compares with every configured credential, so that the time does not tell which one matched.
fn matches_any(
    known: &[Fingerprint],
    presented: &[u8],
    what: &'static str,
) -> Result<bool, Refused> {
    // Hashes have equal lengths, so the comparison does not tell the length of a secret.
    let presented: [u8; 32] = Sha256::digest(presented).into();
    let mut matched = Choice::from(0);
    for fingerprint in known {
        matched |= fingerprint.expose_secret().ct_eq(&presented);
    }
    if bool::from(matched) {
        Ok(true)
    } else {
        Err(Refused::Mismatch { what })
    }
}

#[cfg(test)]
mod tests;
