//! The numbers by which people know external tickets (`INC0081927`), so that one is found by it.
//!
//! A number is kept for as long as anything else is of its external ticket: an event or a mapping.

use super::error::StoreError;
use super::writer::Tx;
use super::{Store, json};
use crate::domain::ids::ExternalTicket;

impl Store {
    /// The number by which people know an external ticket.
    pub async fn number(&self, ticket: &ExternalTicket) -> Result<Option<String>, StoreError> {
        const NUMBER: &str = "\
            -- store::numbers::number
            SELECT number FROM numbers WHERE source = $1 AND external_id = $2";
        let number = sqlx::query_scalar(NUMBER)
            .bind(ticket.source.as_str())
            .bind(ticket.external_id.as_str())
            .fetch_optional(&self.readers)
            .await?;
        Ok(number)
    }
}

/// Remembers numbers, given as source, external id and number. One that is known costs a look.
pub(super) async fn remember(tx: &mut Tx, rows: &[(&str, &str, &str)]) -> Result<(), StoreError> {
    const REMEMBER: &str = "\
        -- store::numbers::remember
        INSERT INTO numbers (source, external_id, number)
        SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE TRUE
        ON CONFLICT (source, external_id) DO UPDATE SET number = excluded.number
        WHERE number <> excluded.number";
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(REMEMBER)
        .bind(json(rows))
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

/// Forgets the numbers of external tickets, given as source and external id, of which nothing else
/// is left.
pub(super) async fn forget(tx: &mut Tx, tickets: &[(String, String)]) -> Result<(), StoreError> {
    const FORGET: &str = "\
        -- store::numbers::forget
        DELETE FROM numbers
        WHERE (source, external_id) IN
                (SELECT value ->> 0, value ->> 1 FROM json_each($1))
            AND NOT EXISTS (SELECT 1 FROM events AS e
                WHERE e.source = numbers.source AND e.external_id = numbers.external_id)
            AND NOT EXISTS (SELECT 1 FROM mappings AS m
                WHERE m.source = numbers.source AND m.external_id = numbers.external_id)";
    if tickets.is_empty() {
        return Ok(());
    }
    sqlx::query(FORGET)
        .bind(json(tickets))
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}
