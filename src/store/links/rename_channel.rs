//! Channels that get a new id: what is stored about their threads moves along, in the transaction
//! that stores the notice.

use jiff::Timestamp;

use super::end_channel::thread_range;
use super::{channel_moves, conflict};
use crate::domain::event::{ChannelMove, EventState, Rank};
use crate::domain::ids::{EventId, ExternalId, ExternalTicket, ServalTicketId, SourceName};
use crate::domain::ingest::park;
use crate::domain::reason::Reason;
use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::inbox::reports::{self, Subject};
use crate::store::queue::on_mapped::{Standing, follow};
use crate::store::queue::transition;
use crate::store::sql::{Args, args, row};
use crate::store::tickets;

/// Renames the external tickets of a table that has their names. `$same`: when a row `o`, which has the new name,
/// stands in the way.
macro_rules! rename {
    ($table:literal, $same:literal) => {
        concat!(
            "-- store::rename_channel::",
            $table,
            "\nUPDATE ",
            $table,
            " SET external_id = $4 || substr(external_id, $5)
            WHERE source = $1 AND external_id >= $2 AND external_id < $3
                AND NOT EXISTS (SELECT 1 FROM ",
            $table,
            " AS o WHERE o.source = ",
            $table,
            ".source AND o.external_id = $4 || substr(",
            $table,
            ".external_id, $5) AND ",
            $same,
            ")"
        )
    };
}

/// Gives the rows of a table to another external ticket. `$same`: when a row `o`, which the other one has, stands in
/// the way.
macro_rules! reassign {
    ($table:literal, $same:literal) => {
        concat!(
            "-- store::rename_channel::reassign_",
            $table,
            "\nUPDATE ",
            $table,
            " SET external = $2 WHERE external = $1
                AND NOT EXISTS (SELECT 1 FROM ",
            $table,
            " AS o WHERE o.external = $2 AND ",
            $same,
            ")"
        )
    };
}

/// Deletes the rows of the other external ticket for pairs that this one has, too.
macro_rules! make_room {
    ($table:literal) => {
        concat!(
            "-- store::rename_channel::make_room_",
            $table,
            "\nDELETE FROM ",
            $table,
            " WHERE external = $2 AND ticket_id IN (SELECT o.ticket_id FROM ",
            $table,
            " AS o WHERE o.external = $1)"
        )
    };
}

row! {
    /// A thread that has a row under its old id and under its new one.
    struct KnownTwice {
        old: i64,
        new: i64,
        new_id: ExternalId,
        /// Serval tickets of their mappings.
        old_ticket: Option<ServalTicketId>,
        new_ticket: Option<String>,
    }
}

row! {
    /// The parked events of a thread that has one under each id.
    struct ParkedTwice {
        old: EventId,
        old_rank: Rank,
        new: EventId,
        new_rank: Rank,
    }
}

/// The event that announces a move.
pub(crate) struct Notice<'a> {
    pub(crate) event: EventId,
    pub(crate) source: &'a SourceName,
    /// Time until which an event is parked that stands in for a deleted one.
    pub(crate) parked_until: Option<Timestamp>,
    pub(crate) now: Timestamp,
}

/// Renames a channel. A second notice finds nothing to rename.
pub(crate) async fn rename(
    tx: &mut Tx,
    channel_move: &ChannelMove,
    notice: &Notice<'_>,
) -> Result<(), StoreError> {
    const KIND: &str = "\
        -- store::rename_channel::direct_channels
        INSERT INTO direct_channels (source, channel)
        SELECT source, $3 FROM direct_channels WHERE source = $1 AND channel = $2
        ON CONFLICT DO NOTHING";
    const OLD_KIND: &str = "\
        -- store::rename_channel::old_direct_channels
        DELETE FROM direct_channels WHERE source = $1 AND channel = $2";
    const RENAMES: [&str; 5] = [
        rename!("external_tickets", "TRUE"),
        rename!(
            "conflicts",
            "o.learned = conflicts.learned AND o.decision IS NULL AND conflicts.decision IS NULL"
        ),
        rename!("disconnects", "FALSE"),
        rename!("audit", "FALSE"),
        // Of an import that is not written yet.
        rename!("import_rows", "o.import_id = import_rows.import_id"),
    ];
    // An unlink of the old id may now be about a pair that was mapped under the new one meanwhile.
    const WANTED: &str = "\
        -- store::rename_channel::wanted
        DELETE FROM disconnects
        WHERE source = $1 AND external_id >= $2 AND external_id < $3
            AND EXISTS (SELECT 1 FROM mappings AS m
                WHERE m.source = disconnects.source AND m.external_id = disconnects.external_id
                AND m.ticket_id = disconnects.ticket_id)";
    let (source, now) = (notice.source, notice.now);
    let from = &channel_move.from;
    let to = &channel_moves::note(tx, source, channel_move).await?;
    let [old, until] = thread_range(from);
    let threads = || -> Args {
        args![
            source,
            &old,
            &until,
            to,
            i64::try_from(from.len()).unwrap_or(i64::MAX - 1) + 1,
        ]
    };
    // Threads that are known under both ids come first: their names cannot be changed.
    choose_parked(tx, threads(), now).await?;
    join_threads(tx, threads(), notice).await?;
    tx.run(KIND, args![source, from, to]).await?;
    tx.run(OLD_KIND, args![source, from]).await?;
    for statement in RENAMES {
        tx.run(statement, threads()).await?;
    }
    let [from_thread, until_thread] = thread_range(to);
    tx.run(WANTED, args![source, from_thread, until_thread])
        .await?;
    queue_mapped(tx, source, to, now).await?;
    tx.effects.revises = true;
    tracing::info!(
        %source,
        from,
        to,
        "a channel has a new id; its mappings and events moved along"
    );
    Ok(())
}

/// Joins threads that are known under both ids. The row with the new id keeps its mapping, if it has
/// one. If the old one is mapped to another Serval ticket, that is a conflict, which a person decides.
async fn join_threads(tx: &mut Tx, threads: Args, notice: &Notice<'_>) -> Result<(), StoreError> {
    const BOTH: &str = "\
        -- store::rename_channel::known_twice
        SELECT o.id, n.id, n.external_id, o.ticket_id, n.ticket_id
        FROM external_tickets AS o CROSS JOIN external_tickets AS n
            ON n.source = o.source AND n.external_id = $4 || substr(o.external_id, $5)
        WHERE o.source = $1 AND o.external_id >= $2 AND o.external_id < $3";
    const COPY_MAPPING: &str = "\
        -- store::rename_channel::copy_mapping
        UPDATE external_tickets
        SET ticket_id = o.ticket_id, origin = o.origin, created_at = o.created_at,
            updated_at = o.updated_at, taught_by = o.taught_by, accounted_for = o.accounted_for
        FROM external_tickets AS o
        WHERE external_tickets.id = $2 AND o.id = $1";
    const REMOVE_MAPPING: &str = "\
        -- store::rename_channel::remove_mapping
        UPDATE external_tickets
        SET ticket_id = NULL, origin = NULL, created_at = NULL, updated_at = NULL,
            taught_by = NULL, accounted_for = NULL
        WHERE id = $1";
    const REASSIGN: [&str; 6] = [
        make_room!("connections"),
        reassign!("connections", "FALSE"),
        make_room!("doubts"),
        reassign!("doubts", "FALSE"),
        reassign!("claims", "TRUE"),
        reassign!(
            "events",
            "(o.content = events.content OR (o.state = 'parked' AND events.state = 'parked'))"
        ),
    ];
    // A thread is known twice if webhooks arrived under both ids before the notice. There are few of
    // them, so they are joined one by one.
    let both: Vec<KnownTwice> = tx.fetch_all(BOTH, threads).await?;
    for twice in both {
        let (old, new) = (twice.old, twice.new);
        match (twice.old_ticket, twice.new_ticket) {
            (Some(learned), Some(mapped_to)) if learned.as_str() != mapped_to => {
                let ticket = ExternalTicket {
                    source: notice.source.clone(),
                    external_id: twice.new_id,
                };
                let (event, now) = (notice.event, notice.now);
                conflict::add(tx, &ticket, Some(&mapped_to), &learned, event, None, now).await?;
            }
            (Some(_), None) => {
                tx.run(COPY_MAPPING, args![old, new]).await?;
            }
            (Some(_) | None, _) => {}
        }
        tx.run(REMOVE_MAPPING, args![old]).await?;
        for statement in REASSIGN {
            tx.run(statement, args![old, new]).await?;
        }
        tickets::forget_all(tx, &[old]).await?;
        // A deletion or an edit was stored under one id, and its message under the other.
        let subject = Subject::new(new, notice.parked_until, notice.now);
        reports::apply_all(tx, subject).await?;
    }
    Ok(())
}

/// Keeps the better one of two parked events of a thread that has one under each id.
async fn choose_parked(tx: &mut Tx, threads: Args, now: Timestamp) -> Result<(), StoreError> {
    const BOTH: &str = "\
        -- store::rename_channel::both
        SELECT o.id, o.rank_major, o.rank_minor, n.id, n.rank_major, n.rank_minor
        FROM external_tickets AS ox
        CROSS JOIN events AS o ON o.external = ox.id AND o.state = 'parked'
        CROSS JOIN external_tickets AS nx
            ON nx.source = ox.source AND nx.external_id = $4 || substr(ox.external_id, $5)
        CROSS JOIN events AS n ON n.external = nx.id AND n.state = 'parked'
        WHERE ox.source = $1 AND ox.external_id >= $2 AND ox.external_id < $3";
    let both: Vec<ParkedTwice> = tx.fetch_all(BOTH, threads).await?;
    for both in both {
        let placement = park((both.new, both.new_rank), Some((both.old, both.old_rank)));
        let loser = placement.supersedes.unwrap_or(both.new);
        let (from, to) = (EventState::Parked, EventState::Skipped);
        transition::move_event(tx, loser, from, to, Some(Reason::Superseded), now).await?;
    }
    Ok(())
}

/// Queues what was parked under one id and mapped under the other.
async fn queue_mapped(
    tx: &mut Tx,
    source: &SourceName,
    channel: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    const MAPPED: &str = "\
        -- store::rename_channel::mapped
        SELECT m.external_id, c.ticket_id IS NOT NULL
        FROM mappings AS m
        CROSS JOIN events AS e ON e.external = m.external AND e.state = 'parked'
        LEFT JOIN connections AS c ON c.external = m.external AND c.ticket_id = m.ticket_id
        WHERE m.source = $1 AND m.external_id >= $2 AND m.external_id < $3";
    let [from, until] = thread_range(channel);
    let threads = args![source, from, until];
    let mapped: Vec<(ExternalId, bool)> = tx.fetch_all(MAPPED, threads).await?;
    for (external_id, is_connected) in mapped {
        let source = source.clone();
        let ticket = ExternalTicket {
            source,
            external_id,
        };
        // The same path as for a mapping that a person writes.
        // A thread is sent once: only records are sent again when they change.
        follow(tx, &ticket, Standing::of(is_connected, false), now).await?;
    }
    Ok(())
}
