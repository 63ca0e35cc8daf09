//! Reading, writing and removing mappings. A write also queues the events that waited for it.

use jiff::Timestamp;

use super::mapping::{Mapping, MappingFilter, PutMapping, Removal, Stored};
use super::unlink::apart;
use super::version::{Precondition, Stale};
use super::{channel_moves, conflict, unlink, written};
use crate::domain::ids::ExternalTicket;
use crate::store::audit::{self, Action};
use crate::store::commit::tx::Tx;
use crate::store::engine::Query;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::queue::on_mapped::{self, Standing};
use crate::store::queue::schedule;
use crate::store::sql::{self, args, millis, next_ticket};
use crate::store::tickets;

/// Selects the columns of a [`Mapping`].
macro_rules! select {
    ($conditions:literal) => {
        concat!(
            "SELECT m.source, m.external_id, m.ticket_id, m.accounted_for, m.origin, m.created_at,
                m.updated_at, c.connected_at, m.taught_by
            FROM mappings AS m
            LEFT JOIN connections AS c ON c.external = m.external AND c.ticket_id = m.ticket_id
            WHERE ",
            $conditions
        )
    };
}

const ONE: &str = select!("m.source = $1 AND m.external_id = $2");

impl Store {
    /// Returns the mapping of one external ticket.
    pub async fn mapping(&self, ticket: &ExternalTicket) -> Result<Option<Mapping>, StoreError> {
        let args = args![&ticket.source, &ticket.external_id];
        sql::fetch_optional(&self.readers, ONE, args).await
    }

    /// Lists mappings in the order of their names.
    pub async fn mappings(&self, filter: &MappingFilter) -> Result<Vec<Mapping>, StoreError> {
        // Conditions are added only where they are asked for, so that SQLite picks the right index.
        let mut query = Query::new(select!("TRUE"));
        if let Some(source) = &filter.source {
            query.push(" AND m.source = ").push_bind(source);
        }
        if let Some(ticket_id) = &filter.ticket_id {
            query.push(" AND m.ticket_id = ").push_bind(ticket_id);
        }
        if let Some((source, external_id)) = &filter.after {
            query
                .push(" AND (m.source, m.external_id) > (")
                .push_bind(source);
            query.push(", ").push_bind(external_id).push(")");
        }
        query.push(" ORDER BY m.source, m.external_id LIMIT ");
        query.push_bind(filter.limit);
        sql::read_all(&query.fetch_all(&self.readers).await?)
    }

    /// Writes a mapping if `condition` holds, and queues the events that waited for it. Writing an
    /// equal mapping again changes nothing. An id that a channel left stands for the present one.
    pub async fn put_mapping(
        &self,
        put: PutMapping,
        condition: Precondition,
        now: Timestamp,
    ) -> Result<Result<Stored, Stale>, StoreError> {
        let by = self.by.clone();
        let turn = self.mappings_turn().await?;
        self.write_mappings(turn, move |tx| {
            let (put, condition, by) = (put.clone(), condition.clone(), by.clone());
            Box::pin(async move {
                let ticket = channel_moves::present(tx, &put.ticket).await?;
                let put = PutMapping { ticket, ..put };
                let before = current(tx, &put.ticket).await?;
                // The condition is checked in the transaction that writes: two people who edit the
                // same mapping cannot overwrite each other.
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

    /// Removes a mapping if `condition` holds; `false` if there is none.
    pub async fn delete_mapping(
        &self,
        ticket: &ExternalTicket,
        condition: Precondition,
        removal: Removal,
        now: Timestamp,
    ) -> Result<Result<bool, Stale>, StoreError> {
        const DELETE: &str = "\
            -- store::mappings::delete
            UPDATE external_tickets
            SET ticket_id = NULL, origin = NULL, created_at = NULL, updated_at = NULL,
                taught_by = NULL, accounted_for = NULL
            WHERE source = $1 AND external_id = $2";
        let (ticket, by) = (ticket.clone(), self.by.clone());
        let turn = self.mappings_turn().await?;
        self.write_mappings(turn, move |tx| {
            let (ticket, condition, by) = (ticket.clone(), condition.clone(), by.clone());
            Box::pin(async move {
                // A condition is about a mapping: without one, there is nothing to check.
                let Some(before) = current(tx, &ticket).await? else {
                    return Ok(Ok(false));
                };
                if !condition.holds(Some(&before)) {
                    return Ok(Err(Stale));
                }
                tx.run(DELETE, args![&ticket.source, &ticket.external_id])
                    .await?;
                let unlinks = removal == Removal::Unlink
                    && unlink::request(tx, &ticket, &before.ticket_id, now).await?;
                let action = if unlinks {
                    Action::Unlink
                } else {
                    Action::Unmap
                };
                tickets::forget(tx, &ticket).await?;
                tx.effects.revises = true;
                let from = Some(before.ticket_id.as_str());
                audit::note(tx, by.as_deref(), action, Some(&ticket), from, now).await?;
                Ok(Ok(true))
            })
        })
        .await
    }
}

/// Returns the mapping as the transaction sees it.
async fn current(tx: &mut Tx, ticket: &ExternalTicket) -> Result<Option<Mapping>, StoreError> {
    let args = args![&ticket.source, &ticket.external_id];
    tx.fetch_optional(ONE, args).await
}

/// Writes a mapping in a transaction; see [`Store::put_mapping`].
pub(super) async fn put_mapping(
    tx: &mut Tx,
    put: &PutMapping,
    now: Timestamp,
) -> Result<Stored, StoreError> {
    const TAKEN: &str = "\
        -- store::mappings::taken
        SELECT external_id FROM mappings
        WHERE ticket_id = $1 AND source = $2 AND external_id <> $3 LIMIT 1";
    const PUT: &str = concat!(
        "-- store::mappings::put
        INSERT INTO external_tickets AS x (id, source, external_id, ticket_id, accounted_for, origin,
            created_at, updated_at, taught_by)
        VALUES (",
        next_ticket!(),
        ", $1, $2, $3, $4, $5, $6, $6, $7)
        ON CONFLICT (source, external_id) DO UPDATE
        SET ticket_id = excluded.ticket_id, accounted_for = excluded.accounted_for,
            origin = excluded.origin, created_at = COALESCE(x.created_at, excluded.created_at),
            updated_at = excluded.updated_at, taught_by = excluded.taught_by
        WHERE x.ticket_id IS DISTINCT FROM excluded.ticket_id OR x.accounted_for <> excluded.accounted_for"
    );
    let PutMapping {
        ticket, ticket_id, ..
    } = put;
    if !put.several_per_ticket {
        let args = args![ticket_id, &ticket.source, &ticket.external_id];
        if let Some(other) = tx.fetch_optional(TAKEN, args).await? {
            return Ok(Stored::Taken(other));
        }
    }
    let before = current(tx, ticket).await?;
    let mapping = args![
        &ticket.source,
        &ticket.external_id,
        ticket_id,
        sql::json(&put.accounted_for),
        put.origin.as_str(),
        millis(now),
        put.taught_by,
    ];
    tx.run(PUT, mapping).await?;
    let old_ticket_id = before.as_ref().map(|before| before.ticket_id.as_str());
    let changed_from = old_ticket_id.filter(|old| *old != ticket_id.as_str());
    if put.disconnects_others {
        apart::take_others_apart(tx, ticket, ticket_id.as_str(), now).await?;
    } else if let Some(old) = changed_from
        && put.unlinks_old
    {
        unlink::request(tx, ticket, old, now).await?;
    }
    // The pair is wanted: no waiting unlink and no open conflict may stand against it.
    unlink::withdraw(tx, ticket, ticket_id).await?;
    conflict::close(tx, ticket, ticket_id, now).await?;
    let after = current(tx, ticket)
        .await?
        .ok_or_else(|| StoreError::Corrupt("a mapping that was just written is gone".to_owned()))?;
    let standing = Standing::of(after.connected_at.is_some(), put.reconnects);
    on_mapped::follow(tx, ticket, standing, now).await?;
    if changed_from.is_some() {
        // A claim of the ticket may be about to be sent. It looks again before its call.
        tx.effects.revises = true;
        schedule::restart(tx, ticket, now).await?;
    }
    let is_new = before.is_none();
    let written = Box::new(written::look(tx, ticket, after).await?);
    Ok(if is_new {
        Stored::Created(written)
    } else {
        Stored::Replaced(written)
    })
}
