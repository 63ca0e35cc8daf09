//! The mapping table. Whatever writes a mapping sets its events in motion in the same transaction.

mod types;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::audit::{self, Action};
use super::error::StoreError;
use super::version::{Precondition, Stale};
use super::writer::Tx;
use super::{Store, conflicts, disconnects, millis, moment, motion, tickets};
use crate::domain::ids::{EventId, ExternalTicket};
pub use types::{Mapping, MappingFilter, Origin, PutMapping, Stored};

type MappingRow = (
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
);

const COLUMNS: &str = "\
    SELECT m.source, m.external_id, m.ticket_id, m.accounted_for, m.origin, m.created_at,
           m.updated_at, c.connected_at, m.taught_by
    FROM mappings AS m
    LEFT JOIN connections AS c ON c.external = m.external AND c.ticket_id = m.ticket_id ";

impl Store {
    /// Writes a mapping, and releases or sends again what waits for it. Idempotent.
    pub async fn put_mapping(&self, put: PutMapping, now: Timestamp) -> Result<Stored, StoreError> {
        let written = self.put_mapping_if(put, Precondition::None, now).await?;
        Ok(written.expect("nothing was asked of the mapping before"))
    }

    /// The same, only if the mapping that is there now is what the caller believes it to be.
    pub async fn put_mapping_if(
        &self,
        put: PutMapping,
        condition: Precondition,
        now: Timestamp,
    ) -> Result<Result<Stored, Stale>, StoreError> {
        let by = self.by.clone();
        self.write(move |tx| {
            let (put, condition, by) = (put.clone(), condition.clone(), by.clone());
            Box::pin(async move {
                let before = current(tx, &put.ticket).await?;
                if !condition.holds(before.as_ref()) {
                    return Ok(Err(Stale));
                }
                let stored = put_mapping(tx, &put, now).await?;
                if !matches!(stored, Stored::Taken(_)) {
                    let to = Some(put.ticket_id.as_str());
                    audit::note(tx, by.as_deref(), Action::Map, Some(&put.ticket), to, now).await?;
                }
                Ok(Ok(stored))
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

    /// Removes a mapping; `false` when there was none. The pair stays known as connected, unless
    /// `disconnects`: then Serval is asked to let go of it.
    pub async fn delete_mapping(
        &self,
        ticket: &ExternalTicket,
        disconnects: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let condition = Precondition::None;
        let deleted = self.delete_mapping_if(ticket, condition, disconnects, now);
        Ok(deleted
            .await?
            .expect("nothing was asked of the mapping before"))
    }

    /// The same, only if the mapping is what the caller believes it to be. Where there is none,
    /// there is nothing to believe.
    pub async fn delete_mapping_if(
        &self,
        ticket: &ExternalTicket,
        condition: Precondition,
        disconnects: bool,
        now: Timestamp,
    ) -> Result<Result<bool, Stale>, StoreError> {
        const DELETE: &str = "\
            -- store::mappings::delete
            UPDATE external_tickets
            SET ticket_id = NULL, origin = NULL, created_at = NULL, updated_at = NULL,
                taught_by = NULL, accounted_for = NULL
            WHERE source = $1 AND external_id = $2";
        let (ticket, by) = (ticket.clone(), self.by.clone());
        self.write(move |tx| {
            let (ticket, condition, by) = (ticket.clone(), condition.clone(), by.clone());
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
                    .execute(tx.connection().await?)
                    .await?;
                let mut action = Action::Unmap;
                if disconnects && disconnects::ask(tx, &ticket, &before.ticket_id, now).await? {
                    action = Action::Disconnect;
                }
                tickets::forget(tx, &ticket).await?;
                let from = Some(before.ticket_id.as_str());
                audit::note(tx, by.as_deref(), action, Some(&ticket), from, now).await?;
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
        taught_by,
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
        taught_by: taught_by.map(EventId),
    })
}

/// The mapping as the transaction sees it.
async fn current(tx: &mut Tx, ticket: &ExternalTicket) -> Result<Option<Mapping>, StoreError> {
    let row: Option<MappingRow> = one(ticket.source.as_str(), ticket.external_id.as_str())
        .build_query_as()
        .fetch_optional(tx.connection().await?)
        .await?;
    row.map(from_row).transpose()
}

/// Writes a mapping inside of a transaction; see [`Store::put_mapping`].
pub(super) async fn put_mapping(
    tx: &mut Tx,
    put: &PutMapping,
    now: Timestamp,
) -> Result<Stored, StoreError> {
    const TAKEN: &str = "\
        -- store::mappings::taken
        SELECT external_id FROM mappings
        WHERE ticket_id = $1 AND source = $2 AND external_id <> $3 LIMIT 1";
    const PUT: &str = "\
        -- store::mappings::put
        INSERT INTO external_tickets (source, external_id, ticket_id, accounted_for, origin,
            created_at, updated_at, taught_by)
        VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
        ON CONFLICT (source, external_id) DO UPDATE
        SET ticket_id = excluded.ticket_id, accounted_for = excluded.accounted_for,
            origin = excluded.origin, created_at = COALESCE(created_at, excluded.created_at),
            updated_at = excluded.updated_at, taught_by = excluded.taught_by
        WHERE ticket_id IS NOT excluded.ticket_id OR accounted_for <> excluded.accounted_for";
    let (source, external_id) = (put.ticket.source.as_str(), put.ticket.external_id.as_str());
    if !put.several_per_ticket {
        let taken: Option<String> = sqlx::query_scalar(TAKEN)
            .bind(put.ticket_id.as_str())
            .bind(source)
            .bind(external_id)
            .fetch_optional(tx.connection().await?)
            .await?;
        if let Some(other) = taken {
            return Ok(Stored::Taken(other));
        }
    }
    let before = current(tx, &put.ticket).await?;
    sqlx::query(PUT)
        .bind(source)
        .bind(external_id)
        .bind(put.ticket_id.as_str())
        .bind(serde_json::to_string(&put.accounted_for).expect("strings are JSON"))
        .bind(put.origin.as_str())
        .bind(millis(now))
        .bind(put.taught_by.map(|event| event.0))
        .execute(tx.connection().await?)
        .await?;
    if let Some(before) = before
        .as_ref()
        .filter(|before| before.ticket_id != put.ticket_id.as_str())
        && put.disconnects_old
    {
        disconnects::ask(tx, &put.ticket, &before.ticket_id, now).await?;
    }
    disconnects::withdraw(tx, &put.ticket, &put.ticket_id).await?;
    conflicts::close(tx, &put.ticket, &put.ticket_id, now).await?;
    let after = current(tx, &put.ticket)
        .await?
        .ok_or_else(|| StoreError::Corrupt("a mapping that was just written is gone".to_owned()))?;
    motion::follow(tx, &put.ticket, after.connected_at.is_some(), now).await?;
    if before
        .as_ref()
        .is_some_and(|before| before.ticket_id != after.ticket_id)
    {
        motion::begin_anew(tx, &put.ticket, now).await?;
    }
    Ok(if before.is_some() {
        Stored::Replaced(after)
    } else {
        Stored::Created(after)
    })
}
