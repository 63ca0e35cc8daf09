//! Serval's public API, as far as the product needs it: the token, connect, and the links of a ticket.
//!
//! Invariant: the only module that knows Serval's wire format. It decides nothing: what an outcome
//! means for an event is for the caller, to whom [`ServalError`] says all there is to know.

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
mod setup;
#[cfg(test)]
mod tests;
mod token;

pub use auth::Tokens;
pub use client::ServalClient;
pub use code::Code;
pub use error::{NetworkKind, ServalError};
pub use linking::Search;
pub use records::{AppInstance, ExternalTicketLink, Integration, Team, Ticket};
pub use request::{Answer, ConnectRequest};
pub use setup::InvalidServalConfig;
pub use token::Token;
