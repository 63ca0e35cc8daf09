//! The operator who looks at a page.

use super::flash::Flash;
use crate::operators::Operator;

/// The operator who looks at a page.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    pub(crate) operator: Operator,
    /// Token that forms send back.
    pub(crate) csrf: String,
    /// Secret of the session; `None` if nobody logs in.
    pub(crate) session: Option<String>,
    /// Message about the last action, shown once.
    pub(crate) flash: Option<Flash>,
}

impl Viewer {
    /// True if the operator may change anything.
    pub(crate) fn may_act(&self) -> bool {
        self.operator.may_act()
    }
}
