//! The person for whom a write is made.

/// A person who acts, and the reason that the person gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Name of the person's token.
    pub actor: String,
    /// Reason, in the person's words.
    pub reason: Option<String>,
}
