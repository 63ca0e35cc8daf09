//! Read-only views of the store, for the API, the console, the command line and metrics.

pub(crate) mod activity;
pub(in crate::store) mod arrived;
pub(crate) mod dead;
pub(crate) mod event;
pub(crate) mod events;
pub(crate) mod feeds;
pub(crate) mod find;
pub(crate) mod levels;
pub(crate) mod mentions;
pub(crate) mod parked;
pub(crate) mod ticket;
pub(crate) mod ticket_rows;
pub(crate) mod timeline;
