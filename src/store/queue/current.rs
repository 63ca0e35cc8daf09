//! Looks at claimed events again, just before their calls: they may have waited for their turn.

use std::sync::atomic::Ordering;

use super::claim::Claim;
use crate::domain::ids::ServalTicketId;
use crate::store::body::{Body, body_columns};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::server::replica::Replica;
use crate::store::sql::{self, args, is_direct, is_outranked, row};

row! {
    /// The parts of a queued event that may change while it is claimed.
    struct CurrentRow {
        external_id: String,
        mapped_to: Option<String>,
        body: Body,
        is_direct: bool,
    }
}

impl Store {
    /// True if the event of a claim is still to be sent, as it was claimed: no newer save came, it was neither
    /// deleted nor edited, and its mapping is the same. False behind the fence: other processes may take this one for
    /// dead before a call ends that begins now.
    pub async fn is_current(&self, claim: &Claim) -> Result<bool, StoreError> {
        let is_as_claimed = self.is_as_claimed(claim).await?;
        // The fence comes last: that look may have taken seconds.
        let replica = self.shared.replica.as_ref();
        Ok(is_as_claimed && replica.is_none_or(Replica::may_call))
    }

    async fn is_as_claimed(&self, claim: &Claim) -> Result<bool, StoreError> {
        const REVISION: &str = "\
            -- store::current::revision
            SELECT last_value FROM revisions";
        const CURRENT: &str = concat!(
            "-- store::current::event
            SELECT x.external_id, x.ticket_id, ",
            body_columns!(),
            ", ",
            is_direct!("x.source", "x.external_id"),
            " FROM events AS e
            JOIN external_tickets AS x ON x.id = e.external
            JOIN payloads AS p ON p.event_id = e.id
            WHERE e.id = $1 AND e.state = 'queued'
                AND EXISTS (SELECT 1 FROM claims AS h WHERE h.event_id = e.id AND h.token = $2)
                AND NOT ",
            is_outranked!("e", "x"),
        );
        // Without a newer save, a deletion, an edit or the like since the claim, the event is as it was.
        let revision = if self.shared.replica.is_none() {
            self.shared.revision.load(Ordering::Acquire)
        } else {
            let revision: i64 = sql::fetch_one(&self.readers, REVISION, args![]).await?;
            revision.cast_unsigned()
        };
        if revision == claim.revision {
            return Ok(true);
        }
        let args = args![claim.event, claim.token.as_str()];
        let row: Option<CurrentRow> = sql::fetch_optional(&self.readers, CURRENT, args).await?;
        Ok(row.is_some_and(|row| {
            row.external_id == claim.ticket.external_id.as_str()
                && row.mapped_to.as_deref() == claim.mapped_to.as_ref().map(ServalTicketId::as_str)
                && row.body.object() == claim.object
                && row.is_direct == claim.is_direct
        }))
    }
}
