//! The client of Serval's public API, as far as we need it: the token, connect, and the links of a
//! ticket.
//!
//! Invariant: only this module knows Serval's wire format. It decides nothing: the caller decides what
//! an outcome means for an event, from all that [`ServalError`] holds.

mod auth;
mod client;
mod code;
mod error;
mod exchange;
mod linking;
mod network;
mod records;
mod refusal;
mod request;
mod route;
mod setup;
#[cfg(test)]
mod tests;
mod token;

pub use auth::Tokens;
pub use client::ServalClient;
pub use code::Code;
pub use error::{Foreign, NetworkKind, Refusal, ServalError};
pub use linking::Search;
pub use records::{AppInstance, ExternalTicketLink, Integration, Team, Ticket};
pub use refusal::{Received, verdict};
pub use request::{Answer, ConnectRequest};
pub use setup::InvalidServalConfig;
pub use token::Token;
