//! Values that an import takes and returns.

use crate::domain::ids::{ExternalTicket, ServalTicketId};
use crate::store::sql::row;

/// A mapping to import.
#[derive(Debug, Clone)]
pub struct ImportRow {
    /// Line of the file, counted from 1.
    pub line: u64,
    /// External ticket.
    pub ticket: ExternalTicket,
    /// Serval ticket that it is mapped to.
    pub ticket_id: ServalTicketId,
    /// Serval message ids that the external ticket has already.
    pub accounted_for: Vec<String>,
    /// True if a replaced pair is unlinked at Serval.
    pub unlinks_old: bool,
    /// True if changed records of the source are sent again.
    pub reconnects: bool,
}

row! {
    /// Two rows that cannot both be imported.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Clash {
        /// Line of the later row.
        line: u64,
        /// Line of the earlier row.
        first_line: u64,
    }
}

row! {
    /// A row whose Serval ticket is mapped to another external ticket of the source already.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Taken {
        /// Line of the row.
        line: u64,
        /// The other external ticket.
        external_id: String,
    }
}

/// Result of an import. A row that equals a stored mapping counts as a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Number of new mappings.
    pub created: u64,
    /// Number of mappings that existed before.
    pub replaced: u64,
    /// Number of pairs with other Serval tickets that Serval has and keeps.
    pub still_connected: u64,
}
