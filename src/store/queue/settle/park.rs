//! Parks a claimed event again: its mapping was removed while it was claimed.

use jiff::Timestamp;

use super::subject::Subject;
use crate::domain::event::{EventState, Rank};
use crate::domain::ids::EventId;
use crate::domain::ingest;
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::queue::{schedule, transition};
use crate::store::sql::args;

/// Parks the event until `until`, unless it is mapped again. Only one event of an external ticket is
/// parked, so this event or the parked one becomes `skipped`.
pub(super) async fn park(
    tx: &mut Tx,
    subject: &Subject,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    const PARKED: &str = "\
        -- store::park::parked
        SELECT id, rank_major, rank_minor FROM events
        WHERE state = 'parked' AND external = $1";
    if subject.mapped_to.is_some() {
        return Ok(());
    }
    let parked: Option<(EventId, Rank)> =
        tx.fetch_optional(PARKED, args![subject.external]).await?;
    let placement = ingest::park((subject.event, subject.rank), parked);
    // The parked event first: of one external ticket the database holds only one.
    if let Some(loser) = placement.supersedes {
        let (from, to) = (EventState::Parked, EventState::Skipped);
        let reason = Some(Reason::Superseded);
        transition::move_event(tx, loser, from, to, reason, now).await?;
    }
    let (queued, to) = (EventState::Queued, placement.state);
    transition::move_event(tx, subject.event, queued, to, placement.reason, now).await?;
    if to == EventState::Parked {
        schedule::expire_at(tx, subject.event, until).await?;
    }
    Ok(())
}
