//! Who may use the admin listener: holders of a configured token, within its scope.
//!
//! Invariant: a token is compared by its SHA-256, in constant time, against all of them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use super::Desk;
use crate::domain::token::{self, LOCAL};

/// SHA-256 of a token.
pub type Fingerprint = [u8; 32];

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    All,
    /// Read and write mappings.
    Mappings,
    /// See everything but payloads, and change nothing.
    Read,
}

/// Who asks, and what they may do.
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

    /// What they may do.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether they may do everything.
    pub fn may_act(&self) -> bool {
        self.access == Access::All
    }

    /// Whoever reaches a listener without tokens.
    pub fn local() -> Self {
        Self::new(LOCAL, Access::All)
    }
}

/// Fingerprints of the configured tokens. With none, the listener is a loopback address and open
/// to whoever can reach it: the configuration sees to that.
#[derive(Default)]
pub struct AdminTokens(Vec<(Fingerprint, Operator)>);

impl fmt::Debug for AdminTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdminTokens({})", self.0.len())
    }
}

impl AdminTokens {
    /// Of the tokens that may do all.
    pub fn new(tokens: &[SecretString]) -> Self {
        Self::default().with(tokens, Access::All, "admin.tokens")
    }

    /// And of those that may only read and write mappings.
    #[must_use]
    pub fn with_mapping_tokens(self, tokens: &[SecretString]) -> Self {
        self.with(tokens, Access::Mappings, "admin.mapping_tokens")
    }

    /// And of those that may only look.
    #[must_use]
    pub fn with_read_only_tokens(self, tokens: &[SecretString]) -> Self {
        self.with(tokens, Access::Read, "admin.read_only_tokens")
    }

    /// Without a name a token is called by its place.
    fn with(mut self, tokens: &[SecretString], access: Access, list: &str) -> Self {
        for (place, entry) in (1..).zip(tokens) {
            let entry = entry.expose_secret();
            // The configuration refuses what cannot be split.
            let Ok(entry) = token::split(entry) else {
                continue;
            };
            let by_place = format!("{list} {place}");
            let operator = Operator::new(entry.name.unwrap_or(&by_place), access);
            self.0.push((fingerprint(entry.token), operator));
        }
        self
    }

    /// Whether no token is asked for.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Who presents this token; `None`: nobody that is known.
    pub fn bearer(&self, presented: Option<&str>) -> Option<Operator> {
        if self.is_open() {
            return Some(Operator::local());
        }
        self.holder(&fingerprint(presented?))
    }

    /// Whose token it is. Of several lists that hold it, the one that may do most decides, since
    /// they are added in that order. Takes the same time whichever it is, or none.
    pub fn holder(&self, presented: &Fingerprint) -> Option<Operator> {
        const NONE: u64 = u64::MAX;
        let mut found = NONE;
        for (place, (token, _)) in (0..).zip(&self.0) {
            let is_first = token.ct_eq(presented) & found.ct_eq(&NONE);
            found.conditional_assign(&place, is_first);
        }
        let place = usize::try_from(found).ok()?;
        self.0.get(place).map(|(_, operator)| operator.clone())
    }
}

impl Desk {
    /// Whether no token is asked for.
    pub fn is_open(&self) -> bool {
        self.rules.now().tokens.is_open()
    }

    /// Whose token it is, now.
    pub fn holder(&self, presented: &Fingerprint) -> Option<Operator> {
        self.rules.now().tokens.holder(presented)
    }

    /// Who presents this token; `None`: nobody that is known. An error: the address has guessed too
    /// often, and its token is not looked at before this time has passed.
    pub fn admit(
        &self,
        peer: Option<IpAddr>,
        presented: Option<&str>,
    ) -> Result<Option<Operator>, Duration> {
        let rules = self.rules.now();
        // Without a token nothing is guessed.
        let (Some(peer), Some(_), false) = (peer, presented, rules.tokens.is_open()) else {
            return Ok(rules.tokens.bearer(presented));
        };
        let now = self.now();
        if let Err(wait) = self.throttle.try_from(peer, now) {
            self.metrics.token_refused("throttled");
            return Err(wait);
        }
        let operator = rules.tokens.bearer(presented);
        if operator.is_some() {
            self.throttle.was_right(peer, now);
        } else {
            self.metrics.token_refused("unknown");
            tracing::warn!(%peer, "a token was refused that is none of ours");
        }
        Ok(operator)
    }

    /// The same for a form that anybody can fill in: there is a limit to all of them, too.
    pub fn admit_login(&self, peer: IpAddr, token: &str) -> Result<Option<Operator>, Duration> {
        if let Err(wait) = self.throttle.try_of_all() {
            self.metrics.token_refused("throttled");
            return Err(wait);
        }
        self.admit(Some(peer), Some(token))
    }
}

/// The fingerprint of a token.
pub(crate) fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token).into()
}

/// Whether a `Host` names this machine itself. A listener without tokens answers no other: a page
/// whose name was made to point here would be of the same origin.
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
