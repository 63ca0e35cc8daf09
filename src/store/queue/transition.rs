//! Changes of an event's state. Each is guarded by the state that it expects, stored with its time and
//! reason, and counted.

use jiff::Timestamp;

use super::schedule::{self, on_move};
use crate::domain::event::{EventState, NAMED_IN_VAIN};
use crate::domain::ids::EventId;
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::sql::{args, json, millis};

/// Assignments for an event that moves to `$state` for `$reason` at `$now`. `$named`: see [`NAMED_IN_VAIN`].
macro_rules! assignments {
    ($state:literal, $reason:literal, $now:literal, $named:literal) => {
        concat!(
            "state = ",
            $state,
            ", reason = ",
            $reason,
            ", updated_at = ",
            $now,
            // A dead, expired or ignored event gives up its content, so that another event may bring the
            // same.
            ", content = CASE WHEN ",
            $state,
            " IN ('dead', 'expired', 'ignored') THEN NULL ELSE content END,
            last_error = CASE WHEN ",
            // An event that is parked waits for a mapping. An earlier error about a call tells nothing
            // about that; one about the Serval ticket that the payload names does.
            $state,
            " = 'parked' AND instr(last_error, ",
            $named,
            ") <> 1 THEN NULL ELSE last_error END, ",
            on_move!($state, $now)
        )
    };
}

/// Moves an event from one state to another. Returns `false`, and changes nothing, if the event is not
/// in `from`.
pub(crate) async fn move_event(
    tx: &mut Tx,
    event: EventId,
    from: EventState,
    to: EventState,
    reason: Option<Reason>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    transition(tx, event, (from, to), reason.map(Reason::as_str), now).await
}

/// Skips a queued event that the newest save of its record supersedes: that one waits in its place.
pub(crate) async fn supersede(
    tx: &mut Tx,
    event: EventId,
    now: Timestamp,
) -> Result<(), StoreError> {
    schedule::hand_over(tx, event).await?;
    let (from, to) = (EventState::Queued, EventState::Skipped);
    move_event(tx, event, from, to, Some(Reason::Superseded), now).await?;
    // What stood behind it in the queue may be claimable now.
    tx.effects.wake = true;
    Ok(())
}

/// Moves a finished event to the queue again, for the reason that a person gave.
pub(crate) async fn requeue(
    tx: &mut Tx,
    event: EventId,
    from: EventState,
    words: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    transition(tx, event, (from, EventState::Queued), Some(words), now).await
}

async fn transition(
    tx: &mut Tx,
    event: EventId,
    (from, to): (EventState, EventState),
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const MOVE: &str = concat!(
        "-- store::transition::move_event\nUPDATE events SET ",
        assignments!("$3", "$4", "$5", "$6"),
        " WHERE id = $1 AND state = $2
        RETURNING source"
    );
    const NOTE: &str = "\
        -- store::transition::note
        INSERT INTO changes (event_id, at, state, reason) VALUES ($1, $2, $3, $4)";
    let at = millis(now);
    let moved = args![
        event.0,
        from.as_str(),
        to.as_str(),
        reason,
        at,
        NAMED_IN_VAIN
    ];
    let Some(source) = tx.fetch_optional::<String>(MOVE, moved).await? else {
        return Ok(false);
    };
    tx.run(NOTE, args![event.0, at, to.as_str(), reason])
        .await?;
    tx.counts.moved(&source, from, to, 1);
    tx.effects.wake |= to == EventState::Queued;
    Ok(true)
}

/// Moves events, each from the state it is in, with a few statements for any number. The caller has just
/// read the states in this transaction.
pub(crate) async fn move_all(
    tx: &mut Tx,
    events: &[(EventId, EventState)],
    to: EventState,
    reason: Reason,
    now: Timestamp,
) -> Result<(), StoreError> {
    const COUNT: &str = "\
        -- store::transition::count_all
        SELECT e.source, e.state, COUNT(*)
        FROM json_each($1) AS m CROSS JOIN events AS e
            ON e.id = CAST(m.value ->> 0 AS BIGINT) AND e.state = m.value ->> 1
        GROUP BY e.source, e.state";
    const NOTE: &str = "\
        -- store::transition::note_all
        INSERT INTO changes (event_id, at, state, reason)
        SELECT e.id, $2, $3, $4
        FROM json_each($1) AS m CROSS JOIN events AS e
            ON e.id = CAST(m.value ->> 0 AS BIGINT) AND e.state = m.value ->> 1";
    const MOVE: &str = concat!(
        "-- store::transition::move_all\nUPDATE events SET ",
        assignments!("$3", "$4", "$2", "$5"),
        " FROM json_each($1) AS m WHERE events.id = CAST(m.value ->> 0 AS BIGINT) AND events.state = m.value ->> 1"
    );
    if events.is_empty() {
        return Ok(());
    }
    let rows = events.iter().map(|(event, from)| (event.0, from.as_str()));
    let rows = json(&rows.collect::<Vec<_>>());
    let moved: Vec<(String, EventState, i64)> = tx.fetch_all(COUNT, args![&rows]).await?;
    for (source, from, n) in moved {
        tx.counts.moved(&source, from, to, n);
    }
    tx.run(NOTE, args![&rows, millis(now), to, reason]).await?;
    let args = args![&rows, millis(now), to, reason, NAMED_IN_VAIN];
    tx.run(MOVE, args).await?;
    tx.effects.wake |= to == EventState::Queued;
    Ok(())
}
