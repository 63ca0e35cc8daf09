//! Pairs that wait to be unlinked at Serval, because their mapping was changed or removed.
//!
//! Invariant: a pair that waits is in doubt, and not stored as connected, even if the call that connects it
//! is still under way.

pub(crate) mod apart;

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::ids::{ExternalTicket, ServalTicketId, SourceName};
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::links::doubts::doubt;
use crate::store::sql::{self, args, external, is_direct, millis, row};
use crate::store::tickets;

row! {
    /// A pair that waits to be unlinked.
    #[derive(Debug, Clone)]
    pub struct Unlink {
        /// Number of the request.
        id: i64,
        /// External ticket of the pair.
        ticket: ExternalTicket,
        /// Serval ticket of the pair.
        ticket_id: ServalTicketId,
        /// Tries so far.
        tries: u32,
        /// Time of the request.
        queued_at: Timestamp,
        /// True if the messages of its channel are direct, though its id does not tell.
        is_direct: bool,
    }
}

/// Answer to the question if a pair may be unlinked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayUnlink {
    /// Yes.
    Now,
    /// Not yet: a call under way, or the rest of an import, may connect this pair, or another one of the same
    /// Serval ticket.
    Later,
    /// No: another external ticket of the source has the same Serval ticket and would lose its link.
    Shared,
    /// No: the request was withdrawn.
    Withdrawn,
}

fn in_millis(duration: Duration) -> i64 {
    // Half of the range, so that adding a time to it cannot overflow.
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2)
}

impl Store {
    /// Returns the next pair that is due to be unlinked and that no call under way may connect. Claims
    /// last for `lease`. A claim that was taken after the request is for another Serval ticket, and
    /// does not matter. While an import is written there is none: its next rows may want the pair.
    pub async fn next_unlink(
        &self,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Unlink>, StoreError> {
        const NEXT: &str = concat!(
            "-- store::unlink::next
            SELECT d.id, d.source, d.external_id, d.ticket_id, d.tries, d.queued_at, ",
            is_direct!("d.source", "d.external_id"),
            " FROM disconnects AS d
            WHERE d.due_at <= $1
                AND NOT EXISTS (SELECT 1 FROM imports)
                AND NOT EXISTS (SELECT 1 FROM claims AS h
                    WHERE h.expires_at <= d.queued_at + $2 AND h.external = ",
            external!("d.source", "d.external_id"),
            ")
            ORDER BY d.due_at, d.id LIMIT 1"
        );
        // Nearly always there is nothing to unlink, and this is asked in every round of the worker.
        if !self.has_unlinks().await? {
            return Ok(None);
        }
        sql::fetch_optional(&self.readers, NEXT, args![millis(now), in_millis(lease)]).await
    }

    /// Returns a pair of this Serval ticket that is due to be unlinked, with any external ticket of
    /// the source.
    pub async fn unlink_of(
        &self,
        source: &SourceName,
        ticket_id: &ServalTicketId,
        now: Timestamp,
    ) -> Result<Option<Unlink>, StoreError> {
        const OF: &str = concat!(
            "-- store::unlink::of
            SELECT id, source, external_id, ticket_id, tries, queued_at, ",
            is_direct!("source", "external_id"),
            " FROM disconnects
            WHERE source = $1 AND ticket_id = $2 AND due_at <= $3 LIMIT 1"
        );
        // Each connect call passes here. The flag spares the query while no unlink waits.
        if !self.shared.asked.is_open() {
            return Ok(None);
        }
        sql::fetch_optional(&self.readers, OF, args![source, ticket_id, millis(now)]).await
    }

    /// Returns a pair of this external ticket that is due to be unlinked.
    pub async fn unlink_of_own(
        &self,
        ticket: &ExternalTicket,
        now: Timestamp,
    ) -> Result<Option<Unlink>, StoreError> {
        const OWN: &str = concat!(
            "-- store::unlink::own
            SELECT id, source, external_id, ticket_id, tries, queued_at, ",
            is_direct!("source", "external_id"),
            " FROM disconnects
            WHERE source = $1 AND external_id = $2 AND due_at <= $3 LIMIT 1"
        );
        if !self.shared.asked.is_open() {
            return Ok(None);
        }
        let args = args![&ticket.source, &ticket.external_id, millis(now)];
        sql::fetch_optional(&self.readers, OWN, args).await
    }

    /// Tells if a pair may be unlinked now. A connect call about `own` waits for this answer, so its
    /// claim does not stand in the way.
    pub async fn may_unlink(
        &self,
        id: i64,
        own: Option<&ExternalTicket>,
        lease: Duration,
    ) -> Result<MayUnlink, StoreError> {
        const MAY: &str = concat!(
            "-- store::unlink::may
            SELECT EXISTS (SELECT 1 FROM mappings AS m
                    JOIN connections AS c ON c.external = m.external AND c.ticket_id = m.ticket_id
                    WHERE m.ticket_id = d.ticket_id AND m.source = d.source
                    AND m.external_id <> d.external_id),
                EXISTS (SELECT 1 FROM imports) OR EXISTS (SELECT 1 FROM claims AS h
                    WHERE h.expires_at <= d.queued_at + $4 AND h.external = ",
            external!("d.source", "d.external_id"),
            ") OR EXISTS (SELECT 1 FROM mappings AS m
                    JOIN claims AS h ON h.external = m.external
                    WHERE m.ticket_id = d.ticket_id AND m.source = d.source
                    AND m.external_id <> d.external_id
                    AND (m.source, m.external_id) <> ($2, $3))
            FROM disconnects AS d WHERE d.id = $1"
        );
        // No external ticket has empty names.
        let (source, external_id) = own.map_or(("", ""), |own| {
            (own.source.as_str(), own.external_id.as_str())
        });
        let args = args![id, source, external_id, in_millis(lease)];
        let row: Option<(bool, bool)> = sql::fetch_optional(&self.readers, MAY, args).await?;
        Ok(match row {
            None => MayUnlink::Withdrawn,
            Some((true, _)) => MayUnlink::Shared,
            Some((false, true)) => MayUnlink::Later,
            Some((false, false)) => MayUnlink::Now,
        })
    }

    /// True if any pair waits to be unlinked.
    async fn has_unlinks(&self) -> Result<bool, StoreError> {
        const LEFT: &str = "\
            -- store::unlink::left
            SELECT EXISTS (SELECT 1 FROM disconnects)";
        let asked = &self.shared.asked;
        if !asked.is_open() {
            return Ok(false);
        }
        // Read before the database: a request that comes in between must not count as done.
        let times = asked.times();
        let is_left: bool = sql::fetch_one(&self.readers, LEFT, args![]).await?;
        if !is_left {
            asked.done(times);
        }
        Ok(is_left)
    }

    /// Ends a request: Serval does not have the pair any more.
    pub async fn note_unlinked(&self, id: i64) -> Result<(), StoreError> {
        // If the pair was wanted again meanwhile, there is no request, and a new call may have left a new
        // doubt.
        const CERTAIN: &str = "\
            -- store::unlink::certain
            DELETE FROM doubts WHERE (external, ticket_id) IN (
                SELECT x.id, d.ticket_id FROM disconnects AS d
                JOIN external_tickets AS x ON x.source = d.source AND x.external_id = d.external_id
                WHERE d.id = $1)";
        self.write(move |tx| {
            Box::pin(async move {
                tx.run(CERTAIN, args![id]).await?;
                end(tx, id).await
            })
        })
        .await
    }

    /// Ends a request: the pair cannot be unlinked.
    pub async fn end_unlink(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(end(tx, id))).await
    }

    /// Stores a failed try; the next one is at `at`.
    pub async fn retry_unlink(
        &self,
        id: i64,
        at: Timestamp,
        error: String,
    ) -> Result<(), StoreError> {
        const LATER: &str = "\
            -- store::unlink::later
            UPDATE disconnects SET due_at = $2, tries = tries + 1, last_error = $3 WHERE id = $1";
        self.run(LATER, move || args![id, millis(at), &error])
            .await?;
        Ok(())
    }
}

/// Requests to unlink a pair, and returns true, if Serval has it or may have it: by a call that is
/// under way, or that ended in doubt. The pair may be connected again afterwards.
///
/// Serval unlinks a ticket from a whole integration. If the Serval ticket has another external ticket
/// of the source, that one would lose its link too. Then nothing is requested.
pub(in crate::store::links) async fn request(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    ticket_id: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const SHARED: &str = "\
        -- store::unlink::shared
        SELECT EXISTS (SELECT 1 FROM mappings AS m JOIN connections AS c
            ON c.external = m.external AND c.ticket_id = m.ticket_id
            WHERE m.ticket_id = $3 AND m.source = $1 AND m.external_id <> $2)";
    const DOUBT: &str = concat!(
        "-- store::unlink::doubt
        INSERT INTO doubts (external, ticket_id, event_id)
        SELECT external, ticket_id, event_id FROM connections WHERE ticket_id = $3 AND external = ",
        external!("$1", "$2"),
        " UNION ALL
        SELECT external, ticket_id, event_id FROM claims WHERE ticket_id = $3 AND external = ",
        external!("$1", "$2"),
        " ON CONFLICT (external, ticket_id) DO NOTHING"
    );
    const FORGET: &str = concat!(
        "-- store::unlink::forget
        DELETE FROM connections WHERE ticket_id = $3 AND external = ",
        external!("$1", "$2")
    );
    const IS_IN_DOUBT: &str = concat!(
        "-- store::unlink::is_in_doubt\nSELECT ",
        doubt!(external!("$1", "$2"), "$3"),
        " IS NOT NULL"
    );
    const REQUEST: &str = "\
        -- store::unlink::request
        INSERT INTO disconnects (source, external_id, ticket_id, due_at, tries, queued_at)
        VALUES ($1, $2, $3, $4, 0, $4)";
    let ExternalTicket {
        source,
        external_id,
    } = ticket;
    if tx
        .fetch_one(SHARED, args![source, external_id, ticket_id])
        .await?
    {
        tracing::warn!(
            ticket.external = %ticket,
            ticket.serval = ticket_id,
            "not unlinked: the Serval ticket has another external ticket of the source, which would \
             be unlinked with it"
        );
        return Ok(false);
    }
    // Until it is unlinked, the pair is in doubt: it may be wanted again before.
    for statement in [DOUBT, FORGET] {
        tx.run(statement, args![source, external_id, ticket_id])
            .await?;
    }
    let args = args![source, external_id, ticket_id];
    if !tx.fetch_one(IS_IN_DOUBT, args).await? {
        return Ok(false);
    }
    tx.run(REQUEST, args![source, external_id, ticket_id, millis(now)])
        .await?;
    tx.effects.wake = true;
    tx.effects.asks_to_disconnect = true;
    Ok(true)
}

async fn end(tx: &mut Tx, id: i64) -> Result<(), StoreError> {
    const END: &str = "\
        -- store::unlink::end
        DELETE FROM disconnects WHERE id = $1 RETURNING source, external_id";
    let ended: Option<ExternalTicket> = tx.fetch_optional(END, args![id]).await?;
    match ended {
        Some(ticket) => tickets::forget(tx, &ticket).await,
        None => Ok(()),
    }
}

/// Deletes the connection that a call has just made, if the pair waits to be unlinked.
pub(crate) async fn forget_where_asked(
    tx: &mut Tx,
    external: i64,
    ticket_id: &ServalTicketId,
) -> Result<(), StoreError> {
    const FORGET: &str = "\
        -- store::unlink::forget_where_asked
        DELETE FROM connections WHERE external = $1 AND ticket_id = $2
            AND EXISTS (SELECT 1 FROM external_tickets AS x
                JOIN disconnects AS d ON d.source = x.source AND d.external_id = x.external_id
                WHERE x.id = $1 AND d.ticket_id = $2)";
    let forgotten = tx.run(FORGET, args![external, ticket_id]).await?;
    tx.effects.wake |= forgotten > 0;
    Ok(())
}

/// Withdraws the request to unlink a pair, because the pair is wanted again.
pub(in crate::store::links) async fn withdraw(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    ticket_id: &ServalTicketId,
) -> Result<(), StoreError> {
    const WITHDRAW: &str = "\
        -- store::unlink::withdraw
        DELETE FROM disconnects WHERE source = $1 AND external_id = $2 AND ticket_id = $3";
    let args = args![&ticket.source, &ticket.external_id, ticket_id];
    tx.run(WITHDRAW, args).await?;
    Ok(())
}
