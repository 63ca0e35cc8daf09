//! Claims: which calls to Serval are in hand.
//!
//! A claim is a row written before the call is made. It carries a token that the settlement must
//! show, and an end; a claim that ran out goes back to the queue as in doubt, since its call may
//! have been made. At most one claim for an external ticket, its oldest event first.

mod row;

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use sqlx::FromRow as _;

use super::error::StoreError;
use super::sized::{LARGEST, Size, Sized};
use super::writer::Tx;
use super::{Store, change, millis, moment};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket, ServalTicketId};
use crate::domain::trace::TraceParent;
use row::{ClaimRow, from_row};

/// Proves that a claim is still held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimToken(String);

impl ClaimToken {
    pub(super) fn random() -> Self {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).expect("the system has randomness to give");
        Self(hex::encode(bytes))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// An event in the hands of a worker.
#[derive(Clone)]
pub struct Claim {
    /// The event.
    pub event: EventId,
    /// What it is about.
    pub ticket: ExternalTicket,
    /// Needed to settle.
    pub token: ClaimToken,
    /// When the claim runs out.
    pub expires_at: Timestamp,
    /// Tries that the retry schedule counted.
    pub tries: u32,
    /// Whether an earlier call may have reached Serval.
    pub in_doubt: bool,
    /// When the event entered the queue.
    pub queued_at: Timestamp,
    /// `externalTicketSubtype`.
    pub subtype: Option<String>,
    /// The Serval ticket that the mapping names now.
    pub mapped_to: Option<ServalTicketId>,
    /// Whether Serval has that pair.
    pub is_connected: bool,
    /// The Serval ticket that the payload names, not yet looked into.
    pub hint: Option<ServalTicketId>,
    /// Serval message ids that the mapping says are known over there.
    pub accounted_for: Vec<String>,
    /// Where the event belongs in a trace.
    pub traceparent: Option<TraceParent>,
    /// The external object, byte for byte.
    pub object: Bytes,
}

impl fmt::Debug for Claim {
    /// Without the object, which is somebody's ticket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("event", &self.event)
            .field("ticket", &self.ticket)
            .field("expires_at", &self.expires_at)
            .field("object_bytes", &self.object.len())
            .finish_non_exhaustive()
    }
}

/// Which events a claim may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimScope {
    /// Those that are due.
    Due,
    /// The one that has waited for the longest, due or not, unless Serval asked to wait: to see
    /// whether Serval answers.
    Probe,
}

/// How far the queue was gone through by the claim before. What lies before that place is in hand,
/// or was passed over since its external ticket is; going through it again for every claim would
/// cost more than the claim.
///
/// Anything that may put an event before the place forgets it, and time does: see [`Tx`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    due_at: i64,
    id: i64,
    since: i64,
}

impl Place {
    const START: Self = Self {
        due_at: i64::MIN,
        id: i64::MIN,
        since: i64::MIN,
    };
    /// Milliseconds after which the queue is gone through from its start again.
    const LASTS: i64 = 1000;

    fn is_good(&self, now: i64) -> bool {
        (self.since..self.since.saturating_add(Self::LASTS)).contains(&now)
    }

    /// Whether an event that is due then comes after it.
    pub(super) fn is_before(&self, due_at: i64) -> bool {
        self.due_at < due_at
    }
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
        self.write(move |tx| Box::pin(claim(tx, scope, limit, now, lease)))
            .await
    }

    /// The same for events that are due. Where there are fewer than `limit`, the places that are left
    /// are offered to the webhooks that come next: see [`Store::handed_off`].
    pub async fn claim_or_offer(
        &self,
        limit: usize,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        self.close_hand_off();
        self.write(move |tx| {
            Box::pin(async move {
                // What shares the transaction may have arrived a little later.
                let arrived = moment(tx.handing.received_until)?;
                let claims = claim(tx, ClaimScope::Due, limit, now.max(arrived), lease).await?;
                if claims.len() < limit {
                    tx.handing.found_nothing_more(limit - claims.len(), lease);
                }
                Ok(claims)
            })
        })
        .await
    }

    /// The earliest moment at which a queued event is due, of those that are not in hand.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        const NEXT: &str = "\
            -- store::claims::next_due
            SELECT e.due_at FROM events AS e INDEXED BY events_due
            WHERE e.state = 'queued'
                AND NOT EXISTS (SELECT 1 FROM claims AS c WHERE c.external = e.external)
            ORDER BY e.due_at LIMIT 1";
        let due: Option<i64> = sqlx::query_scalar(NEXT)
            .fetch_optional(&self.readers)
            .await?;
        due.map(moment).transpose()
    }
}

async fn claim(
    tx: &mut Tx,
    scope: ClaimScope,
    limit: usize,
    now: Timestamp,
    lease: Duration,
) -> Result<Vec<Claim>, StoreError> {
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
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    if millis(now) >= tx.claims_last_until {
        give_back_expired(tx, now).await?;
        tx.place = None;
    }
    let due_until = match scope {
        ClaimScope::Due => millis(now),
        ClaimScope::Probe => i64::MAX,
    };
    let mut from = match tx.place.take() {
        Some(place) if scope == ClaimScope::Due && place.is_good(millis(now)) => place,
        Some(_) | None => Place {
            since: millis(now),
            ..Place::START
        },
    };
    let rows = loop {
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
                break rows;
            }
            _ if from.id == Place::START.id => break rows,
            _ => (from.due_at, from.id) = (Place::START.due_at, Place::START.id),
        }
    };
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let expires_at = now + lease;
    let mut claims = Vec::with_capacity(rows.len());
    let mut externals = Vec::with_capacity(rows.len());
    for row in rows {
        let (event, external) = (EventId(row.0), row.13);
        match from_row(row, expires_at) {
            Ok(claim) => {
                externals.push(external);
                claims.push(claim);
            }
            // One broken row must not stand in the way of the others.
            Err(error) => set_aside(tx, event, &error, now).await?,
        }
    }
    let held: Vec<_> = claims.iter().zip(externals).collect();
    hold(tx, None, &held)?;
    Ok(claims)
}

/// Writes claims down, each with its external ticket, in statements of `size` if that takes them.
pub(super) fn hold(
    tx: &mut Tx,
    size: Option<Size>,
    claims: &[(&Claim, i64)],
) -> Result<(), StoreError> {
    static HOLD: LazyLock<Sized> =
        LazyLock::new(|| Sized::insert("claims", &["event_id", "token", "expires_at", "external"]));
    for chunk in claims.chunks(LARGEST) {
        let size = size.or_else(|| Size::of(chunk.len()));
        let Some(size) = size else { continue };
        HOLD.push(tx.later(), size, chunk, |batch, (claim, external)| {
            batch.bind(claim.event.0)?;
            batch.bind_text(claim.token.as_str())?;
            batch.bind(millis(claim.expires_at))?;
            batch.bind(external)
        })?;
    }
    let ends = claims.iter().map(|(claim, _)| millis(claim.expires_at));
    let first = ends.min().unwrap_or(i64::MAX);
    tx.claims_last_until = tx.claims_last_until.min(first);
    Ok(())
}

/// Buries an event whose row cannot be worked on; a person can look at it.
async fn set_aside(
    tx: &mut Tx,
    event: EventId,
    error: &StoreError,
    now: Timestamp,
) -> Result<(), StoreError> {
    tracing::error!(%event, %error, "a broken row is set aside as dead");
    let (queued, dead) = (EventState::Queued, EventState::Dead);
    change::move_event(tx, event, queued, dead, Some("broken_row"), now).await?;
    Ok(())
}

/// Frees the claims that ran out.
async fn give_back_expired(tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
    const FREE: &str = "\
        -- store::claims::give_back_expired
        DELETE FROM claims WHERE expires_at <= $1 RETURNING event_id";
    const DOUBT: &str = "\
        -- store::claims::doubt
        UPDATE events SET in_doubt = 1 WHERE id = $1";
    const NEXT: &str = "\
        -- store::claims::next_to_expire
        SELECT MIN(expires_at) FROM claims";
    let expired: Vec<i64> = sqlx::query_scalar(FREE)
        .bind(millis(now))
        .fetch_all(tx.connection().await?)
        .await?;
    for event in expired {
        tracing::warn!(event = %EventId(event), "a claim ran out; the event is due again");
        sqlx::query(DOUBT)
            .bind(event)
            .execute(tx.connection().await?)
            .await?;
    }
    let next: Option<i64> = sqlx::query_scalar(NEXT)
        .fetch_one(tx.connection().await?)
        .await?;
    tx.claims_last_until = next.unwrap_or(i64::MAX);
    Ok(())
}
