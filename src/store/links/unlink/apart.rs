//! Pairs that a person has Serval unlink, beside the mapping or without one.

use jiff::Timestamp;

use super::request;
use crate::domain::ids::{ExternalId, ExternalTicket};
use crate::store::audit::{self, Action};
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::queue::on_mapped::{self, Standing, may_stand};
use crate::store::sql::{args, external, row};

/// Result of an order to take a pair apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Apart {
    /// The order stands, from now or from before.
    Ordered,
    /// Serval has no such pair, as far as is known.
    Missing,
    /// Nothing was ordered: the Serval ticket has this external ticket of the source, too.
    Shared(String),
    /// Nothing was ordered: this external ticket of the source would lose its link, and nothing is stored
    /// that could connect it again.
    Lost(String),
}

row! {
    /// Another external ticket of the source that a Serval ticket has.
    struct Neighbour {
        external: i64,
        external_id: ExternalId,
        can_return: bool,
    }
}

impl Store {
    /// Orders that a pair is unlinked. With `force` the other external tickets of the source that the
    /// Serval ticket has are connected again afterwards: Serval unlinks all of a source.
    pub async fn take_apart(
        &self,
        ticket: &ExternalTicket,
        ticket_id: &str,
        force: bool,
        now: Timestamp,
    ) -> Result<Apart, StoreError> {
        let (ticket, ticket_id, by) = (ticket.clone(), ticket_id.to_owned(), self.by.clone());
        let turn = self.mappings_turn().await?;
        self.write_mappings(turn, move |tx| {
            let (ticket, ticket_id, by) = (ticket.clone(), ticket_id.clone(), by.clone());
            Box::pin(async move {
                let apart = take_apart(tx, &ticket, &ticket_id, force, now).await?;
                if apart == Apart::Ordered {
                    let (action, of) = (Action::Unlink, Some(ticket_id.as_str()));
                    audit::note(tx, by.as_deref(), action, Some(&ticket), of, now).await?;
                }
                Ok(apart)
            })
        })
        .await
    }
}

async fn take_apart(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    ticket_id: &str,
    force: bool,
    now: Timestamp,
) -> Result<Apart, StoreError> {
    if is_ordered(tx, ticket, ticket_id).await? {
        return Ok(Apart::Ordered);
    }
    if !pairs(tx, ticket)
        .await?
        .iter()
        .any(|pair| pair == ticket_id)
    {
        return Ok(Apart::Missing);
    }
    let neighbours = neighbours(tx, ticket, ticket_id).await?;
    if let Some(neighbour) = neighbours.first().filter(|_| !force) {
        return Ok(Apart::Shared(neighbour.external_id.to_string()));
    }
    if let Some(neighbour) = neighbours.iter().find(|neighbour| !neighbour.can_return) {
        return Ok(Apart::Lost(neighbour.external_id.to_string()));
    }
    for neighbour in neighbours {
        bring_back(tx, ticket, neighbour, ticket_id, now).await?;
    }
    Ok(if request(tx, ticket, ticket_id, now).await? {
        Apart::Ordered
    } else {
        Apart::Missing
    })
}

/// Orders that all pairs of an external ticket but one are unlinked. One that would take the link of
/// another external ticket along stays.
pub(in crate::store::links) async fn take_others_apart(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    kept: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    for pair in pairs(tx, ticket).await? {
        if pair != kept && !is_ordered(tx, ticket, &pair).await? {
            request(tx, ticket, &pair, now).await?;
        }
    }
    Ok(())
}

async fn is_ordered(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    ticket_id: &str,
) -> Result<bool, StoreError> {
    const ORDERED: &str = "\
        -- store::apart::ordered
        SELECT EXISTS (SELECT 1 FROM disconnects
            WHERE source = $1 AND external_id = $2 AND ticket_id = $3)";
    let args = args![&ticket.source, &ticket.external_id, ticket_id];
    tx.fetch_one(ORDERED, args).await
}

/// The Serval tickets that have the external ticket, or may have it.
async fn pairs(tx: &mut Tx, ticket: &ExternalTicket) -> Result<Vec<String>, StoreError> {
    const PAIRS: &str = concat!(
        "-- store::apart::pairs
        SELECT ticket_id FROM connections WHERE external = ",
        external!("$1", "$2"),
        " UNION
        SELECT ticket_id FROM claims WHERE ticket_id IS NOT NULL AND external = ",
        external!("$1", "$2"),
        " UNION
        SELECT ticket_id FROM doubts WHERE ticket_id <> '' AND external = ",
        external!("$1", "$2")
    );
    let args = args![&ticket.source, &ticket.external_id];
    tx.fetch_all(PAIRS, args).await
}

async fn neighbours(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    ticket_id: &str,
) -> Result<Vec<Neighbour>, StoreError> {
    const NEIGHBOURS: &str = concat!(
        "-- store::apart::neighbours
        SELECT m.external, m.external_id, EXISTS (SELECT 1 FROM events AS e
            WHERE e.external = m.external AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)
                AND ",
        may_stand!(),
        ") FROM mappings AS m
        JOIN connections AS c ON c.external = m.external AND c.ticket_id = m.ticket_id
        WHERE m.ticket_id = $3 AND m.source = $1 AND m.external_id <> $2"
    );
    let args = args![&ticket.source, &ticket.external_id, ticket_id];
    tx.fetch_all(NEIGHBOURS, args).await
}

/// Has a neighbour connected again: its link is taken for one that Serval may have, and its object is queued.
/// A call to a Serval ticket waits for an unlink of it.
async fn bring_back(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    neighbour: Neighbour,
    ticket_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    const DOUBT: &str = "\
        -- store::apart::doubt
        INSERT INTO doubts (external, ticket_id, event_id)
        SELECT external, ticket_id, event_id FROM connections WHERE external = $1 AND ticket_id = $2
        ON CONFLICT (external, ticket_id) DO NOTHING";
    const FORGET: &str = "\
        -- store::apart::forget
        DELETE FROM connections WHERE external = $1 AND ticket_id = $2";
    for statement in [DOUBT, FORGET] {
        tx.run(statement, args![neighbour.external, ticket_id])
            .await?;
    }
    let neighbour = ExternalTicket {
        source: ticket.source.clone(),
        external_id: neighbour.external_id,
    };
    on_mapped::follow(tx, &neighbour, Standing::Missing, now).await
}
