//! Statements over rows that are bound value by value, each in a few fixed sizes, so that they stay
//! prepared. What is left of a size is filled up with rows of nothing, since each statement of its
//! own is a journey to the connection's thread and back, which costs as much as several rows.
//!
//! Why not `json_each`: taking the values out of the JSON costs more than what is done with them.

use super::batch::Batch;
use super::error::StoreError;

/// Rows of one statement. Few, since each that is prepared takes memory for all its rows; a row of
/// nothing costs a fraction of one that is stored.
const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, LARGEST];
/// Rows that fit into one statement.
pub(super) const LARGEST: usize = 64;

/// The number of rows that statements are made for; those of the same size go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(usize);

impl Size {
    /// The smallest that takes `rows`, or as many of them as possible.
    pub(super) fn of(rows: usize) -> Self {
        let takes_all = SIZES.iter().position(|size| *size >= rows);
        Self(takes_all.unwrap_or(SIZES.len() - 1))
    }
}

/// A statement, once for each size.
pub(super) struct SizedStatement {
    columns: usize,
    texts: [String; SIZES.len()],
}

impl SizedStatement {
    /// `statement` with `{rows}` where its rows go, each of `columns` placeholders, of which the first
    /// is NULL in a row of nothing.
    pub(super) fn new(statement: &str, columns: usize) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let texts = SIZES.map(|size| {
            let rows = vec![row.as_str(); size].join(", ");
            statement.replace("{rows}", &rows)
        });
        Self { columns, texts }
    }

    /// `INSERT` of `columns`, whose first is never NULL.
    ///
    /// Nothing that is inserted can be there already, so a conflict is a fault, and the whole
    /// transaction is rolled back: `OR FAIL` saves `SQLite` the journal with which it could undo this
    /// one statement.
    pub(super) fn insert(table: &str, columns: &[&str]) -> Self {
        let names = columns.join(", ");
        let statement = format!(
            "INSERT OR FAIL INTO {table} ({names}) \
             SELECT * FROM (VALUES {{rows}}) WHERE column1 IS NOT NULL"
        );
        Self::new(&statement, columns.len())
    }

    /// Adds it to `batch` in a size that takes all `rows`.
    pub(super) fn push<T>(
        &self,
        batch: &mut Batch,
        Size(size): Size,
        rows: &[T],
        bind: impl Fn(&mut Batch, &T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        debug_assert!(rows.len() <= SIZES[size], "more rows than fit");
        batch.push(&self.texts[size]);
        batch.reserve(SIZES[size] * self.columns);
        for row in rows {
            let before = batch.bound();
            bind(batch, row)?;
            debug_assert_eq!(batch.bound() - before, self.columns, "a shifted row");
        }
        for _ in 0..(SIZES[size] - rows.len()) * self.columns {
            batch.bind(None::<i64>)?;
        }
        Ok(())
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
