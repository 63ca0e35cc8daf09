//! Makes one statement for Postgres of several that follow each other, since each has a round trip of its own.

use std::borrow::Cow;

use sqlx::postgres::PgArguments;

use super::batch::{Batch, Part};
use super::dialect;
use super::value::{Value, add_columns, add_values};
use crate::store::error::StoreError;

/// Comment before the last of the statements that became one.
const LAST: &str = "-- last\n";

/// A statement for Postgres.
#[derive(Default)]
pub(super) struct Statement {
    pub(super) text: Cow<'static, str>,
    pub(super) arguments: PgArguments,
    /// The tables that it touches; empty: not known.
    tables: Vec<&'static str>,
    placeholders: usize,
}

/// Returns the statements of a batch. Statements that are known to touch different tables do not see each other's
/// changes anyway, and become one. A statement without rows does nothing, and is left out.
pub(super) fn statements(batch: Batch) -> Result<Vec<Statement>, StoreError> {
    let Batch { parts, values } = batch;
    let mut values = values.into_iter();
    let mut statements: Vec<Statement> = Vec::with_capacity(parts.len());
    let mut parts = parts.into_iter().peekable();
    while let Some(part) = parts.next() {
        let end = parts.peek().map_or(usize::MAX, |next| next.first);
        let own: Vec<Value> = values.by_ref().take(end - part.first).collect();
        // An array has no row that is left over.
        let own = &own[..own.len() - part.unused];
        if part.arrays.is_some() && own.is_empty() {
            continue;
        }
        if let Some(last) = statements.last_mut().filter(|last| last.takes(&part)) {
            last.add(&part, own)?;
        } else {
            let mut next = Statement::default();
            next.add(&part, own)?;
            statements.push(next);
        }
    }
    Ok(statements)
}

impl Statement {
    /// True if the statements of this one and `part` touch different tables.
    fn takes(&self, part: &Part) -> bool {
        let is_another = |table| !self.tables.is_empty() && !self.tables.contains(&table);
        part.table.is_some_and(is_another)
    }

    fn add(&mut self, part: &Part, values: &[Value]) -> Result<(), StoreError> {
        let (text, placeholders) = if let Some(arrays) = &part.arrays {
            add_columns(&mut self.arguments, arrays.columns, values)?;
            (Cow::Borrowed(arrays.text), arrays.columns.len())
        } else {
            add_values(&mut self.arguments, values)?;
            (dialect::postgres(part.text).into(), values.len())
        };
        self.text = if self.tables.is_empty() {
            text
        } else {
            // The statements before stand in front of the last one, which gives the rows if there are any.
            let before = std::mem::take(&mut self.text);
            let (with, before) = match before.rsplit_once(LAST) {
                Some((with, last)) => (format!("{},\n", with.trim_end()), last.to_owned()),
                None => ("WITH ".to_owned(), before.into_owned()),
            };
            let table = self.tables.last().copied().unwrap_or_default();
            let text = dialect::shifted(&text, self.placeholders);
            format!("{with}of_{table} AS (\n{before}\n)\n{LAST}{text}").into()
        };
        self.placeholders += placeholders;
        self.tables.extend(part.table);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sized::{Size, SizedStatement};
    use super::super::value::Kind;
    use super::*;
    use std::sync::LazyLock;

    static ROWS: LazyLock<SizedStatement> =
        LazyLock::new(|| SizedStatement::insert("a", &["n"], &[Kind::Int]));
    const OF_A: &str = "INSERT INTO a (n) SELECT * FROM (SELECT * FROM unnest($1::bigint[]) AS u (column1)) AS r \
                        WHERE column1 IS NOT NULL";

    /// Returns the texts for parts: rows of the table `a`, or else a statement of a table, or of unknown tables.
    fn texts(parts: &[(Option<&'static str>, &'static str, usize)]) -> Vec<String> {
        let mut batch = Batch::default();
        for (table, text, values) in parts {
            if text.is_empty() {
                let rows: Vec<i64> = (0..*values).map(|_| 7).collect();
                ROWS.push(&mut batch, Size::of(*values), &rows, |batch, n| {
                    batch.bind(*n);
                });
                continue;
            }
            match table {
                Some(table) => batch.push_to(table, text),
                None => batch.push(text),
            }
            for _ in 0..*values {
                batch.bind(7_i64);
            }
        }
        let statements = statements(batch).expect("numbers can be encoded");
        let text = |s: Statement| {
            let has = sqlx::Arguments::len(&s.arguments);
            assert_eq!(has, s.placeholders, "an argument for each placeholder");
            s.text.into_owned()
        };
        statements.into_iter().map(text).collect()
    }

    #[test]
    fn statements_about_different_tables_become_one() {
        let rows = (Some("a"), "", 3);
        let b = (Some("b"), "UPDATE b SET n = ?, m = ?", 2);
        let c = (Some("c"), "DELETE FROM c WHERE n = ?", 1);
        let unknown = (None, "SELECT n FROM b WHERE m = ?", 1);
        assert_eq!(texts(&[]), Vec::<String>::new());
        assert_eq!(texts(&[rows]), [OF_A]);
        assert_eq!(
            texts(&[rows, b, c]),
            [format!(
                "WITH of_a AS (\n{OF_A}\n),\nof_b AS (\nUPDATE b SET n = $2, m = $3\n)\n-- last\n\
                 DELETE FROM c WHERE n = $4"
            )]
        );
        // What may see the changes of another one comes after it, and so does a second one about its table.
        let select = "SELECT n FROM b WHERE m = $1";
        let (update, delete) = ("UPDATE b SET n = $1, m = $2", "DELETE FROM c WHERE n = $1");
        assert_eq!(texts(&[b, unknown, c]), [update, select, delete]);
        assert_eq!(texts(&[b, b]), [update, update]);
        // No rows, no statement.
        assert_eq!(texts(&[(Some("a"), "", 0), c]), [delete]);
    }
}
