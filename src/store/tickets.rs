//! External tickets as rows: found by their names, known to people by their numbers.
//!
//! A row is kept for as long as anything else is of its external ticket: an event, a mapping, a
//! connection.

use std::collections::HashMap;

use super::error::StoreError;
use super::writer::Tx;
use super::{Store, external, json};
use crate::domain::ids::ExternalTicket;

impl Store {
    /// The number by which people know an external ticket, such as `INC0081927`.
    pub async fn number(&self, ticket: &ExternalTicket) -> Result<Option<String>, StoreError> {
        const NUMBER: &str = "\
            -- store::tickets::number
            SELECT number FROM external_tickets WHERE source = $1 AND external_id = $2";
        let number: Option<Option<String>> = sqlx::query_scalar(NUMBER)
            .bind(ticket.source.as_str())
            .bind(ticket.external_id.as_str())
            .fetch_optional(&self.readers)
            .await?;
        Ok(number.flatten())
    }

    /// The numbers of many, by source and external id; without those that have none.
    pub async fn numbers(
        &self,
        tickets: &[(&str, &str)],
    ) -> Result<HashMap<(String, String), String>, StoreError> {
        const NUMBERS: &str = "\
            -- store::tickets::numbers
            SELECT t.source, t.external_id, t.number
            FROM json_each($1) AS named CROSS JOIN external_tickets AS t
                ON t.source = named.value ->> 0 AND t.external_id = named.value ->> 1
            WHERE t.number IS NOT NULL";
        let rows: Vec<(String, String, String)> = sqlx::query_as(NUMBERS)
            .bind(json(tickets))
            .fetch_all(&self.readers)
            .await?;
        let named = rows.into_iter();
        Ok(named
            .map(|(source, external_id, number)| ((source, external_id), number))
            .collect())
    }
}

/// Forgets an external ticket of which nothing but its names is left.
pub(super) async fn forget(tx: &mut Tx, ticket: &ExternalTicket) -> Result<(), StoreError> {
    const ROW: &str = concat!("-- store::tickets::row\nSELECT ", external!("$1", "$2"));
    let row: Option<i64> = sqlx::query_scalar(ROW)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .fetch_one(tx.connection().await?)
        .await?;
    forget_all(tx, row.as_slice()).await
}

/// The same for several, by their rows.
pub(super) async fn forget_all(tx: &mut Tx, rows: &[i64]) -> Result<(), StoreError> {
    const FORGET: &str = "\
        -- store::tickets::forget
        DELETE FROM external_tickets
        WHERE id IN (SELECT value FROM json_each($1)) AND ticket_id IS NULL
            AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.external = external_tickets.id)
            AND NOT EXISTS (SELECT 1 FROM connections AS c WHERE c.external = external_tickets.id)";
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(FORGET)
        .bind(json(rows))
        .execute(tx.connection().await?)
        .await?;
    Ok(())
}
