//! The open transaction of the one writer.

use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;

use super::batch::Batch;
use super::counts::Counts;
use super::effects::Effects;
use super::heard::Heard;
use super::tally::Tally;
use crate::store::columns::Columns;
use crate::store::engine::{Conn, Row};
use crate::store::error::StoreError;
use crate::store::sql::{self, Args, args};

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
    /// Number of commits that changed or withdrew waiting events.
    pub(crate) revision: u64,
    /// No claim runs out before this time, in milliseconds.
    pub(crate) claims_last_until: i64,
    /// Time at which the rows of an import are written; `None`: no import is written. Nothing is claimed
    /// meanwhile.
    pub(crate) importing_at: Option<Timestamp>,
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
            claims_last_until: 0,
            importing_at: None,
        }
    }

    /// Clears what belongs to the transaction before. `BEGIN` is sent with the first statement.
    pub(super) fn begin(&mut self, effects: Effects) {
        self.later = Batch::default();
        self.is_open = false;
        self.counts = Counts::default();
        self.tally = Tally::default();
        self.heard = Heard::default();
        self.effects = effects;
    }

    /// Returns the connection for one statement, after running all that came before it.
    pub(crate) async fn connection(&mut self) -> Result<&mut Conn, StoreError> {
        let before = std::mem::take(self.later());
        before.run(&mut self.connection).await?;
        Ok(&mut self.connection)
    }

    /// Returns the batch for statements that run with the next one.
    pub(crate) fn later(&mut self) -> &mut Batch {
        if !self.is_open {
            self.later.push("BEGIN IMMEDIATE");
            self.is_open = true;
        }
        &mut self.later
    }

    /// Runs the statements of [`Tx::later`] and returns the rows of all of them.
    pub(crate) async fn fetch_later(&mut self) -> Result<Vec<Row>, StoreError> {
        let batch = std::mem::take(self.later());
        batch.fetch_all(&mut self.connection).await
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
            SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE TRUE
            ON CONFLICT (source, state) DO UPDATE SET n = n + excluded.n;
            -- store::activity::add
            INSERT INTO activity (at, source, stored, connected)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) WHERE TRUE
            ON CONFLICT (at, source) DO UPDATE
            SET stored = stored + excluded.stored, connected = connected + excluded.connected;
            -- store::feeds::heard
            INSERT INTO feeds (source, last_webhook_at, trouble, trouble_at)
            SELECT value ->> 0, value ->> 1,
                iif(value ->> 3, value ->> 2,
                    iif(trouble = 'uninstalled', trouble, COALESCE(value ->> 2, trouble))),
                iif(trouble IS NULL OR value ->> 3,
                    iif(value ->> 2 IS NULL, NULL, value ->> 1), trouble_at)
            FROM json_each(?) LEFT JOIN feeds ON source = value ->> 0 WHERE TRUE
            ON CONFLICT (source) DO UPDATE
            SET last_webhook_at = MAX(last_webhook_at, excluded.last_webhook_at),
                trouble = excluded.trouble, trouble_at = excluded.trouble_at";
        let (counts, tally) = (self.counts.rows(), self.tally.rows());
        let heard = self.heard.rows();
        if counts.is_some() || tally.is_some() {
            let or_nothing = |rows: Option<String>| rows.unwrap_or_else(|| "[]".to_owned());
            let later = self.later();
            later.push(COUNT);
            later.bind(or_nothing(counts));
            later.bind(or_nothing(tally));
            later.bind(or_nothing(heard));
        }
        self.later().push("COMMIT");
        self.connection().await?;
        Ok(())
    }

    /// Rolls back. `SQLite` may have done so by itself; then the statement fails, which is fine.
    pub(super) async fn roll_back(&mut self) {
        drop(sql::run(&mut self.connection, "ROLLBACK", args![]).await);
        self.claims_last_until = 0;
    }

    /// Reads from the database which ids are given. Returns true if another program gave some from `first` on.
    pub(super) async fn recount(&mut self, first: i64) -> Result<bool, StoreError> {
        let last: i64 = sql::fetch_one(&mut self.connection, LAST_EVENT, args![]).await?;
        let next = last + 1;
        self.next_event = self.next_event.max(next);
        Ok(next > first)
    }
}

/// Reads the id of the last event that was stored, also if it is deleted.
pub(crate) const LAST_EVENT: &str = "\
    -- store::tx::last_event
    SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'events'";
