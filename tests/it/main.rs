//! The daemon from outside.
#![expect(
    clippy::unwrap_used,
    reason = "the exemption of tests does not cover their helpers"
)]

mod api_daemon;
mod mapping_access;
mod mapping_files;
mod mappings_import;
mod openapi;
