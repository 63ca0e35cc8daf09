//! Tokens of the admin listener and their scopes.
//!
//! Invariant: a token is compared by its SHA-256, in constant time, against all of them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use crate::domain::token::{self, LOCAL};

/// SHA-256 of a token.
pub type Fingerprint = [u8; 32];

/// Scope of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    All,
    /// Read and write mappings.
    Mappings,
    /// See everything but payloads, and change nothing.
    Read,
}

/// The caller of the API or the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    name: Arc<str>,
    access: Access,
}

impl Operator {
    fn new(name: &str, access: Access) -> Self {
        let name = name.into();
        Self { name, access }
    }

    /// The token's name, for the audit list.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Scope of the operator's token.
    pub fn access(&self) -> Access {
        self.access
    }

    /// True if the operator may do everything.
    pub fn may_act(&self) -> bool {
        self.access == Access::All
    }

    /// Any caller of a listener without tokens.
    pub fn local() -> Self {
        Self::new(LOCAL, Access::All)
    }
}

/// Fingerprints of the configured tokens. If there are none, every caller may do everything; the
/// configuration then allows a loopback address only.
#[derive(Default)]
pub struct AdminTokens(Vec<(Fingerprint, Operator)>);

impl fmt::Debug for AdminTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdminTokens({})", self.0.len())
    }
}

impl AdminTokens {
    /// Tokens that may do everything.
    pub fn new(tokens: &[SecretString]) -> Self {
        Self::default().with(tokens, Access::All, "admin.tokens")
    }

    /// Adds tokens that may only read and write mappings.
    #[must_use]
    pub fn with_mapping_tokens(self, tokens: &[SecretString]) -> Self {
        self.with(tokens, Access::Mappings, "admin.mapping_tokens")
    }

    /// Adds tokens that may only read.
    #[must_use]
    pub fn with_read_only_tokens(self, tokens: &[SecretString]) -> Self {
        self.with(tokens, Access::Read, "admin.read_only_tokens")
    }

    /// Adds tokens. A token without a name is called by its position in `list`.
    fn with(mut self, tokens: &[SecretString], access: Access, list: &str) -> Self {
        for (position, entry) in (1..).zip(tokens) {
            let entry = entry.expose_secret();
            // The configuration already refused every entry that cannot be split.
            let Ok(entry) = token::split(entry) else {
                continue;
            };
            let by_position = format!("{list} {position}");
            let operator = Operator::new(entry.name.unwrap_or(&by_position), access);
            self.0.push((fingerprint(entry.token), operator));
        }
        self
    }

    /// True if no token is needed.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds the operator who presents this token.
    pub fn bearer(&self, presented: Option<&str>) -> Option<Operator> {
        if self.is_open() {
            return Some(Operator::local());
        }
        self.holder(&fingerprint(presented?))
    }

    /// Finds the holder of a token. If several lists have it, the first one decides, which is the one
    /// with the widest scope.
    pub fn holder(&self, presented: &Fingerprint) -> Option<Operator> {
        // The loop always visits all tokens, so that its time tells nothing about the token.
        const NONE: u64 = u64::MAX;
        let mut found = NONE;
        for (position, (token, _)) in (0..).zip(&self.0) {
            let is_first = token.ct_eq(presented) & found.ct_eq(&NONE);
            found.conditional_assign(&position, is_first);
        }
        let position = usize::try_from(found).ok()?;
        self.0.get(position).map(|(_, operator)| operator.clone())
    }
}

/// Hashes a token.
pub fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token).into()
}

/// True if a `Host` header names this machine. A listener without tokens refuses other names: after
/// DNS rebinding, a foreign page would count as the same origin.
pub fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let is_address = name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_address || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(tokens: &[&str]) -> Vec<SecretString> {
        tokens.iter().map(|token| (*token).into()).collect()
    }

    #[test]
    fn a_token_opens_what_it_was_made_for() {
        use Access::{All, Mappings, Read};

        for (all, mappings, read, presented, expected) in [
            (&[][..], &[][..], &[][..], None, Some(All)),
            (&[], &[], &[], Some("x"), Some(All)),
            (&["a", "b"], &["m"], &["r"], Some("b"), Some(All)),
            (&["a", "b"], &["m"], &["r"], Some("m"), Some(Mappings)),
            (&["a", "b"], &["m"], &["r"], Some("r"), Some(Read)),
            (&["a"], &["a", "m"], &["a"], Some("a"), Some(All)),
            (&["a"], &["m"], &["m"], Some("m"), Some(Mappings)),
            (&["a"], &[], &[], Some("m"), None),
            (&["a"], &["m"], &[], None, None),
            (&["a"], &["m"], &[], Some(""), None),
            // A name is no part of the token.
            (&["ann a"], &[], &[], Some("a"), Some(All)),
            (&["ann a"], &[], &[], Some("ann a"), None),
            (&["ann a"], &[], &[], Some("ann"), None),
            // Tokens for less do not leave the rest open.
            (&[], &["m"], &[], None, None),
            (&[], &[], &["r"], None, None),
            (&[], &["m"], &[], Some("x"), None),
            (&[], &["m"], &[], Some("m"), Some(Mappings)),
        ] {
            let tokens = AdminTokens::new(&secrets(all))
                .with_mapping_tokens(&secrets(mappings))
                .with_read_only_tokens(&secrets(read));
            let access = tokens.bearer(presented).map(|operator| operator.access());
            assert_eq!(access, expected, "{presented:?}");
        }
    }

    #[test]
    fn a_holder_is_called_by_name_else_by_place() {
        let tokens = AdminTokens::new(&secrets(&["a", "ann@ops  b"]))
            .with_read_only_tokens(&secrets(&["wall c"]));
        let name = |token: &str| tokens.bearer(Some(token)).unwrap().name().to_owned();
        assert_eq!(name("a"), "admin.tokens 1");
        assert_eq!(name("b"), "ann@ops");
        assert_eq!(name("c"), "wall");
        let open = AdminTokens::default();
        assert_eq!(open.bearer(None).unwrap().name(), "local");
    }

    #[test]
    fn a_host_is_this_machine_or_it_is_not() {
        for (host, expected) in [
            ("localhost:8081", true),
            ("LOCALHOST", true),
            ("127.0.0.1:8081", true),
            ("127.8.8.8", true),
            ("[::1]:8081", true),
            ("[::1]", true),
            ("10.0.0.1:8081", false),
            ("evil.example:8081", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_loopback_host(host), expected, "{host}");
        }
    }
}
