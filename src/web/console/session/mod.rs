//! Logging in, sessions, and the check of every request.

pub(super) mod access;
mod in_memory;
pub(super) mod login;
mod open;
pub(super) mod sessions;
