//! Imports of several processes in one database: which rows of the staging somebody still adds to.

use crate::store::commit::tx::Tx;
use crate::store::error::StoreError;
use crate::store::sql::args;

/// Time without a new row after which an import has broken off.
const PATIENCE_MS: i64 = 600_000;

/// Begins an import. Returns its number.
pub(super) async fn begin(tx: &mut Tx) -> Result<i64, StoreError> {
    const BEGIN: &str = "\
        -- store::shared::begin
        INSERT INTO stagings (import_id, touched_at)
        SELECT nextval('imports_last'), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)
        RETURNING import_id";
    tx.fetch_one(BEGIN, args![]).await
}

/// Notes that the import goes on. Fails if its rows may be deleted already.
pub(super) async fn touch(tx: &mut Tx, id: i64) -> Result<(), StoreError> {
    const TOUCH: &str = "\
        -- store::shared::touch
        UPDATE stagings
        SET touched_at = CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)
        WHERE import_id = $1";
    match tx.run(TOUCH, args![id]).await? {
        0 => Err(StoreError::Overdue),
        _ => Ok(()),
    }
}

/// Ends the staging of an import, and of those that have broken off.
pub(super) async fn end(tx: &mut Tx, id: i64) -> Result<(), StoreError> {
    const END: &str = "\
        -- store::shared::end
        DELETE FROM stagings WHERE import_id = $1
            OR touched_at < CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) - $2";
    tx.run(END, args![id, PATIENCE_MS]).await?;
    Ok(())
}
