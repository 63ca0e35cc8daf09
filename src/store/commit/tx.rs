//! The open transaction of the one writer.

use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;

use super::counts::Counts;
use super::effects::Effects;
use super::heard::Heard;
use super::tally::Tally;
use crate::store::columns::Columns;
use crate::store::engine::{BEGIN, Batch, Conn, Row, Said};
use crate::store::error::StoreError;
use crate::store::sql::{self, Args, json};

/// A future that borrows the transaction.
pub(crate) type WriteFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The open transaction, as a write sees it. The writer uses one value for all its transactions.
pub(crate) struct Tx {
    pub(super) connection: Conn,
    /// Statements whose results nobody needs: they go in one round trip with the next one that does.
    later: Batch,
    /// True once `BEGIN` is sent or waits in `later`.
    is_open: bool,
    /// Changes in the number of events by source and state.
    pub(crate) counts: Counts,
    /// Additions to the activity.
    pub(crate) tally: Tally,
    /// Arrivals by source.
    pub(crate) heard: Heard,
    /// Messages for others, valid after the commit.
    pub(crate) effects: Effects,
    /// Id of the next event.
    pub(crate) next_event: i64,
    /// Number of commits that changed or withdrew waiting events. Among replicas it is that of all, as of the begin.
    pub(crate) revision: u64,
    /// The revision as of the last commit.
    pub(super) last_revision: u64,
    /// True if this process makes the calls.
    pub(super) leads: bool,
    /// No claim runs out before this time, in milliseconds; one of another process may.
    pub(crate) claims_last_until: i64,
    /// Time at which the rows of an import are written; `None`: no import is written. Nothing is claimed
    /// meanwhile.
    pub(crate) importing_at: Option<Timestamp>,
    /// True if any process writes an import, as of the begin. Nothing is claimed meanwhile.
    pub(crate) is_importing: bool,
    /// Tokens of the claims that it made.
    pub(crate) made: Vec<String>,
    /// Tokens of claims that nobody holds, if they are stored at all: the commit that should store them failed, or
    /// its answer was lost.
    lost: Vec<String>,
}

impl Tx {
    /// `next_event` is the id of the next event.
    pub(crate) fn new(connection: Conn, next_event: i64) -> Self {
        Self {
            connection,
            later: Batch::default(),
            is_open: false,
            counts: Counts::default(),
            tally: Tally::default(),
            heard: Heard::default(),
            effects: Effects::default(),
            next_event,
            revision: 0,
            last_revision: 0,
            leads: false,
            claims_last_until: 0,
            importing_at: None,
            is_importing: false,
            made: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Begins a transaction, and clears what belongs to the one before. To `SQLite` `BEGIN` is sent with the first
    /// statement.
    pub(super) async fn begin(&mut self, effects: Effects) -> Result<(), StoreError> {
        self.later = Batch::default();
        self.is_open = false;
        self.counts = Counts::default();
        self.tally = Tally::default();
        self.heard = Heard::default();
        self.effects = effects;
        // Others may have written since.
        if self.connection.is_shared() {
            let begun = self.connection.begin().await?;
            self.next_event = begun.last_event + 1;
            self.is_importing = begun.is_importing;
            self.revision = begun.revision;
            self.effects.others_changed = self.revision != self.last_revision;
            self.is_open = true;
            self.free_lost();
        }
        Ok(())
    }

    /// Frees the claims that nobody holds. No call was made under them.
    fn free_lost(&mut self) {
        const FREE: &str = "\
            -- store::tx::free_lost
            DELETE FROM claims WHERE token IN (SELECT atom FROM json_each(?))";
        if !self.lost.is_empty() {
            let lost = json(&self.lost);
            self.later().push(FREE);
            self.later.bind(lost);
            self.effects.wake = true;
        }
    }

    /// True if other processes write to the database, too.
    pub(crate) fn is_shared(&self) -> bool {
        self.connection.is_shared()
    }

    /// Returns the connection for one statement, after running all that came before it.
    pub(crate) async fn connection(&mut self) -> Result<&mut Conn, StoreError> {
        let before = std::mem::take(self.later());
        self.connection.run_batch(before).await?;
        Ok(&mut self.connection)
    }

    /// Returns the batch for statements that run with the next one.
    pub(crate) fn later(&mut self) -> &mut Batch {
        if !self.is_open {
            self.later.push(BEGIN);
            self.is_open = true;
        }
        &mut self.later
    }

    /// Runs the statements of [`Tx::later`] and returns the rows of all of them.
    pub(crate) async fn fetch_later(&mut self) -> Result<Vec<Row>, StoreError> {
        let batch = std::mem::take(self.later());
        self.connection.fetch_batch(batch).await
    }

    /// Runs a statement and returns the number of rows that it changed.
    pub(crate) async fn run(
        &mut self,
        statement: &'static str,
        args: Args,
    ) -> Result<u64, StoreError> {
        sql::run(self.connection().await?, statement, args).await
    }

    /// Returns all rows of a statement.
    pub(crate) async fn fetch_all<T: Columns>(
        &mut self,
        statement: &'static str,
        args: Args,
    ) -> Result<Vec<T>, StoreError> {
        sql::fetch_all(self.connection().await?, statement, args).await
    }

    /// Returns the readable rows of a statement; see [`sql::fetch_readable`].
    pub(crate) async fn fetch_readable<T: Columns>(
        &mut self,
        statement: &'static str,
        args: Args,
    ) -> Result<Vec<T>, StoreError> {
        sql::fetch_readable(self.connection().await?, statement, args).await
    }

    /// Returns the first row of a statement, if there is one.
    pub(crate) async fn fetch_optional<T: Columns>(
        &mut self,
        statement: &'static str,
        args: Args,
    ) -> Result<Option<T>, StoreError> {
        sql::fetch_optional(self.connection().await?, statement, args).await
    }

    /// Returns the only row of a statement.
    pub(crate) async fn fetch_one<T: Columns>(
        &mut self,
        statement: &'static str,
        args: Args,
    ) -> Result<T, StoreError> {
        sql::fetch_one(self.connection().await?, statement, args).await
    }

    /// Commits, after adding what changed to the stored counters.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        // `store::feeds::heard` repeats the rule of `Trouble::after`.
        const COUNT: &str = "\
            -- store::counts::add
            INSERT INTO counts (source, state, n)
            SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS BIGINT) FROM json_each(?) WHERE TRUE
            ON CONFLICT (source, state) DO UPDATE SET n = counts.n + excluded.n";
        const TALLY: &str = "\
            -- store::activity::add
            INSERT INTO activity (at, source, stored, connected)
            SELECT CAST(value ->> 0 AS BIGINT), value ->> 1, CAST(value ->> 2 AS BIGINT),
                CAST(value ->> 3 AS BIGINT)
            FROM json_each(?) WHERE TRUE
            ON CONFLICT (at, source) DO UPDATE
            SET stored = activity.stored + excluded.stored,
                connected = activity.connected + excluded.connected";
        const HEARD: &str = "\
            -- store::feeds::heard
            INSERT INTO feeds (source, last_webhook_at, trouble, trouble_at)
            SELECT value ->> 0, CAST(value ->> 1 AS BIGINT),
                CASE WHEN value ->> 3 = 'alive' THEN value ->> 2
                    WHEN trouble = 'uninstalled' THEN trouble
                    ELSE COALESCE(value ->> 2, trouble) END,
                CASE WHEN trouble IS NOT NULL AND value ->> 3 IS NULL THEN trouble_at
                    WHEN value ->> 2 IS NOT NULL THEN CAST(value ->> 1 AS BIGINT) END
            FROM json_each(?) AS heard LEFT JOIN feeds ON source = value ->> 0 WHERE TRUE
            ON CONFLICT (source) DO UPDATE
            SET last_webhook_at = MAX(feeds.last_webhook_at, excluded.last_webhook_at),
                trouble = excluded.trouble, trouble_at = excluded.trouble_at";
        let (counts, tally) = (self.counts.rows(), self.tally.rows());
        let heard = self.heard.rows();
        if counts.is_some() || tally.is_some() {
            let or_nothing = |rows: Option<String>| rows.unwrap_or_else(|| "[]".to_owned());
            let later = self.later();
            // Always all three: so they are one text, which stays prepared.
            let statements = [("counts", COUNT), ("activity", TALLY), ("feeds", HEARD)];
            for ((table, statement), rows) in statements.into_iter().zip([counts, tally, heard]) {
                later.push_to(table, statement);
                later.bind(or_nothing(rows));
            }
        }
        let last = self.next_event - 1;
        let before = std::mem::take(self.later());
        let effects = &self.effects;
        let is_due = effects.wake || effects.handing.left_some || effects.asks_to_disconnect;
        let said = Said {
            // This process hears of it without the server.
            wakes: is_due && !self.leads,
            changes: effects.revises || effects.asks_to_disconnect,
        };
        self.connection.commit(before, last, said).await?;
        self.made.clear();
        self.lost.clear();
        Ok(())
    }

    /// Rolls back. `SQLite` may have done so by itself; then the statement fails, which is fine.
    pub(super) async fn roll_back(&mut self) {
        self.connection.roll_back().await;
        self.claims_last_until = 0;
        if self.connection.is_shared() {
            self.lost.append(&mut self.made);
        }
        self.made.clear();
    }

    /// Reads from the database which ids are given. Returns true if another program gave some from `first` on.
    pub(super) async fn recount(&mut self, first: i64) -> Result<bool, StoreError> {
        if self.connection.is_shared() {
            return Ok(false);
        }
        let next = self.connection.begin().await?.last_event + 1;
        self.connection.roll_back().await;
        self.next_event = self.next_event.max(next);
        Ok(next > first)
    }
}
