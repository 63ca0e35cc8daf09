//! Who acts, and why: common to all actions.

use super::access::{Access, Operator};
use super::refusal::Refusal;
use super::service::Operators;
use crate::domain::ids::ExternalTicket;
use crate::store::{Action, By, Store};

/// Limit of a reason, in characters.
const MAX_REASON: usize = 200;

/// Reason for an action, in the operator's words. May be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Why(Option<String>);

impl Why {
    /// Checks a reason.
    pub fn read(text: Option<&str>) -> Result<Self, Refusal> {
        let text = text.unwrap_or_default().trim();
        if text.chars().count() > MAX_REASON || text.chars().any(char::is_control) {
            let detail = format!("reason: at most {MAX_REASON} characters in one line");
            return Err(Refusal::Invalid(detail));
        }
        Ok(Self((!text.is_empty()).then(|| text.to_owned())))
    }

    /// The reason as text.
    pub fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl Operators {
    /// The store, for an action of this operator: each write adds an entry to the audit list. Programs
    /// with a token for mappings add none; the origin of a mapping names them.
    pub fn by(&self, who: &Operator, why: &Why) -> Store {
        if who.access() == Access::Mappings {
            return self.store.clone();
        }
        self.store.by(By {
            actor: who.name().to_owned(),
            reason: why.as_deref().map(str::to_owned),
        })
    }

    /// Adds an audit entry for an action that writes nothing else.
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
