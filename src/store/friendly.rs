//! The ids that Serval gave for friendly identifiers such as `ACM-10`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::ids::ServalTicketId;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, millis};

/// Maximum number of friendly identifiers that one transaction writes.
const REMEMBERED_AT_ONCE: usize = 1000;

impl Store {
    /// Returns the id that Serval gave for a friendly identifier.
    pub async fn friendly_id(&self, friendly: &str) -> Result<Option<ServalTicketId>, StoreError> {
        const FIND: &str = "\
            -- store::learning::friendly_id
            SELECT ticket_id FROM friendly_ids WHERE friendly = $1";
        let args = args![friendly.to_ascii_uppercase()];
        let id: Option<String> = sql::fetch_optional(&self.readers, FIND, args).await?;
        Ok(id.and_then(|id| id.parse().ok()))
    }

    /// Returns the ids that Serval gave for these friendly identifiers, which are in upper case.
    pub async fn friendly_ids(
        &self,
        friendly: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, ServalTicketId>, StoreError> {
        const FIND: &str = "\
            -- store::learning::friendly_ids
            SELECT f.friendly, f.ticket_id
            FROM json_each($1) AS named CROSS JOIN friendly_ids AS f ON f.friendly = named.atom";
        let args = args![sql::json(&friendly.iter().collect::<Vec<_>>())];
        let rows: Vec<(String, String)> = sql::fetch_all(&self.readers, FIND, args).await?;
        let readable = |(friendly, id): (String, String)| Some((friendly, id.parse().ok()?));
        Ok(rows.into_iter().filter_map(readable).collect())
    }

    /// Stores the ids that Serval gave for friendly identifiers.
    pub async fn remember_friendly_ids(
        &self,
        known: Vec<(ServalTicketId, ServalTicketId)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const REMEMBER: &str = "\
            -- store::learning::remember
            INSERT INTO friendly_ids (friendly, ticket_id, found_at)
            SELECT value ->> 0, value ->> 1, $2 FROM json_each($1) WHERE TRUE
            ON CONFLICT (friendly) DO UPDATE
            SET ticket_id = excluded.ticket_id, found_at = excluded.found_at
            WHERE friendly_ids.ticket_id <> excluded.ticket_id";
        // Each once: a statement writes no row twice.
        let known: BTreeMap<String, ServalTicketId> = (known.into_iter())
            .map(|(friendly, id)| (friendly.as_str().to_ascii_uppercase(), id))
            .collect();
        let known: Vec<_> = known.into_iter().collect();
        // In steps, because webhooks wait while one is written.
        for known in known.chunks(REMEMBERED_AT_ONCE) {
            let rows = sql::json(known);
            self.run(REMEMBER, move || args![&rows, millis(now)])
                .await?;
        }
        Ok(())
    }
}
