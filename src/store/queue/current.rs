//! Looks at claimed events again, just before their calls: they may have waited for their turn.

use std::sync::atomic::Ordering;

use super::claim::Claim;
use crate::domain::ids::EventId;
use crate::domain::rank::{Rank, foremost};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, is_direct, row};

row! {
    /// The parts of a queued event that may change while it is claimed.
    struct CurrentRow {
        external_id: String,
        object: Vec<u8>,
        is_direct: bool,
    }
}

impl Store {
    /// True if the event of a claim is still to be sent, as it was claimed.
    pub async fn is_current(&self, claim: &Claim) -> Result<bool, StoreError> {
        const CURRENT: &str = concat!(
            "-- store::current::event
            SELECT x.external_id, substr(p.body, p.object_start + 1, p.object_len), ",
            is_direct!("x.source", "x.external_id"),
            " FROM events AS e
            JOIN external_tickets AS x ON x.id = e.external
            JOIN payloads AS p ON p.event_id = e.id
            WHERE e.id = $1 AND e.state = 'queued'"
        );
        // Deletions, edits and the like are rare: without one since the claim, nothing is read.
        if self.shared.revision.load(Ordering::Acquire) == claim.revision {
            return Ok(true);
        }
        let row: Option<CurrentRow> =
            sql::fetch_optional(&self.readers, CURRENT, args![claim.event]).await?;
        Ok(row.is_some_and(|row| {
            row.external_id == claim.ticket.external_id.as_str()
                && row.object == *claim.object
                && row.is_direct == claim.is_direct
        }))
    }

    /// True if a newer save of the same external ticket is connected, so that this one is not sent after
    /// it.
    pub async fn is_outrun(&self, event: EventId) -> Result<bool, StoreError> {
        const SENT: &str = "\
            -- store::current::sent
            SELECT s.id, s.rank_major, s.rank_minor FROM events AS e
            CROSS JOIN events AS s INDEXED BY events_external ON s.external = e.external
            WHERE e.id = $1 AND (s.id = e.id OR s.state = 'connected')
            ORDER BY s.id";
        let saves: Vec<(EventId, Rank)> = sql::fetch_all(&self.readers, SENT, args![event]).await?;
        Ok(foremost(saves).is_some_and(|(newest, _)| newest != event))
    }
}
