//! Why an action was refused.

use crate::store::StoreError;

/// Why something was not done, in words that say what to do. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// What was sent cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// A value is not what it is meant to be.
    #[error("{0}")]
    Invalid(String),
    /// It does not go together with what is there.
    #[error("{0}")]
    Conflict(String),
    /// A mapping is not what the caller believes it to be.
    #[error("somebody else changed the mapping meanwhile; look at it again, then decide")]
    Stale,
    /// The store failed.
    #[error("{}", store_words(.0))]
    Store(#[from] StoreError),
}

/// A fault of the store in words that hold nothing stored.
fn store_words(error: &StoreError) -> &'static str {
    match error {
        StoreError::Corrupt(_) => "a stored value is damaged; see the log",
        StoreError::Unavailable(_) | StoreError::Overloaded | StoreError::Closed => {
            "the database does not take this now; try again"
        }
    }
}
