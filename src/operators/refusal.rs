//! Reasons why an action was refused.

use http::StatusCode;

use crate::store::StoreError;

/// Reason why an action was refused, in words that tell what to do. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The request cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The thing does not exist.
    #[error("{0}")]
    Missing(String),
    /// A value is not allowed.
    #[error("{0}")]
    Invalid(String),
    /// The action contradicts what is stored.
    #[error("{0}")]
    Conflict(String),
    /// Serval had to be asked, and gave no answer.
    #[error("{0}")]
    NoAnswer(String),
    /// The mapping changed since the caller read it.
    #[error("somebody else changed the mapping meanwhile; look at it again, then decide")]
    Stale,
    /// The store failed. The text holds nothing stored.
    #[error("{}", match .0 {
        StoreError::Corrupt(_) => "a stored value is damaged; see the log",
        StoreError::Held(_) => {
            "another process holds the database; nothing was changed, try again"
        }
        StoreError::Importing => "an import of mappings is being written; try again in some seconds",
        StoreError::NoRoom => "the disk has no room for this import; nothing was imported",
        StoreError::ImportGoesOn => {
            "the import is taken, but not all of it is written yet: that goes on by itself; importing the \
             file again does no harm"
        }
        StoreError::Overdue => "the import was idle for ten minutes, and is over: begin it again",
        StoreError::Unfinished => {
            "the database did not end this in time; look whether it is done before you try again"
        }
        StoreError::Unavailable(_)
        | StoreError::Constraint(_)
        | StoreError::Overloaded
        | StoreError::Closed => "the database does not take this now; try again",
    })]
    Store(StoreError),
}

impl Refusal {
    /// HTTP status of an answer with this refusal.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(_) | Self::Stale => StatusCode::CONFLICT,
            Self::Store(StoreError::Corrupt(_)) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoAnswer(_) | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if let StoreError::Corrupt(what) = &error {
            // Only the log tells which value it is: the caller may not be allowed to see it.
            tracing::error!(
                what,
                "the database holds a value that does not belong there"
            );
        }
        Self::Store(error)
    }
}
