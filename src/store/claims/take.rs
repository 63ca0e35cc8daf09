//! Taking events from the queue.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::FromRow as _;

use super::row::{ClaimRow, from_row};
use super::{Claim, ClaimScope, Place, give_back_expired, hold, set_aside};
use crate::domain::ids::EventId;
use crate::domain::retry::later;
use crate::store::error::StoreError;
use crate::store::hand_off::Offer;
use crate::store::writer::Tx;
use crate::store::{Store, WRITE_PATIENCE, millis, moment};

/// What a claim asks for.
#[derive(Clone, Copy)]
struct Taking {
    scope: ClaimScope,
    /// What is due by then is due.
    until: Timestamp,
    limit: usize,
    expires_at: Timestamp,
}

/// What it got.
struct Taken {
    claims: Vec<Claim>,
    /// Whether nothing else is due that is not in hand.
    is_all: bool,
}

impl Store {
    /// Takes up to `limit` events for `lease`: the oldest of each external ticket, none of a
    /// ticket that is in hand.
    pub async fn claim(
        &self,
        scope: ClaimScope,
        limit: usize,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let taking = Taking {
            scope,
            until: now,
            limit,
            expires_at: later(now, lease),
        };
        self.write(move |tx| Box::pin(async move { Ok(take(tx, taking, now).await?.claims) }))
            .await
    }

    /// The same for events that are due, as many as `offer` has places. Where there are fewer, the
    /// places that are left are offered to the webhooks that come next: see [`Store::handed_off`].
    pub async fn claim_or_offer(
        &self,
        offer: Offer,
        now: Timestamp,
    ) -> Result<Vec<Claim>, StoreError> {
        self.close_hand_off();
        self.write(move |tx| {
            Box::pin(async move {
                // What shares the transaction may have arrived a little later: not by much, or its
                // clock was set, and what waits for another hour is not due for that.
                let latest = later(now, WRITE_PATIENCE);
                let arrived = tx.handing.received_until;
                let taking = Taking {
                    scope: ClaimScope::Due,
                    until: now.max(arrived.min(latest)),
                    limit: offer.places,
                    expires_at: offer.expires_at,
                };
                let taken = take(tx, taking, now).await?;
                if taken.is_all && arrived <= latest {
                    let places = offer.places - taken.claims.len();
                    tx.handing.found_nothing_more(Offer { places, ..offer });
                }
                Ok(taken.claims)
            })
        })
        .await
    }

    /// The earliest moment at which an event is due that could be claimed then: the first of its
    /// external ticket, which is not in hand, or not for longer than until `now`.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        const NEXT: &str = "\
            -- store::claims::next_due
            SELECT e.due_at FROM events AS e INDEXED BY events_due
            WHERE e.state = 'queued'
                AND NOT EXISTS (SELECT 1 FROM events AS o INDEXED BY events_head
                    WHERE o.state = 'queued' AND o.external = e.external AND o.id < e.id)
                AND NOT EXISTS (SELECT 1 FROM claims AS c
                    WHERE c.external = e.external AND c.expires_at > $1)
            ORDER BY e.due_at LIMIT 1";
        let due: Option<i64> = sqlx::query_scalar(NEXT)
            .bind(millis(now))
            .fetch_optional(&self.readers)
            .await?;
        due.map(moment).transpose()
    }
}

async fn take(tx: &mut Tx, taking: Taking, now: Timestamp) -> Result<Taken, StoreError> {
    const TAKE: &str = "\
        -- store::claims::claim
        SELECT e.id, e.source, x.external_id, e.tries, e.in_doubt, e.queued_at, e.subtype,
               x.ticket_id, c.ticket_id IS NOT NULL, x.accounted_for,
               substr(p.body, p.object_start + 1, p.object_len), e.hint, e.traceparent, e.external,
               e.due_at
        FROM events AS e INDEXED BY events_due
        LEFT JOIN external_tickets AS x ON x.id = e.external
        LEFT JOIN connections AS c ON c.external = x.id AND c.ticket_id = x.ticket_id
        LEFT JOIN payloads AS p ON p.event_id = e.id
        WHERE e.state = 'queued' AND e.due_at <= ? AND e.not_before <= ?
            AND (e.due_at, e.id) > (?, ?)
            AND NOT EXISTS (SELECT 1 FROM events AS o INDEXED BY events_head
                WHERE o.state = 'queued' AND o.external = e.external AND o.id < e.id)
            AND NOT EXISTS (SELECT 1 FROM claims AS h WHERE h.external = e.external)
        ORDER BY e.due_at, e.id
        LIMIT ?";
    let limit = i64::try_from(taking.limit).unwrap_or(i64::MAX);
    if millis(now) >= tx.claims_last_until {
        give_back_expired(tx, now).await?;
        tx.place = None;
    }
    let due_until = match taking.scope {
        ClaimScope::Due => millis(taking.until),
        ClaimScope::Probe => i64::MAX,
    };
    let mut from = match tx.place.take() {
        Some(place) if taking.scope == ClaimScope::Due && place.is_good(millis(now)) => place,
        Some(_) | None => Place {
            since: millis(now),
            ..Place::START
        },
    };
    let (rows, is_all) = loop {
        let batch = tx.later();
        batch.push(TAKE);
        batch.bind(due_until)?;
        batch.bind(millis(now))?;
        batch.bind(from.due_at)?;
        batch.bind(from.id)?;
        batch.bind(limit)?;
        let rows = tx.fetch_all().await?;
        let rows = rows.iter().map(ClaimRow::from_row);
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|n| n == limit);
        match rows.last() {
            Some(last) if is_full => {
                let (due_at, id) = (last.14, last.0);
                tx.next_place = Some(Place { due_at, id, ..from });
                break (rows, false);
            }
            _ if from.id == Place::START.id => break (rows, true),
            _ => (from.due_at, from.id) = (Place::START.due_at, Place::START.id),
        }
    };
    let mut claims = Vec::with_capacity(rows.len());
    let mut externals = Vec::with_capacity(rows.len());
    for row in rows {
        let (event, external) = (EventId(row.0), row.13);
        match from_row(row, taking.expires_at) {
            Ok(claim) => {
                externals.push(external);
                claims.push(claim);
            }
            // One broken row must not stand in the way of the others.
            Err(error) => set_aside(tx, event, &error, now).await?,
        }
    }
    let held: Vec<_> = claims.iter().zip(externals).collect();
    hold(tx, held.len(), &held)?;
    Ok(Taken { claims, is_all })
}
