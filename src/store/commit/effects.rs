//! Messages that a transaction has for others; the writer delivers them after the commit.

use std::sync::Arc;

use crate::store::links::import::decided::Decided;
use crate::store::queue::offer::Handing;

/// Messages of one transaction.
#[derive(Default)]
pub(crate) struct Effects {
    /// True if events became due, so that the worker should look.
    pub(crate) wake: bool,
    /// True if pairs wait to be unlinked.
    pub(crate) asks_to_disconnect: bool,
    /// True if other processes changed what is claimed, or asked for pairs to be unlinked, since the last commit of
    /// this one.
    pub(crate) others_changed: bool,
    /// True if bodies were deleted that must leave the write-ahead log, too.
    pub(crate) erases: bool,
    /// True if waiting events were changed or withdrawn, so that claims must be looked at again.
    pub(crate) revises: bool,
    /// An import that is decided, for the writer to write.
    pub(crate) decided: Option<Arc<Decided>>,
    /// Claims that were made while events were stored, for the worker.
    pub(crate) handing: Handing,
}
