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
    /// With the sessions that the store has, if it is shared.
    pub fn new(operators: Operators) -> Self {
        let sessions = Sessions::new(operators.store());
        Self(Arc::new(Parts {
            operators,
            sessions,
        }))
    }

    pub(super) fn operators(&self) -> &Operators {
        &self.0.operators
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }
}
