//! A step of an import: one transaction that does for some of its rows what writing a single mapping does, and
//! deletes them from the staging.
//!
//! Invariant: no statement is run once for each row, because webhooks wait meanwhile. A damaged event is left out,
//! since a step that fails is tried until it succeeds, and no call is made before.

use jiff::Timestamp;

use crate::domain::event::EventState;
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::links::doubts::doubt;
use crate::store::links::mapping::Origin;
use crate::store::queue::on_mapped::{Candidate, best, may_stand};
use crate::store::queue::schedule::{on_move, on_new_mapping};
use crate::store::sql::{Args, args, json, millis, next_ticket};

/// Condition for the rows `r` of a step. `$4` is the time, `$5` the origin.
macro_rules! of_step {
    () => {
        "r.import_id = $1 AND (r.source, r.external_id) <= ($2, $3)"
    };
}

/// Finds the last row of the step. All rows before it are in the step, since those of earlier steps are deleted.
const LAST: &str = "\
    -- store::step::last
    SELECT source, external_id FROM (
        SELECT source, external_id FROM import_rows WHERE import_id = $1
        ORDER BY source, external_id LIMIT $2) AS step
    ORDER BY source DESC, external_id DESC LIMIT 1";

/// Gives each external ticket a row. All later statements find it by the id of that row.
const NAME: &str = concat!(
    "-- store::step::name
    INSERT INTO external_tickets (id, source, external_id)
    SELECT ",
    next_ticket!(),
    " - 1 + ROW_NUMBER() OVER (ORDER BY r.source, r.external_id), r.source, r.external_id
    FROM import_rows AS r WHERE ",
    of_step!(),
    " ON CONFLICT (source, external_id) DO NOTHING"
);
const NUMBER: &str = concat!(
    "-- store::step::number
    UPDATE import_rows AS r
    SET external = (SELECT x.id FROM external_tickets AS x
        WHERE x.source = r.source AND x.external_id = r.external_id)
    WHERE ",
    of_step!()
);

/// Requests to unlink the pairs that are about to be replaced, if Serval has them or may have them:
/// by a call that is under way, or that ended in doubt. Leaves out a Serval ticket that has, and
/// keeps, another external ticket of the source, which would lose its link too. One that a later step maps
/// to another Serval ticket does not keep it.
const UNLINK: &str = concat!(
    "-- store::step::unlink
    INSERT INTO disconnects (source, external_id, ticket_id, due_at, tries, queued_at)
    SELECT m.source, m.external_id, m.ticket_id, $4, 0, $4
    FROM import_rows AS r
    CROSS JOIN mappings AS m ON m.external = r.external AND m.ticket_id <> r.ticket_id
    WHERE ",
    of_step!(),
    " AND r.unlinks_old = 1
        AND (EXISTS (SELECT 1 FROM connections AS c
                WHERE c.external = m.external AND c.ticket_id = m.ticket_id)
            OR EXISTS (SELECT 1 FROM claims AS h
                WHERE h.external = m.external AND h.ticket_id = m.ticket_id)
            OR ",
    doubt!("m.external", "m.ticket_id"),
    " IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM mappings AS o
            JOIN connections AS c ON c.external = o.external AND c.ticket_id = o.ticket_id
            WHERE o.ticket_id = m.ticket_id AND o.source = m.source
            AND o.external <> m.external
            AND NOT EXISTS (SELECT 1 FROM import_rows AS x
                WHERE x.import_id = $1 AND x.source = o.source
                AND x.external_id = o.external_id AND x.ticket_id <> o.ticket_id))"
);
/// Puts the replaced pairs that wait to be unlinked in doubt.
const DOUBT: &str = concat!(
    "-- store::step::doubt
    INSERT INTO doubts (external, ticket_id, event_id)
    SELECT m.external, m.ticket_id, COALESCE(c.event_id, h.event_id)
    FROM import_rows AS r
    CROSS JOIN mappings AS m ON m.external = r.external AND m.ticket_id <> r.ticket_id
    CROSS JOIN disconnects AS d INDEXED BY disconnects_ticket
        ON d.source = r.source AND d.external_id = r.external_id AND d.ticket_id = m.ticket_id
    LEFT JOIN connections AS c ON c.external = m.external AND c.ticket_id = m.ticket_id
    LEFT JOIN claims AS h ON h.external = m.external AND h.ticket_id = m.ticket_id
    WHERE ",
    of_step!(),
    " AND (c.event_id IS NOT NULL OR h.event_id IS NOT NULL)
    ON CONFLICT (external, ticket_id) DO NOTHING"
);
/// Deletes the connections of replaced pairs that wait to be unlinked.
const FORGET: &str = concat!(
    "-- store::step::forget
    DELETE FROM connections WHERE (external, ticket_id) IN (
        SELECT m.external, m.ticket_id
        FROM import_rows AS r
        CROSS JOIN mappings AS m ON m.external = r.external AND m.ticket_id <> r.ticket_id
        CROSS JOIN disconnects AS d INDEXED BY disconnects_ticket
            ON d.source = r.source AND d.external_id = r.external_id AND d.ticket_id = m.ticket_id
        WHERE ",
    of_step!(),
    ")"
);

/// Forgets the failures of events whose mapping is about to change: they were about another Serval
/// ticket. A wait that Serval asked for stays.
const ANEW: &str = concat!(
    "-- store::step::begin_anew\nUPDATE events SET ",
    on_new_mapping!("$4"),
    " WHERE state = 'queued' AND id IN (
        SELECT e.id
        FROM import_rows AS r
        CROSS JOIN mappings AS m ON m.external = r.external AND m.ticket_id <> r.ticket_id
        CROSS JOIN events AS e ON e.state = 'queued' AND e.external = m.external
        WHERE ",
    of_step!(),
    ")"
);
/// Writes the mappings. An equal mapping keeps its time and its origin.
const WRITE: &str = concat!(
    "-- store::step::write
    UPDATE external_tickets
    SET ticket_id = r.ticket_id, accounted_for = r.accounted_for, origin = $5,
        created_at = COALESCE(created_at, $4), updated_at = $4, taught_by = NULL
    FROM import_rows AS r
    WHERE ",
    of_step!(),
    " AND external_tickets.id = r.external
        AND (external_tickets.ticket_id IS DISTINCT FROM r.ticket_id
            OR external_tickets.accounted_for <> r.accounted_for)"
);
/// Withdraws the requests to unlink pairs that are wanted now.
const WITHDRAW: &str = concat!(
    "-- store::step::withdraw
    DELETE FROM disconnects WHERE id IN (
        SELECT d.id
        FROM import_rows AS r
        CROSS JOIN disconnects AS d INDEXED BY disconnects_ticket
            ON d.source = r.source AND d.external_id = r.external_id AND d.ticket_id = r.ticket_id
        WHERE ",
    of_step!(),
    ")"
);
/// Closes the conflicts about Serval tickets that the mappings name now.
const CLOSE: &str = concat!(
    "-- store::step::close
    UPDATE conflicts SET decided_at = $4, decision = 'replace'
    WHERE decision IS NULL AND id IN (
        SELECT c.id
        FROM import_rows AS r
        CROSS JOIN conflicts AS c
            ON c.source = r.source AND c.external_id = r.external_id AND c.learned = r.ticket_id
        WHERE c.decision IS NULL AND ",
    of_step!(),
    ")"
);

/// Finds parked events whose pair Serval has already, because the mapping was removed for a while, and is
/// sent nothing for it again.
const CONNECTED: &str = concat!(
    "-- store::step::parked_connected
    INSERT INTO import_events (event_id)
    SELECT e.id
    FROM import_rows AS r
    CROSS JOIN events AS e ON e.state = 'parked' AND e.external = r.external
    CROSS JOIN connections AS c ON c.external = r.external AND c.ticket_id = r.ticket_id
    WHERE ",
    of_step!(),
    " AND r.reconnects = 0"
);
/// Finds the other parked events.
const PARKED: &str = concat!(
    "-- store::step::parked
    INSERT INTO import_events (event_id)
    SELECT e.id
    FROM import_rows AS r
    CROSS JOIN events AS e ON e.state = 'parked' AND e.external = r.external
    WHERE ",
    of_step!()
);
/// Finds the newest save of each record whose pair Serval does not have, or has with an older save that is
/// sent again.
const NEWEST: &str = concat!(
    "-- store::step::newest
    INSERT INTO import_events (event_id)
    SELECT e.id
    FROM import_rows AS r
    CROSS JOIN external_tickets AS x ON x.id = r.external
    CROSS JOIN events AS e ON e.id = x.newest
    WHERE ",
    of_step!(),
    " AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)
        AND (NOT EXISTS (SELECT 1 FROM connections AS c
                WHERE c.external = r.external AND c.ticket_id = r.ticket_id)
            OR (r.reconnects = 1
                AND NOT (e.state = 'connected' AND e.ticket_id IS NOT DISTINCT FROM r.ticket_id)))"
);
/// Finds the events that may stand for each other pair that Serval does not have, if none is queued.
const CANDIDATES: &str = concat!(
    "-- store::step::candidates
    SELECT e.external, e.id, e.state, e.rank_major, e.rank_minor
    FROM import_rows AS r
    CROSS JOIN events AS e INDEXED BY events_external ON e.external = r.external
    WHERE ",
    of_step!(),
    " AND NOT EXISTS (SELECT 1 FROM connections AS c
            WHERE c.external = r.external AND c.ticket_id = r.ticket_id)
        AND NOT EXISTS (SELECT 1 FROM events AS q
            WHERE q.state = 'queued' AND q.external = r.external)
        AND NOT EXISTS (SELECT 1 FROM external_tickets AS x
            JOIN payloads AS n ON n.event_id = x.newest
            WHERE x.id = r.external)
        AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)
        AND ",
    may_stand!(),
    " ORDER BY e.external, e.id"
);
const FOUND: &str = "\
    -- store::step::found
    INSERT INTO import_events (event_id) SELECT CAST(atom AS BIGINT) FROM json_each($1)";
const WRITTEN: &str = concat!(
    "-- store::step::written\nDELETE FROM import_rows AS r WHERE ",
    of_step!()
);
const END: &str = "\
    -- store::step::end
    DELETE FROM imports WHERE id = $1";

/// Makes the found events those that stand for their records, as `stand` in `on_mapped.rs` does for one.
const STAND: &str = "\
    -- store::step::stand
    UPDATE external_tickets SET newest = e.id
    FROM import_events AS i CROSS JOIN events AS e ON e.id = i.event_id
    WHERE external_tickets.id = e.external AND external_tickets.newest IS NOT NULL";

/// Writes the next `rows` rows of the import `id`. Returns true if they were the last.
pub(crate) async fn step(
    tx: &mut Tx,
    id: i64,
    rows: u32,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let last: Option<(String, String)> = tx.fetch_optional(LAST, args![id, rows]).await?;
    let (source, external_id) = last.unwrap_or_default();
    let of_step = || -> Args {
        let origin = Origin::Import.as_str();
        args![id, &source, &external_id, millis(now), origin]
    };
    // A claim that was made before the import may be about to be sent. It looks again before its call.
    tx.effects.revises = true;
    for statement in [NAME, NUMBER] {
        tx.run(statement, of_step()).await?;
    }
    // Both need the old mappings, so they come before the new ones are written.
    if tx.run(UNLINK, of_step()).await? > 0 {
        for statement in [DOUBT, FORGET] {
            tx.run(statement, of_step()).await?;
        }
        tx.effects.asks_to_disconnect = true;
    }
    for statement in [ANEW, WRITE, WITHDRAW, CLOSE] {
        tx.run(statement, of_step()).await?;
    }
    for (find, to, reason) in [
        (CONNECTED, EventState::Skipped, Reason::AlreadyConnected),
        (PARKED, EventState::Queued, Reason::Mapped),
        (NEWEST, EventState::Queued, Reason::Mapped),
    ] {
        if tx.run(find, of_step()).await? > 0 {
            move_found(tx, to, reason, now).await?;
        }
    }
    let candidates: Vec<(i64, Candidate)> = tx.fetch_readable(CANDIDATES, of_step()).await?;
    let each = candidates.chunk_by(|(one, _), (next, _)| one == next);
    let best = each.filter_map(|candidates| best(candidates.iter().map(|(_, event)| event)));
    let found: Vec<i64> = best.map(|best| best.event.0).collect();
    if !found.is_empty() {
        tx.run(FOUND, args![json(&found)]).await?;
        tx.run(STAND, args![]).await?;
        move_found(tx, EventState::Queued, Reason::Mapped, now).await?;
    }
    let is_last = tx.run(WRITTEN, of_step()).await? < u64::from(rows);
    if is_last {
        tx.run(END, args![id]).await?;
        // Also for events that were queued before: they may have a Serval ticket only now.
        tx.effects.wake = true;
    }
    Ok(is_last)
}

/// Moves the found events that are not in state `to` yet. Does for a whole set what
/// [`move_event`](crate::store::queue::transition::move_event) does for one event. An event with a damaged state
/// stays as it is.
async fn move_found(
    tx: &mut Tx,
    to: EventState,
    reason: Reason,
    now: Timestamp,
) -> Result<(), StoreError> {
    const COUNT: &str = "\
        -- store::step::count_found
        SELECT e.source, e.state, COUNT(*)
        FROM import_events AS i CROSS JOIN events AS e ON e.id = i.event_id
        WHERE e.state <> $1 GROUP BY e.source, e.state";
    const NOTE: &str = "\
        -- store::step::note_found
        INSERT INTO changes (event_id, at, state, reason)
        SELECT e.id, $3, $1, $2
        FROM import_events AS i CROSS JOIN events AS e ON e.id = i.event_id
        WHERE e.state <> $1 AND (e.state || '') IN (SELECT atom FROM json_each($4))";
    const MOVE: &str = concat!(
        "-- store::step::move_found
        UPDATE events SET state = $1, reason = $2, updated_at = $3, ",
        on_move!("$1", "$3"),
        " WHERE id IN (SELECT event_id FROM import_events) AND state <> $1
            AND (state || '') IN (SELECT atom FROM json_each($4))"
    );
    const EMPTY: &str = "\
        -- store::step::empty
        DELETE FROM import_events";
    let moved: Vec<(String, EventState, i64)> = tx.fetch_readable(COUNT, args![to]).await?;
    for (source, from, n) in moved {
        tx.counts.moved(&source, from, to, n);
    }
    let known = json(&EventState::ALL.map(EventState::as_str));
    for statement in [NOTE, MOVE] {
        tx.run(statement, args![to, reason, millis(now), &known])
            .await?;
    }
    tx.run(EMPTY, args![]).await?;
    Ok(())
}
