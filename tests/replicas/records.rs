//! What the database says in the end, and a record of claims that others ended than their holders.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Executor as _, Row as _};

use super::plan::DEAD_AFTER;

/// Notes who ends a claim that is not his, or has run out.
const WATCH: &str = "
    CREATE TABLE test_voided (
        external BIGINT, at TIMESTAMPTZ, seen_at BIGINT, has_run_out BOOLEAN, owner TEXT
    );
    CREATE FUNCTION test_void() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        now_ms BIGINT := EXTRACT(EPOCH FROM clock_timestamp()) * 1000;
    BEGIN
        IF OLD.replica <> current_setting('serval.replica') OR OLD.expires_at <= now_ms THEN
            INSERT INTO test_voided VALUES (OLD.external, clock_timestamp(),
                (SELECT seen_at FROM replicas WHERE id = OLD.replica), OLD.expires_at <= now_ms, OLD.replica);
        END IF;
        RETURN OLD;
    END $$;
    CREATE TRIGGER test_void AFTER DELETE ON claims FOR EACH ROW EXECUTE FUNCTION test_void();";

const VOIDED: &str = "
    SELECT x.external_id, CAST(EXTRACT(EPOCH FROM v.at) * 1000 AS BIGINT), v.seen_at, v.has_run_out, v.owner
    FROM test_voided AS v JOIN external_tickets AS x ON x.id = v.external ORDER BY v.at";

const EVENTS: &str = "
    SELECT x.external_id, e.delivery, e.state, e.reason
    FROM events AS e JOIN external_tickets AS x ON x.id = e.external ORDER BY e.id";

const MISCOUNTED: &str = "
    SELECT COALESCE(c.source, e.source), COALESCE(c.state, e.state), COALESCE(c.n, 0), COALESCE(e.n, 0)
    FROM counts AS c
    FULL JOIN (SELECT source, state, COUNT(*) AS n FROM events GROUP BY source, state) AS e
        ON e.source = c.source AND e.state = c.state
    WHERE COALESCE(c.n, 0) <> COALESCE(e.n, 0)";

const WAITING: &str = "
    SELECT (SELECT COUNT(*) FROM events WHERE state IN ('queued', 'parked')), (SELECT COUNT(*) FROM claims)";

/// What is left, for people.
const LEFT: &str = "
    SELECT concat_ws(' ', e.id, x.external_id, e.state, e.reason, 'mapped to', x.ticket_id, 'last error', e.last_error,
        'due in', e.due_at - EXTRACT(EPOCH FROM clock_timestamp()) * 1000, 'ms; claim of', c.replica, 'ends in',
        c.expires_at - EXTRACT(EPOCH FROM clock_timestamp()) * 1000, 'ms; its replica lives', r.id IS NOT NULL)
    FROM events AS e JOIN external_tickets AS x ON x.id = e.external
    LEFT JOIN claims AS c ON c.event_id = e.id LEFT JOIN replicas AS r ON r.id = c.replica
    WHERE e.state NOT IN ('connected', 'skipped') ORDER BY e.id LIMIT 20";

/// A claim that somebody else ended than its holder.
#[derive(Debug, Clone)]
#[expect(dead_code, reason = "some is only printed")]
pub(crate) struct Voided {
    pub(crate) external_id: String,
    pub(crate) at: Timestamp,
    /// The last beat of the holder; `None`: it had signed off.
    pub(crate) seen_at: Option<Timestamp>,
    pub(crate) has_run_out: bool,
    pub(crate) owner: String,
}

/// A stored event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) delivery: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
}

/// What the database says.
pub(crate) struct Records {
    pub(crate) voided: Vec<Voided>,
    /// Events by external ticket, in the order of arrival.
    pub(crate) events: BTreeMap<String, Vec<Event>>,
    /// Counters that are wrong, in words.
    pub(crate) miscounted: Vec<String>,
    /// Events that have not ended, in words.
    pub(crate) left: Vec<String>,
}

/// Begins to watch the claims. The tables must be there.
pub(crate) async fn watch(connection: &mut PgConnection) {
    connection.execute(WATCH).await.unwrap();
}

/// Numbers of events that wait, and of claims.
pub(crate) async fn waiting(connection: &mut PgConnection) -> (i64, i64) {
    let row = connection.fetch_one(WAITING).await.unwrap();
    (row.get(0), row.get(1))
}

fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).expect("the server's clock is right")
}

impl Records {
    pub(crate) async fn read(connection: &mut PgConnection) -> Self {
        let mut rows = async |sql: &'static str| connection.fetch_all(sql).await.unwrap();
        let voided = |row: &PgRow| Voided {
            external_id: row.get(0),
            at: moment(row.get(1)),
            seen_at: row.get::<Option<i64>, _>(2).map(moment),
            has_run_out: row.get(3),
            owner: row.get(4),
        };
        let voided = rows(VOIDED).await.iter().map(voided).collect();
        let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for row in rows(EVENTS).await {
            let delivery: Option<Vec<u8>> = row.get(1);
            let delivery = String::from_utf8(delivery.unwrap_or_default()).unwrap();
            let event = Event {
                // Ids of headers have a prefix.
                delivery: delivery.trim_start_matches("wh:").to_owned(),
                state: row.get(2),
                reason: row.get(3),
            };
            events.entry(row.get(0)).or_default().push(event);
        }
        let miscounted = |row: &PgRow| {
            let (source, state): (String, String) = (row.get(0), row.get(1));
            let (counted, real): (i64, i64) = (row.get(2), row.get(3));
            format!("{real} events of {source} are {state}, and {counted} are counted")
        };
        Self {
            voided,
            events,
            miscounted: rows(MISCOUNTED).await.iter().map(miscounted).collect(),
            left: rows(LEFT).await.iter().map(|row| row.get(0)).collect(),
        }
    }
}

impl Voided {
    /// Time from the moment in which the replica counted as dead.
    pub(crate) fn after_death(&self) -> Option<f64> {
        let seen_at = self.seen_at?;
        let silent = self.at.duration_since(seen_at).as_secs_f64();
        Some(silent - DEAD_AFTER.as_secs_f64())
    }
}
