//! Several statements in one round trip to sqlx's `SQLite` thread. A round trip costs two context
//! switches, as much as storing several rows.

use crate::store::engine::{Conn, Row, Value, Via};
use crate::store::error::StoreError;

/// Statements with their bound values.
///
/// The placeholders are plain `?`: sqlx counts those over all statements. Numbered ones would count
/// from 1 in each statement.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    statements: String,
    values: Vec<Value>,
}

impl Batch {
    /// Adds a statement.
    pub(crate) fn push(&mut self, statement: &str) {
        if !self.statements.is_empty() {
            self.statements.push_str(";\n");
        }
        self.statements.push_str(statement);
    }

    /// Binds the next placeholder.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) {
        self.values.push(value.into());
    }

    /// Reserves memory for this many more placeholders.
    pub(crate) fn reserve(&mut self, placeholders: usize) {
        self.values.reserve(placeholders);
    }

    /// Number of bound placeholders.
    pub(crate) fn bound(&self) -> usize {
        self.values.len()
    }

    /// Runs the statements. The connection keeps them prepared under their whole text.
    pub(crate) async fn run(self, conn: &mut Conn) -> Result<(), StoreError> {
        if !self.statements.is_empty() {
            Via::from(conn).run(self.statements, self.values).await?;
        }
        Ok(())
    }

    /// Runs the statements and returns the rows of all of them.
    pub(crate) async fn fetch_all(self, conn: &mut Conn) -> Result<Vec<Row>, StoreError> {
        Via::from(conn)
            .fetch_all(self.statements, self.values)
            .await
    }
}
