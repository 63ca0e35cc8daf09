//! Room on the disk for an import. An import that ends on a full disk takes the room of webhooks, too.

use std::path::Path;

use super::types::ImportRow;
use crate::store::error::StoreError;

/// Estimated bytes of a written row beside its texts: the other columns, the entries of the indexes, and the
/// log.
const BYTES_PER_ROW: u64 = 150;

/// Estimates how many bytes the rows take when they are written: a name stands in three places, a Serval ticket
/// in two, and the pages of a tree are two thirds full.
pub(super) fn needed(rows: &[ImportRow]) -> u64 {
    let of_row = |row: &ImportRow| {
        let name = row.ticket.source.as_str().len() + row.ticket.external_id.as_str().len();
        let ids: usize = row.accounted_for.iter().map(|id| id.len() + 3).sum();
        (3 * name + 2 * row.ticket_id.as_str().len() + ids) as u64 * 3 / 2 + BYTES_PER_ROW
    };
    rows.iter().map(of_row).sum()
}

/// Fails if the file system of the database has fewer than `bytes` left. One that does not tell is tried.
pub(super) fn check(database: &Path, bytes: u64) -> Result<(), StoreError> {
    let Ok(found) = rustix::fs::statvfs(database) else {
        return Ok(());
    };
    let left = found.f_bavail.saturating_mul(found.f_frsize);
    if left < bytes {
        tracing::warn!(left, needed = bytes, "the disk has no room for the import");
        return Err(StoreError::NoRoom);
    }
    Ok(())
}
