//! Logging in, sessions, and the check of every request.

pub(super) mod access;
pub(super) mod login;
pub(super) mod sessions;
