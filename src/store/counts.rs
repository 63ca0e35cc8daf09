//! Numbers of events by source and state, kept in the transactions that change them, so that a
//! report never counts a history.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use super::error::StoreError;
use super::json;
use crate::domain::event::EventState;

/// What one transaction changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(HashMap<(String, EventState), i64>);

impl Counts {
    /// Forgets, for a new transaction.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// An event entered `state`.
    pub(super) fn entered(&mut self, source: &str, state: EventState) {
        self.add(source, state, 1);
    }

    /// An event that was in `state` is gone.
    pub(super) fn left(&mut self, source: &str, state: EventState) {
        self.add(source, state, -1);
    }

    /// `n` events went from one state to another.
    pub(super) fn moved(&mut self, source: &str, from: EventState, to: EventState, n: i64) {
        self.add(source, from, -n);
        self.add(source, to, n);
    }

    fn add(&mut self, source: &str, state: EventState, n: i64) {
        if n != 0 {
            *self.0.entry((source.to_owned(), state)).or_default() += n;
        }
    }

    /// Adds the changes to the table, and commits.
    pub(super) async fn commit(
        &mut self,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        const ADD: &str = "\
            -- store::counts::add
            INSERT INTO counts (source, state, n)
            SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE TRUE
            ON CONFLICT (source, state) DO UPDATE SET n = n + excluded.n;
            COMMIT";
        let changes: Vec<_> = self
            .0
            .drain()
            .filter(|(_, n)| *n != 0)
            .map(|((source, state), n)| (source, state.as_str(), n))
            .collect();
        if changes.is_empty() {
            sqlx::query("COMMIT").execute(connection).await?;
        } else {
            sqlx::query(ADD)
                .bind(json(&changes))
                .execute(connection)
                .await?;
        }
        Ok(())
    }
}
