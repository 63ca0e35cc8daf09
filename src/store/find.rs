//! Finding external tickets and events by what people call them.

use super::error::StoreError;
use super::{Store, json};
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
            SELECT e.source, x.external_id FROM events AS e
            LEFT JOIN external_tickets AS x ON x.id = e.external WHERE e.id = $1";
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

    /// Of whichever sources have anything about it.
    async fn find_external(&self, id: &ExternalId) -> Result<Vec<Found>, StoreError> {
        const EXTERNAL: &str = "\
            -- store::find::external
            SELECT x.source, x.external_id FROM json_each($1) AS s
            CROSS JOIN external_tickets AS x ON x.source = s.value AND x.external_id = $2
            ORDER BY x.source";
        let sources = self.sources_seen().await?;
        let tickets: Vec<(String, String)> = sqlx::query_as(EXTERNAL)
            .bind(json(&sources))
            .bind(id.as_str())
            .fetch_all(&self.readers)
            .await?;
        self.with_names(tickets).await
    }

    /// The sources that external tickets name, configured or not; each is found by one look into
    /// their index.
    async fn sources_seen(&self) -> Result<Vec<String>, StoreError> {
        const SOURCES: &str = "\
            -- store::find::sources
            WITH RECURSIVE seen(source) AS (
                SELECT MIN(source) FROM external_tickets
                UNION ALL
                SELECT (SELECT MIN(x.source) FROM external_tickets AS x
                    WHERE x.source > seen.source)
                FROM seen WHERE seen.source IS NOT NULL)
            SELECT source FROM seen WHERE source IS NOT NULL";
        let sources = sqlx::query_scalar(SOURCES).fetch_all(&self.readers).await?;
        Ok(sources)
    }

    async fn find_number(&self, number: &str) -> Result<Vec<Found>, StoreError> {
        const NUMBER: &str = "\
            -- store::find::number
            SELECT source, external_id FROM external_tickets WHERE number = $1
            ORDER BY source, external_id LIMIT $2";
        let tickets: Vec<(String, String)> = sqlx::query_as(NUMBER)
            .bind(number)
            .bind(MAX_FOUND)
            .fetch_all(&self.readers)
            .await?;
        self.with_names(tickets).await
    }

    /// The external tickets that are mapped to it, by its id or by a friendly identifier that a
    /// payload taught.
    async fn find_serval(&self, id: &ServalTicketId) -> Result<Vec<Found>, StoreError> {
        const SERVAL: &str = "\
            -- store::find::serval
            SELECT source, external_id FROM external_tickets INDEXED BY external_tickets_to
            WHERE ticket_id IN ($1, COALESCE($2, $1)) AND ticket_id IS NOT NULL
            ORDER BY source, external_id LIMIT $3";
        let friendly = self.friendly_id(id.as_str()).await?;
        let tickets: Vec<(String, String)> = sqlx::query_as(SERVAL)
            .bind(id.as_str())
            .bind(friendly.as_ref().map(ServalTicketId::as_str))
            .bind(MAX_FOUND)
            .fetch_all(&self.readers)
            .await?;
        self.with_names(tickets).await
    }

    async fn with_names(&self, tickets: Vec<(String, String)>) -> Result<Vec<Found>, StoreError> {
        const NAMES: &str = "\
            -- store::find::names
            SELECT x.source, x.external_id, x.number, x.ticket_id
            FROM json_each($1) AS t CROSS JOIN external_tickets AS x
                ON x.source = t.value ->> 0 AND x.external_id = t.value ->> 1
            ORDER BY t.key";
        type Row = (String, String, Option<String>, Option<String>);
        if tickets.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Row> = sqlx::query_as(NAMES)
            .bind(json(&tickets))
            .fetch_all(&self.readers)
            .await?;
        let ticket = |(source, external_id, number, mapped_to)| {
            Found::Ticket(FoundTicket {
                source,
                external_id,
                number,
                mapped_to,
            })
        };
        Ok(rows.into_iter().map(ticket).collect())
    }
}
