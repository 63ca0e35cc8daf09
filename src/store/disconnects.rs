//! Pairs that Serval should let go of: asked for by a changed mapping, or by its removal.

use jiff::Timestamp;

use super::error::StoreError;
use super::writer::Tx;
use super::{Store, external, millis, moment};
use crate::domain::ids::{ExternalId, ExternalTicket, ServalTicketId};

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

impl Store {
    /// The next pair that is due to be taken apart.
    pub async fn next_disconnect(&self, now: Timestamp) -> Result<Option<Disconnect>, StoreError> {
        const NEXT: &str = "\
            -- store::disconnects::next
            SELECT id, source, external_id, ticket_id, tries, queued_at FROM disconnects
            WHERE due_at <= $1 ORDER BY due_at, id LIMIT 1";
        type Row = (i64, String, String, String, i64, i64);
        let row: Option<Row> = sqlx::query_as(NEXT)
            .bind(millis(now))
            .fetch_optional(&self.readers)
            .await?;
        let Some((id, source, external_id, ticket_id, tries, queued_at)) = row else {
            return Ok(None);
        };
        let corrupt = |_| StoreError::Corrupt(format!("disconnect {id}"));
        Ok(Some(Disconnect {
            id,
            ticket: ExternalTicket {
                source: source.parse().map_err(corrupt)?,
                external_id: ExternalId::from_store(external_id),
            },
            ticket_id: ticket_id.parse().map_err(corrupt)?,
            tries: u32::try_from(tries).unwrap_or(u32::MAX),
            queued_at: moment(queued_at)?,
        }))
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
                    .execute(&mut tx.connection)
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
                    .execute(&mut tx.connection)
                    .await?;
                Ok(())
            })
        })
        .await
    }
}

/// Asks for a pair to be taken apart, if Serval has it. It may be connected again afterwards.
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
        .fetch_one(&mut tx.connection)
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
        .execute(&mut tx.connection)
        .await?;
    if forgotten.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(ASK)
        .bind(ticket.source.as_str())
        .bind(ticket.external_id.as_str())
        .bind(ticket_id)
        .bind(millis(now))
        .execute(&mut tx.connection)
        .await?;
    tx.wake = true;
    Ok(true)
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
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}
