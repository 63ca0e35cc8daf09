//! The configuration: its layers, its checks, and the only reader of the environment.
//!
//! Layers, the later wins: built-in defaults, `config/default.toml` (embedded), the files (of `--config`, else of
//! `SERVAL_CONNECT_CONFIG`, else at the usual places), the environment. In the environment, Serval's own names come before
//! `SERVAL_CONNECT__SECTION__KEY`.
//!
//! Invariant: errors, reports and `Debug` name keys and their origin. No error contains a value, and
//! nothing contains a secret.

mod alone;
mod checks;
mod common;
mod env;
mod keys;
mod layers;
mod load;
mod loaded;
mod merge;
mod places;
mod reload;
mod report;
mod settings;
#[cfg(test)]
mod tests;

pub use alone::Alone;
pub use checks::placeholders::PLACEHOLDER;
pub use env::Environment;
pub use layers::Origin;
pub use loaded::{ConfigError, Loaded};
pub use places::{Files, may_exist};
pub use reload::Changes;
pub use report::{Report, report, toml_text};
pub use settings::{
    AdminConfig, Config, DatabaseConfig, DeliveryConfig, RetentionConfig, ServalConfig,
    ServerConfig,
};
