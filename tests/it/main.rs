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
mod apart;
mod api_daemon;
mod asked_to_wait;
mod audit;
mod backup;
mod broken;
mod browsers;
mod business_rule;
mod canaries;
mod check;
mod cli;
mod cli_discover;
mod cli_events;
mod cli_map;
mod cli_map_files;
mod cli_run;
mod conflicts;
mod connect;
mod conservation;
mod console_access;
mod console_actions;
mod console_browser;
mod console_pages;
mod contrib;
mod credentials;
mod crowds;
mod demo;
mod deployment;
mod docs;
mod doubt;
mod doubt_lasts;
mod drop_fields;
mod durability;
mod durability_trace;
mod echoes;
mod erase;
mod feeds;
mod foreign_answers;
mod friendly;
mod gone;
mod held;
mod hostile;
mod http_edges;
mod import_effects;
mod interleavings;
mod invariants;
mod jumps;
mod layers;
mod learning;
mod limits;
mod mapping_access;
mod mapping_files;
mod mappings;
mod mappings_import;
mod metrics;
mod monitoring;
mod newest;
mod one_database;
mod openapi;
mod parked;
mod parking;
mod private_memory;
mod promise;
mod reload;
mod remap;
mod renamed_source;
mod repetitions;
mod restored;
mod retention;
mod retries;
mod servicenow;
mod set_aside;
mod shutdown;
mod slack;
mod slack_direct;
mod slack_edits;
mod slack_moves;
mod slack_moves_late;
mod slack_shared;
mod slack_teaches;
mod stopping;
mod store;
mod store_activity;
mod store_audit;
mod store_find;
mod store_hand_off;
mod store_imports;
mod store_plans;
mod store_ticket;
mod support;
mod taken_back;
mod third_source;
mod timing;
mod tls;
mod traces;
mod upgrade;
mod wrong_clock;
