//! The daemon from outside: webhooks in over HTTP, calls to a strict stand-in for Serval out. Where
//! a test needs a crash, it runs the real binary.
//!
//! One file for each behaviour. A test asserts on what a sender, an operator or Serval can see; only
//! `store` and `layers` look behind that.
#![expect(
    clippy::unwrap_used,
    reason = "the exemption of tests does not cover their helpers"
)]

mod admin;
mod api_daemon;
mod cli;
mod cli_discover;
mod cli_events;
mod cli_map;
mod cli_run;
mod connect;
mod conservation;
mod credentials;
mod demo;
mod docs;
mod durability;
mod import_effects;
mod interleavings;
mod layers;
mod mapping_access;
mod mapping_files;
mod mappings;
mod mappings_import;
mod openapi;
mod parking;
mod retries;
mod servicenow;
mod shutdown;
mod slack;
mod store;
mod support;
