//! serval-connect
pub mod clock;
pub mod config;
pub mod domain;
pub mod mock_serval;
pub mod outbound;
pub mod store;
pub mod serval;
pub mod sources;
pub mod telemetry;
pub(crate) mod units;
