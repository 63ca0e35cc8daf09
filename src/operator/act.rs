//! What every action has in common: who does it, and why.

use super::{Access, Desk, Operator, Refusal};
use crate::domain::ids::ExternalTicket;
use crate::store::{Action, By, Store};

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

impl Desk {
    /// The store, for what this person does: each write leaves an entry in the audit list. Programs
    /// that hold a token for mappings leave none; what they wrote is told by the mapping's origin.
    pub fn by(&self, who: &Operator, why: &Why) -> Store {
        if who.access() == Access::Mappings {
            return self.store.clone();
        }
        self.store.by(By {
            actor: who.name().to_owned(),
            reason: why.as_deref().map(str::to_owned),
        })
    }

    /// Writes down what somebody did that changes nothing else.
    pub async fn note(
        &self,
        who: &Operator,
        action: Action,
        ticket: Option<ExternalTicket>,
        subject: Option<String>,
    ) -> Result<(), Refusal> {
        let store = self.by(who, &Why::default());
        Ok(store.note(action, ticket, subject, self.now()).await?)
    }
}
