//! A session in use, the ends of sessions, and their secrets.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::operators::Fingerprint;
use crate::store::SessionLimits;

/// The ends of sessions.
pub(super) const LIMITS: SessionLimits = SessionLimits {
    idle: Duration::from_hours(2),
    absolute: Duration::from_hours(12),
    most: 1000,
};

/// A session in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    /// The fingerprint of the token that it was opened with.
    pub(crate) holder: Fingerprint,
    /// Token that its forms must send.
    pub(crate) csrf: String,
}

/// SHA-256 of a secret.
pub(super) fn hash(secret: &str) -> Fingerprint {
    Sha256::digest(secret).into()
}

/// Hides the fingerprint of a token with the secret of its session, which nobody else has, or shows it again: with the
/// fingerprint itself, whoever reads the database could try to guess a token.
pub(super) fn veiled(fingerprint: Fingerprint, secret: &str) -> Fingerprint {
    let pad = hash(&format!("holder {secret}"));
    std::array::from_fn(|i| fingerprint[i] ^ pad[i])
}

/// 32 random bytes in hexadecimal digits.
pub(super) fn random() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has randomness to give");
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_shown_by_the_secret_that_hid_it() {
        let fingerprint = [7; 32];
        let hidden = veiled(fingerprint, "one");
        assert_ne!(hidden, fingerprint);
        assert_ne!(hidden, veiled(fingerprint, "two"));
        assert_eq!(veiled(hidden, "one"), fingerprint);
    }
}
