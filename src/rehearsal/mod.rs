//! Plays the other side: signed sample webhooks, a stand-in for Serval, and the demo.
//!
//! The daemon does not use this room.

pub(crate) mod demo;
pub mod mock_serval;
pub(crate) mod probe;
pub(crate) mod send;
mod sender;
pub mod signer;
