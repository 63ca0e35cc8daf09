//! The state that all pages share.

use std::sync::Arc;

use super::session::sessions::Sessions;
use crate::operators::Operators;

/// The operators' actions and the sessions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Console(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    operators: Operators,
    sessions: Sessions,
}

impl Console {
    /// Without any session. An error: the system has no random bytes.
    pub fn new(operators: Operators) -> Result<Self, getrandom::Error> {
        let sessions = Sessions::new()?;
        Ok(Self(Arc::new(Parts {
            operators,
            sessions,
        })))
    }

    pub(super) fn operators(&self) -> &Operators {
        &self.0.operators
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }
}
