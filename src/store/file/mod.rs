//! The database file: opening, migrating, backing up, checking, checkpoints, retention, erasing.

pub(crate) mod backup;
mod checkpoint;
mod clear;
pub(crate) mod copied;
pub(crate) mod copy;
mod damage;
pub(crate) mod erase;
pub(crate) mod erase_beside;
pub(crate) mod inspect;
pub(crate) mod lock;
mod open;
pub(crate) mod options;
pub(crate) mod presence;
pub(crate) mod retention;
mod schema;
pub(crate) mod uptime;

use lock::DatabaseLock;
use presence::Presence;

/// The files of a database that a process has open.
pub(crate) struct Files {
    /// Their places.
    pub(crate) presence: Presence,
    /// Held until the last handle is dropped.
    pub(crate) lock: DatabaseLock,
}
