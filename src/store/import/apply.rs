//! The one transaction of an import: what writing a single mapping does, for a whole set.
//!
//! Invariant: no statement is run for each row; webhooks wait meanwhile.

use jiff::Timestamp;

use super::{ImportRules, Imported, Taken, json};
use crate::domain::event::EventState;
use crate::domain::ids::SourceName;
use crate::domain::ingest::ALREADY_CONNECTED;
use crate::store::error::StoreError;
use crate::store::mappings::Origin;
use crate::store::motion::best_event;
use crate::store::writer::Tx;
use crate::store::{millis, state};

/// Writes the staged mappings; see [`super::Import::apply`].
pub(super) async fn apply(
    tx: &mut Tx,
    id: i64,
    rules: &ImportRules,
    now: Timestamp,
) -> Result<Result<Imported, Vec<Taken>>, StoreError> {
    let taken = taken(tx, id, &rules.one_per_ticket).await?;
    if !taken.is_empty() {
        return Ok(Err(taken));
    }
    number(tx, id).await?;
    let (staged, known) = count(tx, id).await?;
    disconnect_old(tx, id, &rules.disconnects_old, now).await?;
    begin_anew(tx, id, now).await?;
    write(tx, id, now).await?;
    withdraw_disconnects(tx, id).await?;
    close_conflicts(tx, id, now).await?;
    end_parking(tx, id, now).await?;
    set_in_motion(tx, id, now).await?;
    Ok(Ok(Imported {
        created: (staged - known).unsigned_abs(),
        replaced: known.unsigned_abs(),
    }))
}

/// The rows whose Serval ticket has, and keeps, another external ticket of the source. What is
/// stored as the row says already is left in peace.
async fn taken(tx: &mut Tx, id: i64, sources: &[SourceName]) -> Result<Vec<Taken>, StoreError> {
    const TAKEN: &str = "\
        -- store::import::taken
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
    let rows: Vec<(i64, String)> = sqlx::query_as(TAKEN)
        .bind(id)
        .bind(json(&sources))
        .fetch_all(tx.connection().await?)
        .await?;
    let taken = |(line, external_id): (i64, String)| Taken {
        line: line.unsigned_abs(),
        external_id,
    };
    Ok(rows.into_iter().map(taken).collect())
}

/// Gives each of the external tickets its number, by which all else is found.
async fn number(tx: &mut Tx, id: i64) -> Result<(), StoreError> {
    const NAME: &str = "\
        -- store::import::name
        INSERT INTO external_tickets (source, external_id)
        SELECT source, external_id FROM import_rows WHERE import_id = $1
        ORDER BY source, external_id
        ON CONFLICT (source, external_id) DO NOTHING";
    const NUMBER: &str = "\
        -- store::import::number
        UPDATE import_rows
        SET external = (SELECT x.id FROM external_tickets AS x
            WHERE x.source = import_rows.source AND x.external_id = import_rows.external_id)
        WHERE import_id = $1";
    for statement in [NAME, NUMBER] {
        let numbered = sqlx::query(statement).bind(id);
        numbered.execute(tx.connection().await?).await?;
    }
    Ok(())
}

/// How many mappings are staged, and how many of them there are already.
async fn count(tx: &mut Tx, id: i64) -> Result<(i64, i64), StoreError> {
    const STAGED: &str = "\
        -- store::import::staged
        SELECT COUNT(*) FROM import_rows WHERE import_id = $1";
    const KNOWN: &str = "\
        -- store::import::known
        SELECT COUNT(*) FROM import_rows AS r
        CROSS JOIN mappings AS m ON m.external = r.external
        WHERE r.import_id = $1";
    let staged = sqlx::query_scalar(STAGED).bind(id);
    let staged = staged.fetch_one(tx.connection().await?).await?;
    let known = sqlx::query_scalar(KNOWN).bind(id);
    let known = known.fetch_one(tx.connection().await?).await?;
    Ok((staged, known))
}

/// Asks for the pairs that are about to be replaced to be taken apart, where Serval has them, or may
/// have them by a call that is under way or ended unclearly. Not where the Serval ticket has, and
/// keeps, another external ticket of the source, which would lose it.
async fn disconnect_old(
    tx: &mut Tx,
    id: i64,
    sources: &[SourceName],
    now: Timestamp,
) -> Result<(), StoreError> {
    const ASK: &str = "\
        -- store::import::ask
        INSERT INTO disconnects (source, external_id, ticket_id, due_at, tries, queued_at)
        SELECT m.source, m.external_id, m.ticket_id, $3, 0, $3
        FROM import_rows AS r
        CROSS JOIN mappings AS m ON m.external = r.external AND m.ticket_id <> r.ticket_id
        WHERE r.import_id = $1 AND r.source IN (SELECT value FROM json_each($2))
            AND (EXISTS (SELECT 1 FROM connections AS c
                    WHERE c.external = m.external AND c.ticket_id = m.ticket_id)
                OR EXISTS (SELECT 1 FROM claims AS h WHERE h.external = m.external)
                OR EXISTS (SELECT 1 FROM events AS e
                    WHERE e.state = 'queued' AND e.external = m.external AND e.in_doubt))
            AND NOT EXISTS (SELECT 1 FROM mappings AS o
                JOIN connections AS c ON c.external = o.external AND c.ticket_id = o.ticket_id
                WHERE o.ticket_id = m.ticket_id AND o.source = m.source
                AND o.external <> m.external
                AND NOT EXISTS (SELECT 1 FROM import_rows AS x
                    WHERE x.import_id = $1 AND x.source = o.source
                    AND x.external_id = o.external_id AND x.ticket_id <> o.ticket_id))";
    const FORGET: &str = "\
        -- store::import::forget
        DELETE FROM connections WHERE (external, ticket_id) IN (
            SELECT x.id, d.ticket_id FROM disconnects AS d
            JOIN external_tickets AS x ON x.source = d.source AND x.external_id = d.external_id)";
    if sources.is_empty() {
        return Ok(());
    }
    let asked = sqlx::query(ASK)
        .bind(id)
        .bind(json(&sources))
        .bind(millis(now))
        .execute(tx.connection().await?)
        .await?;
    if asked.rows_affected() == 0 {
        return Ok(());
    }
    sqlx::query(FORGET).execute(tx.connection().await?).await?;
    tx.wake = true;
    tx.asks_to_disconnect = true;
    Ok(())
}

async fn write(tx: &mut Tx, id: i64, now: Timestamp) -> Result<(), StoreError> {
    // What is written already keeps its time and its origin, as with a single mapping.
    const WRITE: &str = "\
        -- store::import::write
        UPDATE external_tickets
        SET ticket_id = r.ticket_id, accounted_for = r.accounted_for, origin = $2,
            created_at = COALESCE(created_at, $3), updated_at = $3, taught_by = NULL
        FROM import_rows AS r
        WHERE r.import_id = $1 AND external_tickets.id = r.external
            AND (external_tickets.ticket_id IS NOT r.ticket_id
                OR external_tickets.accounted_for <> r.accounted_for)";
    sqlx::query(WRITE)
        .bind(id)
        .bind(Origin::Import.as_str())
        .bind(millis(now))
        .execute(tx.connection().await?)
        .await?;
    Ok(())
}

/// The pairs are wanted: what still waits to take one of them apart does not.
async fn withdraw_disconnects(tx: &mut Tx, id: i64) -> Result<(), StoreError> {
    const WITHDRAW: &str = "\
        -- store::import::withdraw
        DELETE FROM disconnects WHERE EXISTS (SELECT 1 FROM import_rows AS r
            WHERE r.import_id = $1 AND r.source = disconnects.source
            AND r.external_id = disconnects.external_id AND r.ticket_id = disconnects.ticket_id)";
    let withdraw = sqlx::query(WITHDRAW).bind(id);
    withdraw.execute(tx.connection().await?).await?;
    Ok(())
}

/// The mappings are now what payloads named: nothing is left to decide about that.
async fn close_conflicts(tx: &mut Tx, id: i64, now: Timestamp) -> Result<(), StoreError> {
    const CLOSE: &str = "\
        -- store::import::close
        UPDATE conflicts SET decided_at = $2, decision = 'replace'
        WHERE decision IS NULL AND EXISTS (SELECT 1 FROM import_rows AS r
            WHERE r.import_id = $1 AND r.source = conflicts.source
            AND r.external_id = conflicts.external_id AND r.ticket_id = conflicts.learned)";
    let close = sqlx::query(CLOSE).bind(id).bind(millis(now));
    close.execute(tx.connection().await?).await?;
    Ok(())
}

/// What failed with one Serval ticket says nothing about another: the events of mappings that are
/// about to change keep no wait but one that Serval asked for.
async fn begin_anew(tx: &mut Tx, id: i64, now: Timestamp) -> Result<(), StoreError> {
    const ANEW: &str = "\
        -- store::import::begin_anew
        UPDATE events
        SET due_at = MAX($2, not_before), tries = 0, queued_at = $2, updated_at = $2
        WHERE state = 'queued' AND id IN (
            SELECT e.id
            FROM import_rows AS r
            CROSS JOIN mappings AS m ON m.external = r.external AND m.ticket_id <> r.ticket_id
            CROSS JOIN events AS e ON e.state = 'queued' AND e.external = m.external
            WHERE r.import_id = $1)";
    let anew = sqlx::query(ANEW).bind(id).bind(millis(now));
    tx.wake |= anew.execute(tx.connection().await?).await?.rows_affected() > 0;
    Ok(())
}

/// Moves what is parked for the imported tickets: to the queue, or, where Serval has the pair,
/// because the mapping was gone for a while, to its end.
async fn end_parking(tx: &mut Tx, id: i64, now: Timestamp) -> Result<(), StoreError> {
    const CONNECTED: &str = "\
        -- store::import::parked_connected
        INSERT INTO import_events (event_id)
        SELECT e.id
        FROM import_rows AS r
        CROSS JOIN events AS e ON e.state = 'parked' AND e.external = r.external
        CROSS JOIN connections AS c ON c.external = r.external AND c.ticket_id = r.ticket_id
        WHERE r.import_id = $1";
    const OTHERS: &str = "\
        -- store::import::parked
        INSERT INTO import_events (event_id)
        SELECT e.id
        FROM import_rows AS r
        CROSS JOIN events AS e ON e.state = 'parked' AND e.external = r.external
        WHERE r.import_id = $1";
    find_and_move(
        tx,
        CONNECTED,
        id,
        EventState::Skipped,
        ALREADY_CONNECTED,
        now,
    )
    .await?;
    find_and_move(tx, OTHERS, id, EventState::Queued, "mapped", now).await
}

/// Queues the best stored objects of the imported tickets whose pair Serval does not have, unless
/// one is queued already.
async fn set_in_motion(tx: &mut Tx, id: i64, now: Timestamp) -> Result<(), StoreError> {
    const BEST: &str = concat!(
        "-- store::import::best
        INSERT INTO import_events (event_id)
        SELECT best FROM (
            SELECT (SELECT e.id",
        best_event!("r.external"),
        ") AS best
            FROM import_rows AS r
            WHERE r.import_id = $1
                AND NOT EXISTS (SELECT 1 FROM connections AS c
                    WHERE c.external = r.external AND c.ticket_id = r.ticket_id)
                AND NOT EXISTS (SELECT 1 FROM events AS q
                    WHERE q.state = 'queued' AND q.external = r.external))
        WHERE best IS NOT NULL"
    );
    // What is queued already may have a Serval ticket only now.
    tx.wake = true;
    find_and_move(tx, BEST, id, EventState::Queued, "mapped", now).await
}

async fn find_and_move(
    tx: &mut Tx,
    find: &'static str,
    id: i64,
    to: EventState,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let found = sqlx::query(find).bind(id);
    if found.execute(tx.connection().await?).await?.rows_affected() > 0 {
        move_found(tx, to, reason, now).await?;
        tx.wake |= to == EventState::Queued;
    }
    Ok(())
}

/// Moves the events that were found, where they are not in that state: what `change::move_event`
/// does, for a whole set.
async fn move_found(
    tx: &mut Tx,
    to: EventState,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    const COUNT: &str = "\
        -- store::import::count_found
        SELECT e.source, e.state, COUNT(*)
        FROM import_events AS i JOIN events AS e ON e.id = i.event_id
        WHERE e.state <> $1 GROUP BY e.source, e.state";
    const NOTE: &str = "\
        -- store::import::note_found
        INSERT INTO changes (event_id, at, state, reason)
        SELECT e.id, $3, $1, $2
        FROM import_events AS i JOIN events AS e ON e.id = i.event_id
        WHERE e.state <> $1";
    const MOVE: &str = "\
        -- store::import::move_found
        UPDATE events
        SET state = $1, reason = $2, updated_at = $3, due_at = $3, not_before = 0,
            queued_at = CASE WHEN $1 = 'queued' THEN $3 ELSE queued_at END,
            tries = CASE WHEN $1 = 'queued' THEN 0 ELSE tries END
        WHERE id IN (SELECT event_id FROM import_events) AND state <> $1";
    const EMPTY: &str = "\
        -- store::import::empty
        DELETE FROM import_events";
    let moved: Vec<(String, String, i64)> = sqlx::query_as(COUNT)
        .bind(to.as_str())
        .fetch_all(tx.connection().await?)
        .await?;
    for (source, from, n) in moved {
        tx.counts.moved(&source, state(&from)?, to, n);
    }
    for statement in [NOTE, MOVE] {
        sqlx::query(statement)
            .bind(to.as_str())
            .bind(reason)
            .bind(millis(now))
            .execute(tx.connection().await?)
            .await?;
    }
    sqlx::query(EMPTY).execute(tx.connection().await?).await?;
    Ok(())
}
