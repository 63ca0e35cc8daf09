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

/// What names external tickets. A thread that is known under the new id keeps what it has there.
const TABLES: [&str; 7] = [
    "audit",
    "mappings",
    "connections",
    "conflicts",
    "disconnects",
    "claims",
    "events",
];

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
    for table in TABLES {
        let statement = format!(
            "-- store::moves::{table}\n\
             UPDATE OR IGNORE {table} SET external_id = $4 || substr(external_id, $5)
             WHERE source = $1 AND external_id >= $2 AND external_id < $3"
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(threads.source.as_str())
            .bind(&threads.from)
            .bind(&threads.until)
            .bind(&channel_move.to)
            .bind(threads.rest)
            .execute(&mut tx.connection)
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

/// Of a thread that has an event parked under both ids, the better one stays.
async fn choose_parked(
    tx: &mut Tx,
    threads: &Threads<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const BOTH: &str = "\
        -- store::moves::both
        SELECT o.id, o.rank_major, o.rank_minor, n.id, n.rank_major, n.rank_minor
        FROM events AS o JOIN events AS n
            ON n.source = o.source AND n.external_id = $4 || substr(o.external_id, $5)
            AND n.state = 'parked'
        WHERE o.state = 'parked' AND o.source = $1 AND o.external_id >= $2 AND o.external_id < $3";
    let both: Vec<(i64, i64, i64, i64, i64, i64)> = sqlx::query_as(BOTH)
        .bind(threads.source.as_str())
        .bind(&threads.from)
        .bind(&threads.until)
        .bind(threads.to)
        .bind(threads.rest)
        .fetch_all(&mut tx.connection)
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
        SELECT e.external_id, c.ticket_id IS NOT NULL
        FROM events AS e
        JOIN mappings AS m ON m.source = e.source AND m.external_id = e.external_id
        LEFT JOIN connections AS c ON c.source = m.source AND c.external_id = m.external_id
            AND c.ticket_id = m.ticket_id
        WHERE e.state = 'parked' AND e.source = $1 AND e.external_id >= $2 AND e.external_id < $3";
    let (from, until) = range(channel);
    let mapped: Vec<(String, bool)> = sqlx::query_as(MAPPED)
        .bind(source.as_str())
        .bind(from)
        .bind(until)
        .fetch_all(&mut tx.connection)
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
