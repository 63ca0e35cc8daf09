//! Configuration of the stand-in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use clap::ValueEnum;
use secrecy::SecretString;

use super::dialect::Dialect;
use super::fault::Fault;
use super::pairs::Message;

/// Configuration of the stand-in. By default it accepts everything that is valid.
#[derive(Debug, Clone)]
pub struct MockConfig {
    /// Address of the listener; port 0 takes a free port.
    pub listen: SocketAddr,
    /// The client id that the token endpoint accepts.
    pub client_id: String,
    /// The client secret that the token endpoint accepts.
    pub client_secret: SecretString,
    /// A bearer token that is always valid.
    pub bearer_token: Option<SecretString>,
    /// Lifetime of its tokens in seconds. `None`: an hour, which the answer does not state.
    pub expires_in: Option<u64>,
    /// Format of error answers.
    pub dialect: Dialect,
    /// Answer to connecting a pair again.
    pub repeat: Repeat,
    /// The tickets that exist. `None`: every id is a ticket.
    pub known_tickets: Option<BTreeSet<String>>,
    /// Tickets that do not exist, whatever else is set.
    pub unknown_tickets: BTreeSet<String>,
    /// The messages of tickets, by ticket id.
    pub messages: BTreeMap<String, Vec<Message>>,
    /// Faults from the start.
    pub faults: Vec<Fault>,
    /// Number of requests, and of connects, that are kept. Older ones are only counted.
    pub keep: usize,
    /// Seed of the random numbers for faults with a `rate`.
    pub seed: Option<u64>,
}

/// Answer to connecting a pair again. Serval does not document it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Repeat {
    /// 200, as the first time.
    #[default]
    Accepted,
    /// 409 `already_exists`.
    Conflict,
}

impl Default for MockConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            client_id: "mock-client".to_owned(),
            client_secret: "mock-secret".to_owned().into(),
            bearer_token: None,
            expires_in: Some(3600),
            dialect: Dialect::default(),
            repeat: Repeat::default(),
            known_tickets: None,
            unknown_tickets: BTreeSet::new(),
            messages: BTreeMap::new(),
            faults: Vec::new(),
            keep: 10_000,
            seed: None,
        }
    }
}
