//! Blots secrets out of texts that come from outside, before they are stored, logged or shown.
//!
//! Invariant: what was once a secret of ours is blotted out as long as the process lives, in each form in
//! which a peer may repeat it: as it is configured, its parts, and both in base64.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, STANDARD_PAD_INDIFFERENT, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};

use super::live::Live;

/// Takes the place of a secret.
const BLOT: &str = "[redacted]";
/// Shorter forms are left, since they stand in many words. The configuration warns of such secrets.
const SHORTEST: usize = 4;
/// Number of fetched tokens that are remembered: an answer may repeat the one before.
const FETCHED: usize = 8;

/// The secrets that are blotted out. Clones share them.
#[derive(Clone)]
pub struct Blot {
    /// Forms of the configured secrets.
    configured: Live<Vec<String>>,
    fetched: Arc<Mutex<VecDeque<String>>>,
}

impl Default for Blot {
    fn default() -> Self {
        Self {
            configured: Live::new(Vec::new()),
            fetched: Arc::default(),
        }
    }
}

impl Blot {
    /// Blots these secrets out.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let blot = Self::default();
        blot.add(secrets);
        blot
    }

    /// Blots these out, too. Only one task may call this.
    pub fn add<'a>(&self, secrets: impl IntoIterator<Item = &'a SecretString>) {
        let mut known = Vec::clone(&self.configured.now());
        for secret in secrets {
            known.extend(forms(secret.expose_secret()));
        }
        known.sort_unstable();
        known.dedup();
        self.configured.replace(known);
    }

    /// Blots a fetched token out, and those before it.
    pub fn add_fetched(&self, token: &str) {
        if token.len() < SHORTEST {
            return;
        }
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.truncate(FETCHED - 1);
        fetched.push_front(token.to_owned());
    }

    /// The text without secrets.
    pub fn apply(&self, text: &str) -> String {
        let configured = self.configured.now();
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let known = configured.iter().chain(&*fetched);
        let mut found: Vec<&String> = known.filter(|form| text.contains(*form)).collect();
        // A secret may be a part of another one: the longer one must go as a whole.
        found.sort_by_key(|form| std::cmp::Reverse(form.len()));
        let blotted = |text: String, form: &String| text.replace(form, BLOT);
        found.into_iter().fold(text.to_owned(), blotted)
    }
}

/// Shows nothing of the secrets.
impl fmt::Debug for Blot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blot").finish_non_exhaustive()
    }
}

/// All forms of a configured secret.
fn forms(secret: &str) -> Vec<String> {
    let secret = secret.trim();
    let mut plain = vec![secret.to_owned()];
    // A named token, `user:password`, and a header.
    for separator in [' ', ':', '='] {
        plain.extend(
            secret
                .split_once(separator)
                .map(|(_, rest)| rest.to_owned()),
        );
    }
    if let Some(key) = secret.strip_prefix("whsec_") {
        plain.push(key.trim_end_matches('=').to_owned());
        let bytes = STANDARD_PAD_INDIFFERENT.decode(key).ok();
        plain.extend(bytes.and_then(|bytes| String::from_utf8(bytes).ok()));
    }
    plain.retain(|form| form.len() >= SHORTEST);
    let encoded = |form: &String| [STANDARD_NO_PAD.encode(form), URL_SAFE_NO_PAD.encode(form)];
    let encoded: Vec<String> = plain.iter().flat_map(encoded).collect();
    plain.extend(encoded);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blot(secrets: &[&str]) -> Blot {
        let secrets: Vec<SecretString> = secrets.iter().map(|&secret| secret.into()).collect();
        Blot::new(&secrets)
    }

    #[test]
    fn a_secret_is_blotted_out_in_each_of_its_forms() {
        for (secret, text, expected) in [
            (
                "s3cret",
                "it is s3cret, s3cret!",
                "it is [redacted], [redacted]!",
            ),
            (" s3cret\n", "it is s3cret", "it is [redacted]"),
            ("s3cret", "czNjcmV0", "[redacted]"),
            ("ann s3cret", "s3cret of ann", "[redacted] of ann"),
            ("ann:pass:word", "pass:word", "[redacted]"),
            (
                "ann:pass:word",
                "Basic YW5uOnBhc3M6d29yZA==",
                "Basic [redacted]==",
            ),
            ("x-key=s3cret", "s3cret", "[redacted]"),
            ("whsec_YSBrZXk/Pw==", "whsec_YSBrZXk/Pw==", "[redacted]"),
            ("whsec_YSBrZXk/Pw==", "YSBrZXk/Pw", "[redacted]"),
            ("whsec_YSBrZXk/Pw==", "YSBrZXk_Pw", "[redacted]"),
            ("whsec_YSBrZXk/Pw==", "'a key??'", "'[redacted]'"),
            // Too short to be told from other words.
            ("abc", "abc", "abc"),
            ("", "", ""),
        ] {
            assert_eq!(blot(&[secret]).apply(text), expected, "{secret} {text}");
        }
    }

    #[test]
    fn a_secret_within_another_one_leaves_nothing_of_it() {
        for secrets in [
            &["secret", "secret-and-more"],
            &["secret-and-more", "secret"],
        ] {
            assert_eq!(blot(secrets).apply("secret-and-more"), BLOT);
        }
    }

    #[test]
    fn what_was_a_secret_stays_one() {
        let blot = blot(&["before"]);
        let shared = blot.clone();
        blot.add(&["after".into()]);
        blot.add_fetched("");
        for n in 0..100 {
            blot.add_fetched(&format!("token-{n}"));
        }
        let text = "before after token-98 token-99";
        let expected = [BLOT; 4].join(" ");
        assert_eq!(shared.apply(text), expected);
        assert!(!format!("{blot:?}").contains("before"));
    }
}
