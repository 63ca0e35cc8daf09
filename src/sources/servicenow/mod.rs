//! `ServiceNow`: records pushed by business rules.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::Value;

use super::{InvalidSource, Receipt, Refused, Source, Unreadable, Unverified, Verified};
use crate::domain::ids::{SourceKind, SourceName};
use crate::units;

/// `[sources.<name>]` of kind `servicenow`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Standard Webhooks secrets, `whsec_` and base64; any of them may sign.
    pub secrets: Vec<SecretString>,
    /// Declared weaker mode: static `Authorization: Bearer` tokens.
    pub bearer_tokens: Vec<SecretString>,
    /// Declared weaker mode: `user:password`.
    pub basic_auth: Vec<SecretString>,
    /// How old a signature may be.
    #[serde(deserialize_with = "units::duration")]
    pub tolerance_past: Duration,
    /// How far ahead a sender's clock may be.
    #[serde(deserialize_with = "units::duration")]
    pub tolerance_future: Duration,
    /// Serval's `channelTarget`, sent as it stands.
    pub channel_target: Option<Value>,
    /// JSON Pointers into the record that may hold the Serval ticket id.
    pub ticket_id_pointers: Vec<String>,
    /// `sys_updated_by` values whose events are echoes of Serval's own writes.
    pub ignore_users: Vec<String>,
    /// Further classes that count as one of ours: `u_hr_incident = "incident"`.
    pub class_aliases: BTreeMap<String, String>,
    /// Whether events that are no ticket events keep their body.
    pub keep_ignored_bodies: bool,
    /// How long an event waits for its mapping.
    #[serde(deserialize_with = "units::duration")]
    pub park_for: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            bearer_tokens: Vec::new(),
            basic_auth: Vec::new(),
            tolerance_past: Duration::from_secs(300),
            tolerance_future: Duration::from_secs(60),
            channel_target: None,
            ticket_id_pointers: Vec::new(),
            ignore_users: Vec::new(),
            class_aliases: BTreeMap::new(),
            keep_ignored_bodies: false,
            park_for: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

/// A `ServiceNow` instance that sends us records.
#[derive(Debug)]
pub struct ServiceNow {}

impl ServiceNow {
    /// Builds the source; refuses a configuration that could not authenticate anybody.
    pub fn try_new(_name: &SourceName, _config: &Config) -> Result<Self, InvalidSource> {
        Ok(Self {})
    }
}

impl Source for ServiceNow {
    fn kind(&self) -> SourceKind {
        SourceKind::ServiceNow
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
