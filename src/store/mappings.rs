//! The mapping table. Whatever writes a mapping sets its events in motion in the same transaction.

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::error::StoreError;
use super::version::{Precondition, Stale};
use super::writer::Tx;
use super::{Store, change, millis, moment, state};
use crate::domain::event::EventState;
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
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// There was none.
    Created,
    /// There was one, which may have said the same.
    Replaced,
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

type MappingRow = (
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<i64>,
);

/// The event that represents an external ticket, as the end of a statement that begins with
/// `SELECT e.…`: the queued one, the parked one, else the best stored object. Of the finished
/// events, those that could have connected: with an object, and not set aside for what they say.
macro_rules! best_event {
    ($source:literal, $external_id:literal) => {
        concat!(
            " FROM events AS e WHERE e.source = ",
            $source,
            " AND e.external_id = ",
            $external_id,
            " AND e.state <> 'ignored'
            AND COALESCE(e.reason, '') NOT IN ('echo', 'duplicate', 'class_conflict')
            AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)
            ORDER BY e.state = 'queued' DESC, e.state = 'parked' DESC,
                e.rank_major DESC, e.rank_minor DESC, e.id DESC
            LIMIT 1"
        )
    };
}
pub(super) use best_event;

const COLUMNS: &str = "\
    SELECT m.source, m.external_id, m.ticket_id, m.accounted_for, m.origin, m.created_at,
           m.updated_at, c.connected_at
    FROM mappings AS m
    LEFT JOIN connections AS c ON c.source = m.source AND c.external_id = m.external_id
        AND c.ticket_id = m.ticket_id ";

impl Store {
    /// Writes a mapping, and releases or sends again what waits for it. Idempotent.
    pub async fn put_mapping(
        &self,
        put: PutMapping,
        now: Timestamp,
    ) -> Result<(Stored, Mapping), StoreError> {
        let written = self.put_mapping_if(put, Precondition::None, now).await?;
        Ok(written.expect("nothing was asked of the mapping before"))
    }

    /// The same, only if the mapping that is there now is what the caller believes it to be.
    pub async fn put_mapping_if(
        &self,
        put: PutMapping,
        condition: Precondition,
        now: Timestamp,
    ) -> Result<Result<(Stored, Mapping), Stale>, StoreError> {
        self.write(move |tx| {
            let (put, condition) = (put.clone(), condition.clone());
            Box::pin(async move {
                let before = current(tx, &put.ticket).await?;
                if !condition.holds(before.as_ref()) {
                    return Ok(Err(Stale));
                }
                put_mapping(tx, &put, before.is_some(), now).await.map(Ok)
            })
        })
        .await
    }

    /// One mapping.
    pub async fn mapping(&self, ticket: &ExternalTicket) -> Result<Option<Mapping>, StoreError> {
        let mut query = one(ticket.source.as_str(), ticket.external_id.as_str());
        let row: Option<MappingRow> = query.build_query_as().fetch_optional(&self.readers).await?;
        row.map(from_row).transpose()
    }

    /// Removes a mapping; `false` when there was none. Nothing changes at Serval, and the pair
    /// stays known as connected.
    pub async fn delete_mapping(&self, ticket: &ExternalTicket) -> Result<bool, StoreError> {
        let deleted = self.delete_mapping_if(ticket, Precondition::None).await?;
        Ok(deleted.expect("nothing was asked of the mapping before"))
    }

    /// The same, only if the mapping is what the caller believes it to be. Where there is none,
    /// there is nothing to believe.
    pub async fn delete_mapping_if(
        &self,
        ticket: &ExternalTicket,
        condition: Precondition,
    ) -> Result<Result<bool, Stale>, StoreError> {
        const DELETE: &str = "\
            -- store::mappings::delete
            DELETE FROM mappings WHERE source = $1 AND external_id = $2";
        let ticket = ticket.clone();
        self.write(move |tx| {
            let (ticket, condition) = (ticket.clone(), condition.clone());
            Box::pin(async move {
                let Some(before) = current(tx, &ticket).await? else {
                    return Ok(Ok(false));
                };
                if !condition.holds(Some(&before)) {
                    return Ok(Err(Stale));
                }
                sqlx::query(DELETE)
                    .bind(ticket.source.as_str())
                    .bind(ticket.external_id.as_str())
                    .execute(&mut tx.connection)
                    .await?;
                Ok(Ok(true))
            })
        })
        .await
    }

    /// Mappings in the order of their names.
    pub async fn mappings(&self, filter: &MappingFilter) -> Result<Vec<Mapping>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
        query.push("WHERE TRUE");
        if let Some(source) = &filter.source {
            query
                .push(" AND m.source = ")
                .push_bind(source.as_str().to_owned());
        }
        if let Some(ticket_id) = &filter.ticket_id {
            query
                .push(" AND m.ticket_id = ")
                .push_bind(ticket_id.clone());
        }
        if let Some((source, external_id)) = &filter.after {
            query.push(" AND (m.source, m.external_id) > (");
            query
                .push_bind(source.clone())
                .push(", ")
                .push_bind(external_id.clone())
                .push(")");
        }
        query
            .push(" ORDER BY m.source, m.external_id LIMIT ")
            .push_bind(i64::from(filter.limit));
        let rows: Vec<MappingRow> = query.build_query_as().fetch_all(&self.readers).await?;
        rows.into_iter().map(from_row).collect()
    }
}

fn one(source: &str, external_id: &str) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query.push("WHERE m.source = ").push_bind(source.to_owned());
    query
        .push(" AND m.external_id = ")
        .push_bind(external_id.to_owned());
    query
}

fn from_row(row: MappingRow) -> Result<Mapping, StoreError> {
    let (
        source,
        external_id,
        ticket_id,
        accounted_for,
        origin,
        created_at,
        updated_at,
        connected_at,
    ) = row;
    Ok(Mapping {
        accounted_for: serde_json::from_str(&accounted_for).map_err(|_| {
            StoreError::Corrupt(format!("the message ids of mapping {source}/{external_id}"))
        })?,
        source,
        external_id,
        ticket_id,
        origin,
        created_at: moment(created_at)?,
        updated_at: moment(updated_at)?,
        connected_at: connected_at.map(moment).transpose()?,
    })
}

/// The mapping as the transaction sees it.
async fn current(tx: &mut Tx, ticket: &ExternalTicket) -> Result<Option<Mapping>, StoreError> {
    let row: Option<MappingRow> = one(ticket.source.as_str(), ticket.external_id.as_str())
        .build_query_as()
        .fetch_optional(&mut tx.connection)
        .await?;
    row.map(from_row).transpose()
}

async fn put_mapping(
    tx: &mut Tx,
    put: &PutMapping,
    is_there: bool,
    now: Timestamp,
) -> Result<(Stored, Mapping), StoreError> {
    const PUT: &str = "\
        -- store::mappings::put
        INSERT INTO mappings (source, external_id, ticket_id, accounted_for, origin, created_at,
            updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6)
        ON CONFLICT (source, external_id) DO UPDATE
        SET ticket_id = excluded.ticket_id, accounted_for = excluded.accounted_for,
            origin = excluded.origin, updated_at = excluded.updated_at
        WHERE ticket_id <> excluded.ticket_id OR accounted_for <> excluded.accounted_for";
    let (source, external_id) = (put.ticket.source.as_str(), put.ticket.external_id.as_str());
    sqlx::query(PUT)
        .bind(source)
        .bind(external_id)
        .bind(put.ticket_id.as_str())
        .bind(serde_json::to_string(&put.accounted_for).expect("strings are JSON"))
        .bind(put.origin.as_str())
        .bind(millis(now))
        .execute(&mut tx.connection)
        .await?;
    let after: MappingRow = one(source, external_id)
        .build_query_as()
        .fetch_one(&mut tx.connection)
        .await?;
    let after = from_row(after)?;
    if after.connected_at.is_none() {
        set_in_motion(tx, &put.ticket, now).await?;
    }
    let stored = if is_there {
        Stored::Replaced
    } else {
        Stored::Created
    };
    Ok((stored, after))
}

/// Queues the event that represents a mapped external ticket whose pair Serval does not have:
/// the parked one, else the best stored object, unless one is queued already.
async fn set_in_motion(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    now: Timestamp,
) -> Result<(), StoreError> {
    const BEST: &str = concat!(
        "-- store::mappings::best\nSELECT e.id, e.state",
        best_event!("$1", "$2")
    );
    let best: Option<(i64, String)> = sqlx::query_as(BEST)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .fetch_optional(&mut tx.connection)
        .await?;
    let Some((id, from)) = best else {
        return Ok(());
    };
    let from = state(&from)?;
    if from != EventState::Queued {
        change::move_event(
            tx,
            EventId(id),
            from,
            EventState::Queued,
            Some("mapped"),
            now,
        )
        .await?;
    }
    tx.wake = true;
    Ok(())
}

impl Mapping {
    /// The external id as the rest of the program names it.
    pub fn external_id(&self) -> ExternalId {
        ExternalId::from_store(self.external_id.clone())
    }
}
