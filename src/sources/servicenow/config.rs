//! The keys of `[sources.<name>]` that only this kind has.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::edge::shapes::{Key, Shape};
use crate::edge::units;

/// The values of one instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Standard Webhooks secrets, `whsec_` and base64; any of them may sign.
    #[serde(serialize_with = "units::no_secrets")]
    pub secrets: Vec<SecretString>,
    /// Declared weaker mode: static `Authorization: Bearer` tokens.
    #[serde(serialize_with = "units::no_secrets")]
    pub bearer_tokens: Vec<SecretString>,
    /// Declared weaker mode: `user:password`.
    #[serde(serialize_with = "units::no_secrets")]
    pub basic_auth: Vec<SecretString>,
    /// JSON Pointers into the record that may hold the Serval ticket id.
    pub ticket_id_pointers: Vec<String>,
    /// JSON Pointers to columns that other integrations write too.
    pub shared_pointers: Vec<String>,
    /// A shared column is believed if `correlation_display` holds one of these, in any case. Empty:
    /// it is always believed.
    pub correlation_display_names: Vec<String>,
    /// `sys_updated_by` values whose events are echoes of Serval's own writes.
    pub ignore_users: Vec<String>,
    /// Name of the instance; records that another one sends are ignored.
    pub instance: Option<String>,
    /// Further classes that count as one of ours: `u_hr_incident = "incident"`.
    pub class_aliases: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            bearer_tokens: Vec::new(),
            basic_auth: Vec::new(),
            ticket_id_pointers: Vec::new(),
            shared_pointers: vec!["/correlation_id".to_owned()],
            correlation_display_names: vec!["serval".to_owned()],
            ignore_users: Vec::new(),
            instance: None,
            class_aliases: BTreeMap::new(),
        }
    }
}

/// The names of the fields, and the values that they take.
pub(super) const KEYS: &[Key] = &[
    Key::new("secrets", Shape::Secrets),
    Key::new("bearer_tokens", Shape::Secrets),
    Key::new("basic_auth", Shape::Secrets),
    Key::new("ticket_id_pointers", Shape::Texts),
    Key::new("shared_pointers", Shape::Texts),
    Key::new("correlation_display_names", Shape::Texts),
    Key::new("ignore_users", Shape::Texts),
    Key::new("instance", Shape::Text),
    Key::new("class_aliases", Shape::TextTable),
];
