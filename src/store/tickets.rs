//! Rows of external tickets: found by name, shown to people by number.
//!
//! A row stays as long as an event, a mapping, a connection or a doubt needs it.

use std::collections::HashMap;

use super::commit::tx::Tx;
use super::error::StoreError;
use super::handle::Store;
use super::sql::{self, args, external, json, row};
use crate::domain::ids::{ExternalTicket, SourceName};

row! {
    /// Number of an external ticket.
    struct Numbered {
        /// Source and external id.
        ticket: (String, String),
        number: String,
    }
}

impl Store {
    /// Returns the number by which people know an external ticket, such as `INC0081927`.
    pub async fn number(&self, ticket: &ExternalTicket) -> Result<Option<String>, StoreError> {
        const NUMBER: &str = "\
            -- store::tickets::number
            SELECT number FROM external_tickets WHERE source = $1 AND external_id = $2";
        let args = args![&ticket.source, &ticket.external_id];
        let number: Option<Option<String>> =
            sql::fetch_optional(&self.readers, NUMBER, args).await?;
        Ok(number.flatten())
    }

    /// Returns the numbers of many external tickets by source and external id. Those without a
    /// number are left out.
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
        let rows = sql::fetch_all(&self.readers, NUMBERS, args![json(tickets)]).await?;
        let numbered = |row: Numbered| (row.ticket, row.number);
        Ok(rows.into_iter().map(numbered).collect())
    }

    /// True if a stored event is about the external ticket.
    pub async fn has_events(&self, ticket: &ExternalTicket) -> Result<bool, StoreError> {
        const HAS: &str = concat!(
            "-- store::tickets::has_events
            SELECT EXISTS (SELECT 1 FROM events AS e WHERE e.external = ",
            external!("$1", "$2"),
            ")"
        );
        let args = args![&ticket.source, &ticket.external_id];
        sql::fetch_one(&self.readers, HAS, args).await
    }

    /// Returns the external ids of a source that have one of these numbers, each with its number.
    pub async fn numbered(
        &self,
        source: &SourceName,
        numbers: &[&str],
    ) -> Result<Vec<(String, String)>, StoreError> {
        // By an expression, as in `find_number`: Postgres would go over all external tickets otherwise.
        const NUMBERED: &str = "\
            -- store::tickets::numbered
            SELECT x.number, x.external_id
            FROM json_each($2) AS named CROSS JOIN external_tickets AS x INDEXED BY external_tickets_number
                ON x.number = named.atom
            WHERE (x.source || '') = $1 ORDER BY x.external_id || ''";
        let args = args![source, json(numbers)];
        sql::fetch_all(&self.readers, NUMBERED, args).await
    }
}

/// Deletes the row of an external ticket if nothing needs it any more.
pub(super) async fn forget(tx: &mut Tx, ticket: &ExternalTicket) -> Result<(), StoreError> {
    const ROW: &str = concat!("-- store::tickets::row\nSELECT ", external!("$1", "$2"));
    let args = args![&ticket.source, &ticket.external_id];
    let row: Option<i64> = tx.fetch_one(ROW, args).await?;
    forget_all(tx, row.as_slice()).await
}

/// Deletes those of these rows that nothing needs any more.
pub(super) async fn forget_all(tx: &mut Tx, rows: &[i64]) -> Result<(), StoreError> {
    const FORGET: &str = "\
        -- store::tickets::forget
        DELETE FROM external_tickets
        WHERE id IN (SELECT CAST(atom AS BIGINT) FROM json_each($1)) AND ticket_id IS NULL
            AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.external = external_tickets.id)
            AND NOT EXISTS (SELECT 1 FROM connections AS c WHERE c.external = external_tickets.id)
            AND NOT EXISTS (SELECT 1 FROM doubts AS d WHERE d.external = external_tickets.id)";
    if !rows.is_empty() {
        tx.run(FORGET, args![json(rows)]).await?;
    }
    Ok(())
}
