//! serval-connect
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod domain;
pub mod http;
pub mod lifecycle;
pub mod mock_serval;
pub mod outbound;
pub mod serval;
pub mod signer;
pub mod sources;
pub mod store;
pub mod telemetry;
pub(crate) mod units;
