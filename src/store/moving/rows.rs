//! Copies the rows of a table.

use super::MoveError;
use super::tables::Table;
use crate::store::engine::{Kind, Readers, Row, Server, Value, Via};
use crate::store::error::StoreError;
use crate::store::sql::{self, args};

/// Number of rows that are copied at once. A body has up to some megabytes.
const PART: i64 = 200;
/// Number of rows that are copied at once from a table without row ids: each part of it reads all rows before it. The rows are small.
const LARGE_PART: i64 = 10_000;

/// Makes the server number imports after those that were copied.
pub(super) const NUMBER_IMPORTS: &str = "\
    -- store::rows::number_imports
    SELECT setval('imports_last', (SELECT COALESCE(MAX(n), 0) + 1 FROM (
        SELECT MAX(id) AS n FROM imports UNION ALL SELECT MAX(import_id) FROM import_rows) AS taken))";

/// Copies all rows of a table, in the order in which the file has them. Returns their number.
pub(super) async fn copy(
    source: &Readers,
    server: &mut Server,
    table: &Table,
) -> Result<u64, MoveError> {
    let (select, insert) = (select(table), insert(table));
    let kinds: Vec<Kind> = table.columns.iter().map(|column| column.kind).collect();
    let part = if table.has_row_id { PART } else { LARGE_PART };
    let (mut copied, mut after) = (0, 0_i64);
    loop {
        let rows = Via::from(source).fetch_all(select.clone(), args![after, part]);
        let rows = rows.await?;
        let Some(last) = rows.last() else {
            return Ok(copied);
        };
        // By row id, where there is one: else each part would read all rows before it.
        after = if table.has_row_id {
            last.get(0)?
        } else {
            after + part
        };
        let mut values = Vec::with_capacity(rows.len() * kinds.len());
        for row in &rows {
            for (index, kind) in (1..).zip(&kinds) {
                values.push(value(row, index, *kind)?);
            }
        }
        server.insert(insert.clone(), &kinds, &values).await?;
        copied += rows.len() as u64;
    }
}

fn select(table: &Table) -> String {
    let (name, names, condition) = (&table.name, table.names(), table.condition());
    if table.has_row_id {
        format!(
            "SELECT rowid, {names} FROM {name} WHERE rowid > ? AND {condition} ORDER BY rowid LIMIT ?"
        )
    } else {
        format!(
            "SELECT 0, {names} FROM {name} WHERE {condition} ORDER BY {names} LIMIT ?2 OFFSET ?1"
        )
    }
}

fn insert(table: &Table) -> String {
    let columns = (1..).zip(&table.columns);
    let arrays: Vec<String> = columns
        .map(|(n, column)| format!("${n}::{}[]", column.kind.postgres()))
        .collect();
    let (name, names, arrays) = (&table.name, table.names(), arrays.join(", "));
    format!(
        "INSERT INTO {name} ({names}) SELECT * FROM unnest({arrays}) AS r ON CONFLICT DO NOTHING"
    )
}

fn value(row: &Row, index: usize, kind: Kind) -> Result<Value, StoreError> {
    Ok(match kind {
        Kind::Int => Value::from(row.get::<Option<i64>>(index)?),
        Kind::Bool => Value::from(row.get::<Option<bool>>(index)?),
        Kind::Text => Value::from(row.get::<Option<String>>(index)?),
        Kind::Blob => Value::from(row.get::<Option<Vec<u8>>>(index)?),
    })
}

/// Number of the last event that the file stored, also if it is deleted.
pub(super) async fn last_event(source: &Readers) -> Result<i64, StoreError> {
    const LAST: &str = "\
        -- store::rows::last_event
        SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'events'";
    sql::fetch_one(source, LAST, args![]).await
}

/// Runs a statement on the server.
pub(super) async fn run(server: &mut Server, statement: String) -> Result<(), StoreError> {
    let via = Via::Postgres(server.connection());
    via.fetch_all(statement, args![]).await?;
    Ok(())
}
