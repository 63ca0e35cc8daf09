//! Finding external tickets and events by what people call them.

use super::Store;
use super::error::StoreError;
use crate::domain::find::Wanted;
use crate::domain::ids::{EventId, ExternalId, ServalTicketId};

/// External tickets that are answered at most.
const MAX_FOUND: i64 = 100;

/// Something that is stored under one of the names that were looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An event.
    Event {
        /// Its id.
        id: EventId,
        /// Its source, as stored.
        source: String,
        /// What it is about.
        external_id: Option<String>,
    },
    /// An external ticket.
    Ticket(FoundTicket),
}

/// An external ticket that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTicket {
    /// Its source, as stored.
    pub source: String,
    /// Its id over there.
    pub external_id: String,
    /// Its number.
    pub number: Option<String>,
    /// The Serval ticket that it is mapped to.
    pub mapped_to: Option<String>,
}

impl Store {
    /// What is stored under any of the names, in their order; see [`crate::domain::find::read`].
    pub async fn find(&self, wanted: &[Wanted]) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for wanted in wanted {
            let more = match wanted {
                Wanted::Event(id) => self.find_event(*id).await?,
                Wanted::External(_, id) => self.find_external(id).await?,
                Wanted::Number(number) => self.find_number(number).await?,
                Wanted::Serval(id) => self.find_serval(id).await?,
            };
            for more in more {
                if !found.contains(&more) {
                    found.push(more);
                }
            }
        }
        Ok(found)
    }

    async fn find_event(&self, id: EventId) -> Result<Vec<Found>, StoreError> {
        const EVENT: &str = "\
            -- store::find::event
            SELECT e.source, x.external_id
            FROM events AS e LEFT JOIN external_tickets AS x ON x.id = e.external WHERE e.id = $1";
        let row: Option<(String, Option<String>)> = sqlx::query_as(EVENT)
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?;
        let event = row.map(|(source, external_id)| Found::Event {
            id,
            source,
            external_id,
        });
        Ok(event.into_iter().collect())
    }

    /// Of whichever sources have anything about it, configured or not; each source is found by one
    /// look into the index.
    async fn find_external(&self, id: &ExternalId) -> Result<Vec<Found>, StoreError> {
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
        let rows = sqlx::query_as(EXTERNAL).bind(id.as_str());
        Ok(tickets(rows.fetch_all(&self.readers).await?))
    }

    async fn find_number(&self, number: &str) -> Result<Vec<Found>, StoreError> {
        const NUMBER: &str = "\
            -- store::find::number
            SELECT source, external_id, number, ticket_id
            FROM external_tickets INDEXED BY external_tickets_number
            WHERE number = $1 ORDER BY source, external_id LIMIT $2";
        let rows = sqlx::query_as(NUMBER).bind(number).bind(MAX_FOUND);
        Ok(tickets(rows.fetch_all(&self.readers).await?))
    }

    /// The external tickets that are mapped to it, by its id or by a friendly identifier that a
    /// payload taught.
    async fn find_serval(&self, id: &ServalTicketId) -> Result<Vec<Found>, StoreError> {
        const SERVAL: &str = "\
            -- store::find::serval
            SELECT source, external_id, number, ticket_id
            FROM external_tickets INDEXED BY external_tickets_to
            WHERE ticket_id IN ($1, $2) ORDER BY source, external_id LIMIT $3";
        let friendly = self.friendly_id(id.as_str()).await?;
        let rows = sqlx::query_as(SERVAL)
            .bind(id.as_str())
            .bind(friendly.as_ref().unwrap_or(id).as_str())
            .bind(MAX_FOUND);
        Ok(tickets(rows.fetch_all(&self.readers).await?))
    }
}

/// Source, external id, number and the Serval ticket.
type Row = (String, String, Option<String>, Option<String>);

fn tickets(rows: Vec<Row>) -> Vec<Found> {
    let ticket = |(source, external_id, number, mapped_to)| {
        Found::Ticket(FoundTicket {
            source,
            external_id,
            number,
            mapped_to,
        })
    };
    rows.into_iter().map(ticket).collect()
}
