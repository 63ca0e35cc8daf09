//! Configured credentials, made ready to compare.
//!
//! Invariant: a credential that could never match, or could be guessed, is refused. No message holds a
//! value.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};
use secrecy::{ExposeSecret, SecretBox, SecretSlice, SecretString};
use sha2::{Digest, Sha256};

use crate::sources::invalid::InvalidKey;

/// The shortest signing key, in bytes. Standard Webhooks asks for 24; some senders make 16.
const MIN_KEY_BYTES: usize = 16;

/// The shortest static token or password, in characters. A shorter one can be guessed.
const MIN_STATIC: usize = 8;

/// The SHA-256 of a static credential: equal lengths, so that a comparison tells nothing.
pub(super) type Fingerprint = SecretBox<[u8; 32]>;

/// Reads every entry of the list under `key`; a problem names the entry by its place, never by its
/// value.
pub(super) fn read_each<T>(
    key: &'static str,
    entries: &[SecretString],
    read: fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, InvalidKey> {
    let numbered = entries.iter().zip(1_usize..);
    numbered
        .map(|(entry, place)| {
            read(entry.expose_secret())
                .map_err(|problem| InvalidKey::new(key, format!("entry {place} {problem}")))
        })
        .collect()
}

/// Reads a Standard Webhooks secret, `whsec_` and base64. The text says what is wrong with it.
pub(crate) fn signing_key(text: &str) -> Result<SecretSlice<u8>, &'static str> {
    // A blank or a line end that was copied with the secret is the commonest cause of 401s.
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty: expected whsec_ and base64");
    }
    if text.starts_with("whsk_") || text.starts_with("whpk_") {
        return Err("is an asymmetric key: only symmetric whsec_ secrets are supported");
    }
    let key = decode_base64(text.strip_prefix("whsec_").unwrap_or(text))
        .ok_or("is not base64: expected whsec_ and base64")?;
    if key.len() < MIN_KEY_BYTES {
        return Err("is too short: a secret has at least 16 bytes, better 32");
    }
    Ok(key.into())
}

pub(super) fn bearer_token(text: &str) -> Result<Fingerprint, &'static str> {
    let token = text.trim();
    if token.is_empty() {
        return Err("is empty");
    }
    // Checked here, or the sender could never present it and would be refused without a word about
    // the cause.
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("cannot be sent in a header: use visible ASCII characters without space");
    }
    if token.len() < MIN_STATIC {
        return Err("can be guessed: use at least 8 characters, better 32");
    }
    Ok(fingerprint(token))
}

pub(super) fn user_and_password(text: &str) -> Result<Fingerprint, &'static str> {
    // Blanks may be part of a password; the line end of a file is not.
    let pair = text.trim_end_matches(['\r', '\n']);
    match pair.split_once(':') {
        Some((user, password)) if !user.is_empty() && !password.is_empty() => {
            if password.chars().count() < MIN_STATIC {
                return Err("can be guessed: use a password of at least 8 characters, better 32");
            }
            Ok(fingerprint(pair))
        }
        Some(_) | None => Err("is not user:password"),
    }
}

fn fingerprint(text: &str) -> Fingerprint {
    SecretBox::new(Box::new(Sha256::digest(text).into()))
}

/// Reads base64 in the standard or the URL-safe alphabet, with or without padding.
pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    // ServiceNow does not say which alphabet its key store prints, so both are read.
    STANDARD_PAD_INDIFFERENT
        .decode(text)
        .or_else(|_| URL_SAFE_PAD_INDIFFERENT.decode(text))
        .ok()
}
