//! Mappings, as the rest of the program names them.

use jiff::Timestamp;

use crate::domain::ids::{EventId, ExternalId, ExternalTicket, ServalTicketId, SourceName};
use crate::domain::words::words;
use crate::store::sql::row;

words! {
    /// Writer of a mapping.
    pub enum Origin {
        /// The admin API.
        Api = "api",
        /// An imported file.
        Import = "import",
        /// A webhook, whose payload named the Serval ticket.
        Payload = "payload",
        /// The command line.
        Cli = "cli",
        /// The operator console.
        Console = "console",
    }
}

words! {
    /// Why a mapping sets nothing in motion.
    pub enum Idle {
        /// Serval has the pair.
        Connected = "already_connected",
        /// No webhook has named the external ticket.
        NoEvent = "no_event",
        /// The bodies of its events are deleted.
        BodyDeleted = "body_deleted",
        /// Its events are none to connect.
        Nothing = "nothing_to_send",
    }
}

/// A mapping to write.
#[derive(Debug, Clone)]
pub struct PutMapping {
    /// External ticket.
    pub ticket: ExternalTicket,
    /// Serval ticket that it is mapped to.
    pub ticket_id: ServalTicketId,
    /// Serval message ids that the external ticket has already.
    pub accounted_for: Vec<String>,
    /// Writer of the mapping.
    pub origin: Origin,
    /// Event whose payload named the Serval ticket.
    pub taught_by: Option<EventId>,
    /// True if the replaced pair is unlinked at Serval.
    pub unlinks_old: bool,
    /// True if all other pairs of the external ticket are unlinked at Serval.
    pub disconnects_others: bool,
    /// True if a Serval ticket may have several external tickets of the source.
    pub several_per_ticket: bool,
    /// True if changed records of a connected external ticket are sent again.
    pub reconnects: bool,
}

row! {
    /// A mapping.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
    pub struct Mapping {
        /// Source of the external ticket.
        source: String,
        /// Id of the external ticket in its system.
        external_id: String,
        /// Id of the Serval ticket.
        ticket_id: String,
        /// Serval messages that the external ticket already has.
        #[serde(rename = "accounted_for_message_ids")]
        accounted_for: Vec<String>,
        /// Writer: `api`, `import`, `payload`, `cli` or `console`.
        #[schema(schema_with = Origin::schema)]
        origin: String,
        /// Time of the first write.
        created_at: Timestamp,
        /// Time of the last change.
        updated_at: Timestamp,
        /// Time at which the pair was linked at Serval; null: not linked.
        connected_at: Option<Timestamp>,
        /// Event whose payload named the Serval ticket.
        #[schema(value_type = Option<String>)]
        taught_by: Option<EventId>,
    }
}

/// A mapping that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The mapping.
    pub mapping: Mapping,
    /// Other Serval tickets that have the external ticket, without those that are about to be unlinked.
    pub still_connected: Vec<String>,
    /// Number of events that the mapping sets in motion.
    pub waiting: i64,
    /// Why there are none.
    pub idle: Option<Idle>,
}

/// Result of writing a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The external ticket had no mapping.
    Created(Box<Written>),
    /// The external ticket had a mapping, perhaps an equal one.
    Replaced(Box<Written>),
    /// Nothing was written: the Serval ticket is mapped to this external ticket of the source.
    Taken(String),
}

/// Change at Serval when a mapping is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// None: the pair stays linked, and stays known as connected.
    KeepLink,
    /// The pair is unlinked.
    Unlink,
}

/// Filter for mappings, which are listed in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct MappingFilter {
    /// Only mappings of this source.
    pub source: Option<SourceName>,
    /// Only mappings to this Serval ticket.
    pub ticket_id: Option<String>,
    /// Only mappings after this source and external id.
    pub after: Option<(String, String)>,
    /// Page size.
    pub limit: u32,
}

impl Mapping {
    /// Returns the external id in its type.
    pub fn external_id(&self) -> ExternalId {
        ExternalId::checked(self.external_id.clone())
    }
}
