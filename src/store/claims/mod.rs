//! Claims: which calls to Serval are in hand.
//!
//! A claim is a row written before the call is made. It carries a token that the settlement must
//! show, and an end; a claim that ran out goes back to the queue as in doubt, since its call may
//! have been made. At most one claim for an external ticket, its oldest event first.

mod row;
mod take;

use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;
use jiff::Timestamp;

use super::error::StoreError;
use super::sized::{LARGEST, Size, SizedStatement};
use super::writer::Tx;
use super::{change, millis};
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket, ServalTicketId};
use crate::domain::trace::TraceParent;

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

/// Writes claims down, each with its external ticket, in statements of the size that takes `rows`, to
/// go with others of that size.
pub(super) fn hold(tx: &mut Tx, rows: usize, claims: &[(&Claim, i64)]) -> Result<(), StoreError> {
    static HOLD: LazyLock<SizedStatement> = LazyLock::new(|| {
        SizedStatement::insert("claims", &["event_id", "token", "expires_at", "external"])
    });
    for chunk in claims.chunks(LARGEST) {
        HOLD.push(
            tx.later(),
            Size::of(rows),
            chunk,
            |batch, (claim, external)| {
                batch.bind(claim.event.0)?;
                batch.bind_text(claim.token.as_str())?;
                batch.bind(millis(claim.expires_at))?;
                batch.bind(external)
            },
        )?;
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
