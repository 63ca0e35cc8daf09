//! What every action has in common: who does it, and why.

use super::{Desk, Refusal};
use crate::domain::ids::ExternalTicket;

/// The longest reason.
const MAX_REASON: usize = 200;

/// Why somebody does something, in their own words. May be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Why(Option<String>);

impl Why {
    /// Reads what somebody wrote.
    pub fn read(text: Option<&str>) -> Result<Self, Refusal> {
        let text = text.unwrap_or_default().trim();
        if text.chars().count() > MAX_REASON || text.chars().any(char::is_control) {
            let detail = format!("reason: at most {MAX_REASON} characters in one line");
            return Err(Refusal::Invalid(detail));
        }
        Ok(Self((!text.is_empty()).then(|| text.to_owned())))
    }

    /// The words.
    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}
