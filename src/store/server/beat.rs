//! The beat: every replica writes every two seconds that it is alive, and learns who leads. The leader also takes over
//! from dead replicas.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use super::lead::{Lead, Leader, decide};
use super::now::server_now;
use super::replica::{Beaten, Caller, Replica};
use crate::domain::ids::EventId;
use crate::store::commit::turn::Patience;
use crate::store::commit::tx::Tx;
use crate::store::engine::listen;
use crate::store::error::StoreError;
use crate::store::file::copied;
use crate::store::handle::Store;
use crate::store::links::doubts;
use crate::store::links::import::decided::Decided;
use crate::store::queue::schedule;
use crate::store::sql::{args, row};

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(2);
/// Silence after which a leader is replaced.
const LEADER_SILENCE_MS: i64 = 10_000;
/// Longest time that a beat waits for the writer.
const PATIENCE: Duration = Duration::from_secs(6);

row! {
    /// Facts that a beat reads.
    struct Seen {
        now: Timestamp,
        is_paused: bool,
        /// `None`: nobody ever led.
        leader: Option<String>,
        silent_ms: Option<i64>,
        is_connected: bool,
        calls: Option<String>,
        /// Number of other replicas that are alive, and of those with another configuration.
        others: i64,
        others_configured_otherwise: i64,
    }
}

impl Store {
    /// True if this process makes the calls. A database that is a file has one process.
    pub fn leads(&self) -> bool {
        self.shared.replica.as_ref().is_none_or(Replica::leads)
    }

    /// True if calls are paused, as the replicas agree; `None`: there are none, or it is not known yet.
    pub fn paused_by_others(&self) -> Option<bool> {
        self.shared.replica.as_ref()?.is_paused()
    }

    /// The time by the clock of the database's server, if it is on one.
    pub fn server_time(&self) -> Option<Timestamp> {
        self.shared.replica.as_ref()?.time()
    }

    /// Says that this replica is alive, and how its `calls` are, until `stop`. Without replicas it only waits.
    pub async fn beat_as_replica(
        &self,
        calls: impl Fn() -> String + Send + Sync,
        stop: CancellationToken,
    ) {
        let Some(replica) = &self.shared.replica else {
            return stop.cancelled().await;
        };
        loop {
            if let Err(error) = self.readers.refresh() {
                tracing::warn!(%error, "the password of the database cannot be read");
            }
            if let Err(error) = self.beat_once(calls()).await {
                let fenced = !replica.may_call();
                tracing::warn!(%error, fenced, "this replica could not say that it is alive");
            }
            let slept = stop.run_until_cancelled(tokio::time::sleep(BEAT));
            if slept.await.is_none() {
                return;
            }
        }
    }

    /// Hears from the other replicas that events are due, until `stop`. The worker looks once a second without it.
    pub async fn listen_to_replicas(&self, stop: CancellationToken) {
        let Some(address) = self.readers.direct_address() else {
            return stop.cancelled().await;
        };
        let wake = || self.shared.wake.notify_one();
        loop {
            let heard = stop.run_until_cancelled(listen(address, wake)).await;
            let Some(heard) = heard else { return };
            if let Err(error) = heard {
                tracing::debug!(%error, "the other replicas cannot be heard now");
            }
            let slept = stop.run_until_cancelled(tokio::time::sleep(BEAT));
            if slept.await.is_none() {
                return;
            }
        }
    }

    /// Says once that this replica is alive.
    pub(crate) async fn beat_once(&self, calls: String) -> Result<(), StoreError> {
        let Some(replica) = &self.shared.replica else {
            return Ok(());
        };
        let began = Instant::now();
        let led = replica.leads();
        let own = Own {
            id: replica.id().to_owned(),
            config_hash: replica.config_hash(),
            mappings: Arc::clone(&self.shared.mappings),
            calls,
            dead_after_ms: i64::try_from(replica.dead_after.as_millis()).unwrap_or(i64::MAX),
        };
        let patience = Patience {
            turn: PATIENCE,
            end: PATIENCE,
        };
        let beaten = self.write_within(Some(patience), move |tx| {
            let own = own.clone();
            Box::pin(async move { beat(tx, &own).await })
        });
        let beaten = beaten.await?;
        let leads = beaten.caller == Caller::Me;
        replica.beaten(began, beaten);
        if leads != led {
            tracing::info!(
                replica = replica.id(),
                leads,
                "which replica makes the calls has changed"
            );
            self.shared.wake.notify_one();
        }
        Ok(())
    }
}

/// Facts that a replica writes about itself.
#[derive(Debug, Clone)]
struct Own {
    id: String,
    config_hash: String,
    calls: String,
    dead_after_ms: i64,
    /// Held alone by whoever writes an import.
    mappings: Arc<RwLock<()>>,
}

async fn beat(tx: &mut Tx, own: &Own) -> Result<Beaten, StoreError> {
    const ALIVE: &str = concat!(
        "-- store::beat::alive
        INSERT INTO replicas
            (id, started_at, seen_at, version, config_hash, calls, dead_after_ms, backend, backend_start)
        SELECT $1, ",
        server_now!(),
        ", ",
        server_now!(),
        ", $2, $3, $4, $5, pg_backend_pid(), backend_start
        FROM pg_stat_get_activity(pg_backend_pid())
        ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, config_hash = excluded.config_hash,
            calls = excluded.calls, backend = excluded.backend, backend_start = excluded.backend_start"
    );
    const SEEN: &str = concat!(
        "-- store::beat::seen
        SELECT ",
        server_now!(),
        ", EXISTS (SELECT 1 FROM settings WHERE key = 'paused' AND value = 'true'), l.replica, ",
        server_now!(),
        " - r.seen_at,
            EXISTS (SELECT 1 FROM pg_stat_get_activity(r.backend) AS a
                WHERE a.backend_start = r.backend_start),
            r.calls, o.n, o.differ
        FROM (SELECT 1) AS one LEFT JOIN lead AS l ON TRUE LEFT JOIN replicas AS r ON r.id = l.replica
        JOIN (SELECT COUNT(*) AS n, COUNT(*) FILTER (WHERE config_hash <> $3) AS differ
            FROM replicas WHERE id <> $1 AND seen_at > ",
        server_now!(),
        " - $2) AS o ON TRUE"
    );
    const TAKE: &str = "\
        -- store::beat::take
        INSERT INTO lead (one, replica) VALUES (TRUE, $1)
        ON CONFLICT (one) DO UPDATE SET replica = excluded.replica";
    let version = env!("CARGO_PKG_VERSION");
    let alive = args![
        &own.id,
        version,
        &own.config_hash,
        &own.calls,
        own.dead_after_ms
    ];
    tx.run(ALIVE, alive).await?;
    let seen = args![&own.id, own.dead_after_ms, &own.config_hash];
    let seen: Seen = tx.fetch_one(SEEN, seen).await?;
    let read = Instant::now();
    let leader = Leader {
        is_me: seen.leader.as_ref() == Some(&own.id),
        silent_ms: seen.silent_ms,
        is_connected: seen.is_connected,
    };
    let lead = decide(leader, LEADER_SILENCE_MS);
    if lead == Lead::Take {
        tx.run(TAKE, args![&own.id]).await?;
        tx.effects.wake = true;
        tx.effects.asks_to_disconnect = true;
        if seen.others == 0 {
            // Nobody was alive: this is a start.
            schedule::on_start(tx.connection().await?, seen.now).await?;
        }
    }
    let leads = lead != Lead::Follow;
    if leads {
        take_over(tx).await?;
    }
    adopt(tx, own, leads, seen.now).await?;
    // The first beat comes before the first call.
    let was_restored = copied::begin(tx.connection().await?, seen.now).await?;
    let caller = match (lead, seen.leader, seen.calls) {
        (Lead::Keep | Lead::Take, ..) => Caller::Me,
        (Lead::Follow, Some(id), Some(calls)) => Caller::Other { id, calls },
        (Lead::Follow, ..) => Caller::Unknown,
    };
    Ok(Beaten {
        now: seen.now,
        read,
        is_paused: seen.is_paused,
        was_restored,
        caller,
        others: seen.others,
        others_configured_otherwise: seen.others_configured_otherwise,
    })
}

/// Voids the claims of dead replicas: their calls may have been made, so their pairs are in doubt.
async fn take_over(tx: &mut Tx) -> Result<(), StoreError> {
    const VOID: &str = concat!(
        "-- store::beat::void
        DELETE FROM claims WHERE NOT EXISTS (SELECT 1 FROM replicas AS r
            WHERE r.id = claims.replica AND r.seen_at > ",
        server_now!(),
        " - r.dead_after_ms)
        RETURNING event_id, external, ticket_id"
    );
    const FORGET: &str = concat!(
        "-- store::beat::forget
        DELETE FROM replicas WHERE seen_at < ",
        server_now!(),
        " - 86400000"
    );
    let void: Vec<(EventId, i64, Option<String>)> = tx.fetch_all(VOID, args![]).await?;
    if !void.is_empty() {
        tracing::warn!(
            claims = void.len(),
            "a replica is dead; its claims are void"
        );
        tx.effects.wake = true;
        // If one is not dead after all, it looks before its next call.
        tx.effects.revises = true;
    }
    for (event, external, ticket_id) in void {
        if let Some(ticket_id) = ticket_id {
            doubts::add(tx, external, &ticket_id, event).await?;
        }
    }
    tx.run(FORGET, args![]).await?;
    Ok(())
}

/// Writes on the import of a replica that is dead, if this one leads; and one of its own, whose decision was stored
/// without an answer.
async fn adopt(tx: &mut Tx, own: &Own, leads: bool, now: Timestamp) -> Result<(), StoreError> {
    const ADOPT: &str = concat!(
        "-- store::beat::adopt
        UPDATE imports SET replica = $1
        WHERE replica = $1 OR ($2 AND NOT EXISTS (SELECT 1 FROM replicas AS r
            WHERE r.id = imports.replica AND r.seen_at > ",
        server_now!(),
        " - r.dead_after_ms))
        RETURNING id"
    );
    // Else this process is writing an import.
    if tx.is_importing
        && let Ok(alone) = Arc::clone(&own.mappings).try_write_owned()
    {
        let id: Option<i64> = tx.fetch_optional(ADOPT, args![&own.id, leads]).await?;
        let decided = id.map(|id| Arc::new(Decided::new(id, now, alone)));
        tx.effects.decided = decided;
    }
    Ok(())
}

/// Signs off: gives up the lead and the claims that were not settled.
pub(crate) async fn sign_off(tx: &mut Tx, id: String) -> Result<(), StoreError> {
    const GONE: &str = "\
        -- store::beat::gone
        DELETE FROM replicas WHERE id = $1";
    const FREE: &str = "\
        -- store::beat::free
        DELETE FROM lead WHERE replica = $1";
    for statement in [GONE, FREE] {
        tx.run(statement, args![&id]).await?;
    }
    take_over(tx).await
}
