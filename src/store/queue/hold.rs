//! The rows of claims, and events that cannot be claimed.

use std::sync::LazyLock;

use jiff::Timestamp;

use super::claim::Claim;
use super::{on_mapped, transition};
use crate::domain::event::{EventState, Rank};
use crate::domain::ids::{EventId, ServalTicketId};
use crate::domain::reason::Reason;
use crate::domain::report::Report;
use crate::store::commit::tx::Tx;
use crate::store::engine::{Kind, LARGEST, Size, SizedStatement};
use crate::store::error::StoreError;
use crate::store::links::doubts;
use crate::store::sql::{args, millis, row};

/// Stores claims, each with the row id of its external ticket. The statement has the size for `rows`
/// rows, so that it shares a text with the other statements of that size.
pub(crate) fn hold(tx: &mut Tx, rows: usize, claims: &[(&Claim, i64)]) {
    static HOLD: LazyLock<SizedStatement> = LazyLock::new(|| {
        SizedStatement::insert(
            "claims",
            &["event_id", "token", "expires_at", "external", "ticket_id"],
            &[Kind::Int, Kind::Text, Kind::Int, Kind::Int, Kind::Text],
        )
    });
    for chunk in claims.chunks(LARGEST) {
        HOLD.push(
            tx.later(),
            Size::of(rows),
            chunk,
            |batch, (claim, external)| {
                batch.bind(claim.event.0);
                batch.bind(claim.token.as_str());
                batch.bind(millis(claim.expires_at));
                batch.bind(external);
                let mapped_to = claim.mapped_to.as_ref();
                batch.bind(mapped_to.map(ServalTicketId::as_str));
            },
        );
    }
    if tx.is_shared() {
        let tokens = claims.iter().map(|(claim, _)| claim.token.as_str());
        tx.made.extend(tokens.map(str::to_owned));
    }
    let ends = claims.iter().map(|(claim, _)| millis(claim.expires_at));
    let first = ends.min().unwrap_or(i64::MAX);
    // The time of the first claim to end is kept in memory, so that looking for expired claims
    // costs nothing while there are none.
    tx.claims_last_until = tx.claims_last_until.min(first);
}

/// Time after which claims are looked for that other processes made.
const LOOK_AGAIN_MS: i64 = 1_000;

row! {
    /// A later deletion, beside the rank of an event without a body.
    struct Later {
        external: i64,
        own: Rank,
        report: Report,
        rank: Rank,
    }
}

/// Gives up an event whose row cannot be read; a person can look at it. One whose body was deleted by its
/// sender has nothing left to do: the best event that is left takes its place.
pub(super) async fn set_aside(
    tx: &mut Tx,
    event: EventId,
    error: &StoreError,
    now: Timestamp,
) -> Result<(), StoreError> {
    // A deletion that came while the event was claimed left its state to the end of the claim.
    const DELETIONS: &str = "\
        -- store::hold::deletions
        SELECT e.external, e.rank_major, e.rank_minor, r.report, r.rank_major, r.rank_minor
        FROM events AS e
        CROSS JOIN events AS r INDEXED BY events_report ON r.external = e.external
        WHERE e.id = $1 AND r.report IS NOT NULL AND r.report <> 'message_edit' AND r.id > e.id
            AND NOT EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)";
    let (queued, dead) = (EventState::Queued, EventState::Dead);
    let later: Vec<Later> = tx.fetch_all(DELETIONS, args![event]).await?;
    let deletion =
        (later.iter()).find(|later| later.report.is_about_earlier(later.rank, later.own));
    if let Some(Later { external, .. }) = deletion {
        let (to, reason) = (EventState::Skipped, Some(Reason::Deleted));
        transition::move_event(tx, event, queued, to, reason, now).await?;
        // Events that stood behind it in the queue may be claimable now.
        tx.effects.wake = true;
        return on_mapped::stand_in(tx, *external, None, now).await;
    }
    tracing::error!(%event, %error, "a broken row is set aside as dead");
    transition::move_event(tx, event, queued, dead, Some(Reason::BrokenRow), now).await?;
    Ok(())
}

/// Deletes the claims that ran out. Their calls may have been made, so their pairs are in doubt.
pub(super) async fn give_back_expired(tx: &mut Tx, now: Timestamp) -> Result<(), StoreError> {
    const FREE: &str = "\
        -- store::hold::give_back_expired
        DELETE FROM claims WHERE expires_at <= $1 RETURNING event_id, external, ticket_id";
    const NEXT: &str = "\
        -- store::hold::next_to_expire
        SELECT MIN(expires_at) FROM claims";
    // This happens only if a step hung or the clock was set, so one statement for each event is
    // fast enough.
    let expired: Vec<(EventId, i64, Option<String>)> =
        tx.fetch_all(FREE, args![millis(now)]).await?;
    // By the clock of its holder it may last a little longer. That one looks again before its call.
    tx.effects.revises |= !expired.is_empty();
    for (event, external, ticket_id) in expired {
        tracing::warn!(%event, "a claim ran out; the event is due again");
        if let Some(ticket_id) = ticket_id {
            doubts::add(tx, external, &ticket_id, event).await?;
        }
    }
    let next: Option<i64> = tx.fetch_one(NEXT, args![]).await?;
    let next = next.unwrap_or(i64::MAX);
    tx.claims_last_until = if tx.is_shared() {
        next.min(millis(now) + LOOK_AGAIN_MS)
    } else {
        next
    };
    Ok(())
}
