//! Finds external tickets and events by the names that people use for them.

use crate::domain::find::Wanted;
use crate::domain::ids::{EventId, ExternalId, ServalTicketId};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, row};

/// Maximum number of external tickets that one name finds.
const MAX_FOUND: i64 = 100;

/// Something that is stored under a wanted name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An event.
    Event {
        /// Id of the event.
        id: EventId,
        /// Source, as stored.
        source: String,
        /// External ticket.
        external_id: Option<String>,
    },
    /// An external ticket.
    Ticket(FoundTicket),
}

row! {
    /// An external ticket that was found.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct FoundTicket {
        /// Source, as stored.
        source: String,
        /// Id in its own system.
        external_id: String,
        /// Number in its own system.
        number: Option<String>,
        /// Serval ticket that it is mapped to.
        mapped_to: Option<String>,
    }
}

impl Store {
    /// Returns what is stored under any of these names, in their order, without repetitions.
    pub async fn find(&self, wanted: &[Wanted]) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for wanted in wanted {
            let more: Vec<Found> = match wanted {
                Wanted::Event(id) => self.find_event(*id).await?.into_iter().collect(),
                Wanted::External(id) => tickets(self.find_external(id).await?),
                Wanted::Number(number) => tickets(self.find_number(number).await?),
                Wanted::Serval(id) => tickets(self.find_serval(id).await?),
            };
            for more in more {
                // A pasted text can name one ticket by its number and its id.
                if !found.contains(&more) {
                    found.push(more);
                }
            }
        }
        Ok(found)
    }

    async fn find_event(&self, id: EventId) -> Result<Option<Found>, StoreError> {
        const EVENT: &str = "\
            -- store::find::event
            SELECT e.source, x.external_id
            FROM events AS e LEFT JOIN external_tickets AS x ON x.id = e.external WHERE e.id = $1";
        let row: Option<(String, Option<String>)> =
            sql::fetch_optional(&self.readers, EVENT, args![id]).await?;
        Ok(row.map(|(source, external_id)| Found::Event {
            id,
            source,
            external_id,
        }))
    }

    /// Searches all stored sources, configured or not. The recursion jumps from one source name to
    /// the next in the index, and looks the id up under each.
    async fn find_external(&self, id: &ExternalId) -> Result<Vec<FoundTicket>, StoreError> {
        const EXTERNAL: &str = "\
            -- store::find::external
            WITH RECURSIVE sources(name) AS (
                SELECT MIN(source) FROM external_tickets
                UNION ALL
                SELECT (SELECT MIN(n.source) FROM external_tickets AS n WHERE n.source > s.name)
                FROM sources AS s WHERE s.name IS NOT NULL)
            SELECT x.source, x.external_id, x.number, x.ticket_id
            FROM sources AS s CROSS JOIN external_tickets AS x INDEXED BY external_tickets_name
                ON x.source = s.name AND x.external_id = $1
            ORDER BY x.source";
        sql::fetch_all(&self.readers, EXTERNAL, args![id]).await
    }

    // By an expression, as in `find_serval`: Postgres would go over all external tickets in the order of a column.
    async fn find_number(&self, number: &str) -> Result<Vec<FoundTicket>, StoreError> {
        const NUMBER: &str = "\
            -- store::find::number
            SELECT source, external_id, number, ticket_id
            FROM external_tickets INDEXED BY external_tickets_number
            WHERE number = $1 ORDER BY source || '', external_id LIMIT $2";
        sql::fetch_all(&self.readers, NUMBER, args![number, MAX_FOUND]).await
    }

    /// Finds the external tickets of a Serval ticket by its id, or by a friendly identifier that a
    /// payload named before.
    async fn find_serval(&self, id: &ServalTicketId) -> Result<Vec<FoundTicket>, StoreError> {
        const SERVAL: &str = "\
            -- store::find::serval
            SELECT source, external_id, number, ticket_id
            FROM external_tickets INDEXED BY external_tickets_to
            WHERE ticket_id IN ($1, $2) ORDER BY source || '', external_id LIMIT $3";
        let friendly = self.friendly_id(id.as_str()).await?;
        let args = args![id, friendly.as_ref().unwrap_or(id), MAX_FOUND];
        sql::fetch_all(&self.readers, SERVAL, args).await
    }
}

fn tickets(rows: Vec<FoundTicket>) -> Vec<Found> {
    rows.into_iter().map(Found::Ticket).collect()
}
