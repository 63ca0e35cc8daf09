//! The schedule of events: the place that decides `due_at`, `not_before`, `tries` and `queued_at`. Two
//! hot statements repeat rows of the table, because they write many events at once: `settle/rows.rs`
//! (moved to another state) and `inbox/insert.rs` (stored). Unlinks have a schedule of their own, in
//! `links/unlink.rs`.
//!
//! - `due_at`: when the event may be claimed; of a parked one, when it expires.
//! - `not_before`: a time that Serval asked for; 0 if it asked for none. Nothing makes the event due
//!   earlier.
//! - `tries`: calls that the backoff counts.
//! - `queued_at`: when the event entered the queue; `delivery.give_up_after` counts from it.
//!
//! | what happened | `due_at` | `not_before` | `tries` | `queued_at` |
//! |---|---|---|---|---|
//! | stored as parked | arrival + `park_for` | 0 | 0 | arrival |
//! | stored in another state | arrival | 0 | 0 | arrival |
//! | supersedes a queued event | that of the other, but `not_before` | the later one | the higher one | the earlier one |
//! | moved into the queue (mapped, replayed) | now | 0 | 0 | now |
//! | parked again, its mapping is gone | now + `park_for` | 0 | | |
//! | moved to another state | now | 0 | | |
//! | failed, Serval named a time | that time | that time | + 1 if counted | |
//! | failed otherwise | after the backoff | 0 | + 1 if counted | |
//! | claim released, or it ran out | | | | |
//! | mapped to another Serval ticket | now, but `not_before` | | 0 | now |
//! | outage over | now, but `not_before` | | | |
//! | process started | now, but `not_before` | 0 if too far away | | |
//! | the clock made a step | + the step | + the step if set | | + the step |
//!
//! An empty cell: the value stays. "Now, but `not_before`": the later of both, and never later than
//! before.

use jiff::Timestamp;

use super::settle::types::Settlement;
use crate::domain::event::EventState;
use crate::domain::ids::{EventId, ExternalTicket};
use crate::domain::retry::{MAX_RETRY_AFTER, Place, later};
use crate::store::commit::tx::Tx;
use crate::store::engine::Conn;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::sql::{self, args, external, millis, row};

/// Assignments for an event that moves to the state `$state` at `$now`, for an `UPDATE` of events.
macro_rules! on_move {
    ($state:literal, $now:literal) => {
        concat!(
            "due_at = ",
            $now,
            ", not_before = 0,
            queued_at = CASE WHEN ",
            $state,
            " = 'queued' THEN ",
            $now,
            " ELSE queued_at END,
            tries = CASE WHEN ",
            $state,
            " = 'queued' THEN 0 ELSE tries END"
        )
    };
}
pub(crate) use on_move;

/// Assignments for a queued event whose mapping changed at `$now`. What failed with one Serval ticket
/// tells nothing about another, so the event keeps no wait but one that Serval asked for.
macro_rules! on_new_mapping {
    ($now:literal) => {
        concat!(
            "due_at = MAX(",
            $now,
            ", not_before), tries = 0, queued_at = ",
            $now,
            ", updated_at = ",
            $now
        )
    };
}
pub(crate) use on_new_mapping;

row! {
    /// A queued event.
    struct Waiting {
        event: EventId,
        due_at: i64,
        not_before: i64,
        tries: i64,
        queued_at: i64,
    }
}

impl Waiting {
    fn place(&self) -> Place {
        Place {
            due_at: self.due_at,
            not_before: self.not_before,
            tries: self.tries,
            queued_at: self.queued_at,
        }
    }
}

/// Returns the place of an event that is stored in `state`.
pub(crate) fn first(state: EventState, received_at: Timestamp, park_for_ms: i64) -> Place {
    let received_at = millis(received_at);
    let due_at = if state == EventState::Parked {
        received_at.saturating_add(park_for_ms)
    } else {
        received_at
    };
    Place {
        due_at,
        not_before: 0,
        tries: 0,
        queued_at: received_at,
    }
}

/// Returns the place of a queued event.
pub(crate) async fn place(tx: &mut Tx, event: EventId) -> Result<Option<Place>, StoreError> {
    const PLACE: &str = "\
        -- store::schedule::place
        SELECT id, due_at, not_before, tries, queued_at FROM events
        WHERE id = $1 AND state = 'queued'";
    let queued: Option<Waiting> = tx.fetch_optional(PLACE, args![event]).await?;
    Ok(queued.map(|queued| queued.place()))
}

/// Gives the place of a queued event to the newest save of its record, which supersedes it.
pub(crate) async fn hand_over(tx: &mut Tx, event: EventId) -> Result<(), StoreError> {
    const BOTH: &str = "\
        -- store::schedule::both
        SELECT q.id, q.due_at, q.not_before, q.tries, q.queued_at
        FROM (SELECT CAST($1 AS BIGINT) AS id UNION SELECT x.newest
            FROM events AS e CROSS JOIN external_tickets AS x ON x.id = e.external
            WHERE e.id = $1) AS two
        CROSS JOIN events AS q ON q.id = two.id AND q.state = 'queued'";
    const TAKE: &str = "\
        -- store::schedule::take_over
        UPDATE events SET due_at = $2, not_before = $3, tries = $4, queued_at = $5
        WHERE id = $1 AND state = 'queued'";
    let both: Vec<Waiting> = tx.fetch_all(BOTH, args![event]).await?;
    let find = |is_loser| both.iter().find(|q| (q.event == event) == is_loser);
    let Some((loser, winner)) = find(true).zip(find(false)) else {
        return Ok(());
    };
    let Place {
        due_at,
        not_before,
        tries,
        queued_at,
    } = winner.place().instead_of(loser.place());
    let args = args![winner.event, due_at, not_before, tries, queued_at];
    tx.run(TAKE, args).await?;
    Ok(())
}

/// Schedules the next try of an event, if `settlement` is a retry.
pub(crate) async fn retry(
    tx: &mut Tx,
    event: EventId,
    settlement: &Settlement,
    now: Timestamp,
) -> Result<(), StoreError> {
    const LATER: &str = "\
        -- store::schedule::reschedule
        UPDATE events
        SET due_at = $2, not_before = $3, tries = tries + $4, last_error = $5, updated_at = $6
        WHERE id = $1 AND state = 'queued'";
    let Settlement::Retry {
        at,
        asked,
        counts,
        error,
        ..
    } = settlement
    else {
        return Ok(());
    };
    let at = millis(*at);
    let not_before = if *asked { at } else { 0 };
    let (counts, now) = (i64::from(*counts), millis(now));
    let args = args![event.0, at, not_before, counts, error, now];
    tx.run(LATER, args).await?;
    Ok(())
}

/// Leaves the schedule as it is: the claim is given back, and the event is due as before.
pub(crate) async fn release(
    tx: &mut Tx,
    event: EventId,
    error: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const RELEASE: &str = "\
        -- store::schedule::release
        UPDATE events
        SET last_error = COALESCE($2, last_error), updated_at = $3
        WHERE id = $1 AND state = 'queued'";
    tx.run(RELEASE, args![event.0, error, millis(now)]).await?;
    Ok(())
}

/// Sets the time at which a parked event expires.
pub(crate) async fn expire_at(
    tx: &mut Tx,
    event: EventId,
    until: Timestamp,
) -> Result<(), StoreError> {
    const EXPIRY: &str = "\
        -- store::schedule::expiry
        UPDATE events SET due_at = $2 WHERE id = $1";
    tx.run(EXPIRY, args![event.0, millis(until)]).await?;
    Ok(())
}

/// Begins again with the queued events of an external ticket, because its mapping changes.
pub(crate) async fn restart(
    tx: &mut Tx,
    ticket: &ExternalTicket,
    now: Timestamp,
) -> Result<(), StoreError> {
    const ANEW: &str = concat!(
        "-- store::schedule::begin_anew\nUPDATE events SET ",
        on_new_mapping!("$3"),
        " WHERE state = 'queued' AND external = ",
        external!("$1", "$2")
    );
    let (source, id) = (ticket.source.as_str(), ticket.external_id.as_str());
    tx.run(ANEW, args![source, id, millis(now)]).await?;
    Ok(())
}

/// Makes all queued events due, since the process starts: that is a new chance for each of them.
pub(crate) async fn on_start(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    const EARLIER: &str = "\
        -- store::schedule::earlier
        UPDATE events INDEXED BY events_due
        SET due_at = CASE WHEN not_before BETWEEN $1 AND $2 THEN not_before ELSE $1 END,
            not_before = CASE WHEN not_before BETWEEN $1 AND $2 THEN not_before ELSE 0 END
        WHERE state = 'queued' AND due_at > $1";
    // A wait that Serval may not ask for was written while the clock was ahead.
    let furthest = later(now, MAX_RETRY_AFTER);
    sql::run(conn, EARLIER, args![millis(now), millis(furthest)]).await?;
    Ok(())
}

/// Moves the times of waiting events, claims and unlinks by `step` milliseconds, because the clock was set by
/// that much: they last as long as they would have.
pub(crate) async fn on_step(conn: &mut Conn, step: i64) -> Result<(), StoreError> {
    // Some events have no end in time, which must not overflow.
    const STATEMENTS: [&str; 4] = [
        "-- store::schedule::step_of_queued
        UPDATE events INDEXED BY events_due
        SET due_at = MIN(due_at, $2) + $1, queued_at = queued_at + $1,
            not_before = CASE WHEN not_before > 0 THEN not_before + $1 ELSE 0 END
        WHERE state = 'queued'",
        "-- store::schedule::step_of_parked
        UPDATE events INDEXED BY events_expiry
        SET due_at = MIN(due_at, $2) + $1, queued_at = queued_at + $1
        WHERE state = 'parked'",
        "-- store::schedule::step_of_claims
        UPDATE claims SET expires_at = MIN(expires_at, $2) + $1",
        "-- store::schedule::step_of_unlinks
        UPDATE disconnects SET due_at = MIN(due_at, $2) + $1, queued_at = queued_at + $1",
    ];
    for statement in STATEMENTS {
        sql::run(&mut *conn, statement, args![step, i64::MAX / 2]).await?;
    }
    Ok(())
}

impl Store {
    /// Makes the events due that have not waited yet and are due later than `now`. A write that took the time
    /// before the clock was set back, and was committed after the waits were moved, left them so.
    pub async fn hasten_new(&self, now: Timestamp) -> Result<(), StoreError> {
        const NEW: &str = "\
            -- store::schedule::hasten_new
            UPDATE events INDEXED BY events_due SET due_at = $1, queued_at = $1
            WHERE state = 'queued' AND due_at > $1 AND due_at = queued_at AND not_before = 0";
        self.write(move |tx| {
            Box::pin(async move {
                if tx.run(NEW, args![millis(now)]).await? > 0 {
                    tx.effects.wake = true;
                }
                Ok(())
            })
        })
        .await
    }

    /// Makes all queued events due, since Serval answers again after an outage.
    pub async fn retry_all_now(&self, now: Timestamp) -> Result<(), StoreError> {
        const HASTEN: &str = "\
            -- store::schedule::retry_all_now
            UPDATE events INDEXED BY events_due SET due_at = MAX($1, not_before)
            WHERE state = 'queued' AND due_at > $1 AND due_at > not_before";
        self.write(move |tx| {
            Box::pin(async move {
                tx.run(HASTEN, args![millis(now)]).await?;
                tx.effects.wake = true;
                Ok(())
            })
        })
        .await
    }
}
