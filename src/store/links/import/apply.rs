//! The one transaction of an import: it does for a whole set what writing a single mapping does.
//!
//! Invariant: no statement is run once for each row, because webhooks wait meanwhile.

use jiff::Timestamp;

use super::types::{ImportRules, Imported, Taken};
use crate::domain::event::EventState;
use crate::domain::ids::SourceName;
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::links::doubts::doubt;
use crate::store::links::mapping::Origin;
use crate::store::queue::on_mapped::{Candidate, best, may_stand};
use crate::store::queue::schedule::{on_move, on_new_mapping};
use crate::store::sql::{args, json, millis};

/// Finds the rows whose Serval ticket has, and keeps, another external ticket of the source. A row
/// that equals a stored mapping is not one of them.
const TAKEN: &str = "\
    -- store::apply::taken
    SELECT r.line, m.external_id
    FROM import_rows AS r
    CROSS JOIN mappings AS m ON m.ticket_id = r.ticket_id AND m.source = r.source
        AND m.external_id <> r.external_id
    WHERE r.import_id = $1 AND r.source IN (SELECT value FROM json_each($2))
        AND NOT EXISTS (SELECT 1 FROM import_rows AS o
            WHERE o.import_id = $1 AND o.source = m.source AND o.external_id = m.external_id
            AND o.ticket_id <> m.ticket_id)
        AND NOT EXISTS (SELECT 1 FROM mappings AS own
            WHERE own.source = r.source AND own.external_id = r.external_id
            AND own.ticket_id = r.ticket_id)
    GROUP BY r.line";

/// Gives each external ticket a row. All later statements find it by the id of that row.
const NAME: &str = "\
    -- store::apply::name
    INSERT INTO external_tickets (source, external_id)
    SELECT source, external_id FROM import_rows WHERE import_id = $1
    ORDER BY source, external_id
    ON CONFLICT (source, external_id) DO NOTHING";
const NUMBER: &str = "\
    -- store::apply::number
    UPDATE import_rows
    SET external = (SELECT x.id FROM external_tickets AS x
        WHERE x.source = import_rows.source AND x.external_id = import_rows.external_id)
    WHERE import_id = $1";

const STAGED: &str = "\
    -- store::apply::staged
    SELECT COUNT(*) FROM import_rows WHERE import_id = $1";
const KNOWN: &str = "\
    -- store::apply::known
    SELECT COUNT(*) FROM import_rows AS r
    CROSS JOIN mappings AS m ON m.external = r.external
    WHERE r.import_id = $1";

/// Requests to unlink the pairs that are about to be replaced, if Serval has them or may have them:
/// by a call that is under way, or that ended in doubt. Leaves out a Serval ticket that has, and
/// keeps, another external ticket of the source, which would lose its link too.
const UNLINK: &str = concat!(
    "-- store::apply::unlink
    INSERT INTO disconnects (source, external_id, ticket_id, due_at, tries, queued_at)
    SELECT m.source, m.external_id, m.ticket_id, $3, 0, $3
    FROM import_rows AS r
    CROSS JOIN mappings AS m ON m.external = r.external AND m.ticket_id <> r.ticket_id
    WHERE r.import_id = $1 AND r.source IN (SELECT value FROM json_each($2))
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
/// Puts pairs that wait to be unlinked in doubt.
const DOUBT: &str = "\
    -- store::apply::doubt
    INSERT INTO doubts (external, ticket_id, event_id)
    SELECT x.id, d.ticket_id, COALESCE(c.event_id, h.event_id)
    FROM disconnects AS d
    JOIN external_tickets AS x ON x.source = d.source AND x.external_id = d.external_id
    LEFT JOIN connections AS c ON c.external = x.id AND c.ticket_id = d.ticket_id
    LEFT JOIN claims AS h ON h.external = x.id AND h.ticket_id = d.ticket_id
    WHERE c.event_id IS NOT NULL OR h.event_id IS NOT NULL
    ON CONFLICT (external, ticket_id) DO UPDATE SET event_id = excluded.event_id";
/// Deletes the connections of pairs that wait to be unlinked.
const FORGET: &str = "\
    -- store::apply::forget
    DELETE FROM connections WHERE (external, ticket_id) IN (
        SELECT x.id, d.ticket_id FROM disconnects AS d
        JOIN external_tickets AS x ON x.source = d.source AND x.external_id = d.external_id)";

/// Forgets the failures of events whose mapping is about to change: they were about another Serval
/// ticket. A wait that Serval asked for stays.
const ANEW: &str = concat!(
    "-- store::apply::begin_anew\nUPDATE events SET ",
    on_new_mapping!("$2"),
    " WHERE state = 'queued' AND id IN (
        SELECT e.id
        FROM import_rows AS r
        CROSS JOIN mappings AS m ON m.external = r.external AND m.ticket_id <> r.ticket_id
        CROSS JOIN events AS e ON e.state = 'queued' AND e.external = m.external
        WHERE r.import_id = $1)"
);
/// Writes the mappings. An equal mapping keeps its time and its origin.
const WRITE: &str = "\
    -- store::apply::write
    UPDATE external_tickets
    SET ticket_id = r.ticket_id, accounted_for = r.accounted_for, origin = $3,
        created_at = COALESCE(created_at, $2), updated_at = $2, taught_by = NULL
    FROM import_rows AS r
    WHERE r.import_id = $1 AND external_tickets.id = r.external
        AND (external_tickets.ticket_id IS NOT r.ticket_id
            OR external_tickets.accounted_for <> r.accounted_for)";
/// Withdraws the requests to unlink pairs that are wanted now.
const WITHDRAW: &str = "\
    -- store::apply::withdraw
    DELETE FROM disconnects WHERE EXISTS (SELECT 1 FROM import_rows AS r
        WHERE r.import_id = $1 AND r.source = disconnects.source
        AND r.external_id = disconnects.external_id AND r.ticket_id = disconnects.ticket_id)";
/// Closes the conflicts about Serval tickets that the mappings name now.
const CLOSE: &str = "\
    -- store::apply::close
    UPDATE conflicts SET decided_at = $2, decision = 'replace'
    WHERE decision IS NULL AND EXISTS (SELECT 1 FROM import_rows AS r
        WHERE r.import_id = $1 AND r.source = conflicts.source
        AND r.external_id = conflicts.external_id AND r.ticket_id = conflicts.learned)";

/// Finds parked events whose pair Serval has already, because the mapping was removed for a while, and is
/// sent nothing for it again.
const CONNECTED: &str = "\
    -- store::apply::parked_connected
    INSERT INTO import_events (event_id)
    SELECT e.id
    FROM import_rows AS r
    CROSS JOIN events AS e ON e.state = 'parked' AND e.external = r.external
    CROSS JOIN connections AS c ON c.external = r.external AND c.ticket_id = r.ticket_id
    WHERE r.import_id = $1 AND r.source NOT IN (SELECT value FROM json_each($2))";
/// Finds the other parked events.
const PARKED: &str = "\
    -- store::apply::parked
    INSERT INTO import_events (event_id)
    SELECT e.id
    FROM import_rows AS r
    CROSS JOIN events AS e ON e.state = 'parked' AND e.external = r.external
    WHERE r.import_id = $1";
/// Finds the newest save of each record whose pair Serval does not have, or has with an older save that is
/// sent again.
const NEWEST: &str = "\
    -- store::apply::newest
    INSERT INTO import_events (event_id)
    SELECT e.id
    FROM import_rows AS r
    CROSS JOIN external_tickets AS x ON x.id = r.external
    CROSS JOIN events AS e ON e.id = x.newest
    WHERE r.import_id = $1
        AND EXISTS (SELECT 1 FROM payloads AS p WHERE p.event_id = e.id)
        AND (NOT EXISTS (SELECT 1 FROM connections AS c
                WHERE c.external = r.external AND c.ticket_id = r.ticket_id)
            OR (r.source IN (SELECT value FROM json_each($2))
                AND NOT (e.state = 'connected' AND e.ticket_id IS r.ticket_id)))";
/// Finds the events that may stand for each other pair that Serval does not have, if none is queued.
const CANDIDATES: &str = concat!(
    "-- store::apply::candidates
    SELECT e.external, e.id, e.state, e.rank_major, e.rank_minor
    FROM import_rows AS r
    CROSS JOIN events AS e INDEXED BY events_external ON e.external = r.external
    WHERE r.import_id = $1
        AND NOT EXISTS (SELECT 1 FROM connections AS c
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
    -- store::apply::found
    INSERT INTO import_events (event_id) SELECT value FROM json_each($1)";

/// Makes the found events those that stand for their records, as
/// [`stand`](crate::store::queue::on_mapped::stand) does for one.
const STAND: &str = "\
    -- store::apply::stand
    UPDATE external_tickets SET newest = e.id
    FROM import_events AS i JOIN events AS e ON e.id = i.event_id
    WHERE external_tickets.id = e.external AND external_tickets.newest IS NOT NULL";

/// Writes the staged mappings; see [`Import::apply`](super::staged::Import::apply).
pub(super) async fn apply(
    tx: &mut Tx,
    id: i64,
    rules: &ImportRules,
    now: Timestamp,
) -> Result<Result<Imported, Vec<Taken>>, StoreError> {
    let args = args![id, json(&rules.one_per_ticket)];
    let taken: Vec<Taken> = tx.fetch_all(TAKEN, args).await?;
    if !taken.is_empty() {
        return Ok(Err(taken));
    }
    for statement in [NAME, NUMBER] {
        tx.run(statement, args![id]).await?;
    }
    let staged: i64 = tx.fetch_one(STAGED, args![id]).await?;
    let known: i64 = tx.fetch_one(KNOWN, args![id]).await?;
    // Both need the old mappings, so they come before the new ones are written.
    unlink_old(tx, id, &rules.unlinks_old, now).await?;
    for statement in [ANEW, WRITE, WITHDRAW, CLOSE] {
        let args = args![id, millis(now), Origin::Import.as_str()];
        tx.run(statement, args).await?;
    }
    for (find, to, reason) in [
        (CONNECTED, EventState::Skipped, Reason::AlreadyConnected),
        (PARKED, EventState::Queued, Reason::Mapped),
        (NEWEST, EventState::Queued, Reason::Mapped),
    ] {
        let args = args![id, json(&rules.reconnects)];
        if tx.run(find, args).await? > 0 {
            move_found(tx, to, reason, now).await?;
        }
    }
    let candidates: Vec<(i64, Candidate)> = tx.fetch_all(CANDIDATES, args![id]).await?;
    let each = candidates.chunk_by(|(one, _), (next, _)| one == next);
    let best = each.filter_map(|candidates| best(candidates.iter().map(|(_, event)| event)));
    let found: Vec<i64> = best.map(|best| best.event.0).collect();
    if !found.is_empty() {
        tx.run(FOUND, args![json(&found)]).await?;
        tx.run(STAND, args![]).await?;
        move_found(tx, EventState::Queued, Reason::Mapped, now).await?;
    }
    // Also for events that were queued before: they may have a Serval ticket only now.
    tx.effects.wake = true;
    Ok(Ok(Imported {
        created: (staged - known).unsigned_abs(),
        replaced: known.unsigned_abs(),
    }))
}

async fn unlink_old(
    tx: &mut Tx,
    id: i64,
    sources: &[SourceName],
    now: Timestamp,
) -> Result<(), StoreError> {
    if !sources.is_empty()
        && tx
            .run(UNLINK, args![id, json(sources), millis(now)])
            .await?
            > 0
    {
        for statement in [DOUBT, FORGET] {
            tx.run(statement, args![]).await?;
        }
        tx.effects.asks_to_disconnect = true;
    }
    Ok(())
}

/// Moves the found events that are not in state `to` yet. Does for a whole set what
/// [`move_event`](crate::store::queue::transition::move_event) does for one event.
async fn move_found(
    tx: &mut Tx,
    to: EventState,
    reason: Reason,
    now: Timestamp,
) -> Result<(), StoreError> {
    const COUNT: &str = "\
        -- store::apply::count_found
        SELECT e.source, e.state, COUNT(*)
        FROM import_events AS i JOIN events AS e ON e.id = i.event_id
        WHERE e.state <> $1 GROUP BY e.source, e.state";
    const NOTE: &str = "\
        -- store::apply::note_found
        INSERT INTO changes (event_id, at, state, reason)
        SELECT e.id, $3, $1, $2
        FROM import_events AS i JOIN events AS e ON e.id = i.event_id
        WHERE e.state <> $1";
    const MOVE: &str = concat!(
        "-- store::apply::move_found
        UPDATE events SET state = $1, reason = $2, updated_at = $3, ",
        on_move!("$1", "$3"),
        " WHERE id IN (SELECT event_id FROM import_events) AND state <> $1"
    );
    const EMPTY: &str = "\
        -- store::apply::empty
        DELETE FROM import_events";
    let moved: Vec<(String, EventState, i64)> = tx.fetch_all(COUNT, args![to]).await?;
    for (source, from, n) in moved {
        tx.counts.moved(&source, from, to, n);
    }
    for statement in [NOTE, MOVE] {
        tx.run(statement, args![to, reason, millis(now)]).await?;
    }
    tx.run(EMPTY, args![]).await?;
    Ok(())
}
