//! A stand-in for Serval, for rehearsals and tests: strict about requests, with faults to switch on.
//!
//! The stand-in answers as Serval's public API documents, and keeps the requests. Only `mock-serval`,
//! `demo` and tests start one, never the daemon, and its `/_…` paths need no credential.

mod access;
pub(crate) mod command;
mod config;
mod connect;
mod control;
mod dialect;
mod directory;
mod fault;
mod links;
mod observe;
mod pairs;
mod reply;
mod server;
mod socket;
mod state;
#[cfg(test)]
mod tests;
mod watch;

pub use config::{MockConfig, Repeat};
pub use dialect::Dialect;
pub use directory::{SERVICENOW_INTEGRATION, SLACK_INTEGRATION, TEAM};
pub use fault::{Effect, Endpoint, Fault, InvalidFault, RetryAfter};
pub use pairs::{Link, Message};
pub use server::MockServal;
pub use state::{Journal, RecordedConnect, RecordedRequest};
