//! Slack channels that get a new id: what is stored about their threads moves along, in the
//! transaction that stores the notice.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::change;
use super::error::StoreError;
use super::inbox::Webhook;
use super::motion::follow;
use super::writer::Tx;
use crate::domain::event::{ChannelMove, EventState, Rank};
use crate::domain::ids::{EventId, ExternalId, ExternalTicket, SourceName};
use crate::domain::ingest::{SUPERSEDED, park};

/// What goes by the number of an external ticket.
const NUMBERED: [&str; 3] = ["connections", "claims", "events"];
/// What goes by its name.
const NAMED: [&str; 4] = ["external_tickets", "conflicts", "disconnects", "audit"];

/// Applies the moves that `webhooks` announce. A delivery that is repeated finds nothing to move.
pub(super) async fn apply(tx: &mut Tx, webhooks: &[Webhook]) -> Result<(), StoreError> {
    for webhook in webhooks {
        let moves = webhook
            .events
            .iter()
            .filter_map(|event| event.channel_move.as_ref());
        for channel_move in moves {
            move_channel(tx, &webhook.source, channel_move, webhook.received_at).await?;
        }
    }
    Ok(())
}

async fn move_channel(
    tx: &mut Tx,
    source: &SourceName,
    channel_move: &ChannelMove,
    now: Timestamp,
) -> Result<(), StoreError> {
    let threads = Threads::of(source, channel_move);
    choose_parked(tx, &threads, now).await?;
    join_threads(tx, &threads).await?;
    for table in NAMED {
        let statement = format!(
            "-- store::moves::{table}\n\
             UPDATE OR IGNORE {table} SET external_id = $4 || substr(external_id, $5)
             WHERE source = $1 AND external_id >= $2 AND external_id < $3"
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(threads.source.as_str())
            .bind(&threads.from)
            .bind(&threads.until)
            .bind(threads.to)
            .bind(threads.rest)
            .execute(tx.connection().await?)
            .await?;
    }
    release_mapped(tx, source, &channel_move.to, now).await?;
    tracing::info!(
        %source,
        from = channel_move.from,
        to = channel_move.to,
        "a Slack channel has a new id; mappings and events moved along"
    );
    Ok(())
}

/// The external ids of a channel's threads: from `C1:` up to, not including, `C1;`.
struct Threads<'a> {
    source: &'a SourceName,
    from: String,
    until: String,
    to: &'a str,
    /// Where in an id that begins after the channel, counted from 1.
    rest: i64,
}

impl<'a> Threads<'a> {
    fn of(source: &'a SourceName, channel_move: &'a ChannelMove) -> Self {
        let (from, until) = range(&channel_move.from);
        Self {
            source,
            from,
            until,
            to: &channel_move.to,
            rest: i64::try_from(channel_move.from.len()).unwrap_or(i64::MAX) + 1,
        }
    }
}

fn range(channel: &str) -> (String, String) {
    (format!("{channel}:"), format!("{channel};"))
}

/// A thread that is known under both ids keeps what it has under the new one; the rest joins it.
async fn join_threads(tx: &mut Tx, threads: &Threads<'_>) -> Result<(), StoreError> {
    const BOTH: &str = "\
        -- store::moves::known_twice
        SELECT o.id, n.id, o.ticket_id IS NOT NULL AND n.ticket_id IS NULL
        FROM external_tickets AS o CROSS JOIN external_tickets AS n
            ON n.source = o.source AND n.external_id = $4 || substr(o.external_id, $5)
        WHERE o.source = $1 AND o.external_id >= $2 AND o.external_id < $3";
    const MAPPING: &str = "\
        -- store::moves::mapping
        UPDATE external_tickets
        SET ticket_id = o.ticket_id, origin = o.origin, created_at = o.created_at,
            updated_at = o.updated_at, taught_by = o.taught_by, accounted_for = o.accounted_for
        FROM external_tickets AS o
        WHERE external_tickets.id = $2 AND o.id = $1";
    const UNMAP: &str = "\
        -- store::moves::unmap
        UPDATE external_tickets
        SET ticket_id = NULL, origin = NULL, created_at = NULL, updated_at = NULL,
            taught_by = NULL, accounted_for = NULL
        WHERE id = $1";
    const TEAM: &str = "\
        -- store::moves::team
        UPDATE external_tickets
        SET team = COALESCE(team, (SELECT o.team FROM external_tickets AS o WHERE o.id = $1))
        WHERE id = $2";
    let both: Vec<(i64, i64, bool)> = sqlx::query_as(BOTH)
        .bind(threads.source.as_str())
        .bind(&threads.from)
        .bind(&threads.until)
        .bind(threads.to)
        .bind(threads.rest)
        .fetch_all(tx.connection().await?)
        .await?;
    for (old, new, brings_mapping) in both {
        let mut statements = vec![TEAM.to_owned()];
        if brings_mapping {
            statements.extend([MAPPING.to_owned(), UNMAP.to_owned()]);
        }
        statements.extend(NUMBERED.map(|table| {
            format!(
                "-- store::moves::{table}\n\
                 UPDATE OR IGNORE {table} SET external = $2 WHERE external = $1"
            )
        }));
        for statement in statements {
            sqlx::query(AssertSqlSafe(statement))
                .bind(old)
                .bind(new)
                .execute(tx.connection().await?)
                .await?;
        }
    }
    Ok(())
}

/// Of a thread that has an event parked under both ids, the better one stays.
async fn choose_parked(
    tx: &mut Tx,
    threads: &Threads<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const BOTH: &str = "\
        -- store::moves::both
        SELECT o.id, o.rank_major, o.rank_minor, n.id, n.rank_major, n.rank_minor
        FROM external_tickets AS ox
        CROSS JOIN events AS o ON o.external = ox.id AND o.state = 'parked'
        CROSS JOIN external_tickets AS nx
            ON nx.source = ox.source AND nx.external_id = $4 || substr(ox.external_id, $5)
        CROSS JOIN events AS n ON n.external = nx.id AND n.state = 'parked'
        WHERE ox.source = $1 AND ox.external_id >= $2 AND ox.external_id < $3";
    let both: Vec<(i64, i64, i64, i64, i64, i64)> = sqlx::query_as(BOTH)
        .bind(threads.source.as_str())
        .bind(&threads.from)
        .bind(&threads.until)
        .bind(threads.to)
        .bind(threads.rest)
        .fetch_all(tx.connection().await?)
        .await?;
    for (old, major, minor, new, new_major, new_minor) in both {
        let (old, new) = (EventId(old), EventId(new));
        // The event under the new id is the later one.
        let newer_wins = park(Rank(new_major, new_minor), Some((old, Rank(major, minor))));
        let loser = newer_wins.supersedes.unwrap_or(new);
        let (from, to) = (EventState::Parked, EventState::Skipped);
        change::move_event(tx, loser, from, to, Some(SUPERSEDED), now).await?;
    }
    Ok(())
}

/// What was parked under one id, and mapped under the other, waits for nothing any more.
async fn release_mapped(
    tx: &mut Tx,
    source: &SourceName,
    channel: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    const MAPPED: &str = "\
        -- store::moves::mapped
        SELECT m.external_id, c.ticket_id IS NOT NULL
        FROM mappings AS m
        CROSS JOIN events AS e ON e.external = m.external AND e.state = 'parked'
        LEFT JOIN connections AS c ON c.external = m.external AND c.ticket_id = m.ticket_id
        WHERE m.source = $1 AND m.external_id >= $2 AND m.external_id < $3";
    let (from, until) = range(channel);
    let mapped: Vec<(String, bool)> = sqlx::query_as(MAPPED)
        .bind(source.as_str())
        .bind(from)
        .bind(until)
        .fetch_all(tx.connection().await?)
        .await?;
    for (external_id, is_connected) in mapped {
        let ticket = ExternalTicket {
            source: source.clone(),
            external_id: ExternalId::from_store(external_id),
        };
        follow(tx, &ticket, is_connected, now).await?;
    }
    Ok(())
}
