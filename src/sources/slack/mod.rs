//! Slack: events of the Events API.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::Value;

use super::{InvalidSource, Receipt, Refused, Source, Unreadable, Unverified, Verified};
use crate::domain::ids::{SourceKind, SourceName};
use crate::units;

/// `[sources.<name>]` of kind `slack`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Signing secrets of the app, current and previous; any of them may sign.
    pub signing_secrets: Vec<SecretString>,
    /// How old a signature may be.
    #[serde(deserialize_with = "units::duration")]
    pub tolerance_past: Duration,
    /// How far ahead Slack's clock may be.
    #[serde(deserialize_with = "units::duration")]
    pub tolerance_future: Duration,
    /// Serval's `channelTarget` for threads in channels, sent as it stands.
    pub channel_target: Option<Value>,
    /// Serval's `channelTarget` for direct messages, sent as it stands.
    pub direct_message_target: Option<Value>,
    /// Whether direct messages may connect.
    pub direct_messages: bool,
    /// App and bot ids whose messages may connect; other bots' messages are ignored.
    pub trusted_apps: Vec<String>,
    /// Bot user or bot ids that are our own, beside what the envelope says.
    pub own_ids: Vec<String>,
    /// Whether events that are no ticket events keep their body.
    pub keep_ignored_bodies: bool,
    /// How long an event waits for its mapping.
    #[serde(deserialize_with = "units::duration")]
    pub park_for: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            signing_secrets: Vec::new(),
            tolerance_past: Duration::from_secs(300),
            tolerance_future: Duration::from_secs(60),
            channel_target: None,
            direct_message_target: None,
            direct_messages: false,
            trusted_apps: Vec::new(),
            own_ids: Vec::new(),
            keep_ignored_bodies: false,
            park_for: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// A Slack workspace that sends us events.
#[derive(Debug)]
pub struct Slack {}

impl Slack {
    /// Builds the source; refuses a configuration that could not authenticate anybody.
    pub fn try_new(_name: &SourceName, _config: &Config) -> Result<Self, InvalidSource> {
        Ok(Self {})
    }
}

impl Source for Slack {
    fn kind(&self) -> SourceKind {
        SourceKind::Slack
    }

    fn verify<'a>(
        &self,
        _request: Unverified<'a>,
        _now: Timestamp,
    ) -> Result<Verified<'a>, Refused> {
        Err(Refused::Missing { expected: "" })
    }

    fn interpret(&self, _request: &Verified<'_>) -> Result<Receipt, Unreadable> {
        Ok(Receipt::Events(Vec::new()))
    }
}
