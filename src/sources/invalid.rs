//! Faults of a source's configuration, found when the source is built.

use crate::domain::ids::SourceName;

/// A key of a source that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidKey {
    /// The key below `[sources.<name>]`.
    pub key: &'static str,
    /// The fault and what to do, without the value.
    pub problem: String,
}

impl InvalidKey {
    /// Names the key and its problem.
    pub fn new(key: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { key, problem }
    }
}

/// A source that cannot be built from its configuration: the key and its problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sources.{source_name}.{}: {}", invalid.key, invalid.problem)]
pub struct InvalidSource {
    /// The source's name.
    pub source_name: SourceName,
    /// The key below it.
    pub invalid: InvalidKey,
}
