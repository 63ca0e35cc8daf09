//! Multi-row statements in seven fixed row counts, so that they stay prepared. Unused rows are filled
//! with NULLs, and the statements leave them out.
//!
//! Why not exactly as many rows as needed: each row count would be a text of its own to prepare, and
//! preparing costs more than running. Why not one statement per row: each would need a step of its own.
//! Why not `json_each`: reading the values out of the JSON costs more than storing them.

use super::batch::Batch;
use crate::store::engine::Value;

/// Row counts. Only a few, since each prepared statement takes memory for all its rows, and an unused
/// row costs a fraction of a stored one.
const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, LARGEST];
/// Largest row count.
pub(crate) const LARGEST: usize = 64;

/// A row count, as an index of [`SIZES`]. Statements that share a text have the same size, which keeps the
/// number of texts at seven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(usize);

impl Size {
    /// Returns the smallest size for `rows` rows, or the largest size.
    pub(crate) fn of(rows: usize) -> Self {
        let takes_all = SIZES.iter().position(|size| *size >= rows);
        Self(takes_all.unwrap_or(SIZES.len() - 1))
    }
}

/// A statement with its text for each size.
pub(crate) struct SizedStatement {
    columns: usize,
    texts: [String; SIZES.len()],
}

impl SizedStatement {
    /// `{rows}` in `statement` stands for its rows, each of `columns` placeholders. In an unused row all
    /// of them are NULL.
    pub(crate) fn new(statement: &str, columns: usize) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let texts = SIZES.map(|size| {
            let rows = vec![row.as_str(); size].join(", ");
            statement.replace("{rows}", &rows)
        });
        Self { columns, texts }
    }

    /// Makes an `INSERT`. The first of `columns` must never be NULL.
    ///
    /// The rows are known to be new, so a conflict is a fault that rolls the whole transaction back.
    /// `OR FAIL` saves `SQLite` the journal for undoing this statement alone.
    pub(crate) fn insert(table: &str, columns: &[&str]) -> Self {
        let names = columns.join(", ");
        let statement = format!(
            "INSERT OR FAIL INTO {table} ({names}) \
             SELECT * FROM (VALUES {{rows}}) WHERE column1 IS NOT NULL"
        );
        Self::new(&statement, columns.len())
    }

    /// Adds the statement to `batch`, in a size for all `rows`.
    pub(crate) fn push<T>(
        &self,
        batch: &mut Batch,
        Size(size): Size,
        rows: &[T],
        bind: impl Fn(&mut Batch, &T),
    ) {
        debug_assert!(rows.len() <= SIZES[size], "more rows than fit");
        batch.push(&self.texts[size]);
        batch.reserve(SIZES[size] * self.columns);
        for row in rows {
            let before = batch.bound();
            bind(batch, row);
            debug_assert_eq!(batch.bound() - before, self.columns, "a shifted row");
        }
        // A statement has few sizes, so that SQLite compiles only few texts. The places that are
        // left over are filled with NULL, and their rows insert nothing.
        for _ in 0..(SIZES[size] - rows.len()) * self.columns {
            batch.bind(Value::Null);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_takes_all_rows_or_as_many_as_it_can() {
        let sizes = [0, 1, 2, 5, 13, 32, 33, 64, 65].map(|rows| SIZES[Size::of(rows).0]);
        assert_eq!(sizes, [1, 1, 2, 8, 16, 32, 64, 64, 64]);
    }

    #[test]
    fn a_statement_has_a_row_for_each_of_its_size() {
        let statement = SizedStatement::new("SELECT {rows}", 2);
        assert_eq!(statement.texts[1], "SELECT (?, ?), (?, ?)");
        let insert = SizedStatement::insert("claims", &["event_id", "token"]);
        assert_eq!(
            insert.texts[0],
            "INSERT OR FAIL INTO claims (event_id, token) \
             SELECT * FROM (VALUES (?, ?)) WHERE column1 IS NOT NULL"
        );
    }
}
