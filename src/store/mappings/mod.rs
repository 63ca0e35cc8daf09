//! The mapping table. Whatever writes a mapping sets its events in motion in the same transaction.

mod types;

use super::error::StoreError;
use super::writer::Tx;
use super::{Store, change, conflicts, disconnects, millis, moment, state};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket};
use crate::domain::ingest::ALREADY_CONNECTED;
use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};
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
    LEFT JOIN connections AS c ON c.source = m.source AND c.external_id = m.external_id
        AND c.ticket_id = m.ticket_id ";

impl Store {
    /// Writes a mapping, and releases or sends again what waits for it. Idempotent.
    pub async fn put_mapping(&self, put: PutMapping, now: Timestamp) -> Result<Stored, StoreError> {
        self.write(move |tx| {
            let put = put.clone();
            Box::pin(async move { put_mapping(tx, &put, now).await })
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
        const DELETE: &str = "\
            -- store::mappings::delete
            DELETE FROM mappings WHERE source = $1 AND external_id = $2 RETURNING ticket_id";
        let ticket = ticket.clone();
        self.write(move |tx| {
            let ticket = ticket.clone();
            Box::pin(async move {
                let deleted: Option<String> = sqlx::query_scalar(DELETE)
                    .bind(ticket.source.as_str())
                    .bind(ticket.external_id.as_str())
                    .fetch_optional(&mut tx.connection)
                    .await?;
                if let Some(ticket_id) = deleted.as_ref().filter(|_| disconnects) {
                    disconnects::ask(tx, &ticket, ticket_id, now).await?;
                }
                Ok(deleted.is_some())
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
        INSERT INTO mappings (source, external_id, ticket_id, accounted_for, origin, created_at,
            updated_at, taught_by)
        VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
        ON CONFLICT (source, external_id) DO UPDATE
        SET ticket_id = excluded.ticket_id, accounted_for = excluded.accounted_for,
            origin = excluded.origin, updated_at = excluded.updated_at,
            taught_by = excluded.taught_by
        WHERE ticket_id <> excluded.ticket_id OR accounted_for <> excluded.accounted_for";
    let (source, external_id) = (put.ticket.source.as_str(), put.ticket.external_id.as_str());
    if !put.several_per_ticket {
        let taken: Option<String> = sqlx::query_scalar(TAKEN)
            .bind(put.ticket_id.as_str())
            .bind(source)
            .bind(external_id)
            .fetch_optional(&mut tx.connection)
            .await?;
        if let Some(other) = taken {
            return Ok(Stored::Taken(other));
        }
    }
    let before: Option<MappingRow> = one(source, external_id)
        .build_query_as()
        .fetch_optional(&mut tx.connection)
        .await?;
    sqlx::query(PUT)
        .bind(source)
        .bind(external_id)
        .bind(put.ticket_id.as_str())
        .bind(serde_json::to_string(&put.accounted_for).expect("strings are JSON"))
        .bind(put.origin.as_str())
        .bind(millis(now))
        .bind(put.taught_by.map(|event| event.0))
        .execute(&mut tx.connection)
        .await?;
    if let Some(before) = before
        .as_ref()
        .filter(|before| before.2 != put.ticket_id.as_str())
        && put.disconnects_old
    {
        disconnects::ask(tx, &put.ticket, &before.2, now).await?;
    }
    disconnects::withdraw(tx, &put.ticket, &put.ticket_id).await?;
    conflicts::close(tx, &put.ticket, &put.ticket_id, now).await?;
    let after: MappingRow = one(source, external_id)
        .build_query_as()
        .fetch_one(&mut tx.connection)
        .await?;
    let after = from_row(after)?;
    follow(tx, &put.ticket, after.connected_at.is_some(), now).await?;
    if before
        .as_ref()
        .is_some_and(|(_, _, ticket_id, ..)| *ticket_id != after.ticket_id)
    {
        begin_anew(tx, &put.ticket, now).await?;
    }
    Ok(if before.is_some() {
        Stored::Replaced(after)
    } else {
        Stored::Created(after)
    })
}

/// Does what a mapped external ticket needs, given whether Serval has the pair.
pub(super) async fn follow(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    is_connected: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (to, reason) = if is_connected {
        (EventState::Skipped, ALREADY_CONNECTED)
    } else {
        (EventState::Queued, "mapped")
    };
    end_parking(tx, ticket, to, reason, now).await?;
    if is_connected {
        return Ok(());
    }
    set_in_motion(tx, ticket, now).await
}

/// Queues the best stored object of a mapped external ticket whose pair Serval does not have, unless
/// one is queued already.
async fn set_in_motion(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Of the finished events, those that could have connected: with an object, and not set aside
    // for what they say.
    const BEST: &str = "\
        -- store::mappings::best
        SELECT e.id, e.state FROM events AS e
        WHERE e.source = $1 AND e.external_id = $2 AND e.state <> 'ignored'
            AND COALESCE(e.reason, '') NOT IN ('echo', 'duplicate', 'class_conflict',
                'team_conflict')
            AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)
        ORDER BY e.state = 'queued' DESC, e.rank_major DESC, e.rank_minor DESC, e.id DESC
        LIMIT 1";
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
        let to = EventState::Queued;
        change::move_event(tx, EventId(id), from, to, Some("mapped"), now).await?;
    }
    tx.wake = true;
    Ok(())
}

/// Moves what is parked for an external ticket. It need not be the only event: another may have been
/// queued before the mapping was gone for a while.
async fn end_parking(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    to: EventState,
    reason: &'static str,
    now: Timestamp,
) -> Result<(), StoreError> {
    const PARKED: &str = "\
        -- store::mappings::parked
        SELECT id FROM events WHERE state = 'parked' AND source = $1 AND external_id = $2";
    let parked: Option<i64> = sqlx::query_scalar(PARKED)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .fetch_optional(&mut tx.connection)
        .await?;
    if let Some(id) = parked {
        let from = EventState::Parked;
        change::move_event(tx, EventId(id), from, to, Some(reason), now).await?;
    }
    Ok(())
}

/// What failed with one Serval ticket says nothing about another: no wait is kept but one that
/// Serval asked for.
async fn begin_anew(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    now: Timestamp,
) -> Result<(), StoreError> {
    const ANEW: &str = "\
        -- store::mappings::begin_anew
        UPDATE events
        SET due_at = MAX($3, not_before), tries = 0, queued_at = $3, updated_at = $3
        WHERE state = 'queued' AND source = $1 AND external_id = $2";
    sqlx::query(ANEW)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .bind(millis(now))
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}
