//! Payloads that name another Serval ticket than the mapping does: kept with both values until a
//! person decides.

use jiff::Timestamp;

use super::error::StoreError;
use super::mappings::{Origin, PutMapping, put_mapping};
use super::writer::Tx;
use super::{Store, millis, moment};
use crate::domain::ids::{EventId, ExternalId, ExternalTicket, ServalTicketId, SourceName};

/// What to do about a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The mapping stays.
    Keep,
    /// The mapping becomes what the payload named.
    Replace,
}

impl Decision {
    fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Replace => "replace",
        }
    }
}

/// A stored conflict.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// Its number.
    pub id: i64,
    /// The source, as stored.
    pub source: String,
    /// The external ticket.
    pub external_id: String,
    /// What the mapping said.
    pub mapped_to: String,
    /// What the payload named.
    pub learned: String,
    /// The event that named it.
    pub event: EventId,
    /// When.
    pub created_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// How.
    pub decision: Option<String>,
}

type Row = (
    i64,
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<i64>,
    Option<String>,
);

const COLUMNS: &str = "\
    SELECT id, source, external_id, mapped_to, learned, event_id, created_at, decided_at, decision
    FROM conflicts WHERE id < $1 AND ($2 OR decision IS NULL) ORDER BY id DESC LIMIT $3";

impl Store {
    /// Conflicts, newest first: those that are open, or all.
    pub async fn conflicts(
        &self,
        decided_too: bool,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Conflict>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(COLUMNS)
            .bind(before.unwrap_or(i64::MAX))
            .bind(decided_too)
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter().map(from_row).collect()
    }

    /// Decides an open conflict; `None` when there is no such open one.
    pub async fn decide_conflict(
        &self,
        id: i64,
        decision: Decision,
        origin: Origin,
        disconnects_old: bool,
        now: Timestamp,
    ) -> Result<Option<Conflict>, StoreError> {
        self.write(move |tx| Box::pin(decide(tx, id, decision, origin, disconnects_old, now)))
            .await
    }
}

async fn decide(
    tx: &mut Tx,
    id: i64,
    decision: Decision,
    origin: Origin,
    disconnects_old: bool,
    now: Timestamp,
) -> Result<Option<Conflict>, StoreError> {
    const DECIDE: &str = "\
        -- store::conflicts::decide
        UPDATE conflicts SET decided_at = $2, decision = $3
        WHERE id = $1 AND decision IS NULL
        RETURNING id, source, external_id, mapped_to, learned, event_id, created_at, decided_at,
            decision";
    let row: Option<Row> = sqlx::query_as(DECIDE)
        .bind(id)
        .bind(millis(now))
        .bind(decision.as_str())
        .fetch_optional(&mut tx.connection)
        .await?;
    let Some(conflict) = row.map(from_row).transpose()? else {
        return Ok(None);
    };
    if decision == Decision::Replace {
        let corrupt = |_| StoreError::Corrupt(format!("conflict {id}"));
        let source: SourceName = conflict.source.parse().map_err(corrupt)?;
        let ticket_id: ServalTicketId = conflict.learned.parse().map_err(corrupt)?;
        let external_id = ExternalId::from_store(conflict.external_id.clone());
        let put = PutMapping {
            ticket: ExternalTicket {
                source,
                external_id,
            },
            ticket_id,
            accounted_for: Vec::new(),
            origin,
            taught_by: Some(conflict.event),
            disconnects_old,
            several_per_ticket: true,
        };
        put_mapping(tx, &put, now).await?;
    }
    Ok(Some(conflict))
}

/// Writes a conflict down, once for each pair of values.
pub(super) async fn note(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    mapped_to: &str,
    learned: &ServalTicketId,
    event: EventId,
    decided: Option<Decision>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const NOTE: &str = "\
        -- store::conflicts::note
        INSERT INTO conflicts (source, external_id, mapped_to, learned, event_id, created_at,
            decided_at, decision)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT DO NOTHING";
    sqlx::query(NOTE)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .bind(mapped_to)
        .bind(learned.as_str())
        .bind(event.0)
        .bind(millis(now))
        .bind(decided.map(|_| millis(now)))
        .bind(decided.map(Decision::as_str))
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

fn from_row(row: Row) -> Result<Conflict, StoreError> {
    let (id, source, external_id, mapped_to, learned, event, created_at, decided_at, decision) =
        row;
    Ok(Conflict {
        id,
        source,
        external_id,
        mapped_to,
        learned,
        event: EventId(event),
        created_at: moment(created_at)?,
        decided_at: decided_at.map(moment).transpose()?,
        decision,
    })
}
