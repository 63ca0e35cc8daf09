//! Payloads that name another Serval ticket than the mapping does: kept with both values until a
//! person decides.

use jiff::Timestamp;

use super::audit::{self, Action, By};
use super::error::StoreError;
use super::mappings::{Origin, PutMapping, Stored, put_mapping};
use super::writer::Tx;
use super::{Store, millis, moment};
use crate::domain::ids::{EventId, ExternalId, ExternalTicket, ServalTicketId};

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

/// What a decision came to.
#[derive(Debug, Clone)]
pub enum Decided {
    /// It is written.
    Done(Conflict),
    /// There was one before.
    Before(Conflict),
    /// Nothing: the learned Serval ticket has this external ticket of the source already.
    Taken(String),
}

const COLUMNS: &str = "\
    SELECT id, source, external_id, mapped_to, learned, event_id, created_at, decided_at, decision
    FROM conflicts WHERE id < $1 AND ($2 OR decision IS NULL) ORDER BY id DESC LIMIT $3";
const ONE: &str = "\
    -- store::conflicts::one
    SELECT id, source, external_id, mapped_to, learned, event_id, created_at, decided_at, decision
    FROM conflicts WHERE id = $1";

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

    /// Those of one external ticket, decided ones too, newest first.
    pub(super) async fn conflicts_of(
        &self,
        ticket: &ExternalTicket,
    ) -> Result<Vec<Conflict>, StoreError> {
        const OF_TICKET: &str = "\
            -- store::conflicts::of_ticket
            SELECT id, source, external_id, mapped_to, learned, event_id, created_at, decided_at,
                decision
            FROM conflicts WHERE source = $1 AND external_id = $2 ORDER BY id DESC LIMIT 500";
        let rows: Vec<Row> = sqlx::query_as(OF_TICKET)
            .bind(ticket.source.as_str())
            .bind(ticket.external_id.as_str())
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter().map(from_row).collect()
    }

    /// One conflict.
    pub async fn conflict(&self, id: i64) -> Result<Option<Conflict>, StoreError> {
        let row: Option<Row> = sqlx::query_as(ONE)
            .bind(id)
            .fetch_optional(&self.readers)
            .await?;
        row.map(from_row).transpose()
    }

    /// Decides an open conflict; `None` when there is no such one.
    pub async fn decide_conflict(
        &self,
        id: i64,
        decision: Decision,
        replacement: Replacement,
        now: Timestamp,
    ) -> Result<Option<Decided>, StoreError> {
        let by = self.by.clone();
        self.write(move |tx| {
            let by = by.clone();
            Box::pin(async move {
                let decided = decide(tx, id, decision, replacement, now).await?;
                if let Some(Decided::Done(conflict)) = &decided {
                    note_decision(tx, by.as_deref(), conflict, decision, now).await?;
                }
                Ok(decided)
            })
        })
        .await
    }
}

/// How a mapping is replaced, where that is the decision.
#[derive(Debug, Clone, Copy)]
pub struct Replacement {
    /// Who decides.
    pub origin: Origin,
    /// Whether the pair that it replaces is taken apart at Serval.
    pub disconnects_old: bool,
    /// Whether the Serval ticket may have another external ticket of the source.
    pub several_per_ticket: bool,
}

async fn decide(
    tx: &mut Tx,
    id: i64,
    decision: Decision,
    replacement: Replacement,
    now: Timestamp,
) -> Result<Option<Decided>, StoreError> {
    const DECIDE: &str = "\
        -- store::conflicts::decide
        UPDATE conflicts SET decided_at = $2, decision = $3
        WHERE id = $1
        RETURNING id, source, external_id, mapped_to, learned, event_id, created_at, decided_at,
            decision";
    let row: Option<Row> = sqlx::query_as(ONE)
        .bind(id)
        .fetch_optional(tx.connection().await?)
        .await?;
    let Some(conflict) = row.map(from_row).transpose()? else {
        return Ok(None);
    };
    if conflict.decision.is_some() {
        return Ok(Some(Decided::Before(conflict)));
    }
    if decision == Decision::Replace {
        let put = conflict.replaced(replacement)?;
        if let Stored::Taken(other) = put_mapping(tx, &put, now).await? {
            return Ok(Some(Decided::Taken(other)));
        }
    }
    let row: Row = sqlx::query_as(DECIDE)
        .bind(id)
        .bind(millis(now))
        .bind(decision.as_str())
        .fetch_one(tx.connection().await?)
        .await?;
    Ok(Some(Decided::Done(from_row(row)?)))
}

async fn note_decision(
    tx: &mut Tx,
    by: Option<&By>,
    conflict: &Conflict,
    decision: Decision,
    now: Timestamp,
) -> Result<(), StoreError> {
    let action = match decision {
        Decision::Keep => Action::Keep,
        Decision::Replace => Action::Replace,
    };
    let subject = format!("{} or {}", conflict.mapped_to, conflict.learned);
    let ticket = conflict.ticket()?;
    audit::note(tx, by, action, Some(&ticket), Some(&subject), now).await
}

impl Conflict {
    fn ticket(&self) -> Result<ExternalTicket, StoreError> {
        let corrupt = |_| StoreError::Corrupt(format!("conflict {}", self.id));
        Ok(ExternalTicket {
            source: self.source.parse().map_err(corrupt)?,
            external_id: ExternalId::from_store(self.external_id.clone()),
        })
    }

    /// The mapping that the payload named.
    fn replaced(&self, replacement: Replacement) -> Result<PutMapping, StoreError> {
        let corrupt = |_| StoreError::Corrupt(format!("conflict {}", self.id));
        let ticket_id: ServalTicketId = self.learned.parse().map_err(corrupt)?;
        Ok(PutMapping {
            ticket: self.ticket()?,
            ticket_id,
            accounted_for: Vec::new(),
            origin: replacement.origin,
            taught_by: Some(self.event),
            disconnects_old: replacement.disconnects_old,
            several_per_ticket: replacement.several_per_ticket,
        })
    }
}

/// Writes a conflict down, once: not while the same is open, and not after the same pair of values
/// was decided to stay as it is.
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
        SELECT $1, $2, $3, $4, $5, $6, $7, $8
        WHERE NOT EXISTS (SELECT 1 FROM conflicts
            WHERE source = $1 AND external_id = $2 AND learned = $4
            AND (decision IS NULL OR (decision = 'keep' AND mapped_to = $3)))";
    sqlx::query(NOTE)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .bind(mapped_to)
        .bind(learned.as_str())
        .bind(event.0)
        .bind(millis(now))
        .bind(decided.map(|_| millis(now)))
        .bind(decided.map(Decision::as_str))
        .execute(tx.connection().await?)
        .await?;
    Ok(())
}

/// The mapping is now what a payload named: nothing is left to decide about that.
pub(super) async fn close(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    ticket_id: &ServalTicketId,
    now: Timestamp,
) -> Result<(), StoreError> {
    const CLOSE: &str = "\
        -- store::conflicts::close
        UPDATE conflicts SET decided_at = $4, decision = 'replace'
        WHERE source = $1 AND external_id = $2 AND learned = $3 AND decision IS NULL";
    sqlx::query(CLOSE)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .bind(ticket_id.as_str())
        .bind(millis(now))
        .execute(tx.connection().await?)
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
