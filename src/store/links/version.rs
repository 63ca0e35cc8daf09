//! Versions of a mapping, so that two writers do not undo each other's work unseen.
//!
//! Invariant: a condition is checked in the transaction that writes.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::mapping::Mapping;

/// Nothing was written: the precondition does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale;

/// A set of versions, named by a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// `*`: any version, if a mapping exists.
    Any,
    /// Each of these versions.
    Of(Vec<String>),
}

impl Versions {
    fn contain(&self, current: Option<&Mapping>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::Of(versions), Some(mapping)) => versions.contains(&mapping.version()),
        }
    }
}

/// Condition of a write, checked in its transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// No condition.
    #[default]
    None,
    /// The mapping has one of these versions.
    Matches(Versions),
    /// The mapping has none of these versions, or does not exist.
    MatchesNot(Versions),
    /// The mapping has one of the first versions, and none of the second.
    Both(Versions, Versions),
}

impl Precondition {
    /// True if the condition holds for the current mapping.
    pub(crate) fn holds(&self, current: Option<&Mapping>) -> bool {
        match self {
            Self::None => true,
            Self::Matches(versions) => versions.contain(current),
            Self::MatchesNot(versions) => !versions.contain(current),
            Self::Both(versions, others) => versions.contain(current) && !others.contain(current),
        }
    }
}

impl Mapping {
    /// Hash of what was written and when, as 32 hexadecimal digits. Excludes `connected_at`: a connect
    /// in between is not a reason to refuse a write.
    pub fn version(&self) -> String {
        let mut hash = Sha256::new();
        let written = [
            &self.source,
            &self.external_id,
            &self.ticket_id,
            &self.origin,
        ];
        for text in written.into_iter().chain(&self.accounted_for) {
            // With its length, a text cannot be confused with its neighbour.
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        for at in [self.created_at, self.updated_at] {
            hash.update(at.as_millisecond().to_be_bytes());
        }
        let digest = hash.finalize();
        digest
            .iter()
            .take(16)
            .fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("a String takes all");
                text
            })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn mapping() -> Mapping {
        let at = Timestamp::from_second(1_000).unwrap();
        Mapping {
            source: "slack".to_owned(),
            external_id: "C111:1.2".to_owned(),
            ticket_id: "t".to_owned(),
            accounted_for: vec!["m1".to_owned(), "m2".to_owned()],
            origin: "api".to_owned(),
            created_at: at,
            updated_at: at,
            connected_at: None,
            taught_by: None,
        }
    }

    #[test]
    fn a_version_changes_with_what_is_written_and_not_with_a_connect() {
        let later = Timestamp::from_second(1_001).unwrap();
        let changed: [fn(&mut Mapping, Timestamp); 6] = [
            |m, _| m.ticket_id = "u".to_owned(),
            |m, _| m.accounted_for = vec!["m1m2".to_owned()],
            |m, _| m.accounted_for.clear(),
            |m, _| m.origin = "cli".to_owned(),
            |m, at| m.updated_at = at,
            |m, at| m.created_at = at,
        ];
        for (n, change) in changed.into_iter().enumerate() {
            let mut other = mapping();
            change(&mut other, later);
            assert_ne!(other.version(), mapping().version(), "change {n}");
        }
        let mut connected = mapping();
        connected.connected_at = Some(later);
        assert_eq!(connected.version(), mapping().version());
    }

    #[test]
    fn conditions_are_about_what_is_there() {
        use Precondition::{Both, Matches, MatchesNot, None as Always};
        let there = mapping();
        let this = || Versions::Of(vec!["x".to_owned(), there.version()]);
        let other = || Versions::Of(vec!["x".to_owned()]);
        for (condition, with, without) in [
            (Always, true, true),
            (Matches(Versions::Any), true, false),
            (Matches(this()), true, false),
            (Matches(other()), false, false),
            (MatchesNot(Versions::Any), false, true),
            (MatchesNot(this()), false, true),
            (MatchesNot(other()), true, true),
            (Both(this(), other()), true, false),
            (Both(this(), this()), false, false),
            (Both(other(), other()), false, false),
        ] {
            assert_eq!(condition.holds(Some(&there)), with, "{condition:?}");
            assert_eq!(condition.holds(None), without, "{condition:?}");
        }
    }
}
