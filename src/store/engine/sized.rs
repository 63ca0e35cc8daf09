//! Multi-row statements in seven fixed row counts, so that they stay prepared. Unused rows are filled
//! with NULLs, and the statements leave them out.
//!
//! Why not exactly as many rows as needed: each row count would be a text of its own to prepare, and
//! preparing costs more than running. Why not one statement per row: each would need a step of its own.
//! Why not `json_each`: reading the values out of the JSON costs more than storing them.

use super::batch::{Arrays, Batch};
use super::dialect;
use super::value::Kind;

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

/// A statement with its text for each size. Postgres has one text for all: a column of the rows is an array.
pub(crate) struct SizedStatement {
    columns: &'static [Kind],
    texts: [String; SIZES.len()],
    postgres: String,
    /// The only table that it reads and writes, if that is known.
    table: Option<&'static str>,
}

impl SizedStatement {
    /// `VALUES {rows}` in `statement` stands for its rows, each of a value for each of `columns`. In an unused row
    /// all of them are NULL.
    pub(crate) fn new(statement: &str, columns: &'static [Kind]) -> Self {
        let row = format!("({})", vec!["?"; columns.len()].join(", "));
        let texts = SIZES.map(|size| {
            let rows = vec![row.as_str(); size].join(", ");
            statement.replace("{rows}", &rows)
        });
        let numbered = (1..).zip(columns);
        let arrays = numbered.map(|(n, kind)| format!("${n}::{}[]", kind.postgres()));
        let arrays: Vec<_> = arrays.collect();
        let names: Vec<_> = (1..=columns.len()).map(|n| format!("column{n}")).collect();
        let rows = format!(
            "SELECT * FROM unnest({}) AS u ({})",
            arrays.join(", "),
            names.join(", ")
        );
        Self {
            columns,
            texts,
            postgres: dialect::postgres(&statement.replace("VALUES {rows}", &rows)),
            table: None,
        }
    }

    /// Says that the statement reads and writes no table but this one.
    pub(crate) fn touching(self, table: &'static str) -> Self {
        Self {
            table: Some(table),
            ..self
        }
    }

    /// Makes an `INSERT`. The first of `names` must never be NULL.
    ///
    /// The rows are known to be new, so a conflict is a fault that rolls the whole transaction back.
    /// `OR FAIL` saves `SQLite` the journal for undoing this statement alone.
    pub(crate) fn insert(table: &'static str, names: &[&str], columns: &'static [Kind]) -> Self {
        debug_assert_eq!(names.len(), columns.len(), "a kind for each column");
        let names = names.join(", ");
        let statement = format!(
            "INSERT OR FAIL INTO {table} ({names}) \
             SELECT * FROM (VALUES {{rows}}) AS r WHERE column1 IS NOT NULL"
        );
        Self::new(&statement, columns).touching(table)
    }

    /// Adds the statement to `batch`, in a size for all `rows`.
    pub(crate) fn push<T>(
        &'static self,
        batch: &mut Batch,
        Size(size): Size,
        rows: &[T],
        bind: impl Fn(&mut Batch, &T),
    ) {
        let columns = self.columns.len();
        debug_assert!(rows.len() <= SIZES[size], "more rows than fit");
        let arrays = Arrays {
            text: &self.postgres,
            columns: self.columns,
        };
        batch.add(&self.texts[size], Some(arrays), self.table);
        batch.reserve(SIZES[size] * columns);
        for row in rows {
            let before = batch.bound();
            bind(batch, row);
            debug_assert_eq!(batch.bound() - before, columns, "a shifted row");
        }
        // A statement has few sizes, so that SQLite compiles only few texts. The rows that are left over
        // insert nothing.
        batch.leave((SIZES[size] - rows.len()) * columns);
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
        let statement = SizedStatement::new("SELECT {rows}", &[Kind::Int, Kind::Text]);
        assert_eq!(statement.texts[1], "SELECT (?, ?), (?, ?)");
        let insert =
            SizedStatement::insert("claims", &["event_id", "token"], &[Kind::Int, Kind::Text]);
        assert_eq!(
            insert.texts[0],
            "INSERT OR FAIL INTO claims (event_id, token) \
             SELECT * FROM (VALUES (?, ?)) AS r WHERE column1 IS NOT NULL"
        );
        assert_eq!(
            insert.postgres,
            "INSERT INTO claims (event_id, token) \
             SELECT * FROM (SELECT * FROM unnest($1::bigint[], $2::text[]) AS u (column1, column2)) AS r \
             WHERE column1 IS NOT NULL"
        );
    }
}
