//! Mappings as the rest of the program names them.

use jiff::Timestamp;

use crate::domain::ids::{EventId, ExternalId, ExternalTicket, ServalTicketId, SourceName};

/// Who wrote a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The admin API.
    Api,
    /// An imported file.
    Import,
    /// Read from a webhook.
    Payload,
    /// The command line.
    Cli,
    /// The operator console.
    Console,
}

impl Origin {
    /// The word used in the store and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Import => "import",
            Self::Payload => "payload",
            Self::Cli => "cli",
            Self::Console => "console",
        }
    }
}

/// A mapping to write.
#[derive(Debug, Clone)]
pub struct PutMapping {
    /// What is mapped.
    pub ticket: ExternalTicket,
    /// To which Serval ticket.
    pub ticket_id: ServalTicketId,
    /// Serval message ids that the external ticket has already.
    pub accounted_for: Vec<String>,
    /// Who says so.
    pub origin: Origin,
    /// The event whose payload said so.
    pub taught_by: Option<EventId>,
    /// Whether a pair that it replaces is taken apart at Serval.
    pub disconnects_old: bool,
    /// Whether the Serval ticket may have another external ticket of the source.
    pub several_per_ticket: bool,
}

/// A stored mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The source, as stored: it may not be configured any more.
    pub source: String,
    /// What is mapped.
    pub external_id: String,
    /// To which Serval ticket.
    pub ticket_id: String,
    /// Serval message ids that the external ticket has already.
    pub accounted_for: Vec<String>,
    /// Who said so.
    pub origin: String,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When Serval took the pair.
    pub connected_at: Option<Timestamp>,
    /// The event whose payload taught it.
    pub taught_by: Option<EventId>,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// There was none.
    Created(Mapping),
    /// There was one, which may have said the same.
    Replaced(Mapping),
    /// Nothing: the Serval ticket has this external ticket of the source already.
    Taken(String),
}

/// Which mappings to list.
#[derive(Debug, Clone, Default)]
pub struct MappingFilter {
    /// Of one source.
    pub source: Option<SourceName>,
    /// Of one Serval ticket.
    pub ticket_id: Option<String>,
    /// After this one.
    pub after: Option<(String, String)>,
    /// At most so many.
    pub limit: u32,
}

impl Mapping {
    /// The external id as the rest of the program names it.
    pub fn external_id(&self) -> ExternalId {
        ExternalId::from_store(self.external_id.clone())
    }
}
