//! Names by which a person looks for something.

use super::ids::{EventId, ExternalId, ServalTicketId};

/// One thing that a text of the search box may name. [`crate::sources::find::read`] reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A stored event: `evt_42`.
    Event(EventId),
    /// An external ticket, in whichever source it is.
    External(ExternalId),
    /// The number of an external ticket: `INC0081927`.
    Number(String),
    /// A Serval ticket: its id, its friendly identifier or its link.
    Serval(ServalTicketId),
}
