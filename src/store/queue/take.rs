//! Claims events of the queue.

use std::time::Duration;

use jiff::Timestamp;

use super::claim::{Claim, ClaimScope};
use super::due_row::DueRow;
use super::hold::{give_back_expired, hold, set_aside};
use super::transition;
use crate::domain::ids::EventId;
use crate::domain::retry::later;
use crate::store::body::body_columns;
use crate::store::commit::turn::OF_WEBHOOKS;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::links::doubts::doubt;
use crate::store::queue::offer::Offer;
use crate::store::sql::{self, args, is_direct, is_outranked, millis, moment};

/// Request for claims.
#[derive(Clone, Copy)]
struct Taking {
    scope: ClaimScope,
    /// Events that are due by this time are taken.
    until: Timestamp,
    limit: usize,
    expires_at: Timestamp,
}

/// Answer to a [`Taking`].
struct Taken {
    claims: Vec<Claim>,
    /// True if nothing else can be claimed now.
    is_all: bool,
}

impl Store {
    /// Claims up to `limit` events for `lease`: the oldest event of each external ticket that has no
    /// claim.
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

    /// Claims events that are due, one for each place of `offer`. If there are fewer events, the next
    /// webhooks get the other places: see [`Store::handed_off`].
    pub async fn claim_or_offer(
        &self,
        offer: Offer,
        now: Timestamp,
    ) -> Result<Vec<Claim>, StoreError> {
        self.close_hand_off();
        self.write(move |tx| {
            Box::pin(async move {
                // Webhooks of this transaction may have arrived after `now`, and are due at their
                // arrival. An arrival far in the future comes from a clock that was set: it must not
                // make events due that wait.
                let latest = later(now, OF_WEBHOOKS.end);
                let arrived = tx.effects.handing.received_until;
                let taking = Taking {
                    scope: ClaimScope::Due,
                    until: now.max(arrived.min(latest)),
                    limit: offer.places,
                    expires_at: offer.expires_at,
                };
                let taken = take(tx, taking, now).await?;
                if taken.is_all && arrived <= latest {
                    let places = offer.places - taken.claims.len();
                    tx.effects
                        .handing
                        .found_nothing_more(Offer { places, ..offer });
                }
                Ok(taken.claims)
            })
        })
        .await
    }

    /// Returns the earliest time at which an event is due, of the events that can be claimed: the first
    /// of its external ticket, which has no claim or only one that ran out.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        const NEXT: &str = "\
            -- store::take::next_due
            SELECT e.due_at FROM events AS e INDEXED BY events_due
            WHERE e.state = 'queued'
                AND e.id = (SELECT o.id FROM events AS o INDEXED BY events_head
                    WHERE o.state = 'queued' AND o.external = e.external ORDER BY o.id LIMIT 1)
                AND (SELECT c.event_id FROM claims AS c
                    WHERE c.external = e.external AND c.expires_at > $1) IS NULL
            ORDER BY e.due_at LIMIT 1";
        let due: Option<i64> = sql::fetch_optional(&self.readers, NEXT, args![millis(now)]).await?;
        due.map(moment).transpose()
    }
}

/// Claims events in the order in which they are due.
///
/// The statement skips an event if an older one of its external ticket is queued, or if the ticket has
/// a claim: two calls about one ticket could arrive in the wrong order. It asks that for each event by a subquery
/// with one value. Postgres would turn `NOT EXISTS` into a join, and may read all that waits for each event of it.
async fn take(tx: &mut Tx, taking: Taking, now: Timestamp) -> Result<Taken, StoreError> {
    const TAKE: &str = concat!(
        "-- store::take::claim
        SELECT e.id, e.source, x.external_id, e.tries, ",
        doubt!("x.id", "x.ticket_id"),
        ", e.queued_at, e.subtype,
               x.ticket_id, c.ticket_id IS NOT NULL, x.accounted_for, ",
        body_columns!(),
        ", e.hint, e.traceparent, e.external, ",
        is_outranked!("e", "x"),
        ", ",
        is_direct!("e.source", "x.external_id"),
        " FROM events AS e INDEXED BY events_due
        LEFT JOIN external_tickets AS x ON x.id = e.external
        LEFT JOIN connections AS c ON c.external = x.id AND c.ticket_id = x.ticket_id
        LEFT JOIN payloads AS p ON p.event_id = e.id
        WHERE e.state = 'queued' AND e.due_at <= ? AND e.not_before <= ?
            AND e.id = (SELECT o.id FROM events AS o INDEXED BY events_head
                WHERE o.state = 'queued' AND o.external = e.external ORDER BY o.id LIMIT 1)
            AND (SELECT h.event_id FROM claims AS h WHERE h.external = e.external) IS NULL
        ORDER BY e.due_at, e.id
        LIMIT ?"
    );
    if let Some(at) = &mut tx.importing_at {
        // Its next rows are written at the time of the newest question.
        *at = now;
    }
    if tx.importing_at.is_some() || tx.is_importing {
        // Nobody acts on a part of an import.
        return Ok(Taken {
            claims: Vec::new(),
            is_all: false,
        });
    }
    if millis(now) >= tx.claims_last_until {
        give_back_expired(tx, now).await?;
    }
    // A probe takes the event that waits longest, also before it is due: while the breaker is open,
    // all events may wait for a retry.
    let due_until = match taking.scope {
        ClaimScope::Due => millis(taking.until),
        ClaimScope::Probe => i64::MAX,
    };
    let batch = tx.later();
    batch.push(TAKE);
    batch.bind(due_until);
    batch.bind(millis(now));
    batch.bind(i64::try_from(taking.limit).unwrap_or(i64::MAX));
    let rows: Vec<DueRow> = sql::read_all(&tx.fetch_later().await?)?;
    let is_all = rows.len() < taking.limit;
    let mut claims = Vec::with_capacity(rows.len());
    let mut externals = Vec::with_capacity(rows.len());
    let mut is_superseded = false;
    for row in rows {
        let (event, external) = (EventId(row.id), row.external);
        // A newer save came, or the event learned that it has the mapping of one.
        if row.is_outranked {
            transition::supersede(tx, event, now).await?;
            is_superseded = true;
            continue;
        }
        match row.claim(taking.expires_at, tx.revision) {
            Ok(claim) => {
                externals.push(external);
                claims.push(claim);
            }
            // A broken row must not block the others, and would be read again by each claim.
            Err(error) => set_aside(tx, event, &error, now).await?,
        }
    }
    let held: Vec<_> = claims.iter().zip(externals).collect();
    hold(tx, held.len(), &held);
    Ok(Taken {
        claims,
        is_all: is_all && !is_superseded,
    })
}
