//! Pairs that Serval should let go of: asked for by a changed mapping, or by its removal.
//!
//! Invariant: a pair that is asked to be taken apart is not remembered as connected, also where the
//! call that makes it is still under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::error::StoreError;
use super::writer::Tx;
use super::{Store, external, millis, moment};
use crate::domain::ids::{ExternalId, ExternalTicket, ServalTicketId, SourceName};

/// A pair to take apart.
#[derive(Debug, Clone)]
pub struct Disconnect {
    /// Its number.
    pub id: i64,
    /// The external ticket.
    pub ticket: ExternalTicket,
    /// The Serval ticket.
    pub ticket_id: ServalTicketId,
    /// Tries so far.
    pub tries: u32,
    /// Since when it is asked for.
    pub queued_at: Timestamp,
}

/// Whether a pair may be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayDisconnect {
    /// It may.
    Now,
    /// A call is under way that may be making it, or another pair of the same Serval ticket.
    Later,
    /// Another external ticket of the source has the same Serval ticket, and would lose it.
    Shared,
    /// Nobody wants that any more.
    Withdrawn,
}

type Row = (i64, String, String, String, i64, i64);

/// Whether there may be any pair to take apart. Every connect asks about its own; mostly there is
/// none at all, and a look into the database would cost as much as the rest of the step.
#[derive(Debug)]
pub(super) struct Asked {
    /// How many times pairs were asked for.
    times: AtomicU64,
    /// How many of these times there was none left after.
    done: AtomicU64,
}

impl Default for Asked {
    /// What a dead process left is not known yet.
    fn default() -> Self {
        Self {
            times: AtomicU64::new(1),
            done: AtomicU64::new(0),
        }
    }
}

impl Asked {
    /// After the commit that asks, and before its answer.
    pub(super) fn again(&self) {
        self.times.fetch_add(1, Ordering::SeqCst);
    }

    fn is_open(&self) -> bool {
        self.times.load(Ordering::SeqCst) != self.done.load(Ordering::SeqCst)
    }
}

fn in_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2)
}

fn from_row(row: Row) -> Result<Disconnect, StoreError> {
    let (id, source, external_id, ticket_id, tries, queued_at) = row;
    let corrupt = |_| StoreError::Corrupt(format!("disconnect {id}"));
    Ok(Disconnect {
        id,
        ticket: ExternalTicket {
            source: source.parse().map_err(corrupt)?,
            external_id: ExternalId::from_store(external_id),
        },
        ticket_id: ticket_id.parse().map_err(corrupt)?,
        tries: u32::try_from(tries).unwrap_or(u32::MAX),
        queued_at: moment(queued_at)?,
    })
}

impl Store {
    /// The next pair that is due to be taken apart, of those that no call may be making. Claims last
    /// for `lease`: one that was taken later is about another Serval ticket.
    pub async fn next_disconnect(
        &self,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Disconnect>, StoreError> {
        const NEXT: &str = concat!(
            "-- store::disconnects::next
            SELECT d.id, d.source, d.external_id, d.ticket_id, d.tries, d.queued_at
            FROM disconnects AS d
            WHERE d.due_at <= $1
                AND NOT EXISTS (SELECT 1 FROM claims AS h
                    WHERE h.expires_at <= d.queued_at + $2 AND h.external = ",
            external!("d.source", "d.external_id"),
            ")
            ORDER BY d.due_at, d.id LIMIT 1"
        );
        if !self.is_any_disconnect_left().await? {
            return Ok(None);
        }
        let row: Option<Row> = sqlx::query_as(NEXT)
            .bind(millis(now))
            .bind(in_millis(lease))
            .fetch_optional(&self.readers)
            .await?;
        row.map(from_row).transpose()
    }

    /// A pair of this Serval ticket and any external ticket of the source that is due to be taken
    /// apart.
    pub async fn disconnect_of(
        &self,
        source: &SourceName,
        ticket_id: &ServalTicketId,
        now: Timestamp,
    ) -> Result<Option<Disconnect>, StoreError> {
        const OF: &str = "\
            -- store::disconnects::of
            SELECT id, source, external_id, ticket_id, tries, queued_at FROM disconnects
            WHERE source = $1 AND ticket_id = $2 AND due_at <= $3 LIMIT 1";
        if !self.shared.asked.is_open() {
            return Ok(None);
        }
        let row: Option<Row> = sqlx::query_as(OF)
            .bind(source.as_str())
            .bind(ticket_id.as_str())
            .bind(millis(now))
            .fetch_optional(&self.readers)
            .await?;
        row.map(from_row).transpose()
    }

    /// Whether a pair may be taken apart now. A call about `own` is in the caller's hand, and waits
    /// for the answer.
    pub async fn may_disconnect(
        &self,
        id: i64,
        own: Option<&ExternalTicket>,
        lease: Duration,
    ) -> Result<MayDisconnect, StoreError> {
        const LOOK: &str = concat!(
            "-- store::disconnects::may
            SELECT EXISTS (SELECT 1 FROM mappings AS m
                    JOIN connections AS c ON c.external = m.external AND c.ticket_id = m.ticket_id
                    WHERE m.ticket_id = d.ticket_id AND m.source = d.source
                    AND m.external_id <> d.external_id),
                EXISTS (SELECT 1 FROM claims AS h
                    WHERE h.expires_at <= d.queued_at + $4 AND h.external = ",
            external!("d.source", "d.external_id"),
            ") OR EXISTS (SELECT 1 FROM mappings AS m
                    JOIN claims AS h ON h.external = m.external
                    WHERE m.ticket_id = d.ticket_id AND m.source = d.source
                    AND m.external_id <> d.external_id
                    AND (m.source, m.external_id) <> ($2, $3))
            FROM disconnects AS d WHERE d.id = $1"
        );
        let (source, external_id) = own.map_or(("", ""), |own| {
            (own.source.as_str(), own.external_id.as_str())
        });
        let row: Option<(bool, bool)> = sqlx::query_as(LOOK)
            .bind(id)
            .bind(source)
            .bind(external_id)
            .bind(in_millis(lease))
            .fetch_optional(&self.readers)
            .await?;
        Ok(match row {
            None => MayDisconnect::Withdrawn,
            Some((true, _)) => MayDisconnect::Shared,
            Some((false, true)) => MayDisconnect::Later,
            Some((false, false)) => MayDisconnect::Now,
        })
    }

    /// Looks whether all that was asked for is done.
    async fn is_any_disconnect_left(&self) -> Result<bool, StoreError> {
        const LEFT: &str = "\
            -- store::disconnects::left
            SELECT EXISTS (SELECT 1 FROM disconnects)";
        let asked = &self.shared.asked;
        if !asked.is_open() {
            return Ok(false);
        }
        // Read before the look: what is asked for after it is not among the times that are done.
        let times = asked.times.load(Ordering::SeqCst);
        let is_left: bool = sqlx::query_scalar(LEFT).fetch_one(&self.readers).await?;
        if !is_left {
            asked.done.store(times, Ordering::SeqCst);
        }
        Ok(is_left)
    }

    /// The pair is apart, or will never be: nothing more to do.
    pub async fn end_disconnect(&self, id: i64) -> Result<(), StoreError> {
        const END: &str = "\
            -- store::disconnects::end
            DELETE FROM disconnects WHERE id = $1";
        self.write(move |tx| {
            Box::pin(async move {
                sqlx::query(END)
                    .bind(id)
                    .execute(tx.connection().await?)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// It did not work; again at `at`.
    pub async fn retry_disconnect(
        &self,
        id: i64,
        at: Timestamp,
        error: String,
    ) -> Result<(), StoreError> {
        const LATER: &str = "\
            -- store::disconnects::later
            UPDATE disconnects SET due_at = $2, tries = tries + 1, last_error = $3 WHERE id = $1";
        self.write(move |tx| {
            let error = error.clone();
            Box::pin(async move {
                sqlx::query(LATER)
                    .bind(id)
                    .bind(millis(at))
                    .bind(error)
                    .execute(tx.connection().await?)
                    .await?;
                Ok(())
            })
        })
        .await
    }
}

/// Asks for a pair to be taken apart, if Serval has it, or may have it by a call that is under way
/// or ended unclearly. It may be connected again afterwards.
///
/// Serval takes a ticket apart from a whole integration. Where the ticket has another external
/// ticket of the source, that one would go, too: then nothing is asked for.
pub(super) async fn ask(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    ticket_id: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const FORGET: &str = concat!(
        "-- store::disconnects::forget
        DELETE FROM connections WHERE ticket_id = $3 AND external = ",
        external!("$1", "$2")
    );
    const DOUBT: &str = concat!(
        "-- store::disconnects::doubt
        SELECT EXISTS (SELECT 1 FROM claims WHERE external = ",
        external!("$1", "$2"),
        ") OR EXISTS (SELECT 1 FROM events WHERE state = 'queued' AND in_doubt AND external = ",
        external!("$1", "$2"),
        ")"
    );
    const ASK: &str = "\
        -- store::disconnects::ask
        INSERT INTO disconnects (source, external_id, ticket_id, due_at, tries, queued_at)
        VALUES ($1, $2, $3, $4, 0, $4)";
    const SHARED: &str = "\
        -- store::disconnects::shared
        SELECT EXISTS (SELECT 1 FROM mappings AS m JOIN connections AS c
            ON c.external = m.external AND c.ticket_id = m.ticket_id
            WHERE m.ticket_id = $3 AND m.source = $1 AND m.external_id <> $2)";
    let is_shared: bool = sqlx::query_scalar(SHARED)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .bind(ticket_id)
        .fetch_one(tx.connection().await?)
        .await?;
    if is_shared {
        tracing::warn!(
            ticket.external = %ticket,
            ticket.serval = ticket_id,
            "not disconnected: the Serval ticket has another external ticket of the source, which \
             would be disconnected with it"
        );
        return Ok(false);
    }
    let forgotten = sqlx::query(FORGET)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .bind(ticket_id)
        .execute(tx.connection().await?)
        .await?;
    if forgotten.rows_affected() == 0 {
        let may_be: bool = sqlx::query_scalar(DOUBT)
            .bind(ticket.source.as_str())
            .bind(ticket.external_id.as_str())
            .fetch_one(tx.connection().await?)
            .await?;
        if !may_be {
            return Ok(false);
        }
    }
    sqlx::query(ASK)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .bind(ticket_id)
        .bind(millis(now))
        .execute(tx.connection().await?)
        .await?;
    tx.wake = true;
    tx.asks_to_disconnect = true;
    Ok(true)
}

/// A call has just made the pair: if it was asked to be taken apart meanwhile, it is not remembered
/// as connected.
pub(super) async fn forget_where_asked(
    tx: &mut Tx,
    external: i64,
    ticket_id: &ServalTicketId,
) -> Result<(), StoreError> {
    const FORGET: &str = "\
        -- store::disconnects::forget_where_asked
        DELETE FROM connections WHERE external = $1 AND ticket_id = $2
            AND EXISTS (SELECT 1 FROM external_tickets AS x
                JOIN disconnects AS d ON d.source = x.source AND d.external_id = x.external_id
                WHERE x.id = $1 AND d.ticket_id = $2)";
    let forgotten = sqlx::query(FORGET)
        .bind(external)
        .bind(ticket_id.as_str())
        .execute(tx.connection().await?)
        .await?;
    tx.wake |= forgotten.rows_affected() > 0;
    Ok(())
}

/// The pair is wanted again: what still waits to take it apart does not.
pub(super) async fn withdraw(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    ticket_id: &ServalTicketId,
) -> Result<(), StoreError> {
    const WITHDRAW: &str = "\
        -- store::disconnects::withdraw
        DELETE FROM disconnects WHERE source = $1 AND external_id = $2 AND ticket_id = $3";
    sqlx::query(WITHDRAW)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .bind(ticket_id.as_str())
        .execute(tx.connection().await?)
        .await?;
    Ok(())
}
