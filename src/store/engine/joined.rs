//! Makes one statement for Postgres of several that follow each other, since each has a round trip of its own.

use std::borrow::Cow;

use sqlx::postgres::PgArguments;

use super::batch::{Batch, Part};
use super::dialect;
use super::value::{Value, add_columns, add_values};
use crate::store::error::StoreError;

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
    let mut ends = parts.iter().skip(1).map(|part| part.first);
    let ends: Vec<usize> = parts
        .iter()
        .map(|_| ends.next().unwrap_or(usize::MAX))
        .collect();
    for (part, end) in parts.into_iter().zip(ends) {
        let own: Vec<Value> = values.by_ref().take(end.saturating_sub(part.first)).collect();
        // An array has no row that is left over.
        let own = &own[..own.len() - part.unused];
        if part.arrays.is_some() && own.is_empty() {
            continue;
        }
        match statements.last_mut().filter(|last| last.takes(&part)) {
            Some(last) => last.add(&part, own)?,
            None => {
                let mut next = Statement::default();
                next.add(&part, own)?;
                statements.push(next);
            }
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
        let (text, placeholders) = match &part.arrays {
            Some(arrays) => {
                add_columns(&mut self.arguments, arrays.columns, values)?;
                (Cow::Borrowed(arrays.text), arrays.columns.len())
            }
            None => {
                add_values(&mut self.arguments, values)?;
                (dialect::postgres(part.text).into(), values.len())
            }
        };
        self.text = if self.tables.is_empty() {
            text
        } else {
            // The statements before stand in front of the last one, which gives the rows if there are any.
            let before = std::mem::take(&mut self.text);
            let (with, before) = match before.rsplit_once(LAST) {
                Some((with, last)) => (format!("{with},\n"), last.to_owned()),
                None => ("WITH ".to_owned(), before.into_owned()),
            };
            let table = self.tables.last().copied().unwrap_or_default();
            let text = dialect::shifted(&text, self.placeholders);
            format!("{with}of_{table} AS (\n{before}\n){LAST}{text}").into()
        };
        self.placeholders += placeholders;
        self.tables.extend(part.table);
        Ok(())
    }
}

/// Comment before the last of the statements that became one.
const LAST: &str = "\n-- last\n";
