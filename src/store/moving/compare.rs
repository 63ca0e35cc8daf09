//! Compares a table of the file with its copy on the server.

use super::MoveError;
use super::tables::Table;
use crate::store::columns::Columns;
use crate::store::engine::{Kind, Readers, Row, Server, Via};
use crate::store::error::StoreError;
use crate::store::sql::args;

/// Keeps the sums of large numbers small.
const MODULUS: i64 = 1_000_003;

/// Returns the number of rows on the server.
pub(super) async fn count(server: &mut Server, table: &Table) -> Result<i64, StoreError> {
    let statement = format!("SELECT COUNT(*) FROM {}", table.name);
    let rows = Via::Postgres(server.connection()).fetch_all(statement, args![]);
    rows.await?.first().map_or(Ok(0), |row| row.get(0))
}

/// Fails unless both have as many rows, and of each column as many values with the same sum: of numbers, or of the
/// lengths of texts and bytes.
pub(super) async fn compare(
    source: &Readers,
    server: &mut Server,
    table: &Table,
) -> Result<(), MoveError> {
    let statement = sums(table);
    let of_file = Via::from(source)
        .fetch_all(statement.clone(), args![])
        .await?;
    let of_server = Via::Postgres(server.connection()).fetch_all(statement, args![]);
    let (of_file, of_server) = (read(&of_file, table)?, read(&of_server.await?, table)?);
    if of_file == of_server {
        return Ok(());
    }
    Err(MoveError::Differs {
        table: table.name.clone(),
        found: format!("{of_file:?} and {of_server:?}"),
    })
}

fn read(rows: &[Row], table: &Table) -> Result<Vec<i64>, StoreError> {
    let mut sums = Vec::new();
    if let Some(row) = rows.first() {
        let mut next = 0;
        for _ in 0..=2 * table.columns.len() {
            sums.push(i64::read(row, &mut next)?);
        }
    }
    Ok(sums)
}

/// The statement for the sums, for both kinds of database.
fn sums(table: &Table) -> String {
    let mut sums = vec!["COUNT(*)".to_owned()];
    for column in &table.columns {
        let name = &column.name;
        let number = match column.kind {
            Kind::Int => format!("{name} % {MODULUS}"),
            Kind::Bool => format!("CASE WHEN {name} THEN 1 ELSE 0 END"),
            Kind::Text | Kind::Blob => format!("length({name})"),
        };
        sums.push(format!("COUNT({name})"));
        sums.push(format!("COALESCE(CAST(SUM({number}) AS BIGINT), 0)"));
    }
    let (sums, name, condition) = (sums.join(", "), &table.name, table.condition());
    format!("SELECT {sums} FROM {name} WHERE {condition}")
}
