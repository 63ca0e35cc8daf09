//! The database file: opening, migrating, backing up, checking, checkpoints, retention, erasing.

pub(crate) mod backup;
mod checkpoint;
mod copied;
pub(crate) mod copy;
mod damage;
pub(crate) mod erase;
pub(crate) mod inspect;
pub(crate) mod lock;
mod open;
pub(crate) mod options;
pub(crate) mod presence;
pub(crate) mod retention;
mod schema;
mod uptime;
