//! Files that commands read and write.

pub(super) mod download;
pub(super) mod feed;
pub(super) mod format;
mod sink;
