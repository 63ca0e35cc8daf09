//! Room on a disk.

use std::io;
use std::path::Path;

/// Number of bytes that may be written beside `path`.
pub(crate) fn room(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
